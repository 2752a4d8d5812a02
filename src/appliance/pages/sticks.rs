//! What sticks bring, before anything is decided.

use std::collections::BTreeMap;

use crate::console::page::{Block, Mark, Page};
use crate::core::ids::Hash;
use crate::core::payload::ListedFile;
use crate::core::rules::Rule;
use crate::run::bag::{Bag, Listed};
use crate::run::founding_stick::FOUNDING;
use crate::run::words;

use super::{ENTER, capital, count, mark, page, row, say};

/// Most files of one kind that are named.
const SHOWN_MAX: usize = 10;

/// Sticks are being read, for so many seconds already.
pub fn reading(names: &[String], seconds: u64) -> Page {
    let mut body: Vec<Block> = names.iter().map(|name| mark(Mark::Open, format!("reading {name}"))).collect();
    body.extend([Block::Gap, Block::Ticks { what: "the sticks are being read".into(), seconds }]);
    page("Reading", body, "Wait, and leave the sticks where they are. As long as the seconds go on, nothing is wrong.")
}

/// Everything on the sticks.
pub fn inventory(names: &[String], bag: &Bag) -> Page {
    let mut body = Vec::new();
    for (at, (name, files)) in names.iter().zip(bag.inventory()).enumerate() {
        if at > 0 {
            body.push(Block::Gap);
        }
        let of_stick = bag.listed().iter().filter(|listed| listed.medium == at);
        let (founding, listed): (Vec<&Listed>, Vec<&Listed>) = of_stick.partition(|listed| listed.path.starts_with(FOUNDING));
        let (founding, files): (usize, Vec<ListedFile>) =
            (founding.len(), files.into_iter().filter(|file| !file.path.starts_with(FOUNDING)).collect());
        body.push(row(capital(name), found(&files, listed.len())));
        body.extend(known(&files));
        body.extend(
            (founding > 0).then(|| mark(Mark::Good, format!("{} of the founding, which is done: {FOUNDING}", count(founding, "file")))),
        );
        body.extend(passed_over(&listed));
    }
    let papers = bag.verified().len();
    let next = match papers {
        0 => "No paper of this Common is new to be judged on them. Enter goes on all the same, Escape leaves the sticks as they are."
            .to_owned(),
        _ => format!("{} to be judged. Enter goes on, Escape leaves the sticks as they are.", count(papers, "paper")),
    };
    page("What the sticks bring", body, next).choice(ENTER, "go on")
}

fn found(files: &[ListedFile], listed: usize) -> String {
    match files.len() {
        0 => "nothing but what this desk wrote there".into(),
        all if listed == 0 => count(all, "file"),
        all => format!("{}, of which {listed} ignored in whole or in part", count(all, "file")),
    }
}

/// The files that are of some kind of ours.
fn known(files: &[ListedFile]) -> Vec<Block> {
    let (mut counts, mut out) = (BTreeMap::<&str, usize>::new(), Vec::new());
    for file in files.iter().filter(|file| file.what != "ignored") {
        let count = counts.entry(&file.what).or_default();
        *count += 1;
        if *count <= SHOWN_MAX {
            out.push(mark(Mark::Good, format!("{}, {} bytes: {}", file.what, words::thousands(file.size), file.path)));
        }
    }
    let more = counts.into_iter().filter(|(_, count)| *count > SHOWN_MAX);
    out.extend(more.map(|(what, count)| mark(Mark::Good, format!("{} more of the kind {what}", count - SHOWN_MAX))));
    out
}

/// What was passed over, each with its reason.
fn passed_over(listed: &[&Listed]) -> Vec<Block> {
    let (shown, left_out) = words::most_of_each_rule(listed, |listed| listed.fault.rule, SHOWN_MAX);
    let mut out = Vec::new();
    for listed in shown {
        out.push(match is_the_owners(listed) {
            true => mark(Mark::Good, format!("left alone: {}", listed.path)),
            false => mark(Mark::Look, format!("ignored: {}", listed.path)),
        });
        out.push(Block::Below(format!("{} [{}]", listed.fault.rule.says(), listed.fault.rule)));
        let bytes = if listed.sha256 == Hash::ZERO { String::new() } else { format!("; sha256 {}", listed.sha256.tiny()) };
        out.push(Block::Below(format!("{}{bytes}", listed.fault.shown())));
    }
    out.extend(left_out.into_iter().map(|(rule, count)| mark(Mark::Look, format!("ignored: {count} more, {} [{rule}]", rule.says()))));
    out
}

/// Whether a file is none of ours, and neither lies nor is called as ours are: somebody's holiday picture, about which nobody has to do anything.
fn is_the_owners(listed: &Listed) -> bool {
    listed.fault.rule == Rule::FileUnknown && !listed.path.starts_with("tabellion/") && !listed.path.ends_with(".bundle")
}

/// Nothing is new on the sticks.
pub fn nothing_new(names: &[String], again: usize, repaired: &[String]) -> Page {
    let mut body = vec![say("Nothing on the sticks is new to this desk. No session is opened, and no number is given.")];
    if again > 0 {
        body.push(row(
            "Again",
            format!("{} came that got an answer before; the first receipt is written with the rest", count(again, "paper")),
        ));
    }
    body.extend(repaired.iter().map(|done| mark(Mark::Look, done.clone())));
    body.push(Block::Gap);
    body.push(say("Everything that was published can be written once more, all of Common and the last results, to:"));
    body.extend(names.iter().cloned().map(Block::Below));
    page("Nothing new", body, "Press Enter to write it, or Escape to leave the sticks as they are.").choice(ENTER, "write it again")
}

/// The passphrase of the desk's key.
pub fn passphrase(tries_left: Option<u32>) -> Page {
    let mut body =
        vec![say("Type the passphrase of the desk's key. It is kept until nobody pressed a key for a while, or until the machine is off.")];
    if let Some(left) = tries_left {
        body.push(mark(
            Mark::Look,
            format!("That passphrase does not open the key. {} left.", count(left as usize, "try").replace("trys", "tries")),
        ));
    }
    page("The passphrase", body, "Type it and press Enter; Tab shows or hides it. Escape ends the session, and nothing is changed.")
        .asking_secret("Passphrase")
}

/// The passphrase, to enter a halt in the desk's book.
pub fn passphrase_to_halt() -> Page {
    let body = vec![
        mark(Mark::Stop, "This desk is halted: a stick brought the desk's own signature on something that it never made."),
        say("With the passphrase the halt is entered in the desk's book as well. It holds without that too."),
    ];
    page("The halt", body, "Type the passphrase and press Enter, or press Escape to leave it out.").asking_secret("Passphrase")
}

/// The key is being opened.
pub fn opening() -> Page {
    page("Opening the key", vec![mark(Mark::Open, "the key is opened with the passphrase: this is slow on purpose")], "Wait.")
}

/// Whether everything is to be written.
pub fn export(names: &[String]) -> Page {
    let mut body = vec![say("Everything that was published, all of Common and the last results, is written to:")];
    body.extend(names.iter().cloned().map(Block::Below));
    body.push(say("No paper is judged, no number is given, and no key is needed. What its owner has on it stays."));
    page("Write all to a stick", body, "Press Enter to write, or Escape to go back.").choice(ENTER, "write")
}

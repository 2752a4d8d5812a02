//! Founding a witness: what it takes, what will be signed, what is kept secret, and what is to be told to everybody.

use crate::console::page::{Block, Mark, Page};
use crate::core::charter::Charter;
use crate::core::meaning::meaning;
use crate::core::policy_words::{meaning_words, names};
use crate::run::found::PAYLOAD_FILE;
use crate::run::founding_stick::{Brought, FOUNDING, NEXT_FILE, POLICY_FILE, SIGNED_FILE};

use super::home::sticks as stick_lines;
use super::{ENTER, mark, page, row, say};
use crate::appliance::slots::Stick;

/// No witness lives on the data disk.
pub fn empty() -> Page {
    let body = vec![
        say("The data disk is empty: no witness lives on it yet."),
        say(
            "If a witness should be here, this is the wrong disk, or it was erased: switch off and look for the right one. Do not found a new one in its place.",
        ),
        say(
            "If this is the first time, a witness can be founded now. It takes two visits: today its key is made and its charter drafted; when the founders have signed the charter, you come back with it.",
        ),
    ];
    page("An empty data disk", body, "Press f to found a new witness, or p to switch off.")
        .choice('f', "found a witness")
        .choice('p', "switch off")
}

/// A key lies on the data disk, and nothing that was made with it.
pub fn keyed() -> Page {
    let body = vec![
        say("On this data disk lies a key that was made for a new witness, and neither a drafted charter nor a book."),
        say(
            "If it was made today, and the power failed before its charter was drafted: go on with it. No die is rolled again, and the passphrase is the one that was typed twice today. If nobody knows that any more, begin anew with another empty data disk: this key has signed nothing.",
        ),
        say(
            "If a witness was at work here before today, its book was lost or erased. Do not found another one in its place: switch off, keep this disk as it is, and call the custodians.",
        ),
    ];
    page("A founding broke off", body, "Press f to go on with the founding, or p to switch off.")
        .choice('f', "go on with the founding")
        .choice('p', "switch off")
}

/// The passphrase of the key that is there.
pub fn kept_passphrase() -> Page {
    let body =
        vec![say("The key of this witness was made before the founding broke off, and sealed with a passphrase. Type the same one.")];
    page("Founding: its passphrase", body, "Type it and press Enter; Tab shows or hides it. Escape goes back, and nothing is changed.")
        .asking_secret("Passphrase")
}

/// What the stick must bring.
pub fn needed(inserted: &[Stick], missing: Option<&str>) -> Page {
    let mut body = vec![
        say(format!("The founders prepared a stick at home. In its folder {FOUNDING} are two files:")),
        row(POLICY_FILE, "who are the members, who may change what, and who governs"),
        row(NEXT_FILE, "the key that this witness will use after its first one, made elsewhere; its secret half lies in a safe"),
        Block::Gap,
    ];
    body.extend(stick_lines(inserted));
    body.extend(missing.map(|missing| mark(Mark::Look, missing)));
    let usable = inserted.iter().any(|stick| stick.trouble.is_none());
    let next = if usable { "Press Enter to read the stick. Escape goes back." } else { "Insert the founders' stick. Escape goes back." };
    let page = page("Founding: the founders' stick", body, next);
    if usable { page.choice(ENTER, "read the stick") } else { page }
}

/// What was brought, in words.
pub fn policy(brought: &Brought) -> Page {
    let mut body = vec![
        row("Common", brought.next.name().to_string()),
        say("Its name and its first policy are for good; a later policy needs the governors' signatures. Read it with the founders:"),
        Block::Gap,
    ];
    body.extend(meaning_words(&meaning(&brought.policy)).into_iter().map(|(label, sentence)| row(label, sentence)));
    page("Founding: the first policy", body, "If this is what the founders want, press Enter. Escape goes back, and nothing is made.")
        .choice(ENTER, "it is right")
}

/// A die is rolled.
pub fn dice(count: usize, most: usize, wrong: Option<&str>) -> Page {
    let mut body = vec![
        say(
            "The key must be one that nobody can guess. The machine draws it by chance, and your die makes sure that nobody had a hand in the machine's chance.",
        ),
        say(format!(
            "Roll a die {most} times or more, each time from the hand, and type each number that is on top, 1 to 6, in the order in which they fall. Do not think them up, and let nobody watch. You may press Enter between, as after every ten."
        )),
        Block::Gap,
        Block::Bar { what: "rolls".into(), done: count.min(most) as u64, all: most as u64 },
    ];
    body.extend(wrong.map(|wrong| mark(Mark::Look, wrong)));
    let next = "Type the rolls and press Enter; Tab shows or hides them. Escape goes back, and nothing is made.";
    page("Founding: the die", body, next).asking_secret("Rolls")
}

/// A passphrase is chosen.
pub fn choose_passphrase(again: bool, wrong: Option<&str>) -> Page {
    let mut body = vec![
        say("Now this witness gets its key. It is kept on the data disk, sealed with a passphrase that you choose now."),
        say(
            "Six words or more that nobody guesses. A second person should know it. Write it down away from this machine: without it the key is lost, and nobody can give it back.",
        ),
    ];
    body.extend(wrong.map(|wrong| mark(Mark::Look, wrong)));
    let (title, prompt) = match again {
        false => ("Founding: a new passphrase", "New passphrase"),
        true => ("Founding: the passphrase again", "The same again"),
    };
    page(title, body, "Type it and press Enter; Tab shows or hides it. Escape goes back, and nothing is made.").asking_secret(prompt)
}

/// The key is being made.
pub fn making() -> Page {
    page("Founding: making the key", vec![mark(Mark::Open, "the key is made and sealed: this is slow on purpose")], "Wait.")
}

/// What is done about a stick that did not get the charter.
pub const GIVEN_AGAIN: &str =
    "The charter itself is drafted and kept on the data disk. Write it to another stick: insert that one on the next page, and press w.";

/// A charter waits for signatures.
pub fn waiting(charter: &Charter, inserted: &[Stick], wrong: Option<&str>) -> Page {
    let group = charter.policy.group(&charter.policy.governors);
    let governors: Vec<_> = charter.policy.expand(&charter.policy.governors).into_iter().collect();
    let mut body = vec![
        row("Common", charter.origin.to_string()),
        row(
            "Signatures",
            format!("{} of {}", group.map_or(0, |group| group.k), names(&governors.into_iter().cloned().collect::<Vec<_>>())),
        ),
        Block::Gap,
        say(format!(
            "The charter is drafted and waits for its founders. A stick that was safe to remove has it as {FOUNDING}/{PAYLOAD_FILE}; on any other, write it with w. At home each of them reads it and signs:"
        )),
        Block::Below(format!("tabellion approve {PAYLOAD_FILE} --key THEIR-KEY")),
        say(format!("That makes the file {SIGNED_FILE} beside it. When enough have signed, come back with the stick.")),
        say("If this witness gave numbers before, its book was lost: do not found it again, switch off, and call the custodians."),
        Block::Gap,
    ];
    body.extend(stick_lines(inserted));
    body.extend(wrong.map(|wrong| mark(Mark::Look, wrong)));
    let usable = inserted.iter().any(|stick| stick.trouble.is_none());
    let next = match usable {
        true => "Press Enter when the stick brings the signed charter, or w to write the charter to it.",
        false => "Insert the stick with the signed charter, or one to write the charter to; or switch off until it comes.",
    };
    let mut waiting = page("The charter waits for signatures", body, next);
    if usable {
        waiting = waiting.choice(ENTER, "found the witness").choice('w', "write the charter");
    }
    waiting.choice('p', "switch off")
}

/// It is founded; the stick is in, or comes later, when the power failed in between.
pub fn founded(origin: &str, has_stick: bool) -> Page {
    let stick = match has_stick {
        true => "the stick, which takes the first page home",
        false => "a stick, which takes the first page home: insert it when the page Home comes, press Enter there, and go on to its end",
    };
    let body = vec![
        mark(Mark::Good, format!("{origin} is founded. The charter is its first page, common@1.")),
        Block::Gap,
        say("Three things remain, and the next pages lead through them:"),
        row("1", "the fingerprint, to be told to everybody who will use this Common"),
        row("2", "the head, to be written on your own paper"),
        row("3", stick),
    ];
    page("Founded", body, "Press Enter.").choice(ENTER, "go on")
}

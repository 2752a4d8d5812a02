//! What the operator reads before the desk is there: the start, the search for the ledger's disk, and what stops it.

use crate::console::page::{Block, Choice, Mark, Page};
use crate::core::rules::Fault;
use crate::machine::block::Device;
use crate::machine::data::Trouble;

use super::pages::{advice, capital};

/// The key that switches off.
pub(super) const OFF: char = 'p';

fn off() -> Choice {
    Choice { key: OFF, says: "switch off".to_owned() }
}

/// While the machine starts: what was done so far.
pub(super) fn starting(done: &[(Mark, String)]) -> Page {
    let mut body: Vec<Block> = done.iter().map(|(mark, says)| Block::Mark(*mark, says.clone())).collect();
    body.push(Block::Mark(Mark::Open, "the rest of the start".to_owned()));
    Page {
        title: "The witness is starting".to_owned(),
        body,
        next: "Wait: this takes less than a minute. Nothing needs to be done.".to_owned(),
        ..Page::default()
    }
}

/// While the ledger's disk is looked for; with `asked` nobody found it, and keys are awaited.
pub(super) fn looking(asked: bool) -> Page {
    let mut body = vec![Block::Mark(Mark::Open, "looking for the ledger's disk".to_owned())];
    if asked {
        body.extend([
            Block::Gap,
            Block::Say("No disk or stick with the label tabellion-data is in this machine yet. It is the one that is kept with this laptop, or inside it: it holds the ledger.".to_owned()),
            Block::Gap,
            Block::Say("A stick that was just inserted takes a few seconds to appear here. It is not the boot stick, and none of the sticks that people bring.".to_owned()),
        ]);
    }
    let next = match asked {
        true => "Insert the stick with the ledger. As soon as it is there, the start goes on by itself.",
        false => "Wait a few seconds.",
    };
    let choices = if asked { vec![off()] } else { Vec::new() };
    Page { title: "Looking for the ledger".to_owned(), body, next: next.to_owned(), choices, ..Page::default() }
}

/// More than one disk says that it holds the ledger; `found` tells each.
pub(super) fn several(found: &[String]) -> Page {
    let mut body = vec![Block::Mark(Mark::Stop, format!("{} disks are labelled tabellion-data; 1 expected [ledger-disk]", found.len()))];
    body.extend(found.iter().cloned().map(Block::Below));
    body.extend([
        Block::Gap,
        Block::Say("Two ledgers of one witness must never be used side by side: one of them is a copy, or belongs to another witness. Which one is right, no program can tell. Neither was opened, and nothing was written to either.".to_owned()),
    ]);
    Page {
        title: "Two ledgers".to_owned(),
        body,
        next: "Pull out the one that does not belong to this witness, and the start goes on by itself. If you do not know which, switch off and ask the people who look after this witness.".to_owned(),
        choices: vec![off()],
        ..Page::default()
    }
}

/// The one disk that bears the label is not taken.
pub(super) fn not_taken(trouble: &Trouble, device: &Device) -> Page {
    let fault = trouble.fault(device);
    let next = match trouble {
        Trouble::Foreign(_) => {
            "Pull it out, look at what is written on it, and insert the witness's own. If this is the witness's own, write to it nowhere else: switch off, and show this page to the people who look after this witness."
        }
        Trouble::ReadOnly => {
            "Look for a small switch on its side. Pull it out, slide the switch, and insert it again. Without a switch it may be worn out: show this page to the people who look after this witness."
        }
        Trouble::Broken(_) => {
            "Pull it out and insert it once more, into another socket if there is one. If this page comes again, write to it nowhere else: switch off, and show this page to the people who look after this witness."
        }
    };
    Page {
        title: "This is not a ledger that can be used".to_owned(),
        body: vec![
            Block::Mark(Mark::Stop, format!("the disk labelled tabellion-data is not taken [{}]", fault.rule.id())),
            Block::Row("found".to_owned(), fault.found),
            Block::Row("state".to_owned(), "what is on it stays as it is, and it is not in use: it may be pulled out".to_owned()),
        ],
        next: next.to_owned(),
        choices: vec![off()],
        ..Page::default()
    }
}

/// The start cannot go on.
pub(super) fn stopped(fault: &Fault) -> Page {
    Page {
        title: "The witness does not start".to_owned(),
        body: vec![
            Block::Mark(Mark::Stop, format!("{} [{}]", advice::matter(fault.rule), fault.rule.id())),
            Block::Row("found".to_owned(), fault.found.clone()),
            Block::Row("state".to_owned(), "no key was unlocked and the ledger is as it was: nothing is lost".to_owned()),
        ],
        next: format!("{}.", capital(advice::of_stop(fault.rule))),
        choices: vec![off()],
        ..Page::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::plain;
    use crate::core::rules::Rule;
    use crate::machine::block::Bus;

    fn device() -> Device {
        Device {
            name: "sdb1".into(),
            disk: "sdb".into(),
            bus: Bus::Usb,
            bytes: 16_000_000_000,
            maker: "Ultra".into(),
            part: None,
            is_read_only: false,
            insertion: 1,
        }
    }

    #[test]
    fn every_page_that_stops_says_what_was_found_what_to_do_and_how_to_switch_off() {
        for (page, says) in [
            (looking(true), &["No disk or stick with the label tabellion-data", "Insert the stick with the ledger"][..]),
            (
                several(&["sda: a".into(), "sdb: b".into()]),
                &["2 disks are labelled tabellion-data; 1 expected [ledger-disk]", "sda: a", "sdb: b"],
            ),
            (
                not_taken(&Trouble::Foreign("there is no file".into()), &device()),
                &["[ledger-disk]", "sdb1 (Ultra, 16 GB)", "there is no file"],
            ),
            (not_taken(&Trouble::ReadOnly, &device()), &["it is read-only", "slide the switch"]),
            (not_taken(&Trouble::Broken("EIO".into()), &device()), &["EIO", "another socket"]),
            (
                stopped(&Fault::new(Rule::MachineFault, "eth0; none expected")),
                &["[machine-fault]", "eth0; none expected", "Write down what was"],
            ),
        ] {
            let told = plain::text(&page);
            let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
            for part in says.iter().chain(&["[p] switch off"]) {
                assert!(told.contains(part), "{part}: {told}");
            }
        }
    }

    #[test]
    fn the_start_shows_what_was_verified_and_that_more_comes() {
        let told = plain::text(&starting(&[(Mark::Good, "58 drivers".into()), (Mark::Look, "Secure Boot is off".into())]));
        for part in ["[ ok ] 58 drivers", "[ !! ] Secure Boot is off", "[    ] the rest of the start"] {
            assert!(told.contains(part), "{told}");
        }
    }
}

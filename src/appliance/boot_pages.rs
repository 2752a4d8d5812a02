//! What the operator reads before the desk is there: the start, the search for the ledger's disk, and what stops it.

use crate::console::page::{Block, Choice, Mark, Page};
use crate::core::rules::Fault;

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
pub(super) fn not_taken(fault: &Fault) -> Page {
    Page {
        title: "This is not a ledger that can be used".to_owned(),
        body: vec![
            Block::Mark(Mark::Stop, format!("the disk labelled tabellion-data is not taken [{}]", fault.rule.id())),
            Block::Row("found".to_owned(), fault.found.clone()),
            Block::Row("state".to_owned(), "nothing was written to it, and it is not in use: it may be pulled out".to_owned()),
        ],
        next: "Pull it out, look at what is written on it, and insert the witness's own. If it is the witness's own, do not write to it anywhere else: switch off, and show this page to the people who look after this witness.".to_owned(),
        choices: vec![off()],
        ..Page::default()
    }
}

/// The start cannot go on.
pub(super) fn stopped(fault: &Fault) -> Page {
    Page {
        title: "The witness does not start".to_owned(),
        body: vec![
            Block::Mark(Mark::Stop, format!("{} [{}]", fault.rule.says(), fault.rule.id())),
            Block::Row("found".to_owned(), fault.found.clone()),
            Block::Row("state".to_owned(), "no key was unlocked and the ledger is as it was: nothing is lost".to_owned()),
        ],
        next: format!("{}.", capital(fault.rule.next())),
        choices: vec![off()],
        ..Page::default()
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

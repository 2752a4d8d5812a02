//! What became of a session and of each stick. "Safe to remove" is said here alone, of sticks that were compared and let go of.

use crate::console::page::{Block, Mark, Page};
use crate::core::rules::{Checked, Fault};

use super::{ENTER, advice, mark, page, row, say};

/// A stick and what became of it.
#[derive(Debug, Clone)]
pub struct Given {
    /// What a person calls the stick.
    pub name: String,
    /// Whether its results were written, read back and compared.
    pub written: Checked<()>,
    /// Whether it was let go of, with everything on it.
    pub closed: Checked<()>,
}

impl Given {
    /// Whether it has everything, and may be pulled out.
    pub fn is_well(&self) -> bool {
        self.written.is_ok() && self.closed.is_ok()
    }

    fn fault(&self) -> Option<&Fault> {
        self.written.as_ref().err().or(self.closed.as_ref().err())
    }
}

/// What is done about a stick without its results, or without the first page.
pub const WRITTEN_AGAIN: &str = "The desk's own book is complete, nothing has to be judged again. Write everything to another stick, with the key e on the page Home, and give that one back.";

/// What is done about a stick that an export failed with; Home follows, or the page of a desk that halted.
pub const EXPORTED_AGAIN: &str =
    "The desk's own book is as it was. Write everything to another stick, with the key e on the page that follows, and give that one back.";

/// The end of a session, an export or a draft; `again` says what is done about a stick that failed.
pub fn given(what: &str, told: Vec<Block>, sticks: &[Given], again: &'static str) -> Page {
    let mut body = Vec::new();
    for stick in sticks {
        match stick.fault() {
            None => {
                // In front, so that the words that matter most are never broken over two lines.
                body.push(mark(Mark::Good, format!("SAFE TO REMOVE: {}", stick.name)));
                body.push(Block::Below(format!("{what}, read back and compared")));
            }
            Some(fault) => {
                body.push(mark(Mark::Stop, format!("{} does NOT have its results: {}", stick.name, advice::matter(fault.rule))));
                body.push(Block::Below(format!("{} [{}]", fault.shown(), fault.rule)));
                body.push(Block::Below(removal(stick).into()));
            }
        }
    }
    body.push(Block::Gap);
    body.extend(told);
    if sticks.iter().all(Given::is_well) {
        let next =
            if sticks.len() == 1 { "Pull the stick out now, then press Enter." } else { "Pull the sticks out now, then press Enter." };
        return page("Safe to remove", body, next).choice(ENTER, "go on");
    }
    body.push(say(again));
    page("Not every stick has its results", body, "Note which stick failed, then press Enter.").choice(ENTER, "go on")
}

fn removal(stick: &Given) -> &'static str {
    match stick.closed {
        Ok(()) => "It may be pulled out. The files of its owner, papers among them, are as they were.",
        Err(_) => "It may be pulled out, but what is on it is not known: look at it on another machine.",
    }
}

/// Sticks that were let go of without anything written.
pub fn let_go(sticks: &[Given]) -> Vec<Block> {
    let line = |stick: &Given| match &stick.closed {
        Ok(()) => mark(Mark::Good, format!("{}: it may be pulled out", stick.name)),
        Err(fault) => mark(Mark::Look, format!("{}: {} [{}]", stick.name, fault.shown(), fault.rule)),
    };
    sticks.iter().map(line).collect()
}

/// A line of what a session did.
pub fn told(label: &str, text: impl Into<String>) -> Block {
    row(label, text)
}

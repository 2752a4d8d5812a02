//! The data disk is looked at: while it is, and when nothing can be said of it.

use crate::console::page::{Block, Mark, Page};

use super::{mark, page, say};

/// The desk is read and checked.
pub fn checking() -> Page {
    let body = vec![
        say("Every page of the desk's book is read, and compared with the page before it and with the desk's own signatures."),
        Block::Gap,
        mark(Mark::Open, "the desk is being checked"),
    ];
    page("Checking the desk", body, "Wait. With a large book this takes a minute.")
}

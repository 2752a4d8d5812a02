//! The data disk is looked at.

use crate::console::page::{Block, Page};

use super::{page, say};

/// The desk is read and checked, for so many seconds already.
pub fn checking(seconds: u64) -> Page {
    let body = vec![
        say("Every page of the desk's book is read, and compared with the page before it and with the desk's own signatures."),
        Block::Gap,
        Block::Ticks { what: "the desk is being checked".into(), seconds },
    ];
    page("Checking the desk", body, "Wait, with a large book for a minute or two. As long as the seconds go on, nothing is wrong.")
}

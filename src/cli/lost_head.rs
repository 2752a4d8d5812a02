//! A head file that was lost, as governors and operator meet it: what an order does about it, and with what they compare first.

use serde::Serialize;

use crate::core::head::HeadFile;
use crate::run::lost_head::{HeadWritten, LostHead};

use super::facts::Head;
use super::output::Page;

/// A head file that was missing or damaged.
#[derive(Serialize)]
pub struct HeadFileSeen {
    /// `lost`, `other-halt`, `written` or `whole`.
    state: &'static str,
    /// What was found in its place; absent when it is whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<String>,
    /// The session that it tells of, by the ledger; absent when the order leaves it alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<u64>,
    /// The head after that session.
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<Head>,
    /// Where the damaged one is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<String>,
}

impl From<&LostHead> for HeadFileSeen {
    fn from(lost_head: &LostHead) -> HeadFileSeen {
        let (state, found, file) = match lost_head {
            LostHead::ToWrite { lost, file } => ("lost", Some(lost), Some(file)),
            LostHead::Whole(file) => ("whole", None, Some(file)),
            LostHead::Next(lost) => ("other-halt", Some(lost), None),
        };
        HeadFileSeen::of(state, found.map(|fault| fault.shown().to_owned()), file)
    }
}

impl From<&HeadWritten> for HeadFileSeen {
    fn from(written: &HeadWritten) -> HeadFileSeen {
        let state = if written.lost.is_some() { "written" } else { "whole" };
        let found = written.lost.as_ref().map(|fault| fault.shown().to_owned());
        let kept = written.kept.as_ref().map(|path| path.display().to_string());
        HeadFileSeen { kept, ..HeadFileSeen::of(state, found, Some(&written.file)) }
    }
}

impl HeadFileSeen {
    fn of(state: &'static str, found: Option<String>, file: Option<&HeadFile>) -> HeadFileSeen {
        HeadFileSeen { state, found, session: file.map(|file| file.session), head: file.map(|file| (&file.head).into()), kept: None }
    }

    /// The facts in words.
    pub fn say(&self, page: &mut Page) {
        let found = self.found.as_deref().unwrap_or_default();
        let tells = self.session.zip(self.head.as_ref()).map_or(String::new(), |(session, head)| format!("session {session}, {head}"));
        match self.state {
            "lost" => {
                page.labelled("head file", format!("LOST: {found}"));
                page.labelled("", format!("the order has it written anew from the ledger: {tells}"));
            }
            "other-halt" => {
                page.labelled("head file", format!("LOST: {found}"));
                page.labelled(
                    "",
                    "this halt is over something else: when it ends, the desk halts over the head file, which takes another order",
                );
            }
            "written" => page.labelled("head file", format!("was lost ({found}), and is written anew from the ledger: {tells}")),
            _ => page.labelled("head file", format!("was lost, and is whole now, as the ledger has it: {tells}")),
        }
        self.kept.iter().for_each(|path| page.labelled("", format!("what was left of the damaged one is kept as {path}")));
        if !tells.is_empty() {
            page.labelled(
                "COMPARE",
                "this number and its words with a consumer's pin, a printout, or the last report on a stick: whoever puts an",
            );
            page.labelled("", "older ledger back and takes the head file away leaves the same, and nothing on this disk can tell");
        }
    }
}

//! Whether a preview came true: what was expected of a paper, beside its receipt, and which papers came in between.

use std::path::Path;

use crate::core::expected::Expected;
use crate::core::ids::{Party, Pid};
use crate::core::pin::Pin;
use crate::core::rules::{Checked, Fault};

use super::consumer::Receipt;
use super::folder::{CheckedFolder, Folder};
use super::home;

/// What was expected of a paper that has a receipt now.
pub struct Foreseen {
    /// What was expected.
    pub expected: Expected,
    /// Whether the receipt says the same: the number and the state root, or the rule.
    pub came_true: bool,
    /// The papers accepted in between that were not foreseen, when it did not come true; the fault when the folder cannot tell.
    pub between: Checked<Vec<Between>>,
}

/// A paper that came in between.
pub struct Between {
    /// The number it became.
    pub number: u64,
    /// Its id.
    pub pid: Pid,
    /// Its author.
    pub author: Party,
}

/// The published folder of a medium, checked when it is first asked and only then.
pub struct Asked<'a> {
    medium: &'a Path,
    pin: &'a Pin,
    checked: Option<Checked<CheckedFolder>>,
}

impl<'a> Asked<'a> {
    /// The folder on a medium.
    pub fn new(medium: &'a Path, pin: &'a Pin) -> Asked<'a> {
        Asked { medium, pin, checked: None }
    }

    fn folder(&mut self) -> Result<&CheckedFolder, &Fault> {
        let (medium, pin) = (self.medium, self.pin);
        self.checked.get_or_insert_with(|| Folder::find(medium)?.check(pin)).as_ref()
    }
}

/// What was expected of a paper, compared with its receipt; none when nothing was.
///
/// # Errors
/// `file-fault` when the file at home is not whole.
pub fn foreseen(home: &Path, pid: &Pid, receipt: &Receipt, asked: &mut Asked<'_>) -> Checked<Option<Foreseen>> {
    let Some(expected) = home::expected(home, pid)? else { return Ok(None) };
    let came_true = match receipt {
        Receipt::Accepted(record, _) => expected.becomes == Some((record.number, record.state_root)),
        Receipt::Answered(note) => expected.verdict == format!("{} {}", note.outcome.word(), note.rule),
    };
    let between = match came_true {
        true => Ok(Vec::new()),
        false => asked.folder().map_err(Clone::clone).map(|checked| between(checked, &expected, receipt)),
    };
    Ok(Some(Foreseen { expected, came_true, between }))
}

/// Papers accepted after the head that the preview saw and before the receipt, but those that the preview saw too.
fn between(checked: &CheckedFolder, expected: &Expected, receipt: &Receipt) -> Vec<Between> {
    let is_before = |number: u64, session: u64| match receipt {
        Receipt::Accepted(record, _) => number < record.number,
        Receipt::Answered(note) => session <= note.session,
    };
    let pages = checked.common.pages().iter().skip(expected.base.number as usize);
    let pages = pages.filter(|page| is_before(page.record.number, page.record.session) && !expected.ahead.contains(&page.record.pid));
    let of = |author: &Party, number, pid| Between { number, pid, author: author.clone() };
    pages.filter_map(|page| Some(of(&page.proposal.as_ref()?.author, page.record.number, page.record.pid))).collect()
}

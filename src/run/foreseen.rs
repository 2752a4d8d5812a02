//! Whether a preview came true: what was expected of a paper, beside its receipt, and which papers came in between.

use std::collections::BTreeSet;
use std::path::Path;

use crate::core::common::Page;
use crate::core::expected::Expected;
use crate::core::ids::{Name, Party, Pid};
use crate::core::pin::Pin;
use crate::core::proposal::{Operation, Proposal};
use crate::core::rules::{Checked, Fault};
use crate::core::verify::Parsed;

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
pub fn foreseen(home: &Path, paper: &Parsed, receipt: &Receipt, asked: &mut Asked<'_>) -> Checked<Option<Foreseen>> {
    let Some(expected) = home::expected(home, &paper.pid())? else { return Ok(None) };
    let came_true = match receipt {
        Receipt::Accepted(record, _) => expected.becomes == Some((record.number, record.state_root)),
        Receipt::Answered(note) => expected.verdict == format!("{} {}", note.outcome.word(), note.rule),
    };
    let between = match came_true {
        true => Ok(Vec::new()),
        false => asked.folder().map_err(Clone::clone).map(|checked| between(checked, &expected, paper.proposal(), receipt)),
    };
    Ok(Some(Foreseen { expected, came_true, between }))
}

/// Papers accepted after the head that the preview saw and before the receipt, but those that the preview saw too; of a paper that was not
/// accepted, those that changed a name it asks for, or the policy.
fn between(checked: &CheckedFolder, expected: &Expected, ours: &Proposal, receipt: &Receipt) -> Vec<Between> {
    let names: BTreeSet<&Name> = ours.operations.iter().filter_map(Operation::name).collect();
    let is_touched = |theirs: &Proposal| theirs.operations.iter().any(|operation| operation.name().is_none_or(|name| names.contains(name)));
    let matters = |page: &Page, theirs: &Proposal| match receipt {
        Receipt::Accepted(record, _) => page.record.number < record.number,
        Receipt::Answered(note) => page.record.session <= note.session && is_touched(theirs),
    };
    let pages = checked.common.pages().iter().skip(expected.base.number as usize);
    let pages = pages.filter(|page| !expected.ahead.contains(&page.record.pid));
    let of = |page: &Page, theirs: &Proposal| Between { number: page.record.number, pid: page.record.pid, author: theirs.author.clone() };
    pages.filter_map(|page| page.proposal.as_ref().filter(|theirs| matters(page, theirs)).map(|theirs| of(page, theirs))).collect()
}

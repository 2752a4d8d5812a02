//! The trail, looked at: who asked for what, and what became of it. Only the trail is opened, and only to read, so that this works while the
//! ledger is broken, halted or at work.

use std::path::Path;

use crate::core::rules::Checked;
use crate::ledger::trail::Trail;
pub use crate::ledger::trail::{Asked, Ended, Entry, Filter, Status, TRAIL_FILE, Which};

/// The requests that fit, and how many there are beside them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Those that fit, in the order in which they were recorded.
    pub entries: Vec<Entry>,
    /// How many more fit, and are older.
    pub left_out: u64,
    /// How many requests there are, whether they fit or not.
    pub total: u64,
    /// How many are missing from between others.
    pub missing: u64,
}

/// Looks up the requests that fit in the trail of the ledger in `dir`; `None` when there is no trail.
///
/// # Errors
/// `not-found` when there is no such folder; `trail-fault`, `file-fault` or `disk-fault` when the trail cannot be read.
pub fn recorded(dir: &Path, filter: &Filter) -> Checked<Option<Recorded>> {
    let Some(trail) = Trail::look(dir)? else { return Ok(None) };
    let mut entries = Vec::new();
    trail.for_each(filter, |entry| {
        entries.push(entry);
        Ok(())
    })?;
    let shown = entries.len() as u64;
    // What was recorded since is neither shown nor left out.
    let left_out = if filter.last == Some(shown) { trail.count(filter)?.saturating_sub(shown) } else { 0 };
    Ok(Some(Recorded { entries, left_out, total: trail.count(&Filter::default())?, missing: trail.missing()? }))
}

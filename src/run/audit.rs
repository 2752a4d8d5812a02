//! The audit trail, looked at: who asked the ledger of a folder for what, and what became of it. Also while the desk is halted, while a session
//! runs, and where nothing can be written: only the trail is opened, and only to read.

use std::path::{Path, PathBuf};

pub use crate::broker::call_itself;
use crate::broker::trail::Trail;
pub use crate::broker::trail::{Asked, Ended, Entry, Filter, Status, TRAIL_FILE, Which};

use super::problem::{Outcomes, Problem};

/// What the trail says.
pub struct Audit {
    /// Where the trail lies, as the folder was named.
    pub path: PathBuf,
    /// The requests that fit, in the order in which they were recorded; `None` without a trail.
    pub entries: Option<Vec<Entry>>,
    /// How many more fit, and are older.
    pub left_out: u64,
    /// How many requests there are, whether they fit or not.
    pub total: u64,
    /// How many are missing from between others.
    pub missing: u64,
}

/// Looks up the requests that fit.
///
/// # Errors
/// `not-found` when there is no such folder; `trail-fault`, `file-fault` or `disk-fault` when the trail cannot be read.
pub fn audit(dir: &Path, filter: &Filter) -> Outcomes<Audit> {
    let path = dir.join(TRAIL_FILE);
    let Some(trail) = Trail::look(dir)? else { return Ok(Audit { path, entries: None, left_out: 0, total: 0, missing: 0 }) };
    let mut entries = Vec::new();
    trail.for_each(filter, |entry| {
        entries.push(entry);
        Ok(())
    })?;
    let shown = entries.len() as u64;
    // What was recorded since is neither shown nor left out.
    let left_out = if filter.last == Some(shown) { trail.count(filter)?.saturating_sub(shown) } else { 0 };
    Ok(Audit { path, entries: Some(entries), left_out, total: trail.count(&Filter::default())?, missing: trail.missing()? })
}

/// A request as people name it: by its number in the trail, or by its id in 32 hex digits.
///
/// # Errors
/// `usage` with what was found.
pub fn which(text: &str) -> Outcomes<Which> {
    let mut id = [0; 16];
    match (hex::decode_to_slice(text, &mut id), text.parse()) {
        (Ok(()), _) => Ok(Which::Id(id)),
        (_, Ok(number)) => Ok(Which::Number(number)),
        _ => Err(Problem::usage(format!("request {text:?} found; its number in the trail, or the 32 hex digits of its id, expected"))),
    }
}

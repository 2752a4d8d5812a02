//! The audit trail, looked at: who asked the ledger of a folder for what, and what became of it. Also while the desk is halted, while a session
//! runs, and where nothing can be written: only the trail is opened, and only to read.

use std::path::{Path, PathBuf};

use crate::broker::audit::recorded;
pub use crate::broker::audit::{Asked, Ended, Entry, Filter, Recorded, Status, TRAIL_FILE, Which};
pub use crate::broker::call_itself;

use super::problem::{Outcomes, Problem};

/// What the trail says.
pub struct Audit {
    /// Where the trail lies, as the folder was named.
    pub path: PathBuf,
    /// What was found; `None` without a trail.
    pub recorded: Option<Recorded>,
}

/// Looks up the requests that fit.
///
/// # Errors
/// As [`recorded`].
pub fn audit(dir: &Path, filter: &Filter) -> Outcomes<Audit> {
    Ok(Audit { path: dir.join(TRAIL_FILE), recorded: recorded(dir, filter)? })
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

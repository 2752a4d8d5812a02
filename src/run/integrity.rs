//! Integrity: the whole desk checked, and every fact told, whether it is well or not.
//!
//! It takes the lock if it is free, works while the desk is halted, and never waits for another writer.

use std::path::{Path, PathBuf};

use crate::core::event::Event;
use crate::core::rules::Rule;
use crate::ledger::Ledger;

use super::halt::read_halt;
use super::problem::Outcomes;
use super::startup::{Examined, examine};

/// What is asked for.
pub struct Request {
    /// The desk's folder.
    pub ledger: PathBuf,
    /// Whether every signature and every object in the store is checked.
    pub deep: bool,
}

/// How much was checked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Checked {
    /// Events, each with its number, id, epoch, key, link, hash and payload.
    pub events: u64,
    /// Signatures of events.
    pub signatures: u64,
    /// Records, against the events.
    pub records: u64,
    /// Final verdicts, against the events.
    pub verdicts: u64,
}

/// What was found.
pub struct Integrity {
    /// The desk, as far as it could be read.
    pub found: Examined,
    /// What was checked.
    pub checked: Checked,
    /// The last event.
    pub last: Option<Event>,
    /// Who else writes, if anybody does; then nothing else was checked.
    pub writer: Option<String>,
    /// Why the desk is halted, if it is.
    pub halted: Option<String>,
}

/// Checks the desk.
///
/// # Errors
/// As [`examine`].
pub fn integrity(request: &Request) -> Outcomes<Integrity> {
    let dir = request.ledger.as_path();
    let (ledger, writer) = match Ledger::open(dir) {
        Err(fault) if fault.rule == Rule::AnotherWriter => (Ledger::open_read_only(dir)?, Some(fault.found)),
        opened => (opened?, None),
    };
    let found = examine(dir, ledger, request.deep)?;
    let last = found.ledger.latest()?;
    let checked = counts(&found, last.as_ref(), request.deep);
    Ok(Integrity { found, checked, last, writer, halted: read_halt(Path::new(dir))? })
}

fn counts(found: &Examined, last: Option<&Event>, deep: bool) -> Checked {
    let (events, sessions) = (last.map_or(0, |event| event.seq_no), found.books.sessions());
    let rulings = sessions.iter().flat_map(|session| &session.rulings).filter(|ruling| ruling.verdict.is_final());
    Checked {
        events,
        signatures: if deep { events } else { events.min(1) },
        records: found.books.log().size(),
        verdicts: rulings.count() as u64,
    }
}

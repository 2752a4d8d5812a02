//! Where a desk stands, for its operator and for a monitor: also when it is halted or its ledger is broken, and also while another writes.
//!
//! A monitor looks when things are bad. What can be read is told, what follows from a ledger that fails its check is not.

use std::collections::BTreeMap;
use std::path::Path;

use crate::broker::{Broker, Metrics, Tally};
use crate::core::books::Books;
use crate::core::rules::{Checked, Rule};

use super::desk::Desk;
use super::halt::{read_halt, why_halted};
use super::problem::{Outcomes, Problem, Unchanged as _};
use super::standby::Standby;
use super::startup::{Wrong, examine};

/// Whether the desk passed its start-up checks just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It did.
    Ok,
    /// Its ledger is not what was appended.
    Corrupted {
        /// The last event before which nothing is wrong, 0 for none.
        last_good: u64,
        /// The first event that is wrong or missing.
        first_bad: u64,
        /// What is wrong with it, in a word.
        kind: &'static str,
    },
    /// Something else stops it; the problem says what.
    Unusable,
}

impl Health {
    /// Every state's word.
    pub const WORDS: [&'static str; 3] = ["ok", "corrupted", "unusable"];

    /// `ok`, `corrupted` or `unusable`.
    pub fn word(&self) -> &'static str {
        match self {
            Health::Ok => "ok",
            Health::Corrupted { .. } => "corrupted",
            Health::Unusable => "unusable",
        }
    }
}

/// Rows and bytes as they lie in the folder; nothing here was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Events by the word of their type.
    pub events_by_type: BTreeMap<String, u64>,
    /// Rows of records.
    pub records: u64,
    /// Rows of final verdicts.
    pub verdicts: u64,
    /// Sizes of files, by name; all of `objects/` together.
    pub file_bytes: BTreeMap<String, u64>,
}

/// The check of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Check {
    /// How many checks were made: 0 when the folder is no desk that could be examined, one more each time a session ended meanwhile.
    pub count: u64,
    /// How many found corruption.
    pub corruptions: u64,
    /// Events found whole.
    pub events: u64,
    /// Microseconds that the last one took.
    pub took_us: u64,
}

impl From<Metrics> for Check {
    fn from(metrics: Metrics) -> Check {
        Check {
            count: metrics.startup_checks_total,
            corruptions: metrics.corruptions_detected_total,
            events: metrics.last_check_events,
            took_us: metrics.check_latency.last_us,
        }
    }
}

/// Where a desk stands.
pub struct Status {
    /// The desk; `None` when it fails its checks.
    pub desk: Option<Desk>,
    /// Whether it passed them.
    pub health: Health,
    /// What it holds; `None` when not even that can be read.
    pub stored: Option<Stored>,
    /// What was checked.
    pub check: Check,
    /// What it is when it has no instance file.
    pub standby: Option<Standby>,
    /// Why it is halted, if it is.
    pub halted: Option<String>,
    /// What stops it.
    pub problem: Option<Problem>,
}

/// Looks at the desk in this folder: one check, whatever it finds.
///
/// # Errors
/// `not-found` when there is none; `disk-fault` for the halt file. Whatever else is wrong is in the status.
pub fn status(dir: &Path) -> Outcomes<Status> {
    let ledger = match Broker::look(dir) {
        Ok(ledger) => ledger,
        Err(fault) if fault.rule == Rule::NotFound => return Err(fault.into()),
        Err(fault) => return stopped(dir, fault.into()),
    };
    let found = examine(dir, &ledger, false);
    let (stored, check) = (stored(dir, &ledger), Check::from(ledger.metrics()?));
    let mut findings = match found {
        Ok(findings) => findings,
        Err(problem) => return Ok(Status { stored: stored.ok(), check, ..stopped(dir, problem)? }),
    };
    let halted = why_halted(dir, &findings.books)?;
    let Some(wrong) = findings.wrong.take() else {
        let desk = Desk::of_findings(dir, ledger, &mut findings);
        return Ok(Status { desk, health: Health::Ok, stored: Some(stored?), check, standby: findings.standby, halted, problem: None });
    };
    let also = halted.as_ref().map_or(String::new(), |reason| format!("; the desk is halted: {reason}"));
    let health = match wrong {
        _ if findings.chain_is_whole => Health::Unusable,
        Wrong { last_good_seq_no, first_bad_seq_no, kind, .. } => {
            Health::Corrupted { last_good: last_good_seq_no, first_bad: first_bad_seq_no, kind }
        }
    };
    let problem = Err::<(), _>(wrong.fault).unchanged(|| format!("nothing was written{also}")).err();
    Ok(Status { desk: None, health, stored: stored.ok(), check, standby: findings.standby, halted, problem })
}

/// What can be told of a folder that cannot be examined as a desk.
fn stopped(dir: &Path, problem: Problem) -> Outcomes<Status> {
    let halted = read_halt(dir)?;
    let standby = Standby::of(dir)?;
    Ok(Status { desk: None, health: Health::Unusable, stored: None, check: Check::default(), standby, halted, problem: Some(problem) })
}

/// Name under which the content of accepted and waiting papers is counted, all files together.
const OBJECTS: &str = "objects";

fn stored(dir: &Path, ledger: &Broker) -> Checked<Stored> {
    let Tally { events_by_type, records, verdicts, mut file_bytes, .. } = ledger.tally()?;
    if dir.join(OBJECTS).is_dir() {
        file_bytes.insert(OBJECTS.to_owned(), bytes_below(&dir.join(OBJECTS)));
    }
    Ok(Stored { events_by_type, records, verdicts, file_bytes })
}

/// Bytes of the plain files in a folder and those below it. What a session that runs meanwhile takes away is not there any more.
fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        Some(if metadata.is_dir() { bytes_below(&entry.path()) } else { u64::from(metadata.is_file()) * metadata.len() })
    });
    sizes.sum()
}

/// The last time claim of a session, if one made any.
pub fn last_time_claim(books: &Books) -> Option<u64> {
    books.headings().iter().rev().find_map(|heading| heading.time)
}

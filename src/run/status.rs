//! Where a desk stands, for its operator and for a monitor: also when it is halted or its ledger is broken, and also while another writes.
//!
//! A monitor looks when things are bad. What can be read is told, what follows from a ledger that fails its check is not.

use std::collections::BTreeMap;
use std::path::Path;

use crate::clock;
use crate::core::books::Books;
use crate::core::rules::{Checked, Rule};
use crate::ledger::{CheckInput, Health as Checkup, Ledger, Metrics, Tally};

use super::desk::Desk;
use super::halt::read_halt;
use super::problem::{Outcomes, Problem};
use super::startup::founding_charter;

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
    /// Sizes of files, by name.
    pub file_bytes: BTreeMap<String, u64>,
}

impl From<Tally> for Stored {
    fn from(tally: Tally) -> Stored {
        let Tally { events_by_type, records, verdicts, file_bytes, .. } = tally;
        Stored { events_by_type, records, verdicts, file_bytes }
    }
}

/// The check of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Check {
    /// How many checks were made: 0 when the ledger could not be opened.
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
    /// Why it is halted, if it is.
    pub halted: Option<String>,
    /// What stops it.
    pub problem: Option<Problem>,
}

/// Looks at the desk in this folder.
///
/// # Errors
/// `not-found` when there is none; `file-fault` for the halt file. Whatever else is wrong is in the status.
pub fn status(dir: &Path) -> Outcomes<Status> {
    match Desk::open_to_look(dir) {
        Ok(desk) => {
            let (stored, check) = (desk.ledger().tally()?.into(), desk.ledger().metrics().into());
            let halted = desk.halted()?;
            Ok(Status { desk: Some(desk), health: Health::Ok, stored: Some(stored), check, halted, problem: None })
        }
        Err(problem) if problem.fault.rule == Rule::NotFound => Err(problem),
        Err(problem) => Ok(broken(dir, problem, read_halt(dir)?)),
    }
}

/// What can be told of a desk that fails its checks.
fn broken(dir: &Path, problem: Problem, halted: Option<String>) -> Status {
    let mut out = Status { desk: None, health: Health::Unusable, stored: None, check: Check::default(), halted, problem: Some(problem) };
    let Ok(mut ledger) = Ledger::open_read_only(dir) else { return out };
    ledger.measure_with(clock::monotonic_us);
    // The problem is a sentence; the numbers in it are found again.
    if let Ok(Checkup::Corrupted { last_good_seq_no, first_bad_seq_no, kind, .. }) = check_again(&ledger) {
        out.health = Health::Corrupted { last_good: last_good_seq_no, first_bad: first_bad_seq_no, kind: kind.word() };
    }
    out.check = ledger.metrics().into();
    out.stored = ledger.tally().ok().map(Stored::from);
    out
}

fn check_again(ledger: &Ledger) -> Checked<Checkup> {
    // Without a charter there is no key: the chain alone is checked, and no key in it is known.
    let key = founding_charter(ledger).ok().and_then(Result::ok).map(|charter| charter.ledger_public);
    ledger.start_up_check(&CheckInput { ledger_keys: key.as_slice(), deep: false, must_hold: &[] })
}

/// How often each answer was given, by verdict and rule; the rule is empty for accepted papers.
pub fn answers(books: &Books) -> BTreeMap<(&'static str, &'static str), u64> {
    let mut out = BTreeMap::new();
    for ruling in books.sessions().iter().flat_map(|session| &session.rulings) {
        *out.entry((ruling.verdict.word(), ruling.verdict.rule().map_or("", Rule::id))).or_default() += 1;
    }
    out
}

/// The last time claim of a session, if one made any.
pub fn last_time_claim(books: &Books) -> Option<u64> {
    books.sessions().iter().rev().find_map(|session| session.opened.time)
}

//! The start-up check: does the file still hold what was appended? It finds what was done with the triggers out of the way.
//!
//! Everything is computed again in Rust, without the database's functions. What this check alone cannot see is a tail cut off together
//! with everything derived from it: for that the caller names, from the head file, a hash that the chain must hold.
//!
//! **Two walks, one judge.** Ranges of events are walked by all processors (`ranges`). When they find nothing, there is nothing. Whatever
//! they find is only a reason to walk again, on one connection, from event 1, every derived row looked up: what that walk says is the
//! answer. So the first bad event is the same whatever the number of threads. Both walks are the same code (`walk`).
//!
//! Files are read, never mapped into memory: an error of the disk under a mapping would kill the process, and could not be told.

use rusqlite::Connection;

use super::Ledger;
use super::audit::Keys;
use super::ranges::Suspicion;
use super::walk::{Stop, Walk, bad, pages};
use crate::core::rules::{Checked, Fault, Rule};

/// What the check is given.
#[derive(Clone, Copy, Debug)]
pub struct CheckInput<'a> {
    /// Every ledger public key there was, in the order in which they became valid.
    pub ledger_keys: &'a [[u8; 32]],
    /// Whether every signature is verified, not only that of the last event.
    pub deep: bool,
    /// Hashes of events that must be in the chain, as that of `closed` in the head file.
    pub must_hold: &'a [[u8; 32]],
}

/// Whether the ledger holds what was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Ok,
    /// It does not; the caller makes a stop of it.
    Corrupted {
        /// The last event before which nothing is wrong, 0 for none.
        last_good_seq_no: u64,
        /// The first event that is wrong or missing.
        first_bad_seq_no: u64,
        /// What is wrong with it.
        kind: CorruptionKind,
        /// The compared values.
        found: String,
    },
}

/// What can be wrong with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CorruptionKind {
    /// A number is missing or stands where another belongs.
    Number,
    /// A column or the payload beside it is missing or not of its form.
    Unreadable,
    /// The event id does not follow the one before.
    EventId,
    /// The epoch is not the one in force.
    Epoch,
    /// The key is none of the ledger's, or one that was retired before.
    Key,
    /// `prev_event_hash` is not the hash of the event before.
    Link,
    /// `event_hash` is not the hash of the event.
    Hash,
    /// The signature does not verify.
    Signature,
    /// The tables of records, verdicts or payloads are not what the events give.
    Derived,
    /// The chain ends before an event that is known to exist.
    Missing,
    /// SQLite finds its own file damaged.
    Storage,
}

impl CorruptionKind {
    /// Name in reports.
    pub fn word(self) -> &'static str {
        match self {
            CorruptionKind::Number => "number",
            CorruptionKind::Unreadable => "unreadable",
            CorruptionKind::EventId => "event-id",
            CorruptionKind::Epoch => "epoch",
            CorruptionKind::Key => "key",
            CorruptionKind::Link => "link",
            CorruptionKind::Hash => "hash",
            CorruptionKind::Signature => "signature",
            CorruptionKind::Derived => "derived",
            CorruptionKind::Missing => "missing",
            CorruptionKind::Storage => "storage",
        }
    }
}

/// How much of the machine the check may take. What it finds does not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Most threads, each with a connection of its own.
    pub threads: usize,
    /// Fewest events that are worth a thread.
    pub range_events: u64,
}

/// More connections than this gain nothing on one file.
const THREADS_MAX: usize = 8;
/// Opening another connection costs as much as checking a few thousand events.
const RANGE_EVENTS_LEAST: u64 = 8_192;

impl Default for Effort {
    /// Every processor, up to eight, for ledgers that are worth it.
    fn default() -> Effort {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        Effort { threads, range_events: RANGE_EVENTS_LEAST }
    }
}

impl Ledger {
    /// [`Ledger::start_up_check_observed`], which counts it and tells of it.
    pub(super) fn check(&self, input: &CheckInput<'_>, effort: &Effort, observe: &mut dyn FnMut(&'static str)) -> Checked<Health> {
        self.usable()?;
        // One state for all the statements below, whatever another process appends.
        let snapshot = self.db.unchecked_transaction().map_err(|error| self.sqlite_fault("beginning to check", &error))?;
        let keys = Keys::new(input.ledger_keys);
        match self.nothing_found(&snapshot, input, &keys, effort, observe) {
            Ok(()) => return Ok(Health::Ok),
            Err(Suspicion::Disk(error)) => return Err(self.sqlite_fault("checking", &error)),
            Err(Suspicion::Something) => {}
        }
        observe("walk again");
        self.located(&snapshot, input, &keys)
    }

    /// The answer: one walk from event 1, and when something is wrong, one that looks at every signature.
    fn located(&self, snapshot: &Connection, input: &CheckInput<'_>, keys: &Keys) -> Checked<Health> {
        let mut walk = Walk::exact(snapshot, input, keys);
        let outcome = match walk.whole().and_then(|()| pages(snapshot, walk.next())) {
            // Whatever is wrong, hashes may have been computed anew before it: look which signature is the first to be wrong.
            Err(Stop::Bad { seq_no, kind, found }) if !input.deep => {
                walk = Walk::exact(snapshot, &CheckInput { deep: true, ..*input }, keys);
                walk.whole().and_then(|()| bad(seq_no, kind, found))
            }
            outcome => outcome,
        };
        match outcome {
            Ok(()) => Ok(Health::Ok),
            Err(Stop::Bad { seq_no, kind, found }) => {
                Ok(Health::Corrupted { last_good_seq_no: seq_no.saturating_sub(1), first_bad_seq_no: seq_no, kind, found })
            }
            Err(Stop::Sqlite(error)) => match error.sqlite_error_code() {
                Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => Ok(Health::Corrupted {
                    last_good_seq_no: walk.next().saturating_sub(1),
                    first_bad_seq_no: walk.next(),
                    kind: CorruptionKind::Storage,
                    found: format!("{error}; expected no error"),
                }),
                _ => Err(self.sqlite_fault("checking", &error)),
            },
        }
    }
}

impl Health {
    /// The health as a stop: `ChainBroken` with the compared values when it is corrupted.
    ///
    /// # Errors
    /// `chain-broken`.
    pub fn into_checked(self) -> Checked<()> {
        match self {
            Health::Ok => Ok(()),
            Health::Corrupted { last_good_seq_no, first_bad_seq_no, kind, found } => Err(Fault::new(
                Rule::ChainBroken,
                format!("event {first_bad_seq_no}, {}: {found}; the last good event is {last_good_seq_no}", kind.word()),
            )),
        }
    }
}

//! What a check is given, and what it can find: the words that verifying, auditing and comparing share.

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

/// Why a walk ends early.
#[derive(Debug)]
pub(super) enum Stop {
    Bad { seq_no: u64, kind: CorruptionKind, found: String },
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Stop {
        Stop::Sqlite(error)
    }
}

pub(super) fn bad<T>(seq_no: u64, kind: CorruptionKind, found: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Bad { seq_no, kind, found: found.into() })
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

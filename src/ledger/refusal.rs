//! Why the ledger refuses, for a program to match on: the guards' own words become values in one place, beside the schema that says them.

use std::fmt;
use std::ops::Deref;

use crate::core::rules::{Fault, Rule};

/// Why nothing was appended.
///
/// | the seed's `LedgerError` | here |
/// |---|---|
/// | `ChainOrderingViolation` | [`Why::HeadUnexpected`], [`Why::Predecessor`] |
/// | `SequenceViolation`, `DuplicateSequence` | [`Why::Number`]; of a record [`Why::RecordNumber`] |
/// | `DuplicateEventId` | [`Why::DuplicateEventId`]; [`Why::EventId`] for one that is new and does not follow |
/// | `EventNotFound` | no error: `by_seq_no` answers `None` |
/// | `CorruptionDetected` | [`Why::Corrupted`] |
/// | `InvalidEvent` | [`Why::InvalidEvent`] and each guard's own value |
/// | `DatabaseError`, `IoError` | [`Why::Database`], [`Why::File`], and [`Why::Latched`] for everything after it |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Why {
    /// The last event is another than the caller has seen.
    HeadUnexpected,
    /// The number is not the next one.
    Number,
    /// `prev_event_hash` is not the hash of the last event.
    Predecessor,
    /// The event id is in the ledger already, or twice among the events.
    DuplicateEventId,
    /// The event id is new and does not follow the last one.
    EventId,
    /// The writer's epoch is not the one in force.
    Epoch,
    /// Not exactly one of payload and reference.
    PayloadForm,
    /// The reference is to no payload in the ledger, or a stored payload is not what its hash says.
    PayloadReference,
    /// The payload is not deterministic CBOR.
    PayloadCbor,
    /// The signature is not one of the unlocked ledger key.
    Signature,
    /// What is written was to be changed or removed.
    AppendOnly,
    /// The record's number is not the next one.
    RecordNumber,
    /// The ledger head in the record is not the one that the database saw.
    RecordLedgerHead,
    /// The record's epoch goes back.
    RecordEpoch,
    /// The record or the verdict is not that of the last event.
    NotDerived,
    /// The paper has its final verdict already.
    DuplicateVerdict,
    /// The event cannot be hashed or stored: a type, a number or a text that it may not have.
    InvalidEvent,
    /// There was nothing to append.
    NothingToAppend,
    /// The ledger is not unlocked, or was opened to read.
    Locked,
    /// No start-up check has passed in this process.
    Unchecked,
    /// A check in this process found the ledger corrupted.
    Corrupted,
    /// An earlier I/O error in this process.
    Latched,
    /// Another connection holds the database's own lock.
    AnotherWriter,
    /// SQLite failed. The commit may or may not have happened when the ledger is latched.
    Database,
    /// A file of the ledger could not be read.
    File,
    /// After the statement the database does not hold what it must.
    Contradiction,
    /// More was asked for at once than an answer may hold.
    Bounds,
    /// Nobody came to it in the time that the asker had.
    Expired,
    /// Nobody waits for the answer any more.
    Cancelled,
    /// The idempotency key names another request.
    KeyReused,
    /// What came through the broker's socket is no message.
    Message,
    /// Whoever led has ended, and nobody knows whether it was done.
    LeaderLost,
    /// The trail cannot take the request.
    Trail,
}

impl Why {
    /// Every one, in the order above.
    pub const ALL: [Why; 33] = [
        Why::HeadUnexpected,
        Why::Number,
        Why::Predecessor,
        Why::DuplicateEventId,
        Why::EventId,
        Why::Epoch,
        Why::PayloadForm,
        Why::PayloadReference,
        Why::PayloadCbor,
        Why::Signature,
        Why::AppendOnly,
        Why::RecordNumber,
        Why::RecordLedgerHead,
        Why::RecordEpoch,
        Why::NotDerived,
        Why::DuplicateVerdict,
        Why::InvalidEvent,
        Why::NothingToAppend,
        Why::Locked,
        Why::Unchecked,
        Why::Corrupted,
        Why::Latched,
        Why::AnotherWriter,
        Why::Database,
        Why::File,
        Why::Contradiction,
        Why::Bounds,
        Why::Expired,
        Why::Cancelled,
        Why::KeyReused,
        Why::Message,
        Why::LeaderLost,
        Why::Trail,
    ];

    /// Its name in logs and metrics; never changed.
    pub fn word(self) -> &'static str {
        match self {
            Why::HeadUnexpected => "head-unexpected",
            Why::Number => "number-not-next",
            Why::Predecessor => "predecessor-not-last",
            Why::DuplicateEventId => "duplicate-event-id",
            Why::EventId => "event-id-not-next",
            Why::Epoch => "epoch-not-in-force",
            Why::PayloadForm => "payload-form",
            Why::PayloadReference => "payload-reference",
            Why::PayloadCbor => "payload-not-cbor",
            Why::Signature => "signature",
            Why::AppendOnly => "append-only",
            Why::RecordNumber => "record-number-not-next",
            Why::RecordLedgerHead => "record-ledger-head",
            Why::RecordEpoch => "record-epoch",
            Why::NotDerived => "not-derived",
            Why::DuplicateVerdict => "duplicate-verdict",
            Why::InvalidEvent => "invalid-event",
            Why::NothingToAppend => "nothing-to-append",
            Why::Locked => "locked",
            Why::Unchecked => "unchecked",
            Why::Corrupted => "corrupted",
            Why::Latched => "latched",
            Why::AnotherWriter => "another-writer",
            Why::Database => "database",
            Why::File => "file",
            Why::Contradiction => "contradiction",
            Why::Bounds => "bounds",
            Why::Expired => "expired",
            Why::Cancelled => "cancelled",
            Why::KeyReused => "key-reused",
            Why::Message => "message",
            Why::LeaderLost => "leader-lost",
            Why::Trail => "trail",
        }
    }

    /// What a fault of our own, not of a guard, comes from.
    pub(super) fn of_rule(rule: Rule) -> Why {
        match rule {
            Rule::HeadUnexpected => Why::HeadUnexpected,
            Rule::ChainBroken => Why::Corrupted,
            Rule::AnotherWriter => Why::AnotherWriter,
            Rule::FileFault => Why::File,
            Rule::RequestBounds => Why::Bounds,
            Rule::RequestExpired => Why::Expired,
            Rule::RequestCancelled => Why::Cancelled,
            Rule::KeyReused => Why::KeyReused,
            Rule::BrokerMessage => Why::Message,
            Rule::TrailFault => Why::Trail,
            _ => Why::Contradiction,
        }
    }

    /// What an error of SQLite comes from.
    pub(super) fn of_sqlite(error: &rusqlite::Error) -> Why {
        use rusqlite::ErrorCode as Code;
        match error {
            rusqlite::Error::ToSqlConversionFailure(_) => Why::InvalidEvent,
            rusqlite::Error::SqliteFailure(code, Some(said)) if code.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_TRIGGER => {
                GUARDS.iter().find(|(words, _)| words == said).map_or(Why::Database, |(_, why)| *why)
            }
            _ => match error.sqlite_error_code() {
                Some(Code::DatabaseBusy | Code::DatabaseLocked) => Why::AnotherWriter,
                // A function of ours refused its arguments, or a column their type or length.
                Some(Code::ConstraintViolation | Code::Unknown | Code::TooBig | Code::TypeMismatch) => Why::InvalidEvent,
                _ => Why::Database,
            },
        }
    }
}

/// What each guard of `schema.sql` says when it refuses.
const GUARDS: [(&str, Why); 16] = [
    ("seq_no is not the next number", Why::Number),
    ("prev_event_hash is not the hash of the last event", Why::Predecessor),
    ("event_id does not follow the last one", Why::EventId),
    ("writer_epoch is not the epoch in force", Why::Epoch),
    ("exactly one of payload (at most 65536 bytes) and payload_ref is wanted", Why::PayloadForm),
    ("payload_ref is not that of a large payload in the ledger", Why::PayloadReference),
    ("sha256 is not that of the bytes, or they are there already", Why::PayloadReference),
    ("payload is not deterministic CBOR", Why::PayloadCbor),
    ("signature is not that of the unlocked ledger key", Why::Signature),
    ("append-only", Why::AppendOnly),
    ("number of the record is not the next number", Why::RecordNumber),
    ("ledger head in the record is not the event before the last opened", Why::RecordLedgerHead),
    ("writer_epoch of the record goes back", Why::RecordEpoch),
    ("the record is not that of the last event", Why::NotDerived),
    ("the verdict is not that of the last event", Why::NotDerived),
    ("the paper has its final verdict already", Why::DuplicateVerdict),
];

/// A refusal: the reason for a program, and the fault for people. It can be read as its [`Fault`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerError {
    /// Why nothing was appended.
    pub why: Why,
    /// The rule, and the compared values with the database's own words.
    pub fault: Fault,
}

impl LedgerError {
    /// A fault as an error of the ledger, with the reason that its rule has.
    pub fn of(fault: Fault) -> LedgerError {
        LedgerError { why: Why::of_rule(fault.rule), fault }
    }
}

impl Deref for LedgerError {
    type Target = Fault;

    fn deref(&self) -> &Fault {
        &self.fault
    }
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.fault, self.why.word())
    }
}

impl std::error::Error for LedgerError {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_guard_of_the_schema_has_its_reason_and_no_other_words_have_one() {
        let schema = include_str!("schema.sql");
        let said: BTreeSet<&str> = schema.split("RAISE(ABORT, '").skip(1).filter_map(|rest| rest.split('\'').next()).collect();
        assert_eq!(said, GUARDS.iter().map(|(words, _)| *words).collect());
    }

    #[test]
    fn reasons_have_words_of_their_own_for_labels() {
        let words: BTreeSet<&str> = Why::ALL.iter().map(|why| why.word()).collect();
        assert_eq!(words.len(), Why::ALL.len());
        assert!(words.iter().all(|word| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')), "{words:?}");
    }
}

//! What may be asked of the broker, as values: no SQL passes through this door, and what is not in this list cannot be asked from another
//! process.

use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use crate::core::event::Event;
use crate::core::ids::{Hash, Pid};
use crate::core::rules::{Checked, Fault, Rule};
use crate::ledger::NewEvent;

/// Most events in one answer.
pub const ROWS_MAX: u64 = 65_536;
/// Most bytes of payload in one answer, but that one event always fits.
pub const BYTES_MAX: u64 = 4_194_304;

/// Bytes of payload that this process asks for at once when it walks through the ledger: an answer is there twice while it is handed over.
pub(super) const WALK_BYTES: u64 = 1_048_576;

/// A request for something in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Read {
    /// The hash of the last event: [`Answer::Hash`].
    Head,
    /// The last event: [`Answer::Event`].
    Latest,
    /// The event of a number: [`Answer::Event`].
    Event {
        /// Its `seq_no`.
        seq_no: u64,
    },
    /// The hash of the event of a number: [`Answer::Hash`].
    HashAt {
        /// Its `seq_no`.
        seq_no: u64,
    },
    /// Events in their order, up to a bound: [`Answer::Events`]. Fewer than `rows` come when there are no more or when their payloads reach
    /// `bytes`; none only when there is none.
    Events {
        /// The first `seq_no`, at least 1.
        from: u64,
        /// At most [`ROWS_MAX`].
        rows: u64,
        /// At most [`BYTES_MAX`].
        bytes: u64,
    },
    /// Number of the event that made a record: [`Answer::SeqNo`].
    Record {
        /// N.
        number: u64,
    },
    /// Number of the event with the final verdict on a paper: [`Answer::SeqNo`].
    Verdict {
        /// The paper.
        pid: Pid,
    },
}

/// A request that changes the ledger: all of it or nothing, behind the head that the asker has seen.
///
/// The worker compares the head, brings the files in, commits, and writes the head file, in this order. Asked again it applies nothing: events
/// that already stand behind `expected_head` are its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// `event_hash` of the last event; `None` for an empty ledger.
    pub expected_head: Option<[u8; 32]>,
    /// Files that must be in their place before the commit. They are whole and synced; the worker renames them.
    pub bring: Vec<Bring>,
    /// The events.
    pub events: Vec<NewEvent>,
    /// The head file that belongs to the ledger behind them, if it changes.
    pub head_file: Option<String>,
    /// Names this request for ever: the same key with another content is refused.
    pub idempotency_key: Option<String>,
}

/// A file to be renamed, both names below the ledger's folder and on its file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bring {
    /// Where it is, relative to the ledger's folder.
    pub from: PathBuf,
    /// Where it belongs, relative to the ledger's folder.
    pub to: PathBuf,
}

/// What a request is answered with when it is not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Of [`Read::Head`] and [`Read::HashAt`]; `None` when there is no such event.
    Hash(Option<[u8; 32]>),
    /// Of [`Read::Latest`] and [`Read::Event`]; `None` when there is none.
    Event(Option<Box<Event>>),
    /// Of [`Read::Events`].
    Events(Vec<Event>),
    /// Of [`Read::Record`] and [`Read::Verdict`]; `None` when there is none.
    SeqNo(Option<u64>),
    /// Of an [`Append`]: `event_hash` of the last event that it appended.
    Appended([u8; 32]),
}

/// What is asked, as the trail names it.
pub(super) struct Call {
    pub(super) word: &'static str,
    pub(super) key: String,
    pub(super) is_write: bool,
    pub(super) affected: String,
}

impl Call {
    /// One that changes nothing.
    pub(super) fn of(word: &'static str, key: impl Into<String>) -> Call {
        Call { word, key: key.into(), is_write: false, affected: String::new() }
    }
}

impl Read {
    /// Its name in the trail.
    pub fn word(&self) -> &'static str {
        match self {
            Read::Head => "head",
            Read::Latest => "latest",
            Read::Event { .. } => "event",
            Read::HashAt { .. } => "hash-at",
            Read::Events { .. } => "events",
            Read::Record { .. } => "record",
            Read::Verdict { .. } => "verdict",
        }
    }

    /// What it asks for, for the trail and to know an identical one: equal requests have equal keys, and no others.
    pub fn key(&self) -> String {
        match self {
            Read::Head | Read::Latest => String::new(),
            Read::Event { seq_no } | Read::HashAt { seq_no } => seq_no.to_string(),
            Read::Events { from, rows, bytes } => format!("from {from}, {rows} rows, {bytes} bytes"),
            Read::Record { number } => number.to_string(),
            Read::Verdict { pid } => pid.hex(),
        }
    }

    /// Whether it keeps the bounds.
    ///
    /// # Errors
    /// `request-bounds` with both values.
    pub fn check(&self) -> Checked<()> {
        let Read::Events { from, rows, bytes } = self else { return Ok(()) };
        let refuse = |what: String| Err(Fault::new(Rule::RequestBounds, what));
        match () {
            () if *from == 0 => refuse("events from 0 asked for; from 1 or later expected".into()),
            () if !(1..=ROWS_MAX).contains(rows) => refuse(format!("{rows} events asked for at once; 1 to {ROWS_MAX} expected")),
            () if !(1..=BYTES_MAX).contains(bytes) => refuse(format!("{bytes} bytes asked for at once; 1 to {BYTES_MAX} expected")),
            () => Ok(()),
        }
    }
}

impl Append {
    /// SHA-256 over everything that it asks for, but where files lie before: under one idempotency key there is one such value.
    pub fn digest(&self) -> Hash {
        let mut w = crate::core::cbor::Writer::new();
        w.bytes(self.expected_head.as_ref().map_or(&[], |head| head.as_slice())).array(self.events.len());
        for event in &self.events {
            w.array(4).text(&event.event_id).uint(event.timestamp).text(event.event_type.as_str()).bytes(&event.payload);
        }
        w.text(self.head_file.as_deref().unwrap_or_default()).array(self.bring.len());
        for Bring { to, .. } in &self.bring {
            w.bytes(to.as_os_str().as_bytes());
        }
        Hash::of(&w.finish())
    }

    /// As it stands in the trail.
    pub(super) fn call(&self) -> Call {
        let behind = self.expected_head.map_or("no event".into(), |head| format!("event {}", hex::encode(&head[..8])));
        Call { word: "append", key: format!("behind {behind}"), is_write: true, affected: self.affected() }
    }

    /// What it changes, for the trail: the ids of its events.
    pub fn affected(&self) -> String {
        match self.events.as_slice() {
            [] => String::new(),
            [only] => only.event_id.clone(),
            [first, .., last] => format!("{}..{}", first.event_id, last.event_id),
        }
    }
}

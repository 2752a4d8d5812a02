//! The start-up check: does the file still hold what was appended? It finds what was done with the triggers out of the way.
//!
//! Everything is computed again in Rust, without the database's functions. What this check alone cannot see is a tail cut off together
//! with everything derived from it: for that the caller names, from the head file, a hash that the chain must hold.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::read::{SELECT_EVENTS, event_of_row};
use super::{Ledger, Uint};
use crate::core::event::{Event, EventType, PAYLOAD_INLINE_BYTES_MAX, RecordHead, derived, event_id_follows, signature_holds};
use crate::core::ids::{Hash, Kid, kid_of};
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

/// Why a walk ends early.
enum Stop {
    Bad { seq_no: u64, kind: CorruptionKind, found: String },
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Stop {
        Stop::Sqlite(error)
    }
}

fn bad<T>(seq_no: u64, kind: CorruptionKind, found: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Bad { seq_no, kind, found: found.into() })
}

impl Ledger {
    /// [`Ledger::start_up_check`], which counts it and tells of it.
    pub(super) fn check(&self, input: &CheckInput<'_>) -> Checked<Health> {
        self.usable()?;
        // One state for all the statements below, whatever another process appends.
        let snapshot = self.db.unchecked_transaction().map_err(|error| self.sqlite_fault("beginning to check", &error))?;
        let mut walk = Walk::new(&snapshot, input);
        let outcome = match walk.all() {
            // Whatever is wrong, hashes may have been computed anew before it: look which signature is the first to be wrong.
            Err(Stop::Bad { seq_no, kind, found }) if !input.deep => {
                walk = Walk::new(&snapshot, &CheckInput { deep: true, ..*input });
                walk.all().and_then(|()| bad(seq_no, kind, found))
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
                    last_good_seq_no: walk.tip.seq_no,
                    first_bad_seq_no: walk.tip.seq_no + 1,
                    kind: CorruptionKind::Storage,
                    found: format!("{error}; expected no error"),
                }),
                _ => Err(self.sqlite_fault("checking", &error)),
            },
        }
    }
}

/// The last event walked over, as far as the next one depends on it.
#[derive(Default)]
struct Tip {
    seq_no: u64,
    event_id: Option<String>,
    hash: [u8; 32],
    signature: Option<[u8; 64]>,
    key_index: usize,
}

struct Walk<'a> {
    db: &'a Connection,
    input: CheckInput<'a>,
    kids: Vec<Kid>,
    tip: Tip,
    /// Whether event 1 belongs to session 0: a Common, whose records hold the ledger's head (SPEC 4.4).
    common: bool,
    /// `prev_event_hash` of the last `opened`.
    opened: Option<[u8; 32]>,
    epoch: u64,
    records: u64,
    verdicts: u64,
    large: BTreeSet<Hash>,
    missing: BTreeSet<[u8; 32]>,
}

impl<'a> Walk<'a> {
    fn new(db: &'a Connection, input: &CheckInput<'a>) -> Walk<'a> {
        Walk {
            db,
            input: *input,
            kids: input.ledger_keys.iter().map(kid_of).collect(),
            tip: Tip::default(),
            common: false,
            opened: None,
            epoch: 1,
            records: 0,
            verdicts: 0,
            large: BTreeSet::new(),
            missing: input.must_hold.iter().copied().collect(),
        }
    }

    fn all(&mut self) -> Result<(), Stop> {
        let db = self.db;
        let mut statement = db.prepare(&format!("{SELECT_EVENTS} ORDER BY e.seq_no"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let expected = self.tip.seq_no + 1;
            let seq_no: i64 = row.get(0)?;
            if u64::try_from(seq_no) != Ok(expected) {
                return bad(expected, CorruptionKind::Number, format!("event {seq_no} found; event {expected} expected"));
            }
            match event_of_row(row) {
                Ok(event) => self.event(&event)?,
                Err(fault) => return bad(expected, CorruptionKind::Unreadable, fault.found),
            }
        }
        drop(rows);
        self.end()
    }

    fn event(&mut self, event: &Event) -> Result<(), Stop> {
        let seq_no = event.seq_no;
        if !event_id_follows(self.tip.event_id.as_deref(), &event.event_id) {
            let found = format!("event id {:?} found behind {:?}", event.event_id, self.tip.event_id.as_deref().unwrap_or("none"));
            return bad(seq_no, CorruptionKind::EventId, found);
        }
        if event.writer_epoch != self.epoch {
            return bad(seq_no, CorruptionKind::Epoch, format!("epoch {} found; {} expected", event.writer_epoch, self.epoch));
        }
        if event.prev_event_hash != self.tip.hash {
            let found = format!("previous hash {} found; {} expected", hex::encode(event.prev_event_hash), hex::encode(self.tip.hash));
            return bad(seq_no, CorruptionKind::Link, found);
        }
        // Keys follow one another: an event under a key that an earlier event left behind is none of ours.
        let known = self.kids.iter().skip(self.tip.key_index).position(|kid| *kid == event.public_key_id);
        let Some(key_index) = known.map(|behind| behind + self.tip.key_index) else {
            let expected = self.kids.get(self.tip.key_index).map_or("none".to_owned(), Hash::hex);
            return bad(seq_no, CorruptionKind::Key, format!("key {} found; {expected} or a later one expected", event.public_key_id));
        };
        let hash = event.hash_again();
        if event.event_hash != hash {
            let found = format!("hash {} found; {} expected", hex::encode(event.event_hash), hex::encode(hash));
            return bad(seq_no, CorruptionKind::Hash, found);
        }
        self.tip = Tip { seq_no, event_id: Some(event.event_id.clone()), hash, signature: Some(event.signature), key_index };
        if self.input.deep {
            self.signature()?;
        }
        self.missing.remove(&hash);
        self.derived(event)
    }

    /// The signature of the event at the tip.
    fn signature(&self) -> Result<(), Stop> {
        let Some(signature) = &self.tip.signature else { return Ok(()) };
        let holds = self.input.ledger_keys.get(self.tip.key_index).is_some_and(|key| signature_holds(key, &self.tip.hash, signature));
        if holds {
            return Ok(());
        }
        let kid = self.kids.get(self.tip.key_index).map_or("none".to_owned(), Hash::hex);
        let found =
            format!("signature {} over {} found; one by key {kid} expected", hex::encode(&signature[..8]), hex::encode(self.tip.hash));
        bad(self.tip.seq_no, CorruptionKind::Signature, found)
    }

    fn derived(&mut self, event: &Event) -> Result<(), Stop> {
        if event.seq_no == 1 {
            self.common = event.event_id == "0/0";
        }
        if event.event_type == EventType::Opened {
            self.opened = Some(event.prev_event_hash);
        }
        if event.payload.len() > PAYLOAD_INLINE_BYTES_MAX {
            self.large.insert(Hash::of(&event.payload));
        }
        let (records, pids) = match derived(event.event_type, &event.payload) {
            Ok(derived) => derived,
            Err(fault) => return bad(event.seq_no, CorruptionKind::Unreadable, fault.found),
        };
        for pid in pids {
            self.verdicts += 1;
            let mut statement = self.db.prepare_cached("SELECT seq_no FROM verdicts WHERE pid = ?1")?;
            let found: Option<i64> = statement.query_row([pid.0], |row| row.get(0)).optional()?;
            if found != i64::try_from(event.seq_no).ok() {
                let found = found.map_or("no verdict".to_owned(), |seq_no| format!("verdict by event {seq_no}"));
                return bad(
                    event.seq_no,
                    CorruptionKind::Derived,
                    format!("{found} on paper {pid} found; by event {} expected", event.seq_no),
                );
            }
        }
        records.iter().try_for_each(|record| self.record(event, record))
    }

    fn record(&mut self, event: &Event, record: &RecordHead) -> Result<(), Stop> {
        self.records += 1;
        self.epoch = record.writer_epoch.unwrap_or(self.epoch);
        if record.number != self.records {
            let found = format!("record {} found; {} expected", record.number, self.records);
            return bad(event.seq_no, CorruptionKind::Derived, found);
        }
        let expected = if self.common { self.opened } else { Some([0; 32]) };
        if event.event_type == EventType::Verdict && Some(record.ledger_head) != expected {
            let expected = expected.map_or("an opened event".to_owned(), hex::encode);
            let found = format!("ledger head {} in record {} found; {expected} expected", hex::encode(record.ledger_head), record.number);
            return bad(event.seq_no, CorruptionKind::Derived, found);
        }
        let text = "SELECT count(*) FROM records WHERE number = ?1 AND seq_no = ?2 AND pid = ?3 AND ledger_head = ?4 AND session = ?5
          AND writer_epoch = ?6";
        let row =
            params![Uint(record.number), Uint(event.seq_no), record.pid.0, record.ledger_head, Uint(record.session), Uint(self.epoch)];
        let found: i64 = self.db.prepare_cached(text)?.query_row(row, |row| row.get(0))?;
        if found == 1 {
            return Ok(());
        }
        bad(
            event.seq_no,
            CorruptionKind::Derived,
            format!("{found} rows of record {} as the event gives it found; 1 expected", record.number),
        )
    }

    fn end(&self) -> Result<(), Stop> {
        let next = self.tip.seq_no + 1;
        self.signature()?;
        if let Some(hash) = self.missing.first() {
            let found = format!("the last event found is {}; event {} expected", self.tip.seq_no, hex::encode(hash));
            return bad(next, CorruptionKind::Missing, found);
        }
        let tables = [("records", self.records), ("verdicts", self.verdicts), ("payloads", self.large.len() as u64)];
        for (table, expected) in tables {
            let Uint(found) = self.db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
            if found != expected {
                return bad(next, CorruptionKind::Derived, format!("{found} rows in {table} found; {expected} expected"));
            }
        }
        let pages: String = self.db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if pages == "ok" { Ok(()) } else { bad(next, CorruptionKind::Storage, format!("quick_check found {pages:?}; \"ok\" expected")) }
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

//! The walk over events, from one number to another: every check there is, each made here and nowhere else.
//!
//! It owns what an event is compared with: the one before, and what all before it led to (a [`Standing`]). It never decides what becomes of
//! a fault, and keeps no more of the history in memory than the hashes of large payloads.

use std::collections::BTreeSet;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Row, Rows};

use super::Uint;
use super::audit::{Batch, Keys, Signed, strictly};
use super::decided::Sum;
use super::finding::{CheckInput, CorruptionKind, Stop, bad};
use super::read::{EventRow, SELECT_EVENTS};
use crate::core::event::{Derived, EventHasher, EventType, RecordHead, derived, place_follows, split_event_id};
use crate::core::ids::{Hash, Pid};

/// What the event behind it depends on: the last event, and what all events up to it led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) seq_no: u64,
    /// Session and index of its event id.
    pub(super) place: Option<(u64, u64)>,
    pub(super) hash: [u8; 32],
    /// Place of its key among the ledger's keys.
    pub(super) key: usize,
    /// Whether event 1 belongs to session 0: a Common, whose records hold the ledger's head (SPEC 4.4).
    pub(super) common: bool,
    /// `prev_event_hash` of the last `opened`.
    pub(super) opened: Option<[u8; 32]>,
    /// The epoch in force.
    pub(super) epoch: u64,
    /// How many records there are.
    pub(super) records: u64,
}

impl Standing {
    /// Before event 1.
    pub(super) fn at_the_beginning() -> Standing {
        Standing { seq_no: 0, place: None, hash: [0; 32], key: 0, common: false, opened: None, epoch: 1, records: 0 }
    }
}

/// How the table of verdicts is compared.
enum Verdicts {
    /// Each row looked up: slow, and names the first that differs.
    LookedUp { rows: u64 },
    /// As one sum over all, compared by the caller with that of the table.
    Summed(Sum),
}

pub(super) struct Walk<'a> {
    db: &'a Connection,
    keys: &'a Keys,
    deep: bool,
    standing: Standing,
    last: Option<Signed>,
    hasher: EventHasher,
    batch: Batch<'a>,
    verdicts: Verdicts,
    large: BTreeSet<Hash>,
    missing: BTreeSet<[u8; 32]>,
}

/// What a walk over a range leaves to be compared with the other ranges and with the tables.
#[derive(Clone)]
pub(super) struct Walked {
    pub(super) standing: Standing,
    pub(super) last: Option<Signed>,
    pub(super) verdicts: Sum,
    /// Payloads that stand beside their events.
    pub(super) large: BTreeSet<Hash>,
    /// Hashes that must be somewhere, and are not in this range.
    pub(super) missing: BTreeSet<[u8; 32]>,
}

impl<'a> Walk<'a> {
    /// A walk over everything that names the first event that is wrong.
    pub(super) fn exact(db: &'a Connection, input: &CheckInput<'_>, keys: &'a Keys) -> Walk<'a> {
        Walk::from(db, input, keys, Standing::at_the_beginning(), Verdicts::LookedUp { rows: 0 })
    }

    /// A walk behind `standing`, its verdicts summed on `sum`.
    pub(super) fn behind(db: &'a Connection, input: &CheckInput<'_>, keys: &'a Keys, standing: Standing, sum: Sum) -> Walk<'a> {
        Walk::from(db, input, keys, standing, Verdicts::Summed(sum))
    }

    fn from(db: &'a Connection, input: &CheckInput<'_>, keys: &'a Keys, standing: Standing, verdicts: Verdicts) -> Walk<'a> {
        Walk {
            db,
            keys,
            deep: input.deep,
            standing,
            last: None,
            hasher: EventHasher::new(),
            batch: Batch::new(keys),
            verdicts,
            large: BTreeSet::new(),
            missing: input.must_hold.iter().copied().collect(),
        }
    }

    /// Number of the event that comes next.
    pub(super) fn next(&self) -> u64 {
        self.standing.seq_no + 1
    }

    /// Walks over every event, and then compares what is only known at the end.
    pub(super) fn whole(&mut self) -> Result<(), Stop> {
        self.events(i64::MIN, i64::MAX)?;
        if let Some(last) = &self.last {
            strictly(self.keys, last)?;
        }
        must_be_nowhere(&self.missing, self.standing.seq_no)?;
        let Verdicts::LookedUp { rows } = self.verdicts else { return Ok(()) };
        count(self.db, self.next(), "records", self.standing.records)?;
        count(self.db, self.next(), "verdicts", rows)?;
        count(self.db, self.next(), "payloads", self.large.len() as u64)
    }

    /// Walks from the event behind the standing to event `last`, which must be there.
    pub(super) fn up_to(mut self, first: i64, last: u64) -> Result<Walked, Stop> {
        self.events(first, i64::try_from(last).unwrap_or(i64::MAX))?;
        if self.standing.seq_no != last {
            return bad(
                self.next(),
                CorruptionKind::Number,
                format!("event {} found to be the last; {last} expected", self.standing.seq_no),
            );
        }
        let verdicts = match self.verdicts {
            Verdicts::Summed(sum) => sum,
            Verdicts::LookedUp { .. } => Sum::keyed([0; 32]),
        };
        Ok(Walked { standing: self.standing, last: self.last, verdicts, large: self.large, missing: self.missing })
    }

    fn events(&mut self, first: i64, last: i64) -> Result<(), Stop> {
        let outcome = self.rows(first, last);
        // A signature that waits belongs to an event before the one that stopped us: what is wrong with it comes first.
        self.batch.verify().and(outcome)
    }

    fn rows(&mut self, first: i64, last: i64) -> Result<(), Stop> {
        let db = self.db;
        let mut statement = db.prepare_cached(&format!("{SELECT_EVENTS} WHERE e.seq_no BETWEEN ?1 AND ?2 ORDER BY e.seq_no"))?;
        let mut rows = statement.query([first, last])?;
        // In the order of their numbers, which is that of the events: one walk beside the other, no row looked up.
        let text = "SELECT number, seq_no, pid, ledger_head, session, writer_epoch FROM records WHERE number > ?1 ORDER BY number";
        let mut records = db.prepare_cached(text)?;
        let mut records = records.query([Uint(self.standing.records)])?;
        while let Some(row) = rows.next()? {
            let expected = self.next();
            let seq_no: i64 = row.get(0)?;
            if u64::try_from(seq_no) != Ok(expected) {
                return bad(expected, CorruptionKind::Number, format!("event {seq_no} found; event {expected} expected"));
            }
            match EventRow::numbered(expected, row) {
                Ok(event) => self.event(&event, &mut records)?,
                Err(fault) => return bad(expected, CorruptionKind::Unreadable, fault.found),
            }
        }
        Ok(())
    }

    fn event(&mut self, event: &EventRow<'_>, records: &mut Rows<'_>) -> Result<(), Stop> {
        let (seq_no, before) = (event.seq_no, &self.standing);
        let place = split_event_id(event.event_id).filter(|&place| place_follows(before.place, place));
        if place.is_none() {
            let before = before.place.map_or("none".to_owned(), |(session, index)| format!("{session}/{index}"));
            return bad(seq_no, CorruptionKind::EventId, format!("event id {:?} found behind {before:?}", event.event_id));
        }
        if event.writer_epoch != before.epoch {
            return bad(seq_no, CorruptionKind::Epoch, format!("epoch {} found; {} expected", event.writer_epoch, before.epoch));
        }
        if *event.prev_event_hash != before.hash {
            let found = format!("previous hash {} found; {} expected", hex::encode(event.prev_event_hash), hex::encode(before.hash));
            return bad(seq_no, CorruptionKind::Link, found);
        }
        let Some(key) = self.keys.place(&event.public_key_id, before.key) else {
            let expected = self.keys.word(before.key);
            return bad(seq_no, CorruptionKind::Key, format!("key {} found; {expected} or a later one expected", event.public_key_id));
        };
        let hash = self.hasher.hash(&event.parts());
        if *event.event_hash != hash {
            let found = format!("hash {} found; {} expected", hex::encode(event.event_hash), hex::encode(hash));
            return bad(seq_no, CorruptionKind::Hash, found);
        }
        let signed = Signed { seq_no, hash, signature: *event.signature, place: key };
        self.last = Some(signed);
        let standing = &mut self.standing;
        (standing.seq_no, standing.place, standing.hash, standing.key) = (seq_no, place, hash, key);
        if self.deep {
            self.batch.push(signed)?;
        }
        if !self.missing.is_empty() {
            self.missing.remove(&hash);
        }
        self.derived(event, records)
    }

    fn derived(&mut self, event: &EventRow<'_>, rows: &mut Rows<'_>) -> Result<(), Stop> {
        if event.seq_no == 1 {
            self.standing.common = event.event_id == "0/0";
        }
        if event.event_type == EventType::Opened {
            self.standing.opened = Some(*event.prev_event_hash);
        }
        self.large.extend(event.large());
        match derived(event.event_type, event.payload) {
            Ok(Derived::Nothing) => Ok(()),
            Ok(Derived::Verdict(found)) => {
                self.verdict(event.seq_no, &found.pid)?;
                found.record.iter().try_for_each(|record| self.record(event, record, rows))
            }
            Ok(Derived::Adopted(records)) => {
                records.iter().try_for_each(|record| self.verdict(event.seq_no, &record.pid))?;
                records.iter().try_for_each(|record| self.record(event, record, rows))
            }
            Err(fault) => bad(event.seq_no, CorruptionKind::Unreadable, fault.found),
        }
    }

    fn verdict(&mut self, seq_no: u64, pid: &Pid) -> Result<(), Stop> {
        let rows = match &mut self.verdicts {
            Verdicts::Summed(sum) => {
                sum.add(&pid.0, seq_no);
                return Ok(());
            }
            Verdicts::LookedUp { rows } => rows,
        };
        *rows += 1;
        let mut statement = self.db.prepare_cached("SELECT seq_no FROM verdicts WHERE pid = ?1")?;
        let found: Option<i64> = statement.query_row([pid.0], |row| Ok(row.get_ref(0)?.as_i64().ok())).optional()?.flatten();
        if found == i64::try_from(seq_no).ok() {
            return Ok(());
        }
        let found = found.map_or("no verdict".to_owned(), |by| format!("verdict by event {by}"));
        bad(seq_no, CorruptionKind::Derived, format!("{found} on paper {pid} found; by event {seq_no} expected"))
    }

    fn record(&mut self, event: &EventRow<'_>, record: &RecordHead, rows: &mut Rows<'_>) -> Result<(), Stop> {
        let standing = &mut self.standing;
        standing.records += 1;
        standing.epoch = record.writer_epoch.unwrap_or(standing.epoch);
        if record.number != standing.records {
            let found = format!("record {} found; {} expected", record.number, standing.records);
            return bad(event.seq_no, CorruptionKind::Derived, found);
        }
        let expected = if standing.common { standing.opened } else { Some([0; 32]) };
        if event.event_type == EventType::Verdict && Some(record.ledger_head) != expected {
            let expected = expected.map_or("an opened event".to_owned(), hex::encode);
            let found = format!("ledger head {} in record {} found; {expected} expected", hex::encode(record.ledger_head), record.number);
            return bad(event.seq_no, CorruptionKind::Derived, found);
        }
        if rows.next()?.is_some_and(|row| is_row_of(row, event.seq_no, record, standing.epoch)) {
            return Ok(());
        }
        let found = format!("no row of record {} as the event gives it found; 1 expected", record.number);
        bad(event.seq_no, CorruptionKind::Derived, found)
    }
}

/// Whether a row of `records` is the one that the event gives: each column, of its own type.
fn is_row_of(row: &Row<'_>, seq_no: u64, record: &RecordHead, epoch: u64) -> bool {
    let uint = |index, expected: u64| matches!(row.get_ref(index), Ok(ValueRef::Integer(value)) if u64::try_from(value) == Ok(expected));
    let blob = |index, expected: &[u8; 32]| matches!(row.get_ref(index), Ok(ValueRef::Blob(bytes)) if bytes == expected);
    uint(0, record.number)
        && uint(1, seq_no)
        && blob(2, &record.pid.0)
        && blob(3, &record.ledger_head)
        && uint(4, record.session)
        && uint(5, epoch)
}

/// Nothing is missing that must be in the chain, whose last event is `seq_no`.
pub(super) fn must_be_nowhere(missing: &BTreeSet<[u8; 32]>, seq_no: u64) -> Result<(), Stop> {
    let Some(hash) = missing.first() else { return Ok(()) };
    let found = format!("the last event found is {seq_no}; event {} expected", hex::encode(hash));
    bad(seq_no + 1, CorruptionKind::Missing, found)
}

/// A derived table has as many rows as the events gave.
pub(super) fn count(db: &Connection, next: u64, table: &str, expected: u64) -> Result<(), Stop> {
    let Uint(found) = db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
    if found == expected {
        return Ok(());
    }
    bad(next, CorruptionKind::Derived, format!("{found} rows in {table} found; {expected} expected"))
}

/// SQLite's own look at its pages.
pub(super) fn pages(db: &Connection, next: u64) -> Result<(), Stop> {
    let pages: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if pages == "ok" { Ok(()) } else { bad(next, CorruptionKind::Storage, format!("quick_check found {pages:?}; \"ok\" expected")) }
}

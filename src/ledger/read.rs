//! Reading events back, in order and by number.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{Ledger, Uint};
use crate::core::event::{Event, EventParts, EventType, PAYLOAD_INLINE_BYTES_MAX, PayloadForm, read_payload_ref};
use crate::core::ids::{Hash, Pid};
use crate::core::rules::{Checked, Fault, Rule};

/// The columns of [`EventRow::read`], large payloads joined in.
pub(super) const SELECT_EVENTS: &str = "SELECT e.seq_no, e.event_id, e.timestamp, e.event_type, e.payload, e.payload_ref,
  CASE WHEN e.payload_ref IS NOT NULL THEN (SELECT p.bytes FROM payloads p WHERE p.sha256 = substr(e.payload_ref, 4, 32)) END,
  e.prev_event_hash, e.event_hash, e.signature, e.public_key_id, e.writer_epoch FROM events e";

pub(super) fn head_hash(db: &Connection) -> rusqlite::Result<Option<[u8; 32]>> {
    db.prepare_cached("SELECT event_hash FROM events ORDER BY seq_no DESC LIMIT 1")?.query_row([], |row| row.get(0)).optional()
}

/// A row of `events` as SQLite holds it, the payload whole: nothing is copied before somebody wants to keep it.
#[derive(Clone, Copy, Debug)]
pub struct EventRow<'a> {
    /// See [`Event::seq_no`].
    pub seq_no: u64,
    /// See [`Event::event_id`].
    pub event_id: &'a str,
    /// See [`Event::timestamp`].
    pub timestamp: u64,
    /// See [`Event::event_type`].
    pub event_type: EventType,
    /// See [`Event::payload`].
    pub payload: &'a [u8],
    /// See [`Event::prev_event_hash`].
    pub prev_event_hash: &'a [u8; 32],
    /// See [`Event::event_hash`].
    pub event_hash: &'a [u8; 32],
    /// See [`Event::signature`].
    pub signature: &'a [u8; 64],
    /// See [`Event::public_key_id`].
    pub public_key_id: Hash,
    /// See [`Event::writer_epoch`].
    pub writer_epoch: u64,
    /// SHA-256 and length of a payload that stands beside the row, found to be those of its bytes.
    reference: Option<Reference>,
}

impl<'a> EventRow<'a> {
    /// Reads the columns of [`SELECT_EVENTS`], each of the one form it may have. That the hash fits is for the start-up check to say.
    pub(super) fn read(row: &'a Row<'_>) -> Checked<EventRow<'a>> {
        EventRow::numbered(uint(row, 0, "seq_no")?, row)
    }

    /// [`EventRow::read`] of a row whose number is known.
    pub(super) fn numbered(seq_no: u64, row: &'a Row<'_>) -> Checked<EventRow<'a>> {
        let (payload, reference) = payload(row, seq_no)?;
        Ok(EventRow {
            seq_no,
            event_id: text(row, 1, "event_id")?,
            timestamp: uint(row, 2, "timestamp")?,
            event_type: text(row, 3, "event_type")?.parse()?,
            payload,
            prev_event_hash: blob_of(row, 7, "prev_event_hash")?,
            event_hash: blob_of(row, 8, "event_hash")?,
            signature: blob_of(row, 9, "signature")?,
            public_key_id: Hash(*blob_of(row, 10, "public_key_id")?),
            writer_epoch: uint(row, 11, "writer_epoch")?,
            reference,
        })
    }

    /// What the hash of this event covers.
    pub fn parts(&self) -> EventParts<'_> {
        EventParts {
            seq_no: self.seq_no,
            event_id: self.event_id,
            timestamp: self.timestamp,
            event_type: self.event_type,
            payload: match self.reference {
                Some((sha256, length)) => PayloadForm::Ref { sha256, length },
                None => PayloadForm::Bytes(self.payload),
            },
            prev_event_hash: self.prev_event_hash,
            public_key_id: &self.public_key_id,
            writer_epoch: self.writer_epoch,
        }
    }

    /// SHA-256 of a payload that stands beside the row.
    pub(super) fn large(&self) -> Option<Hash> {
        self.reference.map(|(sha256, _)| sha256)
    }

    /// The event, to keep.
    pub fn to_event(&self) -> Event {
        Event {
            seq_no: self.seq_no,
            event_id: self.event_id.to_owned(),
            timestamp: self.timestamp,
            event_type: self.event_type,
            payload: self.payload.to_owned(),
            prev_event_hash: *self.prev_event_hash,
            event_hash: *self.event_hash,
            signature: *self.signature,
            public_key_id: self.public_key_id,
            writer_epoch: self.writer_epoch,
        }
    }
}

/// The event of a row, to keep.
pub(super) fn event_of_row(row: &Row<'_>) -> Checked<Event> {
    Ok(EventRow::read(row)?.to_event())
}

/// SHA-256 and length of a payload that stands beside its row.
type Reference = (Hash, u64);

/// The payload of a row, in its own column or beside it, and the reference to the latter.
fn payload<'a>(row: &'a Row<'_>, seq_no: u64) -> Checked<(&'a [u8], Option<Reference>)> {
    let reference = match (optional_blob(row, 4, "payload")?, optional_blob(row, 5, "payload_ref")?) {
        (Some(payload), None) if payload.len() <= PAYLOAD_INLINE_BYTES_MAX => return Ok((payload, None)),
        (Some(payload), None) => {
            let found =
                format!("event {seq_no}: payload of {} bytes found in the row; at most {PAYLOAD_INLINE_BYTES_MAX} expected", payload.len());
            return Err(Fault::new(Rule::LedgerFault, found));
        }
        (None, Some(reference)) => reference,
        (inline, _) => {
            let found = if inline.is_some() { "payload and payload_ref" } else { "neither payload nor payload_ref" };
            return Err(Fault::new(Rule::LedgerFault, format!("event {seq_no}: {found} found; exactly one expected")));
        }
    };
    let (sha256, length) = read_payload_ref(reference)?;
    let expected = format!("{sha256} of {length} bytes, more than {PAYLOAD_INLINE_BYTES_MAX}, expected");
    let Some(bytes) = optional_blob(row, 6, "payload")? else {
        return Err(Fault::new(Rule::LedgerFault, format!("event {seq_no}: no payload found; {expected}")));
    };
    let found = Hash::of(bytes);
    if bytes.len() as u64 == length && found == sha256 && bytes.len() > PAYLOAD_INLINE_BYTES_MAX {
        return Ok((bytes, Some((sha256, length))));
    }
    Err(Fault::new(Rule::LedgerFault, format!("event {seq_no}: payload {found} of {} bytes found; {expected}", bytes.len())))
}

fn wrong(row: &Row<'_>, index: usize, name: &str, expected: &str) -> Fault {
    let seq_no = row.get::<_, i64>(0).unwrap_or_default();
    let found = match row.get_ref(index) {
        Ok(ValueRef::Integer(value)) => format!("{value}"),
        Ok(ValueRef::Blob(bytes)) => format!("a blob of {} bytes", bytes.len()),
        Ok(other) => other.data_type().to_string().to_lowercase(),
        Err(error) => error.to_string(),
    };
    Fault::new(Rule::LedgerFault, format!("event {seq_no}: {name} is {found}; {expected} expected"))
}

fn uint(row: &Row<'_>, index: usize, name: &str) -> Checked<u64> {
    match row.get_ref(index) {
        Ok(ValueRef::Integer(value)) if value >= 0 => Ok(value.unsigned_abs()),
        _ => Err(wrong(row, index, name, "an integer from 0")),
    }
}

fn text<'a>(row: &'a Row<'_>, index: usize, name: &str) -> Checked<&'a str> {
    match row.get_ref(index) {
        Ok(ValueRef::Text(bytes)) => std::str::from_utf8(bytes).map_err(|_| wrong(row, index, name, "a text in UTF-8")),
        _ => Err(wrong(row, index, name, "a text")),
    }
}

fn optional_blob<'a>(row: &'a Row<'_>, index: usize, name: &str) -> Checked<Option<&'a [u8]>> {
    match row.get_ref(index) {
        Ok(ValueRef::Blob(bytes)) => Ok(Some(bytes)),
        Ok(ValueRef::Null) => Ok(None),
        _ => Err(wrong(row, index, name, "a blob or NULL")),
    }
}

fn blob_of<'a, const N: usize>(row: &'a Row<'_>, index: usize, name: &str) -> Checked<&'a [u8; N]> {
    let found = match row.get_ref(index) {
        Ok(ValueRef::Blob(bytes)) => bytes.try_into().ok(),
        _ => None,
    };
    found.ok_or_else(|| wrong(row, index, name, &format!("a blob of {N} bytes")))
}

impl Ledger {
    /// The `event_hash` of the last event; `None` while there is none.
    ///
    /// # Errors
    /// `ledger-fault`.
    pub fn head(&self) -> Checked<Option<[u8; 32]>> {
        self.usable()?;
        head_hash(&self.db).map_err(|error| self.sqlite_fault("reading the head", &error))
    }

    /// The last event; `None` while there is none.
    ///
    /// # Errors
    /// `ledger-fault`.
    pub fn latest(&self) -> Checked<Option<Event>> {
        self.one(&format!("{SELECT_EVENTS} ORDER BY e.seq_no DESC LIMIT 1"), [])
    }

    /// The event with this number, if there is one.
    ///
    /// # Errors
    /// `ledger-fault`.
    pub fn by_seq_no(&self, seq_no: u64) -> Checked<Option<Event>> {
        match i64::try_from(seq_no) {
            Ok(seq_no) => self.one(&format!("{SELECT_EVENTS} WHERE e.seq_no = ?1"), [seq_no]),
            Err(_) => Ok(None),
        }
    }

    /// Hands over every event from `from` on, in order, one in memory at a time; ends at the first error of `take`.
    ///
    /// What is appended meanwhile by this process is impossible (`&self`), by another not seen: one statement reads one state.
    ///
    /// # Errors
    /// `ledger-fault`, and whatever `take` answers.
    pub fn for_each(&self, from: u64, mut take: impl FnMut(Event) -> Checked<()>) -> Checked<()> {
        self.for_each_row(from, |row| take(row.to_event()))
    }

    /// [`Ledger::for_each`] without a copy: what is not kept costs nothing.
    ///
    /// # Errors
    /// As [`Ledger::for_each`].
    pub fn for_each_row(&self, from: u64, mut take: impl FnMut(&EventRow<'_>) -> Checked<()>) -> Checked<()> {
        self.usable()?;
        let Ok(from) = i64::try_from(from) else { return Ok(()) };
        let fault = |error: rusqlite::Error| self.sqlite_fault("reading events", &error);
        let mut statement = self.db.prepare_cached(&format!("{SELECT_EVENTS} WHERE e.seq_no >= ?1 ORDER BY e.seq_no")).map_err(fault)?;
        let mut rows = statement.query([from]).map_err(fault)?;
        while let Some(row) = rows.next().map_err(fault)? {
            take(&EventRow::read(row)?)?;
        }
        Ok(())
    }

    /// Events from `from` on, in order: at most `rows`, and no more once their payloads reach `bytes`. `go_on` is asked before each and ends it.
    ///
    /// # Errors
    /// As [`Ledger::for_each`], and whatever `go_on` answers.
    pub fn page(&self, from: u64, rows: u64, bytes: u64, go_on: &mut dyn FnMut() -> Checked<()>) -> Checked<Vec<Event>> {
        self.usable()?;
        let Ok(from) = i64::try_from(from) else { return Ok(Vec::new()) };
        let fault = |error: rusqlite::Error| self.sqlite_fault("reading events", &error);
        let text = format!("{SELECT_EVENTS} WHERE e.seq_no >= ?1 ORDER BY e.seq_no LIMIT ?2");
        let mut statement = self.db.prepare_cached(&text).map_err(fault)?;
        let mut found = statement.query((from, Uint(rows))).map_err(fault)?;
        let (mut page, mut length) = (Vec::new(), 0);
        while length < bytes
            && let Some(row) = found.next().map_err(fault)?
        {
            go_on()?;
            let event = event_of_row(row)?;
            length += event.payload.len() as u64;
            page.push(event);
        }
        Ok(page)
    }

    /// Hands over the events with these numbers, in the order that they are asked for, without a copy; `None` for one that is not there.
    ///
    /// All of them are read from one state, which is looked up once: several times as fast as [`Ledger::by_seq_no`] for each.
    ///
    /// # Errors
    /// As [`Ledger::for_each`].
    pub fn for_each_of(
        &self,
        numbers: impl IntoIterator<Item = u64>,
        mut take: impl FnMut(Option<&EventRow<'_>>) -> Checked<()>,
    ) -> Checked<()> {
        self.usable()?;
        let fault = |error: rusqlite::Error| self.sqlite_fault("reading events", &error);
        let _one_state = self.db.is_autocommit().then(|| self.db.unchecked_transaction()).transpose().map_err(fault)?;
        let mut statement = self.db.prepare_cached(&format!("{SELECT_EVENTS} WHERE e.seq_no = ?1")).map_err(fault)?;
        for number in numbers {
            let mut rows = statement.query([i64::try_from(number).unwrap_or(-1)]).map_err(fault)?;
            match rows.next().map_err(fault)? {
                Some(row) => take(Some(&EventRow::read(row)?))?,
                None => take(None)?,
            }
        }
        Ok(())
    }

    /// Number of the event that made record `number`, if there is one.
    ///
    /// # Errors
    /// `ledger-fault`.
    pub fn seq_no_of_record(&self, number: u64) -> Checked<Option<u64>> {
        let Ok(number) = i64::try_from(number) else { return Ok(None) };
        self.seq_no("SELECT seq_no FROM records WHERE number = ?1", [number])
    }

    /// Number of the event that decided this paper, if one did.
    ///
    /// # Errors
    /// `ledger-fault`.
    pub fn seq_no_of_verdict(&self, pid: &Pid) -> Checked<Option<u64>> {
        self.seq_no("SELECT seq_no FROM verdicts WHERE pid = ?1", [pid.0])
    }

    fn seq_no(&self, text: &str, params: impl rusqlite::Params) -> Checked<Option<u64>> {
        self.usable()?;
        let found = self.db.prepare_cached(text).and_then(|mut s| s.query_row(params, |row| row.get::<_, Uint>(0)).optional());
        found.map(|found| found.map(|Uint(seq_no)| seq_no)).map_err(|error| self.sqlite_fault("looking up", &error))
    }

    fn one(&self, text: &str, params: impl rusqlite::Params) -> Checked<Option<Event>> {
        self.usable()?;
        let fault = |error: rusqlite::Error| self.sqlite_fault("reading an event", &error);
        let mut statement = self.db.prepare_cached(text).map_err(fault)?;
        let mut rows = statement.query(params).map_err(fault)?;
        rows.next().map_err(fault)?.map(event_of_row).transpose()
    }
}

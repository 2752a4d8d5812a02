//! Reading events back, in order and by number.

use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{Ledger, Uint};
use crate::core::event::{Event, EventType, read_payload_ref};
use crate::core::ids::{Hash, Pid};
use crate::core::rules::{Checked, Fault, Rule};

/// The columns of [`event_of_row`], large payloads joined in.
pub(super) const SELECT_EVENTS: &str = "SELECT e.seq_no, e.event_id, e.timestamp, e.event_type, e.payload, e.payload_ref,
  CASE WHEN e.payload_ref IS NOT NULL THEN (SELECT p.bytes FROM payloads p WHERE p.sha256 = substr(e.payload_ref, 4, 32)) END,
  e.prev_event_hash, e.event_hash, e.signature, e.public_key_id, e.writer_epoch FROM events e";

pub(super) fn head_hash(db: &Connection) -> rusqlite::Result<Option<[u8; 32]>> {
    db.prepare_cached("SELECT event_hash FROM events ORDER BY seq_no DESC LIMIT 1")?.query_row([], |row| row.get(0)).optional()
}

/// An event from a row, its payload whole. That the payload is the one that was hashed is for the start-up check to say.
pub(super) fn event_of_row(row: &Row<'_>) -> Checked<Event> {
    let Uint(seq_no) = cell(row, 0, "seq_no")?;
    let inline: Option<Vec<u8>> = cell(row, 4, "payload")?;
    let reference: Option<Vec<u8>> = cell(row, 5, "payload_ref")?;
    let payload = match (inline, reference) {
        (Some(payload), None) => payload,
        (None, Some(reference)) => {
            let bytes: Option<Vec<u8>> = cell(row, 6, "payload")?;
            let (sha256, length) = read_payload_ref(&reference)?;
            match bytes {
                Some(bytes) if bytes.len() as u64 == length && Hash::of(&bytes) == sha256 => bytes,
                Some(bytes) => {
                    let found = format!(
                        "event {seq_no}: payload {} of {} bytes found; {sha256} of {length} expected",
                        Hash::of(&bytes),
                        bytes.len()
                    );
                    return Err(Fault::new(Rule::LedgerFault, found));
                }
                None => {
                    return Err(Fault::new(
                        Rule::LedgerFault,
                        format!("event {seq_no}: no payload found; {sha256} of {length} bytes expected"),
                    ));
                }
            }
        }
        (inline, _) => {
            let found = if inline.is_some() { "payload and payload_ref" } else { "neither payload nor payload_ref" };
            return Err(Fault::new(Rule::LedgerFault, format!("event {seq_no}: {found} found; exactly one expected")));
        }
    };
    let word: String = cell(row, 3, "event_type")?;
    Ok(Event {
        seq_no,
        event_id: cell(row, 1, "event_id")?,
        timestamp: cell::<Uint>(row, 2, "timestamp")?.0,
        event_type: word.parse::<EventType>()?,
        payload,
        prev_event_hash: cell(row, 7, "prev_event_hash")?,
        event_hash: cell(row, 8, "event_hash")?,
        signature: cell(row, 9, "signature")?,
        public_key_id: Hash(cell(row, 10, "public_key_id")?),
        writer_epoch: cell::<Uint>(row, 11, "writer_epoch")?.0,
    })
}

fn cell<T: rusqlite::types::FromSql>(row: &Row<'_>, index: usize, name: &str) -> Checked<T> {
    row.get(index).map_err(|error| {
        let seq_no = row.get::<_, i64>(0).unwrap_or_default();
        Fault::new(Rule::LedgerFault, format!("event {seq_no}: {name} is not of the form it must have: {error}"))
    })
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
        self.usable()?;
        let Ok(from) = i64::try_from(from) else { return Ok(()) };
        let fault = |error: rusqlite::Error| self.sqlite_fault("reading events", &error);
        let mut statement = self.db.prepare_cached(&format!("{SELECT_EVENTS} WHERE e.seq_no >= ?1 ORDER BY e.seq_no")).map_err(fault)?;
        let mut rows = statement.query([from]).map_err(fault)?;
        while let Some(row) = rows.next().map_err(fault)? {
            take(event_of_row(row)?)?;
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

//! Appending: one transaction, one synced commit, and the first I/O error ends it all.

use rusqlite::{Connection, Row, Transaction, TransactionBehavior, params};

use super::audit::{Keys, Signed, strictly, together};
use super::finding::Stop;
use super::read::head_hash;
use super::{Ledger, LedgerError, Trouble, Uint, Why};
use crate::core::event::{Event, EventType};
use crate::core::ids::Hash;
use crate::core::rules::{Checked, Fault, Rule};

/// Pages in the write-ahead log and not yet in the database, from which on a commit is followed by a checkpoint: 4 MiB.
const WAL_PAGES_CHECKPOINT: i64 = 1024;

/// Signatures read before they are verified: a batch for each of two threads.
const SIGNATURES_AT_ONCE: usize = 2_048;

/// An event as the writer may name it; number, predecessor, hash, epoch, key id and signature are the database's (see [`Event`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// `<session>/<index>` in decimal without leading zeros: the next index of the last session, or index 0 of a later one. SPEC 7.1.
    pub event_id: String,
    /// The session's time claim in whole seconds since 1970-01-01T00:00:00Z, at most 2^53 - 1; 0 for none. SPEC 7.1.
    pub timestamp: u64,
    /// What happened. SPEC 7.4.
    pub event_type: EventType,
    /// Deterministic CBOR in the shape of its type (SPEC 7.4), of any length that SQLite stores in one value; of a `verdict` and an `adopted`
    /// event the database reads paper and record.
    pub payload: Vec<u8>,
}

impl Ledger {
    /// Appends one event behind the last one; answers with it as the database stored it, its number among it, once it is synced.
    ///
    /// # Errors
    /// As [`Ledger::commit`], without `head-unexpected`: one process holds the ledger, and nothing can come between.
    pub fn append(&mut self, event: NewEvent) -> Result<Event, LedgerError> {
        let events = [event];
        let head =
            self.may_append(&events).and_then(|_| head_hash(&self.db).map_err(|error| Trouble::of_sqlite("reading the head", &error)));
        let head = head.map_err(|trouble| self.refused(&events, trouble))?;
        self.commit(head, &events)?;
        let read_back =
            self.latest().and_then(|event| event.ok_or_else(|| Fault::new(Rule::LedgerFault, "no event found after a commit; 1 expected")));
        read_back.map_err(|fault| self.refused(&events, Trouble::latching(fault)))
    }

    /// Appends `events` behind the head that the caller has seen, all or none; answers with the new head's hash once it is synced.
    ///
    /// `expected_head` is the `event_hash` of the last event, `None` for an empty ledger; it is compared inside the transaction.
    ///
    /// # Errors
    /// `head-unexpected`; `another-writer`; `chain-broken` when a check of this process found corruption; `ledger-fault` with the database's
    /// own words when a guard refuses, and for every I/O error, after which the ledger [is poisoned](Ledger::is_poisoned); `internal-fault`
    /// when it is not unlocked, no [check](Ledger::start_up_check) has passed in this process, or there is nothing to append. With an error
    /// from a poisoned ledger the commit may or may not have happened: the start-up checks of the next process tell.
    pub fn commit(&mut self, expected_head: Option<[u8; 32]>, events: &[NewEvent]) -> Result<[u8; 32], LedgerError> {
        self.commit_observed(expected_head, events, &mut |_| {})
    }

    /// [`Ledger::commit`], which tells `observe` of each step before it happens: `append events`, `commit`, `acknowledge`.
    ///
    /// # Errors
    /// As [`Ledger::commit`].
    pub fn commit_observed(
        &mut self,
        expected_head: Option<[u8; 32]>,
        events: &[NewEvent],
        observe: &mut dyn FnMut(&'static str),
    ) -> Result<[u8; 32], LedgerError> {
        let began = self.begin();
        // Before, so that nothing is written to a file that no name leads to any more; after, so that nothing in one is acknowledged.
        let may = self.may_append(events).and_then(|key| self.must_stand().map(|()| key));
        let outcome = may.and_then(|key| append(&mut self.db, expected_head, events, &key, observe));
        let outcome = outcome.and_then(|head| self.must_stand().map(|()| head));
        let head = outcome.map_err(|trouble| self.refused(events, trouble))?;
        self.accepted(events, began);
        // The commit stands. A failing checkpoint is an error of the disk all the same: nothing follows it.
        if let Err(trouble) = self.checkpoint_if_long() {
            self.note(trouble);
        }
        Ok(head)
    }

    fn must_stand(&self) -> Result<(), Trouble> {
        self.place.as_ref().map_or(Ok(()), |place| place.must_be_the_same()).map_err(Trouble::latching)
    }

    /// The log's file keeps its length: once all of it is copied, the next commit writes over it from its start, which syncs in half the time
    /// of a file that grows. So its length says nothing, and SQLite is asked how much of it is to be copied.
    fn checkpoint_if_long(&self) -> Result<(), Trouble> {
        let fault = |error: rusqlite::Error| Trouble::of_sqlite("checkpoint", &error);
        let (pages, copied) = checkpoint(&self.db, "NOOP").map_err(fault)?;
        if pages - copied < WAL_PAGES_CHECKPOINT {
            return Ok(());
        }
        // PASSIVE waits for nobody; what readers keep it from copying is copied after a later commit.
        checkpoint(&self.db, "PASSIVE").map(drop).map_err(fault)
    }

    /// Copies SQLite's log into the database and syncs both, so that dropping this ledger only removes the log's name. What readers keep from
    /// being copied stays in the log, and the log stays.
    ///
    /// # Errors
    /// `disk-fault`: everything committed is in the log all the same, which the next start reads; this ledger is poisoned.
    pub fn write_back(&self) -> Checked<()> {
        self.usable()?;
        let (pages, copied) =
            checkpoint(&self.db, "PASSIVE").map_err(|error| self.sqlite_fault("copying the log into the database", &error))?;
        self.keep_log_on_close(copied < pages)
    }
}

/// Pages in SQLite's log, and how many of them are in the database afterwards. It answers -1 for both when there is no log.
pub(super) fn checkpoint(db: &Connection, mode: &str) -> rusqlite::Result<(i64, i64)> {
    let mut statement = db.prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?;
    statement.query_row([], |row| Ok((row.get(1)?, row.get(2)?)))
}

fn append(
    db: &mut Connection,
    expected_head: Option<[u8; 32]>,
    events: &[NewEvent],
    key: &Keys,
    observe: &mut dyn FnMut(&'static str),
) -> Result<[u8; 32], Trouble> {
    observe("append events");
    let begin = db.transaction_with_behavior(TransactionBehavior::Immediate);
    let transaction = begin.map_err(|error| Trouble::of_sqlite("beginning", &error))?;
    let head = match insert_all(&transaction, expected_head, events, key) {
        Ok(head) => head,
        Err(trouble) => {
            // A rollback that fails leaves us not knowing what the connection holds.
            let undone = transaction.rollback();
            return Err(match undone {
                Ok(()) => trouble,
                Err(error) => Trouble { latches: true, ..Trouble::of_sqlite("rolling back", &error) },
            });
        }
    };
    observe("commit");
    // synchronous=FULL: COMMIT returns when the log is synced. Whatever fails here is never tried again.
    transaction.commit().map_err(|error| Trouble { latches: true, ..Trouble::of_sqlite("committing", &error) })?;
    observe("acknowledge");
    let found = head_hash(db).map_err(|error| Trouble { latches: true, ..Trouble::of_sqlite("reading the head back", &error) })?;
    if found == Some(head) {
        return Ok(head);
    }
    let found = found.map_or("no event".to_owned(), hex::encode);
    Err(Trouble::latching(Fault::new(Rule::LedgerFault, format!("head {found} found after the commit; {} expected", hex::encode(head)))))
}

fn insert_all(
    transaction: &Transaction<'_>,
    expected_head: Option<[u8; 32]>,
    events: &[NewEvent],
    key: &Keys,
) -> Result<[u8; 32], Trouble> {
    let sqlite = |doing: &'static str| move |error: rusqlite::Error| Trouble::of_sqlite(doing, &error);
    let found = head_hash(transaction).map_err(sqlite("reading the head"))?;
    if found != expected_head {
        let word = |head: Option<[u8; 32]>| head.map_or("no event".to_owned(), hex::encode);
        let fault = Fault::new(Rule::HeadUnexpected, format!("last event {} found; {} expected", word(found), word(expected_head)));
        return Err(Trouble::kept(fault));
    }
    let before = last_seq_no(transaction).map_err(sqlite("reading the last number"))?;
    let text = "INSERT INTO append (event_id, timestamp, event_type, payload) VALUES (?1, ?2, ?3, ?4)";
    let mut insert = transaction.prepare_cached(text).map_err(sqlite("preparing"))?;
    for event in events {
        let row = params![event.event_id, Uint(event.timestamp), event.event_type.as_str(), event.payload];
        insert.execute(row).map_err(|error| Trouble::of_event(event, &error))?;
    }
    drop(insert);
    verify_all(transaction, before, events, key)
}

fn last_seq_no(db: &Connection) -> rusqlite::Result<u64> {
    db.prepare_cached("SELECT coalesce(max(seq_no), 0) FROM events")?.query_row([], |row| row.get(0)).map(|Uint(number)| number)
}

/// Every signature behind event `before`, as stored, and that there are as many as events: answers with the hash of the last.
///
/// The last strictly, for it commits to all of them; those before it in batches, which refuse whatever the holder of the key did not sign.
fn verify_all(db: &Connection, before: u64, events: &[NewEvent], key: &Keys) -> Result<[u8; 32], Trouble> {
    let sqlite = |error: rusqlite::Error| Trouble::of_sqlite("reading signatures", &error);
    let signature = |stop| match stop {
        Stop::Sqlite(error) => sqlite(error),
        Stop::Bad { seq_no, found, .. } => {
            let event = seq_no.checked_sub(before + 1).and_then(|at| events.get(usize::try_from(at).ok()?));
            let event = event.map(|event| (event.event_id.clone(), event.event_type));
            let fault = Fault::new(Rule::LedgerFault, format!("event {seq_no}: {found}"));
            Trouble { why: Why::Signature, event, ..Trouble::kept(fault) }
        }
    };
    let text = "SELECT seq_no, event_hash, signature, public_key_id FROM events WHERE seq_no > ?1 ORDER BY seq_no";
    let mut statement = db.prepare_cached(text).map_err(sqlite)?;
    let mut rows = statement.query([Uint(before)]).map_err(sqlite)?;
    let (mut last, mut waiting) = (None, Vec::with_capacity(events.len().min(SIGNATURES_AT_ONCE)));
    while let Some(row) = rows.next().map_err(sqlite)? {
        waiting.extend(last.replace(signed(row, key).map_err(sqlite)?));
        if waiting.len() == SIGNATURES_AT_ONCE {
            together(key, &waiting).map_err(signature)?;
            waiting.clear();
        }
    }
    together(key, &waiting).map_err(signature)?;
    let (after, expected) = (last.map_or(before, |last| last.seq_no), before + events.len() as u64);
    match last {
        Some(last) if after == expected => strictly(key, &last).map(|()| last.hash).map_err(signature),
        _ => Err(Trouble::kept(Fault::new(Rule::LedgerFault, format!("last number {after} found; {expected} expected")))),
    }
}

fn signed(row: &Row<'_>, key: &Keys) -> rusqlite::Result<Signed> {
    let Uint(seq_no) = row.get(0)?;
    let kid = Hash(row.get(3)?);
    // A key that is not the unlocked one has no place, and its signature is bad.
    Ok(Signed { seq_no, hash: row.get(1)?, signature: row.get(2)?, place: key.place(&kid, 0).unwrap_or(usize::MAX) })
}

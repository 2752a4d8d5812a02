//! Two ledgers of one history: where they part.
//!
//! Somebody copied the file and wrote to both. Once both chains are verified, equal hashes of two events mean that everything before them is
//! equal too, so the last common event is found by halving. This file compares and never decides which branch stays.

use std::path::Path;

use rusqlite::OptionalExtension as _;
use rusqlite::limits::Limit;

use super::{Ledger, Uint};
use crate::core::rules::{Checked, Fault, Rule};

/// Largest value read out of a file that is not ours, in bytes: more than any event that this program makes.
const FOREIGN_VALUE_BYTES_MAX: i32 = 268_435_456;
/// Longest event id and event type read out of it, in bytes.
const FOREIGN_WORD_BYTES_MAX: i32 = 64;

impl Ledger {
    /// Opens a copy of a ledger that may be prepared by an attacker: as [`Ledger::open_read_only`], and without room for huge values.
    ///
    /// # Errors
    /// As [`Ledger::open_read_only`]; `ledger-fault` naming the event with a value that is too large.
    pub fn open_foreign(dir: &Path) -> Checked<Ledger> {
        let ledger = Ledger::open_read_only(dir)?;
        let fault = |error: rusqlite::Error| ledger.sqlite_fault("looking for huge values", &error);
        // length() of a column looks at the row's head alone: the value itself is not read.
        let text = "SELECT seq_no, max(length(CAST(event_id AS BLOB)), length(CAST(event_type AS BLOB))),
            max(coalesce(length(payload), 0), coalesce(length(payload_ref), 0),
                coalesce((SELECT length(bytes) FROM payloads WHERE sha256 = substr(payload_ref, 4, 32)), 0))
          FROM events WHERE length(event_id) > ?1 OR length(event_type) > ?1 OR length(payload) > ?2 OR length(payload_ref) > ?2
            OR (payload_ref IS NOT NULL AND (SELECT length(bytes) FROM payloads WHERE sha256 = substr(payload_ref, 4, 32)) > ?2)
          ORDER BY seq_no LIMIT 1";
        let found = ledger.db.prepare(text).and_then(|mut statement| {
            statement
                .query_row([FOREIGN_WORD_BYTES_MAX, FOREIGN_VALUE_BYTES_MAX], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
                })
                .optional()
        });
        if let Some((seq_no, word, value)) = found.map_err(fault)? {
            let found = format!(
                "event {seq_no}: words of {word} and values of {value} bytes found; at most {FOREIGN_WORD_BYTES_MAX} and \
                 {FOREIGN_VALUE_BYTES_MAX} expected"
            );
            return Err(Fault::new(Rule::LedgerFault, found));
        }
        ledger.db.set_limit(Limit::SQLITE_LIMIT_LENGTH, FOREIGN_VALUE_BYTES_MAX).map_err(fault)?;
        Ok(ledger)
    }

    /// The `event_hash` of the event with this number, if there is one.
    ///
    /// # Errors
    /// `ledger-fault`.
    pub fn hash_at(&self, seq_no: u64) -> Checked<Option<[u8; 32]>> {
        self.usable()?;
        let text = "SELECT event_hash FROM events WHERE seq_no = ?1";
        let found = self.db.prepare_cached(text).and_then(|mut statement| statement.query_row([Uint(seq_no)], |row| row.get(0)).optional());
        found.map_err(|error| self.sqlite_fault("reading a hash", &error))
    }

    /// Number of the last event that both ledgers have, 0 for none. Both must have passed [`Ledger::start_up_check`].
    ///
    /// # Errors
    /// `ledger-fault`.
    pub fn last_common(&self, other: &Ledger) -> Checked<u64> {
        let last = |ledger: &Ledger| Ok(ledger.latest()?.map_or(0, |event| event.seq_no));
        let (mut common, mut behind) = (0, last(self)?.min(last(other)?) + 1);
        while behind - common > 1 {
            let middle = common + (behind - common) / 2;
            if self.hash_at(middle)? == other.hash_at(middle)? { common = middle } else { behind = middle }
        }
        Ok(common)
    }
}

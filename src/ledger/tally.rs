//! What the tables hold, counted by SQL: also of a ledger whose events cannot be trusted or read any more.

use std::collections::BTreeMap;

use super::{DATABASE_FILE, HEAD_FILE, Ledger, Uint};
use crate::core::rules::Checked;

/// Rows by table, and sizes of files. Nothing here was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events by their type, as the words stand in the table.
    pub events_by_type: BTreeMap<String, u64>,
    /// Rows of records.
    pub records: u64,
    /// Rows of final verdicts.
    pub verdicts: u64,
    /// Rows of large payloads.
    pub payloads: u64,
    /// Bytes of the database, its write-ahead log, and the head file, by name; of those that are there.
    pub file_bytes: BTreeMap<String, u64>,
}

impl Ledger {
    /// Counts what the tables hold.
    ///
    /// # Errors
    /// `ledger-fault` when the file cannot be read.
    pub fn tally(&self) -> Checked<Tally> {
        self.usable()?;
        self.count().map_err(|error| self.sqlite_fault("counting", &error))
    }

    fn count(&self) -> rusqlite::Result<Tally> {
        let mut tally = Tally::default();
        let mut statement = self.db.prepare("SELECT event_type, count(*) FROM events GROUP BY event_type")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            tally.events_by_type.insert(String::from_utf8_lossy(row.get_ref(0)?.as_bytes()?).into_owned(), row.get::<_, Uint>(1)?.0);
        }
        let count = |table: &str| self.db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, Uint>(0));
        (Uint(tally.records), Uint(tally.verdicts), Uint(tally.payloads)) = (count("records")?, count("verdicts")?, count("payloads")?);
        for name in [DATABASE_FILE.to_owned(), format!("{DATABASE_FILE}-wal"), HEAD_FILE.to_owned()] {
            if let Ok(metadata) = self.dir.join(&name).symlink_metadata() {
                tally.file_bytes.insert(name, metadata.len());
            }
        }
        Ok(tally)
    }
}

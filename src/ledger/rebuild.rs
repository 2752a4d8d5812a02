//! The ledger built anew from its events: the same schema and triggers, the signatures that are stored, and no signer anywhere.
//!
//! Events are the truth, every other table follows from them. What is built here stands beside the ledger until somebody compares the two and
//! puts it in its place; the database that goes is copied first and never deleted. Nothing here judges which events are the right ones.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, params, params_from_iter};
use sha2::{Digest as _, Sha256};

use super::head_file::sync_dir;
use super::open::{close_whole, keep_log_on_close, make};
use super::{DATABASE_FILE, Ledger, Trouble, Uint, disk_fault, functions};
use crate::core::event::{Event, PAYLOAD_INLINE_BYTES_MAX, payload_ref};
use crate::core::ids::Hash;
use crate::core::rules::{Checked, Fault, Rule};

/// Events in one transaction of a database that nobody else can see yet.
const EVENTS_A_TRANSACTION: u64 = 10_000;
/// Most differences of one table that are told; of more the number is.
const DIFFERENCES_MAX: usize = 32;
/// Bytes copied at a time.
const CHUNK_BYTES: usize = 131_072;
/// Longest value that is shown whole, in bytes.
const SHOWN_BYTES_MAX: usize = 32;

/// The derived tables: name, key, and all columns, the key first.
const DERIVED: [(&str, &str, &str); 3] = [
    ("records", "number", "number, seq_no, pid, ledger_head, session, writer_epoch"),
    ("verdicts", "pid", "pid, seq_no"),
    ("payloads", "sha256", "sha256, bytes"),
];

/// A row in which a derived table is not what follows from the events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its key.
    pub key: String,
    /// The row as found; `None` when it is missing.
    pub found: Option<String>,
    /// The row as it follows from the events; `None` when it follows from none.
    pub expected: Option<String>,
}

/// A derived table, compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// `records`, `verdicts` or `payloads`.
    pub name: &'static str,
    /// Rows that follow from the events.
    pub rows: u64,
    /// Rows that differ, are missing, or too many.
    pub differ: u64,
    /// The first of them.
    pub differences: Vec<Difference>,
}

impl Ledger {
    /// Builds a ledger of the events of this one in the folder `into`, whatever its other tables hold, and opens it read-only. Every event goes
    /// through the guards of the schema; its signature is the stored one and must be by one of `ledger_keys`. A database left in that folder
    /// by a break is built anew.
    ///
    /// # Errors
    /// `chain-broken` naming the event that the guards refuse; `ledger-fault`, `file-fault`.
    pub fn build_again(&self, ledger_keys: &[[u8; 32]], into: &Path) -> Checked<Ledger> {
        fs::create_dir_all(into).map_err(|error| disk_fault(into, &error))?;
        let (path, mut db) = make(into)?;
        functions::register_stored(&db, ledger_keys.to_vec()).map_err(built)?;
        let mut transaction = db.transaction().map_err(built)?;
        self.for_each(1, |event| {
            insert(&transaction, &event)?;
            if event.seq_no % EVENTS_A_TRANSACTION == 0 {
                transaction.execute_batch("COMMIT; BEGIN").map_err(built)?;
            }
            Ok(())
        })?;
        transaction.set_drop_behavior(rusqlite::DropBehavior::Commit);
        transaction.finish().map_err(built)?;
        close_whole(&path, db)?;
        Ledger::open_read_only(into)
    }

    /// Compares the derived tables of this ledger, row by row, with those of one that was built from the same events.
    ///
    /// # Errors
    /// `ledger-fault` when the one that was built cannot be read. A table of this one that cannot be read differs.
    pub fn compare_derived(&self, built: &Ledger) -> Checked<Vec<Table>> {
        DERIVED.iter().map(|(name, key, columns)| compare_table(name, key, columns, &self.db, &built.db)).collect()
    }

    /// Puts the ledger that was built in the folder `fresh` in the place of this one. The database that was here is copied to `keep` first,
    /// named by its SHA-256. Answers with the new ledger, under the same lock, and where the old one is.
    ///
    /// Tells `observe` of each step before it happens: `write back the log`, `keep the old database`, `rename the database`. A break leaves the
    /// old database or the new one, whole.
    ///
    /// # Errors
    /// `another-writer` while another process has the database open; `ledger-fault`, `file-fault`; the old database is in its place then.
    pub fn take_place(self, fresh: Ledger, keep: &Path, observe: &mut dyn FnMut(&'static str)) -> Checked<(Ledger, PathBuf)> {
        let (Some(lock), dir, path) = (self.lock, self.dir, fresh.dir.join(DATABASE_FILE)) else {
            return Err(Fault::new(Rule::InternalFault, "a ledger opened read-only found; one that holds the lock expected"));
        };
        close(fresh.db)?;
        observe("write back the log");
        // A log that stays would be read as that of the database which comes into this place.
        let busy: i64 = self
            .db
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .map_err(|error| Trouble::of_sqlite("writing back the log", &error).fault)?;
        keep_log_on_close(&self.db, false)?;
        close(self.db)?;
        let wal = dir.join(format!("{DATABASE_FILE}-wal"));
        if busy != 0 || wal.symlink_metadata().is_ok() {
            let found = format!("{}: a log that another process reads found; none expected", wal.display());
            return Err(Fault::new(Rule::AnotherWriter, found));
        }
        let (old, fresh_dir) = (dir.join(DATABASE_FILE), path.parent().unwrap_or(&dir).to_owned());
        observe("keep the old database");
        let kept = copy_by_hash(&old, keep)?;
        observe("rename the database");
        fs::rename(&path, &old).map_err(|error| disk_fault(&old, &error))?;
        sync_dir(&dir)?;
        sync_dir(&fresh_dir)?;
        Ok((Ledger::finish_open(&dir, Some(lock))?, kept))
    }
}

fn built(error: rusqlite::Error) -> Fault {
    Trouble::of_sqlite("building the ledger again", &error).fault
}

fn close(db: Connection) -> Checked<()> {
    db.close().map_err(|(_, error)| Trouble::of_sqlite("closing", &error).fault)
}

/// Inserts an event as it is stored; number, link, hash and signature are for the guards to accept.
fn insert(db: &Connection, event: &Event) -> Checked<()> {
    let broken = |error: rusqlite::Error| {
        Fault::new(Rule::ChainBroken, format!("event {}: {error}; one that the guards accept expected", event.seq_no))
    };
    let is_large = event.payload.len() > PAYLOAD_INLINE_BYTES_MAX;
    let reference = is_large.then(|| payload_ref(&event.payload));
    if is_large {
        let text = "INSERT INTO payloads (sha256, bytes) SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM payloads WHERE sha256 = ?1)";
        db.prepare_cached(text)
            .and_then(|mut statement| statement.execute(params![Hash::of(&event.payload).0, event.payload]))
            .map_err(broken)?;
    }
    let text =
        "INSERT INTO events (seq_no, event_id, timestamp, event_type, payload, payload_ref, prev_event_hash, signature, public_key_id,
      writer_epoch) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let row = params![
        Uint(event.seq_no),
        event.event_id,
        Uint(event.timestamp),
        event.event_type.as_str(),
        (!is_large).then_some(&event.payload),
        reference,
        event.prev_event_hash,
        event.signature,
        event.public_key_id.0,
        Uint(event.writer_epoch)
    ];
    db.prepare_cached(text).and_then(|mut statement| statement.execute(row)).map_err(broken)?;
    Ok(())
}

type Row = Vec<Value>;

fn compare_table(name: &'static str, key: &str, columns: &str, found: &Connection, built: &Connection) -> Checked<Table> {
    let mut table = Table { name, rows: 0, differ: 0, differences: Vec::new() };
    let lookup = format!("SELECT {columns} FROM {name} WHERE {key} IS ?1");
    let outcome = each_row(built, name, key, columns, &mut |expected| {
        table.rows += 1;
        let row = one_row(found, &lookup, &expected)?;
        if row.as_ref() != Some(&expected) {
            table.note(columns, row.as_ref(), Some(&expected));
        }
        Ok(())
    });
    let outcome = outcome.and_then(|()| {
        each_row(found, name, key, columns, &mut |row| {
            if one_row(built, &lookup, &row)?.is_none() {
                table.note(columns, Some(&row), None);
            }
            Ok(())
        })
    });
    if let Err(error) = outcome {
        let found = Some(format!("SQLite found {error}"));
        table.differ += 1;
        table.differences.push(Difference { key: "a row that can be read".into(), found, expected: None });
    }
    Ok(table)
}

impl Table {
    fn note(&mut self, columns: &str, found: Option<&Row>, expected: Option<&Row>) {
        self.differ += 1;
        if self.differences.len() < DIFFERENCES_MAX {
            let key = expected.or(found).and_then(|row| row.first()).map_or(String::new(), shown);
            let cells = |row: &Row| {
                columns.split(", ").zip(row).skip(1).map(|(name, value)| format!("{name} {}", shown(value))).collect::<Vec<_>>()
            };
            let line = |row: &Row| cells(row).join(", ");
            self.differences.push(Difference { key, found: found.map(line), expected: expected.map(line) });
        }
    }
}

fn each_row(
    db: &Connection,
    name: &str,
    key: &str,
    columns: &str,
    take: &mut dyn FnMut(Row) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut statement = db.prepare(&format!("SELECT {columns} FROM {name} ORDER BY {key}"))?;
    let width = statement.column_count();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        take((0..width).map(|at| row.get(at)).collect::<rusqlite::Result<_>>()?)?;
    }
    Ok(())
}

fn one_row(db: &Connection, lookup: &str, like: &Row) -> rusqlite::Result<Option<Row>> {
    let mut statement = db.prepare_cached(lookup)?;
    let width = statement.column_count();
    statement.query_row(params_from_iter(like.first()), |row| (0..width).map(|at| row.get(at)).collect()).optional()
}

/// A value as a difference shows it: a long one by its length and SHA-256.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "NULL".into(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => format!("{number:?}"),
        Value::Text(text) if text.len() <= SHOWN_BYTES_MAX => format!("{text:?}"),
        Value::Text(text) => format!("a text of {} bytes, sha256:{}", text.len(), Hash::of(text.as_bytes())),
        Value::Blob(bytes) if bytes.len() <= SHOWN_BYTES_MAX => hex::encode(bytes),
        Value::Blob(bytes) => format!("{} bytes, sha256:{}", bytes.len(), Hash::of(bytes)),
    }
}

/// Copies a file into a folder under the name `<SHA-256>.db`, synced.
fn copy_by_hash(from: &Path, folder: &Path) -> Checked<PathBuf> {
    fs::create_dir_all(folder).map_err(|error| disk_fault(folder, &error))?;
    let fresh = folder.join("kept.part");
    let copy = || -> std::io::Result<Hash> {
        let (mut source, mut out, mut hasher) = (File::open(from)?, File::create(&fresh)?, Sha256::new());
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            match source.read(&mut chunk)? {
                0 => break,
                got => {
                    hasher.update(&chunk[..got]);
                    out.write_all(&chunk[..got])?;
                }
            }
        }
        out.sync_all()?;
        Ok(Hash(hasher.finalize().into()))
    };
    let sha256 = copy().map_err(|error| disk_fault(&fresh, &error))?;
    let path = folder.join(format!("{sha256}.db"));
    fs::rename(&fresh, &path).map_err(|error| disk_fault(&path, &error))?;
    sync_dir(folder)?;
    Ok(path)
}

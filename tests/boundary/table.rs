//! The table of ways into the ledger (`attacks.txt`), for the tests of a connection without our functions and of our own.

#![allow(dead_code)]

use rusqlite::Connection;
use rusqlite::types::Value;

const TEXT: &str = include_str!("attacks.txt");
const COLUMNS: &str =
    "(seq_no, event_id, timestamp, event_type, payload, payload_ref, prev_event_hash, signature, public_key_id, writer_epoch)";
const NEXT: &str = "SELECT seq_no + 1, '99/0', 0, 'halt', x'a0', NULL, event_hash, zeroblob(64), public_key_id, writer_epoch
  FROM {l}events ORDER BY seq_no DESC LIMIT 1";

/// One way in, and what must happen.
pub struct Attack {
    pub title: &'static str,
    sql: &'static str,
    /// For a connection without our functions.
    pub plain: &'static str,
    /// For the same with its triggers switched off.
    pub off: &'static str,
    /// For the connection that has the functions.
    pub ours: &'static str,
}

impl Attack {
    /// The statements against the database of this name: empty, or with a dot behind it.
    pub fn sql(&self, database: &str) -> String {
        self.sql.replace("{columns}", COLUMNS).replace("{next}", NEXT).replace("{l}", database)
    }
}

fn field(lines: &[&'static str], name: &str) -> Option<&'static str> {
    lines.iter().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// Every row; one that is not whole fails the test that reads it.
pub fn attacks() -> Vec<Attack> {
    let rows = TEXT.split("\n= ").skip(1).map(|row| {
        let lines: Vec<&'static str> = row.trim().lines().collect();
        let wanted = |name: &str| field(&lines, name).unwrap_or_else(|| panic!("{row}: no {name}"));
        Attack { title: lines[0], sql: lines[1], plain: wanted("plain "), off: wanted("off "), ours: wanted("ours ") }
    });
    rows.collect()
}

/// Every row of every table as it stands in the file.
pub fn contents(db: &Connection, database: &str) -> Vec<Vec<Value>> {
    let table = |name: &str| {
        let mut statement = db.prepare(&format!("SELECT * FROM {database}{name} ORDER BY 1")).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| (0..columns).map(|column| row.get(column)).collect()).unwrap();
        rows.collect::<Result<Vec<Vec<Value>>, _>>().unwrap()
    };
    ["events", "payloads", "records", "verdicts"].into_iter().flat_map(table).collect()
}

/// Runs one row on a connection to the database of this name. `None` when it ends as `expected` says; else what happened instead.
pub fn try_out(db: &Connection, database: &str, text: &str, expected: &str) -> Option<String> {
    let before = contents(db, database);
    let outcome = db.execute_batch(text).map_err(|error| error.to_string());
    let is_changed = contents(db, database) != before;
    let is_as_expected = match (&outcome, expected) {
        (Ok(()), "nothing") => !is_changed,
        (Ok(()), "changed" | "appended") => is_changed,
        (Ok(()), _) => false,
        (Err(error), words) => error.contains(words) && !is_changed,
    };
    let rows = if is_changed { "changed" } else { "unchanged" };
    (!is_as_expected).then(|| format!("{outcome:?}, rows {rows}; {expected:?} expected of {text}"))
}

//! What somebody with write access to the ledger's disk does to a real desk, and what finds it: `witness integrity` with the last good event,
//! the first bad one and the kind, and `witness session`, which then signs nothing and writes nothing to the stick.
//!
//! The desk was founded and held three sessions: two papers accepted; one refused and one held; one accepted whose verdict is so large that its
//! payload stands beside its event. Every number here was counted by hand from the table at [`EVENTS`]. In each row the schema is as
//! before when the desk starts, byte for byte, so that the content alone can tell; what nothing can tell is a row too.
#![cfg(feature = "desk")]
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

#[path = "support/place.rs"]
mod place;
mod stage;

use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use place::memory;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::functions::{Context, FunctionFlags};
use stage::{Case, Forge, copy_tree, differing, seed, tree};
use tabellion::core::event::{EventParts, PayloadForm, event_hash, read_payload_ref};
use tabellion::core::ids::{Hash, kid_of};
use tabellion::core::proposal::Expect;
use tabellion::core::proposal::{Entry, Operation};
use tabellion::run::integrity::{Request, integrity};

/// Every event of the desk, as `seq_no event_id event_type`.
const EVENTS: &str = "1 0/0 opened, 2 0/1 verdict, 3 0/2 closed, 4 0/3 sealed, \
    5 1/0 opened, 6 1/1 verdict, 7 1/2 verdict, 8 1/3 closed, 9 1/4 sealed, \
    10 2/0 opened, 11 2/1 verdict, 12 2/2 notice, 13 2/3 closed, 14 2/4 sealed, \
    15 3/0 opened, 16 3/1 notice, 17 3/2 verdict, 18 3/3 closed, 19 3/4 sealed";
/// Which events made a record, and which decided a paper for good: 2 founded, 6 and 7 accepted, 11 refused, 17
/// accepted; 12 and 16 say that a paper is held.
const RECORDS: &str = "1 by 2, 2 by 6, 3 by 7, 4 by 17";
const VERDICTS: &str = "2, 6, 7, 11, 17";

/// The desk, a stick with one new paper, and `older`: the desk as it was after session 2.
fn grown() -> Case {
    static ONCE: OnceLock<(tempfile::TempDir, String)> = OnceLock::new();
    let (template, head) = ONCE.get_or_init(|| {
        let mut case = Case::grown("tampering");
        let pin = case.pin("alice");
        let session = |case: &mut Case, code| {
            case.remember_head();
            case.quiet("witness session --ledger witness --media stick --expect-head $HEAD --yes --time none", code);
        };
        // tools/editor is there already; release/ needs approvals that nobody brings.
        case.write("stick/tabellion/inbox/refused.cose", Forge::put("alice", 8, &pin, "tools/editor", b"x").bytes());
        case.write("stick/tabellion/inbox/held.cose", Forge::put("alice", 9, &pin, "release/x", b"x").bytes());
        session(&mut case, 1);
        copy_tree(&case.path("witness"), &case.path("older"));
        case.write("stick/tabellion/inbox/large.cose", large(&case).bytes());
        // Another program that reads keeps what session 3 writes in the log, as when power fails behind it.
        let reader = open(&case.path("witness"));
        reader.execute_batch("BEGIN").unwrap();
        list(&reader, "SELECT event_id FROM events");
        session(&mut case, 0);
        copy_tree(&case.path("witness"), &case.path("killed"));
        drop(reader);
        case.write("stick/tabellion/inbox/next.cose", Forge::put("alice", 20, &pin, "docs/next", b"x").bytes());
        case.remember_head();
        let head = case.quiet("witness status --ledger witness --head", 0);
        let dir = memory();
        copy_tree(&case.path("."), dir.path());
        (dir, head.trim().to_owned())
    });
    let mut case = Case::empty("tampering");
    copy_tree(template.path(), &case.path("."));
    case.set("HEAD", head);
    case
}

/// A paper of nearly 65,536 bytes: with its record around it, its verdict is larger.
fn large(case: &Case) -> Forge {
    let mut forge = Forge::put("alice", 10, &case.pin("alice"), "docs/0", b"x");
    let put = |index: usize, length: usize| {
        let entry = Entry { sha256: Hash::of(b"x"), size: 1, media_type: "text/plain".parse().unwrap(), source: None };
        let name = format!("docs/{index:04}{}", "/abcdefghijklmnopqrs".repeat(length / 2));
        Operation::Put { name: name.parse().unwrap(), entry, expect: Expect::Absent }
    };
    for short in 0..=256 {
        forge.proposal.operations = (0..256).map(|index| put(index, if index < short { 12 } else { 20 })).collect();
        if forge.bytes().len() <= 65_536 {
            return forge;
        }
    }
    panic!("no paper of this form is small enough");
}

fn open(dir: &Path) -> Connection {
    Connection::open(dir.join("ledger.db")).unwrap()
}

fn list(db: &Connection, text: &str) -> String {
    let mut statement = db.prepare(text).unwrap();
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    rows.collect::<Result<Vec<String>, _>>().unwrap().join(", ")
}

fn blob(db: &Connection, text: &str) -> Vec<u8> {
    let text = text.replacen("SELECT ", "SELECT CAST(", 1).replacen(" FROM", " AS BLOB) FROM", 1);
    db.query_row(&text, [], |row| row.get(0)).unwrap()
}

/// What an attacker's program computes as the hash of a row that it changes or adds.
#[derive(Clone, Copy)]
enum Hashes {
    /// The one that stood there, as an editor of pages leaves it.
    Kept,
    /// The true one: there is no secret in it.
    True,
}

fn true_hash(context: &Context<'_>) -> rusqlite::Result<[u8; 32]> {
    let (event_id, word): (String, String) = (context.get(1)?, context.get(3)?);
    let (payload, reference): (Option<Vec<u8>>, Option<Vec<u8>>) = (context.get(4)?, context.get(5)?);
    let payload = match (&payload, &reference) {
        (Some(payload), _) => PayloadForm::Bytes(payload),
        (None, reference) => {
            let (sha256, length) = read_payload_ref(reference.as_deref().unwrap()).unwrap();
            PayloadForm::Ref { sha256, length }
        }
    };
    Ok(event_hash(&EventParts {
        seq_no: context.get::<i64>(0)? as u64,
        event_id: &event_id,
        timestamp: context.get::<i64>(2)? as u64,
        event_type: word.parse().unwrap(),
        payload,
        prev_event_hash: &context.get::<[u8; 32]>(6)?,
        public_key_id: &Hash(context.get(7)?),
        writer_epoch: context.get::<i64>(8)? as u64,
    }))
}

/// Registers an attacker's functions: the hash, and a signature by another key, mallory's.
fn arm(db: &Connection, hashes: Hashes) {
    let before: Vec<[u8; 32]> = {
        let mut statement = db.prepare("SELECT event_hash FROM events ORDER BY seq_no").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    let hash = move |context: &Context<'_>| match hashes {
        Hashes::Kept => Ok(before.get(context.get::<i64>(0)? as usize - 1).copied().unwrap_or_default()),
        Hashes::True => true_hash(context),
    };
    db.create_scalar_function("tabellion_event_hash", 9, flags, hash).unwrap();
    let key = Arc::new(seed("mallory").ledger(false));
    db.create_scalar_function("mallory_sign", 1, flags, move |context| Ok(key.sign_event_hash(&context.get::<[u8; 32]>(0)?).unwrap()))
        .unwrap();
    let kid = kid_of(&seed("mallory").ledger(false).public_bytes()).0;
    db.create_scalar_function("mallory_kid", 0, flags, move |_| Ok(kid)).unwrap();
}

/// Drops the triggers, runs `text` with an attacker's functions, and puts the triggers back as they were.
fn edit(dir: &Path, hashes: Hashes, text: &str) {
    let db = open(dir);
    arm(&db, hashes);
    let schema = "SELECT type || name || tbl_name || coalesce(sql, '') FROM sqlite_schema ORDER BY name";
    let before = list(&db, schema);
    let triggers: Vec<(String, String)> = {
        let mut statement = db.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY rowid").unwrap();
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    triggers.iter().for_each(|(name, _)| db.execute_batch(&format!("DROP TRIGGER {name}")).unwrap());
    db.execute_batch(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    triggers.iter().for_each(|(_, sql)| db.execute_batch(sql).unwrap());
    assert_eq!(list(&db, schema), before, "the schema is as before");
}

fn kept(dir: &Path, text: &str) {
    edit(dir, Hashes::Kept, text);
}

/// Makes every event from this one on follow its predecessor again, with true hashes; signatures are left, or made with another key.
fn chain_again(from: u64, resign: bool) -> String {
    let step = |seq_no: u64| {
        let prev = format!(
            "UPDATE events SET prev_event_hash = coalesce((SELECT event_hash FROM events WHERE seq_no = {seq_no} - 1), zeroblob(32)) WHERE seq_no = {seq_no};"
        );
        let sign = format!("UPDATE events SET signature = mallory_sign(event_hash) WHERE seq_no = {seq_no};");
        if resign { prev + &sign } else { prev }
    };
    (from..=19).map(step).collect()
}

/// Changes one byte of the file: the first of what `text` selects.
fn flip(dir: &Path, text: &str) {
    let cell = blob(&open(dir), text);
    let path = dir.join("ledger.db");
    let mut bytes = fs::read(&path).unwrap();
    let at: Vec<usize> = bytes.windows(cell.len()).enumerate().filter(|(_, window)| *window == cell).map(|(at, _)| at).collect();
    // SQLite leaves copies behind in what is free of a page; they mean nothing.
    assert!(!at.is_empty(), "{text} stands in the file");
    at.iter().for_each(|at| bytes[*at] ^= 1);
    fs::write(&path, bytes).unwrap();
}

/// Changes the last byte of a table's first page.
fn flip_page(dir: &Path, table: &str) {
    let root: i64 = open(dir).query_row("SELECT rootpage FROM sqlite_schema WHERE name = ?1", [table], |row| row.get(0)).unwrap();
    let path = dir.join("ledger.db");
    let mut bytes = fs::read(&path).unwrap();
    bytes[root as usize * 4096 - 1] ^= 1;
    fs::write(&path, bytes).unwrap();
}

/// Puts files of the folder as it was after session 2 in place of today's.
fn put_back(dir: &Path, names: &[&str]) {
    let older = dir.with_file_name("older");
    names.iter().for_each(|name| assert!(fs::copy(older.join(name), dir.join(name)).is_ok()));
}

/// The desk as power failed behind session 3, all of which is in the log beside the database; then the log is changed.
fn with_log(dir: &Path, change: fn(&mut Vec<u8>)) {
    for name in ["ledger.db", "ledger.db-wal"] {
        assert!(fs::copy(dir.with_file_name("killed").join(name), dir.join(name)).is_ok());
    }
    let log = dir.join("ledger.db-wal");
    let mut bytes = fs::read(&log).unwrap();
    change(&mut bytes);
    fs::write(&log, bytes).unwrap();
}

/// An edit that stands in the log and not yet in the database.
fn edit_in_log(dir: &Path) {
    let db = open(dir);
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    db.execute_batch("PRAGMA wal_autocheckpoint = 0; DELETE FROM records WHERE number = 4").unwrap();
    let files = ["ledger.db", "ledger.db-wal"].map(|name| (name, fs::read(dir.join(name)).unwrap()));
    drop(db);
    files.iter().for_each(|(name, bytes)| fs::write(dir.join(name), bytes).unwrap());
}

/// How a row ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ends {
    /// Nothing is wrong.
    Well,
    /// Last good event, first bad one, kind.
    Found(u64, u64, &'static str),
    /// Not opened at all, with these words.
    Refused(&'static str),
}

struct Row {
    name: &'static str,
    act: fn(&Path),
    /// What a start finds.
    start: Ends,
    /// What `witness integrity --deep` finds, where that is more.
    deep: Ends,
}

const fn row(name: &'static str, act: fn(&Path), ends: Ends) -> Row {
    Row { name, act, start: ends, deep: ends }
}

use Ends::{Found, Refused, Well};

const ROWS: &[Row] = &[
    row("untouched", |_| {}, Well),
    row("triggers dropped and put back, nothing else", |dir| kept(dir, ""), Well),
    // Triggers switched off.
    row("triggers off, an event deleted", |dir| off(dir, "DELETE FROM events WHERE seq_no = 7"), Found(6, 7, "number")),
    row("triggers off, all events deleted", |dir| off(dir, "DELETE FROM events"), Found(1, 2, "unreadable")),
    row("triggers off, the last event deleted", |dir| off(dir, "DELETE FROM events WHERE seq_no = 19"), Well),
    // Triggers dropped: one column each.
    row("an update: timestamp", |dir| kept(dir, "UPDATE events SET timestamp = timestamp + 1 WHERE seq_no = 3"), Found(2, 3, "hash")),
    row("an update: event_id", |dir| kept(dir, "UPDATE events SET event_id = '1/9' WHERE seq_no = 7"), Found(6, 7, "event-id")),
    row("an update: event_type", |dir| kept(dir, "UPDATE events SET event_type = 'notice' WHERE seq_no = 8"), Found(7, 8, "hash")),
    row("an update: payload", |dir| kept(dir, "UPDATE events SET payload = x'a0' WHERE seq_no = 13"), Found(12, 13, "hash")),
    row("an update: payload_ref", |dir| kept(dir, "UPDATE events SET payload_ref = x'a0' WHERE seq_no = 17"), Found(16, 17, "unreadable")),
    row(
        "an update: prev_event_hash",
        |dir| kept(dir, "UPDATE events SET prev_event_hash = zeroblob(32) WHERE seq_no = 9"),
        Found(8, 9, "link"),
    ),
    row("an update: public_key_id", |dir| kept(dir, "UPDATE events SET public_key_id = zeroblob(32) WHERE seq_no = 9"), Found(8, 9, "key")),
    row("an update: writer_epoch", |dir| kept(dir, "UPDATE events SET writer_epoch = 2 WHERE seq_no = 9"), Found(8, 9, "epoch")),
    row(
        "an update: the last signature",
        |dir| kept(dir, "UPDATE events SET signature = zeroblob(64) WHERE seq_no = 19"),
        Found(18, 19, "signature"),
    ),
    // The last signature commits to every event, not to the signatures before it.
    Row {
        name: "an update: an inner signature",
        act: |dir| kept(dir, "UPDATE events SET signature = zeroblob(64) WHERE seq_no = 9"),
        start: Well,
        deep: Found(8, 9, "signature"),
    },
    row("the charter's verdict replaced", |dir| kept(dir, "UPDATE events SET payload = x'a0' WHERE seq_no = 2"), Found(1, 2, "unreadable")),
    // Rows.
    row(
        "two rows swapped",
        |dir| {
            kept(
                dir,
                "UPDATE events SET seq_no = 99 WHERE seq_no = 6; UPDATE events SET seq_no = 6 WHERE seq_no = 7; UPDATE events SET seq_no = 7 WHERE seq_no = 99",
            )
        },
        Found(5, 6, "event-id"),
    ),
    row(
        "the contents of two rows swapped",
        |dir| {
            kept(
                dir,
                "UPDATE events SET payload = (SELECT payload FROM events WHERE seq_no = 13 - e.seq_no) FROM (SELECT seq_no FROM events) e WHERE events.seq_no = e.seq_no AND e.seq_no IN (6, 7)",
            )
        },
        Found(5, 6, "hash"),
    ),
    row("an event deleted from the middle", |dir| kept(dir, "DELETE FROM events WHERE seq_no = 11"), Found(10, 11, "number")),
    row(
        "an event deleted and the rest moved up",
        |dir| kept(dir, "DELETE FROM events WHERE seq_no = 11; UPDATE events SET seq_no = seq_no - 1 WHERE seq_no > 11"),
        Found(10, 11, "event-id"),
    ),
    row(
        "an event inserted in the middle",
        |dir| {
            kept(
                dir,
                "UPDATE events SET seq_no = -seq_no WHERE seq_no >= 11; UPDATE events SET seq_no = 1 - seq_no WHERE seq_no < 0;
                 INSERT INTO events (seq_no, event_id, timestamp, event_type, payload, prev_event_hash, signature, public_key_id, writer_epoch)
                 SELECT 11, '2/99', 0, 'notice', x'a0', event_hash, zeroblob(64), public_key_id, 1 FROM events WHERE seq_no = 10",
            )
        },
        Found(10, 11, "event-id"),
    ),
    row("an event added at the end, true but for the signature", |dir| edit(dir, Hashes::True, ADDED), Found(19, 20, "signature")),
    row("an event added at the end by a program that lies", |dir| kept(dir, ADDED), Found(19, 20, "hash")),
    // The end cut off.
    row("session 3 cut off, derived rows left", |dir| kept(dir, "DELETE FROM events WHERE seq_no > 14"), Found(14, 15, "derived")),
    row(
        "session 3 cut off with all that was derived",
        |dir| {
            kept(
                dir,
                "DELETE FROM events WHERE seq_no > 14; DELETE FROM records WHERE seq_no > 14; DELETE FROM verdicts WHERE seq_no > 14; DELETE FROM payloads",
            )
        },
        Found(14, 15, "missing"),
    ),
    row(
        "cut off within session 3, before it was closed",
        |dir| kept(dir, "DELETE FROM events WHERE seq_no > 17"),
        Found(17, 18, "missing"),
    ),
    // Derived tables.
    row("records: a row changed", |dir| kept(dir, "UPDATE records SET pid = zeroblob(32) WHERE number = 2"), Found(5, 6, "derived")),
    row(
        "records: ledger_head changed",
        |dir| kept(dir, "UPDATE records SET ledger_head = zeroblob(32) WHERE number = 2"),
        Found(5, 6, "derived"),
    ),
    row("records: session changed", |dir| kept(dir, "UPDATE records SET session = 2 WHERE number = 2"), Found(5, 6, "derived")),
    row("records: epoch changed", |dir| kept(dir, "UPDATE records SET writer_epoch = 2 WHERE number = 4"), Found(16, 17, "derived")),
    row("records: a row deleted", |dir| kept(dir, "DELETE FROM records WHERE number = 4"), Found(16, 17, "derived")),
    row(
        "records: a row added",
        |dir| kept(dir, "INSERT INTO records SELECT 5, 17, pid, ledger_head, 3, 1 FROM records WHERE number = 4"),
        Found(19, 20, "derived"),
    ),
    row(
        "records: two rows swapped",
        |dir| {
            kept(
                dir,
                "UPDATE records SET number = -number; UPDATE records SET number = CASE number WHEN -2 THEN 3 WHEN -3 THEN 2 ELSE -number END",
            )
        },
        Found(5, 6, "derived"),
    ),
    row("verdicts: a row changed", |dir| kept(dir, "UPDATE verdicts SET seq_no = 12 WHERE seq_no = 11"), Found(10, 11, "derived")),
    row(
        "verdicts: a row deleted, so that a paper could be judged twice",
        |dir| kept(dir, "DELETE FROM verdicts WHERE seq_no = 7"),
        Found(6, 7, "derived"),
    ),
    row(
        "verdicts: a row added, so that a paper could never be judged",
        |dir| kept(dir, "INSERT INTO verdicts VALUES (zeroblob(32), 12)"),
        Found(19, 20, "derived"),
    ),
    row("payloads: a row changed", |dir| kept(dir, "UPDATE payloads SET bytes = substr(bytes, 1, 65537)"), Found(16, 17, "unreadable")),
    row("payloads: a row deleted", |dir| kept(dir, "DELETE FROM payloads"), Found(16, 17, "unreadable")),
    row("payloads: a row added", |dir| kept(dir, "INSERT INTO payloads VALUES (zeroblob(32), x'a0')"), Found(19, 20, "derived")),
    // The chain computed anew.
    row(
        "the whole chain computed anew, the signatures left",
        |dir| edit(dir, Hashes::True, &format!("UPDATE events SET timestamp = 7 WHERE seq_no = 1; {}", chain_again(1, false))),
        Found(0, 1, "signature"),
    ),
    row(
        "the chain computed anew from session 1 on, the signatures left",
        |dir| edit(dir, Hashes::True, &format!("UPDATE events SET timestamp = 7 WHERE seq_no = 5; {}", chain_again(5, false))),
        Found(4, 5, "signature"),
    ),
    row(
        "the whole chain computed anew and signed with another key",
        |dir| edit(dir, Hashes::True, &format!("UPDATE events SET timestamp = 7, public_key_id = mallory_kid(); {}", chain_again(1, true))),
        Found(0, 1, "key"),
    ),
    row(
        "the whole chain computed anew and signed with another key under our key's name",
        |dir| edit(dir, Hashes::True, &format!("UPDATE events SET timestamp = 7; {}", chain_again(1, true))),
        Found(0, 1, "signature"),
    ),
    row(
        "session 3 computed anew and signed with another key",
        |dir| {
            edit(
                dir,
                Hashes::True,
                &format!(
                    "UPDATE events SET timestamp = 7 WHERE seq_no > 14; UPDATE events SET public_key_id = mallory_kid() WHERE seq_no > 14; {}",
                    chain_again(15, true)
                ),
            )
        },
        Found(14, 15, "key"),
    ),
    // The file, byte by byte.
    row(
        "a byte of an event's payload flipped",
        |dir| flip(dir, "SELECT payload || prev_event_hash FROM events WHERE seq_no = 8"),
        Found(7, 8, "hash"),
    ),
    row(
        "a byte of an event's hash flipped, which SQLite generates but does not check",
        |dir| flip(dir, "SELECT event_hash || signature FROM events WHERE seq_no = 5"),
        Found(4, 5, "hash"),
    ),
    row(
        "a byte of a link flipped",
        |dir| flip(dir, "SELECT prev_event_hash || event_hash FROM events WHERE seq_no = 5"),
        Found(4, 5, "link"),
    ),
    Row {
        name: "a byte of an inner signature flipped",
        act: |dir| flip(dir, "SELECT signature || public_key_id FROM events WHERE seq_no = 5"),
        start: Well,
        deep: Found(4, 5, "signature"),
    },
    row(
        "a byte of the last signature flipped",
        |dir| flip(dir, "SELECT signature || public_key_id FROM events WHERE seq_no = 19"),
        Found(18, 19, "signature"),
    ),
    row(
        "a byte of a large payload flipped",
        |dir| flip(dir, "SELECT substr(bytes, 60001, 1000) FROM payloads"),
        Found(16, 17, "unreadable"),
    ),
    row("a byte of the page of records flipped", |dir| flip_page(dir, "records"), Found(1, 2, "derived")),
    row("a byte of the page of verdicts flipped", |dir| flip_page(dir, "verdicts"), Found(1, 2, "derived")),
    row(
        "a byte of the schema flipped",
        |dir| flip(dir, "SELECT 'BEFORE DELETE ON events BEGIN' FROM (SELECT 1)"),
        Refused("malformed database schema (events_no_delete)"),
    ),
    // The schema, through SQLite's own door, and not put back.
    row(
        "writable_schema: a trigger that does nothing",
        |dir| schema(dir, "UPDATE sqlite_schema SET sql = replace(sql, 'append-only', 'append only') WHERE name = 'events_no_delete'"),
        Refused("trigger events_no_delete found with"),
    ),
    row(
        "writable_schema: a trigger removed",
        |dir| schema(dir, "DELETE FROM sqlite_schema WHERE name = 'events_no_delete'"),
        Refused("events_no_delete"),
    ),
    row(
        "writable_schema: the hash no longer generated",
        |dir| schema(dir, "UPDATE sqlite_schema SET sql = replace(sql, 'GENERATED ALWAYS AS', 'DEFAULT') WHERE name = 'events'"),
        Refused(""),
    ),
    row(
        "writable_schema: records are read from the pages of another table",
        |dir| {
            schema(
                dir,
                "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'payloads') WHERE name = 'records'",
            )
        },
        Found(1, 2, "derived"),
    ),
    row(
        "a trigger dropped and left so",
        |dir| open(dir).execute_batch("DROP TRIGGER events_no_update").unwrap(),
        Refused("events_no_update"),
    ),
    row(
        "a trigger added",
        |dir| open(dir).execute_batch("CREATE TRIGGER more AFTER INSERT ON events BEGIN SELECT 1; END").unwrap(),
        Refused("more"),
    ),
    row(
        "a trigger added whose name comes last",
        |dir| open(dir).execute_batch("CREATE TRIGGER zzz AFTER INSERT ON events BEGIN SELECT 1; END").unwrap(),
        Refused("trigger zzz on events found; no such entry expected"),
    ),
    // The log beside the database.
    row("session 3 in the log, as power failed behind it", |dir| with_log(dir, |_| {}), Well),
    row("that log removed", |dir| with_log(dir, Vec::clear), Found(14, 15, "missing")),
    row("that log with a byte of its first page flipped", |dir| with_log(dir, |log| log[100] ^= 1), Found(14, 15, "missing")),
    row("that log with another salt in its header", |dir| with_log(dir, |log| log[16] ^= 1), Found(14, 15, "missing")),
    row("an edit in the log", edit_in_log, Found(16, 17, "derived")),
    // An older copy.
    row("an older database", |dir| put_back(dir, &["ledger.db"]), Found(14, 15, "missing")),
    row("an older head file", |dir| put_back(dir, &["head"]), Found(13, 14, "head-file")),
    row(
        "an older database and head file, which nothing on this disk tells from today's",
        |dir| put_back(dir, &["ledger.db", "head"]),
        Well,
    ),
];

const ADDED: &str =
    "INSERT INTO events (seq_no, event_id, timestamp, event_type, payload, prev_event_hash, signature, public_key_id, writer_epoch)
    SELECT 20, '3/5', 0, 'notice', x'a0', event_hash, signature, public_key_id, 1 FROM events WHERE seq_no = 19";

/// With the triggers off, the schema as it is.
fn off(dir: &Path, text: &str) {
    let db = open(dir);
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    db.execute_batch(text).unwrap();
}

fn schema(dir: &Path, text: &str) {
    let db = open(dir);
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, false).unwrap();
    db.execute_batch(&format!("PRAGMA writable_schema = ON; {text}; PRAGMA writable_schema = OFF")).unwrap();
}

/// What `witness integrity` finds, by its own function, and its words. It halts what it finds bad: each time a copy.
fn found(case: &Case, deep: bool) -> (Ends, String) {
    let _ = fs::remove_dir_all(case.path("copy"));
    copy_tree(&case.path("desk"), &case.path("copy"));
    let request = Request { ledger: case.path("copy"), deep, known: None, insists: false };
    match integrity(&request, &mut || Ok(None), &mut |_, _| {}) {
        Err(problem) => (Refused(""), problem.fault.found),
        Ok(checked) => match checked.findings.expect("nobody else writes").wrong {
            None => (Well, String::new()),
            Some(wrong) => (Found(wrong.last_good_seq_no, wrong.first_bad_seq_no, wrong.kind), wrong.fault.found),
        },
    }
}

/// A file that is not opened is diagnosed: the chain may be whole, and what is wrong is in the words.
fn is_as_expected((found, said): &(Ends, String), expected: Ends) -> bool {
    match (found, expected) {
        (Refused(_) | Found(.., "schema" | "storage"), Refused(words)) => said.contains(words),
        _ => *found == expected,
    }
}

/// What a halted desk may have more than before: the `halt` event, where the chain verifies.
fn is_untouched_but_for_a_halt(dir: &Path, before: &[u8]) -> bool {
    if fs::read(dir.join("ledger.db")).unwrap() == before && fs::read(dir.join("ledger.db-wal")).map_or(true, |log| log.is_empty()) {
        return true;
    }
    let was = case_folder_of(before);
    let list_of = |dir: &Path| list(&open(dir), "SELECT seq_no || ' ' || event_id || ' ' || event_type FROM events ORDER BY seq_no");
    let (was, now) = (list_of(was.path()), list_of(dir));
    let more = now.strip_prefix(was.as_str()).map(|more| more.split(',').filter(|event| !event.trim().is_empty()).collect::<Vec<_>>());
    more.is_some_and(|more| more.len() <= 1 && more.iter().all(|event| event.ends_with(" halt")))
}

/// A folder with a database of these bytes alone.
fn case_folder_of(database: &[u8]) -> tempfile::TempDir {
    let dir = memory();
    fs::write(dir.path().join("ledger.db"), database).unwrap();
    dir
}

#[test]
fn the_desk_is_the_one_whose_numbers_are_counted_here() {
    let case = grown();
    let db = open(&case.path("witness"));
    assert_eq!(list(&db, "SELECT seq_no || ' ' || event_id || ' ' || event_type FROM events ORDER BY seq_no"), EVENTS);
    assert_eq!(list(&db, "SELECT number || ' by ' || seq_no FROM records ORDER BY number"), RECORDS);
    assert_eq!(list(&db, "SELECT CAST(seq_no AS TEXT) FROM verdicts ORDER BY seq_no"), VERDICTS);
    assert_eq!(list(&db, "SELECT CAST(count(*) AS TEXT) FROM payloads"), "1");
}

#[test]
fn what_is_done_to_the_file_is_found_with_last_good_first_bad_and_kind_and_nothing_is_signed() {
    let case = grown();
    let (mut failures, papers) = (Vec::new(), tree(&case.path("stick")));
    for row in ROWS {
        for name in ["desk", "copy", "s"] {
            let _ = fs::remove_dir_all(case.path(name));
        }
        copy_tree(&case.path("witness"), &case.path("desk"));
        copy_tree(&case.path("stick"), &case.path("s"));
        (row.act)(&case.path("desk"));
        for (deep, expected) in [(false, row.start), (true, row.deep)] {
            let found = found(&case, deep);
            if !is_as_expected(&found, expected) {
                failures.push(format!("{}, deep {deep}: {found:?}; {expected:?} expected", row.name));
            }
        }
        let code = if row.start == Well { 0 } else { 5 };
        let _ = fs::remove_dir_all(case.path("copy"));
        copy_tree(&case.path("desk"), &case.path("copy"));
        let output = case.command("witness integrity --ledger copy").output().unwrap();
        if case.path("copy/halt").exists() != (code == 5) {
            failures.push(format!("{}: integrity leaves a halt file: {}", row.name, code != 5));
        }
        if output.status.code() != Some(code) {
            failures.push(format!("{}: integrity ends with {:?}; {code} expected", row.name, output.status.code()));
        }
        if row.start == Well {
            continue;
        }
        let events = fs::read(case.path("desk/ledger.db")).unwrap();
        let session = "witness session --ledger desk --media s --expect-head $HEAD --yes --time none";
        let output = case.command(session).output().unwrap();
        if output.status.code() != Some(5) {
            failures.push(format!("{}: the session ends with {:?}; 5 expected", row.name, output.status.code()));
        }
        let written = differing(&papers, &tree(&case.path("s")));
        if !written.is_empty() {
            failures.push(format!("{}: written to the stick: {written:?}", row.name));
        }
        if !case.path("desk/halt").exists() {
            failures.push(format!("{}: the session leaves no halt file", row.name));
        }
        if !is_untouched_but_for_a_halt(&case.path("desk"), &events) {
            failures.push(format!("{}: the session wrote to the ledger", row.name));
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// The one thing that nothing on the disk tells: an older copy of database and head file. What is held elsewhere tells it.
#[test]
fn older_copy_of_everything_is_found_by_the_operators_head_or_a_stick_and_by_nothing_else() {
    let mut case = grown();
    put_back(&case.path("witness"), &["ledger.db", "head"]);
    let before = tree(&case.path("witness"));
    let said = |output: &std::process::Output| String::from_utf8_lossy(&output.stderr).into_owned();
    fs::create_dir(case.path("empty")).unwrap();

    // The operator types the head after session 3, as she knows it.
    let session = "witness session --ledger witness --media empty --expect-head $HEAD --yes --time none";
    let output = case.command(session).output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", said(&output));
    assert!(said(&output).contains("head-unexpected"), "{}", said(&output));
    let changed = differing(&before, &tree(&case.path("witness")));
    assert!(changed.iter().all(|name| ["ledger.db-wal", "ledger.db-shm"].contains(&name.as_str())), "{changed:?}");
    assert!(fs::read(case.path("witness/ledger.db-wal")).map_or(true, |log| log.is_empty()), "nothing in the log");
    assert!(tree(&case.path("empty")).is_empty());

    // She types the older one; the stick carries what this desk sealed in session 3.
    let known = case.quiet("witness status --ledger witness --head", 0);
    case.set("OLD", known.trim());
    copy_tree(&case.path("witness"), &case.path("halted"));
    let output = case.command("witness session --ledger halted --media stick --expect-head $OLD --yes --time none").output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", said(&output));
    assert!(said(&output).contains("head-elsewhere"), "{}", said(&output));

    // Old disk, old head, and a stick that brings nothing newer: it signs another common@4, as docs/threats.md says. Whoever holds both has
    // the proof.
    case.write("empty/tabellion/inbox/next.cose", Forge::put("alice", 20, &case.pin("alice"), "docs/next", b"x").bytes());
    case.quiet("witness session --ledger witness --media empty --expect-head $OLD --yes --time none", 0);
    let output = case.command("verify stick empty --pin consumer/common.pin").output().unwrap();
    assert_ne!(output.status.code(), Some(0), "two histories under one key");
}

/// The signatures of a session that were removed are what a power cut leaves: they are made again, and are the same.
#[test]
fn a_sealed_event_that_was_removed_is_made_again_with_the_same_bytes() {
    let case = grown();
    let sealed = "SELECT event_type || hex(payload) || hex(event_hash) || hex(signature) FROM events WHERE seq_no = 19";
    let before = list(&open(&case.path("witness")), sealed);
    assert!(before.starts_with("sealed"), "{before}");
    kept(&case.path("witness"), "DELETE FROM events WHERE seq_no = 19");
    assert_eq!(list(&open(&case.path("witness")), sealed), "");
    // A stick that has the text which was signed shows it: signatures go out only when they are kept.
    copy_tree(&case.path("witness"), &case.path("seen"));
    let output = case.command("witness session --ledger seen --media stick --expect-head $HEAD --yes --time none").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("[head-elsewhere]"), "{}", String::from_utf8_lossy(&output.stderr));
    fs::create_dir(case.path("empty")).unwrap();
    case.quiet("witness session --ledger witness --media empty --expect-head $HEAD --yes --time none", 0);
    assert_eq!(list(&open(&case.path("witness")), sealed), before);
}

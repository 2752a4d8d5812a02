//! What may lie in the ledger's folder: each prepared folder ends in a refusal in our words or is harmless, and the file is left as it was.
//!
//! SQLite opens by name and takes what it finds there: a journal is played back, a log of another database is read over this one, a link is
//! followed. Each row prepares a folder and says how opening to write, opening to read and the start-up check end.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

#[path = "support/place.rs"]
mod place;

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use ed25519_dalek::{Signer as _, SigningKey};
use place::memory;
use rusqlite::Connection;
use tabellion::core::event::{EventSigner, EventType, signed_message};
use tabellion::core::rules::{Checked, Fault, Rule};
use tabellion::ledger::{CheckInput, Health, Ledger, NewEvent};

struct TestSigner(SigningKey);

impl EventSigner for TestSigner {
    fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }
    fn sign_event(&self, event_hash: &[u8; 32]) -> [u8; 64] {
        self.0.sign(&signed_message(event_hash)).to_bytes()
    }
}

fn signer() -> Arc<TestSigner> {
    Arc::new(TestSigner(SigningKey::from_bytes(&[0x42; 32])))
}

fn event(index: u64, payload: &[u8]) -> NewEvent {
    let event_type = if index == 0 { EventType::Opened } else { EventType::Notice };
    NewEvent { event_id: format!("0/{index}"), timestamp: 0, event_type, payload: payload.to_vec() }
}

/// A ledger of `count` events in `dir`, open and unlocked.
fn ledger_in(dir: &Path, count: u64, payload: &[u8]) -> Ledger {
    let mut ledger = Ledger::create(dir, &[0xab; 16], signer()).unwrap();
    let events: Vec<NewEvent> = (0..count).map(|index| event(index, payload)).collect();
    ledger.commit(None, &events).unwrap();
    ledger
}

fn health(ledger: &Ledger) -> Checked<Health> {
    ledger.start_up_check(&CheckInput { ledger_keys: &[signer().public_key()], deep: true, must_hold: &[] })
}

/// Opens and checks, as a session begins.
fn begin(opened: Checked<Ledger>) -> Result<u64, String> {
    let said = |fault: Fault| format!("{}: {}", fault.rule, fault.found);
    let ledger = opened.map_err(said)?;
    health(&ledger).and_then(Health::into_checked).map_err(said)?;
    ledger.latest().map_err(said).map(|last| last.map_or(0, |event| event.seq_no))
}

/// A log of another ledger, left behind by a program that was killed: `count` events that were never checkpointed.
fn log_of(count: u64, payload: &[u8]) -> Vec<u8> {
    let dir = memory();
    let ledger = ledger_in(dir.path(), count, payload);
    let bytes = fs::read(dir.path().join("ledger.db-wal")).unwrap();
    drop(ledger);
    assert!(bytes.len() > 4096, "{count} events are in the log");
    bytes
}

/// A rollback journal that SQLite holds to be hot: it would put `page` back as the last page of the database.
fn hot_journal(db: &[u8], page: &[u8]) -> Vec<u8> {
    let pages = (db.len() / 4096) as u32;
    let (nonce, mut journal) = (7_u32, b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7".to_vec());
    for word in [1, nonce, pages, 512, 4096] {
        journal.extend(u32::to_be_bytes(word));
    }
    journal.resize(512, 0);
    let sum =
        (1..).map(|step| 4096 - 200 * step).take_while(|at| *at > 0).fold(nonce, |sum, at| sum.wrapping_add(u32::from(page[at as usize])));
    journal.extend(pages.to_be_bytes());
    journal.extend(page);
    journal.extend(sum.to_be_bytes());
    journal
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// A prepared folder: how it is made, and how a writer and a reader begin in it.
struct Row {
    name: &'static str,
    make: fn(&Path, &Path),
    writer: Result<u64, &'static str>,
    reader: Result<u64, &'static str>,
}

const fn refused(name: &'static str, make: fn(&Path, &Path), words: &'static str) -> Row {
    Row { name, make, writer: Err(words), reader: Err(words) }
}

const fn harmless(name: &'static str, make: fn(&Path, &Path)) -> Row {
    Row { name, make, writer: Ok(3), reader: Ok(3) }
}

/// `dir` is the ledger's folder, `elsewhere` another on the same disk.
const ROWS: &[Row] = &[
    harmless("the folder untouched", |_, _| {}),
    // Another place for the database.
    refused(
        "ledger.db is a symbolic link",
        |dir, elsewhere| {
            fs::rename(dir.join("ledger.db"), elsewhere.join("l")).unwrap();
            symlink(elsewhere.join("l"), dir.join("ledger.db")).unwrap();
        },
        "ledger-fault: DIR/ledger.db: a symbolic link found; a plain file expected",
    ),
    refused(
        "ledger.db has a second name, in a folder with a lock of its own",
        |dir, elsewhere| fs::hard_link(dir.join("ledger.db"), elsewhere.join("ledger.db")).unwrap(),
        "ledger-fault: DIR/ledger.db: a file with 2 names found; a plain file expected",
    ),
    refused(
        "ledger.db is a pipe",
        |dir, _| {
            fs::remove_file(dir.join("ledger.db")).unwrap();
            pipe(&dir.join("ledger.db"));
        },
        "ledger-fault: DIR/ledger.db: a device, pipe or socket found; a plain file expected",
    ),
    refused(
        "ledger.db is a folder",
        |dir, _| {
            fs::remove_file(dir.join("ledger.db")).unwrap();
            fs::create_dir(dir.join("ledger.db")).unwrap();
        },
        "ledger-fault: DIR/ledger.db: a folder found; a plain file expected",
    ),
    refused("ledger.db is gone", |dir, _| fs::remove_file(dir.join("ledger.db")).unwrap(), "not-found: DIR/ledger.db: no file found"),
    refused(
        "ledger.db is empty",
        |dir, _| fs::write(dir.join("ledger.db"), b"").unwrap(),
        "ledger-fault: the schema of the file: 0 schema entries found",
    ),
    // The write-ahead log.
    refused(
        "ledger.db-wal is a symbolic link",
        |dir, elsewhere| {
            fs::write(elsewhere.join("w"), b"").unwrap();
            symlink(elsewhere.join("w"), dir.join("ledger.db-wal")).unwrap();
        },
        "ledger-fault: DIR/ledger.db-wal: a symbolic link found; a plain file expected",
    ),
    refused(
        "ledger.db-wal is a pipe",
        |dir, _| pipe(&dir.join("ledger.db-wal")),
        "ledger-fault: DIR/ledger.db-wal: a device, pipe or socket found; a plain file expected",
    ),
    refused(
        "ledger.db-shm is a symbolic link",
        |dir, elsewhere| symlink(elsewhere.join("s"), dir.join("ledger.db-shm")).unwrap(),
        "ledger-fault: DIR/ledger.db-shm: a symbolic link found; a plain file expected",
    ),
    harmless("an empty log", |dir, _| fs::write(dir.join("ledger.db-wal"), b"").unwrap()),
    harmless("a log of noise", |dir, _| fs::write(dir.join("ledger.db-wal"), vec![0xa5; 70_000]).unwrap()),
    harmless("a log of a terabyte of nothing", |dir, _| {
        File::create(dir.join("ledger.db-wal")).unwrap().set_len(1 << 40).unwrap();
    }),
    harmless("a log of another database without its first half", |dir, _| {
        let log = log_of(9, &[0xa0]);
        fs::write(dir.join("ledger.db-wal"), &log[log.len() / 2..]).unwrap();
    }),
    // SQLite reads a log over whatever database lies beside it. Here that is another ledger's, which its key and instance tell apart.
    Row {
        name: "a log of another database",
        make: |dir, _| {
            let other = Connection::open(dir.join("other.db")).unwrap();
            other.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(30000))").unwrap();
            fs::copy(dir.join("other.db-wal"), dir.join("ledger.db-wal")).unwrap();
        },
        writer: Err("ledger-fault: "),
        reader: Err("ledger-fault: "),
    },
    // A rollback journal: played back before SQLite looks whether the database has a log.
    refused(
        "a hot journal",
        |dir, _| {
            let db = fs::read(dir.join("ledger.db")).unwrap();
            fs::write(dir.join("ledger.db-journal"), hot_journal(&db, &[0; 4096])).unwrap();
        },
        "ledger-fault: DIR/ledger.db-journal: a plain file found; nothing expected, for SQLite would play it into the ledger",
    ),
    refused(
        "an empty journal",
        |dir, _| fs::write(dir.join("ledger.db-journal"), b"").unwrap(),
        "ledger-fault: DIR/ledger.db-journal: a plain file found; nothing expected",
    ),
    refused(
        "a journal that is a link to nowhere",
        |dir, elsewhere| symlink(elsewhere.join("none"), dir.join("ledger.db-journal")).unwrap(),
        "ledger-fault: DIR/ledger.db-journal: a symbolic link found; nothing expected",
    ),
    // The lock. A reader takes none.
    Row {
        name: "the lock is a symbolic link",
        make: |dir, elsewhere| {
            fs::remove_file(dir.join("lock")).unwrap();
            symlink(elsewhere.join("made-by-us"), dir.join("lock")).unwrap();
        },
        writer: Err("ledger-fault: DIR/lock: a symbolic link found; a plain file expected"),
        reader: Ok(3),
    },
    Row {
        name: "the lock is a pipe, whose opening would wait for ever",
        make: |dir, _| {
            fs::remove_file(dir.join("lock")).unwrap();
            pipe(&dir.join("lock"));
        },
        writer: Err("ledger-fault: DIR/lock: a device, pipe or socket found; a plain file expected"),
        reader: Ok(3),
    },
    Row {
        name: "the lock is a socket",
        make: |dir, _| {
            fs::remove_file(dir.join("lock")).unwrap();
            UnixListener::bind(dir.join("lock")).unwrap();
        },
        writer: Err("ledger-fault: DIR/lock: a device, pipe or socket found; a plain file expected"),
        reader: Ok(3),
    },
    Row {
        name: "the lock is another folder's too",
        make: |dir, elsewhere| fs::hard_link(dir.join("lock"), elsewhere.join("lock")).unwrap(),
        writer: Err("ledger-fault: DIR/lock: a file with 2 names found; a plain file expected"),
        reader: Ok(3),
    },
    harmless("the lock is gone", |dir, _| fs::remove_file(dir.join("lock")).unwrap()),
    harmless("the folder is everybody's", |dir, _| fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).unwrap()),
    // Headers.
    refused(
        "another application id",
        |dir, _| pragma(dir, "application_id = 7"),
        "ledger-fault: PRAGMA application_id is Integer(7); Integer(1415668332)",
    ),
    refused(
        "no application id",
        |dir, _| pragma(dir, "application_id = 0"),
        "ledger-fault: PRAGMA application_id is Integer(0); Integer(1415668332)",
    ),
    refused(
        "another version of the schema",
        |dir, _| pragma(dir, "user_version = 2"),
        "ledger-fault: PRAGMA user_version is Integer(2); Integer(1)",
    ),
    refused(
        "a rollback journal instead of the log",
        |dir, _| pragma(dir, "journal_mode = DELETE"),
        "ledger-fault: PRAGMA journal_mode is Text(\"delete\")",
    ),
    refused(
        "journal_mode TRUNCATE, which the file keeps as no log",
        |dir, _| pragma(dir, "journal_mode = TRUNCATE"),
        "ledger-fault: DIR/ledger.db-journal: a plain file found; nothing expected",
    ),
    refused(
        "statistics",
        |dir, _| Connection::open(dir.join("ledger.db")).unwrap().execute_batch("ANALYZE").unwrap(),
        "ledger-fault: the schema of the file: table sqlite_stat1 on sqlite_stat1 found; no such entry expected",
    ),
];

fn pragma(dir: &Path, text: &str) {
    let db = Connection::open(dir.join("ledger.db")).unwrap();
    db.query_row(&format!("PRAGMA {text}"), [], |_| Ok(())).or_else(|_| db.execute_batch(&format!("PRAGMA {text}"))).unwrap();
}

/// Reading a pipe would wait for ever here as well.
fn plain_bytes(path: &Path) -> Option<Vec<u8>> {
    path.is_file().then(|| fs::read(path).unwrap())
}

#[test]
fn each_prepared_folder_is_refused_in_our_words_or_is_harmless() {
    let template = memory();
    drop(ledger_in(template.path(), 3, &[0xa0]));
    let mut failures = Vec::new();
    for row in ROWS {
        for is_writer in [true, false] {
            let (dir, elsewhere) = (memory(), memory());
            for name in ["ledger.db", "lock", "instance"] {
                fs::copy(template.path().join(name), dir.path().join(name)).unwrap();
            }
            (row.make)(dir.path(), elsewhere.path());
            let before = plain_bytes(&dir.path().join("ledger.db"));
            let (opened, expected) =
                if is_writer { (Ledger::open(dir.path()), row.writer) } else { (Ledger::open_read_only(dir.path()), row.reader) };
            let found = begin(opened).map_err(|said| said.replace(&dir.path().display().to_string(), "DIR"));
            let is_as_expected = match (&found, expected) {
                (Ok(found), Ok(expected)) => *found == expected,
                (Err(said), Err(words)) => said.starts_with(words),
                _ => false,
            };
            let who = if is_writer { "writer" } else { "reader" };
            if !is_as_expected {
                failures.push(format!("{}, {who}: {found:?}; {expected:?} expected", row.name));
            }
            if found.is_err() && !row.name.contains("a log of another database") && plain_bytes(&dir.path().join("ledger.db")) != before {
                failures.push(format!("{}, {who}: refused, and ledger.db was changed", row.name));
            }
            if elsewhere.path().join("made-by-us").exists() {
                failures.push(format!("{}, {who}: a file was made behind a link", row.name));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The journal of the table above is one that SQLite plays back: else refusing it would prove nothing.
#[test]
fn hot_journal_changes_the_ledger_for_a_program_that_does_not_look() {
    let dir = memory();
    drop(ledger_in(dir.path(), 3, &[0xa0]));
    let db = fs::read(dir.path().join("ledger.db")).unwrap();
    fs::write(dir.path().join("ledger.db-journal"), hot_journal(&db, &[0; 4096])).unwrap();
    let _ =
        Connection::open(dir.path().join("ledger.db")).unwrap().query_row("SELECT count(*) FROM events", [], |row| row.get::<_, i64>(0));
    let now = fs::read(dir.path().join("ledger.db")).unwrap();
    assert!(now != db && now[now.len() - 4096..].iter().all(|byte| *byte == 0), "the last page was put back as the journal has it");
}

#[test]
fn nothing_is_created_beside_files_that_sqlite_would_take_for_its_own() {
    for ending in ["-wal", "-shm", "-journal"] {
        let dir = memory();
        fs::write(dir.path().join(format!("ledger.db{ending}")), log_of(2, &[0xa0])).unwrap();
        let fault = Ledger::create(dir.path(), &[0xab; 16], signer()).expect_err(ending);
        assert_eq!(fault.rule, Rule::LedgerFault);
        assert!(fault.found.contains(&format!("ledger.db{ending}: a plain file found; nothing expected")), "{fault}");
        assert!(!dir.path().join("ledger.db").exists());
    }
}

/// What is done to the folder of a ledger that is open: nothing is acknowledged that no name leads to any more.
#[test]
fn file_replaced_or_removed_under_an_open_ledger_ends_its_use_before_anything_is_written() {
    type Change = (&'static str, fn(&Path));
    let changes: [Change; 9] = [
        ("ledger.db", |path| fs::remove_file(path).unwrap()),
        ("ledger.db", replace),
        ("ledger.db", |path| fs::hard_link(path, path.with_file_name("second")).unwrap()),
        ("ledger.db-wal", |path| fs::remove_file(path).unwrap()),
        ("ledger.db-wal", replace),
        ("ledger.db-shm", |path| fs::remove_file(path).unwrap()),
        ("ledger.db-shm", replace),
        ("lock", |path| fs::remove_file(path).unwrap()),
        ("lock", replace),
    ];
    for (name, change) in changes {
        let dir = memory();
        let mut ledger = ledger_in(dir.path(), 3, &[0xa0]);
        let head = ledger.head().unwrap();
        let log = fs::read(dir.path().join("ledger.db-wal")).unwrap();
        change(&dir.path().join(name));
        let fault = ledger.commit(head, &[event(3, &[0xa0])]).expect_err(name);
        assert_eq!(fault.rule, Rule::LedgerFault, "{fault}");
        assert!(fault.found.contains(&format!("{name}: ")) && fault.found.contains("expected"), "{fault}");
        assert!(ledger.is_poisoned(), "{name}: what was replaced is not tried again");
        if name != "ledger.db-wal" {
            assert!(fs::read(dir.path().join("ledger.db-wal")).unwrap() == log, "{name}: nothing was written");
        }
    }
    // The control: with nothing done to it, it goes on.
    let dir = memory();
    let mut ledger = ledger_in(dir.path(), 3, &[0xa0]);
    let head = ledger.head().unwrap();
    ledger.commit(head, &[event(3, &[0xa0])]).unwrap();
}

fn replace(path: &Path) {
    let copy = path.with_file_name("copy");
    fs::copy(path, &copy).unwrap();
    fs::rename(&copy, path).unwrap();
}

/// Replaced between the check before the transaction and its end: found before it is acknowledged.
#[test]
fn file_replaced_during_the_commit_is_found_before_it_is_acknowledged() {
    let dir = memory();
    let mut ledger = ledger_in(dir.path(), 3, &[0xa0]);
    let head = ledger.head().unwrap();
    let path = dir.path().join("ledger.db");
    let outcome = ledger.commit_observed(head, &[event(3, &[0xa0])], &mut |step| {
        if step == "commit" {
            replace(&path);
        }
    });
    let fault = outcome.expect_err("not acknowledged");
    assert!(fault.found.contains("which this process has open, expected"), "{fault}");
    assert!(ledger.is_poisoned());
}

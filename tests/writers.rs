//! One writer, and readers that nobody blocks: what two programs at one ledger do to each other.
//!
//! The lock is the operating system's and dies with its process; a program that does not ask for it is met at SQLite's own; a copy of the
//! folder has no instance file. Readers of three kinds run through whole sessions: each read succeeds and sees a whole beginning of the
//! chain.
#![cfg(feature = "desk")]
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

#[path = "support/place.rs"]
mod place;
mod stage;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use place::memory;
use rusqlite::Connection;
use stage::{Case, Forge, copy_tree, differing, seed, tree};
use tabellion::core::cbor::Writer;
use tabellion::core::event::{EventSigner, EventType};
use tabellion::core::rules::Rule;
use tabellion::keys::derive::LedgerKey;
use tabellion::ledger::{Ledger, NewEvent};

struct TestSigner(LedgerKey);

impl EventSigner for TestSigner {
    fn public_key(&self) -> [u8; 32] {
        self.0.public_bytes()
    }
    fn sign_event(&self, event_hash: &[u8; 32]) -> [u8; 64] {
        self.0.sign_event_hash(event_hash).unwrap()
    }
}

fn signer() -> Arc<TestSigner> {
    Arc::new(TestSigner(seed("witness").ledger(false)))
}

fn event(index: u64, bytes: usize) -> NewEvent {
    let mut payload = Writer::new();
    payload.array(2).uint(index).bytes(&vec![7; bytes]);
    let event_type = if index == 0 { EventType::Opened } else { EventType::Notice };
    NewEvent { event_id: format!("0/{index}"), timestamp: 0, event_type, payload: payload.finish() }
}

/// Names the folder to a child of this test.
const HOLD: &str = "TABELLION_TEST_HOLD";

/// Not a test of its own: the child of the tests below, which holds the ledger until it is killed.
#[test]
fn child_that_holds_the_ledger() {
    let Some(dir) = std::env::var_os(HOLD) else { return };
    let _held = Ledger::open(Path::new(&dir)).unwrap();
    println!("\nheld");
    loop {
        thread::sleep(Duration::from_secs(60));
    }
}

fn holder(dir: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["child_that_holds_the_ledger", "--exact", "--nocapture"]).env(HOLD, dir).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "held"), "the child holds the ledger");
    child
}

#[test]
fn lock_dies_with_the_process_that_was_killed() {
    let dir = memory();
    drop(Ledger::create(dir.path(), &[1; 16], signer()).unwrap());
    let mut child = holder(dir.path());
    let fault = Ledger::open(dir.path()).expect_err("two writers");
    assert_eq!(fault.rule, Rule::AnotherWriter);
    assert!(fault.found.contains("lock: a lock of another process found; none expected"), "{fault}");
    child.kill().unwrap();
    child.wait().unwrap();
    Ledger::open(dir.path()).expect("at once, with nothing to clear away");
}

fn says(case: &Case, arguments: &str, code: i32, words: &[&str]) {
    let output = case.command(arguments).output().unwrap();
    let text = String::from_utf8([output.stderr, output.stdout].concat()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments}\n{text}");
    words.iter().for_each(|word| assert!(text.contains(word), "{arguments} does not say {word:?}\n{text}"));
}

const SESSION: &str = "witness session --ledger witness --media stick --expect-head $HEAD --yes --time none";

/// A desk with one new paper on its stick.
fn waiting() -> Case {
    let mut case = Case::grown("writers");
    case.remember_head();
    case.write("stick/tabellion/inbox/next.cose", Forge::put("alice", 9, &case.pin("alice"), "docs/next", b"x").bytes());
    case
}

#[test]
fn second_session_ends_with_6_and_looking_goes_on() {
    let case = waiting();
    let mut child = holder(&case.path("witness"));
    let before = tree(&case.path("stick"));
    says(&case, SESSION, 6, &["another-writer", "witness/lock: a lock of another process found; none expected", "nothing was written"]);
    says(&case, "witness integrity --ledger witness", 6, &["writer", "another process holds witness/lock; nothing was checked"]);
    says(&case, "witness status --ledger witness", 0, &["common@3"]);
    assert_eq!(differing(&before, &tree(&case.path("stick"))), [""; 0]);
    child.kill().unwrap();
    child.wait().unwrap();
    says(&case, SESSION, 0, &["common@4"]);
}

#[test]
fn program_that_asks_for_no_lock_is_named_before_the_media_are_read_and_nothing_is_lost() {
    let case = waiting();
    let before = tree(&case.path("stick"));
    for begin in ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"] {
        let foreign = Connection::open(case.path("witness/ledger.db")).unwrap();
        foreign.execute_batch(begin).unwrap();
        let words = ["another-writer", "a transaction of another program on ledger.db found", "none expected", "nothing was written"];
        says(&case, SESSION, 6, &words);
        let words = "a program that does not ask for our lock has a write transaction open in witness/ledger.db; nothing was checked";
        says(&case, "witness integrity --ledger witness", 6, &["writer", words]);
        says(&case, "witness status --ledger witness", 0, &["common@3"]);
        assert_eq!(differing(&before, &tree(&case.path("stick"))), [""; 0]);
        foreign.execute_batch("ROLLBACK").unwrap();
    }
    says(&case, SESSION, 0, &["common@4"]);
}

#[test]
fn transaction_begun_by_another_program_after_opening_stops_the_commit_and_no_more() {
    let dir = memory();
    let mut ledger = Ledger::create(dir.path(), &[1; 16], signer()).unwrap();
    let head = ledger.commit(None, &[event(0, 1)]).unwrap();
    let foreign = Connection::open(dir.path().join("ledger.db")).unwrap();
    foreign.execute_batch("BEGIN IMMEDIATE").unwrap();
    let fault = ledger.commit(Some(head), &[event(1, 1)]).expect_err("another writer");
    assert_eq!(fault.rule, Rule::AnotherWriter, "{fault}");
    assert!(fault.found.starts_with("beginning: a transaction of another program on ledger.db found"), "{fault}");
    assert!(!ledger.is_poisoned(), "nothing is wrong with the disk");
    foreign.execute_batch("ROLLBACK").unwrap();
    ledger.commit(Some(head), &[event(1, 1)]).expect("the same events, once it has ended");
}

#[test]
fn copied_folder_without_its_instance_file_or_with_anothers_signs_nothing() {
    let case = waiting();
    let foreign = Case::foreign("writers-foreign");
    let before = tree(&case.path("stick"));
    copy_tree(&case.path("witness"), &case.path("copy"));
    let session = SESSION.replace("--ledger witness", "--ledger copy");
    fs::remove_file(case.path("copy/instance")).unwrap();
    says(&case, &session, 5, &["standby", "instance: no file found", "this is a copy of a desk", "nothing was written"]);
    case.write("copy/instance", foreign.read("witness/instance"));
    says(&case, &session, 5, &["ledger-fault", "copy/instance: instance \"", "expected", "nothing was written"]);
    assert_eq!(differing(&before, &tree(&case.path("stick"))), [""; 0]);
    // The control: with its own it goes on.
    case.write("copy/instance", case.read("witness/instance"));
    says(&case, &session, 0, &["common@4"]);
}

/// Number, predecessor and hash of an event.
type Link = (u64, [u8; 32], [u8; 32]);

/// A reader's view: a chain from 1 on, each event behind the one before, and never shorter than what it saw last.
fn whole_beginning(events: &[Link], seen: usize) -> Result<usize, String> {
    let mut prev = [0; 32];
    for (index, (seq_no, prev_event_hash, event_hash)) in events.iter().enumerate() {
        if *seq_no != index as u64 + 1 || *prev_event_hash != prev {
            return Err(format!("event {seq_no} found at {index}"));
        }
        prev = *event_hash;
    }
    if events.len() < seen { Err(format!("{} events, {seen} before", events.len())) } else { Ok(events.len()) }
}

fn read_by_ledger(dir: &Path, seen: usize) -> Result<usize, String> {
    let ledger = Ledger::open_read_only(dir).map_err(|fault| fault.to_string())?;
    let mut events = Vec::new();
    let all = ledger.for_each(1, |event| {
        events.push((event.seq_no, event.prev_event_hash, event.event_hash));
        Ok(())
    });
    all.map_err(|fault| fault.to_string())?;
    whole_beginning(&events, seen)
}

fn read_by_sqlite(dir: &Path, seen: usize) -> Result<usize, String> {
    let db = Connection::open(dir.join("ledger.db")).map_err(|error| error.to_string())?;
    // One statement; a single read of one state. What another program asks for without waiting is its own.
    let rows = || -> rusqlite::Result<Vec<Link>> {
        let mut statement = db.prepare("SELECT seq_no, prev_event_hash, event_hash FROM events ORDER BY seq_no")?;
        statement.query_map([], |row| Ok((row.get::<_, i64>(0)? as u64, row.get(1)?, row.get(2)?)))?.collect()
    };
    whole_beginning(&rows().map_err(|error| error.to_string())?, seen)
}

type Read = fn(&Path, usize) -> Result<usize, String>;

/// A reader that reads until it is told to stop, and that others can wait for.
#[derive(Default)]
struct Reader {
    stop: AtomicBool,
    count: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

impl Reader {
    fn keep_reading(&self, mut read: impl FnMut() -> Result<(), String>) {
        while !self.stop.load(Ordering::SeqCst) {
            if let Err(failure) = read() {
                self.failures.lock().unwrap().push(failure);
            }
            self.count.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn keep_reading_events(&self, dir: &Path, read: Read) {
        let mut seen = 0;
        self.keep_reading(|| read(dir, seen).map(|events| seen = events));
    }

    /// Returns when the reader has read so many times more: of two, at least one began after the call.
    fn wait(&self, more: usize) {
        let before = self.count.load(Ordering::SeqCst);
        while self.count.load(Ordering::SeqCst) < before + more {
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

/// Tells readers to stop when a test ends, however it does: they would keep it from ending.
struct Stopping<'a>(&'a [Reader]);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(Reader::stop);
    }
}

#[test]
fn readers_of_every_kind_run_through_sessions_and_see_whole_beginnings() {
    let mut case = waiting();
    let dir = case.path("witness");
    let status = || {
        let mut command = Command::new(stage::PROGRAM);
        let output =
            command.args(["witness", "status", "--ledger"]).arg(&dir).stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
        let said = || String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.code() == Some(0) { Ok(()) } else { Err(said()) }
    };
    let readers: [Reader; 3] = Default::default();
    thread::scope(|scope| {
        let (_stopping, dir, [by_ledger, by_sqlite, by_status]) = (Stopping(&readers), &dir, &readers);
        scope.spawn(move || by_ledger.keep_reading_events(dir, read_by_ledger));
        scope.spawn(move || by_sqlite.keep_reading_events(dir, read_by_sqlite));
        scope.spawn(|| by_status.keep_reading(status));
        for number in 0..6 {
            let paper = Forge::put("alice", 10 + number, &case.pin("alice"), &format!("docs/{number}"), b"x");
            case.write(&format!("stick/tabellion/inbox/{number}.cose"), paper.bytes());
            case.remember_head();
            case.quiet(SESSION, 0);
            // However fast a session is: each reader has read beside it or after it.
            readers.iter().for_each(|reader| reader.wait(1));
        }
    });
    for (name, reader) in ["Ledger::open_read_only", "sqlite", "witness status"].iter().zip(readers) {
        assert_eq!(reader.failures.into_inner().unwrap(), [""; 0], "{name}");
        assert!(reader.count.into_inner() >= 6, "{name}");
    }
}

#[test]
fn readers_block_no_checkpoint_for_ever_and_a_long_one_blocks_no_commit() {
    let dir = memory();
    let mut ledger = Ledger::create(dir.path(), &[1; 16], signer()).unwrap();
    let mut head = ledger.commit(None, &[event(0, 1)]).unwrap();
    // A reader that begins now and looks again when all is done: it sees what it saw.
    let long = Connection::open(dir.path().join("ledger.db")).unwrap();
    long.execute_batch("BEGIN").unwrap();
    let count = |db: &Connection| db.query_row("SELECT count(*) FROM events", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count(&long), 1);
    let readers: [Reader; 2] = Default::default();
    let log = dir.path().join("ledger.db-wal");
    thread::scope(|scope| {
        let (_stopping, dir, [by_ledger, by_sqlite]) = (Stopping(&readers), dir.path(), &readers);
        scope.spawn(move || by_ledger.keep_reading_events(dir, read_by_ledger));
        scope.spawn(move || by_sqlite.keep_reading_events(dir, read_by_sqlite));
        for index in 1..=30 {
            head = ledger.commit(Some(head), &[event(index, 300_000)]).unwrap();
        }
        readers.iter().for_each(|reader| reader.wait(1));
        assert!(log.metadata().unwrap().len() > 8 << 20, "what the long reader still needs is kept");
        assert_eq!(count(&long), 1, "one state, whatever was committed since");
        long.execute_batch("COMMIT").unwrap();
        for index in 31..=60 {
            head = ledger.commit(Some(head), &[event(index, 300_000)]).unwrap();
        }
        readers.iter().for_each(|reader| reader.wait(2));
    });
    for reader in readers {
        assert_eq!(reader.failures.into_inner().unwrap(), [""; 0]);
        assert!(reader.count.into_inner() >= 3);
    }
    assert_eq!(count(&long), 61);
    assert!(!ledger.is_poisoned());
}

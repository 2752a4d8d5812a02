//! The boundary of the ledger.
//!
//! Three connections try to write: one without our functions, by every way in that `boundary/attacks.txt` lists, directly and attached, under
//! each setting that it can change; the same with its triggers or views switched off; and one with functions that lie. The first gets
//! nothing in; what the others get in, the start-up check finds. Then come what the ledger itself promises: what it appends, what it
//! refuses to append, what it refuses to open. `tamper.rs` has what is done to a desk's file, `writers.rs` what two programs do to each other.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/place.rs"]
mod place;
#[path = "boundary/table.rs"]
mod table;

use std::path::Path;
use std::sync::Arc;

use ed25519_dalek::{Signer as _, SigningKey};
use place::memory;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::Value;
use tabellion::core::cbor::Writer;
use tabellion::core::event::{Event, EventParts, EventSigner, EventType, PayloadForm, event_hash, signature_holds, signed_message};
use tabellion::core::ids::{Hash, kid_of};
use tabellion::core::rules::{Fault, Rule};
use tabellion::ledger::{CheckInput, CorruptionKind, Health, Ledger, LedgerError, NewEvent, read_head, write_head};
use table::{attacks, try_out};
use tempfile::TempDir;

const INSTANCE: [u8; 16] = [0xab; 16];

struct TestSigner(SigningKey);

impl EventSigner for TestSigner {
    fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }
    fn sign_event(&self, event_hash: &[u8; 32]) -> [u8; 64] {
        self.0.sign(&signed_message(event_hash)).to_bytes()
    }
}

fn signer(seed: u8) -> Arc<TestSigner> {
    Arc::new(TestSigner(SigningKey::from_bytes(&[seed; 32])))
}

fn key(seed: u8) -> [u8; 32] {
    signer(seed).public_key()
}

fn new_ledger() -> (TempDir, Ledger) {
    let dir = memory();
    let ledger = Ledger::create(dir.path(), &INSTANCE, signer(0x42)).unwrap();
    (dir, ledger)
}

fn plain(dir: &Path) -> Connection {
    #[allow(clippy::disallowed_methods)] // a foreign program at the ledger's file is what these tests are about
    Connection::open(dir.join("ledger.db")).unwrap()
}

fn event(event_id: &str, event_type: EventType, payload: Vec<u8>) -> NewEvent {
    NewEvent { event_id: event_id.into(), timestamp: 1_790_000_000, event_type, payload }
}

fn small_map(value: u64) -> Vec<u8> {
    let mut w = Writer::new();
    w.map(1).uint(0).uint(value);
    w.finish()
}

fn record(number: u64, pid: u8, ledger_head: [u8; 32], session: u64, epoch: Option<u64>) -> Vec<u8> {
    let mut w = Writer::new();
    w.map(5 + usize::from(epoch.is_some())).uint(0).text("tabellion/record/1").uint(1).uint(number);
    w.uint(3).bytes(&[pid; 32]).uint(7).bytes(&ledger_head).uint(8).uint(session);
    if let Some(epoch) = epoch {
        w.uint(13).uint(epoch);
    }
    w.finish()
}

fn verdict(pid: u8, record: Option<&[u8]>) -> Vec<u8> {
    let mut w = Writer::new();
    w.map(2 + usize::from(record.is_some())).uint(0).bytes(&[pid; 32]);
    w.uint(1).text(if record.is_some() { "accepted" } else { "refused" });
    if let Some(record) = record {
        w.uint(6).bytes(record);
    }
    w.finish()
}

/// Session `s` with one accepted and one refused paper: four events.
fn session(s: u64, ledger_head: [u8; 32]) -> Vec<NewEvent> {
    let pid = 10 * (s as u8 + 1);
    vec![
        event(&format!("{s}/0"), EventType::Opened, small_map(s)),
        event(&format!("{s}/1"), EventType::Verdict, verdict(pid, Some(&record(s + 1, pid, ledger_head, s, None)))),
        event(&format!("{s}/2"), EventType::Verdict, verdict(pid + 1, None)),
        event(&format!("{s}/3"), EventType::Closed, small_map(s)),
    ]
}

/// A ledger with sessions 0 and 1: eight events.
fn two_sessions() -> (TempDir, Ledger, [u8; 32]) {
    let (dir, mut ledger) = new_ledger();
    let head = ledger.commit(None, &session(0, [0; 32])).unwrap();
    let head = ledger.commit(Some(head), &session(1, head)).unwrap();
    (dir, ledger, head)
}

fn check_with(ledger: &Ledger, deep: bool, must_hold: &[[u8; 32]]) -> Health {
    ledger.start_up_check(&CheckInput { ledger_keys: &[key(0x42)], deep, must_hold }).unwrap()
}

fn check(ledger: &Ledger) -> Health {
    check_with(ledger, false, &[])
}

/// A fault, or a refusal that carries one.
trait Told: std::fmt::Debug {
    fn fault(self) -> Fault;
}

impl Told for Fault {
    fn fault(self) -> Fault {
        self
    }
}

impl Told for LedgerError {
    fn fault(self) -> Fault {
        self.fault
    }
}

fn refusal<T: std::fmt::Debug>(outcome: Result<T, impl Told>, rule: Rule, words: &str) {
    let fault = outcome.expect_err("a refusal").fault();
    assert_eq!(fault.rule, rule, "{fault}");
    assert!(fault.found.contains(words), "{fault}");
}

fn events(ledger: &Ledger) -> Vec<Event> {
    let mut all = Vec::new();
    let outcome = ledger.for_each(1, |event| {
        all.push(event);
        Ok(())
    });
    outcome.unwrap();
    all
}

// Hash and signature were computed in Python: blake3 1.0.11 (derive_key_context), hashlib, and cryptography's Ed25519 with the seed
// 42 42 .. 42, over CBOR put together by hand.
#[test]
fn first_event_has_the_hash_and_signature_that_python_computes() {
    let (_dir, mut ledger) = new_ledger();
    let head = ledger.commit(None, &[event("0/0", EventType::Opened, vec![0xa1, 0, 0])]).unwrap();
    assert_eq!(hex::encode(head), "2c16ff78abadb4bf1b66f07ead8f128c2699f20fe641417cc6aa835743316a53");
    let first = ledger.latest().unwrap().unwrap();
    assert_eq!(hex::encode(key(0x42)), "2152f8d19b791d24453242e15f2eab6cb7cffa7b6a5ed30097960e069881db12");
    assert_eq!(first.public_key_id.hex(), "ee5ce0c67cc72d49015fb20337327af13572fc6ed9517fcc02edfb019342f36c");
    assert_eq!(
        hex::encode(first.signature),
        "74a64ace0a3026df9b0c6ff8c1f3c7eea344e0d6adf004b2402f91f3895c6db8c13b761611ab11113b5a5bec00b07af870e54f7559b5c3532eb7285a5cdc3f0a"
    );
    assert_eq!((first.seq_no, first.writer_epoch, first.prev_event_hash, first.event_hash), (1, 1, [0; 32], head));
}

#[test]
fn appended_events_chain_verify_and_are_read_back() {
    let (dir, ledger, head) = two_sessions();
    let all = events(&ledger);
    assert_eq!(all.len(), 8);
    let mut prev = [0; 32];
    for (index, event) in all.iter().enumerate() {
        assert_eq!((event.seq_no, event.prev_event_hash), (index as u64 + 1, prev));
        assert_eq!(event.hash_again(), event.event_hash);
        assert!(signature_holds(&key(0x42), &event.event_hash, &event.signature));
        assert_eq!(ledger.by_seq_no(event.seq_no).unwrap().as_ref(), Some(event));
        prev = event.event_hash;
    }
    assert_eq!((prev, ledger.head().unwrap()), (head, Some(head)));
    assert_eq!(ledger.latest().unwrap().as_ref(), all.last());
    assert_eq!(ledger.by_seq_no(9).unwrap(), None);
    assert_eq!(ledger.by_seq_no(u64::MAX).unwrap(), None);
    assert_eq!((ledger.seq_no_of_record(2).unwrap(), ledger.seq_no_of_record(3).unwrap()), (Some(6), None));
    assert_eq!(ledger.seq_no_of_verdict(&Hash([11; 32])).unwrap(), Some(3));
    assert_eq!(check_with(&ledger, true, &[head]), Health::Ok);
    drop(ledger);
    let ledger = Ledger::open(dir.path()).unwrap();
    assert_eq!(check_with(&ledger, true, &[all[3].event_hash]), Health::Ok);
    assert_eq!(events(&ledger), all);
}

#[test]
fn empty_ledger_is_healthy_and_headless() {
    let (_dir, ledger) = new_ledger();
    assert_eq!(check(&ledger), Health::Ok);
    assert_eq!((ledger.head().unwrap(), ledger.latest().unwrap()), (None, None));
}

#[test]
fn large_payload_stands_beside_its_event() {
    let (dir, mut ledger) = new_ledger();
    let mut w = Writer::new();
    w.map(1).uint(0).bytes(&vec![7; 70_000]);
    let large = w.finish();
    let head =
        ledger.commit(None, &[event("0/0", EventType::Opened, large.clone()), event("0/1", EventType::Notice, large.clone())]).unwrap();
    assert_eq!(events(&ledger).iter().filter(|event| event.payload == large).count(), 2);
    let rows: i64 = plain(dir.path()).query_row("SELECT count(*) FROM payloads", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 1, "equal payloads are kept once");
    assert_eq!(check_with(&ledger, true, &[head]), Health::Ok);

    let db = plain(dir.path());
    db.execute_batch("DROP TRIGGER payloads_no_update; UPDATE payloads SET bytes = substr(bytes, 1, 69000);").unwrap();
    assert_found(&check(&ledger), 1, CorruptionKind::Unreadable);
}

#[test]
fn commit_on_another_head_is_refused_and_nothing_written() {
    let (_dir, mut ledger, head) = two_sessions();
    refusal(ledger.commit(None, &session(2, head)), Rule::HeadUnexpected, "no event expected");
    refusal(ledger.commit(Some([1; 32]), &session(2, head)), Rule::HeadUnexpected, &hex::encode(head));
    assert_eq!(ledger.head().unwrap(), Some(head));
    assert!(!ledger.is_poisoned());
    ledger.commit(Some(head), &session(2, head)).unwrap();
}

#[test]
fn locked_ledger_appends_nothing() {
    let (dir, ledger, head) = two_sessions();
    drop(ledger);
    let mut ledger = Ledger::open(dir.path()).unwrap();
    refusal(ledger.commit(Some(head), &session(2, head)), Rule::InternalFault, "locked ledger");
    ledger.unlock(signer(0x42)).unwrap();
    assert_eq!(check_with(&ledger, false, &[]), Health::Ok);
    let head = ledger.commit(Some(head), &session(2, head)).unwrap();
    ledger.relock().unwrap();
    refusal(ledger.commit(Some(head), &session(3, head)), Rule::InternalFault, "locked ledger");
    refusal(ledger.commit(Some(head), &[]), Rule::InternalFault, "locked ledger");
}

#[test]
fn second_final_verdict_on_a_paper_is_refused() {
    let (_dir, mut ledger, head) = two_sessions();
    for again in [verdict(10, None), verdict(21, None), verdict(21, Some(&record(3, 21, head, 2, None)))] {
        let events = [event("2/0", EventType::Opened, small_map(2)), event("2/1", EventType::Verdict, again)];
        refusal(ledger.commit(Some(head), &events), Rule::LedgerFault, "the paper has its final verdict already");
    }
    let twice = [event("2/0", EventType::Verdict, verdict(90, None)), event("2/1", EventType::Verdict, verdict(90, None))];
    refusal(ledger.commit(Some(head), &twice), Rule::LedgerFault, "the paper has its final verdict already");
    assert_eq!(ledger.head().unwrap(), Some(head));
}

#[test]
fn record_with_another_ledger_head_is_refused() {
    let (_dir, mut ledger, head) = two_sessions();
    let earlier = ledger.by_seq_no(4).unwrap().unwrap().event_hash;
    for wrong in [[0; 32], earlier, [9; 32]] {
        let events = [
            event("2/0", EventType::Opened, small_map(2)),
            event("2/1", EventType::Verdict, verdict(90, Some(&record(3, 90, wrong, 2, None)))),
        ];
        refusal(ledger.commit(Some(head), &events), Rule::LedgerFault, "ledger head in the record is not the event before the last opened");
    }
}

#[test]
fn record_with_another_number_is_refused() {
    let (_dir, mut ledger, head) = two_sessions();
    for wrong in [1, 2, 4, 1 << 40] {
        let events = [
            event("2/0", EventType::Opened, small_map(2)),
            event("2/1", EventType::Verdict, verdict(90, Some(&record(wrong, 90, head, 2, None)))),
        ];
        refusal(ledger.commit(Some(head), &events), Rule::LedgerFault, "number of the record is not the next number");
    }
}

#[test]
fn domain_ledger_without_session_0_wants_zeros_in_its_records() {
    let (_dir, mut ledger) = new_ledger();
    let events = |s: u64, head: [u8; 32]| {
        [
            event(&format!("{s}/0"), EventType::Opened, small_map(s)),
            event(&format!("{s}/1"), EventType::Verdict, verdict(s as u8, Some(&record(s, s as u8, head, s, None)))),
        ]
    };
    let head = ledger.commit(None, &events(1, [0; 32])).unwrap();
    refusal(ledger.commit(Some(head), &events(2, head)), Rule::LedgerFault, "ledger head in the record");
    ledger.commit(Some(head), &events(2, [0; 32])).unwrap();
    assert_eq!(check_with(&ledger, true, &[]), Health::Ok);
}

#[test]
fn adopted_records_count_and_raise_the_epoch() {
    let (_dir, mut ledger, head) = two_sessions();
    let mut w = Writer::new();
    w.map(2).uint(0).uint(2).uint(1).array(2);
    w.raw(&record(3, 90, [5; 32], 2, None)).raw(&record(4, 91, [5; 32], 2, Some(2)));
    let head = ledger.commit(Some(head), &[event("2/0", EventType::Adopted, w.finish())]).unwrap();
    assert_eq!(ledger.latest().unwrap().unwrap().writer_epoch, 1);
    refusal(
        ledger.commit(Some(head), &[event("3/0", EventType::Verdict, verdict(90, None))]),
        Rule::LedgerFault,
        "the paper has its final verdict already",
    );
    let back = [
        event("3/0", EventType::Opened, small_map(3)),
        event("3/1", EventType::Verdict, verdict(92, Some(&record(5, 92, head, 3, Some(1))))),
    ];
    refusal(ledger.commit(Some(head), &back), Rule::LedgerFault, "writer_epoch of the record goes back");
    let on =
        [event("3/0", EventType::Opened, small_map(3)), event("3/1", EventType::Verdict, verdict(92, Some(&record(5, 92, head, 3, None))))];
    ledger.commit(Some(head), &on).unwrap();
    assert_eq!(ledger.latest().unwrap().unwrap().writer_epoch, 2);
    assert_eq!(check_with(&ledger, true, &[]), Health::Ok);
}

#[test]
fn event_ids_payloads_and_claims_out_of_form_are_refused() {
    let (_dir, mut ledger, head) = two_sessions();
    for wrong in ["1/3", "1/5", "0/4", "2/1", "1/04", "", "x", "1/4 "] {
        refusal(
            ledger.commit(Some(head), &[event(wrong, EventType::Halt, small_map(0))]),
            Rule::LedgerFault,
            "event_id does not follow the last one",
        );
    }
    for wrong in [vec![], vec![0x18, 0x17], vec![0xa0, 0xa0]] {
        refusal(ledger.commit(Some(head), &[event("1/4", EventType::Halt, wrong)]), Rule::LedgerFault, "payload is not deterministic CBOR");
    }
    let late = NewEvent { timestamp: 1 << 53, ..event("1/4", EventType::Halt, small_map(0)) };
    refusal(ledger.commit(Some(head), &[late]), Rule::LedgerFault, "an integer from 0 to 2^53 - 1");
    let never = NewEvent { timestamp: u64::MAX, ..event("1/4", EventType::Halt, small_map(0)) };
    refusal(ledger.commit(Some(head), &[never]), Rule::InternalFault, "");
    refusal(ledger.commit(Some(head), &[event("1/4", EventType::Verdict, small_map(0))]), Rule::LedgerFault, "verdict");
    assert!(!ledger.is_poisoned());
    ledger.commit(Some(head), &[event("1/4", EventType::Halt, small_map(0))]).unwrap();
}

/// Says it has one key and signs with another.
struct LyingSigner;

impl EventSigner for LyingSigner {
    fn public_key(&self) -> [u8; 32] {
        key(0x42)
    }
    fn sign_event(&self, event_hash: &[u8; 32]) -> [u8; 64] {
        signer(0x43).sign_event(event_hash)
    }
}

#[test]
fn signature_by_another_key_is_refused_before_the_commit() {
    let (dir, ledger, head) = two_sessions();
    drop(ledger);
    let mut ledger = Ledger::open(dir.path()).unwrap();
    assert_eq!(check_with(&ledger, false, &[]), Health::Ok);
    ledger.unlock(Arc::new(LyingSigner)).unwrap();
    // Every one of its signatures is bad; the first is named.
    refusal(ledger.commit(Some(head), &session(2, head)), Rule::LedgerFault, "event 9: signature ");
    assert_eq!(ledger.head().unwrap(), Some(head));
}

#[test]
fn key_rotation_is_followed_and_a_key_left_behind_is_found() {
    let (_dir, mut ledger, head) = two_sessions();
    ledger.unlock(signer(0x43)).unwrap();
    ledger.commit(Some(head), &session(2, head)).unwrap();
    let healthy =
        |ledger: &Ledger, keys: &[[u8; 32]]| ledger.start_up_check(&CheckInput { ledger_keys: keys, deep: true, must_hold: &[] }).unwrap();
    assert_eq!(healthy(&ledger, &[key(0x42), key(0x43)]), Health::Ok);
    assert_found(&healthy(&ledger, &[key(0x42)]), 9, CorruptionKind::Key);
    assert_found(&healthy(&ledger, &[key(0x43), key(0x42)]), 9, CorruptionKind::Key);
    assert_found(&healthy(&ledger, &[]), 1, CorruptionKind::Key);
}

/// Two sessions and an event with a large payload, so that every table has rows; the file alone, with no program at it.
fn full_ledger() -> (TempDir, [u8; 32]) {
    let (dir, mut ledger, head) = two_sessions();
    let mut w = Writer::new();
    w.bytes(&vec![7; 70_000]);
    let head = ledger.commit(Some(head), &[event("1/4", EventType::Notice, w.finish())]).unwrap();
    (dir, head)
}

/// How the attacker's connection reaches the ledger.
#[derive(Clone, Copy, Debug)]
enum Way {
    Direct,
    Attached,
}

fn foreign(dir: &Path, way: Way) -> (Connection, &'static str) {
    match way {
        Way::Direct => (plain(dir), "main."),
        Way::Attached => {
            let db = Connection::open_in_memory().unwrap();
            db.execute("ATTACH ?1 AS l", [dir.join("ledger.db").to_str().unwrap()]).unwrap();
            (db, "l.")
        }
    }
}

/// Nothing happened that the table does not say.
fn assert_none(failures: &[String]) {
    assert!(failures.is_empty(), "{} rows ended otherwise:\n{}", failures.len(), failures.join("\n"));
}

const SETTINGS: [&str; 7] = [
    "",
    "PRAGMA recursive_triggers = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA ignore_check_constraints = ON",
    "PRAGMA defer_foreign_keys = ON; PRAGMA foreign_keys = ON",
    "PRAGMA reverse_unordered_selects = ON; PRAGMA count_changes = ON; PRAGMA synchronous = OFF",
    "PRAGMA recursive_triggers = ON; PRAGMA ignore_check_constraints = ON; PRAGMA trusted_schema = OFF; PRAGMA read_uncommitted = ON",
];

#[test]
fn every_way_in_of_a_connection_without_our_functions_ends_as_the_table_says() {
    let (dir, head) = full_ledger();
    let mut failures = Vec::new();
    for way in [Way::Direct, Way::Attached] {
        for setting in SETTINGS {
            for attack in attacks() {
                let (db, database) = foreign(dir.path(), way);
                db.execute_batch(setting).unwrap();
                let failure = try_out(&db, database, &attack.sql(database), attack.plain);
                failures.extend(failure.map(|failure| format!("{way:?}, {setting:?}, {}: {failure}", attack.title)));
            }
        }
    }
    assert_none(&failures);
    let ledger = Ledger::open(dir.path()).unwrap();
    assert_eq!(check_with(&ledger, true, &[head]), Health::Ok);
}

#[test]
fn with_the_triggers_switched_off_no_event_comes_in_and_every_change_is_found() {
    let (template, head) = full_ledger();
    let (mut failures, mut changes) = (Vec::new(), 0);
    for attack in attacks() {
        let dir = memory();
        for name in ["ledger.db", "instance"] {
            std::fs::copy(template.path().join(name), dir.path().join(name)).unwrap();
        }
        let db = plain(dir.path());
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
        db.execute_batch("PRAGMA ignore_check_constraints = ON").unwrap();
        let events = |db: &Connection| db.query_row("SELECT count(*) FROM main.events", [], |row| row.get::<_, i64>(0)).unwrap();
        let failure = try_out(&db, "main.", &attack.sql("main."), attack.off);
        failures.extend(failure.map(|failure| format!("{}: {failure}", attack.title)));
        assert!(events(&db) <= 9, "{}: an event came in", attack.title);
        drop(db);
        let ledger = Ledger::open(dir.path()).expect("the schema is as before");
        let is_found = check_with(&ledger, false, &[head]) != Health::Ok;
        if is_found != (attack.off == "changed") {
            failures.push(format!("{}: found at start-up: {is_found}", attack.title));
        }
        changes += usize::from(is_found);
    }
    assert_none(&failures);
    assert_eq!(changes, 27, "rows of the table that work with the triggers off");
}

#[test]
fn with_views_switched_off_there_is_no_way_in_either() {
    let (dir, _) = full_ledger();
    let db = plain(dir.path());
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false).unwrap();
    let views = attacks().into_iter().filter(|attack| attack.title.starts_with("append: "));
    let failures: Vec<String> = views.filter_map(|attack| try_out(&db, "main.", &attack.sql("main."), attack.plain)).collect();
    assert_none(&failures);
    let error = db.execute_batch("SELECT * FROM append").expect_err("reading the view").to_string();
    assert!(error.contains("access to view \"append\" prohibited"), "{error}");
}

#[test]
fn triggers_of_an_attached_database_do_not_reach_the_ledger() {
    let (dir, _) = full_ledger();
    let (db, database) = foreign(dir.path(), Way::Attached);
    db.execute_batch("CREATE TABLE bait (x)").unwrap();
    let cases = [
        (
            "CREATE TRIGGER bite AFTER INSERT ON bait BEGIN DELETE FROM l.events; END",
            "qualified table names are not allowed on INSERT, UPDATE, and DELETE statements within triggers",
        ),
        (
            "CREATE TRIGGER bite AFTER INSERT ON bait BEGIN DELETE FROM events; END; INSERT INTO bait VALUES (1)",
            "no such table: main.events",
        ),
        ("CREATE TRIGGER main.bite AFTER INSERT ON l.events BEGIN SELECT 1; END", "l.events"),
        ("CREATE VIEW main.v AS SELECT * FROM l.events", "view v cannot reference objects in database l"),
    ];
    let failures: Vec<String> = cases.into_iter().filter_map(|(text, expected)| try_out(&db, database, text, expected)).collect();
    assert_none(&failures);
}

/// SQLite writes a cell in place past every trigger, unless some index holds it.
#[test]
fn cells_cannot_be_written_in_place() {
    let (dir, head) = full_ledger();
    let db = plain(dir.path());
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    let tables = ["events", "payloads", "records", "verdicts"];
    let mut tried = 0;
    for table in tables {
        let columns: Vec<String> = {
            let mut statement =
                db.prepare(&format!("SELECT name FROM pragma_table_xinfo('{table}') WHERE type IN ('BLOB', 'TEXT')")).unwrap();
            statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        for column in columns {
            let error = db.blob_open("main", table, column.as_str(), 1, false).map(drop).expect_err("no handle").to_string();
            let refused =
                ["cannot open indexed column for writing", "cannot open table without rowid", "cannot open table with generated columns"];
            assert!(refused.iter().any(|words| error.contains(words)), "{table}.{column}: {error}");
            tried += 1;
        }
    }
    assert_eq!(tried, 8 + 2 + 2 + 1, "texts and blobs of the four tables");
    drop(db);
    assert_eq!(check_with(&Ledger::open(dir.path()).unwrap(), true, &[head]), Health::Ok);
}

#[test]
fn plain_connection_reads_everything() {
    let (dir, _) = full_ledger();
    let db = plain(dir.path());
    for (text, expected) in [
        ("SELECT count(*) FROM append", Value::Integer(9)),
        ("SELECT sum(length(payload)) > 70000 FROM append", Value::Integer(1)),
        ("SELECT count(DISTINCT event_hash) FROM events", Value::Integer(9)),
        ("PRAGMA integrity_check", Value::Text("ok".into())),
        ("PRAGMA quick_check", Value::Text("ok".into())),
    ] {
        assert_eq!(db.query_row(text, [], |row| row.get::<_, Value>(0)).unwrap(), expected, "{text}");
    }
}

/// A program with functions of its own that say yes to everything can insert: the signature it does not have is found.
#[test]
fn lying_functions_let_an_event_in_and_start_up_finds_it() {
    for (hashes, kind) in [(Hashes::Forged, CorruptionKind::Signature), (Hashes::Kept, CorruptionKind::Hash)] {
        let (dir, ledger, _) = two_sessions();
        let kid = ledger.latest().unwrap().unwrap().public_key_id.0;
        drop(ledger);
        let db = plain(dir.path());
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
        db.create_scalar_function("tabellion_event_hash", 9, flags, move |context| match hashes {
            Hashes::Kept => Ok([7; 32]),
            Hashes::Forged => forged(context),
        })
        .unwrap();
        db.create_scalar_function("tabellion_public_key_id", 0, flags, move |_| Ok(kid)).unwrap();
        db.create_scalar_function("tabellion_sign", 1, flags, |_| Ok([7u8; 64])).unwrap();
        db.create_scalar_function("tabellion_sha256", 1, flags, |_| Ok([7u8; 32])).unwrap();
        db.create_scalar_function("tabellion_payload_ref", 1, flags, |_| Ok([7u8; 32])).unwrap();
        for (name, arity) in [("follows", 2), ("verify", 3), ("is_cbor", 1), ("decides", 1), ("is_record", 6), ("is_decided", 3)] {
            db.create_scalar_function(format!("tabellion_{name}").as_str(), arity, flags, |_| Ok(1)).unwrap();
        }
        for (name, arity) in [("record", 3), ("adopted", 2)] {
            db.create_scalar_function(format!("tabellion_{name}").as_str(), arity, flags, |_| Ok("[]")).unwrap();
        }
        db.execute_batch("INSERT INTO append (event_id, timestamp, event_type, payload) VALUES ('1/4', 0, 'halt', x'a0')").unwrap();
        assert_eq!(db.query_row("SELECT count(*) FROM events", [], |row| row.get::<_, i64>(0)).unwrap(), 9, "it is in");
        drop(db);
        let ledger = Ledger::open(dir.path()).expect("the schema is as before");
        assert_found(&check(&ledger), 9, kind);
    }
}

fn assert_found(health: &Health, first_bad: u64, expected: CorruptionKind) {
    match health {
        Health::Ok => panic!("nothing found; {expected:?} at {first_bad} expected"),
        Health::Corrupted { last_good_seq_no, first_bad_seq_no, kind, found } => {
            assert_eq!((*last_good_seq_no, *first_bad_seq_no, *kind), (first_bad - 1, first_bad, expected), "{found}");
            let fault = health.clone().into_checked().expect_err("a stop");
            assert!(fault.rule == Rule::ChainBroken && fault.found.contains(found.as_str()), "{fault}");
        }
    }
}

/// What an attacker's program computes as the hash of a row it changes.
#[derive(Clone, Copy)]
enum Hashes {
    /// The hash that stood there before, as an editor of pages would leave it.
    Kept,
    /// The true hash of the changed row: there is no secret in it.
    Forged,
}

fn forged(context: &rusqlite::functions::Context<'_>) -> rusqlite::Result<[u8; 32]> {
    let (prev, kid): ([u8; 32], [u8; 32]) = (context.get(6)?, context.get(7)?);
    let (event_id, word, payload): (String, String, Vec<u8>) = (context.get(1)?, context.get(3)?, context.get(4)?);
    Ok(event_hash(&EventParts {
        seq_no: context.get::<i64>(0)? as u64,
        event_id: &event_id,
        timestamp: context.get::<i64>(2)? as u64,
        event_type: word.parse().unwrap(),
        payload: PayloadForm::of(&payload),
        prev_event_hash: &prev,
        public_key_id: &Hash(kid),
        writer_epoch: context.get::<i64>(8)? as u64,
    }))
}

/// Opens the file with the triggers dropped and functions of the attacker's own, runs `text`, puts the triggers back, and checks.
fn tamper(text: &str, deep: bool, hashes: Hashes) -> Health {
    let (dir, ledger, _) = two_sessions();
    let before: Vec<[u8; 32]> = events(&ledger).iter().map(|event| event.event_hash).collect();
    drop(ledger);
    let db = plain(dir.path());
    let schema: Vec<(String, String)> = db
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let flags = rusqlite::functions::FunctionFlags::SQLITE_UTF8 | rusqlite::functions::FunctionFlags::SQLITE_DETERMINISTIC;
    db.create_scalar_function("tabellion_event_hash", 9, flags, move |context| match hashes {
        Hashes::Kept => Ok(before.get(context.get::<i64>(0)? as usize - 1).copied().unwrap_or_default()),
        Hashes::Forged => forged(context),
    })
    .unwrap();
    for (name, _) in &schema {
        db.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
    db.execute_batch(text).unwrap();
    for (_, sql) in &schema {
        db.execute_batch(sql).unwrap();
    }
    drop(db);
    let ledger = Ledger::open(dir.path()).expect("the schema is as before");
    check_with(&ledger, deep, &[])
}

#[test]
fn tampering_with_the_triggers_out_of_the_way_is_found() {
    let cases = [
        // the signature is not hashed: the last one is always checked, the others when deep
        ("UPDATE events SET signature = zeroblob(64) WHERE seq_no = 8", 8, CorruptionKind::Signature),
        ("UPDATE events SET payload = x'a10005' WHERE seq_no = 5", 5, CorruptionKind::Hash),
        ("UPDATE events SET timestamp = 5 WHERE seq_no = 3", 3, CorruptionKind::Hash),
        ("UPDATE events SET payload = NULL WHERE seq_no = 3", 3, CorruptionKind::Unreadable),
        ("UPDATE events SET event_type = 'other' WHERE seq_no = 3", 3, CorruptionKind::Unreadable),
        ("UPDATE events SET prev_event_hash = zeroblob(32) WHERE seq_no = 3", 3, CorruptionKind::Link),
        ("UPDATE events SET writer_epoch = 2 WHERE seq_no = 3", 3, CorruptionKind::Epoch),
        ("UPDATE events SET public_key_id = zeroblob(32) WHERE seq_no = 3", 3, CorruptionKind::Key),
        ("UPDATE events SET event_id = '0/9' WHERE seq_no = 3", 3, CorruptionKind::EventId),
        ("DELETE FROM events WHERE seq_no = 4", 4, CorruptionKind::Number),
        ("DELETE FROM events WHERE seq_no = 1", 1, CorruptionKind::Number),
        ("DELETE FROM events WHERE seq_no > 4", 5, CorruptionKind::Derived),
        // two rows exchanged
        (
            "UPDATE events SET seq_no = 100 WHERE seq_no = 2; UPDATE events SET seq_no = 2 WHERE seq_no = 3;
             UPDATE events SET seq_no = 3 WHERE seq_no = 100",
            2,
            CorruptionKind::EventId,
        ),
        // an event added by a program with a lying function
        (
            "INSERT INTO events (seq_no, event_id, timestamp, event_type, payload, prev_event_hash, signature, public_key_id, writer_epoch)
             SELECT 9, '1/4', 0, 'halt', x'a0', event_hash, zeroblob(64), public_key_id, 1 FROM events WHERE seq_no = 8",
            9,
            CorruptionKind::Hash,
        ),
        ("DELETE FROM records WHERE number = 2", 6, CorruptionKind::Derived),
        ("UPDATE records SET pid = zeroblob(32) WHERE number = 1", 2, CorruptionKind::Derived),
        ("UPDATE records SET writer_epoch = 7 WHERE number = 2", 6, CorruptionKind::Derived),
        ("INSERT INTO records SELECT 3, 6, pid, ledger_head, session, 1 FROM records WHERE number = 2", 9, CorruptionKind::Derived),
        ("DELETE FROM verdicts WHERE seq_no = 3", 3, CorruptionKind::Derived),
        ("UPDATE verdicts SET seq_no = 4 WHERE seq_no = 3", 3, CorruptionKind::Derived),
        ("INSERT INTO verdicts VALUES (zeroblob(32), 8)", 9, CorruptionKind::Derived),
        ("INSERT INTO payloads VALUES (zeroblob(32), x'a0')", 9, CorruptionKind::Derived),
    ];
    for (text, first_bad, kind) in cases {
        println!("{text}");
        assert_found(&tamper(text, false, Hashes::Kept), first_bad, kind);
    }
}

#[test]
fn hashes_computed_anew_do_not_hide_a_change() {
    let edited = "UPDATE events SET payload = x'a10005' WHERE seq_no = 5";
    assert_found(&tamper(edited, false, Hashes::Forged), 5, CorruptionKind::Signature);
    assert_found(&tamper(edited, true, Hashes::Forged), 5, CorruptionKind::Signature);
    let last = "UPDATE events SET payload = x'a10005' WHERE seq_no = 8";
    assert_found(&tamper(last, false, Hashes::Forged), 8, CorruptionKind::Signature);
    let whole_chain = "UPDATE events SET payload = x'a10005' WHERE seq_no = 5;
        UPDATE events SET prev_event_hash = (SELECT event_hash FROM events WHERE seq_no = 5) WHERE seq_no = 6;
        UPDATE events SET prev_event_hash = (SELECT event_hash FROM events WHERE seq_no = 6) WHERE seq_no = 7;
        UPDATE events SET prev_event_hash = (SELECT event_hash FROM events WHERE seq_no = 7) WHERE seq_no = 8";
    assert_found(&tamper(whole_chain, false, Hashes::Forged), 5, CorruptionKind::Signature);
    let added =
        "INSERT INTO events (seq_no, event_id, timestamp, event_type, payload, prev_event_hash, signature, public_key_id, writer_epoch)
        SELECT 9, '1/4', 0, 'halt', x'a0', event_hash, signature, public_key_id, 1 FROM events WHERE seq_no = 8";
    assert_found(&tamper(added, false, Hashes::Forged), 9, CorruptionKind::Signature);
}

#[test]
fn inner_signature_is_found_by_the_deep_check_and_located_when_the_last_is_wrong() {
    let inner = "UPDATE events SET signature = zeroblob(64) WHERE seq_no = 3";
    assert_eq!(tamper(inner, false, Hashes::Kept), Health::Ok, "the last signature commits to all events, not to their signatures");
    assert_found(&tamper(inner, true, Hashes::Kept), 3, CorruptionKind::Signature);
    assert_found(
        &tamper("UPDATE events SET signature = zeroblob(64) WHERE seq_no IN (3, 8)", false, Hashes::Kept),
        3,
        CorruptionKind::Signature,
    );
}

#[test]
fn tail_cut_with_all_that_was_derived_is_found_by_a_hash_held_elsewhere() {
    let (dir, ledger, head) = two_sessions();
    drop(ledger);
    let db = plain(dir.path());
    let triggers: Vec<(String, String)> = db
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND name LIKE '%no_delete'")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    triggers.iter().for_each(|(name, _)| db.execute_batch(&format!("DROP TRIGGER {name}")).unwrap());
    db.execute_batch("DELETE FROM events WHERE seq_no > 4; DELETE FROM records WHERE seq_no > 4; DELETE FROM verdicts WHERE seq_no > 4")
        .unwrap();
    triggers.iter().for_each(|(_, sql)| db.execute_batch(sql).unwrap());
    let ledger = Ledger::open(dir.path()).unwrap();
    assert_eq!(check_with(&ledger, true, &[]), Health::Ok, "a valid beginning cannot be told from the whole without a hash held elsewhere");
    assert_found(&check_with(&ledger, false, &[head]), 5, CorruptionKind::Missing);
}

#[test]
fn another_schema_is_refused_before_any_function_exists() {
    let changes = [
        ("DROP TRIGGER events_no_delete", "events_no_delete"),
        ("CREATE TABLE extra (a)", "extra"),
        ("CREATE TRIGGER evil AFTER INSERT ON events BEGIN SELECT tabellion_sign(zeroblob(32)); END", "evil"),
        (
            "DROP TRIGGER verdicts_guard_once; CREATE TRIGGER verdicts_guard_once BEFORE INSERT ON verdicts WHEN 0 BEGIN SELECT 1; END",
            "WHEN 0",
        ),
        ("DROP TRIGGER verdicts_no_update", "no trigger verdicts_no_update found"),
        ("PRAGMA user_version = 2", "user_version"),
        ("PRAGMA application_id = 7", "application_id"),
        ("PRAGMA journal_mode = DELETE", "journal_mode"),
    ];
    for (change, words) in changes {
        let (dir, ledger, _) = two_sessions();
        drop(ledger);
        plain(dir.path()).execute_batch(change).unwrap();
        refusal(Ledger::open(dir.path()), Rule::LedgerFault, words);
        refusal(Ledger::open_read_only(dir.path()), Rule::LedgerFault, words);
    }
    let (dir, mut ledger, head) = two_sessions();
    plain(dir.path()).execute_batch("DROP TRIGGER events_no_delete").unwrap();
    refusal(ledger.unlock(signer(0x42)), Rule::LedgerFault, "events_no_delete");
    assert_eq!(ledger.head().unwrap(), Some(head));
}

#[test]
fn file_that_is_no_database_is_refused() {
    let dir = memory();
    refusal(Ledger::open(dir.path()), Rule::NotFound, "ledger.db");
    refusal(Ledger::open_read_only(dir.path()), Rule::NotFound, "ledger.db");
    assert!(!dir.path().join("ledger.db").exists(), "opening makes nothing");
    std::fs::write(dir.path().join("ledger.db"), b"").unwrap();
    refusal(Ledger::open(dir.path()), Rule::LedgerFault, "schema entries found");
    std::fs::write(dir.path().join("ledger.db"), vec![7; 8192]).unwrap();
    refusal(Ledger::open(dir.path()), Rule::LedgerFault, "not a database");
    refusal(Ledger::create(dir.path(), &INSTANCE, signer(0x42)), Rule::Exists, "ledger.db");
}

#[test]
fn damaged_page_is_found() {
    let (dir, ledger, _) = two_sessions();
    drop(ledger);
    let path = dir.path().join("ledger.db");
    let root: i64 = plain(dir.path()).query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'events'", [], |row| row.get(0)).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let at = (root as usize - 1) * 4096;
    bytes[at..at + 64].fill(0xee);
    std::fs::write(&path, bytes).unwrap();
    let ledger = Ledger::open(dir.path()).unwrap();
    assert_found(&check(&ledger), 1, CorruptionKind::Storage);
}

#[test]
fn second_writer_is_refused_and_a_dropped_one_leaves_no_lock() {
    let (dir, ledger, _) = two_sessions();
    refusal(Ledger::open(dir.path()), Rule::AnotherWriter, "lock");
    refusal(Ledger::create(dir.path(), &INSTANCE, signer(0x42)), Rule::AnotherWriter, "lock");
    drop(ledger);
    let ledger = Ledger::open(dir.path()).unwrap();
    assert!(dir.path().join("lock").exists());
    drop(ledger);
    refusal(Ledger::create(dir.path(), &INSTANCE, signer(0x42)), Rule::Exists, "ledger.db");
}

#[test]
fn reader_works_beside_the_writer_and_writes_nothing() {
    let (dir, mut ledger, head) = two_sessions();
    let mut reader = Ledger::open_read_only(dir.path()).unwrap();
    assert_eq!(reader.head().unwrap(), Some(head));
    let next = ledger.commit(Some(head), &session(2, head)).unwrap();
    assert_eq!(reader.head().unwrap(), Some(next));
    assert_eq!(check_with(&reader, true, &[next]), Health::Ok);
    refusal(reader.unlock(signer(0x42)), Rule::InternalFault, "read-only");
    refusal(reader.commit(Some(next), &session(3, next)), Rule::InternalFault, "locked");
    drop(ledger);
    assert_eq!(reader.head().unwrap(), Some(next));
    drop(reader);
    assert_eq!(Ledger::open_read_only(dir.path()).unwrap().head().unwrap(), Some(next), "also with no writer about");
}

#[test]
fn instance_file_is_compared() {
    let (dir, ledger) = new_ledger();
    ledger.check_instance(&INSTANCE).unwrap();
    refusal(ledger.check_instance(&[1; 16]), Rule::LedgerFault, &hex::encode(INSTANCE));
    std::fs::remove_file(dir.path().join("instance")).unwrap();
    refusal(ledger.check_instance(&INSTANCE), Rule::NotFound, &hex::encode(INSTANCE));
}

#[test]
fn creation_that_broke_off_is_completed_and_another_instance_refused() {
    let dir = memory();
    std::fs::write(dir.path().join("instance"), format!("{}\n", hex::encode(INSTANCE))).unwrap();
    std::fs::write(dir.path().join("ledger.db.new"), b"half").unwrap();
    refusal(Ledger::create(dir.path(), &[1; 16], signer(0x42)), Rule::Exists, "instance");
    let ledger = Ledger::create(dir.path(), &INSTANCE, signer(0x42)).unwrap();
    ledger.check_instance(&INSTANCE).unwrap();
    assert!(!dir.path().join("ledger.db.new").exists());
}

#[test]
fn head_file_is_replaced_whole() {
    let dir = memory();
    assert_eq!(read_head(dir.path()).unwrap(), None);
    write_head(dir.path(), "one\n").unwrap();
    write_head(dir.path(), "two\n").unwrap();
    assert_eq!(read_head(dir.path()).unwrap().as_deref(), Some("two\n"));
    assert!(!dir.path().join("head.new").exists());
    std::fs::write(dir.path().join("head"), vec![b'x'; 65_537]).unwrap();
    refusal(read_head(dir.path()), Rule::FileFault, "65537 bytes found");
    std::fs::write(dir.path().join("head"), [0xff]).unwrap();
    refusal(read_head(dir.path()), Rule::FileFault, "head");
    refusal(write_head(&dir.path().join("nowhere"), "x"), Rule::DiskFault, "nowhere");
}

#[test]
fn key_id_is_that_of_the_ledger_key() {
    let (_dir, ledger, _) = two_sessions();
    assert!(events(&ledger).iter().all(|event| event.public_key_id == kid_of(&key(0x42))));
}

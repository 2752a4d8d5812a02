//! The boundary seen from the one connection that has the functions: even there SQL cannot rewrite, skip or forge.

mod model;
mod sequences;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ed25519_dalek::{Signer as _, SigningKey};
use rusqlite::config::DbConfig;

use super::{Ledger, NewEvent, Why};
use crate::core::cbor::Writer;
use crate::core::event::{EventParts, EventSigner, EventType, PayloadForm, event_hash, payload_ref, signed_message};
use crate::core::ids::{Hash, kid_of};
use crate::core::rules::Rule;

#[path = "../../tests/boundary/table.rs"]
mod table;

use table::{attacks, contents, try_out};

struct TestSigner(SigningKey);

impl EventSigner for TestSigner {
    fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }
    fn sign_event(&self, event_hash: &[u8; 32]) -> [u8; 64] {
        self.0.sign(&signed_message(event_hash)).to_bytes()
    }
}

fn signer() -> TestSigner {
    TestSigner(SigningKey::from_bytes(&[0x42; 32]))
}

fn three_events() -> (tempfile::TempDir, Ledger, [u8; 32]) {
    let dir = tempfile::TempDir::new().unwrap();
    let mut ledger = Ledger::create(dir.path(), &[1; 16], Arc::new(signer())).unwrap();
    let event = |index: u64| NewEvent {
        event_id: format!("0/{index}"),
        timestamp: 0,
        event_type: if index == 0 { EventType::Opened } else { EventType::Notice },
        payload: vec![0xa0],
    };
    let head = ledger.commit(None, &[event(0), event(1), event(2)]).unwrap();
    (dir, ledger, head)
}

/// A row for the base table: seq_no, event_id, payload, prev, epoch, with a true signature by the unlocked key.
fn direct(ledger: &Ledger, verb: &str, seq_no: i64, event_id: &str, prev: [u8; 32], epoch: u64) -> rusqlite::Result<usize> {
    let kid = kid_of(&signer().public_key());
    let parts = EventParts {
        seq_no: seq_no as u64,
        event_id,
        timestamp: 0,
        event_type: EventType::Halt,
        payload: PayloadForm::Bytes(&[0xa0]),
        prev_event_hash: &prev,
        public_key_id: &kid,
        writer_epoch: epoch,
    };
    let signature = signer().sign_event(&event_hash(&parts));
    ledger.db.execute(
        &format!(
            "{verb} INTO events (seq_no, event_id, timestamp, event_type, payload, prev_event_hash, signature, public_key_id, writer_epoch)
             VALUES (?1, ?2, 0, 'halt', x'a0', ?3, ?4, ?5, ?6)"
        ),
        rusqlite::params![seq_no, event_id, prev, signature, kid.0, epoch as i64],
    )
}

#[test]
fn guards_of_the_base_table_refuse_each_wrong_field_with_its_own_words() {
    let (_dir, ledger, head) = three_events();
    for verb in ["INSERT", "INSERT OR IGNORE", "INSERT OR REPLACE", "INSERT OR FAIL", "INSERT OR ROLLBACK"] {
        let cases = [
            (direct(&ledger, verb, 5, "0/3", head, 1), "seq_no is not the next number"),
            (direct(&ledger, verb, 2, "0/3", head, 1), "seq_no is not the next number"),
            (direct(&ledger, verb, 4, "0/3", [0; 32], 1), "prev_event_hash is not the hash of the last event"),
            (direct(&ledger, verb, 4, "0/2", head, 1), "event_id does not follow the last one"),
            (direct(&ledger, verb, 4, "0/3", head, 2), "writer_epoch is not the epoch in force"),
        ];
        for (outcome, words) in cases {
            let error = outcome.expect_err(words).to_string();
            assert!(error.contains(words), "{verb}: {error}");
        }
    }
    assert_eq!(ledger.head().unwrap(), Some(head));
    direct(&ledger, "INSERT", 4, "0/3", head, 1).expect("what fits in every field is an event");
}

/// A hand-over raises the epoch; a signer that was not told goes on with the old one, on a connection that has everything else.
#[test]
fn event_of_an_epoch_that_was_left_is_refused_by_the_database() {
    let (_dir, mut ledger, head) = three_events();
    let mut adopted = Writer::new();
    adopted.map(2).uint(0).uint(1).uint(1).array(1);
    adopted.map(6).uint(0).text("tabellion/record/1").uint(1).uint(1).uint(3).bytes(&[9; 32]).uint(7).bytes(&[5; 32]).uint(8).uint(0);
    adopted.uint(13).uint(2);
    let event = NewEvent { event_id: "1/0".into(), timestamp: 0, event_type: EventType::Adopted, payload: adopted.finish() };
    let head = ledger.commit(Some(head), &[event]).unwrap();
    for verb in ["INSERT", "INSERT OR IGNORE", "INSERT OR REPLACE"] {
        for (epoch, words) in [(1, "writer_epoch is not the epoch in force"), (3, "writer_epoch is not the epoch in force")] {
            let error = direct(&ledger, verb, 5, "1/1", head, epoch).expect_err(words).to_string();
            assert!(error.contains(words), "{verb}, epoch {epoch}: {error}");
        }
    }
    assert_eq!(ledger.head().unwrap(), Some(head));
    direct(&ledger, "INSERT", 5, "1/1", head, 2).expect("the epoch in force");
}

#[test]
fn guards_refuse_wrong_signatures_payloads_and_nulls() {
    let (_dir, ledger, head) = three_events();
    let columns =
        "(seq_no, event_id, timestamp, event_type, payload, payload_ref, prev_event_hash, signature, public_key_id, writer_epoch)";
    let kid = hex::encode(kid_of(&signer().public_key()).0);
    let prev = hex::encode(head);
    let good = [
        "4".to_owned(),
        "'0/3'".into(),
        "0".into(),
        "'halt'".into(),
        "x'a0'".into(),
        "NULL".into(),
        format!("x'{prev}'"),
        "zeroblob(64)".into(),
        format!("x'{kid}'"),
        "1".into(),
    ];
    let with = |index: usize, value: &str| {
        let mut row = good.clone();
        row[index] = value.to_owned();
        row.join(", ")
    };
    let cases = [
        (with(7, "zeroblob(64)"), "signature is not that of the unlocked ledger key"),
        (with(7, "zeroblob(63)"), "a blob of 64 bytes expected"),
        (with(8, "zeroblob(32)"), "signature is not that of the unlocked ledger key"),
        (with(5, "x'825820'"), "exactly one of payload and payload_ref"),
        (with(4, "NULL"), "exactly one of payload and payload_ref"),
        // Which guard speaks first is SQLite's choice; a true signature over a long payload or other CBOR is refused through `append`.
        (with(4, "zeroblob(65537)"), "is"),
        (with(4, "x'1817'"), "is"),
        (with(3, "'other'"), "event type"),
    ];
    for verb in ["INSERT", "INSERT OR IGNORE", "INSERT OR REPLACE"] {
        for (values, words) in &cases {
            let error = ledger.db.execute_batch(&format!("{verb} INTO events {columns} VALUES ({values})")).expect_err(words).to_string();
            assert!(error.contains(words), "{verb} {values}: {error}");
        }
        // A NULL in any column: refused by a guard or a function, never dropped in silence.
        for index in [0, 1, 2, 3, 4, 6, 7, 8, 9] {
            let values = with(index, "NULL");
            ledger.db.execute_batch(&format!("{verb} INTO events {columns} VALUES ({values})")).expect_err(&values);
        }
        for row in ["NULL, 0, 'halt', x'a0'", "'0/3', NULL, 'halt', x'a0'", "'0/3', 0, NULL, x'a0'", "'0/3', 0, 'halt', NULL"] {
            let text = format!("{verb} INTO append (event_id, timestamp, event_type, payload) VALUES ({row})");
            ledger.db.execute_batch(&text).expect_err(row);
        }
    }
    assert_eq!(ledger.head().unwrap(), Some(head));
}

/// With a true hash and a true signature nothing but the guard of the payload's form speaks.
#[test]
fn payload_in_the_form_of_another_length_is_refused_by_the_database() {
    let (_dir, ledger, head) = three_events();
    let kid = kid_of(&signer().public_key());
    let insert = |payload: Option<&[u8]>, reference: Option<&[u8]>, form: PayloadForm<'_>| {
        let parts = EventParts {
            seq_no: 4,
            event_id: "0/3",
            timestamp: 0,
            event_type: EventType::Halt,
            payload: form,
            prev_event_hash: &head,
            public_key_id: &kid,
            writer_epoch: 1,
        };
        let signature = signer().sign_event(&event_hash(&parts));
        ledger.db.execute(
            "INSERT INTO events (seq_no, event_id, timestamp, event_type, payload, payload_ref, prev_event_hash, signature, public_key_id,
               writer_epoch) VALUES (4, '0/3', 0, 'halt', ?1, ?2, ?3, ?4, ?5, 1)",
            rusqlite::params![payload, reference, head, signature, kid.0],
        )
    };
    // A byte string of up to 65535 bytes has three bytes before it.
    let payload_of = |length: usize| {
        let mut payload = Writer::new();
        payload.bytes(&vec![0; length - 3]);
        payload.finish()
    };
    let refused = |outcome: rusqlite::Result<usize>, words: &str| {
        let error = outcome.expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    };
    let (long, largest) = (payload_of(65_537), payload_of(65_536));
    refused(insert(Some(&long), None, PayloadForm::Bytes(&long)), "exactly one of payload (at most 65536 bytes)");
    for bytes in [&long, &largest] {
        let sha256 = Hash::of(bytes);
        ledger.db.execute("INSERT INTO payloads (sha256, bytes) VALUES (?1, ?2)", rusqlite::params![sha256.0, bytes]).unwrap();
    }
    let of = |bytes: &[u8]| PayloadForm::Ref { sha256: Hash::of(bytes), length: bytes.len() as u64 };
    refused(insert(None, Some(&payload_ref(&largest)), of(&largest)), "payload_ref is not that of a large payload");
    ledger.db.execute_batch("SAVEPOINT tried").unwrap();
    insert(None, Some(&payload_ref(&long)), of(&long)).expect("a large payload beside its event");
    ledger.db.execute_batch("ROLLBACK TO tried; RELEASE tried").unwrap();
    insert(Some(&largest), None, PayloadForm::Bytes(&largest)).expect("the largest payload in the row");
}

/// Three events, and a session in which a paper was accepted and a large payload came.
fn full_ledger() -> (tempfile::TempDir, Ledger) {
    let (dir, mut ledger, head) = three_events();
    let mut record = Writer::new();
    record.map(5).uint(0).text("tabellion/record/1").uint(1).uint(1).uint(3).bytes(&[9; 32]).uint(7).bytes(&head).uint(8).uint(1);
    let mut verdict = Writer::new();
    verdict.map(3).uint(0).bytes(&[9; 32]).uint(1).text("accepted").uint(6).bytes(&record.finish());
    let mut large = Writer::new();
    large.bytes(&vec![0; 70_000]);
    let event = |index: u64, event_type, payload| NewEvent { event_id: format!("1/{index}"), timestamp: 0, event_type, payload };
    let events = [
        event(0, EventType::Opened, vec![0xa0]),
        event(1, EventType::Verdict, verdict.finish()),
        event(2, EventType::Notice, large.finish()),
    ];
    ledger.commit(Some(head), &events).unwrap();
    (dir, ledger)
}

#[test]
fn every_way_in_of_our_own_connection_ends_as_the_table_says() {
    let (_dir, ledger) = full_ledger();
    let before = contents(&ledger.db, "main.");
    let mut failures = Vec::new();
    for attack in attacks() {
        ledger.db.execute_batch("BEGIN").unwrap();
        let failure = try_out(&ledger.db, "main.", &attack.sql("main."), attack.ours);
        failures.extend(failure.map(|failure| format!("{}: {failure}", attack.title)));
        // OR ROLLBACK has ended the transaction.
        if !ledger.db.is_autocommit() {
            ledger.db.execute_batch("ROLLBACK").unwrap();
        }
        assert!(contents(&ledger.db, "main.") == before, "{}", attack.title);
    }
    assert!(failures.is_empty(), "{} rows ended otherwise:\n{}", failures.len(), failures.join("\n"));
    let ways: Vec<&str> = attacks().iter().filter(|attack| attack.ours == "appended").map(|attack| attack.title).collect();
    assert_eq!(ways, ["append: INSERT"], "the one way in that is meant");
}

#[test]
fn our_own_connection_has_no_way_around_sql() {
    let (_dir, ledger) = full_ledger();
    let before = contents(&ledger.db, "main.");
    for (text, words) in [
        ("ATTACH ':memory:' AS other", "too many attached databases"),
        ("SELECT load_extension('x')", "not authorized"),
        ("PRAGMA writable_schema = ON; DELETE FROM sqlite_schema", "may not be modified"),
        ("UPDATE sqlite_schema SET sql = ''", "may not be modified"),
        ("CREATE VIRTUAL TABLE temp.pages USING sqlite_dbpage", "no such module: sqlite_dbpage"),
    ] {
        let error = ledger.db.execute_batch(text).expect_err(text).to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
    for (table, column) in
        [("events", "payload"), ("events", "signature"), ("events", "event_hash"), ("records", "pid"), ("payloads", "bytes")]
    {
        assert!(ledger.db.blob_open("main", table, column, 1, false).is_err(), "{table}.{column}");
    }
    assert!(contents(&ledger.db, "main.") == before);
}

/// A ledger key that spoils its signature number `at`, counted from 0.
struct Careless {
    at: u64,
    made: AtomicU64,
}

impl EventSigner for Careless {
    fn public_key(&self) -> [u8; 32] {
        signer().public_key()
    }
    fn sign_event(&self, event_hash: &[u8; 32]) -> [u8; 64] {
        let mut signature = signer().sign_event(event_hash);
        signature[40] ^= u8::from(self.made.fetch_add(1, Ordering::Relaxed) == self.at);
        signature
    }
}

fn notices(first: u64, count: u64) -> Vec<NewEvent> {
    let event = |index| NewEvent { event_id: format!("0/{index}"), timestamp: 0, event_type: EventType::Notice, payload: vec![0xa0] };
    (first..first + count).map(event).collect()
}

/// Places in the first batch, in that of the second thread, in a later one, and at the seams.
#[test]
fn bad_signature_at_any_place_of_a_commit_refuses_all_of_it_and_is_named() {
    let (_dir, mut ledger, head) = three_events();
    for (count, at) in [(1, 0), (2, 0), (2, 1), (3, 1), (300, 0), (300, 200), (300, 299), (2_100, 2_047), (2_100, 2_048), (2_100, 2_060)] {
        ledger.unlock(Arc::new(Careless { at, made: AtomicU64::new(0) })).unwrap();
        let error = ledger.commit(Some(head), &notices(3, count)).expect_err("a bad signature");
        assert_eq!((error.why, error.rule), (Why::Signature, Rule::LedgerFault), "{count} events, signature {at}: {error}");
        assert!(error.found.starts_with(&format!("event {}: signature ", at + 4)), "{count} events, signature {at}: {error}");
        assert_eq!((ledger.head().unwrap(), ledger.is_poisoned()), (Some(head), false));
    }
    ledger.unlock(Arc::new(signer())).unwrap();
    let head = ledger.commit(Some(head), &notices(3, 2_100)).expect("the same with good signatures");
    assert_eq!(ledger.latest().unwrap().map(|event| (event.seq_no, event.event_hash)), Some((2_103, head)));
}

#[test]
fn triggers_that_were_switched_off_are_missed_at_once() {
    let (_dir, mut ledger, head) = three_events();
    ledger.db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    let event = NewEvent { event_id: "0/3".into(), timestamp: 0, event_type: EventType::Halt, payload: vec![0xa0] };
    let fault = ledger.commit(Some(head), &[event]).expect_err("no INSTEAD OF trigger fires");
    assert_eq!(fault.rule, Rule::LedgerFault, "{fault}");
    assert_eq!(ledger.head().unwrap(), Some(head));
}

#[test]
fn io_error_latches_the_ledger() {
    let (_dir, mut ledger, head) = three_events();
    // A full database stands for a full disk: SQLite answers SQLITE_FULL.
    ledger.db.execute_batch("PRAGMA max_page_count = 1").unwrap();
    let mut w = Writer::new();
    w.bytes(&vec![0; 1 << 20]);
    let payload = w.finish();
    let event = NewEvent { event_id: "0/3".into(), timestamp: 0, event_type: EventType::Halt, payload };
    let fault = ledger.commit(Some(head), std::slice::from_ref(&event)).expect_err("a full disk");
    assert_eq!(fault.rule, Rule::DiskFault, "{fault}");
    assert!(ledger.is_poisoned());
    ledger.db.execute_batch("PRAGMA max_page_count = 1000000").unwrap();
    let small = NewEvent { payload: vec![0xa0], ..event };
    let again = ledger.commit(Some(head), &[small]).expect_err("nothing is tried again");
    assert!(again.found.contains("an earlier I/O error found"), "{again}");
    assert!(ledger.head().is_err() && ledger.latest().is_err() && ledger.for_each(1, |_| Ok(())).is_err());
}

#[test]
fn long_log_is_checkpointed_after_the_commit() {
    let (dir, mut ledger, mut head) = three_events();
    for index in 3..15 {
        let mut w = Writer::new();
        w.array(2).uint(index).bytes(&vec![0; 1 << 20]);
        let event = NewEvent { event_id: format!("0/{index}"), timestamp: 0, event_type: EventType::Notice, payload: w.finish() };
        head = ledger.commit(Some(head), &[event]).unwrap();
    }
    let wal = dir.path().join("ledger.db-wal").metadata().unwrap().len();
    assert!(wal < 8 << 20, "{wal} bytes of log");
    assert!(!ledger.is_poisoned());
}

#[test]
fn lookup_of_the_last_opened_event_uses_its_index() {
    let (_dir, ledger, _) = three_events();
    let text = "EXPLAIN QUERY PLAN SELECT max(seq_no) FROM events INDEXED BY events_opened WHERE event_type = 'opened'";
    let plan: String = ledger.db.query_row(text, [], |row| row.get(3)).unwrap();
    assert!(plan.contains("COVERING INDEX events_opened"), "{plan}");
}

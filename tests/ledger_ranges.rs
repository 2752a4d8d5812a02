//! The start-up check on several threads: it misses nothing at the seams between ranges, and names the same first fault as one walk does.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/place.rs"]
mod place;

use std::path::Path;
use std::sync::Arc;

use ed25519_dalek::{Signer as _, SigningKey};
use place::memory;
use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use tabellion::core::cbor::Writer;
use tabellion::core::event::{EventParts, EventSigner, EventType, PayloadForm, event_hash, signed_message};
use tabellion::core::ids::Hash;
use tabellion::ledger::{CheckInput, CorruptionKind, Effort, Health, Ledger, NewEvent};
use tempfile::TempDir;

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

fn plain(dir: &Path) -> Connection {
    #[allow(clippy::disallowed_methods)] // a foreign program at the ledger's file is what these tests are about
    Connection::open(dir.join("ledger.db")).unwrap()
}

fn event(session: u64, index: u64, event_type: EventType, payload: Vec<u8>) -> NewEvent {
    NewEvent { event_id: format!("{session}/{index}"), timestamp: 1_790_000_000, event_type, payload }
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

fn verdict(pid: u8, record: Option<Vec<u8>>) -> Vec<u8> {
    let mut w = Writer::new();
    w.map(1 + usize::from(record.is_some())).uint(0).bytes(&[pid; 32]);
    if let Some(record) = record {
        w.uint(6).bytes(&record);
    }
    w.finish()
}

/// Three sessions of four events: `opened`, an accepted paper (record of the session), a refused one, `closed`. Record 2, in event 6, begins
/// epoch 2, so that every range of some events depends on what was before it. Papers are numbered by their event.
fn twelve_events() -> (TempDir, Ledger) {
    let dir = memory();
    let mut ledger = Ledger::create(dir.path(), &[7; 16], signer()).unwrap();
    let mut head = None;
    for session in 0..3 {
        let (before, first) = (head.unwrap_or_default(), session as u8 * 4 + 1);
        let accepted = record(session + 1, first + 1, before, session, (session == 1).then_some(2));
        let events = [
            event(session, 0, EventType::Opened, small_map(session)),
            event(session, 1, EventType::Verdict, verdict(first + 1, Some(accepted))),
            event(session, 2, EventType::Verdict, verdict(first + 2, None)),
            event(session, 3, EventType::Closed, small_map(session)),
        ];
        head = Some(ledger.commit(head, &events).unwrap());
    }
    (dir, ledger)
}

/// What one walk takes, and what threads take: one event to a range, seams behind events 4 and 8, 5 and 10, and more threads than ranges.
const ALONE: Effort = Effort { threads: 1, range_events: u64::MAX };
const EFFORTS: [Effort; 6] = [
    Effort { threads: 2, range_events: 1 },
    Effort { threads: 4, range_events: 1 },
    Effort { threads: 3, range_events: 4 },
    Effort { threads: 2, range_events: 5 },
    Effort { threads: 8, range_events: 11 },
    Effort { threads: 1, range_events: 3 },
];

fn check(ledger: &Ledger, deep: bool, effort: &Effort) -> (Health, Vec<&'static str>) {
    let mut steps = Vec::new();
    let input = CheckInput { ledger_keys: &[signer().public_key()], deep, must_hold: &[] };
    let health = ledger.start_up_check_observed(&input, effort, &mut |step| steps.push(step)).unwrap();
    (health, steps)
}

#[test]
fn healthy_ledger_is_walked_once_however_it_is_split() {
    let (_dir, ledger) = twelve_events();
    for effort in [ALONE].iter().chain(&EFFORTS) {
        for deep in [false, true] {
            let steps = vec!["walk events", "compare tables", "walk pages"];
            assert_eq!(check(&ledger, deep, effort), (Health::Ok, steps), "{effort:?}");
        }
    }
    let dir = memory();
    let empty = Ledger::create(dir.path(), &[7; 16], signer()).unwrap();
    assert_eq!(check(&empty, true, &EFFORTS[0]).0, Health::Ok);
}

#[derive(Clone, Copy, Debug)]
enum Hashes {
    /// Those that stood there before.
    Kept,
    /// Computed anew for the changed rows: there is no secret in them.
    Forged,
}

fn forged(context: &Context<'_>) -> rusqlite::Result<[u8; 32]> {
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

fn hashes_of(ledger: &Ledger) -> Vec<[u8; 32]> {
    let mut hashes = Vec::new();
    let outcome = ledger.for_each_row(1, |row| {
        hashes.push(*row.event_hash);
        Ok(())
    });
    outcome.unwrap();
    hashes
}

/// Changes the file with the triggers dropped and put back, as in `tests/ledger_boundary.rs`.
fn tampered(text: &str, hashes: Hashes) -> (TempDir, Ledger) {
    let (dir, ledger) = twelve_events();
    let before = hashes_of(&ledger);
    drop(ledger);
    let db = plain(dir.path());
    let mut statement = db.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").unwrap();
    let triggers: Vec<(String, String)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    drop(statement);
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    db.create_scalar_function("tabellion_event_hash", 9, flags, move |context| match hashes {
        Hashes::Kept => Ok(before.get(context.get::<i64>(0)?.wrapping_sub(1) as usize).copied().unwrap_or_default()),
        Hashes::Forged => forged(context),
    })
    .unwrap();
    triggers.iter().for_each(|(name, _)| db.execute_batch(&format!("DROP TRIGGER {name}")).unwrap());
    db.execute_batch(text).unwrap();
    triggers.iter().for_each(|(_, sql)| db.execute_batch(sql).unwrap());
    drop(db);
    let ledger = Ledger::open(dir.path()).expect("the schema is as before");
    (dir, ledger)
}

/// The same first fault by one walk and by every split, deep or not.
fn assert_found(text: &str, hashes: Hashes, first_bad: u64, expected: CorruptionKind) {
    let (_dir, ledger) = tampered(text, hashes);
    for deep in [false, true] {
        let (alone, steps) = check(&ledger, deep, &ALONE);
        match &alone {
            Health::Ok => panic!("{text}: nothing found"),
            Health::Corrupted { last_good_seq_no, first_bad_seq_no, kind, found } => {
                let expected = (first_bad - 1, first_bad, expected);
                assert_eq!((*last_good_seq_no, *first_bad_seq_no, *kind), expected, "{text}, {hashes:?}, deep {deep}: {found}");
            }
        }
        assert_eq!(steps.last(), Some(&"walk again"), "{text}");
        for effort in &EFFORTS {
            assert_eq!(check(&ledger, deep, effort).0, alone, "{text}, {hashes:?}, deep {deep}, {effort:?}");
        }
    }
}

#[test]
fn fault_on_either_side_of_every_seam_is_found_where_it_is() {
    use CorruptionKind::{Epoch, EventId, Hash, Key, Link, Number, Unreadable};
    for at in 1..=12 {
        let set = |column: &str| format!("UPDATE events SET {column} WHERE seq_no = {at}");
        assert_found(&set("timestamp = 5"), Hashes::Kept, at, Hash);
        assert_found(&set("prev_event_hash = randomblob(32)"), Hashes::Kept, at, Link);
        assert_found(&set("event_id = '7/7'"), Hashes::Kept, at, EventId);
        assert_found(&set("public_key_id = zeroblob(32)"), Hashes::Kept, at, Key);
        assert_found(&set("writer_epoch = 9"), Hashes::Kept, at, Epoch);
        assert_found(&set("payload = NULL"), Hashes::Kept, at, Unreadable);
        if at < 12 {
            assert_found(&format!("DELETE FROM events WHERE seq_no = {at}"), Hashes::Kept, at, Number);
        }
    }
}

#[test]
fn hash_computed_anew_on_one_side_of_a_seam_breaks_the_link_on_the_other() {
    for at in 1..12 {
        // The row is whole in itself; nothing but the next one, which may belong to another range, gives it away. No signature holds.
        let (_dir, ledger) = tampered(&format!("UPDATE events SET timestamp = 5 WHERE seq_no = {at}"), Hashes::Forged);
        let (alone, _) = check(&ledger, false, &ALONE);
        let Health::Corrupted { first_bad_seq_no, kind, .. } = &alone else { panic!("event {at}: nothing found") };
        assert_eq!((*first_bad_seq_no, *kind), (at, CorruptionKind::Signature));
        for effort in &EFFORTS {
            assert_eq!(check(&ledger, false, effort).0, alone, "event {at}, {effort:?}");
        }
    }
}

#[test]
fn of_faults_in_several_ranges_the_first_is_named() {
    use CorruptionKind::{Derived, EventId, Hash, Link, Number, Unreadable};
    let cases = [
        ("UPDATE events SET timestamp = 5 WHERE seq_no IN (4, 5, 9)", 4, Hash),
        ("UPDATE events SET timestamp = 5 WHERE seq_no IN (8, 9)", 8, Hash),
        ("UPDATE events SET payload = NULL WHERE seq_no = 5; UPDATE events SET timestamp = 5 WHERE seq_no = 12", 5, Unreadable),
        ("DELETE FROM events WHERE seq_no = 9; UPDATE events SET prev_event_hash = zeroblob(32) WHERE seq_no = 5", 5, Link),
        ("DELETE FROM verdicts WHERE seq_no = 3; DELETE FROM events WHERE seq_no IN (9, 10)", 3, Derived),
        ("DELETE FROM verdicts WHERE seq_no = 11; DELETE FROM records WHERE number = 2", 6, Derived),
        (
            "UPDATE events SET seq_no = 100 WHERE seq_no = 8; UPDATE events SET seq_no = 8 WHERE seq_no = 7;
             UPDATE events SET seq_no = 7 WHERE seq_no = 100",
            7,
            EventId,
        ),
        ("UPDATE events SET seq_no = 0 WHERE seq_no = 1", 1, Number),
        ("UPDATE events SET seq_no = -7 WHERE seq_no = 12", 1, Number),
        (
            "UPDATE events SET seq_no = 100 WHERE seq_no = 4; UPDATE events SET seq_no = 4 WHERE seq_no = 5;
             UPDATE events SET seq_no = 5 WHERE seq_no = 100",
            // the first of a session may stand behind any event of the one before
            4,
            Link,
        ),
    ];
    for (text, first_bad, kind) in cases {
        assert_found(text, Hashes::Kept, first_bad, kind);
    }
}

#[test]
fn derived_tables_are_compared_whole_however_the_walk_is_split() {
    let cases = [
        ("DELETE FROM verdicts WHERE seq_no = 7", 7),
        ("UPDATE verdicts SET seq_no = 8 WHERE seq_no = 7", 7),
        // the same papers and the same numbers, otherwise put together
        ("UPDATE verdicts SET seq_no = 13 - seq_no WHERE seq_no IN (2, 11)", 2),
        ("UPDATE verdicts SET pid = zeroblob(32) WHERE seq_no = 10", 10),
        ("INSERT INTO verdicts VALUES (zeroblob(32), 5)", 13),
        ("INSERT INTO verdicts VALUES (zeroblob(32), 13)", 13),
        ("DELETE FROM records WHERE number = 3", 10),
        ("DELETE FROM records WHERE number = 1", 2),
        ("UPDATE records SET seq_no = 9 WHERE number = 3", 10),
        ("UPDATE records SET seq_no = 3 WHERE number = 2", 6),
        ("UPDATE records SET session = 7 WHERE number = 2", 6),
        ("UPDATE records SET writer_epoch = 3 WHERE number = 2", 6),
        ("UPDATE records SET writer_epoch = 1 WHERE number = 3", 10),
        ("UPDATE records SET ledger_head = zeroblob(32) WHERE number = 2", 6),
        ("UPDATE records SET pid = zeroblob(32) WHERE number = 3", 10),
        ("INSERT INTO records SELECT 4, seq_no, pid, ledger_head, session, writer_epoch FROM records WHERE number = 3", 13),
        ("INSERT INTO records SELECT -1, seq_no, pid, ledger_head, session, writer_epoch FROM records WHERE number = 3", 13),
        ("INSERT INTO payloads VALUES (zeroblob(32), x'a0')", 13),
    ];
    for (text, first_bad) in cases {
        assert_found(text, Hashes::Kept, first_bad, CorruptionKind::Derived);
    }
}

#[test]
fn payload_on_the_wrong_side_of_the_bound_is_found() {
    let dir = memory();
    let mut ledger = Ledger::create(dir.path(), &[7; 16], signer()).unwrap();
    let mut w = Writer::new();
    w.map(1).uint(0).bytes(&vec![7; 70_000]);
    ledger.commit(None, &[event(0, 0, EventType::Opened, w.finish()), event(0, 1, EventType::Closed, small_map(0))]).unwrap();
    let hashes = hashes_of(&ledger);
    drop(ledger);
    let db = plain(dir.path());
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    db.create_scalar_function("tabellion_event_hash", 9, flags, move |context| Ok(hashes[context.get::<i64>(0)? as usize - 1])).unwrap();
    let sql: String = db.query_row("SELECT sql FROM sqlite_schema WHERE name = 'events_no_update'", [], |row| row.get(0)).unwrap();
    // The payload that was hashed as a reference stands in the row: the same hash, and the row of payloads still there.
    db.execute_batch(
        "DROP TRIGGER events_no_update; UPDATE events SET payload = (SELECT bytes FROM payloads), payload_ref = NULL WHERE seq_no = 1",
    )
    .unwrap();
    db.execute_batch(&sql).unwrap();
    drop(db);
    let ledger = Ledger::open(dir.path()).unwrap();
    let (health, _) = check(&ledger, false, &ALONE);
    let Health::Corrupted { first_bad_seq_no: 1, kind: CorruptionKind::Unreadable, found, .. } = &health else { panic!("{health:?}") };
    assert!(found.contains("payload of 70007 bytes found in the row; at most 65536 expected"), "{found}");
}

/// A ledger of more than one batch of signatures.
fn long_ledger(events: u64) -> (TempDir, Ledger) {
    let dir = memory();
    let mut ledger = Ledger::create(dir.path(), &[7; 16], signer()).unwrap();
    let events: Vec<NewEvent> = (0..events).map(|index| event(0, index, EventType::Notice, small_map(index))).collect();
    ledger.commit(None, &events).unwrap();
    (dir, ledger)
}

#[test]
fn first_bad_signature_is_named_among_batches_and_before_later_faults() {
    use CorruptionKind::{Hash, Signature};
    let cases = [
        ("UPDATE events SET signature = zeroblob(64) WHERE seq_no = 1", 1, Signature),
        ("UPDATE events SET signature = zeroblob(64) WHERE seq_no IN (1024, 1025)", 1024, Signature),
        ("UPDATE events SET signature = zeroblob(64) WHERE seq_no = 1025", 1025, Signature),
        ("UPDATE events SET signature = (SELECT signature FROM events WHERE seq_no = 8) WHERE seq_no = 1080", 1080, Signature),
        // in one batch, the other fault behind it and before it
        (
            "UPDATE events SET signature = zeroblob(64) WHERE seq_no = 900; UPDATE events SET timestamp = 5 WHERE seq_no = 950",
            900,
            Signature,
        ),
        ("UPDATE events SET signature = zeroblob(64) WHERE seq_no = 950; UPDATE events SET timestamp = 5 WHERE seq_no = 900", 900, Hash),
    ];
    for (text, first_bad, expected) in cases {
        let (dir, ledger) = long_ledger(1_100);
        let before = hashes_of(&ledger);
        drop(ledger);
        let db = plain(dir.path());
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
        db.create_scalar_function("tabellion_event_hash", 9, flags, move |context| Ok(before[context.get::<i64>(0)? as usize - 1]))
            .unwrap();
        let sql: String = db.query_row("SELECT sql FROM sqlite_schema WHERE name = 'events_no_update'", [], |row| row.get(0)).unwrap();
        db.execute_batch(&format!("DROP TRIGGER events_no_update; {text}")).unwrap();
        db.execute_batch(&sql).unwrap();
        drop(db);
        let ledger = Ledger::open(dir.path()).unwrap();
        for effort in [ALONE, Effort { threads: 2, range_events: 100 }, Effort { threads: 2, range_events: 1_050 }] {
            match check(&ledger, true, &effort).0 {
                Health::Corrupted { first_bad_seq_no, kind, found, .. } => {
                    assert_eq!((first_bad_seq_no, kind), (first_bad, expected), "{text}, {effort:?}: {found}");
                }
                Health::Ok => panic!("{text}, {effort:?}: nothing found"),
            }
        }
    }
}

#[test]
fn reader_checks_one_state_while_the_writer_appends() {
    let (dir, mut ledger) = long_ledger(40);
    let reader = Ledger::open_read_only(dir.path()).unwrap();
    let mut index = 40;
    for effort in [ALONE].iter().chain(&EFFORTS) {
        let mut steps = Vec::new();
        let input = CheckInput { ledger_keys: &[signer().public_key()], deep: true, must_hold: &[] };
        let health = reader.start_up_check_observed(&input, effort, &mut |step| {
            steps.push(step);
            let head = ledger.head().unwrap();
            // An event more, and a row more that is derived from it: the reader's state is older.
            let refused = event(0, index, EventType::Verdict, verdict(index as u8, None));
            ledger.commit(head, &[refused]).unwrap();
            index += 1;
        });
        assert_eq!((health.unwrap(), steps), (Health::Ok, vec!["walk events", "compare tables", "walk pages"]), "{effort:?}");
    }
    assert_eq!(check(&ledger, true, &ALONE).0, Health::Ok);
}

//! The library's own face of the ledger: append, read, health and metrics, and a reason for each refusal that a program can match on.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/place.rs"]
mod place;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ed25519_dalek::{Signer as _, SigningKey};
use place::memory;
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use tabellion::core::event::{EventSigner, EventType, signed_message};
use tabellion::core::rules::Rule;
use tabellion::ledger::{CheckInput, CorruptionKind, Health, Ledger, NewEvent, Why};
use tempfile::TempDir;

struct Key(SigningKey);

impl EventSigner for Key {
    fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }
    fn sign_event(&self, event_hash: &[u8; 32]) -> [u8; 64] {
        self.0.sign(&signed_message(event_hash)).to_bytes()
    }
}

fn key() -> Arc<Key> {
    Arc::new(Key(SigningKey::from_bytes(&[0x42; 32])))
}

fn new_ledger() -> (TempDir, Ledger) {
    let dir = memory();
    let ledger = Ledger::create(dir.path(), &[0xab; 16], key()).unwrap();
    (dir, ledger)
}

fn event(event_id: &str, event_type: EventType, payload: &[u8]) -> NewEvent {
    NewEvent { event_id: event_id.into(), timestamp: 1_790_000_000, event_type, payload: payload.to_vec() }
}

/// A session's `opened` with an empty map.
fn opened(session: u64) -> NewEvent {
    event(&format!("{session}/0"), EventType::Opened, &[0xa0])
}

fn check(ledger: &Ledger) -> Health {
    ledger.start_up_check(&CheckInput { ledger_keys: &[key().public_key()], deep: true, must_hold: &[] }).unwrap()
}

fn spoil(dir: &Path, text: &str) {
    #[allow(clippy::disallowed_methods)] // a foreign program at the ledger's file
    let db = Connection::open(dir.join("ledger.db")).unwrap();
    db.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    // Any hash will do: nothing here is meant to pass a check.
    let flags = FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    db.create_scalar_function("tabellion_event_hash", 9, flags, |_| Ok([0_u8; 32])).unwrap();
    db.execute_batch(text).unwrap();
}

/// A verdict that refuses the paper with this id: no record.
fn verdict(event_id: &str, pid: u8) -> NewEvent {
    let mut payload = vec![0xa1, 0x00, 0x58, 0x20];
    payload.extend([pid; 32]);
    event(event_id, EventType::Verdict, &payload)
}

#[test]
fn append_takes_the_next_number_and_answers_with_the_event_as_stored() {
    let (_dir, mut ledger) = new_ledger();
    let first = ledger.append(opened(1)).unwrap();
    let second = ledger.append(event("1/1", EventType::Notice, &[0xa1, 0, 1])).unwrap();
    assert_eq!((first.seq_no, second.seq_no), (1, 2));
    assert_eq!((first.prev_event_hash, second.prev_event_hash), ([0; 32], first.event_hash));
    assert_eq!((second.event_id.as_str(), second.timestamp, second.payload.as_slice()), ("1/1", 1_790_000_000, [0xa1, 0, 1].as_slice()));
    assert_eq!(second.hash_again(), second.event_hash);
    assert_eq!(ledger.latest().unwrap(), Some(second.clone()));
    assert_eq!((ledger.by_seq_no(1).unwrap(), ledger.by_seq_no(3).unwrap()), (Some(first), None));
    assert_eq!(ledger.head().unwrap(), Some(second.event_hash));
}

/// Dropping keeps an error of the disk to itself: only what tells it may write.
#[test]
fn a_log_that_was_found_is_copied_by_write_back_and_never_by_dropping() {
    let (dir, mut ledger) = new_ledger();
    ledger.append(opened(1)).unwrap();
    ledger.keep_log_on_close(true).unwrap();
    drop(ledger);
    let of = |name: &str| std::fs::read(dir.path().join(name)).ok();
    let (database, log) = (of("ledger.db"), of("ledger.db-wal"));
    assert!(log.as_ref().is_some_and(|log| !log.is_empty()));
    drop(Ledger::open(dir.path()).unwrap());
    assert!((of("ledger.db"), of("ledger.db-wal")) == (database.clone(), log));
    let ledger = Ledger::open(dir.path()).unwrap();
    ledger.write_back().unwrap();
    drop(ledger);
    assert!(of("ledger.db") != database && of("ledger.db-wal").is_none());
    assert_eq!(Ledger::open_read_only(dir.path()).unwrap().latest().unwrap().map(|event| event.seq_no), Some(1));
}

#[test]
fn each_refusal_has_its_own_reason_and_the_words_of_the_guard() {
    let (_dir, mut ledger) = new_ledger();
    ledger.append(opened(1)).unwrap();
    ledger.append(verdict("1/1", 7)).unwrap();
    let long = NewEvent { timestamp: u64::MAX, ..opened(2) };
    for (tried, why, says) in [
        (opened(1), Why::DuplicateEventId, "event_id does not follow the last one"),
        (event("1/3", EventType::Notice, &[0xa0]), Why::EventId, "event_id does not follow the last one"),
        (event("1/2", EventType::Notice, &[0xa0, 0]), Why::PayloadCbor, "payload is not deterministic CBOR"),
        (verdict("1/2", 7), Why::DuplicateVerdict, "the paper has its final verdict already"),
        (long, Why::InvalidEvent, "2/0"),
    ] {
        let refusal = ledger.append(tried.clone()).unwrap_err();
        assert_eq!(refusal.why, why, "{tried:?}");
        assert!(refusal.found.contains(says), "{}", refusal.found);
    }
    let other_head = ledger.commit(Some([9; 32]), &[opened(2)]).unwrap_err();
    assert_eq!((other_head.why, other_head.rule), (Why::HeadUnexpected, Rule::HeadUnexpected));
    assert!(other_head.found.contains(&"09".repeat(32)), "{}", other_head.found);
    let head = ledger.head().unwrap();
    let twice = ledger.commit(head, &[opened(2), opened(2)]).unwrap_err();
    assert_eq!(twice.why, Why::DuplicateEventId);
    assert_eq!(ledger.commit(head, &[]).unwrap_err().why, Why::NothingToAppend);
    ledger.relock().unwrap();
    assert_eq!(ledger.append(opened(2)).unwrap_err().why, Why::Locked);

    assert_eq!(ledger.latest().unwrap().unwrap().seq_no, 2, "nothing of all this is in the ledger");
    let metrics = ledger.metrics();
    let counted: Vec<(&str, u64)> = metrics.appends_refused_total.iter().map(|(why, count)| (why.word(), *count)).collect();
    let expected = [
        ("head-unexpected", 1),
        ("duplicate-event-id", 2),
        ("event-id-not-next", 1),
        ("payload-not-cbor", 1),
        ("duplicate-verdict", 1),
        ("invalid-event", 1),
        ("nothing-to-append", 1),
        ("locked", 1),
    ];
    assert_eq!(counted, expected);
    assert_eq!((metrics.events_appended_total, metrics.commits_total, metrics.latches_total), (2, 2, 0));
}

#[test]
fn iterate_walks_in_order_within_its_bound_and_names_a_gap() {
    let (dir, mut ledger) = new_ledger();
    // More than two pages.
    for session in 1..=70 {
        ledger.append(opened(session)).unwrap();
    }
    let numbers = |from, limit| -> Vec<u64> { ledger.iterate(from, limit).map(|event| event.unwrap().seq_no).collect() };
    assert_eq!(numbers(1, 100), (1..=70).collect::<Vec<_>>());
    assert_eq!(numbers(0, 100), (1..=70).collect::<Vec<_>>());
    assert_eq!(numbers(31, 33), (31..=63).collect::<Vec<_>>());
    for (from, limit) in [(1, 0), (71, 5), (u64::MAX, 5)] {
        assert_eq!(numbers(from, limit), [0_u64; 0], "{from} {limit}");
    }
    assert_eq!(numbers(70, u64::MAX), [70]);

    spoil(dir.path(), "DELETE FROM events WHERE seq_no = 40");
    let mut walk = ledger.iterate(38, 10);
    assert_eq!([walk.next().unwrap().unwrap().seq_no, walk.next().unwrap().unwrap().seq_no], [38, 39]);
    let fault = walk.next().unwrap().unwrap_err();
    assert_eq!((fault.rule, fault.found.as_str()), (Rule::LedgerFault, "event 41 found; event 40 expected"));
    assert!(walk.next().is_none(), "the walk goes on behind an error");
}

#[test]
fn what_was_not_checked_by_this_process_takes_nothing() {
    let (dir, mut ledger) = new_ledger();
    // Just made, and empty then: there was nothing to check.
    ledger.append(opened(1)).unwrap();
    drop(ledger);
    let mut ledger = Ledger::open(dir.path()).unwrap();
    ledger.unlock(key()).unwrap();
    let head = ledger.head().unwrap();
    for refusal in [ledger.append(opened(2)).unwrap_err(), ledger.commit(head, &[opened(2)]).unwrap_err()] {
        assert_eq!((refusal.why, refusal.rule), (Why::Unchecked, Rule::InternalFault));
        assert_eq!(refusal.found, "an unchecked ledger found; one that passed its start-up check in this process expected");
    }
    assert_eq!(ledger.latest().unwrap().unwrap().seq_no, 1);
    assert_eq!((ledger.health().word(), ledger.metrics().appends_refused_total[&Why::Unchecked]), ("unchecked", 2));
    // Not even a head that is wrong is looked at, and a check of another process is none of this one's.
    assert_eq!(check(&Ledger::open_read_only(dir.path()).unwrap()), Health::Ok);
    assert_eq!(ledger.commit(Some([9; 32]), &[opened(2)]).unwrap_err().why, Why::Unchecked);
    assert_eq!(check(&ledger), Health::Ok);
    assert_eq!(ledger.append(opened(2)).unwrap().seq_no, 2);
}

#[test]
fn after_corruption_was_found_nothing_is_appended_by_this_process() {
    let (dir, mut ledger) = new_ledger();
    ledger.append(opened(1)).unwrap();
    ledger.append(opened(2)).unwrap();
    assert_eq!(ledger.health().word(), "unchecked");
    assert_eq!(check(&ledger), Health::Ok);
    assert!(ledger.health().is_ok());

    spoil(dir.path(), "INSERT INTO verdicts (pid, seq_no) VALUES (x'07', 2)");
    let found = check(&ledger);
    let values = "1 rows in verdicts found; 0 expected".to_owned();
    let expected = Health::Corrupted { last_good_seq_no: 2, first_bad_seq_no: 3, kind: CorruptionKind::Derived, found: values };
    assert_eq!(found, expected);
    assert_eq!((ledger.health().word(), ledger.health().checked.as_ref()), ("corrupted", Some(&found)));
    let refusal = ledger.append(opened(3)).unwrap_err();
    assert_eq!((refusal.why, refusal.rule), (Why::Corrupted, Rule::ChainBroken));
    assert!(refusal.found.contains("event 3, derived: 1 rows in verdicts found; 0 expected"), "{}", refusal.found);
    assert_eq!(ledger.by_seq_no(1).unwrap().unwrap().event_id, "1/0", "reading goes on");

    // Put right behind its back: only a new process begins anew.
    spoil(dir.path(), "DELETE FROM verdicts");
    assert_eq!(check(&ledger), Health::Ok);
    assert_eq!((ledger.health().word(), ledger.append(opened(3)).unwrap_err().why), ("corrupted", Why::Corrupted));
    let metrics = ledger.metrics();
    assert_eq!((metrics.startup_checks_total, metrics.corruptions_detected_total, metrics.last_check_events), (3, 1, 2));
    drop(ledger);
    let mut ledger = Ledger::open(dir.path()).unwrap();
    assert_eq!(check(&ledger), Health::Ok);
    ledger.unlock(key()).unwrap();
    assert_eq!(ledger.append(opened(3)).unwrap().seq_no, 3);
}

#[test]
fn latencies_are_those_of_the_clock_that_was_given_and_none_without_one() {
    static NOW_US: AtomicU64 = AtomicU64::new(0);
    let (_dir, mut ledger) = new_ledger();
    ledger.append(opened(1)).unwrap();
    assert_eq!(ledger.metrics().append_latency.count, 0);
    // Each question is answered 700 microseconds later.
    ledger.measure_with(|| NOW_US.fetch_add(700, Ordering::SeqCst));
    ledger.append(opened(2)).unwrap();
    ledger.append(opened(3)).unwrap();
    check(&ledger);
    let metrics = ledger.metrics();
    let [append, check] = [metrics.append_latency, metrics.check_latency];
    assert_eq!((append.count, append.sum_us, append.last_us, append.buckets), (2, 1400, 700, [0, 2, 2, 2, 2, 2]));
    assert_eq!((check.count, check.sum_us), (1, 700));
}

#[test]
fn tally_counts_what_the_tables_hold_also_when_nothing_in_them_holds() {
    let (dir, mut ledger) = new_ledger();
    ledger.append(opened(1)).unwrap();
    ledger.append(verdict("1/1", 7)).unwrap();
    spoil(dir.path(), "UPDATE events SET event_type = 'a\"b\nc' WHERE seq_no = 1");
    let tally = ledger.tally().unwrap();
    assert_eq!(tally.events_by_type, [("a\"b\nc".to_owned(), 1), ("verdict".to_owned(), 1)].into());
    assert_eq!((tally.records, tally.verdicts, tally.payloads), (0, 1, 0));
    assert!(tally.file_bytes["ledger.db"] > 0);
}

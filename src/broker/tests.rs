//! The line against every order in which things can happen, and the broker with a real ledger behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use ed25519_dalek::{Signer as _, SigningKey};

use super::door::{Asker, Door as _, Patience};
use super::line::{Job, Line, Place, Reply};
use super::request::{Answer, Append, BYTES_MAX, Bring, Call, ROWS_MAX, Read};
use super::{Broker, NewEvent, Why};
use crate::clock::monotonic_us;
use crate::core::event::{EventSigner, EventType, signed_message};
use crate::core::rules::{Fault, Rule};
use crate::ledger::CheckInput;

mod line;
mod trail;

struct Key(SigningKey);

impl EventSigner for Key {
    fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }
    fn sign_event(&self, hash: &[u8; 32]) -> [u8; 64] {
        self.0.sign(&signed_message(hash)).to_bytes()
    }
}

fn key() -> Arc<Key> {
    Arc::new(Key(SigningKey::from_bytes(&[7; 32])))
}

fn notice(id: &str) -> NewEvent {
    NewEvent { event_id: id.into(), timestamp: 0, event_type: EventType::Notice, payload: vec![0xa0] }
}

fn patience(micros: u64) -> Patience {
    Patience { until_us: monotonic_us() + micros, gone: Arc::new(AtomicBool::new(false)) }
}

fn asker() -> Asker {
    Asker { uid: 0, pid: 1, program: "test".into() }
}

const LONG: u64 = 60_000_000;

/// A ledger with the events `1/0`, `1/1`, … and a broker before it.
fn broker(events: usize) -> (tempfile::TempDir, Broker) {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::create(dir.path(), &[1; 16], key(), &mut |_| {}).unwrap();
    for index in 0..events {
        broker.commit(broker.head().unwrap(), vec![notice(&format!("1/{index}"))], &mut |_| {}).unwrap();
    }
    (dir, broker)
}

/// Keeps the worker busy until the returned flag is raised.
fn occupy(broker: &Broker) -> (Arc<AtomicBool>, std::thread::JoinHandle<()>) {
    let (go, begun) = (Arc::new(AtomicBool::new(false)), channel());
    let (its_go, its_broker) = (Arc::clone(&go), broker.clone());
    let waits = std::thread::spawn(move || {
        let work = move |_: &mut crate::ledger::Ledger| {
            begun.0.send(()).unwrap();
            while !its_go.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        let work = move |ledger: &mut crate::ledger::Ledger| {
            work(ledger);
            Ok(())
        };
        its_broker.with(&Call::of("busy", ""), work).unwrap();
    });
    begun.1.recv().unwrap();
    (go, waits)
}

fn append(expected_head: Option<[u8; 32]>, events: Vec<NewEvent>) -> Append {
    Append { expected_head, bring: Vec::new(), events, head_file: None, idempotency_key: None }
}

/// Takes whatever comes.
fn open_to_all(broker: &Broker) {
    broker.guard(0, Box::new(|_, _| Ok(())));
}

#[test]
fn a_ledger_is_read_through_the_door_as_it_is() {
    let (_dir, broker) = broker(3);
    let last = broker.latest().unwrap().unwrap();
    assert_eq!((last.seq_no, last.event_id.as_str()), (3, "1/2"));
    assert_eq!(broker.head().unwrap(), Some(last.event_hash));
    assert_eq!(broker.hash_at(3).unwrap(), Some(last.event_hash));
    assert_eq!(broker.by_seq_no(4).unwrap(), None);
    let mut seen = Vec::new();
    broker
        .for_each(2, |event| {
            seen.push(event.event_id);
            Ok(())
        })
        .unwrap();
    assert_eq!(seen, ["1/1", "1/2"]);
    let stop = broker.for_each(1, |event| Err(Fault::new(Rule::NotFound, event.event_id))).unwrap_err();
    assert_eq!((stop.rule, stop.found.as_str()), (Rule::NotFound, "1/0"));
}

#[test]
fn pages_hold_what_was_asked_for_and_not_more() {
    let (_dir, broker) = broker(5);
    let page = |from, rows, bytes| match broker.read(&asker(), &[0; 16], &Read::Events { from, rows, bytes }, &patience(LONG)).unwrap() {
        Answer::Events(events) => events.iter().map(|event| event.seq_no).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(page(1, 2, BYTES_MAX), [1, 2]);
    assert_eq!(page(4, ROWS_MAX, BYTES_MAX), [4, 5]);
    // A payload is one byte: three of them reach three bytes, and one event always fits.
    assert_eq!(page(1, ROWS_MAX, 3), [1, 2, 3]);
    assert_eq!(page(1, ROWS_MAX, 1), [1]);
    assert!(page(6, 1, 1).is_empty());
    for (from, rows, bytes) in [(0, 1, 1), (1, 0, 1), (1, ROWS_MAX + 1, 1), (1, 1, 0), (1, 1, BYTES_MAX + 1)] {
        let refused = broker.read(&asker(), &[0; 16], &Read::Events { from, rows, bytes }, &patience(LONG)).unwrap_err();
        assert_eq!((refused.fault.rule, refused.why), (Rule::RequestBounds, Why::Bounds), "{from} {rows} {bytes}");
    }
}

#[test]
fn identical_reads_in_flight_are_read_once_and_others_are_not_joined() {
    let (_dir, broker) = broker(2);
    let (go, busy) = occupy(&broker);
    let ask = |seq_no| {
        let broker = broker.clone();
        std::thread::spawn(move || broker.by_seq_no(seq_no).unwrap().unwrap().seq_no)
    };
    let before = broker.counts().reads;
    let asking = [ask(1), ask(1), ask(1), ask(2)];
    while broker.counts().reads < before + 4 {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(broker.counts().joined, 2);
    go.store(true, Ordering::SeqCst);
    assert_eq!(asking.map(|thread| thread.join().unwrap()), [1, 1, 1, 2]);
    busy.join().unwrap();
}

#[test]
fn an_answer_is_served_again_until_a_write_and_not_by_one_who_only_looks() {
    let (dir, broker) = broker(1);
    // What is asked for twice within the life of an answer may be kept, and after a write never is.
    for round in 1..20 {
        let head = broker.head().unwrap();
        assert_eq!(broker.head().unwrap(), head);
        let after = broker.commit(head, vec![notice(&format!("1/{round}"))], &mut |_| {}).unwrap();
        assert_eq!(broker.head().unwrap(), Some(after), "round {round}");
    }
    assert!(broker.counts().kept > 0);
    let looks = Broker::look(dir.path()).unwrap();
    let before = looks.head().unwrap();
    let after = broker.commit(before, vec![notice("1/20")], &mut |_| {}).unwrap();
    assert_eq!(looks.head().unwrap(), Some(after));
    assert_eq!(looks.counts().kept, 0);
}

#[test]
fn a_read_that_waited_too_long_expires_and_one_that_nobody_waits_for_is_not_made() {
    let (_dir, broker) = broker(1);
    let (go, busy) = occupy(&broker);
    let refused = broker.read(&asker(), &[0; 16], &Read::Latest, &patience(20_000)).unwrap_err();
    assert_eq!((refused.fault.rule, refused.why), (Rule::RequestExpired, Why::Expired));
    let (before, gone) = (broker.counts().reads, patience(LONG));
    let asking = {
        let (broker, gone) = (broker.clone(), gone.clone());
        std::thread::spawn(move || broker.read(&asker(), &[0; 16], &Read::Event { seq_no: 1 }, &gone))
    };
    while broker.counts().reads == before {
        std::thread::sleep(Duration::from_millis(1));
    }
    gone.gone.store(true, Ordering::SeqCst);
    go.store(true, Ordering::SeqCst);
    let refused = asking.join().unwrap().unwrap_err();
    assert_eq!((refused.fault.rule, refused.why), (Rule::RequestCancelled, Why::Cancelled));
    busy.join().unwrap();
}

#[test]
fn a_write_that_has_not_begun_in_time_never_does() {
    let (_dir, broker) = broker(1);
    open_to_all(&broker);
    let (go, busy) = occupy(&broker);
    let late = append(Some([0; 32]), vec![notice("1/1")]);
    let refused = broker.append(&asker(), &[0; 16], late, &patience(20_000)).unwrap_err();
    assert_eq!((refused.fault.rule, refused.why), (Rule::RequestExpired, Why::Expired));
    go.store(true, Ordering::SeqCst);
    busy.join().unwrap();
    assert_eq!(broker.latest().unwrap().unwrap().seq_no, 1);
}

#[test]
fn an_append_follows_the_head_that_was_seen_and_the_same_again_gives_the_first_answer() {
    let (_dir, broker) = broker(1);
    open_to_all(&broker);
    let ask = |append: &Append| broker.append(&asker(), &[0; 16], append.clone(), &patience(LONG));
    let head = broker.head().unwrap();
    let first = append(head, vec![notice("1/1"), notice("1/2")]);
    let answer = ask(&first).unwrap();
    assert_eq!(answer, Answer::Appended(broker.head().unwrap().unwrap()));
    assert_eq!(ask(&first).unwrap(), answer);
    // Others have come behind it: it is still what it was.
    let later = ask(&append(broker.head().unwrap(), vec![notice("2/0"), notice("2/1")])).unwrap();
    assert_eq!(ask(&first).unwrap(), answer);
    assert_ne!(later, answer);
    assert_eq!(broker.latest().unwrap().unwrap().seq_no, 5);
    // The first of them alone stands there too, and ends where it ends; almost the same is something else.
    assert_eq!(ask(&append(head, vec![notice("1/1")])).unwrap(), Answer::Appended(broker.hash_at(2).unwrap().unwrap()));
    let other = append(head, vec![notice("1/1"), NewEvent { timestamp: 1, ..notice("1/2") }]);
    let elsewhere = append(None, first.events.clone());
    for astray in [other, elsewhere, append(head, vec![notice("3/0")])] {
        assert_eq!(ask(&astray).unwrap_err().why, Why::HeadUnexpected, "{astray:?}");
    }
    assert_eq!(broker.latest().unwrap().unwrap().seq_no, 5);
}

#[test]
fn the_first_events_of_a_ledger_are_known_again_too() {
    let (_dir, broker) = broker(0);
    open_to_all(&broker);
    let founding = append(None, vec![notice("0/0"), notice("0/1")]);
    let answer = broker.append(&asker(), &[0; 16], founding.clone(), &patience(LONG)).unwrap();
    assert_eq!(broker.append(&asker(), &[1; 16], founding, &patience(LONG)).unwrap(), answer);
    assert_eq!(broker.latest().unwrap().unwrap().seq_no, 2);
}

#[test]
fn files_are_in_their_place_before_the_commit_and_the_head_file_after_it() {
    let (dir, broker) = broker(1);
    open_to_all(&broker);
    std::fs::create_dir(dir.path().join("objects")).unwrap();
    std::fs::write(dir.path().join("objects/new"), "pack").unwrap();
    let bring = vec![Bring { from: "objects/new".into(), to: "objects/pack".into() }];
    let head_file = Some("a head\n".to_owned());
    let stale = Append { bring: bring.clone(), head_file: head_file.clone(), ..append(Some([9; 32]), vec![notice("1/1")]) };
    assert_eq!(broker.append(&asker(), &[0; 16], stale, &patience(LONG)).unwrap_err().why, Why::HeadUnexpected);
    assert!(!dir.path().join("objects/pack").exists() && !dir.path().join("head").exists());
    let good = Append { bring, head_file, ..append(broker.head().unwrap(), vec![notice("1/1")]) };
    broker.append(&asker(), &[0; 16], good, &patience(LONG)).unwrap();
    assert_eq!(std::fs::read_to_string(dir.path().join("objects/pack")).unwrap(), "pack");
    assert_eq!(std::fs::read_to_string(dir.path().join("head")).unwrap(), "a head\n");
}

#[test]
fn the_guard_sees_every_event_once_and_what_it_refuses_is_not_appended() {
    let (_dir, broker) = broker(2);
    let refused = broker.append(&asker(), &[0; 16], append(broker.head().unwrap(), vec![notice("1/2")]), &patience(LONG)).unwrap_err();
    assert_eq!(refused.fault.rule, Rule::AnotherWriter, "without a guard nothing is taken");
    let (tell, told) = channel();
    broker.guard(
        1,
        Box::new(move |since, asked| {
            tell.send(since.iter().map(|event| event.event_id.clone()).collect::<Vec<_>>()).unwrap();
            match asked.events.iter().all(|event| event.timestamp == 0) {
                true => Ok(()),
                false => Err(Fault::new(Rule::AuthorUnsigned, "a stranger found")),
            }
        }),
    );
    let bad = append(broker.head().unwrap(), vec![NewEvent { timestamp: 5, ..notice("1/2") }]);
    assert_eq!(broker.append(&asker(), &[0; 16], bad, &patience(LONG)).unwrap_err().fault.rule, Rule::AuthorUnsigned);
    broker.commit(broker.head().unwrap(), vec![notice("1/2")], &mut |_| {}).unwrap();
    broker.append(&asker(), &[0; 16], append(broker.head().unwrap(), vec![notice("1/3")]), &patience(LONG)).unwrap();
    let seen: Vec<Vec<String>> = told.try_iter().collect();
    assert_eq!(seen, [vec!["1/1".to_owned()], vec!["1/2".to_owned()]]);
    assert_eq!(broker.latest().unwrap().unwrap().event_id, "1/3");
}

#[test]
fn steps_are_told_before_they_happen_and_the_worker_waits_for_whoever_listens() {
    let (dir, broker) = broker(1);
    let looks = Broker::look(dir.path()).unwrap();
    let mut seen = Vec::new();
    let mut observe = |step: &'static str| seen.push((step, looks.latest().unwrap().unwrap().seq_no));
    broker.commit(broker.head().unwrap(), vec![notice("1/1")], &mut observe).unwrap();
    assert_eq!(seen, [("append events", 1), ("commit", 1), ("acknowledge", 2)]);
}

#[test]
fn the_lock_is_free_when_the_last_handle_is_gone() {
    let (dir, broker) = broker(1);
    let other = broker.clone();
    drop(broker);
    assert_eq!(Broker::open(dir.path()).unwrap_err().rule, Rule::AnotherWriter);
    drop(other);
    // At once, without the patience that opening has.
    std::fs::File::open(dir.path().join("lock")).unwrap().try_lock().unwrap();
    let again = Broker::open(dir.path()).unwrap();
    let input = CheckInput { ledger_keys: &[key().public_key()], deep: true, must_hold: &[] };
    assert!(again.start_up_check(&input).unwrap().into_checked().is_ok());
}

#[test]
fn a_worker_that_panics_leaves_nobody_waiting() {
    let (_dir, broker) = broker(1);
    let fault = broker.with::<()>(&Call::of("panic", ""), |_| panic!("planted")).unwrap_err();
    assert_eq!(fault.rule, Rule::InternalFault);
    assert_eq!(broker.latest().unwrap_err().rule, Rule::InternalFault);
    assert_eq!(broker.with(&Call::of("nothing", ""), |_| Ok(())).unwrap_err().rule, Rule::InternalFault);
}

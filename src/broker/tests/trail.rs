//! Every request is in the trail once, with how it ended; and what cannot be recorded does not happen.

use std::path::Path;

use super::*;
use crate::ledger::trail::{Entry, Filter, TRAIL_FILE, Trail};

fn entries(dir: &Path) -> Vec<Entry> {
    let mut entries = Vec::new();
    let trail = Trail::look(dir).unwrap().unwrap();
    let mut take = |entry| {
        entries.push(entry);
        Ok(())
    };
    trail.for_each(&Filter::default(), &mut take).unwrap();
    entries
}

/// Type, status and rule of every request, in order.
fn told(dir: &Path) -> Vec<String> {
    let line = |entry: &Entry| {
        let (status, rule) = entry.ended.as_ref().map_or(("unfinished", ""), |ended| (ended.status.word(), ended.rule.as_str()));
        format!("{} {status} {rule}", entry.asked.request_type).trim_end().to_owned()
    };
    entries(dir).iter().map(line).collect()
}

#[test]
fn every_request_is_recorded_once_with_how_it_ended() {
    let (dir, broker) = broker(1);
    let before = entries(dir.path()).len();
    let head = broker.head().unwrap();
    broker.latest().unwrap();
    broker.latest().unwrap();
    broker.commit(head, vec![notice("1/1"), notice("1/2")], &mut |_| {}).unwrap();
    broker.commit(head, vec![notice("1/3")], &mut |_| {}).unwrap_err();
    broker.check_instance(&[9; 16]).unwrap_err();
    broker.read(&asker(), &[5; 16], &Read::Events { from: 0, rows: 1, bytes: 1 }, &patience(LONG)).unwrap_err();
    let all = entries(dir.path());
    assert_eq!(
        told(dir.path())[before..],
        [
            "head done",
            "latest done",
            "latest cached",
            "append done",
            "append refused head-unexpected",
            "instance refused ledger-fault",
            "events refused request-bounds",
        ]
    );
    let written = &all[before + 3];
    assert_eq!(written.ended.as_ref().unwrap().affected, "1/1..1/2");
    assert!(written.asked.is_write && !all[before].asked.is_write);
    assert!(written.asked.key.starts_with("behind event ") && written.asked.key.ends_with(&hex::encode(&head.unwrap()[..8])));
    assert_eq!((written.asked.pid, written.asked.uid), (std::process::id(), rustix::process::geteuid().as_raw()));
    assert_eq!(Path::new(&written.asked.ledger), dir.path().canonicalize().unwrap());
    // Who asks from another process is named as what it is.
    let stranger = &all[before + 6].asked;
    assert_eq!((stranger.uid, stranger.pid, stranger.program.as_str(), stranger.request_id), (0, 1, "test", [5; 16]));
}

#[test]
fn a_write_is_in_the_trail_before_it_has_an_effect_and_ended_before_its_answer() {
    let (dir, broker) = broker(1);
    let mut seen = Vec::new();
    let mut observe = |step: &'static str| seen.push(format!("{step}: {}", told(dir.path()).last().unwrap()));
    broker.commit(broker.head().unwrap(), vec![notice("1/1")], &mut observe).unwrap();
    assert_eq!(seen, ["append events: append unfinished", "commit: append unfinished", "acknowledge: append unfinished"]);
    assert_eq!(told(dir.path()).last().unwrap(), "append done");
}

#[test]
fn reads_that_were_joined_are_each_recorded_as_such() {
    let (dir, broker) = broker(1);
    let (go, busy) = occupy(&broker);
    let before = broker.counts().reads;
    let asking: Vec<_> = (0..3)
        .map(|_| {
            let broker = broker.clone();
            std::thread::spawn(move || broker.by_seq_no(1).unwrap())
        })
        .collect();
    while broker.counts().reads < before + 3 {
        std::thread::sleep(Duration::from_millis(1));
    }
    go.store(true, Ordering::SeqCst);
    asking.into_iter().for_each(|thread| drop(thread.join().unwrap()));
    busy.join().unwrap();
    let mut told: Vec<String> = told(dir.path()).into_iter().filter(|line| line.starts_with("event ")).collect();
    told.sort();
    assert_eq!(told, ["event done", "event joined", "event joined"]);
}

#[test]
fn a_request_that_is_sent_again_is_recorded_once() {
    let (dir, broker) = broker(1);
    open_to_all(&broker);
    let again = append(broker.head().unwrap(), vec![notice("1/1")]);
    let first = broker.append(&asker(), &[3; 16], again.clone(), &patience(LONG)).unwrap();
    let before = entries(dir.path()).len();
    assert_eq!(broker.append(&asker(), &[3; 16], again, &patience(LONG)).unwrap(), first);
    assert_eq!(entries(dir.path()).len(), before);
}

#[test]
fn a_key_gives_its_first_answer_and_takes_no_other_request() {
    let (dir, broker) = broker(1);
    open_to_all(&broker);
    let keyed = |key: &str, head, id: &str| Append { idempotency_key: Some(key.into()), ..append(head, vec![notice(id)]) };
    let ask = |append: Append| broker.append(&asker(), &[append.events[0].timestamp as u8; 16], append, &patience(LONG));
    let head = broker.head().unwrap();
    let first = ask(keyed("monday", head, "1/1")).unwrap();
    ask(keyed("tuesday", broker.head().unwrap(), "1/2")).unwrap();
    assert_eq!(ask(keyed("monday", head, "1/1")).unwrap(), first);
    let refused = ask(keyed("monday", broker.head().unwrap(), "1/3")).unwrap_err();
    assert_eq!((refused.fault.rule, refused.why), (Rule::KeyReused, Why::KeyReused));
    assert!(refused.fault.found.contains("\"monday\""), "{refused}");
    assert_eq!(broker.latest().unwrap().unwrap().seq_no, 3);
    // Without the trail the events themselves are the answer.
    drop(broker);
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(dir.path().join(format!("{TRAIL_FILE}{ending}")));
    }
    let broker = Broker::open(dir.path()).unwrap();
    open_to_all(&broker);
    assert_eq!(broker.append(&asker(), &[9; 16], keyed("monday", head, "1/1"), &patience(LONG)).unwrap(), first);
}

#[test]
fn who_comes_in_to_write_is_recorded_and_so_is_who_cannot() {
    let (dir, broker) = broker(1);
    let before = told(dir.path()).len();
    assert_eq!(Broker::open(dir.path()).unwrap_err().rule, Rule::AnotherWriter);
    drop(broker);
    drop(Broker::open(dir.path()).unwrap());
    assert_eq!(told(dir.path())[before..], ["open refused another-writer", "open done"]);
}

#[test]
fn what_cannot_be_recorded_is_not_written_and_can_still_be_read() {
    let (dir, broker) = broker(1);
    drop(broker);
    std::fs::write(dir.path().join(TRAIL_FILE), "no trail of ours").unwrap();
    let broker = Broker::open(dir.path()).unwrap();
    let input = CheckInput { ledger_keys: &[key().public_key()], deep: false, must_hold: &[] };
    assert!(broker.start_up_check(&input).unwrap().into_checked().is_ok());
    assert_eq!(broker.latest().unwrap().unwrap().seq_no, 1);
    assert_eq!(broker.unlock(key(), false).unwrap_err().rule, Rule::TrailFault);
    let refused = broker.commit(broker.head().unwrap(), vec![notice("1/1")], &mut |_| panic!("nothing begins")).unwrap_err();
    assert_eq!((refused.fault.rule, refused.why), (Rule::TrailFault, Why::Trail));
    open_to_all(&broker);
    let refused = broker.append(&asker(), &[0; 16], append(broker.head().unwrap(), vec![notice("1/1")]), &patience(LONG)).unwrap_err();
    assert_eq!(refused.why, Why::Trail);
    assert_eq!(std::fs::read(dir.path().join(TRAIL_FILE)).unwrap(), b"no trail of ours");
    drop(broker);
    assert_eq!(Broker::look(dir.path()).unwrap().latest().unwrap().unwrap().seq_no, 1);
}

#[test]
fn a_request_that_is_out_of_its_bounds_is_refused_and_keeps_nobody_else_from_writing() {
    let (_dir, broker) = broker(1);
    open_to_all(&broker);
    let long = Append { idempotency_key: Some("k".repeat(257)), ..append(broker.head().unwrap(), vec![notice("1/1")]) };
    assert_eq!(broker.append(&asker(), &[1; 16], long, &patience(LONG)).unwrap_err().fault.rule, Rule::Usage);
    broker.append(&asker(), &[2; 16], append(broker.head().unwrap(), vec![notice("1/1")]), &patience(LONG)).unwrap();
}

#[test]
fn whoever_only_looks_makes_no_trail_and_writes_into_one_that_is_there() {
    let (dir, broker) = broker(1);
    drop(broker);
    let recorded = told(dir.path()).len();
    Broker::look(dir.path()).unwrap().latest().unwrap();
    assert_eq!(told(dir.path())[recorded..], ["latest done"]);
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(dir.path().join(format!("{TRAIL_FILE}{ending}")));
    }
    Broker::look(dir.path()).unwrap().latest().unwrap();
    Broker::foreign(dir.path()).unwrap().latest().unwrap();
    assert!(!dir.path().join(TRAIL_FILE).exists());
}

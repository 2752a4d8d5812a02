//! Many commands at once, with leaders killed and stopped: nothing is lost, nothing is done twice, nobody waits over the bound.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tabellion::broker::socket::{Connected, connect};
use tabellion::run::domain;
use tabellion::run::snapshot::Writer;

use super::scene::{Scene, alice, lines, take};
use crate::stage::Case;

/// A minute of it, in the check of a whole change; otherwise some seconds.
fn is_full() -> bool {
    std::env::var_os("TABELLION_BROKER_FULL").is_some()
}

#[test]
fn fifty_commands_at_once_take_fifty_numbers_and_leave_nothing() {
    let case = Case::founded("broker-fifty");
    case.quiet("domain init alice/domain --name alice --pin alice/common.pin --key alice/key", 0);
    let began = Instant::now();
    let children: Vec<_> = (0..50)
        .map(|index| {
            case.write(&format!("alice/work{index}/file"), format!("work {index}"));
            let command = format!("domain snapshot alice/work{index} --domain alice/domain --key alice/key --time none --json");
            case.command(&command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut kept = BTreeMap::new();
    for (index, child) in children.into_iter().enumerate() {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["answer"]["is_new"], true);
        kept.insert(answer["answer"]["snapshot"]["number"].as_u64().unwrap(), index);
    }
    println!("50 commands in {:?}", began.elapsed());
    assert_eq!(kept.keys().copied().collect::<Vec<_>>(), (1..=50).collect::<Vec<_>>());
    for name in ["broker.sock", "broker.sock.new", "objects/incoming"] {
        assert!(!case.path(&format!("alice/domain/{name}")).exists(), "{name}");
    }
    // SQLite takes its log away with the last connection that may write, unless another is closed in the same moment: then the next does.
    case.quiet("domain snapshot alice/work0 --domain alice/domain --key alice/key --time none", 0);
    for name in ["ledger.db-wal", "ledger.db-shm"] {
        assert!(!case.path(&format!("alice/domain/{name}")).exists(), "{name}");
    }
    let desk = domain::look(&case.path("alice/domain")).unwrap();
    for (number, index) in kept {
        let copies = tempfile::tempdir().unwrap();
        let content = desk.take(number, "file", copies.path()).unwrap();
        assert_eq!(std::fs::read_to_string(&content.files[&content.sha256]).unwrap(), format!("work {index}"), "alice@{number}");
    }
    assert_eq!(desk.domain().unsealed(), None);
}

/// What the children said: numbers acknowledged, by name; and the longest that any of them took, in milliseconds.
#[derive(Default)]
struct Said {
    kept: Mutex<BTreeMap<String, u64>>,
    longest_ms: AtomicU64,
    ended: AtomicU64,
}

/// One child after the other, until so many writes were done: one that is killed is followed by another, under another name.
fn writer(scene: &Scene, said: &Said, index: usize, writes: u64) {
    let (mut next, mut life) = (0, 0);
    while next < writes {
        life += 1;
        let mut child = scene.child(&format!("many/{next}/{writes}/w{index}.{life}"));
        for line in lines(&mut child) {
            // What was begun and never answered, nobody knows: the next child begins behind it.
            if let ["kept", name, number, took] = line.split(' ').collect::<Vec<_>>().as_slice() {
                let before = said.kept.lock().unwrap().insert((*name).to_owned(), number.parse().unwrap());
                assert_eq!(before, None, "{name} was kept twice");
                said.longest_ms.fetch_max(took.parse().unwrap(), Ordering::SeqCst);
                next += 1;
            }
        }
        let output = child.wait_with_output().unwrap();
        let was_killed = output.status.code().is_none();
        assert!(was_killed || output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    said.ended.fetch_add(1, Ordering::SeqCst);
}

fn leader(scene: &Scene) -> Option<Pid> {
    let Ok(Connected::To(channel)) = connect(&scene.domain()) else { return None };
    let pid = i32::try_from(channel.peer()?.1).ok()?;
    Pid::from_raw(pid).filter(|_| pid.unsigned_abs() != std::process::id())
}

#[test]
fn writers_and_readers_with_leaders_killed_and_stopped_lose_nothing_and_do_nothing_twice() {
    let (writers, writes) = if is_full() { (8, 200) } else { (8, 12) };
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (scene, said, is_over) = (Arc::new(Scene::new()), Arc::new(Said::default()), Arc::new(AtomicBool::new(false)));
    let began = Instant::now();
    let writing: Vec<_> = (0..writers)
        .map(|index| {
            let (scene, said) = (Arc::clone(&scene), Arc::clone(&said));
            thread::spawn(move || writer(&scene, &said, index, writes))
        })
        .collect();
    let reading = {
        let (scene, is_over) = (Arc::clone(&scene), Arc::clone(&is_over));
        thread::spawn(move || {
            let (mut looks, mut highest) = (0, 0);
            while !is_over.load(Ordering::SeqCst) {
                let number = scene.look().domain().head().number;
                assert!(number >= highest, "{number} after {highest}");
                (looks, highest) = (looks + 1, number);
                thread::sleep(Duration::from_millis(50));
            }
            looks
        })
    };
    let (mut killed, mut stopped) = (0, 0);
    while said.ended.load(Ordering::SeqCst) < writers as u64 && !writing.iter().all(thread::JoinHandle::is_finished) {
        thread::sleep(Duration::from_millis(random.u64(100..900)));
        let Some(pid) = leader(&scene) else { continue };
        if random.u32(0..4) == 0 {
            stopped += u32::from(kill_process(pid, Signal::STOP).is_ok());
        } else {
            killed += u32::from(kill_process(pid, Signal::KILL).is_ok());
        }
    }
    writing.into_iter().for_each(|thread| thread.join().unwrap());
    is_over.store(true, Ordering::SeqCst);
    let looks: u32 = reading.join().unwrap();
    // The last command, which nobody disturbs.
    let alice = alice();
    let mut last = Writer::new(&scene.domain(), &alice, Box::new(|_| {})).unwrap();
    let number = take(&mut last, &scene.path(""), "last").head.number;
    last.leave().unwrap();
    scene.nothing_is_left();
    let contents = scene.contents();
    let longest = said.longest_ms.load(Ordering::SeqCst);
    println!("{number} numbers in {:?}, {killed} leaders killed, {stopped} stopped, {looks} looks, longest {longest} ms", began.elapsed());
    assert!(killed > 0 && looks > 0);
    let kept = said.kept.lock().unwrap();
    assert_eq!(kept.len() as u64, writers as u64 * writes);
    let recorded = scene.recorded();
    for (name, number) in kept.iter() {
        assert_eq!(contents.get(number), Some(name), "acknowledged as {number}");
        assert_eq!(recorded.get(number), Some(&1), "requests in the trail that made {number}");
    }
    assert!(recorded.iter().all(|(number, requests)| *requests == 1 && contents.contains_key(number)), "{recorded:?}");
    let mut names: Vec<&String> = contents.values().collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), contents.len(), "nothing was done twice");
    assert!(longest < 31_000, "{longest} ms");
}

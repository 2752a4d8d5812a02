//! A process that stands still at each step: whoever follows and wakes up late damages nothing, whoever leads is continued or replaced.

use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use tabellion::run::snapshot::Writer;

use super::scene::{Scene, alice, lines, pid, take};

/// Every step of a snapshot of which a writer tells.
const STEPS: [&str; 5] = ["sit", "plan", "keep content", "append", "seal"];

#[test]
fn follower_that_wakes_up_late_takes_a_later_number_and_damages_nothing() {
    for step in STEPS {
        let scene = Scene::new();
        let alice = alice();
        let mut leader = Writer::new(&scene.domain(), &alice, Box::new(|_| {})).unwrap();
        take(&mut leader, &scene.path(""), "first");
        let mut child = scene.child(&format!("stop/{step}/1/late"));
        let mut said = lines(&mut child);
        assert!(said.any(|line| line == "stops"), "{step}");
        // The packs that the child planned for these numbers are others.
        for name in ["second", "third"] {
            take(&mut leader, &scene.path(""), name);
        }
        kill_process(pid(&child), Signal::CONT).unwrap();
        let Some(kept) = said.find(|line| line.starts_with("kept ")) else { panic!("{step}: {:?}", child.wait_with_output()) };
        // Stopped before its own seal it had its number already, and somebody else sealed it.
        let number = if step == "seal" { 2 } else { 4 };
        assert_eq!(kept, format!("kept late {number}"), "{step}");
        assert!(child.wait().unwrap().success());
        leader.leave().unwrap();
        scene.nothing_is_left();
        let mut contents: Vec<String> = scene.contents().into_values().collect();
        assert_eq!(contents[number as usize - 1], "late", "{step}");
        contents.retain(|name| name != "late");
        assert_eq!(contents, ["first", "second", "third"], "{step}");
    }
}

#[test]
fn leader_that_is_stopped_is_continued_and_finishes_and_nobody_waits_over_the_bound() {
    let waits: Vec<_> = STEPS.into_iter().skip(1).map(|step| thread::spawn(move || stopped_leader(step, false))).collect();
    for wait in waits {
        let (scene, status, said) = wait.join().unwrap();
        assert!(status.success(), "{said:?}");
        assert!(said.iter().any(|line| line.starts_with("kept slow ")), "{said:?}");
        let mut contents: Vec<String> = scene.contents().into_values().collect();
        contents.sort();
        assert_eq!(contents, ["quick", "slow"]);
    }
}

#[test]
fn leader_that_stays_stopped_is_killed_and_replaced_and_what_it_had_committed_stands() {
    let waits: Vec<_> = STEPS.into_iter().skip(1).map(|step| (step, thread::spawn(move || stopped_leader(step, true)))).collect();
    for (step, wait) in waits {
        let (scene, status, said) = wait.join().unwrap();
        assert_eq!(status.signal(), Some(9), "{step}: {said:?}");
        let contents: Vec<String> = scene.contents().into_values().collect();
        let expected: &[&str] = if step == "seal" { &["slow", "quick"] } else { &["quick"] };
        assert_eq!(contents, expected, "{step}");
    }
}

/// A child leads and stops at a step, or is stopped again whenever it is continued; another command comes, and is done within the bound.
fn stopped_leader(step: &str, again: bool) -> (Scene, std::process::ExitStatus, Vec<String>) {
    let scene = Scene::new();
    // One that stays stopped never goes on behind the step by itself either: whoever stops it here may come too late.
    let times = if again { 1_000_000 } else { 1 };
    let mut child = scene.child(&format!("stop/{step}/{times}/slow"));
    let mut said = lines(&mut child);
    assert!(said.any(|line| line == "stops"), "{step}");
    let (leader, is_done) = (pid(&child), Arc::new(AtomicBool::new(!again)));
    let may_end = Arc::clone(&is_done);
    let stopping = thread::spawn(move || {
        while !may_end.load(Ordering::SeqCst) {
            let _ = kill_process(leader, Signal::STOP);
            thread::sleep(Duration::from_micros(200));
        }
    });
    let began = Instant::now();
    let alice = alice();
    let mut writer = Writer::new(&scene.domain(), &alice, Box::new(|_| {})).unwrap();
    take(&mut writer, &scene.path(""), "quick");
    assert!(began.elapsed() < Duration::from_secs(30), "{step}: {:?}", began.elapsed());
    writer.leave().unwrap();
    is_done.store(true, Ordering::SeqCst);
    stopping.join().unwrap();
    let _ = kill_process(leader, Signal::CONT);
    let said: Vec<String> = said.collect();
    let status = child.wait().unwrap();
    // The next command clears away whatever a killed one left.
    let mut writer = Writer::new(&scene.domain(), &alice, Box::new(|_| {})).unwrap();
    writer.sit_down().unwrap();
    writer.leave().unwrap();
    scene.nothing_is_left();
    (scene, status, said)
}

#[test]
fn lock_of_a_stopped_process_that_listens_nowhere_is_waited_for_and_its_process_continued() {
    let scene = Scene::new();
    let mut child = scene.child("hold/1");
    let mut said = lines(&mut child);
    assert!(said.any(|line| line == "held"));
    let alice = alice();
    let mut writer = Writer::new(&scene.domain(), &alice, Box::new(|_| {})).unwrap();
    take(&mut writer, &scene.path(""), "first");
    assert!(child.wait().unwrap().success());
}

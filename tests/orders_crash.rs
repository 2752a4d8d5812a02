//! Ceremonies killed with SIGKILL at every effect: halted or done, and the next run finishes it.
//!
//! The child is this very test program, started again with [`CHILD`] set. These tests stand apart from the others, because a process that is
//! being started holds the locks of all desks that are open in this one.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "orders/scene.rs"]
mod scene;
mod support;

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Signal, getpid, kill_process};
use scene::{Scene, events, resume_at};
use tabellion::core::event::EventType;

/// `<kill at, 0 for never> <folder>`
const CHILD: &str = "TABELLION_ORDERS_CHILD";

/// The child's whole life: it resumes, and kills itself when effect `n` is about to happen. Without its variable this is not a child.
#[test]
fn child() {
    let Ok(line) = std::env::var(CHILD) else { return };
    let (kill_at, dir) = line.split_once(' ').unwrap();
    let (kill_at, dir): (usize, PathBuf) = (kill_at.parse().unwrap(), dir.into());
    let mut effects = Vec::new();
    let mut observe = |effect: &'static str, what: &str| {
        effects.push(format!("{effect}: {what}"));
        if effects.len() == kill_at {
            kill_process(getpid(), Signal::KILL).unwrap();
            loop {
                std::thread::park();
            }
        }
    };
    resume_at(&dir.join("desk"), &[dir.join("order.cose")], &mut observe).unwrap_or_else(|problem| panic!("{problem}"));
    fs::write(dir.join("effects"), effects.join("\n")).unwrap();
}

fn run_child(dir: &Path, kill_at: usize) -> std::process::ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["child", "--exact", "--test-threads=1"]).env(CHILD, format!("{kill_at} {}", dir.display()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
}

#[test]
fn a_resume_killed_at_every_effect_leaves_a_halted_desk_or_a_resumed_one_and_is_finished_by_the_next() {
    let scene = || {
        let scene = Scene::new();
        fs::rename(scene.signed(&scene.draft(), &["alice", "bob"]), scene.at("order.cose")).unwrap();
        scene
    };
    let whole = scene();
    assert!(run_child(whole.room.path(), 0).success());
    let effects = fs::read_to_string(whole.at("effects")).unwrap();
    let effects: Vec<&str> = effects.lines().collect();
    let at = |effect: &str| effects.iter().position(|line| line.starts_with(effect)).unwrap_or_else(|| panic!("{effect}: {effects:?}"));
    assert!(at("append the halt event") < at("append the resume event") && at("append the resume event") < at("put the halt file away"));
    assert!(at("put the halt file away") < at("sync the folders"));
    let (files, last_hash) = whole.print();
    for kill_at in 1..=effects.len() {
        let scene = scene();
        let status = run_child(scene.room.path(), kill_at);
        assert_eq!(status.signal(), Some(9), "effect {kill_at}: {}", effects[kill_at - 1]);
        // Halted, or resumed and whole: never a desk that works without the ledger knowing whose order ended its halt.
        let is_resumed = events(&scene.at("desk")).contains(&EventType::Resume);
        let is_halted = scene.desk().desk().halted().unwrap().is_some();
        assert!(is_resumed || is_halted, "effect {kill_at}: {}", effects[kill_at - 1]);
        assert_eq!(scene.at("desk/halt").exists(), is_halted, "effect {kill_at}");
        let resumed = scene.resume(&[scene.at("order.cose")]).unwrap_or_else(|problem| panic!("effect {kill_at}: {problem}"));
        assert_eq!(resumed.is_new, !is_resumed, "effect {kill_at}");
        assert_eq!(scene.print(), (files.clone(), last_hash), "effect {kill_at}: {}", effects[kill_at - 1]);
        assert!(scene.session().is_ok(), "effect {kill_at}");
    }
}

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
use std::sync::Mutex;

use rustix::process::{Signal, getpid, kill_process};
use scene::{Scene, events, parted, recover_at, resume_at};
use support::Paper;
use tabellion::core::event::EventType;
use tabellion::core::proposal::Expect;
use tabellion::run::branches::Which;
use tabellion::run::desk::Desk;
use tabellion::run::{quarantine, recover};

/// `<task> <kill at, 0 for never> <folder>`
const CHILD: &str = "TABELLION_ORDERS_CHILD";

/// The child's whole life: it carries out an order, and kills itself when effect `n` is about to happen. Without its variable this is not a child.
#[test]
fn child() {
    let Ok(line) = std::env::var(CHILD) else { return };
    let mut words = line.splitn(3, ' ');
    let (task, kill_at, dir) = (words.next().unwrap(), words.next().unwrap(), PathBuf::from(words.next().unwrap()));
    let kill_at: usize = kill_at.parse().unwrap();
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
    let orders = [dir.join("order.cose")];
    let done = match task {
        "resume" => resume_at(&dir.join("desk"), &orders, &mut observe).map(drop),
        _ => recover_at(&dir.join("desk"), &dir.join("other"), &orders, &mut observe).map(drop),
    };
    done.unwrap_or_else(|problem| panic!("{problem}"));
    fs::write(dir.join("effects"), effects.join("\n")).unwrap();
}

/// One of these tests at a time, for the reason above.
static ALONE: Mutex<()> = Mutex::new(());

fn run_child(task: &str, dir: &Path, kill_at: usize) -> std::process::ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["child", "--exact", "--test-threads=1"]).env(CHILD, format!("{task} {kill_at} {}", dir.display()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
}

#[test]
fn a_resume_killed_at_every_effect_leaves_a_halted_desk_or_a_resumed_one_and_is_finished_by_the_next() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let scene = || {
        let scene = Scene::new();
        fs::rename(scene.signed(&scene.draft(), &["alice", "bob"]), scene.at("order.cose")).unwrap();
        scene
    };
    let whole = scene();
    assert!(run_child("resume", whole.room.path(), 0).success());
    let effects = fs::read_to_string(whole.at("effects")).unwrap();
    let effects: Vec<&str> = effects.lines().collect();
    let at = |effect: &str| effects.iter().position(|line| line.starts_with(effect)).unwrap_or_else(|| panic!("{effect}: {effects:?}"));
    assert!(at("append the halt event") < at("append the resume event") && at("append the resume event") < at("put the halt file away"));
    assert!(at("put the halt file away") < at("remove the halt file") && at("remove the halt file") < at("sync the folder"));
    let (files, last_hash) = whole.print();
    for kill_at in 1..=effects.len() {
        let scene = scene();
        let status = run_child("resume", scene.room.path(), kill_at);
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

#[test]
fn a_resume_that_writes_a_lost_head_file_killed_at_every_effect_leaves_it_lost_or_whole_and_is_finished_by_the_next() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let genuine = fs::read(Scene::new().at("desk/head")).unwrap();
    for (name, torn) in [("missing", None), ("damaged", Some("tabellion-head v1\nsession 1\nnumb"))] {
        let prepared = Scene::over_head(&|path| torn.map_or_else(|| fs::remove_file(path), |bytes| fs::write(path, bytes)).unwrap());
        fs::rename(prepared.signed(&prepared.draft(), &["alice", "bob"]), prepared.at("order.cose")).unwrap();
        // The dossier names the folder in which it was made: each desk is a copy of one.
        let scene = || {
            let room = support::room();
            support::copy_folder(prepared.room.path(), room.path());
            Scene { room }
        };
        let whole = scene();
        assert!(run_child("resume", whole.room.path(), 0).success());
        let effects = fs::read_to_string(whole.at("effects")).unwrap();
        let effects: Vec<&str> = effects.lines().collect();
        let at = |effect: &str| effects.iter().position(|line| line.starts_with(effect)).unwrap_or_else(|| panic!("{effect}: {effects:?}"));
        // The ledger knows first that it was lost, and last that the desk goes on.
        let order =
            ["append the halt event", "write head file", "rename head file", "append the resume event", "put the halt file away"].map(at);
        assert!(order.is_sorted(), "{effects:?}");
        assert_eq!(effects.iter().any(|effect| effect.starts_with("keep the damaged head file")), name == "damaged");
        let (files, last_hash) = whole.print();
        assert_eq!(files["head"], genuine);
        for kill_at in 1..=effects.len() {
            let (scene, told) = (scene(), format!("{name}, effect {kill_at}: {}", effects[kill_at - 1]));
            assert_eq!(run_child("resume", scene.room.path(), kill_at).signal(), Some(9), "{told}");
            // Halted as before, whatever became of the head file; or resumed, and then the head file is whole.
            let is_resumed = events(&scene.at("desk")).contains(&EventType::Resume);
            let (desk, lost) = Desk::look_to_resume(&scene.at("desk")).unwrap_or_else(|problem| panic!("{told}: {problem}"));
            let is_halted = desk.halted().unwrap().is_some();
            drop(desk);
            assert!(is_halted || (is_resumed && lost.is_none()), "{told}");
            assert!(!is_resumed || lost.is_none(), "{told}: resumed without a head file");
            let head = fs::read(scene.at("desk/head")).ok();
            assert_eq!(head.as_ref() == Some(&genuine), lost.is_none(), "{told}");
            let resumed = scene.resume(&[scene.at("order.cose")]).unwrap_or_else(|problem| panic!("{told}: {problem}"));
            assert_eq!(resumed.is_new, !is_resumed, "{told}");
            assert_eq!(resumed.head_file.map(|written| written.lost.is_some()), is_halted.then_some(lost.is_some()), "{told}");
            let (mut again, hash) = scene.print();
            // A temporary file that was broken off is written over by the next head file, and is no harm.
            again.remove("head.new");
            let names = |files: &std::collections::BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<String>>();
            assert_eq!((names(&again), hash), (names(&files), last_hash), "{told}");
            assert!(again == files, "{told}");
            let paper = Paper::new("alice", 2, scene.desk().head()).put("open/c", b"c", Expect::Absent);
            assert!(scene.desk().judge(&scene.at("later"), &[paper]).is_new, "{told}");
        }
    }
}

#[test]
fn a_recover_killed_at_every_effect_never_chooses_half_and_is_finished_by_the_next() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let scene = || {
        let scene = Scene::forked();
        let order = recover::draft(&parted(&scene, "desk", "other"), Which::Ours, None).unwrap_or_else(|problem| panic!("{problem}"));
        fs::rename(scene.signed(&order, &["alice", "bob"]), scene.at("order.cose")).unwrap();
        scene
    };
    let whole = scene();
    assert!(run_child("recover", whole.room.path(), 0).success());
    let effects = fs::read_to_string(whole.at("effects")).unwrap();
    let effects: Vec<&str> = effects.lines().collect();
    let at = |effect: &str| effects.iter().position(|line| line.starts_with(effect)).unwrap_or_else(|| panic!("{effect}: {effects:?}"));
    assert!(at("halt: ") < at("append the halt event") && at("append the halt event") < at("write quarantine"));
    assert!(at("rename quarantine") < at("append the recover event"));
    let (files, last_hash) = whole.print();
    for kill_at in 1..=effects.len() {
        let scene = scene();
        let status = run_child("recover", scene.room.path(), kill_at);
        assert_eq!(status.signal(), Some(9), "effect {kill_at}: {}", effects[kill_at - 1]);
        // Once the ledger says that a branch went, its events are kept, and the desk is halted until an order to resume.
        let is_chosen = events(&scene.at("desk")).contains(&EventType::Recover);
        if is_chosen {
            let kept = fs::read_dir(scene.at("desk/quarantine")).unwrap().map(|entry| entry.unwrap().path());
            let kept: Vec<PathBuf> = kept.filter(|path| path.extension().is_some_and(|ending| ending == "events")).collect();
            quarantine::verify(&kept[0], None).unwrap();
            assert!(scene.desk().desk().halted().unwrap().is_some());
        }
        let done = recover_at(&scene.at("desk"), &scene.at("other"), &[scene.at("order.cose")], &mut |_, _| {});
        assert_eq!(done.unwrap_or_else(|problem| panic!("effect {kill_at}: {problem}")).is_new, !is_chosen, "effect {kill_at}");
        let (mut again, hash) = scene.print();
        // A dossier that was lost with the process is lost: the order settles by the ledger. A broken-off temporary file is no harm.
        again.retain(|path, _| files.contains_key(path));
        let lost: Vec<&String> = files.keys().filter(|path| !again.contains_key(*path)).collect();
        assert!(lost.iter().all(|path| path.starts_with("halt-evidence/")), "effect {kill_at}: {lost:?}");
        assert!(again.iter().all(|(path, bytes)| files[path] == *bytes) && hash == last_hash, "effect {kill_at}: {}", effects[kill_at - 1]);
        assert!(scene.resumes(&scene.draft(), &["alice", "bob"]).still.is_none(), "effect {kill_at}");
        assert!(scene.session().is_ok(), "effect {kill_at}");
    }
}

//! The power fails: everything a child wrote and synced is recorded, and every disk that may be left of it is looked at.
//!
//! The child is this very test program, or the real one, with `tests/disk/shim.c` loaded. What is safe, and what may be lost, is in
//! [`disk::Disk`]; what is tried of it in [`search`]. Controls that must show violations stand beside the promises.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code)]
#[path = "disk/desks.rs"]
mod desks;
#[path = "disk/disk.rs"]
mod disk;
#[allow(dead_code)]
#[path = "crash/judge.rs"]
mod judge;
#[path = "disk/ledgers.rs"]
mod ledgers;
#[path = "orders/scene.rs"]
mod orders;
#[path = "disk/recorder.rs"]
mod recorder;
#[path = "disk/resumption.rs"]
mod resumption;
#[allow(dead_code)]
#[path = "crash/scene.rs"]
mod scene;
#[path = "disk/search.rs"]
mod search;
mod support;

use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;

use desks::{Halting, Stage};
use disk::Disk;
use ledgers::{Work, commits, look, look_plain, prepare};
use recorder::{Kind, Watch, Watched, memory};
use search::{Extent, Found, in_full, search};

/// `<work> <folder>`
const CHILD: &str = "TABELLION_DISK_CHILD";

/// The work of a child that ends a halt.
const RESUME: &str = "Resume";

/// The child's whole life. Without its variable this is not a child, and there is nothing to do.
#[test]
fn child() {
    let Ok(line) = std::env::var(CHILD) else { return };
    let (work, dir) = line.rsplit_once(' ').unwrap();
    if work == RESUME {
        return resumption::run(Path::new(dir));
    }
    let work = Work::ALL.into_iter().find(|known| format!("{known:?}") == work).unwrap();
    ledgers::run(work, Path::new(dir));
}

fn child_of(work: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["child", "--exact", "--nocapture", "--test-threads=1"]).env(CHILD, format!("{work} {}", dir.display()));
    command
}

/// Records a child, and looks at every disk that may be left of it.
fn try_all(work: Work, lie: &'static str, extent: Extent) -> Found {
    let case = memory();
    prepare(case.path(), work);
    let before = Disk::of(case.path());
    let watched = Watched { lie, ..Watched::below(case.path()) };
    let watch: Watch = watched.run(child_of(&format!("{work:?}"), case.path()));
    assert!(watch.output.status.success(), "{}", String::from_utf8_lossy(&watch.output.stderr));
    let look: fn(&Path) -> ledgers::Seen = if matches!(work, Work::Plain(..)) { look_plain } else { look };
    let whole = look(case.path());
    let commits = commits(work);
    assert_eq!((whole.hashes.len(), &whole.fault), (*commits.last().unwrap(), &None));
    let found = search(&before, &watch, extent, |slot, _| look(slot), |seen, marks, _| ledgers::judge(seen, marks, &whole, &commits));
    let lying = if lie.is_empty() { String::new() } else { format!("; syncs of `{lie}` do nothing") };
    found.tell(&format!("{}{lying}", ledgers::said(work)), 0);
    found
}

fn extent(sample: (usize, usize), full: (usize, usize)) -> Extent {
    let (boundaries, images) = if in_full() { full } else { sample };
    Extent { boundaries, images, only_near: false }
}

const ALL: (usize, usize) = (usize::MAX, usize::MAX);

#[test]
fn acknowledged_events_are_on_every_disk_that_may_be_left_of_commits_of_all_sizes() {
    try_all(Work::Small, "", extent((60, 12), ALL)).none();
}

#[test]
fn acknowledged_events_are_on_every_disk_that_may_be_left_of_a_log_that_is_copied_and_begun_anew() {
    // Of a commit of a thousand pages most boundaries are like their neighbours.
    try_all(Work::Long, "", Extent { only_near: true, ..extent((40, 3), (usize::MAX, 24)) }).none();
}

/// What a control finds must be the loss of what was acknowledged.
fn loses(found: &Found) {
    assert!(found.violations.iter().any(|violation| violation.contains("is lost")), "the control lost nothing: this harness is blind");
}

/// The same ledger without our functions loses nothing with the settings that ours has: what the controls show comes from theirs.
#[test]
fn control_with_our_settings_loses_nothing() {
    try_all(Work::Plain("WAL", "FULL"), "", extent((30, 8), (usize::MAX, 24))).none();
    try_all(Work::Plain("DELETE", "EXTRA"), "", extent((30, 8), (usize::MAX, 24))).none();
}

#[test]
fn control_with_synchronous_normal_loses_what_it_acknowledged() {
    loses(&try_all(Work::Plain("WAL", "NORMAL"), "", extent((60, 8), (usize::MAX, 24))));
}

/// FULL does not sync the folder behind the journal's removal: the journal may come back, and takes the last commit with it.
#[test]
fn control_with_a_deleted_journal_loses_what_it_acknowledged() {
    loses(&try_all(Work::Plain("DELETE", "FULL"), "", extent((60, 8), (usize::MAX, 24))));
}

#[test]
fn control_with_syncs_that_do_nothing_loses_what_it_acknowledged() {
    loses(&try_all(Work::Small, "/ledger.db-wal", extent((60, 8), (usize::MAX, 24))));
}

/// Records the program on a stage, and looks at every disk and stick that may be left of it.
fn try_stage(what: &str, stage: &Stage, codes: &[i32], extent: Extent) -> Found {
    let case = memory();
    judge::copy(&stage.dir, case.path());
    let before = Disk::of(case.path());
    let watch = Watched::below(case.path()).run(stage.command(case.path()));
    assert!(watch.output.status.code().is_some_and(|code| codes.contains(&code)), "{}", String::from_utf8_lossy(&watch.output.stderr));
    let found = search(&before, &watch, extent, |slot, image| stage.look(slot, image), |seen, _, _| seen.clone());
    found.tell(what, stage.runs.load(Ordering::SeqCst));
    safe_at_the_end(before, &watch, case.path());
    found
}

/// What the program was done with cannot be lost any more: desk and stick are safe when it ends.
fn safe_at_the_end(mut disk: Disk, watch: &Watch, case: &Path) {
    watch.effects.iter().for_each(|effect| disk.apply(effect));
    let safe = disk.image(&vec![disk::Part::Lost; disk.pending()]);
    let there = disk::Image::of(case);
    let results = |image: &disk::Image| -> Vec<(String, Vec<u8>)> {
        let files = image.files.iter().filter(|(path, _)| path.starts_with("stick/") || path.ends_with("desk/head"));
        files.map(|(path, bytes)| (path.clone(), bytes.to_vec())).collect()
    };
    assert!(results(&safe) == results(&there), "the program ended before its results were safe");
}

#[test]
fn a_session_is_on_every_disk_and_stick_that_may_be_left_or_is_finished_by_the_next_run() {
    let stage = Stage::new(scene::busy, 1, if in_full() { 8 } else { 16 });
    let found = try_stage("a session", &stage, &[1], extent((50, 3), ALL));
    found.none();
    let again_on = stage.again_on();
    assert!(
        [(false, false), (true, true)].iter().all(|ends| again_on.contains(ends)),
        "run again before and after its results: {again_on:?}"
    );
}

#[test]
fn a_founding_is_on_every_disk_that_may_be_left_or_is_finished_by_the_next_run() {
    let stage = Stage::new(scene::before_founding, 0, 8);
    let found = try_stage("a founding", &stage, &[0], extent((50, 4), ALL));
    found.none();
    assert_eq!(stage.again_on(), [(false, true), (true, true)], "run again before and after its result; a founding writes no stick");
}

#[test]
fn a_halt_is_on_every_disk_that_may_be_left_from_its_sync_on() {
    let halting = Halting::new(if in_full() { 4 } else { 8 });
    let case = memory();
    judge::copy(&halting.dir, case.path());
    let before = Disk::of(case.path());
    let watch = Watched::below(case.path()).run(halting.command(case.path()));
    assert_eq!(watch.output.status.code(), Some(5), "{}", String::from_utf8_lossy(&watch.output.stderr));
    let named = watch.effects.iter().position(|effect| effect.kind == Kind::Rename("desk/halt".into())).unwrap();
    let synced = watch.effects[named..].iter().position(|effect| effect.kind == Kind::Sync && effect.path == "desk").unwrap() + named + 1;
    // First of all the halt: before it is safe, not one effect on the desk but those that make it, and none on the stick.
    let early: Vec<&str> = watch.effects[..synced].iter().map(|effect| effect.path.as_str()).filter(|path| *path != "desk/lock").collect();
    assert!(early.iter().all(|path| ["desk/halt.new", "desk"].contains(path) || path.ends_with("-shm")), "{early:?}");
    let judge = |(is_halted, wrong): &(bool, Vec<String>), _: &[String], done: usize| {
        let lost = (done >= synced && !is_halted).then(|| "the halt file is lost behind its sync".to_owned());
        wrong.iter().cloned().chain(lost).collect()
    };
    let found = search(&before, &watch, extent((50, 4), ALL), |slot, image| halting.look(slot, image), judge);
    found.tell("a halt", halting.runs.load(Ordering::SeqCst));
    found.none();
    assert_eq!(halting.again_on(), [false, true], "run again without the halt file and with it");
}

/// An order of the governors ends a halt. The halt file goes when the event of it is safe: no disk has a desk that is neither halted nor resumed.
#[test]
fn a_resume_is_on_every_disk_that_may_be_left_or_the_desk_is_halted_as_before() {
    let stage = resumption::Stage::new(if in_full() { 4 } else { 8 });
    let case = memory();
    judge::copy(stage.dir(), case.path());
    let before = Disk::of(case.path());
    let watch = Watched::below(case.path()).run(child_of(RESUME, case.path()));
    assert!(watch.output.status.success(), "{}", String::from_utf8_lossy(&watch.output.stderr));
    let judge = |seen: &resumption::Seen, marks: &[String], _: usize| {
        let mut wrong = seen.wrong.clone();
        wrong.extend((!seen.is_halted && !seen.is_resumed).then(|| "neither halted nor resumed".to_owned()));
        let is_lost = !marks.is_empty() && (seen.is_halted || !seen.is_resumed);
        wrong.extend(is_lost.then(|| "the resume is lost behind its end".to_owned()));
        wrong
    };
    // Every boundary, however many there are: what is asked below must be among them.
    let found = search(&before, &watch, extent((usize::MAX, 4), ALL), |slot, image| stage.look(slot, image), judge);
    found.tell("an order to resume", stage.runs.load(Ordering::SeqCst));
    found.none();
    assert_eq!(stage.again_on(), [(false, true), (true, false), (true, true)], "carried out again on a desk halted, resumed, and both");
}

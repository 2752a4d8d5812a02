//! The commit point: a real process, killed with SIGKILL at every numbered effect of a session, and the session run again.
//!
//! The child is this very test program, started again with [`CHILD`] set; it runs one task on a copy of a prepared desk and stick, counts the
//! effects that are announced to it, and kills itself when effect `n` is about to happen: so also when effect `n - 1` has just happened. The
//! parent sees that it died of signal 9, looks at what lies there ([`judge::inspect`]), runs the task again in a new process, and compares
//! with a run that nobody disturbed ([`judge::compare`]).
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "crash/judge.rs"]
mod judge;
#[path = "crash/scene.rs"]
mod scene;

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Resource, Rlimit, Signal, getpid, kill_process, setrlimit};

use judge::{Made, Seen, Tree, compare, copy, inspect, tree};
use scene::{Knows, Scene, Task, known, request};
use tabellion::core::ids::{Hash, Head};
use tabellion::core::publish;
use tabellion::run::session::session;

/// `<task> <kill at, 0 for never> <folder>`
const CHILD: &str = "TABELLION_CRASH_CHILD";
/// The longest file that the child may write: it dies in the middle of the write that would make a longer one.
const FILE_BYTES: &str = "TABELLION_CRASH_FILE_BYTES";
/// At this effect a child of the control shows `early` on the stick and dies.
const EARLY: &str = "TABELLION_CRASH_EARLY";
const THREADS: usize = 2;

/// The child's whole life. Without its variable this is not a child, and there is nothing to do.
#[test]
fn child() {
    let Ok(line) = std::env::var(CHILD) else { return };
    let mut words = line.splitn(3, ' ');
    let (task, kill_at, dir) = (words.next().unwrap(), words.next().unwrap(), PathBuf::from(words.next().unwrap()));
    let (kill_at, early): (usize, Option<usize>) = (kill_at.parse().unwrap(), std::env::var(EARLY).ok().map(|at| at.parse().unwrap()));
    if let Ok(most) = std::env::var(FILE_BYTES) {
        let limit = |most| Rlimit { current: Some(most), maximum: Some(most) };
        setrlimit(Resource::Core, limit(0)).unwrap();
        setrlimit(Resource::Fsize, limit(most.parse().unwrap())).unwrap();
    }
    let mut effects: Vec<String> = Vec::new();
    let mut observe = |effect: &'static str, what: &str| {
        effects.push(format!("{effect}: {what}"));
        if early == Some(effects.len()) {
            let common = dir.join("stick/tabellion/common");
            fs::create_dir_all(&common).unwrap();
            fs::copy(dir.join("early"), common.join("checkpoint")).unwrap();
            die();
        }
        if effects.len() == kill_at {
            die();
        }
    };
    match task {
        "Session" => {
            let report = session(&request(&dir), &mut Knows(known(&dir)), &mut observe).unwrap_or_else(|problem| panic!("{problem}"));
            report.media.iter().for_each(|(_, written)| assert_eq!(*written, Ok(())));
            observe("end", "");
        }
        "Found" => {
            let _desk = scene::found(&dir, &mut observe);
            observe("end", "");
        }
        "Draft" => scene::draft(&dir),
        _ => {
            let _desk = scene::export(&dir, &mut observe);
            observe("end", "");
        }
    }
    if std::env::var_os(FILE_BYTES).is_none() {
        fs::write(dir.join("effects"), effects.join("\n")).unwrap();
    }
}

fn die() {
    kill_process(getpid(), Signal::KILL).unwrap();
    // The signal is on its way to this very process: nothing more may happen.
    loop {
        std::thread::park();
    }
}

fn start(case: &Path, task: Task, kill_at: usize) -> Command {
    let staging = case.join("staging");
    fs::create_dir_all(&staging).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["child", "--exact", "--nocapture", "--test-threads=1"]).env("TMPDIR", staging);
    command.env(CHILD, format!("{task:?} {kill_at} {}", case.display()));
    command
}

/// Starts a child and waits for it.
fn output(mut command: Command) -> Output {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = {
        let _no_desk_is_open = scene::FORKS.write().unwrap();
        command.spawn().unwrap()
    };
    child.wait_with_output().unwrap()
}

fn output_with(mut command: Command, name: &str, value: usize) -> Output {
    command.env(name, value.to_string());
    output(command)
}

fn killed(output: &Output, at: usize) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(9), "the child at effect {at} did not die of SIGKILL: {said}");
}

/// Runs the task to its end; what it did, effect by effect.
fn run(case: &Path, task: Task) -> Result<Vec<String>, String> {
    let output = output(start(case, task, 0));
    if !output.status.success() {
        return Err(format!("the run ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    let effects = fs::read_to_string(case.join("effects")).unwrap();
    Ok(effects.lines().map(str::to_owned).collect())
}

/// One scene with its undisturbed run, and all that was ever seen on its sticks.
struct Stage {
    scene: Scene,
    before: Tree,
    reference: Made,
    effects: Vec<String>,
    seen: Mutex<Seen>,
    root: tempfile::TempDir,
    cases: AtomicUsize,
    kills: AtomicUsize,
}

/// A folder in memory if there is one: thousands of syncs.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

impl Stage {
    fn new(build: impl FnOnce(PathBuf) -> Scene) -> Stage {
        let root = folder();
        let scene = build(root.path().join("scene"));
        let reference = root.path().join("reference");
        copy(&scene.dir, &reference);
        let effects = run(&reference, scene.task).unwrap();
        let before = tree(&scene.dir.join("stick"));
        let (seen, cases, kills) = (Mutex::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        let made = Made::of(&reference);
        let stage = Stage { scene, before, reference: made, effects, seen, root, cases, kills };
        assert_eq!(stage.inspect(&reference), Vec::<String>::new());
        stage
    }

    fn inspect(&self, case: &Path) -> Vec<String> {
        inspect(case, &self.before, self.scene.pin.as_ref(), &self.seen)
    }

    fn case_of(&self, from: &Path) -> PathBuf {
        let case = self.root.path().join(format!("case-{}", self.cases.fetch_add(1, Ordering::SeqCst)));
        copy(from, &case);
        case
    }

    /// Kills a run in `case` at effect `at`, and looks.
    fn kill(&self, case: &Path, at: usize) -> Vec<String> {
        killed(&output(start(case, self.scene.task, at)), at);
        self.kills.fetch_add(1, Ordering::SeqCst);
        self.inspect(case)
    }

    /// Runs again to the end, looks, and compares with the undisturbed run.
    fn recover(&self, case: &Path) -> Vec<String> {
        match run(case, self.scene.task) {
            Err(violation) => vec![violation],
            Ok(_) => [self.inspect(case), compare(case, &self.reference)].concat(),
        }
    }

    /// Kills at effect `at` of the first run, and runs again.
    fn kill_once(&self, at: usize) -> Vec<String> {
        let case = self.case_of(&self.scene.dir);
        let violations = [self.kill(&case, at), self.recover(&case)].concat();
        fs::remove_dir_all(case).unwrap();
        self.told(violations, &format!("killed at {at} ({})", self.effects[at - 1]))
    }

    /// Kills at effect `first`, then at each effect of the run that recovers, and runs a third time. Answers how many those were.
    fn kill_twice(&self, first: usize) -> (usize, Vec<String>) {
        let broken = self.case_of(&self.scene.dir);
        let mut violations = self.kill(&broken, first);
        let whole = self.case_of(&broken);
        let effects = run(&whole, self.scene.task).unwrap();
        let more = on_two_threads(1..=effects.len(), |second| {
            let case = self.case_of(&broken);
            let violations = [self.kill(&case, second), self.recover(&case)].concat();
            fs::remove_dir_all(case).unwrap();
            let when = format!("killed at {first} ({}), then at {second} ({})", self.effects[first - 1], effects[second - 1]);
            self.told(violations, &when)
        });
        violations.extend(more);
        (effects.len(), violations)
    }

    fn told(&self, violations: Vec<String>, when: &str) -> Vec<String> {
        violations.into_iter().map(|violation| format!("{when}: {violation}")).collect()
    }

    /// The number of the `count`th effect of this name, from 1.
    fn effect(&self, name: &str, count: usize) -> usize {
        let matching = self.effects.iter().enumerate().filter(|(_, effect)| effect.split(':').next() == Some(name));
        matching.map(|(at, _)| at + 1).nth(count - 1).unwrap_or_else(|| panic!("no effect {name} number {count} in {:#?}", self.effects))
    }
}

fn on_two_threads(points: impl Iterator<Item = usize>, each: impl Fn(usize) -> Vec<String> + Sync) -> Vec<String> {
    let (points, out) = (Mutex::new(points.collect::<Vec<_>>().into_iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let Some(at) = points.lock().unwrap().next() else { return };
                    let violations = each(at);
                    out.lock().unwrap().extend(violations);
                }
            });
        }
    });
    out.into_inner().unwrap()
}

fn none(violations: &[String]) {
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}

fn tell(stage: &Stage, what: &str) {
    let seen = stage.seen.lock().unwrap();
    println!(
        "{what}: {} points, {} kills, {} signed texts looked at, {} numbers, {} final receipts, {} notices",
        stage.effects.len(),
        stage.kills.load(Ordering::SeqCst),
        seen.looked_at,
        seen.roots.len(),
        seen.finals.len(),
        seen.notices.len()
    );
}

#[test]
fn a_session_killed_at_every_effect_is_finished_by_the_next_run_with_the_same_bytes() {
    let stage = Stage::new(scene::busy);
    let violations = on_two_threads(1..=stage.effects.len(), |at| stage.kill_once(at));
    tell(&stage, "session");
    none(&violations);
}

#[test]
fn the_run_that_recovers_may_be_killed_too() {
    let stage = Stage::new(scene::busy);
    let mut violations = Vec::new();
    // Around each commit, and in the first file on the stick.
    for (name, count) in [("commit", 1), ("acknowledge", 1), ("commit", 2), ("acknowledge", 2), ("rename", 1)] {
        let (effects, more) = stage.kill_twice(stage.effect(name, count));
        println!("killed before {name} {count}: {effects} points in the run that recovers");
        violations.extend(more);
    }
    tell(&stage, "session, killed twice");
    none(&violations);
}

/// Runs with files of at most so many bytes, each limit once, and then again. Answers how many of those runs died in the middle of a write.
fn torn(stage: &Stage) -> (usize, Vec<String>) {
    let kills = AtomicUsize::new(0);
    let limits = [0, 1, 17, 100, 300, 700, 1_500, 3_000].into_iter().chain((1..20).map(|frame| 32 + frame * 4_120 - 2_000));
    let violations = on_two_threads(limits, |most| {
        let case = stage.case_of(&stage.scene.dir);
        let output = output_with(start(&case, stage.scene.task, 0), FILE_BYTES, most);
        let mut violations = Vec::new();
        if output.status.signal() == Some(25) {
            kills.fetch_add(1, Ordering::SeqCst);
            violations.extend(stage.inspect(&case));
        } else {
            assert!(output.status.success(), "limit {most}: {}", String::from_utf8_lossy(&output.stderr));
        }
        violations.extend(stage.recover(&case));
        fs::remove_dir_all(case).unwrap();
        stage.told(violations, &format!("files of {most} bytes at most"))
    });
    (kills.into_inner(), violations)
}

/// A kill in the middle of a write: the kernel ends the child when a file would grow past the limit, in the log of the database too.
#[test]
fn a_run_killed_in_the_middle_of_a_write_is_finished_by_the_next_run() {
    let root = folder();
    let busy = scene::busy(root.path().join("busy"));
    let stages = [Stage::new(scene::before_founding), Stage::new(scene::busy), Stage::new(|dir| scene::for_export(&busy, dir))];
    for stage in stages {
        let (kills, violations) = torn(&stage);
        println!("{:?}: {kills} kills in the middle of a write", stage.scene.task);
        none(&violations);
        assert!(kills >= 15);
    }
}

/// A pipe where the checkpoint should be would be waited for without end, a link to a device read without end.
#[test]
fn what_lies_in_the_place_of_the_checkpoint_is_neither_followed_nor_waited_for() {
    let root = folder();
    let busy = scene::busy(root.path().join("busy"));
    let scene = scene::for_export(&busy, root.path().join("case"));
    let common = scene.dir.join("stick/tabellion/common");
    fs::create_dir_all(&common).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, common.join("checkpoint"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let said = run(&scene.dir, scene.task).unwrap_err();
    assert!(said.contains("MediumForeign") && said.contains("a pipe"), "{said}");
    fs::remove_file(common.join("checkpoint")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", common.join("checkpoint")).unwrap();
    let said = run(&scene.dir, scene.task).unwrap_err();
    assert!(said.contains("MediumForeign") && said.contains("a symbolic link"), "{said}");
}

/// The power failed while the log of the database was written: any beginning of it may be on the disk, or a page of it be wrong.
#[test]
fn a_log_that_was_half_written_when_the_power_failed_is_a_session_that_did_not_happen() {
    let stage = Stage::new(scene::busy);
    let broken = stage.case_of(&stage.scene.dir);
    let mut violations = stage.kill(&broken, stage.effect("acknowledge", 1));
    let log = fs::read(broken.join("desk/ledger.db-wal")).unwrap();
    let frames = (log.len() - 32) / 4_120;
    let cuts = [0, 1, 31, 32].into_iter().chain((0..frames).flat_map(|frame| [32 + frame * 4_120 + 24, 32 + frame * 4_120 + 2_000]));
    violations.extend(on_two_threads(cuts, |cut| {
        let case = stage.case_of(&broken);
        fs::write(case.join("desk/ledger.db-wal"), &log[..cut]).unwrap();
        // The index of the log is in shared memory and never on the disk: after a power failure it is any bytes.
        fs::write(case.join("desk/ledger.db-shm"), vec![0xee; cut % 5_000]).unwrap();
        let violations = [stage.inspect(&case), stage.recover(&case)].concat();
        fs::remove_dir_all(case).unwrap();
        stage.told(violations, &format!("log cut at byte {cut} of {}", log.len()))
    }));
    println!("session: {frames} frames in the log, cut in each");
    none(&violations);
}

#[test]
fn a_founding_killed_at_every_effect_is_finished_by_the_next_run_with_the_same_bytes() {
    let stage = Stage::new(scene::before_founding);
    let violations = on_two_threads(1..=stage.effects.len(), |at| stage.kill_once(at));
    tell(&stage, "founding");
    none(&violations);
}

#[test]
fn a_draft_killed_in_the_middle_of_a_write_is_finished_by_the_next_run() {
    let root = folder();
    let scene = scene::before_drafting(root.path().join("scene"));
    let mut kills = 0;
    for most in (0..1_200).step_by(47) {
        let case = root.path().join(most.to_string());
        copy(&scene.dir, &case);
        let output = output_with(start(&case, scene.task, 0), FILE_BYTES, most);
        kills += usize::from(output.status.signal() == Some(25));
        run(&case, scene.task).unwrap_or_else(|violation| panic!("after files of {most} bytes at most: {violation}"));
        let made = tree(&case.join("desk"));
        assert_eq!(made.keys().filter(|name| !name.starts_with(".tmp")).collect::<Vec<_>>(), ["charter.payload", "key"], "{most}");
        run(&case, scene.task).unwrap();
        assert_eq!(tree(&case.join("desk")), made);
    }
    println!("draft: {kills} kills in the middle of a write");
    assert!(kills > 10);
}

#[test]
fn an_export_killed_at_every_effect_is_finished_by_the_next_run_with_the_same_bytes() {
    let root = folder();
    let busy = scene::busy(root.path().join("busy"));
    let stage = Stage::new(|dir| scene::for_export(&busy, dir));
    let violations = on_two_threads(1..=stage.effects.len(), |at| stage.kill_once(at));
    tell(&stage, "export");
    none(&violations);
}

#[test]
fn partial_files_go_away_behind_the_new_checkpoint_and_not_before() {
    let stage = Stage::new(scene::before_full_tile);
    let from = stage.effects.iter().position(|effect| effect == "write: tabellion/common/checkpoint").unwrap();
    assert!(stage.effects.iter().filter(|effect| effect.starts_with("remove: tabellion/common/")).count() >= 4);
    let violations = on_two_threads(from..=stage.effects.len(), |at| stage.kill_once(at));
    tell(&stage, "full tile, from the last write on");
    none(&violations);
}

/// Whatever the stick lost or kept from a break comes back, or goes away, with the next run.
#[test]
fn a_stick_that_lost_files_is_made_whole() {
    let stage = Stage::new(scene::busy);
    let whole = stage.root.path().join("reference");
    let published: Vec<String> = tree(&whole.join("stick")).into_keys().filter(|path| path.starts_with("tabellion/common/")).collect();
    let files: Vec<&String> = published.iter().filter(|path| !path.ends_with('/') && !path.ends_with("checkpoint")).collect();
    let violations = on_two_threads(0..8, |nth| {
        let case = stage.case_of(&whole);
        for (at, path) in files.iter().enumerate().filter(|(at, _)| at % 4 == nth % 4) {
            let path = case.join("stick").join(path);
            match (nth / 4, at % 8 < 4) {
                (0, _) => fs::remove_file(&path).unwrap(),
                (_, true) => fs::write(&path, &fs::read(&path).unwrap()[..1]).unwrap(),
                (_, false) => fs::rename(&path, path.with_file_name("tmp-0.part")).unwrap(),
            }
        }
        let violations = stage.recover(&case);
        fs::remove_dir_all(case).unwrap();
        stage.told(violations, &format!("lost {nth}"))
    });
    none(&violations);
}

/// The power failed before the commit, and the next stick was another one: of the first attempt nothing stays, and its papers are new later.
#[test]
fn a_session_that_never_happened_leaves_nothing_behind() {
    let stage = Stage::new(scene::busy);
    let objects = |case: &Path| {
        let mut tree = tree(&case.join("desk/objects"));
        tree.retain(|path, _| !path.ends_with('/'));
        tree
    };
    let case = stage.case_of(&stage.scene.dir);
    none(&stage.kill(&case, stage.effect("commit", 1)));
    assert!(objects(&case).contains_key("000/000004.objects"));
    fs::rename(case.join("stick"), case.join("first")).unwrap();
    scene::quiet_stick(&case, stage.scene.pin.as_ref().unwrap().head);
    run(&case, Task::Session).unwrap();
    assert_eq!(objects(&case), objects(&stage.scene.dir));
    let head = judge::books_of(&case).unwrap().unwrap().head();
    assert_eq!(head.number, known(&case).number + 1);
    scene::knows(&case, head);
    fs::remove_dir_all(case.join("stick")).unwrap();
    fs::rename(case.join("first"), case.join("stick")).unwrap();
    run(&case, Task::Session).unwrap();
    // Another history than the stage's: with eyes that saw nothing else.
    none(&inspect(&case, &stage.before, stage.scene.pin.as_ref(), &Mutex::default()));
    let books = judge::books_of(&case).unwrap().unwrap();
    assert_eq!((books.headings().len(), books.unsealed().is_some()), (6, false));
    assert!(objects(&case).contains_key("000/000005.objects") && !objects(&case).contains_key("000/000004.objects"));
}

/// Evidence that this disk is old halts the desk, also when the process dies over it.
#[test]
fn a_halt_that_was_broken_off_is_made_again() {
    let root = folder();
    let case = scene::busy(root.path().join("case")).dir;
    fs::create_dir_all(case.join("stick/tabellion/heads")).unwrap();
    let head = Head { number: known(&case).number + 3, root: Hash([9; 32]) };
    fs::write(case.join("stick/tabellion/heads/from-elsewhere"), scene::signed(head)).unwrap();
    let before = (tree(&case.join("stick")), Made::of(&case));
    // 1 open the ledger, 2 copy the media, 3 halt.
    killed(&output(start(&case, Task::Session, 3)), 3);
    assert!(!case.join("desk/halt").exists());
    assert_eq!(tree(&case.join("stick")), before.0);
    // 4 dossier, 5 to 8 the evidence on the stick: killed there, the halt file stands and is sufficient.
    for at in [4, 5, 8] {
        let again = root.path().join(format!("killed-{at}"));
        copy(&case, &again);
        killed(&output(start(&again, Task::Session, at)), at);
        let said = run(&again, Task::Session).unwrap_err();
        assert!(said.contains("[halted]"), "{said}");
        assert_eq!(said.contains("the halt was broken off"), at == 4, "{at}: {said}");
    }
    let said = run(&case, Task::Session).unwrap_err();
    assert!(said.contains("[head-elsewhere]"), "{said}");
    let after = tree(&case.join("stick"));
    let said = run(&case, Task::Session).unwrap_err();
    assert!(said.contains("[halted]") && said.contains("carries our signature on common@"), "{said}");
    assert_eq!(tree(&case.join("stick")), after);
    assert!(before.0.iter().all(|(path, bytes)| after.get(path) == Some(bytes)));
    assert!(after.keys().all(|path| before.0.contains_key(path) || path.starts_with("tabellion/evidence/")));
    assert!(Made::of(&case).has_events_of(&before.1));
}

/// The judge is not blind: each wrong must be told.
#[test]
fn the_judge_notices_what_must_never_happen() {
    let stage = Stage::new(scene::busy);
    let whole = stage.root.path().join("reference");
    let newest = fs::read(whole.join("stick/tabellion/common/checkpoint")).unwrap();
    let told = |case: &Path, words: &str| {
        let violations = stage.inspect(case);
        assert!(violations.iter().any(|violation| violation.contains(words)), "{words:?} not among {violations:#?}");
        fs::remove_dir_all(case).unwrap();
    };
    // A desk that shows before it commits, and one that shows before it seals: the right checkpoint, too early.
    for at in [stage.effect("append events", 1), stage.effect("commit", 1), stage.effect("acknowledge", 1), stage.effect("commit", 2)] {
        let case = stage.case_of(&stage.scene.dir);
        fs::write(case.join("early"), &newest).unwrap();
        killed(&output_with(start(&case, Task::Session, 0), EARLY, at), at);
        told(&case, "is visible, the ledger has not sealed it");
    }
    // Another root for a number that was seen, wherever it lies.
    let number = judge::books_of(&whole).unwrap().unwrap().head().number;
    let case = stage.case_of(&whole);
    fs::write(case.join("stick/other"), scene::signed(Head { number, root: Hash([7; 32]) })).unwrap();
    told(&case, "two roots of common@");
    // A second receipt of a paper, as true as the first: the same number, proved in a later head.
    let case = stage.case_of(&whole);
    let books = judge::books_of(&whole).unwrap().unwrap();
    let proof = publish::inclusion_proof(&books, 2, number).unwrap().text().into_bytes();
    let twice = publish::receipts_file(&[(books.record(2).unwrap().pid, proof)].into());
    fs::write(case.join("stick/tabellion/results/again.receipts"), twice).unwrap();
    told(&case, "two receipts of");
    // A checkpoint whose pages are not there yet, a file that is torn, content that is missing.
    let case = stage.case_of(&whole);
    fs::remove_dir_all(case.join("stick/tabellion/common/tile/entries")).unwrap();
    told(&case, "folder on the stick");
    let case = stage.case_of(&whole);
    let path = case.join("stick/tabellion/common/vkeys");
    fs::write(&path, &fs::read(&path).unwrap()[1..]).unwrap();
    told(&case, "does not follow from the sealed ledger");
    let case = stage.case_of(&whole);
    fs::remove_file(case.join("stick/tabellion/common/objects/000/000004.index")).unwrap();
    told(&case, "content of");
    // A run that made other bytes than the undisturbed one.
    let case = stage.case_of(&whole);
    fs::write(case.join("desk/objects/loose/left"), "").unwrap();
    fs::remove_file(case.join("stick/tabellion/results/session-000004.receipts")).unwrap();
    let violations = compare(&case, &stage.reference);
    assert_eq!(violations, ["stick: tabellion/results/session-000004.receipts is missing", "desk: objects/loose/left is left over"]);
    // A ledger without the session, under results that have it.
    let case = stage.case_of(&whole);
    fs::remove_dir_all(case.join("desk")).unwrap();
    copy(&stage.scene.dir.join("desk"), &case.join("desk"));
    told(&case, "the ledger has not sealed it");
}

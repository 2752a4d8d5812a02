//! The disk fails: each effect of a real session on the desk's disk, and on the stick, is made to fail once, with `tests/disk/shim.c` loaded.
//!
//! What must hold: the program stops, says so in its own words, does nothing more to that disk, has shown nothing that is not sealed, and the
//! next run, on a disk that works, makes the same bytes as undisturbed.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code)]
#[path = "disk/desks.rs"]
mod desks;
#[allow(dead_code)]
#[path = "disk/disk.rs"]
mod disk;
#[allow(dead_code)]
#[path = "crash/judge.rs"]
mod judge;
#[path = "disk/recorder.rs"]
mod recorder;
#[allow(dead_code)]
#[path = "crash/scene.rs"]
mod scene;

use std::path::Path;
use std::sync::Mutex;

use desks::Stage;
use recorder::{Effect, Failing, Kind, Watch, Watched, memory};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// The ways in which an effect fails.
const WAYS: [(i32, Failing); 4] = [(EIO, Failing::Once), (ENOSPC, Failing::Once), (ENOSPC, Failing::Short), (EIO, Failing::Stay)];

/// One run with a fault: where, how, and what came of it.
struct Broken<'a> {
    stage: &'a Stage,
    case: tempfile::TempDir,
    at: u64,
    /// The first effect of closing.
    closing: u64,
    watch: Watch,
}

impl<'a> Broken<'a> {
    fn new(stage: &'a Stage, under: &str, closing: u64, at: u64, (errno, failing): (i32, Failing)) -> Broken<'a> {
        let case = memory();
        judge::copy(&stage.dir, case.path());
        let fail_under = Some(std::fs::canonicalize(case.path()).unwrap().join(under));
        let watched = Watched { fail: Some((at, errno, failing)), fail_under, ..Watched::below(case.path()) };
        let watch = watched.run(stage.command(case.path()));
        Broken { stage, case, at, closing, watch }
    }

    fn code(&self) -> i32 {
        self.watch.output.status.code().unwrap_or(-1)
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&self.watch.output.stderr).into_owned()
    }

    /// The first effect that failed, and those after it. What SQLite keeps to itself is passed over: see [`Broken::kept`].
    fn fault(&self) -> Option<(&Effect, &[Effect])> {
        let effects = &self.watch.effects;
        let at = (0..effects.len()).find(|at| effects[*at].is_fault && !self.is_kept(*at))?;
        Some((&effects[at], &effects[at + 1..]))
    }

    /// Whether this is the sync of the folder that SQLite makes after the first sync of a log: it does not look at the answer.
    fn is_kept(&self, at: usize) -> bool {
        let (before, effect) = (at.checked_sub(1).map(|before| &self.watch.effects[before]), &self.watch.effects[at]);
        let is_log = |before: &Effect| before.path.ends_with("-wal") || before.path.ends_with("-journal");
        effect.kind == Kind::Sync && effect.path == "desk" && before.is_some_and(|before| before.kind == Kind::Sync && is_log(before))
    }

    /// What is wrong when nothing but a sync of the folder failed that SQLite keeps to itself: it must be one that we made or make as well.
    fn kept(&self) -> Vec<String> {
        let Some(at) = self.watch.effects.iter().position(|effect| effect.is_fault) else { return Vec::new() };
        let (before, after) = (&self.watch.effects[..at], &self.watch.effects[at + 1..]);
        let is_synced = |effect: &Effect| effect.kind == Kind::Sync && effect.path == "desk" && effect.answer == 0;
        let since = &before[before.iter().rposition(is_synced).map_or(0, |at| at + 1)..];
        let names = |effect: &&Effect| {
            let in_folder = effect.path.strip_prefix("desk/").is_some_and(|name| !name.contains('/') && !name.ends_with("-shm"));
            in_folder && matches!(effect.kind, Kind::Create | Kind::Rename(_) | Kind::Unlink)
        };
        let mut out = Vec::new();
        if let Some(name) = since.iter().find(names).filter(|_| !after.iter().any(is_synced)) {
            out.push(format!("nobody synced {}", shown(name)));
        }
        out.extend((self.code() != self.stage.code).then(|| format!("exit {}: {}", self.code(), self.stop())));
        out
    }

    /// What is wrong with how the program took a fault of the desk's disk.
    fn latched(&self) -> Vec<String> {
        let mut out = Vec::new();
        let Some((fault, after)) = self.fault() else { return self.kept() };
        let on_desk = after.iter().filter(|effect| effect.path.starts_with("desk"));
        // Closing tidies up behind a run that was done: everything is on the disk and on the stick by then.
        if self.is_closing() {
            let again = on_desk.filter(|effect| effect.kind == Kind::Sync && effect.inode == fault.inode);
            out.extend(again.map(|effect| format!("{} is synced again", effect.path)));
            out.extend((self.code() != self.stage.code).then(|| format!("exit {}: {}", self.code(), self.stop())));
            return out;
        }
        let said = self.said();
        for words in ["[disk-fault]", "found  ", "state  ", "next   "] {
            out.extend((!said.contains(words)).then(|| format!("does not say {words:?}: {}", self.stop())));
        }
        let error = ["os error", "disk I/O error", "database or disk is full", "unable to open database file", "read back otherwise"];
        out.extend((!error.iter().any(|words| said.contains(words))).then(|| format!("does not say which error: {}", self.stop())));
        out.extend((self.code() != 5).then(|| format!("exit {}: {}", self.code(), self.stop())));
        let more: Vec<String> = on_desk.filter(|effect| !is_tidying(fault, effect)).map(shown).collect();
        out.extend((!more.is_empty()).then(|| format!("{} more effects on that disk, first {}", more.len(), more[0])));
        let on_stick = after.iter().filter(|effect| effect.path.starts_with("stick"));
        out.extend(on_stick.map(|effect| format!("after the fault, on the stick: {}", shown(effect))).take(1));
        out
    }

    /// What is wrong with how the program took a fault of the stick.
    fn gave_up(&self) -> Vec<String> {
        let mut out = Vec::new();
        let Some((fault, after)) = self.fault() else { return out };
        let (said, path) = (self.said() + &String::from_utf8_lossy(&self.watch.output.stdout), &fault.path);
        out.extend((self.code() != 3).then(|| format!("exit {}: {}", self.code(), self.stop())));
        out.extend((!said.contains("[medium-fault]") || !said.contains("os error")).then(|| format!("does not say so: {said}")));
        let more = after.iter().filter(|effect| effect.path.starts_with("stick") && !is_tidying(fault, effect));
        out.extend(more.map(|effect| format!("given up, and yet {}", shown(effect))).take(1));
        // Whatever the stick does, the session is on the desk, and the desk is left as always.
        let is_left = |effect: &Effect| effect.kind == Kind::Unlink && effect.path == "desk/ledger.db-wal";
        out.extend((!after.iter().any(is_left)).then(|| format!("the desk was not left as it should be after a fault of {path}")));
        out
    }

    /// Whether everything that was to be done was done before the fault: what is left is what SQLite does on closing.
    fn is_closing(&self) -> bool {
        self.fault().is_some_and(|(fault, _)| fault.number >= self.closing)
    }

    /// The message without what was narrated before it.
    fn stop(&self) -> String {
        let said = self.said();
        said.find("tabellion: stop").map_or(said.clone(), |at| said[at..].to_owned())
    }

    fn told(&self, way: (i32, Failing), wrong: Vec<String>) -> Vec<String> {
        let what = self.fault().map_or("nothing".to_owned(), |(fault, _)| shown(fault));
        wrong.into_iter().map(|wrong| format!("effect {:3} {way:?}, {what}: {wrong}", self.at)).collect()
    }
}

fn shown(effect: &Effect) -> String {
    let what = match &effect.kind {
        Kind::Write(at, bytes) => format!("Write {} at {at}", bytes.len()),
        other => format!("{other:?}"),
    };
    format!("{what} {}", effect.path)
}

/// How many effects there are below a folder when nothing fails, and with which closing begins: behind the last commit and the last result.
fn effects(stage: &Stage, under: &str) -> (u64, u64) {
    let never = u64::MAX >> 1;
    let whole = Broken::new(stage, under, never, never, WAYS[0]);
    assert_eq!(whole.code(), stage.code, "{}", whole.said());
    let effects = &whole.watch.effects;
    let is_work = |effect: &Effect| {
        matches!(effect.kind, Kind::Write(..)) && effect.path.ends_with("-wal") || !effect.path.starts_with("desk/ledger.db")
    };
    let last = effects.iter().rposition(is_work).unwrap();
    let of_commit = usize::from(effects[last].path.ends_with("-wal"));
    let closing = effects[last + 1 + of_commit..].iter().find(|effect| effect.number > 0).map_or(never, |effect| effect.number);
    (effects.iter().map(|effect| effect.number).max().unwrap(), closing)
}

/// Every way at every effect when all is to be tried; else, at every fourth effect from one that a printed seed gives, one way.
fn cases(count: u64) -> Vec<(u64, (i32, Failing))> {
    if std::env::var_os("TABELLION_DISK_FULL").is_some() {
        return (1..=count).flat_map(|at| WAYS.map(|way| (at, way))).collect();
    }
    let seed = std::env::var("TABELLION_SEED").ok().map_or_else(|| fastrand::u64(..), |seed| seed.parse().expect("a number"));
    println!("seed {seed} (TABELLION_SEED)");
    let way = |at: u64| WAYS[(at / 4).wrapping_add(seed / 4) as usize % WAYS.len()];
    (1..=count).filter(|at| (at + seed % 4).is_multiple_of(4)).map(|at| (at, way(at))).collect()
}

fn on_two_threads(cases: Vec<(u64, (i32, Failing))>, each: impl Fn(u64, (i32, Failing)) -> Vec<String> + Sync) -> Vec<String> {
    let (cases, out) = (Mutex::new(cases.into_iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some((at, way)) = cases.lock().unwrap().next() else { return };
                    let wrong = each(at, way);
                    out.lock().unwrap().extend(wrong);
                }
            });
        }
    });
    let mut out = out.into_inner().unwrap();
    out.sort();
    out
}

/// What may still be done to a disk that failed: taking away a file that has no name of its own yet; and when the fault was met in a database
/// that is not finished, which the next run removes, what SQLite tries to come to an end with it.
fn is_tidying(fault: &Effect, effect: &Effect) -> bool {
    let name = Path::new(&effect.path).file_name().unwrap().to_string_lossy().into_owned();
    let is_temporary = name.starts_with(".tmp") || name.ends_with(".new") || name.ends_with(".part");
    let is_unfinished = fault.path.contains("ledger.db.new");
    match effect.kind {
        Kind::Rename(_) => false,
        Kind::Unlink if is_temporary => true,
        Kind::Sync if effect.path == "desk" => is_unfinished,
        _ => is_unfinished && name.starts_with("ledger.db.new"),
    }
}

/// Breaks a stage everywhere below a folder, in the ways of [`cases`], and lets the next run finish.
fn break_everywhere(what: &str, stage: &Stage, under: &str, check: impl Fn(&Broken<'_>) -> Vec<String> + Sync) {
    let (count, closing) = effects(stage, under);
    let cases = cases(count);
    println!("{what}: {count} effects below {under}, {} runs with a fault", cases.len());
    let wrong = on_two_threads(cases, |at, way| {
        let broken = Broken::new(stage, under, closing, at, way);
        let mut wrong = check(&broken);
        wrong.extend(stage.finished(broken.case.path()));
        broken.told(way, wrong)
    });
    println!("{what}: {} wrong", wrong.len());
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_fault_of_the_desks_disk_in_a_session_latches_and_the_next_run_makes_the_same_bytes() {
    break_everywhere("a session", &Stage::new(scene::busy, 1, 1), "desk", |broken| broken.latched());
}

#[test]
fn a_fault_of_the_desks_disk_in_a_founding_latches_and_the_next_run_makes_the_same_bytes() {
    break_everywhere("a founding", &Stage::new(scene::before_founding, 0, 1), "desk", |broken| broken.latched());
}

#[test]
fn a_fault_of_a_medium_gives_up_the_medium_and_the_next_run_makes_the_same_bytes() {
    break_everywhere("a session", &Stage::new(scene::busy, 1, 1), "stick", |broken| broken.gave_up());
}

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
    watch: Watch,
}

impl<'a> Broken<'a> {
    fn new(stage: &'a Stage, under: &str, at: u64, (errno, failing): (i32, Failing)) -> Broken<'a> {
        let case = memory();
        judge::copy(&stage.dir, case.path());
        let fail_under = Some(std::fs::canonicalize(case.path()).unwrap().join(under));
        let watched = Watched { fail: Some((at, errno, failing)), fail_under, ..Watched::below(case.path()) };
        let watch = watched.run(stage.command(case.path()));
        Broken { stage, case, at, watch }
    }

    fn code(&self) -> i32 {
        self.watch.output.status.code().unwrap_or(-1)
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&self.watch.output.stderr).into_owned()
    }

    /// The first effect that failed, and those after it. What SQLite keeps to itself is passed over: see [`Broken::kept`] and [`is_leaving`].
    fn fault(&self) -> Option<(&Effect, &[Effect])> {
        let effects = &self.watch.effects;
        let at = (0..effects.len()).find(|at| effects[*at].is_fault && !self.is_kept(*at) && !is_leaving(&effects[*at]))?;
        Some((&effects[at], &effects[at + 1..]))
    }

    /// Whether this is the sync of the folder that SQLite makes after the first sync of a log: it does not look at the answer.
    fn is_kept(&self, at: usize) -> bool {
        let (before, effect) = (at.checked_sub(1).map(|before| &self.watch.effects[before]), &self.watch.effects[at]);
        let is_log = |before: &Effect| before.path.ends_with("-wal") || before.path.ends_with("-journal");
        effect.kind == Kind::Sync && effect.path == "desk" && before.is_some_and(|before| before.kind == Kind::Sync && is_log(before))
    }

    /// What is wrong when nothing failed but what SQLite keeps to itself. A sync of the folder must be one that we made as well, or make before
    /// anything relies on it.
    fn kept(&self) -> Vec<String> {
        let Some(at) = self.watch.effects.iter().position(|effect| effect.is_fault) else { return Vec::new() };
        let (before, after) = (&self.watch.effects[..at], &self.watch.effects[at + 1..]);
        let is_folder = self.watch.effects[at].kind == Kind::Sync;
        let is_synced = |effect: &Effect| effect.kind == Kind::Sync && effect.path == "desk" && effect.answer == 0;
        let since = &before[before.iter().rposition(is_synced).map_or(0, |at| at + 1)..];
        let names = |effect: &&Effect| {
            let in_folder = effect.path.strip_prefix("desk/").is_some_and(|name| !name.contains('/') && !name.ends_with("-shm"));
            in_folder && matches!(effect.kind, Kind::Create | Kind::Rename(_) | Kind::Unlink)
        };
        let relies = |effect: &Effect| {
            effect.path.starts_with("stick") || effect.path.starts_with("desk/head") || matches!(effect.kind, Kind::Rename(_))
        };
        let in_time = &after[..after.iter().position(relies).unwrap_or(after.len())];
        let mut out = Vec::new();
        if let Some(name) = since.iter().find(names).filter(|_| is_folder && !in_time.iter().any(is_synced)) {
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
        let said = self.said();
        for words in ["[disk-fault]", "found  ", "state  ", "next   "] {
            out.extend((!said.contains(words)).then(|| format!("does not say {words:?}: {}", self.stop())));
        }
        let error = ["os error", "disk I/O error", "database or disk is full", "unable to open database file", "read back otherwise"];
        out.extend((!error.iter().any(|words| said.contains(words))).then(|| format!("does not say which error: {}", self.stop())));
        out.extend((self.code() != 5).then(|| format!("exit {}: {}", self.code(), self.stop())));
        let (undone, more): (Vec<&Effect>, Vec<&Effect>) =
            on_desk.filter(|effect| !self.is_tidying(effect)).partition(|effect| is_undoing(fault, effect));
        out.extend((undone.len() > UNDOING_MAX).then(|| format!("{} effects to undo what was not finished", undone.len())));
        let more: Vec<String> = more.into_iter().map(shown).collect();
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
        // One name serves many files on a stick: whatever was made under it is taken away, once.
        let more = after.iter().filter(|effect| effect.path.starts_with("stick"));
        let more = more.enumerate().filter(|(at, effect)| *at > 0 || effect.kind != Kind::Unlink || !is_temporary(effect));
        let more = more.map(|(_, effect)| effect);
        out.extend(more.map(|effect| format!("given up, and yet {}", shown(effect))).take(1));
        // Whatever the stick does, the session is on the desk, and the desk is left as always.
        let is_left = |effect: &Effect| effect.kind == Kind::Unlink && effect.path == "desk/ledger.db-wal";
        out.extend((!after.iter().any(is_left)).then(|| format!("the desk was not left as it should be after a fault of {path}")));
        out
    }

    /// What may still be done to a disk that failed: a file that this run made under a name of its own is taken away, once.
    fn is_tidying(&self, effect: &Effect) -> bool {
        let of_file = |kind: &Kind| self.watch.effects.iter().filter(|other| other.kind == *kind && other.path == effect.path).count();
        effect.kind == Kind::Unlink && is_temporary(effect) && of_file(&Kind::Create) == 1 && of_file(&Kind::Unlink) == 1
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

/// A name that only the run which is at work uses.
fn is_temporary(effect: &Effect) -> bool {
    let name = Path::new(&effect.path).file_name().unwrap().to_string_lossy().into_owned();
    name.starts_with(".tmp") || name.ends_with(".new") || name.ends_with(".part")
}

fn shown(effect: &Effect) -> String {
    let what = match &effect.kind {
        Kind::Write(at, bytes) => format!("Write {} at {at}", bytes.len()),
        other => format!("{other:?}"),
    };
    format!("{what} {}", effect.path)
}

/// How many effects there are below a folder when nothing fails.
fn effects(stage: &Stage, under: &str) -> u64 {
    let whole = Broken::new(stage, under, u64::MAX >> 1, WAYS[0]);
    assert_eq!(whole.code(), stage.code, "{}", whole.said());
    whole.watch.effects.iter().map(|effect| effect.number).max().unwrap()
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

/// Effects with which SQLite undoes the beginning of a new database, at most.
const UNDOING_MAX: usize = 5;

/// When the fault was met in a database that has no name of a ledger yet, SQLite undoes what it had begun there: it writes no byte, empties the
/// new file, syncs and takes its journal away. The next run begins it anew, whatever is left.
fn is_undoing(fault: &Effect, effect: &Effect) -> bool {
    let is_new = |effect: &Effect| effect.path.starts_with("desk/ledger.db.new");
    let is_folder = effect.path == "desk" && effect.kind == Kind::Sync;
    is_new(fault) && (is_new(effect) || is_folder) && matches!(effect.kind, Kind::Truncate(0) | Kind::Sync | Kind::Unlink)
}

/// Leaving a desk whose log is in the database: SQLite takes the names of the log and of its index away, and does not look whether it could. A
/// name that stays leads to an empty log.
fn is_leaving(effect: &Effect) -> bool {
    effect.kind == Kind::Unlink && ["desk/ledger.db-wal", "desk/ledger.db-shm"].contains(&effect.path.as_str())
}

/// Breaks a stage everywhere below a folder, in the ways of [`cases`], and lets the next run finish.
fn break_everywhere(what: &str, stage: &Stage, under: &str, check: impl Fn(&Broken<'_>) -> Vec<String> + Sync) {
    let count = effects(stage, under);
    let cases = cases(count);
    let tried = cases.len();
    let wrong = on_two_threads(cases, |at, way| {
        let broken = Broken::new(stage, under, at, way);
        let mut wrong = check(&broken);
        wrong.extend(stage.finished(broken.case.path()));
        broken.told(way, wrong)
    });
    println!("| run | effects | faults tried | wrong |\n| {what}, faults below `{under}` | {count} | {tried} | {} |", wrong.len());
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

//! Derived tables made again from the events, and one ledger put in the place of another, broken off at every step.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use support::{Notary, Paper, policy_toml, room, tree};
use tabellion::core::ids::Hash;
use tabellion::core::proposal::Expect;
use tabellion::core::rules::Rule;
use tabellion::ledger::Ledger;

use tabellion::run::problem::Exit;
use tabellion::run::rebuild::{Rebuilt, rebuild};
use tabellion::run::session::export;
use tempfile::TempDir;

/// `<task> <kill at, 0 for never> <desk> <other>`
const CHILD: &str = "TABELLION_REBUILD_CHILD";

/// A desk with two sessions behind its founding: accepted, refused and held papers, and an event with a large payload. Made once.
static DESK: LazyLock<(TempDir, Notary)> = LazyLock::new(|| {
    let room = room();
    let notary = Notary::found(&room.path().join("desk"), &policy_toml(1_000));
    let head = notary.head();
    // What a medium carried is in the closing event: many files with long names make a payload that stands beside it.
    (0..600).for_each(|n| support::write(&room.path().join(format!("m0/{n:0>150}")), b"not ours"));
    let papers: Vec<Paper> =
        (1..=5).map(|n| Paper::new("frank", n, head).put(&format!("open/many/{n}"), b"same", Expect::Absent)).collect();
    notary.judge(&room.path().join("m0"), &papers);
    let head = notary.head();
    let put = |author, name: &str| Paper::new(author, 1, head).put(name, name.as_bytes(), Expect::Absent);
    notary.judge(&room.path().join("m1"), &[put("alice", "open/a"), put("bob", "nowhere/at/all"), put("dave", "docs/waits")]);
    (room, notary)
});

/// A copy of it.
fn desk() -> (TempDir, Notary) {
    let room = room();
    let notary = DESK.1.copied_to(&room.path().join("desk"));
    (room, notary)
}

fn no_effects(_: &'static str, _: &str) {}

fn rebuilt(notary: &Notary, replace: bool) -> Rebuilt {
    rebuild(&notary.dir, replace, &mut no_effects).unwrap_or_else(|problem| panic!("{problem}"))
}

/// A desk's files but for its log, the log's index and the quarantine.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = tree(dir);
    assert_eq!(files.remove("ledger.db-wal").unwrap_or_default(), b"");
    files.retain(|path, _| path != "ledger.db-shm" && !path.starts_with("quarantine/"));
    files
}

/// Every event's hash.
fn hashes(dir: &Path) -> Vec<[u8; 32]> {
    let mut all = Vec::new();
    let take = |event: tabellion::core::event::Event| {
        all.push(event.event_hash);
        Ok(())
    };
    Ledger::open_read_only(dir).unwrap().for_each(1, take).unwrap();
    all
}

/// What the desk publishes, byte for byte.
fn published(notary: &Notary) -> BTreeMap<String, Vec<u8>> {
    let medium = room();
    export(&notary.dir, medium.path(), &mut no_effects).unwrap_or_else(|problem| panic!("{problem}"));
    tree(medium.path())
}

/// Runs SQL with the guards of a table out of the way, then puts them back: as somebody would who can write to the disk.
fn tampered(dir: &Path, table: &str, sql: &str) {
    tampered_with(dir, table, sql, |_| {});
}

fn tampered_with(dir: &Path, table: &str, sql: &str, prepare: impl FnOnce(&rusqlite::Connection)) {
    #[allow(clippy::disallowed_methods)] // a foreign program at the ledger's file is what this is about
    let db = rusqlite::Connection::open(dir.join("ledger.db")).unwrap();
    prepare(&db);
    let mut statement = db.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1").unwrap();
    let guards: Vec<(String, String)> =
        statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    drop(statement);
    guards.iter().for_each(|(name, _)| db.execute_batch(&format!("DROP TRIGGER {name}")).unwrap());
    db.execute_batch(sql).unwrap();
    guards.iter().for_each(|(_, text)| db.execute_batch(text).unwrap());
    db.close().unwrap();
}

/// Where a table is changed, how, and how many of its rows differ then.
const TAMPERED: [(&str, &str, u64); 10] = [
    ("records", "UPDATE records SET session = 7 WHERE number = 2", 1),
    ("records", "DELETE FROM records WHERE number = 5", 1),
    ("records", "INSERT INTO records VALUES (9000, 3, zeroblob(32), zeroblob(32), 1, 1)", 1),
    ("records", "UPDATE records SET pid = zeroblob(3000) WHERE number = 4", 1),
    ("records", "UPDATE records SET number = 9000 WHERE number = 7", 2),
    ("verdicts", "DELETE FROM verdicts", 8),
    ("verdicts", "UPDATE verdicts SET seq_no = seq_no + 1 WHERE seq_no = 7", 1),
    ("verdicts", "INSERT INTO verdicts VALUES (zeroblob(32), 1)", 1),
    ("payloads", "INSERT INTO payloads VALUES (zeroblob(32), zeroblob(70000))", 1),
    ("payloads", "INSERT INTO payloads SELECT zeroblob(31), bytes FROM payloads LIMIT 1", 1),
];

#[test]
fn a_sound_ledger_is_equal_and_nothing_is_replaced() {
    let (_room, notary) = desk();
    let before = files(&notary.dir);
    for replace in [false, true] {
        let found = rebuilt(&notary, replace);
        assert!(!found.differs() && found.kept.is_none() && found.file.is_none());
        let tables: Vec<_> = found.tables.iter().map(|table| (table.name, table.rows, table.differ)).collect();
        // The charter, five papers and one more; with the refused paper.
        assert_eq!(tables, [("records", 7, 0), ("verdicts", 8, 0), ("payloads", 1, 0)]);
        assert_eq!((found.objects.named, found.objects.there, found.objects.wrong.len()), (3, 3, 0));
    }
    assert!(files(&notary.dir) == before, "nothing was changed");
    assert!(!notary.dir.join("quarantine").exists());
}

#[test]
fn every_change_of_a_derived_table_is_told_and_put_right() {
    let honest = published(&DESK.1);
    for (table, sql, rows) in TAMPERED {
        let (_room, notary) = desk();
        tampered(&notary.dir, table, sql);
        let before = files(&notary.dir);
        let found = rebuilt(&notary, false);
        let differ: Vec<_> = found.tables.iter().filter(|table| table.differ > 0).map(|table| (table.name, table.differ)).collect();
        assert_eq!(differ, [(table, rows)], "{sql}");
        assert!(found.tables.iter().all(|table| table.differences.len() as u64 == table.differ.min(32)), "{sql}");
        assert!(found.kept.is_none() && files(&notary.dir) == before, "{sql}: nothing was changed");
        assert!(!notary.dir.join("quarantine").exists(), "{sql}");
        let kept = rebuilt(&notary, true).kept.unwrap();
        let old = fs::read(&kept).unwrap();
        assert!(old == before["ledger.db"], "{sql}: the old database is kept");
        assert_eq!(kept.file_name().unwrap().to_str().unwrap(), format!("{}.db", Hash::of(&old)));
        assert!(!rebuilt(&notary, false).differs(), "{sql}");
        assert!(published(&notary) == honest, "{sql}: the same bytes are published");
    }
}

#[test]
fn what_is_told_shows_both_rows() {
    let (_room, notary) = desk();
    tampered(&notary.dir, "records", "UPDATE records SET session = 7 WHERE number = 2");
    let found = rebuilt(&notary, false);
    let row = &found.tables[0].differences[0];
    let (was, expected) = (row.found.clone().unwrap(), row.expected.clone().unwrap());
    assert_eq!(row.key, "2");
    assert!(was.starts_with("seq_no 6, pid ") && was.ends_with(", session 7, writer_epoch 1"), "{was}");
    assert_eq!(expected, was.replace("session 7", "session 1"));
}

#[test]
fn broken_events_build_nothing() {
    for (sql, words) in [
        ("UPDATE events SET signature = zeroblob(64) WHERE seq_no = 6", "event 6: signature"),
        ("UPDATE events SET writer_epoch = 2 WHERE seq_no = 6", "event 6: hash"),
        ("DELETE FROM events WHERE seq_no = 6", "event 6: event 7 found"),
        ("UPDATE events SET payload = zeroblob(9) WHERE seq_no = 6", "event 6: hash"),
        ("UPDATE events SET event_id = '1/999' WHERE seq_no = 6", "event 6: event id"),
    ] {
        let (_room, notary) = desk();
        let hashes = hashes(&notary.dir);
        let change = |db: &rusqlite::Connection| {
            let flags = rusqlite::functions::FunctionFlags::SQLITE_DETERMINISTIC | rusqlite::functions::FunctionFlags::SQLITE_INNOCUOUS;
            db.create_scalar_function("tabellion_event_hash", 9, flags, move |context| Ok(hashes[context.get::<i64>(0)? as usize - 1]))
                .unwrap();
        };
        tampered_with(&notary.dir, "events", sql, change);
        let before = files(&notary.dir);
        let problem = rebuild(&notary.dir, true, &mut no_effects).expect_err("broken events");
        assert_eq!((problem.fault.rule, problem.exit()), (Rule::ChainBroken, Exit::Halted), "{problem}");
        assert!(problem.fault.found.starts_with(words), "{problem}");
        assert!(files(&notary.dir) == before && !notary.dir.join("quarantine").exists(), "{sql}");
    }
    let (_room, notary) = desk();
    tampered(&notary.dir, "payloads", "DELETE FROM payloads");
    let problem = rebuild(&notary.dir, true, &mut no_effects).expect_err("an event without its payload");
    assert!(problem.fault.found.contains("event 11: no payload found"), "{problem}");
    assert_eq!(problem.exit(), Exit::Halted);
}

#[test]
fn a_halted_desk_is_rebuilt_and_stays_halted() {
    let (_room, notary) = desk();
    fs::write(notary.dir.join("halt"), "whatever").unwrap();
    tampered(&notary.dir, "verdicts", "DELETE FROM verdicts");
    let found = rebuilt(&notary, true);
    assert!(found.kept.is_some() && found.halted.is_some());
    assert_eq!(fs::read(notary.dir.join("halt")).unwrap(), b"whatever");
    assert!(notary.try_session(&[], None).is_err_and(|problem| problem.fault.rule == Rule::Halted));
}

#[test]
fn a_writer_and_a_reader_at_work_are_not_overtaken() {
    let (_room, notary) = desk();
    tampered(&notary.dir, "verdicts", "DELETE FROM verdicts");
    let writer = Ledger::open(&notary.dir).unwrap();
    assert_eq!(rebuild(&notary.dir, true, &mut no_effects).expect_err("a writer").fault.rule, Rule::AnotherWriter);
    drop(writer);
    let reader = Ledger::open_read_only(&notary.dir).unwrap();
    reader.latest().unwrap();
    let problem = rebuild(&notary.dir, true, &mut no_effects).expect_err("a reader");
    assert_eq!(problem.fault.rule, Rule::AnotherWriter, "{problem}");
    drop(reader);
    assert!(rebuilt(&notary, true).kept.is_some());
}

#[test]
fn objects_that_are_gone_or_damaged_are_counted() {
    let (_room, notary) = desk();
    fs::write(notary.dir.join("objects/000/000002.objects"), "damaged").unwrap();
    let loose = fs::read_dir(notary.dir.join("objects/loose")).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&loose).unwrap();
    let found = rebuilt(&notary, false);
    assert!(!found.differs());
    assert_eq!((found.objects.named, found.objects.there), (3, 1));
    assert_eq!(found.objects.wrong, [notary.dir.join("objects/000/000002.objects"), loose]);
}

#[test]
fn a_ledger_built_from_events_alone_publishes_the_same_bytes() {
    let (room, notary) = desk();
    let fresh = room.path().join("fresh");
    let key = notary.desk().books().charter().unwrap().ledger_public;
    drop(Ledger::open_read_only(&notary.dir).unwrap().build_again(&[key], &fresh).unwrap());
    // Nothing of the old database is left: the rest of a desk is its key, instance, head file and objects.
    support::copy_folder(&notary.dir.join("objects"), &fresh.join("objects"));
    for name in ["instance", "head", "key"] {
        fs::copy(notary.dir.join(name), fresh.join(name)).unwrap();
    }
    let fresh = Notary { dir: fresh };
    assert!(published(&fresh) == published(&DESK.1));
    let medium = room.path().join("m2");
    let paper = Paper::new("alice", 2, fresh.head()).put("open/goes-on", b"on", Expect::Absent);
    let (one, other) =
        (fresh.judge(&medium, std::slice::from_ref(&paper)).heads.1, notary.judge(&room.path().join("m3"), &[paper]).heads.1);
    assert_eq!(one, other, "and goes on in the same way");
}

fn quarantined(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    tree(&dir.join("quarantine"))
}

/// The child's whole life. Without its variable this is not a child, and there is nothing to do.
#[test]
fn child() {
    let Ok(line) = std::env::var(CHILD) else { return };
    let words: Vec<&str> = line.splitn(3, ' ').collect();
    let (kill_at, dir, told) = (words[0].parse::<usize>().unwrap(), PathBuf::from(words[1]), PathBuf::from(words[2]));
    let mut effects = Vec::new();
    let mut observe = |effect: &'static str, what: &str| {
        effects.push(format!("{effect} {what}"));
        if effects.len() == kill_at {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
            std::thread::park();
        }
    };
    rebuild(&dir, true, &mut observe).unwrap_or_else(|problem| panic!("{problem}"));
    observe("end", "");
    fs::write(told, effects.join("\n")).unwrap();
}

/// Rebuilds in a process of its own, which tells its effects in a file; whether it was killed.
fn run(kill_at: usize, dir: &Path, told: &Path) -> bool {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["child", "--exact", "--nocapture", "--test-threads=1"]);
    command.env(CHILD, format!("{kill_at} {} {}", dir.display(), told.display())).stdin(Stdio::null());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() || output.status.signal() == Some(9), "killed at {kill_at}: {said}");
    !output.status.success()
}

/// Killed at each of its effects: what is there is the old or the new ledger, whole, and running it again ends as if never disturbed.
#[test]
fn rebuilding_killed_at_every_step_leaves_the_old_or_the_new_ledger_and_is_finished_by_the_next_run() {
    let (room, old) = desk();
    tampered(&old.dir, "verdicts", "DELETE FROM verdicts");
    let (wanted, told) = (old.copied_to(&room.path().join("wanted")), room.path().join("effects"));
    assert!(!run(0, &wanted.dir, &told));
    let effects = fs::read_to_string(&told).unwrap();
    let count = effects.lines().count();
    assert!(count >= 5, "{effects}");
    let (before, after) = (hashes(&old.dir), hashes(&wanted.dir));
    for kill_at in 1..=count {
        let room = room_of(&old);
        let desk = Notary { dir: room.path().join("desk") };
        assert!(run(kill_at, &desk.dir, &told), "effect {kill_at} of {effects}");
        let found = hashes(&desk.dir);
        assert!(found == before || found == after, "killed at {kill_at} of {effects}");
        rebuilt(&desk, true);
        assert!(hashes(&desk.dir) == after, "killed at {kill_at}, run again");
        assert_eq!(files(&desk.dir)["head"], files(&wanted.dir)["head"], "killed at {kill_at}, run again");
        assert!(!rebuilt(&desk, false).differs() && !desk.dir.join("quarantine/next").exists());
        // Whatever was there is kept: our database.
        let (kept, all) = (quarantined(&desk.dir), quarantined(&wanted.dir));
        assert!(all.iter().all(|(name, bytes)| kept.get(name) == Some(bytes)), "killed at {kill_at}: {:?}", kept.keys());
        desk.desk();
    }
}

/// A room with a copy of that desk.
fn room_of(notary: &Notary) -> TempDir {
    let room = room();
    notary.copied_to(&room.path().join("desk"));
    room
}

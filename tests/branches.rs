//! Two ledgers of one history: where they part, what goes into quarantine, and an other ledger that an attacker prepared.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use support::{Notary, Paper, policy_toml, room, tree};
use tabellion::broker::Broker;
use tabellion::core::event::Event;
use tabellion::core::fork::{Claim, ForkProof};
use tabellion::core::ids::Hash;
use tabellion::core::proposal::Expect;
use tabellion::core::rules::Rule;
use tabellion::run::branches::{Branches, Relation, Which};
use tabellion::run::problem::{Exit, Problem};
use tabellion::run::quarantine;
use tempfile::TempDir;

/// A desk with one session behind its founding, and where it lies.
fn desk() -> (TempDir, Notary) {
    let room = room();
    let notary = Notary::found(&room.path().join("desk"), &policy_toml(1_000));
    notary.judge(&room.path().join("m0"), &[put(&notary, "alice", 1, "open/first", b"1")]);
    (room, notary)
}

fn put(notary: &Notary, author: &str, sequence: u64, name: &str, content: &[u8]) -> Paper {
    Paper::new(author, sequence, notary.head()).put(name, content, Expect::Absent)
}

/// The desk and a copy of it, each with a session of its own: ours makes common@3, theirs common@3 and common@4, and refuses a paper.
fn forked() -> (TempDir, Notary, Notary) {
    let (room, ours) = desk();
    let theirs = ours.copied_to(&room.path().join("copy"));
    ours.judge(&room.path().join("m1"), &[put(&ours, "bob", 1, "open/ours", b"ours")]);
    let refused = put(&theirs, "erin", 1, "nowhere/at/all", b"x");
    theirs.judge(
        &room.path().join("m2"),
        &[put(&theirs, "carol", 1, "open/theirs", b"theirs"), put(&theirs, "dave", 1, "open/more", b"more"), refused],
    );
    (room, ours, theirs)
}

fn compare(ours: &Notary, other: &Path) -> Result<Branches, Problem> {
    Branches::compare(&Broker::look(&ours.dir).unwrap(), other)
}

fn relation(ours: &Notary, other: &Path) -> Relation {
    compare(ours, other).unwrap_or_else(|problem| panic!("{problem}")).comparison().relation
}

fn refused(ours: &Notary, other: &Path, rule: Rule, words: &str) -> Problem {
    let problem = compare(ours, other).expect_err("a refusal");
    assert_eq!(problem.fault.rule, rule, "{problem}");
    assert!(problem.to_string().contains(words), "{problem}");
    problem
}

fn events(dir: &Path) -> Vec<Event> {
    let mut all = Vec::new();
    let take = |event| {
        all.push(event);
        Ok(())
    };
    Broker::look(dir).unwrap().for_each(1, take).unwrap();
    all
}

/// The files of a desk, without what every reader of a database leaves beside it: an empty log and its index.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = tree(dir);
    assert_eq!(files.remove("ledger.db-wal").unwrap_or_default(), b"");
    files.remove("ledger.db-shm");
    files
}

fn no_effects(_: &'static str, _: &str) {}

#[test]
fn equal_and_older_copies_are_no_fork() {
    let (room, ours) = desk();
    let copy = ours.copied_to(&room.path().join("copy"));
    assert_eq!(relation(&ours, &copy.dir), Relation::Equal);
    assert_eq!(relation(&ours, &ours.dir), Relation::Equal);
    let before = events(&ours.dir).len() as u64;
    ours.judge(&room.path().join("m1"), &[put(&ours, "bob", 1, "open/ours", b"ours")]);
    let found = compare(&ours, &copy.dir.join("ledger.db")).unwrap();
    let found = found.comparison();
    assert_eq!(found.relation, Relation::TheirsIsOlder);
    assert_eq!((found.ours.events, found.theirs.events), (4, 0));
    let last = found.last_common.clone().unwrap();
    assert_eq!((last.seq_no, last.event_id.as_str()), (before, "1/3"));
    assert_eq!(last.event_hash, events(&copy.dir).last().unwrap().event_hash);
    assert_eq!(relation(&copy, &ours.dir), Relation::OursIsOlder);
    assert!(found.twice.is_empty() && found.answers_differ.is_empty());
}

#[test]
fn a_fork_is_named_with_its_last_common_event_and_both_branches_and_proved() {
    let (_room, ours, theirs) = forked();
    let branches = compare(&ours, &theirs.dir).unwrap();
    let found = branches.comparison();
    assert_eq!(found.relation, Relation::Forked);
    // Founding: opened, verdict, closed, sealed; the first session the same four.
    assert_eq!(found.last_common.as_ref().map(|place| (place.seq_no, place.event_id.clone())), Some((8, "1/3".to_owned())));
    assert_eq!((found.ours.events, found.theirs.events), (4, 6));
    assert_eq!((found.ours.sessions.clone(), found.theirs.sessions.clone()), (vec![2], vec![2]));
    let numbers = |which| found.branch(which).records.iter().map(|made| (made.head, made.sealed)).collect::<Vec<_>>();
    assert_eq!(numbers(Which::Ours), [(ours.head(), true)]);
    assert_eq!(numbers(Which::Theirs).iter().map(|(head, _)| head.number).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(numbers(Which::Theirs)[1], (theirs.head(), true));
    assert_eq!(found.theirs.decided.len(), 3);
    assert_eq!(
        found.theirs.texts.iter().map(|text| text.what.split_whitespace().next().unwrap()).collect::<Vec<_>>(),
        ["checkpoint", "checkpoint", "note"]
    );
    assert_eq!(found.twice.iter().map(|twice| (twice.number, twice.sealed, twice.same)).collect::<Vec<_>>(), [(3, true, false)]);
    let key = ours.desk().books().log_key().unwrap().clone();
    let proof = ForkProof::parse(&found.twice[0].proof.as_ref().unwrap().text(), &key).unwrap();
    assert_eq!((proof.claim(), proof.number()), (Claim::Head, 3));
}

#[test]
fn one_paper_answered_in_both_branches_is_named_with_both_answers() {
    let (room, ours) = desk();
    let theirs = ours.copied_to(&room.path().join("copy"));
    let paper = put(&ours, "bob", 1, "open/both", b"both");
    ours.judge(&room.path().join("m1"), std::slice::from_ref(&paper));
    theirs.judge(&room.path().join("m2"), &[put(&theirs, "carol", 1, "open/theirs", b"theirs")]);
    theirs.judge(&room.path().join("m3"), std::slice::from_ref(&paper));
    let found = compare(&ours, &theirs.dir).unwrap();
    let expected = (paper.pid(), "accepted as common@3".to_owned(), "accepted as common@4".to_owned());
    assert_eq!(found.comparison().answers_differ, [expected]);
}

#[test]
fn what_was_founded_otherwise_is_another_common() {
    let (room, ours) = desk();
    let other = Notary::found(&room.path().join("other"), &policy_toml(999));
    let found = compare(&ours, &other.dir).unwrap();
    assert_eq!((found.comparison().relation, found.comparison().same_first_event), (Relation::OtherCommon, false));
    assert_eq!(found.comparison().last_common, None);
    assert_ne!(found.comparison().fingerprints[0], found.comparison().fingerprints[1]);
}

#[test]
fn quarantine_holds_the_branch_and_verifies_alone() {
    let (_room, ours, theirs) = forked();
    let branches = compare(&ours, &theirs.dir).unwrap();
    let ledger = Broker::look(&ours.dir).unwrap();
    for (goes, dir, from) in [(Which::Theirs, &theirs.dir, 8), (Which::Ours, &ours.dir, 8)] {
        let kept = branches.quarantine(&ledger, &ours.dir, goes, &mut no_effects).unwrap().unwrap();
        assert_eq!(Hash::of(&fs::read(&kept.path).unwrap()), kept.sha256);
        let mut found = Vec::new();
        let header = quarantine::read(&kept.path, Some(&kept.sha256), &mut |event| {
            found.push(event);
            Ok(())
        });
        let header = header.unwrap();
        assert_eq!(found, events(dir)[from..]);
        assert_eq!((header.common_seq_no, header.common_hash, header.events), (8, events(dir)[7].event_hash, found.len() as u64));
        // Again: the same bytes, and no second file.
        let again = branches.quarantine(&ledger, &ours.dir, goes, &mut no_effects).unwrap().unwrap();
        assert_eq!(again, kept);
        let text = fs::read_to_string(&kept.text).unwrap();
        for settled in branches.to_settle(goes) {
            assert!(text.contains(&format!("sha256:{} {}", settled.sha256, settled.what)), "{text}");
        }
    }
    assert_eq!(fs::read_dir(ours.dir.join("quarantine")).unwrap().count(), 4);
}

#[test]
fn quarantine_with_any_bit_changed_or_a_part_missing_is_refused() {
    let (room, ours, theirs) = forked();
    let branches = compare(&ours, &theirs.dir).unwrap();
    let ledger = Broker::look(&ours.dir).unwrap();
    let kept = branches.quarantine(&ledger, &ours.dir, Which::Ours, &mut no_effects).unwrap().unwrap();
    let (bytes, file) = (fs::read(&kept.path).unwrap(), room.path().join("changed"));
    let header_len = tabellion::core::cbor::item_len(&bytes).unwrap().unwrap();
    let origin = bytes.windows(7).position(|at| at == b"witness").unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        fs::write(&file, &changed).unwrap();
        // The name of the Common and the fingerprint are under the name of the file alone: no event covers them.
        let alone = at >= header_len || at < origin;
        if alone {
            quarantine::verify(&file, None).expect_err(&format!("bit changed at {at}"));
        }
        assert!(quarantine::verify(&file, Some(&kept.sha256)).is_err(), "bit changed at {at}");
    }
    for cut in [0, 1, header_len, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&file, &bytes[..cut]).unwrap();
        assert!(quarantine::verify(&file, None).is_err(), "cut at {cut}");
    }
    fs::write(&file, [bytes.as_slice(), &bytes[header_len..]].concat()).unwrap();
    assert_eq!(quarantine::verify(&file, None).unwrap_err().rule, Rule::ChainBroken);
}

/// Another ledger, changed by a program that is not ours.
fn changed(theirs: &Notary, sql: &str) {
    #[allow(clippy::disallowed_methods)] // a foreign program at the other ledger's file is what this is about
    let db = rusqlite::Connection::open(theirs.dir.join("ledger.db")).unwrap();
    db.execute_batch(sql).unwrap();
    db.close().unwrap();
}

#[test]
fn another_ledger_that_was_tampered_with_is_refused_with_exit_5_and_nothing_is_touched() {
    let (room, ours, theirs) = forked();
    let (our_files, drop_guards) = (files(&ours.dir), "DROP TRIGGER events_no_update; DROP TRIGGER records_no_update;");
    for (number, (sql, rule, words)) in [
        ("CREATE TRIGGER mine AFTER INSERT ON events BEGIN DELETE FROM records; END", Rule::LedgerFault, "trigger mine on events found"),
        ("DROP TRIGGER events_no_delete", Rule::LedgerFault, "no trigger events_no_delete found"),
        ("CREATE TABLE more (x)", Rule::LedgerFault, "table more on more found"),
        ("DROP VIEW append", Rule::LedgerFault, "no trigger append_event found"),
        ("PRAGMA user_version = 2", Rule::LedgerFault, "user_version"),
        ("UPDATE events SET timestamp = 1 WHERE seq_no = 10", Rule::ChainBroken, "event 10"),
        (
            "UPDATE events SET event_id = printf('%.*c', 300000000, 'x') WHERE seq_no = 10",
            Rule::LedgerFault,
            "event 10: words of 300000000",
        ),
        ("UPDATE events SET signature = zeroblob(64) WHERE seq_no = 9", Rule::ChainBroken, "event 9, signature"),
        ("UPDATE records SET session = 9 WHERE number = 3", Rule::ChainBroken, "derived"),
    ]
    .into_iter()
    .enumerate()
    {
        let copy = theirs.copied_to(&room.path().join(format!("bad{number}")));
        if sql.starts_with("UPDATE") {
            let schema = "SELECT sql FROM sqlite_schema WHERE name = 'events_no_update'";
            #[allow(clippy::disallowed_methods)]
            let db = rusqlite::Connection::open(copy.dir.join("ledger.db")).unwrap();
            // What the generated column asks for: the hash that stands there.
            let hashes: Vec<[u8; 32]> = events(&copy.dir).iter().map(|event| event.event_hash).collect();
            let flags = rusqlite::functions::FunctionFlags::SQLITE_DETERMINISTIC | rusqlite::functions::FunctionFlags::SQLITE_INNOCUOUS;
            db.create_scalar_function("tabellion_event_hash", 9, flags, move |context| Ok(hashes[context.get::<i64>(0)? as usize - 1]))
                .unwrap();
            let texts = ["events_no_update", "records_no_update"]
                .map(|name| db.query_row(&schema.replace("events_no_update", name), [], |row| row.get::<_, String>(0)).unwrap());
            db.execute_batch(drop_guards).unwrap();
            db.execute_batch(sql).unwrap();
            texts.iter().for_each(|text| db.execute_batch(text).unwrap());
            db.close().unwrap();
        } else {
            changed(&copy, sql);
        }
        let problem = refused(&ours, &copy.dir, rule, words);
        assert!(problem.fault.found.starts_with("the other ledger, "), "{problem}");
        assert_eq!(problem.exit(), Exit::Halted, "{problem}");
    }
    assert!(files(&ours.dir) == our_files);
}

#[test]
fn ours_that_was_tampered_with_is_told_from_theirs() {
    let (_room, ours, theirs) = forked();
    changed(
        &ours,
        "DROP TRIGGER verdicts_no_delete; DELETE FROM verdicts WHERE seq_no = 10; CREATE TRIGGER verdicts_no_delete BEFORE DELETE ON verdicts BEGIN SELECT RAISE(ABORT, 'append-only'); END;",
    );
    let problem = refused(&ours, &theirs.dir, Rule::ChainBroken, "our ledger: event 10, derived");
    assert_eq!(problem.exit(), Exit::Halted);
}

#[test]
fn what_is_no_plain_database_is_not_opened() {
    let (room, ours, theirs) = forked();
    let at = |name: &str| room.path().join(name);
    let database = theirs.dir.join("ledger.db");
    refused(&ours, &at("nothing"), Rule::NotFound, "nothing is there");
    fs::create_dir(at("empty")).unwrap();
    refused(&ours, &at("empty"), Rule::NotFound, "empty/ledger.db");
    std::os::unix::fs::symlink(&database, at("link")).unwrap();
    refused(&ours, &at("link"), Rule::FileFault, "a symbolic link found");
    fs::hard_link(&database, at("second")).unwrap();
    refused(&ours, &at("second"), Rule::FileFault, "a file with 2 names found");
    fs::remove_file(at("second")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    refused(&ours, &at("pipe"), Rule::FileFault, "a pipe found");
    fs::write(at("text"), "SQLite format 2 and more").unwrap();
    refused(&ours, &at("text"), Rule::LedgerFault, "24 bytes that begin with 53514c69746520666f726d617420322061 found".get(..50).unwrap());
    fs::write(at("short"), b"SQLite format 3\0").unwrap();
    refused(&ours, &at("short"), Rule::LedgerFault, "16 bytes that begin with");
    let sparse = at("sparse");
    fs::copy(&database, &sparse).unwrap();
    fs::File::options().write(true).open(&sparse).unwrap().set_len(10 << 30).unwrap();
    refused(&ours, &sparse, Rule::LedgerFault, "10737418240 bytes found");
    fs::File::options().write(true).open(&sparse).unwrap().set_len(1 << 50).unwrap();
    fs::write(at("sparse-wal"), [1]).unwrap();
    refused(&ours, &sparse, Rule::FileFault, "bytes are free for our copy");
    // A link in the place of the log: nothing it leads to is read.
    fs::copy(&database, at("linked")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", at("linked-wal")).unwrap();
    refused(&ours, &at("linked"), Rule::FileFault, "linked-wal: a symbolic link found");
}

#[test]
fn a_desk_at_work_is_not_copied_and_what_its_log_holds_counts() {
    let (room, ours, theirs) = forked();
    let held = Broker::open(&theirs.dir).unwrap();
    assert_eq!(refused(&ours, &theirs.dir, Rule::AnotherWriter, "a lock of another process").exit(), Exit::Writer);
    drop(held);
    // A copy that was made while the log had not been written back, on a medium that nobody can write to.
    let copy = ours.copied_to(&room.path().join("copy2"));
    let desk = rusqlite::Connection::open(copy.dir.join("ledger.db")).unwrap();
    desk.execute_batch("BEGIN; SELECT count(*) FROM events").unwrap();
    copy.judge(&room.path().join("m5"), &[put(&copy, "frank", 1, "open/log", b"log")]);
    let medium = room.path().join("medium");
    support::copy_folder(&copy.dir, &medium);
    drop(desk);
    assert!(fs::metadata(medium.join("ledger.db-wal")).unwrap().len() > 0, "the copy has a log");
    fs::remove_file(medium.join("ledger.db-shm")).unwrap();
    let before = tree(&medium);
    assert_eq!(relation(&ours, &medium), Relation::OursIsOlder);
    assert!(tree(&medium) == before, "nothing beside the other ledger is written");
    let without_log: PathBuf = medium.join("ledger.db-wal");
    fs::remove_file(without_log).unwrap();
    assert_eq!(relation(&ours, &medium), Relation::Equal);
}

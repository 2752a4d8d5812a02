//! The audit trail: every request once, append-only for whoever keeps its schema, whole after kills, and readable where nothing can be written.
//!
//! What is done to the file here is done with SQLite as anybody has it. Children are this very test program, started again with [`CHILD`] set.
#![cfg(feature = "desk")]
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fastrand::Rng;
use rusqlite::{Connection, MAIN_DB};
use rustix::process::{Resource, Rlimit, setrlimit};
use stage::{Case, PROGRAM, copy_tree};
use tabellion::core::rules::{Checked, Fault, Rule};
use tabellion::ledger::Ledger;
use tabellion::ledger::trail::{Asked, Ended, Entry, Filter, Status, TRAIL_FILE, Trail, Which};
use tempfile::TempDir;

/// `<what> <argument> <folder>`
const CHILD: &str = "TABELLION_TRAIL_CHILD";
const SEED: u64 = 0x7_2A11;

fn asked(id: u128) -> Asked {
    Asked {
        request_id: id.to_be_bytes(),
        at: 1_772_366_400 + (id % 1_000) as u64,
        uid: 1_000,
        pid: 4_711,
        program: "domain snapshot".into(),
        ledger: "witness.example/common/~alice".into(),
        request_type: "append".into(),
        is_write: true,
        key: String::new(),
        idempotency_key: None,
    }
}

fn ended(status: Status) -> Ended {
    Ended { status, rule: String::new(), latency_us: 812, affected: "events 1 to 4".into() }
}

fn entries(trail: &Trail, filter: &Filter) -> Vec<Entry> {
    let mut out = Vec::new();
    let take = |entry| {
        out.push(entry);
        Ok(())
    };
    trail.for_each(filter, take).unwrap();
    out
}

fn all(dir: &Path) -> Vec<Entry> {
    entries(&Trail::look(dir).unwrap().unwrap(), &Filter::default())
}

/// A trail with three requests: one done, one refused, one that never ended.
fn three() -> TempDir {
    let dir = TempDir::new().unwrap();
    let trail = Trail::open(dir.path()).unwrap();
    assert!(trail.record(&asked(1), &ended(Status::Done)).unwrap());
    let look = Asked { request_type: "head".into(), is_write: false, key: "a0".into(), uid: 1_001, ..asked(2) };
    let refused = Ended { rule: "another-writer".into(), affected: String::new(), ..ended(Status::Refused) };
    assert!(trail.record(&look, &refused).unwrap());
    let unfinished = Asked { program: "witness session".into(), idempotency_key: Some("key".into()), ..asked(3) };
    assert!(trail.begin(&unfinished).unwrap());
    assert!(trail.keep_answer("key", &[7; 32], b"answer").unwrap());
    dir
}

fn refused<T: std::fmt::Debug>(outcome: Checked<T>, rule: Rule, words: &[&str]) -> Fault {
    let fault = outcome.unwrap_err();
    assert_eq!(fault.rule, rule, "{fault}");
    words.iter().for_each(|word| assert!(fault.found.contains(word), "{word:?} expected in: {fault}"));
    fault
}

/// Any program with SQLite, which knows nothing of us.
fn stock(dir: &Path) -> Connection {
    Connection::open(dir.join(TRAIL_FILE)).unwrap()
}

/// Every row of every table, as text.
fn rows(dir: &Path) -> BTreeMap<&'static str, Vec<String>> {
    let db = stock(dir);
    let read = |table: &str| {
        let mut statement = db.prepare(&format!("SELECT * FROM {table} ORDER BY 1")).unwrap();
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| {
            Ok((0..columns).map(|at| format!("{:?}", row.get::<_, rusqlite::types::Value>(at).unwrap())).collect::<Vec<_>>().join(" "))
        };
        statement.query_map([], row).unwrap().map(Result::unwrap).collect()
    };
    ["requests", "outcomes", "answers"].map(|table| (table, read(table))).into()
}

/// Every file of a folder, with its bytes: the trail too, which the shared helper leaves out.
fn tree(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    files.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn a_request_is_recorded_once_and_ends_once() {
    let dir = TempDir::new().unwrap();
    let trail = Trail::open(dir.path()).unwrap();
    assert!(trail.begin(&asked(1)).unwrap());
    assert_eq!(entries(&trail, &Filter::default()), [Entry { number: 1, asked: asked(1), ended: None }]);
    assert!(!trail.begin(&asked(1)).unwrap(), "the same id again");
    assert!(!trail.begin(&Asked { program: "another".into(), ..asked(1) }).unwrap(), "and with other values");
    trail.end(&asked(1).request_id, &ended(Status::Done)).unwrap();
    trail.end(&asked(1).request_id, &ended(Status::Failed)).unwrap();
    assert!(!trail.record(&asked(1), &ended(Status::Failed)).unwrap());
    assert_eq!(entries(&trail, &Filter::default()), [Entry { number: 1, asked: asked(1), ended: Some(ended(Status::Done)) }]);

    // Begun by one process and ended by another, which was sent it again.
    assert!(trail.begin(&asked(2)).unwrap());
    let another = Trail::open(dir.path()).unwrap();
    assert!(!another.record(&asked(2), &ended(Status::Expired)).unwrap());
    assert!(another.record(&asked(3), &ended(Status::Joined)).unwrap());
    let found: Vec<_> = entries(&trail, &Filter::default()).into_iter().map(|entry| (entry.number, entry.ended.unwrap().status)).collect();
    assert_eq!(found, [(1, Status::Done), (2, Status::Expired), (3, Status::Joined)]);
    refused(trail.end(&[9; 16], &ended(Status::Done)), Rule::InternalFault, &["09090909", "the request itself expected"]);
    assert_eq!(trail.missing().unwrap(), 0);
}

#[test]
fn both_halves_of_a_record_are_there_or_neither_is() {
    let dir = TempDir::new().unwrap();
    let trail = Trail::open(dir.path()).unwrap();
    // Behind the back of a trail that is open.
    stock(dir.path()).execute_batch("CREATE TRIGGER x BEFORE INSERT ON outcomes BEGIN SELECT RAISE(ABORT, 'no'); END;").unwrap();
    refused(trail.record(&asked(1), &ended(Status::Done)), Rule::TrailFault, &["recording an outcome", "no"]);
    assert_eq!(trail.count(&Filter::default()).unwrap(), 0);
    stock(dir.path()).execute_batch("DROP TRIGGER x").unwrap();
    assert!(trail.record(&asked(1), &ended(Status::Done)).unwrap(), "and the next one is recorded");
}

#[test]
fn values_out_of_their_bounds_are_refused_and_those_at_them_are_kept_as_they_are() {
    let dir = TempDir::new().unwrap();
    let trail = Trail::open(dir.path()).unwrap();
    let hostile = "a\u{1b}[2J\u{0}\n\u{202e}\u{10ffff}";
    let longest = |bytes: usize| format!("{hostile}{}", "x".repeat(bytes - hostile.len()));
    let most = Asked {
        request_id: [0xff; 16],
        at: (1 << 53) - 1,
        uid: u32::MAX,
        pid: u32::MAX,
        program: longest(128),
        ledger: longest(4_096),
        request_type: longest(64),
        is_write: false,
        key: longest(512),
        idempotency_key: Some(longest(256)),
    };
    let over = Ended { status: Status::Cancelled, rule: longest(64), latency_us: (1 << 53) - 1, affected: longest(4_096) };
    assert!(trail.record(&most, &over).unwrap());
    assert!(trail.keep_answer(&longest(256), &[0; 32], &[1; 65_536]).unwrap());
    assert_eq!(entries(&trail, &Filter::default()), [Entry { number: 1, asked: most, ended: Some(over) }]);

    let with = |change: &dyn Fn(&mut Asked)| {
        let mut asked = asked(2);
        change(&mut asked);
        trail.record(&asked, &ended(Status::Done))
    };
    let long = "x".repeat(4_097);
    refused(with(&|asked| asked.at = 1 << 53), Rule::InternalFault, &["9007199254740992 found", "at most 9007199254740991"]);
    refused(with(&|asked| asked.program = long[..129].into()), Rule::InternalFault, &["program", "129 bytes", "1 to 128"]);
    refused(with(&|asked| asked.program.clear()), Rule::InternalFault, &["program", "0 bytes"]);
    refused(with(&|asked| asked.ledger = long.clone()), Rule::InternalFault, &["ledger", "4097 bytes", "4096"]);
    refused(with(&|asked| asked.ledger.clear()), Rule::InternalFault, &["ledger", "0 bytes"]);
    refused(with(&|asked| asked.request_type = long[..65].into()), Rule::InternalFault, &["type", "65 bytes", "64"]);
    refused(with(&|asked| asked.request_type.clear()), Rule::InternalFault, &["type", "0 bytes"]);
    refused(with(&|asked| asked.key = long[..513].into()), Rule::InternalFault, &["key", "513 bytes", "512"]);
    refused(with(&|asked| asked.idempotency_key = Some(long[..257].into())), Rule::Usage, &["257 bytes", "256"]);
    refused(with(&|asked| asked.idempotency_key = Some(String::new())), Rule::Usage, &["0 bytes"]);
    let end = |ended: Ended| trail.record(&asked(2), &ended);
    refused(end(Ended { latency_us: 1 << 53, ..ended(Status::Done) }), Rule::InternalFault, &["latency", "at most"]);
    refused(end(Ended { rule: long[..65].into(), ..ended(Status::Done) }), Rule::InternalFault, &["rule", "65 bytes"]);
    refused(end(Ended { affected: long.clone(), ..ended(Status::Done) }), Rule::InternalFault, &["affected", "4097 bytes"]);
    refused(trail.keep_answer(&long[..257], &[0; 32], b""), Rule::Usage, &["257 bytes"]);
    refused(trail.keep_answer("", &[0; 32], b""), Rule::Usage, &["0 bytes"]);
    refused(trail.keep_answer("key", &[0; 32], &[0; 65_537]), Rule::InternalFault, &["65537 bytes", "65536"]);
    assert_eq!(entries(&trail, &Filter::default()).len(), 1, "nothing of what was refused is there");
    assert_eq!(trail.answer_of("key").unwrap(), None);
}

#[test]
fn the_first_answer_to_an_idempotency_key_stays() {
    let dir = TempDir::new().unwrap();
    let trail = Trail::open(dir.path()).unwrap();
    assert_eq!(trail.answer_of("key").unwrap(), None);
    assert!(trail.keep_answer("key", &[1; 32], b"first").unwrap());
    assert!(!Trail::open(dir.path()).unwrap().keep_answer("key", &[2; 32], b"second").unwrap());
    assert!(trail.keep_answer("Key", &[3; 32], b"").unwrap(), "another key");
    let found = Trail::look(dir.path()).unwrap().unwrap().answer_of("key").unwrap();
    assert_eq!(found, Some(([1; 32], b"first".to_vec())));
}

/// Each statement with the words of the guard that refuses it.
const GUARDED: &[(&str, &str)] = &[
    ("UPDATE requests SET uid = 0", "append-only"),
    ("UPDATE OR REPLACE requests SET number = 1 WHERE number = 2", "append-only"),
    ("UPDATE outcomes SET status = 'done'", "append-only"),
    ("UPDATE answers SET answer = x'00'", "append-only"),
    ("DELETE FROM requests", "append-only"),
    ("DELETE FROM outcomes WHERE number = 1", "append-only"),
    ("DELETE FROM answers", "append-only"),
    // The same id, and the same number, in every way to insert.
    ("INSERT INTO requests SELECT 4, request_id, 0, 0, 0, 'p', 'l', 't', 1, '', NULL FROM requests WHERE number = 1", "already"),
    ("INSERT OR REPLACE INTO requests SELECT 4, request_id, 0, 0, 0, 'p', 'l', 't', 1, '', NULL FROM requests WHERE number = 1", "already"),
    ("INSERT OR IGNORE INTO requests SELECT 4, request_id, 0, 0, 0, 'p', 'l', 't', 1, '', NULL FROM requests WHERE number = 1", "already"),
    (
        "INSERT INTO requests SELECT 4, request_id, 0, 0, 0, 'p', 'l', 't', 1, '', NULL FROM requests WHERE number = 1 \
         ON CONFLICT DO UPDATE SET uid = 0",
        "already",
    ),
    ("REPLACE INTO requests VALUES (1, randomblob(16), 0, 0, 0, 'p', 'l', 't', 1, '', NULL)", "number is not the next number"),
    ("INSERT INTO requests VALUES (5, randomblob(16), 0, 0, 0, 'p', 'l', 't', 1, '', NULL)", "number is not the next number"),
    ("INSERT INTO requests VALUES (NULL, randomblob(16), 0, 0, 0, 'p', 'l', 't', 1, '', NULL)", "number is not the next number"),
    ("REPLACE INTO outcomes VALUES (1, 'failed', '', 0, '')", "the request has its outcome already"),
    ("INSERT INTO outcomes VALUES (1, 'failed', '', 0, '') ON CONFLICT DO UPDATE SET status = 'failed'", "already"),
    ("INSERT INTO outcomes VALUES (4, 'failed', '', 0, '')", "the outcome has no request"),
    ("INSERT INTO outcomes VALUES (NULL, 'failed', '', 0, '')", "the outcome has no request"),
    ("REPLACE INTO answers VALUES ('key', zeroblob(32), x'00')", "the key has its answer already"),
    // Values that no row may have.
    ("INSERT INTO requests VALUES (4, randomblob(15), 0, 0, 0, 'p', 'l', 't', 1, '', NULL)", "request_id is not 16 bytes"),
    ("INSERT INTO requests VALUES (4, randomblob(16), -1, 0, 0, 'p', 'l', 't', 1, '', NULL)", "a number is out of its bounds"),
    ("INSERT INTO requests VALUES (4, randomblob(16), 0, 4294967296, 0, 'p', 'l', 't', 1, '', NULL)", "a number is out of its bounds"),
    ("INSERT INTO requests VALUES (4, randomblob(16), 0, 0, -1, 'p', 'l', 't', 1, '', NULL)", "a number is out of its bounds"),
    ("INSERT INTO requests VALUES (4, randomblob(16), 0, 0, 0, 'p', 'l', 't', 2, '', NULL)", "a number is out of its bounds"),
    ("INSERT INTO requests VALUES (4, randomblob(16), 0, 0, 0, '', 'l', 't', 1, '', NULL)", "a text is out of its bounds"),
    ("INSERT INTO requests VALUES (4, randomblob(16), 0, 0, 0, 'p', '', 't', 1, '', NULL)", "a text is out of its bounds"),
    ("INSERT INTO requests VALUES (4, randomblob(16), 0, 0, 0, 'p', 'l', '', 1, '', NULL)", "a text is out of its bounds"),
    (
        "INSERT INTO requests VALUES (4, randomblob(16), 0, 0, 0, 'p', 'l', 't', 1, printf('%513s', ''), NULL)",
        "a text is out of its bounds",
    ),
    ("INSERT INTO requests VALUES (4, randomblob(16), 0, 0, 0, 'p', 'l', 't', 1, '', '')", "a text is out of its bounds"),
    ("INSERT INTO outcomes VALUES (3, 'lost', '', 0, '')", "status is none of the seven words"),
    ("INSERT INTO outcomes VALUES (3, 'done', '', -1, '')", "a number is out of its bounds"),
    ("INSERT INTO outcomes VALUES (3, 'done', printf('%65s', ''), 0, '')", "a text is out of its bounds"),
    ("INSERT INTO outcomes VALUES (3, 'done', '', 0, printf('%4097s', ''))", "a text is out of its bounds"),
    ("INSERT INTO answers VALUES ('', zeroblob(32), x'00')", "a text is out of its bounds"),
    ("INSERT INTO answers VALUES ('k', zeroblob(31), x'00')", "request_sha256 is not 32 bytes"),
    ("INSERT INTO answers VALUES ('k', zeroblob(32), zeroblob(65537))", "longer than 65536"),
    ("INSERT INTO trail (number) VALUES (4)", "cannot modify trail because it is a view"),
];

#[test]
fn no_connection_that_keeps_the_schema_changes_removes_or_misplaces_a_row() {
    let dir = three();
    let before = rows(dir.path());
    let db = stock(dir.path());
    for (statement, words) in GUARDED {
        let error = db.execute_batch(statement).expect_err(statement).to_string();
        assert!(error.contains(words), "{statement}: {error}");
    }
    for table in ["requests", "outcomes", "answers"] {
        // A table without a rowid: there is no row to open a cell of.
        for row in 0..4 {
            assert!(db.blob_open(MAIN_DB, table, "rule", row, false).is_err() && db.blob_open(MAIN_DB, table, "key", row, false).is_err());
        }
    }
    assert_eq!(rows(dir.path()), before);
    // What a program of somebody else may do is to add a row of the right form: nothing here is signed.
    db.execute_batch("INSERT INTO requests VALUES (4, randomblob(16), 0, 0, 0, 'p', 'l', 't', 1, '', NULL)").unwrap();
    drop(db);
    assert_eq!(all(dir.path()).len(), 4);
    assert!(Trail::open(dir.path()).unwrap().record(&asked(4), &ended(Status::Done)).unwrap());
}

/// What a program finds that reads the view, as `docs/ledger.md` shows it.
#[test]
fn the_view_shows_both_halves_to_any_program() {
    let dir = three();
    let db = stock(dir.path());
    let mut statement =
        db.prepare("SELECT number, request_id, time, program, type, status, rule, latency_us, affected FROM trail").unwrap();
    let text = |row: &rusqlite::Row<'_>, at| row.get::<_, Option<String>>(at).unwrap().unwrap_or_default();
    let row = |row: &rusqlite::Row<'_>| {
        Ok(format!(
            "{} {} {} {}: {} {} [{}] {:?} {}",
            row.get::<_, i64>(0)?,
            &text(row, 1)[28..],
            text(row, 2),
            text(row, 3),
            text(row, 4),
            text(row, 5),
            text(row, 6),
            row.get::<_, Option<i64>>(7)?,
            text(row, 8)
        ))
    };
    let found: Vec<String> = statement.query_map([], row).unwrap().map(Result::unwrap).collect();
    // The times by `date -u -d @1772366401`.
    assert_eq!(
        found,
        [
            "1 0001 2026-03-01T12:00:01Z domain snapshot: append done [] Some(812) events 1 to 4",
            "2 0002 2026-03-01T12:00:02Z domain snapshot: head refused [another-writer] Some(812) ",
            "3 0003 2026-03-01T12:00:03Z witness session: append unfinished [] None ",
        ]
    );
}

/// What somebody can do who takes the guards out of the way, and what of it is found.
#[test]
fn with_the_guards_out_of_the_way_a_gap_is_seen_and_a_changed_value_is_not() {
    let drop_guard = "DROP TRIGGER requests_no_delete;";
    let put_back = "CREATE TRIGGER requests_no_delete BEFORE DELETE ON requests BEGIN SELECT RAISE(ABORT, 'append-only'); END;";
    let dir = three();
    stock(dir.path()).execute_batch(drop_guard).unwrap();
    for outcome in [Trail::open(dir.path()), Trail::look(dir.path()).map(Option::unwrap)] {
        refused(outcome, Rule::TrailFault, &["audit.db: the schema: no trigger requests_no_delete found; one expected"]);
    }
    stock(dir.path()).execute_batch(&format!("DELETE FROM requests WHERE number = 2;{put_back}")).unwrap();
    let trail = Trail::open(dir.path()).unwrap();
    assert_eq!((trail.missing().unwrap(), all(dir.path()).len()), (1, 2), "a row from between others leaves a gap");
    assert!(trail.record(&asked(5), &ended(Status::Done)).unwrap(), "and the trail goes on");

    // What is not seen: the newest rows gone, and a value changed. Who can do that can write what she likes.
    let dir = three();
    stock(dir.path()).execute_batch(&format!("{drop_guard} DELETE FROM requests WHERE number = 3;{put_back}")).unwrap();
    let update = "CREATE TRIGGER requests_no_update BEFORE UPDATE ON requests BEGIN SELECT RAISE(ABORT, 'append-only'); END;";
    stock(dir.path()).execute_batch(&format!("DROP TRIGGER requests_no_update; UPDATE requests SET uid = 7;{update}")).unwrap();
    assert_eq!(Trail::open(dir.path()).unwrap().missing().unwrap(), 0);
    assert_eq!(all(dir.path()).iter().map(|entry| entry.asked.uid).collect::<Vec<_>>(), [7, 7]);
}

#[test]
fn a_value_that_no_row_may_have_is_named_with_its_request() {
    let dir = three();
    let db = stock(dir.path());
    db.execute_batch("DROP TRIGGER requests_no_update; UPDATE requests SET uid = -5 WHERE number = 2;").unwrap();
    let update = "CREATE TRIGGER requests_no_update BEFORE UPDATE ON requests BEGIN SELECT RAISE(ABORT, 'append-only'); END;";
    db.execute_batch(update).unwrap();
    let trail = Trail::look(dir.path()).unwrap().unwrap();
    let outcome = trail.for_each(&Filter::default(), |_| Ok(()));
    refused(outcome, Rule::TrailFault, &["request 2: uid is -5; a number up to 4294967295 expected"]);
    // Bytes that are no UTF-8 are a text for SQLite; they are shown as what they are.
    db.execute_batch("INSERT INTO requests VALUES (4, randomblob(16), 0, 0, 0, CAST(x'61ff62' AS TEXT), 'l', 't', 1, '', NULL)").unwrap();
    let only = Filter { last: Some(1), ..Filter::default() };
    assert_eq!(entries(&trail, &only)[0].asked.program, "a\\xffb");
    // What would fill the memory of whoever looks at it.
    db.execute_batch("DROP TRIGGER outcomes_guard; INSERT INTO outcomes VALUES (4, 'done', '', 0, printf('%200000s', ''))").unwrap();
    refused(trail.for_each(&only, |_| Ok(())), Rule::TrailFault, &["reading requests", "too big"]);
}

#[test]
fn filters_find_what_they_name_and_nothing_else() {
    let dir = three();
    let trail = Trail::open(dir.path()).unwrap();
    let found = |filter: Filter| {
        let numbers: Vec<u64> = entries(&trail, &filter).iter().map(|entry| entry.number).collect();
        assert_eq!(trail.count(&Filter { last: None, ..filter.clone() }).unwrap(), trail.count(&filter).unwrap());
        numbers
    };
    let none = Filter::default();
    assert_eq!(found(none.clone()), [1, 2, 3]);
    assert_eq!(found(Filter { since: Some(1_772_366_402), ..none.clone() }), [2, 3], "that second is in it");
    assert_eq!(found(Filter { until: Some(1_772_366_402), ..none.clone() }), [1, 2], "and here too");
    assert_eq!(found(Filter { since: Some(u64::MAX), ..none.clone() }), [0; 0]);
    assert_eq!(found(Filter { program: Some("witness session".into()), ..none.clone() }), [3]);
    assert_eq!(found(Filter { program: Some("witness' OR 1 --".into()), ..none.clone() }), [0; 0]);
    assert_eq!(found(Filter { request_type: Some("append".into()), ..none.clone() }), [1, 3]);
    assert_eq!(found(Filter { status: Some(Status::Refused), ..none.clone() }), [2]);
    assert_eq!(found(Filter { only_unfinished: true, ..none.clone() }), [3]);
    assert_eq!(found(Filter { uid: Some(1_001), ..none.clone() }), [2]);
    assert_eq!(found(Filter { only_writes: true, ..none.clone() }), [1, 3]);
    assert_eq!(found(Filter { request: Some(Which::Id(asked(2).request_id)), ..none.clone() }), [2]);
    assert_eq!(found(Filter { request: Some(Which::Number(3)), ..none.clone() }), [3]);
    assert_eq!(found(Filter { request: Some(Which::Number(u64::MAX)), ..none.clone() }), [0; 0]);
    assert_eq!(found(Filter { last: Some(2), ..none.clone() }), [2, 3], "the last two, in their order");
    assert_eq!(found(Filter { last: Some(u64::MAX), ..none.clone() }), [1, 2, 3]);
    assert_eq!(found(Filter { last: Some(1), request_type: Some("append".into()), until: Some(1_772_366_402), ..none.clone() }), [1]);
    assert_eq!(trail.count(&Filter { last: Some(1), ..none.clone() }).unwrap(), 3);
    for status in Status::ALL {
        assert_eq!(Status::from_word(status.word()), Some(status));
    }
    let fault = trail.for_each(&none, |entry| Err(Fault::new(Rule::Usage, entry.number.to_string())));
    assert_eq!(fault.unwrap_err().found, "1", "it ends at the first error");
}

#[test]
fn what_is_no_trail_of_ours_is_refused_in_words_and_a_new_one_is_begun_when_it_was_moved() {
    // One file, by one process that copied its log, so that every byte counts.
    let folded = |dir: &Path| stock(dir).execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    type Prepare = fn(&Path);
    let prepared: &[(&str, Prepare, &[&str])] = &[
        (
            "text",
            |path| fs::write(path, "who asked what\n").unwrap(),
            &["something else than an SQLite database found; an audit trail expected"],
        ),
        ("nothing", |path| fs::write(path, "").unwrap(), &["PRAGMA application_id is 0; 1415668340 expected"]),
        ("cut", |path| fs::OpenOptions::new().write(true).open(path).unwrap().set_len(5_000).unwrap(), &["malformed"]),
        ("zeros", |path| fs::write(path, [0; 8_192]).unwrap(), &["something else than an SQLite database found; an audit trail expected"]),
        ("another's", |path| drop(Connection::open(path).unwrap().execute_batch("PRAGMA application_id = 7")), &["application_id is 7"]),
        (
            "newer",
            |path| drop(Connection::open(path).unwrap().execute_batch("PRAGMA user_version = 2")),
            &["user_version is 2; 1 expected"],
        ),
        (
            "more",
            |path| drop(Connection::open(path).unwrap().execute_batch("CREATE TABLE more (x)")),
            &["table more on more found; no such entry expected"],
        ),
        (
            "rollback journal",
            |path| drop(Connection::open(path).unwrap().execute_batch("PRAGMA journal_mode = DELETE")),
            &["PRAGMA journal_mode is delete; wal expected"],
        ),
        ("planted journal", |path| fs::write(path.with_extension("db-journal"), "x").unwrap(), &["audit.db-journal: a plain file found"]),
        (
            "link",
            |path| {
                fs::rename(path, path.with_extension("moved")).unwrap();
                std::os::unix::fs::symlink(path.with_extension("moved"), path).unwrap();
            },
            &["a symbolic link found; a plain file expected"],
        ),
        ("second name", |path| fs::hard_link(path, path.with_extension("too")).unwrap(), &["a file with 2 names found"]),
        (
            "folder",
            |path| {
                fs::remove_file(path).unwrap();
                fs::create_dir(path).unwrap();
            },
            &["a folder found; a plain file expected"],
        ),
    ];
    for (name, prepare, words) in prepared {
        let dir = three();
        folded(dir.path());
        ["-wal", "-shm"].iter().for_each(|ending| drop(fs::remove_file(dir.path().join(format!("{TRAIL_FILE}{ending}")))));
        prepare(&dir.path().join(TRAIL_FILE));
        for outcome in [Trail::open(dir.path()), Trail::look(dir.path()).map(Option::unwrap)] {
            let outcome = outcome.and_then(|trail| trail.for_each(&Filter::default(), |_| Ok(())));
            assert!(outcome.is_err(), "{name}: it was taken");
            let fault = refused(outcome, Rule::TrailFault, words);
            assert!(fault.found.contains("audit.db"), "{name}: {fault}");
        }
        // As the advice has it: moved, with everything that is named after it.
        let kept = dir.path().join("kept");
        fs::create_dir(&kept).unwrap();
        for entry in fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
            if entry.file_name().to_str().unwrap().starts_with(TRAIL_FILE) {
                fs::rename(entry.path(), kept.join(entry.file_name())).unwrap();
            }
        }
        assert!(Trail::look(dir.path()).unwrap().is_none(), "{name}");
        assert!(Trail::open(dir.path()).unwrap().record(&asked(1), &ended(Status::Done)).unwrap(), "{name}");
        assert_eq!(all(dir.path())[0].number, 1, "{name}");
    }
    assert!(Rule::TrailFault.next().contains("move audit.db") && Rule::TrailFault.next().contains("nothing that is signed depends on it"));
}

/// A log whose trail was moved away without it would be played into the new one.
#[test]
fn a_log_that_was_left_behind_is_not_taken_for_that_of_a_new_trail() {
    let dir = three();
    fs::remove_file(dir.path().join(TRAIL_FILE)).unwrap();
    refused(Trail::open(dir.path()), Rule::TrailFault, &["audit.db-wal without audit.db found; both or neither expected"]);
    assert!(!dir.path().join(TRAIL_FILE).exists());
    refused(Trail::open(&dir.path().join("nowhere")), Rule::NotFound, &["nowhere"]);
}

#[test]
fn a_damaged_page_is_found_when_it_is_met() {
    let dir = TempDir::new().unwrap();
    let trail = Trail::open(dir.path()).unwrap();
    (0..300).for_each(|id| assert!(trail.record(&asked(id), &ended(Status::Done)).unwrap()));
    drop(trail);
    let db = stock(dir.path());
    db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let page: u32 = db.query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'requests'", [], |row| row.get(0)).unwrap();
    drop(db);
    let path = dir.path().join(TRAIL_FILE);
    let mut bytes = fs::read(&path).unwrap();
    bytes[(page as usize - 1) * 4096..][..4096].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let trail = Trail::open(dir.path()).unwrap();
    refused(trail.begin(&asked(1_000)), Rule::TrailFault, &["audit.db", "recording a request", "malformed"]);
    refused(trail.for_each(&Filter::default(), |_| Ok(())), Rule::TrailFault, &["reading requests", "malformed"]);
    refused(trail.missing(), Rule::TrailFault, &["malformed"]);
}

// Children --------------------------------------------------------------------------------------------------------------------------------------

fn start(program: &Path, what: &str, argument: u64, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["--exact", "child", "--nocapture"]).env(CHILD, format!("{what} {argument} {}", dir.display()));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}

fn this() -> std::path::PathBuf {
    std::env::current_exe().unwrap()
}

fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap)
}

/// Not a test of its own: what the children of the tests below do.
#[test]
fn child() {
    let Ok(line) = std::env::var(CHILD) else { return };
    let mut words = line.splitn(3, ' ');
    let (what, argument) = (words.next().unwrap(), words.next().unwrap().parse::<u64>().unwrap());
    let dir = Path::new(words.next().unwrap());
    match what {
        "write" => write_500(dir, argument),
        "until-killed" => write_until_killed(dir, argument),
        "full" => write_until_full(dir, argument),
        "look" => look_only(dir),
        other => panic!("{other}"),
    }
}

fn id(process: u64, request: u64) -> u128 {
    u128::from(process) << 64 | u128::from(request)
}

/// Beside the trail: somebody has looked while they wrote.
const LOOKED: &str = "looked";

/// Reads in one, writes in two steps, and each fifth one that another process has too. Half of them when somebody has looked.
fn write_500(dir: &Path, process: u64) {
    let trail = Trail::open(dir).unwrap();
    for request in 0..500 {
        while request == 250 && dir.exists() && !dir.join(LOOKED).exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let shared = request % 5 == 0;
        let asked = asked(id(if shared { 99 } else { process }, request));
        if request % 2 == 0 {
            assert!(trail.begin(&asked).unwrap() || shared);
            trail.end(&asked.request_id, &ended(Status::Done)).unwrap();
        } else {
            assert!(trail.record(&asked, &ended(Status::Cached)).unwrap() || shared);
        }
    }
}

fn write_until_killed(dir: &Path, process: u64) {
    let trail = Trail::open(dir).unwrap();
    let mut out = std::io::stdout().lock();
    for request in 0.. {
        let asked = asked(id(process, request));
        assert!(trail.begin(&asked).unwrap());
        writeln!(out, "\nbegun {request}").unwrap();
        trail.end(&asked.request_id, &ended(Status::Done)).unwrap();
        writeln!(out, "\nended {request}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn four_processes_at_once_lose_nothing_and_double_nothing_and_readers_see_whole_requests() {
    let dir = TempDir::new().unwrap();
    let mut children: Vec<Child> = (1..=4).map(|process| start(&this(), "write", process, dir.path()).spawn().unwrap()).collect();
    // Whoever reads meanwhile sees numbers without a gap, and no more than was recorded.
    let mut looks = 0;
    while children.iter_mut().any(|child| child.try_wait().unwrap().is_none()) {
        let Some(trail) = Trail::look(dir.path()).unwrap() else { continue };
        let numbers: Vec<u64> = entries(&trail, &Filter::default()).iter().map(|entry| entry.number).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
        looks += usize::from(!numbers.is_empty() && numbers.len() < 1_700);
        if looks > 0 {
            fs::write(dir.path().join(LOOKED), "").unwrap();
        }
    }
    children.iter_mut().for_each(|child| assert!(child.wait().unwrap().success()));
    assert!(looks > 0, "nobody looked while they wrote");
    let found = all(dir.path());
    let expected: BTreeSet<u128> =
        (0..500).flat_map(|request| (1..=4).map(move |process| id(if request % 5 == 0 { 99 } else { process }, request))).collect();
    assert_eq!(expected.len(), 4 * 400 + 100);
    assert_eq!(found.len(), expected.len());
    assert_eq!(found.iter().map(|entry| u128::from_be_bytes(entry.asked.request_id)).collect::<BTreeSet<_>>(), expected);
    assert!(found.iter().all(|entry| entry.ended.is_some()), "each ended");
    assert_eq!(Trail::open(dir.path()).unwrap().missing().unwrap(), 0);
}

#[test]
fn a_trail_that_many_make_at_once_is_one_and_leaves_nothing_else_behind() {
    for round in 0..10 {
        let dir = TempDir::new().unwrap();
        let make = |thread: u128| {
            let dir = dir.path();
            move || assert!(Trail::open(dir).unwrap().record(&asked(thread), &ended(Status::Done)).unwrap())
        };
        std::thread::scope(|scope| (0..8).for_each(|thread| drop(scope.spawn(make(thread)))));
        assert_eq!(all(dir.path()).len(), 8, "round {round}");
        let names: BTreeSet<String> = tree(dir.path()).into_keys().collect();
        assert_eq!(names, ["audit.db", "audit.db-shm", "audit.db-wal"].map(str::to_owned).into(), "round {round}");
        for name in names {
            let mode = dir.path().join(&name).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }
}

#[test]
fn killed_writers_leave_a_trail_that_opens_and_holds_every_request_that_ended() {
    let (dir, mut rng) = (TempDir::new().unwrap(), Rng::with_seed(SEED));
    let (mut begun, mut over) = (BTreeSet::new(), BTreeSet::new());
    for kill in 0..20 {
        let (at, what) = (rng.u64(1..60), format!("seed {SEED:#x}, kill {kill}"));
        let mut child = start(&this(), "until-killed", kill, dir.path()).spawn().unwrap();
        for line in lines(&mut child) {
            let Some((word, request)) = line.split_once(' ').filter(|(word, _)| ["begun", "ended"].contains(word)) else { continue };
            let request: u64 = request.parse().unwrap();
            if word == "begun" {
                begun.insert(id(kill, request))
            } else {
                over.insert(id(kill, request))
            };
            if word == "ended" && request == at {
                std::thread::sleep(Duration::from_micros(rng.u64(..2_000)));
                child.kill().unwrap();
            }
        }
        assert!(!child.wait().unwrap().success(), "{what}");
        let found: BTreeMap<u128, bool> =
            all(dir.path()).iter().map(|entry| (u128::from_be_bytes(entry.asked.request_id), entry.ended.is_some())).collect();
        assert!(over.iter().all(|id| found.get(id) == Some(&true)), "{what}: a request that ended is not there or has no outcome");
        assert!(begun.iter().all(|id| found.contains_key(id)), "{what}: a request that began is not there");
        assert!(found.len() <= begun.len() + kill as usize + 1, "{what}: {} found, {} begun", found.len(), begun.len());
        assert_eq!(Trail::open(dir.path()).unwrap().missing().unwrap(), 0, "{what}");
    }
    let names: BTreeSet<String> = tree(dir.path()).into_keys().collect();
    assert_eq!(names, ["audit.db", "audit.db-shm", "audit.db-wal"].map(str::to_owned).into());
}

/// Prints what a disk that takes no more comes to, and that with room again the same connection goes on.
fn write_until_full(dir: &Path, most: u64) {
    let trail = Trail::open(dir).unwrap();
    let limit = |most| Rlimit { current: most, maximum: None };
    setrlimit(Resource::Fsize, limit(Some(most))).unwrap();
    let mut out = std::io::stdout().lock();
    for request in 0.. {
        match trail.record(&asked(request), &ended(Status::Done)) {
            Ok(is_new) => assert!(is_new),
            Err(fault) => {
                writeln!(out, "\nrefused {request} {}", fault).unwrap();
                setrlimit(Resource::Fsize, limit(None)).unwrap();
                assert!(trail.record(&asked(request), &ended(Status::Done)).unwrap(), "it was not recorded");
                return writeln!(out, "\nagain {request}").unwrap();
            }
        }
    }
}

#[test]
fn a_full_disk_is_told_and_what_was_recorded_stays() {
    for most in [100_000, 900_000] {
        let dir = TempDir::new().unwrap();
        let child = start(&this(), "full", most, dir.path());
        let variables: Vec<_> = child.get_envs().map(|(name, value)| (name.to_owned(), value.unwrap().to_owned())).collect();
        // The signal's place in the child: a write beyond the limit is an error and not the end.
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]).arg(this()).args(child.get_args()).envs(variables);
        let mut child = shell.stdout(Stdio::piped()).spawn().unwrap();
        let told: Vec<String> = lines(&mut child).filter(|line| line.starts_with("refused ") || line.starts_with("again ")).collect();
        assert!(child.wait().unwrap().success(), "{told:?}");
        assert!(told[0].contains("[disk-fault]") && told[0].contains("audit.db: recording a request"), "{told:?}");
        let request: usize = told[1].strip_prefix("again ").unwrap().parse().unwrap();
        let found = all(dir.path());
        assert_eq!((found.len(), found.iter().all(|entry| entry.ended.is_some())), (request + 1, true), "{told:?}");
    }
}

// Where nothing can be written ------------------------------------------------------------------------------------------------------------------

/// Nobody's number: root is refused nothing, so that these tests ask as somebody else.
const NOBODY: u32 = 65_534;

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

fn look_only(dir: &Path) {
    refused(Trail::open(dir), Rule::FileFault, &["Permission denied"]);
    let found = all(dir);
    println!("\nfound {} {}", found.len(), found.iter().filter(|entry| entry.ended.is_some()).count());
}

/// A program that whoever we ask as can run, somewhere that they can reach.
fn reachable(program: &Path) -> (TempDir, std::path::PathBuf) {
    let dir = TempDir::new().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = dir.path().join("program");
    fs::copy(program, &path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    (dir, path)
}

fn as_nobody(mut command: Command) -> String {
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Makes a folder and its files readable for whoever we ask as, and writable for nobody.
fn lock_up(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o400)).unwrap();
        if is_root() {
            chown(entry.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o555)).unwrap();
}

fn unlock(dir: &Path) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_trail_is_read_where_nothing_can_be_written_with_and_without_the_index_of_its_log() {
    let (_place, program) = reachable(&this());
    let (_also, tabellion) = reachable(Path::new(PROGRAM));
    type Prepare = fn(&Path);
    let prepared: [(&str, Prepare); 3] = [
        ("as it was left", |_| {}),
        ("copied without the index", |dir| fs::remove_file(dir.join("audit.db-shm")).unwrap()),
        ("in one file", |dir| {
            stock(dir).execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
            ["-wal", "-shm"].iter().for_each(|ending| drop(fs::remove_file(dir.join(format!("{TRAIL_FILE}{ending}")))));
        }),
    ];
    for (name, prepare) in prepared {
        let dir = three();
        prepare(dir.path());
        lock_up(dir.path());
        let before = tree(dir.path());
        let told = as_nobody(start(&program, "look", 0, dir.path()));
        assert!(told.contains("\nfound 3 2\n"), "{name}: {told}");
        let mut command = Command::new(&tabellion);
        command.args(["witness", "audit", "--json", "--ledger"]).arg(dir.path()).stdin(Stdio::null());
        assert!(as_nobody(command).contains("\"total\":3"), "{name}");
        assert_eq!(tree(dir.path()).keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>(), "{name}");
        unlock(dir.path());
    }
}

/// Root looks at somebody's folder, and they can still ask for something there afterwards.
#[test]
fn a_trail_belongs_to_whom_its_folder_belongs() {
    let dir = TempDir::new().unwrap();
    if is_root() {
        chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let owner = dir.path().metadata().unwrap().uid();
    assert!(Trail::open(dir.path()).unwrap().record(&asked(1), &ended(Status::Done)).unwrap());
    for name in tree(dir.path()).into_keys() {
        assert_eq!(dir.path().join(&name).metadata().unwrap().uid(), owner, "{name}");
    }
}

// Beside a ledger -------------------------------------------------------------------------------------------------------------------------------

/// The same facts with and without a trail, and through a session; the trail is as it was.
#[test]
fn a_trail_beside_a_ledger_disturbs_no_check_no_session_and_no_copy() {
    let case = Case::grown("trail");
    let status = |case: &Case| case.quiet("witness status --ledger witness --json", 0);
    let without = |text: String| text.split("\"check_us\"").next().unwrap().to_owned();
    let before = without(status(&case));
    let trail = Trail::open(&case.path("witness")).unwrap();
    (0..50).for_each(|id| assert!(trail.record(&asked(id), &ended(Status::Done)).unwrap()));
    assert_eq!(without(status(&case)), before, "counts and sizes are those of the ledger");
    case.quiet("witness integrity --ledger witness --deep", 0);
    case.quiet("witness rebuild --ledger witness", 0);
    case.quiet("witness export --ledger witness --media stick", 0);
    copy_tree(&case.path("witness"), &case.path("copy"));
    assert!(all(&case.path("copy")).len() >= 50);
    assert_eq!(without(status(&case)).replace("witness", "copy"), before.replace("witness", "copy"));
    case.quiet("witness integrity --ledger witness --against copy", 0);
    case.write("alice/next", "next");
    case.quiet("propose put tools/next=alice/next --pin alice/common.pin --key alice/key --media stick", 0);
    let head = case.quiet("witness status --ledger witness --head", 0);
    case.quiet(&format!("witness session --ledger witness --media stick --expect-head {} --yes --time none", head.trim()), 0);
    // Ours among those of the commands.
    let kept = entries(&trail, &Filter { program: Some("domain snapshot".into()), ..Filter::default() });
    assert_eq!(kept.iter().filter(|entry| entry.ended == Some(ended(Status::Done))).count(), 50);
    // Without it, or with one that is damaged, what is signed is the same.
    drop(trail);
    for ending in ["", "-wal", "-shm"] {
        fs::remove_file(case.path(&format!("witness/{TRAIL_FILE}{ending}"))).unwrap();
    }
    case.quiet("witness integrity --ledger witness --deep", 0);
}

/// The command looks at the trail alone: no lock, no halt and no broken ledger is in its way.
#[test]
fn the_trail_is_shown_while_halted_while_another_holds_the_lock_and_over_a_broken_ledger() {
    let case = Case::grown("trail");
    let shown = |words: &str| {
        let told = case.quiet("witness audit --ledger witness", 0);
        assert!(told.contains(words), "{told}");
    };
    let trail = Trail::open(&case.path("witness")).unwrap();
    assert!(trail.begin(&asked(1)).unwrap());
    shown("unfinished");
    let held = Ledger::open(&case.path("witness")).unwrap();
    trail.end(&asked(1).request_id, &ended(Status::Done)).unwrap();
    shown("events 1 to 4");
    drop(held);
    case.write("witness/halt", "whatever");
    shown("events 1 to 4");
    case.write("witness/ledger.db", "broken");
    shown("events 1 to 4");
}

//! Children that append to a ledger and say what was acknowledged, and how an image of a ledger is looked at.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use ed25519_dalek::{Signer as _, SigningKey};
use rusqlite::Connection;
use tabellion::core::cbor::Writer;
use tabellion::core::event::{EventParts, EventSigner, EventType, PayloadForm, event_hash, signed_message};
use tabellion::core::ids::{Hash, kid_of};
use tabellion::ledger::{CheckInput, Ledger, NewEvent};

use super::recorder::{FORKS, MARKS};

/// What a child does to its ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Commits of several sizes, a large payload among them; then closes, which empties SQLite's log into the database.
    Small,
    /// A commit that makes SQLite's log longer than 4 MiB, so that it is checkpointed, and commits that write it from its beginning.
    Long,
    /// As `Small`, with rusqlite and no functions of ours, so with any settings: journal mode and `synchronous`.
    Plain(&'static str, &'static str),
}

impl Work {
    /// Every one that a child knows, by what `{:?}` makes of it.
    pub const ALL: [Work; 6] = [
        Work::Small,
        Work::Long,
        Work::Plain("WAL", "FULL"),
        Work::Plain("WAL", "NORMAL"),
        Work::Plain("DELETE", "FULL"),
        Work::Plain("DELETE", "EXTRA"),
    ];
}

/// What it is, for a table.
pub fn said(work: Work) -> String {
    match work {
        Work::Small => "commits of several sizes, a payload of 70 KB, closing".into(),
        Work::Long => "a log of more than 4 MiB that is copied into the database and begun anew".into(),
        Work::Plain(journal, synchronous) => format!("control: rusqlite alone, journal {journal}, synchronous {synchronous}"),
    }
}

struct TestSigner(SigningKey);

impl EventSigner for TestSigner {
    fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }
    fn sign_event(&self, event_hash: &[u8; 32]) -> [u8; 64] {
        self.0.sign(&signed_message(event_hash)).to_bytes()
    }
}

fn signer() -> Arc<TestSigner> {
    Arc::new(TestSigner(SigningKey::from_bytes(&[0x42; 32])))
}

/// A map with as many bytes in it.
fn payload(len: usize, byte: u8) -> Vec<u8> {
    let mut w = Writer::new();
    w.map(1).uint(0).bytes(&vec![byte; len]);
    w.finish()
}

/// A session: `opened`, and one notice for each payload.
fn events(session: u64, lens: &[usize]) -> Vec<NewEvent> {
    let of = |(index, len): (usize, &usize)| NewEvent {
        event_id: format!("{session}/{index}"),
        timestamp: 1_790_000_000,
        event_type: if index == 0 { EventType::Opened } else { EventType::Notice },
        payload: payload(*len, (session as u8).wrapping_mul(31).wrapping_add(index as u8)),
    };
    [3].iter().chain(lens).enumerate().map(of).collect()
}

/// The sizes of the payloads, session by session.
fn sessions(work: Work) -> Vec<Vec<usize>> {
    match work {
        Work::Long => vec![vec![230_000; 20], vec![10], vec![5_000, 80_000], vec![]],
        Work::Small => vec![vec![10], vec![], vec![300; 6], vec![70_000], vec![4_000, 9_000], vec![20]],
        Work::Plain(..) => vec![vec![10], vec![300; 4], vec![4_000, 9_000], vec![20]],
    }
}

/// A ledger with session 0, closed: what every recording begins with.
pub fn prepare(dir: &Path, work: Work) {
    let _no_fork = FORKS.read().unwrap();
    let mut ledger = Ledger::create(dir, &[0xab; 16], signer()).unwrap();
    ledger.commit(None, &events(0, &[100, 200])).unwrap();
    drop(ledger);
    if let Work::Plain(journal, _) = work {
        let db = plain(dir);
        // The functions that the triggers call are not public: without the triggers the tables are the same.
        let names = "SELECT name FROM sqlite_schema WHERE type = 'trigger'";
        let names: Vec<String> = db.prepare(names).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        names.iter().for_each(|name| db.execute_batch(&format!("DROP TRIGGER {name}")).unwrap());
        let found: String = db.query_row(&format!("PRAGMA journal_mode = {journal}"), [], |row| row.get(0)).unwrap();
        assert!(found.eq_ignore_ascii_case(journal));
    }
}

/// Says in the log of effects that these events are acknowledged: from now on they must be on every disk.
fn acknowledge(head: &[u8; 32]) {
    let mut marks = fs::File::options().append(true).open(std::env::var_os(MARKS).unwrap()).unwrap();
    marks.write_all(format!("{}\n", hex::encode(head)).as_bytes()).unwrap();
}

/// The child's life.
pub fn run(work: Work, dir: &Path) {
    if let Work::Plain(_, synchronous) = work {
        return run_plain(work, synchronous, dir);
    }
    let mut ledger = Ledger::open(dir).unwrap();
    ledger.start_up_check(&CheckInput { ledger_keys: &[signer().public_key()], deep: false, must_hold: &[] }).unwrap();
    ledger.unlock(signer()).unwrap();
    let mut head = ledger.head().unwrap();
    for (session, lens) in (1..).zip(sessions(work)) {
        let new = ledger.commit(head, &events(session, &lens)).unwrap();
        acknowledge(&new);
        head = Some(new);
    }
    ledger.write_back().unwrap();
    drop(ledger);
}

fn plain(dir: &Path) -> Connection {
    #[allow(clippy::disallowed_methods)] // a control opens the ledger's file with settings that the ledger never has
    let db = Connection::open(dir.join("ledger.db")).unwrap();
    let flags = rusqlite::functions::FunctionFlags::SQLITE_UTF8 | rusqlite::functions::FunctionFlags::SQLITE_DETERMINISTIC;
    db.create_scalar_function("tabellion_event_hash", 9, flags, |context| {
        let (prev, kid): ([u8; 32], [u8; 32]) = (context.get(6)?, context.get(7)?);
        let (event_id, word, payload): (String, String, Vec<u8>) = (context.get(1)?, context.get(3)?, context.get(4)?);
        Ok(event_hash(&EventParts {
            seq_no: context.get::<i64>(0)? as u64,
            event_id: &event_id,
            timestamp: context.get::<i64>(2)? as u64,
            event_type: word.parse().unwrap(),
            payload: PayloadForm::of(&payload),
            prev_event_hash: &prev,
            public_key_id: &Hash(kid),
            writer_epoch: context.get::<i64>(8)? as u64,
        }))
    })
    .unwrap();
    db
}

fn run_plain(work: Work, synchronous: &str, dir: &Path) {
    let mut db = plain(dir);
    db.execute_batch(&format!("PRAGMA synchronous = {synchronous}; PRAGMA wal_autocheckpoint = 0;")).unwrap();
    let kid = kid_of(&signer().public_key());
    for (session, lens) in (1..).zip(sessions(work)) {
        let transaction = db.transaction().unwrap();
        let mut head = [0; 32];
        for event in events(session, &lens) {
            let text = "INSERT INTO events (seq_no, event_id, timestamp, event_type, payload, prev_event_hash, signature, public_key_id, writer_epoch)
              SELECT seq_no + 1, ?1, ?2, ?3, ?4, event_hash, zeroblob(64), ?5, 1 FROM events ORDER BY seq_no DESC LIMIT 1 RETURNING event_hash";
            let row = rusqlite::params![event.event_id, event.timestamp as i64, event.event_type.as_str(), event.payload, kid.0];
            head = transaction.query_row(text, row, |row| row.get(0)).unwrap();
        }
        transaction.commit().unwrap();
        acknowledge(&head);
    }
}

/// What lies in an image of a ledger.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    /// The hash of every event.
    pub hashes: Vec<[u8; 32]>,
    /// What the checks found, if they found something.
    pub fault: Option<String>,
}

/// Opens an image as a start-up does, with every check, and then as SQLite's own.
pub fn look(dir: &Path) -> Seen {
    let mut hashes = Vec::new();
    let _no_fork = FORKS.read().unwrap();
    let fault = Ledger::open(dir).and_then(|ledger| {
        ledger.for_each(1, |event| {
            hashes.push(event.event_hash);
            Ok(())
        })?;
        let input = CheckInput { ledger_keys: &[signer().public_key()], deep: true, must_hold: &hashes };
        ledger.start_up_check(&input)?.into_checked()
    });
    let fault = fault.map_err(|fault| fault.to_string()).and_then(|()| integrity_check(&plain(dir))).err();
    Seen { hashes, fault }
}

fn integrity_check(db: &Connection) -> Result<(), String> {
    let found = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
    let found = found.unwrap_or_else(|error| error.to_string());
    if found == "ok" { Ok(()) } else { Err(format!("integrity_check found {found}")) }
}

/// Opens an image with nothing of ours: for the controls.
pub fn look_plain(dir: &Path) -> Seen {
    let db = plain(dir);
    let mut hashes = Vec::new();
    let read = || -> rusqlite::Result<Vec<([u8; 32], [u8; 32])>> {
        db.prepare("SELECT prev_event_hash, event_hash FROM events ORDER BY seq_no")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect()
    };
    let fault = match read() {
        Err(error) => Some(error.to_string()),
        Ok(rows) => {
            hashes = rows.iter().map(|(_, hash)| *hash).collect();
            let broken = rows.windows(2).position(|two| two[1].0 != two[0].1);
            broken.map(|at| format!("event {} does not follow", at + 2)).or(integrity_check(&db).err())
        }
    };
    Seen { hashes, fault }
}

/// What is wrong with an image after these acknowledgements. `whole` is every event of the undisturbed run, `commits` how many events there
/// are behind each commit: an image has the events of some commit, all or none.
pub fn judge(seen: &Seen, marks: &[String], whole: &Seen, commits: &[usize]) -> Vec<String> {
    let mut out: Vec<String> = seen.fault.iter().map(|fault| format!("the checks object: {fault}")).collect();
    let (found, hashes) = (seen.hashes.len(), &seen.hashes);
    if let Some(lost) = marks.iter().find(|mark| !hashes.iter().any(|hash| hex::encode(hash) == **mark)) {
        out.push(format!("acknowledged event {}… is lost", &lost[..8]));
    }
    if !whole.hashes.starts_with(hashes) {
        out.push(format!("{found} events that are not those of the undisturbed run"));
    }
    if !commits.contains(&found) && seen.fault.is_none() {
        out.push(format!("{found} events, which is part of a commit"));
    }
    out
}

/// How many events there are behind the preparation and behind each commit.
pub fn commits(work: Work) -> Vec<usize> {
    let mut count = events(0, &[100, 200]).len();
    let mut out = vec![count];
    for lens in sessions(work) {
        count += lens.len() + 1;
        out.push(count);
    }
    out
}

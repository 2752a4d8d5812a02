//! Appending to the ledger, beside the raw bounds of the same run: `cargo bench --bench ledger_write -- --events 1000,1000000`.
//!
//! Three things are appended to: the product's own [`Ledger`], as it is; a *bare* connection with the product's schema and functions, on which
//! one thing at a time is left out or set otherwise (no signature, another's signature, `synchronous=NORMAL`), as no [`Ledger`] can be; and
//! the design of the published figures, in which the writer hashes and the database believes it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::disallowed_methods)] // SQLite is what is measured

/// The product's functions, compiled in once more: outside the ledger no connection has them.
#[path = "../../src/ledger/functions.rs"]
#[allow(dead_code)]
mod functions;
mod probe;

/// As the functions name it.
mod core {
    pub use tabellion::core::*;
}

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use probe::scene::{Kind, PAYLOAD_BYTES, filled, make, plain_event, session_events, signer};
use probe::{By, Contender, Measured, Options, Spent, Table, alternate, mib, peak_bytes, spent};
use rusqlite::{Connection, params};
use tabellion::core::event::{EventParts, EventSigner, EventType, PayloadForm, event_hash, signed_message};
use tabellion::core::ids::{Hash, kid_of};
use tabellion::ledger::{Ledger, NewEvent};
use tempfile::TempDir;

const SCHEMA: &str = include_str!("../../src/ledger/schema.sql");
/// Events of one transaction where they come in many.
const BATCH: u64 = 1_000;
/// Events of one round of one event a commit, durable.
const SINGLES: u64 = 200;
/// Events of the published workload.
const PUBLISHED_EVENTS: u64 = 5_000;

/// Gives the same 64 bytes for everything: what the database does without the time of a signature.
struct NoSigner;

impl EventSigner for NoSigner {
    fn public_key(&self) -> [u8; 32] {
        signer().public_key()
    }
    fn sign_event(&self, _: &[u8; 32]) -> [u8; 64] {
        [0; 64]
    }
}

/// A connection with the product's schema and functions, and what it has appended.
struct Bare {
    db: Connection,
    done: u64,
    head: [u8; 32],
    kid: Hash,
    _dir: TempDir,
}

fn step(db: &Connection, text: &str) {
    db.prepare_cached(text).unwrap().execute([]).unwrap();
}

fn head(db: &Connection) -> [u8; 32] {
    let mut statement = db.prepare_cached("SELECT event_hash FROM events ORDER BY seq_no DESC LIMIT 1").unwrap();
    statement.query_row([], |row| row.get(0)).unwrap()
}

/// An event made and signed elsewhere.
struct Foreign {
    seq_no: u64,
    event_id: String,
    payload: Vec<u8>,
    prev: [u8; 32],
    signature: [u8; 64],
}

impl Bare {
    /// A ledger of `events` events under these settings.
    fn new(synchronous: &str, autocheckpoint: u32, events: u64) -> Bare {
        let dir = TempDir::new().unwrap();
        let db = Connection::open(dir.path().join("ledger.db")).unwrap();
        db.execute_batch(&format!(
            "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous};
             PRAGMA wal_autocheckpoint = {autocheckpoint}; PRAGMA trusted_schema = OFF; PRAGMA recursive_triggers = ON;
             PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = ON;"
        ))
        .unwrap();
        functions::register_all(&db, Arc::new(NoSigner)).unwrap();
        db.execute_batch(SCHEMA).unwrap();
        let mut bare = Bare { db, done: 0, head: [0; 32], kid: kid_of(&signer().public_key()), _dir: dir };
        while bare.done < events {
            bare.appending(BATCH.min(events - bare.done), BATCH);
        }
        bare
    }

    fn checkpoint(&self) {
        self.db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
    }

    /// Transactions of `batch` notices each, through the only way in for the writer.
    fn append(&mut self, events: &[NewEvent], batch: usize) {
        for events in events.chunks(batch) {
            step(&self.db, "BEGIN IMMEDIATE");
            let text = "INSERT INTO append (event_id, timestamp, event_type, payload) VALUES (?1, ?2, ?3, ?4)";
            let mut insert = self.db.prepare_cached(text).unwrap();
            for event in events {
                insert.execute(params![event.event_id, event.timestamp as i64, event.event_type.as_str(), event.payload]).unwrap();
            }
            self.head = head(&self.db);
            step(&self.db, "COMMIT");
            self.done += events.len() as u64;
        }
    }

    /// Events that fit behind the last one, signed by whoever has the key.
    fn foreign(&self, count: u64) -> Vec<Foreign> {
        let (mut prev, signer) = (self.head, signer());
        let event = |index: u64| {
            let (event_id, payload) = (format!("0/{index}"), filled(index, PAYLOAD_BYTES));
            let hash = event_hash(&EventParts {
                seq_no: index + 1,
                event_id: &event_id,
                timestamp: 1_790_000_000,
                event_type: EventType::Notice,
                payload: PayloadForm::Bytes(&payload),
                prev_event_hash: &prev,
                public_key_id: &self.kid,
                writer_epoch: 1,
            });
            let signature = signer.sign_event(&hash);
            Foreign { seq_no: index + 1, event_id, payload, prev: std::mem::replace(&mut prev, hash), signature }
        };
        (self.done..self.done + count).map(event).collect()
    }

    /// Transactions of `batch` events each, whose hash and signature the database computes and checks.
    fn take(&mut self, events: &[Foreign], batch: usize) {
        for events in events.chunks(batch) {
            step(&self.db, "BEGIN IMMEDIATE");
            let text = "INSERT INTO events (seq_no, event_id, timestamp, event_type, payload, prev_event_hash, signature, public_key_id,
              writer_epoch) VALUES (?1, ?2, 1790000000, 'notice', ?3, ?4, ?5, ?6, 1)";
            let mut insert = self.db.prepare_cached(text).unwrap();
            for event in events {
                let row = params![event.seq_no as i64, event.event_id, event.payload, event.prev, event.signature, self.kid.0];
                insert.execute(row).unwrap();
            }
            self.head = head(&self.db);
            step(&self.db, "COMMIT");
            self.done += events.len() as u64;
        }
    }

    fn appending(&mut self, count: u64, batch: u64) -> Spent {
        let events: Vec<_> = (self.done..self.done + count).map(plain_event).collect();
        let (spent, ()) = spent(|| self.append(&events, batch as usize));
        self.checkpoint_unless_automatic();
        spent
    }

    fn taking(&mut self, count: u64, batch: usize) -> Spent {
        let events = self.foreign(count);
        let (spent, ()) = spent(|| self.take(&events, batch));
        self.checkpoint_unless_automatic();
        spent
    }

    /// Where checkpoints are not part of what is measured they are made between the rounds.
    fn checkpoint_unless_automatic(&self) {
        let every: i64 = self.db.query_row("PRAGMA wal_autocheckpoint", [], |row| row.get(0)).unwrap();
        if every == 0 {
            self.checkpoint();
        }
    }
}

/// The design of the published figures: the writer hashes and chains, the database takes what it is given. The columns are ours.
struct Believing {
    db: Connection,
    done: u64,
    head: [u8; 32],
    kid: Hash,
    _dir: TempDir,
}

impl Believing {
    fn new(synchronous: &str, autocheckpoint: u32) -> Believing {
        let dir = TempDir::new().unwrap();
        let db = Connection::open(dir.path().join("ledger.db")).unwrap();
        db.execute_batch(&format!(
            "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous};
             PRAGMA wal_autocheckpoint = {autocheckpoint};
             CREATE TABLE events (seq_no INTEGER PRIMARY KEY, event_id TEXT NOT NULL, timestamp INTEGER NOT NULL, event_type TEXT NOT NULL,
               payload BLOB, prev_event_hash BLOB NOT NULL, event_hash BLOB NOT NULL, signature BLOB NOT NULL, public_key_id BLOB NOT NULL,
               writer_epoch INTEGER NOT NULL) STRICT;"
        ))
        .unwrap();
        Believing { db, done: 0, head: [0; 32], kid: kid_of(&signer().public_key()), _dir: dir }
    }

    fn appending(&mut self, count: u64, batch: usize) -> Spent {
        let events: Vec<_> = (self.done..self.done + count).map(plain_event).collect();
        let (spent, ()) = spent(|| self.append(&events, batch));
        self.db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
        spent
    }

    fn append(&mut self, events: &[NewEvent], batch: usize) {
        for events in events.chunks(batch) {
            step(&self.db, "BEGIN IMMEDIATE");
            let text = "INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, zeroblob(64), ?8, 1)";
            let mut insert = self.db.prepare_cached(text).unwrap();
            for event in events {
                let hash = event_hash(&EventParts {
                    seq_no: self.done + 1,
                    event_id: &event.event_id,
                    timestamp: event.timestamp,
                    event_type: event.event_type,
                    payload: PayloadForm::Bytes(&event.payload),
                    prev_event_hash: &self.head,
                    public_key_id: &self.kid,
                    writer_epoch: 1,
                });
                let (number, time, word) = (self.done as i64 + 1, event.timestamp as i64, event.event_type.as_str());
                insert.execute(params![number, event.event_id, time, word, event.payload, self.head, hash, self.kid.0]).unwrap();
                self.head = hash;
                self.done += 1;
            }
            step(&self.db, "COMMIT");
        }
    }
}

/// The product's ledger, as it is.
struct Whole {
    ledger: Ledger,
    kind: Kind,
    done: u64,
    records: u64,
    _dir: TempDir,
}

impl Whole {
    fn new(kind: Kind, events: u64) -> Whole {
        let dir = TempDir::new().unwrap();
        let ledger = make(dir.path(), kind, events);
        let done = events.next_multiple_of(if kind == Kind::Sessions { 100 } else { 1 });
        Whole { ledger, kind, done, records: done / 100 * 48, _dir: dir }
    }

    /// Commits of `batch` events each; sessions are committed whole.
    fn appending(&mut self, count: u64, batch: u64) -> Spent {
        let mut head = self.ledger.head().unwrap();
        let commits: Vec<_> = (0..count / batch)
            .map(|commit| {
                let first = self.done + commit * batch;
                match self.kind {
                    Kind::Plain => (first..first + batch).map(plain_event).collect::<Vec<_>>(),
                    Kind::Sessions => Vec::new(),
                }
            })
            .collect();
        let mut total = Spent { wall: Default::default(), cpu: Default::default() };
        for mut events in commits {
            if self.kind == Kind::Sessions {
                assert_eq!(batch, 100);
                events = session_events(self.done / 100, &head.unwrap(), &mut self.records);
            }
            let (spent, outcome) = spent(|| self.ledger.commit(head, &events));
            head = Some(outcome.unwrap());
            self.done += events.len() as u64;
            total.wall += spent.wall;
            total.cpu += spent.cpu;
        }
        total
    }
}

/// A page written over and synced, as often as commits are made: what one durable commit costs at least.
fn overwriting(file: &File, count: u64) -> Spent {
    let page = [7; 4096];
    let work = || {
        for number in 0..count {
            file.write_all_at(&page, number % 64 * 4096).unwrap();
            file.sync_data().unwrap();
        }
    };
    spent(work).0
}

fn raw_file(dir: &Path) -> File {
    let file = File::options().create_new(true).write(true).read(true).open(dir.join("raw")).unwrap();
    file.write_all_at(&vec![0; 64 * 4096], 0).unwrap();
    file.sync_all().unwrap();
    file
}

fn messages() -> Vec<Vec<u8>> {
    (0..BATCH).map(|number| signed_message(&Hash::of(&number.to_be_bytes()).0)).collect()
}

fn signing(key: &SigningKey, messages: &[Vec<u8>]) {
    messages.iter().for_each(|message| {
        black_box(key.sign(message));
    });
}

fn verifying(key: &VerifyingKey, messages: &[Vec<u8>], signatures: &[ed25519_dalek::Signature]) {
    messages.iter().zip(signatures).for_each(|(message, signature)| key.verify_strict(message, signature).unwrap());
}

/// Many events a transaction, on ledgers of `events` events: what the database adds to a signature, and what a checked insert adds to the check.
fn batches(events: u64, rounds: usize) -> Vec<Measured> {
    let key = SigningKey::from_bytes(&[0x42; 32]);
    let (verifying_key, messages) = (key.verifying_key(), messages());
    let signatures: Vec<_> = messages.iter().map(|message| key.sign(message)).collect();
    let mut believing = Believing::new("FULL", 0);
    let (mut unsigned, mut checked) = (Bare::new("FULL", 0, events), Bare::new("FULL", 0, events));
    let (mut plain, mut sessions) = (Whole::new(Kind::Plain, events), Whole::new(Kind::Sessions, events));
    let measured = alternate(
        rounds,
        vec![
            Contender::new("a signature", BATCH, || signing(&key, &messages)),
            Contender::new("verify_strict", BATCH, || verifying(&verifying_key, &messages, &signatures)),
            Contender::timed("plain insert, the writer hashes", BATCH, || believing.appending(BATCH, BATCH as usize)),
            Contender::timed("append, hash and chain only", BATCH, || unsigned.appending(BATCH, BATCH)),
            Contender::timed("checked insert of another's event", BATCH, || checked.taking(BATCH, BATCH as usize)),
            Contender::timed("Ledger: notices, 1,000 a commit", BATCH, || plain.appending(BATCH, BATCH)),
            Contender::timed("Ledger: sessions of 100 a commit", BATCH, || sessions.appending(BATCH, 100)),
        ],
    );
    let mut table = Table::new(format!("many events a transaction, on {events} events"));
    table.row(&measured[0], By::Cpu, None, "");
    table.row(&measured[1], By::Cpu, None, "");
    table.row(&measured[2], By::Cpu, None, "");
    table.row(&measured[3], By::Cpu, Some(&measured[2]), "");
    table.row(&measured[4], By::Cpu, Some(&measured[1]), "G9: at least 0.85 ×");
    table.row(&measured[5], By::Cpu, Some(&measured[0]), "");
    table.row(&measured[6], By::Cpu, Some(&measured[0]), "");
    let each = |at: usize| 1e6 / measured[at].rate(By::Cpu);
    table.note("hash and chain in the database, beyond a plain insert", &format!("{:.2} µs CPU", each(3) - each(2)), "G9: at most 4 µs");
    table.note("a checked insert, beyond verify_strict", &format!("{:.2} µs CPU", each(4) - each(1)), "");
    table.print();
    measured
}

/// One event a commit that is synced.
fn durable(events: u64, rounds: usize) {
    let dir = TempDir::new().unwrap();
    let raw = raw_file(dir.path());
    let (mut unsigned, mut plain) = (Bare::new("FULL", 0, events), Whole::new(Kind::Plain, events));
    let measured = alternate(
        rounds,
        vec![
            Contender::timed("raw: overwrite 4 KiB, fdatasync", SINGLES, || overwriting(&raw, SINGLES)),
            Contender::timed("insert without signature", SINGLES, || unsigned.appending(SINGLES, 1)),
            Contender::timed("Ledger: one notice a commit", SINGLES, || plain.appending(SINGLES, 1)),
        ],
    );
    let mut table = Table::new(format!("one event a durable commit, on {events} events"));
    table.row(&measured[0], By::Wall, None, "");
    table.row(&measured[1], By::Wall, Some(&measured[0]), "G7: at least 0.9 ×");
    table.row(&measured[2], By::Wall, Some(&measured[0]), "G7: at least 0.6 ×");
    table.print();
}

/// The published workload: 5,000 events, one a transaction, `synchronous=NORMAL`.
fn published(rounds: usize) {
    let mut believing = Believing::new("NORMAL", 1000);
    let (mut unsigned, mut checked) = (Bare::new("NORMAL", 1000, 0), Bare::new("NORMAL", 1000, 0));
    let measured = alternate(
        rounds,
        vec![
            Contender::timed("their design: the writer hashes", PUBLISHED_EVENTS, || believing.appending(PUBLISHED_EVENTS, 1)),
            Contender::timed("database hashes and chains", PUBLISHED_EVENTS, || unsigned.appending(PUBLISHED_EVENTS, 1)),
            Contender::timed("and verifies a signature", PUBLISHED_EVENTS, || checked.taking(PUBLISHED_EVENTS, 1)),
        ],
    );
    let mut table = Table::new("the published workload: 5,000 events, one a transaction, synchronous=NORMAL");
    for by in [By::Wall, By::Cpu] {
        table.row_published(&measured[0], by, 7_600.0, "");
        table.row_published(&measured[1], by, 7_600.0, "G8: at least 8 ×");
        table.row_published(&measured[2], by, 7_600.0, "G8: at least 2 ×");
    }
    for measured in &measured[1..] {
        let ms = 1e3 * PUBLISHED_EVENTS as f64 / measured.rate(By::Wall);
        table.note(&format!("5,000 events: {}", measured.name), &format!("{ms:.0} ms"), "published: 650 ms");
    }
    table.print();
}

fn main() {
    let options = Options::read(&[1_000, 10_000]);
    published(options.rounds);
    durable(10_000, options.rounds);
    let mut sizes = Vec::new();
    for &events in &options.events {
        sizes.push((events, batches(events, options.rounds)));
    }
    let mut table = Table::new("growth: each against the smallest ledger");
    for (events, measured) in &sizes[1..] {
        for (now, then) in measured.iter().zip(&sizes[0].1).skip(3) {
            let ratio = then.rate(By::Cpu) / now.rate(By::Cpu);
            table.note(&format!("{}, {events} events", now.name), &format!("{ratio:.2} × the time"), "G13: at most 1.3 ×");
        }
    }
    table.note("memory at its highest", &mib(peak_bytes()), "");
    table.print();
}

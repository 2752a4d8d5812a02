//! What was acknowledged stays: a process that appends is killed at random moments, or its disk refuses to take more.
//!
//! The child is this very test program, started again with [`CHILD`] set. It appends commit after commit and prints each acknowledgement.
//! What a power cut loses is not asked here: a killed process loses nothing that the kernel has.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/place.rs"]
mod place;

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::{Signer as _, SigningKey};
use fastrand::Rng;
use place::memory;
use rustix::process::{Resource, Rlimit, setrlimit};
use tabellion::core::cbor::Writer;
use tabellion::core::event::{EventSigner, EventType, signed_message};
use tabellion::core::rules::Rule;
use tabellion::ledger::{CheckInput, Health, Ledger, NewEvent};
use tempfile::TempDir;

/// `<seed> <longest file in bytes, 0 for any> <folder>`
const CHILD: &str = "TABELLION_LEDGER_CHILD";
const SEED: u64 = 0x1ED6_E2C1;
const KILLS: u64 = 20;
const SIGKILL: i32 = 9;
const SIGXFSZ: i32 = 25;
/// Most events of one commit.
const COMMIT_EVENTS: u64 = 6;

struct Key(SigningKey);

impl EventSigner for Key {
    fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }
    fn sign_event(&self, event_hash: &[u8; 32]) -> [u8; 64] {
        self.0.sign(&signed_message(event_hash)).to_bytes()
    }
}

fn key() -> Arc<Key> {
    Arc::new(Key(SigningKey::from_bytes(&[0x42; 32])))
}

fn events(rng: &mut Rng, next: u64) -> Vec<NewEvent> {
    let event = |index| {
        let mut w = Writer::new();
        // Now and then one that stands beside its event.
        let length = if rng.u32(..30) == 0 { 70_000 } else { rng.usize(..3_000) };
        w.map(1).uint(0).bytes(&vec![index as u8; length]);
        NewEvent { event_id: format!("0/{index}"), timestamp: 0, event_type: EventType::Notice, payload: w.finish() }
    };
    let count = 1 + next % COMMIT_EVENTS;
    (next..next + count).map(event).collect()
}

/// The child's whole life. Without its variable this is not a child, and there is nothing to do.
#[test]
fn child() {
    let Ok(line) = std::env::var(CHILD) else { return };
    let mut words = line.splitn(3, ' ');
    let (seed, most): (u64, u64) = (words.next().unwrap().parse().unwrap(), words.next().unwrap().parse().unwrap());
    let mut ledger = Ledger::open(Path::new(words.next().unwrap())).unwrap();
    let input = CheckInput { ledger_keys: &[key().public_key()], deep: false, must_hold: &[] };
    assert_eq!(ledger.start_up_check(&input).unwrap(), Health::Ok);
    ledger.unlock(key()).unwrap();
    if most > 0 {
        let limit = |most| Rlimit { current: Some(most), maximum: Some(most) };
        setrlimit(Resource::Core, limit(0)).unwrap();
        setrlimit(Resource::Fsize, limit(most)).unwrap();
    }
    let mut rng = Rng::with_seed(seed);
    let mut out = std::io::stdout().lock();
    loop {
        let (head, last) = (ledger.head().unwrap(), ledger.latest().unwrap().map_or(0, |event| event.seq_no));
        let events = events(&mut rng, last);
        match ledger.commit(head, &events) {
            Ok(head) => writeln!(out, "\nacknowledged {} {}", last + events.len() as u64, hex::encode(head)).unwrap(),
            Err(error) => {
                let fault = error.fault;
                assert_eq!(fault.rule, Rule::DiskFault, "{fault}");
                assert!(ledger.is_poisoned(), "an I/O error without latch: {fault}");
                for _ in 0..2 {
                    let again = ledger.commit(head, &events).expect_err("nothing is tried again");
                    assert!(again.fault.found.contains("an earlier I/O error found"), "{again:?}");
                }
                assert!(ledger.head().is_err() && ledger.latest().is_err(), "reading goes on");
                return writeln!(out, "\nlatched").unwrap();
            }
        }
        // The commit stands; what failed behind it, as a checkpoint, ends the process just as well.
        if ledger.is_poisoned() {
            return writeln!(out, "\nlatched").unwrap();
        }
        out.flush().unwrap();
    }
}

/// What a child came to.
struct End {
    /// Number and hash of the last event that was acknowledged.
    acknowledged: Option<(u64, String)>,
    latched: bool,
    signal: Option<i32>,
}

/// Runs a child on `dir`, and kills it a random while after the `kill_at`-th acknowledgement.
fn run(rng: &mut Rng, dir: &Path, file_bytes: u64, ignores_limit: bool, kill_at: Option<u64>) -> End {
    let program = std::env::current_exe().unwrap();
    let mut command = if ignores_limit { Command::new("sh") } else { Command::new(&program) };
    if ignores_limit {
        // The signal's place in the child: a write beyond the limit is an error and not the end.
        command.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]).arg(&program);
    }
    command.args(["--exact", "child", "--nocapture"]).env(CHILD, format!("{} {file_bytes} {}", rng.u64(..), dir.display()));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
    let (mut end, mut seen) = (End { acknowledged: None, latched: false, signal: None }, 0);
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        end.latched |= line == "latched";
        let Some(acknowledged) = line.strip_prefix("acknowledged ") else { continue };
        let (number, hash) = acknowledged.split_once(' ').unwrap();
        end.acknowledged = Some((number.parse().unwrap(), hash.to_owned()));
        seen += 1;
        if kill_at == Some(seen) {
            std::thread::sleep(Duration::from_micros(rng.u64(..3_000)));
            // What it prints until it is dead is read to the end.
            child.kill().unwrap();
        }
    }
    end.signal = child.wait().unwrap().signal();
    end
}

/// The ledger opens at once, its chain is whole, and it holds what was acknowledged and at most one commit more.
fn holds(dir: &Path, before: u64, end: &End, what: &str) -> u64 {
    let ledger = Ledger::open(dir).unwrap_or_else(|fault| panic!("{what}: {fault}"));
    let keys = [key().public_key()];
    let health = ledger.start_up_check(&CheckInput { ledger_keys: &keys, deep: true, must_hold: &[] }).unwrap();
    assert_eq!(health, Health::Ok, "{what}");
    let last = ledger.latest().unwrap().map_or(0, |event| event.seq_no);
    let acknowledged = end.acknowledged.as_ref().map_or(before, |(number, _)| *number);
    if let Some((number, hash)) = &end.acknowledged {
        let event =
            ledger.by_seq_no(*number).unwrap().unwrap_or_else(|| panic!("{what}: event {number} was acknowledged and is not there"));
        assert_eq!(hex::encode(event.event_hash), *hash, "{what}: event {number}");
    }
    let next_commit = acknowledged + 1 + acknowledged % COMMIT_EVENTS;
    assert!(last == acknowledged || last == next_commit, "{what}: {last} events found; {acknowledged} or {next_commit} expected");
    last
}

fn new_ledger() -> TempDir {
    let dir = memory();
    drop(Ledger::create(dir.path(), &[3; 16], key()).unwrap());
    dir
}

#[test]
fn killed_at_random_moments_every_acknowledged_event_is_there() {
    let (dir, mut rng, mut last, mut more) = (new_ledger(), Rng::with_seed(SEED), 0, 0);
    for kill in 1..=KILLS {
        let kill_at = rng.u64(1..40);
        let end = run(&mut rng, dir.path(), 0, false, Some(kill_at));
        let what = format!("seed {SEED:#x}, kill {kill} after acknowledgement {kill_at}");
        assert_eq!(end.signal, Some(SIGKILL), "{what}");
        assert!(end.acknowledged.is_some(), "{what}: nothing was acknowledged");
        last = holds(dir.path(), last, &end, &what);
        more += u64::from(end.acknowledged.is_some_and(|(number, _)| number < last));
    }
    println!("{last} events after {KILLS} kills from seed {SEED:#x} on; {more} times one commit more than was acknowledged");
}

#[test]
fn disk_that_takes_no_more_latches_and_keeps_what_was_acknowledged() {
    let mut rng = Rng::with_seed(SEED);
    // The log is the first to grow; the database itself grows when the log, at 4 MiB, is copied.
    for (ignores_limit, file_bytes) in [(true, 100_000), (true, 1_000_000), (true, 4_300_000), (false, 100_000), (false, 1_000_000)] {
        let file_bytes = file_bytes + rng.u64(..100_000);
        let what = format!("seed {SEED:#x}, files of {file_bytes} bytes, goes on behind the refused write: {ignores_limit}");
        let dir = new_ledger();
        let end = run(&mut rng, dir.path(), file_bytes, ignores_limit, None);
        let expected = if ignores_limit { (true, None) } else { (false, Some(SIGXFSZ)) };
        assert_eq!((end.latched, end.signal), expected, "{what}");
        let last = holds(dir.path(), 0, &end, &what);
        assert!(last > 0, "{what}: nothing was appended");
        // With room again the ledger goes on.
        let again = run(&mut rng, dir.path(), 0, false, Some(3));
        holds(dir.path(), last, &again, &what);
    }
}

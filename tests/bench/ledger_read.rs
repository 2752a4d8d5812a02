//! Reading and verifying the ledger, beside the raw bounds of the same run: `cargo bench --bench ledger_read -- --events 1000,1000000`.
//!
//! It prints times and judges none. It fails when verifying takes more memory than was promised. docs/performance.md explains the rows.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod probe;

use std::cell::Cell;
use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use ed25519_dalek::{Signature, VerifyingKey, verify_batch};
use probe::flat::Flat;
use probe::git::Git;
use probe::scene::{Kind, make, signer};
use probe::{By, Contender, Options, Spent, Table, alternate, child, mib, peak_bytes, processors, spent};
use rusqlite::Connection;
use tabellion::core::event::{EventSigner as _, signed_message};
use tabellion::ledger::{CheckInput, Effort, Health, Ledger};
use tempfile::TempDir;

/// Most memory that verifying may take, whatever the number of events.
const VERIFYING_BYTES_MAX: u64 = 64 << 20;
/// Signatures of one bare batch.
const BATCH: usize = 1_024;
/// Most events over which signatures are verified one by one, and most random reads.
const SAMPLE: u64 = 16 * BATCH as u64;

fn effort(threads: usize) -> Effort {
    Effort { threads, ..Effort::default() }
}

/// Runs the start-up check and answers with what the named steps took; all of them without a name.
fn check(ledger: &Ledger, threads: usize, deep: bool, steps: &[&str]) -> Spent {
    let input = CheckInput { ledger_keys: &[signer().public_key()], deep, must_hold: &[] };
    let (began, took) = (Cell::new(None), Cell::new(Spent::NOTHING));
    let end = || {
        let now = Spent::so_far();
        began.take().into_iter().for_each(|began| took.set(took.get().plus(&now.since(&began))));
        now
    };
    let health = ledger.start_up_check_observed(&input, &effort(threads), &mut |step| {
        let now = end();
        began.set((steps.is_empty() || steps.contains(&step)).then_some(now));
    });
    end();
    assert_eq!(health.unwrap(), Health::Ok);
    took.get()
}

fn plain(dir: &Path) -> Connection {
    #[allow(clippy::disallowed_methods)] // a raw bound: SQLite without the ledger
    Connection::open(dir.join("ledger.db")).unwrap()
}

fn start_up(ledger: &Ledger, dir: &Path, kind: Kind, events: u64, rounds: usize) {
    let threads = processors().min(8);
    let flat = Flat::write(ledger, events, dir, threads as u64);
    let measured = alternate(
        rounds,
        vec![
            Contender::new("flat file, BLAKE3, 1 thread", events, || flat.scan()),
            Contender::new(format!("flat file, BLAKE3, {threads} threads"), events, || flat.scan_by_all()),
            Contender::timed("chain, 1 thread", events, || check(ledger, 1, false, &["walk events"])),
            Contender::timed(format!("chain, {threads} threads"), events, || check(ledger, threads, false, &["walk events"])),
            Contender::timed("derived tables", events, || check(ledger, 1, false, &["compare tables"])),
            Contender::timed("quick_check", events, || check(ledger, 1, false, &["walk pages"])),
            Contender::timed("whole check, 1 thread", events, || check(ledger, 1, false, &[])),
            Contender::timed(format!("whole check, {threads} threads"), events, || check(ledger, threads, false, &[])),
        ],
    );
    let [flat_one, flat_all, one, all, tables, pages, whole, whole_all] = &measured[..] else { unreachable!() };
    let mut table = Table::new(format!("G5 start-up check, {events} events, {kind:?}"));
    table.row(flat_one, By::Cpu, None, "the bound");
    table.row(flat_all, By::Wall, Some(flat_one), "");
    table.row(one, By::Cpu, Some(flat_one), "at least 0.60, stretch 0.85");
    table.row_published(one, By::Cpu, 290_000.0, "at least 4");
    table.row(all, By::Wall, Some(one), "at least 1.8");
    table.row_published(all, By::Wall, 290_000.0, "at least 8");
    table.row(tables, By::Cpu, None, "beside the chain");
    table.row(pages, By::Cpu, None, "SQLite's own, beside the chain");
    table.row_published(whole, By::Cpu, 290_000.0, "");
    table.row_published(whole_all, By::Wall, 290_000.0, "");
    table.print();
}

/// The first signatures of the ledger, ready to be verified by nothing but dalek.
struct Bare {
    messages: Vec<Vec<u8>>,
    signatures: Vec<Signature>,
    key: VerifyingKey,
}

impl Bare {
    fn of(ledger: &Ledger, most: u64) -> Bare {
        let mut bare =
            Bare { messages: Vec::new(), signatures: Vec::new(), key: VerifyingKey::from_bytes(&signer().public_key()).unwrap() };
        ledger
            .for_each_row(1, |row| {
                if row.seq_no <= most {
                    bare.messages.push(signed_message(row.event_hash));
                    bare.signatures.push(Signature::from_bytes(row.signature));
                }
                Ok(())
            })
            .unwrap();
        bare
    }

    fn batch(&self, at: usize) {
        let (messages, signatures) = (self.messages.chunks(BATCH).nth(at).unwrap(), self.signatures.chunks(BATCH).nth(at).unwrap());
        let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
        verify_batch(&messages, signatures, &vec![self.key; messages.len()]).unwrap();
    }

    fn batches(&self, threads: usize) {
        let (next, count) = (AtomicUsize::new(0), self.messages.len().div_ceil(BATCH));
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(at) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&at| at < count) {
                        self.batch(at);
                    }
                });
            }
        });
    }

    fn strictly(&self, most: usize) {
        for (message, signature) in self.messages.iter().zip(&self.signatures).take(most) {
            self.key.verify_strict(message, signature).unwrap();
        }
    }
}

fn audit(ledger: &Ledger, events: u64, rounds: usize, git: &Result<Git, String>) {
    let threads = processors().min(8);
    let bare = Bare::of(ledger, SAMPLE);
    let (units, strict) = (events.min(SAMPLE), events.min(BATCH as u64));
    let mut contenders = vec![
        Contender::new("bare batches, 1 thread", units, || bare.batches(1)),
        Contender::new(format!("bare batches, {threads} threads"), units, || bare.batches(threads)),
        Contender::new("verify_strict, 1 thread", strict, || bare.strictly(strict as usize)),
        Contender::timed("audit, 1 thread", events, || check(ledger, 1, true, &["walk events"])),
        Contender::timed(format!("audit, {threads} threads"), events, || check(ledger, threads, true, &["walk events"])),
    ];
    if let Ok(git) = git {
        contenders.push(Contender::new("git verify-commit, one call", git.commits(), || git.verify()));
    }
    let measured = alternate(rounds, contenders);
    let (bound, bound_all, one, all) = (&measured[0], &measured[1], &measured[3], &measured[4]);
    let mut table = Table::new(format!("G6 audit of every signature, {events} events"));
    table.row(bound, By::Cpu, None, "the bound");
    table.row(bound_all, By::Wall, Some(bound), "");
    table.row(&measured[2], By::Cpu, Some(bound), "");
    table.row(one, By::Cpu, Some(bound), "at least 0.90");
    table.row(all, By::Wall, Some(bound_all), "at least 0.90");
    match (git, measured.get(5)) {
        (Ok(_), Some(commits)) => {
            table.row(commits, By::Wall, None, "");
            table.row(one, By::Wall, Some(commits), "at least 900");
            table.row(all, By::Wall, Some(commits), "");
        }
        (Err(reason), _) => table.note("git verify-commit", &format!("left out: {reason}"), "at least 900"),
        _ => {}
    }
    table.print();
}

const COLUMNS: &str = "SELECT seq_no, event_id, timestamp, event_type, payload, payload_ref, prev_event_hash, event_hash, signature,
  public_key_id, writer_epoch FROM events";

fn touch(row: &rusqlite::Row<'_>) {
    for column in 0..11 {
        black_box(row.get_ref(column).unwrap());
    }
}

fn reading(ledger: &Ledger, dir: &Path, events: u64, rounds: usize) {
    let db = plain(dir);
    let numbers: Vec<u64> = (0..events.min(SAMPLE)).map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15) % events + 1).collect();
    let walk = || {
        let mut statement = db.prepare_cached(&format!("{COLUMNS} ORDER BY seq_no")).unwrap();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            touch(row);
        }
    };
    let pick = || {
        let mut statement = db.prepare_cached(&format!("{COLUMNS} WHERE seq_no = ?1")).unwrap();
        for number in &numbers {
            let mut rows = statement.query([*number as i64]).unwrap();
            touch(rows.next().unwrap().unwrap());
        }
    };
    let pick_in_one = || {
        let state = db.unchecked_transaction().unwrap();
        pick();
        drop(state);
    };
    let measured = alternate(
        rounds,
        vec![
            Contender::new("SQLite alone, all columns", events, walk),
            Contender::new("for_each_row, borrowed", events, || {
                let seen = ledger.for_each_row(1, |row| {
                    black_box(row);
                    Ok(())
                });
                seen.unwrap();
            }),
            Contender::new("for_each, owned", events, || {
                let seen = ledger.for_each(1, |event| {
                    black_box(event);
                    Ok(())
                });
                seen.unwrap();
            }),
            Contender::new("SQLite alone, by number", numbers.len() as u64, pick),
            Contender::new("by_seq_no, at random", numbers.len() as u64, || {
                numbers.iter().for_each(|&number| drop(black_box(ledger.by_seq_no(number).unwrap().unwrap())));
            }),
            Contender::new("SQLite alone, by number, one state", numbers.len() as u64, pick_in_one),
            Contender::new("for_each_of, at random, one state", numbers.len() as u64, || {
                let seen = ledger.for_each_of(numbers.iter().copied(), |row| {
                    black_box(row.unwrap());
                    Ok(())
                });
                seen.unwrap();
            }),
        ],
    );
    let [columns, borrowed, owned, picked, random, picked_in_one, in_one] = &measured[..] else { unreachable!() };
    let mut table = Table::new(format!("G8 reading, {events} events"));
    table.row(columns, By::Cpu, None, "the bound");
    table.row(borrowed, By::Cpu, Some(columns), "");
    table.row_published(borrowed, By::Cpu, 150_000.0, "at least 19");
    table.row(owned, By::Cpu, Some(columns), "");
    table.row_published(owned, By::Cpu, 150_000.0, "");
    table.row(picked, By::Cpu, None, "the bound");
    table.row(random, By::Cpu, Some(picked), "");
    table.row_published(random, By::Cpu, 100_000.0, "at least 4");
    table.row(picked_in_one, By::Cpu, None, "the bound");
    table.row(in_one, By::Cpu, Some(picked_in_one), "");
    table.row_published(in_one, By::Cpu, 100_000.0, "at least 4");
    table.print();
}

/// The published workload: 5,000 events verified in 17 ms, read in 33 ms.
fn published(rounds: usize) {
    let dir = TempDir::new().unwrap();
    let ledger = make(dir.path(), Kind::Plain, 5_000);
    let seconds = |spent: f64| format!("{:.2} ms", 1e3 * spent);
    let measured = alternate(
        rounds.max(9),
        vec![
            Contender::timed("verified", 5_000, || check(&ledger, 1, false, &["walk events"])),
            Contender::timed("verified, whole start-up check", 5_000, || check(&ledger, 1, false, &[])),
            Contender::new("opened, verified, closed", 5_000, || {
                let ledger = Ledger::open_read_only(dir.path()).unwrap();
                check(&ledger, 1, false, &[]);
            }),
            Contender::new("read", 5_000, || {
                let mut kept = Vec::with_capacity(5_000);
                let seen = ledger.for_each(1, |event| {
                    kept.push(event);
                    Ok(())
                });
                seen.unwrap();
                black_box(kept);
            }),
        ],
    );
    let mut table = Table::new("G8 5,000 events: 17 ms to verify, 33 ms to read, published");
    for (measured, milliseconds) in measured.iter().zip([17.0, 17.0, 17.0, 33.0]) {
        table.row_published(measured, By::Cpu, 5_000.0 / (milliseconds / 1e3), &seconds(5_000.0 / measured.rate(By::Cpu)));
    }
    table.print();
}

/// What a process of its own takes to open a ledger and verify it.
fn verify_in_child(dir: &str, deep: bool) {
    let ledger = Ledger::open_read_only(Path::new(dir)).unwrap();
    let (spent, _) = spent(|| check(&ledger, processors().min(8), deep, &[]));
    println!("{} {}", peak_bytes(), spent.wall.as_millis());
}

fn memory(dir: &Path, events: u64, table: &mut Table) {
    for (deep, name) in [(false, "start-up check"), (true, "audit of every signature")] {
        let answer = child(&["verify", dir.to_str().unwrap(), if deep { "deep" } else { "shallow" }]);
        let peak: u64 = answer.split(' ').next().and_then(|bytes| bytes.parse().ok()).expect("a number of bytes");
        table.note(&format!("{name}, {events} events"), &mib(peak), &format!("at most {}", mib(VERIFYING_BYTES_MAX)));
        // Memory may be judged, unlike time: it does not depend on what else the machine does.
        assert!(peak <= VERIFYING_BYTES_MAX, "{name} of {events} events took {}", mib(peak));
    }
}

fn main() {
    let options = Options::read(&[1_000, 10_000, 50_000]);
    if let Some(arguments) = &options.child {
        return verify_in_child(&arguments[1], arguments[2] == "deep");
    }
    let git = Git::make();
    published(options.rounds);
    let mut peaks = Table::new("G12 memory at its highest, in a process of its own");
    for &events in &options.events {
        for kind in [Kind::Plain, Kind::Sessions] {
            let dir = TempDir::new().unwrap();
            drop(make(dir.path(), kind, events));
            let ledger = Ledger::open_read_only(dir.path()).unwrap();
            start_up(&ledger, dir.path(), kind, events, options.rounds);
            if kind == Kind::Plain {
                audit(&ledger, events, options.rounds, &git);
                reading(&ledger, dir.path(), events, options.rounds);
                memory(dir.path(), events, &mut peaks);
            }
        }
    }
    peaks.print();
}

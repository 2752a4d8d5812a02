//! What the front door costs: requests in this process and over its socket, reads joined, one client and sixteen, each beside the ledger asked
//! directly in the same run (`docs/performance.md`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "probe/mod.rs"]
mod probe;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use probe::scene::{Kind, make, signer};
use probe::{By, Contender, Measured, Options, Table, alternate, load};
use tabellion::broker::follow::Remote;
use tabellion::broker::serve::Server;
use tabellion::broker::socket::{Connected, connect};
use tabellion::broker::{Answer, Append, Asker, Broker, Door, LedgerError, NewEvent, Patience, Read, Why};
use tabellion::clock::monotonic_us;
use tabellion::core::event::{EventSigner as _, EventType};
use tabellion::ledger::{CheckInput, Ledger};

const LEDGER: &str = "bench.example/common/~bench";
/// Both are multiples of the number of clients.
const READS: u64 = 4_000;
const WRITES: u64 = 208;
const CLIENTS: u64 = 16;

fn patience() -> Patience {
    Patience { until_us: monotonic_us() + 60_000_000, gone: Arc::new(AtomicBool::new(false)) }
}

fn remote(dir: &Path) -> Remote {
    let Ok(Connected::To(channel)) = connect(dir) else { panic!("nobody answers in {}", dir.display()) };
    Remote::greet(channel, LEDGER, "bench", monotonic_us() + 10_000_000).unwrap_or_else(|_| panic!("turned away"))
}

fn id() -> [u8; 16] {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    (u128::from(NEXT.fetch_add(1, Ordering::SeqCst)) << 32 | u128::from(std::process::id())).to_be_bytes()
}

fn asker() -> Asker {
    Asker { uid: rustix::process::getuid().as_raw(), pid: std::process::id(), program: "bench".into() }
}

/// A number that was not asked for a moment ago: nothing kept is measured.
fn number(at: u64, events: u64) -> u64 {
    at.wrapping_mul(0x9E37_79B9_7F4A_7C15) % events + 1
}

fn read(door: &dyn Door, seq_no: u64) {
    let answer = door.read(&asker(), &id(), &Read::Event { seq_no }, &patience()).unwrap_or_else(|error| panic!("{error}"));
    assert!(matches!(answer, Answer::Event(Some(event)) if event.seq_no == seq_no));
}

/// No two are alike: of two that are, the second would be answered and not written.
fn notice(event_id: String) -> NewEvent {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NewEvent {
        event_id,
        timestamp: NEXT.fetch_add(1, Ordering::SeqCst),
        event_type: EventType::Notice,
        payload: probe::scene::plain_event(0).payload,
    }
}

/// The id behind the last one.
fn next_id(last: &str) -> String {
    let (session, index) = last.split_once('/').unwrap();
    format!("{session}/{}", index.parse::<u64>().unwrap() + 1)
}

/// Appends one notice behind whatever is last, as often as others come first.
fn write(door: &dyn Door) {
    loop {
        let Ok(Answer::Event(Some(last))) = door.read(&asker(), &id(), &Read::Latest, &patience()) else { panic!("a last event") };
        let append = Append {
            expected_head: Some(last.event_hash),
            bring: Vec::new(),
            events: vec![notice(next_id(&last.event_id))],
            head_file: None,
            idempotency_key: None,
        };
        match door.append(&asker(), &id(), append, &patience()) {
            Ok(_) => return,
            Err(LedgerError { why: Why::HeadUnexpected, .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Does `each` so many times in all, from so many threads, each with a door of its own.
fn by_many(clients: u64, times: u64, open: &(dyn Fn() -> Box<dyn Door> + Sync), each: &(dyn Fn(&dyn Door, u64) + Sync)) {
    std::thread::scope(|scope| {
        for client in 0..clients {
            scope.spawn(move || {
                let door = open();
                (0..times / clients).for_each(|at| each(door.as_ref(), client * times + at));
            });
        }
    });
}

fn table(title: &str, measured: &[Measured]) {
    let mut table = Table::new(title);
    let (bound, rest) = measured.split_first().unwrap();
    table.row(bound, By::Wall, None, "the bound");
    rest.iter().for_each(|one| table.row(one, By::Wall, Some(bound), ""));
    for one in rest {
        let beyond = one.rounds.iter().map(|spent| spent.wall.as_secs_f64()).sum::<f64>() / (one.rounds.len() as f64 * one.units as f64)
            - bound.rounds.iter().map(|spent| spent.wall.as_secs_f64()).sum::<f64>() / (bound.rounds.len() as f64 * bound.units as f64);
        table.note(&format!("{}, beyond direct", one.name), &format!("{:.1} µs", beyond * 1e6), "");
    }
    table.note("load", &load(), "");
    table.print();
}

fn reads(dir: &Path, broker: &Broker, events: u64, rounds: usize) {
    let direct = Ledger::open_read_only(dir).unwrap();
    let (mine, followed) = (broker.clone(), remote(dir));
    let mut next = 0;
    let fresh = move || {
        next += 1;
        number(next, events)
    };
    let (mut a, mut b, mut c) = (fresh, fresh, fresh);
    let door = |broker: &Broker| -> Box<dyn Door> { Box::new(broker.clone()) };
    let measured = alternate(
        rounds,
        vec![
            Contender::new("Ledger, direct", READS, || (0..READS).for_each(|_| drop(direct.by_seq_no(a()).unwrap()))),
            Contender::new("Broker, 1 client", READS, || (0..READS).for_each(|_| read(&mine, b()))),
            Contender::new("over the socket, 1 client", READS, || (0..READS).for_each(|_| read(&followed, c()))),
            Contender::new("Broker, 16 clients", READS, || {
                by_many(CLIENTS, READS, &|| door(&mine), &|door, at| read(door, number(at, events)));
            }),
            Contender::new("over the socket, 16 clients", READS, || {
                by_many(CLIENTS, READS, &|| Box::new(remote(dir)), &|door, at| read(door, number(at, events)));
            }),
            Contender::new("Broker, 16 clients ask the same", READS, || {
                by_many(CLIENTS, READS, &|| door(&mine), &|door, at| read(door, number(at % READS / CLIENTS, events)));
            }),
        ],
    );
    table(&format!("one event by its number, {events} events"), &measured);
    let counts = broker.counts();
    println!("of {} reads {} were joined and {} answered with what was kept", counts.reads, counts.joined, counts.kept);
}

fn writes(dir: &Path, broker: &Broker, rounds: usize) {
    let elsewhere = tempfile::tempdir().unwrap();
    let mut direct = make(elsewhere.path(), Kind::Plain, 1_000);
    let (mine, followed) = (broker.clone(), remote(dir));
    let measured = alternate(
        rounds,
        vec![
            Contender::new("Ledger, direct", WRITES, || {
                for _ in 0..WRITES {
                    let id = next_id(&direct.latest().unwrap().unwrap().event_id);
                    direct.append(notice(id)).unwrap();
                }
            }),
            Contender::new("Broker, 1 client", WRITES, || (0..WRITES).for_each(|_| write(&mine))),
            Contender::new("over the socket, 1 client", WRITES, || (0..WRITES).for_each(|_| write(&followed))),
            Contender::new("Broker, 16 clients", WRITES, || {
                by_many(CLIENTS, WRITES, &|| Box::new(mine.clone()), &|door, _| write(door));
            }),
            Contender::new("over the socket, 16 clients", WRITES, || {
                by_many(CLIENTS, WRITES, &|| Box::new(remote(dir)), &|door, _| write(door));
            }),
        ],
    );
    table("one notice a durable commit, behind the head that was read", &measured);
}

fn main() {
    let options = Options::read(&[1_000, 10_000]);
    for &events in &options.events {
        let dir = tempfile::tempdir().unwrap();
        drop(make(dir.path(), Kind::Plain, events));
        let broker = Broker::open(dir.path()).unwrap();
        let keys = [signer().public_key()];
        broker.start_up_check(&CheckInput { ledger_keys: &keys, deep: false, must_hold: &[] }).unwrap().into_checked().unwrap();
        broker.unlock(signer(), false).unwrap();
        broker.guard(events, Box::new(|_, _| Ok(())));
        let server = Server::open(dir.path(), LEDGER, Arc::new(broker.clone())).unwrap();
        reads(dir.path(), &broker, events, options.rounds);
        writes(dir.path(), &broker, options.rounds);
        drop(server);
    }
}

//! Reading and verifying the ledger, beside the raw bounds of the same run: `cargo bench --bench ledger_read -- --events 1000,1000000`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod probe;

use std::hint::black_box;

use probe::scene::{Kind, make, signer};
use probe::{By, Contender, Options, Table, alternate};
use tabellion::core::event::EventSigner as _;
use tabellion::ledger::{CheckInput, Health, Ledger};
use tempfile::TempDir;

fn check(ledger: &Ledger) {
    let health = ledger.start_up_check(&CheckInput { ledger_keys: &[signer().public_key()], deep: false, must_hold: &[] });
    assert_eq!(health.unwrap(), Health::Ok);
}

fn main() {
    let options = Options::read(&[1_000, 10_000]);
    for &events in &options.events {
        let dir = TempDir::new().unwrap();
        let ledger = make(dir.path(), Kind::Plain, events);
        let measured = alternate(
            options.rounds,
            vec![
                Contender::new("start-up check", events, || check(&ledger)),
                Contender::new("iterate", events, || {
                    let seen = ledger.for_each(1, |event| {
                        black_box(event);
                        Ok(())
                    });
                    seen.unwrap();
                }),
            ],
        );
        let mut table = Table::new(format!("{events} events"));
        table.row_published(&measured[0], By::Cpu, 290_000.0, "");
        table.row_published(&measured[1], By::Cpu, 150_000.0, "");
        table.print();
    }
}

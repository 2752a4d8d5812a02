//! A desk of many numbers, to see what it takes to attend to one: `cargo run --release --locked --example many -- DIR NUMBERS`.
//!
//! Makes `DIR/witness`, whose head has that number or a higher one, and prints the head; and the bundle `DIR/next`, with a paper for the number behind it. Each number is an event of its
//! book. The passphrase is `test`. The same in every run of one build.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

use std::path::PathBuf;

use support::{Notary, Paper, policy_toml};
use tabellion::core::proposal::Expect;
use tabellion::run::words;

/// Papers of a session: few enough for one bundle.
const PAPERS: u64 = 10_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().expect("usage: many DIR NUMBERS"));
    let wanted: u64 = arguments.next().and_then(|number| number.parse().ok()).expect("usage: many DIR NUMBERS");
    let notary = Notary::found(&dir.join("witness"), &policy_toml(PAPERS));
    let mut head = notary.head();
    while head.number < wanted {
        let paper = |at: u64| {
            let at = head.number + at;
            Paper::new("alice", at, head).put(&format!("open/n{at}"), b"the same in many\n", Expect::Absent)
        };
        let papers: Vec<Paper> = (1..=PAPERS).map(paper).collect();
        head = notary.judge(&dir.join("stick"), &papers).heads.1;
    }
    let next = Paper::new("bob", 1, head).put("open/next", b"one more\n", Expect::Absent);
    support::write(&dir.join("next"), &support::bundle(&[next.envelope()], &next.contents));
    println!("{}", words::head(&head));
}

//! A desk of exactly 300 numbers, for verifiers that are not ours: `cargo run --release --locked --example log300 -- DIR`.
//!
//! Makes `DIR/witness`, the desk, and `DIR/stick`: `tabellion/common`, `tabellion/results`, and in `state-proofs/` proofs of presence and
//! absence for the state of the head, and in `fork-proofs/` one proof of each kind, made by two copies of the desk that went on apart. Sessions end at [`HEADS`], so that there are partial tiles, full ones, and the boundary of 256 with one
//! head on either side; with refused, pending and deferred papers, objects, removed entries and a new policy. The same in every run of one
//! build: the digest of the program stands in the ledger.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use support::{MEMBERS, Notary, Paper, bundle, policy_toml, write};
use tabellion::core::cbor::Canonical as _;
use tabellion::core::ids::{Hash, Name};
use tabellion::core::proposal::{Expect, Operation};
use tabellion::core::publish;
use tabellion::run::compare::{Comparison, compare};
use tabellion::run::session;

/// The head after the founding and after each session. The session at 257 is followed by one that accepts nothing.
const HEADS: &[u64] = &[1, 2, 60, 255, 256, 257, 257, 299, 300];
const MEMBERS_QUOTA: u64 = 1_000;

/// The papers of a session that takes the head from `before` to `after`, and who waits or is refused beside them.
fn papers(notary: &Notary, session: u64, before: u64, after: u64, last: u64) -> Vec<Paper> {
    let head = notary.head();
    let mut out = Vec::new();
    for number in before + 1..=after {
        let author = MEMBERS[(number % 6) as usize];
        // Dave's quota is two a session: his turns are erin's.
        let author = if author == "dave" { "erin" } else { author };
        let paper = Paper::new(author, number, head);
        let content = format!("content of number {number}\n").repeat(number as usize % 40 + 1).into_bytes();
        out.push(match number % 10 {
            // The last number sets a policy: governors of the old and of the new one sign.
            _ if number == last => {
                let policy = Box::new(support::policy(&policy_toml(MEMBERS_QUOTA + 1)));
                Paper::new("alice", number, head).with(Operation::SetPolicy { expect: None, policy }).signed_by(&["bob", "carol"])
            }
            1 => paper.put(&format!("safe/n{number}"), &content, Expect::Absent).signed_by(&["alice.2", "bob", "dave"]),
            4 if before >= 60 && (number - before) / 10 < 4 => {
                paper.remove(&format!("open/n{}", (before / 10 - 1 - (number - before) / 10) * 10 + 5), None)
            }
            7 => Paper::new("bob", number, head).put(&format!("docs/n{number}"), &content, Expect::Anything).signed_by(&["carol"]),
            8 => paper.put_without(&format!("refs/n{number}"), &content, content.len() as u64, Expect::Absent),
            9 => {
                let more = format!("open/more/n{number}");
                paper.put(&more, &content, Expect::Absent).put(&format!("open/n{number}"), b"the same in many\n", Expect::Absent)
            }
            _ => paper.put(&format!("open/n{number}"), &content[..content.len().min(1_000)], Expect::Absent),
        });
    }
    let sequence = 10_000 * session;
    let nothing = Hash([session as u8; 32]);
    out.push(Paper::new("frank", sequence, head).put("none/here", b"refused", Expect::Absent));
    out.push(Paper::new("frank", sequence + 1, head).put("alice/notes", b"refused", Expect::Absent));
    out.push(Paper::new("erin", sequence, head).put(&format!("docs/waits{session}"), b"for approvals", Expect::Absent));
    out.push(Paper::new("erin", sequence + 1, head).put("open/waits", b"for a paper", Expect::Absent).after(nothing));
    let absent = Paper::new("carol", sequence, head).put_without(&format!("safe/waits{session}"), b"for this", 8, Expect::Absent);
    out.push(absent.signed_by(&["alice", "dave"]));
    out
}

/// Proofs of each kind against the key, by two copies of the desk that went on apart: heads of one number, an answer, and a record.
fn forks(notary: &Notary, dir: &Path, proofs: &Path) -> Vec<String> {
    let head = notary.head();
    let key = notary.desk().books().log_key().expect("a key").clone();
    let sides = ["one", "two"].map(|name| {
        let (copy, at) = (notary.copied_to(&dir.join(name)), dir.join(format!("stick-{name}")));
        let forked = Paper::new("alice", 90_000, head).put("open/forked", name.as_bytes(), Expect::Absent);
        copy.judge(&at.join("first"), &[forked]);
        let refused = Paper::new("bob", 90_000, head).put("open/forked", b"bob's", Expect::Absent);
        let more = Paper::new("carol", 90_000, head).put("open/carols", b"carol's", Expect::Absent);
        let report = copy.judge(&at.join("second"), &if name == "one" { vec![refused.clone()] } else { vec![refused.clone(), more] });
        let (books, session) = (report.desk.books(), report.desk.books().last_session().unwrap().expect("a session"));
        let ruling = session.rulings.iter().find(|ruling| ruling.pid == refused.pid()).expect("an answer");
        write(&at.join("note"), &publish::receipt(books, &session, ruling).expect("a receipt"));
        at
    });
    let places = [("heads", "first/tabellion/common/checkpoint"), ("answers", "note"), ("records", "second/tabellion/common")];
    let made = places.map(|(name, place)| {
        let [a, b] = sides.each_ref().map(|side| side.join(place));
        let Comparison::Fork(proof) = compare(&a, &b, &key).unwrap_or_else(|problem| panic!("{problem}")) else {
            panic!("{name}: two copies that went on apart are one history");
        };
        write(&proofs.join(format!("{name}.proof")), proof.text().as_bytes());
        format!("{name} by {}", proof.claim().word())
    });
    sides.iter().chain([&dir.join("one"), &dir.join("two")]).for_each(|made| std::fs::remove_dir_all(made).expect("removed"));
    made.into()
}

fn main() {
    let dir = PathBuf::from(std::env::args().nth(1).expect("usage: log300 DIR"));
    let (witness, stick) = (dir.join("witness"), dir.join("stick"));
    assert!(!witness.exists() && !stick.exists(), "{} has a witness or stick already", dir.display());
    let notary = Notary::found(&witness, &policy_toml(MEMBERS_QUOTA));
    std::fs::create_dir_all(&stick).expect("the stick's folder");
    let mut verdicts = BTreeMap::new();
    for (at, pair) in HEADS.windows(2).enumerate() {
        let session = at as u64 + 1;
        let papers = papers(&notary, session, pair[0], pair[1], HEADS[HEADS.len() - 1]);
        let envelopes: Vec<Vec<u8>> = papers.iter().map(Paper::envelope).collect();
        let objects: Vec<Vec<u8>> = papers.iter().flat_map(|paper| paper.contents.clone()).collect();
        let inbox = dir.join(format!("inbox-{session}"));
        write(&inbox.join("bundle"), &bundle(&envelopes, &objects));
        let report = notary.session(&[inbox.clone(), stick.clone()], (session != 3).then_some(1_700_000_000 + 86_400 * session));
        assert_eq!(report.heads.1.number, pair[1], "session {session} ends elsewhere");
        let rulings = &report.desk.books().last_session().unwrap().expect("a session").rulings;
        rulings.iter().for_each(|ruling| *verdicts.entry(ruling.verdict.line()).or_insert(0) += 1);
        std::fs::remove_dir_all(&inbox).expect("the inbox removed");
    }
    drop(session::export(&witness, &stick, &mut |_, _| {}).unwrap_or_else(|problem| panic!("{problem}")));

    let desk = notary.desk();
    let (books, proofs) = (desk.books(), stick.join("state-proofs"));
    let state = books.state();
    let present: Vec<Name> = state.entries().map(|(name, _)| name.clone()).step_by(state.entries().count().div_ceil(12)).collect();
    let absent: Vec<Name> = (0..12).map(|n| format!("open/nowhere{n}").parse().expect("a name")).collect();
    for (what, names) in [("present", &present), ("absent", &absent)] {
        for (at, name) in names.iter().enumerate() {
            let proof = state.prove(name);
            proof.verify(&state.root()).expect("a proof of ours holds");
            assert_eq!(proof.entry.is_some(), what == "present");
            write(&proofs.join(format!("{what}-{at:02}.proof")), &proof.to_cbor());
        }
    }
    println!("{} in {} sessions, heads {HEADS:?}", books.head(), books.headings().len());
    println!("fingerprint {}", books.log().root_at(1).unwrap_or_default());
    println!(
        "state {} of {} entries; {} proofs of presence, {} of absence",
        state.root(),
        state.entries().count(),
        present.len(),
        absent.len()
    );
    println!("forks proved: {}", forks(&notary, &dir, &stick.join("fork-proofs")).join(", "));
    println!("{} objects in packs, {} papers held", books.packed().count(), books.held().len());
    verdicts.iter().for_each(|(verdict, number)| println!("{number:6} {verdict}"));
}

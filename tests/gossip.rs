//! Promise 9: our own signature on what a ledger does not have halts it, wherever on a medium it lies; what it does have is no evidence.
#![cfg(feature = "desk")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::{Notary, Paper, policy_toml, room};
use tabellion::core::cbor::{Reader, item_len};
use tabellion::core::proposal::Expect;
use tabellion::core::rules::Rule;

/// Everything the newer desk signed in its second session, as files: name and content.
fn evidence(stick: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let receipts = fs::read(stick.join("tabellion/results/session-000002.receipts")).unwrap();
    let mut out = vec![("checkpoint", fs::read(stick.join("tabellion/common/checkpoint")).unwrap())];
    let mut at = 0;
    while let Some(len) = item_len(&receipts[at..]).unwrap().filter(|_| at < receipts.len()) {
        let mut r = Reader::new(&receipts[at..at + len]);
        r.array_of(2).unwrap();
        r.hash().unwrap();
        let receipt = r.bytes().unwrap();
        out.push((if receipt.starts_with(b"c2sp.org/tlog-proof") { "proof" } else { "note" }, receipt.to_vec()));
        at += len;
    }
    out.push(("receipts", receipts));
    out
}

/// A stick that carries one file, under a name that means nothing, in a folder that means nothing.
fn stick_with(dir: PathBuf, content: &[u8]) -> PathBuf {
    support::write(&dir.join("photos/holiday.jpg"), content);
    dir
}

#[test]
fn our_signature_on_what_the_ledger_lacks_halts_it_and_on_what_it_has_does_not() {
    let room = room();
    let notary = Notary::found(&room.path().join("witness"), &policy_toml(10));
    let base = notary.head();
    notary.judge(&room.path().join("first"), &[Paper::new("alice", 1, base).put("open/a", b"a", Expect::Absent)]);
    let old = notary.copied_to(&room.path().join("old"));
    let stick = room.path().join("second");
    let accepted = Paper::new("alice", 2, base).put("open/b", b"b", Expect::Absent);
    let refused = Paper::new("bob", 1, base).put("open/a", b"other", Expect::Absent);
    drop(notary.judge(&stick, &[accepted, refused]));
    let evidence = evidence(&stick);
    let kinds: Vec<&str> = evidence.iter().map(|(kind, _)| *kind).collect();
    assert!(["checkpoint", "proof", "note", "receipts"].iter().all(|kind| kinds.contains(kind)), "{kinds:?}");

    for (at, (kind, content)) in evidence.iter().enumerate() {
        let desk = old.copied_to(&room.path().join(format!("old-{at}")));
        let stick = stick_with(room.path().join(format!("stick-{at}")), content);
        let problem =
            desk.try_session(std::slice::from_ref(&stick), None).err().unwrap_or_else(|| panic!("{kind} did not halt the old desk"));
        assert_eq!(problem.fault.rule, Rule::HeadElsewhere, "{kind}: {problem}");
        assert!(!stick.join("tabellion").exists(), "{kind}: something was written to the stick");
        let again = desk.try_session(&[room.path().join("empty")], None).err().expect("halted for good");
        assert_eq!(again.fault.rule, Rule::Halted, "{kind}");
        // The desk that did sign it goes on, and one flipped byte makes it nobody's signature.
        notary.try_session(&[stick_with(room.path().join(format!("fine-{at}")), content)], None).expect(kind);
        let mut flipped = content.clone();
        let last = flipped.len() - 10;
        flipped[last] ^= 1;
        let desk = old.copied_to(&room.path().join(format!("calm-{at}")));
        if *kind != "receipts" {
            desk.try_session(&[stick_with(room.path().join(format!("flipped-{at}")), &flipped)], None).expect(kind);
        }
    }
}

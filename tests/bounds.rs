//! Bounds that only a crowd reaches.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use ed25519_dalek::Signer as _;
use support::{MEMBERS, Notary, Paper, memory, policy_toml, room};
use tabellion::core::batch::Batch;
use tabellion::core::cbor::Canonical as _;
use tabellion::core::cose::{Envelope, PaperKind, Signer, sig_structure};
use tabellion::core::holdings::Holdings;
use tabellion::core::proposal::{Expect, Proposal};
use tabellion::core::rules::Rule;
use tabellion::core::verify::Verified;

// 100,000 papers are a session; one more, and nothing of it is judged: a session is never cut off.
#[test]
fn papers_too_many_at_100000_are_judged_and_one_more_stops_the_session() {
    let room = room();
    let desk = Notary::found(&room.path().join("witness"), &policy_toml(3)).desk();
    let books = desk.books();
    let keys = MEMBERS.map(support::secret);
    let of_first = Paper::new(MEMBERS[0], 1, books.head()).put("open/x", b"x", Expect::Absent);
    let paper = |n: u64| {
        let author = (n % 6) as usize;
        let payload = Proposal { author: MEMBERS[author].parse().unwrap(), sequence: n, ..of_first.proposal.clone() }.to_cbor();
        let (kid, secret) = &keys[author];
        let signature = secret.sign(&sig_structure(PaperKind::Proposal, kid, &payload)).to_bytes();
        Envelope { kind: PaperKind::Proposal, payload, signers: vec![Signer { kid: *kid, signature }] }.to_cbor()
    };
    let some = |first: u64| -> Vec<Verified> { (first..=100_001).step_by(2).flat_map(|n| memory::authentic(books, &[paper(n)])).collect() };
    let (mut papers, others) = std::thread::scope(|scope| {
        let others = scope.spawn(|| some(2));
        (some(1), others.join().unwrap())
    });
    papers.extend(others);
    assert_eq!(papers.len(), 100_001);
    let fault = Batch::gather(books, papers.clone(), &Holdings::default()).err().unwrap();
    assert_eq!((fault.rule, fault.found.as_str()), (Rule::PapersTooMany, "100001 papers found, 100000 a session at most"));
    // A paper twice is one paper: 100,000 are left, and all are judged.
    papers[1] = papers[0].clone();
    assert_eq!(Batch::gather(books, papers, &Holdings::default()).unwrap().papers().len(), 100_000);
}

//! A courier cannot harm: whatever copy of a paper she brings before or beside the genuine one, the paper gets the verdict, the number, the
//! operations and the state it would have got if only the genuine one had come, as long as nothing else is accepted in between.
//!
//! Every way to spoil a copy is tried with every sort of paper in every place. What is not promised, because no desk can tell it from an honest
//! courier's doing, stands in `docs/threats.md`: that content which is optional is taken after its paper was accepted without it, that a
//! paper's time begins with its genuine copy, and that a file is read on behind what was broken in it.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use support::{Notary, Paper, also_signed, bundle, policy, policy_toml, room, signed_otherwise, spoilt, tree, write};
use tabellion::core::books::Books;
use tabellion::core::bundle::BundleHeader;
use tabellion::core::cbor::{Canonical as _, Reader, item_len};
use tabellion::core::cose::{Envelope, Signer};
use tabellion::core::ids::{Hash, Pid};
use tabellion::core::proposal::{Expect, Operation};

/// A sort of paper, and what becomes of the genuine one alone, written by hand.
struct Sort {
    what: &'static str,
    paper: Paper,
    becomes: &'static str,
}

fn sorts(notary: &Notary) -> Vec<Sort> {
    let head = notary.head();
    let paper = |author: &str| Paper::new(author, 1, head);
    let content = b"genuine content";
    let size = content.len() as u64;
    let next_policy = Operation::SetPolicy { expect: None, policy: Box::new(policy(&policy_toml(5))) };
    let sort = |what, paper, becomes| Sort { what, paper, becomes };
    let safe = |author: &str| paper(author).put("safe/x", content, Expect::Absent);
    let mut false_size = paper("alice").put_without("safe/x", content, size + 1, Expect::Absent).signed_by(&["bob", "dave"]);
    false_size.contents.push(content.to_vec());
    let mut false_size_optional = paper("alice").put_without("open/x", content, size + 1, Expect::Absent);
    false_size_optional.contents.push(content.to_vec());
    vec![
        sort("content optional", paper("alice").put("open/x", content, Expect::Absent), "accepted"),
        sort(
            "content optional, approvals",
            paper("dave").put("docs/x", content, Expect::Absent).signed_by(&["alice", "carol"]),
            "accepted",
        ),
        sort("content required, approvals", safe("alice").signed_by(&["bob", "dave"]), "accepted"),
        sort("content forbidden", paper("frank").put("refs/x", content, Expect::Absent), "accepted"),
        sort("no content came", paper("frank").put_without("open/x", content, size, Expect::Absent), "accepted"),
        sort("a bound that is just met", safe("erin").signed_by(&["alice", "bob"]).until(head.number + 1), "accepted"),
        sort("a policy", paper("alice").with(next_policy).signed_by(&["carol"]), "accepted"),
        sort("refused", paper("alice").put("open/there", content, Expect::Absent), "refused expectation-failed"),
        sort("refused, approvals", safe("alice").signed_by(&["bob", "dave"]).until(1), "refused lapsed"),
        sort("a false size, content required", false_size, "refused object-fault"),
        sort("a false size, content optional", false_size_optional, "accepted"),
        sort("pending", paper("alice").put("docs/x", content, Expect::Absent), "pending threshold-not-met"),
        sort(
            "deferred",
            paper("alice").put_without("safe/x", content, size, Expect::Absent).signed_by(&["bob", "dave"]),
            "deferred object-missing",
        ),
    ]
}

/// What the courier brings: papers and content, which may stand among genuine ones in a bundle, or a whole file.
enum Copy {
    Items(Vec<Vec<u8>>, Vec<Vec<u8>>),
    File(Vec<u8>),
}

/// The signers of an envelope that `keep` keeps; none when nobody is left or all are.
fn only(envelope: &[u8], keep: impl Fn(&Signer) -> bool) -> Option<Vec<u8>> {
    let mut envelope = Envelope::from_cbor(envelope).unwrap();
    let before = envelope.signers.len();
    envelope.signers.retain(keep);
    (1..before).contains(&envelope.signers.len()).then(|| envelope.to_cbor())
}

fn with_header(header: BundleHeader, envelope: &[u8], objects: &[Vec<u8>]) -> Vec<u8> {
    let whole = bundle(&[envelope.to_vec()], objects);
    let object_bytes = objects.iter().map(|object| object.len() as u64).sum();
    let genuine = BundleHeader { papers: 1, objects: objects.len() as u64, object_bytes }.to_bytes();
    [header.to_bytes(), whole[genuine.len()..].to_vec()].concat()
}

/// Every way to spoil a copy of this paper.
fn spoilings(paper: &Paper) -> Vec<(&'static str, Copy)> {
    let (whole, objects) = (paper.envelope(), paper.contents.clone());
    let author = paper.signers[0].as_str();
    let by_author = support::secret(author).0;
    let items = |envelope: Vec<u8>, objects: &[Vec<u8>]| Copy::Items(vec![envelope], objects.to_vec());
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut objects = objects.clone();
        objects.iter_mut().for_each(change);
        objects
    };
    let crowd = (0..16).fold(whole.clone(), |envelope, n| also_signed(&envelope, &format!("stranger {n}")));
    let mut other_payload = Envelope::from_cbor(&whole).unwrap();
    let middle = other_payload.payload.len() - 3;
    other_payload.payload[middle] ^= 1;
    let header = |papers, count: u64, object_bytes| {
        let header = BundleHeader { papers, objects: objects.len() as u64 + count, object_bytes };
        Copy::File(with_header(header, &whole, &objects))
    };
    let bytes: u64 = objects.iter().map(|object| object.len() as u64).sum();
    let packed = bundle(std::slice::from_ref(&whole), &objects);
    let mut out = vec![
        ("the author's signature spoilt", items(spoilt(&whole, author).unwrap(), &objects)),
        ("a stranger's signature added", items(also_signed(&whole, "mallory"), &objects)),
        ("seventeen signatures and more", items(crowd, &objects)),
        ("another signature by the author", items(signed_otherwise(&whole, author, 1).unwrap(), &objects)),
        ("a bit of the payload changed", items(other_payload.to_cbor(), &objects)),
        ("the envelope cut in the middle", Copy::File(whole[..whole.len() / 2].to_vec())),
        ("the envelope cut at its last byte", Copy::File(whole[..whole.len() - 1].to_vec())),
        ("the bundle cut at its last byte", Copy::File(packed[..packed.len() - 1].to_vec())),
        ("a bundle that says more papers", header(2, 0, bytes)),
        ("a bundle that says no papers", header(0, 0, bytes)),
        ("a bundle that says more objects", header(1, 1, bytes)),
        ("a bundle that says other sizes", header(1, 0, bytes + 1)),
        ("one byte too many behind the bundle", Copy::File([packed.as_slice(), b"x"].concat())),
        ("the same again", items(whole.clone(), &objects)),
    ];
    if !objects.is_empty() {
        out.push(("the content stripped", items(whole.clone(), &[])));
        out.push(("other bytes in the content's place", items(whole.clone(), &changed(&|object| object[0] ^= 1))));
        out.push(("the content longer", items(whole.clone(), &changed(&|object| object.push(b'!')))));
        out.push(("the content shorter", items(whole.clone(), &changed(&|object| object.truncate(object.len() - 1)))));
        out.push(("the content alone", Copy::Items(Vec::new(), objects.clone())));
    }
    if let Some(approver) = paper.signers.get(1) {
        let others = only(&whole, |signer| signer.kid != by_author).unwrap();
        let alone = only(&whole, |signer| signer.kid == by_author).unwrap();
        out.push(("an approver's signature spoilt", items(spoilt(&whole, approver).unwrap(), &objects)));
        out.push(("another signature by an approver", items(signed_otherwise(&whole, approver, 2).unwrap(), &objects)));
        out.push(("the approvals without the author", items(others, &objects)));
        out.push(("the approvals removed", items(alone.clone(), &objects)));
        out.push(("the approvals and the content removed", items(alone, &[])));
        out.push(("one approval removed", items(only(&whole, |signer| signer.kid != support::secret(approver).0).unwrap(), &objects)));
    }
    out
}

/// Where the courier puts the copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    EarlierSession,
    EarlierMedium,
    LaterMedium,
    EarlierInTheBundle,
    LaterInTheBundle,
}

const PLACES: [Place; 5] =
    [Place::EarlierSession, Place::EarlierMedium, Place::LaterMedium, Place::EarlierInTheBundle, Place::LaterInTheBundle];

/// All that is compared.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    verdict: String,
    detail: String,
    number: Option<u64>,
    operations: Vec<u8>,
    head: u64,
    state_root: Hash,
    entries: Vec<String>,
    waits: Vec<Pid>,
    policy: Hash,
    receipt: String,
}

/// The receipts on a medium for a paper, by their first words.
fn receipt_on(medium: &Path, pid: &Pid) -> String {
    let mut kinds = Vec::new();
    for (_, bytes) in tree(&medium.join("tabellion/results")).into_iter().filter(|(path, _)| path.ends_with(".receipts")) {
        let mut at = 0;
        while let Some(len) = item_len(&bytes[at..]).unwrap().filter(|_| at < bytes.len()) {
            let mut r = Reader::new(&bytes[at..at + len]);
            r.array_of(2).unwrap();
            if r.hash().unwrap() == *pid {
                let text = String::from_utf8(r.bytes().unwrap().to_vec()).unwrap();
                let verdict = text.lines().find(|line| line.starts_with("verdict ") || line.starts_with("notice "));
                kinds.push(verdict.or(text.lines().next()).unwrap().to_owned());
            }
            at += len;
        }
    }
    kinds.dedup();
    kinds.join(", ")
}

fn outcome(books: &Books, paper: &Paper, medium: &Path) -> Outcome {
    let pid = paper.pid();
    let last = || books.last_session().unwrap().unwrap().rulings.iter().find(|ruling| ruling.pid == pid).unwrap().clone();
    let ruling = books.answered(&pid).unwrap().map_or_else(last, |answered| answered.ruling().clone());
    Outcome {
        verdict: ruling.verdict.line(),
        detail: ruling.verdict.detail().to_owned(),
        number: ruling.record.as_ref().map(|record| record.number),
        operations: ruling.envelope.payload.clone(),
        head: books.head().number,
        state_root: books.state().root(),
        entries: books.state().entries().map(|(name, entry)| format!("{name} {entry:?}")).collect(),
        waits: books.held().keys().copied().collect(),
        policy: books.policy().unwrap().hash(),
        receipt: receipt_on(medium, &pid),
    }
}

fn write_copy(medium: &Path, copy: &Copy) -> PathBuf {
    match copy {
        Copy::Items(envelopes, objects) => write(&medium.join("courier"), &bundle(envelopes, objects)),
        Copy::File(bytes) => write(&medium.join("courier"), bytes),
    }
    medium.to_owned()
}

/// Brings the genuine paper, and the copy where the courier puts it; answers with what became of the paper.
fn brought(start: &Notary, room: &Path, paper: &Paper, courier: Option<(&Copy, Place)>) -> Outcome {
    let notary = start.copied_to(&room.join("witness"));
    let (genuine, other) = (room.join("genuine"), room.join("other"));
    let mut items = (vec![paper.envelope()], paper.contents.clone());
    let mut media = vec![genuine.clone()];
    match courier {
        None => {}
        Some((copy, Place::EarlierSession)) => drop(notary.session(&[write_copy(&other, copy)], None)),
        Some((copy, Place::EarlierMedium)) => media.insert(0, write_copy(&other, copy)),
        Some((copy, Place::LaterMedium)) => media.push(write_copy(&other, copy)),
        Some((Copy::Items(envelopes, objects), place)) => {
            let at = if place == Place::EarlierInTheBundle { 0 } else { items.0.len() };
            items.0.splice(at..at, envelopes.iter().cloned());
            items.1.extend_from_slice(objects);
        }
        Some((Copy::File(_), place)) => panic!("{place:?}: a file is no item of a bundle"),
    }
    write(&genuine.join("genuine"), &bundle(&items.0, &items.1));
    let report = notary.session(&media, None);
    outcome(report.desk.books(), paper, &genuine)
}

/// A desk where `open/there` is taken.
fn start(room: &Path) -> Notary {
    let notary = Notary::found(&room.join("witness"), &policy_toml(3));
    let there = Paper::new("bob", 1, notary.head()).put("open/there", b"there", Expect::Absent);
    assert_eq!(notary.judge(&room.join("first"), &[there]).heads.1.number, 2);
    notary
}

#[test]
fn no_copy_changes_what_becomes_of_the_genuine_paper() {
    let room = room();
    let start = start(room.path());
    let mut cases = Vec::new();
    let sorts = sorts(&start);
    let mut controls = BTreeMap::new();
    for sort in &sorts {
        let control = brought(&start, &room.path().join(sort.what), &sort.paper, None);
        assert_eq!(control.verdict, sort.becomes, "{}, alone", sort.what);
        assert_eq!(control.number, (sort.becomes == "accepted").then_some(3), "{}", sort.what);
        controls.insert(sort.what, control);
        for (spoiling, copy) in spoilings(&sort.paper) {
            cases.push((sort, spoiling, copy));
        }
    }
    let half = |first: usize| {
        let (mut tried, mut wrong) = (0, Vec::new());
        for (at, (sort, spoiling, copy)) in cases.iter().enumerate().filter(|(at, _)| at % 2 == first) {
            let in_a_bundle = |place: &Place| matches!(place, Place::EarlierInTheBundle | Place::LaterInTheBundle);
            for place in PLACES.into_iter().filter(|place| matches!(copy, Copy::Items(..)) || !in_a_bundle(place)) {
                let room = room.path().join(format!("{at} {place:?}"));
                let found = brought(&start, &room, &sort.paper, Some((copy, place)));
                if found != controls[sort.what] {
                    wrong.push(format!("{} | {spoiling} | {place:?}\n  alone {:?}\n  found {found:?}", sort.what, controls[sort.what]));
                }
                std::fs::remove_dir_all(&room).unwrap();
                tried += 1;
            }
        }
        (tried, wrong)
    };
    let ((tried, mut wrong), other) = std::thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        (half(0), other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    wrong.extend(other.1);
    println!("{} sorts of papers, {} copies, {} runs compared", sorts.len(), cases.len(), tried + other.0);
    assert!(wrong.is_empty(), "{} runs differ:\n{}", wrong.len(), wrong.join("\n"));
}

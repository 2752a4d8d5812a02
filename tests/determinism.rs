//! Promise 3: same ledger head, same papers, same objects, same time claim: same bytes.
//!
//! Random sets of papers are brought to copies of one desk: under other names, in other folders, split over other bundles, in other orders, on
//! one medium to three, and with what a courier can add beside them. What is published must be the same to the last byte. Each set has papers that
//! collide, that depend on each other and that lack approvals. A failure names the seed of its set. `TABELLION_SETS` sets another number of
//! sets; `.ci/run` takes 320.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fastrand::Rng;
use support::{MEMBERS, Notary, Paper, also_signed, bundle, policy_toml, room, signed_otherwise, spoilt, tree, write};
use tabellion::core::cose::Envelope;
use tabellion::core::ids::{Hash, Head, Pid};
use tabellion::core::proposal::{Expect, Operation};

/// Seed of the first set; the others follow.
const SEED: u64 = 0x7ABE_1110;
/// Random sets that are compared.
const SETS: u64 = 40;
/// Ways each set is brought beside the first.
const VARIANTS: usize = 2;
/// Papers made for a set, or a few more; at least 50 of them are judged.
const PAPERS: usize = 54;
const TIME: Option<u64> = Some(1_760_000_000);
/// Published paths and their bytes.
type Published = BTreeMap<String, Vec<u8>>;

/// A desk to start from, and what is in it.
struct Start {
    notary: Notary,
    heads: Vec<Head>,
    /// Papers it holds or has decided.
    known: Vec<Paper>,
}

/// What is brought: every envelope and object, as each of the ways must bring it.
struct Set {
    papers: usize,
    envelopes: Vec<Vec<u8>>,
    objects: Vec<Vec<u8>>,
}

/// One desk that was just founded, and one with entries and papers that wait: for approvals, an object, another paper.
fn starts(room: &Path) -> Vec<Start> {
    let notary = Notary::found(&room.join("new"), &policy_toml(3));
    let first = notary.head();
    let used = notary.copied_to(&room.join("used"));
    let known = vec![
        Paper::new("alice", 1, first).put("open/a", b"content 1", Expect::Absent),
        Paper::new("bob", 1, first).put("docs/guide", b"content 2", Expect::Absent).signed_by(&["alice"]),
        Paper::new("carol", 1, first).put("safe/box/one", b"content 3", Expect::Absent).signed_by(&["alice", "erin"]),
        Paper::new("frank", 1, first).put_without("refs/r1", b"content 4", 9, Expect::Absent),
        Paper::new("erin", 1, first).put("open/a", b"content 5", Expect::Absent),
        Paper::new("dave", 1, first).put("docs/howto", b"content 6", Expect::Absent),
        Paper::new("dave", 2, first).put("docs/guide", b"content 7", Expect::Content(Hash::of(b"content 2"))).signed_by(&["bob"]),
        Paper::new("bob", 2, first).put_without("safe/key", b"content 8", 9, Expect::Absent).signed_by(&["carol", "dave"]),
        Paper::new("frank", 2, first).put("open/b", b"content 9", Expect::Anything).after(Hash([0x55; 32])),
    ];
    used.judge(&room.join("first-medium"), &known);
    let heads = vec![first, used.head()];
    assert!(heads[1].number >= 5, "{}", heads[1]);
    vec![Start { notary, heads: vec![first], known: Vec::new() }, Start { notary: used, heads, known }]
}

fn some<'a, T>(rng: &mut Rng, of: &'a [T]) -> &'a T {
    &of[rng.usize(..of.len())]
}

fn word<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.usize(..of.len())]
}

fn chance(rng: &mut Rng, percent: u32) -> bool {
    rng.u32(..100) < percent
}

const NAMES: &[&str] = &[
    "open/a",
    "open/a",
    "open/b",
    "open/c",
    "open/e",
    "open/f",
    "safe/x",
    "safe/y",
    "safe/z",
    "safe/v",
    "safe/w",
    "open/d/e",
    "open/d/e/f",
    "open/d",
    "open/deep",
    "open/deep/rule/x",
    "docs/guide",
    "docs/guide/one",
    "docs/howto",
    "docs/new",
    "safe/key",
    "safe/box/one",
    "safe/box",
    "refs/r1",
    "refs/r2",
    "alice/notes",
    "none/at-all",
];

fn content(rng: &mut Rng) -> Vec<u8> {
    let number = rng.u32(1..90);
    let times = if number.is_multiple_of(7) { 150 } else { 1 };
    format!("content {number}").repeat(times).into_bytes()
}

fn expectation(rng: &mut Rng) -> Expect {
    match rng.u32(..10) {
        0..=5 => Expect::Anything,
        6..=7 => Expect::Absent,
        _ => Expect::Content(Hash::of(&content(rng))),
    }
}

fn base(rng: &mut Rng, start: &Start) -> Head {
    let head = *start.heads.last().unwrap();
    match rng.u32(..100) {
        0..=5 => *some(rng, &start.heads),
        6..=8 => Head { root: Hash([9; 32]), ..head },
        9..=13 => Head { number: head.number + rng.u64(1..30), root: Hash([8; 32]) },
        _ => head,
    }
}

/// A random paper; `others` are those made before it.
fn random_paper(rng: &mut Rng, start: &Start, others: &[Paper], sequences: &mut BTreeMap<&'static str, u64>) -> Paper {
    let author = word(rng, &MEMBERS);
    let next = sequences.entry(author).or_insert(100);
    *next += 1;
    let sequence = if chance(rng, 10) { *next - rng.u64(1..3) } else { *next };
    let base = base(rng, start);
    let mut paper = Paper::new(author, sequence, base);
    if chance(rng, 15) {
        let known: Vec<Pid> = others.iter().chain(&start.known).map(Paper::pid).collect();
        let pid = if known.is_empty() || chance(rng, 15) { Hash([rng.u8(..); 32]) } else { *some(rng, &known) };
        paper = paper.after(pid);
    }
    if chance(rng, 8) {
        paper = paper.until(base.number + rng.u64(1..12));
    }
    if chance(rng, 3) {
        let policy = Box::new(support::policy(&policy_toml(rng.u64(3..9))));
        paper = paper.with(Operation::SetPolicy { expect: None, policy });
        return if chance(rng, 70) { paper.signed_by(&["alice", "bob"]) } else { paper };
    }
    for _ in 0..rng.usize(1..3) {
        let (name, bytes) = (word(rng, NAMES), content(rng));
        paper = match rng.u32(..100) {
            0..=9 => paper.remove(name, chance(rng, 30).then(|| Hash::of(&bytes))),
            10..=22 => paper.put_without(name, &bytes, bytes.len() as u64, expectation(rng)),
            23..=25 => paper.put_without(name, &bytes, 3, expectation(rng)),
            _ => paper.put(name, &bytes, expectation(rng)),
        };
    }
    paper
}

/// The envelopes in which a paper comes: approvals on it, on copies of it, missing, spoilt, or given twice with other signatures.
fn copies(rng: &mut Rng, paper: &Paper) -> Vec<Vec<u8>> {
    let author = paper.signers[0].as_str();
    let mut approvers: BTreeSet<&str> = paper.signers[1..].iter().map(String::as_str).collect();
    for label in ["alice", "alice.2", "bob", "carol", "dave", "erin", "frank"] {
        if chance(rng, 35) && label != author {
            approvers.insert(label);
        }
    }
    let all: Vec<&str> = std::iter::once(author).chain(approvers.iter().copied()).collect();
    let mut out = match rng.u32(..10) {
        0..=4 => vec![paper.envelope_by(&all)],
        5..=6 => vec![paper.envelope_by(&[author])],
        _ => all.iter().map(|label| paper.envelope_by(&[author, label])).collect(),
    };
    for label in approvers {
        let whole = paper.envelope_by(&all);
        match rng.u32(..100) {
            0..=7 => out.extend(spoilt(&whole, label)),
            8..=17 => out.extend((0..rng.u64(1..4)).filter_map(|_| signed_otherwise(&whole, label, rng.u64(..)))),
            _ => {}
        }
    }
    if chance(rng, 10) {
        out.extend(signed_otherwise(&out[0], author, rng.u64(..)));
    }
    out
}

fn random_set(rng: &mut Rng, start: &Start) -> Set {
    let mut papers = Vec::new();
    let mut sequences = BTreeMap::new();
    for _ in 0..rng.usize(PAPERS..PAPERS + 12) {
        let paper = random_paper(rng, start, &papers, &mut sequences);
        papers.push(paper);
    }
    let (mut envelopes, mut objects) = (Vec::new(), Vec::new());
    let known: Vec<&Paper> = start.known.iter().filter(|_| chance(rng, 50)).collect();
    for paper in papers.iter().chain(known) {
        envelopes.extend(copies(rng, paper));
        objects.extend(paper.contents.iter().filter(|_| chance(rng, 75)).cloned());
    }
    if chance(rng, 50) {
        objects.push(b"content 8".to_vec()); // what bob's second paper waits for
    }
    // By nobody, and for another Common: listed wherever they come.
    envelopes.push(Paper::new("mallory", 1, start.heads[0]).put("open/a", b"x", Expect::Anything).envelope());
    let mut foreign = Paper::new("alice", 999, start.heads[0]).put("open/a", b"x", Expect::Anything);
    foreign.proposal.origin = "elsewhere.example/common".parse().unwrap();
    envelopes.push(foreign.envelope());
    let distinct: BTreeSet<Pid> = papers.iter().map(Paper::pid).collect();
    Set { papers: distinct.len(), envelopes, objects }
}

/// What a courier who has no member's key can add: copies with a spoilt signature of anyone, also the author's; strangers' signatures; a member's signature
/// that nobody asked for; papers cut short; files of no kind.
fn courier(rng: &mut Rng, set: &Set) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for envelope in &set.envelopes {
        if !chance(rng, 30) {
            continue;
        }
        let labels = ["alice", "bob", "carol", "dave", "erin", "frank"];
        out.push(match rng.u32(..6) {
            0 => spoilt(envelope, word(rng, &labels)).unwrap_or_default(),
            1 => also_signed(envelope, "mallory"),
            2 => spoilt(&also_signed(envelope, "mallory"), word(rng, &labels)).unwrap_or_default(),
            3 => also_signed(envelope, "frank"), // he is in no group
            4 => envelope[..rng.usize(..envelope.len())].to_vec(),
            _ => format!("no paper {}", rng.u64(..)).into_bytes(),
        });
    }
    out
}

fn file_name(rng: &mut Rng, number: usize) -> String {
    let folders = ["inbox", "tabellion/inbox", "A", "ä ö", "x.y", "from bob", "papers", "deep/er/still", "tabellion"];
    let depth = if chance(rng, 10) { 20 } else { rng.usize(..3) };
    let mut path = String::new();
    for _ in 0..depth {
        path.push_str(folders[rng.usize(..folders.len() - 1)].split('/').next_back().unwrap());
        path.push('/');
    }
    if chance(rng, 40) {
        path = format!("{}/{path}", word(rng, &folders));
    }
    format!(
        "{path}{}{number}{}",
        word(rng, &["a", "Z", "checkpoint", "00", "session-"]),
        word(rng, &["", ".cose", ".bin", ".receipts", ".TXT"])
    )
}

/// Writes a set onto one medium or two, each time otherwise.
fn lay_out(rng: &mut Rng, set: &Set, room: &Path, with_courier: bool) -> Vec<PathBuf> {
    let media: Vec<PathBuf> = (0..rng.usize(1..4)).map(|medium| room.join(format!("medium-{medium}"))).collect();
    media.iter().for_each(|medium| std::fs::create_dir_all(medium).unwrap());
    let mut envelopes = set.envelopes.clone();
    let mut objects = set.objects.clone();
    for _ in 0..rng.usize(..8) {
        envelopes.push(some(rng, &set.envelopes).clone());
        objects.extend((!set.objects.is_empty()).then(|| some(rng, &set.objects).clone()));
    }
    let mut loose = if with_courier { courier(rng, set) } else { Vec::new() };
    // Half of what the courier adds that is a whole envelope goes into bundles, among the genuine ones.
    let whole = loose.extract_if(.., |bytes| Envelope::from_brought(bytes).is_ok() && rng.bool());
    envelopes.extend(whole.collect::<Vec<_>>());
    rng.shuffle(&mut envelopes);
    rng.shuffle(&mut objects);
    let mut number = 0;
    let mut place = |rng: &mut Rng, bytes: &[u8]| {
        number += 1;
        write(&some(rng, &media).join(file_name(rng, number)), bytes);
    };
    while !envelopes.is_empty() || !objects.is_empty() {
        let papers = envelopes.split_off(envelopes.len() - rng.usize(..=envelopes.len().min(9)));
        let some_objects = objects.split_off(objects.len() - rng.usize(..=objects.len().min(5)));
        match papers.as_slice() {
            [paper] if some_objects.is_empty() => place(rng, paper),
            papers => {
                let mut bytes = bundle(papers, &some_objects);
                if with_courier && chance(rng, 10) {
                    bytes.extend_from_slice(b"trailing"); // what stands before it counts
                }
                place(rng, &bytes);
            }
        }
    }
    loose.iter().for_each(|bytes| place(rng, bytes));
    media
}

/// Runs the session on a copy of the desk and reads what each medium got.
fn published(start: &Start, room: &Path, media: &[PathBuf], time: Option<u64>) -> (Vec<Published>, BTreeMap<String, u64>) {
    let notary = start.notary.copied_to(&room.join("witness"));
    let report = notary.session(media, time);
    assert!(report.is_new);
    let session = report.desk.books().last_session().unwrap().unwrap();
    let mut verdicts = BTreeMap::new();
    session.rulings.iter().for_each(|ruling| *verdicts.entry(ruling.verdict.line()).or_insert(0) += 1);
    let results = format!("session-{:06}.receipts", session.opened.session);
    let read = |medium: &PathBuf| {
        let mut files = tree(&medium.join("tabellion/common"));
        files.insert(results.clone(), std::fs::read(medium.join("tabellion/results").join(&results)).unwrap());
        files
    };
    (media.iter().map(read).collect(), verdicts)
}

fn differing(one: &Published, other: &Published) -> Vec<String> {
    let paths: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    paths.into_iter().filter(|path| one.get(*path) != other.get(*path)).cloned().collect()
}

#[derive(Default)]
struct Counts {
    sets: u64,
    papers: u64,
    envelopes: u64,
    variants: u64,
    media: u64,
    files: u64,
    verdicts: BTreeMap<String, u64>,
}

fn compare_set(seed: u64, starts: &[Start], counts: &mut Counts) {
    let mut rng = Rng::with_seed(seed);
    let start = &starts[(seed % starts.len() as u64) as usize];
    let set = random_set(&mut rng, start);
    let folder = room();
    let mut reference: Option<Published> = None;
    for variant in 0..=VARIANTS {
        let room = folder.path().join(variant.to_string());
        let media = lay_out(&mut rng, &set, &room, variant > 0);
        let (found, verdicts) = published(start, &room, &media, TIME);
        for (published, medium) in found.into_iter().zip(&media) {
            counts.media += 1;
            counts.files += published.len() as u64;
            let first = reference.get_or_insert_with(|| published.clone());
            let differing = differing(first, &published);
            assert!(differing.is_empty(), "set {seed:#x}, variant {variant}, {}: {differing:?} differ", medium.display());
        }
        if variant == 0 {
            let judged: u64 = verdicts.values().sum();
            assert!(judged >= 50, "set {seed:#x} has only {judged} papers");
            let has = |rules: &[&str]| verdicts.keys().any(|verdict| rules.iter().any(|rule| verdict.ends_with(rule)));
            assert!(has(&["sequence-taken", "name-collides", "expectation-failed"]), "set {seed:#x}: nothing collides");
            assert!(has(&["dependency-refused", "dependency-open"]), "set {seed:#x}: nothing waits");
            assert!(has(&["threshold-not-met"]), "set {seed:#x}: no approval is missing");
            verdicts.into_iter().for_each(|(verdict, number)| *counts.verdicts.entry(verdict).or_insert(0) += number);
        } else {
            counts.variants += 1;
        }
    }
    counts.sets += 1;
    counts.papers += set.papers as u64;
    counts.envelopes += set.envelopes.len() as u64;
}

#[test]
fn the_same_papers_give_the_same_bytes_however_they_are_brought() {
    let sets = std::env::var("TABELLION_SETS").ok().map_or(SETS, |sets| sets.parse().unwrap());
    let room = room();
    let starts = starts(room.path());
    let half = |first: u64| {
        let mut counts = Counts::default();
        (first..sets).step_by(2).for_each(|set| compare_set(SEED + set, &starts, &mut counts));
        counts
    };
    let (mut all, other) = std::thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        (half(0), other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    other.verdicts.iter().for_each(|(verdict, number)| *all.verdicts.entry(verdict.clone()).or_insert(0) += number);
    println!(
        "seeds from {SEED:#x}: {} sets, {} papers in {} envelopes, {} variants, {} media, {} files compared",
        all.sets + other.sets,
        all.papers + other.papers,
        all.envelopes + other.envelopes,
        all.variants + other.variants,
        all.media + other.media,
        all.files + other.files
    );
    all.verdicts.iter().for_each(|(verdict, number)| println!("{number:6} {verdict}"));
    let number = |begin: &str| all.verdicts.iter().filter(|(verdict, _)| verdict.starts_with(begin)).map(|(_, number)| number).sum::<u64>();
    for (begin, per_set) in [("accepted", 3), ("refused", 3), ("pending", 1), ("deferred", 1)] {
        assert!(number(begin) >= per_set * sets, "{begin}: {} in {sets} sets", number(begin));
    }
    for rule in
        ["sequence-taken", "expectation-failed", "name-collides", "threshold-not-met", "quota-used", "dependency-open", "object-missing"]
    {
        let seen = all.verdicts.iter().any(|(verdict, number)| verdict.ends_with(rule) && *number >= sets / 10);
        assert!(seen, "{rule} is hardly ever seen");
    }
}

// The comparison can fail: whatever matters shows in the bytes.
#[test]
fn what_matters_changes_the_bytes() {
    let room = room();
    let starts = starts(room.path());
    let start = &starts[1];
    let head = start.heads[1];
    let of = |author: &str| Paper::new(author, 50, head).put("docs/new", b"new", Expect::Absent);
    let set = |papers: &[Paper], objects: &[&[u8]]| Set {
        papers: papers.len(),
        envelopes: papers.iter().map(Paper::envelope).collect(),
        objects: objects.iter().map(|object| object.to_vec()).collect(),
    };
    let other = Paper::new("carol", 50, head).put("open/c", b"more", Expect::Absent);
    let cases = [
        ("the same", set(&[of("bob").signed_by(&["alice"])], &[b"new"]), TIME),
        ("another time claim", set(&[of("bob").signed_by(&["alice"])], &[b"new"]), Some(1_760_000_001)),
        ("no time claim", set(&[of("bob").signed_by(&["alice"])], &[b"new"]), None),
        ("one paper more", set(&[of("bob").signed_by(&["alice"]), other], &[b"new"]), TIME),
        ("another author", set(&[of("alice").signed_by(&["bob"])], &[b"new"]), TIME),
        ("one approval more", set(&[of("bob").signed_by(&["alice", "carol"])], &[b"new"]), TIME),
        ("one approval less", set(&[of("bob")], &[b"new"]), TIME),
        ("no object", set(&[of("bob").signed_by(&["alice"])], &[]), TIME),
    ];
    let mut seen: Vec<(&str, Published)> = Vec::new();
    for (at, (what, set, time)) in cases.iter().enumerate() {
        let room = room.path().join(format!("case-{at}"));
        let mut rng = Rng::with_seed(at as u64);
        let found = published(start, &room, &lay_out(&mut rng, set, &room, false), *time).0.remove(0);
        for (earlier, published) in &seen {
            assert!(!differing(published, &found).is_empty(), "{what} gives the bytes of: {earlier}");
        }
        seen.push((what, found));
    }
    // And what does not matter does not: the first case again, brought otherwise.
    let room = room.path().join("again");
    let found = published(start, &room, &lay_out(&mut Rng::with_seed(99), &cases[0].1, &room, true), TIME).0.remove(0);
    assert_eq!(differing(&seen[0].1, &found), Vec::<String>::new());
}

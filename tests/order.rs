//! Promise 3, its last clause: nothing a proposer, an approver, a courier or a clock contributes can move a paper forward.
//!
//! **What is claimed.** A session's *turn order* follows from the origin, the session's number and the members' names alone, and changes from
//! session to session. A member's papers stand by sequence number, then id. Then, in a session:
//!
//! 1. The k-th ready paper of member m comes to its turn in round k, at m's place. Before it come exactly min(k, n) papers of each member with
//!    n papers who stands before m in the turn order, and min(k − 1, n) of each who stands after. The *front* of m, the place of m's first
//!    paper, is the best that any paper of m can get, whatever it holds and whenever it was signed.
//! 2. Copies of one paper (signed again or with another key, approved by others, with strangers' or spoilt signatures, in many envelopes, on
//!    other media, under other names) have one place, and every other paper keeps its own.
//! 3. Whatever m brings instead (another note, sequence, name, base or bound; the paper split up or padded with further ones; papers that wait; a
//!    policy) leaves the others' papers in the same order among themselves. Before another's k-th paper come at most k papers of m, at most
//!    k − 1 if m stands after that member: further papers cost the others one turn a round and no more.
//! 4. A lower sequence number moves its author's own later papers back. To wait for a paper, or to set a policy, moves a paper back.
//! 5. The time claim moves nothing.
//!
//! Sessions that accept nothing take a number, and so move the turn order of the next: only the operator opens sessions, each is on record, and
//! what brings nothing new opens none.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use sha2::{Digest as _, Sha256};
use support::{Notary, ORIGIN, Paper, also_signed, bundle, memory, public, room, signed_otherwise, spoilt, write};
use tabellion::core::books::Books;
use tabellion::core::ids::{Hash, Head, Pid};
use tabellion::core::plan::{Plan, plan};
use tabellion::core::policy::Policy;
use tabellion::core::proposal::{Expect, Operation};
use tabellion::core::verdict::Verdict;
use tabellion::core::verify::Verified;
use tabellion::run::bag::Bag;

const SEED: u64 = 0x7ABE_1120;
const VARIANTS: u64 = 10_000;
/// One variant in so many is brought on real media.
const ON_MEDIA_EVERY: u64 = 41; // no divisor of the tries: each of them gets there
const SESSIONS: u64 = 1_000;
const FIVE: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];
/// Papers each of the others brings.
const OTHERS_PAPERS: u64 = 3;

/// Five members with two keys each; `open/` needs nobody, `docs/` two of alice, bob and carol.
fn five() -> String {
    let mut text = String::from("governors = \"board\"\nbase_lag_max = 100000\nheld_numbers_max = 100000\n");
    for name in FIVE {
        let keys = [public(name), public(&format!("{name}.2"))];
        text.push_str(&format!("[[member]]\nname = \"{name}\"\nkeys = {keys:?}\nquota = 100\n"));
    }
    text.push_str("[[group]]\nname = \"board\"\nk = 2\nof = [\"alice\", \"bob\", \"carol\"]\n");
    text.push_str(&format!("[[rule]]\nprefix = \"open/\"\npropose = {FIVE:?}\n"));
    text.push_str(&format!("[[rule]]\nprefix = \"docs/\"\npropose = {FIVE:?}\napprove = \"board\"\n"));
    text
}

fn founded(folder: &Path) -> Books {
    Notary::found(folder, &five()).desk().books().clone()
}

/// SPEC 6.5, written a second time.
fn turn_order<'a>(origin: &str, session: u64, members: &[&'a str]) -> Vec<&'a str> {
    let key = |member: &str| {
        let mut text = b"tabellion order v1\0".to_vec();
        text.extend_from_slice(origin.as_bytes());
        text.push(0);
        text.extend_from_slice(&session.to_be_bytes());
        text.extend_from_slice(member.as_bytes());
        Sha256::digest(&text).to_vec()
    };
    let mut members = members.to_vec();
    members.sort_by_key(|member| key(member));
    members
}

/// A paper's sequence number and id: its place among its author's papers.
type Place = (u64, Pid);

fn place(paper: &Paper) -> Place {
    (paper.proposal.sequence, paper.pid())
}

/// The order in which papers come that are all ready: round after round, each member's next.
fn rounds(order: &[&str], papers: &BTreeMap<&str, Vec<Place>>) -> Vec<Pid> {
    let most = papers.values().map(Vec::len).max().unwrap();
    let turn = |round: usize| order.iter().filter_map(move |member| papers[member].get(round).map(|(_, pid)| *pid));
    (0..most).flat_map(turn).collect()
}

/// A desk, one member's paper, and what the others bring to the same session.
struct Scene {
    books: Books,
    author: &'static str,
    paper: Paper,
    /// Whether the desk holds the paper already, so that it is judged without being brought.
    held: bool,
    others: BTreeMap<&'static str, Vec<Place>>,
    envelopes: Vec<Vec<u8>>,
    verified: Vec<Verified>,
    order: Vec<&'static str>,
}

impl Scene {
    fn new(founded: &Books, author: &'static str, held: bool) -> Scene {
        let mut books = founded.clone();
        let head = books.head();
        let paper = Paper::new(author, 50, head).put("docs/guide", b"guide", Expect::Anything).put("docs/more", b"more", Expect::Anything);
        if held {
            memory::session(&mut books, &[paper.envelope()], None).unwrap();
            assert_eq!(books.held().len(), 1, "it waits for approvals");
        }
        let (mut others, mut envelopes) = (BTreeMap::new(), Vec::new());
        for member in FIVE.into_iter().filter(|member| *member != author) {
            let one = |n: u64| Paper::new(member, 10 * n, head).put(&format!("open/{member}-{n}"), b"theirs", Expect::Anything);
            let papers: Vec<Paper> = (1..=OTHERS_PAPERS).map(one).collect();
            others.insert(member, papers.iter().map(place).collect());
            envelopes.extend(papers.iter().map(Paper::envelope));
        }
        let verified = memory::authentic(&books, &envelopes);
        assert_eq!(verified.len(), 4 * OTHERS_PAPERS as usize);
        let order = turn_order(ORIGIN, books.next_session(), &FIVE);
        Scene { books, author, paper, held, others, envelopes, verified, order }
    }

    /// How many members stand before the author: the place of the author's first paper.
    fn front(&self) -> usize {
        self.order.iter().position(|member| *member == self.author).unwrap()
    }

    fn plan(&self, own: &[Vec<u8>], time: Option<u64>) -> Plan {
        let mut brought = self.verified.clone();
        brought.extend(memory::authentic(&self.books, own));
        plan(&self.books, &memory::gathered(&self.books, brought), time).unwrap()
    }

    /// The same from files: what is brought lies in some folders of two media, alone or in bundles, in any order.
    fn plan_from_media(&self, rng: &mut Rng, own: &[Vec<u8>], time: Option<u64>) -> Plan {
        let room = room();
        let media: Vec<PathBuf> = ["one", "two"].map(|medium| room.path().join(medium)).into();
        media.iter().for_each(|medium| std::fs::create_dir_all(medium).unwrap());
        let mut envelopes: Vec<Vec<u8>> = own.iter().chain(&self.envelopes).cloned().collect();
        rng.shuffle(&mut envelopes);
        for at in 0.. {
            let some = envelopes.split_off(envelopes.len() - envelopes.len().min(rng.usize(1..7)));
            let name = format!("{}{at}{}", rng.choice(["a/", "", "Z", "inbox/x/"]).unwrap(), rng.choice(["", ".cose", ".TXT"]).unwrap());
            match some.as_slice() {
                [] => break,
                [alone] if rng.bool() => write(&rng.choice(&media).unwrap().join(name), alone),
                some => write(&rng.choice(&media).unwrap().join(name), &bundle(some, &[])),
            }
        }
        let staging = room.path().join("staging");
        std::fs::create_dir(&staging).unwrap();
        let bag = Bag::gather(&media, &staging, &self.books).unwrap();
        plan(&self.books, &memory::gathered(&self.books, bag.verified()), time).unwrap()
    }
}

/// What the author brings in one variant.
struct Variant {
    envelopes: Vec<Vec<u8>>,
    /// The papers among them.
    papers: Vec<Paper>,
    /// Whether each comes to its turn in the rounds, whatever happens to the others: none waits for another or sets a policy.
    all_ready: bool,
}

/// What an author, those who approve and a courier can try. The first seven make copies of one paper, the others make other papers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Try {
    SignedAgain,
    SecondKey,
    ApprovedByOthers,
    StrangersSign,
    SpoiltCopies,
    SplitOverEnvelopes,
    BroughtOften,
    AnotherNote,
    AnotherSequence,
    Padded,
    SplitUp,
    Renamed,
    AnotherBaseOrBound,
    Waits,
    WithAPolicy,
}

const TRIES: [Try; 15] = [
    Try::SignedAgain,
    Try::SecondKey,
    Try::ApprovedByOthers,
    Try::StrangersSign,
    Try::SpoiltCopies,
    Try::SplitOverEnvelopes,
    Try::BroughtOften,
    Try::AnotherNote,
    Try::AnotherSequence,
    Try::Padded,
    Try::SplitUp,
    Try::Renamed,
    Try::AnotherBaseOrBound,
    Try::Waits,
    Try::WithAPolicy,
];

/// Keys of members, and of nobody.
fn some_labels<'a>(rng: &mut Rng, of: &[&'a str]) -> Vec<&'a str> {
    of.iter().filter(|_| rng.u8(..3) == 0).copied().collect()
}

const KEYS: [&str; 10] = ["alice", "alice.2", "bob", "bob.2", "carol", "carol.2", "dave", "dave.2", "erin", "erin.2"];

fn approved(rng: &mut Rng, paper: &Paper) -> Vec<u8> {
    let author = paper.signers[0].as_str();
    let labels: Vec<&str> = std::iter::once(author).chain(some_labels(rng, &KEYS)).collect();
    paper.envelope_by(&labels)
}

/// Copies of `paper` as the courier and those who sign can make them.
fn copies(rng: &mut Rng, which: Try, paper: &Paper) -> Vec<Vec<u8>> {
    let author = paper.signers[0].as_str();
    let whole = approved(rng, paper);
    match which {
        Try::SignedAgain => (0..rng.u64(1..4)).filter_map(|_| signed_otherwise(&whole, author, rng.u64(..))).collect(),
        Try::SecondKey => vec![paper.envelope_by(&[&format!("{author}.2")])],
        Try::ApprovedByOthers => vec![whole],
        Try::StrangersSign => vec![also_signed(&also_signed(&whole, "mallory"), "trudy")],
        Try::SpoiltCopies => [Some(whole.clone()), spoilt(&whole, author), spoilt(&whole, "bob")].into_iter().flatten().collect(),
        Try::SplitOverEnvelopes => KEYS.iter().filter(|_| rng.bool()).map(|label| paper.envelope_by(&[author, label])).collect(),
        _ => vec![whole; rng.usize(1..5)],
    }
}

/// A further paper of the same author; some are refused, some collide in their sequence number.
fn further(rng: &mut Rng, paper: &Paper) -> Paper {
    let sequence = if rng.u8(..4) == 0 { 50 } else { rng.u64(1..100) };
    let name = format!("{}/{}", rng.choice(["open", "docs", "nowhere"]).unwrap(), rng.u8(..));
    Paper::new(paper.signers[0].as_str(), sequence, paper.proposal.base).put(&name, &[rng.u8(..)], Expect::Anything)
}

/// Other papers instead of `paper`, or beside it.
fn other_papers(rng: &mut Rng, which: Try, scene: &Scene) -> Vec<Paper> {
    let mut other = scene.paper.clone();
    let proposal = &mut other.proposal;
    match which {
        Try::AnotherNote => proposal.note = Some(format!("please, for the {}th time", rng.u64(..)).parse().unwrap()),
        Try::AnotherSequence => proposal.sequence = rng.u64(1..1_000_000),
        Try::Padded => return std::iter::once(other).chain((0..rng.usize(1..7)).map(|_| further(rng, &scene.paper))).collect(),
        Try::SplitUp => {
            let part = |(at, operation): (usize, &Operation)| {
                Paper::new(scene.author, 50 + at as u64, scene.paper.proposal.base).with(operation.clone())
            };
            return proposal.operations.iter().enumerate().map(part).collect();
        }
        Try::Renamed => {
            let base = proposal.base;
            other = Paper::new(scene.author, 50, base).put(&format!("open/{}", rng.u64(..)), b"guide", Expect::Anything);
        }
        Try::AnotherBaseOrBound => {
            proposal.base = Head { number: rng.u64(1..3), root: Hash([rng.u8(..); 32]) };
            proposal.last_number = rng.bool().then(|| rng.u64(1..40));
        }
        Try::Waits => {
            let theirs: Vec<Pid> = scene.others.values().flatten().map(|(_, pid)| *pid).collect();
            let own = further(rng, &scene.paper);
            let unknown = Hash([rng.u8(..); 32]);
            let awaited = [own.pid(), *rng.choice(&theirs).unwrap(), unknown];
            other = other.after(*rng.choice(&awaited).unwrap());
            return if other.proposal.after.contains(&own.pid()) { vec![other, own] } else { vec![other] };
        }
        _ => {
            let policy: Box<Policy> = Box::new(support::policy(&five().replace("quota = 100", &format!("quota = {}", rng.u32(2..99)))));
            let sets = Paper::new(scene.author, rng.u64(1..100), proposal.base).with(Operation::SetPolicy { expect: None, policy });
            return vec![other, if rng.bool() { sets.signed_by(&["alice", "bob"]) } else { sets }];
        }
    }
    vec![other]
}

fn vary(rng: &mut Rng, which: Try, scene: &Scene) -> Variant {
    let (mut envelopes, mut papers) = if which < Try::AnotherNote {
        let copies = copies(rng, which, &scene.paper);
        let authentic = !memory::authentic(&scene.books, &copies).is_empty();
        (copies, if authentic { vec![scene.paper.clone()] } else { Vec::new() })
    } else {
        let papers = other_papers(rng, which, scene);
        (papers.iter().map(|paper| approved(rng, paper)).collect(), papers)
    };
    if scene.held || papers.is_empty() {
        envelopes.push(scene.paper.envelope()); // one way or another it is there
        papers.push(scene.paper.clone());
    }
    papers.sort_by_key(place);
    papers.dedup_by_key(|paper| place(paper));
    rng.shuffle(&mut envelopes);
    let all_ready = papers.iter().all(|paper| paper.proposal.after.is_empty() && paper.proposal.sets_policy().is_none());
    Variant { envelopes, papers, all_ready }
}

/// How often a try was made, and the first and last place that a paper got by it, counted from its author's front.
#[derive(Clone, Copy, Default)]
struct Seen {
    variants: u64,
    on_media: u64,
    place: (usize, usize),
}

/// Makes one variant and compares the order judged with what is claimed above.
fn compare(number: u64, scenes: &[Scene], seen: &mut BTreeMap<Try, Seen>) {
    let mut rng = Rng::with_seed(SEED + number);
    let which = TRIES[number as usize % TRIES.len()];
    let scene = &scenes[rng.usize(..scenes.len())];
    let variant = vary(&mut rng, which, scene);
    let time = rng.bool().then(|| rng.u64(1..4_000_000_000));
    let on_media = number.is_multiple_of(ON_MEDIA_EVERY);
    let plan = if on_media { scene.plan_from_media(&mut rng, &variant.envelopes, time) } else { scene.plan(&variant.envelopes, time) };
    let judged: Vec<Pid> = plan.rulings().iter().map(|ruling| ruling.pid).collect();
    let what = format!("variant {number} of seed {SEED:#x}: {which:?} by {}, held {}, media {on_media}", scene.author, scene.held);

    // Claim 3: the others stand as if the author had brought nothing.
    let is_own = |pid: &Pid| variant.papers.iter().any(|paper| paper.pid() == *pid);
    let others: Vec<Pid> = judged.iter().filter(|pid| !is_own(pid)).copied().collect();
    let mut without = scene.others.clone();
    without.insert(scene.author, Vec::new());
    assert_eq!(others, rounds(&scene.order, &without), "{what}: the others' papers changed places");
    let front = scene.front();
    for (member, papers) in &scene.others {
        let author_first = scene.order.iter().position(|other| other == member).unwrap() > front;
        for (at, (_, pid)) in papers.iter().enumerate() {
            let before = judged.iter().take_while(|other| *other != pid).filter(|pid| is_own(pid)).count();
            assert!(before <= at + usize::from(author_first), "{what}: {before} papers before {member}'s paper {}", at + 1);
        }
    }
    // Claim 1, as far as it holds for papers of any kind: nobody gets in front of the front.
    let first = judged.iter().position(is_own).unwrap();
    let places: Vec<usize> = judged.iter().enumerate().filter(|(_, pid)| is_own(pid)).map(|(at, _)| at).collect();
    assert_eq!(places.len(), variant.papers.len(), "{what}: each paper is judged once");
    assert!(first >= front, "{what}: place {first}, in front of the front {front}");
    if variant.all_ready {
        let mut all = scene.others.clone();
        all.insert(scene.author, variant.papers.iter().map(place).collect());
        assert_eq!(judged, rounds(&scene.order, &all), "{what}: not the order of the rounds");
        assert_eq!(first, front, "{what}: the author's first paper is not at the front");
    }
    // Claim 2.
    if which < Try::AnotherNote {
        assert_eq!((places.as_slice(), judged[front]), ([front].as_slice(), scene.paper.pid()), "{what}: the paper moved");
    }
    let entry = seen.entry(which).or_insert(Seen { place: (usize::MAX, 0), ..Seen::default() });
    entry.variants += 1;
    entry.on_media += u64::from(on_media);
    entry.place = (entry.place.0.min(first - front), entry.place.1.max(places.last().unwrap() - front));
}

#[test]
fn ten_thousand_variants_of_a_paper_never_come_before_its_authors_turn() {
    let room = room();
    let founded = founded(&room.path().join("witness"));
    let scenes: Vec<Scene> = FIVE.iter().flat_map(|author| [false, true].map(|held| Scene::new(&founded, author, held))).collect();
    let half = |first: u64| {
        let mut seen = BTreeMap::new();
        (first..VARIANTS).step_by(2).for_each(|number| compare(number, &scenes, &mut seen));
        seen
    };
    let (mut all, other) = std::thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        (half(0), other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    for (which, seen) in other {
        let entry = all.get_mut(&which).unwrap();
        entry.variants += seen.variants;
        entry.on_media += seen.on_media;
        entry.place = (entry.place.0.min(seen.place.0), entry.place.1.max(seen.place.1));
    }
    println!("seed {SEED:#x}; places are counted from the author's front, the best of all");
    for (which, Seen { variants, on_media, place }) in &all {
        println!("{variants:5} variants ({on_media:2} on media)  places {:2} to {:2}  {which:?}", place.0, place.1);
    }
    assert_eq!(all.values().map(|seen| seen.variants).sum::<u64>(), VARIANTS);
    // The tries do something: other papers do move, backwards.
    assert!(TRIES.iter().all(|which| all[which].variants >= VARIANTS / 15 && all[which].on_media >= 10));
    assert!(all[&Try::Padded].place.1 > 0 && all[&Try::Waits].place.1 > 0 && all[&Try::WithAPolicy].place.1 > 0);
}

#[test]
fn lower_sequence_numbers_move_their_authors_own_later_papers_back() {
    let room = room();
    let scene = Scene::new(&founded(&room.path().join("witness")), "carol", false);
    let mut judged = Vec::new();
    for lower in 0..3 {
        let mut own = vec![scene.paper.envelope()];
        own.extend((1..=lower).map(|n| further_with(&scene, n).envelope()));
        own.push(further_with(&scene, 51).envelope()); // a higher one costs it nothing
        let plan = scene.plan(&own, None);
        judged.push(plan.rulings().iter().position(|ruling| ruling.pid == scene.paper.pid()).unwrap());
    }
    // By hand: a round of five turns for each lower number, while the others have papers.
    let front = scene.front();
    assert_eq!(judged, [front, front + 5, front + 10]);
}

fn further_with(scene: &Scene, sequence: u64) -> Paper {
    Paper::new(scene.author, sequence, scene.paper.proposal.base).put(&format!("open/own-{sequence}"), b"own", Expect::Anything)
}

/// Five members want the same entry in each of 1,000 sessions: whoever is first gets it, the others meet their expectation.
#[test]
fn each_of_five_members_is_first_about_as_often_over_1000_sessions() {
    let room = room();
    let mut books = founded(&room.path().join("witness"));
    let mut first = BTreeMap::from(FIVE.map(|member| (member, 0_u64)));
    let (mut longest, mut waited) = (0, BTreeMap::from(FIVE.map(|member| (member, 0_u64))));
    let mut there = Expect::Absent;
    for session in 1..=SESSIONS {
        let head = books.head();
        let wish = |member: &str| format!("{member} in session {session}");
        let papers = FIVE.map(|member| Paper::new(member, session, head).put("open/prize", wish(member).as_bytes(), there));
        let plan = memory::session(&mut books, &papers.each_ref().map(Paper::envelope), None).unwrap();
        let winner = FIVE[papers.iter().position(|paper| paper.pid() == plan.rulings()[0].pid).unwrap()];
        assert_eq!(winner, turn_order(ORIGIN, session, &FIVE)[0], "session {session}");
        let accepted: Vec<bool> = plan.rulings().iter().map(|ruling| ruling.verdict == Verdict::Accepted).collect();
        assert_eq!(accepted, [true, false, false, false, false], "session {session}");
        there = Expect::Content(Hash::of(wish(winner).as_bytes()));
        *first.get_mut(winner).unwrap() += 1;
        for (member, sessions) in &mut waited {
            *sessions = if *member == winner { 0 } else { *sessions + 1 };
            longest = longest.max(*sessions);
        }
    }
    println!("first in {SESSIONS} sessions of {ORIGIN}: {first:?}; longest without: {longest} sessions");
    // One in five: mean n/5, deviation sqrt(n · 1/5 · 4/5). Five deviations to each side; the order is a hash, so these counts never change.
    let (mean, deviation) = (SESSIONS as f64 / 5.0, (SESSIONS as f64 * 0.2 * 0.8).sqrt());
    let (least, most) = ((mean - 5.0 * deviation) as u64, (mean + 5.0 * deviation) as u64);
    assert_eq!((least, most), (136, 263));
    assert!(first.values().all(|times| (least..=most).contains(times)), "{first:?}");
    assert_eq!(books.head().number, 1 + SESSIONS);
}

#[test]
fn the_order_is_another_for_another_origin_and_another_session() {
    let order = |origin: &str, session: u64| turn_order(origin, session, &FIVE);
    let same = |one: &dyn Fn(u64) -> Vec<&'static str>, other: &dyn Fn(u64) -> Vec<&'static str>| {
        (1..=SESSIONS).filter(|session| one(*session) == other(*session)).count()
    };
    let between_origins = same(&|session| order(ORIGIN, session), &|session| order("another.example/common", session));
    let between_sessions = same(&|session| order(ORIGIN, session), &|session| order(ORIGIN, session + 1));
    println!(
        "the same order in {between_origins} of {SESSIONS} sessions of two origins, in {between_sessions} of {SESSIONS} pairs of sessions"
    );
    // One in 120: mean 8.3, deviation 2.9.
    assert!((1..=23).contains(&between_origins) && (1..=23).contains(&between_sessions));
}

#[test]
fn only_a_session_moves_the_order_and_one_that_accepts_nothing_is_on_record() {
    let room = room();
    let mut books = founded(&room.path().join("witness"));
    let head = books.head();
    let prize = |member: &str| Paper::new(member, 7, head).put("open/prize", member.as_bytes(), Expect::Absent);
    let turn = |books: &Books| turn_order(ORIGIN, books.next_session(), &FIVE)[0];
    let decided = Paper::new("erin", 1, head).put("nowhere/a", b"a", Expect::Anything);
    let (before, session) = (turn(&books), books.next_session());
    // Spoilt copies, a stranger's paper, nothing at all: no session, and the order stands.
    let stranger = Paper::new("mallory", 1, head).put("open/a", b"a", Expect::Anything).envelope();
    for nothing in [vec![], vec![stranger], vec![spoilt(&decided.envelope(), "erin").unwrap()]] {
        assert!(memory::session(&mut books, &nothing, Some(1_800_000_000)).is_none());
    }
    assert_eq!((turn(&books), books.next_session()), (before, session));
    // A paper that is refused makes a session, and with it another order for the next; the ledger and the next record both say so.
    let refused = memory::session(&mut books, &[decided.envelope()], None).unwrap();
    assert_eq!((refused.rulings()[0].verdict.line().as_str(), refused.after()), ("refused no-rule", head));
    assert_eq!(books.next_session(), session + 1);
    assert!(memory::session(&mut books, &[decided.envelope()], None).is_none(), "the same paper again makes none");
    let after = turn(&books);
    assert_ne!(before, after, "of these two sessions another member is first");
    let plan = memory::session(&mut books, &[prize(before).envelope(), prize(after).envelope()], None).unwrap();
    let record = plan.rulings()[0].record.as_ref().unwrap();
    assert_eq!((plan.rulings()[0].pid, record.session), (prize(after).pid(), session + 1));
    assert_eq!(books.headings().iter().map(|heading| heading.session).collect::<Vec<_>>(), [0, 1, 2]);
}

//! Promise 9: our own signature on what a ledger does not have halts it, wherever on a medium it lies; what it does have is no evidence.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use support::{Notary, ORIGIN, Paper, policy_toml, room, tree};
use tabellion::core::cbor::{Canonical as _, Reader, item_len};
use tabellion::core::cose::{Envelope, PaperKind};
use tabellion::core::event::EventType;
use tabellion::core::fork::ForkProof;
use tabellion::core::halt::{Halt, Resume};
use tabellion::core::ids::Hash;
use tabellion::core::note::{Note, VerifierKey, assemble, signature_line};
use tabellion::core::order::{Order, What};
use tabellion::core::proposal::Expect;
use tabellion::core::rules::Rule;
use tabellion::ledger::NewEvent;
use tabellion::run::bag::Bag;
use tabellion::run::desk::{Desk, DeskKeys, KEY_FILE};
use tabellion::run::gossip::{self, Gossip, Reported};
use tabellion::run::session;
use tabellion::run::{advance, consumer};

/// The log key of a label, which signs anything here: the product's own refuses.
fn log_key(label: &str) -> (SigningKey, VerifierKey) {
    let seed = Hash::of(format!("test seed of {label}").as_bytes()).0;
    let key = SigningKey::from_bytes(&blake3::derive_key("tabellion 2026 log ed25519 v1", &seed));
    let vkey = VerifierKey::new(ORIGIN.parse().unwrap(), key.verifying_key().as_bytes()).unwrap();
    (key, vkey)
}

fn line(text: &str, by: &str) -> String {
    let (key, vkey) = log_key(by);
    signature_line(vkey.name(), vkey.id(), &key.sign(text.as_bytes()).to_bytes())
}

fn signed(text: &str, by: &str) -> String {
    assemble(text, &line(text, by))
}

/// The three desks of one key that every table is about: one that has two sessions, one that went on, and one that went another way.
struct Scene {
    room: tempfile::TempDir,
    desk: Notary,
}

/// What a desk published: its newest checkpoint, and a proof and a note of its last session.
struct Said {
    checkpoint: String,
    proof: String,
    note: String,
}

impl Scene {
    fn new() -> Scene {
        let room = room();
        let desk = Notary::found(&room.path().join("desk"), &policy_toml(10));
        let base = desk.head();
        desk.judge(&room.path().join("first"), &[Paper::new("alice", 1, base).put("open/a", b"a", Expect::Absent)]);
        let other = desk.copied_to(&room.path().join("other"));
        for (desk, content, stick) in [(&desk, b"b", "ours"), (&other, b"B", "different")] {
            let accepted = Paper::new("alice", 2, base).put("open/b", content, Expect::Absent);
            let refused = Paper::new("bob", 1, base).put("open/a", content, Expect::Absent);
            desk.judge(&room.path().join(stick), &[accepted, refused]);
        }
        let newer = desk.copied_to(&room.path().join("on"));
        let accepted = Paper::new("alice", 3, base).put("open/c", b"c", Expect::Absent);
        let refused = Paper::new("bob", 2, base).put("open/a", b"more", Expect::Absent);
        newer.judge(&room.path().join("newer"), &[accepted, refused]);
        Scene { room, desk }
    }

    fn said(&self, by: &str) -> Said {
        let stick = self.room.path().join(by);
        let session = if by == "newer" { 3 } else { 2 };
        let receipts = fs::read(stick.join(format!("tabellion/results/session-{session:06}.receipts"))).unwrap();
        let (mut proof, mut note, mut at) = (None, None, 0);
        while let Some(len) = item_len(&receipts[at..]).unwrap().filter(|_| at < receipts.len()) {
            let mut r = Reader::new(&receipts[at..at + len]);
            r.array_of(2).unwrap();
            r.hash().unwrap();
            let receipt = String::from_utf8(r.bytes().unwrap().to_vec()).unwrap();
            if receipt.starts_with("c2sp.org/tlog-proof") {
                proof = Some(receipt)
            } else {
                note = Some(receipt)
            }
            at += len;
        }
        let checkpoint = fs::read_to_string(stick.join("tabellion/common/checkpoint")).unwrap();
        Said { checkpoint, proof: proof.unwrap(), note: note.unwrap() }
    }

    /// What a desk hears on a stick with one file.
    fn hears(&self, desk: &Desk, path: &str, content: &[u8]) -> Gossip {
        let stick = tempfile::tempdir_in(self.room.path()).unwrap();
        support::write(&stick.path().join(path), content);
        hears(desk, &[stick.path().to_owned()])
    }
}

fn hears(desk: &Desk, media: &[PathBuf]) -> Gossip {
    let staging = tempfile::tempdir().unwrap();
    let bag = Bag::gather(media, staging.path(), desk.books()).unwrap();
    gossip::listen(&bag, desk.books()).unwrap()
}

fn receipts_file(receipts: &[&str]) -> Vec<u8> {
    let receipts = (0..).zip(receipts).map(|(n, receipt)| (Hash([n; 32]), receipt.as_bytes().to_vec()));
    tabellion::core::publish::receipts_file(&receipts.collect::<BTreeMap<_, _>>())
}

fn fork_file(first: &str, second: &str) -> Vec<u8> {
    let encoded = |text: &str| STANDARD.encode(text);
    let vkey = log_key("witness").1;
    format!("tabellion-fork v1\nvkey {vkey}\nclaim head\nfirst {}\nsecond {}\n", encoded(first), encoded(second)).into_bytes()
}

/// Every kind of file that can carry a text of ours, by name; `change` is done to each signed text in it.
fn kinds(said: &Said, change: &dyn Fn(&str) -> String) -> Vec<(&'static str, Vec<u8>)> {
    let [checkpoint, note] = [&said.checkpoint, &said.note].map(|text| change(text));
    let (path, under) = said.proof.split_once("\n\n").unwrap();
    let proof = format!("{path}\n\n{}", change(under));
    vec![
        ("checkpoint", checkpoint.clone().into_bytes()),
        ("cosigned", format!("{checkpoint}\u{2014} others.example/witness {}\n", STANDARD.encode([7; 76])).into_bytes()),
        ("note", note.clone().into_bytes()),
        ("proof", proof.clone().into_bytes()),
        ("catch-up", format!("old 1\n\n{checkpoint}").into_bytes()),
        ("proof of a name", format!("tabellion-proof v1\nstate-proof oA==\n\n{proof}").into_bytes()),
        ("receipts of proofs", receipts_file(&[&proof])),
        ("receipts of notes", receipts_file(&[&note])),
        ("fork proof", fork_file(&checkpoint, &note)),
    ]
}

/// Where things lie: a name and a folder mean nothing.
const PLACES: &[&str] = &[
    "photos/holiday.jpg",
    "tabellion/inbox/any",
    "tabellion/heads/0123456789abcdef.checkpoint",
    "tabellion/results/session-000009.receipts",
    "tabellion/results/deep/er/again.receipts",
    "tabellion/common/checkpoint",
    "tabellion/common/common@7.tlog-proof",
    "tabellion/common/rotation/7.tlog-proof",
    "tabellion/evidence/0123456789abcdef/01.note",
    "papers/9a.receipt",
    "1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21/22/23/24/25/26/27/28/29/30/x",
];

fn as_it_is(text: &str) -> String {
    text.to_owned()
}

fn by_a_stranger(text: &str) -> String {
    signed(Note::parse(text.as_bytes()).unwrap().text, "somebody else")
}

/// The last character of the signature that says anything is another.
fn broken(text: &str) -> String {
    let mut text = text.to_owned().into_bytes();
    let at = text.len() - 20;
    text[at] = if text[at] == b'A' { b'B' } else { b'A' };
    String::from_utf8(text).unwrap()
}

#[test]
fn every_text_of_ours_that_the_ledger_lacks_is_evidence_wherever_it_lies() {
    let scene = Scene::new();
    let desk = scene.desk.desk();
    let (ours, newer, different) = (scene.said("ours"), scene.said("newer"), scene.said("different"));
    type Change<'a> = &'a dyn Fn(&str) -> String;
    let standings: [(&str, &Said, Change<'_>, bool); 7] = [
        ("ours", &ours, &as_it_is, false),
        ("newer", &newer, &as_it_is, true),
        ("different", &different, &as_it_is, true),
        ("a stranger's of the same name", &different, &by_a_stranger, false),
        ("broken", &different, &broken, false),
        // A broken line of ours beside a genuine one does not undo the signature.
        ("spoilt", &different, &|text| format!("{text}{}", line("another text\n", "witness")), true),
        ("ours, spoilt", &ours, &|text| format!("{text}{}", line("another text\n", "witness")), false),
    ];
    for (standing, said, change, halts) in standings {
        for (kind, content) in kinds(said, change) {
            for place in PLACES {
                let gossip = scene.hears(&desk, place, &content);
                assert_eq!(!gossip.evidence.is_empty(), halts, "{kind}, {standing}, at {place}");
                assert!(gossip.reported.is_empty());
                assert!(gossip.evidence.iter().all(|found| found.path == *place && found.file == Hash::of(&content) && found.medium == 0));
            }
        }
    }
}

#[test]
fn what_the_log_key_must_never_sign_is_evidence_too() {
    let scene = Scene::new();
    let desk = scene.desk.desk();
    let root = desk.books().head().root;
    let root = STANDARD.encode(root.0);
    let of_the_empty_log = STANDARD.encode(Hash::of(b"").0);
    for text in [
        "a letter\n".to_owned(),
        format!("{ORIGIN}\n3\n{root}\nan extension line\n"),
        format!("{ORIGIN}\n0\n{of_the_empty_log}\n"),
        format!("another.example/common\n3\n{root}\n"),
        format!("{ORIGIN}\n03\n{root}\n"),
    ] {
        assert_eq!(scene.hears(&desk, "x", signed(&text, "witness").as_bytes()).evidence.len(), 1, "{text}");
        assert!(scene.hears(&desk, "x", signed(&text, "somebody else").as_bytes()).evidence.is_empty(), "{text}");
    }
}

#[test]
fn another_answer_to_a_paper_we_answered_is_evidence() {
    let scene = Scene::new();
    let desk = scene.desk.desk();
    let ours = scene.said("ours").note;
    let text = Note::parse(ours.as_bytes()).unwrap().text;
    let other = text.replacen("detail ", "detail other ", 1);
    let gossip = scene.hears(&desk, "x", signed(&other, "witness").as_bytes());
    assert_eq!(gossip.evidence.len(), 1);
    assert!(gossip.evidence[0].evidence.expected.starts_with("our answer was refused expectation-failed on common@2 "));
    assert_eq!(gossip.evidence[0].evidence.ours.as_deref(), Some(ours.as_str()));
    assert!(scene.hears(&desk, "x", signed(text, "witness").as_bytes()).evidence.is_empty());
}

/// A desk with one more event: an order that settled these texts.
fn settled(scene: &Scene, name: &str, texts: &[&str]) -> Desk {
    let dir = scene.desk.copied_to(&scene.room.path().join(name)).dir;
    let mut desk = Desk::open(&dir).unwrap_or_else(|problem| panic!("{problem}"));
    let passphrase = tabellion::keys::Passphrase::new(&"test".to_owned().into()).unwrap();
    let keys = DeskKeys::unlock(&dir.join(KEY_FILE), &passphrase, desk.books().charter().unwrap()).unwrap();
    desk.unlock(&keys).unwrap();
    let mut settled: Vec<Hash> = texts.iter().map(|text| Hash::of(Note::parse(text.as_bytes()).unwrap().text.as_bytes())).collect();
    settled.sort();
    let halt = Halt { rule: Rule::HeadElsewhere, dossier: Hash([7; 32]), found: "a test's".into() };
    let what = What::Resume { dossier: halt.dossier, settled: settled.clone() };
    let order = Order { origin: ORIGIN.parse().unwrap(), number: 1, head: desk.books().head(), what, note: None };
    let envelope = support::envelope(PaperKind::Order, &order.to_cbor(), &["alice", "bob"]);
    let envelope = Envelope::from_cbor(&envelope).unwrap();
    let resume = Resume { order: envelope.pid(), env: envelope.env(), dossier: halt.dossier, settled, envelope };
    for (event_type, payload) in [(EventType::Halt, halt.to_cbor()), (EventType::Resume, resume.to_cbor())] {
        let event_id = desk.books().next_event_id();
        desk.commit(vec![NewEvent { event_id, timestamp: 0, event_type, payload }], &mut |_, _| {}).unwrap();
    }
    drop(desk);
    Desk::open_to_look(&dir).unwrap_or_else(|problem| panic!("{problem}"))
}

#[test]
fn what_an_order_settled_is_reported_ever_after_and_halts_no_more() {
    let scene = Scene::new();
    let said = scene.said("different");
    let desk = settled(&scene, "resumed", &[&said.checkpoint, &said.note]);
    for (kind, content) in kinds(&said, &as_it_is) {
        let gossip = scene.hears(&desk, "photos/holiday.jpg", &content);
        assert!(gossip.evidence.is_empty(), "{kind}");
        let settled = |reported: &Reported| matches!(reported, Reported::Settled { order, .. } if desk.books().trouble().used().has(order));
        assert!(!gossip.reported.is_empty() && gossip.reported.iter().all(settled), "{kind}");
    }
    // Only that text: a newer one under the same key halts.
    assert_eq!(scene.hears(&desk, "x", scene.said("newer").checkpoint.as_bytes()).evidence.len(), 1);
    // And a session goes on, says so, and can be followed by another.
    let notary = Notary { dir: scene.room.path().join("resumed") };
    let stick = scene.room.path().join("again");
    support::write(&stick.join("x"), said.checkpoint.as_bytes());
    assert_eq!(notary.session(std::slice::from_ref(&stick), None).reported.len(), 1);
    let paper = Paper::new("alice", 9, notary.head()).put("open/z", b"z", Expect::Absent);
    assert!(notary.judge(&stick, &[paper]).is_new);
}

/// Hashes of a desk's files but those of SQLite, which opening touches.
fn beside_the_database(tree: &BTreeMap<String, Vec<u8>>) -> Vec<(&str, Hash)> {
    let files = tree.iter().filter(|(path, _)| !path.starts_with("ledger.db"));
    files.map(|(path, bytes)| (path.as_str(), Hash::of(bytes))).collect()
}

#[test]
fn a_halt_leaves_its_file_the_dossier_and_the_evidence_and_nothing_else() {
    let scene = Scene::new();
    let media: Vec<PathBuf> = ["a", "b", "c"].map(|name| scene.room.path().join(name)).into();
    let said = scene.said("different");
    // The second medium alone brings evidence, and brings a paper; the third cannot be written to.
    fs::create_dir_all(&media[0]).unwrap();
    support::write(&media[1].join("photos/holiday.jpg"), said.checkpoint.as_bytes());
    support::write(&media[1].join("paper"), &Paper::new("alice", 9, scene.desk.head()).put("open/z", b"z", Expect::Absent).envelope());
    support::write(&media[2].join("tabellion"), b"a file in the way");
    let before: Vec<_> = media.iter().map(|medium| tree(medium)).collect();
    let (desk_before, last_hash) = (tree(&scene.desk.dir), scene.desk.desk().books().last_hash());

    let mut effects = Vec::new();
    let request = session::Request { ledger: scene.desk.dir.clone(), media: media.clone(), time: None, held: false };
    let problem = session::session(&request, &mut support::Agrees, &mut |effect, what| effects.push((effect, what.to_owned())));
    let problem = problem.err().expect("halted");
    assert_eq!((problem.fault.rule, problem.exit().code()), (Rule::HeadElsewhere, 5));
    assert!(problem.fault.found.starts_with("photos/holiday.jpg carries our signature on common@3 "), "{problem}");
    assert!(problem.state.contains("no evidence could be written to") && problem.state.contains("a file found"), "{problem}");

    // The desk: the halt file and the dossier, named by its hash, beside what was there.
    let mut desk_after = tree(&scene.desk.dir);
    let halt = String::from_utf8(desk_after.remove("halt").expect("a halt file")).unwrap();
    let dossier_path = desk_after.keys().find(|path| path.starts_with("halt-evidence/")).expect("a dossier").clone();
    let dossier = desk_after.remove(&dossier_path).unwrap();
    let hash = Hash::of(&dossier);
    assert_eq!(dossier_path, format!("halt-evidence/{hash}.txt"));
    assert_eq!(halt.lines().nth(2), Some(format!("dossier sha256:{hash}").as_str()));
    assert_eq!(beside_the_database(&desk_after), beside_the_database(&desk_before));
    assert_eq!(scene.desk.desk().books().last_hash(), last_hash);
    // In words, with both values, our own signature on the same number, and the file it lay in.
    let dossier = String::from_utf8(dossier).unwrap();
    let ours = scene.said("ours").checkpoint;
    for expected in [
        format!("file      sha256:{}", Hash::of(said.checkpoint.as_bytes())),
        "photos/holiday.jpg on medium 2".into(),
        format!("| {}", said.checkpoint.lines().nth(2).unwrap()),
        format!("| {}", ours.lines().nth(2).unwrap()),
        format!("| {}", ours.lines().last().unwrap()),
        format!("text      sha256:{}", Hash::of(Note::parse(said.checkpoint.as_bytes()).unwrap().text.as_bytes())),
    ] {
        assert!(dossier.contains(&expected), "{expected}\n{dossier}");
    }
    // The media: the evidence, on each that takes it.
    let folder = format!("tabellion/evidence/{}/", &hash.hex()[..16]);
    for (medium, before) in media[..2].iter().zip(&before) {
        let mut after = tree(medium);
        after.retain(|path, bytes| before.get(path) != Some(bytes));
        let names: Vec<&str> = after.keys().map(|path| path.strip_prefix(&folder).expect("only evidence")).collect();
        assert_eq!(names, ["01.note", "01.ours.note", "dossier.txt", "fork.proof"]);
        assert_eq!(after[&format!("{folder}01.note")], said.checkpoint.as_bytes());
        let proof = String::from_utf8(after[&format!("{folder}fork.proof")].clone()).unwrap();
        assert!(ForkProof::parse(&proof, &log_key("witness").1).is_ok());
    }
    assert_eq!(tree(&media[2]), before[2]);
    let halted_at = effects.iter().position(|(effect, _)| *effect == "halt").expect("a halt");
    assert!(effects[..halted_at].iter().all(|(effect, _)| ["open the ledger", "copy the media"].contains(effect)), "{effects:?}");
    assert!(effects[halted_at + 2..].iter().all(|(_, path)| path.starts_with("tabellion")), "{effects:?}");

    // A second run says so, names the dossier, and writes nothing at all.
    let (before, desk_before) = (media.iter().map(|medium| tree(medium)).collect::<Vec<_>>(), tree(&scene.desk.dir));
    let again = scene.desk.try_session(&media, None).err().expect("halted");
    assert_eq!(again.fault.rule, Rule::Halted);
    assert!(again.fault.found.contains(&format!("dossier sha256:{hash}")), "{again}");
    assert_eq!(media.iter().map(|medium| tree(medium)).collect::<Vec<_>>(), before);
    assert_eq!(beside_the_database(&tree(&scene.desk.dir)), beside_the_database(&desk_before));
    assert_eq!(scene.desk.desk().books().last_hash(), last_hash);
    // Reading and export go on.
    let blank = scene.room.path().join("blank");
    fs::create_dir_all(&blank).unwrap();
    session::export(&scene.desk.dir, &blank, &mut |_, _| {}).unwrap_or_else(|problem| panic!("{problem}"));
    assert!(blank.join("tabellion/common/checkpoint").is_file());
}

#[test]
fn evidence_halts_whoever_it_is_brought_to_and_an_export_listens_too() {
    let scene = Scene::new();
    let stick = scene.room.path().join("stick");
    support::write(&stick.join("x"), scene.said("different").checkpoint.as_bytes());
    let copies: Vec<Notary> = ["one", "two"].map(|name| scene.desk.copied_to(&scene.room.path().join(name))).into();
    let before = tree(&stick);
    let problem = session::export(&copies[0].dir, &stick, &mut |_, _| {}).err().expect("halted");
    assert_eq!(problem.fault.rule, Rule::HeadElsewhere);
    let mut after = tree(&stick);
    after.retain(|path, bytes| before.get(path) != Some(bytes));
    assert!(!after.is_empty() && after.keys().all(|path| path.starts_with("tabellion/evidence/")), "{:?}", after.keys());
    // What it left carries both signatures: the other desk halts over the evidence alone.
    fs::remove_file(stick.join("x")).unwrap();
    let other = Notary { dir: scene.room.path().join("other") };
    assert_eq!(other.try_session(std::slice::from_ref(&stick), None).err().expect("halted").fault.rule, Rule::HeadElsewhere);
    // The dossier alone is text for people and halts nobody.
    let dossier = tree(&copies[0].dir).into_iter().find(|(path, _)| path.starts_with("halt-evidence/")).unwrap().1;
    assert!(scene.hears(&scene.desk.desk(), "dossier.txt", &dossier).evidence.is_empty());
}

#[test]
fn a_text_of_a_session_that_is_committed_but_not_sealed_is_evidence() {
    let scene = Scene::new();
    let dir = scene.desk.copied_to(&scene.room.path().join("unsealed")).dir;
    let stick = scene.room.path().join("half");
    let paper = Paper::new("alice", 3, scene.desk.head()).put("open/c", b"c", Expect::Absent);
    support::write(&stick.join("paper"), &paper.envelope());
    let request = session::Request { ledger: dir.clone(), media: vec![stick], time: None, held: false };
    let broken = std::panic::catch_unwind(|| {
        session::session(&request, &mut support::Agrees, &mut |effect, _| {
            assert_ne!(effect, "sign checkpoints and notes", "the power fails")
        })
    });
    assert!(broken.is_err());
    let desk = Desk::open_to_look(&dir).unwrap_or_else(|problem| panic!("{problem}"));
    assert!(desk.books().unsealed().is_some());
    let head = desk.books().head();
    let text = format!("{ORIGIN}\n{}\n{}\n", head.number, STANDARD.encode(head.root.0));
    let gossip = scene.hears(&desk, "x", signed(&text, "witness").as_bytes());
    assert_eq!(gossip.evidence.len(), 1);
    assert_eq!(gossip.evidence[0].evidence.expected, "the same, but this ledger has not sealed it yet");
}

#[test]
fn a_consumer_who_saw_a_clones_head_brings_it_home_by_advancing() {
    let scene = Scene::new();
    let at = |path: &str| scene.room.path().join(path);
    let fingerprint = scene.desk.desk().books().log().root_at(1).unwrap();
    // Pinned from the clone's folder, which some mirror carries: no medium, so nothing is left there.
    fs::create_dir_all(at("mirror")).unwrap();
    support::copy_folder(&at("different/tabellion/common"), &at("mirror"));
    let before = tree(&at("mirror"));
    let (pin, ..) =
        consumer::pin(&at("mirror"), &fingerprint, None, &at("consumer/common.pin")).unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!(tree(&at("mirror")), before);
    // At home the desk's own stick is refused, and yet carries the news back.
    fs::create_dir_all(at("stick")).unwrap();
    session::export(&scene.desk.dir, &at("stick"), &mut |_, _| {}).unwrap_or_else(|problem| panic!("{problem}"));
    let problem = advance::advance(&at("stick"), &at("consumer/common.pin"), None).err().expect("another history");
    assert_eq!(problem.fault.rule, Rule::ProofFails);
    assert!(problem.state.contains("left common@3"), "{problem}");
    assert_eq!(consumer::read_pin(&at("consumer/common.pin")).unwrap(), pin);
    let problem = scene.desk.try_session(&[at("stick")], None).err().expect("halted");
    assert!(problem.fault.found.starts_with("tabellion/heads/"), "{problem}");
    assert_eq!(problem.fault.rule, Rule::HeadElsewhere);

    // The other way round: what was refused is carried to the next stick as well.
    let honest = scene.desk.copied_to(&at("honest"));
    fs::remove_dir_all(honest.dir.join("halt-evidence")).unwrap();
    fs::remove_file(honest.dir.join("halt")).unwrap();
    fs::create_dir_all(at("stick2")).unwrap();
    session::export(&honest.dir, &at("stick2"), &mut |_, _| {}).unwrap_or_else(|problem| panic!("{problem}"));
    consumer::pin(&at("stick2"), &fingerprint, None, &at("second/common.pin")).unwrap_or_else(|problem| panic!("{problem}"));
    assert!(hears(&honest.desk(), &[at("stick2")]).evidence.is_empty());
    advance::advance(&at("mirror"), &at("second/common.pin"), None).err().expect("another history");
    let advanced = advance::advance(&at("stick2"), &at("second/common.pin"), None).unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!(advanced.carried.heads.len(), 1, "{:?}", advanced.carried);
    assert_eq!(hears(&honest.desk(), &[at("stick2")]).evidence.len(), 1);
}

#[test]
fn heads_on_a_medium_do_not_grow_without_end_and_nothing_there_is_fatal() {
    let scene = Scene::new();
    let at = |path: &str| scene.room.path().join(path);
    let (stick, pin_path) = (at("ours"), at("consumer/common.pin"));
    let fingerprint = scene.desk.desk().books().log().root_at(1).unwrap();
    consumer::pin(&stick, &fingerprint, None, &pin_path).unwrap_or_else(|problem| panic!("{problem}"));
    let names = || tree(&stick.join("tabellion/heads")).into_keys().collect::<Vec<_>>();
    let first = names();
    assert_eq!(first.len(), 1);
    assert!(first[0].len() == 27 && first[0].ends_with(".checkpoint"), "{first:?}");
    // The next head takes the place of the one it continues; what others put there, or what contradicts it, stays.
    scene.desk.judge(&stick, &[Paper::new("alice", 5, scene.desk.head()).put("open/e", b"e", Expect::Absent)]);
    support::write(&stick.join("tabellion/heads/somebody.txt"), b"else's");
    support::write(&stick.join("tabellion/heads/0000000000000000.checkpoint"), scene.said("different").checkpoint.as_bytes());
    let advanced = || advance::advance(&stick, &pin_path, None).unwrap_or_else(|problem| panic!("{problem}")).carried;
    assert_eq!(advanced().heads, [scene.desk.head()]);
    let mut second = names();
    second.retain(|name| name != "somebody.txt" && name != "0000000000000000.checkpoint");
    assert_eq!((second.len(), names().len()), (1, 3));
    assert_ne!(second, first);
    assert_eq!(advanced().passed_over, Vec::<String>::new());
    // A folder somebody filled: said, and passed over.
    for n in 0..300 {
        support::write(&stick.join(format!("tabellion/heads/{n}.txt")), b"x");
    }
    fs::remove_file(stick.join("tabellion/heads").join(&second[0])).unwrap();
    let carried = advanced();
    assert!(carried.heads.is_empty() && carried.passed_over[0].contains("302 files found in tabellion/heads"), "{carried:?}");
    assert_eq!(names().len(), 302);
    // A link in its place is not followed.
    let elsewhere = at("elsewhere");
    fs::create_dir_all(&elsewhere).unwrap();
    fs::remove_dir_all(stick.join("tabellion/heads")).unwrap();
    std::os::unix::fs::symlink(&elsewhere, stick.join("tabellion/heads")).unwrap();
    assert!(advanced().passed_over[0].contains("a symbolic link found"));
    assert!(tree(&elsewhere).is_empty());
    // What lies beside the pin and is no checkpoint of this key is left as it is.
    fs::write(at("consumer/common.checkpoint"), b"my notes").unwrap();
    assert!(advanced().passed_over.iter().any(|reason| reason.contains("was left as it is")));
    assert_eq!(fs::read(at("consumer/common.checkpoint")).unwrap(), b"my notes");
}

/// Seeds of evidence among what a hostile medium can bring.
#[test]
fn a_medium_full_of_what_looks_like_notes_is_heard_to_its_end() {
    let scene = Scene::new();
    let desk = scene.desk.desk();
    let said = scene.said("different");
    let stick = scene.room.path().join("hostile");
    let spoilt = broken(&said.checkpoint);
    for n in 0..2_000 {
        support::write(
            &stick.join(format!("{}/{n}", n % 20)),
            spoilt.replacen(ORIGIN, &format!("{ORIGIN}{n}"), usize::from(n % 2 == 0)).as_bytes(),
        );
    }
    // A checkpoint of a megabyte, and one whose hundred lines all claim to be ours, with the genuine one last.
    let (text, genuine) = said.checkpoint.split_once("\n\n").unwrap();
    let lines = |count: usize| line("another\n", "witness").repeat(count);
    support::write(&stick.join("large"), format!("{text}\n\n{}", lines(9_000)).as_bytes());
    support::write(&stick.join("hundred"), format!("{text}\n\n{}{genuine}", lines(99)).as_bytes());
    // Receipts whose items lie about their length.
    for (name, head) in
        [("a", &[0x5a_u8, 0xff, 0xff, 0xff, 0xff][..]), ("b", &[0x5b, 0, 0, 0, 0, 0, 0, 0, 1]), ("c", &[0x5a, 0, 0, 1, 0]), ("d", &[0x41])]
    {
        support::write(&stick.join(format!("{name}.receipts")), &[&[0x82, 0x58, 0x20][..], &[1; 32], head].concat());
    }
    assert!(hears(&desk, std::slice::from_ref(&stick)).evidence.is_empty());
    support::write(&stick.join("zz/last"), said.note.as_bytes());
    let gossip = hears(&desk, &[scene.room.path().join("ours"), stick]);
    assert_eq!(gossip.evidence.iter().map(|found| (found.medium, found.path.as_str())).collect::<Vec<_>>(), [(1, "zz/last")]);
}

#[test]
fn a_dossier_of_many_texts_lists_every_hash_and_shows_some() {
    let scene = Scene::new();
    let stick = scene.room.path().join("many");
    let root = |n: u64| STANDARD.encode(Hash::of(&n.to_be_bytes()).0);
    let texts: Vec<String> = (10..60).map(|n| format!("{ORIGIN}\n{n}\n{}\n", root(n))).collect();
    let receipts: Vec<String> = texts.iter().map(|text| signed(text, "witness")).collect();
    support::write(&stick.join("x"), &receipts_file(&receipts.iter().map(String::as_str).collect::<Vec<_>>()));
    let problem = scene.desk.try_session(std::slice::from_ref(&stick), None).err().expect("halted");
    assert!(problem.fault.found.ends_with("(and 49 more of our texts that it does not know)"), "{problem}");
    let files = tree(&stick.join("tabellion/evidence"));
    assert_eq!(files.keys().filter(|path| path.ends_with(".note") && !path.ends_with(".ours.note")).count(), 32);
    let dossier = files.iter().find(|(path, _)| path.ends_with("dossier.txt")).unwrap().1;
    let dossier = String::from_utf8(dossier.clone()).unwrap();
    assert!(texts.iter().all(|text| dossier.contains(&format!("sha256:{}", Hash::of(text.as_bytes())))));
}

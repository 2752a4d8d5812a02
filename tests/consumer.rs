//! A consumer and a folder nobody trusts: pages behind a pin, proofs that travel alone, and what changed between two numbers. Folders come from
//! a desk, or from a witness who signs what is false.
#![cfg(feature = "desk")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use support::{Notary, ORIGIN, Paper, copy_folder, policy, policy_toml, room, seed, tree};
use tabellion::core::cbor::{Canonical as _, Reader, item_len};
use tabellion::core::ids::{Hash, Head, Name, Pid};
use tabellion::core::name_proof::NameProof;
use tabellion::core::note::{CatchUp, Checkpoint, VerifierKey, assemble, signature_line};
use tabellion::core::pin::Pin;
use tabellion::core::proposal::{Expect, Operation};
use tabellion::core::record::{Keys, Record, RecordKind};
use tabellion::core::rules::Rule;
use tabellion::core::tile::{decode_bundle, encode_bundle};
use tabellion::core::tree::{Log, leaf_hash};
use tabellion::run::advance::advance;
use tabellion::run::consumer::{verify_folder, verify_receipt};
use tabellion::run::diff::diff;
use tabellion::run::folder::Folder;
use tabellion::run::{prove, session};
use tempfile::TempDir;

const ONE: &[u8] = b"one";
const TWO: &[u8] = b"the second";
const PAPERS: u64 = 9;

/// A desk at common@9, and a stick with its folder and the receipts:
///
/// | session | 1 | 1 | 2 | 3 | 3 | 3 | 4 | 4 |
/// |---|---|---|---|---|---|---|---|---|
/// | number | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 |
/// | author | alice | alice | alice | bob | bob | bob | bob | bob |
/// | does | put open/a: one | put docs/b | policy | put open/a: two | remove docs/b | put open/c | put open/a: one | remove open/c |
struct Desk {
    room: TempDir,
    papers: Vec<Paper>,
}

fn desk() -> &'static Desk {
    static DESK: OnceLock<Desk> = OnceLock::new();
    DESK.get_or_init(|| {
        let room = room();
        let notary = Notary::found(&room.path().join("witness"), &policy_toml(10));
        let stick = room.path().join("stick");
        let base = notary.head();
        let new_policy = Operation::SetPolicy { expect: None, policy: Box::new(policy(&policy_toml(11))) };
        let hash = |content: &[u8]| Hash::of(content);
        let sessions = [
            vec![
                Paper::new("alice", 1, base).put("open/a", ONE, Expect::Absent),
                Paper::new("alice", 2, base).put("docs/b", b"docs", Expect::Absent).signed_by(&["bob"]),
            ],
            vec![Paper::new("alice", 3, base).with(new_policy).signed_by(&["bob", "carol"])],
            vec![
                Paper::new("bob", 1, base).put("open/a", TWO, Expect::Content(hash(ONE))),
                Paper::new("bob", 2, base).remove("docs/b", None).signed_by(&["carol"]),
                Paper::new("bob", 3, base).put("open/c", b"c", Expect::Absent),
            ],
            vec![
                Paper::new("bob", 4, base).put("open/a", ONE, Expect::Content(hash(TWO))),
                Paper::new("bob", 5, base).remove("open/c", None),
            ],
        ];
        sessions.iter().for_each(|papers| drop(notary.judge(&stick, papers)));
        assert_eq!(notary.head().number, PAPERS);
        drop(session::export(&notary.dir, &stick, &mut |_, _| {}).unwrap_or_else(|problem| panic!("{problem}")));
        Desk { room, papers: sessions.concat() }
    })
}

fn common() -> PathBuf {
    desk().room.path().join("stick/tabellion/common")
}

fn vkey() -> VerifierKey {
    let origin: tabellion::core::ids::Origin = ORIGIN.parse().unwrap();
    VerifierKey::new(origin.clone(), &seed("witness").log(origin, false).public_bytes()).unwrap()
}

/// Records and papers of a folder at common@9.
fn pages(folder: &Path) -> Vec<(Record, Vec<u8>)> {
    let entries = fs::read(folder.join("tile/entries/000.p/9")).unwrap();
    let papers = fs::read(folder.join("papers/000.p/9")).unwrap();
    let mut at = 0;
    let each = decode_bundle(&entries).unwrap().into_iter().map(|entry| {
        let len = item_len(&papers[at..]).unwrap().unwrap();
        at += len;
        (Record::from_cbor(entry).unwrap(), papers[at - len..at].to_vec())
    });
    each.collect()
}

fn log_of(pages: &[(Record, Vec<u8>)]) -> Log {
    let mut log = Log::default();
    pages.iter().for_each(|(record, _)| {
        log.push(leaf_hash(&record.to_entry().unwrap()));
    });
    log
}

fn head(number: u64) -> Head {
    static LOG: OnceLock<Log> = OnceLock::new();
    let log = LOG.get_or_init(|| log_of(&pages(&common())));
    Head { number, root: log.root_at(number).unwrap() }
}

fn pin(number: u64) -> Pin {
    let vkey = vkey();
    Pin { origin: vkey.name().clone(), head: head(number), vkey, next: Hash([9; 32]), fingerprint: head(1).root }
}

/// A folder of the case's own, with a pin beside it.
struct Scene {
    dir: TempDir,
}

impl Scene {
    fn new(number: u64) -> Scene {
        let scene = Scene { dir: room() };
        copy_folder(&common(), &scene.folder());
        fs::write(scene.pin(), pin(number).text()).unwrap();
        scene
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("common")
    }

    fn pin(&self) -> PathBuf {
        self.dir.path().join("common.pin")
    }

    /// What the witness signs after this was done to its pages.
    fn forge(&self, change: impl FnOnce(&mut Vec<(Record, Vec<u8>)>)) {
        let mut pages = pages(&self.folder());
        change(&mut pages);
        let log = log_of(&pages);
        let entries: Vec<Vec<u8>> = pages.iter().map(|(record, _)| record.to_entry().unwrap()).collect();
        let key = seed("witness").log(ORIGIN.parse().unwrap(), false);
        let text =
            |number| Checkpoint { origin: ORIGIN.parse().unwrap(), head: Head { number, root: log.root_at(number).unwrap() } }.text();
        let line = |number| signature_line(vkey().name(), vkey().id(), &key.sign_note(&text(number)).unwrap());
        let lines: Vec<String> = (1..=PAPERS).map(line).collect();
        let write = |path: &str, bytes: Vec<u8>| fs::write(self.folder().join(path), bytes).unwrap();
        write("tile/0/000.p/9", log.tile(0, 0, 9).unwrap());
        write("tile/entries/000.p/9", encode_bundle(entries.iter().map(Vec::as_slice)).unwrap());
        write("papers/000.p/9", pages.iter().flat_map(|(_, paper)| paper.clone()).collect());
        write("checkpoints/000.p/9", encode_bundle(lines.iter().map(String::as_bytes)).unwrap());
        write("checkpoint", assemble(&text(PAPERS), &lines[8]).into_bytes());
    }

    fn refused(&self, what: &str, rule: Rule, says: &str) {
        let before = fs::read(self.pin()).unwrap();
        let problem = advance(&self.folder(), &self.pin(), None).err().unwrap_or_else(|| panic!("{what}: the pin was moved"));
        assert_eq!(problem.fault.rule, rule, "{what}: {problem}");
        assert!(problem.fault.found.contains(says), "{what}: {says:?} is not in\n{problem}");
        assert!(fs::read(self.pin()).unwrap() == before, "{what}: the pin was changed");
    }
}

// ------------------------------------------------------------------------------------------------------------- pages behind a pin

#[test]
fn a_pin_moves_from_every_number_to_every_later_one_and_lists_the_pages_between() {
    for from in 1..=PAPERS {
        for to in from..=PAPERS {
            let scene = Scene::new(from);
            let moved = advance(&scene.folder(), &scene.pin(), Some(to)).unwrap_or_else(|problem| panic!("{from} to {to}: {problem}"));
            let numbers: Vec<u64> = moved.pages.unwrap().iter().map(|page| page.record.number).collect();
            assert_eq!(numbers, (from + 1..=to).collect::<Vec<_>>());
            assert_eq!(Pin::parse(&fs::read_to_string(scene.pin()).unwrap()).unwrap(), pin(to));
            assert_eq!(Checkpoint::parse_signed(moved.checkpoint.as_bytes(), &vkey()).unwrap().head, head(to));
        }
    }
}

#[test]
fn five_files_are_on_the_way_and_each_third_byte_of_them_counts() {
    let policy = policy(&policy_toml(11)).hash();
    let files = ["checkpoint", "tile/0/000.p/9", "tile/entries/000.p/9", "papers/000.p/9", &format!("policies/{policy}.cbor")];
    let scene = Scene::new(5);
    fs::remove_dir_all(scene.folder()).unwrap();
    for path in files {
        fs::create_dir_all(scene.folder().join(path).parent().unwrap()).unwrap();
        fs::copy(common().join(path), scene.folder().join(path)).unwrap();
    }
    let pages = pages(&common());
    // Of entries and papers before the pin only where they end is of interest; the pinned record is on the way.
    let entries_before: usize = pages[..4].iter().map(|(record, _)| 2 + record.to_entry().unwrap().len()).sum();
    let papers_before: usize = pages[..5].iter().map(|(_, paper)| paper.len()).sum();
    let before = fs::read(scene.pin()).unwrap();
    for (path, from) in files.into_iter().zip([0, 0, entries_before, papers_before, 0]) {
        let full = scene.folder().join(path);
        let whole = fs::read(&full).unwrap();
        for at in (from..whole.len()).step_by(3).chain([whole.len() - 1]) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&full, &bytes).unwrap();
            assert!(advance(&scene.folder(), &scene.pin(), None).is_err(), "byte {at} of {path} flipped: the pin was moved");
        }
        fs::write(&full, &whole[..whole.len() - 1]).unwrap();
        assert!(advance(&scene.folder(), &scene.pin(), None).is_err(), "{path} cut: the pin was moved");
        fs::remove_file(&full).unwrap();
        scene.refused(path, if path == "checkpoint" { Rule::NotFound } else { Rule::FolderIncomplete }, "");
        fs::write(&full, &whole).unwrap();
    }
    // Another record in the pinned one's place is named as that, before any policy is looked for by what it says.
    let full = scene.folder().join("tile/entries/000.p/9");
    let whole = fs::read(&full).unwrap();
    let mut bytes = whole.clone();
    bytes[entries_before + 100] ^= 1;
    fs::write(&full, bytes).unwrap();
    scene.refused("pinned record", Rule::ProofFails, "the tiles and the record of common@5 lead to");
    fs::write(&full, whole).unwrap();
    assert!(fs::read(scene.pin()).unwrap() == before);
    advance(&scene.folder(), &scene.pin(), None).unwrap_or_else(|problem| panic!("{problem}"));
}

type Forgery = (&'static str, fn(&mut Vec<(Record, Vec<u8>)>), Rule, &'static str);

/// Replaces the paper of a number by another envelope, and lets the record fit it.
fn set_paper(page: &mut (Record, Vec<u8>), envelope: Vec<u8>, pid: Pid) {
    *page = (Record { pid, env: Hash::of(&envelope), ..page.0.clone() }, envelope);
}

const FORGERIES: [Forgery; 11] = [
    (
        "the papers of two numbers changed places",
        |pages| {
            let other = pages[4].1.clone();
            pages[4].1 = std::mem::replace(&mut pages[2].1, other);
        },
        Rule::ProofFails,
        "common@3: envelope",
    ),
    ("a record of another paper", |pages| pages[4].0.pid = pages[5].0.pid, Rule::ProofFails, "common@5: paper"),
    ("judged by the policy before", |pages| pages[4].0.policy = pages[3].0.policy, Rule::ProofFails, "common@5: policy"),
    (
        "an approval is missing",
        |pages| set_paper(&mut pages[2], desk().papers[1].envelope_by(&["alice"]), desk().papers[1].pid()),
        Rule::ProofFails,
        "common@3: approvals 1 of board in the record; 2",
    ),
    (
        "the author did not sign",
        |pages| set_paper(&mut pages[1], desk().papers[0].envelope_by(&["bob"]), desk().papers[0].pid()),
        Rule::ProofFails,
        "common@2: signatures without alice",
    ),
    (
        "a stranger signed too",
        |pages| set_paper(&mut pages[1], desk().papers[0].envelope_by(&["alice", "mallory"]), desk().papers[0].pid()),
        Rule::ProofFails,
        "common@2: signature by",
    ),
    ("a number was left out", |pages| pages[4].0.number = 6, Rule::ProofFails, "common@5: number 6"),
    (
        "the log key was replaced on the way",
        |pages| {
            let keys = Some(Keys { log: vkey(), ledger_public: [7; 32] });
            pages[5].0 = Record { kind: RecordKind::Rotation, keys, next: Some(Hash([8; 32])), ..pages[5].0.clone() };
        },
        Rule::RecordForm,
        "common@6 is a key rotation record",
    ),
    (
        "a second charter",
        |pages| {
            let (number, state_root, charter) = (5, pages[4].0.state_root, pages[0].clone());
            pages[4] = (Record { number, state_root, ..charter.0 }, charter.1);
        },
        Rule::ProofFails,
        "common@5: record of kind charter",
    ),
    ("another policy than the paper's", |pages| pages[3].0.new_policy = Some(Hash([1; 32])), Rule::ProofFails, "common@4: new policy"),
    (
        "a paper for another Common",
        |pages| {
            let mut paper = desk().papers[0].clone();
            paper.proposal.origin = "elsewhere.example/common".parse().unwrap();
            set_paper(&mut pages[1], paper.envelope(), paper.pid());
        },
        Rule::ProofFails,
        "common@2: paper for elsewhere.example/common",
    ),
];

#[test]
fn false_pages_that_the_witness_signed_move_no_pin() {
    for (what, change, rule, says) in FORGERIES {
        let scene = Scene::new(1);
        scene.forge(change);
        scene.refused(what, rule, says);
    }
    let scene = Scene::new(1);
    scene.forge(|_| {});
    assert!(tree(&scene.folder()) == tree(&common()), "a forger who changes nothing makes the folder as it was");
}

/// SPEC 4.12: what takes the pages before the pin is for `verify`.
#[test]
fn a_false_state_root_passes_a_move_and_not_a_verification() {
    let scene = Scene::new(1);
    scene.forge(|pages| pages[4].0.state_root = Hash([1; 32]));
    let pin = Pin { head: head(1), ..pin(1) };
    let problem = verify_folder(&scene.folder(), &pin).err().expect("a false state root was not seen");
    assert_eq!(problem.fault.rule, Rule::ProofFails);
    assert!(problem.fault.found.contains("common@5: state root"), "{problem}");
    advance(&scene.folder(), &scene.pin(), None).unwrap_or_else(|problem| panic!("{problem}"));
}

#[test]
fn a_policy_that_is_not_the_one_named_moves_no_pin() {
    let scene = Scene::new(5);
    let policies = scene.folder().join("policies");
    let of = |quota| policies.join(format!("{}.cbor", policy(&policy_toml(quota)).hash()));
    fs::copy(of(10), of(11)).unwrap();
    scene.refused("the older policy in its place", Rule::ProofFails, "expected, as the record says");
}

// ------------------------------------------------------------------------------------------------------------- proofs of a name

const NAMES: [&str; 4] = ["docs/b", "open/a", "open/c", "open/none"];

/// What the names above stand for after each number, by the table of [`Desk`].
fn expected(name: &str, number: u64) -> Option<&'static [u8]> {
    match (name, number) {
        ("docs/b", 3..=5) => Some(b"docs"),
        ("open/a", 2..=4 | 8..=9) => Some(ONE),
        ("open/a", 5..=7) => Some(TWO),
        ("open/c", 7..=8) => Some(b"c"),
        _ => None,
    }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn proof_of(text: &str, number: u64) -> NameProof {
    prove::of_name(&common(), &pin(3), &name(text), Some(number)).unwrap_or_else(|problem| panic!("{problem}"))
}

#[test]
fn every_name_has_a_proof_at_every_number_that_any_pin_accepts() {
    for text in NAMES {
        for number in 1..=PAPERS {
            let made = proof_of(text, number).text();
            for pinned in [1, 4, PAPERS] {
                let proved = prove::verify_name(made.as_bytes(), &pin(pinned)).unwrap_or_else(|fault| panic!("{text}@{number}: {fault}"));
                assert_eq!((proved.head, proved.record.number), (head(number), number));
                assert_eq!(proved.proof.state.name, name(text));
                let found = proved.proof.state.entry.map(|entry| (entry.sha256, entry.size));
                let content = expected(text, number);
                assert_eq!(found, content.map(|content| (Hash::of(content), content.len() as u64)), "{text}@{number}");
            }
            // What stands after the first empty line is a receipt-like proof, whole in itself.
            let (_, inclusion) = made.split_once("\n\n").unwrap();
            assert!(verify_receipt(inclusion.as_bytes(), &pin(1)).is_ok());
        }
    }
}

/// A flipped byte of the name can leave a proof of absence of another name, which is true: whose way through the tree ends in the same place.
#[test]
fn a_proof_of_a_name_with_any_byte_flipped_proves_nothing_but_what_is_true() {
    for (text, number) in [("open/a", 5), ("open/none", 5), ("docs/b", 1)] {
        let made = proof_of(text, number).text().into_bytes();
        for at in 0..made.len() {
            let mut bytes = made.clone();
            bytes[at] ^= 1;
            if let Ok(proved) = prove::verify_name(&bytes, &pin(9)) {
                let state = &proved.proof.state;
                let is_true = state.name.as_str() != text && state.entry.is_none() && !NAMES.contains(&state.name.as_str());
                assert!(is_true && proved.head == head(number), "byte {at} of the proof of {text}@{number} flipped: {state:?}");
            }
            assert!(prove::verify_name(&made[..at], &pin(9)).is_err(), "the proof of {text}@{number} cut at {at}");
        }
    }
}

#[test]
fn a_proof_put_together_from_true_parts_proves_nothing() {
    let (at5, at7) = (proof_of("open/a", 5), proof_of("open/c", 7));
    let receipt = prove::of_paper(&common(), &pin(3), &desk().papers[3].pid()).unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!(receipt.index, 4);
    let absent = |proof: &NameProof| {
        let mut state = proof.state.clone();
        state.entry = None;
        NameProof { state, ..proof.clone() }
    };
    let renamed = |proof: &NameProof, to: &str| {
        let mut state = proof.state.clone();
        state.name = name(to);
        NameProof { state, ..proof.clone() }
    };
    for (what, proof, says) in [
        ("the state of 7 under the record of 5", NameProof { state: at7.state.clone(), ..at5.clone() }, "the state root is"),
        (
            "the record of 5 under the checkpoint of 7",
            NameProof { inclusion: receipt, ..at5.clone() },
            "common@5 found at index 4 under a checkpoint of size 7",
        ),
        ("what is there as absent", absent(&at5), "the state root is"),
        ("another name's proof", renamed(&at5, "open/b"), "the state root is"),
        ("an absent name's way", renamed(&proof_of("open/none", 5), "open/a"), ""),
    ] {
        let fault = prove::verify_name(proof.text().as_bytes(), &pin(9)).err().unwrap_or_else(|| panic!("{what}: proved"));
        assert_eq!(fault.rule, Rule::ProofFails, "{what}: {fault}");
        assert!(fault.found.contains(says), "{what}: {fault}");
    }
    let text = at5.text();
    for (what, bad) in [
        ("two of them", format!("{text}{text}")),
        ("from an editor", text.replace('\n', "\r\n")),
        ("a mark in front", format!("\u{feff}{text}")),
        ("a line between", text.replacen("\n\n", "\n\n\n", 1)),
        ("a later version", text.replace("tabellion-proof v1", "tabellion-proof v2")),
    ] {
        let fault = prove::verify_name(bad.as_bytes(), &pin(9)).err().unwrap_or_else(|| panic!("{what}: proved"));
        // Two of them: the second one stands in the text that the first one's checkpoint should be.
        let rule = if what == "two of them" { Rule::CheckpointUnsigned } else { Rule::CheckpointForm };
        assert_eq!(fault.rule, rule, "{what}: {fault}");
    }
}

#[test]
fn a_pin_of_the_same_number_must_have_the_same_root() {
    let made = proof_of("open/a", 5).text();
    let fork = Pin { head: Head { number: 5, root: Hash([1; 32]) }, ..pin(5) };
    let fault = prove::verify_name(made.as_bytes(), &fork).err().expect("another root at the pinned number");
    assert_eq!(fault.rule, Rule::ProofFails);
    assert!(fault.found.contains(&head(5).root.hex()) && fault.found.contains(&"01".repeat(32)), "{fault}");
    let stranger = Pin {
        vkey: VerifierKey::new(vkey().name().clone(), &seed("next").log(ORIGIN.parse().unwrap(), false).public_bytes()).unwrap(),
        ..pin(5)
    };
    assert_eq!(prove::verify_name(made.as_bytes(), &stranger).err().unwrap().rule, Rule::CheckpointUnsigned);
}

// ------------------------------------------------------------------------------------------------------------- papers and catch-ups

#[test]
fn the_proof_of_a_paper_is_the_receipt_its_author_got() {
    let mut receipts = BTreeMap::new();
    for session in 1..=4 {
        let bytes = fs::read(desk().room.path().join(format!("stick/tabellion/results/session-{session:06}.receipts"))).unwrap();
        let mut at = 0;
        while at < bytes.len() {
            let len = item_len(&bytes[at..]).unwrap().unwrap();
            let mut r = Reader::new(&bytes[at..at + len]);
            r.array_of(2).unwrap();
            let pid = r.hash().unwrap();
            receipts.insert(pid, r.bytes().unwrap().to_vec());
            at += len;
        }
    }
    assert_eq!(receipts.len(), desk().papers.len());
    for paper in &desk().papers {
        let made = prove::of_paper(&common(), &pin(1), &paper.pid()).unwrap_or_else(|problem| panic!("{problem}"));
        assert!(made.text().as_bytes() == receipts[&paper.pid()], "the receipt of paper {}", paper.pid());
    }
    let problem = prove::of_paper(&common(), &pin(1), &Hash([1; 32])).err().unwrap();
    assert_eq!(problem.fault.rule, Rule::NotFound);
}

#[test]
fn catch_ups_from_every_number_to_every_later_one_verify_from_their_own_pin_alone() {
    for from in 0..=PAPERS {
        for to in from.max(1)..=PAPERS {
            let made = prove::of_catch_up(&common(), &pin(2), from, Some(to)).unwrap_or_else(|problem| panic!("{from} to {to}: {problem}"));
            let read = CatchUp::parse(made.text().as_bytes()).unwrap();
            assert_eq!(read, made);
            for pinned in 1..=PAPERS {
                let verified = prove::verify_catch_up(made.text().as_bytes(), &pin(pinned));
                assert_eq!(verified.as_ref().ok(), (pinned == from).then_some(&head(to)), "{from} to {to}, pin at {pinned}");
            }
        }
    }
    for (from, to) in [(5, 4), (1, 10), (0, 0)] {
        let problem = prove::of_catch_up(&common(), &pin(2), from, Some(to)).err().unwrap();
        assert_eq!(problem.fault.rule, Rule::PinBehind, "{from} to {to}: {problem}");
    }
    let fork = Pin { head: Head { number: 2, root: Hash([1; 32]) }, ..pin(2) };
    assert_eq!(prove::of_catch_up(&common(), &fork, 1, None).err().unwrap().fault.rule, Rule::ProofFails);
}

// ------------------------------------------------------------------------------------------------------------- what changed

/// Name, bytes before and after, author and number of the last paper.
type Row = (&'static str, Option<u64>, Option<u64>, &'static str, u64);

#[test]
fn what_changed_is_named_with_its_last_paper_and_what_was_changed_back_is_not() {
    let checked = Folder::find(&common()).unwrap().check(&pin(1)).unwrap();
    let (one, two) = (ONE.len() as u64, TWO.len() as u64);
    let cases: [(u64, u64, &[Row], Option<u64>); 6] = [
        (1, 3, &[("docs/b", None, Some(4), "alice", 3), ("open/a", None, Some(one), "alice", 2)], None),
        (
            3,
            7,
            &[("docs/b", Some(4), None, "bob", 6), ("open/a", Some(one), Some(two), "bob", 5), ("open/c", None, Some(1), "bob", 7)],
            Some(4),
        ),
        (3, 9, &[("docs/b", Some(4), None, "bob", 6)], Some(4)),
        (7, 9, &[("open/a", Some(two), Some(one), "bob", 8), ("open/c", Some(1), None, "bob", 9)], None),
        (4, 5, &[("open/a", Some(one), Some(two), "bob", 5)], None),
        (9, 9, &[], None),
    ];
    for (from, to, rows, policy_set) in cases {
        let found = diff(&checked, from, to).unwrap();
        let size = |entry: &Option<tabellion::core::proposal::Entry>| entry.as_ref().map(|entry| entry.size);
        let changes: Vec<_> =
            found.changes.iter().map(|c| (c.name.as_str(), size(&c.before), size(&c.after), c.by.author.as_str(), c.by.number)).collect();
        assert_eq!(changes, rows, "{from} to {to}");
        assert_eq!(found.policy.as_ref().map(|(_, _, by)| by.number), policy_set, "{from} to {to}");
        if let Some((old, new, _)) = found.policy {
            assert_eq!((old, new), (policy(&policy_toml(10)).hash(), policy(&policy_toml(11)).hash()));
        }
        assert_eq!((found.from, found.to), (head(from), head(to)));
    }
    for (from, to, rule) in [(4, 3, Rule::Usage), (0, 3, Rule::PinBehind), (3, 10, Rule::PinBehind), (10, 3, Rule::PinBehind)] {
        assert_eq!(diff(&checked, from, to).err().map(|fault| fault.rule), Some(rule), "{from} to {to}");
    }
}

//! `verify A B`: two things of one witness are shown to be one history, or a proof of two comes out; what does not tell is said.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fs;
use std::path::PathBuf;

use support::{Notary, Paper, policy_toml, room};
use tabellion::core::fork::{Claim, ForkProof};
use tabellion::core::note::{CatchUp, VerifierKey};
use tabellion::core::proposal::Expect;
use tabellion::core::publish;
use tabellion::core::rules::Rule;
use tabellion::run::compare::{Comparison, compare};

struct Scene {
    room: tempfile::TempDir,
    key: VerifierKey,
}

impl Scene {
    /// `old` ends at common@2; `one` and `two` go on from it apart, to common@3 and common@4; `on` goes on from `one`, to common@4.
    fn new() -> Scene {
        let room = room();
        let at = |path: &str| room.path().join(path);
        let desk = Notary::found(&at("desk"), &policy_toml(10));
        let base = desk.head();
        let put = |sequence, name: &str, content: &[u8]| Paper::new("alice", sequence, base).put(name, content, Expect::Absent);
        desk.judge(&at("old"), &[put(1, "open/a", b"a")]);
        let (two, first) = (desk.copied_to(&at("desk two")), desk.copied_to(&at("first")));
        desk.judge(&at("one"), &[put(2, "open/b", b"b")]);
        two.judge(&at("two"), &[put(2, "open/b", b"B"), put(3, "open/c", b"c")]);
        let key = desk.desk().books().log_key().unwrap().clone();
        let proof = publish::inclusion_proof(desk.desk().books(), 1, 2).unwrap();
        let catch_up = CatchUp { old: 2, hashes: desk.desk().books().log().consistency(2, 3).unwrap(), checkpoint: String::new() };
        support::write(&at("receipt"), proof.text().as_bytes());
        let checkpoint = fs::read_to_string(at("one/tabellion/common/checkpoint")).unwrap();
        support::write(&at("catch-up"), CatchUp { checkpoint, ..catch_up }.text().as_bytes());
        desk.judge(&at("on"), &[put(3, "open/c", b"c")]);
        drop(first);
        Scene { room, key }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.room.path().join(path)
    }

    /// `one history of <numbers>`, `fork by <claim> at <number>`, or the rule.
    fn compared(&self, a: &str, b: &str) -> String {
        match compare(&self.at(a), &self.at(b), &self.key) {
            Ok(Comparison::Consistent { heads, .. }) => {
                format!("one history of {:?}", heads.iter().map(|head| head.number).collect::<Vec<_>>())
            }
            Ok(Comparison::Fork(proof)) => {
                assert_eq!(ForkProof::parse(&proof.text(), &self.key).as_ref(), Ok(&*proof), "the proof stands by itself");
                format!("fork by {} at {}", proof.claim().word(), proof.number())
            }
            Err(problem) => problem.fault.rule.to_string(),
        }
    }
}

const CHECKPOINT: &str = "tabellion/common/checkpoint";

#[test]
fn one_history_two_histories_and_what_does_not_tell() {
    let scene = Scene::new();
    let checkpoint = |of: &str| format!("{of}/{CHECKPOINT}");
    let common = |of: &str| format!("{of}/tabellion/common");
    for (a, b, expected) in [
        // A published folder tells of every number it has.
        (common("old"), common("one"), "one history of [2, 3]"),
        (checkpoint("old"), common("on"), "one history of [2, 4]"),
        (checkpoint("one"), checkpoint("one"), "one history of [3]"),
        ("receipt".into(), common("one"), "one history of [2, 3]"),
        // A catch-up leads from one checkpoint to another without it.
        (checkpoint("old"), "catch-up".into(), "one history of [2, 3]"),
        // Two folders: the first record in which they differ. One checkpoint: the folder's own signature on the same number.
        (common("one"), common("two"), "fork by record at 3"),
        (common("on"), common("two"), "fork by head at 4"),
        (checkpoint("one"), common("two"), "fork by head at 3"),
        (checkpoint("two"), common("on"), "fork by head at 4"),
        ("one".into(), "two".into(), "fork by record at 3"),
        // Nothing leads from the one to the other.
        (checkpoint("one"), checkpoint("two"), "not-comparable"),
        (checkpoint("old"), checkpoint("on"), "not-comparable"),
        (checkpoint("on"), "catch-up".into(), "not-comparable"),
        (checkpoint("two"), common("old"), "not-comparable"),
    ] {
        assert_eq!(scene.compared(&a, &b), expected, "{a} and {b}");
        assert_eq!(scene.compared(&b, &a), expected, "{b} and {a}");
    }
}

#[test]
fn a_folder_of_such_files_brings_what_is_in_it_and_a_fork_may_lie_on_one_side() {
    let scene = Scene::new();
    for (name, from) in [("x", "one"), ("y", "on")] {
        support::write(&scene.at("files").join(name), &fs::read(scene.at(&format!("{from}/{CHECKPOINT}"))).unwrap());
    }
    assert_eq!(scene.compared("files", "on"), "one history of [1, 2, 3, 4]");
    support::write(&scene.at("files/z"), &fs::read(scene.at(&format!("two/{CHECKPOINT}"))).unwrap());
    assert_eq!(scene.compared("files", "receipt"), "fork by head at 4");
}

#[test]
fn a_damaged_copy_is_never_a_proof_against_the_witness() {
    let scene = Scene::new();
    let files = ["tile/0/000.p/4", "tile/0/000.p/3", "tile/entries/000.p/3", "checkpoints/000.p/3", "checkpoint", "papers/000.p/3"];
    for path in files {
        for other in ["old", "on"] {
            let copy = tempfile::tempdir_in(scene.room.path()).unwrap();
            let copied = copy.path().file_name().unwrap().to_str().unwrap();
            support::copy_folder(&scene.at("one/tabellion/common"), copy.path());
            let Ok(mut bytes) = fs::read(copy.path().join(path)) else { continue };
            for at in (0..bytes.len()).step_by(31) {
                bytes[at] ^= 1;
                fs::write(copy.path().join(path), &bytes).unwrap();
                let said = scene.compared(copied, &format!("{other}/tabellion/common"));
                assert!(!said.starts_with("fork"), "byte {at} of {path}, against {other}: {said}");
                bytes[at] ^= 1;
            }
        }
    }
}

#[test]
fn hostile_and_strange_sides_are_refused_by_name() {
    let scene = Scene::new();
    support::write(&scene.at("empty/x"), b"nothing of ours");
    support::write(&scene.at("large"), &[b'a'; 1_100_000]);
    for (side, rule) in [
        ("nowhere", Rule::NotFound),
        ("empty", Rule::NotComparable),
        ("large", Rule::NotComparable),
        ("desk/policy.toml", Rule::NotComparable),
    ] {
        assert_eq!(scene.compared(side, "one"), rule.id(), "{side}");
        assert_eq!(scene.compared("one", side), rule.id(), "{side}");
    }
    let proof = compare(&scene.at("one"), &scene.at("two"), &scene.key);
    let Ok(Comparison::Fork(proof)) = proof else { panic!("a fork expected") };
    assert_eq!(proof.claim(), Claim::Record);
    // A fork proof is a side as well: what it carries is compared.
    support::write(&scene.at("proof"), proof.text().as_bytes());
    assert_eq!(scene.compared("proof", "receipt"), "fork by record at 3");
}

//! What a start finds, each state made by really building it: the exit code, the words with both values, what is written, and that a look at
//! the same state halts nothing.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use support::{Agrees, Notary, Paper, copy_folder, policy_toml, room, tree};
use tabellion::core::proposal::Expect;
use tabellion::core::rules::Rule;
use tabellion::ledger::Ledger;
use tabellion::run::desk::Desk;
use tabellion::run::integrity::{self, Integrity};
use tabellion::run::problem::Exit;
use tabellion::run::session::{self, Report};

/// A desk in its states after the sessions 0, 1 and 2, and what else the states are built from.
struct Scene {
    room: tempfile::TempDir,
    /// Sealed, after 2 sessions besides the founding.
    whole: Notary,
    /// The same after the first of them.
    earlier: Notary,
    /// Session 2 committed, not sealed; the head file already its own.
    unsealed: Notary,
    /// Session 2 committed, not sealed; the head file that of session 1.
    behind: Notary,
    /// Another session 2 of the same number.
    other: Notary,
}

/// The media of the second session.
fn medium(room: &Path, name: &str, content: &[u8], desk: &Notary) -> PathBuf {
    let stick = room.join(name);
    let paper = Paper::new("alice", 2, desk.head()).put("open/b", content, Expect::Absent);
    support::write(&stick.join("paper"), &paper.envelope());
    stick
}

fn request(desk: &Notary, media: &Path) -> session::Request {
    session::Request { ledger: desk.dir.clone(), media: vec![media.to_owned()], time: Some(1_700_000_100), held: false }
}

/// Runs a session whose process dies before the effect named `at`.
fn dies(desk: &Notary, media: &Path, at: &str) {
    let mut observe = |effect: &'static str, _: &str| assert_ne!(effect, at, "the power fails here, as planned");
    let outcome = catch_unwind(AssertUnwindSafe(|| session::session(&request(desk, media), &mut Agrees, &mut observe).map(drop)));
    assert!(outcome.is_err(), "nothing happened at {at}");
}

impl Scene {
    fn new() -> Scene {
        let room = room();
        let at = |name: &str| room.path().join(name);
        let earlier = Notary::found(&at("earlier"), &policy_toml(10));
        earlier.judge(&at("first"), &[Paper::new("alice", 1, earlier.head()).put("open/a", b"a", Expect::Absent)]);
        let [whole, unsealed, behind, other] = ["whole", "unsealed", "behind", "other"].map(|name| earlier.copied_to(&at(name)));
        whole.session(&[medium(room.path(), "stick", b"b", &earlier)], Some(1_700_000_100));
        other.session(&[medium(room.path(), "other-stick", b"B", &earlier)], Some(1_700_000_100));
        dies(&unsealed, &medium(room.path(), "unsealed-stick", b"b", &earlier), "sign checkpoints and notes");
        dies(&behind, &medium(room.path(), "behind-stick", b"b", &earlier), "write head file");
        Scene { room, whole, earlier, unsealed, behind, other }
    }

    /// A copy of `desk` in a folder of its own, with the head file of `head`, if of any.
    fn state(&self, name: &str, desk: &Notary, head: Option<&Notary>) -> Notary {
        let copy = desk.copied_to(&self.room.path().join(format!("state, {name}")));
        fs::remove_file(copy.dir.join("head")).unwrap();
        if let Some(head) = head {
            fs::copy(head.dir.join("head"), copy.dir.join("head")).unwrap();
        }
        copy
    }

    fn founded(&self) -> Notary {
        Notary::found(&self.room.path().join("founded"), &policy_toml(10))
    }
}

fn events(dir: &Path) -> Vec<[u8; 32]> {
    let mut out = Vec::new();
    let ledger = Ledger::open_read_only(dir).unwrap();
    let mut take = |event: tabellion::core::event::Event| {
        out.push(event.event_hash);
        Ok(())
    };
    ledger.for_each(1, &mut take).unwrap();
    out
}

/// Everything in a desk's folder but the database's own files, whose bytes move when they are opened.
fn beside_the_database(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut out = tree(dir);
    out.retain(|path, _| !path.starts_with("ledger.db") && path != "lock");
    out
}

fn check(desk: &Notary) -> Integrity {
    let request = integrity::Request { ledger: desk.dir.clone(), deep: true, known: None, insists: false };
    integrity::integrity(&request, &mut || Ok(None), &mut |_, _| {}).unwrap_or_else(|problem| panic!("{problem}"))
}

/// A state that a start must halt over: what is said, with both values, and of which kind it is for `integrity`.
fn halts(scene: &Scene, name: &str, desk: &Notary, rule: Rule, both: [&str; 2], kind: &str) {
    let [looked, checked] = ["looked", "checked"].map(|copy| desk.copied_to(&scene.room.path().join(format!("{name}, {copy}"))));

    // A look reports it and writes nothing.
    let before = beside_the_database(&looked.dir);
    let problem = Desk::open_to_look(&looked.dir).err().unwrap_or_else(|| panic!("{name}: a look finds nothing"));
    assert_eq!((problem.fault.rule, problem.exit()), (rule, Exit::Halted), "{name}: {problem}");
    assert_eq!(beside_the_database(&looked.dir), before, "{name}: a look has written");

    // A session halts: halt file and dossier, and nothing else, neither in the ledger nor on the medium.
    let stick = scene.room.path().join(format!("{name}, stick"));
    support::write(&stick.join("paper"), b"not looked at");
    let (before, chain, carried) = (beside_the_database(&desk.dir), events(&desk.dir), tree(&stick));
    let problem = session::session(&request(desk, &stick), &mut Agrees, &mut |_, _| {}).err().unwrap_or_else(|| panic!("{name} goes on"));
    assert_eq!((problem.fault.rule, problem.exit()), (rule, Exit::Halted), "{name}: {problem}");
    for value in both {
        assert!(problem.fault.found.contains(value), "{name}: {value:?} in {problem}");
    }
    assert!(problem.state.contains("the desk is halted (") && problem.state.contains("the dossier is "), "{name}: {problem}");
    assert_eq!((events(&desk.dir), tree(&stick)), (chain, carried), "{name}");
    let mut after = beside_the_database(&desk.dir);
    let halt = String::from_utf8(after.remove("halt").expect("a halt file")).unwrap();
    let dossier = after.keys().find(|path| path.starts_with("halt-evidence/")).expect("a dossier").clone();
    let text = String::from_utf8(after.remove(&dossier).unwrap()).unwrap();
    assert_eq!(after, before, "{name}: more was written than the halt");
    let hash = tabellion::core::ids::Hash::of(text.as_bytes());
    assert!(dossier == format!("halt-evidence/{hash}.txt") && halt.contains(&format!("\ndossier sha256:{hash}\n")), "{name}: {halt}");
    assert!(halt.contains(&format!("\nrule {rule}\n")), "{name}: {halt}");
    for expected in both.into_iter().chain(["last good", "first bad", "tabellion 0.", kind, "call the custodians"]) {
        assert!(text.contains(expected), "{name}: {expected:?} in\n{text}");
    }

    // From then on it is refused before anything is looked at, and not a byte changes.
    let before = tree(&desk.dir);
    let again = session::session(&request(desk, &stick), &mut Agrees, &mut |_, _| {}).err().expect("halted");
    assert_eq!((again.fault.rule, tree(&desk.dir)), (Rule::Halted, before), "{name}");

    // Integrity says the same of the same state, with last good, first bad and kind, and halts.
    let found = check(&checked);
    let wrong = found.findings.as_ref().unwrap().wrong.clone().unwrap_or_else(|| panic!("{name}: integrity finds nothing"));
    assert_eq!((wrong.fault.rule, wrong.kind, wrong.first_bad_seq_no), (rule, kind, wrong.last_good_seq_no + 1), "{name}");
    assert!(found.halted.is_some() && checked.dir.join("halt").is_file(), "{name}");
}

/// A state that goes on: what is repaired first, and that the results are those of an undisturbed run, byte for byte.
fn goes_on(scene: &Scene, name: &str, desk: &Notary, repaired: &[&str]) {
    let [looked, checked] = ["looked", "checked"].map(|copy| desk.copied_to(&scene.room.path().join(format!("{name}, {copy}"))));
    let before = beside_the_database(&looked.dir);
    Desk::open_to_look(&looked.dir).unwrap_or_else(|problem| panic!("{name}: {problem}"));
    assert_eq!(beside_the_database(&looked.dir), before, "{name}");
    let found = check(&checked);
    assert!(found.halted.is_none() && found.findings.unwrap().wrong.is_none(), "{name}");
    assert_eq!(beside_the_database(&checked.dir), before, "{name}: integrity mends nothing");

    let stick = scene.room.path().join(format!("{name}, stick"));
    copy_folder(&scene.room.path().join("behind-stick"), &stick);
    let report: Report = desk.session(std::slice::from_ref(&stick), Some(1_700_000_100));
    assert_eq!(report.repaired.len(), repaired.len(), "{name}: {:?}", report.repaired);
    report.repaired.iter().zip(repaired).for_each(|(said, words)| assert!(said.contains(words), "{name}: {said}"));
    assert_eq!(report.session, 2, "{name}");
    let undisturbed = tree(&scene.room.path().join("stick/tabellion/common"));
    assert_eq!(tree(&stick.join("tabellion/common")), undisturbed, "{name}");
    assert_eq!(fs::read(desk.dir.join("head")).unwrap(), fs::read(scene.whole.dir.join("head")).unwrap(), "{name}");
}

#[test]
fn a_start_goes_on_over_what_a_crash_leaves_and_yields_the_same_bytes() {
    let scene = Scene::new();
    let equal = scene.state("equal", &scene.whole, Some(&scene.whole));
    goes_on(&scene, "equal", &equal, &[]);
    goes_on(&scene, "unsealed", &scene.unsealed, &["session 2 was sealed"]);
    goes_on(&scene, "behind", &scene.behind, &["the head file was rolled forward to session 2", "session 2 was sealed"]);
}

#[test]
fn a_start_halts_over_every_head_file_that_no_crash_leaves() {
    let scene = Scene::new();
    let founded = scene.founded();
    let (one, two) = ("session 1 common@2 ", "session 2 common@3 ");
    let rolled = Rule::HeadRolledBack;

    let state = scene.state("earlier head", &scene.whole, Some(&scene.earlier));
    halts(&scene, "earlier head", &state, rolled, [one, two], "head-file");
    let state = scene.state("two earlier", &scene.whole, Some(&founded));
    halts(&scene, "two earlier", &state, rolled, ["session 0 common@1 ", two], "head-file");
    let state = scene.state("two earlier, unsealed", &scene.unsealed, Some(&founded));
    halts(&scene, "two earlier, unsealed", &state, rolled, ["session 0 common@1 ", two], "head-file");
    let state = scene.state("foreign", &scene.whole, Some(&scene.other));
    halts(&scene, "foreign", &state, rolled, ["in the head file", "in the ledger"], "head-file");
    let state = scene.state("older copy put back", &scene.earlier, Some(&scene.whole));
    halts(&scene, "older copy put back", &state, rolled, [two, one], "missing");
    let state = scene.state("missing", &scene.whole, None);
    halts(&scene, "missing", &state, Rule::HeadLost, ["no head file is there", two], "head-file");

    let damaged = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let state = scene.state(name, &scene.whole, Some(&scene.whole));
        let mut bytes = fs::read(state.dir.join("head")).unwrap();
        change(&mut bytes);
        fs::write(state.dir.join("head"), bytes).unwrap();
        state
    };
    let state = damaged("flipped", &|bytes| bytes[30] ^= 1);
    halts(&scene, "flipped", &state, Rule::HeadLost, ["the head file: line ", "expected"], "head-file");
    let state = damaged("empty", &|bytes| bytes.clear());
    halts(&scene, "empty", &state, Rule::HeadLost, ["the head file: ", "expected"], "head-file");
    let state = damaged("no text", &|bytes| bytes[30] = 0xff);
    halts(&scene, "no text", &state, Rule::HeadLost, ["head: ", "UTF-8"], "head-file");
}

#[test]
fn the_last_good_event_is_the_last_that_both_tell_of() {
    let scene = Scene::new();
    let founded = scene.founded();
    // Events 1 to 4 are session 0, 5 to 8 session 1, 9 to 12 session 2; the third of each is `closed`.
    for (name, desk, head, last_good) in [
        ("earlier", &scene.whole, &scene.earlier, 7),
        ("two earlier", &scene.whole, &founded, 3),
        ("foreign", &scene.whole, &scene.other, 7),
        ("older copy", &scene.earlier, &scene.whole, 8),
    ] {
        let wrong = check(&scene.state(name, desk, Some(head))).findings.unwrap().wrong.unwrap();
        assert_eq!((wrong.last_good_seq_no, wrong.first_bad_seq_no), (last_good, last_good + 1), "{name}");
    }
}

#[test]
fn an_emptied_ledger_beside_a_head_file_halts_and_is_never_founded_again() {
    let room = room();
    let desk = Notary::found(&room.path().join("desk"), &policy_toml(10));
    let unfounded = room.path().join("unfounded");
    fs::create_dir(&unfounded).unwrap();
    for name in ["key", "charter.payload", "charter.cose", "instance"] {
        fs::copy(desk.dir.join(name), unfounded.join(name)).unwrap();
    }
    let passphrase = tabellion::keys::Passphrase::new(&"test".to_owned().into()).unwrap();
    let found = |dir: &Path| tabellion::run::found::commit(dir, &dir.join("charter.cose"), Some(1), &passphrase, &mut |_, _| {}).map(drop);
    // Without a ledger, and with a head file of one: what was founded here is gone.
    fs::copy(desk.dir.join("head"), unfounded.join("head")).unwrap();
    let problem = found(&unfounded).expect_err("founded twice");
    assert_eq!(problem.fault.rule, Rule::LedgerFault, "{problem}");
    assert!(problem.fault.found.contains("the book expected"), "{problem}");
    assert!(!unfounded.join("ledger.db").exists());
    fs::remove_file(unfounded.join("head")).unwrap();
    found(&unfounded).unwrap_or_else(|problem| panic!("{problem}"));
}

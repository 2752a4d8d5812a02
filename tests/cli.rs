//! Golden cases of the command line: the real program, what was typed, what it answered. `TABELLION_BLESS=1 cargo test --test cli` writes the
//! files in `tests/cli/` anew; read the difference before it is committed.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod stage;

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use stage::{Case, Forge, PROGRAM, copy_tree, differing, normalised, policy, public, tree, write_key};
use tabellion::core::bundle::BundleHeader;
use tabellion::core::cbor::Writer;
use tabellion::core::ids::Hash;
use tabellion::core::rules::{Outcome, Rule};
use tabellion::core::words::words24;
use tabellion::ledger::trail::{Asked, Ended, Status, Trail};
use tabellion::run::problem::Exit;

// ---------------------------------------------------------------------------------------------------------------------------- 1. the demo

#[test]
fn demo_tells_its_story_again_and_again_and_the_script_does_the_same() {
    let mut case = Case::empty("demo");
    case.say("The whole story, in a folder that is not there yet.");
    case.run("demo d", 0);
    let (first, script) = (tree(&case.path("d")), case.read("d/commands.sh"));
    case.say("Again: the folder carries the demo's mark, so it is replaced.");
    case.write("d/left-over", "x");
    let again = normalised(&case.quiet("demo d", 0), &[]);
    assert!(case.read_golden().contains(&again.lines().map(|line| format!("1| {line}").trim_end().to_owned() + "\n").collect::<String>()));
    assert!(!case.path("d/left-over").exists());
    case.say("A folder that the demo did not make is refused.");
    case.write("mine/thesis", "years of work");
    case.run("demo mine", 2);
    assert_eq!(tree(&case.path("mine")).len(), 1);
    case.finish();

    let shell = Case::empty("commands.sh");
    shell.write("commands.sh", script);
    fs::create_dir(shell.path("empty")).unwrap();
    let mut sh = Command::new("sh");
    sh.arg("../commands.sh").env("TABELLION", PROGRAM).stdin(Stdio::null()).current_dir(shell.path("empty"));
    let output = sh.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let names = |tree: &std::collections::BTreeMap<String, Vec<u8>>| {
        let names = tree.keys().filter(|name| !name.contains(".tabellion-demo") && *name != "commands.sh" && !name.contains("/papers/"));
        let named_by_hash = ["/policies/", "/heads/", "/evidence/", "/halt-evidence/"];
        names.filter(|name| !named_by_hash.iter().any(|folder| name.contains(folder))).cloned().collect::<Vec<_>>()
    };
    let by_script = tree(&shell.path("empty"));
    assert_eq!(names(&by_script), names(&first));
    for same in ["consumer/common/tools/editor", "consumer/with-manual/manual/field/radio.txt", "alice/editor"] {
        assert_eq!(by_script[same], first[same]);
    }
}

// ------------------------------------------------------------------------------------------------------- 2. refusals that teach, in a session

#[test]
fn papers_that_are_not_authentic_are_listed_and_harm_nobody() {
    let mut case = Case::grown("session-listed");
    let pin = case.pin("alice");
    case.say("A paper meant for another Common.");
    let mut other = Forge::put("alice", 20, &pin, "tools/a", b"a");
    other.proposal.origin = "elsewhere.example/common".parse().unwrap();
    case.write("a/tabellion/inbox/p.cose", other.bytes());
    case.session(&["a"], 0);
    case.say("A stranger's key, claiming to be alice.");
    let stranger = Forge { signers: vec!["mallory"], ..Forge::put("alice", 21, &pin, "tools/b", b"b") };
    case.write("b/tabellion/inbox/p.cose", stranger.bytes());
    case.session(&["b"], 0);
    case.say("Another member's key, claiming to be alice.");
    let james = Forge { signers: vec!["james"], ..Forge::put("alice", 22, &pin, "tools/b", b"b") };
    case.write("c/tabellion/inbox/p.cose", james.bytes());
    case.session(&["c"], 0);
    case.say("One bit of alice's signature flipped; the genuine copy beside it is accepted.");
    let genuine = Forge::put("alice", 23, &pin, "docs/c", b"c");
    case.write("d/tabellion/inbox/genuine.cose", genuine.bytes());
    case.write("d/tabellion/inbox/flipped.cose", genuine.bytes());
    case.flip("d/tabellion/inbox/flipped.cose", -1);
    case.session(&["d"], 0);
    case.say("An author who is no member.");
    let nobody = Forge { signers: vec!["mallory"], ..Forge::put("mallory", 1, &pin, "tools/b", b"b") };
    case.write("e/tabellion/inbox/p.cose", nobody.bytes());
    case.session(&["e"], 0);
    case.say("A stranger's signature beside the author's is dropped.");
    let both = Forge { signers: vec!["alice", "mallory"], ..Forge::put("alice", 24, &pin, "docs/d", b"d") };
    case.write("f/tabellion/inbox/p.cose", both.bytes());
    case.session(&["f"], 0);
    case.say("An envelope of the other COSE kind.");
    let mut sign1 = Writer::new();
    sign1.tag(18).array(4).bytes(&[0xa0]).map(0).bytes(b"payload").bytes(&[0; 64]);
    case.write("g/tabellion/inbox/p.cose", sign1.finish());
    case.session(&["g"], 0);
    case.finish();
}

#[test]
fn refusals_are_final_and_say_what_was_compared() {
    let mut case = Case::grown("session-refused");
    let pin = case.pin("james");
    case.say("A name that no rule covers, one that its rule keeps from james, and one too large.");
    case.write("a/tabellion/inbox/1.cose", Forge::put("james", 10, &pin, "music/song", b"x").bytes());
    case.write("a/tabellion/inbox/2.cose", Forge::put("james", 11, &pin, "docs/guide", b"x").bytes());
    case.write("a/tabellion/inbox/3.cose", Forge::put("alice", 12, &pin, "docs/guide", &[b'x'; 51]).bytes());
    case.session(&["a"], 1);
    case.say("Nothing was expected under tools/editor, and alice's stands there.");
    case.write("b/tabellion/inbox/1.cose", Forge::put("james", 13, &pin, "tools/editor", b"x").bytes());
    case.session(&["b"], 1);
    case.say("A number that another paper of james has bound.");
    case.write("c/tabellion/inbox/1.cose", Forge::put("james", 13, &pin, "tools/other", b"x").bytes());
    case.session(&["c"], 1);
    case.say("A root that is not ours: james, or we, hold another history.");
    let mut other = Forge::put("james", 14, &pin, "tools/other", b"x");
    other.proposal.base.root.0[0] ^= 1;
    case.write("d/tabellion/inbox/1.cose", other.bytes());
    case.session(&["d"], 1);
    case.say("A paper whose last number is over.");
    let mut late = Forge::put("james", 15, &pin, "tools/other", b"x");
    late.proposal.last_number = Some(3);
    case.write("e/tabellion/inbox/1.cose", late.bytes());
    case.session(&["e"], 1);
    case.say("A name below an entry, and a paper that changes nothing.");
    case.write("f/tabellion/inbox/1.cose", Forge::put("james", 16, &pin, "tools/viewer/icon", b"x").bytes());
    let mut same = Forge::put("james", 17, &pin, "tools/viewer", b"#!/bin/sh\necho the viewer, by james\n");
    if let tabellion::core::proposal::Operation::Put { entry, expect, .. } = &mut same.proposal.operations[0] {
        entry.media_type = "application/octet-stream".parse().unwrap();
        *expect = tabellion::core::proposal::Expect::Anything;
    }
    case.write("f/tabellion/inbox/2.cose", same.bytes());
    case.session(&["f"], 1);
    case.finish();
}

#[test]
fn bundles_that_were_cut_or_changed_lose_only_what_stands_behind_the_fault() {
    let mut case = Case::grown("session-bundles");
    for tool in ["one", "two"] {
        case.write(&format!("alice/{tool}"), format!("the tool {tool}\n"));
    }
    case.quiet("propose put tools/one=alice/one --pin alice/common.pin --key alice/key --media x", 2);
    fs::create_dir(case.path("x")).unwrap();
    let propose = |tool: &str| {
        format!("propose put tools/{tool}=alice/{tool} --pin alice/common.pin --key alice/key --media x --common stick/tabellion/common")
    };
    case.say("The file was cut inside the object; the paper before the cut stands, and waits for its content.");
    case.quiet(&propose("one"), 0);
    let whole = case.find("x/tabellion/inbox", "alice-", ".bundle");
    let bytes = case.read(&whole);
    case.write("cut/tabellion/inbox/one.bundle", &bytes[..bytes.len() - 5]);
    case.session(&["cut"], 0);
    case.say("Another stick brings the whole bundle in a later session, and completes it.");
    case.session(&["x"], 0);
    fs::remove_file(case.path(&whole)).unwrap();
    case.say("One byte of the object changed on the way: its hash is not the one that was signed.");
    case.quiet(&propose("two"), 0);
    let whole = case.find("x/tabellion/inbox", "alice-", ".bundle");
    copy_tree(&case.path("x/tabellion/inbox"), &case.path("changed/tabellion/inbox"));
    case.flip(&whole.replacen("x/", "changed/", 1), -1);
    case.session(&["changed"], 0);
    case.say("Nothing new comes: no session. The operator asks for the held papers to be judged: one more notice.");
    case.session(&["changed"], 0);
    case.run("witness session --ledger witness --media changed --expect-head $HEAD --yes --time none --held", 0);
    case.say("The proposer reads it at home.");
    case.run("collect changed --pin alice/common.pin", 0);
    case.session(&["x"], 0);
    case.run("collect x --pin alice/common.pin", 0);
    case.finish();
}

#[test]
fn approvals_are_gathered_over_sessions() {
    let mut case = Case::grown("session-approvals");
    case.write("alice/plan", "release on Friday\n");
    case.run("propose put release/plan=alice/plan --pin alice/common.pin --key alice/key --media stick --note 'Ready, I think'", 0);
    case.session(&["stick"], 0);
    case.run("collect stick --pin alice/common.pin", 0);
    let bundle = case.find("stick/tabellion/inbox", "alice-", ".bundle");
    case.set("BUNDLE", bundle);
    case.say("A stranger's approval is dropped; without --yes and without a terminal nothing is signed.");
    case.run("approve $BUNDLE --key james/key", 2);
    case.quiet("approve $BUNDLE --key mallory/key --yes --out stranger", 0);
    case.write("m/tabellion/inbox/p", case.read("stranger"));
    case.session(&["m"], 0);
    case.say("James approves, and another session has what it needs.");
    case.run("approve $BUNDLE --key james/key --yes", 0);
    case.session(&["stick"], 0);
    case.run("collect stick --pin alice/common.pin", 0);
    case.finish();
}

#[test]
fn papers_brought_again_get_their_first_receipt_again() {
    let mut case = Case::grown("session-again");
    let pin = case.pin("alice");
    case.write("a/tabellion/inbox/p.cose", Forge::put("alice", 9, &pin, "docs/x", b"x").bytes());
    case.write("b/tabellion/inbox/p.cose", Forge::put("james", 9, &pin, "docs/y", b"y").bytes());
    case.session(&["a"], 0);
    case.session(&["b"], 1);
    case.say("Both come again, each on another stick.");
    for (stick, first) in [("c", "a/tabellion/results/session-000002.receipts"), ("d", "b/tabellion/results/session-000003.receipts")] {
        case.write(&format!("{stick}/tabellion/inbox/p.cose"), case.read(&format!("{}/tabellion/inbox/p.cose", &first[..1])));
        case.session(&[stick], 0);
        assert_eq!(case.read(first), case.read(&format!("{stick}/tabellion/results/again.receipts")), "the first receipt, byte for byte");
    }
    case.finish();
}

#[test]
fn several_media_are_one_session_and_each_gets_the_results() {
    let mut case = Case::grown("session-media");
    let pin = case.pin("alice");
    case.write("alice/plan", "the plan\n");
    fs::create_dir(case.path("a")).unwrap();
    case.quiet("propose put release/plan=alice/plan --pin alice/common.pin --key alice/key --media a --common stick", 0);
    let bundle = case.find("a/tabellion/inbox", "alice-", ".bundle");
    let mine = Forge::put("james", 9, &pin, "docs/x", b"x");
    case.say("Alice's stick carries a paper of james; james's carries alice's once more, under another name, with what is no paper.");
    case.write("a/tabellion/inbox/from-james.cose", mine.bytes());
    case.write("b/tabellion/inbox/found.bundle", case.read(&bundle));
    case.write("b/letter.txt", "dear alice\n");
    case.write("c/readme", "carol's empty stick\n");
    case.session(&["a", "b", "c"], 1);
    let results = |case: &Case, stick: &str, file: &str| case.read(&format!("{stick}/tabellion/results/{file}"));
    for file in ["session-000002.receipts", "report.txt", "report.html"] {
        assert!(!results(&case, "c", file).is_empty());
    }
    let receipts = results(&case, "a", "session-000002.receipts");
    assert!(receipts == results(&case, "b", "session-000002.receipts") && receipts == results(&case, "c", "session-000002.receipts"));
    case.say("James approves at carol's: the paper is decided although alice's stick is not there. One medium fails, another is foreign.");
    case.write("c/tabellion/inbox/plan.bundle", case.read(&bundle));
    case.quiet("approve c/tabellion/inbox/plan.bundle --key james/key --yes", 0);
    case.write("full/tabellion/results", "no folder\n");
    let other = Case::foreign("other");
    copy_tree(&other.path("stick"), &case.path("foreign"));
    let before = [tree(&case.path("full")), tree(&case.path("foreign"))];
    case.session(&["full", "foreign", "c"], 3);
    assert!(differing(&before[1], &tree(&case.path("foreign"))).is_empty(), "another history's medium is left as it was");
    assert_eq!(case.read("full/tabellion/results"), before[0]["tabellion/results"]);
    assert!(case.path("c/tabellion/results/session-000003.receipts").exists());
    case.say("Alice's stick comes later, without the paper of james, and she learns it all the same.");
    fs::remove_file(case.path("a/tabellion/inbox/from-james.cose")).unwrap();
    case.session(&["a"], 0);
    case.run("collect a --pin alice/common.pin", 0);
    case.say("A medium named twice is written to twice, and its paper counts once.");
    case.write("b/tabellion/inbox/more.cose", Forge::put("alice", 30, &pin, "docs/y", b"y").bytes());
    case.session(&["b", "b"], 0);
    case.finish();
}

#[test]
fn collect_clears_only_what_is_its_own_and_done() {
    let mut case = Case::grown("collect-clears");
    let pin = case.pin("alice");
    case.write("alice/manual", "a manual\n");
    fs::create_dir(case.path("a")).unwrap();
    case.quiet("propose put tools/manual=alice/manual --pin alice/common.pin --key alice/key --media a --common stick", 0);
    let bundle = case.read(&case.find("a/tabellion/inbox", "alice-", ".bundle"));
    case.session(&["a"], 0);
    let envelope = fs::read_dir(case.path("alice/papers")).unwrap().map(|entry| entry.unwrap().path()).filter(|path| {
        path.extension().is_some_and(|end| end == "cose") && bundle.windows(64).any(|part| fs::read(path).unwrap().starts_with(part))
    });
    let envelope = fs::read(envelope.last().unwrap()).unwrap();
    let pack = |papers: &[&[u8]], objects: &[&[u8]]| {
        let mut objects: Vec<&&[u8]> = objects.iter().collect();
        objects.sort_by_key(|object| Hash::of(object));
        let bytes = objects.iter().map(|object| object.len() as u64).sum();
        let mut out = BundleHeader { papers: papers.len() as u64, objects: objects.len() as u64, object_bytes: bytes }.to_bytes();
        papers.iter().for_each(|paper| out.extend_from_slice(paper));
        for object in objects {
            let mut w = Writer::new();
            w.bytes(object);
            out.extend(w.finish());
        }
        out
    };
    let others = Forge::put("james", 9, &pin, "docs/x", b"x").bytes();
    let manual: &[u8] = b"a manual\n";
    case.say("What is done goes, also under another name of our form. What stays: a paper of somebody else beside ours, content that no paper\nof ours names, a name that is not of our form, half a bundle.");
    for (name, bytes) in [
        ("renamed.bundle", pack(&[&envelope], &[manual])),
        ("mixed.bundle", pack(&[&envelope, &others], &[manual])),
        ("packed.bundle", pack(&[&envelope], &[manual, b"content of a paper that waits"])),
        ("My Paper.bundle", bundle.clone()),
        ("half.bundle", bundle[..bundle.len() - 3].to_vec()),
    ] {
        case.write(&format!("a/tabellion/inbox/{name}"), bytes);
    }
    case.run("collect a --pin alice/common.pin", 0);
    let left: Vec<String> = tree(&case.path("a/tabellion/inbox")).into_keys().collect();
    assert_eq!(left, ["My Paper.bundle", "half.bundle", "mixed.bundle", "packed.bundle"]);
    case.say("Nothing is cleared twice, and nothing of alice's by carol.");
    case.run("collect a --pin alice/common.pin", 0);
    case.run("collect a --pin carol/common.pin", 0);
    assert_eq!(tree(&case.path("a/tabellion/inbox")).len(), 4);
    case.finish();
}

#[test]
fn what_is_no_paper_is_listed_with_its_reason() {
    let mut case = Case::grown("session-strange-files");
    case.write("a/holiday.jpg", [0xff, 0xd8, 0xff, 0xe0, 1, 2, 3]);
    case.write("a/empty", "");
    case.write("a/tabellion/inbox/readme", "please accept my paper\n");
    symlink("/etc/passwd", case.path("a/tabellion/inbox/link")).unwrap();
    fs::hard_link(case.path("a/holiday.jpg"), case.path("a/same.jpg")).unwrap();
    case.session(&["a"], 0);
    case.finish();
}

// ------------------------------------------------------------------------------------------------------------------------- 3. the operator

#[test]
fn the_operator_is_stopped_before_anything_happens() {
    let mut case = Case::grown("operator-stops");
    let pin = case.pin("alice");
    case.write("a/tabellion/inbox/p.cose", Forge::put("alice", 9, &pin, "docs/x", b"x").bytes());
    case.remember_head();
    let before = tree(&case.path("witness"));
    let session = "witness session --ledger witness --media a --yes --time none";
    case.say("The head is not the one the operator wrote down.");
    case.run(&format!("{session} --expect-head 3:abandon-ability-able-about-above-absent"), 5);
    case.run(&format!("{session} --expect-head three"), 2);
    case.say("A wrong passphrase.");
    case.write("wrong", "guess\n");
    case.run(&format!("{session} --expect-head $HEAD --passphrase-file wrong"), 4);
    case.run(&format!("{session} --expect-head $HEAD --passphrase-file nowhere"), 2);
    case.say("No terminal, and no --yes; no head; no time.");
    case.run("witness session --ledger witness --media a --expect-head $HEAD --time none", 2);
    case.run("witness session --ledger witness --media a --time none", 2);
    case.run("witness session --ledger witness --media a --expect-head $HEAD --yes", 2);
    case.run("witness session --ledger witness --media a --expect-head $HEAD --yes --time yesterday", 2);
    case.say("A medium that is not there, a ledger that is not there.");
    case.run("witness session --ledger witness --media gone --expect-head $HEAD --yes --time none", 2);
    case.run("witness session --ledger gone --media a --expect-head $HEAD --yes --time none", 2);
    case.run("witness status --ledger gone", 2);
    case.say("Another process holds the ledger.");
    let lock = File::options().write(true).open(case.path("witness/lock")).unwrap();
    lock.lock().unwrap();
    case.run(&format!("{session} --expect-head $HEAD"), 6);
    case.say("Reading goes on.");
    case.run("witness status --ledger witness", 0);
    drop(lock);
    let mut changed = differing(&before, &tree(&case.path("witness")));
    changed.retain(|name| !name.ends_with("-wal") && !name.ends_with("-shm"));
    assert!(changed.is_empty(), "{changed:?}");
    case.finish();
}

#[test]
fn another_history_on_a_medium_is_never_overwritten() {
    let mut case = Case::grown("operator-foreign-medium");
    let other = Case::foreign("other");
    copy_tree(&other.path("stick"), &case.path("foreign"));
    let before = tree(&case.path("foreign"));
    case.run("witness export --ledger witness --media foreign", 3);
    case.say("In a session that medium is given up; the others get their results.");
    let pin = case.pin("alice");
    case.write("a/tabellion/inbox/p.cose", Forge::put("alice", 9, &pin, "docs/x", b"x").bytes());
    case.session(&["foreign", "a"], 3);
    assert!(differing(&before, &tree(&case.path("foreign"))).is_empty());
    assert!(case.path("a/tabellion/results/session-000002.receipts").exists());
    case.finish();
}

#[test]
fn an_old_disk_meets_its_own_newer_checkpoint_and_halts() {
    let mut case = Case::grown("operator-old-disk");
    let pin = case.pin("alice");
    copy_tree(&case.path("witness"), &case.path("old"));
    case.write("a/tabellion/inbox/p.cose", Forge::put("alice", 9, &pin, "docs/x", b"x").bytes());
    case.remember_head();
    case.say("The disk was copied. The one goes on to common@4 …");
    case.session(&["a"], 0);
    case.say("… and its stick comes to the other.");
    let before = tree(&case.path("a"));
    let session = "witness session --ledger old --media a --expect-head $HEAD --yes --time none";
    case.run(session, 5);
    let written = differing(&before, &tree(&case.path("a")));
    assert!(written.iter().all(|path| path.starts_with("tabellion/evidence/")), "nothing else was written to the stick: {written:?}");
    case.write("halt-file", case.read("old/halt"));
    case.say("From then on it refuses to sign; looking and exporting go on.");
    case.run(session, 5);
    case.run("witness status --ledger old", 5);
    fs::create_dir(case.path("b")).unwrap();
    case.run("witness export --ledger old --media b", 0);
    assert_eq!(case.read("halt-file"), case.read("old/halt"));
    case.finish();
}

/// A disk that was copied, and both copies went on: two different common@4 under one key, on `stick` and on `other`.
fn parted(name: &'static str) -> Case {
    let mut case = Case::grown(name);
    let pin = case.pin("alice");
    let vkey = pin.vkey.to_string();
    case.set("KEY", &vkey);
    copy_tree(&case.path("witness"), &case.path("copy"));
    case.remember_head();
    for (ledger, stick, content) in [("witness", "stick", b"x"), ("copy", "other", b"y")] {
        case.write(&format!("{stick}/tabellion/inbox/p.cose"), Forge::put("alice", 9, &pin, "docs/x", content).bytes());
        case.quiet(&format!("witness session --ledger {ledger} --media {stick} --expect-head $HEAD --yes --time none"), 0);
    }
    case
}

#[test]
fn two_copies_of_a_desk_are_found_out_by_a_consumers_stick() {
    let mut case = parted("fork");
    case.say("A consumer advances from the copy's stick, then reads the desk's own: it is refused, and carries the news home.");
    case.run("advance other --pin consumer/common.pin", 0);
    case.run("advance stick --pin consumer/common.pin", 5);
    case.remember_head();
    case.run("witness session --ledger witness --media stick --expect-head $HEAD --yes --time none", 5);
    case.run("witness status --ledger witness", 5);
    case.finish();
}

#[test]
fn two_copies_of_a_desk_are_compared_and_each_outcome_says_who_does_what() {
    let mut case = Case::grown("operator-branches");
    copy_tree(&case.path("witness"), &case.path("old"));
    case.say("A copy that nobody wrote to; then the desk goes on, and the copy is an older one.");
    case.run("witness integrity --ledger witness --against old", 0);
    let pin = case.pin("alice");
    case.write("stick/tabellion/inbox/p.cose", Forge::put("alice", 9, &pin, "docs/x", b"x").bytes());
    case.remember_head();
    case.quiet("witness session --ledger witness --media stick --expect-head $HEAD --yes --time none", 0);
    case.run("witness integrity --ledger witness --against old/ledger.db", 1);
    case.run("witness integrity --ledger old --against witness", 1);
    case.say("Both went on. The proof of the fork goes to a file, and never over another one.");
    copy_tree(&case.path("old"), &case.path("copy"));
    case.write("other/tabellion/inbox/p.cose", Forge::put("alice", 9, &pin, "docs/x", b"y").bytes());
    case.quiet("witness session --ledger copy --media other --expect-head $HEAD --yes --time none", 0);
    case.run("witness integrity --ledger witness --against copy --proof fork.proof", 1);
    // Which of the two stands first in it is the order of their texts: another in every run.
    case.quiet("verify fork.proof --pin alice/common.pin", 1);
    case.write("taken", "something else");
    case.run("witness integrity --ledger witness --against copy --proof taken", 2);
    let told = json(&mut case, "witness integrity --ledger witness --against copy", 1);
    assert_eq!((&told["answer"]["relation"], &told["answer"]["twice"][0]["proof"]), (&"forked".into(), &true.into()));
    case.say("Another Common, nothing at all, no ledger, and one that was written to by another program.");
    let foreign = Case::foreign("another");
    copy_tree(&foreign.path("witness"), &case.path("foreign"));
    case.run("witness integrity --ledger witness --against foreign", 1);
    case.run("witness integrity --ledger witness --against nowhere", 2);
    case.write("text", "no ledger");
    case.run("witness integrity --ledger witness --against text", 5);
    edit_verdicts(&case.path("copy/ledger.db"));
    case.run("witness integrity --ledger witness --against copy", 5);
    case.run("witness integrity --ledger copy --against witness", 5);
    case.finish();
}

/// Deletes a verdict as another program can, and puts the guard back.
fn edit_verdicts(database: &std::path::Path) {
    let db = rusqlite::Connection::open(database).unwrap();
    let guard: String = db.query_row("SELECT sql FROM sqlite_schema WHERE name = 'verdicts_no_delete'", [], |row| row.get(0)).unwrap();
    db.execute_batch("DROP TRIGGER verdicts_no_delete; DELETE FROM verdicts WHERE seq_no = 2").unwrap();
    db.execute_batch(&guard).unwrap();
}

#[test]
fn derived_tables_are_made_again_compared_and_put_right() {
    let mut case = Case::grown("operator-rebuild");
    case.say("A sound desk.");
    case.run("witness rebuild --ledger witness", 0);
    case.say("Somebody deleted a verdict with another program: the desk does not start. Looking changes nothing.");
    edit_verdicts(&case.path("witness/ledger.db"));
    case.run("witness status --ledger witness", 5);
    case.run("witness rebuild --ledger witness", 1);
    assert_eq!(json(&mut case, "witness rebuild --ledger witness", 1)["answer"]["tables"][1]["differ"], 1);
    case.say("Put right: the database that was there is kept, and the desk goes on.");
    case.run("witness rebuild --ledger witness --replace", 0);
    case.run("witness rebuild --ledger witness", 0);
    case.run("witness status --ledger witness", 0);
    case.say("No desk, and content that is gone.");
    case.run("witness rebuild --ledger nowhere", 2);
    let pack = tree(&case.path("witness")).into_keys().find(|path| path.ends_with(".objects")).unwrap();
    fs::remove_file(case.path(&format!("witness/{pack}"))).unwrap();
    case.run("witness rebuild --ledger witness", 0);
    case.finish();
}

/// A trail of a folder that holds nothing else, with the requests that people meet.
fn trail(dir: &Path) {
    let trail = Trail::open(dir).unwrap();
    let asked = |id: u8, at: u64, program: &str, request_type: &str| Asked {
        request_id: [id; 16],
        at,
        uid: 1_000,
        pid: 4_711,
        program: program.into(),
        ledger: "witness.example/common".into(),
        request_type: request_type.into(),
        is_write: request_type == "append",
        key: String::new(),
        idempotency_key: None,
    };
    let ended = |status, rule: &str, latency_us, affected: &str| Ended { status, rule: rule.into(), latency_us, affected: affected.into() };
    let with_key = Asked { key: "a16b31".into(), uid: 0, pid: 9, ..asked(2, 1_772_366_401, "witness status", "event") };
    let once = Asked { idempotency_key: Some("night job 7".into()), ..asked(4, 1_772_366_460, "witness session", "append") };
    // By `date -u -d 2026-03-01T12:00:00Z +%s`.
    let first = asked(1, 1_772_366_400, "witness session", "append");
    trail.record(&first, &ended(Status::Done, "", 1_234, "events 7 to 12")).unwrap();
    trail.record(&with_key, &ended(Status::Joined, "", 87, "")).unwrap();
    let hostile = asked(3, 0, "witness\u{1b}[2J session", "append");
    trail.record(&hostile, &ended(Status::Refused, "head-unexpected", 2_345_678, "")).unwrap();
    trail.record(&once, &ended(Status::Done, "", 45_678, "events 13 to 20, objects/000/000004.objects, the head file")).unwrap();
    trail.begin(&asked(5, 1_772_366_461, "domain snapshot", "append")).unwrap();
}

#[test]
fn who_asked_for_what_is_shown_to_people() {
    let mut case = Case::empty("audit");
    case.say("Nothing was ever asked of a ledger in this folder.");
    fs::create_dir(case.path("desk")).unwrap();
    case.run("witness audit --ledger desk", 0);
    trail(&case.path("desk"));
    case.say("A session, a look, a refusal, a session with a key, a snapshot that was killed.");
    case.run("witness audit --ledger desk", 0);
    case.run("witness audit --ledger desk --writes --since 2026-03-01T12:00:00Z --until 2026-03-01T13:01:00+01:00", 0);
    case.run("domain audit desk --last 2", 0);
    case.run("domain audit desk --status unfinished", 0);
    case.run("domain audit desk --program 'domain snapshot' --status failed", 0);
    case.run("domain audit desk --type event --uid 0 --all --json", 0);
    case.say("One, with everything that is known of it.");
    case.run(&format!("witness audit --ledger desk --request {}", "04".repeat(16)), 0);
    case.run("witness audit --ledger desk --request 5", 0);
    case.say("Somebody took a row out, with the guards out of the way and put back.");
    let guard = "CREATE TRIGGER requests_no_delete BEFORE DELETE ON requests BEGIN SELECT RAISE(ABORT, 'append-only'); END;";
    let program = rusqlite::Connection::open(case.path("desk/audit.db")).unwrap();
    program.execute_batch(&format!("DROP TRIGGER requests_no_delete; DELETE FROM requests WHERE number = 3; {guard}")).unwrap();
    drop(program);
    case.run("domain audit desk --last 1", 0);
    case.say("What cannot be read.");
    case.run("domain audit nowhere", 2);
    case.run("domain audit desk --since yesterday", 2);
    case.run("domain audit desk --since none", 2);
    case.run("domain audit desk --status lost", 2);
    case.run("domain audit desk --request 4th", 2);
    case.write("desk/audit.db", "a letter to my aunt");
    case.run("domain audit desk", 5);
    case.finish();
}

#[test]
fn two_histories_are_told_from_one_and_the_proof_stands_alone() {
    let mut case = parted("fork-proof");
    case.say("Anyone can compare two copies, and pass the proof on.");
    case.run("verify stick other --pin consumer/common.pin", 1);
    case.run("verify fork-4.proof --vkey $KEY", 1);
    case.run("verify stick/tabellion/common/checkpoint other/tabellion/common/checkpoint --vkey $KEY --out fork-4.proof", 1);
    case.run("verify stick/tabellion/common/common@3.tlog-proof other --vkey $KEY", 0);
    case.run("verify stick/tabellion/common/common@3.tlog-proof stick/tabellion/common/common@1.tlog-proof --vkey $KEY", 2);
    case.run("verify stick/tabellion/common/common@3.tlog-proof stick/tabellion/common/common@3.tlog-proof --vkey $KEY", 0);
    case.say("Somebody else's key, a file that says nothing, no key at all, a proof that was changed, and a place that is taken.");
    let other = Case::foreign("fork-foreign").pin("alice").vkey.to_string();
    case.set("OTHER", &other);
    case.run("verify stick other --vkey $OTHER", 2);
    case.run("verify stick consumer/common.pin --vkey $KEY", 2);
    case.run("verify stick other --pin none.pin", 2);
    case.run("verify fork-4.proof --vkey $OTHER", 4);
    case.write("taken", "something else");
    case.run("verify stick other --vkey $KEY --out taken", 2);
    let proof = String::from_utf8(case.read("fork-4.proof")).unwrap();
    let (before, second) = proof.trim_end().rsplit_once(' ').unwrap();
    let mut second = STANDARD.decode(second).unwrap();
    let at = second.len() - 30;
    second[at] = if second[at] == b'A' { b'B' } else { b'A' };
    case.write("fork-4.proof", format!("{before} {}\n", STANDARD.encode(second)));
    case.run("verify fork-4.proof --vkey $KEY", 4);
    case.run("verify stick --vkey no-key", 2);
    case.run("verify stick --out x", 2);
    assert_eq!(case.read("taken"), b"something else");
    case.finish();
}

/// Signs a bare payload with these members' keys, without writing it down.
fn approve_by(case: &Case, payload: &str, names: &[&str]) {
    names.iter().for_each(|name| drop(case.quiet(&format!("approve {payload} --key {name}/key --yes"), 0)));
}

#[test]
fn a_halt_ends_by_an_order_of_the_governors() {
    let mut case = Case::grown("ceremony-resume");
    let pin = case.pin("alice");
    copy_tree(&case.path("witness"), &case.path("old"));
    case.write("a/tabellion/inbox/p.cose", Forge::put("alice", 9, &pin, "docs/x", b"x").bytes());
    case.remember_head();
    case.quiet("witness session --ledger witness --media a --expect-head $HEAD --yes --time none", 0);
    case.write("news/checkpoint", case.read("a/tabellion/common/checkpoint"));
    case.quiet("witness session --ledger old --media news --expect-head $HEAD --yes --time none", 5);
    let head = case.quiet("witness status --ledger old --head", 0);
    case.set("OLD", head.trim());
    case.say("A desk is halted: it was shown its own signature on a head that it does not have.");
    case.run("ceremony resume --ledger old", 0);
    case.say("The order that the governors are asked to sign.");
    case.run("ceremony resume --ledger old --write-order resume.payload --note 'the other disk was a test, and is wiped'", 0);
    case.say("Not signed, and signed by one.");
    case.run("ceremony resume --ledger old --order resume.payload", 4);
    case.run("approve resume.payload --key alice/key --yes", 0);
    case.run("ceremony resume --ledger old --order resume.cose", 4);
    case.say("A stranger is stopped where the governors are known; james signs a copy of his own.");
    case.run("approve resume.payload --key mallory/key --common stick --pin james/common.pin --yes", 4);
    case.run("approve resume.payload --key james/key --common stick --pin james/common.pin --out james/resume.cose --yes", 0);
    let before = differing(&tree(&case.path("old")), &tree(&case.path("witness")));
    case.say("On a medium's inbox it does nothing.");
    case.write("b/tabellion/inbox/resume.cose", case.read("resume.cose"));
    case.session(&["b"], 0);
    case.say("Both copies end the halt. Again: nothing is left to do.");
    case.run("ceremony resume --ledger old --order resume.cose --order james/resume.cose", 0);
    case.run("ceremony resume --ledger old --order resume.cose --order james/resume.cose", 0);
    assert!(before.contains(&"halt".to_owned()) && !case.path("old/halt").exists());
    case.say("What it settled is reported, and halts no more.");
    case.run("witness session --ledger old --media news --expect-head $OLD --yes --time none", 0);
    case.say("There is no halt to write another order for.");
    case.run("ceremony resume --ledger old", 0);
    case.run("ceremony resume --ledger old --write-order another.payload", 2);
    assert!(!case.path("another.payload").exists());
    case.finish();
}

#[test]
fn a_head_file_that_was_lost_is_written_anew_by_an_order_of_the_governors() {
    let mut case = Case::grown("ceremony-resume-head");
    let head = case.read("witness/head");
    let order = |desk: &str| format!("ceremony resume --ledger {desk} --write-order {desk}.payload");
    case.say("The head file is gone. A look says that the desk has to be halted first.");
    copy_tree(&case.path("witness"), &case.path("gone"));
    fs::remove_file(case.path("gone/head")).unwrap();
    case.run("ceremony resume --ledger gone", 5);
    case.run("witness integrity --ledger gone", 5);
    case.say("The order that ends this halt has the head file written anew. Both who sign and who carries it out see the head to compare.");
    case.run(&order("gone"), 0);
    approve_by(&case, "gone.payload", &["alice", "james"]);
    case.run("ceremony resume --ledger gone --order gone.cose", 0);
    assert_eq!(case.read("gone/head"), head);
    case.run("witness integrity --ledger gone", 0);
    case.say("A damaged one is kept.");
    copy_tree(&case.path("witness"), &case.path("torn"));
    case.write("torn/head", &head[..40]);
    case.quiet("witness integrity --ledger torn", 5);
    case.quiet(&order("torn"), 0);
    approve_by(&case, "torn.payload", &["alice", "james"]);
    case.run("ceremony resume --ledger torn --order torn.cose", 0);
    assert_eq!(case.read("torn/head"), head);
    case.say("One that tells of another session is never replaced; nor is a folder in its place, which a person has to move.");
    copy_tree(&case.path("witness"), &case.path("other"));
    case.write("other/head", Case::founded("ceremony-resume-head-other").read("witness/head"));
    case.quiet("witness integrity --ledger other", 5);
    case.run(&order("other"), 5);
    copy_tree(&case.path("witness"), &case.path("folder"));
    fs::remove_file(case.path("folder/head")).unwrap();
    fs::create_dir(case.path("folder/head")).unwrap();
    case.quiet("witness integrity --ledger folder", 5);
    case.run(&order("folder"), 5);
    assert!(!case.path("other.payload").exists() && !case.path("folder.payload").exists());
    case.finish();
}

#[test]
fn of_two_copies_of_a_ledger_one_stays_by_an_order() {
    let mut case = parted("ceremony-recover");
    case.say("Two copies of a desk went different ways. Both are shown, and nothing is done.");
    case.run("ceremony recover --ledger witness --against copy", 0);
    case.say("The governors choose.");
    case.run("ceremony recover --ledger witness --against copy --write-order recover.payload --stays ours", 0);
    case.run("approve recover.payload --key alice/key --common other --pin consumer/common.pin --yes", 0);
    approve_by(&case, "recover.payload", &["james"]);
    case.say("At the copy that goes it is not carried out; at the desk that stays it is, once.");
    case.run("ceremony recover --ledger copy --against witness --order recover.cose", 5);
    case.run("ceremony recover --ledger witness --against copy --order recover.cose", 0);
    case.run("ceremony recover --ledger witness --against copy --order recover.cose", 0);
    case.say("Until an order to resume the desk is halted. That order settles what the copy signed.");
    case.run("witness status --ledger witness", 5);
    case.run("ceremony resume --ledger witness --write-order resume.payload", 0);
    approve_by(&case, "resume.payload", &["alice", "james"]);
    case.run("ceremony resume --ledger witness --order resume.cose", 0);
    case.write("news/checkpoint", case.read("other/tabellion/common/checkpoint"));
    case.session(&["news"], 0);
    case.finish();
}

#[test]
fn a_ledger_that_was_touched_is_not_used() {
    let mut case = Case::grown("operator-touched-ledger");
    case.remember_head();
    let session = |ledger: &str| format!("witness session --ledger {ledger} --media stick --expect-head $HEAD --yes --time none");
    case.say("One event was changed, with the triggers out of the way.");
    copy_tree(&case.path("witness"), &case.path("changed"));
    let db = rusqlite::Connection::open(case.path("changed/ledger.db")).unwrap();
    let triggers: Vec<(String, String)> = {
        let mut rows = db.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").unwrap();
        rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    let hashes: Vec<Vec<u8>> = {
        let mut rows = db.prepare("SELECT event_hash FROM events ORDER BY seq_no").unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let flags = rusqlite::functions::FunctionFlags::SQLITE_UTF8 | rusqlite::functions::FunctionFlags::SQLITE_DETERMINISTIC;
    let kept = move |context: &rusqlite::functions::Context<'_>| Ok(hashes[context.get::<i64>(0)? as usize - 1].clone());
    db.create_scalar_function("tabellion_event_hash", 9, flags, kept).unwrap();
    triggers.iter().for_each(|(name, _)| db.execute_batch(&format!("DROP TRIGGER {name}")).unwrap());
    db.execute("UPDATE events SET timestamp = timestamp + 1 WHERE seq_no = 3", []).unwrap();
    triggers.iter().for_each(|(_, sql)| db.execute_batch(sql).unwrap());
    drop(db);
    case.run("witness status --ledger changed", 5);
    case.run(&session("changed"), 5);
    case.run("witness status --ledger changed", 5);
    case.run("witness integrity --ledger changed", 5);
    case.say("Bytes of the file were changed.");
    copy_tree(&case.path("witness"), &case.path("bytes"));
    let mut bytes = case.read("bytes/ledger.db");
    bytes[100..140].fill(0xee);
    case.write("bytes/ledger.db", bytes);
    case.run(&session("bytes"), 5);
    case.say("The head file is missing, is an older one, is garbage.");
    let older = Case::founded("older").read("witness/head");
    for (ledger, head) in [("headless", None), ("behind", Some(older)), ("garbled", Some(b"tabellion-head v1\nsession one\n".to_vec()))] {
        copy_tree(&case.path("witness"), &case.path(ledger));
        fs::remove_file(case.path(&format!("{ledger}/head"))).unwrap();
        head.iter().for_each(|head| case.write(&format!("{ledger}/head"), head));
        case.run(&session(ledger), 5);
    }
    case.say("A copy without the instance file, as a backup is.");
    copy_tree(&case.path("witness"), &case.path("copied"));
    fs::remove_file(case.path("copied/instance")).unwrap();
    case.run(&session("copied"), 5);
    case.say("Another desk's key.");
    write_key(&case.path("other-key/key"), "mallory");
    copy_tree(&case.path("witness"), &case.path("keyed"));
    case.write("keyed/key", case.read("other-key/key"));
    case.run(&session("keyed"), 4);
    case.write("keyed/key", "not a key");
    case.run(&session("keyed"), 4);
    case.finish();
}

#[test]
fn a_desk_is_backed_up_verified_and_restored_as_a_standby() {
    let mut case = Case::grown("operator-backup");
    let identity = "key identity witness/key --out safe/backup.identity --passphrase-file passphrase";
    case.say("What opens backups is made once, and kept apart from the desk and from them.");
    case.run(identity, 0);
    case.run(identity, 2);
    case.say("A backup goes into a folder, under a name that says what it holds, or to a new file.");
    fs::create_dir(case.path("usb")).unwrap();
    case.run("witness backup --ledger witness usb", 0);
    case.run("witness backup --ledger witness usb", 2);
    case.run("witness backup --ledger witness nowhere/b.age", 2);
    case.run("witness backup --ledger witness", 2);
    case.say("Verified without what opens it, with it, with a copy of the sealed key, with another's key.");
    let backup = case.find("usb", "witness.example-common@3-event-", ".backup.age");
    case.run(&format!("witness backup --verify {backup}"), 1);
    case.run(&format!("witness backup --verify {backup} --identity safe/backup.identity"), 0);
    case.run(&format!("witness backup --verify {backup} --identity witness/key --passphrase-file passphrase"), 0);
    case.run(&format!("witness backup --verify {backup} --identity alice/key --passphrase-file passphrase"), 4);
    case.run(&format!("witness backup --verify {backup} --identity policy.toml"), 4);
    case.say("A byte was changed; something else has the name.");
    case.write("flipped.age", case.read(&backup));
    case.flip("flipped.age", -1);
    case.run("witness backup --verify flipped.age --identity safe/backup.identity", 3);
    case.write("milk.age", "bring milk\n");
    case.run("witness backup --verify milk.age", 3);
    case.say("Restored: a standby, which can be looked at.");
    let restore = format!("witness restore {backup} standby --identity safe/backup.identity");
    case.run(&restore, 0);
    case.run(&restore, 2);
    case.run("witness status --ledger standby", 0);
    case.run("witness integrity --ledger standby --deep", 0);
    case.run("witness integrity --ledger standby --expect-head 9:abandon-ability-able-about-above-absent --halt", 1);
    case.run("witness integrity --ledger standby --expect-head 3:abandon-ability-able-about-above-absent --halt", 5);
    case.run("witness session --ledger standby --media stick --expect-head 3:abandon-ability-able-about-above-absent --yes --time none", 5);
    case.run("witness export --ledger standby --media stick", 5);
    case.say("A desk that is halted is backed up, and what is restored from that is halted.");
    case.write("witness/halt", "by hand\n");
    case.run("witness backup --ledger witness usb", 0);
    let backup = case.find("usb", "witness.example-common@3-event-", "-halted.backup.age");
    case.run(&format!("witness restore {backup} halted --identity safe/backup.identity"), 0);
    case.run("witness status --ledger halted", 5);
    case.finish();
}

#[test]
fn integrity_tells_what_it_checked_and_what_is_wrong() {
    let mut case = Case::grown("operator-integrity");
    case.remember_head();
    let integrity = "witness integrity --ledger witness";
    let later = "--expect-head 9:abandon-ability-able-about-above-absent";
    case.say("A desk that is well.");
    case.run(integrity, 0);
    case.run(&format!("{integrity} --deep --expect-head $HEAD"), 0);
    case.say("Heads that somebody knows: an older one, a later one, another one, and what is none.");
    let older = Case::founded("older").quiet("witness status --ledger witness --head", 0);
    case.run(&format!("{integrity} --expect-head {}", older.trim()), 0);
    case.run(&format!("{integrity} {later}"), 5);
    case.run(&format!("{integrity} --expect-head 3:abandon-ability-able-about-above-absent"), 5);
    case.run(&format!("{integrity} --expect-head 3:abandon-ability-able-about-above-absennt"), 2);
    case.run(&format!("{integrity} --halt"), 2);
    assert!(!case.path("witness/halt").exists());
    case.say("Somebody insists. The dossier:");
    copy_tree(&case.path("witness"), &case.path("insisted"));
    case.run(&format!("witness integrity --ledger insisted {later} --halt --passphrase-file passphrase"), 5);
    let dossier = case.find("insisted/halt-evidence", "", ".txt");
    case.say(&String::from_utf8(case.read(&dossier)).unwrap());
    case.run("witness integrity --ledger insisted", 5);
    case.say("A trigger is gone. The dossier:");
    copy_tree(&case.path("witness"), &case.path("opened"));
    rusqlite::Connection::open(case.path("opened/ledger.db")).unwrap().execute_batch("DROP TRIGGER events_no_delete").unwrap();
    case.run("witness status --ledger opened", 5);
    case.run("witness integrity --ledger opened", 5);
    let dossier = case.find("opened/halt-evidence", "", ".txt");
    case.say(&String::from_utf8(case.read(&dossier)).unwrap());
    case.say("The head file is an older one.");
    copy_tree(&case.path("witness"), &case.path("mixed"));
    case.write("mixed/head", Case::founded("older").read("witness/head"));
    case.run("witness integrity --ledger mixed", 5);
    case.say("Content of the store is damaged.");
    copy_tree(&case.path("witness"), &case.path("damaged"));
    let pack = case.find("damaged/objects/000", "", ".objects");
    case.flip(&pack, -1);
    case.run("witness integrity --ledger damaged", 0);
    case.run("witness integrity --ledger damaged --deep", 5);
    case.say("Another process holds the lock.");
    let lock = fs::File::options().write(true).open(case.path("witness/lock")).unwrap();
    lock.lock().unwrap();
    case.run(integrity, 6);
    drop(lock);
    case.say("A program that does not ask for the lock writes.");
    let db = rusqlite::Connection::open(case.path("witness/ledger.db")).unwrap();
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    case.run(integrity, 6);
    drop(db);
    case.run(integrity, 0);
    case.finish();
}

#[test]
fn export_writes_the_same_bytes_again() {
    let mut case = Case::grown("operator-export");
    for medium in ["b", "c"] {
        fs::create_dir(case.path(medium)).unwrap();
    }
    case.run("witness export --ledger witness --media b", 0);
    case.run("witness export --ledger witness --media c", 0);
    assert!(differing(&tree(&case.path("b")), &tree(&case.path("c"))).is_empty());
    let before = tree(&case.path("b"));
    case.run("witness export --ledger witness --media b", 0);
    assert!(differing(&before, &tree(&case.path("b"))).is_empty());
    let stick = tree(&case.path("stick/tabellion/common"));
    assert!(differing(&stick, &tree(&case.path("b/tabellion/common"))).is_empty(), "as the session wrote it");
    case.say("A medium that is not there.");
    case.run("witness export --ledger witness --media gone", 2);
    case.finish();
}

// --------------------------------------------------------------------------------------------------------------------------- 4. founding

#[test]
fn founding_continues_or_refuses() {
    let mut case = Case::empty("founding");
    case.write("passphrase", "everyone's on this stage\n");
    case.write("policy.toml", policy());
    case.write("other.toml", policy().replace("size_max = 50", "size_max = 51"));
    for name in ["alice", "james", "carol", "mallory", "next", "witness"] {
        write_key(&case.path(&format!("{name}/key")), name);
    }
    let next = case.quiet("key show next/key --vkey witness.example/common", 0);
    case.set("NEXT", next.trim());
    case.say("Policies that are not sound.");
    for (name, from, to) in [
        ("k", "k = 2", "k = 4"),
        ("nobody", "propose = [\"alice\"]", "propose = [\"bob\"]"),
        ("twice", &public("james") as &str, &public("alice") as &str),
        ("typo", "size_max = 50", "sizemax = 50"),
        ("key", &public("carol"), "ed25519:1234"),
        ("content", "content = \"required\"", "content = \"perhaps\""),
        ("governors", "governors = \"board\"", "governors = \"bord\""),
    ] {
        case.write(&format!("unsound-{name}.toml"), policy().replacen(from, to, 1));
        case.run(&format!("witness init w --policy unsound-{name}.toml --next-key $NEXT"), 2);
    }
    case.run("witness init w --policy nowhere.toml --next-key $NEXT", 2);
    assert!(!case.path("w").exists(), "nothing was made");
    case.say("A next key that is the desk's own.");
    let own = case.quiet("key show witness/key --vkey witness.example/common", 0);
    case.set("OWN", own.trim());
    case.run("witness init witness --policy policy.toml --next-key $OWN", 4);
    case.run("witness init witness --policy policy.toml --next-key witness.example/common", 2);
    case.say("The draft; run again it continues, with another policy it refuses.");
    case.run("witness init witness --policy policy.toml --next-key $NEXT", 0);
    let payload = case.read("witness/charter.payload");
    case.run("witness init witness --policy policy.toml --next-key $NEXT", 0);
    case.run("witness init witness --policy policy.toml --next-key $NEXT --dice", 2);
    case.run("witness init witness --policy other.toml --next-key $NEXT", 2);
    assert_eq!(payload, case.read("witness/charter.payload"));
    case.say("A stranger cannot approve it. One governor of two is too few.");
    case.run("approve witness/charter.payload --key mallory/key --yes", 4);
    case.run("approve witness/charter.payload --key alice/key --yes", 0);
    case.run("witness init witness --charter witness/charter.cose --time none", 4);
    case.run("witness init witness --charter witness/charter.payload --time none", 4);
    case.run("witness init witness --charter policy.toml --time none", 2);
    case.run("witness init witness --charter nowhere.cose --time none", 2);
    assert!(!case.path("witness/ledger.db").exists());
    case.say("With the second it founds; run again it says the same.");
    case.run("approve witness/charter.payload --key carol/key --yes", 0);
    case.run("witness init witness --charter witness/charter.cose --time none", 0);
    let export = |case: &mut Case, medium: &str| {
        fs::create_dir(case.path(medium)).unwrap();
        case.quiet(&format!("witness export --ledger witness --media {medium}"), 0);
        tree(&case.path(medium))
    };
    let first = export(&mut case, "first");
    case.run("witness init witness --charter witness/charter.cose --time none", 0);
    assert!(differing(&first, &export(&mut case, "second")).is_empty());
    case.say("Another charter on top is refused, and so is a draft with another policy.");
    write_key(&case.path("third/key"), "witness");
    case.quiet("witness init third --policy other.toml --next-key $NEXT", 0);
    for name in ["alice", "james"] {
        case.quiet(&format!("approve third/charter.payload --key {name}/key --yes"), 0);
    }
    case.run("witness init witness --charter third/charter.cose --time none", 2);
    case.run("witness init witness --policy other.toml --next-key $NEXT", 2);
    assert!(differing(&first, &export(&mut case, "again")).is_empty());
    case.finish();
}

#[test]
fn keys_are_made_once_and_shown_without_a_passphrase() {
    let mut case = Case::empty("key");
    case.write("passphrase", "a good one\n");
    fs::create_dir(case.path("me")).unwrap();
    case.run("key new me/key --passphrase-file passphrase", 0);
    case.run("key show me/key", 0);
    case.run("key show me/key --public", 0);
    case.run("key show me/key --vkey witness.example/common", 0);
    case.say("A key is never overwritten; a passphrase must come from somewhere.");
    case.run("key new me/key --passphrase-file passphrase", 2);
    case.run("key new other", 2);
    case.write("empty", "\n");
    case.run("key new other --passphrase-file empty", 2);
    case.run("key new gone/key --passphrase-file passphrase", 2);
    case.run("key show nowhere", 2);
    case.run("key show passphrase", 4);
    case.run("key show me/key --vkey 'Not An Origin'", 2);
    case.finish();
}

#[test]
fn proposals_are_refused_at_home_when_they_cannot_be_made() {
    let mut case = Case::grown("propose");
    let with = "--pin alice/common.pin --key alice/key --media stick";
    case.run(&format!("propose put tools/x {with}"), 2);
    case.run(&format!("propose put Tools/X=alice/editor {with}"), 2);
    case.run(&format!("propose put tools/x=nowhere {with}"), 2);
    case.run(&format!("propose put tools/x=/dev/null {with}"), 2);
    case.run("propose put tools/x=alice/editor --pin nowhere --key alice/key --media stick", 2);
    case.run("propose put tools/x=alice/editor --pin alice/common.pin --key nowhere --media stick", 2);
    case.run("propose put tools/x=alice/editor --pin alice/common.pin --key alice/key", 2);
    case.run("propose put tools/x=alice/editor --pin alice/common.pin --key alice/key --media nowhere", 2);
    case.say("A key that is no member's.");
    case.run("propose put tools/x=alice/editor --pin alice/common.pin --key mallory/key --media stick", 4);
    case.say("One name twice; a name to remove that is not there.");
    case.run(&format!("propose put tools/x=alice/editor tools/x=james/viewer {with}"), 2);
    case.run(&format!("propose remove tools/nothing {with}"), 0);
    case.say("To a file, which is never overwritten.");
    case.run("propose put tools/x=alice/editor --pin alice/common.pin --key alice/key --out out.bundle --common stick", 0);
    case.run("propose put tools/y=alice/editor --pin alice/common.pin --key alice/key --out out.bundle --common stick", 2);
    case.say("A medium that cannot be written to: the paper is signed, so it is kept and asked after, wherever a copy of it may lie.");
    case.write("blocked/tabellion/inbox", b"no folder");
    case.run("propose put tools/z=alice/editor --pin alice/common.pin --key alice/key --media blocked --common stick", 3);
    case.run("collect stick --pin alice/common.pin", 0);
    case.run("approve nowhere --key james/key --yes", 2);
    case.run("approve policy.toml --key james/key --yes", 2);
    case.run("collect nowhere --pin alice/common.pin", 2);
    case.run("collect stick --pin carol/common.pin", 0);
    case.finish();
}

// ------------------------------------------------------------------------------------------------------------------------- 5. the consumer

#[test]
fn pins_begin_with_the_fingerprint_and_never_move_back() {
    let mut case = Case::grown("consumer-pin");
    let pin = case.pin("consumer");
    case.set("FINGERPRINT", pin.fingerprint.hex());
    case.set("WORDS", words24(&pin.fingerprint));
    case.say("A fingerprint that is not the charter's, and one that is none.");
    case.run(&format!("pin stick --charter {} --out new.pin", "ab".repeat(32)), 4);
    case.run("pin stick --charter abcd --out new.pin", 2);
    case.run("pin stick --charter 'abandon ability able' --out new.pin", 2);
    case.run("pin nowhere --charter $FINGERPRINT --out new.pin", 2);
    assert!(!case.path("new.pin").exists());
    case.say("As words, as they were read aloud.");
    case.run("pin stick --charter '$WORDS' --out new.pin", 0);
    assert_eq!(case.read("new.pin"), case.read("consumer/common.pin"));
    case.run("verify new.pin", 0);
    case.say("Again: the same. An older pin is not replaced.");
    case.run("pin stick --charter $FINGERPRINT --out new.pin", 0);
    let old = Case::founded("old");
    case.write("old.pin", old.read("consumer/common.pin"));
    case.run("pin stick --charter $FINGERPRINT --out old.pin", 2);
    case.say("An earlier number of the same folder, and none of it.");
    case.run("pin stick --charter $FINGERPRINT --at 1 --out first.pin", 0);
    assert_eq!(case.read("first.pin"), old.read("consumer/common.pin"));
    case.run("pin stick --charter $FINGERPRINT --at 4 --out fourth.pin", 3);
    assert!(!case.path("fourth.pin").exists());
    case.say("Back is refused, to where it stands is nothing, past the end is refused.");
    case.run("advance stick --pin new.pin --to 2", 3);
    case.run("advance stick --pin new.pin --to 3", 0);
    case.run("advance stick --pin new.pin --to 9", 3);
    case.run("log stick --pin new.pin --at 9", 3);
    case.run("log stick --pin new.pin --at 0", 3);
    case.say("Forward: one step, then the rest.");
    case.write("old.pin", old.read("consumer/common.pin"));
    case.run("advance stick --pin old.pin --to 2", 0);
    case.run("advance stick --pin old.pin", 0);
    assert_eq!(case.read("old.pin"), case.read("new.pin"));
    case.finish();
}

#[test]
fn a_pin_that_was_edited_or_belongs_elsewhere_is_refused() {
    let mut case = Case::grown("consumer-pin-edited");
    let text = String::from_utf8(case.read("consumer/common.pin")).unwrap();
    case.write("edited.pin", text.replace("number 3", "number 2"));
    case.run("verify stick --pin edited.pin", 3);
    case.write("edited.pin", "hello\n");
    case.run("verify stick --pin edited.pin", 3);
    case.run("verify stick --pin nowhere.pin", 2);
    case.say("A pin of another Common, whole in itself.");
    let other = Case::foreign("other");
    case.write("other.pin", other.read("consumer/common.pin"));
    case.run("verify stick --pin other.pin", 4);
    case.say("A pin that is ahead of the folder.");
    let old = Case::founded("old");
    copy_tree(&old.path("stick"), &case.path("old-stick"));
    case.run("verify old-stick --pin consumer/common.pin", 3);
    case.run("advance old-stick --pin consumer/common.pin", 3);
    case.finish();
}

#[test]
fn one_flipped_byte_in_any_file_of_the_folder_is_found() {
    let mut case = Case::grown("consumer-flipped");
    let common = "stick/tabellion/common";
    for (path, at) in [
        ("checkpoint", 0),
        ("checkpoint", 30),
        ("checkpoint", -20),
        ("tile/0/000.p/3", 0),
        ("tile/entries/000.p/3", 40),
        ("tile/entries/000.p/3", -1),
        ("papers/000.p/3", 0),
        ("papers/000.p/3", 100),
        ("papers/000.p/3", -1),
        ("checkpoints/000.p/3", 3),
        ("checkpoints/000.p/3", -20),
        ("objects/000/000001.objects", -1),
        ("objects/000/000001.objects", 6),
        ("objects/000/000001.index", 0),
        ("objects/000/000001.index", -1),
    ] {
        case.say(&format!("byte {at} of {path}"));
        let whole = case.read(&format!("{common}/{path}"));
        match path {
            "checkpoint" if at != 0 => case.swap(&format!("{common}/{path}"), at),
            "checkpoints/000.p/3" if at < 0 => case.swap(&format!("{common}/{path}"), at),
            _ => case.flip(&format!("{common}/{path}"), at),
        }
        let code = match path {
            // What is no signature line has the wrong form; what is one and does not verify is a matter of keys; the rest is integrity.
            "checkpoints/000.p/3" if at > 0 => 3,
            "checkpoint" | "checkpoints/000.p/3" => 4,
            _ => 5,
        };
        case.run("verify stick --pin consumer/common.pin", code);
        case.write(&format!("{common}/{path}"), whole);
    }
    case.say("Missing files.");
    for path in ["tile/0/000.p/3", "tile/entries/000.p/3", "papers/000.p/3", "checkpoints/000.p/3"] {
        let whole = case.read(&format!("{common}/{path}"));
        fs::remove_file(case.path(&format!("{common}/{path}"))).unwrap();
        case.run("verify stick --pin consumer/common.pin", 3);
        case.write(&format!("{common}/{path}"), whole);
    }
    case.run("verify stick --pin consumer/common.pin", 0);
    fs::remove_file(case.path(&format!("{common}/checkpoint"))).unwrap();
    case.run("verify stick --pin consumer/common.pin", 2);
    case.finish();
}

#[test]
fn receipts_prove_or_are_refused() {
    let mut case = Case::grown("consumer-receipts");
    let receipt = case.find("alice/papers", "", ".receipt");
    case.write("receipt", case.read(&receipt));
    case.run("verify receipt --pin consumer/common.pin", 0);
    case.say("One byte flipped: in the record, in a hash, in the signature.");
    let text = String::from_utf8(case.read("receipt")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for line in [1, 3, lines.len() - 1] {
        let middle = lines[line].len() / 2;
        let other = if lines[line].as_bytes()[middle] == b'A' { "B" } else { "A" };
        let mut changed = lines[line].to_owned();
        changed.replace_range(middle..=middle, other);
        case.write("changed", text.replacen(lines[line], &changed, 1));
        let output = case.command("verify changed --pin consumer/common.pin").output().unwrap();
        let code = output.status.code();
        assert!(matches!(code, Some(3..=5)), "{code:?} {}", String::from_utf8_lossy(&output.stderr));
    }
    case.say("A receipt of another witness; no receipt at all; a refusal.");
    let other = Case::foreign("other");
    case.write("foreign", other.read(&other.find("alice/papers", "", ".receipt")));
    case.run("verify foreign --pin consumer/common.pin", 4);
    case.say("Another witness's receipt under alice's paper, on a stick: listed, and what she has is kept.");
    let paper = case.find("alice/papers", "", ".cose");
    let pid = tabellion::core::ids::Pid::from_hex(&paper[13..77]).unwrap();
    let mut receipts = Writer::new();
    receipts.array(2).bytes(&pid.0).bytes(&case.read("foreign"));
    case.write("forged/tabellion/results/session-000009.receipts", receipts.finish());
    case.write("forged/tabellion/results/session-000010.receipts", "garbage");
    case.run("collect forged --pin alice/common.pin", 4);
    assert_eq!(case.read(&receipt), case.read("receipt"));
    case.run("verify policy.toml --pin consumer/common.pin", 2);
    case.run("verify nowhere --pin consumer/common.pin", 2);
    let pin = case.pin("james");
    case.write("a/tabellion/inbox/1.cose", Forge::put("james", 13, &pin, "docs/x", b"x").bytes());
    case.session(&["a"], 1);
    let results = case.read("a/tabellion/results/session-000002.receipts");
    let at = results.windows(8).position(|window| window == b"witness.").unwrap();
    case.write("refusal", &results[at..]);
    case.run("verify refusal --pin consumer/common.pin", 0);
    case.flip("refusal", 100);
    case.run("verify refusal --pin consumer/common.pin", 4);
    case.finish();
}

#[test]
fn names_and_content_are_shown_and_written_out() {
    let mut case = Case::grown("consumer-content");
    case.run("show stick --pin consumer/common.pin", 0);
    case.run("show stick --pin consumer/common.pin tools/editor tools/nothing", 1);
    case.run("show stick --pin consumer/common.pin --at 2", 0);
    case.run("log stick --pin consumer/common.pin --at 2", 0);
    case.run("checkout stick out --pin consumer/common.pin", 0);
    assert_eq!(case.read("out/tools/editor"), case.read("alice/editor"));
    assert_eq!(case.read("out/tools/viewer"), case.read("james/viewer"));
    case.say("A folder with something in it is left alone.");
    case.run("checkout stick out --pin consumer/common.pin", 2);
    case.say("Content that the folder does not carry, and content that was changed.");
    fs::remove_file(case.path("stick/tabellion/common/objects/000/000001.index")).unwrap();
    case.run("checkout stick without --pin consumer/common.pin", 1);
    case.run("verify stick --pin consumer/common.pin", 0);
    let whole = Case::grown("whole");
    copy_tree(&whole.path("stick"), &case.path("changed"));
    case.flip("changed/tabellion/common/objects/000/000001.objects", -1);
    case.run("checkout changed wrong --pin consumer/common.pin", 5);
    case.finish();
}

#[test]
fn what_changed_between_two_numbers_is_shown() {
    let mut case = Case::grown("consumer-diff");
    let old = Case::founded("old");
    case.write("old.pin", old.read("consumer/common.pin"));
    case.say("What is new since a pin; what stands there since then.");
    case.run("diff stick --pin old.pin", 1);
    case.run("diff stick --pin old.pin --to 2", 1);
    case.run("diff stick --pin old.pin --names-only", 1);
    case.run("diff stick --pin consumer/common.pin", 0);
    case.run("diff stick --pin consumer/common.pin --names-only", 0);
    case.say("The tool is replaced, and the other one removed.");
    let pin = case.pin("alice");
    let mut change = Forge::put("alice", 9, &pin, "tools/editor", b"another editor");
    if let tabellion::core::proposal::Operation::Put { expect, .. } = &mut change.proposal.operations[0] {
        *expect = tabellion::core::proposal::Expect::Anything;
    }
    change.proposal.operations.push(tabellion::core::proposal::Operation::Remove { name: "tools/viewer".parse().unwrap(), expect: None });
    case.write("b/tabellion/inbox/p.cose", change.bytes());
    case.write("editor", "another editor");
    case.session(&["b"], 0);
    let mut content = tabellion::core::bundle::BundleHeader { papers: 1, objects: 1, object_bytes: 14 }.to_bytes();
    content.extend(change.bytes());
    let mut object = Writer::new();
    object.bytes(b"another editor");
    content.extend(object.finish());
    case.write("c/tabellion/inbox/p.bundle", content);
    case.session(&["c"], 0);
    case.run("diff c --pin consumer/common.pin", 1);
    case.run("diff c --pin old.pin", 1);
    case.say("The older first; numbers that are not there.");
    case.run("diff c --pin consumer/common.pin --from 3 --to 2", 2);
    case.run("diff c --pin consumer/common.pin --from 0", 3);
    case.run("diff c --pin consumer/common.pin --to 9", 3);
    case.say("A part of the log: from a number, the last, of one name.");
    case.run("log c --pin consumer/common.pin --at 4 --from 3", 0);
    case.run("log c --pin consumer/common.pin --at 4 --last 1", 0);
    case.run("log c --pin consumer/common.pin --at 4 --name tools/viewer", 0);
    case.run("log c --pin consumer/common.pin --at 4 --name tools/nothing", 0);
    case.run("log c --pin consumer/common.pin --from 4", 2);
    case.finish();
}

#[test]
fn proofs_travel_alone_and_are_checked_with_a_pin() {
    let mut case = Case::grown("consumer-prove");
    let old = Case::founded("old");
    case.write("old.pin", old.read("consumer/common.pin"));
    case.say("What a name stands for, with its content; and that another one stands for nothing.");
    case.run("prove stick tools/editor --pin consumer/common.pin --out editor.proof", 0);
    case.run("verify editor.proof --pin consumer/common.pin --content alice/editor", 0);
    case.run("verify editor.proof --pin consumer/common.pin --content james/viewer", 1);
    case.run("prove stick tools/nothing --pin consumer/common.pin --at 2 --out nothing.proof", 0);
    case.run("verify nothing.proof --pin consumer/common.pin", 0);
    case.run("verify nothing.proof --pin consumer/common.pin --content alice/editor", 1);
    case.run("verify nothing.proof --pin old.pin", 0);
    case.say("Again: the same. Another file is never overwritten.");
    case.run("prove stick tools/editor --pin consumer/common.pin --out editor.proof", 0);
    case.run("prove stick tools/editor --pin consumer/common.pin --at 2 --out editor.proof", 2);
    case.say("The receipt of a paper, made again.");
    let receipt = case.find("alice/papers", "", ".receipt");
    case.set("PAPER", &receipt[13..77]);
    case.run("prove stick --paper sha256:$PAPER --pin consumer/common.pin --out again.receipt", 0);
    assert_eq!(case.read("again.receipt"), case.read(&receipt));
    case.run("verify again.receipt --pin consumer/common.pin", 0);
    case.run(&format!("prove stick --paper sha256:{} --pin consumer/common.pin --out none.receipt", "ab".repeat(32)), 2);
    case.run("prove stick --paper abcd --pin consumer/common.pin --out none.receipt", 2);
    case.say("A catch-up, for who is pinned there and for nobody else.");
    case.run("prove stick --catch-up 1 --pin consumer/common.pin --out catch-up", 0);
    case.run("verify catch-up --pin old.pin", 0);
    case.run("verify catch-up --pin consumer/common.pin", 3);
    case.run("prove stick --catch-up 9 --pin consumer/common.pin --out back", 3);
    case.run("prove stick --catch-up 2 --at 9 --pin consumer/common.pin --out ahead", 3);
    case.say("One thing at a time; --content is for a name.");
    case.run("prove stick --pin consumer/common.pin --out x", 2);
    case.run("prove stick tools/editor --catch-up 1 --pin consumer/common.pin --out x", 2);
    case.run("verify again.receipt --pin consumer/common.pin --content alice/editor", 2);
    case.say("Of another witness; one character changed in the state proof, and in the signature.");
    let other = Case::foreign("other");
    copy_tree(&other.path("stick"), &case.path("foreign"));
    case.write("other.pin", other.read("consumer/common.pin"));
    case.quiet("prove foreign tools/editor --pin other.pin --out foreign.proof", 0);
    case.run("verify foreign.proof --pin consumer/common.pin", 4);
    let whole = case.read("editor.proof");
    case.swap("editor.proof", 100);
    case.run("verify editor.proof --pin consumer/common.pin", 5);
    case.write("editor.proof", &whole);
    case.swap("editor.proof", -20);
    case.run("verify editor.proof --pin consumer/common.pin", 4);
    case.write("editor.proof", &whole[..200]);
    case.run("verify editor.proof --pin consumer/common.pin", 3);
    case.finish();
}

// ------------------------------------------------------------------------------------------------------------------------------ 6. helps

#[test]
fn helps_are_as_printed() {
    let mut case = Case::empty("help");
    for command in [
        "",
        "demo",
        "key",
        "key new",
        "key identity",
        "key show",
        "domain",
        "domain init",
        "domain snapshot",
        "domain log",
        "domain show",
        "domain audit",
        "propose",
        "propose put",
        "propose remove",
        "propose policy",
        "approve",
        "preview",
        "collect",
        "witness",
        "witness init",
        "witness session",
        "witness export",
        "witness backup",
        "witness restore",
        "witness integrity",
        "witness rebuild",
        "witness status",
        "witness audit",
        "policy",
        "policy check",
        "policy show",
        "policy diff",
        "pin",
        "advance",
        "verify",
        "replay",
        "log",
        "show",
        "diff",
        "checkout",
        "prove",
        "completions",
        "man",
    ] {
        case.run(format!("{command} --help").trim_start(), 0);
    }
    case.say("Short, for who knows the command.");
    case.run("pin -h", 0);
    case.say("No command, one that is not there, an option that is not there.");
    case.run("", 2);
    case.run("notarise", 2);
    case.run("witness session --leger witness", 2);
    case.finish();
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let case = Case::grown("closed-pipe");
    for command in ["log stick --pin consumer/common.pin", "--help", "witness status --ledger witness"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = case.command(command).stdout(writer).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{command}");
        assert_eq!(output.stderr, b"", "{command}");
    }
}

/// `docs/exit-codes.md` has one line for each rule that can end a command, with its code.
#[test]
fn the_table_of_exit_codes_is_that_of_the_program() {
    let table = include_str!("../docs/exit-codes.md");
    for rule in Rule::ALL {
        let line = format!("| `{}` | {} |", rule.id(), Exit::of(*rule).code());
        assert_eq!(table.matches(&line).count(), usize::from(rule.outcome() == Outcome::Stop), "{line}");
    }
}

// ---------------------------------------------------------------------------------------------------------------------- 7. the same as JSON

/// Runs a command with `--json`: whatever its outcome, stdout is one line and one document, which names the command and its exit code.
fn json(case: &mut Case, arguments: &str, code: i32) -> Value {
    let arguments = format!("{arguments} --json");
    let output = case.command(&arguments).output().unwrap();
    case.record(&format!("tabellion {arguments}"), &output);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!((output.status.code(), text.lines().count()), (Some(code), 1), "{arguments}\n{}", String::from_utf8_lossy(&output.stderr));
    let document: Value = serde_json::from_str(&text).unwrap();
    let keys: Vec<&String> = document.as_object().unwrap().keys().collect();
    assert!(keys == ["answer", "command", "exit"] || keys == ["command", "exit", "problem"], "{keys:?}");
    assert_eq!(document["exit"], code);
    assert!(arguments.starts_with(document["command"].as_str().unwrap()), "{}", document["command"]);
    assert!(!has_null(&document), "{document}");
    document
}

/// What is not there has no field.
fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.iter().any(has_null),
        Value::Object(fields) => fields.values().any(has_null),
        _ => false,
    }
}

#[test]
fn json_tells_what_founding_export_and_status_tell() {
    let mut case = Case::grown("json-witness");
    write_key(&case.path("desk/key"), "other");
    let next = case.quiet("key show safe/next-key --vkey witness.example/common", 0);
    case.set("NEXT", next.trim());
    case.say("A charter, its signatures, and the founding; then once more, and a policy that is not there.");
    let draft = json(&mut case, "witness init desk --policy policy.toml --next-key $NEXT --text 'for the record'", 0);
    assert_eq!(draft["answer"]["governors"], serde_json::json!(["alice", "carol", "james"]));
    assert_eq!((&draft["answer"]["signatures_needed"], &draft["answer"]["charter"]["text"]), (&2.into(), &"for the record".into()));
    let signed = json(&mut case, "approve desk/charter.payload --key alice/key --yes", 0);
    assert_eq!(signed["answer"]["charter"], serde_json::json!({ "group": "board", "have": 1, "need": 2, "missing": ["carol", "james"] }));
    assert_eq!(signed["answer"]["papers"][0]["charter"], draft["answer"]["charter"]);
    json(&mut case, "approve desk/charter.payload --key james/key --yes", 0);
    let founded = json(&mut case, "witness init desk --charter desk/charter.cose --time none", 0);
    assert_eq!(json(&mut case, "witness init desk --charter desk/charter.cose --time none", 0)["answer"], founded["answer"]);
    json(&mut case, "witness init other --policy nowhere --next-key $NEXT", 2);
    case.say("Where that desk stands, whole and one value alone.");
    let status = json(&mut case, "witness status --ledger desk", 0);
    for field in ["origin", "head", "fingerprint"] {
        assert_eq!(status["answer"][field], founded["answer"][field], "{field}");
    }
    assert_eq!((&status["answer"]["sessions"], &status["answer"]["held"]), (&1.into(), &0.into()));
    let head = json(&mut case, "witness status --ledger desk --head", 0)["answer"]["value"].as_str().unwrap().to_owned();
    assert_eq!(head, format!("1:{}", founded["answer"]["head"]["words"].as_str().unwrap()));
    assert_eq!(json(&mut case, "witness status --ledger desk --fingerprint", 0)["answer"]["value"], status["answer"]["fingerprint"]);
    json(&mut case, "witness status --ledger nowhere", 2);
    case.say("The whole desk checked; then a copy that lost its head file, which halts.");
    case.set("HEAD", head);
    let checked = json(&mut case, "witness integrity --ledger desk --deep --expect-head $HEAD", 0);
    assert_eq!(checked["answer"]["health"], serde_json::json!({ "state": "ok" }));
    assert_eq!((&checked["answer"]["checked"]["events"], &checked["answer"]["checked"]["signatures"]), (&4.into(), &4.into()));
    copy_tree(&case.path("desk"), &case.path("copy"));
    fs::remove_file(case.path("copy/head")).unwrap();
    let halted = json(&mut case, "witness integrity --ledger copy", 5);
    assert_eq!((&halted["answer"]["health"]["kind"], &halted["answer"]["head_file"]["state"]), (&"head-file".into(), &"missing".into()));
    case.say("Export, and to a medium of another witness.");
    fs::create_dir(case.path("empty")).unwrap();
    assert_eq!(json(&mut case, "witness export --ledger desk --media empty", 0)["answer"]["head"], founded["answer"]["head"]);
    let refused = json(&mut case, "witness export --ledger desk --media stick", 3);
    assert_eq!(refused["problem"]["rule"], "medium-foreign");
    case.say("A backup, verified with and without what opens it, and a standby made of it.");
    let made = json(&mut case, "witness backup --ledger desk desk.backup.age", 0);
    assert_eq!((&made["answer"]["head"], &made["answer"]["fingerprint"]), (&founded["answer"]["head"], &founded["answer"]["fingerprint"]));
    let opens = "--identity desk/key --passphrase-file passphrase";
    let verified = json(&mut case, &format!("witness backup --verify desk.backup.age {opens}"), 0);
    assert_eq!((&verified["answer"]["backup"], &verified["answer"]["opened"]), (&made["answer"]["backup"], &true.into()));
    let unopened = json(&mut case, "witness backup --verify desk.backup.age", 1);
    assert_eq!((&unopened["answer"]["opened"], unopened["answer"].get("backup")), (&false.into(), None));
    let restored = json(&mut case, &format!("witness restore desk.backup.age standby {opens}"), 0);
    assert_eq!(restored["answer"]["backup"], made["answer"]["backup"]);
    let status = json(&mut case, "witness status --ledger standby", 0);
    assert_eq!((&status["answer"]["standby"]["backup"], &status["answer"]["standby"]["number"]), (&made["answer"]["backup"], &1.into()));
    json(&mut case, "witness integrity --ledger standby", 0);
    json(&mut case, &format!("witness restore desk.backup.age standby {opens}"), 2);
    case.finish();
}

#[test]
fn json_tells_every_answer_of_a_session_and_all_that_is_listed() {
    let mut case = Case::grown("json-session");
    let pin = case.pin("alice");
    case.write("a/tabellion/inbox/1.cose", Forge::put("alice", 30, &pin, "docs/x", b"x").bytes());
    case.write("a/tabellion/inbox/2.cose", Forge::put("alice", 31, &pin, "music/song", b"x").bytes());
    case.write("a/tabellion/inbox/3.cose", Forge::put("alice", 32, &pin, "release/plan", b"x").bytes());
    for number in 10..22 {
        case.write(&format!("a/tabellion/inbox/{number}.cose"), format!("no paper {number}"));
    }
    case.remember_head();
    let session = "witness session --ledger witness --media a --yes --time none";
    case.say("Another head than the one expected; then it goes. What the operator sees first is on stderr in both forms.");
    let stopped = json(&mut case, &format!("{session} --expect-head 3:abandon-ability-able-about-above-absent"), 5);
    assert_eq!(stopped["problem"]["rule"], "head-unexpected");
    let done = json(&mut case, &format!("{session} --expect-head $HEAD"), 1);
    let answer = &done["answer"];
    let verdicts: Vec<(&str, &Value)> =
        answer["answers"].as_array().unwrap().iter().map(|one| (one["verdict"].as_str().unwrap(), &one["paper"]["sequence"])).collect();
    assert_eq!(verdicts, [("accepted", &30.into()), ("refused", &31.into()), ("pending", &32.into())]);
    assert_eq!((&answer["answers"][0]["number"], &answer["answers"][1]["broken"]["rule"]), (&4.into(), &"no-rule".into()));
    assert_eq!((&answer["before"]["number"], &answer["head"]["number"]), (&3.into(), &4.into()));
    assert_eq!(answer["listed"].as_array().unwrap().len(), 12, "words stop at ten of a rule; facts do not");
    assert_eq!(answer["media"], serde_json::json!([{ "path": "a", "written": true }]));
    case.say("Again, one of them: nothing is new.");
    case.write("b/tabellion/inbox/1.cose", case.read("a/tabellion/inbox/1.cose"));
    case.remember_head();
    let again = json(&mut case, &format!("{} --expect-head $HEAD", session.replace("--media a", "--media b")), 0);
    assert_eq!((&again["answer"]["is_new"], &again["answer"]["again"][0]["verdict"]), (&false.into(), &"accepted".into()));
    case.finish();
}

#[test]
fn json_tells_what_proposing_approving_and_collecting_tell() {
    let mut case = Case::grown("json-desk");
    let with = "--pin alice/common.pin --key alice/key --media stick";
    case.write("alice/suite/one", "1\n");
    case.write("alice/suite/two", "22\n");
    fs::create_dir(case.path("alice/suite/none")).unwrap();
    case.say("A folder, a removal, a paper that needs approvals, and one that cannot be made.");
    let put = json(&mut case, &format!("propose put tools/suite=alice/suite {with} --note 'a suite'"), 0);
    assert_eq!((&put["answer"]["trees"][0]["files"], &put["answer"]["trees"][0]["size_bytes"]), (&2.into(), &5.into()));
    assert_eq!((&put["answer"]["expected"]["verdict"], &put["answer"]["expected"]["number"]), (&"accepted".into(), &4.into()));
    assert_eq!(json(&mut case, &format!("propose remove tools/viewer {with} --no-preview"), 0)["answer"]["paper"]["sequence"], 3);
    let plan = json(&mut case, "propose put release/plan=alice/editor --pin alice/common.pin --key alice/key --out plan --common stick", 0);
    assert_eq!(
        (&plan["answer"]["expected"]["verdict"], &plan["answer"]["expected"]["rule"]),
        (&"pending".into(), &"threshold-not-met".into())
    );
    json(&mut case, &format!("propose put tools/x=nowhere {with}"), 2);
    case.say("A policy: what it changes and whose approvals it has, when it is made and when it is signed.");
    case.write("second.toml", policy().replace("size_max = 50\n", "size_max = 60\n"));
    let made = json(&mut case, "propose policy second.toml --pin alice/common.pin --key alice/key --out policy --common stick", 0);
    let seen = json(&mut case, "approve policy --key james/key --common stick --pin alice/common.pin --yes", 0);
    assert_eq!(seen["answer"]["papers"][0]["policy"]["change"], made["answer"]["policy"]["change"]);
    let have = |approvals: &Value| approvals.as_array().unwrap().iter().map(|one| one["have"].as_u64().unwrap()).collect::<Vec<_>>();
    assert_eq!(have(&seen["answer"]["papers"][0]["policy"]["approvals"]), [1, 1]);
    assert_eq!(have(&seen["answer"]["policies"][0]["approvals"]), [2, 2]);
    json(&mut case, "approve policy --key mallory/key --common stick --pin alice/common.pin --yes", 4);
    case.say("Nobody to ask: what would be signed is told all the same.");
    json(&mut case, "approve plan --key james/key", 2);
    let signed = json(&mut case, "approve plan --key james/key --yes", 0);
    assert_eq!((&signed["answer"]["papers"][0]["paper"], &signed["answer"]["file"]), (&plan["answer"]["paper"], &"plan".into()));
    case.say("A session, with the operator's confirmation of the policy; then what became of each paper.");
    let id = made["answer"]["paper"]["id"].as_str().unwrap().to_owned();
    case.set("POLICY", id);
    case.write("stick/tabellion/inbox/policy.bundle", case.read("policy"));
    case.remember_head();
    let session = "witness session --ledger witness --media stick --expect-head $HEAD --yes --time none";
    assert_eq!(json(&mut case, session, 2)["problem"]["rule"], "confirmation-missing");
    let session = json(&mut case, &format!("{session} --confirm $POLICY"), 0);
    let policies = session["answer"]["answers"].as_array().unwrap().iter().filter_map(|one| one.get("policy"));
    assert_eq!(policies.map(|policy| &policy["change"]).collect::<Vec<_>>(), [&made["answer"]["policy"]["change"]]);
    let collected = json(&mut case, "collect stick --pin alice/common.pin", 0);
    let papers = collected["answer"]["papers"].as_array().unwrap();
    let waits: Vec<&Value> = papers.iter().filter(|one| one.get("receipt").is_none()).map(|one| &one["paper"]["id"]).collect();
    assert_eq!((papers.len(), waits), (5, vec![&plan["answer"]["paper"]["id"]]));
    let of = |id: &Value| papers.iter().find(|one| one["paper"]["id"] == *id).unwrap();
    let suite = of(&put["answer"]["paper"]["id"]);
    assert_eq!((&suite["receipt"]["number"], &suite["foreseen"]["came_true"]), (&4.into(), &true.into()));
    json(&mut case, "collect nowhere --pin alice/common.pin", 2);
    case.finish();
}

/// Every key in a document.
fn keys_of(value: &Value, into: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            into.insert(key.clone());
            keys_of(value, into);
        }),
        Value::Array(items) => items.iter().for_each(|item| keys_of(item, into)),
        _ => {}
    }
}

#[test]
fn json_tells_what_ceremonies_tell() {
    let mut case = parted("json-ceremony");
    case.remember_head();
    let mut answers = vec![
        json(&mut case, "ceremony recover --ledger witness --against copy --write-order r.payload --stays ours --note n", 0),
        json(&mut case, "approve r.payload --key alice/key --common stick --pin alice/common.pin --yes", 0),
    ];
    approve_by(&case, "r.payload", &["james"]);
    answers.push(json(&mut case, "ceremony recover --ledger witness --against copy --order r.cose", 0));
    answers.push(json(&mut case, "ceremony resume --ledger witness --write-order s.payload", 0));
    approve_by(&case, "s.payload", &["alice", "james"]);
    answers.push(json(&mut case, "ceremony resume --ledger witness --order s.cose", 0));
    answers.push(json(&mut case, "ceremony resume --ledger witness --order s.cose", 0));
    case.finish();
    let mut found = std::collections::BTreeSet::new();
    answers.iter().for_each(|answer| keys_of(&answer["answer"], &mut found));
    assert!(found.len() > 40, "{found:?}");
    let document = include_str!("../docs/json.md");
    let section = |name: &str| document.split(&format!("## `{name}`")).nth(1).unwrap().split("\n## ").next().unwrap().to_owned();
    let told = [section("ceremony …"), section("approve"), "`number` `root` `words`".to_owned()].concat();
    let untold: Vec<&String> = found.iter().filter(|key| !told.contains(&format!("`{key}`"))).collect();
    assert!(untold.is_empty(), "docs/json.md does not name {untold:?}");
}

#[test]
fn every_golden_file_belongs_to_a_case() {
    let cases = [include_str!("cli.rs"), include_str!("policy_cli.rs"), include_str!("preview.rs"), include_str!("domain.rs")].concat();
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(cases.contains(&format!("(\"{name}\")")), "{name}");
    }
}

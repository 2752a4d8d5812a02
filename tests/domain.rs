//! A proposer's own domain, through the command line: numbers, content stored once, several commands at once, a kill at any moment, tampering,
//! and entries proposed from it.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod stage;

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use stage::{Case, tree};

const SNAPSHOT: &str = "domain snapshot alice/work --domain alice/domain --key alice/key --time none";

/// alice has a domain and a folder of work.
fn case(name: &'static str) -> Case {
    let case = Case::founded(name);
    case.write("alice/work/bin/editor", "the editor, first");
    case.write("alice/work/notes/ä.txt", "notes");
    case.write("alice/work/copy of notes", "notes");
    case.quiet("domain init alice/domain --name alice --pin alice/common.pin --key alice/key", 0);
    case
}

fn numbers(case: &Case) -> Vec<u64> {
    let log: serde_json::Value = serde_json::from_str(&case.quiet("domain log alice/domain --json", 0)).expect("one document");
    log["answer"]["snapshots"].as_array().unwrap().iter().map(|listed| listed["snapshot"]["number"].as_u64().unwrap()).collect()
}

fn pack_bytes(case: &Case, number: u64) -> usize {
    case.read(&format!("alice/domain/objects/000/{number:06}.objects")).len()
}

#[test]
fn content_shared_between_snapshots_is_stored_once_and_an_unchanged_folder_takes_no_number() {
    let case = case("domain-once");
    case.write("alice/work/large", vec![7; 100_000]);
    assert!(case.quiet(SNAPSHOT, 0).contains("4 new objects"), "tree, editor, notes once, large");
    assert!(case.quiet(SNAPSHOT, 0).contains("stays    alice@1"));
    case.write("alice/work/bin/editor", "the editor, second");
    assert!(case.quiet(SNAPSHOT, 0).contains("2 new objects"), "tree and editor");
    assert_eq!(numbers(&case), [1, 2]);
    assert!(pack_bytes(&case, 1) > 100_000 && pack_bytes(&case, 2) < 1_000);
    // What was kept first can still be read, and goes back to being the newest without being stored again.
    case.write("alice/work/bin/editor", "the editor, first");
    assert!(case.quiet(SNAPSHOT, 0).contains("0 new objects"));
    assert_eq!(numbers(&case), [1, 2, 3]);
    let (first, third) = (case.quiet("domain show alice/domain --at 1", 0), case.quiet("domain show alice/domain --at 3", 0));
    assert_eq!(first.lines().skip(1).collect::<Vec<_>>(), third.lines().skip(1).collect::<Vec<_>>());
}

#[test]
fn snapshots_taken_at_once_wait_for_each_other_and_no_number_is_taken_twice() {
    let case = case("domain-at-once");
    let children: Vec<_> = (0..6)
        .map(|index| {
            case.write(&format!("alice/work{index}/file"), format!("work {index}"));
            let command = SNAPSHOT.replace("alice/work", &format!("alice/work{index}"));
            case.command(&command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(numbers(&case), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn one_that_holds_the_lock_for_long_is_named_with_exit_6() {
    let case = case("domain-held");
    let lock = fs::File::open(case.path("alice/domain/lock")).unwrap();
    lock.try_lock().unwrap();
    let output = case.command(SNAPSHOT).output().unwrap();
    assert_eq!(output.status.code(), Some(6));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let who = format!("alice/domain/lock: held by process {} (", std::process::id());
    assert!(said.contains("[another-writer]") && said.contains(&who) && said.contains("which has run for"), "{said}");
    // Looking waits for nobody.
    assert_eq!(numbers(&case), Vec::<u64>::new());
}

const SIGXFSZ: i32 = 25;

/// The same command, which dies of the first write beyond so many blocks of a file.
fn limited(command: &Command, blocks: u32) -> Command {
    let mut limited = Command::new("sh");
    limited
        .args(["-c", &format!("ulimit -c 0; ulimit -f {blocks}; exec \"$@\""), "sh"])
        .arg(command.get_program())
        .args(command.get_args());
    limited.current_dir(command.get_current_dir().unwrap()).stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited
}

#[test]
fn killed_at_any_moment_the_next_snapshot_goes_on_and_everything_kept_can_be_read() {
    let case = case("domain-killed");
    // How long a whole run takes here, so that the kills fall all over it; most of it is unsealing the key.
    let began = std::time::Instant::now();
    case.quiet(SNAPSHOT, 0);
    let whole = began.elapsed();
    let (mut killed, rounds) = (0, 40);
    for round in 1..=rounds {
        case.write("alice/work/bin/editor", format!("the editor, number {round}"));
        let mut child = case.command(SNAPSHOT).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(whole * round / rounds);
        child.kill().unwrap();
        killed += u64::from(!child.wait().unwrap().success());
    }
    println!("{killed} of {rounds} runs were killed by the clock");
    // Those that no clock decides: the kernel ends a run that writes more than so many blocks to one file.
    for blocks in [0, 1, 2, 4, 8, 16, 32] {
        case.write("alice/work/bin/editor", format!("the editor, {blocks} blocks").repeat(2_000));
        let output = limited(&case.command(SNAPSHOT), blocks).output().unwrap();
        assert_eq!(output.status.signal(), Some(SIGXFSZ), "{blocks} blocks: {}", String::from_utf8_lossy(&output.stderr));
    }
    case.write("alice/work/bin/editor", "the editor, last");
    case.quiet(SNAPSHOT, 0);
    let numbers = numbers(&case);
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    for number in numbers {
        case.quiet(&format!("domain show alice/domain --at {number}"), 0);
    }
}

#[test]
fn an_entry_proposed_from_a_snapshot_is_what_the_snapshot_holds_and_says_where_it_comes_from() {
    let mut case = case("domain-propose");
    case.quiet(SNAPSHOT, 0);
    // What lies in the folder now does not matter.
    case.write("alice/work/bin/editor", "changed since");
    let proposed = case.quiet(
        "propose put tools/editor=alice@1:bin/editor tools/notes=alice@1:notes --pin alice/common.pin --key alice/key --media stick",
        0,
    );
    assert!(proposed.contains("by its author's claim from witness.example/common/~alice@1"), "{proposed}");
    case.session(&["stick"], 0);
    case.quiet("advance stick --pin alice/common.pin", 0);
    case.quiet("checkout stick alice/out --pin alice/common.pin", 0);
    let out = tree(&case.path("alice/out"));
    assert_eq!(out["tools/editor"], b"the editor, first");
    assert_eq!(out["tools/notes/ä.txt"], b"notes");
    for (what, rule) in [("alice@2:bin/editor", "not-found"), ("alice@1:bin/nothing", "not-found"), ("bob@1:bin/editor", "usage")] {
        let command = format!("propose put tools/other={what} --pin alice/common.pin --key alice/key --media stick");
        let output = case.command(&command).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stderr).contains(rule), "{what}: {output:?}");
    }
}

#[test]
fn what_was_done_to_the_folder_of_a_domain_is_found() {
    let case = case("domain-tampered");
    case.quiet(SNAPSHOT, 0);
    let older = tree(&case.path("alice/domain"));
    case.write("alice/work/bin/editor", "the editor, second");
    case.quiet(SNAPSHOT, 0);
    let whole = tree(&case.path("alice/domain"));
    let put = |files: &std::collections::BTreeMap<String, Vec<u8>>| {
        fs::remove_dir_all(case.path("alice/domain")).unwrap();
        files.iter().for_each(|(path, bytes)| case.write(&format!("alice/domain/{path}"), bytes));
    };
    let refused = |command: &str, rule: &str| {
        let output = case.command(command).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stderr).contains(&format!("[{rule}]")), "{rule}: {output:?}");
    };
    // An older copy of the ledger under the newer head file.
    put(&older);
    case.write("alice/domain/head", &whole["head"]);
    refused("domain log alice/domain", "head-rolled-back");
    refused(SNAPSHOT, "head-rolled-back");
    // Another identity, an older head file, a pack with one byte flipped.
    put(&whole);
    case.write("alice/domain/domain", String::from_utf8(whole["domain"].clone()).unwrap().replace("~alice", "~alicf"));
    refused("domain log alice/domain", "ledger-fault");
    put(&whole);
    case.write("alice/domain/head", &older["head"]);
    refused("domain log alice/domain", "head-rolled-back");
    put(&whole);
    case.flip("alice/domain/objects/000/000002.objects", -1);
    let taken = "propose put tools/x=alice@2: --pin alice/common.pin --key alice/key --media stick";
    refused(taken, "proof-fails");
    put(&whole);
    fs::remove_file(case.path("alice/domain/instance")).unwrap();
    refused(SNAPSHOT, "not-found");
    put(&whole);
    assert_eq!(numbers(&case), [1, 2]);
}

#[test]
fn the_days_of_a_domain_read_well() {
    let mut case = Case::founded("domain");
    case.write("alice/work/bin/editor", "the editor, first");
    fs::create_dir_all(case.path("alice/work/empty")).unwrap();
    case.say("alice makes a domain of her own, and keeps her folder as it is.");
    case.run("domain init alice/domain --name alice --pin alice/common.pin --key alice/key", 0);
    case.run("domain log alice/domain", 0);
    case.run(SNAPSHOT, 0);
    case.run(SNAPSHOT, 0);
    case.write("alice/work/bin/editor", "the editor, second");
    case.run("domain snapshot alice/work --domain alice/domain --key alice/key --time 2026-11-21T12:00:00Z --note 'second thoughts'", 0);
    case.run("domain log alice/domain", 0);
    case.run("domain show alice/domain --at 1", 0);
    case.say("She proposes from the first.");
    case.run("propose put tools/editor=alice@1:bin/editor --pin alice/common.pin --key alice/key --media stick", 0);
    case.say("What cannot be done.");
    case.run("domain show alice/domain --at 3", 2);
    case.run("domain init alice/domain --name bob --pin alice/common.pin --key alice/key", 2);
    case.run("domain snapshot alice/work --domain alice/domain --key james/key --time none", 4);
    case.write("alice/work/key", case.read("alice/key"));
    case.run(SNAPSHOT, 2);
    case.run("propose put tools/x=bob@1:y --pin alice/common.pin --key alice/key --media stick", 2);
    case.finish();
}

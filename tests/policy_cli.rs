//! Golden cases of policies at the command line: what they mean, what a change changes, and a change of policy over several sessions.
//! `TABELLION_BLESS=1 cargo test --test policy_cli` writes the files in `tests/cli/` anew; read the difference before it is committed.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod stage;

use std::fs;

use stage::{Case, Forge, policy, public, tree, write_key};
use tabellion::core::cbor::Canonical as _;
use tabellion::core::policy_text;
use tabellion::core::proposal::Operation;

/// erin joins, james's only key retires, carol and erin govern, and the tools are alice's alone.
fn second() -> String {
    let member = |name: &str, key: &str| format!("[[member]]\nname = \"{name}\"\nkeys = [\"{}\"]\n", public(key));
    format!(
        "# What the council decided.\ngovernors = \"council\"\nheld_numbers_max = 50\n{}{}{}\
         [[member]]\nname = \"james\"\nkeys = []\nretired = [\"{}\"]\n\
         [[group]]\nname = \"council\"\nk = 2\nof = [\"carol\", \"erin\"]\n\
         [[group]]\nname = \"reviewers\"\nk = 1\nof = [\"carol\", \"erin\"]\n\
         [[group]]\nname = \"release\"\nk = 2\nof = [\"alice\", \"reviewers\"]\n\
         [[rule]]\nprefix = \"docs/\"\npropose = [\"alice\", \"erin\"]\nsize_max = 50\n\
         [[rule]]\nprefix = \"release/\"\npropose = [\"alice\"]\napprove = \"release\"\n\
         [[rule]]\nprefix = \"tools/\"\npropose = [\"alice\", \"james\"]\ncontent = \"required\"\nsize_max = 1000000\n",
        member("alice", "alice"),
        member("carol", "carol"),
        member("erin", "other"),
        public("james"),
    )
}

/// The id behind `paper    sha256:`.
fn id_in(text: &str) -> String {
    let line = text.lines().find(|line| line.contains("paper    sha256:")).expect("the line of the paper's id");
    line.split("sha256:").nth(1).unwrap().trim().to_owned()
}

#[test]
fn a_policy_and_a_change_of_it_are_told_in_words() {
    let mut case = Case::grown("policy-words");
    case.write("second.toml", second());
    case.say("What the policy in force means; and one that is only a file.");
    case.run("policy show stick --pin alice/common.pin", 0);
    case.run("policy show second.toml", 0);
    case.say("What would change: in consequences, with Common and without.");
    case.run("policy diff stick second.toml --pin alice/common.pin", 1);
    case.run("policy diff policy.toml policy.toml", 0);
    case.say("Whether it could follow.");
    case.run("policy check second.toml --against stick --pin alice/common.pin", 0);
    case.run("policy check policy.toml --against policy.toml", 0);
    case.finish();
}

#[test]
fn a_policy_printed_as_toml_or_published_as_cbor_is_the_same_policy() {
    let case = Case::grown("policy-printed");
    case.write("second.toml", second());
    for what in ["second.toml", "stick"] {
        let printed = case.quiet(&format!("policy show {what} --pin alice/common.pin --toml"), 0);
        case.write("printed.toml", &printed);
        assert_eq!(case.quiet("policy show printed.toml --toml", 0), printed, "printed, read and printed again");
    }
    let expected = policy_text::parse(&policy()).unwrap();
    let published = case.find("stick/tabellion/common/policies", "", ".cbor");
    assert_eq!(case.read(&published), expected.to_cbor());
    assert_eq!(case.quiet(&format!("policy show {published} --toml"), 0), case.quiet("policy show policy.toml --toml", 0));
}

#[test]
fn an_unsound_policy_is_refused_with_every_reason_and_its_line() {
    let mut case = Case::grown("policy-unsound");
    case.say("A word misspelled, and a number where a text belongs.");
    case.write("a.toml", policy().replace("size_max = 50", "size_limit = 50"));
    case.run("policy check a.toml", 2);
    case.write("a.toml", policy().replace("prefix = \"docs/\"", "prefix = 7"));
    case.run("policy check a.toml", 2);
    case.say("Several reasons at once, each with the line of its table.");
    let twice = policy()
        .replace(&public("carol"), &public("alice"))
        .replace("k = 2", "k = 4")
        .replace("propose = [\"alice\", \"james\"]", "propose = [\"dave\"]");
    case.write("b.toml", twice);
    case.run("policy check b.toml", 2);
    case.say("A prefix that stands twice; a group that holds a person twice, once by another group.");
    let again = "[[group]]\nname = \"all\"\nk = 2\nof = [\"alice\", \"board\"]\n[[rule]]\nprefix = \"docs/\"\npropose = [\"alice\"]\n";
    case.write("c.toml", format!("{}{again}", policy()));
    case.run("policy check c.toml", 2);
    case.write("c.toml", format!("{}{}", policy(), again.split("[[rule]]").next().unwrap()));
    case.run("policy check c.toml", 2);
    case.say("A name, and a key, that were somebody else's; neither is signed.");
    case.write("d.toml", policy().replace("\"carol\"", "\"dave\""));
    case.run("policy check d.toml --against stick --pin alice/common.pin", 2);
    case.run("propose policy d.toml --pin alice/common.pin --key alice/key --media stick", 2);
    case.run("propose policy b.toml --pin alice/common.pin --key alice/key --media stick", 2);
    case.run("propose policy policy.toml --pin alice/common.pin --key alice/key --media stick", 2);
    case.say("What is no policy.");
    case.write("holiday.jpg", [0xff, 0xd8, 0xff, 0xe0]);
    case.run("policy check holiday.jpg", 2);
    case.run("policy show policy.toml --at 2", 2);
    case.run("policy show nowhere.toml", 2);
    case.finish();
}

#[test]
fn two_governors_change_the_policy_over_several_sessions() {
    let mut case = Case::grown("policy-change");
    case.write("second.toml", second());
    write_key(&case.path("erin/key"), "other");
    fs::create_dir(case.path("second-stick")).unwrap();
    case.say("Alice proposes it, and carol approves it on the same stick.");
    let proposed = case.run("propose policy second.toml --pin alice/common.pin --key alice/key --media stick", 0);
    let id = id_in(&proposed);
    let bundle = case.find("stick/tabellion/inbox", "alice-", ".bundle");
    case.set("BUNDLE", bundle);
    case.set("ID", &id);
    case.run("approve $BUNDLE --key carol/key --common stick --pin carol/common.pin --yes", 0);
    case.say("A key that would count on neither side signs nothing.");
    case.run("approve $BUNDLE --key mallory/key --common stick --pin carol/common.pin --yes --out nowhere", 4);
    assert!(!case.path("nowhere").exists());
    case.write("kept", case.read(&case.find("stick/tabellion/inbox", "alice-", ".bundle")));
    case.say("The old governors agree, of the new ones erin is missing. A paper of james waits for its content.");
    let pin = case.pin("james");
    case.write("stick/tabellion/inbox/j.cose", Forge::put("james", 7, &pin, "tools/later", b"later").bytes());
    case.session(&["stick"], 0);
    case.run("collect stick --pin alice/common.pin", 0);
    case.say("A session later, and without a Common at hand, erin approves the copy that was kept.");
    case.write("alice/page", "a page\n");
    case.quiet("propose put docs/page=alice/page --pin alice/common.pin --key alice/key --media stick", 0);
    case.quiet("witness session --ledger witness --media stick --expect-head $HEAD --yes --time none", 0);
    case.run("approve kept --key erin/key --out second-stick/policy.cose --yes", 0);
    case.say("Unconfirmed, or with another id, nothing is committed. Another policy of alice's comes along.");
    let mut third = Forge::put("alice", 9, &pin, "docs/x", b"x");
    let expect = Some(policy_text::parse(&policy()).unwrap().hash());
    let other = policy_text::parse(&policy().replace("k = 2", "k = 3")).unwrap();
    third.proposal.operations = vec![Operation::SetPolicy { expect, policy: Box::new(other) }];
    case.write("second-stick/third.cose", third.bytes());
    case.remember_head();
    let before = tree(&case.path("second-stick"));
    let session = "witness session --ledger witness --media second-stick --expect-head $HEAD --yes --time none";
    case.run(session, 2);
    case.quiet(&format!("{session} --confirm sha256:{}", "0".repeat(64)), 2);
    assert_eq!(tree(&case.path("second-stick")), before, "nothing was written");
    case.say("Confirmed by its id: the session ends with it.");
    case.run(&format!("{session} --confirm sha256:$ID"), 0);
    case.say("The next session runs under it: james's key is retired, and the policy that alice expected is in force no more.");
    case.write("third-stick/p.cose", Forge { signers: vec!["other"], ..Forge::put("erin", 1, &pin, "docs/erin", b"x") }.bytes());
    case.session(&["third-stick"], 1);
    case.say("Everybody can check all of it.");
    case.run("advance third-stick --pin consumer/common.pin", 0);
    case.run("verify third-stick --pin consumer/common.pin", 0);
    case.run("policy show third-stick --pin consumer/common.pin --at 4", 0);
    case.run("policy check policy.toml --against third-stick --pin consumer/common.pin", 0);
    case.finish();
}

#[test]
fn a_published_policy_that_is_missing_changed_or_planted_is_found() {
    let mut case = Case::grown("policy-published");
    let cbor = case.find("stick/tabellion/common/policies", "", ".cbor");
    let toml = case.find("stick/tabellion/common/policies", "", ".toml");
    let (whole, text) = (case.read(&cbor), case.read(&toml));
    let verify = "verify stick --pin consumer/common.pin";
    case.say("One bit of the canonical bytes.");
    case.flip(&cbor, -1);
    case.run(verify, 5);
    case.write(&cbor, &whole);
    case.say("A lie in a comment of the printed form, of the same length.");
    case.write(&toml, String::from_utf8(text.clone()).unwrap().replacen("# policy", "# poliCy", 1));
    case.run(verify, 5);
    case.say("Missing.");
    fs::remove_file(case.path(&toml)).unwrap();
    case.run(verify, 3);
    case.write(&toml, &text);
    case.say("A policy that was never in force.");
    let planted = format!("stick/tabellion/common/policies/{}.toml", "ab".repeat(32));
    case.write(&planted, &text);
    case.run(verify, 5);
    fs::remove_file(case.path(&planted)).unwrap();
    case.run(verify, 0);
    case.finish();
}

#[test]
fn the_example_of_the_documentation_is_sound_and_means_what_it_says() {
    let case = Case::empty("policy-example");
    let page = include_str!("../docs/policy.md");
    let block = |kind: &str, nth: usize| page.split(&format!("\n{kind}\n")).nth(nth).unwrap().split("\n```").next().unwrap().to_owned();
    let example = block("```toml", 1);
    case.write("example.toml", &example);
    let shown = case.quiet("policy show example.toml", 0);
    let said = page.split("makes of it:\n\n```\n").nth(1).unwrap().split("\n```").next().unwrap();
    // Labels are as wide as the widest of the whole answer; the sentences are compared.
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in said.lines() {
        assert!(shown.lines().any(|found| words(found) == words(line)), "{line}\n{shown}");
    }
    // What the table calls the value of a word left out is what the policy gets.
    let sparse =
        example.lines().filter(|line| !["base_lag_max", "quota = 50", "content = \"opt"].iter().any(|word| line.starts_with(word)));
    case.write("sparse.toml", sparse.collect::<Vec<_>>().join("\n"));
    let printed = case.quiet("policy show sparse.toml --toml", 0);
    for expected in
        ["base_lag_max = 1000\n", "quota = 100000\n", "content = \"optional\"\nsize_max = 1000000\n", "size_max = 17179869184\n"]
    {
        assert!(printed.contains(expected), "{expected}{printed}");
    }
}

#[test]
fn a_policy_does_not_admit_itself_whatever_it_says_of_its_governors() {
    let mut case = Case::grown("not-a-golden");
    let alone = "[[group]]\nname = \"alone\"\nk = 1\nof = [\"alice\"]\n";
    case.write(
        "mine.toml",
        policy().replace("governors = \"board\"", "governors = \"alone\"").replacen("[[group]]", &format!("{alone}[[group]]"), 1),
    );
    let proposed = case.run("propose policy mine.toml --pin alice/common.pin --key alice/key --media stick", 0);
    assert!(proposed.contains("approval the policy in force: 1 of 2 in board, missing carol or james"), "{proposed}");
    assert!(proposed.contains("approval the new policy: 1 of 1 in alone, complete"), "{proposed}");
    assert!(proposed.contains("warning  alice alone can change the policy"), "{proposed}");
    case.set("ID", id_in(&proposed));
    case.remember_head();
    let said = case.run("witness session --ledger witness --media stick --expect-head $HEAD --yes --time none --confirm sha256:$ID", 0);
    assert!(said.contains("pending  [threshold-not-met]") && said.contains("1 of 2 in board"), "{said}");
    assert!(
        case.quiet("policy diff stick policy.toml --pin alice/common.pin", 0).contains("nothing changes"),
        "the old policy is in force"
    );
}

#[test]
fn json_tells_the_facts_that_the_words_are_made_of() {
    let case = Case::grown("not-a-golden-either");
    case.write("second.toml", second());
    let json = |arguments: &str, code: i32| serde_json::from_str::<serde_json::Value>(&case.quiet(arguments, code)).unwrap();
    let diff = json("policy diff stick second.toml --pin alice/common.pin --json", 1);
    let consequences = diff["answer"]["consequences"].as_array().unwrap();
    let tools = consequences.iter().find(|fact| fact["change"] == "publish" && fact["prefix"] == "tools/").unwrap();
    assert_eq!(tools["after"], serde_json::json!([{ "with": null, "who": ["alice"] }]));
    assert_eq!(tools["lost"], serde_json::json!(["james"]));
    let shown = json("policy show second.toml --json", 0);
    assert_eq!(shown["answer"]["governors"]["need"], serde_json::json!({ "k": 2, "of": ["carol", "erin"] }));
    let checked = json("policy check second.toml --against stick --pin alice/common.pin --json", 0);
    assert_eq!(checked["answer"]["against"]["unchanged"], serde_json::json!(false));
    case.write("bad.toml", policy().replace("k = 2", "k = 4").replace("[\"alice\", \"james\"]", "[\"dave\"]"));
    let found = json("policy check bad.toml --json", 2)["problem"]["found"].to_string();
    assert!(found.contains("k is 4") && found.contains("dave"), "every reason: {found}");
}

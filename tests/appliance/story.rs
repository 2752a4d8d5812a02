//! What goes well: a founding, papers of two people over several sticks and two starts, a policy, a lock.

use std::fs;

use super::stage::{Case, policy, write_key};
use super::visitor::{CONSOLE, DESK, PASSPHRASE, Visit, head, insert, install, pull};

/// The passphrase, typed.
fn typed() -> String {
    format!("{PASSPHRASE}\n")
}

/// From an empty data disk to a consumer's files, with nothing but the console and the founders' own machines.
#[test]
fn an_empty_disk_becomes_a_witness_whose_pages_a_consumer_checks_out() {
    let case = Case::empty("appliance-founding");
    for name in ["alice", "james", "next"] {
        write_key(&case.path(&format!("{name}/key")), name);
    }
    case.write("passphrase", PASSPHRASE);
    let next = case.quiet("key show next/key --vkey witness.example/common", 0);
    case.write("blue/tabellion/founding/next.vkey", next);
    case.write("blue/tabellion/founding/policy.toml", policy());
    let mut visit = Visit::start(&case.path(CONSOLE), &[]);
    visit.on("An empty data disk", "f");
    let page = visit.page("Founding: the founders' stick");
    assert!(page.contains("no stick is inserted") && !page.contains("[Enter]"), "{page}");
    insert(&case, "blue", "blue");
    visit.on("Founding: the founders' stick", "\n");
    let page = visit.on("Founding: the first policy", "\n");
    assert!(page.contains("Common: witness.example/common") && page.contains("governed: by any 2 of alice, carol, james"), "{page}");
    for (rolls, told) in [("1234567\n", "rolls"), ("352146615234136\n", "Only the digits 1 to 6"), (&format!("{}\n", "6".repeat(40)), "15")]
    {
        let page = visit.on("Founding: the die", rolls);
        assert!(page.contains(told), "{page}");
    }
    let page = visit.on("Founding: the die", "3521466152341362514163215 4162534625136421563245136\n");
    assert!(page.contains("All rolls were forgotten"), "{page}");
    visit.on("Founding: a new passphrase", "short\n");
    let page = visit.on("Founding: a new passphrase", "witness of the stage\n");
    assert!(page.contains("12 letters or more"), "{page}");
    visit.on("Founding: the passphrase again", "another of the stage\n");
    assert!(visit.on("Founding: a new passphrase", "witness of the stage\n").contains("The two were different"));
    visit.on("Founding: the passphrase again", "witness of the stage\n");
    let page = visit.on("Safe to remove", "\n");
    assert!(
        page.contains("SAFE TO REMOVE: the first stick, label \"blue\"\n         the charter to be signed, read back and compared"),
        "{page}"
    );
    // Nobody has signed; then one has; then two.
    visit.on("The charter waits for signatures", "\n");
    let page = visit.page("The charter waits for signatures");
    assert!(page.contains("the founders have not"), "{page}");
    pull(&case, "blue");
    case.quiet("approve blue/tabellion/founding/charter.payload --key alice/key --yes", 0);
    insert(&case, "blue", "blue");
    let mut visit = restart(visit, &case);
    visit.on("The charter waits for signatures", "\n");
    visit.on("The passphrase", "witness of the stage\n");
    let page = visit.on("The founding cannot go on", "\n");
    assert!(page.contains("Rule: charter-unsigned") && page.contains("missing any of carol, james"), "{page}");
    case.quiet(&format!("approve {CONSOLE}/sticks/blue/tabellion/founding/charter.payload --key james/key --yes"), 0);
    visit.on("The charter waits for signatures", "\n");
    visit.on("Founded", "\n");
    let fingerprint = visit.on("The fingerprint", "\n");
    let written = visit.on("Write down the head", "\n");
    visit.on("Safe to remove", "\n");
    visit.page("Home");
    // What the consumer was told by telephone, and what the operator wrote down, are what the desk says.
    let words = case.quiet(&format!("witness status --ledger {DESK} --fingerprint"), 0);
    let digits: String = fingerprint.split("In digits: ").nth(1).unwrap().split("In words").next().unwrap().split_whitespace().collect();
    assert_eq!(digits, words.trim());
    assert!(written.replace("  ", " ").contains(&format!("Words: {}", &head(&case)[2..])), "{written}");
    pull(&case, "blue");
    case.quiet(&format!("pin blue --charter {digits} --out alice/common.pin"), 0);
    case.write("alice/editor", "the editor");
    case.quiet("propose put tools/editor=alice/editor --pin alice/common.pin --key alice/key --media blue", 0);
    insert(&case, "blue", "green");
    visit.page("Home");
    visit.press("\n");
    visit.through(&[
        ("What the sticks bring", "\n"),
        ("Paper 1 of 1", "\n"),
        ("Confirm", "2\n"),
        ("Safe to remove", "\n"),
        ("Write down the head", "\n"),
    ]);
    let said = visit.switch_off();
    assert!(said.contains("== Home - REHEARSAL ==") && said.contains("== Off - REHEARSAL =="), "{said}");
    let titles: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("== ")?.strip_suffix(" - REHEARSAL ==")).collect();
    let waited = ["Home", "Checking the desk", "Reading", "What the sticks bring"];
    assert!(titles.windows(waited.len()).any(|titles| titles == waited), "the operator is told what is waited for: {titles:?}");
    case.quiet(&format!("advance {CONSOLE}/sticks/green --pin alice/common.pin"), 0);
    case.quiet(&format!("verify {CONSOLE}/sticks/green --pin alice/common.pin"), 0);
    case.quiet(&format!("checkout {CONSOLE}/sticks/green out --pin alice/common.pin"), 0);
    assert_eq!(case.read("out/tools/editor"), b"the editor");
    assert!(case.quiet(&format!("collect {CONSOLE}/sticks/green --pin alice/common.pin"), 0).contains("common@2"));
}

/// Ends a console and starts it anew.
fn restart(visit: Visit, case: &Case) -> Visit {
    visit.cut();
    Visit::start(&case.path(CONSOLE), &[])
}

/// Two proposers over three sticks and two starts: two sticks at once of which one is refused, then an approval alone.
#[test]
fn two_proposers_three_sticks_and_two_starts_end_with_one_common() {
    let case = Case::founded("appliance-story");
    case.write("alice/editor", "the editor, by alice");
    case.write("james/editor", "the editor, by james");
    case.write("alice/plan", "the plan");
    for (author, paper) in [("alice", "tools/editor=alice/editor"), ("james", "tools/editor=james/editor")] {
        fs::create_dir_all(case.path(&format!("of-{author}/tabellion/inbox"))).unwrap();
        let out = format!("of-{author}/tabellion/inbox/editor.bundle");
        case.quiet(&format!("propose put {paper} --pin {author}/common.pin --key {author}/key --common stick --out {out}"), 0);
    }
    case.quiet("propose put release/plan=alice/plan --pin alice/common.pin --key alice/key --common stick --out of-alice/tabellion/inbox/plan.bundle", 0);
    for (file, text) in [("holiday.txt", "milk"), ("torn.bundle", "torn"), ("tabellion/inbox/letter.txt", "no bundle either")] {
        case.write(&format!("of-james/{file}"), text);
    }
    let dir = install(&case);
    let mut visit = Visit::start(&dir, &[]);
    // A head that is typed with capitals and blanks is recognised; a wrong one is told apart word by word.
    let known = head(&case);
    let (number, words) = known.split_once(' ').unwrap();
    let wrong = format!("{number} abandon {}\n", words.split_once(' ').unwrap().1);
    visit.on("The last head", "common@41 word word word word word word\n");
    assert!(visit.on("The last head", "seven of nine\n").contains("[ !! ] That is the example, and no head."));
    assert!(visit.on("The last head", &wrong).contains("This cannot be a head"));
    let page = visit.on("The last head", &format!("Common {number}  {}\n", words.to_uppercase()));
    assert!(page.contains("word 1: abandon on your paper"), "{page}");
    let page = visit.page("Home");
    assert!(page.contains("Head: common@1") && page.contains("no stick is inserted"), "{page}");
    insert(&case, "of-alice", "red");
    insert(&case, "of-james", "white");
    visit.home_with("the second stick, label \"white\", a folder of this rehearsal");
    visit.press("\n");
    let page = visit.on("What the sticks bring", "\n");
    assert!(
        page.contains("The first stick, label \"red\": 2 files")
            && page.contains("[ ok ] left alone: holiday.txt")
            && page.contains("[ !! ] ignored: torn.bundle")
            && page.contains("[ !! ] ignored: tabellion/inbox/letter.txt")
            && page.contains("[file-unknown]"),
        "{page}"
    );
    assert!(page.contains("3 papers to be judged"), "{page}");
    visit.on("The passphrase", "wrong\n");
    assert!(visit.on("The passphrase", &typed()).contains("does not open the key. 2 tries left"));
    let mut papers = String::new();
    for at in 1..=3 {
        papers.push_str(&visit.on(&format!("Paper {at} of 3"), "\n"));
    }
    assert!(papers.contains("Signed by: alice") && papers.contains("ACCEPTED: it becomes common@2"), "{papers}");
    assert!(papers.contains("REFUSED:") && papers.contains("Rule: expectation-failed"), "{papers}");
    assert!(papers.contains("PENDING: approvals are missing") && papers.contains("not signed by carol,"), "{papers}");
    let page = visit.on("Confirm", "3\n");
    assert!(page.contains("Head: common@2 "), "{page}");
    assert!(visit.on("Confirm", "2\n").contains("\"3\" was typed. The number 2 was expected"));
    let page = visit.on("Safe to remove", "\n");
    assert!(
        page.contains("SAFE TO REMOVE: the first stick, label \"red\"\n")
            && page.contains("SAFE TO REMOVE: the second stick, label \"white\"\n")
            && page.contains("results of session 1, read"),
        "{page}"
    );
    assert!(page.contains("Pull the sticks out now"), "{page}");
    visit.on("Write down the head", "\n");
    pull(&case, "red");
    pull(&case, "white");
    visit.switch_off();

    // The second start, with a third stick: James approves the plan.
    fs::create_dir_all(case.path("third/tabellion/inbox")).unwrap();
    case.quiet("approve red/tabellion/inbox/plan.bundle --key james/key --yes --out third/tabellion/inbox/plan.bundle", 0);
    insert(&case, "third", "third");
    let mut visit = Visit::start(&dir, &[]);
    visit.on("The last head", &format!("{}\n", head(&case)));
    visit.on("Home", "\n");
    visit.on("What the sticks bring", "\n");
    visit.on("The passphrase", &typed());
    let page = visit.on("Paper 1 of 1", "\n");
    assert!(page.contains("Signed by: alice, james") && page.contains("becomes common@3"), "{page}");
    visit.through(&[("Confirm", "3\n"), ("Safe to remove", "\n"), ("Write down the head", "\n")]);
    // The same stick once more: nothing is new, and it is written only because the operator wants it so.
    visit.on("Home", "\n");
    visit.on("What the sticks bring", "\n");
    let page = visit.on("Nothing new", "\u{1b}");
    assert!(page.contains("1 paper came that got an answer before"), "{page}");
    visit.on("Home", "\n");
    visit.through(&[("What the sticks bring", "\n"), ("Nothing new", "\n")]);
    assert!(
        visit
            .on("Safe to remove", "\n")
            .contains("SAFE TO REMOVE: the first stick, label \"third\"\n         everything that was published")
    );
    // Everything to a fresh stick, without a paper.
    pull(&case, "third");
    fs::create_dir_all(dir.join("sticks/fresh")).unwrap();
    visit.home_with("the first stick, label \"fresh\"");
    visit.press("e");
    visit.on("Write all to a stick", "\n");
    visit.on("Safe to remove", "\n");
    visit.switch_off();
    let fresh = format!("{CONSOLE}/sticks/fresh");
    for (pin, stick) in [("alice", "third"), ("james", fresh.as_str()), ("consumer", fresh.as_str())] {
        case.quiet(&format!("advance {stick} --pin {pin}/common.pin"), 0);
        case.quiet(&format!("verify {stick} --pin {pin}/common.pin"), 0);
    }
    case.quiet(&format!("checkout {fresh} out --pin consumer/common.pin"), 0);
    assert_eq!(case.read("out/tools/editor"), b"the editor, by alice");
    assert_eq!(case.read("out/release/plan"), b"the plan");
    assert!(case.quiet("collect white --pin james/common.pin", 1).contains("expectation-failed"));
}

/// A policy is confirmed by digits that stand on no page, and then by the number.
#[test]
fn a_policy_is_confirmed_by_digits_that_no_page_shows() {
    let case = Case::founded("appliance-policy");
    case.write("policy.toml", policy().replace("k = 2", "k = 3"));
    let out = "policy/tabellion/inbox/policy.bundle";
    fs::create_dir_all(case.path("policy/tabellion/inbox")).unwrap();
    let made = case.quiet(&format!("propose policy policy.toml --pin alice/common.pin --key alice/key --common stick --out {out}"), 0);
    for name in ["james", "carol"] {
        case.quiet(&format!("approve {out} --key {name}/key --common stick --pin alice/common.pin --yes"), 0);
    }
    let id = made.lines().find_map(|line| line.strip_prefix("paper    sha256:")).unwrap().to_owned();
    let dir = install(&case);
    insert(&case, "policy", "policy");
    let mut visit = Visit::start(&dir, &[]);
    visit.on("The last head", &format!("{}\n", head(&case)));
    visit.on("Home", "\n");
    visit.on("What the sticks bring", "\n");
    visit.on("The passphrase", &typed());
    let mut pages = visit.on("Paper 1 of 1", "\n");
    assert!(pages.contains("change: ") && pages.contains("approval: the new policy: "), "{pages}");
    pages.push_str(&visit.on("A new policy", "yes\n"));
    pages.push_str(&visit.on("A new policy", &format!("{}\n", &id[..7])));
    assert!(pages.contains("\"yes\" is not how the id of this paper begins"), "{pages}");
    assert!(!pages.contains(&id[..8]), "{pages}");
    visit.on("A new policy", &format!("{}\n", id[..8].to_uppercase()));
    visit.through(&[("Confirm", "2\n"), ("Safe to remove", "\n"), ("Write down the head", "\n")]);
    visit.switch_off();
    let shown = case.quiet(&format!("witness status --ledger {DESK} --json"), 0);
    assert!(shown.contains("\"number\":2"), "{shown}");
}

/// Nobody at the keys: the passphrase is forgotten and nothing of the desk is on the screen.
#[test]
fn a_console_that_nobody_touches_locks_and_forgets_the_passphrase() {
    let case = Case::founded("appliance-lock");
    fs::create_dir_all(case.path("new/tabellion/inbox")).unwrap();
    case.write("alice/editor", "the editor");
    case.quiet(
        "propose put tools/editor=alice/editor --pin alice/common.pin --key alice/key --common stick --out new/tabellion/inbox/a.bundle",
        0,
    );
    let dir = install(&case);
    insert(&case, "new", "new");
    let known = head(&case);
    let mut visit = Visit::start(&dir, &["--idle", "3"]);
    visit.on("The last head", &format!("{known}\n"));
    visit.on("Home", "\n");
    visit.on("What the sticks bring", "\n");
    visit.on("The passphrase", &typed());
    visit.on("Paper 1 of 1", "\n");
    // Away from the very page that confirms: nothing was decided, the stick was let go of.
    visit.page("Confirm");
    let page = visit.on("Locked", "\n");
    assert!(!page.contains("common@") && !page.contains("witness.example"), "{page}");
    visit.on("Home", "\n");
    visit.on("What the sticks bring", "\n");
    visit.on("The passphrase", &typed());
    visit.through(&[("Paper 1 of 1", "\n"), ("Confirm", "2\n"), ("Safe to remove", "\n"), ("Write down the head", "\n")]);
    visit.switch_off();
    case.quiet(&format!("advance {CONSOLE}/sticks/new --pin alice/common.pin"), 0);
}

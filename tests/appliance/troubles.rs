//! Each kind of trouble has a page of its own, which says what was found, what did not change and what to do next.

use std::fs;

use super::stage::{Case, copy_tree, tree};
use super::visitor::{CONSOLE, DESK, PASSPHRASE, Visit, head, insert, install};

/// A console over a desk, with its last head.
fn console(case: &Case) -> (Visit, String) {
    let known = head(case);
    (Visit::start(&case.path(CONSOLE), &[]), format!("{known}\n"))
}

/// Every page of trouble tells the same things in the same order.
fn has_all(page: &str, words: &[&str], rule: &str) {
    let parts = ["Matter: ", "Found: ", "Unchanged: ", &format!("Rule: {rule}"), "Next: "];
    let flat = page.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut at = 0;
    for part in parts {
        let found = flat[at..].find(part.trim_end());
        at += found.unwrap_or_else(|| panic!("no {part:?} behind the part before it:\n{page}"));
    }
    for word in words {
        assert!(flat.contains(word), "{word:?} is missing:\n{page}");
    }
}

/// What stands on a data disk when the console starts, and the page that follows.
#[test]
fn a_disk_that_is_not_right_stops_the_start_with_its_page() {
    type Spoil = fn(&Case);
    let table: [(&str, Spoil, &str, &str, &[&str]); 2] = [
        (
            "a standby",
            |case| fs::remove_file(case.path(&format!("{DESK}/instance"))).unwrap(),
            "This is not the right disk",
            "standby",
            &["a copy of a desk", "Look for the disk that signs"],
        ),
        (
            "another desk's instance file",
            |case| case.write(&format!("{DESK}/instance"), format!("{}\n", "ab".repeat(16))),
            "This is not the right disk",
            "ledger-fault",
            &["instance", "abababab", "keep the data disk as it is, and call the custodians", "or another desk's"],
        ),
    ];
    for (what, spoil, title, rule, words) in table {
        let case = Case::founded("appliance-disk");
        install(&case);
        spoil(&case);
        let mut visit = Visit::start(&case.path(CONSOLE), &[]);
        let page = visit.on(title, "\n");
        has_all(&page, words, rule);
        assert!(page.contains("[p] switch off"), "{what}: {page}");
        // Looking once more finds the same.
        visit.on(title, "p");
        visit.ended();
    }
}

/// A ledger that is not what was written halts the desk at the start; the halt is there again at the next start.
#[test]
fn a_desk_with_something_wrong_is_halted_and_says_so_at_each_start() {
    let case = Case::founded("appliance-halt");
    install(&case);
    fs::remove_file(case.path(&format!("{DESK}/head"))).unwrap();
    for _ in 0..2 {
        let mut visit = Visit::start(&case.path(CONSOLE), &[]);
        let page = visit.page("Halted");
        for words in ["This desk signs nothing any more.", "[head-lost]", "call the custodians", "no stick is inserted"] {
            assert!(page.contains(words), "{words}: {page}");
        }
        // What was published can still be written, once its head file is no reason against it; here it is told why not.
        visit.press("p");
        visit.on("Switch off", "y");
        visit.ended();
    }
    assert!(case.path(&format!("{DESK}/halt")).is_file());
}

/// The operator's paper is newer than the disk: a mistake is forgiven, and the word halt halts.
#[test]
fn an_old_copy_of_the_disk_is_halted_when_the_operator_insists() {
    let case = Case::grown("appliance-old-copy");
    install(&case);
    let (mut visit, known) = console(&case);
    let (_, words) = known.split_once(' ').unwrap();
    visit.on("The last head", &format!("9 {words}"));
    let page = visit.on("This disk is an old copy", "yes\n");
    assert!(page.contains("Your paper is NEWER than this disk") && page.contains("Your paper: common@9 "), "{page}");
    assert!(visit.on("This disk is an old copy", "\u{1b}").contains("That was not the word halt. Nothing was done."));
    assert!(!case.path(&format!("{DESK}/halt")).exists());
    // An earlier head is told apart from a wrong one.
    visit.on("The last head", &format!("9 {words}"));
    visit.on("This disk is an old copy", "HALT\n");
    let page = visit.page("Halted");
    assert!(page.contains("[head-unexpected]"), "{page}");
    visit.press("p");
    visit.on("Switch off", "y");
    visit.ended();
    assert!(case.path(&format!("{DESK}/halt")).is_file());
}

/// A head that the disk had before: it went on, and somebody must know why.
#[test]
fn an_old_paper_is_told_that_the_disk_went_on() {
    let case = Case::grown("appliance-old-paper");
    install(&case);
    let first = String::from_utf8(case.read("stick/tabellion/common/checkpoint")).unwrap();
    assert!(first.contains("\n3\n"), "{first}");
    let pin = case.quiet("verify stick --pin alice/common.pin", 0);
    assert!(pin.contains("common@3"), "{pin}");
    let (mut visit, known) = console(&case);
    let (_, words) = known.split_once(' ').unwrap();
    visit.on("The last head", &format!("2 {words}"));
    let page = visit.on("The last head", &known);
    assert!(page.contains("the number: 2 on your paper, 3 on this disk"), "{page}");
    visit.switch_off();
}

/// What a stick can do to a session: the page, its rule, and that the desk stays as it was.
#[test]
fn a_stick_that_is_not_right_has_its_page_and_changes_nothing() {
    type Bring = fn(&Case);
    let table: [(&str, Bring, &str, &[&str]); 3] = [
        (
            "another witness's stick",
            |case| {
                let foreign = Case::foreign("appliance-foreign");
                copy_tree(&foreign.path("stick"), &case.path("bad"));
            },
            "medium-foreign",
            &["does NOT have its results", "carries another history"],
        ),
        (
            "a file where our folder goes",
            |case| case.write("bad/tabellion", "a file"),
            "medium-",
            &["does NOT have its results", "with the key e on the page Home"],
        ),
        (
            "a folder where the checkpoint goes",
            |case| case.write("bad/tabellion/common/checkpoint/in-the-way", "a file"),
            "medium-",
            &["does NOT have its results"],
        ),
    ];
    for (what, bring, rule, words) in table {
        let case = Case::founded("appliance-stick");
        install(&case);
        bring(&case);
        let before = tree(&case.path("bad"));
        insert(&case, "bad", "bad");
        let (mut visit, known) = console(&case);
        visit.on("The last head", &known);
        visit.on("Home", "\n");
        visit.on("What the sticks bring", "\n");
        visit.on("The passphrase", &format!("{PASSPHRASE}\n"));
        visit.on("Nothing new", "\n");
        let page = visit.on("Not every stick has its results", "\n");
        let flat = page.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in words.iter().chain(&[rule]) {
            assert!(flat.contains(words), "{what}: {words}: {page}");
        }
        assert!(!page.contains("SAFE TO"), "{what}: {page}");
        visit.switch_off();
        let after = tree(&case.path(&format!("{CONSOLE}/sticks/bad")));
        assert!(before.iter().all(|(path, bytes)| after.get(path) == Some(bytes)), "{what}: what was on the stick is still there");
        assert_eq!(format!("{}\n", head(&case)), known, "{what}");
    }
}

/// Something that is no stick, and a stick that goes while it is looked through.
#[test]
fn a_stick_without_a_file_system_and_one_that_is_pulled_out_are_told() {
    let case = Case::founded("appliance-pulled");
    let dir = install(&case);
    case.write("alice/editor", "the editor");
    fs::write(dir.join("sticks/broken"), "noise").unwrap();
    let (mut visit, known) = console(&case);
    visit.on("The last head", &known);
    let page = visit.page("Home");
    let flat = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("cannot be used: the first stick, label \"broken\", a folder of this rehearsal: no file system found that is read here; FAT, exFAT or ext4 expected"), "{page}");
    assert!(!page.contains("[Enter]"), "{page}");
    fs::create_dir_all(dir.join("sticks/new")).unwrap();
    visit.home_with("the second stick, label \"new\"");
    visit.press("\n");
    visit.on("What the sticks bring", "\n");
    visit.on("The passphrase", &format!("{PASSPHRASE}\n"));
    visit.page("Nothing new");
    fs::remove_dir_all(dir.join("sticks/new")).unwrap();
    visit.press("\n");
    let page = visit.on("Not every stick has its results", "\n");
    assert!(page.contains("the second stick, label \"new\" does NOT have its results") && page.contains("it is gone"), "{page}");
    visit.switch_off();
}

/// The desk's own signature on what this desk never made: halted, with the evidence on the stick that brought it.
#[test]
fn a_stick_with_evidence_halts_the_desk_and_says_what_to_tell_the_custodians() {
    let mut case = Case::founded("appliance-evidence");
    copy_tree(&case.path("witness"), &case.path("copy"));
    for author in ["alice", "james"] {
        case.write(&format!("{author}/editor"), format!("by {author}"));
        copy_tree(&case.path("stick"), &case.path(&format!("of-{author}")));
        let paper = format!("tools/{author}={author}/editor");
        case.quiet(&format!("propose put {paper} --pin {author}/common.pin --key {author}/key --media of-{author}"), 0);
    }
    case.session(&["of-alice"], 0);
    case.quiet("witness session --ledger copy --media of-james --expect-head $HEAD --yes --time none", 0);
    install(&case);
    insert(&case, "of-james", "james");
    let (mut visit, known) = console(&case);
    visit.on("The last head", &known);
    visit.on("Home", "\n");
    visit.on("The halt", &format!("{PASSPHRASE}\n"));
    let page = visit.on("Halted", "\n");
    has_all(
        &page,
        &[
            "carries our signature on",
            "evidence is in",
            "the halt is entered in the ledger as event",
            "the first stick, label \"james\": it may be pulled out",
        ],
        "head-elsewhere",
    );
    let page = visit.on("Halted", "e");
    assert!(page.contains("[head-elsewhere]") && page.contains("[e] write all to a stick"), "{page}");
    visit.on("Write all to a stick", "\u{1b}");
    visit.on("Halted", "p");
    visit.on("Switch off", "y");
    visit.ended();
    let evidence = tree(&case.path(&format!("{CONSOLE}/sticks/james")));
    assert!(evidence.keys().any(|path| path.contains("evidence")), "{:?}", evidence.keys());
}

/// Three wrong passphrases end the session; another one may be begun.
#[test]
fn three_wrong_passphrases_end_the_session_and_nothing_else() {
    let case = Case::founded("appliance-passphrase");
    let dir = install(&case);
    fs::create_dir_all(dir.join("sticks/new")).unwrap();
    let (mut visit, known) = console(&case);
    visit.on("The last head", &known);
    visit.on("Home", "\n");
    visit.on("What the sticks bring", "\n");
    for _ in 0..3 {
        visit.on("The passphrase", "wrong\n");
    }
    let page = visit.on("The key does not open", "\n");
    has_all(&page, &["Another try does no harm", "the first stick, label \"new\": it may be pulled out"], "passphrase");
    visit.on("Home", "\n");
    visit.on("What the sticks bring", "\n");
    let page = visit.on("The passphrase", "\u{1b}");
    assert!(!page.contains("left"), "{page}");
    visit.switch_off();
    assert!(tree(&dir.join("sticks/new")).is_empty());
}

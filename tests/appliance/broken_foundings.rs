//! A founding breaks off at one of its steps, and the next start says how it goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tabellion::keys::Passphrase;
use tabellion::run::found;

use super::stage::{Case, policy, write_key};
use super::visitor::{CONSOLE, DESK, PASSPHRASE, Visit, insert, install, pull};

/// What the operator presses where only Enter is to be pressed.
const ENTER: &str = "\n";

/// Founders with keys, and their stick, which is inserted.
fn founders(name: &'static str) -> Case {
    let case = Case::empty(name);
    for name in ["alice", "james", "next"] {
        write_key(&case.path(&format!("{name}/key")), name);
    }
    case.write("passphrase", PASSPHRASE);
    let next = case.quiet("key show next/key --vkey witness.example/common", 0);
    case.write(&format!("{CONSOLE}/sticks/blue/tabellion/founding/next.vkey"), next);
    case.write(&format!("{CONSOLE}/sticks/blue/tabellion/founding/policy.toml"), policy());
    case
}

/// Both sign what lies somewhere.
fn sign(case: &Case, payload: &str) {
    for who in ["alice", "james"] {
        case.quiet(&format!("approve {payload} --key {who}/key --yes"), 0);
    }
}

/// A page in one line.
fn flat(page: &str) -> String {
    page.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Nothing but the key came to the disk: the key is kept, and opens with its own passphrase alone.
#[test]
fn a_founding_that_broke_off_behind_its_key_goes_on_with_that_key_and_its_passphrase() {
    let case = founders("appliance-keyed");
    let (key, payload) = (format!("{DESK}/key"), format!("{DESK}/charter.payload"));
    write_key(&case.path(&key), "witness");
    let before = case.read(&key);
    let mut visit = Visit::start(&case.path(CONSOLE), &[]);
    let page = flat(&visit.on("A founding broke off", "f"));
    assert!(page.contains("No die is rolled again, and the passphrase is the one that was typed twice today"), "{page}");
    assert!(page.contains("its book was lost or erased. Do not found another one in its place: switch off"), "{page}");
    let to_the_key = [("Founding: the founders' stick", ENTER), ("Founding: the first policy", ENTER), ("Founding: its passphrase", ENTER)];
    visit.through(&to_the_key);
    visit.on("Founding: its passphrase", "a passphrase that is new\n");
    let page = visit.on("The key does not open", ENTER);
    assert!(page.contains("Rule: passphrase"), "{page}");
    assert!(!case.path(&payload).exists(), "a charter for a key that does not open");
    visit.on("A founding broke off", "f");
    visit.through(&to_the_key);
    visit.on("Founding: its passphrase", &format!("{PASSPHRASE}\n"));
    visit.on("Safe to remove", ENTER);
    visit.page("The charter waits for signatures");
    assert!(case.read(&key) == before, "another key");
    sign(&case, &format!("{CONSOLE}/sticks/blue/tabellion/founding/charter.payload"));
    visit.press(ENTER);
    visit.through(&[("Founded", ENTER), ("The fingerprint", ENTER), ("Write down the head", ENTER), ("Safe to remove", ENTER)]);
    visit.switch_off();
    assert!(case.read(&key) == before && case.path(&format!("{CONSOLE}/sticks/blue/tabellion/common/checkpoint")).exists());
}

/// The charter is drafted, and no stick has it yet: each page says how one gets it.
#[test]
fn a_charter_that_came_to_no_stick_is_written_to_one_at_the_next_start() {
    let case = founders("appliance-drafted");
    let next = String::from_utf8(case.read(&format!("{CONSOLE}/sticks/blue/tabellion/founding/next.vkey"))).unwrap();
    case.write("policy.toml", policy());
    write_key(&case.path(&format!("{DESK}/key")), "witness");
    case.quiet(&format!("witness init {DESK} --policy policy.toml --next-key {}", next.trim()), 0);
    pull(&case, "blue");
    let mut visit = Visit::start(&case.path(CONSOLE), &[]);
    let page = flat(&visit.page("The charter waits for signatures"));
    for words in ["A stick that was safe to remove has it as tabellion/founding/charter.payload", "or one to write the charter to"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    // One that cannot be written to, and then the founders' own.
    case.write("red/tabellion", "a file where our folder goes");
    insert(&case, "red", "red");
    while !visit.page("The charter waits for signatures").contains("[w] write the charter") {}
    visit.press("w");
    let page = flat(&visit.on("Not every stick has its results", ENTER));
    assert!(page.contains("insert that one on the next page, and press w") && !page.contains("Home"), "{page}");
    pull(&case, "red");
    insert(&case, "blue", "blue");
    while !visit.page("The charter waits for signatures").contains("\"blue\"") {}
    visit.press("w");
    visit.on("Safe to remove", ENTER);
    let written = case.read(&format!("{CONSOLE}/sticks/blue/tabellion/founding/charter.payload"));
    assert!(written == case.read(&format!("{DESK}/charter.payload")));
}

/// A desk that had sessions and lost its book is no founding that broke off: with the same key it would sign each number twice.
#[test]
fn a_desk_that_lost_its_book_is_not_founded_again() {
    let case = Case::grown("appliance-lost-book");
    install(&case);
    let lost = |files: &[&str]| files.iter().for_each(|file| std::fs::remove_file(case.path(&format!("{DESK}/{file}"))).unwrap());
    lost(&["ledger.db"]);
    // The head file, then content alone; then nothing of the founding but the key.
    for files in [&["head"], &["charter.payload"]] {
        let page = flat(&Visit::start(&case.path(CONSOLE), &[]).page("This is not the right disk"));
        assert!(page.contains("Rule: ledger-fault") && page.contains("ledger.db: no file found; the book expected"), "{page}");
        assert!(page.contains("keep the data disk as it is, and call the custodians"), "{page}");
        case.quiet(&format!("witness init {DESK} --charter {DESK}/charter.cose --time none"), 5);
        lost(files);
    }
    Visit::start(&case.path(CONSOLE), &[]).page("This is not the right disk");
    assert!(!case.path(&format!("{DESK}/ledger.db")).exists(), "a book was begun");
}

/// A desk whose founding is committed, and ended before anything of it was signed.
fn committed(name: &'static str) -> Case {
    let case = founders(name);
    case.write("policy.toml", policy());
    write_key(&case.path(&format!("{DESK}/key")), "witness");
    let next = String::from_utf8(case.read(&format!("{CONSOLE}/sticks/blue/tabellion/founding/next.vkey"))).unwrap();
    case.quiet(&format!("witness init {DESK} --policy policy.toml --next-key {}", next.trim()), 0);
    sign(&case, &format!("{DESK}/charter.payload"));
    let (desk, charter) = (case.path(DESK), case.path(&format!("{DESK}/charter.cose")));
    let passphrase = Passphrase::new(&PASSPHRASE.to_owned().into()).unwrap();
    let ended = catch_unwind(AssertUnwindSafe(|| {
        let mut observe = |effect: &'static str, _: &str| assert_ne!(effect, "sign checkpoints and notes");
        found::commit(&desk, &charter, None, &passphrase, &mut observe).map(drop).map_err(|problem| problem.fault)
    }));
    assert!(ended.is_err(), "it was signed");
    case
}

/// What is not signed can be in no export: it is not offered, and what is offered instead leads to a stick with the first page.
#[test]
fn a_founding_that_broke_off_before_it_was_signed_is_finished_with_the_next_stick() {
    let case = committed("appliance-unsealed");
    let mut visit = Visit::start(&case.path(CONSOLE), &[]);
    visit.on("The last head", "founded today\n");
    let page = flat(&visit.on("Founded", ENTER));
    assert!(page.contains("a stick, which takes the first page home: insert it when the page Home comes, press Enter there"), "{page}");
    visit.through(&[("The fingerprint", ENTER), ("Write down the head", ENTER)]);
    let page = visit.on("Home", ENTER);
    assert!(page.contains("session 0 broke off") && !page.contains("[e]"), "{page}");
    assert!(flat(&page).contains("Press Enter, and go on to the end: what broke off is finished first"), "{page}");
    visit.on("What the sticks bring", ENTER);
    visit.on("The passphrase", &format!("{PASSPHRASE}\n"));
    // Signed by now: whoever leaves here finds that everything can be written.
    visit.on("Nothing new", "\u{1b}");
    let page = visit.on("Home", "e");
    assert!(!page.contains("broke off") && page.contains("[e] write all to a stick"), "{page}");
    visit.through(&[("Write all to a stick", ENTER), ("Safe to remove", ENTER)]);
    visit.switch_off();
    let fingerprint = case.quiet(&format!("witness status --ledger {DESK} --fingerprint"), 0);
    let stick = format!("{CONSOLE}/sticks/blue");
    case.quiet(&format!("pin {stick} --charter {} --out common.pin", fingerprint.trim()), 0);
    case.quiet(&format!("verify {stick} --pin common.pin"), 0);
}

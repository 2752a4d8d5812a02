//! The power fails: at each step that the console tells of, and the next start goes on.

use super::stage::{Case, copy_tree, tree};
use super::visitor::{CONSOLE, DESK, PASSPHRASE, Visit, head, insert, install};

/// A case with one paper on a stick, ready to be brought.
fn scene() -> Case {
    let case = Case::founded("appliance-cuts");
    case.write("alice/editor", "the editor");
    std::fs::create_dir_all(case.path("new/tabellion/inbox")).unwrap();
    case.quiet(
        "propose put tools/editor=alice/editor --pin alice/common.pin --key alice/key --common stick --out new/tabellion/inbox/a.bundle",
        0,
    );
    case
}

/// Steps in their order. Each is told before it is done, so the cut falls within it or before it.
const STEPS: [&str; 6] = [
    "The number: ",
    "the session is committed to the desk's book",
    "the new pages are signed",
    "results are written to the sticks",
    "the sticks are compared once more",
    "SAFE TO",
];

#[test]
fn the_power_fails_at_each_step_and_the_next_start_ends_with_the_same_common() {
    let case = scene();
    let dir = install(&case);
    let known = head(&case);
    let before = case.path("before");
    insert(&case, "new", "new");
    copy_tree(&dir, &before);
    for step in STEPS {
        std::fs::remove_dir_all(&dir).unwrap();
        copy_tree(&before, &dir);
        let mut visit = Visit::start(&dir, &[]);
        visit.on("The last head", &format!("{known}\n"));
        visit.on("Home", "\n");
        visit.on("What the sticks bring", "\n");
        visit.on("The passphrase", &format!("{PASSPHRASE}\n"));
        visit.on("Paper 1 of 1", "\n");
        visit.page("Confirm");
        if step == STEPS[0] {
            visit.hears(step);
        } else {
            visit.press("2\n");
            visit.hears(step);
        }
        visit.cut();
        go_on(&case, &known, step);
        let stick = format!("{CONSOLE}/sticks/new");
        case.quiet(&format!("pin {stick} --charter {} --out {stick}/fresh.pin", fingerprint(&case)), 0);
        case.quiet(&format!("checkout {stick} {CONSOLE}/out --pin {stick}/fresh.pin"), 0);
        assert_eq!(case.read(&format!("{CONSOLE}/out/tools/editor")), b"the editor", "{step}");
        assert!(head(&case).starts_with("2 "), "{step}: {}", head(&case));
        let desk = tree(&case.path(DESK));
        assert!(!desk.contains_key("halt"), "{step}");
    }
}

fn fingerprint(case: &Case) -> String {
    case.quiet(&format!("witness status --ledger {DESK} --fingerprint"), 0).trim().to_owned()
}

/// The next start, by an operator whose paper has the old head.
fn go_on(case: &Case, known: &str, step: &str) {
    let mut visit = Visit::start(&case.path(CONSOLE), &[]);
    visit.on("The last head", &format!("{known}\n"));
    if !head(case).starts_with("1 ") {
        let page = visit.on("One session ahead", "\n");
        assert!(page.contains("Your paper: common@1 ") && page.contains("This disk: common@2 "), "{step}: {page}");
        visit.on("Home", "\n");
        visit.on("What the sticks bring", "\n");
        visit.on("The passphrase", &format!("{PASSPHRASE}\n"));
        visit.through(&[("Nothing new", "\n"), ("Safe to remove", "\n")]);
    } else {
        visit.on("Home", "\n");
        visit.on("What the sticks bring", "\n");
        visit.on("The passphrase", &format!("{PASSPHRASE}\n"));
        visit.through(&[("Paper 1 of 1", "\n"), ("Confirm", "2\n"), ("Safe to remove", "\n"), ("Write down the head", "\n")]);
    }
    visit.switch_off();
}

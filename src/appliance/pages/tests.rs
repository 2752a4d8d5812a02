use super::*;
use crate::appliance::Software;
use crate::appliance::slots::Stick;
use crate::appliance::standing::Standing;
use crate::console::draw;
use crate::console::plain;
use crate::core::head::KnownHead;
use crate::core::ids::Head;
use crate::core::policy_text;
use crate::core::rules::{Fault, Outcome, Rule};
use crate::machine::memory::Memory;
use crate::run::problem::Problem;
use results::Given;
use trouble::Family;

fn standing() -> Standing {
    let root = Hash::from_hex("68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c").unwrap();
    let key = "aa".repeat(32);
    let policy = format!(
        "governors = \"board\"\n[[member]]\nname = \"alice\"\nkeys = [\"ed25519:{key}\"]\n[[group]]\nname = \"board\"\nk = 1\nof = [\"alice\"]\n"
    );
    Standing {
        origin: "witness.example/common".parse().unwrap(),
        is_rehearsal: false,
        head: Head { number: 7, root },
        fingerprint: root,
        last_claim: Some(1_772_366_400),
        sessions: 4,
        held: 2,
        unsealed: None,
        policy: policy_text::parse(&policy).unwrap(),
    }
}

fn stick(name: &str, trouble: Option<Fault>) -> Stick {
    Stick {
        name: name.into(),
        size: "16 GB".into(),
        label: "PAPERS".into(),
        says: "SanDisk Ultra, FAT32".into(),
        trouble,
        number: 2,
        ..Stick::default()
    }
}

fn known(number: u64) -> KnownHead {
    KnownHead { number, words: "hamster-diagram-private-dutch-cause-delay".into() }
}

fn fault() -> Fault {
    Fault::new(Rule::MediumFault, "/sticks/sdb1/tabellion/common/log: No space left on device (os error 28)")
}

/// Every page that is made of few facts.
fn pages() -> Vec<Page> {
    let standing = standing();
    let names = ["sdb1", "sdc1"].map(|name| stick(name, None).called());
    let given = |written: bool, closed: bool| Given {
        name: "sdb1".into(),
        written: if written { Ok(()) } else { Err(fault()) },
        closed: if closed { Ok(()) } else { Err(fault()) },
    };
    let software = Software { version: "0.1.0".into(), digest: "ab".repeat(32) };
    vec![
        lock::locked(),
        lock::switch_off(1),
        lock::off(),
        checking::checking(27),
        head::last_head(Vec::new(), true),
        head::last_head(head::differs(&known(8), &standing.head), false),
        head::last_head(head::example_typed(), true),
        head::last_head(head::went_on(&known(3), &standing.head), false),
        head::one_ahead(&known(6), &standing.head),
        head::later(&known(9), &standing.head, true),
        home::home(&standing, &[], Some(1_772_366_401), true),
        home::home(&standing, &[stick("sdb1", None), stick("sdc1", Some(fault()))], Some(1), true),
        home::home(&Standing { unsealed: Some(3), ..standing.clone() }, &[stick("sdb1", None)], Some(1_772_366_401), true),
        home::clock_page(None, None, false),
        home::head_code(&standing).unwrap(),
        home::head_code(&Standing { head: Head { number: 99_999_999, ..standing.head }, ..standing.clone() }).unwrap(),
        home::fingerprint(&standing, true),
        home::fingerprint_code(&standing).unwrap(),
        home::write_down(&standing),
        home::machine(&software, Some(Memory { in_use_mib: 68, all_mib: 477 }), &[(Mark::Good, "lockdown: confidentiality".into())]),
        sticks::reading(&names, 27),
        sticks::nothing_new(&names, 1, &["session 3 was sealed: it had been committed, its results had not been signed".into()]),
        sticks::passphrase(Some(1)),
        sticks::passphrase_to_halt(),
        sticks::opening(),
        sticks::export(&names),
        papers::policy_digits("alice", Some("yes")),
        papers::working(&[("the session is committed to the desk's book".into(), true), ("the new pages are signed".into(), false)], 3),
        results::given("results of session 3", Vec::new(), &[given(true, true)], results::WRITTEN_AGAIN),
        results::given(
            "results of session 3",
            Vec::new(),
            &[given(true, true), given(false, true), given(true, false)],
            results::WRITTEN_AGAIN,
        ),
        results::given("the charter to be signed", Vec::new(), &[given(false, true)], founding::GIVEN_AGAIN),
        trouble::halted("[head-elsewhere] found on a stick", home::sticks(&[]), true, true),
        trouble::halted("[head-elsewhere] found on a stick", home::sticks(&[]), false, false),
        founding::empty(),
        founding::keyed(),
        founding::kept_passphrase(),
        founding::needed(&[stick("sdb1", None)], Some("what the command needs is not there: tabellion/founding/policy.toml")),
        founding::dice(20, 50, None),
        founding::choose_passphrase(false, None),
        founding::choose_passphrase(true, None),
        founding::making(),
        founding::founded("witness.example/common", true),
        founding::founded("witness.example/common", false),
    ]
}

#[test]
fn every_page_says_where_one_is_and_what_to_do_next() {
    for page in pages() {
        assert!(!page.title.is_empty() && page.title.len() <= 40, "{}", page.title);
        assert!(!page.next.is_empty() && page.next.ends_with('.'), "{}: {}", page.title, page.next);
        let mut keys: Vec<char> = page.choices.iter().map(|choice| choice.key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), page.choices.len(), "{}: one key twice", page.title);
        // While a line is typed, keys are its letters.
        assert!(page.ask.is_none() || page.choices.is_empty(), "{}", page.title);
        let shown = plain::text(&page);
        for word in ["ledger.db", "head_words", "None", "Some("] {
            assert!(!shown.contains(word), "{}: {word}", page.title);
        }
    }
}

/// One word for one thing: the pages and the operator's guide say "switch off".
#[test]
fn switching_off_is_called_so_on_every_page_and_in_the_guide() {
    let guide = include_str!("../../../docs/operator.md");
    let shown: Vec<String> = pages().iter().map(plain::text).chain([guide.to_owned()]).collect();
    for text in &shown {
        for other in ["power off", "power-off", "power it off", "shut down", "turn off"] {
            assert!(!text.to_lowercase().contains(other), "{other}: {text}");
        }
    }
    assert!(shown.iter().filter(|text| text.contains("switch off")).count() > 4);
}

#[test]
fn every_page_of_few_facts_fits_on_one_screen() {
    for page in pages() {
        let page = Page { title: format!("{} - REHEARSAL", page.title), standing: standing().line(), ..page };
        assert_eq!(draw::pages(&page, (80, 25)), 1, "{}", page.title);
        let has_code = page.body.iter().any(|block| matches!(block, Block::Art(_)));
        let cells = draw::draw(&page, &draw::View { number: 0, typed: "", is_asked: true }, (80, 25)).rows().concat();
        let blocks = cells.chars().filter(|cell| "\u{2580}\u{2584}\u{2588}".contains(*cell)).count();
        assert_eq!(has_code, blocks > 200, "{}: {blocks}", page.title);
    }
}

#[test]
fn the_page_that_asks_for_the_head_shows_none_of_its_words_but_for_a_slip() {
    let standing = standing();
    let words = "hamster-diagram-private-dutch-cause-delay";
    let shown = |typed: &str| {
        let typed = KnownHead { number: 7, words: typed.into() };
        plain::text(&head::last_head(head::differs(&typed, &standing.head), false)).split("It differs here").nth(1).unwrap().to_owned()
    };
    let slip = shown("hamster-diagram-abandon-dutch-cause-delay");
    assert!(slip.contains("word 3: abandon on your paper, private on this disk"), "{slip}");
    let all = shown("abandon-ability-able-about-above-absent");
    assert!(all.contains("6 of the six words"), "{all}");
    assert!(words.split('-').all(|word| !all.contains(word)), "{all}");
    assert!(!plain::text(&head::later(&known(9), &standing.head, false)).contains("This disk: common@7 "));
}

#[test]
fn the_example_of_a_head_is_known_as_one_in_any_form_and_nothing_else_is() {
    let page = plain::text(&head::last_head(Vec::new(), false));
    assert!(page.contains("It looks like: common@41 word word word word word word\n"), "{page}");
    for example in ["common@41 word word word word word word", "41 word word word", "7 WORD-word-word-word-word-word", "word word word..."]
    {
        assert!(head::is_example(example), "{example}");
    }
    for other in ["", "41", "common@41", "7 hamster diagram private dutch cause delay", "7 word word word word word delay", "founded today"]
    {
        assert!(!head::is_example(other), "{other}");
    }
}

/// A page never offers what cannot be done: what is not signed is in no export.
#[test]
fn a_session_that_broke_off_is_finished_with_a_stick_before_everything_can_be_written_to_one() {
    let keys = |page: &Page| page.choices.iter().map(|choice| choice.key).collect::<String>();
    for (unsealed, sticks, offered, next) in [
        (None, 0, "hfcmp", "Insert a stick, or several"),
        (None, 1, "\nehfcmp", "Press Enter to look at what the stick brings"),
        (Some(0), 0, "hfcmp", "Insert a stick: what broke off is finished with it"),
        (Some(0), 1, "\nhfcmp", "Press Enter, and go on to the end: what broke off is finished first"),
        (Some(3), 2, "\nhfcmp", "Press Enter, and go on to the end: what broke off is finished first"),
    ] {
        let page = home::home(&Standing { unsealed, ..standing() }, &vec![stick("sdb1", None); sticks], Some(1), true);
        assert_eq!((keys(&page).as_str(), page.next.starts_with(next)), (offered, true), "{unsealed:?} {sticks}: {}", page.next);
        assert_eq!(plain::text(&page).contains("broke off and is finished with the next"), unsealed.is_some());
    }
    for (is_signed, words) in [(true, "It can still be written to a stick"), (false, "nothing can be written until the halt is ended")] {
        let text = plain::text(&trouble::halted("x", Vec::new(), is_signed, false)).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_stick_that_did_not_get_the_charter_has_another_advice_than_one_without_results() {
    for (again, key) in [
        (founding::GIVEN_AGAIN, "press w"),
        (results::WRITTEN_AGAIN, "the key e on the page Home"),
        (results::EXPORTED_AGAIN, "on the page that follows"),
    ] {
        let failed = Given { name: "sdb1".into(), written: Err(fault()), closed: Ok(()) };
        let text = plain::text(&results::given("x", Vec::new(), &[failed], again)).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(key), "{text}");
        assert_eq!(text.contains("Home"), key.contains("Home"), "{text}");
    }
}

#[test]
fn safe_to_remove_is_said_of_a_stick_that_was_compared_and_let_go_of_and_of_no_other() {
    for (written, closed, safe) in [(true, true, true), (true, false, false), (false, true, false), (false, false, false)] {
        let outcome = |is_well: bool| if is_well { Ok(()) } else { Err(fault()) };
        let page = results::given(
            "results of session 12345",
            Vec::new(),
            &[Given { name: "sdb1".into(), written: outcome(written), closed: outcome(closed) }],
            results::WRITTEN_AGAIN,
        );
        let text = plain::text(&page).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!((page.title == "Safe to remove", text.contains("SAFE TO REMOVE")), (safe, safe), "{written} {closed}");
        assert_eq!(text.contains("does NOT have its results"), !safe);
        let rows = draw::draw(&page, &draw::View::default(), (80, 25)).rows();
        assert_eq!(rows.iter().any(|row| row.contains("[ ok ] SAFE TO REMOVE: ")), safe, "{rows:?}");
        assert_eq!(text.contains("what is on it is not known"), !closed);
    }
}

#[test]
fn a_clock_that_went_back_or_is_not_wanted_claims_nothing_and_says_so() {
    for (now, last, claims, says) in [
        (None, None, true, "sessions claim no time"),
        (Some(5), Some(6), true, "it went back, and sessions claim no time"),
        (Some(6), Some(6), true, "compare it with a watch"),
        (Some(7), None, true, "compare it with a watch"),
        (Some(7), Some(6), false, "sessions claim no time, as you chose"),
    ] {
        let line = home::clock_line(now, last, claims);
        assert!(line.contains(says), "{now:?} {last:?} {claims}: {line}");
    }
}

/// Each kind of trouble, by the rule and the words of the system that it comes with.
#[test]
fn each_trouble_has_the_page_of_its_family() {
    let of_the_command_line = Some("run the same command again".to_owned());
    let problem =
        |rule, found: &str, state: &str| Problem { fault: Fault::new(rule, found), state: state.into(), next: of_the_command_line.clone() };
    let halted = "the desk is halted (desk/halt); the dossier is desk/halt-evidence/x.txt; evidence is in /sticks/sdb1/tabellion/evidence";
    for (problem, family, title, words, ends) in [
        (problem(Rule::HeadElsewhere, "x", halted), Family::Halted, "Halted", "call the custodians", true),
        (problem(Rule::LedgerFault, "event 4", halted), Family::Halted, "Halted", "signs nothing any more", true),
        (problem(Rule::Halted, "x", "nothing"), Family::Halted, "Halted", "by a signed order", true),
        (
            problem(Rule::DiskFault, "ledger.db: Input/output error (os error 5)", "n"),
            Family::Latched,
            "The desk's own disk failed",
            "Next: Switch off, look whether",
            true,
        ),
        (
            problem(Rule::DiskFault, "ledger.db: database or disk is full", "n"),
            Family::DiskFull,
            "The desk's own disk is full",
            "larger one",
            true,
        ),
        (
            problem(Rule::FileFault, "a folder for copies: No space left on device (os error 28)", "n"),
            Family::DiskFull,
            "The desk's own disk is full",
            "pulling them out gives no room",
            true,
        ),
        (problem(Rule::HeadUnexpected, "x", "n"), Family::WrongDisk, "This is not the right disk", "let it sign nothing", true),
        (problem(Rule::Standby, "x", "n"), Family::WrongDisk, "This is not the right disk", "restored backup", true),
        (problem(Rule::MediumForeign, "x", "n"), Family::ForeignStick, "A stick of another Common", "It was not changed", false),
        (
            problem(Rule::MediumFault, "x: Input/output error (os error 5)", "n"),
            Family::BrokenStick,
            "A stick cannot be used",
            "another stick",
            false,
        ),
        (
            problem(Rule::MediumFault, "x: No space left on device (os error 28)", "n"),
            Family::FullStick,
            "A stick is full",
            "larger stick",
            false,
        ),
        (problem(Rule::Passphrase, "x", "n"), Family::Key, "The key does not open", "Another try does no harm", false),
        (problem(Rule::ConfirmationMissing, "x", "n"), Family::NotConfirmed, "Not confirmed", "nothing was decided", false),
        (problem(Rule::PapersTooMany, "x", "n"), Family::TooMuch, "Too many papers at once", "Next: Pull some of the sticks out", false),
        (problem(Rule::AnotherWriter, "x", "n"), Family::Busy, "The desk is in use", "close the other window", false),
        (problem(Rule::CharterUnsigned, "x", "n"), Family::Founding, "The founding cannot go on", "Nothing was founded", false),
        (problem(Rule::InternalFault, "x", "n"), Family::Other, "Stopped", "Next: Photograph this page", false),
    ] {
        let rule = problem.fault.rule;
        assert_eq!((Family::of(&problem), family.is_the_end()), (family, ends), "{rule}");
        let page = trouble::trouble(&problem, Vec::new());
        let text = plain::text(&page).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(page.title, title, "{rule}");
        for said in [words, advice::matter(rule), problem.fault.shown(), &problem.state, rule.id()] {
            assert!(text.contains(&said.split_whitespace().collect::<Vec<_>>().join(" ")), "{rule}: {said}: {text}");
        }
        // Where there is no room, another socket or a firm seat does not help: nobody is told to try.
        let is_full = matches!(family, Family::DiskFull | Family::FullStick);
        assert_eq!(text.matches(&advice::of_stop(rule)[1..]).count(), usize::from(!is_full), "{rule}: {text}");
        assert!(!text.contains("command"), "{rule}: {text}");
    }
}

#[test]
fn no_rule_that_stops_is_without_a_page() {
    for rule in Rule::ALL.iter().filter(|rule| rule.outcome() == Outcome::Stop) {
        let page = trouble::trouble(&Fault::new(*rule, "found this; expected that").into(), Vec::new());
        assert!(!page.next.is_empty() && !page.choices.is_empty(), "{rule}");
    }
}

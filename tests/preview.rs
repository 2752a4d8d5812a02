//! A preview says beforehand what the session then says, and the receipt is compared with it at home.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod stage;
#[path = "replay/story.rs"]
#[allow(dead_code)]
mod story;
mod support;

use std::cell::RefCell;
use std::path::Path;

use stage::{Case, Forge, tree};
use story::Story;
use support::Notary;
use tabellion::core::ids::{Hash, Head, Pid};
use tabellion::core::payload::Ruling;
use tabellion::core::pin::Pin;
use tabellion::run::preview::preview;

fn pin(notary: &Notary) -> Pin {
    let desk = notary.desk();
    let charter = desk.books().charter().unwrap();
    let head = Head { number: 1, root: desk.books().log().root_at(1).unwrap() };
    Pin { origin: charter.origin.clone(), head, vkey: charter.log.clone(), next: charter.next, fingerprint: head.root }
}

/// What can be foreseen of an answer: all but the ledger's head and the time claim in its record.
type Answer = (Pid, String, String, Hash, Option<(u64, Hash, Hash)>);

fn answer(ruling: &Ruling) -> Answer {
    let record = ruling.record.as_ref().map(|record| (record.number, record.state_root, record.judged));
    (ruling.pid, ruling.verdict.line(), ruling.verdict.detail().to_owned(), ruling.envelope.env(), record)
}

// Eleven sessions of all sorts of answers: order, verdicts, values, numbers and roots are known before the witness has opened its eyes.
#[test]
fn previews_of_a_whole_story_are_what_its_sessions_then_answer() {
    let foreseen: RefCell<Vec<Answer>> = RefCell::default();
    let mut count = 0;
    let story = Story::watched(
        &mut |notary, session, stick: &Path| {
            if session == 1 {
                return; // nothing is published on the stick yet
            }
            let before = support::tree(stick);
            let preview = preview(stick, stick, &pin(notary), &mut |_, _| {}).unwrap_or_else(|problem| panic!("{problem}"));
            assert_eq!(support::tree(stick), before, "a preview writes nothing");
            let plan = preview.plan.unwrap();
            assert_eq!((plan.opened().session, plan.opened().before), (session, notary.head()));
            *foreseen.borrow_mut() = plan.rulings().iter().map(answer).collect();
        },
        &mut |notary, session, _| {
            let desk = notary.desk();
            let answered: Vec<Answer> = desk.books().session(session as usize).unwrap().rulings.iter().map(answer).collect();
            if session > 1 {
                assert_eq!(*foreseen.borrow(), answered, "session {session}");
                count += answered.len();
            }
        },
    );
    assert!(count > 40, "{count} answers foreseen");
    // The same papers once more: they have their verdicts, and what is held needs no new session.
    let again = preview(&story.place("stick"), &story.folder(), &pin(&story.notary), &mut |_, _| {}).unwrap_or_else(|p| panic!("{p}"));
    assert!(again.plan.is_none());
    assert_eq!(again.again[&story.named.last.pid()], (11, "accepted".to_owned()));
}

// ------------------------------------------------------------------------------------------------------------------- the command line

#[test]
fn previews_show_each_verdict_and_write_nothing() {
    let mut case = Case::grown("preview");
    let pin = case.pin("alice");
    case.write("alice/tool", "a tool\n");
    case.write("alice/plan", "release on Friday\n");
    case.quiet("propose put tools/tool=alice/tool --pin alice/common.pin --key alice/key --media stick", 0);
    case.quiet("propose put release/plan=alice/plan --pin alice/common.pin --key alice/key --media stick", 0);
    case.write("stick/tabellion/inbox/idle.cose", Forge::put("james", 9, &pin, "tools/editor", b"x").bytes());
    case.write("stick/tabellion/inbox/holiday.jpg", [0xff, 0xd8, 0xff, 0xe0]);
    let before = tree(&case.path("."));
    case.say("Everything on the stick, as the witness would judge it.");
    case.run("preview stick --pin alice/common.pin", 1);
    case.say("One bundle alone; the folder is found on the stick it lies on.");
    let bundle = case.find("stick/tabellion/inbox", "alice-000002-", ".bundle");
    case.set("BUNDLE", bundle);
    case.run("preview $BUNDLE --pin alice/common.pin", 0);
    case.say("A file elsewhere, without a folder; something that is no paper; a folder whose sessions are not what they were.");
    case.write("elsewhere/paper", case.read("stick/tabellion/inbox/idle.cose"));
    case.run("preview elsewhere/paper --pin alice/common.pin", 2);
    case.run("preview alice/tool --pin alice/common.pin --common stick", 2);
    case.run("preview nowhere --pin alice/common.pin --common stick", 2);
    assert_eq!(tree(&case.path(".")).len(), before.len() + 1, "only the test wrote a file");
    case.write("stick/tabellion/common/vkeys", "");
    case.run("preview $BUNDLE --pin alice/common.pin", 5);
    case.finish();
}

#[test]
fn collect_says_whether_the_preview_came_true_or_which_paper_came_in_between() {
    let mut case = Case::grown("collect-foreseen");
    for (who, name, content) in [("alice", "tool", "by alice\n"), ("james", "tool", "by james\n"), ("james", "other", "other\n")] {
        case.write(&format!("{who}/{name}"), content);
    }
    case.say("James foresees two papers on his stick; alice, from the same pin, is at the desk before him.");
    case.quiet("witness export --ledger witness --media stick", 0);
    case.write("hers/readme", "");
    case.run("propose put tools/other=james/other --pin james/common.pin --key james/key --media stick", 0);
    case.run("propose put tools/tool=james/tool --pin james/common.pin --key james/key --media stick", 0);
    case.run("propose put tools/tool=alice/tool --pin alice/common.pin --key alice/key --out hers/paper.bundle --common stick", 0);
    case.session(&["hers"], 0);
    case.session(&["stick"], 1);
    case.say("Alice's came true. James's other tool became another number, and his tool was refused: alice's paper came in between.");
    case.run("collect hers --pin alice/common.pin", 0);
    case.run("collect stick --pin james/common.pin", 1);
    case.say("A folder that cannot tell; an expectation that was edited; none.");
    let expected = case.find("james/papers", &pid_of(&case, "000003"), ".expected");
    case.swap(&expected, -3);
    std::fs::remove_file(case.path("stick/tabellion/common/checkpoint")).unwrap();
    case.run("collect stick --pin james/common.pin", 1);
    std::fs::remove_file(case.path(&expected)).unwrap();
    case.run("collect stick --pin james/common.pin", 1);
    case.finish();
}

/// The id of a paper of james by its sequence, from the name of its bundle in the desk's answer.
fn pid_of(case: &Case, sequence: &str) -> String {
    let papers = case.quiet("collect stick --pin james/common.pin", 1);
    let number: u64 = sequence.trim_start_matches('0').parse().unwrap();
    let line = papers.lines().find(|line| line.contains(&format!("(sequence {number},"))).unwrap();
    line.split(' ').find(|word| word.len() == 8 && Hash::from_hex(&word.repeat(8)).is_some()).unwrap().to_owned()
}

#[test]
fn papers_are_proposed_whatever_can_be_foreseen() {
    let mut case = Case::grown("propose-foreseen");
    case.write("james/tool", "a tool\n");
    case.say("A sessions file is missing: the paper goes its way, and nothing is foreseen of it.");
    std::fs::remove_file(case.path("stick/tabellion/common/sessions/000/000001.papers")).unwrap();
    case.run("propose put tools/tool=james/tool --pin james/common.pin --key james/key --media stick", 0);
    case.say("Nothing was asked.");
    case.run("propose put tools/more=james/tool --pin james/common.pin --key james/key --media stick --no-preview", 0);
    case.finish();
}

#[test]
fn replays_say_what_was_derived_and_what_differs() {
    let mut case = Case::grown("replay");
    case.run("replay stick --pin consumer/common.pin", 0);
    let fingerprint = case.quiet("witness status --ledger witness --fingerprint", 0);
    case.quiet(&format!("replay stick --charter {}", fingerprint.trim()), 0);
    case.say("Another fingerprint; no pin.");
    case.run(&format!("replay stick --charter {}", "00".repeat(32)), 4);
    case.run("replay stick --pin nowhere", 2);
    case.say("One byte of the policy that is published, and one of a session: 'accepted' is not what it was.");
    let policy = case.find("stick/tabellion/common/policies", "", ".toml");
    case.flip(&policy, -2);
    case.run("replay stick --pin consumer/common.pin", 1);
    let papers = case.read("stick/tabellion/common/sessions/000/000001.papers");
    let at = papers.windows(8).position(|window| window == b"accepted").unwrap();
    case.flip("stick/tabellion/common/sessions/000/000001.papers", at as isize);
    case.run("replay stick --pin consumer/common.pin", 1);
    case.say("A session's papers are missing.");
    std::fs::remove_file(case.path("stick/tabellion/common/sessions/000/000001.papers")).unwrap();
    case.run("replay stick --pin consumer/common.pin", 3);
    case.finish();
}

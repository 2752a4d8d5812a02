//! Replay finds nothing in an honest folder, and names the lie in a forged one whose hashes, roots and signatures all hold.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "replay/forger.rs"]
mod forger;
#[path = "replay/story.rs"]
mod story;
mod support;

use std::path::Path;
use std::sync::OnceLock;

use forger::{Lie, forge};
use story::Story;
use tabellion::core::cbor::Canonical;
use tabellion::core::cose::Envelope;
use tabellion::core::ids::{Hash, Head, Pid};
use tabellion::core::pin::Pin;
use tabellion::core::rules::Rule;
use tabellion::core::sessions::Session;
use tabellion::run::consumer::verify_folder;
use tabellion::run::content::verify_content;
use tabellion::run::policy_file::check_published;
use tabellion::run::problem::Outcomes;
use tabellion::run::replay::{Replayed, Start, replay};

/// One story for all tests: each looks at it, and makes folders of its own name beside it.
fn story() -> &'static Story {
    static ONCE: OnceLock<Story> = OnceLock::new();
    ONCE.get_or_init(Story::play)
}

fn pin(story: &Story) -> Pin {
    pin_of(&story.notary)
}

fn pin_of(notary: &support::Notary) -> Pin {
    let desk = notary.desk();
    let fingerprint = desk.books().log().root_at(1).unwrap();
    let charter = desk.books().charter().unwrap().clone();
    Pin { origin: charter.origin, head: Head { number: 1, root: fingerprint }, vkey: charter.log, next: charter.next, fingerprint }
}

fn replay_of(story: &Story, folder: &Path) -> Outcomes<Replayed> {
    replay(folder, &Start::Pin(&pin(story)), &mut |_, _| {})
}

fn replayed(story: &Story, folder: &Path) -> Replayed {
    replay_of(story, folder).unwrap_or_else(|problem| panic!("{problem}"))
}

#[test]
fn an_honest_folder_is_re_derived_to_the_byte() {
    let story = story();
    let mut seen = Vec::new();
    let start = Start::Fingerprint(story.fingerprint());
    let replayed = replay(&story.folder(), &start, &mut |session, last| seen.push((session, last)));
    let replayed = replayed.unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!(replayed.differences.first(), []);
    assert_eq!(seen, (0..=11).map(|session| (session, 11)).collect::<Vec<_>>());
    let answers = story.answers();
    for kind in story::KINDS {
        assert!(answers.iter().any(|answer| answer == kind), "no paper of the story was {kind}");
    }
    let desk = story.notary.desk();
    assert_eq!(replayed.books.head(), desk.books().head());
    assert_eq!(replayed.books.state().root(), desk.books().state().root());
    assert_eq!(replayed.books.held().keys().collect::<Vec<_>>(), desk.books().held().keys().collect::<Vec<_>>());
    assert_eq!(replayed.checkpoints, desk.books().head().number);
    // Every file that is published, but the content and the newest checkpoint.
    let published = support::tree(&story.folder());
    let compared = published.keys().filter(|path| !path.ends_with(".objects") && *path != "checkpoint").count();
    assert_eq!(replayed.files, compared);
}

/// A forgery: the session it is about, what is done there, whether `verify` passes it, and what replay must say of it.
struct Forgery {
    name: &'static str,
    session: u64,
    tell: fn(&Story, &mut Lie),
    verify: Result<(), Rule>,
    paper: fn(&Story) -> Option<Pid>,
    what: &'static str,
    published: &'static str,
    follows: &'static str,
}

const FORGERIES: &[Forgery] = &[
    Forgery {
        name: "accepted with two approvals of three",
        session: 8,
        tell: |story, lie| lie.accept(story.named.late.pid()),
        verify: Err(Rule::ProofFails),
        paper: |story| Some(story.named.late.pid()),
        what: "verdict",
        published: "accepted",
        follows: "pending threshold-not-met",
    },
    Forgery {
        name: "accepted although something else is there",
        session: 11,
        tell: |story, lie| lie.accept(story.named.behind.pid()),
        verify: Ok(()),
        paper: |story| Some(story.named.behind.pid()),
        what: "verdict",
        published: "accepted",
        follows: "refused expectation-failed",
    },
    Forgery {
        name: "refused although nothing is wrong with it",
        session: 11,
        tell: |story, lie| lie.refuse(story.named.last.pid(), Rule::NoRule, "name open/last"),
        verify: Ok(()),
        paper: |story| Some(story.named.last.pid()),
        what: "verdict",
        published: "refused no-rule",
        follows: "accepted",
    },
    Forgery {
        name: "two papers in the other's turn",
        session: 10,
        tell: |_, lie| {
            let accepted: Vec<usize> = (0..lie.rulings.len()).filter(|at| lie.rulings[*at].record.is_some()).collect();
            lie.rulings.swap(accepted[0], accepted[1]);
        },
        verify: Ok(()),
        // Turn order of session 10 (sha256sum of SPEC 6.5): bob 4abe…, carol 5b47…, dave 6586…, erin aeb1…, alice bf1a….
        paper: |story| Some(story.named.three[2].pid()),
        what: "order, turn 1",
        published: "ERIN",
        follows: "BOB",
    },
    Forgery {
        name: "a detail that is not so",
        session: 2,
        tell: |story, lie| lie.refuse(story.named.idle.pid(), Rule::NoEffect, "name open/other"),
        verify: Ok(()),
        paper: |story| Some(story.named.idle.pid()),
        what: "detail",
        published: "name open/other",
        follows: "name open/zz",
    },
    Forgery {
        name: "a held paper that was passed over",
        session: 10,
        tell: |story, lie| lie.rulings.retain(|ruling| ruling.pid != story.named.waits.pid()),
        verify: Ok(()),
        paper: |story| Some(story.named.waits.pid()),
        what: "judged",
        published: "not judged",
        follows: "deferred dependency-open: it was held",
    },
    Forgery {
        name: "a session under the policy before",
        session: 10,
        tell: |_, lie| {
            let old = support::policy(&support::policy_toml(2)).hash();
            lie.records = Box::new(move |records| records.iter_mut().for_each(|record| record.policy = old));
        },
        verify: Err(Rule::ProofFails),
        paper: |story| Some(story.named.three[0].pid()),
        what: "record 13, field 6 (policy)",
        published: "OLD POLICY",
        follows: "NEW POLICY",
    },
    Forgery {
        name: "another state root",
        session: 10,
        tell: |_, lie| lie.records = Box::new(|records| records[2].state_root = Hash([9; 32])),
        verify: Err(Rule::ProofFails),
        paper: |story| Some(story.named.three[0].pid()),
        what: "record 13, field 5 (state root)",
        published: "0909090909090909090909090909090909090909090909090909090909090909",
        follows: "STATE ROOT",
    },
    Forgery {
        name: "a record that claims another list of what was judged",
        session: 10,
        tell: |_, lie| lie.records = Box::new(|records| records[2].judged = Hash([9; 32])),
        verify: Ok(()),
        paper: |story| Some(story.named.three[0].pid()),
        what: "record 13, field 12 (all that was judged)",
        published: "0909090909090909090909090909090909090909090909090909090909090909",
        follows: "JUDGED",
    },
    Forgery {
        name: "an approval that was left out",
        session: 8,
        tell: |story, lie| {
            let bob = support::key("bob").kid();
            lie.answer(story.named.late.pid()).envelope.signers.retain(|signer| signer.kid != bob);
        },
        verify: Ok(()),
        paper: |story| Some(story.named.late.pid()),
        what: "detail",
        published: "group board have 2 need 3 missing alice",
        follows: "group board have 1 need 3 missing alice bob",
    },
    Forgery {
        name: "a signature that does not count",
        session: 8,
        tell: |story, lie| {
            let answer = lie.answer(story.named.late.pid());
            let more = support::also_signed(&answer.envelope.to_cbor(), "erin");
            answer.envelope = Envelope::from_cbor(&more).unwrap();
        },
        verify: Ok(()),
        paper: |story| Some(story.named.late.pid()),
        what: "envelope as counted",
        published: "ENV WITH ERIN",
        follows: "ENV",
    },
    Forgery {
        name: "a paper whose author has no key any more",
        session: 11,
        tell: |story, lie| {
            let frank = support::Paper::new("frank", 99, story.notary.head()).remove("open/x", None);
            let envelope = Envelope::from_cbor(&frank.envelope()).unwrap();
            let mut answer = lie.rulings[0].clone();
            (answer.pid, answer.envelope, answer.objects) = (envelope.pid(), envelope, Default::default());
            lie.rulings.push(answer);
            lie.refuse(frank.pid(), Rule::NoRule, "name open/x");
        },
        verify: Ok(()),
        paper: |story| Some(support::Paper::new("frank", 99, story.notary.head()).remove("open/x", None).pid()),
        what: "judged",
        published: "refused no-rule",
        follows: "not judged: [author-unknown] author frank",
    },
    Forgery {
        name: "a paper that was decided before",
        session: 11,
        tell: |story, lie| {
            let desk = story.notary.desk();
            let idle = desk.books().answered(&story.named.idle.pid()).unwrap().unwrap().ruling().clone();
            lie.rulings.push(idle);
        },
        verify: Ok(()),
        paper: |story| Some(story.named.idle.pid()),
        what: "judged",
        published: "refused no-effect",
        follows: "not judged: it was decided in session 2",
    },
    Forgery {
        name: "content that one paper had and the other not",
        session: 11,
        tell: |story, lie| lie.answer(story.named.behind.pid()).objects.clear(),
        verify: Ok(()),
        paper: |story| Some(story.named.behind.pid()),
        what: "object sha256:OPEN/X",
        published: "not held",
        follows: "held, 6 bytes",
    },
];

/// Values that a hand cannot write: what they stand for.
fn value(story: &Story, text: &str) -> String {
    let desk = story.notary.desk();
    let record = |number: u64| desk.books().record(number).unwrap();
    let tiny = |at: usize| format!("paper {}", story.named.three[at].pid().tiny());
    match text {
        "BOB" => tiny(1),
        "ERIN" => tiny(2),
        "OLD POLICY" => support::policy(&support::policy_toml(2)).hash().hex(),
        "NEW POLICY" => support::policy(&story::later_policy()).hash().hex(),
        "ENV" => desk.books().session(8).unwrap().rulings.iter().find(|r| r.pid == story.named.late.pid()).unwrap().envelope.env().hex(),
        "ENV WITH ERIN" => Hash::of(&story.named.late.envelope_by(&["carol", "bob", "erin"])).hex(),
        "STATE ROOT" => record(13).state_root.hex(),
        "JUDGED" => record(13).judged.hex(),
        text => text.replace("sha256:OPEN/X", &Hash::of(b"open/x").short()),
    }
}

#[test]
fn forged_folders_whose_signatures_hold_are_found_and_named() {
    let story = story();
    for (at, forgery) in FORGERIES.iter().enumerate() {
        let name = forgery.name;
        let folder = forge(story, &format!("forged-{at}"), forgery.session, |lie| (forgery.tell)(story, lie));
        let verified = verify_folder(&folder, &pin(story)).map(|_| ()).map_err(|problem| problem.fault.rule);
        assert_eq!(verified, forgery.verify, "{name}");
        let replayed = replayed(story, &folder);
        let expected = (Some(forgery.session), (forgery.paper)(story), value(story, forgery.what));
        let expected = (expected.0, expected.1, expected.2, value(story, forgery.published), value(story, forgery.follows));
        let shown = |d: &tabellion::core::replay::Difference| (d.session, d.paper, d.what.clone(), d.published.clone(), d.derived.clone());
        let found: Vec<_> = replayed.differences.first().iter().map(shown).collect();
        assert!(found.contains(&expected), "{name}:\n{expected:#?}\nexpected; found\n{found:#?}");
        assert!(found.iter().all(|found| found.0 == expected.0), "{name}: all that differs lies in its session; found\n{found:#?}");
    }
}

/// The final folder, copied, with one thing done to it.
fn changed(story: &Story, place: &str, change: impl Fn(&Path)) -> std::path::PathBuf {
    let folder = story.place(place);
    support::copy_folder(&story.folder(), &folder);
    change(&folder);
    folder
}

// Nothing signs a sessions file of old: a word in it is found by itself, and by nothing but itself.
#[test]
fn a_changed_word_in_an_old_session_is_one_difference() {
    let story = story();
    let folder = changed(story, "word", |folder| {
        let path = folder.join("sessions/000/000002.papers");
        let text = std::fs::read(&path).unwrap();
        let at =
            text.windows(7).position(|window| window == b"open/zz").into_iter().chain(text.windows(12).position(|w| w == b"name open/zz"));
        let mut text = text.clone();
        text[at.last().unwrap() + 11] = b'y';
        std::fs::write(path, text).unwrap();
    });
    assert!(verify_folder(&folder, &pin(story)).is_ok());
    let replayed = replayed(story, &folder);
    assert_eq!(replayed.differences.count(), 1);
    let found = &replayed.differences.first()[0];
    assert_eq!((found.session, found.paper, found.what.as_str()), (Some(2), Some(story.named.idle.pid()), "detail"));
    assert_eq!((found.published.as_str(), found.derived.as_str()), ("name open/zy", "name open/zz"));
}

#[test]
fn a_session_that_is_skipped_or_empty_or_gone_is_named() {
    let story = story();
    // Session 11 is published as session 12, its records too.
    let skipped = forge(story, "skipped", 11, |lie| lie.number = 12);
    assert!(verify_folder(&skipped, &pin(story)).is_ok());
    let problem = replay_of(story, &skipped).err().unwrap();
    assert_eq!((problem.fault.rule, problem.exit().code()), (Rule::FolderIncomplete, 3), "{problem}");
    assert!(problem.fault.found.contains("sessions/000/000011.papers"), "{problem}");
    assert_eq!(problem.state, "the sessions before it, 0 to 10, were re-derived; session 11 and what follows were not");
    // An empty file in its place hides nothing: papers are held.
    std::fs::write(skipped.join("sessions/000/000011.papers"), b"").unwrap();
    let waits = Some(story.named.waits.pid());
    let found = replayed(story, &skipped).differences;
    let judged = found.first().iter().find(|d| d.session == Some(11) && d.paper == waits && d.what == "judged");
    assert_eq!(judged.map(|d| (d.published.as_str(), d.derived.as_str())), Some(("not judged", "deferred dependency-open: it was held")));

    let gone = changed(story, "gone", |folder| std::fs::remove_file(folder.join("sessions/000/000005.papers")).unwrap());
    let problem = replay_of(story, &gone).err().unwrap();
    assert_eq!((problem.fault.rule, problem.exit().code()), (Rule::FolderIncomplete, 3), "{problem}");
    assert!(problem.fault.found.contains("sessions/000/000005.papers"), "{problem}");

    let cut = changed(story, "cut", |folder| {
        let path = folder.join("sessions/000/000005.papers");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
    });
    assert_eq!(replay_of(story, &cut).err().unwrap().fault.rule, Rule::ProofFails);
}

// A desk with nothing held: a session that judged nothing cannot have been.
#[test]
fn a_session_that_judged_nothing_is_no_session() {
    let room = support::room();
    let notary = support::Notary::found(&room.path().join("witness"), &support::policy_toml(2));
    let paper = support::Paper::new("alice", 1, notary.head()).put("open/a", b"a", tabellion::core::proposal::Expect::Absent);
    drop(notary.judge(&room.path().join("stick"), &[paper]));
    let folder = room.path().join("stick/tabellion/common");
    std::fs::write(folder.join("sessions/000/000002.papers"), b"").unwrap();
    let start = Start::Fingerprint(notary.desk().books().log().root_at(1).unwrap());
    let replayed = replay(&folder, &start, &mut |_, _| {}).unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!(replayed.differences.count(), 1);
    let found = &replayed.differences.first()[0];
    assert_eq!((found.session, found.published.as_str()), (Some(2), "it judged nothing"));
}

// Whether the desk held content is taken as given. A lie about it that contradicts nothing else shows only in the packs.
#[test]
fn a_lie_about_content_alone_shows_in_the_index_of_its_pack_and_nowhere_else() {
    let story = story();
    let folder = forge(story, "absent", 11, |lie| lie.answer(story.named.last.pid()).objects.clear());
    let found = replayed(story, &folder).differences;
    assert_eq!(found.first().iter().map(|d| d.what.as_str()).collect::<Vec<_>>(), ["objects/000/000011.index"]);
    std::fs::remove_dir_all(folder.join("objects")).unwrap();
    assert_eq!(replayed(story, &folder).differences.first(), []);
}

// What `verify` leaves is for other programs, or was judged and not accepted: older partial tiles, proofs that travel alone, sessions.
#[test]
fn a_byte_of_any_published_file_is_found_by_verify_or_by_replay_and_all_that_counts_by_verify() {
    let story = story();
    let for_replay = ["charter.cose", "vkeys", "common@", "sessions/"];
    let newest = format!(".p/{}", story.notary.desk().books().head().number);
    let folder = changed(story, "flipped", |_| {});
    for (path, bytes) in support::tree(&folder) {
        let is_older = path.contains(".p/") && !path.ends_with(&newest);
        let is_left = is_older || for_replay.iter().any(|begins| path.starts_with(begins));
        // Of content the whole frame, which is compared with nothing else; of what replay compares as a whole one byte.
        let positions = match path.ends_with(".objects") {
            true => (0..bytes.len().min(40)).chain([bytes.len() - 1]).collect(),
            false if is_left => vec![bytes.len() / 2],
            false => vec![0, bytes.len() / 2, bytes.len().max(1) - 1],
        };
        for at in positions.into_iter().filter(|at| *at < bytes.len()) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            std::fs::write(folder.join(&path), flipped).unwrap();
            let verified = verify_folder(&folder, &pin(story)).and_then(|checked| {
                check_published(&checked)?;
                verify_content(&checked)
            });
            assert_eq!(verified.is_ok(), is_left, "byte {at} of {path}: {:?}", verified.err());
            if is_left {
                let differs = replay_of(story, &folder).map_or(true, |replayed| replayed.differences.count() > 0);
                assert!(differs, "byte {at} of {path}: neither finds it");
            }
        }
        std::fs::write(folder.join(&path), bytes).unwrap();
    }
}

#[test]
fn every_other_file_of_the_folder_is_compared_with_what_follows() {
    let story = story();
    let old = format!("policies/{}.cbor", support::policy(&support::policy_toml(2)).hash());
    for path in
        [old.as_str(), "charter.cose", "common@13.tlog-proof", "vkeys", "papers/000.p/14", "tile/0/000.p/14", "tile/entries/000.p/14"]
    {
        let folder = changed(story, &path.replace('/', "-"), |folder| {
            let mut bytes = std::fs::read(folder.join(path)).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            std::fs::write(folder.join(path), bytes).unwrap();
        });
        match replay(&folder, &Start::Pin(&pin(story)), &mut |_, _| {}) {
            Ok(replayed) => assert_eq!(replayed.differences.first().iter().map(|d| d.what.as_str()).collect::<Vec<_>>(), [path]),
            Err(problem) => assert_eq!((&path[..4], problem.fault.rule), ("tile", Rule::ProofFails), "{problem}"),
        }
    }
    let folder = changed(story, "extra", |folder| {
        std::fs::remove_file(folder.join("vkeys")).unwrap();
        std::fs::write(folder.join("policies/00.cbor"), b"").unwrap();
    });
    let found = replayed(story, &folder).differences;
    assert_eq!(
        found.first().iter().map(|d| (d.what.as_str(), d.published.as_str())).collect::<Vec<_>>(),
        [("vkeys", "no file"), ("policies/00.cbor", "a file")]
    );
}

#[test]
fn signatures_that_fail_and_records_of_later_kinds_stop_it() {
    let story = story();
    let spoilt = changed(story, "spoilt", |folder| {
        let path = folder.join("checkpoints/000.p/14");
        let mut bytes = std::fs::read(&path).unwrap();
        let at = bytes.windows(1).position(|window| window == b"\n").unwrap() - 10;
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        std::fs::write(path, bytes).unwrap();
    });
    let problem = replay_of(story, &spoilt).err().unwrap();
    assert_eq!((problem.fault.rule, problem.exit().code()), (Rule::CheckpointUnsigned, 4), "{problem}");
    assert!(problem.fault.found.starts_with("the checkpoint of common@1: "), "{problem}");

    let rotation = forge(story, "rotation", 11, |lie| {
        let (desk, next) = (story.notary.desk(), Hash([3; 32]));
        let keys = desk.books().record(1).unwrap().keys.clone();
        lie.records = Box::new(move |records| {
            let last = records.last_mut().unwrap();
            (last.kind, last.keys, last.next) = (tabellion::core::record::RecordKind::Rotation, keys.clone(), Some(next));
        });
    });
    let problem = replay_of(story, &rotation).err().unwrap();
    assert_eq!(problem.fault.rule, Rule::RecordForm, "{problem}");
    assert_eq!(problem.fault.found, "common@14 is a key rotation record; a newer tabellion is needed to re-derive it");
}

/// A tree artifact of one file.
fn tree(content: &[u8]) -> Vec<u8> {
    let mut w = tabellion::core::cbor::Writer::new();
    w.array(1).array(4).text("file").bool(false).uint(content.len() as u64).bytes(&Hash::of(content).0);
    w.finish()
}

fn puts_tree(paper: support::Paper, name: &str, tree: &[u8]) -> support::Paper {
    let media_type = tabellion::core::proposal::TREE_MEDIA_TYPE.parse().unwrap();
    let entry = tabellion::core::proposal::Entry { sha256: Hash::of(tree), size: tree.len() as u64, media_type, source: None };
    let expect = tabellion::core::proposal::Expect::Absent;
    paper.with(tabellion::core::proposal::Operation::Put { name: name.parse().unwrap(), entry, expect })
}

// What is as if it had not come has no row (SPEC 6.11), and members have rows where they are kept: an honest desk is not accused.
#[test]
fn optional_content_false_sizes_and_trees_are_re_derived_too() {
    use tabellion::core::proposal::Expect;
    let room = support::room();
    let notary = support::Notary::found(&room.path().join("witness"), &support::policy_toml(100));
    let (base, content) = (notary.head(), b"the same content".as_slice());
    let paper = |author: &str, sequence| support::Paper::new(author, sequence, base);
    let with = |mut paper: support::Paper, contents: &[&[u8]]| {
        paper.contents.extend(contents.iter().map(|content| content.to_vec()));
        paper
    };
    let (whole, lacking, broken) = (tree(b"member"), tree(b"never comes"), b"no tree at all".to_vec());
    let sessions = [
        vec![
            with(paper("frank", 1).put_without("open/trap", content, 7, Expect::Absent), &[content]),
            paper("bob", 1).put("open/good", content, Expect::Absent),
            puts_tree(paper("erin", 1), "safe/later", &lacking).signed_by(&["alice", "bob"]),
        ],
        vec![
            with(puts_tree(paper("alice", 1), "open/tree", &whole), &[&whole, b"member"]),
            with(puts_tree(paper("bob", 2), "open/lacking", &lacking), &[&lacking]),
            with(puts_tree(paper("carol", 1), "open/broken", &broken), &[&broken]),
            puts_tree(paper("dave", 1), "safe/broken", &broken).signed_by(&["alice", "bob"]),
            puts_tree(paper("frank", 2), "docs/pending", &whole),
            puts_tree(paper("erin", 2), "safe/whole", &whole).signed_by(&["alice"]),
        ],
        vec![
            paper("frank", 3).put("open/plain-tree", &whole, Expect::Absent),
            puts_tree(paper("erin", 2), "safe/whole", &whole).signed_by(&["bob"]),
        ],
    ];
    let stick = room.path().join("stick");
    for (number, papers) in (1..).zip(&sessions) {
        let (envelopes, contents) = (papers.iter().map(support::Paper::envelope), papers.iter().flat_map(|paper| paper.contents.clone()));
        support::write(&stick.join("bundle"), &support::bundle(&envelopes.collect::<Vec<_>>(), &contents.collect::<Vec<_>>()));
        // A preview sees the same trees: those on the stick, and those of held papers as they were judged.
        let pin = pin_of(&notary);
        let foreseen = (number > 1).then(|| tabellion::run::preview::preview(&stick, &stick, &pin, &mut |_, _| {}));
        drop(notary.session(std::slice::from_ref(&stick), None));
        let answer = |ruling: &tabellion::core::payload::Ruling| (ruling.pid, ruling.verdict.clone(), ruling.objects.clone());
        let answered: Vec<_> = notary.desk().books().session(number).unwrap().rulings.iter().map(answer).collect();
        if let Some(foreseen) = foreseen {
            let plan = foreseen.unwrap_or_else(|problem| panic!("{problem}")).plan.unwrap();
            assert_eq!(plan.rulings().iter().map(answer).collect::<Vec<_>>(), answered, "session {number}");
        }
    }
    let desk = notary.desk();
    let of = |session: &Session| session.rulings.iter().map(|ruling| ruling.verdict.line()).collect::<Vec<_>>();
    let answers: Vec<String> = desk.books().sessions().flat_map(|session| of(&session.unwrap())).collect();
    for kind in ["refused object-fault", "deferred object-missing", "pending threshold-not-met"] {
        assert!(answers.iter().any(|answer| answer == kind), "{kind} in {answers:?}");
    }
    let replayed = replay(&stick, &Start::Fingerprint(desk.books().log().root_at(1).unwrap()), &mut |_, _| {});
    assert_eq!(replayed.unwrap_or_else(|problem| panic!("{problem}")).differences.first(), []);
}

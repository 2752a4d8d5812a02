//! Found by reading the desk with an attacker's eyes: papers that wait must not become a way around the rules, false sizes must not reach
//! others, and what lies on a medium in the place of our checkpoint is neither followed nor read without a bound.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::path::PathBuf;

use support::{Notary, Paper, policy_toml, room};
use tabellion::core::ids::{Hash, Pid};
use tabellion::core::proposal::Expect;
use tabellion::core::rules::Rule;
use tabellion::run::session::Report;

fn verdict(report: &Report, paper: &Paper) -> String {
    let session = report.desk.books().last_session().unwrap().unwrap();
    session.rulings.iter().find(|ruling| ruling.pid == paper.pid()).unwrap().verdict.line()
}

// A pipe would never end, a link to a device never stop: the medium is given up, the ledger stands, the other medium gets its results.
#[test]
fn a_pipe_or_link_in_the_place_of_the_checkpoint_gives_up_that_medium_alone() {
    let room = room();
    let notary = Notary::found(&room.path().join("witness"), &policy_toml(10));
    let media: Vec<PathBuf> = ["pipe", "link", "good"].map(|name| room.path().join(name)).to_vec();
    media.iter().for_each(|medium| std::fs::create_dir_all(medium.join("tabellion/common")).unwrap());
    let made = std::process::Command::new("mkfifo").arg(media[0].join("tabellion/common/checkpoint")).status();
    assert!(made.unwrap().success());
    std::os::unix::fs::symlink("/dev/zero", media[1].join("tabellion/common/checkpoint")).unwrap();
    let paper = Paper::new("alice", 1, notary.head()).put("open/x", b"x", Expect::Absent);
    support::write(&media[2].join("paper"), &paper.envelope());
    let report = notary.try_session(&media, None).unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!(verdict(&report, &paper), "accepted");
    let rules: Vec<Option<Rule>> = report.media.iter().map(|(_, written)| written.as_ref().err().map(|fault| fault.rule)).collect();
    assert_eq!(rules, [Some(Rule::MediumForeign), Some(Rule::MediumForeign), None]);
}

const NOWHERE: Pid = Hash([0x55; 32]);

// One member alone must not get a paper accepted that needs two of the board: a paper that was never ready is tried for `lapsed` and
// deferred, even when what it waits for was refused a moment before it, in the same pass.
#[test]
fn a_paper_that_waits_for_one_that_lapses_in_the_same_pass_is_not_accepted() {
    let room = room();
    let notary = Notary::found(&room.path().join("witness"), &policy_toml(10));
    let base = notary.head();
    let bait = Paper::new("frank", 1, base).put("open/bait", b"bait", Expect::Anything).after(NOWHERE).until(1);
    // Whichever comes first by id: of these one at least comes after the bait.
    let waiting: Vec<Paper> = (2..20)
        .map(|sequence| Paper::new("frank", sequence, base).put("docs/taken", b"over", Expect::Anything).after(bait.pid()))
        .collect();
    assert!(waiting.iter().any(|paper| paper.pid() > bait.pid()));
    let all: Vec<Paper> = std::iter::once(bait.clone()).chain(waiting.clone()).collect();
    let report = notary.judge(&room.path().join("one"), &all);
    assert_eq!(verdict(&report, &bait), "refused lapsed");
    for paper in &waiting {
        assert_eq!(verdict(&report, paper), "deferred dependency-open");
    }
    assert_eq!(report.desk.books().state().entries().count(), 0);
    drop(report);
    let report = notary.judge(&room.path().join("two"), &[Paper::new("alice", 1, base).put("open/x", b"x", Expect::Absent)]);
    for paper in &waiting {
        assert_eq!(verdict(&report, paper), "refused dependency-refused");
    }
}

// A paper that waits may claim a false size for content that it brings: that must not become the size of that content for others.
#[test]
fn a_false_size_in_a_paper_that_waits_spoils_nobody_elses() {
    let room = room();
    let notary = Notary::found(&room.path().join("witness"), &policy_toml(10));
    let base = notary.head();
    let content = b"what bob will publish".as_slice();
    let mut trap = Paper::new("frank", 1, base).put_without("open/trap", content, 7, Expect::Anything).after(NOWHERE);
    trap.contents.push(content.to_vec());
    let report = notary.judge(&room.path().join("one"), std::slice::from_ref(&trap));
    assert_eq!(verdict(&report, &trap), "deferred dependency-open");
    drop(report);
    let honest = Paper::new("bob", 1, base).put("open/bobs", content, Expect::Absent);
    let report = notary.judge(&room.path().join("two"), std::slice::from_ref(&honest));
    assert_eq!(verdict(&report, &honest), "accepted");
    assert_eq!(report.desk.books().packed().find(|(hash, _)| **hash == Hash::of(content)).unwrap().1, content.len() as u64);
}

// Under a rule that forbids content nothing is looked at, so any size may be claimed there: it must not be taken for that of the content
// which the same paper brings under another name.
#[test]
fn a_false_size_under_a_rule_without_content_does_not_reach_the_pack() {
    let room = room();
    let notary = Notary::found(&room.path().join("witness"), &policy_toml(10));
    let base = notary.head();
    let content = b"under two names".as_slice();
    let paper = Paper::new("frank", 1, base).put("open/a", content, Expect::Absent).put_without("refs/a", content, 999, Expect::Absent);
    let report = notary.judge(&room.path().join("one"), std::slice::from_ref(&paper));
    assert_eq!(verdict(&report, &paper), "accepted");
    let session = report.desk.books().last_session().unwrap().unwrap();
    assert_eq!(session.pack.get(&Hash::of(content)), Some(&(content.len() as u64)));
    let common = room.path().join("one/tabellion/common/objects/000");
    let (pack, index) = (std::fs::read(common.join("000001.objects")).unwrap(), std::fs::read(common.join("000001.index")).unwrap());
    let offset = u64::from_be_bytes(index[32..40].try_into().unwrap()) as usize;
    assert_eq!(&pack[offset..offset + content.len()], content);
    assert_eq!(pack.len(), offset + content.len());
}

// A held paper's content is damaged on the desk's own disk: nothing wrong is published, and bringing the content again mends it.
#[test]
fn damaged_content_of_a_held_paper_is_refused_and_mended_by_bringing_it_again() {
    let room = room();
    let notary = Notary::found(&room.path().join("witness"), &policy_toml(10));
    let base = notary.head();
    let content = b"kept while approvals are missing".as_slice();
    let first = Paper::new("alice", 1, base).put("open/first", b"first", Expect::Absent);
    let paper = Paper::new("bob", 1, base).put("open/waits", content, Expect::Absent).after(first.pid());
    let report = notary.judge(&room.path().join("one"), std::slice::from_ref(&paper));
    assert_eq!(verdict(&report, &paper), "deferred dependency-open");
    drop(report);
    let loose = notary.dir.join("objects/loose").join(Hash::of(content).hex());
    std::fs::write(&loose, b"what a failing disk made of it").unwrap();

    let stick = room.path().join("two");
    support::write(&stick.join("first"), &support::bundle(&[first.envelope()], &[b"first".to_vec()]));
    let problem = notary.try_session(std::slice::from_ref(&stick), None).err().expect("the content is damaged");
    assert_eq!(problem.fault.rule, tabellion::core::rules::Rule::DiskFault, "{problem}");
    assert_eq!(notary.head(), base);

    support::write(&stick.join("again"), &support::bundle(&[paper.envelope()], &[content.to_vec()]));
    let report = notary.session(&[stick], None);
    assert_eq!((verdict(&report, &first).as_str(), verdict(&report, &paper).as_str()), ("accepted", "accepted"));
}

//! Eleven sessions of one Common, in which every sort of answer is given.

use std::path::{Path, PathBuf};

use tabellion::core::ids::{Hash, Head, Pid};
use tabellion::core::proposal::{Expect, Operation};
use tabellion::core::sessions::Session;
use tempfile::TempDir;

use crate::support::{Notary, Paper, bundle, copy_folder, policy, policy_toml, room, write};

/// Answers that the story must give, so that it cannot become poorer unseen.
pub const KINDS: [&str; 20] = [
    "accepted",
    "refused author-not-active",
    "refused sequence-taken",
    "refused base-root-mismatch",
    "refused lapsed",
    "refused dependency-refused",
    "refused no-rule",
    "refused proposer-not-allowed",
    "refused name-shadows-rule",
    "refused name-collides",
    "refused entry-too-large",
    "refused object-fault",
    "refused expectation-failed",
    "refused no-effect",
    "pending threshold-not-met",
    "deferred base-ahead",
    "deferred dependency-open",
    "deferred object-missing",
    "deferred quota-used",
    "deferred session-ended",
];

const NOWHERE: Pid = Hash([0x55; 32]);

/// A desk with eleven sessions behind it, and the published folder as it stood after each.
pub struct Story {
    room: TempDir,
    /// The desk.
    pub notary: Notary,
    /// Papers that tests name.
    pub named: Named,
}

/// Papers that tests name.
pub struct Named {
    /// Refused in session 2: it would change nothing.
    pub idle: Paper,
    /// Held from session 1 to the end: it waits for a paper that nobody knows.
    pub waits: Paper,
    /// Two of three approvals in session 8, under the policy of session 7; accepted in session 9.
    pub late: Paper,
    /// Accepted in session 10, in some order.
    pub three: [Paper; 3],
    /// Refused in session 11: content is there already.
    pub behind: Paper,
    /// Accepted in session 11.
    pub last: Paper,
}

/// The policy from session 7 on: frank is gone, and docs/ needs all three of the board.
pub fn later_policy() -> String {
    let text = policy_toml(3).replace("k = 2\nof = [\"alice\", \"bob\", \"carol\"]", "k = 3\nof = [\"alice\", \"bob\", \"carol\"]");
    let (begin, end) = (text.find("[[member]]\nname = \"frank\"").unwrap(), text.find("[[group]]").unwrap());
    format!("{}{}", &text[..begin], &text[end..]).replace(", \"frank\"", "")
}

fn sets_policy(author: &str, sequence: u64, base: Head, toml: &str) -> Paper {
    let expect = Some(policy(&policy_toml(2)).hash());
    Paper::new(author, sequence, base).with(Operation::SetPolicy { expect, policy: Box::new(policy(toml)) })
}

impl Story {
    /// Plays it.
    pub fn play() -> Story {
        Story::watched(&mut |_, _, _| {}, &mut |_, _, _| {})
    }

    /// Plays it; `before` each session is shown the desk, the session and the stick as the witness will read it, and `after` it too.
    pub fn watched(before: &mut dyn FnMut(&Notary, u64, &Path), after: &mut dyn FnMut(&Notary, u64, &Path)) -> Story {
        let room = room();
        let notary = Notary::found(&room.path().join("witness"), &policy_toml(2));
        let base = notary.head();
        let paper = |author: &str, sequence| Paper::new(author, sequence, base);
        let new = |author: &str, sequence, name: &str| paper(author, sequence).put(name, name.as_bytes(), Expect::Absent);
        let pending = new("carol", 1, "docs/c");
        let without = paper("erin", 1).put_without("safe/e", b"content", 7, Expect::Absent).signed_by(&["alice", "bob"]);
        let named = Named {
            idle: paper("alice", 2).remove("open/zz", None),
            waits: new("dave", 1, "open/d").after(NOWHERE),
            late: new("carol", 3, "docs/late"),
            three: [new("alice", 20, "open/x"), new("bob", 20, "open/y"), new("erin", 20, "open/z")],
            behind: new("bob", 21, "open/x"),
            last: new("erin", 21, "open/last"),
        };
        let mut with_content = without.clone();
        with_content.contents.push(b"content".to_vec());
        let mut false_size = paper("dave", 2).put_without("safe/size", b"false", 7, Expect::Absent).signed_by(&["alice", "bob"]);
        false_size.contents.push(b"false".to_vec());
        let lapses = new("frank", 2, "open/lapses").until(1);
        let quota: Vec<Paper> = (3..6).map(|sequence| new("alice", sequence, &format!("open/a{sequence}"))).collect();
        let elsewhere = |author, sequence, number| Paper::new(author, sequence, Head { number, root: NOWHERE });
        let odd = |paper: Paper| paper.put("open/odd", b"odd", Expect::Anything);
        let late = |signers: &[&str]| named.late.clone().signed_by(signers);
        let policies = [sets_policy("alice", 7, base, &later_policy()).signed_by(&["bob", "carol"])];
        let other = sets_policy("bob", 5, base, &later_policy().replace("quota = 3", "quota = 4")).signed_by(&["alice", "carol"]);
        let sessions: [Vec<Paper>; 11] = [
            vec![
                new("alice", 1, "open/a"),
                new("bob", 1, "open/a"),
                pending.clone(),
                without,
                named.waits.clone(),
                new("frank", 1, "none/z"),
            ],
            vec![
                pending.signed_by(&["bob"]),
                named.idle.clone(),
                new("frank", 1, "open/taken"),
                odd(elsewhere("bob", 2, 1)),
                new("bob", 3, "alice/x"),
                new("bob", 4, "open/deep"),
            ],
            [quota, vec![false_size, with_content, new("frank", 5, "open/a/below")]].concat(),
            vec![odd(elsewhere("carol", 2, 60)), lapses.clone(), new("bob", 6, "open/b").after(lapses.pid()), {
                paper("dave", 3).put_without("open/large", b"large", 2_000, Expect::Absent)
            }],
            vec![new("frank", 3, "none/y")],
            vec![new("frank", 4, "open/frank").after(NOWHERE), new("alice", 6, "open/a6")],
            [policies.to_vec(), vec![other, late(&[])]].concat(),
            vec![late(&["bob"])],
            vec![late(&["alice"])],
            named.three.to_vec(),
            vec![named.behind.clone(), named.last.clone()],
        ];
        let story = Story { room, notary, named };
        let stick = story.room.path().join("stick");
        for (number, papers) in (1..).zip(&sessions) {
            let (envelopes, contents) = (papers.iter().map(Paper::envelope), papers.iter().flat_map(|paper| paper.contents.clone()));
            write(&stick.join("bundle"), &bundle(&envelopes.collect::<Vec<_>>(), &contents.collect::<Vec<_>>()));
            before(&story.notary, number, &stick);
            drop(story.notary.session(std::slice::from_ref(&stick), Some(1_700_000_100)));
            after(&story.notary, number, &stick);
            copy_folder(&story.folder(), &story.folder_after(number));
        }
        story
    }

    /// The published folder.
    pub fn folder(&self) -> PathBuf {
        self.room.path().join("stick/tabellion/common")
    }

    /// The published folder as it stood after a session.
    pub fn folder_after(&self, session: u64) -> PathBuf {
        self.room.path().join(format!("after-{session}"))
    }

    /// A new place.
    pub fn place(&self, name: &str) -> PathBuf {
        self.room.path().join(name)
    }

    /// The charter's fingerprint.
    pub fn fingerprint(&self) -> Hash {
        self.notary.desk().books().log().root_at(1).unwrap()
    }

    /// Every answer ever given.
    pub fn answers(&self) -> Vec<String> {
        let desk = self.notary.desk();
        let of = |session: &Session| session.rulings.iter().map(|ruling| ruling.verdict.line()).collect::<Vec<_>>();
        desk.books().sessions().flat_map(|session| of(&session.unwrap())).collect()
    }
}

//! Desks and media whose reports are looked at: by `tests/report.rs` in their structure, by `tests/page/check` in a browser.
//!
//! Needs `support` beside it in the program that uses it.

use std::path::{Path, PathBuf};

use tabellion::core::ids::Hash;
use tabellion::core::proposal::{Expect, Operation};
use tabellion::run::session::Report;

use crate::support::{Notary, Paper, bundle, policy, policy_toml, write};

/// A note that tries to leave its place in a page.
pub const HOSTILE: &str = "</p></article><script>alert(1)</script> ]]> --> \"quoted\" 'single' & &lt; <img src=https://example.org/x.png onerror=alert(2)> </style>";
/// Names of files that try the same; the last is long.
pub const HOSTILE_NAMES: [&str; 3] = ["<b onclick=alert(3)>holiday.txt", "\" autofocus onfocus=\"alert(4).txt", "']]>&amp;.txt"];
/// A file on the second medium alone.
pub const OF_THE_OTHER: &str = "private-letter-of-james.txt";
const TIME: Option<u64> = Some(1_760_000_000);

/// A session with every outcome over two media, and its media.
pub fn rich(room: &Path) -> (Notary, Report, [PathBuf; 2]) {
    let notary = Notary::found(&room.join("rich-desk"), &policy_toml(100));
    let media = [room.join("rich"), room.join("rich-other")];
    let first = Paper::new("alice", 1, notary.head()).put("open/notes", b"notes\n", Expect::Absent);
    notary.judge(&media[0], std::slice::from_ref(&first));
    let head = notary.head();
    let worded = |mut paper: Paper, note: &str| {
        paper.proposal.note = Some(note.parse().unwrap());
        paper
    };
    let mut many = Paper::new("carol", 2, head);
    for at in 0..20 {
        many = many.put(&format!("open/handbook/chapter-{at:02}"), format!("chapter {at}\n").as_bytes(), Expect::Absent);
    }
    let papers = [
        worded(Paper::new("alice", 2, head).put("open/map", b"a map\n", Expect::Absent), "The new map of the valley, as drawn in spring."),
        Paper::new("bob", 1, head).put("docs/guide", b"a guide\n", Expect::Absent).signed_by(&["alice"]),
        many,
        worded(Paper::new("frank", 1, head).put("open/notes", b"other notes\n", Expect::Absent), HOSTILE),
        Paper::new("dave", 1, head).put("somewhere/else", b"x", Expect::Absent),
        worded(
            Paper::new("erin", 1, head).put("docs/plan", b"a plan\n", Expect::Absent),
            "Please read before June: the ford is out of use.",
        ),
        Paper::new("frank", 2, head).put(&format!("safe/{}", "a-very-long-name-of-a-thing/".repeat(7) + "end"), b"1", Expect::Absent),
        Paper::new("carol", 1, head).put_without("safe/key", b"absent", 6, Expect::Absent).signed_by(&["alice", "erin"]),
        Paper::new("bob", 2, head).put("open/later", b"later\n", Expect::Absent).after(Hash([0x5a; 32])),
        Paper::new("alice", 3, head).with(Operation::SetPolicy { expect: None, policy: Box::new(policy(&policy_toml(99))) }),
    ];
    let bytes: Vec<Vec<u8>> = papers.iter().map(Paper::envelope).collect();
    let contents: Vec<Vec<u8>> = papers.iter().flat_map(|paper| paper.contents.clone()).collect();
    let (one, other) = bytes.split_at(6);
    let stranger = Paper::new("mallory", 1, head).put("open/x", b"x", Expect::Absent);
    write(&media[0].join("tabellion/inbox/one.bundle"), &bundle(one, &contents));
    write(&media[0].join("tabellion/inbox/stranger.cose"), &stranger.envelope());
    HOSTILE_NAMES.iter().for_each(|name| write(&media[0].join(name), b"hello"));
    write(&media[1].join("tabellion/inbox/other.bundle"), &bundle(other, &contents));
    write(&media[1].join(OF_THE_OTHER), b"dear alice");
    let report = notary.session(&media, TIME);
    (notary, report, media)
}

/// A session with `count` papers, one in five refused and one in five pending, and its medium.
pub fn many(room: &Path, count: u64) -> (Notary, PathBuf) {
    let notary = Notary::found(&room.join("many-desk"), &policy_toml(100_000));
    let head = notary.head();
    let paper = |at: u64| {
        let paper = Paper::new(["alice", "bob", "carol", "erin", "frank"][(at % 5) as usize], at + 1, head);
        match (at % 5, at) {
            (3, ..150) => paper.put(&format!("docs/n{at}"), b"waits", Expect::Absent),
            (4, _) => paper.put(&format!("none/n{at}"), b"refused", Expect::Absent),
            _ => paper.put(&format!("open/n{at}"), b"taken", Expect::Absent),
        }
    };
    let medium = room.join("many");
    notary.judge(&medium, &(0..count).map(paper).collect::<Vec<_>>());
    (notary, medium)
}

/// A session that came with nothing: the founding, exported.
pub fn founding(room: &Path) -> (Notary, PathBuf) {
    let notary = Notary::found(&room.join("founding-desk"), &policy_toml(100));
    let medium = room.join("founding");
    std::fs::create_dir_all(&medium).unwrap();
    tabellion::run::session::export(&notary.dir, &medium, &mut |_, _| {}).unwrap_or_else(|problem| panic!("{problem}"));
    (notary, medium)
}

//! `witness integrity --against OTHER`: two copies of one desk, where they part, and who should do what next.

use std::path::Path;

use serde::Serialize;

use crate::run::branches::{self as run, Branches, Comparison, Relation};
use crate::run::problem::{Exit, Outcomes};
use crate::run::words;

use super::facts::{Head, sha256};
use super::fork::write_proof;
use super::output::{Answer, Output, Page};

/// Most lines of one kind that the words have; the document has them all.
const LINES_MAX: usize = 20;

/// `witness integrity --against`
#[derive(Serialize)]
struct Against {
    /// `equal`, `ours-is-older`, `theirs-is-older`, `forked` or `other-common`.
    relation: &'static str,
    /// The other ledger.
    other: String,
    /// Our Common.
    origin: String,
    /// Our charter's fingerprint, 64 hex digits.
    fingerprint: String,
    /// Theirs.
    other_fingerprint: String,
    /// Whether both begin with one and the same event.
    same_first_event: bool,
    /// The last event that both have; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_common: Option<Place>,
    /// What ours has behind it.
    ours: Branch,
    /// What the other has behind it.
    theirs: Branch,
    /// Numbers that both made; of a fork alone.
    twice: Vec<Twice>,
    /// Papers that both decided, and not alike.
    answers_differ: Vec<Differing>,
    /// Where the proof of the fork was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<String>,
}

#[derive(Serialize)]
struct Place {
    seq_no: u64,
    event_id: String,
    /// BLAKE3, 64 hex digits.
    event_hash: String,
}

#[derive(Serialize)]
struct Branch {
    events: u64,
    /// The last event of the ledger.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Place>,
    sessions: Vec<u64>,
    records: Vec<Made>,
    decided: Vec<Decided>,
    /// Texts that were signed there: they may have left the machine.
    signed: Vec<Signed>,
    /// Ids of the ledger keys that signed its events, 64 hex digits.
    keys: Vec<String>,
    writer_epochs: Vec<u64>,
}

#[derive(Serialize)]
struct Made {
    head: Head,
    paper: String,
    sealed: bool,
}

#[derive(Serialize)]
struct Decided {
    paper: String,
    answer: String,
}

#[derive(Serialize)]
struct Signed {
    text: String,
    words: String,
}

#[derive(Serialize)]
struct Twice {
    number: u64,
    /// Whether both are one and the same page.
    same: bool,
    /// Whether both checkpoints are signed.
    sealed: bool,
    /// Whether that proves the fork.
    proof: bool,
}

#[derive(Serialize)]
struct Differing {
    paper: String,
    ours: String,
    theirs: String,
}

impl From<&run::Place> for Place {
    fn from(place: &run::Place) -> Place {
        Place { seq_no: place.seq_no, event_id: place.event_id.clone(), event_hash: hex::encode(place.event_hash) }
    }
}

impl From<&run::Branch> for Branch {
    fn from(branch: &run::Branch) -> Branch {
        Branch {
            events: branch.events,
            last: branch.last.as_ref().map(Place::from),
            sessions: branch.sessions.clone(),
            records: branch
                .records
                .iter()
                .map(|made| Made { head: (&made.head).into(), paper: sha256(&made.pid), sealed: made.sealed })
                .collect(),
            decided: branch.decided.iter().map(|(pid, answer)| Decided { paper: sha256(pid), answer: answer.clone() }).collect(),
            signed: branch.texts.iter().map(|text| Signed { text: sha256(&text.sha256), words: text.what.clone() }).collect(),
            keys: branch.keys.iter().map(ToString::to_string).collect(),
            writer_epochs: branch.epochs.iter().copied().collect(),
        }
    }
}

fn word(relation: Relation) -> &'static str {
    match relation {
        Relation::Equal => "equal",
        Relation::OursIsOlder => "ours-is-older",
        Relation::TheirsIsOlder => "theirs-is-older",
        Relation::Forked => "forked",
        Relation::OtherCommon => "other-common",
    }
}

impl Against {
    fn of(found: &Comparison, other: &Path, proof: Option<&Path>) -> Against {
        let [fingerprint, other_fingerprint] = found.fingerprints.map(|hash| hash.to_string());
        Against {
            relation: word(found.relation),
            other: other.display().to_string(),
            origin: found.origins[0].to_string(),
            fingerprint,
            other_fingerprint,
            same_first_event: found.same_first_event,
            last_common: found.last_common.as_ref().map(Place::from),
            ours: (&found.ours).into(),
            theirs: (&found.theirs).into(),
            twice: found
                .twice
                .iter()
                .map(|twice| Twice { number: twice.number, same: twice.same, sealed: twice.sealed, proof: twice.proof.is_some() })
                .collect(),
            answers_differ: found
                .answers_differ
                .iter()
                .map(|(pid, ours, theirs)| Differing { paper: sha256(pid), ours: ours.clone(), theirs: theirs.clone() })
                .collect(),
            proof: proof.map(|path| path.display().to_string()),
        }
    }
}

impl Answer for Against {
    fn say(&self, page: &mut Page) {
        let other = &self.other;
        match self.relation {
            "equal" => page.labelled("equal", format!("{other} holds the same events as this desk")),
            "ours-is-older" => page.labelled("older", format!("this desk: {other} goes on where its ledger ends")),
            "theirs-is-older" => page.labelled("older", format!("{other}: this desk goes on where that ledger ends")),
            "forked" => page.labelled("FORK", format!("this desk and {other} were both written to")),
            _ => page.labelled("foreign", format!("{other} is the ledger of another Common")),
        }
        page.labelled("origin", format!("{}, fingerprint {}", self.origin, self.fingerprint));
        if self.fingerprint != self.other_fingerprint {
            page.labelled("theirs", format!("another charter, fingerprint {}", self.other_fingerprint));
        }
        match &self.last_common {
            Some(last) => page.labelled("common", format!("up to event {}, {}, {}", last.seq_no, last.event_id, last.event_hash)),
            None => page.labelled("common", "no event: not even the first"),
        }
        if self.relation != "equal" && self.relation != "other-common" {
            self.ours.say("ours", page);
            self.theirs.say("theirs", page);
        }
        self.say_what_is_there_twice(page);
        self.say_next(page);
    }
}

impl Against {
    fn say_what_is_there_twice(&self, page: &mut Page) {
        for twice in self.twice.iter().take(LINES_MAX) {
            let what = match (twice.same, twice.sealed, twice.proof) {
                (true, _, _) => "the same page in both",
                (_, true, true) => "two pages, both signed: a proof of the fork exists",
                (_, true, false) => "two pages, both sealed, and a signature that does not hold: no proof exists",
                (_, false, _) => "two pages, not both signed: no proof exists",
            };
            page.labelled(&format!("common@{}", twice.number), what);
        }
        say_more(self.twice.len(), page);
        for paper in self.answers_differ.iter().take(LINES_MAX) {
            page.labelled("paper", format!("{} got two answers", paper.paper));
            page.below("ours", &paper.ours);
            page.below("theirs", &paper.theirs);
        }
        say_more(self.answers_differ.len(), page);
        if let Some(path) = &self.proof {
            page.labelled("proof", format!("{path}; anyone can check it: tabellion verify {path} --vkey KEY"));
        }
    }

    fn say_next(&self, page: &mut Page) {
        let lines: &[&str] = match self.relation {
            "equal" => &["see that only one of the two is ever started: the other is a copy, and keeps no promise"],
            "ours-is-older" => &[
                "sign nothing with this desk: the other one is the later state",
                "the operator asks the custodians which machine is the writer, and keeps the other switched off",
            ],
            "theirs-is-older" => &["never start the other one: it is an old copy; keep it as a backup, or destroy it"],
            "forked" => &[
                "sign nothing with either, keep both disks, and call the custodians",
                "the governors decide which branch stays and sign an order for it; what was signed in the other one may have left the machine",
                "whoever took media from either learns of it: docs/recovery.md, section 1",
            ],
            _ => &["this is not a copy of this desk; look for the right disk"],
        };
        for (label, line) in std::iter::once("next").chain(std::iter::repeat("")).zip(lines) {
            page.labelled(label, line);
        }
    }
}

impl Branch {
    fn say(&self, whose: &str, page: &mut Page) {
        let Some(last) = self.last.as_ref().filter(|_| self.events > 0) else {
            return page.labelled(whose, "ends there");
        };
        let events = words::count(self.events as usize, "event");
        let sessions: Vec<String> = self.sessions.iter().take(LINES_MAX).map(u64::to_string).collect();
        let sessions = if sessions.is_empty() { "no new session".into() } else { format!("sessions {}", sessions.join(" ")) };
        page.labelled(whose, format!("{events} more, to event {}, {}; {sessions}", last.seq_no, last.event_id));
        for made in self.records.iter().take(LINES_MAX) {
            let sealed = if made.sealed { "sealed, may have left the machine" } else { "not sealed" };
            page.below(&format!("@{}", made.head.number), format!("{}, {}; {sealed}", made.head.words, made.head.root));
        }
        say_more(self.records.len(), page);
        page.below("signed", format!("{}, {} with a final answer", words::count(self.signed.len(), "text"), self.papers()));
        let epochs: Vec<String> = self.writer_epochs.iter().map(u64::to_string).collect();
        page.below("by", format!("ledger key {}, epoch {}", self.keys.join(" "), epochs.join(" ")));
    }

    fn papers(&self) -> String {
        words::count(self.decided.len(), "paper")
    }
}

fn say_more(all: usize, page: &mut Page) {
    if all > LINES_MAX {
        page.below("", format!("and {} more, in the document that --json gives", all - LINES_MAX));
    }
}

/// Compares two ledgers, and writes the proof of their fork where it is asked for.
pub fn against(ledger: &Path, other: &Path, proof: Option<&Path>, out: &mut Output) -> Outcomes<Exit> {
    let branches: Branches = run::compare_folders(ledger, other)?;
    let found = branches.comparison();
    let fork = found.twice.iter().find_map(|twice| twice.proof.as_ref());
    let written = match (proof, fork) {
        (Some(path), Some(fork)) => write_proof(path, &fork.text(), "--proof").map(|()| Some(path)),
        _ => Ok(None),
    };
    out.give(&Against::of(found, other, written.as_ref().ok().copied().flatten()));
    written?;
    Ok(if found.relation == Relation::Equal { Exit::Done } else { Exit::Differs })
}

//! What became of a session, for people: the facts of `results/report.txt` and `results/report.html`.
//!
//! A report is a function of the books and of what one medium brought, so that writing it again gives the same bytes: it holds no clock, no
//! name of a machine, and of file names only those of the medium it is written to. It is not signed and proves nothing; receipts do. Text and
//! page are made from the same facts, and what people wrote is shown as their words.

mod page;
mod text;

use std::collections::BTreeMap;

use crate::core::books::{self, Books, HeldPaper};
use crate::core::cbor::Canonical;
use crate::core::charter::Charter;
use crate::core::cose::PaperKind;
use crate::core::ids::{Hash, Head, Origin, Party, Pid};
use crate::core::payload::Ruling;
use crate::core::policy_words::approval_words;
use crate::core::proposal::Proposal;
use crate::core::quorum::{self, Approval, Side};
use crate::core::rules::{Checked, Fault, Outcome, Rule};
use crate::core::sessions::Session;
use crate::core::verdict::Verdict;

use super::bag::{Brought, Listed};
use super::words;

/// Most things of one rule that are told of a medium; the rest is counted.
const LISTED_OF_A_RULE_MAX: usize = 100;

/// Everything a report says.
pub struct Report {
    origin: Origin,
    is_rehearsal: bool,
    fingerprint: Hash,
    session: u64,
    time: Option<u64>,
    before: Head,
    after: Head,
    papers: Vec<Answered>,
    people: BTreeMap<Party, Vec<Wanted>>,
    again: Vec<Again>,
    listing: Option<Listing>,
}

/// A paper with its answer.
struct Answered {
    pid: Pid,
    /// What it is about: a name, or the policy, or the founding.
    about: String,
    /// Who asked, and the author's number for it; the founders of a charter.
    author: String,
    sequence: Option<u64>,
    /// What it asks for, an operation a line.
    asks: Vec<String>,
    /// The author's words.
    note: Option<String>,
    verdict: Verdict,
    /// The number it became.
    number: Option<u64>,
    /// Groups whose approvals it lacks, as the policy in force counts them.
    lacks: Vec<Lack>,
}

/// A group that has not approved a paper, in the policy in force or in the one the paper would put in force.
struct Lack(Approval);

/// A paper that a person could approve: its place in [`Report::papers`], and for which group.
struct Wanted {
    paper: usize,
    group: String,
}

/// A paper that came again.
struct Again {
    pid: Pid,
    word: &'static str,
    session: u64,
}

/// What was listed of the medium.
struct Listing {
    shown: Vec<Listed>,
    left_out: BTreeMap<Rule, usize>,
}

impl Report {
    /// The facts of a sealed session and of what a medium brought to it.
    ///
    /// # Errors
    /// `ledger-fault` when the session is not closed; parse faults of its papers.
    pub fn new(books: &Books, session: &Session, brought: &Brought) -> Checked<Report> {
        let number = session.opened.session;
        let closed = session.closed.as_ref();
        let closed = closed.ok_or_else(|| Fault::new(Rule::LedgerFault, format!("session {number} is not closed; no report is made")))?;
        let papers = session.rulings.iter().map(|ruling| answered(books, ruling)).collect::<Checked<Vec<Answered>>>()?;
        let mut people = BTreeMap::<Party, Vec<Wanted>>::new();
        for (paper, answered) in papers.iter().enumerate() {
            for lack in &answered.lacks {
                for person in &lack.0.tally.missing {
                    people.entry(person.clone()).or_default().push(Wanted { paper, group: lack.group() });
                }
            }
        }
        Ok(Report {
            origin: books.origin()?.clone(),
            is_rehearsal: books.charter()?.rehearsal,
            fingerprint: books.log().root_at(1).unwrap_or_default(),
            session: number,
            time: session.opened.time,
            before: session.opened.before,
            after: closed.after,
            papers,
            people,
            again: brought.again.iter().filter_map(|pid| came_again(books, number, pid).transpose()).collect::<Checked<_>>()?,
            listing: brought.listed.as_deref().map(listing),
        })
    }

    /// `report.txt`: UTF-8, a line for each fact.
    pub fn text(&self) -> String {
        text::text(self)
    }

    /// `report.html`: one file that needs no other, no script and no network.
    ///
    /// # Errors
    /// `internal-fault` when the head does not fit into a QR code.
    pub fn page(&self) -> Checked<String> {
        page::page(self)
    }

    /// Papers with this outcome and their places, in the order judged; `None` stands for accepted.
    fn of_outcome(&self, outcome: Option<Outcome>) -> Vec<(usize, &Answered)> {
        self.papers.iter().enumerate().filter(|(_, paper)| paper.verdict.outcome() == outcome).collect()
    }

    /// `7 papers judged: 3 accepted, 1 refused, 2 pending, 1 deferred`.
    fn summary(&self) -> String {
        let count = |(outcome, word): &(Option<Outcome>, &str)| format!("{} {word}", self.of_outcome(*outcome).len());
        let counts: Vec<String> = [(None, "accepted")].iter().chain(&TO_DO_FIRST[..3]).map(count).collect();
        format!("{} judged: {}", words::count(self.papers.len(), "paper"), counts.join(", "))
    }

    /// Name of the file with the session's receipts.
    fn receipts(&self) -> String {
        format!("session-{:06}.receipts", self.session)
    }
}

/// The outcomes in the order in which they are told, what somebody must do something about first.
const TO_DO_FIRST: [(Option<Outcome>, &str); 4] =
    [(Some(Outcome::Refused), "refused"), (Some(Outcome::Pending), "pending"), (Some(Outcome::Deferred), "deferred"), (None, "accepted")];

impl Lack {
    fn group(&self) -> String {
        match self.0.by {
            Side::InForce => self.0.group.to_string(),
            Side::Coming => format!("{} of the new policy", self.0.group),
        }
    }

    fn sentence(&self) -> String {
        match self.0.by {
            Side::InForce => approval_words(&self.0),
            Side::Coming => format!("under the new policy: {}", approval_words(&self.0)),
        }
    }
}

impl Answered {
    fn title(&self) -> String {
        match self.sequence {
            Some(sequence) => format!("paper {} of {} (sequence {sequence})", self.pid.tiny(), self.author),
            None => format!("paper {} of {}", self.pid.tiny(), self.author),
        }
    }
}

fn answered(books: &Books, ruling: &Ruling) -> Checked<Answered> {
    let number = ruling.record.as_ref().map(|record| record.number);
    let mut paper = Answered {
        pid: ruling.pid,
        about: String::new(),
        author: String::new(),
        sequence: None,
        asks: Vec::new(),
        note: None,
        verdict: ruling.verdict.clone(),
        number,
        lacks: books.held().get(&ruling.pid).map(|held| lacks(books, held)).transpose()?.unwrap_or_default(),
    };
    if ruling.envelope.kind == PaperKind::Charter {
        let charter = Charter::from_cbor(&ruling.envelope.payload)?;
        paper.about = "the charter".into();
        paper.author = "the founders".into();
        paper.asks.push(format!("found {} with policy {}", charter.origin, charter.policy.hash().short()));
        paper.note = charter.text.map(|text| text.as_str().to_owned());
    } else {
        let proposal = Proposal::from_cbor(&ruling.envelope.payload)?;
        paper.about = words::about(&proposal);
        paper.author = proposal.author.to_string();
        paper.sequence = Some(proposal.sequence);
        paper.asks = proposal.operations.iter().map(words::operation).collect();
        paper.note = proposal.note.map(|note| note.as_str().to_owned());
    }
    Ok(paper)
}

/// The groups that have not approved a held paper. A policy that contradicts itself is not counted by: it is refused at its turn.
fn lacks(books: &Books, held: &HeldPaper) -> Checked<Vec<Lack>> {
    if held.proposal.sets_policy().is_some_and(|policy| policy.check_sound().is_err()) {
        return Ok(Vec::new());
    }
    let approvals = quorum::approvals(books.policy()?, books.keyring(), &held.proposal, &held.valid);
    Ok(approvals.into_iter().filter(|approval| !approval.tally.is_met()).map(Lack).collect())
}

/// A paper that came after its verdict. One of this very session came with it: that is no second time, however often the session is run.
fn came_again(books: &Books, session: u64, pid: &Pid) -> Checked<Option<Again>> {
    let answered = if books.decided_in(pid) == Some(session) { None } else { books.answered(pid)? };
    let again =
        |answered: books::Answered| Again { pid: *pid, word: answered.ruling().verdict.word(), session: answered.session().opened.session };
    Ok(answered.map(again))
}

fn listing(listed: &[Listed]) -> Listing {
    let (shown, left_out) = words::most_of_each_rule(listed, |listed| listed.fault.rule, LISTED_OF_A_RULE_MAX);
    Listing { shown: shown.into_iter().cloned().collect(), left_out }
}

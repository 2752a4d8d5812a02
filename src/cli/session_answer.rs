//! What `witness session` tells: before anybody is asked, and when it is done.

use serde::Serialize;

use crate::core::ids::Hash;
use crate::core::payload;
use crate::core::plan::{Plan, PolicyPaper};
use crate::core::rules::{Checked, Fault, Outcome, Rule};
use crate::run::bag;
use crate::run::gossip;
use crate::run::problem::{Exit, Outcomes};
use crate::run::qr;
use crate::run::session::Report;
use crate::run::words;

use super::code::Code;
use super::desk_facts::{Failed, Listed, Ruling};
use super::facts::{Head, sha256, short, tiny};
use super::output::{Answer, Page};

/// One paper with its answer.
#[derive(Serialize)]
struct Judged {
    #[serde(flatten)]
    ruling: Ruling,
    /// The state root after it, when accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    state_root: Option<String>,
    /// Of a paper that sets the policy: what changes, and whose approvals it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<PolicyPaper>,
}

impl Judged {
    fn of(ruling: &payload::Ruling, policies: &[PolicyPaper], session: u64) -> Outcomes<Judged> {
        let receipt = format!("its receipt is in results/session-{session:06}.receipts");
        let stays = ruling.verdict.rule().map_or("is in Common for good", |rule| words::what_stays(rule.outcome(), rule));
        Ok(Judged {
            ruling: Ruling::of(ruling, format!("the paper {stays}; {receipt}"))?,
            state_root: ruling.record.as_ref().map(|record| sha256(&record.state_root)),
            policy: policies.iter().find(|paper| paper.pid == ruling.pid).cloned(),
        })
    }

    /// `common@7`, or the verdict.
    fn label(&self) -> String {
        self.ruling.number.map_or(self.ruling.verdict.to_owned(), |number| format!("common@{number}"))
    }

    fn is_refused(&self) -> bool {
        self.ruling.verdict == Outcome::Refused.word()
    }

    fn say(&self, page: &mut Page) {
        let Ruling { paper, broken, state, .. } = &self.ruling;
        let Some(broken) = broken else {
            page.labelled(&self.label(), paper.shown());
            paper.operations.iter().for_each(|operation| page.line(format!("    {}", operation.words)));
            return;
        };
        page.labelled(self.ruling.verdict, format!("[{}] {}: {}", broken.rule, paper.shown(), broken.says));
        page.below("found", &broken.found);
        page.below("state", state);
        page.below("next", broken.next);
    }
}

fn listed(path: String, listed: &bag::Listed) -> Listed {
    let Fault { rule, .. } = listed.fault;
    Listed {
        path,
        rule: rule.id(),
        says: rule.says(),
        found: listed.fault.shown().to_owned(),
        sha256: Some(&listed.sha256).filter(|hash| **hash != Hash::ZERO).map(sha256),
        state: words::what_is_left(rule, &listed.sha256),
        next: rule.next().to_owned(),
    }
}

/// What a session would do, told before anybody is asked.
#[derive(Serialize)]
pub struct Foreseen {
    /// Its number.
    session: u64,
    /// Every paper with the answer it would get.
    answers: Vec<Judged>,
    /// What would be passed over.
    listed: Vec<Listed>,
    /// Whether words show every listed thing.
    #[serde(skip)]
    all: bool,
}

impl Foreseen {
    /// The facts of a plan and of what was listed beside it, each with the place where it lies.
    ///
    /// # Errors
    /// Those of reading the papers.
    pub fn of<'a>(plan: &Plan, list: impl Iterator<Item = (String, &'a bag::Listed)>, all: bool) -> Checked<Foreseen> {
        let session = plan.opened().session;
        let judged = plan.rulings().iter().map(|ruling| Judged::of(ruling, plan.policies(), session));
        Ok(Foreseen {
            session,
            answers: judged.collect::<Outcomes<_>>().map_err(|problem| problem.fault)?,
            listed: list.map(|(path, found)| listed(path, found)).collect(),
            all,
        })
    }
}

impl Answer for Foreseen {
    fn say(&self, page: &mut Page) {
        let papers = words::count(self.answers.len(), "paper");
        page.line(format!("preview: session {} would judge {papers}; nothing is done yet", self.session));
        for judged in &self.answers {
            page.below(&format!("{:9}", judged.label()), judged.ruling.paper.shown());
            let policy = judged.policy.iter().filter(|_| !judged.is_refused());
            policy.flat_map(words::policy_lines).for_each(|line| page.line(format!("            {line}")));
        }
        let rule = |listed: &Listed| Rule::from_id(listed.rule).unwrap_or(Rule::InternalFault);
        let (shown, left_out) = words::of_each_rule(&self.listed, rule, self.all);
        shown.into_iter().for_each(|listed| page.below("listed   ", format!("{} [{}]", listed.path, listed.rule)));
        left_out.into_iter().for_each(|(rule, count)| page.below("listed   ", format!("{count} more [{rule}]")));
    }
}

/// A paper that was brought after its verdict.
#[derive(Serialize)]
struct Again {
    /// `sha256:` of its payload.
    paper: String,
    /// Its verdict.
    verdict: &'static str,
}

/// A text of ours that was found on a medium and did not halt the desk.
#[derive(Serialize)]
struct Reported {
    /// Where it lies.
    path: String,
    /// SHA-256 of the text.
    text: String,
    /// `settled`: an order settled it; `misused`: it is under a log key of ours that was not valid for its number.
    kind: &'static str,
    /// The order that settled it.
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<String>,
    /// What the misused text is.
    #[serde(skip_serializing_if = "Option::is_none")]
    what: Option<String>,
}

impl Reported {
    fn of(reported: &gossip::Reported) -> Reported {
        match reported {
            gossip::Reported::Settled { path, text, order } => {
                Reported { path: path.clone(), text: sha256(text), kind: "settled", order: Some(sha256(order)), what: None }
            }
            gossip::Reported::Misused { path, text, what } => {
                Reported { path: path.clone(), text: sha256(text), kind: "misused", order: None, what: Some(what.clone()) }
            }
        }
    }

    fn say(&self, page: &mut Page) {
        let (path, text) = (&self.path, short(&self.text));
        match (&self.order, &self.what) {
            (Some(order), _) => {
                let order = tiny(order);
                page.labelled(self.kind, format!("{path} carries our signature on text {text}, which order {order} has settled"));
            }
            (None, what) => {
                let what = what.as_deref().unwrap_or_default();
                page.labelled(
                    self.kind,
                    format!("{path} carries a {what} under a log key of ours that was not valid for its number, text {text}"),
                );
            }
        }
    }
}

/// A medium, and what became of writing to it.
#[derive(Serialize)]
struct Medium {
    /// Where it is.
    path: String,
    /// Whether everything was written, read back and compared.
    written: bool,
    /// Why it was given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<Failed>,
}

/// `witness session`
#[derive(Serialize)]
pub struct Visited {
    /// The Common.
    origin: String,
    /// The session whose results lie on the media.
    session: u64,
    /// Whether it is a new session; else what was published before was written again.
    is_new: bool,
    /// What a broken session had left undone and was done now, in words.
    repaired: Vec<String>,
    /// The head before it.
    before: Head,
    /// Every answer it gave, in turn order.
    answers: Vec<Judged>,
    /// Papers brought after their verdict.
    again: Vec<Again>,
    /// Texts of ours that are reported and did not halt the desk.
    reported: Vec<Reported>,
    /// What was passed over.
    listed: Vec<Listed>,
    /// SHA-256 of objects that no paper here waits for, and that are not kept.
    not_kept: Vec<String>,
    /// The head after it.
    head: Head,
    /// Its head as a code, for a terminal.
    #[serde(skip)]
    code: Code,
    /// Every medium.
    media: Vec<Medium>,
    /// Whether words show every listed thing.
    #[serde(skip)]
    all: bool,
}

impl Visited {
    /// The facts of a session that is done, with those that its operator saw of policies.
    ///
    /// # Errors
    /// Those of reading the papers.
    pub fn of(report: &Report, policies: &[PolicyPaper], all: bool) -> Outcomes<Visited> {
        let books = report.desk.books();
        let opened = if report.is_new { books.last_session()? } else { None };
        let rulings = opened.iter().flat_map(|session| &session.rulings);
        let again = |pid| {
            let answered = books.answered(pid)?;
            Ok(Again { paper: sha256(pid), verdict: answered.map_or("decided", |answered| answered.ruling().verdict.word()) })
        };
        let path = |found: &bag::Listed| words::place(&found.path, found.medium, report.media.iter().map(|(medium, _)| medium));
        let state = || format!("the ledger is complete at {}, and the other media are not touched by this", words::head(&report.heads.1));
        let failed = |written: &Checked<()>| written.as_ref().err().map(|fault| Failed::of(fault, state()));
        let origin = books.origin()?;
        Ok(Visited {
            origin: origin.to_string(),
            session: report.session,
            is_new: opened.is_some(),
            repaired: report.repaired.clone(),
            before: opened.as_ref().map_or(&report.heads.0, |session| &session.opened.before).into(),
            answers: rulings.map(|ruling| Judged::of(ruling, policies, report.session)).collect::<Outcomes<_>>()?,
            again: report.again.iter().map(again).collect::<Checked<_>>()?,
            reported: report.reported.iter().map(Reported::of).collect(),
            listed: report.listed.iter().map(|found| listed(path(found), found)).collect(),
            not_kept: report.not_kept.iter().map(sha256).collect(),
            head: (&report.heads.1).into(),
            code: Code::of(&qr::head_text(origin, &report.heads.1))?,
            media: (report.media.iter())
                .map(|(path, written)| Medium { path: path.display().to_string(), written: written.is_ok(), failed: failed(written) })
                .collect(),
            all,
        })
    }

    /// How the program ends.
    pub fn exit(&self) -> Exit {
        if self.media.iter().any(|medium| !medium.written) {
            return Exit::Medium;
        }
        if self.answers.iter().any(Judged::is_refused) { Exit::Differs } else { Exit::Done }
    }

    fn say_medium(&self, medium: &Medium, page: &mut Page) {
        let (path, session) = (&medium.path, self.session);
        match &medium.failed {
            None if self.is_new => page.labelled("wrote", format!("{path}: results of session {session}, read back and compared")),
            None => page.labelled("wrote", format!("{path}: everything up to session {session} again, read back and compared")),
            Some(failed) => {
                page.labelled("medium", format!("{path} was given up [{}] {}", failed.rule, failed.says));
                page.below("found", &failed.found);
                page.below("state", &failed.state);
                page.below("next", &failed.next);
            }
        }
    }
}

impl Answer for Visited {
    fn say(&self, page: &mut Page) {
        self.repaired.iter().for_each(|done| page.labelled("repaired", done));
        match self.is_new {
            false => page.labelled("nothing", "new: no session was opened; what was published before was written again"),
            true => page.labelled("session", format!("{} on {}", self.session, self.before)),
        }
        self.answers.iter().for_each(|judged| judged.say(page));
        for again in &self.again {
            let tiny = tiny(&again.paper);
            page.labelled("again", format!("paper {tiny} was {} before; its first receipt is in again.receipts", again.verdict));
        }
        self.reported.iter().for_each(|reported| reported.say(page));
        Listed::say_each(&self.listed, self.all, "; --verbose shows each", page);
        if let Some(first) = self.not_kept.first() {
            let (first, objects) = (short(first), words::count(self.not_kept.len(), "object"));
            page.labelled("left", format!("{objects} that no paper here waits for, {first} first: bring them again with what names them"));
        }
        page.labelled("head", self.head.to_string());
        self.code.say(page);
        self.media.iter().for_each(|medium| self.say_medium(medium, page));
    }
}

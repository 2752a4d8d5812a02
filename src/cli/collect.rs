//! `collect`: what became of a proposer's papers.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::core::rules::{Fault, Outcome};
use crate::run::collect::{self as collecting, Collection, is_final};
use crate::run::consumer::{self, read_pin};
use crate::run::home;
use crate::run::problem::{Exit, Outcomes};
use crate::run::words;

use super::desk_facts::{Failed, Listed};
use super::facts::{Broken, Paper, sha256, tiny};
use super::foreseen::{Compared, Receipt, unknown};
use super::output::{Answer, Output, Page};

/// `tabellion collect`
#[derive(Args)]
pub struct CollectArgs {
    /// The medium that came back
    dir: PathBuf,
    /// Your pin; receipts are kept beside it, in papers/
    #[arg(long, value_name = "FILE", default_value = "common.pin")]
    pin: PathBuf,
}

/// Collects.
pub fn collect(args: &CollectArgs, out: &mut Output) -> Outcomes<Exit> {
    let pin = read_pin(&args.pin)?;
    let home = home::of_pin(&args.pin);
    let collection = collecting::collect(&args.dir, &pin, &home)?;
    let collected = Collected {
        home: home.display().to_string(),
        papers: collection.papers.iter().map(Known::of).collect(),
        listed: collection.listed.iter().map(listed).collect(),
        cleared: collection.cleared.clone(),
    };
    out.give(&collected);
    Ok(exit(&collection))
}

fn exit(collection: &Collection) -> Exit {
    let is_refused = |paper: &collecting::Collected| {
        let receipt = paper.receipt.as_ref();
        matches!(receipt, Some(consumer::Receipt::Answered(note)) if note.outcome == Outcome::Refused)
    };
    if collection.listed.iter().any(|(_, fault)| Exit::of(fault.rule) == Exit::Key) {
        return Exit::Key;
    }
    if collection.papers.iter().any(is_refused) { Exit::Differs } else { Exit::Done }
}

/// `collect`
#[derive(Serialize)]
struct Collected {
    /// The folder of the pin.
    home: String,
    /// Every paper proposed from there, by sequence.
    papers: Vec<Known>,
    /// What was passed over in the results.
    listed: Vec<Listed>,
    /// Files removed from the medium: all in them was ours and is done.
    cleared: Vec<String>,
}

/// What is known of one paper.
#[derive(Serialize)]
struct Known {
    /// The paper.
    paper: Paper,
    /// What it is about, in words.
    about: String,
    /// Its receipt; absent while it waits for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<Receipt>,
    /// Whether the receipt came just now.
    is_new: bool,
    /// Where the receipt is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<String>,
    /// What was expected of it, beside the receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    foreseen: Option<Compared>,
    /// Why that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_known: Option<Failed>,
}

impl Known {
    fn of(paper: &collecting::Collected) -> Known {
        let foreseen = paper.foreseen.as_ref();
        Known {
            paper: Paper::of(&paper.pid, &paper.proposal),
            about: words::about(&paper.proposal),
            receipt: paper.receipt.as_ref().map(receipt),
            is_new: paper.is_new,
            kept: paper.receipt.as_ref().map(|_| paper.kept.display().to_string()),
            foreseen: foreseen.ok().and_then(Option::as_ref).map(Compared::of),
            not_known: foreseen.err().map(|fault| Failed::of(fault, "the receipt is kept all the same")),
        }
    }

    fn say(&self, page: &mut Page) {
        let name = format!("paper {} (sequence {}, {})", tiny(&self.paper.id), self.paper.sequence, self.about);
        let new = if self.is_new { " (new)" } else { "" };
        let Some(receipt) = &self.receipt else {
            page.labelled("waiting", format!("{name}: no receipt yet"));
            return;
        };
        let Receipt { verdict, session, head, number, .. } = receipt;
        match &receipt.broken {
            None => {
                let number = number.unwrap_or_default();
                page.labelled(verdict, format!("{name} is common@{number} of session {session}, proved in {head}{new}"));
            }
            Some(broken) => {
                page.labelled(verdict, format!("{name} [{}] {}{new}", broken.rule, broken.says));
                page.below("found", &broken.found);
                page.below("state", format!("{head} before session {session}; {}", receipt.state));
                page.below("next", broken.next);
            }
        }
        match (&self.foreseen, &self.not_known) {
            (Some(foreseen), _) => foreseen.say(receipt, page),
            (None, Some(failed)) => page.below("expected", unknown("", failed)),
            (None, None) => {}
        }
        if let Some(kept) = self.kept.as_ref().filter(|_| self.is_new) {
            page.below("kept", kept);
        }
    }
}

fn receipt(receipt: &consumer::Receipt) -> Receipt {
    let is_final = is_final(receipt);
    match receipt {
        consumer::Receipt::Accepted(record, head) => Receipt {
            verdict: "accepted",
            is_final,
            session: record.session,
            number: Some(record.number),
            state_root: Some(sha256(&record.state_root)),
            head: head.into(),
            broken: None,
            state: "the paper is in Common for good".into(),
        },
        consumer::Receipt::Answered(note) => Receipt {
            verdict: note.outcome.word(),
            is_final,
            session: note.session,
            number: None,
            state_root: None,
            head: (&note.head_before).into(),
            broken: Some(Broken::of(note.rule, &note.detail)),
            state: format!("the paper {}", words::what_stays(note.outcome, note.rule)),
        },
    }
}

fn listed((path, fault): &(String, Fault)) -> Listed {
    Listed {
        path: path.clone(),
        rule: fault.rule.id(),
        says: fault.rule.says(),
        found: fault.shown().to_owned(),
        sha256: None,
        state: "nothing was taken from it; receipts kept before are unchanged".into(),
        next: "the other receipts were read; if yours is not among them, bring the paper to the witness once more".into(),
    }
}

impl Answer for Collected {
    fn say(&self, page: &mut Page) {
        self.papers.iter().for_each(|paper| paper.say(page));
        if self.papers.is_empty() {
            page.line(format!("no paper was proposed from {}", self.home));
        }
        Listed::say_each(&self.listed, false, "", page);
        for path in &self.cleared {
            page.labelled("removed", format!("{path} from the medium: all in it was yours and is done"));
        }
    }
}

//! `preview`: the verdicts that papers would get if they came to the witness now.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::core::ids::{Hash, Pid};
use crate::core::payload::Ruling;
use crate::core::plan::Plan;
use crate::core::rules::Outcome;
use crate::run::consumer::read_pin;
use crate::run::preview::{Preview, common_above, preview as foresee};
use crate::run::problem::{Exit, Outcomes};
use crate::run::words;

use super::desk_facts::{Listed, Ruling as Ruled};
use super::facts::{Head, sha256, tiny};
use super::output::{Answer, Output, Page};

/// `tabellion preview`
#[derive(Args)]
pub struct PreviewArgs {
    /// A bundle or a paper; or a medium, for everything that lies on it
    what: PathBuf,
    /// Your pin: the number you trust, from which everything is verified
    #[arg(long, value_name = "FILE", default_value = "common.pin")]
    pin: PathBuf,
    /// The published folder; the one on the medium without it
    #[arg(long, value_name = "DIR")]
    common: Option<PathBuf>,
}

/// Shows the verdicts that papers would get.
pub fn preview(args: &PreviewArgs, out: &mut Output) -> Outcomes<Exit> {
    let pin = read_pin(&args.pin)?;
    let common = match &args.common {
        Some(common) => common.clone(),
        None => common_above(&args.what)?,
    };
    let progress = out.progress(false);
    let preview = foresee(&args.what, &common, &pin, &mut |session, last| progress.at(session, last, "sessions re-derived"))?;
    drop(progress);
    let foreseen = Foreseen::of(&preview)?;
    out.give(&foreseen);
    Ok(if foreseen.refuses() { Exit::Differs } else { Exit::Done })
}

/// `preview`
#[derive(Serialize)]
struct Foreseen {
    /// The published folder.
    folder: String,
    /// Its head.
    head: Head,
    /// The session that would judge; absent when nothing is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<u64>,
    /// Every answer, in turn order, if nothing else comes before.
    answers: Vec<Awaited>,
    /// Papers that have their verdict already.
    again: Vec<Again>,
    /// What is no paper, or was dropped from one.
    listed: Vec<Listed>,
}

/// One answer that would be given.
#[derive(Serialize)]
struct Awaited {
    #[serde(flatten)]
    ruling: Ruled,
    /// The state root after it, when accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    state_root: Option<String>,
}

/// A paper that has its verdict.
#[derive(Serialize)]
struct Again {
    /// `sha256:` of its payload.
    paper: String,
    /// The session that decided it.
    session: u64,
    /// Its verdict.
    verdict: String,
}

impl Foreseen {
    fn of(preview: &Preview) -> Outcomes<Foreseen> {
        let rulings = preview.plan.iter().flat_map(Plan::rulings);
        let again = |(pid, (session, verdict)): (&Pid, &(u64, String))| Again {
            paper: sha256(pid),
            session: *session,
            verdict: bracketed(verdict),
        };
        Ok(Foreseen {
            folder: preview.common.display().to_string(),
            head: (&preview.head).into(),
            session: preview.plan.as_ref().map(|plan| plan.opened().session),
            answers: rulings.map(Awaited::of).collect::<Outcomes<_>>()?,
            again: preview.again.iter().map(again).collect(),
            listed: preview.listed.iter().map(listed).collect(),
        })
    }

    fn refuses(&self) -> bool {
        self.answers.iter().any(|awaited| awaited.ruling.verdict == Outcome::Refused.word())
    }
}

impl Awaited {
    fn of(ruling: &Ruling) -> Outcomes<Awaited> {
        let ruled = Ruled::of(ruling, "nothing was written or sent; a preview binds nobody".into())?;
        Ok(Awaited { ruling: ruled, state_root: ruling.record.as_ref().map(|record| sha256(&record.state_root)) })
    }

    fn say(&self, page: &mut Page) {
        let ruling = &self.ruling;
        match (&ruling.broken, ruling.number, &self.state_root) {
            (Some(broken), ..) => {
                page.labelled(ruling.verdict, format!("[{}] {}: {}", broken.rule, ruling.paper.shown(), broken.says));
                page.below("found", &broken.found);
                page.below("next", broken.next);
            }
            (None, number, root) => {
                page.labelled(ruling.verdict, ruling.paper.shown());
                ruling.paper.operations.iter().for_each(|operation| page.line(format!("    {}", operation.words)));
                let (number, root) = (number.unwrap_or_default(), root.as_deref().unwrap_or_default());
                page.below("as", format!("common@{number}, with state root {root}"));
            }
        }
    }
}

fn listed(listed: &crate::run::bag::Listed) -> Listed {
    Listed {
        path: listed.path.clone(),
        rule: listed.fault.rule.id(),
        says: listed.fault.rule.says(),
        found: listed.fault.shown().to_owned(),
        sha256: Some(&listed.sha256).filter(|hash| **hash != Hash::ZERO).map(sha256),
        state: "it would count for nothing and harm nobody".into(),
        next: listed.fault.rule.next().to_owned(),
    }
}

impl Answer for Foreseen {
    fn say(&self, page: &mut Page) {
        page.labelled("read", format!("{} at {}, every session of it re-derived", self.folder, self.head));
        match self.session {
            None => page.labelled("nothing", "new: the witness would open no session for this"),
            Some(session) => {
                page.labelled("session", format!("{session} would judge {}", words::count(self.answers.len(), "paper")));
                self.answers.iter().for_each(|awaited| awaited.say(page));
                let head = &self.head;
                page.labelled("assumes", format!("that nothing else comes before: no other paper, approval or session after {head}"));
            }
        }
        for again in &self.again {
            let tiny = tiny(&again.paper);
            let (verdict, session) = (&again.verdict, again.session);
            page.labelled(
                "again",
                format!("paper {tiny} was {verdict} in session {session}; the witness would give its first receipt again"),
            );
        }
        for listed in &self.listed {
            page.labelled("listed", format!("{} [{}] {}", listed.path, listed.rule, listed.says));
            page.below("found", &listed.found);
            page.below("next", &listed.next);
        }
        page.labelled("state", "nothing was written or sent; a preview binds nobody");
    }
}

/// `refused [no-effect]`, as a verdict is shown.
pub fn bracketed(verdict: &str) -> String {
    verdict.split_once(' ').map_or(verdict.to_owned(), |(word, rule)| format!("{word} [{rule}]"))
}

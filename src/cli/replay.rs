//! `replay`: a published folder re-derived from its papers, and what differs shown with both values.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::core::replay::Difference;
use crate::core::rules::Rule;
use crate::run::consumer::read_pin;
use crate::run::problem::{Exit, Outcomes};
use crate::run::replay::{Replayed, Start, replay as re_derive};
use crate::run::words;

use super::facts::{Head, sha256};
use super::output::{Answer, Output, Page};
use super::pin::fingerprint;

/// `tabellion replay`
#[derive(Args)]
pub struct ReplayArgs {
    /// A published folder, or a medium that carries one
    dir: PathBuf,
    /// Your pin: the number you trust, from which everything is verified
    #[arg(long, value_name = "FILE", default_value = "common.pin", conflicts_with = "charter")]
    pin: PathBuf,
    /// Start from the charter's fingerprint instead, 64 hex digits or 24 words, as the founders told you by another way
    #[arg(long, value_name = "FINGERPRINT")]
    charter: Option<String>,
}

/// Re-derives a folder.
pub fn replay(args: &ReplayArgs, out: &mut Output) -> Outcomes<Exit> {
    let pin;
    let start = match &args.charter {
        Some(text) => Start::Fingerprint(fingerprint(text)?),
        None => {
            pin = read_pin(&args.pin)?;
            Start::Pin(&pin)
        }
    };
    let progress = out.progress(false);
    let replayed = re_derive(&args.dir, &start, &mut |session, last| progress.at(session, last, "sessions re-derived"))?;
    drop(progress);
    out.give(&Derived::of(&replayed));
    Ok(if replayed.differences.count() == 0 { Exit::Done } else { Exit::Differs })
}

/// `replay`
#[derive(Serialize)]
struct Derived {
    /// The published folder.
    folder: String,
    /// Sessions re-derived, the founding among them.
    sessions: usize,
    /// Papers accepted, after the charter.
    accepted: u64,
    /// Papers refused.
    refused: u64,
    /// Papers that wait at the end.
    held: usize,
    /// Answers given in all sessions after the founding, notices too.
    answers: u64,
    /// The head that follows from the papers.
    head: Head,
    /// The state root that follows from them.
    state_root: String,
    /// Records that follow.
    records: u64,
    /// Checkpoints whose text follows and whose signature holds.
    checkpoints: u64,
    /// Files that are byte for byte what follows; 0 when the sessions differ, for then they are not compared.
    files: usize,
    /// How many values differ.
    differences: u64,
    /// The first of them.
    first: Vec<Differs>,
}

/// One value that was published otherwise than it follows.
#[derive(Serialize)]
struct Differs {
    /// The session; absent for a file that belongs to no single one.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<u64>,
    /// The paper, where one is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    paper: Option<String>,
    /// What differs.
    what: String,
    /// As published.
    published: String,
    /// As it follows.
    follows: String,
}

impl Derived {
    fn of(replayed: &Replayed) -> Derived {
        let books = &replayed.books;
        // All answers but the first, which is the charter's.
        let answers: u64 = books.answers().values().sum();
        let accepted = books.log().size().saturating_sub(1);
        Derived {
            folder: replayed.folder.path().display().to_string(),
            sessions: books.headings().len(),
            accepted,
            refused: books.decided_count().saturating_sub(1 + accepted),
            held: books.held().len(),
            answers: answers.saturating_sub(1),
            head: (&books.head()).into(),
            state_root: sha256(&books.state().root()),
            records: books.log().size(),
            checkpoints: replayed.checkpoints,
            files: replayed.files,
            differences: replayed.differences.count(),
            first: replayed.differences.first().iter().map(Differs::of).collect(),
        }
    }
}

impl Differs {
    fn of(difference: &Difference) -> Differs {
        Differs {
            session: difference.session,
            paper: difference.paper.as_ref().map(sha256),
            what: difference.what.clone(),
            published: difference.published.clone(),
            follows: difference.derived.clone(),
        }
    }

    fn say(&self, page: &mut Page) {
        let or_nothing = |value: &str| if value.is_empty() { "nothing".to_owned() } else { value.to_owned() };
        let session = self.session.map_or(String::new(), |session| format!("session {session}, "));
        let tiny = |paper: &String| format!("paper {}, ", paper.trim_start_matches("sha256:").get(..8).unwrap_or_default());
        page.labelled("differs", format!("{session}{}{}", self.paper.as_ref().map_or(String::new(), tiny), self.what));
        page.below("published", or_nothing(&self.published));
        page.below("follows  ", or_nothing(&self.follows));
    }
}

impl Answer for Derived {
    fn say(&self, page: &mut Page) {
        let Derived { accepted, refused, held, .. } = self;
        let (sessions, answers) = (words::count(self.sessions, "session"), words::count(self.answers as usize, "answer"));
        let accepted = words::count(*accepted as usize, "paper");
        page.labelled("read", &self.folder);
        page.labelled(
            "derived",
            format!("{sessions}, the founding among them: {accepted} accepted, {refused} refused, {held} held; {answers} anew"),
        );
        page.labelled("head", format!("{}, state root {}", self.head, self.state_root));
        if self.differences == 0 {
            let (records, files) = (words::count(self.records as usize, "record"), words::count(self.files, "file"));
            let checkpoints = words::count(self.checkpoints as usize, "checkpoint");
            page.labelled("same", format!("{records}, the text and signature of {checkpoints}, and {files} byte for byte"));
            page.labelled("given", "the ledger heads, the time claims, and which content the desk held: no paper says them");
            return;
        }
        self.first.iter().for_each(|difference| difference.say(page));
        let left_out = self.differences as usize - self.first.len();
        if left_out > 0 {
            page.labelled("differs", format!("in {} more", words::count(left_out, "value")));
        }
        page.labelled("found", format!("{} [{}]", words::count(self.differences as usize, "difference"), Rule::ReplayDiffers));
        page.labelled("state", "nothing was written; the first difference is the one to look at, what follows may follow from it");
        page.labelled("next", Rule::ReplayDiffers.next());
    }
}

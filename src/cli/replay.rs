//! `replay`: a published folder re-derived from its papers, and what differs shown with both values.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::Args;

use crate::core::replay::Difference;
use crate::core::rules::Rule;
use crate::core::verdict::Verdict;
use crate::run::consumer::read_pin;
use crate::run::problem::{Exit, Outcomes};
use crate::run::replay::{Replayed, Start, replay as re_derive};
use crate::run::words;

use super::consumer::fingerprint;
use super::output::{Output, narrate};

/// Sessions between two lines of progress.
const PROGRESS_SESSIONS: u64 = 100;

/// `tabellion replay`
#[derive(Args)]
pub struct ReplayArgs {
    /// A published folder, or a medium that carries one
    dir: PathBuf,
    /// The pin to start from
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
    let terminal = std::io::stderr().is_terminal();
    let replayed = re_derive(&args.dir, &start, &mut |session, last| {
        if terminal && session % PROGRESS_SESSIONS == 0 && session > 0 {
            narrate(&format!("replayed session {session} of {last}"));
        }
    })?;
    show(&replayed, out);
    Ok(if replayed.differences.count() == 0 { Exit::Done } else { Exit::Differs })
}

fn show(replayed: &Replayed, out: &mut Output) {
    let books = &replayed.books;
    let rulings = || books.sessions().iter().skip(1).flat_map(|session| &session.rulings);
    let accepted = rulings().filter(|ruling| ruling.verdict == Verdict::Accepted).count();
    let decided = rulings().filter(|ruling| ruling.verdict.is_final()).count();
    out.line(format!("read     {}", replayed.folder.path().display()));
    out.line(format!(
        "derived  {}, the founding among them: {} accepted, {} refused, {} held; {} anew",
        words::count(books.sessions().len(), "session"),
        words::count(accepted, "paper"),
        decided - accepted,
        books.held().len(),
        words::count(rulings().count(), "answer")
    ));
    out.line(format!("head     {}, state root {}", words::head(&books.head()), books.state().root()));
    if replayed.differences.count() == 0 {
        out.line(format!(
            "same     {}, the text and signature of {}, and {} byte for byte",
            words::count(books.records().len(), "record"),
            words::count(replayed.checkpoints as usize, "checkpoint"),
            words::count(replayed.files, "file")
        ));
        out.line("given    the ledger heads, the time claims, and which content the desk held: no paper says them");
        return;
    }
    for difference in replayed.differences.first() {
        show_difference(difference, out);
    }
    let left_out = replayed.differences.count() - replayed.differences.first().len() as u64;
    if left_out > 0 {
        out.line(format!("differs  in {} more", words::count(left_out as usize, "value")));
    }
    out.line(format!("found    {} [{}]", words::count(replayed.differences.count() as usize, "difference"), Rule::ReplayDiffers));
    out.line("state    nothing was written; the first difference is the one to look at, what follows may follow from it");
    out.line(format!("next     {}", Rule::ReplayDiffers.next()));
}

fn show_difference(difference: &Difference, out: &mut Output) {
    let session = difference.session.map_or(String::new(), |session| format!("session {session}, "));
    let paper = difference.paper.map_or(String::new(), |pid| format!("paper {}, ", pid.tiny()));
    out.line(format!("differs  {session}{paper}{}", difference.what));
    out.line(format!("  published {}", or_nothing(&difference.published)));
    out.line(format!("  follows   {}", or_nothing(&difference.derived)));
}

fn or_nothing(value: &str) -> &str {
    if value.is_empty() { "nothing" } else { value }
}

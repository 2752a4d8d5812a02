//! `pin` and `advance`: the one file that a consumer trusts, and moving it forward.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::core::ids::Hash;
use crate::run::advance::{self, Advance, PAGES_MAX};
use crate::run::consumer;
use crate::run::problem::{Exit, Outcomes, Problem};
use crate::run::words;

use super::facts::{Carried, Head, Numbered};
use super::output::{Answer, Output, Page};

/// `tabellion pin`
#[derive(Args)]
pub struct PinArgs {
    /// A published folder, or a medium that carries one
    dir: PathBuf,
    /// The charter's fingerprint, 64 hex digits or 24 words, as the founders told you by another way
    #[arg(long, value_name = "FINGERPRINT")]
    charter: String,
    /// Pin this number instead of the newest
    #[arg(long, value_name = "N")]
    at: Option<u64>,
    /// The pin to write; another pin there is never replaced
    #[arg(long, value_name = "FILE", default_value = "common.pin")]
    out: PathBuf,
}

/// `tabellion advance`
#[derive(Args)]
pub struct AdvanceArgs {
    /// A published folder, or a medium that carries one
    dir: PathBuf,
    /// The pin to move
    #[arg(long, value_name = "FILE", default_value = "common.pin")]
    pin: PathBuf,
    /// Move to this number instead of the newest
    #[arg(long, value_name = "N")]
    to: Option<u64>,
}

/// A fingerprint as typed: hex digits or words.
pub fn fingerprint(text: &str) -> Outcomes<Hash> {
    let hash = Hash::from_hex(text.trim()).or_else(|| crate::core::words::hash_of_words(text));
    hash.ok_or_else(|| Problem::usage(format!("{text:?} found as fingerprint; 64 lower-case hex digits or 24 words expected")))
}

/// `pin`
#[derive(Serialize)]
struct Pinned {
    /// The pin that was written.
    file: String,
    /// The Common.
    origin: String,
    /// The number that is pinned.
    head: Head,
    /// Records that were checked, from the charter to the folder's newest.
    records: u64,
    /// Whether the charter says that nothing in this Common counts.
    rehearsal: bool,
    /// What was left on the medium.
    carried: Carried,
}

impl Answer for Pinned {
    fn say(&self, page: &mut Page) {
        page.labelled("pinned", format!("{} of {}", self.head, self.origin));
        let records = words::count(self.records as usize, "record");
        page.labelled("checked", format!("{records} from the charter you named to the newest checkpoint, every signature and root"));
        if self.rehearsal {
            page.line("rehearsal: nothing in this Common counts");
        }
        let file = &self.file;
        page.labelled("wrote", format!("{file}; keep it, and dated copies of it: of all that reaches you it is the one thing to trust"));
        self.carried.say(page);
    }
}

/// Pins.
pub fn pin(args: &PinArgs, out: &mut Output) -> Outcomes<Exit> {
    let (pin, checked, carried) = consumer::pin(&args.dir, &fingerprint(&args.charter)?, args.at, &args.out)?;
    out.give(&Pinned {
        file: args.out.display().to_string(),
        origin: pin.origin.to_string(),
        head: (&pin.head).into(),
        records: checked.head.number,
        rehearsal: checked.common.charter()?.rehearsal,
        carried: (&carried).into(),
    });
    Ok(Exit::Done)
}

/// `advance`
#[derive(Serialize)]
struct Moved {
    /// The published folder or medium as named.
    folder: String,
    /// The pin.
    file: String,
    /// Where the pin was.
    from: Head,
    /// Where it is.
    to: Head,
    /// The folder's newest.
    newest: Head,
    /// Hashes in the proof of consistency.
    proof_hashes: usize,
    /// The pages in between, each checked; absent when they are too many to be listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pages: Option<Vec<Numbered>>,
    /// What was left on the medium.
    carried: Carried,
}

impl Moved {
    fn of(args: &AdvanceArgs, moved: &Advance) -> Moved {
        Moved {
            folder: args.dir.display().to_string(),
            file: args.pin.display().to_string(),
            from: (&moved.from).into(),
            to: (&moved.to).into(),
            newest: (&moved.newest).into(),
            proof_hashes: moved.proof_hashes,
            pages: moved.pages.as_ref().map(|pages| pages.iter().map(Numbered::from).collect()),
            carried: (&moved.carried).into(),
        }
    }

    fn say_between(&self, page: &mut Page) {
        let (dir, from, between) = (&self.folder, self.from.number, self.to.number - self.from.number);
        page.labelled("between", format!("{between} pages, more than the {PAGES_MAX} that are listed and checked on the way"));
        page.labelled("see", format!("tabellion log {dir} --from {}, or: tabellion diff {dir} --from {from}", from + 1));
    }
}

impl Answer for Moved {
    fn say(&self, page: &mut Page) {
        if self.from.number == self.to.number {
            let why = match self.newest.number == self.to.number {
                true => "the folder has nothing newer".into(),
                false => format!("the folder goes on to common@{}", self.newest.number),
            };
            page.labelled("stays", format!("{}; {why}", self.to));
            return self.carried.say(page);
        }
        page.labelled("from", self.from.to_string());
        page.labelled("to", format!("{}, proved by {}", self.to, words::count(self.proof_hashes, "hash")));
        match &self.pages {
            Some(pages) => pages.iter().for_each(|numbered| numbered.say(page)),
            None => self.say_between(page),
        }
        page.labelled("wrote", &self.file);
        self.carried.say(page);
    }
}

/// Advances.
pub fn advance(args: &AdvanceArgs, out: &mut Output) -> Outcomes<Exit> {
    let moved = advance::advance(&args.dir, &args.pin, args.to)?;
    out.give(&Moved::of(args, &moved));
    Ok(Exit::Done)
}

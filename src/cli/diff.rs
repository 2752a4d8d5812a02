//! `diff`: what changed between two numbers.

use std::path::PathBuf;

use clap::Args;

use crate::core::proposal::Entry;
use crate::run::consumer::read_pin;
use crate::run::diff::{By, Change, diff as differences};
use crate::run::folder::Folder;
use crate::run::problem::{Exit, Outcomes};
use crate::run::words;

use super::output::Output;

/// `tabellion diff`
#[derive(Args)]
pub struct DiffArgs {
    /// A published folder, or a medium that carries one
    dir: PathBuf,
    /// The pin to start from
    #[arg(long, value_name = "FILE", default_value = "common.pin")]
    pin: PathBuf,
    /// Compare from this number instead of the pinned one
    #[arg(long, value_name = "N")]
    from: Option<u64>,
    /// Compare to this number instead of the folder's newest
    #[arg(long, value_name = "M")]
    to: Option<u64>,
    /// Only `added`, `changed` or `removed` and the name, a line each
    #[arg(long)]
    names_only: bool,
}

/// Compares.
pub fn diff(args: DiffArgs, out: &mut Output) -> Outcomes<Exit> {
    let pin = read_pin(&args.pin)?;
    let checked = Folder::find(&args.dir)?.check(&pin)?;
    let found = differences(&checked, args.from.unwrap_or(pin.head.number), args.to.unwrap_or(checked.head.number))?;
    let exit = if found.is_empty() { Exit::Done } else { Exit::Differs };
    if args.names_only {
        found.changes.iter().for_each(|change| out.line(format!("{:<8} {}", word(change), change.name)));
        return Ok(exit);
    }
    out.line(format!("from     {}", words::head(&found.from)));
    out.line(format!("to       {}", words::head(&found.to)));
    for change in &found.changes {
        out.line(format!("{:<8} {}: {}; {}", word(change), change.name, what(change), by(&change.by)));
    }
    if let Some((old, new, setter)) = &found.policy {
        out.line(format!("policy   {} now, {} before; {}", new.short(), old.short(), by(setter)));
    }
    if found.is_empty() {
        out.line("equal    every name stands for the same, and the policy is the same");
    }
    Ok(exit)
}

fn word(change: &Change) -> &'static str {
    match (&change.before, &change.after) {
        (None, _) => "added",
        (_, None) => "removed",
        _ => "changed",
    }
}

fn by(by: &By) -> String {
    format!("by {} in common@{}", by.author, by.number)
}

fn what(change: &Change) -> String {
    match (&change.before, &change.after) {
        (Some(before), Some(after)) if before.sha256 == after.sha256 => {
            format!("the same content ({}), {} before, {} now", after.sha256.short(), described(before), described(after))
        }
        (Some(before), Some(after)) => format!("{} before, {} now", content(before), content(after)),
        (None, Some(entry)) => content(entry),
        (Some(entry), None) => format!("{} before", content(entry)),
        (None, None) => String::new(),
    }
}

fn content(entry: &Entry) -> String {
    format!("{} ({})", words::count(usize::try_from(entry.size).unwrap_or(usize::MAX), "byte"), entry.sha256.short())
}

/// What two entries of one content can differ in.
fn described(entry: &Entry) -> String {
    let source = entry
        .source
        .as_ref()
        .map_or(String::new(), |source| format!(", from {}@{} by the author's word", source.origin, source.head.number));
    format!("{}{source}", entry.media_type)
}

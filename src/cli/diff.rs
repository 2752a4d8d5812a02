//! `diff`: what changed between two numbers.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::core::artifact::Member;
use crate::core::rules::Checked;
use crate::run::consumer::read_pin;
use crate::run::diff::{Change, PathChange, diff as differences, inside};
use crate::run::folder::{CheckedFolder, Folder};
use crate::run::problem::{Exit, Outcomes};
use crate::run::words;

use super::facts::{self, short};
use super::output::{Answer, Output, Page};

/// `tabellion diff`
#[derive(Args)]
pub struct DiffArgs {
    /// A published folder, or a medium that carries one
    dir: PathBuf,
    /// Your pin: the number you trust, from which everything is verified
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

/// What differs between two numbers.
#[derive(Serialize)]
struct Differences {
    from: facts::Head,
    to: facts::Head,
    changes: Vec<Changed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<PolicyChanged>,
    #[serde(skip)]
    names_only: bool,
}

/// A name that stands for something else; `author` and `number` are those of the last paper that changed it.
#[derive(Serialize)]
struct Changed {
    /// `added`, `changed` or `removed`.
    kind: &'static str,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<facts::Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<facts::Entry>,
    author: String,
    number: u64,
    /// What differs inside, when it is a tree before and after and the folder carries both.
    #[serde(skip_serializing_if = "Option::is_none")]
    paths: Option<Vec<PathChanged>>,
}

/// A path of a tree that is not what it was.
#[derive(Serialize)]
struct PathChanged {
    /// `added`, `changed` or `removed`.
    kind: &'static str,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<FileFacts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<FileFacts>,
}

/// A file of a tree.
#[derive(Serialize)]
struct FileFacts {
    sha256: String,
    size: u64,
    executable: bool,
}

/// Another policy in force.
#[derive(Serialize)]
struct PolicyChanged {
    before: String,
    after: String,
    author: String,
    number: u64,
}

/// Compares.
pub fn diff(args: DiffArgs, out: &mut Output) -> Outcomes<Exit> {
    let pin = read_pin(&args.pin)?;
    let checked = Folder::find(&args.dir)?.check(&pin)?;
    let found = differences(&checked, args.from.unwrap_or(pin.head.number), args.to.unwrap_or(checked.head.number))?;
    let exit = if found.is_empty() { Exit::Done } else { Exit::Differs };
    let policy = found.policy.as_ref().map(|(before, after, by)| PolicyChanged {
        before: facts::sha256(before),
        after: facts::sha256(after),
        author: by.author.to_string(),
        number: by.number,
    });
    let changes = found.changes.iter().map(|change| changed(&checked, change)).collect::<Checked<Vec<Changed>>>()?;
    out.give(&Differences { from: (&found.from).into(), to: (&found.to).into(), changes, policy, names_only: args.names_only });
    Ok(exit)
}

fn kind_of<T>(before: &Option<T>, after: &Option<T>) -> &'static str {
    match (before, after) {
        (None, _) => "added",
        (_, None) => "removed",
        _ => "changed",
    }
}

fn changed(checked: &CheckedFolder, change: &Change) -> Checked<Changed> {
    let entry = |entry: &Option<crate::core::proposal::Entry>| entry.as_ref().map(facts::Entry::from);
    let file = |member: Member| FileFacts { sha256: facts::sha256(&member.sha256), size: member.size, executable: member.executable };
    let path = |change: PathChange| PathChanged {
        kind: kind_of(&change.before, &change.after),
        path: change.path,
        before: change.before.map(file),
        after: change.after.map(file),
    };
    Ok(Changed {
        kind: kind_of(&change.before, &change.after),
        name: change.name.to_string(),
        before: entry(&change.before),
        after: entry(&change.after),
        author: change.by.author.to_string(),
        number: change.by.number,
        paths: inside(checked, change)?.map(|paths| paths.into_iter().map(path).collect()),
    })
}

impl Answer for Differences {
    fn say(&self, page: &mut Page) {
        if self.names_only {
            return self.changes.iter().for_each(|change| page.labelled(change.kind, &change.name));
        }
        page.labelled("from", self.from.to_string());
        page.labelled("to", self.to.to_string());
        for change in &self.changes {
            let by = format!("by {} in common@{}", change.author, change.number);
            page.labelled(change.kind, format!("{}: {}; {by}", change.name, change.what()));
            change.paths.iter().flatten().for_each(|path| page.line(format!("    {:8} {}: {}", path.kind, path.path, path.what())));
        }
        if let Some(PolicyChanged { before, after, author, number }) = &self.policy {
            page.labelled("policy", format!("{} before, {} now; by {author} in common@{number}", short(before), short(after)));
        }
        if self.changes.is_empty() && self.policy.is_none() {
            page.labelled("equal", "every name stands for the same, and the policy is the same");
        }
    }
}

impl Changed {
    fn what(&self) -> String {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) if before.sha256 == after.sha256 => {
                format!("the same content ({}), {} before, {} now", short(&after.sha256), described(before), described(after))
            }
            (Some(before), Some(after)) => format!("{} before, {} now", content(before), content(after)),
            (None, Some(entry)) => content(entry),
            (Some(entry), None) => format!("{} before", content(entry)),
            (None, None) => String::new(),
        }
    }
}

impl PathChanged {
    fn what(&self) -> String {
        let file = |file: &FileFacts| {
            let executable = if file.executable { ", executable" } else { "" };
            format!("{} ({}){executable}", words::count(usize::try_from(file.size).unwrap_or(usize::MAX), "byte"), short(&file.sha256))
        };
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => format!("{} before, {} now", file(before), file(after)),
            (Some(before), None) => format!("{} before", file(before)),
            (None, Some(after)) => file(after),
            (None, None) => String::new(),
        }
    }
}

fn content(entry: &facts::Entry) -> String {
    format!("{} ({})", words::count(usize::try_from(entry.size).unwrap_or(usize::MAX), "byte"), short(&entry.sha256))
}

/// What two entries of one content can differ in.
fn described(entry: &facts::Entry) -> String {
    let source = entry.source.as_ref().map_or(String::new(), |source| format!(", from {source} by the author's word"));
    format!("{}{source}", entry.media_type)
}

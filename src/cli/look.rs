//! `log`, `show`, `checkout`: what Common holds at a number, from a folder that was verified against the pin.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::core::artifact;
use crate::core::ids::Name;
use crate::core::page;
use crate::core::pin::Pin;
use crate::core::proposal;
use crate::core::rules::Rule;
use crate::run::consumer::{number_at, read_pin, state_at};
use crate::run::content;
use crate::run::folder::{CheckedFolder, Folder};
use crate::run::problem::{Exit, Outcomes, Problem};
use crate::run::words;

use super::argument;
use super::facts::{Entry, Missing, Numbered, sha256};
use super::output::{Answer, Output, Page};

/// A folder, a pin and a number.
#[derive(Args)]
pub struct LookArgs {
    /// A published folder, or a medium that carries one
    dir: PathBuf,
    /// Your pin: the number you trust, from which everything is verified
    #[arg(long, value_name = "FILE", default_value = "common.pin")]
    pin: PathBuf,
    /// Look at this number instead of the pinned one
    #[arg(long, value_name = "N")]
    at: Option<u64>,
}

/// `tabellion log`
#[derive(Args)]
pub struct LogArgs {
    #[command(flatten)]
    look: LookArgs,
    /// Begin with this number
    #[arg(long, value_name = "N")]
    from: Option<u64>,
    /// List only the last K pages
    #[arg(long, value_name = "K")]
    last: Option<usize>,
    /// List only pages that change this name
    #[arg(long, value_name = "NAME", value_parser = argument::typed::<Name>)]
    name: Option<Name>,
}

/// `tabellion show`
#[derive(Args)]
pub struct ShowArgs {
    #[command(flatten)]
    look: LookArgs,
    /// Names to show; all without any
    #[arg(value_name = "NAME", value_parser = argument::typed::<Name>)]
    names: Vec<Name>,
}

/// `tabellion checkout`
#[derive(Args)]
pub struct CheckoutArgs {
    #[command(flatten)]
    look: LookArgs,
    /// The folder to write, which must not be there yet
    out: PathBuf,
}

fn open(look: &LookArgs) -> Outcomes<(Pin, CheckedFolder, u64)> {
    let pin = read_pin(&look.pin)?;
    let checked = Folder::find(&look.dir)?.check(&pin)?;
    let number = number_at(&checked, &pin, look.at)?;
    Ok((pin, checked, number))
}

/// `log`
#[derive(Serialize)]
struct Logged {
    /// The number that was looked at.
    number: u64,
    /// Pages up to it, ascending.
    pages: Vec<Numbered>,
}

impl Answer for Logged {
    fn say(&self, page: &mut Page) {
        self.pages.iter().for_each(|numbered| numbered.say(page));
    }
}

/// Lists pages.
pub fn log(args: &LogArgs, out: &mut Output) -> Outcomes<Exit> {
    let (_, checked, number) = open(&args.look)?;
    let from = args.from.unwrap_or(1).max(1);
    if from > number {
        return Err(Problem::usage(format!(
            "--from {from} found; at most {number} expected, the number that is looked at unless --at names another"
        )));
    }
    let pages = &checked.common.pages()[from as usize - 1..number as usize];
    let about = |page: &&page::Page| args.name.as_ref().is_none_or(|name| changes(page, name));
    let listed: Vec<&page::Page> = pages.iter().filter(about).collect();
    let left_out = listed.len().saturating_sub(args.last.unwrap_or(usize::MAX));
    out.give(&Logged { number, pages: listed[left_out..].iter().map(|page| Numbered::from(*page)).collect() });
    Ok(Exit::Done)
}

fn changes(page: &page::Page, name: &Name) -> bool {
    page.proposal.iter().flat_map(|proposal| &proposal.operations).any(|operation| operation.name() == Some(name))
}

/// `show`
#[derive(Serialize)]
struct Shown {
    /// The number that was looked at.
    number: u64,
    /// Names that stand for something, ascending.
    names: Vec<Named>,
    /// Names that were asked for and stand for nothing.
    nothing: Vec<String>,
}

/// A name and what it stands for.
#[derive(Serialize)]
struct Named {
    /// The name.
    name: String,
    /// What it stands for.
    entry: Entry,
    /// Of a folder: what is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    tree: Option<Tree>,
}

/// What is in a tree.
#[derive(Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
enum Tree {
    /// The list of its files is there.
    Whole { files: usize, bytes: u64, members: Vec<Member> },
    /// The folder does not carry the list of its files.
    NotCarried,
    /// It was signed as a tree and is none.
    #[serde(rename = "no-tree")]
    Malformed { found: String },
}

/// A file of a tree.
#[derive(Serialize)]
struct Member {
    /// Where it lies in the tree.
    path: String,
    /// SHA-256 of its content.
    sha256: String,
    /// Its size in bytes.
    size: u64,
    /// Whether it can be run.
    executable: bool,
    /// The same in words.
    words: String,
}

impl Tree {
    /// The tree of an entry; with each of its files when it was asked for by name.
    fn of(checked: &CheckedFolder, name: &Name, entry: &proposal::Entry, each: bool) -> Outcomes<Tree> {
        Ok(match content::tree_of(checked, name, entry) {
            Ok(Some(tree)) => Tree::Whole {
                files: tree.members().len(),
                bytes: tree.bytes(),
                members: tree.members().iter().filter(|_| each).map(Member::of).collect(),
            },
            Ok(None) => Tree::NotCarried,
            Err(fault) if fault.rule == Rule::TreeForm => Tree::Malformed { found: fault.shown().to_owned() },
            Err(fault) => return Err(fault.into()),
        })
    }

    fn say(&self, page: &mut Page) {
        match self {
            Tree::Whole { files, bytes, members } => {
                page.line(format!("    tree of {}, {} bytes", words::count(*files, "file"), words::thousands(*bytes)));
                members.iter().for_each(|member| page.line(format!("    {}", member.words)));
            }
            Tree::NotCarried => page.line("    tree; the folder does not carry the list of its files"),
            Tree::Malformed { found } => page.line(format!("    signed as a tree, and is none: {found}")),
        }
    }
}

impl Member {
    fn of(member: &artifact::Member) -> Member {
        Member {
            path: member.path.clone(),
            sha256: sha256(&member.sha256),
            size: member.size,
            executable: member.executable,
            words: words::member(member),
        }
    }
}

impl Answer for Shown {
    fn say(&self, page: &mut Page) {
        for Named { name, entry, tree } in &self.names {
            page.line(format!("{name}  {}  {} bytes  {}", entry.sha256, entry.size, entry.media_type));
            tree.iter().for_each(|tree| tree.say(page));
        }
        self.nothing.iter().for_each(|name| page.line(format!("{name}  stands for nothing at common@{}", self.number)));
    }
}

/// Shows names.
pub fn show(args: &ShowArgs, out: &mut Output) -> Outcomes<Exit> {
    let (_, checked, number) = open(&args.look)?;
    let (state, each) = (state_at(&checked.common, number), !args.names.is_empty());
    let asked = state.entries().filter(|(name, _)| !each || args.names.contains(name));
    let named = |(name, entry): (&Name, &proposal::Entry)| {
        let tree = entry.is_tree().then(|| Tree::of(&checked, name, entry, each)).transpose()?;
        Ok(Named { name: name.to_string(), entry: entry.into(), tree })
    };
    let names = asked.map(named).collect::<Outcomes<_>>()?;
    let nothing: Vec<String> = args.names.iter().filter(|name| state.get(name).is_none()).map(ToString::to_string).collect();
    let exit = if nothing.is_empty() { Exit::Done } else { Exit::Differs };
    out.give(&Shown { number, names, nothing });
    Ok(exit)
}

/// `checkout`
#[derive(Serialize)]
struct CheckedOut {
    /// The folder that was written.
    out: String,
    /// The number.
    number: u64,
    /// Files written, those of trees too.
    files: usize,
    /// Trees written, as folders.
    trees: usize,
    /// What could not be written.
    missing: Vec<Missing>,
}

impl Answer for CheckedOut {
    fn say(&self, page: &mut Page) {
        let trees = if self.trees == 0 { String::new() } else { format!(", {} among them", words::count(self.trees, "tree")) };
        let (files, number, to) = (words::count(self.files, "file"), self.number, &self.out);
        page.labelled("wrote", format!("{files} of common@{number} to {to}{trees}, each compared with its hash"));
        for missing in &self.missing {
            page.labelled("missing", format!("{} {} [{}] {}", missing.path, missing.sha256, missing.rule, missing.found));
        }
    }
}

/// Checks content out.
pub fn checkout(args: &CheckoutArgs, out: &mut Output) -> Outcomes<Exit> {
    let (_, checked, number) = open(&args.look)?;
    let done = content::checkout(&checked, number, &args.out)?;
    out.give(&CheckedOut {
        out: args.out.display().to_string(),
        number,
        files: done.files,
        trees: done.trees,
        missing: done.missing.iter().map(Missing::from).collect(),
    });
    Ok(if done.missing.is_empty() { Exit::Done } else { Exit::Differs })
}

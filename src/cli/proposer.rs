//! `propose put|remove|policy`: what a proposer does first.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::core::ids::{MediaType, Name, Pid, Text, parse_decimal};
use crate::core::plan::PolicyPaper;
use crate::core::proposal::Operation;
use crate::core::rules::{Fault, Rule};
use crate::run::consumer::read_pin;
use crate::run::folder::Folder;
use crate::run::home;
use crate::run::preview::expect;
use crate::run::problem::{Exit, Outcomes, Problem, Unchanged};
use crate::run::propose::{self as proposing, Ask, Proposed, SnapshotPath, Wish, check_target, export_to_file, export_to_medium};
use crate::run::words;

use super::argument;
use super::desk_facts::{Failed, Tree};
use super::facts::Paper;
use super::foreseen::{Expected, unknown};
use super::output::{Answer, Output, Page};
use super::passphrase::PassphraseArgs;
use super::policy_paper;

/// `tabellion propose …`
#[derive(Subcommand)]
pub enum ProposeCommand {
    /// Let names stand for files or folders
    Put {
        /// NAME=PATH, as tools/editor=./editor; a folder becomes a tree. NAME=alice@42:PATH takes it from your domain
        #[arg(required = true, value_name = "NAME=PATH", value_parser = parse_put)]
        puts: Vec<Ask>,
        /// Your domain's folder; the folder domain beside the pin without it
        #[arg(long, value_name = "DIR")]
        domain: Option<PathBuf>,
        /// Also let this name stand for nothing
        #[arg(long, value_name = "NAME", value_parser = argument::typed::<Name>)]
        remove: Vec<Name>,
        #[command(flatten)]
        wish: WishArgs,
    },
    /// Let names stand for nothing
    Remove {
        /// The names
        #[arg(required = true, value_name = "NAME", value_parser = argument::typed::<Name>)]
        names: Vec<Name>,
        #[command(flatten)]
        wish: WishArgs,
    },
    /// Put a new policy in force: alone in its paper, approved by the governors in force and by those to come
    Policy {
        /// The policy: TOML, or canonical CBOR
        file: PathBuf,
        #[command(flatten)]
        wish: WishArgs,
    },
}

/// What every proposal needs.
#[derive(Args)]
pub struct WishArgs {
    /// Your pin; papers are kept beside it, in papers/
    #[arg(long, value_name = "FILE", default_value = "common.pin")]
    pin: PathBuf,
    /// Your key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Put the bundle into this medium's inbox
    #[arg(long, value_name = "DIR", required_unless_present = "out")]
    media: Option<PathBuf>,
    /// Write the bundle to this file
    #[arg(long, value_name = "FILE", conflicts_with = "media", requires = "common")]
    out: Option<PathBuf>,
    /// The published folder to read Common from; the medium's without it
    #[arg(long, value_name = "DIR")]
    common: Option<PathBuf>,
    /// Overwrite whatever is there, instead of expecting what the pin shows
    #[arg(long)]
    overwrite: bool,
    /// Media type of what is put
    #[arg(long, value_name = "TYPE", default_value = "application/octet-stream", value_parser = argument::typed::<MediaType>)]
    media_type: MediaType,
    /// The largest number this paper may become
    #[arg(long, value_name = "N")]
    last_number: Option<u64>,
    /// A paper that must be decided first
    #[arg(long, value_name = "sha256:ID", value_parser = argument::pid)]
    after: Vec<Pid>,
    /// Do not derive the folder anew to say what may be expected of the paper
    #[arg(long)]
    no_preview: bool,
    /// Your words, for people
    #[arg(long, value_name = "TEXT", value_parser = argument::typed::<Text>)]
    note: Option<Text>,
}

/// What stands behind the name is a place in a snapshot when it has the form `alice@42:PATH`; a file of such a name is written `./alice@42:PATH`.
fn parse_put(text: &str) -> Result<Ask, String> {
    let (name, path) = text.split_once('=').ok_or_else(|| format!("{text:?} found; NAME=PATH expected"))?;
    let name: Name = argument::typed(name)?;
    Ok(parse_snapshot_path(path).map_or_else(|| Ask::Put(name.clone(), path.into()), |from| Ask::PutFrom(name.clone(), from)))
}

fn parse_snapshot_path(text: &str) -> Option<SnapshotPath> {
    let (snapshot, path) = text.split_once(':')?;
    let (owner, number) = snapshot.split_once('@')?;
    let number = parse_decimal(number).filter(|&number| number > 0)?;
    Some(SnapshotPath { owner: owner.parse().ok()?, number, path: path.to_owned() })
}

/// Proposes.
pub fn propose(command: ProposeCommand, out: &mut Output) -> Outcomes<Exit> {
    let (asks, policy, domain, args) = match command {
        ProposeCommand::Put { puts, domain, remove, wish } => {
            (puts.into_iter().chain(remove.into_iter().map(Ask::Remove)).collect::<Vec<_>>(), None, domain, wish)
        }
        ProposeCommand::Remove { names, wish } => (names.into_iter().map(Ask::Remove).collect(), None, None, wish),
        ProposeCommand::Policy { file, wish } => (Vec::new(), Some(policy_paper::read_to_propose(&file)?), None, wish),
    };
    let pin = read_pin(&args.pin)?;
    let folder = args.common.as_ref().or(args.media.as_ref()).ok_or_else(|| Problem::usage("--common DIR expected with --out"))?;
    check_target(args.media.as_deref(), args.out.as_deref())?;
    let common = Folder::find(folder)?.check(&pin)?;
    let key = args.passphrase.unlock(&args.key)?;
    let wish = Wish {
        asks,
        pin: &pin,
        common: &common,
        overwrite: args.overwrite,
        media_type: args.media_type.clone(),
        last_number: args.last_number,
        after: args.after.clone(),
        note: args.note.clone(),
        home: home::of_pin(&args.pin),
        domain: domain.unwrap_or_else(|| home::of_pin(&args.pin).join("domain")),
    };
    let (proposed, policy) = match policy {
        None => (proposing::propose(&wish, &key)?, None),
        Some(policy) => policy_paper::propose(&wish, policy, &key).map(|(proposed, policy)| (proposed, Some(policy)))?,
    };
    let exported = match (&args.media, &args.out) {
        (Some(medium), _) => export_to_medium(&proposed, medium).map(|path| medium.join(path)),
        (None, Some(file)) => export_to_file(&proposed, file).map(|()| file.clone()),
        (None, None) => Err(Fault::new(Rule::Usage, "--media DIR or --out FILE expected")),
    };
    // It may lie where it was written to all the same, and be accepted: a signed paper is never forgotten.
    let path = exported
        .unchanged(|| {
            format!("{} is made and kept at home; a copy may lie where it was written to", words::paper(&proposed.pid, &proposed.proposal))
        })
        .map_err(|problem| {
            problem.advising("propose again to another medium; should both papers arrive, the second is refused and harms nobody")
        })?;
    let mut made = Made::of(&proposed, policy, path.display().to_string());
    if !args.no_preview {
        // The paper is on its way whatever can be foreseen of it.
        let progress = out.progress(false);
        let mut at = |session, last| progress.at(session, last, "sessions re-derived");
        match expect(&path, folder, &pin, &wish.home, &proposed.pid, &mut at) {
            Ok(expected) => made.expected = Some(Expected::of(&expected)),
            Err(problem) => made.not_foreseen = Some(Failed::of(&problem.fault, "the paper is on its way all the same")),
        }
    }
    out.give(&made);
    Ok(Exit::Done)
}

/// `propose`
#[derive(Serialize)]
struct Made {
    /// The paper.
    paper: Paper,
    /// The folders that it puts.
    trees: Vec<Put>,
    /// Empty folders, which no tree holds.
    dropped: Vec<PathBuf>,
    /// Of a paper that sets the policy: what changes, and whose approvals it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<PolicyPaper>,
    /// The bundle that was written.
    file: String,
    /// Files of content in it.
    objects: usize,
    /// What the paper may expect.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<Expected>,
    /// Why nothing is foreseen of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_foreseen: Option<Failed>,
}

/// A folder that is put.
#[derive(Serialize)]
struct Put {
    /// The name it is put under.
    name: String,
    #[serde(flatten)]
    tree: Tree,
}

impl Made {
    fn of(proposed: &Proposed, policy: Option<PolicyPaper>, file: String) -> Made {
        let tree = |operation| Some((operation, proposed.trees.get(&words::entry(operation)?.sha256)?));
        let puts = proposed.proposal.operations.iter().filter_map(tree);
        let put = |(operation, tree): (&Operation, _)| Some(Put { name: operation.name()?.to_string(), tree: Tree::from(tree) });
        Made {
            paper: Paper::of(&proposed.pid, &proposed.proposal),
            trees: puts.filter_map(put).collect(),
            dropped: proposed.dropped.clone(),
            policy,
            file,
            objects: proposed.objects.len(),
            expected: None,
            not_foreseen: None,
        }
    }
}

impl Answer for Made {
    fn say(&self, page: &mut Page) {
        page.labelled("proposed", format!("{}, on {}", self.paper.shown(), self.paper.base));
        for operation in &self.paper.operations {
            page.line(format!("    {}", operation.words));
            let puts = self.trees.iter().filter(|put| operation.name.as_ref() == Some(&put.name));
            puts.for_each(|put| page.line(format!("      {}", put.tree.words)));
        }
        for folder in &self.dropped {
            page.labelled("dropped", format!("{folder:?}: an empty folder; a tree holds files"));
        }
        self.policy.iter().flat_map(words::policy_lines).for_each(|line| page.line(line));
        page.labelled("paper", &self.paper.id);
        page.labelled("wrote", format!("{}, with {} of content", self.file, words::count(self.objects, "file")));
        match (&self.expected, &self.not_foreseen) {
            (Some(expected), _) => expected.say(page),
            (None, Some(failed)) => page.labelled("expected", unknown(": the folder could not be re-derived", failed)),
            (None, None) => {}
        }
        if self.policy.is_none() {
            page.labelled("next", "take it to the witness; tabellion collect tells you later what became of it");
        } else {
            page.labelled("next", "have those missing run: tabellion approve FILE --common DIR --pin FILE; then");
            page.labelled("", "take it to the witness, who confirms it by the paper's id: read it to them");
        }
    }
}

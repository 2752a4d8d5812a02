//! `pin`, `verify`, `advance`, `log`, `show`, `checkout`: what a consumer does, offline. `diff` and `prove` have files of their own.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::core::common::Page;
use crate::core::ids::{Hash, Name};
use crate::core::note::VerifierKey;
use crate::core::pin::Pin;
use crate::core::proposal::Entry;
use crate::core::rules::{Fault, Rule};
use crate::core::words::{hash_of_words, words24};
use crate::run::advance::{self, PAGES_MAX};
use crate::run::compare::is_fork_proof;
use crate::run::consumer::{self, Receipt, number_at, read_pin, state_at, verify_folder, verify_receipt};
use crate::run::content::{self, Why};
use crate::run::files;
use crate::run::folder::{CheckedFolder, Folder};
use crate::run::policy_file;
use crate::run::problem::{Exit, Outcomes, Problem};
use crate::run::words;

use super::output::Output;
use super::{argument, fork, prove};

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
    /// The pin to write
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

/// `tabellion verify`
#[derive(Args)]
pub struct VerifyArgs {
    /// A published folder or a medium, a receipt, a proof, or a pin
    what: PathBuf,
    /// Another of them, to compare: checkpoints and receipts too
    other: Option<PathBuf>,
    /// The pin to start from
    #[arg(long, value_name = "FILE", default_value = "common.pin")]
    pin: PathBuf,
    /// With a proof of a name: the file that should be its content
    #[arg(long, value_name = "PATH")]
    content: Option<PathBuf>,
    /// The witness's log key, instead of the pin's; for comparing two, and for a fork proof
    #[arg(long, value_name = "VKEY", value_parser = argument::typed::<VerifierKey>)]
    vkey: Option<VerifierKey>,
    /// Where the proof of a fork goes, when two are compared; fork-N.proof without it
    #[arg(long, value_name = "FILE", requires = "other")]
    out: Option<PathBuf>,
}

/// A folder, a pin and a number.
#[derive(Args)]
pub struct LookArgs {
    /// A published folder, or a medium that carries one
    dir: PathBuf,
    /// The pin to start from
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

/// A fingerprint as typed: hex digits or words.
pub fn fingerprint(text: &str) -> Outcomes<Hash> {
    let hash = Hash::from_hex(text.trim()).or_else(|| hash_of_words(text));
    hash.ok_or_else(|| Problem::usage(format!("{text:?} found as fingerprint; 64 lower-case hex digits or 24 words expected")))
}

/// Pins.
pub fn pin(args: PinArgs, out: &mut Output) -> Outcomes<Exit> {
    let (pin, checked, carried) = consumer::pin(&args.dir, &fingerprint(&args.charter)?, args.at, &args.out)?;
    let charter = checked.common.charter()?;
    out.line(format!("pinned   {} of {}", words::head(&pin.head), pin.origin));
    out.line(format!(
        "checked  {} from the charter you named to the newest checkpoint, every signature and root",
        words::count(checked.head.number as usize, "record")
    ));
    if charter.rehearsal {
        out.line("rehearsal: nothing in this Common counts");
    }
    out.line(format!(
        "wrote    {}; keep it, and dated copies of it: of all that reaches you it is the one thing to trust",
        args.out.display()
    ));
    carried.say().iter().for_each(|line| out.line(line));
    Ok(Exit::Done)
}

/// Advances.
pub fn advance(args: AdvanceArgs, out: &mut Output) -> Outcomes<Exit> {
    let moved = advance::advance(&args.dir, &args.pin, args.to)?;
    if moved.from == moved.to {
        let why = match moved.newest == moved.to {
            true => "the folder has nothing newer".into(),
            false => format!("the folder goes on to common@{}", moved.newest.number),
        };
        out.line(format!("stays    {}; {why}", words::head(&moved.to)));
        moved.carried.say().iter().for_each(|line| out.line(line));
        return Ok(Exit::Done);
    }
    out.line(format!("from     {}", words::head(&moved.from)));
    out.line(format!("to       {}, proved by {}", words::head(&moved.to), words::count(moved.proof_hashes, "hash")));
    match &moved.pages {
        Some(pages) => pages.iter().for_each(|page| show_page(page, out)),
        None => {
            let between = moved.to.number - moved.from.number;
            out.line(format!("between  {between} pages, more than the {PAGES_MAX} that are listed and checked on the way"));
            let dir = args.dir.display();
            out.line(format!(
                "see      tabellion log {dir} --from {}, or: tabellion diff {dir} --from {}",
                moved.from.number + 1,
                moved.from.number
            ));
        }
    }
    out.line(format!("wrote    {}", args.pin.display()));
    moved.carried.say().iter().for_each(|line| out.line(line));
    Ok(Exit::Done)
}

fn show_page(page: &Page, out: &mut Output) {
    let record = &page.record;
    let signers: Vec<&str> = page.signed_by.iter().map(|party| party.as_str()).collect();
    let time = record.time.map_or(String::new(), |time| format!(", {} by the desk's claim", crate::clock::show(time)));
    let Some(proposal) = &page.proposal else {
        out.line(format!("common@{}  charter, signed by {}{time}", record.number, signers.join(", ")));
        return;
    };
    let what = words::paper(&record.pid, proposal);
    out.line(format!("common@{}  {what}, session {}, signed by {}{time}", record.number, record.session, signers.join(", ")));
    for operation in &proposal.operations {
        out.line(format!("    {}", words::operation(operation)));
    }
    if let Some(note) = &proposal.note {
        out.line(format!("    {} wrote: {}", proposal.author, note.as_str()));
    }
}

/// Lists pages.
pub fn log(args: LogArgs, out: &mut Output) -> Outcomes<Exit> {
    let (_, checked, number) = open(&args.look)?;
    let from = args.from.unwrap_or(1).max(1);
    if from > number {
        return Err(Problem::usage(format!(
            "--from {from} found; at most {number} expected, the number that is looked at unless --at names another"
        )));
    }
    let pages = &checked.common.pages()[from as usize - 1..number as usize];
    let about = |page: &&Page| args.name.as_ref().is_none_or(|name| changes(page, name));
    let listed: Vec<&Page> = pages.iter().filter(about).collect();
    let left_out = listed.len().saturating_sub(args.last.unwrap_or(usize::MAX));
    listed[left_out..].iter().for_each(|page| show_page(page, out));
    Ok(Exit::Done)
}

fn changes(page: &Page, name: &Name) -> bool {
    page.proposal.iter().flat_map(|proposal| &proposal.operations).any(|operation| operation.name() == Some(name))
}

/// Shows names.
pub fn show(args: ShowArgs, out: &mut Output) -> Outcomes<Exit> {
    let (_, checked, number) = open(&args.look)?;
    let state = state_at(&checked.common, number);
    let mut exit = Exit::Done;
    for (name, entry) in state.entries().filter(|(name, _)| args.names.is_empty() || args.names.contains(name)) {
        out.line(format!("{name}  sha256:{}  {} bytes  {}", entry.sha256, entry.size, entry.media_type.as_str()));
        if entry.is_tree() {
            show_tree(&checked, name, entry, !args.names.is_empty(), out)?;
        }
    }
    for name in args.names.iter().filter(|name| state.get(name).is_none()) {
        out.line(format!("{name}  stands for nothing at common@{number}"));
        exit = Exit::Differs;
    }
    Ok(exit)
}

/// A tree's files, each with its own line when it was asked for by name.
fn show_tree(checked: &CheckedFolder, name: &Name, entry: &Entry, each: bool, out: &mut Output) -> Outcomes<()> {
    match content::tree_of(checked, name, entry) {
        Ok(Some(tree)) => {
            out.line(format!("    {}", words::tree(&tree)));
            for member in tree.members().iter().filter(|_| each) {
                out.line(format!("    {}", words::member(member)));
            }
        }
        Ok(None) => out.line("    tree; the folder does not carry the list of its files"),
        Err(fault) if fault.rule == Rule::TreeForm => out.line(format!("    signed as a tree, and is none: {}", fault.shown())),
        Err(fault) => return Err(fault.into()),
    }
    Ok(())
}

/// Checks content out.
pub fn checkout(args: CheckoutArgs, out: &mut Output) -> Outcomes<Exit> {
    let (_, checked, number) = open(&args.look)?;
    let done = content::checkout(&checked, number, &args.out)?;
    let trees = if done.trees == 0 { String::new() } else { format!(", {} among them", words::count(done.trees, "tree")) };
    out.line(format!(
        "wrote    {} of common@{number} to {}{trees}, each compared with its hash",
        words::count(done.files, "file"),
        args.out.display()
    ));
    for missing in &done.missing {
        out.line(format!("missing  {} sha256:{} [{}] {}", missing.path, missing.sha256, Rule::ContentMissing, why(&missing.why)));
    }
    Ok(if done.missing.is_empty() { Exit::Done } else { Exit::Differs })
}

/// Why content cannot be had, in words.
fn why(why: &Why) -> String {
    match why {
        Why::Absent => "the folder does not carry it".into(),
        Why::Size { found, expected } => format!("it has {found} bytes; who signed it said {expected}"),
        Why::NoTree(fault) => format!("it was signed as a tree and is none: {}", fault.shown()),
    }
}

/// Verifies whatever is given.
pub fn verify(args: VerifyArgs, out: &mut Output) -> Outcomes<Exit> {
    if let Some(other) = &args.other {
        let key = fork::key_of(args.vkey.as_ref(), &args.pin)?;
        return fork::verify_two(&args.what, other, &key, args.out.as_ref(), out);
    }
    if args.what.is_dir() {
        return verify_dir(&args.what, &args.pin, out);
    }
    let bytes = files::read(&args.what)?;
    if is_fork_proof(&bytes) {
        let key = fork::key_of(args.vkey.as_ref(), &args.pin)?;
        return fork::verify_proof(&args.what, &bytes, &key, out);
    }
    if bytes.starts_with(b"tabellion-pin v1\n") {
        let pin = read_pin(&args.what)?;
        out.line(format!("whole    pin of {} of {}", words::head(&pin.head), pin.origin));
        out.line(format!("fingerprint {}", pin.fingerprint));
        out.line(format!("in words    {}", words24(&pin.fingerprint)));
        return Ok(Exit::Done);
    }
    let pin = read_pin(&args.pin)?;
    if let Some(exit) = prove::verify(&args.what, &bytes, &pin, args.content.as_deref(), out)? {
        return Ok(exit);
    }
    match verify_receipt(&bytes, &pin).map_err(|fault| refused_receipt(&args.what, fault))? {
        Receipt::Accepted(record, head) => {
            out.line(format!("proved   paper {} became common@{} in session {}", record.pid, record.number, record.session));
            out.line(format!("by       an inclusion proof in {}, signed by {}", words::head(&head), pin.vkey));
            out.line(format!("records  state root {}, policy {}", record.state_root, record.policy.short()));
        }
        Receipt::Answered(note) => {
            out.line(format!("proved   paper {} was {} [{}] in session {}", note.pid, note.outcome.word(), note.rule, note.session));
            out.line(format!("why      {}", note.rule.says()));
            out.line(format!("found    {}", words::found(note.rule, &note.detail)));
            out.line(format!("next     {}", note.rule.next()));
        }
    }
    Ok(Exit::Done)
}

fn refused_receipt(path: &Path, fault: Fault) -> Problem {
    let next = match fault.rule {
        Rule::FileUnknown => "name a published folder, a medium that carries one, a receipt as tabellion collect keeps it, or a pin",
        _ => "take the receipt from the medium again, or bring the paper to the witness once more: it gives the same receipt",
    };
    let problem = Problem::from(fault.within(path.display())).advising(next);
    Problem { state: "nothing was written; this file proves nothing".into(), ..problem }
}

fn verify_dir(dir: &Path, pin: &Path, out: &mut Output) -> Outcomes<Exit> {
    let pin = read_pin(pin)?;
    let checked = verify_folder(dir, &pin)?;
    let policies = policy_file::check_published(&checked)?;
    out.line(format!("verified {}", checked.folder.path().display()));
    out.line(format!("from     {} (your pin)", words::head(&pin.head)));
    out.line(format!("to       {}", words::head(&checked.head)));
    out.line(format!(
        "checked  {} records and papers, their signatures and approvals, every state root, and the checkpoint of every number",
        checked.head.number
    ));
    out.line(format!("policies {policies}, each as the records have it"));
    let content = content::verify_content(&checked)?;
    out.line(format!("content  {}, each compared with its hash", words::count(content.objects, "object")));
    if content.trees > 0 {
        out.line(format!("trees    {} of {}", words::count(content.trees, "tree"), words::count(content.paths, "file")));
    }
    for missing in &content.missing {
        let need_not = if matches!(missing.why, Why::Absent) { ", and need not" } else { "" };
        out.line(format!("missing  {} {}: {}{need_not}", missing.path, missing.sha256.short(), why(&missing.why)));
    }
    Ok(Exit::Done)
}

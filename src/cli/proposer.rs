//! `propose`, `approve`, `collect`: what a proposer and an approver do.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::core::charter::{self, Charter};
use crate::core::ids::{Kid, MediaType, Name, Party, Pid, Text, parse_decimal};
use crate::core::proposal::Operation;
use crate::core::rules::{Fault, Outcome, Rule};
use crate::keys::derive::MemberKey;
use crate::keys::file::{KeyFile, WorkFactor};
use crate::run::approve::{self as approving, Approvable, Pending, ToApprove, read_for_approval};
use crate::run::collect::{self as collecting, Collected};
use crate::run::consumer::{Receipt, read_pin};
use crate::run::files;
use crate::run::folder::{CheckedFolder, Folder};
use crate::run::found::PAYLOAD_FILE;
use crate::run::preview::expect;
use crate::run::problem::{Exit, Outcomes, Problem, Unchanged};
use crate::run::propose::{self as proposing, Ask, Proposed, SnapshotPath, Wish, check_target, export_to_file, export_to_medium};
use crate::run::words;

use super::argument;
use super::foreseen;
use super::output::{Output, narrate};
use super::passphrase::PassphraseArgs;
use super::policy_paper;
use super::preview::{expected_line, not_foreseen, progress};

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
    #[arg(long, value_name = "sha256:ID", value_parser = parse_pid)]
    after: Vec<Pid>,
    /// Do not derive the folder anew to say what may be expected of the paper
    #[arg(long)]
    no_preview: bool,
    /// Your words, for people
    #[arg(long, value_name = "TEXT", value_parser = argument::typed::<Text>)]
    note: Option<Text>,
}

/// `tabellion approve`
#[derive(Args)]
pub struct ApproveArgs {
    /// A bundle, a paper, or the payload of a charter
    file: PathBuf,
    /// Your key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// The published folder to compare a policy with
    #[arg(long, value_name = "DIR")]
    common: Option<PathBuf>,
    /// Your pin, to check that folder from
    #[arg(long, value_name = "FILE", default_value = "common.pin")]
    pin: PathBuf,
    /// Where to write; without it the file itself, and for a charter's payload charter.cose beside it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Sign without being asked
    #[arg(long)]
    yes: bool,
}

/// `tabellion collect`
#[derive(Args)]
pub struct CollectArgs {
    /// The medium that came back
    dir: PathBuf,
    /// Your pin; receipts are kept beside it, in papers/
    #[arg(long, value_name = "FILE", default_value = "common.pin")]
    pin: PathBuf,
}

/// What is left of a signing that was not confirmed.
const UNSIGNED: &str = "nothing was signed, and no file was changed";

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

/// `sha256:` and 64 hex digits.
pub fn parse_pid(text: &str) -> Result<Pid, String> {
    let hash = text.strip_prefix("sha256:").and_then(Pid::from_hex);
    hash.ok_or_else(|| format!("{text:?} found; sha256: and 64 lower-case hex digits expected"))
}

fn unlock(key: &Path, passphrase: &PassphraseArgs) -> Outcomes<MemberKey> {
    let file = KeyFile::read(key)?;
    let passphrase = passphrase.get(&key.display().to_string())?;
    Ok(file.unlock(&passphrase, WorkFactor::STANDARD)?.member(false))
}

fn home_of(pin: &Path) -> PathBuf {
    pin.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
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
    let key = unlock(&args.key, &args.passphrase)?;
    let wish = Wish {
        asks,
        pin: &pin,
        common: &common,
        overwrite: args.overwrite,
        media_type: args.media_type.clone(),
        last_number: args.last_number,
        after: args.after.clone(),
        note: args.note.clone(),
        home: home_of(&args.pin),
        domain: domain.unwrap_or_else(|| home_of(&args.pin).join("domain")),
    };
    let (proposed, policy_lines) = match policy {
        None => (proposing::propose(&wish, &key)?, Vec::new()),
        Some(policy) => policy_paper::propose(&wish, policy, &key)?,
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
    show_proposed(&proposed, &policy_lines, &path, out);
    if !args.no_preview {
        let expected = expect(&path, folder, &pin, &wish.home, &proposed.pid, &mut progress);
        // The paper is on its way whatever can be foreseen of it.
        out.line(expected.map_or_else(|problem| not_foreseen(&problem), |expected| expected_line(&expected)));
    }
    if policy_lines.is_empty() {
        out.line("next     take it to the witness; tabellion collect tells you later what became of it");
    } else {
        out.line("next     have those missing run: tabellion approve FILE --common DIR --pin FILE; then");
        out.line("         take it to the witness, who confirms it by the paper's id: read it to them");
    }
    Ok(Exit::Done)
}

fn show_proposed(proposed: &Proposed, policy_lines: &[String], path: &Path, out: &mut Output) {
    let proposal = &proposed.proposal;
    out.line(format!("proposed {}, on {}", words::paper(&proposed.pid, proposal), words::head(&proposal.base)));
    for operation in &proposal.operations {
        out.line(format!("    {}", words::operation(operation)));
        let tree = words::entry(operation).and_then(|entry| proposed.trees.get(&entry.sha256));
        tree.into_iter().for_each(|tree| out.line(format!("      {}", words::tree(tree))));
    }
    for folder in &proposed.dropped {
        out.line(format!("dropped  {folder:?}: an empty folder; a tree holds files"));
    }
    policy_lines.iter().for_each(|line| out.line(line));
    out.line(format!("paper    sha256:{}", proposed.pid));
    out.line(format!("wrote    {}, with {} of content", path.display(), words::count(proposed.objects.len(), "file")));
}

/// Shows what would be signed, then signs.
pub fn approve(args: ApproveArgs, out: &mut Output) -> Outcomes<Exit> {
    let to_approve = read_for_approval(&args.file)?;
    let beside = if args.file.ends_with(PAYLOAD_FILE) { args.file.with_file_name("charter.cose") } else { args.file.clone() };
    let target = args.out.clone().unwrap_or(beside);
    let common = policy_paper::common_of(args.common.as_deref(), &args.pin)?;
    for pending in &to_approve.papers {
        match &pending.what {
            Approvable::Proposal(proposal) => {
                out.line(format!("paper    sha256:{}", pending.pid()));
                out.line(format!("of       {} (sequence {}), for {}", proposal.author, proposal.sequence, proposal.origin));
                out.line(format!("on       {}", words::head(&proposal.base)));
                for operation in &proposal.operations {
                    out.line(format!("    {}", words::operation(operation)));
                    show_tree(&to_approve, operation, out);
                }
                if let Some(note) = &proposal.note {
                    out.line(format!("    {} wrote: {}", proposal.author, note.as_str()));
                }
                policy_paper::show(proposal, pending.envelope(), common.as_ref(), out)?;
            }
            Approvable::Charter(charter) => show_charter(charter, out),
        }
        out.line(format!("signed   so far by {}", signed_so_far(pending, common.as_ref(), &target)?));
    }
    out.flush();
    if !args.yes && !agreed()? {
        return Err(Fault::new(Rule::ConfirmationMissing, "the answer was not yes; yes expected")).unchanged(|| UNSIGNED.into());
    }
    let key = unlock(&args.key, &args.passphrase)?;
    policy_paper::check_key(&to_approve.papers, common.as_ref(), &key)?;
    approving::approve(&to_approve, &key, &target)?;
    show_added(&to_approve.papers, common.as_ref(), &key, &target, out)?;
    out.line(format!("wrote    {}", target.display()));
    match to_approve.papers.first().map(|pending| &pending.what) {
        Some(Approvable::Charter(_)) => {
            out.line(format!("next     when enough governors have signed: tabellion witness init DIR --charter {}", target.display()));
        }
        _ => out.line("next     put it into a medium's tabellion/inbox, and bring that to any later session"),
    }
    Ok(Exit::Done)
}

/// What a put of a tree would bring; an approver signs its hash, and should know what stands behind it.
fn show_tree(to_approve: &ToApprove, operation: &Operation, out: &mut Output) {
    let Some(entry) = words::entry(operation).filter(|entry| entry.is_tree()) else { return };
    out.line(match to_approve.tree(entry) {
        Ok(Some(tree)) => format!("      {}", words::tree(&tree)),
        Ok(None) => "      tree; the list of its files is not in this bundle".into(),
        Err(fault) => format!("      called a tree, and is none: {}", fault.shown()),
    });
}

/// Whose signature was added; under a charter also how many of its governors' are there now, and whose are missing.
fn show_added(papers: &[Pending], common: Option<&CheckedFolder>, key: &MemberKey, target: &Path, out: &mut Output) -> Outcomes<()> {
    if !papers.iter().any(|pending| matches!(pending.what, Approvable::Charter(_))) {
        out.line(format!("added    the signature of {}", policy_paper::signer_name(papers, common, &key.kid())));
        return policy_paper::show_after_signing(papers, common, target, out);
    }
    let (charter, _, _, tally) = charter::tally(&files::read(target)?)?;
    let name = charter.policy.keyring().get(&key.kid()).map_or(key.kid().short(), |key| key.member.to_string());
    let missing: Vec<&str> = tally.missing.iter().map(Party::as_str).collect();
    let stands = if tally.is_met() { "complete".to_owned() } else { format!("not signed yet by {}", missing.join(", ")) };
    out.line(format!("added    the signature of {name}: {} of {} in {}, {stands}", tally.have, tally.need, charter.policy.governors));
    Ok(())
}

/// Who has signed, by name where a charter's policy names the key.
fn signed_so_far(pending: &Pending, common: Option<&CheckedFolder>, target: &Path) -> Outcomes<String> {
    let signers = approving::existing_signers(pending, target)?;
    let keyring = match &pending.what {
        Approvable::Charter(charter) => charter.policy.keyring(),
        Approvable::Proposal(proposal) => policy_paper::keyring_of(proposal, common),
    };
    let name = |kid: &Kid| keyring.get(kid).map_or(kid.short(), |key| key.member.to_string());
    let names: Vec<String> = signers.iter().map(|signer| name(&signer.kid)).collect();
    Ok(if names.is_empty() { "nobody".into() } else { names.join(", ") })
}

/// A charter in words.
pub fn show_charter(charter: &Charter, out: &mut Output) {
    out.line(format!("charter  of {}{}", charter.origin, if charter.rehearsal { ", a REHEARSAL" } else { "" }));
    out.line(format!("log key  {}", charter.log));
    out.line(format!("next key sha256:{}", charter.next));
    out.line(format!("policy   sha256:{}", charter.policy.hash()));
    for line in crate::core::policy_text::print(&charter.policy).lines().skip(1).filter(|line| !line.is_empty()) {
        out.line(format!("    {line}"));
    }
    if let Some(text) = &charter.text {
        out.line(format!("text     {}", text.as_str()));
    }
}

fn agreed() -> Outcomes<bool> {
    if !std::io::stdin().is_terminal() {
        return Err(Fault::new(Rule::ConfirmationMissing, "no terminal to ask; without one --yes is expected"))
            .unchanged(|| UNSIGNED.into());
    }
    narrate("Sign this? Type yes:");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|error| Problem::usage(error.to_string()))?;
    Ok(line.trim() == "yes")
}

/// Collects.
pub fn collect(args: CollectArgs, out: &mut Output) -> Outcomes<Exit> {
    let pin = read_pin(&args.pin)?;
    let home = home_of(&args.pin);
    let collection = collecting::collect(&args.dir, &pin, &home)?;
    let mut exit = Exit::Done;
    for paper in &collection.papers {
        show_collected(paper, out);
        if matches!(&paper.receipt, Some(Receipt::Answered(note)) if note.outcome == Outcome::Refused) {
            exit = Exit::Differs;
        }
    }
    if collection.papers.is_empty() {
        out.line(format!("no paper was proposed from {}", home.display()));
    }
    if collection.listed.iter().any(|(_, fault)| Exit::of(fault.rule) == Exit::Key) {
        exit = Exit::Key;
    }
    let (shown, left_out) = words::of_each_rule(&collection.listed, |(_, fault)| fault.rule, false);
    for (path, fault) in shown {
        out.line(format!("listed   {path} [{}] {}", fault.rule, fault.rule.says()));
        out.line(format!("  found  {}", fault.shown()));
        out.line("  state  nothing was taken from it; receipts kept before are unchanged");
        out.line("  next   the other receipts were read; if yours is not among them, bring the paper to the witness once more");
    }
    for (rule, count) in left_out {
        out.line(format!("listed   {count} more [{rule}] {}", rule.says()));
    }
    for path in &collection.cleared {
        out.line(format!("removed  {path} from the medium: all in it was yours and is done"));
    }
    Ok(exit)
}

fn show_collected(paper: &Collected, out: &mut Output) {
    let about = words::about(&paper.proposal);
    let name = format!("paper {} (sequence {}, {about})", paper.pid.tiny(), paper.sequence);
    let new = if paper.is_new { " (new)" } else { "" };
    match &paper.receipt {
        None => out.line(format!("waiting  {name}: no receipt yet")),
        Some(Receipt::Accepted(record, head)) => {
            out.line(format!(
                "accepted {name} is common@{} of session {}, proved in {}{new}",
                record.number,
                record.session,
                words::head(head)
            ));
        }
        Some(Receipt::Answered(note)) => {
            out.line(format!("{:8} {name} [{}] {}{new}", note.outcome.word(), note.rule, note.rule.says()));
            out.line(format!("  found  {}", words::found(note.rule, &note.detail)));
            out.line(format!(
                "  state  {} before session {}; the paper {}",
                words::head(&note.head_before),
                note.session,
                words::what_stays(note.outcome, note.rule)
            ));
            out.line(format!("  next   {}", note.rule.next()));
        }
    }
    match (&paper.foreseen, &paper.receipt) {
        (Ok(Some(foreseen)), Some(receipt)) => out.line(format!("  {}", foreseen::line(foreseen, receipt))),
        (Err(fault), _) => out.line(format!("  expected unknown [{}] {}", fault.rule, fault.shown())),
        _ => {}
    }
    if paper.is_new {
        out.line(format!("  kept   {}", paper.kept.display()));
    }
}

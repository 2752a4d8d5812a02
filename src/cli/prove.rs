//! `prove`, and what `verify` says of its files: proofs of a name, of a paper, and catch-ups.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};

use crate::core::ids::{Hash, Name, Pid};
use crate::core::name_proof::NAME_PROOF_FIRST;
use crate::core::pin::Pin;
use crate::core::proposal::Entry;
use crate::core::rules::{Fault, Rule};
use crate::run::consumer::read_pin;
use crate::run::files;
use crate::run::problem::{Exit, Outcomes, Problem};
use crate::run::prove::{self, NameProved};
use crate::run::words;

use super::argument;
use super::output::Output;

/// `tabellion prove`
#[derive(Args)]
#[command(group = ArgGroup::new("what").required(true))]
#[command(override_usage = "tabellion prove DIR NAME [--at N] [--pin FILE] --out FILE\n       \
                            tabellion prove DIR --paper sha256:ID [--pin FILE] --out FILE\n       \
                            tabellion prove DIR --catch-up M [--at N] [--pin FILE] --out FILE")]
pub struct ProveArgs {
    /// A published folder, or a medium that carries one
    dir: PathBuf,
    /// Prove what this name stands for, or that it stands for nothing
    #[arg(value_name = "NAME", group = "what", value_parser = argument::typed::<Name>)]
    name: Option<Name>,
    /// Prove that this paper became a number: the receipt its author got
    #[arg(long, value_name = "sha256:ID", group = "what", value_parser = pid, conflicts_with = "at")]
    paper: Option<Pid>,
    /// Prove that Common continues this number, as a public witness takes it (add-checkpoint)
    #[arg(long, value_name = "M", group = "what")]
    catch_up: Option<u64>,
    /// The pin to start from
    #[arg(long, value_name = "FILE", default_value = "common.pin")]
    pin: PathBuf,
    /// Prove it of this number; else of the pinned one, and a catch-up to the newest
    #[arg(long, value_name = "N")]
    at: Option<u64>,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

fn pid(text: &str) -> Result<Pid, String> {
    let hash = Hash::from_hex(text.strip_prefix("sha256:").unwrap_or(text));
    hash.ok_or_else(|| "sha256: and 64 lower-case hex digits expected".into())
}

/// Proves.
pub fn prove(args: ProveArgs, out: &mut Output) -> Outcomes<Exit> {
    let pin = read_pin(&args.pin)?;
    if let Some(name) = &args.name {
        let proof = prove::of_name(&args.dir, &pin, name, args.at)?;
        prove::write_new(&args.out, &proof.text())?;
        let number = proof.inclusion.index + 1;
        match &proof.state.entry {
            Some(entry) => out.line(format!("present  {name} at common@{number}: {}", stands_for(entry))),
            None => out.line(format!("absent   {name} stands for nothing at common@{number}")),
        }
    } else if let Some(pid) = &args.paper {
        let proof = prove::of_paper(&args.dir, &pin, pid)?;
        prove::write_new(&args.out, &proof.text())?;
        out.line(format!("accepted paper {} became common@{}", pid.short(), proof.index + 1));
    } else if let Some(from) = args.catch_up {
        let catch_up = prove::of_catch_up(&args.dir, &pin, from, args.at)?;
        prove::write_new(&args.out, &catch_up.text())?;
        out.line(format!("catch-up from size {from}, by {}", words::count(catch_up.hashes.len(), "hash")));
    }
    out.line(format!("wrote    {}; whoever has a pin checks it with: tabellion verify {}", args.out.display(), args.out.display()));
    Ok(Exit::Done)
}

fn stands_for(entry: &Entry) -> String {
    format!("{}, {}, sha256:{}", words::count(usize::try_from(entry.size).unwrap_or(usize::MAX), "byte"), entry.media_type, entry.sha256)
}

/// Says what a proof of a name or a catch-up proves; `None` when the bytes are neither.
///
/// # Errors
/// Those of the proof, with what the file then is worth.
pub fn verify(path: &Path, bytes: &[u8], pin: &Pin, content: Option<&Path>, out: &mut Output) -> Outcomes<Option<Exit>> {
    if bytes.starts_with(NAME_PROOF_FIRST.as_bytes()) {
        let proved = prove::verify_name(bytes, pin).map_err(|fault| worthless(path, fault))?;
        return say_name(&proved, pin, content, out).map(Some);
    }
    if content.is_some() {
        return Err(Problem::usage(format!("--content given, and {} is no proof of a name; one expected", path.display())));
    }
    if !bytes.starts_with(b"old ") {
        return Ok(None);
    }
    let head = prove::verify_catch_up(bytes, pin).map_err(|fault| {
        let next = format!("have one made from your pin: tabellion prove DIR --catch-up {} --out FILE", pin.head.number);
        Problem { state: "nothing was written; this file proves nothing to you".into(), ..Problem::from(fault.within(path.display())) }
            .advising(next)
    })?;
    out.line(format!("proved   {} continues your pin, {}", words::head(&head), words::head(&pin.head)));
    out.line(format!("by       a proof of consistency, signed by {}", pin.vkey));
    Ok(Some(Exit::Done))
}

fn worthless(path: &Path, fault: Fault) -> Problem {
    let next = match fault.rule {
        Rule::CheckpointUnsigned => "ask for a proof of the Common that you pinned, or use the pin of the other",
        _ => "have it made again from any copy of the folder: tabellion prove DIR NAME --out FILE",
    };
    Problem { state: "nothing was written; this file proves nothing".into(), ..Problem::from(fault.within(path.display())) }.advising(next)
}

fn say_name(proved: &NameProved, pin: &Pin, content: Option<&Path>, out: &mut Output) -> Outcomes<Exit> {
    let (name, number) = (&proved.proof.state.name, proved.head.number);
    match &proved.proof.state.entry {
        Some(entry) => out.line(format!("proved   {name} stands for {} at common@{number}", stands_for(entry))),
        None => out.line(format!("proved   {name} stands for nothing at common@{number}")),
    }
    out.line(format!("by       {}, state root {}, signed by {}", words::head(&proved.head), proved.record.state_root.short(), pin.vkey));
    let pinned = pin.head.number;
    out.line(match number.cmp(&pinned) {
        Ordering::Equal => "pin      of the same number and root".to_owned(),
        Ordering::Less => format!(
            "pin      at common@{pinned}, signed by the same key; that both are one history this file does not show, but: tabellion show DIR {name} \
             --at {number}"
        ),
        Ordering::Greater => {
            format!("pin      at common@{pinned}, signed by the same key; that both are one history this file does not show, but: tabellion advance DIR")
        }
    });
    match content {
        None => Ok(Exit::Done),
        Some(path) => say_content(proved.proof.state.entry.as_ref(), path, out),
    }
}

fn say_content(entry: Option<&Entry>, path: &Path, out: &mut Output) -> Outcomes<Exit> {
    let (hash, size) = files::hash_file(path)?;
    let found = format!("{}: {}, sha256:{hash}", path.display(), words::count(usize::try_from(size).unwrap_or(usize::MAX), "byte"));
    match entry {
        Some(entry) if entry.sha256 == hash && entry.size == size => {
            out.line(format!("content  {} is that content, byte for byte", path.display()));
            return Ok(Exit::Done);
        }
        Some(entry) => out.line(format!("differs  {found}; the proof is of sha256:{}", entry.sha256)),
        None => out.line(format!("differs  {found}; the proof is that nothing stood there")),
    }
    Ok(Exit::Differs)
}

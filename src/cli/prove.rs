//! `prove`, and what `verify` says of its files: proofs of a name, of a paper, and catch-ups.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use serde::Serialize;

use crate::core::ids::{Hash, Name, Pid};
use crate::core::name_proof::NAME_PROOF_FIRST;
use crate::core::pin::Pin;
use crate::core::proposal::Entry;
use crate::core::rules::{Fault, Rule};
use crate::run::consumer::read_pin;
use crate::run::files;
use crate::run::problem::{Exit, Outcomes, Problem};
use crate::run::prove::{self, NameProved};
use crate::run::source::read_folder;
use crate::run::words;

use super::output::{Answer, Output, Page};
use super::{argument, facts};

/// `tabellion prove`
#[derive(Args)]
#[command(group = ArgGroup::new("what").required(true))]
#[command(override_usage = "tabellion prove DIR NAME|--paper sha256:ID|--catch-up M [--at N] [--pin FILE] --out FILE")]
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
    /// Your pin: the number you trust, from which everything is verified
    #[arg(long, value_name = "FILE", default_value = "common.pin")]
    pin: PathBuf,
    /// Prove it of this number; else of the pinned one, and a catch-up to the newest
    #[arg(long, value_name = "N")]
    at: Option<u64>,
    /// The proof to write; another file there is never replaced
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

fn pid(text: &str) -> Result<Pid, String> {
    let hash = Hash::from_hex(text.strip_prefix("sha256:").unwrap_or(text));
    hash.ok_or_else(|| "sha256: and 64 lower-case hex digits expected".into())
}

/// A proof that was written.
#[derive(Serialize)]
struct Written {
    #[serde(flatten)]
    proof: Proof,
    out: String,
}

/// What a proof is of.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Proof {
    /// Without an entry: that the name stands for nothing.
    Name {
        name: String,
        number: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        entry: Option<facts::Entry>,
    },
    Paper {
        id: String,
        number: u64,
    },
    CatchUp {
        from: u64,
        hashes: usize,
    },
}

impl Answer for Written {
    fn say(&self, page: &mut Page) {
        match &self.proof {
            Proof::Name { name, number, entry: Some(entry) } => {
                page.labelled("present", format!("{name} at common@{number}: {}", stands_for(entry)));
            }
            Proof::Name { name, number, entry: None } => page.labelled("absent", format!("{name} stands for nothing at common@{number}")),
            Proof::Paper { id, number } => {
                page.labelled("accepted", format!("paper {} became common@{number}", id.get(..23).unwrap_or(id)))
            }
            Proof::CatchUp { from, hashes } => page.labelled("catch-up", format!("from size {from}, by {}", words::count(*hashes, "hash"))),
        }
        page.labelled("wrote", format!("{0}; whoever has a pin checks it with: tabellion verify {0}", self.out));
    }
}

/// Proves.
pub fn prove(args: ProveArgs, out: &mut Output) -> Outcomes<Exit> {
    let pin = read_pin(&args.pin)?;
    let (text, proof) = if let Some(name) = &args.name {
        let made = prove::of_name(&args.dir, &pin, name, args.at)?;
        let (number, entry) = (made.inclusion.index + 1, made.state.entry.as_ref().map(facts::Entry::from));
        (made.text(), Proof::Name { name: name.to_string(), number, entry })
    } else if let Some(pid) = &args.paper {
        let made = prove::of_paper(&args.dir, &pin, pid)?;
        (made.text(), Proof::Paper { id: facts::sha256(pid), number: made.index + 1 })
    } else {
        // One of the three was given: the command line is not read otherwise.
        let made = prove::of_catch_up(&args.dir, &pin, args.catch_up.unwrap_or_default(), args.at)?;
        (made.text(), Proof::CatchUp { from: made.old, hashes: made.hashes.len() })
    };
    prove::write_new(&args.out, &text)?;
    out.give(&Written { proof, out: args.out.display().to_string() });
    Ok(Exit::Done)
}

fn stands_for(entry: &facts::Entry) -> String {
    format!("{}, {}, {}", bytes_of(entry.size), entry.media_type, entry.sha256)
}

fn bytes_of(size: u64) -> String {
    words::count(usize::try_from(size).unwrap_or(usize::MAX), "byte")
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
    out.give(&Continues { head: (&head).into(), pin: (&pin.head).into(), vkey: pin.vkey.to_string() });
    Ok(Some(Exit::Done))
}

/// A catch-up that holds.
#[derive(Serialize)]
#[serde(tag = "kind", rename = "catch-up")]
struct Continues {
    head: facts::Head,
    pin: facts::Head,
    vkey: String,
}

impl Answer for Continues {
    fn say(&self, page: &mut Page) {
        page.labelled("proved", format!("{} continues your pin, {}", self.head, self.pin));
        page.labelled("by", format!("a proof of consistency, signed by {}", self.vkey));
    }
}

fn worthless(path: &Path, fault: Fault) -> Problem {
    let next = match fault.rule {
        Rule::CheckpointUnsigned => "ask for a proof of the Common that you pinned, or use the pin of the other",
        _ => "have it made again from any copy of the folder: tabellion prove DIR NAME --out FILE",
    };
    Problem { state: "nothing was written; this file proves nothing".into(), ..Problem::from(fault.within(path.display())) }.advising(next)
}

/// A proof of a name that holds.
#[derive(Serialize)]
#[serde(tag = "kind", rename = "name")]
struct StandsFor {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<facts::Entry>,
    head: facts::Head,
    state_root: String,
    vkey: String,
    /// The pin; of the same number it has the same root, of another one nothing shows that both are one history.
    pin: facts::Head,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Content>,
}

/// A file or folder compared with what was proved.
#[derive(Serialize)]
struct Content {
    path: String,
    sha256: String,
    size: u64,
    same: bool,
}

fn say_name(proved: &NameProved, pin: &Pin, content: Option<&Path>, out: &mut Output) -> Outcomes<Exit> {
    let entry = proved.proof.state.entry.as_ref();
    let content = content.map(|path| compared(entry, path)).transpose()?;
    let exit = if content.as_ref().is_some_and(|content| !content.same) { Exit::Differs } else { Exit::Done };
    out.give(&StandsFor {
        name: proved.proof.state.name.to_string(),
        entry: entry.map(facts::Entry::from),
        head: (&proved.head).into(),
        state_root: facts::sha256(&proved.record.state_root),
        vkey: pin.vkey.to_string(),
        pin: (&pin.head).into(),
        content,
    });
    Ok(exit)
}

fn compared(entry: Option<&Entry>, path: &Path) -> Outcomes<Content> {
    let (hash, size) = if path.is_dir() {
        let tree = read_folder(path)?.tree.to_cbor();
        (Hash::of(&tree), tree.len() as u64)
    } else {
        files::hash_file(path)?
    };
    let same = entry.is_some_and(|entry| entry.sha256 == hash && entry.size == size);
    Ok(Content { path: path.display().to_string(), sha256: facts::sha256(&hash), size, same })
}

impl Answer for StandsFor {
    fn say(&self, page: &mut Page) {
        let (name, number, pinned) = (&self.name, self.head.number, self.pin.number);
        match &self.entry {
            Some(entry) => page.labelled("proved", format!("{name} stands for {} at common@{number}", stands_for(entry))),
            None => page.labelled("proved", format!("{name} stands for nothing at common@{number}")),
        }
        let state_root = self.state_root.get(..23).unwrap_or(&self.state_root);
        page.labelled("by", format!("{}, state root {state_root}, signed by {}", self.head, self.vkey));
        let other =
            format!("at common@{pinned}, signed by the same key; that both are one history this file does not show, but: tabellion");
        match number.cmp(&pinned) {
            Ordering::Equal => page.labelled("pin", "of the same number and root"),
            Ordering::Less => page.labelled("pin", format!("{other} show DIR {name} --at {number}")),
            Ordering::Greater => page.labelled("pin", format!("{other} advance DIR")),
        }
        let Some(content) = &self.content else { return };
        let found = format!("{}: {}, {}", content.path, bytes_of(content.size), content.sha256);
        match &self.entry {
            _ if content.same => page.labelled("content", format!("{} is that content, byte for byte", content.path)),
            Some(entry) => page.labelled("differs", format!("{found}; the proof is of {}", entry.sha256)),
            None => page.labelled("differs", format!("{found}; the proof is that nothing stood there")),
        }
    }
}

//! `domain init|snapshot|log|show`: a proposer's own history, `alice@42`, beside Common.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use crate::clock;
use crate::core::ids::{Origin, Party, Text};
use crate::core::words::head_words;
use crate::keys::Seed;
use crate::keys::file::{KeyFile, WorkFactor};
use crate::run::consumer::read_pin;
use crate::run::domain::{self, Taken, shown};
use crate::run::problem::{Exit, Outcomes, Problem};

use super::output::Output;
use super::passphrase::PassphraseArgs;
use super::words;

/// `tabellion domain …`
#[derive(Subcommand)]
pub enum DomainCommand {
    /// Make an empty domain of your own
    Init {
        /// The domain's folder, to be made
        #[arg(default_value = "domain")]
        dir: PathBuf,
        /// Your name in Common, as the policy has it
        #[arg(long, value_name = "NAME", value_parser = words::typed::<Party>)]
        name: Party,
        /// The pin of the Common your domain belongs to
        #[arg(long, value_name = "FILE", default_value = "common.pin")]
        pin: PathBuf,
        /// Your key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
    /// Keep a folder as it is now, as the next number of your domain
    Snapshot {
        /// The folder to keep
        folder: PathBuf,
        /// The domain's folder
        #[arg(long, value_name = "DIR", default_value = "domain")]
        domain: PathBuf,
        /// Your key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        #[command(flatten)]
        passphrase: PassphraseArgs,
        /// Your words about it
        #[arg(long, value_name = "TEXT", value_parser = words::typed::<Text>)]
        note: Option<Text>,
        /// When it was made: RFC 3339, or none; this machine's clock without it
        #[arg(long, value_name = "TIME")]
        time: Option<String>,
    },
    /// List the snapshots of a domain
    Log {
        /// The domain's folder
        #[arg(default_value = "domain")]
        dir: PathBuf,
    },
    /// List the files of a snapshot
    Show {
        /// The domain's folder
        #[arg(default_value = "domain")]
        dir: PathBuf,
        /// The number; the newest without it
        #[arg(long, value_name = "N")]
        at: Option<u64>,
    },
}

/// Runs it.
pub fn domain(command: DomainCommand, out: &mut Output) -> Outcomes<Exit> {
    match command {
        DomainCommand::Init { dir, name, pin, key, passphrase } => {
            let origin: Origin = format!("{}/~{name}", read_pin(&pin)?.origin).parse()?;
            let identity = domain::init(&dir, &origin, &unlock(&key, &passphrase)?)?;
            out.line(format!("domain   {} in {}", identity.origin(), dir.display()));
            out.line(format!("log key  {}", identity.log));
            out.line(format!("next     keep a folder as {name}@1: tabellion domain snapshot FOLDER --domain {}", dir.display()));
            Ok(Exit::Done)
        }
        DomainCommand::Snapshot { folder, domain, key, passphrase, note, time } => {
            let time = time.as_deref().map_or_else(|| Ok(clock::now_unix()), clock::parse_claim)?;
            snapshot(&domain, &folder, &unlock(&key, &passphrase)?, note, time, out)
        }
        DomainCommand::Log { dir } => log(&dir, out),
        DomainCommand::Show { dir, at } => show(&dir, at, out),
    }
}

fn unlock(key: &Path, passphrase: &PassphraseArgs) -> Outcomes<Seed> {
    let file = KeyFile::read(key)?;
    Ok(file.unlock(&passphrase.get(&key.display().to_string())?, WorkFactor::STANDARD)?)
}

fn snapshot(dir: &Path, folder: &Path, seed: &Seed, note: Option<Text>, time: Option<u64>, out: &mut Output) -> Outcomes<Exit> {
    let (taken, identity) = domain::snapshot(dir, folder, seed, note, time)?;
    let owner = identity.owner();
    match taken {
        Taken::Unchanged(head) => out.line(format!("stays    {owner}@{}; it holds this folder as it is now", head.number)),
        Taken::As(head, new) => {
            out.line(format!("kept     {} as {owner}@{} {}", folder.display(), head.number, head_words(&head.root)));
            out.line(format!("stored   {}; the rest is in earlier snapshots", words::count(new, "new object")));
            out.line(format!("next     propose from it: tabellion propose put NAME={owner}@{}:PATH", head.number));
        }
    }
    Ok(Exit::Done)
}

fn log(dir: &Path, out: &mut Output) -> Outcomes<Exit> {
    let desk = domain::look(dir)?;
    for kept in desk.domain().kept() {
        let (number, snapshot) = (kept.record.number, &kept.snapshot);
        let time = snapshot.time.map_or(String::new(), |time| format!(", {} by its owner's claim", clock::show(time)));
        out.line(format!("{}  tree {}{time}", shown(desk.domain(), number), snapshot.tree.sha256.short()));
        if let Some(note) = &snapshot.note {
            out.line(format!("    {} wrote: {}", desk.domain().identity().owner(), note.as_str()));
        }
    }
    if desk.domain().kept().is_empty() {
        out.line(format!("empty    {} has no snapshot yet", desk.domain().identity().origin()));
    }
    Ok(Exit::Done)
}

fn show(dir: &Path, at: Option<u64>, out: &mut Output) -> Outcomes<Exit> {
    let desk = domain::look(dir)?;
    let number = at.unwrap_or(desk.domain().head().number);
    let tree = desk.tree_at(number)?;
    for row in tree.rows() {
        let executable = if row.executable { "  executable" } else { "" };
        out.line(format!("{}  {} bytes  sha256:{}{executable}", row.path, row.size, row.sha256));
    }
    Ok(Exit::Done)
}

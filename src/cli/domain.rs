//! `domain init|snapshot|log|show|audit`: a proposer's own history, `alice@42`, beside Common.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;

use crate::clock;
use crate::core::artifact::Member;
use crate::core::domain::Domain;
use crate::core::ids::{Head, Origin, Party, Text};
use crate::core::words::head_words;
use crate::keys::Seed;
use crate::keys::file::{KeyFile, WorkFactor};
use crate::run::consumer::read_pin;
use crate::run::problem::{Exit, Outcomes};
use crate::run::snapshot::snapshot;
use crate::run::{domain, words};

use super::audit::{AuditArgs, audit};
use super::output::{Answer, Output, Page};
use super::passphrase::PassphraseArgs;
use super::{argument, facts};

/// `tabellion domain …`
#[derive(Subcommand)]
pub enum DomainCommand {
    /// Make an empty domain of your own
    Init {
        /// The domain's folder, to be made
        #[arg(default_value = "domain")]
        dir: PathBuf,
        /// Your name in Common, as the policy has it
        #[arg(long, value_name = "NAME", value_parser = argument::typed::<Party>)]
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
        #[arg(long, value_name = "TEXT", value_parser = argument::typed::<Text>)]
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
    /// Who asked the domain's ledger for what, and what became of it
    Audit {
        /// The domain's folder
        #[arg(default_value = "domain")]
        dir: PathBuf,
        #[command(flatten)]
        which: Box<AuditArgs>,
    },
}

/// A number of a domain: what people write as `alice@42`.
#[derive(Serialize)]
struct Number {
    /// `alice@42`.
    name: String,
    /// The number.
    number: u64,
    /// RFC 6962 root of the domain's log, 64 hex digits.
    root: String,
    /// The first 6 of its 24 words.
    words: String,
}

impl Number {
    fn of(owner: &str, head: &Head) -> Number {
        let name = format!("{owner}@{}", head.number);
        Number { name, number: head.number, root: head.root.hex(), words: head_words(&head.root) }
    }
}

/// `domain init`
#[derive(Serialize)]
struct Made {
    /// The domain's global name.
    origin: String,
    /// Its folder.
    dir: String,
    /// Verifier key of its log.
    vkey: String,
}

impl Answer for Made {
    fn say(&self, page: &mut Page) {
        page.labelled("domain", format!("{} in {}", self.origin, self.dir));
        page.labelled("log key", &self.vkey);
        page.labelled("next", format!("keep a folder as its number 1: tabellion domain snapshot FOLDER --domain {} --key KEY", self.dir));
    }
}

/// `domain snapshot`
#[derive(Serialize)]
struct Kept {
    /// The newest number, which this snapshot is or which holds the same.
    snapshot: Number,
    /// Whether it took a number.
    is_new: bool,
    /// The folder.
    folder: String,
    /// Contents that no earlier snapshot holds.
    new_objects: usize,
    /// Empty folders, which a tree cannot hold.
    dropped: Vec<String>,
}

impl Answer for Kept {
    fn say(&self, page: &mut Page) {
        for folder in &self.dropped {
            page.labelled("dropped", format!("{folder:?}: an empty folder; a tree holds files"));
        }
        let Number { name, words, .. } = &self.snapshot;
        if !self.is_new {
            return page.labelled("stays", format!("{name} {words}; it holds {} as it is now", self.folder));
        }
        page.labelled("kept", format!("{} as {name} {words}", self.folder));
        page.labelled("stored", format!("{}; the rest is in earlier snapshots", words::count(self.new_objects, "new object")));
        page.labelled("next", format!("propose from it: tabellion propose put NAME={name}:PATH"));
    }
}

/// One snapshot in a log.
#[derive(Serialize)]
struct Listed {
    /// Its number.
    snapshot: Number,
    /// SHA-256 of its tree.
    tree: String,
    /// The owner's claim when it was made, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    /// The owner's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// `domain log`
#[derive(Serialize)]
struct Log {
    /// The domain's global name.
    origin: String,
    /// Whose it is.
    owner: String,
    /// Every snapshot, ascending.
    snapshots: Vec<Listed>,
}

impl Answer for Log {
    fn say(&self, page: &mut Page) {
        if self.snapshots.is_empty() {
            page.labelled("empty", format!("{} has no snapshot yet", self.origin));
        }
        for Listed { snapshot, tree, time, note } in &self.snapshots {
            let time = time.as_ref().map_or(String::new(), |time| format!(", {time} by its owner's claim"));
            page.line(format!("{}  {}  tree {tree}{time}", snapshot.name, snapshot.words));
            if let Some(note) = note {
                page.line(format!("    {} wrote: {note}", self.owner));
            }
        }
    }
}

/// One file of a snapshot.
#[derive(Serialize)]
struct File {
    /// Its path.
    path: String,
    /// Size in bytes.
    size: u64,
    /// SHA-256 of its content.
    sha256: String,
    /// Whether it may be executed.
    executable: bool,
}

/// `domain show`
#[derive(Serialize)]
struct Shown {
    /// The number shown.
    snapshot: Number,
    /// Its files, by path.
    files: Vec<File>,
}

impl Answer for Shown {
    fn say(&self, page: &mut Page) {
        page.line(format!("{}  {}", self.snapshot.name, self.snapshot.words));
        for file in &self.files {
            let executable = if file.executable { "  executable" } else { "" };
            page.line(format!("{}  {} bytes  {}{executable}", file.path, file.size, file.sha256));
        }
    }
}

/// Runs it.
pub fn domain(command: DomainCommand, out: &mut Output) -> Outcomes<Exit> {
    match command {
        DomainCommand::Init { dir, name, pin, key, passphrase } => {
            let origin: Origin = format!("{}/~{name}", read_pin(&pin)?.origin).parse()?;
            let identity = domain::init(&dir, &origin, &unlock(&key, &passphrase)?)?;
            out.give(&Made { origin: origin.to_string(), dir: dir.display().to_string(), vkey: identity.log.to_string() });
        }
        DomainCommand::Snapshot { folder, domain, key, passphrase, note, time } => {
            let time = time.as_deref().map_or_else(|| Ok(clock::now_unix()), clock::parse_claim)?;
            let seed = unlock(&key, &passphrase)?;
            let (taken, writer) = snapshot(&domain, &folder, &seed, note, time)?;
            out.give(&Kept {
                snapshot: Number::of(taken.identity.owner(), &taken.head),
                is_new: taken.new_objects.is_some(),
                folder: folder.display().to_string(),
                new_objects: taken.new_objects.unwrap_or(0),
                dropped: taken.dropped,
            });
            // Behind the answer: others may be asking.
            writer.leave()?;
        }
        DomainCommand::Log { dir } => out.give(&log(domain::look(&dir)?.domain())),
        DomainCommand::Show { dir, at } => {
            let desk = domain::look(&dir)?;
            let number = at.unwrap_or(desk.domain().head().number);
            let tree = desk.tree_at(number)?;
            let file = |member: &Member| File {
                path: member.path.clone(),
                size: member.size,
                sha256: facts::sha256(&member.sha256),
                executable: member.executable,
            };
            let snapshot = Number::of(desk.domain().identity().owner(), &desk.at(number)?.head);
            out.give(&Shown { snapshot, files: tree.members().iter().map(file).collect() });
        }
        DomainCommand::Audit { dir, which } => return audit(&dir, &which, out),
    }
    Ok(Exit::Done)
}

fn unlock(key: &Path, passphrase: &PassphraseArgs) -> Outcomes<Seed> {
    let file = KeyFile::read(key)?;
    Ok(file.unlock(&passphrase.get(&key.display().to_string())?, WorkFactor::STANDARD)?)
}

fn log(domain: &Domain) -> Log {
    let owner = domain.identity().owner();
    let listed = |kept: &crate::core::domain::Kept| Listed {
        snapshot: Number::of(owner, &kept.head),
        tree: facts::sha256(&kept.snapshot.tree.sha256),
        time: kept.snapshot.time.map(clock::show),
        note: kept.snapshot.note.as_ref().map(|note| note.as_str().to_owned()),
    };
    Log { origin: domain.identity().origin().to_string(), owner: owner.to_owned(), snapshots: domain.kept().iter().map(listed).collect() }
}

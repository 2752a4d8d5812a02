//! `witness backup`, `witness restore`: the desk into one sealed file, what is in such a file, and out of it again as a standby.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::keys::backup::Identities;
use crate::run::backup::{self as run, BackedUp, Contents};
use crate::run::problem::{Exit, Outcomes, Problem};
use crate::run::restore::{self, seen};
use crate::run::standby::Standby;

use super::facts::{Head, sha256};
use super::output::{Answer, Output, Page};
use super::passphrase::PassphraseArgs;

/// `tabellion witness backup`
#[derive(Args)]
pub struct BackupArgs {
    /// The desk's folder; a session may run on it, and it may be halted
    #[arg(long, value_name = "DIR", required_unless_present = "verify", conflicts_with = "verify", requires = "out")]
    ledger: Option<PathBuf>,
    /// The file to make; or a folder, in which it is named by what it holds
    #[arg(value_name = "OUT")]
    out: Option<PathBuf>,
    /// Verify a backup instead: restore it to a place of our own, check everything, and say what it holds
    #[arg(long, value_name = "FILE", conflicts_with = "out")]
    verify: Option<PathBuf>,
    /// What opens it: an age identity file (tabellion key identity), or a copy of the desk's sealed key
    #[arg(long, value_name = "FILE", requires = "verify")]
    identity: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// `tabellion witness restore`
#[derive(Args)]
pub struct RestoreArgs {
    /// The backup
    file: PathBuf,
    /// The folder to make, which is not there yet or is empty
    dir: PathBuf,
    /// What opens it: an age identity file (tabellion key identity), or a copy of the desk's sealed key
    #[arg(long, value_name = "FILE")]
    identity: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// What a backup holds.
#[derive(Serialize)]
struct Held {
    /// The hash of the backup: what an order to hand over names.
    backup: String,
    /// The Common.
    origin: String,
    /// Whether it counts for nothing.
    rehearsal: bool,
    /// The charter's fingerprint, 64 hex digits.
    fingerprint: String,
    /// The ledger's head.
    head: Head,
    /// Events, each verified.
    events: u64,
    /// Sessions, the founding among them.
    sessions: usize,
    /// Papers that wait.
    papers_held: usize,
    /// Files in it.
    files: usize,
    /// Bytes of these files.
    content_bytes: u64,
    /// Version of the program that made it.
    program: String,
    /// A session that is committed and not sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    unsealed: Option<u64>,
    /// Why the desk signs nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    halted: Option<String>,
}

impl Held {
    fn of(contents: &Contents) -> Outcomes<Held> {
        let Contents { hash, header, books, halted } = contents;
        Ok(Held {
            backup: sha256(hash),
            origin: header.origin.to_string(),
            rehearsal: books.charter()?.rehearsal,
            fingerprint: header.fingerprint.to_string(),
            head: (&header.head).into(),
            events: header.last_event.0,
            sessions: books.headings().len(),
            papers_held: books.held().len(),
            files: header.files.len(),
            content_bytes: header.content_bytes(),
            program: header.program.clone(),
            unsealed: books.unsealed().map(|heading| heading.session),
            halted: halted.clone(),
        })
    }

    fn say(&self, page: &mut Page) {
        let Held { events, sessions, papers_held, files, content_bytes, .. } = self;
        page.labelled("origin", format!("{}{}", self.origin, if self.rehearsal { ", a REHEARSAL" } else { "" }));
        page.labelled("head", self.head.to_string());
        page.labelled("fingerprint", &self.fingerprint);
        page.labelled(
            "holds",
            format!("events {events}, sessions {sessions}, papers held {papers_held}; files {files}, bytes {content_bytes}"),
        );
        page.labelled("backup", format!("{}   as an order to hand over names it", self.backup));
        if let Some(session) = self.unsealed {
            page.labelled(
                "broken",
                format!("session {session} is committed but not sealed in it: whoever becomes the writer seals it first"),
            );
        }
        if let Some(reason) = &self.halted {
            page.labelled("HALTED", format!("{reason}; and so is what is restored from it"));
        }
    }
}

/// `witness backup`
#[derive(Serialize)]
struct Made {
    #[serde(flatten)]
    held: Held,
    /// The file.
    file: String,
    /// Its size.
    size_bytes: u64,
    /// Its SHA-256, as it was read back.
    sha256: String,
    /// The age recipient of the charter.
    recipient: String,
    /// Files beside the ledger that are not what their names say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<String>,
}

impl Made {
    fn of(made: &BackedUp) -> Outcomes<Made> {
        Ok(Made {
            held: Held::of(&made.contents)?,
            file: made.file.display().to_string(),
            size_bytes: made.size_bytes,
            sha256: sha256(&made.sha256),
            recipient: made.contents.books.charter()?.backup_recipient.clone(),
            left_out: made.left_out.iter().map(|path| path.display().to_string()).collect(),
        })
    }
}

impl Answer for Made {
    fn say(&self, page: &mut Page) {
        self.held.say(page);
        page.labelled("sealed", format!("for {}", self.recipient));
        page.labelled("wrote", format!("{}, {} bytes, read back", self.file, self.size_bytes));
        for path in &self.left_out {
            page.labelled("left out", format!("{path}: its content is not what its name says"));
        }
        page.labelled("next", "keep it away from the desk, and see that it opens, where the identity is kept:");
        page.labelled("", format!("tabellion witness backup --verify {} --identity FILE", self.file));
    }
}

/// `witness backup --verify`
#[derive(Serialize)]
struct Verified {
    /// Whether it was opened, and everything in it checked.
    opened: bool,
    /// The file.
    file: String,
    /// Its size.
    size_bytes: u64,
    #[serde(flatten)]
    held: Option<Held>,
}

impl Answer for Verified {
    fn say(&self, page: &mut Page) {
        let Some(held) = &self.held else {
            page.labelled("file", format!("{}, {} bytes: the beginning of an age file for a recipient", self.file, self.size_bytes));
            page.labelled("unopened", "for whom it is, what is in it, and whether it is whole, only what opens it can tell");
            page.labelled(
                "next",
                "run it again with --identity FILE: the identity of this witness's backups, or a copy of the desk's sealed key",
            );
            return;
        };
        page.labelled(
            "verified",
            format!("{}, {} bytes: restored to a place of our own, and every check of a start passed", self.file, self.size_bytes),
        );
        held.say(page);
    }
}

/// `witness restore`
#[derive(Serialize)]
struct Restored {
    #[serde(flatten)]
    held: Held,
    /// The folder.
    dir: String,
}

impl Answer for Restored {
    fn say(&self, page: &mut Page) {
        self.held.say(page);
        page.labelled("restored", &self.dir);
        page.labelled("STANDBY", format!("it ends with common@{}, signs nothing, and has no key", self.held.head.number));
        page.labelled("next", format!("look at it: tabellion witness status --ledger {}", self.dir));
        page.labelled("", "only an order of the governors to hand over makes it the writer (docs/backup.md)");
    }
}

/// What a desk's folder without an instance file is.
#[derive(Serialize)]
pub struct StandbyFacts {
    /// Where it comes from, in words.
    words: String,
    /// The hash of the backup it was restored from.
    #[serde(skip_serializing_if = "Option::is_none")]
    backup: Option<String>,
    /// N of `common@N` in that backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
}

impl StandbyFacts {
    /// The facts of a standby.
    pub fn of(standby: &Standby) -> StandbyFacts {
        let from = standby.from.as_ref();
        StandbyFacts { words: standby.words(), backup: from.map(|from| sha256(&from.backup)), number: from.map(|from| from.head.number) }
    }

    /// Says that it is one, and what that means.
    pub fn say(&self, page: &mut Page) {
        page.labelled("STANDBY", format!("this is {}: it signs nothing, and no event is appended to it", self.words));
        page.below("next", "the desk that is the writer goes on; only an order of the governors to hand over makes this one the writer");
    }
}

fn identities(path: &Path, passphrase: &PassphraseArgs) -> Outcomes<Identities> {
    Ok(Identities::read(path, &mut || passphrase.get(&path.display().to_string()))?)
}

/// Runs `witness backup`.
pub fn backup(args: &BackupArgs, out: &mut Output) -> Outcomes<Exit> {
    let progress = out.progress(false);
    match (&args.verify, &args.ledger, &args.out) {
        (Some(file), _, _) => {
            let size_bytes = seen(file)?;
            let opener = args.identity.as_deref().map(|path| identities(path, &args.passphrase)).transpose()?;
            let contents = opener.map(|opener| restore::verify(file, &opener, &mut |effect, what| progress.effect(effect, what)));
            drop(progress);
            let held = contents.transpose()?.map(|contents| Held::of(&contents)).transpose()?;
            let verified = Verified { opened: held.is_some(), file: file.display().to_string(), size_bytes, held };
            out.give(&verified);
            Ok(if verified.opened { Exit::Done } else { Exit::Differs })
        }
        (None, Some(ledger), Some(to)) => {
            let made = run::backup(ledger, to, &mut |effect, what| progress.effect(effect, what))?;
            drop(progress);
            out.give(&Made::of(&made)?);
            Ok(Exit::Done)
        }
        _ => Err(Problem::usage("neither --ledger DIR with OUT nor --verify FILE found; one of them expected")),
    }
}

/// Runs `witness restore`.
pub fn restore(args: &RestoreArgs, out: &mut Output) -> Outcomes<Exit> {
    let opener = identities(&args.identity, &args.passphrase)?;
    let progress = out.progress(false);
    let contents = restore::restore(&args.file, &opener, &args.dir, &mut |effect, what| progress.effect(effect, what))?;
    drop(progress);
    out.give(&Restored { held: Held::of(&contents)?, dir: args.dir.display().to_string() });
    Ok(Exit::Done)
}

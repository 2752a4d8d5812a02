//! `witness init|export`: what the operator does beside sessions.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::core::ids::Text;
use crate::core::note::VerifierKey;
use crate::core::rules::{Fault, Rule};
use crate::core::words::words24;
use crate::keys::file::WorkFactor;
use crate::run::found::{self, Draft};
use crate::run::problem::{Exit, Outcomes, Problem};
use crate::run::qr;
use crate::run::session::export as export_to;

use super::argument;
use super::audit::{AuditArgs, audit};
use super::backup::{BackupArgs, RestoreArgs, backup, restore};
use super::charter::Charter;
use super::code::Code;
use super::desk_facts::head_as_asked;
use super::facts::Head;
use super::integrity::{IntegrityArgs, integrity};
use super::output::{Answer, Output, Page};
use super::passphrase::{PassphraseArgs, ask_for_dice};
use super::rebuild::{RebuildArgs, rebuild};
use super::session::{SessionArgs, session, time_claim};
use super::status::{StatusArgs, status};

/// `tabellion witness …`
#[derive(Subcommand)]
pub enum WitnessCommand {
    /// Found a Common: first with a policy, then, when the charter is signed, with the charter
    Init(Box<InitArgs>),
    /// One visit: media in, verdicts, numbers, results out
    Session(Box<SessionArgs>),
    /// Write everything published to another medium: the same bytes, no key
    Export {
        /// The desk's folder
        #[arg(long, value_name = "DIR")]
        ledger: PathBuf,
        /// The medium to write to, where it is mounted
        #[arg(long, value_name = "DIR")]
        media: PathBuf,
    },
    /// Make a sealed copy of the desk, also while a session runs; or verify one
    Backup(BackupArgs),
    /// Make a standby of a backup in a new folder: it can be looked at, and signs nothing
    Restore(RestoreArgs),
    /// Check the whole desk, and say what was found; also while it is halted
    Integrity(Box<IntegrityArgs>),
    /// Make every table that follows from the events again, and compare
    Rebuild(RebuildArgs),
    /// Where the desk stands
    Status(StatusArgs),
    /// Who asked the ledger for what, and what became of it; also while the desk is halted
    Audit {
        /// The desk's folder
        #[arg(long, value_name = "DIR")]
        ledger: PathBuf,
        #[command(flatten)]
        which: Box<AuditArgs>,
    },
}

/// `tabellion witness init`
#[derive(Args)]
pub struct InitArgs {
    /// The desk's folder
    dir: PathBuf,
    /// The first policy, as TOML
    #[arg(long, value_name = "FILE", required_unless_present = "charter", requires = "next_key")]
    policy: Option<PathBuf>,
    /// Verifier key of the log key after this one, made elsewhere; its name is the origin
    #[arg(long, value_name = "VKEY", requires = "policy", value_parser = argument::typed::<VerifierKey>)]
    next_key: Option<VerifierKey>,
    /// The founders' words, for people
    #[arg(long, value_name = "TEXT", requires = "policy", value_parser = argument::typed::<Text>)]
    text: Option<Text>,
    /// Everything made is marked a rehearsal and counts for nothing
    #[arg(long, requires = "policy")]
    rehearsal: bool,
    /// Ask for rolls of a die, and mix them into the new key
    #[arg(long, requires = "policy")]
    dice: bool,
    /// The signed charter: founds
    #[arg(long, value_name = "FILE", conflicts_with = "policy")]
    charter: Option<PathBuf>,
    /// Time claim of the founding: RFC 3339, or none
    #[arg(long, value_name = "TIME", requires = "charter")]
    time: Option<String>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Runs it.
pub fn witness(command: WitnessCommand, out: &mut Output) -> Outcomes<Exit> {
    match command {
        WitnessCommand::Init(args) => init(*args, out),
        WitnessCommand::Session(args) => session(&args, out),
        WitnessCommand::Export { ledger, media } => {
            let progress = out.progress(false);
            let desk = export_to(&ledger, &media, &mut |effect, what| progress.effect(effect, what))?;
            drop(progress);
            out.give(&Exported { head: (&desk.books().head()).into(), medium: media.display().to_string() });
            Ok(Exit::Done)
        }
        WitnessCommand::Backup(args) => backup(&args, out),
        WitnessCommand::Restore(args) => restore(&args, out),
        WitnessCommand::Integrity(args) => integrity(&args, out),
        WitnessCommand::Rebuild(args) => rebuild(&args, out),
        WitnessCommand::Status(args) => status(&args, out),
        WitnessCommand::Audit { ledger, which } => audit(&ledger, &which, out),
    }
}

/// `witness init` with a charter
#[derive(Serialize)]
struct Founded {
    /// The Common that is founded.
    origin: String,
    /// Its head.
    head: Head,
    /// The charter's fingerprint, 64 hex digits.
    fingerprint: String,
    /// The same as 24 words.
    fingerprint_words: String,
    /// The fingerprint as a code, for a terminal.
    #[serde(skip)]
    code: Code,
}

impl Answer for Founded {
    fn say(&self, page: &mut Page) {
        page.labelled("founded", format!("{} as {}", self.origin, self.head));
        page.labelled("fingerprint", &self.fingerprint);
        page.labelled("in words   ", &self.fingerprint_words);
        self.code.say(page);
        page.labelled(
            "next",
            "read the fingerprint, in hex or in its 24 words, to everyone who will pin this Common, by telephone or on paper",
        );
        page.labelled(
            "",
            format!("and keep {} for yourself: the head's number and words, which a session asks for", head_as_asked(&self.head)),
        );
    }
}

/// `witness init` with a policy
#[derive(Serialize)]
struct Drafted {
    /// What the governors would sign.
    charter: Charter,
    /// How many of the governors' signatures it needs.
    signatures_needed: u64,
    /// Who can give them.
    governors: Vec<String>,
    /// The desk's folder.
    desk: String,
    /// The payload that was written.
    file: String,
    /// Where `approve` puts the signed charter.
    signed_file: String,
}

impl Answer for Drafted {
    fn say(&self, page: &mut Page) {
        self.charter.say(page);
        page.labelled("wrote", &self.file);
        page.labelled("next", format!("{} of {} run: tabellion approve {}", self.signatures_needed, self.governors.join(", "), self.file));
        page.labelled("", format!("then: tabellion witness init {} --charter {}", self.desk, self.signed_file));
    }
}

fn init(args: InitArgs, out: &mut Output) -> Outcomes<Exit> {
    if let Some(charter) = &args.charter {
        let time = time_claim(args.time.as_deref())?;
        let passphrase = args.passphrase.get("the desk's key")?;
        let desk = found::commit(&args.dir, charter, time, &passphrase, &mut |_, _| {})?;
        let (origin, fingerprint) = (desk.books().origin()?, desk.books().log().root_at(1).unwrap_or_default());
        out.give(&Founded {
            origin: origin.to_string(),
            head: (&desk.books().head()).into(),
            fingerprint: fingerprint.to_string(),
            fingerprint_words: words24(&fingerprint),
            code: Code::of(&qr::fingerprint_text(origin, &fingerprint))?,
        });
        return Ok(Exit::Done);
    }
    let (Some(policy), Some(next)) = (args.policy, args.next_key) else {
        return Err(Problem::usage("--policy FILE with --next-key VKEY, or --charter FILE expected"));
    };
    let before = found::key_made_before(&args.dir);
    let dice = match (args.dice, &before) {
        (true, Some(key)) => return Err(no_die_for(key)),
        (true, None) => Some(ask_for_dice()?),
        (false, _) => None,
    };
    let draft = Draft { dir: args.dir, policy, next, text: args.text, rehearsal: args.rehearsal, dice };
    let passphrase = match before {
        Some(_) => args.passphrase.get("the desk's key"),
        None => args.passphrase.choose("the desk's key"),
    }?;
    let (path, charter) = found::draft(&draft, &passphrase, WorkFactor::STANDARD)?;
    out.give(&Drafted {
        charter: (&charter).into(),
        signatures_needed: charter.policy.group(&charter.policy.governors).map_or(0, |group| group.k),
        governors: charter.policy.expand(&charter.policy.governors).iter().map(ToString::to_string).collect(),
        desk: draft.dir.display().to_string(),
        file: path.display().to_string(),
        signed_file: path.with_file_name("charter.cose").display().to_string(),
    });
    Ok(Exit::Done)
}

/// Rolls cannot be mixed into a key that is there: whoever rolls would believe that they were.
fn no_die_for(key: &Path) -> Problem {
    let found = format!("{}: a key that was made before found; none, so that rolls of a die can be mixed into it, expected", key.display());
    Problem::from(Fault::new(Rule::Exists, found))
        .advising("run the same command without --dice: the founding goes on with that key and its passphrase")
}

/// `witness export`
#[derive(Serialize)]
struct Exported {
    /// The head up to which everything was written, read back and compared.
    head: Head,
    /// Where to.
    medium: String,
}

impl Answer for Exported {
    fn say(&self, page: &mut Page) {
        page.labelled("wrote", format!("everything up to {} to {}, read back and compared", self.head, self.medium));
    }
}

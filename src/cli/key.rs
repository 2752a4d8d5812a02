//! `key new`, `key show`: a proposer's, custodian's or witness's key, in a file that age seals.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;

use crate::core::ids::{Hash, Origin, kid_of};
use crate::core::note::VerifierKey;
use crate::core::policy_text::show_key;
use crate::keys::Seed;
use crate::keys::backup::identity_file;
use crate::keys::file::{KeyFile, WorkFactor, seal, write_new};
use crate::run::problem::{Exit, Outcomes, Unchanged};

use super::desk_facts::Value;
use super::facts;
use super::output::{Answer, Output, Page};
use super::passphrase::PassphraseArgs;

/// `tabellion key …`
#[derive(Subcommand)]
pub enum KeyCommand {
    /// Make a new key in a new file
    New {
        /// The key file to make, which must not be there yet
        file: PathBuf,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
    /// Write what opens a witness's backups, and signs nothing: an age identity file, for those who keep backups
    Identity {
        /// The witness's key file
        file: PathBuf,
        /// The identity file to make, which must not be there yet
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Of a rehearsal, whose keys are others
        #[arg(long)]
        rehearsal: bool,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
    /// Show the public parts of a key; needs no passphrase
    Show {
        /// The key file
        file: PathBuf,
        /// Print only the public key, as a policy lists it
        #[arg(long, conflicts_with = "vkey")]
        public: bool,
        /// Print only the verifier key this would be as the log key of this origin
        #[arg(long, value_name = "ORIGIN", value_parser = super::argument::typed::<Origin>)]
        vkey: Option<Origin>,
    },
}

/// A key's public parts.
#[derive(Serialize)]
struct KeyFacts {
    /// The file.
    file: String,
    /// As a policy lists it.
    public: String,
    /// Thumbprint of the member's key.
    key_id: String,
    /// Public key as a witness's log key.
    log: String,
    /// SHA-256 of the log key, as a charter names the next one.
    next_key: String,
}

impl KeyFacts {
    fn of(file: &Path, member: &[u8; 32], log: &[u8; 32]) -> KeyFacts {
        KeyFacts {
            file: file.display().to_string(),
            public: show_key(member),
            key_id: kid_of(member).to_string(),
            log: show_key(log),
            next_key: facts::sha256(&Hash::of(log)),
        }
    }
}

/// `key new`
#[derive(Serialize)]
struct Made(KeyFacts);

impl Answer for Made {
    fn say(&self, page: &mut Page) {
        let Made(key) = self;
        page.labelled("made", format!("{}, sealed with your passphrase", key.file));
        page.labelled("public", &key.public);
        page.labelled("key id", &key.key_id);
        page.labelled("next", "a member's key: give the public line to those who write the policy");
        page.labelled("", format!("a witness's next key: tabellion key show {} --vkey ORIGIN", key.file));
        page.labelled("", "keep the file and the passphrase apart");
    }
}

/// `key show`
#[derive(Serialize)]
struct Shown(KeyFacts);

impl Answer for Shown {
    fn say(&self, page: &mut Page) {
        let Shown(key) = self;
        page.labelled("public", format!("{}   as a member's key", key.public));
        page.labelled("key id", &key.key_id);
        page.labelled("log", format!("{}   as a witness's log key", key.log));
        page.labelled("next key", format!("{}   as a charter names it", key.next_key));
        page.labelled("note", "these lines stand outside the seal; they are compared with the key whenever it is unlocked");
    }
}

/// `key identity`
#[derive(Serialize)]
struct Identity {
    /// The file.
    file: String,
    /// The recipient whose files it opens, as the charter has it.
    recipient: String,
}

impl Answer for Identity {
    fn say(&self, page: &mut Page) {
        page.labelled("made", format!("{}, not sealed: whoever has it can open the backups, and sign nothing", self.file));
        page.labelled("opens", format!("what is sealed for {}", self.recipient));
        page.labelled(
            "next",
            "give it to those who keep the backups, keep it apart from them, and try it: tabellion witness backup --verify",
        );
    }
}

/// Runs it.
pub fn key(command: KeyCommand, out: &mut Output) -> Outcomes<Exit> {
    match command {
        KeyCommand::New { file, passphrase } => {
            let seed = Seed::generate()?;
            let passphrase = passphrase.choose(&file.display().to_string()).unchanged(|| "no key was made".into())?;
            write_new(&file, &seal(&seed, &passphrase, WorkFactor::STANDARD)?).unchanged(|| "no key was made".into())?;
            let sealed = KeyFile::read(&file)?;
            out.give(&Made(KeyFacts::of(&file, &sealed.member_public, &sealed.log_public)));
        }
        KeyCommand::Identity { file, out: to, rehearsal, passphrase } => {
            let key = KeyFile::read(&file)?;
            let passphrase = passphrase.get(&file.display().to_string())?;
            let (text, recipient) = identity_file(&key.unlock(&passphrase, WorkFactor::STANDARD)?, rehearsal)?;
            write_new(&to, &text)?;
            out.give(&Identity { file: to.display().to_string(), recipient });
        }
        KeyCommand::Show { file, public, vkey } => {
            let key = KeyFile::read(&file)?;
            match (public, vkey) {
                (true, _) => out.give(&Value { value: show_key(&key.member_public) }),
                (false, Some(origin)) => out.give(&Value { value: VerifierKey::new(origin, &key.log_public)?.to_string() }),
                (false, None) => out.give(&Shown(KeyFacts::of(&file, &key.member_public, &key.log_public))),
            }
        }
    }
    Ok(Exit::Done)
}

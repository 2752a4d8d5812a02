//! `key new`, `key show`: a proposer's, custodian's or witness's key, in a file that age seals.

use std::path::PathBuf;

use clap::Subcommand;

use crate::core::ids::{Hash, Origin, kid_of};
use crate::core::note::VerifierKey;
use crate::core::policy_text::show_key;
use crate::keys::Seed;
use crate::keys::file::{KeyFile, WorkFactor, seal, write_new};
use crate::run::problem::{Exit, Outcomes, Unchanged};

use super::output::Output;
use super::passphrase::PassphraseArgs;

/// `tabellion key …`
#[derive(Subcommand)]
pub enum KeyCommand {
    /// Make a new key in a new file
    New {
        /// The file to make
        file: PathBuf,
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

/// Runs it.
pub fn key(command: KeyCommand, out: &mut Output) -> Outcomes<Exit> {
    match command {
        KeyCommand::New { file, passphrase } => {
            let seed = Seed::generate()?;
            let passphrase = passphrase.choose(&file.display().to_string()).unchanged(|| "no key was made".into())?;
            write_new(&file, &seal(&seed, &passphrase, WorkFactor::STANDARD)?).unchanged(|| "no key was made".into())?;
            let public = seed.member(false).public_bytes();
            out.line(format!("made     {}, sealed with your passphrase", file.display()));
            out.line(format!("public   {}", show_key(&public)));
            out.line(format!("key id   {}", kid_of(&public)));
            out.line("next     a member's key: give the public line to those who write the policy");
            out.line(format!("         a witness's next key: tabellion key show {} --vkey ORIGIN", file.display()));
            out.line("         keep the file and the passphrase apart");
        }
        KeyCommand::Show { file, public, vkey } => {
            let key = KeyFile::read(&file)?;
            match (public, vkey) {
                (true, _) => out.line(show_key(&key.member_public)),
                (false, Some(origin)) => out.line(VerifierKey::new(origin, &key.log_public)?.to_string()),
                (false, None) => {
                    out.line(format!("public   {}   as a member's key", show_key(&key.member_public)));
                    out.line(format!("key id   {}", kid_of(&key.member_public)));
                    out.line(format!("log      {}   as a witness's log key", show_key(&key.log_public)));
                    out.line(format!("next key sha256:{}   as a charter names it", Hash::of(&key.log_public)));
                    out.line("note     these lines stand outside the seal; they are compared with the key whenever it is unlocked");
                }
            }
        }
    }
    Ok(Exit::Done)
}

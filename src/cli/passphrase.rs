//! Where a passphrase comes from: a file, a descriptor, or the terminal. Never the command line, never the environment.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::Args;
use zeroize::Zeroizing;

use crate::core::rules::{Checked, Fault, Rule};
use crate::keys::Passphrase;
use crate::keys::derive::MemberKey;
use crate::keys::entropy::Dice;
use crate::keys::file::{KeyFile, WorkFactor};

/// How the passphrase of a key is given.
#[derive(Args, Clone)]
pub struct PassphraseArgs {
    /// Read the key's passphrase from the first line of this file instead of asking
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Read the passphrase from this open file descriptor, as 3 with 3< behind the command
    #[arg(long, value_name = "N", conflicts_with = "passphrase_file")]
    passphrase_fd: Option<u32>,
}

impl PassphraseArgs {
    /// The passphrase of an existing key.
    ///
    /// # Errors
    /// `passphrase`, `not-found`, `file-fault`; `usage` when nobody can be asked.
    pub fn get(&self, of: &str) -> Checked<Passphrase> {
        self.given()?.map_or_else(|| ask(&format!("Passphrase of {of}: ")), Ok)
    }

    /// The passphrase, for something that may be left out: nobody is asked without a terminal, and an empty line leaves it out.
    ///
    /// # Errors
    /// `passphrase`, `not-found`, `file-fault`.
    pub fn get_or_leave_out(&self, prompt: &str) -> Checked<Option<Passphrase>> {
        match self.given()? {
            None if std::io::stdin().is_terminal() => {
                let typed = type_it(prompt)?;
                if typed.is_empty() { Ok(None) } else { Passphrase::new(&typed).map(Some) }
            }
            given => Ok(given),
        }
    }

    /// The passphrase of a new key; on a terminal it is typed twice.
    ///
    /// # Errors
    /// As [`PassphraseArgs::get`]; `passphrase` when the two differ.
    pub fn choose(&self, of: &str) -> Checked<Passphrase> {
        if let Some(passphrase) = self.given()? {
            return Ok(passphrase);
        }
        let first = type_it(&format!("New passphrase of {of}: "))?;
        let second = type_it("The same again: ")?;
        if first != second {
            return Err(Fault::new(Rule::Passphrase, "two different passphrases were typed; the same one twice expected"));
        }
        Passphrase::new(&first)
    }

    /// The member's key in a key file.
    ///
    /// # Errors
    /// As [`PassphraseArgs::get`]; those of reading and opening the file.
    pub fn unlock(&self, key: &Path) -> Checked<MemberKey> {
        let file = KeyFile::read(key)?;
        let passphrase = self.get(&key.display().to_string())?;
        Ok(file.unlock(&passphrase, WorkFactor::STANDARD)?.member(false))
    }

    /// The passphrase that an option gives, without asking anybody.
    ///
    /// # Errors
    /// `passphrase`, `not-found`, `file-fault`.
    pub fn given(&self) -> Checked<Option<Passphrase>> {
        let path = match (&self.passphrase_file, self.passphrase_fd) {
            (Some(path), _) => path.clone(),
            (None, Some(fd)) => PathBuf::from(format!("/dev/fd/{fd}")),
            (None, None) => return Ok(None),
        };
        Passphrase::from_file(&path).map(Some)
    }
}

/// Rolls of a die, typed on the terminal without being shown.
///
/// # Errors
/// `entropy-weak` with what was counted; `usage` when nobody can be asked.
pub fn ask_for_dice() -> Checked<Dice> {
    if !std::io::stdin().is_terminal() {
        return Err(Fault::new(Rule::Usage, "no terminal to ask for the rolls of a die; a terminal, or no --dice, expected"));
    }
    Dice::new(&type_it(&format!("Rolls of a die, {} or more digits from 1 to 6 (not shown): ", Dice::ROLLS_MIN))?)
}

fn ask(prompt: &str) -> Checked<Passphrase> {
    Passphrase::new(&type_it(prompt)?)
}

fn type_it(prompt: &str) -> Checked<Zeroizing<String>> {
    if !std::io::stdin().is_terminal() {
        return Err(Fault::new(Rule::Usage, "no terminal to ask for the passphrase; --passphrase-file or --passphrase-fd expected"));
    }
    let typed = rpassword::prompt_password(prompt).map_err(|error| Fault::new(Rule::Passphrase, format!("reading it: {error}")))?;
    Ok(Zeroizing::new(typed))
}

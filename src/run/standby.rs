//! A standby: a desk's folder without an instance file, as a restored backup or a copy is (SPEC 7.14).
//!
//! It can be looked at, and does nothing else: the desk it comes from may be at work, and two that sign under one key are a fork.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::broker::INSTANCE_FILE;
use crate::core::backup::{BACKUP_SMALL_BYTES_MAX, StandbyFile};
use crate::core::rules::{Checked, Fault, Rule};

use super::files;
use super::problem::Outcomes;

/// Name of the file that says where a standby comes from.
pub const STANDBY_FILE: &str = "standby";

/// A folder that is a standby.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standby {
    dir: PathBuf,
    /// The backup it was restored from; `None` for a copy, and when the file that says it is not whole.
    pub from: Option<StandbyFile>,
}

impl Standby {
    /// Whether the folder is one: `None` when something has the name of the instance file.
    ///
    /// # Errors
    /// `disk-fault` when the system does not tell.
    pub fn of(dir: &Path) -> Checked<Option<Standby>> {
        let path = dir.join(INSTANCE_FILE);
        match path.symlink_metadata() {
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(Fault::new(Rule::DiskFault, format!("{}: {error}", path.display()))),
        }
        // It only tells: what is no file of ours tells nothing.
        let file = dir.join(STANDBY_FILE);
        let is_small = file.symlink_metadata().is_ok_and(|found| found.is_file() && found.len() <= BACKUP_SMALL_BYTES_MAX);
        let text = is_small.then(|| files::read(&file).ok().and_then(|bytes| String::from_utf8(bytes).ok())).flatten();
        Ok(Some(Standby { dir: dir.to_owned(), from: text.and_then(|text| StandbyFile::parse(&text).ok()) }))
    }

    /// Where it comes from, in words.
    pub fn words(&self) -> String {
        match &self.from {
            Some(from) => format!("restored from the backup {} of common@{}", from.backup.named(), from.head.number),
            None => "a copy of a desk".into(),
        }
    }
}

/// Refuses to go on with a standby whose ledger ends with that number, if that could be told. Everything that would write, sign or publish asks
/// this.
///
/// # Errors
/// `standby`.
pub(super) fn refuse_standby(standby: Option<&Standby>, last: Option<u64>) -> Outcomes<()> {
    let Some(standby) = standby else { return Ok(()) };
    let at = last.map_or(String::new(), |number| format!(", its ledger ends with common@{number}"));
    let path = standby.dir.join(INSTANCE_FILE);
    let found =
        format!("{}: no file found; that of the desk which is the writer expected: this is {}{at}", path.display(), standby.words());
    Err(Fault::new(Rule::Standby, found).into())
}

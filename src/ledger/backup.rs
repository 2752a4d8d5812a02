//! A copy of the database as it stands at one moment, made while another process may append to it.
//!
//! SQLite's online backup reads one state through this connection: what is committed meanwhile is not in the copy, and nobody waits for it.
//! The copy is a file alone, without a log. Whether it holds what was appended is for whoever opens it to check.

use std::fs;
use std::path::Path;

use rusqlite::OpenFlags;
use rusqlite::backup::{Backup, StepResult};

use super::open::connect;
use super::{DATABASE_FILE, Ledger, Trouble, disk_fault, file_fault};
use crate::core::rules::{Checked, Fault, Rule};

impl Ledger {
    /// Copies the database into the folder `into`, which has none yet. The copy is not synced: it is for reading it at once.
    ///
    /// # Errors
    /// `file-fault` when there is a database or the copy cannot be written; `another-writer`; faults of reading this ledger.
    pub fn copy_to(&self, into: &Path) -> Checked<()> {
        self.usable()?;
        let path = fs::canonicalize(into).map_err(|error| disk_fault(into, &error))?.join(DATABASE_FILE);
        if path.symlink_metadata().is_ok() {
            return Err(file_fault(&path, "something is there; nothing expected"));
        }
        let doing = format!("copying the database to {}", path.display());
        // The copy's own faults are not those of this ledger's disk: nothing latches.
        let fault = |error: rusqlite::Error| Fault { rule: copy_rule(&error), ..Trouble::of_sqlite(&doing, &error).fault };
        let mut copy = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        let backup = Backup::new(&self.db, &mut copy).map_err(fault)?;
        // All pages in one step, so all of one state.
        let stepped = backup.step(-1).map_err(fault)?;
        drop(backup);
        if stepped != StepResult::Done {
            return Err(Fault::new(Rule::AnotherWriter, format!("{doing}: {stepped:?} found; a whole copy expected")));
        }
        copy.close().map_err(|(_, error)| fault(error))
    }
}

/// A full disk is where the copy goes to; anything else is as for reading.
fn copy_rule(error: &rusqlite::Error) -> Rule {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull | rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::CannotOpen) => Rule::FileFault,
        _ => Trouble::of_sqlite("copying", error).fault.rule,
    }
}

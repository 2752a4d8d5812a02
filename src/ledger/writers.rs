//! Who else writes to a ledger, asked with no more waiting than a person notices.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use rusqlite::{ErrorCode, OpenFlags};

use super::open::connect;
use super::place::{lock_must_be_a_file, try_lock};
use super::{DATABASE_FILE, LOCK_FILE, disk_fault};
use crate::core::rules::{Checked, Fault, Rule};

/// Who else writes to the ledger in `dir` at this moment, in words: whoever holds our lock, or a program that ignores it and has a write
/// transaction open. Answers at once and changes nothing; whether the database can be read is for the checks to say.
///
/// # Errors
/// `disk-fault` when the lock cannot be asked for.
pub fn other_writer(dir: &Path) -> Checked<Option<String>> {
    let path = dir.join(LOCK_FILE);
    let lock = match File::options().write(true).open(&path) {
        Ok(file) => match try_lock(&file) {
            Ok(()) => Some(file),
            Err(TryLockError::WouldBlock) => return Ok(Some(format!("another process holds {}", path.display()))),
            Err(TryLockError::Error(error)) => return Err(Fault::new(Rule::DiskFault, format!("{}: {error}", path.display()))),
        },
        // Without the file nobody holds it.
        Err(_) => None,
    };
    let Ok(canonical) = std::fs::canonicalize(dir) else { return Ok(None) };
    let Ok(db) = connect(&canonical.join(DATABASE_FILE), OpenFlags::SQLITE_OPEN_READ_WRITE) else { return Ok(None) };
    let asked = db.busy_timeout(Duration::ZERO).and_then(|()| db.execute_batch("BEGIN IMMEDIATE; ROLLBACK;"));
    let busy = asked.is_err_and(|error| matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)));
    drop((db, lock));
    let found = format!("a program that does not ask for our lock has a write transaction open in {}", dir.join(DATABASE_FILE).display());
    Ok(busy.then_some(found))
}

/// Whether another process holds the lock of the ledger in `dir` at this moment: asked once, without waiting.
///
/// # Errors
/// `ledger-fault` when no plain file is there; `disk-fault`, `file-fault`.
pub fn is_locked(dir: &Path) -> Checked<bool> {
    let path = dir.join(LOCK_FILE);
    lock_must_be_a_file(dir)?;
    match File::options().write(true).open(&path).map(|file| file.try_lock()) {
        Ok(Err(TryLockError::WouldBlock)) => Ok(true),
        Ok(Err(TryLockError::Error(error))) => Err(disk_fault(&path, &error)),
        Ok(Ok(())) => Ok(false),
        // Without the file nobody holds it.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(disk_fault(&path, &error)),
    }
}

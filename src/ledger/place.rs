//! What may lie where the ledger lies, and whether it is still the same: SQLite opens by name and takes what it finds there.
//!
//! A journal planted beside the database would be played back into it, a link would let another folder's lock guard the same file, and a
//! file that was replaced while it was open would take what we commit with it. Each is refused here, in words, before SQLite sees it.
//!
//! This module only looks: it never opens, repairs or removes anything but the lock.

use std::fs::{File, Metadata, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{DATABASE_FILE, LOCK_FILE, disk_fault};
use crate::core::rules::{Checked, Fault, Rule};

/// Path of the database or, with its ending, of a file that SQLite keeps beside it.
fn database(dir: &Path, ending: &str) -> PathBuf {
    dir.join(format!("{DATABASE_FILE}{ending}"))
}

/// What is at a path itself, not behind a link; `None` when nothing is.
pub(super) fn found(path: &Path) -> Checked<Option<Metadata>> {
    match path.symlink_metadata() {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(disk_fault(path, &error)),
    }
}

/// What is at a path, in words.
pub(super) fn kind(found: &Metadata) -> &'static str {
    let kind = found.file_type();
    match (kind.is_file(), kind.is_dir(), kind.is_symlink()) {
        (true, ..) => "a plain file",
        (_, true, _) => "a folder",
        (.., true) => "a symbolic link",
        _ => "a device, pipe or socket",
    }
}

/// A plain file with one name: what has two can be opened from a folder whose lock is not ours.
pub(super) fn must_be_ours(path: &Path, found: &Metadata) -> Checked<()> {
    let fault = |what: String| Err(Fault::new(Rule::LedgerFault, format!("{}: {what} found; a plain file expected", path.display())));
    match (found.is_file(), found.nlink()) {
        (false, _) => fault(kind(found).into()),
        // 0: removed since we looked.
        (true, 0 | 1) => Ok(()),
        (true, links) => fault(format!("a file with {links} names")),
    }
}

/// The ledger is there, and nothing lies beside it that SQLite would take for its own.
///
/// # Errors
/// `not-found`; `ledger-fault`; `file-fault`.
pub(super) fn must_be_whole(dir: &Path) -> Checked<()> {
    let path = database(dir, "");
    match found(&path)? {
        None => return Err(Fault::new(Rule::NotFound, format!("{}: no file found; a ledger expected", path.display()))),
        Some(found) => must_be_ours(&path, &found)?,
    }
    for ending in ["-wal", "-shm"] {
        let path = database(dir, ending);
        found(&path)?.map_or(Ok(()), |found| must_be_ours(&path, &found))?;
    }
    must_be_free(dir, &["-journal"])
}

/// Nothing lies where SQLite would look for these files: it takes whatever it finds for its own.
///
/// # Errors
/// `ledger-fault`; `file-fault`.
pub(super) fn must_be_free(dir: &Path, endings: &[&str]) -> Checked<()> {
    endings.iter().try_for_each(|ending| {
        let path = database(dir, ending);
        match found(&path)? {
            None => Ok(()),
            Some(found) => {
                let found =
                    format!("{}: {} found; nothing expected, for SQLite would play it into the ledger", path.display(), kind(&found));
                Err(Fault::new(Rule::LedgerFault, found))
            }
        }
    })
}

/// Takes the lock, which the operating system frees when this process ends, however it ends.
///
/// # Errors
/// `another-writer`; `ledger-fault` when no plain file is there; `file-fault`.
pub(super) fn take_lock(dir: &Path) -> Checked<File> {
    let path = dir.join(LOCK_FILE);
    lock_must_be_a_file(dir)?;
    let open = File::options().create(true).truncate(false).write(true).open(&path);
    let file = open.map_err(|error| disk_fault(&path, &error))?;
    match try_lock(&file) {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Fault::new(Rule::AnotherWriter, format!("{}: a lock of another process found; none expected", path.display())))
        }
        Err(TryLockError::Error(error)) => Err(disk_fault(&path, &error)),
    }
}

/// Looked at before it is opened, for opening a pipe would wait for ever.
///
/// # Errors
/// `ledger-fault`; `file-fault`.
pub(super) fn lock_must_be_a_file(dir: &Path) -> Checked<()> {
    let path = dir.join(LOCK_FILE);
    found(&path)?.map_or(Ok(()), |found| must_be_ours(&path, &found))
}

/// Takes the lock, or says after a quarter of a second that another holds it: long enough for a program that the holder was just starting, and
/// which has everything that its parent has open until it becomes itself.
pub(super) fn try_lock(file: &File) -> Result<(), TryLockError> {
    const TRIES: u32 = 25;
    const PAUSE: Duration = Duration::from_millis(10);
    for _ in 0..TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            answered => return answered,
        }
    }
    file.try_lock()
}

/// Which file on which disk.
type FileId = (u64, u64);

fn id(found: &Metadata) -> FileId {
    (found.dev(), found.ino())
}

/// The files that are open, by name and identity.
pub(super) struct Place(Vec<(PathBuf, FileId)>);

impl Place {
    /// The place of a ledger that was just opened to write: database, log and its index, lock.
    ///
    /// # Errors
    /// `ledger-fault` when one is not there or the lock is not the file that is held.
    pub(super) fn of(dir: &Path, lock: &File) -> Checked<Place> {
        let lock_path = dir.join(LOCK_FILE);
        let held = lock.metadata().map_err(|error| disk_fault(&lock_path, &error))?;
        let mut files = vec![(lock_path, id(&held))];
        for path in ["", "-wal", "-shm"].map(|ending| database(dir, ending)) {
            let Some(found) = found(&path)? else { return Err(gone(&path)) };
            must_be_ours(&path, &found)?;
            files.push((path, id(&found)));
        }
        let place = Place(files);
        place.must_be_the_same()?;
        Ok(place)
    }

    /// Every name still leads to the file that is open under it: what is written to another is lost with this process.
    ///
    /// # Errors
    /// `ledger-fault`; `file-fault`.
    pub(super) fn must_be_the_same(&self) -> Checked<()> {
        self.0.iter().try_for_each(|(path, expected)| match found(path)? {
            None => Err(gone(path)),
            Some(found) if id(&found) == *expected => must_be_ours(path, &found),
            Some(found) => {
                let found = format!(
                    "{}: {} {} found; file {}, which this process has open, expected",
                    path.display(),
                    kind(&found),
                    found.ino(),
                    expected.1
                );
                Err(Fault::new(Rule::LedgerFault, found))
            }
        })
    }
}

fn gone(path: &Path) -> Fault {
    Fault::new(Rule::LedgerFault, format!("{}: nothing found; the file that this process has open expected", path.display()))
}

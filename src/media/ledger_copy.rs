//! Another ledger's database, copied before anything opens it.
//!
//! It may be prepared by an attacker, change while it is read, or lie on a medium that is read-only, where SQLite cannot open a database with
//! a write-ahead log. So it is read once, as bytes, into a folder of ours; nothing is followed, and nothing beside it is written.

use std::fs::{File, TryLockError};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::plain::{CHUNK_BYTES, open_plain, read_up_to};
use crate::core::rules::{Checked, Fault, Rule};

/// What every SQLite database begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Length of that header.
const HEADER_BYTES: usize = 100;
/// Space on the disk of the copy that is left free.
const RESERVE_BYTES: u64 = 67_108_864;

/// Copies the database at `other` and its write-ahead log into `staging`, as `name` and `name-wal`. `other` is the database, or the folder that
/// has it under `name`; `lock` is the name of the file that its writer locks.
///
/// # Errors
/// `not-found`; `file-fault` for what is no plain file with one name, is larger than its own header says, or than there is room;
/// `another-writer` when a process of this machine holds its lock; `ledger-fault` when it is no SQLite database.
pub fn copy_database(other: &Path, name: &str, lock: &str, staging: &Path) -> Checked<()> {
    let path = if other.is_dir() { other.join(name) } else { other.to_owned() };
    let (mut database, length) = open(&path)?.ok_or_else(|| {
        Fault::new(Rule::NotFound, format!("{}: nothing is there; a ledger's folder or its database expected", path.display()))
    })?;
    let _held = hold(&path.with_file_name(lock))?;
    let wal_path = with_ending(&path, "-wal");
    let wal = open(&wal_path)?.filter(|(_, length)| *length > 0);
    let mut header = [0; HEADER_BYTES];
    let got = read_up_to(&mut database, &mut header).map_err(|error| fault(&path, &error))?;
    check_header(&path, &header[..got], length, wal.is_some())?;
    let needed = length.saturating_add(wal.as_ref().map_or(0, |(_, length)| *length));
    let free = free_in(staging);
    if needed > free {
        let found = format!("{}: {needed} bytes found; {free} bytes are free for our copy", path.display());
        return Err(Fault::new(Rule::FileFault, found));
    }
    database.rewind().map_err(|error| fault(&path, &error))?;
    copy(&path, database, length, &staging.join(name))?;
    match wal {
        Some((wal, length)) => copy(&wal_path, wal, length, &staging.join(format!("{name}-wal"))),
        None => Ok(()),
    }
}

/// A plain file with one name, and its length; `None` when nothing is there.
fn open(path: &Path) -> Checked<Option<(File, u64)>> {
    if std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        return Ok(None);
    }
    open_plain(path).map(Some).map_err(|found| Fault::new(Rule::FileFault, format!("{}: {}", path.display(), found.shown())))
}

/// Holds the writer's lock while the copy is made, shared: a copy of two moments would look like damage. What lies there and is no plain file
/// is no lock.
fn hold(path: &Path) -> Checked<Option<File>> {
    let Ok((file, _)) = open_plain(path) else { return Ok(None) };
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {
            Err(Fault::new(Rule::AnotherWriter, format!("{}: a lock of another process found; none expected", path.display())))
        }
        _ => Ok(Some(file)),
    }
}

/// A file costs an attacker nothing when it is sparse: it has to be of the size that it says.
fn check_header(path: &Path, header: &[u8], length: u64, has_wal: bool) -> Checked<()> {
    let refuse = |found: String| Err(Fault::new(Rule::LedgerFault, format!("{}: {found}", path.display())));
    if header.len() < HEADER_BYTES || !header.starts_with(MAGIC) {
        let first = hex::encode(&header[..header.len().min(MAGIC.len())]);
        return refuse(format!("{length} bytes that begin with {first} found; an SQLite database expected"));
    }
    let number = |at: usize| header[at..].iter().take(4).fold(0, |number, byte| number << 8 | u64::from(*byte));
    let (page, pages) = (number(16) >> 16, number(28));
    // A log that was not written back yet may hold more pages than the header counts, but then the file does not.
    if length > page * pages && !has_wal {
        return refuse(format!("{length} bytes found; {pages} pages of {page} bytes, as its header says, expected"));
    }
    Ok(())
}

fn free_in(folder: &Path) -> u64 {
    let found = rustix::fs::statvfs(folder);
    found.map_or(0, |found| found.f_bavail.saturating_mul(found.f_frsize).saturating_sub(RESERVE_BYTES))
}

/// Copies `length` bytes; what is all zeros stays a hole.
fn copy(from: &Path, mut source: File, length: u64, to: &Path) -> Checked<()> {
    let mut out = File::options().write(true).create_new(true).open(to).map_err(|error| fault(to, &error))?;
    let (mut chunk, mut copied) = (vec![0; CHUNK_BYTES], 0);
    loop {
        let got = read_up_to(&mut source, &mut chunk).map_err(|error| fault(from, &error))?;
        if chunk[..got].iter().all(|byte| *byte == 0) {
            out.seek(SeekFrom::Current(got as i64)).map_err(|error| fault(to, &error))?;
        } else {
            out.write_all(&chunk[..got]).map_err(|error| fault(to, &error))?;
        }
        copied += got as u64;
        if got < chunk.len() || copied > length {
            break;
        }
    }
    if copied != length {
        return Err(Fault::new(Rule::FileFault, format!("{}: {copied} bytes read; {length} bytes expected", from.display())));
    }
    out.set_len(length).map_err(|error| fault(to, &error))
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn fault(path: &Path, error: &std::io::Error) -> Fault {
    Fault::new(Rule::FileFault, format!("{}: {error}", path.display()))
}

//! Making and opening `audit.db`: it appears whole or not at all, however many processes make it at once, and is compared before it is used.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rusqlite::limits::Limit;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags};
use tempfile::{NamedTempFile, TempDir};

use super::{Trail, fault_of};
use crate::core::rules::{Checked, Fault, Rule};
use crate::ledger::head_file::sync_dir;
use crate::ledger::open::{connect, harden, keep_log_on_close};
use crate::ledger::place::{found, kind, must_be_ours};
use crate::ledger::schema::difference;

/// Name of the audit trail in the ledger's folder.
pub const TRAIL_FILE: &str = "audit.db";
/// How long a process waits for another one that writes to the trail, in milliseconds.
pub const BUSY_MS: u64 = 5_000;

const SCHEMA: &str = include_str!("../trail.sql");
const APPLICATION_ID: i64 = 1_415_668_340;
const USER_VERSION: i64 = 1;
/// Pages of the log after which it is synced and copied into the file.
const CHECKPOINT_PAGES: i64 = 1_000;
/// Longest value or row that is read, in bytes: more than any guard lets in.
const VALUE_BYTES_MAX: i32 = 131_072;

impl Trail {
    /// Opens the trail of the ledger in `dir`, and makes it when it is not there.
    ///
    /// # Errors
    /// `not-found` without the folder; `file-fault` when it cannot be written; `disk-fault`; `trail-fault` when what is there is no trail, is
    /// damaged, or of another version, with both values; `another-writer`.
    pub fn open(dir: &Path) -> Checked<Trail> {
        let dir = folder(dir)?;
        let path = dir.join(TRAIL_FILE);
        may_write(&dir)?;
        if found(&path).map_err(of_trail)?.is_none() {
            make(&dir, &path)?;
        }
        must_be_plain(&path)?;
        may_write(&path)?;
        Trail::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, None)
    }

    /// Opens the trail of the ledger in `dir` to read, also where nothing can be written; `None` when there is none.
    ///
    /// # Errors
    /// As [`Trail::open`].
    pub fn look(dir: &Path) -> Checked<Option<Trail>> {
        let dir = folder(dir)?;
        let path = dir.join(TRAIL_FILE);
        if found(&path).map_err(of_trail)?.is_none() {
            return Ok(None);
        }
        must_be_plain(&path)?;
        // SQLite reads a log only with its index, and can make none here.
        let is_complete = ["-wal", "-shm"].iter().all(|ending| beside(&path, ending).symlink_metadata().is_ok());
        let copy = if is_complete || may_write(&dir).is_ok() { None } else { Some(copy(&path)?) };
        Trail::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, copy).map(Some)
    }

    fn connect(path: PathBuf, access: OpenFlags, copy: Option<TempDir>) -> Checked<Trail> {
        let read_only = access == OpenFlags::SQLITE_OPEN_READ_ONLY;
        let opened = copy.as_ref().map_or_else(|| path.clone(), |copy| copy.path().join(TRAIL_FILE));
        let db = connect(&opened, access).map_err(of_trail)?;
        // The log stays: copying it would make each short command wait for the disk, and a reader who may not write could not do without it.
        keep_log_on_close(&db, true).map_err(of_trail)?;
        harden(&db).map_err(of_trail)?;
        let fault = |doing: &'static str| {
            let path = path.clone();
            move |error: rusqlite::Error| fault_of(&path, doing, &error)
        };
        db.busy_timeout(std::time::Duration::from_millis(BUSY_MS)).map_err(fault("opening"))?;
        for (name, expected) in [("application_id", APPLICATION_ID), ("user_version", USER_VERSION)] {
            must_be(&db, &path, name, &Value::Integer(expected))?;
        }
        let model = Connection::open_in_memory().and_then(|model| model.execute_batch(SCHEMA).map(|()| model));
        if let Some(difference) = difference(&db, &model.map_err(fault("building the schema"))?).map_err(fault("reading the schema"))? {
            return Err(Fault::new(Rule::TrailFault, format!("{}: the schema: {difference}", path.display())));
        }
        settle(&db, &path, read_only)?;
        // What a guard keeps out cannot be brought in past it to fill the memory of whoever reads.
        db.set_limit(Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX).map_err(fault("setting limits"))?;
        Ok(Trail { db, path, _copy: copy })
    }
}

/// The folder without symbolic links, so that SQLite may be told to follow none.
fn folder(dir: &Path) -> Checked<PathBuf> {
    fs::canonicalize(dir).map_err(|error| io_fault(dir, &error))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn may_write(path: &Path) -> Checked<()> {
    // By name, and never by opening it: closing a file gives up the locks that SQLite has on it in this process.
    rustix::fs::access(path, Access::WRITE_OK).map_err(|error| io_fault(path, &error.into()))
}

fn io_fault(path: &Path, error: &std::io::Error) -> Fault {
    let rule = match error.kind() {
        ErrorKind::NotFound => Rule::NotFound,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::NotADirectory => Rule::FileFault,
        _ => Rule::DiskFault,
    };
    Fault::new(rule, format!("{}: {error}", path.display()))
}

/// What the ledger's own functions say, of the trail.
fn of_trail(fault: Fault) -> Fault {
    match fault.rule {
        Rule::LedgerFault => Fault { rule: Rule::TrailFault, ..fault },
        _ => fault,
    }
}

/// Plain files with one name, and no journal, which SQLite would play into the trail.
fn must_be_plain(path: &Path) -> Checked<()> {
    for ending in ["", "-wal", "-shm"] {
        let path = beside(path, ending);
        found(&path).map_err(of_trail)?.map_or(Ok(()), |found| must_be_ours(&path, &found)).map_err(of_trail)?;
    }
    let journal = beside(path, "-journal");
    match found(&journal).map_err(of_trail)? {
        None => Ok(()),
        Some(found) => {
            let found = format!("{}: {} found; nothing expected, for SQLite would play it into the trail", journal.display(), kind(&found));
            Err(Fault::new(Rule::TrailFault, found))
        }
    }
}

/// An empty trail under its name, with nothing left behind at whatever moment this is killed. Somebody else may be first.
fn make(dir: &Path, path: &Path) -> Checked<()> {
    // What was there of an earlier trail that somebody moved away belongs to that one, and would be read as the new one's.
    for ending in ["-wal", "-shm"] {
        let left = beside(path, ending);
        if found(&left).map_err(of_trail)?.is_some() && found(path).map_err(of_trail)?.is_none() {
            let found = format!("{} without {TRAIL_FILE} found; both or neither expected", left.display());
            return Err(Fault::new(Rule::TrailFault, found));
        }
    }
    let bytes = empty().map_err(|error| fault_of(path, "building the schema", &error))?;
    let made = put_without_name(dir, path, &bytes).or_else(|error| match error.kind() {
        ErrorKind::AlreadyExists => Err(error),
        // A file system that has no files without a name.
        _ => put_under_another_name(dir, path, &bytes),
    });
    match made {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(io_fault(path, &error)),
        _ => sync_dir(dir),
    }
}

/// An empty trail as bytes.
fn empty() -> rusqlite::Result<Vec<u8>> {
    let mut db = Connection::open_in_memory()?;
    db.execute_batch(&format!("PRAGMA page_size = 4096; {SCHEMA}"))?;
    let mut bytes = db.serialize("main")?.to_vec();
    // Versions 2 of the file format, for reading and for writing: a write-ahead log (SQLite file format 1.3). No other moment is without
    // somebody who may have it open.
    bytes[18..20].fill(2);
    Ok(bytes)
}

fn put_without_name(dir: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let file = File::from(rustix::fs::open(dir, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR)?);
    fill(&file, dir, bytes)?;
    let file_name = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(rustix::fs::linkat(CWD, file_name, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

fn put_under_another_name(dir: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let file = NamedTempFile::new_in(dir)?;
    fill(file.as_file(), dir, bytes)?;
    file.persist_noclobber(path).map(drop).map_err(|error| error.error)
}

/// Written and synced. What root makes belongs to whom the folder belongs, who could ask for nothing there any more; SQLite does the same with its log.
fn fill(mut file: &File, dir: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if rustix::process::geteuid().is_root() {
        let owner = fs::metadata(dir)?;
        std::os::unix::fs::fchown(file, Some(owner.uid()), Some(owner.gid()))?;
    }
    file.write_all(bytes)?;
    file.sync_all()
}

/// The trail and its log in a folder of ours. Nobody writes to them who could not also leave an index there.
fn copy(path: &Path) -> Checked<TempDir> {
    let staging = tempfile::tempdir().map_err(|error| io_fault(&std::env::temp_dir(), &error))?;
    for ending in ["", "-wal"] {
        let (from, to) = (beside(path, ending), staging.path().join(format!("{TRAIL_FILE}{ending}")));
        match fs::copy(&from, &to) {
            Err(error) if !(error.kind() == ErrorKind::NotFound && ending == "-wal") => return Err(io_fault(&from, &error)),
            _ => {}
        }
    }
    Ok(staging)
}

fn must_be(db: &Connection, path: &Path, name: &str, expected: &Value) -> Checked<()> {
    let found: Value = db.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).map_err(|error| fault_of(path, "opening", &error))?;
    if found == *expected {
        return Ok(());
    }
    let shown = |value: &Value| match value {
        Value::Integer(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        other => format!("{other:?}"),
    };
    let found = format!("{}: PRAGMA {name} is {}; {} expected", path.display(), shown(&found), shown(expected));
    Err(Fault::new(Rule::TrailFault, found))
}

/// Sets the connection's PRAGMAs, then reads them and the file's back.
fn settle(db: &Connection, path: &Path, read_only: bool) -> Checked<()> {
    let (on, off, text) = (Value::Integer(1), Value::Integer(0), |word: &str| Value::Text(word.to_owned()));
    let settings = [
        ("recursive_triggers", "ON", on.clone()),
        ("foreign_keys", "ON", on.clone()),
        ("trusted_schema", "OFF", off.clone()),
        ("cell_size_check", "ON", on.clone()),
        ("ignore_check_constraints", "OFF", off.clone()),
        ("locking_mode", "NORMAL", text("normal")),
        ("synchronous", "NORMAL", on.clone()),
        ("temp_store", "MEMORY", Value::Integer(2)),
        ("wal_autocheckpoint", &CHECKPOINT_PAGES.to_string(), Value::Integer(CHECKPOINT_PAGES)),
        ("query_only", if read_only { "ON" } else { "OFF" }, Value::Integer(i64::from(read_only))),
    ];
    for (name, value, _) in &settings {
        let set = db.execute_batch(&format!("PRAGMA {name} = {value};"));
        set.map_err(|error| fault_of(path, &format!("setting PRAGMA {name}"), &error))?;
    }
    let of_file =
        [("page_size", Value::Integer(4096)), ("encoding", text("UTF-8")), ("journal_mode", text("wal")), ("writable_schema", off)];
    let timeout = ("busy_timeout", Value::Integer(i64::try_from(BUSY_MS).unwrap_or(i64::MAX)));
    let set = settings.into_iter().map(|(name, _, expected)| (name, expected));
    set.chain(of_file).chain([timeout]).try_for_each(|(name, expected)| must_be(db, path, name, &expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a file system that has no files without a name.
    #[test]
    fn a_trail_made_under_another_name_is_the_same_overwrites_nothing_and_leaves_nothing_behind() {
        let bytes = empty().unwrap();
        let names = |dir: &Path| fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
        type Put = fn(&Path, &Path, &[u8]) -> std::io::Result<()>;
        for put in [put_without_name as Put, put_under_another_name] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(TRAIL_FILE);
            put(dir.path(), &path, &bytes).unwrap();
            assert_eq!(put(dir.path(), &path, b"another").unwrap_err().kind(), ErrorKind::AlreadyExists);
            assert_eq!((fs::read(&path).unwrap() == bytes, names(dir.path())), (true, vec![TRAIL_FILE.into()]));
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
            assert_eq!(Trail::look(dir.path()).unwrap().unwrap().missing(), Ok(0));
        }
    }
}

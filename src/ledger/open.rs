//! Creating and opening: lock, schema text, settings, and only then the functions.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};

use super::append::checkpoint;
use super::audit::Keys;
use super::head_file::{read_small, sync_dir, write_small};
use super::place::{Place, must_be_free, must_be_whole, take_lock};
use super::schema::{SCHEMA, compare_schema};
use super::watch::Watch;
use super::{DATABASE_FILE, INSTANCE_FILE, Trouble, disk_fault, fault, functions};
use crate::core::event::EventSigner;
use crate::core::rules::{Checked, Fault, Rule};

const APPLICATION_ID: i64 = 1_415_668_332;
/// Version of the schema, as `user_version` of the database holds it.
pub const USER_VERSION: i64 = 1;

/// The ledger of one Common, held by one process.
///
/// Opened locked and unchecked: it reads and checks, and cannot append before [`Ledger::start_up_check`] passed and [`Ledger::unlock`].
pub struct Ledger {
    pub(super) db: Connection,
    pub(super) dir: PathBuf,
    pub(super) poisoned: AtomicBool,
    /// The unlocked key, against which every signature of a commit is verified.
    pub(super) signing_key: Option<Arc<Keys>>,
    /// What happened to it in this process.
    pub(super) watch: RefCell<Watch>,
    /// Held, never read: the operating system frees it when the process ends, however it ends.
    pub(super) lock: Option<File>,
    /// What is open, for a ledger that may write.
    pub(super) place: Option<Place>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ledger({}, unlocked: {})", self.dir.display(), self.signing_key.is_some())
    }
}

impl Ledger {
    /// Makes an empty ledger in `dir`, which is made if it is not there, and unlocks it.
    ///
    /// The database appears under its name only when it is whole and synced; running it again after a crash completes the same creation.
    ///
    /// # Errors
    /// `exists` when there is a ledger, or an instance file of another instance; `another-writer`; `file-fault`; `ledger-fault`.
    pub fn create(dir: &Path, instance: &[u8; 16], signer: Arc<dyn EventSigner>) -> Checked<Ledger> {
        Ledger::create_observed(dir, instance, signer, &mut |_| {})
    }

    /// [`Ledger::create`], which tells `observe` of each step before it happens: `write instance file`, `build database`, `rename database`,
    /// `open database`.
    ///
    /// # Errors
    /// As [`Ledger::create`].
    pub fn create_observed(
        dir: &Path,
        instance: &[u8; 16],
        signer: Arc<dyn EventSigner>,
        observe: &mut dyn FnMut(&'static str),
    ) -> Checked<Ledger> {
        fs::create_dir_all(dir).map_err(|error| disk_fault(dir, &error))?;
        let lock = take_lock(dir)?;
        let path = dir.join(DATABASE_FILE);
        if path.symlink_metadata().is_ok() {
            return Err(Fault::new(Rule::Exists, format!("{} found; no ledger expected", path.display())));
        }
        must_be_free(dir, &["-wal", "-shm", "-journal"])?;
        let text = format!("{}\n", hex::encode(instance));
        match read_small(&dir.join(INSTANCE_FILE))? {
            Some(found) if found != text => {
                let found = format!("{}: {:?} found; {:?} expected", dir.join(INSTANCE_FILE).display(), found.trim_end(), text.trim_end());
                return Err(Fault::new(Rule::Exists, found));
            }
            Some(_) => {}
            None => {
                observe("write instance file");
                write_small(dir, INSTANCE_FILE, &text)?;
            }
        }
        build(dir, &path, observe)?;
        observe("open database");
        let mut ledger = Ledger::finish_open(dir, Some(lock))?;
        ledger.watch.borrow_mut().made_here = true;
        ledger.unlock(signer)?;
        Ok(ledger)
    }

    /// Opens the ledger in `dir` to check, and once it is [checked](Ledger::start_up_check) and unlocked, to append.
    ///
    /// # Errors
    /// `not-found`; `another-writer`; `file-fault`; `ledger-fault` when the schema or a setting is not as compiled in, both values shown.
    pub fn open(dir: &Path) -> Checked<Ledger> {
        must_be_whole(dir)?;
        Ledger::finish_open(dir, Some(take_lock(dir)?))
    }

    /// Opens the ledger in `dir` to read, also while another process writes. It can never be unlocked.
    ///
    /// # Errors
    /// As [`Ledger::open`], without `another-writer`.
    pub fn open_read_only(dir: &Path) -> Checked<Ledger> {
        must_be_whole(dir)?;
        Ledger::finish_open(dir, None)
    }

    /// Opens what [`Ledger::open`] has refused, only to say where it is broken: the schema is not compared, nothing may be written, and nothing
    /// that is read through it may be used.
    ///
    /// # Errors
    /// As [`Ledger::open_read_only`], but for the schema.
    pub fn open_to_diagnose(dir: &Path) -> Checked<Ledger> {
        must_be_whole(dir)?;
        let dir = fs::canonicalize(dir).map_err(|error| disk_fault(dir, &error))?;
        let db = connect(&dir.join(DATABASE_FILE), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        harden(&db)?;
        db.execute_batch("PRAGMA query_only = ON; PRAGMA cell_size_check = ON;").map_err(fault("setting a PRAGMA"))?;
        Ok(Ledger { db, dir, poisoned: AtomicBool::new(false), signing_key: None, watch: RefCell::default(), lock: None, place: None })
    }

    pub(super) fn finish_open(dir: &Path, lock: Option<File>) -> Checked<Ledger> {
        // Without symbolic links, so that SQLite may be told to follow none.
        let dir = fs::canonicalize(dir).map_err(|error| disk_fault(dir, &error))?;
        let access = if lock.is_some() { OpenFlags::SQLITE_OPEN_READ_WRITE } else { OpenFlags::SQLITE_OPEN_READ_ONLY };
        let db = connect(&dir.join(DATABASE_FILE), access)?;
        // Until it is open: a database that could not be opened is closed without a write.
        keep_log_on_close(&db, true)?;
        harden(&db)?;
        compare_schema(&db)?;
        if lock.is_some() {
            no_other_writer(&db)?;
        }
        settle(&db, lock.is_none())?;
        // What an earlier process left in the log is copied when somebody asks for it and hears whether it succeeded.
        let (pages, copied) = if lock.is_some() { checkpoint(&db, "NOOP").map_err(fault("measuring the log"))? } else { (0, 0) };
        keep_log_on_close(&db, copied < pages)?;
        let place = lock.as_ref().map(|lock| Place::of(&dir, lock)).transpose()?;
        Ok(Ledger { db, dir, poisoned: AtomicBool::new(false), signing_key: None, watch: RefCell::default(), lock, place })
    }

    /// Another connection to the same file, which only reads and has no functions.
    pub(super) fn reader(&self) -> Checked<Connection> {
        let db = connect(&self.dir.join(DATABASE_FILE), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        harden(&db)?;
        settle(&db, true)?;
        Ok(db)
    }

    /// Gives the connection its functions: from now on it appends, signing with `signer`. Again with another signer after a rotation.
    ///
    /// # Errors
    /// `internal-fault` when the ledger was opened read-only; `key-mismatch` when the public key is no strict Ed25519 key; `ledger-fault`.
    pub fn unlock(&mut self, signer: Arc<dyn EventSigner>) -> Checked<()> {
        self.usable()?;
        if self.lock.is_none() {
            return Err(Fault::new(Rule::InternalFault, "a ledger opened read-only found; one that holds the lock expected"));
        }
        let public_key = signer.public_key();
        if !ed25519_dalek::VerifyingKey::from_bytes(&public_key).is_ok_and(|key| !key.is_weak()) {
            let found = format!("ledger key {} found; an Ed25519 point of large order expected", hex::encode(public_key));
            return Err(Fault::new(Rule::KeyMismatch, found));
        }
        // SQLite made its log when the file was opened. It syncs the log's name by itself, and does not look whether that succeeded.
        sync_dir(&self.dir).map_err(|fault| self.note(Trouble::latching(fault)))?;
        // Nothing may have come between opening and now: an INNOCUOUS signer must not meet a foreign schema.
        compare_schema(&self.db)?;
        functions::register_all(&self.db, signer).map_err(|error| self.sqlite_fault("registering functions", &error))?;
        self.signing_key = Some(Arc::new(Keys::new(&[public_key])));
        Ok(())
    }

    /// Takes the signer away again: reading and checking go on, appending ends until the next [`Ledger::unlock`].
    ///
    /// # Errors
    /// `ledger-fault`.
    pub fn relock(&mut self) -> Checked<()> {
        if self.signing_key.take().is_some() {
            self.db.flush_prepared_statement_cache();
            functions::remove_all(&self.db).map_err(|error| self.sqlite_fault("removing functions", &error))?;
        }
        Ok(())
    }

    /// Compares the instance file with the instance that the caller expects: a backup brought back does not have it.
    ///
    /// # Errors
    /// `not-found` without an instance file; `ledger-fault` with both values; `file-fault`.
    pub fn check_instance(&self, expected: &[u8; 16]) -> Checked<()> {
        let path = self.dir.join(INSTANCE_FILE);
        let expected = hex::encode(expected);
        match read_small(&path)? {
            None => Err(Fault::new(Rule::NotFound, format!("{}: no file found; instance {expected} expected", path.display()))),
            Some(text) if text == format!("{expected}\n") => Ok(()),
            Some(text) => {
                let found: String = text.trim_end().chars().take(64).collect();
                Err(Fault::new(Rule::LedgerFault, format!("{}: instance {found:?} found; {expected} expected", path.display())))
            }
        }
    }

    /// Folder of the ledger.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether an I/O error has ended the use of this ledger; only a new process with its start-up checks goes on.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::SeqCst)
    }

    pub(super) fn usable(&self) -> Checked<()> {
        if self.is_poisoned() {
            return Err(Fault::new(Rule::DiskFault, "an earlier I/O error found in this process; none expected"));
        }
        Ok(())
    }

    /// Whether dropping this ledger leaves SQLite's log as it is, or, as SQLite does otherwise, copies it into the database without a word when
    /// that fails, and removes it. What a disk that failed has is left alone: after a failed sync a second one proves nothing.
    /// [`Ledger::write_back`] copies it and tells.
    ///
    /// # Errors
    /// `ledger-fault`.
    pub fn keep_log_on_close(&self, keep: bool) -> Checked<()> {
        keep_log_on_close(&self.db, keep || self.is_poisoned())
    }

    /// Takes note of trouble: what latches makes the ledger unusable.
    pub(super) fn note(&self, trouble: Trouble) -> Fault {
        if trouble.latches && !self.poisoned.swap(true, Ordering::SeqCst) {
            self.latched(&trouble.fault);
            // A switch in memory, and the fault that is told is the disk's.
            drop(self.keep_log_on_close(true));
        }
        trouble.fault
    }

    pub(super) fn sqlite_fault(&self, doing: &str, error: &rusqlite::Error) -> Fault {
        self.note(Trouble::of_sqlite(doing, error))
    }
}

/// A program that writes without asking for our lock: better found now than when the session is to be committed.
fn no_other_writer(db: &Connection) -> Checked<()> {
    // Long enough for a reader that opens, which holds the write lock for a moment when it has to make the log's index anew.
    db.busy_timeout(Duration::from_millis(500)).map_err(fault("waiting for another writer"))?;
    db.execute_batch("BEGIN IMMEDIATE; ROLLBACK").map_err(fault("looking for another writer"))
}

pub(super) fn connect(path: &Path, access: OpenFlags) -> Checked<Connection> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW | OpenFlags::SQLITE_OPEN_EXRESCODE;
    #[allow(clippy::disallowed_methods)] // the one place that opens SQLite
    let db = Connection::open_with_flags(path, flags).map_err(fault("opening"))?;
    Ok(db)
}

/// Writes the database under another name and renames it when it is whole.
fn build(dir: &Path, path: &Path, observe: &mut dyn FnMut(&'static str)) -> Checked<()> {
    observe("build database");
    let (fresh, db) = make_as(dir, &format!("{DATABASE_FILE}.new"))?;
    close_whole(&fresh, db)?;
    // The removed log of the new database could come back beside a ledger that never looks for it under that name.
    sync_dir(dir)?;
    observe("rename database");
    fs::rename(&fresh, path).map_err(|error| disk_fault(path, &error))?;
    sync_dir(dir)
}

/// Closes a database that was just built, with everything in the one file, synced, and found to open as the next process will open it.
pub(super) fn close_whole(fresh: &Path, db: Connection) -> Checked<()> {
    keep_log_on_close(&db, true)?;
    // Closing would do this as well, and would not say that it failed: the database would be renamed without its tables.
    let busy: i64 = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).map_err(fault("creating"))?;
    if busy != 0 {
        return Err(Fault::new(Rule::AnotherWriter, format!("{}: somebody else has it open; nobody expected", fresh.display())));
    }
    db.close().map_err(|(_, error)| Trouble::of_sqlite("closing", &error).fault)?;
    remove_files_of(fresh, &["-wal", "-shm", "-journal"])?;
    is_whole(fresh)?;
    remove_files_of(fresh, &["-wal", "-shm", "-journal"])?;
    File::open(fresh).and_then(|file| file.sync_all()).map_err(|error| disk_fault(fresh, &error))
}

/// An empty database in a folder of its own, with the schema and the functions that need no key. What is there of an earlier one is removed.
pub(super) fn make(dir: &Path) -> Checked<(PathBuf, Connection)> {
    make_as(dir, DATABASE_FILE)
}

fn make_as(dir: &Path, name: &str) -> Checked<(PathBuf, Connection)> {
    remove_files_of(&dir.join(name), &["", "-wal", "-shm", "-journal"])?;
    let path = fs::canonicalize(dir).map_err(|error| disk_fault(dir, &error))?.join(name);
    let db = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    keep_log_on_close(&db, true)?;
    harden(&db)?;
    db.execute_batch("PRAGMA page_size = 4096; PRAGMA synchronous = FULL; PRAGMA recursive_triggers = ON;").map_err(fault("creating"))?;
    db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0)).map_err(fault("creating"))?;
    must_be_wal(&path)?;
    functions::register_pure(&db).map_err(fault("creating"))?;
    db.execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} COMMIT;")).map_err(fault("creating"))?;
    Ok((path, db))
}

/// The file says that it has a write-ahead log (bytes 18 and 19 of its header, SQLite file format 1.3), and no other journal is left. A disk that fails while the mode is
/// changed leaves the old one, and SQLite answers with the new one, without an error.
fn must_be_wal(path: &Path) -> Checked<()> {
    let mut header = [0; 20];
    File::open(path).and_then(|mut file| file.read_exact(&mut header)).map_err(|error| {
        Fault::new(Rule::DiskFault, format!("{}: journal mode wal written, and read back otherwise: {error}", path.display()))
    })?;
    let mut journal = path.as_os_str().to_owned();
    journal.push("-journal");
    let is_left = Path::new(&journal).symlink_metadata().is_ok();
    if header[18..] == [2, 2] && !is_left {
        return Ok(());
    }
    let left = if is_left { ", and a journal that could not be removed" } else { "" };
    let found = format!("{}: journal mode wal written, and read back otherwise: versions {:?}{left}", path.display(), &header[18..]);
    Err(Fault::new(Rule::DiskFault, found))
}

/// Opens what was built as the next process will: when the disk fails at the wrong moment, SQLite goes on without an error, and the file is
/// not in the journal mode that it was given.
fn is_whole(fresh: &Path) -> Checked<()> {
    let db = connect(fresh, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    keep_log_on_close(&db, true)?;
    let whole = harden(&db).and_then(|()| compare_schema(&db)).and_then(|()| settle(&db, false));
    whole.map_err(|fault| Fault::new(Rule::DiskFault, format!("{}: written, and read back otherwise: {}", fresh.display(), fault.found)))
}

/// Removes a database that is not in use, or the files beside it, as far as they are there.
fn remove_files_of(database: &Path, suffixes: &[&str]) -> Checked<()> {
    for suffix in suffixes {
        let mut path = database.as_os_str().to_owned();
        path.push(suffix);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(disk_fault(Path::new(&path), &error)),
            _ => {}
        }
    }
    Ok(())
}

/// Closing then leaves SQLite's log as it is.
pub(super) fn keep_log_on_close(db: &Connection, keep: bool) -> Checked<()> {
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep).map(drop).map_err(fault("setting switches"))
}

/// Switches of the connection, each read back.
pub(super) fn harden(db: &Connection) -> Checked<()> {
    let switches = [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, true),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, true),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
    ];
    for (switch, expected) in switches {
        db.set_db_config(switch, expected).map_err(fault("setting switches"))?;
        let found = db.db_config(switch).map_err(fault("reading switches"))?;
        if found != expected {
            return Err(Fault::new(Rule::LedgerFault, format!("{switch:?} is {found}; {expected} expected")));
        }
    }
    // No second file can come in; SQL cannot load code, for SQLite's own switch for that is off and rusqlite has no way to it here.
    db.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0).map_err(fault("setting limits"))?;
    let found = db.limit(Limit::SQLITE_LIMIT_ATTACHED).map_err(fault("reading limits"))?;
    if found == 0 { Ok(()) } else { Err(Fault::new(Rule::LedgerFault, format!("{found} files may be attached; 0 expected"))) }
}

/// Sets the connection's PRAGMAs, then reads them and the file's back.
fn settle(db: &Connection, read_only: bool) -> Checked<()> {
    let set = [
        ("recursive_triggers", "ON"),
        ("foreign_keys", "ON"),
        ("trusted_schema", "OFF"),
        ("cell_size_check", "ON"),
        ("ignore_check_constraints", "OFF"),
        ("locking_mode", "NORMAL"),
        ("synchronous", "FULL"),
        ("temp_store", "MEMORY"),
        // Checkpoints are made by `commit`, which sees their errors; an automatic one would keep them to itself.
        ("wal_autocheckpoint", "0"),
        ("busy_timeout", "5000"),
        ("query_only", if read_only { "ON" } else { "OFF" }),
    ];
    for (name, value) in set {
        db.execute_batch(&format!("PRAGMA {name} = {value};")).map_err(fault("setting a PRAGMA"))?;
    }
    let integer = Value::Integer;
    let text = |word: &str| Value::Text(word.to_owned());
    let expected = [
        ("application_id", integer(APPLICATION_ID)),
        ("user_version", integer(USER_VERSION)),
        ("page_size", integer(4096)),
        ("encoding", text("UTF-8")),
        ("journal_mode", text("wal")),
        ("synchronous", integer(2)),
        ("locking_mode", text("normal")),
        ("recursive_triggers", integer(1)),
        ("foreign_keys", integer(1)),
        ("trusted_schema", integer(0)),
        ("cell_size_check", integer(1)),
        ("ignore_check_constraints", integer(0)),
        ("writable_schema", integer(0)),
        ("temp_store", integer(2)),
        ("wal_autocheckpoint", integer(0)),
        ("busy_timeout", integer(5000)),
        ("query_only", integer(i64::from(read_only))),
    ];
    for (name, expected) in expected {
        let found: Value = db.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).map_err(fault("reading a PRAGMA"))?;
        if found != expected {
            return Err(Fault::new(Rule::LedgerFault, format!("PRAGMA {name} is {found:?}; {expected:?} expected")));
        }
    }
    Ok(())
}

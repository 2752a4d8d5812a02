//! Opening a backup: verified by restoring it, and restored into a new folder, which comes up as a standby (SPEC 7.13, 7.14).
//!
//! A backup is read as what a stranger may have made: each length is compared before it is believed, each path is one of a few, and nothing has
//! its name before everything was checked. The folder that is made has no instance file, so that nothing signs with it.

use std::fs::{self, File};
use std::io::{BufReader, ErrorKind, Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::broker::{Broker, DATABASE_FILE, read_head};
use crate::core::backup::{Header, Item, Row, StandbyFile, bytes_head, bytes_head_more, bytes_head_size, head_file_of};
use crate::core::books::Books;
use crate::core::cbor::Canonical as _;
use crate::core::ids::Hash;
use crate::core::limits::BACKUP_HEADER_BYTES_MAX;
use crate::core::rules::{Checked, Fault, Rule};
use crate::keys::backup::{Identities, Opened, look};
use crate::media::new_file::open;
use crate::media::publish::Observe;

use super::backup::{Contents, why_halted};
use super::branches::books_of;
use super::files::{self, file_fault, staging, sync_folder, write_bytes};
use super::problem::{Outcomes, Problem};
use super::standby::STANDBY_FILE;

/// Bytes read at a time.
const CHUNK_BYTES: usize = 131_072;
/// Space on the disk that is left free.
const RESERVE_BYTES: u64 = 16_777_216;

/// Looks at a backup without what opens it: answers its length. Whether it is whole, and what is in it, nobody can tell this way.
///
/// # Errors
/// `not-found`, `file-fault`; `backup-fault` when it is no age file.
pub fn seen(file: &Path) -> Outcomes<u64> {
    let (input, length) = open(file)?;
    look(BufReader::new(input)).map_err(|fault| fault.within(file.display()))?;
    Ok(length)
}

/// Verifies a backup by restoring it into a folder of ours, which is removed again.
///
/// Tells `observe` of `unpack` with each file, and `check`.
///
/// # Errors
/// `not-found`, `file-fault`; `key-mismatch` when the identity does not open it; `backup-fault` for whatever is not as it must be.
pub fn verify(file: &Path, identities: &Identities, observe: &mut Observe<'_>) -> Outcomes<Contents> {
    let staging = staging()?;
    restored_at(file, identities, staging.path(), observe)
}

/// Restores a backup as a standby in `dir`, which is not there or is an empty folder.
///
/// Tells `observe` of what [`verify`] does, then of `mark as standby`, `sync` and `rename`. Before the last one nothing has the name.
///
/// # Errors
/// `exists`; as [`verify`].
pub fn restore(file: &Path, identities: &Identities, dir: &Path, observe: &mut Observe<'_>) -> Outcomes<Contents> {
    must_be_free(dir)?;
    let above = dir.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(name) = dir.file_name() else {
        return Err(Problem::usage(format!("{} names no folder; a new one, with its name, expected", dir.display())));
    };
    let begin = format!("{}.restoring-", name.to_string_lossy());
    let private = fs::Permissions::from_mode(0o700);
    let staging =
        tempfile::Builder::new().prefix(&begin).permissions(private).tempdir_in(above).map_err(|error| file_fault(above, &error))?;
    let contents = restored_at(file, identities, staging.path(), observe)?;
    observe("mark as standby", STANDBY_FILE);
    let standby = StandbyFile { backup: contents.hash, head: contents.header.head };
    write_bytes(&staging.path().join(STANDBY_FILE), standby.text().as_bytes())?;
    observe("sync", &staging.path().display().to_string());
    sync_all(staging.path())?;
    observe("rename", &dir.display().to_string());
    // Over an empty folder, and over nothing else: a folder that is not empty any more is refused by the system.
    fs::rename(staging.path(), dir).map_err(|error| match error.kind() {
        ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists | ErrorKind::NotADirectory => taken(dir),
        _ => file_fault(dir, &error),
    })?;
    // It is not there any more under this name.
    drop(staging.keep());
    sync_folder(above)?;
    Ok(contents)
}

fn taken(dir: &Path) -> Fault {
    Fault::new(Rule::Exists, format!("{} found; no folder, or an empty one, expected", dir.display()))
}

fn must_be_free(dir: &Path) -> Checked<()> {
    match fs::symlink_metadata(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(file_fault(dir, &error)),
        Ok(found) if !found.is_dir() => Err(taken(dir)),
        Ok(_) => match fs::read_dir(dir).map_err(|error| file_fault(dir, &error))?.next() {
            None => Ok(()),
            Some(_) => Err(taken(dir)),
        },
    }
}

/// Unpacks a backup into a folder and checks what was unpacked.
fn restored_at(file: &Path, identities: &Identities, into: &Path, observe: &mut Observe<'_>) -> Outcomes<Contents> {
    let unusable = |fault: Fault| Problem { fault, state: "nothing was restored".into(), next: None };
    let (header, hash) = unpack(file, identities, into, observe).map_err(unusable)?;
    observe("check", DATABASE_FILE);
    let books = check(into, &header).map_err(|fault| as_backup(fault, file)).map_err(unusable)?;
    let halt = into.join(Item::Halt.path());
    let halt = if halt.is_file() { Some(files::read(&halt)?) } else { None };
    let halted = why_halted(halt.as_deref(), &books);
    Ok(Contents { hash, header, books, halted })
}

/// What is wrong with the ledger in a backup is wrong with the backup: it is no halt of a desk, and nobody photographs a screen.
fn as_backup(fault: Fault, file: &Path) -> Fault {
    match fault.rule {
        Rule::DiskFault | Rule::FileFault | Rule::NotFound | Rule::InternalFault | Rule::AnotherWriter => fault,
        Rule::BackupFault => fault.within(file.display()),
        rule => Fault::new(Rule::BackupFault, format!("{}: [{rule}] {}", file.display(), fault.shown())),
    }
}

/// The ledger passes the checks of a start, with each signature, and everything beside it is what it asks for.
fn check(dir: &Path, header: &Header) -> Checked<Books> {
    let ledger = Broker::foreign(dir)?;
    let books = books_of(&ledger, true)?;
    header.check(&books, ledger.latest()?.as_ref())?;
    drop(ledger);
    let (found, expected) = (read_head(dir)?.unwrap_or_default(), head_file_of(&books)?.text());
    if found != expected {
        return Err(Fault::new(Rule::BackupFault, format!("head file {found:?} found; {expected:?} is that of the ledger")));
    }
    // What SQLite made to read; nothing was written to it.
    for ending in ["-wal", "-shm"] {
        let path = dir.join(format!("{DATABASE_FILE}{ending}"));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(file_fault(&path, &error)),
            _ => {}
        }
    }
    Ok(books)
}

/// Writes the files of a backup into an empty folder. Answers with its header and hash once its end was seen.
fn unpack(file: &Path, identities: &Identities, into: &Path, observe: &mut Observe<'_>) -> Checked<(Header, Hash)> {
    let (input, length) = open(file)?;
    let input = Opened::begin(BufReader::with_capacity(CHUNK_BYTES, input), identities).map_err(|fault| fault.within(file.display()))?;
    let mut archive = Archive { input, file: file.to_owned(), hasher: Sha256::new(), at: 0 };
    let header = archive.header(length)?;
    has_room(into, header.content_bytes())?;
    for row in &header.files {
        observe("unpack", &row.item.path());
        archive.file(row, &into.join(row.item.path()))?;
    }
    let hash = archive.end()?;
    Ok((header, hash))
}

fn has_room(into: &Path, needed: u64) -> Checked<()> {
    let found = rustix::fs::statvfs(into).map_err(|errno| file_fault(into, &errno.into()))?;
    let free = found.f_bavail.saturating_mul(found.f_frsize).saturating_sub(RESERVE_BYTES);
    if needed <= free {
        return Ok(());
    }
    let found = format!("{}: {free} bytes are free; {needed} bytes are in the backup (TMPDIR says where it is verified)", into.display());
    Err(Fault::new(Rule::FileFault, found))
}

/// An archive as it is opened, and the hash of what was read of it.
struct Archive<R: Read> {
    input: Opened<R>,
    file: PathBuf,
    hasher: Sha256,
    at: u64,
}

impl<R: Read> Archive<R> {
    fn fault(&self, found: impl std::fmt::Display) -> Fault {
        Fault::new(Rule::BackupFault, format!("{}: at byte {} of the archive: {found}", self.file.display(), self.at))
    }

    /// Fills `out`; what was read counts for the hash of the backup.
    fn read(&mut self, out: &mut [u8]) -> Checked<()> {
        self.input.read_exact(out).map_err(|error| self.broken(&error))?;
        self.hasher.update(&*out);
        self.at += out.len() as u64;
        Ok(())
    }

    fn broken(&self, error: &std::io::Error) -> Fault {
        match error.kind() {
            ErrorKind::UnexpectedEof => self.fault("its end found; more expected: it is cut off"),
            ErrorKind::InvalidData => self.fault("a piece that fails its own check found: it was damaged or changed"),
            _ => Fault::new(Rule::FileFault, format!("{}: {error}", self.file.display())),
        }
    }

    /// Reads the head of a byte string that must be `size` long.
    fn head_of(&mut self, size: u64, what: &str) -> Checked<()> {
        let expected = bytes_head(size);
        let mut found = vec![0; expected.len()];
        self.read(&mut found)?;
        if found == expected {
            return Ok(());
        }
        Err(self.fault(format!(
            "{} found; {} expected, a byte string of {size} bytes for {what}",
            hex::encode(found),
            hex::encode(expected)
        )))
    }

    /// Reads the header. `length` is that of the sealed file, and what is in it cannot be more.
    fn header(&mut self, length: u64) -> Checked<Header> {
        let mut head = vec![0; 1];
        self.read(&mut head)?;
        let Some(more) = bytes_head_more(head[0]) else {
            return Err(self.fault(format!("{:02x} found; a byte string with the header expected", head[0])));
        };
        head.resize(1 + more, 0);
        self.read(&mut head[1..])?;
        let size = bytes_head_size(&head).filter(|size| *size <= BACKUP_HEADER_BYTES_MAX.min(length));
        let Some(size) = size else {
            let found =
                format!("{} found; a header of at most {BACKUP_HEADER_BYTES_MAX} bytes, and of the file's, expected", hex::encode(&head));
            return Err(self.fault(found));
        };
        let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
        self.read(&mut bytes)?;
        let header = Header::from_cbor(&bytes).map_err(|fault| self.fault(format!("[{}] {}", fault.rule, fault.shown())))?;
        if header.content_bytes() > length {
            return Err(self.fault(format!("files of {} bytes listed; the whole backup has {length}", header.content_bytes())));
        }
        Ok(header)
    }

    /// Reads a file and writes it to `path`, synced.
    fn file(&mut self, row: &Row, path: &Path) -> Checked<()> {
        let what = row.item.path();
        self.head_of(row.size, &what)?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| file_fault(folder, &error))?;
        }
        let mut out = File::options().write(true).create_new(true).open(path).map_err(|error| file_fault(path, &error))?;
        let (mut hasher, mut left, mut chunk) = (Sha256::new(), row.size, vec![0; CHUNK_BYTES]);
        while left > 0 {
            let want = usize::try_from(left).map_or(chunk.len(), |left| left.min(chunk.len()));
            self.read(&mut chunk[..want])?;
            hasher.update(&chunk[..want]);
            out.write_all(&chunk[..want]).map_err(|error| file_fault(path, &error))?;
            left -= want as u64;
        }
        let found = Hash(hasher.finalize().into());
        if found != row.sha256 {
            return Err(self.fault(format!("sha256 {found} found for {what}; {} in the header", row.sha256)));
        }
        out.sync_all().map_err(|error| file_fault(path, &error))
    }

    /// Reads the last hash, and that nothing follows.
    fn end(mut self) -> Checked<Hash> {
        let expected = Hash(self.hasher.clone().finalize().into());
        self.head_of(32, "the hash of the backup")?;
        let mut found = [0; 32];
        self.read(&mut found)?;
        if found != expected.0 {
            return Err(self.fault(format!("hash {} found at its end; {expected} expected", hex::encode(found))));
        }
        match self.input.read(&mut [0]) {
            Ok(0) => Ok(expected),
            Ok(_) => Err(self.fault("more found; its end expected")),
            Err(error) => Err(self.broken(&error)),
        }
    }
}

/// Syncs a folder and those below it: the files were synced as they were written.
fn sync_all(folder: &Path) -> Checked<()> {
    for entry in fs::read_dir(folder).map_err(|error| file_fault(folder, &error))? {
        let path = entry.map_err(|error| file_fault(folder, &error))?.path();
        if path.is_dir() {
            sync_all(&path)?;
        }
    }
    sync_folder(folder)
}

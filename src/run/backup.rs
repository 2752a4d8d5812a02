//! Backing up a desk, also while a session runs on it or it is halted: a copy of one moment, checked, and sealed into one file (SPEC 7.13).
//!
//! What was copied is checked before it is sealed, with every signature, and whatever the ledger names is hashed on its way. Nothing of the desk
//! is written to but its trail, no lock is taken, and no key is needed: whoever makes a backup cannot open it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::broker::{Broker, DATABASE_FILE, read_head};
use crate::core::backup::{BACKUP_SMALL_BYTES_MAX, Header, Item, Row, bytes_head, content_of, head_file_of};
use crate::core::books::Books;
use crate::core::cbor::Canonical as _;
use crate::core::halt::Halt;
use crate::core::head::{HeadFile, compare};
use crate::core::ids::Hash;
use crate::core::limits::{BACKUP_FILES_MAX, BACKUP_HEADER_BYTES_MAX};
use crate::core::rules::{Checked, Fault, Rule};
use crate::keys::backup::Sealing;
use crate::media::new_file::{NewFile, write_new};
use crate::media::publish::Observe;

use super::branches::{books_of, fingerprint};
use super::files::{self, file_fault, hash_file, staging};
use super::halt::{HALT_FILE, read_halt};
use super::problem::{Outcomes, Problem, Unchanged as _};
use super::standby::Standby;
use super::startup::{check_instance, closed_sessions};

/// How often everything is copied again because a session moved content meanwhile.
const TRIES_MAX: usize = 8;
/// Bytes read at a time.
const CHUNK_BYTES: usize = 131_072;
/// What a desk is left as when no backup was made.
const UNTOUCHED: &str = "no backup was made; the desk is as it was";

/// What a backup holds.
#[derive(Clone)]
pub struct Contents {
    /// The hash of the backup: what an order to hand over names.
    pub hash: Hash,
    /// What it says of itself, which was compared with the ledger in it.
    pub header: Header,
    /// What follows from that ledger.
    pub books: Books,
    /// Why the desk is halted, if it is, without where the dossier lies.
    pub halted: Option<String>,
}

/// A backup that was made.
pub struct BackedUp {
    /// Where it is.
    pub file: PathBuf,
    /// Its length.
    pub size_bytes: u64,
    /// SHA-256 of the file, as it was read back.
    pub sha256: Hash,
    /// What is in it.
    pub contents: Contents,
    /// Dossiers and quarantined events that are not what their names say, and were left out.
    pub left_out: Vec<PathBuf>,
}

/// Where the content of a file comes from.
enum Source {
    Bytes(Vec<u8>),
    File(PathBuf),
}

/// A desk's ledger as it was at one moment, and everything that goes with it.
struct Copied {
    header: Header,
    sources: Vec<Source>,
    books: Books,
    halted: Option<String>,
    left_out: Vec<PathBuf>,
    /// Holds the copy as long as it is read.
    _staging: tempfile::TempDir,
}

/// Backs up the desk in `dir` to `out`: a new file, or a folder, in which the file is named by what it holds.
///
/// Tells `observe` of `copy the ledger`, `check the copy`, `write`, `seal` with each file, `read back` and `rename` before each.
///
/// # Errors
/// `not-found`; `exists`; `medium-fault` when writing fails; `chain-broken`, `ledger-fault`, `head-rolled-back` of a desk that is not what was
/// written; `file-fault` when content that the ledger names is damaged or gone.
pub fn backup(dir: &Path, out: &Path, observe: &mut Observe<'_>) -> Outcomes<BackedUp> {
    let ledger = Broker::look(dir)?;
    let mut tries = 0;
    loop {
        let before = ledger.head()?;
        tries += 1;
        let made = Copied::of(dir, &ledger, observe).and_then(|copied| copied.write(out, observe));
        // A session that ended meanwhile may have moved content of papers that waited: then what was copied first is of another moment.
        match made {
            Err(problem) if may_have_moved(&problem.fault) && tries < TRIES_MAX && ledger.head()? != before => {}
            made => return made,
        }
    }
}

fn may_have_moved(fault: &Fault) -> bool {
    matches!(fault.rule, Rule::FileFault | Rule::NotFound)
}

impl Copied {
    fn of(dir: &Path, ledger: &Broker, observe: &mut Observe<'_>) -> Outcomes<Copied> {
        let before = read_head(dir);
        let staging = staging()?;
        observe("copy the ledger", DATABASE_FILE);
        ledger.copy_to(staging.path()).unchanged(|| UNTOUCHED.into())?;
        observe("check the copy", DATABASE_FILE);
        let copy = Broker::foreign(staging.path()).map_err(not_whole)?;
        let books = books_of(&copy, true).map_err(not_whole)?;
        let last = copy.latest()?.ok_or_else(|| Fault::new(Rule::LedgerFault, "no event found; a founding expected"))?;
        drop(copy);
        if Standby::of(dir)?.is_none() {
            check_instance(ledger, books.charter()?)?;
        }
        // Read last: a halt that came in meanwhile goes along.
        let halt = halt_file(dir)?;
        let halted = why_halted(halt.as_deref(), &books);
        if halted.is_none() {
            check_head(&books, before, read_head(dir)).map_err(head_is_wrong)?;
        }
        let mut files = Files::default();
        if let Some(bytes) = halt {
            files.bytes(Item::Halt, bytes);
        }
        files.bytes(Item::Head, head_file_of(&books)?.text().into_bytes());
        let database = staging.path().join(DATABASE_FILE);
        let (sha256, size) = hash_file(&database)?;
        files.file(Item::Database, size, sha256, database);
        for (item, (size, sha256)) in content_of(&books) {
            let path = dir.join(item.path());
            files.file(item, size, sha256, path);
        }
        files.evidence(dir, "halt-evidence", ".txt", Item::Dossier)?;
        files.evidence(dir, "quarantine", ".events", Item::Quarantine)?;
        let (rows, sources) = files.rows.into_values().unzip();
        let header = Header {
            origin: books.origin()?.clone(),
            fingerprint: fingerprint(&books)?,
            head: books.head(),
            last_event: (last.seq_no, last.event_hash),
            program: env!("CARGO_PKG_VERSION").into(),
            files: rows,
        };
        Ok(Copied { header, sources, books, halted, left_out: files.left_out, _staging: staging })
    }

    fn write(self, out: &Path, observe: &mut Observe<'_>) -> Outcomes<BackedUp> {
        let header = self.header.to_cbor();
        if self.header.files.len() > BACKUP_FILES_MAX || header.len() as u64 > BACKUP_HEADER_BYTES_MAX {
            let found = format!("{} files found; at most {BACKUP_FILES_MAX} go into a backup", self.header.files.len());
            return Err(Fault::new(Rule::BackupFault, found)).unchanged(|| UNTOUCHED.into());
        }
        let file = match out.is_dir() {
            true => out.join(self.name()),
            false => out.to_owned(),
        };
        let (recipient, mut hash) = (&self.books.charter()?.backup_recipient, Hash::ZERO);
        let written = write_new(&file, observe, &mut |new, observe| {
            hash = self.seal(recipient, &header, new, &file, observe)?;
            Ok(())
        });
        let (sha256, size_bytes) = written.map_err(|fault| not_written(fault, &file))?;
        let Copied { header, books, halted, left_out, .. } = self;
        Ok(BackedUp { file, size_bytes, sha256, contents: Contents { hash, header, books, halted }, left_out })
    }

    /// The name of a backup in a folder: the same state has the same name, and another state another one.
    fn name(&self) -> String {
        let Header { origin, head, last_event, .. } = &self.header;
        let halted = if self.halted.is_some() { "-halted" } else { "" };
        format!("{}@{}-event-{}{halted}.backup.age", origin.as_str().replace(['/', '~'], "-"), head.number, last_event.0)
    }

    /// Writes the archive, sealed; answers with the hash of the backup.
    fn seal(&self, recipient: &str, header: &[u8], new: &mut NewFile, to: &Path, observe: &mut Observe<'_>) -> Checked<Hash> {
        let fault = |error: std::io::Error| Fault::new(Rule::MediumFault, format!("{}: {error}", to.display()));
        let mut archive = Archive { out: Sealing::begin(recipient, new)?, hasher: Sha256::new() };
        archive.put(&bytes_head(header.len() as u64)).and_then(|()| archive.put(header)).map_err(fault)?;
        for (row, source) in self.header.files.iter().zip(&self.sources) {
            observe("seal", &row.item.path());
            archive.put(&bytes_head(row.size)).map_err(fault)?;
            match source {
                Source::Bytes(bytes) => archive.put(bytes).map_err(fault)?,
                Source::File(path) => archive.put_file(path, row, &fault)?,
            }
        }
        let hash = Hash(archive.hasher.finalize().into());
        let mut sealing = archive.out;
        let ended = sealing.write_all(&bytes_head(32)).and_then(|()| sealing.write_all(&hash.0));
        ended.and_then(|()| sealing.finish()).map_err(fault)?;
        Ok(hash)
    }
}

/// An archive on its way: what is put into it is hashed and sealed.
struct Archive<W: Write> {
    out: Sealing<W>,
    hasher: Sha256,
}

impl<W: Write> Archive<W> {
    fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.hasher.update(bytes);
        self.out.write_all(bytes)
    }

    /// Puts a file that must be what its row says.
    fn put_file(&mut self, path: &Path, row: &Row, fault: &dyn Fn(std::io::Error) -> Fault) -> Checked<()> {
        let (mut file, expected) = (File::open(path).map_err(|error| file_fault(path, &error))?, row.sha256);
        let differs = |found: String| {
            Fault::new(Rule::FileFault, format!("{}: {found} found; {} bytes, sha256 {expected} expected", path.display(), row.size))
        };
        let length = file.metadata().map_err(|error| file_fault(path, &error))?.len();
        if length != row.size {
            return Err(differs(format!("{length} bytes")));
        }
        let (mut hasher, mut left, mut chunk) = (Sha256::new(), row.size, vec![0; CHUNK_BYTES]);
        while left > 0 {
            let want = usize::try_from(left).map_or(chunk.len(), |left| left.min(chunk.len()));
            file.read_exact(&mut chunk[..want]).map_err(|error| file_fault(path, &error))?;
            hasher.update(&chunk[..want]);
            self.put(&chunk[..want]).map_err(fault)?;
            left -= want as u64;
        }
        let found = Hash(hasher.finalize().into());
        if found == expected { Ok(()) } else { Err(differs(format!("sha256 {found}"))) }
    }
}

/// The files of an archive, by path.
#[derive(Default)]
struct Files {
    rows: BTreeMap<String, (Row, Source)>,
    left_out: Vec<PathBuf>,
}

impl Files {
    fn bytes(&mut self, item: Item, bytes: Vec<u8>) {
        let row = Row { item, size: bytes.len() as u64, sha256: Hash::of(&bytes) };
        self.rows.insert(row.item.path(), (row, Source::Bytes(bytes)));
    }

    fn file(&mut self, item: Item, size: u64, sha256: Hash, path: PathBuf) {
        self.rows.insert(item.path(), (Row { item, size, sha256 }, Source::File(path)));
    }

    /// Files that are named by their SHA-256: the ledger needs none of them, and one that is something else is left out and told.
    fn evidence(&mut self, dir: &Path, folder: &str, ending: &str, item: fn(Hash) -> Item) -> Checked<()> {
        let folder = dir.join(folder);
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(file_fault(&folder, &error)),
        };
        for entry in entries {
            let path = entry.map_err(|error| file_fault(&folder, &error))?.path();
            let named = path.file_name().and_then(|name| name.to_str()?.strip_suffix(ending)).and_then(Hash::from_hex);
            let Some(named) = named else { continue };
            let is_plain = path.symlink_metadata().is_ok_and(|found| found.is_file());
            match hash_file(&path) {
                Ok((found, size)) if is_plain && found == named => self.file(item(named), size, named, path),
                _ => self.left_out.push(path),
            }
        }
        self.left_out.sort();
        Ok(())
    }
}

/// The bytes of the halt file, if the desk has one. What stands there and is no such file halts as well; a text that says so goes along for it.
fn halt_file(dir: &Path) -> Checked<Option<Vec<u8>>> {
    let Some(reason) = read_halt(dir)? else { return Ok(None) };
    let path = dir.join(HALT_FILE);
    let is_small = path.symlink_metadata().is_ok_and(|found| found.is_file() && found.len() <= BACKUP_SMALL_BYTES_MAX);
    Ok(Some(match is_small.then(|| files::read(&path)) {
        Some(Ok(bytes)) => bytes,
        _ => format!("{reason}\n").into_bytes(),
    }))
}

/// Why a desk with this halt file and this ledger is halted, if it is, in words.
pub(super) fn why_halted(halt_file: Option<&[u8]>, books: &Books) -> Option<String> {
    let words = |halt: &Halt| format!("[{}] {}; dossier sha256:{}", halt.rule, halt.found, halt.dossier);
    match halt_file {
        Some(bytes) => Some(Halt::parse(&String::from_utf8_lossy(bytes)).map_or_else(
            |_| format!("its halt file, {} bytes, sha256:{}, is of another form, and halts all the same", bytes.len(), Hash::of(bytes)),
            |halt| words(&halt),
        )),
        None => books.trouble().halts().values().next().map(words),
    }
}

/// The head file stands to the copied ledger as to one that nobody put back. It was read before the copy was made and again after it: a session
/// may have ended in between.
fn check_head(books: &Books, before: Checked<Option<String>>, after: Checked<Option<String>>) -> Checked<()> {
    let closed = closed_sessions(books);
    let text = before?;
    let found = text.as_deref().map(HeadFile::parse).transpose().map_err(|fault| fault.within("the head file"))?;
    let went_on = after? != text && found.as_ref().is_none_or(|found| closed.contains(found));
    match went_on {
        true => Ok(()),
        false => compare(found.as_ref(), &closed, books.unsealed().is_none()).map(drop),
    }
}

fn not_whole(fault: Fault) -> Problem {
    match fault.rule {
        Rule::ChainBroken | Rule::LedgerFault => Problem { fault, state: UNTOUCHED.into(), next: None }.advising(
            "only a ledger that is whole is backed up: keep a copy of the disk as it is, run tabellion witness integrity, and see docs/recovery.md",
        ),
        _ => Problem { fault, state: UNTOUCHED.into(), next: None },
    }
}

fn head_is_wrong(fault: Fault) -> Problem {
    Problem { fault, state: UNTOUCHED.into(), next: None }
        .advising("run tabellion witness integrity first: it halts the desk over this, and a halted desk can be backed up")
}

fn not_written(fault: Fault, file: &Path) -> Problem {
    let next = match fault.rule {
        Rule::Exists => Some(format!("if it is an earlier backup, verify it: tabellion witness backup --verify {}", file.display())),
        Rule::FileFault | Rule::NotFound if fault.found.contains("/objects/loose/") => {
            Some("content of a paper that waits is damaged or gone: bring it again to a session, and run the same command again".into())
        }
        Rule::FileFault | Rule::NotFound if fault.found.contains("/objects/") => {
            Some("copy the file from the folder tabellion/common/objects of any medium, and run the same command again".into())
        }
        Rule::MediumFault => {
            Some("the desk is as it was: look whether there is room, or give another medium, and run the same command again".into())
        }
        _ => None,
    };
    Problem { fault, state: UNTOUCHED.into(), next }
}

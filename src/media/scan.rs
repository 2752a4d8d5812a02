//! Reading a medium: every plain file once, into a copy of ours, recognised by its first bytes.
//!
//! What is read from a medium is untrusted. A [`RawFile`] can only be made here, and holds the copy; nothing later opens the medium again.
//! Our own published folders are not searched for papers, but for gossip: `tabellion/results`, and of `tabellion/common` the files directly in it
//! and the proofs of rotations.

use std::fs::{File, OpenOptions};
use std::io::{self, Cursor, Read, Seek as _, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use walkdir::WalkDir;

use super::plain::{CHUNK_BYTES, open_plain, read_up_to, shown};
use super::published::{CHECKPOINT, COMMON, RESULTS, published_files, relative_to};
use crate::core::bundle::{FileKind, RECOGNISE_BYTES, is_signed_text, recognise};
use crate::core::ids::Hash;
use crate::core::limits::{ENVELOPE_BYTES_MAX, MEDIUM_DEPTH_MAX, MEDIUM_FILES_MAX, NOTE_BYTES_MAX};
use crate::core::rules::{Checked, Fault, Rule};

/// Largest file kept in memory; larger bundles and receipts lie in the staging folder, larger ones of other kinds are only hashed.
const MEMORY_FILE_BYTES_MAX: usize = 1_048_576;
/// Largest file that is hashed although it is not kept. A larger one of no kind of ours, a film or a file without end, is listed without a hash.
const HASHED_BYTES_MAX: u64 = 268_435_456;
/// Largest receipts file that is read: 100,000 receipts of 2,560 bytes.
pub const RECEIPTS_BYTES_MAX: u64 = 256_000_000;
/// Bytes that copies leave free on the disk of the staging folder.
const STAGING_RESERVE_BYTES: u64 = 67_108_864;
/// Most bytes of one medium kept in memory, all files together; what comes after lies in the staging folder.
const MEMORY_BYTES_MAX: usize = 67_108_864;
/// Bytes shown of a file of unknown kind.
const SHOWN_BYTES: usize = 16;
/// What one medium holds.
#[derive(Debug, Default)]
pub struct Scanned {
    /// The files that are of a known kind, in the order of their names.
    pub files: Vec<RawFile>,
    /// Files of our published folders that may carry a signature of ours: they are read for gossip alone.
    pub gossip: Vec<RawFile>,
    /// What was passed over, with the reason.
    pub ignored: Vec<Ignored>,
    /// Those of our published folders that are there.
    pub published: Vec<String>,
}

/// Something on a medium that was passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// Path on the medium, escaped.
    pub path: String,
    /// The reason.
    pub fault: Fault,
    /// Length in bytes and SHA-256, when it was read to its end.
    pub digest: Option<(u64, Hash)>,
}

/// One file as it was on a medium: a copy of ours, untrusted.
#[derive(Debug)]
pub struct RawFile {
    path: String,
    bytes_len: u64,
    sha256: Hash,
    kind: FileKind,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Memory(Vec<u8>),
    Staged(PathBuf),
}

impl RawFile {
    /// Path on the medium, escaped: for people, never to be opened.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Length in bytes.
    pub fn bytes_len(&self) -> u64 {
        self.bytes_len
    }

    /// SHA-256 of the content.
    pub fn sha256(&self) -> Hash {
        self.sha256
    }

    /// What it is by its first bytes; never [`FileKind::Unknown`].
    pub fn kind(&self) -> FileKind {
        self.kind
    }

    /// Reads our copy from `offset` on.
    ///
    /// # Errors
    /// `file-fault` when the staging folder fails.
    pub fn open(&self, offset: u64) -> Checked<RawReader<'_>> {
        let (inner, name) = match &self.content {
            Content::Memory(bytes) => (Inner::Memory(Cursor::new(bytes)), None),
            Content::Staged(path) => (Inner::Staged(File::open(path).map_err(|error| staging_fault(path, &error))?), Some(path)),
        };
        let mut reader = RawReader(inner);
        let sought = match &mut reader.0 {
            Inner::Memory(cursor) => cursor.seek(SeekFrom::Start(offset)),
            Inner::Staged(file) => file.seek(SeekFrom::Start(offset)),
        };
        sought.map_err(|error| staging_fault(name.map_or(Path::new(&self.path), PathBuf::as_path), &error))?;
        Ok(reader)
    }

    /// The whole content of a file that has a bound.
    ///
    /// # Errors
    /// `rule` when it has more than `most` bytes; `file-fault` when the staging folder fails.
    pub fn bytes(&self, most: usize, rule: Rule) -> Checked<Vec<u8>> {
        let len = usize::try_from(self.bytes_len).ok().filter(|&len| len <= most);
        let Some(len) = len else {
            return Err(Fault::new(rule, format!("{}: {} bytes found, at most {most} allowed", self.path, self.bytes_len)));
        };
        let mut bytes = vec![0; len];
        self.open(0)?.read_exact(&mut bytes).map_err(|error| self.copy_fault(&error))?;
        Ok(bytes)
    }

    /// A failure to read our own copy.
    pub(super) fn copy_fault(&self, error: &io::Error) -> Fault {
        Fault::new(Rule::FileFault, format!("our copy of {}: {error}", self.path))
    }
}

/// Reads a [`RawFile`]'s copy.
#[derive(Debug)]
pub struct RawReader<'a>(Inner<'a>);

#[derive(Debug)]
enum Inner<'a> {
    Memory(Cursor<&'a Vec<u8>>),
    Staged(File),
}

impl Read for RawReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Inner::Memory(cursor) => cursor.read(out),
            Inner::Staged(file) => file.read(out),
        }
    }
}

/// Reads a medium. `staging` is a folder of ours that takes the copies of large files, of several media if need be; the caller removes it
/// when done.
///
/// # Errors
/// `not-found` when `root` is no folder; `file-fault` when the staging folder fails. Whatever is wrong with a single file is listed instead.
pub fn scan(root: &Path, staging: &Path) -> Checked<Scanned> {
    if !root.is_dir() {
        return Err(Fault::new(Rule::NotFound, format!("{}: a folder is expected", root.display())));
    }
    let mut scanned = Scanned::default();
    let mut taker = Taker::new(staging);
    for relative in walk(root, MEDIUM_FILES_MAX, &mut scanned) {
        let path = shown(&relative);
        match taker.take(&root.join(&relative), path.clone())? {
            Taken::File(file) if relative == Path::new(CHECKPOINT) && file.kind != FileKind::Checkpoint => {
                let fault = Fault::new(Rule::FileUnknown, format!("{} found, checkpoint expected in this place", file.kind.word()));
                scanned.ignored.push(Ignored { path, fault, digest: Some((file.bytes_len, file.sha256)) });
                scanned.gossip.extend(Some(file).filter(|file| file.kind.is_text() || file.kind == FileKind::Receipts));
            }
            Taken::File(file) => scanned.files.push(file),
            Taken::Ignored(ignored) => scanned.ignored.push(ignored),
        }
    }
    let there = scanned.published.clone();
    let published = published_files(root, MEDIUM_FILES_MAX, &there, &mut |path, rule, reason| scanned.list(path, rule, reason));
    for relative in published {
        // What else lies in our own folders is replaced or left alone when they are written, and needs no listing.
        if let Taken::File(file) = taker.take(&root.join(&relative), shown(&relative))? {
            scanned.gossip.extend(Some(file).filter(|file| file.kind.is_text() || file.kind == FileKind::Receipts));
        }
    }
    scanned.ignored.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(scanned)
}

/// Reads one file by the same rules as those of a medium.
///
/// # Errors
/// `not-found`; the reason for which a scan would have passed it over; `file-fault` when the staging folder fails.
pub fn read_one(path: &Path, staging: &Path) -> Checked<RawFile> {
    if std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Err(Fault::new(Rule::NotFound, path.display().to_string()));
    }
    match Taker::new(staging).take(path, shown(path))? {
        Taken::File(file) => Ok(file),
        Taken::Ignored(ignored) => Err(Fault::new(ignored.fault.rule, format!("{}: {}", ignored.path, ignored.fault.found))),
    }
}

/// The paths to read, relative to `root` and in the order of their names; what cannot be walked is listed, and so is that there are more than
/// `most` files or folders.
fn walk(root: &Path, most: usize, scanned: &mut Scanned) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let (mut files, mut folders) = (0, 0);
    // walkdir reads a folder whole into memory when it sorts, or when more folders are open than allowed; the paths are sorted here instead.
    let mut entries = WalkDir::new(root).follow_links(false).max_open(MEDIUM_DEPTH_MAX + 8).into_iter();
    while let Some(next) = entries.next() {
        let entry = match next {
            Ok(entry) if entry.depth() == 0 => continue,
            Ok(entry) => entry,
            Err(error) => {
                let reason = error.io_error().map_or_else(|| "it leads back to itself".to_owned(), io::Error::to_string);
                scanned.list(relative_to(root, error.path().unwrap_or(root)), Rule::FileUnreadable, reason);
                files += 1;
                if files > most {
                    break;
                }
                continue;
            }
        };
        let relative = relative_to(root, entry.path());
        if entry.file_type().is_dir() {
            folders += 1;
            if [COMMON, RESULTS].iter().any(|own| relative == Path::new(own)) {
                scanned.published.push(shown(relative));
                entries.skip_current_dir();
            } else if entry.depth() > MEDIUM_DEPTH_MAX {
                let reason = format!("a folder {} deep found, at most {MEDIUM_DEPTH_MAX} allowed; nothing in it was read", entry.depth());
                scanned.list(relative, Rule::FilesTooMany, reason);
                entries.skip_current_dir();
            }
        } else {
            files += 1;
            if files <= most {
                found.push(relative.to_owned());
            }
        }
        if files > most || folders > most {
            let reason = format!("more than {most} files or folders found, at most {most} allowed; the rest was not read");
            scanned.list(relative, Rule::FilesTooMany, reason);
            break;
        }
    }
    if scanned.published.iter().any(|own| own == COMMON) && std::fs::symlink_metadata(root.join(CHECKPOINT)).is_ok() {
        found.push(CHECKPOINT.into());
    }
    scanned.published.sort();
    found.sort();
    found
}

impl Scanned {
    pub(super) fn list(&mut self, path: &Path, rule: Rule, reason: String) {
        self.ignored.push(Ignored { path: shown(path), fault: Fault::new(rule, reason), digest: None });
    }
}

enum Taken {
    File(RawFile),
    Ignored(Ignored),
}

/// Makes the copies. Its memory is bounded over all files of a medium.
struct Taker<'a> {
    staging: &'a Path,
    staged: u64,
    memory_left: usize,
    chunk: Vec<u8>,
}

impl<'a> Taker<'a> {
    fn new(staging: &'a Path) -> Taker<'a> {
        Taker { staging, staged: 0, memory_left: MEMORY_BYTES_MAX, chunk: vec![0; CHUNK_BYTES] }
    }

    /// Why a file is not copied: it needs more space than the disk of the staging folder has free. A sparse file costs an attacker nothing.
    fn too_large_to_copy(&self, declared: u64) -> Option<Fault> {
        if declared <= MEMORY_FILE_BYTES_MAX as u64 {
            return None;
        }
        let found = rustix::fs::statvfs(self.staging).ok()?;
        let free = found.f_bavail.saturating_mul(found.f_frsize).saturating_sub(STAGING_RESERVE_BYTES);
        let text = || format!("{declared} bytes found; {free} bytes are free for our copy");
        (declared > free).then(|| Fault::new(Rule::FileUnreadable, text()))
    }

    /// Reads one file once, from its first byte to its last.
    fn take(&mut self, on_medium: &Path, path: String) -> Checked<Taken> {
        let ignore = |path, fault, digest| Ok(Taken::Ignored(Ignored { path, fault, digest }));
        let (mut source, declared) = match open_plain(on_medium) {
            Ok(opened) => opened,
            Err(fault) => return ignore(path, fault, None),
        };
        let mut hasher = Sha256::new();
        let (mut len, mut kind, mut refused) = (0, FileKind::Unknown, None);
        let mut copy = Copy::Memory(Vec::new());
        loop {
            let got = match read_up_to(&mut source, &mut self.chunk) {
                Ok(got) => got,
                Err(error) => {
                    copy.discard();
                    return ignore(path, Fault::new(Rule::FileUnreadable, format!("offset {len} of {declared}: {error}")), None);
                }
            };
            let chunk = &self.chunk[..got];
            if len == 0 {
                kind = recognise(&chunk[..got.min(RECOGNISE_BYTES)]);
                if kind == FileKind::Unknown && got as u64 == declared && is_signed_text(chunk) {
                    kind = FileKind::Note;
                }
                refused = refuse_to_keep(kind, declared, chunk);
                if let Some(fault) = refused.take_if(|_| declared > HASHED_BYTES_MAX) {
                    return ignore(path, fault, None);
                }
                if let Some(fault) = self.too_large_to_copy(declared) {
                    return ignore(path, fault, None);
                }
            }
            len += got as u64;
            hasher.update(chunk);
            if refused.is_none() {
                let most = self.memory_left.min(MEMORY_FILE_BYTES_MAX);
                let kept = copy.append(chunk, most, self.staging, &mut self.staged);
                copy = kept.map_err(|fault| Fault::new(fault.rule, format!("copying {path} to {}", fault.found)))?;
            }
            if got < self.chunk.len() || len > declared {
                break;
            }
        }
        if len != declared {
            copy.discard();
            return ignore(path, Fault::new(Rule::FileUnreadable, format!("{len} bytes or more read, {declared} expected")), None);
        }
        let sha256 = Hash(hasher.finalize().into());
        if let Some(fault) = refused {
            return ignore(path, fault, Some((len, sha256)));
        }
        let content = match copy {
            Copy::Memory(bytes) => {
                self.memory_left -= bytes.len();
                Content::Memory(bytes)
            }
            Copy::Staged(staged, _) => Content::Staged(staged),
        };
        Ok(Taken::File(RawFile { path, bytes_len: len, sha256, kind, content }))
    }
}

/// Why a file is hashed and listed but not kept: it is of no known kind, or of one of which none is so large.
fn refuse_to_keep(kind: FileKind, declared: u64, first: &[u8]) -> Option<Fault> {
    let large = declared > MEMORY_FILE_BYTES_MAX as u64;
    match kind {
        FileKind::Receipts if declared > RECEIPTS_BYTES_MAX => Some(Fault::new(
            Rule::FileUnknown,
            format!("{declared} bytes that begin like receipts found, at most {RECEIPTS_BYTES_MAX} expected"),
        )),
        FileKind::Bundle | FileKind::Receipts => None,
        FileKind::Paper if large => {
            Some(Fault::new(Rule::EnvelopeTooLarge, format!("a file of {declared} bytes found, at most {ENVELOPE_BYTES_MAX} allowed")))
        }
        _ if large && kind.is_text() => {
            let found = format!("{declared} bytes that begin like a {} found, at most {NOTE_BYTES_MAX} expected", kind.word());
            Some(Fault::new(Rule::FileUnknown, found))
        }
        FileKind::Paper | FileKind::Checkpoint | FileKind::Proof | FileKind::Note | FileKind::CatchUp | FileKind::Fork => None,
        FileKind::Unknown if declared == 0 => Some(Fault::new(Rule::FileUnknown, "an empty file, 0 bytes")),
        FileKind::Unknown => {
            let begin = hex::encode(&first[..first.len().min(SHOWN_BYTES)]);
            Some(Fault::new(Rule::FileUnknown, format!("{declared} bytes that begin {begin:?}")))
        }
    }
}

/// A copy while it is made.
enum Copy {
    Memory(Vec<u8>),
    Staged(PathBuf, File),
}

impl Copy {
    fn append(self, chunk: &[u8], memory_most: usize, staging: &Path, staged: &mut u64) -> Checked<Copy> {
        let (path, mut file, before) = match self {
            Copy::Memory(mut bytes) if bytes.len() + chunk.len() <= memory_most => {
                bytes.extend_from_slice(chunk);
                return Ok(Copy::Memory(bytes));
            }
            Copy::Memory(bytes) => {
                let (path, file) = new_staged(staging, staged)?;
                (path, file, bytes)
            }
            Copy::Staged(path, file) => (path, file, Vec::new()),
        };
        file.write_all(&before).and_then(|()| file.write_all(chunk)).map_err(|error| staging_fault(&path, &error))?;
        Ok(Copy::Staged(path, file))
    }

    /// Removes what was begun. A copy that stays behind goes with the staging folder.
    fn discard(self) {
        if let Copy::Staged(path, _) = self {
            drop(std::fs::remove_file(path));
        }
    }
}

/// A new file in the staging folder, which may hold those of other media already.
fn new_staged(staging: &Path, staged: &mut u64) -> Checked<(PathBuf, File)> {
    loop {
        *staged += 1;
        let path = staging.join(format!("raw-{staged:06}"));
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(staging_fault(&path, &error)),
        }
    }
}

fn staging_fault(path: &Path, error: &io::Error) -> Fault {
    Fault::new(Rule::FileFault, format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    const PAPER: &[u8] = &[0xd8, 0x62, 0x84, 0x40, 0xa0, 0x40, 0x80];
    const BUNDLE: &[u8] = &[0xd9, 0xd9, 0xf7, 0x84];
    const CHECK: &[u8] = b"witness.example/common\n41\nAAAA\n\n";

    struct Medium {
        dir: tempfile::TempDir,
        staging: tempfile::TempDir,
    }

    impl Medium {
        fn new(files: &[(&str, &[u8])]) -> Medium {
            let medium = Medium { dir: tempfile::tempdir().expect("a folder"), staging: tempfile::tempdir().expect("a folder") };
            for (path, content) in files {
                let path = medium.path(path);
                std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
                std::fs::write(path, content).expect("written");
            }
            medium
        }

        fn path(&self, relative: &str) -> PathBuf {
            self.dir.path().join(relative)
        }

        fn scan(&self) -> Scanned {
            scan(self.dir.path(), self.staging.path()).expect("scanned")
        }
    }

    fn listed(scanned: &Scanned) -> Vec<(&str, Rule)> {
        scanned.ignored.iter().map(|i| (i.path.as_str(), i.fault.rule)).collect()
    }

    #[test]
    fn known_files_are_taken_in_the_order_of_their_names_wherever_they_lie() {
        let medium = Medium::new(&[("z", PAPER), ("a/b/c", CHECK), ("a.txt", PAPER), ("a/b.c", PAPER)]);
        let scanned = medium.scan();
        let got: Vec<_> = scanned.files.iter().map(|f| (f.path(), f.kind())).collect();
        let paper = FileKind::Paper;
        assert_eq!(got, [("a/b/c", FileKind::Checkpoint), ("a/b.c", paper), ("a.txt", paper), ("z", paper)]);
        assert_eq!(scanned.files[3].sha256(), Hash::of(PAPER));
        assert_eq!(scanned.files[3].bytes_len(), 7);
        assert_eq!(scanned.files[3].bytes(7, Rule::FileUnknown), Ok(PAPER.to_vec()));
        assert_eq!(scanned.files[3].bytes(6, Rule::CheckpointForm).map_err(|f| f.rule), Err(Rule::CheckpointForm));
        assert!(scanned.ignored.is_empty() && scanned.published.is_empty());
    }

    #[test]
    fn links_pipes_sockets_and_second_names_are_listed_and_not_read() {
        let medium = Medium::new(&[("paper", PAPER), ("twice", PAPER), ("elsewhere/x", PAPER)]);
        let secret = medium.staging.path().join("secret");
        std::fs::write(&secret, PAPER).expect("written");
        symlink(&secret, medium.path("link")).expect("linked");
        symlink("/nowhere", medium.path("dangling")).expect("linked");
        symlink(medium.path("elsewhere"), medium.path("folder-link")).expect("linked");
        std::fs::hard_link(medium.path("twice"), medium.path("again")).expect("linked");
        rustix::fs::mkfifoat(rustix::fs::CWD, medium.path("pipe"), rustix::fs::Mode::from_raw_mode(0o600)).expect("a pipe");
        let _socket = std::os::unix::net::UnixListener::bind(medium.path("socket")).expect("a socket");
        let scanned = medium.scan();
        let names: Vec<_> = scanned.files.iter().map(RawFile::path).collect();
        assert_eq!(names, ["elsewhere/x", "paper"]);
        let not_plain = Rule::FileNotPlain;
        assert_eq!(listed(&scanned), ["again", "dangling", "folder-link", "link", "pipe", "socket", "twice"].map(|name| (name, not_plain)));
        assert!(scanned.ignored[0].fault.found.starts_with("a file with 2 names found"), "{}", scanned.ignored[0].fault);
        assert!(scanned.ignored[4].fault.found.starts_with("a pipe"), "{}", scanned.ignored[4].fault);
    }

    #[test]
    fn unknown_and_empty_files_are_listed_with_first_bytes_and_hash() {
        let long = vec![0xab; 300_000];
        let medium = Medium::new(&[("empty", b""), ("long", &long), ("photo.jpg", &[0xff, 0xd8])]);
        let scanned = medium.scan();
        assert!(scanned.files.is_empty());
        let found: Vec<_> = scanned.ignored.iter().map(|i| (i.fault.rule, i.fault.found.as_str(), i.digest)).collect();
        assert_eq!(
            found,
            [
                (Rule::FileUnknown, "an empty file, 0 bytes", Some((0, Hash::of(b"")))),
                (Rule::FileUnknown, "300000 bytes that begin \"abababababababababababababababab\"", Some((300_000, Hash::of(&long)))),
                (Rule::FileUnknown, "2 bytes that begin \"ffd8\"", Some((2, Hash::of(&[0xff, 0xd8])))),
            ]
        );
        assert_eq!(std::fs::read_dir(medium.staging.path()).expect("read").count(), 0);
    }

    #[test]
    fn our_published_folders_are_not_searched_but_for_the_checkpoint() {
        let medium = Medium::new(&[
            ("tabellion/common/checkpoint", CHECK),
            ("tabellion/common/charter.cose", PAPER),
            ("tabellion/common/sub/paper", PAPER),
            ("tabellion/results/session-000001.receipts", &[0x82, 0x58, 0x20]),
            ("tabellion/heads/one", CHECK),
            ("tabellion/inbox/p", PAPER),
            ("other/tabellion/common/p", PAPER),
        ]);
        let scanned = medium.scan();
        let names: Vec<_> = scanned.files.iter().map(RawFile::path).collect();
        assert_eq!(names, ["other/tabellion/common/p", "tabellion/common/checkpoint", "tabellion/heads/one", "tabellion/inbox/p"]);
        assert_eq!(scanned.published, ["tabellion/common", "tabellion/results"]);
        assert!(scanned.ignored.is_empty());
    }

    #[test]
    fn our_published_folders_are_read_for_gossip_and_links_in_them_are_not_followed() {
        let receipts: &[u8] = &[0x82, 0x58, 0x20];
        let medium = Medium::new(&[
            ("tabellion/common/checkpoint", CHECK),
            ("tabellion/common/common@2.tlog-proof", b"c2sp.org/tlog-proof@v1\n"),
            ("tabellion/common/charter.cose", PAPER),
            ("tabellion/common/vkeys", b"1 key\n"),
            ("tabellion/common/tile/entries/000", CHECK),
            ("tabellion/common/rotation/7.tlog-proof", b"c2sp.org/tlog-proof@v1\n"),
            ("tabellion/results/session-000001.receipts", receipts),
            ("tabellion/results/deep/er/note", b"any\n\n\xe2\x80\x94 n AAAA\n"),
            ("tabellion/results/paper", PAPER),
            ("elsewhere/x", CHECK),
        ]);
        symlink(medium.path("elsewhere"), medium.path("tabellion/results/link")).expect("linked");
        symlink(medium.path("elsewhere/x"), medium.path("tabellion/common/link")).expect("linked");
        let scanned = medium.scan();
        let gossip: Vec<_> = scanned.gossip.iter().map(RawFile::path).collect();
        assert_eq!(
            gossip,
            [
                "tabellion/common/common@2.tlog-proof",
                "tabellion/common/rotation/7.tlog-proof",
                "tabellion/results/deep/er/note",
                "tabellion/results/session-000001.receipts",
            ]
        );
        assert_eq!(scanned.files.iter().map(RawFile::path).collect::<Vec<_>>(), ["elsewhere/x", "tabellion/common/checkpoint"]);
        let mut scanned = Scanned::default();
        let list = &mut |path: &Path, rule, reason| scanned.list(path, rule, reason);
        assert_eq!(published_files(medium.dir.path(), 2, &[RESULTS.into()], list).len(), 2);
        assert_eq!(listed(&scanned), [(RESULTS, Rule::FilesTooMany)]);
    }

    #[test]
    fn a_signed_text_of_any_form_is_a_note_as_long_as_it_is_small() {
        let signed = |bytes: usize| [vec![b'x'; bytes], b"\n\n\xe2\x80\x94 n AAAA\n".to_vec()].concat();
        let medium = Medium::new(&[("a", &signed(10)), ("b", &signed(CHUNK_BYTES))]);
        let scanned = medium.scan();
        assert_eq!(scanned.files.iter().map(|f| (f.path(), f.kind())).collect::<Vec<_>>(), [("a", FileKind::Note)]);
        assert_eq!(listed(&scanned), [("b", Rule::FileUnknown)]);
    }

    #[test]
    fn what_lies_in_the_place_of_the_checkpoint_is_no_paper() {
        let medium = Medium::new(&[("tabellion/common/checkpoint", PAPER)]);
        let scanned = medium.scan();
        assert!(scanned.files.is_empty());
        assert_eq!(listed(&scanned), [("tabellion/common/checkpoint", Rule::FileUnknown)]);
        assert!(scanned.ignored[0].fault.found.starts_with("paper found"), "{}", scanned.ignored[0].fault);
    }

    #[test]
    fn folders_up_to_the_bound_are_looked_into_and_deeper_ones_listed() {
        let most = "d/".repeat(MEDIUM_DEPTH_MAX);
        let medium = Medium::new(&[(&format!("{most}in"), PAPER), (&format!("{most}d/out"), PAPER)]);
        let scanned = medium.scan();
        assert_eq!(scanned.files.len(), 1);
        assert!(scanned.files[0].path().ends_with("/in"));
        assert_eq!(listed(&scanned), [(format!("{most}d").as_str(), Rule::FilesTooMany)]);
        assert!(scanned.ignored[0].fault.found.contains("33 deep found, at most 32"), "{}", scanned.ignored[0].fault);
    }

    #[test]
    fn more_files_or_folders_than_the_bound_are_listed_and_those_before_stand() {
        for (files, folders, taken, rules) in [(3, 3, 3, 0), (4, 0, 3, 1), (0, 4, 0, 1)] {
            let medium = Medium::new(&[]);
            for i in 0..files {
                std::fs::write(medium.path(&format!("f{i}")), PAPER).expect("written");
            }
            for i in 0..folders {
                std::fs::create_dir(medium.path(&format!("d{i}"))).expect("made");
            }
            let mut scanned = Scanned::default();
            assert_eq!(walk(medium.dir.path(), 3, &mut scanned).len(), taken);
            let found: Vec<_> = scanned.ignored.iter().map(|i| i.fault.rule).collect();
            assert_eq!(found, vec![Rule::FilesTooMany; rules]);
        }
    }

    #[test]
    fn a_medium_may_be_named_by_a_link_of_ours() {
        let medium = Medium::new(&[("in/p", PAPER)]);
        let link = medium.staging.path().join("stick");
        symlink(medium.dir.path(), &link).expect("linked");
        let scanned = scan(&link, medium.staging.path()).expect("scanned");
        assert_eq!(scanned.files.iter().map(RawFile::path).collect::<Vec<_>>(), ["in/p"]);
    }

    #[test]
    fn large_files_are_staged_and_read_again_from_the_copy_alone() {
        let mut large = BUNDLE.to_vec();
        large.resize(MEMORY_FILE_BYTES_MAX + 12_345, 0x5a);
        let medium = Medium::new(&[("large", &large), ("small", PAPER), ("exact", &large[..MEMORY_FILE_BYTES_MAX])]);
        let scanned = medium.scan();
        assert_eq!(std::fs::read_dir(medium.staging.path()).expect("read").count(), 1);
        std::fs::remove_file(medium.path("large")).expect("removed");
        let file = scanned.files.iter().find(|f| f.path() == "large").expect("taken");
        assert_eq!(file.sha256(), Hash::of(&large));
        let mut rest = Vec::new();
        file.open(1_000_000).expect("opened").read_to_end(&mut rest).expect("read");
        assert_eq!(rest, large[1_000_000..]);
    }

    #[test]
    fn memory_of_a_medium_is_bounded_over_all_its_files() {
        let staging = tempfile::tempdir().expect("a folder");
        let medium = Medium::new(&[("a", PAPER), ("b", PAPER)]);
        let mut taker = Taker::new(staging.path());
        taker.memory_left = PAPER.len();
        for (name, in_memory) in [("a", true), ("b", false)] {
            let Ok(Taken::File(file)) = taker.take(&medium.path(name), name.into()) else { panic!("{name} was not taken") };
            assert_eq!(matches!(file.content, Content::Memory(_)), in_memory);
            assert_eq!(file.bytes(7, Rule::FileUnknown), Ok(PAPER.to_vec()));
        }
    }

    #[test]
    fn odd_names_are_shown_escaped_and_unreadable_files_do_not_end_the_scan() {
        let medium = Medium::new(&[("z", PAPER), ("no", PAPER)]);
        std::fs::write(medium.dir.path().join(std::ffi::OsStr::from_bytes(b"a\x1b\xff")), PAPER).expect("written");
        std::fs::set_permissions(medium.path("no"), std::fs::Permissions::from_mode(0o000)).expect("set");
        let scanned = medium.scan();
        let root = rustix::process::geteuid().is_root();
        let names: Vec<_> = scanned.files.iter().map(RawFile::path).collect();
        if root {
            assert_eq!(names, ["a\\u{1b}\\xff", "no", "z"]);
        } else {
            assert_eq!(names, ["a\\u{1b}\\xff", "z"]);
            assert_eq!(listed(&scanned), [("no", Rule::FileUnreadable)]);
        }
    }

    #[test]
    fn one_file_is_read_by_the_same_rules() {
        let medium = Medium::new(&[("p", PAPER), ("u", b"unknown")]);
        symlink(medium.path("p"), medium.path("l")).expect("linked");
        let one = |name: &str| read_one(&medium.path(name), medium.staging.path());
        assert_eq!(one("p").expect("read").kind(), FileKind::Paper);
        for (name, rule) in [("u", Rule::FileUnknown), ("l", Rule::FileNotPlain), ("none", Rule::NotFound)] {
            let fault = one(name).expect_err(name);
            assert_eq!(fault.rule, rule);
            assert!(fault.found.contains(&format!("/{name}")), "{fault}");
        }
        assert_eq!(scan(&medium.path("none"), medium.staging.path()).map(drop).map_err(|f| f.rule), Err(Rule::NotFound));
    }

    #[test]
    fn a_staging_folder_that_fails_stops_the_scan() {
        let mut large = BUNDLE.to_vec();
        large.resize(MEMORY_FILE_BYTES_MAX + 1, 0);
        let medium = Medium::new(&[("large", &large)]);
        let fault = scan(medium.dir.path(), Path::new("/nonexistent/staging")).expect_err("no staging folder");
        assert_eq!(fault.rule, Rule::FileFault);
        assert!(fault.found.starts_with("copying large to /nonexistent/staging/raw-000001: "), "{fault}");
    }

    #[test]
    fn several_media_share_a_staging_folder() {
        let mut large = BUNDLE.to_vec();
        large.resize(MEMORY_FILE_BYTES_MAX + 1, 1);
        let (one, two) = (Medium::new(&[("b", &large)]), Medium::new(&[("b", &large)]));
        let scanned = [one.scan(), scan(two.dir.path(), one.staging.path()).expect("scanned")];
        assert_eq!(std::fs::read_dir(one.staging.path()).expect("read").count(), 2);
        assert!(scanned.iter().all(|s| s.files[0].bytes(large.len(), Rule::FileUnknown).as_ref() == Ok(&large)));
    }

    #[test]
    fn papers_and_notes_of_a_size_none_has_are_hashed_and_not_kept() {
        let grown = |first: &[u8]| {
            let mut bytes = first.to_vec();
            bytes.resize(MEMORY_FILE_BYTES_MAX + 1, 0);
            bytes
        };
        let (paper, note) = (grown(PAPER), grown(CHECK));
        let medium = Medium::new(&[("note", &note), ("paper", &paper), ("note-at-bound", &note[..MEMORY_FILE_BYTES_MAX])]);
        let scanned = medium.scan();
        assert_eq!(scanned.files.iter().map(RawFile::path).collect::<Vec<_>>(), ["note-at-bound"]);
        assert_eq!(listed(&scanned), [("note", Rule::FileUnknown), ("paper", Rule::EnvelopeTooLarge)]);
        assert_eq!(scanned.ignored[1].digest, Some((paper.len() as u64, Hash::of(&paper))));
        assert_eq!(std::fs::read_dir(medium.staging.path()).expect("read").count(), 0);
    }
}

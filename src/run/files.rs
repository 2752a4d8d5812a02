//! Files of ours on this machine's own disk: read with their path in every error, written whole or not at all.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::core::ids::Hash;
use crate::core::rules::{Checked, Fault, Rule};

/// `not-found` or `file-fault` with the path.
pub fn file_fault(path: &Path, error: &std::io::Error) -> Fault {
    match error.kind() {
        ErrorKind::NotFound => Fault::new(Rule::NotFound, format!("{}: nothing is there", path.display())),
        _ => Fault::new(Rule::FileFault, format!("{}: {error}", path.display())),
    }
}

/// The folder a file lies in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a folder and those above it, each name synced: what is synced in a folder is lost with it.
///
/// # Errors
/// `file-fault`.
pub fn make_folder(path: &Path) -> Checked<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = folder_of(path);
    if above != path {
        make_folder(above)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists || !path.is_dir() => Err(file_fault(path, &error)),
        _ => sync_folder(above),
    }
}

/// Syncs a folder, so that names in it survive a power cut.
///
/// # Errors
/// `file-fault`.
pub fn sync_folder(path: &Path) -> Checked<()> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|error| file_fault(path, &error))
}

/// Largest file that is read into memory: pins, policies, charters and papers are far smaller.
const FILE_BYTES_MAX: u64 = 16_777_216;

/// Reads a plain file of at most 16 MiB. What somebody names may lie on a hostile medium: pipes and devices are not opened.
///
/// # Errors
/// `not-found`, `file-fault`.
pub fn read(path: &Path) -> Checked<Vec<u8>> {
    let metadata = fs::metadata(path).map_err(|error| file_fault(path, &error))?;
    let refuse = |what: &str| Fault::new(Rule::FileFault, format!("{}: {what}", path.display()));
    if !metadata.is_file() {
        return Err(refuse("no plain file is there, but a folder, device or pipe; a file expected"));
    }
    if metadata.len() > FILE_BYTES_MAX {
        return Err(refuse(&format!("{} bytes found; at most {FILE_BYTES_MAX} expected", metadata.len())));
    }
    fs::read(path).map_err(|error| file_fault(path, &error))
}

/// Writes or replaces a file: temporary name, sync, rename, sync of the folder.
///
/// # Errors
/// `file-fault`; what was there before is still there then.
pub fn write_whole(path: &Path, fill: impl FnOnce(&mut File) -> Checked<()>) -> Checked<()> {
    let folder = folder_of(path);
    make_folder(folder)?;
    let mut temporary = tempfile::NamedTempFile::new_in(folder).map_err(|error| file_fault(folder, &error))?;
    fill(temporary.as_file_mut())?;
    temporary.as_file().sync_all().map_err(|error| file_fault(path, &error))?;
    temporary.persist(path).map_err(|error| file_fault(path, &error.error))?;
    sync_folder(folder)
}

/// Writes or replaces a file with these bytes.
///
/// # Errors
/// As [`write_whole`].
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Checked<()> {
    write_whole(path, |file| file.write_all(bytes).map_err(|error| file_fault(path, &error)))
}

/// SHA-256 and length of a plain file.
///
/// # Errors
/// `not-found`, `file-fault`; `usage` when it is no plain file.
pub fn hash_file(path: &Path) -> Checked<(Hash, u64)> {
    let mut file = File::open(path).map_err(|error| file_fault(path, &error))?;
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err(Fault::new(Rule::Usage, format!("{} is no plain file; a file expected", path.display())));
    }
    let mut hasher = Sha256::new();
    let length = std::io::copy(&mut file, &mut hasher).map_err(|error| file_fault(path, &error))?;
    Ok((Hash(hasher.finalize().into()), length))
}

/// A new empty folder for our own copies, which nobody else may look into, removed when dropped.
///
/// # Errors
/// `file-fault`.
pub fn staging() -> Checked<tempfile::TempDir> {
    let private = fs::Permissions::from_mode(0o700);
    let made = tempfile::Builder::new().permissions(private).tempdir();
    made.map_err(|error| Fault::new(Rule::FileFault, format!("a folder for copies: {error}")))
}

//! Small files beside the ledger: written whole or not at all. What the head file says is made and read elsewhere (SPEC 7.6).

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use super::place::kind;
use super::{HEAD_FILE, disk_fault, file_fault};
use crate::core::rules::{Checked, Fault, Rule};

/// Most bytes of a small file beside the ledger.
const SMALL_FILE_BYTES_MAX: u64 = 65_536;

/// Text of the head file, or `None` when there is none.
///
/// # Errors
/// `file-fault`: no plain file, not UTF-8, or larger than 65,536 bytes; `disk-fault`.
pub fn read_head(dir: &Path) -> Checked<Option<String>> {
    read_small(&dir.join(HEAD_FILE))
}

/// Replaces the head file: written beside it, synced, renamed, the folder synced.
///
/// # Errors
/// `disk-fault`; then the head file is either the old or the new one, whole, and the caller must not try again in this process.
pub fn write_head(dir: &Path, text: &str) -> Checked<()> {
    write_head_observed(dir, text, &mut |_| {})
}

/// [`write_head`], which tells `observe` of each step before it happens: `write head file`, `rename head file`.
///
/// # Errors
/// As [`write_head`].
pub fn write_head_observed(dir: &Path, text: &str, observe: &mut dyn FnMut(&'static str)) -> Checked<()> {
    write_small_observed(dir, HEAD_FILE, text, &mut |is_rename| observe(if is_rename { "rename head file" } else { "write head file" }))
}

pub(super) fn read_small(path: &Path) -> Checked<Option<String>> {
    let length = match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => found.len(),
        Ok(found) => return Err(file_fault(path, format!("{} found; a plain file expected", kind(&found)))),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(disk_fault(path, &error)),
    };
    if length > SMALL_FILE_BYTES_MAX {
        return Err(file_fault(path, format!("{length} bytes found; at most {SMALL_FILE_BYTES_MAX} expected")));
    }
    fs::read_to_string(path).map(Some).map_err(|error| disk_fault(path, &error))
}

pub(super) fn write_small(dir: &Path, name: &str, text: &str) -> Checked<()> {
    write_small_observed(dir, name, text, &mut |_| {})
}

/// `observe` is told before the file is written beside its place, with `false`, and before it is renamed, with `true`.
fn write_small_observed(dir: &Path, name: &str, text: &str, observe: &mut dyn FnMut(bool)) -> Checked<()> {
    if text.len() as u64 > SMALL_FILE_BYTES_MAX {
        let found = format!("{name}: {} bytes found; at most {SMALL_FILE_BYTES_MAX} expected", text.len());
        return Err(Fault::new(Rule::InternalFault, found));
    }
    let (path, fresh) = (dir.join(name), dir.join(format!("{name}.new")));
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    observe(false);
    write().map_err(|error| disk_fault(&fresh, &error))?;
    observe(true);
    fs::rename(&fresh, &path).map_err(|error| disk_fault(&path, &error))?;
    sync_dir(dir)
}

pub(super) fn sync_dir(dir: &Path) -> Checked<()> {
    File::open(dir).and_then(|folder| folder.sync_all()).map_err(|error| disk_fault(dir, &error))
}

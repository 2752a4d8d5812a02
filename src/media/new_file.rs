//! One new file wherever somebody wants it, on a medium or not: there whole or not at all, read back before it has its name, over nothing.

use std::fs::File;
use std::io::{self, ErrorKind, Seek as _, Write};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::plain::{folder_of, forget_cached, hash_through, open_plain, sync_folder};
use super::publish::Observe;
use crate::core::ids::Hash;
use crate::core::rules::{Checked, Fault, Rule};

/// A file that is being written, hashed on its way.
pub struct NewFile {
    file: File,
    hasher: Sha256,
    length: u64,
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes the content of a new file, and tells of its own effects.
pub type Fill<'a> = dyn FnMut(&mut NewFile, &mut Observe<'_>) -> Checked<()> + 'a;

/// Makes the file at `path`, which `fill` writes; answers SHA-256 and length. Tells `observe` of `write`, `read back` and `rename` before each.
///
/// # Errors
/// `exists` when something is there; `not-found` without its folder; `medium-fault` with path and error, or with both hashes when what is read
/// back differs; faults of `fill`. Nothing has the name then.
pub fn write_new(path: &Path, observe: &mut Observe<'_>, fill: &mut Fill<'_>) -> Checked<(Hash, u64)> {
    let shown = path.display();
    let fault = |error: io::Error| match error.kind() {
        ErrorKind::AlreadyExists => Fault::new(Rule::Exists, format!("{shown} found; nothing expected there")),
        ErrorKind::NotFound => Fault::new(Rule::NotFound, format!("{}: no folder found for {shown}", folder_of(path).display())),
        _ => Fault::new(Rule::MediumFault, format!("{shown}: {error}")),
    };
    if path.symlink_metadata().is_ok() {
        return Err(fault(ErrorKind::AlreadyExists.into()));
    }
    observe("write", &shown.to_string());
    let temporary = tempfile::Builder::new().prefix("tabellion-").suffix(".part").tempfile_in(folder_of(path)).map_err(fault)?;
    let mut new = NewFile { file: temporary.as_file().try_clone().map_err(fault)?, hasher: Sha256::new(), length: 0 };
    fill(&mut new, observe)?;
    let NewFile { mut file, hasher, length } = new;
    let written = Hash(hasher.finalize().into());
    file.sync_all().map_err(fault)?;
    forget_cached(&file);
    observe("read back", &shown.to_string());
    file.rewind().map_err(fault)?;
    let read = hash_through(&mut file, &mut |_| Ok(())).map_err(fault)?;
    if read != (written, length) {
        let found = format!("{shown}: {} bytes, sha256 {} read back; {length} bytes, sha256 {written} written", read.1, read.0);
        return Err(Fault::new(Rule::MediumFault, found));
    }
    observe("rename", &shown.to_string());
    temporary.persist_noclobber(path).map_err(|error| fault(error.error))?;
    sync_folder(folder_of(path)).map_err(fault)?;
    Ok((written, length))
}

/// Opens a file that somebody names, and answers its length. Links, devices and pipes are not followed or opened.
///
/// # Errors
/// `not-found`; `file-fault` when it is no plain file or cannot be read.
pub fn open(path: &Path) -> Checked<(File, u64)> {
    if path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Err(Fault::new(Rule::NotFound, format!("{}: nothing is there", path.display())));
    }
    open_plain(path).map_err(|fault| Fault::new(Rule::FileFault, format!("{}: {}", path.display(), fault.shown())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = std::fs::read_dir(folder).expect("read").map(|entry| entry.expect("an entry").file_name().into_string().expect("text"));
        names.collect()
    }

    #[test]
    fn a_new_file_is_whole_or_not_there_and_nothing_is_overwritten() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("new");
        let mut effects = Vec::new();
        let mut fill = |file: &mut NewFile, _: &mut Observe<'_>| {
            file.write_all(b"content").map_err(|error| Fault::new(Rule::MediumFault, error.to_string()))
        };
        let made = write_new(&path, &mut |effect, _| effects.push(effect), &mut fill);
        assert_eq!((made, effects), (Ok((Hash::of(b"content"), 7)), vec!["write", "read back", "rename"]));
        assert_eq!(std::fs::read(&path).expect("read"), b"content");
        assert_eq!(write_new(&path, &mut |_, _| {}, &mut fill).map_err(|fault| fault.rule), Err(Rule::Exists));
        // Somebody was faster: the name is taken while the file is written.
        let taken = dir.path().join("taken");
        let raced = write_new(&taken, &mut |effect, _| drop((effect == "rename").then(|| std::fs::write(&taken, b"theirs"))), &mut fill);
        assert_eq!((raced.map_err(|fault| fault.rule), std::fs::read(&taken).expect("read")), (Err(Rule::Exists), b"theirs".to_vec()));
        let broken =
            write_new(&dir.path().join("broken"), &mut |_, _| {}, &mut |_, _| Err(Fault::new(Rule::FileFault, "the source is gone")));
        assert_eq!(broken.map_err(|fault| fault.rule), Err(Rule::FileFault));
        assert_eq!(write_new(&dir.path().join("no/folder"), &mut |_, _| {}, &mut fill).map_err(|fault| fault.rule), Err(Rule::NotFound));
        let mut names = names(dir.path());
        names.sort();
        assert_eq!(names, ["new", "taken"], "and no temporary file");
    }

    #[test]
    fn what_is_read_back_otherwise_gets_no_name() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("new");
        let mut fill = |file: &mut NewFile, _: &mut Observe<'_>| {
            file.write_all(b"content").map_err(|error| Fault::new(Rule::MediumFault, error.to_string()))
        };
        let made = write_new(
            &path,
            &mut |effect, _| {
                if effect == "read back" {
                    let part = dir.path().join(&names(dir.path())[0]);
                    std::fs::write(part, b"something").expect("written");
                }
            },
            &mut fill,
        );
        let fault = made.expect_err("read back otherwise");
        assert!(fault.rule == Rule::MediumFault && fault.found.contains("read back"), "{fault}");
        assert_eq!(names(dir.path()), [""; 0]);
        let (link, target) = (dir.path().join("link"), dir.path().join("target"));
        std::fs::write(&target, b"x").expect("written");
        std::os::unix::fs::symlink(&target, &link).expect("linked");
        assert_eq!([open(&link), open(dir.path())].map(|opened| opened.map(drop).map_err(|fault| fault.rule)), [Err(Rule::FileFault); 2]);
        assert_eq!(open(&path).map(drop).map_err(|fault| fault.rule), Err(Rule::NotFound));
        assert_eq!(open(&target).map(|(_, length)| length), Ok(1));
    }
}

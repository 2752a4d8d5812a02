//! Writing to a medium so that a file is there whole or not at all, and is known to be readable before it counts.
//!
//! Each file: a temporary name in its folder, sync, rename, sync of the file and of the folder, read back, compare. What is there already and equal is left
//! alone, so that publishing again after a break finishes what was begun. Symbolic links on the way are refused, not followed. Names are
//! ours: lower case ASCII, good on FAT.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::plain::{folder_of, forget_cached, hash_through, kind_word, open_plain, sync_folder};
use crate::core::ids::Hash;
use crate::core::rules::{Checked, Fault, Rule};

/// The temporary name in a folder that is being written to. There is one writer and one file at a time, so whatever has this name is left
/// from a break and is replaced.
const TEMPORARY: &str = "tmp-0.part";

/// Is told of each effect before it happens: its name (`folder`, `write`, `rename`, `read back`, `remove`) and the path on the medium.
pub type Observe<'a> = dyn FnMut(&'static str, &str) + 'a;

/// Writes files below `root` in the order given, each as `(path, content)`; paths are relative, with `/`.
///
/// # Errors
/// `not-found` when `root` is no folder; `medium-fault` with path and error, or with both hashes when what is read back differs;
/// `internal-fault` for a path that is not of our form. Files before the fault stand.
pub fn write_files(root: &Path, files: impl IntoIterator<Item = (String, Vec<u8>)>, observe: &mut Observe<'_>) -> Checked<()> {
    write_each(root, files.into_iter().map(Ok), observe)
}

/// As [`write_files`], for files that are put together when their turn comes: the first that cannot be ends it.
///
/// # Errors
/// As [`write_files`], and those of the files.
pub fn write_each(root: &Path, files: impl IntoIterator<Item = Checked<(String, Vec<u8>)>>, observe: &mut Observe<'_>) -> Checked<()> {
    for file in files {
        let (path, content) = file?;
        let mut fill = |file: &mut File| file.write_all(&content).map_err(|error| medium_fault(&path, &error));
        put(root, &path, Hash::of(&content), &mut fill, observe)?;
    }
    Ok(())
}

/// Copies the file `source` of ours to `path` below `root`; `expected` is the hash its content must have.
///
/// # Errors
/// As [`write_files`]; `file-fault` when the source cannot be read or has another hash.
pub fn copy_file(root: &Path, path: &str, source: &Path, expected: Hash, observe: &mut Observe<'_>) -> Checked<()> {
    let source_fault = |error: &io::Error| Fault::new(Rule::FileFault, format!("{}: {error}", source.display()));
    let mut fill = |file: &mut File| {
        let mut input = File::open(source).map_err(|error| source_fault(&error))?;
        let mut write_error = None;
        let copied = hash_through(&mut input, &mut |chunk| {
            file.write_all(chunk).map_err(|error| {
                let kind = error.kind();
                write_error = Some(error);
                kind.into()
            })
        });
        match (write_error, copied) {
            (Some(error), _) => Err(medium_fault(path, &error)),
            (None, Err(error)) => Err(source_fault(&error)),
            (None, Ok((found, _))) if found != expected => {
                Err(Fault::new(Rule::FileFault, format!("{}: sha256 {found} found, {expected} expected", source.display())))
            }
            (None, Ok(_)) => Ok(()),
        }
    };
    put(root, path, expected, &mut fill, observe)
}

/// Removes files below `root`; those that are not there are no fault. Folders stay.
///
/// # Errors
/// As [`write_files`]; a folder or link on the way, or a folder in the place of a file, is a `medium-fault`.
pub fn remove_files<S: AsRef<str>>(root: &Path, paths: impl IntoIterator<Item = S>, observe: &mut Observe<'_>) -> Checked<()> {
    for path in paths {
        let path = path.as_ref();
        let target = target(root, path)?;
        if !folder(root, path, None)? {
            continue;
        }
        match std::fs::symlink_metadata(&target) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(medium_fault(path, &error)),
            Ok(metadata) if metadata.is_dir() => {
                return Err(Fault::new(Rule::MediumFault, format!("{path}: a folder found, a file expected")));
            }
            Ok(_) => {}
        }
        observe("remove", path);
        // Held until its name is gone from the disk, as what a rename replaces is.
        let _removed = open_plain(&target);
        std::fs::remove_file(&target).and_then(|()| sync_folder(folder_of(&target))).map_err(|error| medium_fault(path, &error))?;
    }
    Ok(())
}

/// Reads files below `root`, each as its path and the hash that its content must have.
///
/// # Errors
/// Those of the files; `medium-fault` with the path and what was found at the first that differs, is missing or cannot be read; `internal-fault` as in [`write_files`].
pub fn compare_files(root: &Path, files: impl IntoIterator<Item = Checked<(String, Hash)>>, observe: &mut Observe<'_>) -> Checked<()> {
    for file in files {
        let (path, expected) = file?;
        let target = target(root, &path)?;
        observe("compare", &path);
        let found = read_hash(&target).map_err(|fault| Fault::new(Rule::MediumFault, format!("{path}: reading again: {}", fault.found)))?;
        if found != expected {
            return Err(Fault::new(Rule::MediumFault, format!("{path}: sha256 {found} read again, {expected} written")));
        }
    }
    Ok(())
}

/// The steps of the module's page for one file.
fn put(root: &Path, path: &str, expected: Hash, fill: &mut dyn FnMut(&mut File) -> Checked<()>, observe: &mut Observe<'_>) -> Checked<()> {
    let target = target(root, path)?;
    folder(root, path, Some(observe))?;
    if read_hash(&target).is_ok_and(|found| found == expected) {
        return Ok(());
    }
    let temporary = folder_of(&target).join(TEMPORARY);
    observe("write", path);
    let written = write_temporary(&temporary, path, fill).and_then(|file| {
        observe("rename", path);
        rename(&file, &temporary, &target).map_err(|error| medium_fault(path, &error))
    });
    if let Err(fault) = written {
        // The fault is what is shown; a temporary file that stays is replaced by the next run.
        drop(std::fs::remove_file(&temporary));
        return Err(fault);
    }
    observe("read back", path);
    let found = read_hash(&target).map_err(|fault| Fault::new(Rule::MediumFault, format!("{path}: reading back: {}", fault.found)))?;
    if found != expected {
        return Err(Fault::new(Rule::MediumFault, format!("{path}: sha256 {found} read back, {expected} written")));
    }
    Ok(())
}

/// Gives a file that is safe its name, so that a power cut leaves the old file or the new one.
///
/// FAT keeps a file's length and its first cluster beside its name, and writes them with the file, not with the folder: with the folder alone
/// the new name may have nothing. And it gives away the clusters of what is replaced when nobody has that open any more, perhaps before the
/// new name is on the disk: so it is held until then.
fn rename(file: &File, temporary: &Path, target: &Path) -> io::Result<()> {
    let _replaced = open_plain(target);
    std::fs::rename(temporary, target)?;
    file.sync_all()?;
    sync_folder(folder_of(target))
}

fn write_temporary(temporary: &Path, path: &str, fill: &mut dyn FnMut(&mut File) -> Checked<()>) -> Checked<File> {
    match std::fs::remove_file(temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(medium_fault(path, &error)),
        _ => {}
    }
    // create_new follows no link and opens nothing that is there.
    let mut file = OpenOptions::new().write(true).create_new(true).open(temporary).map_err(|error| medium_fault(path, &error))?;
    fill(&mut file)?;
    file.sync_all().map_err(|error| medium_fault(path, &error))?;
    forget_cached(&file);
    Ok(file)
}

/// Hash of a plain file on the medium.
fn read_hash(target: &Path) -> Checked<Hash> {
    let (mut file, _) = open_plain(target)?;
    let read = hash_through(&mut file, &mut |_| Ok(()));
    read.map(|(hash, _)| hash).map_err(|error| Fault::new(Rule::FileUnreadable, error.to_string()))
}

/// Where `path` lies, when it is of our form: segments of `[a-z0-9._@-]`, none of dots alone or with a dot at its end.
fn target(root: &Path, path: &str) -> Checked<PathBuf> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'@' | b'-');
    let good = path.split('/').all(|segment| !segment.is_empty() && !segment.ends_with('.') && segment.bytes().all(fits));
    if good && path.rsplit('/').next() != Some(TEMPORARY) {
        Ok(root.join(path))
    } else {
        Err(Fault::new(Rule::InternalFault, format!("{path:?} is not of [a-z0-9._@-] in segments, as a name on a medium must be")))
    }
}

/// Walks down to the folder of `path` and sees that nothing on the way is a link; with `make`, makes what is missing. Answers whether it is there.
fn folder(root: &Path, path: &str, mut make: Option<&mut Observe<'_>>) -> Checked<bool> {
    if !root.is_dir() {
        return Err(Fault::new(Rule::NotFound, format!("{}: a folder is expected", root.display())));
    }
    for (at, _) in path.match_indices('/') {
        let (part, place) = (&path[..at], root.join(&path[..at]));
        match std::fs::symlink_metadata(&place) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(metadata) => {
                return Err(Fault::new(Rule::MediumFault, format!("{part}: {} found, a folder expected", kind_word(&metadata))));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let Some(observe) = make.as_mut() else { return Ok(false) };
                observe("folder", part);
                std::fs::create_dir(&place).and_then(|()| sync_folder(folder_of(&place))).map_err(|error| medium_fault(part, &error))?;
            }
            Err(error) => return Err(medium_fault(part, &error)),
        }
    }
    Ok(true)
}

fn medium_fault(path: &str, error: &io::Error) -> Fault {
    Fault::new(Rule::MediumFault, format!("{path}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    type Effects = Vec<(&'static str, String)>;

    fn write(root: &Path, files: &[(&str, &[u8])]) -> (Checked<()>, Effects) {
        let mut effects = Effects::new();
        let files = files.iter().map(|(path, content)| ((*path).to_owned(), content.to_vec()));
        let done = write_files(root, files, &mut |effect, path| effects.push((effect, path.to_owned())));
        (done, effects)
    }

    fn effect(name: &'static str, path: &str) -> (&'static str, String) {
        (name, path.to_owned())
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            std::fs::read_dir(folder).expect("read").map(|e| e.expect("an entry").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    }

    #[test]
    fn files_are_written_observed_and_left_alone_when_equal() {
        let dir = tempfile::tempdir().expect("a folder");
        let (done, effects) = write(dir.path(), &[("tabellion/common/vkeys", b"1 k\n"), ("tabellion/common/checkpoint", b"")]);
        assert_eq!(done, Ok(()));
        let (vkeys, checkpoint) = ("tabellion/common/vkeys", "tabellion/common/checkpoint");
        assert_eq!(
            effects,
            [
                effect("folder", "tabellion"),
                effect("folder", "tabellion/common"),
                effect("write", vkeys),
                effect("rename", vkeys),
                effect("read back", vkeys),
                effect("write", checkpoint),
                effect("rename", checkpoint),
                effect("read back", checkpoint),
            ]
        );
        assert_eq!(names(&dir.path().join("tabellion/common")), ["checkpoint", "vkeys"]);
        assert_eq!(write(dir.path(), &[(vkeys, b"1 k\n")]), (Ok(()), vec![]));
        let (done, effects) = write(dir.path(), &[(vkeys, b"1 l\n")]);
        assert_eq!((done, effects.len()), (Ok(()), 3));
        assert_eq!(std::fs::read(dir.path().join(vkeys)).expect("read"), b"1 l\n");
    }

    #[test]
    fn a_break_at_any_effect_leaves_the_old_or_the_new_file_and_publishing_again_finishes() {
        for stop_at in 0..5 {
            let dir = tempfile::tempdir().expect("a folder");
            std::fs::create_dir(dir.path().join("c")).expect("made");
            std::fs::write(dir.path().join("c/f"), b"old").expect("written");
            let root = dir.path().to_owned();
            let broken = std::panic::catch_unwind(|| {
                let mut count = 0;
                let files = [("c/f".to_owned(), b"new".to_vec()), ("c/g".to_owned(), b"more".to_vec())];
                write_files(&root, files, &mut |_, _| {
                    assert!(count != stop_at, "the power fails");
                    count += 1;
                })
            });
            assert!(broken.is_err(), "{stop_at}");
            let now = std::fs::read(dir.path().join("c/f")).expect("read");
            assert!(now == b"old" || now == b"new", "{stop_at}");
            assert_eq!(write(dir.path(), &[("c/f", b"new"), ("c/g", b"more")]).0, Ok(()));
            assert_eq!(names(&dir.path().join("c")), ["f", "g"], "{stop_at}");
            assert_eq!(std::fs::read(dir.path().join("c/g")).expect("read"), b"more");
        }
    }

    #[test]
    fn links_in_the_way_are_refused_and_links_in_the_place_are_replaced() {
        let (dir, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        symlink(other.path(), dir.path().join("tabellion")).expect("linked");
        let (done, effects) = write(dir.path(), &[("tabellion/x", b"x")]);
        let fault = done.expect_err("a link in the way");
        assert_eq!(fault, Fault::new(Rule::MediumFault, "tabellion: a symbolic link found, a folder expected"));
        assert!(effects.is_empty() && names(other.path()).is_empty());
        assert_eq!(remove_files(dir.path(), ["tabellion/x"], &mut |_, _| {}).map_err(|f| f.rule), Err(Rule::MediumFault));

        let victim = other.path().join("victim");
        std::fs::write(&victim, b"keep").expect("written");
        symlink(&victim, dir.path().join("file")).expect("linked");
        symlink(&victim, dir.path().join(TEMPORARY)).expect("linked");
        assert_eq!(write(dir.path(), &[("file", b"mine")]).0, Ok(()));
        assert_eq!(std::fs::read(&victim).expect("read"), b"keep");
        assert!(std::fs::symlink_metadata(dir.path().join("file")).expect("there").is_file());
        assert_eq!(names(dir.path()), ["file", "tabellion"]);
    }

    #[test]
    fn faults_of_the_medium_name_the_path_and_leave_no_temporary_file() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(dir.path().join("taken")).expect("made");
        std::fs::write(dir.path().join("file"), b"").expect("written");
        for path in ["taken", "file/below"] {
            let fault = write(dir.path(), &[(path, b"x")]).0.expect_err(path);
            assert_eq!(fault.rule, Rule::MediumFault);
            assert!(fault.found.starts_with(path.split('/').next().expect("a segment")), "{fault}");
        }
        assert_eq!(names(dir.path()), ["file", "taken"]);
        assert_eq!(write(&dir.path().join("unplugged"), &[("x", b"x")]).0.map_err(|f| f.rule), Err(Rule::NotFound));
        assert_eq!(remove_files(dir.path(), ["taken"], &mut |_, _| {}).map_err(|f| f.rule), Err(Rule::MediumFault));
    }

    #[test]
    fn what_differs_when_read_back_is_a_fault_with_both_hashes() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = dir.path().join("f");
        // A medium that lies: the content changes between the rename and the reading back.
        let fault = write_files(dir.path(), [("f".to_owned(), b"good".to_vec())], &mut |effect, _| {
            if effect == "read back" {
                std::fs::write(&at, b"bad").expect("written");
            }
        })
        .expect_err("another content");
        let expected = format!("f: sha256 {} read back, {} written", Hash::of(b"bad"), Hash::of(b"good"));
        assert_eq!(fault, Fault::new(Rule::MediumFault, expected));
    }

    #[test]
    fn large_files_are_copied_when_they_have_their_hash() {
        let dir = tempfile::tempdir().expect("a folder");
        let ours = tempfile::tempdir().expect("a folder");
        let source = ours.path().join("pack");
        let content: Vec<u8> = (0..400_000_u32).map(|i| (i % 251) as u8).collect();
        std::fs::write(&source, &content).expect("written");
        let mut effects = 0;
        let copy =
            |expected, effects: &mut u32| copy_file(dir.path(), "objects/000/000001.objects", &source, expected, &mut |_, _| *effects += 1);
        let fault = copy(Hash::ZERO, &mut effects).expect_err("another hash");
        assert_eq!(fault.rule, Rule::FileFault);
        assert!(fault.found.contains(&Hash::of(&content).hex()), "{fault}");
        assert!(names(&dir.path().join("objects/000")).is_empty());
        effects = 0;
        assert_eq!(copy(Hash::of(&content), &mut effects), Ok(()));
        assert_eq!(effects, 3);
        assert_eq!(std::fs::read(dir.path().join("objects/000/000001.objects")).expect("read"), content);
        std::fs::remove_file(&source).expect("removed");
        assert_eq!(copy(Hash::of(&content), &mut effects), Ok(()), "an equal file needs no source");
        assert_eq!(effects, 3);
        assert_eq!(copy(Hash::ZERO, &mut effects).map_err(|f| f.rule), Err(Rule::FileFault));
    }

    #[test]
    fn files_are_removed_and_missing_ones_are_no_fault() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(write(dir.path(), &[("a/b", b"1"), ("a/c", b"2")]).0, Ok(()));
        let mut effects = Effects::new();
        let paths = ["a/b", "a/none", "none/at/all"];
        assert_eq!(remove_files(dir.path(), paths, &mut |effect, path| effects.push((effect, path.to_owned()))), Ok(()));
        assert_eq!(effects, [effect("remove", "a/b")]);
        assert_eq!(names(&dir.path().join("a")), ["c"]);
    }

    #[test]
    fn names_of_another_form_are_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        for bad in ["", "/etc/x", "../x", "a/../b", "a//b", "a/", "A", "a b", "ä", "a.", ".", "a\\b", "x/tmp-0.part"] {
            assert_eq!(write(dir.path(), &[(bad, b"")]).0.map_err(|f| f.rule), Err(Rule::InternalFault), "{bad}");
        }
        for good in ["common@41.tlog-proof", "tile/0/x001/234.p/5", "session-000012.receipts"] {
            assert_eq!(write(dir.path(), &[(good, b"")]).0, Ok(()), "{good}");
        }
    }
}

//! A folder that shall become a tree: what lies in it is looked at, and refused, before anything is signed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::core::artifact::{Member, Tree};
use crate::core::ids::Hash;
use crate::core::limits::{MEDIUM_DEPTH_MAX, TREE_PATHS_MAX};
use crate::core::rules::{Checked, Fault, Rule};

use super::files::{file_fault, hash_file};

/// What a sealed key begins with (SPEC 9.2).
const KEY_MARK: &[u8] = b"tabellion-key v1\n";

/// A folder, read.
pub struct Source {
    /// Its tree.
    pub tree: Tree,
    /// Where each content lies.
    pub files: BTreeMap<Hash, PathBuf>,
    /// Folders without anything in them, which a tree cannot hold.
    pub dropped: Vec<String>,
}

/// Reads a folder.
///
/// # Errors
/// `tree-form` with the path of what a tree cannot hold: links, devices, pipes, sockets, names that are not UTF-8 in NFC or that would meet in
/// one place; `file-fault`, `not-found`.
pub fn read_folder(root: &Path) -> Checked<Source> {
    let mut source = Reading { members: Vec::new(), files: BTreeMap::new(), dropped: Vec::new() };
    source.visit(root, "", 1)?;
    let tree = Tree::new(source.members).map_err(|fault| fault.fault().within(root.display()))?;
    Ok(Source { tree, files: source.files, dropped: source.dropped })
}

struct Reading {
    members: Vec<Member>,
    files: BTreeMap<Hash, PathBuf>,
    dropped: Vec<String>,
}

impl Reading {
    fn visit(&mut self, folder: &Path, prefix: &str, depth: usize) -> Checked<()> {
        let entries = fs::read_dir(folder).map_err(|error| file_fault(folder, &error))?;
        let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>();
        let paths = paths.as_mut().map_err(|error| file_fault(folder, error))?;
        paths.sort();
        if paths.is_empty() && !prefix.is_empty() {
            self.dropped.push(prefix.to_owned());
        }
        for path in paths.iter() {
            let refuse = |found: String| Fault::new(Rule::TreeForm, format!("{path:?} {found}"));
            let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| refuse("has a name that is not UTF-8".into()))?;
            let below = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
            let metadata = fs::symlink_metadata(path).map_err(|error| file_fault(path, &error))?;
            if metadata.is_dir() {
                if depth >= MEDIUM_DEPTH_MAX {
                    return Err(refuse(format!("lies {} folders deep, at most {MEDIUM_DEPTH_MAX} allowed", depth + 1)));
                }
                self.visit(path, &below, depth + 1)?;
                continue;
            }
            if !metadata.is_file() {
                let what = if metadata.is_symlink() { "a link" } else { "a device, pipe or socket" };
                return Err(refuse(format!("is {what}; plain files and folders expected")));
            }
            if self.members.len() >= TREE_PATHS_MAX {
                return Err(refuse(format!("is one file too many; at most {TREE_PATHS_MAX} allowed")));
            }
            if begins_with(path, KEY_MARK)? {
                return Err(refuse("is a sealed key; keys are never content: move it out of the folder".into()));
            }
            let (sha256, size) = hash_file(path)?;
            let executable = metadata.permissions().mode() & 0o100 != 0;
            self.members.push(Member { path: below, executable, size, sha256 });
            self.files.insert(sha256, path.clone());
        }
        Ok(())
    }
}

/// Whether a file begins with these bytes.
fn begins_with(path: &Path, mark: &[u8]) -> Checked<bool> {
    let mut first = vec![0; mark.len()];
    let mut file = fs::File::open(path).map_err(|error| file_fault(path, &error))?;
    match file.read_exact(&mut first) {
        Ok(()) => Ok(first == mark),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(file_fault(path, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt as _;

    fn folder(fill: impl FnOnce(&Path)) -> Checked<Source> {
        let room = tempfile::tempdir().expect("a folder");
        fill(room.path());
        read_folder(room.path())
    }

    #[test]
    fn what_a_tree_cannot_hold_is_refused_with_its_path() {
        let refused = |fill: fn(&Path), word: &str| {
            let fault = folder(fill).err().expect("refused");
            assert_eq!(fault.rule, Rule::TreeForm);
            assert!(fault.found.contains(word), "{fault}");
        };
        refused(|at| std::os::unix::fs::symlink("/etc/passwd", at.join("link")).expect("a link"), "link\" is a link");
        refused(
            |at| drop(std::os::unix::net::UnixListener::bind(at.join("socket")).expect("a socket")),
            "socket\" is a device, pipe or socket",
        );
        refused(
            |at| fs::write(at.join(std::ffi::OsStr::from_bytes(b"\xff.txt")), "x").expect("written"),
            "\\xFF.txt\" has a name that is not UTF-8",
        );
        refused(|at| fs::write(at.join("key"), "tabellion-key v1\nmember …").expect("written"), "key\" is a sealed key");
        refused(|at| fs::write(at.join("e\u{301}"), "x").expect("written"), "path 1 is not in nfc");
        refused(|at| fs::write(at.join("a\\b"), "x").expect("written"), "path 1 has a backslash");
        refused(
            |at| ["README", "Readme"].iter().for_each(|name| fs::write(at.join(name), "x").expect("written")),
            "path 2 folds like path 1",
        );
        refused(
            |at| {
                let deep = at.join(vec!["d"; 32].join("/"));
                fs::create_dir_all(&deep).expect("made");
                fs::write(deep.join("file"), "x").expect("written");
            },
            "folders deep, at most 32",
        );
    }

    #[test]
    fn empty_folders_are_dropped_and_named() {
        let source = folder(|at| {
            fs::create_dir_all(at.join("a/empty")).expect("made");
            fs::write(at.join("a/file"), "").expect("written");
        })
        .expect("a tree");
        assert_eq!((source.dropped, source.tree.members().len()), (vec!["a/empty".to_owned()], 1));
    }
}

//! Content of a published folder: which of it is there, and writing it out, files and trees.

use std::fs;
use std::path::Path;

use crate::core::artifact::Tree;
use crate::core::ids::{Hash, Name};
use crate::core::limits::TREE_BYTES_MAX;
use crate::core::proposal::Entry;
use crate::core::rules::{Checked, Fault, Rule};

use super::consumer::{sessions_of, state_at};
use super::files::{file_fault, make_folder};
use super::folder::CheckedFolder;
use super::packs::{PackedAt, Packs};
use super::problem::{Outcomes, Unchanged};

/// Content that an entry or a path of its tree stands for, and that cannot be had from the folder.
pub struct Missing {
    /// The entry's name, and behind a `/` the path in its tree.
    pub path: String,
    /// SHA-256 of the content.
    pub sha256: Hash,
    /// Why it cannot be had.
    pub why: Why,
}

/// Why content cannot be had.
pub enum Why {
    /// The folder does not carry it.
    Absent,
    /// The folder carries it, and it does not have the size that was signed.
    Size {
        /// Its size.
        found: u64,
        /// The size signed.
        expected: u64,
    },
    /// It was signed as a tree and is none.
    NoTree(Fault),
}

/// What content a folder carries.
pub struct Content {
    /// Objects in its packs, each compared with its hash.
    pub objects: usize,
    /// Trees among the entries at the head that are there.
    pub trees: usize,
    /// Paths of those trees.
    pub paths: usize,
    /// What entries at the head, and paths of their trees, stand for and is in no pack.
    pub missing: Vec<Missing>,
}

/// Reads every pack of a folder, and sees which entries' content is there, to the last member of a tree.
///
/// # Errors
/// `proof-fails` when an object does not have its hash; `folder-incomplete`.
pub fn verify_content(checked: &CheckedFolder) -> Outcomes<Content> {
    let sessions = sessions_of(&checked.common);
    let objects = checked.folder.check_packs(sessions.iter().copied())?;
    let packs = checked.folder.packs(sessions.into_iter())?;
    let mut content = Content { objects, trees: 0, paths: 0, missing: Vec::new() };
    for (name, entry) in state_at(&checked.common, checked.head.number).entries() {
        match find(&packs, name.as_str(), &entry.sha256, entry.size) {
            Err(missing) => content.missing.push(missing),
            Ok(packed) if entry.is_tree() => match read_tree(&packed, name, entry)? {
                Err(missing) => content.missing.push(missing),
                Ok(tree) => {
                    content.trees += 1;
                    content.paths += tree.members().len();
                    let each = tree.members().iter().map(|member| find(&packs, &below(name, &member.path), &member.sha256, member.size));
                    content.missing.extend(each.filter_map(Result::err));
                }
            },
            Ok(_) => {}
        }
    }
    Ok(content)
}

fn below(name: &Name, path: &str) -> String {
    format!("{name}/{path}")
}

fn find(packs: &Packs, path: &str, sha256: &Hash, size: u64) -> Result<PackedAt, Missing> {
    let missing = |why| Missing { path: path.to_owned(), sha256: *sha256, why };
    let packed = packs.find(sha256).ok_or_else(|| missing(Why::Absent))?;
    if packed.size() == size { Ok(packed) } else { Err(missing(Why::Size { found: packed.size(), expected: size })) }
}

/// The tree of an entry, or why what was signed as one is none.
fn read_tree(packed: &PackedAt, name: &Name, entry: &Entry) -> Checked<Result<Tree, Missing>> {
    let no_tree = |fault| Missing { path: name.to_string(), sha256: entry.sha256, why: Why::NoTree(fault) };
    if entry.size > TREE_BYTES_MAX {
        let found = format!("{} bytes found, at most {TREE_BYTES_MAX} expected", entry.size);
        return Ok(Err(no_tree(Fault::new(Rule::TreeForm, found))));
    }
    let mut bytes = Vec::new();
    packed.copy_to(&entry.sha256, &mut bytes)?;
    Ok(Tree::parse(&bytes).map_err(|fault| no_tree(fault.fault())))
}

/// The tree that an entry stands for, when the folder carries it.
///
/// # Errors
/// `proof-fails`, `folder-incomplete`; `tree-form` when it is none.
pub fn tree_of(checked: &CheckedFolder, name: &Name, entry: &Entry) -> Checked<Option<Tree>> {
    let packs = checked.folder.packs(sessions_of(&checked.common).into_iter())?;
    let Ok(packed) = find(&packs, name.as_str(), &entry.sha256, entry.size) else { return Ok(None) };
    match read_tree(&packed, name, entry)? {
        Ok(tree) => Ok(Some(tree)),
        Err(Missing { why: Why::NoTree(fault), .. }) => Err(fault.within(name)),
        Err(_) => Ok(None),
    }
}

/// What a checkout wrote, and what it could not.
#[derive(Default)]
pub struct Checkout {
    /// Files written, those of trees too.
    pub files: usize,
    /// Trees written, as folders.
    pub trees: usize,
    /// What could not be written.
    pub missing: Vec<Missing>,
}

/// Writes the content of Common at a number into a new folder, each file compared with its hash. A tree becomes a folder.
///
/// # Errors
/// `exists` when `out` is there and not empty, or two paths meet in one place there; `proof-fails`; `file-fault`.
pub fn checkout(checked: &CheckedFolder, number: u64, out: &Path) -> Outcomes<Checkout> {
    let occupied = fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some());
    if occupied {
        return Err(Fault::new(Rule::Exists, format!("{} is there and not empty", out.display())))
            .unchanged(|| format!("{} unchanged", out.display()));
    }
    let state = state_at(&checked.common, number);
    let packs = checked.folder.packs(sessions_of(&checked.common).into_iter())?;
    let mut done = Checkout::default();
    make_folder(out)?;
    for (name, entry) in state.entries() {
        let written = write_entry(&packs, name, entry, &out.join(name.as_str()), &mut done);
        written
            .unchanged(|| format!("{} files were written to {} before this one, each compared with its hash", done.files, out.display()))?;
    }
    Ok(done)
}

fn write_entry(packs: &Packs, name: &Name, entry: &Entry, at: &Path, done: &mut Checkout) -> Checked<()> {
    let packed = match find(packs, name.as_str(), &entry.sha256, entry.size) {
        Ok(packed) => packed,
        Err(missing) => {
            done.missing.push(missing);
            return Ok(());
        }
    };
    if !entry.is_tree() {
        write_file(&packed, &entry.sha256, at, false)?;
        done.files += 1;
        return Ok(());
    }
    let tree = match read_tree(&packed, name, entry)? {
        Ok(tree) => tree,
        Err(missing) => {
            done.missing.push(missing);
            return Ok(());
        }
    };
    make_folder(at)?;
    for member in tree.members() {
        match find(packs, &below(name, &member.path), &member.sha256, member.size) {
            Err(missing) => done.missing.push(missing),
            Ok(packed) => {
                write_file(&packed, &member.sha256, &at.join(&member.path), member.executable)?;
                done.files += 1;
            }
        }
    }
    done.trees += 1;
    Ok(())
}

/// Writes a file that is not there yet, whole or not at all. A second file in its place is refused: the form of trees and names keeps apart
/// what upper and lower case would join, but who knows what else a file system takes for one.
///
/// Nothing is synced: what a power cut takes from a checkout, another checkout brings.
fn write_file(packed: &PackedAt, sha256: &Hash, at: &Path, executable: bool) -> Checked<()> {
    let folder = at.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| file_fault(folder, &error))?;
    let mut builder = tempfile::Builder::new();
    set_mode(&mut builder, executable);
    let mut temporary = builder.tempfile_in(folder).map_err(|error| file_fault(folder, &error))?;
    packed.copy_to(sha256, temporary.as_file_mut())?;
    match temporary.persist_noclobber(at) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
            let found =
                format!("{}: this file system has another name of the same checkout in its place; nothing expected there", at.display());
            Err(Fault::new(Rule::Exists, found))
        }
        Err(error) => Err(file_fault(at, &error.error)),
    }
}

/// Readable for all and, of an executable, runnable for all, as far as the umask lets: tempfile makes files for their owner alone.
#[cfg(unix)]
fn set_mode(builder: &mut tempfile::Builder<'_, '_>, executable: bool) {
    use std::os::unix::fs::PermissionsExt as _;
    builder.permissions(fs::Permissions::from_mode(if executable { 0o755 } else { 0o644 }));
}

#[cfg(not(unix))]
fn set_mode(_: &mut tempfile::Builder<'_, '_>, _: bool) {}

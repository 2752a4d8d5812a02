//! A disk that forgets: what is on it after a power cut, given what was done and what was synced.
//!
//! Content is on the disk when a completed sync of its file came after it; a name (made, changed, taken away) when a completed sync of its
//! folder did. Of everything else any part may be there: any subset, in any order between two syncs, and of a write any sectors.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::recorder::{Effect, Kind, inodes};

/// Bytes that a disk writes whole.
pub const SECTOR: u64 = 512;

/// A file, whatever its names.
type Object = usize;

/// What lies on the disk: folders, and files with their content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    pub folders: BTreeSet<String>,
    pub files: BTreeMap<String, Arc<Vec<u8>>>,
}

impl Image {
    /// Everything below a folder.
    pub fn of(root: &Path) -> Image {
        let (files, folders) = inodes(root);
        let files = files.into_iter().map(|(path, _)| (path.clone(), Arc::new(fs::read(root.join(path)).unwrap()))).collect();
        Image { folders: folders.into_iter().collect(), files }
    }

    /// A name for the content, which no other content has.
    pub fn name(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        self.folders.iter().for_each(|folder| {
            hasher.update(folder.as_bytes()).update(b"\0");
        });
        for (path, bytes) in &self.files {
            hasher.update(path.as_bytes()).update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        }
        hasher.finalize().into()
    }

    /// Makes `slot` hold exactly this. What `slot` holds already, `there`, is left alone but for files that a ledger changes when it is opened.
    pub fn put(&self, slot: &Path, there: &Image) {
        for path in inodes(slot).0.into_iter().map(|(path, _)| path) {
            let same = self.files.get(&path).zip(there.files.get(&path)).is_some_and(|(new, old)| Arc::ptr_eq(new, old));
            if !same || is_touched(&path) {
                fs::remove_file(slot.join(path)).unwrap();
            }
        }
        let gone = inodes(slot).1.into_iter().rev().filter(|folder| !self.folders.contains(folder));
        gone.for_each(|folder| fs::remove_dir_all(slot.join(folder)).unwrap());
        self.folders.iter().for_each(|folder| fs::create_dir_all(slot.join(folder)).unwrap());
        for (path, bytes) in &self.files {
            if !slot.join(path).exists() {
                fs::write(slot.join(path), &**bytes).unwrap();
            }
        }
    }
}

/// Whether opening a desk may change the file.
fn is_touched(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.starts_with("ledger.db") || name == "lock"
}

/// The index of SQLite's log: made anew at every recovery, in no image.
fn is_index(path: &str) -> bool {
    path.ends_with("-shm")
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// One thing that may be lost.
#[derive(Clone, Debug)]
enum Change {
    Write(Object, u64, Arc<Vec<u8>>),
    Truncate(Object, u64),
    Allocate(Object, u64),
    Name(String, Object),
    Move(String, String, Object),
    Take(String),
    Folder(String),
}

impl Change {
    /// What has to be synced for it: the file, or the folder that has the name.
    fn is_synced_by(&self, object: Option<Object>, folder: Option<&str>) -> bool {
        match self {
            Change::Write(of, ..) | Change::Truncate(of, _) | Change::Allocate(of, _) => object == Some(*of),
            Change::Name(path, _) | Change::Move(_, path, _) | Change::Take(path) | Change::Folder(path) => folder == Some(folder_of(path)),
        }
    }
}

/// How much of a change is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Nothing.
    Lost,
    /// All.
    Whole,
    /// Of a write: the sectors before this one, counted within the write.
    Head(u64),
    /// Of a write: the sectors from this one on.
    Tail(u64),
    /// Of a write: the length, with zeros.
    Zeros,
}

/// The disk between two effects.
#[derive(Clone)]
pub struct Disk {
    contents: Vec<Arc<Vec<u8>>>,
    names: BTreeMap<String, Object>,
    folders: BTreeSet<String>,
    /// In the order in which it was done.
    pending: Vec<Change>,
    by_inode: BTreeMap<u64, Object>,
    /// Every folder there is for the child, synced or not.
    live_folders: BTreeSet<String>,
    /// Whether the last effect was a write.
    last_is_write: bool,
}

impl Disk {
    /// The disk before the first effect: everything there is safe.
    pub fn of(root: &Path) -> Disk {
        let ((files, folders), image) = (inodes(root), Image::of(root));
        let (mut contents, mut names, mut by_inode) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        for (path, inode) in files.into_iter().filter(|(path, _)| !is_index(path)) {
            contents.push(image.files[&path].clone());
            by_inode.insert(inode, contents.len() - 1);
            names.insert(path, contents.len() - 1);
        }
        let folders: BTreeSet<String> = folders.into_iter().chain([String::new()]).collect();
        Disk { contents, names, live_folders: folders.clone(), folders, pending: Vec::new(), by_inode, last_is_write: false }
    }

    /// One more effect.
    pub fn apply(&mut self, effect: &Effect) {
        self.last_is_write = false;
        if effect.answer < 0 || is_index(&effect.path) {
            return;
        }
        let path = effect.path.clone();
        let object = || self.by_inode.get(&effect.inode).copied().unwrap_or_else(|| panic!("a file nobody made: {effect:?}"));
        let change = match &effect.kind {
            Kind::Mark(_) => return,
            Kind::Sync if self.live_folders.contains(&path) => return self.sync(None, Some(&path)),
            Kind::Sync => return self.sync(Some(object()), None),
            Kind::Create => {
                self.contents.push(Arc::default());
                self.by_inode.insert(effect.inode, self.contents.len() - 1);
                Change::Name(path, self.contents.len() - 1)
            }
            Kind::Write(at, bytes) => {
                self.last_is_write = true;
                Change::Write(object(), *at, Arc::new(bytes.clone()))
            }
            Kind::Truncate(len) => Change::Truncate(object(), *len),
            Kind::Allocate(len) => Change::Allocate(object(), *len),
            // From folder to folder the new name needs one sync and the old one's removal another: either may be there alone, or neither.
            Kind::Rename(to) if folder_of(&path) != folder_of(to) => {
                let named = Change::Name(to.clone(), object());
                self.pending.push(named);
                Change::Take(path)
            }
            Kind::Rename(to) => Change::Move(path, to.clone(), object()),
            Kind::Link(to) => Change::Name(to.clone(), object()),
            Kind::Unlink => Change::Take(path),
            Kind::Folder => {
                self.live_folders.insert(path.clone());
                Change::Folder(path)
            }
        };
        self.pending.push(change);
    }

    fn sync(&mut self, object: Option<Object>, folder: Option<&str>) {
        let (done, rest) = std::mem::take(&mut self.pending).into_iter().partition(|change| change.is_synced_by(object, folder));
        let done: Vec<Change> = done;
        self.pending = rest;
        let mut state = std::mem::take(&mut self.contents);
        done.iter().for_each(|change| perform(change, Part::Whole, &mut state, &mut self.names, &mut self.folders));
        self.contents = state;
    }

    /// How many changes are not safe.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// The length of the last effect in sectors, touched ones counted, when it was a write.
    pub fn last_write_sectors(&self) -> Option<u64> {
        match self.pending.last() {
            Some(Change::Write(_, at, bytes)) if self.last_is_write => Some(sectors(*at, bytes.len() as u64)),
            _ => None,
        }
    }

    /// Whether a pending change is a write, and of how many sectors.
    pub fn sectors_of(&self, index: usize) -> Option<u64> {
        match &self.pending[index] {
            Change::Write(_, at, bytes) => Some(sectors(*at, bytes.len() as u64)),
            _ => None,
        }
    }

    /// What is on the disk when of the pending changes those parts are.
    pub fn image(&self, parts: &[Part]) -> Image {
        let (mut contents, mut names, mut folders) = (self.contents.clone(), self.names.clone(), self.folders.clone());
        for (change, part) in self.pending.iter().zip(parts) {
            perform(change, *part, &mut contents, &mut names, &mut folders);
        }
        // A folder that was lost took with it what was in it, however well that was synced.
        let is_there = |mut path: &str| {
            while !path.is_empty() {
                path = folder_of(path);
                if !folders.contains(path) {
                    return false;
                }
            }
            true
        };
        let files = names.iter().filter(|(path, _)| is_there(path)).map(|(path, object)| (path.clone(), contents[*object].clone()));
        Image { files: files.collect(), folders: folders.iter().filter(|path| !path.is_empty() && is_there(path)).cloned().collect() }
    }
}

/// Sectors that a write touches.
fn sectors(at: u64, len: u64) -> u64 {
    if len == 0 { 0 } else { (at + len - 1) / SECTOR - at / SECTOR + 1 }
}

fn perform(
    change: &Change,
    part: Part,
    contents: &mut [Arc<Vec<u8>>],
    names: &mut BTreeMap<String, Object>,
    folders: &mut BTreeSet<String>,
) {
    if part == Part::Lost {
        return;
    }
    match change {
        Change::Write(object, at, bytes) => {
            let content = Arc::make_mut(&mut contents[*object]);
            // Where the sector with this index begins, within the write.
            let edge = |sector: u64| ((at / SECTOR + sector) * SECTOR).saturating_sub(*at).min(bytes.len() as u64) as usize;
            let (from, to) = match part {
                Part::Head(sector) => (0, edge(sector)),
                Part::Tail(sector) => (edge(sector), bytes.len()),
                _ => (0, bytes.len()),
            };
            let at = *at as usize;
            if content.len() < at + to && to > from {
                content.resize(at + to, 0);
            }
            match part {
                Part::Zeros => content[at + from..at + to].fill(0),
                _ => content[at + from..at + to].copy_from_slice(&bytes[from..to]),
            }
        }
        Change::Truncate(object, len) => Arc::make_mut(&mut contents[*object]).resize(*len as usize, 0),
        Change::Allocate(object, len) => {
            let content = Arc::make_mut(&mut contents[*object]);
            content.resize(content.len().max(*len as usize), 0);
        }
        Change::Name(path, object) => drop(names.insert(path.clone(), *object)),
        Change::Move(from, to, object) => {
            if names.get(from) == Some(object) {
                names.remove(from);
            }
            names.insert(to.clone(), *object);
        }
        Change::Take(path) => drop(names.remove(path)),
        Change::Folder(path) => drop(folders.insert(path.clone())),
    }
}

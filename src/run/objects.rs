//! The desk's store of content: loose objects for papers that wait, and one pack a session for papers that were accepted.
//!
//! Everything is copied, synced and hashed before the commit that accepts it. A pack that a broken session left behind is replaced by
//! the next attempt, or removed; nothing refers to it before the commit.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::core::books::Books;
use crate::core::ids::Hash;
use crate::core::plan::Plan;
use crate::core::publish::pack_index;
use crate::core::rules::{Checked, Fault, Rule};
use crate::core::tile::session_stem;
use crate::media::bundle_file::write_pack;
use crate::media::publish::Observe;

use super::bag::Bag;
use super::files::{file_fault, hash_file, make_folder, write_whole};
use super::packs::{INDEX_ROW, offset_of};

/// The store below a desk's folder.
pub struct Store {
    root: PathBuf,
}

/// What the store holds, hashed again.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// Objects in the files that were read.
    pub objects: u64,
    /// Bytes that were hashed.
    pub size_bytes: u64,
    /// Files that are not what the ledger says.
    pub damaged: Vec<Damaged>,
}

/// A file of the store that is not what the ledger says.
#[derive(Clone, Debug)]
pub struct Damaged {
    /// Where it lies.
    pub path: PathBuf,
    /// What was found there: its SHA-256, or why it could not be read.
    pub found: String,
    /// The SHA-256 that the ledger has.
    pub expected: Hash,
}

impl Stored {
    fn look(&mut self, path: PathBuf, expected: Hash, objects: u64) {
        match hash_file(&path) {
            Ok((found, length)) if found == expected => {
                self.objects += objects;
                self.size_bytes += length;
            }
            Ok((found, _)) => self.damaged.push(Damaged { path, found: found.named(), expected }),
            Err(fault) => self.damaged.push(Damaged { found: fault.found, path, expected }),
        }
    }
}

impl Store {
    /// The store of the desk in `dir`.
    pub fn of(dir: &Path) -> Store {
        Store { root: dir.join("objects") }
    }

    /// Whether a session ever kept content here.
    pub fn is_there(&self) -> bool {
        self.root.exists()
    }

    fn loose(&self, hash: &Hash) -> PathBuf {
        self.root.join("loose").join(hash.hex())
    }

    /// The pack of a session.
    pub fn pack(&self, session: u64) -> PathBuf {
        self.root.join(format!("{}.objects", session_stem(session)))
    }

    /// Where an object lies that the ledger keeps: the file, the offset of the content in it, and its length.
    ///
    /// # Errors
    /// `internal-fault` when the ledger does not keep it.
    pub fn place(&self, books: &Books, hash: &Hash) -> Checked<(PathBuf, u64, u64)> {
        let held = books.held().values().find_map(|held| held.objects.get(hash));
        if let Some(at) = books.packed_in(hash) {
            let session = books.session(at)?;
            let (index, at) = (pack_index(&session.pack), session.pack.keys().position(|packed| packed == hash).unwrap_or(0));
            let row = index.chunks_exact(INDEX_ROW).nth(at).unwrap_or(&[0; INDEX_ROW]);
            return Ok((self.pack(session.opened.session), offset_of(row), session.pack[hash]));
        }
        let size =
            held.ok_or_else(|| Fault::new(Rule::InternalFault, format!("object {hash} found in no pack and under no held paper")))?;
        Ok((self.loose(hash), 0, *size))
    }

    /// Keeps everything a plan wants: objects of held papers loose, those of accepted papers in the session's pack.
    ///
    /// Answers with SHA-256 and length of the pack, if there is one.
    ///
    /// # Errors
    /// `disk-fault`; nothing refers to what was written until then.
    pub fn keep(&self, plan: &Plan, bag: &Bag, observe: &mut Observe<'_>) -> Checked<Option<(Hash, u64)>> {
        self.keep_all(plan, bag, observe).map_err(own_disk)
    }

    fn keep_all(&self, plan: &Plan, bag: &Bag, observe: &mut Observe<'_>) -> Checked<Option<(Hash, u64)>> {
        // What a damaged disk made of an object is not the object: it is taken from a medium again.
        let is_kept = |hash: &Hash| hash_file(&self.loose(hash)).is_ok_and(|(found, _)| found == *hash);
        let wanted: BTreeSet<&Hash> = plan.keep().iter().chain(plan.pack()).collect();
        for hash in wanted.into_iter().filter(|hash| !is_kept(hash)) {
            observe("keep object", &hash.hex());
            // What only goes into the pack is synced with the pack, and hashed once more on its way.
            self.keep_one(hash, bag, plan.keep().binary_search(hash).is_ok(), observe)?;
        }
        if plan.pack().is_empty() {
            return Ok(None);
        }
        let path = self.pack(plan.opened().session);
        observe("write pack", &path.display().to_string());
        let folder = path.parent().unwrap_or(&self.root);
        make_folder(folder)?;
        let objects: Vec<(Hash, PathBuf)> = plan.pack().iter().map(|hash| (*hash, self.loose(hash))).collect();
        write_pack(&path, &objects)?;
        hash_file(&path).map(Some)
    }

    /// Hashes everything that the ledger says is kept: each session's pack, and the loose objects of papers that wait.
    ///
    /// # Errors
    /// None that a file gives: what cannot be read is damaged.
    pub fn audit(&self, books: &Books) -> Checked<Stored> {
        let mut stored = Stored::default();
        for heading in books.headings() {
            let Some((expected, _)) = heading.end.and_then(|end| end.pack) else { continue };
            stored.look(self.pack(heading.session), expected, heading.packed);
        }
        let held = books.held().values().flat_map(|held| held.objects.keys());
        let loose: BTreeSet<&Hash> = held.filter(|hash| !books.is_packed(hash)).collect();
        for hash in loose {
            stored.look(self.loose(hash), *hash, 1);
        }
        Ok(stored)
    }

    fn keep_one(&self, hash: &Hash, bag: &Bag, lasting: bool, observe: &mut Observe<'_>) -> Checked<()> {
        let path = self.loose(hash);
        let fault = || {
            Fault::new(Rule::FileFault, format!("{}: damaged or gone, and no medium brings this content; bring it again", path.display()))
        };
        let (file, object) = bag.object(hash).ok_or_else(fault)?;
        let mut fill = |out: &mut fs::File| {
            object.copy_to(file, out)?;
            observe("rename object", &hash.hex());
            Ok(())
        };
        if lasting {
            return write_whole(&path, fill);
        }
        make_folder(&self.root.join("loose"))?;
        let mut temporary = tempfile::NamedTempFile::new_in(self.root.join("loose")).map_err(|error| file_fault(&path, &error))?;
        fill(temporary.as_file_mut())?;
        temporary.persist(&path).map(drop).map_err(|error| file_fault(&path, &error.error))
    }

    /// Removes what nothing in the ledger needs: loose objects that are in a pack by now or that no held paper refers to, the pack of a
    /// session that was never committed, and temporary files. A broken run leaves such things behind; the next one ends here too.
    ///
    /// # Errors
    /// `disk-fault`.
    pub fn tidy(&self, books: &Books, observe: &mut Observe<'_>) -> Checked<()> {
        self.remove_unwanted(books, observe).map_err(own_disk)
    }

    fn remove_unwanted(&self, books: &Books, observe: &mut Observe<'_>) -> Checked<()> {
        let held = books.held().values().flat_map(|held| held.objects.keys()).filter(|hash| !books.is_packed(hash));
        let wanted: BTreeSet<PathBuf> = held.map(|hash| self.loose(hash)).collect();
        let mut unwanted = files_in(&self.root.join("loose"))?;
        unwanted.retain(|path| !wanted.contains(path));
        let (next, last) = (self.pack(books.next_session()), self.pack(books.next_session().saturating_sub(1)));
        let last_has_pack = books.headings().last().and_then(|heading| heading.end).is_some_and(|end| end.pack.is_some());
        let folders: BTreeSet<&Path> = [&next, &last].into_iter().filter_map(|pack| pack.parent()).collect();
        for folder in folders {
            let left_over = |path: &PathBuf| {
                *path == next || (*path == last && !last_has_pack) || path.extension().is_some_and(|extension| extension == "part")
            };
            unwanted.extend(files_in(folder)?.into_iter().filter(left_over));
        }
        for path in unwanted {
            observe("remove object", &path.display().to_string());
            fs::remove_file(&path).map_err(|error| file_fault(&path, &error))?;
        }
        Ok(())
    }
}

/// Files of the store lie on the desk's own disk: what fails there is its trouble, and no medium's.
pub(super) fn own_disk(fault: Fault) -> Fault {
    match fault.rule {
        Rule::FileFault => Fault { rule: Rule::DiskFault, ..fault },
        _ => fault,
    }
}

/// The files in a folder, ascending; none when there is no folder.
fn files_in(folder: &Path) -> Checked<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(file_fault(folder, &error)),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>();
    let mut paths = paths.map_err(|error| file_fault(folder, &error))?;
    paths.retain(|path| !path.is_dir());
    paths.sort();
    Ok(paths)
}

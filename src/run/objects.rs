//! The desk's store of content: loose objects for papers that wait, and one pack a session for papers that were accepted.
//!
//! Everything is copied, synced and hashed before the commit that accepts it. A pack that a broken session left behind is written again by
//! the next attempt; nothing refers to it before the commit.

use std::fs;
use std::path::{Path, PathBuf};

use crate::core::ids::Hash;
use crate::core::plan::Plan;
use crate::core::rules::{Checked, Fault, Rule};
use crate::core::tile::session_stem;
use crate::media::bundle_file::write_bundle;
use crate::media::publish::Observe;

use super::bag::Bag;
use super::files::{file_fault, hash_file, make_folder, sync_folder, write_whole};

/// The store below a desk's folder.
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// The store of the desk in `dir`.
    pub fn of(dir: &Path) -> Store {
        Store { root: dir.join("objects") }
    }

    fn loose(&self, hash: &Hash) -> PathBuf {
        self.root.join("loose").join(hash.hex())
    }

    /// The pack of a session.
    pub fn pack(&self, session: u64) -> PathBuf {
        self.root.join(format!("{}.objects", session_stem(session)))
    }

    /// Keeps everything a plan wants: objects of held papers loose, those of accepted papers in the session's pack.
    ///
    /// Answers with SHA-256 and length of the pack, if there is one.
    ///
    /// # Errors
    /// `file-fault`; nothing refers to what was written until then.
    pub fn keep(&self, plan: &Plan, bag: &Bag, observe: &mut Observe<'_>) -> Checked<Option<(Hash, u64)>> {
        let missing = || plan.keep().iter().chain(plan.pack()).filter(|hash| !self.loose(hash).exists());
        for hash in missing() {
            observe("keep object", &hash.hex());
            self.keep_one(hash, bag)?;
        }
        if plan.pack().is_empty() {
            return Ok(None);
        }
        let path = self.pack(plan.opened().session);
        observe("write pack", &path.display().to_string());
        let folder = path.parent().unwrap_or(&self.root);
        make_folder(folder)?;
        let objects: Vec<(Hash, PathBuf)> = plan.pack().iter().map(|hash| (*hash, self.loose(hash))).collect();
        if path.exists() {
            fs::remove_file(&path).map_err(|error| file_fault(&path, &error))?;
        }
        write_bundle(&path, &[], &objects)?;
        sync_folder(folder)?;
        hash_file(&path).map(Some)
    }

    fn keep_one(&self, hash: &Hash, bag: &Bag) -> Checked<()> {
        let fault = || Fault::new(Rule::InternalFault, format!("object {hash} is planned for but is on no medium"));
        let (file, object) = bag.object(hash).ok_or_else(fault)?;
        let path = self.loose(hash);
        write_whole(&path, |out| object.copy_to(file, out))
    }

    /// Removes loose objects that are in a pack now.
    ///
    /// # Errors
    /// `file-fault`.
    pub fn tidy(&self, packed: impl Iterator<Item = Hash>) -> Checked<()> {
        for path in packed.map(|hash| self.loose(&hash)).filter(|path| path.exists()) {
            fs::remove_file(&path).map_err(|error| file_fault(&path, &error))?;
        }
        Ok(())
    }
}

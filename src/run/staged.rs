//! Content on its way into a domain: whole and synced below `objects/incoming`, until whoever leads gives it its name.
//!
//! Each command has a folder of its own there, and holds a lock on it that dies with it: what nobody holds is swept by whoever leads. A file
//! is offered under a second name, so that it can be offered again when the leader dies between its name and the commit.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::broker::{Bring, random};
use crate::core::ids::Hash;
use crate::core::rules::{Checked, Rule};

use super::files::{file_fault, make_folder, sync_folder};

/// Where it is kept, below the domain's folder.
const INCOMING: &str = "objects/incoming";
/// The files of a pack, by their endings.
pub(super) const ENDINGS: [&str; 2] = ["objects", "index"];

/// A folder of one command.
pub(super) struct Staged {
    dir: PathBuf,
    name: String,
    /// Held, never read.
    _lock: File,
    offers: u32,
    /// What the pack holds, and its SHA-256 and length.
    pub(super) pack: Vec<Hash>,
    pub(super) digest: (Hash, u64),
}

impl Drop for Staged {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.path());
        let _ = fs::remove_dir(self.dir.join(INCOMING));
    }
}

impl Staged {
    /// Has `fill` write a pack of these objects and its index, given their path without its ending; it answers with the pack's digest.
    ///
    /// # Errors
    /// `file-fault`; what `fill` answers.
    pub(super) fn write(dir: &Path, pack: Vec<Hash>, fill: impl FnOnce(&Path) -> Checked<(Hash, u64)>) -> Checked<Staged> {
        let (name, lock) = own_folder(dir)?;
        let mut staged = Staged { dir: dir.to_owned(), name, _lock: lock, offers: 0, pack, digest: (Hash::ZERO, 0) };
        staged.digest = fill(&staged.path().join("pack"))?;
        Ok(staged)
    }

    fn path(&self) -> PathBuf {
        self.dir.join(INCOMING).join(&self.name)
    }

    /// Offers the files for the names that begin with `stem`, a path below the domain's folder.
    ///
    /// # Errors
    /// `file-fault`.
    pub(super) fn offer(&mut self, stem: &Path) -> Checked<Vec<Bring>> {
        self.offers += 1;
        let to = self.dir.join(stem);
        make_folder(to.parent().unwrap_or(&self.dir))?;
        let mut out = Vec::new();
        for ending in ENDINGS {
            let offered = format!("{}.{ending}", self.offers);
            let (whole, offer) = (self.path().join(format!("pack.{ending}")), self.path().join(&offered));
            // Where a file has one name only, it is copied.
            if fs::hard_link(&whole, &offer).is_err() {
                let copied = fs::copy(&whole, &offer).and_then(|_| File::open(&offer)?.sync_all());
                copied.map_err(|error| file_fault(&offer, &error))?;
            }
            let from = Path::new(INCOMING).join(&self.name).join(offered);
            out.push(Bring { from, to: PathBuf::from(format!("{}.{ending}", stem.display())) });
        }
        sync_folder(&self.path())?;
        Ok(out)
    }
}

/// Makes a folder that nobody else has, and takes its lock.
fn own_folder(dir: &Path) -> Checked<(String, File)> {
    loop {
        let name = hex::encode(random::<16>()?);
        let path = dir.join(INCOMING).join(&name);
        let held = make_folder(&path).and_then(|()| {
            let folder = File::open(&path).map_err(|error| file_fault(&path, &error))?;
            Ok(folder.try_lock().is_ok().then_some(folder))
        });
        match held {
            // Somebody may have swept it before it was locked; then another is made.
            Ok(Some(folder)) if path.is_dir() => return Ok((name, folder)),
            Ok(_) => {}
            Err(_) if !path.exists() && dir.is_dir() && !dir.join(INCOMING).exists() => {}
            Err(fault) if fault.rule != Rule::NotFound => return Err(fault),
            Err(_) => {}
        }
    }
}

/// Removes what commands left that were ended. Whoever leads calls it; what cannot be removed harms nobody.
pub(super) fn sweep(dir: &Path) {
    let incoming = dir.join(INCOMING);
    for entry in fs::read_dir(&incoming).into_iter().flatten().flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && File::open(entry.path()).is_ok_and(|folder| folder.try_lock().is_ok()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let _ = fs::remove_dir(incoming);
}

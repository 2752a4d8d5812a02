//! What came on the media: files copied once, papers parsed and verified, the rest listed with its reason.
//!
//! RawFile → Parsed → Verified. Objects are kept in the desk's store only later, when the plan says which are wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::core::batch::{Admitted, admit};
use crate::core::books::Books;
use crate::core::bundle::FileKind;
use crate::core::ids::{Hash, Pid};
use crate::core::payload::ListedFile;
use crate::core::rules::{Checked, Fault};
use crate::core::verify::Verified;
use crate::media::bundle_file::{BundleItem, ObjectAt, read_bundle};
use crate::media::scan::{RawFile, Scanned, read_one, scan};

use super::files::make_folder;

/// Something on a medium that is no paper, or was dropped from one.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Place of its medium among those of the session.
    pub medium: usize,
    /// Where it lies.
    pub path: String,
    /// SHA-256 of its bytes.
    pub sha256: Hash,
    /// Why.
    pub fault: Fault,
}

/// What one medium brought to the session, beside papers that were judged.
#[derive(Default)]
pub struct Brought {
    /// Papers that had their verdict before.
    pub again: BTreeSet<Pid>,
    /// What is listed of it; `None` when it was not looked through.
    pub listed: Option<Vec<Listed>>,
}

/// Everything that came on the media of one session.
#[derive(Default)]
pub struct Bag {
    media: Vec<Scanned>,
    verified: BTreeMap<Pid, Verified>,
    again: BTreeSet<(usize, Pid)>,
    objects: BTreeMap<Hash, (usize, usize, ObjectAt)>,
    listed: Vec<Listed>,
    seen: BTreeSet<(usize, Hash)>,
}

impl Bag {
    /// Scans media, one after the other, and verifies what looks like a paper.
    ///
    /// # Errors
    /// `not-found`, `medium-fault`, `file-fault` when our own copy cannot be made.
    pub fn gather(media: &[impl AsRef<Path>], staging: &Path, books: &Books) -> Checked<Bag> {
        let mut bag = Bag::default();
        for (index, medium) in media.iter().enumerate() {
            let own = staging.join(index.to_string());
            make_folder(&own)?;
            bag.take_medium(index, scan(medium.as_ref(), &own)?, books)?;
        }
        Ok(bag)
    }

    /// One file as if it lay alone on a medium.
    ///
    /// # Errors
    /// `not-found`, `file-fault`; the rule for which a medium would list it, when it is of no known kind.
    pub fn of_file(path: &Path, staging: &Path, books: &Books) -> Checked<Bag> {
        let mut bag = Bag::default();
        let scanned = Scanned { files: vec![read_one(path, staging)?], ..Scanned::default() };
        bag.take_medium(0, scanned, books)?;
        Ok(bag)
    }

    fn take_medium(&mut self, index: usize, scanned: Scanned, books: &Books) -> Checked<()> {
        for (at, file) in scanned.files.iter().enumerate() {
            self.take_file(index, at, file, books)?;
        }
        for ignored in &scanned.ignored {
            let sha256 = ignored.digest.map_or(Hash::ZERO, |(_, hash)| hash);
            self.listed.push(Listed { medium: index, path: ignored.path.clone(), sha256, fault: ignored.fault.clone() });
        }
        self.media.push(scanned);
        Ok(())
    }

    fn take_file(&mut self, medium: usize, at: usize, file: &RawFile, books: &Books) -> Checked<()> {
        if !matches!(file.kind(), FileKind::Bundle | FileKind::Paper) {
            return Ok(());
        }
        let mut listed = Vec::new();
        let cut = read_bundle(file, &mut |item| {
            match item {
                BundleItem::Object(object) => drop(self.objects.entry(object.sha256).or_insert((medium, at, object))),
                // The very same bytes once more say nothing more.
                BundleItem::Paper(bytes) if !self.seen.insert((medium, Hash::of(&bytes))) => {}
                BundleItem::Paper(bytes) => match admit(books, &bytes) {
                    Ok(Admitted::Again(pid)) => drop(self.again.insert((medium, pid))),
                    Ok(Admitted::Verified(verified, dropped)) => {
                        listed.extend(dropped.into_iter().map(|fault| (Hash::of(&bytes), fault)));
                        self.verified.entry(verified.pid()).and_modify(|known| known.unite(&verified)).or_insert(*verified);
                    }
                    Err(fault) => listed.push((Hash::of(&bytes), fault)),
                },
            }
            Ok(())
        })?;
        listed.extend(cut.map(|fault| (file.sha256(), fault)));
        let path = file.path();
        self.listed.extend(listed.into_iter().map(|(sha256, fault)| Listed { medium, path: path.to_owned(), sha256, fault }));
        Ok(())
    }

    /// The authentic papers, each once with all its valid signatures, by id.
    pub fn verified(&self) -> Vec<Verified> {
        self.verified.values().cloned().collect()
    }

    /// Objects brought, with their sizes.
    pub fn object_sizes(&self) -> BTreeMap<Hash, u64> {
        self.objects.iter().map(|(hash, (_, _, object))| (*hash, object.len)).collect()
    }

    /// Our copy of an object.
    pub fn object(&self, hash: &Hash) -> Option<(&RawFile, &ObjectAt)> {
        let (medium, file, object) = self.objects.get(hash)?;
        Some((&self.media[*medium].files[*file], object))
    }

    /// What was listed, with its reason.
    pub fn listed(&self) -> &[Listed] {
        &self.listed
    }

    /// What the report on a medium tells of it: papers that it brought again after their verdict, and what was listed of it.
    pub fn brought_by(&self, medium: usize) -> Brought {
        let again = self.again.iter().filter(|(on, _)| *on == medium).map(|(_, pid)| *pid).collect();
        Brought { again, listed: Some(self.listed.iter().filter(|listed| listed.medium == medium).cloned().collect()) }
    }

    /// Papers brought again on any medium.
    pub fn again(&self) -> BTreeSet<Pid> {
        self.again.iter().map(|(_, pid)| *pid).collect()
    }

    /// Every file of every medium, for the closing event.
    pub fn inventory(&self) -> Vec<Vec<ListedFile>> {
        self.media.iter().map(|scanned| self.files_of(scanned)).collect()
    }

    fn files_of(&self, scanned: &Scanned) -> Vec<ListedFile> {
        let rule_of = |path: &str, sha256: Hash| {
            let same = |listed: &&Listed| listed.path == path && listed.sha256 == sha256;
            self.listed.iter().find(same).map_or("", |listed| listed.fault.rule.id()).to_owned()
        };
        let files = scanned.files.iter().map(|file| ListedFile {
            path: file.path().to_owned(),
            size: file.bytes_len(),
            sha256: file.sha256(),
            what: file.kind().word().to_owned(),
            rule: rule_of(file.path(), file.sha256()),
        });
        let ignored = scanned.ignored.iter().map(|ignored| {
            let (size, sha256) = ignored.digest.unwrap_or((0, Hash::ZERO));
            ListedFile { path: ignored.path.clone(), size, sha256, what: "ignored".into(), rule: ignored.fault.rule.id().into() }
        });
        files.chain(ignored).collect()
    }

    /// Our copies of all files that may carry a signature of ours, of all media, each with the number of its medium, from 0.
    pub fn texts(&self) -> impl Iterator<Item = (usize, &RawFile)> {
        let files = |(index, scanned)| {
            let scanned: &Scanned = scanned;
            scanned.files.iter().chain(&scanned.gossip).map(move |file| (index, file))
        };
        self.media.iter().enumerate().flat_map(files)
    }
}

//! What came on the media: files copied once, papers parsed and verified, the rest listed with its reason.
//!
//! RawFile → Parsed → Verified. Objects are kept in the desk's store only later, when the plan says which are wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::core::batch::{Admitted, admit};
use crate::core::books::Books;
use crate::core::bundle::FileKind;
use crate::core::ids::{Hash, Pid};
use crate::core::limits::NOTE_BYTES_MAX;
use crate::core::note::{Checkpoint, InclusionProof, Note, VerdictNote};
use crate::core::payload::ListedFile;
use crate::core::rules::{Checked, Fault, Rule};
use crate::core::verify::Verified;
use crate::media::bundle_file::{BundleItem, ObjectAt, read_bundle};
use crate::media::scan::{RawFile, Scanned, scan};

use super::files::make_folder;

/// Something on a medium that is no paper, or was dropped from one.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Where it lies.
    pub path: String,
    /// SHA-256 of its bytes.
    pub sha256: Hash,
    /// Why.
    pub fault: Fault,
}

/// Everything that came on the media of one session.
pub struct Bag {
    media: Vec<Scanned>,
    verified: Vec<Verified>,
    again: BTreeSet<(usize, Pid)>,
    objects: BTreeMap<Hash, (usize, usize, ObjectAt)>,
    listed: Vec<Listed>,
}

impl Bag {
    /// Scans media, one after the other, and verifies what looks like a paper.
    ///
    /// # Errors
    /// `not-found`, `medium-fault`, `file-fault` when our own copy cannot be made.
    pub fn gather(media: &[impl AsRef<Path>], staging: &Path, books: &Books) -> Checked<Bag> {
        let mut bag = Bag { media: Vec::new(), verified: Vec::new(), again: BTreeSet::new(), objects: BTreeMap::new(), listed: Vec::new() };
        for (index, medium) in media.iter().enumerate() {
            let own = staging.join(index.to_string());
            make_folder(&own)?;
            let scanned = scan(medium.as_ref(), &own)?;
            for (at, file) in scanned.files.iter().enumerate() {
                bag.take_file(index, at, file, books)?;
            }
            for ignored in &scanned.ignored {
                let sha256 = ignored.digest.map_or(Hash::ZERO, |(_, hash)| hash);
                bag.listed.push(Listed { path: ignored.path.clone(), sha256, fault: ignored.fault.clone() });
            }
            bag.media.push(scanned);
        }
        Ok(bag)
    }

    fn take_file(&mut self, medium: usize, at: usize, file: &RawFile, books: &Books) -> Checked<()> {
        if !matches!(file.kind(), FileKind::Bundle | FileKind::Paper) {
            return Ok(());
        }
        let mut listed = Vec::new();
        let cut = read_bundle(file, &mut |item| {
            match item {
                BundleItem::Object(object) => drop(self.objects.entry(object.sha256).or_insert((medium, at, object))),
                BundleItem::Paper(bytes) => match admit(books, &bytes) {
                    Ok(Admitted::Again(pid)) => drop(self.again.insert((medium, pid))),
                    Ok(Admitted::Verified(verified, dropped)) => {
                        listed.extend(dropped.into_iter().map(|fault| (Hash::of(&bytes), fault)));
                        self.verified.push(*verified);
                    }
                    Err(fault) => listed.push((Hash::of(&bytes), fault)),
                },
            }
            Ok(())
        })?;
        listed.extend(cut.map(|fault| (file.sha256(), fault)));
        let path = file.path();
        self.listed.extend(listed.into_iter().map(|(sha256, fault)| Listed { path: path.to_owned(), sha256, fault }));
        Ok(())
    }

    /// The authentic papers.
    pub fn verified(&self) -> &[Verified] {
        &self.verified
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

    /// Papers that a medium brought again, after their verdict.
    pub fn again_on(&self, medium: usize) -> BTreeSet<Pid> {
        self.again.iter().filter(|(on, _)| *on == medium).map(|(_, pid)| *pid).collect()
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

    /// Promise 9: looks for our own signature on a head that this ledger does not have, wherever it lies on a medium.
    ///
    /// # Errors
    /// `head-elsewhere` with both heads; the caller halts.
    pub fn check_gossip(&self, books: &Books) -> Checked<()> {
        for file in self.media.iter().flat_map(|scanned| &scanned.files) {
            let Ok(bytes) = file.bytes(NOTE_BYTES_MAX, Rule::CheckpointForm) else { continue };
            match file.kind() {
                FileKind::Checkpoint => check_checkpoint(file, &bytes, books)?,
                FileKind::Note => check_note(file, &bytes, books)?,
                FileKind::Proof => check_proof(file, &bytes, books)?,
                _ => {}
            }
        }
        Ok(())
    }
}

fn check_checkpoint(file: &RawFile, bytes: &[u8], books: &Books) -> Checked<()> {
    let key = books.log_key()?;
    let Ok(checkpoint) = Checkpoint::parse_signed(bytes, key) else { return Ok(()) };
    let ours = books.log().root_at(checkpoint.head.number);
    if ours == Some(checkpoint.head.root) {
        return Ok(());
    }
    Err(elsewhere(file, &checkpoint.head, ours, books))
}

fn check_proof(file: &RawFile, bytes: &[u8], books: &Books) -> Checked<()> {
    match InclusionProof::parse(bytes) {
        Ok(proof) => check_checkpoint(file, proof.checkpoint.as_bytes(), books),
        Err(_) => Ok(()),
    }
}

fn check_note(file: &RawFile, bytes: &[u8], books: &Books) -> Checked<()> {
    let ours = |note: &Note<'_>| books.log_key().is_ok_and(|key| note.verify(key).is_ok());
    let Some(note) = Note::parse(bytes).ok().filter(ours) else { return Ok(()) };
    let Ok(verdict) = VerdictNote::parse(note.text) else { return Ok(()) };
    let root = books.log().root_at(verdict.head_before.number);
    if root == Some(verdict.head_before.root) && verdict.session < books.next_session() {
        return Ok(());
    }
    Err(elsewhere(file, &verdict.head_before, root, books))
}

fn elsewhere(file: &RawFile, theirs: &crate::core::ids::Head, ours: Option<Hash>, books: &Books) -> Fault {
    let ours = ours.map_or(format!("our head is {}", books.head()), |root| format!("our root of that number is {root}"));
    Fault::new(Rule::HeadElsewhere, format!("{} carries our signature on {theirs}; {ours}", file.path()))
}

//! Reading a published folder that nobody trusts: from a stick, a mirror or a copy, with nothing but a pin or the charter's fingerprint.
//!
//! Everything is recomputed: leaves from the entries, the root from the leaves, pids and envs from the papers, the state from the operations.
//! Only then is the root compared with the one that the log key signed, and with the pin.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::core::cbor::{check, item_len};
use crate::core::charter;
use crate::core::common::Common;
use crate::core::ids::{Hash, Head};
use crate::core::limits::{NOTE_BYTES_MAX, RECORD_BYTES_MAX, TILE_WIDTH};
use crate::core::note::{Checkpoint, InclusionProof, Note, VerifierKey, assemble};
use crate::core::pin::Pin;
use crate::core::rules::{Checked, Fault, Rule, Stage};
use crate::core::tile::{TileReader, TileRef, consistency, decode_bundle, entries_path, inclusion, numbered_path, root, session_stem};
use crate::core::tree::verify_consistency;

use super::packs::{INDEX_ROW, INDEX_ROWS_MAX, PackedAt, check_pack, offset_of};

/// Largest file of 256 papers that is read: each paper united, 512 signatures of 110 bytes at most.
const PAPERS_BYTES_MAX: u64 = 256 * 200_000;
/// A published folder.
pub struct Folder {
    root: PathBuf,
}

/// A folder whose every page up to its newest checkpoint was checked.
pub struct CheckedFolder {
    /// The folder.
    pub folder: Folder,
    /// Its newest signed head.
    pub head: Head,
    /// Every page up to it.
    pub common: Common,
}

/// What the folder holds is not what its log committed to, whatever rule of a paper it breaks.
fn damaged(place: impl std::fmt::Display, fault: Fault) -> Fault {
    let found = format!("{place} is not what the log committed to: [{}] {}", fault.rule, fault.shown());
    Fault::new(Rule::ProofFails, found)
}

impl Folder {
    /// The folder at `path`, which is the folder itself or a medium that carries it in `tabellion/common`.
    ///
    /// # Errors
    /// `not-found` when neither has a checkpoint.
    pub fn find(path: &Path) -> Checked<Folder> {
        let places = [path.to_owned(), path.join("tabellion/common"), path.join("common")];
        let found = places.into_iter().find(|place| place.join("checkpoint").is_file());
        let missing = || Fault::new(Rule::NotFound, format!("no published folder (a file named checkpoint) in {}", path.display()));
        found.map(|root| Folder { root }).ok_or_else(missing)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.root
    }

    fn read(&self, path: &str, most: u64) -> Checked<Vec<u8>> {
        let full = self.root.join(path);
        let incomplete = |reason: String| Fault::new(Rule::FolderIncomplete, format!("{}: {reason}", full.display()));
        let missing = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => incomplete("nothing is there; a file expected".into()),
            _ => incomplete(error.to_string()),
        };
        let metadata = fs::metadata(&full).map_err(missing)?;
        if !metadata.is_file() {
            return Err(incomplete("no plain file is there, but a folder, device or pipe; a file expected".into()));
        }
        let length = metadata.len();
        if length > most {
            return Err(incomplete(format!("{length} bytes found, {most} at most")));
        }
        fs::read(&full).map_err(|error| incomplete(error.to_string()))
    }

    /// The newest checkpoint as it stands there, unverified.
    ///
    /// # Errors
    /// `folder-incomplete`.
    pub fn checkpoint(&self) -> Checked<Vec<u8>> {
        self.read("checkpoint", NOTE_BYTES_MAX as u64)
    }

    /// The newest checkpoint, verified under `key`.
    ///
    /// # Errors
    /// `folder-incomplete`, `checkpoint-form`, `checkpoint-unsigned`.
    pub fn head(&self, key: &VerifierKey) -> Checked<Head> {
        Ok(Checkpoint::parse_signed(&self.checkpoint()?, key).map_err(|fault| fault.within(self.root.join("checkpoint").display()))?.head)
    }

    /// The charter's log key, after comparing the charter's record with a fingerprint that came by another way.
    ///
    /// # Errors
    /// `fingerprint-mismatch` with both values; parse faults.
    pub fn found_by(&self, fingerprint: &Hash) -> Checked<charter::Charter> {
        let charter = self.read("charter.cose", 65_536)?;
        let claimed = charter::verify(&charter).map_err(|fault| damaged(self.root.join("charter.cose").display(), fault))?;
        let head = self.head(&claimed.charter().log)?;
        let entries = self.entries(0, head.number)?;
        let mut common = Common::default();
        let first =
            entries.first().ok_or_else(|| Fault::new(Rule::FolderIncomplete, "no entry of the log; the charter's record expected"))?;
        common.push(first, &crate::core::cbor::Canonical::to_cbor(claimed.envelope()))?;
        let found = common.log().head().root;
        if found != *fingerprint {
            return Err(Fault::new(Rule::FingerprintMismatch, format!("{found} found in {}; {fingerprint} expected", self.root.display())));
        }
        Ok(claimed.charter().clone())
    }

    fn width(index: u64, size: u64) -> Option<u16> {
        let full = size / TILE_WIDTH;
        if index < full { None } else { Some((size % TILE_WIDTH) as u16) }
    }

    fn entries(&self, index: u64, size: u64) -> Checked<Vec<Vec<u8>>> {
        let path = entries_path(index, Folder::width(index, size));
        let bytes = self.read(&path, TILE_WIDTH * (RECORD_BYTES_MAX as u64 + 2))?;
        Ok(decode_bundle(&bytes)?.into_iter().map(<[u8]>::to_vec).collect())
    }

    fn papers(&self, index: u64, size: u64) -> Checked<Vec<Vec<u8>>> {
        let path = numbered_path("papers", index, Folder::width(index, size));
        let bytes = self.read(&path, PAPERS_BYTES_MAX)?;
        let (mut out, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            let cut = || Fault::new(Rule::FolderIncomplete, format!("{path}: the paper at byte {at} breaks off"));
            let damaged = |fault| damaged(format_args!("{path}: the paper at byte {at}"), fault);
            let len = item_len(&bytes[at..]).map_err(damaged)?.ok_or_else(cut)?;
            check(&bytes[at..at + len]).map_err(damaged)?;
            out.push(bytes[at..at + len].to_vec());
            at += len;
        }
        Ok(out)
    }

    /// The signed checkpoint of number N, put together from tiles and signature lines, and verified under `key`.
    ///
    /// # Errors
    /// As [`Folder::head`].
    pub fn checkpoint_at(&self, number: u64, head: &Head, key: &VerifierKey) -> Checked<String> {
        let index = (number - 1) / TILE_WIDTH;
        let path = numbered_path("checkpoints", index, Folder::width(index, head.number));
        let bytes = self.read(&path, NOTE_BYTES_MAX as u64)?;
        let lines = decode_bundle(&bytes).map_err(|fault| damaged(&path, fault))?;
        let line = lines.get(((number - 1) % TILE_WIDTH) as usize).and_then(|line| std::str::from_utf8(line).ok());
        let line = line.ok_or_else(|| Fault::new(Rule::FolderIncomplete, format!("no signature for common@{number} in the folder")))?;
        let at = Head { number, root: self.root_of(number, head)? };
        let signed = assemble(&Checkpoint { origin: key.name().clone(), head: at }.text(), line);
        let within = |fault: Fault| fault.within(format_args!("{path}, the checkpoint of common@{number}"));
        Note::parse(signed.as_bytes()).map_err(within)?.verify(key).map_err(within)?;
        Ok(signed)
    }

    /// The root of the first `number` leaves, from the tiles.
    ///
    /// # Errors
    /// `folder-incomplete`, `proof-fails`.
    pub fn root_of(&self, number: u64, head: &Head) -> Checked<Hash> {
        root(&self.tiles(head.number), number)
    }

    /// The proof that record `index + 1` is in the folder's log, which ends at `head`, under the folder's newest checkpoint; unverified.
    ///
    /// # Errors
    /// `folder-incomplete`, `record-form`.
    pub fn inclusion_proof(&self, index: u64, head: &Head) -> Checked<String> {
        let entries = self.entries(index / TILE_WIDTH, head.number)?;
        let missing = || Fault::new(Rule::FolderIncomplete, format!("no entry for common@{} in the folder", index + 1));
        let record = entries.get((index % TILE_WIDTH) as usize).ok_or_else(missing)?.clone();
        let hashes = inclusion(&self.tiles(head.number), index, head.number)?;
        let checkpoint = self.checkpoint()?;
        let checkpoint = String::from_utf8(checkpoint).map_err(|_| Fault::new(Rule::CheckpointForm, "a checkpoint that is not UTF-8"))?;
        Ok(InclusionProof { record, index, hashes, checkpoint }.text())
    }

    /// The first index at which two folders hold different entries, of those both have.
    ///
    /// # Errors
    /// `folder-incomplete`.
    pub fn first_difference(&self, size: u64, other: &Folder, other_size: u64) -> Checked<Option<u64>> {
        for bundle in 0..size.min(other_size).div_ceil(TILE_WIDTH) {
            let (ours, theirs) = (self.entries(bundle, size)?, other.entries(bundle, other_size)?);
            if let Some(at) = ours.iter().zip(&theirs).position(|(one, another)| one != another) {
                return Ok(Some(bundle * TILE_WIDTH + at as u64));
            }
        }
        Ok(None)
    }

    fn tiles(&self, size: u64) -> TileReader<impl Fn(TileRef) -> Checked<Vec<u8>>> {
        TileReader::new(size, move |tile: TileRef| self.read(&tile.path(), TILE_WIDTH * 32))
    }

    /// Whether `old` is a beginning of `new`, both of the folder's log of `size` records: the consistency proof, made from the tiles and verified.
    ///
    /// # Errors
    /// `proof-fails` with both roots, `pin-behind`, `folder-incomplete`.
    pub fn check_consistent(&self, old: &Head, new: &Head, size: u64) -> Checked<usize> {
        if old.number > new.number {
            return Err(Fault::new(
                Rule::PinBehind,
                format!("common@{} found in {}; common@{} or later expected", new.number, self.root.display(), old.number),
            ));
        }
        // Partial tiles are there for the newest size only: the proof between two smaller ones is made from those.
        let proof = consistency(&self.tiles(size), old.number, new.number)?;
        verify_consistency(*old, *new, &proof)?;
        Ok(proof.len())
    }

    /// Checks the whole folder against a pin: every page, every checkpoint, and that the pin is a beginning of it.
    ///
    /// # Errors
    /// `checkpoint-unsigned`, `proof-fails`, `pin-behind`, `fingerprint-mismatch`, `folder-incomplete`, `record-form`.
    pub fn check(self, pin: &Pin) -> Checked<CheckedFolder> {
        let head = self.head(&pin.vkey)?;
        self.check_consistent(&pin.head, &head, head.number)?;
        let common = self.pages(head.number)?;
        let found = common.log().head();
        if found != head {
            return Err(Fault::new(Rule::ProofFails, format!("the entries lead to {found}; the checkpoint says {head}")));
        }
        let fingerprint = common.log().root_at(1).unwrap_or_default();
        if fingerprint != pin.fingerprint {
            return Err(Fault::new(Rule::FingerprintMismatch, format!("{fingerprint} found; {} expected by the pin", pin.fingerprint)));
        }
        Ok(CheckedFolder { folder: self, head, common })
    }

    fn pages(&self, size: u64) -> Checked<Common> {
        let mut common = Common::default();
        for index in 0..size.div_ceil(TILE_WIDTH) {
            let (entries, papers) = (self.entries(index, size)?, self.papers(index, size)?);
            if entries.len() != papers.len() {
                let found = format!("{} entries and {} papers in the {index}th hundred", entries.len(), papers.len());
                return Err(Fault::new(Rule::FolderIncomplete, found));
            }
            for (entry, paper) in entries.iter().zip(&papers) {
                let number = common.log().size() + 1;
                common.push(entry, paper).map_err(|fault| match fault.rule.stage() {
                    Stage::Consumer => fault,
                    _ => damaged(format_args!("the paper of common@{number}"), fault),
                })?;
            }
        }
        Ok(common)
    }

    /// Checks the packs of these sessions that the folder carries; answers the hashes of their objects.
    ///
    /// # Errors
    /// As [`check_pack`].
    pub fn check_packs(&self, sessions: impl Iterator<Item = u64>) -> Checked<BTreeSet<Hash>> {
        let mut out = BTreeSet::new();
        for stem in sessions.map(|session| self.root.join(format!("objects/{}", session_stem(session)))) {
            if PathBuf::from(format!("{}.index", stem.display())).is_file() {
                out.extend(check_pack(&stem)?);
            }
        }
        Ok(out)
    }

    /// Where the packs of these sessions hold an object, by their indexes; `None` when the folder does not carry it.
    ///
    /// # Errors
    /// `folder-incomplete`.
    pub fn find_object(&self, sessions: impl Iterator<Item = u64>, hash: &Hash) -> Checked<Option<PackedAt>> {
        for stem in sessions.map(|session| format!("objects/{}", session_stem(session))) {
            if !self.root.join(format!("{stem}.index")).is_file() {
                continue;
            }
            let index = self.read(&format!("{stem}.index"), INDEX_ROW as u64 * INDEX_ROWS_MAX)?;
            let rows: Vec<&[u8]> = index.chunks_exact(INDEX_ROW).collect();
            if let Ok(at) = rows.binary_search_by(|row| row[..32].cmp(&hash.0)) {
                return Ok(Some(PackedAt { pack: self.root.join(format!("{stem}.objects")), offset: offset_of(rows[at]) }));
            }
        }
        Ok(None)
    }
}

//! Reading a published folder that nobody trusts: from a stick, a mirror or a copy, with nothing but a pin or the charter's fingerprint.
//!
//! Everything is recomputed: leaves from the entries, the root from the leaves, pids and envs from the papers, the state from the operations.
//! Only then is the root compared with the one that the log key signed, and with the pin. Or, to move a pin, nothing is recomputed but what a
//! proof of consistency needs, and the pages behind the pin.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::core::cbor::{Canonical as _, check, item_len};
use crate::core::charter;
use crate::core::common::{Common, Page};
use crate::core::ids::{Hash, Head};
use crate::core::limits::{NOTE_BYTES_MAX, POLICY_BYTES_MAX, RECORD_BYTES_MAX, TILE_WIDTH};
use crate::core::merkle::{Frontier, leaf_hash};
use crate::core::note::{Checkpoint, InclusionProof, Note, VerifierKey, assemble};
use crate::core::pin::Pin;
use crate::core::policy::Policy;
use crate::core::record::Record;
use crate::core::rules::{Checked, Fault, Rule, Stage};
use crate::core::stretch::Stretch;
use crate::core::tile::{TileReader, TileRef, consistency, decode_bundle, entries_path, inclusion, numbered_path, root, session_stem};
use crate::core::tree::{verify_consistency, verify_inclusion};

use super::packs::{Packs, check_pack};

/// Largest file of 256 papers that is read: each paper united, 512 signatures of 110 bytes at most.
const PAPERS_BYTES_MAX: u64 = 256 * 200_000;
/// Most tiles that are kept: more than the proofs of one command need, and at most half a megabyte.
const TILES_KEPT_MAX: usize = 64;

/// A published folder.
pub struct Folder {
    root: PathBuf,
    reads: Cell<Reads>,
    tiles: RefCell<BTreeMap<TileRef, Vec<u8>>>,
}

/// What was read of a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Files, counted each time one was read.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
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
pub(super) fn damaged(place: impl std::fmt::Display, fault: Fault) -> Fault {
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
        found.map(|root| Folder { root, reads: Cell::default(), tiles: RefCell::default() }).ok_or_else(missing)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// A file of the folder, whole; one that is longer than `most` is refused.
    pub(super) fn read(&self, path: &str, most: u64) -> Checked<Vec<u8>> {
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
        let bytes = fs::read(&full).map_err(|error| incomplete(error.to_string()))?;
        let Reads { files, bytes: before } = self.reads.get();
        self.reads.set(Reads { files: files + 1, bytes: before + bytes.len() as u64 });
        Ok(bytes)
    }

    /// What was read so far.
    pub fn reads(&self) -> Reads {
        self.reads.get()
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
        self.newest(key).map(|(head, _)| head)
    }

    /// As [`Folder::head`], with the signed text as it stands there.
    ///
    /// # Errors
    /// As [`Folder::head`].
    pub fn newest(&self, key: &VerifierKey) -> Checked<(Head, String)> {
        let bytes = self.checkpoint()?;
        let head = Checkpoint::parse_signed(&bytes, key).map_err(|fault| fault.within(self.root.join("checkpoint").display()))?.head;
        // Whatever is parsed is UTF-8.
        Ok((head, String::from_utf8_lossy(&bytes).into_owned()))
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
        common.push(first, &claimed.envelope().to_cbor())?;
        let found = common.log().head().root;
        if found != *fingerprint {
            return Err(Fault::new(Rule::FingerprintMismatch, format!("{found} found in {}; {fingerprint} expected", self.root.display())));
        }
        Ok(claimed.charter().clone())
    }

    pub(super) fn width(index: u64, size: u64) -> Option<u16> {
        let full = size / TILE_WIDTH;
        if index < full { None } else { Some((size % TILE_WIDTH) as u16) }
    }

    pub(super) fn entries(&self, index: u64, size: u64) -> Checked<Vec<Vec<u8>>> {
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

    /// A tile, read once for the proofs of a command, which meet the same few again and again.
    fn tile(&self, tile: TileRef) -> Checked<Vec<u8>> {
        if let Some(bytes) = self.tiles.borrow().get(&tile) {
            return Ok(bytes.clone());
        }
        let bytes = self.read(&tile.path(), TILE_WIDTH * 32)?;
        let mut kept = self.tiles.borrow_mut();
        if kept.len() >= TILES_KEPT_MAX {
            kept.clear();
        }
        kept.insert(tile, bytes.clone());
        Ok(bytes)
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
        TileReader::new(size, move |tile: TileRef| self.tile(tile))
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
        self.each_page(1, size, size, |entry, paper| common.push(entry, paper))?;
        Ok(common)
    }

    /// Gives the entries and papers of the numbers `from` to `to` of a log of `size` records to `take`, in order.
    fn each_page(&self, from: u64, to: u64, size: u64, mut take: impl FnMut(&[u8], &[u8]) -> Checked<()>) -> Checked<()> {
        for index in (from - 1) / TILE_WIDTH..to.div_ceil(TILE_WIDTH) {
            let (entries, papers) = (self.entries(index, size)?, self.papers(index, size)?);
            if entries.len() != papers.len() {
                let first = index * TILE_WIDTH + 1;
                let found = format!("{} entries and {} papers in the files that begin with common@{first}", entries.len(), papers.len());
                return Err(Fault::new(Rule::FolderIncomplete, found));
            }
            for (number, (entry, paper)) in (index * TILE_WIDTH + 1..).zip(entries.iter().zip(&papers)) {
                if (from..=to).contains(&number) {
                    take(entry, paper).map_err(|fault| match fault.rule.stage() {
                        Stage::Consumer => fault,
                        _ => damaged(format_args!("the paper of common@{number}"), fault),
                    })?;
                }
            }
        }
        Ok(())
    }

    /// The pages from a pin to `to`, checked without those before it (SPEC 4.12).
    ///
    /// # Errors
    /// Those of [`Stretch::begin`] and [`Stretch::push`]; `proof-fails` when the pages do not lead to `to`; `folder-incomplete`.
    pub fn pages_since(&self, pin: &Pin, to: &Head, size: u64) -> Checked<Vec<Page>> {
        let before = Frontier::read(&self.tiles(size), pin.head.number - 1)?;
        let entry = self.entry(pin.head.number, size)?;
        let mut stretch = Stretch::begin(pin, before, &entry, |hash| self.policy(hash))?;
        let mut pages = Vec::new();
        self.each_page(pin.head.number + 1, to.number, size, |entry, paper| {
            pages.push(stretch.push(entry, paper)?);
            Ok(())
        })?;
        if stretch.head() != *to {
            return Err(Fault::new(
                Rule::ProofFails,
                format!("the entries behind your pin lead to {}; what was signed is {to}", stretch.head()),
            ));
        }
        Ok(pages)
    }

    /// Record N, proved to be in the log with this head.
    ///
    /// # Errors
    /// `proof-fails`, `record-form`, `folder-incomplete`.
    pub fn record(&self, number: u64, head: &Head) -> Checked<Record> {
        let entry = self.entry(number, head.number)?;
        let proof = inclusion(&self.tiles(head.number), number - 1, head.number)?;
        verify_inclusion(leaf_hash(&entry), number - 1, head.number, head.root, &proof).map_err(|fault| {
            fault.within(format_args!("{}, the record of common@{number}", entries_path((number - 1) / TILE_WIDTH, None)))
        })?;
        let record =
            Record::from_cbor(&entry).map_err(|fault| Fault::new(Rule::RecordForm, format!("common@{number}: {}", fault.found)))?;
        if record.number != number {
            return Err(Fault::new(
                Rule::ProofFails,
                format!("a record of common@{} found in the place of common@{number}", record.number),
            ));
        }
        Ok(record)
    }

    fn entry(&self, number: u64, size: u64) -> Checked<Vec<u8>> {
        let mut entries = self.entries((number - 1) / TILE_WIDTH, size)?;
        let at = ((number - 1) % TILE_WIDTH) as usize;
        if at >= entries.len() {
            return Err(Fault::new(
                Rule::FolderIncomplete,
                format!("{} entries in the file of common@{number}; more expected", entries.len()),
            ));
        }
        Ok(entries.swap_remove(at))
    }

    /// The policy with this hash.
    fn policy(&self, hash: &Hash) -> Checked<Policy> {
        let path = format!("policies/{hash}.cbor");
        let bytes = self.read(&path, POLICY_BYTES_MAX as u64)?;
        if Hash::of(&bytes) != *hash {
            return Err(Fault::new(
                Rule::ProofFails,
                format!("{path} has the hash {}; {hash} expected, as the record says", Hash::of(&bytes)),
            ));
        }
        Policy::from_cbor(&bytes).map_err(|fault| damaged(&path, fault))
    }

    /// The proof that the tree of `old` is the beginning of the tree of `new`, made from the tiles of the log of `size` records.
    ///
    /// # Errors
    /// `folder-incomplete`, `proof-fails`.
    pub fn consistency(&self, old: u64, new: u64, size: u64) -> Checked<Vec<Hash>> {
        consistency(&self.tiles(size), old, new)
    }

    /// Checks the packs of these sessions that the folder carries; answers how many objects they have.
    ///
    /// # Errors
    /// As [`check_pack`].
    pub fn check_packs(&self, sessions: impl Iterator<Item = u64>) -> Checked<usize> {
        let carried = self.stems(sessions).filter(|stem| PathBuf::from(format!("{}.index", stem.display())).is_file());
        carried.map(|stem| check_pack(&stem)).sum()
    }

    /// The packs of these sessions that the folder carries.
    ///
    /// # Errors
    /// As [`Packs::open`].
    pub fn packs(&self, sessions: impl Iterator<Item = u64>) -> Checked<Packs> {
        Packs::open(self.stems(sessions))
    }

    fn stems(&self, sessions: impl Iterator<Item = u64>) -> impl Iterator<Item = PathBuf> {
        sessions.map(|session| self.root.join(format!("objects/{}", session_stem(session))))
    }
}

//! `verify A B`: whether what two people hold is one history, and a proof that anyone can check when it is not.
//!
//! Each side is a checkpoint, a receipt, a catch-up, a fork proof, a published folder, a medium, or a folder of such files. All that its log
//! key signed is put in a row by number; each head must be shown to continue the one before it. What cannot be shown is said to be missing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::core::bundle::{FileKind, RECOGNISE_BYTES, recognise};
use crate::core::fork::{Claim, ForkProof, Statement, note_within, proof_within};
use crate::core::ids::Head;
use crate::core::limits::NOTE_BYTES_MAX;
use crate::core::note::{CatchUp, InclusionProof, VerifierKey};
use crate::core::rules::{Checked, Fault, Rule};
use crate::media::scan::scan;

use super::files::{read, staging};
use super::folder::Folder;
use super::problem::{Outcomes, Problem};

/// Most statements of one side that are compared.
const STATEMENTS_MAX: usize = 100_000;

/// What one side brings.
#[derive(Default)]
struct Side {
    statements: Vec<Statement>,
    catch_ups: Vec<CatchUp>,
    folder: Option<(Folder, Head)>,
    /// Why something on it did not count, for the case that nothing did.
    refused: Option<Fault>,
}

/// What two sides are to each other.
pub enum Comparison {
    /// One history: the oldest and the newest head, and how many hashes proved it.
    Consistent {
        /// The heads that were compared, ascending, each once.
        heads: Vec<Head>,
        /// Hashes in the consistency proofs between them.
        hashes: usize,
    },
    /// Two histories under one key.
    Fork(Box<ForkProof>),
}

/// Compares what lies at two places, under the log key `key`, which came by another way than either.
///
/// # Errors
/// `not-comparable` with what is missing; `not-found`; `checkpoint-unsigned` and `checkpoint-form` when a side brings nothing under this key.
pub fn compare(a: &Path, b: &Path, key: &VerifierKey) -> Outcomes<Comparison> {
    let sides = [Side::load(a, key)?, Side::load(b, key)?];
    for (side, path) in sides.iter().zip([a, b]) {
        if side.statements.is_empty() {
            return Err(nothing_signed(side, path, key));
        }
    }
    if let Some(proof) = contradiction(&sides, key)? {
        return Ok(Comparison::Fork(Box::new(proof)));
    }
    let mut by_head: Vec<(Head, &Statement)> =
        sides.iter().flat_map(|side| side.statements.iter().map(|statement| (statement.head(), statement))).collect();
    by_head.sort();
    by_head.dedup_by_key(|(head, _)| *head);
    let mut hashes = 0;
    for pair in by_head.windows(2) {
        match link(&sides, pair[0], pair[1], key)? {
            Link::Proved(more) => hashes += more,
            Link::Fork(proof) => return Ok(Comparison::Fork(proof)),
        }
    }
    Ok(Comparison::Consistent { heads: by_head.into_iter().map(|(head, _)| head).collect(), hashes })
}

/// Checks a fork proof by itself.
///
/// # Errors
/// As [`ForkProof::parse`].
pub fn check_proof(bytes: &[u8], key: &VerifierKey) -> Checked<ForkProof> {
    let text = std::str::from_utf8(bytes).map_err(|_| Fault::new(Rule::CheckpointForm, "a fork proof that is not UTF-8"))?;
    ForkProof::parse(text, key)
}

/// Whether a file is a fork proof, by its first bytes.
pub fn is_fork_proof(bytes: &[u8]) -> bool {
    recognise(&bytes[..bytes.len().min(RECOGNISE_BYTES)]) == FileKind::Fork
}

fn nothing_signed(side: &Side, path: &Path, key: &VerifierKey) -> Problem {
    let because = side.refused.as_ref().map_or("no checkpoint, receipt or note is there".into(), |fault| fault.shown().to_owned());
    let fault = Fault::new(Rule::NotComparable, format!("{}: nothing that {key} has signed: {because}", path.display()));
    Problem::from(fault).advising("name two things of one witness, and its pin with --pin or its key with --vkey")
}

impl Side {
    fn load(path: &Path, key: &VerifierKey) -> Outcomes<Side> {
        let mut side = Side::default();
        if !path.is_dir() {
            side.take(&read(path)?, key);
            return Ok(side);
        }
        if let Ok(folder) = Folder::find(path) {
            let checkpoint = folder.checkpoint()?;
            side.take(&checkpoint, key);
            if let Some(head) = side.statements.first().map(Statement::head) {
                check_whole(&folder, &head)?;
                side.folder = Some((folder, head));
            }
        }
        if side.folder.is_none() || path.join("tabellion").is_dir() {
            side.take_medium(path, key)?;
        }
        Ok(side)
    }

    /// Every signed text below a folder.
    fn take_medium(&mut self, path: &Path, key: &VerifierKey) -> Outcomes<()> {
        let copies = staging()?;
        let scanned = scan(path, copies.path())?;
        for file in scanned.files.iter().chain(&scanned.gossip).filter(|file| file.kind().is_text()) {
            if let Ok(bytes) = file.bytes(NOTE_BYTES_MAX, Rule::CheckpointForm) {
                self.take(&bytes, key);
            }
            if self.statements.len() > STATEMENTS_MAX {
                let found = format!("more than {STATEMENTS_MAX} signed texts in {}; name fewer", path.display());
                return Err(Fault::new(Rule::NotComparable, found).into());
            }
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8], key: &VerifierKey) {
        if bytes.starts_with(b"tabellion-pin v1\n") {
            let found = "a pin, which carries no signature; the checkpoint that pin and advance keep beside it does";
            self.refused = Some(Fault::new(Rule::NotComparable, found));
            return;
        }
        let texts = if is_fork_proof(bytes) { ForkProof::statements_in(bytes) } else { vec![bytes.to_vec()] };
        for text in texts {
            let catch_up = CatchUp::parse(&text).ok();
            let signed = if catch_up.is_some() { note_within(&text) } else { proof_within(&text) };
            match Statement::read(signed, key) {
                Ok(statement) => {
                    self.statements.push(statement);
                    self.catch_ups.extend(catch_up);
                }
                Err(fault) => self.refused = Some(fault),
            }
        }
    }
}

/// A folder whose tiles do not lead to its own checkpoint proves nothing.
fn check_whole(folder: &Folder, head: &Head) -> Checked<()> {
    let found = folder.root_of(head.number, head)?;
    if found == head.root {
        return Ok(());
    }
    let place = folder.path().display();
    Err(Fault::new(
        Rule::ProofFails,
        format!("{place}: the tiles lead to root {found} of common@{}; its checkpoint says {head}", head.number),
    ))
}

/// Two statements that contradict each other as they stand, on one side or on both.
fn contradiction(sides: &[Side; 2], key: &VerifierKey) -> Checked<Option<ForkProof>> {
    let (mut heads, mut records, mut answers) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for statement in sides.iter().flat_map(|side| &side.statements) {
        let mut others = vec![*heads.entry(statement.head().number).or_insert(statement)];
        others.extend(statement.record().map(|(index, _)| *records.entry(index).or_insert(statement)));
        others.extend(statement.answer().map(|answer| *answers.entry(answer).or_insert(statement)));
        for other in others {
            if let Some(proof) = ForkProof::of(key, other, statement)? {
                return Ok(Some(proof));
            }
        }
    }
    Ok(None)
}

enum Link {
    /// Proved by so many hashes.
    Proved(usize),
    Fork(Box<ForkProof>),
}

/// Shows that the later of two heads continues the earlier, or that it does not.
fn link(sides: &[Side; 2], old: (Head, &Statement), new: (Head, &Statement), key: &VerifierKey) -> Outcomes<Link> {
    let catch_ups = sides.iter().flat_map(|side| &side.catch_ups);
    for catch_up in catch_ups.filter(|catch_up| catch_up.old == old.0.number) {
        if catch_up.verify(key, old.0).is_ok_and(|checkpoint| checkpoint.head == new.0) {
            return Ok(Link::Proved(catch_up.hashes.len()));
        }
    }
    if old.0.number == 0 {
        return Ok(Link::Proved(0));
    }
    let folders = || sides.iter().filter_map(|side| side.folder.as_ref());
    for (folder, head) in folders().filter(|(_, head)| head.number >= new.0.number) {
        if let Ok(hashes) = folder.check_consistent(&old.0, &new.0, head.number) {
            return Ok(Link::Proved(hashes));
        }
    }
    if let [Some(one), Some(other)] = sides.each_ref().map(|side| side.folder.as_ref())
        && let Some(proof) = by_records(one, other, key)
    {
        return Ok(Link::Fork(Box::new(proof)));
    }
    for (folder, head) in folders() {
        for (at, statement) in [old, new].into_iter().filter(|(at, _)| at.number <= head.number) {
            let signed = folder.checkpoint_at(at.number, head, key).and_then(|text| Statement::read(text.as_bytes(), key));
            if let Some(proof) = signed.ok().and_then(|signed| ForkProof::of(key, statement, &signed).ok().flatten()) {
                return Ok(Link::Fork(Box::new(proof)));
            }
        }
    }
    Err(not_enough(sides, &old.0, &new.0))
}

/// The first record in which two published folders differ, proved in both.
fn by_records(one: &(Folder, Head), other: &(Folder, Head), key: &VerifierKey) -> Option<ForkProof> {
    let index = one.0.first_difference(one.1.number, &other.0, other.1.number).ok().flatten()?;
    let proof =
        |(folder, head): &(Folder, Head)| folder.inclusion_proof(index, head).and_then(|text| Statement::read(text.as_bytes(), key)).ok();
    ForkProof::of(key, &proof(one)?, &proof(other)?).ok().flatten().filter(|proof| proof.claim() == Claim::Record)
}

fn not_enough(sides: &[Side; 2], old: &Head, new: &Head) -> Problem {
    let longest = sides.iter().filter_map(|side| side.folder.as_ref()).map(|(_, head)| head.number).max();
    let at_hand =
        longest.map_or("no published folder".into(), |number| format!("a published folder up to common@{number} that does not tell"));
    let found = format!("{old} and {new}, both signed, and {at_hand}; what leads from the one to the other expected");
    Problem::from(Fault::new(Rule::NotComparable, found)).advising(format!(
        "bring the published folder that has common@{}, or a catch-up from {} to {}, as one of the two",
        new.number, old.number, new.number
    ))
}

/// What a record statement proves, for people: the pid of its record.
pub fn paper_of(statement: &Statement) -> Option<crate::core::ids::Pid> {
    use crate::core::cbor::Canonical as _;
    let proof = InclusionProof::parse(statement.text().as_bytes()).ok()?;
    crate::core::record::Record::from_cbor(&proof.record).ok().map(|record| record.pid)
}

/// Where a proof is written when nobody says where.
pub fn default_path(proof: &ForkProof) -> PathBuf {
    PathBuf::from(format!("fork-{}.proof", proof.number()))
}

//! Proofs that travel alone, as one small file, and that anyone with a pin can check: what a name stood for at a number, that a paper became a
//! number, that one number continues another.
//!
//! Made from a folder that was verified against the pin. What is written was verified as a stranger would.

use std::path::Path;

use crate::core::ids::{Head, Name, Pid};
use crate::core::name_proof::NameProof;
use crate::core::note::{CatchUp, InclusionProof};
use crate::core::pin::Pin;
use crate::core::record::Record;
use crate::core::rules::{Checked, Fault, Rule};
use crate::core::tree::empty_root;

use super::advance::signed_at;
use super::consumer::{number_at, state_at};
use super::files;
use super::folder::{CheckedFolder, Folder};
use super::problem::{Outcomes, Problem};

/// Makes the proof of what `name` stands for at a number, the pin's unless told.
///
/// # Errors
/// Everything [`Folder::check`] refuses; `pin-behind` when the folder does not have the number.
pub fn of_name(dir: &Path, pin: &Pin, name: &Name, at: Option<u64>) -> Outcomes<NameProof> {
    let checked = Folder::find(dir)?.check(pin)?;
    let number = number_at(&checked, pin, at)?;
    let inclusion = inclusion_proof(&checked, pin, number, number)?;
    let proof = NameProof { state: state_at(&checked.common, number).prove(name), inclusion };
    proof.verify(&pin.vkey)?;
    Ok(proof)
}

/// Makes the receipt of an accepted paper again: the same bytes that its author got.
///
/// # Errors
/// Everything [`Folder::check`] refuses; `not-found` when no number of the folder was made by this paper.
pub fn of_paper(dir: &Path, pin: &Pin, pid: &Pid) -> Outcomes<InclusionProof> {
    let checked = Folder::find(dir)?.check(pin)?;
    let pages = checked.common.pages();
    let Some(page) = pages.iter().find(|page| page.record.pid == *pid) else {
        let found = format!("paper {pid} in none of common@1 to common@{}", checked.head.number);
        let next = "the answer to a paper that was refused or waits is a receipt of its author's: tabellion collect";
        return Err(Problem::from(Fault::new(Rule::NotFound, found)).advising(next));
    };
    let (session, number) = (page.record.session, page.record.number);
    let last = pages.partition_point(|page| page.record.session <= session) as u64;
    let proof = inclusion_proof(&checked, pin, number, last)?;
    proof.verify(&pin.vkey)?;
    Ok(proof)
}

fn inclusion_proof(checked: &CheckedFolder, pin: &Pin, number: u64, size: u64) -> Checked<InclusionProof> {
    let missing = || Fault::new(Rule::InternalFault, format!("no way from common@{number} to common@{size} found; one expected"));
    let hashes = checked.common.log().inclusion(number - 1, size).ok_or_else(missing)?;
    let record = checked.common.pages()[number as usize - 1].record.to_entry()?;
    let checkpoint = checked.folder.checkpoint_at(size, &checked.head, &pin.vkey)?;
    Ok(InclusionProof { record, index: number - 1, hashes, checkpoint })
}

/// Makes the catch-up from size `from` to a number, the newest unless told, from the tiles alone.
///
/// # Errors
/// As for moving a pin; `pin-behind` when `from` lies behind the number, or the number behind the folder's end.
pub fn of_catch_up(dir: &Path, pin: &Pin, from: u64, at: Option<u64>) -> Outcomes<CatchUp> {
    let folder = Folder::find(dir)?;
    let (newest, signed) = folder.newest(&pin.vkey)?;
    folder.check_consistent(&pin.head, &newest, newest.number)?;
    let number = at.unwrap_or(newest.number);
    if number == 0 || number > newest.number {
        return Err(Fault::new(
            Rule::PinBehind,
            format!("common@{number} asked for; the folder holds common@1 to common@{}", newest.number),
        )
        .into());
    }
    if from > number {
        return Err(
            Fault::new(Rule::PinBehind, format!("a catch-up from {from} to common@{number} asked for; one forward expected")).into()
        );
    }
    let (_, checkpoint) = signed_at(&folder, number, (&newest, signed), pin)?;
    let catch_up = CatchUp { old: from, hashes: folder.consistency(from, number, newest.number)?, checkpoint };
    let root = if from == 0 { empty_root() } else { folder.root_of(from, &newest)? };
    catch_up.verify(&pin.vkey, Head { number: from, root })?;
    Ok(catch_up)
}

/// Writes a proof where nothing is yet; the same once more changes nothing.
///
/// # Errors
/// `exists` when something else is there; `file-fault`.
pub fn write_new(path: &Path, text: &str) -> Outcomes<()> {
    if path.exists() && files::read(path)? != text.as_bytes() {
        let found = format!("{} is there and is not this proof", path.display());
        return Err(Fault::new(Rule::Exists, found).into());
    }
    Ok(files::write_bytes(path, text.as_bytes())?)
}

/// What a proof of a name says, verified.
pub struct NameProved {
    /// The proof.
    pub proof: NameProof,
    /// The number it is about, and its root.
    pub head: Head,
    /// The record of that number.
    pub record: Record,
}

/// Verifies the proof of a name under the pin's log key, and against the pin's root when it is of the pinned number.
///
/// # Errors
/// As [`NameProof::parse`] and [`NameProof::verify`]; `proof-fails` with both roots when pin and proof have the same number.
pub fn verify_name(bytes: &[u8], pin: &Pin) -> Checked<NameProved> {
    let proof = NameProof::parse(bytes)?;
    let (checkpoint, record) = proof.verify(&pin.vkey)?;
    let head = checkpoint.head;
    for known in [pin.head, Head { number: 1, root: pin.fingerprint }] {
        if known.number == head.number && known.root != head.root {
            let found =
                format!("root {} at common@{}; your pin says {}: the log key signed two histories", head.root, head.number, known.root);
            return Err(Fault::new(Rule::ProofFails, found));
        }
    }
    Ok(NameProved { proof, head, record })
}

/// Verifies a catch-up from the pin; gives the head it leads to.
///
/// # Errors
/// As [`CatchUp::parse`] and [`CatchUp::verify`]; `pin-behind` when it begins at another number than the pin's.
pub fn verify_catch_up(bytes: &[u8], pin: &Pin) -> Checked<Head> {
    let catch_up = CatchUp::parse(bytes)?;
    if catch_up.old != pin.head.number {
        return Err(Fault::new(
            Rule::PinBehind,
            format!("a catch-up from size {}; your pin is at common@{}", catch_up.old, pin.head.number),
        ));
    }
    Ok(catch_up.verify(&pin.vkey, pin.head)?.head)
}

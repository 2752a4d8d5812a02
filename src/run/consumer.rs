//! What a consumer does: pin, verify and look. Offline, trusting neither medium nor mirror nor clock.

use std::path::Path;

use crate::core::books::apply;
use crate::core::cbor::Canonical;
use crate::core::common::Common;
use crate::core::ids::{Hash, Head};
use crate::core::limits::NOTE_BYTES_MAX;
use crate::core::note::{InclusionProof, Note, VerdictNote};
use crate::core::pin::Pin;
use crate::core::record::Record;
use crate::core::rules::{Checked, Fault, Rule};
use crate::core::state::State;

use super::files::{self, write_bytes};
use super::folder::{CheckedFolder, Folder};
use super::heads::{self, Carried};
use super::problem::{Outcomes, Problem};

/// Reads a pin.
///
/// # Errors
/// `not-found`, `pin-form`.
pub fn read_pin(path: &Path) -> Checked<Pin> {
    let bytes = files::read(path)?;
    let text = String::from_utf8(bytes).map_err(|_| Fault::new(Rule::PinForm, format!("{}: not UTF-8", path.display())))?;
    Pin::parse(&text).map_err(|fault| fault.within(path.display()))
}

/// Pins a number, the newest unless told, of a folder whose charter has this fingerprint. The fingerprint must come by another way than the
/// folder.
///
/// # Errors
/// `fingerprint-mismatch`, everything [`Folder::check`] refuses, `pin-behind` when the folder lacks the number, `exists` when another pin lies
/// at `out`.
pub fn pin(dir: &Path, fingerprint: &Hash, at: Option<u64>, out: &Path) -> Outcomes<(Pin, CheckedFolder, Carried)> {
    let folder = Folder::find(dir)?;
    let charter = folder.found_by(fingerprint)?;
    let first = Head { number: 1, root: *fingerprint };
    let start = Pin { origin: charter.origin, head: first, vkey: charter.log, next: charter.next, fingerprint: *fingerprint };
    let checked = folder.check(&start)?;
    let number = number_at(&checked, &start, Some(at.unwrap_or(checked.head.number)))?;
    if number < checked.head.number {
        checked.folder.checkpoint_at(number, &checked.head, &start.vkey)?;
    }
    let root = checked.common.log().root_at(number).unwrap_or_default();
    let pin = Pin { head: Head { number, root }, ..start };
    if out.exists() {
        let old = read_pin(out)?;
        if old.text() != pin.text() {
            let found = format!("a pin of {} in {}; {} is what you would pin now", old.head, out.display(), pin.head);
            let problem = Problem::from(Fault::new(Rule::Exists, found)).advising("to move a pin forward run: tabellion advance");
            return Err(Problem { state: format!("{} unchanged", out.display()), ..problem });
        }
    }
    write_bytes(out, pin.text().as_bytes())?;
    let (_, newest) = checked.folder.newest(&pin.vkey)?;
    let is_continued = |head: &Head| checked.common.log().root_at(head.number) == Some(head.root);
    let carried = heads::verified(dir, out, &pin, &newest, &is_continued);
    Ok((pin, checked, carried))
}

/// Verifies a folder from a pin: every page, every tile, and the checkpoint of every number.
///
/// # Errors
/// Everything [`Folder::check`] refuses; `proof-fails` when the tiles lead elsewhere than the pages; `checkpoint-unsigned` when the checkpoint
/// of any number does not verify.
pub fn verify_folder(dir: &Path, pin: &Pin) -> Outcomes<CheckedFolder> {
    verify_folder_observed(dir, pin, &mut |_, _| {})
}

/// [`verify_folder`], which tells `observe` the number whose checkpoint comes next, and the last one.
///
/// # Errors
/// As [`verify_folder`].
pub fn verify_folder_observed(dir: &Path, pin: &Pin, observe: &mut dyn FnMut(u64, u64)) -> Outcomes<CheckedFolder> {
    let checked = Folder::find(dir)?.check(pin)?;
    for number in 1..=checked.head.number {
        observe(number, checked.head.number);
        let (found, expected) = (checked.folder.root_of(number, &checked.head)?, checked.common.log().root_at(number).unwrap_or_default());
        if found != expected {
            let found = format!("the tiles lead to root {found} of common@{number}; the entries to {expected}");
            return Err(Fault::new(Rule::ProofFails, found).into());
        }
        checked.folder.checkpoint_at(number, &checked.head, &pin.vkey)?;
    }
    Ok(checked)
}

/// The sessions that made pages, ascending.
pub fn sessions_of(common: &Common) -> Vec<u64> {
    let mut sessions: Vec<u64> = common.pages().iter().map(|page| page.record.session).collect();
    sessions.dedup();
    sessions
}

/// What a verdict note has in its first line.
const NOTE_MARK: &[u8] = b"/verdict v1\n";

/// What a receipt proves.
pub enum Receipt {
    /// The paper became this record; the second head is the checkpoint that proves it.
    Accepted(Box<Record>, Head),
    /// The paper was refused, or waits.
    Answered(VerdictNote),
}

/// Verifies a receipt under the pin's log key.
///
/// # Errors
/// `checkpoint-form`, `checkpoint-unsigned`, `proof-fails`, `record-form`.
pub fn verify_receipt(bytes: &[u8], pin: &Pin) -> Checked<Receipt> {
    if bytes.len() > NOTE_BYTES_MAX {
        return Err(Fault::new(Rule::CheckpointForm, format!("{} bytes found, {NOTE_BYTES_MAX} at most", bytes.len())));
    }
    if !bytes.starts_with(b"c2sp.org/tlog-proof@v1\n") {
        if !bytes.windows(NOTE_MARK.len()).any(|window| window == NOTE_MARK) {
            let begin = hex::encode(&bytes[..bytes.len().min(16)]);
            return Err(Fault::new(Rule::FileUnknown, format!("{} bytes that begin {begin:?}; a receipt or a pin expected", bytes.len())));
        }
        let note = Note::parse(bytes)?;
        note.verify(&pin.vkey)?;
        return VerdictNote::parse(note.text).map(Receipt::Answered);
    }
    let proof = InclusionProof::parse(bytes)?;
    let checkpoint = proof.verify(&pin.vkey)?;
    let record = Record::from_cbor(&proof.record).map_err(|fault| Fault::new(Rule::RecordForm, fault.found))?;
    if record.number != proof.index + 1 {
        return Err(Fault::new(Rule::ProofFails, format!("record of number {} found at index {}", record.number, proof.index)));
    }
    Ok(Receipt::Accepted(Box::new(record), checkpoint.head))
}

/// The number a reading command looks at: `--at`, or the pin's.
///
/// # Errors
/// `pin-behind` when the folder ends before it.
pub fn number_at(checked: &CheckedFolder, pin: &Pin, at: Option<u64>) -> Checked<u64> {
    let number = at.unwrap_or(pin.head.number);
    if number == 0 || number > checked.head.number {
        let found = format!("common@{number} asked for; the folder holds common@1 to common@{}", checked.head.number);
        return Err(Fault::new(Rule::PinBehind, found));
    }
    Ok(number)
}

/// Common's state at a number.
pub fn state_at(common: &Common, number: u64) -> State {
    let mut state = State::default();
    common.pages()[..number as usize].iter().filter_map(|page| page.proposal.as_ref()).for_each(|proposal| apply(&mut state, proposal));
    state
}

//! Moving a pin forward over any distance (SPEC 4.12): never back, never past a step that was not verified.
//!
//! The newest checkpoint must be signed by the pinned key, and a proof of consistency, made from a few tiles, must show that it continues the
//! pin. How many pages lie between does not matter for that: from common@5 to common@1000000 it is a proof of some 20 hashes.
//!
//! **Why no rotation of the log key can be passed unseen.** The checkpoint of a rotation bears two signature lines of the origin, every later one
//! is signed by the new key alone (SPEC 4.4). So the number a pin moves to must have a checkpoint with exactly one line of the origin, by the
//! pinned key; and its record, proved to be in the tree, must be of a kind that changes no key. What a thief of the old key signs after a rotation
//! is not found out here: `docs/threats.md`.
//!
//! Of the pages between, up to [`PAGES_MAX`] are read, checked against their records and listed. What needs the pages before the pin (state roots,
//! reuse of names and keys) is for `verify`, and what needs the refused papers for judging again.

use std::path::Path;

use crate::core::ids::Head;
use crate::core::note::Note;
use crate::core::page::Page;
use crate::core::pin::Pin;
use crate::core::rules::{Checked, Fault, Rule};
use crate::core::stretch::check_kind;

use super::consumer::read_pin;
use super::files::write_bytes;
use super::folder::{Folder, Reads};
use super::heads::{self, Carried};
use super::problem::{Outcomes, Unchanged};

/// Most pages behind a pin that are read and listed when it moves.
pub const PAGES_MAX: u64 = 1_000;

/// How far a pin moved.
pub struct Advance {
    /// Where it was.
    pub from: Head,
    /// Where it is.
    pub to: Head,
    /// The folder's newest.
    pub newest: Head,
    /// The pages in between, each checked; `None` when they are more than [`PAGES_MAX`].
    pub pages: Option<Vec<Page>>,
    /// Hashes in the proof of consistency from where it was to where it is.
    pub proof_hashes: usize,
    /// The signed checkpoint of where it is, verified.
    pub checkpoint: String,
    /// What was read of the folder.
    pub reads: Reads,
    /// What was left on the medium for its witness.
    pub carried: Carried,
}

/// Moves a pin forward, to the folder's newest number or to `to`.
///
/// # Errors
/// `pin-behind` when the folder or `to` lies before the pin, or `to` behind the folder's end; `checkpoint-unsigned`, `checkpoint-form`,
/// `proof-fails`, `record-form`, `folder-incomplete` when a step cannot be verified. The pin is unchanged then.
pub fn advance(dir: &Path, pin_path: &Path, to: Option<u64>) -> Outcomes<Advance> {
    let unchanged = || format!("{} unchanged", pin_path.display());
    let pin = read_pin(pin_path).unchanged(unchanged)?;
    let folder = Folder::find(dir).unchanged(unchanged)?;
    let (mut moved, newest) =
        steps(&folder, &pin, to).unchanged(unchanged).map_err(|problem| heads::refused(dir, pin_path, &pin, problem))?;
    if moved.to != moved.from {
        write_bytes(pin_path, Pin { head: moved.to, ..pin.clone() }.text().as_bytes()).unchanged(unchanged)?;
    }
    let is_continued = |head: &Head| folder.check_consistent(head, &moved.newest, moved.newest.number).is_ok();
    moved.carried = heads::verified(dir, pin_path, &pin, &newest, &is_continued);
    Ok(moved)
}

/// Every check, and nothing written; with the newest signed checkpoint.
fn steps(folder: &Folder, pin: &Pin, to: Option<u64>) -> Checked<(Advance, String)> {
    let (newest, signed) = folder.newest(&pin.vkey)?;
    let number = to.unwrap_or(newest.number);
    if number < pin.head.number && to.is_some() {
        return Err(Fault::new(Rule::PinBehind, format!("common@{number} asked for; the pin is at common@{}", pin.head.number)));
    }
    // First of all the folder must be a continuation of the pin: of another history nothing else is of interest.
    folder.check_consistent(&pin.head, &newest, newest.number)?;
    if number > newest.number {
        return Err(Fault::new(Rule::PinBehind, format!("common@{number} asked for; the folder ends at common@{}", newest.number)));
    }
    let (head, checkpoint) = signed_at(folder, number, (&newest, signed.clone()), pin)?;
    check_one_key(&checkpoint, pin, number)?;
    let proof_hashes = folder.check_consistent(&pin.head, &head, newest.number)?;
    let pages = match number - pin.head.number {
        0 => Some(Vec::new()),
        1..=PAGES_MAX => Some(folder.pages_since(pin, &head, newest.number)?),
        _ => {
            check_kind(&folder.record(number, &newest)?)?;
            None
        }
    };
    let reads = folder.reads();
    Ok((Advance { from: pin.head, to: head, newest, pages, proof_hashes, checkpoint, reads, carried: Carried::default() }, signed))
}

/// Head and signed checkpoint of a number: the newest as it stands there; of an earlier one its root from the tiles, signed by the pinned key,
/// and a beginning of the newest.
pub(super) fn signed_at(folder: &Folder, number: u64, newest: (&Head, String), pin: &Pin) -> Checked<(Head, String)> {
    let (newest, signed) = newest;
    if number == newest.number {
        return Ok((*newest, signed));
    }
    let checkpoint = folder.checkpoint_at(number, newest, &pin.vkey)?;
    let head = Head { number, root: folder.root_of(number, newest)? };
    folder.check_consistent(&head, newest, newest.number)?;
    Ok((head, checkpoint))
}

/// SPEC 4.12: exactly one signature line bears the origin as its name.
fn check_one_key(checkpoint: &str, pin: &Pin, number: u64) -> Checked<()> {
    let found = Note::parse(checkpoint.as_bytes())?.lines_of(&pin.origin);
    if found == 1 {
        return Ok(());
    }
    let found = format!(
        "{found} signature lines of {} under the checkpoint of common@{number}; 1 expected: with 2 the log key was replaced there, and this \
         tabellion cannot follow",
        pin.origin
    );
    Err(Fault::new(Rule::CheckpointForm, found))
}

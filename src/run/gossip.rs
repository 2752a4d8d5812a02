//! Promise 9: the sticks keep the notary honest. Our own signature under a text that this ledger never sealed proves that this disk is an old
//! or a cloned one, wherever on a medium it lies: in a checkpoint, a proof, a note, a catch-up, a fork proof or a receipts file.
//!
//! This module reads the copies that the scan made and weighs each text ([`crate::core::gossip`]). It writes nothing.

use std::collections::BTreeSet;
use std::io::Read as _;

use crate::core::books::Books;
use crate::core::bundle::FileKind;
use crate::core::fork::{ForkProof, note_within};
use crate::core::gossip::{Evidence, Scale, Standing, log_keys};
use crate::core::ids::{Hash, Pid};
use crate::core::limits::NOTE_BYTES_MAX;
use crate::core::rules::{Checked, Rule};
use crate::media::scan::{RawFile, RawReader};

use super::bag::Bag;

/// Most texts that are reported and do not halt.
const REPORTED_MAX: usize = 1_000;

/// A text of ours that this ledger does not know, and where it lay.
#[derive(Clone, Debug)]
pub struct Found {
    /// What it is.
    pub evidence: Evidence,
    /// Which of the media, from 0.
    pub medium: usize,
    /// Path on the medium, escaped.
    pub path: String,
    /// SHA-256 of the file it lay in.
    pub file: Hash,
}

/// A text of ours that is reported and does not halt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reported {
    /// An order settled it.
    Settled {
        /// Where it lies.
        path: String,
        /// SHA-256 of the text.
        text: Hash,
        /// The order.
        order: Pid,
    },
    /// It is under a key of ours that was not valid for its number.
    Misused {
        /// Where it lies.
        path: String,
        /// SHA-256 of the text.
        text: Hash,
        /// What it is.
        what: String,
    },
}

/// What all media of a visit say about us.
#[derive(Clone, Debug, Default)]
pub struct Gossip {
    /// Texts of ours that this ledger does not know, in the order in which they were found, each once.
    pub evidence: Vec<Found>,
    /// Texts that are reported.
    pub reported: Vec<Reported>,
}

/// Looks through a bag for our signature on what this ledger does not have. Every file of every medium is looked at, also after the first.
///
/// # Errors
/// `file-fault` when one of our own copies cannot be read.
pub fn listen(bag: &Bag, books: &Books) -> Checked<Gossip> {
    let mut listener = Listener { scale: Scale::new(books, log_keys(books)?), texts: BTreeSet::new(), gossip: Gossip::default() };
    for (medium, file) in bag.texts() {
        match file.kind() {
            FileKind::Receipts => listener.receipts(medium, file)?,
            kind if kind.is_text() => {
                let Ok(bytes) = file.bytes(NOTE_BYTES_MAX, Rule::CheckpointForm) else { continue };
                match kind {
                    FileKind::Fork => ForkProof::statements_in(&bytes).iter().try_for_each(|text| listener.text(medium, file, text))?,
                    _ => listener.text(medium, file, &bytes)?,
                }
            }
            _ => {}
        }
    }
    Ok(listener.gossip)
}

struct Listener<'a> {
    scale: Scale<'a>,
    texts: BTreeSet<Hash>,
    gossip: Gossip,
}

impl Listener<'_> {
    fn text(&mut self, medium: usize, file: &RawFile, bytes: &[u8]) -> Checked<()> {
        let standing = self.scale.weigh(note_within(bytes))?;
        let path = || file.path().to_owned();
        let reported = match standing {
            None | Some(Standing::Sealed) => return Ok(()),
            Some(Standing::Evidence(evidence)) => {
                if self.texts.insert(evidence.text) {
                    self.gossip.evidence.push(Found { evidence: *evidence, medium, path: path(), file: file.sha256() });
                }
                return Ok(());
            }
            Some(Standing::Settled(text, order)) => Reported::Settled { path: path(), text, order },
            Some(Standing::Misused(text, what)) => Reported::Misused { path: path(), text, what },
        };
        if self.gossip.reported.len() < REPORTED_MAX {
            self.gossip.reported.push(reported);
        }
        Ok(())
    }

    /// Items `[pid, bytes]` up to the first fault; what is no receipt is nobody's evidence. One item at a time is in memory.
    fn receipts(&mut self, medium: usize, file: &RawFile) -> Checked<()> {
        let mut reader = std::io::BufReader::new(file.open(0)?);
        while let Some(receipt) = next_receipt(&mut reader) {
            self.text(medium, file, &receipt)?;
        }
        Ok(())
    }
}

/// The bytes of the next item, `82 58 20 <pid> <bytes>`; `None` at the end, at another form, and above the bound.
fn next_receipt(reader: &mut std::io::BufReader<RawReader<'_>>) -> Option<Vec<u8>> {
    let mut head = [0; 36];
    reader.read_exact(&mut head).ok()?;
    let [0x82, 0x58, 0x20, .., first] = head else { return None };
    // The head of a byte string (RFC 8949 section 3): the length in the byte itself, or in the 1, 2 or 4 bytes after it.
    let width = match first {
        0x40..=0x57 => 0,
        0x58..=0x5a => 1 << (first - 0x58),
        _ => return None,
    };
    let mut length = [0; 4];
    reader.read_exact(&mut length[4 - width..]).ok()?;
    let length = if width == 0 { usize::from(first - 0x40) } else { u32::from_be_bytes(length) as usize };
    if length > NOTE_BYTES_MAX {
        return None;
    }
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

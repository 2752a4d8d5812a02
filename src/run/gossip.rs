//! Promise 9: the sticks keep the notary honest. Our own signature under a text that this ledger never sealed proves that this disk is an old
//! or a cloned one, wherever on a medium it lies: in a checkpoint, a proof, a note or a receipts file.

use crate::core::books::Books;
use crate::core::bundle::FileKind;
use crate::core::cbor::{Reader, item_len};
use crate::core::ids::{Hash, Head};
use crate::core::limits::NOTE_BYTES_MAX;
use crate::core::note::{Checkpoint, InclusionProof, Note, VerdictNote};
use crate::core::publish::note_text;
use crate::core::rules::{Checked, Fault, Rule};
use crate::media::scan::RawFile;

use super::bag::Bag;

/// Looks through a bag for our signature on what this ledger does not have.
///
/// # Errors
/// `head-elsewhere` with both values; the caller halts.
pub fn check(bag: &Bag, books: &Books) -> Checked<()> {
    for file in bag.files() {
        let most = if file.kind() == FileKind::Receipts { 256 * NOTE_BYTES_MAX } else { NOTE_BYTES_MAX };
        let is_ours = matches!(file.kind(), FileKind::Checkpoint | FileKind::Note | FileKind::Proof | FileKind::Receipts);
        let Some(bytes) = is_ours.then(|| file.bytes(most, Rule::CheckpointForm).ok()).flatten() else { continue };
        match file.kind() {
            FileKind::Receipts => check_receipts(file, &bytes, books)?,
            _ => check_text(file, &bytes, books)?,
        }
    }
    Ok(())
}

fn check_text(file: &RawFile, bytes: &[u8], books: &Books) -> Checked<()> {
    if let Ok(proof) = InclusionProof::parse(bytes) {
        return check_checkpoint(file, proof.checkpoint.as_bytes(), books);
    }
    check_checkpoint(file, bytes, books)?;
    check_note(file, bytes, books)
}

/// Items up to the first fault; what is no receipt is nobody's evidence.
fn check_receipts(file: &RawFile, bytes: &[u8], books: &Books) -> Checked<()> {
    let mut at = 0;
    while let Ok(Some(len)) = item_len(&bytes[at..]) {
        let mut r = Reader::new(&bytes[at..at + len]);
        let receipt = r.array_of(2).and_then(|()| r.hash()).and_then(|_| r.bytes());
        if let Ok(receipt) = receipt {
            check_text(file, receipt, books)?;
        }
        at += len;
    }
    Ok(())
}

fn check_checkpoint(file: &RawFile, bytes: &[u8], books: &Books) -> Checked<()> {
    let Ok(checkpoint) = Checkpoint::parse_signed(bytes, books.log_key()?) else { return Ok(()) };
    let ours = books.log().root_at(checkpoint.head.number);
    if ours == Some(checkpoint.head.root) { Ok(()) } else { Err(elsewhere(file, &checkpoint.head, ours, books)) }
}

fn check_note(file: &RawFile, bytes: &[u8], books: &Books) -> Checked<()> {
    let key = books.log_key()?;
    let Some(note) = Note::parse(bytes).ok().filter(|note| note.verify(key).is_ok()) else { return Ok(()) };
    let Ok(verdict) = VerdictNote::parse(note.text) else { return Ok(()) };
    let session = books.sessions().iter().find(|session| session.opened.session == verdict.session);
    let ruling = session.and_then(|session| Some((session, session.rulings.iter().find(|ruling| ruling.pid == verdict.pid)?)));
    let sealed = ruling.and_then(|(session, ruling)| note_text(books, session, ruling).ok());
    if sealed.as_deref() == Some(note.text) {
        return Ok(());
    }
    let root = books.log().root_at(verdict.head_before.number);
    let mut fault = elsewhere(file, &verdict.head_before, root, books);
    fault.found.push_str(&format!(
        "; the note answers paper {} in session {} otherwise than this ledger",
        verdict.pid.short(),
        verdict.session
    ));
    Err(fault)
}

fn elsewhere(file: &RawFile, theirs: &Head, ours: Option<Hash>, books: &Books) -> Fault {
    let ours = ours.map_or(format!("our head is {}", books.head()), |root| format!("our root of that number is {root}"));
    Fault::new(Rule::HeadElsewhere, format!("{} carries our signature on {theirs}; {ours}", file.path()))
}

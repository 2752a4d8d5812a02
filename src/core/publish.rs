//! What is published, as a function of the books: every path and byte of SPEC section 8 but the packs of objects.
//!
//! Nothing here signs. Signatures come from the `sealed` events, so that emitting again needs no key and gives the same bytes.

use std::collections::BTreeMap;

use super::books::Books;
use super::bundle::BundleHeader;
use super::cbor::{Canonical, Writer};
use super::ids::{Hash, Head, Pid};
use super::limits::TILE_WIDTH;
use super::note::{Checkpoint, InclusionProof, Note, VerdictNote, assemble};
use super::payload::Ruling;
use super::policy::Policy;
use super::policy_text;
use super::record::Record;
use super::rules::{Checked, Fault, Rule};
use super::session_file::Row;
use super::sessions::Session;
use super::tile::{TileRef, encode_bundle, entries_path, numbered_path, session_stem, tile_path, tiles_for};

/// A published file: path below the folder, and bytes.
pub type File = (String, Vec<u8>);

fn unsealed(what: impl std::fmt::Display) -> Fault {
    Fault::new(Rule::InternalFault, format!("{what} is to be published but is not sealed"))
}

/// The text that the log key signs for number N.
///
/// # Errors
/// `internal-fault` when the log is shorter.
pub fn checkpoint_text(books: &Books, number: u64) -> Checked<String> {
    let root = books.log().root_at(number).ok_or_else(|| unsealed(format_args!("common@{number}")))?;
    Ok(Checkpoint { origin: books.origin()?.clone(), head: Head { number, root } }.text())
}

/// The text that the log key signs for a refusal or notice.
///
/// # Errors
/// `internal-fault` for an accepted paper, whose receipt is a proof.
pub fn note_text(books: &Books, session: &Session, ruling: &Ruling) -> Checked<String> {
    let (Some(rule), Some(outcome)) = (ruling.verdict.rule(), ruling.verdict.outcome()) else {
        return Err(Fault::new(Rule::InternalFault, format!("paper {} is accepted and has no note", ruling.pid)));
    };
    let note = VerdictNote {
        origin: books.origin()?.clone(),
        pid: ruling.pid,
        outcome,
        rule,
        head_before: session.opened.before,
        session: session.opened.session,
        policy: session.opened.policy,
        detail: ruling.verdict.detail().to_owned(),
    };
    note.text()
}

/// The signed checkpoint of number N.
///
/// # Errors
/// `internal-fault` when it is not sealed; those of reading its session again.
pub fn checkpoint(books: &Books, number: u64) -> Checked<String> {
    let at = books.session_of(number);
    if at >= books.headings().len() {
        return Err(unsealed(format_args!("common@{number}")));
    }
    checkpoint_in(books, &*books.session(at)?, number)
}

/// As [`checkpoint`], of a session that is at hand.
fn checkpoint_in(books: &Books, session: &Session, number: u64) -> Checked<String> {
    let lines = session.checkpoint_lines(number).ok_or_else(|| unsealed(format_args!("common@{number}")))?;
    Ok(assemble(&checkpoint_text(books, number)?, lines))
}

/// The proof that record `number` is in the log of `size` records, with that size's checkpoint.
///
/// # Errors
/// As [`checkpoint`].
pub fn inclusion_proof(books: &Books, number: u64, size: u64) -> Checked<InclusionProof> {
    prove_inclusion(books, &books.record(number)?, size, checkpoint(books, size)?)
}

fn prove_inclusion(books: &Books, record: &Record, size: u64, checkpoint: String) -> Checked<InclusionProof> {
    let missing = || unsealed(format_args!("common@{} in common@{size}", record.number));
    let hashes = books.log().inclusion(record.number - 1, size).ok_or_else(missing)?;
    Ok(InclusionProof { record: record.to_entry()?, index: record.number - 1, hashes, checkpoint })
}

/// The receipt of one answer (SPEC 4.8).
///
/// # Errors
/// `internal-fault` when its session is not sealed.
pub fn receipt(books: &Books, session: &Session, ruling: &Ruling) -> Checked<Vec<u8>> {
    let (Some(closed), Some(sealed)) = (&session.closed, &session.sealed) else {
        return Err(unsealed(format_args!("session {}", session.opened.session)));
    };
    if let Some(record) = &ruling.record {
        let size = closed.after.number;
        return Ok(prove_inclusion(books, record, size, checkpoint_in(books, session, size)?)?.text().into_bytes());
    }
    let at = sealed.notes.binary_search_by_key(&ruling.pid, |(pid, _)| *pid);
    let at = at.map_err(|_| unsealed(format_args!("the note for paper {}", ruling.pid)))?;
    Ok(assemble(&note_text(books, session, ruling)?, &sealed.notes[at].1).into_bytes())
}

/// Verifies every signature over a session's results, as a stranger would, before any of them is emitted.
///
/// # Errors
/// `checkpoint-unsigned` with the key ids; `internal-fault` when the session is not sealed.
pub fn check_signatures(books: &Books, session: &Session) -> Checked<()> {
    let key = books.log_key()?;
    for ruling in &session.rulings {
        let signed = match &ruling.record {
            Some(record) => checkpoint_in(books, session, record.number)?.into_bytes(),
            None => receipt(books, session, ruling)?,
        };
        Note::parse(&signed)?.verify(key)?;
    }
    Ok(())
}

/// A receipts file (SPEC 8.1) of these papers' receipts, ascending by paper.
pub fn receipts_file(receipts: &BTreeMap<Pid, Vec<u8>>) -> Vec<u8> {
    let mut w = Writer::new();
    for (pid, bytes) in receipts {
        w.array(2).bytes(&pid.0).bytes(bytes);
    }
    w.finish()
}

/// The receipts of one session.
///
/// # Errors
/// As [`receipt`].
pub fn session_receipts(books: &Books, session: &Session) -> Checked<Vec<u8>> {
    let each = session.rulings.iter().map(|ruling| Ok((ruling.pid, receipt(books, session, ruling)?)));
    Ok(receipts_file(&each.collect::<Checked<_>>()?))
}

/// The published folder, but the packs of objects; the newest checkpoint is not in it, it is written last.
///
/// Each file is put together when its turn comes: all of them need not fit into memory. What is made of the same session comes together, so that
/// each session is read about once.
///
/// # Errors
/// `internal-fault` when the last session is not sealed; of each file, those of reading its sessions again.
pub fn folder(books: &Books) -> Checked<impl Iterator<Item = Checked<File>> + '_> {
    if let Some(heading) = books.unsealed() {
        return Err(unsealed(format_args!("session {}", heading.session)));
    }
    let mut parts: Vec<(u64, String, Part<'_>)> = parts(books).into_iter().map(|(path, part)| (part.first(books), path, part)).collect();
    parts.sort_by(|(number, path, _), (other, other_path, _)| (number, path).cmp(&(other, other_path)));
    Ok(parts.into_iter().map(|(_, path, part)| Ok((path, part.bytes(books)?))))
}

/// What a published file holds.
enum Part<'a> {
    Tile(TileRef),
    Entries(Hundred),
    Checkpoints(Hundred),
    Papers(Hundred),
    Session(usize),
    Charter,
    Proof(u64),
    Policy(&'a Policy),
    PolicyText(&'a Policy),
    Keys,
}

/// A stretch of numbers that lies in one file: the first, less one, and how many.
#[derive(Clone, Copy)]
struct Hundred {
    from: u64,
    width: u64,
}

fn parts(books: &Books) -> BTreeMap<String, Part<'_>> {
    let mut parts = BTreeMap::new();
    let heads: Vec<u64> = books.headings().iter().filter_map(|heading| heading.end).map(|end| end.after.number).collect();
    let size = books.head().number;
    let partial_tiles = heads.iter().flat_map(|head| tiles_for(*head).into_iter().filter(|tile| !is_full(size, tile)));
    for tile in tiles_for(size).into_iter().chain(partial_tiles.filter(|tile| u64::from(tile.width) < TILE_WIDTH)) {
        let width = u64::from(tile.width);
        if tile.level == 0 {
            let hundred = Hundred { from: tile.index * TILE_WIDTH, width };
            parts.insert(entries_path(tile.index, partial(width)), Part::Entries(hundred));
        }
        parts.insert(tile_path(tile.level, tile.index, partial(width)), Part::Tile(tile));
    }
    // `checkpoints/<N>` and `papers/<N>`: full ones, and the partial ones of sessions' heads whose full one is not out.
    let full = size / TILE_WIDTH;
    let partials = heads.iter().filter(|&&head| head / TILE_WIDTH == full && head % TILE_WIDTH != 0);
    for (index, width) in (0..full).map(|index| (index, TILE_WIDTH)).chain(partials.map(|head| (full, head % TILE_WIDTH))) {
        let hundred = Hundred { from: index * TILE_WIDTH, width };
        parts.insert(numbered_path("checkpoints", index, partial(width)), Part::Checkpoints(hundred));
        parts.insert(numbered_path("papers", index, partial(width)), Part::Papers(hundred));
    }
    for (at, heading) in books.headings().iter().enumerate() {
        parts.insert(format!("sessions/{}.papers", session_stem(heading.session)), Part::Session(at));
        if let Some(after) = heading.end.map(|end| end.after.number).filter(|after| *after > heading.before.number) {
            parts.insert(format!("common@{after}.tlog-proof"), Part::Proof(after));
        }
    }
    for (hash, policy) in books.policies() {
        parts.insert(format!("policies/{hash}.cbor"), Part::Policy(policy));
        parts.insert(format!("policies/{hash}.toml"), Part::PolicyText(policy));
    }
    parts.insert("charter.cose".into(), Part::Charter);
    parts.insert("vkeys".into(), Part::Keys);
    parts
}

impl Part<'_> {
    /// The number before the first that it is made of.
    fn first(&self, books: &Books) -> u64 {
        match self {
            Part::Tile(tile) => tile.index.saturating_mul(TILE_WIDTH.saturating_pow(u32::from(tile.level) + 1)),
            Part::Entries(hundred) | Part::Checkpoints(hundred) | Part::Papers(hundred) => hundred.from,
            Part::Session(at) => books.headings()[*at].before.number,
            Part::Proof(number) => number - 1,
            Part::Charter | Part::Policy(_) | Part::PolicyText(_) | Part::Keys => 0,
        }
    }

    fn bytes(&self, books: &Books) -> Checked<Vec<u8>> {
        match self {
            Part::Tile(tile) => {
                let missing = || unsealed(format_args!("tile {}", tile.path()));
                books.log().tile(tile.level, tile.index, tile.width).ok_or_else(missing)
            }
            Part::Entries(hundred) => {
                let entries = hundred.each(books, |_, _, record| record.to_entry())?;
                encode_bundle(entries.iter().map(Vec::as_slice))
            }
            Part::Checkpoints(hundred) => {
                let missing = |record: &Record| unsealed(format_args!("common@{}", record.number));
                let lines = |session: &Session, _: &Ruling, record: &Record| {
                    session.checkpoint_lines(record.number).map(str::to_owned).ok_or_else(|| missing(record))
                };
                let lines = hundred.each(books, lines)?;
                encode_bundle(lines.iter().map(|lines| lines.as_bytes()))
            }
            Part::Papers(hundred) => Ok(hundred.each(books, |_, ruling, _| Ok(ruling.envelope.to_cbor()))?.concat()),
            Part::Session(at) => {
                let (session, mut w) = (books.session(*at)?, Writer::new());
                session.rulings.iter().for_each(|ruling| Row::of(ruling).write(&mut w));
                Ok(w.finish())
            }
            Part::Charter => {
                let session = books.session(0)?;
                let charter = session.rulings.first().ok_or_else(|| unsealed("the charter"))?;
                Ok(charter.envelope.to_cbor())
            }
            Part::Proof(number) => Ok(inclusion_proof(books, *number, *number)?.text().into_bytes()),
            Part::Policy(policy) => Ok(policy.to_cbor()),
            Part::PolicyText(policy) => Ok(policy_text::print(policy).into_bytes()),
            Part::Keys => Ok(format!("1 {}\n", books.log_key()?).into_bytes()),
        }
    }
}

impl Hundred {
    /// What `take` makes of each number's session, answer and record, in their order.
    fn each<T>(self, books: &Books, take: impl Fn(&Session, &Ruling, &Record) -> Checked<T>) -> Checked<Vec<T>> {
        let (first, last) = (self.from + 1, self.from + self.width);
        let mut out = Vec::new();
        for at in books.session_of(first)..=books.session_of(last) {
            let session = books.session(at)?;
            for ruling in &session.rulings {
                if let Some(record) = ruling.record.as_ref().filter(|record| (first..=last).contains(&record.number)) {
                    out.push(take(&session, ruling, record)?);
                }
            }
        }
        if out.len() as u64 == self.width { Ok(out) } else { Err(unsealed(format_args!("numbers {first} to {last}"))) }
    }
}

/// Whether the tile is full in a tree of `size`.
fn is_full(size: u64, tile: &TileRef) -> bool {
    let hashes = size.checked_shr(8 * u32::from(tile.level)).unwrap_or(0);
    hashes >= (tile.index + 1) * TILE_WIDTH
}

fn partial(width: u64) -> Option<u16> {
    if width == TILE_WIDTH { None } else { Some(width as u16) }
}

/// Partial files of earlier heads that are not part of the folder any more: the full one is out.
pub fn obsolete(books: &Books) -> Vec<String> {
    let size = books.head().number;
    let mut out = Vec::new();
    for heading in books.headings() {
        let Some(head) = heading.end.map(|end| end.after.number) else { continue };
        for tile in tiles_for(head).into_iter().filter(|tile| u64::from(tile.width) < TILE_WIDTH && is_full(size, tile)) {
            out.push(tile_path(tile.level, tile.index, Some(tile.width)));
            if tile.level == 0 {
                out.push(entries_path(tile.index, Some(tile.width)));
                out.push(numbered_path("checkpoints", tile.index, Some(tile.width)));
                out.push(numbered_path("papers", tile.index, Some(tile.width)));
            }
        }
    }
    out.sort();
    out.dedup();
    out
}

/// The index of a session's pack: `sha256 ‖ u64be offset of the content` a row, ascending (SPEC 8.3).
pub fn pack_index(objects: &BTreeMap<Hash, u64>) -> Vec<u8> {
    let header = BundleHeader { papers: 0, objects: objects.len() as u64, object_bytes: objects.values().sum() };
    let mut offset = header.to_bytes().len() as u64;
    let mut out = Vec::new();
    for (hash, size) in objects {
        offset += head_len(*size);
        out.extend_from_slice(&hash.0);
        out.extend_from_slice(&offset.to_be_bytes());
        offset += size;
    }
    out
}

/// Length of the head of a byte string of `size` bytes.
pub fn head_len(size: u64) -> u64 {
    match size {
        0..=23 => 1,
        24..=0xff => 2,
        0x100..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

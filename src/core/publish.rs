//! What is published, as a function of the books: every path and byte of SPEC section 8 but the packs of objects.
//!
//! Nothing here signs. Signatures come from the `sealed` events, so that emitting again needs no key and gives the same bytes.

use std::collections::BTreeMap;

use super::books::{Books, Session};
use super::bundle::BundleHeader;
use super::cbor::{Canonical, Writer};
use super::ids::Pid;
use super::limits::TILE_WIDTH;
use super::note::{Checkpoint, InclusionProof, Note, VerdictNote, assemble};
use super::payload::Ruling;
use super::policy_text;
use super::rules::{Checked, Fault, Rule};
use super::session_file::Row;
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
    Ok(Checkpoint { origin: books.origin()?.clone(), head: super::ids::Head { number, root } }.text())
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

/// Signature lines of every checkpoint, N − 1 first.
fn checkpoint_lines(books: &Books) -> Vec<&str> {
    let sealed = books.sessions().iter().filter_map(|session| session.sealed.as_ref());
    sealed.flat_map(|sealed| sealed.checkpoints.iter().map(|(_, lines)| lines.as_str())).collect()
}

/// The signed checkpoint of number N.
///
/// # Errors
/// `internal-fault` when it is not sealed.
pub fn checkpoint(books: &Books, number: u64) -> Checked<String> {
    let is_before = |session: &Session| session.closed.as_ref().is_some_and(|closed| closed.after.number < number);
    let at = books.sessions().partition_point(is_before);
    let sealed = books.sessions().get(at).and_then(|session| session.sealed.as_ref());
    let found = sealed.and_then(|sealed| Some((sealed, sealed.checkpoints.binary_search_by_key(&number, |(n, _)| *n).ok()?)));
    let (sealed, at) = found.ok_or_else(|| unsealed(format_args!("common@{number}")))?;
    Ok(assemble(&checkpoint_text(books, number)?, &sealed.checkpoints[at].1))
}

/// The proof that record `number` is in the log of `size` records, with that size's checkpoint.
///
/// # Errors
/// As [`checkpoint`].
pub fn inclusion_proof(books: &Books, number: u64, size: u64) -> Checked<InclusionProof> {
    let hashes = books.log().inclusion(number - 1, size).ok_or_else(|| unsealed(format_args!("common@{number} in common@{size}")))?;
    let record = books.records()[number as usize - 1].to_entry()?;
    Ok(InclusionProof { record, index: number - 1, hashes, checkpoint: checkpoint(books, size)? })
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
        return Ok(inclusion_proof(books, record.number, closed.after.number)?.text().into_bytes());
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
            Some(record) => checkpoint(books, record.number)?.into_bytes(),
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
/// # Errors
/// `internal-fault` when the last session is not sealed.
pub fn folder(books: &Books) -> Checked<Vec<File>> {
    if let Some(session) = books.unsealed() {
        return Err(unsealed(format_args!("session {}", session.opened.session)));
    }
    let mut files = BTreeMap::new();
    let heads: Vec<u64> = books.sessions().iter().filter_map(|session| session.closed.as_ref()).map(|closed| closed.after.number).collect();
    let size = books.head().number;
    for tile in tiles_for(size) {
        put_tile(books, &mut files, &tile)?;
    }
    for &head in &heads {
        for tile in tiles_for(head).into_iter().filter(|tile| u64::from(tile.width) < TILE_WIDTH && !is_full(size, tile)) {
            put_tile(books, &mut files, &tile)?;
        }
    }
    put_hundreds(books, &mut files, &heads)?;
    for session in books.sessions() {
        put_session(books, &mut files, session)?;
    }
    for (hash, policy) in books.policies() {
        files.insert(format!("policies/{hash}.cbor"), policy.to_cbor());
        files.insert(format!("policies/{hash}.toml"), policy_text::print(policy).into_bytes());
    }
    files.insert("vkeys".into(), format!("1 {}\n", books.log_key()?).into_bytes());
    Ok(files.into_iter().collect())
}

/// Whether the tile is full in a tree of `size`.
fn is_full(size: u64, tile: &TileRef) -> bool {
    let hashes = size.checked_shr(8 * u32::from(tile.level)).unwrap_or(0);
    hashes >= (tile.index + 1) * TILE_WIDTH
}

fn partial(width: u64) -> Option<u16> {
    if width == TILE_WIDTH { None } else { Some(width as u16) }
}

fn put_tile(books: &Books, files: &mut BTreeMap<String, Vec<u8>>, tile: &TileRef) -> Checked<()> {
    let missing = || unsealed(format_args!("tile {}", tile.path()));
    let content = books.log().tile(tile.level, tile.index, tile.width).ok_or_else(missing)?;
    files.insert(tile_path(tile.level, tile.index, partial(u64::from(tile.width))), content);
    if tile.level == 0 {
        let from = (tile.index * TILE_WIDTH) as usize;
        let records = &books.records()[from..from + usize::from(tile.width)];
        let entries = records.iter().map(|record| record.to_entry()).collect::<Checked<Vec<_>>>()?;
        files.insert(entries_path(tile.index, partial(u64::from(tile.width))), encode_bundle(entries.iter().map(Vec::as_slice))?);
    }
    Ok(())
}

/// `checkpoints/<N>` and `papers/<N>`: full ones, and the partial ones of sessions' heads whose full one is not out.
fn put_hundreds(books: &Books, files: &mut BTreeMap<String, Vec<u8>>, heads: &[u64]) -> Checked<()> {
    let (lines, size) = (checkpoint_lines(books), books.head().number);
    let papers: Vec<Vec<u8>> = accepted_envelopes(books);
    let full = size / TILE_WIDTH;
    let partials = heads.iter().filter(|&&head| head / TILE_WIDTH == full && head % TILE_WIDTH != 0);
    let ranges = (0..full).map(|index| (index, TILE_WIDTH)).chain(partials.map(|head| (full, head % TILE_WIDTH)));
    for (index, width) in ranges {
        let from = (index * TILE_WIDTH) as usize;
        let to = from + width as usize;
        let items = lines[from..to].iter().map(|line| line.as_bytes());
        files.insert(numbered_path("checkpoints", index, partial(width)), encode_bundle(items)?);
        files.insert(numbered_path("papers", index, partial(width)), papers[from..to].concat());
    }
    Ok(())
}

fn accepted_envelopes(books: &Books) -> Vec<Vec<u8>> {
    let rulings = books.sessions().iter().flat_map(|session| &session.rulings);
    rulings.filter(|ruling| ruling.record.is_some()).map(|ruling| ruling.envelope.to_cbor()).collect()
}

fn put_session(books: &Books, files: &mut BTreeMap<String, Vec<u8>>, session: &Session) -> Checked<()> {
    let mut w = Writer::new();
    for ruling in &session.rulings {
        Row::of(ruling).write(&mut w);
    }
    files.insert(format!("sessions/{}.papers", session_stem(session.opened.session)), w.finish());
    if session.opened.session == 0 {
        let charter = session.rulings.first().ok_or_else(|| unsealed("the charter"))?;
        files.insert("charter.cose".into(), charter.envelope.to_cbor());
    }
    if let Some(number) = session.rulings.iter().filter_map(|ruling| ruling.record.as_ref()).map(|record| record.number).max() {
        let proof = inclusion_proof(books, number, number)?;
        files.insert(format!("common@{number}.tlog-proof"), proof.text().into_bytes());
    }
    Ok(())
}

/// Partial files of earlier heads that are not part of the folder any more: the full one is out.
pub fn obsolete(books: &Books) -> Vec<String> {
    let size = books.head().number;
    let mut out = Vec::new();
    for session in books.sessions() {
        let Some(head) = session.closed.as_ref().map(|closed| closed.after.number) else { continue };
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
pub fn pack_index(objects: &BTreeMap<super::ids::Hash, u64>) -> Vec<u8> {
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

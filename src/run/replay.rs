//! Replay: a published folder re-derived from its papers and compared with itself, file by file. Nothing but a pin or the charter's fingerprint
//! is trusted, and what the folder says of itself is never read back as an answer.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::core::books::Books;
use crate::core::cbor::Canonical;
use crate::core::ids::{Hash, Head, parse_decimal};
use crate::core::limits::{ENVELOPE_BYTES_MAX, NOTE_BYTES_MAX, SESSION_PAPERS_MAX, TILE_WIDTH};
use crate::core::pin::Pin;
use crate::core::publish;
use crate::core::record::Record;
use crate::core::replay::{Differences, Published, Replay, check_known};
use crate::core::rules::{Checked, Fault, Rule};
use crate::core::session_file::rows;
use crate::core::tile::{decode_bundle, numbered_path, session_stem};
use crate::core::tree::{Log, leaf_hash};

use super::folder::{Folder, damaged};
use super::problem::{Outcomes, Problem};

/// What a replay starts from.
pub enum Start<'a> {
    /// A pin.
    Pin(&'a Pin),
    /// The fingerprint of the charter, which came by another way than the folder.
    Fingerprint(Hash),
}

/// A folder re-derived.
pub struct Replayed {
    /// The folder.
    pub folder: Folder,
    /// The pin it was read from.
    pub pin: Pin,
    /// The newest head that its log key signed.
    pub head: Head,
    /// The books that follow from its papers.
    pub books: Books,
    /// What was published otherwise than it follows.
    pub differences: Differences,
    /// Checkpoints whose text follows and whose signature holds.
    pub checkpoints: u64,
    /// Files that are byte for byte what follows; none are compared when the sessions already differ.
    pub files: usize,
}

/// The log as published: entries under the signed head, and what belongs to them.
struct Pages {
    log: Log,
    sessions: BTreeMap<u64, Vec<(u64, Record)>>,
    lines: Vec<String>,
}

/// Re-derives the folder at `dir`, session by session; `progress` is told the session and the last one.
///
/// # Errors
/// `checkpoint-unsigned`, `proof-fails`, `fingerprint-mismatch`, `pin-behind` when signatures or proofs fail; `folder-incomplete` with the
/// session that cannot be re-derived; `record-form` when a newer tabellion is needed. What merely differs is in the answer.
pub fn replay(dir: &Path, start: &Start<'_>, progress: &mut dyn FnMut(u64, u64)) -> Outcomes<Replayed> {
    let folder = Folder::find(dir)?;
    let pin = match start {
        Start::Pin(pin) => (*pin).clone(),
        Start::Fingerprint(fingerprint) => {
            let charter = folder.found_by(fingerprint)?;
            let head = Head { number: 1, root: *fingerprint };
            Pin { origin: charter.origin, head, vkey: charter.log, next: charter.next, fingerprint: *fingerprint }
        }
    };
    let head = folder.head(&pin.vkey)?;
    let pages = Pages::read(&folder, &pin, &head)?;
    let in_folder = numbered_sessions(&folder)?.into_iter().max().unwrap_or(0);
    let last = pages.sessions.keys().next_back().copied().unwrap_or(0).max(in_folder);
    let mut replay = Replay::default();
    for session in 0..=last {
        progress(session, last);
        replay_session(&folder, &pages, session, &mut replay)?;
    }
    let (books, mut differences, checkpoints) = replay.finish()?;
    let mut files = 0;
    if differences.count() == 0 {
        files = compare_files(&folder, &books, &mut differences)?;
    }
    Ok(Replayed { folder, pin, head, books, differences, checkpoints, files })
}

fn replay_session(folder: &Folder, pages: &Pages, session: u64, replay: &mut Replay) -> Outcomes<()> {
    let path = format!("sessions/{}.papers", session_stem(session));
    let bytes = folder.read(&path, SESSION_PAPERS_MAX * ENVELOPE_BYTES_MAX as u64).map_err(|fault| {
        let state = match session {
            0 => "no session was re-derived".to_owned(),
            1 => "session 0, the founding, was re-derived; session 1 and what follows were not".to_owned(),
            _ => format!("the sessions before it, 0 to {}, were re-derived; session {session} and what follows were not", session - 1),
        };
        Problem { state, ..Problem::from(fault) }
    })?;
    let rows = rows(&bytes).map_err(|fault| damaged(folder.path().join(&path).display(), fault))?;
    let records = pages.sessions.get(&session).map_or(&[][..], Vec::as_slice);
    Ok(replay.session(&Published { session, rows: &rows, records, log: &pages.log, lines: &pages.lines })?)
}

impl Pages {
    /// The entries that the signed head commits to, from the pin on; their papers are read later, session by session.
    fn read(folder: &Folder, pin: &Pin, head: &Head) -> Checked<Pages> {
        folder.check_consistent(&pin.head, head, head.number)?;
        let mut pages = Pages { log: Log::default(), sessions: BTreeMap::new(), lines: Vec::new() };
        for index in 0..head.number.div_ceil(TILE_WIDTH) {
            for entry in folder.entries(index, head.number)? {
                let number = pages.log.push(leaf_hash(&entry)).number;
                let form = |fault: Fault| Fault::new(Rule::RecordForm, format!("common@{number}: {}", fault.found));
                let record = Record::from_cbor(&entry).map_err(form)?;
                check_known(&record)?;
                pages.sessions.entry(record.session).or_default().push((number, record));
            }
            let path = numbered_path("checkpoints", index, Folder::width(index, head.number));
            let bytes = folder.read(&path, TILE_WIDTH * NOTE_BYTES_MAX as u64)?;
            let lines = decode_bundle(&bytes).map_err(|fault| damaged(&path, fault))?;
            pages.lines.extend(lines.into_iter().map(|line| String::from_utf8_lossy(line).into_owned()));
        }
        let found = pages.log.head();
        if found != *head {
            return Err(Fault::new(Rule::ProofFails, format!("the entries lead to {found}; the checkpoint says {head}")));
        }
        let fingerprint = pages.log.root_at(1).unwrap_or_default();
        if fingerprint != pin.fingerprint {
            return Err(Fault::new(Rule::FingerprintMismatch, format!("{fingerprint} found; {} expected by the pin", pin.fingerprint)));
        }
        Ok(pages)
    }
}

/// Names in a folder below the published one; none when it is not there.
fn names_in(folder: &Folder, path: &str) -> Checked<Vec<String>> {
    let place = folder.path().join(path);
    let fault = |error: std::io::Error| Fault::new(Rule::FolderIncomplete, format!("{}: {error}", place.display()));
    let entries = match fs::read_dir(&place) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(error) => return Err(fault(error)),
    };
    let names = entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()).map_err(fault));
    let mut names = names.collect::<Checked<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// The sessions of which a file lies in the folder.
fn numbered_sessions(folder: &Folder) -> Checked<Vec<u64>> {
    let mut out = Vec::new();
    for group in names_in(folder, "sessions")? {
        for name in names_in(folder, &format!("sessions/{group}"))? {
            let digits = name.strip_suffix(".papers").map(|digits| digits.trim_start_matches('0'));
            let number = digits.and_then(|digits| parse_decimal(if digits.is_empty() { "0" } else { digits }));
            out.extend(number.filter(|number| format!("{}.papers", session_stem(*number)) == format!("{group}/{name}")));
        }
    }
    Ok(out)
}

/// Compares every file of the folder but the content with the one that follows from the books; answers how many are the same.
fn compare_files(folder: &Folder, books: &Books, differences: &mut Differences) -> Checked<usize> {
    let mut same = 0;
    let mut derived = publish::folder(books)?.collect::<Checked<BTreeMap<String, Vec<u8>>>>()?;
    // Whoever wants no content need not carry it; an index that is there is the right one.
    for (at, heading) in books.headings().iter().enumerate().filter(|(_, heading)| heading.packed > 0) {
        let path = format!("objects/{}.index", session_stem(heading.session));
        if folder.path().join(&path).exists() {
            derived.insert(path, publish::pack_index(&books.session(at)?.pack));
        }
    }
    for (path, bytes) in &derived {
        let shown = |bytes: &[u8]| format!("{} bytes, {}", bytes.len(), Hash::of(bytes).short());
        match folder.path().join(path).metadata() {
            // A partial file of an earlier head is of use to nobody but who stopped there.
            Err(_) if path.contains(".p/") => {}
            Err(_) => differences.compare(None, None, path, "no file", shown(bytes)),
            Ok(metadata) if metadata.len() != bytes.len() as u64 => {
                differences.compare(None, None, path, format_args!("{} bytes", metadata.len()), shown(bytes));
            }
            Ok(_) => {
                let found = folder.read(path, bytes.len() as u64)?;
                same += usize::from(found == *bytes);
                differences.compare(None, None, path, shown(&found), shown(bytes));
            }
        }
    }
    for extra in published_files(folder)?.iter().filter(|path| !derived.contains_key(*path)) {
        differences.compare(None, None, extra, "a file", "none");
    }
    Ok(same)
}

/// The files of kinds that say something of themselves.
fn published_files(folder: &Folder) -> Checked<Vec<String>> {
    let top = names_in(folder, "")?.into_iter().filter(|name| name.ends_with(".tlog-proof"));
    let policies = names_in(folder, "policies")?.into_iter().map(|name| format!("policies/{name}"));
    let rotations = names_in(folder, "rotation")?.into_iter().map(|name| format!("rotation/{name}"));
    let mut indexes = Vec::new();
    for group in names_in(folder, "objects")? {
        let names = names_in(folder, &format!("objects/{group}"))?.into_iter().filter(|name| name.ends_with(".index"));
        indexes.extend(names.map(|name| format!("objects/{group}/{name}")));
    }
    Ok(top.chain(policies).chain(rotations).chain(indexes).collect())
}

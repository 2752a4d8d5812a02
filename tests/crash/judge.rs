//! Looks at what a kill left, and at what the next run made of it. Answers violations as text, so that a control can expect them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use tabellion::core::books::Books;
use tabellion::core::cbor::Canonical as _;
use tabellion::core::cbor::{Reader, item_len};
use tabellion::core::event::{Event, EventType};
use tabellion::core::ids::{Hash, Head, Pid};
use tabellion::core::note::{Checkpoint, VerifierKey, assemble};
use tabellion::core::payload::Ruling;
use tabellion::core::pin::Pin;
use tabellion::core::proposal::Operation;
use tabellion::core::publish;
use tabellion::core::sessions::Session;
use tabellion::core::tile::decode_bundle;
use tabellion::ledger::Ledger;
use tabellion::run::consumer::{Receipt, verify_folder, verify_receipt};
use tabellion::run::desk::Desk;

use super::scene::{ORIGIN, known};

/// Files below a folder by their path; folders end in `/`. The trail of requests is left out: it has the time in it, and nothing that is signed
/// depends on it.
pub type Tree = BTreeMap<String, Vec<u8>>;

pub fn tree(root: &Path) -> Tree {
    let mut out = Tree::new();
    for entry in walkdir::WalkDir::new(root).min_depth(1) {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        if entry.file_name().to_str().is_some_and(|name| name.starts_with("audit.db")) {
            continue;
        }
        match entry.file_type().is_dir() {
            true => drop(out.insert(path + "/", Vec::new())),
            false => drop(out.insert(path, fs::read(entry.path()).unwrap())),
        }
    }
    out
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in walkdir::WalkDir::new(from).min_depth(1) {
        let entry = entry.unwrap();
        let place = to.join(entry.path().strip_prefix(from).unwrap());
        match entry.file_type().is_dir() {
            true => fs::create_dir_all(place).unwrap(),
            false => drop(fs::copy(entry.path(), place).unwrap()),
        }
    }
}

fn differences(what: &str, found: &Tree, expected: &Tree) -> Vec<String> {
    let paths: BTreeSet<&String> = found.keys().chain(expected.keys()).collect();
    let say = |path: &&String| match (found.get(*path), expected.get(*path)) {
        (Some(found), Some(expected)) if found == expected => None,
        (Some(_), Some(_)) => Some(format!("{what}: {path} differs")),
        (Some(_), None) => Some(format!("{what}: {path} is left over")),
        (None, _) => Some(format!("{what}: {path} is missing")),
    };
    paths.iter().filter_map(say).collect()
}

/// Everything ever seen on any stick, over all kills and runs of one scene.
#[derive(Default)]
pub struct Seen {
    pub roots: BTreeMap<u64, Hash>,
    pub finals: BTreeMap<Pid, Vec<u8>>,
    pub notices: BTreeMap<(Pid, u64), Vec<u8>>,
    /// How many signed texts were looked at.
    pub looked_at: usize,
}

/// The desk's books as the disk has them now, looked at in a copy; `None` while nothing is founded.
pub fn books_of(case: &Path) -> Result<Option<Books>, String> {
    let look = case.join("look");
    copy(&case.join("desk"), &look);
    let books = if !look.join("ledger.db").exists() || Ledger::open_read_only(&look).and_then(|ledger| ledger.latest()) == Ok(None) {
        Ok(None)
    } else {
        // The copy goes with this function: what is read of it is kept.
        let mut books = Books::default();
        let desk = Desk::open_to_look(&look).map_err(|problem| format!("start-up: {problem}"));
        desk.map(|desk| desk.ledger().for_each(1, |event| books.apply(&event)).unwrap()).map(|()| Some(books))
    };
    fs::remove_dir_all(look).unwrap();
    books
}

/// What lies on the stick after a kill or a run: nothing that the ledger has not committed *and* sealed, nothing torn, nothing that
/// contradicts what was ever seen. `before` is the stick before the first run.
pub fn inspect(case: &Path, before: &Tree, pin: Option<&Pin>, seen: &std::sync::Mutex<Seen>) -> Vec<String> {
    let stick = tree(&case.join("stick"));
    let books = match books_of(case) {
        Ok(books) => books,
        Err(violation) => return vec![violation],
    };
    let Some((books, pin)) = books.zip(pin) else { return differences("stick before anything is founded", &stick, before) };
    let mut out = Vec::new();
    for (path, bytes) in &stick {
        checkpoints_in(path, bytes, &books, &pin.vkey, seen, &mut out);
        if let Some(number) = path.strip_prefix("tabellion/common/checkpoints/").and_then(first_number) {
            lines_in(path, number, bytes, &books, &pin.vkey, seen, &mut out);
        }
        if path.ends_with(".receipts") {
            receipts_in(path, bytes, &books, pin, seen, &mut out);
        }
    }
    // Durable before visible: while a session is not sealed, not one byte of the stick has changed.
    if books.unsealed().is_some() {
        out.extend(differences("stick before the session is sealed", &stick, before));
    } else {
        out.extend(published_only(&stick, &books));
    }
    out.extend(folder_at_rest(case, &stick, &books, pin, known(case).number));
    out
}

/// Every signed checkpoint in a file, wherever it stands in it: in a proof, in a receipt, alone.
fn checkpoints_in(path: &str, bytes: &[u8], books: &Books, key: &VerifierKey, seen: &std::sync::Mutex<Seen>, out: &mut Vec<String>) {
    let first = format!("{ORIGIN}\n");
    let torn = path.ends_with(".part");
    for at in (0..bytes.len()).filter(|at| bytes[*at..].starts_with(first.as_bytes())) {
        let Some(note) = note_at(&bytes[at..]) else {
            if !torn {
                out.push(format!("{path}: a checkpoint breaks off at byte {at}"));
            }
            continue;
        };
        match Checkpoint::parse_signed(note, key) {
            Ok(checkpoint) => enter(path, checkpoint.head.number, checkpoint.head.root, note, books, seen, out),
            Err(_) if torn => {}
            Err(fault) => out.push(format!("{path}: {fault}")),
        }
    }
}

/// The first number of `<N>[.p/<W>]`, for the few numbers these scenes have; none for what is torn.
fn first_number(path: &str) -> Option<u64> {
    let index: u64 = path.split(".p/").next()?.parse().ok()?;
    (!path.ends_with(".part")).then_some(index * 256 + 1)
}

/// Signature lines that stand without their text: they must be lines over *our* root of that number.
fn lines_in(path: &str, first: u64, bytes: &[u8], books: &Books, key: &VerifierKey, seen: &std::sync::Mutex<Seen>, out: &mut Vec<String>) {
    let Ok(lines) = decode_bundle(bytes) else {
        out.push(format!("{path}: not whole"));
        return;
    };
    for (line, number) in lines.into_iter().zip(first..) {
        let Some(root) = books.log().root_at(number) else {
            out.push(format!("{path}: a signature over common@{number}, which the ledger does not have"));
            continue;
        };
        let head = Head { number, root };
        let note = assemble(&Checkpoint { origin: key.name().clone(), head }.text(), &String::from_utf8_lossy(line));
        match Checkpoint::parse_signed(note.as_bytes(), key) {
            Ok(_) => enter(path, number, root, note.as_bytes(), books, seen, out),
            Err(fault) => out.push(format!("{path}: signature over another common@{number}: {fault}")),
        }
    }
}

/// The note that `bytes` begin with: up to its last signature line.
fn note_at(bytes: &[u8]) -> Option<&[u8]> {
    let empty = bytes.windows(2).position(|two| two == b"\n\n")?;
    let mut end = empty + 2;
    while bytes[end..].starts_with("\u{2014} ".as_bytes()) {
        end += bytes[end..].iter().position(|byte| *byte == b'\n')? + 1;
    }
    (end > empty + 2).then_some(&bytes[..end])
}

fn enter(path: &str, number: u64, root: Hash, note: &[u8], books: &Books, seen: &std::sync::Mutex<Seen>, out: &mut Vec<String>) {
    let mut seen = seen.lock().unwrap();
    seen.looked_at += 1;
    let first = *seen.roots.entry(number).or_insert(root);
    if first != root {
        out.push(format!("{path}: two roots of common@{number}: {first} and {root}"));
    }
    match publish::checkpoint(books, number) {
        Ok(sealed) if sealed.as_bytes() == note => {}
        Ok(_) => out.push(format!("{path}: signed common@{number} is not the one the ledger has sealed")),
        Err(_) => out.push(format!("{path}: signed common@{number} is visible, the ledger has not sealed it")),
    }
}

pub fn receipts_of(bytes: &[u8]) -> Option<Vec<(Pid, Vec<u8>)>> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let len = item_len(&bytes[at..]).ok()??;
        let mut r = Reader::new(&bytes[at..at + len]);
        r.array_of(2).ok()?;
        out.push((r.hash().ok()?, r.bytes().ok()?.to_vec()));
        at += len;
    }
    Some(out)
}

fn receipts_in(path: &str, bytes: &[u8], books: &Books, pin: &Pin, seen: &std::sync::Mutex<Seen>, out: &mut Vec<String>) {
    let Some(receipts) = receipts_of(bytes) else {
        out.push(format!("{path}: not whole"));
        return;
    };
    let mut seen = seen.lock().unwrap();
    for (pid, bytes) in receipts {
        seen.looked_at += 1;
        let (first, session) = match verify_receipt(&bytes, pin) {
            Err(fault) => {
                out.push(format!("{path}: receipt of {pid}: {fault}"));
                continue;
            }
            Ok(Receipt::Answered(note)) if note.outcome != tabellion::core::rules::Outcome::Refused => {
                (seen.notices.entry((pid, note.session)).or_insert_with(|| bytes.clone()), note.session)
            }
            Ok(Receipt::Answered(note)) => (seen.finals.entry(pid).or_insert_with(|| bytes.clone()), note.session),
            Ok(Receipt::Accepted(record, _)) => (seen.finals.entry(pid).or_insert_with(|| bytes.clone()), record.session),
        };
        if *first != bytes {
            out.push(format!("{path}: two receipts of {pid}"));
        }
        let at = books.headings().iter().position(|heading| heading.session == session);
        let session = at.map(|at| books.session(at).unwrap());
        let ruling = |session: &Session| session.rulings.iter().find(|ruling| ruling.pid == pid).cloned();
        let ours = session.and_then(|session| publish::receipt(books, &session, &ruling(&session)?).ok());
        if ours.as_ref() != Some(&bytes) {
            out.push(format!("{path}: the receipt of {pid} does not follow from the sealed ledger"));
        }
    }
}

/// Every whole file of the published folder is, byte for byte, one that follows from the sealed ledger.
fn published_only(stick: &Tree, books: &Books) -> Vec<String> {
    let ours: BTreeMap<String, Vec<u8>> = publish::folder(books).unwrap().collect::<Result<_, _>>().unwrap();
    let obsolete = publish::obsolete(books);
    let mut out = Vec::new();
    for (path, bytes) in stick {
        let Some(path) = path.strip_prefix("tabellion/common/") else { continue };
        let known_otherwise = path.is_empty() || path.ends_with('/') || path.ends_with(".part") || path == "checkpoint";
        if known_otherwise || path.starts_with("objects/") || obsolete.iter().any(|old| old == path) {
            continue;
        }
        if ours.get(path) != Some(bytes) {
            out.push(format!("{path} does not follow from the sealed ledger"));
        }
    }
    out
}

/// The checkpoint on the stick is the old or the new one, and everything it needs is there: pages, proofs, every checkpoint, content.
fn folder_at_rest(case: &Path, stick: &Tree, books: &Books, pin: &Pin, old: u64) -> Vec<String> {
    if !stick.contains_key("tabellion/common/checkpoint") {
        return Vec::new();
    }
    let checked = match verify_folder(&case.join("stick"), pin) {
        Ok(checked) => checked,
        Err(problem) => return vec![format!("folder on the stick: {problem}")],
    };
    let mut out = Vec::new();
    if ![old, books.head().number].contains(&checked.head.number) {
        out.push(format!("the checkpoint on the stick is {}, neither the old nor the new one", checked.head));
    }
    let sessions: Vec<u64> = books.headings().iter().map(|heading| heading.session).collect();
    let packs = match checked.folder.packs(sessions.iter().copied()) {
        Ok(packs) => packs,
        Err(fault) => return vec![format!("packs on the stick: {fault}")],
    };
    for page in checked.common.pages() {
        for operation in page.proposal.iter().flat_map(|proposal| &proposal.operations) {
            let Operation::Put { name, entry, .. } = operation else { continue };
            let mut content = Vec::new();
            let found = packs.find(&entry.sha256);
            let whole = found.is_some_and(|at| at.copy_to(&entry.sha256, &mut content).is_ok()) && Hash::of(&content) == entry.sha256;
            if books.is_packed(&entry.sha256) && !whole {
                out.push(format!("content of {name} is not with {}", checked.head));
            }
        }
    }
    out
}

/// Every event, after the start-up checks. Without the lock: a child that is just being forked by the other thread may hold a copy of it.
fn events(desk: &Path) -> Vec<Event> {
    drop(Desk::open_to_look(desk).unwrap());
    let mut all = Vec::new();
    let ledger = Ledger::open_read_only(desk).unwrap();
    let read = ledger.for_each(1, |event| {
        all.push(event);
        Ok(())
    });
    read.unwrap();
    all
}

/// All that a run made.
pub struct Made {
    stick: Tree,
    /// The desk's own files, but the database, which has the same events in pages of its own.
    desk: Tree,
    events: Vec<Event>,
}

impl Made {
    pub fn has_events_of(&self, other: &Made) -> bool {
        self.events == other.events
    }

    pub fn of(case: &Path) -> Made {
        let events = events(&case.join("desk"));
        let mut desk = tree(&case.join("desk"));
        desk.retain(|path, _| !path.starts_with("ledger.db") || path.starts_with("ledger.db.new"));
        Made { stick: tree(&case.join("stick")), desk, events }
    }
}

/// What the run after a kill made, against an undisturbed run from the same copy.
///
/// Everything is the same byte for byte, the ledger's events too: nothing is on the stick before the commit, so a run that repeats an
/// uncommitted session sees the same media and closes with the same inventory; after the commit the closing event stands. The one thing that
/// may differ is `again.receipts`: when the kill came after the commit, the papers of the session come *again* with the repeated run. Then
/// each receipt in it must be the one, byte for byte, that the session's own file has, or the one the undisturbed run gave again.
pub fn compare(case: &Path, reference: &Made) -> Vec<String> {
    let again = "tabellion/results/again.receipts";
    let made = Made::of(case);
    let (mut stick, mut expected) = (made.stick, reference.stick.clone());
    let (found, known) = (stick.remove(again).unwrap_or_default(), expected.remove(again).unwrap_or_default());
    let mut out = differences("stick", &stick, &expected);
    let mut first: BTreeSet<(Pid, Vec<u8>)> = receipts_of(&known).into_iter().flatten().collect();
    let of_sessions = expected.iter().filter(|(path, _)| path.ends_with(".receipts"));
    first.extend(of_sessions.flat_map(|(_, bytes)| receipts_of(bytes).unwrap()));
    match receipts_of(&found) {
        None => out.push("again.receipts is not whole".into()),
        Some(receipts) => {
            out.extend(
                receipts.iter().filter(|receipt| !first.contains(*receipt)).map(|(pid, _)| format!("again: another receipt of {pid}")),
            );
            let given: BTreeSet<Pid> = receipts.iter().map(|(pid, _)| *pid).collect();
            let due = receipts_of(&known).unwrap();
            out.extend(due.iter().filter(|(pid, _)| !given.contains(pid)).map(|(pid, _)| format!("again: no receipt of {pid}")));
        }
    }
    let (found, expected) = (&made.events, &reference.events);
    if found != expected {
        let at = found.iter().zip(expected).position(|(a, b)| a != b).unwrap_or(found.len().min(expected.len()));
        out.push(format!("event {} differs; {} events found, {} expected", at + 1, found.len(), expected.len()));
    }
    let mut verdicts = BTreeMap::new();
    for event in found.iter().filter(|event| event.event_type == EventType::Verdict) {
        *verdicts.entry(Ruling::from_cbor(&event.payload).unwrap().pid).or_insert(0) += 1;
    }
    out.extend(verdicts.iter().filter(|(_, count)| **count != 1).map(|(pid, count)| format!("{count} verdicts on {pid}")));
    out.extend(differences("desk", &made.desk, &reference.desk));
    out
}

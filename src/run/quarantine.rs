//! Quarantine: the events of a branch that goes, kept as a file beside the ledger, with a text for people (SPEC 7.10).
//!
//! Written whole or not at all, and verified by reading it back before it has its name. Nothing here decides which branch goes.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::broker::Broker;
use crate::core::cbor::{Canonical as _, item_len};
use crate::core::event::Event;
use crate::core::ids::Hash;
use crate::core::quarantine::{Header, Verifier};
use crate::core::rules::{Checked, Fault, Rule};
use crate::media::publish::Observe;

use super::branches::{Branch, Branches, Which, fingerprint};
use super::files::{file_fault, make_folder, sync_folder, write_bytes};
use super::problem::Outcomes;

/// Folder in the desk's folder.
pub const QUARANTINE: &str = "quarantine";
/// Ending of a file of events.
const ENDING: &str = "events";
/// Bytes read at a time.
const CHUNK_BYTES: usize = 131_072;
/// Largest item that is read, in bytes: the largest value that a ledger of others may hold, and the rest of its event.
const ITEM_BYTES_MAX: usize = 268_500_000;

/// What was put into quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// SHA-256 of the file: its name, and key 3 of a `recover` event.
    pub sha256: Hash,
    /// Where it lies.
    pub path: PathBuf,
    /// The text for people beside it.
    pub text: PathBuf,
    /// How many events it holds.
    pub events: u64,
}

impl Branches {
    /// Puts the events of the branch that goes into the quarantine of the desk in `dir`; `None` when that branch has none. Running it again
    /// writes the same file again.
    ///
    /// `ours` is our ledger, as it was compared. Tells `observe` of `write quarantine`, `rename quarantine` and `write quarantine text` before each.
    ///
    /// # Errors
    /// `file-fault`; `chain-broken` when what was written does not verify by itself. Nothing but that folder is touched.
    pub fn quarantine(&self, ours: &Broker, dir: &Path, goes: Which, observe: &mut Observe<'_>) -> Outcomes<Option<Quarantined>> {
        let branch = self.comparison().branch(goes);
        let ledger = if goes == Which::Ours { ours } else { self.other() };
        if branch.events == 0 {
            return Ok(None);
        }
        let common = self.comparison().last_common.as_ref();
        let books = self.books(goes);
        let header = Header {
            origin: books.origin()?.clone(),
            fingerprint: fingerprint(books)?,
            common_seq_no: common.map_or(0, |place| place.seq_no),
            common_hash: common.map_or([0; 32], |place| place.event_hash),
            events: branch.events,
            ledger_keys: vec![books.charter()?.ledger_public],
        };
        let folder = dir.join(QUARANTINE);
        observe("write quarantine", QUARANTINE);
        let (temporary, sha256) = write_events(&folder, &header, ledger)?;
        verify(temporary.path(), None)?;
        let path = folder.join(format!("{sha256}.{ENDING}"));
        observe("rename quarantine", &path.display().to_string());
        temporary.persist(&path).map_err(|error| file_fault(&path, &error.error))?;
        sync_folder(&folder)?;
        let text = folder.join(format!("{sha256}.txt"));
        observe("write quarantine text", &text.display().to_string());
        write_bytes(&text, self.told(goes, &header, &sha256).as_bytes())?;
        Ok(Some(Quarantined { sha256, path, text, events: branch.events }))
    }

    fn told(&self, goes: Which, header: &Header, sha256: &Hash) -> String {
        let branch: &Branch = self.comparison().branch(goes);
        let number = |made: Option<&super::branches::Made>| made.map_or("none".to_owned(), |made| format!("common@{}", made.head.number));
        let mut out = format!(
            "Tabellion: events that are not this desk's history any more

Two ledgers of one founding were written to. This branch goes; it is kept because the ledger key signed it. It is in the file
{sha256}.{ENDING}, whose name is its SHA-256, and can be verified by itself (SPEC 7.10).

origin       {}
fingerprint  {}
behind event {} {}
events       {}, to {}
sessions     {}
numbers      {} to {}
",
            header.origin,
            header.fingerprint,
            header.common_seq_no,
            hex::encode(header.common_hash),
            branch.events,
            header.common_seq_no + branch.events,
            branch.sessions.iter().map(u64::to_string).collect::<Vec<_>>().join(" "),
            number(branch.records.first()),
            number(branch.records.last()),
        );
        out.push_str("\nNumbers made there; a sealed one is signed and may have left the machine. It is never given to another page.\n\n");
        for made in &branch.records {
            let sealed = if made.sealed { "sealed" } else { "not sealed" };
            out.push_str(&format!("  common@{} {} by paper {}, {sealed}\n", made.head.number, made.head.root, made.pid));
        }
        out.push_str("\nPapers that got their final answer there. They can be brought again and are judged anew.\n\n");
        for (pid, answer) in &branch.decided {
            out.push_str(&format!("  {pid} {answer}\n"));
        }
        out.push_str("\nTexts that were signed there and not in the branch that stays, by SHA-256: those a resume order settles.\n\n");
        for text in self.to_settle(goes) {
            out.push_str(&format!("  sha256:{} {}\n", text.sha256, text.what));
        }
        out
    }
}

/// Writes header and events to a temporary file in the folder, synced.
fn write_events(folder: &Path, header: &Header, ledger: &Broker) -> Checked<(tempfile::NamedTempFile, Hash)> {
    make_folder(folder)?;
    let mut temporary = tempfile::NamedTempFile::new_in(folder).map_err(|error| file_fault(folder, &error))?;
    let path = temporary.path().to_owned();
    let mut hasher = Sha256::new();
    let mut put = |bytes: Vec<u8>, file: &mut File| {
        hasher.update(&bytes);
        file.write_all(&bytes).map_err(|error| file_fault(&path, &error))
    };
    put(header.to_cbor(), temporary.as_file_mut())?;
    ledger.for_each(header.common_seq_no + 1, |event| put(event.to_cbor(), temporary.as_file_mut()))?;
    temporary.as_file().sync_all().map_err(|error| file_fault(folder, &error))?;
    Ok((temporary, Hash(hasher.finalize().into())))
}

/// Verifies a file of quarantine: its name when it is `expected`, its form, and every link and signature. Answers with its header.
///
/// # Errors
/// `not-found`, `file-fault`; `ledger-fault` for another SHA-256 or form; `chain-broken` naming the event.
pub fn verify(path: &Path, expected: Option<&Hash>) -> Checked<Header> {
    read(path, expected, &mut |_| Ok(()))
}

/// [`verify`], which hands each event over once it is verified.
///
/// # Errors
/// As [`verify`], and whatever `take` answers. What was handed over before an error is not to be used: the end was not seen.
pub fn read(path: &Path, expected: Option<&Hash>, take: &mut dyn FnMut(Event) -> Checked<()>) -> Checked<Header> {
    let form = |fault: Fault| match fault.rule {
        Rule::ChainBroken | Rule::FileFault | Rule::NotFound => fault,
        _ => Fault { rule: Rule::LedgerFault, ..fault }.within(path.display()),
    };
    let mut items = Items::open(path)?;
    let header = items.next()?.ok_or_else(|| Fault::new(Rule::LedgerFault, "an empty file found; a header expected")).map_err(form)?;
    let header = Header::from_cbor(&header).map_err(form)?;
    let mut verifier = Verifier::new(&header);
    while let Some(item) = items.next().map_err(form)? {
        let event = Event::from_cbor(&item).map_err(form)?;
        verifier.take(&event).map_err(|fault| fault.within(path.display()))?;
        take(event)?;
    }
    verifier.end().map_err(|fault| fault.within(path.display()))?;
    let found = Hash(items.hasher.finalize().into());
    if expected.is_some_and(|expected| *expected != found) {
        let expected = expected.map_or(String::new(), Hash::hex);
        return Err(Fault::new(Rule::LedgerFault, format!("{}: sha256 {found} found; {expected} expected", path.display())));
    }
    Ok(header)
}

/// The items of a CBOR sequence, one in memory at a time.
struct Items {
    file: File,
    path: PathBuf,
    buffer: Vec<u8>,
    at: usize,
    hasher: Sha256,
}

impl Items {
    fn open(path: &Path) -> Checked<Items> {
        let metadata = fs::symlink_metadata(path).map_err(|error| file_fault(path, &error))?;
        if !metadata.is_file() {
            return Err(Fault::new(
                Rule::FileFault,
                format!("{}: {:?} found; a plain file expected", path.display(), metadata.file_type()),
            ));
        }
        let file = File::open(path).map_err(|error| file_fault(path, &error))?;
        Ok(Items { file, path: path.to_owned(), buffer: Vec::new(), at: 0, hasher: Sha256::new() })
    }

    fn next(&mut self) -> Checked<Option<Vec<u8>>> {
        let mut more = CHUNK_BYTES;
        loop {
            let rest = &self.buffer[self.at..];
            if let Some(len) = item_len(rest)? {
                self.at += len;
                return Ok(Some(self.buffer[self.at - len..self.at].to_vec()));
            }
            let left = rest.len();
            if left > ITEM_BYTES_MAX {
                return Err(Fault::new(
                    Rule::LedgerFault,
                    format!("an item of more than {ITEM_BYTES_MAX} bytes found; a smaller one expected"),
                ));
            }
            self.buffer.drain(..self.at);
            self.at = 0;
            match self.fill(more)? {
                0 if left == 0 => return Ok(None),
                0 => {
                    return Err(Fault::new(
                        Rule::LedgerFault,
                        format!("an item that breaks off after {left} bytes found; a whole one expected"),
                    ));
                }
                _ => more *= 2,
            }
        }
    }

    /// Reads up to `more` bytes behind what the buffer holds.
    fn fill(&mut self, more: usize) -> Checked<usize> {
        let before = self.buffer.len();
        self.buffer.resize(before + more, 0);
        loop {
            match self.file.read(&mut self.buffer[before..]) {
                Ok(got) => {
                    self.buffer.truncate(before + got);
                    self.hasher.update(&self.buffer[before..]);
                    return Ok(got);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(file_fault(&self.path, &error)),
            }
        }
    }
}

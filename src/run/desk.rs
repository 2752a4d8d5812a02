//! The witness's desk: its folder opened, checked, and its key unlocked.
//!
//! The folder holds `ledger.db` and what belongs to it (see [`crate::ledger`]), `key` (the sealed seed), `head`, `objects/`, and after trouble
//! `halt`. Opening does what the design calls start-up: lock, schema, chain, books, head file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::broker::{Broker, NewEvent, read_head, write_head_observed};
use crate::core::books::Books;
use crate::core::cbor::Canonical;
use crate::core::charter::Charter;
use crate::core::event::{EventSigner, EventType};
use crate::core::halt::Halt;
use crate::core::head::{HeadFile, Stand};
use crate::core::note::signature_line;
use crate::core::rules::{Checked, Fault, Rule};
use crate::keys::Passphrase;
use crate::keys::derive::{LedgerKey, LogKey};
use crate::keys::file::{KeyFile, WorkFactor};
use crate::media::publish::Observe;

use super::halt::{Alarm, HALT_FILE, Halted, halt, read_halt, refuse_halted, why_halted};
use super::problem::{Outcomes, Unchanged};
use super::standby::refuse_standby;
use super::startup::{Findings, diagnose, examine};

mod commit;

/// Name of the sealed seed in the desk's folder.
pub const KEY_FILE: &str = "key";
/// What a fault behind the last step leaves.
pub(super) const LOG_LEFT: &str = "SQLite's log was not copied into the database, and the next start reads it";
/// How often a look is repeated because a session ended meanwhile.
const LOOKS_MAX: usize = 3;

/// A desk whose ledger passed the start-up checks.
pub struct Desk {
    dir: PathBuf,
    ledger: Broker,
    books: Books,
    head_is_behind: bool,
    /// Whether events were folded in whose commit failed: then nothing more is written with these books.
    is_ahead: bool,
}

/// What a start gives.
pub enum Start {
    /// Every check passed.
    Ready(Box<Desk>),
    /// Something is wrong; the desk, when its chain is whole all the same: then a `halt` event can follow.
    Wrong(Option<Box<Desk>>, Box<Findings>),
}

impl Start {
    fn of(dir: &Path, ledger: Broker, mut findings: Findings) -> Start {
        if findings.wrong.is_some() {
            // What is wrong is told of the books, and the halt entered in them.
            let books = findings.books.clone();
            let desk = Desk::of_findings(dir, ledger, &mut findings);
            findings.books = books;
            return Start::Wrong(desk.map(Box::new), Box::new(findings));
        }
        match Desk::of_findings(dir, ledger, &mut findings) {
            Some(desk) => Start::Ready(Box::new(desk)),
            None => Start::Wrong(None, Box::new(findings)),
        }
    }

    /// A desk of which nothing is wrong, or nothing but that its head file is missing or damaged; else what is.
    fn into_resumable(self) -> Result<(Desk, Option<Fault>), Box<Findings>> {
        match self {
            Start::Ready(desk) => Ok((*desk, None)),
            Start::Wrong(Some(desk), findings) if findings.lost_head().is_some() => Ok((*desk, findings.lost_head())),
            Start::Wrong(_, findings) => Err(findings),
        }
    }
}

/// The unlocked keys of one session; wiped when dropped.
pub struct DeskKeys {
    log: LogKey,
    ledger: Arc<LedgerSigner>,
}

pub(super) struct LedgerSigner(pub(super) LedgerKey);

impl EventSigner for LedgerSigner {
    fn public_key(&self) -> [u8; 32] {
        self.0.public_bytes()
    }

    fn sign_event(&self, event_hash: &[u8; 32]) -> [u8; 64] {
        // A signature that could not be made and verified is none: the database refuses it.
        self.0.sign_event_hash(event_hash).unwrap_or([0; 64])
    }
}

impl DeskKeys {
    /// The keys of a charter's founding seed.
    ///
    /// # Errors
    /// `key-mismatch` when the seed is another's.
    pub fn unlock(key_file: &Path, passphrase: &Passphrase, charter: &Charter) -> Checked<DeskKeys> {
        let seed = KeyFile::read(key_file)?.unlock(passphrase, WorkFactor::STANDARD)?;
        let log = seed.log(charter.origin.clone(), charter.rehearsal);
        let ledger = seed.ledger(charter.rehearsal);
        if log.public_bytes() != charter.log.public_bytes() || ledger.public_bytes() != charter.ledger_public {
            let found = format!("log key {} in {}; {} in the charter", hex::encode(log.public_bytes()), key_file.display(), charter.log);
            return Err(Fault::new(Rule::KeyMismatch, found));
        }
        Ok(DeskKeys { log, ledger: Arc::new(LedgerSigner(ledger)) })
    }

    /// The signature lines under a text.
    fn lines(&self, charter: &Charter, text: &str) -> Checked<String> {
        Ok(signature_line(&charter.origin, charter.log.id(), &self.log.sign_note(text)?))
    }

    /// Who signs the ledger's events.
    pub fn signer(&self) -> Arc<dyn EventSigner> {
        self.ledger.clone()
    }
}

impl Desk {
    /// Opens the desk to write: takes the lock and runs the start-up checks. A check that fails halts the desk.
    ///
    /// # Errors
    /// `not-found`, `another-writer`, `halted`, `standby`, faults of the disk; what halts: `chain-broken`, `ledger-fault`, `head-rolled-back`,
    /// `head-lost`.
    pub fn open(dir: &Path) -> Outcomes<Desk> {
        match Desk::start(dir)? {
            Start::Ready(desk) => Ok(*desk),
            Start::Wrong(_, findings) => Err(halt(dir, Alarm::of_check(dir, &findings)?, &[], &mut |_, _| {}).problem()),
        }
    }

    /// Opens the desk to write, and leaves it to the caller to halt over what is wrong.
    ///
    /// # Errors
    /// As [`Desk::open`], but for what halts.
    pub fn start(dir: &Path) -> Outcomes<Start> {
        // Before anything is opened; and again under the lock, for whoever held it before us may have halted.
        refuse_halted(dir)?;
        let opened = Broker::open(dir);
        refuse_halted(dir)?;
        let ledger = match opened {
            Ok(ledger) => ledger,
            Err(refused) => return Ok(Start::Wrong(None, Box::new(diagnose(dir, refused)?))),
        };
        let findings = examine(dir, &ledger, false)?;
        refuse_standby(findings.standby.as_ref(), findings.last_number())?;
        match Start::of(dir, ledger, findings) {
            Start::Ready(desk) => match desk.halted()? {
                Some(reason) => Err(Fault::new(Rule::Halted, reason)).unchanged(|| "the log key signs nothing; nothing was written".into()),
                None => Ok(Start::Ready(desk)),
            },
            wrong => Ok(wrong),
        }
    }

    /// Opens the desk for an order: takes the lock and runs the start-up checks, whether or not the desk is halted. What is wrong is reported.
    ///
    /// # Errors
    /// As [`Desk::open`], but for the halt.
    pub fn open_halted(dir: &Path) -> Outcomes<Desk> {
        match Desk::open_to_resume(dir)? {
            (desk, None) => Ok(desk),
            (_, Some(lost)) => Err(lost.into()),
        }
    }

    /// [`Desk::open_halted`] for an order to resume: a head file that is missing or damaged is no reason to refuse, and is told.
    ///
    /// # Errors
    /// As [`Desk::open_halted`], but for `head-lost`.
    pub fn open_to_resume(dir: &Path) -> Outcomes<(Desk, Option<Fault>)> {
        let ledger = match Broker::open(dir) {
            Ok(ledger) => ledger,
            Err(refused) => return Err(wrong(diagnose(dir, refused)?).into()),
        };
        let findings = examine(dir, &ledger, false)?;
        refuse_standby(findings.standby.as_ref(), findings.last_number())?;
        Start::of(dir, ledger, findings).into_resumable().map_err(|findings| wrong(*findings).into())
    }

    /// Opens the desk to look, also while another process writes or while it is halted. What is wrong is reported and halts nothing.
    ///
    /// # Errors
    /// As [`Desk::open`], but for the lock and the halt.
    pub fn open_to_look(dir: &Path) -> Outcomes<Desk> {
        match Desk::look_calmly(dir)? {
            Start::Ready(desk) => Ok(*desk),
            Start::Wrong(_, findings) => looks_wrong(dir, *findings),
        }
    }

    /// [`Desk::open_to_look`] for whoever thinks of an order to resume: a head file that is missing or damaged is told and no reason to refuse.
    ///
    /// # Errors
    /// As [`Desk::open_to_look`], but for `head-lost`.
    pub fn look_to_resume(dir: &Path) -> Outcomes<(Desk, Option<Fault>)> {
        Desk::look_calmly(dir)?.into_resumable().or_else(|findings| looks_wrong(dir, *findings))
    }

    fn look_calmly(dir: &Path) -> Outcomes<Start> {
        // Database and head file are read one after the other, and a session may end in between: then both are read again.
        let mut before = read_head(dir);
        let mut looked = Desk::look(dir)?;
        for _ in 0..LOOKS_MAX {
            let after = read_head(dir);
            if before == after {
                break;
            }
            before = after;
            looked = Desk::look(dir)?;
        }
        Ok(looked)
    }

    fn look(dir: &Path) -> Outcomes<Start> {
        let ledger = Broker::look(dir)?;
        let findings = examine(dir, &ledger, false)?;
        refuse_standby(findings.standby.as_ref(), findings.last_number())?;
        Ok(Start::of(dir, ledger, findings))
    }

    /// The desk, when its chain is whole, whatever else was found. It takes the books: there is room for them once.
    pub(super) fn of_findings(dir: &Path, ledger: Broker, findings: &mut Findings) -> Option<Desk> {
        let head_is_behind = findings.stand == Some(Stand::Behind);
        let mut books = || std::mem::take(&mut findings.books);
        findings.chain_is_whole.then(|| Desk { dir: dir.to_owned(), ledger, books: books(), head_is_behind, is_ahead: false })
    }

    /// A desk around a ledger that was just created.
    pub(super) fn founded(dir: &Path, ledger: Broker) -> Desk {
        let books = Books::over(ledger.events());
        Desk { dir: dir.to_owned(), ledger, books, head_is_behind: false, is_ahead: false }
    }

    /// The desk's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Everything that follows from the ledger.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// The ledger, to read.
    pub fn ledger(&self) -> &Broker {
        &self.ledger
    }

    /// What there is to say of a desk with nothing wrong, for a dossier.
    ///
    /// # Errors
    /// `ledger-fault`, `disk-fault`.
    pub(super) fn findings(&self) -> Checked<Findings> {
        Ok(Findings {
            charter: Some(self.books.charter()?.clone()),
            books: self.books.clone(),
            last: self.ledger.latest()?,
            head_text: read_head(&self.dir)?,
            chain_is_whole: true,
            ..Findings::default()
        })
    }

    /// Whether the head file is that of the session before the last: power failed between commit and head file.
    pub fn head_is_behind(&self) -> bool {
        self.head_is_behind
    }

    /// Why the desk is halted, if it is.
    ///
    /// # Errors
    /// `file-fault`.
    pub fn halted(&self) -> Checked<Option<String>> {
        why_halted(&self.dir, &self.books)
    }

    /// Unlocks the ledger for writing.
    ///
    /// # Errors
    /// `ledger-fault`.
    pub fn unlock(&mut self, keys: &DeskKeys) -> Checked<()> {
        // Whatever ends this process before it is done, the disk stays as it was then.
        self.ledger.unlock(keys.signer(), true)
    }

    /// Appends the `halt` event (SPEC 7.4), if the key can be unlocked: outside of any session, without a time claim. What cannot be done is
    /// said, and is no second error, for the halt file is sufficient.
    pub fn enter_halt(&mut self, halted: &mut Halted, passphrase: Checked<Option<Passphrase>>, observe: &mut Observe<'_>) {
        let entered = passphrase.and_then(|passphrase| passphrase.map(|given| self.append_halt(&halted.halt, &given, observe)).transpose());
        halted.done.push(match entered {
            Ok(Some(number)) => format!("the halt is entered in the ledger as event {number}"),
            Ok(None) => "the halt is not entered in the ledger, for no passphrase was given; the halt file is sufficient".into(),
            Err(fault) => format!("the halt is not entered in the ledger: [{}] {}; the halt file is sufficient", fault.rule, fault.shown()),
        });
    }

    fn append_halt(&mut self, halt: &Halt, passphrase: &Passphrase, observe: &mut Observe<'_>) -> Checked<u64> {
        let keys = DeskKeys::unlock(&self.dir.join(KEY_FILE), passphrase, self.books.charter()?)?;
        self.unlock(&keys)?;
        observe("enter the halt", HALT_FILE);
        let event_id = self.books.next_event_id();
        self.commit(vec![NewEvent { event_id, timestamp: 0, event_type: EventType::Halt, payload: halt.to_cbor() }], observe)?;
        Ok(self.ledger.latest()?.map_or(0, |event| event.seq_no))
    }

    /// Everything was done: SQLite's log is copied into the database now, where a fault can be told; dropping the desk would keep it quiet.
    ///
    /// # Errors
    /// `disk-fault`; nothing is lost then, for the next start reads the log.
    pub fn done(&self) -> Checked<()> {
        self.ledger.write_back()
    }

    /// Writes the head file: session, number, root, and the hash of the last `closed` event.
    ///
    /// # Errors
    /// `file-fault`, after which the process must end.
    pub fn write_head_file(&mut self, observe: &mut Observe<'_>) -> Checked<()> {
        if let Some(head) = self.books.headings().iter().rev().find_map(HeadFile::of) {
            write_head_observed(&self.dir, &head.text(), &mut |step| observe(step, crate::broker::HEAD_FILE))?;
            self.head_is_behind = false;
        }
        Ok(())
    }

    /// Reads everything again from the disk, as a new process would, and checks it; a check that fails halts.
    ///
    /// # Errors
    /// As [`Desk::open`].
    pub fn read_again(&mut self) -> Outcomes<()> {
        self.books = Books::default();
        let findings = examine(&self.dir, &self.ledger, false)?;
        if findings.wrong.is_some() {
            return Err(halt(&self.dir, Alarm::of_check(&self.dir, &findings)?, &[], &mut |_, _| {}).problem());
        }
        self.books = findings.books;
        Ok(())
    }
}

/// What a look at a desk says that does not start.
fn looks_wrong<T>(dir: &Path, findings: Findings) -> Outcomes<T> {
    let halted = read_halt(dir)?.map_or(String::new(), |reason| format!("; the desk is halted: {reason}"));
    Err(wrong(findings)).unchanged(|| format!("nothing was written{halted}"))
}

/// What is wrong with a desk that does not start.
fn wrong(findings: Findings) -> Fault {
    findings.wrong.map_or_else(|| Fault::new(Rule::InternalFault, "nothing wrong found"), |wrong| wrong.fault)
}

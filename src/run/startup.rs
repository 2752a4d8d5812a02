//! What a start finds: the ledger, everything that follows from it, and how the head file stands to it (design section 6).
//!
//! Everything is read and compared, nothing is written here, and nothing decided: who holds the lock halts over what is wrong, who only
//! looks reports it.

use std::path::Path;

use crate::broker::{Broker, CheckInput, Health, INSTANCE_FILE, read_head};
use crate::core::books::Books;
use crate::core::cbor::Canonical as _;
use crate::core::charter::Charter;
use crate::core::event::{Event, EventType};
use crate::core::head::{HeadFile, Stand, compare, stand};
use crate::core::payload::Ruling;
use crate::core::rules::{Checked, Fault, Rule};

use super::files;
use super::log;
use super::problem::{Outcomes, Problem};
use super::standby::Standby;

/// Name of the file that says whose domain a folder is; a desk has none.
pub(super) const IDENTITY_FILE: &str = "domain";

/// What is wrong with a desk.
#[derive(Clone, Debug)]
pub struct Wrong {
    /// The rule and the compared values.
    pub fault: Fault,
    /// The last event before which nothing is wrong, 0 for none.
    pub last_good_seq_no: u64,
    /// The first event that is wrong or missing.
    pub first_bad_seq_no: u64,
    /// What is wrong with it, in a word.
    pub kind: &'static str,
}

/// A desk as it was found.
#[derive(Default)]
pub struct Findings {
    /// The charter, as far as event 2 can be read.
    pub charter: Option<Charter>,
    /// Everything that follows from the events, when the chain is whole.
    pub books: Books,
    /// The last event that can be read.
    pub last: Option<Event>,
    /// The head file as text, if there is one that can be read.
    pub head_text: Option<String>,
    /// What it says, if it is whole.
    pub head_file: Option<HeadFile>,
    /// How it stands to the ledger; `None` when that could not be told.
    pub stand: Option<Stand>,
    /// What the folder is when it has no instance file: a standby, which signs nothing.
    pub standby: Option<Standby>,
    /// What is wrong, if anything is.
    pub wrong: Option<Wrong>,
    /// Whether the chain is whole and the books are folded, whatever the head file says.
    pub chain_is_whole: bool,
    /// Numbers of the `closed` events, in order.
    pub(super) closed_at: Vec<u64>,
}

/// Reads and compares everything.
///
/// # Errors
/// What says that this is no desk of ours, or that it cannot be read now: `ledger-fault` with a foreign instance file and when nothing was
/// founded; faults of the disk. What is wrong with a desk that can be read is in the findings, and whether it is a [`Standby`].
pub fn examine(dir: &Path, ledger: &Broker, deep: bool) -> Outcomes<Findings> {
    loop {
        let before = ledger.head()?;
        let findings = examine_once(dir, ledger, deep)?;
        // Who only looks may have read the ledger before a session was committed and the head file after it: then they are of two moments,
        // and what is wrong between them is nothing. Whoever holds the lock finds the same head again.
        if findings.wrong.is_none() || ledger.head()? == before {
            return Ok(findings);
        }
    }
}

fn examine_once(dir: &Path, ledger: &Broker, deep: bool) -> Outcomes<Findings> {
    let mut findings = Findings { standby: Standby::of(dir)?, ..Findings::default() };
    if findings.charter(dir, ledger)? {
        findings.chain(ledger, deep)?;
    }
    findings.head(dir)?;
    Ok(findings)
}

/// What can be said of a ledger that [`Broker::open`] refused: the chain is walked all the same, so that the first bad event is named.
///
/// # Errors
/// `refused` itself when the folder is no desk of ours, or the ledger is another's; faults of the disk.
pub fn diagnose(dir: &Path, refused: Fault) -> Outcomes<Findings> {
    if refused.rule != Rule::LedgerFault || !is_desk(dir) {
        return Err(refused.into());
    }
    let mut findings = Findings::default();
    match Broker::diagnose(dir) {
        Ok(ledger) => {
            if findings.charter(dir, &ledger)? {
                findings.chain(&ledger, false)?;
            }
        }
        Err(fault) if fault.rule == Rule::LedgerFault => {}
        Err(fault) => return Err(fault.into()),
    }
    let good = findings.wrong.take().map(|wrong| (wrong.last_good_seq_no, wrong.kind, wrong.fault));
    let (last_good, kind, fault) = match good {
        Some((last_good, kind, found)) => {
            (last_good, kind, Fault { found: format!("{}; and in the chain: {}", refused.found, found.shown()), ..refused })
        }
        // The chain as it can be read is whole: what is wrong is the schema or the settings of the file.
        None if findings.chain_is_whole => (findings.last.as_ref().map_or(0, |event| event.seq_no), "schema", refused),
        None => (0, "storage", refused),
    };
    findings.wrong(fault, last_good, kind);
    findings.chain_is_whole = false;
    findings.head(dir)?;
    Ok(findings)
}

/// Whether a folder is a witness's desk, of which a halt file may say something: it has an instance file of our form, and is no proposer's
/// domain.
pub fn is_desk(dir: &Path) -> bool {
    let instance = files::read(&dir.join(INSTANCE_FILE)).unwrap_or_default();
    let is_instance = instance.len() == 33 && instance.ends_with(b"\n") && instance[..32].iter().all(u8::is_ascii_hexdigit);
    is_instance && dir.join(IDENTITY_FILE).symlink_metadata().is_err()
}

impl Findings {
    /// The newest number of the ledger, when its chain is whole.
    pub(super) fn last_number(&self) -> Option<u64> {
        self.chain_is_whole.then(|| self.books.head().number)
    }

    fn wrong(&mut self, fault: Fault, last_good_seq_no: u64, kind: &'static str) {
        self.wrong = Some(Wrong { fault, last_good_seq_no, first_bad_seq_no: last_good_seq_no + 1, kind });
    }

    /// That the head file is missing or damaged; it is looked at last, so that nothing else is wrong then.
    pub(super) fn lost_head(&self) -> Option<Fault> {
        self.wrong.as_ref().map(|wrong| wrong.fault.clone()).filter(|fault| fault.rule == Rule::HeadLost)
    }

    /// The charter, from event 2. Whether the chain that leads here is whole is checked with its key, next.
    fn charter(&mut self, dir: &Path, ledger: &Broker) -> Outcomes<bool> {
        let charter = match founding_charter(ledger) {
            Ok(charter) => charter,
            Err(fault) => {
                self.wrong(wrong_or_fault(fault)?, 0, "storage");
                return Ok(false);
            }
        };
        if charter.is_err() && ledger.latest().is_ok_and(|last| last.is_none()) && read_head(dir)?.is_none() {
            let fault = Fault::new(Rule::LedgerFault, "no event found; a founding expected");
            return Err(Problem::from(fault).advising("finish the founding first: tabellion witness init DIR --charter FILE"));
        }
        let charter = match charter {
            Ok(charter) => charter,
            Err(fault) => {
                self.wrong(fault, 1, "unreadable");
                return Ok(false);
            }
        };
        if self.standby.is_none() {
            check_instance(ledger, &charter)?;
        }
        self.charter = Some(charter);
        Ok(true)
    }

    fn chain(&mut self, ledger: &Broker, deep: bool) -> Checked<()> {
        let Some(key) = self.charter.as_ref().map(|charter| charter.ledger_public) else { return Ok(()) };
        let health = ledger.start_up_check(&CheckInput { ledger_keys: &[key], deep, must_hold: &[] })?;
        self.last = ledger.latest().ok().flatten();
        if let Health::Corrupted { last_good_seq_no, first_bad_seq_no, kind, .. } = &health {
            let (last_good_seq_no, first_bad_seq_no, kind) = (*last_good_seq_no, *first_bad_seq_no, kind.word());
            self.wrong = health.into_checked().err().map(|fault| Wrong { fault, last_good_seq_no, first_bad_seq_no, kind });
            return Ok(());
        }
        self.books = Books::over(ledger.events());
        let (books, mut last) = (&mut self.books, 0);
        let folded = ledger.for_each(1, |event| {
            books.apply(&event)?;
            last = event.seq_no;
            if event.event_type == EventType::Closed {
                self.closed_at.push(event.seq_no);
            }
            self.last = Some(event);
            Ok(())
        });
        if let Err(fault) = folded {
            let fault = wrong_or_fault(fault)?;
            self.wrong(Fault { rule: Rule::LedgerFault, ..fault }.within(format!("event {}", last + 1)), last, "meaning");
        }
        self.chain_is_whole = self.wrong.is_none();
        Ok(())
    }

    /// The head file: read also when the chain is broken, for what it says; compared only with a chain that is whole.
    fn head(&mut self, dir: &Path) -> Checked<()> {
        let read = read_head(dir);
        self.head_text = read.clone().ok().flatten();
        let parsed = read.and_then(|text| text.map(|text| HeadFile::parse(&text)).transpose());
        if !self.chain_is_whole {
            self.head_file = parsed.ok().flatten();
            return Ok(());
        }
        let last_event = self.last.as_ref().map_or(0, |event| event.seq_no);
        let (closed, sealed) = (closed_sessions(&self.books), self.books.unsealed().is_none());
        if closed.is_empty() {
            self.head_file = parsed.ok().flatten();
            self.wrong(Fault::new(Rule::LedgerFault, "no closed session found; the founding expected"), last_event, "meaning");
            return Ok(());
        }
        match parsed {
            Ok(found) => self.head_file = found,
            Err(fault) => {
                let fault = match fault.rule {
                    Rule::FileFault => fault,
                    _ => wrong_or_fault(fault)?.within("the head file"),
                };
                self.wrong(Fault { rule: Rule::HeadLost, ..fault }, last_event, "head-file");
                return Ok(());
            }
        }
        let stand = stand(self.head_file.as_ref(), &closed, sealed);
        self.stand = Some(stand);
        let outcome = compare(self.head_file.as_ref(), &closed, sealed);
        if let Some(last) = closed.last() {
            log::head_compared(self.head_file.as_ref(), last, &outcome);
        }
        if let Err(fault) = outcome {
            // Up to the event that the head file names, both tell one history; of a foreign one, up to the session before.
            let is_common = |file: &HeadFile| match (stand, &self.head_file) {
                (Stand::Earlier, Some(found)) => file == found,
                (Stand::Foreign, Some(found)) => file.session < found.session,
                _ => true,
            };
            let common = closed.iter().rposition(is_common).and_then(|at| self.closed_at.get(at).copied());
            let last_good = if matches!(stand, Stand::Earlier | Stand::Foreign) { common.unwrap_or(0) } else { last_event };
            self.wrong(fault, last_good, if stand == Stand::Later { "missing" } else { "head-file" });
        }
        Ok(())
    }
}

/// What was read is wrong, or reading failed, which says nothing about what is written there.
fn wrong_or_fault(fault: Fault) -> Checked<Fault> {
    match fault.rule {
        Rule::DiskFault | Rule::AnotherWriter | Rule::FileFault | Rule::InternalFault => Err(fault),
        _ => Ok(fault),
    }
}

/// The charter, from event 2, or what stands there instead. Whether the chain that leads there is whole is checked with its key, next.
///
/// # Errors
/// `ledger-fault` when the event cannot be read.
pub(super) fn founding_charter(ledger: &Broker) -> Checked<Checked<Charter>> {
    let event = ledger.by_seq_no(2)?;
    let word = event.as_ref().map_or("nothing", |event| event.event_type.as_str());
    let fault = Fault::new(Rule::LedgerFault, format!("{word} found as event 2; the charter's verdict expected"));
    let charter = event.map(|event| Ruling::from_cbor(&event.payload).and_then(|ruling| Charter::from_cbor(&ruling.envelope.payload)));
    Ok(charter.and_then(Result::ok).ok_or(fault))
}

/// The head file of each closed session, in their order.
pub(super) fn closed_sessions(books: &Books) -> Vec<HeadFile> {
    books.headings().iter().filter_map(HeadFile::of).collect()
}

/// The head file beside a ledger, if there is one.
///
/// # Errors
/// `file-fault`, `disk-fault`; `ledger-fault` when it is not whole.
pub(super) fn read_head_file(dir: &Path) -> Checked<Option<HeadFile>> {
    read_head(dir)?.map(|text| HeadFile::parse(&text).map_err(|fault| fault.within("the head file"))).transpose()
}

/// The folder's instance file is the one that the charter names.
///
/// # Errors
/// `ledger-fault` when the ledger in it is another desk's: nothing of it is ours to halt.
pub(super) fn check_instance(ledger: &Broker, charter: &Charter) -> Outcomes<()> {
    ledger.check_instance(&charter.instance).map_err(|fault| match fault.rule {
        Rule::LedgerFault => Problem::from(fault).advising(
            "the ledger in this folder belongs to another desk: sign nothing with it, and put back the ledger or the instance file that was here",
        ),
        _ => fault.into(),
    })
}

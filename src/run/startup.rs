//! What a start finds: the ledger, everything that follows from it, and how the head file stands to it (design section 6).
//!
//! Everything is read and compared, nothing is written here, and nothing decided: who holds the lock halts over what is wrong, who only
//! looks reports it.

use std::path::Path;

use crate::clock;
use crate::core::books::Books;
use crate::core::cbor::Canonical as _;
use crate::core::charter::Charter;
use crate::core::head::{HeadFile, Stand, compare, stand};
use crate::core::payload::Ruling;
use crate::core::rules::{Checked, Fault, Rule};
use crate::ledger::{CheckInput, Health, Ledger, read_head};

use super::log;
use super::problem::{Outcomes, Problem};

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
pub struct Examined {
    /// Its ledger.
    pub ledger: Ledger,
    /// Everything that follows from the events, as far as they could be folded.
    pub books: Books,
    /// The head file, as far as it can be read.
    pub head_file: Option<HeadFile>,
    /// How it stands to the ledger; `None` when that could not be told.
    pub stand: Option<Stand>,
    /// What is wrong, if anything is.
    pub wrong: Option<Wrong>,
}

/// Reads and compares everything.
///
/// # Errors
/// What says that this is no desk of ours or that it cannot be read now: `not-found`, `ledger-fault` without or with a foreign instance file,
/// faults of the disk. What is wrong with a desk that can be read is in [`Examined::wrong`].
pub fn examine(dir: &Path, mut ledger: Ledger, deep: bool) -> Outcomes<Examined> {
    ledger.measure_with(clock::monotonic_us);
    loop {
        let before = ledger.head()?;
        let found = examine_once(dir, ledger, deep)?;
        // Who only looks may have read the ledger before a session was committed and the head file after it: then they are of two moments,
        // and what is wrong between them is nothing. Whoever holds the lock finds the same head again.
        if found.wrong.is_none() || found.ledger.head()? == before {
            return Ok(found);
        }
        ledger = found.ledger;
    }
}

fn examine_once(dir: &Path, ledger: Ledger, deep: bool) -> Outcomes<Examined> {
    let mut found = Examined { ledger, books: Books::default(), head_file: None, stand: None, wrong: None };
    let Some(charter) = found.charter()? else { return Ok(found) };
    found.ledger.check_instance(&charter.instance).map_err(no_instance)?;
    found.chain(&charter, deep)?;
    found.head(dir)?;
    Ok(found)
}

impl Examined {
    fn wrong(&mut self, fault: Fault, last_good_seq_no: u64, kind: &'static str) {
        self.wrong = Some(Wrong { fault, last_good_seq_no, first_bad_seq_no: last_good_seq_no + 1, kind });
    }

    fn charter(&mut self) -> Checked<Option<Charter>> {
        let charter = founding_charter(&self.ledger)?;
        if let Err(fault) = &charter {
            self.wrong(fault.clone(), 1, "unreadable");
        }
        Ok(charter.ok())
    }

    fn chain(&mut self, charter: &Charter, deep: bool) -> Checked<()> {
        let health = self.ledger.start_up_check(&CheckInput { ledger_keys: &[charter.ledger_public], deep, must_hold: &[] })?;
        if let Health::Corrupted { last_good_seq_no, first_bad_seq_no, kind, .. } = &health {
            let (last_good_seq_no, first_bad_seq_no, kind) = (*last_good_seq_no, *first_bad_seq_no, kind.word());
            self.wrong = health.into_checked().err().map(|fault| Wrong { fault, last_good_seq_no, first_bad_seq_no, kind });
            return Ok(());
        }
        let (books, mut last) = (&mut self.books, 0);
        let folded = self.ledger.for_each(1, |event| {
            books.apply(&event)?;
            last = event.seq_no;
            Ok(())
        });
        match folded {
            Err(fault) if self.ledger.is_poisoned() => Err(fault),
            Err(fault) => {
                self.wrong(fault, last, "meaning");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// The head file: also when the chain is broken, for what it says; compared only with a chain that is whole.
    fn head(&mut self, dir: &Path) -> Checked<()> {
        let parsed = read_head_file(dir);
        if self.wrong.is_some() {
            self.head_file = parsed.ok().flatten();
            return Ok(());
        }
        let last_event = self.ledger.latest()?.map_or(0, |event| event.seq_no);
        match parsed {
            Ok(found) => self.head_file = found,
            Err(fault) if fault.rule == Rule::LedgerFault => {
                self.wrong(fault, last_event, "head-file");
                return Ok(());
            }
            Err(fault) => return Err(fault),
        }
        let (closed, sealed) = (closed_sessions(&self.books), self.books.unsealed().is_none());
        if closed.is_empty() {
            self.wrong(Fault::new(Rule::LedgerFault, "no closed session found; the founding expected"), last_event, "meaning");
            return Ok(());
        }
        self.stand = Some(stand(self.head_file.as_ref(), &closed, sealed));
        let outcome = compare(self.head_file.as_ref(), &closed, sealed);
        if let Some(last) = closed.last() {
            log::head_compared(self.head_file.as_ref(), last, &outcome);
        }
        if let Err(fault) = outcome {
            self.wrong(fault, last_event, "head-file");
        }
        Ok(())
    }
}

/// The charter, from event 2, or what stands there instead. Whether the chain that leads there is whole is checked with its key, next.
///
/// # Errors
/// `ledger-fault` when the event cannot be read.
pub(super) fn founding_charter(ledger: &Ledger) -> Checked<Checked<Charter>> {
    let event = ledger.by_seq_no(2)?;
    let word = event.as_ref().map_or("nothing", |event| event.event_type.as_str());
    let fault = Fault::new(Rule::LedgerFault, format!("{word} found as event 2; the charter's verdict expected"));
    let charter = event.map(|event| Ruling::from_cbor(&event.payload).and_then(|ruling| Charter::from_cbor(&ruling.envelope.payload)));
    Ok(charter.and_then(Result::ok).ok_or(fault))
}

/// The head file of each closed session, in their order.
pub(super) fn closed_sessions(books: &Books) -> Vec<HeadFile> {
    let closed = books.sessions().iter().filter_map(|session| Some((session.closed.as_ref()?, session.closed_hash)));
    closed.map(|(closed, hash)| HeadFile { session: closed.session, head: closed.after, closed: hash }).collect()
}

/// The head file beside a ledger, if there is one.
///
/// # Errors
/// `file-fault`; `ledger-fault` when it is not whole.
pub(super) fn read_head_file(dir: &Path) -> Checked<Option<HeadFile>> {
    read_head(dir)?.map(|text| HeadFile::parse(&text).map_err(|fault| fault.within("the head file"))).transpose()
}

/// A copy of the folder without its instance file, as a backup is.
fn no_instance(fault: Fault) -> Problem {
    match fault.rule {
        Rule::NotFound => Problem::from(Fault { rule: Rule::LedgerFault, ..fault })
            .advising("this is a copy of a desk, and the original may be at work: sign nothing with it, and ask the custodians which machine is the writer"),
        _ => fault.into(),
    }
}

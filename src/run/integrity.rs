//! Integrity: the whole desk checked, and every fact told, whether it is well or not.
//!
//! It takes the lock if it is free and answers at once when somebody else writes; it works while the desk is halted, and halts it when a check
//! fails (design section 7). It mends nothing.

use std::path::PathBuf;

use crate::broker::{Broker, USER_VERSION, other_writer};
use crate::core::books::Books;
use crate::core::event::Event;
use crate::core::head::KnownHead;
use crate::core::rules::{Checked, Fault, Rule};
use crate::core::words::head_words;
use crate::keys::Passphrase;
use crate::media::publish::Observe;

use super::desk::Desk;
use super::halt::{Alarm, halt, read_halt, why_halted};
use super::objects::{Store, Stored};
use super::problem::{Outcomes, Problem};
use super::startup::{Findings, diagnose, examine};

/// Version of the schema that every ledger here has.
pub const SCHEMA_VERSION: i64 = USER_VERSION;

/// What is asked for.
pub struct Request {
    /// The desk's folder.
    pub ledger: PathBuf,
    /// Whether every signature and every object in the store is checked.
    pub deep: bool,
    /// A head that somebody knows from outside this disk.
    pub known: Option<KnownHead>,
    /// Whether the desk shall halt when it does not have that head.
    pub insists: bool,
}

/// How a head that somebody knows stands to the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It is the ledger's head.
    Equal,
    /// The ledger has it, and went on.
    Continued,
    /// It is later than the ledger's head: this disk would be an old one.
    Later,
    /// The ledger has another root under that number.
    Differs,
}

impl Known {
    fn of(known: &KnownHead, books: &Books) -> Known {
        let head = books.head();
        match books.log().root_at(known.number) {
            _ if known.number > head.number => Known::Later,
            Some(root) if known.words == head_words(&root) && known.number == head.number => Known::Equal,
            Some(root) if known.words == head_words(&root) => Known::Continued,
            _ => Known::Differs,
        }
    }

    /// Name in reports.
    pub fn word(self) -> &'static str {
        match self {
            Known::Equal => "equal",
            Known::Continued => "continued",
            Known::Later => "later",
            Known::Differs => "differs",
        }
    }

    /// Whether the ledger has that head.
    pub fn is_well(self) -> bool {
        matches!(self, Known::Equal | Known::Continued)
    }
}

/// How much was checked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Amount {
    /// Events, each with its number, id, epoch, key, link, hash and payload.
    pub events: u64,
    /// Signatures of events.
    pub signatures: u64,
    /// Records, against the events.
    pub records: u64,
    /// Final verdicts, against the events.
    pub verdicts: u64,
}

/// What was found.
pub struct Integrity {
    /// The desk, as far as it could be read; `None` when somebody else writes and nothing was checked.
    pub findings: Option<Findings>,
    /// The last event.
    pub last: Option<Event>,
    /// What was checked.
    pub checked: Amount,
    /// The store's objects, when they were hashed.
    pub stored: Option<Stored>,
    /// Who else writes, if anybody does.
    pub writer: Option<String>,
    /// How the head that somebody knows stands to the ledger.
    pub known: Option<Known>,
    /// Why the desk is halted, if it is.
    pub halted: Option<String>,
    /// What was done to halt it now.
    pub done: Vec<String>,
}

/// Checks the desk, and halts it when something is wrong. `passphrase` is asked only then, to enter the halt in the ledger.
///
/// # Errors
/// As [`examine`] and [`diagnose`].
pub fn integrity(
    request: &Request,
    passphrase: &mut dyn FnMut() -> Checked<Option<Passphrase>>,
    observe: &mut Observe<'_>,
) -> Outcomes<Integrity> {
    let dir = request.ledger.as_path();
    if let Some(writer) = other_writer(dir)? {
        return somebody_writes(request, writer);
    }
    let (ledger, mut findings) = match Broker::open(dir) {
        Err(fault) if fault.rule == Rule::AnotherWriter => return somebody_writes(request, fault.found),
        Err(refused) => (None, diagnose(dir, refused)?),
        Ok(ledger) => {
            let findings = examine(dir, &ledger, request.deep)?;
            (Some(ledger), findings)
        }
    };
    let stored = match request.deep && findings.chain_is_whole {
        true => Some(Store::of(dir).audit(&findings.books)?),
        false => None,
    };
    let known = request.known.as_ref().filter(|_| findings.chain_is_whole).map(|known| Known::of(known, &findings.books));
    let (mut halted, mut done) = (why_halted(dir, &findings.books)?, Vec::new());
    if let (None, Some(alarm)) = (&halted, alarm(request, &findings, known)?) {
        let mut now = halt(dir, alarm, &[], observe);
        let books = findings.books.clone();
        if let Some(mut desk) = ledger.and_then(|ledger| Desk::of_findings(dir, ledger, &mut findings)) {
            desk.enter_halt(&mut now, passphrase(), observe);
        }
        findings.books = books;
        done = now.done;
        halted = why_halted(dir, &findings.books)?;
    }
    let (checked, last) = (amount(&findings, request.deep), findings.last.clone());
    Ok(Integrity { findings: Some(findings), last, checked, stored, writer: None, known, halted, done })
}

/// What the desk is to be halted over, if anything.
fn alarm(request: &Request, findings: &Findings, known: Option<Known>) -> Outcomes<Option<Alarm>> {
    let dir = request.ledger.as_path();
    match (&request.known, known) {
        // SPEC 7.14: what a standby finds halts nobody.
        _ if findings.standby.is_some() => Ok(None),
        _ if findings.wrong.is_some() => Ok(Some(Alarm::of_check(dir, findings)?)),
        (Some(expected), Some(known)) if !known.is_well() && request.insists => {
            let head = findings.books.head();
            let found = format!("{} {} in the ledger; {expected} is what the operator knows", name(&head), head_words(&head.root));
            Ok(Some(Alarm::of_known_head(dir, findings, Fault::new(Rule::HeadUnexpected, found))))
        }
        _ => Ok(None),
    }
}

fn name(head: &crate::core::ids::Head) -> String {
    format!("common@{}", head.number)
}

/// The few facts that are told while somebody else writes: nothing that writes is trusted to stand still for a check.
fn somebody_writes(request: &Request, writer: String) -> Outcomes<Integrity> {
    let dir = request.ledger.as_path();
    let ledger = Broker::look(dir).map_err(Problem::from)?;
    Ok(Integrity {
        findings: None,
        last: ledger.latest()?,
        checked: Amount::default(),
        stored: None,
        writer: Some(writer),
        known: None,
        halted: read_halt(dir)?,
        done: Vec::new(),
    })
}

/// What the checks looked at: of a chain that is broken, the events before the first bad one.
fn amount(findings: &Findings, deep: bool) -> Amount {
    let whole = findings.last.as_ref().map_or(0, |event| event.seq_no);
    let events = findings.wrong.as_ref().filter(|_| !findings.chain_is_whole).map_or(whole, |wrong| wrong.last_good_seq_no);
    let signatures = match () {
        () if deep => events,
        () => u64::from(findings.chain_is_whole),
    };
    Amount { events, signatures, records: findings.books.log().size(), verdicts: findings.books.decided_count() }
}

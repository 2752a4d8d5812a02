//! Two copies of one desk: what they share, and what each has behind it.
//!
//! Somebody copied the folder, and both copies were written to. [`Branches::compare`] reads our ledger and a copy of the other one, verifies both
//! as a start does, and says where they part. It decides nothing and writes nothing: which branch stays is for an order of the governors.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::broker::{Broker, CheckInput, DATABASE_FILE, LOCK_FILE};
use crate::core::books::Books;
use crate::core::cbor::Canonical as _;
use crate::core::event::{Event, EventType};
use crate::core::fork::{ForkProof, Statement};
use crate::core::ids::{Hash, Head, Kid, Origin, Pid};
use crate::core::payload::{Opened, Ruling, Sealed};
use crate::core::publish;
use crate::core::rules::{Checked, Fault, Rule};
use crate::media::ledger_copy::copy_database;

use super::files::staging;
use super::problem::{Outcomes, Problem};
use super::startup::founding_charter;

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// This desk's.
    Ours,
    /// The other.
    Theirs,
}

/// What the two are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// The same events.
    Equal,
    /// The other goes on where ours ends: ours is an older copy.
    OursIsOlder,
    /// Ours goes on where the other ends: the other is an older copy.
    TheirsIsOlder,
    /// Both go on behind the last common event: a fork.
    Forked,
    /// They were founded with different charters.
    OtherCommon,
}

/// An event, as the place where something happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its number.
    pub seq_no: u64,
    /// `<session>/<index>`.
    pub event_id: String,
    /// BLAKE3, SPEC 7.2.
    pub event_hash: [u8; 32],
}

/// A record that one branch made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// N, and the root of everything up to it.
    pub head: Head,
    /// Its paper.
    pub pid: Pid,
    /// Whether the checkpoint of N is signed: it may have left the machine.
    pub sealed: bool,
}

/// A text that the log key signed in one branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedText {
    /// SHA-256 of the text without signature lines: what a resume order names to settle it (SPEC 3.11).
    pub sha256: Hash,
    /// What it is, in words.
    pub what: String,
}

/// What one ledger has behind the last common event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Branch {
    /// Its last event, also when it is the last common one; `None` of an empty ledger.
    pub last: Option<Place>,
    /// Events behind the last common one.
    pub events: u64,
    /// Sessions opened there.
    pub sessions: Vec<u64>,
    /// Records, ascending.
    pub records: Vec<Made>,
    /// Papers with a final verdict, each with its answer.
    pub decided: BTreeMap<Pid, String>,
    /// Texts that were signed there, in the order in which they were.
    pub texts: Vec<SignedText>,
    /// Keys that signed the events.
    pub keys: BTreeSet<Kid>,
    /// Writer epochs of the events, ascending.
    pub epochs: BTreeSet<u64>,
}

/// A number that both branches made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Twice {
    /// N.
    pub number: u64,
    /// Whether the checkpoints of both are signed.
    pub sealed: bool,
    /// Whether both are one and the same page.
    pub same: bool,
    /// The two signed roots, when they contradict each other.
    pub proof: Option<ForkProof>,
}

/// Where two ledgers part, and what each has behind it.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What they are to each other.
    pub relation: Relation,
    /// Name of our Common and of theirs.
    pub origins: [Origin; 2],
    /// Our charter's fingerprint and theirs.
    pub fingerprints: [Hash; 2],
    /// Whether both begin with one and the same event.
    pub same_first_event: bool,
    /// The last event that both have.
    pub last_common: Option<Place>,
    /// What is behind it in ours.
    pub ours: Branch,
    /// What is behind it in theirs.
    pub theirs: Branch,
    /// Numbers that both made, ascending.
    pub twice: Vec<Twice>,
    /// Papers that both decided, and not alike: our answer and theirs.
    pub answers_differ: Vec<(Pid, String, String)>,
}

/// The other ledger, copied, opened and verified, with the comparison.
pub struct Branches {
    comparison: Comparison,
    ours: Books,
    theirs: Books,
    other: Broker,
    /// Holds the copy as long as it is read.
    _staging: tempfile::TempDir,
}

impl std::fmt::Debug for Branches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Branches({:?})", self.comparison.relation)
    }
}

/// [`Branches::compare`] for the desk in `dir`, which is only read: also while it is halted or somebody writes.
///
/// # Errors
/// As [`Branches::compare`], and those of opening ours.
pub fn compare_folders(dir: &Path, other: &Path) -> Outcomes<Branches> {
    Branches::compare(&Broker::look(dir)?, other)
}

impl Branches {
    /// Compares our ledger, opened in any way, with the one at `other`: a ledger's folder, or its database. The other is copied first, and only
    /// the copy is opened; nothing beside it is written, so it may lie on a read-only medium.
    ///
    /// # Errors
    /// `chain-broken` and `ledger-fault` when either fails the checks of a start, saying which; `not-found`, `file-fault`, `another-writer`
    /// of the other.
    pub fn compare(ours: &Broker, other: &Path) -> Outcomes<Branches> {
        let our_books = books_of(ours, false).map_err(|fault| {
            of(fault, "our ledger", "nothing was compared; see docs/recovery.md, and run this again when ours is whole")
        })?;
        let staging = staging()?;
        copy_database(other, DATABASE_FILE, LOCK_FILE, staging.path()).map_err(|fault| match fault.rule {
            Rule::LedgerFault => Problem::from(fault).advising("this is no whole ledger, and ours was not touched: name another copy"),
            _ => Problem::from(fault),
        })?;
        let opened = Broker::foreign(staging.path()).and_then(|theirs| Ok((books_of(&theirs, true)?, theirs)));
        let advice = "ours is whole and was not touched; this copy tells nothing, bring another one, and keep this one as evidence";
        let (their_books, theirs) = opened.map_err(|fault| of(fault, &format!("the other ledger, {}", other.display()), advice))?;
        let comparison = comparison(ours, &theirs, &our_books, &their_books)?;
        Ok(Branches { comparison, ours: our_books, theirs: their_books, other: theirs, _staging: staging })
    }

    /// Where they part.
    pub fn comparison(&self) -> &Comparison {
        &self.comparison
    }

    /// The other ledger: our copy of it, opened read-only.
    pub fn other(&self) -> &Broker {
        &self.other
    }

    /// What follows from the events of one of the two.
    pub fn books(&self, which: Which) -> &Books {
        match which {
            Which::Ours => &self.ours,
            Which::Theirs => &self.theirs,
        }
    }

    /// Texts that were signed in one branch and that the other ledger has not signed: what a resume order has to settle when that branch goes.
    pub fn to_settle(&self, goes: Which) -> Vec<&SignedText> {
        let (goes, stays) = match goes {
            Which::Ours => (&self.comparison.ours, &self.comparison.theirs),
            Which::Theirs => (&self.comparison.theirs, &self.comparison.ours),
        };
        let kept: BTreeSet<Hash> = stays.texts.iter().map(|text| text.sha256).collect();
        goes.texts.iter().filter(|text| !kept.contains(&text.sha256)).collect()
    }
}

impl Relation {
    /// In words, of the other ledger.
    pub fn word(self) -> &'static str {
        match self {
            Relation::Equal => "is equal",
            Relation::OursIsOlder => "goes on where ours ends",
            Relation::TheirsIsOlder => "is an older copy of ours",
            Relation::Forked => "is a fork of ours",
            Relation::OtherCommon => "is that of another Common",
        }
    }
}

impl Comparison {
    /// What one of the two has behind the last common event.
    pub fn branch(&self, which: Which) -> &Branch {
        match which {
            Which::Ours => &self.ours,
            Which::Theirs => &self.theirs,
        }
    }
}

fn of(fault: Fault, whose: &str, next: &str) -> Problem {
    Problem::from(fault.within(whose)).advising(next)
}

/// Verifies a ledger as a start does, and folds it.
pub(super) fn books_of(ledger: &Broker, deep: bool) -> Checked<Books> {
    let charter = founding_charter(ledger)??;
    ledger.start_up_check(&CheckInput { ledger_keys: &[charter.ledger_public], deep, must_hold: &[] })?.into_checked()?;
    let mut books = Books::default();
    ledger.for_each(1, |event| books.apply(&event))?;
    Ok(books)
}

/// The charter's fingerprint: the root of the log of one record (SPEC 4.5).
pub(super) fn fingerprint(books: &Books) -> Checked<Hash> {
    books.log().root_at(1).ok_or_else(|| Fault::new(Rule::LedgerFault, "no record found; that of the charter expected"))
}

fn comparison(ours: &Broker, theirs: &Broker, our_books: &Books, their_books: &Books) -> Checked<Comparison> {
    let fingerprints = [fingerprint(our_books)?, fingerprint(their_books)?];
    let common = ours.last_common(theirs)?;
    let (our_branch, their_branch) = (branch_of(ours, our_books, common)?, branch_of(theirs, their_books, common)?);
    let relation = match (our_branch.events, their_branch.events) {
        _ if fingerprints[0] != fingerprints[1] => Relation::OtherCommon,
        (0, 0) => Relation::Equal,
        (0, _) => Relation::OursIsOlder,
        (_, 0) => Relation::TheirsIsOlder,
        _ => Relation::Forked,
    };
    let (mut twice, mut answers_differ) = (Vec::new(), Vec::new());
    if relation == Relation::Forked {
        twice = numbers_of_both(our_books, their_books, &our_branch, &their_branch)?;
        let both = our_branch.decided.iter().filter_map(|(pid, ours)| Some((*pid, ours.clone(), their_branch.decided.get(pid)?.clone())));
        answers_differ = both.filter(|(_, ours, theirs)| ours != theirs).collect();
    }
    Ok(Comparison {
        relation,
        origins: [our_books.origin()?.clone(), their_books.origin()?.clone()],
        fingerprints,
        same_first_event: common > 0,
        last_common: ours.by_seq_no(common)?.as_ref().map(Place::of),
        ours: our_branch,
        theirs: their_branch,
        twice,
        answers_differ,
    })
}

impl Place {
    fn of(event: &Event) -> Place {
        Place { seq_no: event.seq_no, event_id: event.event_id.clone(), event_hash: event.event_hash }
    }
}

/// What a ledger has behind the event with number `common`.
fn branch_of(ledger: &Broker, books: &Books, common: u64) -> Checked<Branch> {
    let mut branch = Branch { last: ledger.latest()?.as_ref().map(Place::of), ..Branch::default() };
    ledger.for_each(common + 1, |event| branch.take(books, &event))?;
    Ok(branch)
}

impl Branch {
    fn take(&mut self, books: &Books, event: &Event) -> Checked<()> {
        self.events += 1;
        self.keys.insert(event.public_key_id);
        self.epochs.insert(event.writer_epoch);
        match event.event_type {
            EventType::Opened => self.sessions.push(Opened::from_cbor(&event.payload)?.session),
            EventType::Verdict => self.decide(books, &Ruling::from_cbor(&event.payload)?),
            EventType::Sealed => self.seal(books, &Sealed::from_cbor(&event.payload)?)?,
            _ => {}
        }
        Ok(())
    }

    fn decide(&mut self, books: &Books, ruling: &Ruling) {
        let number = ruling.record.as_ref().map(|record| record.number);
        if let Some((number, root)) = number.and_then(|number| Some((number, books.log().root_at(number)?))) {
            self.records.push(Made { head: Head { number, root }, pid: ruling.pid, sealed: false });
        }
        let number = number.map_or(String::new(), |number| format!(" as common@{number}"));
        self.decided.insert(ruling.pid, format!("{}{number}", ruling.verdict.line()));
    }

    fn seal(&mut self, books: &Books, sealed: &Sealed) -> Checked<()> {
        for (number, _) in &sealed.checkpoints {
            self.records.iter_mut().filter(|made| made.head.number == *number).for_each(|made| made.sealed = true);
            let sha256 = Hash::of(publish::checkpoint_text(books, *number)?.as_bytes());
            self.texts.push(SignedText { sha256, what: format!("checkpoint of common@{number}") });
        }
        let at = books.headings().iter().position(|heading| heading.session == sealed.session);
        let Some(session) = at.map(|at| books.session(at)).transpose()? else { return Ok(()) };
        let noted: BTreeMap<Pid, &Ruling> = session.rulings.iter().map(|ruling| (ruling.pid, ruling)).collect();
        for ruling in sealed.notes.iter().filter_map(|(pid, _)| noted.get(pid)) {
            let sha256 = Hash::of(publish::note_text(books, &session, ruling)?.as_bytes());
            let what = format!("note on paper {} in session {}: {}", ruling.pid, sealed.session, ruling.verdict.line());
            self.texts.push(SignedText { sha256, what });
        }
        Ok(())
    }
}

fn numbers_of_both(our_books: &Books, their_books: &Books, ours: &Branch, theirs: &Branch) -> Checked<Vec<Twice>> {
    let key = our_books.log_key()?;
    let theirs: BTreeMap<u64, &Made> = theirs.records.iter().map(|made| (made.head.number, made)).collect();
    let mut out = Vec::new();
    for (made, other) in ours.records.iter().filter_map(|made| Some((made, *theirs.get(&made.head.number)?))) {
        let (number, same) = (made.head.number, made.head == other.head);
        let sealed = made.sealed && other.sealed;
        let mut proof = None;
        if sealed && !same {
            // Each is verified under the log key: a branch with a signature that does not hold proves nothing.
            let signed = |books| Statement::read(publish::checkpoint(books, number)?.as_bytes(), key);
            if let (Ok(ours), Ok(theirs)) = (signed(our_books), signed(their_books)) {
                proof = ForkProof::of(key, &ours, &theirs)?;
            }
        }
        out.push(Twice { number, sealed, same, proof });
    }
    Ok(out)
}

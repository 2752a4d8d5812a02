//! The books: everything that follows from the ledger's events, folded in order.
//!
//! Events are the truth, the books are derived from them and nothing else. The fold checks what it reads: numbers, roots, records and
//! policies must be what the papers make them. What it keeps is what later papers are judged by; what was answered is read again where the
//! ledger is at hand ([`super::sessions`]).

use std::collections::BTreeMap;
use std::sync::Arc;

mod fold;

use super::charter::Charter;
use super::ids::{Hash, Head, Origin, Party, Pid};
use super::keyring::{Keyring, Roll};
use super::note::VerifierKey;
use super::order::Authority;
use super::payload::Ruling;
use super::policy::Policy;
use super::proposal::Proposal;
use super::quorum::Valid;
use super::record::Record;
use super::rules::{Checked, Fault, Rule};
use super::sessions::{Events, Heading, Past, Session, Sitting};
use super::state::State;
use super::tree::Log;
use super::trouble::Trouble;

pub use fold::apply;

/// A paper that waits.
#[derive(Clone, Debug)]
pub struct HeldPaper {
    /// Its payload.
    pub payload: Vec<u8>,
    /// What it asks for.
    pub proposal: Proposal,
    /// The signatures the ledger holds for it.
    pub valid: Valid,
    /// N of the head before the session in which it first came.
    pub first_number: u64,
    /// The objects the ledger holds for it, with their sizes.
    pub objects: BTreeMap<Hash, u64>,
}

/// Everything that follows from the events.
#[derive(Clone, Default)]
pub struct Books {
    charter: Option<Charter>,
    log: Log,
    state: State,
    policy: Option<Policy>,
    keyring: Keyring,
    roll: Roll,
    policies: BTreeMap<Hash, Policy>,
    headings: Vec<Heading>,
    past: Past,
    sitting: Option<Sitting>,
    answers: BTreeMap<(&'static str, &'static str), u64>,
    decided: BTreeMap<Pid, Decided>,
    held: BTreeMap<Pid, HeldPaper>,
    sequences: BTreeMap<Party, BTreeMap<u64, Bound>>,
    packed: BTreeMap<Hash, Packed>,
    trouble: Trouble,
    last_hash: [u8; 32],
    last_session: u64,
    next_index: u64,
}

/// Where a paper was decided. Of these there is one for each paper ever: they are kept small.
#[derive(Clone, Copy)]
struct Decided {
    /// Place of the session among the sessions.
    session: u32,
    /// Place of the answer among its answers.
    at: u32,
    is_accepted: bool,
}

/// The paper that has a sequence number, and the session in which it came.
#[derive(Clone, Copy)]
struct Bound {
    session: u32,
    pid: Pid,
}

/// An object in a pack.
#[derive(Clone, Copy)]
struct Packed {
    session: u32,
    size: u64,
}

/// The final answer to a paper, in its session.
pub struct Answered {
    session: Arc<Session>,
    at: usize,
}

impl Answered {
    /// The session that decided the paper.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The answer.
    pub fn ruling(&self) -> &Ruling {
        &self.session.rulings[self.at]
    }
}

fn broken(found: impl Into<String>) -> Fault {
    Fault::new(Rule::LedgerFault, found)
}

impl Books {
    /// Books that fold what is read from a ledger that stays at hand: sessions are read again from there.
    pub fn over(events: Arc<dyn Events>) -> Books {
        Books { past: Past::read_again(events), ..Books::default() }
    }

    /// Halts, what ended them, and the orders that were carried out.
    pub fn trouble(&self) -> &Trouble {
        &self.trouble
    }

    /// What an order is checked against.
    ///
    /// # Errors
    /// As [`Books::charter`].
    pub fn authority(&self) -> Checked<Authority<'_>> {
        Ok(Authority { origin: self.origin()?, policy: self.policy()?, keyring: &self.keyring, log: &self.log })
    }

    /// The charter.
    ///
    /// # Errors
    /// `ledger-fault` when nothing was founded yet.
    pub fn charter(&self) -> Checked<&Charter> {
        self.charter.as_ref().ok_or_else(|| broken("the ledger holds no charter"))
    }

    /// Our origin.
    ///
    /// # Errors
    /// As [`Books::charter`].
    pub fn origin(&self) -> Checked<&Origin> {
        self.charter().map(|charter| &charter.origin)
    }

    /// The log key in force.
    ///
    /// # Errors
    /// As [`Books::charter`].
    pub fn log_key(&self) -> Checked<&VerifierKey> {
        self.charter().map(|charter| &charter.log)
    }

    /// The policy in force.
    ///
    /// # Errors
    /// As [`Books::charter`].
    pub fn policy(&self) -> Checked<&Policy> {
        self.policy.as_ref().ok_or_else(|| broken("the ledger holds no policy"))
    }

    /// Keys of the policy in force.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Names and keys ever given to somebody.
    pub fn roll(&self) -> &Roll {
        &self.roll
    }

    /// Every policy that was ever in force, by hash.
    pub fn policies(&self) -> &BTreeMap<Hash, Policy> {
        &self.policies
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The head.
    pub fn head(&self) -> Head {
        self.log.head()
    }

    /// The record of number N.
    ///
    /// # Errors
    /// `internal-fault` when there is none; those of reading its session again.
    pub fn record(&self, number: u64) -> Checked<Record> {
        let session = self.session(self.session_of(number))?;
        let made = session.made(number).map(|(_, record)| record.clone());
        made.ok_or_else(|| Fault::new(Rule::InternalFault, format!("record {number} asked for; {} there", self.log.size())))
    }

    /// Place of the session that made number N.
    pub fn session_of(&self, number: u64) -> usize {
        self.headings.partition_point(|heading| heading.end.is_some_and(|end| end.after.number < number))
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What is known of every session without reading it.
    pub fn headings(&self) -> &[Heading] {
        &self.headings
    }

    /// The whole of the session at this place.
    ///
    /// # Errors
    /// `internal-fault` when there is none; `ledger-fault` when it is read again and found to be another; those of the disk.
    pub fn session(&self, at: usize) -> Checked<Arc<Session>> {
        let none = || Fault::new(Rule::InternalFault, format!("session at {at} asked for; {} there", self.headings.len()));
        let heading = self.headings.get(at).ok_or_else(none)?;
        self.past.session(at, heading, &|hash| self.packed.get(hash).is_some_and(|packed| packed.session as usize == at))
    }

    /// All sessions, each read when its turn comes.
    pub fn sessions(&self) -> impl DoubleEndedIterator<Item = Checked<Arc<Session>>> + '_ {
        (0..self.headings.len()).map(|at| self.session(at))
    }

    /// The last session.
    ///
    /// # Errors
    /// As [`Books::session`].
    pub fn last_session(&self) -> Checked<Option<Arc<Session>>> {
        self.headings.len().checked_sub(1).map(|at| self.session(at)).transpose()
    }

    /// The number of the last session; 0 also before the first.
    pub fn last_session_number(&self) -> u64 {
        self.last_session
    }

    /// How often each answer was given, by verdict and rule; the rule is empty for accepted papers.
    pub fn answers(&self) -> &BTreeMap<(&'static str, &'static str), u64> {
        &self.answers
    }

    /// Papers with a final answer.
    pub fn decided_count(&self) -> u64 {
        self.decided.len() as u64
    }

    /// The number the next session gets.
    pub fn next_session(&self) -> u64 {
        if self.headings.is_empty() { 0 } else { self.last_session + 1 }
    }

    /// The id of the next event outside a new session.
    pub fn next_event_id(&self) -> String {
        format!("{}/{}", self.last_session, self.next_index)
    }

    /// The session whose results are not signed yet.
    pub fn unsealed(&self) -> Option<&Heading> {
        self.headings.last().filter(|heading| !heading.is_sealed)
    }

    /// Whether a paper was accepted; `None` when it has no final answer.
    pub fn was_accepted(&self, pid: &Pid) -> Option<bool> {
        self.decided.get(pid).map(|decided| decided.is_accepted)
    }

    /// The number of the session that decided a paper.
    pub fn decided_in(&self, pid: &Pid) -> Option<u64> {
        self.decided.get(pid).map(|decided| self.headings[decided.session as usize].session)
    }

    /// The final answer to a paper.
    ///
    /// # Errors
    /// As [`Books::session`].
    pub fn answered(&self, pid: &Pid) -> Checked<Option<Answered>> {
        let Some(Decided { session, at, .. }) = self.decided.get(pid) else { return Ok(None) };
        Ok(Some(Answered { session: self.session(*session as usize)?, at: *at as usize }))
    }

    /// Papers that wait, by id.
    pub fn held(&self) -> &BTreeMap<Pid, HeldPaper> {
        &self.held
    }

    /// The paper that bound a member's sequence number.
    pub fn bound(&self, author: &Party, sequence: u64) -> Option<Pid> {
        self.sequences.get(author)?.get(&sequence).map(|bound| bound.pid)
    }

    /// Objects in published packs, with their sizes.
    pub fn packed(&self) -> impl Iterator<Item = (&Hash, u64)> {
        self.packed.iter().map(|(hash, packed)| (hash, packed.size))
    }

    /// Place of the session in whose pack an object is.
    pub fn packed_in(&self, hash: &Hash) -> Option<usize> {
        self.packed.get(hash).map(|packed| packed.session as usize)
    }

    /// Whether an object is in a published pack.
    pub fn is_packed(&self, hash: &Hash) -> bool {
        self.packed.contains_key(hash)
    }

    /// Hash of the ledger's last event.
    pub fn last_hash(&self) -> [u8; 32] {
        self.last_hash
    }
}

//! The books: everything that follows from the ledger's events, folded in order.
//!
//! Events are the truth, the books are derived from them and nothing else. The fold checks what it reads: numbers, roots, records and
//! policies must be what the papers make them.

use std::collections::BTreeMap;

use super::cbor::Canonical;
use super::charter::Charter;
use super::cose::PaperKind;
use super::event::{Event, EventType};
use super::halt::{Halt, Recover, Resume};
use super::ids::{Hash, Head, Origin, Party, Pid};
use super::keyring::{Keyring, Roll};
use super::note::VerifierKey;
use super::objects::Rows;
use super::order::Authority;
use super::payload::{Closed, Opened, Ruling, Sealed};
use super::policy::Policy;
use super::proposal::{Operation, Proposal};
use super::quorum::Valid;
use super::record::Record;
use super::rules::{Checked, Fault, Rule};
use super::state::State;
use super::tree::{Log, leaf_hash};
use super::trouble::Trouble;
use super::verdict::Verdict;

/// One session as the ledger has it.
#[derive(Clone, Debug)]
pub struct Session {
    /// What it judged.
    pub opened: Opened,
    /// Answers, in the order judged.
    pub rulings: Vec<Ruling>,
    /// Objects of its accepted papers that are in no earlier pack, with their sizes.
    pub pack: BTreeMap<Hash, u64>,
    /// How it ended.
    pub closed: Option<Closed>,
    /// Hash of its `closed` event.
    pub closed_hash: [u8; 32],
    /// The signatures over its results.
    pub sealed: Option<Sealed>,
}

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
    records: Vec<Record>,
    state: State,
    policy: Option<Policy>,
    keyring: Keyring,
    roll: Roll,
    policies: BTreeMap<Hash, Policy>,
    sessions: Vec<Session>,
    decided: BTreeMap<Pid, (usize, usize)>,
    held: BTreeMap<Pid, HeldPaper>,
    sequences: BTreeMap<(Party, u64), (usize, Pid)>,
    packed: BTreeMap<Hash, u64>,
    trouble: Trouble,
    last_hash: [u8; 32],
    last_session: u64,
    next_index: u64,
}

fn broken(found: impl Into<String>) -> Fault {
    Fault::new(Rule::LedgerFault, found)
}

impl Books {
    /// Folds one event in.
    ///
    /// # Errors
    /// `ledger-fault` when the event contradicts what came before it; parse faults of its payload.
    pub fn apply(&mut self, event: &Event) -> Checked<()> {
        match event.event_type {
            EventType::Opened => self.open(Opened::from_cbor(&event.payload)?, event)?,
            EventType::Verdict | EventType::Notice => self.rule(Ruling::from_cbor(&event.payload)?)?,
            EventType::Closed => self.close(Closed::from_cbor(&event.payload)?, event.event_hash)?,
            EventType::Sealed => self.seal(Sealed::from_cbor(&event.payload)?)?,
            EventType::Halt => self.trouble.halt(Halt::from_cbor(&event.payload)?)?,
            EventType::Resume => self.resume(&Resume::from_cbor(&event.payload)?)?,
            EventType::Recover => self.recover(&Recover::from_cbor(&event.payload)?)?,
            other => {
                return Err(broken(format!("event {} is of type {}, which this tabellion does not write", event.seq_no, other.as_str())));
            }
        }
        let expected = format!("{}/{}", self.last_session, self.next_index);
        if event.event_id != expected {
            return Err(broken(format!("event {} has the id {}; {expected} expected", event.seq_no, event.event_id)));
        }
        self.last_hash = event.event_hash;
        self.next_index += 1;
        Ok(())
    }

    fn open(&mut self, opened: Opened, event: &Event) -> Checked<()> {
        self.trouble.check_not_halted(opened.session)?;
        if self.sessions.last().is_some_and(|session| session.sealed.is_none()) {
            return Err(broken(format!("session {} is opened before the one before it is sealed", opened.session)));
        }
        if opened.session != self.next_session() || opened.before != self.head() {
            return Err(broken(format!(
                "session {} on {} found; session {} on {} expected",
                opened.session,
                opened.before,
                self.next_session(),
                self.head()
            )));
        }
        if event.timestamp != opened.time.unwrap_or(0) {
            return Err(broken(format!("event {} has the time {}, its session {:?}", event.seq_no, event.timestamp, opened.time)));
        }
        if let Some(policy) = self.policy.as_ref().map(Policy::hash).filter(|hash| *hash != opened.policy) {
            return Err(broken(format!("session {} names policy {}; {policy} is in force", opened.session, opened.policy)));
        }
        self.last_session = opened.session;
        self.next_index = 0;
        self.sessions.push(Session {
            opened,
            rulings: Vec::new(),
            pack: BTreeMap::new(),
            closed: None,
            closed_hash: [0; 32],
            sealed: None,
        });
        Ok(())
    }

    fn rule(&mut self, ruling: Ruling) -> Checked<()> {
        let index = self.sessions.len().checked_sub(1).ok_or_else(|| broken("a verdict before the first session"))?;
        if self.decided.contains_key(&ruling.pid) {
            return Err(broken(format!("paper {} has two verdicts", ruling.pid)));
        }
        let expected = (ruling.pid, ruling.envelope.env());
        if self.sessions[index].closed.is_some() {
            return Err(broken(format!("paper {} is answered after its session was closed", ruling.pid)));
        }
        if self.sessions[index].opened.judged.binary_search(&expected).is_err() {
            return Err(broken(format!("paper {} is answered but was not opened", ruling.pid)));
        }
        match ruling.envelope.kind {
            PaperKind::Charter => self.found(&ruling)?,
            PaperKind::Proposal => self.rule_proposal(&ruling, index)?,
            other => return Err(broken(format!("an answer to a {} found", other.media_type()))),
        }
        if ruling.verdict.is_final() {
            self.decided.insert(ruling.pid, (index, self.sessions[index].rulings.len()));
        }
        self.sessions[index].rulings.push(ruling);
        Ok(())
    }

    fn found(&mut self, ruling: &Ruling) -> Checked<()> {
        if self.charter.is_some() {
            return Err(broken("a second charter"));
        }
        let charter = Charter::from_cbor(&ruling.envelope.payload)?;
        self.put_in_force(charter.policy.clone());
        self.charter = Some(charter);
        self.enter_record(ruling)
    }

    fn rule_proposal(&mut self, ruling: &Ruling, session: usize) -> Checked<()> {
        let proposal = Proposal::from_cbor(&ruling.envelope.payload)?;
        let key = (proposal.author.clone(), proposal.sequence);
        self.held.remove(&ruling.pid);
        if ruling.held.is_none_or(|held| held.kept) && ruling.verdict.rule() != Some(Rule::SequenceTaken) {
            // SPEC 6.4: an earlier session before a later one, within a session the lowest pid, whatever the turn.
            let bound = self.sequences.entry(key).or_insert((session, ruling.pid));
            if bound.0 == session {
                bound.1 = bound.1.min(ruling.pid);
            }
        }
        if let Some(held) = ruling.held.filter(|held| held.kept) {
            let valid = ruling.envelope.signers.iter().map(|signer| (signer.kid, signer.signature)).collect();
            let objects = sizes(&ruling.objects);
            let payload = ruling.envelope.payload.clone();
            self.held.insert(ruling.pid, HeldPaper { payload, proposal, valid, first_number: held.first_number, objects });
        } else if ruling.verdict == Verdict::Accepted {
            apply(&mut self.state, &proposal);
            self.pack(sizes(&ruling.objects));
            if let Some(policy) = proposal.sets_policy() {
                self.put_in_force(policy.clone());
            }
            self.enter_record(ruling)?;
        }
        Ok(())
    }

    /// Objects of an accepted paper that are in no pack yet go into this session's.
    fn pack(&mut self, objects: BTreeMap<Hash, u64>) {
        for (hash, size) in objects {
            if self.packed.insert(hash, size).is_none()
                && let Some(session) = self.sessions.last_mut()
            {
                session.pack.insert(hash, size);
            }
        }
    }

    fn enter_record(&mut self, ruling: &Ruling) -> Checked<()> {
        let record = ruling.record.as_ref().ok_or_else(|| broken(format!("paper {} is accepted without a record", ruling.pid)))?;
        let found = (record.number, record.pid, record.env, record.state_root);
        let expected = (self.log.size() + 1, ruling.pid, ruling.envelope.env(), self.state.root());
        if found != expected {
            return Err(broken(format!("record (number, pid, env, state root) {found:?} found; {expected:?} follows from the papers")));
        }
        self.log.push(leaf_hash(&record.to_entry()?));
        self.records.push(record.clone());
        Ok(())
    }

    fn put_in_force(&mut self, policy: Policy) {
        self.roll.enter(&policy);
        self.keyring = policy.keyring();
        self.policies.insert(policy.hash(), policy.clone());
        self.policy = Some(policy);
    }

    fn close(&mut self, closed: Closed, hash: [u8; 32]) -> Checked<()> {
        let (head, root) = (self.head(), self.state.root());
        let session = self.sessions.last_mut().filter(|session| session.closed.is_none() && session.opened.session == closed.session);
        let session = session.ok_or_else(|| broken(format!("session {} is closed but not open", closed.session)))?;
        if closed.after != head || closed.state_root != root {
            return Err(broken(format!("session {} closes on {}; {head} follows from its papers", closed.session, closed.after)));
        }
        let mut answered: Vec<Pid> = session.rulings.iter().map(|ruling| ruling.pid).collect();
        answered.sort();
        if !answered.iter().eq(session.opened.judged.iter().map(|(pid, _)| pid)) {
            return Err(broken(format!("session {} closes without one answer for each of its papers", closed.session)));
        }
        (session.closed, session.closed_hash) = (Some(closed), hash);
        Ok(())
    }

    fn seal(&mut self, sealed: Sealed) -> Checked<()> {
        self.trouble.check_not_halted(sealed.session)?;
        let session = self.sessions.last_mut().filter(|session| session.closed.is_some() && session.sealed.is_none());
        let session = session.filter(|session| session.opened.session == sealed.session);
        let session = session.ok_or_else(|| broken(format!("session {} is sealed but was not closed", sealed.session)))?;
        // What is searched by number or paper must ascend; and it must be there for each ruling, no more and no less.
        let made: Vec<u64> = session.rulings.iter().filter_map(|ruling| ruling.record.as_ref()).map(|record| record.number).collect();
        let mut answered: Vec<Pid> = session.rulings.iter().filter(|ruling| ruling.record.is_none()).map(|ruling| ruling.pid).collect();
        answered.sort();
        let same = sealed.checkpoints.iter().map(|(number, _)| number).eq(&made) && sealed.notes.iter().map(|(pid, _)| pid).eq(&answered);
        if !same {
            return Err(broken(format!("session {} is sealed for other numbers or papers than it decided", sealed.session)));
        }
        session.sealed = Some(sealed);
        Ok(())
    }

    fn resume(&mut self, resume: &Resume) -> Checked<()> {
        let trouble = std::mem::take(&mut self.trouble);
        self.trouble = trouble.resumed(resume, &self.authority()?)?;
        Ok(())
    }

    fn recover(&mut self, recover: &Recover) -> Checked<()> {
        let trouble = std::mem::take(&mut self.trouble);
        self.trouble = trouble.recovered(recover, &self.authority()?)?;
        Ok(())
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

    /// The records, N − 1 first.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// All sessions.
    pub fn sessions(&self) -> &[Session] {
        &self.sessions
    }

    /// The number the next session gets.
    pub fn next_session(&self) -> u64 {
        if self.sessions.is_empty() { 0 } else { self.last_session + 1 }
    }

    /// The id of the next event outside a new session.
    pub fn next_event_id(&self) -> String {
        format!("{}/{}", self.last_session, self.next_index)
    }

    /// The session whose results are not signed yet.
    pub fn unsealed(&self) -> Option<&Session> {
        self.sessions.last().filter(|session| session.sealed.is_none())
    }

    /// The session that decided a paper.
    pub fn decided_in(&self, pid: &Pid) -> Option<&Session> {
        self.decided.get(pid).map(|(session, _)| &self.sessions[*session])
    }

    /// The final answer to a paper.
    pub fn final_ruling(&self, pid: &Pid) -> Option<&Ruling> {
        self.decided.get(pid).map(|(session, at)| &self.sessions[*session].rulings[*at])
    }

    /// Papers that wait, by id.
    pub fn held(&self) -> &BTreeMap<Pid, HeldPaper> {
        &self.held
    }

    /// The paper that bound a member's sequence number.
    pub fn bound(&self, author: &Party, sequence: u64) -> Option<Pid> {
        self.sequences.get(&(author.clone(), sequence)).map(|(_, pid)| *pid)
    }

    /// Objects in published packs, with their sizes.
    pub fn packed(&self) -> &BTreeMap<Hash, u64> {
        &self.packed
    }

    /// Hash of the ledger's last event.
    pub fn last_hash(&self) -> [u8; 32] {
        self.last_hash
    }
}

/// The objects of these rows, with their sizes.
fn sizes(rows: &Rows) -> BTreeMap<Hash, u64> {
    rows.iter().map(|(hash, held)| (*hash, held.size)).collect()
}

/// Applies an accepted paper's operations to the state, all of them.
pub fn apply(state: &mut State, proposal: &Proposal) {
    for operation in &proposal.operations {
        match operation {
            Operation::Remove { name, .. } => state.remove(name),
            Operation::Put { name, entry, .. } => state.put(name.clone(), entry.clone()),
            Operation::SetPolicy { .. } => {}
        }
    }
}

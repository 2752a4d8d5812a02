//! How an event changes the books, and which events they refuse.

use std::collections::BTreeMap;

use super::{Books, Bound, Decided, HeldPaper, Packed, broken};
use crate::core::cbor::Canonical;
use crate::core::charter::Charter;
use crate::core::cose::PaperKind;
use crate::core::event::{Event, EventType};
use crate::core::halt::{Halt, Recover, Resume};
use crate::core::ids::{Hash, Pid};
use crate::core::objects::Rows;
use crate::core::payload::{Closed, Opened, Ruling, Sealed};
use crate::core::policy::Policy;
use crate::core::proposal::{Operation, Proposal};
use crate::core::rules::{Checked, Rule};
use crate::core::sessions::{End, Heading, Part, Sitting};
use crate::core::state::State;
use crate::core::tree::leaf_hash;
use crate::core::verdict::Verdict;

impl Books {
    /// Folds one event in.
    ///
    /// # Errors
    /// `ledger-fault` when the event contradicts what came before it; parse faults of its payload.
    pub fn apply(&mut self, event: &Event) -> Checked<()> {
        let part = Part::read(event)?;
        match &part {
            Some(Part::Opened(opened)) => self.open(opened, event)?,
            Some(Part::Answer(ruling)) => self.rule(ruling)?,
            Some(Part::Closed(closed)) => self.close(closed, event.event_hash)?,
            Some(Part::Sealed(sealed)) => self.seal(sealed)?,
            None => self.apply_order(event)?,
        }
        let expected = format!("{}/{}", self.last_session, self.next_index);
        if event.event_id != expected {
            return Err(broken(format!("event {} has the id {}; {expected} expected", event.seq_no, event.event_id)));
        }
        if part.is_some() || self.sitting.is_some() {
            self.headings.last_mut().into_iter().for_each(|heading| heading.reaches(event));
        }
        if let Some(part) = part {
            let (packed, here) = (&self.packed, self.headings.len().saturating_sub(1));
            self.past.take(part, event.event_hash, &|hash| packed.get(hash).is_some_and(|packed| packed.session as usize == here));
        }
        self.last_hash = event.event_hash;
        self.next_index += 1;
        Ok(())
    }

    /// Notes the hashes of an event that was folded before the database had made them.
    pub fn note_hashes(&mut self, event: &Event) {
        self.last_hash = event.event_hash;
        if let Some(heading) = self.headings.last_mut() {
            heading.note_hashes(event);
        }
    }

    /// A halt, and what ends it.
    fn apply_order(&mut self, event: &Event) -> Checked<()> {
        match event.event_type {
            EventType::Halt => self.trouble.halt(Halt::from_cbor(&event.payload)?),
            EventType::Resume => self.resume(&Resume::from_cbor(&event.payload)?),
            EventType::Recover => self.recover(&Recover::from_cbor(&event.payload)?),
            other => Err(broken(format!("event {} is of type {}, which this tabellion does not write", event.seq_no, other.as_str()))),
        }
    }

    fn open(&mut self, opened: &Opened, event: &Event) -> Checked<()> {
        self.trouble.check_not_halted(opened.session)?;
        if self.unsealed().is_some() {
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
        self.headings.push(Heading::of(opened, event, self.last_hash));
        self.sitting = Some(Sitting { judged: opened.judged.clone(), answered: Vec::new(), made: Vec::new() });
        Ok(())
    }

    fn rule(&mut self, ruling: &Ruling) -> Checked<()> {
        let session = self.headings.len().checked_sub(1).ok_or_else(|| broken("a verdict before the first session"))?;
        if self.decided.contains_key(&ruling.pid) {
            return Err(broken(format!("paper {} has two verdicts", ruling.pid)));
        }
        let expected = (ruling.pid, ruling.envelope.env());
        let sitting = self.sitting.as_ref().filter(|_| self.headings[session].end.is_none());
        let Some(sitting) = sitting else {
            return Err(broken(format!("paper {} is answered after its session was closed", ruling.pid)));
        };
        if sitting.judged.binary_search(&expected).is_err() {
            return Err(broken(format!("paper {} is answered but was not opened", ruling.pid)));
        }
        let at = sitting.answered.len() as u32;
        match ruling.envelope.kind {
            PaperKind::Charter => self.found(ruling)?,
            PaperKind::Proposal => self.rule_proposal(ruling, session)?,
            other => return Err(broken(format!("an answer to a {} found", other.media_type()))),
        }
        if ruling.verdict.is_final() {
            let is_accepted = ruling.verdict == Verdict::Accepted;
            self.decided.insert(ruling.pid, Decided { session: session as u32, at, is_accepted });
        }
        *self.answers.entry((ruling.verdict.word(), ruling.verdict.rule().map_or("", Rule::id))).or_default() += 1;
        if let Some(sitting) = &mut self.sitting {
            sitting.answered.push((ruling.pid, ruling.record.is_some()));
            sitting.made.extend(ruling.record.as_ref().map(|record| record.number));
        }
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
        self.held.remove(&ruling.pid);
        if ruling.held.is_none_or(|held| held.kept) && ruling.verdict.rule() != Some(Rule::SequenceTaken) {
            // SPEC 6.4: an earlier session before a later one, within a session the lowest pid, whatever the turn.
            let (session, pid) = (session as u32, ruling.pid);
            let of_author = self.sequences.entry(proposal.author.clone()).or_default();
            let bound = of_author.entry(proposal.sequence).or_insert(Bound { session, pid });
            if bound.session == session {
                bound.pid = bound.pid.min(pid);
            }
        }
        if let Some(held) = ruling.held.filter(|held| held.kept) {
            let valid = ruling.envelope.signers.iter().map(|signer| (signer.kid, signer.signature)).collect();
            let objects = sizes(&ruling.objects);
            let payload = ruling.envelope.payload.clone();
            self.held.insert(ruling.pid, HeldPaper { payload, proposal, valid, first_number: held.first_number, objects });
        } else if ruling.verdict == Verdict::Accepted {
            apply(&mut self.state, &proposal);
            self.pack(sizes(&ruling.objects), session);
            if let Some(policy) = proposal.sets_policy() {
                self.put_in_force(policy.clone());
            }
            self.enter_record(ruling)?;
        }
        Ok(())
    }

    /// Objects of an accepted paper that are in no pack yet go into this session's.
    fn pack(&mut self, objects: BTreeMap<Hash, u64>, session: usize) {
        for (hash, size) in objects {
            self.packed.entry(hash).or_insert_with(|| {
                self.headings[session].packed += 1;
                Packed { session: session as u32, size }
            });
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
        Ok(())
    }

    fn put_in_force(&mut self, policy: Policy) {
        self.roll.enter(&policy);
        self.keyring = policy.keyring();
        self.policies.insert(policy.hash(), policy.clone());
        self.policy = Some(policy);
    }

    fn close(&mut self, closed: &Closed, hash: [u8; 32]) -> Checked<()> {
        let (head, root) = (self.head(), self.state.root());
        let heading = self.headings.last_mut().filter(|heading| heading.end.is_none() && heading.session == closed.session);
        let (Some(heading), Some(sitting)) = (heading, &self.sitting) else {
            return Err(broken(format!("session {} is closed but not open", closed.session)));
        };
        if closed.after != head || closed.state_root != root {
            return Err(broken(format!("session {} closes on {}; {head} follows from its papers", closed.session, closed.after)));
        }
        let mut answered: Vec<Pid> = sitting.answered.iter().map(|(pid, _)| *pid).collect();
        answered.sort();
        if !answered.iter().eq(sitting.judged.iter().map(|(pid, _)| pid)) {
            return Err(broken(format!("session {} closes without one answer for each of its papers", closed.session)));
        }
        heading.end = Some(End { after: head, hash, pack: closed.pack });
        Ok(())
    }

    fn seal(&mut self, sealed: &Sealed) -> Checked<()> {
        self.trouble.check_not_halted(sealed.session)?;
        let heading = self.headings.last_mut().filter(|heading| heading.end.is_some() && heading.session == sealed.session);
        let (Some(heading), Some(sitting)) = (heading, &self.sitting) else {
            return Err(broken(format!("session {} is sealed but was not closed", sealed.session)));
        };
        // What is searched by number or paper must ascend; and it must be there for each ruling, no more and no less.
        let mut noted: Vec<Pid> = sitting.answered.iter().filter(|(_, made)| !made).map(|(pid, _)| *pid).collect();
        noted.sort();
        let same =
            sealed.checkpoints.iter().map(|(number, _)| number).eq(&sitting.made) && sealed.notes.iter().map(|(pid, _)| pid).eq(&noted);
        if !same {
            return Err(broken(format!("session {} is sealed for other numbers or papers than it decided", sealed.session)));
        }
        heading.is_sealed = true;
        self.sitting = None;
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

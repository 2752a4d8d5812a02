//! Common as a consumer has it: records and papers from a published folder, checked against each other without trusting the folder.
//!
//! The fold recomputes every leaf, pid, env and state root, and counts every paper's signatures by the policy in force. What it yields is true
//! of the log root that it computes; the caller compares that root with one that was signed or pinned.

use std::collections::BTreeSet;

use super::books::apply;
use super::cbor::Canonical;
use super::charter::{self, Charter};
use super::cose::{Envelope, PaperKind, verify_signature};
use super::ids::{Hash, Party};
use super::keyring::{Keyring, Roll};
use super::policy::Policy;
use super::proposal::Proposal;
use super::quorum::{self, Valid};
use super::record::{Record, RecordKind};
use super::rules::{Checked, Fault, Rule};
use super::state::State;
use super::tree::{Log, leaf_hash};

/// One number of Common: its record, and the paper that made it.
#[derive(Clone, Debug)]
pub struct Page {
    /// The record.
    pub record: Record,
    /// The paper's envelope as counted.
    pub envelope: Envelope,
    /// What it asked for; none for the charter.
    pub proposal: Option<Proposal>,
    /// The members who signed, ascending.
    pub signed_by: Vec<Party>,
}

/// Common up to some number, every page checked.
#[derive(Clone, Default)]
pub struct Common {
    pages: Vec<Page>,
    charter: Option<Charter>,
    log: Log,
    state: State,
    policy: Option<Policy>,
    keyring: Keyring,
    roll: Roll,
}

fn fails(number: u64, what: &str, found: impl std::fmt::Display, expected: impl std::fmt::Display) -> Fault {
    Fault::new(Rule::ProofFails, format!("common@{number}: {what} {found} in the record; {expected} follows from the papers"))
}

impl Common {
    /// Adds the next page: a log entry, and the paper that belongs to it.
    ///
    /// # Errors
    /// `record-form`, `proof-fails`, and the parse faults of record and paper.
    pub fn push(&mut self, entry: &[u8], paper: &[u8]) -> Checked<()> {
        let number = self.log.size() + 1;
        let record = Record::from_cbor(entry).map_err(|fault| Fault::new(Rule::RecordForm, format!("common@{number}: {}", fault.found)))?;
        if record.number != number {
            return Err(fails(number, "number", record.number, number));
        }
        // The hash first: what the log did not commit to is not even parsed.
        if record.env != Hash::of(paper) {
            return Err(fails(number, "envelope", record.env, Hash::of(paper)));
        }
        let envelope = Envelope::from_cbor(paper)?;
        if record.pid != envelope.pid() {
            return Err(fails(number, "paper", record.pid, envelope.pid()));
        }
        let page = match record.kind {
            RecordKind::Charter => self.found(record, envelope)?,
            RecordKind::Proposal | RecordKind::Policy => self.turn(record, envelope)?,
            other => return Err(Fault::new(Rule::RecordForm, format!("common@{number} is a {} record", other.word()))),
        };
        if page.record.state_root != self.state.root() {
            return Err(fails(number, "state root", page.record.state_root, self.state.root()));
        }
        self.log.push(leaf_hash(entry));
        self.pages.push(page);
        Ok(())
    }

    fn found(&mut self, record: Record, envelope: Envelope) -> Checked<Page> {
        if record.number != 1 {
            return Err(fails(record.number, "record of kind", "charter", "another kind"));
        }
        let verified = charter::verify(&envelope.to_cbor())?;
        let charter = verified.charter();
        let keys = record.keys.as_ref().map(|keys| (&keys.log, keys.ledger_public));
        if keys != Some((&charter.log, charter.ledger_public))
            || record.next != Some(charter.next)
            || record.policy != charter.policy.hash()
        {
            return Err(fails(1, "keys and policy", "others", "those of the charter"));
        }
        self.put_in_force(charter.policy.clone());
        self.charter = Some(charter.clone());
        let signers: BTreeSet<Party> =
            envelope.signers.iter().filter_map(|signer| self.keyring.get(&signer.kid)).map(|key| key.member.clone()).collect();
        Ok(Page { record, envelope, proposal: None, signed_by: signers.into_iter().collect() })
    }

    fn turn(&mut self, record: Record, envelope: Envelope) -> Checked<Page> {
        let number = record.number;
        let policy = self.policy.as_ref().ok_or_else(|| fails(number, "first record of kind", record.kind.word(), "charter"))?;
        if record.policy != policy.hash() {
            return Err(fails(number, "policy", record.policy, policy.hash()));
        }
        if envelope.kind != PaperKind::Proposal {
            return Err(fails(number, "paper of kind", envelope.kind.media_type(), PaperKind::Proposal.media_type()));
        }
        let proposal = Proposal::from_cbor(&envelope.payload)?;
        let origin = &self.charter()?.origin;
        if proposal.origin != *origin {
            return Err(fails(number, "paper for", &proposal.origin, origin));
        }
        let new_policy = proposal.sets_policy().cloned();
        if let Some(next) = &new_policy {
            // Before its groups are counted: only those of a sound policy are known to end.
            next.check_sound()?;
            self.roll.check_reuse(policy, next)?;
        }
        let signed_by = self.check_signatures(number, policy, &proposal, &envelope)?;
        if record.new_policy != new_policy.as_ref().map(Policy::hash) {
            return Err(fails(number, "new policy", "another", "the paper's"));
        }
        apply(&mut self.state, &proposal);
        if let Some(policy) = new_policy {
            self.put_in_force(policy);
        }
        Ok(Page { record, envelope, proposal: Some(proposal), signed_by })
    }

    /// Every signature in the envelope is valid and by a member, the author's is among them, and the approvals are complete.
    fn check_signatures(&self, number: u64, policy: &Policy, proposal: &Proposal, envelope: &Envelope) -> Checked<Vec<Party>> {
        let coming = proposal.sets_policy().map(Policy::keyring).unwrap_or_default();
        let mut valid = Valid::new();
        for signer in &envelope.signers {
            let key = self.keyring.active(&signer.kid).or_else(|| coming.active(&signer.kid));
            if !key.is_some_and(|key| verify_signature(&key.public, envelope.kind, signer, &envelope.payload)) {
                return Err(fails(number, "signature by", signer.kid.short(), "a valid one by a member"));
            }
            valid.insert(signer.kid, signer.signature);
        }
        let signed = quorum::signed_by(&self.keyring, &valid);
        if !signed.contains(&proposal.author) {
            return Err(fails(number, "signatures without", &proposal.author, "the author's"));
        }
        for approval in quorum::approvals(policy, &self.keyring, proposal, &valid) {
            if !approval.tally.is_met() {
                return Err(fails(number, "approvals", format_args!("{} of {}", approval.tally.have, approval.group), approval.tally.need));
            }
        }
        let all: BTreeSet<&Party> = signed.into_iter().chain(quorum::signed_by(&coming, &valid)).collect();
        Ok(all.into_iter().cloned().collect())
    }

    fn put_in_force(&mut self, policy: Policy) {
        self.keyring = policy.keyring();
        self.roll.enter(&policy);
        self.policy = Some(policy);
    }

    /// The pages, N − 1 first.
    pub fn pages(&self) -> &[Page] {
        &self.pages
    }

    /// The charter.
    ///
    /// # Errors
    /// `proof-fails` when there is no page yet.
    pub fn charter(&self) -> Checked<&Charter> {
        self.charter.as_ref().ok_or_else(|| Fault::new(Rule::ProofFails, "no record found; the charter expected"))
    }

    /// The policy in force after the last page.
    ///
    /// # Errors
    /// As [`Common::charter`].
    pub fn policy(&self) -> Checked<&Policy> {
        self.policy.as_ref().ok_or_else(|| Fault::new(Rule::ProofFails, "no record found; the charter expected"))
    }

    /// Each policy that was ever in force, with the number that put it in force; the charter's first.
    pub fn policies(&self) -> impl DoubleEndedIterator<Item = (u64, &Policy)> {
        let first = self.charter.iter().map(|charter| (1, &charter.policy));
        first.chain(self.pages.iter().filter_map(|page| Some((page.record.number, page.proposal.as_ref()?.sets_policy()?))))
    }

    /// The policy in force after number `number`: the one that judges the papers of the next session.
    ///
    /// # Errors
    /// As [`Common::charter`].
    pub fn policy_at(&self, number: u64) -> Checked<&Policy> {
        let last = self.policies().rev().find(|(since, _)| *since <= number).map(|(_, policy)| policy);
        last.ok_or_else(|| Fault::new(Rule::ProofFails, "no record found; the charter expected"))
    }

    /// Every name and key that was ever given to somebody.
    pub fn roll(&self) -> &Roll {
        &self.roll
    }

    /// Keys of the policy in force.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The state after the last page.
    pub fn state(&self) -> &State {
        &self.state
    }
}

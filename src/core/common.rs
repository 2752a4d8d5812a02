//! Common as a consumer has it: records and papers from a published folder, checked against each other without trusting the folder.
//!
//! The fold recomputes every leaf, pid, env and state root, and counts every paper's signatures by the policy in force. What it yields is true
//! of the log root that it computes; the caller compares that root with one that was signed or pinned.

use std::collections::BTreeSet;

use super::books::apply;
use super::cbor::Canonical as _;
use super::charter::{self, Charter};
use super::cose::Envelope;
use super::ids::Party;
use super::keyring::{Keyring, Roll};
pub use super::page::Page;
use super::page::{self, fails};
use super::policy::Policy;
use super::record::{Record, RecordKind};
use super::rules::{Checked, Fault, Rule};
use super::state::State;
use super::tree::{Log, leaf_hash};

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

impl Common {
    /// Adds the next page: a log entry, and the paper that belongs to it.
    ///
    /// # Errors
    /// `record-form`, `proof-fails`, and the parse faults of record and paper.
    pub fn push(&mut self, entry: &[u8], paper: &[u8]) -> Checked<()> {
        let number = self.log.size() + 1;
        let (record, envelope) = page::open(number, entry, paper)?;
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
        let policy = self.policy.as_ref().ok_or_else(|| fails(record.number, "first record of kind", record.kind.word(), "charter"))?;
        let page = page::turn(record, envelope, &self.charter()?.origin, policy, &self.keyring)?;
        if let Some(proposal) = &page.proposal {
            apply(&mut self.state, proposal);
        }
        if let Some(next) = page.new_policy() {
            self.roll.check_reuse(policy, next)?;
            self.put_in_force(next.clone());
        }
        Ok(page)
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

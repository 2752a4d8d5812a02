//! The pages that follow a pin, checked without those before it.
//!
//! The pin's root is proved by the subtrees before its own record and that record; the record names the policy in force; from there each page is
//! checked as [`super::page`] has it, and the root that its entries lead to is for the caller to compare with a signed one.
//!
//! What takes all pages from the first is not seen here: state roots, and names and keys that were used before.

use super::cbor::Canonical as _;
use super::ids::{Hash, Head, Origin};
use super::keyring::Keyring;
use super::merkle::{Frontier, leaf_hash};
use super::page::{self, Page, fails};
use super::pin::Pin;
use super::policy::Policy;
use super::record::{Record, RecordKind};
use super::rules::{Checked, Fault, Rule};

/// A log from a pin on.
pub struct Stretch {
    origin: Origin,
    log: Frontier,
    policy: Policy,
    keyring: Keyring,
}

/// The kinds of records that change no key: a stretch may go over no other, for from there another key may be in force.
///
/// # Errors
/// `record-form` naming the kind.
pub fn check_kind(record: &Record) -> Checked<()> {
    match record.kind {
        RecordKind::Charter | RecordKind::Proposal | RecordKind::Policy => Ok(()),
        other => Err(Fault::new(Rule::RecordForm, format!("common@{} is a {} record", record.number, other.word()))),
    }
}

impl Stretch {
    /// Begins at a pin: `before` holds the tree of one record less, `entry` is the pinned record, and `policy` finds a policy by its hash.
    ///
    /// # Errors
    /// `proof-fails` when the two do not lead to the pin's root; `record-form`; those of `policy`.
    pub fn begin(pin: &Pin, before: Frontier, entry: &[u8], policy: impl FnOnce(&Hash) -> Checked<Policy>) -> Checked<Stretch> {
        let mut log = before;
        log.push(leaf_hash(entry));
        let found = Head { number: log.size(), root: log.root() };
        if found != pin.head {
            let found = format!("the tiles and the record of common@{} lead to {found}; your pin says {}", pin.head.number, pin.head);
            return Err(Fault::new(Rule::ProofFails, found));
        }
        let within = |fault: Fault| Fault::new(Rule::RecordForm, format!("common@{}: {}", pin.head.number, fault.found));
        let record = Record::from_cbor(entry).map_err(within)?;
        check_kind(&record)?;
        let policy = policy(&record.new_policy.unwrap_or(record.policy))?;
        Ok(Stretch { origin: pin.origin.clone(), log, keyring: policy.keyring(), policy })
    }

    /// Adds the next page: a log entry, and the paper that belongs to it.
    ///
    /// # Errors
    /// `record-form`, `proof-fails`, `policy-unsound`, and the parse faults of record and paper.
    pub fn push(&mut self, entry: &[u8], paper: &[u8]) -> Checked<Page> {
        let number = self.log.size() + 1;
        let (record, envelope) = page::open(number, entry, paper)?;
        check_kind(&record)?;
        if record.kind == RecordKind::Charter {
            return Err(fails(number, "record of kind", "charter", "another kind"));
        }
        let page = page::turn(record, envelope, &self.origin, &self.policy, &self.keyring)?;
        if let Some(policy) = page.new_policy() {
            self.policy = policy.clone();
            self.keyring = policy.keyring();
        }
        self.log.push(leaf_hash(entry));
        Ok(page)
    }

    /// Number and root after the last page.
    pub fn head(&self) -> Head {
        Head { number: self.log.size(), root: self.log.root() }
    }
}

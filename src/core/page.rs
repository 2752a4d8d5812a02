//! One number of Common, and the checks of its record and paper against each other that need nothing but the policy in force.
//!
//! [`super::common`], which has every page from the first, and [`super::stretch`], which begins at a pin, both read pages through this file: what
//! a page must be is written once.

use std::collections::BTreeSet;

use super::cbor::Canonical as _;
use super::cose::{Envelope, PaperKind, verify_signature};
use super::ids::{Hash, Origin, Party};
use super::keyring::Keyring;
use super::policy::Policy;
use super::proposal::Proposal;
use super::quorum::{self, Valid};
use super::record::Record;
use super::rules::{Checked, Fault, Rule};

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

impl Page {
    /// The policy that this page puts in force.
    pub fn new_policy(&self) -> Option<&Policy> {
        self.proposal.as_ref().and_then(Proposal::sets_policy)
    }
}

/// What a record says is not what its paper leads to.
pub(super) fn fails(number: u64, what: &str, found: impl std::fmt::Display, expected: impl std::fmt::Display) -> Fault {
    Fault::new(Rule::ProofFails, format!("common@{number}: {what} {found} in the record; {expected} follows from the papers"))
}

/// The record and the paper of `number`, which the record names by their hashes.
///
/// # Errors
/// `record-form`, `proof-fails`, and the parse faults of the paper.
pub(super) fn open(number: u64, entry: &[u8], paper: &[u8]) -> Checked<(Record, Envelope)> {
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
    Ok((record, envelope))
}

/// The page of a proposal or new policy: judged by `policy`, whose keys are `keyring`, with its author's signature and its approvals.
///
/// # Errors
/// `proof-fails`; `policy-unsound`; the parse faults of the paper.
pub(super) fn turn(record: Record, envelope: Envelope, origin: &Origin, policy: &Policy, keyring: &Keyring) -> Checked<Page> {
    let number = record.number;
    if record.policy != policy.hash() {
        return Err(fails(number, "policy", record.policy, policy.hash()));
    }
    if envelope.kind != PaperKind::Proposal {
        return Err(fails(number, "paper of kind", envelope.kind.media_type(), PaperKind::Proposal.media_type()));
    }
    let proposal = Proposal::from_cbor(&envelope.payload)?;
    if proposal.origin != *origin {
        return Err(fails(number, "paper for", &proposal.origin, origin));
    }
    let new_policy = proposal.sets_policy();
    // Before its groups are counted: only those of a sound policy are known to end.
    new_policy.map_or(Ok(()), Policy::check_sound)?;
    let signed_by = check_signatures(number, policy, keyring, &proposal, &envelope)?;
    if record.new_policy != new_policy.map(Policy::hash) {
        return Err(fails(number, "new policy", "another", "the paper's"));
    }
    Ok(Page { record, envelope, proposal: Some(proposal), signed_by })
}

/// Every signature in the envelope is valid and by a member, the author's is among them, and the approvals are complete.
fn check_signatures(number: u64, policy: &Policy, keyring: &Keyring, proposal: &Proposal, envelope: &Envelope) -> Checked<Vec<Party>> {
    let coming = proposal.sets_policy().map(Policy::keyring).unwrap_or_default();
    let mut valid = Valid::new();
    for signer in &envelope.signers {
        let key = keyring.active(&signer.kid).or_else(|| coming.active(&signer.kid));
        if !key.is_some_and(|key| verify_signature(&key.public, envelope.kind, signer, &envelope.payload)) {
            return Err(fails(number, "signature by", signer.kid.short(), "a valid one by a member"));
        }
        valid.insert(signer.kid, signer.signature);
    }
    let signed = quorum::signed_by(keyring, &valid);
    if !signed.contains(&proposal.author) {
        return Err(fails(number, "signatures without", &proposal.author, "the author's"));
    }
    for approval in quorum::approvals(policy, keyring, proposal, &valid) {
        if !approval.tally.is_met() {
            return Err(fails(number, "approvals", format_args!("{} of {}", approval.tally.have, approval.group), approval.tally.need));
        }
    }
    let all: BTreeSet<&Party> = signed.into_iter().chain(quorum::signed_by(&coming, &valid)).collect();
    Ok(all.into_iter().cloned().collect())
}

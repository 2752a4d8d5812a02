//! Proposing a policy: alone in its paper, compared with the policy in force before anything is signed.

use crate::core::cbor::Canonical as _;
use crate::core::ids::Party;
use crate::core::policy::Policy;
use crate::core::policy_change::{PolicyChange, compare};
use crate::core::proposal::Operation;
use crate::core::quorum::{Approval, approvals};
use crate::core::rules::{Checked, Fault, Rule};
use crate::core::verify::valid_signatures;
use crate::keys::derive::MemberKey;

use super::consumer::state_at;
use super::problem::{Outcomes, Unchanged};
use super::propose::{Proposed, Wish, sign_paper};
use super::signing::member_of;

/// What the author of a policy is shown.
pub struct ProposedPolicy {
    /// The paper.
    pub proposed: Proposed,
    /// What would change.
    pub change: PolicyChange,
    /// Who must approve it, under the policy in force and under the new one.
    pub approvals: Vec<Approval>,
}

/// Makes a paper that sets the policy, and nothing else; keeps a copy beside the pin.
///
/// # Errors
/// `key-mismatch`; `policy-unsound` when it reuses a name or a key; `no-effect` when it is in force already; `expectation-failed` when the
/// folder knows a newer policy than the pin.
pub fn propose_policy(wish: &Wish<'_>, policy: Policy, key: &MemberKey) -> Outcomes<ProposedPolicy> {
    let common = &wish.common.common;
    let (in_force, pinned) = (common.policy()?, common.policy_at(wish.pin.head.number)?);
    let author = member_of(in_force, &key.public_bytes())?;
    check_before_signing(wish, &author, in_force, pinned, &policy).unchanged(|| "nothing was signed or written".into())?;
    let change = compare(in_force, &policy, Some(&state_at(common, wish.common.head.number)));
    let expect = (!wish.overwrite).then(|| pinned.hash());
    let operations = vec![Operation::SetPolicy { policy: Box::new(policy), expect }];
    let (proposal, envelope) = sign_paper(wish, author, operations, key)?;
    let coming = proposal.sets_policy().map(Policy::keyring).unwrap_or_default();
    let approvals = approvals(in_force, common.keyring(), &proposal, &valid_signatures(&envelope, common.keyring(), &coming));
    let proposed = Proposed::bare(envelope.to_cbor(), proposal, envelope.pid());
    Ok(ProposedPolicy { proposed, change, approvals })
}

/// What the witness would refuse, refused before a key is used.
fn check_before_signing(wish: &Wish<'_>, author: &Party, in_force: &Policy, pinned: &Policy, policy: &Policy) -> Checked<()> {
    policy.check_sound()?;
    wish.common.common.roll().check_reuse(in_force, policy)?;
    if policy == in_force {
        return Err(Fault::new(Rule::NoEffect, format!("policy sha256:{} is in force already", policy.hash())));
    }
    if pinned != in_force && !wish.overwrite {
        let found = format!(
            "policy {} is in force in the folder; {} at your pin of common@{}",
            in_force.hash().short(),
            pinned.hash().short(),
            wish.pin.head.number
        );
        return Err(Fault::new(Rule::ExpectationFailed, found));
    }
    if in_force.member(author).is_some_and(|member| member.quota == 0) {
        return Err(Fault::new(Rule::QuotaUsed, format!("quota 0: no paper of {author} is ever accepted; another member may propose it")));
    }
    Ok(())
}

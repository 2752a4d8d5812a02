//! The one function that counts signers: distinct active keys of distinct members (SPEC 6.6).

use std::collections::{BTreeMap, BTreeSet};

use super::cose::Signer;
use super::ids::{Kid, Party};
use super::keyring::Keyring;
use super::policy::Policy;
use super::proposal::{Operation, Proposal};

/// How a group stands: what it has, what it needs, and who has not signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Members with a counted signature, and inner groups that are satisfied.
    pub have: u64,
    /// k.
    pub need: u64,
    /// Members of the expanded group without a counted signature.
    pub missing: Vec<Party>,
}

impl Tally {
    /// Whether the group is satisfied.
    pub fn is_met(&self) -> bool {
        self.have >= self.need
    }
}

/// Valid signatures by key id; the caller verified each over the bytes received.
pub type Valid = BTreeMap<Kid, [u8; 64]>;

/// The members who stand behind a paper: those with a valid signature by a key that is active in `keyring`, each once.
pub fn signed_by<'a>(keyring: &'a Keyring, valid: &Valid) -> BTreeSet<&'a Party> {
    valid.keys().filter_map(|kid| keyring.active(kid)).map(|key| &key.member).collect()
}

/// Counts the members in `signed` for `group`.
pub fn count(policy: &Policy, group: &Party, signed: &BTreeSet<&Party>) -> Tally {
    let missing = policy.expand(group).into_iter().filter(|member| !signed.contains(member)).cloned().collect();
    let Some(group) = policy.group(group) else { return Tally { have: 0, need: 1, missing } };
    let members = group.members.iter().filter(|member| signed.contains(member)).count();
    let groups = group.groups.iter().filter(|inner| count(policy, inner, signed).is_met()).count();
    Tally { have: (members + groups) as u64, need: group.k, missing }
}

/// The signatures of a paper that go into its canonical envelope: for each member in `needed` the lowest active key id that signed.
///
/// A valid signature for each key id is given; which of several was chosen before (the held one, else the bytewise smallest).
pub fn counted(keyring: &Keyring, needed: &BTreeSet<&Party>, valid: &Valid) -> Vec<Signer> {
    let mut out: Vec<Signer> = Vec::new();
    for member in needed {
        if let Some(kid) = keyring.active_of(member).find(|kid| valid.contains_key(kid)) {
            out.push(Signer { kid: *kid, signature: valid[kid] });
        }
    }
    out.sort();
    out
}

/// The groups that must approve a paper, each with the policy it is counted by.
pub fn groups_of<'a>(policy: &'a Policy, proposal: &'a Proposal) -> Vec<(&'a Policy, &'a Party)> {
    if let Some(next) = proposal.sets_policy() {
        return vec![(policy, &policy.governors), (next, &next.governors)];
    }
    let names = proposal.operations.iter().filter_map(Operation::name);
    let groups: BTreeSet<&Party> = names.filter_map(|name| policy.rule_for(name)?.approve.as_ref()).collect();
    groups.into_iter().map(|group| (policy, group)).collect()
}

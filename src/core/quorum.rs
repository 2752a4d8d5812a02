//! The one function that counts signers: distinct active keys of distinct members (SPEC 6.6).

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::cose::Signer;
use super::ids::{Kid, Party};
use super::keyring::Keyring;
use super::limits::GROUP_DEPTH_MAX;
use super::need::Need;
use super::policy::{Member, Policy};
use super::proposal::{Operation, Proposal};

/// How a group stands: what it has, what it needs, and whose signature would still count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Members with a counted signature, and inner groups that are satisfied.
    pub have: u64,
    /// k.
    pub need: u64,
    /// Members with an active key who have not signed, of the group and of its inner groups that are not satisfied; ascending. Nobody when
    /// the group is satisfied.
    pub missing: Vec<Party>,
}

impl Tally {
    /// Whether the group is satisfied.
    pub fn is_met(&self) -> bool {
        self.have >= self.need
    }
}

/// Whose rules an approval is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The policy in force.
    InForce,
    /// The policy that the paper would put in force.
    Coming,
}

/// How one group that must approve a paper stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Approval {
    /// The policy it is counted by.
    pub by: Side,
    /// The group.
    pub group: Party,
    /// How it stands.
    #[serde(flatten)]
    pub tally: Tally,
    /// Whose signatures would complete it; nothing when it is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub still: Option<Need>,
}

/// Valid signatures by key id; the caller verified each over the bytes received.
pub type Valid = BTreeMap<Kid, [u8; 64]>;

/// The members who stand behind a paper: those with a valid signature by a key that is active in `keyring`, each once.
pub fn signed_by<'a>(keyring: &'a Keyring, valid: &Valid) -> BTreeSet<&'a Party> {
    valid.keys().filter_map(|kid| keyring.active(kid)).map(|key| &key.member).collect()
}

/// Counts the members in `signed` for `group` of a sound policy.
pub fn count(policy: &Policy, group: &Party, signed: &BTreeSet<&Party>) -> Tally {
    let mut missing = BTreeSet::new();
    let (have, need) = count_within(policy, group, signed, GROUP_DEPTH_MAX, &mut missing);
    if have >= need {
        missing.clear();
    }
    Tally { have, need, missing: missing.into_iter().cloned().collect() }
}

/// What a group has and needs; puts those whose signature would still count into `missing`. A group that is not there, or that nests
/// deeper than a sound one, is never satisfied.
fn count_within<'a>(
    policy: &'a Policy,
    group: &Party,
    signed: &BTreeSet<&Party>,
    depth: usize,
    missing: &mut BTreeSet<&'a Party>,
) -> (u64, u64) {
    let Some(group) = policy.group(group).filter(|_| depth > 0) else { return (0, 1) };
    let (signers, others): (Vec<&Party>, Vec<&Party>) = group.members.iter().partition(|member| signed.contains(member));
    missing.extend(others.into_iter().filter(|name| policy.member(name).is_some_and(Member::can_sign)));
    let mut have = signers.len() as u64;
    for inner in &group.groups {
        let mut within = BTreeSet::new();
        let (found, needed) = count_within(policy, inner, signed, depth - 1, &mut within);
        if found >= needed {
            have += 1;
        } else {
            missing.extend(within);
        }
    }
    (have, group.k)
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

/// How every group that must approve a paper stands: those of its names, or the governors in force and those to come.
///
/// A policy that is to come must be sound: its groups are walked. Signatures count on each side by that side's active keys alone.
pub fn approvals(policy: &Policy, keyring: &Keyring, proposal: &Proposal, valid: &Valid) -> Vec<Approval> {
    let each = groups_of(policy, proposal).into_iter();
    let each = each.map(|(by, group)| match std::ptr::eq(by, policy) {
        true => approval(Side::InForce, by, keyring, group, valid),
        false => approval(Side::Coming, by, &by.keyring(), group, valid),
    });
    each.collect()
}

/// How one group of a sound policy stands.
pub fn approval(by: Side, policy: &Policy, keyring: &Keyring, group: &Party, valid: &Valid) -> Approval {
    let signed = signed_by(keyring, valid);
    let tally = count(policy, group, &signed);
    let still = if tally.is_met() { None } else { Need::of_group(policy, group).after(&signed) };
    Approval { by, group: group.clone(), tally, still }
}

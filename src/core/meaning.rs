//! What a policy means for people: who can publish where and with whose approval, who governs, and what should make its authors think
//! twice. Facts only; [`super::policy_words`] makes sentences of them. Made of sound policies only.

use std::collections::BTreeSet;

use serde::Serialize;

use super::ids::{Party, Prefix};
use super::limits::SIGNATURES_MAX;
use super::need::Need;
use super::policy::{Member, Policy, PrefixRule};

/// A policy in consequences.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Meaning {
    /// Its SHA-256.
    pub policy: String,
    /// Who may change the policy.
    pub governors: Governors,
    /// What its rules let happen, ascending by prefix.
    pub prefixes: Vec<Reach>,
    /// Its members.
    pub members: Vec<Person>,
    /// How many numbers a paper's base may lie behind the head when it first comes.
    pub base_lag_max: u64,
    /// How many numbers a paper is held.
    pub held_numbers_max: u64,
    /// What its authors should know.
    pub warnings: Vec<Warning>,
}

/// Who may change the policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Governors {
    /// Their group.
    pub group: Party,
    /// Whose signatures suffice.
    pub need: Need,
}

/// What one rule lets happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reach {
    /// Its prefix.
    pub prefix: Prefix,
    /// Who can publish, those alone first.
    pub publish: Vec<Way>,
    /// Who may propose by the rule but has no active key, or the quota 0.
    pub unable: Vec<Party>,
    /// `forbidden`, `optional` or `required`.
    pub content: &'static str,
    /// Largest size of an entry, in bytes.
    pub size_max: u64,
}

/// People who can publish in the same way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Way {
    /// Whose approval each of them needs beside their own signature; nobody's without.
    pub with: Option<Need>,
    /// Each of these.
    pub who: Vec<Party>,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Person {
    /// The name.
    pub name: Party,
    /// Keys that may sign.
    pub active_keys: u64,
    /// Keys that may not sign any more.
    pub retired_keys: u64,
    /// Accepted papers a session.
    pub quota: u64,
}

/// What the authors of a policy should know before it is in force.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "warning", rename_all = "kebab-case")]
pub enum Warning {
    /// Each of these can change the policy alone.
    OnePersonGoverns {
        /// They.
        who: Vec<Party>,
    },
    /// Without each of these nobody can change the policy any more.
    GovernorIndispensable {
        /// They.
        who: Vec<Party>,
    },
    /// A founding takes a charter, and a charter takes so many signatures at most.
    CharterSignatures {
        /// Fewest governors who suffice.
        need: u64,
        /// Most signatures in an envelope that is brought.
        most: u64,
    },
    /// There is no rule.
    NoRule,
    /// Nobody who may propose under the prefix can.
    NobodyPublishes {
        /// The prefix.
        prefix: Prefix,
    },
    /// A group that every remaining part of which must sign, because others have no active key.
    NoSpare {
        /// The group.
        group: Party,
        /// Its members without an active key.
        without_key: Vec<Party>,
    },
    /// A member without an active key.
    CannotSign {
        /// The member.
        member: Party,
    },
    /// A member whose quota is 0.
    NoQuota {
        /// The member.
        member: Party,
    },
    /// A group that nothing names.
    GroupUnused {
        /// The group.
        group: Party,
    },
}

/// Who can publish under a rule.
pub fn ways(policy: &Policy, rule: &PrefixRule) -> Vec<Way> {
    let need = rule.approve.as_ref().map(|group| Need::of_group(policy, group));
    let mut out: Vec<Way> = Vec::new();
    for author in proposers(policy, rule).into_iter().filter(|name| policy.member(name).is_some_and(Member::can_propose)) {
        let with = need.as_ref().and_then(|need| need.after(&BTreeSet::from([author])));
        match out.iter_mut().find(|way| way.with == with) {
            Some(way) => way.who.push(author.clone()),
            None => out.push(Way { with, who: vec![author.clone()] }),
        }
    }
    out.sort();
    out
}

/// Everybody whom a rule lets propose, able or not.
fn proposers<'a>(policy: &'a Policy, rule: &'a PrefixRule) -> BTreeSet<&'a Party> {
    rule.members.iter().chain(rule.groups.iter().flat_map(|group| policy.expand(group))).collect()
}

/// What a sound policy means.
pub fn meaning(policy: &Policy) -> Meaning {
    let reach = |rule: &PrefixRule| Reach {
        prefix: rule.prefix.clone(),
        publish: ways(policy, rule),
        unable: proposers(policy, rule).into_iter().filter(|name| !policy.member(name).is_some_and(Member::can_propose)).cloned().collect(),
        content: rule.content.word(),
        size_max: rule.size_max,
    };
    let person = |member: &Member| {
        let active = member.keys.iter().filter(|key| key.active).count() as u64;
        let (name, retired_keys) = (member.name.clone(), member.keys.len() as u64 - active);
        Person { name, active_keys: active, retired_keys, quota: member.quota }
    };
    let prefixes: Vec<Reach> = policy.rules.iter().map(reach).collect();
    let governors = Governors { group: policy.governors.clone(), need: Need::of_group(policy, &policy.governors) };
    Meaning {
        policy: policy.hash().named(),
        warnings: warnings(policy, &governors.need, &prefixes),
        governors,
        prefixes,
        members: policy.members.iter().map(person).collect(),
        base_lag_max: policy.base_lag_max,
        held_numbers_max: policy.held_numbers_max,
    }
}

fn warnings(policy: &Policy, governors: &Need, prefixes: &[Reach]) -> Vec<Warning> {
    let (alone, indispensable, need) = (governors.alone(), governors.indispensable(), governors.fewest());
    let mut out = Vec::new();
    if !alone.is_empty() {
        out.push(Warning::OnePersonGoverns { who: alone });
    }
    if !indispensable.is_empty() {
        out.push(Warning::GovernorIndispensable { who: indispensable });
    }
    if need > SIGNATURES_MAX as u64 {
        out.push(Warning::CharterSignatures { need, most: SIGNATURES_MAX as u64 });
    }
    if prefixes.is_empty() {
        out.push(Warning::NoRule);
    }
    let nobody = prefixes.iter().filter(|reach| reach.publish.is_empty());
    out.extend(nobody.map(|reach| Warning::NobodyPublishes { prefix: reach.prefix.clone() }));
    for group in &policy.groups {
        let (able, unable): (Vec<&Party>, Vec<&Party>) =
            group.members.iter().partition(|name| policy.member(name).is_some_and(Member::can_sign));
        if !unable.is_empty() && group.k == (able.len() + group.groups.len()) as u64 {
            out.push(Warning::NoSpare { group: group.name.clone(), without_key: unable.into_iter().cloned().collect() });
        }
        let inner = policy.groups.iter().flat_map(|group| &group.groups);
        let ruled = policy.rules.iter().flat_map(|rule| rule.groups.iter().chain(&rule.approve));
        if group.name != policy.governors && !inner.chain(ruled).any(|name| *name == group.name) {
            out.push(Warning::GroupUnused { group: group.name.clone() });
        }
    }
    for member in &policy.members {
        if !member.can_sign() {
            out.push(Warning::CannotSign { member: member.name.clone() });
        } else if member.quota == 0 {
            out.push(Warning::NoQuota { member: member.name.clone() });
        }
    }
    out
}

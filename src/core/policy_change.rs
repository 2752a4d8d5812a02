//! What changes when one policy follows another, in consequences. Facts only; [`super::policy_words`] makes sentences of them.

use std::collections::BTreeSet;

use serde::Serialize;

use super::ids::{Name, Party, Prefix};
use super::meaning::{Warning, Way, meaning, ways};
use super::need::Need;
use super::policy::{Member, Policy, PrefixRule, show_key};
use super::state::State;

/// From one policy to the next; made by [`compare`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyChange {
    /// SHA-256 of the policy before.
    pub before: String,
    /// SHA-256 of the policy after.
    pub after: String,
    /// What changes.
    pub consequences: Vec<Consequence>,
    /// What its authors should know, and did not have to know before.
    pub warnings: Vec<Warning>,
}

/// One thing that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Consequence {
    /// Whose signatures can change the policy.
    Governors {
        /// Before.
        before: Need,
        /// After.
        after: Need,
    },
    /// Who can publish under a prefix.
    Publish {
        /// The prefix, of the policy before or after.
        prefix: Prefix,
        /// Before; nothing when no rule covered it.
        before: Option<Vec<Way>>,
        /// After; nothing when no rule covers it any more.
        after: Option<Vec<Way>>,
        /// Who could publish there in some way and cannot any more.
        lost: Vec<Party>,
        /// Who could not and can.
        gained: Vec<Party>,
    },
    /// What is asked of content under a prefix.
    Content {
        /// The prefix.
        prefix: Prefix,
        /// Before.
        before: &'static str,
        /// After.
        after: &'static str,
    },
    /// The largest entry under a prefix, in bytes.
    Size {
        /// The prefix.
        prefix: Prefix,
        /// Before.
        before: u64,
        /// After.
        after: u64,
    },
    /// A member who was none.
    Joins {
        /// The member.
        member: Party,
        /// The keys.
        keys: Vec<String>,
    },
    /// A member who is none any more.
    Leaves {
        /// The member.
        member: Party,
    },
    /// A member's key becomes what it was not.
    Key {
        /// The member.
        member: Party,
        /// The key.
        key: String,
        /// What becomes of it.
        becomes: KeyFate,
    },
    /// A member stays by name, with none of the active keys of before.
    EveryKeyNew {
        /// The member.
        member: Party,
    },
    /// Accepted papers of a member in a session.
    Quota {
        /// The member.
        member: Party,
        /// Before.
        before: u64,
        /// After.
        after: u64,
    },
    /// The largest lag of a paper's base.
    Lag {
        /// Before.
        before: u64,
        /// After.
        after: u64,
    },
    /// How many numbers a paper is held.
    Held {
        /// Before.
        before: u64,
        /// After.
        after: u64,
    },
    /// An entry of Common that lies above a prefix.
    Shadowed {
        /// The entry.
        name: Name,
        /// The prefix.
        prefix: Prefix,
    },
    /// Entries of Common that a rule covered and none covers any more.
    Uncovered {
        /// How many.
        count: u64,
        /// The first.
        first: Name,
    },
}

/// What becomes of a member's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyFate {
    /// It is new, and active.
    Added,
    /// It was active, and is kept as retired.
    Retired,
    /// It was active, and is listed no more.
    Dropped,
    /// It was retired, and may sign again.
    ActiveAgain,
}

/// Compares two sound policies; with Common's state also what becomes of its entries.
pub fn compare(before: &Policy, after: &Policy, state: Option<&State>) -> PolicyChange {
    let mut out = Vec::new();
    let governs = |policy: &Policy| Need::of_group(policy, &policy.governors);
    if governs(before) != governs(after) {
        out.push(Consequence::Governors { before: governs(before), after: governs(after) });
    }
    let prefixes: BTreeSet<&Prefix> = before.rules.iter().chain(&after.rules).map(|rule| &rule.prefix).collect();
    prefixes.into_iter().for_each(|prefix| compare_under(prefix, before, after, &mut out));
    compare_members(before, after, &mut out);
    if before.base_lag_max != after.base_lag_max {
        out.push(Consequence::Lag { before: before.base_lag_max, after: after.base_lag_max });
    }
    if before.held_numbers_max != after.held_numbers_max {
        out.push(Consequence::Held { before: before.held_numbers_max, after: after.held_numbers_max });
    }
    if let Some(state) = state {
        compare_entries(before, after, state, &mut out);
    }
    let known = meaning(before).warnings;
    let warnings = meaning(after).warnings.into_iter().filter(|warning| !known.contains(warning)).collect();
    PolicyChange { before: before.hash().named(), after: after.hash().named(), consequences: out, warnings }
}

/// The rule that decides on names directly under a prefix.
fn ruling<'a>(policy: &'a Policy, prefix: &Prefix) -> Option<&'a PrefixRule> {
    let covers = |rule: &&PrefixRule| rule.prefix.as_str() == "/" || prefix.as_str().starts_with(rule.prefix.as_str());
    policy.rules.iter().filter(covers).max_by_key(|rule| rule.prefix.as_str().len())
}

fn compare_under(prefix: &Prefix, before: &Policy, after: &Policy, out: &mut Vec<Consequence>) {
    let (old, new) = (ruling(before, prefix), ruling(after, prefix));
    let (was, is) = (old.map(|rule| ways(before, rule)), new.map(|rule| ways(after, rule)));
    if was != is {
        let who = |ways: &Option<Vec<Way>>| ways.iter().flatten().flat_map(|way| way.who.clone()).collect::<BTreeSet<Party>>();
        let (could, can) = (who(&was), who(&is));
        let (lost, gained) = (could.difference(&can).cloned().collect(), can.difference(&could).cloned().collect());
        out.push(Consequence::Publish { prefix: prefix.clone(), before: was, after: is, lost, gained });
    }
    let (Some(old), Some(new)) = (old, new) else { return };
    if old.content != new.content {
        out.push(Consequence::Content { prefix: prefix.clone(), before: old.content.word(), after: new.content.word() });
    }
    if old.size_max != new.size_max {
        out.push(Consequence::Size { prefix: prefix.clone(), before: old.size_max, after: new.size_max });
    }
}

fn compare_members(before: &Policy, after: &Policy, out: &mut Vec<Consequence>) {
    for old in &before.members {
        match after.member(&old.name) {
            None => out.push(Consequence::Leaves { member: old.name.clone() }),
            Some(new) => compare_member(old, new, out),
        }
    }
    for new in after.members.iter().filter(|new| before.member(&new.name).is_none()) {
        let keys = new.keys.iter().filter(|key| key.active).map(|key| show_key(&key.public)).collect();
        out.push(Consequence::Joins { member: new.name.clone(), keys });
    }
}

fn compare_member(old: &Member, new: &Member, out: &mut Vec<Consequence>) {
    let status = |member: &Member, key: &[u8; 32]| member.keys.iter().find(|known| known.public == *key).map(|known| known.active);
    let keys: BTreeSet<[u8; 32]> = old.keys.iter().chain(&new.keys).map(|key| key.public).collect();
    for key in keys {
        let becomes = match (status(old, &key), status(new, &key)) {
            (Some(true), Some(false)) => KeyFate::Retired,
            (Some(true), None) => KeyFate::Dropped,
            (Some(false), Some(true)) => KeyFate::ActiveAgain,
            (None, Some(true)) => KeyFate::Added,
            _ => continue,
        };
        out.push(Consequence::Key { member: old.name.clone(), key: show_key(&key), becomes });
    }
    let stays = |key: &super::policy::MemberKey| key.active && status(new, &key.public) == Some(true);
    if old.can_sign() && new.can_sign() && !old.keys.iter().any(stays) {
        out.push(Consequence::EveryKeyNew { member: old.name.clone() });
    }
    if old.quota != new.quota {
        out.push(Consequence::Quota { member: old.name.clone(), before: old.quota, after: new.quota });
    }
}

fn compare_entries(before: &Policy, after: &Policy, state: &State, out: &mut Vec<Consequence>) {
    let shadow =
        |policy: &Policy, name: &Name| policy.rules.iter().find(|rule| rule.prefix.is_shadowed_by(name)).map(|rule| rule.prefix.clone());
    let (mut count, mut first) = (0, None);
    for (name, _) in state.entries() {
        if let Some(prefix) = shadow(after, name).filter(|_| shadow(before, name).is_none()) {
            out.push(Consequence::Shadowed { name: name.clone(), prefix });
        }
        if before.rule_for(name).is_some() && after.rule_for(name).is_none() {
            count += 1;
            first.get_or_insert_with(|| name.clone());
        }
    }
    out.extend(first.map(|first| Consequence::Uncovered { count, first }));
}

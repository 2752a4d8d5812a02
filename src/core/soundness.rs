//! Which policies may be in force: those that contradict nothing, count nobody twice, and lock nobody out for ever (SPEC 3.9).
//!
//! It looks at one policy alone. What a policy may not take from those before it, names and keys, is [`super::keyring::Roll`]'s to say.

use std::collections::{BTreeMap, BTreeSet};

use super::cose::enrollable_key;
use super::ids::{Party, Prefix};
use super::limits::GROUP_DEPTH_MAX;
use super::policy::{Group, Member, Policy, show_key};
use super::rules::{Checked, Fault, Rule};

/// What a reason is about, so that it can be found in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The policy as a whole.
    Whole,
    /// The line that names the governors.
    Governors,
    /// A member.
    Member(Party),
    /// A group.
    Group(Party),
    /// The rule for a prefix.
    Rule(Prefix),
}

/// One reason why a policy may not be in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsound {
    /// What it is about.
    pub place: Place,
    /// What was found, and what it was compared with.
    pub reason: String,
}

impl Member {
    /// Whether the member can sign: at least one key is active.
    pub fn can_sign(&self) -> bool {
        self.keys.iter().any(|key| key.active)
    }

    /// Whether a paper of this member can be accepted at all: a key is active, and the quota is not 0.
    pub fn can_propose(&self) -> bool {
        self.can_sign() && self.quota > 0
    }
}

impl Policy {
    /// SPEC 3.9: refuses a policy that contradicts itself, counts a person twice, or would lock everyone out.
    ///
    /// # Errors
    /// `policy-unsound` with the first reason.
    pub fn check_sound(&self) -> Checked<()> {
        match self.unsound().into_iter().next() {
            None => Ok(()),
            Some(unsound) => Err(Fault::new(Rule::PolicyUnsound, unsound.reason)),
        }
    }

    /// Every reason why this policy may not be in force; none when it is sound.
    ///
    /// The work is bounded whatever a stranger wrote: groups are walked only when they nest no deeper than they may.
    pub fn unsound(&self) -> Vec<Unsound> {
        let mut out = Vec::new();
        self.check_members(&mut out);
        let deep = self.too_deep();
        for name in &deep {
            let reason = format!("group {name}: deeper than {GROUP_DEPTH_MAX}, or a cycle");
            out.push(Unsound { place: Place::Group((*name).clone()), reason });
        }
        for group in &self.groups {
            let mut found = |reason: String| {
                out.push(Unsound { place: Place::Group(group.name.clone()), reason: format!("group {}: {reason}", group.name) });
            };
            self.check_group(group, deep.is_empty(), &mut found);
        }
        self.check_rules(&mut out);
        if self.group(&self.governors).is_none() {
            let reason = format!("the governors' group {} does not exist", self.governors);
            out.push(Unsound { place: Place::Governors, reason });
        }
        // Whoever governs approves; but a policy comes in a paper, and a paper needs an author whose quota is not used up from the beginning.
        if !self.members.iter().any(Member::can_propose) {
            let reason =
                "no member has both an active key and a quota above 0: nobody could ever propose anything, not even another policy";
            out.push(Unsound { place: Place::Whole, reason: reason.into() });
        }
        out
    }

    fn check_members(&self, out: &mut Vec<Unsound>) {
        let mut owners = BTreeMap::new();
        for member in &self.members {
            let mut found = |reason| out.push(Unsound { place: Place::Member(member.name.clone()), reason });
            if self.group(&member.name).is_some() {
                found(format!("{} is the name of a member and of a group", member.name));
            }
            for key in &member.keys {
                if let Err(fault) = enrollable_key(&key.public) {
                    found(format!("member {}: {}", member.name, fault.found));
                }
                if let Some(owner) = owners.insert(key.public, &member.name) {
                    found(format!("key {} stands twice, with {owner} and with {}", show_key(&key.public), member.name));
                }
            }
        }
    }

    fn check_group(&self, group: &Group, may_walk: bool, found: &mut dyn FnMut(String)) {
        let inner = group.members.iter().map(|name| (name, self.member(name).is_some()));
        let inner = inner.chain(group.groups.iter().map(|name| (name, self.group(name).is_some())));
        for (name, _) in inner.filter(|(_, exists)| !exists) {
            found(format!("{name} does not exist"));
        }
        if group.members.is_empty() && group.groups.is_empty() {
            return found("it holds nobody".into());
        }
        if let Some(member) = may_walk.then(|| self.first_twice(group)).flatten() {
            found(format!("{member} stands in it twice"));
        }
        let able = group.members.iter().filter(|name| self.member(name).is_some_and(Member::can_sign)).count();
        let inner = group.groups.len();
        // Inner groups are sound too and share no member, so each part counted here can be satisfied together with all others.
        if group.k == 0 || group.k > (able + inner) as u64 {
            found(format!("k is {}; it has {able} members with an active key, and {inner} groups", group.k));
        }
    }

    fn check_rules(&self, out: &mut Vec<Unsound>) {
        for rule in &self.rules {
            let who = rule.members.iter().map(|name| (name, self.member(name).is_some()));
            let groups = rule.groups.iter().chain(&rule.approve).map(|name| (name, self.group(name).is_some()));
            for (name, _) in who.chain(groups).filter(|(_, exists)| !exists) {
                let reason = format!("rule {} names {name}, which does not exist", rule.prefix);
                out.push(Unsound { place: Place::Rule(rule.prefix.clone()), reason });
            }
        }
    }

    /// The groups that nest deeper than they may, or stand in themselves. Each pass settles one more level: 5 passes over at most 64 groups
    /// of 64.
    fn too_deep(&self) -> Vec<&Party> {
        let mut depths: BTreeMap<&Party, usize> = self.groups.iter().map(|group| (&group.name, 1)).collect();
        for _ in 0..=GROUP_DEPTH_MAX {
            for group in &self.groups {
                let below = group.groups.iter().filter_map(|inner| depths.get(inner)).max().copied().unwrap_or(0);
                depths.insert(&group.name, (below + 1).min(GROUP_DEPTH_MAX + 1));
            }
        }
        depths.into_iter().filter(|(_, depth)| *depth > GROUP_DEPTH_MAX).map(|(name, _)| name).collect()
    }

    /// A member or group that the expansion of a group reaches twice; a group reached twice brings its members twice. Call it when
    /// [`Policy::too_deep`] found nothing: it ends at the first repetition, so it visits each member and group once at most.
    fn first_twice<'a>(&'a self, group: &'a Group) -> Option<&'a Party> {
        let (mut seen, mut open) = (BTreeSet::new(), vec![group]);
        while let Some(group) = open.pop() {
            if let Some(again) = group.members.iter().chain(&group.groups).find(|name| !seen.insert(*name)) {
                return Some(again);
            }
            open.extend(group.groups.iter().filter_map(|inner| self.group(inner)));
        }
        None
    }
}

//! Whose signatures suffice, in people: a group with its inner groups as one typed value, and as words.
//!
//! It explains what [`super::quorum`] counts and decides nothing. It is made of sound policies only, so a person stands in it once.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::ids::Party;
use super::limits::GROUP_DEPTH_MAX;
use super::policy::{Member, Policy};

/// What is needed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum Need {
    /// This person's signature.
    Person(Party),
    /// So many of these.
    Of {
        /// How many.
        k: u64,
        /// The inner group this is, whole.
        #[serde(skip_serializing_if = "Option::is_none")]
        group: Option<Party>,
        /// Of what; members without an active key are left out, for they cannot sign.
        of: Vec<Need>,
    },
}

impl Need {
    /// What a group of a sound policy needs.
    pub fn of_group(policy: &Policy, group: &Party) -> Need {
        Need::within(policy, group, GROUP_DEPTH_MAX, false)
    }

    fn within(policy: &Policy, name: &Party, depth: usize, is_inner: bool) -> Need {
        let Some(group) = policy.group(name).filter(|_| depth > 0) else { return Need::Of { k: 1, group: None, of: Vec::new() } };
        let able = group.members.iter().filter(|name| policy.member(name).is_some_and(Member::can_sign));
        let inner = group.groups.iter().map(|inner| Need::within(policy, inner, depth - 1, true));
        let of = able.cloned().map(Need::Person).chain(inner).collect();
        Need::Of { k: group.k, group: is_inner.then(|| name.clone()), of }.simple()
    }

    /// One of one is that one.
    fn simple(self) -> Need {
        match self {
            Need::Of { k: 1, mut of, .. } if of.len() == 1 => of.remove(0),
            other => other,
        }
    }

    /// What is still needed when these have signed; nothing when they suffice.
    pub fn after(&self, signed: &BTreeSet<&Party>) -> Option<Need> {
        match self {
            Need::Person(person) => (!signed.contains(person)).then(|| self.clone()),
            Need::Of { k, group, of } => {
                let left: Vec<Need> = of.iter().filter_map(|part| part.after(signed)).collect();
                let have = (of.len() - left.len()) as u64;
                let group = group.clone().filter(|_| left == *of);
                (have < *k).then(|| Need::Of { k: k - have, group, of: left }.simple())
            }
        }
    }

    /// The fewest people who suffice.
    pub fn fewest(&self) -> u64 {
        match self {
            Need::Person(_) => 1,
            Need::Of { k, of, .. } => {
                let mut parts: Vec<u64> = of.iter().map(Need::fewest).collect();
                parts.sort_unstable();
                parts.iter().take(usize::try_from(*k).unwrap_or(usize::MAX)).sum()
            }
        }
    }

    /// Everybody who could sign.
    pub fn people(&self) -> BTreeSet<&Party> {
        match self {
            Need::Person(person) => BTreeSet::from([person]),
            Need::Of { of, .. } => of.iter().flat_map(Need::people).collect(),
        }
    }

    /// Those who suffice alone.
    pub fn alone(&self) -> Vec<Party> {
        self.people().into_iter().filter(|person| self.after(&BTreeSet::from([*person])).is_none()).cloned().collect()
    }

    /// Those without whom all others together do not suffice.
    pub fn indispensable(&self) -> Vec<Party> {
        let people = self.people();
        let without = |person: &Party| people.iter().copied().filter(|other| *other != person).collect::<BTreeSet<_>>();
        people.iter().filter(|person| self.after(&without(person)).is_some()).map(|person| (*person).clone()).collect()
    }
}

/// `alice`; `alice and bob`; `alice, bob or carol`; `any 2 of alice, bob, carol`; `alice and 1 of reviewers (dave, erin)`.
impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (k, group, of) = match self {
            Need::Person(person) => return write!(f, "{person}"),
            Need::Of { k, group, of } => (*k, group, of),
        };
        let parts: Vec<String> = of.iter().map(Need::as_part).collect();
        if let Some(group) = group {
            return write!(f, "{k} of {group} ({})", parts.join(", "));
        }
        match (k, parts.as_slice()) {
            (_, []) => f.write_str("nobody"),
            (1, [others @ .., last]) if !others.is_empty() => write!(f, "{} or {last}", others.join(", ")),
            (k, [others @ .., last]) if !others.is_empty() && k == of.len() as u64 => write!(f, "{} and {last}", others.join(", ")),
            _ => write!(f, "any {k} of {}", parts.join(", ")),
        }
    }
}

impl Need {
    /// As a part of a longer list: what is a list itself stands in parentheses, unless the name of its group opens it.
    fn as_part(&self) -> String {
        match self {
            Need::Of { group: None, .. } => format!("({self})"),
            _ => self.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(name: &str) -> Need {
        Need::Person(name.parse().expect("a name"))
    }

    fn of(k: u64, group: Option<&str>, parts: &[Need]) -> Need {
        Need::Of { k, group: group.map(|name| name.parse().expect("a name")), of: parts.to_vec() }
    }

    #[test]
    fn words_tell_every_form() {
        let (alice, bob, carol) = (person("alice"), person("bob"), person("carol"));
        let three = [alice.clone(), bob.clone(), carol.clone()];
        assert_eq!(alice.to_string(), "alice");
        assert_eq!(of(1, None, &three).to_string(), "alice, bob or carol");
        assert_eq!(of(2, None, &three).to_string(), "any 2 of alice, bob, carol");
        assert_eq!(of(3, None, &three).to_string(), "alice, bob and carol");
        let reviewers = of(1, Some("reviewers"), &[bob.clone(), carol.clone()]);
        assert_eq!(of(2, None, &[alice.clone(), reviewers.clone()]).to_string(), "alice and 1 of reviewers (bob, carol)");
        assert_eq!(of(1, None, &[alice, of(2, None, &[bob, carol])]).to_string(), "alice or (bob and carol)");
    }

    #[test]
    fn after_some_have_signed_only_the_rest_is_needed() {
        let reviewers = of(2, Some("reviewers"), &[person("bob"), person("carol"), person("dave")]);
        let need = of(2, None, &[person("alice"), reviewers]);
        let names: Vec<Party> = ["alice", "bob", "carol"].iter().map(|name| name.parse().expect("a name")).collect();
        let after = |count: usize| need.after(&names[..count].iter().collect()).map(|need| need.to_string());
        assert_eq!(after(1).as_deref(), Some("2 of reviewers (bob, carol, dave)"));
        // bob has signed: the inner group needs one more, and is not the whole group any more.
        assert_eq!(after(2).as_deref(), Some("carol or dave"));
        assert_eq!(after(3), None);
        assert_eq!((need.fewest(), need.alone()), (3, vec![]));
        assert_eq!(need.indispensable(), names[..1]);
    }
}

//! Whose key is whose: the keys of the policy in force, and every name and key that was ever given to somebody (SPEC 3.9).

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::VerifyingKey;

use super::cose::enrollable_key;
use super::ids::{Kid, Party, kid_of};
use super::policy::{Policy, show_key_short};
use super::rules::{Checked, Fault, Rule};

impl Policy {
    /// Every enrolled key by key id.
    pub fn keyring(&self) -> Keyring {
        let mut keys = BTreeMap::new();
        for member in &self.members {
            for key in &member.keys {
                if let Ok(public) = enrollable_key(&key.public) {
                    keys.insert(kid_of(&key.public), Enrolled { member: member.name.clone(), public, active: key.active });
                }
            }
        }
        Keyring { keys }
    }
}

/// An enrolled key: whose it is, and whether it may sign now.
#[derive(Clone, Debug)]
pub struct Enrolled {
    /// The member.
    pub member: Party,
    /// The key.
    pub public: VerifyingKey,
    /// Active or retired.
    pub active: bool,
}

/// A policy's keys, by key id.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    keys: BTreeMap<Kid, Enrolled>,
}

impl Keyring {
    /// The key, active or retired.
    pub fn get(&self, kid: &Kid) -> Option<&Enrolled> {
        self.keys.get(kid)
    }

    /// The key, if it is active.
    pub fn active(&self, kid: &Kid) -> Option<&Enrolled> {
        self.keys.get(kid).filter(|key| key.active)
    }

    /// The active keys of a member, lowest key id first.
    pub fn active_of<'a>(&'a self, member: &'a Party) -> impl Iterator<Item = &'a Kid> {
        self.keys.iter().filter(move |(_, key)| key.active && key.member == *member).map(|(kid, _)| kid)
    }
}

/// Every name and key that any policy so far gave to somebody: they are never given to another.
#[derive(Clone, Debug, Default)]
pub struct Roll {
    owners: BTreeMap<[u8; 32], Party>,
    names: BTreeMap<Party, BTreeSet<[u8; 32]>>,
}

impl Roll {
    /// Enters the members of a policy that comes into force.
    pub fn enter(&mut self, policy: &Policy) {
        for member in &policy.members {
            for key in &member.keys {
                self.owners.insert(key.public, member.name.clone());
                self.names.entry(member.name.clone()).or_default().insert(key.public);
            }
        }
    }

    /// Checks that `next` gives no key to another member than before, no name that left `current` to somebody new, and no member's name to a
    /// group.
    ///
    /// # Errors
    /// `policy-unsound` with the name or key.
    pub fn check_reuse(&self, current: &Policy, next: &Policy) -> Checked<()> {
        for member in &next.members {
            for key in &member.keys {
                if let Some(owner) = self.owners.get(&key.public).filter(|owner| **owner != member.name) {
                    let reason = format!("key {} belonged to {owner} and is given to {}", show_key_short(&key.public), member.name);
                    return Err(Fault::new(Rule::PolicyUnsound, reason));
                }
            }
            let returning = current.member(&member.name).is_none().then(|| self.names.get(&member.name)).flatten();
            if returning.is_some_and(|known| !member.keys.iter().any(|key| known.contains(&key.public))) {
                let reason = format!("the name {} left the policy and comes back with none of the keys it had", member.name);
                return Err(Fault::new(Rule::PolicyUnsound, reason));
            }
        }
        if let Some(group) = next.groups.iter().find(|group| self.names.contains_key(&group.name)) {
            let reason = format!("the name {} belonged to a member and is given to a group", group.name);
            return Err(Fault::new(Rule::PolicyUnsound, reason));
        }
        Ok(())
    }
}

//! The policy: who may change what, with whose approval (SPEC 3.9).
//!
//! Well-formed is what decodes; *sound* is what [`Policy::check_sound`] lets pass ([`super::soundness`]). Only a sound policy is ever in force.

use std::collections::BTreeSet;

use super::cbor::{Canonical, Reader, Writer};
use super::ids::{Hash, Name, Party, Prefix};
use super::limits::{
    GROUP_DEPTH_MAX, GROUPS_MAX, MEMBER_KEYS_MAX, MEMBERS_MAX, OBJECT_BYTES_MAX, POLICY_BYTES_MAX, POLICY_RULES_MAX, SESSION_PAPERS_MAX,
    UINT_MAX,
};
use super::rules::{Checked, Fault, Rule};

/// One public key of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberKey {
    /// Ed25519 public key.
    pub public: [u8; 32],
    /// Whether it may sign now; a retired key stays its owner's for ever.
    pub active: bool,
}

/// A person or desk that may sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Never given to another.
    pub name: Party,
    /// 1 to 8, ascending by public key.
    pub keys: Vec<MemberKey>,
    /// Accepted papers a session.
    pub quota: u64,
}

/// k of n members or groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: Party,
    /// How many are needed.
    pub k: u64,
    /// Members in it, ascending.
    pub members: Vec<Party>,
    /// Groups in it, ascending.
    pub groups: Vec<Party>,
}

/// What a rule says of an entry's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Never kept or published.
    Forbidden,
    /// Kept when it is brought.
    Optional,
    /// Without it the paper waits.
    Required,
}

/// Who may change the names under a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixRule {
    /// Longest match alone decides.
    pub prefix: Prefix,
    /// Members who may propose, ascending.
    pub members: Vec<Party>,
    /// Groups whose members may propose, ascending.
    pub groups: Vec<Party>,
    /// The group that must approve, if any.
    pub approve: Option<Party>,
    /// Whether content is kept.
    pub content: Content,
    /// Largest size of an entry, in bytes.
    pub size_max: u64,
}

/// A policy as signed and hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Ascending by name.
    pub members: Vec<Member>,
    /// Ascending by name.
    pub groups: Vec<Group>,
    /// Ascending by prefix.
    pub rules: Vec<PrefixRule>,
    /// The group that may change the policy; its members are the custodians.
    pub governors: Party,
    /// Largest lag of a paper's base behind the head when it first came.
    pub base_lag_max: u64,
    /// How many numbers a paper may be held.
    pub held_numbers_max: u64,
}

impl Content {
    /// The word in TOML.
    pub fn word(self) -> &'static str {
        match self {
            Content::Forbidden => "forbidden",
            Content::Optional => "optional",
            Content::Required => "required",
        }
    }
}

impl Policy {
    /// SHA-256 of the canonical CBOR.
    pub fn hash(&self) -> Hash {
        Hash::of(&self.to_cbor())
    }

    /// The member of this name.
    pub fn member(&self, name: &Party) -> Option<&Member> {
        self.members.iter().find(|member| member.name == *name)
    }

    /// The group of this name.
    pub fn group(&self, name: &Party) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == *name)
    }

    /// The rule that covers `name`: the longest prefix alone decides.
    pub fn rule_for(&self, name: &Name) -> Option<&PrefixRule> {
        self.rules.iter().filter(|rule| rule.prefix.covers(name)).max_by_key(|rule| rule.prefix.as_str().len())
    }

    /// Whether the content of `name` is looked at and kept: a rule that forbids content keeps none.
    pub fn keeps_content(&self, name: &Name) -> bool {
        self.rule_for(name).is_some_and(|rule| rule.content != Content::Forbidden)
    }

    /// Whether nothing is accepted under `name` without its content: then alone content decides anything.
    pub fn requires_content(&self, name: &Name) -> bool {
        self.rule_for(name).is_some_and(|rule| rule.content == Content::Required)
    }

    /// The members a group stands for, groups within it expanded. Empty for a group that does not exist.
    pub fn expand(&self, group: &Party) -> BTreeSet<&Party> {
        let mut out = BTreeSet::new();
        self.expand_into(group, GROUP_DEPTH_MAX, &mut |member| {
            out.insert(member);
        });
        out
    }

    fn expand_into<'a>(&'a self, group: &Party, depth: usize, visit: &mut dyn FnMut(&'a Party)) {
        let Some(group) = self.group(group).filter(|_| depth > 0) else { return };
        group.members.iter().for_each(&mut *visit);
        for inner in &group.groups {
            self.expand_into(inner, depth - 1, visit);
        }
    }

    /// Whether `author` may propose under `rule`.
    pub fn may_propose(&self, rule: &PrefixRule, author: &Party) -> bool {
        rule.members.contains(author) || rule.groups.iter().any(|group| self.expand(group).contains(author))
    }
}

fn ascending<T: Ord>(r: &Reader<'_>, what: &str, items: &[T]) -> Checked<()> {
    if items.windows(2).any(|pair| pair[0] >= pair[1]) {
        Err(r.fault(format!("{what} do not ascend, or one stands twice")))
    } else {
        Ok(())
    }
}

fn read_parties(r: &mut Reader<'_>, most: usize) -> Checked<Vec<Party>> {
    let len = r.array(most)?;
    let parties: Vec<Party> = (0..len).map(|_| r.parse()).collect::<Checked<_>>()?;
    ascending(r, "names", &parties)?;
    Ok(parties)
}

fn write_parties(w: &mut Writer, parties: &[Party]) {
    w.array(parties.len());
    for party in parties {
        w.text(party.as_str());
    }
}

impl Canonical for MemberKey {
    fn write(&self, w: &mut Writer) {
        w.array(2).bytes(&self.public).uint(u64::from(self.active));
    }

    fn read(r: &mut Reader<'_>) -> Checked<MemberKey> {
        r.array_of(2)?;
        Ok(MemberKey { public: r.bytes_of::<32>()?, active: r.uint_in(0..=1)? == 1 })
    }
}

impl Canonical for Member {
    fn write(&self, w: &mut Writer) {
        w.map(3).uint(0).text(self.name.as_str()).uint(1).list(&self.keys).uint(2).uint(self.quota);
    }

    fn read(r: &mut Reader<'_>) -> Checked<Member> {
        let (mut name, mut keys, mut quota) = (None, None, None);
        r.reading("member").map(|key, r| {
            match key {
                0 => name = Some(r.parse()?),
                1 => keys = Some(r.list::<MemberKey>(MEMBER_KEYS_MAX)?),
                2 => quota = Some(r.uint_in(0..=SESSION_PAPERS_MAX)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let keys = r.need(keys, "1 (keys)")?;
        if keys.is_empty() {
            return Err(r.fault("a member without a key; at least one expected"));
        }
        ascending(r, "keys", &keys.iter().map(|key| key.public).collect::<Vec<_>>())?;
        Ok(Member { name: r.need(name, "0 (name)")?, keys, quota: r.need(quota, "2 (quota)")? })
    }
}

impl Canonical for Group {
    fn write(&self, w: &mut Writer) {
        w.map(4).uint(0).text(self.name.as_str()).uint(1).uint(self.k).uint(2);
        write_parties(w, &self.members);
        w.uint(3);
        write_parties(w, &self.groups);
    }

    fn read(r: &mut Reader<'_>) -> Checked<Group> {
        let (mut name, mut k, mut members, mut groups) = (None, None, None, None);
        r.reading("group").map(|key, r| {
            match key {
                0 => name = Some(r.parse()?),
                1 => k = Some(r.uint_in(1..=MEMBERS_MAX as u64)?),
                2 => members = Some(read_parties(r, MEMBERS_MAX)?),
                3 => groups = Some(read_parties(r, GROUPS_MAX)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Group {
            name: r.need(name, "0 (name)")?,
            k: r.need(k, "1 (k)")?,
            members: r.need(members, "2 (members)")?,
            groups: r.need(groups, "3 (groups)")?,
        })
    }
}

impl Canonical for PrefixRule {
    fn write(&self, w: &mut Writer) {
        w.map(5 + usize::from(self.approve.is_some())).uint(0).text(self.prefix.as_str()).uint(1);
        write_parties(w, &self.members);
        w.uint(2);
        write_parties(w, &self.groups);
        if let Some(approve) = &self.approve {
            w.uint(3).text(approve.as_str());
        }
        w.uint(4).uint(self.content as u64).uint(5).uint(self.size_max);
    }

    fn read(r: &mut Reader<'_>) -> Checked<PrefixRule> {
        let (mut prefix, mut members, mut groups, mut approve, mut content, mut size_max) = (None, None, None, None, None, None);
        r.reading("rule").map(|key, r| {
            match key {
                0 => prefix = Some(r.parse()?),
                1 => members = Some(read_parties(r, MEMBERS_MAX)?),
                2 => groups = Some(read_parties(r, GROUPS_MAX)?),
                3 => approve = Some(r.parse()?),
                4 => {
                    content = Some(match r.uint_in(0..=2)? {
                        0 => Content::Forbidden,
                        1 => Content::Optional,
                        _ => Content::Required,
                    })
                }
                5 => size_max = Some(r.uint_in(0..=OBJECT_BYTES_MAX)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(PrefixRule {
            prefix: r.need(prefix, "0 (prefix)")?,
            members: r.need(members, "1 (members)")?,
            groups: r.need(groups, "2 (groups)")?,
            approve,
            content: r.need(content, "4 (content)")?,
            size_max: r.need(size_max, "5 (largest size)")?,
        })
    }
}

impl Canonical for Policy {
    fn write(&self, w: &mut Writer) {
        w.map(7).uint(0).uint(1).uint(1).list(&self.members).uint(2).list(&self.groups).uint(3).list(&self.rules);
        w.uint(4).text(self.governors.as_str()).uint(5).uint(self.base_lag_max).uint(6).uint(self.held_numbers_max);
    }

    fn read(r: &mut Reader<'_>) -> Checked<Policy> {
        let (mut version, mut members, mut groups, mut rules) = (None, None, None, None);
        let (mut governors, mut base_lag_max, mut held_numbers_max) = (None, None, None);
        r.reading("policy").map(|key, r| {
            match key {
                0 => version = Some(r.version()?),
                1 => members = Some(r.list::<Member>(MEMBERS_MAX)?),
                2 => groups = Some(r.list::<Group>(GROUPS_MAX)?),
                3 => rules = Some(r.list::<PrefixRule>(POLICY_RULES_MAX)?),
                4 => governors = Some(r.parse()?),
                5 => base_lag_max = Some(r.uint_in(0..=UINT_MAX)?),
                6 => held_numbers_max = Some(r.uint_in(0..=UINT_MAX)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        r.reading("policy").need(version, "0 (version)")?;
        let policy = Policy {
            members: r.need(members, "1 (members)")?,
            groups: r.need(groups, "2 (groups)")?,
            rules: r.need(rules, "3 (rules)")?,
            governors: r.need(governors, "4 (governors)")?,
            base_lag_max: r.need(base_lag_max, "5 (largest lag of base)")?,
            held_numbers_max: r.need(held_numbers_max, "6 (held_numbers_max)")?,
        };
        ascending(r, "members", &policy.members.iter().map(|member| &member.name).collect::<Vec<_>>())?;
        ascending(r, "groups", &policy.groups.iter().map(|group| &group.name).collect::<Vec<_>>())?;
        ascending(r, "rules", &policy.rules.iter().map(|rule| &rule.prefix).collect::<Vec<_>>())?;
        Ok(policy)
    }
}

/// A public key as people write it: `ed25519:` and 64 hex digits.
pub fn show_key(public: &[u8; 32]) -> String {
    format!("ed25519:{}", hex::encode(public))
}

/// A public key where there is little room: `ed25519:` and the first 16 hex digits.
pub fn show_key_short(public: &[u8; 32]) -> String {
    format!("ed25519:{}", hex::encode(&public[..8]))
}

/// Whether a policy's bytes fit its bound.
///
/// # Errors
/// `policy-unsound` with size and bound.
pub fn check_size(policy: &Policy) -> Checked<()> {
    let found = policy.to_cbor().len();
    if found > POLICY_BYTES_MAX {
        return Err(Fault::new(Rule::PolicyUnsound, format!("{found} bytes found, {POLICY_BYTES_MAX} at most")));
    }
    Ok(())
}

//! The policy as people write it: TOML with comments in, the same facts printed back. What is signed is the canonical CBOR.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::cbor::Canonical as _;
use super::ids::Party;
use super::limits::{MEMBER_KEYS_MAX, OBJECT_BYTES_MAX, SESSION_PAPERS_MAX};
use super::policy::{Content, Group, Member, MemberKey, Policy, PrefixRule, check_size};
use super::rules::{Checked, Fault, Rule};
use super::soundness::Place;

pub use super::policy::show_key;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyToml {
    governors: Spanned<String>,
    #[serde(default = "default_lag")]
    base_lag_max: u64,
    #[serde(default = "default_lag")]
    held_numbers_max: u64,
    #[serde(default = "default_quota")]
    quota: u64,
    #[serde(default)]
    member: Vec<MemberToml>,
    #[serde(default)]
    group: Vec<GroupToml>,
    #[serde(default)]
    rule: Vec<RuleToml>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberToml {
    name: Spanned<String>,
    keys: Vec<String>,
    #[serde(default)]
    retired: Vec<String>,
    quota: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupToml {
    name: Spanned<String>,
    k: u64,
    of: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleToml {
    prefix: Spanned<String>,
    propose: Vec<String>,
    approve: Option<String>,
    #[serde(default = "default_content")]
    content: String,
    #[serde(default = "default_size")]
    size_max: u64,
}

fn default_lag() -> u64 {
    1_000
}

fn default_quota() -> u64 {
    SESSION_PAPERS_MAX
}

fn default_content() -> String {
    Content::Optional.word().into()
}

fn default_size() -> u64 {
    OBJECT_BYTES_MAX
}

fn unsound(reason: impl Into<String>) -> Fault {
    Fault::new(Rule::PolicyUnsound, reason)
}

/// A public key as people write it: `ed25519:` and 64 hex digits.
///
/// # Errors
/// `policy-unsound` with what was found.
pub fn parse_key(text: &str) -> Checked<[u8; 32]> {
    let hash = text.strip_prefix("ed25519:").and_then(super::ids::Hash::from_hex);
    hash.map(|hash| hash.0).ok_or_else(|| unsound(format!("key {text:?} found; ed25519: and 64 hex digits expected")))
}

/// Why a text is no sound policy, and where it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The line of the text, from 1, where one line can be named.
    pub line: Option<usize>,
    /// What was found, and what it was compared with.
    pub found: String,
}

impl Reason {
    /// As one text.
    pub fn text(&self) -> String {
        self.line.map_or_else(|| self.found.clone(), |line| format!("line {line}: {}", self.found))
    }
}

/// Reads a policy from TOML, writes every default out, sorts, and checks that it is sound.
///
/// # Errors
/// `policy-unsound` with the first reason and its line.
pub fn parse(text: &str) -> Checked<Policy> {
    parse_all(text).map_err(|reasons| unsound(reasons.first().map(Reason::text).unwrap_or_default()))
}

/// As [`parse`], with every reason that can be told apart.
///
/// # Errors
/// The reasons, at least one, ascending by line.
pub fn parse_all(text: &str) -> Result<Policy, Vec<Reason>> {
    let line_of = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
    let toml: PolicyToml = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| line_of(span.start));
        vec![Reason { line, found: error.message().replace('\n', " ") }]
    })?;
    let lines = Lines { toml: &toml, line_of: &line_of };
    let mut reasons = lines.twice();
    let policy = read(&toml, &lines, &mut reasons);
    if let Some(policy) = policy.as_ref().filter(|_| reasons.is_empty()) {
        reasons.extend(policy.unsound().into_iter().map(|unsound| Reason { line: lines.of(&unsound.place), found: unsound.reason }));
        // The round trip refuses what the wire would refuse, whatever it is.
        let wire = check_size(policy).and_then(|()| Policy::from_cbor(&policy.to_cbor()).map(drop));
        reasons.extend(wire.err().map(|fault| Reason { line: None, found: fault.found }));
    }
    reasons.sort_by_key(|reason| reason.line.unwrap_or(usize::MAX));
    policy.filter(|_| reasons.is_empty()).ok_or(reasons)
}

/// Where each table of a text stands.
struct Lines<'a> {
    toml: &'a PolicyToml,
    line_of: &'a dyn Fn(usize) -> usize,
}

impl Lines<'_> {
    fn line(&self, name: &Spanned<String>) -> usize {
        (self.line_of)(name.span().start)
    }

    fn find<'a>(&self, mut names: impl Iterator<Item = &'a Spanned<String>>, wanted: &str) -> Option<usize> {
        names.find(|name| name.get_ref() == wanted).map(|name| self.line(name))
    }

    fn of(&self, place: &Place) -> Option<usize> {
        let toml = self.toml;
        match place {
            Place::Whole => None,
            Place::Governors => Some(self.line(&toml.governors)),
            Place::Member(name) => self.find(toml.member.iter().map(|member| &member.name), name.as_str()),
            Place::Group(name) => self.find(toml.group.iter().map(|group| &group.name), name.as_str()),
            Place::Rule(prefix) => self.find(toml.rule.iter().map(|rule| &rule.prefix), prefix.as_str()),
        }
    }

    /// Members, groups and rules that stand twice.
    fn twice(&self) -> Vec<Reason> {
        let toml = self.toml;
        let kinds: [(&str, Vec<&Spanned<String>>); 3] = [
            ("member", toml.member.iter().map(|member| &member.name).collect()),
            ("group", toml.group.iter().map(|group| &group.name).collect()),
            ("the rule for", toml.rule.iter().map(|rule| &rule.prefix).collect()),
        ];
        let mut out = Vec::new();
        for (what, names) in kinds {
            let mut first = BTreeMap::new();
            for name in names {
                if let Some(before) = first.insert(name.get_ref().as_str(), self.line(name)) {
                    let found = format!("{what} {} stands twice, first in line {before}", name.get_ref());
                    out.push(Reason { line: Some(self.line(name)), found });
                }
            }
        }
        out
    }
}

/// The tables as a policy, ascending as the wire wants them; what cannot be read goes to `reasons`.
fn read(toml: &PolicyToml, lines: &Lines<'_>, reasons: &mut Vec<Reason>) -> Option<Policy> {
    let mut keep = |name: &Spanned<String>, fault: Fault| reasons.push(Reason { line: Some(lines.line(name)), found: fault.found });
    let mut members = Vec::new();
    for member in &toml.member {
        read_member(member, toml.quota).map_or_else(|fault| keep(&member.name, fault), |member| members.push(member));
    }
    members.sort_by(|a, b| a.name.cmp(&b.name));
    // By what the text names, not by what could be read of it: one fault is told once.
    let is_member = |name: &Party| toml.member.iter().any(|member| member.name.get_ref() == name.as_str());
    let (mut groups, mut rules) = (Vec::new(), Vec::new());
    for group in &toml.group {
        read_group(group, &is_member).map_or_else(|fault| keep(&group.name, fault), |group| groups.push(group));
    }
    for rule in &toml.rule {
        read_rule(rule, &is_member).map_or_else(|fault| keep(&rule.prefix, fault), |rule| rules.push(rule));
    }
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    rules.sort_by(|a, b| a.prefix.cmp(&b.prefix));
    let governors = toml.governors.get_ref().parse().map_err(|fault| keep(&toml.governors, fault)).ok()?;
    Some(Policy { governors, base_lag_max: toml.base_lag_max, held_numbers_max: toml.held_numbers_max, members, groups, rules })
}

fn read_member(toml: &MemberToml, quota: u64) -> Checked<Member> {
    let active = toml.keys.iter().map(|key| (key, true));
    let keys = active.chain(toml.retired.iter().map(|key| (key, false)));
    let mut keys = keys.map(|(text, active)| Ok(MemberKey { public: parse_key(text)?, active })).collect::<Checked<Vec<_>>>()?;
    keys.sort_by_key(|key| key.public);
    if keys.is_empty() {
        return Err(unsound(format!("member {} has no key; at least one, active or retired, expected", toml.name.get_ref())));
    }
    if keys.len() > MEMBER_KEYS_MAX {
        return Err(unsound(format!("member {} has {} keys; {MEMBER_KEYS_MAX} at most", toml.name.get_ref(), keys.len())));
    }
    Ok(Member { name: toml.name.get_ref().parse()?, keys, quota: toml.quota.unwrap_or(quota) })
}

/// Splits names into members and groups, each ascending.
fn split(names: &[String], is_member: &dyn Fn(&Party) -> bool) -> Checked<(Vec<Party>, Vec<Party>)> {
    let mut names = names.iter().map(|name| name.parse()).collect::<Checked<Vec<Party>>>()?;
    names.sort();
    Ok(names.into_iter().partition(|name| is_member(name)))
}

fn read_group(toml: &GroupToml, is_member: &dyn Fn(&Party) -> bool) -> Checked<Group> {
    let (members, groups) = split(&toml.of, is_member)?;
    Ok(Group { name: toml.name.get_ref().parse()?, k: toml.k, members, groups })
}

fn read_rule(toml: &RuleToml, is_member: &dyn Fn(&Party) -> bool) -> Checked<PrefixRule> {
    let (members, groups) = split(&toml.propose, is_member)?;
    let content = [Content::Forbidden, Content::Optional, Content::Required].into_iter().find(|content| content.word() == toml.content);
    let content =
        content.ok_or_else(|| unsound(format!("content = {:?} found; forbidden, optional or required expected", toml.content)))?;
    let approve = toml.approve.as_deref().map(str::parse).transpose()?;
    Ok(PrefixRule { prefix: toml.prefix.get_ref().parse()?, members, groups, approve, content, size_max: toml.size_max })
}

/// Prints a policy as TOML with every default written out; reading it back gives the same policy.
pub fn print(policy: &Policy) -> String {
    let list = |items: &mut dyn Iterator<Item = String>| items.map(|item| format!("{item:?}")).collect::<Vec<_>>().join(", ");
    let mut out = format!("# policy sha256:{}\n", policy.hash());
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!("governors = \"{}\"", policy.governors));
    line(format!("base_lag_max = {}\nheld_numbers_max = {}", policy.base_lag_max, policy.held_numbers_max));
    for member in &policy.members {
        line(format!("\n[[member]]\nname = \"{}\"", member.name));
        let of = |active: bool| list(&mut member.keys.iter().filter(|key| key.active == active).map(|key| show_key(&key.public)));
        line(format!("keys = [{}]\nretired = [{}]\nquota = {}", of(true), of(false), member.quota));
    }
    for group in &policy.groups {
        let of = list(&mut group.members.iter().chain(&group.groups).map(Party::to_string));
        line(format!("\n[[group]]\nname = \"{}\"\nk = {}\nof = [{of}]", group.name, group.k));
    }
    for rule in &policy.rules {
        let propose = list(&mut rule.members.iter().chain(&rule.groups).map(Party::to_string));
        line(format!("\n[[rule]]\nprefix = \"{}\"\npropose = [{propose}]", rule.prefix));
        if let Some(approve) = &rule.approve {
            line(format!("approve = \"{approve}\""));
        }
        line(format!("content = \"{}\"\nsize_max = {}", rule.content.word(), rule.size_max));
    }
    out
}

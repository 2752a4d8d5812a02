//! The policy as people write it: TOML with comments in, the same facts printed back. What is signed is the canonical CBOR.

use serde::Deserialize;

use super::ids::Party;
use super::limits::{OBJECT_BYTES_MAX, SESSION_PAPERS_MAX};
use super::policy::{Content, Group, Member, MemberKey, Policy, PrefixRule};
use super::rules::{Checked, Fault, Rule};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyToml {
    governors: String,
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
    name: String,
    keys: Vec<String>,
    #[serde(default)]
    retired: Vec<String>,
    quota: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupToml {
    name: String,
    k: u64,
    of: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleToml {
    prefix: String,
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

/// A public key as people write it.
pub fn show_key(public: &[u8; 32]) -> String {
    format!("ed25519:{}", hex::encode(public))
}

/// Reads a policy from TOML, writes every default out, sorts, and checks that it is sound.
///
/// # Errors
/// `policy-unsound` with the line or the reason.
pub fn parse(text: &str) -> Checked<Policy> {
    let toml: PolicyToml = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        unsound(format!("line {line}: {}", error.message().replace('\n', " ")))
    })?;
    let mut members = toml.member.iter().map(|member| read_member(member, toml.quota)).collect::<Checked<Vec<_>>>()?;
    members.sort_by(|a, b| a.name.cmp(&b.name));
    let is_member = |name: &Party| members.iter().any(|member| member.name == *name);
    let mut groups = toml.group.iter().map(|group| read_group(group, &is_member)).collect::<Checked<Vec<_>>>()?;
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    let mut rules = toml.rule.iter().map(|rule| read_rule(rule, &is_member)).collect::<Checked<Vec<_>>>()?;
    rules.sort_by(|a, b| a.prefix.cmp(&b.prefix));
    let policy = Policy {
        governors: toml.governors.parse()?,
        base_lag_max: toml.base_lag_max,
        held_numbers_max: toml.held_numbers_max,
        members,
        groups,
        rules,
    };
    super::policy::check_size(&policy)?;
    // The round trip refuses what the wire would refuse: names that stand twice, too many of anything.
    use super::cbor::Canonical as _;
    Policy::from_cbor(&policy.to_cbor()).map_err(|fault| unsound(fault.found))?;
    policy.check_sound()?;
    Ok(policy)
}

fn read_member(toml: &MemberToml, quota: u64) -> Checked<Member> {
    let active = toml.keys.iter().map(|key| (key, true));
    let keys = active.chain(toml.retired.iter().map(|key| (key, false)));
    let mut keys = keys.map(|(text, active)| Ok(MemberKey { public: parse_key(text)?, active })).collect::<Checked<Vec<_>>>()?;
    keys.sort_by_key(|key| key.public);
    Ok(Member { name: toml.name.parse()?, keys, quota: toml.quota.unwrap_or(quota) })
}

/// Splits names into members and groups, each ascending.
fn split(names: &[String], is_member: &dyn Fn(&Party) -> bool) -> Checked<(Vec<Party>, Vec<Party>)> {
    let mut names = names.iter().map(|name| name.parse()).collect::<Checked<Vec<Party>>>()?;
    names.sort();
    Ok(names.into_iter().partition(|name| is_member(name)))
}

fn read_group(toml: &GroupToml, is_member: &dyn Fn(&Party) -> bool) -> Checked<Group> {
    let (members, groups) = split(&toml.of, is_member)?;
    Ok(Group { name: toml.name.parse()?, k: toml.k, members, groups })
}

fn read_rule(toml: &RuleToml, is_member: &dyn Fn(&Party) -> bool) -> Checked<PrefixRule> {
    let (members, groups) = split(&toml.propose, is_member)?;
    let content = [Content::Forbidden, Content::Optional, Content::Required].into_iter().find(|content| content.word() == toml.content);
    let content =
        content.ok_or_else(|| unsound(format!("content = {:?} found; forbidden, optional or required expected", toml.content)))?;
    let approve = toml.approve.as_deref().map(str::parse).transpose()?;
    Ok(PrefixRule { prefix: toml.prefix.parse()?, members, groups, approve, content, size_max: toml.size_max })
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

//! Judging one paper at its turn (SPEC 6.7): all rules with a final outcome, then those that give a notice, each in registry order.

use std::collections::{BTreeMap, BTreeSet};

use super::batch::Paper;
use super::books::Books;
use super::ids::{Hash, Head, Name, Party, Pid};
use super::keyring::Keyring;
use super::limits::HELD_PER_AUTHOR_MAX;
use super::objects::Inside;
use super::policy::{Policy, check_size};
use super::proposal::{Entry, Expect, Operation};
use super::quorum::{self, Approval, Side};
use super::rules::{Fault, Rule};
use super::state::State;
use super::tree::Log;
use super::verdict::{Detail, Verdict, found_expected};

/// What a turn looks at: the desk as the papers before it in this session have left it.
pub struct Desk<'a> {
    /// The books before this session.
    pub books: &'a Books,
    /// The policy all papers of this session are judged by.
    pub policy: &'a Policy,
    /// Its keys.
    pub keyring: &'a Keyring,
    /// The log with the records of this session so far.
    pub log: Log,
    /// The state after them.
    pub state: State,
    /// Answers of this session so far.
    pub answers: BTreeMap<Pid, Verdict>,
    /// Accepted papers of this session by author.
    pub accepted: BTreeMap<Party, u64>,
    /// Papers held for an author after this session, as far as it is judged.
    pub held: BTreeMap<Party, usize>,
    /// The paper that binds each sequence number.
    pub bound: BTreeMap<(Party, u64), Pid>,
    /// The paper whose policy ended the session.
    pub ended_by: Option<Pid>,
}

impl Desk<'_> {
    /// The head as this turn sees it.
    pub fn head(&self) -> Head {
        self.log.head()
    }

    /// The final answer to a paper, if it has one by now.
    pub fn final_answer(&self, pid: &Pid) -> Option<bool> {
        let here = self.answers.get(pid).filter(|verdict| verdict.is_final());
        here.map(|verdict| *verdict == Verdict::Accepted).or_else(|| self.books.was_accepted(pid))
    }
}

/// One rule's check: the compared values when it is broken.
type Check = fn(&Desk<'_>, &Paper) -> Option<Detail>;

/// Rules with a final outcome, in registry order.
const FINAL: &[(Rule, Check)] = &[
    (Rule::AuthorNotActive, author_not_active),
    (Rule::SequenceTaken, sequence_taken),
    (Rule::BaseRootMismatch, base_root_mismatch),
    (Rule::Lapsed, lapsed),
    (Rule::DependencyRefused, dependency_refused),
    (Rule::BaseTooOld, base_too_old),
    (Rule::NoRule, no_rule),
    (Rule::ProposerNotAllowed, proposer_not_allowed),
    (Rule::NameShadowsRule, name_shadows_rule),
    (Rule::NameCollides, name_collides),
    (Rule::EntryTooLarge, entry_too_large),
    (Rule::ObjectFault, object_fault),
    (Rule::ExpectationFailed, expectation_failed),
    (Rule::NoEffect, no_effect),
    (Rule::PolicyFault, policy_fault),
];

/// Rules that give a notice, in registry order.
const INTERIM: &[(Rule, Check)] = &[
    (Rule::ThresholdNotMet, threshold_not_met),
    (Rule::BaseAhead, base_ahead),
    (Rule::DependencyOpen, dependency_open),
    (Rule::ObjectMissing, object_missing),
    (Rule::QuotaUsed, quota_used),
];

/// Judges a paper whose turn it is; the first broken rule decides.
pub fn judge(desk: &Desk<'_>, paper: &Paper) -> Verdict {
    let first = FINAL.iter().chain(INTERIM).find_map(|(rule, check)| check(desk, paper).map(|detail| (*rule, detail)));
    first.map_or(Verdict::Accepted, |(rule, detail)| broken(desk, paper, rule, detail))
}

/// Tries a paper that was never ready for `lapsed` alone (SPEC 6.5); whatever it waits for, it is not accepted here.
///
/// What it waits for may have become final after the rounds. It had no turn all the same, and is judged in the next session.
pub fn judge_never_ready(desk: &Desk<'_>, paper: &Paper) -> Verdict {
    if let Some(detail) = lapsed(desk, paper) {
        return broken(desk, paper, Rule::Lapsed, detail);
    }
    let awaited = || paper.proposal.after.first().map(|pid| pid.short()).unwrap_or_default();
    let detail = dependency_open(desk, paper).unwrap_or_else(|| Detail::of(&["after", &awaited()]));
    broken(desk, paper, Rule::DependencyOpen, detail)
}

/// Answers a paper that comes after the policy that ended the session.
pub fn judge_after_end(desk: &Desk<'_>, paper: &Paper) -> Verdict {
    let by = desk.ended_by.map(|pid| pid.short()).unwrap_or_default();
    broken(desk, paper, Rule::SessionEnded, Detail::of(&["by", &by]))
}

/// The verdict of the first broken rule; a notice for one paper too many of its author is `held-full`.
fn broken(desk: &Desk<'_>, paper: &Paper, rule: Rule, detail: Detail) -> Verdict {
    let verdict = Verdict::Broken(rule, detail);
    let full = desk.held.get(&paper.proposal.author).is_some_and(|&held| held >= HELD_PER_AUTHOR_MAX);
    if !verdict.is_final() && full && !paper.is_held() {
        return Verdict::Broken(Rule::HeldFull, Detail::of(&["most", &HELD_PER_AUTHOR_MAX.to_string()]));
    }
    verdict
}

fn author_not_active(desk: &Desk<'_>, paper: &Paper) -> Option<Detail> {
    let author = &paper.proposal.author;
    let active = paper.valid.keys().any(|kid| desk.keyring.active(kid).is_some_and(|key| key.member == *author));
    (!active).then(|| Detail::of(&["author", author.as_str()]))
}

fn sequence_taken(desk: &Desk<'_>, paper: &Paper) -> Option<Detail> {
    let key = (paper.proposal.author.clone(), paper.proposal.sequence);
    let by = desk.bound.get(&key).filter(|pid| **pid != paper.pid)?;
    Some(Detail::of(&["sequence", &key.1.to_string(), "by", &by.short()]))
}

fn base_root_mismatch(desk: &Desk<'_>, paper: &Paper) -> Option<Detail> {
    let base = paper.proposal.base;
    let ours = desk.log.root_at(base.number).filter(|ours| *ours != base.root)?;
    Some(Detail::of(&["base", &base.number.to_string(), "found", &base.root.short(), "expected", &ours.short()]))
}

fn lapsed(desk: &Desk<'_>, paper: &Paper) -> Option<Detail> {
    let (number, most) = (desk.head().number + 1, desk.policy.held_numbers_max);
    if let Some(last) = paper.proposal.last_number.filter(|last| number > *last) {
        return Some(Detail::of(&["number", &number.to_string(), "last", &last.to_string()]));
    }
    // SPEC 6.8: only what waited can have waited too long. A new paper must not lapse because its own session is a long one.
    let since = paper.first_number;
    let over = paper.is_held() && (number - 1).saturating_sub(since) > most;
    over.then(|| Detail::of(&["held", "since", &since.to_string(), "head", &(number - 1).to_string(), "most", &most.to_string()]))
}

fn dependency_refused(desk: &Desk<'_>, paper: &Paper) -> Option<Detail> {
    let refused = paper.proposal.after.iter().find(|pid| desk.final_answer(pid) == Some(false))?;
    Some(Detail::of(&["after", &refused.short()]))
}

fn base_too_old(desk: &Desk<'_>, paper: &Paper) -> Option<Detail> {
    let (base, first, most) = (paper.proposal.base.number, paper.first_number, desk.policy.base_lag_max);
    let old = first.saturating_sub(base) > most;
    old.then(|| Detail::of(&["base", &base.to_string(), "head", &first.to_string(), "most", &most.to_string()]))
}

fn names(paper: &Paper) -> impl Iterator<Item = &Name> {
    paper.proposal.operations.iter().filter_map(Operation::name)
}

fn no_rule(desk: &Desk<'_>, paper: &Paper) -> Option<Detail> {
    let name = names(paper).find(|name| desk.policy.rule_for(name).is_none())?;
    Some(Detail::of(&["name", name.as_str()]))
}

fn proposer_not_allowed(desk: &Desk<'_>, paper: &Paper) -> Option<Detail> {
    let author = &paper.proposal.author;
    let refused = |name: &Name| desk.policy.rule_for(name).filter(|rule| !desk.policy.may_propose(rule, author));
    let (name, rule) = names(paper).find_map(|name| refused(name).map(|rule| (name, rule)))?;
    Some(Detail::of(&["name", name.as_str(), "prefix", rule.prefix.as_str(), "author", author.as_str()]))
}

fn puts(paper: &Paper) -> impl Iterator<Item = (&Name, &Entry)> {
    paper.proposal.operations.iter().filter_map(|operation| match operation {
        Operation::Put { name, entry, .. } => Some((name, entry)),
        _ => None,
    })
}

fn name_shadows_rule(desk: &Desk<'_>, paper: &Paper) -> Option<Detail> {
    let shadowed = |name: &Name| desk.policy.rules.iter().find(|rule| rule.prefix.is_shadowed_by(name));
    let (name, rule) = puts(paper).find_map(|(name, _)| shadowed(name).map(|rule| (name, rule)))?;
    Some(Detail::of(&["name", name.as_str(), "prefix", rule.prefix.as_str()]))
}

fn name_collides(desk: &Desk<'_>, paper: &Paper) -> Option<Detail> {
    let removed: BTreeSet<&Name> =
        paper.proposal.operations.iter().filter(|op| matches!(op, Operation::Remove { .. })).filter_map(Operation::name).collect();
    let put: BTreeSet<&Name> = puts(paper).map(|(name, _)| name).collect();
    let stays = |name: &Name| put.contains(name) || (desk.state.get(name).is_some() && !removed.contains(name));
    let above = |name: &Name| name.ancestors().filter_map(|text| text.parse().ok()).find(|ancestor: &Name| stays(ancestor));
    let below = |name: &Name| desk.state.first_below(name, |other| !removed.contains(other)).cloned();
    let (name, other) = puts(paper).find_map(|(name, _)| above(name).or_else(|| below(name)).map(|other| (name, other)))?;
    Some(Detail::of(&["name", name.as_str(), "other", other.as_str()]))
}

/// What the desk found inside the tree that `name` is to stand for, if it holds it and its rule requires it.
fn inside<'a>(desk: &Desk<'_>, paper: &'a Paper, name: &Name, entry: &Entry) -> Option<&'a Inside> {
    let looked_at = entry.is_tree() && desk.policy.requires_content(name);
    paper.objects.get(&entry.sha256).filter(|_| looked_at).map(|held| &held.inside)
}

fn entry_too_large(desk: &Desk<'_>, paper: &Paper) -> Option<Detail> {
    puts(paper).find_map(|(name, entry)| {
        let most = desk.policy.rule_for(name)?.size_max;
        // SPEC 6.11: a tree's bound holds for the tree itself and, once it is at hand, for what its paths hold in all.
        let members = match inside(desk, paper, name, entry) {
            Some(Inside::Tree { bytes, .. }) => *bytes,
            _ => 0,
        };
        let found = if entry.size > most { entry.size } else { members };
        (found > most).then(|| Detail::of(&["name", name.as_str(), "found", &found.to_string(), "most", &most.to_string()]))
    })
}

/// `name <name>` and then the values of a fault inside a tree.
fn within(name: &Name, fault: &str) -> Detail {
    Detail::of(&["name", name.as_str()].into_iter().chain(fault.split(' ')).collect::<Vec<_>>())
}

/// Where content is optional none is judged: a courier who strips it would turn the refusal into an acceptance.
fn object_fault(desk: &Desk<'_>, paper: &Paper) -> Option<Detail> {
    puts(paper).filter(|(name, _)| desk.policy.requires_content(name)).find_map(|(name, entry)| {
        let size = paper.objects.get(&entry.sha256)?.size;
        if size != entry.size {
            return Some(found_expected(Some(name), &size.to_string(), &entry.size.to_string()));
        }
        let (_, fault) = inside(desk, paper, name, entry)?.fault().filter(|(rule, _)| *rule == Rule::ObjectFault)?;
        Some(within(name, &fault))
    })
}

fn expectation_failed(desk: &Desk<'_>, paper: &Paper) -> Option<Detail> {
    paper.proposal.operations.iter().find_map(|operation| match operation {
        Operation::Put { expect: Expect::Anything, .. } => None,
        Operation::Put { name, expect: Expect::Absent, .. } => {
            let there = desk.state.get(name)?;
            Some(found_expected(Some(name), &there.sha256.short(), "absent"))
        }
        Operation::Put { name, expect: Expect::Content(hash), .. } => content_differs(desk, name, hash),
        Operation::Remove { name, expect } => expect.and_then(|hash| content_differs(desk, name, &hash)),
        Operation::SetPolicy { expect, .. } => {
            let (found, expected) = (desk.policy.hash(), expect.as_ref()?);
            (found != *expected).then(|| found_expected(None, &found.short(), &expected.short()))
        }
    })
}

fn content_differs(desk: &Desk<'_>, name: &Name, expected: &Hash) -> Option<Detail> {
    let there = desk.state.get(name).map(|entry| entry.sha256);
    let found = there.map_or("absent".into(), |hash| hash.short());
    (there != Some(*expected)).then(|| found_expected(Some(name), &found, &expected.short()))
}

fn no_effect(desk: &Desk<'_>, paper: &Paper) -> Option<Detail> {
    let idle = |operation: &&Operation| match operation {
        Operation::Put { name, entry, .. } => desk.state.get(name) == Some(entry),
        Operation::Remove { name, .. } => desk.state.get(name).is_none(),
        Operation::SetPolicy { policy, .. } => **policy == *desk.policy,
    };
    let operation = paper.proposal.operations.iter().find(idle)?;
    Some(Detail::of(&["name", operation.name().map_or("policy", Name::as_str)]))
}

fn policy_fault(desk: &Desk<'_>, paper: &Paper) -> Option<Detail> {
    let next = paper.proposal.sets_policy()?;
    let checked = check_size(next).and_then(|()| next.check_sound()).and_then(|()| desk.books.roll().check_reuse(desk.policy, next));
    checked.err().map(|fault: Fault| Detail::of(&fault.found.to_lowercase().split_whitespace().map(plain_word).collect::<Vec<_>>()))
}

/// A word of a reason without the punctuation a detail does not know around it; `/`, the prefix, stays as it is.
fn plain_word(word: &str) -> &str {
    word.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '/')
}

fn threshold_not_met(desk: &Desk<'_>, paper: &Paper) -> Option<Detail> {
    let approvals = quorum::approvals(desk.policy, desk.keyring, &paper.proposal, &paper.valid);
    let open = approvals.iter().find(|approval| !approval.tally.is_met())?;
    if let [old, new] = approvals.as_slice()
        && new.by == Side::Coming
    {
        return Some(both_sides(old, new));
    }
    let (have, need) = (open.tally.have.to_string(), open.tally.need.to_string());
    let mut words = vec!["group", open.group.as_str(), "have", &have, "need", &need, "missing"];
    words.extend(open.tally.missing.iter().map(Party::as_str));
    Some(Detail::of(&words))
}

/// A policy is counted twice, and both counts are told. The numbers stand before the names, which a detail may have no room for.
fn both_sides(old: &Approval, new: &Approval) -> Detail {
    let numbers = [old.tally.have, old.tally.need, new.tally.have, new.tally.need].map(|number| number.to_string());
    let [old_have, old_need, new_have, new_need] = numbers.each_ref().map(String::as_str);
    let mut words = vec!["old.group", old.group.as_str(), "old.have", old_have, "old.need", old_need];
    words.extend(["new.group", new.group.as_str(), "new.have", new_have, "new.need", new_need]);
    for (key, tally) in [("old.missing", &old.tally), ("new.missing", &new.tally)] {
        words.extend((!tally.missing.is_empty()).then_some(key));
        words.extend(tally.missing.iter().map(Party::as_str));
    }
    Detail::of(&words)
}

fn base_ahead(desk: &Desk<'_>, paper: &Paper) -> Option<Detail> {
    let (base, head) = (paper.proposal.base.number, desk.head().number);
    (base > head).then(|| Detail::of(&["base", &base.to_string(), "head", &head.to_string()]))
}

fn dependency_open(desk: &Desk<'_>, paper: &Paper) -> Option<Detail> {
    let open = paper.proposal.after.iter().find(|pid| desk.final_answer(pid).is_none())?;
    Some(Detail::of(&["after", &open.short()]))
}

fn object_missing(desk: &Desk<'_>, paper: &Paper) -> Option<Detail> {
    puts(paper).filter(|(name, _)| desk.policy.requires_content(name)).find_map(|(name, entry)| {
        if !paper.objects.contains_key(&entry.sha256) {
            return Some(Detail::of(&["name", name.as_str(), "object", &entry.sha256.short()]));
        }
        let (_, fault) = inside(desk, paper, name, entry)?.fault().filter(|(rule, _)| *rule == Rule::ObjectMissing)?;
        Some(within(name, &fault))
    })
}

fn quota_used(desk: &Desk<'_>, paper: &Paper) -> Option<Detail> {
    let quota = desk.policy.member(&paper.proposal.author)?.quota;
    let used = desk.accepted.get(&paper.proposal.author).copied().unwrap_or(0);
    (used >= quota).then(|| Detail::of(&["quota", &quota.to_string()]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::rules::{Outcome, Stage};

    #[test]
    fn checks_stand_in_registry_order_and_leave_out_only_what_the_plan_decides() {
        let judged: Vec<Rule> = FINAL.iter().chain(INTERIM).map(|(rule, _)| *rule).collect();
        let elsewhere = [Rule::SessionEnded, Rule::HeldFull];
        let registry = Rule::ALL.iter().copied().filter(|rule| rule.stage() == Stage::Judge && !elsewhere.contains(rule));
        assert_eq!(judged, registry.collect::<Vec<_>>());
        assert!(FINAL.iter().all(|(rule, _)| rule.outcome() == Outcome::Refused));
        assert!(INTERIM.iter().all(|(rule, _)| matches!(rule.outcome(), Outcome::Pending | Outcome::Deferred)));
    }
}

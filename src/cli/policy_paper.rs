//! A paper that sets the policy, as its author, its approvers and the operator meet it: what would change, and whose signatures are there and
//! missing, for the policy in force and for the new one apart.

use std::path::Path;

use serde::Serialize;

use crate::core::cose::Envelope;
use crate::core::ids::Kid;
use crate::core::keyring::Keyring;
use crate::core::meaning::{Meaning, meaning};
use crate::core::need::Need;
use crate::core::plan::PolicyPaper;
use crate::core::policy::{Policy, show_key};
use crate::core::policy_change::{PolicyChange, compare};
use crate::core::proposal::Proposal;
use crate::core::quorum::{Approval, Side, approval, approvals};
use crate::core::rules::{Fault, Rule};
use crate::core::verify::valid_signatures;
use crate::keys::derive::MemberKey;
use crate::run::approve::{Approvable, Pending, read_for_approval};
use crate::run::consumer::read_pin;
use crate::run::folder::{CheckedFolder, Folder};
use crate::run::policy_file::PolicySource;
use crate::run::problem::{Outcomes, Problem, Unchanged};
use crate::run::propose::{Proposed, Wish};
use crate::run::propose_policy::{ProposedPolicy, propose_policy};
use crate::run::words::{approval_lines, change_lines};

use super::output::Page;
use super::policy::{KEEP_NAMES, meaning_lines};

/// The Common that an approver compares a policy with, when one was given.
///
/// # Errors
/// Everything [`Folder::check`] refuses.
pub fn common_of(dir: Option<&Path>, pin: &Path) -> Outcomes<Option<CheckedFolder>> {
    let Some(dir) = dir else { return Ok(None) };
    Ok(Some(Folder::find(dir)?.check(&read_pin(pin)?)?))
}

/// A policy in a paper, as its approvers see it.
#[derive(Serialize)]
pub struct PolicySeen {
    /// The Common whose policy in force it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    compared_with: Option<InForce>,
    /// What would change.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<PolicyChange>,
    /// What it means, when there is nothing to compare it with.
    #[serde(skip_serializing_if = "Option::is_none")]
    meaning: Option<Meaning>,
    #[serde(flatten)]
    standing: Standing,
}

/// Where a policy in force was read.
#[derive(Serialize)]
struct InForce {
    /// The published folder.
    folder: String,
    /// N of its newest `common@N`.
    number: u64,
}

/// Whose approvals a policy has, as far as the signatures in one file tell.
#[derive(Serialize)]
pub struct Standing {
    /// By each policy that is known: the one in force only with a Common.
    approvals: Vec<Approval>,
}

impl Standing {
    /// The approvals in words.
    pub fn say(&self, page: &mut Page) {
        approval_lines(&self.approvals).iter().for_each(|line| page.line(line));
        if !self.approvals.iter().any(|approval| approval.by == Side::InForce) {
            page.labelled("approval", "the policy in force: not known without --common DIR");
        }
    }
}

impl PolicySeen {
    /// The facts in words.
    pub fn say(&self, page: &mut Page) {
        if let Some(InForce { folder, number }) = &self.compared_with {
            page.labelled("compared", format!("with the policy in force after common@{number} in {folder}"));
        }
        self.change.iter().flat_map(change_lines).for_each(|line| page.line(line));
        if let Some(meaning) = &self.meaning {
            meaning_lines(meaning).iter().for_each(|line| page.line(line));
            page.labelled(
                "warning",
                "it was not compared with the policy in force: name a published folder with --common DIR and your pin with --pin FILE",
            );
        }
        self.standing.say(page);
    }
}

/// What a policy would change, or without a Common to compare it with what it means; then whose approvals it has. Nothing of other papers.
///
/// # Errors
/// `policy-unsound` when the witness would refuse it: nobody's signature helps it.
pub fn see(proposal: &Proposal, envelope: &Envelope, common: Option<&CheckedFolder>) -> Outcomes<Option<PolicySeen>> {
    let Some(next) = proposal.sets_policy() else { return Ok(None) };
    let refused = || "nothing was signed: the witness would refuse this policy".to_owned();
    next.check_sound().unchanged(refused)?;
    let (mut compared_with, mut change) = (None, None);
    if let Some(checked) = common {
        let common = &checked.common;
        let reuse = common.roll().check_reuse(common.policy()?, next).unchanged(refused);
        reuse.map_err(|problem| problem.advising(KEEP_NAMES))?;
        change = Some(compare(common.policy()?, next, Some(common.state())));
        compared_with = Some(InForce { folder: checked.folder.path().display().to_string(), number: checked.head.number });
    }
    let meaning = common.is_none().then(|| meaning(next));
    Ok(Some(PolicySeen { compared_with, change, meaning, standing: standing(proposal, next, envelope, common)? }))
}

/// Whose approvals a policy has.
///
/// # Errors
/// `proof-fails` when the folder has no page.
fn standing(proposal: &Proposal, next: &Policy, envelope: &Envelope, common: Option<&CheckedFolder>) -> Outcomes<Standing> {
    let coming = next.keyring();
    let approvals = match common {
        Some(checked) => {
            let (policy, keyring) = (checked.common.policy()?, checked.common.keyring());
            approvals(policy, keyring, proposal, &valid_signatures(envelope, keyring, &coming))
        }
        None => {
            let valid = valid_signatures(envelope, &Keyring::default(), &coming);
            vec![approval(Side::Coming, next, &coming, &next.governors, &valid)]
        }
    };
    Ok(Standing { approvals })
}

/// Sees that a key's signature would count for a policy, before it signs: the wrong key would be noticed at the witness only.
///
/// # Errors
/// `key-mismatch` when it belongs to no governor in force and to none to come; without a Common only the latter are known, and it is allowed.
pub fn check_key(papers: &[Pending], common: Option<&CheckedFolder>, key: &MemberKey) -> Outcomes<()> {
    let Some(checked) = common else { return Ok(()) };
    let in_force = checked.common.policy()?;
    for next in papers.iter().filter_map(proposal_of).filter_map(Proposal::sets_policy) {
        let governs = |policy: &Policy| {
            let member = policy.keyring().active(&key.kid()).map(|key| key.member.clone());
            member.is_some_and(|member| policy.expand(&policy.governors).contains(&member))
        };
        if !governs(in_force) && !governs(next) {
            let people = [in_force, next].map(|policy| Need::of_group(policy, &policy.governors).to_string());
            let found = format!(
                "{} is an active key of no governor: {} are needed under the policy in force, {} under the new one",
                show_key(&key.public_bytes()),
                people[0],
                people[1]
            );
            return Err(Fault::new(Rule::KeyMismatch, found)).unchanged(|| "nothing was signed, and no file was changed".into());
        }
    }
    Ok(())
}

/// The keys by which signatures are shown as names: those of the policy in force, else those of the policy in the paper.
pub fn keyring_of(proposal: &Proposal, common: Option<&CheckedFolder>) -> Keyring {
    let in_force = common.map(|checked| checked.common.keyring().clone());
    in_force.or_else(|| proposal.sets_policy().map(Policy::keyring)).unwrap_or_default()
}

/// Whose key this is, by any of the papers or the Common given; else its short id.
pub fn signer_name(papers: &[Pending], common: Option<&CheckedFolder>, kid: &Kid) -> String {
    let proposals = papers.iter().filter_map(proposal_of);
    let keyrings = proposals.flat_map(|proposal| [Some(keyring_of(proposal, common)), proposal.sets_policy().map(Policy::keyring)]);
    let mut keyrings = common.map(|checked| Some(checked.common.keyring().clone())).into_iter().chain(keyrings);
    let name = keyrings.find_map(|keyring| keyring?.get(kid).map(|key| key.member.to_string()));
    name.unwrap_or_else(|| kid.short())
}

fn proposal_of(pending: &Pending) -> Option<&Proposal> {
    match &pending.what {
        Approvable::Proposal(proposal) => Some(proposal),
        Approvable::Charter(_) | Approvable::Order(_) => None,
    }
}

/// Whose approvals each policy has now, read again from what was written.
///
/// # Errors
/// Those of reading it.
pub fn after_signing(papers: &[Pending], common: Option<&CheckedFolder>, target: &Path) -> Outcomes<Vec<Standing>> {
    if !papers.iter().filter_map(proposal_of).any(|proposal| proposal.sets_policy().is_some()) {
        return Ok(Vec::new());
    }
    let written = read_for_approval(target)?;
    let policy = |pending| proposal_of(pending).and_then(|proposal| Some((pending, proposal, proposal.sets_policy()?)));
    let policies = written.papers.iter().filter_map(policy);
    policies.map(|(pending, proposal, next)| standing(proposal, next, pending.envelope(), common)).collect()
}

/// Makes a paper that sets the policy; also what its author is shown of it.
///
/// # Errors
/// As [`propose_policy`].
pub fn propose(wish: &Wish<'_>, policy: Policy, key: &MemberKey) -> Outcomes<(Proposed, PolicyPaper)> {
    let ProposedPolicy { proposed, change, approvals } = propose_policy(wish, policy, key).map_err(|problem| match problem.fault.rule {
        Rule::PolicyUnsound => problem.advising(KEEP_NAMES),
        Rule::ExpectationFailed => problem.advising("run tabellion advance, look at the policy in force, and propose again"),
        Rule::NoEffect => problem.advising("nothing to do; tabellion policy show DIR prints it"),
        Rule::QuotaUsed => problem.advising("have a member whose quota is above 0 propose it"),
        _ => problem,
    })?;
    let policy = PolicyPaper { pid: proposed.pid, approvals, change };
    Ok((proposed, policy))
}

/// Reads a policy that is to be proposed.
///
/// # Errors
/// `policy-unsound` with the first reason.
pub fn read_to_propose(path: &Path) -> Outcomes<Policy> {
    if path.is_dir() {
        return Err(Problem::usage(format!("{} is a folder; a policy file expected", path.display())));
    }
    Ok(PolicySource::read(path, Path::new(""), None)?.policy)
}

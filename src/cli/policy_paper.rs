//! A paper that sets the policy, as its author, its approvers and the operator meet it: what would change, and whose signatures are there and
//! missing, for the policy in force and for the new one apart.

use std::path::Path;

use crate::core::cose::Envelope;
use crate::core::ids::Kid;
use crate::core::keyring::Keyring;
use crate::core::meaning::meaning;
use crate::core::need::Need;
use crate::core::plan::PolicyPaper;
use crate::core::policy::{Policy, show_key};
use crate::core::policy_change::compare;
use crate::core::policy_words::{approval_words, side_words};
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
use crate::run::propose_policy::propose_policy;

use super::output::Output;
use super::policy::{KEEP_NAMES, change_lines, meaning_lines};

/// How each side stands, line by line: have, need, from whom.
pub fn approval_lines(approvals: &[Approval]) -> Vec<String> {
    approvals.iter().map(|approval| format!("approval {}: {}", side_words(approval.by), approval_words(approval))).collect()
}

/// What the operator sees of a policy on a medium.
pub fn paper_lines(paper: &PolicyPaper) -> Vec<String> {
    change_lines(&paper.change).into_iter().chain(approval_lines(&paper.approvals)).collect()
}

/// The Common that an approver compares a policy with, when one was given.
///
/// # Errors
/// Everything [`Folder::check`] refuses.
pub fn common_of(dir: Option<&Path>, pin: &Path) -> Outcomes<Option<CheckedFolder>> {
    let Some(dir) = dir else { return Ok(None) };
    Ok(Some(Folder::find(dir)?.check(&read_pin(pin)?)?))
}

/// Shows what a policy would change, or without a Common to compare it with what it means; then whose approvals it has.
///
/// # Errors
/// `policy-unsound` when the witness would refuse it: nobody's signature helps it.
pub fn show(proposal: &Proposal, envelope: &Envelope, common: Option<&CheckedFolder>, out: &mut Output) -> Outcomes<()> {
    let Some(next) = proposal.sets_policy() else { return Ok(()) };
    let refused = || "nothing was signed: the witness would refuse this policy".to_owned();
    next.check_sound().unchanged(refused)?;
    match common {
        Some(checked) => {
            let common = &checked.common;
            let reuse = common.roll().check_reuse(common.policy()?, next).unchanged(refused);
            reuse.map_err(|problem| problem.advising(KEEP_NAMES))?;
            let change = compare(common.policy()?, next, Some(common.state()));
            out.line(format!(
                "compared with the policy in force after common@{} in {}",
                checked.head.number,
                checked.folder.path().display()
            ));
            change_lines(&change).iter().for_each(|line| out.line(line));
        }
        None => {
            meaning_lines(&meaning(next)).iter().for_each(|line| out.line(line));
            out.line("warning  it was not compared with the policy in force: name a published folder with --common DIR and your pin with --pin FILE");
        }
    }
    show_approvals(proposal, envelope, common, out)
}

/// Whose approvals a policy has, as far as the signatures in one file tell.
///
/// # Errors
/// `proof-fails` when the folder has no page.
pub fn show_approvals(proposal: &Proposal, envelope: &Envelope, common: Option<&CheckedFolder>, out: &mut Output) -> Outcomes<()> {
    let Some(next) = proposal.sets_policy() else { return Ok(()) };
    let coming = next.keyring();
    match common {
        Some(checked) => {
            let (policy, keyring) = (checked.common.policy()?, checked.common.keyring());
            let valid = valid_signatures(envelope, keyring, &coming);
            approval_lines(&approvals(policy, keyring, proposal, &valid)).iter().for_each(|line| out.line(line));
        }
        None => {
            let valid = valid_signatures(envelope, &Keyring::default(), &coming);
            let coming = approval(Side::Coming, next, &coming, &next.governors, &valid);
            approval_lines(&[coming]).iter().for_each(|line| out.line(line));
            out.line("approval the policy in force: not known without --common DIR");
        }
    }
    Ok(())
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
    let mut keyrings = proposals.flat_map(|proposal| [Some(keyring_of(proposal, common)), proposal.sets_policy().map(Policy::keyring)]);
    let name = keyrings.find_map(|keyring| keyring?.get(kid).map(|key| key.member.to_string()));
    name.unwrap_or_else(|| kid.short())
}

fn proposal_of(pending: &Pending) -> Option<&Proposal> {
    match &pending.what {
        Approvable::Proposal(proposal) => Some(proposal),
        Approvable::Charter(_) => None,
    }
}

/// Whose approvals a policy has now, read again from what was written.
///
/// # Errors
/// Those of reading it.
pub fn show_after_signing(papers: &[Pending], common: Option<&CheckedFolder>, target: &Path, out: &mut Output) -> Outcomes<()> {
    if !papers.iter().filter_map(proposal_of).any(|proposal| proposal.sets_policy().is_some()) {
        return Ok(());
    }
    for pending in &read_for_approval(target)?.papers {
        if let Some(proposal) = proposal_of(pending) {
            show_approvals(proposal, pending.envelope(), common, out)?;
        }
    }
    Ok(())
}

/// Makes a paper that sets the policy; also what its author is shown of it.
///
/// # Errors
/// As [`propose_policy`].
pub fn propose(wish: &Wish<'_>, policy: Policy, key: &MemberKey) -> Outcomes<(Proposed, Vec<String>)> {
    let made = propose_policy(wish, policy, key).map_err(|problem| match problem.fault.rule {
        Rule::PolicyUnsound => problem.advising(KEEP_NAMES),
        Rule::ExpectationFailed => problem.advising("run tabellion advance, look at the policy in force, and propose again"),
        Rule::NoEffect => problem.advising("nothing to do; tabellion policy show DIR prints it"),
        Rule::QuotaUsed => problem.advising("have a member whose quota is above 0 propose it"),
        _ => problem,
    })?;
    let lines = change_lines(&made.change).into_iter().chain(approval_lines(&made.approvals)).collect();
    Ok((made.proposed, lines))
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

//! `approve`: what would be signed, and what was.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::core::charter::tally;
use crate::core::ids::{Kid, Party};
use crate::core::order;
use crate::core::policy::show_key;
use crate::core::proposal::Operation;
use crate::core::quorum::Tally;
use crate::core::rules::{Fault, Rule};
use crate::keys::derive::MemberKey;
use crate::run::approve::{self as approving, Approvable, Pending, ToApprove, read_for_approval};
use crate::run::files;
use crate::run::folder::CheckedFolder;
use crate::run::problem::{Exit, Outcomes, Problem, Unchanged};
use crate::run::words;

use super::charter::Charter;
use super::desk_facts::{Failed, Tree};
use super::facts::Paper;
use super::order::Order;
use super::output::{Answer, Output, Page, narrate};
use super::passphrase::PassphraseArgs;
use super::policy_paper::{self, PolicySeen, Standing};

/// `tabellion approve`
#[derive(Args)]
pub struct ApproveArgs {
    /// A bundle, a paper, an order, or the bare payload of an order or a charter
    file: PathBuf,
    /// Your key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// The published folder to compare a policy with, or to know the governors of an order from
    #[arg(long, value_name = "DIR")]
    common: Option<PathBuf>,
    /// Your pin, to check that folder from
    #[arg(long, value_name = "FILE", default_value = "common.pin")]
    pin: PathBuf,
    /// Where to write; without it the file itself, and for a bare payload the same name with .cose beside it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Sign without being asked
    #[arg(long)]
    yes: bool,
}

/// What is left of a signing that was not confirmed.
const UNSIGNED: &str = "nothing was signed, and no file was changed";

/// Shows what would be signed, then signs.
pub fn approve(args: &ApproveArgs, out: &mut Output) -> Outcomes<Exit> {
    let to_approve = read_for_approval(&args.file)?;
    let is_bare = to_approve.papers.iter().any(|pending| pending.envelope().signers.is_empty());
    let beside = if is_bare { args.file.with_extension("cose") } else { args.file.clone() };
    let target = args.out.clone().unwrap_or(beside);
    let common = policy_paper::common_of(args.common.as_deref(), &args.pin)?;
    let mut seen = ToSign { papers: Vec::new() };
    let looked = look(&to_approve, common.as_ref(), &target, &mut seen.papers);
    // What was seen is told also when it cannot be signed.
    out.tell(&seen);
    looked?;
    if !args.yes && !agreed()? {
        return Err(Fault::new(Rule::ConfirmationMissing, "the answer was not yes; yes expected")).unchanged(|| UNSIGNED.into());
    }
    let key = args.passphrase.unlock(&args.key)?;
    policy_paper::check_key(&to_approve.papers, common.as_ref(), &key)?;
    check_governor(&to_approve.papers, common.as_ref(), &key)?;
    approving::approve(&to_approve, &key, &target)?;
    out.give(&signed(seen.papers, &to_approve.papers, common.as_ref(), &key, &target)?);
    Ok(Exit::Done)
}

/// Adds what would be signed, paper by paper.
fn look(to_approve: &ToApprove, common: Option<&CheckedFolder>, target: &Path, seen: &mut Vec<Seen>) -> Outcomes<()> {
    for pending in &to_approve.papers {
        let mut paper = Seen::of(pending, to_approve);
        let rest = match &pending.what {
            Approvable::Proposal(proposal) => policy_paper::see(proposal, pending.envelope(), common),
            Approvable::Charter(_) | Approvable::Order(_) => Ok(None),
        };
        let rest = rest.and_then(|policy| {
            paper.policy = policy;
            paper.signed_by = Some(signed_so_far(pending, common, target)?);
            Ok(())
        });
        seen.push(paper);
        rest?;
    }
    Ok(())
}

/// What would be signed.
#[derive(Serialize)]
struct ToSign {
    papers: Vec<Seen>,
}

/// A paper as it was before signing: a proposal, a charter or an order.
#[derive(Serialize)]
struct Seen {
    /// The Common it is for.
    origin: String,
    /// A proposal.
    #[serde(skip_serializing_if = "Option::is_none")]
    paper: Option<Paper>,
    /// The folders that it puts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    trees: Vec<PutTree>,
    /// What a new policy would change or means, and whose approvals it had.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<PolicySeen>,
    /// A charter.
    #[serde(skip_serializing_if = "Option::is_none")]
    charter: Option<Charter>,
    /// An order.
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<Order>,
    /// Who had signed, by name where a policy names the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_by: Option<Vec<String>>,
}

/// What stands behind a folder that is put: an approver signs its hash.
#[derive(Serialize)]
struct PutTree {
    /// The name it is put under.
    name: String,
    /// What it holds; absent when the list of its files is not in this bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    tree: Option<Tree>,
    /// Why it is called a tree and is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<Failed>,
}

impl PutTree {
    fn of(to_approve: &ToApprove, operation: &Operation) -> Option<PutTree> {
        let entry = words::entry(operation).filter(|entry| entry.is_tree())?;
        let name = operation.name()?.to_string();
        let (tree, failed) = match to_approve.tree(entry) {
            Ok(tree) => (tree.as_ref().map(Tree::from), None),
            Err(fault) => (None, Some(Failed::of(&fault, UNSIGNED))),
        };
        Some(PutTree { name, tree, failed })
    }

    fn words(&self) -> String {
        match (&self.tree, &self.failed) {
            (Some(tree), _) => tree.words.clone(),
            (None, None) => "tree; the list of its files is not in this bundle".into(),
            (None, Some(failed)) => format!("called a tree, and is none: {}", failed.found),
        }
    }
}

impl Seen {
    fn of(pending: &Pending, to_approve: &ToApprove) -> Seen {
        let (mut paper, mut charter, mut order, mut trees) = (None, None, None, Vec::new());
        let origin = match &pending.what {
            Approvable::Proposal(proposal) => {
                paper = Some(Paper::of(&pending.pid(), proposal));
                trees = proposal.operations.iter().filter_map(|operation| PutTree::of(to_approve, operation)).collect();
                &proposal.origin
            }
            Approvable::Charter(paper) => {
                charter = Some(Charter::from(&**paper));
                &paper.origin
            }
            Approvable::Order(paper) => {
                order = Some(Order::of(&pending.pid(), paper));
                &paper.origin
            }
        };
        Seen { origin: origin.to_string(), paper, trees, policy: None, charter, order, signed_by: None }
    }

    fn say(&self, page: &mut Page) {
        if let Some(paper) = &self.paper {
            page.labelled("paper", &paper.id);
            page.labelled("of", format!("{} (sequence {}), for {}", paper.author, paper.sequence, self.origin));
            page.labelled("on", paper.base.to_string());
            for operation in &paper.operations {
                page.line(format!("    {}", operation.words));
                let trees = self.trees.iter().filter(|tree| operation.name.as_ref() == Some(&tree.name));
                trees.for_each(|tree| page.line(format!("      {}", tree.words())));
            }
            if let Some(note) = &paper.note {
                page.line(format!("    {} wrote: {note}", paper.author));
            }
        }
        self.policy.iter().for_each(|policy| policy.say(page));
        self.charter.iter().for_each(|charter| charter.say(page));
        self.order.iter().for_each(|order| order.say(page));
        if let Some(signed_by) = &self.signed_by {
            let names = if signed_by.is_empty() { "nobody".into() } else { signed_by.join(", ") };
            page.labelled("signed", format!("so far by {names}"));
        }
    }
}

impl Answer for ToSign {
    fn say(&self, page: &mut Page) {
        self.papers.iter().for_each(|paper| paper.say(page));
    }
}

/// `approve`
#[derive(Serialize)]
struct Signed {
    /// Every paper as it was before.
    papers: Vec<Seen>,
    /// Whose signature was added: a name where a policy names the key, else its short id.
    signer: String,
    /// Under a charter: how many of its governors' signatures are there now.
    #[serde(skip_serializing_if = "Option::is_none")]
    charter: Option<Stands>,
    /// Under an order, when a Common was given to know the governors from: the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<Stands>,
    /// Of papers that set the policy: whose approvals they have now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    policies: Vec<Standing>,
    /// Where it was written.
    file: String,
}

/// How a charter or an order stands.
#[derive(Serialize)]
struct Stands {
    /// The governors.
    group: String,
    #[serde(flatten)]
    tally: Tally,
}

impl Stands {
    fn words(&self) -> String {
        let Tally { have, need, missing } = &self.tally;
        let missing: Vec<&str> = missing.iter().map(Party::as_str).collect();
        let stands = if self.tally.is_met() { "complete".to_owned() } else { format!("not signed yet by {}", missing.join(", ")) };
        format!("{have} of {need} in {}, {stands}", self.group)
    }
}

impl Answer for Signed {
    fn say(&self, page: &mut Page) {
        let signer = &self.signer;
        match self.charter.as_ref().or(self.order.as_ref()) {
            Some(stands) => page.labelled("added", format!("the signature of {signer}: {}", stands.words())),
            None => page.labelled("added", format!("the signature of {signer}")),
        }
        self.policies.iter().for_each(|policy| policy.say(page));
        page.labelled("wrote", &self.file);
        let order = self.papers.iter().find_map(|paper| paper.order.as_ref());
        match (&self.charter, order) {
            (Some(_), _) => {
                page.labelled("next", format!("when enough governors have signed: tabellion witness init DIR --charter {}", self.file));
            }
            (None, Some(order)) => {
                let command = if order.kind == "recover" { "recover --ledger DIR --against OTHER" } else { "resume --ledger DIR" };
                page.labelled("next", format!("when enough governors have signed: tabellion ceremony {command} --order {}", self.file));
            }
            _ => page.labelled("next", "put it into a medium's tabellion/inbox, and bring that to any later session"),
        }
    }
}

/// Sees that a key is a governor's before it signs an order: the desk would count it for nothing.
fn check_governor(papers: &[Pending], common: Option<&CheckedFolder>, key: &MemberKey) -> Outcomes<()> {
    let Some(checked) = common.filter(|_| papers.iter().any(|pending| matches!(pending.what, Approvable::Order(_)))) else { return Ok(()) };
    let policy = checked.common.policy()?;
    let member = policy.keyring().active(&key.kid()).map(|key| key.member.clone());
    if member.is_some_and(|member| policy.expand(&policy.governors).contains(&member)) {
        return Ok(());
    }
    let people: Vec<String> = policy.expand(&policy.governors).iter().map(ToString::to_string).collect();
    let found = format!("{} is no active key of a governor; one of {} expected", show_key(&key.public_bytes()), people.join(", "));
    Err(Fault::new(Rule::KeyMismatch, found)).unchanged(|| UNSIGNED.into())
}

/// Whose signature was added; under a charter also how many of its governors' are there now, and whose are missing.
fn signed(seen: Vec<Seen>, papers: &[Pending], common: Option<&CheckedFolder>, key: &MemberKey, target: &Path) -> Outcomes<Signed> {
    let file = target.display().to_string();
    if !papers.iter().any(|pending| matches!(pending.what, Approvable::Charter(_))) {
        let signer = policy_paper::signer_name(papers, common, &key.kid());
        let policies = policy_paper::after_signing(papers, common, target)?;
        let order = common.map(|checked| order_stands(checked, papers, target)).transpose()?.flatten();
        return Ok(Signed { papers: seen, signer, charter: None, order, policies, file });
    }
    let (charter, _, _, tally) = tally(&files::read(target)?)?;
    let signer = charter.policy.keyring().get(&key.kid()).map_or(key.kid().short(), |key| key.member.to_string());
    let stands = Stands { group: charter.policy.governors.to_string(), tally };
    Ok(Signed { papers: seen, signer, charter: Some(stands), order: None, policies: Vec::new(), file })
}

/// How an order stands by the policy in force, read again from what was written.
fn order_stands(checked: &CheckedFolder, papers: &[Pending], target: &Path) -> Outcomes<Option<Stands>> {
    if !papers.iter().any(|pending| matches!(pending.what, Approvable::Order(_))) {
        return Ok(None);
    }
    let (policy, written) = (checked.common.policy()?, read_for_approval(target)?);
    let copies: Vec<_> = written.papers.iter().map(|pending| pending.envelope().clone()).collect();
    let (_, tally) = order::tally(&copies, policy, checked.common.keyring());
    Ok(Some(Stands { group: policy.governors.to_string(), tally }))
}

/// Who has signed, by name where a charter's policy names the key.
fn signed_so_far(pending: &Pending, common: Option<&CheckedFolder>, target: &Path) -> Outcomes<Vec<String>> {
    let signers = approving::existing_signers(pending, target)?;
    let keyring = match &pending.what {
        Approvable::Charter(charter) => charter.policy.keyring(),
        Approvable::Proposal(proposal) => policy_paper::keyring_of(proposal, common),
        Approvable::Order(_) => common.map(|checked| checked.common.keyring().clone()).unwrap_or_default(),
    };
    let name = |kid: &Kid| keyring.get(kid).map_or(kid.short(), |key| key.member.to_string());
    Ok(signers.iter().map(|signer| name(&signer.kid)).collect())
}

fn agreed() -> Outcomes<bool> {
    if !std::io::stdin().is_terminal() {
        return Err(Fault::new(Rule::ConfirmationMissing, "no terminal to ask; without one --yes is expected"))
            .unchanged(|| UNSIGNED.into());
    }
    narrate("Sign this? Type yes:");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|error| Problem::usage(error.to_string()))?;
    Ok(line.trim() == "yes")
}

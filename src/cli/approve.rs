//! `approve`: what would be signed, and what was.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::core::charter::tally;
use crate::core::ids::{Kid, Party};
use crate::core::proposal::Operation;
use crate::core::quorum::Tally;
use crate::core::rules::{Fault, Rule};
use crate::keys::derive::MemberKey;
use crate::run::approve::{self as approving, Approvable, Pending, ToApprove, read_for_approval};
use crate::run::files;
use crate::run::folder::CheckedFolder;
use crate::run::found::PAYLOAD_FILE;
use crate::run::problem::{Exit, Outcomes, Problem, Unchanged};
use crate::run::words;

use super::charter::Charter;
use super::desk_facts::{Failed, Tree};
use super::facts::Paper;
use super::output::{Answer, Output, Page, narrate};
use super::passphrase::PassphraseArgs;
use super::policy_paper::{self, PolicySeen, Standing};

/// `tabellion approve`
#[derive(Args)]
pub struct ApproveArgs {
    /// A bundle, a paper, or the payload of a charter
    file: PathBuf,
    /// Your key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// The published folder to compare a policy with
    #[arg(long, value_name = "DIR")]
    common: Option<PathBuf>,
    /// Your pin, to check that folder from
    #[arg(long, value_name = "FILE", default_value = "common.pin")]
    pin: PathBuf,
    /// Where to write; without it the file itself, and for a charter's payload charter.cose beside it
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
    let beside = if args.file.ends_with(PAYLOAD_FILE) { args.file.with_file_name("charter.cose") } else { args.file.clone() };
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
            Approvable::Charter(_) => Ok(None),
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

/// A paper as it was before signing: a proposal or a charter.
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
        let (paper, charter, origin, operations) = match &pending.what {
            Approvable::Proposal(proposal) => {
                (Some(Paper::of(&pending.pid(), proposal)), None, proposal.origin.to_string(), proposal.operations.as_slice())
            }
            Approvable::Charter(charter) => (None, Some(Charter::from(&**charter)), charter.origin.to_string(), [].as_slice()),
        };
        let trees = operations.iter().filter_map(|operation| PutTree::of(to_approve, operation)).collect();
        Seen { origin, paper, trees, policy: None, charter, signed_by: None }
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
    charter: Option<CharterStands>,
    /// Of papers that set the policy: whose approvals they have now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    policies: Vec<Standing>,
    /// Where it was written.
    file: String,
}

/// How a charter stands.
#[derive(Serialize)]
struct CharterStands {
    /// The governors.
    group: String,
    #[serde(flatten)]
    tally: Tally,
}

impl CharterStands {
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
        match &self.charter {
            Some(charter) => page.labelled("added", format!("the signature of {signer}: {}", charter.words())),
            None => page.labelled("added", format!("the signature of {signer}")),
        }
        self.policies.iter().for_each(|policy| policy.say(page));
        page.labelled("wrote", &self.file);
        match &self.charter {
            Some(_) => {
                page.labelled("next", format!("when enough governors have signed: tabellion witness init DIR --charter {}", self.file));
            }
            None => page.labelled("next", "put it into a medium's tabellion/inbox, and bring that to any later session"),
        }
    }
}

/// Whose signature was added; under a charter also how many of its governors' are there now, and whose are missing.
fn signed(seen: Vec<Seen>, papers: &[Pending], common: Option<&CheckedFolder>, key: &MemberKey, target: &Path) -> Outcomes<Signed> {
    let file = target.display().to_string();
    if !papers.iter().any(|pending| matches!(pending.what, Approvable::Charter(_))) {
        let signer = policy_paper::signer_name(papers, common, &key.kid());
        let policies = policy_paper::after_signing(papers, common, target)?;
        return Ok(Signed { papers: seen, signer, charter: None, policies, file });
    }
    let (charter, _, _, tally) = tally(&files::read(target)?)?;
    let signer = charter.policy.keyring().get(&key.kid()).map_or(key.kid().short(), |key| key.member.to_string());
    let stands = CharterStands { group: charter.policy.governors.to_string(), tally };
    Ok(Signed { papers: seen, signer, charter: Some(stands), policies: Vec::new(), file })
}

/// Who has signed, by name where a charter's policy names the key.
fn signed_so_far(pending: &Pending, common: Option<&CheckedFolder>, target: &Path) -> Outcomes<Vec<String>> {
    let signers = approving::existing_signers(pending, target)?;
    let keyring = match &pending.what {
        Approvable::Charter(charter) => charter.policy.keyring(),
        Approvable::Proposal(proposal) => policy_paper::keyring_of(proposal, common),
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

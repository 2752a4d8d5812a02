//! `policy check|show|diff`: what a policy means, whether it is sound, and what changes, in words.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::core::cbor::Canonical as _;
use crate::core::meaning::{Meaning, Warning, meaning};
use crate::core::need::Need;
use crate::core::policy::Policy;
use crate::core::policy_change::{PolicyChange, compare};
use crate::core::policy_text::{self, Reason};
use crate::core::policy_words::{meaning_words, warning_words};
use crate::core::rules::{Fault, Rule};
use crate::run::policy_file::{From, PolicySource, read_file};
use crate::run::problem::{Exit, Outcomes, Problem};
use crate::run::words::change_lines;

use super::output::{Answer, Output, Page};

/// `tabellion policy …`
#[derive(Subcommand)]
pub enum PolicyCommand {
    /// Whether a policy is sound, with every reason if it is not
    Check(CheckArgs),
    /// A policy in words: who can publish where, who governs, and what to think about twice
    Show(ShowArgs),
    /// What changes when one policy follows another, in words
    Diff(DiffArgs),
}

/// `tabellion policy check`
#[derive(Args)]
pub struct CheckArgs {
    /// The policy: TOML, or canonical CBOR
    file: PathBuf,
    /// The policy before it, a file or a published folder: may this one follow it?
    #[arg(long, value_name = "FILE|DIR")]
    against: Option<PathBuf>,
    /// Your pin, from which a published folder is verified
    #[arg(long, value_name = "FILE", default_value = "common.pin")]
    pin: PathBuf,
}

/// `tabellion policy show`
#[derive(Args)]
pub struct ShowArgs {
    /// A policy, TOML or canonical CBOR, or a published folder
    what: PathBuf,
    /// Of a folder: the policy in force after this number, instead of the pinned one
    #[arg(long, value_name = "N")]
    at: Option<u64>,
    /// Your pin, from which a published folder is verified
    #[arg(long, value_name = "FILE", default_value = "common.pin")]
    pin: PathBuf,
    /// Print it as TOML; read again it is the same policy
    #[arg(long)]
    toml: bool,
}

/// `tabellion policy diff`
#[derive(Args)]
pub struct DiffArgs {
    /// The policy before: a file, or a published folder
    old: PathBuf,
    /// The policy after: a file, or a published folder
    new: PathBuf,
    /// Your pin, from which a published folder is verified
    #[arg(long, value_name = "FILE", default_value = "common.pin")]
    pin: PathBuf,
}

/// Runs it.
pub fn policy(command: PolicyCommand, out: &mut Output) -> Outcomes<Exit> {
    match command {
        PolicyCommand::Check(args) => check(&args, out),
        PolicyCommand::Show(args) => show(&args, out),
        PolicyCommand::Diff(args) => diff(&args, out),
    }
}

/// What `policy check` found of a sound policy.
#[derive(Serialize)]
struct Checked {
    file: String,
    policy: String,
    bytes: usize,
    warnings: Vec<Warning>,
    against: Option<Against>,
}

/// What it would take to put a policy in force after another.
#[derive(Serialize)]
struct Against {
    before: String,
    source: String,
    unchanged: bool,
    approval_in_force: Need,
    approval_coming: Need,
}

impl Answer for Checked {
    fn say(&self, out: &mut Page) {
        out.line(format!("sound    {}: policy {}, {} bytes", self.file, self.policy, self.bytes));
        self.warnings.iter().for_each(|warning| out.line(format!("warning  {}", warning_words(warning))));
        let Some(against) = &self.against else { return };
        out.line(format!("against  policy {} ({}): no name and no key is given to another", against.before, against.source));
        if against.unchanged {
            return out.line("same     it is that policy; proposing it would be refused [no-effect]");
        }
        out.line(format!("approval under that policy: {}", against.approval_in_force));
        out.line(format!("         under this policy: {}", against.approval_coming));
    }
}

fn check(args: &CheckArgs, out: &mut Output) -> Outcomes<Exit> {
    let policy = match read_file(&args.file)? {
        Ok(policy) => policy,
        Err(reasons) => {
            let found = reasons.iter().map(Reason::text).collect::<Vec<_>>().join("; ");
            return Err(Fault::new(Rule::PolicyUnsound, found).within(args.file.display()).into());
        }
    };
    let mut checked = Checked {
        file: args.file.display().to_string(),
        policy: policy.hash().named(),
        bytes: policy.to_cbor().len(),
        warnings: meaning(&policy).warnings,
        against: None,
    };
    if let Some(against) = &args.against {
        let before = PolicySource::read(against, &args.pin, None)?;
        before.check_reuse(&policy).map_err(|fault| Problem::from(fault.within(args.file.display())).advising(KEEP_NAMES))?;
        checked.against = Some(compare_approval(&before, &policy));
    }
    out.give(&checked);
    Ok(Exit::Done)
}

/// What to do about a name or key that was somebody's.
pub const KEEP_NAMES: &str = "give newcomers names and keys that nobody had; a member who leaves may stay listed with every key retired";

fn compare_approval(before: &PolicySource, policy: &Policy) -> Against {
    let need = |policy: &Policy| Need::of_group(policy, &policy.governors);
    Against {
        before: before.policy.hash().named(),
        source: source(before),
        unchanged: before.policy == *policy,
        approval_in_force: need(&before.policy),
        approval_coming: need(policy),
    }
}

/// Where a policy came from, in words.
pub fn source(source: &PolicySource) -> String {
    match &source.from {
        From::File => source.path.display().to_string(),
        From::Folder { number, head, .. } if *number == head.number => {
            format!("in force after common@{number} in {}", source.path.display())
        }
        From::Folder { number, head, .. } => {
            format!("in force after common@{number} in {}, which goes up to common@{}", source.path.display(), head.number)
        }
    }
}

fn show(args: &ShowArgs, out: &mut Output) -> Outcomes<Exit> {
    if args.at.is_some() && !args.what.is_dir() {
        return Err(Problem::usage(format!("--at with {}, which is no published folder", args.what.display())));
    }
    let found = PolicySource::read(&args.what, &args.pin, args.at)?;
    let toml = args.toml.then(|| policy_text::print(&found.policy));
    out.give(&Shown { from: source(&found), meaning: meaning(&found.policy), toml });
    Ok(Exit::Done)
}

/// What `policy show` tells.
#[derive(Serialize)]
struct Shown {
    from: String,
    #[serde(flatten)]
    meaning: Meaning,
    toml: Option<String>,
}

impl Answer for Shown {
    fn say(&self, out: &mut Page) {
        if let Some(toml) = &self.toml {
            return out.text(toml);
        }
        out.line(format!("policy   {}", self.meaning.policy));
        out.line(format!("from     {}", self.from));
        meaning_lines(&self.meaning).iter().for_each(|line| out.line(line));
    }
}

/// A policy in words, line by line.
pub fn meaning_lines(meaning: &Meaning) -> Vec<String> {
    let words = meaning_words(meaning);
    let width = words.iter().map(|(label, _)| label.len()).max().unwrap_or(0).clamp(8, 24);
    words.into_iter().map(|(label, sentence)| format!("{label:width$} {sentence}")).collect()
}

/// What `policy diff` tells.
#[derive(Serialize)]
struct Compared {
    before_from: String,
    after_from: String,
    same: bool,
    #[serde(flatten)]
    change: PolicyChange,
    could_not_follow: Option<String>,
}

impl Answer for Compared {
    fn say(&self, out: &mut Page) {
        out.line(format!("before   policy {} ({})", self.change.before, self.before_from));
        out.line(format!("after    policy {} ({})", self.change.after, self.after_from));
        if self.same {
            return out.line("same     nothing changes");
        }
        change_lines(&self.change).iter().for_each(|line| out.line(line));
        if let Some(reason) = &self.could_not_follow {
            out.line(format!("refused  the second could not follow the first: {reason}"));
        }
    }
}

fn diff(args: &DiffArgs, out: &mut Output) -> Outcomes<Exit> {
    let old = PolicySource::read(&args.old, &args.pin, None)?;
    let new = PolicySource::read(&args.new, &args.pin, None)?;
    let same = old.policy == new.policy;
    out.give(&Compared {
        before_from: source(&old),
        after_from: source(&new),
        same,
        change: compare(&old.policy, &new.policy, old.state()),
        could_not_follow: old.check_reuse(&new.policy).err().map(|fault| fault.shown().to_owned()),
    });
    Ok(if same { Exit::Done } else { Exit::Differs })
}

//! `witness session`: what the operator says to a session, and is asked by it.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::Args;

use crate::clock;
use crate::core::head::KnownHead;
use crate::core::ids::{Head, Pid};
use crate::core::plan::{Plan, PolicyPaper};
use crate::core::rules::{Checked, Fault, Rule};
use crate::keys::Passphrase;
use crate::run::bag::{Bag, Listed};
use crate::run::confirm;
use crate::run::problem::{Exit, Outcomes, Problem};
use crate::run::session::{self as visit, Operator, Request};
use crate::run::words;

use super::argument;
use super::output::{Output, narrate};
use super::passphrase::PassphraseArgs;
use super::progress::Progress;
use super::session_answer::{Foreseen, Visited};

/// `tabellion witness session`
#[derive(Args)]
pub struct SessionArgs {
    /// The desk's folder, as witness init made it
    #[arg(long, value_name = "DIR")]
    ledger: PathBuf,
    /// A medium that was brought, where it is mounted; give the option again for each
    #[arg(long, value_name = "DIR", required = true)]
    media: Vec<PathBuf>,
    /// The last head as somebody outside this disk wrote it down: an old copy of the disk is noticed by it
    #[arg(long, value_name = "N:WORDS", value_parser = argument::typed::<KnownHead>)]
    expect_head: Option<KnownHead>,
    /// Commit without being asked; a policy needs --confirm all the same
    #[arg(long, requires = "expect_head")]
    yes: bool,
    /// Confirm the paper that sets the policy, by its id as its governors read it to you; give the option again for each
    #[arg(long, value_name = "sha256:ID", value_parser = argument::pid)]
    confirm: Vec<Pid>,
    /// The session's time claim: RFC 3339, or none; on a terminal the clock's without it
    #[arg(long, value_name = "TIME")]
    time: Option<String>,
    /// Judge held papers even when nothing new came
    #[arg(long)]
    held: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Say each effect before it happens, and show everything that is listed
    #[arg(long, short)]
    verbose: bool,
}

/// The time claim that is given, or the clock's where somebody looks at it.
///
/// # Errors
/// `usage` when none is given and nobody looks.
pub fn time_claim(given: Option<&str>) -> Outcomes<Option<u64>> {
    match given {
        Some(text) => Ok(clock::parse_claim(text)?),
        None if std::io::stdin().is_terminal() => Ok(clock::now_unix()),
        None => Err(Problem::usage("no --time given and no terminal; --time RFC3339 or --time none expected")),
    }
}

/// Runs one session.
pub fn session(args: &SessionArgs, out: &mut Output) -> Outcomes<Exit> {
    let request =
        Request { ledger: args.ledger.clone(), media: args.media.clone(), time: time_claim(args.time.as_deref())?, held: args.held };
    let mut count = 0;
    let progress = out.progress(args.verbose);
    let mut observe = |effect: &'static str, what: &str| {
        count += 1;
        progress.effect(effect, what);
        if args.verbose {
            narrate(&format!("  {count:4} {effect}: {what}"));
        }
    };
    let mut attendant = Attendant { args, out, progress: &progress, policies: Vec::new(), knows_later: None };
    let report = visit::session(&request, &mut attendant, &mut observe)?;
    let policies = attendant.policies;
    drop(progress);
    let visited = Visited::of(&report, &policies, args.verbose)?;
    out.give(&visited);
    Ok(visited.exit())
}

/// The operator at a terminal, or the options that stand for one.
struct Attendant<'a> {
    args: &'a SessionArgs,
    out: &'a Output,
    progress: &'a Progress,
    /// The papers that would set a policy, as the operator saw them.
    policies: Vec<PolicyPaper>,
    /// The head that the operator knows, when it is later than the ledger's.
    knows_later: Option<KnownHead>,
}

impl Attendant<'_> {
    fn ask(&self, what: &str, prompt: &str) -> Checked<String> {
        if !std::io::stdin().is_terminal() {
            let found = format!("no terminal to ask for {what}; without one --yes and --expect-head N:WORDS are expected");
            return Err(Fault::new(Rule::ConfirmationMissing, found));
        }
        let mut line = String::new();
        let read = self.progress.aside(|| {
            narrate(&format!("{prompt}:"));
            std::io::stdin().read_line(&mut line)
        });
        read.map_err(|error| Fault::new(Rule::ConfirmationMissing, error.to_string()))?;
        Ok(line.trim().to_owned())
    }
}

impl Operator for Attendant<'_> {
    fn recognise(&mut self, head: &Head, before: Option<&Head>) -> Checked<()> {
        let known = match &self.args.expect_head {
            Some(known) => known.clone(),
            None => {
                let typed = self.ask("the last head", "The last head you know, as N:WORDS")?;
                typed.parse::<KnownHead>()?
            }
        };
        if known.is(head) {
            return Ok(());
        }
        if before.is_some_and(|before| known.is(before)) {
            let said = words::head(head);
            self.progress.aside(|| {
                narrate(&format!(
                    "tabellion: this ledger is one session ahead of the head you gave: {said}. If no session broke off, ask who ran one."
                ));
            });
            return Ok(());
        }
        self.knows_later = (known.number > head.number).then(|| known.clone());
        Err(Fault::new(Rule::HeadUnexpected, format!("{} in the ledger; {known} expected", words::head(head))))
    }

    fn insists(&mut self) -> bool {
        let Some(known) = self.knows_later.clone().filter(|_| std::io::stdin().is_terminal()) else { return false };
        let prompt = format!(
            "The head you know, {known}, is LATER than this ledger's: then this disk is an old copy. Look at it once more. If it is right, type \
             halt, and the desk signs nothing until the custodians' order; anything else only ends this session"
        );
        self.ask("whether to halt", &prompt).is_ok_and(|typed| typed == "halt")
    }

    fn passphrase_to_halt(&mut self) -> Checked<Option<Passphrase>> {
        let prompt = "The desk is halted. Passphrase of the desk's key, to enter the halt in its ledger too (empty: leave it out): ";
        self.progress.aside(|| self.args.passphrase.get_or_leave_out(prompt))
    }

    fn passphrase(&mut self) -> Checked<Passphrase> {
        self.progress.aside(|| self.args.passphrase.get("the desk's key"))
    }

    fn confirm(&mut self, plan: &Plan, bag: &Bag) -> Checked<String> {
        let path = |listed: &Listed| words::place(&listed.path, listed.medium, self.args.media.iter());
        let foreseen = Foreseen::of(plan, bag.listed().iter().map(|listed| (path(listed), listed)), self.args.verbose)?;
        self.progress.aside(|| self.out.tell(&foreseen));
        self.policies = plan.policies().to_vec();
        let mut confirmed = confirm::policies(plan).map(|ruling| self.confirm_policy(&ruling.pid)).collect::<Checked<Vec<String>>>()?;
        if self.args.yes {
            confirmed.push("--yes".into());
            return Ok(confirmed.join(", "));
        }
        let number = plan.after().number;
        let prompt = format!("Common would be at {}. Type that number to commit", words::head(&plan.after()));
        let typed = self.ask(&format!("the new number, {number}"), &prompt)?;
        confirmed.push(confirm::number(&typed, plan)?);
        Ok(confirmed.join(", "))
    }
}

impl Attendant<'_> {
    /// A policy is confirmed by its paper's id: given beforehand, or its first digits typed from what the governors read to the operator.
    /// A habit of typing yes confirms nothing.
    fn confirm_policy(&self, pid: &Pid) -> Checked<String> {
        if self.args.confirm.contains(pid) {
            return Ok(format!("--confirm sha256:{pid}"));
        }
        if self.args.yes || !std::io::stdin().is_terminal() {
            let found = format!("paper sha256:{pid} would put a new policy in force; --confirm sha256:{pid} expected");
            return Err(Fault::new(Rule::ConfirmationMissing, found));
        }
        let prompt =
            "A paper would put a new policy in force, as shown above. Type the first 8 digits of its id, as the governors read them to you";
        let typed = self.ask("the id of the policy's paper", prompt)?;
        confirm::policy(&typed, pid)
    }
}

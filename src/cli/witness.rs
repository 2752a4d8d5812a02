//! `witness init|session|export|status`: what the operator does.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::clock;
use crate::core::cbor::Canonical;
use crate::core::ids::{Head, Pid, Text, parse_decimal};
use crate::core::note::VerifierKey;
use crate::core::payload::Ruling;
use crate::core::plan::Plan;
use crate::core::proposal::Proposal;
use crate::core::record::RecordKind;
use crate::core::rules::{Checked, Fault, Outcome, Rule};
use crate::core::verdict::Verdict;
use crate::core::words::{head_words, words24};
use crate::keys::Passphrase;
use crate::keys::file::WorkFactor;
use crate::run::bag::Bag;
use crate::run::desk::Desk;
use crate::run::found::{self, Draft};
use crate::run::problem::{Exit, Outcomes, Problem};
use crate::run::qr;
use crate::run::session::{self, Operator, Report, Request};
use crate::run::words;

use super::argument;
use super::code;
use super::output::{Output, narrate};
use super::passphrase::PassphraseArgs;
use super::policy_paper::paper_lines;
use super::proposer::{parse_pid, show_charter};

/// `tabellion witness …`
#[derive(Subcommand)]
pub enum WitnessCommand {
    /// Found a Common: first with a policy, then, when the charter is signed, with the charter
    Init(Box<InitArgs>),
    /// One visit: media in, verdicts, numbers, results out
    Session(Box<SessionArgs>),
    /// Write everything published to another medium: the same bytes, no key
    Export {
        /// The desk's folder
        #[arg(long, value_name = "DIR")]
        ledger: PathBuf,
        /// The medium
        #[arg(long, value_name = "DIR")]
        media: PathBuf,
    },
    /// Where the desk stands
    Status {
        /// The desk's folder
        #[arg(long, value_name = "DIR")]
        ledger: PathBuf,
        /// Print only the charter's fingerprint
        #[arg(long, conflicts_with = "head")]
        fingerprint: bool,
        /// Print only the head as N:WORDS
        #[arg(long)]
        head: bool,
    },
}

/// `tabellion witness init`
#[derive(Args)]
pub struct InitArgs {
    /// The desk's folder
    dir: PathBuf,
    /// The first policy, as TOML
    #[arg(long, value_name = "FILE", required_unless_present = "charter", requires = "next_key")]
    policy: Option<PathBuf>,
    /// Verifier key of the log key after this one, made elsewhere; its name is the origin
    #[arg(long, value_name = "VKEY", requires = "policy", value_parser = argument::typed::<VerifierKey>)]
    next_key: Option<VerifierKey>,
    /// The founders' words, for people
    #[arg(long, value_name = "TEXT", requires = "policy", value_parser = argument::typed::<Text>)]
    text: Option<Text>,
    /// Everything made is marked a rehearsal and counts for nothing
    #[arg(long, requires = "policy")]
    rehearsal: bool,
    /// The signed charter: founds
    #[arg(long, value_name = "FILE", conflicts_with = "policy")]
    charter: Option<PathBuf>,
    /// Time claim of the founding: RFC 3339, or none
    #[arg(long, value_name = "TIME", requires = "charter")]
    time: Option<String>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// `tabellion witness session`
#[derive(Args)]
pub struct SessionArgs {
    /// The desk's folder
    #[arg(long, value_name = "DIR")]
    ledger: PathBuf,
    /// A medium; give several in one session
    #[arg(long, value_name = "DIR", required = true)]
    media: Vec<PathBuf>,
    /// The last head as somebody outside this disk knows it
    #[arg(long, value_name = "N:WORDS", value_parser = parse_head)]
    expect_head: Option<(u64, String)>,
    /// Commit without being asked
    #[arg(long, requires = "expect_head")]
    yes: bool,
    /// Confirm a paper that sets the policy
    #[arg(long, value_name = "sha256:ID", value_parser = parse_pid)]
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

fn parse_head(text: &str) -> Result<(u64, String), String> {
    let (number, words) = text.split_once(':').ok_or_else(|| format!("{text:?} found; N:WORDS expected"))?;
    let number = parse_decimal(number).ok_or_else(|| format!("{number:?} found; a number expected"))?;
    Ok((number, words.to_owned()))
}

fn time_claim(given: Option<&str>) -> Outcomes<Option<u64>> {
    match given {
        Some(text) => Ok(clock::parse_claim(text)?),
        None if std::io::stdin().is_terminal() => Ok(clock::now_unix()),
        None => Err(Problem::usage("no --time given and no terminal; --time RFC3339 or --time none expected")),
    }
}

/// Runs it.
pub fn witness(command: WitnessCommand, out: &mut Output) -> Outcomes<Exit> {
    match command {
        WitnessCommand::Init(args) => init(*args, out),
        WitnessCommand::Session(args) => run_session(&args, out),
        WitnessCommand::Export { ledger, media } => {
            let desk = session::export(&ledger, &media, &mut |_, _| {})?;
            out.line(format!(
                "wrote    everything up to {} to {}, read back and compared",
                words::head(&desk.books().head()),
                media.display()
            ));
            Ok(Exit::Done)
        }
        WitnessCommand::Status { ledger, fingerprint, head } => status(&ledger, fingerprint, head, out),
    }
}

fn init(args: InitArgs, out: &mut Output) -> Outcomes<Exit> {
    if let Some(charter) = &args.charter {
        let time = time_claim(args.time.as_deref())?;
        let passphrase = args.passphrase.get("the desk's key")?;
        let desk = found::commit(&args.dir, charter, time, &passphrase, &mut |_, _| {})?;
        let head = desk.books().head();
        let fingerprint = desk.books().log().root_at(1).unwrap_or_default();
        out.line(format!("founded  {} as {}", desk.books().origin()?, words::head(&head)));
        out.line(format!("fingerprint {fingerprint}"));
        out.line(format!("in words    {}", words24(&fingerprint)));
        code::show(&qr::fingerprint_text(desk.books().origin()?, &fingerprint), out)?;
        out.line(
            "next     read the fingerprint, in hex or in its 24 words, to everyone who will pin this Common, by telephone or on paper",
        );
        out.line(format!("         and keep {} for yourself: the head's number and words, which a session asks for", head_as_asked(&head)));
        return Ok(Exit::Done);
    }
    let (Some(policy), Some(next)) = (args.policy, args.next_key) else {
        return Err(Problem::usage("--policy FILE with --next-key VKEY, or --charter FILE expected"));
    };
    let draft = Draft { dir: args.dir, policy, next, text: args.text, rehearsal: args.rehearsal };
    let passphrase = args.passphrase.choose("the desk's key")?;
    let (path, charter) = found::draft(&draft, &passphrase, WorkFactor::STANDARD)?;
    show_charter(&charter, out);
    let governors: Vec<String> = charter.policy.expand(&charter.policy.governors).iter().map(ToString::to_string).collect();
    let need = charter.policy.group(&charter.policy.governors).map_or(0, |group| group.k);
    out.line(format!("wrote    {}", path.display()));
    out.line(format!("next     {need} of {} run: tabellion approve {}", governors.join(", "), path.display()));
    out.line(format!(
        "         then: tabellion witness init {} --charter {}",
        draft.dir.display(),
        path.with_file_name("charter.cose").display()
    ));
    Ok(Exit::Done)
}

/// A head in the form in which a session asks for it.
fn head_as_asked(head: &Head) -> String {
    format!("{}:{}", head.number, head_words(&head.root))
}

/// The operator at a terminal, or the options that stand for one.
struct Attendant<'a> {
    args: &'a SessionArgs,
}

impl Attendant<'_> {
    fn ask(&self, what: &str, prompt: &str) -> Checked<String> {
        if !std::io::stdin().is_terminal() {
            let found = format!("no terminal to ask for {what}; without one --yes and --expect-head N:WORDS are expected");
            return Err(Fault::new(Rule::ConfirmationMissing, found));
        }
        narrate(&format!("{prompt}:"));
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map_err(|error| Fault::new(Rule::ConfirmationMissing, error.to_string()))?;
        Ok(line.trim().to_owned())
    }
}

impl Operator for Attendant<'_> {
    fn recognise(&mut self, head: &Head, before: Option<&Head>) -> Checked<()> {
        let known = match &self.args.expect_head {
            Some(known) => known.clone(),
            None => {
                let typed = self.ask("the last head", "The last head you know, as N:WORDS")?;
                parse_head(&typed).map_err(|reason| Fault::new(Rule::HeadUnexpected, reason))?
            }
        };
        let is = |head: &Head| known.0 == head.number && known.1 == head_words(&head.root);
        if is(head) {
            return Ok(());
        }
        if before.is_some_and(is) {
            narrate(&format!(
                "tabellion: this ledger is one session ahead of the head you gave: {}. If no session broke off, ask who ran one.",
                words::head(head)
            ));
            return Ok(());
        }
        Err(Fault::new(Rule::HeadUnexpected, format!("{} in the ledger; common@{} {} expected", words::head(head), known.0, known.1)))
    }

    fn passphrase(&mut self) -> Checked<Passphrase> {
        self.args.passphrase.get("the desk's key")
    }

    fn confirm(&mut self, plan: &Plan, bag: &Bag) -> Checked<String> {
        narrate(&format!(
            "preview: session {} would judge {}; nothing is done yet",
            plan.opened().session,
            words::count(plan.rulings().len(), "paper")
        ));
        for ruling in plan.rulings() {
            if let Ok(proposal) = Proposal::from_cbor(&ruling.envelope.payload) {
                narrate(&format!("  {:9} {}", label(ruling), words::paper(&ruling.pid, &proposal)));
            }
            let is_refused = ruling.verdict.outcome() == Some(Outcome::Refused);
            let policy = plan.policies().iter().filter(|paper| paper.pid == ruling.pid && !is_refused);
            policy.flat_map(paper_lines).for_each(|line| narrate(&format!("            {line}")));
        }
        let (shown, left_out) = words::of_each_rule(bag.listed(), |listed| listed.fault.rule, self.args.verbose);
        for listed in shown {
            let path = words::place(&listed.path, listed.medium, self.args.media.iter());
            narrate(&format!("  listed    {path} [{}]", listed.fault.rule));
        }
        for (rule, count) in left_out {
            narrate(&format!("  listed    {count} more [{rule}]"));
        }
        let policies = plan.rulings().iter().filter(|ruling| sets_policy(ruling));
        let mut confirmed = policies.map(|ruling| self.confirm_policy(&ruling.pid)).collect::<Checked<Vec<String>>>()?;
        if self.args.yes {
            confirmed.push("--yes".into());
            return Ok(confirmed.join(", "));
        }
        let number = plan.after().number;
        let prompt = format!("Common would be at {}. Type that number to commit", words::head(&plan.after()));
        let typed = self.ask(&format!("the new number, {number}"), &prompt)?;
        if parse_decimal(&typed) != Some(number) {
            return Err(Fault::new(Rule::ConfirmationMissing, format!("{typed:?} typed; {number} expected")));
        }
        confirmed.push(format!("typed {number}"));
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
        if is_beginning(&typed, pid) {
            return Ok(format!("typed {typed} for sha256:{pid}"));
        }
        Err(Fault::new(Rule::ConfirmationMissing, format!("{typed:?} typed; the first 8 digits of sha256:{pid} expected")))
    }
}

/// Whether what was typed is the beginning of an id, 8 digits at least.
fn is_beginning(typed: &str, pid: &Pid) -> bool {
    let digits = typed.strip_prefix("sha256:").unwrap_or(typed);
    digits.len() >= 8 && pid.hex().starts_with(digits)
}

/// Whether a ruling puts a new policy in force.
fn sets_policy(ruling: &Ruling) -> bool {
    ruling.record.as_ref().is_some_and(|record| record.kind == RecordKind::Policy)
}

fn label(ruling: &Ruling) -> String {
    ruling.record.as_ref().map_or(ruling.verdict.word().to_owned(), |record| format!("common@{}", record.number))
}

fn run_session(args: &SessionArgs, out: &mut Output) -> Outcomes<Exit> {
    let request =
        Request { ledger: args.ledger.clone(), media: args.media.clone(), time: time_claim(args.time.as_deref())?, held: args.held };
    let mut count = 0;
    let mut observe = |effect: &'static str, what: &str| {
        count += 1;
        if args.verbose {
            narrate(&format!("  {count:4} {effect}: {what}"));
        }
    };
    let report = session::session(&request, &mut Attendant { args }, &mut observe)?;
    show_report(&report, args.verbose, out)
}

fn show_report(report: &Report, all: bool, out: &mut Output) -> Outcomes<Exit> {
    let mut exit = Exit::Done;
    report.repaired.iter().for_each(|done| out.line(format!("repaired {done}")));
    let books = report.desk.books();
    let session = books.sessions().last().filter(|_| report.is_new);
    match session {
        None => out.line("nothing  new: no session was opened; what was published before was written again"),
        Some(session) => {
            out.line(format!("session  {} on {}", session.opened.session, words::head(&session.opened.before)));
            for ruling in &session.rulings {
                show_ruling(ruling, report.session, out)?;
                if ruling.verdict.outcome() == Some(Outcome::Refused) {
                    exit = Exit::Differs;
                }
            }
        }
    }
    for pid in &report.again {
        let verdict = books.final_ruling(pid).map_or("decided", |ruling| ruling.verdict.word());
        out.line(format!("again    paper {} was {verdict} before; its first receipt is in again.receipts", pid.tiny()));
    }
    report.reported.iter().for_each(|reported| out.line(words::reported(reported)));
    let (shown, left_out) = words::of_each_rule(&report.listed, |listed| listed.fault.rule, all);
    for listed in shown {
        let path = words::place(&listed.path, listed.medium, report.media.iter().map(|(medium, _)| medium));
        out.line(format!("listed   {path} [{}] {}", listed.fault.rule, listed.fault.rule.says()));
        out.line(format!("  found  {}", listed.fault.shown()));
        out.line(format!("  state  {}", words::what_is_left(listed.fault.rule, &listed.sha256)));
        out.line(format!("  next   {}", listed.fault.rule.next()));
    }
    for (rule, count) in left_out {
        out.line(format!("listed   {count} more [{rule}] {}; --verbose shows each", rule.says()));
    }
    words::not_kept(&report.not_kept).into_iter().for_each(|line| out.line(line));
    out.line(format!("head     {}", words::head(&report.heads.1)));
    code::show(&qr::head_text(books.origin()?, &report.heads.1), out)?;
    for (medium, written) in &report.media {
        match written {
            Ok(()) if report.is_new => {
                out.line(format!("wrote    {}: results of session {}, read back and compared", medium.display(), report.session));
            }
            Ok(()) => out.line(format!(
                "wrote    {}: everything up to session {} again, read back and compared",
                medium.display(),
                report.session
            )),
            Err(fault) => {
                out.line(format!("medium   {} was given up [{}] {}", medium.display(), fault.rule, fault.rule.says()));
                out.line(format!("  found  {}", fault.shown()));
                out.line(format!(
                    "  state  the ledger is complete at {}, and the other media are not touched by this",
                    words::head(&report.heads.1)
                ));
                out.line(format!("  next   {}", fault.rule.next()));
                exit = Exit::Medium;
            }
        }
    }
    Ok(exit)
}

fn show_ruling(ruling: &Ruling, session: u64, out: &mut Output) -> Outcomes<()> {
    let proposal = Proposal::from_cbor(&ruling.envelope.payload)?;
    let paper = words::paper(&ruling.pid, &proposal);
    match &ruling.verdict {
        Verdict::Accepted => {
            out.line(format!("{} {paper}", label(ruling)));
            proposal.operations.iter().for_each(|operation| out.line(format!("    {}", words::operation(operation))));
        }
        Verdict::Broken(rule, detail) => {
            out.line(format!("{:8} [{rule}] {paper}: {}", ruling.verdict.word(), rule.says()));
            out.line(format!("  found  {}", words::found(*rule, detail.as_str())));
            out.line(format!(
                "  state  the paper {}; its receipt is in results/session-{session:06}.receipts",
                words::what_stays(rule.outcome(), *rule)
            ));
            out.line(format!("  next   {}", rule.next()));
        }
    }
    Ok(())
}

fn status(ledger: &Path, fingerprint_only: bool, head_only: bool, out: &mut Output) -> Outcomes<Exit> {
    let desk = Desk::open_to_look(ledger)?;
    let books = desk.books();
    let (head, fingerprint) = (books.head(), books.log().root_at(1).unwrap_or_default());
    if fingerprint_only {
        out.line(fingerprint.to_string());
        return Ok(Exit::Done);
    }
    if head_only {
        out.line(head_as_asked(&head));
        return Ok(Exit::Done);
    }
    out.line(format!("origin   {}{}", books.origin()?, if books.charter()?.rehearsal { ", a REHEARSAL" } else { "" }));
    out.line(format!("head     {}", words::head(&head)));
    out.line(format!("root     {}", head.root));
    out.line(format!("fingerprint {fingerprint}"));
    out.line(format!("log key  {}", books.log_key()?));
    out.line(format!("policy   sha256:{}", books.policy()?.hash()));
    out.line(format!("sessions {}, papers held {}", books.sessions().len(), books.held().len()));
    if let Some(session) = books.unsealed() {
        out.line(format!("broken   session {} is committed but not sealed; run tabellion witness session again", session.opened.session));
    }
    match desk.halted()? {
        None => Ok(Exit::Done),
        Some(reason) => {
            out.line(format!("HALTED   {reason}"));
            Ok(Exit::Halted)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ids::Hash;

    #[test]
    fn a_policy_is_confirmed_by_eight_digits_of_its_id_and_by_no_yes() {
        let pid = Hash([0xab; 32]);
        for typed in ["abababab", "ababababab", "sha256:abababab"] {
            assert!(is_beginning(typed, &pid), "{typed}");
        }
        for typed in ["", "yes", "abababa", "sha256:abababa", "abababac", "ABABABAB", &"ab".repeat(33)] {
            assert!(!is_beginning(typed, &pid), "{typed}");
        }
    }
}

//! `preview`: the verdicts that papers would get if they came to the witness now.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::Args;

use crate::core::cbor::Canonical;
use crate::core::expected::Expected;
use crate::core::payload::Ruling;
use crate::core::plan::Plan;
use crate::core::proposal::Proposal;
use crate::core::rules::{Outcome, Rule};
use crate::core::verdict::Verdict;
use crate::run::consumer::read_pin;
use crate::run::preview::{Preview, common_above, preview as foresee};
use crate::run::problem::{Exit, Outcomes, Problem};
use crate::run::words;

use super::output::{Output, narrate};

/// Sessions between two lines of progress.
const PROGRESS_SESSIONS: u64 = 100;

/// `tabellion preview`
#[derive(Args)]
pub struct PreviewArgs {
    /// A bundle or a paper; or a medium, for everything that lies on it
    what: PathBuf,
    /// The pin to start from
    #[arg(long, value_name = "FILE", default_value = "common.pin")]
    pin: PathBuf,
    /// The published folder; the one on the medium without it
    #[arg(long, value_name = "DIR")]
    common: Option<PathBuf>,
}

/// Shows the verdicts that papers would get.
pub fn preview(args: &PreviewArgs, out: &mut Output) -> Outcomes<Exit> {
    let pin = read_pin(&args.pin)?;
    let common = match &args.common {
        Some(common) => common.clone(),
        None => common_above(&args.what)?,
    };
    let preview = foresee(&args.what, &common, &pin, &mut progress)?;
    let refused = show(&preview, out)?;
    Ok(if refused { Exit::Differs } else { Exit::Done })
}

/// Says how far a replay is, on a terminal.
pub fn progress(session: u64, last: u64) {
    if session > 0 && session % PROGRESS_SESSIONS == 0 && std::io::stderr().is_terminal() {
        narrate(&format!("replayed session {session} of {last}"));
    }
}

fn show(preview: &Preview, out: &mut Output) -> Outcomes<bool> {
    out.line(format!("read     {} at {}, every session of it re-derived", preview.common.display(), words::head(&preview.head)));
    let mut refused = false;
    match &preview.plan {
        None => out.line("nothing  new: the witness would open no session for this"),
        Some(plan) => {
            out.line(format!("session  {} would judge {}", plan.opened().session, words::count(plan.rulings().len(), "paper")));
            for ruling in plan.rulings() {
                show_ruling(plan, ruling, out)?;
                refused |= ruling.verdict.outcome() == Some(Outcome::Refused);
            }
            out.line(format!(
                "assumes  that nothing else comes before: no other paper, approval or session after {}",
                words::head(&preview.head)
            ));
        }
    }
    for (pid, (session, verdict)) in &preview.again {
        out.line(format!(
            "again    paper {} was {verdict} in session {session}; the witness would give its first receipt again",
            pid.tiny()
        ));
    }
    for listed in &preview.listed {
        out.line(format!("listed   {} [{}] {}", listed.path, listed.fault.rule, listed.fault.rule.says()));
        out.line(format!("  found  {}", listed.fault.shown()));
        out.line(format!("  next   {}", listed.fault.rule.next()));
    }
    out.line("state    nothing was written or sent; a preview binds nobody");
    Ok(refused)
}

fn show_ruling(plan: &Plan, ruling: &Ruling, out: &mut Output) -> Outcomes<()> {
    let proposal = Proposal::from_cbor(&ruling.envelope.payload)?;
    let paper = words::paper(&ruling.pid, &proposal);
    match &ruling.verdict {
        Verdict::Accepted => {
            out.line(format!("accepted {paper}"));
            proposal.operations.iter().for_each(|operation| out.line(format!("    {}", words::operation(operation))));
            out.line(format!("  as     {}", becomes(&Expected::of(plan, ruling))));
        }
        Verdict::Broken(rule, detail) => {
            out.line(format!("{:8} [{rule}] {paper}: {}", ruling.verdict.word(), rule.says()));
            out.line(format!("  found  {}", words::found(*rule, detail.as_str())));
            out.line(format!("  next   {}", rule.next()));
        }
    }
    Ok(())
}

/// The number and state root that are foreseen.
fn becomes(expected: &Expected) -> String {
    expected.becomes.map_or(String::new(), |(number, root)| format!("common@{number}, with state root sha256:{root}"))
}

/// One line on what a paper may expect, as `propose` shows it.
pub fn expected_line(expected: &Expected) -> String {
    match expected.becomes {
        Some(_) => format!("expected accepted in session {}, as {}, if nothing else comes before", expected.session, becomes(expected)),
        None => {
            let says = expected.verdict.split_once(' ').and_then(|(_, rule)| Rule::from_id(rule)).map_or("", Rule::says);
            format!("expected {} in session {}, if nothing else comes before: {says}", bracketed(&expected.verdict), expected.session)
        }
    }
}

/// `refused [no-effect]`, as a verdict is shown.
pub fn bracketed(verdict: &str) -> String {
    verdict.split_once(' ').map_or(verdict.to_owned(), |(word, rule)| format!("{word} [{rule}]"))
}

/// Why nothing is foreseen of a paper that was made all the same.
pub fn not_foreseen(problem: &Problem) -> String {
    let fault = &problem.fault;
    format!("expected unknown: the folder could not be re-derived [{}] {}", fault.rule, fault.shown())
}

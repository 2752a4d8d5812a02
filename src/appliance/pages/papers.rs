//! Papers as the operator sees them before anything is decided: who signed, what would change, the verdict and why; then the numbers.

use crate::clock;
use crate::console::page::{Block, Mark, Page};
use crate::core::cbor::Canonical as _;
use crate::core::payload::Ruling;
use crate::core::plan::{Plan, PolicyPaper};
use crate::core::policy::Policy;
use crate::core::proposal::Proposal;
use crate::core::rules::{Checked, Rule};
use crate::core::words::head_words;
use crate::run::confirm::DIGITS_MIN;
use crate::run::words;

use super::{ENTER, advice, count, mark, page, row, say};

/// One paper: the `at`-th, from 0, of `all`.
///
/// # Errors
/// Those of reading the paper.
pub fn paper(ruling: &Ruling, (at, all): (usize, usize), policy: &Policy, changes: Option<&PolicyPaper>) -> Checked<Page> {
    let proposal = Proposal::from_cbor(&ruling.envelope.payload)?;
    let mut body =
        vec![row("From", format!("{}, sequence {}", proposal.author, proposal.sequence)), row("Signed by", signers(ruling, policy))];
    // The id of a policy's paper comes from the governors, by telephone: it is not to be read here.
    if changes.is_none() {
        body.push(row("Id", ruling.pid.short()));
    }
    for (index, operation) in proposal.operations.iter().enumerate() {
        body.push(row(if index == 0 { "Asks to" } else { "" }, words::operation(operation)));
    }
    if let Some(note) = &proposal.note {
        body.push(row("Says", format!("\"{}\"", note.as_str())));
    }
    for line in changes.map(words::policy_lines).unwrap_or_default() {
        let (label, text) = line.split_once(' ').unwrap_or((&line, ""));
        body.push(row(label, text.trim_start()));
    }
    body.push(Block::Gap);
    body.extend(answer(ruling));
    let next = match at + 1 < all {
        true => "Enter shows the next paper. Nothing is decided yet.",
        false => "Enter goes on to the numbers. Nothing is decided yet.",
    };
    let mut page = page(format!("Paper {} of {all}", at + 1), body, next).choice(ENTER, "go on");
    if at > 0 {
        page = page.choice('b', "back");
    }
    Ok(if at + 1 < all { page.choice('s', "skip to the numbers") } else { page })
}

/// Members whose signatures count for it.
fn signers(ruling: &Ruling, policy: &Policy) -> String {
    let keyring = policy.keyring();
    let name = |kid| keyring.get(kid).map_or_else(|| "a member of the new policy".to_owned(), |key| key.member.to_string());
    let mut names: Vec<String> = ruling.envelope.signers.iter().map(|signer| name(&signer.kid)).collect();
    names.dedup();
    if names.is_empty() { "nobody whose signature counts".into() } else { names.join(", ") }
}

/// The verdict, and why.
fn answer(ruling: &Ruling) -> Vec<Block> {
    if let Some(record) = &ruling.record {
        return vec![mark(Mark::Good, format!("ACCEPTED: it becomes common@{}", record.number))];
    }
    let rule = ruling.verdict.rule().unwrap_or(Rule::InternalFault);
    vec![
        mark(Mark::Look, format!("{}: {}", ruling.verdict.word().to_uppercase(), rule.says())),
        row("Why", words::found(rule, ruling.verdict.detail())),
        row("Then", format!("the paper {}", words::what_stays(rule.outcome(), rule))),
        row("Advice", advice::of_paper(rule)),
        row("Rule", rule.id()),
    ]
}

/// What would happen, in one list.
///
/// # Errors
/// Those of reading the papers.
pub fn numbers(plan: &Plan, time: Option<u64>, wrong: Option<&str>) -> Checked<Page> {
    let after = plan.after();
    let mut body = vec![say(format!("Session {} would give these answers:", plan.opened().session))];
    for ruling in plan.rulings() {
        let proposal = Proposal::from_cbor(&ruling.envelope.payload)?;
        let label = ruling.record.as_ref().map_or(ruling.verdict.word().to_owned(), |record| format!("common@{}", record.number));
        body.push(row(label, format!("{}, by {}", words::about(&proposal), proposal.author)));
    }
    body.push(Block::Gap);
    body.push(row("Head", format!("common@{} {}", after.number, head_words(&after.root))));
    body.push(row("Time", time.map_or("none is claimed".into(), |time| format!("{} is claimed", clock::show(time)))));
    if let Some(wrong) = wrong {
        body.push(mark(Mark::Look, format!("{wrong:?} was typed. The number {} was expected; nothing was done.", after.number)));
    }
    let next = format!(
        "To have it so, type the number {} and press Enter: then it is for good. Escape ends the session, and nothing is changed.",
        after.number
    );
    Ok(page("Confirm", body, next).asking("The number"))
}

/// A policy is confirmed by the digits of its id.
pub fn policy_digits(author: &str, wrong: Option<&str>) -> Page {
    let mut body = vec![
        mark(Mark::Look, format!("The paper of {author} would put a NEW POLICY in force: other people may then decide.")),
        say(format!(
            "Telephone a governor, and have the first {DIGITS_MIN} digits of the paper's id read to you. Type what you hear. They are not on this screen, and that is on purpose."
        )),
    ];
    if let Some(wrong) = wrong {
        body.push(mark(Mark::Look, format!("{wrong:?} is not how the id of this paper begins. Nothing was done.")));
    }
    page("A new policy", body, "Type the digits and press Enter. Escape ends the session, and nothing is changed.")
        .asking(format!("First {DIGITS_MIN} digits of the id"))
}

/// What is being done, as a list of steps that grows.
pub fn working(steps: &[(String, bool)], files: u64) -> Page {
    let mut body: Vec<Block> = steps.iter().map(|(step, done)| mark(if *done { Mark::Good } else { Mark::Open }, step.clone())).collect();
    if files > 0 {
        body.push(Block::Bar { what: "files written and compared".into(), done: files, all: 0 });
    }
    page("Working", body, "Wait, and leave the sticks where they are.")
}

/// `2 papers, 1 accepted, 1 pending`.
pub fn summary(rulings: &[Ruling]) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for ruling in rulings {
        match counts.iter_mut().find(|(word, _)| *word == ruling.verdict.word()) {
            Some((_, count)) => *count += 1,
            None => counts.push((ruling.verdict.word(), 1)),
        }
    }
    let words: Vec<String> = counts.into_iter().map(|(word, count)| format!("{count} {word}")).collect();
    format!("{}, {}", count(rulings.len(), "paper"), words.join(", "))
}

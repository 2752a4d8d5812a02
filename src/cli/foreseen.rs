//! How a preview is compared with the receipt, in words.

use crate::core::rules::Fault;
use crate::run::collect::is_final;
use crate::run::consumer::Receipt;
use crate::run::foreseen::{Between, Foreseen};
use crate::run::words;

use super::preview::bracketed;

/// Most papers named that came in between.
const NAMED_MAX: usize = 5;

/// One line: that it came true, or what came instead, and which papers came in between.
pub fn line(foreseen: &Foreseen, receipt: &Receipt) -> String {
    let expected = &foreseen.expected;
    let hoped = expected.becomes.map_or_else(|| bracketed(&expected.verdict), |(number, _)| format!("accepted as common@{number}"));
    if foreseen.came_true {
        return match receipt {
            Receipt::Accepted(..) => format!("expected came true: {hoped} with the state root foreseen"),
            Receipt::Answered(_) => format!("expected came true: {hoped}"),
        };
    }
    let came = match (receipt, expected.becomes) {
        (Receipt::Accepted(record, _), Some((number, root))) if number == record.number => {
            format!("expected common@{number} with state root {}, became it with {}", root.short(), record.state_root.short())
        }
        (Receipt::Accepted(record, _), Some((number, _))) => format!("expected common@{number}, became common@{}", record.number),
        (Receipt::Accepted(record, _), None) => format!("expected {hoped} at first, became common@{}", record.number),
        (Receipt::Answered(note), _) => {
            let so_far = if is_final(receipt) { "" } else { " so far" };
            let why = words::found(note.rule, &note.detail);
            format!("expected {hoped}, {} [{}]{so_far} because {why}", note.outcome.word(), note.rule)
        }
    };
    // What waited for something was not overtaken by anybody.
    if expected.becomes.is_none() && matches!(receipt, Receipt::Accepted(..)) {
        return came;
    }
    match foreseen.between.as_deref() {
        Ok(between) => came + &named(between),
        Err(fault) => came + &untold(fault),
    }
}

fn named(between: &[Between]) -> String {
    if between.is_empty() {
        return String::new();
    }
    let name = |paper: &Between| format!("paper {} of {} (common@{})", paper.pid.tiny(), paper.author, paper.number);
    let first: Vec<String> = between.iter().take(NAMED_MAX).map(name).collect();
    let more = if between.len() > NAMED_MAX { format!(" and {} more", between.len() - NAMED_MAX) } else { String::new() };
    format!(": {}{more} came in between", first.join(", "))
}

fn untold(fault: &Fault) -> String {
    format!("; which paper came in between, the folder on this medium cannot tell [{}]", fault.rule)
}

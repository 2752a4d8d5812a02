//! A report as plain text: complete, however many papers there are.

use crate::clock;
use crate::core::rules::Rule;
use crate::core::verdict::Verdict;
use crate::core::words::words24;
use crate::run::words;

use super::{Answered, Listing, Report, TO_DO_FIRST};

/// The text.
pub(super) fn text(report: &Report) -> String {
    let mut out = Lines(String::new());
    head(report, &mut out);
    for (outcome, word) in TO_DO_FIRST {
        let papers = report.of_outcome(outcome);
        if !papers.is_empty() {
            out.heading(&format!("{}: {}", word.to_uppercase(), words::count(papers.len(), "paper")));
        }
        papers.into_iter().for_each(|(_, paper)| answer(paper, &mut out));
    }
    missing(report, &mut out);
    again(report, &mut out);
    listed(report.listing.as_ref(), &mut out);
    check(report, &mut out);
    out.0
}

struct Lines(String);

impl Lines {
    fn line(&mut self, line: impl AsRef<str>) {
        self.0.push_str(line.as_ref().trim_end());
        self.0.push('\n');
    }

    fn heading(&mut self, text: &str) {
        self.line("");
        self.line(text);
        self.line("-".repeat(text.chars().count()));
    }
}

fn head(report: &Report, out: &mut Lines) {
    let title = format!("Session {} of {}: what became of each paper", report.session, report.origin);
    out.line(&title);
    out.line("=".repeat(title.len()));
    if report.is_rehearsal {
        out.line("A REHEARSAL: nothing in here counts.");
    }
    out.line("");
    out.line(format!("answers  {}", report.summary()));
    out.line(format!("head     {}", words::head(&report.after)));
    out.line(format!("root     {}", report.after.root));
    let before = match report.before.number {
        0 => "nothing: this session founded it".to_owned(),
        _ if report.before == report.after => "the same: no paper became a number".to_owned(),
        _ => words::head(&report.before),
    };
    out.line(format!("before   {before}"));
    out.line(format!("time     {}", time(report)));
    out.line("");
    out.line("This page is not signed and proves nothing. The receipts beside it do:");
    out.line(format!("tabellion/results/{}", report.receipts()));
}

/// The time claim, and what it is worth.
pub(super) fn time(report: &Report) -> String {
    match report.time {
        Some(time) => format!("{}, as the desk's operator claims it; nothing was judged by it", clock::show(time)),
        None => "none was claimed".into(),
    }
}

fn answer(paper: &Answered, out: &mut Lines) {
    out.line("");
    out.line(format!("{}: {}", paper.title(), paper.about));
    out.line(format!("  id     sha256:{}", paper.pid));
    paper.asks.iter().for_each(|ask| out.line(format!("  asks   {ask}")));
    if let Some(note) = &paper.note {
        out.line(format!("  wrote  {note}"));
    }
    match &paper.verdict {
        Verdict::Accepted => out.line(format!("  is     {}", became(paper))),
        Verdict::Broken(rule, detail) => {
            out.line(format!("  says   {} [{rule}]", rule.says()));
            out.line(format!("  found  {}", words::found(*rule, detail.as_str())));
            paper.lacks.iter().for_each(|lack| out.line(format!("  lacks  {}", lack.sentence())));
            out.line(format!("  state  the paper {}", words::what_stays(rule.outcome(), *rule)));
            out.line(format!("  next   {}", rule.next()));
        }
    }
}

/// What an accepted paper became.
pub(super) fn became(paper: &Answered) -> String {
    paper.number.map_or_else(|| "accepted".to_owned(), |number| format!("common@{number}"))
}

fn missing(report: &Report, out: &mut Lines) {
    if report.people.is_empty() {
        return;
    }
    out.heading("WHO IS MISSING");
    for (person, wanted) in &report.people {
        out.line("");
        out.line(format!("{person} can still approve"));
        for wanted in wanted {
            let paper = &report.papers[wanted.paper];
            out.line(format!("  {}: {}, for {}", paper.title(), paper.about, wanted.group));
        }
    }
}

fn again(report: &Report, out: &mut Lines) {
    if report.again.is_empty() {
        return;
    }
    out.heading("BROUGHT AGAIN");
    for again in &report.again {
        out.line(format!(
            "paper {} was {} in session {}; its first receipt is in again.receipts",
            again.pid.tiny(),
            again.word,
            again.session
        ));
    }
}

fn listed(listing: Option<&Listing>, out: &mut Lines) {
    let Some(listing) = listing else {
        out.heading("LISTED ON THIS MEDIUM");
        out.line("An export wrote to this medium; papers on it were not looked at.");
        return;
    };
    if listing.shown.is_empty() {
        return;
    }
    out.heading("LISTED ON THIS MEDIUM");
    for listed in &listing.shown {
        out.line("");
        out.line(format!("{} [{}] {}", listed.path, listed.fault.rule, listed.fault.rule.says()));
        out.line(format!("  found  {}", listed.fault.shown()));
        out.line(format!("  state  {}", words::what_is_left(listed.fault.rule, &listed.sha256)));
        out.line(format!("  next   {}", listed.fault.rule.next()));
    }
    for (rule, count) in &listing.left_out {
        out.line(left_out(*rule, *count));
    }
}

/// What is only counted.
pub(super) fn left_out(rule: Rule, count: usize) -> String {
    format!("{count} more [{rule}] {}", rule.says())
}

fn check(report: &Report, out: &mut Lines) {
    out.heading("TAKE HOME AND CHECK");
    for (what, command) in steps() {
        out.line(what);
        out.line(format!("    {command}"));
    }
    out.line("");
    out.line("The charter's fingerprint. Compare it with what you were told by telephone or on paper: that copy is the one that counts.");
    out.line(format!("    {}", report.fingerprint));
    out.line(format!("    {}", words24(&report.fingerprint)));
}

/// What people do with the medium, and the command for it.
pub(super) fn steps() -> [(&'static str, &'static str); 2] {
    [
        (
            "If you proposed a paper, take its receipt home. This verifies it, tells what became of each of your papers, and clears from the stick what is done:",
            "tabellion collect STICK --pin common.pin",
        ),
        ("Whoever pinned this Common checks all of it, offline:", "tabellion verify STICK --pin common.pin"),
    ]
}

//! A report as one HTML file: no script, no other file, nothing from a network. What came from people passes through the escaping of the
//! template; the only text put in as it stands is our own style and the modules of the QR code.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::core::rules::{Checked, Outcome};
use crate::core::verdict::Verdict;
use crate::core::words::{head_words, words24};
use crate::run::{qr, words};

use super::text::{left_out, steps, time};
use super::{Answered, Report, TO_DO_FIRST};

const STYLE: &str = include_str!("page.css");
/// Nothing may be loaded and nothing may run; the style stands in the page.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";
/// Most papers of one outcome on the page; all are in the text.
const PAPERS_SHOWN_MAX: usize = 1_000;
/// Accepted papers that are shown unfolded.
const ACCEPTED_OPEN_MAX: usize = 5;
/// Operations of a paper that are shown unfolded.
const ASKS_OPEN_MAX: usize = 6;

/// The page.
pub(super) fn page(report: &Report) -> Checked<String> {
    let head = new_head(report)?;
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { "Session " (report.session) " of " (report.origin) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#answers" { "Skip to the answers" }
                @if report.is_rehearsal { p.rehearsal role="note" { "A rehearsal: nothing on this page counts." } }
                header { p.origin { (report.origin) } h1 { "Session " (report.session) } p.lead { (report.summary()) "." } }
                main {
                    (tiles(report))
                    (head)
                    div #answers tabindex="-1" {
                        @for (outcome, word) in &TO_DO_FIRST[..3] { (answers(report, *outcome, word)) }
                        (missing(report))
                        (answers(report, None, "accepted"))
                    }
                    (again(report))
                    (listed(report))
                    (home(report))
                }
                footer { p { "Made by tabellion from the ledger of this Common. This page is not signed and proves nothing; the receipts do." } }
            }
        }
    };
    Ok(markup.into_string())
}

/// How many papers of each outcome, each leading to its section.
fn tiles(report: &Report) -> Markup {
    html! {
        nav aria-label="Answers by outcome" {
            ul.tiles {
                @for (outcome, word) in [TO_DO_FIRST[3], TO_DO_FIRST[0], TO_DO_FIRST[1], TO_DO_FIRST[2]] {
                    @let count = report.of_outcome(outcome).len();
                    li class=(word) {
                        @if count == 0 { span { b { "0" } " " (word) } } @else { a href={ "#" (word) } { b { (count) } " " (word) } }
                    }
                }
            }
        }
    }
}

fn new_head(report: &Report) -> Checked<Markup> {
    let (path, side) = qr::path(&qr::head_text(&report.origin, &report.after))?;
    let shown = head_words(&report.after.root);
    let is_same = report.before == report.after;
    Ok(html! {
        section.head aria-labelledby="head" {
            div {
                h2 #head { @if is_same { "The head stays" } @else { "The new head" } }
                p.number { "common@" wbr; b { (report.after.number) } }
                ol.words aria-label="The head in words" { @for word in shown.split('-') { li { (word) } } }
                dl {
                    dt { "Root" } dd { code { (report.after.root) } }
                    dt { "Before" }
                    dd {
                        @if report.before.number == 0 { "nothing: this session founded it" }
                        @else if is_same { "the same: no paper became a number" }
                        @else { "common@" (report.before.number) " " span.joined { (head_words(&report.before.root)) } }
                    }
                    dt { "Time" } dd { (time(report)) }
                }
            }
            figure {
                svg xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (side) " " (side) } role="img" aria-labelledby="code" shape-rendering="crispEdges" {
                    title #code { "QR code of the head: number, words and root" }
                    rect width=(side) height=(side) fill="#fff" {}
                    path d=(PreEscaped(path)) fill="#000" {}
                }
                figcaption { "Number, words and root, for a phone or for paper" }
            }
        }
    })
}

fn answers(report: &Report, outcome: Option<Outcome>, word: &str) -> Markup {
    let papers = report.of_outcome(outcome);
    let is_open = outcome.is_some() || papers.len() <= ACCEPTED_OPEN_MAX;
    let over = papers.len().saturating_sub(PAPERS_SHOWN_MAX);
    html! {
        @if !papers.is_empty() {
            section #(word) class=(word) aria-labelledby={ (word) "-h" } {
                details.outcome open[is_open] {
                    summary { h2 id={ (word) "-h" } { (capital(word)) " " span.count { (papers.len()) } } }
                    p.about { (about(outcome)) }
                    @for (place, paper) in papers.iter().take(PAPERS_SHOWN_MAX) { (answer(*place, paper)) }
                    @if over > 0 { p.more { (over) " more are in report.txt, and each has its receipt." } }
                }
            }
        }
    }
}

/// What an outcome means, in a sentence.
fn about(outcome: Option<Outcome>) -> &'static str {
    match outcome {
        None => "Each became a number of Common. Its receipt proves it to anybody.",
        Some(Outcome::Refused) => "These changed nothing, and the answer is final. A new paper can be proposed.",
        Some(Outcome::Pending) => "These wait for approvals. They are held and judged again in every session.",
        Some(_) => "These wait for something else. What is held is judged again in every session.",
    }
}

fn answer(place: usize, paper: &Answered) -> Markup {
    html! {
        article.paper id={ "paper-" (place) } {
            h3 {
                @if let Some(number) = paper.number { span.became { "common@" (number) } " " }
                (paper.about)
            }
            p.by {
                "by " (paper.author)
                @if let Some(sequence) = paper.sequence { ", sequence " (sequence) }
                ", paper " code { (paper.pid.tiny()) }
            }
            @if let Verdict::Broken(rule, _) = &paper.verdict { p.says { (rule.says()) } }
            dl {
                dt { "Asks" } dd { (asks(paper)) }
                @if let Verdict::Broken(rule, detail) = &paper.verdict {
                    dt { "Found" } dd { (words::found(*rule, detail.as_str())) }
                    @for lack in &paper.lacks { dt { "Lacks" } dd { (lack.sentence()) } }
                    dt { "State" } dd { "the paper " (words::what_stays(rule.outcome(), *rule)) }
                    dt { "Next" } dd.next { (rule.next()) }
                    dt { "Rule" } dd { code { (rule) } }
                }
                dt { "Paper" } dd.id { code { "sha256:" (paper.pid) } }
            }
            @if let Some(note) = &paper.note {
                figure.note { blockquote { p { (note) } } figcaption { "Words of " (paper.author) } }
            }
        }
    }
}

fn asks(paper: &Answered) -> Markup {
    let (open, folded) = paper.asks.split_at(paper.asks.len().min(ASKS_OPEN_MAX));
    let lines = |asks: &[String]| html! { ul.asks { @for ask in asks { li { (ask) } } } };
    html! {
        (lines(open))
        @if !folded.is_empty() { details { summary { (folded.len()) " more" } (lines(folded)) } }
    }
}

fn missing(report: &Report) -> Markup {
    html! {
        @if !report.people.is_empty() {
            section.missing aria-labelledby="missing" {
                h2 #missing { "Who is missing" }
                p.about { "They can still approve: " code { "tabellion approve FILE" } ", then bring the result to any later session." }
                @for (person, wanted) in &report.people {
                    h3 { (person) }
                    ul {
                        @for wanted in wanted.iter().take(PAPERS_SHOWN_MAX) {
                            @let paper = &report.papers[wanted.paper];
                            li {
                                a href={ "#paper-" (wanted.paper) } { (paper.about) }
                                " by " (paper.author) ", paper " code { (paper.pid.tiny()) } ", for " (wanted.group)
                            }
                        }
                    }
                }
            }
        }
    }
}

fn again(report: &Report) -> Markup {
    html! {
        @if !report.again.is_empty() {
            section aria-labelledby="again" {
                h2 #again { "Brought again " span.count { (report.again.len()) } }
                p.about { "Their verdict stands. Their first receipts are in " code { "again.receipts" } "." }
                ul {
                    @for again in report.again.iter().take(PAPERS_SHOWN_MAX) {
                        li { "paper " code { (again.pid.tiny()) } " was " (again.word) " in session " (again.session) }
                    }
                }
            }
        }
    }
}

fn listed(report: &Report) -> Markup {
    let Some(listing) = &report.listing else {
        return html! {
            section aria-labelledby="listed" {
                h2 #listed { "On this medium" }
                p.about { "An export wrote to this medium; papers on it were not looked at." }
            }
        };
    };
    html! {
        @if !listing.shown.is_empty() {
            section.listed aria-labelledby="listed" {
                h2 #listed { "Listed on this medium" }
                p.about { "No papers, or dropped from papers. They count for nothing and harm nobody; nothing was removed." }
                @for listed in &listing.shown {
                    article.paper {
                        h3 { span.path { (listed.path) } }
                        p.says { (listed.fault.rule.says()) }
                        dl {
                            dt { "Found" } dd { (listed.fault.shown()) }
                            dt { "State" } dd { (words::what_is_left(listed.fault.rule, &listed.sha256)) }
                            dt { "Next" } dd { (listed.fault.rule.next()) }
                            dt { "Rule" } dd { code { (listed.fault.rule) } }
                        }
                    }
                }
                @for (rule, count) in &listing.left_out { p.more { (left_out(*rule, *count)) } }
            }
        }
    }
}

fn home(report: &Report) -> Markup {
    html! {
        section.home aria-labelledby="home" {
            h2 #home { "Take home and check" }
            p { "The receipts of this session are in " code { "tabellion/results/" (report.receipts()) } "." }
            @for (what, command) in steps() { p { (what) } pre { code { (command) } } }
            details {
                summary { "The charter's fingerprint" }
                p { "Compare it with what you were told by telephone or on paper: that copy is the one that counts." }
                p { code { (report.fingerprint) } }
                p { (words24(&report.fingerprint)) }
            }
        }
    }
}

fn capital(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}

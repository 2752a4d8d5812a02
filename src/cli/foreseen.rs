//! What is foreseen of a paper, and how that is compared with its receipt.

use serde::Serialize;

use crate::core::expected;
use crate::core::rules::Rule;
use crate::run::foreseen;

use super::desk_facts::Failed;
use super::facts::{Broken, Head, sha256, short, tiny};
use super::output::Page;

/// Most papers named that came in between.
const NAMED_MAX: usize = 5;

/// The answer that a paper would get, if nothing else came before it.
#[derive(Serialize)]
pub struct Expected {
    /// The head of the folder from which it was foreseen.
    base: Head,
    /// The session that would judge it.
    session: u64,
    /// `accepted`, `refused`, `pending` or `deferred`.
    verdict: String,
    /// The rule's id, unless accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    /// N of the `common@N` it would become.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    /// The state root after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    state_root: Option<String>,
}

impl Expected {
    /// The facts of what is kept at home.
    pub fn of(expected: &expected::Expected) -> Expected {
        let (verdict, rule) = expected.verdict.split_once(' ').unzip();
        Expected {
            base: (&expected.base).into(),
            session: expected.session,
            verdict: verdict.unwrap_or(&expected.verdict).to_owned(),
            rule: rule.map(ToOwned::to_owned),
            number: expected.becomes.map(|(number, _)| number),
            state_root: expected.becomes.map(|(_, root)| sha256(&root)),
        }
    }

    /// One line on what a paper may expect.
    pub fn say(&self, page: &mut Page) {
        let session = self.session;
        page.labelled(
            "expected",
            match (self.number, &self.state_root) {
                (Some(number), Some(root)) => {
                    format!("accepted in session {session}, as common@{number}, with state root {root}, if nothing else comes before")
                }
                _ => {
                    let says = self.rule.as_deref().and_then(Rule::from_id).map_or("", Rule::says);
                    format!("{} in session {session}, if nothing else comes before: {says}", self.bracketed())
                }
            },
        );
    }

    /// `refused [no-effect]`.
    fn bracketed(&self) -> String {
        self.rule.as_ref().map_or(self.verdict.clone(), |rule| format!("{} [{rule}]", self.verdict))
    }
}

/// What a receipt says of a paper.
#[derive(Serialize)]
pub struct Receipt {
    /// `accepted`, `refused`, `pending` or `deferred`.
    pub verdict: &'static str,
    /// Whether no later receipt can say something else.
    pub is_final: bool,
    /// The session that gave it.
    pub session: u64,
    /// N of `common@N`, when accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// The state root after it, when accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_root: Option<String>,
    /// The head that proves it; when not accepted, the head before the session.
    pub head: Head,
    /// Why, unless accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<Broken>,
    /// What became of the paper.
    pub state: String,
}

/// What was expected, beside the receipt.
#[derive(Serialize)]
pub struct Compared {
    /// What was expected.
    expected: Expected,
    /// Whether the receipt says the same.
    came_true: bool,
    /// The papers that came in between and were not foreseen.
    between: Vec<Between>,
    /// Why the folder on the medium cannot tell them.
    #[serde(skip_serializing_if = "Option::is_none")]
    untold: Option<Failed>,
}

/// A paper that came in between.
#[derive(Serialize)]
struct Between {
    /// `sha256:` of its payload.
    paper: String,
    /// Its author.
    author: String,
    /// N of `common@N`.
    number: u64,
}

impl Compared {
    /// The facts of a comparison.
    pub fn of(foreseen: &foreseen::Foreseen) -> Compared {
        let between =
            |paper: &foreseen::Between| Between { paper: sha256(&paper.pid), author: paper.author.to_string(), number: paper.number };
        Compared {
            expected: Expected::of(&foreseen.expected),
            came_true: foreseen.came_true,
            between: foreseen.between.iter().flatten().map(between).collect(),
            untold: foreseen.between.as_ref().err().map(|fault| Failed::of(fault, "nothing was taken from that folder")),
        }
    }

    /// One line: that it came true, or what came instead, and which papers came in between.
    pub fn say(&self, receipt: &Receipt, page: &mut Page) {
        page.below("expected", self.words(receipt));
    }

    fn words(&self, receipt: &Receipt) -> String {
        let expected = &self.expected;
        let hoped = expected.number.map_or_else(|| expected.bracketed(), |number| format!("accepted as common@{number}"));
        if self.came_true {
            let root = if receipt.number.is_some() { " with the state root foreseen" } else { "" };
            return format!("came true: {hoped}{root}");
        }
        let root = |root: &Option<String>| short(root.as_deref().unwrap_or_default()).to_owned();
        let came = match (receipt.number, expected.number, &receipt.broken) {
            (Some(became), Some(number), _) if number == became => {
                let (foreseen, became) = (root(&expected.state_root), root(&receipt.state_root));
                format!("common@{number} with state root {foreseen}, became it with {became}")
            }
            (Some(became), Some(number), _) => format!("common@{number}, became common@{became}"),
            // What waited for something was not overtaken by anybody.
            (Some(became), None, _) => return format!("{hoped} at first, became common@{became}"),
            (None, _, broken) => {
                let so_far = if receipt.is_final { "" } else { " so far" };
                let why = broken.iter().map(|broken| format!(" [{}]{so_far} because {}", broken.rule, broken.found));
                format!("{hoped}, {}{}", receipt.verdict, why.collect::<String>())
            }
        };
        match &self.untold {
            None => came + &self.named(),
            Some(failed) => came + &format!("; which paper came in between, the folder on this medium cannot tell [{}]", failed.rule),
        }
    }

    fn named(&self) -> String {
        if self.between.is_empty() {
            return String::new();
        }
        let name = |paper: &Between| format!("paper {} of {} (common@{})", tiny(&paper.paper), paper.author, paper.number);
        let first: Vec<String> = self.between.iter().take(NAMED_MAX).map(name).collect();
        let more = self.between.len().saturating_sub(NAMED_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!(": {}{more} came in between", first.join(", "))
    }
}

/// That something is not known of a paper, why, and by which rule.
pub fn unknown(why: &str, failed: &Failed) -> String {
    format!("unknown{why} [{}] {}", failed.rule, failed.found)
}

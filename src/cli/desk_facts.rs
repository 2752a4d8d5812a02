//! The shapes that answers of the desk and of proposers are made of, beside those of [`super::facts`]: verdicts, and what was passed over.

use serde::Serialize;

use crate::core::artifact;
use crate::core::cbor::Canonical as _;
use crate::core::payload;
use crate::core::proposal::Proposal;
use crate::core::rules::{Fault, Rule};
use crate::run::problem::Outcomes;
use crate::run::words;

use super::facts::{Broken, Head, Paper};
use super::output::{Answer, Page};

/// One value alone, for another command.
#[derive(Serialize)]
pub struct Value {
    /// The value.
    pub value: String,
}

impl Answer for Value {
    fn say(&self, page: &mut Page) {
        page.line(&self.value);
    }
}

/// A head in the form in which a session asks for it.
pub fn head_as_asked(head: &Head) -> String {
    format!("{}:{}", head.number, head.words)
}

/// How a desk's own checks ended.
#[derive(Serialize)]
pub struct Health {
    /// `ok`, `corrupted`, `unchecked` or `unusable`.
    pub state: &'static str,
    /// The last event before which nothing is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_good_seq_no: Option<u64>,
    /// The first event that is wrong or missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_bad_seq_no: Option<u64>,
    /// What is wrong with it, in a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// The rule that it breaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<&'static str>,
    /// The compared values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
}

/// The answer to a paper.
#[derive(Clone, Debug, Serialize)]
pub struct Ruling {
    /// The paper.
    pub paper: Paper,
    /// `accepted`, `refused`, `pending` or `deferred`.
    pub verdict: &'static str,
    /// N of `common@N`, when accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// Why, unless accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<Broken>,
    /// What became of the paper.
    pub state: String,
}

impl Ruling {
    /// The facts of an answer, with what became of the paper.
    ///
    /// # Errors
    /// Those of reading the paper.
    pub fn of(ruling: &payload::Ruling, state: String) -> Outcomes<Ruling> {
        let proposal = Proposal::from_cbor(&ruling.envelope.payload)?;
        Ok(Ruling {
            paper: Paper::of(&ruling.pid, &proposal),
            verdict: ruling.verdict.word(),
            number: ruling.record.as_ref().map(|record| record.number),
            broken: ruling.verdict.rule().map(|rule| Broken::of(rule, ruling.verdict.detail())),
            state,
        })
    }
}

/// The files of a folder, as one content.
#[derive(Clone, Debug, Serialize)]
pub struct Tree {
    /// How many files.
    pub files: usize,
    /// Size of all of them together.
    pub size_bytes: u64,
    /// The same in words.
    pub words: String,
}

impl From<&artifact::Tree> for Tree {
    fn from(tree: &artifact::Tree) -> Tree {
        Tree { files: tree.members().len(), size_bytes: tree.bytes(), words: words::tree(tree) }
    }
}

/// Something that failed beside what was asked, and did not end the command.
#[derive(Clone, Debug, Serialize)]
pub struct Failed {
    /// The rule's id.
    pub rule: &'static str,
    /// What the rule says.
    pub says: &'static str,
    /// The compared values.
    pub found: String,
    /// What did not change.
    pub state: String,
    /// What to do next.
    pub next: String,
}

impl Failed {
    /// The facts of a fault.
    pub fn of(fault: &Fault, state: impl Into<String>) -> Failed {
        let rule = fault.rule;
        Failed { rule: rule.id(), says: rule.says(), found: fault.shown().to_owned(), state: state.into(), next: rule.next().to_owned() }
    }
}

/// Something that was passed over, with the reason.
#[derive(Clone, Debug, Serialize)]
pub struct Listed {
    /// Where it lies.
    pub path: String,
    /// The rule's id.
    pub rule: &'static str,
    /// What the rule says.
    pub says: &'static str,
    /// The compared values.
    pub found: String,
    /// SHA-256 of its bytes, when they were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// What is left of it.
    pub state: String,
    /// What to do next.
    pub next: String,
}

impl Listed {
    /// Says a list, of each rule the first ten unless all are wanted; `more` tells how to see the others.
    pub fn say_each(list: &[Listed], all: bool, more: &str, page: &mut Page) {
        let rule = |listed: &Listed| Rule::from_id(listed.rule).unwrap_or(Rule::InternalFault);
        let (shown, left_out) = words::of_each_rule(list, rule, all);
        for listed in shown {
            page.labelled("listed", format!("{} [{}] {}", listed.path, listed.rule, listed.says));
            page.below("found", &listed.found);
            page.below("state", &listed.state);
            page.below("next", &listed.next);
        }
        for (rule, count) in left_out {
            page.labelled("listed", format!("{count} more [{rule}] {}{more}", rule.says()));
        }
    }
}

//! The shapes that answers are made of, as `--json` prints them and as words are made from them (`docs/json.md`).

use serde::Serialize;

use crate::core::ids::{Hash, Pid};
use crate::core::proposal::{self, Expect, Proposal};
use crate::core::rules::Rule;
use crate::core::words::head_words;
use crate::run::words;

/// A number with the root of everything up to it.
#[derive(Clone, Debug, Serialize)]
pub struct Head {
    /// N of `common@N`.
    pub number: u64,
    /// RFC 6962 root, 64 hex digits.
    pub root: String,
    /// The first 6 of its 24 words, joined by `-`.
    pub words: String,
}

impl From<&crate::core::ids::Head> for Head {
    fn from(head: &crate::core::ids::Head) -> Head {
        Head { number: head.number, root: head.root.hex(), words: head_words(&head.root) }
    }
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "common@{} {}", self.number, self.words)
    }
}

/// A SHA-256 as answers hold it: `sha256:` and 64 hex digits.
pub fn sha256(hash: &Hash) -> String {
    format!("sha256:{hash}")
}

/// `sha256:` and the first 16 hex digits of a hash that an answer holds.
pub fn short(sha256: &str) -> &str {
    sha256.get(.."sha256:".len() + 16).unwrap_or(sha256)
}

/// The first 8 hex digits of one.
pub fn tiny(sha256: &str) -> &str {
    sha256.trim_start_matches("sha256:").get(..8).unwrap_or_default()
}

/// One change that a paper asks for.
#[derive(Clone, Debug, Serialize)]
pub struct Operation {
    /// `put`, `remove` or `set-policy`.
    pub kind: &'static str,
    /// The name it changes; absent for a policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the name shall stand for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<Entry>,
    /// What must be there before: `absent`, a SHA-256, or nothing when whatever is there is overwritten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<String>,
    /// SHA-256 of the new policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The same in words.
    pub words: String,
}

impl From<&proposal::Operation> for Operation {
    fn from(operation: &proposal::Operation) -> Operation {
        let words = words::operation(operation);
        let name = operation.name().map(ToString::to_string);
        match operation {
            proposal::Operation::Put { entry, expect, .. } => {
                let expect = match expect {
                    Expect::Anything => None,
                    Expect::Absent => Some("absent".to_owned()),
                    Expect::Content(hash) => Some(sha256(hash)),
                };
                Operation { kind: "put", name, entry: Some(entry.into()), expect, policy: None, words }
            }
            proposal::Operation::Remove { expect, .. } => {
                Operation { kind: "remove", name, entry: None, expect: expect.as_ref().map(sha256), policy: None, words }
            }
            proposal::Operation::SetPolicy { expect, policy } => {
                let policy = Some(sha256(&policy.hash()));
                Operation { kind: "set-policy", name, entry: None, expect: expect.as_ref().map(sha256), policy, words }
            }
        }
    }
}

/// What a name stands for.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// SHA-256 of the content; of a folder, that of its tree.
    pub sha256: String,
    /// Size in bytes; of a folder, that of its tree.
    pub size: u64,
    /// Media type.
    pub media_type: String,
    /// `origin@N` of the snapshot its author says it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl From<&proposal::Entry> for Entry {
    fn from(entry: &proposal::Entry) -> Entry {
        let source = entry.source.as_ref().map(|source| format!("{}@{}", source.origin, source.head.number));
        Entry { sha256: sha256(&entry.sha256), size: entry.size, media_type: entry.media_type.to_string(), source }
    }
}

/// A paper: who asks for what.
#[derive(Clone, Debug, Serialize)]
pub struct Paper {
    /// `sha256:` of its payload.
    pub id: String,
    /// The member who asks.
    pub author: String,
    /// The author's number for it.
    pub sequence: u64,
    /// What it was made on.
    pub base: Head,
    /// The changes.
    pub operations: Vec<Operation>,
    /// The largest number it may become.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_number: Option<u64>,
    /// Papers that must be decided first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// The author's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Paper {
    /// The facts of a proposal.
    pub fn of(pid: &Pid, proposal: &Proposal) -> Paper {
        Paper {
            id: sha256(pid),
            author: proposal.author.to_string(),
            sequence: proposal.sequence,
            base: (&proposal.base).into(),
            operations: proposal.operations.iter().map(Operation::from).collect(),
            last_number: proposal.last_number,
            after: proposal.after.iter().map(sha256).collect(),
            note: proposal.note.as_ref().map(|note| note.as_str().to_owned()),
        }
    }

    /// `paper 7f3ac1d2 of alice (sequence 1)`.
    pub fn shown(&self) -> String {
        format!("paper {} of {} (sequence {})", tiny(&self.id), self.author, self.sequence)
    }
}

/// The rule that decided, with what it compared and what to do.
#[derive(Clone, Debug, Serialize)]
pub struct Broken {
    /// Its id.
    pub rule: &'static str,
    /// What it says.
    pub says: &'static str,
    /// The compared values in a sentence.
    pub found: String,
    /// The compared values as the receipt has them.
    pub detail: String,
    /// What to do next.
    pub next: &'static str,
}

impl Broken {
    /// The facts of a rule and the detail of a verdict.
    pub fn of(rule: Rule, detail: &str) -> Broken {
        Broken { rule: rule.id(), says: rule.says(), found: words::found(rule, detail), detail: detail.to_owned(), next: rule.next() }
    }
}

//! The shapes that answers are made of, as `--json` prints them and as words are made from them (`docs/json.md`).

use serde::Serialize;

use crate::clock;
use crate::core::ids::{Hash, Pid};
use crate::core::page;
use crate::core::proposal::{self, Expect, Proposal};
use crate::core::rules::Rule;
use crate::core::words::head_words;
use crate::run::content::{self, Why};
use crate::run::heads;
use crate::run::words;

use super::output::Page;

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
    hash.named()
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

// What a consumer reads: pages, content, and what a medium carries to its witness.

/// One number of Common.
#[derive(Clone, Debug, Serialize)]
pub struct Numbered {
    /// N of `common@N`.
    pub number: u64,
    /// The session that gave it; 0 for the charter.
    pub session: u64,
    /// What the desk's operator said the time was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// The members who signed, ascending.
    pub signed_by: Vec<String>,
    /// The paper that made it; absent for the charter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paper: Option<Paper>,
}

impl From<&page::Page> for Numbered {
    fn from(page: &page::Page) -> Numbered {
        Numbered {
            number: page.record.number,
            session: page.record.session,
            time: page.record.time.map(clock::show),
            signed_by: page.signed_by.iter().map(ToString::to_string).collect(),
            paper: page.proposal.as_ref().map(|proposal| Paper::of(&page.record.pid, proposal)),
        }
    }
}

impl Numbered {
    /// The number, who signed it, and below it what it changed.
    pub fn say(&self, out: &mut Page) {
        let (number, signers) = (self.number, self.signed_by.join(", "));
        let time = self.time.as_ref().map_or(String::new(), |time| format!(", {time} by the desk's claim"));
        let Some(paper) = &self.paper else { return out.line(format!("common@{number}  charter, signed by {signers}{time}")) };
        out.line(format!("common@{number}  {}, session {}, signed by {signers}{time}", paper.shown(), self.session));
        paper.operations.iter().for_each(|operation| out.line(format!("    {}", operation.words)));
        paper.note.iter().for_each(|note| out.line(format!("    {} wrote: {note}", paper.author)));
    }
}

/// Content that something stands for, and that cannot be had.
#[derive(Clone, Debug, Serialize)]
pub struct Missing {
    /// The name, and behind a `/` the path in its tree.
    pub path: String,
    /// SHA-256 of the content.
    pub sha256: String,
    /// The rule's id.
    pub rule: &'static str,
    /// `absent`, `size` or `no-tree`.
    pub reason: &'static str,
    /// The compared values.
    pub found: String,
}

impl From<&content::Missing> for Missing {
    fn from(missing: &content::Missing) -> Missing {
        let (reason, found) = match &missing.why {
            Why::Absent => ("absent", "the folder does not carry it".into()),
            Why::Size { found, expected } => ("size", format!("it has {found} bytes; who signed it said {expected}")),
            Why::NoTree(fault) => ("no-tree", format!("it was signed as a tree and is none: {}", fault.shown())),
        };
        Missing { path: missing.path.clone(), sha256: sha256(&missing.sha256), rule: Rule::ContentMissing.id(), reason, found }
    }
}

/// What was left on the medium for its witness.
#[derive(Clone, Debug, Serialize)]
pub struct Carried {
    /// Numbers of the heads that were not there before, ascending.
    pub heads: Vec<u64>,
    /// Where they lie; absent when nothing was left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Why something could not be kept or left there.
    pub passed_over: Vec<String>,
}

impl From<&heads::Carried> for Carried {
    fn from(carried: &heads::Carried) -> Carried {
        Carried {
            heads: carried.heads.iter().map(|head| head.number).collect(),
            folder: Some(&carried.folder).filter(|_| !carried.heads.is_empty()).map(|folder| folder.display().to_string()),
            passed_over: carried.passed_over.clone(),
        }
    }
}

impl Carried {
    /// In words; nothing when there is nothing to say.
    pub fn say(&self, out: &mut Page) {
        let heads: Vec<String> = self.heads.iter().map(|number| format!("common@{number}")).collect();
        if let Some(folder) = &self.folder {
            out.labelled("left", format!("{} in {folder}, for the witness to compare with its own", heads.join(" and ")));
        }
        self.passed_over.iter().for_each(|reason| out.labelled("passed", reason));
    }
}

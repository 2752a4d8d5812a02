//! The shapes that answers are made of, as `--json` prints them and as words are made from them (`docs/json.md`).

use serde::Serialize;

use crate::core::ids::{Hash, Pid};
use crate::core::words::head_words;

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

/// The first 8 hex digits of a paper's id, as words show it.
pub fn tiny(pid: &Pid) -> String {
    pid.tiny()
}

//! Where a desk stands, as much of it as the console shows: a few facts, so that nobody keeps all books in memory while waiting for a key.

use crate::core::books::Books;
use crate::core::charter::Charter;
use crate::core::ids::{Hash, Head, Origin};
use crate::core::policy::Policy;
use crate::core::rules::Checked;
use crate::core::words::head_words;
use crate::run::status::last_time_claim;

/// Where a desk stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    /// The Common.
    pub origin: Origin,
    /// Whether it counts for nothing.
    pub is_rehearsal: bool,
    /// Its head.
    pub head: Head,
    /// The charter's fingerprint.
    pub fingerprint: Hash,
    /// The last time that a session claimed.
    pub last_claim: Option<u64>,
    /// Sessions, the founding among them.
    pub sessions: usize,
    /// Papers that wait.
    pub held: usize,
    /// A session that is committed and not sealed: power had failed.
    pub unsealed: Option<u64>,
    /// The policy in force.
    pub policy: Policy,
}

impl Standing {
    /// What follows from a ledger.
    ///
    /// # Errors
    /// `ledger-fault` when nothing was founded.
    pub fn of(books: &Books) -> Checked<Standing> {
        let Charter { origin, rehearsal, .. } = books.charter()?;
        Ok(Standing {
            origin: origin.clone(),
            is_rehearsal: *rehearsal,
            head: books.head(),
            fingerprint: books.log().root_at(1).unwrap_or_default(),
            last_claim: last_time_claim(books),
            sessions: books.headings().len(),
            held: books.held().len(),
            unsealed: books.unsealed().map(|heading| heading.session),
            policy: books.policy()?.clone(),
        })
    }

    /// The line below every title.
    pub fn line(&self) -> String {
        format!("{}  common@{} {}", self.origin, self.head.number, head_words(&self.head.root))
    }
}

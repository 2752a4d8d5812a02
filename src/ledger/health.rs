//! What this process knows of the ledger's health: what its checks found, and whether the disk failed it.

use super::{Health, Ledger};

/// The health of a ledger as of the last check in this process.
///
/// Corruption stays: what one check found, no later check of the same process takes back, and nothing is appended any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthReport {
    /// What the last check found, or the first that found corruption; `None` while there was none.
    pub checked: Option<Health>,
    /// Whether an I/O error has ended the use of the ledger in this process.
    pub latched: bool,
}

impl HealthReport {
    /// Whether a check passed and nothing has failed since.
    pub fn is_ok(&self) -> bool {
        self.checked == Some(Health::Ok) && !self.latched
    }

    /// `ok`, `corrupted`, `latched` or `unchecked`; the worst of what is known.
    pub fn word(&self) -> &'static str {
        match &self.checked {
            Some(Health::Corrupted { .. }) => "corrupted",
            _ if self.latched => "latched",
            Some(Health::Ok) => "ok",
            None => "unchecked",
        }
    }
}

impl Ledger {
    /// The health as of the last check in this process; asks the disk nothing.
    pub fn health(&self) -> HealthReport {
        HealthReport { checked: self.watch.borrow().checked.clone(), latched: self.is_poisoned() }
    }
}

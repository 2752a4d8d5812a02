//! Whoever answers requests, wherever it is: the worker of this process, or through a socket that of another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::request::{Answer, Append, Read};
use crate::ledger::LedgerError;

/// 16 random bytes that name one request for ever, also when it is sent a second time because whoever led has died.
pub type RequestId = [u8; 16];

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// User, from the kernel.
    pub uid: u32,
    /// Process, from the kernel.
    pub pid: u32,
    /// The command, as it calls itself: `domain snapshot`.
    pub program: String,
}

/// How long an answer is waited for.
#[derive(Clone, Debug)]
pub struct Patience {
    /// The moment after which nobody waits any more, by the monotonic clock, in microseconds.
    pub until_us: u64,
    /// Set when nobody waits any more, though it is not that late.
    pub gone: Arc<AtomicBool>,
}

impl Patience {
    /// Whether whoever asked has gone away.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }
}

/// The door: two kinds of requests, each answered or refused with a reason.
pub trait Door: Send + Sync {
    /// Reads.
    ///
    /// # Errors
    /// `request-bounds`, `request-expired`, `request-cancelled`; as the ledger.
    fn read(&self, asker: &Asker, id: &RequestId, read: &Read, patience: &Patience) -> Result<Answer, LedgerError>;

    /// Appends.
    ///
    /// # Errors
    /// `head-unexpected`; `key-reused`; `request-expired` before anything happened; as [`crate::ledger::Ledger::commit`].
    fn append(&self, asker: &Asker, id: &RequestId, append: Append, patience: &Patience) -> Result<Answer, LedgerError>;
}

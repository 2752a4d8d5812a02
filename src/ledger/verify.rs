//! The start-up check: does the file still hold what was appended? It finds what was done with the triggers out of the way.
//!
//! Everything is computed again in Rust, without the database's functions. What this check alone cannot see is a tail cut off together
//! with everything derived from it: for that the caller names, from the head file, a hash that the chain must hold.
//!
//! **Two walks, one judge.** Ranges of events are walked by all processors (`ranges`). When they find nothing, there is nothing. Whatever
//! they find is only a reason to walk again, on one connection, from event 1, every derived row looked up: what that walk says is the
//! answer. So the first bad event is the same whatever the number of threads. Both walks are the same code (`walk`).
//!
//! Files are read, never mapped into memory: an error of the disk under a mapping would kill the process, and could not be told.

use rusqlite::Connection;

use super::Ledger;
use super::audit::Keys;
use super::finding::{CheckInput, CorruptionKind, Effort, Health, Stop, bad};
use super::ranges::Suspicion;
use super::walk::{Walk, pages};
use crate::core::rules::Checked;

impl Ledger {
    /// [`Ledger::start_up_check_observed`], which counts it and tells of it.
    pub(super) fn check(&self, input: &CheckInput<'_>, effort: &Effort, observe: &mut dyn FnMut(&'static str)) -> Checked<Health> {
        self.usable()?;
        // One state for all the statements below, whatever another process appends.
        let snapshot = self.db.unchecked_transaction().map_err(|error| self.sqlite_fault("beginning to check", &error))?;
        let keys = Keys::new(input.ledger_keys);
        match self.nothing_found(&snapshot, input, &keys, effort, observe) {
            Ok(()) => return Ok(Health::Ok),
            Err(Suspicion::Disk(error)) => return Err(self.sqlite_fault("checking", &error)),
            Err(Suspicion::Something) => {}
        }
        observe("walk again");
        self.located(&snapshot, input, &keys)
    }

    /// The answer: one walk from event 1, and when something is wrong, one that looks at every signature.
    fn located(&self, snapshot: &Connection, input: &CheckInput<'_>, keys: &Keys) -> Checked<Health> {
        let mut walk = Walk::exact(snapshot, input, keys);
        let outcome = match walk.whole().and_then(|()| pages(snapshot, walk.next())) {
            // Whatever is wrong, hashes may have been computed anew before it: look which signature is the first to be wrong.
            Err(Stop::Bad { seq_no, kind, found }) if !input.deep => {
                walk = Walk::exact(snapshot, &CheckInput { deep: true, ..*input }, keys);
                walk.whole().and_then(|()| bad(seq_no, kind, found))
            }
            outcome => outcome,
        };
        match outcome {
            Ok(()) => Ok(Health::Ok),
            Err(Stop::Bad { seq_no, kind, found }) => {
                Ok(Health::Corrupted { last_good_seq_no: seq_no.saturating_sub(1), first_bad_seq_no: seq_no, kind, found })
            }
            Err(Stop::Sqlite(error)) => match error.sqlite_error_code() {
                Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => Ok(Health::Corrupted {
                    last_good_seq_no: walk.next().saturating_sub(1),
                    first_bad_seq_no: walk.next(),
                    kind: CorruptionKind::Storage,
                    found: format!("{error}; expected no error"),
                }),
                _ => Err(self.sqlite_fault("checking", &error)),
            },
        }
    }
}

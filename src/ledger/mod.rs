//! The ledger: one numbered, signed, hash-chained history in SQLite, and the only importer of rusqlite.
//!
//! **The database is the trust boundary.** The writer names an event and hands in its payload; inside SQLite the next number is taken, the
//! predecessor read, the hash computed, the signature obtained and checked, and the tables of records and verdicts derived, by the triggers
//! of `schema.sql` and the functions of this module. Those functions exist on one connection only, and only after the file's schema text
//! was found equal to the compiled-in one, byte for byte. Any other connection reads everything and inserts nothing.
//!
//! # Use
//! ```
//! use std::sync::Arc;
//! use ed25519_dalek::{Signer, SigningKey};
//! use tabellion::core::event::{EventSigner, EventType, signed_message};
//! use tabellion::ledger::{CheckInput, Health, Ledger, NewEvent, Why};
//!
//! struct Key(SigningKey);
//! impl EventSigner for Key {
//!     fn public_key(&self) -> [u8; 32] { self.0.verifying_key().to_bytes() }
//!     fn sign_event(&self, hash: &[u8; 32]) -> [u8; 64] { self.0.sign(&signed_message(hash)).to_bytes() }
//! }
//! let key = Arc::new(Key(SigningKey::from_bytes(&[7; 32])));
//! let opened = NewEvent { event_id: "1/0".into(), timestamp: 0, event_type: EventType::Opened, payload: vec![0xa0] };
//!
//! // Made once; opened again by each process, which checks it before it appends.
//! let dir = tempfile::tempdir()?;
//! drop(Ledger::create(dir.path(), &[1; 16], key.clone())?);
//! let mut ledger = Ledger::open(dir.path())?;
//! assert_eq!(ledger.health().word(), "unchecked");
//! let check = CheckInput { ledger_keys: &[key.public_key()], deep: true, must_hold: &[] };
//! assert_eq!(ledger.start_up_check(&check)?, Health::Ok);
//! ledger.unlock(key)?;
//!
//! // The database takes the number, and says why when it takes nothing.
//! let event = ledger.append(opened.clone())?;
//! assert_eq!((event.seq_no, event.prev_event_hash), (1, [0; 32]));
//! let refusal = ledger.append(opened).unwrap_err();
//! assert_eq!(refusal.why, Why::DuplicateEventId);
//! assert!(refusal.found.contains("event_id does not follow the last one"));
//!
//! // Reading: the last one, one by its number, or a walk with a bound.
//! assert_eq!(ledger.latest()?, Some(event.clone()));
//! assert_eq!(ledger.by_seq_no(2)?, None);
//! assert_eq!(ledger.iterate(1, 100).collect::<Result<Vec<_>, _>>()?, [event]);
//!
//! // What this process knows of it, and what it did.
//! assert!(ledger.health().is_ok());
//! let metrics = ledger.metrics();
//! assert_eq!((metrics.events_appended_total, metrics.startup_checks_total, metrics.corruptions_detected_total), (1, 1, 0));
//! assert_eq!(metrics.appends_refused_total[&Why::DuplicateEventId], 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This module never decides what is accepted, never makes a key, and never repairs: it appends, reads, and finds what was changed.
//!
//! # Invariants
//! One process holds `lock` as long as its [`Ledger`] lives. What [`Ledger::commit`] answered with `Ok` is synced. After the first I/O
//! error nothing more is written or read through the same `Ledger`.

mod append;
mod audit;
mod backup;
mod branches;
mod bring;
mod decided;
mod finding;
mod functions;
mod head_file;
mod health;
mod iterate;
mod metrics;
mod open;
mod place;
mod ranges;
mod read;
mod rebuild;
mod refusal;
mod schema;
mod tally;
pub mod trail;
mod verify;
mod walk;
mod watch;
mod writers;

#[cfg(test)]
mod tests;

pub use append::NewEvent;
pub use bring::move_into_place;
pub use finding::{CheckInput, CorruptionKind, Effort, Health};
pub use head_file::{read_head, write_head, write_head_observed};
pub use health::HealthReport;
pub use iterate::Iterate;
pub use metrics::{LATENCY_BOUNDS_US, Latencies, Metrics};
pub use open::{Ledger, USER_VERSION};
pub use read::EventRow;
pub use rebuild::{Difference, Table};
pub use refusal::{LedgerError, Why};
pub use tally::Tally;
pub use watch::MonotonicUs;
pub use writers::{is_locked, other_writer};

use crate::core::event::EventType;
use crate::core::rules::{Fault, Rule};

/// Name of the database in the ledger's folder.
pub const DATABASE_FILE: &str = "ledger.db";
/// Name of the file that carries the operating-system lock.
pub const LOCK_FILE: &str = "lock";
/// Name of the file with the instance id, which no backup contains.
pub const INSTANCE_FILE: &str = "instance";
/// Name of the head file.
pub const HEAD_FILE: &str = "head";

/// A fault, and whether it latches the ledger: after an I/O error nothing is tried again.
#[derive(Debug)]
struct Trouble {
    fault: Fault,
    latches: bool,
    /// The reason, for programs.
    why: Why,
    /// Id and type of the event that was being appended.
    event: Option<(String, EventType)>,
}

impl Trouble {
    fn of_sqlite(doing: &str, error: &rusqlite::Error) -> Trouble {
        use rusqlite::ErrorCode as Code;
        let (rule, latches) = match error.sqlite_error_code() {
            // The statement was refused by a guard or by a function of ours: nothing is wrong with the disk.
            Some(Code::ConstraintViolation | Code::Unknown | Code::TooBig | Code::ReadOnly) => (Rule::LedgerFault, false),
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => {
                let found = format!(
                    "{doing}: a transaction of another program on {DATABASE_FILE} found, which did not end while this waited; none expected"
                );
                return Trouble::kept(Fault::new(Rule::AnotherWriter, found));
            }
            // A value of ours that no column can hold.
            None if matches!(error, rusqlite::Error::ToSqlConversionFailure(_)) => (Rule::InternalFault, false),
            // The file is read and is not what was written: the checks make a halt of it.
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => (Rule::LedgerFault, true),
            _ => (Rule::DiskFault, true),
        };
        let fault = Fault::new(rule, format!("{doing}: SQLite found {error}; expected no error"));
        Trouble { fault, latches, why: Why::of_sqlite(error), event: None }
    }

    fn of_event(event: &NewEvent, error: &rusqlite::Error) -> Trouble {
        let doing = format!("appending {} {}", event.event_type.as_str(), event.event_id);
        Trouble { event: Some((event.event_id.clone(), event.event_type)), ..Trouble::of_sqlite(&doing, error) }
    }

    fn kept(fault: Fault) -> Trouble {
        Trouble { latches: false, why: Why::of_rule(fault.rule), event: None, fault }
    }

    fn latching(fault: Fault) -> Trouble {
        Trouble { latches: true, ..Trouble::kept(fault) }
    }
}

/// An unsigned number in a column; one above 2^63 - 1 is an error, never another number.
struct Uint(u64);

impl rusqlite::types::FromSql for Uint {
    fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Uint> {
        let value = value.as_i64()?;
        u64::try_from(value).map(Uint).map_err(|_| rusqlite::types::FromSqlError::OutOfRange(value))
    }
}

impl rusqlite::ToSql for Uint {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        match i64::try_from(self.0) {
            Ok(value) => Ok(value.into()),
            Err(error) => Err(rusqlite::Error::ToSqlConversionFailure(Box::new(error))),
        }
    }
}

/// What the system answered about a file of the ledger: the disk's doing, but for what is not there or is not ours to touch.
fn disk_fault(path: &std::path::Path, error: &std::io::Error) -> Fault {
    let rule = match error.kind() {
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::InvalidData | std::io::ErrorKind::NotADirectory => Rule::FileFault,
        _ => Rule::DiskFault,
    };
    Fault::new(rule, format!("{}: {error}", path.display()))
}

/// What SQLite says of something that was being done, as a fault.
fn fault(doing: &str) -> impl Fn(rusqlite::Error) -> Fault + '_ {
    move |error| Trouble::of_sqlite(doing, &error).fault
}

fn file_fault(path: &std::path::Path, error: impl std::fmt::Display) -> Fault {
    Fault::new(Rule::FileFault, format!("{}: {error}", path.display()))
}

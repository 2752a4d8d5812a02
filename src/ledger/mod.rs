//! The ledger: one numbered, signed, hash-chained history in SQLite, and the only importer of rusqlite.
//!
//! **The database is the trust boundary.** The writer names an event and hands in its payload; inside SQLite the next number is taken, the
//! predecessor read, the hash computed, the signature obtained and checked, and the tables of records and verdicts derived, by the triggers
//! of `schema.sql` and the functions of this module. Those functions exist on one connection only, and only after the file's schema text
//! was found equal to the compiled-in one, byte for byte. Any other connection reads everything and inserts nothing.
//!
//! This module never decides what is accepted, never makes a key, and never repairs: it appends, reads, and finds what was changed.
//!
//! # Invariants
//! One process holds `lock` as long as its [`Ledger`] lives. What [`Ledger::commit`] answered with `Ok` is synced. After the first I/O
//! error nothing more is written or read through the same `Ledger`.

mod append;
mod branches;
mod functions;
mod head_file;
mod open;
mod read;
mod verify;

#[cfg(test)]
mod tests;

pub use append::NewEvent;
pub use head_file::{read_head, write_head, write_head_observed};
pub use open::Ledger;
pub use verify::{CheckInput, CorruptionKind, Health};

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
}

impl Trouble {
    fn of_sqlite(doing: &str, error: &rusqlite::Error) -> Trouble {
        use rusqlite::ErrorCode as Code;
        let (rule, latches) = match error.sqlite_error_code() {
            // The statement was refused by a guard or by a function of ours: nothing is wrong with the disk.
            Some(Code::ConstraintViolation | Code::Unknown | Code::TooBig | Code::ReadOnly) => (Rule::LedgerFault, false),
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => (Rule::AnotherWriter, false),
            // A value of ours that no column can hold.
            None if matches!(error, rusqlite::Error::ToSqlConversionFailure(_)) => (Rule::InternalFault, false),
            _ => (Rule::LedgerFault, true),
        };
        Trouble { fault: Fault::new(rule, format!("{doing}: SQLite found {error}; expected no error")), latches }
    }

    fn kept(fault: Fault) -> Trouble {
        Trouble { fault, latches: false }
    }

    fn latching(fault: Fault) -> Trouble {
        Trouble { fault, latches: true }
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

fn file_fault(path: &std::path::Path, error: impl std::fmt::Display) -> Fault {
    Fault::new(Rule::FileFault, format!("{}: {error}", path.display()))
}

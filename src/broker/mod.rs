//! The front door of the ledger: typed requests, one queue, one worker. **Nothing else opens the ledger.**
//!
//! ```text
//!  code of this process ──► calls ──┐
//!                                   ├──► line ──► worker ──► ledger
//!  other processes ──────► Door ────┘     │
//!                                         └ identical reads joined, fresh answers kept until a write
//! ```
//!
//! No SQL passes through: what can be asked is the list in `request` for everyone, and `calls` for code of this process. Writes are one
//! after the other because one worker does them. This module decides nothing about papers and holds no key: whoever leads hands the ledger
//! its signer, and a guard that judges what other processes bring.

mod again;
pub mod audit;
mod book;
mod calls;
mod door;
pub mod elect;
pub mod follow;
mod front;
mod line;
mod request;
mod rouse;
pub mod serve;
pub mod socket;
pub mod wire;
mod worker;

#[cfg(test)]
mod tests;

pub use crate::ledger::{
    CheckInput, CorruptionKind, DATABASE_FILE, Difference, HEAD_FILE, Health, HealthReport, INSTANCE_FILE, LOCK_FILE, LedgerError, Metrics,
    NewEvent, Table, Tally, USER_VERSION, Why, other_writer, read_head, write_head, write_head_observed,
};
pub use book::{call_itself, random};
pub use door::{Asker, Door, Patience, RequestId};
pub use front::{Broker, Counts};
pub use request::{Answer, Append, BYTES_MAX, Bring, ROWS_MAX, Read};
pub use worker::Guard;

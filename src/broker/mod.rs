//! The front door of the ledger: typed requests, one queue, one worker. Nothing else opens the ledger.

mod door;
mod request;

pub use door::{Asker, Door, Patience, RequestId};
pub use request::{Answer, Append, BYTES_MAX, Bring, ROWS_MAX, Read};

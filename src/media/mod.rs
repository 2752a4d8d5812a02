//! The only module that touches removable media. A medium is a folder; mounting it is not this module's business.
//!
//! Media are hostile: nothing on them is executed or followed, each count and depth is bounded before memory is spent, and each file is read
//! once, into a copy of ours that is used from then on. What is written is synced, read back and compared before it counts as written.

pub mod bundle_file;
#[cfg(feature = "desk")]
pub mod ledger_copy;
#[cfg(feature = "desk")]
pub mod new_file;
mod plain;
pub mod publish;
mod published;
pub mod scan;

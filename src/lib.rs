//! Tabellion: an offline notary witness. This page is the map of the source tree.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod core;
#[cfg(feature = "desk")]
pub mod ledger;

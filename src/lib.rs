//! Tabellion: an offline notary witness. This page is the map of the source tree.
//!
//! ```text
//! cli, appliance ─► run ─► { media, broker ─► ledger, keys, clock } ─► core
//!      appliance ─► { console ─► clock, machine } ─► core
//! ```
//!
//! [`core`] is pure: bytes, policy, order, plan and verdict. `keys` alone holds secret bytes, `ledger` alone opens SQLite and `broker` alone
//! the ledger, `media` alone touches removable media, [`clock`] is the one source of time. [`run`] is the only code that orders effects, and `cli` speaks with people.
//! [`appliance`] is the first process of the bootable image: [`machine`] asks the kernel, [`console`] draws pages and reads keys.
//! Without the feature `desk` only what a consumer needs is built: [`core`], [`clock`], [`media`], and the consumer's parts of [`run`] and [`cli`].
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

#[cfg(feature = "appliance")]
pub mod appliance;
#[cfg(feature = "desk")]
pub mod broker;
pub mod cli;
pub mod clock;
#[cfg(feature = "appliance")]
pub mod console;
pub mod core;
#[cfg(feature = "desk")]
pub mod keys;
#[cfg(feature = "desk")]
pub mod ledger;
#[cfg(feature = "appliance")]
pub mod machine;
pub mod media;
pub mod run;

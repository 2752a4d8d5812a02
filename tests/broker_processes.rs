//! One ledger, many commands: what passes through the socket, who leads, and what becomes of everything when a process is stopped or killed.
#![cfg(feature = "desk")]
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod stage;

#[path = "broker_processes/fence.rs"]
mod fence;
#[path = "broker_processes/guard.rs"]
mod guard;
#[path = "broker_processes/many.rs"]
mod many;
#[path = "broker_processes/peers.rs"]
mod peers;
#[path = "broker_processes/scene.rs"]
mod scene;

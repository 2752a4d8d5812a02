//! The pure core: bytes, policy, order, plan and verdict.
//!
//! Nothing here knows a file, a clock, the environment, randomness, SQLite or age, and nothing prints. Everything that is promised about
//! determinism is promised of this module.

pub mod cbor;
pub mod event;
pub mod ids;
pub mod limits;
pub mod rules;

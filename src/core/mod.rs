//! The pure core: bytes, policy, order, plan and verdict.
//!
//! Nothing here knows a file, a clock, the environment, randomness, SQLite or age, and nothing prints. Everything that is promised about
//! determinism is promised of this module.

pub mod cbor;
pub mod head;
pub mod ids;
pub mod limits;
mod lines;
pub mod note;
pub mod pin;
pub mod rules;
pub mod tile;
pub mod tree;
pub mod words;

//! The pure core: bytes, policy, order, plan and verdict.
//!
//! Nothing here knows a file, a clock, the environment, randomness, SQLite or age, and nothing prints. Everything that is promised about
//! determinism is promised of this module.
//!
//! In the order in which a paper meets them: [`cbor`] [`cose`] [`proposal`] [`verify`] [`batch`] [`plan`] [`judge`] [`verdict`] [`record`] [`tree`]
//! [`event`] [`books`] [`publish`] [`common`] [`replay`].

pub mod artifact;
pub mod backup;
pub mod batch;
pub mod books;
pub mod bundle;
pub mod cbor;
pub mod charter;
pub mod common;
pub mod cose;
pub mod domain;
pub mod event;
pub mod expected;
pub mod fork;
pub mod gossip;
pub mod halt;
pub mod head;
pub mod holdings;
pub mod ids;
pub mod judge;
pub mod keyring;
pub mod limits;
mod lines;
pub mod listing;
pub mod meaning;
pub mod merkle;
pub mod name_proof;
pub mod need;
pub mod note;
pub mod objects;
pub mod order;
pub mod order_subject;
pub mod page;
pub mod payload;
pub mod pin;
pub mod plan;
pub mod policy;
pub mod policy_change;
pub mod policy_text;
pub mod policy_words;
pub mod proposal;
pub mod publish;
pub mod quarantine;
pub mod quorum;
pub mod record;
pub mod replay;
pub mod rules;
pub mod session_file;
pub mod sessions;
pub mod snapshot;
pub mod soundness;
pub mod state;
pub mod stretch;
pub mod tile;
pub mod tree;
pub mod trouble;
pub mod turns;
pub mod verdict;
pub mod verify;
pub mod words;

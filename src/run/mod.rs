//! The only code that orders effects. Each file is one visit of one person: what happens, in the order in which it happens.

#[cfg(feature = "desk")]
pub mod bag;
pub mod consumer;
#[cfg(feature = "desk")]
pub mod demo;
#[cfg(feature = "desk")]
pub mod desk;
#[cfg(feature = "desk")]
pub mod emit;
pub mod files;
pub mod folder;
#[cfg(feature = "desk")]
pub mod found;
#[cfg(feature = "desk")]
pub mod objects;
pub mod problem;
#[cfg(feature = "desk")]
pub mod proposer;
#[cfg(feature = "desk")]
pub mod session;

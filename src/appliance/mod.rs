//! The first process of the bootable image, and what the operator does with it: sticks in, papers looked at, a number confirmed, results out.
//!
//! It orders what [`crate::machine`] (devices), [`crate::console`] (pages) and [`crate::run`] (the desk) do, and owns no file, key or ledger itself.
//! What is said stands in `pages`, as functions of facts; what happens, in the files beside it, one for each thing that a person does here.

mod arrivals;
mod attend;
mod boot_pages;
mod devices;
mod ends;
mod export;
pub mod first;
mod founding;
mod home;
mod meanwhile;
mod pages;
mod recognise;
mod rehearse;
mod room;
pub mod slots;
mod standing;
mod stands;
mod start;
mod sticks;
mod visit;

#[cfg(test)]
mod tests;

pub use attend::attend;
pub use rehearse::{Rehearsal, rehearse};

use std::path::PathBuf;
use std::time::Duration;

use crate::console::page::Mark;
use crate::console::{Console, Wake};

use slots::Slots;

/// How long nobody may do anything before the console locks itself.
pub const IDLE: Duration = Duration::from_secs(300);

/// Name of the desk's folder on the data partition.
pub const DESK: &str = "desk";

/// The program that runs here.
#[derive(Debug, Clone)]
pub struct Software {
    /// Its version.
    pub version: String,
    /// SHA-256 of its file, 64 hex digits, as it was read when it started.
    pub digest: String,
}

/// Where a console stands and what is around it.
pub struct Setting<'a> {
    /// Screens and keys.
    pub console: &'a mut Console,
    /// Where sticks are inserted.
    pub slots: &'a mut dyn Slots,
    /// How somebody who waits for a key hears of sticks.
    pub wake: Wake<'a>,
    /// The data partition, mounted.
    pub data: PathBuf,
    /// What is known of the machine, one line each.
    pub facts: Vec<(Mark, String)>,
    /// The program.
    pub software: Software,
    /// Whether a witness that is founded here counts for nothing.
    pub is_rehearsal: bool,
    /// How long nobody may do anything before it locks itself: [`IDLE`], but for tests.
    pub idle: Duration,
}

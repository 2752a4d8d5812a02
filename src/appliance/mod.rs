//! The first process of the bootable image, and what the operator does with it: sticks in, papers looked at, a number confirmed, results out.
//!
//! It orders what [`crate::machine`] (devices), [`crate::console`] (pages) and [`crate::run`] (the desk) do, and owns no file, key or ledger itself.

mod boot_pages;
mod devices;
pub mod first;
pub mod slots;

//! What the first process asks of the kernel: mounts, modules, hardening, devices, power. Every call that needs to be root is made here.
//!
//! It owns `/data`, `/sticks` and the block devices below them, and decides nothing about papers or keys. What it tells is a value: which page
//! says it, and how, is decided above. Names, makers and labels that come from a device are cleaned of control characters before they leave.
//! Everything that can be computed from bytes or from a tree of files takes them as a parameter, and is tested without a machine.

pub mod block;
pub mod data;
pub mod hardening;
pub mod last_words;
pub mod memory;
pub mod modules;
pub mod mounts;
pub mod power;
pub mod probe;
pub mod seccomp;
pub mod sticks;
pub mod uevents;

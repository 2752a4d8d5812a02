//! Where sticks are inserted: devices of a machine, or folders in a rehearsal. What lies behind is [`Slots`]; nothing else of the console knows
//! which of the two it is.

use std::path::PathBuf;

use crate::core::rules::{Checked, Fault};

/// One stick, as it was found when it was last looked for.
#[derive(Debug, Clone)]
pub struct Stick {
    /// What it is called as long as it is inserted: `sdb1`, or the name of a folder.
    pub name: String,
    /// What a person calls it: maker and model, size, file system.
    pub says: String,
    /// Why it cannot be used, when it cannot: no file system of those that are read, a device that gives errors.
    pub trouble: Option<Fault>,
}

/// Where sticks are inserted.
pub trait Slots {
    /// The sticks that are inserted now, in the order of their names.
    fn inserted(&mut self) -> Vec<Stick>;

    /// Opens a stick for reading only, and answers with the folder where it can be read. A stick that is open already is read on.
    ///
    /// # Errors
    /// `medium-fault` when it cannot be opened or is gone.
    fn open_to_read(&mut self, name: &str) -> Checked<PathBuf>;

    /// Opens a stick that was read for writing results, at the same folder.
    ///
    /// # Errors
    /// `medium-fault` when it cannot be written to (a switch on it, no room, gone); it stays open for reading then, or is closed.
    fn open_to_write(&mut self, name: &str) -> Checked<PathBuf>;

    /// Lets go of a stick: everything written is on it, nothing of it is cached, and it may be pulled out.
    ///
    /// # Errors
    /// `medium-fault` when that cannot be known; it is let go of all the same.
    fn close(&mut self, name: &str) -> Checked<()>;
}

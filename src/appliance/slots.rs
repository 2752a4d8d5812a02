//! Where sticks are inserted: devices of a machine, or folders in a rehearsal. What lies behind is [`Slots`]; nothing else of the console knows
//! which of the two it is.

use std::path::PathBuf;

use crate::core::rules::{Checked, Fault};

/// One stick, as it was found when it was last looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stick {
    /// What it is called as long as it is inserted: `sdb1`, or the name of a folder.
    pub name: String,
    /// Which insertion it is part of: the parts of one stick have the same, and a stick that comes again has another.
    pub insertion: String,
    /// Its size as it is printed on sticks; empty when it has none.
    pub size: String,
    /// The label that its owner gave it; empty without one.
    pub label: String,
    /// What else is known of it: maker and model, file system.
    pub says: String,
    /// Why it cannot be used, when it cannot: no file system of those that are read, a device that gives errors.
    pub trouble: Option<Fault>,
    /// The how-manieth of those that are inserted it was, from 1.
    pub number: usize,
}

/// How the first sticks are counted; nobody has more sockets.
const ORDINALS: [&str; 12] =
    ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth"];

impl Stick {
    /// What a person calls it: `the second stick, 8 GB, label "ALICE" (sdc1)`. The device comes last: nobody sees it on the stick.
    pub fn called(&self) -> String {
        self.named("")
    }

    /// The same with all that is known of it.
    pub fn tells(&self) -> String {
        self.named(&self.says)
    }

    fn named(&self, more: &str) -> String {
        let ordinal = self.number.checked_sub(1).and_then(|at| ORDINALS.get(at));
        let which = ordinal.map_or_else(|| format!("stick number {}", self.number), |ordinal| format!("the {ordinal} stick"));
        let label = if self.label.is_empty() { "no label".to_owned() } else { format!("label {:?}", self.label) };
        let parts = [which, self.size.clone(), label, more.to_owned()];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let device = if self.name == self.label { String::new() } else { format!(" ({})", self.name) };
        format!("{}{device}", parts.join(", "))
    }
}

/// Where sticks are inserted.
pub trait Slots {
    /// The sticks that are inserted now, in the order in which they came as far as that is known, and of their names. Nobody has counted them yet.
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

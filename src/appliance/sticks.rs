//! Sticks as a session handles them: opened for reading, made writable for results, taken out of every cache for the comparison, let go of.

use std::path::{Path, PathBuf};

use crate::core::rules::{Checked, Fault, Rule};
use crate::run::handling::Handling;
use crate::run::problem::Outcomes;

use super::pages::papers;
use super::room::Room;

/// A stick that is open.
#[derive(Debug, Clone)]
pub(super) struct Opened {
    /// What it is called.
    pub name: String,
    /// What a person calls it.
    pub called: String,
    /// Where it can be read.
    pub folder: PathBuf,
}

/// Opens every stick that can be used.
///
/// # Errors
/// `medium-fault` when there is none, or one cannot be opened: then all are let go of again.
pub(super) fn open_all(room: &Room<'_>) -> Outcomes<Vec<Opened>> {
    let mut out: Vec<Opened> = Vec::new();
    for stick in room.sticks().into_iter().filter(|stick| stick.trouble.is_none()) {
        match room.slots(|slots| slots.open_to_read(&stick.name)) {
            Ok(folder) => out.push(Opened { called: stick.called(), name: stick.name, folder }),
            Err(fault) => {
                close_all(room, &out);
                return Err(fault.within(stick.called()).into());
            }
        }
    }
    match out.is_empty() {
        true => Err(Fault::new(Rule::MediumFault, "no stick is inserted that can be read; one expected").into()),
        false => Ok(out),
    }
}

/// Lets go of sticks, each by what a person calls it, with what became of that.
pub(super) fn close_all(room: &Room<'_>, sticks: &[Opened]) -> Vec<(String, Checked<()>)> {
    sticks.iter().map(|stick| (stick.called.clone(), room.slots(|slots| slots.close(&stick.name)))).collect()
}

/// The handling of sticks that are open.
pub(super) struct Held<'r, 'a> {
    /// The room with the slots.
    pub room: &'r Room<'a>,
    /// The sticks.
    pub sticks: &'r [Opened],
}

impl Held<'_, '_> {
    fn name(&self, medium: &Path) -> Checked<&str> {
        let name = self.sticks.iter().find(|stick| stick.folder == medium).map(|stick| stick.name.as_str());
        name.ok_or_else(|| Fault::new(Rule::InternalFault, format!("{} found; the folder of an open stick expected", medium.display())))
    }

    /// The folder must stay where the session knows it.
    fn same(medium: &Path, folder: &Path) -> Checked<()> {
        if medium == folder {
            return Ok(());
        }
        Err(Fault::new(Rule::MediumFault, format!("{}: opened again at {}", medium.display(), folder.display())))
    }
}

impl Handling for Held<'_, '_> {
    fn to_write(&mut self, medium: &Path) -> Checked<()> {
        let name = self.name(medium)?;
        Held::same(medium, &self.room.slots(|slots| slots.open_to_write(name))?)
    }

    fn to_compare(&mut self, medium: &Path) -> Checked<bool> {
        let name = self.name(medium)?;
        self.room.slots(|slots| slots.close(name))?;
        Held::same(medium, &self.room.slots(|slots| slots.open_to_read(name))?)?;
        Ok(true)
    }
}

/// How many files go by between two looks at the page: a serial line is slow.
const FILES_A_LOOK: u64 = 50;

/// What is being done, in words of an operator.
#[derive(Default)]
pub(super) struct Steps {
    steps: Vec<(String, bool)>,
    files: u64,
}

impl Steps {
    /// The next effect.
    pub fn take(&mut self, room: &Room<'_>, effect: &str, what: &str) {
        let step = match effect {
            "commit the session" => "the session is committed to the desk's book",
            "sign checkpoints and notes" => "the new pages are signed",
            "write" | "folder" | "remove" if what.starts_with("tabellion/") => "results are written to the sticks, read back and compared",
            "compare" => "the sticks are compared once more, from the sticks themselves",
            "halt" => "the desk is halted",
            _ => return,
        };
        self.files += u64::from(effect == "write" && what.starts_with("tabellion/"));
        let is_new = self.steps.last().is_none_or(|(last, _)| last != step);
        if is_new && !self.steps.iter().any(|(known, _)| known == step) {
            self.steps.iter_mut().for_each(|(_, done)| *done = true);
            self.steps.push((step.to_owned(), false));
            room.show(&papers::working(&self.steps, self.files));
        } else if effect == "write" && self.files.is_multiple_of(FILES_A_LOOK) {
            room.show(&papers::working(&self.steps, self.files));
        }
    }
}

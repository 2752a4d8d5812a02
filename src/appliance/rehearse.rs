//! The same console on any terminal, over folders: what is practised here is done in the same way on the machine.

use std::fs::{self, File};
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::console::page::Mark;
use crate::console::{Console, Terminal, Wake};
use crate::core::rules::{Checked, Fault, Rule};
use crate::run::events::program_digest;
use crate::run::files::{make_folder, write_bytes};
use crate::run::problem::Outcomes;

use super::slots::{Slots, Stick};
use super::{Setting, Software, attend};

/// Name of the file that says what a data partition is for, and of the partition itself.
const DATA: &str = "tabellion-data";
/// What that file says.
const DATA_SAYS: &str = "tabellion-data/v1\nThe book of a witness lies in the folder desk. Keep this disk, and never start a copy of it.\n";
/// How often it is looked whether sticks came or went.
const LOOK: Duration = Duration::from_secs(1);

/// What is to be rehearsed.
pub struct Rehearsal {
    /// The folder with `data` and `sticks`, made if it is not there.
    pub dir: PathBuf,
    /// How long nobody may do anything.
    pub idle: Duration,
}

/// Runs the console over folders, on the terminal of this process; on a pipe, line by line.
///
/// # Errors
/// `file-fault`, `disk-fault` when the folders cannot be made or the terminal cannot be had.
pub fn rehearse(rehearsal: &Rehearsal) -> Outcomes<()> {
    let (data, sticks) = (rehearsal.dir.join("data"), rehearsal.dir.join("sticks"));
    make_folder(&data)?;
    make_folder(&sticks)?;
    if !data.join(DATA).exists() {
        write_bytes(&data.join(DATA), DATA_SAYS.as_bytes())?;
    }
    let mut console = Console::of(vec![terminal()?]);
    let mut slots = Folders { sticks, open: Vec::new() };
    let setting = Setting {
        console: &mut console,
        slots: &mut slots,
        wake: Wake::Every(LOOK),
        data,
        facts: vec![(Mark::Look, "a rehearsal: folders stand for the disk and the sticks, and this machine was not looked at".into())],
        software: Software { version: env!("CARGO_PKG_VERSION").into(), digest: program_digest()?.hex() },
        is_rehearsal: true,
        idle: rehearsal.idle,
    };
    attend(setting);
    Ok(())
}

/// The terminal of this process.
fn terminal() -> Checked<Terminal> {
    let fault = |error: io::Error| Fault::new(Rule::FileFault, format!("the terminal: {error}"));
    let input = File::from(io::stdin().as_fd().try_clone_to_owned().map_err(fault)?);
    let output = File::from(io::stdout().as_fd().try_clone_to_owned().map_err(fault)?);
    match io::stdin().is_terminal() && io::stdout().is_terminal() {
        true => Ok(Terminal::screen(input, output)),
        false => Ok(Terminal::lines(input, output)),
    }
}

/// Folders that stand for sticks: one that appears is inserted, one that goes is pulled out.
struct Folders {
    sticks: PathBuf,
    open: Vec<String>,
}

impl Folders {
    fn folder(&self, name: &str) -> Checked<PathBuf> {
        let folder = self.sticks.join(name);
        match folder.is_dir() {
            true => Ok(folder),
            false => Err(Fault::new(Rule::MediumFault, format!("{name}: it is gone"))),
        }
    }
}

impl Slots for Folders {
    fn inserted(&mut self) -> Vec<Stick> {
        let entries = fs::read_dir(&self.sticks).into_iter().flatten().flatten();
        let mut out: Vec<Stick> = entries.map(|entry| stick(&entry.path(), entry.file_name().to_string_lossy().into_owned())).collect();
        out.sort_by(|a, b| a.name.cmp(&b.name));
        out
    }

    fn open_to_read(&mut self, name: &str) -> Checked<PathBuf> {
        let folder = self.folder(name)?;
        if !self.open.iter().any(|open| open == name) {
            self.open.push(name.to_owned());
        }
        Ok(folder)
    }

    fn open_to_write(&mut self, name: &str) -> Checked<PathBuf> {
        self.folder(name)
    }

    fn close(&mut self, name: &str) -> Checked<()> {
        let was_open = self.open.iter().any(|open| open == name);
        self.open.retain(|open| open != name);
        match was_open {
            true => self
                .folder(name)
                .map(drop)
                .map_err(|fault| Fault { found: format!("{}; it was pulled out too early", fault.found), ..fault }),
            false => Ok(()),
        }
    }
}

/// A stick in a rehearsal.
fn stick(path: &Path, name: String) -> Stick {
    let trouble =
        (!path.is_dir()).then(|| Fault::new(Rule::MediumFault, "no file system found that is read here; FAT, exFAT or ext4 expected"));
    Stick {
        insertion: name.clone(),
        size: String::new(),
        label: name.clone(),
        says: "a folder of this rehearsal".into(),
        trouble,
        name,
        number: 0,
    }
}

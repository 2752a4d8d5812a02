//! Halting: from now on the log key signs nothing (design section 7).
//!
//! The order is the whole point: the halt file, synced, which is sufficient; the dossier beside the ledger; the evidence on the media. Then,
//! when the chain is whole and a passphrase is given, `run::desk` appends the `halt` event; nothing else is written, now or later.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use crate::core::books::Books;
use crate::core::halt::Halt;
use crate::core::rules::{Checked, Fault, Rule};
use crate::keys::file::write_new;
use crate::media::publish::{Observe, write_files};

use super::dossier::Dossier;
use super::files::write_bytes;
use super::gossip::Gossip;
use super::handling::{AsMounted, Handling};
use super::log;
use super::problem::{Outcomes, Problem, Unchanged};
use super::startup::Findings;

/// Name of the halt file in the desk's folder.
pub const HALT_FILE: &str = "halt";
/// Folder of the dossiers in the desk's folder.
const DOSSIERS: &str = "halt-evidence";
/// Most bytes of a halt file that are read; it halts whatever it holds.
const HALT_FILE_BYTES_MAX: usize = 4_096;

/// Why a desk is to be halted.
pub struct Alarm {
    fault: Fault,
    dossier: Dossier,
    next: &'static str,
}

impl Alarm {
    /// A start or an integrity check found something wrong.
    ///
    /// # Errors
    /// `internal-fault` when nothing is.
    pub fn of_check(dir: &Path, findings: &Findings) -> Checked<Alarm> {
        let wrong = findings.wrong.as_ref();
        let wrong = wrong.ok_or_else(|| Fault::new(Rule::InternalFault, "a halt over a desk with nothing wrong; something expected"))?;
        let dossier = Dossier::of_check(&absolute(dir), findings, wrong);
        Ok(Alarm {
            fault: wrong.fault.clone(),
            dossier,
            next: "sign nothing with this disk, keep it as it is, read the dossier, and call the custodians",
        })
    }

    /// A person knows another head than the ledger has, and insists.
    pub fn of_known_head(dir: &Path, findings: &Findings, fault: Fault) -> Alarm {
        let dossier = Dossier::of_known_head(&absolute(dir), findings, &fault);
        let next = "sign nothing with this disk, find out where the head comes from that you know, and call the custodians";
        Alarm { fault, dossier, next }
    }

    /// Media brought texts of ours that the ledger does not have, at least one.
    ///
    /// # Errors
    /// `ledger-fault` without a charter: there is no key under which anything could be ours.
    pub fn of_gossip(books: &Books, gossip: &Gossip, media: &[PathBuf]) -> Checked<Alarm> {
        let first = gossip.evidence.first();
        let first = first.ok_or_else(|| Fault::new(Rule::InternalFault, "a halt without evidence; at least one text expected"))?;
        let more = match gossip.evidence.len() {
            1 => String::new(),
            count => format!(" (and {} more of our texts that it does not know)", count - 1),
        };
        let (evidence, path) = (&first.evidence, &first.path);
        let found = format!("{path} carries our signature on {}; {}{more}", evidence.found, evidence.expected);
        let next = "sign nothing with this disk, keep the medium, and read the dossier: this is an old or cloned copy of the desk, or the key is in other hands";
        Ok(Alarm { fault: Fault::new(Rule::HeadElsewhere, found), dossier: Dossier::of_gossip(books, &gossip.evidence, media)?, next })
    }
}

/// The folder as somebody will look for it later.
fn absolute(dir: &Path) -> PathBuf {
    fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned())
}

/// A desk that has just been halted.
pub struct Halted {
    /// What the halt file says.
    pub halt: Halt,
    /// What was written, and what could not be, in words.
    pub done: Vec<String>,
    next: &'static str,
}

impl Halted {
    /// What stops the command.
    pub fn problem(self) -> Problem {
        let mut state = self.done;
        state.push("nothing else was written to the ledger or to any medium".into());
        let fault = Fault::new(self.halt.rule, self.halt.found);
        Problem { fault, state: state.join("; "), next: Some(self.next.into()) }
    }
}

/// Halts the desk in `dir` over media that somebody mounted for writing.
pub fn halt(dir: &Path, alarm: Alarm, media: &[PathBuf], observe: &mut Observe<'_>) -> Halted {
    halt_handling(dir, alarm, (media, &mut AsMounted), observe)
}

/// Halts the desk in `dir`: halt file, dossier, evidence on the media, in this order. A later step that fails does not undo an earlier one, and
/// none is tried twice.
pub fn halt_handling(dir: &Path, alarm: Alarm, (media, handling): (&[PathBuf], &mut dyn Handling), observe: &mut Observe<'_>) -> Halted {
    let Alarm { fault, dossier, next } = alarm;
    let mut done = Vec::new();
    let halt = Halt { rule: fault.rule, dossier: dossier.hash(), found: fault.found };
    observe("halt", HALT_FILE);
    match write_new(&dir.join(HALT_FILE), &halt.text()) {
        Ok(()) => done.push(format!("the desk is halted ({})", dir.join(HALT_FILE).display())),
        Err(fault) if fault.rule == Rule::Exists => done.push(format!("the desk was halted already ({})", dir.join(HALT_FILE).display())),
        Err(error) => done.push(format!("the halt file could not be written: {}; do not start this desk again", error.found)),
    }
    log::halted(&Fault::new(halt.rule, halt.found.clone()), &halt.dossier.named());
    let path = dossier_path(dir, &halt);
    observe("dossier", DOSSIERS);
    match write_bytes(&path, dossier.text().as_bytes()) {
        Ok(()) => done.push(format!("the dossier is {}", path.display())),
        Err(error) => done.push(format!("the dossier could not be written: {}", error.found)),
    }
    let (folder, files) = dossier.files();
    for medium in media {
        match handling.to_write(medium).and_then(|()| write_files(medium, files.clone(), observe)) {
            Ok(()) => done.push(format!("evidence is in {}", medium.join(&folder).display())),
            Err(error) => done.push(format!("no evidence could be written to {}: {}", medium.display(), error.found)),
        }
    }
    Halted { halt, done, next }
}

/// Where the dossier of a halt lies.
pub fn dossier_path(dir: &Path, halt: &Halt) -> PathBuf {
    dir.join(DOSSIERS).join(format!("{}.txt", halt.dossier))
}

/// Why a desk is halted, if it is, by its halt file or by its ledger; in words. Whoever removes the halt file ends no halt: only an order does.
///
/// # Errors
/// `disk-fault`.
pub fn why_halted(dir: &Path, books: &Books) -> Checked<Option<String>> {
    let in_the_ledger = || books.trouble().halts().values().next();
    let words = |halt: &Halt| {
        format!("[{}] {}; dossier sha256:{}, as the ledger tells: the halt file is not there", halt.rule, halt.found, halt.dossier)
    };
    Ok(read_halt(dir)?.or_else(|| in_the_ledger().map(words)))
}

/// Refuses to go on with a halted desk. Every operation that writes asks this first, and nothing is tried a second time after it.
///
/// # Errors
/// `halted`; `disk-fault` when that cannot be told.
pub fn refuse_halted(dir: &Path) -> Outcomes<()> {
    match read_halt(dir)? {
        Some(reason) => Err(Fault::new(Rule::Halted, reason)).unchanged(|| "the log key signs nothing; nothing was written".into()),
        None => Ok(()),
    }
}

/// Why the desk in this folder is halted, if it is; in words. Whatever has the name of the halt file halts: a file that cannot be read, an empty
/// one, a folder, a link to nothing. None but a plain file is opened.
///
/// # Errors
/// `disk-fault` when the system does not tell whether it is there.
pub fn read_halt(dir: &Path) -> Checked<Option<String>> {
    let path = dir.join(HALT_FILE);
    let other = |what: String| Ok(Some(format!("{} is {what}, which is no halt file of ours, and halts all the same", path.display())));
    match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(metadata) if metadata.is_dir() => return other("a folder".into()),
        Ok(metadata) if metadata.is_symlink() => return other("a symbolic link".into()),
        Ok(_) => return other("a device, pipe or socket".into()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(Fault::new(Rule::DiskFault, format!("{}: {error}", path.display()))),
    }
    let mut bytes = [0; HALT_FILE_BYTES_MAX];
    let length = match File::open(&path).and_then(|mut file| read_up_to(&mut file, &mut bytes)) {
        Ok(length) => length,
        Err(error) => return other(format!("a file that cannot be read ({error})")),
    };
    let text = String::from_utf8_lossy(&bytes[..length]);
    let Ok(halt) = Halt::parse(&text) else {
        let shown: String = text.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect();
        return other(format!("a file of {shown:?}"));
    };
    let dossier = dossier_path(dir, &halt);
    let there = if dossier.is_file() {
        dossier.display().to_string()
    } else {
        "not there: the halt was broken off, and what was found still lies where it was found".into()
    };
    Ok(Some(format!("[{}] {}; dossier sha256:{}, {there}", halt.rule, halt.found, halt.dossier)))
}

fn read_up_to(file: &mut File, bytes: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    while length < bytes.len() {
        match file.read(&mut bytes[length..])? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}

//! Halting: from now on the log key signs nothing (design section 7).
//!
//! The order is the whole point: the halt file, synced, which is sufficient; the dossier beside the ledger; the evidence on the media; and
//! nothing else is written by this process, nor by a later one. The `halt` event needs an unlocked key and is not appended here.

use std::fs;
use std::path::{Path, PathBuf};

use crate::core::books::Books;
use crate::core::halt::Halt;
use crate::core::rules::{Checked, Fault, Rule};
use crate::keys::file::write_new;
use crate::media::publish::{Observe, write_files};

use super::dossier::Dossier;
use super::files::write_bytes;
use super::gossip::Gossip;
use super::log;
use super::problem::Problem;

/// Name of the halt file in the desk's folder.
pub const HALT_FILE: &str = "halt";
/// Folder of the dossiers in the desk's folder.
const DOSSIERS: &str = "halt-evidence";

/// Halts the desk in `dir` over what the media brought, which is at least one text. Answers with what stops the command.
pub fn halt(dir: &Path, books: &Books, gossip: &Gossip, media: &[PathBuf], observe: &mut Observe<'_>) -> Problem {
    let Some(first) = gossip.evidence.first() else {
        return Fault::new(Rule::InternalFault, "a halt without evidence; at least one text expected").into();
    };
    let more = match gossip.evidence.len() {
        1 => String::new(),
        count => format!(" (and {} more of our texts that it does not know)", count - 1),
    };
    let (evidence, path) = (&first.evidence, &first.path);
    let found = format!("{path} carries our signature on {}; {}{more}", evidence.found, evidence.expected);
    let fault = Fault::new(Rule::HeadElsewhere, found);
    match Dossier::of(books, &gossip.evidence, media) {
        Ok(dossier) => {
            let state = leave_behind(dir, &fault, &dossier, media, observe);
            let next = "sign nothing with this disk, keep the medium, and read the dossier: this is an old or cloned copy of the desk, or the key is in other hands";
            Problem { fault, state, next: Some(next.into()) }
        }
        // Without a charter there is no key under which anything could be ours.
        Err(fault) => fault.into(),
    }
}

/// Halt file, dossier, evidence: in this order. A later step that fails does not undo an earlier one.
fn leave_behind(dir: &Path, fault: &Fault, dossier: &Dossier, media: &[PathBuf], observe: &mut Observe<'_>) -> String {
    let mut state = Vec::new();
    let halt = Halt { rule: fault.rule, dossier: dossier.hash(), found: fault.found.clone() };
    observe("halt", HALT_FILE);
    match write_new(&dir.join(HALT_FILE), &halt.text()) {
        Ok(()) => state.push(format!("the desk is halted ({})", dir.join(HALT_FILE).display())),
        Err(error) => state.push(format!("the halt file could not be written: {error}; do not start this desk again")),
    }
    log::halted(fault, &dossier.hash().named());
    let path = dossier_path(dir, &halt);
    observe("dossier", DOSSIERS);
    match write_bytes(&path, dossier.text().as_bytes()) {
        Ok(()) => state.push(format!("the dossier is {}", path.display())),
        Err(error) => state.push(format!("the dossier could not be written: {error}")),
    }
    let (folder, files) = dossier.files();
    for medium in media {
        match write_files(medium, files.clone(), observe) {
            Ok(()) => state.push(format!("evidence is in {}", medium.join(&folder).display())),
            Err(error) => state.push(format!("no evidence could be written to {}: {error}", medium.display())),
        }
    }
    state.push("nothing else was written to the ledger or to any medium".into());
    state.join("; ")
}

/// Where the dossier of a halt lies.
pub fn dossier_path(dir: &Path, halt: &Halt) -> PathBuf {
    dir.join(DOSSIERS).join(format!("{}.txt", halt.dossier))
}

/// Why the desk in this folder is halted, if it is; in words. A halt file that cannot be read halts as any other.
///
/// # Errors
/// `file-fault`.
pub fn read_halt(dir: &Path) -> Checked<Option<String>> {
    let path = dir.join(HALT_FILE);
    let text = match fs::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Fault::new(Rule::FileFault, format!("{}: {error}", path.display()))),
    };
    let Ok(halt) = Halt::parse(&text) else {
        let shown: String = text.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect();
        return Ok(Some(format!("{} holds {shown:?}, which is no halt file of ours", path.display())));
    };
    let dossier = dossier_path(dir, &halt);
    let there = if dossier.is_file() {
        dossier.display().to_string()
    } else {
        "not there: the halt was broken off, and the medium still carries what was found".into()
    };
    Ok(Some(format!("[{}] {}; dossier sha256:{}, {there}", halt.rule, halt.found, halt.dossier)))
}

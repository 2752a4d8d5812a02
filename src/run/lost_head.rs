//! A head file that is missing or damaged, when an order is to end a halt (SPEC 7.11, ADR 7).
//!
//! The order that names the dossier of a halt over it has it written anew from the books. It never replaces a head file that can be read: one
//! that tells of another session than the ledger is a witness against the ledger, and the desk stays halted, also when that file went since.

use std::path::{Path, PathBuf};

use crate::broker::{HEAD_FILE, read_head};
use crate::core::books::Books;
use crate::core::halt::Halt;
use crate::core::head::HeadFile;
use crate::core::rules::{Checked, Fault, Rule};
use crate::media::publish::Observe;

use super::desk::Desk;
use super::files::{self, write_bytes};
use super::halt::dossier_path;
use super::problem::{Outcomes, Problem};
use super::startup::closed_sessions;

/// What an order that ends a halt has to do with the head file.
pub enum LostHead {
    /// The halt is over it, it is missing or damaged, and the order has it written anew.
    ToWrite {
        /// What was found in its place.
        lost: Fault,
        /// What will be written.
        file: HeadFile,
    },
    /// The halt is over it, and it is whole: put back since, or written by the order before that was broken off.
    Whole(HeadFile),
    /// It is missing or damaged, and the halt is over something else: the order ends that one, and the desk then halts over the head file.
    Next(Fault),
}

/// What became of the head file of a desk that had halted over it.
pub struct HeadWritten {
    /// What was found in its place; `None` when it was whole and was left as it is.
    pub lost: Option<Fault>,
    /// What it says.
    pub file: HeadFile,
    /// Where the damaged one is kept, if one was there.
    pub kept: Option<PathBuf>,
}

impl LostHead {
    /// `lost` is what is wrong with the head file, if it is missing or damaged.
    ///
    /// # Errors
    /// `head-lost` when a head file told of another session before, or when no file can be written in its place; `ledger-fault`.
    pub(super) fn of(desk: &Desk, halt: &Halt, lost: Option<Fault>) -> Outcomes<Option<LostHead>> {
        let (trouble, is_over_it) = (desk.books().trouble(), halt.rule == Rule::HeadLost);
        let Some(lost) = lost else {
            return Ok(is_over_it.then(|| last_closed(desk.books())).transpose()?.map(LostHead::Whole));
        };
        // What an order has ended is ended: it writes no head file a second time.
        if trouble.ended(&halt.dossier).is_some() {
            return Ok(Some(LostHead::Next(lost)));
        }
        let mut halts = std::iter::once(halt).chain(trouble.halts().values());
        if let Some(other) = halts.find(|halt| halt.rule == Rule::HeadRolledBack) {
            let found = format!("{}; before, the desk halted over one that was there: {}", lost.found, other.found);
            let next = format!(
                "no order writes a head file in the place of one that told of another session: keep the disk as it is, and put back the head \
                 file that {} shows, and the ledger that belongs to it",
                dossier_path(desk.dir(), other).display()
            );
            return Err(Problem::from(Fault { found, ..lost }).advising(next));
        }
        if !is_over_it {
            return Ok(Some(LostHead::Next(lost)));
        }
        let path = desk.dir().join(HEAD_FILE);
        if stands(&path) == Some(false) {
            let next = format!("move what stands at {} away and keep it, then run the same command again", path.display());
            return Err(Problem::from(lost).advising(next));
        }
        Ok(Some(LostHead::ToWrite { lost, file: last_closed(desk.books())? }))
    }
}

/// What the head file must say, by the books alone.
fn last_closed(books: &Books) -> Checked<HeadFile> {
    let none = || Fault::new(Rule::LedgerFault, "no closed session found; one to write the head file from expected");
    closed_sessions(books).pop().ok_or_else(none)
}

/// Writes the head file from the books; what is left of the damaged one is kept beside the dossier. Broken off anywhere, the head file is lost
/// as before or is whole.
///
/// # Errors
/// `head-rolled-back` when a head file was put there since it was looked at; `file-fault`, `disk-fault`.
pub(super) fn write_anew(desk: &mut Desk, halt: &Halt, observe: &mut Observe<'_>) -> Checked<()> {
    // Somebody was asked for a passphrase since, which takes its time.
    if let Some(file) = read_head(desk.dir()).ok().flatten().and_then(|text| HeadFile::parse(&text).ok()) {
        let found = format!("a head file of {file} found, put there since the desk was opened; none expected");
        return Err(Fault::new(Rule::HeadRolledBack, found));
    }
    let (from, to) = (desk.dir().join(HEAD_FILE), kept_at(desk.dir(), halt));
    let there = stands(&from);
    if there == Some(false) {
        return Err(Fault::new(
            Rule::FileFault,
            format!("{}: put there since the desk was opened; a plain file or none expected", from.display()),
        ));
    }
    if there == Some(true) && stands(&to).is_none() {
        observe("keep the damaged head file", HEAD_FILE);
        // Copied and not moved: of a move from folder to folder a power cut may leave neither name.
        write_bytes(&to, &files::read(&from)?)?;
    }
    desk.write_head_file(observe)
}

/// Whether a plain file stands there; `None` when nothing does.
fn stands(path: &Path) -> Option<bool> {
    path.symlink_metadata().ok().map(|there| there.is_file())
}

/// What became of the head file, when the halt was over it.
pub(super) fn written(dir: &Path, halt: &Halt, lost_head: Option<LostHead>) -> Option<HeadWritten> {
    let (lost, file) = match lost_head? {
        LostHead::ToWrite { lost, file } => (Some(lost), file),
        LostHead::Whole(file) => (None, file),
        LostHead::Next(_) => return None,
    };
    Some(HeadWritten { lost, file, kept: Some(kept_at(dir, halt)).filter(|path| path.is_file()) })
}

/// Where the damaged head file of a halt is kept.
fn kept_at(dir: &Path, halt: &Halt) -> PathBuf {
    dossier_path(dir, halt).with_extension("head")
}

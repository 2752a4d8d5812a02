//! The consumer's part of promise 9: what was seen elsewhere travels home on the very sticks that bring news (SPEC 8.5 and 8.6).
//!
//! A consumer keeps the newest checkpoint it verified beside its pin, and leaves it on every medium it reads, also when it refuses what the
//! medium carries: that is when it matters. Nothing here is ever fatal, and nothing of it is trusted by anyone: a witness verifies each.

use std::fs;
use std::path::{Path, PathBuf};

use crate::core::fork::Statement;
use crate::core::ids::{Hash, Head};
use crate::core::limits::{MEDIUM_FILES_MAX, NOTE_BYTES_MAX};
use crate::core::note::VerifierKey;
use crate::core::pin::Pin;
use crate::core::rules::{Checked, Fault, Rule};
use crate::media::publish::{remove_files, write_files};
use crate::media::scan::read_one;

use super::files::{read, staging, write_bytes};
use super::folder::Folder;
use super::problem::Problem;

/// The log key, and whether what was verified continues a head.
type Continued<'a> = (&'a VerifierKey, &'a dyn Fn(&Head) -> bool);

/// Where heads lie on a medium.
const HEADS: &str = "tabellion/heads";
/// Most files in that folder to which one more is added, and most that are looked at.
const HEADS_FILES_MAX: usize = 256;
/// Ending of the file of the newest checkpoint that was verified, beside the pin.
const KNOWN: &str = "checkpoint";
/// Ending of the file of a signed checkpoint that was refused because it contradicts the pin.
const OTHER: &str = "other.checkpoint";

/// What was left on a medium for its witness.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// The heads that were not there before, ascending; empty when the folder lies on no medium.
    pub heads: Vec<Head>,
    /// Where they lie.
    pub folder: PathBuf,
    /// Why something could not be kept or left there.
    pub passed_over: Vec<String>,
}

impl Carried {
    /// In words; nothing when there is nothing to say.
    fn say(&self) -> Vec<String> {
        let heads: Vec<String> = self.heads.iter().map(|head| format!("common@{}", head.number)).collect();
        let left = format!("left     {} in {}, for the witness to compare with its own", heads.join(" and "), self.folder.display());
        let passed = self.passed_over.iter().map(|reason| format!("passed   {reason}"));
        Some(left).filter(|_| !heads.is_empty()).into_iter().chain(passed).collect()
    }
}

/// After a folder was verified: keeps its newest checkpoint beside the pin and leaves it on the medium, with what was refused before.
/// `is_continued` tells whether that checkpoint continues another head.
pub fn verified(dir: &Path, pin_path: &Path, pin: &Pin, newest: &str, is_continued: &dyn Fn(&Head) -> bool) -> Carried {
    let key = &pin.vkey;
    let Ok(newest) = Statement::read(newest.as_bytes(), key) else { return Carried::default() };
    let mut carried = Carried::default();
    let known = kept(pin_path, KNOWN, key);
    // A head that the verified one continues says nothing more than that one does.
    let earlier = known.iter().chain(&kept(pin_path, OTHER, key)).filter(|other| !is_continued(&other.head())).cloned().collect::<Vec<_>>();
    if known.as_ref().is_none_or(|known| known.head().number < newest.head().number) {
        carried.keep(pin_path, KNOWN, &newest, key);
    }
    let heads: Vec<Statement> = earlier.into_iter().chain([newest]).collect();
    carried.leave(dir, &heads, Some((key, is_continued)));
    carried
}

/// After a folder was refused: leaves on the medium what was known before, and keeps a signed checkpoint that contradicts the pin.
pub fn refused(dir: &Path, pin_path: &Path, pin: &Pin, problem: Problem) -> Problem {
    let mut carried = Carried::default();
    let theirs = Folder::find(dir).and_then(|folder| folder.checkpoint()).and_then(|bytes| Statement::read(&bytes, &pin.vkey)).ok();
    // What was refused just now lies on this medium already: it goes to the next one.
    let heads: Vec<Statement> = [KNOWN, OTHER].into_iter().filter_map(|ending| kept(pin_path, ending, &pin.vkey)).collect();
    let theirs = theirs.filter(|theirs| problem.fault.rule == Rule::ProofFails && may_contradict(&theirs.head(), &pin.head));
    if let Some(theirs) = &theirs {
        carried.keep(pin_path, OTHER, theirs, &pin.vkey);
    }
    carried.leave(dir, &heads, None);
    let problem = match theirs {
        // Both are signed: only a comparison tells a copy that was damaged from a second history.
        Some(_) if kept(pin_path, KNOWN, &pin.vkey).is_some() => problem.advising(format!(
            "it is signed by the same key; to tell a damaged copy from a fork run: tabellion verify {} {} --pin {}",
            beside(pin_path, KNOWN).display(),
            dir.display(),
            pin_path.display()
        )),
        _ => problem,
    };
    let said = carried.say().into_iter().map(|line| format!("; {}", line.replacen("     ", " ", 1).replacen("   ", " ", 1)));
    Problem { state: said.fold(problem.state.clone(), |state, line| state + &line), ..problem }
}

/// A shorter log may well be an older copy of the pinned one.
fn may_contradict(theirs: &Head, pinned: &Head) -> bool {
    theirs.number >= pinned.number && theirs != pinned
}

/// The file beside the pin; a pin that has that very name keeps it.
fn beside(pin: &Path, ending: &str) -> PathBuf {
    match pin.with_extension(ending) {
        same if same == pin => PathBuf::from(format!("{}.{ending}", pin.display())),
        path => path,
    }
}

/// The checkpoint kept beside a pin, if it verifies under the pin's key.
fn kept(pin: &Path, ending: &str, key: &VerifierKey) -> Option<Statement> {
    let bytes = read(&beside(pin, ending)).ok().filter(|bytes| bytes.len() <= NOTE_BYTES_MAX)?;
    Statement::read(&bytes, key).ok()
}

impl Carried {
    /// Keeps a checkpoint beside the pin. Something else in its place is never overwritten.
    fn keep(&mut self, pin: &Path, ending: &str, checkpoint: &Statement, key: &VerifierKey) {
        let path = beside(pin, ending);
        if path.exists() && kept(pin, ending, key).is_none() {
            self.passed_over.push(format!("{} is no checkpoint of {} and was left as it is", path.display(), key.name()));
        } else if let Err(fault) = write_bytes(&path, checkpoint.text().as_bytes()) {
            self.passed_over.push(format!("{} was not kept: {fault}", path.display()));
        }
    }

    /// Leaves heads on a medium; a folder that lies on none is passed over in silence. `verified` tells which heads are continued by it.
    fn leave(&mut self, dir: &Path, heads: &[Statement], verified: Option<Continued<'_>>) {
        let is_folder = |path: &str| fs::symlink_metadata(dir.join(path)).is_ok_and(|metadata| metadata.is_dir());
        if heads.is_empty() || !is_folder("tabellion") {
            return;
        }
        let mut files: Vec<(String, Head, Vec<u8>)> = heads.iter().map(file_of).collect();
        files.sort();
        let new: Vec<Head> = files.iter().filter(|(path, _, _)| !dir.join(path).exists()).map(|(_, head, _)| *head).collect();
        match make_room(dir, &files, verified).and_then(|()| {
            let written = files.iter().map(|(path, _, bytes)| (path.clone(), bytes.clone()));
            write_files(dir, written, &mut |_, _| {})
        }) {
            Ok(()) => {
                self.folder = dir.join(HEADS);
                self.heads = new;
                self.heads.sort();
            }
            Err(fault) => self.passed_over.push(format!("no head was left on {}: {}", dir.display(), fault.shown())),
        }
    }
}

/// Path, head and bytes of a head on a medium.
fn file_of(statement: &Statement) -> (String, Head, Vec<u8>) {
    let bytes = statement.text().as_bytes().to_vec();
    (format!("{HEADS}/{}.checkpoint", &Hash::of(&bytes).hex()[..16]), statement.head(), bytes)
}

/// Removes heads that the verified log continues, and sees that there is room for `files`.
fn make_room(dir: &Path, files: &[(String, Head, Vec<u8>)], verified: Option<Continued<'_>>) -> Checked<()> {
    let folder = dir.join(HEADS);
    let is_folder = fs::symlink_metadata(&folder).is_ok_and(|metadata| metadata.is_dir());
    let entries = fs::read_dir(&folder).into_iter().filter(|_| is_folder).flatten().take(MEDIUM_FILES_MAX);
    let names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let is_new = |path: &str| !names.iter().any(|name| format!("{HEADS}/{name}") == path);
    let mut count = names.len();
    if let Some((key, is_continued)) = verified {
        let copies = staging()?;
        for name in names.iter().filter(|name| is_of_our_form(name)).take(HEADS_FILES_MAX) {
            let path = format!("{HEADS}/{name}");
            let continued = |statement: &Statement| is_continued(&statement.head());
            let bytes = read_one(&dir.join(&path), copies.path()).and_then(|file| file.bytes(NOTE_BYTES_MAX, Rule::CheckpointForm));
            let old = bytes.and_then(|bytes| Statement::read(&bytes, key)).ok().filter(continued);
            if old.is_some() && !files.iter().any(|(kept, _, _)| *kept == path) {
                remove_files(dir, [&path], &mut |_, _| {})?;
                count -= 1;
            }
        }
    }
    let more = files.iter().filter(|(path, _, _)| is_new(path)).count();
    if more > 0 && count + more > HEADS_FILES_MAX {
        let found = format!("{count} files found in {HEADS}; one more is written when there are fewer than {HEADS_FILES_MAX}");
        return Err(Fault::new(Rule::FilesTooMany, found));
    }
    Ok(())
}

/// `<16 hex digits>.checkpoint`: what others named is nobody's to remove.
fn is_of_our_form(name: &str) -> bool {
    let stem = name.strip_suffix(".checkpoint").unwrap_or_default();
    stem.len() == 16 && stem.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

//! Preview: the verdicts that papers would get, by the very functions of a session: the books come from replaying the published folder, the
//! papers through the same bag, batch and plan. Nothing is written, and nothing is asked but a pin.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::core::batch::Batch;
use crate::core::books::Books;
use crate::core::expected::Expected;
use crate::core::ids::{Hash, Head, Pid};
use crate::core::limits::TREE_BYTES_MAX;
use crate::core::pin::Pin;
use crate::core::plan::{Plan, plan};
use crate::core::rules::{Checked, Fault, Rule};

use super::bag::{Bag, Listed};
use super::files::staging;
use super::folder::Folder;
use super::home::{self, INBOX};
use super::packs::Packs;
use super::problem::Outcomes;
use super::replay::{Replayed, Start, replay};
use super::trees;

/// Largest inbox that is read whole when a paper was put into it.
const INBOX_BYTES_MAX: u64 = 1 << 26;

/// What would happen if these papers were brought to the witness now, and nothing else.
pub struct Preview {
    /// Where the published folder lies.
    pub common: PathBuf,
    /// Its head.
    pub head: Head,
    /// The session after the last one published; none when nothing is here that the folder lacks.
    pub plan: Option<Plan>,
    /// Papers that have their verdict already, with the session and the verdict.
    pub again: BTreeMap<Pid, (u64, String)>,
    /// What is no paper, or was dropped from one.
    pub listed: Vec<Listed>,
}

impl Preview {
    /// What a paper may expect.
    pub fn expected(&self, pid: &Pid) -> Option<Expected> {
        let plan = self.plan.as_ref()?;
        plan.rulings().iter().find(|ruling| ruling.pid == *pid).map(|ruling| Expected::of(plan, ruling))
    }
}

/// The published folder on the medium that a file or inbox lies on: in the nearest folder above it that has one.
///
/// # Errors
/// `not-found`.
pub fn common_above(what: &Path) -> Checked<PathBuf> {
    let found = what.ancestors().find_map(|above| Folder::find(above).ok());
    let missing = || Fault::new(Rule::NotFound, format!("no published folder on the medium of {}; --common DIR expected", what.display()));
    found.map(|folder| folder.path().to_owned()).ok_or_else(missing)
}

/// Previews a bundle, a paper, or everything on a medium, on the folder at `common`.
///
/// # Errors
/// Whatever [`replay`] refuses; `replay-differs` when the folder is not what follows from its papers: then nothing can be foreseen.
pub fn preview(what: &Path, common: &Path, pin: &Pin, progress: &mut dyn FnMut(u64, u64)) -> Outcomes<Preview> {
    let Replayed { folder, head, books, differences, .. } = replay(common, &Start::Pin(pin), progress)?;
    if let Some(first) = differences.first().first() {
        let session = first.session.map_or(String::new(), |session| format!("session {session}, "));
        let found =
            format!("{}: {session}{}: {} published; {} follows", folder.path().display(), first.what, first.published, first.derived);
        return Err(Fault::new(Rule::ReplayDiffers, found).into());
    }
    let staging = staging()?;
    let bag = match what.is_dir() {
        true => Bag::gather(&[what], staging.path(), &books)?,
        false => Bag::of_file(what, staging.path(), &books)?,
    };
    // What lies in no pack of the folder, a tree of a held paper, is taken to be as it was when it was last judged.
    let packs = folder.packs(books.headings().iter().filter(|heading| heading.packed > 0).map(|heading| heading.session))?;
    let papers = bag.verified();
    let holdings = trees::holdings_of(&books, &bag, &papers, &mut |hash| packed(&packs, hash))?;
    let batch = Batch::gather(&books, papers, &holdings)?;
    let plan = if batch.news().is_empty() { None } else { Some(plan(&books, &batch, None)?) };
    let again = bag.again().into_iter().filter_map(|pid| Some(decided(&books, &pid).transpose()?.map(|decided| (pid, decided))));
    let again = again.collect::<Checked<_>>()?;
    Ok(Preview { common: folder.path().to_owned(), head, plan, again, listed: bag.listed().to_vec() })
}

/// What the author of a paper just written to `bundle` may expect of it; kept at home until the receipt comes.
///
/// On a medium, what lies in its inbox is brought together with it, and is judged with it here; but an inbox of much content is not read again
/// for this.
///
/// # Errors
/// As [`preview`], and `file-fault`.
pub fn expect(bundle: &Path, common: &Path, pin: &Pin, home: &Path, pid: &Pid, progress: &mut dyn FnMut(u64, u64)) -> Outcomes<Expected> {
    let inbox = bundle.parent().filter(|folder| folder.ends_with(INBOX) && bytes_in(folder).is_some_and(|bytes| bytes <= INBOX_BYTES_MAX));
    let preview = preview(inbox.unwrap_or(bundle), common, pin, progress)?;
    let unknown = || Fault::new(Rule::NotFound, format!("{}: no paper {} that is not decided yet", bundle.display(), pid.tiny()));
    let expected = preview.expected(pid).ok_or_else(unknown)?;
    home::keep_expected(home, pid, &expected)?;
    Ok(expected)
}

/// Bytes of the files in a folder; none when it cannot be listed.
fn bytes_in(folder: &Path) -> Option<u64> {
    let lengths = fs::read_dir(folder).ok()?.map(|entry| entry.and_then(|entry| entry.metadata()).map(|metadata| metadata.len()));
    lengths.sum::<std::io::Result<u64>>().ok()
}

fn packed(packs: &Packs, hash: &Hash) -> Checked<Option<Vec<u8>>> {
    let Some(at) = packs.find(hash).filter(|at| at.size() <= TREE_BYTES_MAX) else { return Ok(None) };
    let mut bytes = Vec::new();
    at.copy_to(hash, &mut bytes)?;
    Ok(Some(bytes))
}

fn decided(books: &Books, pid: &Pid) -> Checked<Option<(u64, String)>> {
    let answered = books.answered(pid)?;
    Ok(answered.map(|answered| (answered.session().opened.session, answered.ruling().verdict.line())))
}

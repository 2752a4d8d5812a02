//! Emission: from the ledger, as re-read from the disk, to a medium. Recovery and `witness export` enter here: the same function, the same
//! bytes, no key.

use std::collections::BTreeMap;
use std::path::Path;

use crate::core::books::Books;
use crate::core::ids::Hash;
use crate::core::limits::NOTE_BYTES_MAX;
use crate::core::note::{Checkpoint, Note};
use crate::core::publish::{self, pack_index, receipt, receipts_file, session_receipts};
use crate::core::rules::{Checked, Fault, Rule};
use crate::core::sessions::Session;
use crate::core::tile::session_stem;
use crate::media::publish::{Observe, compare_files, copy_file, remove_files, write_each, write_files};
use crate::media::scan::read_one;

use super::bag::Brought;
use super::desk::Desk;
use super::files::staging;
use super::handling::Handling;
use super::objects::Store;
use super::report::Report;

/// Where the published folder lies on a medium.
pub const COMMON: &str = "tabellion/common";
/// Where results lie on a medium.
pub const RESULTS: &str = "tabellion/results";

/// Results to one medium, whoever holds it.
pub(super) fn deliver(
    desk: &Desk,
    medium: &Path,
    (session, brought): (&Session, &Brought),
    handling: &mut dyn Handling,
    observe: &mut Observe<'_>,
) -> Checked<()> {
    handling.to_write(medium)?;
    emit(desk, medium, session, brought, observe)?;
    if handling.to_compare(medium)? {
        compare(desk, medium, session, brought, observe)?;
    }
    Ok(())
}

/// Writes everything that is published to a medium, the results of `session`, and the report of it and of what this medium `brought`.
///
/// The newest checkpoint comes last, so that a copy of the folder made at any moment is consistent.
///
/// # Errors
/// `medium-foreign`, `medium-fault`; the ledger is not touched.
pub fn emit(desk: &Desk, medium: &Path, session: &Session, brought: &Brought, observe: &mut Observe<'_>) -> Checked<()> {
    let books = desk.books();
    publish::check_signatures(books, session)?;
    check_history(medium, books)?;
    emit_packs(desk, medium, observe)?;
    write_each(medium, publish::folder(books)?.map(in_common), observe)?;
    write_files(medium, results(books, session, brought)?, observe)?;
    let newest = publish::checkpoint(books, books.head().number)?;
    write_files(medium, [(format!("{COMMON}/checkpoint"), newest.into_bytes())], observe)?;
    let obsolete: Vec<String> = publish::obsolete(books).into_iter().map(|path| format!("{COMMON}/{path}")).collect();
    let there = obsolete.into_iter().filter(|path| medium.join(path).exists());
    remove_files(medium, there, observe)
}

/// Reads everything on a medium that [`emit`] has written, and compares it with the ledger. For a medium that was unmounted in between: what is
/// read comes from the medium then, and from no cache.
///
/// # Errors
/// `medium-fault` with the path and both hashes.
pub fn compare(desk: &Desk, medium: &Path, session: &Session, brought: &Brought, observe: &mut Observe<'_>) -> Checked<()> {
    let books = desk.books();
    let packs = books.headings().iter().filter_map(|heading| {
        let (hash, _) = heading.end?.pack?;
        Some(Ok((format!("{COMMON}/objects/{}.objects", session_stem(heading.session)), hash)))
    });
    let hashed = |file: Checked<publish::File>| file.map(|(path, bytes)| (path, Hash::of(&bytes)));
    let folder = publish::folder(books)?.map(in_common).map(hashed);
    let results = results(books, session, brought)?.into_iter().map(Ok).map(hashed);
    let newest = Hash::of(publish::checkpoint(books, books.head().number)?.as_bytes());
    let newest = std::iter::once(Ok((format!("{COMMON}/checkpoint"), newest)));
    compare_files(medium, packs.chain(folder).chain(results).chain(newest), observe)
}

fn in_common(file: Checked<publish::File>) -> Checked<publish::File> {
    file.map(|(path, bytes)| (format!("{COMMON}/{path}"), bytes))
}

fn emit_packs(desk: &Desk, medium: &Path, observe: &mut Observe<'_>) -> Checked<()> {
    let store = Store::of(desk.dir());
    for (at, heading) in desk.books().headings().iter().enumerate() {
        let Some((hash, _)) = heading.end.and_then(|end| end.pack) else { continue };
        let stem = format!("{COMMON}/objects/{}", session_stem(heading.session));
        copy_file(medium, &format!("{stem}.objects"), &store.pack(heading.session), hash, observe)?;
        let index = pack_index(&desk.books().session(at)?.pack);
        write_files(medium, [(format!("{stem}.index"), index)], observe)?;
    }
    Ok(())
}

fn results(books: &Books, session: &Session, brought: &Brought) -> Checked<Vec<(String, Vec<u8>)>> {
    let number = session.opened.session;
    let mut files = vec![(format!("{RESULTS}/session-{number:06}.receipts"), session_receipts(books, session)?)];
    let mut receipts = BTreeMap::new();
    for pid in &brought.again {
        if let Some(answered) = books.answered(pid)? {
            receipts.insert(*pid, receipt(books, answered.session(), answered.ruling())?);
        }
    }
    if !receipts.is_empty() {
        files.push((format!("{RESULTS}/again.receipts"), receipts_file(&receipts)));
    }
    let report = Report::new(books, session, brought)?;
    files.push((format!("{RESULTS}/report.txt"), report.text().into_bytes()));
    files.push((format!("{RESULTS}/report.html"), report.page()?.into_bytes()));
    Ok(files)
}

/// Another history's folder is never overwritten: what lies there must be ours, and not newer than us.
fn check_history(medium: &Path, books: &Books) -> Checked<()> {
    let path = medium.join(COMMON).join("checkpoint");
    let foreign =
        |found: String| Fault::new(Rule::MediumForeign, format!("{found} found in {}; {} expected", path.display(), books.head()));
    // Read as a scan would: a plain file, once, bounded. What else lies there is not ours.
    let copies = staging()?;
    let bytes = match read_one(&path, copies.path()).and_then(|file| file.bytes(NOTE_BYTES_MAX, Rule::CheckpointForm)) {
        Ok(bytes) => bytes,
        Err(fault) if fault.rule == Rule::NotFound => return Ok(()),
        Err(fault) if fault.rule == Rule::FileUnreadable => {
            return Err(Fault::new(Rule::MediumFault, fault.found));
        }
        Err(fault) => return Err(Fault::new(Rule::MediumForeign, format!("{}; our checkpoint or none expected", fault.shown()))),
    };
    let note = Note::parse(&bytes).map_err(|fault| foreign(fault.found))?;
    let first = note.text.lines().next().unwrap_or_default().chars().take(80).collect::<String>();
    let checkpoint = Checkpoint::parse_signed(&bytes, books.log_key()?).map_err(|_| foreign(format!("a checkpoint of {first:?}")))?;
    if books.log().root_at(checkpoint.head.number) != Some(checkpoint.head.root) {
        return Err(foreign(checkpoint.head.to_string()));
    }
    Ok(())
}

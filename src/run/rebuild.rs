//! Rebuilding: every derived table made again from the events, and compared.
//!
//! Events are the truth; records, verdicts and payloads follow from them. A desk whose derived tables were edited does not start, though its
//! history is whole: this says so, row by row, and puts the tables right when it is told to. It signs nothing, lifts no halt, and touches no
//! event: events that are broken themselves end it before anything is built.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::broker::{Broker, CheckInput, DATABASE_FILE, Difference, Health, Table};
use crate::core::books::Books;
use crate::core::ids::Hash;
use crate::core::quarantine::Verifier;
use crate::core::rules::{Checked, Fault, Rule};
use crate::media::publish::Observe;

use super::files::{file_fault, hash_file};
use super::halt::why_halted;
use super::objects::Store;
use super::problem::{Outcomes, Problem, Unchanged};
use super::quarantine::QUARANTINE;
use super::startup::founding_charter;

/// Folder in the quarantine in which a ledger is built before it has its place.
const NEXT: &str = "next";

/// What rebuilding found.
#[derive(Clone, Debug)]
pub struct Rebuilt {
    /// Events, each verified by itself: number, link, hash, signature.
    pub events: u64,
    /// The derived tables.
    pub tables: Vec<Table>,
    /// What a start finds in a file whose derived tables are all right.
    pub file: Option<Difference>,
    /// Where the database that was there is kept, if it was replaced.
    pub kept: Option<PathBuf>,
    /// The objects that the events name.
    pub objects: Objects,
    /// Why the desk is halted, if it is: this changes nothing about it.
    pub halted: Option<String>,
}

/// Objects that the events name: they follow from no event, and are only counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Objects {
    /// In packs and under held papers.
    pub named: u64,
    /// Of those, in files that are what the events say.
    pub there: u64,
    /// Files that are missing or something else.
    pub wrong: Vec<PathBuf>,
}

impl Rebuilt {
    /// Whether anything was not what follows from the events.
    pub fn differs(&self) -> bool {
        self.file.is_some() || self.tables.iter().any(|table| table.differ > 0)
    }
}

/// Makes the derived tables of the desk in `dir` again and compares them. With `replace`, what was built takes the place of what differs.
///
/// Tells `observe` of `build the ledger`, and with `replace` of `write back the log`, `keep the old database`, `rename the database`.
///
/// # Errors
/// `not-found`, `another-writer`; `chain-broken` when an event is broken, and `ledger-fault` for what is no ledger of ours: then nothing is built.
pub fn rebuild(dir: &Path, replace: bool, observe: &mut Observe<'_>) -> Outcomes<Rebuilt> {
    let ledger = Broker::open(dir)?;
    let untouched = || "the ledger is as it was; nothing was built in its place".to_owned();
    let (events, key) = verify_events(&ledger).map_err(events_are_broken)?;
    let built = build(&ledger, &[key], dir, observe).unchanged(untouched)?;
    let books = books_of(&built).unchanged(untouched)?;
    let tables = ledger.compare_derived(&built).unchanged(untouched)?;
    let mut rebuilt =
        Rebuilt { events, tables, file: None, kept: None, objects: objects_of(dir, &books)?, halted: why_halted(dir, &books)? };
    if !rebuilt.differs() {
        rebuilt.file = start_finds(&ledger, &key).unchanged(untouched)?;
    }
    if replace && rebuilt.differs() {
        let (_ledger, kept) = put_in_place(ledger, built, observe)?;
        rebuilt.kept = kept.file_name().map(|name| dir.join(QUARANTINE).join(name));
    } else {
        drop(built);
        remove_next(dir)?;
    }
    Ok(rebuilt)
}

fn events_are_broken(fault: Fault) -> Problem {
    let problem = Problem { fault, state: "nothing was built; the ledger is as it was".into(), next: None };
    problem.advising("the events themselves are not what was signed, so nothing can be made of them: keep the disk as it is, and go on with a copy or another desk, see docs/recovery.md")
}

/// Verifies every event by itself, whatever the other tables hold. Answers with their number and the ledger key.
fn verify_events(ledger: &Broker) -> Checked<(u64, [u8; 32])> {
    let (key, events) = (founding_charter(ledger)??.ledger_public, ledger.latest()?.map_or(0, |event| event.seq_no));
    let mut verifier = Verifier::of_all(vec![key], events);
    ledger.for_each(1, |event| verifier.take(&event))?;
    verifier.end()?;
    Ok((events, key))
}

fn books_of(ledger: &Broker) -> Checked<Books> {
    let mut books = Books::default();
    ledger.for_each(1, |event| books.apply(&event))?;
    Ok(books)
}

/// What a start would find wrong in the file.
fn start_finds(ledger: &Broker, key: &[u8; 32]) -> Checked<Option<Difference>> {
    let health = ledger.start_up_check(&CheckInput { ledger_keys: &[*key], deep: false, must_hold: &[] })?;
    Ok(match health {
        Health::Ok => None,
        Health::Corrupted { kind, found, .. } => Some(Difference { key: kind.word().into(), found: Some(found), expected: None }),
    })
}

/// Builds a ledger of the events of `events` in the quarantine of the desk in `dir`, and checks it as a start does.
fn build(events: &Broker, ledger_keys: &[[u8; 32]], dir: &Path, observe: &mut Observe<'_>) -> Checked<Broker> {
    remove_next(dir)?;
    observe("build the ledger", NEXT);
    let built = events.build_again(ledger_keys, &dir.join(QUARANTINE).join(NEXT))?;
    built.start_up_check(&CheckInput { ledger_keys, deep: true, must_hold: &[] })?.into_checked()?;
    if built.head()? != events.head()? {
        return Err(Fault::new(Rule::InternalFault, "a ledger that ends in another event was built; the same last event expected"));
    }
    Ok(built)
}

/// Puts what [`build`] made in the place of the desk's ledger. Answers with it, and where the old database is kept.
fn put_in_place(ours: Broker, built: Broker, observe: &mut Observe<'_>) -> Outcomes<(Broker, PathBuf)> {
    let dir = ours.dir().to_owned();
    let placed = ours.take_place(built, &dir.join(QUARANTINE), &mut |step| observe(step, DATABASE_FILE));
    let (ledger, kept) = placed.map_err(|fault| {
        let state = format!("the ledger is the old or the new one, whole; a copy of the old one is in {}", dir.join(QUARANTINE).display());
        Problem { fault, state, next: Some("run the same command again".into()) }
    })?;
    remove_next(&dir)?;
    Ok((ledger, kept))
}

/// Removes what a break left of a ledger that was being built.
fn remove_next(dir: &Path) -> Checked<()> {
    let (quarantine, next) = (dir.join(QUARANTINE), dir.join(QUARANTINE).join(NEXT));
    match fs::remove_dir_all(&next) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(file_fault(&next, &error)),
        _ => {}
    }
    // A quarantine that holds nothing is none.
    drop(fs::remove_dir(quarantine));
    Ok(())
}

/// Which of the objects that the events name lie in the store of the desk in `dir`.
///
/// # Errors
/// `internal-fault`.
pub fn objects_of(dir: &Path, books: &Books) -> Checked<Objects> {
    let (store, mut objects) = (Store::of(dir), Objects::default());
    let mut take = |count: u64, path: PathBuf, expected: Option<(Hash, u64)>| {
        objects.named += count;
        if hash_file(&path).ok() == expected && expected.is_some() {
            objects.there += count;
        } else {
            objects.wrong.push(path);
        }
    };
    for heading in books.headings().iter().filter(|heading| heading.packed > 0) {
        take(heading.packed, store.pack(heading.session), heading.end.and_then(|end| end.pack));
    }
    let held = books.held().values().flat_map(|held| &held.objects).filter(|(hash, _)| !books.is_packed(hash));
    for (hash, size) in held.collect::<std::collections::BTreeMap<_, _>>() {
        let (path, _, _) = store.place(books, hash)?;
        take(1, path, Some((*hash, *size)));
    }
    Ok(objects)
}

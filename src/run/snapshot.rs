//! Taking snapshots of a folder into a domain, also when many commands do so at once.
//!
//! A snapshot is planned against the head that was read, and appended behind that head or not at all: whoever was slower reads what is new and
//! plans again. The content is whole and synced before it is asked for, and gets its name from whoever leads, behind the same head. So a command
//! that was stopped for as long as one likes and wakes up can do nothing to what others did meanwhile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::broker::elect::{bound, held, pause};
use crate::broker::{Answer, Append, BYTES_MAX, LedgerError, NewEvent, Patience, ROWS_MAX, Read, RequestId, Why, random};
use crate::clock;
use crate::core::cbor::Canonical;
use crate::core::cose::PaperKind;
use crate::core::domain::{Identity, SnapshotPlan};
use crate::core::event::EventType;
use crate::core::ids::{Hash, Head, Text};
use crate::core::note::signature_line;
use crate::core::payload::{Closed, Sealed};
use crate::core::proposal::{Entry, TREE_MEDIA_TYPE};
use crate::core::publish::pack_index;
use crate::core::rules::{Checked, Fault, Rule};
use crate::core::snapshot::Snapshot;
use crate::core::tile::session_stem;
use crate::keys::Seed;
use crate::media::bundle_file::write_pack;

use super::domain::{read_identity, shown, with_ending};
use super::events::program_digest;
use super::files::{file_fault, hash_file, staging, write_bytes};
use super::problem::{Outcomes, Problem, Unchanged};
use super::seat::{Reading, Seat, asker};
use super::signing::sign;
use super::source::{Source as Folder, read_folder};
use super::staged::Staged;

/// What became of a snapshot.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The newest number: this snapshot, or the one that holds the same.
    pub head: Head,
    /// Contents that no earlier snapshot holds; `None` when no number was taken because nothing changed.
    pub new_objects: Option<usize>,
    /// Empty folders, which a tree cannot hold.
    pub dropped: Vec<String>,
    /// Whose domain it is.
    pub identity: Identity,
}

/// Whoever takes snapshots: one command, or a program that takes many.
pub struct Writer<'a> {
    dir: PathBuf,
    seed: &'a Seed,
    identity: Identity,
    reading: Reading,
    seat: Option<Seat>,
    until_us: u64,
    /// Told of each step before it happens: `sit`, `plan`, `keep content`, `append`, `seal`.
    observe: Box<dyn FnMut(&'static str) + 'a>,
}

/// What is to be kept, and what was done about it so far.
struct Work<'a> {
    source: &'a Folder,
    tree: Vec<u8>,
    note: Option<Text>,
    time: Option<u64>,
    staged: Option<Staged>,
    /// An append whose answer never came.
    asked: Option<Asked>,
}

/// An append that is sent again under its id until it is answered.
struct Asked {
    id: RequestId,
    append: Append,
    stem: PathBuf,
    taken: Taken,
}

/// Why something was not done.
enum Trip {
    /// Somebody else was faster.
    Moved,
    /// Whoever led has ended.
    Lost,
    /// It cannot be done.
    Stop(Problem),
}

impl From<LedgerError> for Trip {
    fn from(error: LedgerError) -> Trip {
        match error.why {
            Why::HeadUnexpected => Trip::Moved,
            Why::LeaderLost => Trip::Lost,
            _ => Trip::Stop(error.fault.into()),
        }
    }
}

impl From<Fault> for Trip {
    fn from(fault: Fault) -> Trip {
        Trip::Stop(fault.into())
    }
}

impl From<Problem> for Trip {
    fn from(problem: Problem) -> Trip {
        Trip::Stop(problem)
    }
}

/// Takes a snapshot of `folder` as the domain's next number, unless it is what the last one holds. The writer that is handed back may be what
/// others are waiting for: it is to be [left](Writer::leave) when the answer was given.
///
/// # Errors
/// `another-writer` after thirty seconds; `key-mismatch`; faults of the folder and of the ledger.
pub fn snapshot<'a>(dir: &Path, folder: &Path, seed: &'a Seed, note: Option<Text>, time: Option<u64>) -> Outcomes<(Taken, Writer<'a>)> {
    let mut writer = Writer::new(dir, seed, Box::new(|_| {}))?;
    // Before anybody waits for us.
    let source = read_folder(folder)?;
    let taken = writer.take(&source, note, time)?;
    Ok((taken, writer))
}

impl<'a> Writer<'a> {
    /// Somebody with the owner's key. Nothing is opened yet.
    ///
    /// # Errors
    /// `key-mismatch`; `ledger-fault`, `not-found` when this is no domain.
    pub fn new(dir: &Path, seed: &'a Seed, observe: Box<dyn FnMut(&'static str) + 'a>) -> Outcomes<Writer<'a>> {
        let identity = read_identity(dir)?;
        let (found, expected) = (seed.member(false).public_bytes(), identity.member_public);
        if found != expected {
            let origin = identity.origin();
            let found = format!("key ed25519:{}; ed25519:{}, the key of {origin}, expected", hex::encode(found), hex::encode(expected));
            return Err(Fault::new(Rule::KeyMismatch, found).into());
        }
        let reading = Reading::new(identity.clone());
        Ok(Writer { dir: dir.to_owned(), seed, identity, reading, seat: None, until_us: bound(), observe })
    }

    /// Takes one snapshot.
    ///
    /// # Errors
    /// As [`snapshot`].
    pub fn take(&mut self, source: &Folder, note: Option<Text>, time: Option<u64>) -> Outcomes<Taken> {
        // It takes a while, and nobody is to wait for it.
        program_digest()?;
        self.until_us = bound();
        let mut work = Work { source, tree: source.tree.to_cbor(), note, time, staged: None, asked: None };
        let taken = self.until_done(|writer| writer.attempt(&mut work))?;
        // It is kept; the checkpoint is whoever's comes first, for all make the same.
        let kept = shown(self.reading.domain(), taken.head.number);
        let sealed = self.until_done(|writer| writer.read_on().and_then(|()| writer.seal()));
        sealed.map_err(|problem| Problem { state: format!("{kept} is kept; the next command signs its checkpoint"), ..problem })?;
        Ok(taken)
    }

    /// Answers others for as long as they ask, and no longer than a leader may.
    ///
    /// # Errors
    /// `disk-fault`; every snapshot that was taken is kept all the same.
    pub fn leave(self) -> Outcomes<()> {
        let state = || "the snapshot is kept; SQLite's log was not copied into the database, and the next start reads it".into();
        self.seat.map_or(Ok(()), |seat| seat.linger().unchanged(state))
    }

    /// Tries again until it is done, it cannot be done, or the time is over.
    fn until_done<T>(&mut self, mut attempt: impl FnMut(&mut Writer<'a>) -> Result<T, Trip>) -> Outcomes<T> {
        loop {
            match attempt(self) {
                Ok(done) => return Ok(done),
                Err(Trip::Stop(problem)) => return Err(problem),
                Err(Trip::Moved) => {}
                Err(Trip::Lost) => {
                    self.seat = None;
                    pause()?;
                }
            }
            if clock::monotonic_us() >= self.until_us {
                return Err(held(&self.dir).into());
            }
        }
    }

    /// Leads or follows, without taking a snapshot yet.
    ///
    /// # Errors
    /// As [`snapshot`].
    pub fn sit_down(&mut self) -> Outcomes<()> {
        self.until_us = bound();
        self.until_done(|writer| writer.sit())
    }

    fn sit(&mut self) -> Result<(), Trip> {
        if self.seat.is_none() {
            (self.observe)("sit");
            let (seat, reading) = Seat::take(&self.dir, &self.identity, self.seed, self.until_us)?;
            self.seat = Some(seat);
            if let Some(reading) = reading {
                self.reading = reading;
            }
        }
        Ok(())
    }

    /// Reads what is new.
    fn read_on(&mut self) -> Result<(), Trip> {
        self.sit()?;
        loop {
            let read = Read::Events { from: self.reading.next(), rows: ROWS_MAX, bytes: BYTES_MAX };
            let Some(seat) = &self.seat else { return Err(Trip::Lost) };
            let answer = seat.door().read(&asker(), &random()?, &read, &self.patience())?;
            let Answer::Events(events) = answer else {
                return Err(Fault::new(Rule::BrokerMessage, "an answer to another request found; events expected").into());
            };
            if events.is_empty() {
                return Ok(());
            }
            events.iter().try_for_each(|event| self.reading.take(event))?;
        }
    }

    fn patience(&self) -> Patience {
        Patience { until_us: self.until_us, gone: Arc::default() }
    }

    fn append(&mut self, id: &RequestId, append: Append) -> Result<(), Trip> {
        let Some(seat) = &self.seat else { return Err(Trip::Lost) };
        seat.door().append(&asker(), id, append, &self.patience())?;
        Ok(())
    }

    /// Seals the last session, if nobody has, and those that others commit meanwhile: no session is opened before that.
    fn seal(&mut self) -> Result<(), Trip> {
        while let Some(number) = self.reading.domain().unsealed() {
            self.seal_last(number)?;
            self.read_on()?;
        }
        Ok(())
    }

    fn seal_last(&mut self, number: u64) -> Result<(), Trip> {
        let domain = self.reading.domain();
        let log = &self.identity.log;
        let signature = self.seed.log(log.name().clone(), false).sign_note(&domain.checkpoint_text(number)?)?;
        let lines = signature_line(log.name(), log.id(), &signature);
        let sealed = Sealed { session: number, checkpoints: vec![(number, lines)], notes: Vec::new() };
        let timestamp = domain.kept().last().and_then(|kept| kept.snapshot.time).unwrap_or(0);
        let event = NewEvent { event_id: format!("{number}/3"), timestamp, event_type: EventType::Sealed, payload: sealed.to_cbor() };
        let append =
            Append { expected_head: self.reading.head(), bring: Vec::new(), events: vec![event], head_file: None, idempotency_key: None };
        (self.observe)("seal");
        self.append(&random()?, append)
    }

    fn attempt(&mut self, work: &mut Work<'_>) -> Result<Taken, Trip> {
        self.sit()?;
        if let Some(asked) = work.asked.take() {
            // Whoever led may have done it before it ended: then nothing is done again, and this is answered.
            match self.ask(work, asked) {
                Err(Trip::Moved) => {}
                other => return other,
            }
        }
        self.read_on()?;
        self.seal()?;
        (self.observe)("plan");
        let domain = self.reading.domain();
        let entry =
            Entry { sha256: Hash::of(&work.tree), size: work.tree.len() as u64, media_type: TREE_MEDIA_TYPE.parse()?, source: None };
        let taken = |head, new_objects| Taken { head, new_objects, dropped: work.source.dropped.clone(), identity: self.identity.clone() };
        if domain.kept().last().is_some_and(|kept| kept.snapshot.tree == entry) {
            return Ok(taken(domain.head(), None));
        }
        let snapshot = Snapshot {
            origin: self.identity.origin().clone(),
            sequence: domain.next_number(),
            tree: entry.clone(),
            note: work.note.clone(),
            time: work.time,
        };
        let envelope = sign(PaperKind::Snapshot, snapshot.to_cbor(), Vec::new(), &self.seed.member(false))?;
        let mut sizes: BTreeMap<Hash, u64> = work.source.tree.members().iter().map(|member| (member.sha256, member.size)).collect();
        sizes.insert(entry.sha256, entry.size);
        let plan = domain.plan(envelope, sizes.clone())?;
        let stays = format!("{} stays the newest snapshot", shown(domain, domain.head().number));
        let taken = taken(plan.after, Some(plan.pack.len()));
        (self.observe)("keep content");
        let pack = self.keep_content(work, &plan, &sizes).unchanged(|| stays)?;
        let events = events_of(&plan, pack, &shown(self.reading.domain(), snapshot.sequence))?;
        let head_file = Reading::head_file_behind(&events, &self.reading.with(&events)?);
        let append = Append { expected_head: self.reading.head(), bring: Vec::new(), events, head_file, idempotency_key: None };
        let stem = Path::new("objects").join(session_stem(snapshot.sequence));
        self.ask(work, Asked { id: random()?, append, stem, taken })
    }

    /// THE COMMIT POINT: before it nothing happened; after it everything can be derived again.
    fn ask(&mut self, work: &mut Work<'_>, mut asked: Asked) -> Result<Taken, Trip> {
        let needs_content = asked.taken.new_objects.is_some_and(|count| count > 0);
        asked.append.bring = match work.staged.as_mut().filter(|_| needs_content) {
            Some(staged) => staged.offer(&asked.stem)?,
            None => Vec::new(),
        };
        (self.observe)("append");
        let answer = self.append(&asked.id, asked.append.clone());
        match answer {
            Ok(()) => Ok(asked.taken),
            Err(Trip::Lost) => {
                work.asked = Some(asked);
                Err(Trip::Lost)
            }
            Err(Trip::Stop(problem)) => {
                Err(Trip::Stop(Problem { state: "the next start tells whether it was committed".into(), ..problem }))
            }
            Err(Trip::Moved) => Err(Trip::Moved),
        }
    }

    /// Writes the content that no earlier pack holds, before the commit that needs it; what was written for an earlier plan is taken again when
    /// it is the same.
    fn keep_content(&self, work: &mut Work<'_>, plan: &SnapshotPlan, sizes: &BTreeMap<Hash, u64>) -> Checked<Option<(Hash, u64)>> {
        if plan.pack.is_empty() {
            return Ok(None);
        }
        if let Some(staged) = work.staged.as_ref().filter(|staged| staged.pack == plan.pack) {
            return Ok(Some(staged.digest));
        }
        work.staged = None;
        let copies = staging()?;
        let artifact = copies.path().join("tree");
        std::fs::write(&artifact, &work.tree).map_err(|error| file_fault(&artifact, &error))?;
        let place = |hash: &Hash| (*hash, work.source.files.get(hash).unwrap_or(&artifact).clone());
        let objects: Vec<(Hash, PathBuf)> = plan.pack.iter().map(place).collect();
        let new: BTreeMap<Hash, u64> =
            sizes.iter().filter(|(hash, _)| plan.pack.contains(hash)).map(|(hash, size)| (*hash, *size)).collect();
        let staged = Staged::write(&self.dir, plan.pack.clone(), |stem| {
            let pack = with_ending(stem, "objects");
            write_pack(&pack, &objects)?;
            write_bytes(&with_ending(stem, "index"), &pack_index(&new))?;
            hash_file(&pack)
        })?;
        let digest = staged.digest;
        work.staged = Some(staged);
        Ok(Some(digest))
    }
}

fn events_of(plan: &SnapshotPlan, pack: Option<(Hash, u64)>, confirmation: &str) -> Checked<Vec<NewEvent>> {
    let session = plan.opened.session;
    let closed = Closed {
        session,
        after: plan.after,
        state_root: plan.state_root,
        media: Vec::new(),
        version: env!("CARGO_PKG_VERSION").into(),
        program: program_digest()?,
        confirmation: confirmation.to_owned(),
        pack,
    };
    let payloads =
        [(EventType::Opened, plan.opened.to_cbor()), (EventType::Verdict, plan.ruling.to_cbor()), (EventType::Closed, closed.to_cbor())];
    let event = |(index, (event_type, payload))| NewEvent {
        event_id: format!("{session}/{index}"),
        timestamp: plan.opened.time.unwrap_or(0),
        event_type,
        payload,
    };
    Ok(payloads.into_iter().enumerate().map(event).collect())
}

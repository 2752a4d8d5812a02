//! A proposer's own domain, `alice@42`: numbered snapshots of a folder in a ledger of her own, with the same engine as the witness's.
//!
//! [`snapshot`] orders its effects as a session does: ledger, plan, pack, commit, head file, seal. Run again after whatever broke it, it does
//! what is left and then takes the next number. Two at once: the second waits, and is told when it waits too long.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::core::cbor::Canonical;
use crate::core::cose::PaperKind;
use crate::core::domain::{Domain, Identity, Kept, SnapshotPlan};
use crate::core::event::EventType;
use crate::core::head::{HeadFile, compare};
use crate::core::ids::{Hash, Head, Origin, Text};
use crate::core::note::{VerifierKey, signature_line};
use crate::core::payload::{Closed, Sealed};
use crate::core::publish::pack_index;
use crate::core::rules::{Checked, Fault, Rule};
use crate::core::snapshot::Snapshot;
use crate::core::tile::session_stem;
use crate::keys::Seed;
use crate::keys::file::write_new;
use crate::ledger::{CheckInput, DATABASE_FILE, Ledger, NewEvent, write_head};
use crate::media::bundle_file::write_bundle;

use super::desk::{LedgerSigner, read_head_file};
use super::events::program_digest;
use super::files::{self, hash_file, make_folder, staging, write_bytes};
use super::problem::{Outcomes, Problem, Unchanged};
use super::signing::sign;
use super::staged_tree::{StagedTree, stage};

/// Name of the file that says whose domain it is.
const IDENTITY_FILE: &str = "domain";
/// How often, and how long each time, a command waits for another that writes.
const WAITS: (u32, Duration) = (100, Duration::from_millis(100));

/// What became of a snapshot.
pub enum Taken {
    /// It is this number; so many objects were new.
    As(Head, usize),
    /// The folder is what the last snapshot holds: no number was taken.
    Unchanged(Head),
}

/// A domain whose ledger passed the start-up checks.
pub struct DomainDesk {
    dir: PathBuf,
    ledger: Ledger,
    domain: Domain,
    head_is_behind: bool,
}

/// Makes an empty domain in `dir`. Run again with the same key and origin, it continues; it never makes another.
///
/// # Errors
/// `exists` when another domain is there; `usage` when the origin is no domain's; `file-fault`, `ledger-fault`.
pub fn init(dir: &Path, origin: &Origin, seed: &Seed) -> Outcomes<Identity> {
    if !origin.is_domain() {
        return Err(Problem::usage(format!("origin {origin} found; that of a domain, ORIGIN/~NAME, expected")));
    }
    let mut instance = [0; 16];
    getrandom::fill(&mut instance).map_err(|error| Fault::new(Rule::FileFault, format!("the kernel's randomness: {error}")))?;
    let log = VerifierKey::new(origin.clone(), &seed.log(origin.clone(), false).public_bytes())?;
    let (ledger_public, member_public) = (seed.ledger(false).public_bytes(), seed.member(false).public_bytes());
    let fresh = Identity { log, ledger_public, member_public, instance };
    let path = dir.join(IDENTITY_FILE);
    let identity = if path.exists() {
        let there = read_identity(dir)?;
        if there != (Identity { instance: there.instance, ..fresh.clone() }) {
            let found = format!("{} is the domain {} of key ed25519:{}", dir.display(), there.origin(), hex::encode(there.member_public));
            return Err(Fault::new(Rule::Exists, found)).unchanged(|| format!("{} unchanged", dir.display()));
        }
        there
    } else {
        make_folder(dir)?;
        write_new(&path, &fresh.text())?;
        fresh
    };
    if !dir.join(DATABASE_FILE).exists() {
        Ledger::create(dir, &identity.instance, Arc::new(LedgerSigner(seed.ledger(false))))?;
    }
    DomainDesk::open_to_look(dir)?;
    Ok(identity)
}

fn read_identity(dir: &Path) -> Checked<Identity> {
    let path = dir.join(IDENTITY_FILE);
    let text = String::from_utf8(files::read(&path)?).map_err(|_| Fault::new(Rule::LedgerFault, format!("{}: not UTF-8", path.display())))?;
    Identity::parse(&text).map_err(|fault| fault.within(path.display()))
}

/// Takes a snapshot of `folder` as the domain's next number, unless it is what the last one holds.
///
/// # Errors
/// `another-writer` after ten seconds; `key-mismatch`; faults of the folder and of the ledger.
pub fn snapshot(dir: &Path, folder: &Path, seed: &Seed, note: Option<Text>, time: Option<u64>) -> Outcomes<(Taken, Identity)> {
    let mut desk = DomainDesk::open(dir)?;
    desk.unlock(seed)?;
    desk.finish_last(seed)?;

    // The folder, each file copied once while it is hashed: what changes under our hands afterwards is not signed.
    let copies = staging()?;
    let staged = stage(folder, copies.path())?;
    let head = desk.domain.head();
    if desk.domain.kept().last().is_some_and(|kept| kept.snapshot.tree == staged.entry) {
        return Ok((Taken::Unchanged(head), desk.domain.identity().clone()));
    }
    let snapshot = Snapshot {
        origin: desk.domain.identity().origin().clone(),
        sequence: desk.domain.next_number(),
        tree: staged.entry.clone(),
        note,
        time,
    };
    let envelope = sign(PaperKind::Snapshot, snapshot.to_cbor(), Vec::new(), &seed.member(false))?;
    let plan = desk.domain.plan(envelope, staged.sizes())?;
    let stays = || format!("{} stays the newest snapshot", shown(&desk.domain, head.number));
    let pack = desk.write_pack(&plan, &staged).unchanged(stays)?;

    // THE COMMIT POINT: before it nothing happened; after it everything can be derived again.
    let events = events_of(&plan, pack, &shown(&desk.domain, snapshot.sequence))?;
    desk.commit(&events).unchanged(|| "the next start tells whether it was committed".into())?;
    desk.write_head_file()?;
    desk.seal(seed)?;
    Ok((Taken::As(plan.after, plan.pack.len()), desk.domain.identity().clone()))
}

/// A number of a domain, as people write it.
pub fn shown(domain: &Domain, number: u64) -> String {
    format!("{}@{number}", domain.identity().owner())
}

/// Opens a domain to look at it, also while a snapshot is taken.
///
/// # Errors
/// As the start-up checks.
pub fn look(dir: &Path) -> Outcomes<DomainDesk> {
    DomainDesk::open_to_look(dir)
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
    let payloads = [
        (EventType::Opened, plan.opened.to_cbor()),
        (EventType::Verdict, plan.ruling.to_cbor()),
        (EventType::Closed, closed.to_cbor()),
    ];
    let event = |(index, (event_type, payload))| NewEvent {
        event_id: format!("{session}/{index}"),
        timestamp: plan.opened.time.unwrap_or(0),
        event_type,
        payload,
    };
    Ok(payloads.into_iter().enumerate().map(event).collect())
}

impl DomainDesk {
    fn open(dir: &Path) -> Outcomes<DomainDesk> {
        let identity = read_identity(dir)?;
        let (waits, pause) = WAITS;
        for _ in 0..waits {
            match Ledger::open(dir) {
                Err(fault) if fault.rule == Rule::AnotherWriter => std::thread::sleep(pause),
                opened => return DomainDesk::check(dir, identity, opened?),
            }
        }
        DomainDesk::check(dir, identity, Ledger::open(dir)?)
    }

    fn open_to_look(dir: &Path) -> Outcomes<DomainDesk> {
        DomainDesk::check(dir, read_identity(dir)?, Ledger::open_read_only(dir)?)
    }

    fn check(dir: &Path, identity: Identity, ledger: Ledger) -> Outcomes<DomainDesk> {
        let input = CheckInput { ledger_keys: &[identity.ledger_public], deep: false, must_hold: &[] };
        ledger.start_up_check(&input)?.into_checked()?;
        ledger.check_instance(&identity.instance)?;
        let mut domain = Domain::new(identity);
        ledger.for_each(1, |event| domain.apply(&event))?;
        let closed: Vec<HeadFile> = domain.kept().iter().rev().take(2).filter_map(head_file).collect();
        let (last, before) = (closed.first(), closed.get(1));
        let head_is_behind = compare(read_head_file(dir)?.as_ref(), last, before, domain.unsealed().is_none())?;
        Ok(DomainDesk { dir: dir.to_owned(), ledger, domain, head_is_behind })
    }

    /// What the domain holds.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    fn unlock(&mut self, seed: &Seed) -> Checked<()> {
        let (found, expected) = (seed.member(false).public_bytes(), self.domain.identity().member_public);
        if found != expected {
            let found = format!("key ed25519:{}; ed25519:{}, the key of {}, expected", hex::encode(found), hex::encode(expected), self.domain.identity().origin());
            return Err(Fault::new(Rule::KeyMismatch, found));
        }
        self.ledger.unlock(Arc::new(LedgerSigner(seed.ledger(false))))
    }

    /// What a broken command left undone, the same bytes whenever it is done.
    fn finish_last(&mut self, seed: &Seed) -> Checked<()> {
        if self.head_is_behind {
            self.write_head_file()?;
        }
        self.seal(seed)
    }

    fn commit(&mut self, events: &[NewEvent]) -> Checked<()> {
        let before = self.ledger.latest()?;
        self.ledger.commit(before.as_ref().map(|event| event.event_hash), events)?;
        let domain = &mut self.domain;
        self.ledger.for_each(before.map_or(1, |event| event.seq_no + 1), |event| domain.apply(&event))
    }

    fn write_head_file(&mut self) -> Checked<()> {
        if let Some(head) = self.domain.kept().last().and_then(head_file) {
            write_head(&self.dir, &head.text())?;
        }
        self.head_is_behind = false;
        Ok(())
    }

    fn seal(&mut self, seed: &Seed) -> Checked<()> {
        let Some(number) = self.domain.unsealed() else { return Ok(()) };
        let log = &self.domain.identity().log;
        let signature = seed.log(log.name().clone(), false).sign_note(&self.domain.checkpoint_text(number)?)?;
        let lines = signature_line(log.name(), log.id(), &signature);
        let sealed = Sealed { session: number, checkpoints: vec![(number, lines)], notes: Vec::new() };
        let timestamp = self.domain.kept().last().and_then(|kept| kept.snapshot.time).unwrap_or(0);
        let event = NewEvent { event_id: format!("{number}/3"), timestamp, event_type: EventType::Sealed, payload: sealed.to_cbor() };
        self.commit(&[event])
    }

    fn stem(&self, number: u64) -> PathBuf {
        self.dir.join("objects").join(session_stem(number))
    }

    /// Writes the content that no earlier pack holds, before the commit that needs it.
    fn write_pack(&self, plan: &SnapshotPlan, staged: &StagedTree) -> Checked<Option<(Hash, u64)>> {
        if plan.pack.is_empty() {
            return Ok(None);
        }
        let stem = self.stem(plan.opened.session);
        make_folder(stem.parent().unwrap_or(&self.dir))?;
        let objects: Vec<(Hash, PathBuf)> = plan.pack.iter().map(|hash| (*hash, staged.path_of(hash))).collect();
        let (pack, index) = (stem.with_extension("objects"), stem.with_extension("index"));
        write_bundle(&pack, &[], &objects)?;
        let sizes = staged.sizes().into_iter().filter(|(hash, _)| plan.pack.contains(hash)).collect::<BTreeMap<_, _>>();
        write_bytes(&index, &pack_index(&sizes))?;
        hash_file(&pack).map(Some)
    }
}

fn head_file(kept: &Kept) -> Option<HeadFile> {
    let closed = kept.closed.as_ref()?;
    Some(HeadFile { session: closed.session, head: closed.after, closed: kept.closed_hash })
}

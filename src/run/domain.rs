//! A proposer's own domain, `alice@42`: numbered snapshots of a folder in a ledger of her own, with the same engine as the witness's.
//!
//! [`snapshot`] orders its effects as a session does: ledger, plan, pack, commit, head file, seal. Run again after whatever broke it, it does
//! what is left and then takes the next number. Two at once: the second waits, and is told when it waits too long.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::broker::{Broker, CheckInput, DATABASE_FILE, NewEvent, write_head};
use crate::core::artifact::{Member, Tree};
use crate::core::cbor::Canonical;
use crate::core::cose::PaperKind;
use crate::core::domain::{Domain, Identity, Kept, SnapshotPlan};
use crate::core::event::EventType;
use crate::core::head::{HeadFile, compare};
use crate::core::ids::{Hash, Head, Origin, Text};
use crate::core::note::{VerifierKey, signature_line};
use crate::core::payload::{Closed, Sealed};
use crate::core::proposal::{Entry, Source, TREE_MEDIA_TYPE};
use crate::core::publish::pack_index;
use crate::core::rules::{Checked, Fault, Rule};
use crate::core::snapshot::Snapshot;
use crate::core::tile::session_stem;
use crate::keys::Seed;
use crate::keys::file::write_new;
use crate::media::bundle_file::write_pack;

use super::desk::LedgerSigner;
use super::events::program_digest;
use super::files::{self, file_fault, hash_file, make_folder, staging, write_bytes, write_whole};
use super::packs::Packs;
use super::problem::{Outcomes, Problem, Unchanged};
use super::signing::sign;
use super::source::{Source as Folder, read_folder};
use super::startup::{IDENTITY_FILE, read_head_file};

/// How often, and how long each time, a command waits for another that writes; asking for the lock takes a quarter of a second itself.
const WAITS: (u32, Duration) = (40, Duration::from_millis(10));

/// What became of a snapshot.
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

/// A domain whose ledger passed the start-up checks.
pub struct DomainDesk {
    dir: PathBuf,
    ledger: Broker,
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
        Broker::create(dir, &identity.instance, Arc::new(LedgerSigner(seed.ledger(false))), &mut |_| {})?;
    }
    DomainDesk::open_to_look(dir)?;
    Ok(identity)
}

fn read_identity(dir: &Path) -> Checked<Identity> {
    let path = dir.join(IDENTITY_FILE);
    let text =
        String::from_utf8(files::read(&path)?).map_err(|_| Fault::new(Rule::LedgerFault, format!("{}: not UTF-8", path.display())))?;
    Identity::parse(&text).map_err(|fault| fault.within(path.display()))
}

/// Takes a snapshot of `folder` as the domain's next number, unless it is what the last one holds.
///
/// # Errors
/// `another-writer` after ten seconds; `key-mismatch`; faults of the folder and of the ledger.
pub fn snapshot(dir: &Path, folder: &Path, seed: &Seed, note: Option<Text>, time: Option<u64>) -> Outcomes<Taken> {
    let mut desk = DomainDesk::open(dir)?;
    desk.unlock(seed)?;
    desk.finish_last(seed)?;

    // The folder. A file that changes under our hands is found when the pack is written, which hashes it again, before the commit.
    let source = read_folder(folder)?;
    let tree = source.tree.to_cbor();
    let entry = Entry { sha256: Hash::of(&tree), size: tree.len() as u64, media_type: TREE_MEDIA_TYPE.parse()?, source: None };
    let head = desk.domain.head();
    if desk.domain.kept().last().is_some_and(|kept| kept.snapshot.tree == entry) {
        return Ok(Taken { head, new_objects: None, dropped: source.dropped, identity: desk.domain.identity().clone() });
    }
    let snapshot =
        Snapshot { origin: desk.domain.identity().origin().clone(), sequence: desk.domain.next_number(), tree: entry.clone(), note, time };
    let envelope = sign(PaperKind::Snapshot, snapshot.to_cbor(), Vec::new(), &seed.member(false))?;
    let mut sizes: BTreeMap<Hash, u64> = source.tree.members().iter().map(|member| (member.sha256, member.size)).collect();
    sizes.insert(entry.sha256, entry.size);
    let plan = desk.domain.plan(envelope, sizes.clone())?;
    let stays = || format!("{} stays the newest snapshot", shown(&desk.domain, head.number));
    let pack = desk.write_pack(&plan, &source, &tree, &sizes).unchanged(stays)?;

    // THE COMMIT POINT: before it nothing happened; after it everything can be derived again.
    let events = events_of(&plan, pack, &shown(&desk.domain, snapshot.sequence))?;
    desk.commit(events).unchanged(|| "the next start tells whether it was committed".into())?;
    desk.write_head_file()?;
    desk.seal(seed)?;
    let new_objects = Some(plan.pack.len());
    Ok(Taken { head: plan.after, new_objects, dropped: source.dropped, identity: desk.domain.identity().clone() })
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

impl DomainDesk {
    fn open(dir: &Path) -> Outcomes<DomainDesk> {
        let identity = read_identity(dir)?;
        let (waits, pause) = WAITS;
        for _ in 0..waits {
            match Broker::open(dir) {
                Err(fault) if fault.rule == Rule::AnotherWriter => std::thread::sleep(pause),
                opened => return DomainDesk::check(dir, identity, opened?),
            }
        }
        DomainDesk::check(dir, identity, Broker::open(dir)?)
    }

    fn open_to_look(dir: &Path) -> Outcomes<DomainDesk> {
        DomainDesk::check(dir, read_identity(dir)?, Broker::look(dir)?)
    }

    fn check(dir: &Path, identity: Identity, ledger: Broker) -> Outcomes<DomainDesk> {
        let input = CheckInput { ledger_keys: &[identity.ledger_public], deep: false, must_hold: &[] };
        ledger.start_up_check(&input)?.into_checked()?;
        ledger.check_instance(&identity.instance)?;
        let mut domain = Domain::new(identity);
        ledger.for_each(1, |event| domain.apply(&event))?;
        let closed: Vec<HeadFile> = domain.kept().iter().filter_map(head_file).collect();
        let head_is_behind = compare(read_head_file(dir)?.as_ref(), &closed, domain.unsealed().is_none())?;
        Ok(DomainDesk { dir: dir.to_owned(), ledger, domain, head_is_behind })
    }

    /// What the domain holds.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    fn unlock(&mut self, seed: &Seed) -> Checked<()> {
        let (found, expected) = (seed.member(false).public_bytes(), self.domain.identity().member_public);
        if found != expected {
            let found = format!(
                "key ed25519:{}; ed25519:{}, the key of {}, expected",
                hex::encode(found),
                hex::encode(expected),
                self.domain.identity().origin()
            );
            return Err(Fault::new(Rule::KeyMismatch, found));
        }
        self.ledger.unlock(Arc::new(LedgerSigner(seed.ledger(false))), false)
    }

    /// What a broken command left undone, the same bytes whenever it is done.
    fn finish_last(&mut self, seed: &Seed) -> Checked<()> {
        if self.head_is_behind {
            self.write_head_file()?;
        }
        self.seal(seed)
    }

    fn commit(&mut self, events: Vec<NewEvent>) -> Checked<()> {
        let before = self.ledger.latest()?;
        self.ledger.commit(before.as_ref().map(|event| event.event_hash), events, &mut |_| {}).map_err(|error| error.fault)?;
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
        self.commit(vec![event])
    }

    fn stem(&self, number: u64) -> PathBuf {
        self.dir.join("objects").join(session_stem(number))
    }

    /// Writes the content that no earlier pack holds, before the commit that needs it.
    fn write_pack(&self, plan: &SnapshotPlan, source: &Folder, tree: &[u8], sizes: &BTreeMap<Hash, u64>) -> Checked<Option<(Hash, u64)>> {
        if plan.pack.is_empty() {
            return Ok(None);
        }
        let copies = staging()?;
        let artifact = copies.path().join("tree");
        std::fs::write(&artifact, tree).map_err(|error| file_fault(&artifact, &error))?;
        let stem = self.stem(plan.opened.session);
        make_folder(stem.parent().unwrap_or(&self.dir))?;
        let place = |hash: &Hash| (*hash, source.files.get(hash).unwrap_or(&artifact).clone());
        let objects: Vec<(Hash, PathBuf)> = plan.pack.iter().map(place).collect();
        let pack = with_ending(&stem, "objects");
        write_pack(&pack, &objects)?;
        let new: BTreeMap<Hash, u64> =
            sizes.iter().filter(|(hash, _)| plan.pack.contains(hash)).map(|(hash, size)| (*hash, *size)).collect();
        write_bytes(&with_ending(&stem, "index"), &pack_index(&new))?;
        hash_file(&pack).map(Some)
    }

    /// The snapshot of a number.
    ///
    /// # Errors
    /// `not-found` when the domain is shorter.
    pub fn at(&self, number: u64) -> Checked<&Kept> {
        let missing = || {
            let last = shown(&self.domain, self.domain.head().number);
            Fault::new(Rule::NotFound, format!("{} asked for; the domain ends at {last}", shown(&self.domain, number)))
        };
        self.domain.at(number).ok_or_else(missing)
    }

    /// The tree of a number.
    ///
    /// # Errors
    /// As [`DomainDesk::at`]; `proof-fails`, `folder-incomplete` when the content is damaged.
    pub fn tree_at(&self, number: u64) -> Checked<Tree> {
        let bytes = self.content(&self.at(number)?.snapshot.tree.sha256)?;
        Tree::parse(&bytes).map_err(|fault| fault.fault().within(shown(&self.domain, number)))
    }

    fn content(&self, hash: &Hash) -> Checked<Vec<u8>> {
        let mut bytes = Vec::new();
        self.copy(&self.packs()?, hash, &mut bytes)?;
        Ok(bytes)
    }

    fn packs(&self) -> Checked<Packs> {
        let numbers = self.domain.kept().iter().filter(|kept| !kept.pack.is_empty()).map(|kept| kept.record.number);
        Packs::open(numbers.map(|number| self.stem(number)))
    }

    fn copy(&self, packs: &Packs, hash: &Hash, out: &mut dyn std::io::Write) -> Checked<()> {
        let lost = || Fault::new(Rule::FolderIncomplete, format!("{}: no pack holds object {hash}", self.dir.join("objects").display()));
        packs.find(hash).ok_or_else(lost)?.copy_to(hash, out)
    }

    /// The content at a path of a snapshot, copied into `copies`, each file compared with its hash: a file, or a folder as a tree of its own.
    ///
    /// # Errors
    /// `not-found` when nothing is there; as [`DomainDesk::tree_at`].
    pub fn take(&self, number: u64, path: &str, copies: &Path) -> Checked<Content> {
        let tree = self.tree_at(number)?;
        let source = Source { origin: self.domain.identity().origin().clone(), head: self.at(number)?.head };
        let path = path.trim_end_matches('/');
        let packs = self.packs()?;
        let mut files = BTreeMap::new();
        let mut keep = |hash: &Hash| -> Checked<()> {
            let at = copies.join(hash.hex());
            write_whole(&at, |file| self.copy(&packs, hash, file))?;
            files.insert(*hash, at);
            Ok(())
        };
        if let Some(member) = tree.members().iter().find(|member| member.path == path) {
            keep(&member.sha256)?;
            return Ok(Content { sha256: member.sha256, size: member.size, tree: None, files, source });
        }
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let below = |member: &Member| Some(Member { path: member.path.strip_prefix(&prefix)?.to_owned(), ..member.clone() });
        let members: Vec<Member> = tree.members().iter().filter_map(below).collect();
        if members.is_empty() {
            return Err(Fault::new(Rule::NotFound, format!("{}:{path}: nothing is there", shown(&self.domain, number))));
        }
        members.iter().try_for_each(|member| keep(&member.sha256))?;
        let part = Tree::new(members).map_err(|fault| fault.fault().within(path))?;
        let bytes = part.to_cbor();
        let sha256 = Hash::of(&bytes);
        let at = copies.join(sha256.hex());
        write_bytes(&at, &bytes)?;
        files.insert(sha256, at);
        Ok(Content { sha256, size: bytes.len() as u64, tree: Some(part), files, source })
    }
}

/// What a path of a snapshot stands for.
pub struct Content {
    /// SHA-256 of the file or of the tree.
    pub sha256: Hash,
    /// Its size.
    pub size: u64,
    /// The tree, when the path is a folder.
    pub tree: Option<Tree>,
    /// Copies of everything it needs.
    pub files: BTreeMap<Hash, PathBuf>,
    /// Where it comes from, as the entry will claim.
    pub source: Source,
}

/// A file beside the others of a stem, whose name may itself hold a dot.
fn with_ending(stem: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}.{ending}", stem.display()))
}

fn head_file(kept: &Kept) -> Option<HeadFile> {
    let closed = kept.closed.as_ref()?;
    Some(HeadFile { session: closed.session, head: closed.after, closed: kept.closed_hash })
}

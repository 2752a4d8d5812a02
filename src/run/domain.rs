//! A proposer's own domain, `alice@42`: numbered snapshots of a folder in a ledger of her own, with the same engine as the witness's.
//!
//! Here a domain is made, opened and read; [`super::snapshot`] takes its next number.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::broker::{Broker, CheckInput, DATABASE_FILE, random};
use crate::core::artifact::{Member, Tree};
use crate::core::domain::{Domain, Identity, Kept};
use crate::core::head::{HeadFile, compare};
use crate::core::ids::{Hash, Origin};
use crate::core::note::VerifierKey;
use crate::core::proposal::Source;
use crate::core::rules::{Checked, Fault, Rule};
use crate::core::tile::session_stem;
use crate::keys::Seed;
use crate::keys::file::write_new;

use super::desk::LedgerSigner;
use super::files::{self, make_folder, write_bytes, write_whole};
use super::packs::Packs;
use super::problem::{Outcomes, Problem, Unchanged};
use super::startup::{IDENTITY_FILE, read_head_file};

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
    let instance = random()?;
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

pub(super) fn read_identity(dir: &Path) -> Checked<Identity> {
    let path = dir.join(IDENTITY_FILE);
    let text =
        String::from_utf8(files::read(&path)?).map_err(|_| Fault::new(Rule::LedgerFault, format!("{}: not UTF-8", path.display())))?;
    Identity::parse(&text).map_err(|fault| fault.within(path.display()))
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

impl DomainDesk {
    fn open_to_look(dir: &Path) -> Outcomes<DomainDesk> {
        let (identity, ledger) = (read_identity(dir)?, Broker::look(dir)?);
        loop {
            let before = ledger.head()?;
            match DomainDesk::check(dir, identity.clone(), ledger.clone()) {
                // The ledger was read before a snapshot was committed, and the head file after it: they are of two moments.
                Err(_) if ledger.head()? != before => {}
                checked => return checked,
            }
        }
    }

    pub(super) fn check(dir: &Path, identity: Identity, ledger: Broker) -> Outcomes<DomainDesk> {
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

    /// Broker, domain, and whether the head file is that of the session before.
    pub(super) fn into_parts(self) -> (Broker, Domain, bool) {
        (self.ledger, self.domain, self.head_is_behind)
    }

    fn stem(&self, number: u64) -> PathBuf {
        self.dir.join("objects").join(session_stem(number))
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
pub(super) fn with_ending(stem: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}.{ending}", stem.display()))
}

pub(super) fn head_file(kept: &Kept) -> Option<HeadFile> {
    let closed = kept.closed.as_ref()?;
    Some(HeadFile { session: closed.session, head: closed.after, closed: kept.closed_hash })
}

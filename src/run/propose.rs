//! What a proposer does first: make a paper, sign it, keep a copy at home, and put the bundle on its way.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::core::artifact::Tree;
use crate::core::cbor::Canonical;
use crate::core::cose::{Envelope, PaperKind};
use crate::core::ids::{Hash, MediaType, Name, Party, Pid, Text};
use crate::core::limits::BUNDLE_OBJECTS_MAX;
use crate::core::pin::Pin;
use crate::core::proposal::{Entry, Expect, Operation, Proposal, TREE_MEDIA_TYPE};
use crate::core::rules::{Checked, Fault, Rule};
use crate::core::state::State;
use crate::keys::derive::MemberKey;
use crate::media::bundle_file::write_bundle;
use crate::media::publish::copy_file;

use super::consumer::state_at;
use super::domain::{self, Content};
use super::files::{file_fault, hash_file, staging};
use super::folder::CheckedFolder;
use super::home::{self, INBOX};
use super::problem::{Outcomes, Problem};
use super::signing::{member_of, sign};
use super::source::read_folder;

/// One change a proposer asks for, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// `NAME=PATH`: the name shall stand for this file, or for the tree that this folder becomes.
    Put(Name, PathBuf),
    /// `NAME=alice@42:PATH`: the name shall stand for what this snapshot holds there.
    PutFrom(Name, SnapshotPath),
    /// `NAME`: the name shall stand for nothing.
    Remove(Name),
}

/// A place in a snapshot of the author's own domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotPath {
    /// Whose domain, as typed before the `@`.
    pub owner: Party,
    /// The number.
    pub number: u64,
    /// The path in its tree; empty for the whole.
    pub path: String,
}

/// What shall be proposed.
pub struct Wish<'a> {
    /// The changes.
    pub asks: Vec<Ask>,
    /// The author's pin.
    pub pin: &'a Pin,
    /// Common as pinned, checked.
    pub common: &'a CheckedFolder,
    /// Whether to overwrite whatever is there, instead of expecting what the pin shows.
    pub overwrite: bool,
    /// Media type of what is put.
    pub media_type: MediaType,
    /// The largest number it may become.
    pub last_number: Option<u64>,
    /// Papers that must be final first.
    pub after: Vec<Pid>,
    /// The author's words.
    pub note: Option<Text>,
    /// Folder of the pin.
    pub home: PathBuf,
    /// Folder of the author's domain.
    pub domain: PathBuf,
}

/// A paper that was made, with its content.
pub struct Proposed {
    /// The envelope's bytes.
    pub envelope: Vec<u8>,
    /// What it asks for.
    pub proposal: Proposal,
    /// Its id.
    pub pid: Pid,
    /// The content it refers to.
    pub objects: BTreeMap<Hash, PathBuf>,
    /// The trees among it.
    pub trees: BTreeMap<Hash, Tree>,
    /// Empty folders, which no tree holds.
    pub dropped: Vec<PathBuf>,
    _staging: Option<tempfile::TempDir>,
}

impl Proposed {
    /// A paper that refers to no content.
    pub fn bare(envelope: Vec<u8>, proposal: Proposal, pid: Pid) -> Proposed {
        let (objects, trees) = (BTreeMap::new(), BTreeMap::new());
        Proposed { envelope, proposal, pid, objects, trees, dropped: Vec::new(), _staging: None }
    }
}

/// The content of a paper, gathered while its operations are made.
struct Gathered {
    objects: BTreeMap<Hash, PathBuf>,
    trees: BTreeMap<Hash, Tree>,
    dropped: Vec<PathBuf>,
    staging: tempfile::TempDir,
}

/// Makes a paper, signs it, and keeps a copy beside the pin.
///
/// # Errors
/// `key-mismatch`, `not-found`, `file-fault`, `payload-shape`; `tree-form` for a folder that can be no tree; `usage` for more content than a
/// bundle holds.
pub fn propose(wish: &Wish<'_>, key: &MemberKey) -> Outcomes<Proposed> {
    let author = member_of(wish.common.common.policy()?, &key.public_bytes())?;
    let state = state_at(&wish.common.common, wish.pin.head.number);
    let mut content = Gathered { objects: BTreeMap::new(), trees: BTreeMap::new(), dropped: Vec::new(), staging: staging()? };
    let mut operations = wish.asks.iter().map(|ask| operation(ask, wish, &state, &mut content)).collect::<Checked<Vec<_>>>()?;
    if content.objects.len() as u64 > BUNDLE_OBJECTS_MAX {
        let found = format!("{} contents found; a bundle holds {BUNDLE_OBJECTS_MAX}, trees counted", content.objects.len());
        return Err(Problem::usage(found));
    }
    operations.sort_by(|a, b| a.name().cmp(&b.name()));
    if let Some(name) = operations.windows(2).find(|pair| pair[0].name() == pair[1].name()).and_then(|pair| pair[0].name()) {
        return Err(Problem::usage(format!("{name} stands twice; one change for each name expected")));
    }
    let (proposal, envelope) = sign_paper(wish, author, operations, key)?;
    let Gathered { objects, trees, dropped, staging } = content;
    let (bytes, pid) = (envelope.to_cbor(), envelope.pid());
    Ok(Proposed { envelope: bytes, proposal, pid, objects, trees, dropped, _staging: Some(staging) })
}

/// Makes and signs the paper that asks for these operations, and keeps a copy beside the pin: a signed paper is never forgotten.
///
/// # Errors
/// `payload-shape` when a bound of SPEC 3.5 is broken; `file-fault`.
pub(super) fn sign_paper(wish: &Wish<'_>, author: Party, operations: Vec<Operation>, key: &MemberKey) -> Checked<(Proposal, Envelope)> {
    let sequence = next_sequence(wish, &author)?;
    let mut after = wish.after.clone();
    after.sort();
    let proposal = Proposal {
        origin: wish.pin.origin.clone(),
        author,
        sequence,
        base: wish.pin.head,
        operations,
        last_number: wish.last_number,
        after,
        note: wish.note.clone(),
    };
    let payload = proposal.to_cbor();
    Proposal::from_cbor(&payload)?;
    let envelope = sign(PaperKind::Proposal, payload, Vec::new(), key)?;
    home::keep(&wish.home, &envelope.pid(), &envelope.to_cbor())?;
    Ok((proposal, envelope))
}

fn operation(ask: &Ask, wish: &Wish<'_>, state: &State, content: &mut Gathered) -> Checked<Operation> {
    match ask {
        Ask::Remove(name) => {
            let expect = state.get(name).map(|entry| entry.sha256).filter(|_| !wish.overwrite);
            Ok(Operation::Remove { name: name.clone(), expect })
        }
        Ask::Put(name, path) if path.is_dir() => {
            let (sha256, size) = content.folder(path)?;
            put(name, Entry { sha256, size, media_type: TREE_MEDIA_TYPE.parse()?, source: None }, wish, state)
        }
        Ask::Put(name, path) => {
            let (sha256, size) = hash_file(path)?;
            content.objects.insert(sha256, path.clone());
            put(name, Entry { sha256, size, media_type: wish.media_type.clone(), source: None }, wish, state)
        }
        Ask::PutFrom(name, from) => {
            let taken = content.snapshot(from, wish)?;
            let media_type = if taken.tree.is_some() { TREE_MEDIA_TYPE.parse()? } else { wish.media_type.clone() };
            put(name, Entry { sha256: taken.sha256, size: taken.size, media_type, source: Some(Box::new(taken.source)) }, wish, state)
        }
    }
}

/// A put that expects what the pin shows, unless it shall overwrite.
fn put(name: &Name, entry: Entry, wish: &Wish<'_>, state: &State) -> Checked<Operation> {
    let expect = match state.get(name) {
        _ if wish.overwrite => Expect::Anything,
        None => Expect::Absent,
        Some(entry) => Expect::Content(entry.sha256),
    };
    Ok(Operation::Put { name: name.clone(), entry, expect })
}

impl Gathered {
    /// Takes a file or folder of a snapshot in.
    fn snapshot(&mut self, from: &SnapshotPath, wish: &Wish<'_>) -> Checked<Content> {
        let desk = domain::look(&wish.domain).map_err(|problem| problem.fault)?;
        let (found, expected) = (desk.domain().identity().origin(), format!("{}/~{}", wish.pin.origin, from.owner));
        if found.as_str() != expected {
            let found = format!("{} is the domain {found}; {expected} expected, which --domain names", wish.domain.display());
            return Err(Fault::new(Rule::Usage, found));
        }
        let taken = desk.take(from.number, &from.path, self.staging.path())?;
        self.objects.extend(taken.files.clone());
        self.trees.extend(taken.tree.clone().map(|tree| (taken.sha256, tree)));
        Ok(taken)
    }

    /// Takes a folder in as a tree, with its files; answers with the artifact's hash and size.
    fn folder(&mut self, path: &Path) -> Checked<(Hash, u64)> {
        let source = read_folder(path)?;
        let bytes = source.tree.to_cbor();
        let (sha256, at) = (Hash::of(&bytes), self.staging.path().join(Hash::of(&bytes).hex()));
        std::fs::write(&at, &bytes).map_err(|error| file_fault(&at, &error))?;
        self.objects.extend(source.files);
        self.objects.insert(sha256, at);
        self.trees.insert(sha256, source.tree);
        self.dropped.extend(source.dropped.into_iter().map(|below| path.join(below)));
        Ok((sha256, bytes.len() as u64))
    }
}

/// The next free sequence number: above every number this author used in Common or in the papers kept here.
fn next_sequence(wish: &Wish<'_>, author: &Party) -> Checked<u64> {
    let published = wish.common.common.pages().iter().filter_map(|page| page.proposal.as_ref());
    let own = home::papers(&wish.home)?;
    let own = own.iter().map(|(_, parsed)| parsed.proposal());
    let used = published.chain(own).filter(|proposal| proposal.author == *author && proposal.origin == wish.pin.origin);
    Ok(used.map(|proposal| proposal.sequence).max().unwrap_or(0) + 1)
}

/// Sees that a bundle can go where it shall, before a paper is made: a medium that is there, or a new file in a folder that is there.
///
/// # Errors
/// `not-found`, `exists`.
pub fn check_target(medium: Option<&Path>, out: Option<&Path>) -> Checked<()> {
    if let Some(medium) = medium.filter(|medium| !medium.is_dir()) {
        return Err(Fault::new(Rule::NotFound, format!("{}: no folder is there; a medium expected", medium.display())));
    }
    let Some(out) = out else { return Ok(()) };
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(Fault::new(Rule::NotFound, format!("{}: the folder of this file is not there", out.display())));
    }
    new_file(out)
}

fn new_file(out: &Path) -> Checked<()> {
    if out.exists() { Err(Fault::new(Rule::Exists, format!("{} is there; no file expected", out.display()))) } else { Ok(()) }
}

/// Writes a paper and its content as a bundle to a file.
///
/// # Errors
/// `file-fault`, `exists`.
pub fn export_to_file(proposed: &Proposed, out: &Path) -> Checked<()> {
    new_file(out)?;
    write_bundle(out, std::slice::from_ref(&proposed.envelope), &contents(proposed))
}

fn contents(proposed: &Proposed) -> Vec<(Hash, PathBuf)> {
    proposed.objects.iter().map(|(hash, path)| (*hash, path.clone())).collect()
}

/// Writes a paper and its content as a bundle into a medium's inbox, read back and compared; answers with its path on the medium.
///
/// # Errors
/// `file-fault`, `medium-fault`.
pub fn export_to_medium(proposed: &Proposed, medium: &Path) -> Checked<String> {
    let staging = staging()?;
    let bundle = staging.path().join("bundle");
    write_bundle(&bundle, std::slice::from_ref(&proposed.envelope), &contents(proposed))?;
    let (sha256, _) = hash_file(&bundle)?;
    let name = format!("{}-{:06}-{}.bundle", proposed.proposal.author, proposed.proposal.sequence, proposed.pid.tiny());
    let path = format!("{INBOX}/{name}");
    copy_file(medium, &path, &bundle, sha256, &mut |_, _| {})?;
    Ok(path)
}

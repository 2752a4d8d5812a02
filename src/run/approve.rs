//! What an approver does: see what would be signed, then sign it.

use std::fs;
use std::path::Path;

use crate::core::artifact::{Tree, TreeFault};
use crate::core::bundle::FileKind;
use crate::core::cbor::Canonical;
use crate::core::charter::Charter;
use crate::core::cose::{Envelope, PaperKind, Signer};
use crate::core::ids::Pid;
use crate::core::limits::{ENVELOPE_BYTES_MAX, TREE_BYTES_MAX};
use crate::core::order::Order;
use crate::core::proposal::{Entry, Proposal};
use crate::core::rules::{Checked, Fault, Rule};
use crate::keys::derive::MemberKey;
use crate::media::bundle_file::{BundleItem, read_bundle, write_bundle};
use crate::media::scan::{RawFile, read_one};

use super::files::{self, file_fault, make_folder, staging, write_bytes};
use super::problem::{Outcomes, Problem, Unchanged};
use super::signing::{member_of, sign};

/// What to do when a file is nothing that can be approved.
const APPROVABLE: &str =
    "name a bundle or paper that tabellion propose made, the charter.payload of tabellion witness init, or an order of tabellion ceremony";

/// Something that can be approved, with what would be signed.
pub enum Approvable {
    /// A proposal.
    Proposal(Box<Proposal>),
    /// A charter.
    Charter(Box<Charter>),
    /// An order.
    Order(Box<Order>),
}

/// One paper in a file that is to be approved.
pub struct Pending {
    /// What would be signed.
    pub what: Approvable,
    envelope: Envelope,
}

impl Pending {
    /// The envelope as it was read.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The id of what would be signed.
    pub fn pid(&self) -> Pid {
        self.envelope.pid()
    }
}

/// A file read for approval: its papers, and its objects.
pub struct ToApprove {
    /// The papers.
    pub papers: Vec<Pending>,
    file: Option<RawFile>,
    objects: Vec<crate::media::bundle_file::ObjectAt>,
    _staging: tempfile::TempDir,
}

impl ToApprove {
    /// The tree that an entry stands for, when the file brings it.
    ///
    /// # Errors
    /// `tree-form` when what is brought is none; `file-fault`.
    pub fn tree(&self, entry: &Entry) -> Checked<Option<Tree>> {
        let object = self.objects.iter().find(|object| object.sha256 == entry.sha256);
        let (Some(object), Some(file)) = (object, &self.file) else { return Ok(None) };
        if object.len > TREE_BYTES_MAX {
            return Err(TreeFault::too_large(object.len).fault());
        }
        let mut bytes = Vec::new();
        object.copy_to(file, &mut bytes)?;
        Tree::parse(&bytes).map(Some).map_err(|fault| fault.fault())
    }
}

/// A bare payload that nobody has signed yet.
fn read_bare(bytes: &[u8]) -> Option<(PaperKind, Approvable)> {
    let charter = Charter::from_cbor(bytes).ok().map(|charter| (PaperKind::Charter, Approvable::Charter(Box::new(charter))));
    charter.or_else(|| Some((PaperKind::Order, Approvable::Order(Box::new(Order::from_cbor(bytes).ok()?)))))
}

/// Reads what could be approved in a file: a bundle, a paper, a charter, an order, or a bare payload of these two.
///
/// # Errors
/// `file-unknown`, parse faults; a bundle that is cut is refused whole here.
pub fn read_for_approval(path: &Path) -> Outcomes<ToApprove> {
    let staging = staging()?;
    // A payload is small; what is larger can only be a bundle, which is not read into memory.
    let metadata = fs::metadata(path).map_err(|error| file_fault(path, &error))?;
    let small = metadata.is_file() && metadata.len() <= ENVELOPE_BYTES_MAX as u64;
    let bare = if small { files::read(path)? } else { Vec::new() };
    if let Some((kind, what)) = read_bare(&bare) {
        let envelope = Envelope { kind, payload: bare, signers: Vec::new() };
        return Ok(ToApprove { papers: vec![Pending { what, envelope }], file: None, objects: Vec::new(), _staging: staging });
    }
    drop(bare);
    let file = read_one(path, staging.path()).map_err(|fault| Problem::from(fault).advising(APPROVABLE))?;
    if !matches!(file.kind(), FileKind::Bundle | FileKind::Paper) {
        let found = format!("{} is a {}; a bundle, paper or charter payload expected", path.display(), file.kind().word());
        return Err(Problem::from(Fault::new(Rule::FileUnknown, found)).advising(APPROVABLE));
    }
    let (mut papers, mut objects) = (Vec::new(), Vec::new());
    let cut = read_bundle(&file, &mut |item| {
        match item {
            BundleItem::Object(object) => objects.push(object),
            BundleItem::Paper(bytes) => papers.push(read_pending(&bytes)?),
        }
        Ok(())
    })?;
    match cut {
        Some(fault) => Err(fault.into()),
        None => Ok(ToApprove { papers, file: Some(file), objects, _staging: staging }),
    }
}

fn read_pending(bytes: &[u8]) -> Checked<Pending> {
    let envelope = Envelope::from_brought(bytes)?;
    let what = match envelope.kind {
        PaperKind::Proposal => Approvable::Proposal(Box::new(Proposal::from_cbor(&envelope.payload)?)),
        PaperKind::Charter => Approvable::Charter(Box::new(Charter::from_cbor(&envelope.payload)?)),
        PaperKind::Order => Approvable::Order(Box::new(Order::from_cbor(&envelope.payload)?)),
        other @ PaperKind::Snapshot => return Err(Fault::new(Rule::KindUnknown, other.media_type())),
    };
    Ok(Pending { what, envelope })
}

/// Signs every paper of a file and writes the result to `out`.
///
/// # Errors
/// `key-mismatch` when the key is no governor's of a charter; `file-fault`.
pub fn approve(to_approve: &ToApprove, key: &MemberKey, out: &Path) -> Outcomes<()> {
    let mut papers = Vec::new();
    for pending in &to_approve.papers {
        if let Approvable::Charter(charter) = &pending.what {
            let member = member_of(&charter.policy, &key.public_bytes())?;
            if !charter.policy.expand(&charter.policy.governors).contains(&member) {
                return Err(
                    Fault::new(Rule::KeyMismatch, format!("{member} is not in the governors' group {}", charter.policy.governors)).into()
                );
            }
        }
        let envelope = &pending.envelope;
        let signed = sign(envelope.kind, envelope.payload.clone(), existing_signers(pending, out)?, key)?;
        papers.push(signed.to_cbor());
    }
    if let [only] = papers.as_slice()
        && to_approve.objects.is_empty()
    {
        return write_bytes(out, only).unchanged(|| "the file was not changed".into());
    }
    let staging = staging()?;
    let mut objects = Vec::new();
    for object in &to_approve.objects {
        let path = staging.path().join(object.sha256.hex());
        let mut copy = fs::File::create(&path).map_err(|error| file_fault(&path, &error))?;
        if let Some(file) = &to_approve.file {
            object.copy_to(file, &mut copy)?;
        }
        objects.push((object.sha256, path));
    }
    // As for a paper alone: the inbox of a stick that never was at the witness is not there yet.
    if let Some(folder) = out.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        make_folder(folder).unchanged(|| "the file was not changed".into())?;
    }
    write_bundle(out, &papers, &objects).unchanged(|| "the file was not changed".into())
}

/// The signatures a paper has already. Those of a charter's or an order's copy that lies at `out` are united with its own.
///
/// # Errors
/// `exists` when another paper lies there; parse faults of what lies there.
pub fn existing_signers(pending: &Pending, out: &Path) -> Checked<Vec<Signer>> {
    let (envelope, mut signers) = (&pending.envelope, pending.envelope.signers.clone());
    if envelope.kind == PaperKind::Proposal || !out.exists() {
        return Ok(signers);
    }
    let bytes = files::read(out)?;
    let existing = Envelope::from_brought(&bytes).map_err(|fault| fault.within(out.display()))?;
    if (existing.kind, &existing.payload) != (envelope.kind, &envelope.payload) {
        let found = format!("{} carries paper {}; {} expected", out.display(), existing.pid(), pending.pid());
        return Err(Fault::new(Rule::Exists, found));
    }
    signers.extend(existing.signers.into_iter().filter(|other| envelope.signers.iter().all(|signer| signer.kid != other.kid)));
    signers.sort();
    Ok(signers)
}

//! What a proposer and an approver do: propose, approve, collect.
//!
//! A proposer's home is the folder of the pin. Beside the pin lies `papers/`: a copy of each paper that was proposed from here
//! (`<pid>.cose`), and the receipt that came back (`<pid>.receipt`).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::core::bundle::FileKind;
use crate::core::cbor::{Canonical, Reader, item_len};
use crate::core::charter::Charter;
use crate::core::cose::{Envelope, PaperKind, Signer, enrollable_key, sig_structure, verify_signature};
use crate::core::ids::{Hash, MediaType, Name, Party, Pid, Text, kid_of};
use crate::core::limits::{ENVELOPE_BYTES_MAX, SIGNATURES_MAX};
use crate::core::pin::Pin;
use crate::core::policy::Policy;
use crate::core::proposal::{Entry, Expect, Operation, Proposal};
use crate::core::rules::{Checked, Fault, Rule};
use crate::core::state::State;
use crate::core::verify::{self, Parsed};
use crate::keys::derive::MemberKey;
use crate::media::bundle_file::{BundleItem, read_bundle, write_bundle};
use crate::media::scan::{RECEIPTS_BYTES_MAX, RawFile, read_one, scan};
use crate::media::shown;

use super::consumer::{Receipt, state_at, verify_receipt};
use super::files::{self, file_fault, hash_file, make_folder, staging, write_bytes};
use super::folder::CheckedFolder;
use super::problem::{Outcomes, Problem, Unchanged};

/// Folder of a proposer's papers, beside the pin.
const PAPERS: &str = "papers";
/// Where bundles go on a medium.
const INBOX: &str = "tabellion/inbox";

/// One change a proposer asks for, as typed.
pub enum Ask {
    /// `NAME=PATH`: the name shall stand for this file.
    Put(Name, PathBuf),
    /// `NAME`: the name shall stand for nothing.
    Remove(Name),
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
}

/// The member who has this key, by the policy in force.
///
/// # Errors
/// `key-mismatch` with the key and the members.
pub fn member_of(policy: &Policy, public: &[u8; 32]) -> Checked<Party> {
    let keyring = policy.keyring();
    let key = keyring.active(&kid_of(public));
    let nobody = || {
        let members: Vec<&str> = policy.members.iter().map(|member| member.name.as_str()).collect();
        Fault::new(Rule::KeyMismatch, format!("ed25519:{} is no active key of {}", hex::encode(public), members.join(", ")))
    };
    key.map(|key| key.member.clone()).ok_or_else(nobody)
}

/// Makes a paper, signs it, and keeps a copy beside the pin.
///
/// # Errors
/// `key-mismatch`, `not-found`, `file-fault`, `payload-shape`.
pub fn propose(wish: &Wish<'_>, key: &MemberKey) -> Outcomes<Proposed> {
    let author = member_of(wish.common.common.policy()?, &key.public_bytes())?;
    let state = state_at(&wish.common.common, wish.pin.head.number);
    let mut objects = BTreeMap::new();
    let mut operations = wish.asks.iter().map(|ask| operation(ask, wish, &state, &mut objects)).collect::<Checked<Vec<_>>>()?;
    operations.sort_by(|a, b| a.name().cmp(&b.name()));
    if let Some(name) = operations.windows(2).find(|pair| pair[0].name() == pair[1].name()).and_then(|pair| pair[0].name()) {
        return Err(Problem::usage(format!("{name} stands twice; one change for each name expected")));
    }
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
    let (bytes, pid) = (envelope.to_cbor(), envelope.pid());
    keep_copy(&wish.home, &pid, &bytes)?;
    Ok(Proposed { envelope: bytes, proposal, pid, objects })
}

fn operation(ask: &Ask, wish: &Wish<'_>, state: &State, objects: &mut BTreeMap<Hash, PathBuf>) -> Checked<Operation> {
    match ask {
        Ask::Remove(name) => {
            let expect = state.get(name).map(|entry| entry.sha256).filter(|_| !wish.overwrite);
            Ok(Operation::Remove { name: name.clone(), expect })
        }
        Ask::Put(name, path) => {
            let (sha256, size) = hash_file(path)?;
            objects.insert(sha256, path.clone());
            let expect = match state.get(name) {
                _ if wish.overwrite => Expect::Anything,
                None => Expect::Absent,
                Some(entry) => Expect::Content(entry.sha256),
            };
            let entry = Entry { sha256, size, media_type: wish.media_type.clone(), source: None };
            Ok(Operation::Put { name: name.clone(), entry, expect })
        }
    }
}

/// The next free sequence number: above every number this author used in Common or in the papers kept here.
fn next_sequence(wish: &Wish<'_>, author: &Party) -> Checked<u64> {
    let published = wish.common.common.pages().iter().filter_map(|page| page.proposal.as_ref());
    let own = own_papers(&wish.home)?;
    let own = own.iter().map(|(_, parsed)| parsed.proposal());
    let used = published.chain(own).filter(|proposal| proposal.author == *author && proposal.origin == wish.pin.origin);
    Ok(used.map(|proposal| proposal.sequence).max().unwrap_or(0) + 1)
}

/// The papers kept beside a pin, by file.
fn own_papers(home: &Path) -> Checked<Vec<(PathBuf, Parsed)>> {
    let folder = home.join(PAPERS);
    let Ok(entries) = fs::read_dir(&folder) else { return Ok(Vec::new()) };
    let mut out = Vec::new();
    for path in
        entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).filter(|path| path.extension().is_some_and(|e| e == "cose"))
    {
        let bytes = files::read(&path)?;
        out.push((path, verify::parse(&bytes)?));
    }
    out.sort_by_key(|(_, parsed)| (parsed.proposal().sequence, parsed.pid()));
    Ok(out)
}

/// Removes the copy of a paper that could not be exported: nobody else has it, and nothing will come back for it.
pub fn forget(home: &Path, pid: &Pid) {
    drop(fs::remove_file(home.join(PAPERS).join(format!("{pid}.cose"))));
}

fn keep_copy(home: &Path, pid: &Pid, bytes: &[u8]) -> Checked<()> {
    let folder = home.join(PAPERS);
    write_bytes(&folder.join(format!("{pid}.cose")), bytes)
}

/// Adds a signature, and verifies it before it leaves the step.
fn sign(kind: PaperKind, payload: Vec<u8>, mut signers: Vec<Signer>, key: &MemberKey) -> Checked<Envelope> {
    let kid = key.kid();
    let signer = Signer { kid, signature: key.sign(&sig_structure(kind, &kid, &payload))? };
    if !verify_signature(&enrollable_key(&key.public_bytes())?, kind, &signer, &payload) {
        return Err(Fault::new(Rule::InternalFault, "a signature just made does not verify"));
    }
    signers.retain(|other| other.kid != kid);
    signers.push(signer);
    signers.sort();
    if signers.len() > SIGNATURES_MAX {
        return Err(Fault::new(Rule::EnvelopeTooLarge, format!("{} signatures found, {SIGNATURES_MAX} at most", signers.len())));
    }
    Ok(Envelope { kind, payload, signers })
}

/// Writes a paper and its content as a bundle to a file.
///
/// # Errors
/// `file-fault`, `exists`.
pub fn export_to_file(proposed: &Proposed, out: &Path) -> Checked<()> {
    if out.exists() {
        return Err(Fault::new(Rule::Exists, format!("{} is there; no file expected", out.display())));
    }
    let objects: Vec<(Hash, PathBuf)> = proposed.objects.iter().map(|(hash, path)| (*hash, path.clone())).collect();
    write_bundle(out, std::slice::from_ref(&proposed.envelope), &objects)
}

/// Writes a paper and its content as a bundle into a medium's inbox; answers with its path.
///
/// # Errors
/// As [`export_to_file`].
pub fn export_to_medium(proposed: &Proposed, medium: &Path) -> Checked<PathBuf> {
    if !medium.is_dir() {
        return Err(Fault::new(Rule::NotFound, format!("{}: no folder is there; a medium expected", medium.display())));
    }
    let inbox = medium.join(INBOX);
    make_folder(&inbox)?;
    let name = format!("{}-{:06}-{}.bundle", proposed.proposal.author, proposed.proposal.sequence, proposed.pid.tiny());
    let path = inbox.join(name);
    export_to_file(proposed, &path)?;
    Ok(path)
}

/// What to do when a file is nothing that can be approved.
const APPROVABLE: &str = "name a bundle or paper that tabellion propose made, or the charter.payload that tabellion witness init made";

/// Something that can be approved, with what would be signed.
pub enum Approvable {
    /// A proposal.
    Proposal(Box<Proposal>),
    /// A charter.
    Charter(Box<Charter>),
}

/// One paper in a file that is to be approved.
pub struct Pending {
    /// What would be signed.
    pub what: Approvable,
    envelope: Envelope,
}

impl Pending {
    /// The id of what would be signed.
    pub fn pid(&self) -> Pid {
        self.envelope.pid()
    }

    /// Who signed it already; unchecked.
    pub fn signers(&self) -> &[Signer] {
        &self.envelope.signers
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

/// Reads what could be approved in a file: a bundle, a paper, a charter, or a charter's bare payload, which takes over the signatures of the
/// `charter.cose` that lies at `out`.
///
/// # Errors
/// `file-unknown`, parse faults; a bundle that is cut is refused whole here.
pub fn read_for_approval(path: &Path, out: &Path) -> Outcomes<ToApprove> {
    let staging = staging()?;
    // A payload is small; what is larger can only be a bundle, which is not read into memory.
    let metadata = fs::metadata(path).map_err(|error| file_fault(path, &error))?;
    let small = metadata.is_file() && metadata.len() <= ENVELOPE_BYTES_MAX as u64;
    let bare = if small { files::read(path)? } else { Vec::new() };
    if let Ok(charter) = Charter::from_cbor(&bare) {
        let signers = existing_signers(&bare, out)?;
        let envelope = Envelope { kind: PaperKind::Charter, payload: bare, signers };
        let papers = vec![Pending { what: Approvable::Charter(Box::new(charter)), envelope }];
        return Ok(ToApprove { papers, file: None, objects: Vec::new(), _staging: staging });
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
        other => return Err(Fault::new(Rule::KindUnknown, other.media_type())),
    };
    Ok(Pending { what, envelope })
}

/// Signs every paper of a file and writes the result: a charter as `charter.cose` beside its payload, a bundle to `out`.
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
        let signed = sign(envelope.kind, envelope.payload.clone(), envelope.signers.clone(), key)?;
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
    write_bundle(out, &papers, &objects).unchanged(|| "the file was not changed".into())
}

/// The signatures that a charter's bare payload has in the `charter.cose` that lies at `out`.
fn existing_signers(payload: &[u8], out: &Path) -> Checked<Vec<Signer>> {
    if !out.exists() {
        return Ok(Vec::new());
    }
    let existing = Envelope::from_brought(&files::read(out)?).map_err(|fault| fault.within(out.display()))?;
    if existing.payload != payload {
        let found = format!("{} carries charter {}; {} expected", out.display(), existing.pid(), Hash::of(payload));
        return Err(Fault::new(Rule::Exists, found));
    }
    Ok(existing.signers)
}

/// What became of one paper.
pub struct Collected {
    /// The paper.
    pub pid: Pid,
    /// Its sequence number.
    pub sequence: u64,
    /// What it asked for.
    pub proposal: Proposal,
    /// The receipt, if one is known by now.
    pub receipt: Option<Receipt>,
    /// Whether it came just now.
    pub is_new: bool,
}

/// What a collection found.
pub struct Collection {
    /// Every own paper, by sequence.
    pub papers: Vec<Collected>,
    /// Files cleared from the inbox: every paper in them was ours and is done.
    pub cleared: Vec<String>,
    /// Receipts files that could not be read to their end, and receipts for our papers that do not verify; shown by path.
    pub listed: Vec<(String, Fault)>,
}

/// Verifies receipts on a medium, keeps those of papers proposed from here, and clears from the inbox what is ours and done.
///
/// # Errors
/// `not-found`, `medium-fault`, `file-fault`. What does not verify is listed, and keeps nothing else from being collected.
pub fn collect(medium: &Path, pin: &Pin, home: &Path) -> Outcomes<Collection> {
    let staging = staging()?;
    let own = own_papers(home)?;
    let (brought, mut listed) = receipts_on(medium, staging.path())?;
    let mut papers = Vec::new();
    for (path, parsed) in &own {
        let pid = parsed.pid();
        let kept_at = path.with_extension("receipt");
        let kept = fs::read(&kept_at).ok();
        let candidates = brought.get(&pid).into_iter().flatten();
        let mut best = kept.clone();
        for (path, bytes) in candidates {
            let receipt = match verify_receipt(bytes, pin).and_then(|receipt| check_belongs(&receipt, &pid).map(|()| receipt)) {
                Ok(receipt) => receipt,
                Err(fault) => {
                    listed.push((path.clone(), fault.within(format_args!("the receipt of paper {}", pid.tiny()))));
                    continue;
                }
            };
            let known = best.as_ref().and_then(|best| verify_receipt(best, pin).ok());
            if known.is_none_or(|known| rank(&receipt) > rank(&known)) {
                best = Some(bytes.clone());
            }
        }
        let is_new = best != kept;
        if let Some(bytes) = best.as_ref().filter(|_| is_new) {
            write_bytes(&kept_at, bytes)?;
        }
        let receipt = best.map(|bytes| verify_receipt(&bytes, pin)).transpose().map_err(|fault| fault.within(kept_at.display()))?;
        let proposal = parsed.proposal().clone();
        papers.push(Collected { pid, sequence: proposal.sequence, proposal, receipt, is_new });
    }
    let cleared = clear(medium, staging.path(), &papers)?;
    Ok(Collection { papers, cleared, listed })
}

/// A final receipt stands above every notice, a later notice above an earlier one.
fn rank(receipt: &Receipt) -> (bool, u64) {
    match receipt {
        Receipt::Accepted(record, _) => (true, record.session),
        Receipt::Answered(note) => (is_final(receipt), note.session),
    }
}

/// Whether a receipt is final.
pub fn is_final(receipt: &Receipt) -> bool {
    match receipt {
        Receipt::Accepted(..) => true,
        Receipt::Answered(note) => note.outcome == crate::core::rules::Outcome::Refused,
    }
}

fn check_belongs(receipt: &Receipt, pid: &Pid) -> Checked<()> {
    let found = match receipt {
        Receipt::Accepted(record, _) => record.pid,
        Receipt::Answered(note) => note.pid,
    };
    if found == *pid { Ok(()) } else { Err(Fault::new(Rule::ProofFails, format!("a receipt for {found} found under paper {pid}"))) }
}

/// Receipts by paper, each with the path of its file.
type Brought = BTreeMap<Pid, Vec<(String, Vec<u8>)>>;

/// Every receipt in the receipts files of a medium, by paper, newest session last; and the files with a fault, of which what stands before
/// it was taken.
fn receipts_on(medium: &Path, staging: &Path) -> Checked<(Brought, Vec<(String, Fault)>)> {
    if !medium.is_dir() {
        return Err(Fault::new(Rule::NotFound, format!("{}: no folder is there; a medium expected", medium.display())));
    }
    let (mut out, mut listed) = (Brought::new(), Vec::new());
    let results = medium.join(super::emit::RESULTS);
    let mut files: Vec<PathBuf> = match fs::read_dir(&results) {
        Ok(entries) => entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(file_fault(&results, &error)),
    };
    files.retain(|path| path.extension().is_some_and(|extension| extension == "receipts"));
    files.sort();
    for path in files {
        let shown = shown(&path);
        let read = read_one(&path, staging).and_then(|file| take_receipts(&file, &mut out));
        listed.extend(read.err().map(|fault| (shown, fault)));
    }
    Ok((out, listed))
}

fn take_receipts(file: &RawFile, out: &mut Brought) -> Checked<()> {
    let bytes = file.bytes(RECEIPTS_BYTES_MAX as usize, Rule::FileUnreadable)?;
    let mut at = 0;
    while at < bytes.len() {
        let cut = || Fault::new(Rule::BundleCut, format!("offset {at}: the receipt that begins here breaks off"));
        let within = |fault: Fault| fault.within(format_args!("the receipt at offset {at}"));
        let len = item_len(&bytes[at..]).map_err(within)?.ok_or_else(cut)?;
        let mut r = Reader::new(&bytes[at..at + len]);
        r.array_of(2).map_err(within)?;
        let pid = r.hash().map_err(within)?;
        let receipt = r.bytes().map_err(within)?.to_vec();
        out.entry(pid).or_default().push((file.path().to_owned(), receipt));
        at += len;
    }
    Ok(())
}

/// Removes inbox files that hold nothing but our own papers, all of them final.
fn clear(medium: &Path, staging: &Path, papers: &[Collected]) -> Checked<Vec<String>> {
    let done = |pid: &Pid| papers.iter().any(|paper| paper.pid == *pid && paper.receipt.as_ref().is_some_and(is_final));
    let own = staging.join("inbox");
    make_folder(&own)?;
    let mut cleared = Vec::new();
    for file in scan(medium, &own)?.files.iter().filter(|file| file.path().starts_with(INBOX)) {
        let (mut all, mut any) = (matches!(file.kind(), FileKind::Bundle | FileKind::Paper), false);
        if !all {
            continue;
        }
        let cut = read_bundle(file, &mut |item| {
            if let BundleItem::Paper(bytes) = item {
                any = true;
                all &= Envelope::from_brought(&bytes).is_ok_and(|envelope| done(&envelope.pid()));
            }
            Ok(())
        })?;
        // A path that had to be escaped to be shown is not one to be opened.
        if all && any && cut.is_none() && !file.path().contains('\\') {
            let path = medium.join(file.path());
            fs::remove_file(&path).map_err(|error| Fault::new(Rule::MediumFault, format!("{}: {error}", path.display())))?;
            cleared.push(file.path().to_owned());
        }
    }
    Ok(cleared)
}

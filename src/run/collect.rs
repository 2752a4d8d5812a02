//! What a proposer does last: take receipts home, learn what became of each paper, and clear what is done.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::core::bundle::FileKind;
use crate::core::cbor::{Reader, item_len};
use crate::core::cose::Envelope;
use crate::core::ids::{Hash, Pid};
use crate::core::pin::Pin;
use crate::core::proposal::{Entry, Operation, Proposal, TREE_MEDIA_TYPE};
use crate::core::rules::{Checked, Fault, Outcome, Rule};
use crate::media::bundle_file::{BundleItem, read_bundle};
use crate::media::publish::remove_files;
use crate::media::scan::{RECEIPTS_BYTES_MAX, RawFile, Scanned, read_one, scan};

use super::consumer::{Receipt, verify_receipt};
use super::emit::RESULTS;
use super::files::{make_folder, staging, write_bytes};
use super::foreseen::{Asked, Foreseen, foreseen};
use super::home::{self, INBOX};
use super::problem::Outcomes;

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
    /// What was expected of it, beside the receipt; a fault when the file at home is not whole.
    pub foreseen: Checked<Option<Foreseen>>,
    /// Whether it came just now.
    pub is_new: bool,
    /// Where it is kept.
    pub kept: PathBuf,
}

/// What a collection found.
pub struct Collection {
    /// Every own paper, by sequence.
    pub papers: Vec<Collected>,
    /// Files cleared from the inbox: every paper in them was ours and is done.
    pub cleared: Vec<String>,
    /// What was passed over in the results, with the reason: files that are no receipts, and receipts for our papers that do not verify.
    pub listed: Vec<(String, Fault)>,
}

/// Verifies receipts on a medium, keeps those of papers proposed from here, and clears from the inbox what is ours and done.
///
/// # Errors
/// `not-found`, `medium-fault`, `file-fault`. What does not verify is listed, and keeps nothing else from being collected.
pub fn collect(medium: &Path, pin: &Pin, home: &Path) -> Outcomes<Collection> {
    let staging = staging()?;
    let own = home::papers(home)?;
    let scanned = scan(medium, staging.path())?;
    let (brought, mut listed) = receipts_on(medium, &scanned, staging.path())?;
    let (mut papers, mut asked) = (Vec::new(), Asked::new(medium, pin));
    for (path, parsed) in &own {
        let pid = parsed.pid();
        let kept_at = path.with_extension("receipt");
        let kept = std::fs::read(&kept_at).ok();
        let candidates = brought.get(&pid).into_iter().flatten();
        let mut best = kept.clone();
        for (from, bytes) in candidates {
            let receipt = match verify_receipt(bytes, pin).and_then(|receipt| check_belongs(&receipt, &pid).map(|()| receipt)) {
                Ok(receipt) => receipt,
                Err(fault) => {
                    listed.push((from.clone(), fault.within(format_args!("the receipt of paper {}", pid.tiny()))));
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
        let foreseen = receipt.as_ref().map_or(Ok(None), |receipt| foreseen(home, parsed, receipt, &mut asked));
        let proposal = parsed.proposal().clone();
        papers.push(Collected { pid, sequence: proposal.sequence, proposal, receipt, foreseen, is_new, kept: kept_at });
    }
    let cleared = clear(medium, &scanned, &papers, staging.path())?;
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
        Receipt::Answered(note) => note.outcome == Outcome::Refused,
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

/// Every receipt in the results of a medium, by paper; and the files with a fault, of which what stands before it was taken.
fn receipts_on(medium: &Path, scanned: &Scanned, staging: &Path) -> Checked<(Brought, Vec<(String, Fault)>)> {
    let (mut out, mut listed) = (Brought::new(), Vec::new());
    if !scanned.published.iter().any(|folder| folder == RESULTS) {
        return Ok((out, listed));
    }
    let own = staging.join("results");
    make_folder(&own)?;
    let results = scan(&medium.join(RESULTS), &own)?;
    let shown = |path: &str| format!("{RESULTS}/{path}");
    for file in results.files.iter().filter(|file| file.kind() == FileKind::Receipts) {
        let cut = take_receipts(file, &shown(file.path()), &mut out).err();
        listed.extend(cut.map(|fault| (shown(file.path()), fault)));
    }
    let receipts = results.ignored.iter().filter(|ignored| ignored.path.ends_with(".receipts"));
    listed.extend(receipts.map(|ignored| (shown(&ignored.path), ignored.fault.clone())));
    Ok((out, listed))
}

fn take_receipts(file: &RawFile, path: &str, out: &mut Brought) -> Checked<()> {
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
        out.entry(pid).or_default().push((path.to_owned(), receipt));
        at += len;
    }
    Ok(())
}

/// Whether a path is one that `propose` writes: another is shown, and perhaps escaped, but never opened to remove it.
fn is_of_our_form(path: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._@-".contains(&b);
    path.split('/').all(|segment| !segment.ends_with('.') && segment.bytes().all(fits))
}

/// Removes inbox files that hold nothing but our own papers, all of them final, and their content. Content that none of these papers names
/// was put there by somebody else, perhaps for a paper that waits. What is there now must be what was scanned.
fn clear(medium: &Path, scanned: &Scanned, papers: &[Collected], staging: &Path) -> Checked<Vec<String>> {
    let mut cleared = Vec::new();
    for file in scanned.files.iter().filter(|file| file.path().starts_with(INBOX) && is_of_our_form(file.path())) {
        if !is_ours_and_done(file, papers)? {
            continue;
        }
        if read_one(&medium.join(file.path()), staging).is_ok_and(|now| now.sha256() == file.sha256()) {
            remove_files(medium, [file.path()], &mut |_, _| {})?;
            cleared.push(file.path().to_owned());
        }
    }
    Ok(cleared)
}

fn is_ours_and_done(file: &RawFile, papers: &[Collected]) -> Checked<bool> {
    if !matches!(file.kind(), FileKind::Bundle | FileKind::Paper) {
        return Ok(false);
    }
    let done = |pid: &Pid| papers.iter().find(|paper| paper.pid == *pid && paper.receipt.as_ref().is_some_and(is_final));
    let (mut inside, mut objects, mut all) = (Vec::new(), Vec::new(), true);
    let cut = read_bundle(file, &mut |item| {
        match item {
            BundleItem::Object(object) => objects.push(object.sha256),
            BundleItem::Paper(bytes) => match Envelope::from_brought(&bytes).ok().and_then(|envelope| done(&envelope.pid())) {
                Some(paper) => inside.push(paper),
                None => all = false,
            },
        }
        Ok(())
    })?;
    let puts = inside.iter().flat_map(|paper| &paper.proposal.operations).filter_map(|operation| match operation {
        Operation::Put { entry, .. } => Some(entry),
        _ => None,
    });
    let entries: Vec<&Entry> = puts.collect();
    // A tree names more objects than its paper does.
    let named = |hash: &Hash| entries.iter().any(|entry| entry.sha256 == *hash || entry.media_type.as_str() == TREE_MEDIA_TYPE);
    Ok(all && !inside.is_empty() && cut.is_none() && objects.iter().all(named))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::cbor::Canonical as _;
    use crate::core::cose::{PaperKind, Signer};
    use crate::core::ids::Head;
    use crate::core::note::VerdictNote;

    fn refused(proposal: &Proposal) -> Collected {
        let pid = Hash::of(&proposal.to_cbor());
        let note = VerdictNote {
            origin: proposal.origin.clone(),
            pid,
            outcome: Outcome::Refused,
            rule: Rule::NoRule,
            head_before: proposal.base,
            session: 1,
            policy: Hash::ZERO,
            detail: "name docs/a".into(),
        };
        let receipt = Some(Receipt::Answered(note));
        Collected {
            pid,
            sequence: proposal.sequence,
            proposal: proposal.clone(),
            receipt,
            is_new: true,
            kept: PathBuf::new(),
            foreseen: Ok(None),
        }
    }

    #[test]
    fn a_file_that_changed_since_it_was_scanned_is_not_cleared() {
        let (medium, staging) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let operation = Operation::Remove { name: "docs/a".parse().unwrap(), expect: None };
        let proposal = Proposal {
            origin: "witness.example/common".parse().unwrap(),
            author: "alice".parse().unwrap(),
            sequence: 1,
            base: Head { number: 1, root: Hash::ZERO },
            operations: vec![operation],
            last_number: None,
            after: Vec::new(),
            note: None,
        };
        let signed = |proposal: &Proposal| {
            let signers = vec![Signer { kid: Hash::ZERO, signature: [1; 64] }];
            Envelope { kind: PaperKind::Proposal, payload: proposal.to_cbor(), signers }.to_cbor()
        };
        let (envelope, other) = (signed(&proposal), signed(&Proposal { sequence: 2, ..proposal.clone() }));
        let inbox = medium.path().join(INBOX);
        std::fs::create_dir_all(&inbox).unwrap();
        for name in ["kept", "done"] {
            std::fs::write(inbox.join(name), &envelope).unwrap();
        }
        let scanned = scan(medium.path(), staging.path()).unwrap();
        std::fs::write(inbox.join("kept"), other).unwrap();
        let cleared = clear(medium.path(), &scanned, &[refused(&proposal)], staging.path());
        assert_eq!(cleared, Ok(vec!["tabellion/inbox/done".to_owned()]));
        assert!(inbox.join("kept").exists() && !inbox.join("done").exists());
    }
}

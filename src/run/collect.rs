//! What a proposer does last: take receipts home, learn what became of each paper, and clear what is done.

use std::collections::BTreeMap;
use std::path::Path;

use crate::core::bundle::FileKind;
use crate::core::cbor::{Reader, item_len};
use crate::core::cose::Envelope;
use crate::core::ids::Pid;
use crate::core::limits::NOTE_BYTES_MAX;
use crate::core::pin::Pin;
use crate::core::proposal::Proposal;
use crate::core::rules::{Checked, Fault, Outcome, Rule};
use crate::media::bundle_file::{BundleItem, read_bundle};
use crate::media::publish::remove_files;
use crate::media::scan::{Scanned, scan};

use super::consumer::{Receipt, verify_receipt};
use super::emit::RESULTS;
use super::files::{make_folder, staging, write_bytes};
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
    /// Whether it came just now.
    pub is_new: bool,
}

/// What a collection found.
pub struct Collection {
    /// Every own paper, by sequence.
    pub papers: Vec<Collected>,
    /// Files cleared from the inbox: every paper in them was ours and is done.
    pub cleared: Vec<String>,
}

/// Verifies receipts on a medium, keeps those of papers proposed from here, and clears from the inbox what is ours and done.
///
/// # Errors
/// `not-found`, `medium-fault`; a receipt that does not verify stops the collection, nothing is cleared then.
pub fn collect(medium: &Path, pin: &Pin, home: &Path) -> Outcomes<Collection> {
    let staging = staging()?;
    let own = home::papers(home)?;
    let scanned = scan(medium, staging.path())?;
    let brought = receipts_on(medium, &scanned, staging.path())?;
    let mut papers = Vec::new();
    for (path, parsed) in &own {
        let pid = parsed.pid();
        let kept_at = path.with_extension("receipt");
        let kept = std::fs::read(&kept_at).ok();
        let candidates = brought.get(&pid).into_iter().flatten();
        let mut best = kept.clone();
        for bytes in candidates {
            let receipt = verify_receipt(bytes, pin)?;
            check_belongs(&receipt, &pid)?;
            let known = best.as_ref().and_then(|best| verify_receipt(best, pin).ok());
            if known.is_none_or(|known| rank(&receipt) > rank(&known)) {
                best = Some(bytes.clone());
            }
        }
        let is_new = best != kept;
        if let Some(bytes) = best.as_ref().filter(|_| is_new) {
            write_bytes(&kept_at, bytes)?;
        }
        let receipt = best.map(|bytes| verify_receipt(&bytes, pin)).transpose()?;
        let proposal = parsed.proposal().clone();
        papers.push(Collected { pid, sequence: proposal.sequence, proposal, receipt, is_new });
    }
    let cleared = clear(medium, &scanned, &papers)?;
    Ok(Collection { papers, cleared })
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

/// Every receipt in the results of a medium, by paper.
fn receipts_on(medium: &Path, scanned: &Scanned, staging: &Path) -> Checked<BTreeMap<Pid, Vec<Vec<u8>>>> {
    let mut out: BTreeMap<Pid, Vec<Vec<u8>>> = BTreeMap::new();
    if !scanned.published.iter().any(|folder| folder == RESULTS) {
        return Ok(out);
    }
    let own = staging.join("results");
    make_folder(&own)?;
    for file in scan(&medium.join(RESULTS), &own)?.files.iter().filter(|file| file.kind() == FileKind::Receipts) {
        let bytes = file.bytes(256 * NOTE_BYTES_MAX, Rule::FileUnreadable)?;
        let mut at = 0;
        while at < bytes.len() {
            let cut = |why: String| Fault::new(Rule::BundleCut, format!("{}: the receipt at byte {at} {why}", file.path()));
            let len = item_len(&bytes[at..]).map_err(|fault| cut(fault.found))?.ok_or_else(|| cut("breaks off".into()))?;
            let mut r = Reader::new(&bytes[at..at + len]);
            r.array_of(2)?;
            let pid = r.hash()?;
            out.entry(pid).or_default().push(r.bytes()?.to_vec());
            at += len;
        }
    }
    Ok(out)
}

/// Removes inbox files that hold nothing but our own papers, all of them final.
fn clear(medium: &Path, scanned: &Scanned, papers: &[Collected]) -> Checked<Vec<String>> {
    let done = |pid: &Pid| papers.iter().any(|paper| paper.pid == *pid && paper.receipt.as_ref().is_some_and(is_final));
    let mut cleared = Vec::new();
    for file in scanned.files.iter().filter(|file| file.path().starts_with(INBOX)) {
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
        if all && any && cut.is_none() {
            remove_files(medium, [file.path()], &mut |_, _| {})?;
            cleared.push(file.path().to_owned());
        }
    }
    Ok(cleared)
}

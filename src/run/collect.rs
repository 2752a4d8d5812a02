//! What a proposer does last: take receipts home, learn what became of each paper, and clear what is done.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::core::bundle::FileKind;
use crate::core::cbor::{Reader, item_len};
use crate::core::cose::Envelope;
use crate::core::ids::Pid;
use crate::core::pin::Pin;
use crate::core::proposal::Proposal;
use crate::core::rules::{Checked, Fault, Outcome, Rule};
use crate::media::bundle_file::{BundleItem, read_bundle};
use crate::media::publish::remove_files;
use crate::media::scan::{RECEIPTS_BYTES_MAX, RawFile, Scanned, scan};

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
    let cleared = clear(medium, &scanned, &papers)?;
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
        if all && any && cut.is_none() && is_of_our_form(file.path()) {
            remove_files(medium, [file.path()], &mut |_, _| {})?;
            cleared.push(file.path().to_owned());
        }
    }
    Ok(cleared)
}

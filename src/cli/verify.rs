//! `verify`: a published folder, a receipt, a proof or a pin. What it says of proofs is in `prove`, of two things or a fork proof in `fork`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::core::note::VerifierKey;
use crate::core::pin::Pin;
use crate::core::rules::{Fault, Rule};
use crate::core::words::words24;
use crate::run::compare::is_fork_proof;
use crate::run::consumer::{Receipt, read_pin, verify_folder_observed, verify_receipt};
use crate::run::content;
use crate::run::files;
use crate::run::policy_file;
use crate::run::problem::{Exit, Outcomes, Problem};
use crate::run::words;

use super::facts::{Broken, Head, Missing, sha256, short};
use super::output::{Answer, Output, Page};
use super::progress::Progress;
use super::{argument, fork, prove};

/// `tabellion verify`
#[derive(Args)]
pub struct VerifyArgs {
    /// A published folder or a medium, a receipt, a proof, or a pin
    what: PathBuf,
    /// Another of them, to compare: checkpoints and receipts too
    other: Option<PathBuf>,
    /// Your pin: the number you trust, from which everything is verified
    #[arg(long, value_name = "FILE", default_value = "common.pin")]
    pin: PathBuf,
    /// With a proof of a name: the file or folder that should be its content
    #[arg(long, value_name = "PATH")]
    content: Option<PathBuf>,
    /// The witness's log key, instead of the pin's; for comparing two, and for a fork proof
    #[arg(long, value_name = "VKEY", value_parser = argument::typed::<VerifierKey>)]
    vkey: Option<VerifierKey>,
    /// Where the proof of a fork goes, when two are compared; fork-N.proof without it
    #[arg(long, value_name = "FILE", requires = "other")]
    out: Option<PathBuf>,
}

/// Verifies whatever is given.
pub fn verify(args: &VerifyArgs, out: &mut Output) -> Outcomes<Exit> {
    if let Some(other) = &args.other {
        let key = fork::key_of(args.vkey.as_ref(), &args.pin)?;
        return fork::verify_two(&args.what, other, &key, args.out.as_ref(), out);
    }
    if args.what.is_dir() {
        out.give(&Whole::of(&args.what, &args.pin, &out.progress(false))?);
        return Ok(Exit::Done);
    }
    let bytes = files::read(&args.what)?;
    if is_fork_proof(&bytes) {
        let key = fork::key_of(args.vkey.as_ref(), &args.pin)?;
        return fork::verify_proof(&args.what, &bytes, &key, out);
    }
    if bytes.starts_with(b"tabellion-pin v1\n") {
        out.give(&ReadPin::of(&read_pin(&args.what)?));
        return Ok(Exit::Done);
    }
    let pin = read_pin(&args.pin)?;
    if let Some(exit) = prove::verify(&args.what, &bytes, &pin, args.content.as_deref(), out)? {
        return Ok(exit);
    }
    let receipt = verify_receipt(&bytes, &pin).map_err(|fault| refused_receipt(&args.what, fault))?;
    out.give(&Proved::of(&receipt, &pin));
    Ok(Exit::Done)
}

fn refused_receipt(path: &Path, fault: Fault) -> Problem {
    let next = match fault.rule {
        Rule::FileUnknown => "name a published folder, a medium that carries one, a receipt as tabellion collect keeps it, or a pin",
        _ => "take the receipt from the medium again, or bring the paper to the witness once more: it gives the same receipt",
    };
    let problem = Problem::from(fault.within(path.display())).advising(next);
    Problem { state: "nothing was written; this file proves nothing".into(), ..problem }
}

/// A pin, as it stands: nothing in it is signed.
#[derive(Serialize)]
#[serde(tag = "kind", rename = "pin")]
struct ReadPin {
    /// The Common.
    origin: String,
    /// The number that is pinned.
    head: Head,
    /// The log key.
    vkey: String,
    /// The charter's fingerprint, 64 hex digits.
    fingerprint: String,
    /// The same as 24 words.
    fingerprint_words: String,
}

impl ReadPin {
    fn of(pin: &Pin) -> ReadPin {
        ReadPin {
            origin: pin.origin.to_string(),
            head: (&pin.head).into(),
            vkey: pin.vkey.to_string(),
            fingerprint: pin.fingerprint.hex(),
            fingerprint_words: words24(&pin.fingerprint),
        }
    }
}

impl Answer for ReadPin {
    fn say(&self, page: &mut Page) {
        page.labelled("whole", format!("pin of {} of {}", self.head, self.origin));
        page.line(format!("fingerprint {}", self.fingerprint));
        page.line(format!("in words    {}", self.fingerprint_words));
    }
}

/// What a receipt proves.
#[derive(Serialize)]
#[serde(tag = "kind", rename = "receipt")]
struct Proved {
    /// `sha256:` of the paper's payload.
    paper: String,
    /// `accepted`, `refused`, `pending` or `deferred`.
    verdict: &'static str,
    /// The session that answered.
    session: u64,
    /// The log key that signed.
    vkey: String,
    /// What became of an accepted paper.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<Recorded>,
    /// Why a paper was not accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    broken: Option<Broken>,
}

/// The record of an accepted paper.
#[derive(Serialize)]
struct Recorded {
    /// N of `common@N`.
    number: u64,
    /// The signed head that the record is proved in.
    head: Head,
    /// The state root after it.
    state_root: String,
    /// SHA-256 of the policy it was judged by.
    policy: String,
}

impl Proved {
    fn of(receipt: &Receipt, pin: &Pin) -> Proved {
        let vkey = pin.vkey.to_string();
        match receipt {
            Receipt::Accepted(record, head) => Proved {
                paper: sha256(&record.pid),
                verdict: "accepted",
                session: record.session,
                vkey,
                record: Some(Recorded {
                    number: record.number,
                    head: head.into(),
                    state_root: sha256(&record.state_root),
                    policy: sha256(&record.policy),
                }),
                broken: None,
            },
            Receipt::Answered(note) => Proved {
                paper: sha256(&note.pid),
                verdict: note.outcome.word(),
                session: note.session,
                vkey,
                record: None,
                broken: Some(Broken::of(note.rule, &note.detail)),
            },
        }
    }
}

impl Answer for Proved {
    fn say(&self, page: &mut Page) {
        let (paper, session) = (self.paper.trim_start_matches("sha256:"), self.session);
        if let Some(record) = &self.record {
            page.labelled("proved", format!("paper {paper} became common@{} in session {session}", record.number));
            page.labelled("by", format!("an inclusion proof in {}, signed by {}", record.head, self.vkey));
            let state_root = record.state_root.trim_start_matches("sha256:");
            page.labelled("records", format!("state root {state_root}, policy {}", short(&record.policy)));
        }
        if let Some(broken) = &self.broken {
            page.labelled("proved", format!("paper {paper} was {} [{}] in session {session}", self.verdict, broken.rule));
            page.labelled("why", broken.says);
            page.labelled("found", &broken.found);
            page.labelled("next", broken.next);
        }
    }
}

/// A published folder that was verified to the last object.
#[derive(Serialize)]
#[serde(tag = "kind", rename = "folder")]
struct Whole {
    /// The folder.
    folder: String,
    /// The pin's number.
    pin: Head,
    /// The folder's newest.
    head: Head,
    /// Records and papers that were checked.
    records: u64,
    /// Policies that were ever in force, each published as the records have it.
    policies: usize,
    /// Objects compared with their hashes.
    objects: usize,
    /// Trees at the head whose lists of files are there.
    trees: usize,
    /// Files of those trees.
    tree_files: usize,
    /// What names at the head stand for and the folder does not carry as it was signed.
    missing: Vec<Missing>,
}

impl Whole {
    /// Verified to its end before anything is said of it.
    fn of(dir: &Path, pin: &Path, progress: &Progress) -> Outcomes<Whole> {
        let pin = read_pin(pin)?;
        let checked = verify_folder_observed(dir, &pin, &mut |number, last| progress.at(number, last, "checkpoints verified"))?;
        let policies = policy_file::check_published(&checked)?;
        let content = content::verify_content(&checked)?;
        Ok(Whole {
            folder: checked.folder.path().display().to_string(),
            pin: (&pin.head).into(),
            head: (&checked.head).into(),
            records: checked.head.number,
            policies,
            objects: content.objects,
            trees: content.trees,
            tree_files: content.paths,
            missing: content.missing.iter().map(Missing::from).collect(),
        })
    }
}

impl Answer for Whole {
    fn say(&self, page: &mut Page) {
        page.labelled("verified", &self.folder);
        page.labelled("from", format!("{} (your pin)", self.pin));
        page.labelled("to", self.head.to_string());
        page.labelled(
            "checked",
            format!(
                "{} records and papers, their signatures and approvals, every state root, and the checkpoint of every number",
                self.records
            ),
        );
        page.labelled("policies", format!("{}, each as the records have it", self.policies));
        page.labelled("content", format!("{}, each compared with its hash", words::count(self.objects, "object")));
        if self.trees > 0 {
            page.labelled("trees", format!("{} of {}", words::count(self.trees, "tree"), words::count(self.tree_files, "file")));
        }
        for missing in &self.missing {
            let need_not = if missing.reason == "absent" { ", and need not" } else { "" };
            page.labelled("missing", format!("{} {}: {}{need_not}", missing.path, short(&missing.sha256), missing.found));
        }
    }
}

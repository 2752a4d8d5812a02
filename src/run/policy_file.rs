//! Policies where people have them: a text file, the canonical CBOR, or a published folder at a number. And the check of a folder's
//! `policies/` against its records.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::core::cbor::Canonical as _;
use crate::core::ids::Head;
use crate::core::keyring::Roll;
use crate::core::policy::{Policy, check_size};
use crate::core::policy_text::{self, Reason};
use crate::core::rules::{Checked, Fault, Rule};
use crate::core::state::State;

use super::consumer::{number_at, read_pin, state_at};
use super::files;
use super::folder::{CheckedFolder, Folder};
use super::problem::Outcomes;

/// What a policy came from.
pub enum From {
    /// A file of its own.
    File,
    /// A published folder: the policy in force after a number, and the folder's state there.
    Folder {
        /// The number.
        number: u64,
        /// The folder's newest head.
        head: Head,
        /// Common's state at the number.
        state: State,
        /// Every name and key given to somebody up to the folder's end.
        roll: Roll,
    },
}

/// A sound policy, and where it came from.
pub struct PolicySource {
    /// The path as given.
    pub path: PathBuf,
    /// The policy.
    pub policy: Policy,
    /// What it came from.
    pub from: From,
}

impl PolicySource {
    /// Reads the policy of a file, or that of a published folder after `at`, or after the pinned number without one.
    ///
    /// # Errors
    /// `policy-unsound` with the first reason; for a folder everything [`Folder::check`] refuses.
    pub fn read(path: &Path, pin: &Path, at: Option<u64>) -> Outcomes<PolicySource> {
        if path.is_dir() {
            let pin = read_pin(pin)?;
            let checked = Folder::find(path)?.check(&pin)?;
            let number = number_at(&checked, &pin, at)?;
            return Ok(PolicySource::of_folder(path, &checked, number)?);
        }
        let policy = read_file(path)?.map_err(|reasons| first(path, &reasons))?;
        Ok(PolicySource { path: path.to_owned(), policy, from: From::File })
    }

    fn of_folder(path: &Path, checked: &CheckedFolder, number: u64) -> Checked<PolicySource> {
        let (common, head) = (&checked.common, checked.head);
        let from = From::Folder { number, head, state: state_at(common, number), roll: common.roll().clone() };
        Ok(PolicySource { path: path.to_owned(), policy: common.policy_at(number)?.clone(), from })
    }

    /// Common's state, when the policy came from a folder.
    pub fn state(&self) -> Option<&State> {
        match &self.from {
            From::File => None,
            From::Folder { state, .. } => Some(state),
        }
    }

    /// Checks that `next` reuses no name and no key that this policy, or any before it in its folder, gave to somebody.
    ///
    /// # Errors
    /// `policy-unsound` with the name or key.
    pub fn check_reuse(&self, next: &Policy) -> Checked<()> {
        match &self.from {
            From::Folder { roll, .. } => roll.check_reuse(&self.policy, next),
            From::File => {
                let mut roll = Roll::default();
                roll.enter(&self.policy);
                roll.check_reuse(&self.policy, next)
            }
        }
    }
}

fn first(path: &Path, reasons: &[Reason]) -> Fault {
    let first = reasons.first().map(Reason::text).unwrap_or_default();
    let more =
        if reasons.len() > 1 { format!(" (and {} more; tabellion policy check lists them)", reasons.len() - 1) } else { String::new() };
    Fault::new(Rule::PolicyUnsound, format!("{}: {first}{more}", path.display()))
}

/// Reads a policy file, TOML or canonical CBOR; the inner result has the reasons why it is no sound policy.
///
/// # Errors
/// `not-found`, `file-fault`.
pub fn read_file(path: &Path) -> Checked<Result<Policy, Vec<Reason>>> {
    let bytes = files::read(path)?;
    // A canonical policy is a map of seven; no TOML begins with that byte, which is not UTF-8 there.
    if bytes.first() == Some(&0xa7) {
        return Ok(read_cbor(&bytes));
    }
    let reason = |found: &str| vec![Reason { line: None, found: found.to_owned() }];
    Ok(match std::str::from_utf8(&bytes) {
        Ok(text) => policy_text::parse_all(text),
        Err(_) => Err(reason("it is neither a text in UTF-8 nor a policy in canonical CBOR")),
    })
}

fn read_cbor(bytes: &[u8]) -> Result<Policy, Vec<Reason>> {
    let reason = |found: String| Reason { line: None, found };
    let policy = Policy::from_cbor(bytes).map_err(|fault| vec![reason(fault.shown().to_owned())])?;
    let mut reasons: Vec<Reason> = policy.unsound().into_iter().map(|unsound| reason(unsound.reason)).collect();
    reasons.extend(check_size(&policy).err().map(|fault| reason(fault.found)));
    if reasons.is_empty() { Ok(policy) } else { Err(reasons) }
}

/// Compares a folder's `policies/` with its records: each policy that was ever in force is there in both forms, and no other is.
///
/// # Errors
/// `folder-incomplete` when one is missing; `proof-fails` when one differs, or was never in force.
pub fn check_published(checked: &CheckedFolder) -> Checked<usize> {
    let mut expected: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut count = 0;
    for (_, policy) in checked.common.policies() {
        let hash = policy.hash();
        expected.insert(format!("{hash}.cbor"), policy.to_cbor());
        count += usize::from(expected.insert(format!("{hash}.toml"), policy_text::print(policy).into_bytes()).is_none());
    }
    let folder = checked.folder.path().join("policies");
    for (name, bytes) in &expected {
        let path = folder.join(name);
        let missing = |reason: String| Fault::new(Rule::FolderIncomplete, format!("{}: {reason}", path.display()));
        let unreadable = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => missing("nothing is there; a file expected".into()),
            _ => missing(error.to_string()),
        };
        let metadata = fs::metadata(&path).map_err(unreadable)?;
        if !metadata.is_file() || metadata.len() != bytes.len() as u64 {
            return Err(differs(&path, format_args!("{} bytes found", metadata.len()), format_args!("a file of {} bytes", bytes.len())));
        }
        if fs::read(&path).map_err(unreadable)? != *bytes {
            return Err(differs(&path, "other bytes found", "those of the policy in the records"));
        }
    }
    let listed = fs::read_dir(&folder).map_err(|error| Fault::new(Rule::FolderIncomplete, format!("{}: {error}", folder.display())))?;
    for name in listed.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let looks_like_one = name.split_once('.').is_some_and(|(stem, ending)| stem.len() == 64 && matches!(ending, "cbor" | "toml"));
        if looks_like_one && !expected.contains_key(&name) {
            return Err(differs(&folder.join(name), "a policy that was never in force found", "only those that were, by the records,"));
        }
    }
    Ok(count)
}

fn differs(path: &Path, found: impl std::fmt::Display, expected: impl std::fmt::Display) -> Fault {
    Fault::new(Rule::ProofFails, format!("{}: {found}; {expected} expected", path.display()))
}

//! What the desk tells whoever listens, beside what the ledger tells itself: papers, media, heads and halts (`docs/logs.md`).
//!
//! Nothing here decides anything, and nothing decides on what is written here. No secret passes through this file: it is given papers,
//! verdicts and faults, never a key or a passphrase.

use std::fs::{File, Metadata};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use tracing::{error, info, warn};

use crate::core::cbor::Canonical as _;
use crate::core::head::HeadFile;
use crate::core::payload::Ruling;
use crate::core::proposal::Proposal;
use crate::core::rules::{Checked, Fault, Outcome, Rule};

use super::bag::Listed;
use super::files::file_fault;

/// How every line of ours begins: what a file must begin with so that it is appended to.
const LINE_BEGINS: &[u8] = b"{\"timestamp\":\"";

/// The answers of a session that is committed.
pub fn papers(session: u64, rulings: &[Ruling]) {
    for ruling in rulings {
        let pid = ruling.pid.hex();
        let author = Proposal::from_cbor(&ruling.envelope.payload).map_or("charter".to_owned(), |proposal| proposal.author.to_string());
        let (verdict, rule) = (ruling.verdict.word(), ruling.verdict.rule().map_or("", Rule::id));
        match (&ruling.record, ruling.verdict.outcome()) {
            (Some(record), _) => info!(target: "desk", session, pid, author, verdict, number = record.number, "paper accepted"),
            (None, Some(Outcome::Refused)) => {
                warn!(target: "desk", session, pid, author, verdict, rule, detail = ruling.verdict.detail(), "paper refused");
            }
            _ => info!(target: "desk", session, pid, author, verdict, rule, detail = ruling.verdict.detail(), "paper held"),
        }
    }
}

/// What the media brought that was passed over.
pub fn listed(listed: &[Listed]) {
    for file in listed {
        warn!(target: "desk", path = file.path, rule = file.fault.rule.id(), found = %file.fault.found, "file listed");
    }
}

/// What became of writing to each medium.
pub fn media(media: &[(PathBuf, Checked<()>)]) {
    for (path, outcome) in media {
        let medium = path.display();
        match outcome {
            Ok(()) => info!(target: "desk", %medium, "medium written"),
            Err(fault) => warn!(target: "desk", %medium, rule = fault.rule.id(), found = %fault.found, "medium given up"),
        }
    }
}

/// The head file against the ledger: both values, whether they agree or not.
pub fn head_compared(found: Option<&HeadFile>, expected: &HeadFile, outcome: &Checked<bool>) {
    let hash = |head: Option<&HeadFile>| head.map_or("none".to_owned(), |head| hex::encode(head.closed));
    let number = |head: Option<&HeadFile>| head.map_or(0, |head| head.head.number);
    let (found_number, expected_number) = (number(found), expected.head.number);
    let (found_hash, expected_hash) = (hash(found), hash(Some(expected)));
    match outcome {
        Ok(behind) => info!(target: "desk", behind, found_number, expected_number, found_hash, expected_hash, "head compared"),
        Err(fault) => {
            let rule = fault.rule.id();
            error!(target: "desk", rule, found = %fault.found, found_number, expected_number, found_hash, expected_hash, "head mismatch");
        }
    }
}

/// The desk halts itself.
pub fn halted(fault: &Fault, dossier: &str) {
    error!(target: "desk", rule = fault.rule.id(), found = %fault.found, dossier, "desk halted");
}

/// Opens a log to append to: made for its owner alone, nothing followed, and nothing appended to what is no log of ours.
///
/// # Errors
/// `file-fault` with what is there.
pub fn open(path: &Path) -> Checked<File> {
    match path.symlink_metadata() {
        Ok(there) => plain(path, &there)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(file_fault(path, &error)),
    }
    // It could have been replaced since: NOFOLLOW and NONBLOCK keep the open harmless, and what was opened is looked at once more.
    let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR);
    let mut file = File::from(opened.map_err(|errno| file_fault(path, &errno.into()))?);
    let fault = |error: std::io::Error| file_fault(path, &error);
    let metadata = file.metadata().map_err(fault)?;
    plain(path, &metadata)?;
    if metadata.len() == 0 {
        return Ok(file);
    }
    let mut begins = vec![0; LINE_BEGINS.len().min(usize::try_from(metadata.len()).unwrap_or(usize::MAX))];
    file.read_exact(&mut begins).map_err(fault)?;
    if begins != LINE_BEGINS {
        let found = format!(
            "{}: a file that begins with {:?} found; a log or an empty file expected",
            path.display(),
            String::from_utf8_lossy(&begins)
        );
        return Err(Fault::new(Rule::FileFault, found));
    }
    // Power may have failed within a line: the next one does not continue it.
    let mut last = [0];
    file.seek(SeekFrom::End(-1)).and_then(|_| file.read_exact(&mut last)).map_err(fault)?;
    if last != *b"\n" {
        file.write_all(b"\n").map_err(fault)?;
    }
    Ok(file)
}

fn plain(path: &Path, metadata: &Metadata) -> Checked<()> {
    use std::os::unix::fs::MetadataExt as _;
    let kind = metadata.file_type();
    let found = match metadata.nlink() {
        1 if kind.is_file() => return Ok(()),
        links if kind.is_file() => format!("a file with {links} names"),
        _ if kind.is_symlink() => "a symbolic link".to_owned(),
        _ if kind.is_dir() => "a folder".to_owned(),
        _ => "a pipe, socket or device".to_owned(),
    };
    Err(Fault::new(Rule::FileFault, format!("{}: {found} found; a plain file with one name expected", path.display())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_log_is_made_for_its_owner_alone_and_appended_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        open(&path).unwrap().write_all(b"{\"timestamp\":\"x\"}\n").unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        open(&path).unwrap().write_all(b"{\"timestamp\":\"torn").unwrap();
        open(&path).unwrap().write_all(b"{}\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"timestamp\":\"x\"}\n{\"timestamp\":\"torn\n{}\n");
    }

    #[test]
    fn nothing_is_followed_and_nothing_else_is_appended_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("ledger.db"), "SQLite format 3\0").unwrap();
        std::fs::write(path("short"), "{").unwrap();
        std::fs::write(path("log"), "").unwrap();
        std::fs::hard_link(path("log"), path("second")).unwrap();
        std::os::unix::fs::symlink("nowhere", path("link")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
        for (name, found) in [
            ("ledger.db", "begins with \"SQLite format"),
            ("short", "begins with \"{\""),
            ("second", "a file with 2 names found"),
            ("link", "a symbolic link found"),
            ("pipe", "a pipe, socket or device found"),
            (".", "a folder found"),
        ] {
            let fault = open(&path(name)).unwrap_err();
            assert_eq!(fault.rule, Rule::FileFault, "{name}");
            assert!(fault.found.contains(found), "{name}: {fault}");
        }
        assert_eq!(std::fs::read(path("ledger.db")).unwrap(), b"SQLite format 3\0");
        assert!(!path("nowhere").exists());
        assert_eq!(open(&path("no/log")).unwrap_err().rule, Rule::NotFound);
    }
}

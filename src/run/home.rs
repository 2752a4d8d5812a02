//! A proposer's home: the folder of the pin. Beside the pin lies `papers/`: a copy of each paper that was proposed from here (`<pid>.cose`),
//! and the receipt that came back (`<pid>.receipt`).

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::core::ids::Pid;
use crate::core::rules::Checked;
use crate::core::verify::{self, Parsed};

use super::files::{self, file_fault, write_bytes};

/// Folder of a proposer's papers, beside the pin.
const PAPERS: &str = "papers";
/// Where bundles go on a medium.
pub const INBOX: &str = "tabellion/inbox";

/// The papers kept at home with their files, by sequence.
///
/// # Errors
/// `file-fault`; parse faults of a file that is no paper.
pub fn papers(home: &Path) -> Checked<Vec<(PathBuf, Parsed)>> {
    let folder = home.join(PAPERS);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(file_fault(&folder, &error)),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>();
    let paths = paths.map_err(|error| file_fault(&folder, &error))?;
    let mut out = Vec::new();
    for path in paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "cose")) {
        let bytes = files::read(&path)?;
        out.push((path, verify::parse(&bytes)?));
    }
    out.sort_by_key(|(_, parsed)| (parsed.proposal().sequence, parsed.pid()));
    Ok(out)
}

/// Keeps a copy of a paper.
///
/// # Errors
/// `file-fault`.
pub fn keep(home: &Path, pid: &Pid, bytes: &[u8]) -> Checked<()> {
    let folder = home.join(PAPERS);
    write_bytes(&folder.join(format!("{pid}.cose")), bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::rules::Rule;

    // Papers that cannot be seen are not none: the next sequence number would be one that is used.
    #[test]
    fn a_folder_of_papers_that_cannot_be_listed_is_a_fault_and_a_missing_one_is_empty() {
        let home = tempfile::tempdir().unwrap();
        assert!(papers(home.path()).unwrap().is_empty());
        fs::write(home.path().join(PAPERS), b"a file where the folder goes").unwrap();
        let fault = papers(home.path()).unwrap_err();
        assert_eq!(fault.rule, Rule::FileFault);
        assert!(fault.found.starts_with(&home.path().join(PAPERS).display().to_string()), "{fault}");
    }
}

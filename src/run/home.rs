//! A proposer's home: the folder of the pin. Beside the pin lies `papers/`: a copy of each paper that was proposed from here (`<pid>.cose`),
//! what may be expected of it (`<pid>.expected`), and the receipt that came back (`<pid>.receipt`).

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::core::expected::Expected;
use crate::core::ids::Pid;
use crate::core::rules::{Checked, Fault, Rule};
use crate::core::verify::{self, Parsed};

use super::files::{self, file_fault, write_bytes};

/// Folder of a proposer's papers, beside the pin.
const PAPERS: &str = "papers";
/// Where bundles go on a medium.
pub const INBOX: &str = "tabellion/inbox";

/// The home of a pin.
pub fn of_pin(pin: &Path) -> PathBuf {
    pin.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

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

/// Keeps what may be expected of a paper.
///
/// # Errors
/// `file-fault`.
pub fn keep_expected(home: &Path, pid: &Pid, expected: &Expected) -> Checked<()> {
    write_bytes(&home.join(PAPERS).join(format!("{pid}.expected")), expected.text().as_bytes())
}

/// What was expected of a paper, if anything was.
///
/// # Errors
/// `file-fault`, also with the line that is not of its form.
pub fn expected(home: &Path, pid: &Pid) -> Checked<Option<Expected>> {
    let path = home.join(PAPERS).join(format!("{pid}.expected"));
    let bytes = match files::read(&path) {
        Ok(bytes) => bytes,
        Err(fault) if fault.rule == Rule::NotFound => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let text = String::from_utf8(bytes).map_err(|_| Fault::new(Rule::FileFault, format!("{}: not UTF-8", path.display())))?;
    Expected::parse(&text).map(Some).map_err(|fault| fault.within(path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

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

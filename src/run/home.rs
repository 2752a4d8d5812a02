//! A proposer's home: the folder of the pin. Beside the pin lies `papers/`: a copy of each paper that was proposed from here (`<pid>.cose`),
//! and the receipt that came back (`<pid>.receipt`).

use std::fs;
use std::path::{Path, PathBuf};

use crate::core::ids::Pid;
use crate::core::rules::Checked;
use crate::core::verify::{self, Parsed};

use super::files::{self, write_bytes};

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

/// Keeps a copy of a paper.
///
/// # Errors
/// `file-fault`.
pub fn keep(home: &Path, pid: &Pid, bytes: &[u8]) -> Checked<()> {
    let folder = home.join(PAPERS);
    write_bytes(&folder.join(format!("{pid}.cose")), bytes)
}

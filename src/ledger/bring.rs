//! Content that must be there before the commit that names it: a file that is whole and synced gets its name.

use std::fs;
use std::path::{Component, Path};

use super::head_file::sync_dir;
use super::{disk_fault, file_fault};
use crate::core::rules::{Checked, Fault, Rule};

/// The only folder below the ledger's that a file is brought from and to.
const CONTENT: &str = "objects";

/// Renames a file below the ledger's folder, both names in its folder for content, and syncs the name. What had the name before has it no more.
///
/// # Errors
/// `request-bounds` for a name that leads elsewhere; `file-fault` when no plain file is there; `disk-fault`.
pub fn move_into_place(dir: &Path, from: &Path, to: &Path) -> Checked<()> {
    [from, to].into_iter().try_for_each(must_be_content)?;
    let (from, to) = (dir.join(from), dir.join(to));
    let found = from.symlink_metadata().map_err(|error| file_fault(&from, error))?;
    if !found.is_file() {
        return Err(file_fault(&from, format!("{:?} found; a plain file expected", found.file_type())));
    }
    fs::rename(&from, &to).map_err(|error| disk_fault(&to, &error))?;
    to.parent().map_or(Ok(()), sync_dir)
}

fn must_be_content(path: &Path) -> Checked<()> {
    let mut parts = path.components();
    let begins = parts.next() == Some(Component::Normal(CONTENT.as_ref()));
    let mut below = parts.peekable();
    if begins && below.peek().is_some() && below.all(|part| matches!(part, Component::Normal(_))) {
        return Ok(());
    }
    let found = format!("{} found; a path below {CONTENT} expected", path.display());
    Err(Fault::new(Rule::RequestBounds, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_move_within_the_folder_for_content_and_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("objects/000")).unwrap();
        let fresh = dir.path().join("objects/fresh");
        let moved = |from: &str, to: &str| {
            fs::write(&fresh, "new").unwrap();
            move_into_place(dir.path(), Path::new(from), Path::new(to))
        };
        moved("objects/fresh", "objects/000/pack").unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("objects/000/pack")).unwrap(), "new");
        assert!(!fresh.exists());
        for bad in ["objects", "ledger.db", "objects/../ledger.db", "/objects/pack", "./objects/pack", "objects/./pack/../..", ""] {
            assert_eq!(moved("objects/fresh", bad).unwrap_err().rule, Rule::RequestBounds, "to {bad}");
            assert_eq!(moved(bad, "objects/pack").unwrap_err().rule, Rule::RequestBounds, "from {bad}");
        }
        assert_eq!(moved("objects/missing", "objects/pack").unwrap_err().rule, Rule::FileFault);
        assert_eq!(moved("objects/000", "objects/pack").unwrap_err().rule, Rule::FileFault);
        assert!(!dir.path().join("objects/pack").exists());
    }
}

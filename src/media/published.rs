//! Where on a medium our own published folders lie, and which of their files are read for gossip.
//!
//! They are not searched for papers: what lies there we wrote, or somebody who wants it to be taken for ours.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::core::limits::MEDIUM_DEPTH_MAX;
use crate::core::rules::Rule;

/// The published log (SPEC 8.3).
pub(super) const COMMON: &str = "tabellion/common";
/// The published results (SPEC 8.4).
pub(super) const RESULTS: &str = "tabellion/results";
/// The one file of [`COMMON`] that is listed.
pub(super) const CHECKPOINT: &str = "tabellion/common/checkpoint";
/// Where gossip is looked for: the published folder that must be there, the folder, and how deep below.
const GOSSIP: &[(&str, &str, usize)] =
    &[(COMMON, COMMON, 1), (COMMON, "tabellion/common/rotation", 1), (RESULTS, RESULTS, MEDIUM_DEPTH_MAX)];

/// The files of our published folders to read for gossip, in the order of their names; `there` are the folders that are there, and `list` is
/// told what is not read.
pub(super) fn published_files(root: &Path, most: usize, there: &[String], list: &mut dyn FnMut(&Path, Rule, String)) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let folders = GOSSIP.iter().filter(|(own, _, _)| there.iter().any(|published| published == own));
    let folders: Vec<(&str, usize)> = folders.map(|(_, folder, depth)| (*folder, *depth)).collect();
    for (folder, depth) in folders {
        // A link in the place of the folder is not followed: walkdir would follow one that it is given as its root.
        if !std::fs::symlink_metadata(root.join(folder)).is_ok_and(|metadata| metadata.is_dir()) {
            continue;
        }
        let entries = WalkDir::new(root.join(folder)).follow_links(false).max_depth(depth).max_open(MEDIUM_DEPTH_MAX + 8);
        let mut files = 0;
        for entry in entries.into_iter().filter_map(Result::ok).filter(|entry| !entry.file_type().is_dir()) {
            files += 1;
            if files > most {
                let reason = format!("more than {most} files found, at most {most} allowed; the rest was not read");
                list(Path::new(folder), Rule::FilesTooMany, reason);
                break;
            }
            found.extend(Some(relative_to(root, entry.path()).to_owned()).filter(|path| path != Path::new(CHECKPOINT)));
        }
    }
    found.sort();
    found
}

pub(super) fn relative_to<'a>(root: &Path, path: &'a Path) -> &'a Path {
    match path.strip_prefix(root) {
        Ok(relative) if !relative.as_os_str().is_empty() => relative,
        _ => Path::new("."),
    }
}

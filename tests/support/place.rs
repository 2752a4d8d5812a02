//! Where ledgers of tests lie that ask nothing of a disk.

use std::path::Path;

use tempfile::TempDir;

/// A new folder, in memory where the system has such a place: ledgers sync at every commit, and a disk that others use takes its time.
pub fn memory() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory).or_else(|_| TempDir::new()).unwrap() } else { TempDir::new().unwrap() }
}

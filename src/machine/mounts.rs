//! The file systems of the kernel that the first process needs before anything else, and the end of every mount at power off.

use std::ffi::CStr;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

use crate::core::rules::{Checked, Fault, Rule};

/// Where the data partition is mounted.
pub const DATA: &str = "/data";
/// Below it each stick has a folder of its name.
pub const STICKS: &str = "/sticks";

/// Nothing is run, no device is opened, no program gains rights.
const CLOSED: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// File system, folder, flags, options: in the order in which they are mounted. The terminals come first, so that a later failure can be told.
const BASE: &[(&str, &str, MountFlags, &CStr)] = &[
    ("devtmpfs", "/dev", MountFlags::NOSUID.union(MountFlags::NOEXEC), c"mode=0755"),
    ("proc", "/proc", CLOSED, c""),
    ("sysfs", "/sys", CLOSED, c""),
    ("tmpfs", "/tmp", CLOSED, c"mode=0700,size=32m"),
    ("tmpfs", "/run", CLOSED, c"mode=0755,size=8m"),
    ("securityfs", "/sys/kernel/security", CLOSED, c""),
];

/// Where the firmware's variables are.
pub const EFI_VARIABLES: &str = "/sys/firmware/efi/efivars";

/// Mounts what every later step reads.
///
/// # Errors
/// `machine-fault` with the folder and what the kernel answered.
pub fn base() -> Checked<()> {
    for (kind, folder, flags, options) in BASE {
        std::fs::create_dir_all(folder).map_err(|error| failed(kind, folder, &error))?;
        mount(*kind, *folder, *kind, *flags, *options).map_err(|error| failed(kind, folder, &error.into()))?;
    }
    Ok(())
}

/// Mounts the firmware's variables for reading; `false` where the firmware has none.
pub fn efi_variables() -> bool {
    mount("efivarfs", EFI_VARIABLES, "efivarfs", CLOSED | MountFlags::RDONLY, c"").is_ok()
}

fn failed(kind: &str, folder: &str, error: &std::io::Error) -> Fault {
    Fault::new(Rule::MachineFault, format!("{kind} is not mounted at {folder}: {error}"))
}

/// Writes out and unmounts whatever lies on a disk or stick, the last mounted first. What stays busy is made read-only at least.
/// Answers with the folders that could not be unmounted.
pub fn end_all() -> Vec<PathBuf> {
    rustix::fs::sync();
    let table = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut left = Vec::new();
    for folder in ours(&table) {
        if unmount(&folder, UnmountFlags::NOFOLLOW).is_ok() {
            continue;
        }
        let closed = mount_remount(&folder, CLOSED | MountFlags::NOSYMFOLLOW | MountFlags::RDONLY, c"").is_ok();
        // Nothing of a device that is gone can be written any more: letting go is all that is left to do.
        if !closed {
            let _ = unmount(&folder, UnmountFlags::DETACH);
        }
        left.push(folder);
    }
    rustix::fs::sync();
    left
}

/// The folders of a table of mounts that hold the data partition or a stick, the last mounted first.
fn ours(table: &str) -> Vec<PathBuf> {
    let folders = table.lines().filter_map(|line| line.split(' ').nth(1));
    let mut found: Vec<PathBuf> =
        folders.filter(|at| Path::new(at).starts_with(DATA) || Path::new(at).starts_with(STICKS)).map(PathBuf::from).collect();
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_are_the_data_partition_and_the_sticks_and_the_last_comes_first() {
        let table = "rootfs / rootfs rw 0 0\nproc /proc proc rw 0 0\n/dev/sda2 /data ext4 rw 0 0\n/dev/sdb1 /sticks/sdb1 vfat ro 0 0\ntmpfs /database tmpfs rw 0 0\n/dev/sdc /sticks/sdc exfat rw 0 0\n";
        let expected = ["/sticks/sdc", "/sticks/sdb1", "/data"].map(PathBuf::from);
        assert_eq!(ours(table), expected);
        assert_eq!(ours(""), Vec::<PathBuf>::new());
    }

    #[test]
    fn nothing_mounted_here_runs_a_program_and_only_dev_holds_devices() {
        for (kind, folder, flags, _) in BASE {
            assert!(flags.contains(MountFlags::NOSUID | MountFlags::NOEXEC), "{folder}");
            assert_eq!(flags.contains(MountFlags::NODEV), *kind != "devtmpfs", "{folder}");
        }
    }
}

//! The ledger's disk: which partition it is, whether it is one of ours, and its mount.
//!
//! A partition is looked for by its label alone and known by the file in it; neither is a secret, and neither proves anything: whether its
//! ledger is the right one, the operator says with the last head's words.

use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::core::rules::{Fault, Rule};

use super::block::{Device, devices, node};
use super::mounts::DATA;
use super::probe::{Content, FileSystem, Kind, content, head};

/// Label of the partition's file system.
pub const LABEL: &str = "tabellion-data";
/// The file in its top folder, and how it begins.
const NAME_FILE: (&str, &str) = ("tabellion-data", "tabellion-data/v1\n");
/// The name file is a few lines.
const NAME_BYTES_MAX: u64 = 4096;

/// A partition that bears the label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The device.
    pub device: Device,
    /// Whether its journal must be played before it is whole.
    is_dirty: bool,
}

/// Every partition, or disk without partitions, that bears the label. A device that cannot be read is none.
pub fn candidates(sys: &Path, dev: &Path) -> Vec<Candidate> {
    let found = devices(sys).into_iter().filter_map(|device| {
        let content = content(&head(&node(dev, &device.name)).ok()?);
        let Content::Readable(FileSystem { kind: Kind::Ext4, label, is_dirty }) = content else { return None };
        (label == LABEL).then_some(Candidate { device, is_dirty })
    });
    found.collect()
}

/// Why a partition that bears the label is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It lacks the file that says whose it is.
    Foreign(String),
    /// It cannot be written to.
    ReadOnly,
    /// The kernel does not mount it.
    Broken(String),
}

impl Trouble {
    /// As a fault with the device it was found on.
    pub fn fault(&self, device: &Device) -> Fault {
        let found = match self {
            Trouble::Foreign(found) => format!("{found}; a file {} that begins with {:?} expected", NAME_FILE.0, NAME_FILE.1.trim_end()),
            Trouble::ReadOnly => "it is read-only; a partition that can be written to expected".to_owned(),
            Trouble::Broken(error) => format!("the kernel does not mount it: {error}"),
        };
        Fault::new(Rule::LedgerDisk, format!("{} ({}): {found}", device.name, device.says()))
    }
}

/// What every mount of it has: nothing on it is run, followed, or taken for a device.
const CLOSED: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC).union(MountFlags::NOSYMFOLLOW);

/// Mounts the ledger's partition for writing. It is looked at first without a byte being written: a foreign disk stays as it is.
///
/// # Errors
/// Why it is not taken; nothing is mounted then.
pub fn take(dev: &Path, candidate: &Candidate) -> Result<(), Trouble> {
    let source = node(dev, &candidate.device.name);
    std::fs::create_dir_all(DATA).map_err(broken)?;
    if candidate.device.is_read_only {
        return Err(Trouble::ReadOnly);
    }
    mount(&source, DATA, "ext4", CLOSED | MountFlags::RDONLY, c"noload,errors=remount-ro").map_err(|error| broken(error.into()))?;
    let looked = named_ours(Path::new(DATA));
    unmount(DATA, UnmountFlags::NOFOLLOW).map_err(|error| broken(error.into()))?;
    // What a journal still holds may be the folder with the file in it: then only the mount below can tell.
    if !candidate.is_dirty {
        looked?;
    }
    mount(&source, DATA, "ext4", CLOSED, c"errors=remount-ro,barrier=1,data=ordered").map_err(|error| broken(error.into()))?;
    named_ours(Path::new(DATA)).inspect_err(|_| {
        let _ = unmount(DATA, UnmountFlags::NOFOLLOW);
    })
}

fn broken(error: std::io::Error) -> Trouble {
    Trouble::Broken(error.to_string())
}

fn named_ours(folder: &Path) -> Result<(), Trouble> {
    let (name, begins) = NAME_FILE;
    let path = folder.join(name);
    let foreign = |found: &str| Err(Trouble::Foreign(format!("{found} {name}")));
    match std::fs::symlink_metadata(&path) {
        Ok(found) if !found.is_file() => return foreign("something that is no file is called"),
        Ok(found) if found.len() > NAME_BYTES_MAX => return foreign(&format!("{} bytes are in", found.len())),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return foreign("there is no"),
        Err(error) => return Err(broken(error)),
    }
    match std::fs::read(&path) {
        Ok(bytes) if bytes.starts_with(begins.as_bytes()) => Ok(()),
        Ok(_) => foreign("other words begin the file"),
        Err(error) => Err(broken(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::block::tests::sysfs;
    use crate::machine::probe::tests::{EXT4, FAT16, room};

    const USB: &str = "pci0000:00/usb1/1-1/1-1:1.0/host2/target2:0:0/2:0:0:0/block/sdb";

    fn dev(nodes: &[(&str, &[u8])]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, bytes) in nodes {
            std::fs::write(dir.path().join(name), bytes).expect("written");
        }
        dir
    }

    #[test]
    fn candidates_are_the_partitions_with_the_label_wherever_they_hang() {
        let part = format!("{USB}/sdb1");
        let sys = sysfs(&[
            (USB, &[("size", "2048\n")]),
            (&part, &[("size", "2000\n"), ("partition", "1\n")]),
            ("pci0000:00/ata1/host0/target0:0:0/0:0:0:0/block/sda", &[("size", "2048\n")]),
            ("pci0000:00/nvme/nvme0/nvme0n1", &[("size", "2048\n")]),
            ("pci0000:00/nvme/nvme1/nvme1n1", &[("size", "2048\n")]),
        ]);
        let mut dirty = room(EXT4);
        dirty[1024 + 96] |= 4;
        let mut other = room(EXT4);
        other[1024 + 120..1024 + 134].copy_from_slice(b"tabellion-date");
        let nodes = dev(&[("sdb", &room(&[(512, b"EFI PART")])), ("sdb1", &room(EXT4)), ("sda", &dirty), ("nvme0n1", &other)]);
        let found = candidates(sys.path(), nodes.path());
        let told: Vec<_> = found.iter().map(|found| (found.device.name.as_str(), found.is_dirty)).collect();
        assert_eq!(told, [("sda", true), ("sdb1", false)]);
    }

    #[test]
    fn a_label_on_another_file_system_makes_no_candidate() {
        let sys = sysfs(&[(USB, &[("size", "2048\n")])]);
        let mut fat = room(FAT16);
        fat[43..54].copy_from_slice(b"tabellion-d");
        assert_eq!(candidates(sys.path(), dev(&[("sdb", &fat)]).path()), []);
    }

    #[test]
    fn a_partition_is_ours_by_the_file_in_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("tabellion-data");
        let told = || named_ours(dir.path());
        assert_eq!(told(), Err(Trouble::Foreign("there is no tabellion-data".to_owned())));
        for (content, expected) in [
            ("tabellion-data/v1\nThis partition\n".to_owned(), Ok(())),
            ("tabellion-data/v1\n".to_owned(), Ok(())),
            ("tabellion-data/v10\n".to_owned(), Err("other words begin the file tabellion-data")),
            (String::new(), Err("other words begin the file tabellion-data")),
            ("tabellion-data/v1\n".repeat(300), Err("5400 bytes are in tabellion-data")),
        ] {
            std::fs::write(&path, content).expect("written");
            assert_eq!(told(), expected.map_err(|found: &str| Trouble::Foreign(found.to_owned())));
        }
        std::fs::remove_file(&path).expect("removed");
        std::os::unix::fs::symlink("/etc/hostname", &path).expect("linked");
        assert_eq!(told(), Err(Trouble::Foreign("something that is no file is called tabellion-data".to_owned())));
    }

    #[test]
    fn each_trouble_names_the_device_what_was_found_and_what_is_expected() {
        let device = devices(sysfs(&[(USB, &[("size", "2048\n"), ("device/model", "Ultra\n")])]).path()).remove(0);
        for (trouble, expected) in [
            (
                Trouble::Foreign("there is no tabellion-data".to_owned()),
                "sdb (Ultra, 1 MB): there is no tabellion-data; a file tabellion-data that begins with \"tabellion-data/v1\" expected",
            ),
            (Trouble::ReadOnly, "sdb (Ultra, 1 MB): it is read-only; a partition that can be written to expected"),
            (Trouble::Broken("I/O error".to_owned()), "sdb (Ultra, 1 MB): the kernel does not mount it: I/O error"),
        ] {
            assert_eq!(trouble.fault(&device), Fault::new(Rule::LedgerDisk, expected));
        }
    }
}

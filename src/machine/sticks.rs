//! Sticks and cards: which are inserted, and how each is opened for reading, then for writing results, then let go of.
//!
//! A stick is read-only until its results are written, in the mount and in the device itself, so that neither a journal nor a mistake of ours
//! can change what somebody brought. It may be pulled out at any time: whatever was open of it is let go of, and nothing else changes.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fmt;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, StatVfsMountFlags, openat, statvfs, syncfs};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use tabellion_blockdev::{flush_and_forget, set_read_only};

use crate::core::rules::{Checked, Fault, Rule};

use super::block::{Device, devices, node};
use super::data::LABEL;
use super::probe::{Content, FileSystem, Kind, content, head, is_for_firmware};

/// Name in its table of partitions of what a witness boots from.
const BOOT_NAME: &str = "tabellion-boot";

/// A stick that is inserted: a disk without partitions, or one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inserted {
    /// The device.
    pub device: Device,
    /// What is on it, or why it cannot be used.
    pub holds: Result<FileSystem, String>,
}

impl Inserted {
    /// What a person sees of it besides its size and its label: `SanDisk Ultra, FAT32`.
    pub fn says(&self) -> String {
        let maker = self.device.maker();
        match &self.holds {
            Err(_) => maker.to_owned(),
            Ok(system) => {
                let dirty = if system.is_dirty { ", pulled out too early the last time" } else { "" };
                format!("{maker}, {}{dirty}", system.kind.word())
            }
        }
    }

    fn fault(&self, found: impl fmt::Display) -> Fault {
        Fault::new(Rule::MediumFault, format!("{} ({}): {found}", self.device.name, self.device.says()))
    }
}

/// A disk that is no stick, in one insertion: what was booted from, and where the ledger is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apart {
    disk: String,
    insertion: u64,
}

impl Apart {
    /// The disk that this device is or lies on.
    pub fn disk_of(device: &Device) -> Apart {
        Apart { disk: device.disk.clone(), insertion: device.insertion }
    }

    fn holds(&self, device: &Device) -> bool {
        self.disk == device.disk && self.insertion == device.insertion
    }
}

/// How a stick is open.
enum Open {
    /// Nothing of it can be changed.
    ToRead,
    /// Results are being written. Errors of writing are told to descriptors that were open when they happened: these two.
    ToWrite { folder: OwnedFd, device: File },
}

/// The sticks, and which of them are open.
pub struct Sticks {
    sys: PathBuf,
    dev: PathBuf,
    at: PathBuf,
    apart: Vec<Apart>,
    open: BTreeMap<String, (Inserted, Open)>,
    probed: BTreeMap<(String, u64), Result<Probed, String>>,
}

/// What was read of a device when it came.
#[derive(Debug, Clone)]
struct Probed {
    content: Content,
    firmware: Vec<u32>,
}

/// No program, no device, no link of a stick is ever followed.
const CLOSED: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC).union(MountFlags::NOSYMFOLLOW);

fn options(kind: Kind, writing: bool) -> &'static CStr {
    match (kind, writing) {
        (Kind::Fat16 | Kind::Fat32, _) => c"utf8=1,fmask=0177,dmask=0077,errors=remount-ro",
        (Kind::ExFat, _) => c"fmask=0177,dmask=0077,errors=remount-ro",
        // Without `noload` even a mount for reading plays the journal, which writes. What the stick itself asks for on errors, a panic
        // perhaps, is overruled.
        (Kind::Ext4, false) => c"noload,errors=remount-ro",
        (Kind::Ext4, true) => c"errors=remount-ro,barrier=1,data=ordered",
    }
}

impl Sticks {
    /// `sys` and `dev` are where the kernel shows its devices and their nodes, `at` is where sticks are mounted.
    pub fn new(sys: &Path, dev: &Path, at: &Path, apart: Vec<Apart>) -> Sticks {
        Sticks { sys: sys.into(), dev: dev.into(), at: at.into(), apart, open: BTreeMap::new(), probed: BTreeMap::new() }
    }

    /// The sticks that are inserted now, by name. What was open and is gone is let go of.
    pub fn inserted(&mut self) -> Vec<Inserted> {
        let found = devices(&self.sys);
        let is_there = |name: &str, insertion: u64| found.iter().any(|device| device.name == name && device.insertion == insertion);
        let gone: Vec<String> =
            self.open.iter().filter(|(name, (stick, _))| !is_there(name, stick.device.insertion)).map(|(name, _)| name.clone()).collect();
        for name in gone {
            self.open.remove(&name);
            let _ = self.unmount(&name);
        }
        self.probed.retain(|(name, insertion), _| is_there(name, *insertion));
        let pluggable: Vec<Device> =
            found.into_iter().filter(|device| device.is_pluggable() && !self.apart.iter().any(|apart| apart.holds(device))).collect();
        let mut sticks = Vec::new();
        for disk in pluggable.iter().filter(|device| device.part.is_none()) {
            let parts: Vec<&Device> = pluggable.iter().filter(|device| device.part.is_some() && device.disk == disk.name).collect();
            sticks.extend(self.on(disk, &parts));
        }
        sticks
    }

    /// What of one disk can be used; if nothing can, the disk itself with the reason.
    fn on(&mut self, disk: &Device, parts: &[&Device]) -> Vec<Inserted> {
        let trouble = |found: String| vec![Inserted { device: disk.clone(), holds: Err(found) }];
        if parts.iter().any(|part| part.part.as_ref().is_some_and(|part| part.name == BOOT_NAME)) {
            return trouble("a stick to boot a witness from; papers go on another".to_owned());
        }
        let firmware = self.probe(disk).map(|probed| probed.firmware).unwrap_or_default();
        let is_for_people = |part: &&&Device| part.part.as_ref().is_none_or(|part| !firmware.contains(&part.number));
        let looked: Vec<&Device> = if parts.is_empty() { vec![disk] } else { parts.iter().filter(is_for_people).copied().collect() };
        let (mut usable, mut reasons) = (Vec::new(), Vec::new());
        for device in looked {
            match self.probe(device).and_then(|probed| usable_as(probed.content)) {
                Ok(system) => usable.push(Inserted { device: device.clone(), holds: Ok(system) }),
                Err(reason) => reasons.push(reason),
            }
        }
        if reasons.is_empty() {
            reasons.push(nothing_for_people());
        }
        reasons.dedup();
        match usable.is_empty() {
            true => trouble(reasons.join(", and ")),
            false => usable,
        }
    }

    /// Each device is read once an insertion: what it shows later changes nothing.
    fn probe(&mut self, device: &Device) -> Result<Probed, String> {
        let read = || {
            let head = head(&node(&self.dev, &device.name)).map_err(|error| format!("it cannot be read: {error}"))?;
            let firmware = (1..=128).filter(|number| is_for_firmware(&head, *number)).collect();
            Ok(Probed { content: content(&head), firmware })
        };
        self.probed.entry((device.name.clone(), device.insertion)).or_insert_with(read).clone()
    }

    fn find(&mut self, name: &str) -> Checked<(Inserted, Kind)> {
        let gone = || Fault::new(Rule::MediumFault, format!("{name}: the stick is no longer there"));
        let stick = self.inserted().into_iter().find(|stick| stick.device.name == name).ok_or_else(gone)?;
        match &stick.holds {
            Ok(system) => {
                let kind = system.kind;
                Ok((stick, kind))
            }
            Err(found) => Err(stick.fault(found)),
        }
    }

    /// Opens a stick for reading, or goes on reading it; after writing, everything is written out first and read anew from the stick.
    ///
    /// # Errors
    /// `medium-fault`: it is gone, broken, or something written to it did not arrive.
    pub fn open_to_read(&mut self, name: &str) -> Checked<PathBuf> {
        let (stick, kind) = self.find(name)?;
        match self.open.get(name) {
            Some((_, Open::ToRead)) => return Ok(self.folder(name)),
            Some((_, Open::ToWrite { .. })) => self.end_writing(name)?,
            None => {}
        }
        self.close_the_device(&stick, true)?;
        self.mount(&stick, kind, false)?;
        self.open.insert(name.to_owned(), (stick, Open::ToRead));
        Ok(self.folder(name))
    }

    /// Opens a stick for writing, at the folder where it was read.
    ///
    /// # Errors
    /// `medium-fault`: a switch on it, gone, broken. It is open for reading then, when it still can be.
    pub fn open_to_write(&mut self, name: &str) -> Checked<PathBuf> {
        let (stick, kind) = self.find(name)?;
        if matches!(self.open.get(name), Some((_, Open::ToWrite { .. }))) {
            return Ok(self.folder(name));
        }
        let opened = self.begin_writing(&stick, kind);
        if opened.is_err() {
            // As it was before: what is on it can still be read.
            let _ = self.open_to_read(name);
        }
        opened
    }

    fn begin_writing(&mut self, stick: &Inserted, kind: Kind) -> Checked<PathBuf> {
        let name = stick.device.name.as_str();
        if self.open.remove(name).is_some() {
            self.unmount(name).map_err(|error| stick.fault(format_args!("it is not let go of after reading: {error}")))?;
        }
        self.close_the_device(stick, false)?;
        let switched = devices(&self.sys).into_iter().any(|device| device.name == name && device.is_read_only);
        if switched {
            return Err(stick
                .fault("it refuses to be written to: a switch on its side, or it has worn out; a stick that can be written to expected"));
        }
        ask_for_a_write_cache(&self.sys, &stick.device.disk);
        let device = File::open(node(&self.dev, name)).map_err(|error| stick.fault(error))?;
        self.mount(stick, kind, true)?;
        let path = self.folder(name);
        let is_read_only = statvfs(&path).map_or(true, |found| found.f_flag.contains(StatVfsMountFlags::RDONLY));
        let folder = openat(CWD, &path, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        match (is_read_only, folder) {
            (false, Ok(folder)) => {
                self.open.insert(name.to_owned(), (stick.clone(), Open::ToWrite { folder, device }));
                Ok(path)
            }
            (_, folder) => {
                let error = folder.err().map_or("it can only be read".to_owned(), |error| std::io::Error::from(error).to_string());
                let _ = self.unmount(name);
                Err(stick.fault(error))
            }
        }
    }

    /// Lets go of a stick. After this it may be pulled out.
    ///
    /// # Errors
    /// `medium-fault` when something written to it did not arrive, or it is gone; it is let go of all the same.
    pub fn close(&mut self, name: &str) -> Checked<()> {
        match self.open.get(name) {
            None => Ok(()),
            Some((_, Open::ToWrite { .. })) => {
                if let Err(gone) = self.find(name) {
                    self.let_go(name);
                    return Err(gone);
                }
                self.end_writing(name)
            }
            Some((_, Open::ToRead)) => {
                self.let_go(name);
                Ok(())
            }
        }
    }

    /// Lets go of every stick, as well as it goes.
    pub fn close_all(&mut self) {
        let names: Vec<String> = self.open.keys().cloned().collect();
        for name in names {
            let _ = self.close(&name);
        }
    }

    fn let_go(&mut self, name: &str) {
        self.open.remove(name);
        let _ = self.unmount(name);
    }

    /// Everything out of the file system, then out of the kernel, then out of the stick's own cache: in this order, and the first error counts.
    fn end_writing(&mut self, name: &str) -> Checked<()> {
        let Some((stick, Open::ToWrite { folder, device })) = self.open.remove(name) else { return Ok(()) };
        let file_system = syncfs(&folder).map_err(std::io::Error::from);
        drop(folder);
        let unmounted = self.unmount(name);
        let written = device.sync_all().and_then(|()| flush_and_forget(&device));
        let closed = set_read_only(&device, true);
        let failed = |error| stick.fault(format_args!("what was written did not arrive whole: {error}"));
        file_system.and(unmounted).and(written).and(closed).map_err(failed)
    }

    /// Whether the kernel refuses every write to the device, whoever asks.
    fn close_the_device(&self, stick: &Inserted, read_only: bool) -> Checked<()> {
        let names = [stick.device.disk.as_str(), stick.device.name.as_str()];
        let set = |name: &str| File::open(node(&self.dev, name)).and_then(|device| set_read_only(&device, read_only));
        names.into_iter().try_for_each(set).map_err(|error| stick.fault(error))
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.at.join(name)
    }

    fn mount(&self, stick: &Inserted, kind: Kind, writing: bool) -> Checked<()> {
        let name = stick.device.name.as_str();
        let folder = self.folder(name);
        let failed = |error: std::io::Error| stick.fault(format_args!("it cannot be opened as {}: {error}", kind.word()));
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let flags = if writing { CLOSED } else { CLOSED | MountFlags::RDONLY };
        mount(node(&self.dev, name), &folder, kind.driver(), flags, options(kind, writing)).map_err(|error| failed(error.into()))
    }

    /// A stick that stays busy, or is gone, leaves at least our sight.
    fn unmount(&self, name: &str) -> std::io::Result<()> {
        let folder = self.folder(name);
        let unmounted = unmount(&folder, UnmountFlags::NOFOLLOW);
        if unmounted.is_err() {
            let _ = unmount(&folder, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
        }
        let _ = std::fs::remove_dir(&folder);
        Ok(unmounted?)
    }
}

/// What a stick may be formatted as.
const EXPECTED: &str = "FAT32, exFAT or ext4 expected";

fn nothing_for_people() -> String {
    format!("a table of partitions, and none in it for people's files; {EXPECTED}")
}

fn usable_as(content: Content) -> Result<FileSystem, String> {
    match content {
        Content::Readable(system) if system.kind == Kind::Ext4 && system.label == LABEL => {
            Err("another ledger's disk: pull it out, nothing on it was opened or written to".to_owned())
        }
        Content::Readable(system) => Ok(system),
        Content::Foreign(name) => Err(format!("it is {name}, which this machine does not read; {EXPECTED}")),
        Content::Partitioned => Err(nothing_for_people()),
        Content::Unknown => Err(format!("nothing that is known is on it: it was never formatted, or was overwritten; {EXPECTED}")),
    }
}

/// Many sticks do not say that they cache what is written, and the kernel then never tells them to write it out. So it is told that they do.
/// A stick that is no SCSI disk has no such switch.
fn ask_for_a_write_cache(sys: &Path, disk: &str) {
    let place = sys.join("class/block").join(disk).join("device/scsi_disk");
    for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
        let switch = entry.path().join("cache_type");
        let says = std::fs::read_to_string(&switch).unwrap_or_default();
        if !says.starts_with("write back") {
            let _ = std::fs::write(&switch, "temporary write back\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::block::tests::sysfs;
    use crate::machine::probe::tests::{EXT4, FAT16, room};

    const STICK: &str = "pci0000:00/usb1/1-1/1-1:1.0/host2/target2:0:0/2:0:0:0/block/sdb";
    const INSIDE: &str = "pci0000:00/ata1/host0/target0:0:0/0:0:0:0/block/sda";

    /// A machine with these devices: the way to each, its files, and the bytes on it.
    type Machine<'a> = &'a [(String, &'a [(&'a str, &'a str)], Vec<u8>)];

    struct Stage {
        sys: tempfile::TempDir,
        dev: tempfile::TempDir,
    }

    fn stage(machine: Machine<'_>) -> Stage {
        let devices: Vec<_> = machine.iter().map(|(way, files, _)| (way.as_str(), *files)).collect();
        let dev = tempfile::tempdir().expect("a folder");
        for (way, _, bytes) in machine {
            std::fs::write(dev.path().join(Path::new(way).file_name().expect("a name")), bytes).expect("written");
        }
        Stage { sys: sysfs(&devices), dev }
    }

    impl Stage {
        fn sticks(&self, apart: Vec<Apart>) -> Sticks {
            Sticks::new(self.sys.path(), self.dev.path(), Path::new("/nowhere/sticks"), apart)
        }

        fn told(&self) -> Vec<(String, Result<String, String>)> {
            let found = self.sticks(Vec::new()).inserted();
            found
                .into_iter()
                .map(|stick| (stick.device.name.clone(), stick.holds.clone().map(|system| format!("{} {}", stick.says(), system.label))))
                .collect()
        }
    }

    fn ext4(label: &[u8]) -> Vec<u8> {
        let mut head = room(EXT4);
        head[1024 + 120..1024 + 136].fill(0);
        head[1024 + 120..1024 + 120 + label.len()].copy_from_slice(label);
        head
    }

    const SIZE: (&str, &str) = ("size", "31266816\n");
    const FIRST: &[(&str, &str)] = &[SIZE, ("partition", "1\n"), ("diskseq", "3\n")];
    const SECOND: &[(&str, &str)] = &[SIZE, ("partition", "2\n")];

    /// A table whose first partition is for firmware.
    fn table() -> Vec<u8> {
        let esp: &[u8] = b"\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b";
        room(&[(512, b"EFI PART"), (512 + 72, &[2]), (512 + 80, &[128, 0, 0, 0, 128]), (1024, esp)])
    }

    #[test]
    fn a_stick_is_its_whole_disk_or_each_partition_that_is_read() {
        let whole = stage(&[(STICK.into(), &[SIZE], room(FAT16)), (INSIDE.into(), &[SIZE], room(FAT16))]);
        assert_eq!(whole.told(), [("sdb".into(), Ok("stick without a name, FAT16 PAPERS".into()))]);
        let parts = stage(&[
            (STICK.into(), &[SIZE], room(&[(512, b"EFI PART")])),
            (format!("{STICK}/sdb1"), FIRST, room(&[(3, b"NTFS    ")])),
            (format!("{STICK}/sdb2"), SECOND, ext4(b"PEOPLE")),
        ]);
        assert_eq!(parts.told(), [("sdb2".into(), Ok("stick without a name, ext4 PEOPLE".into()))]);
    }

    #[test]
    fn a_partition_for_firmware_is_no_stick() {
        let both = |second: Vec<u8>| {
            let nodes = [
                (STICK.into(), &[SIZE][..], table()),
                (format!("{STICK}/sdb1"), FIRST, room(FAT16)),
                (format!("{STICK}/sdb2"), SECOND, second),
            ];
            stage(&nodes).told()
        };
        assert_eq!(both(ext4(b"PEOPLE")), [("sdb2".into(), Ok("stick without a name, ext4 PEOPLE".into()))]);
        let nothing = "nothing that is known is on it: it was never formatted, or was overwritten; FAT32, exFAT or ext4 expected";
        assert_eq!(both(room(&[])), [("sdb".into(), Err(nothing.into()))]);
    }

    #[test]
    fn what_cannot_be_used_is_named_with_its_reason() {
        let one = |files: &[(&str, &str)], bytes: Vec<u8>| stage(&[(STICK.into(), files, bytes)]).told().remove(0).1.expect_err("a reason");
        for (bytes, reason) in [
            (
                room(&[(3, b"NTFS    ")]),
                "it is NTFS, the file system of Windows' own disks, which this machine does not read; FAT32, exFAT or ext4 expected",
            ),
            (room(&[(512, b"EFI PART")]), "a table of partitions, and none in it for people's files; FAT32, exFAT or ext4 expected"),
            (ext4(b"tabellion-data"), "another ledger's disk: pull it out, nothing on it was opened or written to"),
        ] {
            assert_eq!(one(&[SIZE], bytes), reason);
        }
        let boots: &[(&str, &str)] = &[SIZE, ("partition", "1\n"), ("uevent", "PARTNAME=tabellion-boot\n")];
        let boot = stage(&[(STICK.into(), &[SIZE], table()), (format!("{STICK}/sdb1"), boots, room(FAT16))]);
        assert_eq!(boot.told(), [("sdb".into(), Err("a stick to boot a witness from; papers go on another".into()))]);
        let unreadable = stage(&[(STICK.into(), &[SIZE], room(FAT16))]);
        std::fs::remove_file(unreadable.dev.path().join("sdb")).expect("removed");
        assert_eq!(unreadable.told(), [("sdb".into(), Err("it cannot be read: No such file or directory (os error 2)".into()))]);
    }

    #[test]
    fn the_disks_that_are_kept_apart_are_no_sticks_until_another_comes_in_their_place() {
        let stage = stage(&[(STICK.into(), &[SIZE, ("diskseq", "3\n")], room(FAT16)), (format!("{STICK}/sdb1"), FIRST, room(FAT16))]);
        let part = devices(stage.sys.path()).into_iter().find(|device| device.name == "sdb1").expect("a partition");
        let mut sticks = stage.sticks(vec![Apart::disk_of(&part)]);
        assert_eq!(sticks.inserted(), []);
        std::fs::write(stage.sys.path().join("devices").join(STICK).join("diskseq"), "4\n").expect("written");
        let names: Vec<_> = sticks.inserted().into_iter().map(|stick| stick.device.name).collect();
        assert_eq!(names, ["sdb1"]);
    }

    /// A stick may show other bytes at a second reading: they are not looked at.
    #[test]
    fn a_device_is_probed_once_an_insertion() {
        let stage = stage(&[(STICK.into(), &[SIZE, ("diskseq", "3\n")], room(FAT16))]);
        let mut sticks = stage.sticks(Vec::new());
        let first = sticks.inserted();
        std::fs::write(stage.dev.path().join("sdb"), ext4(b"OTHER")).expect("written");
        assert_eq!(sticks.inserted(), first);
        std::fs::write(stage.sys.path().join("devices").join(STICK).join("diskseq"), "4\n").expect("written");
        assert_eq!(sticks.inserted()[0].holds.clone().unwrap().label, "OTHER");
    }

    #[test]
    fn what_is_gone_or_cannot_be_used_is_not_opened() {
        let stage = stage(&[(STICK.into(), &[SIZE], room(&[(3, b"NTFS    ")]))]);
        let mut sticks = stage.sticks(Vec::new());
        for (name, begins) in [("sdc1", "sdc1: the stick is no longer there"), ("sdb", "sdb (stick without a name, 16 GB): it is NTFS")] {
            for opened in [sticks.open_to_read(name), sticks.open_to_write(name)] {
                let fault = opened.expect_err(name);
                assert_eq!(fault.rule, Rule::MediumFault);
                assert!(fault.found.starts_with(begins), "{}", fault.found);
            }
        }
        assert_eq!(sticks.close("sdc1"), Ok(()), "what was never open is let go of already");
    }

    /// The node is a plain file here: the kernel is not asked to close what is no device, and nothing is mounted.
    #[test]
    fn a_node_that_is_no_device_is_not_mounted() {
        let stage = stage(&[(STICK.into(), &[SIZE], room(FAT16))]);
        let fault = stage.sticks(Vec::new()).open_to_read("sdb").expect_err("no device");
        assert_eq!(fault.found, "sdb (stick without a name, 16 GB): Block device required (os error 15)");
    }

    #[test]
    fn a_disk_that_says_nothing_of_its_cache_is_told_that_it_has_one() {
        for (before, after) in
            [("write through\n", "temporary write back\n"), ("none\n", "temporary write back\n"), ("write back\n", "write back\n")]
        {
            let stage = stage(&[(STICK.into(), &[SIZE, ("device/scsi_disk/2:0:0:0/cache_type", before)], room(FAT16))]);
            ask_for_a_write_cache(stage.sys.path(), "sdb");
            let place = stage.sys.path().join("devices").join(STICK).join("device/scsi_disk/2:0:0:0/cache_type");
            assert_eq!(std::fs::read_to_string(place).expect("read"), after);
        }
    }

    #[test]
    fn reading_never_plays_a_journal_and_no_stick_says_what_happens_on_errors() {
        let text = |kind, writing| options(kind, writing).to_str().expect("ASCII");
        assert!(text(Kind::Ext4, false).contains("noload"));
        assert!(text(Kind::Ext4, true).contains("barrier=1,data=ordered") && !text(Kind::Ext4, true).contains("noload"));
        for kind in [Kind::Fat16, Kind::Fat32, Kind::ExFat, Kind::Ext4] {
            assert!([false, true].iter().all(|writing| text(kind, *writing).contains("errors=remount-ro")));
        }
    }
}

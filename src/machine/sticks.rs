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
    /// What a person sees of it: `SanDisk Ultra, 16 GB, FAT32 "PAPERS"`.
    pub fn says(&self) -> String {
        let device = self.device.says();
        match &self.holds {
            Err(_) => device,
            Ok(system) => {
                let label = if system.label.is_empty() { String::new() } else { format!(" \"{}\"", system.label) };
                let dirty = if system.is_dirty { ", pulled out too early the last time" } else { "" };
                format!("{device}, {}{label}{dirty}", system.kind.word())
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
    open: BTreeMap<String, (u64, Open)>,
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
            self.open.iter().filter(|(name, (insertion, _))| !is_there(name, *insertion)).map(|(name, _)| name.clone()).collect();
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
            reasons.push("a table of partitions, and none in it for people's files".to_owned());
        }
        reasons.dedup();
        match usable.is_empty() {
            true => trouble(format!("{}; FAT32, exFAT or ext4 expected", reasons.join(", and "))),
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
            Some((_, Open::ToWrite { .. })) => self.end_writing(&stick)?,
            None => {}
        }
        self.close_the_device(&stick, true)?;
        self.mount(&stick, kind, false)?;
        self.open.insert(name.to_owned(), (stick.device.insertion, Open::ToRead));
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
                self.open.insert(name.to_owned(), (stick.device.insertion, Open::ToWrite { folder, device }));
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
                let stick = self.find(name).map(|(stick, _)| stick).inspect_err(|_| self.let_go(name))?;
                self.end_writing(&stick)
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
    fn end_writing(&mut self, stick: &Inserted) -> Checked<()> {
        let name = stick.device.name.as_str();
        let Some((_, Open::ToWrite { folder, device })) = self.open.remove(name) else { return Ok(()) };
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

fn usable_as(content: Content) -> Result<FileSystem, String> {
    match content {
        Content::Readable(system) if system.kind == Kind::Ext4 && system.label == LABEL => {
            Err("another ledger's disk: pull it out, nothing was read from it or written to it".to_owned())
        }
        Content::Readable(system) => Ok(system),
        Content::Foreign(name) => Err(format!("it is {name}, which this machine does not read")),
        Content::Partitioned => Err("a table of partitions, and none in it for people's files".to_owned()),
        Content::Unknown => Err("nothing that is known is on it: it was never formatted, or was overwritten".to_owned()),
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

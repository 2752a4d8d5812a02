//! [`Slots`] of a machine: its USB sockets and its card reader.

use std::path::PathBuf;
use std::time::Duration;

use crate::core::rules::{Checked, Fault, Rule};
use crate::machine::block::size;
use crate::machine::sticks::{Inserted, Sticks};
use crate::machine::uevents::Uevents;

use super::slots::{Slots, Stick};

/// So long nothing may come or go before what is there counts as all there is.
const QUIET: Duration = Duration::from_millis(300);
/// So many times something may, in a row; then it counts all the same.
const RESTLESS_MAX: usize = 10;

/// Sticks as the kernel shows them.
pub struct Devices {
    sticks: Sticks,
    uevents: Uevents,
}

impl Devices {
    /// These sticks; whoever waits on `uevents` is woken when one comes or goes.
    pub fn new(sticks: Sticks, uevents: Uevents) -> Devices {
        Devices { sticks, uevents }
    }

    /// Lets go of every stick.
    pub fn close_all(&mut self) {
        self.sticks.close_all();
    }
}

impl Slots for Devices {
    fn inserted(&mut self) -> Vec<Stick> {
        // Taken before looking, so that what comes while we look wakes again. A stick is there before its partitions are: looked at then, it would
        // be told as one that cannot be used.
        if self.uevents.drain() {
            let _ = (0..RESTLESS_MAX).find(|_| !self.uevents.wait(QUIET));
        }
        let mut sticks = self.sticks.inserted();
        // The kernel counts insertions.
        sticks.sort_by_key(|stick| stick.device.insertion);
        sticks.iter().map(told).collect()
    }

    fn open_to_read(&mut self, name: &str) -> Checked<PathBuf> {
        self.sticks.open_to_read(name)
    }

    fn open_to_write(&mut self, name: &str) -> Checked<PathBuf> {
        self.sticks.open_to_write(name)
    }

    fn close(&mut self, name: &str) -> Checked<()> {
        self.sticks.close(name)
    }
}

fn told(stick: &Inserted) -> Stick {
    let trouble = stick.holds.as_ref().err().map(|found| Fault::new(Rule::MediumFault, found.clone()));
    let device = &stick.device;
    Stick {
        name: device.name.clone(),
        insertion: format!("{} {}", device.disk, device.insertion),
        size: size(device.bytes),
        label: stick.holds.as_ref().map(|system| system.label.clone()).unwrap_or_default(),
        says: stick.says(),
        trouble,
        number: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::block::{Bus, Device};
    use crate::machine::probe::{FileSystem, Kind};

    #[test]
    fn a_stick_is_told_with_maker_size_file_system_and_what_is_wrong_with_it() {
        let device = Device {
            name: "sdb1".into(),
            disk: "sdb".into(),
            bus: Bus::Usb,
            bytes: 16_000_000_000,
            maker: "SanDisk Ultra".into(),
            part: None,
            is_read_only: false,
            insertion: 4,
        };
        let clean = FileSystem { kind: Kind::Fat32, label: "PAPERS".into(), is_dirty: false };
        let dirty = FileSystem { kind: Kind::ExFat, label: String::new(), is_dirty: true };
        for (holds, tells, trouble) in [
            (Ok(clean), "the first stick, 16 GB, label \"PAPERS\", SanDisk Ultra, FAT32 (sdb1)", None),
            (Ok(dirty), "the first stick, 16 GB, no label, SanDisk Ultra, exFAT, pulled out too early the last time (sdb1)", None),
            (Err("it is NTFS".to_owned()), "the first stick, 16 GB, no label, SanDisk Ultra (sdb1)", Some("it is NTFS")),
        ] {
            let stick = Stick { number: 1, ..told(&Inserted { device: device.clone(), holds }) };
            assert_eq!((stick.name.as_str(), stick.insertion.as_str(), stick.tells().as_str()), ("sdb1", "sdb 4", tells));
            assert_eq!(stick.trouble.map(|fault| (fault.rule, fault.found)), trouble.map(|found| (Rule::MediumFault, found.to_owned())));
        }
    }
}

//! The block devices that the kernel shows: disks and partitions, on which bus they hang, and what their makers call them.

use std::path::{Path, PathBuf};

/// A disk, or a partition of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// As in `/dev`: `sdb`, `sdb1`, `mmcblk0p1`.
    pub name: String,
    /// The disk that it is, or lies on.
    pub disk: String,
    /// Where it hangs.
    pub bus: Bus,
    /// Its size.
    pub bytes: u64,
    /// Maker and model of the disk as they name themselves, cleaned; empty when they do not.
    pub maker: String,
    /// What it is of the disk, when it is not all of it.
    pub part: Option<Part>,
    /// Whether the kernel refuses to write to it: a switch, or because it was told so.
    pub is_read_only: bool,
    /// The kernel's number of this insertion: another one under the same name has another.
    pub insertion: u64,
}

/// A partition's place in its disk's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Counted from 1.
    pub number: u32,
    /// Its name in the table, cleaned; empty when it has none.
    pub name: String,
}

/// Where a disk hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    /// USB: it can be pulled out.
    Usb,
    /// A card reader of the machine, or a soldered disk that speaks like a card.
    Card,
    /// Inside the machine.
    Inside,
}

impl Device {
    /// Whether it may be somebody's stick: something that people plug in.
    pub fn is_pluggable(&self) -> bool {
        self.bus != Bus::Inside
    }

    /// Maker and model, or that it does not name them.
    pub fn maker(&self) -> &str {
        match (self.maker.as_str(), self.bus) {
            ("", Bus::Usb) => "stick without a name",
            ("", Bus::Card) => "card without a name",
            ("", Bus::Inside) => "disk without a name",
            (maker, _) => maker,
        }
    }

    /// What a person sees of it: `SanDisk Ultra, 16 GB`.
    pub fn says(&self) -> String {
        format!("{}, {}", self.maker(), size(self.bytes))
    }
}

/// A size as it is printed on sticks: in powers of ten, with three digits at most.
pub fn size(bytes: u64) -> String {
    let (mut unit, mut names) = (1u64, ["bytes", "kB", "MB", "GB", "TB", "PB"].into_iter());
    let mut name = names.next().unwrap_or_default();
    while bytes / unit >= 1000 {
        let Some(next) = names.next() else { break };
        (unit, name) = (unit.saturating_mul(1000), next);
    }
    let tenths = (u128::from(bytes) * 10 + u128::from(unit) / 2) / u128::from(unit);
    match tenths {
        tenths if tenths >= 100 || tenths % 10 == 0 => format!("{} {name}", (tenths + 5) / 10),
        tenths => format!("{}.{} {name}", tenths / 10, tenths % 10),
    }
}

/// Memory that looks like a disk, and drives that hold no papers.
const NOT_DISKS: &[&str] = &["loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd"];
/// Parts of a soldered disk that are for its firmware.
const NOT_PARTS: &[&str] = &["boot0", "boot1", "rpmb"];

/// Every disk and partition with room, by name. `sys` is where sysfs is mounted.
pub fn devices(sys: &Path) -> Vec<Device> {
    let Ok(entries) = std::fs::read_dir(sys.join("class/block")) else { return Vec::new() };
    let mut found: Vec<Device> = entries.filter_map(|entry| device(&entry.ok()?.path())).collect();
    found.sort_by(|a, b| (&a.disk, a.part.as_ref().map(|part| part.number)).cmp(&(&b.disk, b.part.as_ref().map(|part| part.number))));
    found
}

/// `None` for what is no disk, has no room (a reader without a card), or is gone meanwhile.
fn device(link: &Path) -> Option<Device> {
    let place = link.canonicalize().ok()?;
    let name = place.file_name()?.to_str()?.to_owned();
    if NOT_DISKS.iter().any(|not| name.starts_with(not)) || NOT_PARTS.iter().any(|not| name.ends_with(not)) {
        return None;
    }
    let number = line(&place, "partition").and_then(|text| text.parse().ok());
    let whole = match number {
        Some(_) => place.parent()?.to_owned(),
        None => place.clone(),
    };
    // The kernel counts in 512 bytes, whatever the sectors of the disk are.
    let bytes = line(&place, "size")?.parse::<u64>().ok()?.checked_mul(512).filter(|bytes| *bytes > 0)?;
    Some(Device {
        disk: whole.file_name()?.to_str()?.to_owned(),
        bus: bus(&place),
        bytes,
        maker: maker(&whole),
        part: number.map(|number| Part { number, name: part_name(&place) }),
        is_read_only: line(&place, "ro").is_some_and(|text| text != "0"),
        insertion: line(&whole, "diskseq").and_then(|text| text.parse().ok()).unwrap_or_default(),
        name,
    })
}

fn line(place: &Path, file: &str) -> Option<String> {
    std::fs::read_to_string(place.join(file)).ok().map(|text| text.trim_end_matches('\n').to_owned())
}

/// Read from the way to the device, which the kernel makes: no device can say that it hangs elsewhere.
fn bus(place: &Path) -> Bus {
    let steps = || place.components().filter_map(|step| step.as_os_str().to_str());
    let numbered = |step: &str, name: &str| {
        step.strip_prefix(name).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    match () {
        () if steps().any(|step| numbered(step, "usb")) => Bus::Usb,
        () if steps().any(|step| step == "mmc_host") => Bus::Card,
        () => Bus::Inside,
    }
}

fn maker(disk: &Path) -> String {
    let words = ["device/vendor", "device/model", "device/name"].map(|file| line(disk, file).unwrap_or_default());
    clean(&words.join(" "))
}

fn part_name(part: &Path) -> String {
    let uevent = line(part, "uevent").unwrap_or_default();
    clean(uevent.lines().find_map(|line| line.strip_prefix("PARTNAME=")).unwrap_or_default())
}

/// Longest text of a device that is shown.
const TEXT_CHARS_MAX: usize = 40;

/// What a device says of itself, in one line: only letters, digits and signs of ASCII, one space between words. Devices lie, and a terminal obeys.
pub fn clean(text: &str) -> String {
    let plain: String = text.chars().map(|found| if found.is_ascii_graphic() { found } else { ' ' }).collect();
    let words: Vec<&str> = plain.split(' ').filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(TEXT_CHARS_MAX).collect::<String>().trim_end().to_owned()
}

/// The node of a device.
pub fn node(dev: &Path, name: &str) -> PathBuf {
    dev.join(name)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A tree of sysfs that is made by hand: each device is the way to it and its files.
    pub(in crate::machine) fn sysfs(devices: &[(&str, &[(&str, &str)])]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(dir.path().join("class/block")).expect("made");
        for (way, files) in devices {
            let place = dir.path().join("devices").join(way);
            std::fs::create_dir_all(&place).expect("made");
            for (file, content) in *files {
                let path = place.join(file);
                std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
                std::fs::write(path, content).expect("written");
            }
            let name = place.file_name().expect("a name");
            std::os::unix::fs::symlink(&place, dir.path().join("class/block").join(name)).expect("linked");
        }
        dir
    }

    const STICK: &str = "pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sdb";

    #[test]
    fn a_stick_its_partition_a_card_and_the_disk_inside_are_told_apart() {
        let part = format!("{STICK}/sdb1");
        let dir = sysfs(&[
            (
                STICK,
                &[
                    ("size", "31266816\n"),
                    ("ro", "0\n"),
                    ("diskseq", "11\n"),
                    ("device/vendor", "SanDisk \n"),
                    ("device/model", "Ultra Fit       \n"),
                ],
            ),
            (
                &part,
                &[("size", "31264768\n"), ("ro", "1\n"), ("partition", "1\n"), ("uevent", "DEVTYPE=partition\nPARTN=1\nPARTNAME=papers\n")],
            ),
            ("pci0000:00/0000:00:1f.0/mmc_host/mmc0/mmc0:0001/block/mmcblk0", &[("size", "62333952\n"), ("device/name", "SD32G\n")]),
            ("pci0000:00/0000:00:1f.0/mmc_host/mmc0/mmc0:0001/block/mmcblk0boot0", &[("size", "8192\n")]),
            (
                "pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda",
                &[("size", "1000215216\n"), ("device/vendor", "ATA     \n")],
            ),
            ("pci0000:00/0000:00:1d.0/nvme/nvme0/nvme0n1", &[("size", "2048\n"), ("device/model", "Fast\u{1b}[2Jdisk\n")]),
            ("virtual/block/loop0", &[("size", "2048\n")]),
            ("pci0000:00/0000:00:14.0/usb2/2-2/2-2:1.0/host7/target7:0:0/7:0:0:0/block/sdc", &[("size", "0\n")]),
        ]);
        let found = devices(dir.path());
        let told: Vec<_> = found.iter().map(|device| (device.name.as_str(), device.disk.as_str(), device.bus, device.says())).collect();
        assert_eq!(
            told,
            [
                ("mmcblk0", "mmcblk0", Bus::Card, "SD32G, 32 GB".to_owned()),
                ("nvme0n1", "nvme0n1", Bus::Inside, "Fast [2Jdisk, 1 MB".to_owned()),
                ("sda", "sda", Bus::Inside, "ATA, 512 GB".to_owned()),
                ("sdb", "sdb", Bus::Usb, "SanDisk Ultra Fit, 16 GB".to_owned()),
                ("sdb1", "sdb", Bus::Usb, "SanDisk Ultra Fit, 16 GB".to_owned()),
            ]
        );
        assert_eq!(found[4].part, Some(Part { number: 1, name: "papers".to_owned() }));
        assert_eq!((found[3].is_read_only, found[4].is_read_only), (false, true));
        assert_eq!((found[3].insertion, found[4].insertion, found[2].insertion), (11, 11, 0));
    }

    #[test]
    fn the_second_partition_comes_before_the_tenth() {
        let part = |number: &'static str| (format!("{STICK}/sdb{number}"), [("size", "8\n"), ("partition", number)]);
        let (tenth, second) = (part("10"), part("2"));
        let dir = sysfs(&[(&tenth.0, &tenth.1), (&second.0, &second.1)]);
        let names: Vec<_> = devices(dir.path()).into_iter().map(|device| device.name).collect();
        assert_eq!(names, ["sdb2", "sdb10"]);
    }

    #[test]
    fn a_machine_without_block_devices_has_none() {
        assert_eq!(devices(Path::new("/nowhere")), []);
    }

    #[test]
    fn a_device_cannot_speak_to_the_terminal() {
        for (said, shown) in [
            ("  Kingston \t DT  ", "Kingston DT"),
            ("\u{1b}]0;owned\u{7}x", "]0;owned x"),
            ("\u{202e}evil", "evil"),
            ("", ""),
            ("12345678901234567890123456789012345678 0 cut", "12345678901234567890123456789012345678 0"),
        ] {
            assert_eq!(clean(said), shown, "{said:?}");
        }
    }

    #[test]
    fn sizes_are_those_printed_on_sticks() {
        for (bytes, shown) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1_000, "1 kB"),
            (1_474_560, "1.5 MB"),
            (8_004_304_896, "8 GB"),
            (15_376_000_000, "15 GB"),
            (2_000_398_934_016, "2 TB"),
            (u64::MAX, "18447 PB"),
        ] {
            assert_eq!(size(bytes), shown, "{bytes}");
        }
    }
}

//! What lies on a device, from its first bytes: a file system that is read, one that is not, a table of partitions, or nothing that is known.
//!
//! Everything here is a function of bytes that a stranger wrote: it reads at fixed places, follows nothing, and allocates nothing by what it reads.

use std::io::Read as _;
use std::path::Path;

use super::block::clean;

/// So many bytes of a device are looked at: as far as the last mark that is known here.
pub const HEAD_BYTES: usize = 68 * 1024;

/// What lies on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A file system that is read and written.
    Readable(FileSystem),
    /// Something whose name is known, and which is not read here.
    Foreign(&'static str),
    /// A table of partitions.
    Partitioned,
    /// Nothing that is known: never formatted, or overwritten.
    Unknown,
}

/// A file system that is read and written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// Which one.
    pub kind: Kind,
    /// The label that people gave it, cleaned; empty without one.
    pub label: String,
    /// Whether it was not taken out properly the last time.
    pub is_dirty: bool,
}

/// The file systems that are read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// FAT with entries of 12 or 16 bits.
    Fat16,
    /// FAT with entries of 32 bits.
    Fat32,
    /// exFAT.
    ExFat,
    /// ext4, and ext2 and ext3, which the same driver reads.
    Ext4,
}

impl Kind {
    /// As people call it.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Fat16 => "FAT16",
            Kind::Fat32 => "FAT32",
            Kind::ExFat => "exFAT",
            Kind::Ext4 => "ext4",
        }
    }

    /// As the kernel calls it.
    pub(super) fn driver(self) -> &'static str {
        match self {
            Kind::Fat16 | Kind::Fat32 => "vfat",
            Kind::ExFat => "exfat",
            Kind::Ext4 => "ext4",
        }
    }
}

/// The first bytes of a device, fewer where it is smaller.
///
/// # Errors
/// What the kernel answers: the device gives errors, or is gone.
pub fn head(node: &Path) -> std::io::Result<Vec<u8>> {
    let mut device = std::fs::File::open(node)?;
    let mut bytes = vec![0; HEAD_BYTES];
    let mut have = 0;
    while have < bytes.len() {
        match device.read(&mut bytes[have..]) {
            Ok(0) => break,
            Ok(more) => have += more,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(have);
    Ok(bytes)
}

/// Names of what is not read here, by the bytes that stand at a place.
const FOREIGN: &[(usize, &[u8], &str)] = &[
    (3, b"NTFS    ", "NTFS, the file system of Windows' own disks"),
    (3, b"-FVE-FS-", "encrypted by BitLocker"),
    (0, b"LUKS\xba\xbe", "encrypted by LUKS"),
    (0, b"XFSB", "XFS"),
    (32, b"NXSB", "APFS, the file system of Apple's own disks"),
    (1024, b"H+", "HFS+, the file system of Apple's older disks"),
    (1024, b"HX", "HFS+, the file system of Apple's older disks"),
    (1024, b"\x10\x20\xf5\xf2", "F2FS"),
    (4086, b"SWAPSPACE2", "swap space of Linux"),
    (32769, b"CD001", "the image of a CD"),
    (65600, b"_BHRfS_M", "Btrfs"),
];

/// What lies on the device that begins with these bytes.
pub fn content(head: &[u8]) -> Content {
    let foreign = || FOREIGN.iter().find(|(at, mark, _)| has(head, *at, mark)).map(|(_, _, name)| Content::Foreign(name));
    let read = ext4(head).or_else(|| exfat(head)).map(Content::Readable);
    let table = || match has(head, 512, b"EFI PART") || has(head, 4096, b"EFI PART") {
        true => Some(Content::Partitioned),
        false => None,
    };
    read.or_else(table)
        .or_else(foreign)
        .or_else(|| fat(head).map(Content::Readable))
        .or_else(|| is_partition_table(head).then_some(Content::Partitioned))
        .unwrap_or(Content::Unknown)
}

fn has(head: &[u8], at: usize, mark: &[u8]) -> bool {
    head.get(at..at + mark.len()) == Some(mark)
}

fn byte(head: &[u8], at: usize) -> Option<u8> {
    head.get(at).copied()
}

fn two(head: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(head.get(at..at + 2)?.try_into().ok()?))
}

fn four(head: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(head.get(at..at + 4)?.try_into().ok()?))
}

/// A label in fixed room: up to its first zero byte.
fn label(head: &[u8], at: usize, bytes_max: usize) -> String {
    let room = head.get(at..at + bytes_max).unwrap_or_default();
    clean(&String::from_utf8_lossy(room.split(|byte| *byte == 0).next().unwrap_or_default()))
}

/// The superblock of ext2, ext3 and ext4 begins at byte 1,024: state at 58, features that must be understood at 96, label at 120.
fn ext4(head: &[u8]) -> Option<FileSystem> {
    const NEEDS_JOURNAL: u32 = 0x4;
    const JOURNAL_ONLY: u32 = 0x8;
    let head = head.get(..2048)?;
    let features = four(head, 1024 + 96)?;
    if !has(head, 1024 + 56, &[0x53, 0xef]) || features & JOURNAL_ONLY != 0 {
        return None;
    }
    let was_closed = two(head, 1024 + 58)? & 1 == 1;
    let label = label(head, 1024 + 120, 16);
    Some(FileSystem { kind: Kind::Ext4, label, is_dirty: !was_closed || features & NEEDS_JOURNAL != 0 })
}

/// The boot sector of exFAT: flags at 106. The label lies elsewhere, and is not looked for.
fn exfat(head: &[u8]) -> Option<FileSystem> {
    const DIRTY: u16 = 0x2;
    let flags = two(head, 106)?;
    has(head, 3, b"EXFAT   ").then(|| FileSystem { kind: Kind::ExFat, label: String::new(), is_dirty: flags & DIRTY != 0 })
}

/// The boot sector of FAT, as Microsoft's specification of 2000 describes it: which FAT it is follows from the number of clusters alone.
fn fat(head: &[u8]) -> Option<FileSystem> {
    let bytes_per_sector = u32::from(two(head, 11)?);
    let sectors_per_cluster = u32::from(byte(head, 13)?);
    let (reserved, tables) = (u32::from(two(head, 14)?), u32::from(byte(head, 16)?));
    let root_entries = u32::from(two(head, 17)?);
    let jumps = matches!(byte(head, 0)?, 0xeb | 0xe9);
    let is_sound = has(head, 510, &[0x55, 0xaa])
        && jumps
        && bytes_per_sector.is_power_of_two()
        && (512..=4096).contains(&bytes_per_sector)
        && sectors_per_cluster.is_power_of_two()
        && reserved > 0
        && (1..=2).contains(&tables);
    if !is_sound {
        return None;
    }
    let either = |short: usize, long: usize| match two(head, short)? {
        0 => four(head, long),
        few => Some(u32::from(few)),
    };
    let (sectors, table) = (either(19, 32)?, either(22, 36)?);
    let root = (root_entries * 32).div_ceil(bytes_per_sector);
    let before = tables.checked_mul(table)?.checked_add(reserved + root)?;
    let clusters = sectors.checked_sub(before)? / sectors_per_cluster;
    let small = two(head, 22)? != 0;
    // The label says "NO NAME    " where nobody gave one.
    let named = |at: usize| Some(label(head, at, 11)).filter(|label| label != "NO NAME").unwrap_or_default();
    match clusters {
        0 => None,
        1..65_525 if small => Some(FileSystem { kind: Kind::Fat16, label: named(43), is_dirty: byte(head, 37)? & 1 == 1 }),
        _ => Some(FileSystem { kind: Kind::Fat32, label: named(71), is_dirty: byte(head, 65)? & 1 == 1 }),
    }
}

/// A table of four partitions at byte 446: at least one is used, and each has a mark of 0 or 128.
fn is_partition_table(head: &[u8]) -> bool {
    let Some(table) = head.get(446..510) else { return false };
    let is_sound = table.chunks(16).all(|entry| matches!(entry[0], 0 | 0x80));
    has(head, 510, &[0x55, 0xaa]) && is_sound && table.chunks(16).any(|entry| entry[4] != 0)
}

/// The unique id of a partition in a GPT table, lower case, as firmware and kernel write it: `9b1c…-…`. `None` without such a table.
pub fn part_id(head: &[u8], number: u32) -> Option<String> {
    let id = &part_entry(head, number)?[16..32];
    let backwards = |range: std::ops::Range<usize>| id[range].iter().rev().map(|byte| format!("{byte:02x}")).collect::<String>();
    let forwards = |range: std::ops::Range<usize>| id[range].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Some([backwards(0..4), backwards(4..6), backwards(6..8), forwards(8..10), forwards(10..16)].join("-"))
}

/// Whether a partition is one for firmware to boot from, by its type in a GPT table: C12A7328-F81F-11D2-BA4B-00A0C93EC93B.
pub fn is_for_firmware(head: &[u8], number: u32) -> bool {
    const TYPE: [u8; 16] = [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b];
    part_entry(head, number).is_some_and(|entry| entry[..16] == TYPE)
}

/// The first 32 bytes of a partition's entry in a GPT table: its type and its id.
fn part_entry(head: &[u8], number: u32) -> Option<&[u8]> {
    let sector = [512, 4096].into_iter().find(|sector| has(head, *sector, b"EFI PART"))?;
    let first = usize::try_from(four(head, sector + 72)?).ok()?.checked_mul(sector)?;
    let (count, bytes) = (four(head, sector + 80)?, usize::try_from(four(head, sector + 84)?).ok()?);
    let index = usize::try_from(number.checked_sub(1).filter(|index| *index < count)?).ok()?;
    let at = index.checked_mul(bytes)?.checked_add(first)?;
    head.get(at..at.checked_add(32)?)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Bytes at places in otherwise empty room.
    pub(in crate::machine) fn room(parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut head = vec![0; HEAD_BYTES];
        for (at, bytes) in parts {
            head[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        head
    }

    fn readable(kind: Kind, label: &str, is_dirty: bool) -> Content {
        Content::Readable(FileSystem { kind, label: label.to_owned(), is_dirty })
    }

    /// 16 MiB: 512 bytes a sector, 4 sectors a cluster, 1 reserved, 2 tables of 32 sectors, 512 root entries, 32,768 sectors.
    pub(in crate::machine) const FAT16: &[(usize, &[u8])] = &[
        (0, b"\xeb\x3c\x90mkfs.fat"),
        (11, &[0, 2, 4, 1, 0, 2, 0, 2, 0, 0x80]),
        (22, &[32, 0]),
        (43, b"PAPERS     FAT16   "),
        (510, &[0x55, 0xaa]),
    ];
    /// 64 MiB: 1 sector a cluster, 32 reserved, 2 tables of 1,000 sectors, 131,072 sectors.
    const FAT32: &[(usize, &[u8])] = &[
        (0, b"\xeb\x58\x90mkfs.fat"),
        (11, &[0, 2, 1, 32, 0, 2, 0, 0, 0, 0]),
        (32, &[0, 0, 2, 0, 0xe8, 3, 0, 0]),
        (71, b"NO NAME    FAT32   "),
        (510, &[0x55, 0xaa]),
    ];
    const EXFAT: &[(usize, &[u8])] = &[(0, b"\xeb\x76\x90EXFAT   "), (510, &[0x55, 0xaa])];
    pub(in crate::machine) const EXT4: &[(usize, &[u8])] =
        &[(1024 + 56, &[0x53, 0xef, 1, 0]), (1024 + 96, &[0xc2, 2, 0, 0]), (1024 + 120, b"tabellion-data\0\0")];
    const TABLE: &[(usize, &[u8])] = &[(446, &[0x80, 0, 2, 0, 0x0c]), (510, &[0x55, 0xaa])];

    fn with(parts: &[(usize, &[u8])], more: &[(usize, &[u8])]) -> Vec<u8> {
        room(&[parts, more].concat())
    }

    #[test]
    fn file_systems_that_are_read_are_known_by_their_first_bytes() {
        for (head, expected) in [
            (room(FAT16), readable(Kind::Fat16, "PAPERS", false)),
            (with(FAT16, &[(37, &[1])]), readable(Kind::Fat16, "PAPERS", true)),
            (room(FAT32), readable(Kind::Fat32, "", false)),
            (with(FAT32, &[(65, &[1]), (71, b"\x1b[2J       ")]), readable(Kind::Fat32, "[2J", true)),
            // The words that formatters leave in the boot sector decide nothing.
            (with(FAT32, &[(82, b"FAT16   ")]), readable(Kind::Fat32, "", false)),
            (with(FAT16, &[(54, &[0; 8])]), readable(Kind::Fat16, "PAPERS", false)),
            (room(EXFAT), readable(Kind::ExFat, "", false)),
            (with(EXFAT, &[(106, &[2])]), readable(Kind::ExFat, "", true)),
            (room(EXT4), readable(Kind::Ext4, "tabellion-data", false)),
            (with(EXT4, &[(1024 + 58, &[0])]), readable(Kind::Ext4, "tabellion-data", true)),
            (with(EXT4, &[(1024 + 96, &[0xc6])]), readable(Kind::Ext4, "tabellion-data", true)),
            (with(EXT4, &[(1024 + 120, b"sixteen letters!")]), readable(Kind::Ext4, "sixteen letters!", false)),
            // A stick that was FAT once and is ext4 now keeps its old boot sector.
            (with(FAT16, EXT4), readable(Kind::Ext4, "tabellion-data", false)),
        ] {
            assert_eq!(content(&head), expected);
        }
    }

    #[test]
    fn what_is_not_read_is_called_by_its_name() {
        for (parts, named) in [
            (&[(0, &b"\xeb\x52\x90NTFS    "[..]), (510, &[0x55, 0xaa])][..], "NTFS"),
            (&[(3, b"-FVE-FS-")], "BitLocker"),
            (&[(0, b"LUKS\xba\xbe\0\x02")], "LUKS"),
            (&[(0, b"XFSB")], "XFS"),
            (&[(32, b"NXSB")], "APFS"),
            (&[(1024, b"H+")], "HFS+"),
            (&[(4086, b"SWAPSPACE2")], "swap"),
            (&[(32769, b"CD001")], "CD"),
            (&[(65600, b"_BHRfS_M")], "Btrfs"),
            (&[(1024, b"\x10\x20\xf5\xf2")], "F2FS"),
        ] {
            match content(&room(parts)) {
                Content::Foreign(name) => assert!(name.contains(named), "{name}"),
                other => panic!("{named}: {other:?}"),
            }
        }
    }

    #[test]
    fn tables_of_partitions_are_no_file_systems() {
        assert_eq!(content(&room(TABLE)), Content::Partitioned);
        let guarded: &[(usize, &[u8])] = &[(446, &[0, 0, 2, 0, 0xee]), (510, &[0x55, 0xaa]), (512, b"EFI PART")];
        assert_eq!(content(&room(guarded)), Content::Partitioned);
        assert_eq!(content(&room(&[(4096, b"EFI PART")])), Content::Partitioned);
    }

    #[test]
    fn garbage_and_short_devices_are_nothing_that_is_known() {
        assert_eq!(content(&[]), Content::Unknown);
        assert_eq!(content(&room(&[])), Content::Unknown);
        assert_eq!(content(&[0xff; HEAD_BYTES]), Content::Unknown);
        assert_eq!(content(&room(&[(510, &[0x55, 0xaa])])), Content::Unknown, "a boot sector with nothing in it");
        assert_eq!(content(&with(TABLE, &[(446, &[0x12])])), Content::Unknown, "a table with a mark that none has");
        assert_eq!(content(&with(EXT4, &[(1024 + 96, &[8])])), Content::Unknown, "a journal alone");
        for (name, change) in [
            ("no jump", (0, &[0][..])),
            ("513 bytes a sector", (11, &[1, 2])),
            ("3 sectors a cluster", (13, &[3])),
            ("0 reserved", (14, &[0, 0])),
            ("3 tables", (16, &[3])),
            ("fewer sectors than its tables", (19, &[9, 0])),
            ("no signature", (510, &[0, 0])),
        ] {
            assert_eq!(content(&with(FAT16, &[change])), Content::Unknown, "{name}");
        }
    }

    /// Wherever it is cut, it is read without a fault, and never as something else.
    #[test]
    fn every_cut_of_every_file_system_is_it_or_nothing() {
        for whole in [room(FAT16), room(FAT32), room(EXFAT), room(EXT4)] {
            let found = content(&whole);
            for length in 0..2048 {
                let cut = content(&whole[..length]);
                assert!(cut == found || cut == Content::Unknown, "{length} bytes: {cut:?}");
            }
        }
    }

    #[test]
    fn random_bytes_are_read_without_a_fault() {
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..2_000 {
            let length = random.usize(0..4096);
            let mut head = vec![0; length];
            random.fill(&mut head);
            if length > 512 {
                head[510..512].copy_from_slice(&[0x55, 0xaa]);
                head[0] = 0xeb;
            }
            let _ = (content(&head), part_id(&head, random.u32(..)), seed);
        }
    }

    /// The id of the ESP in `image/boot-disk`'s form: GPT mixes the order of bytes.
    #[test]
    fn the_id_of_a_partition_is_written_as_firmware_writes_it() {
        let entry: &[u8] = &[0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
        let table = |sector: usize| {
            let counts: &[u8] = &[128, 0, 0, 0, 128, 0, 0, 0];
            room(&[(sector, b"EFI PART"), (sector + 72, &[2]), (sector + 80, counts), (2 * sector + 128 + 16, entry)])
        };
        for sector in [512, 4096] {
            assert_eq!(part_id(&table(sector), 2).as_deref(), Some("00112233-4455-6677-8899-aabbccddeeff"), "{sector}");
            assert_eq!(part_id(&table(sector), 129), None);
            assert_eq!(part_id(&table(sector), 0), None);
        }
        assert_eq!(part_id(&room(TABLE), 1), None);
        let esp: &[u8] = b"\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b";
        let firmware = with(&[(512, b"EFI PART"), (512 + 72, &[2]), (512 + 80, &[128, 0, 0, 0, 128])], &[(1024 + 128, esp)]);
        assert_eq!([1, 2, 3].map(|number| is_for_firmware(&firmware, number)), [false, true, false]);
        let far = room(&[(512, b"EFI PART"), (512 + 72, &[0xff; 8]), (512 + 80, &[0xff; 8])]);
        assert_eq!(part_id(&far, 7), None, "a table that lies outside");
    }
}

//! What a backup holds and how it is written: the archive of SPEC 7.13, and the file by which a standby knows where it comes from (SPEC 7.14).
//!
//! Sealing, reading and writing are others'. Here is what may stand in an archive, what must, and what its header has to be for a ledger.

use std::collections::BTreeMap;
use std::fmt;

use super::books::Books;
use super::cbor::{Canonical, Reader, Writer};
use super::event::Event;
use super::head::HeadFile;
use super::ids::{Hash, Head, Origin};
use super::limits::{BACKUP_FILES_MAX, UINT_MAX};
use super::lines::{Lines, encode64, with_sum};
use super::rules::{Checked, Fault, Rule};
use super::tile::session_stem;

/// First item of the header.
const FORM: &str = "tabellion/backup/1";
/// Largest file of those that are read into memory: the head file and a halt file.
pub const BACKUP_SMALL_BYTES_MAX: u64 = 65_536;

/// A file of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Item {
    /// The halt file.
    Halt,
    /// A dossier.
    Dossier(Hash),
    /// The head file.
    Head,
    /// The database.
    Database,
    /// The pack of a session.
    Pack(u64),
    /// An object that waits with its paper.
    Loose(Hash),
    /// Events of a branch that went.
    Quarantine(Hash),
}

impl Item {
    /// Its path in the archive, and in the folder of a desk.
    pub fn path(&self) -> String {
        match self {
            Item::Halt => "halt".into(),
            Item::Dossier(hash) => format!("halt-evidence/{hash}.txt"),
            Item::Head => "head".into(),
            Item::Database => "ledger.db".into(),
            Item::Pack(session) => format!("objects/{}.objects", session_stem(*session)),
            Item::Loose(hash) => format!("objects/loose/{hash}"),
            Item::Quarantine(hash) => format!("quarantine/{hash}.events"),
        }
    }

    /// What has this path; `None` for every path that is not of SPEC 7.13.
    pub fn of_path(path: &str) -> Option<Item> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let named = |ending: &str| name.strip_suffix(ending).and_then(Hash::from_hex);
        let item = match (folder, name) {
            ("", "halt") => Item::Halt,
            ("", "head") => Item::Head,
            ("", "ledger.db") => Item::Database,
            ("halt-evidence", _) => Item::Dossier(named(".txt")?),
            ("quarantine", _) => Item::Quarantine(named(".events")?),
            ("objects/loose", _) => Item::Loose(named("")?),
            _ => Item::Pack(name.strip_suffix(".objects")?.parse().ok().filter(|session| *session <= UINT_MAX)?),
        };
        // Each has one path: no sign, no other number of zeros, no other folder.
        (item.path() == path).then_some(item)
    }

    /// The SHA-256 that its path names.
    fn named(&self) -> Option<&Hash> {
        match self {
            Item::Dossier(hash) | Item::Loose(hash) | Item::Quarantine(hash) => Some(hash),
            Item::Halt | Item::Head | Item::Database | Item::Pack(_) => None,
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}

/// A file that an archive holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which one.
    pub item: Item,
    /// Its length in bytes.
    pub size: u64,
    /// Its content.
    pub sha256: Hash,
}

impl Canonical for Row {
    fn write(&self, w: &mut Writer) {
        w.array(3).text(&self.item.path()).uint(self.size).bytes(&self.sha256.0);
    }

    fn read(r: &mut Reader<'_>) -> Checked<Row> {
        r.array_of(3)?;
        let path = r.text()?;
        let shown: String = path.chars().take(100).collect();
        let item = Item::of_path(path).ok_or_else(|| r.fault(format!("path {shown:?} found; one of SPEC 7.13 expected")))?;
        let (size, sha256) = (r.uint()?, r.hash()?);
        if item.named().is_some_and(|named| *named != sha256) {
            return Err(r.fault(format!("sha256 {sha256} found for {item}; the one in its path expected")));
        }
        if matches!(item, Item::Halt | Item::Head) && size > BACKUP_SMALL_BYTES_MAX {
            return Err(r.fault(format!("{size} bytes found for {item}; at most {BACKUP_SMALL_BYTES_MAX} expected")));
        }
        Ok(Row { item, size, sha256 })
    }
}

/// What an archive says of itself before its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The Common.
    pub origin: Origin,
    /// Its charter's fingerprint (SPEC 4.5).
    pub fingerprint: Hash,
    /// The ledger's head.
    pub head: Head,
    /// Number of the ledger's last event, and its hash.
    pub last_event: (u64, [u8; 32]),
    /// Version of the program that made it.
    pub program: String,
    /// The files, ascending by path.
    pub files: Vec<Row>,
}

impl Canonical for Header {
    fn write(&self, w: &mut Writer) {
        w.array(7).text(FORM).text(self.origin.as_str()).bytes(&self.fingerprint.0);
        self.head.write(w);
        w.array(2).uint(self.last_event.0).bytes(&self.last_event.1);
        w.text(&self.program).list(&self.files);
    }

    fn read(r: &mut Reader<'_>) -> Checked<Header> {
        r.reading("backup header").array_of(7)?;
        let form = r.text()?;
        if form != FORM {
            let shown: String = form.chars().take(40).collect();
            return Err(r.fault(format!("{shown:?} found; {FORM:?} expected")));
        }
        let (origin, fingerprint) = (r.parse()?, r.hash()?);
        let head = Head::read(r.reading("backup header"))?;
        r.array_of(2)?;
        let last_event = (r.uint_in(1..=UINT_MAX)?, r.bytes_of()?);
        let program = r.text()?.to_owned();
        let files: Vec<Row> = r.list(BACKUP_FILES_MAX)?;
        let mut paths = files.iter().map(|row| row.item.path());
        let mut before = paths.next().unwrap_or_default();
        for path in paths {
            if path <= before {
                return Err(r.fault(format!("{path} found behind {before}; paths in ascending order, none twice, expected")));
            }
            before = path;
        }
        for needed in [Item::Head, Item::Database] {
            if !files.iter().any(|row| row.item == needed) {
                return Err(r.fault(format!("no {needed} found; one expected")));
            }
        }
        let sum = files.iter().try_fold(0_u64, |sum, row| sum.checked_add(row.size).filter(|sum| *sum <= UINT_MAX));
        if sum.is_none() {
            return Err(r.fault("files of more than 2^53 - 1 bytes in all found"));
        }
        Ok(Header { origin, fingerprint, head, last_event, program, files })
    }
}

impl Header {
    /// Bytes of all files together.
    pub fn content_bytes(&self) -> u64 {
        self.files.iter().map(|row| row.size).sum()
    }

    /// Compares the header with the ledger that lies in the archive: what its books are, and its last event.
    ///
    /// # Errors
    /// `backup-fault` with both values.
    pub fn check(&self, books: &Books, last: Option<&Event>) -> Checked<()> {
        let differs = |what: &str, found: String, expected: String| {
            let found = format!("{what} {found} in the header; {expected} in the ledger that came with it");
            Err(Fault::new(Rule::BackupFault, found))
        };
        let fingerprint = books.log().root_at(1).unwrap_or_default();
        if self.origin != *books.origin()? || self.fingerprint != fingerprint {
            let (found, expected) = (format!("{} {}", self.origin, self.fingerprint), format!("{} {fingerprint}", books.origin()?));
            return differs("origin and fingerprint", found, expected);
        }
        if self.head != books.head() {
            return differs("head", self.head.to_string(), books.head().to_string());
        }
        let last = last.map(|event| (event.seq_no, event.event_hash));
        if last != Some(self.last_event) {
            let shown = |(seq_no, hash): (u64, [u8; 32])| format!("{seq_no} {}", hex::encode(hash));
            return differs("last event", shown(self.last_event), last.map_or("none".into(), shown));
        }
        self.check_content(books)
    }

    /// The content is all that the ledger asks for, and nothing else.
    fn check_content(&self, books: &Books) -> Checked<()> {
        let fault = |found: String| Err(Fault::new(Rule::BackupFault, found));
        let mut needed = content_of(books);
        for row in self.files.iter().filter(|row| matches!(row.item, Item::Pack(_) | Item::Loose(_))) {
            match needed.remove(&row.item) {
                Some((size, sha256)) if (size, sha256) == (row.size, row.sha256) => {}
                Some((size, sha256)) => {
                    return fault(format!(
                        "{}: {} bytes, sha256 {} found; {size} bytes, sha256 {sha256} in the ledger",
                        row.item, row.size, row.sha256
                    ));
                }
                None => return fault(format!("{} found; the ledger names no such content", row.item)),
            }
        }
        match needed.keys().next() {
            Some(missing) => fault(format!("no {missing} found; the ledger names it, and {} more that are not there", needed.len() - 1)),
            None => Ok(()),
        }
    }
}

/// The content that a ledger names, with size and SHA-256 of each file: the packs of its sessions, and the objects of papers that wait.
pub fn content_of(books: &Books) -> BTreeMap<Item, (u64, Hash)> {
    let packs = books.headings().iter().filter_map(|heading| {
        let (sha256, size) = heading.end?.pack?;
        Some((Item::Pack(heading.session), (size, sha256)))
    });
    let held = books.held().values().flat_map(|held| &held.objects).filter(|(hash, _)| !books.is_packed(hash));
    packs.chain(held.map(|(hash, size)| (Item::Loose(*hash), (*size, *hash)))).collect()
}

/// The head file of a ledger: that of its last closed session (SPEC 7.6).
///
/// # Errors
/// `ledger-fault` when no session is closed.
pub fn head_file_of(books: &Books) -> Checked<HeadFile> {
    books
        .headings()
        .iter()
        .rev()
        .find_map(HeadFile::of)
        .ok_or_else(|| Fault::new(Rule::LedgerFault, "no closed session found; the founding expected"))
}

/// The head of a byte string of `size` bytes: the one form that deterministic CBOR has for it.
pub fn bytes_head(size: u64) -> Vec<u8> {
    let width = |bytes: &[u8], first: u8| [&[first], bytes].concat();
    match size {
        0..=23 => vec![0x40 | size as u8],
        24..=0xff => width(&[size as u8], 0x58),
        0x100..=0xffff => width(&(size as u16).to_be_bytes(), 0x59),
        0x1_0000..=0xffff_ffff => width(&(size as u32).to_be_bytes(), 0x5a),
        _ => width(&size.to_be_bytes(), 0x5b),
    }
}

/// Bytes behind the first one in the head of a byte string; `None` when that byte begins no byte string.
pub fn bytes_head_more(first: u8) -> Option<usize> {
    match first {
        0x40..=0x57 => Some(0),
        0x58..=0x5b => Some(1 << (first - 0x58)),
        _ => None,
    }
}

/// The size in the head of a byte string; `None` when there is a shorter head for it.
pub fn bytes_head_size(head: &[u8]) -> Option<u64> {
    let (first, more) = head.split_first()?;
    let size = match more {
        [] => u64::from(first & 0x1f),
        _ => more.iter().fold(0, |size, byte| size << 8 | u64::from(*byte)),
    };
    (bytes_head(size) == head).then_some(size)
}

/// What stands beside a ledger that was restored: where it comes from (SPEC 7.14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandbyFile {
    /// The hash of the backup: what an order to hand over names.
    pub backup: Hash,
    /// The head of the ledger that came with it.
    pub head: Head,
}

impl StandbyFile {
    /// The file: five lines, the last a checksum of those before it.
    pub fn text(&self) -> String {
        let Head { number, root } = self.head;
        with_sum(format!("tabellion-standby v1\nbackup {}\nnumber {number}\nroot {}\n", self.backup.named(), encode64(&root.0)))
    }

    /// Reads the file.
    ///
    /// # Errors
    /// `backup-fault` naming the line.
    pub fn parse(text: &str) -> Checked<StandbyFile> {
        let mut lines = Lines::new(text, Rule::BackupFault);
        lines.exact("tabellion-standby v1")?;
        let backup = lines.hash_named("backup")?;
        let head = Head { number: lines.number("number")?, root: lines.hash64("root")? };
        lines.sum()?;
        Ok(StandbyFile { backup, head })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex64(digit: &str) -> String {
        digit.repeat(64)
    }

    #[test]
    fn each_path_of_the_table_is_one_item_and_no_other_path_is_any() {
        let a = Hash([0xaa; 32]);
        for (path, item) in [
            ("halt".to_owned(), Item::Halt),
            (format!("halt-evidence/{}.txt", hex64("a")), Item::Dossier(a)),
            ("head".to_owned(), Item::Head),
            ("ledger.db".to_owned(), Item::Database),
            ("objects/000/000012.objects".to_owned(), Item::Pack(12)),
            ("objects/1234/1234567.objects".to_owned(), Item::Pack(1_234_567)),
            (format!("objects/loose/{}", hex64("a")), Item::Loose(a)),
            (format!("quarantine/{}.events", hex64("a")), Item::Quarantine(a)),
        ] {
            assert_eq!((Item::of_path(&path).as_ref(), item.path()), (Some(&item), path.clone()), "{path}");
            for bad in [
                format!("/{path}"),
                format!("./{path}"),
                format!("../{path}"),
                format!("{path}/"),
                format!("{path}\0"),
                format!("a/../{path}"),
                path.to_uppercase(),
                format!("{path} "),
                path.replace('/', "\\"),
                path.replace('/', "//"),
            ]
            .into_iter()
            .filter(|bad| *bad != path)
            {
                assert_eq!(Item::of_path(&bad), None, "{bad:?}");
            }
        }
        for bad in [
            "",
            "/",
            ".",
            "..",
            "key",
            "instance",
            "lock",
            "audit.db",
            "ledger.db-wal",
            "ledger.db-journal",
            "standby",
            "objects/000/000012.index",
            "objects/000/12.objects",
            "objects/001/000012.objects",
            "objects/000/+00012.objects",
            "objects/000012.objects",
            "objects/loose/",
            "quarantine/next",
            "halt-evidence/x.txt",
            "/etc/passwd",
        ] {
            assert_eq!(Item::of_path(bad), None, "{bad:?}");
        }
    }

    fn header() -> Header {
        let row = |item, size, byte| Row { item, size, sha256: Hash([byte; 32]) };
        Header {
            origin: "witness.example/common".parse().unwrap(),
            fingerprint: Hash([1; 32]),
            head: Head { number: 3, root: Hash([2; 32]) },
            last_event: (14, [3; 32]),
            program: "0.1.0".into(),
            files: vec![row(Item::Head, 300, 4), row(Item::Database, 70_000, 5), row(Item::Loose(Hash([6; 32])), 9, 6)],
        }
    }

    #[test]
    fn a_header_is_read_back_and_each_fault_in_it_is_named() {
        assert_eq!(Header::from_cbor(&header().to_cbor()).unwrap(), header());
        let refused = |change: &dyn Fn(&mut Header)| {
            let mut other = header();
            change(&mut other);
            Header::from_cbor(&other.to_cbor()).unwrap_err().found
        };
        for (change, expected) in [
            (&(|h: &mut Header| h.files.swap(0, 1)) as &dyn Fn(&mut Header), "head found behind ledger.db"),
            (&|h| h.files[1] = h.files[0].clone(), "head found behind head; paths in ascending order, none twice"),
            (&|h| h.files.truncate(0), "no head found"),
            (&|h| h.files.truncate(1), "no ledger.db found"),
            (&|h| h.files[0].size = BACKUP_SMALL_BYTES_MAX + 1, "65537 bytes found for head"),
            (&|h| h.files[2].sha256 = Hash([7; 32]), "the one in its path expected"),
            (&|h| h.last_event.0 = 0, "0 found"),
            (&|h| h.files[1].size = UINT_MAX, "more than 2^53 - 1 bytes in all"),
            (&|h| h.files[1].size = u64::MAX, "above 2^53 - 1"),
        ] {
            let found = refused(change);
            assert!(found.contains(expected), "{expected}: {found}");
        }
        for (from, to, expected) in [("backup/1", "backup/2", "\"tabellion/backup/2\" found"), ("ledger.db", "../edger.b", "path \"../")] {
            let mut bytes = header().to_cbor();
            let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
            bytes.splice(at..at + from.len(), to.bytes());
            if to.len() > from.len() {
                bytes[at - 1] += (to.len() - from.len()) as u8;
            }
            assert!(Header::from_cbor(&bytes).unwrap_err().found.contains(expected), "{expected}");
        }
    }

    #[test]
    fn heads_of_byte_strings_are_those_of_the_writer_and_only_the_shortest_is_read() {
        for size in [0, 1, 23, 24, 255, 256, 65_535, 65_536] {
            let mut w = Writer::new();
            w.bytes(&vec![0; size]);
            let head = bytes_head(size as u64);
            assert_eq!(w.as_bytes()[..head.len()], head);
            assert_eq!(head.len() + size, w.as_bytes().len());
            assert_eq!((bytes_head_more(head[0]), bytes_head_size(&head)), (Some(head.len() - 1), Some(size as u64)));
        }
        for (size, hex) in [(0xffff_ffff, "5affffffff"), (0x1_0000_0000, "5b0000000100000000"), (u64::MAX, "5bffffffffffffffff")] {
            assert_eq!((hex::encode(bytes_head(size)).as_str(), bytes_head_size(&bytes_head(size))), (hex, Some(size)));
        }
        for long in ["5800", "5817", "590018", "5a0000ffff", "5b00000000ffffffff"] {
            assert_eq!(bytes_head_size(&hex::decode(long).unwrap()), None, "{long}");
        }
        for first in [0x00, 0x3f, 0x5c, 0x5f, 0x60, 0x80, 0xff] {
            assert_eq!(bytes_head_more(first), None, "{first:02x}");
        }
    }

    #[test]
    fn the_standby_file_is_that_of_spec_7_14() {
        let file = StandbyFile { backup: Hash([9; 32]), head: Head { number: 42, root: Hash([2; 32]) } };
        let lines = format!(
            "tabellion-standby v1\nbackup sha256:{}\nnumber 42\nroot AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n",
            "09".repeat(32)
        );
        let sum = Hash::of(lines.as_bytes());
        assert_eq!(file.text(), format!("{lines}sum sha256:{sum}\n"));
        assert_eq!(StandbyFile::parse(&file.text()).unwrap(), file);
        for (from, to, expected) in [("v1", "v2", "line 1"), ("backup", "copied", "line 2"), ("number 42", "number 43", "line 5")] {
            let fault = StandbyFile::parse(&file.text().replacen(from, to, 1)).unwrap_err();
            assert!(fault.rule == Rule::BackupFault && fault.found.starts_with(expected), "{fault}");
        }
    }
}

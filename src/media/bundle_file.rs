//! Bundles as files: reading one as a stream of papers and objects, and writing one.
//!
//! A CBOR sequence cannot be resynchronised: items before a fault stand, and from the fault on the file is listed with the offset. No object
//! is ever held in memory; an object is handed on as a place in our copy of the file, after its hash was computed.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::plain::{CHUNK_BYTES, folder_of, hash_through, read_up_to, sync_folder};
use super::scan::{RawFile, RawReader};
use crate::core::bundle::{BUNDLE_HEADER_BYTES_MAX, BundleHeader, FileKind};
use crate::core::cbor::item_len;
use crate::core::cose::refuse_sign1;
use crate::core::ids::Hash;
use crate::core::limits::{BUNDLE_OBJECTS_MAX, ENVELOPE_BYTES_MAX, OBJECT_BYTES_MAX, PACK_OBJECTS_MAX, SESSION_PAPERS_MAX};
use crate::core::rules::{Checked, Fault, Rule};

/// One item of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BundleItem {
    /// One whole item of deterministic CBOR where an envelope stands, at most 65,536 bytes; that it is an envelope is not known yet.
    Paper(Vec<u8>),
    /// One whole object.
    Object(ObjectAt),
}

/// Where an object lies in our copy of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectAt {
    /// SHA-256 of its content, computed from the copy.
    pub sha256: Hash,
    /// Offset of its first byte in the file.
    pub offset: u64,
    /// Length in bytes, at most 16 GiB.
    pub len: u64,
}

impl ObjectAt {
    /// Writes the object's content, which is in `file`, to `out`, and sees that it still has its hash.
    ///
    /// # Errors
    /// `file-fault` when our copy cannot be read, or `out` be written, or the content has another hash.
    pub fn copy_to(&self, file: &RawFile, out: &mut dyn Write) -> Checked<()> {
        let mut reader = file.open(self.offset)?;
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut hasher = Sha256::new();
        let mut left = self.len;
        while left > 0 {
            let want = usize::try_from(left).map_or(chunk.len(), |left| left.min(chunk.len()));
            reader.read_exact(&mut chunk[..want]).map_err(|error| file.copy_fault(&error))?;
            hasher.update(&chunk[..want]);
            out.write_all(&chunk[..want])
                .map_err(|error| Fault::new(Rule::FileFault, format!("writing object {}: {error}", self.sha256)))?;
            left -= want as u64;
        }
        let found = Hash(hasher.finalize().into());
        if found == self.sha256 {
            Ok(())
        } else {
            Err(Fault::new(Rule::FileFault, format!("our copy of {}: object sha256 {found} found, {} expected", file.path(), self.sha256)))
        }
    }
}

/// Why reading ended: the file's fault, which is listed, or one of ours or of the sink, which stops.
enum Trouble {
    Listed(Fault),
    Stop(Fault),
}

fn listed<T>(rule: Rule, found: String) -> Result<T, Trouble> {
    Err(Trouble::Listed(Fault::new(rule, found)))
}

/// Hands the items of a bundle, or of a file that is one paper, to `sink` in the order of the file.
///
/// Answers the file's fault, if it has one: every item handed over before it stands.
///
/// # Errors
/// Whatever `sink` answers; `file-fault` when our copy cannot be read.
pub fn read_bundle(file: &RawFile, sink: &mut dyn FnMut(BundleItem) -> Checked<()>) -> Checked<Option<Fault>> {
    match read_items(file, sink) {
        Ok(()) => Ok(None),
        Err(Trouble::Listed(fault)) => Ok(Some(fault)),
        Err(Trouble::Stop(fault)) => Err(fault),
    }
}

fn read_items(file: &RawFile, sink: &mut dyn FnMut(BundleItem) -> Checked<()>) -> Result<(), Trouble> {
    let mut stream = Stream::open(file)?;
    let header = match file.kind() {
        FileKind::Bundle => {
            let (header, len) = BundleHeader::parse(stream.peek(BUNDLE_HEADER_BYTES_MAX)?).map_err(Trouble::Listed)?;
            stream.consume(len);
            if header.objects > BUNDLE_OBJECTS_MAX {
                let found = format!("{} objects found, at most {BUNDLE_OBJECTS_MAX} in a bundle that is brought", header.objects);
                return listed(Rule::BundleHeader, found);
            }
            header
        }
        // SPEC 3.12: a file that begins with an envelope is a bundle of one paper and nothing follows.
        FileKind::Paper => BundleHeader { papers: 1, objects: 0, object_bytes: 0 },
        other => return listed(Rule::FileUnknown, format!("{} found, a bundle or paper expected", other.word())),
    };
    let mut bundle = Bundle { stream, header, papers: 0, objects: 0, object_bytes: 0, last: None };
    while bundle.papers < header.papers {
        let paper = bundle.paper()?;
        sink(BundleItem::Paper(paper)).map_err(Trouble::Stop)?;
    }
    while bundle.objects < header.objects {
        let object = bundle.object()?;
        sink(BundleItem::Object(object)).map_err(Trouble::Stop)?;
    }
    bundle.end()
}

/// A bundle being read, and how far.
struct Bundle<'a> {
    stream: Stream<'a>,
    header: BundleHeader,
    papers: u64,
    objects: u64,
    object_bytes: u64,
    last: Option<Hash>,
}

impl Bundle<'_> {
    /// How far it was read, for people.
    fn progress(&self) -> String {
        let BundleHeader { papers, objects, .. } = self.header;
        format!("{} of {papers} papers and {} of {objects} objects were read", self.papers, self.objects)
    }

    /// The fault of a file that ends within `what`, which begins at `start`.
    fn cut<T>(&self, what: &str, start: u64, end: u64) -> Result<T, Trouble> {
        let place = if start == end { format!("before {what}") } else { format!("inside {what} that begins at {start}") };
        listed(Rule::BundleCut, format!("offset {end}: the file ends {place}; {}", self.progress()))
    }

    /// The fault of an item whose end cannot be told. A paper that lies alone is listed with the item's own rule; SPEC 3.12 has `bundle-cut`
    /// for a bundle, since what follows is lost too.
    fn malformed<T>(&self, start: u64, inner: &Fault) -> Result<T, Trouble> {
        if self.stream.file.kind() == FileKind::Paper {
            return Err(Trouble::Listed(inner.clone()));
        }
        let found = format!("offset {start}: the item that begins here is not sound [{}] {}; {}", inner.rule, inner.found, self.progress());
        listed(Rule::BundleCut, found)
    }

    fn paper(&mut self) -> Result<Vec<u8>, Trouble> {
        let start = self.stream.offset;
        let bytes = self.stream.peek(ENVELOPE_BYTES_MAX + 1)?;
        let available = bytes.len();
        if let Err(fault) = refuse_sign1(bytes) {
            return self.malformed(start, &fault);
        }
        if bytes.first().is_some_and(|&b| b >> 5 == 2) {
            return listed(Rule::BundleCount, format!("offset {start}: {} papers found, {} expected", self.papers, self.header.papers));
        }
        match item_len(bytes) {
            Ok(Some(len)) if len <= ENVELOPE_BYTES_MAX => {
                let paper = bytes[..len].to_vec();
                self.stream.consume(len);
                self.papers += 1;
                Ok(paper)
            }
            Ok(None) if available <= ENVELOPE_BYTES_MAX => self.cut("the envelope", start, start + available as u64),
            Ok(_) => listed(
                Rule::EnvelopeTooLarge,
                format!(
                    "offset {start}: more than {ENVELOPE_BYTES_MAX} bytes found, at most {ENVELOPE_BYTES_MAX} allowed; {}",
                    self.progress()
                ),
            ),
            Err(inner) => self.malformed(start, &inner),
        }
    }

    fn object(&mut self) -> Result<ObjectAt, Trouble> {
        let start = self.stream.offset;
        let head = self.stream.peek(9)?;
        let available = head.len() as u64;
        if head.first().is_some_and(|&b| b >> 5 != 2) {
            return listed(
                Rule::BundleCount,
                format!("offset {start}: {} objects and then another item found, {} expected", self.objects, self.header.objects),
            );
        }
        let (head_len, len) = match byte_string_head(head) {
            Ok(Some(head)) => head,
            Ok(None) => return self.cut("the object", start, start + available),
            Err(reason) => return self.malformed(start, &Fault::new(Rule::CborForm, reason)),
        };
        if len > OBJECT_BYTES_MAX {
            return listed(Rule::ObjectTooLarge, format!("offset {start}: {len} bytes found, at most {OBJECT_BYTES_MAX} allowed"));
        }
        if self.object_bytes + len > self.header.object_bytes {
            let (found, expected) = (self.object_bytes + len, self.header.object_bytes);
            return listed(Rule::BundleCount, format!("offset {start}: {found} bytes of objects or more found, {expected} expected"));
        }
        self.stream.consume(head_len);
        let offset = self.stream.offset;
        let sha256 = self.hash(start, len)?;
        // SPEC 3.12: strictly ascending by SHA-256.
        if let Some(last) = self.last.filter(|&last| last >= sha256) {
            return listed(Rule::BundleOrder, format!("offset {start}: {sha256} follows {last}; {}", self.progress()));
        }
        self.last = Some(sha256);
        self.objects += 1;
        self.object_bytes += len;
        Ok(ObjectAt { sha256, offset, len })
    }

    fn hash(&mut self, start: u64, len: u64) -> Result<Hash, Trouble> {
        let mut hasher = Sha256::new();
        let mut left = len;
        while left > 0 {
            let bytes = self.stream.peek(1)?;
            let got = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
            if got == 0 {
                return self.cut("the object", start, self.stream.offset);
            }
            hasher.update(&bytes[..got]);
            self.stream.consume(got);
            left -= got as u64;
        }
        Ok(Hash(hasher.finalize().into()))
    }

    fn end(&mut self) -> Result<(), Trouble> {
        let offset = self.stream.offset;
        if self.object_bytes != self.header.object_bytes {
            let (found, expected) = (self.object_bytes, self.header.object_bytes);
            return listed(Rule::BundleCount, format!("offset {offset}: {found} bytes of objects found, {expected} expected"));
        }
        if self.stream.peek(1)?.is_empty() {
            return Ok(());
        }
        let BundleHeader { papers, objects, .. } = self.header;
        listed(
            Rule::BundleCount,
            format!("offset {offset}: more bytes found, the end expected after {papers} papers and {objects} objects"),
        )
    }
}

/// Head length and value of a byte string in its shortest form, or `None` when `bytes` end before the head does.
fn byte_string_head(bytes: &[u8]) -> Result<Option<(usize, u64)>, &'static str> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let (width, least) = match first & 0x1f {
        small @ 0..=23 => return Ok(Some((1, u64::from(small)))),
        24 => (1, 24),
        25 => (2, 1 << 8),
        26 => (4, 1 << 16),
        27 => (8, 1 << 32),
        31 => return Err("indefinite length"),
        _ => return Err("reserved length"),
    };
    let Some(argument) = bytes.get(1..1 + width) else { return Ok(None) };
    let value = argument.iter().fold(0, |value, &b| value << 8 | u64::from(b));
    if value < least { Err("length is not in its shortest form") } else { Ok(Some((1 + width, value))) }
}

/// A window that slides over our copy.
struct Stream<'a> {
    file: &'a RawFile,
    reader: RawReader<'a>,
    window: Vec<u8>,
    start: usize,
    end: usize,
    /// Offset in the file of the first byte not consumed.
    offset: u64,
}

impl<'a> Stream<'a> {
    fn open(file: &'a RawFile) -> Result<Stream<'a>, Trouble> {
        let reader = file.open(0).map_err(Trouble::Stop)?;
        Ok(Stream { file, reader, window: vec![0; 4 * ENVELOPE_BYTES_MAX], start: 0, end: 0, offset: 0 })
    }

    /// What comes next: at least `want` bytes unless the file ends before.
    fn peek(&mut self, want: usize) -> Result<&[u8], Trouble> {
        if self.end - self.start < want {
            self.window.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            let got =
                read_up_to(&mut self.reader, &mut self.window[self.end..]).map_err(|error| Trouble::Stop(self.file.copy_fault(&error)))?;
            self.end += got;
        }
        Ok(&self.window[self.start..self.end])
    }

    fn consume(&mut self, len: usize) {
        self.start += len;
        self.offset += len as u64;
    }
}

/// Writes a bundle: papers ascending by their bytes, objects by their hash, each once. The same papers and objects give the same file.
///
/// The file appears whole under its name or not at all, and is on disk when this answers; one that is there is replaced. Each content is
/// hashed while it is written.
///
/// # Errors
/// `envelope-too-large`, `object-too-large`; `usage` for more items than a bundle may hold; `file-fault` with path and error, also when a
/// content no longer has its hash.
pub fn write_bundle(out: &Path, papers: &[Vec<u8>], objects: &[(Hash, PathBuf)]) -> Checked<()> {
    write(out, papers, objects, BUNDLE_OBJECTS_MAX)
}

/// Writes a pack of the published folder: a bundle without papers, of as many objects as a pack may hold.
///
/// # Errors
/// As [`write_bundle`].
pub fn write_pack(out: &Path, objects: &[(Hash, PathBuf)]) -> Checked<()> {
    write(out, &[], objects, PACK_OBJECTS_MAX)
}

fn write(out: &Path, papers: &[Vec<u8>], objects: &[(Hash, PathBuf)], objects_max: u64) -> Checked<()> {
    let mut papers: Vec<&[u8]> = papers.iter().map(Vec::as_slice).collect();
    papers.sort_unstable();
    papers.dedup();
    let mut objects: Vec<(Hash, &Path)> = objects.iter().map(|(hash, path)| (*hash, path.as_path())).collect();
    objects.sort_unstable();
    objects.dedup_by_key(|(hash, _)| *hash);
    let (header, lens) = plan(&papers, &objects, objects_max)?;

    let fault = |error: io::Error| file_fault(out, &error);
    let mut builder = tempfile::Builder::new();
    // tempfile makes files for their owner alone; a bundle is carried to others.
    builder.prefix("tmp-").suffix(".part").permissions(std::fs::Permissions::from_mode(0o644));
    let mut temporary = builder.tempfile_in(folder_of(out)).map_err(fault)?;
    let mut writer = BufWriter::new(temporary.as_file_mut());
    let fill = || {
        writer.write_all(&header.to_bytes()).map_err(fault)?;
        papers.iter().try_for_each(|paper| writer.write_all(paper)).map_err(fault)?;
        objects.into_iter().zip(lens).try_for_each(|((hash, path), len)| write_object(&mut writer, out, hash, path, len))?;
        writer.flush().map_err(fault)
    };
    let filled = fill();
    // Dropped as it is, the writer would write once more what could not be written.
    drop(writer.into_parts());
    filled?;
    temporary.as_file().sync_all().map_err(fault)?;
    temporary.persist(out).map_err(|error| fault(error.error))?;
    sync_folder(folder_of(out)).map_err(fault)
}

/// The header, and the length of each object, after the bounds were held.
fn plan(papers: &[&[u8]], objects: &[(Hash, &Path)], objects_max: u64) -> Checked<(BundleHeader, Vec<u64>)> {
    for (found, most, what) in [(papers.len(), SESSION_PAPERS_MAX, "papers"), (objects.len(), objects_max, "objects")] {
        if found as u64 > most {
            return Err(Fault::new(Rule::Usage, format!("{found} {what} found, a bundle holds at most {most}")));
        }
    }
    if let Some(paper) = papers.iter().find(|paper| paper.len() > ENVELOPE_BYTES_MAX) {
        return Err(Fault::new(Rule::EnvelopeTooLarge, format!("{} bytes found, at most {ENVELOPE_BYTES_MAX} allowed", paper.len())));
    }
    let mut lens = Vec::with_capacity(objects.len());
    for (_, path) in objects {
        let len = std::fs::metadata(path).map_err(|error| file_fault(path, &error))?.len();
        if len > OBJECT_BYTES_MAX {
            let found = format!("{}: {len} bytes found, at most {OBJECT_BYTES_MAX} allowed", path.display());
            return Err(Fault::new(Rule::ObjectTooLarge, found));
        }
        lens.push(len);
    }
    let header = BundleHeader { papers: papers.len() as u64, objects: objects.len() as u64, object_bytes: lens.iter().sum() };
    Ok((header, lens))
}

fn write_object(writer: &mut impl Write, out: &Path, hash: Hash, path: &Path, len: u64) -> Checked<()> {
    writer.write_all(&byte_string_head_of(len)).map_err(|error| file_fault(out, &error))?;
    let mut source = File::open(path).map_err(|error| file_fault(path, &error))?;
    let mut written = 0;
    let copied = hash_through(&mut source, &mut |chunk| {
        written += chunk.len() as u64;
        // A source that grows without end must not fill the disk.
        if written > len { Err(io::Error::other("it grew while it was read")) } else { writer.write_all(chunk) }
    });
    let (found, found_len) =
        copied.map_err(|error| Fault::new(Rule::FileFault, format!("{} into {}: {error}", path.display(), out.display())))?;
    if (found, found_len) != (hash, len) {
        let reason = format!("{}: sha256 {found} of {found_len} bytes found, {hash} of {len} bytes expected", path.display());
        return Err(Fault::new(Rule::FileFault, reason));
    }
    Ok(())
}

/// The shortest head of a byte string of `len` bytes: that of the same unsigned integer, with major type 2.
fn byte_string_head_of(len: u64) -> Vec<u8> {
    let mut w = crate::core::cbor::Writer::new();
    w.uint(len);
    let mut head = w.finish();
    head[0] |= 0x40;
    head
}

fn file_fault(path: &Path, error: &io::Error) -> Fault {
    Fault::new(Rule::FileFault, format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::super::scan::read_one;
    use super::*;

    /// An item with an envelope's first bytes and `len` bytes in all, `len` from 12.
    fn paper(len: usize, fill: u8) -> Vec<u8> {
        let head = |payload: usize| {
            let mut w = crate::core::cbor::Writer::new();
            w.tag(98).array(4).bytes(&[]).map(0).bytes(&vec![fill; payload]).array(0);
            w.finish()
        };
        (0..=len).rev().map(head).find(|bytes| bytes.len() == len).expect("a length that can be had")
    }

    fn object(content: &[u8]) -> (Hash, Vec<u8>) {
        (Hash::of(content), [byte_string_head_of(content.len() as u64), content.to_vec()].concat())
    }

    fn header(papers: u64, objects: u64, object_bytes: u64) -> Vec<u8> {
        BundleHeader { papers, objects, object_bytes }.to_bytes()
    }

    /// What was read, the objects with their content, and the fault.
    type Got = (Vec<Vec<u8>>, Vec<Vec<u8>>, Option<Fault>);

    fn read(bytes: &[u8]) -> Got {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("file");
        std::fs::write(&path, bytes).expect("written");
        let file = read_one(&path, dir.path()).expect("a known file");
        let (mut papers, mut objects) = (vec![], vec![]);
        let fault = read_bundle(&file, &mut |item| {
            match item {
                BundleItem::Paper(paper) => papers.push(paper),
                BundleItem::Object(at) => {
                    let mut content = vec![];
                    at.copy_to(&file, &mut content)?;
                    assert_eq!((Hash::of(&content), content.len() as u64), (at.sha256, at.len));
                    objects.push(content);
                }
            }
            Ok(())
        });
        (papers, objects, fault.expect("our copy is readable"))
    }

    fn fault(bytes: &[u8]) -> Fault {
        read(bytes).2.expect("a fault")
    }

    /// Two papers and three objects of 0, 5 and 300 bytes, and the offsets at which an item ends.
    fn sample() -> (Vec<u8>, Vec<usize>) {
        let mut objects = [object(b""), object(b"small"), object(&[7; 300])];
        objects.sort();
        let parts = [header(2, 3, 305), paper(40, 1), paper(300, 2)].into_iter().chain(objects.map(|(_, bytes)| bytes));
        let (mut bytes, mut ends) = (vec![], vec![]);
        for part in parts {
            bytes.extend(part);
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    #[test]
    fn whole_bundle_is_read_and_a_bare_paper_is_a_bundle_of_one() {
        let (papers, objects, fault) = read(&sample().0);
        assert_eq!((papers.len(), objects.len(), fault), (2, 3, None));
        assert_eq!(papers[1], paper(300, 2));
        assert_eq!(read(&paper(50, 3)), (vec![paper(50, 3)], vec![], None));
        assert_eq!(read(&header(0, 0, 0)), (vec![], vec![], None));
    }

    #[test]
    fn bundle_cut_at_every_byte_keeps_what_stands_before_and_names_the_offset() {
        let (bytes, ends) = sample();
        for cut in 4..bytes.len() {
            let (papers, objects, fault) = read(&bytes[..cut]);
            let whole = ends.iter().filter(|&&end| end <= cut).count();
            assert_eq!(1 + papers.len() + objects.len(), whole.max(1), "cut at {cut}");
            let fault = fault.unwrap_or_else(|| panic!("cut at {cut} is not seen"));
            assert!(fault.found.starts_with(&format!("offset {cut}: ")), "cut at {cut}: {fault}");
            let rule = if cut < ends[0] { Rule::BundleHeader } else { Rule::BundleCut };
            assert_eq!(fault.rule, rule, "cut at {cut}: {fault}");
            if cut >= ends[0] {
                let progress = format!("{} of 2 papers and {} of 3 objects were read", papers.len(), objects.len());
                assert!(fault.found.ends_with(&progress), "cut at {cut}: {fault}");
            }
        }
        let one = paper(50, 3);
        for cut in 3..one.len() {
            let fault = fault(&one[..cut]);
            assert_eq!(fault.rule, Rule::BundleCut);
            assert!(
                fault.found.starts_with(&format!("offset {cut}: the file ends inside the envelope that begins at 0; 0 of 1")),
                "{fault}"
            );
        }
    }

    #[test]
    fn bytes_after_the_end_and_wrong_counts_are_listed_and_the_items_stand() {
        let (good, _) = sample();
        let (papers, objects, trailing) = read(&[good.clone(), vec![0]].concat());
        assert_eq!((papers.len(), objects.len(), trailing.map(|f| f.rule)), (2, 3, Some(Rule::BundleCount)));
        let (papers, _, after_paper) = read(&[paper(50, 3), vec![0]].concat());
        assert_eq!((papers.len(), after_paper.map(|f| f.rule)), (1, Some(Rule::BundleCount)));
        let items = &good[header(2, 3, 305).len()..];
        for (head, papers, objects, rule, reason) in [
            (header(3, 3, 305), 2, 0, Rule::BundleCount, "2 papers found, 3 expected"),
            (header(1, 3, 305), 1, 0, Rule::BundleCount, "0 objects and then another item found, 3 expected"),
            (header(2, 2, 305), 2, 2, Rule::BundleCount, "expected"),
            (header(2, 4, 305), 2, 3, Rule::BundleCut, "3 of 4 objects"),
            (header(2, 3, 306), 2, 3, Rule::BundleCount, "305 bytes of objects found, 306 expected"),
            (header(2, 0, 0), 2, 0, Rule::BundleCount, "more bytes found"),
        ] {
            let got = read(&[&head, items].concat());
            let fault = got.2.expect(reason);
            assert_eq!((got.0.len(), got.1.len(), fault.rule), (papers, objects, rule), "{fault}");
            assert!(fault.found.contains(reason), "{fault}");
        }
        let low = fault(&[&header(2, 3, 304), items].concat());
        assert_eq!(low.rule, Rule::BundleCount);
        assert!(low.found.contains("305 bytes of objects or more found, 304 expected"), "{low}");
    }

    #[test]
    fn objects_that_do_not_ascend_are_listed_and_those_before_stand() {
        let mut objects = [object(b"a"), object(b"b"), object(b"c")];
        objects.sort();
        let [one, two, three] = objects.map(|(_, bytes)| bytes);
        for (order, stand) in [([&two, &one, &three], 1), ([&one, &one, &two], 1), ([&one, &three, &two], 2)] {
            let (_, objects, fault) = read(&[&header(0, 3, 3)[..], order[0], order[1], order[2]].concat());
            assert_eq!((objects.len(), fault.map(|f| f.rule)), (stand, Some(Rule::BundleOrder)));
        }
    }

    #[test]
    fn envelope_at_its_bound_is_read_and_one_byte_more_ends_the_file() {
        let (most, over) = (paper(ENVELOPE_BYTES_MAX, 1), paper(ENVELOPE_BYTES_MAX + 1, 1));
        assert_eq!(read(&[header(2, 0, 0), most.clone(), most.clone()].concat()).0.len(), 2);
        let (papers, _, fault) = read(&[header(3, 0, 0), most.clone(), over.clone(), most].concat());
        assert_eq!((papers.len(), fault.map(|f| f.rule)), (1, Some(Rule::EnvelopeTooLarge)));
        assert_eq!(read(&over).2.map(|f| f.rule), Some(Rule::EnvelopeTooLarge));
        assert_eq!(read(&over[..ENVELOPE_BYTES_MAX]).2.map(|f| f.rule), Some(Rule::BundleCut));
        // A head that promises more than there is: refused by what is there, without taking memory for it.
        let promise = [paper(12, 0)[..5].to_vec(), vec![0x5b, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], vec![0; 70_000]].concat();
        assert_eq!(read(&promise).2.map(|f| f.rule), Some(Rule::EnvelopeTooLarge));
    }

    #[test]
    fn a_bundle_that_is_brought_has_fewer_objects_than_a_pack_may_have() {
        assert_eq!(fault(&header(0, 100_000, 0)).rule, Rule::BundleCut);
        let over = fault(&header(0, 100_001, 0));
        assert_eq!(over.rule, Rule::BundleHeader);
        assert!(over.found.contains("100001 objects found, at most 100000"), "{over}");
    }

    #[test]
    fn objects_above_the_bound_and_heads_of_another_form_are_listed() {
        let most_head = byte_string_head_of(OBJECT_BYTES_MAX + 1);
        let large = fault(&[header(0, 1, OBJECT_BYTES_MAX + 1), most_head].concat());
        assert_eq!(large.rule, Rule::ObjectTooLarge);
        assert!(large.found.contains("17179869185 bytes found, at most 17179869184"), "{large}");
        assert_eq!(fault(&[header(0, 1, OBJECT_BYTES_MAX), byte_string_head_of(OBJECT_BYTES_MAX)].concat()).rule, Rule::BundleCut);
        for head in ["5f41aaff", "5801aa", "590001aa", "5c"] {
            let bytes = [header(0, 1, 1), hex::decode(head).expect("hex")].concat();
            let fault = fault(&bytes);
            assert_eq!(fault.rule, Rule::BundleCut, "{head}");
            assert!(fault.found.contains("[cbor-form]") && fault.found.contains("0 of 1 objects"), "{head}: {fault}");
        }
    }

    #[test]
    fn an_item_of_another_form_cuts_a_bundle_and_refuses_a_bare_paper() {
        let bad = [0xd8, 0x62, 0x84, 0x58, 0x01, 0xaa];
        let (papers, _, in_bundle) = read(&[header(3, 0, 0), paper(40, 1), bad.to_vec(), paper(40, 2)].concat());
        let in_bundle = in_bundle.expect("a fault");
        assert_eq!((papers.len(), in_bundle.rule), (1, Rule::BundleCut));
        assert!(in_bundle.found.starts_with("offset 66: the item that begins here is not sound [cbor-form] offset 3: "), "{in_bundle}");
        let alone = fault(&bad);
        assert_eq!(alone.rule, Rule::CborForm);
        assert!(alone.found.starts_with("offset 3: "), "{alone}");
    }

    #[test]
    fn a_stop_of_the_sink_ends_the_reading() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("file");
        std::fs::write(&path, sample().0).expect("written");
        let file = read_one(&path, dir.path()).expect("a bundle");
        let mut seen = 0;
        let stopped = read_bundle(&file, &mut |_| {
            seen += 1;
            if seen == 3 { Err(Fault::new(Rule::FileFault, "full")) } else { Ok(()) }
        });
        assert_eq!((stopped.map_err(|f| f.rule), seen), (Err(Rule::FileFault), 3));
    }

    #[test]
    fn large_bundles_stream_through_a_staged_copy() {
        let mut objects = [object(&vec![1; 1_500_000]), object(&vec![2; 700_001])];
        objects.sort();
        let papers: Vec<_> = (0..40).map(|i| paper(60_000 + i, i as u8)).collect();
        let bytes = [header(40, 2, 2_200_001), papers.concat(), objects[0].1.clone(), objects[1].1.clone()].concat();
        let (got, contents, fault) = read(&bytes);
        assert_eq!((got == papers, contents.len(), fault), (true, 2, None));
    }

    #[test]
    fn written_bundles_are_read_again_and_do_not_depend_on_the_order_given() {
        let dir = tempfile::tempdir().expect("a folder");
        let contents: Vec<Vec<u8>> = [0, 23, 24, 255, 256, 70_000].iter().map(|&len| vec![9; len]).collect();
        let mut objects = vec![];
        for (i, content) in contents.iter().enumerate() {
            let path = dir.path().join(format!("o{i}"));
            std::fs::write(&path, content).expect("written");
            objects.push((Hash::of(content), path));
        }
        let mut papers = vec![paper(60, 2), paper(50, 1), paper(60, 2)];
        let out = dir.path().join("out.bundle");
        std::fs::write(&out, b"an old one").expect("written");
        assert_eq!(write_bundle(&out, &papers, &objects), Ok(()));
        let first = std::fs::read(&out).expect("read");
        papers.reverse();
        objects.reverse();
        objects.push(objects[0].clone());
        assert_eq!(write_bundle(&out, &papers, &objects), Ok(()));
        assert_eq!(std::fs::read(&out).expect("read"), first);
        let (papers, read_contents, fault) = read(&first);
        assert_eq!((papers.len(), read_contents.len(), fault), (2, 6, None));
        assert_eq!(std::fs::metadata(&out).expect("there").permissions().mode() & 0o700, 0o600);
    }

    #[test]
    fn content_that_changed_since_is_refused_and_the_old_file_stays() {
        let dir = tempfile::tempdir().expect("a folder");
        let (out, source) = (dir.path().join("out"), dir.path().join("source"));
        std::fs::write(&out, b"old").expect("written");
        std::fs::write(&source, b"changed").expect("written");
        let fault = write_bundle(&out, &[], &[(Hash::of(b"content"), source.clone())]).expect_err("another hash");
        assert_eq!(fault.rule, Rule::FileFault);
        assert!(fault.found.contains(&Hash::of(b"changed").hex()) && fault.found.contains(&Hash::of(b"content").hex()), "{fault}");
        for (papers, objects, rule) in [
            (vec![vec![0; ENVELOPE_BYTES_MAX + 1]], vec![], Rule::EnvelopeTooLarge),
            (vec![], vec![(Hash::ZERO, dir.path().join("none"))], Rule::FileFault),
        ] {
            assert_eq!(write_bundle(&out, &papers, &objects).map_err(|f| f.rule), Err(rule));
        }
        let names = std::fs::read_dir(dir.path()).expect("read").count();
        assert_eq!((std::fs::read(&out).expect("read"), names), (b"old".to_vec(), 2), "a temporary file stayed");
        let endless = write_bundle(&out, &[], &[(Hash::ZERO, "/dev/zero".into())]).expect_err("a source without end");
        assert!(endless.rule == Rule::FileFault && endless.found.contains("it grew"), "{endless}");
        // A sparse file is as long as it says without taking its room on disk.
        std::fs::File::create(&source).and_then(|file| file.set_len(OBJECT_BYTES_MAX + 1)).expect("made");
        assert_eq!(write_bundle(&out, &[], &[(Hash::ZERO, source)]).map_err(|f| f.rule), Err(Rule::ObjectTooLarge));
    }
}

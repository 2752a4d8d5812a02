//! The packs of a published folder (SPEC 8.3, `objects/`): each object read once, without holding it, and compared with its hash.

use std::fs::{self, File};
use std::io::{BufReader, Read, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::core::bundle::{BUNDLE_HEADER_BYTES_MAX, BundleHeader};
use crate::core::ids::Hash;
use crate::core::limits::PACK_OBJECTS_MAX;
use crate::core::publish::head_len;
use crate::core::rules::{Checked, Fault, Rule};

/// Bytes read at a time.
const CHUNK_BYTES: usize = 131_072;
/// Rows of an index: 32 bytes of hash, 8 of offset.
pub(super) const INDEX_ROW: usize = 40;
/// Most rows of an index.
pub(super) const INDEX_ROWS_MAX: u64 = PACK_OBJECTS_MAX;

fn fails(path: &Path, reason: impl std::fmt::Display) -> Fault {
    Fault::new(Rule::ProofFails, format!("{}: {reason}", path.display()))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Fault {
    Fault::new(Rule::FolderIncomplete, format!("{}: {error}", path.display()))
}

/// Checks every object of the pack at `stem` (without its ending) against the index beside it; answers how many there are.
///
/// # Errors
/// `proof-fails` with path and both values; `folder-incomplete` when index or pack cannot be read.
pub fn check_pack(stem: &Path) -> Checked<usize> {
    let (index, pack) = (PathBuf::from(format!("{}.index", stem.display())), PathBuf::from(format!("{}.objects", stem.display())));
    let rows = read_index(&index)?;
    let (file, length) = open(&pack)?;
    let mut reader = BufReader::with_capacity(CHUNK_BYTES, file);
    let mut first = vec![0; BUNDLE_HEADER_BYTES_MAX.min(usize::try_from(length).unwrap_or(usize::MAX))];
    reader.read_exact(&mut first).map_err(|error| unreadable(&pack, &error))?;
    let (header, mut at) =
        BundleHeader::parse(&first).map(|(header, len)| (header, len as u64)).map_err(|fault| fails(&pack, fault.shown()))?;
    if header.papers != 0 || header.objects != rows.len() as u64 {
        let found =
            format!("{} papers and {} objects in its header; 0 and {} expected by the index", header.papers, header.objects, rows.len());
        return Err(fails(&pack, found));
    }
    reader.seek(SeekFrom::Start(at)).map_err(|error| unreadable(&pack, &error))?;
    let (mut chunk, mut content) = (vec![0; CHUNK_BYTES], 0);
    for (expected, offset) in &rows {
        let (head, len) = read_head(&mut reader).map_err(|reason| fails(&pack, format_args!("the object at byte {at} {reason}")))?;
        at += head;
        if at != *offset || len > length.saturating_sub(at) {
            return Err(fails(
                &pack,
                format_args!("{len} bytes of content found at byte {at}; object {expected} expected at byte {offset}"),
            ));
        }
        let found = hash(&mut reader, len, &mut chunk).map_err(|error| unreadable(&pack, &error))?;
        if found != *expected {
            return Err(fails(&pack, format_args!("content with sha256 {found} found at byte {at}; {expected} expected")));
        }
        at += len;
        content += len;
    }
    if header.object_bytes != content {
        return Err(fails(&pack, format_args!("{} bytes of content in its header; its objects have {content}", header.object_bytes)));
    }
    if at != length {
        return Err(fails(&pack, format_args!("{length} bytes found; its objects end at byte {at}")));
    }
    Ok(rows.len())
}

/// Opens a plain file, and answers its length; a pipe is not even opened.
fn open(path: &Path) -> Checked<(File, u64)> {
    let metadata = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if !metadata.is_file() {
        return Err(Fault::new(Rule::FolderIncomplete, format!("{}: no plain file is there; a file expected", path.display())));
    }
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    Ok((file, metadata.len()))
}

/// The packs of a folder, by their indexes.
pub struct Packs(Vec<Pack>);

struct Pack {
    path: PathBuf,
    /// Hash, offset and size of each object, ascending.
    rows: Vec<(Hash, u64, u64)>,
}

impl Packs {
    /// Reads the indexes at these stems, once; a pack whose index is not there is passed over.
    ///
    /// # Errors
    /// `folder-incomplete`; `proof-fails` when an index is not of its form.
    pub fn open(stems: impl Iterator<Item = PathBuf>) -> Checked<Packs> {
        let mut packs = Vec::new();
        for stem in stems {
            let (index, path) = (PathBuf::from(format!("{}.index", stem.display())), PathBuf::from(format!("{}.objects", stem.display())));
            if index.is_file() {
                let (rows, (_, length)) = (read_index(&index)?, open(&path)?);
                let rows =
                    with_sizes(rows, length).ok_or_else(|| fails(&index, format_args!("its rows do not fit a pack of {length} bytes")))?;
                packs.push(Pack { path, rows });
            }
        }
        Ok(Packs(packs))
    }

    /// Where an object lies; `None` when no pack carries it.
    pub fn find(&self, hash: &Hash) -> Option<PackedAt> {
        self.0.iter().find_map(|pack| {
            let at = pack.rows.binary_search_by(|(row, _, _)| row.cmp(hash)).ok()?;
            Some(PackedAt { pack: pack.path.clone(), offset: pack.rows[at].1, size: pack.rows[at].2 })
        })
    }
}

/// Each object ends where the head of the next one begins, and a head is as long as its size makes it: sizes follow from the end of the pack.
fn with_sizes(rows: Vec<(Hash, u64)>, length: u64) -> Option<Vec<(Hash, u64, u64)>> {
    let mut end = length;
    let sized = rows.into_iter().rev().map(|(hash, offset)| {
        let size = end.checked_sub(offset)?;
        end = offset.checked_sub(head_len(size))?;
        Some((hash, offset, size))
    });
    let mut sized = sized.collect::<Option<Vec<_>>>()?;
    sized.reverse();
    Some(sized)
}

/// Where an object's content lies in a pack.
pub struct PackedAt {
    pack: PathBuf,
    offset: u64,
    size: u64,
}

impl PackedAt {
    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Copies the content to `out`, hashing it.
    ///
    /// # Errors
    /// `proof-fails` when the content has another hash or the pack ends before; `folder-incomplete`; `file-fault` when `out` fails.
    pub fn copy_to(&self, expected: &Hash, out: &mut dyn Write) -> Checked<()> {
        let PackedAt { pack, offset, size } = self;
        let (mut file, length) = open(pack)?;
        if *size > length.saturating_sub(*offset) {
            return Err(fails(pack, format_args!("{length} bytes found; {size} bytes of object {expected} expected at byte {offset}")));
        }
        file.seek(SeekFrom::Start(*offset)).map_err(|error| unreadable(pack, &error))?;
        let (mut hasher, mut left, mut chunk) = (Sha256::new(), *size, vec![0; CHUNK_BYTES]);
        while left > 0 {
            let want = usize::try_from(left).map_or(chunk.len(), |left| left.min(chunk.len()));
            file.read_exact(&mut chunk[..want]).map_err(|error| unreadable(pack, &error))?;
            hasher.update(&chunk[..want]);
            out.write_all(&chunk[..want]).map_err(|error| Fault::new(Rule::FileFault, format!("writing object {expected}: {error}")))?;
            left -= want as u64;
        }
        let found = Hash(hasher.finalize().into());
        if found == *expected {
            return Ok(());
        }
        Err(fails(pack, format_args!("content with sha256 {found} found at byte {offset}; {expected} expected")))
    }
}

fn read_index(path: &Path) -> Checked<Vec<(Hash, u64)>> {
    let (_, length) = open(path)?;
    if length > INDEX_ROW as u64 * INDEX_ROWS_MAX || length % INDEX_ROW as u64 != 0 {
        return Err(fails(path, format_args!("{length} bytes found; rows of {INDEX_ROW} bytes, {INDEX_ROWS_MAX} at most, expected")));
    }
    let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
    let row = |row: &[u8]| (Hash::from_slice(&row[..32]).unwrap_or_default(), offset_of(row));
    Ok(bytes.chunks_exact(INDEX_ROW).map(row).collect())
}

/// The offset in a row of an index.
pub(super) fn offset_of(row: &[u8]) -> u64 {
    row[32..INDEX_ROW].iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// The head of a byte string: how long it is, and how long the string.
fn read_head(reader: &mut impl Read) -> Result<(u64, u64), String> {
    let mut byte = [0; 1];
    let mut next = || reader.read_exact(&mut byte).map(|()| byte[0]).map_err(|_| "breaks off".to_owned());
    let first = next()?;
    let width = match first {
        0x40..=0x57 => return Ok((1, u64::from(first & 0x1f))),
        0x58..=0x5b => 1_u64 << (first - 0x58),
        _ => return Err(format!("begins with byte {first:02x}; a byte string expected")),
    };
    let mut len = 0;
    for _ in 0..width {
        len = len << 8 | u64::from(next()?);
    }
    Ok((1 + width, len))
}

fn hash(reader: &mut impl Read, len: u64, chunk: &mut [u8]) -> std::io::Result<Hash> {
    let mut hasher = Sha256::new();
    let mut left = len;
    while left > 0 {
        let want = usize::try_from(left).map_or(chunk.len(), |left| left.min(chunk.len()));
        reader.read_exact(&mut chunk[..want])?;
        hasher.update(&chunk[..want]);
        left -= want as u64;
    }
    Ok(Hash(hasher.finalize().into()))
}

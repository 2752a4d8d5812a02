//! The log in tiles: C2SP tlog-tiles paths and contents, and proofs made from nothing but complete subtrees.
//!
//! A [`TileReader`] answers from published tiles what [`super::tree::Log`] answers from memory. Tiles are not trusted: whoever reads them
//! compares the root with a signed one.

use super::ids::Hash;
use super::limits::TILE_WIDTH;
use super::merkle::node_hash;
pub use super::merkle::{Tiles, consistency, inclusion, root};
use super::rules::{Checked, Fault, Rule};

/// Levels of the tree in one tile: `2^8 = 256` hashes.
const TILE_HEIGHT: u32 = 8;
const HASH_BYTES: usize = 32;

/// `1234067` as `x001/x234/067`: groups of three digits, all but the last prefixed `x`.
///
/// # Source
/// C2SP tlog-tiles v0.1.0, "Merkle tree"; SPEC 8.3.
pub fn numbered(index: u64) -> String {
    let mut text = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        text = format!("x{:03}/{text}", rest % 1000);
        rest /= 1000;
    }
    text
}

/// `<folder>/<index>`, and `.p/<width>` after it for a partial one: the form shared by tiles, entries, `checkpoints` and `papers`.
///
/// `None` and widths from 256 name the full file. Width 0 names nothing that exists; [`partial_width`] 0 means that there is no partial.
pub fn numbered_path(folder: &str, index: u64, width: Option<u16>) -> String {
    let index = numbered(index);
    match width.filter(|&width| u64::from(width) < TILE_WIDTH) {
        Some(width) => format!("{folder}/{index}.p/{width}"),
        None => format!("{folder}/{index}"),
    }
}

/// `tile/<level>/<index>[.p/<width>]`; the path has no height.
///
/// # Source
/// C2SP tlog-tiles v0.1.0; SPEC 8.3.
pub fn tile_path(level: u8, index: u64, width: Option<u16>) -> String {
    numbered_path(&format!("tile/{level}"), index, width)
}

/// `tile/entries/<index>[.p/<width>]`.
///
/// # Source
/// C2SP tlog-tiles v0.1.0; SPEC 8.3.
pub fn entries_path(index: u64, width: Option<u16>) -> String {
    numbered_path("tile/entries", index, width)
}

/// `000/000012` for session 12: at least six digits, in a folder named by all but the last three.
///
/// # Source
/// SPEC 8.3.
pub fn session_stem(session: u64) -> String {
    format!("{:03}/{session:06}", session / 1000)
}

/// `floor(size / 256^level) mod 256`: the width of the partial tile at the right edge of `level`; 0 when there is none.
///
/// # Source
/// C2SP tlog-tiles v0.1.0.
pub fn partial_width(size: u64, level: u8) -> u16 {
    (hashes_at(size, level) % TILE_WIDTH) as u16
}

/// `floor(size / 256^level)`: how many hashes the tiles of `level` hold.
fn hashes_at(size: u64, level: u8) -> u64 {
    size.checked_shr(TILE_HEIGHT * u32::from(level)).unwrap_or(0)
}

/// One tile of a tree: `width` is 256 for a full one, 1 to 255 for the partial one at the right edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TileRef {
    /// Tile level; its hashes are at tree level `8 · level`.
    pub level: u8,
    /// Index within the level.
    pub index: u64,
    /// Hashes in it, 1 to 256.
    pub width: u16,
}

impl TileRef {
    /// The path under the published folder, as [`tile_path`].
    pub fn path(&self) -> String {
        tile_path(self.level, self.index, Some(self.width))
    }
}

/// Every tile of a tree of `size`: on each level the full ones, then the partial one unless its width is 0.
///
/// The list has about `size / 255` items.
///
/// # Source
/// C2SP tlog-tiles v0.1.0.
pub fn tiles_for(size: u64) -> Vec<TileRef> {
    let mut tiles = Vec::new();
    let mut level = 0;
    while hashes_at(size, level) > 0 {
        let full = hashes_at(size, level) / TILE_WIDTH;
        tiles.extend((0..full).map(|index| TileRef { level, index, width: TILE_WIDTH as u16 }));
        let width = partial_width(size, level);
        if width > 0 {
            tiles.push(TileRef { level, index: full, width });
        }
        level += 1;
    }
    tiles
}

/// Up to 256 items, each `u16be length ‖ item`, one after another.
///
/// # Errors
/// `internal-fault`: an item is longer than 65,535 bytes (never a cast), or there are more than 256.
///
/// # Source
/// C2SP tlog-tiles v0.1.0, "Log entries"; SPEC 8.3 (`tile/entries`, `checkpoints`).
pub fn encode_bundle<'a>(entries: impl Iterator<Item = &'a [u8]>) -> Checked<Vec<u8>> {
    let mut bytes = Vec::new();
    for (at, entry) in entries.enumerate() {
        if at as u64 == TILE_WIDTH {
            return Err(Fault::new(
                Rule::InternalFault,
                format!("more than {TILE_WIDTH} entries found in one bundle; {TILE_WIDTH} expected"),
            ));
        }
        let length = u16::try_from(entry.len())
            .map_err(|_| Fault::new(Rule::InternalFault, format!("entry {at} has {} bytes; at most {} expected", entry.len(), u16::MAX)))?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    Ok(bytes)
}

/// The items of [`encode_bundle`].
///
/// # Errors
/// `record-form`: the bytes end within an item, or there are more than 256 items.
pub fn decode_bundle(bytes: &[u8]) -> Checked<Vec<&[u8]>> {
    let mut entries = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let at = bytes.len() - rest.len();
        let fault = |reason: String| Fault::new(Rule::RecordForm, format!("entry {} at offset {at}: {reason}", entries.len()));
        if entries.len() as u64 == TILE_WIDTH {
            return Err(fault(format!("a bundle holds at most {TILE_WIDTH} entries")));
        }
        let Some((length, after)) = rest.split_first_chunk::<2>() else {
            return Err(fault("1 byte found, 2 bytes of length expected".into()));
        };
        let length = usize::from(u16::from_be_bytes(*length));
        let Some((entry, after)) = after.split_at_checked(length) else {
            return Err(fault(format!("{} bytes found, {length} expected", after.len())));
        };
        entries.push(entry);
        rest = after;
    }
    Ok(entries)
}

/// [`Tiles`] over the published tiles of a tree of `size`: `read` gives the bytes of one tile and may keep them.
pub struct TileReader<F> {
    size: u64,
    read: F,
}

impl<F: Fn(TileRef) -> Checked<Vec<u8>>> TileReader<F> {
    /// A reader of the tree of `size`, which decides whether a tile is full or partial.
    pub fn new(size: u64, read: F) -> TileReader<F> {
        TileReader { size, read }
    }
}

impl<F: Fn(TileRef) -> Checked<Vec<u8>>> Tiles for TileReader<F> {
    /// # Errors
    /// `proof-fails` when the subtree is not complete in a tree of this size; `folder-incomplete` when a tile has another length
    /// than its width; those of `read`.
    fn hash(&self, level: u32, index: u64) -> Checked<Hash> {
        let outside =
            || Fault::new(Rule::ProofFails, format!("found subtree {index} of level {level}; expected one complete at size {}", self.size));
        let complete = self.size.checked_shr(level).unwrap_or(0);
        if index >= complete {
            return Err(outside());
        }
        let tile_level = u8::try_from(level / TILE_HEIGHT).map_err(|_| outside())?;
        let first = index << (level % TILE_HEIGHT);
        let (tile_index, offset) = (first / TILE_WIDTH, (first % TILE_WIDTH) as usize);
        let full = tile_index < hashes_at(self.size, tile_level) / TILE_WIDTH;
        let width = if full { TILE_WIDTH as u16 } else { partial_width(self.size, tile_level) };
        let tile = TileRef { level: tile_level, index: tile_index, width };
        let bytes = (self.read)(tile)?;
        let expected = usize::from(width) * HASH_BYTES;
        if bytes.len() != expected {
            let found = format!("{}: found {} bytes; expected {expected}", tile.path(), bytes.len());
            return Err(Fault::new(Rule::FolderIncomplete, found));
        }
        let hashes: Vec<Hash> = bytes.chunks_exact(HASH_BYTES).filter_map(Hash::from_slice).collect();
        let within = |level: u32, index: u64| hashes.get(index as usize).copied().filter(|_| level == 0).ok_or_else(outside);
        subtree(&within, offset as u64, level % TILE_HEIGHT)
    }
}

/// Root of the `2^height` hashes from `first` on.
fn subtree<E>(hash: &impl Fn(u32, u64) -> Result<Hash, E>, first: u64, height: u32) -> Result<Hash, E> {
    if height == 0 {
        return hash(0, first);
    }
    let half = 1 << (height - 1);
    Ok(node_hash(subtree(hash, first, height - 1)?, subtree(hash, first + half, height - 1)?))
}

#[cfg(test)]
mod tests {
    use super::super::tree::{Log, leaf_hash};
    use super::*;

    fn log(size: u64) -> Log {
        let mut log = Log::default();
        for n in 0..size {
            log.push(leaf_hash(&n.to_be_bytes()));
        }
        log
    }

    #[test]
    fn paths_are_those_of_the_c2sp_examples() {
        assert_eq!(numbered(1_234_067), "x001/x234/067");
        assert_eq!(numbered(0), "000");
        assert_eq!(numbered(999), "999");
        assert_eq!(numbered(1000), "x001/000");
        assert_eq!(tile_path(0, 1234, Some(5)), "tile/0/x001/234.p/5");
        assert_eq!(tile_path(3, 7, None), "tile/3/007");
        assert_eq!(tile_path(3, 7, Some(256)), "tile/3/007");
        assert_eq!(entries_path(273, Some(112)), "tile/entries/273.p/112");
        assert_eq!(numbered_path("checkpoints", 0, Some(1)), "checkpoints/000.p/1");
    }

    #[test]
    fn session_stems_have_six_digits_and_their_folder_all_but_three() {
        assert_eq!(session_stem(0), "000/000000");
        assert_eq!(session_stem(12), "000/000012");
        assert_eq!(session_stem(123_456), "123/123456");
        assert_eq!(session_stem(1_234_567), "1234/1234567");
    }

    #[test]
    fn tiles_of_the_c2sp_example_size_70000() {
        // 70,000 = 273 · 256 + 112; 273 = 256 + 17; and one hash at level 2: the widths tlog-tiles gives for this size.
        let tiles = tiles_for(70_000);
        assert_eq!(tiles.iter().filter(|t| t.level == 0 && t.width == 256).count(), 273);
        let edge: Vec<_> = tiles.iter().filter(|t| t.width < 256).map(TileRef::path).collect();
        assert_eq!(edge, ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]);
    }

    #[test]
    fn no_tile_has_width_0() {
        assert_eq!(tiles_for(0), []);
        assert_eq!(tiles_for(1), [TileRef { level: 0, index: 0, width: 1 }]);
        assert_eq!(tiles_for(256), [TileRef { level: 0, index: 0, width: 256 }, TileRef { level: 1, index: 0, width: 1 }]);
        assert_eq!((partial_width(256, 0), partial_width(257, 0), partial_width(255, 1), partial_width(u64::MAX, 8)), (0, 1, 0, 0));
    }

    #[test]
    fn bundles_come_back_and_overflow_is_an_error() {
        let long = vec![7; 65_535];
        let bytes = encode_bundle([b"ab".as_slice(), b"", &long].into_iter()).unwrap();
        assert_eq!(bytes[..8], [0, 2, b'a', b'b', 0, 0, 0xff, 0xff]);
        assert_eq!(decode_bundle(&bytes).unwrap(), [b"ab".as_slice(), b"", &long]);
        assert_eq!(encode_bundle(std::iter::once(vec![7; 65_536].as_slice())).unwrap_err().rule, Rule::InternalFault);
        assert!(encode_bundle(std::iter::repeat_n(b"".as_slice(), 256)).is_ok());
        assert!(encode_bundle(std::iter::repeat_n(b"".as_slice(), 257)).is_err());
    }

    #[test]
    fn broken_bundles_are_refused() {
        assert_eq!(decode_bundle(b"").unwrap().len(), 0);
        for bad in [b"\x00".as_slice(), b"\x00\x02a", b"\x00\x01a\x00"] {
            assert_eq!(decode_bundle(bad).unwrap_err().rule, Rule::RecordForm, "{bad:?}");
        }
        assert_eq!(decode_bundle(&[0; 512]).unwrap().len(), 256);
        assert!(decode_bundle(&[0; 514]).is_err());
    }

    #[test]
    fn a_reader_of_tiles_makes_the_roots_and_proofs_of_the_log() {
        let log = log(70_000);
        for size in [1, 2, 255, 256, 257, 511, 65_536, 65_537, 70_000] {
            let published: std::collections::BTreeMap<TileRef, Vec<u8>> =
                tiles_for(size).into_iter().map(|tile| (tile, log.tile(tile.level, tile.index, tile.width).unwrap())).collect();
            let reader = TileReader::new(size, |tile: TileRef| {
                published.get(&tile).cloned().ok_or_else(|| Fault::new(Rule::FolderIncomplete, tile.path()))
            });
            assert_eq!(root(&reader, size).unwrap(), log.root_at(size).unwrap());
            for index in [0, size / 300, size - 1] {
                assert_eq!(inclusion(&reader, index, size).unwrap(), log.inclusion(index, size).unwrap(), "{index} in {size}");
            }
            for old in [0, 1, 200, 257, size - 1, size] {
                if old <= size {
                    assert_eq!(consistency(&reader, old, size).unwrap(), log.consistency(old, size).unwrap(), "{old} to {size}");
                }
            }
        }
    }

    #[test]
    fn a_reader_refuses_what_the_tree_does_not_have_and_short_tiles() {
        let reader = TileReader::new(300, |tile: TileRef| Ok(vec![0; usize::from(tile.width) * 32 - 1]));
        assert_eq!(reader.hash(0, 300).unwrap_err().rule, Rule::ProofFails);
        assert_eq!(reader.hash(8, 1).unwrap_err().rule, Rule::ProofFails);
        assert_eq!(reader.hash(u32::MAX, 0).unwrap_err().rule, Rule::ProofFails);
        let fault = reader.hash(0, 299).unwrap_err();
        assert_eq!((fault.rule, fault.found.as_str()), (Rule::FolderIncomplete, "tile/0/001.p/44: found 1407 bytes; expected 1408"));
    }
}

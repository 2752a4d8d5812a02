//! The RFC 6962 Merkle tree: hashes, the log in memory, and the two verifiers.
//!
//! Entry N−1 is record N. Leaves and nodes are hashed with different first bytes, so no leaf can pass for a node. How roots and proofs are
//! put together is in [`super::merkle`]; the verifiers here follow RFC 9162 and share nothing with it.

use std::convert::Infallible;
use std::sync::Arc;

use super::ids::{Hash, Head};
use super::limits::TILE_WIDTH;
use super::merkle::{self, Tiles, range_root};
pub use super::merkle::{empty_root, leaf_hash, node_hash};
use super::rules::{Checked, Fault, Rule};

/// An append-only list of leaf hashes that answers for every size it ever had.
///
/// It keeps the hash of every complete subtree: hash `i` of `levels[l]` is over leaves `i · 2^l` to `(i + 1) · 2^l − 1`; in all fewer than
/// two hashes a leaf. A clone shares them, but for the newest of each level.
#[derive(Clone, Default)]
pub struct Log {
    levels: Vec<Row>,
}

/// Hashes of a tile.
const WIDTH: usize = TILE_WIDTH as usize;

/// The hashes of one level. Full tiles do not change any more, so versions of the log share them; nor is there room kept for what may come.
#[derive(Clone, Default)]
struct Row {
    tiles: Vec<Arc<[Hash]>>,
    /// The hashes behind them, fewer than a tile.
    newest: Vec<Hash>,
}

impl Row {
    fn len(&self) -> usize {
        self.tiles.len() * WIDTH + self.newest.len()
    }

    fn push(&mut self, hash: Hash) {
        self.newest.push(hash);
        if self.newest.len() == WIDTH {
            self.tiles.push(self.newest.as_slice().into());
            self.newest.clear();
        }
    }

    /// The hashes of a tile, as many as there are.
    fn tile(&self, index: usize) -> &[Hash] {
        match self.tiles.get(index) {
            Some(tile) => tile,
            None if index == self.tiles.len() => &self.newest,
            None => &[],
        }
    }

    fn get(&self, index: usize) -> Option<Hash> {
        self.tile(index / WIDTH).get(index % WIDTH).copied()
    }
}

impl Log {
    /// Appends a leaf hash and gives the new size and root.
    pub fn push(&mut self, leaf: Hash) -> Head {
        let mut hash = leaf;
        for level in 0.. {
            if level == self.levels.len() {
                self.levels.push(Row::default());
            }
            let row = &mut self.levels[level];
            // The hash before this one is its left sibling, when this one is a right child.
            let left = if row.len() % 2 == 1 { row.newest.last().copied() } else { None };
            row.push(hash);
            let Some(left) = left else { break };
            hash = node_hash(left, hash);
        }
        self.head()
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// Size and root now.
    pub fn head(&self) -> Head {
        Head { number: self.size(), root: self.root_within(self.size()) }
    }

    /// The root when the log had `size` leaves; `None` when it never had.
    pub fn root_at(&self, size: u64) -> Option<Hash> {
        (size <= self.size()).then(|| self.root_within(size))
    }

    /// As [`Log::root_at`] for a size that is not above this one: every complete subtree in it is kept, so nothing can be missing.
    fn root_within(&self, size: u64) -> Hash {
        let kept = |level: u32, index: u64| {
            let (level, index) = (level as usize, index as usize);
            Ok::<_, Infallible>(self.levels[level].tile(index / WIDTH)[index % WIDTH])
        };
        let Ok(root) = range_root(&kept, 0, size);
        root
    }

    /// The siblings of leaf `index` in the tree of `size`, leaf first; `None` unless `index < size ≤ self.size()`.
    ///
    /// # Source
    /// RFC 6962 section 2.1.1.
    pub fn inclusion(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        if size > self.size() {
            return None;
        }
        merkle::inclusion(self, index, size).ok()
    }

    /// The proof that the tree of `old` is the beginning of the tree of `new`; empty when `old` is 0 or `new`; `None` unless
    /// `old ≤ new ≤ self.size()`.
    ///
    /// # Source
    /// RFC 6962 section 2.1.2.
    pub fn consistency(&self, old: u64, new: u64) -> Option<Vec<Hash>> {
        if new > self.size() {
            return None;
        }
        merkle::consistency(self, old, new).ok()
    }

    /// The bytes of a tile: `width` hashes of tree level `8 · level`, from `256 · index` on; `None` when the log lacks one of them or
    /// `width` is not 1 to 256.
    ///
    /// # Source
    /// C2SP tlog-tiles v0.1.0.
    pub fn tile(&self, level: u8, index: u64, width: u16) -> Option<Vec<u8>> {
        if !(1..=TILE_WIDTH).contains(&u64::from(width)) {
            return None;
        }
        let row = self.levels.get(8 * usize::from(level))?;
        let hashes = row.tile(usize::try_from(index).ok()?).get(..usize::from(width))?;
        Some(hashes.iter().flat_map(|hash| hash.0).collect())
    }
}

impl Tiles for Log {
    fn hash(&self, level: u32, index: u64) -> Checked<Hash> {
        let row = usize::try_from(level).ok().and_then(|level| self.levels.get(level));
        let hash = row.and_then(|row| row.get(usize::try_from(index).ok()?));
        hash.ok_or_else(|| {
            let found = format!("found {} leaves; expected subtree {index} of level {level} to be complete", self.size());
            Fault::new(Rule::InternalFault, found)
        })
    }
}

/// Whether `proof` leads from `leaf` at `index` to `root` of the tree of `size`.
///
/// `index` counts from 0: record N is at N − 1. A tree of size 1 has an empty proof.
///
/// # Errors
/// `proof-fails` with both roots, or with index and size, or with both lengths.
///
/// # Source
/// RFC 9162 section 2.1.3.2.
pub fn verify_inclusion(leaf: Hash, index: u64, size: u64, root: Hash, proof: &[Hash]) -> Checked<()> {
    if index >= size {
        return Err(Fault::new(Rule::ProofFails, format!("found index {index}; expected one below size {size}")));
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = leaf;
    for sibling in proof {
        if last == 0 {
            return Err(too_long(proof, size));
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(*sibling, hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(hash, *sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(too_short(proof, size));
    }
    same_root("the proof of inclusion leads to", size, hash, root)
}

/// Whether the tree with head `old` is the beginning of the tree with head `new`.
///
/// Nothing can be proved about the empty tree, so `old.number` 0 is refused; equal sizes need an empty proof and equal roots.
///
/// # Errors
/// `proof-fails` with both roots, both sizes or both lengths.
///
/// # Source
/// RFC 9162 section 2.1.4.2.
pub fn verify_consistency(old: Head, new: Head, proof: &[Hash]) -> Checked<()> {
    if old.number == 0 || old.number > new.number {
        let found = format!("found old size {}; expected 1 to the new size {}", old.number, new.number);
        return Err(Fault::new(Rule::ProofFails, found));
    }
    if old.number == new.number {
        if !proof.is_empty() {
            return Err(too_long(proof, new.number));
        }
        return same_root("the new checkpoint has", new.number, new.root, old.root);
    }
    // An old tree that is one complete subtree stands in its own proof, and is left out of it.
    let (first, rest) = match proof.split_first() {
        None => return Err(too_short(proof, new.number)),
        Some(_) if old.number.is_power_of_two() => (old.root, proof),
        Some((first, rest)) => (*first, rest),
    };
    let (mut node, mut last) = (old.number - 1, new.number - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut old_root, mut new_root) = (first, first);
    for sibling in rest {
        if last == 0 {
            return Err(too_long(proof, new.number));
        }
        if node & 1 == 1 || node == last {
            old_root = node_hash(*sibling, old_root);
            new_root = node_hash(*sibling, new_root);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_root = node_hash(new_root, *sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(too_short(proof, new.number));
    }
    same_root("the proof of consistency leads to", old.number, old_root, old.root)?;
    same_root("the proof of consistency leads to", new.number, new_root, new.root)
}

fn same_root(what: &str, size: u64, found: Hash, expected: Hash) -> Checked<()> {
    if found == expected {
        return Ok(());
    }
    Err(Fault::new(Rule::ProofFails, format!("{what} root {found} at size {size}; expected {expected}")))
}

fn too_long(proof: &[Hash], size: u64) -> Fault {
    Fault::new(Rule::ProofFails, format!("found {} hashes in the proof; expected fewer at size {size}", proof.len()))
}

fn too_short(proof: &[Hash], size: u64) -> Fault {
    Fault::new(Rule::ProofFails, format!("found {} hashes in the proof; expected more at size {size}", proof.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The eight entries of the test tree of the Certificate Transparency reference implementation, and its roots.
    const ENTRIES: [&str; 8] = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn hash(hex_text: &str) -> Hash {
        Hash::from_hex(hex_text).unwrap()
    }

    fn reference_log() -> Log {
        let mut log = Log::default();
        for entry in ENTRIES {
            log.push(leaf_hash(&hex::decode(entry).unwrap()));
        }
        log
    }

    /// RFC 6962 section 2.1 word for word, over all leaves: the slow oracle.
    fn mth(leaves: &[Hash]) -> Hash {
        match leaves.len() {
            0 => empty_root(),
            1 => leaves[0],
            n => {
                let k = n.next_power_of_two() / 2;
                node_hash(mth(&leaves[..k]), mth(&leaves[k..]))
            }
        }
    }

    fn flipped(hash: Hash) -> Hash {
        let mut out = hash;
        out.0[31] ^= 1;
        out
    }

    #[test]
    fn roots_are_those_of_the_reference_tree() {
        let mut log = Log::default();
        assert_eq!(log.head(), Head { number: 0, root: hash(ROOTS[0]) });
        for (n, entry) in ENTRIES.iter().enumerate() {
            let head = log.push(leaf_hash(&hex::decode(entry).unwrap()));
            assert_eq!(head, Head { number: n as u64 + 1, root: hash(ROOTS[n + 1]) });
        }
        for (size, root) in ROOTS.iter().enumerate() {
            assert_eq!(log.root_at(size as u64), Some(hash(root)));
        }
        assert_eq!(log.root_at(9), None);
    }

    #[test]
    fn leaf_and_node_prefixes_keep_them_apart() {
        let (left, right) = (leaf_hash(b"a"), leaf_hash(b"b"));
        let both = [left.0, right.0].concat();
        assert_ne!(leaf_hash(&both), node_hash(left, right));
        assert_eq!(leaf_hash(b""), hash(ROOTS[1]));
        assert_ne!(leaf_hash(b""), empty_root());
    }

    #[test]
    fn inclusion_path_is_that_of_rfc_6962() {
        // RFC 6962 section 2.1.3 names the paths of a tree of 7: PATH(3) = [c, g, l] and PATH(6) = [i, k].
        let log = reference_log();
        let leaf = |n: usize| leaf_hash(&hex::decode(ENTRIES[n]).unwrap());
        let g = node_hash(leaf(0), leaf(1));
        let i = node_hash(leaf(4), leaf(5));
        let l = node_hash(i, leaf(6));
        let k = hash(ROOTS[4]);
        assert_eq!(log.inclusion(3, 7).unwrap(), [leaf(2), g, l]);
        assert_eq!(log.inclusion(6, 7).unwrap(), [i, k]);
    }

    #[test]
    fn consistency_path_is_that_of_rfc_6962() {
        // RFC 6962 section 2.1.3: PROOF(3) = [c, d, g, l], PROOF(4) = [l], PROOF(6) = [i, j, k] of a tree of 7.
        let log = reference_log();
        let leaf = |n: usize| leaf_hash(&hex::decode(ENTRIES[n]).unwrap());
        let (g, i, j) = (node_hash(leaf(0), leaf(1)), node_hash(leaf(4), leaf(5)), leaf(6));
        let l = node_hash(i, j);
        assert_eq!(log.consistency(3, 7).unwrap(), [leaf(2), leaf(3), g, l]);
        assert_eq!(log.consistency(4, 7).unwrap(), [l]);
        assert_eq!(log.consistency(6, 7).unwrap(), [i, j, hash(ROOTS[4])]);
    }

    #[test]
    fn size_1_has_an_empty_proof_and_record_n_has_index_n_minus_1() {
        let log = reference_log();
        assert_eq!(log.inclusion(0, 1), Some(vec![]));
        assert_eq!(log.inclusion(1, 1), None);
        assert_eq!(log.inclusion(0, 0), None);
        assert_eq!(log.inclusion(0, 9), None);
        verify_inclusion(leaf_hash(b""), 0, 1, hash(ROOTS[1]), &[]).unwrap();
        // Record 8 is at index 7; the same proof at index 8 or 6 proves nothing.
        let proof = log.inclusion(7, 8).unwrap();
        let leaf = leaf_hash(&hex::decode(ENTRIES[7]).unwrap());
        verify_inclusion(leaf, 7, 8, hash(ROOTS[8]), &proof).unwrap();
        assert!(verify_inclusion(leaf, 8, 8, hash(ROOTS[8]), &proof).is_err());
        assert!(verify_inclusion(leaf, 6, 8, hash(ROOTS[8]), &proof).is_err());
    }

    #[test]
    fn every_proof_up_to_70_verifies_and_no_neighbour_of_it_does() {
        let leaves: Vec<Hash> = (0..70u8).map(|n| leaf_hash(&[n])).collect();
        let mut log = Log::default();
        for (n, leaf) in leaves.iter().enumerate() {
            assert_eq!(log.push(*leaf).root, mth(&leaves[..n + 1]));
        }
        for size in 1..=70u64 {
            let root = log.root_at(size).unwrap();
            for index in 0..size {
                let (leaf, proof) = (leaves[index as usize], log.inclusion(index, size).unwrap());
                verify_inclusion(leaf, index, size, root, &proof).unwrap();
                assert!(verify_inclusion(flipped(leaf), index, size, root, &proof).is_err());
                assert!(verify_inclusion(leaf, index, size, flipped(root), &proof).is_err());
                assert!(verify_inclusion(leaf, index, size, root, &[proof.as_slice(), &[root]].concat()).is_err());
                if let Some((_, shorter)) = proof.split_last() {
                    assert!(verify_inclusion(leaf, index, size, root, shorter).is_err());
                }
            }
            let new = Head { number: size, root };
            for number in 1..=size {
                let old = Head { number, root: log.root_at(number).unwrap() };
                let proof = log.consistency(number, size).unwrap();
                verify_consistency(old, new, &proof).unwrap();
                assert!(verify_consistency(Head { root: flipped(old.root), ..old }, new, &proof).is_err());
                assert!(verify_consistency(old, Head { root: flipped(root), ..new }, &proof).is_err());
                assert!(verify_consistency(old, new, &[proof.as_slice(), &[root]].concat()).is_err());
                for at in 0..proof.len() {
                    let mut other = proof.clone();
                    other[at] = flipped(other[at]);
                    assert!(verify_consistency(old, new, &other).is_err(), "{number} to {size}, hash {at}");
                }
            }
        }
    }

    #[test]
    fn consistency_is_empty_from_0_and_to_itself_and_none_backwards() {
        let log = reference_log();
        assert_eq!(log.consistency(0, 8), Some(vec![]));
        assert_eq!(log.consistency(8, 8), Some(vec![]));
        assert_eq!(log.consistency(8, 7), None);
        assert_eq!(log.consistency(1, 9), None);
        let empty = Head { number: 0, root: empty_root() };
        assert_eq!(verify_consistency(empty, log.head(), &[]).unwrap_err().rule, Rule::ProofFails);
        assert!(verify_consistency(log.head(), empty, &[]).is_err());
        assert!(verify_consistency(empty, empty, &[]).is_err());
        assert!(verify_consistency(empty, log.head(), &[log.head().root]).is_err());
    }

    #[test]
    fn faults_show_both_roots() {
        let found = verify_inclusion(hash(ROOTS[2]), 0, 1, hash(ROOTS[1]), &[]).unwrap_err().found;
        assert!(found.contains(ROOTS[2]) && found.contains(ROOTS[1]), "{found}");
    }

    #[test]
    fn a_version_stays_as_it_was_where_a_tile_fills_and_its_copy_goes_on() {
        let leaves: Vec<Hash> = (0..1100u32).map(|n| leaf_hash(&n.to_be_bytes())).collect();
        let mut log = Log::default();
        let mut versions = Vec::new();
        for (n, leaf) in leaves.iter().enumerate() {
            if [0, 1, 255, 256, 257, 511, 512, 513, 768, 1023, 1024, 1025].contains(&n) {
                let copy = log.clone();
                let mut other = std::mem::replace(&mut log, copy);
                other.push(flipped(*leaf));
                versions.push((n, other));
            }
            assert_eq!(log.push(*leaf).number, n as u64 + 1);
        }
        for (n, other) in versions {
            let own = [&leaves[..n], &[flipped(leaves[n])]].concat();
            assert_eq!(other.head(), Head { number: n as u64 + 1, root: mth(&own) });
            assert_eq!(log.root_at(n as u64), Some(mth(&leaves[..n])));
            assert_eq!(other.root_at(n as u64), log.root_at(n as u64));
            let proof = log.consistency(n as u64, log.size()).unwrap();
            assert_eq!(n > 0, verify_consistency(Head { number: n as u64, root: mth(&leaves[..n]) }, log.head(), &proof).is_ok());
        }
        for index in [0, 255, 256, 511, 512, 1099] {
            let proof = log.inclusion(index, log.size()).unwrap();
            verify_inclusion(leaves[index as usize], index, log.size(), mth(&leaves), &proof).unwrap();
        }
        for (level, index) in [(0, 1100), (1, 550), (8, 4), (0, u64::MAX), (11, 0), (u32::MAX, 0)] {
            assert_eq!(Tiles::hash(&log, level, index).unwrap_err().rule, Rule::InternalFault, "{level} {index}");
        }
    }

    #[test]
    fn tiles_hold_hashes_of_level_8_times_level() {
        let mut log = Log::default();
        for n in 0..600u32 {
            log.push(leaf_hash(&n.to_be_bytes()));
        }
        assert_eq!(log.tile(0, 2, 88).unwrap().len(), 88 * 32);
        assert_eq!(log.tile(0, 2, 88).unwrap()[..32], leaf_hash(&512u32.to_be_bytes()).0);
        assert_eq!(log.tile(1, 0, 2).unwrap()[..32], log.root_at(256).unwrap().0);
        for (level, index, width) in [(0, 2, 89), (0, 0, 0), (0, 0, 257), (1, 0, 3), (2, 0, 1), (255, 0, 1), (0, u64::MAX, 1)] {
            assert_eq!(log.tile(level, index, width), None, "{level} {index} {width}");
        }
    }
}

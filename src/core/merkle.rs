//! RFC 6962: how leaves and nodes are hashed, and what a root or a proof is made of.
//!
//! Roots and proofs are written here once, over the trait [`Tiles`]: [`super::tree::Log`] answers from memory, a
//! [`super::tile::TileReader`] from published tiles.

use super::ids::Hash;
use super::rules::{Checked, Fault, Rule};

/// `SHA-256(0x00 ‖ entry)`: the hash of one entry of the log.
///
/// # Source
/// RFC 6962 section 2.1; SPEC 4.1.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Hash::of_parts(&[&[0x00], entry])
}

/// `SHA-256(0x01 ‖ left ‖ right)`: the root of the tree that has `left` and `right` below it.
///
/// # Source
/// RFC 6962 section 2.1; SPEC 4.1.
pub fn node_hash(left: Hash, right: Hash) -> Hash {
    Hash::of_parts(&[&[0x01], &left.0, &right.0])
}

/// `SHA-256("")`: the root of the empty tree.
///
/// # Source
/// RFC 6962 section 2.1; SPEC 4.1.
pub fn empty_root() -> Hash {
    Hash::of(b"")
}

/// What can give the hash of any complete subtree.
pub trait Tiles {
    /// Hash of the complete subtree over leaves `index · 2^level` to `(index + 1) · 2^level − 1`.
    ///
    /// # Errors
    /// The rule of whatever keeps the hash from being read.
    fn hash(&self, level: u32, index: u64) -> Checked<Hash>;
}

/// `MTH(D[begin..end])`: left part the largest power of two below the length. `begin` is a multiple of that power.
pub(super) fn range_root<E>(hash: &impl Fn(u32, u64) -> Result<Hash, E>, begin: u64, end: u64) -> Result<Hash, E> {
    let length = end - begin;
    if length == 0 {
        return Ok(empty_root());
    }
    if length.is_power_of_two() {
        let level = length.trailing_zeros();
        return hash(level, begin >> level);
    }
    let middle = begin + split(length);
    Ok(node_hash(range_root(hash, begin, middle)?, range_root(hash, middle, end)?))
}

/// The largest power of two below `length`, which is at least 2.
fn split(length: u64) -> u64 {
    1 << (length - 1).ilog2()
}

/// `MTH(D[0..size])`: the root of the tree of `size`.
///
/// # Errors
/// Those of `tiles`.
///
/// # Source
/// RFC 6962 section 2.1.
pub fn root(tiles: &impl Tiles, size: u64) -> Checked<Hash> {
    range_root(&|level, index| tiles.hash(level, index), 0, size)
}

/// `PATH(index, D[0..size])`: the siblings of leaf `index`, leaf first; none in a tree of size 1.
///
/// # Errors
/// `proof-fails` when `index` is not below `size`; those of `tiles`.
///
/// # Source
/// RFC 6962 section 2.1.1.
pub fn inclusion(tiles: &impl Tiles, index: u64, size: u64) -> Checked<Vec<Hash>> {
    if index >= size {
        return Err(Fault::new(Rule::ProofFails, format!("found index {index}; expected one below size {size}")));
    }
    let hash = |level, index| tiles.hash(level, index);
    let (mut begin, mut end) = (0, size);
    let mut proof = Vec::new();
    while end - begin > 1 {
        let middle = begin + split(end - begin);
        if index < middle {
            proof.push(range_root(&hash, middle, end)?);
            end = middle;
        } else {
            proof.push(range_root(&hash, begin, middle)?);
            begin = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// `PROOF(old, D[0..new])`: empty when `old` is 0 or equal to `new`.
///
/// # Errors
/// `proof-fails` when `old` is above `new`; those of `tiles`.
///
/// # Source
/// RFC 6962 section 2.1.2.
pub fn consistency(tiles: &impl Tiles, old: u64, new: u64) -> Checked<Vec<Hash>> {
    if old > new {
        return Err(Fault::new(Rule::ProofFails, format!("found old size {old}; expected at most the new size {new}")));
    }
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let hash = |level, index| tiles.hash(level, index);
    let (mut begin, mut end) = (0, new);
    let mut proof = Vec::new();
    // SUBPROOF: follow the right edge of the old tree until the range ends where the old tree does.
    while end != old {
        let middle = begin + split(end - begin);
        if old <= middle {
            proof.push(range_root(&hash, middle, end)?);
            end = middle;
        } else {
            proof.push(range_root(&hash, begin, middle)?);
            begin = middle;
        }
    }
    // The verifier has the whole old root already; any other subtree it must be told.
    if begin > 0 {
        proof.push(range_root(&hash, begin, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The complete subtrees that a tree is made of, the largest first: enough to append leaves and to give every later root.
///
/// A size of s has as many of them as s has bits set.
#[derive(Clone, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The frontier of the first `size` leaves, as `tiles` have it; what they say is proved only by comparing a root that follows from it.
    ///
    /// # Errors
    /// Those of `tiles`.
    pub fn read(tiles: &impl Tiles, size: u64) -> Checked<Frontier> {
        let levels = (0..u64::BITS).rev().filter(|level| size >> level & 1 == 1);
        let peaks = levels.map(|level| tiles.hash(level, (size >> level) - 1)).collect::<Checked<_>>()?;
        Ok(Frontier { size, peaks })
    }

    /// Appends a leaf hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        // Each trailing bit of the size is a subtree that the new leaf completes into a larger one.
        for _ in 0..self.size.trailing_ones() {
            hash = self.peaks.pop().map_or(hash, |left| node_hash(left, hash));
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root over them.
    pub fn root(&self) -> Hash {
        self.peaks.iter().copied().rev().reduce(|right, left| node_hash(left, right)).unwrap_or_else(empty_root)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::Log;
    use super::*;

    #[test]
    fn a_frontier_of_any_size_leads_to_the_roots_of_the_log() {
        let mut log = Log::default();
        for n in 0..70_u64 {
            log.push(leaf_hash(&n.to_be_bytes()));
        }
        for size in 0..=70 {
            let mut frontier = Frontier::read(&log, size).unwrap();
            assert_eq!((frontier.size(), frontier.root()), (size, log.root_at(size).unwrap()));
            for n in size..70 {
                frontier.push(leaf_hash(&n.to_be_bytes()));
                assert_eq!((frontier.size(), frontier.root()), (n + 1, log.root_at(n + 1).unwrap()), "{size} to {n}");
            }
        }
        assert!(Frontier::read(&log, 71).is_err());
    }
}

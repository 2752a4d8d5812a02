//! Which rows an answer gets (SPEC 6.11): those of what the paper puts, and of members that the ledger is to keep for it.
//!
//! A member's row stands once a session among what is packed, and once among what is kept: a hundred thousand papers that put one tree do not
//! list its members a hundred thousand times.

use std::collections::BTreeSet;

use super::batch::{Batch, Paper};
use super::books::Books;
use super::ids::Hash;
use super::objects::{HeldObject, Inside, Rows, trees_of};

/// What becomes of a paper's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is published: the paper was accepted.
    Packed,
    /// It is kept for a paper that waits.
    Kept,
    /// It is not kept: the paper was refused, or there is no room for it.
    Dropped,
}

/// What the answers of a session have listed so far.
#[derive(Default)]
pub struct Listing {
    packed: BTreeSet<Hash>,
    listed: BTreeSet<Hash>,
    trees_packed: BTreeSet<Hash>,
    trees_listed: BTreeSet<Hash>,
}

impl Listing {
    /// The rows of a paper's answer.
    pub fn rows(&mut self, books: &Books, batch: &Batch, paper: &Paper, fate: Fate) -> Rows {
        let mut rows = paper.objects.clone();
        if fate == Fate::Dropped {
            return rows;
        }
        for hash in paper.objects.keys() {
            self.is_new(*hash, fate);
        }
        let seen = if fate == Fate::Packed { &mut self.trees_packed } else { &mut self.trees_listed };
        let trees: Vec<Hash> = trees_of(&paper.objects).filter(|tree| seen.insert(**tree)).copied().collect();
        let members = trees.iter().flat_map(|tree| batch.members_of_tree(tree)).chain(batch.members_of_paper(&paper.pid));
        for (hash, size) in members.filter(|(hash, _)| !books.is_packed(hash)) {
            if self.is_new(*hash, fate) {
                rows.entry(*hash).or_insert(HeldObject { size: *size, inside: Inside::Closed });
            }
        }
        rows
    }

    fn is_new(&mut self, hash: Hash, fate: Fate) -> bool {
        let listed = self.listed.insert(hash);
        if fate == Fate::Packed { self.packed.insert(hash) } else { listed }
    }
}

//! What the desk can read of all content, and the rows that each paper gets of it.
//!
//! Bytes stay where they are: the core is told sizes, and what was read in trees.

use std::collections::BTreeMap;

use super::books::Books;
use super::ids::Hash;
use super::objects::{HeldObject, Inside, Rows};
use super::policy::Policy;
use super::proposal::{Entry, Operation, Proposal};

/// Everything the desk can read, whatever paper refers to it.
#[derive(Clone, Debug, Default)]
pub struct Holdings {
    objects: BTreeMap<Hash, u64>,
}

impl Holdings {
    /// The objects that were brought, with their sizes, and what the ledger keeps of its own.
    pub fn new(books: &Books, brought: BTreeMap<Hash, u64>) -> Holdings {
        let mut objects = brought;
        objects.extend(books.packed());
        objects.extend(books.held().values().flat_map(|held| &held.objects));
        Holdings { objects }
    }

    /// The rows of a paper: of what it puts where the policy keeps content, as far as it is held.
    pub fn rows_of(&self, policy: &Policy, proposal: &Proposal) -> Rows {
        let held = |entry: &Entry| self.objects.get(&entry.sha256).map(|size| (entry.sha256, *size));
        let row = |(hash, size)| (hash, HeldObject { size, inside: Inside::Closed });
        looked_at(policy, proposal).filter_map(held).map(row).collect()
    }
}

/// The entries a paper puts where the policy keeps content: nothing else is looked at.
fn looked_at<'a>(policy: &'a Policy, proposal: &'a Proposal) -> impl Iterator<Item = &'a Entry> {
    proposal.operations.iter().filter_map(|operation| match operation {
        Operation::Put { name, entry, .. } if policy.keeps_content(name) => Some(entry),
        _ => None,
    })
}

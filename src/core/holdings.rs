//! What the desk can read of all content, and the rows that each paper gets of it.
//!
//! Bytes stay where they are: the core is told sizes, and what was read in trees.

use std::collections::{BTreeMap, BTreeSet};

use super::artifact::{Tree, TreeFault};
use super::books::Books;
use super::ids::{Hash, Name};
use super::objects::{HeldObject, Inside, MemberFault, Rows};
use super::policy::Policy;
use super::proposal::{Entry, Operation, Proposal};

/// Everything the desk can read, whatever paper refers to it.
#[derive(Clone, Debug, Default)]
pub struct Holdings {
    objects: BTreeMap<Hash, u64>,
    trees: BTreeMap<Hash, Inside>,
    members: BTreeMap<Hash, Vec<Hash>>,
}

impl Holdings {
    /// The objects that were brought, with their sizes, and what the ledger keeps of its own. The trees among them are read next.
    pub fn new(books: &Books, brought: BTreeMap<Hash, u64>) -> Holdings {
        let mut objects = brought;
        objects.extend(books.packed().map(|(hash, size)| (*hash, size)));
        objects.extend(books.held().values().flat_map(|held| &held.objects));
        Holdings { objects, trees: BTreeMap::new(), members: BTreeMap::new() }
    }

    /// The objects held that these papers call trees, with their sizes: what has to be read before anything is judged.
    pub fn unread_trees<'a>(&self, policy: &Policy, papers: impl Iterator<Item = &'a Proposal>) -> BTreeMap<Hash, u64> {
        let mut out = BTreeMap::new();
        for proposal in papers {
            for (_, entry) in looked_at(policy, proposal).filter(|(_, entry)| entry.is_tree()) {
                out.extend(self.objects.get(&entry.sha256).map(|size| (entry.sha256, *size)));
            }
        }
        out
    }

    /// Takes in what was read of a tree: the first fault of its members is found now, by what is held.
    pub fn note_tree(&mut self, hash: Hash, read: &Result<Tree, TreeFault>) {
        let tree = match read {
            Ok(tree) => tree,
            Err(fault) => {
                self.trees.insert(hash, Inside::Malformed(fault.detail()));
                return;
            }
        };
        let (mut missing, mut differs, mut held) = (None, None, BTreeSet::new());
        for member in tree.members() {
            match self.objects.get(&member.sha256) {
                None => missing = missing.or_else(|| Some(MemberFault::missing(&member.sha256))),
                Some(size) if *size == member.size => {
                    held.insert(member.sha256);
                }
                Some(size) => differs = differs.or_else(|| Some(MemberFault::size(&member.sha256, *size, member.size))),
            }
        }
        self.trees.insert(hash, Inside::Tree { bytes: tree.bytes(), fault: differs.or(missing) });
        self.members.insert(hash, held.into_iter().collect());
    }

    /// Takes in what was found in a tree when it was last judged, where its content is not at hand: in a preview.
    pub fn note_judged(&mut self, hash: Hash, inside: Inside) {
        self.trees.insert(hash, inside);
    }

    /// The rows of what a paper itself refers to, where the policy keeps content, as far as it is held. Those of members stand apart.
    pub fn rows_of(&self, policy: &Policy, proposal: &Proposal) -> Rows {
        let mut rows = Rows::new();
        for (name, entry) in looked_at(policy, proposal) {
            let Some(size) = self.objects.get(&entry.sha256) else { continue };
            let inside = self.trees.get(&entry.sha256).filter(|_| entry.is_tree()).unwrap_or(&Inside::Closed);
            // SPEC 6.11: where content is optional, what would be refused if it were required is as if it had not come.
            let most = policy.rule_for(name).map_or(0, |rule| rule.size_max);
            let good = match inside {
                _ if *size != entry.size => false,
                Inside::Malformed(_) => false,
                Inside::Tree { bytes, .. } => *bytes <= most,
                Inside::Closed => true,
            };
            if good || policy.requires_content(name) {
                let row = rows.entry(entry.sha256).or_insert(HeldObject { size: *size, inside: Inside::Closed });
                if *inside != Inside::Closed {
                    row.inside = inside.clone();
                }
            }
        }
        rows
    }

    /// The members held of a tree, with their sizes.
    pub fn members_of(&self, tree: &Hash) -> impl Iterator<Item = (Hash, u64)> {
        self.members.get(tree).into_iter().flatten().filter_map(|hash| self.objects.get(hash).map(|size| (*hash, *size)))
    }
}

/// What a paper puts where the policy keeps content: nothing else is looked at.
pub fn looked_at<'a>(policy: &'a Policy, proposal: &'a Proposal) -> impl Iterator<Item = (&'a Name, &'a Entry)> {
    proposal.operations.iter().filter_map(|operation| match operation {
        Operation::Put { name, entry, .. } if policy.keeps_content(name) => Some((name, entry)),
        _ => None,
    })
}

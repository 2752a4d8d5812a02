//! Rows of objects beside each other: which content the desk held is taken as given, but it is one desk. What it had of its own, or held for
//! one paper, it held for all of the session, with one size and one thing found inside (SPEC 6.11).

use std::collections::{BTreeMap, BTreeSet};

use super::super::batch::{Batch, Paper};
use super::super::books::Books;
use super::super::holdings::looked_at;
use super::super::ids::{Hash, Pid};
use super::super::objects::{HeldObject, Inside};
use super::super::policy::Policy;
use super::super::rules::Checked;
use super::super::session_file::Row;

/// A paper, the object meant, what its row says, and what follows from the other rows and the ledger.
pub(super) type Compared = (Pid, String, String, String);

/// What the desk is known to have held in a session.
struct Known<'a> {
    sizes: BTreeMap<Hash, u64>,
    inside: BTreeMap<Hash, &'a Inside>,
}

impl<'a> Known<'a> {
    fn new(books: &Books, rows: &'a [Row]) -> Known<'a> {
        let mut known = Known { sizes: BTreeMap::new(), inside: BTreeMap::new() };
        for (hash, held) in rows.iter().flat_map(|row| &row.objects) {
            known.sizes.entry(*hash).or_insert(held.size);
            if held.inside != Inside::Closed {
                known.inside.entry(*hash).or_insert(&held.inside);
            }
        }
        known.sizes.extend(books.packed().map(|(hash, size)| (*hash, size)));
        known.sizes.extend(books.held().values().flat_map(|held| &held.objects));
        known
    }

    /// The row that a paper must have of an object; none where it must have none, and its own where the tree alone could tell.
    fn row(&self, policy: &Policy, paper: &Paper, hash: &Hash) -> Option<HeldObject> {
        let size = *self.sizes.get(hash)?;
        let own = paper.objects.get(hash);
        let (mut as_tree, mut plain, mut required) = (false, false, false);
        for (name, entry) in looked_at(policy, &paper.proposal).filter(|(_, entry)| entry.sha256 == *hash) {
            let counts = size == entry.size || policy.requires_content(name);
            required |= policy.requires_content(name);
            as_tree |= entry.is_tree() && counts;
            plain |= !entry.is_tree() && counts;
        }
        match (as_tree, plain) {
            (false, false) => None,
            (false, true) => Some(HeldObject { size, inside: Inside::Closed }),
            // Whether a tree counts where content is optional depends on what stands in it.
            (true, false) if !required && own.is_none() => None,
            (true, false) => {
                let inside = self.inside.get(hash).map_or(Inside::Closed, |inside| (*inside).clone());
                Some(HeldObject { size, inside })
            }
            (true, true) => Some(HeldObject { size, inside: own.map_or(Inside::Closed, |own| own.inside.clone()) }),
        }
    }
}

/// Each object that a paper of the session puts, its row beside the one that follows.
///
/// # Errors
/// `ledger-fault` when nothing was founded.
pub(super) fn compared(books: &Books, batch: &Batch, rows: &[Row]) -> Checked<Vec<Compared>> {
    let (policy, known) = (books.policy()?, Known::new(books, rows));
    let mut out = Vec::new();
    for paper in batch.papers().values() {
        let puts: BTreeSet<Hash> = looked_at(policy, &paper.proposal).map(|(_, entry)| entry.sha256).collect();
        for hash in puts {
            let (own, follows) = (paper.objects.get(&hash), known.row(policy, paper, &hash));
            out.push((paper.pid, format!("object {}", hash.short()), shown(own), shown(follows.as_ref())));
        }
    }
    Ok(out)
}

fn shown(row: Option<&HeldObject>) -> String {
    let Some(HeldObject { size, inside }) = row else { return "not held".into() };
    let fault = || inside.fault().map_or("nothing amiss".into(), |(rule, values)| format!("[{rule}] {values}"));
    match inside {
        Inside::Closed => format!("held, {size} bytes"),
        Inside::Malformed(_) => format!("held, {size} bytes, no tree: {}", fault()),
        Inside::Tree { bytes, .. } => format!("held, {size} bytes, a tree of {bytes} bytes: {}", fault()),
    }
}

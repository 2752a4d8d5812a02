//! Common's state: names and entries, and the root over them, a compact sparse Merkle tree (SPEC section 5).

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::cbor::{Canonical, Reader, Writer};
use super::ids::{Hash, Name};
use super::proposal::Entry;
use super::rules::{Checked, Fault, Rule};

/// Format name in a state proof.
const PROOF_FORMAT: &str = "tabellion/state-proof/1";
/// Bits of a key.
const KEY_BITS: usize = 256;

/// `leaf = SHA-256(0x02 ‖ key ‖ SHA-256(det-CBOR(entry)))`.
fn leaf_hash(key: &Hash, value: &Hash) -> Hash {
    Hash::of_parts(&[&[2], &key.0, &value.0])
}

/// `node = SHA-256(0x03 ‖ left ‖ right)`.
fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Hash::of_parts(&[&[3], &left.0, &right.0])
}

/// Bit `depth` of a key, the most significant first.
fn bit(key: &Hash, depth: usize) -> bool {
    key.0[depth / 8] >> (7 - depth % 8) & 1 == 1
}

/// A subtree with at least one entry; shared between versions of the tree.
enum Node {
    Leaf { key: Hash, value: Hash, hash: Hash },
    Branch { hash: Hash, children: [Link; 2] },
}

type Link = Option<Arc<Node>>;

fn hash_of(link: &Link) -> Hash {
    match link.as_deref() {
        None => Hash::ZERO,
        Some(Node::Leaf { hash, .. } | Node::Branch { hash, .. }) => *hash,
    }
}

fn leaf(key: Hash, value: Hash) -> Arc<Node> {
    Arc::new(Node::Leaf { key, value, hash: leaf_hash(&key, &value) })
}

/// The subtree of two children: a lone leaf rises, an empty subtree vanishes, so that the tree has one form.
fn join(children: [Link; 2]) -> Link {
    match (children[0].as_deref(), children[1].as_deref()) {
        (None, None) => None,
        (Some(Node::Leaf { .. }), None) => children[0].clone(),
        (None, Some(Node::Leaf { .. })) => children[1].clone(),
        _ => Some(Arc::new(Node::Branch { hash: node_hash(&hash_of(&children[0]), &hash_of(&children[1])), children })),
    }
}

fn insert(link: &Link, depth: usize, key: Hash, value: Hash) -> Link {
    match link.as_deref() {
        None => Some(leaf(key, value)),
        Some(Node::Leaf { key: old, .. }) if *old == key => Some(leaf(key, value)),
        Some(Node::Leaf { key: old, .. }) => {
            let mut children = [None, None];
            children[usize::from(bit(old, depth))] = link.clone();
            let side = usize::from(bit(&key, depth));
            children[side] = insert(&children[side], depth + 1, key, value);
            join(children)
        }
        Some(Node::Branch { children, .. }) => {
            let mut children = children.clone();
            let side = usize::from(bit(&key, depth));
            children[side] = insert(&children[side], depth + 1, key, value);
            join(children)
        }
    }
}

fn remove(link: &Link, depth: usize, key: &Hash) -> Link {
    match link.as_deref() {
        None => None,
        Some(Node::Leaf { key: old, .. }) => {
            if old == key {
                None
            } else {
                link.clone()
            }
        }
        Some(Node::Branch { children, .. }) => {
            let mut children = children.clone();
            let side = usize::from(bit(key, depth));
            children[side] = remove(&children[side], depth + 1, key);
            join(children)
        }
    }
}

/// Names and entries at one number. Cloning shares the tree.
#[derive(Clone, Default)]
pub struct State {
    entries: BTreeMap<Name, Entry>,
    tree: Link,
}

impl State {
    /// Root over all entries: 32 zero bytes when there is none.
    pub fn root(&self) -> Hash {
        hash_of(&self.tree)
    }

    /// What a name stands for.
    pub fn get(&self, name: &Name) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// All entries, ascending by name.
    pub fn entries(&self) -> impl Iterator<Item = (&Name, &Entry)> {
        self.entries.iter()
    }

    /// The first entry below `name` by whole segments, for which `stays` holds.
    pub fn first_below(&self, name: &Name, stays: impl Fn(&Name) -> bool) -> Option<&Name> {
        let prefix = format!("{name}/");
        // The range starts at `name` itself, which is no name below it; `name-x` and `name.x` sort between the two and are passed over.
        let behind = self.entries.range((Bound::Excluded(name), Bound::Unbounded)).map(|(key, _)| key);
        let below = behind.skip_while(|key| key.as_str() < prefix.as_str()).take_while(|key| key.as_str().starts_with(&prefix));
        below.into_iter().find(|key| stays(key))
    }

    /// Lets `name` stand for `entry`.
    pub fn put(&mut self, name: Name, entry: Entry) {
        let key = Hash::of(name.as_str().as_bytes());
        self.tree = insert(&self.tree, 0, key, Hash::of(&entry.to_cbor()));
        self.entries.insert(name, entry);
    }

    /// Lets `name` stand for nothing.
    pub fn remove(&mut self, name: &Name) {
        self.tree = remove(&self.tree, 0, &Hash::of(name.as_str().as_bytes()));
        self.entries.remove(name);
    }

    /// Proof that `name` stands for its entry, or for nothing, at this root.
    pub fn prove(&self, name: &Name) -> StateProof {
        let key = Hash::of(name.as_str().as_bytes());
        let (mut siblings, mut link) = (Vec::new(), &self.tree);
        while let Some(Node::Branch { children, .. }) = link.as_deref() {
            let side = usize::from(bit(&key, siblings.len()));
            siblings.push(hash_of(&children[1 - side]));
            link = &children[side];
        }
        let other = match link.as_deref() {
            Some(Node::Leaf { key: found, value, .. }) if *found != key => Some((*found, *value)),
            _ => None,
        };
        StateProof { name: name.clone(), entry: self.get(name).cloned(), siblings, other }
    }
}

/// Proof of presence or absence of one name (SPEC 5.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateProof {
    /// The name.
    pub name: Name,
    /// Its entry; absence without one.
    pub entry: Option<Entry>,
    /// Hashes beside the way, root first.
    pub siblings: Vec<Hash>,
    /// Key and entry hash of the leaf that stands in the way of an absent name.
    pub other: Option<(Hash, Hash)>,
}

impl StateProof {
    /// Checks the proof against a state root.
    ///
    /// # Errors
    /// `proof-fails` with the root it leads to, or the reason.
    ///
    /// # Source
    /// SPEC 5.3; `tests/independent/state_proof.py` is an independent verifier.
    pub fn verify(&self, root: &Hash) -> Checked<()> {
        let fails = |found: String| Err(Fault::new(Rule::ProofFails, found));
        let key = Hash::of(self.name.as_str().as_bytes());
        let depth = self.siblings.len();
        if depth > KEY_BITS {
            return fails(format!("{depth} siblings; {KEY_BITS} at most"));
        }
        let start = match (&self.entry, &self.other) {
            (Some(entry), None) => leaf_hash(&key, &Hash::of(&entry.to_cbor())),
            (None, None) => Hash::ZERO,
            (None, Some((other, value))) => {
                if *other == key || (0..depth).any(|at| bit(other, at) != bit(&key, at)) {
                    return fails(format!("the leaf in the way, {}, does not stand on the way of {}", other.short(), key.short()));
                }
                leaf_hash(other, value)
            }
            (Some(_), Some(_)) => return fails("it claims presence and absence at once".into()),
        };
        let folded = (0..depth).rev().fold(start, |below, at| match bit(&key, at) {
            false => node_hash(&below, &self.siblings[at]),
            true => node_hash(&self.siblings[at], &below),
        });
        if folded == *root { Ok(()) } else { fails(format!("it leads to {folded}; the state root is {root}")) }
    }
}

impl Canonical for StateProof {
    fn write(&self, w: &mut Writer) {
        w.map(3 + usize::from(self.entry.is_some()) + usize::from(self.other.is_some()));
        w.uint(0).text(PROOF_FORMAT).uint(1).text(self.name.as_str());
        if let Some(entry) = &self.entry {
            w.uint(2);
            entry.write(w);
        }
        w.uint(3).list(&self.siblings);
        if let Some((key, value)) = &self.other {
            w.uint(4).array(2).bytes(&key.0).bytes(&value.0);
        }
    }

    fn read(r: &mut Reader<'_>) -> Checked<StateProof> {
        let (mut format, mut name, mut entry, mut siblings, mut other) = (None, None, None, None, None);
        r.reading("state proof").map(|key, r| {
            match key {
                0 => format = Some(r.text()?),
                1 => name = Some(r.parse()?),
                2 => entry = Some(Entry::read(r)?),
                3 => siblings = Some(r.list(KEY_BITS)?),
                4 => {
                    r.array_of(2)?;
                    other = Some((r.hash()?, r.hash()?));
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        match format {
            Some(PROOF_FORMAT) => {}
            found => return Err(Fault::new(Rule::VersionUnknown, format!("{found:?} found, {PROOF_FORMAT:?} expected"))),
        }
        Ok(StateProof { name: r.need(name, "1 (name)")?, entry, siblings: r.need(siblings, "3 (siblings)")?, other })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    fn entry(seed: u8) -> Entry {
        Entry { sha256: Hash([seed; 32]), size: u64::from(seed), media_type: "text/plain".parse().expect("a media type"), source: None }
    }

    /// SPEC 5.2 word for word, over a plain list: what the incremental tree must equal.
    fn root_by_definition(entries: &[(Hash, Hash)], depth: usize) -> Hash {
        match entries {
            [] => Hash::ZERO,
            [(key, value)] => leaf_hash(key, value),
            _ => {
                let (ones, zeros): (Vec<_>, Vec<_>) = entries.iter().partition(|(key, _)| bit(key, depth));
                node_hash(&root_by_definition(&zeros, depth + 1), &root_by_definition(&ones, depth + 1))
            }
        }
    }

    #[test]
    fn one_entry_is_its_leaf_and_none_is_zero() {
        let mut state = State::default();
        assert_eq!(state.root(), Hash::ZERO);
        state.put(name("a"), entry(1));
        assert_eq!(state.root(), leaf_hash(&Hash::of(b"a"), &Hash::of(&entry(1).to_cbor())));
    }

    #[test]
    fn root_follows_the_definition_whatever_the_order_of_puts_and_removes() {
        let mut rng = fastrand::Rng::with_seed(2026);
        let mut state = State::default();
        for step in 0..600 {
            let which = name(&format!("n{}", rng.u32(..60)));
            if rng.bool() {
                state.put(which, entry(rng.u8(..)))
            } else {
                state.remove(&which)
            }
            let plain: Vec<_> = state.entries().map(|(n, e)| (Hash::of(n.as_str().as_bytes()), Hash::of(&e.to_cbor()))).collect();
            assert_eq!(state.root(), root_by_definition(&plain, 0), "seed 2026, step {step}");
        }
    }

    #[test]
    fn every_name_has_a_proof_of_presence_or_absence_and_no_other_root_takes_it() {
        let mut state = State::default();
        (0..50).for_each(|i| state.put(name(&format!("n{i}")), entry(i)));
        for i in 0..100 {
            let proof = state.prove(&name(&format!("n{i}")));
            assert_eq!(proof.entry.is_some(), i < 50);
            let proof = StateProof::from_cbor(&proof.to_cbor()).expect("its own form");
            proof.verify(&state.root()).expect("the root it was made for");
            assert!(proof.verify(&Hash([9; 32])).is_err());
            let lying = StateProof { entry: if i < 50 { None } else { Some(entry(1)) }, ..proof };
            assert!(lying.verify(&state.root()).is_err());
        }
    }

    #[test]
    fn absence_refuses_a_leaf_off_the_way() {
        let mut state = State::default();
        (0..50).for_each(|i| state.put(name(&format!("n{i}")), entry(i)));
        // A present name cannot be made absent by showing its own leaf, or another leaf with the siblings of a third.
        let honest = state.prove(&name("n7"));
        let own = Some((Hash::of(b"n7"), Hash::of(&entry(7).to_cbor())));
        assert!(StateProof { entry: None, other: own, ..honest.clone() }.verify(&state.root()).is_err());
        let third = state.prove(&name("n8"));
        let other = Some((Hash::of(b"n8"), Hash::of(&entry(8).to_cbor())));
        assert!(StateProof { name: name("n7"), entry: None, other, siblings: third.siblings }.verify(&state.root()).is_err());
    }

    #[test]
    fn first_below_sees_whole_segments_only() {
        let mut state = State::default();
        for text in ["tools-x", "tools/a/b", "toolz"] {
            state.put(name(text), entry(1));
        }
        assert_eq!(state.first_below(&name("tools"), |_| true), Some(&name("tools/a/b")));
        assert_eq!(state.first_below(&name("tools/a"), |_| true), Some(&name("tools/a/b")));
        assert_eq!(state.first_below(&name("tools/a/b"), |_| true), None);
    }
}

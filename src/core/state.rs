//! Common's state: names and entries, and the root over them, a compact sparse Merkle tree (SPEC section 5).
//!
//! A desk keeps all names in memory, and a session works on a copy of them. So each name and entry is there once, shared by the tree, by the
//! order by name, and by every version of both; a copy costs a few bytes a name, and then what is changed. `tests/state_memory.rs` holds it.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound::{Included, Unbounded};
use std::sync::Arc;

use super::cbor::{Canonical, Reader, Writer};
use super::ids::{Hash, Name};
use super::proposal::Entry;
use super::rules::{Checked, Fault, Rule};

/// Format name in a state proof.
const PROOF_FORMAT: &str = "tabellion/state-proof/1";
/// Bits of a key.
const KEY_BITS: usize = 256;
/// Bits of a key that its leaf keeps.
const START_BITS: usize = u32::BITS as usize;

fn key_of(name: &Name) -> Hash {
    Hash::of(name.as_str().as_bytes())
}

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

/// The bits of a key that its leaf keeps.
fn start_of(key: &Hash) -> u32 {
    let [a, b, c, d, ..] = key.0;
    u32::from_be_bytes([a, b, c, d])
}

/// One name and what it stands for: kept once, and shared by the tree, the order by name, and every version of both.
struct Named {
    name: Name,
    entry: Entry,
}

/// A leaf of the tree.
#[derive(Clone)]
struct Leaf {
    /// The first bits of the key. The rest is seldom asked for, and is then hashed again from the name.
    start: u32,
    hash: Hash,
    named: Arc<Named>,
}

impl Leaf {
    fn new(named: Arc<Named>) -> Leaf {
        let key = key_of(&named.name);
        let hash = leaf_hash(&key, &Hash::of(&named.entry.to_cbor()));
        Leaf { start: start_of(&key), hash, named }
    }

    fn bit(&self, depth: usize) -> bool {
        if depth < START_BITS { self.start >> (START_BITS - 1 - depth) & 1 == 1 } else { bit(&key_of(&self.named.name), depth) }
    }

    fn compare(&self, other: &Leaf) -> Ordering {
        self.start.cmp(&other.start).then_with(|| key_of(&self.named.name).cmp(&key_of(&other.named.name)))
    }
}

/// Leaves of one subtree that stand side by side, without branches between them, at most. Most nodes of a tree are its lowest: with 8 there
/// are a seventh as many as with 1. With more, each change would hash noticeably more, for what stands side by side is hashed together.
const FEW: usize = 8;

/// A subtree; without a node, an empty one.
type Link = Option<Arc<Node>>;

/// A subtree with at least one leaf; shared between versions of the tree.
#[derive(Clone)]
struct Node {
    hash: Hash,
    below: Below,
}

/// The same leaves make the same nodes, in whatever order they came and went.
#[derive(Clone)]
enum Below {
    /// 1 to [`FEW`] leaves, ascending by key.
    Few(Vec<Leaf>),
    /// More leaves than [`FEW`]: those with a 0 at this depth, and those with a 1.
    Branch([Link; 2]),
}

impl Below {
    fn hash(&self, depth: usize) -> Hash {
        match self {
            Below::Few(leaves) => root_of(leaves, depth),
            Below::Branch([zeros, ones]) => node_hash(&hash_of(zeros), &hash_of(ones)),
        }
    }
}

fn hash_of(link: &Link) -> Hash {
    link.as_ref().map_or(Hash::ZERO, |node| node.hash)
}

/// The leaves with a 0 at `depth`, and those with a 1. They are ascending by key and agree before `depth`.
fn split(leaves: &[Leaf], depth: usize) -> [&[Leaf]; 2] {
    let (zeros, ones) = leaves.split_at(leaves.partition_point(|leaf| !leaf.bit(depth)));
    [zeros, ones]
}

/// SPEC 5.2 over leaves that have no branches.
fn root_of(leaves: &[Leaf], depth: usize) -> Hash {
    match leaves {
        [] => Hash::ZERO,
        [leaf] => leaf.hash,
        _ => {
            let [zeros, ones] = split(leaves, depth);
            node_hash(&root_of(zeros, depth + 1), &root_of(ones, depth + 1))
        }
    }
}

/// The subtree of these leaves, which are ascending by key.
fn subtree(leaves: &[Leaf], depth: usize) -> Link {
    let below = match leaves.len() {
        0 => return None,
        1..=FEW => Below::Few(leaves.to_vec()),
        _ => Below::Branch(split(leaves, depth).map(|half| subtree(half, depth + 1))),
    };
    Some(Arc::new(Node { hash: below.hash(depth), below }))
}

/// Puts a leaf in the place of one with the same key, or where there is none. A node that no other version shares is changed as it stands.
fn insert(link: &mut Link, depth: usize, leaf: Leaf) {
    let Some(node) = link else {
        *link = subtree(&[leaf], depth);
        return;
    };
    let node = Arc::make_mut(node);
    match &mut node.below {
        Below::Branch(children) => insert(&mut children[usize::from(leaf.bit(depth))], depth + 1, leaf),
        Below::Few(leaves) => {
            match leaves.binary_search_by(|other| other.compare(&leaf)) {
                Ok(at) => leaves[at] = leaf,
                Err(at) => {
                    leaves.reserve_exact(1);
                    leaves.insert(at, leaf);
                }
            }
            if leaves.len() > FEW {
                *link = subtree(leaves, depth);
                return;
            }
        }
    }
    node.hash = node.below.hash(depth);
}

/// Takes the leaf out that has this key, which there is.
fn remove(link: &mut Link, depth: usize, key: &Hash) {
    let Some(node) = link else { return };
    let node = Arc::make_mut(node);
    match &mut node.below {
        Below::Few(leaves) => leaves.retain(|leaf| leaf.start != start_of(key) || key_of(&leaf.named.name) != *key),
        Below::Branch(children) => {
            remove(&mut children[usize::from(bit(key, depth))], depth + 1, key);
            if let Some(leaves) = few_of(children) {
                node.below = Below::Few(leaves);
            }
        }
    }
    match &node.below {
        Below::Few(leaves) if leaves.is_empty() => *link = None,
        below => node.hash = below.hash(depth),
    }
}

/// The leaves of a branch that has become too small to be one.
fn few_of(children: &[Link; 2]) -> Option<Vec<Leaf>> {
    let mut all = Vec::new();
    for child in children.iter().flatten() {
        match &child.below {
            Below::Few(leaves) => all.extend_from_slice(leaves),
            Below::Branch(_) => return None,
        }
    }
    (all.len() <= FEW).then_some(all)
}

/// Names in a chunk of the order by name, at most. A chunk is searched from its beginning: those reads do not wait for one another.
const CHUNK: usize = 32;

type Chunk = Arc<Vec<Arc<Named>>>;

/// All names ascending, in chunks that versions share: a clone copies the beginning of each chunk and a pointer to it, where a set of all
/// names would copy a pointer for each. Chunks are not joined again: an order takes what it took at its largest, and no more.
#[derive(Clone, Default)]
struct ByName {
    /// A chunk has the names from its beginning to the next one. The first begins at `""`, and it alone may be empty.
    chunks: BTreeMap<Box<str>, Chunk>,
}

/// Where a name is in a chunk, or where it would be.
fn place(chunk: &Chunk, name: &Name) -> Result<usize, usize> {
    let at = chunk.iter().position(|named| named.name >= *name).unwrap_or(chunk.len());
    if chunk.get(at).is_some_and(|named| named.name == *name) { Ok(at) } else { Err(at) }
}

impl ByName {
    fn get(&self, name: &Name) -> Option<&Named> {
        let (_, chunk) = self.chunks.range::<str, _>((Unbounded, Included(name.as_str()))).next_back()?;
        place(chunk, name).ok().map(|at| &*chunk[at])
    }

    fn all(&self) -> impl Iterator<Item = &Named> {
        self.chunks.values().flat_map(|chunk| chunk.iter()).map(Arc::as_ref)
    }

    /// The names from a text on, which need not be a name.
    fn from(&self, text: &str) -> impl Iterator<Item = &Named> {
        let begin = self.chunks.range::<str, _>((Unbounded, Included(text))).next_back().map_or("", |(begin, _)| begin);
        let names = self.chunks.range::<str, _>((Included(begin), Unbounded)).flat_map(|(_, chunk)| chunk.iter());
        names.map(Arc::as_ref).skip_while(move |named| named.name.as_str() < text)
    }

    fn insert(&mut self, named: Arc<Named>) {
        let mut chunks = self.chunks.range_mut::<str, _>((Unbounded, Included(named.name.as_str())));
        let Some((_, chunk)) = chunks.next_back() else {
            self.chunks.insert("".into(), Arc::new(vec![named]));
            return;
        };
        let place = place(chunk, &named.name);
        let names = Arc::make_mut(chunk);
        match place {
            Ok(at) => names[at] = named,
            Err(at) => names.insert(at, named),
        }
        if names.len() > CHUNK {
            let upper = names.split_off(CHUNK / 2);
            names.shrink_to_fit();
            self.chunks.insert(upper[0].name.as_str().into(), Arc::new(upper));
        }
    }

    /// Takes a name out, and tells whether it was there.
    fn remove(&mut self, name: &Name) -> bool {
        let mut chunks = self.chunks.range_mut::<str, _>((Unbounded, Included(name.as_str())));
        let Some((begin, chunk)) = chunks.next_back() else { return false };
        let Ok(at) = place(chunk, name) else { return false };
        Arc::make_mut(chunk).remove(at);
        if chunk.is_empty() && !begin.is_empty() {
            let begin = begin.clone();
            self.chunks.remove(&begin);
        }
        true
    }
}

/// Names and entries at one number. A clone shares them; what either changes then, it copies.
#[derive(Clone, Default)]
pub struct State {
    tree: Link,
    by_name: ByName,
}

impl State {
    /// Root over all entries: 32 zero bytes when there is none.
    pub fn root(&self) -> Hash {
        hash_of(&self.tree)
    }

    /// What a name stands for.
    pub fn get(&self, name: &Name) -> Option<&Entry> {
        self.by_name.get(name).map(|named| &named.entry)
    }

    /// All entries, ascending by name.
    pub fn entries(&self) -> impl Iterator<Item = (&Name, &Entry)> {
        self.by_name.all().map(|named| (&named.name, &named.entry))
    }

    /// The first entry below `name` by whole segments, for which `stays` holds.
    pub fn first_below(&self, name: &Name, stays: impl Fn(&Name) -> bool) -> Option<&Name> {
        let prefix = format!("{name}/");
        let below = self.by_name.from(&prefix).map(|named| &named.name).take_while(|key| key.as_str().starts_with(&prefix));
        below.into_iter().find(|key| stays(key))
    }

    /// Lets `name` stand for `entry`.
    pub fn put(&mut self, name: Name, entry: Entry) {
        let named = Arc::new(Named { name, entry });
        insert(&mut self.tree, 0, Leaf::new(named.clone()));
        self.by_name.insert(named);
    }

    /// Lets `name` stand for nothing.
    pub fn remove(&mut self, name: &Name) {
        if self.by_name.remove(name) {
            remove(&mut self.tree, 0, &key_of(name));
        }
    }

    /// Proof that `name` stands for its entry, or for nothing, at this root.
    pub fn prove(&self, name: &Name) -> StateProof {
        let key = key_of(name);
        let side = |depth| usize::from(bit(&key, depth));
        let (mut siblings, mut link) = (Vec::new(), &self.tree);
        while let Some(Node { below: Below::Branch(children), .. }) = link.as_deref() {
            let here = side(siblings.len());
            siblings.push(hash_of(&children[1 - here]));
            link = &children[here];
        }
        let mut leaves = match link.as_deref() {
            Some(Node { below: Below::Few(leaves), .. }) => leaves.as_slice(),
            _ => &[],
        };
        while leaves.len() > 1 {
            let depth = siblings.len();
            let halves = split(leaves, depth);
            siblings.push(root_of(halves[1 - side(depth)], depth + 1));
            leaves = halves[side(depth)];
        }
        let in_the_way = leaves.first().map(|leaf| &leaf.named).filter(|named| named.name != *name);
        let other = in_the_way.map(|named| (key_of(&named.name), Hash::of(&named.entry.to_cbor())));
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

    /// The root by definition over what a plain map holds.
    fn root_of_map(map: &BTreeMap<Name, Entry>) -> Hash {
        let plain: Vec<_> = map.iter().map(|(n, e)| (Hash::of(n.as_str().as_bytes()), Hash::of(&e.to_cbor()))).collect();
        root_by_definition(&plain, 0)
    }

    #[test]
    fn a_version_stays_as_it_was_whatever_becomes_of_the_others() {
        let mut rng = fastrand::Rng::with_seed(2027);
        let (mut state, mut map, mut versions) = (State::default(), BTreeMap::new(), Vec::new());
        // It grows to many chunks and branches, shrinks to few, and grows again.
        for (step, puts_of_ten) in [9, 9, 9, 1, 1, 0, 9, 5].into_iter().enumerate() {
            for _ in 0..400 {
                let which = name(&format!("n{}", rng.u32(..700)));
                if rng.u32(..10) < puts_of_ten {
                    let what = entry(rng.u8(..));
                    state.put(which.clone(), what.clone());
                    map.insert(which, what);
                } else {
                    state.remove(&which);
                    map.remove(&which);
                }
            }
            // What goes on is sometimes the copy, and sometimes what was copied.
            let copy = state.clone();
            let kept = if step % 2 == 0 { copy } else { std::mem::replace(&mut state, copy) };
            versions.push((kept, map.clone()));
        }
        for (step, (state, map)) in versions.iter().enumerate() {
            let at = format!("seed 2027, version {step} of {} names", map.len());
            assert!(state.entries().eq(map.iter()), "{at}");
            assert_eq!(state.root(), root_of_map(map), "{at}");
            for index in 0..700 {
                let which = name(&format!("n{index}"));
                assert_eq!(state.get(&which), map.get(&which), "{at}: {which}");
                state.prove(&which).verify(&state.root()).unwrap_or_else(|fault| panic!("{at}: {which}: {fault:?}"));
            }
        }
    }

    #[test]
    fn keys_that_agree_in_all_kept_bits_and_more_are_two_leaves() {
        // SHA-256 of these two begins with the same 48 bits; found by trying three million names.
        let twins = [name("n795505"), name("n2441896")];
        let keys = twins.each_ref().map(|name| Hash::of(name.as_str().as_bytes()));
        assert_eq!(keys[0].0[..6], keys[1].0[..6]);
        for (first, second) in [(0, 1), (1, 0)] {
            // Alone, side by side with others, and below branches.
            for others in [0, 5, 200] {
                let (mut state, mut map) = (State::default(), BTreeMap::new());
                let names = (0..others).map(|i| name(&format!("n{i}"))).chain([twins[first].clone(), twins[second].clone()]);
                for (seed, which) in (1..=255).zip(names) {
                    state.put(which.clone(), entry(seed));
                    map.insert(which, entry(seed));
                }
                for changed in [&twins[0], &twins[1], &twins[0]] {
                    state.put(changed.clone(), entry(0));
                    map.insert(changed.clone(), entry(0));
                    assert_eq!(state.root(), root_of_map(&map));
                }
                twins.iter().for_each(|twin| state.prove(twin).verify(&state.root()).expect("a proof of presence"));
                state.remove(&twins[first]);
                map.remove(&twins[first]);
                assert_eq!(state.root(), root_of_map(&map));
                let proof = state.prove(&twins[first]);
                assert_eq!((&proof.entry, proof.other.map(|(key, _)| key)), (&None, Some(keys[second])));
                proof.verify(&state.root()).expect("a proof of absence");
            }
        }
    }

    #[test]
    fn what_shrinks_gives_its_branches_and_chunks_back() {
        let mut state = State::default();
        (0..200).for_each(|i| state.put(name(&format!("n{i}")), entry(1)));
        (0..192).for_each(|i| state.remove(&name(&format!("n{i}"))));
        assert!(matches!(state.tree.as_deref(), Some(Node { below: Below::Few(leaves), .. }) if leaves.len() == 8));
        (192..200).for_each(|i| state.remove(&name(&format!("n{i}"))));
        assert!(state.tree.is_none());
        assert_eq!(state.root(), Hash::ZERO);
        assert_eq!((state.entries().count(), state.by_name.chunks.len()), (0, 1));
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

    #[test]
    fn first_below_is_that_of_a_plain_list() {
        let mut rng = fastrand::Rng::with_seed(2028);
        let segment = |rng: &mut fastrand::Rng| ["a", "a-", "a.a", "a0", "b", "b_"][rng.usize(..6)].to_owned();
        let (mut state, mut all) = (State::default(), std::collections::BTreeSet::new());
        for _ in 0..2_000 {
            let segments: Vec<_> = (0..rng.usize(1..=5)).map(|_| segment(&mut rng)).collect();
            let which = name(&segments.join("/"));
            if rng.u32(..4) > 0 {
                state.put(which.clone(), entry(1));
                all.insert(which);
            } else {
                state.remove(&which);
                all.remove(&which);
            }
            let asked = name(&(0..rng.usize(1..=3)).map(|_| segment(&mut rng)).collect::<Vec<_>>().join("/"));
            let stays = |name: &Name| !name.as_str().len().is_multiple_of(3);
            let expected = all.iter().find(|name| name.as_str().starts_with(&format!("{asked}/")) && stays(name));
            assert_eq!(state.first_below(&asked, stays), expected, "seed 2028: below {asked}");
        }
        assert!(all.len() > 10 * CHUNK, "{} names are too few chunks", all.len());
    }
}

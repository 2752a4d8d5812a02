//! The proposal: what an author asks Common to become (SPEC 3.5 to 3.7).

use super::cbor::{Canonical, Reader, Writer};
use super::ids::{Hash, Head, MediaType, Name, Origin, Party, Pid, Text};
use super::limits::{AFTER_MAX, OBJECT_BYTES_MAX, OPERATIONS_MAX, POLICY_BYTES_MAX, UINT_MAX};
use super::policy::Policy;
use super::rules::Checked;

/// Media type of an entry that is a tree (SPEC 3.13).
pub const TREE_MEDIA_TYPE: &str = "application/vnd.tabellion.tree+cbor";

/// What a name stands for: content named by its SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// SHA-256 of the content.
    pub sha256: Hash,
    /// Its size in bytes.
    pub size: u64,
    /// Its media type.
    pub media_type: MediaType,
    /// Where the author says it came from; a claim.
    pub source: Option<Box<Source>>,
}

/// A domain snapshot an author says an entry came from, as `alice@42`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The domain.
    pub origin: Origin,
    /// Its number and root.
    pub head: Head,
}

/// What the author expects to find under a name at the paper's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// No expectation: whatever is there is overwritten.
    Anything,
    /// Nothing is there.
    Absent,
    /// Content with this SHA-256 is there.
    Content(Hash),
}

/// One change to Common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The name stands for this entry from now on.
    Put {
        /// The name.
        name: Name,
        /// What it stands for.
        entry: Entry,
        /// What must be there before.
        expect: Expect,
    },
    /// The name stands for nothing from now on.
    Remove {
        /// The name.
        name: Name,
        /// The content that must be there before, if the author says.
        expect: Option<Hash>,
    },
    /// This policy is in force from now on; stands alone in its paper.
    SetPolicy {
        /// SHA-256 of the policy it replaces, if the author says.
        expect: Option<Hash>,
        /// The new policy, well-formed; whether it is sound is judged.
        policy: Box<Policy>,
    },
}

impl Entry {
    /// Whether the content is a tree (SPEC 3.13).
    pub fn is_tree(&self) -> bool {
        self.media_type.as_str() == TREE_MEDIA_TYPE
    }
}

impl Operation {
    /// The name it changes; none for a policy.
    pub fn name(&self) -> Option<&Name> {
        match self {
            Operation::Put { name, .. } | Operation::Remove { name, .. } => Some(name),
            Operation::SetPolicy { .. } => None,
        }
    }
}

/// A proposal's payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The Common it is meant for.
    pub origin: Origin,
    /// The member who asks.
    pub author: Party,
    /// A number the author uses for one paper only.
    pub sequence: u64,
    /// The checkpoint the author had pinned.
    pub base: Head,
    /// The changes, ascending by name.
    pub operations: Vec<Operation>,
    /// The largest number it may become.
    pub last_number: Option<u64>,
    /// Papers that must be final first, ascending.
    pub after: Vec<Pid>,
    /// The author's words.
    pub note: Option<Text>,
}

impl Proposal {
    /// The new policy, when this paper sets one.
    pub fn sets_policy(&self) -> Option<&Policy> {
        match self.operations.first() {
            Some(Operation::SetPolicy { policy, .. }) => Some(policy),
            _ => None,
        }
    }
}

impl Canonical for Entry {
    fn write(&self, w: &mut Writer) {
        w.map(3 + usize::from(self.source.is_some()));
        w.uint(0).bytes(&self.sha256.0).uint(1).uint(self.size).uint(2).text(self.media_type.as_str());
        if let Some(source) = &self.source {
            w.uint(3).array(3).text(source.origin.as_str()).uint(source.head.number).bytes(&source.head.root.0);
        }
    }

    fn read(r: &mut Reader<'_>) -> Checked<Entry> {
        let (mut sha256, mut size, mut media_type, mut source) = (None, None, None, None);
        r.reading("entry").map(|key, r| {
            match key {
                0 => sha256 = Some(r.hash()?),
                1 => size = Some(r.uint_in(0..=OBJECT_BYTES_MAX)?),
                2 => media_type = Some(r.parse()?),
                3 => {
                    r.array_of(3)?;
                    let origin = r.parse()?;
                    source = Some(Source { origin, head: Head { number: r.uint_in(1..=UINT_MAX)?, root: r.hash()? } });
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Entry {
            sha256: r.need(sha256, "0 (SHA-256)")?,
            size: r.need(size, "1 (size)")?,
            media_type: r.need(media_type, "2 (media type)")?,
            source: source.map(Box::new),
        })
    }
}

impl Canonical for Operation {
    fn write(&self, w: &mut Writer) {
        match self {
            Operation::Put { name, entry, expect } => {
                w.map(3 + usize::from(*expect != Expect::Anything)).uint(0).uint(1).uint(1).text(name.as_str()).uint(2);
                entry.write(w);
                match expect {
                    Expect::Anything => {}
                    Expect::Absent => drop(w.uint(3).bool(false)),
                    Expect::Content(hash) => drop(w.uint(3).bytes(&hash.0)),
                }
            }
            Operation::Remove { name, expect } => {
                w.map(2 + usize::from(expect.is_some())).uint(0).uint(2).uint(1).text(name.as_str());
                if let Some(hash) = expect {
                    w.uint(3).bytes(&hash.0);
                }
            }
            Operation::SetPolicy { expect, policy } => {
                w.map(2 + usize::from(expect.is_some())).uint(0).uint(3);
                if let Some(hash) = expect {
                    w.uint(3).bytes(&hash.0);
                }
                w.uint(4).bytes(&policy.to_cbor());
            }
        }
    }

    fn read(r: &mut Reader<'_>) -> Checked<Operation> {
        let (mut kind, mut name, mut entry, mut expect, mut policy) = (None, None, None, None, None);
        r.reading("operation").map(|key, r| {
            match key {
                0 => kind = Some(r.uint()?),
                1 => name = Some(r.parse()?),
                2 => entry = Some(Entry::read(r)?),
                3 if r.at_bool() => expect = Some(read_absent(r)?),
                3 => expect = Some(Expect::Content(r.hash()?)),
                4 => policy = Some(read_policy(r)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let content = match expect {
            None => Some(None),
            Some(Expect::Content(hash)) => Some(Some(hash)),
            Some(_) => None,
        };
        match (kind, name, entry, content, policy) {
            (Some(1), Some(name), Some(entry), _, None) => Ok(Operation::Put { name, entry, expect: expect.unwrap_or(Expect::Anything) }),
            (Some(2), Some(name), None, Some(expect), None) => Ok(Operation::Remove { name, expect }),
            (Some(3), None, None, Some(expect), Some(policy)) => Ok(Operation::SetPolicy { expect, policy }),
            (Some(kind), ..) => Err(r.fault(format!("operation of kind {kind} with other keys than SPEC 3.6 gives it"))),
            (None, ..) => Err(r.fault("operation lacks 0 (kind)")),
        }
    }
}

fn read_absent(r: &mut Reader<'_>) -> Checked<Expect> {
    if r.bool()? { Err(r.fault("expect is true; false or a hash expected")) } else { Ok(Expect::Absent) }
}

/// SPEC 3.5: `after` has 1 to 16 pids; without any the key is absent.
fn read_after(r: &mut Reader<'_>) -> Checked<Vec<Pid>> {
    let after = r.list(AFTER_MAX)?;
    if after.is_empty() { Err(r.fault("after is empty; 1 to 16 papers expected")) } else { Ok(after) }
}

fn read_policy(r: &mut Reader<'_>) -> Checked<Box<Policy>> {
    let bytes = r.bytes()?;
    if bytes.len() > POLICY_BYTES_MAX {
        return Err(r.fault(format!("policy of {} bytes, {POLICY_BYTES_MAX} at most", bytes.len())));
    }
    Policy::from_cbor(bytes).map(Box::new)
}

impl Canonical for Proposal {
    fn write(&self, w: &mut Writer) {
        let optional = [self.last_number.is_some(), !self.after.is_empty(), self.note.is_some()];
        w.map(6 + optional.into_iter().filter(|&there| there).count());
        w.uint(0).uint(1).uint(1).text(self.origin.as_str()).uint(2).text(self.author.as_str()).uint(3).uint(self.sequence).uint(4);
        self.base.write(w);
        w.uint(5).list(&self.operations);
        if let Some(last) = self.last_number {
            w.uint(6).uint(last);
        }
        if !self.after.is_empty() {
            w.uint(7).list(&self.after);
        }
        if let Some(note) = &self.note {
            w.uint(8).text(note.as_str());
        }
    }

    fn read(r: &mut Reader<'_>) -> Checked<Proposal> {
        let (mut version, mut origin, mut author, mut sequence, mut base) = (None, None, None, None, None);
        let (mut operations, mut last_number, mut after, mut note) = (None, None, None, None);
        r.reading("proposal").map(|key, r| {
            match key {
                0 => version = Some(r.version()?),
                1 => origin = Some(r.parse()?),
                2 => author = Some(r.parse()?),
                3 => sequence = Some(r.uint_in(1..=UINT_MAX)?),
                4 => base = Some(Head::read(r)?),
                5 => operations = Some(r.list(OPERATIONS_MAX)?),
                6 => last_number = Some(r.uint_in(1..=UINT_MAX)?),
                7 => after = Some(read_after(r)?),
                8 => note = Some(r.parse()?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        r.reading("proposal").need(version, "0 (version)")?;
        let proposal = Proposal {
            origin: r.need(origin, "1 (origin)")?,
            author: r.need(author, "2 (author)")?,
            sequence: r.need(sequence, "3 (sequence)")?,
            base: r.need(base, "4 (base)")?,
            operations: r.need(operations, "5 (operations)")?,
            last_number,
            after: after.unwrap_or_default(),
            note,
        };
        proposal.check_order(r)?;
        Ok(proposal)
    }
}

impl Proposal {
    /// SPEC 3.5: operations ascend by name, a set-policy stands alone, `after` ascends, base is at least 1.
    fn check_order(&self, r: &Reader<'_>) -> Checked<()> {
        if self.base.number == 0 {
            return Err(r.fault("base 0 found; the first number is 1"));
        }
        if self.operations.is_empty() {
            return Err(r.fault("no operation found; at least one expected"));
        }
        if self.operations.len() > 1 && self.operations.iter().any(|operation| operation.name().is_none()) {
            return Err(r.fault("set-policy does not stand alone"));
        }
        if let Some(pair) = self.operations.windows(2).find(|pair| pair[0].name() >= pair[1].name()) {
            let name = pair[1].name().map(Name::as_str).unwrap_or_default();
            return Err(r.fault(format!("operation on {name:?} does not come after the one before it by name")));
        }
        if self.after.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(r.fault("after does not ascend"));
        }
        Ok(())
    }
}

//! A snapshot: the paper of a proposer's own domain, as `alice@42` (SPEC 3.8). Pure; which key may sign it is for [`super::domain`] to say.

use super::cbor::{Canonical, Reader, Writer};
use super::ids::{Origin, Text};
use super::limits::UINT_MAX;
use super::proposal::{Entry, TREE_MEDIA_TYPE};
use super::rules::Checked;

/// A snapshot's payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The domain.
    pub origin: Origin,
    /// The number it becomes in the domain.
    pub sequence: u64,
    /// The folder, as a tree artifact.
    pub tree: Entry,
    /// The owner's words.
    pub note: Option<Text>,
    /// The owner's claim when it was made, Unix seconds.
    pub time: Option<u64>,
}

impl Canonical for Snapshot {
    fn write(&self, w: &mut Writer) {
        w.map(4 + usize::from(self.note.is_some()) + usize::from(self.time.is_some()));
        w.uint(0).uint(1).uint(1).text(self.origin.as_str()).uint(2).uint(self.sequence).uint(3);
        self.tree.write(w);
        if let Some(note) = &self.note {
            w.uint(4).text(note.as_str());
        }
        if let Some(time) = self.time {
            w.uint(5).uint(time);
        }
    }

    fn read(r: &mut Reader<'_>) -> Checked<Snapshot> {
        let (mut version, mut origin, mut sequence, mut tree, mut note, mut time) = (None, None, None, None, None, None);
        r.reading("snapshot").map(|key, r| {
            match key {
                0 => version = Some(r.version()?),
                1 => origin = Some(r.parse::<Origin>()?),
                2 => sequence = Some(r.uint_in(1..=UINT_MAX)?),
                3 => tree = Some(Entry::read(r)?),
                4 => note = Some(r.parse()?),
                5 => time = Some(r.uint_in(1..=UINT_MAX)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        r.reading("snapshot").need(version, "0 (version)")?;
        let origin = r.need(origin, "1 (origin)")?;
        let tree: Entry = r.need(tree, "3 (tree)")?;
        if !origin.is_domain() {
            return Err(r.fault(format!("origin {origin} found; that of a proposer's domain, which ends in /~name, expected")));
        }
        if tree.media_type.as_str() != TREE_MEDIA_TYPE || tree.source.is_some() {
            return Err(r.fault(format!("a tree of media type {} found; {TREE_MEDIA_TYPE} without a source expected", tree.media_type)));
        }
        Ok(Snapshot { origin, sequence: r.need(sequence, "2 (sequence)")?, tree, note, time })
    }
}

#[cfg(test)]
mod tests {
    use super::super::ids::Hash;
    use super::super::rules::Rule;
    use super::*;

    fn snapshot() -> Snapshot {
        Snapshot {
            origin: "w.example/~alice".parse().unwrap(),
            sequence: 2,
            tree: Entry { sha256: Hash([7; 32]), size: 5, media_type: TREE_MEDIA_TYPE.parse().unwrap(), source: None },
            note: None,
            time: Some(9),
        }
    }

    #[test]
    fn payload_is_that_of_spec_3_8() {
        // {0: 1, 1: "w.example/~alice", 2: 2, 3: {0: h'07..', 1: 5, 2: "application/vnd.tabellion.tree+cbor"}, 5: 9}
        let tree = format!("a3005820{}01050278{:02x}{}", "07".repeat(32), TREE_MEDIA_TYPE.len(), hex::encode(TREE_MEDIA_TYPE));
        let expected = format!("a5000101{:02x}{}020203{tree}0509", 0x60 + 16, hex::encode("w.example/~alice"));
        assert_eq!(hex::encode(snapshot().to_cbor()), expected);
        assert_eq!(Snapshot::from_cbor(&snapshot().to_cbor()).unwrap(), snapshot());
    }

    #[test]
    fn what_is_no_domain_or_no_tree_is_refused() {
        let of_common = Snapshot { origin: "w.example/common".parse().unwrap(), ..snapshot() };
        let plain = Snapshot { tree: Entry { media_type: "text/plain".parse().unwrap(), ..snapshot().tree }, ..snapshot() };
        for (wrong, value) in [(of_common, "w.example/common"), (plain, "text/plain"), (Snapshot { sequence: 0, ..snapshot() }, "0")] {
            let fault = Snapshot::from_cbor(&wrong.to_cbor()).unwrap_err();
            assert_eq!(fault.rule, Rule::PayloadShape);
            assert!(fault.found.contains(value), "{fault}");
        }
    }
}

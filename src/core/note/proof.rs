//! Proofs that travel as files: the receipt of an accepted paper and `common@N` (SPEC 4.6), and the catch-up of a pin (SPEC 4.9).

use super::super::ids::{Hash, Head};
use super::super::limits::RECORD_BYTES_MAX;
use super::super::lines::{Lines, decode64, encode64};
use super::super::rules::{Checked, Fault, Rule};
use super::super::tree::{empty_root, leaf_hash, verify_consistency, verify_inclusion};
use super::{Checkpoint, Note, VerifierKey, note_text};

const PROOF_LINE: &str = "c2sp.org/tlog-proof@v1";
/// Most hashes in a proof: more than any tree of 2^53 leaves needs, and tlog-witness's bound.
const PROOF_HASHES_MAX: usize = 63;

/// That a record is in the log: `extra` record, index, hashes, checkpoint.
///
/// # Source
/// C2SP tlog-proof v1; SPEC 4.6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof {
    /// The record; the leaf is computed from it, so that nothing in `extra` is believed unproved.
    pub record: Vec<u8>,
    /// Index of the record's leaf: N − 1.
    pub index: u64,
    /// The siblings, leaf first.
    pub hashes: Vec<Hash>,
    /// The signed checkpoint it leads to.
    pub checkpoint: String,
}

impl InclusionProof {
    /// The file.
    pub fn text(&self) -> String {
        let extra = encode64(&self.record);
        format!("{PROOF_LINE}\nextra {extra}\nindex {}\n{}\n{}", self.index, hash_lines(&self.hashes), self.checkpoint)
    }

    /// Reads the file; nothing is verified yet but the form.
    ///
    /// # Errors
    /// `checkpoint-form` naming the line, `record-form` when the record is empty or larger than a record may be.
    pub fn parse(bytes: &[u8]) -> Checked<InclusionProof> {
        let mut lines = Lines::new(note_text(bytes)?, Rule::CheckpointForm);
        lines.exact(PROOF_LINE)?;
        let record = lines.read("extra", "padded base64", decode64)?;
        if !(1..=RECORD_BYTES_MAX).contains(&record.len()) {
            return Err(Fault::new(Rule::RecordForm, format!("found {} bytes; expected 1 to {RECORD_BYTES_MAX}", record.len())));
        }
        let index = lines.number("index")?;
        let hashes = lines.hashes(PROOF_HASHES_MAX)?;
        Ok(InclusionProof { record, index, hashes, checkpoint: checkpoint_of(&lines)? })
    }

    /// Verifies checkpoint and path; gives the checkpoint, whose tree holds `record` as number `index + 1`.
    ///
    /// What the record itself says, its own N too, is for who decodes it.
    ///
    /// # Errors
    /// As [`Checkpoint::parse_signed`]; `proof-fails`.
    pub fn verify(&self, key: &VerifierKey) -> Checked<Checkpoint> {
        let checkpoint = Checkpoint::parse_signed(self.checkpoint.as_bytes(), key)?;
        let Head { number, root } = checkpoint.head;
        verify_inclusion(leaf_hash(&self.record), self.index, number, root, &self.hashes)?;
        Ok(checkpoint)
    }
}

/// That one head follows from an older one: `old` size, hashes, checkpoint. A public witness takes the same bytes.
///
/// # Source
/// C2SP tlog-witness, body of add-checkpoint; SPEC 4.9.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatchUp {
    /// Size of the older tree.
    pub old: u64,
    /// The proof of consistency; empty from size 0 and from the checkpoint's own size.
    pub hashes: Vec<Hash>,
    /// The signed checkpoint of the newer tree.
    pub checkpoint: String,
}

impl CatchUp {
    /// The file.
    pub fn text(&self) -> String {
        format!("old {}\n{}\n{}", self.old, hash_lines(&self.hashes), self.checkpoint)
    }

    /// Reads the file; nothing is verified yet but the form.
    ///
    /// # Errors
    /// `checkpoint-form` naming the line.
    pub fn parse(bytes: &[u8]) -> Checked<CatchUp> {
        let mut lines = Lines::new(note_text(bytes)?, Rule::CheckpointForm);
        let old = lines.number("old")?;
        let hashes = lines.hashes(PROOF_HASHES_MAX)?;
        Ok(CatchUp { old, hashes, checkpoint: checkpoint_of(&lines)? })
    }

    /// Verifies the checkpoint, and that its tree begins with the one of `old_head`; gives the checkpoint.
    ///
    /// From the empty tree every tree follows, so `old` 0 asks for no hashes and the empty root.
    ///
    /// # Errors
    /// As [`Checkpoint::parse_signed`]; `proof-fails` when `old` is not the size of `old_head`, or the proof does not hold.
    pub fn verify(&self, key: &VerifierKey, old_head: Head) -> Checked<Checkpoint> {
        let checkpoint = Checkpoint::parse_signed(self.checkpoint.as_bytes(), key)?;
        if self.old != old_head.number {
            return Err(fails(format!("found a proof from size {}; expected one from {}", self.old, old_head.number)));
        }
        if self.old > 0 {
            verify_consistency(old_head, checkpoint.head, &self.hashes)?;
        } else if old_head.root != empty_root() {
            return Err(fails(format!("found root {} at size 0; expected {}", old_head.root, empty_root())));
        } else if !self.hashes.is_empty() {
            return Err(fails(format!("found {} hashes in a proof from size 0; expected none", self.hashes.len())));
        }
        Ok(checkpoint)
    }
}

fn fails(found: String) -> Fault {
    Fault::new(Rule::ProofFails, found)
}

fn hash_lines(hashes: &[Hash]) -> String {
    hashes.iter().map(|hash| encode64(&hash.0) + "\n").collect()
}

/// The rest of a proof, which is a note.
fn checkpoint_of(lines: &Lines<'_>) -> Checked<String> {
    Note::parse(lines.rest().as_bytes())?;
    Ok(lines.rest().to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::super::tree::Log;
    use super::super::tests::{origin, signed, verifier};
    use super::*;

    fn log(size: u8) -> Log {
        let mut log = Log::default();
        for n in 0..size {
            log.push(leaf_hash(&[n, n]));
        }
        log
    }

    fn checkpoint(head: Head) -> String {
        signed(1, &Checkpoint { origin: origin(), head }.text())
    }

    fn proof(index: u8, size: u8) -> InclusionProof {
        let log = log(size);
        let hashes = log.inclusion(index.into(), size.into()).unwrap();
        InclusionProof { record: vec![index, index], index: index.into(), hashes, checkpoint: checkpoint(log.head()) }
    }

    fn catch_up(old: u8, new: u8) -> CatchUp {
        let log = log(new);
        CatchUp { old: old.into(), hashes: log.consistency(old.into(), new.into()).unwrap(), checkpoint: checkpoint(log.head()) }
    }

    #[test]
    fn proof_of_inclusion_has_the_form_of_spec_4_6() {
        let one = proof(0, 1);
        assert_eq!(one.text(), format!("c2sp.org/tlog-proof@v1\nextra AAA=\nindex 0\n\n{}", one.checkpoint));
        let two = proof(1, 2);
        let sibling = encode64(&leaf_hash(&[0, 0]).0);
        assert_eq!(two.text(), format!("c2sp.org/tlog-proof@v1\nextra AQE=\nindex 1\n{sibling}\n\n{}", two.checkpoint));
        for size in 1..=20 {
            for index in 0..size {
                let proof = proof(index, size);
                let read = InclusionProof::parse(proof.text().as_bytes()).unwrap();
                assert_eq!(read, proof);
                assert_eq!(read.verify(&verifier(1)).unwrap().head, log(size).head());
            }
        }
    }

    #[test]
    fn proof_of_another_record_index_path_or_key_fails() {
        let good = proof(2, 7);
        for bad in [
            InclusionProof { record: vec![2, 3], ..good.clone() },
            InclusionProof { index: 3, ..good.clone() },
            InclusionProof { index: 7, ..good.clone() },
            InclusionProof { hashes: good.hashes[1..].to_vec(), ..good.clone() },
            InclusionProof { checkpoint: checkpoint(log(8).head()), ..good.clone() },
        ] {
            assert_eq!(bad.verify(&verifier(1)).unwrap_err().rule, Rule::ProofFails, "{bad:?}");
        }
        assert_eq!(good.verify(&verifier(2)).unwrap_err().rule, Rule::CheckpointUnsigned);
    }

    #[test]
    fn proofs_of_another_form_are_refused() {
        let good = proof(1, 2).text();
        for (from, to) in [
            ("@v1", "@v2"),
            ("extra ", "extra  "),
            ("AQE=", "AQF="),
            ("extra AQE=\n", ""),
            ("index 1", "index +1"),
            ("index 1", "index 01"),
            ("index 1", "index 9007199254740992"),
            ("index 1\n", "index 1\nAQE=\n"),
            ("\n\nwitness", "\nwitness"),
            ("\n\nwitness", "\n\n\nwitness"),
            ("\n", "\r\n"),
        ] {
            let bad = good.replace(from, to);
            assert_ne!(bad, good, "{from:?} is not in the text");
            let fault = InclusionProof::parse(bad.as_bytes()).and_then(|proof| proof.verify(&verifier(1))).unwrap_err();
            assert!(matches!(fault.rule, Rule::CheckpointForm | Rule::CheckpointUnsigned), "{from:?} as {to:?}: {fault}");
        }
        assert!(InclusionProof::parse(good.split_once("\n\n").unwrap().0.as_bytes()).is_err());
        assert!(InclusionProof::parse(&[0xff]).is_err());
        let unsigned = good.split_once("\n\u{2014}").unwrap().0;
        assert_eq!(InclusionProof::parse(unsigned.as_bytes()).unwrap_err().rule, Rule::CheckpointForm);
    }

    #[test]
    fn proofs_have_bounds() {
        let good = proof(1, 2);
        let with = |bytes: usize, hashes: usize| {
            let proof = InclusionProof { record: vec![0; bytes], hashes: vec![Hash::ZERO; hashes], ..good.clone() };
            InclusionProof::parse(proof.text().as_bytes()).map_err(|fault| fault.rule)
        };
        assert!(with(1_024, 63).is_ok());
        assert_eq!(with(1_025, 63), Err(Rule::RecordForm));
        assert_eq!(with(0, 63), Err(Rule::RecordForm));
        assert_eq!(with(1_024, 64), Err(Rule::CheckpointForm));
    }

    #[test]
    fn catch_up_has_the_form_of_spec_4_9_and_verifies() {
        let from_start = catch_up(0, 3);
        assert_eq!(from_start.text(), format!("old 0\n\n{}", from_start.checkpoint));
        let one = catch_up(1, 2);
        assert_eq!(one.text(), format!("old 1\n{}\n\n{}", encode64(&leaf_hash(&[1, 1]).0), one.checkpoint));
        for new in 1..=20u8 {
            for old in 0..=new {
                let read = CatchUp::parse(catch_up(old, new).text().as_bytes()).unwrap();
                assert_eq!(read, catch_up(old, new));
                assert_eq!(read.verify(&verifier(1), log(old).head()).unwrap().head, log(new).head());
            }
        }
    }

    #[test]
    fn catch_up_from_another_head_or_with_other_hashes_fails() {
        let good = catch_up(3, 7);
        let verify = |catch_up: &CatchUp, head: Head| catch_up.verify(&verifier(1), head).map_err(|fault| fault.rule);
        assert!(verify(&good, log(3).head()).is_ok());
        assert_eq!(verify(&good, log(4).head()), Err(Rule::ProofFails));
        assert_eq!(verify(&CatchUp { old: 4, ..good.clone() }, log(3).head()), Err(Rule::ProofFails), "the size written is another");
        assert_eq!(verify(&good, Head { number: 3, root: Hash::ZERO }), Err(Rule::ProofFails));
        let extra = CatchUp { hashes: [good.hashes.clone(), vec![Hash::ZERO]].concat(), ..good.clone() };
        assert_eq!(verify(&extra, log(3).head()), Err(Rule::ProofFails));
        // Backwards, from a false empty tree, and with hashes where there is nothing to prove.
        assert_eq!(verify(&CatchUp { old: 9, ..good.clone() }, log(9).head()), Err(Rule::ProofFails));
        assert_eq!(verify(&catch_up(0, 3), Head { number: 0, root: Hash::ZERO }), Err(Rule::ProofFails));
        assert_eq!(verify(&CatchUp { old: 0, ..good.clone() }, log(0).head()), Err(Rule::ProofFails));
        assert_eq!(good.verify(&verifier(2), log(3).head()).unwrap_err().rule, Rule::CheckpointUnsigned);
        for bad in [good.text().replace("old 3", "old +3"), good.text().replace("old 3", "old  3"), good.text().replace("old 3\n", "")] {
            assert_eq!(CatchUp::parse(bad.as_bytes()).unwrap_err().rule, Rule::CheckpointForm);
        }
    }
}

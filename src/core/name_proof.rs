//! The proof of a name: that it stood for an entry, or for nothing, at one number of Common (SPEC 5.4).
//!
//! A text of three lines in front of a C2SP tlog-proof, which is whole in itself: what other programs know they find, byte for byte.

use super::cbor::Canonical as _;
use super::limits::NOTE_BYTES_MAX;
use super::lines::{Lines, decode64, encode64};
use super::note::{Checkpoint, InclusionProof, VerifierKey};
use super::record::Record;
use super::rules::{Checked, Fault, Rule};
use super::state::StateProof;

/// First line, with its newline: how the file is known.
pub const NAME_PROOF_FIRST: &str = "tabellion-proof v1\n";

/// What a name stood for at one number.
///
/// # Source
/// SPEC 5.4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameProof {
    /// The name and its entry or absence, below a state root.
    pub state: StateProof,
    /// The record that holds that state root, in the log of its own number.
    pub inclusion: InclusionProof,
}

impl NameProof {
    /// The file.
    pub fn text(&self) -> String {
        format!("{NAME_PROOF_FIRST}state-proof {}\n\n{}", encode64(&self.state.to_cbor()), self.inclusion.text())
    }

    /// Reads the file; nothing is verified yet but the form.
    ///
    /// # Errors
    /// `checkpoint-form` naming the line, also for a state proof of another form; `record-form`.
    pub fn parse(bytes: &[u8]) -> Checked<NameProof> {
        let form = |reason: String| Fault::new(Rule::CheckpointForm, reason);
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(form(format!("found {} bytes; expected at most {NOTE_BYTES_MAX}", bytes.len())));
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|error| form(format!("found bytes that are not UTF-8 at offset {}", error.valid_up_to())))?;
        let mut lines = Lines::new(text, Rule::CheckpointForm);
        lines.exact(NAME_PROOF_FIRST.trim_end())?;
        let state = lines.read("state-proof", "padded base64", decode64)?;
        let state = StateProof::from_cbor(&state).map_err(|fault| lines.fault(format!("state-proof: [{}] {}", fault.rule, fault.found)))?;
        lines.exact("")?;
        Ok(NameProof { state, inclusion: InclusionProof::parse(lines.rest().as_bytes())? })
    }

    /// Verifies all of it; gives the checkpoint of the number it is about, and the record that made that number.
    ///
    /// # Errors
    /// As [`InclusionProof::verify`]; `record-form`; `proof-fails` when record, index and size are not of one number, or the state root is not
    /// reached.
    pub fn verify(&self, key: &VerifierKey) -> Checked<(Checkpoint, Record)> {
        let checkpoint = self.inclusion.verify(key)?;
        let record = Record::from_cbor(&self.inclusion.record).map_err(|fault| Fault::new(Rule::RecordForm, fault.found))?;
        let (index, size) = (self.inclusion.index, checkpoint.head.number);
        if record.number != index + 1 || record.number != size {
            let found = format!(
                "record of common@{} found at index {index} under a checkpoint of size {size}; all of one number expected",
                record.number
            );
            return Err(Fault::new(Rule::ProofFails, found));
        }
        self.state.verify(&record.state_root)?;
        Ok((checkpoint, record))
    }
}

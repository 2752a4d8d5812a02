//! Verdict notes: what the witness signs about a paper that got no number (SPEC 4.7).
//!
//! No parser can take one for a checkpoint: its first line is no origin and its second no number. Nothing an outsider wrote stands in it
//! but names from the policy's alphabet.

use super::super::ids::{Hash, Head, Origin, Pid, parse_decimal};
use super::super::limits::DETAIL_BYTES_MAX;
use super::super::lines::{Lines, encode64, hash64};
use super::super::rules::{Checked, Fault, Outcome, Rule};
use super::{Note, VerifierKey, same_origin};

/// A refusal, or a notice that a paper is pending or deferred.
///
/// # Source
/// SPEC 4.7.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerdictNote {
    /// The Common that judged.
    pub origin: Origin,
    /// The paper.
    pub pid: Pid,
    /// Refused, pending or deferred; that of `rule`.
    pub outcome: Outcome,
    /// The rule that the paper met.
    pub rule: Rule,
    /// The head before this session.
    pub head_before: Head,
    /// The session's number.
    pub session: u64,
    /// SHA-256 of the policy it was judged by.
    pub policy: Hash,
    /// The rule's compared values: 1 to 200 bytes of `[a-z0-9._/:+-]` and single spaces.
    pub detail: String,
}

impl VerdictNote {
    /// The seven lines that are signed.
    ///
    /// # Errors
    /// `internal-fault` when the outcome is not refused, pending or deferred, is not the rule's, or when the detail breaks its form: what
    /// is signed must be readable.
    pub fn text(&self) -> Checked<String> {
        let word = match self.outcome {
            Outcome::Refused => "verdict",
            Outcome::Pending | Outcome::Deferred => "notice",
            Outcome::Listed | Outcome::Stop => {
                return Err(internal(format!("outcome {} found; refused, pending or deferred expected", self.outcome.word())));
            }
        };
        if self.rule.outcome() != self.outcome {
            return Err(internal(format!("outcome {} found; {} is {}", self.outcome.word(), self.rule, self.rule.outcome().word())));
        }
        if let Some(reason) = detail_fault(&self.detail) {
            return Err(internal(format!("detail {:?}: {reason}", self.detail)));
        }
        Ok(format!(
            "{}/verdict v1\npaper sha256:{}\n{word} {} {}\ncommon {} {}\nsession {}\npolicy sha256:{}\ndetail {}\n",
            self.origin,
            self.pid,
            self.outcome.word(),
            self.rule,
            self.head_before.number,
            encode64(&self.head_before.root.0),
            self.session,
            self.policy,
            self.detail
        ))
    }

    /// Reads the seven lines.
    ///
    /// # Errors
    /// `checkpoint-form` naming the line.
    pub fn parse(text: &str) -> Checked<VerdictNote> {
        let mut lines = Lines::new(text, Rule::CheckpointForm);
        let line = lines.line("<origin>/verdict v1")?;
        let origin = line.strip_suffix("/verdict v1").ok_or_else(|| lines.unlike(line, "<origin>/verdict v1"))?;
        let origin = origin.parse().map_err(|fault: Fault| lines.fault(fault.found))?;
        let pid = lines.hash_named("paper")?;
        let line = lines.line("a verdict or notice")?;
        let (outcome, rule) =
            outcome_line(line).ok_or_else(|| lines.unlike(line, "verdict refused, notice pending or notice deferred, and its rule"))?;
        let head_before = lines.read("common", "a number and 32 bytes of padded base64", |value| {
            let (number, root) = value.split_once(' ')?;
            Some(Head { number: parse_decimal(number)?, root: hash64(root)? })
        })?;
        let session = lines.number("session")?;
        let policy = lines.hash_named("policy")?;
        let detail = lines.value("detail")?;
        if let Some(reason) = detail_fault(detail) {
            return Err(lines.fault(reason));
        }
        lines.end()?;
        Ok(VerdictNote { origin, pid, outcome, rule, head_before, session, policy, detail: detail.to_owned() })
    }

    /// Reads a signed verdict note and verifies it under `key`, whose name must be the origin.
    ///
    /// # Errors
    /// As [`Note::parse`], [`Note::verify`] and [`VerdictNote::parse`]; `checkpoint-form` when the origin is not the key's name.
    pub fn parse_signed(bytes: &[u8], key: &VerifierKey) -> Checked<VerdictNote> {
        let note = Note::parse(bytes)?;
        note.verify(key)?;
        let verdict = VerdictNote::parse(note.text)?;
        same_origin(&verdict.origin, key)?;
        Ok(verdict)
    }
}

fn internal(found: String) -> Fault {
    Fault::new(Rule::InternalFault, format!("verdict note: {found}"))
}

fn outcome_line(line: &str) -> Option<(Outcome, Rule)> {
    let (outcome, id) = [("verdict", Outcome::Refused), ("notice", Outcome::Pending), ("notice", Outcome::Deferred)].into_iter().find_map(
        |(word, outcome)| {
            let rest = line.strip_prefix(word)?.strip_prefix(' ')?.strip_prefix(outcome.word())?;
            Some((outcome, rest.strip_prefix(' ')?))
        },
    )?;
    Rule::from_id(id).filter(|rule| rule.outcome() == outcome).map(|rule| (outcome, rule))
}

fn detail_fault(detail: &str) -> Option<String> {
    if detail.is_empty() || detail.len() > DETAIL_BYTES_MAX {
        return Some(format!("found a detail of {} bytes; expected 1 to {DETAIL_BYTES_MAX}", detail.len()));
    }
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._/:+- ".contains(c);
    if let Some((at, c)) = detail.char_indices().find(|&(_, c)| !allowed(c)) {
        return Some(format!("found U+{:04X} at offset {at} of the detail; expected only [a-z0-9._/:+-] and single spaces", c as u32));
    }
    detail.split(' ').any(str::is_empty).then(|| "found a space at an end of the detail or beside another; expected single spaces".into())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{origin, signed, verifier};
    use super::super::{Checkpoint, assemble};
    use super::*;

    const TEXT: &str = "witness.example/common/verdict v1\n\
        paper sha256:0101010101010101010101010101010101010101010101010101010101010101\n\
        verdict refused expectation-failed\n\
        common 41 AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n\
        session 12\n\
        policy sha256:0303030303030303030303030303030303030303030303030303030303030303\n\
        detail name tools/editor found sha256:5c0211aabbccddee expected sha256:0e7714aabbccddee\n";

    fn note() -> VerdictNote {
        VerdictNote {
            origin: origin(),
            pid: Hash([1; 32]),
            outcome: Outcome::Refused,
            rule: Rule::ExpectationFailed,
            head_before: Head { number: 41, root: Hash([2; 32]) },
            session: 12,
            policy: Hash([3; 32]),
            detail: "name tools/editor found sha256:5c0211aabbccddee expected sha256:0e7714aabbccddee".into(),
        }
    }

    #[test]
    fn text_is_that_of_spec_4_7() {
        assert_eq!(note().text().unwrap(), TEXT);
        assert_eq!(VerdictNote::parse(TEXT).unwrap(), note());
        for (outcome, rule, line) in [
            (Outcome::Pending, Rule::ThresholdNotMet, "\nnotice pending threshold-not-met\n"),
            (Outcome::Deferred, Rule::ObjectMissing, "\nnotice deferred object-missing\n"),
        ] {
            let text = VerdictNote { outcome, rule, ..note() }.text().unwrap();
            assert!(text.contains(line));
            assert_eq!(VerdictNote::parse(&text).unwrap(), VerdictNote { outcome, rule, ..note() });
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for (from, to) in [
            ("/verdict v1", "/verdict v2"),
            ("witness.example", "Witness.example"),
            ("paper sha256:01", "paper sha256:1"),
            ("verdict refused", "notice refused"),
            ("verdict refused expectation-failed", "verdict pending threshold-not-met"),
            ("expectation-failed", "threshold-not-met"),
            ("expectation-failed", "no-such-rule"),
            ("verdict refused ", "verdict refused  "),
            ("common 41", "common +41"),
            ("AgI=\n", "AgJ=\n"),
            ("session 12", "session 012"),
            ("session 12\n", ""),
            ("detail name", "detail  name"),
            ("detail name", "detail Name"),
            ("detail name", "detail n\u{e4}me"),
            ("ddee\n", "ddee \n"),
            ("ddee\n", "ddee\nmore\n"),
            ("ddee\n", "ddee"),
        ] {
            let bad = TEXT.replace(from, to);
            assert_ne!(bad, TEXT, "{from} is not in the text");
            assert_eq!(VerdictNote::parse(&bad).unwrap_err().rule, Rule::CheckpointForm, "{from:?} as {to:?}");
        }
    }

    #[test]
    fn a_detail_is_1_to_200_bytes_of_its_alphabet_or_is_not_signed() {
        let with = |detail: &str| VerdictNote { detail: detail.into(), ..note() }.text();
        assert!(with(&"a".repeat(200)).is_ok());
        for bad in ["", &"a".repeat(201), "a\nb", "a\n\n\u{2014} x", "A", "a  b", " a", "a ", "a\"b"] {
            assert_eq!(with(bad).unwrap_err().rule, Rule::InternalFault, "{bad:?}");
        }
        for (outcome, rule) in [(Outcome::Stop, Rule::Halted), (Outcome::Listed, Rule::CborForm), (Outcome::Pending, Rule::NoRule)] {
            assert_eq!(VerdictNote { outcome, rule, ..note() }.text().unwrap_err().rule, Rule::InternalFault);
        }
    }

    #[test]
    fn signed_notes_verify_and_are_no_checkpoints() {
        let whole = signed(1, TEXT);
        assert_eq!(VerdictNote::parse_signed(whole.as_bytes(), &verifier(1)).unwrap(), note());
        assert_eq!(Checkpoint::parse_signed(whole.as_bytes(), &verifier(1)).unwrap_err().rule, Rule::CheckpointForm);
        assert_eq!(VerdictNote::parse_signed(whole.as_bytes(), &verifier(2)).unwrap_err().rule, Rule::CheckpointUnsigned);
        let other = TEXT.replace("witness.example", "other.example");
        assert_eq!(VerdictNote::parse_signed(signed(1, &other).as_bytes(), &verifier(1)).unwrap_err().rule, Rule::CheckpointForm);
        assert!(VerdictNote::parse_signed(assemble(TEXT, "").as_bytes(), &verifier(1)).is_err());
    }
}

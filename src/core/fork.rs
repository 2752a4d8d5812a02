//! Proof of a fork: two statements of one log key that cannot both be true, in one file that anyone can check (SPEC 4.10).
//!
//! A [`Statement`] is made only by verifying it, and a [`ForkProof`] only of two that contradict each other: a copy that was damaged on its
//! way can never become a proof against the witness.

use super::ids::{Hash, Head};
use super::lines::{Lines, decode64, encode64};
use super::name_proof::NAME_PROOF_FIRST;
use super::note::{Checkpoint, InclusionProof, Note, VerdictNote, VerifierKey, assemble};
use super::rules::{Checked, Fault, Rule};

/// First line of a fork proof.
const FORK_LINE: &str = "tabellion-fork v1";
/// First bytes of a proof of inclusion.
const PROOF_FIRST: &[u8] = b"c2sp.org/tlog-proof@v1\n";

/// What a log key stated, verified: a checkpoint, a verdict note, or a proof of inclusion under a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Statement {
    text: String,
    head: Head,
    says: Says,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Says {
    Checkpoint,
    /// Paper, session, and the signed text.
    Answer(Hash, u64, String),
    /// Index, and the record.
    Record(u64, Vec<u8>),
}

impl Statement {
    /// Reads a checkpoint, verdict note or proof of inclusion and verifies it under `key`; signature lines of others are left out.
    ///
    /// # Errors
    /// `checkpoint-form`, `checkpoint-unsigned`; of a proof `proof-fails` too.
    pub fn read(bytes: &[u8], key: &VerifierKey) -> Checked<Statement> {
        if bytes.starts_with(PROOF_FIRST) {
            let mut proof = InclusionProof::parse(bytes)?;
            let head = proof.verify(key)?.head;
            proof.checkpoint = signed_alone(proof.checkpoint.as_bytes(), key)?;
            let says = Says::Record(proof.index, proof.record.clone());
            return Ok(Statement { text: proof.text(), head, says });
        }
        let text = signed_alone(bytes, key)?;
        if let Ok(note) = VerdictNote::parse_signed(text.as_bytes(), key) {
            let signed = Note::parse(text.as_bytes())?.text.to_owned();
            return Ok(Statement { says: Says::Answer(note.pid, note.session, signed), head: note.head_before, text });
        }
        let head = Checkpoint::parse_signed(text.as_bytes(), key)?.head;
        Ok(Statement { text, head, says: Says::Checkpoint })
    }

    /// The head it states: of a proof that of its checkpoint, of a note the one it names.
    pub fn head(&self) -> Head {
        self.head
    }

    /// The text, with the one signature line of its key.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Index and record of a proof of inclusion.
    pub fn record(&self) -> Option<(u64, &[u8])> {
        match &self.says {
            Says::Record(index, record) => Some((*index, record)),
            _ => None,
        }
    }

    /// Paper and session of a verdict note.
    pub fn answer(&self) -> Option<(Hash, u64)> {
        match &self.says {
            Says::Answer(pid, session, _) => Some((*pid, *session)),
            _ => None,
        }
    }

    /// A proof's checkpoint alone; anything else as it is.
    fn of_head(&self, key: &VerifierKey) -> Checked<Statement> {
        match &self.says {
            Says::Record(..) => Statement::read(InclusionProof::parse(self.text.as_bytes())?.checkpoint.as_bytes(), key),
            _ => Ok(self.clone()),
        }
    }
}

/// The note with the one line of `key` that verifies.
fn signed_alone(bytes: &[u8], key: &VerifierKey) -> Checked<String> {
    let note = Note::parse(bytes)?;
    match note.line_by(key) {
        Some(line) => Ok(assemble(note.text, &line)),
        None => Err(note.verify(key).err().unwrap_or_else(|| Fault::new(Rule::CheckpointUnsigned, "no signature of the log key"))),
    }
}

/// In what two statements contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Two roots of one number.
    Head,
    /// Two records at one index.
    Record,
    /// Two answers to one paper in one session.
    Answer,
}

impl Claim {
    /// The word in the file.
    pub fn word(self) -> &'static str {
        match self {
            Claim::Head => "head",
            Claim::Record => "record",
            Claim::Answer => "answer",
        }
    }

    fn from_word(word: &str) -> Option<Claim> {
        [Claim::Head, Claim::Record, Claim::Answer].into_iter().find(|claim| claim.word() == word)
    }

    /// Whether it holds of two statements.
    fn holds(self, a: &Statement, b: &Statement) -> bool {
        match (self, &a.says, &b.says) {
            (Claim::Head, Says::Record(..), _) | (Claim::Head, _, Says::Record(..)) => false,
            (Claim::Head, _, _) => a.head.number == b.head.number && a.head.root != b.head.root,
            (Claim::Record, Says::Record(at, one), Says::Record(index, other)) => at == index && one != other,
            (Claim::Answer, Says::Answer(pid, session, one), Says::Answer(paper, number, other)) => {
                (pid, session) == (paper, number) && one != other
            }
            _ => false,
        }
    }
}

/// Two statements of one log key that cannot both be true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForkProof {
    key: VerifierKey,
    claim: Claim,
    first: Statement,
    second: Statement,
}

impl ForkProof {
    /// The proof that two statements under `key` make, if they contradict each other: by their records, their heads, or their answers.
    ///
    /// # Errors
    /// As [`Statement::read`].
    pub fn of(key: &VerifierKey, a: &Statement, b: &Statement) -> Checked<Option<ForkProof>> {
        let heads = (a.of_head(key)?, b.of_head(key)?);
        for (claim, a, b) in [(Claim::Record, a, b), (Claim::Head, &heads.0, &heads.1), (Claim::Answer, a, b)] {
            if claim.holds(a, b) {
                let (first, second) = if a.text < b.text { (a, b) } else { (b, a) };
                return Ok(Some(ForkProof { key: key.clone(), claim, first: first.clone(), second: second.clone() }));
            }
        }
        Ok(None)
    }

    /// The file.
    pub fn text(&self) -> String {
        let [first, second] = [&self.first, &self.second].map(|statement| encode64(statement.text.as_bytes()));
        format!("{FORK_LINE}\nvkey {}\nclaim {}\nfirst {first}\nsecond {second}\n", self.key, self.claim.word())
    }

    /// Reads the file and verifies all of it under `key`, which came by another way.
    ///
    /// # Errors
    /// `checkpoint-form` naming the line, `checkpoint-unsigned`, and `proof-fails` when the two do not contradict each other as it claims.
    pub fn parse(text: &str, key: &VerifierKey) -> Checked<ForkProof> {
        let mut lines = Lines::new(text, Rule::CheckpointForm);
        lines.exact(FORK_LINE)?;
        let vkey: VerifierKey = lines.parsed("vkey")?;
        if vkey != *key {
            return Err(Fault::new(Rule::CheckpointUnsigned, format!("a proof about the key {vkey}; one about {key} expected")));
        }
        let claim = lines.read("claim", "head, record or answer", Claim::from_word)?;
        let first = lines.read("first", "padded base64", decode64)?;
        let second = lines.read("second", "padded base64", decode64)?;
        lines.end()?;
        let read = |bytes: &[u8], which| Statement::read(bytes, key).map_err(|fault| fault.within(format_args!("the {which} statement")));
        let proof = ForkProof { key: vkey, claim, first: read(&first, "first")?, second: read(&second, "second")? };
        if !claim.holds(&proof.first, &proof.second) {
            let found = format!(
                "statements on {} and {} that do not contradict each other; two different {}s of one matter expected",
                proof.first.head,
                proof.second.head,
                claim.word()
            );
            return Err(Fault::new(Rule::ProofFails, found));
        }
        if proof.first.text >= proof.second.text || proof.text() != text {
            let found = "statements with more than the one signature line, or in descending order; the one form of SPEC 4.10 expected";
            return Err(Fault::new(Rule::CheckpointForm, found));
        }
        Ok(proof)
    }

    /// The two statements of a file that says it is a fork proof, unverified: for gossip, which weighs each by itself.
    pub fn statements_in(bytes: &[u8]) -> Vec<Vec<u8>> {
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let values = ["first ", "second "].into_iter().filter_map(|key| text.lines().find_map(|line| line.strip_prefix(key)));
        values.filter_map(decode64).collect()
    }

    /// In what the two contradict each other.
    pub fn claim(&self) -> Claim {
        self.claim
    }

    /// The statements, in the order of the file.
    pub fn statements(&self) -> [&Statement; 2] {
        [&self.first, &self.second]
    }

    /// The number at which the two part: of the head, the record, or the head the answers name.
    pub fn number(&self) -> u64 {
        self.first.record().map_or(self.first.head.number, |(index, _)| index + 1)
    }
}

/// The signed checkpoint or note inside a text of any kind that carries one: of a proof or catch-up what follows its first empty line.
pub fn note_within(bytes: &[u8]) -> &[u8] {
    let bytes = proof_within(bytes);
    let is_wrapped = bytes.starts_with(PROOF_FIRST) || bytes.starts_with(b"old ");
    if is_wrapped { behind_empty_line(bytes) } else { bytes }
}

/// The proof of inclusion that a proof of a name (SPEC 5.4) ends with; any other text as it is.
pub fn proof_within(bytes: &[u8]) -> &[u8] {
    if bytes.starts_with(NAME_PROOF_FIRST.as_bytes()) { behind_empty_line(bytes) } else { bytes }
}

fn behind_empty_line(bytes: &[u8]) -> &[u8] {
    let at = bytes.windows(2).position(|pair| pair == b"\n\n");
    at.map_or(bytes, |at| &bytes[at + 2..])
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::super::ids::Origin;
    use super::super::note::signature_line;
    use super::super::tree::{Log, leaf_hash};
    use super::*;

    fn origin() -> Origin {
        "witness.example/common".parse().expect("an origin")
    }

    fn signer(byte: u8) -> (SigningKey, VerifierKey) {
        let key = SigningKey::from_bytes(&[byte; 32]);
        let vkey = VerifierKey::new(origin(), key.verifying_key().as_bytes()).expect("a key");
        (key, vkey)
    }

    fn signed(text: &str, by: u8) -> String {
        let (key, vkey) = signer(by);
        assemble(text, &signature_line(vkey.name(), vkey.id(), &key.sign(text.as_bytes()).to_bytes()))
    }

    fn checkpoint(number: u64, root: u8) -> String {
        signed(&Checkpoint { origin: origin(), head: Head { number, root: Hash([root; 32]) } }.text(), 1)
    }

    fn note(paper: u8, session: u64, detail: &str, head: Head) -> String {
        let note = VerdictNote {
            origin: origin(),
            pid: Hash([paper; 32]),
            outcome: Rule::NoRule.outcome(),
            rule: Rule::NoRule,
            head_before: head,
            session,
            policy: Hash([9; 32]),
            detail: detail.into(),
        };
        signed(&note.text().expect("a text"), 1)
    }

    /// The proof of record `at` in a log of these records.
    fn proof(records: &[&[u8]], at: u64) -> String {
        let mut log = Log::default();
        for record in records {
            log.push(leaf_hash(record));
        }
        let hashes = log.inclusion(at, log.size()).expect("a path");
        let checkpoint = signed(&Checkpoint { origin: origin(), head: log.head() }.text(), 1);
        InclusionProof { record: records[at as usize].to_vec(), index: at, hashes, checkpoint }.text()
    }

    fn statement(text: &str) -> Statement {
        Statement::read(text.as_bytes(), &signer(1).1).expect("a statement")
    }

    fn of(a: &str, b: &str) -> Option<ForkProof> {
        ForkProof::of(&signer(1).1, &statement(a), &statement(b)).expect("statements hold")
    }

    fn every_contradiction() -> Vec<(Claim, u64, String, String)> {
        let head = |number, root| Head { number, root: Hash([root; 32]) };
        let (ours, theirs): (&[&[u8]], &[&[u8]]) = (&[b"a", b"b", b"c"], &[b"a", b"B", b"c", b"d"]);
        vec![
            (Claim::Head, 3, checkpoint(3, 1), checkpoint(3, 2)),
            (Claim::Head, 3, checkpoint(3, 1), note(1, 5, "x", head(3, 2))),
            (Claim::Head, 3, note(1, 5, "x", head(3, 1)), note(2, 5, "x", head(3, 2))),
            (Claim::Record, 2, proof(ours, 1), proof(theirs, 1)),
            // The same record, under two roots of one number.
            (Claim::Head, 3, proof(ours, 0), proof(&[b"a", b"b", b"C"], 0)),
            (Claim::Head, 3, proof(ours, 0), checkpoint(3, 7)),
            (Claim::Answer, 3, note(1, 5, "x", head(3, 1)), note(1, 5, "y", head(3, 1))),
        ]
    }

    #[test]
    fn two_statements_that_cannot_both_be_true_make_one_proof_in_either_order() {
        for (claim, number, a, b) in every_contradiction() {
            let proof = of(&a, &b).expect("a contradiction");
            assert_eq!((proof.claim(), proof.number()), (claim, number), "{a}{b}");
            assert_eq!(of(&b, &a), Some(proof.clone()));
            assert_eq!(ForkProof::parse(&proof.text(), &signer(1).1), Ok(proof));
        }
    }

    #[test]
    fn what_can_both_be_true_is_no_fork() {
        let head = Head { number: 3, root: Hash([1; 32]) };
        let ours: &[&[u8]] = &[b"a", b"b", b"c"];
        for (a, b) in [
            (checkpoint(3, 1), checkpoint(3, 1)),
            (checkpoint(3, 1), checkpoint(4, 2)),
            (checkpoint(3, 1), note(1, 5, "x", head)),
            (note(1, 5, "x", head), note(1, 6, "y", head)),
            (note(1, 5, "x", head), note(2, 5, "y", head)),
            (proof(ours, 0), proof(ours, 1)),
            (proof(&ours[..2], 0), proof(ours, 0)),
        ] {
            assert_eq!(of(&a, &b), None, "{a}{b}");
        }
    }

    #[test]
    fn a_proof_with_any_byte_flipped_or_lines_of_another_key_is_refused() {
        let key = signer(1).1;
        for (_, _, a, b) in every_contradiction() {
            let text = of(&a, &b).expect("a contradiction").text();
            assert!(ForkProof::parse(&text, &signer(2).1).is_err());
            for at in 0..text.len() {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1;
                let flipped = String::from_utf8(bytes);
                assert!(flipped.is_err() || flipped.is_ok_and(|text| ForkProof::parse(&text, &key).is_err()), "byte {at} of {text}");
            }
        }
    }

    #[test]
    fn a_proof_has_one_form_and_only_the_claim_that_holds() {
        let key = signer(1).1;
        let text = |claim: &str, first: &str, second: &str| {
            format!(
                "{FORK_LINE}\nvkey {key}\nclaim {claim}\nfirst {}\nsecond {}\n",
                encode64(first.as_bytes()),
                encode64(second.as_bytes())
            )
        };
        let mut pair = [checkpoint(3, 1), checkpoint(3, 2)];
        pair.sort();
        let [first, second] = &pair;
        let rule = |text: &str| ForkProof::parse(text, &key).map(|proof| proof.claim()).map_err(|fault| fault.rule);
        assert_eq!(rule(&text("head", first, second)), Ok(Claim::Head));
        assert_eq!(rule(&text("head", second, first)), Err(Rule::CheckpointForm));
        assert_eq!(rule(&text("record", first, second)), Err(Rule::ProofFails));
        assert_eq!(rule(&text("answer", first, second)), Err(Rule::ProofFails));
        assert_eq!(rule(&text("head", first, first)), Err(Rule::ProofFails));
        assert_eq!(rule(&text("other", first, second)), Err(Rule::CheckpointForm));
        assert_eq!(rule(&(text("head", first, second) + "\n")), Err(Rule::CheckpointForm));
        let by_another = signed(&Checkpoint { origin: origin(), head: Head { number: 3, root: Hash([3; 32]) } }.text(), 2);
        assert_eq!(rule(&text("head", first, &by_another)), Err(Rule::CheckpointUnsigned));
        // A cosignature is true, and would be a place to change a byte in.
        let (_, other) = signer(2);
        let cosigned = format!("{second}{}", signature_line(other.name(), other.id(), &[7; 64]));
        assert_eq!(rule(&text("head", first, &cosigned)), Err(Rule::CheckpointForm));
        assert_eq!(of(first, &cosigned), of(first, second));
    }

    #[test]
    fn the_note_within_a_proof_or_catch_up_is_its_checkpoint() {
        let plain = checkpoint(3, 1);
        assert_eq!(note_within(plain.as_bytes()), plain.as_bytes());
        assert_eq!(note_within(format!("old 2\nAAAA\n\n{plain}").as_bytes()), plain.as_bytes());
        let ours: &[&[u8]] = &[b"a"];
        assert!(note_within(proof(ours, 0).as_bytes()).starts_with(b"witness.example/common\n1\n"));
        let proof = of(&checkpoint(3, 1), &checkpoint(3, 2)).expect("a fork").text();
        assert_eq!(ForkProof::statements_in(proof.as_bytes()).len(), 2);
    }
}

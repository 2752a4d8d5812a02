//! `verify A B` and `verify FORKPROOF`: one history or two, and the proof of two that anyone can check.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::core::fork::{Claim, ForkProof, Statement};
use crate::core::note::VerifierKey;
use crate::core::rules::{Fault, Rule};
use crate::run::compare::{Comparison, check_proof, compare, default_path, paper_of};
use crate::run::consumer::read_pin;
use crate::run::files::{read, write_bytes};
use crate::run::problem::{Exit, Outcomes, Problem};
use crate::run::words;

use super::facts::{self, Head};
use super::output::{Answer, Output, Page};

/// Under which key: the one given, or the pin's.
pub fn key_of(vkey: Option<&VerifierKey>, pin: &Path) -> Outcomes<VerifierKey> {
    match vkey {
        Some(vkey) => Ok(vkey.clone()),
        None => Ok(read_pin(pin)
            .map_err(|fault| Problem::from(fault).advising("name the pin of this Common with --pin, or the witness's log key with --vkey"))?
            .vkey),
    }
}

/// Two things of one history.
#[derive(Serialize)]
#[serde(tag = "kind", rename = "consistent")]
struct Consistent {
    /// The Common.
    origin: String,
    /// The log key.
    vkey: String,
    /// The oldest head of the two.
    oldest: Head,
    /// The newest; the same when both are at one.
    newest: Head,
    /// Heads that were compared, each signed.
    heads: usize,
    /// Hashes that lead from each to the next.
    hashes: usize,
}

impl Answer for Consistent {
    fn say(&self, page: &mut Page) {
        let Consistent { origin, vkey, oldest, newest, .. } = self;
        if self.heads == 1 {
            page.line(format!("consistent both are at {newest} of {origin}"));
            return page.labelled("checked", format!("the signatures by {vkey}"));
        }
        page.line(format!("consistent {oldest} and {newest} are one history of {origin}"));
        let (heads, hashes) = (words::count(self.heads, "head"), words::count(self.hashes, "hash"));
        page.labelled("checked", format!("{heads}, each signed by {vkey}, and {hashes} that lead from each to the next"));
    }
}

/// Two histories under one key.
#[derive(Serialize)]
#[serde(tag = "kind", rename = "fork")]
struct Fork {
    /// The Common.
    origin: String,
    /// The key that signed both.
    vkey: String,
    /// The number at which they part.
    number: u64,
    /// In what the two contradict each other: `head`, `record` or `answer`.
    claim: &'static str,
    /// One that was signed.
    first: Signed,
    /// The other.
    second: Signed,
    /// Where the proof was written; absent when it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
}

/// One of two statements that cannot both be true.
#[derive(Serialize)]
struct Signed {
    /// The head it states or names.
    head: Head,
    /// Of a record: its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    /// The paper, where one is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    paper: Option<String>,
    /// Of an answer: its session.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<u64>,
    /// The same in words.
    words: String,
}

impl Fork {
    fn of(proof: &ForkProof, key: &VerifierKey, file: Option<&Path>) -> Fork {
        let [first, second] = proof.statements().map(|statement| Signed::of(proof.claim(), statement));
        Fork {
            origin: key.name().to_string(),
            vkey: key.to_string(),
            number: proof.number(),
            claim: proof.claim().word(),
            first,
            second,
            file: file.map(|file| file.display().to_string()),
        }
    }
}

impl Signed {
    fn of(claim: Claim, statement: &Statement) -> Signed {
        let record = statement.record().map(|(index, _)| index + 1);
        let answer = statement.answer();
        Signed {
            head: (&statement.head()).into(),
            number: record,
            paper: paper_of(statement).or(answer.map(|(pid, _)| pid)).as_ref().map(facts::sha256),
            session: answer.map(|(_, session)| session),
            words: says(claim, statement),
        }
    }
}

impl Answer for Fork {
    fn say(&self, page: &mut Page) {
        let Fork { origin, vkey, number, .. } = self;
        page.labelled("FORK", format!("one key of {origin} signed two histories, which part at common@{number}"));
        page.labelled("first", &self.first.words);
        page.labelled("second", &self.second.words);
        page.labelled("key", vkey);
        page.labelled(
            "means",
            "a copy of the desk's disk went on by itself, or the key is in other hands: advance to neither, and call the custodians",
        );
        if let Some(file) = &self.file {
            page.labelled("wrote", format!("{file}: keep it, and show it to the custodians and to everyone who uses this Common"));
            page.labelled("check", format!("tabellion verify {file} --vkey {vkey}"));
        }
    }
}

/// Compares two.
pub fn verify_two(a: &Path, b: &Path, key: &VerifierKey, to: Option<&PathBuf>, out: &mut Output) -> Outcomes<Exit> {
    match compare(a, b, key)? {
        Comparison::Consistent { heads, hashes } => {
            if let (Some(first), Some(last)) = (heads.first(), heads.last()) {
                out.give(&Consistent {
                    origin: key.name().to_string(),
                    vkey: key.to_string(),
                    oldest: first.into(),
                    newest: last.into(),
                    heads: heads.len(),
                    hashes,
                });
            }
            Ok(Exit::Done)
        }
        Comparison::Fork(proof) => {
            let path = to.cloned().unwrap_or_else(|| default_path(&proof));
            let written = write_proof(&path, &proof.text(), "--out");
            // A proof that found no place is told all the same: what it shows does not depend on where it lies.
            out.give(&Fork::of(&proof, key, Some(path.as_path()).filter(|_| written.is_ok())));
            written.map(|()| Exit::Differs)
        }
    }
}

/// Checks a fork proof alone.
pub fn verify_proof(path: &Path, bytes: &[u8], key: &VerifierKey, out: &mut Output) -> Outcomes<Exit> {
    let refused = |fault: Fault| Problem {
        state: "nothing was written; this file proves nothing against the witness".into(),
        ..Problem::from(fault.within(path.display()))
            .advising("get the proof again from whoever made it; a genuine one verifies under the witness's key")
    };
    let proof = check_proof(bytes, key).map_err(refused)?;
    out.give(&Fork::of(&proof, key, None));
    Ok(Exit::Differs)
}

fn says(claim: Claim, statement: &Statement) -> String {
    let head = statement.head();
    match (claim, statement.record(), statement.answer()) {
        (Claim::Record, Some((index, _)), _) => {
            let paper = paper_of(statement).map_or("another record".into(), |pid| format!("paper {pid}"));
            format!("common@{} is {paper}, proved in {}", index + 1, words::head(&head))
        }
        (Claim::Answer, _, Some((pid, session))) => {
            let answer = statement.text().lines().nth(2).unwrap_or_default().to_owned();
            format!("paper {pid} got {answer} in session {session}")
        }
        (_, _, Some((pid, _))) => format!("{head}, named in the note on paper {}", pid.tiny()),
        _ => head.to_string(),
    }
}

/// Writes the proof where `option` says, never over something else; the same proof again is no fault.
pub fn write_proof(path: &Path, text: &str, option: &str) -> Outcomes<()> {
    if path.exists() {
        if read(path)? == text.as_bytes() {
            return Ok(());
        }
        let found = format!("{} is there and holds something else; the proof of the fork was to go there", path.display());
        return Err(Problem::from(Fault::new(Rule::Exists, found))
            .advising(format!("give another place with {option}; the fork stands as shown above")));
    }
    write_bytes(path, text.as_bytes())?;
    Ok(())
}

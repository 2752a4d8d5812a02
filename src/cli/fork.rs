//! `verify A B` and `verify FORKPROOF`: one history or two, and the proof of two that anyone can check.

use std::path::{Path, PathBuf};

use crate::core::fork::{Claim, ForkProof, Statement};
use crate::core::ids::Head;
use crate::core::note::VerifierKey;
use crate::core::rules::{Fault, Rule};
use crate::run::compare::{Comparison, check_proof, compare, default_path, paper_of};
use crate::run::consumer::read_pin;
use crate::run::files::{read, write_bytes};
use crate::run::problem::{Exit, Outcomes, Problem};
use crate::run::words;

use super::output::Output;

/// Under which key: the one given, or the pin's.
pub fn key_of(vkey: Option<&VerifierKey>, pin: &Path) -> Outcomes<VerifierKey> {
    match vkey {
        Some(vkey) => Ok(vkey.clone()),
        None => Ok(read_pin(pin)
            .map_err(|fault| Problem::from(fault).advising("name the pin of this Common with --pin, or the witness's log key with --vkey"))?
            .vkey),
    }
}

/// Compares two.
pub fn verify_two(a: &Path, b: &Path, key: &VerifierKey, to: Option<&PathBuf>, out: &mut Output) -> Outcomes<Exit> {
    match compare(a, b, key)? {
        Comparison::Consistent { heads, hashes } => {
            consistent(&heads, hashes, key, out);
            Ok(Exit::Done)
        }
        Comparison::Fork(proof) => {
            show(&proof, key, out);
            let path = to.cloned().unwrap_or_else(|| default_path(&proof));
            write_new(&path, &proof.text())?;
            out.line(format!("wrote    {}: keep it, and show it to the custodians and to everyone who uses this Common", path.display()));
            out.line(format!("check    tabellion verify {} --vkey {key}", path.display()));
            Ok(Exit::Differs)
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
    show(&proof, key, out);
    Ok(Exit::Differs)
}

fn consistent(heads: &[Head], hashes: usize, key: &VerifierKey, out: &mut Output) {
    let (first, last) = (heads.first(), heads.last());
    match (first, last) {
        (Some(first), Some(last)) if heads.len() > 1 => {
            out.line(format!("consistent {} and {} are one history of {}", words::head(first), words::head(last), key.name()));
            out.line(format!(
                "checked  {}, each signed by {key}, and {} that lead from each to the next",
                words::count(heads.len(), "head"),
                words::count(hashes, "hash")
            ));
        }
        (Some(only), _) => {
            out.line(format!("consistent both are at {} of {}", words::head(only), key.name()));
            out.line(format!("checked  the signatures by {key}"));
        }
        _ => {}
    }
}

fn show(proof: &ForkProof, key: &VerifierKey, out: &mut Output) {
    out.line(format!("FORK     one key of {} signed two histories, which part at common@{}", key.name(), proof.number()));
    for (which, statement) in ["first", "second"].into_iter().zip(proof.statements()) {
        out.line(format!("{which:8} {}", says(proof.claim(), statement)));
    }
    out.line(format!("key      {key}"));
    out.line(
        "means    a copy of the desk's disk went on by itself, or the key is in other hands: advance to neither, and call the custodians",
    );
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

/// Never over something else; the same proof again is no fault.
fn write_new(path: &Path, text: &str) -> Outcomes<()> {
    if path.exists() {
        if read(path)? == text.as_bytes() {
            return Ok(());
        }
        let found = format!("{} is there and holds something else; the proof of the fork was to go there", path.display());
        return Err(
            Problem::from(Fault::new(Rule::Exists, found)).advising("give another place with --out; the fork stands as shown above")
        );
    }
    write_bytes(path, text.as_bytes())?;
    Ok(())
}

//! What a proposer may expect of a paper: the preview's answer, kept at home beside the paper until its receipt comes (SPEC 8.8).
//!
//! It is a note to oneself: never signed, never brought anywhere, and of no use to prove anything.

use super::ids::{Hash, Head, Pid};
use super::limits::SESSION_PAPERS_MAX;
use super::lines::{Lines, encode64, with_sum};
use super::payload::Ruling;
use super::plan::Plan;
use super::rules::{Checked, Rule};

/// The answer that a paper would get, if nothing else came before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The head of the published folder from which it was foreseen.
    pub base: Head,
    /// The session in which it would be judged.
    pub session: u64,
    /// `accepted`, or `<outcome> <rule>`.
    pub verdict: String,
    /// The number it would become, and the state root after it.
    pub becomes: Option<(u64, Hash)>,
    /// The papers that would be accepted before it.
    pub ahead: Vec<Pid>,
}

impl Expected {
    /// What a plan says of one of its papers.
    pub fn of(plan: &Plan, ruling: &Ruling) -> Expected {
        let before = plan.rulings().iter().take_while(|other| other.pid != ruling.pid);
        Expected {
            base: plan.opened().before,
            session: plan.opened().session,
            verdict: ruling.verdict.line(),
            becomes: ruling.record.as_ref().map(|record| (record.number, record.state_root)),
            ahead: before.filter(|other| other.record.is_some()).map(|other| other.pid).collect(),
        }
    }

    /// The file; the last line is a checksum of those before it.
    pub fn text(&self) -> String {
        let becomes = self.becomes.map_or(String::new(), |(number, root)| format!("number {number}\nstate sha256:{root}\n"));
        let ahead: String = self.ahead.iter().map(|pid| format!("ahead sha256:{pid}\n")).collect();
        with_sum(format!(
            "tabellion-expected v1\nbase {}\nroot {}\nsession {}\nverdict {}\n{becomes}papers {}\n{ahead}",
            self.base.number,
            encode64(&self.base.root.0),
            self.session,
            self.verdict,
            self.ahead.len(),
        ))
    }

    /// Reads the file.
    ///
    /// # Errors
    /// `file-fault` naming the line.
    pub fn parse(text: &str) -> Checked<Expected> {
        let mut lines = Lines::new(text, Rule::FileFault);
        lines.exact("tabellion-expected v1")?;
        let base = Head { number: lines.number("base")?, root: lines.hash64("root")? };
        let session = lines.number("session")?;
        let verdict = lines.value("verdict")?.to_owned();
        let becomes = match verdict.as_str() {
            "accepted" => Some((lines.number("number")?, lines.hash_named("state")?)),
            _ => None,
        };
        let count = lines.number("papers")?;
        if count > SESSION_PAPERS_MAX {
            return Err(lines.fault(format!("found {count} papers; {SESSION_PAPERS_MAX} at most")));
        }
        let ahead = (0..count).map(|_| lines.hash_named("ahead")).collect::<Checked<_>>()?;
        lines.sum()?;
        Ok(Expected { base, session, verdict, becomes, ahead })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> Expected {
        Expected {
            base: Head { number: 6, root: Hash([2; 32]) },
            session: 4,
            verdict: "accepted".into(),
            becomes: Some((8, Hash([3; 32]))),
            ahead: vec![Hash([4; 32])],
        }
    }

    #[test]
    fn text_is_that_of_spec_8_8_and_comes_back() {
        let lines = format!(
            "tabellion-expected v1\nbase 6\nroot AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\nsession 4\nverdict accepted\nnumber 8\n\
             state sha256:{}\npapers 1\nahead sha256:{}\n",
            "03".repeat(32),
            "04".repeat(32)
        );
        assert_eq!(expected().text(), format!("{lines}sum sha256:{}\n", Hash::of(lines.as_bytes())));
        assert_eq!(Expected::parse(&expected().text()), Ok(expected()));
        let waits = Expected { verdict: "pending threshold-not-met".into(), becomes: None, ahead: Vec::new(), ..expected() };
        assert_eq!(Expected::parse(&waits.text()), Ok(waits));
    }

    #[test]
    fn another_text_is_refused_with_its_line() {
        let good = expected().text();
        for (line, from, to) in [(1, "v1", "v2"), (5, "verdict ", "verdict"), (6, "number 8", "number 08"), (10, "number 8", "number 9")] {
            let fault = Expected::parse(&good.replacen(from, to, 1)).unwrap_err();
            assert_eq!((fault.rule, fault.found.split(':').next()), (Rule::FileFault, Some(format!("line {line}").as_str())), "{fault}");
        }
        assert!(Expected::parse(&good[..good.len() - 1]).is_err());
    }
}

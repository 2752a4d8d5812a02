//! Verdicts and notices: what a paper is answered (SPEC 4.7, 4.8), and the details they show.

use super::ids::{Hash, Name};
use super::limits::DETAIL_BYTES_MAX;
use super::rules::{Checked, Fault, Outcome, Rule};

/// A value longer than this is shown as its hash (SPEC 4.7).
const VALUE_BYTES_MAX: usize = 64;

/// The answer to a paper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It became a number of Common.
    Accepted,
    /// Refused (final), pending or deferred (held), as the rule's outcome says, with the compared values.
    Broken(Rule, Detail),
}

impl Verdict {
    /// Whether nothing can change it any more.
    pub fn is_final(&self) -> bool {
        matches!(self.outcome(), None | Some(Outcome::Refused))
    }

    /// Outcome of the rule; none when accepted.
    pub fn outcome(&self) -> Option<Outcome> {
        match self {
            Verdict::Accepted => None,
            Verdict::Broken(rule, _) => Some(rule.outcome()),
        }
    }

    /// The rule; none when accepted.
    pub fn rule(&self) -> Option<Rule> {
        match self {
            Verdict::Accepted => None,
            Verdict::Broken(rule, _) => Some(*rule),
        }
    }

    /// `accepted`, `refused`, `pending` or `deferred`.
    pub fn word(&self) -> &'static str {
        self.outcome().map_or("accepted", Outcome::word)
    }

    /// The detail; empty when accepted.
    pub fn detail(&self) -> &str {
        match self {
            Verdict::Accepted => "",
            Verdict::Broken(_, detail) => detail.as_str(),
        }
    }

    /// `accepted`, or `<outcome> <rule>`: the text in a sessions file (SPEC 8.3).
    pub fn line(&self) -> String {
        match self {
            Verdict::Accepted => "accepted".into(),
            Verdict::Broken(rule, _) => format!("{} {rule}", self.word()),
        }
    }

    /// The verdict of these texts.
    ///
    /// # Errors
    /// `payload-shape` when word and rule do not belong together, or the detail is not of its form.
    pub fn from_texts(word: &str, rule: &str, detail: &str) -> Checked<Verdict> {
        let fault =
            || Fault::new(Rule::PayloadShape, format!("verdict {word:?} with rule {rule:?} found; a verdict of section 10 expected"));
        if word == "accepted" {
            return if rule.is_empty() && detail.is_empty() { Ok(Verdict::Accepted) } else { Err(fault()) };
        }
        let rule = Rule::from_id(rule).filter(|rule| rule.outcome().word() == word).ok_or_else(fault)?;
        if !matches!(rule.outcome(), Outcome::Refused | Outcome::Pending | Outcome::Deferred) {
            return Err(fault());
        }
        Ok(Verdict::Broken(rule, Detail::parse(detail)?))
    }
}

/// The compared values of a verdict: 1 to 200 bytes of `[a-z0-9._/:+-]` and single spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail(String);

impl Detail {
    /// Joins words that obey the alphabet; what does not fit into 200 bytes is left out, whole words at a time.
    ///
    /// A word outside the alphabet, or longer than 64 bytes, is shown as its hash, so that a detail can always be made.
    pub fn of(words: &[&str]) -> Detail {
        let mut text = String::new();
        for word in words {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._/:+-".contains(&b);
            let fits = (1..=VALUE_BYTES_MAX).contains(&word.len()) && word.bytes().all(plain);
            let word = if fits { (*word).to_owned() } else { Hash::of(word.as_bytes()).short() };
            if text.len() + 1 + word.len() > DETAIL_BYTES_MAX {
                break;
            }
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&word);
        }
        Detail(text)
    }

    /// A detail as it stands in a note.
    ///
    /// # Errors
    /// `payload-shape` when it is not of the form.
    pub fn parse(text: &str) -> Checked<Detail> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._/:+-".contains(&b);
        let words = text.split(' ').all(|word| !word.is_empty() && word.bytes().all(plain));
        if words && text.len() <= DETAIL_BYTES_MAX {
            return Ok(Detail(text.to_owned()));
        }
        Err(Fault::new(
            Rule::PayloadShape,
            format!("detail of {} bytes found; 1 to {DETAIL_BYTES_MAX} of [a-z0-9._/:+-] and single spaces expected", text.len()),
        ))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `name <name>` with `found <found> expected <expected>`: the commonest detail.
pub fn found_expected(name: Option<&Name>, found: &str, expected: &str) -> Detail {
    match name {
        Some(name) => Detail::of(&["name", name.as_str(), "found", found, "expected", expected]),
        None => Detail::of(&["found", found, "expected", expected]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detail_shortens_long_and_foreign_words_and_stays_within_its_bound() {
        assert_eq!(Detail::of(&["name", "tools/editor"]).as_str(), "name tools/editor");
        let long = "a".repeat(65);
        assert_eq!(Detail::of(&["name", &long]).as_str(), format!("name {}", Hash::of(long.as_bytes()).short()));
        assert!(Detail::of(&["Größe\n"]).as_str().starts_with("sha256:"));
        let many = Detail::of(&["missing"; 40]);
        assert!(many.as_str().len() <= 200 && Detail::parse(many.as_str()).is_ok());
    }

    #[test]
    fn verdict_words_belong_to_their_rules() {
        assert!(Verdict::from_texts("accepted", "", "").is_ok());
        assert!(Verdict::from_texts("refused", "no-effect", "name a").is_ok());
        assert!(Verdict::from_texts("pending", "no-effect", "name a").is_err());
        assert!(Verdict::from_texts("refused", "cbor-form", "offset 1").is_err());
        assert!(Verdict::from_texts("accepted", "no-effect", "").is_err());
    }
}

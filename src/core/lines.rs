//! Text formats of one `<key> <value>` a line: pins, head files, verdict notes and proofs read and write through this file.
//!
//! Each text has one form: lines end in a newline, one space stands after the key, numbers are those of SPEC 1.4, base64 is standard,
//! padded and canonical.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::ids::{Hash, parse_decimal};
use super::rules::{Checked, Fault, Rule};

/// Most characters of a line that a message repeats.
const SHOWN_CHARS_MAX: usize = 80;

/// Standard base64 with padding.
pub(super) fn encode64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes of standard base64 with padding; `None` for any other form, such as one whose unused last bits are not zero.
pub(super) fn decode64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// 32 bytes of standard base64.
pub(super) fn hash64(text: &str) -> Option<Hash> {
    Hash::from_slice(&decode64(text)?)
}

/// `text` followed by `sum sha256:<hex of SHA-256 of text>`.
pub(super) fn with_sum(mut text: String) -> String {
    let sum = Hash::of(text.as_bytes());
    text.push_str(&format!("sum sha256:{sum}\n"));
    text
}

/// Reads a text line by line; every fault has the rule given and names the line.
pub(super) struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    rule: Rule,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str, rule: Rule) -> Lines<'a> {
        Lines { text, at: 0, line: 0, rule }
    }

    /// A fault at the line read last.
    pub(super) fn fault(&self, reason: impl std::fmt::Display) -> Fault {
        Fault::new(self.rule, format!("line {}: {reason}", self.line))
    }

    /// A fault at the line read last that shows what was found there.
    pub(super) fn unlike(&self, found: &str, expected: &str) -> Fault {
        let shown: String = found.chars().take(SHOWN_CHARS_MAX).collect();
        self.fault(format!("found {shown:?}; expected {expected}"))
    }

    /// The next line without its newline.
    pub(super) fn line(&mut self, expected: &str) -> Checked<&'a str> {
        self.line += 1;
        let rest = &self.text[self.at..];
        let Some(end) = rest.find('\n') else {
            return Err(match rest {
                "" => self.fault(format!("found the end of the text; expected {expected}")),
                _ => self.fault(format!("found no newline at its end; expected {expected}")),
            });
        };
        self.at += end + 1;
        Ok(&rest[..end])
    }

    /// The next line, which is `expected`.
    pub(super) fn exact(&mut self, expected: &str) -> Checked<()> {
        let line = self.line(expected)?;
        if line == expected { Ok(()) } else { Err(self.unlike(line, expected)) }
    }

    /// The value of the next line, which is `<key> <value>`.
    pub(super) fn value(&mut self, key: &str) -> Checked<&'a str> {
        let line = self.line(key)?;
        let value = line.strip_prefix(key).and_then(|rest| rest.strip_prefix(' '));
        value.ok_or_else(|| self.unlike(line, &format!("{key} and a value")))
    }

    /// As [`Lines::value`], read by `read`; `what` says what it reads.
    pub(super) fn read<T>(&mut self, key: &str, what: &str, read: impl FnOnce(&'a str) -> Option<T>) -> Checked<T> {
        let value = self.value(key)?;
        read(value).ok_or_else(|| self.unlike(value, &format!("{key} to be {what}")))
    }

    /// A decimal number.
    pub(super) fn number(&mut self, key: &str) -> Checked<u64> {
        self.read(key, "a number without sign or leading zero, at most 2^53 - 1", parse_decimal)
    }

    /// A hash in base64.
    pub(super) fn hash64(&mut self, key: &str) -> Checked<Hash> {
        self.read(key, "32 bytes of padded base64", hash64)
    }

    /// A hash in lower-case hex.
    pub(super) fn hash_hex(&mut self, key: &str) -> Checked<Hash> {
        self.read(key, "64 lower-case hex digits", Hash::from_hex)
    }

    /// A hash in lower-case hex after `sha256:`.
    pub(super) fn hash_named(&mut self, key: &str) -> Checked<Hash> {
        self.read(key, "sha256: and 64 lower-case hex digits", |text| Hash::from_hex(text.strip_prefix("sha256:")?))
    }

    /// What has a rule of its own for its form; its fault becomes one of this text.
    pub(super) fn parsed<T: std::str::FromStr<Err = Fault>>(&mut self, key: &str) -> Checked<T> {
        let value = self.value(key)?;
        value.parse().map_err(|fault: Fault| self.fault(format!("{key}: {}", fault.found)))
    }

    /// Hashes in base64, one a line, up to and with an empty line; more than `most` are refused.
    pub(super) fn hashes(&mut self, most: usize) -> Checked<Vec<Hash>> {
        let mut hashes = Vec::new();
        loop {
            let line = self.line("a hash or an empty line")?;
            if line.is_empty() {
                return Ok(hashes);
            }
            if hashes.len() == most {
                return Err(self.fault(format!("found more hashes than a proof has; expected at most {most}")));
            }
            hashes.push(hash64(line).ok_or_else(|| self.unlike(line, "32 bytes of padded base64"))?);
        }
    }

    /// The line `sum sha256:<hex>` over all lines before it, and the end of the text.
    pub(super) fn sum(&mut self) -> Checked<()> {
        let expected = Hash::of(&self.text.as_bytes()[..self.at]);
        let found = self.hash_named("sum")?;
        if found != expected {
            return Err(self.fault(format!("found sum {found}; expected {expected}")));
        }
        self.end()
    }

    /// What has not been read.
    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// The end of the text.
    pub(super) fn end(&self) -> Checked<()> {
        match self.rest().len() {
            0 => Ok(()),
            more => Err(self.fault(format!("found {more} bytes after it; expected the end of the text"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_has_one_form() {
        assert_eq!(decode64("AQ=="), Some(vec![1]));
        // The unused bits of the last digit are not zero; no padding; the URL alphabet; white space.
        for bad in ["AR==", "AQ=", "AQ", "-_8=", "AQ==\n", " AQ==", "A Q=="] {
            assert_eq!(decode64(bad), None, "{bad:?}");
        }
        assert_eq!(hash64(&encode64(&[7; 32])), Some(Hash([7; 32])));
        assert_eq!(hash64(&encode64(&[7; 31])), None);
    }

    #[test]
    fn faults_name_the_line_and_show_what_was_found() {
        let mut lines = Lines::new("a 1\nb +5\n", Rule::PinForm);
        assert_eq!(lines.number("a"), Ok(1));
        let fault = lines.number("b").unwrap_err();
        assert_eq!(fault.rule, Rule::PinForm);
        assert!(fault.found.starts_with("line 2: found \"+5\"; expected b to be a number"), "{fault}");
        assert_eq!(lines.line("c").unwrap_err().found, "line 3: found the end of the text; expected c");
        assert!(Lines::new("a 1", Rule::PinForm).number("a").is_err());
        assert!(Lines::new("a  1\n", Rule::PinForm).number("a").is_err());
        assert!(Lines::new("a1\n", Rule::PinForm).number("a").is_err());
        assert!(Lines::new("a 1\r\n", Rule::PinForm).number("a").is_err());
    }

    #[test]
    fn sum_covers_all_lines_before_and_nothing_follows() {
        let text = with_sum("a 1\n".into());
        // printf 'a 1\n' | sha256sum
        assert_eq!(text, "a 1\nsum sha256:6a03830a1811a4a0f43d6bf891c9461728aa0f1b49f389fcdc8b36e67e6560c2\n");
        let read = |text: &str| {
            let mut lines = Lines::new(text, Rule::PinForm);
            lines.number("a")?;
            lines.sum()
        };
        read(&text).unwrap();
        assert!(read(&text.replace("a 1", "a 2")).unwrap_err().found.starts_with("line 2: found sum 6a03"));
        assert!(read(&format!("{text}\n")).is_err());
    }
}

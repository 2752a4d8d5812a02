//! The pin: what a consumer knows for certain about a log, kept in a small text file (SPEC 8.2).

use super::ids::{Hash, Head, Origin};
use super::lines::{Lines, encode64, with_sum};
use super::note::VerifierKey;
use super::rules::{Checked, Rule};

/// A head that was verified, and the keys that can continue it.
///
/// # Source
/// SPEC 8.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The log.
    pub origin: Origin,
    /// The newest head that was verified.
    pub head: Head,
    /// The log key in force there; its name is the origin.
    pub vkey: VerifierKey,
    /// SHA-256 of the next log public key, 32 raw bytes.
    pub next: Hash,
    /// Root of size 1, compared at first contact.
    pub fingerprint: Hash,
}

impl Pin {
    /// The file: eight lines, the last a checksum of those before it.
    pub fn text(&self) -> String {
        with_sum(format!(
            "tabellion-pin v1\norigin {}\nnumber {}\nroot {}\nvkey {}\nnext {}\nfingerprint {}\n",
            self.origin,
            self.head.number,
            encode64(&self.head.root.0),
            self.vkey,
            self.next,
            self.fingerprint
        ))
    }

    /// Reads the file.
    ///
    /// # Errors
    /// `pin-form` naming the line: a missing, changed or additional one, another order, a wrong checksum, or a key whose name is not the
    /// origin.
    pub fn parse(text: &str) -> Checked<Pin> {
        let mut lines = Lines::new(text, Rule::PinForm);
        lines.exact("tabellion-pin v1")?;
        let origin: Origin = lines.parsed("origin")?;
        let head = Head { number: lines.number("number")?, root: lines.hash64("root")? };
        let vkey: VerifierKey = lines.parsed("vkey")?;
        if *vkey.name() != origin {
            return Err(lines.fault(format!("found vkey of {}; expected one of the origin {origin}", vkey.name())));
        }
        let next = lines.hash_hex("next")?;
        let fingerprint = lines.hash_hex("fingerprint")?;
        lines.sum()?;
        Ok(Pin { origin, head, vkey, next, fingerprint })
    }
}

#[cfg(test)]
mod tests {
    use super::super::note::tests::{origin, verifier};
    use super::*;

    fn pin() -> Pin {
        let head = Head { number: 41, root: Hash([2; 32]) };
        Pin { origin: origin(), head, vkey: verifier(1), next: Hash([4; 32]), fingerprint: Hash([5; 32]) }
    }

    /// The lines with a checksum that fits them, so that only the line itself can be at fault.
    fn mended(text: &str) -> String {
        with_sum(text[..text.find("sum ").unwrap()].to_owned())
    }

    #[test]
    fn text_is_that_of_spec_8_2() {
        let lines = format!(
            "tabellion-pin v1\norigin witness.example/common\nnumber 41\nroot AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\nvkey {}\n\
             next {}\nfingerprint {}\n",
            verifier(1),
            "04".repeat(32),
            "05".repeat(32)
        );
        let sum = Hash::of(lines.as_bytes());
        assert_eq!(pin().text(), format!("{lines}sum sha256:{sum}\n"));
        assert_eq!(Pin::parse(&pin().text()).unwrap(), pin());
    }

    #[test]
    fn each_line_has_one_form_and_the_fault_names_it() {
        let good = pin().text();
        for (line, from, to) in [
            (1, "pin v1", "pin v2"),
            (2, "origin witness", "origin Witness"),
            (2, "origin ", "origin  "),
            (3, "number 41", "number +41"),
            (3, "number 41", "number 041"),
            (3, "number 41\n", ""),
            (4, "AgI=\n", "AgJ=\n"),
            (5, "vkey witness", "vkey stranger"),
            (6, "next 04", "next 4"),
            (6, "next ", "nextt "),
            (7, "fingerprint 05", "fingerprint 0g"),
            (7, "fingerprint 05", "note x\nfingerprint 05"),
        ] {
            let bad = mended(&good.replacen(from, to, 1));
            assert_ne!(bad, good, "{from:?} is not in the text");
            let fault = Pin::parse(&bad).unwrap_err();
            assert_eq!((fault.rule, fault.found.split(':').next()), (Rule::PinForm, Some(format!("line {line}").as_str())), "{fault}");
        }
        for bad in ["".to_owned(), good.trim_end().to_owned(), format!("{good}\n"), good.replace('\n', "\r\n"), format!("\u{feff}{good}")] {
            assert_eq!(Pin::parse(&bad).unwrap_err().rule, Rule::PinForm);
        }
    }

    #[test]
    fn a_changed_value_breaks_the_sum() {
        let fault = Pin::parse(&pin().text().replace("number 41", "number 42")).unwrap_err();
        assert!(fault.found.starts_with("line 8: found sum "), "{fault}");
    }

    #[test]
    fn a_key_of_another_origin_is_refused() {
        let other = Pin { origin: "other.example".parse().unwrap(), ..pin() };
        let fault = Pin::parse(&other.text()).unwrap_err();
        assert!(fault.found.contains("vkey of witness.example/common; expected one of the origin other.example"), "{fault}");
    }
}

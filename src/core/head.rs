//! The head file: the ledger's last closed session, kept apart from the ledger so that an old copy of the disk is noticed (SPEC 7.6).

use super::ids::Head;
use super::lines::{Lines, encode64, with_sum};
use super::rules::{Checked, Fault, Rule};

/// What the head file says.
///
/// # Source
/// SPEC 7.6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadFile {
    /// The last session that was closed.
    pub session: u64,
    /// The head after it.
    pub head: Head,
    /// Event hash (BLAKE3) of its `closed` event.
    pub closed: [u8; 32],
}

impl HeadFile {
    /// The file: six lines, the last a checksum of those before it.
    pub fn text(&self) -> String {
        with_sum(format!(
            "tabellion-head v1\nsession {}\nnumber {}\nroot {}\nclosed {}\n",
            self.session,
            self.head.number,
            encode64(&self.head.root.0),
            hex::encode(self.closed)
        ))
    }

    /// Reads the file.
    ///
    /// # Errors
    /// `ledger-fault` naming the line.
    pub fn parse(text: &str) -> Checked<HeadFile> {
        let mut lines = Lines::new(text, Rule::LedgerFault);
        lines.exact("tabellion-head v1")?;
        let session = lines.number("session")?;
        let head = Head { number: lines.number("number")?, root: lines.hash64("root")? };
        let closed = lines.hash_hex("closed")?.0;
        lines.sum()?;
        Ok(HeadFile { session, head, closed })
    }
}

/// Compares the head file with the ledger's last closed session and the one before it. `true`: power failed between the commit of the last
/// session and its head file, and the file is to be rolled forward.
///
/// # Errors
/// `head-rolled-back` when the file tells of another session, or of the one before although the last is sealed.
pub fn compare(found: Option<&HeadFile>, last: Option<&HeadFile>, before: Option<&HeadFile>, last_is_sealed: bool) -> Checked<bool> {
    if found == last {
        return Ok(false);
    }
    if !last_is_sealed && found == before {
        return Ok(true);
    }
    let say = |head: Option<&HeadFile>, none: &str| {
        head.map_or(none.to_owned(), |head| format!("session {} {} closed {}", head.session, head.head, hex::encode(&head.closed[..8])))
    };
    let found = found.map_or("no head file is there".into(), |found| format!("{} in the head file", say(Some(found), "")));
    Err(Fault::new(Rule::HeadRolledBack, format!("{found}; {} in the ledger", say(last, "no session"))))
}

#[cfg(test)]
mod tests {
    use super::super::ids::Hash;
    use super::*;

    fn file() -> HeadFile {
        HeadFile { session: 12, head: Head { number: 42, root: Hash([2; 32]) }, closed: [6; 32] }
    }

    #[test]
    fn text_is_that_of_spec_7_6() {
        let lines = format!(
            "tabellion-head v1\nsession 12\nnumber 42\nroot AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\nclosed {}\n",
            "06".repeat(32)
        );
        let sum = Hash::of(lines.as_bytes());
        assert_eq!(file().text(), format!("{lines}sum sha256:{sum}\n"));
        assert_eq!(HeadFile::parse(&file().text()).unwrap(), file());
    }

    #[test]
    fn each_line_has_one_form_and_the_fault_names_it() {
        let good = file().text();
        for (line, from, to) in [
            (1, "head v1", "head v2"),
            (2, "session 12", "session -12"),
            (3, "number 42", "number 042"),
            (3, "number 42\n", ""),
            (4, "AgI=\n", "AgJ=\n"),
            (5, "closed 06", "closed 0G"),
            (6, "sum sha256:", "sum sha512:"),
        ] {
            let fault = HeadFile::parse(&good.replacen(from, to, 1)).unwrap_err();
            assert_eq!((fault.rule, fault.found.split(':').next()), (Rule::LedgerFault, Some(format!("line {line}").as_str())), "{fault}");
        }
        assert!(HeadFile::parse(&good.replace("session 12", "session 13")).unwrap_err().found.starts_with("line 6: found sum "));
        assert_eq!(HeadFile::parse(&format!("{good}x")).unwrap_err().rule, Rule::LedgerFault);
    }

    #[test]
    fn only_the_session_before_an_unsealed_one_may_stand_in_the_head_file() {
        let (last, before) = (file(), HeadFile { session: 11, ..file() });
        let compare = |found: Option<&HeadFile>, sealed| compare(found, Some(&last), Some(&before), sealed).map_err(|fault| fault.rule);
        for sealed in [true, false] {
            assert_eq!(compare(Some(&last), sealed), Ok(false));
            assert_eq!(compare(Some(&HeadFile { closed: [7; 32], ..file() }), sealed), Err(Rule::HeadRolledBack));
            assert_eq!(compare(None, sealed), Err(Rule::HeadRolledBack));
        }
        assert_eq!(compare(Some(&before), false), Ok(true));
        assert_eq!(compare(Some(&before), true), Err(Rule::HeadRolledBack));
        // The first session: there was no head file before it.
        assert_eq!(super::compare(None, Some(&last), None, false).map_err(|fault| fault.rule), Ok(true));
        assert_eq!(super::compare(None, None, None, true).map_err(|fault| fault.rule), Ok(false));
    }
}

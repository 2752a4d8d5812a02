//! The head file: the ledger's last closed session, kept apart from the ledger so that an old copy of the disk is noticed (SPEC 7.6).

use std::fmt;
use std::str::FromStr;

use super::ids::{Head, parse_decimal};
use super::lines::{Lines, encode64, with_sum};
use super::rules::{Checked, Fault, Rule};
use super::sessions::Heading;
use super::words::{check_head_words, head_words};

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
    /// That of a session; `None` while it is not closed.
    pub fn of(heading: &Heading) -> Option<HeadFile> {
        heading.end.map(|end| HeadFile { session: heading.session, head: end.after, closed: end.hash })
    }

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

impl fmt::Display for HeadFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {} {} closed {}", self.session, self.head, hex::encode(&self.closed[..8]))
    }
}

/// A head as a person knows it from outside the disk: `N:WORDS`, the number and the first six words of its root (SPEC 4.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownHead {
    /// N of `common@N`.
    pub number: u64,
    /// The six words, joined by `-`.
    pub words: String,
}

impl KnownHead {
    /// Reads what a person typed from paper: the number and the six words, apart from each other in any way; capitals do not matter.
    ///
    /// # Errors
    /// `usage` naming what cannot be part of a head.
    pub fn typed(text: &str) -> Checked<KnownHead> {
        let text = text.to_lowercase();
        let mut parts = text.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()).peekable();
        parts.next_if_eq(&"common");
        let number = parts.next().unwrap_or_default();
        let words: Vec<&str> = parts.collect();
        format!("{number}:{}", words.join("-")).parse()
    }

    /// Whether it is this head.
    pub fn is(&self, head: &Head) -> bool {
        self.number == head.number && self.words == head_words(&head.root)
    }
}

impl fmt::Display for KnownHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "common@{} {}", self.number, self.words)
    }
}

impl FromStr for KnownHead {
    type Err = Fault;

    /// # Errors
    /// `usage` for what no head can be: a typing mistake that no ledger has to be compared with.
    fn from_str(text: &str) -> Checked<KnownHead> {
        let fault = |found: String| Fault::new(Rule::Usage, found);
        let (number, words) = text.trim().split_once(':').ok_or_else(|| fault(format!("{text:?} found; N:WORDS expected")))?;
        let number = parse_decimal(number).ok_or_else(|| fault(format!("{number:?} found; a number expected")))?;
        check_head_words(words)?;
        Ok(KnownHead { number, words: words.to_owned() })
    }
}

/// How a head file stands to the sessions of the ledger beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// It is that of the last closed session.
    Equal,
    /// It is that of the session before the last, which is not sealed yet: power failed between commit and head file. It is rolled forward.
    Behind,
    /// There is none, and a session is closed.
    Missing,
    /// It is that of an earlier session of this ledger, although a later one is sealed.
    Earlier,
    /// It tells of a later session than the ledger has: the ledger is an older copy.
    Later,
    /// It tells of a session that this ledger does not have in that form: another history.
    Foreign,
}

impl Stand {
    /// Name in reports.
    pub fn word(self) -> &'static str {
        match self {
            Stand::Equal => "equal",
            Stand::Behind => "behind",
            Stand::Missing => "missing",
            Stand::Earlier => "earlier",
            Stand::Later => "later",
            Stand::Foreign => "foreign",
        }
    }

    /// Whether the desk may go on.
    pub fn is_well(self) -> bool {
        matches!(self, Stand::Equal | Stand::Behind)
    }
}

/// How `found` stands to the closed sessions, in their order.
pub fn stand(found: Option<&HeadFile>, closed: &[HeadFile], last_is_sealed: bool) -> Stand {
    let before = closed.len().checked_sub(2).and_then(|at| closed.get(at));
    match found {
        found if found == closed.last() => Stand::Equal,
        found if !last_is_sealed && found == before => Stand::Behind,
        None => Stand::Missing,
        Some(found) if closed.contains(found) => Stand::Earlier,
        Some(found) if closed.last().is_none_or(|last| found.session > last.session) => Stand::Later,
        Some(_) => Stand::Foreign,
    }
}

/// Compares the head file with the closed sessions of its ledger. `true`: it is to be rolled forward.
///
/// # Errors
/// `head-lost` when there is none; `head-rolled-back` when it tells of another session, or of the one before although the last is sealed.
pub fn compare(found: Option<&HeadFile>, closed: &[HeadFile], last_is_sealed: bool) -> Checked<bool> {
    let stand = stand(found, closed, last_is_sealed);
    if stand.is_well() {
        return Ok(stand == Stand::Behind);
    }
    let found = found.map_or("no head file is there".into(), |found| format!("{found} in the head file"));
    let expected = closed.last().map_or("no session".into(), ToString::to_string);
    let rule = if stand == Stand::Missing { Rule::HeadLost } else { Rule::HeadRolledBack };
    Err(Fault::new(rule, format!("{found}; {expected} in the ledger")))
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
    fn a_known_head_has_a_number_and_six_words_of_the_list() {
        let words = head_words(&file().head.root);
        let known: KnownHead = format!("42:{words}").parse().unwrap();
        assert!(known.is(&file().head) && !known.is(&Head { number: 41, ..file().head }));
        assert!(!KnownHead { words: "abandon-abandon-abandon-abandon-abandon-abandon".into(), ..known }.is(&file().head));
        for (text, reason) in [
            ("three", "N:WORDS expected"),
            ("x:y", "a number expected"),
            ("042:abandon", "a number expected"),
            ("42:abandon-abandon", "2 words found; 6 joined by - expected"),
            ("42:abandon-abandon-abandon-abandon-abandon-abandn", "\"abandn\" found"),
            ("42:Abandon-abandon-abandon-abandon-abandon-abandon", "\"Abandon\" found"),
        ] {
            let fault = text.parse::<KnownHead>().unwrap_err();
            assert!(fault.rule == Rule::Usage && fault.found.contains(reason), "{text}: {fault}");
        }
    }

    #[test]
    fn a_head_typed_from_paper_may_be_apart_in_any_way() {
        let words = head_words(&file().head.root);
        let known: KnownHead = format!("42:{words}").parse().unwrap();
        let blanks = words.replace('-', "  ");
        for text in [
            format!("42 {words}"),
            format!("  42:{words} "),
            format!("common@42 {words}"),
            format!("Common 42 {}", words.to_uppercase()),
            format!("42 {blanks}"),
            format!("42, {}", words.replace('-', ", ")),
        ] {
            assert_eq!(KnownHead::typed(&text).as_ref(), Ok(&known), "{text}");
        }
        for (text, reason) in [
            ("", "a number expected"),
            ("abandon ability", "\"abandon\" found; a number expected"),
            ("042 abandon ability able about above absent", "\"042\" found; a number expected"),
            ("42 abandon ability able about above", "5 words found; 6 joined by - expected"),
            ("42 abandon ability able about above absent zoo", "7 words found"),
            ("42 abandon ability able about above abscent", "\"abscent\" found"),
        ] {
            let fault = KnownHead::typed(text).unwrap_err();
            assert!(fault.rule == Rule::Usage && fault.found.contains(reason), "{text}: {fault}");
        }
    }

    #[test]
    fn only_the_session_before_an_unsealed_one_may_stand_in_the_head_file() {
        let session = |session: u64| HeadFile { session, ..file() };
        let closed = [session(10), session(11), session(12)];
        let other = HeadFile { closed: [7; 32], ..file() };
        for (found, sealed, unsealed) in [
            (Some(session(12)), Stand::Equal, Stand::Equal),
            (Some(session(11)), Stand::Earlier, Stand::Behind),
            (Some(session(10)), Stand::Earlier, Stand::Earlier),
            (Some(session(13)), Stand::Later, Stand::Later),
            (Some(session(9)), Stand::Foreign, Stand::Foreign),
            (Some(other), Stand::Foreign, Stand::Foreign),
            (None, Stand::Missing, Stand::Missing),
        ] {
            for (is_sealed, expected) in [(true, sealed), (false, unsealed)] {
                assert_eq!(stand(found.as_ref(), &closed, is_sealed), expected, "{found:?}, {is_sealed}");
                let compared = compare(found.as_ref(), &closed, is_sealed).map_err(|fault| fault.rule);
                let expected = match expected {
                    Stand::Equal | Stand::Behind => Ok(expected == Stand::Behind),
                    Stand::Missing => Err(Rule::HeadLost),
                    Stand::Earlier | Stand::Later | Stand::Foreign => Err(Rule::HeadRolledBack),
                };
                assert_eq!(compared, expected, "{found:?}, {is_sealed}");
            }
        }
        // The first session: there was no head file before it. Before the first session there is none.
        assert_eq!(stand(None, &closed[..1], false), Stand::Behind);
        assert_eq!(stand(None, &closed[..1], true), Stand::Missing);
        assert_eq!(stand(None, &[], true), Stand::Equal);
        assert_eq!(stand(Some(&file()), &[], true), Stand::Later);
    }
}

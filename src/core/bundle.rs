//! The header of a bundle, and what a file is by its first bytes (SPEC 3.12 and 8).
//!
//! Nothing is told from a file's name. What this file says a file *is* decides only who reads it next; it proves nothing about the content.

use super::cbor::{Reader, Writer, item_len};
use super::ids::{Origin, parse_decimal};
use super::limits::{PACK_OBJECTS_MAX, SESSION_PAPERS_MAX};
use super::rules::{Checked, Fault, Rule};

/// The text in a bundle's header, which holds its version.
const MARK: &str = "tabellion/bundle/1";
/// The tag in front of a bundle's header (RFC 8949 section 3.4.6).
const SELF_DESCRIBED: u64 = 55_799;
/// First bytes of a bundle: tag 55799 and an array of four.
const BUNDLE_FIRST: &[u8] = &[0xd9, 0xd9, 0xf7, 0x84];
/// First bytes of a paper: tag 98 (COSE_Sign) and an array of four.
const PAPER_FIRST: &[u8] = &[0xd8, 0x62, 0x84];
/// First bytes of a COSE_Sign1, which other tools make: recognised, so that it is refused by its name.
const SIGN1_FIRST: &[u8] = &[0xd2, 0x84];
/// First bytes of a receipts file: an array of two that begins with 32 bytes.
const RECEIPTS_FIRST: &[u8] = &[0x82, 0x58, 0x20];
/// First line of a proof of inclusion.
const PROOF_FIRST: &[u8] = b"c2sp.org/tlog-proof@v1\n";
/// First line of a fork proof.
const FORK_FIRST: &[u8] = b"tabellion-fork v1\n";
/// What stands between the text of a signed note and its signatures: an empty line, and the dash of the first signature line.
const SIGNATURES_FIRST: &[u8] = b"\n\n\xe2\x80\x94 ";
/// What the first line of a verdict note has after the origin.
const NOTE_MARK: &str = "/verdict v1";

/// Longest header of a bundle, in bytes: tag 3, array 1, text 19, three numbers of at most 9.
pub const BUNDLE_HEADER_BYTES_MAX: usize = 50;

/// Bytes of a file's beginning that are enough for [`recognise`]: the two first lines of a note under the longest origin.
pub const RECOGNISE_BYTES: usize = 256;

/// What a bundle says of itself: how many papers, how many objects, and the sum of the objects' lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BundleHeader {
    /// Number of envelopes, at most 100,000.
    pub papers: u64,
    /// Number of objects: at most 100,000 in a bundle that is brought, which its reader holds, and what a pack may hold else.
    pub objects: u64,
    /// Sum of the lengths of the objects, in bytes, without their CBOR heads.
    pub object_bytes: u64,
}

impl BundleHeader {
    /// `55799(["tabellion/bundle/1", papers, objects, bytes of objects])`, 26 to 42 bytes within the bounds.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.tag(SELF_DESCRIBED).array(4).text(MARK).uint(self.papers).uint(self.objects).uint(self.object_bytes);
        w.finish()
    }

    /// Reads the header that `bytes` begin with; answers it and its length in bytes. What follows it is not looked at.
    ///
    /// # Errors
    /// `bundle-header` with offset and reason, also when `bytes` end before the header does; `version-unknown` for another bundle version.
    pub fn parse(bytes: &[u8]) -> Checked<(BundleHeader, usize)> {
        let bytes = &bytes[..bytes.len().min(BUNDLE_HEADER_BYTES_MAX)];
        let Some(len) = item_len(bytes).map_err(as_header)? else {
            return Err(fault(bytes.len(), "the header breaks off here"));
        };
        let header = BundleHeader::read(&bytes[..len])?;
        // SPEC 1.2, gate two: encoding it again gives the same bytes.
        if header.to_bytes() != bytes[..len] {
            return Err(fault(0, "encoding the header again gives other bytes"));
        }
        Ok((header, len))
    }

    fn read(item: &[u8]) -> Checked<BundleHeader> {
        let mut r = Reader::new(item);
        r.reading("bundle header");
        r.tag(SELF_DESCRIBED).and_then(|()| r.array_of(4)).map_err(as_header)?;
        let mark = r.text().map_err(as_header)?;
        if mark != MARK {
            let rule = if mark.starts_with("tabellion/bundle/") { Rule::VersionUnknown } else { Rule::BundleHeader };
            return Err(Fault::new(rule, format!("{:?} found, {MARK:?} expected", mark.chars().take(40).collect::<String>())));
        }
        let papers = r.uint_in(0..=SESSION_PAPERS_MAX).map_err(as_header)?;
        let objects = r.uint_in(0..=PACK_OBJECTS_MAX).map_err(as_header)?;
        let object_bytes = r.uint().map_err(as_header)?;
        Ok(BundleHeader { papers, objects, object_bytes })
    }
}

fn fault(offset: usize, reason: &str) -> Fault {
    Fault::new(Rule::BundleHeader, format!("offset {offset}: {reason}"))
}

fn as_header(inner: Fault) -> Fault {
    Fault::new(Rule::BundleHeader, inner.found)
}

/// What a file on a medium is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileKind {
    /// A bundle of papers and objects (SPEC 3.12).
    Bundle,
    /// One envelope (SPEC 3.1), which is a bundle of one paper.
    Paper,
    /// A checkpoint (SPEC 4.3).
    Checkpoint,
    /// A proof of inclusion (SPEC 4.6).
    Proof,
    /// A verdict note (SPEC 4.7), or a signed note of another form.
    Note,
    /// A catch-up (SPEC 4.9).
    CatchUp,
    /// A fork proof (SPEC 4.10).
    Fork,
    /// A receipts file (SPEC 8.1).
    Receipts,
    /// None of these.
    Unknown,
}

impl FileKind {
    /// Whether it is a text that may carry a signature of a log key; receipts files hold such texts.
    pub fn is_text(self) -> bool {
        matches!(self, FileKind::Checkpoint | FileKind::Proof | FileKind::Note | FileKind::CatchUp | FileKind::Fork)
    }

    /// The word used in reports and in the ledger's list of media.
    pub fn word(self) -> &'static str {
        match self {
            FileKind::Bundle => "bundle",
            FileKind::Paper => "paper",
            FileKind::Checkpoint => "checkpoint",
            FileKind::Proof => "proof",
            FileKind::Note => "note",
            FileKind::CatchUp => "catch-up",
            FileKind::Fork => "fork-proof",
            FileKind::Receipts => "receipts",
            FileKind::Unknown => "unknown",
        }
    }
}

/// What the file is whose first [`RECOGNISE_BYTES`] bytes, or all when it has fewer, are `first`.
///
/// A bundle is told by tag and array alone, so that one of another version or one that breaks off in its header is listed as such.
pub fn recognise(first: &[u8]) -> FileKind {
    if first.starts_with(BUNDLE_FIRST) {
        FileKind::Bundle
    } else if first.starts_with(PAPER_FIRST) || first.starts_with(SIGN1_FIRST) {
        FileKind::Paper
    } else if first.starts_with(RECEIPTS_FIRST) {
        FileKind::Receipts
    } else if first.starts_with(PROOF_FIRST) {
        FileKind::Proof
    } else if first.starts_with(FORK_FIRST) {
        FileKind::Fork
    } else {
        recognise_text(first).unwrap_or(FileKind::Unknown)
    }
}

/// Whether a whole file has the shape of a signed note (SPEC 4.2), whatever its text: the log key must not have signed other texts either.
pub fn is_signed_text(whole: &[u8]) -> bool {
    whole.windows(SIGNATURES_FIRST.len()).any(|window| window == SIGNATURES_FIRST) && std::str::from_utf8(whole).is_ok()
}

/// Notes and checkpoints: two whole lines, of which the first is an origin, with or without the mark of a verdict.
fn recognise_text(first: &[u8]) -> Option<FileKind> {
    let mut lines = first[..first.len().min(RECOGNISE_BYTES)].split(|&b| b == b'\n');
    let head = std::str::from_utf8(lines.next()?).ok()?;
    let second = std::str::from_utf8(lines.next()?).ok();
    let second_is_whole = lines.next().is_some();
    if let Some(size) = head.strip_prefix("old ") {
        return parse_decimal(size).map(|_| FileKind::CatchUp);
    }
    if let Some(origin) = head.strip_suffix(NOTE_MARK) {
        return origin.parse::<Origin>().is_ok().then_some(FileKind::Note);
    }
    let numbered = second_is_whole && second.and_then(parse_decimal).is_some();
    (numbered && head.parse::<Origin>().is_ok()).then_some(FileKind::Checkpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: BundleHeader = BundleHeader { papers: 2, objects: 1, object_bytes: 300 };

    #[test]
    fn header_has_the_bytes_of_the_spec() {
        // By hand from RFC 8949: tag 55799, array 4, text of 18, 2, 1, 300.
        let expected = ["d9d9f784", "72", "746162656c6c696f6e2f62756e646c652f31", "02", "01", "19012c"].concat();
        assert_eq!(hex::encode(SMALL.to_bytes()), expected);
        assert!(SMALL.to_bytes().len() <= BUNDLE_HEADER_BYTES_MAX);
        assert_eq!(BundleHeader::parse(&SMALL.to_bytes()), Ok((SMALL, 28)));
        let followed = [SMALL.to_bytes(), vec![0xff; 100]].concat();
        assert_eq!(BundleHeader::parse(&followed), Ok((SMALL, 28)));
    }

    #[test]
    fn header_at_its_bounds_is_read_and_one_above_is_refused() {
        let most = BundleHeader { papers: 100_000, objects: 25_600_000, object_bytes: (1 << 53) - 1 };
        assert_eq!(BundleHeader::parse(&most.to_bytes()).map(|(h, _)| h), Ok(most));
        for over in [
            BundleHeader { papers: 100_001, ..most },
            BundleHeader { objects: 25_600_001, ..most },
            BundleHeader { object_bytes: 1 << 53, ..most },
        ] {
            assert_eq!(BundleHeader::parse(&over.to_bytes()).map_err(|f| f.rule), Err(Rule::BundleHeader), "{over:?}");
        }
    }

    #[test]
    fn header_cut_anywhere_or_of_another_form_is_refused() {
        let whole = SMALL.to_bytes();
        for cut in 0..whole.len() {
            let fault = BundleHeader::parse(&whole[..cut]).expect_err("a cut header");
            assert_eq!(fault, Fault::new(Rule::BundleHeader, format!("offset {cut}: the header breaks off here")));
        }
        for (other, rule) in [
            ("d9d9f784727461 62656c6c696f6e2f62756e646c652f32020100", Rule::VersionUnknown),
            ("d9d9f78461610201 00", Rule::BundleHeader),
            ("d9d9f7830102 03", Rule::BundleHeader),
            ("d9d9f784726162656c6c696f6e2f62756e646c652f3131180201 00", Rule::BundleHeader),
        ] {
            let bytes = hex::decode(other.replace(' ', "")).expect("hex");
            assert_eq!(BundleHeader::parse(&bytes).map_err(|f| f.rule), Err(rule), "{other}");
        }
        let long_form = hex::decode(["d9d9f78472", "746162656c6c696f6e2f62756e646c652f31", "1802", "01", "00"].concat()).expect("hex");
        assert_eq!(BundleHeader::parse(&long_form).map_err(|f| f.rule), Err(Rule::BundleHeader));
    }

    #[test]
    fn files_are_recognised_by_their_first_bytes_alone() {
        let longest = format!("{}\n9007199254740991\n", "a".repeat(128));
        for (first, kind) in [
            (SMALL.to_bytes(), FileKind::Bundle),
            (vec![0xd9, 0xd9, 0xf7, 0x84], FileKind::Bundle),
            (vec![0xd8, 0x62, 0x84, 0x00], FileKind::Paper),
            (vec![0x82, 0x58, 0x20, 0x00], FileKind::Receipts),
            (b"c2sp.org/tlog-proof@v1\nextra".to_vec(), FileKind::Proof),
            (b"witness.example/common\n41\nAAAA\n".to_vec(), FileKind::Checkpoint),
            (longest.into_bytes(), FileKind::Checkpoint),
            (b"witness.example/common/verdict v1\npaper sha256:".to_vec(), FileKind::Note),
            (b"".to_vec(), FileKind::Unknown),
            (b"witness.example/common\n41".to_vec(), FileKind::Unknown),
            (b"witness.example/common\nfour\nAAAA\n".to_vec(), FileKind::Unknown),
            (b"Shopping List\n41\n".to_vec(), FileKind::Unknown),
            (b"tabellion-fork v1\nvkey ".to_vec(), FileKind::Fork),
            (b"tabellion-fork v2\nvkey ".to_vec(), FileKind::Unknown),
            (b"old 41\nAAAA\n".to_vec(), FileKind::CatchUp),
            (b"old 041\nAAAA\n".to_vec(), FileKind::Unknown),
            (b"/verdict v1\npaper".to_vec(), FileKind::Unknown),
            (b"c2sp.org/tlog-proof@v2\n".to_vec(), FileKind::Unknown),
            (vec![0xd8, 0x62, 0x83], FileKind::Unknown),
            (vec![0xff; 300], FileKind::Unknown),
            (vec![b'a'; 300], FileKind::Unknown),
        ] {
            assert_eq!(recognise(&first), kind, "{}", String::from_utf8_lossy(&first));
        }
    }

    #[test]
    fn signed_texts_are_told_by_their_empty_line_and_dash_alone() {
        for (whole, is) in [
            ("any text\n\n\u{2014} name AAAA\n", true),
            ("any text\n\n- name AAAA\n", false),
            ("any text\n\u{2014} name AAAA\n", false),
            ("", false),
        ] {
            assert_eq!(is_signed_text(whole.as_bytes()), is, "{whole:?}");
        }
        assert!(!is_signed_text(b"\xff\n\n\xe2\x80\x94 name AAAA\n"));
    }

    #[test]
    fn recognise_bytes_are_enough_for_the_longest_first_lines() {
        let origin = "a".repeat(128);
        for text in [format!("{origin}\n9007199254740991\n"), format!("{origin}{NOTE_MARK}\n")] {
            assert!(text.len() <= RECOGNISE_BYTES);
            assert_ne!(recognise(text.as_bytes()), FileKind::Unknown);
        }
    }
}

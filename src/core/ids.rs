//! Names and numbers as types: what a hash, a key id, a number or a name is, and what it may look like (SPEC section 2).

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use super::limits::{MEDIA_TYPE_BYTES_MAX, NAME_BYTES_MAX, NAME_SEGMENTS_MAX, ORIGIN_BYTES_MAX, TEXT_BYTES_MAX, UINT_MAX};
use super::rules::{Checked, Fault, Rule};

/// A SHA-256 value: 32 bytes, shown as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// 32 zero bytes: the empty state, and "no predecessor".
    pub const ZERO: Hash = Hash([0; 32]);

    /// `SHA-256(bytes)`.
    pub fn of(bytes: &[u8]) -> Hash {
        Hash(Sha256::digest(bytes).into())
    }

    /// `SHA-256` of the parts one after another.
    pub fn of_parts(parts: &[&[u8]]) -> Hash {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        Hash(hasher.finalize().into())
    }

    /// From exactly 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Hash> {
        bytes.try_into().ok().map(Hash)
    }

    /// From 64 lower-case hex digits; upper case is refused, so that a hash has one text.
    pub fn from_hex(text: &str) -> Option<Hash> {
        if text.len() != 64 || text.bytes().any(|b| b.is_ascii_uppercase()) {
            return None;
        }
        let mut out = [0; 32];
        hex::decode_to_slice(text, &mut out).ok()?;
        Some(Hash(out))
    }

    /// 64 lower-case hex digits.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// `sha256:` and 64 hex digits: the form in answers and options.
    pub fn named(&self) -> String {
        format!("sha256:{}", self.hex())
    }

    /// `sha256:` and the first 16 hex digits: the form in details of verdicts (SPEC 4.7).
    pub fn short(&self) -> String {
        format!("sha256:{}", hex::encode(&self.0[..8]))
    }

    /// The first 8 hex digits, for people.
    pub fn tiny(&self) -> String {
        hex::encode(&self.0[..4])
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({})", self.tiny())
    }
}

/// A paper's id: SHA-256 of its payload, so that adding a signature does not make a new paper.
pub type Pid = Hash;

/// A member key's id: the RFC 9679 thumbprint of the Ed25519 public key (SPEC 3.3).
pub type Kid = Hash;

/// `kid = SHA-256(A3 01 01 20 06 21 58 20 ‖ public key)`.
pub fn kid_of(public_key: &[u8; 32]) -> Kid {
    Hash::of_parts(&[&[0xa3, 0x01, 0x01, 0x20, 0x06, 0x21, 0x58, 0x20], public_key])
}

/// A head of the log: its number (tree size) and RFC 6962 root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Head {
    /// N, the number of records.
    pub number: u64,
    /// Root of the tree of N records.
    pub root: Hash,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "common@{} {}", self.number, self.root)
    }
}

/// Parses a decimal number as SPEC 1.4 has it: no sign, no leading zero, at most 2^53 − 1.
pub fn parse_decimal(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.len() <= 16 && text.bytes().all(|b| b.is_ascii_digit());
    if !plain || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    text.parse().ok().filter(|&n| n <= UINT_MAX)
}

macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $check:ident, $rule:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The text, which obeys its rule.
            pub fn as_str(&self) -> &str { &self.0 }
        }

        impl FromStr for $name {
            type Err = Fault;
            fn from_str(text: &str) -> Checked<$name> {
                match $check(text) {
                    None => Ok($name(text.to_owned())),
                    Some(reason) => Err(Fault::new(Rule::$rule, format!("{:?}: {reason}", text.chars().take(80).collect::<String>()))),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{:?}", self.0) }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> { serializer.serialize_str(&self.0) }
        }
    };
}

checked_text! {
    /// A domain's global name and its key name (SPEC 2.1), as `witness.example/common`.
    Origin, origin_fault, NameForm
}
checked_text! {
    /// The name of an entry in Common (SPEC 2.2), as `tools/editor`.
    Name, name_fault, NameForm
}
checked_text! {
    /// The name of a member or group (SPEC 2.3), as `ops-west`.
    Party, party_fault, NameForm
}
checked_text! {
    /// The prefix of a rule (SPEC 2.4): `/`, or whole segments followed by `/`.
    Prefix, prefix_fault, NameForm
}
checked_text! {
    /// The media type of an entry (SPEC 2.5).
    MediaType, media_type_fault, NameForm
}
checked_text! {
    /// A text for people (SPEC 1.3): shown as its author's words, never interpreted.
    Text, text_fault, TextForm
}

fn origin_fault(text: &str) -> Option<String> {
    if text.is_empty() || text.len() > ORIGIN_BYTES_MAX {
        return Some(format!("{} bytes; an origin has 1 to {ORIGIN_BYTES_MAX}", text.len()));
    }
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'~' | b'-');
    let first = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'~';
    let last = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    for segment in text.split('/') {
        let bytes = segment.as_bytes();
        let (Some(&head), Some(&tail)) = (bytes.first(), bytes.last()) else {
            return Some("an origin has no empty segment".into());
        };
        if !first(head) || !(last(tail) || bytes.len() == 1) || !bytes.iter().all(|&b| inner(b)) {
            return Some(format!("segment {segment:?} is not of [a-z0-9~]([a-z0-9._~-]*[a-z0-9])?"));
        }
    }
    None
}

fn segment_fault(segment: &str) -> Option<String> {
    let bytes = segment.as_bytes();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let (Some(&head), Some(&tail)) = (bytes.first(), bytes.last()) else {
        return Some("a segment is empty".into());
    };
    let inner = |b: u8| plain(b) || matches!(b, b'.' | b'_' | b'-');
    if !plain(head) || !(plain(tail) || matches!(tail, b'_' | b'-')) || !bytes.iter().all(|&b| inner(b)) {
        return Some(format!("segment {segment:?} is not of [a-z0-9]([a-z0-9._-]*[a-z0-9_-])?"));
    }
    let stem = segment.split('.').next().unwrap_or(segment);
    let port = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt"));
    let numbered = port.is_some_and(|rest| rest.len() == 1 && rest.as_bytes()[0].is_ascii_digit());
    if matches!(stem, "con" | "prn" | "aux" | "nul") || numbered {
        return Some(format!("segment {segment:?} is a device name on other systems"));
    }
    None
}

fn name_fault(text: &str) -> Option<String> {
    if text.is_empty() || text.len() > NAME_BYTES_MAX {
        return Some(format!("{} bytes; a name has 1 to {NAME_BYTES_MAX}", text.len()));
    }
    let segments = text.split('/').count();
    if segments > NAME_SEGMENTS_MAX {
        return Some(format!("{segments} segments; a name has at most {NAME_SEGMENTS_MAX}"));
    }
    text.split('/').find_map(segment_fault)
}

fn party_fault(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let fits = (1..=32).contains(&bytes.len()) && plain(bytes[0]) && bytes.iter().all(|&b| plain(b) || b == b'-');
    (!fits).then(|| "a member or group name is of [a-z0-9][a-z0-9-]{0,31}".into())
}

fn prefix_fault(text: &str) -> Option<String> {
    if text == "/" {
        return None;
    }
    match text.strip_suffix('/') {
        None => Some("a prefix ends in '/'".into()),
        Some(_) if text.len() > NAME_BYTES_MAX => Some(format!("{} bytes; at most {NAME_BYTES_MAX}", text.len())),
        Some(stem) => name_fault(stem),
    }
}

fn media_type_fault(text: &str) -> Option<String> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$&^_.+/-".contains(&b);
    let slash = text.bytes().filter(|&b| b == b'/').count() == 1 && !text.starts_with('/') && !text.ends_with('/');
    let good = (3..=MEDIA_TYPE_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits) && slash;
    (!good).then(|| "a media type is type/subtype in lower case, 127 bytes at most".into())
}

fn text_fault(text: &str) -> Option<String> {
    if text.is_empty() || text.len() > TEXT_BYTES_MAX {
        return Some(format!("{} bytes; a text has 1 to {TEXT_BYTES_MAX}", text.len()));
    }
    if let Some(c) = text.chars().find(|&c| c.is_control() || is_direction_mark(c)) {
        return Some(format!("it holds U+{:04X}, a control or direction mark", c as u32));
    }
    (!unicode_normalization::is_nfc(text)).then(|| "it is not in NFC".into())
}

fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl Prefix {
    /// Whether `name` lies under this prefix.
    pub fn covers(&self, name: &Name) -> bool {
        self.0 == "/" || name.as_str().starts_with(&self.0)
    }

    /// Whether `name` is a proper ancestor of this prefix and so can hold no entry: `tools` for `tools/`, also for `tools/x/`.
    pub fn is_shadowed_by(&self, name: &Name) -> bool {
        self.0.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl Name {
    /// The proper ancestors, nearest last: `a`, `a/b` for `a/b/c`.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').map(|(at, _)| &self.0[..at])
    }
}

impl Origin {
    /// Whether this is a proposer's domain, `<common origin>/~<member>`, rather than a Common.
    pub fn is_domain(&self) -> bool {
        self.0.rsplit_once("/~").is_some_and(|(_, member)| member.parse::<Party>().is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_segments_end_as_spec_2_1_has_it_and_a_domain_names_a_member() {
        for (text, domain) in [("witness.example/common", false), ("~", false), ("a/~alice", true), ("a/~", false), ("a/~alice/b", false)] {
            assert_eq!(text.parse::<Origin>().map(|origin| origin.is_domain()), Ok(domain), "{text}");
        }
        for bad in ["a~", "a.", "a-", "a_", ".a", "a//b", "/a", "A", ""] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }

    #[test]
    fn decimal_has_no_sign_no_leading_zero_and_a_bound() {
        assert_eq!(parse_decimal("0"), Some(0));
        assert_eq!(parse_decimal("9007199254740991"), Some(9_007_199_254_740_991));
        for bad in ["", "+5", "-1", "05", "00", " 5", "5 ", "9007199254740992", "1e3", "٣"] {
            assert_eq!(parse_decimal(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn names_cannot_fold_together_or_be_devices() {
        for good in ["a", "tools/editor", "a.b/c_d/e-", "console", "com10", "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p"] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "/a",
            "a/",
            "a//b",
            "A",
            "é",
            ".a",
            "a.",
            "-a",
            "a b",
            "con",
            "x/nul.txt",
            "com1",
            "lpt9.z",
            "../a",
            "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q",
        ] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
        assert!("a".repeat(255).parse::<Name>().is_ok());
        assert!("a".repeat(256).parse::<Name>().is_err());
    }

    #[test]
    fn prefixes_cover_whole_segments_and_shadow_their_ancestors() {
        let tools: Prefix = "tools/".parse().expect("a prefix");
        let name = |text: &str| text.parse::<Name>().expect("a name");
        assert!(tools.covers(&name("tools/editor")));
        assert!(!tools.covers(&name("toolsmith")));
        assert!(!tools.covers(&name("tools")));
        assert!(tools.is_shadowed_by(&name("tools")));
        assert!(!tools.is_shadowed_by(&name("tool")));
        let root: Prefix = "/".parse().expect("a prefix");
        assert!(root.covers(&name("anything")));
        assert!(!root.is_shadowed_by(&name("anything")));
        assert!("tools".parse::<Prefix>().is_err());
    }

    #[test]
    fn spec_names_the_unicode_versions_that_are_compiled_in() {
        let (major, minor, _) = unicode_normalization::UNICODE_VERSION;
        let spec = include_str!("../../proposals-schema/SPEC.md");
        assert_eq!(spec.matches(&format!("Unicode {major}.{minor}")).count(), 2);
        // Lower-casing is the toolchain's: another version of it needs a new look at SPEC 3.13.
        let (major, minor, _) = char::UNICODE_VERSION;
        assert_eq!(spec.matches(&format!("lower-casing of Unicode {major}.{minor}")).count(), 1);
        assert_eq!(spec.matches("Unicode ").count(), 3);
    }

    #[test]
    fn texts_refuse_controls_direction_marks_and_other_normal_forms() {
        assert!("Größe 5 €".parse::<Text>().is_ok());
        for bad in ["", "a\nb", "a\u{202e}b", "e\u{301}", "\u{7f}"] {
            assert_eq!(bad.parse::<Text>().map_err(|fault| fault.rule), Err(Rule::TextForm), "{bad:?}");
        }
    }

    #[test]
    fn kid_is_the_rfc_9679_thumbprint() {
        // RFC 9679 prints no Ed25519 example; this value was made with sha256sum over A3010120062158 20 ‖ 32 zero bytes.
        assert_eq!(kid_of(&[0; 32]).hex(), "7d793163339b417f4f998235742ef0ff94db0999ad32267036dcc2a6209bba76");
    }
}

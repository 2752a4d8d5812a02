//! C2SP signed notes: verifier keys, notes, checkpoints; verdict notes and proofs are in the two files below it.
//!
//! This module verifies and never signs. Signatures are checked strictly and over the bytes received. A note whose text, separator or
//! base64 could be read in two ways is refused.

mod proof;
mod verdict;

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, VerifyingKey};

use super::ids::{Hash, Head, Origin, parse_decimal};
use super::limits::{NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX};
use super::lines::{Lines, decode64, encode64, hash64};
use super::rules::{Checked, Fault, Rule};
use super::tree::empty_root;

pub use proof::{CatchUp, InclusionProof};
pub use verdict::VerdictNote;

/// C2SP's number for Ed25519.
const ED25519: u8 = 0x01;
/// Most key ids that a message lists.
const IDS_SHOWN_MAX: usize = 8;
/// Most lines of one key that are tried for one that verifies: a hundred on each of a hundred thousand files would take an hour.
const LINES_TRIED_MAX: usize = 4;

fn form(reason: impl Into<String>) -> Fault {
    Fault::new(Rule::CheckpointForm, reason)
}

/// `SHA-256(name ‖ 0A ‖ 01 ‖ public key)[0..4]`.
fn key_id(name: &str, public: &[u8; 32]) -> [u8; 4] {
    let hash = Hash::of_parts(&[name.as_bytes(), &[b'\n', ED25519], public]);
    [hash.0[0], hash.0[1], hash.0[2], hash.0[3]]
}

/// An Ed25519 public key that may be enrolled: a point, in its canonical encoding, of large order.
///
/// # Errors
/// The reason it may not, in words.
///
/// # Source
/// RFC 8032 section 5.1.3; SPEC 3.2.
pub fn checked_public(bytes: &[u8; 32]) -> Result<VerifyingKey, &'static str> {
    let key = VerifyingKey::from_bytes(bytes).map_err(|_| "the bytes are no point of the curve")?;
    // dalek keeps the bytes it was given, so the point itself is encoded again.
    if key.to_edwards().compress().to_bytes() != *bytes {
        return Err("the encoding of the point is not canonical");
    }
    if key.is_weak() {
        return Err("the point is of small order");
    }
    Ok(key)
}

/// A name and the Ed25519 key that signs under it; as text `<name>+<8 hex of key id>+<base64(01 ‖ public key)>`.
///
/// # Source
/// C2SP signed-note v1.0.0; SPEC 4.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: Origin,
    public: VerifyingKey,
    id: [u8; 4],
}

impl VerifierKey {
    /// The key `public` under `name`.
    ///
    /// # Errors
    /// `checkpoint-form` when the key is no point, not canonical or of small order.
    pub fn new(name: Origin, public: &[u8; 32]) -> Checked<VerifierKey> {
        let id = key_id(name.as_str(), public);
        let public = checked_public(public).map_err(|reason| form(format!("public key {}: {reason}", hex::encode(public))))?;
        Ok(VerifierKey { name, public, id })
    }

    /// The name it signs under: for a log key the origin.
    pub fn name(&self) -> &Origin {
        &self.name
    }

    /// `SHA-256(name ‖ 0A ‖ 01 ‖ public key)[0..4]`: another name gives another id.
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// The 32 raw bytes.
    pub fn public_bytes(&self) -> [u8; 32] {
        self.public.to_bytes()
    }

    /// `SHA-256` of the 32 raw bytes: what a record or pin says of the *next* log key.
    ///
    /// # Source
    /// SPEC 3.10, 8.2.
    pub fn next_hash(&self) -> Hash {
        Hash::of(self.public.as_bytes())
    }

    /// `<name>+<8 hex of key id>`, for messages.
    fn short(&self) -> String {
        format!("{}+{}", self.name, hex::encode(self.id))
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let typed = [&[ED25519], self.public.as_bytes().as_slice()].concat();
        write!(f, "{}+{}", self.short(), encode64(&typed))
    }
}

impl FromStr for VerifierKey {
    type Err = Fault;

    /// # Errors
    /// `checkpoint-form`: not three parts, a name that is no origin, another key type, a key id that is not this key's, or as
    /// [`VerifierKey::new`].
    fn from_str(text: &str) -> Checked<VerifierKey> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(typed)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(form("vkey: found no two '+'; expected <name>+<key id>+<base64>"));
        };
        let name: Origin = name.parse().map_err(|fault: Fault| form(format!("vkey: {}", fault.found)))?;
        let typed = decode64(typed).ok_or_else(|| form("vkey: the key is not padded base64"))?;
        let Some((&ED25519, public)) = typed.split_first() else {
            return Err(form(format!("vkey: found key type {:?}; expected 1, Ed25519", typed.first())));
        };
        let public = public.try_into().map_err(|_| form(format!("vkey: found {} bytes of key; expected 32", public.len())))?;
        let key = VerifierKey::new(name, public)?;
        if id != hex::encode(key.id) {
            let shown: String = id.chars().take(16).collect();
            return Err(form(format!("vkey: found key id {shown:?}; expected {}", hex::encode(key.id))));
        }
        Ok(key)
    }
}

/// `— <name> <base64(key id ‖ signature)>\n`; the dash is U+2014.
///
/// # Source
/// C2SP signed-note v1.0.0; SPEC 4.2.
pub fn signature_line(name: &Origin, id: [u8; 4], sig: &[u8; 64]) -> String {
    format!("\u{2014} {name} {}\n", encode64(&[id.as_slice(), sig].concat()))
}

/// `text ‖ 0A ‖ lines`: the signed note. `text` ends in a newline and `lines` are one or more of [`signature_line`].
pub fn assemble(text: &str, lines: &str) -> String {
    format!("{text}\n{lines}")
}

/// One signature line of a note; of a key we may not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureLine<'a> {
    /// Name of the key.
    pub name: &'a str,
    /// Key id.
    pub id: [u8; 4],
    /// What follows the key id: 64 bytes for Ed25519, more for other kinds.
    pub signature: Vec<u8>,
}

/// A signed note that was taken apart but not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// What is signed, with its last newline.
    pub text: &'a str,
    /// The signatures, in order.
    pub lines: Vec<SignatureLine<'a>>,
    block: &'a str,
}

impl<'a> Note<'a> {
    /// Takes a note apart at its *last* empty line.
    ///
    /// # Errors
    /// `checkpoint-form`: not UTF-8, a byte order mark, a byte below 0x20 other than the newline (so a carriage return too), no empty line,
    /// no newline at the end, no or more than 100 signatures, a line not of the form, base64 that is not canonical, or too many bytes.
    ///
    /// # Source
    /// C2SP signed-note v1.0.0; SPEC 4.2.
    pub fn parse(bytes: &'a [u8]) -> Checked<Note<'a>> {
        let whole = note_text(bytes)?;
        let at = whole.rfind("\n\n").ok_or_else(|| form("found no empty line; expected one in front of the signatures"))?;
        let (text, block) = (&whole[..=at], &whole[at + 2..]);
        let Some(body) = block.strip_suffix('\n') else {
            return Err(form("found no signature line with a newline at its end; expected 1 or more after the empty line"));
        };
        let lines = body.split('\n').map(parse_line).collect::<Checked<Vec<_>>>()?;
        if lines.len() > NOTE_SIGNATURES_MAX {
            return Err(form(format!("found {} signatures; expected at most {NOTE_SIGNATURES_MAX}", lines.len())));
        }
        Ok(Note { text, lines, block })
    }

    /// The lines after the empty line, as received.
    pub fn signature_lines(&self) -> &'a str {
        self.block
    }

    /// How many lines bear this name, whatever their key id: a checkpoint of a log has one, at a rotation of its key two.
    ///
    /// # Source
    /// SPEC 4.4, 4.12.
    pub fn lines_of(&self, name: &Origin) -> usize {
        self.lines.iter().filter(|line| line.name == name.as_str()).count()
    }

    /// The first signature line by `key` that verifies, with its newline; of lines that claim to be by it at most `LINES_TRIED_MAX` are tried.
    ///
    /// For gossip: a broken line beside a genuine one spoils the note for a reader, but does not undo the signature.
    pub fn line_by(&self, key: &VerifierKey) -> Option<String> {
        let claimed = self.lines.iter().filter(|line| line.name == key.name.as_str() && line.id == key.id).take(LINES_TRIED_MAX);
        let mut signatures = claimed.filter_map(|line| <&[u8; 64]>::try_from(line.signature.as_slice()).ok());
        let holds = |sig: &&[u8; 64]| key.public.verify_strict(self.text.as_bytes(), &Signature::from_bytes(sig)).is_ok();
        signatures.find(holds).map(|sig| signature_line(&key.name, key.id, sig))
    }

    /// Whether `key` signed the text. Lines of other names or ids are ignored; of several lines by `key` each must verify.
    ///
    /// # Errors
    /// `checkpoint-unsigned` when no line is by `key`, or when one is and does not verify: that spoils the whole note.
    ///
    /// # Source
    /// C2SP signed-note v1.0.0; RFC 8032, strict as in SPEC 3.2.
    pub fn verify(&self, key: &VerifierKey) -> Checked<()> {
        let mut signed = false;
        for line in self.lines.iter().filter(|line| line.name == key.name.as_str() && line.id == key.id) {
            let signature = <&[u8; 64]>::try_from(line.signature.as_slice()).map(Signature::from_bytes);
            let holds = signature.is_ok_and(|signature| key.public.verify_strict(self.text.as_bytes(), &signature).is_ok());
            if !holds {
                let found = format!("found a line by {} that does not verify; expected its signature over this text", key.short());
                return Err(Fault::new(Rule::CheckpointUnsigned, found));
            }
            signed = true;
        }
        if signed {
            return Ok(());
        }
        let mut ids: Vec<String> = self.lines.iter().take(IDS_SHOWN_MAX).map(|line| hex::encode(line.id)).collect();
        if self.lines.len() > IDS_SHOWN_MAX {
            ids.push(format!("and {} more", self.lines.len() - IDS_SHOWN_MAX));
        }
        let found = format!("found signatures by the key ids {}; expected one by {}", ids.join(", "), key.short());
        Err(Fault::new(Rule::CheckpointUnsigned, found))
    }
}

/// What every note and proof is before it is taken apart: bounded, UTF-8, without a byte order mark or control bytes.
fn note_text(bytes: &[u8]) -> Checked<&str> {
    if bytes.len() > NOTE_BYTES_MAX {
        return Err(form(format!("found {} bytes; expected at most {NOTE_BYTES_MAX}", bytes.len())));
    }
    let text =
        std::str::from_utf8(bytes).map_err(|error| form(format!("found bytes that are not UTF-8 at offset {}", error.valid_up_to())))?;
    if text.starts_with('\u{feff}') {
        return Err(form("found a byte order mark at offset 0; an editor changed the file"));
    }
    if let Some(at) = bytes.iter().position(|&byte| byte < 0x20 && byte != b'\n') {
        return Err(form(format!("found byte 0x{:02x} at offset {at}; expected no control byte but the newline", bytes[at])));
    }
    Ok(text)
}

fn parse_line(line: &str) -> Checked<SignatureLine<'_>> {
    let shown = || line.chars().take(80).collect::<String>();
    let unlike = || form(format!("found {:?}; expected a signature line: \u{2014} <name> <base64>", shown()));
    let (name, signature) = line.strip_prefix("\u{2014} ").and_then(|rest| rest.split_once(' ')).ok_or_else(unlike)?;
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '+') {
        return Err(unlike());
    }
    let bytes = decode64(signature).ok_or_else(unlike)?;
    match bytes.split_first_chunk::<4>() {
        Some((id, signature)) if !signature.is_empty() => Ok(SignatureLine { name, id: *id, signature: signature.to_vec() }),
        _ => Err(unlike()),
    }
}

/// `origin \n size \n base64(root) \n`: a head under its log's name, before or after it is signed.
///
/// # Source
/// C2SP tlog-checkpoint v1.0.0, without extension lines; SPEC 4.3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log.
    pub origin: Origin,
    /// Its size and root.
    pub head: Head,
}

impl Checkpoint {
    /// The three lines that are signed.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.head.number, encode64(&self.head.root.0))
    }

    /// Reads the three lines.
    ///
    /// # Errors
    /// `checkpoint-form` naming the line: more or fewer than three, a size with a sign or leading zero, a root that is not 32 bytes of
    /// canonical base64, or another root than the empty tree's at size 0.
    pub fn parse(text: &str) -> Checked<Checkpoint> {
        let mut lines = Lines::new(text, Rule::CheckpointForm);
        let line = lines.line("the origin")?;
        let origin = line.parse().map_err(|fault: Fault| lines.fault(fault.found))?;
        let line = lines.line("the size")?;
        let number = parse_decimal(line).ok_or_else(|| lines.unlike(line, "a size without sign or leading zero, at most 2^53 - 1"))?;
        let line = lines.line("the root")?;
        let root = hash64(line).ok_or_else(|| lines.unlike(line, "32 bytes of padded base64"))?;
        if number == 0 && root != empty_root() {
            return Err(lines.unlike(line, &format!("the root of the empty tree, {}", encode64(&empty_root().0))));
        }
        lines.end()?;
        Ok(Checkpoint { origin, head: Head { number, root } })
    }

    /// Reads a signed checkpoint and verifies it under `key`, whose name must be the origin.
    ///
    /// # Errors
    /// As [`Note::parse`], [`Note::verify`] and [`Checkpoint::parse`]; `checkpoint-form` when the origin is not the key's name.
    pub fn parse_signed(bytes: &[u8], key: &VerifierKey) -> Checked<Checkpoint> {
        let note = Note::parse(bytes)?;
        note.verify(key)?;
        let checkpoint = Checkpoint::parse(note.text)?;
        same_origin(&checkpoint.origin, key)?;
        Ok(checkpoint)
    }
}

/// SPEC 4.2: the log key's name is the origin.
fn same_origin(origin: &Origin, key: &VerifierKey) -> Checked<()> {
    if *origin == key.name {
        return Ok(());
    }
    Err(form(format!("line 1: found origin {origin}; expected the key's name {}", key.name)))
}

#[cfg(test)]
pub(super) mod tests {
    use ed25519_dalek::{Signer as _, SigningKey, Verifier as _};

    use super::*;

    pub(crate) const ORIGIN: &str = "witness.example/common";

    pub(crate) fn origin() -> Origin {
        ORIGIN.parse().unwrap()
    }

    pub(crate) fn verifier(seed: u8) -> VerifierKey {
        VerifierKey::new(origin(), &SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes()).unwrap()
    }

    pub(crate) fn line(seed: u8, text: &str) -> String {
        signature_line(&origin(), verifier(seed).id(), &SigningKey::from_bytes(&[seed; 32]).sign(text.as_bytes()).to_bytes())
    }

    pub(crate) fn signed(seed: u8, text: &str) -> String {
        assemble(text, &line(seed, text))
    }

    fn rule<T: fmt::Debug>(got: Checked<T>) -> Rule {
        got.unwrap_err().rule
    }

    const EMPTY: &str = "witness.example/common\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";

    #[test]
    fn vkey_of_the_go_checksum_database_is_read_and_written() {
        let text = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
        let key: VerifierKey = text.parse().unwrap();
        assert_eq!((key.name().as_str(), key.id()), ("sum.golang.org", [0x03, 0x3d, 0xe0, 0xae]));
        assert_eq!(key.to_string(), text);
        assert_eq!(key.next_hash(), Hash::of(&key.public_bytes()));
    }

    #[test]
    fn vkeys_of_another_form_are_refused() {
        let good = verifier(1).to_string();
        let base64 = good.rsplit_once('+').map(|(_, key)| key.to_owned()).unwrap();
        let id = hex::encode(verifier(1).id());
        assert!(format!("{ORIGIN}+{id}+{base64}").parse::<VerifierKey>().is_ok());
        assert_ne!(id, id.to_uppercase(), "another seed is needed to try upper case");
        let typed = |kind: u8, key: &[u8]| encode64(&[&[kind], key].concat());
        let public = verifier(1).public_bytes();
        for bad in [
            String::new(),
            format!("{ORIGIN}+{id}"),
            format!("other.example+{id}+{base64}"),
            format!("{ORIGIN}+00000000+{base64}"),
            format!("{ORIGIN}+{}+{base64}", id.to_uppercase()),
            format!("{ORIGIN}+{id}+{}", typed(2, &public)),
            format!("{ORIGIN}+{id}+{}", typed(1, &public[..31])),
            format!("{good}\n"),
            format!("+{good}"),
        ] {
            assert_eq!(rule(bad.parse::<VerifierKey>()), Rule::CheckpointForm, "{bad}");
        }
    }

    #[test]
    fn keys_of_small_order_or_not_canonical_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(checked_public(&identity), Err("the point is of small order"));
        assert_eq!(checked_public(&[0; 32]), Err("the point is of small order"));
        // p + k for the k that are points of large order: dalek takes them, we must not.
        let mut taken = 0;
        for k in 2..19 {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (0xed + k, 0x7f);
            if VerifyingKey::from_bytes(&bytes).is_ok_and(|key| !key.is_weak()) {
                taken += 1;
                assert_eq!(checked_public(&bytes), Err("the encoding of the point is not canonical"));
            }
        }
        assert!(taken > 0);
        assert_eq!(rule(VerifierKey::new(origin(), &identity)), Rule::CheckpointForm);
    }

    #[test]
    fn note_of_the_go_package_is_taken_apart_and_verifies() {
        // The example of golang.org/x/mod/sumdb/note.
        let text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
        let block = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        let public: [u8; 33] = decode64("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").unwrap().try_into().unwrap();
        let public: [u8; 32] = public[1..].try_into().unwrap();
        let whole = assemble(text, block);
        let note = Note::parse(whole.as_bytes()).unwrap();
        assert_eq!((note.text, note.signature_lines(), note.lines[0].name), (text, block, "PeterNeumann"));
        assert_eq!(note.lines[0].id, key_id("PeterNeumann", &public));
        assert_eq!(note.lines[0].id, [0xc7, 0x4f, 0x20, 0xa3]);
        let signature = Signature::from_slice(&note.lines[0].signature).unwrap();
        checked_public(&public).unwrap().verify_strict(note.text.as_bytes(), &signature).unwrap();
        let [dash, name, base64] = block.trim_end().split(' ').collect::<Vec<_>>().try_into().unwrap();
        let written = encode64(&[note.lines[0].id.as_slice(), &note.lines[0].signature].concat());
        assert_eq!((dash, name, base64), ("\u{2014}", "PeterNeumann", written.as_str()));
    }

    #[test]
    fn signature_line_has_an_em_dash_and_two_spaces() {
        let line = signature_line(&origin(), [1, 2, 3, 4], &[0; 64]);
        assert_eq!(line, format!("\u{2014} witness.example/common AQIDBA{}=\n", "A".repeat(85)));
        assert!(line.as_bytes().starts_with(b"\xe2\x80\x94 "));
    }

    #[test]
    fn the_separator_is_the_last_empty_line() {
        let text = "a\n\n— not a signature\n\nb\n";
        let whole = signed(1, text);
        let note = Note::parse(whole.as_bytes()).unwrap();
        assert_eq!(note.text, text);
        note.verify(&verifier(1)).unwrap();
    }

    #[test]
    fn notes_that_an_editor_or_a_careless_writer_changed_are_refused() {
        let good = signed(1, EMPTY);
        Note::parse(good.as_bytes()).unwrap();
        for (why, bad) in [
            ("CRLF", good.replace('\n', "\r\n")),
            ("byte order mark", format!("\u{feff}{good}")),
            ("one carriage return", good.replacen("common\n", "common\r\n", 1)),
            ("tab", good.replacen("common\n", "common\t\n", 1)),
            ("NUL", good.replacen("common\n", "common\0\n", 1)),
            ("0x1f", good.replacen("common\n", "common\x1f\n", 1)),
            ("no newline at the end", good.trim_end().to_owned()),
            ("empty line at the end", format!("{good}\n")),
            ("no signature", format!("{EMPTY}\n")),
            ("no empty line", EMPTY.to_owned()),
            ("hyphen for the dash", good.replace('\u{2014}', "-")),
            ("two spaces", good.replace("common ", "common  ")),
            ("no padding", good.replace("=\n", "\n")),
            ("a line that is no signature", format!("{good}x\n")),
            ("only a key id", assemble(EMPTY, "— a AQIDBA==\n")),
            ("a plus in the name", assemble(EMPTY, "— a+b AQIDBAU=\n")),
            ("no name", assemble(EMPTY, "—  AQIDBAU=\n")),
            ("last bits not zero", assemble(EMPTY, "— a AQIDBAV=\n")),
        ] {
            assert_eq!(rule(Note::parse(bad.as_bytes())), Rule::CheckpointForm, "{why}");
        }
        assert!(Note::parse(assemble(EMPTY, "— a AQIDBAU=\n").as_bytes()).is_ok());
        assert_eq!(rule(Note::parse(b"\xff\n\n\xe2\x80\x94 a AQIDBAU=\n")), Rule::CheckpointForm);
    }

    #[test]
    fn a_note_has_1_to_100_signatures_and_a_bound() {
        let line = "— a AQIDBAU=\n";
        assert_eq!(Note::parse(assemble(EMPTY, &line.repeat(100)).as_bytes()).unwrap().lines.len(), 100);
        assert_eq!(rule(Note::parse(assemble(EMPTY, &line.repeat(101)).as_bytes())), Rule::CheckpointForm);
        let long = "x".repeat(NOTE_BYTES_MAX) + "\n";
        assert!(Note::parse(assemble(&long, line).as_bytes()).unwrap_err().found.contains("at most 1000000"));
    }

    #[test]
    fn unknown_keys_are_ignored_and_a_known_key_that_fails_spoils_the_note() {
        let key = verifier(1);
        let verify = |lines: String| Note::parse(assemble(EMPTY, &lines).as_bytes()).unwrap().verify(&key);
        let (ours, other) = (line(1, EMPTY), line(2, EMPTY));
        let false_ours = line(1, "another text\n");
        let unknown_bad = "— witness.example/common AQIDBAU=\n— a.b AQIDBAU=\n".to_owned();
        verify(ours.clone()).unwrap();
        verify(unknown_bad.clone() + &other + &ours).unwrap();
        verify(ours.clone() + &ours).unwrap();
        // Our key id under another name, and our name under another key id, are other keys.
        let renamed = false_ours.replacen(ORIGIN, "other.example", 1);
        verify(renamed.clone() + &ours).unwrap();
        assert!(verify(renamed).is_err());
        for bad in [ours.clone() + &false_ours, false_ours.clone() + &ours, false_ours] {
            assert!(verify(bad).unwrap_err().found.contains("does not verify"));
        }
        // A known key with a signature of another length is a known key that fails.
        let short = format!("— {ORIGIN} {}\n", encode64(&[key.id().as_slice(), &[0; 63]].concat()));
        assert!(verify(ours + &short).unwrap_err().found.contains("does not verify"));
        let fault = verify(unknown_bad + &other).unwrap_err();
        assert_eq!(fault.rule, Rule::CheckpointUnsigned);
        let ids = format!("ids 01020304, 01020304, {}; expected one by {ORIGIN}+{}", hex::encode(verifier(2).id()), hex::encode(key.id()));
        assert!(fault.found.contains(&ids), "{fault}");
    }

    #[test]
    fn a_signature_that_only_a_lax_verifier_takes_spoils_the_note() {
        // R is the point of order 1 and S = SHA-512(R ‖ A ‖ text) · a for the key of seed 1: made apart from this code, with Python's hashlib.
        let mut signature = [0; 64];
        signature[0] = 1;
        hex::decode_to_slice("941d4dd68dbab621328f7c0ae0b28068a4604f71a4e931cba63564cfbde59b04", &mut signature[32..]).unwrap();
        let key = verifier(1);
        key.public.verify(EMPTY.as_bytes(), &Signature::from_bytes(&signature)).unwrap();
        let whole = assemble(EMPTY, &signature_line(&origin(), key.id(), &signature));
        assert_eq!(rule(Note::parse(whole.as_bytes()).unwrap().verify(&key)), Rule::CheckpointUnsigned);
    }

    #[test]
    fn checkpoints_have_three_lines_and_one_form() {
        let checkpoint = Checkpoint { origin: origin(), head: Head { number: 0, root: empty_root() } };
        assert_eq!(checkpoint.text(), EMPTY);
        assert_eq!(Checkpoint::parse(EMPTY), Ok(checkpoint));
        let good = EMPTY.replace("\n0\n", "\n5\n");
        assert_eq!(Checkpoint::parse(&good).unwrap().head.number, 5);
        for bad in [
            good.replace("\n5\n", "\n+5\n"),
            good.replace("\n5\n", "\n05\n"),
            good.replace("\n5\n", "\n-5\n"),
            good.replace("\n5\n", "\n5 \n"),
            good.replace("\n5\n", "\n9007199254740992\n"),
            good.replace("\n5\n", "\n"),
            good.replace("FU=", "FV="),
            good.replace("FU=", "FU"),
            good.replace("47DE", ""),
            good.replace("witness", "Witness"),
            format!("{good}an extension\n"),
            format!("{good}\n"),
            format!("\n{good}"),
            good.trim_end().to_owned(),
            EMPTY.replace("47DE", "47DF"),
            String::new(),
        ] {
            assert_eq!(rule(Checkpoint::parse(&bad)), Rule::CheckpointForm, "{bad:?}");
        }
    }

    #[test]
    fn signed_checkpoints_need_the_key_and_its_name() {
        assert_eq!(Checkpoint::parse_signed(signed(1, EMPTY).as_bytes(), &verifier(1)).unwrap().text(), EMPTY);
        assert_eq!(rule(Checkpoint::parse_signed(signed(2, EMPTY).as_bytes(), &verifier(1))), Rule::CheckpointUnsigned);
        let other = EMPTY.replace("witness.example", "other.example");
        assert!(Checkpoint::parse_signed(signed(1, &other).as_bytes(), &verifier(1)).unwrap_err().found.contains("other.example"));
        let moved = signed(1, EMPTY).replace("\n0\n", "\n1\n");
        assert_eq!(rule(Checkpoint::parse_signed(moved.as_bytes(), &verifier(1))), Rule::CheckpointUnsigned);
        // SPEC 4.2: the checkpoint at a rotation carries two lines and verifies under either key.
        let both = assemble(EMPTY, &(line(1, EMPTY) + &line(2, EMPTY)));
        for seed in [1, 2] {
            Checkpoint::parse_signed(both.as_bytes(), &verifier(seed)).unwrap();
        }
    }
}

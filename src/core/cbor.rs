//! Deterministic CBOR: the two gates of SPEC 1.2, and the only encoder and decoder the formats use.
//!
//! Gate one, [`check`], walks the bytes without allocating and refuses whatever RFC 8949 section 4.2.1, narrowed by SPEC 1.1, forbids.
//! Gate two, [`Canonical::from_cbor`], decodes, encodes again and compares. minicbor is lenient (non-shortest integers, duplicate keys,
//! indefinite lengths); nothing reaches it before gate one.

mod walk;

use minicbor::data::Type;

use self::walk::form;
use super::ids::Hash;
use super::limits::UINT_MAX;
use super::rules::{Checked, Fault, Rule};

/// Gate one: `bytes` hold exactly one deterministic item and nothing follows.
///
/// # Errors
/// `cbor-form` with offset and reason; `cbor-depth`.
pub fn check(bytes: &[u8]) -> Checked<()> {
    match item_len(bytes)? {
        Some(len) if len == bytes.len() => Ok(()),
        Some(len) => Err(form(len, "bytes follow the item")),
        None => Err(form(bytes.len(), "the item breaks off here")),
    }
}

/// Length of the one deterministic item that `bytes` begin with, or `None` when they end before it does.
///
/// # Errors
/// As [`check`].
pub fn item_len(bytes: &[u8]) -> Checked<Option<usize>> {
    walk::item(bytes)
}

/// Writes one deterministic item after another into memory; cannot fail.
#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty writer.
    pub fn new() -> Writer {
        Writer::default()
    }

    /// An empty writer with room for `length` bytes, so that it need not grow.
    pub fn with_room(length: usize) -> Writer {
        Writer { bytes: Vec::with_capacity(length) }
    }

    /// The bytes written.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    /// The bytes written so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Begins anew, and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    fn put(&mut self, write: impl FnOnce(&mut minicbor::Encoder<&mut Vec<u8>>)) -> &mut Writer {
        write(&mut minicbor::Encoder::new(&mut self.bytes));
        self
    }

    /// An unsigned integer.
    pub fn uint(&mut self, value: u64) -> &mut Writer {
        self.put(|e| drop(e.u64(value)))
    }

    /// A signed integer.
    pub fn int(&mut self, value: i64) -> &mut Writer {
        self.put(|e| drop(e.i64(value)))
    }

    /// A byte string.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Writer {
        self.put(|e| drop(e.bytes(value)))
    }

    /// A text string.
    pub fn text(&mut self, value: &str) -> &mut Writer {
        self.put(|e| drop(e.str(value)))
    }

    /// `false` or `true`.
    pub fn bool(&mut self, value: bool) -> &mut Writer {
        self.put(|e| drop(e.bool(value)))
    }

    /// The head of an array of `len` items.
    pub fn array(&mut self, len: usize) -> &mut Writer {
        self.put(|e| drop(e.array(len as u64)))
    }

    /// The head of a map of `len` pairs.
    pub fn map(&mut self, len: usize) -> &mut Writer {
        self.put(|e| drop(e.map(len as u64)))
    }

    /// A tag.
    pub fn tag(&mut self, tag: u64) -> &mut Writer {
        self.put(|e| drop(e.tag(minicbor::data::Tag::new(tag))))
    }

    /// An item that is deterministic CBOR already.
    pub fn raw(&mut self, item: &[u8]) -> &mut Writer {
        self.bytes.extend_from_slice(item);
        self
    }

    /// An array of everything in `items`.
    pub fn list<T: Canonical>(&mut self, items: &[T]) -> &mut Writer {
        self.array(items.len());
        for item in items {
            item.write(self);
        }
        self
    }
}

/// What has one deterministic CBOR form.
pub trait Canonical: Sized {
    /// Writes the one form.
    fn write(&self, w: &mut Writer);

    /// Reads it from bytes that passed gate one.
    ///
    /// # Errors
    /// The rule of whatever SPEC does not allow.
    fn read(r: &mut Reader<'_>) -> Checked<Self>;

    /// The one form, in bytes.
    fn to_cbor(&self) -> Vec<u8> {
        let mut w = Writer::new();
        self.write(&mut w);
        w.finish()
    }

    /// Both gates: the walk, then decode, encode again and compare.
    ///
    /// # Errors
    /// As [`check`] and `read`; `cbor-form` when the encoding differs.
    fn from_cbor(bytes: &[u8]) -> Checked<Self> {
        check(bytes)?;
        let mut r = Reader::new(bytes);
        let value = Self::read(&mut r)?;
        if r.position() != bytes.len() || value.to_cbor() != bytes {
            return Err(form(r.position(), "encoding it again gives other bytes"));
        }
        Ok(value)
    }
}

impl Canonical for Hash {
    fn write(&self, w: &mut Writer) {
        w.bytes(&self.0);
    }
    fn read(r: &mut Reader<'_>) -> Checked<Hash> {
        r.hash()
    }
}

impl Canonical for super::ids::Head {
    fn write(&self, w: &mut Writer) {
        w.array(2).uint(self.number).bytes(&self.root.0);
    }
    fn read(r: &mut Reader<'_>) -> Checked<Self> {
        r.array_of(2)?;
        Ok(super::ids::Head { number: r.uint()?, root: r.hash()? })
    }
}

/// Reads items from bytes that passed gate one.
pub struct Reader<'a> {
    decoder: minicbor::Decoder<'a>,
    subject: &'static str,
}

impl<'a> Reader<'a> {
    /// A reader at the first byte.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { decoder: minicbor::Decoder::new(bytes), subject: "item" }
    }

    /// Names what is being read, for messages.
    pub fn reading(&mut self, subject: &'static str) -> &mut Reader<'a> {
        self.subject = subject;
        self
    }

    /// Offset of the cursor.
    pub fn position(&self) -> usize {
        self.decoder.position()
    }

    /// A `payload-shape` fault at the cursor.
    pub fn fault(&self, reason: impl std::fmt::Display) -> Fault {
        Fault::new(Rule::PayloadShape, format!("{} at offset {}: {reason}", self.subject, self.position()))
    }

    fn take<T>(&mut self, what: &str, got: Result<T, minicbor::decode::Error>) -> Checked<T> {
        got.map_err(|_| self.fault(format!("{what} expected")))
    }

    /// An unsigned integer up to 2^53 − 1.
    pub fn uint(&mut self) -> Checked<u64> {
        let got = self.decoder.u64();
        let value = self.take("an unsigned integer", got)?;
        if value > UINT_MAX { Err(self.fault(format!("{value} is above 2^53 - 1"))) } else { Ok(value) }
    }

    /// An unsigned integer within a range.
    pub fn uint_in(&mut self, range: std::ops::RangeInclusive<u64>) -> Checked<u64> {
        let value = self.uint()?;
        if range.contains(&value) {
            Ok(value)
        } else {
            Err(self.fault(format!("{value} found, {} to {} allowed", range.start(), range.end())))
        }
    }

    /// A signed integer.
    pub fn int(&mut self) -> Checked<i64> {
        let got = self.decoder.i64();
        self.take("an integer", got)
    }

    /// A byte string.
    pub fn bytes(&mut self) -> Checked<&'a [u8]> {
        let got = self.decoder.bytes();
        self.take("a byte string", got)
    }

    /// A byte string of exactly `N` bytes.
    pub fn bytes_of<const N: usize>(&mut self) -> Checked<[u8; N]> {
        let bytes = self.bytes()?;
        bytes.try_into().map_err(|_| self.fault(format!("{} bytes found, {N} expected", bytes.len())))
    }

    /// A byte string of 32 bytes.
    pub fn hash(&mut self) -> Checked<Hash> {
        self.bytes_of::<32>().map(Hash)
    }

    /// A text string.
    pub fn text(&mut self) -> Checked<&'a str> {
        let got = self.decoder.str();
        self.take("a text string", got)
    }

    /// A text string that obeys the rule of `T`.
    pub fn parse<T: std::str::FromStr<Err = Fault>>(&mut self) -> Checked<T> {
        self.text()?.parse()
    }

    /// `false` or `true`.
    pub fn bool(&mut self) -> Checked<bool> {
        let got = self.decoder.bool();
        self.take("false or true", got)
    }

    /// The head of an array of at most `most` items.
    pub fn array(&mut self, most: usize) -> Checked<usize> {
        let got = self.decoder.array();
        let len = self.take("an array", got)?.unwrap_or(u64::MAX);
        match usize::try_from(len) {
            Ok(len) if len <= most => Ok(len),
            _ => Err(self.fault(format!("{len} items found, at most {most} allowed"))),
        }
    }

    /// The head of an array of exactly `len` items.
    pub fn array_of(&mut self, len: usize) -> Checked<()> {
        let got = self.array(usize::MAX)?;
        if got == len { Ok(()) } else { Err(self.fault(format!("{got} items found, {len} expected"))) }
    }

    /// An array of at most `most` items, each read by `T`.
    pub fn list<T: Canonical>(&mut self, most: usize) -> Checked<Vec<T>> {
        let len = self.array(most)?;
        (0..len).map(|_| T::read(self)).collect()
    }

    /// A map with the given keys allowed: calls `field` with each key present, in order; others are `field-unknown`.
    pub fn map(&mut self, mut field: impl FnMut(u64, &mut Reader<'a>) -> Checked<bool>) -> Checked<()> {
        let got = self.decoder.map();
        let len = self.take("a map", got)?.unwrap_or(0);
        for _ in 0..len {
            let key = self.uint()?;
            if !field(key, self)? {
                return Err(Fault::new(Rule::FieldUnknown, format!("{} has the unknown key {key}", self.subject)));
            }
        }
        Ok(())
    }

    /// A tag with the given number.
    pub fn tag(&mut self, number: u64) -> Checked<()> {
        let got = self.decoder.tag();
        let tag = self.take("a tag", got)?.as_u64();
        if tag == number { Ok(()) } else { Err(self.fault(format!("tag {tag} found, {number} expected"))) }
    }

    /// Passes over one item, whatever it is: gate one has walked it.
    pub fn skip(&mut self) -> Checked<()> {
        let got = self.decoder.skip();
        self.take("an item", got)
    }

    /// Whether a boolean comes next.
    pub fn at_bool(&self) -> bool {
        matches!(self.decoder.datatype(), Ok(Type::Bool))
    }

    /// A structure's version; anything but 1 is `version-unknown`.
    pub fn version(&mut self) -> Checked<()> {
        match self.uint()? {
            1 => Ok(()),
            other => Err(Fault::new(Rule::VersionUnknown, format!("version {other} found, 1 expected"))),
        }
    }

    /// A required field that was or was not there.
    pub fn need<T>(&self, value: Option<T>, field: &str) -> Checked<T> {
        value.ok_or_else(|| self.fault(format!("{} lacks {field}", self.subject)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(hex_text: &str) -> Checked<()> {
        check(&hex::decode(hex_text).expect("hex"))
    }

    #[test]
    fn gate_one_accepts_the_one_form() {
        for good in [
            "00",
            "17",
            "1818",
            "190100",
            "1a00010000",
            "1b0000000100000000",
            "20",
            "40",
            "60",
            "80",
            "a0",
            "f4",
            "f5",
            "a200000100",
            "d86280",
            "d9d9f780",
        ] {
            walk(good).unwrap_or_else(|fault| panic!("{good}: {fault}"));
        }
    }

    #[test]
    fn gate_one_refuses_every_other_form() {
        let cases = [
            ("1817", "shortest"),
            ("190017", "shortest"),
            ("1a00000100", "shortest"),
            ("1b00000000ffffffff", "shortest"),
            ("5801aa", "shortest"),
            ("9f00ff", "indefinite"),
            ("5f4100ff", "indefinite"),
            ("bf0000ff", "indefinite"),
            ("a200000000", "not above"),
            ("a201000000", "not above"),
            ("a1600000", "unsigned"),
            ("a12000", "unsigned"),
            ("f6", "simple"),
            ("f7", "simple"),
            ("f97e00", "float"),
            ("fb7ff8000000000000", "float"),
            ("f818", "simple"),
            ("c0", "tag"),
            ("d863", "tag"),
            ("61ff", "UTF-8"),
            ("0000", "follow"),
            ("8100f4", "follow"),
            ("82", "breaks off"),
            ("", "breaks off"),
            ("1c", "reserved"),
            ("bbffffffffffffffff", "overflow"),
        ];
        for (bytes, reason) in cases {
            let fault = walk(bytes).expect_err(bytes);
            assert_eq!(fault.rule, Rule::CborForm, "{bytes}");
            assert!(fault.found.contains(reason), "{bytes}: {fault}");
        }
    }

    #[test]
    fn gate_one_bounds_depth_at_sixteen() {
        let nested = |levels: usize| [vec![0x81; levels], vec![0x00]].concat();
        assert!(check(&nested(16)).is_ok());
        assert_eq!(check(&nested(17)).map_err(|f| f.rule), Err(Rule::CborDepth));
        assert_eq!(check(&nested(100_000)).map_err(|f| f.rule), Err(Rule::CborDepth));
    }

    #[test]
    fn writer_and_gate_agree() {
        let mut w = Writer::new();
        w.map(3).uint(0).int(-8).uint(1).text("ä").uint(24).array(2).bool(true).bytes(&[7; 300]);
        check(&w.finish()).expect("what the writer writes is deterministic");
    }
}

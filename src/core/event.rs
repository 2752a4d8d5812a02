//! The ledger's events: their hash, what their signature covers, and what the database reads out of their payloads (SPEC section 7).
//!
//! A payload is deterministic CBOR and otherwise none of this module's business, with one exception: the ledger derives its tables of
//! records and final verdicts from payloads, so the few fields it needs are read here.

use std::sync::LazyLock;

use blake3::hazmat::{ContextKey, HasherExt as _, hash_derive_key_context};

use super::cbor::{self, Reader, Writer};
use super::ids::{Hash, Pid};
use super::limits::UINT_MAX;
use super::rules::{Checked, Fault, Rule};

/// Longest payload kept in the event's own row; longer ones stand beside it and are hashed as `[SHA-256, length]`.
pub const PAYLOAD_INLINE_BYTES_MAX: usize = 65_536;

/// Most records in one `adopted` event: as many as papers in a session.
const ADOPTED_RECORDS_MAX: usize = 100_000;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventType {
    /// A session began: what it will judge.
    Opened,
    /// A final verdict on one paper.
    Verdict,
    /// An interim answer to one paper.
    Notice,
    /// A session ended: its head and what was on the media.
    Closed,
    /// The signatures over a session's checkpoints and notes.
    Sealed,
    /// A session taken over as it was published.
    Adopted,
    /// The desk stopped itself.
    Halt,
    /// An order ended a halt.
    Resume,
    /// An order chose a branch of a forked ledger.
    Recover,
}

impl EventType {
    /// Every type, in the order of SPEC 7.4.
    pub const ALL: [EventType; 9] = [
        EventType::Opened,
        EventType::Verdict,
        EventType::Notice,
        EventType::Closed,
        EventType::Sealed,
        EventType::Adopted,
        EventType::Halt,
        EventType::Resume,
        EventType::Recover,
    ];

    /// The word that is stored and hashed.
    pub fn as_str(self) -> &'static str {
        match self {
            EventType::Opened => "opened",
            EventType::Verdict => "verdict",
            EventType::Notice => "notice",
            EventType::Closed => "closed",
            EventType::Sealed => "sealed",
            EventType::Adopted => "adopted",
            EventType::Halt => "halt",
            EventType::Resume => "resume",
            EventType::Recover => "recover",
        }
    }
}

impl std::str::FromStr for EventType {
    type Err = Fault;

    fn from_str(word: &str) -> Checked<EventType> {
        let found = EventType::ALL.into_iter().find(|known| known.as_str() == word);
        found.ok_or_else(|| Fault::new(Rule::LedgerFault, format!("event type {:?} found; expected one of SPEC 7.4", shown(word))))
    }
}

fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

/// One event as the ledger holds it, with the fields of SPEC 7.1.
///
/// Numbers are at most 2^53 - 1 (SPEC 2.7). All but `event_hash` and `signature` are hashed; the payload above 65 536 bytes by its reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its place in the ledger, counted from 1 in steps of 1, without gaps. Taken by the database. SPEC 7.1.
    pub seq_no: u64,
    /// `<session>/<index>`, both in decimal without leading zeros, the index from 0 in each session: `"12/0"`. From the writer; the database
    /// takes only the next index or index 0 of a later session. SPEC 7.1.
    pub event_id: String,
    /// The session's time claim in whole seconds since 1970-01-01T00:00:00Z; 0 for none. From the writer, who has it from a person: nothing
    /// is ordered or judged by it. SPEC 7.1.
    pub timestamp: u64,
    /// What happened: one of nine words. From the writer. SPEC 7.4.
    pub event_type: EventType,
    /// Deterministic CBOR in the shape of its type, whole, wherever the ledger keeps it: up to 65 536 bytes in the column `payload`; above,
    /// the column `payload_ref` holds `[SHA-256, length in bytes]` and the bytes stand in the table `payloads`. From the writer. SPEC 7.4, 7.2.
    pub payload: Vec<u8>,
    /// `event_hash` of the event before, 32 bytes; 32 zero bytes in event 1. Read by the database inside the transaction. SPEC 7.2.
    pub prev_event_hash: [u8; 32],
    /// BLAKE3 in key derivation mode over the other fields, 32 bytes. Computed by the database. SPEC 7.2.
    pub event_hash: [u8; 32],
    /// Ed25519, 64 bytes `R ‖ S`, over [`signed_message`]. Obtained by the database from the unlocked ledger key, and verified. SPEC 7.3.
    pub signature: [u8; 64],
    /// Key id of the ledger key that signed: a SHA-256, 32 bytes. From the unlocked key. SPEC 3.3.
    pub public_key_id: Hash,
    /// Which writer of this Common made it, counted from 1; a record of a hand-over raises it. Taken by the database from the last record.
    /// SPEC 7.1.
    pub writer_epoch: u64,
}

impl Event {
    /// `event_hash` computed again from the other fields.
    pub fn hash_again(&self) -> [u8; 32] {
        event_hash(&EventParts {
            seq_no: self.seq_no,
            event_id: &self.event_id,
            timestamp: self.timestamp,
            event_type: self.event_type,
            payload: PayloadForm::of(&self.payload),
            prev_event_hash: &self.prev_event_hash,
            public_key_id: &self.public_key_id,
            writer_epoch: self.writer_epoch,
        })
    }
}

/// How a payload enters the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadForm<'a> {
    /// The byte string itself.
    Bytes(&'a [u8]),
    /// `[SHA-256, length]` of a large one.
    Ref {
        /// SHA-256 of the payload.
        sha256: Hash,
        /// Its length in bytes.
        length: u64,
    },
}

impl PayloadForm<'_> {
    /// The form that a payload of this length has: above [`PAYLOAD_INLINE_BYTES_MAX`] bytes a reference.
    pub fn of(payload: &[u8]) -> PayloadForm<'_> {
        if payload.len() > PAYLOAD_INLINE_BYTES_MAX {
            PayloadForm::Ref { sha256: Hash::of(payload), length: payload.len() as u64 }
        } else {
            PayloadForm::Bytes(payload)
        }
    }
}

/// `[SHA-256, length]` in deterministic CBOR: what stands in the column `payload_ref`.
pub fn payload_ref(payload: &[u8]) -> Vec<u8> {
    let mut w = Writer::new();
    w.array(2).bytes(&Hash::of(payload).0).uint(payload.len() as u64);
    w.finish()
}

/// Reads [`payload_ref`] back.
///
/// # Errors
/// `cbor-form`, `payload-shape`.
pub fn read_payload_ref(bytes: &[u8]) -> Checked<(Hash, u64)> {
    cbor::check(bytes)?;
    let mut r = Reader::new(bytes);
    r.reading("payload_ref").array_of(2)?;
    Ok((r.hash()?, r.uint()?))
}

/// Everything that `event_hash` covers, in the order in which it is hashed.
#[derive(Clone, Copy, Debug)]
pub struct EventParts<'a> {
    /// See [`Event::seq_no`].
    pub seq_no: u64,
    /// See [`Event::event_id`].
    pub event_id: &'a str,
    /// See [`Event::timestamp`].
    pub timestamp: u64,
    /// See [`Event::event_type`].
    pub event_type: EventType,
    /// The payload, or its reference.
    pub payload: PayloadForm<'a>,
    /// See [`Event::prev_event_hash`].
    pub prev_event_hash: &'a [u8; 32],
    /// See [`Event::public_key_id`].
    pub public_key_id: &'a Hash,
    /// See [`Event::writer_epoch`].
    pub writer_epoch: u64,
}

static EVENT_CONTEXT: LazyLock<ContextKey> = LazyLock::new(|| hash_derive_key_context("tabellion 2026 event v1"));

/// Hash of an event.
///
/// `BLAKE3 derive_key("tabellion 2026 event v1", det-CBOR [seq_no, event_id, timestamp, event_type, payload, prev_event_hash,
/// public_key_id, writer_epoch])`; payload is a byte string, or the array `[SHA-256, length]` of a large one.
///
/// # Source
/// SPEC 7.2.
pub fn event_hash(parts: &EventParts<'_>) -> [u8; 32] {
    EventHasher::new().hash(parts)
}

fn write_parts(w: &mut Writer, parts: &EventParts<'_>) {
    w.array(8).uint(parts.seq_no).text(parts.event_id).uint(parts.timestamp).text(parts.event_type.as_str());
    match parts.payload {
        PayloadForm::Bytes(bytes) => w.bytes(bytes),
        PayloadForm::Ref { sha256, length } => w.array(2).bytes(&sha256.0).uint(length),
    };
    w.bytes(parts.prev_event_hash).bytes(&parts.public_key_id.0).uint(parts.writer_epoch);
}

/// Hashes one event after another, with one keyed state and memory for two: an event that comes again at once is not hashed again.
pub struct EventHasher {
    encoding: Writer,
    before: Writer,
    hash: [u8; 32],
    keyed: blake3::Hasher,
}

impl Default for EventHasher {
    fn default() -> EventHasher {
        EventHasher::new()
    }
}

impl EventHasher {
    /// A hasher for any number of events.
    pub fn new() -> EventHasher {
        EventHasher {
            encoding: Writer::new(),
            before: Writer::new(),
            hash: [0; 32],
            keyed: blake3::Hasher::new_from_context_key(&EVENT_CONTEXT),
        }
    }

    /// [`event_hash`] of these parts.
    pub fn hash(&mut self, parts: &EventParts<'_>) -> [u8; 32] {
        std::mem::swap(&mut self.encoding, &mut self.before);
        self.encoding.clear();
        write_parts(&mut self.encoding, parts);
        // Nothing has no encoding: the first event is never taken for one that was hashed.
        if self.encoding.as_bytes() != self.before.as_bytes() {
            self.hash = *self.keyed.reset().update(self.encoding.as_bytes()).finalize().as_bytes();
        }
        self.hash
    }

    /// The bytes of the event hashed last, in the encoding of SPEC 7.2.
    pub fn encoding(&self) -> &[u8] {
        self.encoding.as_bytes()
    }
}

const SIGNED_PREFIX: &[u8; 19] = b"tabellion event v1\0";

/// What the ledger key signs: `"tabellion event v1" ‖ 00 ‖ event_hash` (SPEC 7.3).
pub fn signed_message(event_hash: &[u8; 32]) -> Vec<u8> {
    signed_bytes(event_hash).to_vec()
}

/// [`signed_message`] without taking memory.
pub fn signed_bytes(event_hash: &[u8; 32]) -> [u8; 51] {
    let mut message = [0; 51];
    message[..19].copy_from_slice(SIGNED_PREFIX);
    message[19..].copy_from_slice(event_hash);
    message
}

/// Whether `signature` is the strict Ed25519 signature of `public_key` over the event with this hash.
pub fn signature_holds(public_key: &[u8; 32], event_hash: &[u8; 32], signature: &[u8; 64]) -> bool {
    EventVerifier::new(public_key).is_some_and(|verifier| verifier.holds(event_hash, signature))
}

/// A ledger public key read once, for many signatures: reading it costs a tenth of a verification.
#[derive(Clone, Copy, Debug)]
pub struct EventVerifier(ed25519_dalek::VerifyingKey);

impl EventVerifier {
    /// The verifier of a public key; `None` when the bytes are no point of the curve.
    pub fn new(public_key: &[u8; 32]) -> Option<EventVerifier> {
        ed25519_dalek::VerifyingKey::from_bytes(public_key).ok().map(EventVerifier)
    }

    /// As [`signature_holds`].
    pub fn holds(&self, event_hash: &[u8; 32], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(&signed_bytes(event_hash), &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
    }
}

/// Who signs events: a trait of the core, so that the ledger and the keys need not know each other.
pub trait EventSigner: Send + Sync {
    /// The ledger public key, 32 bytes.
    fn public_key(&self) -> [u8; 32];

    /// The Ed25519 signature over [`signed_message`] of this hash.
    fn sign_event(&self, event_hash: &[u8; 32]) -> [u8; 64];
}

/// Whether `next` is the event id that may stand behind `last`: the next index of the same session, or index 0 of a later session.
///
/// The first event (`last` is `None`) has index 0 of any session. Both must be in the one decimal form of SPEC 1.4.
pub fn event_id_follows(last: Option<&str>, next: &str) -> bool {
    let Some(next) = split_event_id(next) else { return false };
    match last.map(split_event_id) {
        None => place_follows(None, next),
        Some(None) => false,
        Some(last) => place_follows(last, next),
    }
}

/// [`event_id_follows`] for session and index, as [`split_event_id`] gives them.
pub fn place_follows(last: Option<(u64, u64)>, (session, index): (u64, u64)) -> bool {
    match last {
        None => index == 0,
        Some((last_session, last_index)) => (session == last_session && index == last_index + 1) || (session > last_session && index == 0),
    }
}

/// Session and index of an event id, `<session>/<index>`.
pub fn split_event_id(event_id: &str) -> Option<(u64, u64)> {
    let (session, index) = event_id.split_once('/')?;
    Some((super::ids::parse_decimal(session)?, super::ids::parse_decimal(index)?))
}

/// The fields of a record that the ledger keeps in its table of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHead {
    /// N (record key 1).
    pub number: u64,
    /// The paper's id (record key 3).
    pub pid: Pid,
    /// The ledger's last event before the session (record key 7).
    pub ledger_head: [u8; 32],
    /// Session number (record key 8).
    pub session: u64,
    /// Writer epoch from here on (record key 13; kind 5 only).
    pub writer_epoch: Option<u64>,
}

impl RecordHead {
    /// Reads a record's head; keys that the ledger does not keep are passed over, whoever makes and judges records checks those.
    ///
    /// # Errors
    /// `cbor-form`, `payload-shape`.
    pub fn read(bytes: &[u8]) -> Checked<RecordHead> {
        cbor::check(bytes)?;
        let (mut number, mut pid, mut ledger_head, mut session, mut writer_epoch) = (None, None, None, None, None);
        let mut r = Reader::new(bytes);
        r.reading("record").map(|key, r| {
            match key {
                1 => number = Some(r.uint_in(1..=UINT_MAX)?),
                3 => pid = Some(r.hash()?),
                7 => ledger_head = Some(r.bytes_of::<32>()?),
                8 => session = Some(r.uint()?),
                13 => writer_epoch = Some(r.uint_in(1..=UINT_MAX)?),
                _ => r.skip()?,
            }
            Ok(true)
        })?;
        Ok(RecordHead {
            number: r.need(number, "1 (N)")?,
            pid: r.need(pid, "3 (pid)")?,
            ledger_head: r.need(ledger_head, "7 (ledger head)")?,
            session: r.need(session, "8 (session)")?,
            writer_epoch,
        })
    }
}

/// What a `verdict` event adds to the tables of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerdictRows {
    /// The paper that it decides.
    pub pid: Pid,
    /// The record that it makes.
    pub record: Option<RecordHead>,
}

/// Reads the two fields of a `verdict` event that the ledger's tables are made of (SPEC 7.4, keys 0 and 6).
///
/// # Errors
/// `cbor-form`, `payload-shape`.
pub fn verdict_rows(payload: &[u8]) -> Checked<VerdictRows> {
    cbor::check(payload)?;
    let (mut pid, mut record) = (None, None);
    let mut r = Reader::new(payload);
    r.reading("verdict").map(|key, r| {
        match key {
            0 => pid = Some(r.hash()?),
            6 => record = Some(r.bytes()?),
            _ => r.skip()?,
        }
        Ok(true)
    })?;
    Ok(VerdictRows { pid: r.need(pid, "0 (pid)")?, record: record.map(RecordHead::read).transpose()? })
}

/// The records in the payload of an `adopted` event (SPEC 7.4, key 1).
///
/// # Errors
/// `cbor-form`, `payload-shape`.
pub fn records_of_adopted(payload: &[u8]) -> Checked<Vec<RecordHead>> {
    cbor::check(payload)?;
    let mut records = Vec::new();
    Reader::new(payload).reading("adopted").map(|key, r| {
        if key != 1 {
            return r.skip().map(|()| true);
        }
        for _ in 0..r.array(ADOPTED_RECORDS_MAX)? {
            let start = r.position();
            r.skip()?;
            records.push(RecordHead::read(&payload[start..r.position()])?);
        }
        Ok(true)
    })?;
    Ok(records)
}

/// What the ledger derives from one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Derived {
    /// Nothing.
    Nothing,
    /// From a verdict.
    Verdict(VerdictRows),
    /// Records of which each decides its own paper. The refusals of an adopted session stand in its papers, which the ledger does not read.
    Adopted(Vec<RecordHead>),
}

/// What the ledger derives from one event: the records it adds, and the papers it decides.
///
/// # Errors
/// As [`verdict_rows`], [`records_of_adopted`].
pub fn derived(event_type: EventType, payload: &[u8]) -> Checked<Derived> {
    match event_type {
        EventType::Verdict => verdict_rows(payload).map(Derived::Verdict),
        EventType::Adopted => records_of_adopted(payload).map(Derived::Adopted),
        _ => Ok(Derived::Nothing),
    }
}

#[cfg(test)]
mod tests {
    use super::super::ids::kid_of;
    use super::*;

    // The three hashes were computed with Python's blake3 1.0.11 (`derive_key_context`) and hashlib, over CBOR put together by hand;
    // public key bytes 00 01 .. 1f, payload {0: 0}.
    #[test]
    fn event_hash_is_what_python_computes() {
        let kid = kid_of(&std::array::from_fn(|i| i as u8));
        assert_eq!(kid.hex(), "0aed54eb08c840d61d9669d0ec9085ea2fa6e0760a5f79f6d0ccbafb3d55b211");
        let first = EventParts {
            seq_no: 1,
            event_id: "0/0",
            timestamp: 0,
            event_type: EventType::Opened,
            payload: PayloadForm::Bytes(&[0xa1, 0, 0]),
            prev_event_hash: &[0; 32],
            public_key_id: &kid,
            writer_epoch: 1,
        };
        assert_eq!(hex::encode(event_hash(&first)), "acbc14a6afabd26266281237e506e36b044c9d1d83df85e8ad4a31d30bbc8b71");
        let later = EventParts {
            seq_no: 300,
            event_id: "12/3",
            timestamp: 1_790_000_000,
            event_type: EventType::Halt,
            prev_event_hash: &[0x11; 32],
            writer_epoch: 2,
            ..first
        };
        assert_eq!(hex::encode(event_hash(&later)), "e88b91d7da1b4430fa0029490c8139814a961ee248a1c781f67d37c082809564");
    }

    #[test]
    fn large_payload_is_hashed_by_reference() {
        let kid = kid_of(&std::array::from_fn(|i| i as u8));
        let mut w = Writer::new();
        w.bytes(&[7; 70_000 - 5]);
        let payload = w.finish();
        assert_eq!(payload.len(), 70_000);
        let event = Event {
            seq_no: 2,
            event_id: "0/1".into(),
            timestamp: 1_790_000_000,
            event_type: EventType::Adopted,
            payload,
            prev_event_hash: [0x22; 32],
            event_hash: [0; 32],
            signature: [0; 64],
            public_key_id: kid,
            writer_epoch: 1,
        };
        assert_eq!(hex::encode(event.hash_again()), "b3daa0b45472937449b758f00df0ae54f5fc86967db23690967ce982de480df8");
        assert_eq!(read_payload_ref(&payload_ref(&event.payload)), Ok((Hash::of(&event.payload), 70_000)));
    }

    #[test]
    fn payload_of_exactly_the_bound_stays_inline() {
        assert!(matches!(PayloadForm::of(&vec![0; PAYLOAD_INLINE_BYTES_MAX]), PayloadForm::Bytes(_)));
        assert!(matches!(PayloadForm::of(&vec![0; PAYLOAD_INLINE_BYTES_MAX + 1]), PayloadForm::Ref { .. }));
    }

    #[test]
    fn types_are_found_again_by_their_word() {
        for known in EventType::ALL {
            assert_eq!(known.as_str().parse(), Ok(known));
        }
        assert_eq!("Opened".parse::<EventType>().map_err(|f| f.rule), Err(Rule::LedgerFault));
    }

    #[test]
    fn event_ids_follow_by_index_or_by_a_later_session() {
        for (last, next) in [(None, "0/0"), (None, "1/0"), (Some("0/0"), "0/1"), (Some("0/9"), "1/0"), (Some("3/1"), "7/0")] {
            assert!(event_id_follows(last, next), "{last:?} {next}");
        }
        for (last, next) in [
            (None, "0/1"),
            (None, ""),
            (Some("0/0"), "0/0"),
            (Some("0/0"), "0/2"),
            (Some("1/3"), "0/4"),
            (Some("1/3"), "2/1"),
            (Some("1/3"), "1/04"),
            (Some("1/3"), "01/4"),
            (Some("1/3"), "1/+4"),
            (Some("1/3"), "1/4/0"),
            (Some("rubbish"), "1/4"),
        ] {
            assert!(!event_id_follows(last, next), "{last:?} {next}");
        }
    }

    #[test]
    fn verdict_without_record_gives_none_and_without_pid_is_refused() {
        let mut w = Writer::new();
        w.map(2).uint(0).bytes(&[5; 32]).uint(4).array(1).bool(true);
        let payload = w.finish();
        assert_eq!(verdict_rows(&payload), Ok(VerdictRows { pid: Hash([5; 32]), record: None }));
        assert_eq!(verdict_rows(&[0xa0]).map_err(|f| f.rule), Err(Rule::PayloadShape));
        assert_eq!(verdict_rows(&[0xa0, 0]).map_err(|f| f.rule), Err(Rule::CborForm));
    }

    #[test]
    fn record_head_needs_its_fields_and_a_number_from_one() {
        let record = |number: u64| {
            let mut w = Writer::new();
            w.map(5).uint(0).text("tabellion/record/1").uint(1).uint(number);
            w.uint(3).bytes(&[3; 32]).uint(7).bytes(&[7; 32]).uint(8).uint(9);
            w.finish()
        };
        let head = RecordHead::read(&record(4)).expect("a record's head");
        assert_eq!((head.number, head.pid, head.ledger_head, head.session), (4, Hash([3; 32]), [7; 32], 9));
        assert_eq!(RecordHead::read(&record(0)).map_err(|f| f.rule), Err(Rule::PayloadShape));
        assert_eq!(RecordHead::read(&[0xa0]).map_err(|f| f.rule), Err(Rule::PayloadShape));
    }
}

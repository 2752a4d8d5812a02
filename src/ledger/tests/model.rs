//! The ledger as a plain list in memory, written a second time: what must be accepted, in which words the rest is refused, what is read back.
//!
//! Nothing here calls the implementation: CBOR, hash, event ids and derived rows are made from descriptions, never read out of payloads.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};

use crate::core::event::EventType;
use crate::core::rules::Rule;

pub const UINT_MAX: u64 = 9_007_199_254_740_991;
const INLINE_MAX: usize = 65_536;

/// An event as somebody offers it.
#[derive(Clone, Debug)]
pub struct Offer {
    pub id: Id,
    pub timestamp: u64,
    pub what: What,
    /// Bytes of padding in the payload, which is a map.
    pub padding: Option<usize>,
}

#[derive(Clone, Debug)]
pub enum Id {
    At(u64, u64),
    /// No event id at all.
    Text(String),
}

#[derive(Clone, Debug)]
pub enum What {
    Plain(EventType),
    Verdict {
        pid: Option<[u8; 32]>,
        record: Option<RecordOffer>,
    },
    Adopted(Vec<RecordOffer>),
    /// Bytes that are no deterministic CBOR.
    Bad(EventType, Vec<u8>),
}

#[derive(Clone, Debug)]
pub struct RecordOffer {
    pub number: u64,
    pub pid: [u8; 32],
    pub ledger_head: [u8; 32],
    pub session: u64,
    pub epoch: Option<u64>,
    /// A key that is left out.
    pub lacks: Option<u64>,
}

/// A signature that is none of the unlocked key's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoilt {
    Garbage,
    AnotherKey,
}

/// An event as the ledger must hold it.
#[derive(Clone, Debug)]
pub struct Kept {
    pub id: (u64, u64),
    pub event_id: String,
    pub timestamp: u64,
    pub event_type: EventType,
    pub payload: Vec<u8>,
    pub prev: [u8; 32],
    pub hash: [u8; 32],
    pub signature: [u8; 64],
    pub kid: [u8; 32],
    pub epoch: u64,
    pub spoilt: bool,
}

#[derive(Clone, Debug)]
pub struct KeptRecord {
    pub seq_no: u64,
    pub epoch: u64,
}

/// A refusal: its rule, and the words of which one must be there. Where several guards have reason, which one speaks is SQLite's choice.
#[derive(Clone, Debug)]
pub struct Refused {
    pub rule: Rule,
    pub words: Vec<String>,
}

fn refused(rule: Rule, words: &[&str]) -> Refused {
    Refused { rule, words: words.iter().map(|&word| word.to_owned()).collect() }
}

#[derive(Clone, Debug, Default)]
pub struct Model {
    pub events: Vec<Kept>,
    /// Record N at N - 1.
    pub records: Vec<KeptRecord>,
    pub verdicts: BTreeMap<[u8; 32], u64>,
    /// Seeds of the ledger keys, in the order in which each was first unlocked.
    pub seeds: Vec<u8>,
}

pub fn head(out: &mut Vec<u8>, major: u8, value: u64) {
    let major = major << 5;
    match value {
        0..=23 => out.push(major | value as u8),
        24..=0xff => out.extend([major | 24, value as u8]),
        0x100..=0xffff => {
            out.push(major | 25);
            out.extend((value as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(major | 26);
            out.extend((value as u32).to_be_bytes());
        }
        _ => {
            out.push(major | 27);
            out.extend(value.to_be_bytes());
        }
    }
}

fn text(out: &mut Vec<u8>, value: &str) {
    head(out, 3, value.len() as u64);
    out.extend(value.as_bytes());
}

fn blob(out: &mut Vec<u8>, value: &[u8]) {
    head(out, 2, value.len() as u64);
    out.extend(value);
}

/// A map from its pairs, each value encoded already.
fn map(pairs: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    head(&mut out, 5, pairs.len() as u64);
    for (key, value) in pairs {
        head(&mut out, 0, *key);
        out.extend(value);
    }
    out
}

fn item(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

pub fn secret(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub fn kid(seed: u8) -> [u8; 32] {
    let mut input = hex::decode("a301012006215820").unwrap();
    input.extend(secret(seed).verifying_key().to_bytes());
    Sha256::digest(input).into()
}

pub fn sign(seed: u8, hash: &[u8; 32]) -> [u8; 64] {
    let mut message = b"tabellion event v1\0".to_vec();
    message.extend(hash);
    secret(seed).sign(&message).to_bytes()
}

/// What a signer that is not itself gives instead.
pub fn spoil(seed: u8, hash: &[u8; 32], how: Spoilt) -> [u8; 64] {
    match how {
        Spoilt::Garbage => [0x5a; 64],
        Spoilt::AnotherKey => sign(seed.wrapping_add(100), hash),
    }
}

impl RecordOffer {
    fn bytes(&self) -> Vec<u8> {
        let mut pairs = vec![
            (0, item(|o| text(o, "tabellion/record/1"))),
            (1, item(|o| head(o, 0, self.number))),
            (3, item(|o| blob(o, &self.pid))),
            (7, item(|o| blob(o, &self.ledger_head))),
            (8, item(|o| head(o, 0, self.session))),
        ];
        pairs.extend(self.epoch.map(|epoch| (13, item(|o| head(o, 0, epoch)))));
        pairs.retain(|(key, _)| Some(*key) != self.lacks);
        map(&pairs)
    }

    fn has_its_shape(&self) -> bool {
        let known = |value: u64| (1..=UINT_MAX).contains(&value);
        self.lacks.is_none() && known(self.number) && self.session <= UINT_MAX && self.epoch.is_none_or(known)
    }
}

impl Offer {
    pub fn event_id(&self) -> String {
        match &self.id {
            Id::At(session, index) => format!("{session}/{index}"),
            Id::Text(text) => text.clone(),
        }
    }

    pub fn event_type(&self) -> EventType {
        match &self.what {
            What::Plain(event_type) | What::Bad(event_type, _) => *event_type,
            What::Verdict { .. } => EventType::Verdict,
            What::Adopted(_) => EventType::Adopted,
        }
    }

    pub fn payload(&self) -> Vec<u8> {
        let mut pairs = match &self.what {
            What::Bad(_, bytes) => return bytes.clone(),
            What::Plain(_) => Vec::new(),
            What::Verdict { pid, record } => {
                let mut pairs: Vec<_> = pid.iter().map(|pid| (0, item(|o| blob(o, pid)))).collect();
                pairs.extend(record.iter().map(|record| (6, item(|o| blob(o, &record.bytes())))));
                pairs
            }
            What::Adopted(records) => {
                let mut list = item(|o| head(o, 4, records.len() as u64));
                records.iter().for_each(|record| list.extend(record.bytes()));
                vec![(1, list)]
            }
        };
        pairs.extend(self.padding.map(|length| (20, item(|o| blob(o, &vec![7; length])))));
        map(&pairs)
    }

    fn records(&self) -> &[RecordOffer] {
        match &self.what {
            What::Verdict { record, .. } => record.as_slice(),
            What::Adopted(records) => records,
            _ => &[],
        }
    }

    fn pids(&self) -> Vec<[u8; 32]> {
        match &self.what {
            What::Verdict { pid, .. } => pid.iter().copied().collect(),
            What::Adopted(records) => records.iter().map(|record| record.pid).collect(),
            _ => Vec::new(),
        }
    }
}

impl Model {
    pub fn head(&self) -> Option<[u8; 32]> {
        self.events.last().map(|event| event.hash)
    }

    pub fn epoch(&self) -> u64 {
        self.records.last().map_or(1, |record| record.epoch)
    }

    /// What a record of a verdict must name: in a Common the event before the last `opened`, in a proposer's ledger zeros.
    pub fn ledger_head(&self) -> Option<[u8; 32]> {
        if self.events.first().is_some_and(|first| first.id != (0, 0)) {
            return Some([0; 32]);
        }
        self.events.iter().rev().find(|event| event.event_type == EventType::Opened).map(|event| event.prev)
    }

    fn id_follows(&self, id: &Id) -> bool {
        let Id::At(session, index) = *id else { return false };
        match self.events.last() {
            None => index == 0,
            Some(last) if session == last.id.0 => index == last.id.1 + 1,
            Some(last) => session > last.id.0 && index == 0,
        }
    }

    /// The last `length` events and all that came of the others is forgotten.
    pub fn back_to(&mut self, length: usize) {
        self.events.truncate(length);
        self.records.retain(|record| record.seq_no <= length as u64);
        self.verdicts.retain(|_, seq_no| *seq_no <= length as u64);
    }

    /// Appends one event, or says why not; the same transaction's earlier events are there already.
    pub fn accept(&mut self, offer: &Offer, seed: u8, spoilt: Option<Spoilt>) -> Result<(), Refused> {
        if i64::try_from(offer.timestamp).is_err() {
            return Err(refused(Rule::InternalFault, &["appending"]));
        }
        let mut words = Vec::new();
        if offer.timestamp > UINT_MAX {
            words.push("an integer from 0 to 2^53 - 1");
        }
        if !self.id_follows(&offer.id) {
            words.push("event_id does not follow the last one");
        }
        if matches!(offer.what, What::Bad(..)) {
            words.push("payload is not deterministic CBOR");
        }
        if !words.is_empty() {
            return Err(refused(Rule::LedgerFault, &words));
        }
        let Id::At(session, index) = offer.id else { unreachable!("a text does not follow") };
        let has_pid = !matches!(offer.what, What::Verdict { pid: None, .. });
        if !has_pid || !offer.records().iter().all(RecordOffer::has_its_shape) {
            return Err(refused(Rule::LedgerFault, &["payload-shape"]));
        }
        self.push((session, index), offer.timestamp, offer.event_type(), offer.payload(), seed, spoilt);
        let seq_no = self.events.len() as u64;
        let mut words = Vec::new();
        for pid in offer.pids() {
            // The first verdict stays: when this event is taken back it is the one that is left.
            match self.verdicts.entry(pid) {
                Entry::Occupied(_) => words.push("the paper has its final verdict already".to_owned()),
                Entry::Vacant(place) => {
                    place.insert(seq_no);
                }
            }
        }
        let derived = offer.records().iter().try_for_each(|record| self.derive(seq_no, record));
        words.extend(derived.err().into_iter().flat_map(|refused| refused.words));
        if words.is_empty() { Ok(()) } else { Err(Refused { rule: Rule::LedgerFault, words }) }
    }

    fn derive(&mut self, seq_no: u64, record: &RecordOffer) -> Result<(), Refused> {
        let mut words = Vec::new();
        if record.number != self.records.len() as u64 + 1 {
            words.push("number of the record is not the next number");
        }
        let adopted = self.events.last().is_some_and(|event| event.event_type == EventType::Adopted);
        if !adopted && self.ledger_head() != Some(record.ledger_head) {
            words.push("ledger head in the record is not the event before the last opened");
        }
        let epoch = record.epoch.unwrap_or(self.epoch());
        if epoch < self.epoch() {
            words.push("writer_epoch of the record goes back");
        }
        if !words.is_empty() {
            return Err(refused(Rule::LedgerFault, &words));
        }
        self.records.push(KeptRecord { seq_no, epoch });
        Ok(())
    }

    /// The hash of an event behind the last one (SPEC 7.2).
    pub fn hash(&self, event_id: &str, timestamp: u64, event_type: EventType, payload: &[u8], kid: &[u8; 32], epoch: u64) -> [u8; 32] {
        let mut input = vec![0x88];
        head(&mut input, 0, self.events.len() as u64 + 1);
        text(&mut input, event_id);
        head(&mut input, 0, timestamp);
        text(&mut input, &format!("{event_type:?}").to_lowercase());
        if payload.len() > INLINE_MAX {
            input.push(0x82);
            blob(&mut input, &Sha256::digest(payload));
            head(&mut input, 0, payload.len() as u64);
        } else {
            blob(&mut input, payload);
        }
        blob(&mut input, &self.head().unwrap_or([0; 32]));
        blob(&mut input, kid);
        head(&mut input, 0, epoch);
        blake3::derive_key("tabellion 2026 event v1", &input)
    }

    pub fn push(
        &mut self,
        id: (u64, u64),
        timestamp: u64,
        event_type: EventType,
        payload: Vec<u8>,
        seed: u8,
        spoilt: Option<Spoilt>,
    ) -> &Kept {
        let (event_id, kid, epoch) = (format!("{}/{}", id.0, id.1), kid(seed), self.epoch());
        let hash = self.hash(&event_id, timestamp, event_type, &payload, &kid, epoch);
        let signature = spoilt.map_or_else(|| sign(seed, &hash), |how| spoil(seed, &hash, how));
        let (prev, spoilt) = (self.head().unwrap_or([0; 32]), spoilt.is_some());
        self.events.push(Kept { id, event_id, timestamp, event_type, payload, prev, hash, signature, kid, epoch, spoilt });
        self.events.last().unwrap()
    }

    /// A whole transaction by an unlocked ledger on its true head: all of it or nothing.
    pub fn commit(&mut self, offers: &[Offer], seed: u8, spoilt: Option<(usize, Spoilt)>) -> Result<[u8; 32], Refused> {
        let before = self.events.len();
        let spoilt_at = |index: usize| spoilt.filter(|(at, _)| *at == index).map(|(_, how)| how);
        let outcome = offers.iter().enumerate().try_for_each(|(index, offer)| self.accept(offer, seed, spoilt_at(index)));
        // One bad signature, wherever it stands, and nothing of the commit is there. The first is named.
        let outcome = outcome.and_then(|()| match self.events.iter().skip(before).position(|event| event.spoilt) {
            None => Ok(self.events.last().map_or([0; 32], |last| last.hash)),
            Some(at) => Err(refused(Rule::LedgerFault, &[&format!("event {}: signature ", before + at + 1)])),
        });
        if outcome.is_err() {
            self.back_to(before);
        }
        outcome
    }

    /// What the start-up check must say, deep or not, for no bad signature was ever taken: kind and first bad number, or nothing.
    pub fn trouble(&self, seeds: &[u8], must_hold: &[[u8; 32]]) -> Option<(&'static str, u64)> {
        let mut keys = seeds.iter().map(|seed| kid(*seed)).collect::<Vec<_>>();
        for (event, seq_no) in self.events.iter().zip(1..) {
            // Keys that an event has left behind are out of use.
            let Some(at) = keys.iter().position(|key| *key == event.kid) else { return Some(("key", seq_no)) };
            keys.drain(..at);
        }
        let there = |hash: &[u8; 32]| self.events.iter().any(|event| event.hash == *hash);
        (!must_hold.iter().all(there)).then_some(("missing", self.events.len() as u64 + 1))
    }
}

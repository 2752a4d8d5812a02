//! The ledgers that are measured: made by the product's own append, the same in every run.

use std::path::Path;
use std::sync::Arc;

use ed25519_dalek::{Signer as _, SigningKey};
use tabellion::core::cbor::Writer;
use tabellion::core::event::{EventSigner, EventType, signed_message};
use tabellion::core::ids::Hash;
use tabellion::ledger::{Ledger, NewEvent};

/// Instance of every ledger of a bench.
pub const INSTANCE: [u8; 16] = [0xbe; 16];
/// Bytes of a payload of [`Kind::Plain`]: "records of about 300 bytes".
pub const PAYLOAD_BYTES: usize = 300;
/// Events of one commit while a ledger is made.
const COMMIT_EVENTS: u64 = 1_000;

/// What the events are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Notices of 300 bytes, from which nothing is derived: the workload of the published figures.
    Plain,
    /// Sessions of 100 events: `opened`, 96 verdicts of which every other one made a record, a notice, `closed`, `sealed`.
    Sessions,
}

pub struct BenchSigner(SigningKey);

impl EventSigner for BenchSigner {
    fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }
    fn sign_event(&self, event_hash: &[u8; 32]) -> [u8; 64] {
        self.0.sign(&signed_message(event_hash)).to_bytes()
    }
}

/// The signer of every bench.
pub fn signer() -> Arc<BenchSigner> {
    Arc::new(BenchSigner(SigningKey::from_bytes(&[0x42; 32])))
}

/// A map of one pair whose value fills `length` bytes, different for each number.
pub fn filled(number: u64, length: usize) -> Vec<u8> {
    let mut content = vec![0; length - 5];
    content.iter_mut().zip(number.to_le_bytes().iter().cycle()).for_each(|(byte, value)| *byte = *value);
    let mut w = Writer::new();
    w.map(1).uint(0).bytes(&content);
    w.finish()
}

/// A notice of [`PAYLOAD_BYTES`] in a session that has no end.
pub fn plain_event(index: u64) -> NewEvent {
    NewEvent {
        event_id: format!("0/{index}"),
        timestamp: 1_790_000_000,
        event_type: EventType::Notice,
        payload: filled(index, PAYLOAD_BYTES),
    }
}

fn record(number: u64, pid: &Hash, ledger_head: &[u8; 32], session: u64) -> Vec<u8> {
    let mut w = Writer::new();
    w.map(5).uint(0).text("tabellion/record/1").uint(1).uint(number);
    w.uint(3).bytes(&pid.0).uint(7).bytes(ledger_head).uint(8).uint(session);
    w.finish()
}

fn verdict(pid: &Hash, record: Option<&[u8]>) -> Vec<u8> {
    let mut w = Writer::new();
    w.map(3 + usize::from(record.is_some())).uint(0).bytes(&pid.0).uint(1).text(if record.is_some() { "accepted" } else { "refused" });
    w.uint(2).text(&"what was found, and what it was compared with; ".repeat(2));
    if let Some(record) = record {
        w.uint(6).bytes(record);
    }
    w.finish()
}

/// The events of session `session` of [`Kind::Sessions`], whose records follow on number `records`.
pub fn session_events(session: u64, ledger_head: &[u8; 32], records: &mut u64) -> Vec<NewEvent> {
    let event = |index: u64, event_type, payload| NewEvent {
        event_id: format!("{session}/{index}"),
        timestamp: 1_790_000_000 + session,
        event_type,
        payload,
    };
    let mut events = vec![event(0, EventType::Opened, filled(session, PAYLOAD_BYTES))];
    for index in 1..=96 {
        let pid = Hash::of(&(session << 8 | index).to_be_bytes());
        let record = (index % 2 == 0).then(|| {
            *records += 1;
            record(*records, &pid, ledger_head, session)
        });
        events.push(event(index, EventType::Verdict, verdict(&pid, record.as_deref())));
    }
    for (index, event_type) in [(97, EventType::Notice), (98, EventType::Closed), (99, EventType::Sealed)] {
        events.push(event(index, event_type, filled(session, PAYLOAD_BYTES)));
    }
    events
}

/// Makes a ledger of `events` events (whole sessions of 100) in `dir`.
pub fn make(dir: &Path, kind: Kind, events: u64) -> Ledger {
    let mut ledger = Ledger::create(dir, &INSTANCE, signer()).expect("a ledger");
    let (mut head, mut done, mut records) = (None, 0, 0);
    while done < events {
        let next: Vec<NewEvent> = match kind {
            Kind::Plain => (done..events.min(done + COMMIT_EVENTS)).map(plain_event).collect(),
            Kind::Sessions => session_events(done / 100, &head.unwrap_or_default(), &mut records),
        };
        done += next.len() as u64;
        head = Some(ledger.commit(head, &next).expect("a commit"));
    }
    ledger
}

//! The events of a branch that goes, as one file that can be verified alone: form and chain (SPEC 7.10). Reading and writing is `run`'s.
//!
//! Nothing that the ledger key signed is ever lost, also when it is not our history any more. What is read here proves that whoever held the
//! ledger key made these events in this order; it proves nothing about which branch was right.

use super::cbor::{Canonical, Reader, Writer};
use super::event::{Event, event_id_follows, signature_holds, split_event_id};
use super::ids::{Hash, Kid, Origin, kid_of};
use super::limits::UINT_MAX;
use super::rules::{Checked, Fault, Rule};

/// First item of the header.
const FORM: &str = "tabellion/quarantine/1";
/// Most ledger keys that a header names: more rotations than any Common will see.
const KEYS_MAX: usize = 4_096;

/// What stands before the events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The Common.
    pub origin: Origin,
    /// Its charter's fingerprint (SPEC 4.5).
    pub fingerprint: Hash,
    /// Number of the last event that the branch shares with the one that stays, 0 for none.
    pub common_seq_no: u64,
    /// Its `event_hash`; 32 zero bytes for none.
    pub common_hash: [u8; 32],
    /// How many events follow.
    pub events: u64,
    /// Every ledger public key of the branch, in the order in which they became valid.
    pub ledger_keys: Vec<[u8; 32]>,
}

impl Canonical for Header {
    fn write(&self, w: &mut Writer) {
        w.array(7).text(FORM).text(self.origin.as_str()).bytes(&self.fingerprint.0).uint(self.common_seq_no).bytes(&self.common_hash);
        w.uint(self.events).array(self.ledger_keys.len());
        for key in &self.ledger_keys {
            w.bytes(key);
        }
    }

    fn read(r: &mut Reader<'_>) -> Checked<Header> {
        r.reading("quarantine header").array_of(7)?;
        let form = r.text()?;
        if form != FORM {
            return Err(r.fault(format!("{form:?} found; {FORM:?} expected")));
        }
        let (origin, fingerprint) = (r.parse()?, r.hash()?);
        let (common_seq_no, common_hash) = (r.reading("quarantine header").uint()?, r.bytes_of()?);
        let events = r.uint_in(1..=UINT_MAX)?;
        let keys = r.array(KEYS_MAX)?;
        let ledger_keys = (0..keys).map(|_| r.bytes_of()).collect::<Checked<_>>()?;
        Ok(Header { origin, fingerprint, common_seq_no, common_hash, events, ledger_keys })
    }
}

impl Canonical for Event {
    fn write(&self, w: &mut Writer) {
        w.array(10).uint(self.seq_no).text(&self.event_id).uint(self.timestamp).text(self.event_type.as_str()).bytes(&self.payload);
        w.bytes(&self.prev_event_hash).bytes(&self.event_hash).bytes(&self.signature).bytes(&self.public_key_id.0).uint(self.writer_epoch);
    }

    fn read(r: &mut Reader<'_>) -> Checked<Event> {
        r.reading("event").array_of(10)?;
        Ok(Event {
            seq_no: r.uint_in(1..=UINT_MAX)?,
            event_id: r.text()?.to_owned(),
            timestamp: r.uint()?,
            event_type: r.parse()?,
            payload: r.bytes()?.to_vec(),
            prev_event_hash: r.bytes_of()?,
            event_hash: r.bytes_of()?,
            signature: r.bytes_of()?,
            public_key_id: r.hash()?,
            writer_epoch: r.uint_in(1..=UINT_MAX)?,
        })
    }
}

/// Verifies events one after another, against nothing but what stands before them.
pub struct Verifier {
    ledger_keys: Vec<[u8; 32]>,
    kids: Vec<Kid>,
    before: u64,
    events: u64,
    taken: u64,
    last_hash: [u8; 32],
    last_id: Option<String>,
    key_index: usize,
}

impl Verifier {
    /// A verifier of the branch that this header begins.
    pub fn new(header: &Header) -> Verifier {
        let verifier = Verifier::of_all(header.ledger_keys.clone(), header.events);
        Verifier { before: header.common_seq_no, last_hash: header.common_hash, ..verifier }
    }

    /// A verifier of a whole ledger of so many events, from event 1 on.
    pub fn of_all(ledger_keys: Vec<[u8; 32]>, events: u64) -> Verifier {
        let kids = ledger_keys.iter().map(kid_of).collect();
        Verifier { ledger_keys, kids, before: 0, events, taken: 0, last_hash: [0; 32], last_id: None, key_index: 0 }
    }

    /// Verifies the next event: number, id, link, hash, key and signature.
    ///
    /// # Errors
    /// `chain-broken` with the number and both values.
    pub fn take(&mut self, event: &Event) -> Checked<()> {
        let expected = self.before + self.taken + 1;
        let broken = |found: String| Err(Fault::new(Rule::ChainBroken, format!("event {expected}: {found}")));
        if event.seq_no != expected || self.taken == self.events {
            return broken(format!("event {} found, {} of {} taken", event.seq_no, self.taken, self.events));
        }
        let follows = match &self.last_id {
            Some(last) => event_id_follows(Some(last), &event.event_id),
            // What the last common event is called is not in the file.
            None => split_event_id(&event.event_id).is_some(),
        };
        if !follows {
            return broken(format!("event id {:?} found behind {:?}", event.event_id, self.last_id.as_deref().unwrap_or("none")));
        }
        if event.prev_event_hash != self.last_hash {
            let (found, expected) = (hex::encode(event.prev_event_hash), hex::encode(self.last_hash));
            return broken(format!("previous hash {found} found; {expected} expected"));
        }
        let hash = event.hash_again();
        if event.event_hash != hash {
            return broken(format!("hash {} found; {} expected", hex::encode(event.event_hash), hex::encode(hash)));
        }
        // Keys follow one another, as in the ledger.
        let known = self.kids.iter().skip(self.key_index).position(|kid| *kid == event.public_key_id);
        let Some(key_index) = known.map(|behind| behind + self.key_index) else {
            return broken(format!("key {} found; one of the ledger keys, in its turn, expected", event.public_key_id));
        };
        if !self.ledger_keys.get(key_index).is_some_and(|key| signature_holds(key, &hash, &event.signature)) {
            return broken(format!("signature {} found; one by key {} expected", hex::encode(&event.signature[..8]), event.public_key_id));
        }
        (self.key_index, self.last_hash, self.last_id) = (key_index, hash, Some(event.event_id.clone()));
        self.taken += 1;
        Ok(())
    }

    /// Ends: every event that the header counts was taken. Answers with the hash of the last one.
    ///
    /// # Errors
    /// `chain-broken` with both counts.
    pub fn end(&self) -> Checked<[u8; 32]> {
        if self.taken == self.events {
            return Ok(self.last_hash);
        }
        Err(Fault::new(Rule::ChainBroken, format!("{} events found; {} expected", self.taken, self.events)))
    }
}

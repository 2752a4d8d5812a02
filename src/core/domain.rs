//! A proposer's domain, `alice@42`: numbered snapshots of a folder, in the same log, records and events as Common (SPEC 5.5, 7.9, 8.10).
//!
//! Common's writer is the witness, a domain's writer is its owner; nobody judges. The fold checks what it reads: each snapshot takes the next
//! number, is signed by the owner's member key, and its record is the one that follows from it.

use std::collections::BTreeMap;

use super::cbor::Canonical;
use super::cose::{Envelope, PaperKind, enrollable_key, verify_signature};
use super::event::{Event, EventType};
use super::ids::{Hash, Head, Name, Origin};
use super::lines::{Lines, with_sum};
use super::note::{Checkpoint, Note, VerifierKey, assemble};
use super::objects::{HeldObject, Inside};
use super::payload::{Closed, Opened, Ruling, Sealed};
use super::plan::digest;
use super::record::{Record, RecordKind};
use super::rules::{Checked, Fault, Rule};
use super::snapshot::Snapshot;
use super::state::State;
use super::tree::{Log, leaf_hash};
use super::verdict::Verdict;

/// The one name that a domain's state holds.
const STATE_NAME: &str = "tree";

/// Whose domain it is: the file `domain` beside its ledger (SPEC 8.10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The log key that signs checkpoints; its name is the domain's origin.
    pub log: VerifierKey,
    /// The key that signs the ledger's events.
    pub ledger_public: [u8; 32],
    /// The owner's member key, which signs snapshots.
    pub member_public: [u8; 32],
    /// The instance of the ledger, 16 bytes.
    pub instance: [u8; 16],
}

impl Identity {
    /// The file: six lines, the last a checksum of those before it.
    pub fn text(&self) -> String {
        with_sum(format!(
            "tabellion-domain v1\nvkey {}\nledger ed25519:{}\nmember ed25519:{}\ninstance {}\n",
            self.log,
            hex::encode(self.ledger_public),
            hex::encode(self.member_public),
            hex::encode(self.instance)
        ))
    }

    /// Reads the file.
    ///
    /// # Errors
    /// `ledger-fault` naming the line.
    pub fn parse(text: &str) -> Checked<Identity> {
        let mut lines = Lines::new(text, Rule::LedgerFault);
        lines.exact("tabellion-domain v1")?;
        let log: VerifierKey = lines.parsed("vkey")?;
        if !log.name().is_domain() {
            return Err(lines.fault(format!("found vkey of {}; expected one of a domain, whose origin ends in /~name", log.name())));
        }
        let key = |text: &str| Hash::from_hex(text.strip_prefix("ed25519:")?).map(|hash| hash.0);
        let ledger_public = lines.read("ledger", "ed25519: and 64 lower-case hex digits", key)?;
        let member_public = lines.read("member", "ed25519: and 64 lower-case hex digits", key)?;
        let instance = lines.read("instance", "32 lower-case hex digits", |text| {
            let bytes = hex::decode(text).ok().filter(|bytes| hex::encode(bytes) == text)?;
            bytes.try_into().ok()
        })?;
        lines.sum()?;
        Ok(Identity { log, ledger_public, member_public, instance })
    }

    /// The domain's global name.
    pub fn origin(&self) -> &Origin {
        self.log.name()
    }

    /// What stands behind the `~`: `alice`.
    pub fn owner(&self) -> &str {
        self.origin().as_str().rsplit("/~").next().unwrap_or_default()
    }
}

/// One number of a domain.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its number and root.
    pub head: Head,
    /// What was signed.
    pub snapshot: Snapshot,
    /// Its envelope.
    pub envelope: Envelope,
    /// Its record.
    pub record: Record,
    /// Content that no earlier pack holds, with sizes; it is in this number's.
    pub pack: BTreeMap<Hash, u64>,
    /// How its session ended.
    pub closed: Option<Closed>,
    /// Hash of the `closed` event.
    pub closed_hash: [u8; 32],
    /// Signature lines of its checkpoint.
    pub sealed: Option<String>,
}

/// A snapshot decided; made only by [`Domain::plan`].
pub struct SnapshotPlan {
    /// What the session opens with.
    pub opened: Opened,
    /// The answer, with its record.
    pub ruling: Ruling,
    /// The head after it.
    pub after: Head,
    /// The state root after it.
    pub state_root: Hash,
    /// Content that no earlier pack holds, ascending.
    pub pack: Vec<Hash>,
}

/// Everything that follows from a domain's events.
#[derive(Clone)]
pub struct Domain {
    identity: Identity,
    log: Log,
    kept: Vec<Kept>,
    opened: Option<Opened>,
    packed: BTreeMap<Hash, u64>,
    next_index: u64,
}

fn broken(found: impl Into<String>) -> Fault {
    Fault::new(Rule::LedgerFault, found)
}

/// The state of a domain whose last snapshot is `snapshot`.
fn state_of(snapshot: &Snapshot) -> Checked<State> {
    let mut state = State::default();
    state.put(STATE_NAME.parse::<Name>()?, snapshot.tree.clone());
    Ok(state)
}

/// The record that a snapshot makes (SPEC 4.4).
fn record_of(snapshot: &Snapshot, envelope: &Envelope) -> Checked<Record> {
    Ok(Record {
        number: snapshot.sequence,
        kind: RecordKind::Proposal,
        pid: envelope.pid(),
        env: envelope.env(),
        state_root: state_of(snapshot)?.root(),
        policy: Hash::ZERO,
        ledger_head: [0; 32],
        session: snapshot.sequence,
        time: snapshot.time,
        keys: None,
        next: None,
        judged: Hash::ZERO,
        epoch: None,
        new_policy: None,
    })
}

impl Domain {
    /// A domain without a snapshot.
    pub fn new(identity: Identity) -> Domain {
        Domain { identity, log: Log::default(), kept: Vec::new(), opened: None, packed: BTreeMap::new(), next_index: 0 }
    }

    /// Folds one event in.
    ///
    /// # Errors
    /// `ledger-fault` when the event contradicts what came before it; parse faults of its payload.
    pub fn apply(&mut self, event: &Event) -> Checked<()> {
        let (session, index) = match event.event_type {
            EventType::Opened => (self.next_number(), 0),
            _ => (self.opened.as_ref().map_or(0, |opened| opened.session), self.next_index),
        };
        if event.event_id != format!("{session}/{index}") {
            return Err(broken(format!("event {} has the id {}; {session}/{index} expected", event.seq_no, event.event_id)));
        }
        match (event.event_type, index) {
            (EventType::Opened, 0) => self.open(Opened::from_cbor(&event.payload)?, event)?,
            (EventType::Verdict, 1) => self.keep(Ruling::from_cbor(&event.payload)?)?,
            (EventType::Closed, 2) => self.close(Closed::from_cbor(&event.payload)?, event.event_hash)?,
            (EventType::Sealed, 3) => self.seal(Sealed::from_cbor(&event.payload)?)?,
            (other, _) => return Err(broken(format!("event {} is of type {}, which has no place there", event.event_id, other.as_str()))),
        }
        self.next_index = index + 1;
        Ok(())
    }

    fn open(&mut self, opened: Opened, event: &Event) -> Checked<()> {
        if self.kept.last().is_some_and(|kept| kept.sealed.is_none()) {
            return Err(broken(format!("session {} is opened before the one before it is sealed", opened.session)));
        }
        let expected = (self.next_number(), self.head(), Hash::ZERO, event.timestamp);
        let found = (opened.session, opened.before, opened.policy, opened.time.unwrap_or(0));
        if found != expected {
            return Err(broken(format!("session (number, head, policy, time) {found:?} opened; {expected:?} expected")));
        }
        self.opened = Some(opened);
        Ok(())
    }

    fn keep(&mut self, ruling: Ruling) -> Checked<()> {
        let opened = self.opened.as_ref().ok_or_else(|| broken("a verdict before the first session"))?;
        let snapshot = self.read(&ruling.envelope)?;
        let expected = record_of(&snapshot, &ruling.envelope)?;
        if ruling.verdict != Verdict::Accepted || ruling.record.as_ref() != Some(&expected) {
            return Err(broken(format!("record {:?} found; {expected:?} follows from the snapshot", ruling.record)));
        }
        if opened.judged != [(ruling.pid, ruling.envelope.env())] || opened.time != snapshot.time {
            return Err(broken(format!("snapshot {} is answered but was not opened", ruling.pid)));
        }
        let mut pack = BTreeMap::new();
        for (hash, object) in &ruling.objects {
            if self.packed.insert(*hash, object.size).is_none() {
                pack.insert(*hash, object.size);
            }
        }
        let head = self.log.push(leaf_hash(&expected.to_entry()?));
        let kept =
            Kept { head, snapshot, envelope: ruling.envelope, record: expected, pack, closed: None, closed_hash: [0; 32], sealed: None };
        self.kept.push(kept);
        Ok(())
    }

    /// A snapshot that may become the next number: of this domain, in its place, signed by its owner and nobody else.
    fn read(&self, envelope: &Envelope) -> Checked<Snapshot> {
        if envelope.kind != PaperKind::Snapshot {
            return Err(broken(format!("a {} found; {} expected", envelope.kind.media_type(), PaperKind::Snapshot.media_type())));
        }
        let snapshot = Snapshot::from_cbor(&envelope.payload)?;
        if snapshot.origin != *self.identity.origin() || snapshot.sequence != self.next_number() {
            let found = format!(
                "snapshot {} of {}; {} of {} expected",
                snapshot.sequence,
                snapshot.origin,
                self.next_number(),
                self.identity.origin()
            );
            return Err(broken(found));
        }
        let key = enrollable_key(&self.identity.member_public)?;
        let signed = envelope.signers.len() == 1
            && envelope.signers.iter().all(|signer| verify_signature(&key, PaperKind::Snapshot, signer, &envelope.payload));
        if !signed {
            let owner = hex::encode(self.identity.member_public);
            return Err(broken(format!("snapshot {} is not signed by ed25519:{owner} alone", snapshot.sequence)));
        }
        Ok(snapshot)
    }

    fn close(&mut self, closed: Closed, hash: [u8; 32]) -> Checked<()> {
        let head = self.head();
        let kept = self.kept.last_mut().ok_or_else(|| broken("a session closes before the first snapshot"))?;
        let expected = (kept.record.number, head, kept.record.state_root, !kept.pack.is_empty());
        let found = (closed.session, closed.after, closed.state_root, closed.pack.is_some());
        if found != expected {
            return Err(broken(format!("session closes on (number, head, state root, pack) {found:?}; {expected:?} follows")));
        }
        (kept.closed, kept.closed_hash) = (Some(closed), hash);
        Ok(())
    }

    fn seal(&mut self, sealed: Sealed) -> Checked<()> {
        let number = self.head().number;
        let text = self.checkpoint_text(number)?;
        let log = &self.identity.log;
        let [(sealed_number, lines)] = sealed.checkpoints.as_slice() else {
            return Err(broken(format!("session {number} is sealed with {} checkpoints; 1 expected", sealed.checkpoints.len())));
        };
        if (*sealed_number, sealed.session, sealed.notes.len()) != (number, number, 0) {
            return Err(broken(format!("session {} is sealed for {sealed_number}; {number} expected", sealed.session)));
        }
        Note::parse(assemble(&text, lines).as_bytes())?.verify(log)?;
        if let Some(kept) = self.kept.last_mut() {
            kept.sealed = Some(lines.clone());
        }
        Ok(())
    }

    /// Decides the next snapshot: its number, record and what is new in it. `objects` are the tree and its members, with their sizes.
    ///
    /// # Errors
    /// `ledger-fault` when the envelope is not the next snapshot of this domain.
    pub fn plan(&self, envelope: Envelope, objects: BTreeMap<Hash, u64>) -> Checked<SnapshotPlan> {
        let snapshot = self.read(&envelope)?;
        let (record, state) = (record_of(&snapshot, &envelope)?, state_of(&snapshot)?);
        let mut log = self.log.clone();
        let after = log.push(leaf_hash(&record.to_entry()?));
        let pack = objects.keys().filter(|hash| !self.packed.contains_key(hash)).copied().collect();
        let judged = vec![(envelope.pid(), envelope.env())];
        let ruling = Ruling {
            pid: envelope.pid(),
            verdict: Verdict::Accepted,
            envelope,
            objects: objects.into_iter().map(|(hash, size)| (hash, HeldObject { size, inside: Inside::Closed })).collect(),
            record: Some(record),
            held: None,
        };
        let plan_digest = digest(snapshot.sequence, after, &state, std::slice::from_ref(&ruling));
        let opened =
            Opened { session: snapshot.sequence, before: self.head(), policy: Hash::ZERO, judged, time: snapshot.time, plan_digest };
        Ok(SnapshotPlan { opened, ruling, after, state_root: state.root(), pack })
    }

    /// Whose domain it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The newest number and root.
    pub fn head(&self) -> Head {
        self.log.head()
    }

    /// The number that the next snapshot takes.
    pub fn next_number(&self) -> u64 {
        self.log.size() + 1
    }

    /// Every snapshot, ascending.
    pub fn kept(&self) -> &[Kept] {
        &self.kept
    }

    /// The snapshot of a number.
    pub fn at(&self, number: u64) -> Option<&Kept> {
        self.kept.get(usize::try_from(number.checked_sub(1)?).ok()?)
    }

    /// The number that is committed but not signed yet.
    pub fn unsealed(&self) -> Option<u64> {
        self.kept.last().filter(|kept| kept.sealed.is_none()).map(|kept| kept.record.number)
    }

    /// Whether what was read ends with a whole session, sealed or not.
    pub fn is_between_sessions(&self) -> bool {
        self.opened.is_none() || self.next_index > 2
    }

    /// The text that the log key signs for a number.
    ///
    /// # Errors
    /// `internal-fault` when the domain is shorter.
    pub fn checkpoint_text(&self, number: u64) -> Checked<String> {
        let kept = self.at(number).ok_or_else(|| Fault::new(Rule::InternalFault, format!("{number} of {} asked for", self.head())))?;
        Ok(Checkpoint { origin: self.identity.origin().clone(), head: kept.head }.text())
    }
}

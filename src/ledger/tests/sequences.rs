//! The ledger against [the model](super::model): random sequences of operations and failures, everything read back compared.
//!
//! A failure names the seed of its sequence and tells the steps. `TABELLION_SEQUENCES` sets another number of sequences,
//! `TABELLION_SEQUENCE` runs the one with the seed that a failure named. Whether a commit is on the disk is not asked here: that is for the
//! tests of lost writes, and so the files may lie in memory.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use fastrand::Rng;
use rusqlite::{Connection, params};
use tempfile::TempDir;

use super::super::{CheckInput, DATABASE_FILE, Health, Ledger, NewEvent};
use super::model::{Id, Kept, Model, Offer, RecordOffer, Refused, Spoilt, UINT_MAX, What, kid, secret, sign, spoil};
use crate::core::event::{Event, EventSigner, EventType};
use crate::core::ids::Hash;
use crate::core::rules::{Checked, Fault, Rule};

const SEED: u64 = 0x1ED6_E200_0000;
const SEQUENCES: u64 = 250;
/// Sequences at once, far more than processors: whoever finds the lock taken asks for it a quarter of a second, and that is not lost then.
const THREADS: u64 = 32;
/// Seed of the ledger key that every sequence begins with.
const FIRST_KEY: u8 = 1;

/// A ledger key that can be told to spoil one of its next signatures.
struct Hand {
    seed: u8,
    spoilt: Mutex<Option<(usize, Spoilt)>>,
}

impl EventSigner for Hand {
    fn public_key(&self) -> [u8; 32] {
        secret(self.seed).verifying_key().to_bytes()
    }
    fn sign_event(&self, event_hash: &[u8; 32]) -> [u8; 64] {
        let mut spoilt = self.spoilt.lock().unwrap();
        match *spoilt {
            Some((0, how)) => {
                *spoilt = None;
                spoil(self.seed, event_hash, how)
            }
            Some((left, how)) => {
                *spoilt = Some((left - 1, how));
                sign(self.seed, event_hash)
            }
            None => sign(self.seed, event_hash),
        }
    }
}

/// A key of small order: whoever has it can make one signature fit everything.
struct WeakHand;

impl EventSigner for WeakHand {
    fn public_key(&self) -> [u8; 32] {
        std::array::from_fn(|at| u8::from(at == 0))
    }
    fn sign_event(&self, _: &[u8; 32]) -> [u8; 64] {
        [0; 64]
    }
}

fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("tabellion-model-").tempdir_in(parent).unwrap()
}

/// The database of an empty ledger: making each anew would be most of the work.
fn template() -> &'static [u8] {
    static TEMPLATE: OnceLock<Vec<u8>> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let dir = folder();
        drop(Ledger::create(dir.path(), &[7; 16], hand(FIRST_KEY)).unwrap());
        std::fs::read(dir.path().join(DATABASE_FILE)).unwrap()
    })
}

fn hand(seed: u8) -> Arc<Hand> {
    Arc::new(Hand { seed, spoilt: Mutex::new(None) })
}

fn foreign(dir: &Path) -> Connection {
    #[allow(clippy::disallowed_methods)] // another program at the ledger's file
    let db = Connection::open(dir.join(DATABASE_FILE)).unwrap();
    db.busy_timeout(std::time::Duration::ZERO).unwrap();
    db
}

/// What a step looks like before it happens, so that a process can end there.
const STEPS: [&str; 3] = ["append events", "commit", "acknowledge"];

/// One ledger, its model, and whatever else has it open.
struct World {
    rng: Rng,
    dir: TempDir,
    ledger: Option<Ledger>,
    hand: Arc<Hand>,
    model: Model,
    unlocked: bool,
    /// Whether a check has passed since the ledger was opened, or it was made here.
    checked: bool,
    latched: bool,
    reader: Option<(Connection, usize)>,
    told: Vec<String>,
}

/// What a sequence came to, so that a generator which never gets anywhere is seen.
#[derive(Default)]
struct Tally {
    events: AtomicU64,
    refusals: AtomicU64,
    latches: AtomicU64,
    crashes: AtomicU64,
    spoilt: AtomicU64,
    large: AtomicU64,
    epochs: AtomicU64,
}

impl World {
    fn new(seed: u64) -> World {
        let (mut rng, dir, hand) = (Rng::with_seed(seed), folder(), hand(FIRST_KEY));
        let checked = rng.u32(..40) == 0;
        let ledger = if checked {
            Ledger::create(dir.path(), &[7; 16], hand.clone()).unwrap()
        } else {
            std::fs::write(dir.path().join(DATABASE_FILE), template()).unwrap();
            let mut ledger = Ledger::open(dir.path()).unwrap();
            ledger.unlock(hand.clone()).unwrap();
            ledger
        };
        ledger.db.busy_timeout(std::time::Duration::ZERO).unwrap();
        let model = Model { seeds: vec![FIRST_KEY], ..Model::default() };
        World { rng, dir, ledger: Some(ledger), hand, model, unlocked: true, checked, latched: false, reader: None, told: Vec::new() }
    }

    fn ledger(&self) -> &Ledger {
        self.ledger.as_ref().unwrap()
    }

    fn tell(&mut self, what: String) {
        self.told.push(what);
    }

    fn one_in(&mut self, many: u32) -> bool {
        self.rng.u32(..many) == 0
    }

    fn step(&mut self, tally: &Tally) {
        match self.rng.u32(..100) {
            0..=44 => self.commit(tally),
            45..=50 => self.disk_full(tally),
            51..=58 => self.crash(tally),
            59..=63 => self.blocked(tally),
            64..=71 => self.on_our_connection(),
            72..=76 => self.touch(),
            77..=80 => self.reader(),
            81..=84 => self.another_ledger(),
            85..=88 => self.look_up(),
            89..=91 => self.check(),
            92..=93 => self.relock(),
            94..=96 => self.rotate(),
            _ => self.reopen(),
        }
        if self.latched {
            self.refuses_everything();
            self.reopen();
        } else if !self.unlocked && !self.one_in(4) {
            self.unlock();
        } else if !self.checked && !self.one_in(8) {
            self.start();
        }
        if !self.latched {
            assert_eq!(self.ledger().head().unwrap(), self.model.head(), "head");
        }
    }
}

// What is offered.
impl World {
    fn id(&mut self) -> Id {
        let Some(last) = self.model.events.last().map(|event| event.id) else {
            return match self.rng.u32(..12) {
                0 => Id::At(0, 1),
                1 => Id::Text("0/".into()),
                2 | 3 => Id::At(1, 0),
                _ => Id::At(0, 0),
            };
        };
        let texts = ["", "/", "0", "1/+1", "01/0", "1/00", "1/0/0", " 1/0", "9007199254740992/0", "18446744073709551616/0", "1/0\0", "x/0"];
        match self.rng.u32(..120) {
            0 => Id::At(last.0, last.1),
            1 => Id::At(last.0, last.1 + 2),
            2 => Id::At(last.0 + 1, 1),
            3 => match last.0.checked_sub(1) {
                Some(earlier) => Id::At(earlier, last.1 + 1),
                None => Id::At(0, 0),
            },
            4 => Id::Text((*self.rng.choice(&texts).unwrap()).into()),
            5..=16 => Id::At(last.0 + self.rng.u64(1..4), 0),
            17 if last.0 < 1 << 40 => Id::At(last.0 + (1 << 40), 0),
            _ => Id::At(last.0, last.1 + 1),
        }
    }

    fn pid(&mut self) -> [u8; 32] {
        let known = self.model.verdicts.keys().copied().collect::<Vec<_>>();
        match self.rng.choice(&known) {
            Some(pid) if self.rng.u32(..20) == 0 => *pid,
            _ => std::array::from_fn(|_| self.rng.u8(..)),
        }
    }

    /// A record that would be the `index`-th of its event.
    fn record(&mut self, index: u64, epoch: &mut u64) -> RecordOffer {
        let next = self.model.records.len() as u64 + 1 + index;
        let number = match self.rng.u32(..150) {
            0 => next + 1,
            1 => next - 1,
            2 => 0,
            3 => UINT_MAX + 1,
            _ => next,
        };
        let right = self.model.ledger_head().unwrap_or([0; 32]);
        let earlier = self.model.events.iter().map(|event| event.hash).collect::<Vec<_>>();
        let ledger_head = match self.rng.u32(..80) {
            0 => *self.rng.choice(&earlier).unwrap_or(&[1; 32]),
            1 => [0; 32],
            _ => right,
        };
        let named = match self.rng.u32(..60) {
            0..=8 => Some(*epoch + self.rng.u64(..3)),
            9 => Some(epoch.saturating_sub(1)),
            10 => Some(*epoch),
            _ => None,
        };
        *epoch = named.unwrap_or(*epoch);
        let lacks = self.one_in(100).then(|| *self.rng.choice(&[1, 3, 7, 8]).unwrap());
        let session = self.rng.u64(..50);
        RecordOffer { number, pid: self.pid(), ledger_head, session, epoch: named, lacks }
    }

    fn bad_cbor(&mut self) -> Vec<u8> {
        let mut large = vec![0x5a];
        large.extend(70_000u32.to_be_bytes());
        large.extend([9; 70_001]);
        let deep = [vec![0x81; 17], vec![0]].concat();
        let short = ["", "1817", "a0a0", "a1", "a200000000", "f6", "fb3ff0000000000000", "9fff", "61ff", "a16000", "d863a0", "5801"];
        match self.rng.usize(..short.len() + 2) {
            0 => large,
            1 => deep,
            other => hex::decode(short[other - 2]).unwrap(),
        }
    }

    fn what(&mut self) -> What {
        let mut epoch = self.model.epoch();
        let plain = [EventType::Notice, EventType::Closed, EventType::Sealed, EventType::Halt, EventType::Resume, EventType::Recover];
        match self.rng.u32(..100) {
            0..=14 => What::Plain(EventType::Opened),
            15..=39 => What::Verdict { pid: Some(self.pid()), record: Some(self.record(0, &mut epoch)) },
            40..=54 => What::Verdict { pid: Some(self.pid()), record: None },
            55 => What::Verdict { pid: None, record: None },
            56..=63 => {
                let records = self.rng.u64(..4);
                What::Adopted((0..records).map(|index| self.record(index, &mut epoch)).collect())
            }
            64..=65 => What::Bad(*self.rng.choice(&EventType::ALL).unwrap(), self.bad_cbor()),
            _ => What::Plain(*self.rng.choice(&plain).unwrap()),
        }
    }

    fn offer(&mut self) -> Offer {
        let (id, what) = (self.id(), self.what());
        let timestamp = match self.rng.u32(..150) {
            0 => UINT_MAX,
            1 => UINT_MAX + 1,
            2 => i64::MAX as u64,
            3 => i64::MAX as u64 + 1,
            4 => u64::MAX,
            5..=50 => 0,
            _ => self.rng.u64(1_700_000_000..1_800_000_000),
        };
        // Around the longest payload that stands in its own row: of a plain map all but 5 bytes are padding.
        let padding = match self.rng.u32(..40) {
            0 | 1 => Some(65_536 - 5 - 4 + self.rng.usize(..10)),
            2 => Some(70_000),
            3..=20 => Some(self.rng.usize(..600)),
            _ => None,
        };
        Offer { id, timestamp, what, padding }
    }

    /// Events that follow one another as long as nothing is wrong with them.
    fn offers(&mut self) -> Vec<Offer> {
        let (before, count) = (self.model.events.len(), if self.one_in(2) { 1 } else { self.rng.usize(1..9) });
        let mut offers = Vec::new();
        for _ in 0..count {
            let offer = self.offer();
            // The next is made behind this one; what is refused is offered all the same.
            let length = self.model.events.len();
            if self.model.accept(&offer, self.hand.seed, None).is_err() {
                self.model.back_to(length);
            }
            offers.push(offer);
        }
        self.model.back_to(before);
        offers
    }
}

fn new_events(offers: &[Offer]) -> Vec<NewEvent> {
    let event = |offer: &Offer| NewEvent {
        event_id: offer.event_id(),
        timestamp: offer.timestamp,
        event_type: offer.event_type(),
        payload: offer.payload(),
    };
    offers.iter().map(event).collect()
}

fn short(offers: &[Offer]) -> String {
    let mut text = format!("{offers:?}");
    text.truncate(text.char_indices().nth(600).map_or(text.len(), |(at, _)| at));
    text
}

fn assert_refused<T: std::fmt::Debug>(outcome: Checked<T>, refused: &Refused) {
    let fault = outcome.expect_err(&format!("{refused:?}"));
    assert_eq!(fault.rule, refused.rule, "{fault}");
    assert!(refused.words.iter().any(|word| fault.found.contains(word.as_str())), "{fault} found; one of {:?} expected", refused.words);
}

fn refusal(rule: Rule, word: &str) -> Refused {
    Refused { rule, words: vec![word.to_owned()] }
}

fn is_of_signature(outcome: &Result<[u8; 32], Refused>) -> bool {
    outcome.as_ref().is_err_and(|refused| refused.words.iter().any(|word| word.ends_with(": signature ")))
}

// Appending, and what can happen to it.
impl World {
    /// What a commit on this head must answer; the model has the events behind it when it is taken.
    fn foreseen(&mut self, head: Option<[u8; 32]>, offers: &[Offer], spoilt: Option<(usize, Spoilt)>) -> Result<[u8; 32], Refused> {
        if !self.unlocked {
            return Err(refusal(Rule::InternalFault, "a locked ledger"));
        }
        if !self.checked {
            return Err(refusal(Rule::InternalFault, "an unchecked ledger"));
        }
        if offers.is_empty() {
            return Err(refusal(Rule::InternalFault, "0 events to append"));
        }
        if head != self.model.head() {
            let word = |head: Option<[u8; 32]>| head.map_or("no event".to_owned(), hex::encode);
            let words = format!("last event {} found; {} expected", word(self.model.head()), word(head));
            return Err(refusal(Rule::HeadUnexpected, &words));
        }
        self.model.commit(offers, self.hand.seed, spoilt)
    }

    fn count(&self, tally: &Tally, before: usize, outcome: &Result<[u8; 32], Refused>) {
        tally.refusals.fetch_add(u64::from(outcome.is_err()), Ordering::Relaxed);
        for event in self.model.events.iter().skip(before) {
            tally.events.fetch_add(1, Ordering::Relaxed);
            tally.large.fetch_add(u64::from(event.payload.len() > 65_536), Ordering::Relaxed);
            tally.epochs.fetch_add(u64::from(event.epoch > 1), Ordering::Relaxed);
        }
    }

    fn wrong_head(&mut self) -> Option<[u8; 32]> {
        let earlier = self.model.events.iter().rev().skip(1).map(|event| event.hash).collect::<Vec<_>>();
        match self.rng.u32(..3) {
            0 => self.rng.choice(&earlier).copied(),
            1 => Some([0; 32]),
            _ => None,
        }
    }

    fn commit(&mut self, tally: &Tally) {
        let offers = if self.one_in(50) { Vec::new() } else { self.offers() };
        let head = if self.one_in(15) { self.wrong_head() } else { self.model.head() };
        let how = if self.rng.bool() { Spoilt::Garbage } else { Spoilt::AnotherKey };
        let spoilt = self.one_in(15).then(|| (self.rng.usize(..offers.len().max(1)), how));
        self.tell(format!("commit on {:?}, spoilt {spoilt:?}: {}", head.map(hex::encode), short(&offers)));
        let before = self.model.events.len();
        *self.hand.spoilt.lock().unwrap() = spoilt;
        let outcome = self.ledger.as_mut().unwrap().commit(head, &new_events(&offers)).map_err(|error| error.fault);
        *self.hand.spoilt.lock().unwrap() = None;
        let foreseen = self.foreseen(head, &offers, spoilt);
        self.count(tally, before, &foreseen);
        let within = spoilt.is_some_and(|(at, _)| at + 1 < offers.len());
        tally.spoilt.fetch_add(u64::from(within && is_of_signature(&foreseen)), Ordering::Relaxed);
        match foreseen {
            Ok(head) => assert_eq!(outcome.unwrap(), head),
            Err(refused) => assert_refused(outcome, &refused),
        }
        assert!(!self.ledger().is_poisoned(), "a refusal is no I/O error");
    }

    /// No page more than there is: SQLite answers as on a full disk.
    fn disk_full(&mut self, tally: &Tally) {
        let (offers, head, before) = (self.offers(), self.model.head(), self.model.clone());
        self.tell(format!("commit on a full disk: {}", short(&offers)));
        let pages: i64 = self.ledger().db.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        self.ledger().db.execute_batch(&format!("PRAGMA max_page_count = {pages}")).unwrap();
        let outcome = self.ledger.as_mut().unwrap().commit(head, &new_events(&offers)).map_err(|error| error.fault);
        self.ledger().db.execute_batch("PRAGMA max_page_count = 4294967294").unwrap();
        let foreseen = self.foreseen(head, &offers, None);
        if !self.ledger().is_poisoned() {
            // There was room enough in the pages, or something else was refused first.
            match foreseen {
                Ok(head) => assert_eq!(outcome.unwrap(), head),
                Err(refused) => assert_refused(outcome, &refused),
            }
            return;
        }
        tally.latches.fetch_add(1, Ordering::Relaxed);
        assert_refused(outcome, &refusal(Rule::DiskFault, "full"));
        self.latched = true;
        self.after_failed_commit(before);
    }

    /// After a failed commit either all of its events are there or none: the model takes the state that is found, if it is one of the two.
    fn after_failed_commit(&mut self, before: Model) {
        let found: i64 = foreign(self.dir.path()).query_row("SELECT count(*) FROM events", [], |row| row.get(0)).unwrap();
        if found == before.events.len() as i64 {
            self.model = before;
        }
        assert_eq!(found, self.model.events.len() as i64, "a part of the events of a failed commit");
    }

    fn refuses_everything(&mut self) {
        let (events, head) = (new_events(&self.offers()), self.model.head());
        let ledger = self.ledger.as_mut().unwrap();
        let earlier = refusal(Rule::DiskFault, "an earlier I/O error found");
        assert_refused(ledger.commit(head, &events).map_err(|error| error.fault), &earlier);
        assert_refused(ledger.unlock(hand(FIRST_KEY)), &earlier);
        assert_refused(ledger.head(), &earlier);
        assert_refused(ledger.latest(), &earlier);
        assert_refused(ledger.by_seq_no(1), &earlier);
        assert_refused(ledger.for_each(1, |_| Ok(())), &earlier);
        assert_refused(ledger.seq_no_of_record(1), &earlier);
        assert_refused(ledger.seq_no_of_verdict(&Hash([0; 32])), &earlier);
        assert_refused(ledger.start_up_check(&CheckInput { ledger_keys: &[], deep: false, must_hold: &[] }), &earlier);
    }

    /// The process goes away at a step of a commit: what it leaves in its folder goes on, or it unwinds and goes on itself.
    fn crash(&mut self, tally: &Tally) {
        let (offers, head, at) = (self.offers(), self.model.head(), *self.rng.choice(&STEPS).unwrap());
        let (unwinds, left) = (self.rng.bool(), folder());
        self.tell(format!("the process goes away before {at:?} (unwinds: {unwinds}): {}", short(&offers)));
        let (ledger, dir, events) = (self.ledger.as_mut().unwrap(), self.dir.path(), new_events(&offers));
        let mut gone = false;
        let mut observe = |step: &'static str| {
            if step == at {
                gone = true;
                if unwinds {
                    std::panic::resume_unwind(Box::new("gone"));
                }
                copy(dir, left.path());
            }
        };
        let commit = std::panic::AssertUnwindSafe(|| ledger.commit_observed(head, &events, &mut observe));
        let outcome = std::panic::catch_unwind(commit);
        let before = self.model.events.len();
        let foreseen = self.foreseen(head, &offers, None);
        if !gone {
            return assert_refused(outcome.unwrap().map_err(|error| error.fault), &foreseen.expect_err("a refusal before the step"));
        }
        tally.crashes.fetch_add(1, Ordering::Relaxed);
        if at != "acknowledge" {
            self.model.back_to(before);
        }
        if !unwinds {
            self.reader = None;
            self.ledger = None;
            self.dir = left;
        }
        self.reopen();
    }

    /// Another program holds the database, without the functions.
    fn blocked(&mut self, tally: &Tally) {
        let (offers, head) = (self.offers(), self.model.head());
        self.tell(format!("another writer holds the database: {}", short(&offers)));
        if !self.unlocked || !self.checked {
            return;
        }
        let other = foreign(self.dir.path());
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let outcome = self.ledger.as_mut().unwrap().commit(head, &new_events(&offers)).map_err(|error| error.fault);
        assert_refused(outcome, &refusal(Rule::AnotherWriter, "a transaction of another program on ledger.db found"));
        assert!(!self.ledger().is_poisoned());
        for text in [
            "INSERT INTO append (event_id, timestamp, event_type, payload) VALUES ('9/0', 0, 'halt', x'a0')",
            "INSERT INTO records VALUES (99, 1, zeroblob(32), zeroblob(32), 0, 1)",
        ] {
            let error = other.execute_batch(text).expect_err(text).to_string();
            assert!(error.contains("no such function") || error.contains("RAISE") || error.contains("number"), "{error}");
        }
        drop(other);
        tally.refusals.fetch_add(1, Ordering::Relaxed);
    }

    /// SQL on the one connection that has the functions: a row that fits in every field is an event, any other is refused.
    fn on_our_connection(&mut self) {
        let (seed, epoch) = (self.hand.seed, self.model.epoch());
        let (last, number) = (self.model.events.last().map(|event| event.id), self.model.events.len() as u64 + 1);
        let id = last.map_or((0, 0), |(session, index)| (session, index + 1));
        let (mut event_id, mut claimed, mut payload, mut reference) =
            (format!("{}/{}", id.0, id.1), epoch, Some(vec![0xa0u8]), None::<Vec<u8>>);
        let mut prev = self.model.head().unwrap_or([0; 32]);
        let (mut key, mut seq_no, mut by) = (kid(seed), number, seed);
        let verb = *self.rng.choice(&["INSERT", "INSERT OR IGNORE", "INSERT OR REPLACE", "INSERT OR FAIL"]).unwrap();
        let defect = self.rng.u32(..11);
        let words = match defect {
            0 => "",
            1 => {
                seq_no += 1;
                "seq_no is not the next number"
            }
            2 => {
                seq_no = seq_no.saturating_sub(1);
                if seq_no == 0 { "tabellion_event_hash argument 1" } else { "seq_no is not the next number" }
            }
            3 => {
                prev[0] ^= 1;
                "prev_event_hash is not the hash of the last event"
            }
            4 => {
                event_id = format!("{}/{}", id.0, id.1 + 1);
                "event_id does not follow the last one"
            }
            5 => {
                claimed += 1;
                "writer_epoch is not the epoch in force"
            }
            6 => {
                by = seed + 1;
                "signature is not that of the unlocked ledger key"
            }
            7 => {
                key = kid(seed + 1);
                "signature is not that of the unlocked ledger key"
            }
            8 => {
                payload = Some(vec![0x18, 0x17]);
                "payload is not deterministic CBOR"
            }
            9 => {
                payload = Some([vec![0x59, 0xff, 0xfe], vec![0; 65_534]].concat());
                "exactly one of payload (at most 65536 bytes) and payload_ref is wanted"
            }
            _ => {
                reference = Some(vec![0x82, 0]);
                "exactly one of payload and payload_ref"
            }
        };
        self.tell(format!("{verb} on our connection with defect {defect}"));
        let hash = self.direct_hash(seq_no, &event_id, payload.as_deref().unwrap_or_default(), &prev, &key, claimed);
        let outcome = self.ledger().db.execute(
            &format!(
                "{verb} INTO events (seq_no, event_id, timestamp, event_type, payload, payload_ref, prev_event_hash, signature, public_key_id,
                 writer_epoch) VALUES (?1, ?2, 0, 'halt', ?3, ?4, ?5, ?6, ?7, ?8)"
            ),
            params![seq_no as i64, event_id, payload, reference, prev, sign(by, &hash), key, claimed as i64],
        );
        match outcome {
            Ok(_) => {
                assert!(defect == 0 && self.unlocked, "an event with a defect was taken: {words}");
                let kept = self.model.push(id, 0, EventType::Halt, vec![0xa0], seed, None);
                assert_eq!(kept.hash, hash);
            }
            Err(error) if self.unlocked => assert!(defect != 0 && error.to_string().contains(words), "{error} found; {words:?} expected"),
            Err(error) => {
                assert!(error.to_string().contains("no such function") || error.to_string().contains("unknown function"), "{error}")
            }
        }
    }

    /// The hash of a row as it is, true or not.
    fn direct_hash(&self, seq_no: u64, event_id: &str, payload: &[u8], prev: &[u8; 32], key: &[u8; 32], epoch: u64) -> [u8; 32] {
        use super::model::head;
        let mut input = vec![0x88];
        head(&mut input, 0, seq_no);
        head(&mut input, 3, event_id.len() as u64);
        input.extend(event_id.as_bytes());
        input.extend([0x00, 0x64]);
        input.extend(b"halt");
        head(&mut input, 2, payload.len() as u64);
        input.extend(payload);
        for value in [prev, key] {
            input.extend([0x58, 32]);
            input.extend(value);
        }
        head(&mut input, 0, epoch);
        blake3::derive_key("tabellion 2026 event v1", &input)
    }

    /// Statements that must change nothing, from our own connection and from another.
    fn touch(&mut self) {
        let texts = [
            "UPDATE events SET timestamp = 1",
            "UPDATE OR REPLACE events SET seq_no = seq_no + 1",
            "DELETE FROM events",
            "DELETE FROM events WHERE seq_no = (SELECT max(seq_no) FROM events)",
            "UPDATE verdicts SET seq_no = 1",
            "DELETE FROM verdicts",
            "UPDATE records SET writer_epoch = 99",
            "DELETE FROM records",
            "UPDATE payloads SET bytes = x'a0'",
            "DELETE FROM payloads",
            "INSERT OR REPLACE INTO records SELECT number, seq_no, pid, ledger_head, session, 99 FROM records",
            "INSERT OR REPLACE INTO verdicts SELECT pid, 1 FROM verdicts",
            "INSERT OR REPLACE INTO payloads SELECT sha256, x'a0' FROM payloads",
        ];
        let text = *self.rng.choice(&texts).unwrap();
        let ours = self.rng.bool();
        self.tell(format!("{text}, ours: {ours}"));
        let (rows, outcome) = {
            let other = foreign(self.dir.path());
            let db = if ours { &self.ledger().db } else { &other };
            let table = ["events", "verdicts", "records", "payloads"].into_iter().find(|table| text.contains(table)).unwrap();
            let rows: i64 = db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
            (rows, db.execute_batch(text))
        };
        assert!(rows == 0 || outcome.is_err(), "{text} was taken");
        self.whole();
    }
}

/// The files that a process which ends at once leaves behind; the shared-memory index is made anew from the log.
fn copy(from: &Path, to: &Path) {
    for name in [DATABASE_FILE.to_owned(), format!("{DATABASE_FILE}-wal")] {
        let source = from.join(&name);
        if source.exists() {
            std::fs::copy(&source, to.join(&name)).unwrap();
        }
    }
}

// Opening, keys, and reading.
impl World {
    fn unlock(&mut self) {
        self.tell("unlock".into());
        let hand = self.hand.clone();
        self.ledger.as_mut().unwrap().unlock(hand).unwrap();
        self.unlocked = true;
    }

    fn relock(&mut self) {
        self.tell("relock".into());
        self.ledger.as_mut().unwrap().relock().unwrap();
        self.unlocked = false;
    }

    fn rotate(&mut self) {
        if self.one_in(3) {
            self.tell("unlock with a weak key".into());
            assert_refused(self.ledger.as_mut().unwrap().unlock(Arc::new(WeakHand)), &refusal(Rule::KeyMismatch, "large order"));
            return;
        }
        // Now and then back to a key that was left behind: the ledger takes it, and the start-up check finds it.
        let old = self.model.seeds.clone();
        let seed = if self.one_in(6) { *self.rng.choice(&old).unwrap() } else { old.len() as u8 + 1 };
        self.tell(format!("rotate to key {seed}"));
        if !self.model.seeds.contains(&seed) {
            self.model.seeds.push(seed);
        }
        self.hand = hand(seed);
        self.unlock();
    }

    fn reopen(&mut self) {
        self.tell("reopen".into());
        self.ledger = None;
        let ledger = Ledger::open(self.dir.path()).unwrap();
        ledger.db.busy_timeout(std::time::Duration::ZERO).unwrap();
        self.ledger = Some(ledger);
        (self.unlocked, self.checked, self.latched) = (false, false, false);
        self.whole();
        let (events, head) = (new_events(&self.offers()), self.model.head());
        assert_refused(
            self.ledger.as_mut().unwrap().commit(head, &events).map_err(|error| error.fault),
            &refusal(Rule::InternalFault, "a locked ledger"),
        );
    }

    /// Another program reads: it sees one state as long as it wants, and keeps nobody from appending.
    fn reader(&mut self) {
        self.tell("reader".into());
        let count = |db: &Connection| db.query_row("SELECT count(*) FROM events", [], |row| row.get::<_, i64>(0)).unwrap() as usize;
        match self.reader.take() {
            Some((db, seen)) => assert_eq!(count(&db), seen, "the reader's state"),
            None => {
                let db = foreign(self.dir.path());
                db.execute_batch("BEGIN").unwrap();
                let seen = count(&db);
                assert_eq!(seen, self.model.events.len());
                self.reader = Some((db, seen));
            }
        }
    }

    fn another_ledger(&mut self) {
        self.tell("another ledger on the same folder".into());
        assert_refused(Ledger::open(self.dir.path()), &refusal(Rule::AnotherWriter, "a lock of another process found"));
        let twin = Ledger::create(self.dir.path(), &[7; 16], hand(FIRST_KEY));
        assert_refused(twin, &refusal(Rule::AnotherWriter, "a lock of another process found"));
        let mut read_only = Ledger::open_read_only(self.dir.path()).unwrap();
        compare_events(&read_only, &self.model, 1);
        let events = new_events(&self.offers());
        assert_refused(
            read_only.commit(self.model.head(), &events).map_err(|error| error.fault),
            &refusal(Rule::InternalFault, "a locked ledger"),
        );
        assert_refused(read_only.unlock(hand(FIRST_KEY)), &refusal(Rule::InternalFault, "read-only"));
    }

    fn look_up(&mut self) {
        self.tell("look up".into());
        let last = self.model.events.len() as u64;
        for seq_no in [0, 1, self.rng.u64(..last + 2), last, last + 1, i64::MAX as u64 + 1, u64::MAX] {
            let found = self.ledger().by_seq_no(seq_no).unwrap();
            let expected = seq_no.checked_sub(1).and_then(|at| self.model.events.get(at as usize));
            compare_event(found.as_ref(), expected, seq_no);
        }
        compare_event(self.ledger().latest().unwrap().as_ref(), self.model.events.last(), last);
        let from = self.rng.u64(..last + 2);
        compare_events(self.ledger(), &self.model, from);
        // A reader that has enough ends the walk with its own words.
        let mut left = self.rng.u64(..4);
        let outcome = self.ledger().for_each(1, |_| {
            left = left.checked_sub(1).ok_or_else(|| Fault::new(Rule::InternalFault, "enough"))?;
            Ok(())
        });
        assert!(outcome.is_ok() || outcome.is_err_and(|fault| fault.found == "enough"));
    }

    /// Everything that the ledger holds.
    fn whole(&self) {
        compare_events(self.ledger(), &self.model, 0);
        for (record, number) in self.model.records.iter().zip(1..) {
            assert_eq!(self.ledger().seq_no_of_record(number).unwrap(), Some(record.seq_no), "record {number}");
        }
        for beyond in [0, self.model.records.len() as u64 + 1, u64::MAX] {
            assert_eq!(self.ledger().seq_no_of_record(beyond).unwrap(), None, "record {beyond}");
        }
        for (pid, seq_no) in &self.model.verdicts {
            assert_eq!(self.ledger().seq_no_of_verdict(&Hash(*pid)).unwrap(), Some(*seq_no));
        }
        assert_eq!(self.ledger().seq_no_of_verdict(&Hash([0xee; 32])).unwrap(), None);
        assert_eq!(self.ledger().head().unwrap(), self.model.head());
    }

    /// The check that a process begins with: its keys in the order in which they signed, so that nothing is wrong with them.
    fn start(&mut self) {
        self.tell("start-up check".into());
        let mut kids = self.model.events.iter().map(|event| event.kid).collect::<Vec<_>>();
        kids.dedup();
        let seed_of = |kid_found: &[u8; 32]| *self.model.seeds.iter().find(|seed| kid(**seed) == *kid_found).unwrap();
        let keys = kids.iter().map(|kid| secret(seed_of(kid)).verifying_key().to_bytes()).collect::<Vec<_>>();
        let health = self.ledger().start_up_check(&CheckInput { ledger_keys: &keys, deep: false, must_hold: &[] }).unwrap();
        assert_eq!(health, Health::Ok);
        self.checked = true;
    }

    fn check(&mut self) {
        let deep = self.rng.bool();
        let mut seeds = self.model.seeds.clone();
        if self.one_in(8) {
            seeds.remove(self.rng.usize(..seeds.len()));
        }
        let known = self.model.events.iter().map(|event| event.hash).collect::<Vec<_>>();
        let mut must_hold = self.rng.choice(&known).copied().into_iter().collect::<Vec<_>>();
        if self.one_in(8) {
            must_hold.push([0xdd; 32]);
        }
        self.tell(format!("check with keys {seeds:?}, deep {deep}, {} hashes", must_hold.len()));
        let keys = seeds.iter().map(|seed| secret(*seed).verifying_key().to_bytes()).collect::<Vec<_>>();
        let health = self.ledger().start_up_check(&CheckInput { ledger_keys: &keys, deep, must_hold: &must_hold }).unwrap();
        let found = match &health {
            Health::Ok => None,
            Health::Corrupted { last_good_seq_no, first_bad_seq_no, kind, .. } => {
                assert_eq!(last_good_seq_no + 1, *first_bad_seq_no);
                Some((kind.word(), *first_bad_seq_no))
            }
        };
        assert_eq!(found, self.model.trouble(&seeds, &must_hold), "{health:?}");
        if found.is_some() {
            // Corruption stays: this process appends nothing more, whatever a later check finds.
            let (events, head) = (new_events(&self.offers()), self.model.head());
            let outcome = self.ledger.as_mut().unwrap().commit(head, &events).map_err(|error| error.fault);
            assert_refused(outcome, &refusal(Rule::ChainBroken, "the last good event is"));
            self.ledger().start_up_check(&CheckInput { ledger_keys: &keys, deep, must_hold: &[] }).unwrap();
            let outcome = self.ledger.as_mut().unwrap().commit(head, &events).map_err(|error| error.fault);
            assert_refused(outcome, &refusal(Rule::ChainBroken, "the last good event is"));
            return self.reopen();
        }
        self.checked = true;
    }
}

fn compare_event(found: Option<&Event>, expected: Option<&Kept>, seq_no: u64) {
    let (found, expected) = match (found, expected) {
        (None, None) => return,
        (Some(found), Some(expected)) => (found, expected),
        (found, _) => panic!("event {seq_no}: {} found", if found.is_some() { "one too many" } else { "none" }),
    };
    let fields = (found.seq_no, &found.event_id, found.timestamp, found.event_type, found.writer_epoch);
    assert_eq!(fields, (seq_no, &expected.event_id, expected.timestamp, expected.event_type, expected.epoch));
    assert!(found.payload == expected.payload, "event {seq_no}: payload");
    let bytes = (found.prev_event_hash, found.event_hash, found.signature, found.public_key_id.0);
    assert!(bytes == (expected.prev, expected.hash, expected.signature, expected.kid), "event {seq_no}: {found:?}");
}

fn compare_events(ledger: &Ledger, model: &Model, from: u64) {
    let mut next = from.max(1);
    let outcome = ledger.for_each(from, |event| {
        compare_event(Some(&event), model.events.get(next as usize - 1), next);
        next += 1;
        Ok(())
    });
    outcome.unwrap();
    assert_eq!(next, (model.events.len() as u64 + 1).max(from.max(1)), "number of events from {from}");
}

fn run(seed: u64, tally: &Tally) {
    let mut world = World::new(seed);
    let mut go = || {
        let steps = world.rng.usize(6..30);
        for _ in 0..steps {
            world.step(tally);
        }
        world.whole();
        world.check();
    };
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(&mut go));
    if let Err(panic) = outcome {
        let words = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|&words| words.to_owned()));
        panic!(
            "sequence {seed:#x}: {}\nalone: TABELLION_SEQUENCE={seed:#x} cargo test --lib random_sequences\n  {}",
            words.unwrap_or_default(),
            world.told.join("\n  ")
        );
    }
}

#[test]
fn random_sequences_leave_the_ledger_as_the_model_has_it() {
    let tally = Tally::default();
    if let Ok(seed) = std::env::var("TABELLION_SEQUENCE") {
        return run(u64::from_str_radix(seed.trim_start_matches("0x"), 16).unwrap(), &tally);
    }
    let sequences = std::env::var("TABELLION_SEQUENCES").ok().map_or(SEQUENCES, |number| number.parse().unwrap());
    std::thread::scope(|scope| {
        for first in 0..THREADS {
            let tally = &tally;
            scope.spawn(move || (first..sequences).step_by(THREADS as usize).for_each(|number| run(SEED + number, tally)));
        }
    });
    let counts = [
        ("events", &tally.events),
        ("refusals", &tally.refusals),
        ("latches", &tally.latches),
        ("crashes", &tally.crashes),
        ("signatures spoilt before the last of a commit", &tally.spoilt),
        ("large payloads", &tally.large),
        ("events of a later epoch", &tally.epochs),
    ];
    for (what, count) in counts {
        assert!(count.load(Ordering::Relaxed) > 0, "no {what} in {sequences} sequences from seed {SEED:#x} on");
    }
}

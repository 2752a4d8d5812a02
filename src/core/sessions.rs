//! Sessions as the books have them: a heading of each, always; the whole of one where it is kept.
//!
//! A history grows without end and the memory of a witness does not. Whoever folds a ledger that stays at hand lets the books read a session
//! again when it is needed; what is read again must lead to the hashes that were folded. Whoever has nothing to read from keeps all of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::cbor::Canonical;
use super::event::{Event, EventType};
use super::ids::{Hash, Head, Pid};
use super::payload::{Closed, Opened, Ruling, Sealed};
use super::record::Record;
use super::rules::{Checked, Fault, Rule};
use super::verdict::Verdict;

/// One session as the ledger has it.
#[derive(Clone, Debug)]
pub struct Session {
    /// What it judged.
    pub opened: Opened,
    /// Answers, in the order judged.
    pub rulings: Vec<Ruling>,
    /// Objects of its accepted papers that are in no earlier pack, with their sizes.
    pub pack: BTreeMap<Hash, u64>,
    /// How it ended.
    pub closed: Option<Closed>,
    /// Hash of its `closed` event.
    pub closed_hash: [u8; 32],
    /// The signatures over its results.
    pub sealed: Option<Sealed>,
}

impl Session {
    fn of(opened: Opened) -> Session {
        Session { opened, rulings: Vec::new(), pack: BTreeMap::new(), closed: None, closed_hash: [0; 32], sealed: None }
    }

    /// Takes in what an event told; `is_packed_here` knows the objects of this session's pack.
    fn take(&mut self, part: Part, event_hash: [u8; 32], is_packed_here: &dyn Fn(&Hash) -> bool) {
        match part {
            Part::Opened(opened) => *self = Session::of(opened),
            Part::Answer(ruling) => {
                if ruling.verdict == Verdict::Accepted {
                    let packed = ruling.objects.iter().filter(|(hash, _)| is_packed_here(hash));
                    self.pack.extend(packed.map(|(hash, held)| (*hash, held.size)));
                }
                self.rulings.push(*ruling);
            }
            Part::Closed(closed) => (self.closed, self.closed_hash) = (Some(*closed), event_hash),
            Part::Sealed(sealed) => self.sealed = Some(sealed),
        }
    }

    /// The signature lines under the checkpoint of number N, if this session has sealed it.
    pub fn checkpoint_lines(&self, number: u64) -> Option<&str> {
        let checkpoints = &self.sealed.as_ref()?.checkpoints;
        checkpoints.binary_search_by_key(&number, |(made, _)| *made).ok().map(|at| checkpoints[at].1.as_str())
    }

    /// The answer with the record of number N, if one of this session has it.
    pub fn made(&self, number: u64) -> Option<(&Ruling, &Record)> {
        let made = self.rulings.iter().filter_map(|ruling| Some((ruling, ruling.record.as_ref()?)));
        made.into_iter().find(|(_, record)| record.number == number)
    }
}

/// What an event is to its session.
pub(super) enum Part {
    Opened(Opened),
    Answer(Box<Ruling>),
    Closed(Box<Closed>),
    Sealed(Sealed),
}

impl Part {
    /// `None` for a halt and what ends it, which are no part of a session.
    ///
    /// # Errors
    /// Parse faults of the payload.
    pub(super) fn read(event: &Event) -> Checked<Option<Part>> {
        Ok(match event.event_type {
            EventType::Opened => Some(Part::Opened(Opened::from_cbor(&event.payload)?)),
            EventType::Verdict | EventType::Notice => Some(Part::Answer(Box::new(Ruling::from_cbor(&event.payload)?))),
            EventType::Closed => Some(Part::Closed(Box::new(Closed::from_cbor(&event.payload)?))),
            EventType::Sealed => Some(Part::Sealed(Sealed::from_cbor(&event.payload)?)),
            _ => None,
        })
    }
}

/// What the books know of a session without its answers.
#[derive(Clone, Debug)]
pub struct Heading {
    /// Its number.
    pub session: u64,
    /// The head before it.
    pub before: Head,
    /// Its time claim.
    pub time: Option<u64>,
    /// How it ended.
    pub end: Option<End>,
    /// Whether its results are signed.
    pub is_sealed: bool,
    /// Objects in its pack.
    pub packed: u64,
    /// Its place among the events.
    events: Stretch,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The head after it.
    pub after: Head,
    /// Hash of its `closed` event.
    pub hash: [u8; 32],
    /// SHA-256 and length of its pack.
    pub pack: Option<(Hash, u64)>,
}

/// The events of a session, its last the one that seals it or the last there is.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    first: u64,
    last: u64,
    hash_before: [u8; 32],
    last_hash: [u8; 32],
}

impl Heading {
    /// What an `opened` event begins, behind the event with that hash.
    pub(super) fn of(opened: &Opened, event: &Event, hash_before: [u8; 32]) -> Heading {
        let events = Stretch { first: event.seq_no, last: event.seq_no, hash_before, last_hash: event.event_hash };
        let (session, before, time) = (opened.session, opened.before, opened.time);
        Heading { session, before, time, end: None, is_sealed: false, packed: 0, events }
    }

    /// Takes in that an event followed, unless the session was sealed before it.
    pub(super) fn reaches(&mut self, event: &Event) {
        (self.events.last, self.events.last_hash) = (event.seq_no, event.event_hash);
    }
}

impl Heading {
    /// Notes the hash of an event of this session that was folded without one.
    pub(super) fn note_hashes(&mut self, event: &Event) {
        if event.seq_no == self.events.first {
            self.events.hash_before = event.prev_event_hash;
        }
        if event.seq_no == self.events.last {
            self.events.last_hash = event.event_hash;
        }
        if let Some(end) = self.end.as_mut().filter(|_| event.event_type == EventType::Closed) {
            end.hash = event.event_hash;
        }
    }
}

/// Where the events that were folded are read again.
pub trait Events: Send + Sync {
    /// Hands over the events with the numbers `first` to `last`, in order.
    ///
    /// # Errors
    /// Those of the disk, and whatever `take` answers.
    fn between(&self, first: u64, last: u64, take: &mut dyn FnMut(&Event) -> Checked<()>) -> Checked<()>;
}

/// The sessions that were folded.
#[derive(Clone)]
pub(super) enum Past {
    /// All of them.
    Kept(Vec<Arc<Session>>),
    /// None; they are read again. The last one that was stays at hand, for whoever needs one needs it several times.
    ReadAgain(Arc<dyn Events>, Arc<Mutex<Option<Read>>>),
}

/// A session that was read again.
pub(super) struct Read {
    at: usize,
    last: u64,
    session: Arc<Session>,
}

impl Default for Past {
    fn default() -> Past {
        Past::Kept(Vec::new())
    }
}

impl Past {
    /// Where the sessions are read again.
    pub(super) fn read_again(events: Arc<dyn Events>) -> Past {
        Past::ReadAgain(events, Arc::default())
    }

    /// Takes a part of the last session in, which the fold has accepted.
    pub(super) fn take(&mut self, part: Part, event_hash: [u8; 32], is_packed_here: &dyn Fn(&Hash) -> bool) {
        let Past::Kept(sessions) = self else { return };
        match part {
            Part::Opened(opened) => sessions.push(Arc::new(Session::of(opened))),
            part => {
                if let Some(session) = sessions.last_mut() {
                    Arc::make_mut(session).take(part, event_hash, is_packed_here);
                }
            }
        }
    }

    /// The whole of a session.
    pub(super) fn session(&self, at: usize, heading: &Heading, is_packed_here: &dyn Fn(&Hash) -> bool) -> Checked<Arc<Session>> {
        let (events, read) = match self {
            Past::Kept(sessions) => {
                let none = || Fault::new(Rule::InternalFault, format!("session {} was not kept", heading.session));
                return sessions.get(at).cloned().ok_or_else(none);
            }
            Past::ReadAgain(events, read) => (events, read),
        };
        let mut read = read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = read.as_ref().filter(|read| (read.at, read.last) == (at, heading.events.last)) {
            return Ok(Arc::clone(&read.session));
        }
        // What is held is let go of first: two of them need not fit.
        *read = None;
        let session = Arc::new(read_session(events.as_ref(), heading, is_packed_here)?);
        *read = Some(Read { at, last: heading.events.last, session: Arc::clone(&session) });
        Ok(session)
    }
}

/// Reads a session again. Its events were checked when they were folded; here they must be the same ones, by their hashes.
fn read_session(events: &dyn Events, heading: &Heading, is_packed_here: &dyn Fn(&Hash) -> bool) -> Checked<Session> {
    let Stretch { first, last, hash_before, last_hash } = heading.events;
    let other = |found: String| Fault::new(Rule::LedgerFault, format!("{found} when session {} was read again", heading.session));
    let (mut session, mut hash, mut next) = (None::<Session>, hash_before, first);
    events.between(first, last, &mut |event| {
        let event_hash = event.hash_again();
        if (event.seq_no, event.prev_event_hash, event_hash) != (next, hash, event.event_hash) {
            return Err(other(format!("event {} found to be another than at the start", event.seq_no)));
        }
        (hash, next) = (event_hash, next + 1);
        match (&mut session, Part::read(event)?) {
            (_, None) => {}
            (None, Some(Part::Opened(opened))) => session = Some(Session::of(opened)),
            (None, Some(_)) | (Some(_), Some(Part::Opened(_))) => {
                return Err(other(format!("event {} found out of its place", event.seq_no)));
            }
            (Some(session), Some(part)) => session.take(part, event_hash, is_packed_here),
        }
        Ok(())
    })?;
    if (hash, next) != (last_hash, last + 1) {
        return Err(other(format!("events {first} to {} found, {first} to {last} expected, or other ones", next.saturating_sub(1))));
    }
    session.ok_or_else(|| other("no opening found".into()))
}

/// The session that is open: what its end is compared with.
#[derive(Clone, Debug)]
pub(super) struct Sitting {
    /// What it judges, ascending by paper.
    pub(super) judged: Vec<(Pid, Hash)>,
    /// Papers answered, in their order, and whether a record was made.
    pub(super) answered: Vec<(Pid, bool)>,
    /// Numbers of the records made.
    pub(super) made: Vec<u64>,
}

//! Sessions that the books do not keep: read again, they are what was folded, and nothing else passes for one.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod stage;
#[path = "replay/story.rs"]
#[allow(dead_code)]
mod story;
mod support;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use story::Story;
use support::Paper;
use tabellion::broker::Broker;
use tabellion::core::books::Books;
use tabellion::core::event::{Event, EventType};
use tabellion::core::gossip::{Scale, Standing, log_keys};
use tabellion::core::ids::Hash;
use tabellion::core::proposal::Expect;
use tabellion::core::publish;
use tabellion::core::rules::{Checked, Rule};
use tabellion::core::sessions::Events;
use tabellion::run::desk::Desk;

/// Events in memory, which somebody changes behind the books' back, and how often they were read.
struct Shelf(Mutex<Vec<Event>>, AtomicUsize);

impl Shelf {
    fn of(events: &[Event]) -> Arc<Shelf> {
        Arc::new(Shelf(Mutex::new(events.to_vec()), AtomicUsize::new(0)))
    }
}

impl Events for Shelf {
    fn between(&self, first: u64, last: u64, take: &mut dyn FnMut(&Event) -> Checked<()>) -> Checked<()> {
        self.1.fetch_add(1, Ordering::Relaxed);
        let events = self.0.lock().unwrap();
        events.iter().filter(|event| (first..=last).contains(&event.seq_no)).try_for_each(take)
    }
}

/// Every event of a story of eleven sessions with answers of all sorts.
fn events_of(story: &Story) -> Vec<Event> {
    let mut events = Vec::new();
    story
        .notary
        .desk()
        .ledger()
        .for_each(1, |event| {
            events.push(event);
            Ok(())
        })
        .unwrap();
    events
}

fn folded(mut books: Books, events: &[Event]) -> Books {
    events.iter().for_each(|event| books.apply(event).unwrap());
    books
}

fn shown(books: &Books) -> Vec<String> {
    books.sessions().map(|session| format!("{:#?}", session.unwrap())).collect()
}

#[test]
fn sessions_read_again_are_those_that_were_folded_in_any_order_and_up_to_any_event() {
    let story = Story::play();
    // Content that is in an earlier pack already.
    let again = Paper::new("alice", 900, story.notary.head()).put("open/again", b"open/x", Expect::Absent);
    let judged = story.notary.judge(&story.place("again"), std::slice::from_ref(&again));
    assert_eq!(judged.desk.books().was_accepted(&again.pid()), Some(true));
    drop(judged);
    let events = events_of(&story);
    let kept = folded(Books::default(), &events);
    let desk = story.notary.desk();
    assert_eq!(desk.books().headings().len(), 13);
    assert_eq!(shown(desk.books()), shown(&kept), "from the ledger");
    let shelf = Shelf::of(&events);
    let read = folded(Books::over(Arc::clone(&shelf) as Arc<dyn Events>), &events);
    for at in [11, 0, 5, 5, 4, 11] {
        assert_eq!(format!("{:#?}", read.session(at).unwrap()), format!("{:#?}", kept.session(at).unwrap()), "session at {at}");
    }
    // A session that is open, closed, and sealed, as far as it is there: asked for after each event, of books that go on.
    let (mut growing, mut beside) = (Books::over(Arc::clone(&shelf) as Arc<dyn Events>), Books::default());
    for event in &events {
        growing.apply(event).unwrap();
        beside.apply(event).unwrap();
        let last = |books: &Books| format!("{:#?}", books.last_session().unwrap().unwrap());
        assert_eq!(last(&growing), last(&beside), "up to event {}", event.seq_no);
    }
    // A pack has what accepted papers bring that no earlier one has brought.
    let mut packed = BTreeSet::new();
    let mut packs = 0;
    for (at, session) in read.sessions().map(Result::unwrap).enumerate() {
        let accepted = session.rulings.iter().filter(|ruling| ruling.record.is_some());
        let brought: BTreeSet<Hash> = accepted.flat_map(|ruling| ruling.objects.keys().copied()).collect();
        let new: BTreeSet<Hash> = brought.difference(&packed).copied().collect();
        assert_eq!(session.pack.keys().copied().collect::<BTreeSet<_>>(), new, "session at {at}");
        assert_eq!(read.headings()[at].packed, new.len() as u64, "session at {at}");
        assert!(new.iter().all(|hash| read.packed_in(hash) == Some(at)));
        packs += usize::from(!new.is_empty());
        packed.extend(new);
    }
    assert!(packs > 3, "{packs} sessions with a pack");
    // The answers, by their paper, and the records, by their number.
    for session in kept.sessions().map(Result::unwrap) {
        for ruling in session.rulings.iter().filter(|ruling| ruling.verdict.is_final()) {
            let answered = read.answered(&ruling.pid).unwrap().unwrap();
            assert_eq!((answered.ruling(), answered.session().opened.session), (ruling, session.opened.session));
            assert_eq!(read.was_accepted(&ruling.pid), Some(ruling.record.is_some()));
            if let Some(record) = &ruling.record {
                assert_eq!(read.record(record.number).unwrap(), *record);
            }
        }
    }
    assert_eq!(read.record(0).map_err(|fault| fault.rule), Err(Rule::InternalFault));
    assert_eq!(read.record(kept.head().number + 1).map_err(|fault| fault.rule), Err(Rule::InternalFault));
}

#[test]
fn what_is_another_than_at_the_start_is_refused_when_it_is_read_again() {
    let story = Story::play();
    let events = events_of(&story);
    let books = || {
        let shelf = Shelf::of(&events);
        (folded(Books::over(Arc::clone(&shelf) as Arc<dyn Events>), &events), shelf)
    };
    let opened: Vec<usize> = (0..events.len()).filter(|at| events[*at].event_type == EventType::Opened).collect();
    let (first, next) = (opened[5], opened[6]);
    // The true hash of what was changed, as whoever changes a database would write it.
    fn hashed_again(events: &mut [Event], from: usize) {
        for at in from..events.len() {
            if at > 0 {
                events[at].prev_event_hash = events[at - 1].event_hash;
            }
            events[at].event_hash = events[at].hash_again();
        }
    }
    type Change<'a> = &'a dyn Fn(&mut Vec<Event>);
    let changes: [(&str, Change<'_>); 7] = [
        ("a byte of a payload", &|events| events[first + 1].payload[40] ^= 1),
        ("a time, with all hashes that follow", &|events| {
            events[first + 1].timestamp += 1;
            hashed_again(events, first + 1);
        }),
        ("an event is gone", &|events| drop(events.remove(first + 1))),
        ("the last event is gone", &|events| drop(events.remove(next - 1))),
        ("an event is there twice", &|events| events.insert(first + 1, events[first].clone())),
        ("two events have changed places", &|events| events.swap(first, first + 1)),
        ("all of them are gone", &|events| events.clear()),
    ];
    for (what, change) in changes {
        let (books, shelf) = books();
        change(&mut shelf.0.lock().unwrap());
        let fault = books.session(5).expect_err(what);
        assert_eq!(fault.rule, Rule::LedgerFault, "{what}: {fault:?}");
        assert!(fault.found.contains(&format!("session {}", books.headings()[5].session)), "{what}: {fault:?}");
    }
    // What changed elsewhere is no matter of this session.
    let (books, shelf) = books();
    shelf.0.lock().unwrap()[next].payload[0] ^= 1;
    assert!(books.session(5).is_ok() && books.session(6).is_err());
}

/// A prepared stick may bring a hundred thousand texts of ours, from all sessions by turns.
#[test]
fn texts_of_ours_are_weighed_with_each_session_read_once_at_most() {
    let story = Story::play();
    let events = events_of(&story);
    let (kept, shelf) = (folded(Books::default(), &events), Shelf::of(&events));
    let read = folded(Books::over(Arc::clone(&shelf) as Arc<dyn Events>), &events);
    let mut scale = Scale::new(&read, log_keys(&read).unwrap());
    for number in 1..=kept.head().number {
        let checkpoint = publish::checkpoint(&kept, number).unwrap();
        assert_eq!(scale.weigh(checkpoint.as_bytes()).unwrap(), Some(Standing::Sealed), "common@{number}");
    }
    assert_eq!(shelf.1.load(Ordering::Relaxed), 0, "checkpoints are known by their roots");
    let mut notes = Vec::new();
    for session in kept.sessions().map(Result::unwrap) {
        for (at, ruling) in session.rulings.iter().filter(|ruling| ruling.record.is_none()).enumerate() {
            notes.push((at, session.opened.session, publish::receipt(&kept, &session, ruling).unwrap()));
        }
    }
    // The first note of each session, then the second of each.
    notes.sort();
    assert!(notes.len() > 20 && notes[0].1 != notes[1].1, "{} notes", notes.len());
    for (_, session, note) in &notes {
        assert_eq!(scale.weigh(note).unwrap(), Some(Standing::Sealed), "session {session}");
    }
    assert!(shelf.1.load(Ordering::Relaxed) <= kept.headings().len());
}

/// Reports of what was found carry books; they must not keep a ledger locked, nor tell of it what they cannot read.
#[test]
fn books_outlive_the_desk_but_hold_neither_its_lock_nor_its_sessions() {
    let story = Story::play();
    let dir = story.place("witness");
    let desk = Desk::open(&dir).unwrap_or_else(|problem| panic!("{problem}"));
    let books = desk.books().clone();
    assert_eq!(Broker::open(&dir).map(drop).map_err(|fault| fault.rule), Err(Rule::AnotherWriter));
    drop(desk);
    assert_eq!(Broker::open(&dir).map(drop).map_err(|fault| fault.rule), Ok(()));
    assert_eq!((books.headings().len(), books.head()), (12, story.notary.head()));
    assert_eq!(books.session(3).map(drop).map_err(|fault| fault.rule), Err(Rule::InternalFault));
}

//! Flows with an operator whose keys are written down beforehand, and slots that fail where a case wants it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use super::room::{Room, Screen};
use super::slots::{Slots, Stick};
use super::sticks::{Held, close_all, open_all};
use crate::console::page::{Event, Page};
use crate::core::rules::{Checked, Fault, Rule};
use crate::run::handling::Handling as _;

/// Answers each page with the next of its events.
struct Written(Vec<Event>, Vec<String>);

impl Screen for Written {
    fn show(&mut self, page: &Page) {
        self.1.push(page.title.clone());
    }

    fn ask(&mut self, page: &Page, _: Duration) -> Event {
        self.1.push(page.title.clone());
        if self.0.is_empty() { Event::Closed } else { self.0.remove(0) }
    }
}

/// Slots with two sticks that fail at one step, and remember every step.
struct Failing {
    at: &'static str,
    steps: Vec<String>,
}

impl Failing {
    fn step(&mut self, step: &str, name: &str) -> Checked<PathBuf> {
        self.steps.push(format!("{step} {name}"));
        match self.at == format!("{step} {name}") {
            true => Err(Fault::new(Rule::MediumFault, format!("{name}: {step} failed"))),
            false => Ok(Path::new("/sticks").join(name)),
        }
    }
}

impl Slots for Failing {
    fn inserted(&mut self) -> Vec<Stick> {
        ["sdb1", "sdc1"].map(|name| Stick { name: name.into(), insertion: name.into(), size: "8 GB".into(), ..Stick::default() }).into()
    }

    fn open_to_read(&mut self, name: &str) -> Checked<PathBuf> {
        self.step("read", name)
    }

    fn open_to_write(&mut self, name: &str) -> Checked<PathBuf> {
        self.step("write", name)
    }

    fn close(&mut self, name: &str) -> Checked<()> {
        self.step("close", name).map(drop)
    }
}

fn with<T>(at: &'static str, events: Vec<Event>, act: impl FnOnce(&Room<'_>) -> T) -> (T, Vec<String>, Vec<String>) {
    let (mut screen, mut slots) = (Written(events, Vec::new()), Failing { at, steps: Vec::new() });
    let room = Room::new(&mut screen, &mut slots, Path::new("/nowhere"), false, Duration::from_secs(1));
    let out = act(&room);
    drop(room);
    (out, slots.steps, screen.1)
}

#[test]
fn a_stick_that_does_not_open_lets_go_of_those_that_did() {
    let (opened, steps, _) = with("read sdc1", Vec::new(), |room| open_all(room).map(drop).map_err(|problem| problem.fault));
    assert_eq!(opened.unwrap_err(), Fault::new(Rule::MediumFault, "the second stick, 8 GB, no label (sdc1): sdc1: read failed"));
    assert_eq!(steps, ["read sdb1", "read sdc1", "close sdb1"]);
}

#[test]
fn a_stick_is_let_go_of_and_opened_again_before_it_is_compared() {
    let results = |at| {
        with(at, Vec::new(), |room| {
            let opened = open_all(room).unwrap();
            let mut held = Held { room, sticks: &opened };
            let medium = Path::new("/sticks/sdb1");
            let done = (held.to_write(medium).is_ok(), held.to_compare(medium).ok());
            (done, close_all(room, &opened).into_iter().filter(|(_, closed)| closed.is_ok()).count())
        })
    };
    let (done, steps, _) = results("");
    assert_eq!(done, ((true, Some(true)), 2));
    assert_eq!(steps, ["read sdb1", "read sdc1", "write sdb1", "close sdb1", "read sdb1", "close sdb1", "close sdc1"]);
    for (at, expected) in [("write sdb1", ((false, Some(true)), 2)), ("close sdb1", ((true, None), 1))] {
        assert_eq!(results(at).0, expected, "{at}");
    }
}

#[test]
fn a_medium_that_is_no_stick_of_this_session_is_a_bug_and_no_stick_is_touched() {
    let (fault, steps, _) = with("", Vec::new(), |room| Held { room, sticks: &[] }.to_write(Path::new("/sticks/sdz9")).unwrap_err());
    assert_eq!((fault.rule, steps.len()), (Rule::InternalFault, 0));
}

#[test]
fn whoever_leaves_sleeps_or_is_gone_confirms_nothing_and_is_remembered_once() {
    use super::room::Away;
    for (event, away) in [(Event::Left, Away::Left), (Event::Idle, Away::Idle), (Event::Closed, Away::Closed)] {
        let (found, _, shown) = with("", vec![event], |room| {
            let fault = room.within(room.key(&super::pages::founding::empty())).map(drop).unwrap_err();
            (fault.rule, room.kept_away(), room.kept_away())
        });
        assert_eq!(found, (Rule::ConfirmationMissing, Some(away), None));
        assert_eq!(shown, ["An empty data disk"]);
    }
}

/// The work ends only when it was seen three times that it goes on.
#[test]
fn long_work_shows_again_and_again_that_it_goes_on_and_gives_what_it_found() {
    struct Telling(std::sync::mpsc::Sender<Page>);
    impl Screen for Telling {
        fn show(&mut self, page: &Page) {
            self.0.send(page.clone()).unwrap_or_default(); // the work is over
        }
        fn ask(&mut self, _: &Page, _: Duration) -> Event {
            Event::Closed
        }
    }
    let (tell, seen) = std::sync::mpsc::channel();
    let (mut screen, mut slots) = (Telling(tell), Failing { at: "", steps: Vec::new() });
    let room = Room::new(&mut screen, &mut slots, Path::new("/nowhere"), false, Duration::from_secs(1));
    let work = move || (0..3).map(|_| seen.recv().unwrap().title).collect::<Vec<_>>();
    let found = super::meanwhile::meanwhile(&room, Duration::from_millis(1), super::pages::checking::checking, work);
    assert_eq!(found, ["Checking the desk"; 3]);
}

#[test]
fn sticks_that_come_while_a_line_is_typed_end_no_page_and_are_looked_at() {
    let typed = || Event::Typed(Zeroizing::new("7".to_owned()));
    let (line, _, shown) = with("", vec![Event::Sticks, Event::Sticks, typed()], |room| room.line(&super::pages::sticks::passphrase(None)));
    assert_eq!(line.as_deref().map(String::as_str), Ok("7"));
    assert_eq!(shown.len(), 3);
}

/// The kernel tells several times of one stick; somebody may be at the keys already.
#[test]
fn a_page_ends_by_sticks_only_when_there_are_others_than_it_shows() {
    use super::room::Did;
    let events = || vec![Event::Sticks, Event::Sticks, Event::Chosen('p')];
    let page = super::pages::founding::empty();
    let (did, ..) = with("", events(), |room| {
        room.sticks();
        room.ask(&page)
    });
    assert!(matches!(did, Ok(Did::Key('p'))), "the sticks are those that were seen");
    let (did, _, shown) = with("", events(), |room| room.ask(&page));
    assert!(matches!(did, Ok(Did::Sticks)) && shown.len() == 1, "they are news");
}

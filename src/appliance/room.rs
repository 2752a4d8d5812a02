//! What every step of a visit needs: a screen to show pages on, slots with sticks, and what was typed and is kept for a while.
//!
//! Pages leave through here alone, so that each says which Common it is about and whether it is a rehearsal.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use crate::console::page::{Event, Mark, Page};
use crate::core::rules::{Checked, Fault, Rule};

use super::arrivals::Arrivals;
use super::pages::lock::LOCKED;
use super::slots::{Slots, Stick};
use super::standing::Standing;
use super::{DESK, Software};

/// Where pages are shown and keys come from.
pub(super) trait Screen {
    /// Shows a page while something is done.
    fn show(&mut self, page: &Page);

    /// Shows a page, and waits until something happens.
    fn ask(&mut self, page: &Page, idle: Duration) -> Event;
}

/// Why a step was not gone through to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Away {
    /// The operator left it with Escape.
    Left,
    /// Nobody did anything for too long.
    Idle,
    /// The terminal is gone.
    Closed,
}

/// What a step gives, or why it ended before.
pub(super) type Way<T> = Result<T, Away>;

/// What the operator did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Did {
    /// Chose this key.
    Key(char),
    /// Typed a line.
    Line(Zeroizing<String>),
    /// Inserted a stick, or pulled one out.
    Sticks,
}

/// The screen, the slots, and what is kept between two steps.
pub(super) struct Room<'a> {
    screen: RefCell<&'a mut dyn Screen>,
    slots: RefCell<&'a mut dyn Slots>,
    arrivals: RefCell<Arrivals>,
    seen_sticks: RefCell<Vec<Stick>>,
    desk: PathBuf,
    is_rehearsal: bool,
    idle: Duration,
    software: Software,
    facts: Vec<(Mark, String)>,
    standing: RefCell<Option<Standing>>,
    is_recognised: Cell<bool>,
    passphrase: RefCell<Option<Zeroizing<String>>>,
    away: Cell<Option<Away>>,
    claims_time: Cell<bool>,
}

impl<'a> Room<'a> {
    /// A room around a data partition.
    pub fn new(screen: &'a mut dyn Screen, slots: &'a mut dyn Slots, data: &Path, is_rehearsal: bool, idle: Duration) -> Room<'a> {
        Room {
            screen: RefCell::new(screen),
            slots: RefCell::new(slots),
            arrivals: RefCell::default(),
            seen_sticks: RefCell::default(),
            desk: data.join(DESK),
            is_rehearsal,
            idle,
            software: Software { version: String::new(), digest: String::new() },
            facts: Vec::new(),
            standing: RefCell::new(None),
            is_recognised: Cell::new(false),
            passphrase: RefCell::new(None),
            away: Cell::new(None),
            claims_time: Cell::new(true),
        }
    }

    /// The same room, with what is known of the program and the machine.
    pub fn about(self, software: Software, facts: Vec<(Mark, String)>) -> Room<'a> {
        Room { software, facts, ..self }
    }

    /// The desk's folder.
    pub fn desk(&self) -> &Path {
        &self.desk
    }

    /// The program.
    pub fn software(&self) -> &Software {
        &self.software
    }

    /// What is known of the machine.
    pub fn facts(&self) -> &[(Mark, String)] {
        &self.facts
    }

    /// Whether what is done here counts for nothing: as the desk's charter says, and before there is one as it was started.
    pub fn is_rehearsal(&self) -> bool {
        self.standing.borrow().as_ref().map_or(self.is_rehearsal, |standing| standing.is_rehearsal)
    }

    /// Where the desk stands, once it is known.
    pub fn standing(&self) -> Option<Standing> {
        self.standing.borrow().clone()
    }

    /// Where the desk stands from now on.
    pub fn stands(&self, standing: Standing) {
        self.standing.replace(Some(standing));
    }

    /// The operator knows the head: from now on pages may show it. Before, whoever has no paper would read it from the screen.
    pub fn recognised(&self) {
        self.is_recognised.set(true);
    }

    /// Whether sessions claim the time of this machine's clock.
    pub fn claims_time(&self) -> bool {
        self.claims_time.get()
    }

    /// Has sessions claim a time, or none.
    pub fn claim_time(&self, claims: bool) {
        self.claims_time.set(claims);
    }

    /// Shows a page while something is done.
    pub fn show(&self, page: &Page) {
        self.screen.borrow_mut().show(&self.framed(page));
    }

    /// Shows a page, and waits for the operator.
    ///
    /// # Errors
    /// Why nothing was done.
    pub fn ask(&self, page: &Page) -> Way<Did> {
        let framed = self.framed(page);
        loop {
            let event = self.screen.borrow_mut().ask(&framed, self.idle);
            return match event {
                Event::Chosen(key) => Ok(Did::Key(key)),
                Event::Typed(line) => Ok(Did::Line(line)),
                Event::Sticks => {
                    let before = self.seen_sticks.borrow().clone();
                    // Whoever is woken reads why: a descriptor that nobody reads would wake again at once. The kernel tells more of a stick than
                    // there is to see of it; a page that says the same is not shown again, for somebody may be at the keys.
                    if self.sticks() == before {
                        continue;
                    }
                    Ok(Did::Sticks)
                }
                Event::Left => Err(Away::Left),
                Event::Idle => Err(Away::Idle),
                Event::Closed => Err(Away::Closed),
            };
        }
    }

    /// Waits for a key, whatever sticks come and go.
    ///
    /// # Errors
    /// Why none was pressed.
    pub fn key(&self, page: &Page) -> Way<char> {
        loop {
            if let Did::Key(key) = self.ask(page)? {
                return Ok(key);
            }
        }
    }

    /// Shows a page that is only to be seen, until a key of it or Escape.
    ///
    /// # Errors
    /// Why nobody saw it.
    pub fn seen(&self, page: &Page) -> Way<()> {
        match self.key(page) {
            Ok(_) | Err(Away::Left) => Ok(()),
            Err(away) => Err(away),
        }
    }

    /// Waits for a line, whatever sticks come and go.
    ///
    /// # Errors
    /// Why none was typed.
    pub fn line(&self, page: &Page) -> Way<Zeroizing<String>> {
        loop {
            if let Did::Line(line) = self.ask(page)? {
                return Ok(line);
            }
        }
    }

    /// What a step gave inside of a session, which knows no console: what kept the operator away is remembered for [`Room::kept_away`].
    ///
    /// # Errors
    /// `confirmation-missing`.
    pub fn within<T>(&self, step: Way<T>) -> Checked<T> {
        step.map_err(|away| {
            self.away.set(Some(away));
            let found = match away {
                Away::Left => "Escape was pressed; a confirmation expected",
                Away::Idle => "nobody pressed a key for too long; a confirmation expected",
                Away::Closed => "the terminal is gone; a confirmation expected",
            };
            Fault::new(Rule::ConfirmationMissing, found)
        })
    }

    /// What kept the operator away during the session that has just ended, once.
    pub fn kept_away(&self) -> Option<Away> {
        self.away.take()
    }

    /// The passphrase as it was typed last, unless it was forgotten.
    pub fn passphrase(&self) -> Option<Zeroizing<String>> {
        self.passphrase.borrow().clone()
    }

    /// Keeps a passphrase until it is forgotten.
    pub fn keep(&self, passphrase: Zeroizing<String>) {
        self.passphrase.replace(Some(passphrase));
    }

    /// Wipes the passphrase.
    pub fn forget(&self) {
        self.passphrase.replace(None);
    }

    /// The sticks that are inserted now, in the order of their arrival.
    pub fn sticks(&self) -> Vec<Stick> {
        let inserted = self.slots.borrow_mut().inserted();
        let sticks = self.arrivals.borrow_mut().counted(inserted);
        self.seen_sticks.replace(sticks.clone());
        sticks
    }

    /// Does something with the slots.
    pub fn slots<T>(&self, with: impl FnOnce(&mut dyn Slots) -> T) -> T {
        with(&mut **self.slots.borrow_mut())
    }

    /// A page with what every page says.
    fn framed(&self, page: &Page) -> Page {
        let mut page = page.clone();
        if self.is_rehearsal() {
            page.title.push_str(" - REHEARSAL");
        }
        if self.is_recognised.get() && !page.title.starts_with(LOCKED) {
            page.standing = self.standing.borrow().as_ref().map(Standing::line).unwrap_or_default();
        }
        page
    }
}

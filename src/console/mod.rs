//! What the operator of the appliance sees and types: pages, on a screen and on a serial line alike.
//!
//! It owns terminals and keys. It decides nothing: a page is a value that somebody above made, and what was typed is given back as it is.
//! All terminals show the same page, and the keys of all count. It never waits for a terminal, and ends only when no key can ever come.

pub mod draw;
pub mod font;
mod key;
mod layout;
mod line;
pub mod page;
pub mod plain;
mod repeat;
mod screen;
mod terminal;

use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use zeroize::Zeroizing;

use crate::clock::monotonic_us;
use draw::View;
use key::Key;
use line::Line;
use page::{Ask, Event, Page};
use repeat::Repeat;
pub use terminal::Terminal;

/// How long the key that answered a page must be quiet before it answers the next one: longer than a keyboard waits before a key that is held down
/// repeats itself (the kernel's own: 250 ms), and shorter than anybody reads a page.
const PAUSE: Duration = Duration::from_millis(400);

/// The longest wait at once: the time that is left is counted anew then.
const WAIT_US_MAX: u64 = 3_600_000_000;

/// What else ends the wait for a key, with [`Event::Sticks`].
#[derive(Clone, Copy, Debug)]
pub enum Wake<'a> {
    /// Something can be read here, and the caller reads it.
    Descriptor(BorrowedFd<'a>),
    /// So much time went by.
    Every(Duration),
    /// Nothing.
    Never,
}

/// The terminals of one operator.
pub struct Console {
    terminals: Vec<Terminal>,
    line: Line,
    /// The page of a body that is higher than the screen, from 0.
    number: usize,
    /// For what page line and number are: its title and what it asks for.
    of: Option<(String, Option<Ask>)>,
    /// Whether a page was shown for which no key was asked since the last key.
    is_past_work: bool,
    /// The key that answered last, which may still be held down.
    repeat: Repeat,
    /// Time that went by without a key while one was asked for, in microseconds.
    idle_us: u64,
}

impl Console {
    /// A console of these terminals.
    #[must_use]
    pub fn of(terminals: Vec<Terminal>) -> Console {
        let repeat = Repeat::new(micros(PAUSE));
        Console { terminals, line: Line::new(), number: 0, of: None, is_past_work: false, repeat, idle_us: 0 }
    }

    /// The same console, where the key that answered a page must be quiet for another while than usual before it answers the next one.
    #[must_use]
    pub fn pausing(self, pause: Duration) -> Console {
        Console { repeat: Repeat::new(micros(pause)), ..self }
    }

    /// Shows a page and returns at once: long work shows how far it is.
    ///
    /// Keys that are pressed on a terminal meanwhile are forgotten when the next page asks: nobody confirms what was not there to be read.
    pub fn show(&mut self, page: &Page) {
        self.turn_to(page);
        self.is_past_work = true;
        self.idle_us = 0;
        for terminal in &mut self.terminals {
            if terminal.write_waiting() {
                terminal.forget_shown();
            }
        }
        self.draw(page, false);
    }

    /// Shows a page and waits for what the operator does: a key of it, a typed line, Escape; or for `wake`, or until nobody did anything for
    /// `idle`, which is counted over all calls since the last key.
    ///
    /// On the keyboard of a screen, what was pressed before the page appeared is forgotten, and a key that is held down answers one page alone.
    /// A serial line is written to by programs as well, which press the next key at once: there, only what repeats the answer in one piece with it
    /// is forgotten. What comes through a pipe is never a finger.
    ///
    /// What is typed of a line stays when [`Event::Sticks`] ended the wait and a page of the same title that asks for the same follows.
    pub fn ask(&mut self, page: &Page, wake: Wake<'_>, idle: Duration) -> Event {
        self.turn_to(page);
        let (is_past_work, is_past_answer) = (std::mem::take(&mut self.is_past_work), self.repeat.is_before_page());
        for terminal in self.terminals.iter_mut().filter(|terminal| is_past_work || is_past_answer && terminal.is_keyboard()) {
            terminal.forget_keys();
        }
        // Before it is drawn: whoever reads the page on a slow serial line first finds the pause begun.
        if is_past_work || is_past_answer {
            self.repeat.appeared(monotonic_us());
        }
        self.draw(page, true);
        let every = if let Wake::Every(every) = wake { Some(micros(every)) } else { None };
        let mut waited = 0;
        loop {
            if let Some(event) = self.event_of_keys(page) {
                return event;
            }
            if self.terminals.iter().all(|terminal| terminal.input().is_none()) {
                self.wipe();
                return Event::Closed;
            }
            if self.idle_us >= micros(idle) {
                self.wipe();
                self.idle_us = 0;
                return Event::Idle;
            }
            if every.is_some_and(|every| waited >= every) {
                return Event::Sticks;
            }
            let idle_left = micros(idle) - self.idle_us;
            let wake_left = every.map_or(u64::MAX, |every| every - waited);
            let rest_left = self.terminals.iter().filter_map(|terminal| terminal.keys.rest_us()).min().unwrap_or(u64::MAX);
            let began = monotonic_us();
            let is_woken = self.wait(idle_left.min(wake_left).min(rest_left), wake);
            let took = monotonic_us().saturating_sub(began);
            (waited, self.idle_us) = (waited + took, self.idle_us + took);
            if is_woken {
                return Event::Sticks;
            }
            self.write_waiting(page);
        }
    }
}

impl Console {
    /// Another page than before begins with an empty line and its first part.
    fn turn_to(&mut self, page: &Page) {
        let of = (page.title.clone(), page.ask.clone());
        if self.of.as_ref() != Some(&of) {
            self.wipe();
            self.number = 0;
            self.of = Some(of);
        }
    }

    /// What was typed is forgotten.
    fn wipe(&mut self) {
        drop(self.line.take());
    }

    fn draw(&mut self, page: &Page, is_asked: bool) {
        let is_secret = page.ask.as_ref().is_some_and(|ask| ask.is_secret);
        for (at, terminal) in self.terminals.iter_mut().enumerate() {
            let typed = if page.ask.is_some() { self.line.on(at, is_secret) } else { Zeroizing::new(String::new()) };
            let view = View { number: self.number, typed: &typed, is_asked };
            terminal.show(page, &view, is_asked);
        }
    }

    /// Waits for keys, for `wake`, for a terminal that takes bytes again, or for so many microseconds. Keys that can be read are read. True when
    /// it was `wake`.
    fn wait(&mut self, most_us: u64, wake: Wake<'_>) -> bool {
        let (most_us, began) = (most_us.min(WAIT_US_MAX), monotonic_us());
        let mut watched: Vec<PollFd<'_>> = Vec::new();
        if let Wake::Descriptor(descriptor) = &wake {
            watched.push(PollFd::new(descriptor, PollFlags::IN));
        }
        let of_wake = watched.len();
        let inputs: Vec<(usize, BorrowedFd<'_>)> =
            self.terminals.iter().enumerate().filter_map(|(at, terminal)| Some((at, terminal.input()?))).collect();
        let outputs: Vec<BorrowedFd<'_>> = self.terminals.iter().filter_map(Terminal::output).collect();
        watched.extend(inputs.iter().map(|(_, input)| PollFd::new(input, PollFlags::IN)));
        watched.extend(outputs.iter().map(|output| PollFd::new(output, PollFlags::OUT)));
        let seconds = i64::try_from(most_us / 1_000_000).unwrap_or_default();
        let timeout = Timespec { tv_sec: seconds, tv_nsec: (most_us % 1_000_000 * 1000).cast_signed() };
        // An interrupted wait is a short one: the caller counts the time.
        if poll(&mut watched, Some(&timeout)).is_err() {
            return false;
        }
        let by_wake = watched[..of_wake].iter().any(|descriptor| !descriptor.revents().is_empty());
        let ready = inputs.iter().zip(&watched[of_wake..]).filter(|(_, input)| !input.revents().is_empty());
        let ready: Vec<usize> = ready.map(|((at, _), _)| *at).collect();
        let took = monotonic_us().saturating_sub(began);
        for (at, terminal) in self.terminals.iter_mut().enumerate() {
            terminal.keys.quiet(took);
            if ready.contains(&at) {
                terminal.read();
            }
        }
        by_wake
    }

    /// Goes on with terminals that were slow; one that was cut off is drawn anew.
    fn write_waiting(&mut self, page: &Page) {
        let mut is_back = false;
        for terminal in &mut self.terminals {
            if terminal.write_waiting() {
                terminal.forget_shown();
                is_back = true;
            }
        }
        if is_back {
            self.draw(page, true);
        }
    }

    /// Answers to the keys that are there, until one of them is an event.
    fn event_of_keys(&mut self, page: &Page) -> Option<Event> {
        for at in 0..self.terminals.len() {
            let is_gone = self.terminals[at].input().is_none();
            while let Some(key) = self.terminals[at].keys.next(is_gone) {
                // A key that something lies on is nobody at the keys.
                if self.repeat.is(at, key, monotonic_us()) {
                    continue;
                }
                self.idle_us = 0;
                if let Some(event) = self.event_of(page, at, key) {
                    match self.terminals[at].is_keyboard() {
                        true => self.repeat.answered(at, key, monotonic_us()),
                        false => self.terminals[at].forget_repeated(key),
                    }
                    return Some(event);
                }
            }
        }
        None
    }

    fn event_of(&mut self, page: &Page, at: usize, key: Key) -> Option<Event> {
        match key {
            Key::Escape => Some(self.answer("Esc", |_| Event::Left)),
            Key::Earlier | Key::Later => {
                self.turn_page(page, key == Key::Later, false);
                None
            }
            Key::Repaint => {
                self.terminals[at].forget_shown();
                self.draw(page, true);
                None
            }
            _ => match &page.ask {
                Some(ask) => self.edit(page, ask.is_secret, at, key),
                None => self.choose(page, key),
            },
        }
    }

    /// A key that ends the wait: the lines of serial terminals end with its name.
    fn answer(&mut self, name: &str, event: impl FnOnce(Zeroizing<String>) -> Event) -> Event {
        self.terminals.iter_mut().for_each(|terminal| terminal.answered(name));
        event(self.line.take())
    }

    /// Turns to the next part of a long body or to the one before; `is_round` from the last to the first.
    fn turn_page(&mut self, page: &Page, is_later: bool, is_round: bool) {
        let pages = self.terminals.iter().map(|terminal| terminal.pages(page)).max().unwrap_or(1);
        let number = match self.number {
            at if is_later && at + 1 < pages => at + 1,
            _ if is_later && is_round => 0,
            at if is_later => at,
            at => at.saturating_sub(1),
        };
        if number != self.number {
            self.number = number;
            self.draw(page, true);
        }
    }

    /// A key where no line is typed: one of the page's, whatever Shift and Caps Lock do.
    fn choose(&mut self, page: &Page, key: Key) -> Option<Event> {
        let pressed = match key {
            Key::Enter => '\n',
            Key::Char(c) => c.to_ascii_lowercase(),
            _ => return None,
        };
        if let Some(choice) = page.choices.iter().find(|choice| choice.key == pressed) {
            let name = layout::key_name(choice.key);
            return Some(self.answer(&name, |_| Event::Chosen(pressed)));
        }
        match pressed {
            '+' | ' ' => self.turn_page(page, true, true),
            '-' => self.turn_page(page, false, false),
            _ => {}
        }
        None
    }

    /// A key where a line is typed.
    fn edit(&mut self, page: &Page, is_secret: bool, at: usize, key: Key) -> Option<Event> {
        let (was_seen, letters) = (self.line.is_turned_over(), self.line.letters());
        match key {
            Key::Enter => return Some(self.answer("", Event::Typed)),
            Key::Char(letter) => drop(self.line.push(letter)),
            Key::Back => drop(self.line.back()),
            Key::Anew => self.wipe(),
            Key::Tab if is_secret => self.line.turn_over(at),
            _ => return None,
        }
        let is_anew = was_seen != self.line.is_turned_over() || key == Key::Anew;
        for (at, terminal) in self.terminals.iter_mut().enumerate() {
            let typed = self.line.on(at, is_secret);
            if is_anew {
                terminal.prompt(page, &typed);
            } else if self.line.letters() > letters {
                terminal.echo(&typed[typed.len() - typed.chars().next_back().map_or(0, char::len_utf8)..]);
            } else if self.line.letters() < letters {
                terminal.echo("\u{8} \u{8}");
            }
        }
        self.draw(page, true);
        None
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

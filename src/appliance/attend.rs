//! From the first page to the last: the visit of one operator, with the machine switched off at its end.

use std::time::Duration;

use crate::console::page::{Event, Page};
use crate::console::{Console, Wake};

use super::Setting;
use super::home::{halted, home};
use super::pages::lock;
use super::room::{Away, Room, Screen};
use super::stands::Stands;
use super::start::start;

/// Attends to the operator until the machine is to be switched off.
pub fn attend(setting: Setting<'_>) {
    let Setting { console, slots, wake, data, facts, software, is_rehearsal, idle } = setting;
    let mut screen = OnConsole { console, wake };
    let room = Room::new(&mut screen, slots, &data, is_rehearsal, idle).about(software, facts);
    stay(&room);
}

/// A console and what wakes it.
struct OnConsole<'a> {
    console: &'a mut Console,
    wake: Wake<'a>,
}

impl Screen for OnConsole<'_> {
    fn show(&mut self, page: &Page) {
        self.console.show(page);
    }

    fn ask(&mut self, page: &Page, idle: Duration) -> Event {
        self.console.ask(page, self.wake, idle)
    }
}

/// Everything that happens until somebody switches off or the terminal is gone.
pub(super) fn stay(room: &Room<'_>) {
    let mut stands = Stands::Unknown;
    while stands != Stands::Off {
        let went = match &stands {
            Stands::Unknown => start(room),
            Stands::Home => home(room),
            Stands::Halted(reason) => halted(room, reason),
            Stands::Off => break,
        };
        match went {
            Ok(next) => stands = next,
            Err(Away::Left) => {}
            Err(Away::Idle) if locked(room) => {}
            Err(Away::Idle | Away::Closed) => return,
        }
    }
    room.show(&lock::off());
}

/// Locks, and waits for somebody; `false` when nobody will ever come.
fn locked(room: &Room<'_>) -> bool {
    room.forget();
    loop {
        match room.key(&lock::locked()) {
            Ok(_) => return true,
            Err(Away::Closed) => return false,
            Err(Away::Idle | Away::Left) => {}
        }
    }
}

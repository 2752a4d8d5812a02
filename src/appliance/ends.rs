//! How a thing that is done here ends otherwise than it should: trouble is shown, and what is left to do follows from its family.

use crate::console::page::Block;
use crate::run::halt::why_halted;
use crate::run::problem::Problem;

use super::pages::trouble::{Family, trouble};
use super::pages::{ENTER, lock};
use super::room::{Away, Room, Way};
use super::stands::Stands;

/// Shows what ends everything that can be done here; then there is nothing left but to switch off.
pub(super) fn ended(room: &Room<'_>, problem: &Problem) -> Way<Stands> {
    let mut page = trouble(problem, Vec::new());
    page.choices.clear();
    room.key(&page.choice('p', "switch off").choice(ENTER, "look once more")).map(|key| match key {
        'p' => Stands::Off,
        _ => Stands::Unknown,
    })
}

/// Shows trouble; answers where that leaves us.
pub(super) fn troubled(room: &Room<'_>, problem: &Problem, sticks: Vec<Block>) -> Way<Stands> {
    let family = Family::of(problem);
    match room.key(&trouble(problem, sticks)) {
        Ok(_) | Err(Away::Left) => {}
        Err(away) => return Err(away),
    }
    match family {
        Family::Halted => Ok(Stands::Halted(reason_of(room, problem))),
        family if family.is_the_end() => Ok(Stands::Off),
        _ => Ok(Stands::Home),
    }
}

fn reason_of(room: &Room<'_>, problem: &Problem) -> String {
    let told = || format!("[{}] {}", problem.fault.rule, problem.fault.shown());
    why_halted(room.desk(), &crate::core::books::Books::default()).ok().flatten().unwrap_or_else(told)
}

/// Asks whether the power is to be switched off.
pub(super) fn switch_off(room: &Room<'_>) -> Way<Stands> {
    match room.key(&lock::switch_off(room.sticks().len())) {
        Ok(_) => Ok(Stands::Off),
        Err(away) => Err(away),
    }
}

//! Everything that was published, written to a stick: no key, no number, the same bytes. A halted desk can still do it.

use crate::run::desk::Desk;
use crate::run::session::export_handling;

use super::ends::troubled;
use super::meanwhile::{TICK, meanwhile};
use super::pages::checking::checking;
use super::pages::results::{EXPORTED_AGAIN, Given, given, told};
use super::pages::sticks as pages;
use super::room::{Away, Room, Way};
use super::stands::Stands;
use super::sticks::{Held, Steps, close_all, open_all};

/// Writes everything to each stick that is inserted; answers where that leaves us, when it is not where we were.
pub(super) fn export(room: &Room<'_>) -> Way<Option<Stands>> {
    let names: Vec<String> = room.sticks().into_iter().filter(|stick| stick.trouble.is_none()).map(|stick| stick.called()).collect();
    match room.key(&pages::export(&names)) {
        Ok(_) => {}
        Err(Away::Left) => return Ok(None),
        Err(away) => return Err(away),
    }
    let ledger = room.desk();
    let checked = meanwhile(room, TICK, checking, || Desk::open_to_look(ledger));
    let (desk, opened) = match checked.and_then(|desk| Ok((desk, open_all(room)?))) {
        Ok(both) => both,
        Err(problem) => return troubled(room, &problem, Vec::new()).map(Some),
    };
    room.show(&pages::reading(&names, 0));
    let (mut steps, mut written, mut halting) = (Steps::default(), Vec::new(), None);
    for stick in &opened {
        let mut observe = |effect: &'static str, what: &str| steps.take(room, effect, what);
        let done = export_handling(&desk, &stick.folder, &mut Held { room, sticks: &opened }, &mut observe);
        written.push(done.as_ref().map(drop).map_err(|problem| problem.fault.clone()));
        if let Err(problem) = done
            && super::pages::trouble::Family::of(&problem).is_the_end()
        {
            halting = Some(problem);
            break;
        }
    }
    let closed = close_all(room, &opened);
    if let Some(problem) = halting {
        return troubled(room, &problem, Vec::new()).map(Some);
    }
    let sticks = closed.into_iter().zip(written).map(|((name, closed), written)| Given { name, written, closed });
    let head = room.standing().map(|standing| crate::run::words::head(&standing.head)).unwrap_or_default();
    match room.key(&given("everything that was published", vec![told("Head", head)], &sticks.collect::<Vec<_>>(), EXPORTED_AGAIN)) {
        Ok(_) | Err(Away::Left) => Ok(None),
        Err(away) => Err(away),
    }
}

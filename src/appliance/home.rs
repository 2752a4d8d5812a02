//! Home: everything begins and ends here.

use std::path::Path;

use crate::clock;
use crate::console::page::Page;
use crate::core::rules::Checked;
use crate::machine::memory::memory;

use super::ends::{switch_off, troubled};
use super::export::export;
use super::pages::{home as pages, trouble};
use super::room::{Away, Did, Room, Way};
use super::stands::Stands;
use super::visit::visit;

/// Shows where we stand, and does what the operator chooses.
pub(super) fn home(room: &Room<'_>) -> Way<Stands> {
    let Some(standing) = room.standing() else { return Ok(Stands::Unknown) };
    let sticks = room.sticks();
    let page = pages::home(&standing, &sticks, clock::now_unix(), room.claims_time());
    let key = match room.ask(&page) {
        Ok(Did::Key(key)) => key,
        Ok(Did::Line(_) | Did::Sticks) | Err(Away::Left) => return Ok(Stands::Home),
        Err(away) => return Err(away),
    };
    match key {
        '\n' => return visit(room, &standing),
        'e' => return export(room).map(|stands| stands.unwrap_or(Stands::Home)),
        'h' => look(room, pages::head_code(&standing))?,
        'f' => fingerprint(room, false)?,
        'c' => time(room)?,
        'm' => room.seen(&pages::machine(room.software(), memory(Path::new("/")), room.facts()))?,
        'p' => return or_stay(switch_off(room)),
        _ => {}
    }
    Ok(Stands::Home)
}

/// A halted desk: it can be looked at, and what was published can be written.
pub(super) fn halted(room: &Room<'_>, reason: &str) -> Way<Stands> {
    let sticks = room.sticks();
    let standing = room.standing();
    let is_signed = standing.as_ref().is_none_or(|standing| standing.unsealed.is_none());
    let can_export = standing.is_some() && is_signed && sticks.iter().any(|stick| stick.trouble.is_none());
    let page = trouble::halted(reason, pages::sticks(&sticks), is_signed, can_export);
    let stays = || Stands::Halted(reason.to_owned());
    match room.ask(&page) {
        Ok(Did::Key('e')) => export(room).map(|stands| stands.unwrap_or_else(stays)),
        Ok(Did::Key('p')) => match switch_off(room) {
            Err(Away::Left) => Ok(stays()),
            went => went,
        },
        Ok(_) | Err(Away::Left) => Ok(stays()),
        Err(away) => Err(away),
    }
}

/// Shows a page that is only looked at.
fn look(room: &Room<'_>, page: Checked<Page>) -> Way<()> {
    match page {
        Ok(page) => room.seen(&page),
        Err(fault) => troubled(room, &fault.into(), Vec::new()).map(drop),
    }
}

/// The charter's fingerprint, and its code.
pub(super) fn fingerprint(room: &Room<'_>, is_new: bool) -> Way<()> {
    let Some(standing) = room.standing() else { return Ok(()) };
    while let Ok('c') = room.key(&pages::fingerprint(&standing, is_new)) {
        look(room, pages::fingerprint_code(&standing))?;
    }
    Ok(())
}

/// The clock, and whether sessions claim its time.
fn time(room: &Room<'_>) -> Way<()> {
    let last = room.standing().and_then(|standing| standing.last_claim);
    loop {
        match room.key(&pages::clock_page(clock::now_unix(), last, room.claims_time())) {
            Ok('t') => room.claim_time(!room.claims_time()),
            Ok(_) | Err(Away::Left) => return Ok(()),
            Err(away) => return Err(away),
        }
    }
}

fn or_stay(went: Way<Stands>) -> Way<Stands> {
    match went {
        Err(Away::Left) => Ok(Stands::Home),
        went => went,
    }
}

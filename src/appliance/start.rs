//! The start: what is on the data disk, whether the desk is well, and whether the operator recognises it.

use crate::core::rules::Fault;
use crate::run::found::{Founding, founding};
use crate::run::integrity::{Integrity, Request, integrity};

use super::ends::{ended, switch_off};
use super::founding::{empty, first_facts, keyed, waiting};
use super::meanwhile::{TICK, meanwhile};
use super::pages::checking;
use super::recognise::{Recognised, recognise};
use super::room::{Away, Room, Way};
use super::standing::Standing;
use super::stands::Stands;

/// Looks at the data disk, and goes where that leads.
pub(super) fn start(room: &Room<'_>) -> Way<Stands> {
    match founding(room.desk()) {
        Ok(Founding::Nothing) => empty(room),
        Ok(Founding::Keyed) => keyed(room),
        Ok(Founding::Drafted(charter)) => waiting(room, &charter),
        Ok(Founding::Founded) => founded(room),
        Err(problem) => ended(room, &problem),
    }
}

fn founded(room: &Room<'_>) -> Way<Stands> {
    let request = Request { ledger: room.desk().to_owned(), deep: false, known: None, insists: false };
    let found = match meanwhile(room, TICK, checking::checking, || integrity(&request, &mut || Ok(None), &mut |_, _| {})) {
        Ok(found) => found,
        Err(problem) => return ended(room, &problem),
    };
    let Integrity { findings, halted, done, writer, .. } = found;
    if let Some(writer) = writer {
        return ended(room, &Fault::new(crate::core::rules::Rule::AnotherWriter, writer).into());
    }
    let Some(findings) = findings else { return Ok(Stands::Off) };
    if findings.chain_is_whole
        && let Ok(standing) = Standing::of(&findings.books)
    {
        room.stands(standing);
    }
    if let Some(reason) = halted {
        let reason = if done.is_empty() { reason } else { format!("{reason}; {}", done.join("; ")) };
        return Ok(Stands::Halted(reason));
    }
    if let Some(standby) = &findings.standby {
        return ended(room, &Fault::new(crate::core::rules::Rule::Standby, standby.words()).into());
    }
    if let Some(wrong) = &findings.wrong {
        return ended(room, &wrong.fault.clone().into());
    }
    match recognise(room, &findings.books) {
        Ok(Recognised::Yes) => {
            room.recognised();
            Ok(Stands::Home)
        }
        Ok(Recognised::FoundedToday) => {
            room.recognised();
            first_facts(room, false).map(|()| Stands::Home)
        }
        Ok(Recognised::Halted(reason)) => Ok(Stands::Halted(reason)),
        Err(Away::Left) => switch_off(room),
        Err(away) => Err(away),
    }
}

//! The operator recognises the desk by the head on paper: the one thing that an old copy of the disk cannot know.

use crate::core::books::Books;
use crate::core::head::KnownHead;
use crate::core::ids::Head;
use crate::core::rules::Fault;
use crate::core::words::head_words;
use crate::keys::Passphrase;
use crate::run::integrity::{Request, integrity};

use super::meanwhile::{TICK, meanwhile};
use super::pages::{checking, head as pages};
use super::room::{Away, Room, Way};

/// How it ended.
pub(super) enum Recognised {
    /// The head is the one that the operator knows.
    Yes,
    /// Nobody knows the head yet: the founding broke off before it could be written down.
    FoundedToday,
    /// The operator knows a later one and insisted: the desk is halted.
    Halted(String),
}

/// Asks for the head until it is recognised.
///
/// # Errors
/// When the operator does not go on.
pub(super) fn recognise(room: &Room<'_>, books: &Books) -> Way<Recognised> {
    let head = books.head();
    let before = books.headings().last().map(|heading| heading.before);
    let is_young = books.headings().len() == 1;
    let mut wrong = Vec::new();
    loop {
        let typed = room.line(&pages::last_head(wrong, is_young))?;
        if is_young && typed.trim().eq_ignore_ascii_case(pages::FOUNDED_TODAY) {
            return Ok(Recognised::FoundedToday);
        }
        if pages::is_example(&typed) {
            wrong = pages::example_typed();
            continue;
        }
        let known = match KnownHead::typed(&typed) {
            Ok(known) => known,
            Err(fault) => {
                wrong = pages::no_head(fault.shown());
                continue;
            }
        };
        if known.is(&head) {
            return Ok(Recognised::Yes);
        }
        if before.is_some_and(|before| known.is(&before)) {
            match room.key(&pages::one_ahead(&known, &head)) {
                Ok(_) => return Ok(Recognised::Yes),
                Err(Away::Left) => wrong = Vec::new(),
                Err(away) => return Err(away),
            }
            continue;
        }
        if known.number > head.number
            && let Some(halted) = later(room, &known, &head)?
        {
            return Ok(Recognised::Halted(halted));
        }
        let had = books.log().root_at(known.number).is_some_and(|root| known.number < head.number && known.words == head_words(&root));
        wrong = if had { pages::went_on(&known, &head) } else { pages::differs(&known, &head) };
    }
}

/// The operator knows a later head: halts when that is insisted on; else nothing was done.
fn later(room: &Room<'_>, known: &KnownHead, head: &Head) -> Way<Option<String>> {
    let mut wrong = false;
    loop {
        match room.line(&pages::later(known, head, wrong)) {
            Ok(typed) if typed.trim().eq_ignore_ascii_case("halt") => break,
            Ok(_) => wrong = true,
            Err(Away::Left) => return Ok(None),
            Err(away) => return Err(away),
        }
    }
    let request = Request { ledger: room.desk().to_owned(), deep: false, known: Some(known.clone()), insists: true };
    let halted =
        meanwhile(room, TICK, checking::checking, || integrity(&request, &mut || Ok::<Option<Passphrase>, Fault>(None), &mut |_, _| {}));
    Ok(match halted {
        Ok(found) => Some(found.halted.unwrap_or_else(|| "nothing was halted: look once more".into())),
        Err(problem) => Some(format!("[{}] {}; {}", problem.fault.rule, problem.fault.shown(), problem.state)),
    })
}

//! Founding at the console, in two visits: the key is made and the charter drafted; the charter comes back signed.

use zeroize::{Zeroize as _, Zeroizing};

use crate::clock;
use crate::console::page::Block;
use crate::core::charter::Charter;
use crate::core::rules::{Checked, Fault, Rule};
use crate::keys::Passphrase;
use crate::keys::entropy::Dice;
use crate::keys::file::WorkFactor;
use crate::run::desk::Desk;
use crate::run::found::{self, Draft};
use crate::run::founding_stick::{Brought, FOUNDING, SIGNED_FILE, brought, hand_out, signed};
use crate::run::problem::{Outcomes, Problem};
use crate::run::session::export_handling;

use super::ends::{switch_off, troubled};
use super::home::fingerprint;
use super::pages::results::{Given, WRITTEN_AGAIN, given, told};
use super::pages::sticks::opening;
use super::pages::{advice, founding as pages, home as home_pages};
use super::room::{Away, Did, Room, Way};
use super::standing::Standing;
use super::stands::Stands;
use super::sticks::{Held, Opened, Steps, close_all, open_all};
use super::visit::ask_passphrase;

/// How often a passphrase may be wrong.
const TRIES: u32 = 3;

/// A data disk without a witness.
pub(super) fn empty(room: &Room<'_>) -> Way<Stands> {
    match room.key(&pages::empty())? {
        'f' => draft(room, Key::New).map(|()| Stands::Unknown),
        _ => switch_off(room),
    }
}

/// A data disk with a key and nothing that was made with it: the first visit broke off in between.
pub(super) fn keyed(room: &Room<'_>) -> Way<Stands> {
    match room.key(&pages::keyed())? {
        'f' => draft(room, Key::Kept).map(|()| Stands::Unknown),
        _ => switch_off(room),
    }
}

/// Which key a charter is drafted with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    /// One that is made now, from a die and the machine's chance, under a passphrase that is chosen now.
    New,
    /// The one that is there, under the passphrase that it was sealed with.
    Kept,
}

/// First visit: what the founders brought, a passphrase, the key, the charter.
fn draft(room: &Room<'_>, key: Key) -> Way<()> {
    let mut missing = None;
    let (opened, found) = loop {
        match room.ask(&pages::needed(&room.sticks(), missing.as_deref()))? {
            Did::Key(_) => match read(room) {
                Ok(found) => break found,
                Err(problem) => missing = Some(format!("{}: {}", advice::matter(problem.fault.rule), problem.fault.shown())),
            },
            Did::Line(_) | Did::Sticks => {}
        }
    };
    let made = make(room, key, &found);
    let opened = vec![opened];
    let made = match made {
        Ok(made) => made,
        Err(away) => {
            close_all(room, &opened);
            return Err(away);
        }
    };
    match made {
        Ok(()) => give_charter(room, &opened),
        Err(problem) => {
            close_all(room, &opened);
            troubled(room, &problem, Vec::new()).map(drop)
        }
    }
}

/// The first stick that brings a founding, open; the others are let go of.
fn read(room: &Room<'_>) -> Outcomes<(Opened, Brought)> {
    let (mut found, mut last) = (None, Problem::from(Fault::new(Rule::NotFound, format!("no stick with the folder {FOUNDING} found"))));
    for stick in open_all(room)? {
        match brought(&stick.folder) {
            Ok(brought) if found.is_none() => found = Some((stick, brought)),
            Ok(_) => drop(close_all(room, &[stick])),
            Err(fault) => {
                last = fault.into();
                close_all(room, &[stick]);
            }
        }
    }
    found.ok_or(last)
}

/// What the founders want, a passphrase, and the key and charter that follow from both.
fn make(room: &Room<'_>, key: Key, found: &Brought) -> Way<Outcomes<()>> {
    room.key(&pages::policy(found))?;
    let (dice, passphrase, meanwhile) = match key {
        Key::New => (Some(roll(room)?), choose(room)?, pages::making()),
        Key::Kept => (None, kept(room)?, opening()),
    };
    room.show(&meanwhile);
    let draft = Draft {
        dir: room.desk().to_owned(),
        policy: found.path.clone(),
        next: found.next.clone(),
        text: None,
        rehearsal: room.is_rehearsal(),
        dice,
    };
    let done = Passphrase::new(&passphrase).map_err(Problem::from).and_then(|given| found::draft(&draft, &given, WorkFactor::STANDARD));
    if done.is_ok() {
        room.keep(passphrase);
    }
    Ok(done.map(drop))
}

/// Rolls of a die, line after line until they are enough, and anew when no die made them.
fn roll(room: &Room<'_>) -> Way<Dice> {
    // Room for all at once, so that growing leaves no copy behind.
    let (mut rolls, mut wrong) = (Zeroizing::new(String::with_capacity(ROLLS_BYTES_MAX)), None);
    loop {
        let count = Dice::count(&rolls).unwrap_or(0);
        let line = room.line(&pages::dice(count, Dice::ROLLS_MIN, wrong.as_deref()))?;
        wrong = None;
        if Dice::count(&line).is_none() {
            wrong = Some("Only the digits 1 to 6 are rolls. That line was left out.".to_owned());
            continue;
        }
        if rolls.len() + line.len() > ROLLS_BYTES_MAX {
            wrong = Some("That line was too long, and was left out.".to_owned());
            continue;
        }
        rolls.push_str(&line);
        if Dice::count(&rolls).is_some_and(|count| count >= Dice::ROLLS_MIN) {
            match Dice::new(&rolls) {
                Ok(dice) => return Ok(dice),
                Err(fault) => {
                    wrong = Some(format!("{}: {}. All rolls were forgotten; begin anew.", advice::matter(fault.rule), fault.shown()));
                    rolls.zeroize();
                }
            }
        }
    }
}

/// Bytes of rolls and what stands between them.
const ROLLS_BYTES_MAX: usize = 2_000;

/// A new passphrase, typed twice.
fn choose(room: &Room<'_>) -> Way<Zeroizing<String>> {
    let mut wrong = None;
    loop {
        let first = room.line(&pages::choose_passphrase(false, wrong))?;
        if first.chars().count() < PASSPHRASE_LETTERS_MIN {
            wrong = Some("That is too short: it must have 12 letters or more.");
            continue;
        }
        if room.line(&pages::choose_passphrase(true, None))? == first {
            return Ok(first);
        }
        wrong = Some("The two were different. Nothing was made; choose once more.");
    }
}

/// The passphrase of a key that is there.
fn kept(room: &Room<'_>) -> Way<Zeroizing<String>> {
    loop {
        let typed = room.line(&pages::kept_passphrase())?;
        if !typed.is_empty() {
            return Ok(typed);
        }
    }
}

/// Shortest passphrase of a new desk.
const PASSPHRASE_LETTERS_MIN: usize = 12;

/// The charter on the sticks, for the founders to take home.
fn give_charter(room: &Room<'_>, opened: &[Opened]) -> Way<()> {
    let mut steps = Steps::default();
    let mut written = Vec::new();
    for stick in opened {
        let mut observe = |effect: &'static str, what: &str| steps.take(room, effect, what);
        written.push(hand_out(room.desk(), &stick.folder, &mut Held { room, sticks: opened }, &mut observe));
    }
    let sticks = close_all(room, opened).into_iter().zip(written);
    let sticks: Vec<Given> = sticks.map(|((name, closed), written)| Given { name, written, closed }).collect();
    room.seen(&given("the charter to be signed", Vec::new(), &sticks, pages::GIVEN_AGAIN))
}

/// Between the two visits.
pub(super) fn waiting(room: &Room<'_>, charter: &Charter) -> Way<Stands> {
    let mut wrong = None;
    loop {
        match room.ask(&pages::waiting(charter, &room.sticks(), wrong.as_deref())) {
            Ok(Did::Key('\n')) => match found(room)? {
                Ok(stands) => return Ok(stands),
                Err(says) => wrong = Some(says),
            },
            Ok(Did::Key('w')) => match open_all(room) {
                Ok(opened) => give_charter(room, &opened)?,
                Err(problem) => drop(troubled(room, &problem, Vec::new())?),
            },
            Ok(Did::Key(_)) => return switch_off(room),
            Ok(_) | Err(Away::Left) => {}
            Err(away) => return Err(away),
        }
    }
}

/// Second visit: the signed charter becomes common@1. What is missing for that is said in words.
fn found(room: &Room<'_>) -> Way<Result<Stands, String>> {
    let opened = match open_all(room) {
        Ok(opened) => opened,
        Err(problem) => return Ok(Err(problem.fault.shown().to_owned())),
    };
    let Some(charter) = opened.iter().find_map(|stick| signed(&stick.folder)) else {
        close_all(room, &opened);
        return Ok(Err(format!("no stick has {FOUNDING}/{SIGNED_FILE}: the founders have not signed on it yet")));
    };
    let founded = commit(room, &charter);
    if let Ok(standing) = &founded {
        room.stands(standing.clone());
        room.recognised();
        return first_page(room, &opened).map(Ok);
    }
    close_all(room, &opened);
    match (founded, room.kept_away()) {
        (_, Some(Away::Left)) => Ok(Err("not founded: the passphrase was not given".into())),
        (_, Some(away)) => Err(away),
        (Err(problem), None) => troubled(room, &problem, Vec::new()).map(|stands| match stands {
            Stands::Off => Ok(Stands::Off),
            _ => Ok(Stands::Unknown),
        }),
        (Ok(_), None) => Ok(Ok(Stands::Unknown)),
    }
}

/// Founds, and closes the desk again.
fn commit(room: &Room<'_>, charter: &std::path::Path) -> Outcomes<Standing> {
    let mut wrong = 0;
    let time = clock::now_unix().filter(|_| room.claims_time());
    loop {
        let passphrase = ask_passphrase(room, &mut wrong)?;
        let mut steps = Steps::default();
        let done = found::commit(room.desk(), charter, time, &passphrase, &mut |effect, what| steps.take(room, effect, what));
        match done {
            Err(problem) if problem.fault.rule == Rule::Passphrase => {
                room.forget();
                wrong += 1;
                if wrong >= TRIES {
                    return Err(problem);
                }
            }
            done => return Ok(Standing::of(done?.books())?),
        }
    }
}

/// What remains after the founding: fingerprint, head, and the first page on the sticks.
pub(super) fn first_page(room: &Room<'_>, opened: &[Opened]) -> Way<Stands> {
    let Some(standing) = room.standing() else { return Ok(Stands::Unknown) };
    let (mut steps, mut written) = (Steps::default(), Vec::<Checked<()>>::new());
    for stick in opened {
        let mut observe = |effect: &'static str, what: &str| steps.take(room, effect, what);
        let mut held = Held { room, sticks: opened };
        let done = Desk::open_to_look(room.desk()).and_then(|desk| export_handling(&desk, &stick.folder, &mut held, &mut observe));
        written.push(done.map_err(|problem| problem.fault));
    }
    let sticks = close_all(room, opened).into_iter().zip(written);
    let sticks: Vec<Given> = sticks.map(|((name, closed), written)| Given { name, written, closed }).collect();
    first_facts(room, true)?;
    let facts: Vec<Block> = vec![told("Head", crate::run::words::head(&standing.head))];
    room.seen(&given("the first page of this Common", facts, &sticks, WRITTEN_AGAIN))?;
    Ok(Stands::Home)
}

/// What everybody must be told, and what the operator must write down; the stick is in already, or comes on the page Home.
pub(super) fn first_facts(room: &Room<'_>, has_stick: bool) -> Way<()> {
    let Some(standing) = room.standing() else { return Ok(()) };
    room.seen(&pages::founded(standing.origin.as_str(), has_stick))?;
    fingerprint(room, true)?;
    room.seen(&home_pages::write_down(&standing))
}

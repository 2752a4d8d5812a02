//! Home: where we stand, what is inserted, what to do next; and what can be looked at from there.

use crate::clock;
use crate::console::page::{Block, Mark, Page};
use crate::core::rules::Checked;
use crate::core::words::{head_words, words24};
use crate::machine::memory::Memory;
use crate::run::qr;

use super::{ENTER, count, grouped, mark, page, row, say};
use crate::appliance::Software;
use crate::appliance::slots::Stick;
use crate::appliance::standing::Standing;

/// The first lines of every list of sticks.
pub fn sticks(sticks: &[Stick]) -> Vec<Block> {
    let line = |stick: &Stick| match &stick.trouble {
        None => mark(Mark::Good, stick.tells()),
        Some(fault) => mark(Mark::Look, format!("cannot be used: {}: {}", stick.tells(), fault.shown())),
    };
    match sticks {
        [] => vec![mark(Mark::Open, "no stick is inserted")],
        sticks => sticks.iter().map(line).collect(),
    }
}

/// Where we stand.
pub fn home(standing: &Standing, inserted: &[Stick], now: Option<u64>, claims_time: bool) -> Page {
    let usable = inserted.iter().filter(|stick| stick.trouble.is_none()).count();
    let mut body = vec![
        row("Head", format!("common@{}", standing.head.number)),
        row("in words", head_words(&standing.head.root)),
        row("in digits", grouped(&standing.head.root)),
        row("Waiting", waiting(standing)),
        row("Clock", clock_line(now, standing.last_claim, claims_time)),
        Block::Gap,
    ];
    body.extend(sticks(inserted));
    let next = match (usable, standing.unsealed) {
        (0, None) => "Insert a stick, or several that belong into one session. Nothing happens to a stick before you say so.",
        (0, Some(_)) => "Insert a stick: what broke off is finished with it. Nothing happens to a stick before you say so.",
        (_, Some(_)) => "Press Enter, and go on to the end: what broke off is finished first, and everything is written to the stick.",
        (1, None) => "Press Enter to look at what the stick brings. Nothing is decided by looking.",
        (_, None) => "Press Enter to look at what the sticks bring: all of them are one session. Pull out those that do not belong to it.",
    };
    let mut home = page("Home", body, next);
    if usable > 0 {
        home = home.choice(ENTER, "look at the sticks");
    }
    // What is not signed cannot be written, and only a session signs.
    if usable > 0 && standing.unsealed.is_none() {
        home = home.choice('e', "write all to a stick");
    }
    home.choice('h', "head as a code").choice('f', "fingerprint").choice('c', "clock").choice('m', "this machine").choice('p', "switch off")
}

fn waiting(standing: &Standing) -> String {
    let held = match standing.held {
        0 => "no paper".to_owned(),
        held => count(held, "paper"),
    };
    match standing.unsealed {
        None => held,
        Some(session) => format!("{held}; session {session} broke off and is finished with the next sticks"),
    }
}

/// What the clock says and what that is worth.
pub fn clock_line(now: Option<u64>, last_claim: Option<u64>, claims_time: bool) -> String {
    let Some(now) = now else { return "it stands before 1970 and is worth nothing: sessions claim no time".into() };
    let shown = clock::show(now);
    match last_claim {
        Some(last) if now < last => {
            format!("{shown}, but the last session claimed {}: it went back, and sessions claim no time", clock::show(last))
        }
        _ if !claims_time => format!("{shown}; sessions claim no time, as you chose"),
        _ => format!("{shown}, by this machine alone: compare it with a watch"),
    }
}

/// The clock, and whether sessions claim its time.
pub fn clock_page(now: Option<u64>, last_claim: Option<u64>, claims_time: bool) -> Page {
    let last = last_claim.map_or("no session claimed a time".into(), clock::show);
    let body = vec![
        row("Clock", now.map_or("before 1970".into(), clock::show)),
        row("Last claim", last),
        row("Sessions", if claims_time { "claim the time of the clock" } else { "claim no time" }),
        Block::Gap,
        say(
            "The time is in UTC, which is not what a watch shows in most places. A session writes down the time of this clock as a claim. Nothing is decided by it, and nobody can check it. If the clock is wrong, let sessions claim no time.",
        ),
    ];
    let change = if claims_time { "claim no time" } else { "claim the clock's time" };
    page("The clock", body, "Compare it with a watch. Escape goes back.").choice('t', change).choice(ENTER, "back")
}

/// The head as a code for a telephone's camera.
///
/// # Errors
/// `internal-fault` when it does not fit into a code.
pub fn head_code(standing: &Standing) -> Checked<Page> {
    let text = format!("COMMON {} {}", standing.head.number, standing.head.root.hex().to_uppercase());
    let body = vec![Block::Art(qr::small(&text)?)];
    Ok(page("The head as a code", body, "A telephone reads it as COMMON, the number and the digits.").choice(ENTER, "back"))
}

/// The charter's fingerprint, to be read aloud.
pub fn fingerprint(standing: &Standing, is_new: bool) -> Page {
    let mut body = vec![
        say(
            "The fingerprint of the charter. Everybody who uses this Common compares it once, by telephone or on paper, never by stick: in digits or in words.",
        ),
        Block::Gap,
        row("In digits", grouped(&standing.fingerprint)),
        row("In words", words24(&standing.fingerprint)),
    ];
    if is_new {
        body.push(Block::Gap);
        body.push(say("It never changes, and this page can be seen again at any time."));
    }
    page("The fingerprint", body, "Read it aloud to whoever asks, or press c for a code. Enter goes on.")
        .choice('c', "as a code")
        .choice(ENTER, "go on")
}

/// The fingerprint as a code.
///
/// # Errors
/// `internal-fault` when it does not fit into a code.
pub fn fingerprint_code(standing: &Standing) -> Checked<Page> {
    let text = format!("CHARTER {}", standing.fingerprint.hex().to_uppercase());
    let body = vec![Block::Art(qr::small(&text)?)];
    Ok(page("The fingerprint as a code", body, "A telephone reads it as CHARTER and the digits.").choice(ENTER, "back"))
}

/// The head to be written on paper.
pub fn write_down(standing: &Standing) -> Page {
    let body = vec![
        say(
            "Write this on your paper, below the last one. It is asked for when the machine is switched on next time, and this is how an old copy of the disk is noticed.",
        ),
        Block::Gap,
        row("Number", standing.head.number.to_string()),
        row("Words", head_words(&standing.head.root).replace('-', "  ")),
    ];
    page("Write down the head", body, "When it is on paper, press Enter.").choice(ENTER, "it is on paper")
}

/// The machine and its program.
pub fn machine(software: &Software, memory: Option<Memory>, facts: &[(Mark, String)]) -> Page {
    let mut body = vec![
        row("Program", format!("tabellion {}", software.version)),
        row("SHA-256", software.digest.clone()),
        say("Compare the digits with those that were published with this version, once, when the boot stick was made."),
        row("Memory", memory.map_or("unknown".into(), |memory| format!("{} of {} MiB in use", memory.in_use_mib, memory.all_mib))),
        Block::Gap,
    ];
    body.extend(facts.iter().map(|(state, fact)| mark(*state, fact.clone())));
    page("This machine", body, "Nothing is to be done here. Enter goes back.").choice(ENTER, "back")
}

//! Waiting, locked, and the end.

use crate::console::page::Page;

use super::{ENTER, page, say};

/// The title of the locked console: no fact of the desk is shown with it.
pub const LOCKED: &str = "Locked";

/// Nothing but that it is locked.
pub fn locked() -> Page {
    let body = vec![say(
        "Nobody pressed a key for a while, so this console has locked itself. The passphrase is forgotten, and nothing was changed by waiting.",
    )];
    page(LOCKED, body, "Press Enter to go on. The passphrase is asked for again when it is needed.").choice(ENTER, "go on")
}

/// Whether the power is to be switched off.
pub fn switch_off(sticks: usize) -> Page {
    let mut body = vec![say("Everything that was confirmed is on the data disk. Nothing is lost by switching off.")];
    if sticks > 0 {
        body.push(say("A stick is still inserted. It may stay, and it may be pulled out when the machine is off."));
    }
    page("Switch off", body, "Press y to switch the machine off, or Escape to go back.").choice('y', "switch off")
}

/// The last page.
pub fn off() -> Page {
    let body = vec![say("The console has ended, and the machine switches itself off.")];
    page("Off", body, "When the screen is dark, put the boot stick back where it belongs, and your paper with the head too.")
}

//! QR codes on a terminal: a phone carries home what the screen says. Where nobody looks, in pipes and files, there is none.

use std::io::IsTerminal as _;

use crate::run::problem::Outcomes;
use crate::run::qr;

use super::output::Output;

/// Adds the code of a text when results go to a terminal.
///
/// Light modules are drawn and dark ones left out, which is right on the dark screen of a console; on a light one the code is inverted, and
/// readers take that too.
pub fn show(text: &str, out: &mut Output) -> Outcomes<()> {
    if std::io::stdout().is_terminal() {
        qr::blocks(text)?.lines().for_each(|line| out.line(line));
    }
    Ok(())
}

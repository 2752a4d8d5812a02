//! QR codes on a terminal: a phone carries home what the screen says. Where nobody looks, in pipes and files, there is none.

use std::io::IsTerminal as _;

use crate::run::problem::Outcomes;
use crate::run::qr;

use super::output::Page;

/// The code of a text that is made of other facts of an answer; so `--json` leaves it out.
pub struct Code {
    blocks: String,
}

impl Code {
    /// The code of a text.
    ///
    /// # Errors
    /// `internal-fault` when the text is too long for one.
    pub fn of(text: &str) -> Outcomes<Code> {
        Ok(Code { blocks: qr::blocks(text)? })
    }

    /// Draws it when results go to a terminal.
    ///
    /// Light modules are drawn and dark ones left out, which is right on the dark screen of a console; on a light one the code is inverted, and
    /// readers take that too.
    pub fn say(&self, page: &mut Page) {
        if std::io::stdout().is_terminal() {
            self.blocks.lines().for_each(|line| page.line(line));
        }
    }
}

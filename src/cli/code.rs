//! QR codes on a terminal: a phone carries home what the screen says. Where nobody looks, in pipes and files, there is none.

use std::io::IsTerminal as _;

use serde::Serialize;

use crate::run::problem::Outcomes;
use crate::run::qr;

use super::output::Page;

/// A text that is shown as a code too.
#[derive(Serialize)]
#[serde(transparent)]
pub struct Code {
    text: String,
    #[serde(skip)]
    blocks: String,
}

impl Code {
    /// The code of a text.
    ///
    /// # Errors
    /// `internal-fault` when the text is too long for one.
    pub fn of(text: String) -> Outcomes<Code> {
        let blocks = qr::blocks(&text)?;
        Ok(Code { text, blocks })
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

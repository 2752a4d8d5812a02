//! Where text goes: results to stdout at the end of a command, narration to stderr as it happens. A closed pipe ends quietly.

use std::io::Write as _;

/// The results of a command, written when it is done.
#[derive(Default)]
pub struct Output {
    text: String,
}

impl Output {
    /// Adds a line.
    pub fn line(&mut self, line: impl AsRef<str>) {
        self.text.push_str(line.as_ref());
        self.text.push('\n');
    }

    /// Writes what there is.
    pub fn flush(&mut self) {
        // Nobody reads any more: that is the reader's choice, not our failure.
        drop(std::io::stdout().write_all(self.text.as_bytes()));
        drop(std::io::stdout().flush());
        self.text.clear();
    }
}

/// Says something beside the results.
pub fn narrate(line: &str) {
    drop(std::io::stderr().write_all(format!("{line}\n").as_bytes()));
}

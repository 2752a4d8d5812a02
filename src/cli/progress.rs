//! How far long work is: one line on stderr, on a terminal only, gone when the work is done or somebody is asked.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Times a second that the line is drawn at most.
const DRAWS_A_SECOND: u8 = 10;

/// The line. It says nothing that the answer will not say, so nobody misses it in a pipe or with `--json`.
pub struct Progress {
    line: ProgressBar,
}

impl Progress {
    /// A line, unless `hidden`, no terminal is there, or it cannot move its cursor.
    pub fn new(hidden: bool) -> Progress {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let target = match hidden || is_dumb || !std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr_with_hz(DRAWS_A_SECOND),
        };
        let line = ProgressBar::with_draw_target(None, target);
        // The templates are ours; were one wrong, the plain line would be shown.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            line.set_style(style);
        }
        Progress { line }
    }

    /// The next of some effects, whose number nobody knows beforehand.
    #[cfg(feature = "desk")]
    pub fn effect(&self, effect: &str, what: &str) {
        let text = if what.is_empty() { effect.to_owned() } else { format!("{effect}: {what}") };
        self.line.set_message(text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>());
        self.line.tick();
    }

    /// `done` of `all`.
    pub fn at(&self, done: u64, all: u64, what: &str) {
        if self.line.length() != Some(all) {
            self.line.set_length(all);
            if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos} of {len} {msg}") {
                self.line.set_style(style);
            }
        }
        self.line.set_message(what.to_owned());
        self.line.set_position(done);
    }

    /// Takes the line away while something else is written or asked.
    #[cfg(feature = "desk")]
    pub fn aside<T>(&self, ask: impl FnOnce() -> T) -> T {
        self.line.suspend(ask)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.line.finish_and_clear();
    }
}

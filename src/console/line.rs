//! The line that somebody is typing. A passphrase is one: its letters are in one buffer that never moves, and that is wiped.

use zeroize::Zeroizing;

use super::font;

/// Letters of a typed line; more are not taken.
pub(super) const LETTERS_MAX: usize = 1024;

/// A line as far as it is typed.
pub(super) struct Line {
    text: Zeroizing<String>,
    letters: usize,
    /// Whether a hidden line is shown for the moment, and on which terminal: there alone, so that no log of a serial line has a passphrase.
    shown_on: Option<usize>,
}

impl Line {
    /// An empty line, with all the room that it will ever need: a buffer that grew would leave a copy behind.
    pub(super) fn new() -> Line {
        Line { text: Zeroizing::new(String::with_capacity(LETTERS_MAX * 4)), letters: 0, shown_on: None }
    }

    /// One more letter; false when there is no room for it.
    pub(super) fn push(&mut self, letter: char) -> bool {
        let has_room = self.letters < LETTERS_MAX;
        if has_room {
            self.text.push(letter);
            self.letters += 1;
        }
        has_room
    }

    /// Takes the last letter back; false when there is none.
    pub(super) fn back(&mut self) -> bool {
        let had_one = self.text.pop().is_some();
        self.letters -= usize::from(had_one);
        had_one
    }

    /// Shows the hidden line on one terminal, or hides it again.
    pub(super) fn turn_over(&mut self, terminal: usize) {
        self.shown_on = if self.shown_on.is_some() { None } else { Some(terminal) };
    }

    /// Whether the hidden line is shown somewhere.
    pub(super) fn is_turned_over(&self) -> bool {
        self.shown_on.is_some()
    }

    /// What was typed; a new line begins.
    pub(super) fn take(&mut self) -> Zeroizing<String> {
        std::mem::replace(self, Line::new()).text
    }

    /// How the line looks on a terminal, a column for each letter.
    pub(super) fn on(&self, terminal: usize, is_secret: bool) -> Zeroizing<String> {
        Zeroizing::new(if is_secret && self.shown_on != Some(terminal) { "*".repeat(self.letters) } else { font::column_each(&self.text) })
    }

    /// Letters typed.
    pub(super) fn letters(&self) -> usize {
        self.letters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_kept_as_typed_and_taken_back_one_by_one() {
        let mut line = Line::new();
        for letter in "dice ü日".chars() {
            assert!(line.push(letter));
        }
        assert_eq!(*line.on(0, false), "dice ü?");
        assert!(line.back() && line.back());
        assert_eq!((line.take().as_str(), line.letters(), line.back()), ("dice ", 0, false));
    }

    #[test]
    fn a_secret_is_stars_and_shown_on_the_terminal_that_asked_alone() {
        let mut line = Line::new();
        assert!("geheim".chars().all(|letter| line.push(letter)));
        assert_eq!(*line.on(0, true), "******");
        line.turn_over(1);
        assert_eq!((line.on(0, true).as_str(), line.on(1, true).as_str()), ("******", "geheim"));
        line.turn_over(0);
        assert_eq!((line.on(0, true).as_str(), line.on(1, true).as_str()), ("******", "******"));
        line.turn_over(0);
        line.take();
        assert!(!line.is_turned_over(), "the next line is hidden again");
    }

    #[test]
    fn a_line_has_an_end_and_its_buffer_never_moves() {
        let mut line = Line::new();
        let before = line.text.as_ptr();
        for at in 0..LETTERS_MAX + 10 {
            assert_eq!(line.push('🙂'), at < LETTERS_MAX);
        }
        assert_eq!(line.text.as_ptr(), before);
        assert_eq!(line.take().chars().count(), LETTERS_MAX);
    }
}

//! A key that is held down repeats itself, and must not answer one page after the other: nobody read what came between.
//!
//! On a keyboard the key that answered a page counts again only after it was quiet for a while, and the while begins anew with the next page. Another
//! key counts at once: the finger was lifted.

use super::key::Key;

/// The key that answered last.
pub(super) struct Repeat {
    last: Option<Last>,
    /// How long it must be quiet.
    pause_us: u64,
}

struct Last {
    terminal: usize,
    key: Key,
    /// When it was heard last, or the next page appeared.
    heard_us: u64,
    /// Whether the page behind the answer is still to come.
    is_before_page: bool,
}

impl Repeat {
    /// Nothing was answered yet.
    pub(super) fn new(pause_us: u64) -> Repeat {
        Repeat { last: None, pause_us }
    }

    /// A key answered a page.
    pub(super) fn answered(&mut self, terminal: usize, key: Key, now_us: u64) {
        self.last = Some(Last { terminal, key, heard_us: now_us, is_before_page: true });
    }

    /// Whether a page is the first one behind an answer.
    pub(super) fn is_before_page(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.is_before_page)
    }

    /// A page appeared that was not there to be answered before.
    pub(super) fn appeared(&mut self, now_us: u64) {
        if let Some(last) = &mut self.last {
            (last.heard_us, last.is_before_page) = (now_us, false);
        }
    }

    /// Whether a key is the answer to the page before, still held down.
    pub(super) fn is(&mut self, terminal: usize, key: Key, now_us: u64) -> bool {
        let Some(last) = self.last.as_mut().filter(|last| last.terminal == terminal) else { return false };
        let is_held = last.key == key && now_us.saturating_sub(last.heard_us) < self.pause_us;
        if is_held {
            last.heard_us = now_us;
        } else {
            self.last = None;
        }
        is_held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_held_answers_one_page_and_counts_again_when_it_was_quiet() {
        let mut repeat = Repeat::new(400);
        assert!(!repeat.is(0, Key::Enter, 0), "nothing was answered");
        repeat.answered(0, Key::Enter, 1000);
        assert!(repeat.is_before_page());
        // The work between took long: the pause begins with the page.
        repeat.appeared(9000);
        assert!(!repeat.is_before_page());
        for at in [9001, 9399, 9500, 9899, 10_298] {
            assert!(repeat.is(0, Key::Enter, at), "{at}");
        }
        assert!(!repeat.is(0, Key::Enter, 10_698), "it was quiet for the whole pause");
        assert!(!repeat.is(0, Key::Enter, 10_699), "and is no repetition from then on");
    }

    #[test]
    fn another_key_or_another_keyboard_counts_at_once() {
        let mut repeat = Repeat::new(400);
        repeat.answered(0, Key::Enter, 0);
        repeat.appeared(1);
        assert!(!repeat.is(1, Key::Enter, 2));
        assert!(repeat.is(0, Key::Enter, 3));
        assert!(!repeat.is(0, Key::Char('p'), 4));
        assert!(!repeat.is(0, Key::Enter, 5), "the finger was lifted between");
    }
}

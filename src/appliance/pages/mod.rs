//! What the operator reads: pages as functions of facts, one file a subject. Plain words, no command of a terminal, and at the end always what
//! to do next.

pub mod advice;
pub mod checking;
pub mod founding;
pub mod head;
pub mod home;
pub mod lock;
pub mod papers;
pub mod results;
pub mod sticks;
pub mod trouble;

use crate::console::page::{Ask, Block, Choice, Mark, Page};
use crate::core::ids::Hash;

/// The Enter key.
pub const ENTER: char = '\n';

/// A page with a title, what there is to read, and what to do next.
pub fn page(title: impl Into<String>, body: Vec<Block>, next: impl Into<String>) -> Page {
    Page { title: title.into(), body, next: next.into(), ..Page::default() }
}

impl Page {
    /// The same page with one more key.
    pub fn choice(mut self, key: char, says: &str) -> Page {
        self.choices.push(Choice { key, says: says.to_owned() });
        self
    }

    /// The same page with a line to be typed.
    pub fn asking(mut self, prompt: impl Into<String>) -> Page {
        self.ask = Some(Ask { prompt: prompt.into(), is_secret: false });
        self
    }

    /// The same page with a line to be typed that nobody else reads.
    pub fn asking_secret(mut self, prompt: impl Into<String>) -> Page {
        self.ask = Some(Ask { prompt: prompt.into(), is_secret: true });
        self
    }
}

/// A paragraph.
pub fn say(text: impl Into<String>) -> Block {
    Block::Say(text.into())
}

/// A label and its text.
pub fn row(label: impl Into<String>, text: impl Into<String>) -> Block {
    Block::Row(label.into(), text.into())
}

/// A line with a mark.
pub fn mark(mark: Mark, text: impl Into<String>) -> Block {
    Block::Mark(mark, text.into())
}

/// A hash in groups of eight digits, for reading aloud.
pub fn grouped(hash: &Hash) -> String {
    let hex = hash.hex();
    let groups = (0..hex.len()).step_by(8).filter_map(|at| hex.get(at..at + 8));
    groups.collect::<Vec<_>>().join(" ")
}

/// The same text as the beginning of a sentence.
pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// `1 stick`, `2 sticks`.
pub use crate::run::words::count;

#[cfg(test)]
mod tests;

//! A page as a value: everything that one screen says, before anybody draws it. It knows no terminal.
//!
//! Text from outside may stand anywhere in it: what could move, hide or turn text is written out when it is drawn. In a [`Block::Say`] a line may
//! begin with any of its words, so words of others belong into rows, marks and what is below them, where they stand further in.
//!
//! The same page is drawn on a screen of 80 by 25 and printed as plain lines on a serial line; no meaning is carried by colour or place alone.

/// One screen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Its name, in the first line: where the operator is.
    pub title: String,
    /// Where the desk stands, in a line below it: `witness.example/common  common@7 …`. Empty before it is known.
    pub standing: String,
    /// What there is to read, from top to bottom. What does not fit is turned to with the keys for pages.
    pub body: Vec<Block>,
    /// What to do next, in a sentence or two. It is always seen.
    pub next: String,
    /// The keys that do something here.
    pub choices: Vec<Choice>,
    /// A line to be typed. While there is one, keys are letters of it and Escape leaves it.
    pub ask: Option<Ask>,
}

/// A part of what there is to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// A paragraph, broken between words, with an empty line between it and whatever stands above and below it.
    Say(String),
    /// A line with a mark before it.
    Mark(Mark, String),
    /// A label and its text; the text is broken between words below itself. Without a label it belongs to the row above.
    Row(String, String),
    /// A line that belongs to the one above it, further in.
    Below(String),
    /// Lines drawn as they are, and never broken: a code. Light on dark: what is drawn is light, what is empty is dark.
    Art(Vec<String>),
    /// How far long work is.
    Bar {
        /// What is being done.
        what: String,
        /// How much of it is done.
        done: u64,
        /// How much there is; 0 when nobody knows.
        all: u64,
    },
    /// Work of which nobody knows how far it is: that it goes on.
    Ticks {
        /// What is being done.
        what: String,
        /// For how many seconds.
        seconds: u64,
    },
    /// An empty line.
    Gap,
}

/// What a line means, in letters and not only in colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// `[ ok ]`
    Good,
    /// `[ !! ]`: look at this, and go on.
    Look,
    /// `[STOP]`: nothing goes on before somebody acts.
    Stop,
    /// `[    ]`: not yet.
    Open,
}

/// A key that does something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The key: a lower case letter, a digit, or Enter as `'\n'`. Escape, as `'\u{1b}'`, is named like the others, and is [`Event::Left`] always.
    ///
    /// While a line is asked for, only what Enter and Escape do is said.
    pub key: char,
    /// What it does, in two or three words.
    pub says: String,
}

/// A line to be typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// What is asked for, in a few words.
    pub prompt: String,
    /// Whether what is typed stays hidden.
    pub is_secret: bool,
}

/// What happened while a page was shown.
#[derive(PartialEq, Eq)]
pub enum Event {
    /// One of the page's keys.
    Chosen(char),
    /// The line that the page asked for; wiped when dropped.
    Typed(zeroize::Zeroizing<String>),
    /// Escape: away from the line that is asked for, or from this page.
    Left,
    /// A stick came or went.
    Sticks,
    /// Nobody did anything for as long as was said.
    Idle,
    /// No more keys will ever come: the terminal is gone.
    Closed,
}

/// Without what was typed: it may be a passphrase, and a value that is shown may end in a log.
impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Event::Chosen(key) => write!(f, "Chosen({key:?})"),
            Event::Typed(_) => f.write_str("Typed(..)"),
            Event::Left => f.write_str("Left"),
            Event::Sticks => f.write_str("Sticks"),
            Event::Idle => f.write_str("Idle"),
            Event::Closed => f.write_str("Closed"),
        }
    }
}

//! A page as plain lines, for a serial line, a log and a voice: no colour, no cursor, nothing beside anything else.
//!
//! Only the lines that begin in the first column are the console's own (`== TITLE ==`, `-- ready --`); all text stands two columns in, so that no
//! text from outside can pass for one of them.

use super::font;
use super::layout::{self, Medium, Row};
use super::page::{Block, Page};

/// Columns of a line, with its margin.
const COLUMNS: usize = 79;
/// Columns before each line of text.
const MARGIN: usize = 2;

/// Seconds between two lines about work that goes on.
const TICKS_SECONDS: u64 = 5;

/// What stands after a page when keys are awaited.
pub(super) const READY: &str = "-- ready --\n";

/// The whole page, each line with its newline.
#[must_use]
pub fn text(page: &Page) -> String {
    let columns = COLUMNS - MARGIN;
    let mut out = format!("\n== {} ==\n", font::shown(&page.title));
    let mut add = |rows: Vec<String>| {
        if !rows.is_empty() {
            out.push('\n');
        }
        for row in rows {
            out.push_str(format!("  {row}").trim_end());
            out.push('\n');
        }
    };
    if !page.standing.is_empty() {
        add(layout::wrap(&font::shown(&page.standing), columns));
    }
    let body = layout::turn(layout::groups(&page.body, columns, Medium::Lines), usize::MAX);
    add(body.iter().flatten().map(words).collect());
    if !page.next.is_empty() {
        add(layout::wrap(&format!("Next: {}", font::shown(&page.next)), columns));
    }
    let label = |at| if at == 0 { "Keys: " } else { "      " };
    let keys = layout::keys(page).into_iter().enumerate();
    add(keys.map(|(at, (key, says))| format!("{}[{key}] {says}", label(at))).collect());
    out
}

/// A row without its ink.
pub(super) fn words(row: &Row) -> String {
    row.iter().map(|(_, text)| text.as_str()).collect()
}

/// What stands before the line that is typed.
pub(super) fn prompt(page: &Page) -> String {
    page.ask.as_ref().map_or_else(|| "> ".to_owned(), |ask| format!("{}: ", font::shown(&ask.prompt)))
}

/// What a serial line has heard so far, so that it hears only what is new.
#[derive(Default)]
pub(super) struct Heard {
    page: Option<Page>,
    /// How far each bar of the page was when it was said last.
    bars: Vec<u64>,
    is_ready: bool,
    /// Whether something stands on the current line.
    is_within: bool,
}

impl Heard {
    /// What is to be sent so that the page is known: all of it when it is another, a line for each bar that moved by a tenth, or
    /// for work that went on for a while, when only those did.
    ///
    /// With `typed` keys are awaited, and it is what stands behind the prompt.
    pub(super) fn page(&mut self, page: &Page, typed: Option<&str>) -> String {
        let mut out = String::new();
        if self.page.as_ref().map(still) != Some(still(page)) {
            self.end_line(&mut out);
            out.push_str(&text(page));
            self.bars = bars(page).map(|(_, step)| step).collect();
            self.is_ready = false;
        } else {
            for ((line, step), said) in bars(page).zip(&mut self.bars) {
                if step > *said {
                    out.push_str(&format!("  {line}\n"));
                    *said = step;
                }
            }
            if !out.is_empty() && self.is_within {
                out.insert(0, '\n');
                self.is_ready = false;
            }
        }
        self.page = Some(page.clone());
        if let Some(typed) = typed.filter(|_| !self.is_ready) {
            out.push_str(READY);
            out.push_str(&prompt(page));
            out.push_str(typed);
            (self.is_ready, self.is_within) = (true, true);
        } else if !out.is_empty() {
            self.is_within = false;
        }
        out
    }

    /// The prompt again with what is typed: after it was shown, hidden or begun anew.
    pub(super) fn prompt(&mut self, page: &Page, typed: &str) -> String {
        format!("\n{}{typed}", prompt(page))
    }

    /// A key was answered to: its name ends the line, and the next page is said in full, even if it is the same one.
    pub(super) fn answered(&mut self, name: &str) -> String {
        let within = std::mem::take(self).is_within;
        if within { format!("{name}\n") } else { String::new() }
    }

    /// Nothing was heard: a line that was cut begins anew.
    pub(super) fn forget(&mut self) {
        *self = Heard { is_within: true, ..Heard::default() };
    }

    fn end_line(&mut self, out: &mut String) {
        if std::mem::take(&mut self.is_within) {
            out.push('\n');
        }
    }
}

/// The page with its bars at rest: what says whether another page is shown.
fn still(page: &Page) -> Page {
    let mut page = page.clone();
    for block in &mut page.body {
        match block {
            Block::Bar { done, all, .. } => (*done, *all) = (0, 0),
            Block::Ticks { seconds, .. } => *seconds = 0,
            _ => {}
        }
    }
    page
}

/// What moves on a page: its line, and a number that grows when the line is worth saying again.
fn bars(page: &Page) -> impl Iterator<Item = (String, u64)> {
    page.body.iter().filter_map(|block| match block {
        Block::Bar { what, done, all } => Some((layout::bar_line(what, *done, *all), step(*done, *all))),
        Block::Ticks { what, seconds } => Some((layout::ticks_line(what, *seconds), seconds / TICKS_SECONDS)),
        _ => None,
    })
}

/// The tenths that are done; while nobody knows how much there is, how often the number doubled.
fn step(done: u64, all: u64) -> u64 {
    layout::percent(done, all).map_or_else(|| u64::from(64 - done.leading_zeros()), |percent| percent / 10)
}

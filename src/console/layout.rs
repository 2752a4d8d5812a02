//! From the blocks of a page to rows of text: words are broken between them, and what belongs together stays together when pages are turned.
//!
//! Screen and serial line share it, so that both say the same words. Emphasis is carried along beside the text and never instead of it.

use super::font;
use super::page::{Block, Choice, Mark, Page};

/// Columns that labels may take beside their text; a longer one stands above it.
const LABEL_COLUMNS_MAX: usize = 22;
/// Columns in which a mark moves while nobody knows how far work is.
const TICKS_COLUMNS: usize = 20;
/// Columns of a bar between its brackets.
const BAR_COLUMNS: usize = 40;

/// How a piece of a row is drawn, when there is colour; each has its letters too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// As everything.
    Plain,
    /// What matters.
    Strong,
    /// `[ ok ]`
    Good,
    /// `[ !! ]`
    Look,
    /// `[STOP]`
    Stop,
    /// A picture: light on dark, whatever the terminal's own colours.
    Art,
}

/// One row: pieces one behind the other.
pub(super) type Row = Vec<(Ink, String)>;

/// Rows that stay on one page, when a page is high enough for them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    /// The rows, none wider than was asked for.
    pub rows: Vec<Row>,
    /// Whether it is an empty line, which no page begins or ends with.
    pub is_gap: bool,
}

/// For what the rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Medium {
    /// A screen: labels in a column of their own, bars drawn.
    Screen,
    /// Plain lines, read from the left to the right, perhaps aloud.
    Lines,
}

/// Breaks text between words, or in the middle of one that is wider than a whole row: behind a sign that parts it, if there is one.
///
/// The text is taken as it is: it went through [`font::shown`] before, so that each character is one column.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let (mut rows, mut row, mut wide) = (Vec::new(), String::new(), 0);
    for word in text.split(' ') {
        let mut rest: Vec<char> = word.chars().collect();
        if wide > 0 && wide + 1 + rest.len() > columns {
            rows.push(std::mem::take(&mut row));
            wide = 0;
        } else if wide > 0 {
            row.push(' ');
            wide += 1;
        }
        while rest.len() > columns - wide {
            let at = break_of(&rest[..columns]);
            rows.push(rest.drain(..at).collect());
        }
        wide += rest.len();
        row.extend(rest);
    }
    rows.push(row);
    rows.iter().map(|row| row.trim_end().to_owned()).collect()
}

/// Where a long word is broken: behind the last sign in its second half, or at its end.
fn break_of(word: &[char]) -> usize {
    let sign = word.iter().rposition(|c| matches!(c, '/' | '-' | ':' | '.' | ',' | '_' | '+'));
    sign.map(|at| at + 1).filter(|&at| at > word.len() / 2).unwrap_or(word.len())
}

/// A page's body as groups of rows of at most so many columns.
pub(super) fn groups(body: &[Block], columns: usize, medium: Medium) -> Vec<Group> {
    let label = label_columns(body);
    let mut groups: Vec<Group> = Vec::new();
    let (mut inset, mut is_after_text) = (2, false);
    for block in body {
        if !matches!(block, Block::Below(_)) {
            let is_text = matches!(block, Block::Say(_));
            if (is_text || is_after_text) && groups.last().is_some_and(|above| !above.is_gap) && *block != Block::Gap {
                groups.push(Group { rows: Vec::new(), is_gap: true });
            }
            is_after_text = is_text;
        }
        let rows = match block {
            Block::Say(text) => {
                inset = 2;
                plain(text, 0, columns)
            }
            Block::Mark(mark, text) => {
                inset = 7;
                marked(*mark, text, columns)
            }
            Block::Row(name, text) => {
                inset = if medium == Medium::Screen { label + 2 } else { 4 };
                row(name, text, label, columns, medium)
            }
            Block::Below(text) => {
                let rows = plain(text, inset, columns);
                match groups.last_mut().filter(|above| !above.is_gap) {
                    Some(above) => above.rows.extend(rows),
                    None => groups.push(Group { rows, is_gap: false }),
                }
                continue;
            }
            Block::Art(lines) => art(lines, columns, medium),
            Block::Bar { what, done, all } => bar(what, *done, *all, columns, medium),
            Block::Ticks { what, seconds } => ticks(what, *seconds, columns, medium),
            Block::Gap => Vec::new(),
        };
        groups.push(Group { is_gap: rows.is_empty(), rows });
    }
    groups
}

fn plain(text: &str, inset: usize, columns: usize) -> Vec<Row> {
    let margin = " ".repeat(inset);
    wrap(&font::shown(text), columns.saturating_sub(inset)).into_iter().map(|text| vec![(Ink::Plain, format!("{margin}{text}"))]).collect()
}

/// The letters of a mark, and its ink.
fn letters(mark: Mark) -> (&'static str, Ink) {
    match mark {
        Mark::Good => ("[ ok ]", Ink::Good),
        Mark::Look => ("[ !! ]", Ink::Look),
        Mark::Stop => ("[STOP]", Ink::Stop),
        Mark::Open => ("[    ]", Ink::Plain),
    }
}

fn marked(mark: Mark, text: &str, columns: usize) -> Vec<Row> {
    let (letters, ink) = letters(mark);
    let of_text = if mark == Mark::Stop { Ink::Strong } else { Ink::Plain };
    let lines = wrap(&font::shown(text), columns.saturating_sub(7));
    let beside = |(at, text): (usize, String)| {
        let (margin, space) = if at == 0 { ((ink, letters), " ") } else { ((Ink::Plain, ""), "       ") };
        vec![(margin.0, margin.1.to_owned()), (Ink::Plain, space.to_owned()), (of_text, text)]
    };
    lines.into_iter().enumerate().map(beside).collect()
}

/// The columns of the widest label of the page that may stand beside its text.
fn label_columns(body: &[Block]) -> usize {
    let labels =
        body.iter().filter_map(|block| if let Block::Row(name, _) = block { Some(font::shown(name).chars().count()) } else { None });
    labels.filter(|&columns| columns <= LABEL_COLUMNS_MAX).max().unwrap_or(0)
}

fn row(name: &str, text: &str, label: usize, columns: usize, medium: Medium) -> Vec<Row> {
    let (name, text) = (font::shown(name), font::shown(text));
    if medium == Medium::Lines {
        if name.is_empty() {
            return plain(&text, 4, columns);
        }
        let lines = wrap(&format!("{name}: {text}"), columns.saturating_sub(4));
        let inset = |(at, text): (usize, String)| vec![(Ink::Plain, if at == 0 { text } else { format!("    {text}") })];
        return lines.into_iter().enumerate().map(inset).collect();
    }
    let wide = name.chars().count();
    let beside = wrap(&text, columns.saturating_sub(label + 2));
    let mut rows: Vec<Row> = Vec::new();
    let mut left = name.clone();
    if wide > label {
        rows.extend(wrap(&name, columns).into_iter().map(|name| vec![(Ink::Plain, name)]));
        left.clear();
    }
    for text in beside {
        rows.push(vec![(Ink::Plain, format!("{left:<label$}  ")), (Ink::Strong, text)]);
        left.clear();
    }
    rows
}

/// A picture in the middle; one that has no room is said in words.
fn art(lines: &[String], columns: usize, medium: Medium) -> Vec<Row> {
    let wide = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    if wide > columns {
        return marked(Mark::Look, &format!("a picture of {wide} columns has no room here: this terminal has {columns}"), columns);
    }
    let margin = if medium == Medium::Screen { (columns - wide) / 2 } else { 0 };
    let line = |line: &String| vec![(Ink::Plain, " ".repeat(margin)), (Ink::Art, format!("{:<wide$}", font::column_each(line)))];
    lines.iter().map(line).collect()
}

/// How far work is, in numbers: `45 of 100 (45 %)`, or `45 so far`.
fn far(done: u64, all: u64) -> String {
    match percent(done, all) {
        None => format!("{done} so far"),
        Some(percent) => format!("{done} of {all} ({percent} %)"),
    }
}

/// Whole percents that are done, at most 100; none when nobody knows how much there is.
pub(super) fn percent(done: u64, all: u64) -> Option<u64> {
    let percent = u128::from(done.min(all)) * 100 / u128::from(if all == 0 { return None } else { all });
    u64::try_from(percent).ok()
}

/// Long work on one line, as it is printed.
pub(super) fn bar_line(what: &str, done: u64, all: u64) -> String {
    format!("{}: {}", font::shown(what), far(done, all))
}

fn bar(what: &str, done: u64, all: u64, columns: usize, medium: Medium) -> Vec<Row> {
    if medium == Medium::Lines {
        return wrap(&bar_line(what, done, all), columns).into_iter().map(|text| vec![(Ink::Plain, text)]).collect();
    }
    let mut rows = plain(what, 0, columns);
    let room = BAR_COLUMNS.min(columns.saturating_sub(30));
    match percent(done, all) {
        Some(percent) if room >= 10 => {
            let full = usize::try_from(percent).unwrap_or(100) * room / 100;
            rows.push(vec![
                (Ink::Strong, "█".repeat(full)),
                (Ink::Plain, format!("{}  ", "░".repeat(room - full))),
                (Ink::Plain, far(done, all)),
            ]);
        }
        _ => rows.push(vec![(Ink::Plain, far(done, all))]),
    }
    rows
}

fn for_so_long(seconds: u64) -> String {
    if seconds == 1 { "1 second so far".to_owned() } else { format!("{seconds} seconds so far") }
}

/// Work that goes on, on one line, as it is printed.
pub(super) fn ticks_line(what: &str, seconds: u64) -> String {
    format!("{}: {}", font::shown(what), for_so_long(seconds))
}

/// What goes on with the seconds is seen from afar: a mark that moves.
fn ticks(what: &str, seconds: u64, columns: usize, medium: Medium) -> Vec<Row> {
    if medium == Medium::Lines {
        return wrap(&ticks_line(what, seconds), columns).into_iter().map(|text| vec![(Ink::Plain, text)]).collect();
    }
    let mut rows = plain(what, 0, columns);
    let at = usize::try_from(seconds % TICKS_COLUMNS as u64).unwrap_or_default();
    rows.push(vec![
        (Ink::Plain, "░".repeat(at)),
        (Ink::Strong, "█".to_owned()),
        (Ink::Plain, format!("{}  {}", "░".repeat(TICKS_COLUMNS - 1 - at), for_so_long(seconds))),
    ]);
    rows
}

/// The body on pages of so many rows. A group goes to the next page rather than being broken; one that is higher than a page is broken.
pub(super) fn turn(groups: Vec<Group>, height: usize) -> Vec<Vec<Row>> {
    let height = height.max(1);
    let (mut pages, mut page): (Vec<Vec<Row>>, Vec<Row>) = (Vec::new(), Vec::new());
    for group in groups {
        if group.is_gap {
            if !page.is_empty() {
                page.push(Row::new());
            }
            continue;
        }
        if !page.is_empty() && page.len() + group.rows.len() > height {
            pages.push(std::mem::take(&mut page));
        }
        for row in group.rows {
            if page.len() == height {
                pages.push(std::mem::take(&mut page));
            }
            page.push(row);
        }
    }
    pages.push(page);
    for page in &mut pages {
        let filled = page.iter().rposition(|row| !row.is_empty()).map_or(0, |at| at + 1);
        page.truncate(filled);
    }
    if pages.len() > 1 {
        pages.retain(|page| !page.is_empty());
    }
    pages
}

/// What a key is called on the keyboard.
pub(super) fn key_name(key: char) -> String {
    match key {
        '\n' => "Enter".to_owned(),
        '\u{1b}' => "Esc".to_owned(),
        key => font::shown(&key.to_string()),
    }
}

/// The keys that do something now, by name: while a line is typed, letters belong to it.
pub(super) fn keys(page: &Page) -> Vec<(String, String)> {
    let named = |choice: &Choice| (key_name(choice.key), font::shown(&choice.says));
    let Some(ask) = &page.ask else { return page.choices.iter().map(named).collect() };
    let own = |key: char, otherwise: &str| {
        let given = page.choices.iter().find(|choice| choice.key == key).map(named);
        given.unwrap_or_else(|| (key_name(key), otherwise.to_owned()))
    };
    let mut keys = vec![own('\n', "done"), own('\u{1b}', "back")];
    keys.extend(ask.is_secret.then(|| ("Tab".to_owned(), "show or hide".to_owned())));
    keys
}

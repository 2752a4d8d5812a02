//! A page on a screen of 80 by 25: where we are above, what there is to read in the middle, what to do next and with which keys below.
//!
//! What does not fit in the middle is on a next page of it, and the line below says so. Colour only repeats what letters say.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Paragraph, Widget as _};

use super::font;
use super::layout::{self, Ink, Medium, Row};
use super::line::LETTERS_MAX;
use super::page::{Block, Mark, Page};

/// Columns that are used of a screen.
pub const COLUMNS: u16 = 80;
/// Rows that are used of a screen.
pub const ROWS: u16 = 25;

/// A screen that is smaller than this is not drawn on.
const SMALLEST: (u16, u16) = (40, 15);
/// Empty columns on both sides.
const MARGIN: u16 = 2;
/// Rows of what to do next; what is longer stands in the body.
const NEXT_ROWS_MAX: usize = 4;
/// Rows of a body below which the page is drawn without empty lines between its parts.
const BODY_ROWS_MIN: usize = 8;
/// Columns of a prompt that stands beside what is typed; a longer one stands above it.
const PROMPT_COLUMNS_MAX: usize = 30;

/// What of a page is seen.
#[derive(Debug, Clone, Copy, Default)]
pub struct View<'a> {
    /// Which part of a body that is higher than the screen, from 0.
    pub number: usize,
    /// What is typed of the line that the page asks for, as it may be shown.
    pub typed: &'a str,
    /// Whether keys are awaited.
    pub is_asked: bool,
}

/// A page as cells.
#[derive(Debug)]
pub struct Drawn {
    /// The cells, from the upper left corner.
    pub(super) buffer: Buffer,
    /// Where the next letter goes, as column and row, when a line is typed.
    pub cursor: Option<(u16, u16)>,
}

impl Drawn {
    /// The screen in black and white, row by row.
    #[must_use]
    pub fn rows(&self) -> Vec<String> {
        let columns = usize::from(self.buffer.area.width).max(1);
        self.buffer.content().chunks(columns).map(|row| row.iter().map(|cell| cell.symbol()).collect()).collect()
    }

    /// The pieces that have a colour, from the upper left corner on.
    #[must_use]
    pub fn coloured(&self) -> Vec<String> {
        let (mut pieces, mut was) = (Vec::new(), Style::reset());
        for cell in self.buffer.content() {
            let is = Style::new().fg(cell.fg).bg(cell.bg);
            if (cell.fg, cell.bg) != (Color::Reset, Color::Reset) {
                match pieces.last_mut().filter(|_| is == was) {
                    Some(piece) => *piece += cell.symbol(),
                    None => pieces.push(cell.symbol().to_owned()),
                }
            }
            was = is;
        }
        pieces
    }
}

/// A page for a screen of so many columns and rows, of which it uses at most 80 by 25.
#[must_use]
pub fn draw(page: &Page, view: &View<'_>, size: (u16, u16)) -> Drawn {
    let area = Rect::new(0, 0, size.0.min(COLUMNS), size.1.min(ROWS));
    let mut buffer = Buffer::empty(area);
    let Some(plan) = Plan::of(page, view, area) else {
        let text = format!("This terminal is too small: {} by {}. Make it {COLUMNS} by {ROWS}, and press Ctrl-L.", size.0, size.1);
        let lines: Vec<Line<'_>> = layout::wrap(&text, usize::from(area.width)).into_iter().map(Line::from).collect();
        Paragraph::new(Text::from(lines)).render(area, &mut buffer);
        return Drawn { buffer, cursor: None };
    };
    let bar = Rect { height: 1, ..area };
    buffer.set_style(bar, Style::new().add_modifier(Modifier::REVERSED));
    let inner = Rect { x: MARGIN, width: area.width - 2 * MARGIN, ..area };
    paint(&mut buffer, inner, 0, &plan.head);
    let number = view.number.min(plan.pages.len() - 1);
    paint(&mut buffer, inner, plan.head.len(), &plan.pages[number]);
    let foot = plan.foot_at();
    paint(&mut buffer, inner, foot, &plan.foot(number));
    let cursor = plan.cursor.filter(|_| view.is_asked).map(|(column, row)| {
        let place = |at: usize, end: u16| u16::try_from(at).unwrap_or(end).min(end);
        (place(usize::from(MARGIN) + column, area.width - 1), place(foot + row, area.height - 1))
    });
    Drawn { buffer, cursor }
}

/// How many pages the body of a page has on a screen of so many columns and rows.
#[must_use]
pub fn pages(page: &Page, size: (u16, u16)) -> usize {
    let area = Rect::new(0, 0, size.0.min(COLUMNS), size.1.min(ROWS));
    Plan::of(page, &View::default(), area).map_or(1, |plan| plan.pages.len())
}

/// Where everything stands.
struct Plan {
    height: usize,
    columns: usize,
    is_airy: bool,
    /// Whether letters belong to a line, so that pages are turned with their own keys alone.
    is_typed: bool,
    /// The first rows: title and standing.
    head: Vec<Row>,
    /// The pages of the body.
    pages: Vec<Vec<Row>>,
    /// What is always seen below, but for the line between.
    below: Vec<Row>,
    /// The next letter's column, and its row below the line between.
    cursor: Option<(usize, usize)>,
}

impl Plan {
    /// Airy if all of a picture and some text fit so, dense if not; none on a screen without room.
    fn of(page: &Page, view: &View<'_>, area: Rect) -> Option<Plan> {
        if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
            return None;
        }
        let (airy, dense) = (Plan::with(page, view, area, true), Plan::with(page, view, area, false));
        let pictures = page.body.iter().filter_map(|block| if let Block::Art(lines) = block { Some(lines.len()) } else { None });
        let wanted = pictures.max().unwrap_or(0).max(BODY_ROWS_MIN);
        let mut plan = if airy.room().is_some_and(|room| room >= wanted) { airy } else { dense };
        let room = plan.room().filter(|&room| room >= 3)?;
        plan.pages = plan.turned(page, room);
        Some(plan)
    }

    fn with(page: &Page, view: &View<'_>, area: Rect, is_airy: bool) -> Plan {
        let columns = usize::from(area.width - 2 * MARGIN);
        let mut head = vec![title(&page.title, columns)];
        if !page.standing.is_empty() {
            head.extend(layout::wrap(&font::shown(&page.standing), columns).into_iter().map(|text| vec![(Ink::Plain, text)]));
        }
        if is_airy {
            head.push(Row::new());
        }
        let mut below = next(page, columns);
        let (typed, column) = typed(page, view, columns);
        let gap = |below: &mut Vec<Row>| below.extend((is_airy && !below.is_empty()).then(Row::new));
        let mut cursor = None;
        if !typed.is_empty() {
            gap(&mut below);
            below.extend(typed);
            cursor = Some((column, below.len()));
        }
        let keys = keys(page, columns);
        if !keys.is_empty() {
            gap(&mut below);
            below.extend(keys);
        }
        Plan {
            height: usize::from(area.height),
            columns,
            is_airy,
            is_typed: page.ask.is_some(),
            head,
            pages: vec![Vec::new()],
            below,
            cursor,
        }
    }

    /// Rows of the body, with the line below it; none when there are none.
    fn room(&self) -> Option<usize> {
        self.height.checked_sub(self.head.len() + self.below.len() + 1)
    }

    /// The body's pages of so many rows. A picture that is higher than that is said in words.
    fn turned(&self, page: &Page, room: usize) -> Vec<Vec<Row>> {
        let mut body = page.body.clone();
        for block in &mut body {
            if let Block::Art(lines) = block
                && lines.len() > room
            {
                let text = format!("a picture of {} lines has no room here: this page has {room}", lines.len());
                *block = Block::Mark(Mark::Look, text);
            }
        }
        if next_rows(page, self.columns).len() > NEXT_ROWS_MAX {
            body.extend([Block::Gap, Block::Say(page.next.clone())]);
        }
        layout::turn(layout::groups(&body, self.columns, Medium::Screen), room)
    }

    fn foot_at(&self) -> usize {
        self.height - self.below.len() - 1
    }

    /// The line between, which says which page of the body is above it, and what is below.
    fn foot(&self, number: usize) -> Vec<Row> {
        let says = match (number + 1, self.pages.len()) {
            (_, 1) => String::new(),
            (at, all) if self.is_typed && at < all => format!(" page {at} of {all}: Page Down for more "),
            (at, all) if self.is_typed => format!(" page {at} of {all}: Page Up to go back "),
            (at, all) if at < all => format!(" page {at} of {all}: press Space for more "),
            (at, all) => format!(" page {at} of {all}: press Space to begin again "),
        };
        let is_long = says.chars().count() > self.columns;
        let says = if is_long { format!(" page {} of {} ", number + 1, self.pages.len()) } else { says };
        let line = match (self.is_airy && !self.below.is_empty(), says.is_empty()) {
            (false, true) => String::new(),
            _ => "─".repeat(self.columns.saturating_sub(says.chars().count() + 2)),
        };
        let end = if says.is_empty() { line.chars().take(2).collect() } else { "──".to_owned() };
        let mut rows = vec![vec![(Ink::Plain, line), (Ink::Strong, says), (Ink::Plain, end)]];
        rows.extend(self.below.iter().cloned());
        rows
    }
}

/// The first line: the page's name, and whose screen it is.
fn title(title: &str, columns: usize) -> Row {
    let name = "Tabellion";
    let title = layout::wrap(&font::shown(title), columns.saturating_sub(name.len() + 2));
    let title = if title.len() > 1 {
        format!("{}...", title[0].get(..title[0].len().saturating_sub(3)).unwrap_or_default())
    } else {
        title.concat()
    };
    let room = columns.saturating_sub(title.chars().count());
    vec![(Ink::Plain, title), (Ink::Plain, format!("{name:>room$}"))]
}

fn next_rows(page: &Page, columns: usize) -> Vec<String> {
    if page.next.is_empty() { Vec::new() } else { layout::wrap(&font::shown(&page.next), columns.saturating_sub(6)) }
}

/// What to do next, beside its name.
fn next(page: &Page, columns: usize) -> Vec<Row> {
    let mut rows = next_rows(page, columns);
    if rows.len() > NEXT_ROWS_MAX {
        rows = vec!["Read to the end of the text above: what to do stands there.".to_owned()];
    }
    let beside = |(at, text)| vec![(Ink::Plain, if at == 0 { "Next: " } else { "      " }.to_owned()), (Ink::Strong, text)];
    rows.into_iter().enumerate().map(beside).collect()
}

/// The line that is typed, and the column of its next letter. Of a long one the end is seen.
fn typed(page: &Page, view: &View<'_>, columns: usize) -> (Vec<Row>, usize) {
    let Some(ask) = &page.ask else { return (Vec::new(), 0) };
    let prompt = font::shown(&ask.prompt);
    let mut rows: Vec<Row> = Vec::new();
    let before = if prompt.chars().count() > PROMPT_COLUMNS_MAX {
        rows.extend(layout::wrap(&prompt, columns).into_iter().map(|text| vec![(Ink::Strong, text)]));
        "> ".to_owned()
    } else {
        format!("{prompt}: ")
    };
    let letters: Vec<char> = view.typed.chars().collect();
    let room = columns.saturating_sub(before.chars().count() + 1);
    let seen: String = if letters.len() <= room {
        letters.iter().collect()
    } else {
        "...".chars().chain(letters[letters.len() - room.saturating_sub(3)..].iter().copied()).collect()
    };
    let (column, left) = (before.chars().count() + seen.chars().count(), room.saturating_sub(seen.chars().count()));
    rows.push(vec![(Ink::Strong, before), (Ink::Plain, seen), (Ink::Plain, "_".repeat(left))]);
    if letters.len() >= LETTERS_MAX {
        rows.insert(
            rows.len() - 1,
            vec![(Ink::Look, "[ !! ]".to_owned()), (Ink::Plain, format!(" the line is full: {LETTERS_MAX} letters"))],
        );
    }
    (rows, column)
}

/// The keys and what they do, side by side as long as there is room.
fn keys(page: &Page, columns: usize) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut wide = 0;
    for (key, says) in layout::keys(page) {
        let (key, says) = (format!("[{key}]"), format!(" {says}"));
        let its = key.chars().count() + says.chars().count();
        if rows.is_empty() || wide + 3 + its > columns {
            rows.push(vec![(Ink::Plain, if rows.is_empty() { "Keys: " } else { "      " }.to_owned())]);
            wide = 6;
        } else if let Some(row) = rows.last_mut() {
            row.push((Ink::Plain, "   ".to_owned()));
            wide += 3;
        }
        if let Some(row) = rows.last_mut() {
            row.extend([(Ink::Strong, key), (Ink::Plain, says)]);
            wide += its;
        }
    }
    rows
}

fn style(ink: Ink) -> Style {
    match ink {
        Ink::Plain => Style::new(),
        Ink::Strong => Style::new().add_modifier(Modifier::BOLD),
        Ink::Good => Style::new().fg(Color::Green),
        Ink::Look => Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD),
        Ink::Stop => Style::new().fg(Color::White).bg(Color::Red).add_modifier(Modifier::BOLD),
        Ink::Art => Style::new().fg(Color::White).bg(Color::Black),
    }
}

fn paint(buffer: &mut Buffer, inner: Rect, at: usize, rows: &[Row]) {
    let line = |row: &Row| Line::from(row.iter().map(|(ink, text)| Span::styled(text.clone(), style(*ink))).collect::<Vec<_>>());
    let text = Text::from(rows.iter().map(line).collect::<Vec<_>>());
    let top = u16::try_from(at).unwrap_or(inner.height).min(inner.height);
    Paragraph::new(text).render(Rect { y: top, height: inner.height - top, ..inner }, buffer);
}

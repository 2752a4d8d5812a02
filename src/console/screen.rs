//! What a screen shows already, and the control sequences that make it show the next page: only what differs is sent.

use ratatui::backend::{Backend as _, TermionBackend};
use ratatui::buffer::Buffer;
use ratatui::termion::{clear, cursor};
use zeroize::Zeroizing;

use super::draw::{self, View};
use super::page::Page;

/// A screen as it was left.
pub(super) struct Painter {
    /// What it shows; nothing is known of it at the beginning.
    shown: Option<Shown>,
}

struct Shown {
    title: String,
    size: (u16, u16),
    buffer: Buffer,
}

impl Painter {
    pub(super) fn new() -> Painter {
        Painter { shown: None }
    }

    /// Nothing is known of the screen any more.
    pub(super) fn forget(&mut self) {
        self.shown = None;
    }

    /// The bytes that make a screen of this size show the page. It is in the middle of a larger one. A page of another title is drawn from the
    /// first cell: whatever else was written on the screen, by the kernel perhaps, is gone then.
    pub(super) fn paint(&mut self, page: &Page, view: &View<'_>, size: (u16, u16)) -> Zeroizing<Vec<u8>> {
        let drawn = draw::draw(page, view, size);
        let area = drawn.buffer.area;
        let (right, down) = ((size.0 - area.width) / 2, (size.1 - area.height) / 2);
        let mut bytes = Zeroizing::new(Vec::with_capacity(16 * 1024));
        let known = self.shown.take().filter(|shown| shown.size == size && shown.title == page.title);
        bytes.extend_from_slice(cursor::Hide.as_ref());
        let before = known.map_or_else(
            || {
                bytes.extend_from_slice(clear::All.as_ref());
                Buffer::empty(area)
            },
            |shown| shown.buffer,
        );
        let cells = before.diff(&drawn.buffer);
        let moved = cells.into_iter().map(|(x, y, cell)| (x + right, y + down, cell));
        TermionBackend::new(&mut *bytes).draw(moved).unwrap_or_default(); // memory takes everything
        if let Some((x, y)) = drawn.cursor {
            bytes.extend_from_slice(format!("{}{}", cursor::Goto(x + right + 1, y + down + 1), cursor::Show).as_bytes());
        }
        self.shown = Some(Shown { title: page.title.clone(), size, buffer: drawn.buffer });
        bytes
    }
}

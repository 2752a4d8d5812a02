//! Walking over events, a page in memory at a time.

use std::collections::VecDeque;

use super::read::{SELECT_EVENTS, event_of_row};
use super::{Ledger, Uint};
use crate::core::event::Event;
use crate::core::rules::{Checked, Fault, Rule};

/// Events read at a time. A payload in its row has at most 64 KiB.
const PAGE_EVENTS: u64 = 32;

/// The walk of [`Ledger::iterate`].
pub struct Iterate<'a> {
    ledger: &'a Ledger,
    next: u64,
    left: u64,
    page: VecDeque<Event>,
}

impl Ledger {
    /// The events from number `from` on, at most `limit` of them, in order; each owned by the caller.
    ///
    /// It ends at the last event, and behind the first error. Another process may append meanwhile: the walk goes on into what is new.
    ///
    /// # Errors
    /// Each item: `ledger-fault`, with both numbers when one is missing.
    pub fn iterate(&self, from: u64, limit: u64) -> Iterate<'_> {
        Iterate { ledger: self, next: from.max(1), left: limit, page: VecDeque::new() }
    }
}

impl Iterate<'_> {
    fn fill(&mut self) -> Checked<()> {
        self.ledger.usable()?;
        let fault = |error: rusqlite::Error| self.ledger.sqlite_fault("reading events", &error);
        let Ok(from) = i64::try_from(self.next) else { return Ok(()) };
        let text = format!("{SELECT_EVENTS} WHERE e.seq_no >= ?1 ORDER BY e.seq_no LIMIT ?2");
        let mut statement = self.ledger.db.prepare_cached(&text).map_err(fault)?;
        let mut rows = statement.query((from, Uint(self.left.min(PAGE_EVENTS)))).map_err(fault)?;
        while let Some(row) = rows.next().map_err(fault)? {
            self.page.push_back(event_of_row(row)?);
        }
        Ok(())
    }
}

impl Iterator for Iterate<'_> {
    type Item = Checked<Event>;

    fn next(&mut self) -> Option<Checked<Event>> {
        if self.left == 0 {
            return None;
        }
        if self.page.is_empty()
            && let Err(fault) = self.fill()
        {
            self.left = 0;
            return Some(Err(fault));
        }
        let event = self.page.pop_front()?;
        if event.seq_no != self.next {
            self.left = 0;
            let found = format!("event {} found; event {} expected", event.seq_no, self.next);
            return Some(Err(Fault::new(Rule::LedgerFault, found)));
        }
        self.next += 1;
        self.left -= 1;
        Some(Ok(event))
    }
}

//! Events that were folded, read again: for books that do not keep what they can look up.

use std::sync::{Arc, Mutex, PoisonError};

use super::front::{Broker, Loose};
use super::request::{Answer, ROWS_MAX, Read, WALK_BYTES};
use crate::core::event::Event;
use crate::core::rules::{Checked, Fault, Rule};
use crate::core::sessions::Events;

/// Books outlive the desk they are of, in reports of what was found; the lock on its ledger must not.
struct Again {
    broker: Loose,
    /// What was read last, as much as one answer holds. Sessions are mostly read one after the other, and small ones lie close together. No event
    /// that was read once is ever another.
    window: Mutex<Vec<Event>>,
}

impl Broker {
    /// The events of this ledger, to be read again as long as it is open: this does not keep it so.
    pub fn events(&self) -> Arc<dyn Events> {
        Arc::new(Again { broker: self.loose(), window: Mutex::default() })
    }
}

impl Events for Again {
    fn between(&self, first: u64, last: u64, take: &mut dyn FnMut(&Event) -> Checked<()>) -> Checked<()> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = first;
        while next <= last {
            let at = window.first().and_then(|event| next.checked_sub(event.seq_no)).filter(|at| (*at as usize) < window.len());
            let Some(at) = at else {
                *window = self.read_from(next)?;
                if window.first().is_none_or(|event| event.seq_no != next) {
                    return Err(Fault::new(Rule::LedgerFault, format!("no event {next} found when it was to be read again")));
                }
                continue;
            };
            for event in window[at as usize..].iter().take_while(|event| event.seq_no <= last) {
                take(event)?;
                next = event.seq_no + 1;
            }
        }
        Ok(())
    }
}

impl Again {
    fn read_from(&self, from: u64) -> Checked<Vec<Event>> {
        match self.broker.broker()?.own(&Read::Events { from, rows: ROWS_MAX, bytes: WALK_BYTES })? {
            Answer::Events(events) => Ok(events),
            _ => Err(Fault::new(Rule::InternalFault, "an answer to another request found; events expected")),
        }
    }
}

//! How a desk appends: folded first, committed, read back; and the signatures over a session.

use crate::broker::NewEvent;
use crate::core::books::Books;
use crate::core::cbor::Canonical as _;
use crate::core::event::{Event, EventType};
use crate::core::ids::Hash;
use crate::core::payload::Sealed;
use crate::core::publish::{checkpoint_text, note_text};
use crate::core::rules::{Checked, Fault, Rule};
use crate::media::publish::Observe;

use super::super::halt::refuse_halted;
use super::{Desk, DeskKeys};

impl Desk {
    /// Appends events behind the head that the plan saw: folded in first, and compared when they are read back from the database.
    ///
    /// # Errors
    /// `halted`; as [`crate::broker::Broker::commit`].
    pub fn commit(&mut self, events: Vec<NewEvent>, observe: &mut Observe<'_>) -> Checked<()> {
        // Somebody may have halted the desk since it was opened: an export that heard evidence takes no lock.
        let goes_on_halted = |event: &NewEvent| matches!(event.event_type, EventType::Halt | EventType::Resume | EventType::Recover);
        if !events.iter().all(goes_on_halted) {
            refuse_halted(&self.dir).map_err(|problem| problem.fault)?;
        }
        if self.is_ahead {
            return Err(Fault::new(Rule::InternalFault, "books with events that were not committed found; those of the ledger expected"));
        }
        let before = self.ledger.latest()?;
        let expected = before.as_ref().map(|event| event.event_hash);
        let first = before.map_or(1, |event| event.seq_no + 1);
        let id = events.first().map_or_else(String::new, |event| event.event_id.clone());
        let folded = self.fold_first(first, &events).inspect_err(|_| self.fold_again())?;
        let committed = self.ledger.commit(expected, events, &mut |step| observe(step, &id)).map_err(|error| error.fault);
        let committed = committed.and_then(|_| self.read_back(first, &folded));
        self.is_ahead = committed.is_err();
        committed
    }

    /// Folds events into the books before anything is committed: what the next start could not read is never written. What was folded is told
    /// by digests; there is no room for the books of a long history twice.
    fn fold_first(&mut self, first: u64, events: &[NewEvent]) -> Checked<Vec<Hash>> {
        let mut folded = Vec::new();
        for (seq_no, event) in (first..).zip(events) {
            let event = Event {
                seq_no,
                event_id: event.event_id.clone(),
                timestamp: event.timestamp,
                event_type: event.event_type,
                payload: event.payload.clone(),
                prev_event_hash: [0; 32],
                event_hash: [0; 32],
                signature: [0; 64],
                public_key_id: Hash::ZERO,
                writer_epoch: 0,
            };
            self.books.apply(&event)?;
            folded.push(what_was_folded(&event));
        }
        Ok(folded)
    }

    /// The books as the ledger has them: what was to follow was refused half-way.
    fn fold_again(&mut self) {
        let mut books = Books::over(self.ledger.events());
        self.is_ahead = self.ledger.for_each(1, |event| books.apply(&event)).is_err();
        self.books = books;
    }

    /// What the database gives back is what was folded; its hashes, which it made, are noted.
    fn read_back(&mut self, first: u64, folded: &[Hash]) -> Checked<()> {
        let (books, mut expected) = (&mut self.books, folded.iter());
        self.ledger.for_each(first, |event| {
            if expected.next() != Some(&what_was_folded(&event)) {
                return Err(Fault::new(Rule::LedgerFault, format!("event {} was read back as another than was written", event.seq_no)));
            }
            books.note_hashes(&event);
            Ok(())
        })?;
        match expected.len() {
            0 => Ok(()),
            missing => Err(Fault::new(Rule::LedgerFault, format!("{missing} events written and not read back"))),
        }
    }

    /// Signs what the last session decided and stores the signatures, if that has not been done. The same bytes whenever it is done.
    ///
    /// # Errors
    /// `halted`, `ledger-fault`, `internal-fault`.
    pub fn seal(&mut self, keys: &DeskKeys, observe: &mut Observe<'_>) -> Checked<bool> {
        if self.books.unsealed().is_none() {
            return Ok(false);
        }
        refuse_halted(&self.dir).map_err(|problem| problem.fault)?;
        let Some(session) = self.books.last_session()? else { return Ok(false) };
        let charter = self.books.charter()?;
        observe("sign checkpoints and notes", &format!("session {}", session.opened.session));
        let mut sealed = Sealed { session: session.opened.session, checkpoints: Vec::new(), notes: Vec::new() };
        for ruling in &session.rulings {
            match &ruling.record {
                Some(record) => {
                    sealed.checkpoints.push((record.number, keys.lines(charter, &checkpoint_text(&self.books, record.number)?)?))
                }
                None => sealed.notes.push((ruling.pid, keys.lines(charter, &note_text(&self.books, &session, ruling)?)?)),
            }
        }
        sealed.notes.sort();
        let event = NewEvent {
            event_id: self.books.next_event_id(),
            timestamp: session.opened.time.unwrap_or(0),
            event_type: EventType::Sealed,
            payload: sealed.to_cbor(),
        };
        observe("commit the signatures", &event.event_id);
        self.commit(vec![event], observe)?;
        Ok(true)
    }
}

/// All of an event but what the database makes of it.
fn what_was_folded(event: &Event) -> Hash {
    let word = event.event_type.as_str();
    let lengths = [event.event_id.len(), word.len()].map(|length| (length as u64).to_be_bytes());
    let (id, time, number) = (event.event_id.as_bytes(), event.timestamp.to_be_bytes(), event.seq_no.to_be_bytes());
    Hash::of_parts(&[&number, &time, &lengths[0], id, &lengths[1], word.as_bytes(), &event.payload])
}

//! Sessions in memory: plans become events and books, without a database and without a key. The books check what they fold; the signatures
//! are not theirs to verify, so none are made.

use tabellion::core::batch::{Admitted, Batch, admit};
use tabellion::core::books::Books;
use tabellion::core::cbor::Canonical as _;
use tabellion::core::event::{Event, EventParts, EventType, PayloadForm, event_hash};
use tabellion::core::holdings::Holdings;
use tabellion::core::ids::Hash;
use tabellion::core::payload::{Closed, Sealed};
use tabellion::core::plan::{Plan, plan};
use tabellion::core::verify::Verified;
use tabellion::run::events::events_of;

/// The authentic papers among envelopes.
pub fn authentic(books: &Books, envelopes: &[Vec<u8>]) -> Vec<Verified> {
    let admitted = envelopes.iter().filter_map(|bytes| match admit(books, bytes) {
        Ok(Admitted::Verified(verified, _)) => Some(*verified),
        _ => None,
    });
    admitted.collect()
}

/// What is judged when these papers come, and no content.
pub fn gathered(books: &Books, papers: Vec<Verified>) -> Batch {
    Batch::gather(books, papers, &Holdings::default()).unwrap()
}

/// Judges envelopes and enters what comes of it into the books; no plan when there is nothing the ledger lacks.
pub fn session(books: &mut Books, envelopes: &[Vec<u8>], time: Option<u64>) -> Option<Plan> {
    let batch = gathered(books, authentic(books, envelopes));
    if batch.news().is_empty() {
        return None;
    }
    let plan = plan(books, &batch, time).unwrap();
    commit(books, &plan);
    Some(plan)
}

/// Enters a plan into the books.
pub fn commit(books: &mut Books, plan: &Plan) {
    let session = plan.opened().session;
    let closed = Closed {
        session,
        after: plan.after(),
        state_root: plan.state().root(),
        media: Vec::new(),
        version: "test".into(),
        program: Hash::ZERO,
        confirmation: "in memory".into(),
        pack: None,
    };
    for event in events_of(plan, closed) {
        append(books, event.event_id, event.timestamp, event.event_type, event.payload);
    }
    let line = || "no signature\n".to_owned();
    let checkpoints = (plan.opened().before.number + 1..=plan.after().number).map(|number| (number, line())).collect();
    let mut notes: Vec<(Hash, String)> =
        plan.rulings().iter().filter(|ruling| ruling.record.is_none()).map(|ruling| (ruling.pid, line())).collect();
    notes.sort();
    let sealed = Sealed { session, checkpoints, notes };
    append(books, books.next_event_id(), plan.opened().time.unwrap_or(0), EventType::Sealed, sealed.to_cbor());
}

fn append(books: &mut Books, event_id: String, timestamp: u64, event_type: EventType, payload: Vec<u8>) {
    let (seq_no, prev_event_hash, public_key_id, writer_epoch) = (1, books.last_hash(), Hash::ZERO, 1);
    let payload_form = PayloadForm::of(&payload);
    let event_hash = event_hash(&EventParts {
        seq_no,
        event_id: &event_id,
        timestamp,
        event_type,
        payload: payload_form,
        prev_event_hash: &prev_event_hash,
        public_key_id: &public_key_id,
        writer_epoch,
    });
    let signature = [0; 64];
    let event =
        Event { seq_no, event_id, timestamp, event_type, payload, prev_event_hash, event_hash, signature, public_key_id, writer_epoch };
    books.apply(&event).unwrap();
}

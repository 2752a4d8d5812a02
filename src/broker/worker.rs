//! The one worker: it has the ledger for itself and takes one job after the other.

use std::path::Path;
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};

use super::line::{Job, Line, Reply};
use super::request::{Answer, Append, Bring, Read};
use crate::clock::monotonic_us;
use crate::core::event::{Event, split_event_id};
use crate::core::rules::{Checked, Fault, Rule};
use crate::ledger::{Ledger, LedgerError, NewEvent, move_into_place, write_head_observed};

/// Judges what another process wants appended, in the worker, before anything is done: it is given the stored events that it has not seen yet,
/// and what is asked for.
pub type Guard = Box<dyn FnMut(&[Event], &Append) -> Checked<()> + Send>;

/// Closes the line however the worker ends, so that nobody waits for one that is gone.
struct Leaves<'a>(&'a Line);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// Works until the line is closed and empty.
pub(super) fn work(line: &Line, ledger: &Arc<Mutex<Ledger>>) {
    let _leaves = Leaves(line);
    while let Some(job) = line.next() {
        let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
        match job {
            Job::Work(_, work) => work(&mut ledger),
            Job::Read(read) => {
                let reply = match line.is_awaited(&read, monotonic_us()) {
                    true => answer(line, &ledger, &read).map_err(LedgerError::of),
                    false => Err(nobody(&read)),
                };
                line.answer(&read, &reply, monotonic_us());
            }
        }
    }
}

fn nobody(read: &Read) -> LedgerError {
    LedgerError::of(Fault::new(Rule::RequestCancelled, format!("{} {}: nobody waits for it any more", read.word(), read.key())))
}

fn answer(line: &Line, ledger: &Ledger, read: &Read) -> Checked<Answer> {
    Ok(match read {
        Read::Head => Answer::Hash(ledger.head()?),
        Read::Latest => Answer::Event(ledger.latest()?.map(Box::new)),
        Read::Event { seq_no } => Answer::Event(ledger.by_seq_no(*seq_no)?.map(Box::new)),
        Read::HashAt { seq_no } => Answer::Hash(ledger.hash_at(*seq_no)?),
        Read::Record { number } => Answer::SeqNo(ledger.seq_no_of_record(*number)?),
        Read::Verdict { pid } => Answer::SeqNo(ledger.seq_no_of_verdict(pid)?),
        Read::Events { from, rows, bytes } => {
            let mut go_on = || match line.is_awaited(read, monotonic_us()) {
                true => Ok(()),
                false => Err(nobody(read).fault),
            };
            Answer::Events(ledger.page(*from, *rows, *bytes, &mut go_on)?)
        }
    })
}

/// Does an append: compares the head, has it judged, brings the files in, commits, writes the head file. Tells `observe` of each step before it
/// happens: `bring files`, those of [`Ledger::commit_observed`], and those of [`write_head_observed`].
pub(super) fn append(
    ledger: &mut Ledger,
    append: &Append,
    judge: &mut dyn FnMut(&Ledger, &Append) -> Checked<()>,
    observe: &mut dyn FnMut(&'static str),
) -> Reply {
    if let Some(head) = already(ledger, append).map_err(LedgerError::of)? {
        return Ok(Answer::Appended(head));
    }
    let found = ledger.head().map_err(LedgerError::of)?;
    if found != append.expected_head {
        let word = |head: Option<[u8; 32]>| head.map_or("no event".to_owned(), hex::encode);
        let found = format!("last event {} found; {} expected", word(found), word(append.expected_head));
        return Err(LedgerError::of(Fault::new(Rule::HeadUnexpected, found)));
    }
    judge(ledger, append).map_err(LedgerError::of)?;
    let dir = ledger.dir().to_owned();
    if !append.bring.is_empty() {
        observe("bring files");
        append.bring.iter().try_for_each(|Bring { from, to }| move_into_place(&dir, from, to)).map_err(LedgerError::of)?;
    }
    let head = ledger.commit_observed(append.expected_head, &append.events, observe)?;
    write_head_of(&dir, append, observe).map_err(LedgerError::of)?;
    Ok(Answer::Appended(head))
}

fn write_head_of(dir: &Path, append: &Append, observe: &mut dyn FnMut(&'static str)) -> Checked<()> {
    append.head_file.as_ref().map_or(Ok(()), |text| write_head_observed(dir, text, observe))
}

/// The head behind these events, when they stand behind `expected_head` already: everything of an event that the database does not add is
/// compared.
fn already(ledger: &Ledger, append: &Append) -> Checked<Option<[u8; 32]>> {
    let (Some(mine), Some(mut at)) = (append.events.last(), ledger.latest()?) else { return Ok(None) };
    if append.expected_head == Some(at.event_hash) {
        return Ok(None);
    }
    // Ids only grow: what is behind ours came after it.
    while split_event_id(&at.event_id) > split_event_id(&mine.event_id) {
        let Some(before) = ledger.by_seq_no(at.seq_no - 1)? else { return Ok(None) };
        at = before;
    }
    let count = append.events.len() as u64;
    let stored = ledger.page((at.seq_no + 1).saturating_sub(count), count, u64::MAX, &mut || Ok(()))?;
    let same = |(stored, mine): (&Event, &NewEvent)| {
        stored.event_id == mine.event_id
            && stored.timestamp == mine.timestamp
            && stored.event_type == mine.event_type
            && stored.payload == mine.payload
    };
    let is_ours = stored.len() == append.events.len() && stored.iter().zip(&append.events).all(same);
    let follows = stored.first().map(|first| first.prev_event_hash) == Some(append.expected_head.unwrap_or_default());
    Ok((is_ours && follows).then_some(at.event_hash))
}

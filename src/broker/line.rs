//! The queue before the one worker: what waits, what is asked by several at once, and what was just answered.
//!
//! Everything is decided under one lock: whoever asks is told to wait in the line, to share the answer that another waits for, or what the
//! answer was a moment ago. **Nothing is served that a finished write has made old**: a write forgets the answers before it is acknowledged,
//! and an answer is shared only until the worker has it; the worker does one thing at a time.

use std::collections::{HashMap, VecDeque};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::door::Patience;
use super::request::{Answer, Read};
use crate::ledger::{Ledger, LedgerError};

/// How long an answer may be served again, in microseconds.
pub(super) const LIFE_US: u64 = 250_000;
/// Answers kept at most.
const KEPT_MAX: usize = 64;
/// An answer with more bytes of payload is not kept.
const KEPT_BYTES_MAX: usize = 65_536;

/// An answer on its way, or why there is none.
pub(super) type Reply = Result<Answer, LedgerError>;

/// Work for the worker that is no shared read: a write, a check, whatever takes the ledger for itself.
pub(super) type Work = Box<dyn FnOnce(&mut Ledger) + Send>;

/// One who waits for a read.
pub(super) struct Waiter {
    pub(super) patience: Patience,
    reply: Sender<Reply>,
}

/// What the worker does next.
pub(super) enum Job {
    /// Reads for all who wait for this.
    Read(Read),
    /// Does it.
    Work(u64, Work),
}

/// What becomes of a read that is asked for.
pub(super) enum Place {
    /// It was answered a moment ago.
    Kept(Answer),
    /// It will be answered here; `true` when another already waited for the same.
    Waits(Receiver<Reply>, bool),
    /// Nobody answers any more.
    Closed,
}

struct Kept {
    answer: Answer,
    until_us: u64,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    flights: HashMap<Read, Vec<Waiter>>,
    kept: HashMap<Read, Kept>,
    next_ticket: u64,
    is_closed: bool,
}

/// The line. `life_us` is 0 for a ledger to which others may write: then nothing is kept.
pub(super) struct Line {
    state: Mutex<State>,
    wake: Condvar,
    life_us: u64,
}

impl Line {
    pub(super) fn new(life_us: u64) -> Line {
        Line { state: Mutex::default(), wake: Condvar::new(), life_us }
    }

    // Every change of the state is whole before anything can panic.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a read.
    pub(super) fn ask(&self, read: &Read, patience: &Patience, now_us: u64) -> Place {
        let mut state = self.state();
        if state.is_closed {
            return Place::Closed;
        }
        if let Some(kept) = state.kept.get(read).filter(|kept| now_us < kept.until_us) {
            return Place::Kept(kept.answer.clone());
        }
        let (reply, receiver) = channel();
        let waiter = Waiter { patience: patience.clone(), reply };
        let is_joined = match state.flights.get_mut(read) {
            Some(waiters) => {
                waiters.push(waiter);
                true
            }
            None => {
                state.flights.insert(read.clone(), vec![waiter]);
                state.jobs.push_back(Job::Read(read.clone()));
                self.wake.notify_one();
                false
            }
        };
        Place::Waits(receiver, is_joined)
    }

    /// Puts work at the end; its ticket, or `None` when nobody does it any more.
    pub(super) fn put(&self, work: Work) -> Option<u64> {
        let mut state = self.state();
        if state.is_closed {
            return None;
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.jobs.push_back(Job::Work(ticket, work));
        self.wake.notify_one();
        Some(ticket)
    }

    /// Takes work back: `true` when it had not begun and never will.
    pub(super) fn withdraw(&self, ticket: u64) -> bool {
        let mut state = self.state();
        let at = state.jobs.iter().position(|job| matches!(job, Job::Work(other, _) if *other == ticket));
        at.and_then(|at| state.jobs.remove(at)).is_some()
    }

    /// The next job for the worker; `None` when the line is closed and empty.
    pub(super) fn next(&self) -> Option<Job> {
        let mut state = self.state();
        loop {
            match state.jobs.pop_front() {
                Some(job) => return Some(job),
                None if state.is_closed => return None,
                None => state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Whether anybody still waits for a read at this moment.
    pub(super) fn is_awaited(&self, read: &Read, now_us: u64) -> bool {
        let state = self.state();
        let mut waiters = state.flights.get(read).into_iter().flatten();
        waiters.any(|waiter| !waiter.patience.is_gone() && now_us < waiter.patience.until_us)
    }

    /// The worker has read: everyone who waits gets the answer, and whoever asks from now on asks anew or gets it as kept.
    pub(super) fn answer(&self, read: &Read, reply: &Reply, now_us: u64) {
        let waiters = {
            let mut state = self.state();
            if let Ok(answer) = reply
                && self.life_us > 0
                && bytes_of(answer) <= KEPT_BYTES_MAX
            {
                state.kept.retain(|_, kept| now_us < kept.until_us);
                if state.kept.len() < KEPT_MAX {
                    state.kept.insert(read.clone(), Kept { answer: answer.clone(), until_us: now_us + self.life_us });
                }
            }
            state.flights.remove(read).unwrap_or_default()
        };
        for waiter in waiters {
            // Whoever has gone away needs no answer.
            drop(waiter.reply.send(reply.clone()));
        }
    }

    /// Something was written: nothing kept is true any more.
    pub(super) fn forget(&self) {
        self.state().kept.clear();
    }

    /// Takes nothing more; what waits is done first.
    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.wake.notify_all();
    }

    /// The worker is gone: whoever waits learns that by the end of the channel.
    pub(super) fn abandon(&self) {
        let mut state = self.state();
        state.is_closed = true;
        let left = (std::mem::take(&mut state.jobs), std::mem::take(&mut state.flights));
        drop(state);
        drop(left);
    }
}

fn bytes_of(answer: &Answer) -> usize {
    match answer {
        Answer::Events(events) => events.iter().map(|event| event.payload.len()).sum(),
        Answer::Event(Some(event)) => event.payload.len(),
        _ => 0,
    }
}

//! The asker's side of the socket: a door whose worker is in another process.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::monotonic_us;
use crate::core::rules::{Fault, Rule};
use crate::ledger::{LedgerError, Why};

use super::door::{Asker, Door, Patience, RequestId};
use super::request::{Answer, Append, Read};
use super::rouse::{Rouse, STEP};
use super::socket::{Channel, Received};
use super::wire::{Ask, Message, PATIENCE_MS_MAX};

/// How long a message may take from its first byte to its last, either way.
const MESSAGE_TIME: Duration = Duration::from_secs(5);
/// How often it is looked whether whoever asked has gone away.
const LOOK: Duration = Duration::from_millis(250);

/// Whoever leads, in another process.
pub struct Remote {
    channel: Mutex<Conversation>,
    pid: u32,
}

/// A connection, and what was said on it.
struct Conversation {
    channel: Channel,
    /// Set when nothing can come any more.
    is_over: bool,
    /// The number of the last ping.
    pings: u64,
    /// What was done about a leader that did not answer.
    rouse: Rouse,
}

/// Why there was no welcome.
pub enum Turned {
    /// Whoever led has gone, or has too much to do: another time.
    Again,
    /// It answers, and does not take us.
    Away(Fault),
}

impl Remote {
    /// Greets whoever leads at the other end.
    ///
    /// # Errors
    /// When it has gone, does not answer before `until_us`, or turns us away.
    pub fn greet(channel: Channel, ledger: &str, program: &str, until_us: u64) -> Result<Remote, Turned> {
        let pid = channel.peer().map_or(0, |(_, pid)| pid);
        let hello = Message::Hello { ledger: ledger.to_owned(), program: program.to_owned() };
        channel.send(&hello, MESSAGE_TIME).map_err(|fault| fault.map_or(Turned::Again, Turned::Away))?;
        let (mut rouse, mut silent_us) = (Rouse::default(), monotonic_us());
        loop {
            match channel.receive(LOOK, MESSAGE_TIME, |_| Ok(())).map_err(Turned::Away)? {
                Received::Message(Message::Welcome { .. }, _) => {
                    return Ok(Remote { channel: Mutex::new(Conversation { channel, is_over: false, pings: 0, rouse }), pid });
                }
                Received::Message(Message::Away(LedgerError { fault, .. }), _) if fault.rule != Rule::AnotherWriter => {
                    return Err(Turned::Away(fault));
                }
                Received::Message(Message::Away(_) | Message::Leaving, _) | Received::End => return Err(Turned::Again),
                Received::Message(..) => {
                    return Err(Turned::Away(Fault::new(Rule::BrokerMessage, "another message found; a welcome expected")));
                }
                Received::Nothing => {}
            }
            let now = monotonic_us();
            if now >= until_us {
                return Err(Turned::Again);
            }
            if u128::from(now - silent_us) >= STEP.as_micros() {
                silent_us = now - u64::try_from(STEP.as_micros()).unwrap_or(0);
                rouse.look(pid, || channel.stands());
            }
        }
    }

    /// Process of whoever leads.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether the connection has ended: nothing more can be asked on it.
    pub fn is_lost(&self) -> bool {
        let conversation = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        conversation.is_over || !conversation.channel.stands()
    }

    fn ask(&self, id: &RequestId, ask: Ask, patience: &Patience) -> Result<Answer, LedgerError> {
        let mut conversation = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        if conversation.is_over {
            return Err(lost(self.pid));
        }
        let left_ms = patience.until_us.saturating_sub(monotonic_us()) / 1_000;
        if left_ms == 0 {
            return Err(late());
        }
        let request = Message::Request { id: *id, patience_ms: left_ms.min(PATIENCE_MS_MAX), ask };
        match conversation.channel.send(&request, MESSAGE_TIME) {
            Ok(()) => {}
            // Nothing of it was sent.
            Err(Some(fault)) => return Err(LedgerError::of(fault)),
            Err(None) => return Err(conversation.end(self.pid)),
        }
        conversation.wait(id, patience, self.pid)
    }
}

impl Conversation {
    fn end(&mut self, pid: u32) -> LedgerError {
        self.is_over = true;
        self.channel.end();
        lost(pid)
    }

    /// Waits for the answer to `id`; pings when nothing comes, and rouses whoever is stopped.
    fn wait(&mut self, id: &RequestId, patience: &Patience, pid: u32) -> Result<Answer, LedgerError> {
        let step = u64::try_from(STEP.as_micros()).unwrap_or(u64::MAX);
        let (mut heard_us, mut is_pinged) = (monotonic_us(), false);
        loop {
            match self.channel.receive(LOOK, MESSAGE_TIME, |_| Ok(())) {
                Ok(Received::Message(Message::Response { id: of, outcome }, _)) if of == *id => return outcome,
                // Of one that we gave up, or a sign of life. A leader that is leaving still finishes what it has begun.
                Ok(Received::Message(Message::Response { .. } | Message::Pong(_) | Message::Leaving, _)) => {
                    (heard_us, is_pinged) = (monotonic_us(), false);
                }
                Ok(Received::Message(Message::Away(refusal), _)) => {
                    self.end(pid);
                    return Err(refusal);
                }
                Ok(Received::Message(..)) => {
                    self.end(pid);
                    return Err(LedgerError::of(Fault::new(Rule::BrokerMessage, "another message found; a response expected")));
                }
                Ok(Received::End) => return Err(self.end(pid)),
                Ok(Received::Nothing) => {}
                Err(fault) => {
                    self.end(pid);
                    return Err(LedgerError::of(fault));
                }
            }
            let now = monotonic_us();
            if patience.is_gone() {
                self.end(pid);
                return Err(LedgerError::of(Fault::new(Rule::RequestCancelled, "nobody waits for it any more")));
            }
            if now >= patience.until_us {
                return Err(late());
            }
            if !is_pinged && now.saturating_sub(heard_us) >= step / 2 {
                self.pings += 1;
                self.channel.send_at_once(&Message::Ping(self.pings));
                (heard_us, is_pinged) = (now, true);
            } else if is_pinged && now.saturating_sub(heard_us) >= step {
                let channel = &self.channel;
                self.rouse.look(pid, || channel.stands());
            }
        }
    }
}

impl Door for Remote {
    fn read(&self, _asker: &Asker, id: &RequestId, read: &Read, patience: &Patience) -> Result<Answer, LedgerError> {
        read.check().map_err(LedgerError::of)?;
        self.ask(id, Ask::Read(read.clone()), patience)
    }

    fn append(&self, _asker: &Asker, id: &RequestId, append: Append, patience: &Patience) -> Result<Answer, LedgerError> {
        self.ask(id, Ask::Append(append), patience)
    }
}

/// Whoever led has ended before it answered: what became of the request, the next one knows.
fn lost(pid: u32) -> LedgerError {
    let found = format!("process {pid}, which led, ended before it answered; an answer expected");
    LedgerError { why: Why::LeaderLost, fault: Fault::new(Rule::AnotherWriter, found) }
}

fn late() -> LedgerError {
    LedgerError::of(Fault::new(Rule::RequestExpired, "no answer found in the time that this command waits"))
}

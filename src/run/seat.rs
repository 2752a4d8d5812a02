//! A command's place at a domain's ledger: it leads and listens, or it follows whoever does. What it does there is the same either way.
//!
//! Whoever leads folds what another process brings into a copy of the domain before anything is done: a snapshot that the owner did not sign,
//! a checkpoint that her log key did not sign, and a session that is not whole never reach the ledger.

use std::path::Path;
use std::sync::Arc;

use crate::broker::elect::{Role, elect};
use crate::broker::follow::Remote;
use crate::broker::serve::Server;
use crate::broker::{Append, Asker, Broker, Door, Guard, NewEvent, write_head};
use crate::core::domain::{Domain, Identity};
use crate::core::event::{Event, EventParts, EventType, PayloadForm, event_hash};
use crate::core::ids::{Kid, kid_of};
use crate::core::rules::{Checked, Fault, Rule};
use crate::keys::Seed;

use super::desk::LedgerSigner;
use super::domain::{DomainDesk, head_file};
use super::problem::Outcomes;
use super::staged::sweep;

/// What a command calls itself in the trail.
const PROGRAM: &str = "domain snapshot";

/// A domain as far as its ledger was read.
#[derive(Clone)]
pub(super) struct Reading {
    domain: Domain,
    kid: Kid,
    seq_no: u64,
    hash: [u8; 32],
    epoch: u64,
}

impl Reading {
    /// Nothing was read yet.
    pub(super) fn new(identity: Identity) -> Reading {
        let kid = kid_of(&identity.ledger_public);
        Reading { domain: Domain::new(identity), kid, seq_no: 0, hash: [0; 32], epoch: 1 }
    }

    /// All of it was read, up to this event.
    fn up_to(domain: Domain, last: Option<&Event>) -> Reading {
        let mut reading = Reading { domain: domain.clone(), ..Reading::new(domain.identity().clone()) };
        last.into_iter().for_each(|event| reading.ends_with(event));
        reading
    }

    fn ends_with(&mut self, event: &Event) {
        (self.seq_no, self.hash, self.epoch) = (event.seq_no, event.event_hash, event.writer_epoch);
    }

    /// What the domain holds.
    pub(super) fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The number of the next event.
    pub(super) fn next(&self) -> u64 {
        self.seq_no + 1
    }

    /// The head that an append must name.
    pub(super) fn head(&self) -> Option<[u8; 32]> {
        (self.seq_no > 0).then_some(self.hash)
    }

    /// Reads the next event.
    ///
    /// # Errors
    /// `chain-broken` when it is not the next one; as [`Domain::apply`].
    pub(super) fn take(&mut self, event: &Event) -> Checked<()> {
        let hash = event.hash_again();
        if (event.seq_no, event.prev_event_hash, event.event_hash) != (self.next(), self.hash, hash) {
            let found = format!(
                "event {} behind {} with hash {} found",
                event.seq_no,
                hex::encode(event.prev_event_hash),
                hex::encode(event.event_hash)
            );
            let expected = format!("event {} behind {} with hash {} expected", self.next(), hex::encode(self.hash), hex::encode(hash));
            return Err(Fault::new(Rule::ChainBroken, format!("{found}; {expected}")));
        }
        self.domain.apply(event)?;
        self.ends_with(event);
        Ok(())
    }

    /// The domain as it will be behind these events.
    ///
    /// # Errors
    /// As [`Domain::apply`]; `ledger-fault` when they end within a session.
    pub(super) fn with(&self, events: &[NewEvent]) -> Checked<Domain> {
        let mut domain = self.domain.clone();
        let (mut seq_no, mut prev_event_hash) = (self.seq_no, self.hash);
        for event in events {
            seq_no += 1;
            let event = self.foreseen(event, seq_no, prev_event_hash);
            domain.apply(&event)?;
            prev_event_hash = event.event_hash;
        }
        if domain.is_between_sessions() {
            return Ok(domain);
        }
        let last = events.last().map_or("none", |event| event.event_id.as_str());
        Err(Fault::new(Rule::LedgerFault, format!("events up to {last} found, which end within a session; a whole one expected")))
    }

    /// An event as the database will make it, but for its signature.
    fn foreseen(&self, new: &NewEvent, seq_no: u64, prev_event_hash: [u8; 32]) -> Event {
        let parts = EventParts {
            seq_no,
            event_id: &new.event_id,
            timestamp: new.timestamp,
            event_type: new.event_type,
            payload: PayloadForm::of(&new.payload),
            prev_event_hash: &prev_event_hash,
            public_key_id: &self.kid,
            writer_epoch: self.epoch,
        };
        Event {
            seq_no,
            event_id: new.event_id.clone(),
            timestamp: new.timestamp,
            event_type: new.event_type,
            payload: new.payload.clone(),
            prev_event_hash,
            event_hash: event_hash(&parts),
            signature: [0; 64],
            public_key_id: self.kid,
            writer_epoch: self.epoch,
        }
    }

    /// The head file as it must be behind an append, if that ends a session.
    pub(super) fn head_file_behind(events: &[NewEvent], after: &Domain) -> Option<String> {
        let closes = events.iter().any(|event| event.event_type == EventType::Closed);
        after.kept().last().filter(|_| closes).and_then(head_file).map(|head| head.text())
    }

    /// Judges, in the leader's worker, what is to be appended: it must be what a domain's owner does next.
    pub(super) fn guard(mut self) -> Guard {
        Box::new(move |since: &[Event], append: &Append| {
            since.iter().try_for_each(|event| self.take(event))?;
            let expected = Reading::head_file_behind(&append.events, &self.with(&append.events)?);
            if append.head_file == expected {
                return Ok(());
            }
            let found = format!("head file {:?} found; {expected:?}, which follows from the events, expected", append.head_file);
            Err(Fault::new(Rule::LedgerFault, found))
        })
    }
}

/// Where a command sits.
pub(super) enum Seat {
    /// It holds the lock, and listens if there can be a socket. The socket goes before the lock does.
    Leads(Option<Server>, Broker),
    /// Another process does.
    Follows(Remote),
}

impl Seat {
    /// Takes a seat before `until_us`; whoever leads has read the domain in doing so.
    ///
    /// # Errors
    /// `another-writer`; as the start-up checks.
    pub(super) fn take(dir: &Path, identity: &Identity, seed: &Seed, until_us: u64) -> Outcomes<(Seat, Option<Reading>)> {
        let origin = identity.origin().as_str();
        match elect(dir, origin, PROGRAM, until_us, &mut || lead(dir, identity, seed))? {
            Role::Leads((server, broker, reading)) => Ok((Seat::Leads(server, broker), Some(reading))),
            Role::Follows(remote) => Ok((Seat::Follows(remote), None)),
        }
    }

    /// Whoever answers.
    pub(super) fn door(&self) -> &dyn Door {
        match self {
            Seat::Leads(_, broker) => broker,
            Seat::Follows(remote) => remote,
        }
    }

    /// Goes on answering others for a short while, and then lets the lock go.
    ///
    /// # Errors
    /// `disk-fault` when SQLite's log could not be copied into the database: what was committed is in the log all the same.
    pub(super) fn linger(self) -> Checked<()> {
        let Seat::Leads(server, broker) = self else { return Ok(()) };
        if let Some(server) = server {
            server.linger();
        }
        broker.write_back()
    }
}

/// This process, as the trail names it.
pub(super) fn asker() -> Asker {
    Asker { program: PROGRAM.into(), ..Asker::myself() }
}

type Led = (Option<Server>, Broker, Reading);

/// Takes the lock, checks, unlocks, finishes what a broken command left of the head file, and listens.
fn lead(dir: &Path, identity: &Identity, seed: &Seed) -> Outcomes<Result<Led, Fault>> {
    let broker = match Broker::open(dir) {
        Err(fault) if fault.rule == Rule::AnotherWriter => return Ok(Err(fault)),
        opened => opened?,
    };
    let desk = DomainDesk::check(dir, identity.clone(), broker)?;
    let (broker, domain, head_is_behind) = desk.into_parts();
    broker.unlock(Arc::new(LedgerSigner(seed.ledger(false))), false)?;
    if head_is_behind && let Some(head) = domain.kept().last().and_then(head_file) {
        write_head(dir, &head.text())?;
    }
    let reading = Reading::up_to(domain, broker.latest()?.as_ref());
    broker.guard(reading.seq_no, reading.clone().guard());
    sweep(dir);
    // Where there can be no socket, the others wait for the lock.
    let server = Server::open(dir, identity.origin().as_str(), Arc::new(broker.clone())).ok();
    Ok(Ok((server, broker, reading)))
}

//! The leader's side of the socket: who connects, what they may cost, and how it ends.
//!
//! Each connection has a thread that reads and one that asks the door, so that whoever pings hears at once and whoever hangs up is noticed
//! while its request waits. Nobody is believed: numbers, bytes and times are bounded for each and for all, and another user is turned away.
//! Nothing here opens the ledger; a server lives no longer than the lock that its maker holds.

use std::collections::BTreeMap;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::net::Shutdown;

use crate::clock::monotonic_us;
use crate::core::rules::{Checked, Fault, Rule};
use crate::ledger::LedgerError;

use super::door::{Asker, Door, Patience, RequestId};
use super::socket::{Bound, Channel, Received, after, listen};
use super::wire::{Ask, MESSAGE_BYTES_MAX, Message};

/// Most connections at once.
pub const CONNECTIONS_MAX: usize = 64;
/// Most requests that one connection may have asked and not been answered.
pub const IN_FLIGHT_MAX: usize = 4;
/// Most bytes of requests that are held at once, of all connections together.
const HELD_BYTES_MAX: usize = 4 * MESSAGE_BYTES_MAX;
/// How long a hello is waited for, and the rest of a message that has begun, and a peer that does not read.
const MESSAGE_TIME: Duration = Duration::from_secs(2);
/// How long somebody may be connected without a word.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long a leader whose own work is done waits for the next request.
const IDLE_MAX: Duration = Duration::from_millis(200);
/// How long it goes on in all.
const LINGER_MAX: Duration = Duration::from_secs(5);
/// How long what has begun may take when the leader goes.
const ENDING_MAX: Duration = Duration::from_secs(5);

/// Answers whoever connects, until it is closed or dropped. Its socket goes with it, so it is dropped before the lock is let go.
pub struct Server {
    shared: Arc<Shared>,
    listener: Arc<UnixListener>,
    bound: Option<Bound>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    door: Arc<dyn Door>,
    /// Which ledger is asked for here.
    ledger: String,
    leaving: AtomicBool,
    held_bytes: AtomicUsize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    connections: BTreeMap<u64, Arc<Peer>>,
    next: u64,
    /// Requests that are being worked on.
    working: usize,
    /// When the last one ended.
    last_us: u64,
}

/// One connection.
struct Peer {
    channel: Channel,
    uid: u32,
    pid: u32,
    gone: Arc<AtomicBool>,
    /// Requests that it asked and that are not answered.
    in_flight: AtomicUsize,
}

/// A request on its way to the door.
struct Waiting {
    id: RequestId,
    ask: Ask,
    patience: Patience,
    _held: Held,
}

/// Bytes of a request, counted as long as it is held.
struct Held(Arc<Shared>, usize);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.held_bytes.fetch_sub(self.1, Ordering::SeqCst);
    }
}

/// Takes a connection off the list when its thread ends, however it ends.
struct Listed<'a>(&'a Shared, u64);

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.0.state().connections.remove(&self.1);
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::SeqCst)
    }

    fn hold(self: &Arc<Shared>, bytes: usize) -> Checked<Held> {
        let before = self.held_bytes.fetch_add(bytes, Ordering::SeqCst);
        let held = Held(Arc::clone(self), bytes);
        if before + bytes <= HELD_BYTES_MAX {
            return Ok(held);
        }
        let found = format!("a message of {bytes} bytes found while {before} are held; at most {HELD_BYTES_MAX} in all expected");
        Err(Fault::new(Rule::BrokerMessage, found))
    }
}

impl Server {
    /// Listens in `dir` for requests to `ledger`, and has `door` answer them. The caller holds the ledger's lock, has checked and unlocked it.
    ///
    /// # Errors
    /// `file-fault` when there can be no socket: then nobody is listened to, and the others wait for the lock.
    pub fn open(dir: &Path, ledger: &str, door: Arc<dyn Door>) -> Checked<Server> {
        let (listener, bound) = listen(dir)?;
        let shared = Arc::new(Shared {
            door,
            ledger: ledger.to_owned(),
            leaving: AtomicBool::new(false),
            held_bytes: AtomicUsize::new(0),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let listener = Arc::new(listener);
        let (taken, by) = (Arc::clone(&listener), Arc::clone(&shared));
        let accepting = thread::Builder::new().name("broker-accept".into()).spawn(move || accept(&taken, &by));
        let accepting = accepting.map_err(|error| Fault::new(Rule::FileFault, format!("a thread to listen: {error}")))?;
        Ok(Server { shared, listener, bound: Some(bound), accepting: Some(accepting) })
    }

    /// Goes on answering when the leader's own work is done: as long as somebody is connected and asks, and never for long.
    pub fn linger(&self) {
        let began = monotonic_us();
        let end = after(LINGER_MAX);
        let idle = u64::try_from(IDLE_MAX.as_micros()).unwrap_or(u64::MAX);
        let mut state = self.shared.state();
        loop {
            let until = if state.working > 0 { end } else { end.min(began.max(state.last_us).saturating_add(idle)) };
            let left = until.saturating_sub(monotonic_us());
            if left == 0 || state.connections.is_empty() {
                return;
            }
            let waited = self.shared.changed.wait_timeout(state, Duration::from_micros(left));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn close(&mut self) {
        let Some(bound) = self.bound.take() else { return };
        self.shared.leaving.store(true, Ordering::SeqCst);
        // The name first: whoever looks from now on waits for the lock.
        drop(bound);
        let _ = rustix::net::shutdown(self.listener.as_ref(), Shutdown::Both);
        drop(self.accepting.take().map(JoinHandle::join));
        for peer in self.shared.state().connections.values() {
            peer.channel.send_at_once(&Message::Leaving);
            peer.channel.hear_no_more();
        }
        if self.wait_for_all(ENDING_MAX) {
            return;
        }
        for peer in self.shared.state().connections.values() {
            peer.gone.store(true, Ordering::SeqCst);
            peer.channel.end();
        }
        self.wait_for_all(MESSAGE_TIME);
    }

    fn wait_for_all(&self, most: Duration) -> bool {
        let state = self.shared.state();
        let waited = self.shared.changed.wait_timeout_while(state, most, |state| !state.connections.is_empty());
        waited.unwrap_or_else(PoisonError::into_inner).0.connections.is_empty()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.close();
    }
}

fn accept(listener: &UnixListener, shared: &Arc<Shared>) {
    loop {
        match listener.accept() {
            _ if shared.is_leaving() => return,
            Ok((stream, _)) => take(shared, Channel::of(stream)),
            // Too many open files, or nobody any more: the next one may fare better.
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}

fn away(why: Rule, found: String) -> Message {
    Message::Away(LedgerError::of(Fault::new(why, found)))
}

/// Takes a connection in, or turns it away.
fn take(shared: &Arc<Shared>, channel: Channel) {
    let ours = rustix::process::geteuid().as_raw();
    let Some((uid, pid)) = channel.peer() else { return };
    if uid != ours {
        return channel.send_at_once(&away(Rule::BrokerMessage, format!("user {uid} asks; user {ours}, who leads, expected")));
    }
    let peer = Arc::new(Peer { channel, uid, pid, gone: Arc::default(), in_flight: AtomicUsize::new(0) });
    let number = {
        let mut state = shared.state();
        if state.connections.len() >= CONNECTIONS_MAX {
            drop(state);
            let found = format!("{CONNECTIONS_MAX} connections found that are being answered; fewer expected");
            return peer.channel.send_at_once(&away(Rule::AnotherWriter, found));
        }
        state.next += 1;
        let number = state.next;
        state.connections.insert(number, Arc::clone(&peer));
        number
    };
    let by = Arc::clone(shared);
    let spawned = thread::Builder::new().name("broker-peer".into()).spawn(move || {
        let _listed = Listed(&by, number);
        attend(&by, &peer);
        peer.channel.end();
    });
    if spawned.is_err() {
        drop(Listed(shared, number));
    }
}

/// One connection from its hello to its end.
fn attend(shared: &Arc<Shared>, peer: &Peer) {
    let send = |message: &Message| peer.channel.send(message, MESSAGE_TIME).is_ok();
    let program = match greet(shared, peer) {
        Ok(Some(program)) => program,
        Ok(None) => return,
        Err(fault) => {
            send(&Message::Away(LedgerError::of(fault)));
            return;
        }
    };
    if !send(&Message::Welcome { pid: std::process::id() }) {
        return;
    }
    let asker = Asker { uid: peer.uid, pid: peer.pid, program };
    let (to_door, waiting) = sync_channel(IN_FLIGHT_MAX);
    thread::scope(|scope| {
        let asking = thread::Builder::new().name("broker-door".into());
        if asking.spawn_scoped(scope, move || ask_the_door(shared, peer, asker, waiting)).is_err() {
            return;
        }
        let ended = hear(shared, peer, to_door);
        if !shared.is_leaving() {
            // Nobody waits for what is still on its way.
            peer.gone.store(true, Ordering::SeqCst);
        }
        if let Err(fault) = ended {
            send(&Message::Away(LedgerError::of(fault)));
        }
    });
}

/// The program that asks, when it greets as it should.
fn greet(shared: &Arc<Shared>, peer: &Peer) -> Checked<Option<String>> {
    let room = |bytes: usize| shared.hold(bytes).map(drop);
    match peer.channel.receive(MESSAGE_TIME, MESSAGE_TIME, room)? {
        Received::Message(Message::Hello { ledger, program }, _) if ledger == shared.ledger => Ok(Some(program)),
        Received::Message(Message::Hello { ledger, .. }, _) => {
            Err(Fault::new(Rule::BrokerMessage, format!("ledger {ledger:?} asked for; {:?}, which is led here, expected", shared.ledger)))
        }
        Received::Message(..) => Err(Fault::new(Rule::BrokerMessage, "another message found; a hello expected")),
        Received::Nothing | Received::End => Ok(None),
    }
}

/// Hears what a peer says until it says no more.
fn hear(shared: &Arc<Shared>, peer: &Peer, to_door: SyncSender<Waiting>) -> Checked<()> {
    loop {
        let mut held = None;
        let room = |bytes: usize| shared.hold(bytes).map(|bytes| held = Some(bytes));
        let message = match peer.channel.receive(SILENCE_MAX, MESSAGE_TIME, room)? {
            Received::Message(message, _) => message,
            Received::Nothing if peer.in_flight.load(Ordering::SeqCst) > 0 => continue,
            Received::Nothing | Received::End => return Ok(()),
        };
        let (id, patience_ms, ask) = match message {
            Message::Ping(number) => {
                let _ = peer.channel.send(&Message::Pong(number), MESSAGE_TIME);
                continue;
            }
            Message::Request { id, patience_ms, ask } => (id, patience_ms, ask),
            _ => return Err(Fault::new(Rule::BrokerMessage, "another message found; a request or a ping expected")),
        };
        let Some(held) = held else { return Ok(()) };
        let patience = Patience { until_us: after(Duration::from_millis(patience_ms)), gone: Arc::clone(&peer.gone) };
        if peer.in_flight.fetch_add(1, Ordering::SeqCst) >= IN_FLIGHT_MAX {
            let found = format!("more than {IN_FLIGHT_MAX} requests at once found; at most so many expected");
            return Err(Fault::new(Rule::BrokerMessage, found));
        }
        shared.state().working += 1;
        if to_door.send(Waiting { id, ask, patience, _held: held }).is_err() {
            worked(shared);
            return Ok(());
        }
    }
}

fn worked(shared: &Shared) {
    let mut state = shared.state();
    state.working = state.working.saturating_sub(1);
    state.last_us = monotonic_us();
    drop(state);
    shared.changed.notify_all();
}

/// Counts a request as worked on until it is answered.
struct Working<'a>(&'a Shared);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        worked(self.0);
    }
}

/// Asks one request after another, and answers each.
fn ask_the_door(shared: &Shared, peer: &Peer, asker: Asker, waiting: Receiver<Waiting>) {
    while let Ok(Waiting { id, ask, patience, _held }) = waiting.recv() {
        let _working = Working(shared);
        let outcome = match ask {
            Ask::Read(read) => shared.door.read(&asker, &id, &read, &patience),
            Ask::Append(append) => shared.door.append(&asker, &id, append, &patience),
        };
        // Before the answer: whoever has it may ask again at once.
        peer.in_flight.fetch_sub(1, Ordering::SeqCst);
        match peer.channel.send(&Message::Response { id, outcome }, MESSAGE_TIME) {
            Ok(()) => {}
            // Too long for one message: that is an answer as well.
            Err(Some(fault)) => {
                let _ = peer.channel.send(&Message::Response { id, outcome: Err(LedgerError::of(fault)) }, MESSAGE_TIME);
            }
            Err(None) => peer.gone.store(true, Ordering::SeqCst),
        }
    }
}

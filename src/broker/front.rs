//! The broker of one process: a handle that anyone in it may have, and behind it the worker that has the ledger.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use super::book::{Book, random};
use super::door::{Asker, Door, Patience, RequestId};
use super::line::{LIFE_US, Line, Place, Reply};
use super::request::{Answer, Append, Call, Read};
use super::worker::{self, Guard};
use crate::clock::monotonic_us;
use crate::core::ids::Hash;
use crate::core::rules::{Checked, Fault, Rule};
use crate::ledger::trail::Status;
use crate::ledger::{Ledger, LedgerError};

/// How long a read of this process may take, in microseconds: none of ours asks for so much that it takes this long on any disk that works.
const OWN_PATIENCE_US: u64 = 600_000_000;

/// The ledger, for everyone in this process. The last handle that is dropped ends the worker and lets the lock go.
#[derive(Clone)]
pub struct Broker {
    shared: Arc<Shared>,
}

/// A way to the broker that keeps neither its worker nor its lock.
pub(super) struct Loose(Weak<Shared>);

impl Loose {
    /// A handle, while somebody else still has one.
    pub(super) fn broker(&self) -> Checked<Broker> {
        let closed = || Fault::new(Rule::InternalFault, "a ledger that was closed meanwhile found; one that is open expected");
        self.0.upgrade().map(|shared| Broker { shared }).ok_or_else(closed)
    }
}

struct Shared {
    dir: PathBuf,
    line: Arc<Line>,
    /// Only the worker locks it, but when the ledger is compared with another, or given back.
    ledger: Arc<Mutex<Ledger>>,
    worker: Option<JoinHandle<()>>,
    guard: Arc<Mutex<Option<Guarded>>>,
    counts: Mutex<Counts>,
    book: Book,
}

/// How a ledger was opened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Opened {
    /// To write: nobody else does, and the trail is made when it is not there.
    ToWrite,
    /// To look: others may write meanwhile, so that no answer is kept, and a trail is written if there is one.
    ToLook,
    /// A copy of ours that nobody else knows: no trail.
    Apart,
}

/// What this broker was asked since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Reads asked for.
    pub reads: u64,
    /// Of those, how many shared the answer of another.
    pub joined: u64,
    /// Of those, how many were answered with what was read a moment ago.
    pub kept: u64,
}

/// Who judges what other processes want appended, and how far it has seen the ledger.
struct Guarded {
    guard: Guard,
    seen: u64,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.line.close();
        if let Some(worker) = self.worker.take() {
            // A worker that panicked has told so, and everyone who waited was told that it is gone.
            drop(worker.join());
        }
    }
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Broker({})", self.shared.dir.display())
    }
}

fn gone() -> Fault {
    Fault::new(Rule::InternalFault, "the worker has ended; one that answers expected")
}

impl Broker {
    /// A broker around a ledger that was opened.
    pub(super) fn around(mut ledger: Ledger, opened: Opened) -> Checked<Broker> {
        ledger.measure_with(monotonic_us);
        let line = Arc::new(Line::new(if opened == Opened::ToLook { 0 } else { LIFE_US }));
        let book = match opened {
            Opened::ToWrite => Book::open(ledger.dir()).inspect_err(|_| {
                // What a disk that fails has is left alone, also by closing.
                drop(ledger.keep_log_on_close(true));
            })?,
            Opened::ToLook => Book::look(ledger.dir()),
            Opened::Apart => Book::none(ledger.dir()),
        };
        let (dir, ledger) = (ledger.dir().to_owned(), Arc::new(Mutex::new(ledger)));
        let (its_line, its_ledger) = (Arc::clone(&line), Arc::clone(&ledger));
        let began = std::thread::Builder::new().name("broker".into()).spawn(move || worker::work(&its_line, &its_ledger));
        let worker = began.map_err(|error| Fault::new(Rule::InternalFault, format!("starting the worker: {error}")))?;
        let shared = Shared { dir, line, ledger, worker: Some(worker), guard: Arc::default(), counts: Mutex::default(), book };
        Ok(Broker { shared: Arc::new(shared) })
    }

    pub(super) fn loose(&self) -> Loose {
        Loose(Arc::downgrade(&self.shared))
    }

    /// Folder of the ledger.
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// From now on, what other processes want appended is judged by `guard`, which has seen the ledger up to event `seen`.
    pub fn guard(&self, seen: u64, guard: Guard) {
        *self.guarded() = Some(Guarded { guard, seen });
    }

    fn guarded(&self) -> MutexGuard<'_, Option<Guarded>> {
        self.shared.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the worker do what was called for, with the ledger for itself; it is in the trail.
    pub(super) fn with<T: Send + 'static>(&self, call: &Call, work: impl FnOnce(&mut Ledger) -> Checked<T> + Send + 'static) -> Checked<T> {
        let done = self.with_observed(call, |ledger, _| work(ledger).map_err(LedgerError::of), &mut |_| {});
        done.map_err(|error| error.fault)
    }

    /// [`Broker::with`], for work that tells of each of its steps before it happens: the worker goes on when `observe` has returned. After a
    /// write what was answered before is forgotten before anybody hears that it is done.
    pub(super) fn with_observed<T: Send + 'static>(
        &self,
        call: &Call,
        work: impl FnOnce(&mut Ledger, &mut dyn FnMut(&'static str)) -> Result<T, LedgerError> + Send + 'static,
        observe: &mut dyn FnMut(&'static str),
    ) -> Result<T, LedgerError> {
        let book = &self.shared.book;
        let written = random().and_then(|id| book.begin(&Asker::myself(), &id, call, None)).map_err(LedgerError::of)?;
        let line = call.is_write.then(|| Arc::clone(&self.shared.line));
        let forgetful = move |ledger: &mut Ledger, observe: &mut dyn FnMut(&'static str)| {
            let done = work(ledger, observe);
            line.inspect(|line| line.forget());
            done
        };
        let done = self.in_the_worker(forgetful, observe).map_err(LedgerError::of).and_then(|done| done);
        book.close(&written, &done, call);
        done
    }

    fn in_the_worker<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Ledger, &mut dyn FnMut(&'static str)) -> T + Send + 'static,
        observe: &mut dyn FnMut(&'static str),
    ) -> Checked<T> {
        enum Word<T> {
            Step(&'static str),
            Done(T),
        }
        let (tell, told) = channel();
        let (nod, nodded) = channel();
        let work = move |ledger: &mut Ledger| {
            let done = work(ledger, &mut |step| {
                if tell.send(Word::Step(step)).is_ok() {
                    // Whoever listens no more does not keep the worker from what it began.
                    let _ = nodded.recv();
                }
            });
            drop(tell.send(Word::Done(done)));
        };
        self.shared.line.put(Box::new(work)).ok_or_else(gone)?;
        loop {
            match told.recv() {
                Ok(Word::Done(done)) => return Ok(done),
                Ok(Word::Step(step)) => {
                    observe(step);
                    let _ = nod.send(());
                }
                Err(_) => return Err(gone()),
            }
        }
    }

    /// What changes the ledger can be recorded.
    ///
    /// # Errors
    /// Why it cannot: `trail-fault`, `disk-fault`, `file-fault`.
    pub(super) fn must_record(&self) -> Checked<()> {
        self.shared.book.must_record()
    }

    /// Both ledgers at once, in the worker of this one.
    pub(super) fn with_both<T: Send + 'static>(
        &self,
        call: &Call,
        other: &Broker,
        work: impl FnOnce(&mut Ledger, &mut Ledger) -> Checked<T> + Send + 'static,
    ) -> Checked<T> {
        let other = Arc::clone(&other.shared.ledger);
        self.with(call, move |ledger| work(ledger, &mut other.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// The ledger itself, when this is the only handle: the worker ends.
    pub(super) fn into_ledger(self) -> Checked<Ledger> {
        let shared = Arc::into_inner(self.shared)
            .ok_or_else(|| Fault::new(Rule::InternalFault, "another handle on the broker found; none expected"))?;
        let ledger = Arc::clone(&shared.ledger);
        drop(shared);
        let ledger = Arc::into_inner(ledger).ok_or_else(gone)?;
        Ok(ledger.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// A read of this process.
    pub(super) fn own(&self, read: &Read) -> Checked<Answer> {
        let patience = Patience { until_us: monotonic_us() + OWN_PATIENCE_US, gone: Arc::new(AtomicBool::new(false)) };
        random().map_err(LedgerError::of).and_then(|id| self.read(&Asker::myself(), &id, read, &patience)).map_err(|error| error.fault)
    }

    /// The answer to a read, and how it came by it.
    fn look_up(&self, read: &Read, patience: &Patience) -> (Reply, Status) {
        if let Err(fault) = read.check() {
            return (Err(LedgerError::of(fault)), Status::Refused);
        }
        let place = self.shared.line.ask(read, patience, monotonic_us());
        self.count(&place);
        let (receiver, status) = match place {
            Place::Kept(answer) => return (Ok(answer), Status::Cached),
            Place::Closed => return (Err(LedgerError::of(gone())), Status::Failed),
            Place::Waits(receiver, true) => (receiver, Status::Joined),
            Place::Waits(receiver, false) => (receiver, Status::Done),
        };
        let left = patience.until_us.saturating_sub(monotonic_us());
        let reply = match receiver.recv_timeout(Duration::from_micros(left)) {
            Ok(reply) => reply,
            Err(RecvTimeoutError::Disconnected) => Err(LedgerError::of(gone())),
            Err(RecvTimeoutError::Timeout) => Err(expired(&format!("{} {}", read.word(), read.key()))),
        };
        (reply, status)
    }

    fn count(&self, place: &Place) {
        let mut counts = self.shared.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.reads += 1;
        counts.joined += u64::from(matches!(place, Place::Waits(_, true)));
        counts.kept += u64::from(matches!(place, Place::Kept(_)));
    }

    /// What was asked since this broker began.
    pub fn counts(&self) -> Counts {
        *self.shared.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the guard judge, if there is one, after it has seen what came since.
    fn judge(shared: &Mutex<Option<Guarded>>, ledger: &Ledger, append: &Append) -> Checked<()> {
        let mut guarded = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Guarded { guard, seen }) = guarded.as_mut() else {
            return Err(Fault::new(Rule::AnotherWriter, "a writer that takes nothing from other processes found; none expected"));
        };
        let since = ledger.page(*seen + 1, u64::from(u32::MAX), u64::MAX, &mut || Ok(()))?;
        // Shown is seen, whatever is said of the new ones.
        *seen = since.last().map_or(*seen, |event| event.seq_no);
        guard(&since, append)
    }
}

fn expired(what: &str) -> LedgerError {
    LedgerError::of(Fault::new(Rule::RequestExpired, format!("{what}: no answer found in the time there was; one expected")))
}

impl Door for Broker {
    fn read(&self, asker: &Asker, id: &RequestId, read: &Read, patience: &Patience) -> Reply {
        let (book, call) = (&self.shared.book, Call::of(read.word(), read.key()));
        let line = book.begin(asker, id, &call, None).map_err(LedgerError::of)?;
        let (reply, status) = self.look_up(read, patience);
        match &reply {
            Ok(_) => book.end(&line, status, "", ""),
            Err(_) => book.close(&line, &reply, &call),
        }
        reply
    }

    fn append(&self, asker: &Asker, id: &RequestId, append: Append, patience: &Patience) -> Reply {
        let call = append.call();
        let (book, key) = (&self.shared.book, append.idempotency_key.clone());
        let line = book.begin(asker, id, &call, key.as_deref()).map_err(LedgerError::of)?;
        let digest = append.digest();
        let reply = match self.answered(key.as_deref(), &digest) {
            Ok(None) => self.queue(append, patience, &call.affected),
            Ok(Some(head)) => Ok(Answer::Appended(head)),
            Err(fault) => Err(LedgerError::of(fault)),
        };
        if let (Some(key), Ok(Answer::Appended(head))) = (&key, &reply) {
            book.keep_answer(key, &digest.0, head);
        }
        book.close(&line, &reply, &call);
        reply
    }
}

impl Broker {
    /// What was answered under an idempotency key before.
    fn answered(&self, key: Option<&str>, digest: &Hash) -> Checked<Option<[u8; 32]>> {
        let kept = key.map(|key| self.shared.book.answer_of(key)).transpose()?.flatten();
        let (Some(key), Some((found, answer))) = (key, kept) else { return Ok(None) };
        if found != digest.0 {
            let found = format!("key {key:?} was used for request {}; request {digest} found", hex::encode(found));
            return Err(Fault::new(Rule::KeyReused, found));
        }
        let length = answer.len();
        let head =
            answer.try_into().map_err(|_| Fault::new(Rule::TrailFault, format!("an answer of {length} bytes found; 32 expected")))?;
        Ok(Some(head))
    }

    fn queue(&self, append: Append, patience: &Patience, affected: &str) -> Reply {
        let (line, guard) = (Arc::clone(&self.shared.line), Arc::clone(&self.shared.guard));
        let (tell, told) = channel();
        let work = move |ledger: &mut Ledger| {
            let mut judge = |ledger: &Ledger, append: &Append| Broker::judge(&guard, ledger, append);
            let reply = worker::append(ledger, &append, &mut judge, &mut |_| {});
            line.forget();
            drop(tell.send(reply));
        };
        let ticket = self.shared.line.put(Box::new(work)).ok_or_else(|| LedgerError::of(gone()))?;
        let left = patience.until_us.saturating_sub(monotonic_us());
        match told.recv_timeout(Duration::from_micros(left)) {
            Ok(reply) => reply,
            // It has not begun: nothing happens any more.
            Err(RecvTimeoutError::Timeout) if self.shared.line.withdraw(ticket) => Err(expired(&format!("append {affected}"))),
            // It has begun: whoever asked learns how it ended.
            Err(_) => told.recv().unwrap_or_else(|_| Err(LedgerError::of(gone()))),
        }
    }
}

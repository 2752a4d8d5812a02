//! Every request in the trail, once: who asked, for what, and what became of it. A write is there before it has an effect, and how it ended
//! before anybody is answered.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tracing::warn;

use super::door::{Asker, RequestId};
use super::request::Call;
use crate::clock::{monotonic_us, now_unix};
use crate::core::rules::{Checked, Fault, Rule};
use crate::ledger::LedgerError;
use crate::ledger::trail::{Asked, Ended, Status, Trail};

static PROGRAM: OnceLock<String> = OnceLock::new();

/// Says once what this process calls itself in the trail, as `witness session`.
pub fn call_itself(program: &str) {
    // The first name stays: one process runs one command.
    drop(PROGRAM.set(program.to_owned()));
}

impl Asker {
    /// This process.
    pub fn myself() -> Asker {
        let program = PROGRAM.get().map_or("tabellion", String::as_str).to_owned();
        Asker { uid: rustix::process::geteuid().as_raw(), pid: std::process::id(), program }
    }
}

/// Bytes of the kernel's randomness: for names that nobody else chooses, never for a key.
///
/// # Errors
/// `file-fault`.
pub fn random<const N: usize>() -> Checked<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Fault::new(Rule::FileFault, format!("the kernel's randomness: {error}")))?;
    Ok(bytes)
}

/// What there is to write into.
enum Paper {
    Trail(Trail),
    /// Requests that change nothing go on without one.
    None,
    /// Nothing that changes the ledger is done.
    Broken(Fault),
}

impl Paper {
    /// Trouble of the trail or its disk ends it; a value that is out of bounds, or another process that takes long, is the request's own.
    fn breaks(&mut self, fault: &Fault) {
        if matches!(fault.rule, Rule::TrailFault | Rule::DiskFault | Rule::FileFault) {
            *self = Paper::Broken(fault.clone());
        }
    }
}

/// The trail, for all threads of this process.
pub(super) struct Book {
    paper: Mutex<Paper>,
    ledger: String,
}

/// A request that is being worked on.
pub(super) struct Line {
    asked: Asked,
    began_us: u64,
}

impl Book {
    /// The trail of the ledger in `dir`, which is made when it is not there.
    ///
    /// # Errors
    /// `disk-fault`: nothing more is done to a disk that fails. Other trouble is told to who writes, for reading goes on without a trail.
    pub(super) fn open(dir: &Path) -> Checked<Book> {
        match Trail::open(dir) {
            Err(fault) if fault.rule == Rule::DiskFault => Err(fault),
            opened => Ok(Book::with(dir, opened.map_or_else(Paper::Broken, Paper::Trail))),
        }
    }

    /// The trail of the ledger in `dir` if there is one to write into: whoever only looks makes none.
    pub(super) fn look(dir: &Path) -> Book {
        let is_there = dir.join(crate::ledger::trail::TRAIL_FILE).symlink_metadata().is_ok();
        let paper = match is_there.then(|| Trail::open(dir)) {
            Some(Ok(trail)) => Paper::Trail(trail),
            Some(Err(fault)) => {
                warn!(target: "broker", rule = fault.rule.id(), found = %fault.found, "requests are not recorded");
                Paper::None
            }
            None => Paper::None,
        };
        Book::with(dir, paper)
    }

    /// None: what lies in a folder of ours that nobody else knows.
    pub(super) fn none(dir: &Path) -> Book {
        Book::with(dir, Paper::None)
    }

    fn with(dir: &Path, paper: Paper) -> Book {
        Book { paper: Mutex::new(paper), ledger: dir.canonicalize().unwrap_or_else(|_| dir.to_owned()).display().to_string() }
    }

    fn paper(&self) -> MutexGuard<'_, Paper> {
        self.paper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what changes the ledger can be recorded.
    ///
    /// # Errors
    /// `trail-fault`, `disk-fault`, `file-fault`: why it cannot.
    pub(super) fn must_record(&self) -> Checked<()> {
        match &*self.paper() {
            Paper::Broken(fault) => Err(fault.clone()),
            _ => Ok(()),
        }
    }

    /// A request comes in: one that changes something is recorded now.
    ///
    /// # Errors
    /// As [`Book::must_record`]: then it is not done.
    pub(super) fn begin(&self, asker: &Asker, id: &RequestId, call: &Call, idempotency_key: Option<&str>) -> Checked<Line> {
        let asked = Asked {
            request_id: *id,
            at: now_unix().unwrap_or(0),
            uid: asker.uid,
            pid: asker.pid,
            program: asker.program.clone(),
            ledger: self.ledger.clone(),
            request_type: call.word.into(),
            is_write: call.is_write,
            key: call.key.clone(),
            idempotency_key: idempotency_key.map(Into::into),
        };
        if call.is_write {
            let mut paper = self.paper();
            match &*paper {
                Paper::Trail(trail) => {
                    if let Err(fault) = trail.begin(&asked) {
                        paper.breaks(&fault);
                        return Err(fault);
                    }
                }
                Paper::None => {}
                Paper::Broken(fault) => return Err(fault.clone()),
            }
        }
        Ok(Line { asked, began_us: monotonic_us() })
    }

    /// A request is done with. What cannot be recorded now stays unfinished in the trail; nothing that changes the ledger follows it.
    pub(super) fn end(&self, line: &Line, status: Status, rule: &str, affected: &str) {
        let ended = Ended {
            status,
            rule: rule.into(),
            latency_us: monotonic_us().saturating_sub(line.began_us),
            affected: affected.chars().take(1_000).collect(),
        };
        let mut paper = self.paper();
        let Paper::Trail(trail) = &*paper else { return };
        let recorded = match line.asked.is_write {
            true => trail.end(&line.asked.request_id, &ended),
            false => trail.record(&line.asked, &ended).map(drop),
        };
        if let Err(fault) = recorded {
            warn!(target: "broker", rule = fault.rule.id(), found = %fault.found, "a request is not recorded");
            paper.breaks(&fault);
        }
    }

    /// [`Book::end`], by what was answered.
    pub(super) fn close<T>(&self, line: &Line, answered: &Result<T, LedgerError>, call: &Call) {
        match answered {
            Ok(_) => self.end(line, Status::Done, "", &call.affected),
            Err(error) => self.end(line, status_of(error.fault.rule), error.fault.rule.id(), ""),
        }
    }

    /// The answer that was kept for an idempotency key, with the digest of the request.
    ///
    /// # Errors
    /// `trail-fault`, `disk-fault`.
    pub(super) fn answer_of(&self, key: &str) -> Checked<Option<([u8; 32], Vec<u8>)>> {
        match &*self.paper() {
            Paper::Trail(trail) => trail.answer_of(key),
            Paper::None => Ok(None),
            Paper::Broken(fault) => Err(fault.clone()),
        }
    }

    /// Keeps the answer for an idempotency key. What cannot be kept is known by the events themselves when it is asked again.
    pub(super) fn keep_answer(&self, key: &str, digest: &[u8; 32], answer: &[u8]) {
        let mut paper = self.paper();
        let Paper::Trail(trail) = &*paper else { return };
        if let Err(fault) = trail.keep_answer(key, digest, answer) {
            warn!(target: "broker", rule = fault.rule.id(), found = %fault.found, "an answer is not kept");
            paper.breaks(&fault);
        }
    }
}

/// Records that somebody could not come in: there is no broker then to do it. What cannot be recorded is left out, for nothing was done.
pub(super) fn turned_away(dir: &Path, fault: &Fault) {
    let call = Call::of("open", "");
    let book = Book::look(dir);
    let line = random().and_then(|id| book.begin(&Asker::myself(), &id, &call, None));
    if let Ok(line) = line {
        book.end(&line, status_of(fault.rule), fault.rule.id(), "");
    }
}

/// How a request ended that broke this rule.
fn status_of(rule: Rule) -> Status {
    match rule {
        Rule::RequestExpired => Status::Expired,
        Rule::RequestCancelled => Status::Cancelled,
        Rule::DiskFault | Rule::FileFault | Rule::InternalFault | Rule::TrailFault => Status::Failed,
        _ => Status::Refused,
    }
}

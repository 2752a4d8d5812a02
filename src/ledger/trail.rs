//! The audit trail: every request to the ledger of a folder, who made it, and what became of it (`audit.db`, SPEC 7.12).
//!
//! It is append-only for whoever keeps its schema, and it is no proof: nothing in it is signed, and whoever may write the folder may write
//! it, or take it away. Nothing that is signed depends on it; without it the desk works on with a new one.
//!
//! What [`Trail::begin`] and [`Trail::end`] answered with `Ok` is there after the process was killed at any moment. A power cut may take the last
//! of it: it is in SQLite's log, which is synced before it is copied and not at each commit. Many processes write at once, each waiting for
//! the others for at most [`BUSY_MS`] milliseconds.
//!
//! This module never looks into the ledger, and never decides what is recorded.

mod open;
mod read;

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use tempfile::TempDir;

pub use open::{BUSY_MS, TRAIL_FILE};
pub use read::{Entry, Filter, Which};

use super::Uint;
use crate::core::limits::UINT_MAX;
use crate::core::rules::{Checked, Fault, Rule};

/// Longest name of a program, in bytes.
pub const PROGRAM_BYTES_MAX: usize = 128;
/// Longest name of a ledger, in bytes: a path may be so long.
pub const LEDGER_BYTES_MAX: usize = 4_096;
/// Longest word for what is asked, in bytes.
pub const TYPE_BYTES_MAX: usize = 64;
/// Longest key of a request, in bytes.
pub const KEY_BYTES_MAX: usize = 512;
/// Longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 256;
/// Longest rule id, in bytes.
pub const RULE_BYTES_MAX: usize = 64;
/// Longest text of what was affected, in bytes.
pub const AFFECTED_BYTES_MAX: usize = 4_096;
/// Longest answer that is kept for an idempotency key, in bytes.
pub const ANSWER_BYTES_MAX: usize = 65_536;

/// What is asked, and by whom: known before anything happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Random; the same when the same request is sent again.
    pub request_id: [u8; 16],
    /// Unix seconds by the machine's clock, 0 when it has none. Shown, and compared with nothing.
    pub at: u64,
    /// User id of whoever asks, as the operating system has it.
    pub uid: u32,
    /// Their process.
    pub pid: u32,
    /// The command, as `witness session`; from 1 to [`PROGRAM_BYTES_MAX`] bytes.
    pub program: String,
    /// The ledger: its origin, or its folder; from 1 to [`LEDGER_BYTES_MAX`] bytes.
    pub ledger: String,
    /// What is asked, in a word, as `append`; from 1 to [`TYPE_BYTES_MAX`] bytes.
    pub request_type: String,
    /// Whether it would change anything.
    pub is_write: bool,
    /// What tells it from other requests of its type; up to [`KEY_BYTES_MAX`] bytes, and may be empty.
    pub key: String,
    /// The key under which it is applied once; from 1 to [`IDEMPOTENCY_KEY_BYTES_MAX`] bytes.
    pub idempotency_key: Option<String>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// It was done.
    Done,
    /// It was refused by a rule.
    Refused,
    /// It failed: a disk, or a bug.
    Failed,
    /// Its time was over first.
    Expired,
    /// Nobody waited for it any more.
    Cancelled,
    /// It got the answer of another one that was running.
    Joined,
    /// It got an answer that was given a moment before.
    Cached,
}

impl Status {
    /// Every one, in the order above.
    pub const ALL: [Status; 7] =
        [Status::Done, Status::Refused, Status::Failed, Status::Expired, Status::Cancelled, Status::Joined, Status::Cached];

    /// The word that stands in the trail.
    pub fn word(self) -> &'static str {
        match self {
            Status::Done => "done",
            Status::Refused => "refused",
            Status::Failed => "failed",
            Status::Expired => "expired",
            Status::Cancelled => "cancelled",
            Status::Joined => "joined",
            Status::Cached => "cached",
        }
    }

    /// The status with this word.
    pub fn from_word(word: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.word() == word)
    }
}

/// How a request ended, and what it changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub status: Status,
    /// Id of the rule that refused it; empty without one; up to [`RULE_BYTES_MAX`] bytes.
    pub rule: String,
    /// Microseconds from the request to its answer.
    pub latency_us: u64,
    /// What it changed, in words; empty when nothing; up to [`AFFECTED_BYTES_MAX`] bytes.
    pub affected: String,
}

/// The audit trail of one folder, open in this process. It may go to another thread; several threads want one each.
pub struct Trail {
    db: Connection,
    /// Where it lies, for messages.
    path: std::path::PathBuf,
    /// What is read in its stead, when it lies where SQLite cannot read it.
    _copy: Option<TempDir>,
}

impl std::fmt::Debug for Trail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Trail({})", self.path.display())
    }
}

/// What the guard of [`Trail::begin`] says of a request that was recorded before.
const REQUEST_IS_THERE: &str = "the request is there already";
/// What the guard of [`Trail::end`] says of a request that ended before.
const OUTCOME_IS_THERE: &str = "the request has its outcome already";
/// What it says of a request that never began.
const NO_REQUEST: &str = "the outcome has no request";
/// What the guard of [`Trail::keep_answer`] says of a key that was used before.
const ANSWER_IS_THERE: &str = "the key has its answer already";

impl Trail {
    /// Records that something is asked, before it has any effect. `false`: this request was recorded before, and nothing is changed.
    ///
    /// # Errors
    /// `disk-fault`, `another-writer`, `trail-fault`: then it is not recorded. `usage` for an idempotency key, `internal-fault` for a value of
    /// ours, that is out of its bounds.
    pub fn begin(&self, asked: &Asked) -> Checked<bool> {
        check_asked(asked)?;
        self.insert_request(asked)
    }

    /// Records how a request ended, before its answer is given. A second end changes nothing.
    ///
    /// # Errors
    /// As [`Trail::begin`]; `internal-fault` when the request was never recorded.
    pub fn end(&self, request_id: &[u8; 16], ended: &Ended) -> Checked<()> {
        check_ended(ended)?;
        self.insert_outcome(request_id, ended)
    }

    /// [`Trail::begin`] and [`Trail::end`] at once: both are recorded, or neither.
    ///
    /// # Errors
    /// As theirs.
    pub fn record(&self, asked: &Asked, ended: &Ended) -> Checked<bool> {
        check_asked(asked)?;
        check_ended(ended)?;
        let fault = |error: rusqlite::Error| self.fault("recording a request", &error);
        // Rolled back when it is dropped before its end.
        let both = Transaction::new_unchecked(&self.db, TransactionBehavior::Immediate).map_err(fault)?;
        let is_new = self.insert_request(asked)?;
        self.insert_outcome(&asked.request_id, ended)?;
        both.commit().map_err(fault)?;
        Ok(is_new)
    }

    /// Keeps the answer to the request that was made under an idempotency key. `false`: the key has an answer, and keeps it.
    ///
    /// # Errors
    /// As [`Trail::begin`].
    pub fn keep_answer(&self, key: &str, request_sha256: &[u8; 32], answer: &[u8]) -> Checked<bool> {
        check_idempotency_key(key)?;
        bounded("answer", answer.len(), 0, ANSWER_BYTES_MAX, Rule::InternalFault)?;
        let text = "INSERT INTO answers (key, request_sha256, answer) VALUES (?1, ?2, ?3)";
        let kept = self.db.prepare_cached(text).and_then(|mut statement| statement.execute((key, request_sha256, answer)));
        match kept {
            Ok(_) => Ok(true),
            Err(error) if says(&error, ANSWER_IS_THERE) => Ok(false),
            Err(error) => Err(self.fault("keeping an answer", &error)),
        }
    }

    /// The answer that was kept for an idempotency key, with the SHA-256 of the request that it answers.
    ///
    /// # Errors
    /// `disk-fault`, `trail-fault`.
    pub fn answer_of(&self, key: &str) -> Checked<Option<([u8; 32], Vec<u8>)>> {
        let text = "SELECT request_sha256, answer FROM answers WHERE key = ?1";
        let fault = |error: rusqlite::Error| self.fault("looking an answer up", &error);
        let mut statement = self.db.prepare_cached(text).map_err(fault)?;
        let mut rows = statement.query([key]).map_err(fault)?;
        let Some(row) = rows.next().map_err(fault)? else { return Ok(None) };
        Ok(Some((row.get(0).map_err(fault)?, row.get(1).map_err(fault)?)))
    }

    /// Where it lies.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    fn insert_request(&self, asked: &Asked) -> Checked<bool> {
        let text = "INSERT INTO requests (number, request_id, at, uid, pid, program, ledger, type, is_write, key, idempotency_key)
          VALUES ((SELECT coalesce(max(number), 0) + 1 FROM requests), ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        let Asked { request_id, at, uid, pid, program, ledger, request_type, is_write, key, idempotency_key } = asked;
        let row = (request_id, Uint(*at), uid, pid, program, ledger, request_type, is_write, key, idempotency_key);
        match self.db.prepare_cached(text).and_then(|mut statement| statement.execute(row)) {
            Ok(_) => Ok(true),
            Err(error) if says(&error, REQUEST_IS_THERE) => Ok(false),
            Err(error) => Err(self.fault("recording a request", &error)),
        }
    }

    fn insert_outcome(&self, request_id: &[u8; 16], ended: &Ended) -> Checked<()> {
        let text = "INSERT INTO outcomes (number, status, rule, latency_us, affected)
          VALUES ((SELECT number FROM requests WHERE request_id = ?1), ?2, ?3, ?4, ?5)";
        let Ended { status, rule, latency_us, affected } = ended;
        let row = (request_id, status.word(), rule, Uint(*latency_us), affected);
        match self.db.prepare_cached(text).and_then(|mut statement| statement.execute(row)) {
            Ok(_) => Ok(()),
            Err(error) if says(&error, OUTCOME_IS_THERE) => Ok(()),
            Err(error) if says(&error, NO_REQUEST) => {
                let found = format!("an outcome of request {} found; the request itself expected before it", hex::encode(request_id));
                Err(Fault::new(Rule::InternalFault, found))
            }
            Err(error) => Err(self.fault("recording an outcome", &error)),
        }
    }

    fn fault(&self, doing: &str, error: &rusqlite::Error) -> Fault {
        fault_of(&self.path, doing, error)
    }
}

/// Whether a guard refused, with these words.
fn says(error: &rusqlite::Error, words: &str) -> bool {
    matches!(error, rusqlite::Error::SqliteFailure(_, Some(found)) if found == words)
}

/// What SQLite found, as a fault of the trail, of its disk, or of whoever writes to it for too long.
fn fault_of(path: &std::path::Path, doing: &str, error: &rusqlite::Error) -> Fault {
    let path = path.display();
    let rule = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            let found =
                format!("{path}: {doing}: a transaction of another program found that did not end within {BUSY_MS} ms; none expected");
            return Fault::new(Rule::AnotherWriter, found);
        }
        Some(ErrorCode::NotADatabase) => {
            return Fault::new(
                Rule::TrailFault,
                format!("{path}: {doing}: something else than an SQLite database found; an audit trail expected"),
            );
        }
        Some(ErrorCode::DatabaseCorrupt) => {
            return Fault::new(Rule::TrailFault, format!("{path}: {doing}: a damaged page found ({error}); none expected"));
        }
        Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory) => Rule::DiskFault,
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => Rule::FileFault,
        None if matches!(error, rusqlite::Error::ToSqlConversionFailure(_)) => Rule::InternalFault,
        _ => Rule::TrailFault,
    };
    Fault::new(rule, format!("{path}: {doing}: SQLite found {error}; expected no error"))
}

fn bounded(what: &str, bytes: usize, least: usize, most: usize, rule: Rule) -> Checked<()> {
    if (least..=most).contains(&bytes) {
        return Ok(());
    }
    Err(Fault::new(rule, format!("{what} of {bytes} bytes found; {least} to {most} expected")))
}

fn check_idempotency_key(key: &str) -> Checked<()> {
    bounded("an idempotency key", key.len(), 1, IDEMPOTENCY_KEY_BYTES_MAX, Rule::Usage)
}

fn check_asked(asked: &Asked) -> Checked<()> {
    asked.idempotency_key.as_deref().map_or(Ok(()), check_idempotency_key)?;
    bounded("a program's name", asked.program.len(), 1, PROGRAM_BYTES_MAX, Rule::InternalFault)?;
    bounded("a ledger's name", asked.ledger.len(), 1, LEDGER_BYTES_MAX, Rule::InternalFault)?;
    bounded("a request's type", asked.request_type.len(), 1, TYPE_BYTES_MAX, Rule::InternalFault)?;
    bounded("a request's key", asked.key.len(), 0, KEY_BYTES_MAX, Rule::InternalFault)?;
    number("the time of a request", asked.at)
}

fn check_ended(ended: &Ended) -> Checked<()> {
    bounded("a rule's id", ended.rule.len(), 0, RULE_BYTES_MAX, Rule::InternalFault)?;
    bounded("what was affected", ended.affected.len(), 0, AFFECTED_BYTES_MAX, Rule::InternalFault)?;
    number("the latency of a request", ended.latency_us)
}

fn number(what: &str, found: u64) -> Checked<()> {
    if found <= UINT_MAX {
        Ok(())
    } else {
        Err(Fault::new(Rule::InternalFault, format!("{what}: {found} found; at most {UINT_MAX} expected")))
    }
}

//! How a command fails: what was found, what it was compared with, what did not change, what to do next.

use std::fmt;

use crate::core::rules::{Fault, Rule, Stage};

/// A command that ended without doing what it was asked.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The rule and the compared values.
    pub fault: Fault,
    /// What did not change.
    pub state: String,
    /// What to do next, where the rule's own advice does not fit the command.
    pub next: Option<String>,
}

/// How a command ended, as an exit code (`docs/exit-codes.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: done, but some papers were refused or a comparison differs.
    Differs,
    /// 2: the command line, a file it names, or a confirmation.
    Usage,
    /// 3: a medium.
    Medium,
    /// 4: a key, passphrase or signature.
    Key,
    /// 5: halted, latched or integrity.
    Halted,
    /// 6: another writer is at work.
    Writer,
    /// 70: a bug of ours.
    Bug,
}

impl Exit {
    /// Every one, ascending.
    pub const ALL: &[Exit] = &[Exit::Done, Exit::Differs, Exit::Usage, Exit::Medium, Exit::Key, Exit::Halted, Exit::Writer, Exit::Bug];

    /// What it means, as the first table of `docs/exit-codes.md` has it.
    pub fn means(self) -> &'static str {
        match self {
            Exit::Done => {
                "done; also when papers are pending or deferred, when things on a medium were listed, and when nobody reads stdout any more"
            }
            Exit::Differs => "done, but something was refused, is missing, or stands for nothing",
            Exit::Usage => "the command line, a file it names, or a confirmation",
            Exit::Medium => "a medium, or a copy of the published folder that is not whole",
            Exit::Key => "a key, a passphrase or a signature",
            Exit::Halted => {
                "halted, the desk's own disk failed, or something is not what the ledger, the log or the operator's own head says"
            }
            Exit::Writer => "another writer is at work",
            Exit::Bug => "a bug of ours",
        }
    }

    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Differs => 1,
            Exit::Usage => 2,
            Exit::Medium => 3,
            Exit::Key => 4,
            Exit::Halted => 5,
            Exit::Writer => 6,
            Exit::Bug => 70,
        }
    }

    /// The exit that a broken rule leads to.
    pub fn of(rule: Rule) -> Exit {
        match rule {
            Rule::AnotherWriter | Rule::RequestExpired => Exit::Writer,
            Rule::MediumFault | Rule::MediumForeign | Rule::BackupFault => Exit::Medium,
            Rule::EntropyWeak | Rule::KeyFile | Rule::Passphrase | Rule::KeyMismatch | Rule::CharterUnsigned | Rule::CheckpointUnsigned => {
                Exit::Key
            }
            Rule::FingerprintMismatch | Rule::SignatureInvalid | Rule::SignatureStranger | Rule::AuthorUnsigned => Exit::Key,
            Rule::HeadUnexpected | Rule::HeadRolledBack | Rule::HeadLost | Rule::HeadElsewhere => Exit::Halted,
            Rule::DiskFault | Rule::LedgerFault | Rule::ChainBroken | Rule::MachineFault | Rule::LedgerDisk => Exit::Halted,
            Rule::OrderUnsigned => Exit::Key,
            Rule::OrderHead | Rule::LedgerForked | Rule::TrailFault => Exit::Halted,
            Rule::Halted | Rule::Standby | Rule::ProofFails | Rule::RecordForm | Rule::ReplayDiffers => Exit::Halted,
            Rule::InternalFault => Exit::Bug,
            Rule::NotComparable => Exit::Usage,
            _ if rule.stage() == Stage::Consumer => Exit::Medium,
            _ => Exit::Usage,
        }
    }
}

impl Problem {
    /// Ends the command that was asked for something that cannot be done.
    pub fn usage(reason: impl Into<String>) -> Problem {
        Fault::new(Rule::Usage, reason).into()
    }

    /// With other advice than the rule's own.
    pub fn advising(self, next: impl Into<String>) -> Problem {
        Problem { next: Some(next.into()), ..self }
    }

    /// How the program ends.
    pub fn exit(&self) -> Exit {
        Exit::of(self.fault.rule)
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Problem {
        Problem { fault, state: "nothing was written".into(), next: None }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whatever the rule does to a paper, here it ended the command.
        writeln!(f, "tabellion: stop [{}] {}", self.fault.rule, self.fault.rule.says())?;
        writeln!(f, "  found  {}", self.fault.shown())?;
        writeln!(f, "  state  {}", self.state)?;
        write!(f, "  next   {}", self.next.as_deref().unwrap_or(self.fault.rule.next()))
    }
}

impl std::error::Error for Problem {}

/// What a command gives.
pub type Outcomes<T> = Result<T, Problem>;

/// Says what did not change when something fails from here on.
pub trait Unchanged<T> {
    /// The text behind `state`.
    ///
    /// # Errors
    /// The fault it came with.
    fn unchanged(self, state: impl FnOnce() -> String) -> Outcomes<T>;
}

impl<T> Unchanged<T> for Result<T, Fault> {
    fn unchanged(self, state: impl FnOnce() -> String) -> Outcomes<T> {
        self.map_err(|fault| Problem { fault, state: state(), next: None })
    }
}

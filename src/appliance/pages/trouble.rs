//! Trouble in plain words: what was found, compared with what; what did not change; what to do next; the rule's name small at the end.

use crate::console::page::{Block, Mark, Page};
use crate::core::rules::Rule;
use crate::run::problem::Problem;

use super::{ENTER, advice, capital, mark, page, row, say};

/// Kinds of trouble that look different to an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// The desk signs nothing any more.
    Halted,
    /// Our own disk failed: nothing more is tried until the next start.
    Latched,
    /// Our own disk has no room.
    DiskFull,
    /// The disk is a copy, a restored backup or another desk's.
    WrongDisk,
    /// A stick of another Common, or with something of others where our folder goes.
    ForeignStick,
    /// A stick that cannot be read or written.
    BrokenStick,
    /// A stick without room.
    FullStick,
    /// The passphrase or the key.
    Key,
    /// The operator did not confirm.
    NotConfirmed,
    /// Too many papers at once.
    TooMuch,
    /// Another program has the desk open.
    Busy,
    /// A founding that cannot go on as it is.
    Founding,
    /// A bug of ours, or what has no page of its own.
    Other,
}

/// What to do at a desk that halted.
const HALTED_NEXT: &str = "Do not switch to another disk. Write down what stands here, keep every stick as it is, and call the custodians.";

/// What people call an error of a system that has no room.
fn has_no_room(found: &str) -> bool {
    ["No space left", "os error 28", "disk is full", "Disk quota", "os error 122"].iter().any(|words| found.contains(words))
}

impl Family {
    /// The family of a problem.
    pub fn of(problem: &Problem) -> Family {
        let no_room = has_no_room(&problem.fault.found);
        match problem.fault.rule {
            _ if problem.state.contains("the desk is halted") || problem.state.contains("the desk was halted") => Family::Halted,
            Rule::Halted | Rule::HeadElsewhere | Rule::HeadRolledBack | Rule::HeadLost | Rule::ChainBroken => Family::Halted,
            Rule::DiskFault | Rule::FileFault if no_room => Family::DiskFull,
            Rule::DiskFault | Rule::FileFault | Rule::TrailFault => Family::Latched,
            Rule::HeadUnexpected | Rule::Standby | Rule::LedgerFault => Family::WrongDisk,
            Rule::MediumForeign => Family::ForeignStick,
            Rule::MediumFault if no_room => Family::FullStick,
            Rule::MediumFault | Rule::NotFound => Family::BrokenStick,
            Rule::Passphrase | Rule::KeyFile | Rule::KeyMismatch => Family::Key,
            Rule::ConfirmationMissing => Family::NotConfirmed,
            Rule::PapersTooMany => Family::TooMuch,
            Rule::AnotherWriter | Rule::RequestExpired => Family::Busy,
            Rule::PolicyUnsound | Rule::CharterUnsigned | Rule::Exists => Family::Founding,
            _ => Family::Other,
        }
    }

    /// Title, the state in one line, plain words.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Family::Halted => (
                "Halted",
                "This desk signs nothing any more.",
                "Something is not as this desk wrote it, or its signature is on something that it never made. It stopped by itself so that nothing gets worse. Only the custodians can end this, by a signed order.",
            ),
            Family::Latched => (
                "The desk's own disk failed",
                "The data disk of this machine gave an error.",
                "Nothing more is tried with it until the machine is started anew. Whatever was confirmed and acknowledged is kept; the next start finds out what is on the disk.",
            ),
            Family::DiskFull => (
                "The desk's own disk is full",
                "There is no room left on the data disk of this machine.",
                "Nothing of this session was kept, or everything was: the next start finds out. Sticks are not the reason, and pulling them out gives no room.",
            ),
            Family::WrongDisk => (
                "This is not the right disk",
                "This data disk must not be signed with.",
                "It is a copy, a restored backup, an older state or another desk's. If two disks sign for one Common, nobody can trust either.",
            ),
            Family::ForeignStick => (
                "A stick of another Common",
                "This stick carries something else where our folder goes.",
                "It belongs to another Common, or somebody put something of their own in its place. It was not changed.",
            ),
            Family::BrokenStick => (
                "A stick cannot be used",
                "A stick could not be read or written.",
                "It was pulled out, it is damaged, or its file system is not one that is read here.",
            ),
            Family::FullStick => (
                "A stick is full",
                "There is no room left on this stick.",
                "What is on it stays as it was; results that are not complete do not count.",
            ),
            Family::Key => (
                "The key does not open",
                "The desk's key was not opened.",
                "Without the passphrase nothing can be signed, and nothing was. Another try does no harm.",
            ),
            Family::NotConfirmed => (
                "Not confirmed",
                "The session was ended before it was confirmed.",
                "That is all right: nothing was decided, and the papers are still on their sticks.",
            ),
            Family::TooMuch => {
                ("Too many papers at once", "More papers came than one session can judge.", "None was judged, and none is lost.")
            }
            Family::Busy => (
                "The desk is in use",
                "Another program on this machine has the desk open.",
                "On the machine that boots from the stick this cannot be: there is no other program. In a rehearsal it is another window.",
            ),
            Family::Founding => ("The founding cannot go on", "Something that was brought does not fit.", "Nothing was founded."),
            Family::Other => ("Stopped", "This could not be done.", "It ended before anything was half done."),
        }
    }

    /// What to do: of a desk that halted and of what is full it is the same whatever the rule says, for anything else it is the rule's advice.
    fn next(self, rule: Rule) -> String {
        match self {
            Family::Halted => HALTED_NEXT.into(),
            Family::DiskFull => "Switch off, and call the custodians: the data disk must be replaced by a larger one.".into(),
            Family::FullStick => "Use a larger stick, or have its owner make room on another machine. What was committed is safe.".into(),
            _ => format!("{}.", capital(advice::of_stop(rule))),
        }
    }

    /// Whether nothing but looking and switching off is left after it.
    pub fn is_the_end(self) -> bool {
        matches!(self, Family::Halted | Family::Latched | Family::DiskFull | Family::WrongDisk)
    }
}

/// A problem, with what is known of the sticks.
pub fn trouble(problem: &Problem, sticks: Vec<Block>) -> Page {
    let family = Family::of(problem);
    let (title, state, plain) = family.words();
    let state_mark = if family.is_the_end() { Mark::Stop } else { Mark::Look };
    let mut body = vec![mark(state_mark, state), say(plain), Block::Gap];
    body.push(row("Matter", advice::matter(problem.fault.rule)));
    body.push(row("Found", problem.fault.shown()));
    body.push(row("Unchanged", problem.state.as_str()));
    body.extend((family == Family::Halted).then(|| row("Advice", advice::of_stop(problem.fault.rule))));
    body.push(row("Rule", problem.fault.rule.id()));
    if !sticks.is_empty() {
        body.push(Block::Gap);
        body.extend(sticks);
    }
    let goes_on = if family.is_the_end() && family != Family::Halted { "switch off" } else { "go on" };
    page(title, body, family.next(problem.fault.rule)).choice(ENTER, goes_on)
}

/// A halted desk, each time the console comes back to it. Whether its last session is signed, and whether a stick is in that it can be written to.
pub fn halted(reason: &str, sticks: Vec<Block>, is_signed: bool, can_export: bool) -> Page {
    let (title, state, plain) = Family::Halted.words();
    let mut body = vec![mark(Mark::Stop, state), say(plain), Block::Gap, row("Reason", reason)];
    body.push(say(match is_signed {
        true => "What was published stays good. It can still be written to a stick.",
        false => "What was published stays good, on every stick that has it. The last session broke off before it was signed: nothing can be written until the halt is ended.",
    }));
    body.push(Block::Gap);
    body.extend(sticks);
    let page = page(title, body, HALTED_NEXT);
    let page = if can_export { page.choice('e', "write all to a stick") } else { page };
    page.choice('p', "switch off")
}

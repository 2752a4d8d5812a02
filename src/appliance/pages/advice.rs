//! What the operator does about a broken rule, here: keys of this console, sticks, and whom to call.
//!
//! The advice in the registry of rules is for whoever types commands. Nobody does that here, so that each rule that can stop a step, or a paper, has
//! words of its own; what has none is told how to be shown to somebody who knows.

use crate::core::rules::{Outcome, Rule};

use Rule::*;

/// For whatever nobody thought of.
const ANYTHING: &str =
    "write down or photograph this page and try once more; if it comes again, show it to the people who look after this witness";
/// For what is wrong with the witness itself.
const KEEP: &str = "photograph this page before you switch off, keep the data disk as it is, and call the custodians";

/// What the operator does when something stopped over a rule.
const OF_STOPS: &[(Rule, &str)] = &[
    (PolicyUnsound, "give the stick back to the founders: they mend the policy at home and bring it again"),
    (
        CharterUnsigned,
        "give the stick back to the founders: those who are missing sign the charter at home; then insert it again and press Enter",
    ),
    (PapersTooMany, "pull some of the sticks out and look at the others; bring those that are left in the next session"),
    (AnotherWriter, "in a rehearsal, close the other window; on the witness itself, switch off and start again"),
    (NotFound, "look whether it is the right stick and sits firmly; if it is, give it back to who prepared it"),
    (Exists, "use another stick; if this page comes again, call the custodians: what was there is still as it was"),
    (FileFault, "switch off, look whether the data disk sits firmly, and start again; if this page comes again, call the custodians"),
    (
        DiskFault,
        "switch off, look whether the data disk sits firmly, and start again: the start finds out what stands; if this page comes again, call the custodians",
    ),
    (RequestExpired, "try once more: what was done stays done, and nothing is done twice"),
    (RequestCancelled, "nothing is to be done: nothing was changed"),
    (TrailFault, "switch off and call the custodians; nothing that is signed depends on what is damaged, and the book is as it was"),
    (
        MachineFault,
        "write down what was found, switch off, and start again from the witness's own boot stick; if it comes again, show this page to the people who look after this witness",
    ),
    (LedgerDisk, "insert the one disk or stick that holds this witness's book, and start again; nothing was written to any"),
    (
        MediumFault,
        "the book is safe: insert the stick in another socket or take another stick; the key e on the page Home writes everything to it",
    ),
    (MediumForeign, "give the stick back as it is and take another one; nothing on it was changed"),
    (
        EntropyWeak,
        "no key was made: if it is the die, roll it anew, each time from the hand; if it is the machine, start it again, and do not use it when it fails twice",
    ),
    (
        KeyFile,
        "if a stick brought this key, give it back to who prepared it; if it is the witness's own, call the custodians: it comes back from a backup",
    ),
    (
        Passphrase,
        "look at the keyboard, which is the American one, and press Tab to see what you type; the second person who knows the passphrase may remember it",
    ),
    (KeyMismatch, "look whether this is the right data disk; if it is, call the custodians"),
    (HeadUnexpected, "compare with the words on your paper; if they differ, this is an old disk or another one: let it sign nothing"),
    (ConfirmationMissing, "nothing is to be done: whenever you like, look at the same sticks again"),
    (LedgerFault, KEEP),
    (ChainBroken, KEEP),
    (HeadRolledBack, "this disk, or a part of it, is an old or foreign copy: let it sign nothing, and call the custodians"),
    (HeadLost, "let this disk sign nothing; keep your paper, and the sticks with the last results, and call the custodians"),
    (HeadElsewhere, "this disk is an old copy, or somebody has a copy of it: keep the stick as evidence, and call the custodians"),
    (LedgerForked, "call the custodians: two copies of the book went different ways, and the governors choose which one stays"),
    (Halted, "call the custodians: they end it by a signed order; what was published can still be written to a stick"),
    (Standby, "look for the disk that signs; this one takes its place only by an order of the governors"),
    (InternalFault, "photograph this page and report it to the people who look after this witness: this is a fault of the program"),
];

/// What is done about a paper that gets no number, where it is more than giving the stick back.
const OF_PAPERS: &[(Rule, &str)] = &[
    (BaseRootMismatch, "whoever brought it holds another history than this witness: give the stick back, and tell the custodians at once"),
    (
        BaseAhead,
        "its author has seen a later number than this disk has: press Escape, confirm nothing, and compare with your paper; if in doubt, call the custodians",
    ),
    (ThresholdNotMet, "nothing is to be done here: those who are missing sign at home, and their approvals may come on any stick"),
    (DependencyOpen, "nothing is to be done here: it waits for the other paper, which may come on any stick"),
    (ObjectMissing, "nothing is to be done here: the content may come on any stick"),
    (QuotaUsed, "nothing is to be done: it is judged again in the next session"),
    (SessionEnded, "nothing is to be done: it is judged again in the next session"),
    (HeldFull, "give the stick back: it is to be brought again when earlier papers of its author are decided"),
];

fn row(table: &[(Rule, &'static str)], rule: Rule) -> Option<&'static str> {
    table.iter().find(|(of, _)| *of == rule).map(|(_, words)| *words)
}

/// What to do about what stopped.
pub fn of_stop(rule: Rule) -> &'static str {
    row(OF_STOPS, rule).unwrap_or(ANYTHING)
}

/// What to do about a paper that gets no number.
pub fn of_paper(rule: Rule) -> &'static str {
    let otherwise = match rule.outcome() {
        Outcome::Refused => "give the stick back when it has its results: they tell the author why, and what to do",
        Outcome::Pending | Outcome::Deferred => "nothing is to be done here: the paper waits",
        Outcome::Listed | Outcome::Stop => ANYTHING,
    };
    row(OF_PAPERS, rule).unwrap_or(otherwise)
}

/// What is the matter, in a clause; where the registry's own words are for whoever types commands, others.
pub fn matter(rule: Rule) -> &'static str {
    match rule {
        NotFound => "what is needed is not there",
        RequestExpired => "the book was in use for longer than is waited for",
        Usage => "what was given cannot be used",
        AnotherWriter => "another program has the book open",
        MediumFault => "a stick could not be read or written, or does not hold what was written to it",
        MediumForeign => "the stick carries another history, or something else, where our published folder goes",
        HeadElsewhere => "a stick brings our own signature on a head that this book does not have",
        PapersTooMany => "more papers came than one session may judge",
        DiskFault => "the data disk failed",
        LedgerFault => "the book failed a check",
        KeyReused => "two requests bear one name",
        BrokerMessage => "two programs here do not understand each other",
        _ => rule.says(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rules that stop a command and that nothing at this console meets: those of orders, backups, trees, the socket of a domain, and of consumers.
    const NOT_HERE: &[Rule] = &[
        RequestBounds,
        KeyReused,
        BrokerMessage,
        BackupFault,
        OrderKind,
        OrderUnsigned,
        OrderUsed,
        OrderHead,
        OrderSubject,
        OrderSettles,
        Usage,
        TreeForm,
        PinForm,
        FingerprintMismatch,
        CheckpointForm,
        CheckpointUnsigned,
        ProofFails,
        FolderIncomplete,
        PinBehind,
        RecordForm,
        NotComparable,
        ReplayDiffers,
        ContentMissing,
    ];

    /// What only somebody at a command line understands.
    const FOREIGN_WORDS: &[&str] = &["`", "command", "/", "tabellion ", "--", ".db", "ledger", "medium", "media", "option", "run ", "\\"];

    fn is_for_an_operator(words: &str) -> bool {
        !words.is_empty() && !words.ends_with('.') && FOREIGN_WORDS.iter().all(|foreign| !words.contains(foreign))
    }

    #[test]
    fn every_rule_that_can_stop_here_has_advice_of_its_own_without_a_command_or_a_path() {
        for rule in Rule::ALL.iter().copied().filter(|rule| rule.outcome() == Outcome::Stop) {
            assert_ne!(row(OF_STOPS, rule).is_some(), NOT_HERE.contains(&rule), "{rule}");
        }
        for rule in Rule::ALL {
            for words in [of_stop(*rule), of_paper(*rule)] {
                assert!(is_for_an_operator(words), "{rule}: {words}");
            }
        }
        for rule in Rule::ALL.iter().filter(|rule| rule.outcome() == Outcome::Stop && !NOT_HERE.contains(rule)) {
            for foreign in ["command", "medium", "process"] {
                assert!(!matter(*rule).contains(foreign), "{rule}: {}", matter(*rule));
            }
        }
        for command in ["run the same command again", "look at /data/desk", "run tabellion witness export", "do `this`"] {
            assert!(!is_for_an_operator(command), "{command}");
        }
    }

    #[test]
    fn a_paper_that_gets_no_number_says_what_is_done_at_the_desk_and_no_rule_stands_twice() {
        for (rule, words) in [
            (ThresholdNotMet, "may come on any stick"),
            (ExpectationFailed, "give the stick back"),
            (BaseRootMismatch, "tell the custodians at once"),
            (BaseAhead, "confirm nothing"),
        ] {
            assert!(of_paper(rule).contains(words), "{rule}: {}", of_paper(rule));
        }
        for table in [OF_STOPS, OF_PAPERS] {
            for (at, (rule, _)) in table.iter().enumerate() {
                assert!(table[..at].iter().all(|(before, _)| before != rule), "{rule}");
            }
        }
    }
}

//! Choosing between two copies of a ledger that went different ways, by an order of the governors (SPEC 7.11, docs/ceremonies/recover.md).
//!
//! It is carried out at the desk that stays, and there alone: its ledger is never replaced or cut, no number of it changes. The events of the
//! other copy are put into quarantine, and their texts are written into the ledger, so that an order to resume can settle them.

use std::path::{Path, PathBuf};

use crate::broker::Broker;
use crate::core::cbor::Canonical as _;
use crate::core::event::EventType;
use crate::core::halt::{Halt, Recover};
use crate::core::ids::{Hash, Pid, Text};
use crate::core::order::{InForce, Order, What};
use crate::core::order_subject;
use crate::core::rules::{Checked, Fault, Rule};
use crate::keys::Passphrase;
use crate::keys::file::write_new;
use crate::media::publish::Observe;

use super::branches::{Branches, Relation, Which};
use super::desk::{Desk, DeskKeys, KEY_FILE};
use super::files::write_bytes;
use super::halt::{HALT_FILE, dossier_path};
use super::order::{check, pid_of, read_copies};
use super::problem::{Outcomes, Problem, Unchanged};
use super::quarantine::QUARANTINE;
use super::resume::{append, append_halt, standing, stays_halted, still_broken};

/// Two copies of a ledger, as an order sees them.
pub struct Parted {
    /// Where they part, and what each has behind it.
    pub branches: Branches,
    /// Hash of the last event of our branch, and of theirs: what an order names. `halt` events at its end are no part of a branch.
    pub ends: [Hash; 2],
}

impl Parted {
    /// Compares our ledger with the copy at `other`.
    ///
    /// # Errors
    /// As [`Branches::compare`].
    pub fn of(ours: &Broker, other: &Path) -> Outcomes<Parted> {
        let branches = Branches::compare(ours, other)?;
        let common = branches.comparison().last_common.as_ref().map_or(0, |place| place.seq_no);
        let ends = [end_of(ours, common)?, end_of(branches.other(), common)?];
        Ok(Parted { branches, ends })
    }

    /// Hash of the last event of a branch.
    pub fn end(&self, which: Which) -> Hash {
        self.ends[usize::from(which == Which::Theirs)]
    }

    /// Sees that there is something to choose.
    ///
    /// # Errors
    /// `usage` with what the two are to each other.
    fn is_a_fork(&self) -> Outcomes<()> {
        let comparison = self.branches.comparison();
        let refuse = |found: &str, next: &str| Err(Problem::usage(found).advising(next));
        match comparison.relation {
            Relation::OtherCommon => {
                refuse("the other ledger is of another Common; a copy of this one expected", "name the other copy with --against")
            }
            Relation::Equal => refuse("both ledgers have the same events; two that differ expected", "nothing to do: there is one history"),
            Relation::TheirsIsOlder => refuse(
                "the other ledger ends where ours goes on; one that went another way expected",
                "nothing to do: the other is an older copy",
            ),
            Relation::OursIsOlder | Relation::Forked => Ok(()),
        }
    }
}

/// Hash of the last event that is no `halt` event, at the last common one at the earliest.
fn end_of(ledger: &Broker, common: u64) -> Checked<Hash> {
    let mut last = ledger.latest()?;
    while let Some(event) = last.as_ref().filter(|event| event.event_type == EventType::Halt && event.seq_no > common) {
        last = ledger.by_seq_no(event.seq_no - 1)?;
    }
    Ok(last.map_or(Hash::ZERO, |event| Hash(event.event_hash)))
}

/// The order that lets one of the two stay.
///
/// # Errors
/// `usage` when there is nothing to choose.
pub fn draft(parted: &Parted, stays: Which, note: Option<Text>) -> Outcomes<Order> {
    parted.is_a_fork()?;
    let books = parted.branches.books(stays);
    let what = What::Recover { stays: parted.end(stays) };
    Ok(Order { origin: books.origin()?.clone(), number: books.trouble().used().next(), head: books.head(), what, note })
}

/// What an order to recover did.
pub struct Recovered {
    /// The order.
    pub order: Pid,
    /// Whether it was carried out now; else it had been before.
    pub is_new: bool,
    /// What the ledger has of it.
    pub event: Recover,
    /// Where the branch that went is kept.
    pub quarantine: PathBuf,
    /// Why the desk is halted: it takes an order to resume.
    pub halt: Option<Halt>,
}

/// Who is shown what will happen, and gives the passphrase of the desk's key.
pub type Confirm<'a> = dyn FnMut(&InForce, &Parted) -> Checked<Passphrase> + 'a;

/// Lets this desk's branch stay. Running it again after whatever broke it does only what is left to do.
///
/// # Errors
/// Whatever stops it, with what did not change.
pub fn recover(dir: &Path, other: &Path, orders: &[PathBuf], confirm: &mut Confirm<'_>, observe: &mut Observe<'_>) -> Outcomes<Recovered> {
    // The desk, the order, and whether it was carried out already.
    observe("open the ledger", crate::broker::DATABASE_FILE);
    let mut desk = Desk::open_halted(dir).map_err(still_broken)?;
    let copies = read_copies(orders)?;
    if let Some(event) = desk.books().trouble().recovery(&pid_of(&copies)).cloned() {
        return recovered(&desk, event, false);
    }
    let order = check(&copies, desk.books())?;

    // The other copy, verified as a start verifies; and which of the two the order lets stay.
    let parted = Parted::of(desk.ledger(), other)?;
    let is_ours = order_subject::recover(order.order(), &parted.end(Which::Ours), &parted.end(Which::Theirs)).map_err(about)?;
    parted.is_a_fork()?;
    if !is_ours {
        let found = format!("the branch of {} stays by this order; that of {} expected", other.display(), dir.display());
        let next =
            "carry it out at the desk that stays, with --against this one; sign nothing here any more, and keep this folder as it is";
        return Err(Problem::from(Fault::new(Rule::OrderSubject, found)).advising(next));
    }

    // The key, for these events only. While two branches are about, nothing else is signed: the desk is halted, if it is not yet.
    let keys = DeskKeys::unlock(&desk.dir().join(KEY_FILE), &confirm(&order, &parted)?, desk.books().charter()?)?;
    desk.unlock(&keys)?;
    if standing(dir, desk.books())?.is_none() {
        halt(dir, &parted, observe).unchanged(|| "nothing was written to the ledger".into())?;
    }
    let halted = standing(dir, desk.books())?.map(|standing| standing.halt);
    halted.iter().try_for_each(|halt| append_halt(&mut desk, halt, observe)).unchanged(stays_halted)?;

    // What goes is kept, and verified by reading it back, before anything says that it went.
    let quarantined = parted.branches.quarantine(desk.ledger(), dir, Which::Theirs, observe)?;
    let quarantine = quarantined.ok_or_else(|| Fault::new(Rule::InternalFault, "a branch without events; at least one expected"))?.sha256;

    // THE COMMIT POINT: before it nothing was chosen; after it what is left is an order to resume.
    let common = parted.branches.comparison().last_common.as_ref().map_or(0, |place| place.seq_no);
    let mut texts: Vec<Hash> = parted.branches.to_settle(Which::Theirs).iter().map(|text| text.sha256).collect();
    texts.sort();
    texts.dedup();
    let event = Recover { order: order.pid(), env: order.envelope().env(), common, quarantine, envelope: order.envelope().clone(), texts };
    observe("append the recover event", &desk.books().next_event_id());
    append(&mut desk, EventType::Recover, event.to_cbor(), observe).unchanged(stays_halted)?;
    drop(keys);
    desk.read_again()?;
    recovered(&desk, event, true)
}

fn recovered(desk: &Desk, event: Recover, is_new: bool) -> Outcomes<Recovered> {
    let quarantine = desk.dir().join(QUARANTINE).join(format!("{}.events", event.quarantine));
    let halt = standing(desk.dir(), desk.books())?.map(|standing| standing.halt);
    Ok(Recovered { order: event.order, is_new, event, quarantine, halt })
}

fn about(fault: Fault) -> Problem {
    match fault.rule {
        Rule::OrderSubject => Problem::from(fault)
            .advising("one of the copies has changed since the order was written, or it is another: look with tabellion ceremony recover, and write a new order"),
        _ => fault.into(),
    }
}

/// Halts a desk that is not halted: halt file first, then the dossier.
fn halt(dir: &Path, parted: &Parted, observe: &mut Observe<'_>) -> Checked<()> {
    let comparison = parted.branches.comparison();
    let place = comparison.last_common.as_ref().map_or("no event".into(), |place| format!("event {} ({})", place.seq_no, place.event_id));
    let found = format!(
        "two copies of this ledger went different ways behind {place}: {} events here, {} in the other",
        comparison.ours.events, comparison.theirs.events
    );
    let dossier = dossier(parted, &found)?;
    let halt = Halt { rule: Rule::LedgerForked, dossier: Hash::of(dossier.as_bytes()), found };
    observe("halt", HALT_FILE);
    write_new(&dir.join(HALT_FILE), &halt.text())?;
    observe("dossier", HALT_FILE);
    write_bytes(&dossier_path(dir, &halt), dossier.as_bytes())
}

/// Why, in words, with every text that the other copy signed (SPEC 7.8).
fn dossier(parted: &Parted, found: &str) -> Checked<String> {
    let (comparison, books) = (parted.branches.comparison(), parted.branches.books(Which::Ours));
    let mut text = format!(
        "Tabellion: why this desk is halted

Two copies of this desk's ledger were both written to. The governors have ordered which one stays; until they order that this desk
goes on, its log key signs nothing.

origin    {}
our head  {}
found     {found}
ours      ends in event {}
other     ends in event {}

",
        books.origin()?,
        books.head(),
        parted.end(Which::Ours),
        parted.end(Which::Theirs),
    );
    for made in &comparison.theirs.records {
        let sealed = if made.sealed { "signed, and may have left that machine" } else { "not signed" };
        text.push_str(&format!("The other made {}, {sealed}.\n", made.head));
    }
    text.push('\n');
    for (number, signed) in (1..).zip(parted.branches.to_settle(Which::Theirs)) {
        let what: String = signed.what.chars().filter(|c| !c.is_control()).collect();
        text.push_str(&format!("{number}. {what}, in the other copy, text sha256:{}\n", signed.sha256));
    }
    Ok(text)
}

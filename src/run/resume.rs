//! Ending a halt by an order of the governors (SPEC 7.11, docs/ceremonies/resume.md).
//!
//! It can be read aloud in [`resume`]. The order of the steps is the whole point: the ledger remembers why the desk was halted, then that it goes
//! on and by whose order, and only then is the halt file put away. Broken off between any two, running it again does what is left. A head file
//! that was lost is written before the ledger is told that the desk goes on: no order that the ledger knows as carried out ever writes one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::broker::NewEvent;
use crate::core::books::Books;
use crate::core::cbor::Canonical as _;
use crate::core::cose::Envelope;
use crate::core::event::EventType;
use crate::core::halt::{Halt, Resume};
use crate::core::ids::{Hash, Head, Pid, Text};
use crate::core::limits::ORDER_SETTLED_MAX;
use crate::core::order::{InForce, Order, What};
use crate::core::order_subject;
use crate::core::rules::{Checked, Fault, Rule};
use crate::keys::Passphrase;
use crate::media::publish::Observe;

use super::desk::{Desk, DeskKeys, KEY_FILE};
use super::dossier::texts_in;
use super::files::{self, file_fault, sync_folder, write_bytes};
use super::halt::{HALT_FILE, dossier_path};
use super::lost_head::{self, HeadWritten, LostHead};
use super::order::{check, pid_of, read_copies};
use super::problem::{Outcomes, Problem, Unchanged};

/// A halt as it stands.
pub struct Standing {
    /// Why the desk is halted.
    pub halt: Halt,
    /// Its dossier, when it is there.
    pub dossier: Option<PathBuf>,
    /// The texts that an order may settle: those that the dossier lists, and those of branches that went.
    pub listed: Vec<Hash>,
    /// What an order has to do with the head file; `None` when nothing was ever wrong with it, or nobody looked.
    pub lost_head: Option<LostHead>,
    /// What the halt file holds; `None` when it is gone and the ledger alone tells of the halt.
    file: Option<Vec<u8>>,
}

/// What an order to resume did.
pub struct Resumed {
    /// The order.
    pub order: Pid,
    /// Whether it was carried out now; else it had been before.
    pub is_new: bool,
    /// The halt that ended.
    pub halt: Option<Halt>,
    /// The texts it settled.
    pub settled: Vec<Hash>,
    /// Listed texts that it did not settle: they halt the desk again when a medium brings them.
    pub unsettled: Vec<Hash>,
    /// Where the halt file was put.
    pub put_away: Option<PathBuf>,
    /// What became of the head file, when the halt was over it.
    pub head_file: Option<HeadWritten>,
    /// Another halt, which stays.
    pub still: Option<Halt>,
    /// The head.
    pub head: Head,
}

/// Who is shown what will happen, and gives the passphrase of the desk's key.
pub type Confirm<'a> = dyn FnMut(&InForce, &Standing) -> Checked<Passphrase> + 'a;

/// The halt of the desk in this folder: that of its halt file, else one that the ledger tells of and no order has ended.
///
/// # Errors
/// `file-fault`; `ledger-fault` when the dossier is not the one that the halt names.
pub fn standing(dir: &Path, books: &Books) -> Outcomes<Option<Standing>> {
    let path = dir.join(HALT_FILE);
    let file = match fs::read(&path) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(file_fault(&path, &error).into()),
    };
    let halt = match (&file, books.trouble().halts().values().next()) {
        (Some(bytes), _) => {
            String::from_utf8(bytes.clone()).ok().and_then(|text| Halt::parse(&text).ok()).unwrap_or_else(|| unreadable(bytes))
        }
        (None, Some(halt)) => halt.clone(),
        (None, None) => return Ok(None),
    };
    let (path, mut listed) = (dossier_path(dir, &halt), Vec::new());
    let dossier = path.is_file().then_some(path);
    if let Some(path) = &dossier {
        let bytes = files::read(path)?;
        if Hash::of(&bytes) != halt.dossier {
            let found = format!("{} has sha256:{}; sha256:{} expected", path.display(), Hash::of(&bytes), halt.dossier);
            let next = "put the dossier back as it was, a copy is in tabellion/evidence on the medium; without one, move the file away: an order then ends the halt and settles nothing";
            return Err(Problem::from(Fault::new(Rule::LedgerFault, found)).advising(next));
        }
        listed = texts_in(&String::from_utf8_lossy(&bytes));
    }
    let of_branches = books.trouble().strayed().iter().filter(|text| !books.trouble().settled().contains_key(*text));
    let seen: BTreeSet<Hash> = listed.iter().copied().collect();
    listed.extend(of_branches.filter(|text| !seen.contains(*text)));
    Ok(Some(Standing { halt, dossier, listed, lost_head: None, file }))
}

/// [`standing`], with what an order would do about the head file when that is missing or damaged.
///
/// # Errors
/// As [`standing`]; `head-lost` when no order writes it anew, with what to do first.
pub fn standing_with_head(desk: &Desk, lost: Option<Fault>) -> Outcomes<Option<Standing>> {
    let Some(mut halted) = standing(desk.dir(), desk.books())? else {
        return lost.map_or(Ok(None), |lost| Err(not_halted_yet(desk, lost)));
    };
    halted.lost_head = LostHead::of(desk, &halted.halt, lost)?;
    Ok(Some(halted))
}

/// Without a halt there is no dossier that an order could name.
fn not_halted_yet(desk: &Desk, lost: Fault) -> Problem {
    let next = "halt the desk first, so that there is a dossier for an order to name: tabellion witness integrity --ledger";
    Problem::from(lost).advising(format!("{next} {}", desk.dir().display()))
}

/// SPEC 7.7: a halt file that cannot be read halts as any other, and its own bytes take the place of the dossier.
fn unreadable(bytes: &[u8]) -> Halt {
    let shown: String = String::from_utf8_lossy(bytes).chars().take(200).collect();
    Halt { rule: Rule::Halted, dossier: Hash::of(bytes), found: format!("a halt file of another form, which begins {shown:?}") }
}

/// The order that would end this halt, and the listed texts that do not fit into it.
///
/// # Errors
/// As [`Books::charter`].
pub fn draft(books: &Books, halted: &Standing, note: Option<Text>) -> Checked<(Order, Vec<Hash>)> {
    let mut settled = halted.listed.clone();
    let left = settled.split_off(settled.len().min(ORDER_SETTLED_MAX));
    settled.sort();
    let what = What::Resume { dossier: halted.halt.dossier, settled };
    let order = Order { origin: books.origin()?.clone(), number: books.trouble().used().next(), head: books.head(), what, note };
    Ok((order, left))
}

/// Ends a halt. Running it again after whatever broke it does only what is left to do.
///
/// # Errors
/// Whatever stops it, with what did not change.
pub fn resume(dir: &Path, orders: &[PathBuf], confirm: &mut Confirm<'_>, observe: &mut Observe<'_>) -> Outcomes<Resumed> {
    // The desk: lock, chain, books, head file. An order ends a halt; of what is broken it mends a head file that was lost, and hides nothing.
    observe("open the ledger", crate::broker::DATABASE_FILE);
    let (mut desk, lost) = Desk::open_to_resume(dir).map_err(still_broken)?;

    // The order, and whether it was carried out already.
    let copies = read_copies(orders)?;
    let Some(halted) = standing_with_head(&desk, lost)? else { return done_before(&desk, &copies) };
    if desk.books().trouble().ended(&halted.halt.dossier) == Some(&pid_of(&copies)) {
        let put_away = put_away(dir, &halted, observe).unchanged(|| ended(&halted.halt))?;
        check_again(&mut desk, &halted)?;
        return finished(&desk, (pid_of(&copies), false), halted, put_away);
    }
    let order = check(&copies, desk.books())?;
    let listed: BTreeSet<Hash> = halted.listed.iter().copied().collect();
    let settled = order_subject::resume(order.order(), &halted.halt.dossier, &listed).map_err(|fault| about(fault, &halted))?.to_vec();

    // The key, for these events only.
    let keys = DeskKeys::unlock(&desk.dir().join(KEY_FILE), &confirm(&order, &halted)?, desk.books().charter()?)?;
    desk.unlock(&keys)?;

    // Why the desk was halted, when the ledger does not know it yet: the process that halted had no key.
    append_halt(&mut desk, &halted.halt, observe).unchanged(stays_halted)?;

    // The head file, when it was lost and the dossier says so: while the ledger still has this halt open. Behind the resume event an order that
    // somebody kept could be used to write another one.
    if let Some(LostHead::ToWrite { .. }) = halted.lost_head {
        lost_head::write_anew(&mut desk, &halted.halt, observe).unchanged(head_stays_lost)?;
    }

    // THE COMMIT POINT: before it the desk is halted; after it what is left is to put the halt file away.
    let resume = Resume {
        order: order.pid(),
        env: order.envelope().env(),
        dossier: halted.halt.dossier,
        settled,
        envelope: order.envelope().clone(),
    };
    observe("append the resume event", &desk.books().next_event_id());
    append(&mut desk, EventType::Resume, resume.to_cbor(), observe).unchanged(stays_halted)?;
    drop(keys);

    let put_away = put_away(dir, &halted, observe).unchanged(|| ended(&halted.halt))?;
    check_again(&mut desk, &halted)?;
    finished(&desk, (order.pid(), true), halted, put_away)
}

/// Reads and checks everything again: what this order had no say in halts the desk now, with a dossier of its own.
fn check_again(desk: &mut Desk, halted: &Standing) -> Outcomes<()> {
    desk.read_again().map_err(|problem| {
        let state = format!("the halt over dossier sha256:{} is ended; {}", halted.halt.dossier, problem.state);
        let again = format!("this halt takes an order of its own: tabellion ceremony resume --ledger {}", desk.dir().display());
        let next = if problem.fault.rule == Rule::HeadLost { Some(again) } else { problem.next };
        Problem { state, next, ..problem }
    })
}

/// Appends the `halt` event, unless the ledger has it.
pub(super) fn append_halt(desk: &mut Desk, halt: &Halt, observe: &mut Observe<'_>) -> Checked<()> {
    if desk.books().trouble().halts().contains_key(&halt.dossier) {
        return Ok(());
    }
    observe("append the halt event", &desk.books().next_event_id());
    append(desk, EventType::Halt, halt.to_cbor(), observe)
}

pub(super) fn append(desk: &mut Desk, event_type: EventType, payload: Vec<u8>, observe: &mut Observe<'_>) -> Checked<()> {
    let event_id = desk.books().next_event_id();
    desk.commit(vec![NewEvent { event_id, timestamp: 0, event_type, payload }], observe)
}

/// Moves the halt file into the folder of dossiers, unless another halt took its place meanwhile. It is copied, synced, and then removed: of a
/// rename from folder to folder a power cut may leave neither name.
fn put_away(dir: &Path, halted: &Standing, observe: &mut Observe<'_>) -> Checked<Option<PathBuf>> {
    let Some(file) = &halted.file else { return Ok(None) };
    let (from, to) = (dir.join(HALT_FILE), dossier_path(dir, &halted.halt).with_extension("halt"));
    observe("put the halt file away", HALT_FILE);
    match fs::read(&from) {
        Ok(bytes) if bytes == *file => {
            write_bytes(&to, file)?;
            fs::remove_file(&from).map_err(|error| file_fault(&from, &error))?;
        }
        Ok(_) => return Ok(None),
        Err(error) => return Err(file_fault(&from, &error)),
    }
    observe("sync the folders", HALT_FILE);
    sync_folder(dir)?;
    Ok(Some(to))
}

fn finished(desk: &Desk, (order, is_new): (Pid, bool), halted: Standing, put_away: Option<PathBuf>) -> Outcomes<Resumed> {
    let of_order = |text: &&Hash| desk.books().trouble().settled().get(*text) == Some(&order);
    let settled: Vec<Hash> = desk.books().trouble().settled().keys().filter(of_order).copied().collect();
    let unsettled = halted.listed.into_iter().filter(|text| !desk.books().trouble().settled().contains_key(text)).collect();
    let still = standing(desk.dir(), desk.books())?.map(|other| other.halt);
    let head_file = lost_head::written(desk.dir(), &halted.halt, halted.lost_head);
    Ok(Resumed { order, is_new, halt: Some(halted.halt), settled, unsettled, put_away, head_file, still, head: desk.books().head() })
}

/// The desk is not halted: the order had been carried out, or is about a halt that is not here.
fn done_before(desk: &Desk, copies: &[Envelope]) -> Outcomes<Resumed> {
    let (order, trouble) = (pid_of(copies), desk.books().trouble());
    if trouble.used().has(&order) && trouble.recovery(&order).is_none() {
        let settled = trouble.settled().iter().filter(|(_, by)| **by == order).map(|(text, _)| *text).collect();
        let head = desk.books().head();
        return Ok(Resumed {
            order,
            is_new: false,
            halt: None,
            settled,
            unsettled: Vec::new(),
            put_away: None,
            head_file: None,
            still: None,
            head,
        });
    }
    let order = check(copies, desk.books())?;
    let What::Resume { dossier, .. } = &order.order().what else {
        return Err(order_subject::resume(order.order(), &Hash::ZERO, &BTreeSet::new()).err().unwrap_or_else(nothing_halted).into());
    };
    let found = format!("an order on dossier sha256:{dossier} found; a desk that is halted expected, and this one is not");
    Err(Problem::from(Fault::new(Rule::OrderSubject, found)).advising("nothing to do here: find the desk that is halted over this dossier"))
}

fn nothing_halted() -> Fault {
    Fault::new(Rule::OrderSubject, "no halt found; one expected")
}

pub(super) fn stays_halted() -> String {
    "the desk stays halted unless the event was acknowledged; running this again tells".into()
}

fn head_stays_lost() -> String {
    "the desk stays halted, and its head file is lost as before or written anew; running this again tells".into()
}

fn ended(halt: &Halt) -> String {
    format!("the halt over dossier sha256:{} is ended in the ledger; what is left is done by running this again", halt.dossier)
}

/// What to do when an order does not fit the halt.
fn about(fault: Fault, halted: &Standing) -> Problem {
    match (fault.rule, &halted.dossier) {
        (Rule::OrderSettles, None) => Problem::from(fault).advising(
            "the dossier is not there, and without it nothing can be settled: write an order that settles nothing; the medium then halts the desk again, with a dossier",
        ),
        (Rule::OrderSettles, Some(path)) => {
            Problem::from(fault).advising(format!("write the order again with --write-order: it settles what {} lists", path.display()))
        }
        (Rule::OrderSubject, _) => Problem::from(fault).advising("write an order for this halt with --write-order, and have it signed"),
        _ => fault.into(),
    }
}

/// What to do first when the desk fails a check of its own.
pub(super) fn still_broken(problem: Problem) -> Problem {
    match advice(problem.fault.rule) {
        Some(_) => Problem { state: "the desk stays halted; nothing was written".into(), ..advised(problem) },
        None => problem,
    }
}

/// The same, for whoever only looks.
pub fn advised(problem: Problem) -> Problem {
    match advice(problem.fault.rule) {
        Some(next) => problem.advising(next),
        None => problem,
    }
}

fn advice(rule: Rule) -> Option<&'static str> {
    match rule {
        Rule::ChainBroken | Rule::LedgerFault => Some(
            "a resume order does not mend this: keep the disk as it is, and put the ledger in order first, from a backup or with tabellion ceremony recover",
        ),
        Rule::HeadRolledBack => Some(
            "no order writes a head file in the place of one that tells of another session: keep the disk as it is, look for the disk that this head file belongs to, and go on with that one; or put back the ledger and the head file that belong together",
        ),
        Rule::HeadLost => Some("end the halt over the head file first: tabellion ceremony resume"),
        _ => None,
    }
}

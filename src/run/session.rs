//! One session: media in, verdicts, snapshots, results out. [`session`] is meant to be read aloud.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::core::batch::Batch;
use crate::core::books::Books;
use crate::core::cbor::Canonical as _;
use crate::core::holdings::Holdings;
use crate::core::ids::{Hash, Head, Pid};
use crate::core::plan::{Plan, plan};
use crate::core::proposal::{Operation, Proposal};
use crate::core::rules::{Checked, Fault, Rule};
use crate::keys::Passphrase;
use crate::media::publish::Observe;

use super::bag::{Bag, Brought, Listed};
use super::desk::{Desk, DeskKeys, KEY_FILE, LOG_LEFT, Start};
use super::emit::deliver;
use super::events::{closed, events_of};
use super::files::staging;
use super::gossip::{self, Reported};
use super::halt::{Alarm, halt, halt_handling};
use super::handling::{AsMounted, Handling};
use super::log;
use super::objects::{Store, own_disk};
use super::problem::{Outcomes, Problem, Unchanged};
use super::trees;

/// What a session is asked to do.
pub struct Request {
    /// The desk's folder.
    pub ledger: PathBuf,
    /// The media, in any order.
    pub media: Vec<PathBuf>,
    /// The session's time claim.
    pub time: Option<u64>,
    /// Judge held papers even when nothing new came.
    pub held: bool,
}

/// What an operator waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// The desk is read and checked.
    Desk,
    /// The media are read.
    Media,
}

/// The operator: the only one who is asked anything.
pub trait Operator {
    /// Compares the ledger's head with the one the operator brought from outside this disk; `before` is the head before the last session,
    /// whose results the operator may not have seen.
    ///
    /// # Errors
    /// `head-unexpected`, `confirmation-missing`.
    fn recognise(&mut self, head: &Head, before: Option<&Head>) -> Checked<()>;

    /// The passphrase of the desk's key.
    ///
    /// # Errors
    /// `passphrase`, `file-fault`.
    fn passphrase(&mut self) -> Checked<Passphrase>;

    /// Whether the operator, whose head was not recognised, knows a later one and insists: then the desk halts.
    fn insists(&mut self) -> bool {
        false
    }

    /// The passphrase of the desk's key, to enter a halt in the ledger; `None` leaves the event out, and the halt file is sufficient.
    ///
    /// # Errors
    /// `passphrase`, `file-fault`.
    fn passphrase_to_halt(&mut self) -> Checked<Option<Passphrase>> {
        Ok(None)
    }

    /// Whether another passphrase may be asked for, when this one did not open the key. Without it the session ends.
    fn asks_again(&mut self, _wrong: &Fault) -> bool {
        false
    }

    /// Waits for work that may take minutes and says nothing until it is done. Whoever has a screen shows meanwhile that it goes on.
    fn waits(&mut self, _wait: Wait, work: &mut (dyn FnMut() + Send)) {
        work();
    }

    /// Is shown everything that the media brought, before the key is opened.
    ///
    /// # Errors
    /// `confirmation-missing` when the operator goes no further.
    fn look_through(&mut self, _bag: &Bag) -> Checked<()> {
        Ok(())
    }

    /// Is told that nothing is new here, and what a broken session had left undone, before everything is written again.
    ///
    /// # Errors
    /// `confirmation-missing` when it is not wanted on these media.
    fn nothing_new(&mut self, _bag: &Bag, _repaired: &[String]) -> Checked<()> {
        Ok(())
    }

    /// Is shown what will happen, and answers with the confirmation that goes into the ledger.
    ///
    /// # Errors
    /// `confirmation-missing`.
    fn confirm(&mut self, plan: &Plan, bag: &Bag) -> Checked<String>;
}

/// What a session did.
pub struct Report {
    /// The session whose results lie on the media.
    pub session: u64,
    /// Whether a new session was committed; else sealing and emission were repeated.
    pub is_new: bool,
    /// What a broken session had left undone and was done now, in words.
    pub repaired: Vec<String>,
    /// The head before and after.
    pub heads: (Head, Head),
    /// Papers brought again after their verdict.
    pub again: BTreeSet<Pid>,
    /// What was listed.
    pub listed: Vec<Listed>,
    /// Texts of ours that are reported and did not halt.
    pub reported: Vec<Reported>,
    /// Objects that were brought and are kept for no paper: they came before what names them, or are of no use here.
    pub not_kept: Vec<Hash>,
    /// Each medium, and what became of writing to it.
    pub media: Vec<(PathBuf, Checked<()>)>,
    /// The desk, for looking at what was decided.
    pub desk: Desk,
}

/// Runs one session over media that somebody mounted.
///
/// # Errors
/// As [`session_handling`].
pub fn session(request: &Request, operator: &mut dyn Operator, observe: &mut Observe<'_>) -> Outcomes<Report> {
    session_handling(request, operator, &mut AsMounted, observe)
}

/// Runs one session, from media to results. Running it again after whatever broke it does only what is left to do.
///
/// # Errors
/// Whatever stops it, with what did not change.
pub fn session_handling(
    request: &Request,
    operator: &mut dyn Operator,
    handling: &mut dyn Handling,
    observe: &mut Observe<'_>,
) -> Outcomes<Report> {
    // The desk: lock, schema, chain, books, head file. Then the head, as somebody outside this disk remembers it.
    observe("open the ledger", crate::broker::DATABASE_FILE);
    let mut desk = start(&request.ledger, operator, observe)?;
    let before = desk.books().head();

    // The media, each file copied once. Our own signature on a head we do not have halts the desk before it signs anything.
    observe("copy the media", "");
    let staging = staging()?;
    let (bag, gossip) = awaited(operator, Wait::Media, || {
        let bag = Bag::gather(&request.media, staging.path(), desk.books())?;
        log::listed(bag.listed());
        let gossip = gossip::listen(&bag, desk.books())?;
        Ok::<_, Problem>((bag, gossip))
    })??;
    if !gossip.evidence.is_empty() {
        let alarm = Alarm::of_gossip(desk.books(), &gossip, &request.media)?;
        return Err(stop(&mut desk, alarm, (&request.media, handling), operator, observe));
    }

    // The key, for this session only. What a broken session left undone is done first: the same bytes, whenever it is done.
    operator.look_through(&bag)?;
    let keys = open_key(&desk, operator)?;
    desk.unlock(&keys)?;
    let repaired = finish_last_session(&mut desk, &keys, observe).unchanged(|| committed(&desk))?;

    // The plan: every record, verdict and note, decided before any effect. A session exists only if something is here that the ledger lacks.
    let (papers, store) = (bag.verified(), Store::of(desk.dir()));
    let holdings = trees::holdings(desk.books(), &bag, &papers, &store)?;
    let batch = Batch::gather(desk.books(), papers, &holdings)?;
    let is_new = !batch.news().is_empty() || (request.held && !batch.papers().is_empty());
    if is_new {
        let plan = plan(desk.books(), &batch, request.time)?;
        let confirmation = operator
            .confirm(&plan, &bag)
            .unchanged(|| format!("common@{} stays the head; nothing was committed or written", before.number))?;
        let pack =
            store.keep(&plan, &bag, observe).unchanged(|| format!("common@{} stays the head; nothing was committed", before.number))?;
        let events = events_of(&plan, closed(&plan, bag.inventory(), confirmation, pack)?);

        // THE COMMIT POINT: before it nothing happened; after it everything can be derived again.
        observe("commit the session", &format!("session {}", plan.opened().session));
        desk.commit(events, observe).unchanged(|| format!("{before} unless the commit was acknowledged; the next start tells"))?;
        log::papers(plan.opened().session, plan.rulings());
        desk.write_head_file(observe).unchanged(|| committed(&desk))?;
        desk.seal(&keys, observe).unchanged(|| committed(&desk))?;
    } else {
        operator.nothing_new(&bag, &repaired).unchanged(|| committed(&desk))?;
    }
    drop(keys);
    Store::of(desk.dir()).tidy(desk.books(), observe).unchanged(|| committed(&desk))?;

    // Everything emitted is read from the ledger again, and every signature of it verified. A medium that fails is given up; the others go on.
    desk.read_again()?;
    let not_kept = not_kept(&bag, desk.books(), &batch, &holdings)?;
    let media = emit_all(&desk, request, &bag, handling, observe).unchanged(|| committed(&desk))?;
    log::media(&media);
    let session = desk.books().last_session_number();
    let heads = (before, desk.books().head());
    desk.done().unchanged(|| emitted(session, &media))?;
    Ok(Report {
        session,
        is_new,
        repaired,
        heads,
        again: bag.again(),
        listed: bag.listed().to_vec(),
        reported: gossip.reported,
        not_kept,
        media,
        desk,
    })
}

/// Opens the desk, and compares its head with what the operator knows. What is wrong with it halts it; a head that is not recognised only stops
/// the session, for it may be a typing mistake, unless the operator insists.
fn start(dir: &Path, operator: &mut dyn Operator, observe: &mut Observe<'_>) -> Outcomes<Desk> {
    let mut desk = match awaited(operator, Wait::Desk, || Desk::start(dir))?? {
        Start::Ready(desk) => *desk,
        Start::Wrong(Some(mut desk), findings) => {
            return Err(stop(&mut desk, Alarm::of_check(dir, &findings)?, (&[], &mut AsMounted), operator, observe));
        }
        Start::Wrong(None, findings) => return Err(halt(dir, Alarm::of_check(dir, &findings)?, &[], observe).problem()),
    };
    let before = desk.books().headings().last().map(|heading| &heading.before);
    match operator.recognise(&desk.books().head(), before) {
        Err(fault) if fault.rule == Rule::HeadUnexpected && operator.insists() => {
            let alarm = Alarm::of_known_head(dir, &desk.findings()?, fault);
            Err(stop(&mut desk, alarm, (&[], &mut AsMounted), operator, observe))
        }
        Err(fault) => Err(fault.into()),
        Ok(()) => Ok(desk),
    }
}

/// Does work while the operator waits for it.
fn awaited<T: Send>(operator: &mut dyn Operator, wait: Wait, work: impl FnOnce() -> T + Send) -> Checked<T> {
    let (mut work, mut done) = (Some(work), None);
    operator.waits(wait, &mut || done = work.take().map(|work| work()));
    done.ok_or_else(|| Fault::new(Rule::InternalFault, "an operator who did not wait found; the work done expected"))
}

/// The desk's keys, by a passphrase that is asked for until it opens them or nobody is asked again.
fn open_key(desk: &Desk, operator: &mut dyn Operator) -> Checked<DeskKeys> {
    loop {
        let passphrase = operator.passphrase()?;
        match DeskKeys::unlock(&desk.dir().join(KEY_FILE), &passphrase, desk.books().charter()?) {
            Err(fault) if fault.rule == Rule::Passphrase && operator.asks_again(&fault) => {}
            opened => return opened,
        }
    }
}

/// Halts the desk: the halt file first, the event last.
fn stop(
    desk: &mut Desk,
    alarm: Alarm,
    (media, handling): (&[PathBuf], &mut dyn Handling),
    operator: &mut dyn Operator,
    observe: &mut Observe<'_>,
) -> Problem {
    let mut halted = halt_handling(desk.dir(), alarm, (media, handling), observe);
    desk.enter_halt(&mut halted, operator.passphrase_to_halt(), observe);
    halted.problem()
}

/// SPEC 11.6: an object that arrives before its paper, or a member before its tree, is not kept, and the report says so. What a paper names
/// that was answered here, or earlier and came again, is not meant: its answer says what becomes of it.
fn not_kept(bag: &Bag, books: &Books, batch: &Batch, holdings: &Holdings) -> Checked<Vec<Hash>> {
    let mut named = BTreeSet::<Hash>::new();
    for pid in bag.again() {
        let answered = books.answered(&pid)?;
        let proposal = answered.and_then(|answered| Proposal::from_cbor(&answered.ruling().envelope.payload).ok());
        named.extend(proposal.iter().flat_map(puts));
    }
    named.extend(batch.papers().values().flat_map(|paper| puts(&paper.proposal)));
    let members: Vec<Hash> = named.iter().flat_map(|tree| holdings.members_of(tree)).map(|(hash, _)| hash).collect();
    named.extend(members);
    Ok(bag.object_sizes().into_keys().filter(|hash| !named.contains(hash) && !books.is_packed(hash)).collect())
}

fn puts(proposal: &Proposal) -> impl Iterator<Item = Hash> {
    proposal.operations.iter().filter_map(|operation| match operation {
        Operation::Put { entry, .. } => Some(entry.sha256),
        _ => None,
    })
}

/// What stands when something fails behind the commit point.
fn committed(desk: &Desk) -> String {
    format!("the ledger stands at {}; what is left to do is done by running this again", desk.books().head())
}

/// What stands when everything was done and the disk fails behind it.
fn emitted(session: u64, media: &[(PathBuf, Checked<()>)]) -> String {
    let failed: Vec<String> = media.iter().filter(|(_, written)| written.is_err()).map(|(path, _)| path.display().to_string()).collect();
    let results = match failed.is_empty() {
        true => "its results are on every medium".to_owned(),
        false => format!("its results are on every medium but {}", failed.join(", ")),
    };
    format!("session {session} is committed and sealed, and {results}; {LOG_LEFT}")
}

/// Rolls the head file forward and seals what is not sealed, and says so.
fn finish_last_session(desk: &mut Desk, keys: &DeskKeys, observe: &mut Observe<'_>) -> Checked<Vec<String>> {
    let mut done = Vec::new();
    let number = desk.books().last_session_number();
    if desk.head_is_behind() {
        desk.write_head_file(observe)?;
        done.push(format!("the head file was rolled forward to session {number}: power had failed after its commit"));
    }
    if desk.seal(keys, observe)? {
        done.push(format!("session {number} was sealed: it had been committed, its results had not been signed"));
    }
    Ok(done)
}

fn emit_all(
    desk: &Desk,
    request: &Request,
    bag: &Bag,
    handling: &mut dyn Handling,
    observe: &mut Observe<'_>,
) -> Checked<Vec<(PathBuf, Checked<()>)>> {
    let last = desk.books().last_session()?.ok_or_else(|| Fault::new(Rule::LedgerFault, "no session found; the founding expected"))?;
    let mut out = Vec::new();
    for (index, medium) in request.media.iter().enumerate() {
        let written = deliver(desk, medium, (&last, &bag.brought_by(index)), handling, observe);
        // Trouble of a medium gives up that medium; any other is our own disk's or our own, and ends the visit.
        match written {
            Err(fault) if !matches!(fault.rule, Rule::MediumFault | Rule::MediumForeign | Rule::NotFound) => return Err(own_disk(fault)),
            written => out.push((medium.clone(), written)),
        }
    }
    Ok(out)
}

/// Writes everything the ledger has published to another medium that somebody mounted.
///
/// # Errors
/// As [`Desk::open_to_look`] and [`export_handling`].
pub fn export(ledger: &Path, medium: &Path, observe: &mut Observe<'_>) -> Outcomes<Desk> {
    let desk = Desk::open_to_look(ledger)?;
    export_handling(&desk, medium, &mut AsMounted, observe)?;
    Ok(desk)
}

/// Writes everything the ledger has published to another medium: the same bytes, no key.
///
/// The medium is heard before it is written to, as in a session. A desk that is halted already still exports.
///
/// # Errors
/// As [`super::emit::emit`]; `head-elsewhere` when the medium brings evidence, which halts the desk.
pub fn export_handling(desk: &Desk, medium: &Path, handling: &mut dyn Handling, observe: &mut Observe<'_>) -> Outcomes<()> {
    let last = desk.books().last_session()?.filter(|session| session.sealed.is_some());
    let unsealed = || Fault::new(Rule::LedgerFault, "the last session is not sealed; run tabellion witness session first");
    let session = last.ok_or_else(unsealed)?;
    let untouched = || "the ledger is not touched by export".to_owned();
    if desk.halted()?.is_none() {
        hear(desk, medium, handling, observe).map_err(|problem| match problem.fault.rule {
            Rule::HeadElsewhere => problem,
            _ => Problem { state: untouched(), ..problem },
        })?;
    }
    deliver(desk, medium, (&session, &Brought::default()), handling, observe).unchanged(untouched).map(drop)
}

/// Halts when a medium brings evidence.
fn hear(desk: &Desk, medium: &Path, handling: &mut dyn Handling, observe: &mut Observe<'_>) -> Outcomes<()> {
    let (staging, media) = (staging()?, [medium.to_owned()]);
    let bag = Bag::gather(&media, staging.path(), desk.books())?;
    if gossip::listen(&bag, desk.books())?.evidence.is_empty() {
        return Ok(());
    }
    // Exporting takes no lock: a session may have been sealed, and its results brought here, since the ledger was read.
    let now = Desk::open_to_look(desk.dir())?;
    let gossip = gossip::listen(&bag, now.books())?;
    if gossip.evidence.is_empty() {
        return Ok(());
    }
    let alarm = Alarm::of_gossip(now.books(), &gossip, &media)?;
    Err(halt_handling(now.dir(), alarm, (&media, handling), observe).problem())
}

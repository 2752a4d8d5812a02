//! Founding a Common, in three commands: seal a seed and write the charter's payload; sign it; found (SPEC 3.10, session 0).
//!
//! A second run continues the same founding or refuses; there is never a second charter with the same key.

use std::path::{Path, PathBuf};

use crate::broker::{Broker, CheckInput, random, read_head};
use crate::core::cbor::Canonical;
use crate::core::charter::{self, Charter};
use crate::core::ids::Text;
use crate::core::note::VerifierKey;
use crate::core::plan::found;
use crate::core::policy::Policy;
use crate::core::policy_text;
use crate::core::rules::{Checked, Fault, Rule, Stage};
use crate::keys::entropy::Dice;
use crate::keys::file::{KeyFile, WorkFactor, seal, write_new};
use crate::keys::{Passphrase, Seed};
use crate::media::publish::Observe;

use super::desk::{Desk, DeskKeys, KEY_FILE, LOG_LEFT};
use super::events::{closed, events_of};
use super::files::{self, make_folder, write_bytes};
use super::halt::refuse_halted;
use super::log;
use super::objects::Store;
use super::problem::{Outcomes, Problem, Unchanged};

/// Name of the charter's bare payload in the desk's folder.
pub const PAYLOAD_FILE: &str = "charter.payload";

/// What the first command of a founding needs.
pub struct Draft {
    /// The desk's folder, to be made.
    pub dir: PathBuf,
    /// The policy, as TOML.
    pub policy: PathBuf,
    /// The next log key; its name is the origin.
    pub next: VerifierKey,
    /// The founders' words.
    pub text: Option<Text>,
    /// Whether this is a rehearsal.
    pub rehearsal: bool,
    /// Rolls of a die, mixed into the new seed.
    pub dice: Option<Dice>,
}

/// The key that a founding in this folder goes on with, if one was made already: no die is rolled for it, and it has its passphrase.
pub fn key_made_before(dir: &Path) -> Option<PathBuf> {
    Some(dir.join(KEY_FILE)).filter(|key| key.exists())
}

/// First command: seals a new seed and writes the charter's bare payload. Answers with the payload's path and the charter.
///
/// # Errors
/// `policy-unsound`, `exists` when a charter with other content was drafted here, `key-mismatch`, `file-fault`.
pub fn draft(draft: &Draft, passphrase: &Passphrase, work: WorkFactor) -> Outcomes<(PathBuf, Charter)> {
    refuse_halted(&draft.dir)?;
    let policy = read_policy(&draft.policy)?;
    make_folder(&draft.dir)?;
    let (key_path, payload_path) = (draft.dir.join(KEY_FILE), draft.dir.join(PAYLOAD_FILE));
    if payload_path.exists() {
        return continue_draft(draft, &payload_path, &policy);
    }
    let seed = match key_path.exists() {
        true => KeyFile::read(&key_path)?.unlock(passphrase, WorkFactor::STANDARD)?,
        false => Seed::found(draft.dice.as_ref())?,
    };
    let origin = draft.next.name().clone();
    let log = VerifierKey::new(origin.clone(), &seed.log(origin.clone(), draft.rehearsal).public_bytes())?;
    if log == draft.next {
        return Err(Fault::new(Rule::KeyMismatch, "the next log key is this desk's own; one that was made elsewhere expected").into());
    }
    let instance = random()?;
    let charter = Charter {
        origin,
        log,
        ledger_public: seed.ledger(draft.rehearsal).public_bytes(),
        next: draft.next.next_hash(),
        backup_recipient: seed.age_identity(draft.rehearsal)?.1,
        policy,
        instance,
        rehearsal: draft.rehearsal,
        text: draft.text.clone(),
    };
    if !key_path.exists() {
        write_new(&key_path, &seal(&seed, passphrase, work)?)?;
    }
    write_bytes(&payload_path, &charter.to_cbor())?;
    Ok((payload_path, charter))
}

/// Reads a policy as people write it.
///
/// # Errors
/// `not-found`, `file-fault`, `policy-unsound`.
pub fn read_policy(path: &Path) -> Checked<Policy> {
    let bytes = files::read(path)?;
    let text = String::from_utf8(bytes).map_err(|_| Fault::new(Rule::PolicyUnsound, format!("{}: not UTF-8", path.display())))?;
    policy_text::parse(&text).map_err(|fault| fault.within(path.display()))
}

fn continue_draft(draft: &Draft, path: &Path, policy: &Policy) -> Outcomes<(PathBuf, Charter)> {
    let bytes = files::read(path)?;
    let charter = Charter::from_cbor(&bytes)?;
    let same = charter.policy == *policy && charter.next == draft.next.next_hash() && charter.origin == *draft.next.name();
    if !same {
        let found = format!(
            "{} drafts {} with policy {}; another policy or next key was given",
            path.display(),
            charter.origin,
            charter.policy.hash()
        );
        return Err(Problem::from(Fault::new(Rule::Exists, found))
            .advising("go on with the policy and the next key it was drafted with, or begin another founding in a new folder"));
    }
    Ok((path.to_owned(), charter))
}

/// Third command: checks the signatures, creates the ledger, commits session 0. Run again, it continues or refuses.
///
/// # Errors
/// `charter-unsigned`, `key-mismatch`, `exists` when the ledger has another charter, and whatever a commit can end with.
pub fn commit(dir: &Path, charter_file: &Path, time: Option<u64>, passphrase: &Passphrase, observe: &mut Observe<'_>) -> Outcomes<Desk> {
    refuse_halted(dir)?;
    let bytes = files::read(charter_file)?;
    let charter = read_charter(charter_file, &bytes)?;
    let keys = DeskKeys::unlock(&dir.join(KEY_FILE), passphrase, charter.charter())?;
    let mut desk = match is_founded(dir)? {
        true => continue_founding(dir, &charter)?,
        false => create(dir, &charter, time, &keys, observe)?,
    };
    desk.unlock(&keys)?;
    if desk.head_is_behind() {
        desk.write_head_file(observe)?;
    }
    desk.seal(&keys, observe)?;
    desk.done().unchanged(|| format!("the Common is founded: session 0 is committed and sealed; {LOG_LEFT}"))?;
    Ok(desk)
}

/// How far a founding has come in a folder.
pub enum Founding {
    /// Nothing was begun, or it broke off before there was a key.
    Nothing,
    /// A key was made and sealed, and it broke off before there was a charter: the next draft is made with this key, under its own passphrase.
    Keyed,
    /// A charter was drafted and waits for signatures.
    Drafted(Box<Charter>),
    /// A desk is here, whatever state it is in.
    Founded,
}

/// How far a founding has come in this folder.
///
/// # Errors
/// `another-writer`, faults of the disk; parse faults of a charter that was drafted.
pub fn founding(dir: &Path) -> Outcomes<Founding> {
    let path = dir.join(PAYLOAD_FILE);
    match is_founded(dir)? {
        true => Ok(Founding::Founded),
        false if !path.exists() && key_made_before(dir).is_some() => Ok(Founding::Keyed),
        false if !path.exists() => Ok(Founding::Nothing),
        false => Ok(Founding::Drafted(Box::new(Charter::from_cbor(&files::read(&path)?).map_err(|fault| fault.within(path.display()))?))),
    }
}

/// Whether something was founded here: what cannot be read, or lost its events, is for the start-up checks of a founded desk.
fn is_founded(dir: &Path) -> Checked<bool> {
    let database = dir.join(crate::broker::DATABASE_FILE);
    if !database.exists() {
        // A head file is written behind the founding, and content is kept by sessions alone: where one of them lies, the book is lost. Founded
        // again with the same key, the desk would sign each number twice.
        if read_head(dir)?.is_none() && !Store::of(dir).is_there() {
            return Ok(false);
        }
        let found =
            format!("{}: no file found; the book expected, for a head or content of its sessions lies beside it", database.display());
        return Err(Fault::new(Rule::LedgerFault, found));
    }
    match Broker::open(dir).and_then(|ledger| ledger.latest()) {
        Ok(None) => Ok(read_head(dir)?.is_some()),
        Ok(Some(_)) => Ok(true),
        Err(fault) if fault.rule == Rule::LedgerFault => Ok(true),
        Err(fault) => Err(fault),
    }
}

fn read_charter(path: &Path, bytes: &[u8]) -> Outcomes<charter::VerifiedCharter> {
    if Charter::from_cbor(bytes).is_ok() {
        let found =
            format!("{} is the bare payload, with 0 signatures; the charter.cose that tabellion approve makes expected", path.display());
        return Err(Fault::new(Rule::CharterUnsigned, found).into());
    }
    charter::verify(bytes).map_err(|fault| {
        let stage = fault.rule.stage();
        let problem = Problem::from(fault.within(path.display()));
        match stage {
            Stage::Policy => problem,
            _ => problem.advising("name the charter.cose that tabellion approve made from charter.payload"),
        }
    })
}

fn continue_founding(dir: &Path, charter: &charter::VerifiedCharter) -> Outcomes<Desk> {
    let desk = Desk::open(dir)?;
    let ours = desk.books().log().size().checked_sub(1).map(|_| desk.books().record(1).map(|record| record.pid)).transpose()?;
    if ours != Some(charter.envelope().pid()) {
        let found = format!("charter {} in the ledger; {} given", ours.unwrap_or_default(), charter.envelope().pid());
        return Err(Fault::new(Rule::Exists, found)).unchanged(|| "the ledger is unchanged; nothing is ever founded twice".into());
    }
    Ok(desk)
}

/// The empty ledger of a founding that was broken off, checked as every ledger is before anything is appended.
fn made_before(dir: &Path, charter: &Charter) -> Checked<Broker> {
    let ledger = Broker::open(dir)?;
    let input = CheckInput { ledger_keys: &[charter.ledger_public], deep: false, must_hold: &[] };
    ledger.start_up_check(&input)?.into_checked()?;
    Ok(ledger)
}

fn create(dir: &Path, charter: &charter::VerifiedCharter, time: Option<u64>, keys: &DeskKeys, observe: &mut Observe<'_>) -> Outcomes<Desk> {
    observe("create the ledger", crate::broker::DATABASE_FILE);
    let ledger = match dir.join(crate::broker::DATABASE_FILE).exists() {
        true => made_before(dir, charter.charter())?,
        false => {
            let steps = &mut |step| observe(step, crate::broker::DATABASE_FILE);
            Broker::create(dir, &charter.charter().instance, keys.signer(), steps)?
        }
    };
    let mut desk = Desk::founded(dir, ledger);
    desk.unlock(keys)?;
    let plan = found(charter, time)?;
    let confirmation = format!("founded with charter sha256:{}", charter.envelope().pid());
    let closed = closed(&plan, Vec::new(), confirmation, None)?;
    observe("commit the session", "session 0");
    desk.commit(events_of(&plan, closed), observe)?;
    log::papers(plan.opened().session, plan.rulings());
    desk.write_head_file(observe)?;
    Ok(desk)
}

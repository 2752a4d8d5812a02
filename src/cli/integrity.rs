//! `witness integrity`: the whole desk checked, and what was found.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::core::head::{HeadFile, KnownHead, Stand};
use crate::run::integrity::{self as check, Integrity, Request};
use crate::run::problem::{Exit, Outcomes};
use crate::run::startup::Findings;

use super::argument;
use super::backup::StandbyFacts;
use super::branches::against;
use super::desk_facts::Health;
use super::facts::{Head, sha256};
use super::output::{Answer, Output, Page};
use super::passphrase::PassphraseArgs;

/// `tabellion witness integrity`
#[derive(Args)]
pub struct IntegrityArgs {
    /// The desk's folder
    #[arg(long, value_name = "DIR")]
    ledger: PathBuf,
    /// Verify every signature, not only the last, which commits to all; and hash every object in the store
    #[arg(long)]
    deep: bool,
    /// Compare with a head that somebody outside this disk wrote down
    #[arg(long, value_name = "N:WORDS", value_parser = argument::typed::<KnownHead>)]
    expect_head: Option<KnownHead>,
    /// Halt the desk when it does not have that head
    #[arg(long, requires = "expect_head")]
    halt: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// Compare with another copy of this desk, its folder or its database, which is only read: where the two part
    #[arg(long, value_name = "OTHER", conflicts_with_all = ["deep", "expect_head", "halt"])]
    against: Option<PathBuf>,
    /// Write the proof of a fork here, if two signed checkpoints make one
    #[arg(long, value_name = "FILE", requires = "against")]
    proof: Option<PathBuf>,
}

/// `witness integrity`
#[derive(Serialize)]
struct Checkup {
    /// The Common, as far as its charter can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    /// The desk's instance, 32 hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    /// Version of the database's schema.
    schema: i64,
    /// Whether the ledger and its head file are what was written.
    health: Health,
    /// How much was checked.
    checked: Checked,
    /// The ledger's head, when its chain is whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<Head>,
    /// The head file.
    #[serde(skip_serializing_if = "Option::is_none")]
    head_file: Option<HeadFileFacts>,
    /// How the head that somebody knows stands to the ledger.
    #[serde(skip_serializing_if = "Option::is_none")]
    known_head: Option<&'static str>,
    /// The last event.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_event: Option<LastEvent>,
    /// A session that is committed and not sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    unsealed: Option<u64>,
    /// Files of the store that are not what the ledger says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    damaged: Vec<Damaged>,
    /// Who else writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    writer: Option<String>,
    /// What the folder is when it is no desk that may sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    standby: Option<StandbyFacts>,
    /// Why the desk signs nothing any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    halted: Option<String>,
    /// What was done to halt it now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    done: Vec<String>,
    /// What to do, unless everything is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'static str>,
}

#[derive(Serialize)]
struct Checked {
    events: u64,
    signatures: u64,
    records: u64,
    verdicts: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    objects_bytes: Option<u64>,
}

#[derive(Serialize)]
struct HeadFileFacts {
    /// `equal`, `behind`, `missing`, `earlier`, `later` or `foreign`.
    state: &'static str,
    /// The same in words.
    words: String,
}

#[derive(Serialize)]
struct LastEvent {
    seq_no: u64,
    event_id: String,
    event_type: &'static str,
    event_hash: String,
}

#[derive(Serialize)]
struct Damaged {
    path: String,
    found: String,
    expected: String,
}

fn health_of(findings: Option<&Findings>) -> Health {
    let wrong = findings.and_then(|findings| findings.wrong.as_ref());
    Health {
        state: match (findings, wrong) {
            (None, _) => "unchecked",
            (_, Some(_)) => "corrupted",
            _ => "ok",
        },
        last_good_seq_no: wrong.map(|wrong| wrong.last_good_seq_no),
        first_bad_seq_no: wrong.map(|wrong| wrong.first_bad_seq_no),
        kind: wrong.map(|wrong| wrong.kind),
        rule: wrong.map(|wrong| wrong.fault.rule.id()),
        found: wrong.map(|wrong| wrong.fault.shown().to_owned()),
    }
}

impl HeadFileFacts {
    fn of(stand: Stand, file: Option<&HeadFile>, last_session: u64) -> HeadFileFacts {
        let of = file.map_or("no session".into(), |file| format!("session {}, common@{}", file.session, file.head.number));
        let words = match stand {
            Stand::Equal => format!("of {of}, as the ledger has it"),
            Stand::Behind => {
                format!("of {of}; power failed after session {last_session} was committed, and the next session rolls it forward")
            }
            Stand::Missing => format!("not there, although session {last_session} is closed"),
            Stand::Earlier => format!("of {of}, although session {last_session} is sealed: an old copy of the head file"),
            Stand::Later => format!("of {of}; the ledger ends with session {last_session}: an old copy of the ledger"),
            Stand::Foreign => format!("of {of} in another history than the ledger's"),
        };
        HeadFileFacts { state: stand.word(), words }
    }
}

impl Checkup {
    fn of(found: &Integrity) -> Checkup {
        let findings = found.findings.as_ref();
        let charter = findings.and_then(|findings| findings.charter.as_ref());
        let whole = findings.filter(|findings| findings.chain_is_whole);
        let last_session = whole.map_or(0, |findings| findings.books.last_session_number());
        let stand = whole.and_then(|findings| Some((findings.stand?, findings.head_file.as_ref())));
        let stored = found.stored.as_ref();
        Checkup {
            origin: charter.map(|charter| charter.origin.to_string()),
            instance: charter.map(|charter| hex::encode(charter.instance)),
            schema: check::SCHEMA_VERSION,
            health: health_of(findings),
            checked: Checked {
                events: found.checked.events,
                signatures: found.checked.signatures,
                records: found.checked.records,
                verdicts: found.checked.verdicts,
                objects: stored.map(|stored| stored.objects),
                objects_bytes: stored.map(|stored| stored.size_bytes),
            },
            head: whole.map(|findings| (&findings.books.head()).into()),
            head_file: stand.map(|(stand, file)| HeadFileFacts::of(stand, file, last_session)),
            known_head: found.known.map(check::Known::word),
            last_event: found.last.as_ref().map(|event| LastEvent {
                seq_no: event.seq_no,
                event_id: event.event_id.clone(),
                event_type: event.event_type.as_str(),
                event_hash: hex::encode(event.event_hash),
            }),
            unsealed: whole.and_then(|findings| findings.books.unsealed()).map(|heading| heading.session),
            damaged: stored.map_or(Vec::new(), |stored| stored.damaged.iter().map(Damaged::of).collect()),
            writer: found.writer.clone(),
            standby: findings.and_then(|findings| findings.standby.as_ref()).map(StandbyFacts::of),
            halted: found.halted.clone(),
            done: found.done.clone(),
            next: next(found),
        }
    }

    fn is_well_but_behind(&self) -> bool {
        let is_well = self.health.state == "ok" && self.damaged.is_empty() && self.halted.is_none();
        is_well && self.standby.is_some() && self.known_head == Some("later")
    }

    fn exit(&self) -> Exit {
        let is_well = self.health.state == "ok" && self.damaged.is_empty() && !matches!(self.known_head, Some("later" | "differs"));
        match () {
            () if self.writer.is_some() => Exit::Writer,
            // An older state is what a standby is: that is told, and is no alarm.
            () if self.is_well_but_behind() => Exit::Differs,
            () if self.halted.is_some() || !is_well => Exit::Halted,
            () => Exit::Done,
        }
    }
}

/// What to do, the gravest first.
fn next(found: &Integrity) -> Option<&'static str> {
    let is_damaged = found.stored.as_ref().is_some_and(|stored| !stored.damaged.is_empty());
    let is_standby = found.findings.as_ref().is_some_and(|findings| findings.standby.is_some());
    match () {
        () if found.halted.is_some() => {
            Some("sign nothing with this disk, read the dossier, and call the custodians: only their resume order ends a halt")
        }
        () if found.writer.is_some() => {
            Some("wait until it has ended, then run the same command again; if nobody knows of a program that writes here, find it")
        }
        () if found.known == Some(check::Known::Later) && is_standby => Some(
            "the Common went on behind this backup: whoever makes it the writer adopts what was published since, as the order to hand over says",
        ),
        () if found.known.is_some_and(|known| !known.is_well()) && is_standby => Some(
            "this standby holds another history than the one you know: make it the writer of nothing, and find out where the backup comes from",
        ),
        () if found.known.is_some_and(|known| !known.is_well()) => Some(
            "look at what was written down once more; if it is right, this disk is an old or another one: run the same command with --halt",
        ),
        () if is_damaged => Some("copy the file from the folder tabellion/common/objects of any medium, and run the same command again"),
        () => None,
    }
}

impl Damaged {
    fn of(damaged: &crate::run::objects::Damaged) -> Damaged {
        Damaged { path: damaged.path.display().to_string(), found: damaged.found.clone(), expected: sha256(&damaged.expected) }
    }
}

impl Answer for Checkup {
    fn say(&self, page: &mut Page) {
        if let (Some(origin), Some(instance)) = (&self.origin, &self.instance) {
            page.labelled("desk", format!("{origin}, instance {instance}, schema {}", self.schema));
        }
        say_health(&self.health, page);
        if self.health.state != "unchecked" {
            self.checked.say(page);
        }
        if let Some(head) = &self.head {
            page.labelled("head", head.to_string());
        }
        if let Some(file) = &self.head_file {
            page.labelled("head file", &file.words);
        }
        if let Some(known) = self.known_head {
            page.labelled("known", known_in_words(known));
        }
        if let Some(last) = &self.last_event {
            page.labelled("last", format!("event {}, {} {}, {}", last.seq_no, last.event_type, last.event_id, last.event_hash));
        }
        if let Some(session) = self.unsealed {
            let next =
                if self.standby.is_some() { "whoever becomes the writer seals it first" } else { "run tabellion witness session again" };
            page.labelled("broken", format!("session {session} is committed but not sealed; {next}"));
        }
        for damaged in &self.damaged {
            page.labelled("damaged", &damaged.path);
            page.below("found", &damaged.found);
            page.below("wanted", &damaged.expected);
        }
        if let Some(writer) = &self.writer {
            page.labelled("writer", format!("{writer}; nothing was checked"));
        }
        if let Some(reason) = &self.halted {
            page.labelled("HALTED", reason);
        }
        self.done.iter().for_each(|done| page.below("now", done));
        if let Some(standby) = &self.standby {
            standby.say(page);
        }
        if let Some(next) = self.next {
            page.labelled("next", next);
        }
    }
}

fn say_health(health: &Health, page: &mut Page) {
    let (Some(found), Some(kind), Some(rule)) = (&health.found, health.kind, health.rule) else {
        return page.labelled("health", health.state);
    };
    page.labelled("health", format!("CORRUPTED [{rule}] {kind}"));
    page.below("found", found);
    let (last_good, first_bad) = (health.last_good_seq_no.unwrap_or_default(), health.first_bad_seq_no.unwrap_or_default());
    page.below(
        "events",
        match kind {
            "schema" => format!("each of the {last_good} is good; what is wrong is what the file says of its own tables"),
            _ => format!("good up to {last_good}; {first_bad} is the first that is bad or missing"),
        },
    );
}

impl Checked {
    fn say(&self, page: &mut Page) {
        let Checked { events, signatures, records, verdicts, .. } = self;
        page.labelled("checked", format!("events {events}, signatures {signatures}, records {records}, final verdicts {verdicts}"));
        if let (Some(objects), Some(bytes)) = (self.objects, self.objects_bytes) {
            page.labelled("", format!("objects in the store {objects}, bytes {bytes}"));
        }
    }
}

fn known_in_words(known: &str) -> &'static str {
    match known {
        "equal" => "the head you know is the ledger's",
        "continued" => "the ledger has the head you know, and went on behind it",
        "later" => "the head you know is LATER than the ledger's",
        _ => "the ledger has ANOTHER history than the head you know",
    }
}

/// Checks the desk and tells what was found.
pub fn integrity(args: &IntegrityArgs, out: &mut Output) -> Outcomes<Exit> {
    if let Some(other) = &args.against {
        return against(&args.ledger, other, args.proof.as_deref(), out);
    }
    let request = Request { ledger: args.ledger.clone(), deep: args.deep, known: args.expect_head.clone(), insists: args.halt };
    let progress = out.progress(false);
    let found = check::integrity(&request, &mut || args.passphrase.given(), &mut |effect, what| progress.effect(effect, what))?;
    drop(progress);
    let checkup = Checkup::of(&found);
    out.give(&checkup);
    Ok(checkup.exit())
}

//! `witness integrity`: the whole desk checked, and what was found.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::run::integrity::{self as check, Integrity, Request};
use crate::run::problem::{Exit, Outcomes};

use super::branches::against;
use super::output::{Answer, Output, Page};

/// `tabellion witness integrity`
#[derive(Args)]
pub struct IntegrityArgs {
    /// The desk's folder
    #[arg(long, value_name = "DIR")]
    ledger: PathBuf,
    /// Verify every signature, not only the last, which commits to all
    #[arg(long)]
    deep: bool,
    /// Compare with another copy of this desk, its folder or its database, which is only read: where the two part
    #[arg(long, value_name = "OTHER", conflicts_with = "deep")]
    against: Option<PathBuf>,
    /// Write the proof of a fork here, if two signed checkpoints make one
    #[arg(long, value_name = "FILE", requires = "against")]
    proof: Option<PathBuf>,
}

/// `witness integrity`
#[derive(Serialize)]
struct Checkup {
    /// Whether the ledger and its head file are what was written.
    health: Health,
    /// How much was checked.
    checked: Checked,
    /// How the head file stands to the ledger; absent when that could not be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    head_file: Option<&'static str>,
    /// The last event.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_event: Option<LastEvent>,
    /// A session that is committed and not sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    unsealed: Option<u64>,
    /// Who else writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    writer: Option<String>,
    /// Why the desk signs nothing any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    halted: Option<String>,
}

#[derive(Serialize)]
struct Health {
    /// `ok` or `corrupted`.
    state: &'static str,
    /// The last event before which nothing is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_good_seq_no: Option<u64>,
    /// The first event that is wrong or missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_bad_seq_no: Option<u64>,
    /// What is wrong with it, in a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    /// The rule that it breaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'static str>,
    /// The compared values.
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<String>,
}

#[derive(Serialize)]
struct Checked {
    events: u64,
    signatures: u64,
    records: u64,
    verdicts: u64,
}

#[derive(Serialize)]
struct LastEvent {
    seq_no: u64,
    event_id: String,
    event_type: &'static str,
    event_hash: String,
}

impl Checkup {
    fn of(found: &Integrity) -> Checkup {
        let wrong = found.found.wrong.as_ref();
        let checked = found.checked;
        Checkup {
            health: Health {
                state: if wrong.is_some() { "corrupted" } else { "ok" },
                last_good_seq_no: wrong.map(|wrong| wrong.last_good_seq_no),
                first_bad_seq_no: wrong.map(|wrong| wrong.first_bad_seq_no),
                kind: wrong.map(|wrong| wrong.kind),
                rule: wrong.map(|wrong| wrong.fault.rule.id()),
                found: wrong.map(|wrong| wrong.fault.shown().to_owned()),
            },
            checked: Checked {
                events: checked.events,
                signatures: checked.signatures,
                records: checked.records,
                verdicts: checked.verdicts,
            },
            head_file: found.found.stand.map(|stand| stand.word()),
            last_event: found.last.as_ref().map(|event| LastEvent {
                seq_no: event.seq_no,
                event_id: event.event_id.clone(),
                event_type: event.event_type.as_str(),
                event_hash: hex::encode(event.event_hash),
            }),
            unsealed: found.found.books.unsealed().map(|session| session.opened.session),
            writer: found.writer.clone(),
            halted: found.halted.clone(),
        }
    }

    fn exit(&self) -> Exit {
        match () {
            () if self.writer.is_some() => Exit::Writer,
            () if self.halted.is_some() || self.health.found.is_some() => Exit::Halted,
            () => Exit::Done,
        }
    }
}

impl Answer for Checkup {
    fn say(&self, page: &mut Page) {
        let health = &self.health;
        match (&health.found, health.kind) {
            (Some(found), Some(kind)) => {
                page.labelled("health", format!("CORRUPTED: {kind}, event {}", health.first_bad_seq_no.unwrap_or_default()));
                page.below("found", found);
                page.below("good", format!("up to event {}", health.last_good_seq_no.unwrap_or_default()));
            }
            _ => page.labelled("health", "ok"),
        }
        let Checked { events, signatures, records, verdicts } = self.checked;
        page.labelled("checked", format!("events {events}, signatures {signatures}, records {records}, verdicts {verdicts}"));
        if let Some(stand) = self.head_file {
            page.labelled("head file", stand);
        }
        if let Some(last) = &self.last_event {
            page.labelled("last", format!("event {}, {} {}, {}", last.seq_no, last.event_type, last.event_id, last.event_hash));
        }
        if let Some(session) = self.unsealed {
            page.labelled("broken", format!("session {session} is committed but not sealed; run tabellion witness session again"));
        }
        if let Some(writer) = &self.writer {
            page.labelled("writer", writer);
        }
        if let Some(reason) = &self.halted {
            page.labelled("HALTED", reason);
        }
    }
}

/// Checks the desk and tells what was found.
pub fn integrity(args: &IntegrityArgs, out: &mut Output) -> Outcomes<Exit> {
    if let Some(other) = &args.against {
        return against(&args.ledger, other, args.proof.as_deref(), out);
    }
    let found = check::integrity(&Request { ledger: args.ledger.clone(), deep: args.deep })?;
    let checkup = Checkup::of(&found);
    out.give(&checkup);
    Ok(checkup.exit())
}

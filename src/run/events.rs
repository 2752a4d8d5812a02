//! A plan as the events that the ledger is handed, in the order of SPEC 7.4.

use std::sync::OnceLock;

use crate::broker::NewEvent;
use crate::core::cbor::Canonical;
use crate::core::event::EventType;
use crate::core::ids::Hash;
use crate::core::payload::{Closed, ListedFile};
use crate::core::plan::Plan;
use crate::core::rules::{Checked, Fault, Rule};

use super::files::hash_file;

/// SHA-256 of the program that runs, read once: what is put in its place later is not what runs.
///
/// # Errors
/// `file-fault`.
pub fn program_digest() -> Checked<Hash> {
    static DIGEST: OnceLock<Hash> = OnceLock::new();
    if let Some(digest) = DIGEST.get() {
        return Ok(*digest);
    }
    let path = std::env::current_exe().map_err(|error| Fault::new(Rule::FileFault, format!("this program: {error}")))?;
    let (digest, _) = hash_file(&path)?;
    Ok(*DIGEST.get_or_init(|| digest))
}

/// The closing event. Its inventory comes last in the session, so that file names cannot reach the session's records.
///
/// # Errors
/// `file-fault` when this program cannot be read.
pub fn closed(plan: &Plan, media: Vec<Vec<ListedFile>>, confirmation: String, pack: Option<(Hash, u64)>) -> Checked<Closed> {
    Ok(Closed {
        session: plan.opened().session,
        after: plan.after(),
        state_root: plan.state().root(),
        media,
        version: env!("CARGO_PKG_VERSION").into(),
        program: program_digest()?,
        confirmation,
        pack,
    })
}

/// The events of a session, in the order of SPEC 7.4.
pub fn events_of(plan: &Plan, closed: Closed) -> Vec<NewEvent> {
    let session = plan.opened().session;
    let opened = (EventType::Opened, plan.opened().to_cbor());
    let rulings = plan.rulings().iter().map(|ruling| {
        let event_type = if ruling.verdict.is_final() { EventType::Verdict } else { EventType::Notice };
        (event_type, ruling.to_cbor())
    });
    let all = std::iter::once(opened).chain(rulings).chain(std::iter::once((EventType::Closed, closed.to_cbor())));
    let event = |(index, (event_type, payload))| NewEvent {
        event_id: format!("{session}/{index}"),
        timestamp: plan.opened().time.unwrap_or(0),
        event_type,
        payload,
    };
    all.enumerate().map(event).collect()
}

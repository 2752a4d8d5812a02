//! `witness status`: where the desk stands, in words, as JSON, and as Prometheus text.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::run::desk::Desk;
use crate::run::problem::{Exit, Outcomes};
use crate::run::status::{self, Status, status as look};

use super::backup::StandbyFacts;
use super::desk_facts::{Health, Value, head_as_asked};
use super::facts::{Head, sha256};
use super::output::{Answer, Output, Page};
use super::prometheus;

/// `tabellion witness status`
#[derive(Args)]
pub struct StatusArgs {
    /// The desk's folder
    #[arg(long, value_name = "DIR")]
    ledger: PathBuf,
    /// Print only the charter's fingerprint
    #[arg(long, conflicts_with = "head")]
    fingerprint: bool,
    /// Print only the head as N:WORDS, as --expect-head of a session takes it
    #[arg(long)]
    head: bool,
    /// Print metrics for Prometheus (docs/metrics.md)
    #[arg(long, conflicts_with_all = ["fingerprint", "head"])]
    prometheus: bool,
}

/// `witness status`
#[derive(Serialize)]
struct Stands {
    /// What follows from the ledger; nothing when it fails its check.
    #[serde(flatten)]
    common: Option<Common>,
    /// What the folder is when it is no desk that may sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    standby: Option<StandbyFacts>,
    /// Why the desk signs nothing any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    halted: Option<String>,
    /// Whether it passed its start-up checks.
    health: Health,
    /// Counters of the desk's whole life, and of this check.
    metrics: Metrics,
}

/// What follows from the ledger.
#[derive(Serialize)]
struct Common {
    /// The Common.
    origin: String,
    /// Whether it counts for nothing.
    rehearsal: bool,
    /// Its head.
    head: Head,
    /// The charter's fingerprint, 64 hex digits.
    fingerprint: String,
    /// The log key in force, as a verifier key.
    log_key: String,
    /// SHA-256 of the policy in force.
    policy: String,
    /// Sessions, the founding among them.
    sessions: usize,
    /// Papers that wait.
    held: usize,
    /// A session that is committed and not sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    unsealed: Option<u64>,
}

#[derive(Serialize)]
struct Metrics {
    /// Events in the ledger, by type.
    events: Vec<Count>,
    /// Every answer that was given, by verdict and rule.
    answers: Vec<Answered>,
    /// Rows of records.
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<u64>,
    /// The last time claim of a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_time_claim: Option<u64>,
    /// Sizes of the ledger's files.
    files: Vec<FileSize>,
    /// Checks made by this process.
    startup_checks: u64,
    /// Those that found corruption.
    corruptions_detected: u64,
    /// Events that the last one found whole.
    events_checked: u64,
    /// How long it took.
    check_us: u64,
}

#[derive(Serialize)]
struct Count {
    /// The word of the type.
    event_type: String,
    /// How many.
    count: u64,
}

#[derive(Serialize)]
struct Answered {
    /// `accepted`, `refused`, `pending` or `deferred`.
    verdict: &'static str,
    /// The rule, unless accepted.
    #[serde(skip_serializing_if = "str::is_empty")]
    rule: &'static str,
    /// How many.
    count: u64,
}

#[derive(Serialize)]
struct FileSize {
    /// Its name in the desk's folder.
    file: String,
    /// Its size.
    size_bytes: u64,
}

impl Answer for Stands {
    fn say(&self, page: &mut Page) {
        if let Some(common) = &self.common {
            page.labelled("origin", format!("{}{}", common.origin, if common.rehearsal { ", a REHEARSAL" } else { "" }));
            page.labelled("head", common.head.to_string());
            page.labelled("root", &common.head.root);
            page.labelled("fingerprint", &common.fingerprint);
            page.labelled("log key", &common.log_key);
            page.labelled("policy", &common.policy);
            page.labelled("sessions", format!("{}, papers held {}", common.sessions, common.held));
            if let Some(session) = common.unsealed {
                let next = if self.standby.is_some() {
                    "whoever becomes the writer seals it first"
                } else {
                    "run tabellion witness session again"
                };
                page.labelled("broken", format!("session {session} is committed but not sealed; {next}"));
            }
        }
        page.labelled("health", health_in_words(&self.health, &self.metrics));
        if let Some(reason) = &self.halted {
            page.labelled("HALTED", reason);
        }
        if let Some(standby) = &self.standby {
            standby.say(page);
        }
    }
}

fn health_of(status: &Status) -> Health {
    let (last_good_seq_no, first_bad_seq_no, kind) = match status.health {
        status::Health::Corrupted { last_good, first_bad, kind } => (Some(last_good), Some(first_bad), Some(kind)),
        status::Health::Ok | status::Health::Unusable => (None, None, None),
    };
    let fault = status.problem.as_ref().map(|problem| &problem.fault);
    let (rule, found) = (fault.map(|fault| fault.rule.id()), fault.map(|fault| fault.shown().to_owned()));
    Health { state: status.health.word(), last_good_seq_no, first_bad_seq_no, kind, rule, found }
}

fn health_in_words(health: &Health, metrics: &Metrics) -> String {
    match (health.last_good_seq_no, health.first_bad_seq_no, health.kind) {
        (Some(last_good), _, Some("schema")) => format!("{}: the schema; each of the {last_good} events is good", health.state),
        (Some(last_good), Some(first_bad), Some(kind)) => {
            format!("{}: event {first_bad} is the first bad one ({kind}), event {last_good} the last good one", health.state)
        }
        _ if health.rule.is_none() => format!("{}, {} events checked", health.state, metrics.events_checked),
        _ => format!("{}: [{}]", health.state, health.rule.unwrap_or_default()),
    }
}

impl Common {
    fn of(desk: &Desk) -> Outcomes<Common> {
        let books = desk.books();
        Ok(Common {
            origin: books.origin()?.to_string(),
            rehearsal: books.charter()?.rehearsal,
            head: Head::from(&books.head()),
            fingerprint: books.log().root_at(1).unwrap_or_default().to_string(),
            log_key: books.log_key()?.to_string(),
            policy: sha256(&books.policy()?.hash()),
            sessions: books.headings().len(),
            held: books.held().len(),
            unsealed: books.unsealed().map(|heading| heading.session),
        })
    }
}

impl Metrics {
    fn of(status: &Status) -> Metrics {
        let stored = status.stored.as_ref();
        let events = stored.iter().flat_map(|stored| &stored.events_by_type);
        let answers = status.desk.as_ref().map(|desk| desk.books().answers().clone()).unwrap_or_default();
        let files = stored.iter().flat_map(|stored| &stored.file_bytes);
        Metrics {
            events: events.map(|(event_type, &count)| Count { event_type: event_type.clone(), count }).collect(),
            answers: answers.into_iter().map(|((verdict, rule), count)| Answered { verdict, rule, count }).collect(),
            records: stored.map(|stored| stored.records),
            last_time_claim: status.desk.as_ref().and_then(|desk| status::last_time_claim(desk.books())),
            files: files.map(|(file, &size_bytes)| FileSize { file: file.clone(), size_bytes }).collect(),
            startup_checks: status.check.count,
            corruptions_detected: status.check.corruptions,
            events_checked: status.check.events,
            check_us: status.check.took_us,
        }
    }
}

/// Runs it.
pub fn status(args: &StatusArgs, out: &mut Output) -> Outcomes<Exit> {
    let found = look(&args.ledger)?;
    let common = found.desk.as_ref().map(Common::of).transpose()?;
    match (&common, &found.problem) {
        (Some(common), _) if args.fingerprint => out.give(&Value { value: common.fingerprint.clone() }),
        (Some(common), _) if args.head => out.give(&Value { value: head_as_asked(&common.head) }),
        (None, Some(problem)) if args.fingerprint || args.head => return Err(problem.clone()),
        _ if args.prometheus => out.give(&prometheus::exposition(&args.ledger, &found)?),
        _ => {
            let (health, metrics) = (health_of(&found), Metrics::of(&found));
            let standby = found.standby.as_ref().map(StandbyFacts::of);
            out.give(&Stands { common, standby, halted: found.halted.clone(), health, metrics });
        }
    }
    match found.problem {
        Some(problem) => Err(problem),
        // One value alone is as good from a desk that is halted.
        None if found.halted.is_some() && !args.fingerprint && !args.head => Ok(Exit::Halted),
        None => Ok(Exit::Done),
    }
}

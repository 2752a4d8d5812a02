//! `witness audit`, `domain audit`: who asked a ledger for what, and what became of it.

use std::path::Path;

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde::Serialize;

use crate::clock;
use crate::run::audit::{self as run, Audit, Entry, Filter, Recorded, Status};
use crate::run::problem::{Exit, Outcomes, Problem};
use crate::run::words;

use super::output::{Answer, Output, Page};

/// How many requests are shown unless more are asked for.
const LAST: u64 = 100;
/// What is said of a request that has no outcome.
const UNFINISHED: &str = "unfinished";

/// Outcomes that do not explain themselves.
const WORDS: [(&str, &str); 3] = [
    ("joined", "another request for the same was running, and its answer was given to both"),
    ("cached", "the answer was given to another request a moment before"),
    (UNFINISHED, "it still runs, or its process ended before its outcome was recorded"),
];

/// Which requests are shown
#[derive(Args)]
pub struct AuditArgs {
    /// Only requests made at this time or later: RFC 3339
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only requests made at this time or before: RFC 3339
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only requests of this command, as 'witness session'
    #[arg(long, value_name = "COMMAND")]
    program: Option<String>,
    /// Only requests for this, as append
    #[arg(long = "type", value_name = "TYPE")]
    request_type: Option<String>,
    /// Only requests that ended so
    #[arg(long, value_name = "STATUS", value_parser = PossibleValuesParser::new(Status::ALL.map(Status::word).into_iter().chain([UNFINISHED])))]
    status: Option<String>,
    /// Only requests that would change something
    #[arg(long)]
    writes: bool,
    /// Only requests of the user with this number
    #[arg(long, value_name = "UID")]
    uid: Option<u32>,
    /// One request, with all that is known of it: its number in the trail, or its id
    #[arg(long, value_name = "NUMBER")]
    request: Option<String>,
    /// So many of them, the last ones; 100 without it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    last: Option<u64>,
    /// All of them
    #[arg(long, conflicts_with = "last")]
    all: bool,
}

/// `witness audit`, `domain audit`
#[derive(Serialize)]
struct Trail {
    /// The trail's file.
    file: String,
    /// Whether it is there.
    is_there: bool,
    /// Requests in it.
    total: u64,
    /// Numbers before the last one that have no request.
    missing: u64,
    /// Older ones that fit, and are not shown.
    left_out: u64,
    /// Those that fit, in the order in which they were recorded.
    requests: Vec<Request>,
    /// Whether one is shown with all there is of it.
    #[serde(skip)]
    in_full: bool,
}

/// One request.
#[derive(Serialize)]
struct Request {
    /// 1, 2, 3, … in the order in which they were recorded.
    number: u64,
    /// Its id, 32 hex digits.
    id: String,
    /// When it was asked by the machine's clock, RFC 3339; absent when it had none.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    /// The user who asked.
    uid: u32,
    /// Their process.
    pid: u32,
    /// The command.
    program: String,
    /// The ledger.
    ledger: String,
    /// What was asked.
    #[serde(rename = "type")]
    request_type: String,
    /// Whether it would change something.
    is_write: bool,
    /// What tells it from others of its type.
    #[serde(skip_serializing_if = "String::is_empty")]
    key: String,
    /// The key under which it is applied once.
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<String>,
    /// How it ended.
    status: &'static str,
    /// The rule that refused it.
    #[serde(skip_serializing_if = "String::is_empty")]
    rule: String,
    /// Microseconds to its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_us: Option<u64>,
    /// What it changed.
    #[serde(skip_serializing_if = "String::is_empty")]
    affected: String,
}

impl From<Entry> for Request {
    fn from(entry: Entry) -> Request {
        let (asked, ended) = (entry.asked, entry.ended);
        Request {
            number: entry.number,
            id: hex::encode(asked.request_id),
            time: (asked.at > 0).then(|| clock::show(asked.at)),
            uid: asked.uid,
            pid: asked.pid,
            program: asked.program,
            ledger: asked.ledger,
            request_type: asked.request_type,
            is_write: asked.is_write,
            key: asked.key,
            idempotency_key: asked.idempotency_key,
            status: ended.as_ref().map_or(UNFINISHED, |ended| ended.status.word()),
            latency_us: ended.as_ref().map(|ended| ended.latency_us),
            rule: ended.as_ref().map(|ended| ended.rule.clone()).unwrap_or_default(),
            affected: ended.map(|ended| ended.affected).unwrap_or_default(),
        }
    }
}

impl Answer for Trail {
    fn say(&self, page: &mut Page) {
        if !self.is_there {
            page.labelled("none", format!("{} is not there: nothing is recorded of who asked this ledger for what", self.file));
            return;
        }
        match (self.requests.as_slice(), self.in_full) {
            ([], _) => page.labelled("none", format!("{} has {}, and none of them fits", self.file, count(self.total))),
            (requests, true) => requests.iter().for_each(|request| request.say_all(page)),
            (requests, false) => say_table(requests, page),
        }
        if self.left_out > 0 {
            page.labelled("more", format!("{} before these fit as well: --last N shows more, --all shows all", count(self.left_out)));
        }
        for (word, meaning) in WORDS {
            if self.requests.iter().any(|request| request.status == word) {
                page.line(format!("{word}: {meaning}"));
            }
        }
        if self.missing > 0 {
            let what = format!("{} taken out of {}, as the numbers of the others show", count(self.missing), self.file);
            page.labelled("MISSING", what);
        }
    }
}

fn count(requests: u64) -> String {
    words::count(usize::try_from(requests).unwrap_or(usize::MAX), "request")
}

/// One line a request; what it changed stands in its last column, or in a line below when it is long.
fn say_table(requests: &[Request], page: &mut Page) {
    const SHORT: usize = 32;
    let titles = ["number", "time", "user/process", "command", "asked", "outcome", "took", "changed"].map(str::to_owned);
    let row = |request: &Request| {
        let outcome = if request.rule.is_empty() { request.status.to_owned() } else { format!("{} [{}]", request.status, request.rule) };
        [
            request.number.to_string(),
            request.time.clone().unwrap_or_else(|| "no clock".to_owned()),
            format!("{}/{}", request.uid, request.pid),
            request.program.escape_debug().to_string(),
            request.request_type.escape_debug().to_string(),
            outcome.escape_debug().to_string(),
            request.latency_us.map_or(String::new(), took),
            if request.affected.chars().count() > SHORT { String::new() } else { request.affected.clone() },
        ]
    };
    let rows: Vec<_> = requests.iter().map(row).collect();
    let width = |at: usize| rows.iter().chain([&titles]).map(|row| row[at].chars().count()).max().unwrap_or_default();
    let widths: [usize; 8] = std::array::from_fn(width);
    let line = |row: &[String; 8]| {
        let cell = |at: usize| match at {
            // Numbers end where numbers end.
            0 | 6 => format!("{:>1$}", row[at], widths[at]),
            _ => format!("{:1$}", row[at], widths[at]),
        };
        (0..8).map(cell).collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    page.line(line(&titles));
    for (row, request) in rows.iter().zip(requests) {
        page.line(line(row));
        if row[7] != request.affected {
            page.line(format!("{:1$}  changed {2}", "", widths[0], request.affected));
        }
    }
}

/// A duration in three digits or so.
fn took(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..10_000 => format!("{}.{} ms", us / 1_000, us % 1_000 / 100),
        10_000..1_000_000 => format!("{} ms", us / 1_000),
        _ => format!("{}.{} s", us / 1_000_000, us % 1_000_000 / 100_000),
    }
}

impl Request {
    /// Everything that is known of it, in lines.
    fn say_all(&self, page: &mut Page) {
        page.labelled("request", format!("{}, number {} of the trail", self.id, self.number));
        page.labelled("time", self.time.as_deref().unwrap_or("the machine had no clock"));
        page.labelled("by", format!("user {}, process {}: {}", self.uid, self.pid, self.program));
        page.labelled("ledger", &self.ledger);
        page.labelled("asked", format!("{}{}", self.request_type, if self.is_write { ", to change something" } else { ", to look" }));
        if !self.key.is_empty() {
            page.labelled("key", &self.key);
        }
        if let Some(key) = &self.idempotency_key {
            page.labelled("once", format!("under the key {key}"));
        }
        let rule = if self.rule.is_empty() { String::new() } else { format!(" [{}]", self.rule) };
        let took = self.latency_us.map_or(String::new(), |us| format!(" after {}", took(us)));
        page.labelled("outcome", format!("{}{rule}{took}", self.status));
        if !self.affected.is_empty() {
            page.labelled("changed", &self.affected);
        }
    }
}

/// Runs it for the ledger in this folder.
pub fn audit(dir: &Path, args: &AuditArgs, out: &mut Output) -> Outcomes<Exit> {
    let found = run::audit(dir, &filter(args)?)?;
    let Audit { path, recorded } = found;
    let is_there = recorded.is_some();
    let Recorded { entries, left_out, total, missing } = recorded.unwrap_or_default();
    out.give(&Trail {
        file: path.display().to_string(),
        is_there,
        total,
        missing,
        left_out,
        requests: entries.into_iter().map(Request::from).collect(),
        in_full: args.request.is_some(),
    });
    Ok(Exit::Done)
}

fn filter(args: &AuditArgs) -> Outcomes<Filter> {
    let word = args.status.as_deref();
    Ok(Filter {
        since: args.since.as_deref().map(moment).transpose()?,
        until: args.until.as_deref().map(moment).transpose()?,
        program: args.program.clone(),
        request_type: args.request_type.clone(),
        status: word.and_then(Status::from_word),
        only_unfinished: word == Some(UNFINISHED),
        uid: args.uid,
        only_writes: args.writes,
        request: args.request.as_deref().map(run::which).transpose()?,
        last: if args.all { None } else { Some(args.last.unwrap_or(LAST)) },
    })
}

fn moment(text: &str) -> Outcomes<u64> {
    clock::parse_claim(text)?.ok_or_else(|| Problem::usage(format!("time {text:?} found; a time as 2026-03-01T12:00:00Z expected")))
}

//! Every acceptance, refusal, check and latch: counted, and told to whoever listens (`docs/logs.md`). Nothing here decides anything.

use std::sync::Arc;

use tracing::{Level, enabled, error, info, warn};

use super::audit::Keys;
use super::{CheckInput, Effort, Health, Ledger, LedgerError, Metrics, NewEvent, Trouble, Uint, Why};
use crate::core::rules::{Checked, Fault, Rule};

/// A monotonic clock: microseconds since any moment. The ledger has no clock of its own.
pub type MonotonicUs = fn() -> u64;

/// What a ledger remembers of its use in this process.
#[derive(Default)]
pub(super) struct Watch {
    pub(super) metrics: Metrics,
    pub(super) checked: Option<Health>,
    /// Made by this process, and empty then: there was nothing to check.
    pub(super) made_here: bool,
    clock: Option<MonotonicUs>,
}

impl Ledger {
    /// Measures with this clock from now on. Without one, latencies are not counted.
    pub fn measure_with(&mut self, clock: MonotonicUs) {
        self.watch.borrow_mut().clock = Some(clock);
    }

    /// What this process did with the ledger since it was opened.
    pub fn metrics(&self) -> Metrics {
        self.watch.borrow().metrics.clone()
    }

    /// Checks the file's pages, and every event: number, id, epoch, key, link, hash, payload, records and verdicts; the signature of the
    /// last event, which commits to all, or with `deep` each. What it finds is the [health](Ledger::health) from now on.
    ///
    /// # Errors
    /// `ledger-fault` when the file cannot be read. What is wrong in a file that can be read is in the [`Health`].
    pub fn start_up_check(&self, input: &CheckInput<'_>) -> Checked<Health> {
        self.start_up_check_observed(input, &Effort::default(), &mut |_| {})
    }

    /// [`Ledger::start_up_check`] with an effort of the caller's, which tells `observe` of each step before it happens: `walk events`,
    /// `compare tables`, `walk pages`, and `walk again` when there is something to locate.
    ///
    /// # Errors
    /// As [`Ledger::start_up_check`].
    pub fn start_up_check_observed(
        &self,
        input: &CheckInput<'_>,
        effort: &Effort,
        observe: &mut dyn FnMut(&'static str),
    ) -> Checked<Health> {
        let began = self.now_us();
        let outcome = self.check(input, effort, observe);
        let ended = self.now_us();
        let mut watch = self.watch.borrow_mut();
        watch.metrics.startup_checks_total += 1;
        if let (Some(began), Some(ended)) = (began, ended) {
            watch.metrics.check_latency.add(ended.saturating_sub(began));
        }
        match &outcome {
            Ok(Health::Ok) => {
                let text = "SELECT coalesce(max(seq_no), 0) FROM events";
                let Uint(events) = self.db.query_row(text, [], |row| row.get(0)).unwrap_or(Uint(0));
                watch.metrics.last_check_events = events;
                if !matches!(watch.checked, Some(Health::Corrupted { .. })) {
                    watch.checked = Some(Health::Ok);
                }
                info!(target: "ledger", events, deep = input.deep, "check passed");
            }
            Ok(found @ Health::Corrupted { last_good_seq_no, first_bad_seq_no, kind, found: values }) => {
                watch.metrics.last_check_events = *last_good_seq_no;
                watch.metrics.corruptions_detected_total += 1;
                if !matches!(watch.checked, Some(Health::Corrupted { .. })) {
                    watch.checked = Some(found.clone());
                }
                error!(target: "ledger", last_good_seq_no, first_bad_seq_no, kind = kind.word(), found = %values, "corruption found");
            }
            Err(fault) => error!(target: "ledger", rule = fault.rule.id(), found = %fault.found, "check failed"),
        }
        outcome
    }

    fn now_us(&self) -> Option<u64> {
        self.watch.borrow().clock.map(|clock| clock())
    }

    /// The moment before an append.
    pub(super) fn begin(&self) -> Option<u64> {
        self.now_us()
    }

    /// Whether what is there was checked before anything follows it: an event behind a broken one would vouch for it.
    fn is_checked(&self) -> bool {
        let watch = self.watch.borrow();
        watch.made_here || watch.checked == Some(Health::Ok)
    }

    /// Whether anything may be appended at all: the public key when it may.
    pub(super) fn may_append(&self, events: &[NewEvent]) -> Result<Arc<Keys>, Trouble> {
        let refuse = |why, fault| Err(Trouble { why, ..Trouble::kept(fault) });
        if let Err(fault) = self.usable() {
            return refuse(Why::Latched, fault);
        }
        if let Some(Err(fault)) = self.watch.borrow().checked.clone().map(Health::into_checked) {
            return refuse(Why::Corrupted, fault);
        }
        let Some(key) = &self.signing_key else {
            return refuse(Why::Locked, Fault::new(Rule::InternalFault, "a locked ledger found; an unlocked one expected"));
        };
        if !self.is_checked() {
            let found = "an unchecked ledger found; one that passed its start-up check in this process expected";
            return refuse(Why::Unchecked, Fault::new(Rule::InternalFault, found));
        }
        if events.is_empty() {
            return refuse(Why::NothingToAppend, Fault::new(Rule::InternalFault, "0 events to append found; at least 1 expected"));
        }
        Ok(Arc::clone(key))
    }

    /// The events are committed and synced.
    pub(super) fn accepted(&self, events: &[NewEvent], began: Option<u64>) {
        let ended = self.now_us();
        {
            let metrics = &mut self.watch.borrow_mut().metrics;
            metrics.commits_total += 1;
            metrics.events_appended_total += events.len() as u64;
            if let (Some(began), Some(ended)) = (began, ended) {
                metrics.append_latency.add(ended.saturating_sub(began));
            }
        }
        // Nobody listens in most runs: then nothing is read for them.
        if enabled!(target: "ledger", Level::INFO)
            && let Err(error) = self.tell_last(events.len() as u64)
        {
            self.sqlite_fault("reading what was appended", &error);
        }
    }

    fn tell_last(&self, count: u64) -> rusqlite::Result<()> {
        let text = "SELECT seq_no, event_id, event_type, event_hash FROM events WHERE seq_no > (SELECT max(seq_no) FROM events) - ?1 ORDER BY seq_no";
        let mut statement = self.db.prepare_cached(text)?;
        let mut rows = statement.query([Uint(count)])?;
        while let Some(row) = rows.next()? {
            let (Uint(seq_no), event_id, event_type): (Uint, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let event_hash = hex::encode(row.get::<_, [u8; 32]>(3)?);
            info!(target: "ledger", seq_no, event_id, event_type, event_hash, "event accepted");
        }
        Ok(())
    }

    /// Nothing was appended, or nobody knows.
    pub(super) fn refused(&self, events: &[NewEvent], trouble: Trouble) -> LedgerError {
        let why = match trouble.why {
            Why::EventId if self.is_duplicate(events) => Why::DuplicateEventId,
            why => why,
        };
        *self.watch.borrow_mut().metrics.appends_refused_total.entry(why).or_default() += 1;
        let tried = trouble.event.clone().or_else(|| events.first().map(|event| (event.event_id.clone(), event.event_type)));
        let (event_id, event_type) = tried.map_or((String::new(), ""), |(id, event_type)| (id, event_type.as_str()));
        let (rule, found) = (trouble.fault.rule.id(), &trouble.fault.found);
        warn!(target: "ledger", reason = why.word(), rule, %found, event_id, event_type, events = events.len() as u64, "event refused");
        LedgerError { why, fault: self.note(trouble) }
    }

    /// Whether one of the ids is in the ledger, or twice among them.
    fn is_duplicate(&self, events: &[NewEvent]) -> bool {
        let mut seen = std::collections::BTreeSet::new();
        events.iter().any(|event| {
            let text = "SELECT count(*) FROM events WHERE event_id = ?1";
            let known = self.db.prepare_cached(text).and_then(|mut found| found.query_row([&event.event_id], |row| row.get(0)));
            !seen.insert(&event.event_id) || known.unwrap_or(0_i64) > 0
        })
    }

    /// An I/O error ends the use of this ledger; told once.
    pub(super) fn latched(&self, fault: &Fault) {
        self.watch.borrow_mut().metrics.latches_total += 1;
        error!(target: "ledger", rule = fault.rule.id(), found = %fault.found, "ledger latched");
    }
}

//! What code of this process asks the broker: each method is one typed request, or several of a kind.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::book::turned_away;
use super::front::{Broker, Opened};
use super::request::{Answer, Append, Call, ROWS_MAX, Read, WALK_BYTES};
use crate::core::event::{Event, EventSigner};
use crate::core::rules::{Checked, Fault, Rule};
use crate::ledger::{CheckInput, Health, HealthReport, Ledger, LedgerError, Metrics, NewEvent, Table, Tally};

/// Another kind of answer than that of the request.
fn astray(answer: &Answer) -> Fault {
    Fault::new(Rule::InternalFault, format!("an answer to another request found: {answer:?}"))
}

impl Broker {
    /// [`Ledger::create_observed`].
    ///
    /// # Errors
    /// As there.
    pub fn create(dir: &Path, instance: &[u8; 16], signer: Arc<dyn EventSigner>, observe: &mut dyn FnMut(&'static str)) -> Checked<Broker> {
        Broker::around(Ledger::create_observed(dir, instance, signer, observe)?, Opened::ToWrite)
    }

    /// Opens the ledger to write: takes its lock.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn open(dir: &Path) -> Checked<Broker> {
        let opened = Ledger::open(dir).and_then(|ledger| Broker::around(ledger, Opened::ToWrite));
        let broker = opened.inspect_err(|fault| turned_away(dir, fault))?;
        broker.with(&Call::of("open", ""), |_| Ok(()))?;
        Ok(broker)
    }

    /// Opens the ledger to look, also while another process writes. Nothing that was read is kept, for it may be old already.
    ///
    /// # Errors
    /// As [`Ledger::open_read_only`].
    pub fn look(dir: &Path) -> Checked<Broker> {
        Broker::around(Ledger::open_read_only(dir)?, Opened::ToLook)
    }

    /// Opens what was refused, only to say where it is broken.
    ///
    /// # Errors
    /// As [`Ledger::open_to_diagnose`].
    pub fn diagnose(dir: &Path) -> Checked<Broker> {
        Broker::around(Ledger::open_to_diagnose(dir)?, Opened::ToLook)
    }

    /// Opens our copy of a ledger that may be prepared by an attacker.
    ///
    /// # Errors
    /// As [`Ledger::open_foreign`].
    pub fn foreign(dir: &Path) -> Checked<Broker> {
        Broker::around(Ledger::open_foreign(dir)?, Opened::Apart)
    }

    /// The `event_hash` of the last event; `None` while there is none.
    ///
    /// # Errors
    /// As [`Ledger::head`].
    pub fn head(&self) -> Checked<Option<[u8; 32]>> {
        match self.own(&Read::Head)? {
            Answer::Hash(hash) => Ok(hash),
            other => Err(astray(&other)),
        }
    }

    /// The `event_hash` of the event with this number, if there is one.
    ///
    /// # Errors
    /// As [`Ledger::hash_at`].
    pub fn hash_at(&self, seq_no: u64) -> Checked<Option<[u8; 32]>> {
        match self.own(&Read::HashAt { seq_no })? {
            Answer::Hash(hash) => Ok(hash),
            other => Err(astray(&other)),
        }
    }

    /// The last event; `None` while there is none.
    ///
    /// # Errors
    /// As [`Ledger::latest`].
    pub fn latest(&self) -> Checked<Option<Event>> {
        match self.own(&Read::Latest)? {
            Answer::Event(event) => Ok(event.map(|event| *event)),
            other => Err(astray(&other)),
        }
    }

    /// The event with this number, if there is one.
    ///
    /// # Errors
    /// As [`Ledger::by_seq_no`].
    pub fn by_seq_no(&self, seq_no: u64) -> Checked<Option<Event>> {
        match self.own(&Read::Event { seq_no })? {
            Answer::Event(event) => Ok(event.map(|event| *event)),
            other => Err(astray(&other)),
        }
    }

    /// Hands over every event from `from` on, in order, as many as one answer holds in memory at a time; ends at the first error of `take`.
    ///
    /// # Errors
    /// As [`Ledger::page`], and whatever `take` answers.
    pub fn for_each(&self, from: u64, mut take: impl FnMut(Event) -> Checked<()>) -> Checked<()> {
        let mut from = from.max(1);
        loop {
            let events = match self.own(&Read::Events { from, rows: ROWS_MAX, bytes: WALK_BYTES })? {
                Answer::Events(events) => events,
                other => return Err(astray(&other)),
            };
            let Some(last) = events.last() else { return Ok(()) };
            from = last.seq_no + 1;
            events.into_iter().try_for_each(&mut take)?;
        }
    }

    /// [`Ledger::start_up_check`].
    ///
    /// # Errors
    /// As there.
    pub fn start_up_check(&self, input: &CheckInput<'_>) -> Checked<Health> {
        let (keys, deep, must_hold) = (input.ledger_keys.to_vec(), input.deep, input.must_hold.to_vec());
        let check = move |ledger: &mut Ledger| ledger.start_up_check(&CheckInput { ledger_keys: &keys, deep, must_hold: &must_hold });
        self.with(&Call::of("check", if deep { "deep" } else { "" }), check)
    }

    /// [`Ledger::check_instance`].
    ///
    /// # Errors
    /// As there.
    pub fn check_instance(&self, expected: &[u8; 16]) -> Checked<()> {
        let expected = *expected;
        self.with(&Call::of("instance", ""), move |ledger| ledger.check_instance(&expected))
    }

    /// [`Ledger::unlock`]; with `keeps_log` whatever ends this process before it is done leaves the disk as it was then
    /// ([`Ledger::keep_log_on_close`]).
    ///
    /// # Errors
    /// As there; `trail-fault`, `disk-fault`, `file-fault` when what is written then could not be recorded.
    pub fn unlock(&self, signer: Arc<dyn EventSigner>, keeps_log: bool) -> Checked<()> {
        self.must_record()?;
        self.with(&Call::of("unlock", ""), move |ledger| {
            if keeps_log {
                ledger.keep_log_on_close(true)?;
            }
            ledger.unlock(signer)
        })
    }

    /// [`Ledger::write_back`].
    ///
    /// # Errors
    /// As there.
    pub fn write_back(&self) -> Checked<()> {
        self.with(&Call::of("write-back", ""), |ledger| ledger.write_back())
    }

    /// [`Ledger::commit_observed`].
    ///
    /// # Errors
    /// As there.
    pub fn commit(
        &self,
        expected_head: Option<[u8; 32]>,
        events: Vec<NewEvent>,
        observe: &mut dyn FnMut(&'static str),
    ) -> Result<[u8; 32], LedgerError> {
        let append = Append { expected_head, bring: Vec::new(), events, head_file: None, idempotency_key: None };
        let call = append.call();
        self.with_observed(&call, move |ledger, observe| ledger.commit_observed(expected_head, &append.events, observe), observe)
    }

    /// [`Ledger::health`].
    ///
    /// # Errors
    /// `internal-fault`.
    pub fn health(&self) -> Checked<HealthReport> {
        self.with(&Call::of("health", ""), |ledger| Ok(ledger.health()))
    }

    /// [`Ledger::metrics`].
    ///
    /// # Errors
    /// `internal-fault`.
    pub fn metrics(&self) -> Checked<Metrics> {
        self.with(&Call::of("metrics", ""), |ledger| Ok(ledger.metrics()))
    }

    /// [`Ledger::tally`].
    ///
    /// # Errors
    /// As there.
    pub fn tally(&self) -> Checked<Tally> {
        self.with(&Call::of("tally", ""), |ledger| ledger.tally())
    }

    /// [`Ledger::copy_to`].
    ///
    /// # Errors
    /// As there.
    pub fn copy_to(&self, into: &Path) -> Checked<()> {
        let into = into.to_owned();
        self.with(&Call::of("copy", ""), move |ledger| ledger.copy_to(&into))
    }

    /// [`Ledger::last_common`].
    ///
    /// # Errors
    /// As there.
    pub fn last_common(&self, other: &Broker) -> Checked<u64> {
        self.with_both(&Call::of("last-common", ""), other, |ours, theirs| ours.last_common(theirs))
    }

    /// [`Ledger::build_again`].
    ///
    /// # Errors
    /// As there.
    pub fn build_again(&self, ledger_keys: &[[u8; 32]], into: &Path) -> Checked<Broker> {
        let (ledger_keys, into) = (ledger_keys.to_vec(), into.to_owned());
        let built = self.with(&Call::of("build", ""), move |ledger| ledger.build_again(&ledger_keys, &into))?;
        Broker::around(built, Opened::Apart)
    }

    /// [`Ledger::compare_derived`].
    ///
    /// # Errors
    /// As there.
    pub fn compare_derived(&self, built: &Broker) -> Checked<Vec<Table>> {
        self.with_both(&Call::of("compare-tables", ""), built, |found, built| found.compare_derived(built))
    }

    /// [`Ledger::take_place`].
    ///
    /// # Errors
    /// As there.
    pub fn take_place(self, fresh: Broker, keep: &Path, observe: &mut dyn FnMut(&'static str)) -> Checked<(Broker, PathBuf)> {
        let (ledger, kept) = self.into_ledger()?.take_place(fresh.into_ledger()?, keep, observe)?;
        Ok((Broker::around(ledger, Opened::ToWrite)?, kept))
    }
}

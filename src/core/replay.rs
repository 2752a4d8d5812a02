//! Re-derivation: every record, verdict, order, state root and checkpoint text anew, from the papers as they were published.
//!
//! [`Replay`] runs the session's own code: [`admit_parsed`], [`Batch`] and [`plan`]. What is taken as given is what no paper says: fields 7
//! and 9 of the records (the ledger's head and the time claim), and which objects the desk held when it judged. All the rest is derived and
//! compared, and what goes into the books is always what was derived, never what was read: a difference is carried on to all that follows from it.

mod objects;

use std::collections::{BTreeMap, BTreeSet};

use super::batch::{Admitted, Batch, admit_parsed};
use super::books::Books;
use super::cbor::Canonical;
use super::charter;
use super::cose::{Envelope, PaperKind};
use super::event::{Event, EventType};
use super::ids::{Hash, Head, Pid};
use super::note::{Checkpoint, Note, assemble};
use super::objects::{HeldObject, Inside, Rows};
use super::payload::{Closed, Ruling, Sealed};
use super::plan::{Plan, found, plan};
use super::publish::checkpoint_text;
use super::record::{Record, RecordKind};
use super::rules::{Checked, Fault, Rule};
use super::session_file::Row;
use super::tree::Log;
use super::verify::{Verified, parse_envelope};

/// Most differences that are kept; all are counted.
pub const DIFFERENCES_MAX: usize = 20;
/// Most characters of a value that are shown.
const VALUE_CHARS_MAX: usize = 300;
/// What stands in the books for the signatures under notes, which are in receipts and not in the folder.
const NOT_PUBLISHED: &str = "-";

/// One thing that was published otherwise than it follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The session; none for a file that belongs to no single one.
    pub session: Option<u64>,
    /// The paper, where one is meant.
    pub paper: Option<Pid>,
    /// What differs: `verdict`, `order`, `record 4, field 5 (state root)`, a path.
    pub what: String,
    /// As published.
    pub published: String,
    /// As it follows from the papers.
    pub derived: String,
}

/// Differences, the first of them kept.
#[derive(Clone, Debug, Default)]
pub struct Differences {
    kept: Vec<Difference>,
    count: u64,
}

impl Differences {
    /// Notes one when the two values are not the same.
    pub fn compare(&mut self, session: Option<u64>, paper: Option<Pid>, what: &str, published: impl ToString, derived: impl ToString) {
        let (published, derived) = (published.to_string(), derived.to_string());
        if published == derived {
            return;
        }
        self.count += 1;
        if self.kept.len() < DIFFERENCES_MAX {
            let (what, published, derived) = (plain(what), plain(&published), plain(&derived));
            self.kept.push(Difference { session, paper, what, published, derived });
        }
    }

    /// The first ones.
    pub fn first(&self) -> &[Difference] {
        &self.kept
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }
}

/// A value as it is shown: it may come from a folder that nobody vouches for, and must not move a terminal's cursor.
fn plain(value: &str) -> String {
    let shown = value.chars().take(VALUE_CHARS_MAX).flat_map(|c| match c {
        ' '..='~' => vec![c],
        other => other.escape_default().collect(),
    });
    let cut = if value.chars().nth(VALUE_CHARS_MAX).is_some() { "…" } else { "" };
    shown.collect::<String>() + cut
}

/// What was published of one session.
pub struct Published<'a> {
    /// Its number.
    pub session: u64,
    /// The papers it judged, in the order judged.
    pub rows: &'a [Row],
    /// The records that name it, each with its place in the log, counted from 1.
    pub records: &'a [(u64, Record)],
    /// The whole log as published.
    pub log: &'a Log,
    /// The signature lines of every checkpoint, N − 1 first.
    pub lines: &'a [String],
}

/// The books as they follow from the sessions replayed so far.
#[derive(Default)]
pub struct Replay {
    books: Books,
    differences: Differences,
    unsealed: Option<Sealed>,
    checkpoints: u64,
}

/// Refuses records of kinds that this software does not write.
///
/// # Errors
/// `record-form`.
pub fn check_known(record: &Record) -> Checked<()> {
    match record.kind {
        RecordKind::Charter | RecordKind::Proposal | RecordKind::Policy => Ok(()),
        other => {
            let found = format!("common@{} is a {} record; a newer tabellion is needed to re-derive it", record.number, other.word());
            Err(Fault::new(Rule::RecordForm, found))
        }
    }
}

impl Replay {
    /// Replays the next session.
    ///
    /// # Errors
    /// `record-form` for a kind of paper that a newer tabellion judges; `checkpoint-unsigned`, `checkpoint-form` when a checkpoint that follows is
    /// not signed; `proof-fails` when session 0 does not hold the charter.
    pub fn session(&mut self, published: &Published<'_>) -> Checked<()> {
        let first = published.records.first().map(|(_, record)| record);
        self.seal(first.map_or([0; 32], |record| record.ledger_head))?;
        let time = first.and_then(|record| record.time);
        let plan = match published.session {
            0 => self.found(published, time)?,
            _ => self.plan(published, time)?,
        };
        self.compare_papers(published, &plan);
        self.compare_records(published, &plan);
        self.fold(published, &plan)?;
        self.compare_checkpoints(published, &plan)
    }

    /// Ends the last session. The books are whole from here on, and what is published follows from them.
    ///
    /// # Errors
    /// `ledger-fault`: a bug of ours.
    pub fn finish(mut self) -> Checked<(Books, Differences, u64)> {
        self.seal([0; 32])?;
        Ok((self.books, self.differences, self.checkpoints))
    }

    /// The books after the sessions so far.
    pub fn books(&self) -> &Books {
        &self.books
    }

    fn found(&mut self, published: &Published<'_>, time: Option<u64>) -> Checked<Plan> {
        let row = published.rows.first().filter(|row| row.envelope.kind == PaperKind::Charter);
        let row = row.ok_or_else(|| Fault::new(Rule::ProofFails, "session 0 begins with no charter; the founding expected"))?;
        for extra in &published.rows[1..] {
            self.differences.compare(
                Some(0),
                Some(extra.envelope.pid()),
                "judged",
                extra.verdict.as_str(),
                "session 0 judges the charter alone",
            );
        }
        found(&charter::verify(&row.envelope.to_cbor())?, time)
    }

    fn plan(&mut self, published: &Published<'_>, time: Option<u64>) -> Checked<Plan> {
        let session = Some(published.session);
        let (mut brought, mut seen) = (Vec::new(), BTreeSet::new());
        for row in published.rows {
            let pid = row.envelope.pid();
            if !seen.insert(pid) {
                self.differences.compare(session, Some(pid), "judged", "twice", "once");
                continue;
            }
            match self.admit(&row.envelope)? {
                Ok(verified) => brought.push(verified),
                Err(why) => self.differences.compare(session, Some(pid), "judged", &row.verdict, format_args!("not judged: {why}")),
            }
        }
        let batch = Batch::of_rows(&self.books, brought, self.objects_of(published))?;
        if batch.papers().is_empty() {
            self.differences.compare(session, None, "session", "it judged nothing", "no session exists without a paper to judge");
        }
        for (pid, what, row, follows) in objects::compared(&self.books, &batch, published.rows)? {
            self.differences.compare(session, Some(pid), &what, row, follows);
        }
        plan(&self.books, &batch, time)
    }

    /// The rows of objects as given; for a held paper that should have been judged and was not, what the ledger holds for it.
    fn objects_of(&self, published: &Published<'_>) -> BTreeMap<Pid, Rows> {
        let closed = |(hash, size): (&Hash, &u64)| (*hash, HeldObject { size: *size, inside: Inside::Closed });
        let held = self.books.held().iter().map(|(pid, held)| (*pid, held.objects.iter().map(closed).collect()));
        held.chain(published.rows.iter().map(|row| (row.envelope.pid(), row.objects.clone()))).collect()
    }

    /// The paper, verified anew under the policy in force; or why it could not be judged.
    fn admit(&self, envelope: &Envelope) -> Checked<Result<Verified, String>> {
        if !matches!(envelope.kind, PaperKind::Proposal | PaperKind::Charter) {
            let found = format!("a session judged a {}; a newer tabellion is needed to re-derive it", envelope.kind.media_type());
            return Err(Fault::new(Rule::RecordForm, found));
        }
        Ok(match parse_envelope(envelope.clone()).and_then(|parsed| admit_parsed(&self.books, parsed)) {
            Ok(Admitted::Verified(verified, _)) => Ok(*verified),
            Ok(Admitted::Again(pid)) => {
                let earlier = self.books.decided_in(&pid).unwrap_or(0);
                Err(format!("it was decided in session {earlier}"))
            }
            Err(fault) => Err(format!("[{}] {}", fault.rule, fault.shown())),
        })
    }

    fn compare_papers(&mut self, published: &Published<'_>, plan: &Plan) {
        let session = Some(published.session);
        let rows: BTreeMap<Pid, &Row> = published.rows.iter().rev().map(|row| (row.envelope.pid(), row)).collect();
        let derived: BTreeSet<Pid> = plan.rulings().iter().map(|ruling| ruling.pid).collect();
        for ruling in plan.rulings() {
            let Some(row) = rows.get(&ruling.pid) else {
                self.differences.compare(
                    session,
                    Some(ruling.pid),
                    "judged",
                    "not judged",
                    format_args!("{}: it was held", ruling.verdict.line()),
                );
                continue;
            };
            let pid = Some(ruling.pid);
            self.differences.compare(session, pid, "verdict", &row.verdict, ruling.verdict.line());
            if row.verdict == ruling.verdict.line() {
                self.differences.compare(session, pid, "detail", &row.detail, ruling.verdict.detail());
            }
            self.differences.compare(session, pid, "envelope as counted", row.envelope.env(), ruling.envelope.env());
        }
        // One line for the whole order: from the first paper out of its turn on, all are.
        let was = published.rows.iter().map(|row| row.envelope.pid()).filter(|pid| derived.contains(pid));
        let is = plan.rulings().iter().map(|ruling| ruling.pid).filter(|pid| rows.contains_key(pid));
        if let Some((turn, (was, is))) = (1..).zip(was.zip(is)).find(|(_, (was, is))| was != is) {
            self.differences.compare(
                session,
                Some(was),
                &format!("order, turn {turn}"),
                format_args!("paper {}", was.tiny()),
                format_args!("paper {}", is.tiny()),
            );
        }
    }

    fn compare_records(&mut self, published: &Published<'_>, plan: &Plan) {
        let session = Some(published.session);
        let mut theirs: BTreeMap<Pid, &(u64, Record)> = published.records.iter().map(|place| (place.1.pid, place)).collect();
        for derived in plan.rulings().iter().filter_map(|ruling| ruling.record.as_ref()) {
            let pid = Some(derived.pid);
            let Some((place, record)) = theirs.remove(&derived.pid) else {
                self.differences.compare(session, pid, "record", "none", format_args!("common@{}", derived.number));
                continue;
            };
            self.differences.compare(session, pid, "place in the log", place, derived.number);
            for (field, was, is) in record.fields().into_iter().zip(derived.fields()).map(|((field, was), (_, is))| (field, was, is)) {
                self.differences.compare(session, pid, &format!("record {place}, {field}"), was, is);
            }
        }
        for (place, record) in theirs.into_values() {
            self.differences.compare(session, Some(record.pid), "record", format_args!("common@{place}"), "none");
        }
    }

    /// Every checkpoint that follows is the one that was published, and that one is signed.
    fn compare_checkpoints(&mut self, published: &Published<'_>, plan: &Plan) -> Checked<()> {
        let key = self.books.log_key()?.clone();
        for record in plan.rulings().iter().filter_map(|ruling| ruling.record.as_ref()) {
            let (number, derived) = (record.number, checkpoint_text(&self.books, record.number)?);
            let text = |root| Checkpoint { origin: key.name().clone(), head: Head { number, root } }.text();
            let theirs = published.log.root_at(number).map(text);
            if theirs.as_ref() == Some(&derived) {
                let missing = || Fault::new(Rule::FolderIncomplete, format!("no signature for common@{number} in the folder"));
                let line = published.lines.get(number as usize - 1).ok_or_else(missing)?;
                let within = |fault: Fault| fault.within(format_args!("the checkpoint of common@{number}"));
                Note::parse(assemble(&derived, line).as_bytes()).map_err(within)?.verify(&key).map_err(within)?;
                self.checkpoints += 1;
            }
            let root = |text: Option<&str>| text.and_then(|text| text.lines().nth(2)).unwrap_or("none").to_owned();
            let (was, is) = (root(theirs.as_deref()), root(Some(&derived)));
            self.differences.compare(Some(published.session), None, &format!("checkpoint of common@{number}, root"), was, is);
        }
        Ok(())
    }

    fn fold(&mut self, published: &Published<'_>, plan: &Plan) -> Checked<()> {
        let opened = plan.opened();
        let closed = Closed {
            session: opened.session,
            after: plan.after(),
            state_root: plan.state().root(),
            media: Vec::new(),
            version: String::new(),
            program: Hash::ZERO,
            confirmation: String::new(),
            pack: None,
        };
        self.apply(EventType::Opened, opened.to_cbor(), opened.time, [0; 32])?;
        for ruling in plan.rulings() {
            let event_type = if ruling.verdict.is_final() { EventType::Verdict } else { EventType::Notice };
            self.apply(event_type, ruling.to_cbor(), opened.time, [0; 32])?;
        }
        self.apply(EventType::Closed, closed.to_cbor(), opened.time, [0; 32])?;
        self.unsealed = Some(sealed(published, plan));
        Ok(())
    }

    /// Seals the session before, whose last event is the ledger head that the next session's records name.
    fn seal(&mut self, ledger_head: [u8; 32]) -> Checked<()> {
        let Some(sealed) = self.unsealed.take() else { return Ok(()) };
        self.apply(EventType::Sealed, sealed.to_cbor(), None, ledger_head)
    }

    /// Folds in what was derived, as the event that a ledger would hold. Hashes and signatures of events are not published: none is looked at.
    fn apply(&mut self, event_type: EventType, payload: Vec<u8>, time: Option<u64>, event_hash: [u8; 32]) -> Checked<()> {
        let event_id = match event_type {
            EventType::Opened => format!("{}/0", self.books.next_session()),
            _ => self.books.next_event_id(),
        };
        self.books.apply(&Event {
            seq_no: 0,
            event_id,
            timestamp: time.unwrap_or(0),
            event_type,
            payload,
            prev_event_hash: [0; 32],
            event_hash,
            signature: [0; 64],
            public_key_id: Hash::ZERO,
            writer_epoch: 0,
        })
    }
}

fn sealed(published: &Published<'_>, plan: &Plan) -> Sealed {
    let line = |number: u64| published.lines.get(number as usize - 1).filter(|line| !line.is_empty());
    let numbers = plan.rulings().iter().filter_map(|ruling| ruling.record.as_ref()).map(|record| record.number);
    let without = plan.rulings().iter().filter(|ruling: &&Ruling| ruling.record.is_none());
    let mut notes: Vec<(Pid, String)> = without.map(|ruling| (ruling.pid, NOT_PUBLISHED.to_owned())).collect();
    notes.sort();
    let checkpoints = numbers.map(|number| (number, line(number).cloned().unwrap_or_else(|| NOT_PUBLISHED.to_owned()))).collect();
    Sealed { session: published.session, checkpoints, notes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_strange_folder_are_shown_in_plain_characters_and_cut() {
        let mut differences = Differences::default();
        differences.compare(None, None, "a\nb", "\u{1b}[2Jaccepted", "x".repeat(301));
        let found = &differences.first()[0];
        assert_eq!((found.what.as_str(), found.published.as_str()), ("a\\nb", "\\u{1b}[2Jaccepted"));
        assert_eq!(found.derived, "x".repeat(300) + "…");
    }

    #[test]
    fn twenty_differences_are_kept_and_all_are_counted() {
        let mut differences = Differences::default();
        (0..25).for_each(|value| differences.compare(Some(value), None, "verdict", value, 7));
        assert_eq!((differences.first().len(), differences.count()), (20, 24));
        assert_eq!(differences.first()[7].session, Some(8));
    }
}

//! The start-up check on all processors: ranges of events, each walked on a connection of its own, and the seams between them compared.
//!
//! A range begins with a [`Standing`] read from the file, unproved. It is proved by the range before, whose walk must end with the very
//! same standing; the first begins with nothing, so that by and by all of them are. This module answers only whether anything was found:
//! what is wrong, and where, is for one walk over everything to say.
//!
//! Another connection may see a later state, when this ledger is only looked at while its writer works. Ranges end at the last event of the
//! first connection's state, each connection has to show that event with the same hash, and tables are compared on the first alone.

use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::{Connection, OptionalExtension as _};

use super::audit::{Keys, strictly};
use super::decided::{Sum, compare};
use super::finding::{CheckInput, Effort, Stop};
use super::read::{EventRow, SELECT_EVENTS};
use super::walk::{Standing, Walk, Walked, count, must_be_nowhere, pages};
use super::{Ledger, Uint};
use crate::core::event::split_event_id;

/// Ranges for each thread, so that one that was slow does not keep the others waiting.
const RANGES_A_THREAD: u64 = 4;

/// Why everything must be looked at once more, or nothing at all.
#[derive(Debug)]
pub(super) enum Suspicion {
    /// Something was found, or a row could not be read.
    Something,
    /// The disk failed. Reading it again might succeed, and would hide that: this is never tried again.
    Disk(rusqlite::Error),
}

impl From<Stop> for Suspicion {
    fn from(stop: Stop) -> Suspicion {
        match stop {
            Stop::Sqlite(error) => Suspicion::from(error),
            Stop::Bad { .. } => Suspicion::Something,
        }
    }
}

impl From<rusqlite::Error> for Suspicion {
    fn from(error: rusqlite::Error) -> Suspicion {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::SystemIoFailure) => Suspicion::Disk(error),
            _ => Suspicion::Something,
        }
    }
}

impl Ledger {
    /// Whether every event, every derived row and every page is as it must be.
    pub(super) fn nothing_found(
        &self,
        snapshot: &Connection,
        input: &CheckInput<'_>,
        keys: &Keys,
        effort: &Effort,
        observe: &mut dyn FnMut(&'static str),
    ) -> Result<(), Suspicion> {
        observe("walk events");
        let head = last_event(snapshot)?;
        let last = head.map_or(0, |(seq_no, _)| seq_no);
        let ranges = split(last, effort);
        let mut readers = match head {
            Some(head) if ranges.len() > 1 => (1..effort.threads.min(ranges.len())).filter_map(|_| self.another(head)).collect(),
            _ => Vec::new(),
        };
        let sum = Sum::fresh().ok_or(Suspicion::Something)?;
        let next_range = AtomicUsize::new(0);
        let walk = &|db: &Connection| walk_ranges(db, input, keys, &sum, &ranges, &next_range);
        let mut walked = std::thread::scope(|scope| {
            let others: Vec<_> = readers.iter_mut().map(|reader| scope.spawn(move || walk(reader))).collect();
            let mut walked = walk(snapshot);
            for other in others {
                let other = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                walked = match (walked, other) {
                    (Ok(some), Ok(more)) => Ok([some, more].concat()),
                    (Err(disk @ Suspicion::Disk(_)), _) | (_, Err(disk @ Suspicion::Disk(_))) => Err(disk),
                    (Err(suspicion), _) | (_, Err(suspicion)) => Err(suspicion),
                };
            }
            walked
        })?;
        walked.sort_by_key(|range| range.at);
        let all = join(walked, sum)?;
        if let Some(last) = &all.last {
            strictly(keys, last)?;
        }
        must_be_nowhere(&all.missing, last)?;
        observe("compare tables");
        std::thread::scope(|scope| {
            let elsewhere = readers.first_mut().map(|reader| scope.spawn(move || pages(reader, last + 1)));
            compare_tables(snapshot, &all)?;
            observe("walk pages");
            match elsewhere {
                Some(elsewhere) => elsewhere.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                None => pages(snapshot, last + 1),
            }
        })?;
        Ok(())
    }

    /// Another connection, in a state that has this event as the first connection has it.
    fn another(&self, (seq_no, hash): (u64, [u8; 32])) -> Option<Connection> {
        let reader = self.reader().ok()?;
        reader.execute_batch("BEGIN").ok()?;
        let found = reader.query_row("SELECT event_hash FROM events WHERE seq_no = ?1", [Uint(seq_no)], |row| row.get::<_, [u8; 32]>(0));
        (found.ok()? == hash).then_some(reader)
    }
}

fn last_event(db: &Connection) -> rusqlite::Result<Option<(u64, [u8; 32])>> {
    let row = db.query_row("SELECT seq_no, event_hash FROM events ORDER BY seq_no DESC LIMIT 1", [], |row| Ok((row.get(0)?, row.get(1)?)));
    row.optional().map(|found| found.map(|(Uint(seq_no), hash)| (seq_no, hash)))
}

/// First and last number of each range, from 1 to `last` without a gap.
fn split(last: u64, effort: &Effort) -> Vec<(u64, u64)> {
    let threads = effort.threads.max(1) as u64;
    let most = if threads == 1 { 1 } else { threads * RANGES_A_THREAD };
    let size = last.div_ceil(most).max(effort.range_events).max(1);
    let whole = (0..last / size).map(|at| (at * size + 1, (at + 1) * size));
    let rest = (last / size * size + 1, last);
    // An empty ledger is one range of nothing, in which rows that cannot be are found.
    whole.chain((rest.0 <= last || last == 0).then_some(rest)).collect()
}

/// One range that was walked, and the standing it was begun with.
#[derive(Clone)]
struct Range {
    at: usize,
    began: Standing,
    walked: Walked,
}

/// Takes range after range until there is none left, or until one is wrong.
fn walk_ranges(
    db: &Connection,
    input: &CheckInput<'_>,
    keys: &Keys,
    sum: &Sum,
    ranges: &[(u64, u64)],
    next: &AtomicUsize,
) -> Result<Vec<Range>, Suspicion> {
    let mut done = Vec::new();
    loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        let Some(&(first, last)) = ranges.get(at) else { return Ok(done) };
        let walk = || {
            let began = if at == 0 { Standing::at_the_beginning() } else { standing_before(db, keys, first)? };
            // Numbers below 1 belong to the first range, which finds them.
            let from = if at == 0 { i64::MIN } else { i64::try_from(first).map_err(|_| Suspicion::Something)? };
            let walked = Walk::behind(db, input, keys, began.clone(), sum.clone()).up_to(from, last)?;
            Ok(Range { at, began, walked })
        };
        match walk() {
            Ok(range) => done.push(range),
            Err(suspicion) => {
                next.store(ranges.len(), Ordering::Relaxed);
                return Err(suspicion);
            }
        }
    }
}

/// What the file says that all events before number `first` led to.
fn standing_before(db: &Connection, keys: &Keys, first: u64) -> Result<Standing, Suspicion> {
    let seq_no = first - 1;
    let mut statement = db.prepare_cached(&format!("{SELECT_EVENTS} WHERE e.seq_no = ?1"))?;
    let mut rows = statement.query([Uint(seq_no)])?;
    let row = rows.next()?.ok_or(Suspicion::Something)?;
    let event = EventRow::read(row).map_err(|_| Suspicion::Something)?;
    let opened = "SELECT prev_event_hash FROM events WHERE seq_no =
      (SELECT max(seq_no) FROM events INDEXED BY events_opened WHERE event_type = 'opened' AND seq_no < ?1)";
    let (records, epoch) = records_before(db, first)?;
    Ok(Standing {
        seq_no,
        place: Some(split_event_id(event.event_id).ok_or(Suspicion::Something)?),
        hash: *event.event_hash,
        key: keys.place(&event.public_key_id, 0).ok_or(Suspicion::Something)?,
        common: db.query_row("SELECT event_id = '0/0' FROM events WHERE seq_no = 1", [], |row| row.get(0))?,
        opened: db.prepare_cached(opened)?.query_row([Uint(first)], |row| row.get(0)).optional()?,
        epoch,
        records,
    })
}

/// How many records the events before number `first` made, and the epoch behind the last of them. Their numbers go up with those of the
/// events, so halving finds it.
fn records_before(db: &Connection, first: u64) -> Result<(u64, u64), Suspicion> {
    let mut statement = db.prepare_cached("SELECT seq_no, writer_epoch FROM records WHERE number = ?1")?;
    let Uint(mut above) = db.query_row("SELECT coalesce(max(number), 0) + 1 FROM records", [], |row| row.get(0))?;
    let (mut number, mut epoch) = (0, 1);
    while above - number > 1 {
        let middle = number + (above - number) / 2;
        let (Uint(seq_no), Uint(behind)) = statement.query_row([Uint(middle)], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if seq_no < first {
            (number, epoch) = (middle, behind);
        } else {
            above = middle;
        }
    }
    Ok((number, epoch))
}

/// Every seam holds: each range was begun with what the one before led to. What they leave is put together.
fn join(ranges: Vec<Range>, sum: Sum) -> Result<Walked, Suspicion> {
    let mut all: Option<Walked> = None;
    for Range { began, walked, .. } in ranges {
        let before = all.as_ref().map_or(Standing::at_the_beginning(), |all| all.standing.clone());
        if began != before {
            return Err(Suspicion::Something);
        }
        let mut verdicts = all.as_ref().map_or(sum.clone(), |all| all.verdicts.clone());
        verdicts.join(&walked.verdicts);
        let (mut large, mut missing) = (walked.large, walked.missing);
        if let Some(all) = all {
            large.extend(all.large);
            missing = missing.intersection(&all.missing).copied().collect();
        }
        all = Some(Walked { verdicts, large, missing, ..walked });
    }
    all.ok_or(Suspicion::Something)
}

fn compare_tables(db: &Connection, all: &Walked) -> Result<(), Stop> {
    let next = all.standing.seq_no + 1;
    count(db, next, "records", all.standing.records)?;
    compare(db, next, &all.verdicts)?;
    count(db, next, "payloads", all.large.len() as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::audit::Signed;
    use super::*;

    #[test]
    fn ranges_cover_every_number_once() {
        for last in (0..40).chain([1_000, 100_003]) {
            for threads in 0..4 {
                for range_events in [0, 1, 2, 5, 39, u64::MAX] {
                    let ranges = split(last, &Effort { threads, range_events });
                    let mut next = 1;
                    for (first, last) in &ranges {
                        assert_eq!(*first, next, "{ranges:?}");
                        assert!(first <= last || ranges.len() == 1);
                        next = last + 1;
                    }
                    assert_eq!(next, last + 1, "{ranges:?}");
                    assert!(ranges.len() as u64 <= 4 * threads.max(1) as u64, "{ranges:?}");
                }
            }
        }
    }

    fn standing(seq_no: u64) -> Standing {
        Standing { seq_no, place: Some((2, 3)), hash: [4; 32], key: 5, common: true, opened: Some([6; 32]), epoch: 7, records: 8 }
    }

    fn walked(seq_no: u64, missing: &[u8]) -> Walked {
        let last = Some(Signed { seq_no, hash: [4; 32], signature: [0; 64], place: 5 });
        let mut verdicts = Sum::keyed([0; 32]);
        verdicts.add(&[1; 32], seq_no);
        let (large, missing) = (BTreeSet::new(), missing.iter().map(|&byte| [byte; 32]).collect());
        Walked { standing: standing(seq_no), last, verdicts, large, missing }
    }

    #[test]
    fn error_of_the_disk_is_kept_and_any_other_looked_at_again() {
        let error = |code| rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
        for code in [rusqlite::ffi::SQLITE_IOERR, rusqlite::ffi::SQLITE_IOERR_READ, rusqlite::ffi::SQLITE_IOERR_SHORT_READ] {
            assert!(matches!(Suspicion::from(Stop::Sqlite(error(code))), Suspicion::Disk(_)), "{code}");
        }
        for code in [rusqlite::ffi::SQLITE_CORRUPT, rusqlite::ffi::SQLITE_BUSY, rusqlite::ffi::SQLITE_NOTADB] {
            assert!(matches!(Suspicion::from(error(code)), Suspicion::Something), "{code}");
        }
        assert!(matches!(Suspicion::from(rusqlite::Error::QueryReturnedNoRows), Suspicion::Something));
    }

    #[test]
    fn every_part_of_a_standing_is_compared_at_the_seam() {
        let first = Range { at: 0, began: Standing::at_the_beginning(), walked: walked(4, &[1, 2]) };
        let second = |began| Range { at: 1, began, walked: walked(8, &[2, 3]) };
        let joined = |began| join(vec![first.clone(), second(began)], Sum::keyed([0; 32]));
        let all = joined(standing(4)).expect("a seam that holds");
        assert_eq!((all.standing.seq_no, all.last.map(|last| last.seq_no)), (8, Some(8)));
        assert_eq!(all.missing, BTreeSet::from([[2; 32]]), "missing is what no range has");
        let mut verdicts = Sum::keyed([0; 32]);
        [4, 8].iter().for_each(|&seq_no| verdicts.add(&[1; 32], seq_no));
        assert_eq!(all.verdicts, verdicts);
        for other in [
            Standing { seq_no: 5, ..standing(4) },
            Standing { place: Some((2, 4)), ..standing(4) },
            Standing { hash: [5; 32], ..standing(4) },
            Standing { key: 4, ..standing(4) },
            Standing { common: false, ..standing(4) },
            Standing { opened: None, ..standing(4) },
            Standing { opened: Some([7; 32]), ..standing(4) },
            Standing { epoch: 6, ..standing(4) },
            Standing { records: 9, ..standing(4) },
        ] {
            assert!(matches!(joined(other.clone()), Err(Suspicion::Something)), "{other:?}");
        }
        assert!(join(vec![second(standing(4))], Sum::keyed([0; 32])).is_err(), "the first range begins with nothing");
        assert!(join(Vec::new(), Sum::keyed([0; 32])).is_err());
    }
}

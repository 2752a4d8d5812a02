//! The table of verdicts compared whole, in whatever order it stands and however many rows it has, with 32 bytes of memory.
//!
//! `sum = Σ BLAKE3(key, pid ‖ u64be(seq_no)) mod 2^256` over all rows. The key is drawn anew for each check, after the file was written:
//! who does not know it cannot choose rows that are not those of the events and have their sum; the chance is 2^-256, row for row as
//! good as the hash of an event. Sums of ranges add up, so that each thread makes its own.

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::finding::{CorruptionKind, Stop, bad};

/// A sum over rows of verdicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sum {
    key: [u8; 32],
    total: [u64; 4],
    rows: u64,
}

impl Sum {
    /// The sum of no rows, under this key.
    pub(super) fn keyed(key: [u8; 32]) -> Sum {
        Sum { key, total: [0; 4], rows: 0 }
    }

    /// The sum of no rows, under a key that nobody knows; `None` when the kernel gives none.
    pub(super) fn fresh() -> Option<Sum> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).ok()?;
        Some(Sum::keyed(key))
    }

    /// One row more.
    pub(super) fn add(&mut self, pid: &[u8; 32], seq_no: u64) {
        let mut row = [0; 40];
        row[..32].copy_from_slice(pid);
        row[32..].copy_from_slice(&seq_no.to_be_bytes());
        let hash = blake3::keyed_hash(&self.key, &row);
        let (words, _) = hash.as_bytes().as_chunks::<8>();
        let mut term = [0; 4];
        term.iter_mut().zip(words).for_each(|(term, word)| *term = u64::from_le_bytes(*word));
        self.plus(&term);
        self.rows += 1;
    }

    /// All rows of another sum under the same key.
    pub(super) fn join(&mut self, other: &Sum) {
        self.plus(&other.total);
        self.rows += other.rows;
    }

    fn plus(&mut self, term: &[u64; 4]) {
        let mut carry = false;
        for (total, term) in self.total.iter_mut().zip(term) {
            let (sum, over) = total.overflowing_add(*term);
            let (sum, over_again) = sum.overflowing_add(u64::from(carry));
            (*total, carry) = (sum, over || over_again);
        }
    }
}

/// The table is, row for row, what the events gave.
pub(super) fn compare(db: &Connection, next: u64, expected: &Sum) -> Result<(), Stop> {
    let mut found = Sum::keyed(expected.key);
    let mut statement = db.prepare_cached("SELECT pid, seq_no FROM verdicts")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        match (row.get_ref(0)?, row.get_ref(1)?) {
            (ValueRef::Blob(pid), ValueRef::Integer(seq_no)) if pid.len() == 32 && seq_no > 0 => {
                found.add(pid.try_into().unwrap_or(&[0; 32]), seq_no.unsigned_abs());
            }
            _ => return bad(next, CorruptionKind::Derived, "a row of verdicts of another form found; a paper's id and a number expected"),
        }
    }
    if found == *expected {
        return Ok(());
    }
    bad(next, CorruptionKind::Derived, format!("{} rows in verdicts found; {} others expected", found.rows, expected.rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(rows: &[(u8, u64)]) -> Sum {
        let mut sum = Sum::keyed([3; 32]);
        rows.iter().for_each(|&(pid, seq_no)| sum.add(&[pid; 32], seq_no));
        sum
    }

    #[test]
    fn order_and_ranges_do_not_matter_and_every_row_does() {
        let all = sum(&[(1, 10), (2, 20), (3, 30)]);
        assert_eq!(all, sum(&[(3, 30), (1, 10), (2, 20)]));
        let mut joined = sum(&[(2, 20)]);
        joined.join(&sum(&[(3, 30), (1, 10)]));
        assert_eq!(joined, all);
        for other in [
            sum(&[(1, 10), (2, 20)]),
            sum(&[(1, 20), (2, 10), (3, 30)]),
            sum(&[(1, 10), (2, 20), (3, 31)]),
            sum(&[(1, 10), (2, 20), (4, 30)]),
            sum(&[(1, 10), (2, 20), (3, 30), (3, 30)]),
            sum(&[(1, 10), (1, 10), (3, 30)]),
        ] {
            assert_ne!(other, all);
        }
    }

    #[test]
    fn sum_carries_over_all_its_words() {
        let mut top = Sum::keyed([3; 32]);
        top.plus(&[u64::MAX, u64::MAX, u64::MAX, 5]);
        top.plus(&[1, 0, 0, 0]);
        assert_eq!(top.total, [0, 0, 0, 6]);
        top.plus(&[0, 0, 0, u64::MAX - 5]);
        assert_eq!(top.total, [0; 4]);
        top.plus(&[u64::MAX, 0, 0, 0]);
        top.plus(&[u64::MAX, u64::MAX, 7, 0]);
        assert_eq!(top.total, [u64::MAX - 1, 0, 8, 0]);
    }

    #[test]
    fn each_check_has_a_key_of_its_own() {
        assert_ne!(Sum::fresh().map(|sum| sum.key), Sum::fresh().map(|sum| sum.key));
        assert_eq!(Sum::fresh().map(|sum| sum.rows), Some(0));
    }
}

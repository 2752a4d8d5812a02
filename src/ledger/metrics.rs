//! Counters of one process at one ledger. They say what happened since it was opened and nothing about the years before: that is in the ledger.

use std::collections::BTreeMap;

use super::Why;

/// Upper bounds of the buckets of [`Latencies`], in microseconds.
pub const LATENCY_BOUNDS_US: [u64; 6] = [100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];

/// How long something took, by a monotonic clock; all zero while nobody gave the ledger one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    /// How many times it was measured.
    pub count: u64,
    /// All of them together, in microseconds.
    pub sum_us: u64,
    /// The last one, in microseconds.
    pub last_us: u64,
    /// How many took no longer than each of [`LATENCY_BOUNDS_US`], which includes those of the buckets before.
    pub buckets: [u64; LATENCY_BOUNDS_US.len()],
}

impl Latencies {
    pub(super) fn add(&mut self, took_us: u64) {
        self.count += 1;
        self.sum_us = self.sum_us.saturating_add(took_us);
        self.last_us = took_us;
        for (bucket, bound) in self.buckets.iter_mut().zip(LATENCY_BOUNDS_US) {
            *bucket += u64::from(took_us <= bound);
        }
    }
}

/// What this process did with the ledger since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Events appended.
    pub events_appended_total: u64,
    /// Transactions that were committed.
    pub commits_total: u64,
    /// Appends and commits that were refused, by reason; each counts once, however many events it had.
    pub appends_refused_total: BTreeMap<Why, u64>,
    /// Checks of the whole ledger.
    pub startup_checks_total: u64,
    /// Checks that found it corrupted.
    pub corruptions_detected_total: u64,
    /// Whether an I/O error has ended the use of it, 0 or 1.
    pub latches_total: u64,
    /// Events that the last check found whole.
    pub last_check_events: u64,
    /// How long commits took, from the call to the acknowledged sync.
    pub append_latency: Latencies,
    /// How long checks took.
    pub check_latency: Latencies,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_is_in_every_bucket_that_it_does_not_exceed() {
        let mut latencies = Latencies::default();
        for took_us in [100, 101, 20_000_000] {
            latencies.add(took_us);
        }
        let expected = Latencies { count: 3, sum_us: 20_000_201, last_us: 20_000_000, buckets: [1, 2, 2, 2, 2, 2] };
        assert_eq!(latencies, expected);
    }
}

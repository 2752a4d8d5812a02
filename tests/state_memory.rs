//! Memory of the state and of the log with many names, which may be judged, unlike time. In a process of its own, whose resident memory is
//! what was put into it: one test in this file.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ops::RangeInclusive;

use tabellion::core::ids::{Hash, Name};
use tabellion::core::proposal::Entry;
use tabellion::core::state::State;
use tabellion::core::tree::Log;

/// Half of what a desk may have; bytes a name are the same, and it takes half the time.
const NAMES: u64 = 50_000;
/// A name and its media type are 35 bytes, and an entry is 128 without them: 219 with what it takes to allocate the three. The rest is for
/// both orders and the hashes.
const STATE_BYTES: RangeInclusive<u64> = 219..=400;
/// A session works on a copy: one that had a pointer to each name would take more, before it changed any.
const STATE_COPY_BYTES: RangeInclusive<u64> = 0..=10;
const STATE_COPY_CHANGES: u64 = 50;
/// Two hashes are 64.
const LOG_BYTES: RangeInclusive<u64> = 50..=70;
const LOG_COPY_BYTES: RangeInclusive<u64> = 0..=2;

/// A name of 25 characters; they do not come in their order.
fn name(index: u64) -> Name {
    let digits = Hash::of(&index.to_be_bytes()).hex();
    format!("tools/{}/{}", &digits[..4], &digits[4..18]).parse().unwrap()
}

fn entry(index: u64) -> Entry {
    Entry { sha256: Hash::of(&index.to_le_bytes()), size: index, media_type: "text/plain".parse().unwrap(), source: None }
}

/// The memory of this process now, in bytes.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line VmRSS");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number of KiB") * 1024
}

/// What `make` makes, and how many bytes of memory there are more for each name.
fn measured<T>(make: impl FnOnce() -> T) -> (T, u64) {
    let before = resident_bytes();
    let made = make();
    (made, resident_bytes().saturating_sub(before) / NAMES)
}

#[track_caller]
fn within(what: &str, found: u64, expected: &RangeInclusive<u64>) {
    assert!(expected.contains(&found), "{what}: {found} bytes a name found; {expected:?} expected");
}

#[test]
fn state_and_log_of_many_names_and_copies_of_them_stay_within_their_bytes_a_name() {
    let (state, bytes) = measured(|| {
        let mut state = State::default();
        (0..NAMES).for_each(|index| state.put(name(index), entry(index)));
        state
    });
    within("the state", bytes, &STATE_BYTES);
    let root = state.root();
    let (copy, bytes) = measured(|| {
        let mut copy = state.clone();
        (0..STATE_COPY_CHANGES).for_each(|index| copy.put(name(index * 997), entry(index + 1)));
        copy
    });
    within("a copy of the state", bytes, &STATE_COPY_BYTES);
    assert_eq!((state.root(), state.entries().count() as u64), (root, NAMES), "the copy changed what it is a copy of");
    assert_ne!(copy.root(), root);

    let (log, bytes) = measured(|| {
        let mut log = Log::default();
        for index in 0..NAMES {
            log.push(Hash::of(&index.to_be_bytes()));
        }
        log
    });
    within("the log", bytes, &LOG_BYTES);
    let (copy, bytes) = measured(|| log.clone());
    within("a copy of the log", bytes, &LOG_COPY_BYTES);
    assert_eq!((copy.size(), copy.head()), (NAMES, log.head()));
}

//! Memory of the ledger at its highest, which may be judged, unlike time: it does not depend on what else the machine does. In a process of
//! its own, for a process does not give its peak back: one test in this file.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::sync::Arc;

use ed25519_dalek::{Signer as _, SigningKey};
use tabellion::core::cbor::Writer;
use tabellion::core::event::{EventSigner, EventType, signed_message};
use tabellion::ledger::{CheckInput, Effort, Health, Ledger, NewEvent};

/// As `docs/performance.md` promises it, for any number of events.
const VERIFYING_BYTES_MAX: u64 = 64 << 20;
const EVENTS: u64 = 100_000;
/// A session's commit with this many events verifies its signatures in several batches.
const COMMIT_EVENTS: u64 = 10_000;
const PAYLOAD_BYTES: usize = 600;

struct TestSigner(SigningKey);

impl EventSigner for TestSigner {
    fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }
    fn sign_event(&self, event_hash: &[u8; 32]) -> [u8; 64] {
        self.0.sign(&signed_message(event_hash)).to_bytes()
    }
}

fn event(index: u64) -> NewEvent {
    let mut w = Writer::new();
    w.map(2).uint(0).uint(index).uint(1).bytes(&[7; PAYLOAD_BYTES]);
    NewEvent { event_id: format!("0/{index}"), timestamp: 0, event_type: EventType::Notice, payload: w.finish() }
}

/// The memory of this process at its highest, in bytes.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a line VmHWM");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number of KiB") * 1024
}

/// More than 60 MB of payloads alone: to keep them, or a page of each event, is to be above the bound.
#[test]
fn appending_and_verifying_a_hundred_thousand_events_stay_within_the_promised_memory() {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let dir = tempfile::tempdir_in(parent).unwrap();
    let signer = Arc::new(TestSigner(SigningKey::from_bytes(&[0x42; 32])));
    let key = signer.public_key();
    let mut ledger = Ledger::create(dir.path(), &[1; 16], signer).unwrap();
    let mut head = None;
    for first in (0..EVENTS).step_by(COMMIT_EVENTS as usize) {
        let events: Vec<NewEvent> = (first..first + COMMIT_EVENTS).map(event).collect();
        head = Some(ledger.commit(head, &events).unwrap());
    }
    for deep in [false, true] {
        let input = CheckInput { ledger_keys: &[key], deep, must_hold: &[] };
        let effort = Effort { threads: 2, ..Effort::default() };
        assert_eq!(ledger.start_up_check_observed(&input, &effort, &mut |_| {}).unwrap(), Health::Ok);
    }
    let peak = peak_bytes();
    assert!(peak <= VERIFYING_BYTES_MAX, "{} MiB found at the highest; at most {} expected", peak >> 20, VERIFYING_BYTES_MAX >> 20);
}

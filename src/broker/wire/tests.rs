//! The codec alone: every message there and back, and what becomes of one that was cut or changed.

use super::*;
use crate::core::cbor;
use crate::core::ids::Hash;

fn refusal() -> LedgerError {
    LedgerError { why: Why::HeadUnexpected, fault: Fault::new(Rule::HeadUnexpected, "last event 00 found; 01 expected") }
}

fn event(seq_no: u64) -> Event {
    Event {
        seq_no,
        event_id: format!("{seq_no}/0"),
        timestamp: 1_700_000_000,
        event_type: EventType::Opened,
        payload: vec![0xa1, 0, 1],
        prev_event_hash: [1; 32],
        event_hash: [2; 32],
        signature: [3; 64],
        public_key_id: Hash([4; 32]),
        writer_epoch: 1,
    }
}

fn append() -> Append {
    let bring = |name: &str| Bring { from: format!("incoming/00/{name}").into(), to: format!("objects/000/000001.{name}").into() };
    let new = |index: u64, event_type| NewEvent { event_id: format!("1/{index}"), timestamp: 7, event_type, payload: vec![0xa0] };
    Append {
        expected_head: Some([9; 32]),
        bring: vec![bring("objects"), bring("index")],
        events: vec![new(0, EventType::Opened), new(1, EventType::Closed)],
        head_file: Some("tabellion-head v1\n".into()),
        idempotency_key: Some("mine".into()),
    }
}

/// One message of every kind, every request and every answer among them.
fn messages() -> Vec<Message> {
    let asks = [
        Ask::Read(Read::Head),
        Ask::Read(Read::Latest),
        Ask::Read(Read::Event { seq_no: 24 }),
        Ask::Read(Read::HashAt { seq_no: 0 }),
        Ask::Read(Read::Events { from: 1, rows: 65_536, bytes: 4_194_304 }),
        Ask::Read(Read::Record { number: 3 }),
        Ask::Read(Read::Verdict { pid: Hash([5; 32]) }),
        Ask::Append(append()),
        Ask::Append(Append { expected_head: None, bring: vec![], events: vec![], head_file: None, idempotency_key: None }),
    ];
    let outcomes = [
        Ok(Answer::Hash(None)),
        Ok(Answer::Hash(Some([6; 32]))),
        Ok(Answer::Event(None)),
        Ok(Answer::Event(Some(Box::new(event(1))))),
        Ok(Answer::Events(vec![])),
        Ok(Answer::Events(vec![event(1), event(2)])),
        Ok(Answer::SeqNo(None)),
        Ok(Answer::SeqNo(Some(8))),
        Ok(Answer::Appended([7; 32])),
        Err(refusal()),
    ];
    let mut all = vec![
        Message::Hello { ledger: "witness.example/common/~alice".into(), program: "domain snapshot".into() },
        Message::Welcome { pid: 4711 },
        Message::Away(refusal()),
        Message::Ping(0),
        Message::Pong(300),
        Message::Leaving,
    ];
    all.extend(asks.map(|ask| Message::Request { id: [1; 16], patience_ms: 30_000, ask }));
    all.extend(outcomes.map(|outcome| Message::Response { id: [2; 16], outcome }));
    all
}

#[test]
fn every_message_is_read_back_as_it_was_written_behind_its_length() {
    for message in messages() {
        let framed = frame(&message).expect("within the bounds");
        let (head, body) = framed.split_at(4);
        assert_eq!(length(head.try_into().unwrap()), Ok(body.len()), "{message:?}");
        assert_eq!(parse(body), Ok(message));
    }
}

#[test]
fn hello_and_its_answers_have_these_bytes() {
    let hello = Message::Hello { ledger: "a".into(), program: "b".into() };
    assert_eq!(hex::encode(frame(&hello).unwrap()), "00000007840001616161 62".replace(' ', ""));
    assert_eq!(hex::encode(Message::Welcome { pid: 2 }.to_cbor()), "83010102");
    assert_eq!(hex::encode(Message::Leaving.to_cbor()), "8107");
    let head = Message::Request { id: [0; 16], patience_ms: 1, ask: Ask::Read(Read::Head) };
    assert_eq!(hex::encode(head.to_cbor()), format!("840550{}01816468656164", "00".repeat(16)));
}

#[test]
fn message_that_breaks_off_anywhere_is_refused() {
    for message in messages() {
        let body = message.to_cbor();
        for end in 0..body.len() {
            assert_eq!(parse(&body[..end]).map_err(|fault| fault.rule), Err(Rule::BrokerMessage), "{message:?} up to {end}");
        }
        assert_eq!(parse(&[body, vec![0]].concat()).map_err(|fault| fault.rule), Err(Rule::BrokerMessage), "a byte behind {message:?}");
    }
}

#[test]
fn message_with_any_bit_flipped_is_refused_or_another_message() {
    let (mut refused, mut other) = (0, 0);
    for message in messages() {
        let body = message.to_cbor();
        for bit in 0..body.len() * 8 {
            let mut flipped = body.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            match parse(&flipped) {
                Ok(read) => {
                    assert_ne!(read, message, "bit {bit}");
                    assert_eq!(read.to_cbor(), flipped, "one form a message, bit {bit} of {message:?}");
                    other += 1;
                }
                Err(fault) => {
                    assert_eq!(fault.rule, Rule::BrokerMessage, "bit {bit} of {message:?}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 1_000 && other > 1_000, "{refused} refused, {other} other messages");
}

#[test]
fn lengths_beyond_the_bounds_are_refused_before_anything_is_read() {
    for (found, is_good) in [(0, false), (1, true), (16_777_216, true), (16_777_217, false), (u32::MAX, false)] {
        assert_eq!(length(found.to_be_bytes()).is_ok(), is_good, "{found}");
    }
    let long =
        Append { head_file: None, events: vec![NewEvent { payload: vec![0; MESSAGE_BYTES_MAX], ..append().events.remove(0) }], ..append() };
    let message = Message::Request { id: [0; 16], patience_ms: 0, ask: Ask::Append(long) };
    assert_eq!(frame(&message).map_err(|fault| fault.rule), Err(Rule::RequestBounds));
}

#[test]
fn other_version_is_named_whatever_stands_behind_it() {
    for kind in 0..=2 {
        let mut w = Writer::new();
        w.array(3).uint(kind).uint(2).bool(true);
        let fault = parse(w.as_bytes()).expect_err("version 2");
        assert_eq!((fault.rule, fault.found.as_str()), (Rule::BrokerMessage, "version 2 found; 1 expected"));
    }
}

#[test]
fn each_bound_is_kept_and_one_more_refused() {
    let hello = |bytes: usize| Message::Hello { ledger: "x".repeat(bytes), program: "p".into() };
    let program = |bytes: usize| Message::Hello { ledger: String::new(), program: "x".repeat(bytes) };
    let patience = |patience_ms| Message::Request { id: [0; 16], patience_ms, ask: Ask::Read(Read::Head) };
    let head_file = |bytes: usize| Message::Request {
        id: [0; 16],
        patience_ms: 0,
        ask: Ask::Append(Append { head_file: Some("x".repeat(bytes)), ..append() }),
    };
    let key = |bytes: usize| Message::Request {
        id: [0; 16],
        patience_ms: 0,
        ask: Ask::Append(Append { idempotency_key: Some("x".repeat(bytes)), ..append() }),
    };
    let bring = |files: usize| Message::Request {
        id: [0; 16],
        patience_ms: 0,
        ask: Ask::Append(Append { bring: vec![append().bring.remove(0); files], ..append() }),
    };
    for (within, beyond) in [
        (hello(1_024), hello(1_025)),
        (program(128), program(129)),
        (program(1), program(0)),
        (key(256), key(257)),
        (key(1), key(0)),
        (patience(600_000), patience(600_001)),
        (head_file(65_536), head_file(65_537)),
        (bring(16), bring(17)),
    ] {
        assert_eq!(parse(&within.to_cbor()), Ok(within));
        assert_eq!(parse(&beyond.to_cbor()).map_err(|fault| fault.rule), Err(Rule::BrokerMessage));
    }
}

#[test]
fn path_that_leads_out_of_the_folder_is_refused() {
    for path in ["", "/etc/passwd", "..", "a/../b", "./a", "a//b", "a/", "a\0b"] {
        for (from, to) in [(path, "objects/x"), ("incoming/x", path)] {
            let append = Append { bring: vec![Bring { from: from.into(), to: to.into() }], ..append() };
            let body = Message::Request { id: [0; 16], patience_ms: 0, ask: Ask::Append(append) }.to_cbor();
            assert_eq!(parse(&body).map_err(|fault| fault.rule), Err(Rule::BrokerMessage), "{from:?} {to:?}");
        }
    }
}

#[test]
fn long_refusal_is_cut_at_a_character_and_read() {
    let long = LedgerError { fault: Fault::new(Rule::FileFault, "ä".repeat(40_000)), ..refusal() };
    let Ok(Message::Away(read)) = parse(&Message::Away(long).to_cbor()) else { panic!("a message") };
    assert_eq!(read.fault.found, "ä".repeat(32_768));
}

#[test]
fn what_claims_a_million_items_costs_nothing() {
    // An array of 65,536 events, and of files beyond all bounds, of which none follows.
    for head in ["840550", "830650"] {
        let bytes = [hex::decode(head).unwrap(), vec![0; 16], hex::decode("82666576656e74739affffffff").unwrap()].concat();
        assert_eq!(parse(&bytes).map_err(|fault| fault.rule), Err(Rule::BrokerMessage));
        assert!(cbor::item_len(&bytes).is_ok_and(|length| length.is_none()));
    }
}

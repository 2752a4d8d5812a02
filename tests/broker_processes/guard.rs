//! What a leader takes from others: nothing that the owner did not sign, and nothing that is not whole.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tabellion::broker::follow::Remote;
use tabellion::broker::socket::{Connected, after, connect};
use tabellion::broker::{Answer, Append, Asker, Bring, Door, LedgerError, NewEvent, Patience, Read, Why};
use tabellion::core::cbor::Canonical;
use tabellion::core::cose::PaperKind;
use tabellion::core::domain::{Domain, Identity};
use tabellion::core::event::{Event, EventType};
use tabellion::core::head::HeadFile;
use tabellion::core::ids::{Hash, kid_of};
use tabellion::core::note::signature_line;
use tabellion::core::payload::{Closed, Sealed};
use tabellion::core::proposal::{Entry, TREE_MEDIA_TYPE};
use tabellion::core::rules::Rule;
use tabellion::core::snapshot::Snapshot;
use tabellion::keys::Seed;
use tabellion::run::signing::sign;
use tabellion::run::snapshot::Writer;

use super::scene::{ORIGIN, Scene, alice, take};
use crate::stage::seed;

fn remote(scene: &Scene, ledger: &str) -> Result<Remote, String> {
    let Connected::To(channel) = connect(&scene.domain()).unwrap() else { panic!("somebody listens") };
    Remote::greet(channel, ledger, "a test", after(Duration::from_secs(20))).map_err(|turned| match turned {
        tabellion::broker::follow::Turned::Away(fault) => fault.to_string(),
        tabellion::broker::follow::Turned::Again => "again".into(),
    })
}

fn patience() -> Patience {
    Patience { until_us: after(Duration::from_secs(20)), gone: Arc::default() }
}

fn asker() -> Asker {
    Asker { uid: 0, pid: 0, program: String::new() }
}

fn send(remote: &Remote, append: &Append) -> Result<Answer, LedgerError> {
    remote.append(&asker(), &[3; 16], append.clone(), &patience())
}

/// The domain as a follower reads it, with whose keys it likes.
fn read(remote: &Remote, identity: Identity) -> (Domain, Event) {
    let Ok(Answer::Events(events)) = remote.read(&asker(), &[1; 16], &Read::Events { from: 1, rows: 100, bytes: 4_194_304 }, &patience())
    else {
        panic!("events")
    };
    let mut domain = Domain::new(identity);
    events.iter().for_each(|event| domain.apply(event).unwrap());
    (domain, events.last().unwrap().clone())
}

/// The events of the next snapshot: of nothing but an empty tree that every earlier pack has.
fn events(domain: &Domain, signer: &Seed, tree: &Entry) -> Vec<NewEvent> {
    let snapshot =
        Snapshot { origin: ORIGIN.parse().unwrap(), sequence: domain.next_number(), tree: tree.clone(), note: None, time: Some(7) };
    let envelope = sign(PaperKind::Snapshot, snapshot.to_cbor(), Vec::new(), &signer.member(false)).unwrap();
    let identity = Identity { member_public: signer.member(false).public_bytes(), ..domain.identity().clone() };
    // The planner refuses a stranger's snapshot as well: whoever forges one plans as if the domain were the stranger's.
    let plan = Domain::new(identity).plan(envelope, BTreeMap::from([(tree.sha256, tree.size)])).unwrap();
    let closed = Closed {
        session: 1,
        after: plan.after,
        state_root: plan.state_root,
        media: Vec::new(),
        version: "1".into(),
        program: Hash([1; 32]),
        confirmation: "alice@1".into(),
        pack: Some((Hash([2; 32]), 3)),
    };
    let all =
        [(EventType::Opened, plan.opened.to_cbor()), (EventType::Verdict, plan.ruling.to_cbor()), (EventType::Closed, closed.to_cbor())];
    all.into_iter()
        .enumerate()
        .map(|(index, (event_type, payload))| NewEvent { event_id: format!("1/{index}"), timestamp: 7, event_type, payload })
        .collect()
}

/// An event as the database will store it; its signature is nobody's here.
fn stored(identity: &Identity, new: &NewEvent, seq_no: u64, prev_event_hash: [u8; 32]) -> Event {
    let mut event = Event {
        seq_no,
        event_id: new.event_id.clone(),
        timestamp: new.timestamp,
        event_type: new.event_type,
        payload: new.payload.clone(),
        prev_event_hash,
        event_hash: [0; 32],
        signature: [0; 64],
        public_key_id: kid_of(&identity.ledger_public),
        writer_epoch: 1,
    };
    event.event_hash = event.hash_again();
    event
}

fn sealed(domain: &Domain, signer: &Seed) -> NewEvent {
    let log = &domain.identity().log;
    let signature = signer.log(log.name().clone(), false).sign_note(&domain.checkpoint_text(1).unwrap()).unwrap();
    let payload = Sealed { session: 1, checkpoints: vec![(1, signature_line(log.name(), log.id(), &signature))], notes: Vec::new() };
    NewEvent { event_id: "1/3".into(), timestamp: 7, event_type: EventType::Sealed, payload: payload.to_cbor() }
}

#[test]
fn follower_that_sends_what_another_key_signed_is_refused_and_the_ledger_stays_as_it_was() {
    let scene = Scene::new();
    let alice = alice();
    // Somebody leads who has nothing to keep yet.
    let mut leader = Writer::new(&scene.domain(), &alice, Box::new(|_| {})).unwrap();
    leader.sit_down().unwrap();
    let remote = remote(&scene, ORIGIN).unwrap();
    let identity = scene.look().domain().identity().clone();
    let bytes = b"a tree that nobody looks into";
    let entry = Entry { sha256: Hash::of(bytes), size: bytes.len() as u64, media_type: TREE_MEDIA_TYPE.parse().unwrap(), source: None };
    let domain = Domain::new(identity.clone());
    let append = |events: Vec<NewEvent>| Append { expected_head: None, bring: vec![], events, head_file: None, idempotency_key: None };
    let head_file = |events: &[NewEvent]| {
        let (mut domain, mut hash) = (domain.clone(), [0; 32]);
        for (index, new) in events.iter().enumerate() {
            let event = stored(&identity, new, index as u64 + 1, hash);
            domain.apply(&event).unwrap();
            hash = event.event_hash;
        }
        let kept = domain.kept().last().unwrap();
        HeadFile { session: 1, head: kept.head, closed: kept.closed_hash }.text()
    };
    let ledger = || std::fs::read(scene.domain().join("ledger.db")).unwrap();
    let before = ledger();
    let good = events(&domain, &alice, &entry);
    let strangers = events(&domain, &seed("mallory"), &entry);
    let mut mixed = good.clone();
    mixed[1] = strangers[1].clone();
    for (what, events, words) in [
        ("a stranger's snapshot", strangers, "is not signed by ed25519:"),
        ("a stranger's verdict", mixed, "is not signed by ed25519:"),
        ("half a session", good[..2].to_vec(), "end within a session"),
        ("the beginning of one", good[..1].to_vec(), "end within a session"),
        ("no head file", good.clone(), "head file None found; Some("),
        ("another order", vec![good[1].clone(), good[0].clone(), good[2].clone()], "expected"),
    ] {
        let refusal = send(&remote, &append(events)).expect_err(what);
        assert_eq!((refusal.rule, refusal.found.contains(words)), (Rule::LedgerFault, true), "{what}: {refusal}");
    }
    let whole = Append { head_file: Some(head_file(&good)), ..append(good.clone()) };
    let outside = Bring { from: "objects/x".into(), to: "ledger.db".into() };
    let refusal = send(&remote, &Append { bring: vec![outside], ..whole.clone() }).expect_err("a file for the ledger's place");
    assert_eq!(refusal.rule, Rule::RequestBounds);
    assert_eq!(remote.read(&asker(), &[1; 16], &Read::Head, &patience()), Ok(Answer::Hash(None)), "no event came in");
    assert!(ledger() == before && !scene.domain().join("head").exists() && !scene.domain().join("objects").exists());
    // The owner's own is taken, and asked again it is answered and not done again; then the seal.
    let spoilt = whole.head_file.as_ref().map(|text| text.replace("number 1", "number 2"));
    let refusal = send(&remote, &Append { head_file: spoilt, ..whole.clone() }).expect_err("another head file");
    assert_eq!(refusal.rule, Rule::LedgerFault, "{refusal}");
    let first = send(&remote, &whole).unwrap();
    assert_eq!(send(&remote, &whole).unwrap(), first);
    let other = send(&remote, &append(events(&Domain::new(identity.clone()), &alice, &Entry { size: 1, ..entry }))).unwrap_err();
    assert_eq!(other.why, Why::HeadUnexpected);
    let (domain, last) = read(&remote, identity);
    let seal = |signer: &Seed| Append { expected_head: Some(last.event_hash), ..append(vec![sealed(&domain, signer)]) };
    let refusal = send(&remote, &seal(&seed("mallory"))).unwrap_err();
    assert_eq!(refusal.rule, Rule::CheckpointUnsigned, "{refusal}");
    send(&remote, &seal(&alice)).unwrap();
    assert_eq!(scene.look().domain().unsealed(), None);
}

#[test]
fn request_for_another_ledger_is_turned_away_with_both_names() {
    let scene = Scene::new();
    let alice = alice();
    let mut leader = Writer::new(&scene.domain(), &alice, Box::new(|_| {})).unwrap();
    take(&mut leader, &scene.path(""), "first");
    let Err(words) = remote(&scene, "witness.example/common/~bob") else { panic!("a welcome") };
    assert!(words.contains("~bob") && words.contains("~alice"), "{words}");
}

//! Orders that end a halt: what an order needs, what stops it, and what it does. That a kill leaves nothing half done: `orders_crash.rs`.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "orders/scene.rs"]
mod scene;
mod support;

use std::fs;

use scene::{Scene, events, passphrase, resume_at};
use support::{Paper, policy_toml};
use tabellion::core::cbor::Canonical as _;
use tabellion::core::cose::{Envelope, PaperKind};
use tabellion::core::event::EventType;
use tabellion::core::halt::{Halt, Resume};
use tabellion::core::ids::{Hash, Head};
use tabellion::core::note::Note;
use tabellion::core::order::{Order, What};
use tabellion::core::proposal::{Expect, Operation};
use tabellion::core::rules::Rule;
use tabellion::ledger::NewEvent;
use tabellion::run::desk::{Desk, DeskKeys, KEY_FILE};
use tabellion::run::gossip::Reported;

/// `resume` with other texts or another dossier.
fn resuming(order: &Order, change: impl FnOnce(&mut Hash, &mut Vec<Hash>)) -> Order {
    let What::Resume { mut dossier, mut settled } = order.what.clone() else { panic!("{order:?}") };
    change(&mut dossier, &mut settled);
    Order { what: What::Resume { dossier, settled }, ..order.clone() }
}

#[test]
fn an_order_of_the_governors_ends_a_halt_and_what_it_settled_halts_no_more() {
    let scene = Scene::new();
    assert_eq!(scene.session().err().expect("halted").fault.rule, Rule::Halted);
    let (halt, dossier) = (fs::read(scene.at("desk/halt")).unwrap(), scene.standing().halt.dossier);
    let before = events(&scene.at("desk"));
    // The dossier lists the checkpoint and, in its proof, the same text again; and the note on bob's paper.
    let order = scene.draft();
    let checkpoint = fs::read(scene.at("stick/tabellion/common/checkpoint")).unwrap();
    let text = Hash::of(Note::parse(&checkpoint).unwrap().text.as_bytes());
    let What::Resume { settled, .. } = &order.what else { panic!("{order:?}") };
    assert!(settled.len() == 2 && settled.contains(&text), "{settled:?}");

    let resumed = scene.resumes(&order, &["alice", "bob"]);
    assert!(resumed.is_new && resumed.still.is_none() && resumed.unsettled.is_empty());
    assert_eq!((&resumed.settled, resumed.head), (settled, scene.desk().head()));
    // The ledger tells why it was halted, and by whose order it goes on; the halt file is kept.
    let mut expected = before.clone();
    expected.extend([EventType::Halt, EventType::Resume]);
    assert_eq!(events(&scene.at("desk")), expected);
    assert!(!scene.at("desk/halt").exists());
    assert_eq!(fs::read(scene.at(&format!("desk/halt-evidence/{dossier}.halt"))).unwrap(), halt);
    // Whoever reads the ledger can see who signed.
    let ledger = tabellion::ledger::Ledger::open_read_only(&scene.at("desk")).unwrap();
    let event = ledger.latest().unwrap().unwrap();
    let stored = Resume::from_cbor(&event.payload).unwrap();
    let signers: Vec<Hash> = stored.envelope.signers.iter().map(|signer| signer.kid).collect();
    let mut governors = ["alice", "bob"].map(|name| support::key(name).kid());
    governors.sort();
    assert_eq!((signers, stored.envelope.payload), (governors.to_vec(), order.to_cbor()));
    drop(ledger);

    // The same stick: reported, and no halt. Sessions go on, and can be followed by others.
    let report = scene.session().unwrap_or_else(|problem| panic!("{problem}"));
    let by_this = |reported: &Reported| matches!(reported, Reported::Settled { order: by, .. } if *by == resumed.order);
    assert!(report.reported.len() >= 2 && report.reported.iter().all(by_this), "{:?}", report.reported);
    drop(report);
    let paper = Paper::new("alice", 2, scene.desk().head()).put("open/c", b"c", Expect::Absent);
    assert!(scene.desk().judge(&scene.at("later"), &[paper]).is_new);

    // The order again: nothing is left to do, and nothing is done.
    let before = scene.print();
    let again = scene.resumes(&order, &["alice", "bob"]);
    assert!(!again.is_new && again.put_away.is_none() && again.settled == resumed.settled);
    assert_eq!(scene.print(), before);
}

#[test]
fn what_an_order_lacks_or_has_too_much_is_named_and_nothing_changes() {
    let scene = Scene::new();
    let good = scene.draft();
    let head = scene.desk().head();
    let elsewhere = Order { origin: "other.example/common".parse().unwrap(), ..good.clone() };
    let on = |head: Head| Order { head, ..good.clone() };
    let of = |what: What| Order { what, ..good.clone() };
    let two = ["alice", "bob"];
    type Case<'a> = (&'a str, Order, &'a [&'a str], Rule, &'a str);
    let cases: Vec<Case<'_>> = vec![
        (
            "another origin",
            elsewhere,
            &two,
            Rule::OriginMismatch,
            "an order for other.example/common found; witness.example/common expected",
        ),
        ("nobody we know", good.clone(), &["mallory"], Rule::OrderUnsigned, "0 of 2 in group \"board\", signed by nobody"),
        (
            "one governor",
            good.clone(),
            &["alice"],
            Rule::OrderUnsigned,
            "1 of 2 in group \"board\", signed by alice; missing any of bob, carol",
        ),
        ("one and a stranger", good.clone(), &["bob", "mallory"], Rule::OrderUnsigned, "counted for nothing: key id"),
        ("one with two keys", good.clone(), &["alice", "alice.2"], Rule::OrderUnsigned, "counted for nothing: another key of alice"),
        ("one and no governor", good.clone(), &["carol", "dave"], Rule::OrderUnsigned, "counted for nothing: dave, who is no governor"),
        ("a root that is not ours", on(Head { root: Hash([9; 32]), ..head }), &two, Rule::OrderHead, "our root of that number is "),
        ("an older root that is not ours", on(Head { number: 1, ..head }), &two, Rule::OrderHead, "our root of that number is "),
        ("a head we have not", on(Head { number: 3, ..head }), &two, Rule::OrderHead, "our head is common@2 "),
        (
            "another dossier",
            resuming(&good, |dossier, _| *dossier = Hash([7; 32])),
            &two,
            Rule::OrderSubject,
            "an order on dossier sha256:0707070707070707070707070707070707070707070707070707070707070707 found; sha256:",
        ),
        (
            "a text that was not found",
            resuming(&good, |_, settled| settled.insert(0, Hash([0; 32]))),
            &two,
            Rule::OrderSettles,
            "text sha256:0000000000000000000000000000000000000000000000000000000000000000 found; one of 2 listed ones expected",
        ),
        (
            "to recover",
            of(What::Recover { stays: Hash([1; 32]) }),
            &two,
            Rule::OrderKind,
            "an order to recover found; one to resume expected",
        ),
        ("to retire", of(What::Retire), &two, Rule::OrderKind, "an order to retire found; one to resume expected"),
    ];
    let before = scene.print();
    for (name, order, by, rule, found) in &cases {
        let problem = scene.refused(order, by);
        assert_eq!(problem.fault.rule, *rule, "{name}: {problem}");
        assert!(problem.fault.found.contains(found), "{name}: {problem}");
        assert_eq!(problem.state, "nothing was written", "{name}");
        assert_eq!(scene.print(), before, "{name}");
    }
    // What is no order at all.
    let write = |name: &str, bytes: &[u8]| {
        fs::write(scene.at(name), bytes).unwrap();
        scene.at(name)
    };
    let bare = write("bare", &good.to_cbor());
    let charter = write("charter", &fs::read(scene.at("desk/charter.cose")).unwrap());
    let spoilt = support::spoilt(&support::envelope(PaperKind::Order, &good.to_cbor(), &two), "bob").unwrap();
    let spoilt = write("spoilt", &spoilt);
    for (path, rule, found) in [
        (bare, Rule::OrderUnsigned, "is the bare payload, with 0 signatures"),
        (charter, Rule::OrderKind, "application/vnd.tabellion.charter+cbor found"),
        (spoilt.clone(), Rule::OrderUnsigned, "bob, whose signature does not verify"),
    ] {
        let problem = scene.resume(&[path]).err().expect("refused");
        assert!(problem.fault.rule == rule && problem.fault.found.contains(found), "{problem}");
        assert_eq!(scene.print(), before);
    }
    // Copies of two orders are not one order.
    let note = Order { note: Some("another".parse().unwrap()), ..good.clone() };
    let problem = scene.resume(&[scene.signed(&good, &["alice"]), scene.signed(&note, &["bob"])]).err().expect("refused");
    assert_eq!(problem.fault.rule, Rule::Usage, "{problem}");
    assert_eq!(scene.print(), before);
    // The controls: each of these differs from a refused one in one thing. A copy with a spoilt signature does no harm beside a good one.
    let copies = [scene.signed(&good, &["alice"]), spoilt, scene.signed(&good, &["bob", "mallory"])];
    assert!(scene.resume(&copies).unwrap_or_else(|problem| panic!("{problem}")).is_new);
}

#[test]
fn an_order_on_an_older_head_of_ours_that_settles_less_ends_the_halt_and_the_rest_halts_again() {
    let scene = Scene::new();
    let root = scene.desk().desk().books().log().root_at(1).unwrap();
    let order = resuming(&Order { head: Head { number: 1, root }, number: 40, ..scene.draft() }, |_, settled| settled.truncate(1));
    let resumed = scene.resumes(&order, &["bob", "carol"]);
    assert_eq!((resumed.settled.len(), resumed.unsettled.len()), (1, 1));
    // What was not settled halts the desk again, with a dossier that lists it alone; a second order takes the next number.
    assert_eq!(scene.session().err().expect("halted").fault.rule, Rule::HeadElsewhere);
    let second = scene.draft();
    assert_eq!((second.number, &second.what), (41, &What::Resume { dossier: scene.standing().halt.dossier, settled: resumed.unsettled }));
    // The first order again ends nothing: its number is used. Nor does another order of that number.
    let before = scene.print();
    let problem = scene.refused(&order, &["bob", "carol"]);
    assert_eq!(problem.fault.rule, Rule::OrderUsed);
    assert_eq!(problem.fault.found, "order number 40, which this very order took; 41 expected, the next that is free");
    let problem = scene.refused(&Order { number: 40, ..second.clone() }, &["bob", "carol"]);
    assert_eq!(
        problem.fault.found,
        format!("order number 40, which order sha256:{} took; 41 expected, the next that is free", resumed.order)
    );
    assert_eq!(scene.print(), before);
    assert!(scene.resumes(&second, &["bob", "carol"]).is_new);
    assert!(scene.session().is_ok());
}

#[test]
fn the_governors_are_those_of_the_policy_in_force() {
    let scene = Scene::new();
    // The governors change hands while the desk works: before the copy's stick comes.
    let dir = scene.at("desk");
    fs::remove_file(dir.join("halt")).unwrap();
    let next = support::policy(&policy_toml(10).replace("governors = \"board\"", "governors = \"field\""));
    let paper = Paper::new("alice", 2, scene.desk().head()).with(Operation::SetPolicy { policy: Box::new(next), expect: None });
    let report = scene.desk().judge(&scene.at("policy"), &[paper.signed_by(&["bob", "dave"])]);
    assert_eq!(report.heads.1.number, 3, "the new policy is in force");
    drop(report);
    assert_eq!(scene.session().err().expect("halted").fault.rule, Rule::HeadElsewhere);
    let (order, before) = (scene.draft(), scene.print());
    let problem = scene.refused(&order, &["alice", "bob", "carol"]);
    assert_eq!(problem.fault.rule, Rule::OrderUnsigned);
    assert!(problem.fault.found.starts_with("0 of 1 in group \"field\", signed by nobody; missing any of dave, erin"), "{problem}");
    assert_eq!(scene.print(), before);
    assert!(scene.resumes(&order, &["dave"]).is_new);
}

#[test]
fn a_desk_whose_checks_fail_is_not_resumed() {
    let scene = Scene::new();
    let order = scene.signed(&scene.draft(), &["alice", "bob"]);
    support::copy_folder(&scene.at("desk"), &scene.at("kept"));
    #[allow(clippy::disallowed_methods)] // a foreign program at the ledger's file
    let db = rusqlite::Connection::open(scene.at("desk/ledger.db")).unwrap();
    db.execute_batch("DROP TRIGGER records_no_delete").unwrap();
    drop(db);
    let problem = scene.resume(std::slice::from_ref(&order)).err().expect("refused");
    assert_eq!(problem.fault.rule, Rule::LedgerFault, "{problem}");
    assert_eq!(problem.state, "the desk stays halted; nothing was written");
    assert!(problem.next.as_deref().unwrap().starts_with("a resume order does not mend this"), "{problem}");
    assert!(scene.at("desk/halt").exists());
    fs::remove_dir_all(scene.at("desk")).unwrap();
    support::copy_folder(&scene.at("kept"), &scene.at("desk"));
    assert!(scene.resume(&[order]).is_ok());
}

#[test]
fn a_halt_file_that_was_removed_or_torn_is_no_end_of_a_halt() {
    // Torn: its own bytes are what an order names.
    let scene = Scene::new();
    fs::write(scene.at("desk/halt"), b"tabellion-ha").unwrap();
    let order = scene.draft();
    assert_eq!(order.what, What::Resume { dossier: Hash::of(b"tabellion-ha"), settled: Vec::new() });
    assert!(scene.resumes(&order, &["alice", "bob"]).is_new);
    assert_eq!(fs::read(scene.at(&format!("desk/halt-evidence/{}.halt", Hash::of(b"tabellion-ha")))).unwrap(), b"tabellion-ha");
    // Nothing was settled, and the stick halts it again.
    assert_eq!(scene.session().err().expect("halted").fault.rule, Rule::HeadElsewhere);

    // Removed after the ledger knows: the ledger halts the desk.
    let order = scene.signed(&scene.draft(), &["alice", "bob"]);
    let broken = std::panic::catch_unwind(|| {
        resume_at(&scene.at("desk"), std::slice::from_ref(&order), &mut |effect, _| {
            assert_ne!(effect, "append the resume event", "the power fails")
        })
    });
    assert!(broken.is_err());
    assert_eq!(events(&scene.at("desk")).last(), Some(&EventType::Halt));
    fs::remove_file(scene.at("desk/halt")).unwrap();
    let problem = scene.session().err().expect("halted");
    assert_eq!(problem.fault.rule, Rule::Halted);
    assert!(problem.fault.found.ends_with("as the ledger tells: the halt file is not there"), "{problem}");
    assert!(scene.desk().desk().halted().unwrap().is_some());
    assert!(scene.resume(&[order]).unwrap_or_else(|problem| panic!("{problem}")).is_new);
    assert!(scene.session().is_ok());
}

#[test]
fn without_its_dossier_a_halt_can_end_but_nothing_is_settled_and_a_changed_dossier_stops_everything() {
    let scene = Scene::new();
    let full = scene.draft();
    let path = scene.standing().dossier.unwrap();
    let dossier = fs::read_to_string(&path).unwrap();
    // Somebody who writes another text into the dossier would have it settled.
    fs::write(&path, format!("{dossier}   text      sha256:{}\n", Hash([5; 32]))).unwrap();
    let before = scene.print();
    let problem = scene.refused(&full, &["alice", "bob"]);
    assert_eq!(problem.fault.rule, Rule::LedgerFault, "{problem}");
    assert_eq!(scene.print(), before);
    fs::remove_file(&path).unwrap();
    let before = scene.print();
    let problem = scene.refused(&full, &["alice", "bob"]);
    assert!(problem.fault.rule == Rule::OrderSettles && problem.next.unwrap().contains("the dossier is not there"));
    assert_eq!(scene.print(), before);
    let empty = scene.draft();
    assert_eq!(empty, resuming(&full, |_, settled| settled.clear()));
    assert!(scene.resumes(&empty, &["alice", "bob"]).settled.is_empty());
    assert_eq!(scene.session().err().expect("halted").fault.rule, Rule::HeadElsewhere);
}

#[test]
fn a_halt_that_comes_in_between_stays() {
    let scene = Scene::new();
    let order = scene.signed(&scene.draft(), &["alice", "bob"]);
    let other = Halt { rule: Rule::HeadElsewhere, dossier: Hash([3; 32]), found: "something else".into() };
    let resumed = resume_at(&scene.at("desk"), std::slice::from_ref(&order), &mut |effect, _| {
        if effect == "remove the halt file" {
            fs::write(scene.at("desk/halt"), other.text()).unwrap();
        }
    });
    let resumed = resumed.unwrap_or_else(|problem| panic!("{problem}"));
    assert!(resumed.is_new && resumed.put_away.is_none());
    assert_eq!(resumed.still, Some(other.clone()));
    assert_eq!(scene.session().err().expect("halted").fault.rule, Rule::Halted);
    // It takes an order of its own; the one that was used does not end it.
    assert_eq!(scene.resume(&[order]).err().expect("refused").fault.rule, Rule::OrderUsed);
    assert!(scene.resumes(&scene.draft(), &["alice", "bob"]).still.is_none());
    assert!(scene.session().is_ok());
}

#[test]
fn a_desk_that_is_not_halted_has_nothing_to_resume() {
    let scene = Scene::new();
    let (order, dir) = (scene.draft(), scene.at("desk"));
    fs::remove_file(dir.join("halt")).unwrap();
    let before = scene.print();
    let problem = scene.refused(&order, &["alice", "bob"]);
    assert_eq!(problem.fault.rule, Rule::OrderSubject);
    assert!(problem.fault.found.ends_with("a desk that is halted expected, and this one is not"), "{problem}");
    let problem = scene.refused(&Order { what: What::Retire, ..order }, &["alice", "bob"]);
    assert_eq!(problem.fault.rule, Rule::OrderKind);
    assert_eq!(scene.print(), before);
}

/// A ledger key alone ends no halt: what it signs without the governors' order is never committed, and no start believes it.
#[test]
fn an_end_of_a_halt_that_no_order_says_is_not_committed() {
    let scene = Scene::new();
    let (order, halted) = (scene.draft(), scene.standing());
    let dir = scene.at("desk");
    let mut desk = Desk::open_halted(&dir).unwrap_or_else(|problem| panic!("{problem}"));
    let keys = DeskKeys::unlock(&dir.join(KEY_FILE), &passphrase(), desk.books().charter().unwrap()).unwrap();
    desk.unlock(&keys).unwrap();
    let mut append = |event_type, payload: Vec<u8>| {
        let event_id = desk.books().next_event_id();
        desk.commit(vec![NewEvent { event_id, timestamp: 0, event_type, payload }], &mut |_, _| {})
    };
    let resume = |by: &[&str], order: &Order| {
        let envelope = Envelope::from_cbor(&support::envelope(PaperKind::Order, &order.to_cbor(), by)).unwrap();
        let What::Resume { dossier, settled } = order.what.clone() else { panic!("{order:?}") };
        Resume { order: envelope.pid(), env: envelope.env(), dossier, settled, envelope }
    };
    let two = ["alice", "bob"];
    let good = resume(&two, &order);
    // Before the halt stands in the ledger there is nothing to end.
    let found = append(EventType::Resume, good.to_cbor()).expect_err("refused");
    assert!(found.rule == Rule::LedgerFault && found.found.ends_with("a halt event for it before expected"), "{found}");
    append(EventType::Halt, halted.halt.to_cbor()).unwrap();
    let other_number = Order { number: 2, ..order.clone() };
    for (name, payload, says) in [
        ("one governor", resume(&["alice"], &order), "[order-unsigned]"),
        ("another origin", resume(&two, &Order { origin: "other.example/common".parse().unwrap(), ..order.clone() }), "[origin-mismatch]"),
        ("another head", resume(&two, &Order { head: Head { number: 1, ..order.head }, ..order.clone() }), "[order-head]"),
        ("more settled than ordered", Resume { settled: vec![Hash([1; 32])], ..good.clone() }, "does not say"),
        ("another dossier", Resume { dossier: Hash([1; 32]), ..good.clone() }, "does not say"),
        ("another id", Resume { order: Hash([1; 32]), ..good.clone() }, "follows from its envelope"),
        ("another envelope", Resume { env: Hash([1; 32]), ..good.clone() }, "follows from its envelope"),
        ("not as counted", resume(&["alice", "bob", "mallory"], &order), "follows from its envelope"),
    ] {
        let found = append(EventType::Resume, payload.to_cbor()).err().unwrap_or_else(|| panic!("{name}: committed"));
        assert!(found.rule == Rule::LedgerFault && found.found.contains(says), "{name}: {found}");
    }
    append(EventType::Resume, good.to_cbor()).unwrap();
    let found = append(EventType::Resume, resume(&two, &other_number).to_cbor()).expect_err("refused");
    assert!(found.found.ends_with("a halt event for it before expected"), "{found}");
    let found = append(EventType::Halt, halted.halt.to_cbor()).expect_err("refused");
    assert!(found.found.contains("has ended"), "{found}");
}

#[test]
fn an_order_on_a_medium_is_listed_with_what_to_do_with_it() {
    let scene = Scene::new();
    let order = scene.draft();
    fs::remove_file(scene.at("desk/halt")).unwrap();
    fs::create_dir_all(scene.at("bag")).unwrap();
    fs::copy(scene.signed(&order, &["alice", "bob"]), scene.at("bag/order.cose")).unwrap();
    let report = scene.desk().session(&[scene.at("bag")], None);
    assert_eq!(report.listed.len(), 1);
    let fault = &report.listed[0].fault;
    assert_eq!(fault.rule.id(), "order-in-bag");
    assert_eq!(fault.found, "order number 1 of witness.example/common, to resume; a proposal expected");
    assert!(fault.rule.next().contains("tabellion ceremony"));
}

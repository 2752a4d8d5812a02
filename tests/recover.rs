//! Orders that let one of two copies of a ledger stay. That a kill leaves nothing half done: `orders_crash.rs`.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "orders/scene.rs"]
mod scene;
mod support;

use std::fs;
use std::path::PathBuf;

use scene::{Scene, events, parted, recover_at};
use support::{Notary, Paper, policy_toml};
use tabellion::core::event::EventType;
use tabellion::core::halt::Recover;
use tabellion::core::ids::Hash;
use tabellion::core::order::{Order, What};
use tabellion::core::proposal::Expect;
use tabellion::core::rules::Rule;
use tabellion::run::branches::{Relation, Which};
use tabellion::run::gossip::Reported;
use tabellion::run::quarantine;
use tabellion::run::recover::{self, Recovered};

const TWO: [&str; 2] = ["alice", "bob"];

/// What the desk's ledger holds, event by event.
fn hashes(dir: &std::path::Path) -> Vec<[u8; 32]> {
    let ledger = tabellion::ledger::Ledger::open_read_only(dir).unwrap();
    let mut all = Vec::new();
    ledger
        .for_each(1, |event| {
            all.push(event.event_hash);
            Ok(())
        })
        .unwrap();
    all
}

fn order(scene: &Scene, stays: Which) -> Order {
    recover::draft(&parted(scene, "desk", "other"), stays, None).unwrap_or_else(|problem| panic!("{problem}"))
}

fn recover(scene: &Scene, order: &Order) -> Recovered {
    let signed = scene.signed(order, &TWO);
    recover_at(&scene.at("desk"), &scene.at("other"), &[signed], &mut |_, _| {}).unwrap_or_else(|problem| panic!("{problem}"))
}

#[test]
fn the_branch_that_goes_is_kept_its_texts_can_be_settled_and_nothing_that_stays_is_changed() {
    let scene = Scene::forked();
    let parted = parted(&scene, "desk", "other");
    assert_eq!(parted.branches.comparison().relation, Relation::Forked);
    let twice: Vec<u64> = parted.branches.comparison().twice.iter().map(|twice| twice.number).collect();
    assert_eq!(twice, [3]);
    let (before, head) = (hashes(&scene.at("desk")), scene.desk().head());
    let order = order(&scene, Which::Ours);
    assert_eq!((order.number, order.head, &order.what), (1, head, &What::Recover { stays: Hash(*before.last().unwrap()) }));

    // The desk was not halted: it is now, for two branches are about. Its own events are the same, to the byte, and its head is.
    let recovered = recover(&scene, &order);
    assert!(recovered.is_new && recovered.halt.as_ref().is_some_and(|halt| halt.rule == Rule::LedgerForked));
    assert_eq!(hashes(&scene.at("desk"))[..before.len()], before[..]);
    assert_eq!(events(&scene.at("desk"))[before.len()..], [EventType::Halt, EventType::Recover]);
    assert_eq!(scene.desk().head(), head);
    // What went verifies by itself, and the event names it.
    let header = quarantine::verify(&recovered.quarantine, Some(&recovered.event.quarantine)).unwrap();
    let common = parted.branches.comparison().last_common.as_ref().unwrap();
    assert_eq!((header.common_seq_no, header.common_hash, recovered.event.common), (common.seq_no, common.event_hash, common.seq_no));
    assert_eq!(header.events, parted.branches.comparison().theirs.events);
    // The checkpoint of the other's common@3 and its note on bob's paper.
    assert_eq!(recovered.event.texts.len(), 2);
    assert_eq!(scene.session().err().expect("halted").fault.rule, Rule::Halted);

    // An order to resume settles them although no medium has brought them; then the other's stick is reported, and halts no more.
    let resume = scene.draft();
    assert_eq!(
        (resume.number, &resume.what),
        (2, &What::Resume { dossier: recovered.halt.unwrap().dossier, settled: recovered.event.texts.clone() })
    );
    let resumed = scene.resumes(&resume, &TWO);
    assert!(resumed.still.is_none() && resumed.unsettled.is_empty());
    // (Its published folder is of another history, and is not written over: that medium is given up.)
    let report = scene.session().unwrap_or_else(|problem| panic!("{problem}"));
    assert!(report.reported.iter().all(|reported| matches!(reported, Reported::Settled { .. })) && !report.reported.is_empty());
    assert_eq!(report.media[0].1.as_ref().err().map(|fault| fault.rule), Some(Rule::MediumForeign));
    drop(report);

    // The order again: nothing is left to do.
    let before = scene.print();
    let again = recover(&scene, &order);
    assert!(!again.is_new && again.halt.is_none() && again.event == recovered.event);
    assert_eq!(scene.print(), before);
}

#[test]
fn a_halted_desk_that_is_the_older_copy_may_stay_when_the_governors_say_so() {
    let scene = Scene::new();
    assert_eq!(parted(&scene, "desk", "other").branches.comparison().relation, Relation::OursIsOlder);
    let dossier = scene.standing().halt.dossier;
    let recovered = recover(&scene, &order(&scene, Which::Ours));
    // The halt that was there stays, and takes one order: with what its dossier lists and what the other signed.
    assert_eq!(recovered.halt.map(|halt| halt.dossier), Some(dossier));
    let resume = scene.draft();
    let What::Resume { settled, .. } = &resume.what else { panic!("{resume:?}") };
    assert!(recovered.event.texts.iter().all(|text| settled.contains(text)));
    assert!(scene.resumes(&resume, &TWO).still.is_none());
    assert!(scene.session().is_ok());
}

#[test]
fn the_other_copy_stays_where_it_is_and_is_not_put_into_this_one() {
    let scene = Scene::forked();
    let order = order(&scene, Which::Theirs);
    let signed = scene.signed(&order, &TWO);
    let before = scene.print();
    let problem = recover_at(&scene.at("desk"), &scene.at("other"), std::slice::from_ref(&signed), &mut |_, _| {}).err().expect("refused");
    // Its head is none of ours, or it is and the branch is not.
    assert_eq!(problem.fault.rule, Rule::OrderHead, "{problem}");
    assert_eq!(scene.print(), before);
    // At the desk that stays the same order is carried out, with this one as the copy that goes.
    let recovered =
        recover_at(&scene.at("other"), &scene.at("desk"), &[signed], &mut |_, _| {}).unwrap_or_else(|problem| panic!("{problem}"));
    assert!(recovered.is_new && recovered.event.texts.len() == 1);
    assert_eq!(scene.print(), before);
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_changes() {
    let scene = Scene::forked();
    let good = order(&scene, Which::Ours);
    let before = scene.print();
    let refused = |order: &Order, by: &[&str], other: PathBuf| {
        let problem = recover_at(&scene.at("desk"), &other, &[scene.signed(order, by)], &mut |_, _| {}).err().expect("refused");
        assert_eq!(scene.print(), before, "{problem}");
        problem
    };
    let other = || scene.at("other");
    let of = |what: What| Order { what, ..good.clone() };
    let theirs = parted(&scene, "desk", "other").end(Which::Theirs);
    for (order, by, rule, found) in [
        (good.clone(), &["alice"][..], Rule::OrderUnsigned, "1 of 2 in group \"board\", signed by alice"),
        (
            of(What::Resume { dossier: Hash([1; 32]), settled: vec![] }),
            &TWO,
            Rule::OrderKind,
            "an order to resume found; one to recover expected",
        ),
        (of(What::Recover { stays: Hash([1; 32]) }), &TWO, Rule::OrderSubject, "a branch that ends in event 0101"),
        (of(What::Recover { stays: theirs }), &TWO, Rule::OrderSubject, "stays by this order"),
    ] {
        let problem = refused(&order, by, other());
        assert!(problem.fault.rule == rule && problem.fault.found.contains(found), "{problem}");
    }
    // An order to recover ends no halt.
    let problem = scene.refused(&good, &TWO);
    assert_eq!(problem.fault.rule, Rule::OrderKind, "{problem}");
    // A copy of this very ledger, an older one, and one of another Common: there is nothing to choose.
    let here = parted(&scene, "desk", "other").end(Which::Ours);
    let same = scene.desk().copied_to(&scene.at("same")).dir;
    let older = scene.at("older");
    let stranger = Notary::found(&scene.at("stranger"), &policy_toml(3)).dir;
    for (copy, found) in [(same, "both ledgers have the same events"), (older, "ends where ours goes on"), (stranger, "another Common")] {
        let problem = refused(&of(What::Recover { stays: here }), &TWO, copy);
        assert!(problem.fault.rule == Rule::Usage && problem.fault.found.contains(found), "{problem}");
    }
    // The other went on after the order was written: what is chosen between is not what the governors saw. Ours is the same still, so it may stay.
    let paper = Paper::new("alice", 9, Notary { dir: other() }.head()).put("open/z", b"z", Expect::Absent);
    Notary { dir: other() }.judge(&scene.at("on"), &[paper]);
    let recovered = recover(&scene, &good);
    assert_eq!(recovered.event.texts.len(), 3);
    // A changed quarantine is found by its name.
    fs::write(&recovered.quarantine, b"nothing").unwrap();
    assert_eq!(
        quarantine::verify(&recovered.quarantine, Some(&recovered.event.quarantine)).err().map(|fault| fault.rule),
        Some(Rule::LedgerFault)
    );
    let event = tabellion::ledger::Ledger::open_read_only(&scene.at("desk")).unwrap().latest().unwrap().unwrap();
    use tabellion::core::cbor::Canonical as _;
    assert_eq!(Recover::from_cbor(&event.payload).unwrap(), recovered.event);
}

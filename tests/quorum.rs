//! Attacks on the counting of signatures, with real keys. Each row goes three ways: what is counted ([`quorum::approvals`] after
//! [`verify::verify`]), what a desk answers in a session, and whether a consumer takes a page made of it. All three must agree.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeSet;

use support::{Notary, Paper, key, policy, public, room, signed_otherwise, spoilt, write};
use tabellion::core::books::apply;
use tabellion::core::cbor::Canonical as _;
use tabellion::core::common::Common;
use tabellion::core::cose::{Envelope, PaperKind, Signer, sig_structure};
use tabellion::core::ids::{Hash, Head, Party, Pid};
use tabellion::core::need::Need;
use tabellion::core::policy::{Group, MemberKey, Policy};
use tabellion::core::policy_text;
use tabellion::core::proposal::{Expect, Operation, Proposal};
use tabellion::core::quorum;
use tabellion::core::record::{Record, RecordKind};
use tabellion::core::rules::Rule;
use tabellion::core::verify::{self, Enrolment};

/// The policy attacked: board is 2 of alice (with two keys), bob and carol (with one retired key); field 1 of dave and erin; both is board and
/// field.
fn toml() -> String {
    let member = |name: &str, keys: &[&str], retired: &[&str]| {
        let list = |labels: &[&str]| labels.iter().map(|label| public(label)).collect::<Vec<_>>();
        format!("[[member]]\nname = \"{name}\"\nkeys = {:?}\nretired = {:?}\n", list(keys), list(retired))
    };
    let mut text = String::from("governors = \"board\"\n");
    text.push_str(&member("alice", &["alice", "alice.2"], &[]));
    text.push_str(&member("bob", &["bob"], &[]));
    text.push_str(&member("carol", &["carol"], &["carol.old"]));
    text.push_str(&member("dave", &["dave"], &[]));
    text.push_str(&member("erin", &["erin"], &[]));
    text.push_str("[[group]]\nname = \"board\"\nk = 2\nof = [\"alice\", \"bob\", \"carol\"]\n");
    text.push_str("[[group]]\nname = \"field\"\nk = 1\nof = [\"dave\", \"erin\"]\n");
    text.push_str("[[group]]\nname = \"both\"\nk = 2\nof = [\"board\", \"field\"]\n");
    text.push_str("[[rule]]\nprefix = \"docs/\"\npropose = [\"board\"]\napprove = \"board\"\n");
    text.push_str("[[rule]]\nprefix = \"safe/\"\npropose = [\"board\"]\napprove = \"both\"\n");
    text
}

/// What must become of a row.
enum Counts {
    /// It has its approvals.
    Complete,
    /// So many of so many, for each group that must approve; at least one is not satisfied.
    Of(&'static [(u64, u64)]),
    /// It is no paper: the rule it is listed with.
    Listed(Rule),
}

struct Row {
    what: &'static str,
    envelope: Vec<u8>,
    counts: Counts,
}

/// Rows under construction: every paper is alice's, with a sequence of its own.
struct Rows {
    base: Head,
    rows: Vec<Row>,
}

impl Rows {
    fn paper(&self, prefix: &str) -> Paper {
        let sequence = self.rows.len() as u64 + 1;
        Paper::new("alice", sequence, self.base).put(&format!("{prefix}x{sequence}"), b"x", Expect::Absent)
    }

    fn policy_paper(&self, next: &Policy) -> Paper {
        let operation = Operation::SetPolicy { expect: None, policy: Box::new(next.clone()) };
        Paper::new("alice", self.rows.len() as u64 + 1, self.base).with(operation)
    }

    fn row(&mut self, what: &'static str, envelope: Vec<u8>, counts: Counts) {
        self.rows.push(Row { what, envelope, counts });
    }
}

fn signer(label: &str, kind: PaperKind, payload: &[u8]) -> Signer {
    let key = key(label);
    Signer { kid: key.kid(), signature: key.sign(&sig_structure(kind, &key.kid(), payload)).unwrap() }
}

/// An envelope with exactly these signers, in ascending order and unchecked.
fn raw(kind: PaperKind, payload: &[u8], mut signers: Vec<Signer>) -> Vec<u8> {
    signers.sort();
    Envelope { kind, payload: payload.to_vec(), signers }.to_cbor()
}

fn rows_of_papers(rows: &mut Rows) {
    use Counts::{Complete, Listed, Of};
    let one = Of(&[(1, 2)]);
    rows.row("two members: the control, which must pass", rows.paper("docs/").signed_by(&["bob"]).envelope(), Complete);
    rows.row("k - 1 of k", rows.paper("docs/").envelope(), one);
    rows.row("one member with two keys", rows.paper("docs/").signed_by(&["alice.2"]).envelope(), Of(&[(1, 2)]));
    rows.row("a retired key", rows.paper("docs/").signed_by(&["carol.old"]).envelope(), Of(&[(1, 2)]));
    rows.row("a stranger's key", rows.paper("docs/").signed_by(&["mallory"]).envelope(), Of(&[(1, 2)]));
    rows.row("members of another group", rows.paper("docs/").signed_by(&["dave", "erin"]).envelope(), Of(&[(1, 2)]));
    rows.row(
        "a board is one part of both, whoever signs in it",
        rows.paper("safe/").signed_by(&["bob", "carol"]).envelope(),
        Of(&[(1, 2)]),
    );
    rows.row("an inner group short of its k", rows.paper("safe/").signed_by(&["dave", "erin"]).envelope(), Of(&[(1, 2)]));
    rows.row("both parts: a control", rows.paper("safe/").signed_by(&["bob", "erin"]).envelope(), Complete);
    let changed = spoilt(&rows.paper("docs/").signed_by(&["bob"]).envelope(), "bob").unwrap();
    rows.row("a signature with one byte changed", changed, Of(&[(1, 2)]));

    let payload = rows.paper("docs/").proposal.to_cbor();
    let mut lent = signer("alice.2", PaperKind::Proposal, &payload);
    lent.kid = key("bob").kid();
    let envelope = raw(PaperKind::Proposal, &payload, vec![signer("alice", PaperKind::Proposal, &payload), lent]);
    rows.row("alice's second signature under bob's key id", envelope, Of(&[(1, 2)]));
    for kind in [PaperKind::Charter, PaperKind::Order, PaperKind::Snapshot] {
        let payload = rows.paper("docs/").proposal.to_cbor();
        let signers = vec![signer("alice", PaperKind::Proposal, &payload), signer("bob", kind, &payload)];
        rows.row("bob's signature over another media type", raw(PaperKind::Proposal, &payload, signers), Of(&[(1, 2)]));
        let signers = vec![signer("alice", kind, &payload), signer("bob", kind, &payload)];
        // What calls itself an order is read as one, and a proposal's payload is none.
        let rule = if kind == PaperKind::Order { Rule::PayloadShape } else { Rule::KindUnknown };
        rows.row("all of it under another media type", raw(kind, &payload, signers), Listed(rule));
    }
    let (payload, other) = (rows.paper("docs/").proposal.to_cbor(), rows.paper("safe/").proposal.to_cbor());
    let signers = vec![signer("alice", PaperKind::Proposal, &payload), signer("bob", PaperKind::Proposal, &other)];
    rows.row("bob's approval of another paper", raw(PaperKind::Proposal, &payload, signers), Of(&[(1, 2)]));

    let paper = rows.paper("docs/");
    let payload = paper.proposal.to_cbor();
    let alice = signer("alice", PaperKind::Proposal, &payload);
    rows.row("a signature listed twice", raw(PaperKind::Proposal, &payload, vec![alice, alice]), Listed(Rule::EnvelopeShape));
    let otherwise = Envelope::from_cbor(&signed_otherwise(&paper.envelope(), "alice", 1).unwrap()).unwrap().signers[0];
    assert_ne!(alice.signature, otherwise.signature);
    let envelope = raw(PaperKind::Proposal, &payload, vec![alice, otherwise]);
    rows.row("a key id twice, with two valid signatures", envelope, Listed(Rule::EnvelopeShape));
    let envelope = paper.envelope_by(&["bob", "carol"]);
    rows.row("two approvals without the author", envelope, Listed(Rule::AuthorUnsigned));
}

fn rows_of_policies(rows: &mut Rows) {
    let with = |from: &str, to: &str| {
        let (before, after) = (toml(), toml().replacen(from, to, 1));
        assert_ne!(before, after, "{from}");
        policy(&after)
    };
    let quoted = |label: &str| format!("\"{}\"", public(label));
    let easy = with("k = 2", "k = 1");
    rows.row("the new policy's threshold used to admit itself", rows.policy_paper(&easy).envelope(), Counts::Of(&[(1, 2), (1, 1)]));
    let usurped = with(&quoted("bob"), &format!("\"{}\", \"{}\"", public("bob"), public("mallory")));
    let envelope = rows.policy_paper(&usurped).signed_by(&["mallory"]).envelope();
    rows.row("a key that the new policy gives to bob, used for the old one", envelope, Counts::Of(&[(1, 2), (2, 2)]));
    let revived = with(
        &format!("{}]\nretired = [{}]", quoted("carol"), quoted("carol.old")),
        &format!("{}]", [quoted("carol"), quoted("carol.old")].join(", ")),
    );
    let envelope = rows.policy_paper(&revived).signed_by(&["carol.old"]).envelope();
    rows.row("a retired key that the new policy revives, used for the old one", envelope, Counts::Of(&[(1, 2), (2, 2)]));
    let before = format!("keys = [{}]\nretired = []", quoted("bob"));
    let retired = with(&before, &format!("keys = [{}]\nretired = [{}]", quoted("bob.2"), quoted("bob")));
    let envelope = rows.policy_paper(&retired).signed_by(&["bob"]).envelope();
    rows.row("a key that the new policy retires, used for the new one", envelope, Counts::Of(&[(2, 2), (1, 2)]));
    let handed = with("governors = \"board\"", "governors = \"field\"");
    let envelope = rows.policy_paper(&handed).signed_by(&["bob"]).envelope();
    rows.row("the old governors hand over to those who did not sign", envelope, Counts::Of(&[(2, 2), (0, 1)]));
    let envelope = rows.policy_paper(&handed).signed_by(&["dave", "erin"]).envelope();
    rows.row("the new governors take over from those who did not sign", envelope, Counts::Of(&[(1, 2), (2, 1)]));
    let both = with("governors = \"board\"", "governors = \"both\"");
    let envelope = rows.policy_paper(&both).signed_by(&["alice.2", "dave"]).envelope();
    rows.row("two keys of one member, on both sides", envelope, Counts::Of(&[(1, 2), (1, 2)]));
}

/// What the one counting function makes of an envelope as brought.
fn counted(policy: &Policy, envelope: &[u8]) -> Result<Vec<(u64, u64)>, Rule> {
    let (origin, keyring) = (support::ORIGIN.parse().unwrap(), policy.keyring());
    let enrolment = Enrolment { origin: &origin, policy, keyring: &keyring, is_held: false };
    let parsed = verify::parse(envelope).map_err(|fault| fault.rule)?;
    let (verified, _) = verify::verify(parsed, &enrolment).map_err(|fault| fault.rule)?;
    let approvals = quorum::approvals(policy, &keyring, verified.proposal(), verified.valid());
    // Words must not promise what the count does not hold.
    approvals.iter().for_each(|approval| assert_eq!(approval.still.is_none(), approval.tally.is_met(), "{approval:?}"));
    Ok(approvals.iter().map(|approval| (approval.tally.have, approval.tally.need)).collect())
}

/// Whether a consumer takes number 2 made of this envelope as it is, with a record that commits to it.
fn consumer_takes(common: &Common, envelope: &[u8]) -> Result<(), Rule> {
    let opened = Envelope::from_cbor(envelope).map_err(|fault| fault.rule)?;
    let Ok(proposal) = Proposal::from_cbor(&opened.payload) else { return Err(Rule::PayloadShape) };
    let mut state = common.state().clone();
    apply(&mut state, &proposal);
    let new_policy = proposal.sets_policy().map(Policy::hash);
    let record = Record {
        number: 2,
        kind: if new_policy.is_some() { RecordKind::Policy } else { RecordKind::Proposal },
        pid: opened.pid(),
        env: Hash::of(envelope),
        state_root: state.root(),
        policy: common.policy().unwrap().hash(),
        ledger_head: [1; 32],
        session: 1,
        time: None,
        keys: None,
        next: None,
        judged: Hash([2; 32]),
        epoch: None,
        new_policy,
    };
    common.clone().push(&record.to_cbor(), envelope).map_err(|fault| fault.rule)
}

/// The charter's page of a desk, as a consumer has it.
fn first_page(notary: &Notary) -> Common {
    let desk = notary.desk();
    let (record, founding) = (desk.books().record(1).unwrap(), desk.books().session(0).unwrap());
    let mut common = Common::default();
    common.push(&record.to_cbor(), &founding.rulings[0].envelope.to_cbor()).unwrap();
    common
}

#[test]
fn every_attack_is_refused_or_counted_right_by_count_desk_and_consumer() {
    let room = room();
    let notary = Notary::found(&room.path().join("desk"), &toml());
    let (in_force, common) = (policy(&toml()), first_page(&notary));
    let mut rows = Rows { base: notary.head(), rows: Vec::new() };
    rows_of_papers(&mut rows);
    rows_of_policies(&mut rows);
    let medium = room.path().join("medium");
    for (at, row) in rows.rows.iter().enumerate() {
        write(&medium.join(format!("{at:03}")), &row.envelope);
    }
    let report = notary.session(&[medium], None);
    let session = report.desk.books().last_session().unwrap().unwrap();
    let verdict = |pid: &Pid| session.rulings.iter().find(|ruling| ruling.pid == *pid).map(|ruling| &ruling.verdict);
    for (at, row) in rows.rows.iter().enumerate() {
        let (what, pid) = (row.what, Envelope::from_cbor(&row.envelope).map_or(Hash::ZERO, |envelope| envelope.pid()));
        match &row.counts {
            Counts::Complete => {
                assert!(counted(&in_force, &row.envelope).unwrap().iter().all(|(have, need)| have >= need), "{what}");
                assert_eq!(verdict(&pid).map(|verdict| verdict.word()), Some("accepted"), "{what}");
                assert_eq!(consumer_takes(&common, &row.envelope), Ok(()), "{what}");
            }
            Counts::Of(expected) => {
                assert_eq!(counted(&in_force, &row.envelope).as_deref(), Ok(*expected), "{what}");
                let verdict = verdict(&pid).unwrap_or_else(|| panic!("{what}: no answer"));
                assert_eq!(verdict.rule(), Some(Rule::ThresholdNotMet), "{what}: {verdict:?}");
                let told = |key: &str| verdict.detail().split(' ').skip_while(move |word| *word != key).nth(1).unwrap().parse::<u64>();
                let told = match expected.len() {
                    1 => vec![(told("have").unwrap(), told("need").unwrap())],
                    _ => {
                        vec![(told("old.have").unwrap(), told("old.need").unwrap()), (told("new.have").unwrap(), told("new.need").unwrap())]
                    }
                };
                assert_eq!(told, *expected, "{what}: {}", verdict.detail());
                assert_eq!(consumer_takes(&common, &row.envelope), Err(Rule::ProofFails), "{what}");
            }
            Counts::Listed(rule) => {
                assert_eq!(counted(&in_force, &row.envelope), Err(*rule), "{what}");
                let path = format!("{at:03}");
                assert!(report.listed.iter().any(|listed| listed.path.ends_with(&path) && listed.fault.rule == *rule), "{what}");
                assert!(consumer_takes(&common, &row.envelope).is_err(), "{what}");
            }
        }
    }
}

#[test]
fn a_key_counts_once_however_its_signatures_differ_between_sticks_and_sessions() {
    let room = room();
    let notary = Notary::found(&room.path().join("desk"), &toml());
    let paper = Paper::new("alice", 1, notary.head()).put("docs/x", b"x", Expect::Absent);
    let envelope = paper.envelope();
    for (at, brought) in
        [envelope.clone(), signed_otherwise(&envelope, "alice", 1).unwrap(), paper.clone().signed_by(&["alice.2"]).envelope()]
            .iter()
            .enumerate()
    {
        let medium = room.path().join(format!("stick{at}"));
        write(&medium.join("p"), brought);
        notary.session(&[medium], None);
        let held = notary.desk().books().held().contains_key(&paper.pid());
        assert!(held, "still one member of two, after stick {at}");
    }
    let medium = room.path().join("last");
    write(&medium.join("p"), &paper.envelope_by(&["bob"]));
    notary.session(&[medium], None);
    assert_eq!(notary.head().number, 2);
}

#[test]
fn a_policy_that_counts_somebody_twice_never_comes_into_force_nor_ends_a_consumer() {
    let room = room();
    let notary = Notary::found(&room.path().join("desk"), &toml());
    let common = first_page(&notary);
    let party = |name: &str| name.parse::<Party>().unwrap();
    let group = |name: &str, members: &[&str], groups: &[&str]| Group {
        name: party(name),
        k: 1,
        members: members.iter().map(|name| party(name)).collect(),
        groups: groups.iter().map(|name| party(name)).collect(),
    };
    let edited = |edit: &dyn Fn(&mut Policy)| {
        let mut next = policy(&toml());
        edit(&mut next);
        next.groups.sort_by(|a, b| a.name.cmp(&b.name));
        next
    };
    let cases: Vec<(&str, Policy)> = vec![
        ("alice's key under bob's name too", edited(&|next| next.members[1].keys = next.members[0].keys[..1].to_vec())),
        (
            "a new key under two names",
            edited(&|next| {
                let fresh = MemberKey { public: key("fresh").public_bytes(), active: true };
                next.members[..2].iter_mut().for_each(|member| member.keys = vec![fresh]);
            }),
        ),
        ("a person twice by an inner group", edited(&|next| next.groups.push(group("a", &["dave"], &["field"])))),
        ("a group twice by another", edited(&|next| next.groups.push(group("a", &[], &["both", "field"])))),
        (
            "groups in a circle, as governors",
            edited(&|next| {
                next.groups.extend([group("a", &[], &["b"]), group("b", &[], &["a"])]);
                next.governors = party("a");
            }),
        ),
        (
            "a group in itself, as governors",
            edited(&|next| {
                next.groups.push(group("a", &["alice"], &["a"]));
                next.governors = party("a");
            }),
        ),
        ("a key of carol's given to bob", {
            let swapped = toml().replacen(&public("bob"), "ed25519:?", 1).replacen(&public("carol.old"), &public("bob.2"), 1);
            policy(&swapped.replacen("ed25519:?", &public("carol.old"), 1))
        }),
    ];
    for (at, (what, next)) in cases.iter().enumerate() {
        let operation = Operation::SetPolicy { expect: None, policy: Box::new(next.clone()) };
        let paper = Paper::new("alice", at as u64 + 1, notary.head()).with(operation).signed_by(&["bob", "carol", "dave", "erin"]);
        let report = notary.judge(&room.path().join(format!("stick{at}")), std::slice::from_ref(&paper));
        let answered = report.desk.books().answered(&paper.pid()).unwrap().unwrap_or_else(|| panic!("{what}: no final answer"));
        let ruling = answered.ruling();
        assert_eq!(ruling.verdict.rule(), Some(Rule::PolicyFault), "{what}");
        assert_eq!(consumer_takes(&common, &paper.envelope()), Err(Rule::PolicyUnsound), "{what}");
    }
    assert_eq!(notary.head().number, 1);
}

#[test]
fn counting_ends_even_for_groups_in_a_circle() {
    let mut circle = policy(&toml());
    let field = circle.groups.iter_mut().find(|group| group.name.as_str() == "field").unwrap();
    field.groups = vec!["both".parse().unwrap()];
    let (both, alice) = ("both".parse().unwrap(), "alice".parse().unwrap());
    assert_eq!(quorum::count(&circle, &both, &BTreeSet::from([&alice])).have, 0);
}

/// The words of a group and its count are made by two functions. They agree for whoever may have signed, in any nesting.
#[test]
fn what_is_still_needed_is_nothing_exactly_when_the_count_is_met() {
    let seed = 2026;
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut compared = 0;
    let names: Vec<String> = (0..9).map(|at| format!("m{at}")).collect();
    for round in 0..300 {
        // Three inner groups of three, some members without an active key, and an outer group over some of them.
        let mut text = String::from("governors = \"all\"\n");
        for name in &names {
            let which = if rng.u8(..5) == 0 { "keys = []\nretired" } else { "keys" };
            text.push_str(&format!("[[member]]\nname = \"{name}\"\n{which} = [\"{}\"]\n", public(name)));
        }
        for at in 0..3 {
            text.push_str(&format!("[[group]]\nname = \"g{at}\"\nk = {}\nof = {:?}\n", rng.u8(1..4), &names[at * 3..at * 3 + 3]));
        }
        let outer = if rng.bool() { "[\"g0\", \"g1\", \"g2\"]" } else { "[\"g0\", \"m3\", \"m4\", \"g2\"]" };
        text.push_str(&format!("[[group]]\nname = \"all\"\nk = {}\nof = {outer}\n", rng.u8(1..4)));
        let Ok(policy) = policy_text::parse(&text) else { continue };
        let parties: Vec<Party> = names.iter().map(|name| name.parse().unwrap()).collect();
        let able = |name: &&Party| policy.member(name).unwrap().can_sign();
        let signed: BTreeSet<&Party> = parties.iter().filter(able).filter(|_| rng.bool()).collect();
        let (tally, need) = (quorum::count(&policy, &policy.governors, &signed), Need::of_group(&policy, &policy.governors));
        let still = need.after(&signed);
        assert_eq!(still.is_none(), tally.is_met(), "seed {seed}, round {round}: {signed:?}\n{text}");
        // Those missing are those who are still needed, and all of them together suffice.
        let people: Vec<Party> = still.iter().flat_map(Need::people).cloned().collect();
        assert_eq!(people, tally.missing, "seed {seed}, round {round}: {signed:?}\n{text}");
        let all: BTreeSet<&Party> = signed.iter().copied().chain(&people).collect();
        assert!(quorum::count(&policy, &policy.governors, &all).is_met(), "seed {seed}, round {round}");
        compared += 1;
    }
    assert!(compared > 50, "{compared} sound policies of 300");
}

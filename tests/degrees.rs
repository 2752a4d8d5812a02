//! Trouble in three degrees, and each way into each: a medium's, which gives up that medium; the disk's own, which ends the process; and a
//! halt. Whatever stands in the place of the halt file halts every operation that writes.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Agrees, Notary, Paper, policy_toml, room, tree};
use tabellion::core::cbor::Canonical as _;
use tabellion::core::event::EventType;
use tabellion::core::halt::Halt;
use tabellion::core::head::KnownHead;
use tabellion::core::ids::Head;
use tabellion::core::plan::Plan;
use tabellion::core::proposal::Expect;
use tabellion::core::rules::{Checked, Fault, Rule};
use tabellion::core::words::head_words;
use tabellion::keys::Passphrase;
use tabellion::keys::file::WorkFactor;
use tabellion::ledger::Ledger;
use tabellion::run::bag::Bag;
use tabellion::run::found;
use tabellion::run::integrity::{self, Integrity};
use tabellion::run::problem::{Exit, Outcomes, Problem};
use tabellion::run::session::{self, Operator, Report};

fn passphrase() -> Passphrase {
    Passphrase::new(&"test".to_owned().into()).unwrap()
}

fn founded(room: &Path) -> Notary {
    let desk = Notary::found(&room.join("desk"), &policy_toml(10));
    desk.judge(&room.join("first"), &[Paper::new("alice", 1, desk.head()).put("open/a", b"a", Expect::Absent)]);
    desk
}

/// A medium with one new paper.
fn stick(room: &Path, name: &str, desk: &Notary) -> PathBuf {
    let stick = room.join(name);
    let paper = Paper::new("alice", 2, desk.head()).put("open/b", b"b", Expect::Absent);
    let content = paper.contents.clone();
    support::write(&stick.join("bundle"), &support::bundle(&[paper.envelope()], &content));
    stick
}

fn run(desk: &Notary, media: &[PathBuf], operator: &mut dyn Operator, observe: &mut dyn FnMut(&'static str, &str)) -> Outcomes<Report> {
    let request = session::Request { ledger: desk.dir.clone(), media: media.to_vec(), time: None, held: false };
    session::session(&request, operator, observe)
}

fn stopped(outcome: Outcomes<Report>) -> Problem {
    outcome.err().expect("it must stop")
}

fn last_event(desk: &Notary) -> tabellion::core::event::Event {
    Ledger::open_read_only(&desk.dir).unwrap().latest().unwrap().unwrap()
}

fn check(desk: &Notary, known: Option<KnownHead>, insists: bool) -> Integrity {
    let request = integrity::Request { ledger: desk.dir.clone(), deep: true, known, insists };
    integrity::integrity(&request, &mut || Ok(None), &mut |_, _| {}).unwrap_or_else(|problem| panic!("{problem}"))
}

// ------------------------------------------------------------------------------------------------------------------------- 1. a medium's

#[test]
fn trouble_of_a_medium_gives_up_that_medium_and_goes_on_with_the_others() {
    type Spoil = fn(&Path);
    // What happens to the first medium, and before which effect on it.
    let ways: &[(&str, &str, Spoil)] = &[
        ("pulled out when written to", "write", |medium| fs::remove_dir_all(medium).unwrap()),
        ("pulled out between write and rename", "rename", |medium| fs::remove_dir_all(medium).unwrap()),
        ("pulled out before it is read back", "read back", |medium| fs::remove_dir_all(medium).unwrap()),
        ("a file in the way", "write", |medium| {
            fs::remove_dir_all(medium.join("tabellion")).unwrap();
            fs::write(medium.join("tabellion"), b"in the way").unwrap();
        }),
        ("a link in the way", "write", |medium| {
            fs::remove_dir_all(medium.join("tabellion")).unwrap();
            symlink("/nowhere", medium.join("tabellion")).unwrap();
        }),
        ("foreign", "acknowledge", |medium| support::write(&medium.join("tabellion/common/checkpoint"), b"another history\n")),
    ];
    for (way, effect, spoil) in ways {
        let room = room();
        let desk = founded(room.path());
        let media = [stick(room.path(), "a", &desk), stick(room.path(), "b", &desk)];
        let mut spoilt = false;
        let report = run(&desk, &media, &mut Agrees, &mut |at, _| {
            if at == *effect && !std::mem::replace(&mut spoilt, true) {
                spoil(&media[0]);
            }
        });
        let report = report.unwrap_or_else(|problem| panic!("{way}: {problem}"));
        let written: Vec<Option<Rule>> = report.media.iter().map(|(_, written)| written.as_ref().err().map(|fault| fault.rule)).collect();
        assert!(matches!(written[0], Some(Rule::MediumFault | Rule::MediumForeign | Rule::NotFound)), "{way}: {written:?}");
        assert_eq!(written[1], None, "{way}");
        assert_eq!(report.heads.1.number, 3, "{way}");
        drop(report);
        assert!(media[1].join("tabellion/results/session-000002.receipts").is_file(), "{way}");
        assert!(!desk.dir.join("halt").exists(), "{way}");
        assert!(check(&desk, None, false).findings.unwrap().wrong.is_none(), "{way}");
    }
}

// ------------------------------------------------------------------------------------------------------------------- 2. the disk's own

#[test]
fn trouble_of_the_desks_own_disk_ends_the_command_and_nothing_more() {
    // Something is made to stand where a file is to be written: the system refuses as a full or broken disk would.
    for (what, obstacle, committed) in [("the head file", "head.new/x", true), ("the store", "objects", false)] {
        let room = room();
        let desk = founded(room.path());
        let (media, before) = ([stick(room.path(), "a", &desk)], last_event(&desk));
        let blocked = desk.dir.join(obstacle);
        let moved = desk.dir.join("moved away");
        if obstacle == "objects" {
            fs::rename(&blocked, &moved).unwrap();
            fs::write(&blocked, b"a file in the way").unwrap();
        } else {
            support::write(&blocked, b"a folder in the way");
        }
        let problem = stopped(run(&desk, &media, &mut Agrees, &mut |_, _| {}));
        assert_eq!((problem.fault.rule, problem.exit()), (Rule::DiskFault, Exit::Halted), "{what}: {problem}");
        assert!(problem.to_string().contains("run the same command again: what its checks find decides"), "{what}: {problem}");
        assert_eq!(last_event(&desk) != before, committed, "{what}");
        assert!(!media[0].join("tabellion").exists(), "{what}: nothing goes out after it");
        assert!(!desk.dir.join("halt").exists(), "{what}: a disk that fails is no halt");
        // The disk is mended, and a start decides: what was committed is sealed and given out, else the session is run.
        if obstacle == "objects" {
            fs::remove_file(&blocked).unwrap();
            fs::rename(&moved, &blocked).unwrap();
        } else {
            fs::remove_dir_all(blocked.parent().unwrap()).unwrap();
        }
        let report = desk.session(&media, None);
        assert_eq!((report.session, report.is_new, report.heads.1.number), (2, !committed, 3), "{what}");
    }
}

#[test]
fn a_halt_file_that_cannot_be_written_is_said_and_the_process_goes_no_further() {
    let room = room();
    let desk = founded(room.path());
    let (media, before) = ([stick(room.path(), "a", &desk)], last_event(&desk));
    fs::remove_file(desk.dir.join("head")).unwrap();
    support::write(&desk.dir.join("halt.new/x"), b"a folder in the way");
    let problem = stopped(run(&desk, &media, &mut Agrees, &mut |_, _| {}));
    assert_eq!(problem.exit(), Exit::Halted);
    assert!(
        problem.state.contains("the halt file could not be written") && problem.state.contains("do not start this desk again"),
        "{problem}"
    );
    assert!(problem.state.contains("the dossier is "), "the later steps are tried all the same: {problem}");
    assert_eq!((last_event(&desk), media[0].join("tabellion").exists()), (before, false));
}

// -------------------------------------------------------------------------------------------------------------------------------- 3. halt

/// An operator who knows a head, may insist on it, and may give a passphrase for the halt.
struct Knows {
    head: KnownHead,
    insists: bool,
    passphrase: Option<&'static str>,
}

impl Operator for Knows {
    fn recognise(&mut self, head: &Head, _: Option<&Head>) -> Checked<()> {
        let found = || format!("common@{} {} in the ledger; {} expected", head.number, head_words(&head.root), self.head);
        if self.head.is(head) { Ok(()) } else { Err(Fault::new(Rule::HeadUnexpected, found())) }
    }

    fn insists(&mut self) -> bool {
        self.insists
    }

    fn passphrase(&mut self) -> Checked<Passphrase> {
        Ok(passphrase())
    }

    fn passphrase_to_halt(&mut self) -> Checked<Option<Passphrase>> {
        self.passphrase.map(|text| Passphrase::new(&text.to_owned().into())).transpose()
    }

    fn confirm(&mut self, _: &Plan, _: &Bag) -> Checked<String> {
        Ok("confirmed by a test".into())
    }
}

fn later() -> KnownHead {
    "9:abandon-abandon-abandon-abandon-abandon-abandon".parse().unwrap()
}

#[test]
fn a_head_that_is_not_recognised_stops_and_halts_only_when_the_operator_insists() {
    let room = room();
    let desk = founded(room.path());
    let (media, before) = ([stick(room.path(), "a", &desk)], tree(&desk.dir));
    let mut operator = Knows { head: later(), insists: false, passphrase: Some("test") };
    let problem = stopped(run(&desk, &media, &mut operator, &mut |_, _| {}));
    assert_eq!((problem.fault.rule, problem.exit()), (Rule::HeadUnexpected, Exit::Halted));
    let names = |mut files: std::collections::BTreeMap<String, Vec<u8>>| {
        files.retain(|path, _| !path.starts_with("ledger.db"));
        files.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(names(tree(&desk.dir)), names(before), "a typing mistake leaves nothing");

    operator.insists = true;
    let problem = stopped(run(&desk, &media, &mut operator, &mut |_, _| {}));
    assert_eq!(problem.fault.rule, Rule::HeadUnexpected, "{problem}");
    assert!(problem.state.contains("the desk is halted (") && problem.state.contains("the halt is entered in the ledger"), "{problem}");
    let halt = Halt::parse(&fs::read_to_string(desk.dir.join("halt")).unwrap()).unwrap();
    let dossier = fs::read_to_string(desk.dir.join(format!("halt-evidence/{}.txt", halt.dossier))).unwrap();
    for value in ["common@2 ", "common@9 abandon-", "insisted"] {
        assert!(dossier.contains(value), "{value}\n{dossier}");
    }
    assert!(!media[0].join("tabellion").exists());
}

#[test]
fn integrity_compares_a_known_head_and_halts_only_when_told_to() {
    let room = room();
    let desk = founded(room.path());
    let log = desk.desk().books().log().clone();
    let known = |number: u64| KnownHead { number, words: head_words(&log.root_at(number).unwrap()) };
    let other = KnownHead { words: later().words, ..known(2) };
    for (head, word) in [(known(2), "equal"), (known(1), "continued"), (later(), "later"), (other.clone(), "differs")] {
        for insists in [false, true] {
            let copy = desk.copied_to(&room.path().join(format!("{word} {insists}")));
            let found = check(&copy, Some(head.clone()), insists);
            assert_eq!(found.known.map(integrity::Known::word), Some(word));
            let halts = insists && ["later", "differs"].contains(&word);
            assert_eq!((found.halted.is_some(), copy.dir.join("halt").exists()), (halts, halts), "{word}, {insists}");
        }
    }
}

#[test]
fn a_halt_writes_its_file_first_then_the_dossier_and_the_event_last() {
    let room = room();
    let desk = founded(room.path());
    let (media, before) = ([stick(room.path(), "a", &desk)], last_event(&desk));
    let mut seen = Vec::new();
    let mut operator = Knows { head: later(), insists: true, passphrase: Some("test") };
    stopped(run(&desk, &media, &mut operator, &mut |at, _| {
        let is_there = |name: &str| desk.dir.join(name).exists();
        if ["halt", "dossier", "enter the halt"].contains(&at) {
            seen.push((at, is_there("halt"), is_there("halt-evidence"), last_event(&desk) == before));
        }
    }));
    assert_eq!(seen, [("halt", false, false, true), ("dossier", true, false, true), ("enter the halt", true, true, true)]);
    assert_ne!(last_event(&desk), before);
}

#[test]
fn a_halt_that_comes_between_is_left_as_it_is() {
    let room = room();
    let desk = founded(room.path());
    let (media, halt) = ([stick(room.path(), "a", &desk)], desk.dir.join("halt"));
    let mut operator = Knows { head: later(), insists: true, passphrase: None };
    let problem = stopped(run(&desk, &media, &mut operator, &mut |at, _| {
        if at == "halt" {
            fs::write(&halt, b"by an export, meanwhile").unwrap();
        }
    }));
    assert_eq!(fs::read(&halt).unwrap(), b"by an export, meanwhile");
    assert!(problem.state.contains("the desk was halted already ("), "{problem}");
    assert!(problem.state.contains("the dossier is "), "what was found is kept all the same: {problem}");
}

#[test]
fn a_halt_is_entered_once_as_the_next_event_when_the_key_is_unlocked() {
    let room = room();
    let desk = founded(room.path());
    let before = last_event(&desk);
    let media = [stick(room.path(), "a", &desk)];
    let mut operator = Knows { head: later(), insists: true, passphrase: Some("test") };
    stopped(run(&desk, &media, &mut operator, &mut |_, _| {}));
    let last = last_event(&desk);
    assert_eq!((last.event_type, last.seq_no, last.timestamp), (EventType::Halt, before.seq_no + 1, 0));
    assert_eq!((before.event_id.as_str(), last.event_id.as_str()), ("1/3", "1/4"));
    let file = Halt::parse(&fs::read_to_string(desk.dir.join("halt")).unwrap()).unwrap();
    assert_eq!(Halt::from_cbor(&last.payload), Ok(file));
    // The chain with it is whole, and a start appends no second one.
    assert!(check(&desk, None, false).findings.unwrap().wrong.is_none());
    assert_eq!(stopped(run(&desk, &media, &mut operator, &mut |_, _| {})).fault.rule, Rule::Halted);
    assert_eq!(last_event(&desk), last);
}

#[test]
fn a_passphrase_that_is_wrong_or_left_out_leaves_the_halt_and_is_said() {
    for (given, words) in [(None, "no passphrase was given"), (Some("wrong"), "[passphrase]")] {
        let room = room();
        let desk = founded(room.path());
        let before = last_event(&desk);
        let mut operator = Knows { head: later(), insists: true, passphrase: given };
        let problem = stopped(run(&desk, &[stick(room.path(), "a", &desk)], &mut operator, &mut |_, _| {}));
        assert_eq!(problem.fault.rule, Rule::HeadUnexpected, "no second error: {problem}");
        assert!(problem.state.contains(words) && problem.state.contains("the halt file is sufficient"), "{problem}");
        assert!(desk.dir.join("halt").is_file());
        assert_eq!(last_event(&desk), before);
    }
}

#[test]
fn a_halt_may_stand_between_closed_and_sealed() {
    let room = room();
    let desk = founded(room.path());
    let media = [stick(room.path(), "a", &desk)];
    let dies = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        run(&desk, &media, &mut Agrees, &mut |at, _| assert_ne!(at, "sign checkpoints and notes", "the power fails here, as planned"))
            .map(drop)
    }));
    assert!(dies.is_err());
    let mut operator = Knows { head: later(), insists: true, passphrase: Some("test") };
    stopped(run(&desk, &media, &mut operator, &mut |_, _| {}));
    assert_eq!(last_event(&desk).event_type, EventType::Halt);
    let found = check(&desk, None, false).findings.unwrap();
    assert!(found.wrong.is_none() && found.books.unsealed().is_some_and(|heading| heading.session == 2));
}

/// Changes the database with the `sqlite3` of this test.
fn changed(desk: &Notary, sql: &str) {
    rusqlite::Connection::open(desk.dir.join("ledger.db")).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn a_ledger_that_does_not_open_halts_a_desk_and_nothing_else() {
    type Spoil = fn(&Notary);
    let ways: &[(&str, Spoil, Option<&str>)] = &[
        ("a trigger is gone", |desk| changed(desk, "DROP TRIGGER events_no_update"), Some("schema")),
        ("a version of its own", |desk| changed(desk, "PRAGMA user_version = 7"), Some("schema")),
        ("no database", |desk| fs::write(desk.dir.join("ledger.db"), vec![b'x'; 9_000]).unwrap(), Some("storage")),
        // What is not this desk's is refused, and no halt file is written into it.
        ("no instance file", |desk| fs::remove_file(desk.dir.join("instance")).unwrap(), None),
        ("another's instance file", |desk| fs::write(desk.dir.join("instance"), format!("{}\n", "ab".repeat(16))).unwrap(), None),
        ("a damaged instance file", |desk| fs::write(desk.dir.join("instance"), "x").unwrap(), None),
        (
            "another program's database",
            |desk| {
                ["instance", "key", "head"].iter().for_each(|name| fs::remove_file(desk.dir.join(name)).unwrap());
                changed(desk, "DROP TRIGGER events_no_update");
            },
            None,
        ),
    ];
    for (way, spoil, kind) in ways {
        let room = room();
        let desk = founded(room.path());
        spoil(&desk);
        let copy = desk.copied_to(&room.path().join("copy"));
        let problem = stopped(run(&desk, &[stick_of(room.path())], &mut Agrees, &mut |_, _| {}));
        let rule = if *way == "no instance file" { Rule::Standby } else { Rule::LedgerFault };
        assert_eq!((problem.fault.rule, problem.exit()), (rule, Exit::Halted), "{way}: {problem}");
        assert_eq!(desk.dir.join("halt").exists(), kind.is_some(), "{way}: {problem}");
        let request = integrity::Request { ledger: copy.dir.clone(), deep: false, known: None, insists: false };
        let found = integrity::integrity(&request, &mut || Ok(None), &mut |_, _| {});
        let found = found.ok().and_then(|found| found.findings?.wrong).map(|wrong| wrong.kind);
        assert_eq!((found, copy.dir.join("halt").exists()), (*kind, kind.is_some()), "{way}");
    }
}

fn stick_of(room: &Path) -> PathBuf {
    let stick = room.join("empty");
    fs::create_dir_all(&stick).unwrap();
    stick
}

// --------------------------------------------------------------------------------------------------------------- 4. checked first by all

#[test]
fn whatever_is_called_halt_halts_every_operation_that_writes() {
    let room = room();
    let desk = founded(room.path());
    let halt = desk.dir.join("halt");
    let policy = desk.dir.join("policy.toml");
    let next = {
        let origin: tabellion::core::ids::Origin = support::ORIGIN.parse().unwrap();
        tabellion::core::note::VerifierKey::new(origin.clone(), &support::seed("next").log(origin, false).public_bytes()).unwrap()
    };
    let draft = found::Draft { dir: desk.dir.clone(), policy, next, text: None, rehearsal: false, dice: None };
    let media = [stick(room.path(), "a", &desk)];
    let operations: [(&str, &dyn Fn() -> Outcomes<()>); 3] = [
        ("session", &|| run(&desk, &media, &mut Agrees, &mut |_, _| {}).map(drop)),
        ("init with a policy", &|| found::draft(&draft, &passphrase(), WorkFactor::new(2).unwrap()).map(drop)),
        ("init with a charter", &|| {
            found::commit(&desk.dir, &desk.dir.join("charter.cose"), None, &passphrase(), &mut |_, _| {}).map(drop)
        }),
    ];
    let make: [(&str, &dyn Fn()); 8] = [
        ("one of ours", &|| {
            let halt = Halt { rule: Rule::HeadElsewhere, dossier: tabellion::core::ids::Hash::of(b""), found: "x".into() };
            fs::write(desk.dir.join("halt"), halt.text()).unwrap();
        }),
        ("empty", &|| fs::write(&halt, b"").unwrap()),
        ("no text", &|| fs::write(&halt, [0xff; 10]).unwrap()),
        ("huge", &|| fs::write(&halt, vec![b'x'; 1 << 20]).unwrap()),
        ("a folder", &|| fs::create_dir(&halt).unwrap()),
        ("a link to nothing", &|| symlink("nowhere", &halt).unwrap()),
        ("a link to a file", &|| symlink(desk.dir.join("head"), &halt).unwrap()),
        ("a pipe", &|| assert!(Command::new("mkfifo").arg(&halt).status().unwrap().success())),
    ];
    for (what, make) in make {
        make();
        let (before, carried) = (last_event(&desk), tree(&media[0]));
        for (operation, run) in operations {
            let problem = run().err().unwrap_or_else(|| panic!("{operation} goes on beside {what}"));
            assert_eq!((problem.fault.rule, problem.exit()), (Rule::Halted, Exit::Halted), "{operation}, {what}: {problem}");
            assert!(problem.fault.found.len() < 1_000, "{operation}, {what}: {problem}");
        }
        // Looking and exporting go on.
        assert!(desk.desk().halted().unwrap().is_some(), "{what}");
        assert!(check(&desk, None, false).halted.is_some(), "{what}");
        let out = stick_of(room.path());
        assert!(session::export(&desk.dir, &out, &mut |_, _| {}).is_ok(), "{what}");
        assert_eq!((last_event(&desk), tree(&media[0])), (before, carried), "{what}");
        if halt.is_dir() && !halt.is_symlink() { fs::remove_dir(&halt).unwrap() } else { fs::remove_file(&halt).unwrap() }
    }
    assert_eq!(desk.session(&media, None).session, 2, "without any of it the desk goes on");
}

#[test]
fn a_desk_that_is_halted_while_a_session_runs_commits_nothing_more() {
    let room = room();
    let desk = founded(room.path());
    let (media, before, halt) = ([stick(room.path(), "a", &desk)], last_event(&desk), desk.dir.join("halt"));
    let problem = stopped(run(&desk, &media, &mut Agrees, &mut |at, _| {
        if at == "commit the session" {
            fs::write(&halt, b"by an export, meanwhile").unwrap();
        }
    }));
    assert_eq!(problem.fault.rule, Rule::Halted, "{problem}");
    assert_eq!((last_event(&desk), media[0].join("tabellion").exists()), (before, false));
}

#[test]
fn what_is_wrong_when_a_session_reads_its_ledger_again_halts_before_anything_goes_out() {
    let room = room();
    let desk = founded(room.path());
    let media = [stick(room.path(), "a", &desk)];
    let problem = stopped(run(&desk, &media, &mut Agrees, &mut |at, _| {
        if at == "sign checkpoints and notes" {
            fs::write(desk.dir.join("head"), b"not what was written\n").unwrap();
        }
    }));
    assert_eq!((problem.fault.rule, problem.exit()), (Rule::HeadLost, Exit::Halted), "{problem}");
    assert!(problem.state.contains("the desk is halted (") && desk.dir.join("halt").is_file(), "{problem}");
    assert!(!media[0].join("tabellion").exists(), "nothing goes out");
}

#[test]
fn whoever_opens_a_ledger_to_write_is_known() {
    // Each of these asks `refuse_halted` first, or is a proposer's domain, which has rules of its own, or only reads.
    let known = [
        ("src/run/desk.rs", "refuse_halted(dir)?;\n        let opened = Broker::open(dir);"),
        ("src/run/domain.rs", ""),
        ("src/run/found.rs", "refuse_halted(dir)?;"),
        ("src/run/integrity.rs", "why_halted("),
        // Works on a halted desk, for that is when it is needed, and signs nothing.
        ("src/run/rebuild.rs", "why_halted("),
        ("src/run/seat.rs", ""),
    ];
    let mut found = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/run")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap_or_default();
        if text.contains("Broker::open(") || text.contains("Broker::create") {
            let name = format!("src/run/{}", path.file_name().unwrap().to_str().unwrap());
            let asks = known.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{name} opens a ledger to write"));
            assert!(text.contains(asks.1), "{name} does not ask first");
            found.push(name);
        }
    }
    found.sort();
    assert_eq!(found, known.map(|(name, _)| name));
}

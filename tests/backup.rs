//! Backups: made while sessions run, verified by restoring, restored as a standby; and everything that may be done to one by somebody else.
//!
//! What is killed is a child of this test: the same program, started again with a variable that says what to do.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use rustix::process::{Signal, getpid, kill_process};
use support::{Notary, Paper, copy_folder, policy_toml, room, seed, tree};
use tabellion::core::backup::{Header, Item, Row, bytes_head};
use tabellion::core::cbor::Canonical as _;
use tabellion::core::head::{HeadFile, KnownHead};
use tabellion::core::ids::{Hash, Head};
use tabellion::core::proposal::Expect;
use tabellion::core::rules::Rule;
use tabellion::keys::backup::{Identities, Opened, Sealing, identity_file};
use tabellion::ledger::Ledger;
use tabellion::run::backup::{BackedUp, Contents, backup};
use tabellion::run::desk::Desk;
use tabellion::run::halt::HALT_FILE;
use tabellion::run::integrity::{self, Known, integrity};
use tabellion::run::problem::Outcomes;
use tabellion::run::restore::{restore, seen, verify};
use tabellion::run::session::export;
use tabellion::run::status::status;
use tempfile::TempDir;

fn silent(_: &'static str, _: &str) {}

fn ok<T>(outcome: Outcomes<T>) -> T {
    outcome.unwrap_or_else(|problem| panic!("{problem}"))
}

fn refused<T>(outcome: Outcomes<T>) -> (Rule, String) {
    outcome.map(drop).map_err(|problem| (problem.fault.rule, problem.fault.found)).unwrap_err()
}

/// A room with a desk, and the identity that opens its backups.
struct Scene {
    room: TempDir,
    notary: Notary,
}

impl Scene {
    fn founded() -> Scene {
        let room = room();
        let notary = Notary::found(&room.path().join("desk"), &policy_toml(100));
        fs::write(room.path().join("identity"), identity_file(&seed("witness"), false).unwrap().0.as_bytes()).unwrap();
        Scene { room, notary }
    }

    /// Sessions with content that was accepted, content that waits, a refusal and a medium's rubbish.
    fn grown() -> Scene {
        let scene = Scene::founded();
        let base = scene.notary.head();
        let put =
            |author: &str, sequence, name: &str, content: &[u8]| Paper::new(author, sequence, base).put(name, content, Expect::Absent);
        scene.notary.judge(&scene.at("one"), &[put("alice", 1, "open/a", b"a of alice"), put("bob", 1, "open/b", &[7; 900])]);
        let refused = put("erin", 1, "nowhere/x", b"x");
        scene
            .notary
            .judge(&scene.at("two"), &[put("carol", 1, "open/c", b"c"), put("alice", 2, "docs/waits", b"waits for approvals"), refused]);
        scene
    }

    fn at(&self, name: &str) -> PathBuf {
        self.room.path().join(name)
    }

    fn desk(&self) -> PathBuf {
        self.notary.dir.clone()
    }

    fn identities(&self) -> Identities {
        identities(&self.at("identity"))
    }

    fn backup(&self, name: &str) -> BackedUp {
        ok(backup(&self.desk(), &self.at(name), &mut silent))
    }

    fn verify(&self, name: &str) -> Outcomes<Contents> {
        verify(&self.at(name), &self.identities(), &mut silent)
    }

    fn restore(&self, name: &str, dir: &str) -> Outcomes<Contents> {
        restore(&self.at(name), &self.identities(), &self.at(dir), &mut silent)
    }

    /// What a backup seals.
    fn archive(&self, name: &str) -> Vec<u8> {
        let mut out = Vec::new();
        Opened::begin(fs::File::open(self.at(name)).unwrap(), &self.identities()).unwrap().read_to_end(&mut out).unwrap();
        out
    }

    /// Seals bytes of anybody's choice for the desk's recipient: it is public.
    fn seal(&self, name: &str, archive: &[u8]) {
        let mut sealing = Sealing::begin(&self.identities().recipients()[0], fs::File::create(self.at(name)).unwrap()).unwrap();
        sealing.write_all(archive).unwrap();
        sealing.finish().unwrap();
    }

    /// What lies in the room, by name.
    fn names(&self) -> BTreeSet<String> {
        fs::read_dir(self.room.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

fn identities(path: &Path) -> Identities {
    Identities::read(path, &mut || panic!("asked for a passphrase")).unwrap()
}

// ------------------------------------------------------------------------------------------------------------------------ 1. there and back

#[test]
fn a_backup_restored_has_all_that_the_ledger_names_and_neither_key_nor_instance() {
    let scene = Scene::grown();
    let made = scene.backup("b.age");
    let verified = ok(scene.verify("b.age"));
    let restored = ok(scene.restore("b.age", "standby"));
    assert_eq!((made.contents.hash, &made.contents.header), (verified.hash, &verified.header));
    assert_eq!((made.contents.hash, &made.contents.header), (restored.hash, &restored.header));
    assert_eq!((made.size_bytes, made.sha256), (seen(&made.file).unwrap(), Hash::of(&fs::read(&made.file).unwrap())));
    assert_eq!((restored.books.head(), restored.books.held().len()), (scene.notary.head(), 1));
    let (desk, standby) = (tree(&scene.desk()), tree(&scene.at("standby")));
    let names: Vec<&str> = standby.keys().map(String::as_str).collect();
    let waits = format!("objects/loose/{}", Hash::of(b"waits for approvals"));
    assert_eq!(names, ["head", "ledger.db", "objects/000/000001.objects", "objects/000/000002.objects", &waits, "standby"]);
    for name in names.iter().filter(|name| !["ledger.db", "standby"].contains(name)) {
        assert_eq!(standby[*name], desk[*name], "{name}");
    }
    assert_eq!(
        String::from_utf8(standby["standby"].clone()).unwrap().lines().nth(1),
        Some(format!("backup sha256:{}", made.contents.hash).as_str())
    );
    // With what no backup has it is the desk again, and publishes the same bytes.
    for name in ["instance", "key"] {
        fs::copy(scene.desk().join(name), scene.at("standby").join(name)).unwrap();
    }
    for (dir, medium) in [("desk", "from-desk"), ("standby", "from-standby")] {
        fs::create_dir(scene.at(medium)).unwrap();
        ok(export(&scene.at(dir), &scene.at(medium), &mut silent));
    }
    assert_eq!(tree(&scene.at("from-desk")), tree(&scene.at("from-standby")));
    let charter = restored.books.log().root_at(1).unwrap();
    let pin = tabellion::run::consumer::pin(&scene.at("from-standby"), &charter, None, &scene.at("common.pin"));
    assert_eq!(ok(pin).0.head, scene.notary.head(), "a consumer who knows the fingerprint verifies what the backup holds");
}

#[test]
fn the_same_state_has_the_same_archive_and_name_and_another_state_has_others() {
    let scene = Scene::grown();
    for folder in ["one-stick", "other-stick"] {
        fs::create_dir(scene.at(folder)).unwrap();
    }
    let (one, other) = (scene.backup("one-stick"), scene.backup("other-stick"));
    assert_eq!(one.file.file_name(), other.file.file_name());
    let events = one.contents.header.last_event.0;
    let name = format!("one-stick/witness.example-common@4-event-{events}.backup.age");
    assert_eq!(one.file, scene.at(&name));
    assert_eq!(scene.archive(&name), scene.archive(&name.replace("one-", "other-")));
    assert_eq!(one.contents.hash, other.contents.hash);
    assert_ne!(one.sha256, other.sha256, "age draws a new key for each file");
    // The hash of the backup is that of everything in the archive before it.
    let archive = scene.archive(&name);
    assert_eq!(archive[archive.len() - 34..], [&[0x58, 0x20][..], &Hash::of(&archive[..archive.len() - 34]).0].concat());
    assert_eq!(one.contents.hash, Hash::of(&archive[..archive.len() - 34]));
    let (rule, found) = refused(backup(&scene.desk(), &scene.at("one-stick"), &mut silent));
    assert!(rule == Rule::Exists && found.contains("backup.age found; nothing expected there"), "{found}");
    scene.notary.judge(&scene.at("three"), &[Paper::new("dave", 1, scene.notary.head()).put("open/d", b"d", Expect::Absent)]);
    let later = scene.backup("one-stick");
    assert!(later.contents.hash != one.contents.hash && later.file != one.file);
    // A backup of what was restored from one is that backup.
    ok(scene.restore(&name, "standby"));
    let again = ok(backup(&scene.at("standby"), &scene.at("again.age"), &mut silent));
    assert_eq!(again.contents.hash, one.contents.hash);
}

#[test]
fn a_standby_is_looked_at_and_opens_no_session_publishes_nothing_and_is_never_halted() {
    let scene = Scene::grown();
    let hash = scene.backup("b.age").contents.hash;
    ok(scene.restore("b.age", "standby"));
    let dir = scene.at("standby");
    let before = tree(&dir);
    let looked = ok(status(&dir));
    let from = looked.standby.as_ref().and_then(|standby| standby.from.clone()).unwrap();
    assert_eq!((from.backup, from.head, looked.problem.is_none()), (hash, scene.notary.head(), true));
    assert!(ok(status(&scene.desk())).standby.is_none());
    let words = format!("restored from the backup sha256:{hash} of common@4, its ledger ends with common@4");
    let is_refused = |outcome: Outcomes<()>| {
        let (rule, found) = refused(outcome);
        assert!(rule == Rule::Standby && found.contains("instance: no file found") && found.contains(&words), "{found}");
    };
    fs::create_dir(scene.at("medium")).unwrap();
    is_refused(Desk::open(&dir).map(drop));
    is_refused(Desk::open_halted(&dir).map(drop));
    is_refused(Desk::open_to_look(&dir).map(drop));
    is_refused(export(&dir, &scene.at("medium"), &mut silent).map(drop));
    let standby = Notary { dir: dir.clone() };
    is_refused(standby.try_session(&[scene.at("one")], None).map(drop));
    // A head that is newer than the backup is what is to be expected, also for somebody who insists.
    let later = KnownHead { number: 9, words: "abandon-ability-able-about-above-absent".into() };
    let request = integrity::Request { ledger: dir.clone(), deep: true, known: Some(later), insists: true };
    let found = ok(integrity(&request, &mut || panic!("asked for a passphrase"), &mut silent));
    assert_eq!((found.known, found.halted, found.done.len()), (Some(Known::Later), None, 0));
    // Nor does what is wrong with it.
    fs::write(dir.join("head"), "no head file\n").unwrap();
    let found = ok(integrity(&integrity::Request { known: None, ..request }, &mut || panic!("asked"), &mut silent));
    assert!(found.findings.unwrap().wrong.is_some() && found.halted.is_none());
    is_refused(Desk::open(&dir).map(drop));
    let mut after = tree(&dir);
    let of_looking = |name: &str| ["lock", "ledger.db-wal", "ledger.db-shm"].contains(&name) || name.starts_with("audit.db");
    after.retain(|name, _| name != "head" && !of_looking(name));
    assert!(after.iter().all(|(name, bytes)| before[name] == *bytes), "nothing was written to it: {:?}", after.keys());
    assert_eq!(tree(&scene.at("medium")).len(), 0);
}

#[test]
fn a_copy_without_its_instance_file_is_a_standby_that_does_not_say_of_which_backup() {
    let scene = Scene::grown();
    copy_folder(&scene.desk(), &scene.at("copy"));
    fs::remove_file(scene.at("copy/instance")).unwrap();
    assert_eq!(ok(status(&scene.at("copy"))).standby.unwrap().from, None);
    let (rule, found) = refused(Desk::open(&scene.at("copy")));
    assert!(rule == Rule::Standby && found.contains("this is a copy of a desk"), "{found}");
    for text in ["", "tabellion-standby v1\nbackup sha256:00\n", "\u{1b}[2J"] {
        fs::write(scene.at("copy/standby"), text).unwrap();
        assert_eq!(ok(status(&scene.at("copy"))).standby.unwrap().from, None, "what is no file of ours tells nothing");
    }
    // The ledger of another desk beside this one's instance file is no standby, and no backup is made of it.
    fs::write(scene.at("copy/instance"), format!("{}\n", "00".repeat(16))).unwrap();
    let (rule, found) = refused(backup(&scene.at("copy"), &scene.at("b.age"), &mut silent));
    assert!(rule == Rule::LedgerFault && found.contains("copy/instance: instance \"0000"), "{found}");
}

#[test]
fn a_folder_that_holds_something_is_never_restored_into() {
    let scene = Scene::grown();
    scene.backup("b.age");
    fs::create_dir_all(scene.at("full/below")).unwrap();
    fs::write(scene.at("file"), b"mine").unwrap();
    std::os::unix::fs::symlink(scene.at("full"), scene.at("link")).unwrap();
    fs::create_dir(scene.at("empty")).unwrap();
    let before = scene.names();
    for dir in ["full", "file", "link", "desk"] {
        let (rule, found) = refused(scene.restore("b.age", dir));
        assert!(rule == Rule::Exists && found.contains("no folder, or an empty one, expected"), "{dir}: {found}");
    }
    // Somebody puts something there while it is restored.
    let taken = scene.at("empty/theirs");
    let raced = restore(&scene.at("b.age"), &scene.identities(), &scene.at("empty"), &mut |effect, _| {
        if effect == "rename" {
            fs::write(&taken, b"theirs").unwrap();
        }
    });
    assert_eq!(refused(raced).0, Rule::Exists);
    assert_eq!(
        (scene.names(), fs::read(&taken).unwrap(), fs::read(scene.at("file")).unwrap()),
        (before, b"theirs".to_vec(), b"mine".to_vec())
    );
    fs::remove_file(&taken).unwrap();
    ok(scene.restore("b.age", "empty"));
    assert!(ok(status(&scene.at("empty"))).standby.is_some());
    assert_eq!(refused(scene.restore("b.age", "no/where")).0, Rule::NotFound);
    assert_eq!(refused(scene.restore("b.age", "..")).0, Rule::Exists);
}

// ------------------------------------------------------------------------------------------------------------------- 2. desks in trouble

#[test]
fn a_halted_desk_is_backed_up_with_its_halt_and_what_is_restored_is_halted() {
    let scene = Scene::grown();
    let before = scene.backup("well.age");
    // The head file of an earlier session: nobody has looked yet.
    let mut old = HeadFile::parse(&fs::read_to_string(scene.desk().join("head")).unwrap()).unwrap();
    old.session = 0;
    fs::write(scene.desk().join("head"), old.text()).unwrap();
    let (rule, found) = refused(backup(&scene.desk(), &scene.at("b.age"), &mut silent));
    assert!(rule == Rule::HeadRolledBack && found.contains("session 0"), "{found}");
    assert!(!scene.at("b.age").exists());
    assert_eq!(refused(Desk::open(&scene.desk())).0, Rule::HeadRolledBack, "which halts");
    assert!(scene.desk().join(HALT_FILE).is_file());
    let halted = scene.backup("b.age");
    assert!(halted.contents.halted.as_ref().unwrap().starts_with("[head-rolled-back] "), "{:?}", halted.contents.halted);
    assert_ne!(halted.contents.hash, before.contents.hash);
    assert!(ok(scene.verify("b.age")).halted.is_some());
    ok(scene.restore("b.age", "standby"));
    assert_eq!(fs::read(scene.at("standby/halt")).unwrap(), fs::read(scene.desk().join("halt")).unwrap());
    assert_eq!(tree(&scene.at("standby/halt-evidence")), tree(&scene.desk().join("halt-evidence")));
    assert!(ok(status(&scene.at("standby"))).halted.is_some());
    assert_eq!(refused(Desk::open(&scene.at("standby"))).0, Rule::Halted);
    fs::create_dir(scene.at("stick")).unwrap();
    assert!(scene.backup("stick").file.to_str().unwrap().ends_with("-halted.backup.age"));
    // A dossier that is something else is left out, and told.
    let dossier = fs::read_dir(scene.desk().join("halt-evidence")).unwrap().next().unwrap().unwrap().path();
    fs::write(&dossier, b"something else").unwrap();
    assert_eq!(scene.backup("left.age").left_out, [dossier]);
    assert!(ok(scene.verify("left.age")).halted.is_some());
    // What is no file halts as well.
    fs::remove_file(scene.desk().join(HALT_FILE)).unwrap();
    fs::create_dir(scene.desk().join(HALT_FILE)).unwrap();
    scene.backup("folder.age");
    assert!(ok(scene.verify("folder.age")).halted.unwrap().contains("of another form, and halts all the same"));
    ok(scene.restore("folder.age", "other"));
    assert!(ok(status(&scene.at("other"))).halted.is_some());
}

#[test]
fn a_session_that_is_not_sealed_is_backed_up_as_it_is() {
    let scene = Scene::grown();
    let (paper, medium) = (Paper::new("dave", 1, scene.notary.head()).put("open/d", b"d", Expect::Absent), scene.at("three"));
    support::write(&medium.join("bundle"), &support::bundle(&[paper.envelope()], &paper.contents));
    let request = tabellion::run::session::Request { ledger: scene.desk(), media: vec![medium], time: None, held: false };
    let mut seen = Vec::new();
    let mut observe = |effect: &'static str, _: &str| {
        // Behind the commit: without the head file, and with it.
        if effect == "write head file" || effect == "sign checkpoints and notes" {
            let made = ok(backup(&scene.desk(), &scene.at(&format!("{effect}.age")), &mut silent));
            seen.push((effect, made.contents.books.unsealed().map(|heading| heading.session)));
        }
    };
    ok(tabellion::run::session::session(&request, &mut support::Agrees, &mut observe));
    assert_eq!(seen, [("write head file", Some(3)), ("sign checkpoints and notes", Some(3))]);
    for (effect, _) in seen {
        let name = format!("{effect}.age");
        assert_eq!(ok(scene.verify(&name)).books.unsealed().map(|heading| heading.session), Some(3), "{effect}");
        ok(scene.restore(&name, effect));
        // The writer that it becomes seals it first, with the same bytes.
        for file in ["instance", "key"] {
            fs::copy(scene.desk().join(file), scene.at(effect).join(file)).unwrap();
        }
        let again = Notary { dir: scene.at(effect) };
        let medium = scene.at(&format!("{effect} medium"));
        fs::create_dir(&medium).unwrap();
        ok(again.try_session(&[medium], None));
        let heads = [&scene.desk(), &again.dir].map(|dir| Ledger::open_read_only(dir).unwrap().head().unwrap());
        assert_eq!(heads[0], heads[1], "{effect}");
    }
}

#[test]
fn what_is_not_whole_is_not_backed_up() {
    let scene = Scene::grown();
    let desk = scene.desk();
    let loose = desk.join(format!("objects/loose/{}", Hash::of(b"waits for approvals")));
    let pack = desk.join("objects/000/000001.objects");
    let cut = |bytes: &[u8]| Some(bytes[..5].to_vec());
    let more = |bytes: &[u8]| Some([bytes, b"x"].concat());
    let flipped = |bytes: &[u8]| Some(bytes.iter().enumerate().map(|(at, byte)| byte ^ u8::from(at == 4)).collect());
    type Damage<'a> = (&'a dyn Fn(&[u8]) -> Option<Vec<u8>>, &'a str);
    let damages: [Damage<'_>; 4] =
        [(&cut, ": 5 bytes found"), (&more, "bytes found"), (&flipped, ": sha256 "), (&|_| None, "nothing is there")];
    for (file, advice) in [(&loose, "bring it again to a session"), (&pack, "copy the file from the folder tabellion/common/objects")] {
        let whole = fs::read(file).unwrap();
        for (damage, expected) in &damages {
            match damage(&whole) {
                Some(content) => fs::write(file, content).unwrap(),
                None => fs::remove_file(file).unwrap(),
            }
            let problem = backup(&desk, &scene.at("b.age"), &mut silent).map(drop).unwrap_err();
            let said = problem.to_string();
            assert!(said.contains(&file.display().to_string()) && said.contains(expected) && said.contains(advice), "{said}");
        }
        fs::write(file, whole).unwrap();
    }
    // An event without its place in the chain.
    let db = rusqlite::Connection::open(desk.join("ledger.db")).unwrap();
    db.execute_batch("DROP TRIGGER events_no_delete; PRAGMA foreign_keys = OFF;").unwrap();
    drop(db);
    let problem = backup(&desk, &scene.at("b.age"), &mut silent).map(drop).unwrap_err();
    assert!(problem.fault.rule == Rule::LedgerFault && problem.fault.found.contains("events_no_delete"), "{problem}");
    assert_eq!(refused(backup(&scene.at("nowhere"), &scene.at("b.age"), &mut silent)).0, Rule::NotFound);
    assert!(!scene.at("b.age").exists());
    assert!(scene.names().iter().all(|name| !name.ends_with(".part")), "{:?}", scene.names());
}

// ------------------------------------------------------------------------------------------------------ 3. while sessions run, and killed

/// `<task> <kill at, 0 for never> <folder>`
const CHILD: &str = "TABELLION_BACKUP_CHILD";

/// The child's whole life. Without its variable this is not a child.
#[test]
fn child() {
    let Ok(line) = std::env::var(CHILD) else { return };
    let mut words = line.splitn(3, ' ');
    let (task, kill_at, dir) = (words.next().unwrap(), words.next().unwrap(), PathBuf::from(words.next().unwrap()));
    let kill_at: usize = kill_at.parse().unwrap();
    let mut effects = Vec::new();
    let mut observe = |effect: &'static str, what: &str| {
        effects.push(format!("{effect}: {what}"));
        if effects.len() == kill_at {
            kill_process(getpid(), Signal::KILL).unwrap();
            loop {
                std::thread::park();
            }
        }
    };
    match task {
        "backup" => drop(ok(backup(&dir.join("desk"), &dir.join("out.age"), &mut observe))),
        "restore" => drop(ok(restore(&dir.join("b.age"), &identities(&dir.join("identity")), &dir.join("out"), &mut observe))),
        _ => sessions(&dir),
    }
    fs::write(dir.join("effects"), effects.join("\n")).unwrap();
}

/// Content that comes in, waits, is approved and packed: what a backup reads moves all the time.
fn sessions(dir: &Path) {
    let notary = Notary { dir: dir.join("desk") };
    let mut waiting: Option<Paper> = None;
    for number in 0..14_u64 {
        let base = notary.head();
        let paper =
            Paper::new("alice", 100 + number, base).put(&format!("docs/{number}"), format!("content {number}").as_bytes(), Expect::Absent);
        let open = Paper::new("bob", 100 + number, base).put(&format!("open/{number}"), &[number as u8; 800], Expect::Absent);
        let mut papers = vec![paper.clone(), open];
        papers.extend(waiting.replace(paper).map(|paper| paper.signed_by(&["carol"])));
        notary.judge(&dir.join(format!("medium-{number}")), &papers);
    }
}

/// One of these tests at a time: a process that is being started holds the locks of all desks that are open in this one.
static ALONE: Mutex<()> = Mutex::new(());

fn spawn(task: &str, dir: &Path, kill_at: usize) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["child", "--exact", "--test-threads=1"]).env(CHILD, format!("{task} {kill_at} {}", dir.display()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn backups_made_while_another_process_runs_sessions_are_each_whole_and_a_beginning_of_the_final_history() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let scene = Scene::grown();
    let mut child = spawn("sessions", scene.room.path(), 0);
    let mut made = Vec::new();
    while child.try_wait().unwrap().is_none() {
        let name = format!("{}.age", made.len());
        made.push((scene.backup(&name).contents, name));
    }
    assert!(child.wait().unwrap().success());
    made.push((scene.backup("last.age").contents, "last.age".into()));
    let ledger = Ledger::open_read_only(&scene.desk()).unwrap();
    let mut before = 0;
    for (contents, name) in &made {
        let (seq_no, hash) = contents.header.last_event;
        assert!(seq_no >= before, "{name}: {seq_no} behind {before}");
        before = seq_no;
        assert_eq!(ledger.by_seq_no(seq_no).unwrap().unwrap().event_hash, hash, "{name}: event {seq_no} of the final history");
        let verified = ok(scene.verify(name));
        assert_eq!((verified.hash, verified.books.last_hash()), (contents.hash, hash), "{name}");
    }
    let states: BTreeSet<Hash> = made.iter().map(|(contents, _)| contents.hash).collect();
    assert!(states.len() >= 4, "{} states in {} backups", states.len(), made.len());
    assert_eq!(ledger.latest().unwrap().unwrap().seq_no, before, "the last one has everything");
}

/// Runs a task once to its end, then kills it at each of its effects.
fn killed_at_every_effect(task: &str, out: &str, begin: &str, scene: &dyn Fn() -> Scene, whole: &dyn Fn(&Scene)) {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let first = scene();
    assert!(spawn(task, first.room.path(), 0).wait().unwrap().success());
    whole(&first);
    let effects = fs::read_to_string(first.at("effects")).unwrap();
    let effects: Vec<&str> = effects.lines().collect();
    assert!(effects.len() >= 8 && effects.last().unwrap().starts_with("rename: "), "{effects:?}");
    let scene = scene();
    let (before, desk) = (scene.names(), tree(&scene.desk()));
    for (at, effect) in (1..).zip(&effects) {
        let status = spawn(task, scene.room.path(), at).wait().unwrap();
        assert_eq!(status.signal(), Some(9), "{effect}");
        assert!(!scene.at(out).exists(), "{effect}: nothing has the name");
        let more: Vec<String> = scene.names().difference(&before).cloned().collect();
        assert!(more.iter().all(|name| name.starts_with(begin)), "{effect}: {more:?}");
    }
    let now: BTreeSet<String> = tree(&scene.desk()).into_keys().collect();
    assert!(
        now.iter().all(|name| desk.contains_key(name) || ["ledger.db-", "audit.db"].iter().any(|begin| name.starts_with(begin))),
        "nothing is left in the desk's folder: {now:?}"
    );
    assert!(spawn(task, scene.room.path(), 0).wait().unwrap().success(), "what is left is in nobody's way");
    whole(&scene);
}

#[test]
fn a_backup_killed_at_every_effect_leaves_no_file_under_its_name_and_the_desk_as_it_was() {
    killed_at_every_effect("backup", "out.age", "tabellion-", &Scene::grown, &|scene| drop(ok(scene.verify("out.age"))));
}

#[test]
fn a_restore_killed_at_every_effect_leaves_no_folder_under_its_name() {
    let scene = || {
        let scene = Scene::grown();
        scene.backup("b.age");
        scene
    };
    killed_at_every_effect("restore", "out", "out.restoring-", &scene, &|scene| {
        let found = ok(status(&scene.at("out")));
        assert!(found.standby.is_some() && found.problem.is_none());
    });
}

// ------------------------------------------------------------------------------------------------------------ 4. what others do to a file

#[test]
fn a_backup_with_any_byte_changed_cut_off_or_added_is_refused() {
    let scene = Scene::founded();
    scene.backup("b.age");
    let whole = fs::read(scene.at("b.age")).unwrap();
    let identities = scene.identities();
    let opens = |bytes: &[u8]| {
        fs::write(scene.at("x.age"), bytes).unwrap();
        verify(&scene.at("x.age"), &identities, &mut silent)
    };
    ok(opens(&whole));
    // Each byte of age's header and of the last piece's end, and a sample of what is between.
    let ends = (0..400).chain(whole.len() - 64..whole.len());
    for at in ends.chain((400..whole.len()).step_by(97)) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        let (rule, found) = refused(opens(&bytes));
        assert!(matches!(rule, Rule::BackupFault | Rule::KeyMismatch), "byte {at}: {rule} {found}");
    }
    for cut in (0..300).chain((300..whole.len()).step_by(1009)).chain(whole.len() - 40..whole.len()) {
        let (rule, found) = refused(opens(&whole[..cut]));
        assert_eq!(rule, Rule::BackupFault, "cut at {cut}: {found}");
    }
    for more in [&b"x"[..], &[0; 100], &whole] {
        assert_eq!(refused(opens(&[&whole, more].concat())).0, Rule::BackupFault, "{} bytes more", more.len());
    }
}

#[test]
fn another_identity_opens_nothing_and_without_one_only_the_outside_is_seen() {
    let scene = Scene::founded();
    let made = scene.backup("b.age");
    fs::write(scene.at("other"), identity_file(&seed("alice"), false).unwrap().0.as_bytes()).unwrap();
    let (rule, found) = refused(verify(&made.file, &identities(&scene.at("other")), &mut silent));
    assert!(rule == Rule::KeyMismatch && found.contains("the identity opens files for age1"), "{found}");
    assert_eq!(refused(restore(&made.file, &identities(&scene.at("other")), &scene.at("out"), &mut silent)).0, Rule::KeyMismatch);
    assert!(!scene.at("out").exists());
    assert_eq!(seen(&made.file).unwrap(), made.size_bytes);
    fs::write(scene.at("milk"), "bring milk\n").unwrap();
    assert_eq!(refused(seen(&scene.at("milk"))).0, Rule::BackupFault);
    assert_eq!(refused(seen(&scene.at("nowhere"))).0, Rule::NotFound);
    assert_eq!(refused(seen(&scene.desk())).0, Rule::FileFault);
}

/// An archive taken apart, to be put together wrongly.
#[derive(Clone)]
struct Forged {
    header: Header,
    files: Vec<Vec<u8>>,
    /// The header's bytes, when they are not those of `header`.
    raw: Option<Vec<u8>>,
    /// What stands behind the files instead of the right hash.
    end: Option<Vec<u8>>,
}

impl Forged {
    fn of(archive: &[u8]) -> Forged {
        let mut at = 0;
        let mut next = || {
            let more = [0, 1, 2, 4, 8][usize::from(archive[at].saturating_sub(0x57).min(4))];
            let size = match more {
                0 => usize::from(archive[at] & 0x1f),
                _ => archive[at + 1..at + 1 + more].iter().fold(0, |size, byte| size << 8 | usize::from(*byte)),
            };
            at += 1 + more + size;
            archive[at - size..at].to_vec()
        };
        let header = Header::from_cbor(&next()).unwrap();
        let files = header.files.iter().map(|_| next()).collect();
        Forged { header, files, raw: None, end: None }
    }

    fn bytes(&self) -> Vec<u8> {
        let item = |bytes: &[u8]| [bytes_head(bytes.len() as u64), bytes.to_vec()].concat();
        let mut out = self.raw.clone().unwrap_or_else(|| item(&self.header.to_cbor()));
        self.files.iter().for_each(|file| out.extend(item(file)));
        let hash = item(&Hash::of(&out).0);
        out.extend(self.end.clone().unwrap_or(hash));
        out
    }

    /// Puts a file in, with a true row, where its path belongs.
    fn with(mut self, item: Item, content: &[u8]) -> Forged {
        self = self.without(&item);
        let at = self.header.files.iter().take_while(|row| row.item.path() < item.path()).count();
        self.header.files.insert(at, Row { item, size: content.len() as u64, sha256: Hash::of(content) });
        self.files.insert(at, content.to_vec());
        self
    }

    fn without(mut self, item: &Item) -> Forged {
        if let Some(at) = self.header.files.iter().position(|row| row.item == *item) {
            self.header.files.remove(at);
            self.files.remove(at);
        }
        self
    }

    fn file(&self, item: &Item) -> Vec<u8> {
        self.files[self.header.files.iter().position(|row| row.item == *item).unwrap()].clone()
    }
}

/// A path of somebody's own in the place of a right one, of the same length or not.
fn with_path(forged: &Forged, from: &str, to: &str) -> Forged {
    let mut header = forged.header.to_cbor();
    let at = header.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    assert!(from.len() < 24 && to.len() < 24, "one byte of head each");
    header[at - 1] = 0x60 | to.len() as u8;
    header.splice(at..at + from.len(), to.bytes());
    Forged { raw: Some([bytes_head(header.len() as u64), header].concat()), ..forged.clone() }
}

#[test]
fn archives_that_somebody_prepared_are_refused_and_nothing_is_left_of_them() {
    let scene = Scene::grown();
    scene.backup("b.age");
    let good = Forged::of(&scene.archive("b.age"));
    assert_eq!(good.bytes(), scene.archive("b.age"), "the forger can do it right");
    let held = Item::Loose(Hash::of(b"waits for approvals"));
    let changed = |change: &dyn Fn(&mut Forged)| {
        let mut forged = good.clone();
        change(&mut forged);
        forged
    };
    let row = |item: &Item| good.header.files.iter().position(|row| row.item == *item).unwrap();
    let header = good.header.to_cbor();
    let raw = |bytes: Vec<u8>| Forged { raw: Some(bytes), ..good.clone() };
    let cases: Vec<(&str, Forged, &str)> = vec![
        ("a header of 2^64 - 1 bytes", raw(hex::decode("5bffffffffffffffff").unwrap()), "a header of at most 33554432 bytes"),
        ("a header longer than the file", raw(bytes_head(30_000_000)), "a header of at most 33554432 bytes, and of the file's"),
        (
            "a header in a longer head",
            raw([hex::decode("5a0000").unwrap(), (header.len() as u16).to_be_bytes().to_vec(), header.clone()].concat()),
            "a header of at most",
        ),
        ("no byte string", raw(vec![0x80]), "80 found; a byte string with the header expected"),
        ("a header of nothing", raw(vec![0x40]), "[cbor-form]"),
        ("a traversal", with_path(&good, "ledger.db", "../../ledger.db"), "path \"../../ledger.db\" found"),
        ("an absolute path", with_path(&good, "ledger.db", "/tmp/tabellion.db"), "path \"/tmp/tabellion.db\" found"),
        ("a key", with_path(&good, "ledger.db", "key"), "path \"key\" found"),
        ("an instance file", with_path(&good, "head", "instance"), "path \"instance\" found"),
        ("a journal", with_path(&good, "ledger.db", "ledger.db-journal"), "path \"ledger.db-journal\" found"),
        (
            "a file twice",
            changed(&|f| {
                f.header.files.insert(0, f.header.files[0].clone());
                f.files.insert(0, f.files[0].clone())
            }),
            "head found behind head",
        ),
        (
            "another order",
            changed(&|f| {
                f.header.files.swap(0, 1);
                f.files.swap(0, 1)
            }),
            "paths in ascending order",
        ),
        ("a file more than the header", changed(&|f| f.files.push(b"more".to_vec())), "446d found; 5820 expected"),
        ("a file less", changed(&|f| drop(f.files.pop())), "a byte string of 19 bytes for objects/loose/"),
        ("a size too large", changed(&|f| f.header.files[1].size += 1), "bytes for ledger.db"),
        ("a size of an exabyte", changed(&|f| f.header.files[1].size = 1 << 52), "the whole backup has"),
        ("another hash", changed(&|f| f.header.files[1].sha256 = Hash([1; 32])), "found for ledger.db"),
        ("content changed", changed(&|f| f.files[0][0] ^= 1), "found for head"),
        ("no end", Forged { end: Some(Vec::new()), ..good.clone() }, "it is cut off"),
        ("another end", Forged { end: Some([bytes_head(32), vec![0; 32]].concat()), ..good.clone() }, "found at its end"),
        (
            "more behind the end",
            changed(&|f| {
                f.end = Some([bytes_head(32), Hash::of(&[&good.bytes()[..good.bytes().len() - 34]].concat()).0.to_vec(), vec![0]].concat())
            }),
            "more found; its end expected",
        ),
        (
            "another origin",
            changed(&|f| f.header.origin = "other.example/common".parse().unwrap()),
            "origin and fingerprint other.example/common",
        ),
        ("another fingerprint", changed(&|f| f.header.fingerprint = Hash([1; 32])), "origin and fingerprint"),
        ("another head", changed(&|f| f.header.head = Head { number: 5, ..f.header.head }), "head common@5"),
        ("another last event", changed(&|f| f.header.last_event.0 += 1), "last event"),
        ("no pack", good.clone().without(&Item::Pack(1)), "no objects/000/000001.objects found; the ledger names it"),
        ("no object of a paper that waits", good.clone().without(&held), "no objects/loose/"),
        ("a pack too many", good.clone().with(Item::Pack(9), b"x"), "objects/000/000009.objects found; the ledger names no such content"),
        ("an object too many", good.clone().with(Item::Loose(Hash::of(b"x")), b"x"), "the ledger names no such content"),
        ("another pack", good.clone().with(Item::Pack(1), b"x"), "objects/000/000001.objects: 1 bytes"),
        (
            "an object under another name",
            changed(&|f| f.header.files[row(&held)].item = Item::Loose(Hash([1; 32]))),
            "the one in its path expected",
        ),
        ("another head file", good.clone().with(Item::Head, b"tabellion-head v1\n"), "head file \"tabellion-head v1"),
        ("no database", good.clone().with(Item::Database, b"bring milk"), "[ledger-fault]"),
    ];
    let before = scene.names();
    for (what, forged, expected) in cases {
        scene.seal("forged.age", &forged.bytes());
        for outcome in [scene.verify("forged.age"), scene.restore("forged.age", "out")] {
            let (rule, found) = refused(outcome);
            assert!(rule == Rule::BackupFault && found.contains(expected) && found.contains("forged.age"), "{what}: {rule} {found}");
        }
        fs::remove_file(scene.at("forged.age")).unwrap();
        assert_eq!(scene.names(), before, "{what}");
    }
    assert!(!Path::new("/tmp/tabellion.db").exists());
}

#[test]
fn a_ledger_in_a_backup_is_checked_as_a_start_does_with_every_signature() {
    let scene = Scene::grown();
    scene.backup("b.age");
    let good = Forged::of(&scene.archive("b.age"));
    // The signature of an event that is not the last: no start without --deep sees it.
    let path = scene.at("changed.db");
    fs::write(&path, good.file(&Item::Database)).unwrap();
    let db = rusqlite::Connection::open(&path).unwrap();
    let drops: Vec<(String, String)> = {
        let mut rows = db.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").unwrap();
        rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    drops.iter().for_each(|(name, _)| db.execute_batch(&format!("DROP TRIGGER {name}")).unwrap());
    // The hash of an event is made by a function of ours; this one answers with what is there.
    let hashes: Vec<Vec<u8>> = {
        let mut rows = db.prepare("SELECT event_hash FROM events ORDER BY seq_no").unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let flags = rusqlite::functions::FunctionFlags::SQLITE_UTF8 | rusqlite::functions::FunctionFlags::SQLITE_DETERMINISTIC;
    let kept = move |context: &rusqlite::functions::Context<'_>| Ok(hashes[context.get::<i64>(0)? as usize - 1].clone());
    db.create_scalar_function("tabellion_event_hash", 9, flags, kept).unwrap();
    let changed = db.execute("UPDATE events SET signature = zeroblob(64) WHERE seq_no = 3", []).unwrap();
    drops.iter().for_each(|(_, sql)| db.execute_batch(sql).unwrap());
    assert!(changed == 1 && db.close().is_ok());
    scene.seal("forged.age", &good.clone().with(Item::Database, &fs::read(&path).unwrap()).bytes());
    let (rule, found) = refused(scene.verify("forged.age"));
    assert!(rule == Rule::BackupFault && found.contains("[chain-broken]") && found.contains("event 3"), "{found}");
    // Nor is such a desk backed up.
    copy_folder(&scene.desk(), &scene.at("spoilt"));
    ["-wal", "-shm"].iter().for_each(|ending| drop(fs::remove_file(scene.at(&format!("spoilt/ledger.db{ending}")))));
    fs::copy(&path, scene.at("spoilt/ledger.db")).unwrap();
    let (rule, found) = refused(backup(&scene.at("spoilt"), &scene.at("spoilt.age"), &mut silent));
    assert!(rule == Rule::ChainBroken && found.contains("event 3") && !scene.at("spoilt.age").exists(), "{found}");
    // Another Common, whole in itself: it says which one it is, and whoever knows the fingerprint sees that it is not ours.
    let other = Scene { notary: Notary::found(&scene.at("other"), &policy_toml(50)), room: room() };
    let made = ok(backup(&other.desk(), &scene.at("other.age"), &mut silent));
    let ours = ok(scene.verify("b.age"));
    assert_ne!(ok(scene.verify("other.age")).header.fingerprint, ours.header.fingerprint);
    let mixed = Forged::of(&scene.archive("other.age")).file(&Item::Database);
    scene.seal("mixed.age", &good.with(Item::Database, &mixed).bytes());
    let (rule, found) = refused(scene.verify("mixed.age"));
    assert!(rule == Rule::BackupFault && found.contains("origin and fingerprint"), "{found}");
    assert!(made.contents.header.files.len() < ours.header.files.len());
}

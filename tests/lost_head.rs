//! A desk that halted over its head file, and the order that ends it: a head file that is missing or damaged is written anew from the books, one
//! that can be read and tells of another session never is. That a kill leaves nothing half done: `orders_crash.rs`.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "orders/scene.rs"]
mod scene;
mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use scene::{Scene, events, passphrase};
use support::Paper;
use tabellion::core::event::EventType;
use tabellion::core::halt::Halt;
use tabellion::core::head::HeadFile;
use tabellion::core::ids::{Hash, Head};
use tabellion::core::order::{Order, What};
use tabellion::core::proposal::Expect;
use tabellion::core::rules::Rule;
use tabellion::ledger::{CheckInput, Ledger, NewEvent};
use tabellion::run::branches::Which;
use tabellion::run::desk::{Desk, DeskKeys, KEY_FILE};
use tabellion::run::integrity;
use tabellion::run::lost_head::LostHead;
use tabellion::run::problem::{Exit, Problem};
use tabellion::run::{recover, resume};

/// What is done at the path of the head file.
type Change<'a> = &'a dyn Fn(&Path);

const TWO: [&str; 2] = ["alice", "bob"];

/// The head file as the last session wrote it.
fn genuine() -> Vec<u8> {
    fs::read(Scene::new().at("desk/head")).unwrap()
}

fn missing(path: &Path) {
    fs::remove_file(path).unwrap();
}

/// The halt of the halt file.
fn halt(scene: &Scene) -> Halt {
    Halt::parse(&fs::read_to_string(scene.at("desk/halt")).unwrap()).unwrap()
}

/// The order that the program would write if it wrote one: on the ledger's head, about the dossier of the halt file.
fn order(scene: &Scene) -> Order {
    Order { what: What::Resume { dossier: halt(scene).dossier, settled: Vec::new() }, ..Scene::new().draft() }
}

/// What a look at the halt says that is refused as well.
fn look(scene: &Scene) -> Problem {
    let (desk, lost) = match Desk::look_to_resume(&scene.at("desk")) {
        Ok(looked) => looked,
        Err(problem) => return resume::advised(problem),
    };
    resume::standing_with_head(&desk, lost).err().expect("refused")
}

#[test]
fn a_head_file_that_is_missing_or_damaged_is_written_anew_by_the_order_that_names_the_dossier() {
    type Row = (&'static str, Box<dyn Fn(&Path)>, &'static str, bool);
    let damaged = |change: fn(&mut Vec<u8>)| {
        Box::new(move |path: &Path| {
            let mut bytes = fs::read(path).unwrap();
            change(&mut bytes);
            fs::write(path, bytes).unwrap();
        })
    };
    let rows: Vec<Row> = vec![
        ("missing", Box::new(missing), "no head file is there; session 1 common@2 ", false),
        ("empty", damaged(Vec::clear), "the head file: ", true),
        ("torn", damaged(|bytes| bytes.truncate(bytes.len() / 2)), "the head file: line ", true),
        ("one digit", damaged(|bytes| bytes[26] = b'7'), "the head file: line 6: ", true),
        ("more behind it", damaged(|bytes| bytes.push(b'\n')), "the head file: ", true),
        ("no text", damaged(|bytes| *bytes = vec![0xff; 300]), "UTF-8", true),
        ("too large", damaged(|bytes| *bytes = vec![b'a'; 70_000]), "70000 bytes found; at most 65536 expected", true),
        (
            "two names",
            Box::new(|path: &Path| {
                fs::write(path, "damaged").unwrap();
                fs::hard_link(path, path.with_file_name("../second")).unwrap();
            }),
            "the head file: ",
            true,
        ),
    ];
    let genuine = genuine();
    let text = String::from_utf8(genuine.clone()).unwrap();
    assert!(text.starts_with("tabellion-head v1\nsession 1\nnumber 2\n"), "{text}");
    for (name, change, found, is_kept) in rows {
        let scene = Scene::over_head(&change);
        let damaged = fs::read(scene.at("desk/head")).ok();
        let (halted, chain) = (halt(&scene), events(&scene.at("desk")));
        assert!(halted.rule == Rule::HeadLost && halted.found.contains(found), "{name}: {halted:?}");
        let dossier = fs::read_to_string(scene.at(&format!("desk/halt-evidence/{}.txt", halted.dossier))).unwrap();
        assert!(dossier.contains("leaves exactly this") && dossier.contains("has the head file written anew"), "{name}: {dossier}");
        let standing = scene.standing();
        let Some(LostHead::ToWrite { lost, file }) = &standing.lost_head else { panic!("{name}: nothing to write") };
        assert!(lost.rule == Rule::HeadLost && lost.found.contains(found), "{name}: {lost}");
        assert_eq!(file.text().as_bytes(), genuine, "{name}");
        // Without an order nothing brings it back.
        assert_eq!(scene.desk().try_session(&[scene.at("first")], None).err().expect("halted").fault.rule, Rule::Halted, "{name}");

        let resumed = scene.resumes(&scene.draft(), &TWO);
        assert!(resumed.is_new && resumed.still.is_none() && resumed.settled.is_empty(), "{name}");
        assert_eq!(fs::read(scene.at("desk/head")).unwrap(), genuine, "{name}");
        let written = resumed.head_file.unwrap_or_else(|| panic!("{name}: not told"));
        assert!(written.lost.is_some_and(|lost| lost.found.contains(found)), "{name}");
        assert_eq!((written.file.session, written.file.head), (1, resumed.head), "{name}");
        // What was left of it is kept beside the dossier, and the other name of it is not written to.
        let kept = scene.at(&format!("desk/halt-evidence/{}.head", halted.dossier));
        assert_eq!((written.kept, fs::read(&kept).ok()), (is_kept.then_some(kept), damaged), "{name}");
        if name == "two names" {
            let links = fs::metadata(scene.at("desk/head")).unwrap().nlink();
            assert_eq!((fs::read(scene.at("second")).unwrap(), links), (b"damaged".to_vec(), 1));
        }
        // The ledger tells of the halt, and of the order that ended it; the desk goes on.
        let mut expected = chain;
        expected.extend([EventType::Halt, EventType::Resume]);
        assert_eq!(events(&scene.at("desk")), expected, "{name}");
        let paper = Paper::new("alice", 2, scene.desk().head()).put("open/c", b"c", Expect::Absent);
        assert!(scene.desk().judge(&scene.at("later"), &[paper]).is_new, "{name}");
    }
}

/// A head file that is whole, and not that of the ledger's last session.
fn others(scene: &Scene) -> Vec<(&'static str, HeadFile)> {
    let ours = HeadFile::parse(&String::from_utf8(genuine()).unwrap()).unwrap();
    let ledger = Ledger::open_read_only(&scene.at("desk")).unwrap();
    let founding = ledger.by_seq_no(3).unwrap().unwrap();
    assert_eq!((founding.event_type, founding.event_id.as_str()), (EventType::Closed, "0/2"));
    let root = scene.desk().desk().books().log().root_at(1).unwrap();
    vec![
        ("ahead", HeadFile { session: 2, head: Head { number: 3, root: Hash([3; 32]) }, closed: [4; 32] }),
        ("foreign", HeadFile { closed: [5; 32], ..ours.clone() }),
        ("earlier", HeadFile { session: 0, head: Head { number: 1, root }, closed: founding.event_hash }),
    ]
}

#[test]
fn a_head_file_that_tells_of_another_session_is_never_replaced_also_when_it_went_since() {
    let whole = Scene::new();
    for (name, other) in others(&whole) {
        let text = other.text();
        let scene = Scene::over_head(&|path| fs::write(path, &text).unwrap());
        assert_eq!(halt(&scene).rule, Rule::HeadRolledBack, "{name}");
        let (order, before) = (order(&scene), scene.print());
        for problem in [scene.refused(&order, &TWO), look(&scene)] {
            assert_eq!((problem.fault.rule, problem.exit()), (Rule::HeadRolledBack, Exit::Halted), "{name}: {problem}");
            assert!(problem.next.as_ref().unwrap().starts_with("no order writes a head file in the place of one"), "{name}: {problem}");
        }
        assert_eq!(scene.print(), before, "{name}");

        // Whoever takes it away has not made the ledger right.
        fs::remove_file(scene.at("desk/head")).unwrap();
        let before = scene.print();
        for problem in [scene.refused(&order, &TWO), look(&scene)] {
            assert_eq!((problem.fault.rule, problem.exit()), (Rule::HeadLost, Exit::Halted), "{name}: {problem}");
            assert!(
                problem.fault.found.contains(&format!("before, the desk halted over one that was there: {other}")),
                "{name}: {problem}"
            );
            let next = problem.next.as_ref().unwrap();
            assert!(next.contains("put back the head file that") && next.contains(&halt(&scene).dossier.hex()), "{name}: {problem}");
        }
        assert_eq!(scene.print(), before, "{name}");

        // The control: with the head file that belongs to this ledger nothing is left to object to, and nothing to write.
        fs::write(scene.at("desk/head"), genuine()).unwrap();
        let resumed = scene.resumes(&order, &TWO);
        assert!(resumed.is_new && resumed.head_file.is_none(), "{name}");

        // That halt is over: put back in its place, its file goes again, and does not stand in the way of the halt over what is lost now.
        let ended = dossier_of(&order);
        fs::copy(scene.at(&format!("desk/halt-evidence/{ended}.halt")), scene.at("desk/halt")).unwrap();
        fs::remove_file(scene.at("desk/head")).unwrap();
        let problem = scene.refused(&order, &TWO);
        assert!(
            problem.state.starts_with(&format!("the halt over dossier sha256:{ended} is ended; the desk is halted (")),
            "{name}: {problem}"
        );
        assert_eq!(halt(&scene).rule, Rule::HeadLost, "{name}");
        assert!(scene.resumes(&scene.draft(), &TWO).head_file.is_some(), "{name}");
    }
}

/// The dossier that an order names.
fn dossier_of(order: &Order) -> Hash {
    let What::Resume { dossier, .. } = &order.what else { panic!("{order:?}") };
    *dossier
}

#[test]
fn the_first_damaged_head_file_is_the_one_that_is_kept() {
    let scene = Scene::over_head(&|path| fs::write(path, "damaged").unwrap());
    let (order, halted) = (scene.signed(&scene.draft(), &TWO), halt(&scene));
    let broken = std::panic::catch_unwind(|| {
        scene::resume_at(&scene.at("desk"), std::slice::from_ref(&order), &mut |effect, _| {
            assert_ne!(effect, "write head file", "the power fails")
        })
    });
    assert!(broken.is_err() && scene.at(&format!("desk/halt-evidence/{}.head", halted.dossier)).exists());
    // What the dossier shows is kept; what came since is not what the desk halted over.
    fs::write(scene.at("desk/head"), "since").unwrap();
    let resumed = scene.resume(&[order]).unwrap_or_else(|problem| panic!("{problem}"));
    let kept = resumed.head_file.and_then(|written| written.kept).expect("kept");
    assert_eq!((fs::read(kept).unwrap(), fs::read(scene.at("desk/head")).unwrap()), (b"damaged".to_vec(), genuine()));
    assert!(scene.at(&format!("desk/halt-evidence/{}.txt", halted.dossier)).exists());
}

#[test]
fn of_two_copies_none_is_chosen_while_the_head_file_is_lost() {
    let scene = Scene::forked();
    let order = recover::draft(&scene::parted(&scene, "desk", "other"), Which::Ours, None).unwrap_or_else(|problem| panic!("{problem}"));
    let order = scene.signed(&order, &TWO);
    fs::remove_file(scene.at("desk/head")).unwrap();
    let before = scene.print();
    let problem = scene::recover_at(&scene.at("desk"), &scene.at("other"), &[order], &mut |_, _| {}).err().expect("refused");
    assert_eq!(problem.fault.rule, Rule::HeadLost, "{problem}");
    assert!(problem.next.as_ref().unwrap().starts_with("end the halt over the head file first"), "{problem}");
    assert_eq!(scene.print(), before);
}

#[test]
fn a_halt_over_another_head_that_the_ledger_knows_is_not_passed_by_without_its_halt_file() {
    let (_, later) = others(&Scene::new()).remove(0);
    let scene = Scene::new();
    fs::remove_file(scene.at("desk/halt")).unwrap();
    fs::write(scene.at("desk/head"), later.text()).unwrap();
    let request = integrity::Request { ledger: scene.at("desk"), deep: false, known: None, insists: false };
    integrity::integrity(&request, &mut || Ok(Some(passphrase())), &mut |_, _| {}).unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!(events(&scene.at("desk")).last(), Some(&EventType::Halt));
    // Halt file and head file go; the next start halts over a head file that is missing.
    fs::remove_file(scene.at("desk/halt")).unwrap();
    fs::remove_file(scene.at("desk/head")).unwrap();
    assert_eq!(scene.session().err().expect("halted").fault.rule, Rule::HeadLost);
    let before = scene.print();
    let problem = scene.refused(&order(&scene), &TWO);
    assert!(problem.fault.rule == Rule::HeadLost && problem.fault.found.contains("before, the desk halted over one"), "{problem}");
    assert_eq!(scene.print(), before);
}

#[test]
fn what_is_no_file_in_the_place_of_the_head_file_is_to_be_moved_away_by_a_person() {
    let good = genuine();
    let rows: [(&str, Change<'_>, &str); 3] = [
        ("folder", &|path| fs::create_dir(path).unwrap(), "a folder found; a plain file expected"),
        (
            "link",
            &|path| {
                fs::write(path.with_file_name("elsewhere"), &good).unwrap();
                symlink("elsewhere", path).unwrap();
            },
            "a symbolic link found; a plain file expected",
        ),
        (
            "pipe",
            &|path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success()),
            "a device, pipe or socket found; a plain file expected",
        ),
    ];
    for (name, put, found) in rows {
        let scene = Scene::over_head(&|path| {
            fs::remove_file(path).unwrap();
            put(path);
        });
        let head = scene.at("desk/head");
        let (halted, chain, order) = (halt(&scene), events(&scene.at("desk")), order(&scene));
        assert!(halted.rule == Rule::HeadLost && halted.found.contains(found), "{name}: {halted:?}");
        for problem in [scene.refused(&order, &TWO), look(&scene)] {
            assert!(problem.fault.rule == Rule::HeadLost && problem.fault.found.contains(found), "{name}: {problem}");
            let next = format!("move what stands at {} away and keep it, then run the same command again", head.display());
            assert_eq!(problem.next, Some(next), "{name}");
        }
        assert!(events(&scene.at("desk")) == chain && scene.at("desk/halt").exists(), "{name}");
        assert!(!head.symlink_metadata().unwrap().is_file(), "{name}");
        fs::rename(&head, scene.at("kept")).unwrap();
        assert!(scene.resumes(&order, &TWO).is_new, "{name}");
        assert_eq!((fs::read(&head).unwrap(), scene.at("kept").symlink_metadata().unwrap().is_file()), (good.clone(), false), "{name}");
    }
}

#[test]
fn an_order_that_was_carried_out_writes_no_head_file_a_second_time() {
    let scene = Scene::over_head(&missing);
    let (halted, order) = (halt(&scene), scene.signed(&scene.draft(), &TWO));
    scene.resume(std::slice::from_ref(&order)).unwrap_or_else(|problem| panic!("{problem}"));
    let ended = events(&scene.at("desk"));

    // Lost again: without a halt there is no dossier, and the order says nothing of this loss.
    fs::remove_file(scene.at("desk/head")).unwrap();
    let before = scene.print();
    let problem = scene.resume(std::slice::from_ref(&order)).err().expect("refused");
    assert_eq!((problem.fault.rule, problem.state.as_str()), (Rule::HeadLost, "nothing was written"), "{problem}");
    assert!(problem.next.as_ref().unwrap().starts_with("halt the desk first, so that there is a dossier"), "{problem}");
    assert_eq!(look(&scene).next, problem.next);
    assert_eq!(scene.print(), before);

    // Somebody puts the halt file back where the order took it away: that halt is over, and the desk halts over what it finds now.
    fs::copy(scene.at(&format!("desk/halt-evidence/{}.halt", halted.dossier)), scene.at("desk/halt")).unwrap();
    let problem = scene.resume(std::slice::from_ref(&order)).err().expect("refused");
    assert_eq!(problem.fault.rule, Rule::HeadLost, "{problem}");
    assert!(
        problem.state.starts_with(&format!("the halt over dossier sha256:{} is ended; the desk is halted (", halted.dossier)),
        "{problem}"
    );
    assert!(problem.next.as_ref().unwrap().starts_with("this halt takes an order of its own"), "{problem}");
    assert!(!scene.at("desk/head").exists() && events(&scene.at("desk")) == ended);
    let again = halt(&scene);
    assert!(again.rule == Rule::HeadLost && again.dossier != halted.dossier, "{again:?}");
    // It takes an order of its own.
    assert!(scene.resumes(&scene.draft(), &TWO).head_file.is_some());
    assert!(scene.at("desk/head").exists());
}

#[test]
fn a_halt_over_something_else_ends_by_its_order_and_the_desk_halts_over_the_lost_head_file_next() {
    let scene = Scene::new();
    fs::remove_file(scene.at("desk/head")).unwrap();
    let (first, standing) = (halt(&scene), scene.standing());
    assert!(first.rule == Rule::HeadElsewhere && matches!(standing.lost_head, Some(LostHead::Next(_))));
    let order = scene.draft();
    let problem = scene.refused(&order, &TWO);
    assert_eq!((problem.fault.rule, problem.exit()), (Rule::HeadLost, Exit::Halted), "{problem}");
    assert!(
        problem.state.starts_with(&format!("the halt over dossier sha256:{} is ended; the desk is halted (", first.dossier)),
        "{problem}"
    );
    assert_eq!(events(&scene.at("desk")).last(), Some(&EventType::Resume));
    assert!(!scene.at("desk/head").exists() && halt(&scene).rule == Rule::HeadLost && halt(&scene).dossier != first.dossier);
    // What the first order settled stays settled.
    let resumed = scene.resumes(&scene.draft(), &TWO);
    assert!(resumed.head_file.is_some() && resumed.still.is_none());
    assert!(scene.session().is_ok());
}

#[test]
fn an_order_on_a_head_that_this_ledger_lacks_tells_an_older_ledger_and_one_on_its_own_does_not() {
    // The desk went on to common@3; somebody put the ledger of common@2 back and took the head file away.
    let scene = Scene::over_head(&missing);
    let newer = support::Notary { dir: scene.at("other") }.head();
    assert_eq!(newer.number, 3);
    let before = scene.print();
    let problem = scene.refused(&Order { head: newer, ..scene.draft() }, &TWO);
    assert!(problem.fault.rule == Rule::OrderHead && problem.fault.found.contains("our head is common@2 "), "{problem}");
    assert_eq!(scene.print(), before);
    assert!(!scene.at("desk/head").exists());
    // Governors who do not know of common@3 are no witness against it; a stick that does still is one.
    assert!(scene.resumes(&scene.draft(), &TWO).head_file.is_some());
    assert_eq!(scene.session().err().expect("halted").fault.rule, Rule::HeadElsewhere);
}

#[test]
fn a_head_file_that_comes_while_the_passphrase_is_asked_for_is_left_where_it_is() {
    let (_, later) = others(&Scene::new()).remove(0);
    let rows: [(&str, Change<'_>, Rule); 2] = [
        ("a head file", &|path| fs::write(path, later.text()).unwrap(), Rule::HeadRolledBack),
        ("a folder", &|path| fs::create_dir(path).unwrap(), Rule::FileFault),
    ];
    for (name, put, rule) in rows {
        let scene = Scene::over_head(&missing);
        let (order, head) = (scene.signed(&scene.draft(), &TWO), scene.at("desk/head"));
        let mut confirm = |_: &tabellion::core::order::InForce, _: &resume::Standing| {
            put(&head);
            Ok(passphrase())
        };
        let problem = resume::resume(&scene.at("desk"), &[order], &mut confirm, &mut |_, _| {}).err().expect("refused");
        assert_eq!(problem.fault.rule, rule, "{name}: {problem}");
        assert!(problem.state.starts_with("the desk stays halted"), "{name}: {problem}");
        assert_eq!(fs::read_to_string(&head).ok(), head.is_file().then(|| later.text()), "{name}");
        assert!(scene.at("desk/halt").exists() && !events(&scene.at("desk")).contains(&EventType::Resume), "{name}");
    }
}

/// A desk whose ledger ends within its founding: the charter is decided, and no session closed.
fn unclosed() -> Scene {
    let scene = Scene::new();
    let whole = scene.desk().desk();
    let charter = whole.books().charter().unwrap().clone();
    let events: Vec<NewEvent> = [1, 2]
        .map(|number| whole.ledger().by_seq_no(number).unwrap().unwrap())
        .map(|event| NewEvent {
            event_id: event.event_id,
            timestamp: event.timestamp,
            event_type: event.event_type,
            payload: event.payload,
        })
        .into();
    let dir: PathBuf = scene.at("short");
    fs::create_dir(&dir).unwrap();
    fs::copy(scene.at("desk/key"), dir.join(KEY_FILE)).unwrap();
    let keys = DeskKeys::unlock(&dir.join(KEY_FILE), &passphrase(), &charter).unwrap();
    let mut ledger = Ledger::create(&dir, &charter.instance, keys.signer()).unwrap();
    ledger.start_up_check(&CheckInput { ledger_keys: &[charter.ledger_public], deep: false, must_hold: &[] }).unwrap();
    ledger.commit(None, &events).unwrap();
    drop((whole, ledger));
    fs::remove_dir_all(scene.at("desk")).unwrap();
    fs::rename(dir, scene.at("desk")).unwrap();
    scene
}

#[test]
fn without_a_closed_session_there_is_nothing_to_write_it_from() {
    for damage in [None, Some("damaged")] {
        let scene = unclosed();
        let halted = Halt { rule: Rule::HeadLost, dossier: Hash([6; 32]), found: "no head file is there".into() };
        fs::write(scene.at("desk/halt"), halted.text()).unwrap();
        damage.iter().for_each(|bytes| fs::write(scene.at("desk/head"), bytes).unwrap());
        let before = scene.print();
        let problem = scene.refused(&order(&scene), &TWO);
        assert_eq!(problem.fault.rule, Rule::LedgerFault, "{problem}");
        assert!(problem.fault.found.contains("no closed session found; the founding expected"), "{problem}");
        assert_eq!(scene.print(), before);
    }
}

//! What tests of orders share: a desk that is halted, and orders that would end the halt.
#![allow(dead_code)] // each test program uses a part of it

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::support::{self, Notary, Paper, policy_toml, room, tree};
use tabellion::core::cbor::Canonical as _;
use tabellion::core::cose::PaperKind;
use tabellion::core::event::EventType;
use tabellion::core::ids::Hash;
use tabellion::core::order::Order;
use tabellion::core::proposal::Expect;
use tabellion::core::rules::Rule;
use tabellion::keys::Passphrase;
use tabellion::run::desk::Desk;
use tabellion::run::problem::{Outcomes, Problem};
use tabellion::run::recover::{self, Parted, Recovered};
use tabellion::run::resume::{self, Resumed, Standing};

/// A desk at common@2 that is halted: a copy of it went on to common@3, and the copy's stick came to it.
pub struct Scene {
    pub room: tempfile::TempDir,
}

impl Scene {
    pub fn new() -> Scene {
        static TEMPLATE: OnceLock<tempfile::TempDir> = OnceLock::new();
        let template = TEMPLATE.get_or_init(|| {
            let room = room();
            let desk = Notary::found(&room.path().join("desk"), &policy_toml(10));
            let base = desk.head();
            desk.judge(&room.path().join("first"), &[Paper::new("alice", 1, base).put("open/a", b"a", Expect::Absent)]);
            let other = desk.copied_to(&room.path().join("other"));
            let accepted = Paper::new("alice", 2, base).put("open/b", b"B", Expect::Absent);
            let refused = Paper::new("bob", 1, base).put("open/a", b"B", Expect::Absent);
            other.judge(&room.path().join("stick"), &[accepted, refused]);
            fs::remove_file(room.path().join("stick/bundle")).unwrap();
            let halted = desk.try_session(&[room.path().join("stick")], None).err().expect("halted");
            assert_eq!(halted.fault.rule, Rule::HeadElsewhere);
            room
        });
        let room = room();
        support::copy_folder(template.path(), room.path());
        Scene { room }
    }

    /// The same desk, that made a common@3 of its own before anybody noticed: not halted.
    pub fn forked() -> Scene {
        let scene = Scene::new();
        fs::remove_file(scene.at("desk/halt")).unwrap();
        scene.desk().copied_to(&scene.at("older"));
        let paper = Paper::new("alice", 2, scene.desk().head()).put("open/c", b"c", Expect::Absent);
        scene.desk().judge(&scene.at("own"), &[paper]);
        scene
    }

    /// A desk that is halted over nothing but what was done to its head file.
    pub fn over_head(change: &dyn Fn(&Path)) -> Scene {
        let scene = Scene::new();
        fs::remove_file(scene.at("desk/halt")).unwrap();
        fs::remove_dir_all(scene.at("desk/halt-evidence")).unwrap();
        change(&scene.at("desk/head"));
        let halted = scene.desk().try_session(&[scene.at("first")], None).err().expect("halted");
        assert!(matches!(halted.fault.rule, Rule::HeadLost | Rule::HeadRolledBack), "{halted}");
        scene
    }

    pub fn at(&self, path: &str) -> PathBuf {
        self.room.path().join(path)
    }

    pub fn desk(&self) -> Notary {
        Notary { dir: self.at("desk") }
    }

    pub fn standing(&self) -> Standing {
        let (desk, lost) = Desk::look_to_resume(&self.at("desk")).unwrap_or_else(|problem| panic!("{problem}"));
        resume::standing_with_head(&desk, lost).unwrap_or_else(|problem| panic!("{problem}")).expect("a halt")
    }

    /// The order that the program would write.
    pub fn draft(&self) -> Order {
        let (desk, _) = Desk::look_to_resume(&self.at("desk")).unwrap_or_else(|problem| panic!("{problem}"));
        resume::draft(desk.books(), &self.standing(), None).unwrap().0
    }

    /// A signed copy of an order, as a file.
    pub fn signed(&self, order: &Order, by: &[&str]) -> PathBuf {
        let bytes = support::envelope(PaperKind::Order, &order.to_cbor(), by);
        let path = self.at(&format!("{}.cose", Hash::of(&bytes)));
        fs::write(&path, bytes).unwrap();
        path
    }

    pub fn resume(&self, orders: &[PathBuf]) -> Outcomes<Resumed> {
        resume_at(&self.at("desk"), orders, &mut |_, _| {})
    }

    pub fn resumes(&self, order: &Order, by: &[&str]) -> Resumed {
        self.resume(&[self.signed(order, by)]).unwrap_or_else(|problem| panic!("{problem}"))
    }

    pub fn refused(&self, order: &Order, by: &[&str]) -> Problem {
        self.resume(&[self.signed(order, by)]).err().expect("refused")
    }

    /// A session over the stick that halted the desk.
    pub fn session(&self) -> Outcomes<tabellion::run::session::Report> {
        self.desk().try_session(&[self.at("stick")], None)
    }

    /// Everything of the desk but SQLite's own files, and the last event.
    pub fn print(&self) -> (BTreeMap<String, Vec<u8>>, [u8; 32]) {
        let mut files = tree(&self.at("desk"));
        files.retain(|path, _| !path.starts_with("ledger.db"));
        let ledger = tabellion::ledger::Ledger::open_read_only(&self.at("desk")).unwrap();
        (files, ledger.latest().unwrap().unwrap().event_hash)
    }
}

pub fn passphrase() -> Passphrase {
    Passphrase::new(&"test".to_owned().into()).unwrap()
}

pub fn resume_at(dir: &Path, orders: &[PathBuf], observe: &mut dyn FnMut(&'static str, &str)) -> Outcomes<Resumed> {
    resume::resume(dir, orders, &mut |_, _| Ok(passphrase()), observe)
}

/// The types of all events of a ledger.
pub fn events(dir: &Path) -> Vec<EventType> {
    let ledger = tabellion::ledger::Ledger::open_read_only(dir).unwrap();
    let mut types = Vec::new();
    ledger
        .for_each(1, |event| {
            types.push(event.event_type);
            Ok(())
        })
        .unwrap();
    types
}

/// Two desks of a scene compared.
pub fn parted(scene: &Scene, ours: &str, theirs: &str) -> Parted {
    let desk = Desk::open_to_look(&scene.at(ours)).unwrap_or_else(|problem| panic!("{problem}"));
    Parted::of(desk.ledger(), &scene.at(theirs)).unwrap_or_else(|problem| panic!("{problem}"))
}

pub fn recover_at(dir: &Path, other: &Path, orders: &[PathBuf], observe: &mut dyn FnMut(&'static str, &str)) -> Outcomes<Recovered> {
    recover::recover(dir, other, orders, &mut |_, _| Ok(passphrase()), observe)
}

//! An order that ends a halt, carried out on a disk that may lose power: the child's life, and how an image of its desk is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tabellion::core::event::EventType;
use tabellion::run::desk::Desk;

use super::disk::Image;
use super::orders::{Scene, events, resume_at};
use super::recorder::{FORKS, MARKS, memory};
use super::support;

const ORDER: &str = "order.cose";

/// The child's life: carries the order out, and says that it has.
pub fn run(dir: &Path) {
    resume_at(&dir.join("desk"), &[dir.join(ORDER)], &mut |_, _| {}).unwrap_or_else(|problem| panic!("{problem}"));
    fs::write(std::env::var_os(MARKS).unwrap(), "resumed\n").unwrap();
}

/// A desk that is halted over a damaged head file with an order, and what the order makes of it when nobody disturbs it.
pub struct Stage {
    scene: Scene,
    /// The files of the desk but SQLite's, and the last event.
    reference: (BTreeMap<String, Vec<u8>>, [u8; 32]),
    every: u8,
    /// How often the order was carried out again.
    pub runs: AtomicUsize,
    /// On which desks: whether they were halted, and whether resumed.
    again_on: Mutex<BTreeSet<(bool, bool)>>,
}

/// What lies in an image.
pub struct Seen {
    pub is_halted: bool,
    pub is_resumed: bool,
    pub wrong: Vec<String>,
}

impl Stage {
    /// Prepares; on the first desk of each kind, and on one image of so many, the order is carried out again.
    pub fn new(every: u8) -> Stage {
        let _no_fork = FORKS.read().unwrap();
        let scene = Scene::over_head(&|path| fs::write(path, "tabellion-head v1\nsession 1\nnumb").unwrap());
        fs::rename(scene.signed(&scene.draft(), &["alice", "bob"]), scene.at(ORDER)).unwrap();
        // The dossier names the folder in which it was made.
        let whole = Scene { room: memory() };
        support::copy_folder(scene.room.path(), whole.room.path());
        whole.resume(&[whole.at(ORDER)]).unwrap_or_else(|problem| panic!("{problem}"));
        Stage { scene, reference: whole.print(), every, runs: AtomicUsize::new(0), again_on: Mutex::default() }
    }

    /// The folder with the desk and the order.
    pub fn dir(&self) -> &Path {
        self.scene.room.path()
    }

    /// On which desks the order was carried out again: whether they were halted, and whether resumed.
    pub fn again_on(&self) -> Vec<(bool, bool)> {
        self.again_on.lock().unwrap().iter().copied().collect()
    }

    /// Whether the desk is halted, whether it is resumed, and what else is wrong.
    pub fn look(&self, slot: &Path, image: &Image) -> Seen {
        let _no_fork = FORKS.read().unwrap();
        let desk = slot.join("desk");
        let is_resumed = events(&desk).contains(&EventType::Resume);
        let opened = Desk::look_to_resume(&desk).and_then(|(desk, lost)| Ok((desk.halted()?.is_some(), lost)));
        let (is_halted, mut wrong) = match opened {
            // Until the ledger tells of the order the head file may be what it was, or gone, or whole; from then on it is whole.
            Ok((is_halted, lost)) => {
                (is_halted, lost.filter(|_| is_resumed).map(|lost| format!("resumed without a head file: {lost}")).into_iter().collect())
            }
            Err(problem) => (image.files.contains_key("desk/halt"), vec![format!("the checks object: {problem}")]),
        };
        let is_first = self.again_on.lock().unwrap().insert((is_halted, is_resumed));
        if is_first || image.name()[0].is_multiple_of(self.every) {
            wrong.extend(self.again(image, is_resumed));
        }
        Seen { is_halted, is_resumed, wrong }
    }

    /// What is wrong with what the order makes of an image.
    fn again(&self, image: &Image, is_resumed: bool) -> Vec<String> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        let room = memory();
        image.put(room.path(), &Image::default());
        let scene = Scene { room };
        let mut wrong = Vec::new();
        match scene.resume(&[scene.at(ORDER)]) {
            Ok(done) if done.is_new == is_resumed => {
                wrong.push(format!("carried out as new: {}, resumed before: {is_resumed}", done.is_new))
            }
            Ok(_) => {}
            Err(problem) => return vec![format!("carried out again: {problem}")],
        }
        let (files, last) = scene.print();
        let (expected, expected_last) = &self.reference;
        // A temporary file that was broken off is no harm.
        wrong.extend((last != *expected_last).then(|| "carried out again: another event".to_owned()));
        wrong.extend(
            files
                .keys()
                .filter(|path| !expected.contains_key(*path) && !path.contains("/.tmp"))
                .map(|path| format!("carried out again: {path} is left over")),
        );
        let lost = expected.iter().filter(|(path, bytes)| files.get(*path) != Some(*bytes));
        wrong.extend(lost.map(|(path, _)| format!("carried out again: {path} is not as undisturbed")));
        wrong
    }
}

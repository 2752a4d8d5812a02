//! The real program on a desk and a stick, and how an image of the two is looked at: with the eyes of the test of kills.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tabellion::core::event::EventType;
use tabellion::core::halt::Halt;
use tabellion::core::ids::{Hash, Head};
use tabellion::core::words::head_words;
use tabellion::ledger::Ledger;

use super::disk::Image;
use super::judge::{Made, Seen, Tree, compare, inspect, tree};
use super::recorder::{FORKS, memory, output};
use super::scene::{self, Scene, known};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tabellion");

/// A desk and a stick before a command, and what the command makes of them when nobody disturbs it.
pub struct Stage {
    /// The folder with both; it stays as it is.
    pub dir: PathBuf,
    /// How the undisturbed command ends.
    pub code: i32,
    scene: Scene,
    before: Tree,
    reference: Made,
    seen: Mutex<Seen>,
    confirm: Option<String>,
    /// One image of so many is given to the program as well, and the first of each kind.
    every: u8,
    /// Runs of the program on images.
    pub runs: AtomicUsize,
    /// Which results the image had on which the program was run: see [`Stage::again_on`].
    again_on: Mutex<BTreeSet<(bool, bool)>>,
    /// What the undisturbed run made of [`RESULTS`].
    results: [Option<Vec<u8>>; 2],
    _folder: tempfile::TempDir,
}

/// The desk's head file, and the checkpoint on the stick.
const RESULTS: [&str; 2] = ["desk/head", "stick/tabellion/common/checkpoint"];

impl Stage {
    /// Prepares, and runs the undisturbed command on a copy. It must end with this code.
    pub fn new(build: impl FnOnce(PathBuf) -> Scene, code: i32, every: u8) -> Stage {
        let folder = memory();
        let scene = build(folder.path().join("scene"));
        let dir = scene.dir.clone();
        fs::write(dir.join("passphrase"), "the same for all\n").unwrap();
        let before = tree(&dir.join("stick"));
        let copy = |name: &str| {
            super::judge::copy(&dir, &folder.path().join(name));
            folder.path().join(name)
        };
        // The program itself says which paper it wants to be confirmed.
        let (asked, said) = run(command(&scene, &None, &copy("asked")));
        let confirm = (asked == 2).then(|| said.split("--confirm ").nth(1).unwrap()[..71].to_owned());
        let reference = copy("reference");
        let (found, said) = run(command(&scene, &confirm, &reference));
        assert_eq!(found, code, "{said}");
        let made = Made::of(&reference);
        let results = RESULTS.map(|path| fs::read(reference.join(path)).ok());
        Stage {
            dir,
            code,
            scene,
            before,
            reference: made,
            seen: Mutex::default(),
            confirm,
            every,
            runs: AtomicUsize::new(0),
            again_on: Mutex::default(),
            results,
            _folder: folder,
        }
    }

    /// Of the images on which the program was run: whether the desk's head file and the stick's checkpoint were those of the undisturbed run.
    pub fn again_on(&self) -> Vec<(bool, bool)> {
        self.again_on.lock().unwrap().iter().copied().collect()
    }

    /// The command, in a folder.
    pub fn command(&self, dir: &Path) -> Command {
        command(&self.scene, &self.confirm, dir)
    }

    /// What is wrong with an image: with what lies there, and, for some of them, with what the next run makes of it.
    pub fn look(&self, slot: &Path, image: &Image) -> Vec<String> {
        let mut out = {
            let _no_fork = FORKS.read().unwrap();
            inspect(slot, &self.before, self.scene.pin.as_ref(), &self.seen)
        };
        let mut is_made =
            RESULTS.iter().zip(&self.results).map(|(path, made)| made.as_ref() == image.files.get(*path).map(|bytes| &**bytes));
        let kind = (is_made.next().unwrap(), is_made.next().unwrap());
        let is_first = self.again_on.lock().unwrap().insert(kind);
        if is_first || image.name()[0].is_multiple_of(self.every) {
            out.extend(self.recover(image));
        }
        out
    }

    /// Runs the program on an image, to the same bytes as undisturbed.
    fn recover(&self, image: &Image) -> Vec<String> {
        let case = memory();
        image.put(case.path(), &Image::default());
        self.finish(case.path())
    }

    /// What is wrong with what lies in a folder after a broken run, and with what the next run makes of it.
    pub fn finished(&self, case: &Path) -> Vec<String> {
        let left = {
            let _no_fork = FORKS.read().unwrap();
            inspect(case, &self.before, self.scene.pin.as_ref(), &self.seen)
        };
        [left, self.finish(case)].concat()
    }

    fn finish(&self, case: &Path) -> Vec<String> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        let (code, said) = run(self.command(case));
        if ![0, 1].contains(&code) {
            return vec![format!("the next run ends with {code}: {said}")];
        }
        let _no_fork = FORKS.read().unwrap();
        [inspect(case, &self.before, self.scene.pin.as_ref(), &self.seen), compare(case, &self.reference)].concat()
    }
}

fn command(scene: &Scene, confirm: &Option<String>, dir: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.current_dir(dir).env("NO_COLOR", "1").env_remove("TABELLION");
    match scene.task {
        scene::Task::Found => command.args(["witness", "init", "desk", "--charter", "charter.cose"]),
        _ => {
            let known = known(&scene.dir);
            command.args(["witness", "session", "--ledger", "desk", "--media", "stick", "--yes", "--expect-head"]);
            command.arg(format!("{}:{}", known.number, head_words(&known.root)))
        }
    };
    command.args(["--time", "2026-09-21T14:13:20Z", "--passphrase-file", "passphrase"]);
    if let Some(pid) = confirm {
        command.args(["--confirm", pid]);
    }
    command
}

/// Kind and hash of every event.
fn events_of(desk: &Path) -> Vec<(EventType, [u8; 32])> {
    let mut out = Vec::new();
    let ledger = Ledger::open_read_only(desk).unwrap();
    let read = ledger.for_each(1, |event| {
        out.push((event.event_type, event.event_hash));
        Ok(())
    });
    read.unwrap();
    out
}

/// Runs to the end; the exit code, and what was said on stderr.
fn run(command: Command) -> (i32, String) {
    let output = output(command);
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A desk whose stick brings a checkpoint of ours from elsewhere: the session halts it.
pub struct Halting {
    pub dir: PathBuf,
    scene: Scene,
    before: (Tree, Vec<(EventType, [u8; 32])>),
    every: u8,
    pub runs: AtomicUsize,
    /// Whether the image on which the program was run had a halt file.
    again_on: Mutex<BTreeSet<bool>>,
    _folder: tempfile::TempDir,
}

impl Halting {
    /// Prepares; one image of so many is given to the program as well, the first with a halt file, and the first without.
    pub fn new(every: u8) -> Halting {
        let folder = memory();
        let scene = scene::busy(folder.path().join("scene"));
        let dir = scene.dir.clone();
        fs::write(dir.join("passphrase"), "the same for all\n").unwrap();
        fs::create_dir_all(dir.join("stick/tabellion/heads")).unwrap();
        let head = Head { number: known(&dir).number + 3, root: Hash([9; 32]) };
        fs::write(dir.join("stick/tabellion/heads/from-elsewhere"), scene::signed(head)).unwrap();
        let before = (tree(&dir.join("stick")), events_of(&dir.join("desk")));
        Halting { dir, scene, before, every, runs: AtomicUsize::new(0), again_on: Mutex::default(), _folder: folder }
    }

    /// Of the images on which the program was run: whether they had a halt file.
    pub fn again_on(&self) -> Vec<bool> {
        self.again_on.lock().unwrap().iter().copied().collect()
    }

    /// The command, in a folder.
    pub fn command(&self, dir: &Path) -> Command {
        command(&self.scene, &None, dir)
    }

    /// Whether the halt file is there, and what is wrong with the image.
    pub fn look(&self, slot: &Path, image: &Image) -> (bool, Vec<String>) {
        let mut out = self.unchanged(slot);
        let halt = image.files.get("desk/halt");
        if halt.is_some_and(|bytes| Halt::parse(&String::from_utf8_lossy(bytes)).is_err()) {
            out.push("the halt file is there and torn".into());
        }
        let is_first = self.again_on.lock().unwrap().insert(halt.is_some());
        if is_first || image.name()[0].is_multiple_of(self.every) {
            let case = memory();
            image.put(case.path(), &Image::default());
            self.runs.fetch_add(1, Ordering::SeqCst);
            let (code, said) = run(self.command(case.path()));
            let rule = if halt.is_some() { "[halted]" } else { "[head-elsewhere]" };
            if code != 5 || !said.contains(rule) {
                out.push(format!("the next run ends with {code}, not with {rule}: {said}"));
            }
            if !case.path().join("desk/halt").is_file() {
                out.push("the next run leaves no halt file".into());
            }
            out.extend(self.unchanged(case.path()));
        }
        (halt.is_some(), out)
    }

    /// A desk that halts appends nothing but the halt, and takes nothing from a medium.
    fn unchanged(&self, case: &Path) -> Vec<String> {
        let _no_fork = FORKS.read().unwrap();
        let (stick, events) = (tree(&case.join("stick")), events_of(&case.join("desk")));
        let mut out = Vec::new();
        let more = events.strip_prefix(&*self.before.1);
        if !more.is_some_and(|more| matches!(more, [] | [(EventType::Halt, _)])) {
            out.push(format!("{} events, {} before: more than the halt came to the ledger", events.len(), self.before.1.len()));
        }
        let changed = self.before.0.iter().filter(|(path, bytes)| stick.get(*path) != Some(*bytes));
        out.extend(changed.map(|(path, _)| format!("{path} on the stick is not as it was")));
        out
    }
}

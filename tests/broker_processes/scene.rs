//! A domain, children of this test that write to it, and what must hold of it in the end.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, getpid, kill_process};
use tabellion::keys::Seed;
use tabellion::run::audit::{self, Filter, Status};
use tabellion::run::domain::{self, DomainDesk};
use tabellion::run::snapshot::{Taken, Writer};
use tabellion::run::source::{Source, read_folder};
use tempfile::TempDir;

use crate::stage::seed;

pub const ORIGIN: &str = "witness.example/common/~alice";
/// Tells a child of this test what it is.
const CHILD: &str = "TABELLION_TEST_CHILD";

pub fn alice() -> Seed {
    seed("alice")
}

/// A domain of alice.
pub struct Scene {
    dir: TempDir,
}

impl Scene {
    pub fn new() -> Scene {
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap();
        domain::init(&dir.path().join("domain"), &ORIGIN.parse().unwrap(), &alice()).unwrap();
        Scene { dir }
    }

    pub fn domain(&self) -> PathBuf {
        self.dir.path().join("domain")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn look(&self) -> DomainDesk {
        domain::look(&self.domain()).unwrap()
    }

    /// A child that takes snapshots as the words say, and prints what became of each.
    pub fn child(&self, words: &str) -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["scene::child_that_writes", "--exact", "--nocapture"]);
        command.env(CHILD, words).env("TABELLION_TEST_SCENE", self.dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// What every number holds, read back from the packs: the name of the one file, by number.
    pub fn contents(&self) -> BTreeMap<u64, String> {
        let desk = self.look();
        let copies = TempDir::new().unwrap();
        let held = |number: u64| {
            let at = copies.path().join(number.to_string());
            fs::create_dir(&at).unwrap();
            let content = desk.take(number, "", &at).unwrap();
            let tree = content.tree.unwrap();
            let [member] = tree.members() else { panic!("one file in {number}") };
            assert_eq!(fs::read_to_string(&content.files[&member.sha256]).unwrap(), member.path, "content of {number}");
            (number, member.path.clone())
        };
        (1..=desk.domain().head().number).map(held).collect()
    }

    /// How many requests in the trail are said to have appended each number, and that no request is missing from it.
    pub fn recorded(&self) -> BTreeMap<u64, u32> {
        let recorded = audit::audit(&self.domain(), &Filter::default()).unwrap().recorded.unwrap();
        assert_eq!(recorded.missing, 0, "requests taken out of the trail");
        let mut numbers = BTreeMap::new();
        for entry in recorded.entries {
            let done = entry.ended.filter(|ended| entry.asked.request_type == "append" && ended.status == Status::Done);
            // A snapshot begins with event N/0; what follows it under N is its seal.
            let number = done.and_then(|ended| ended.affected.split_once("/0..").and_then(|(number, _)| number.parse().ok()));
            number.into_iter().for_each(|number| *numbers.entry(number).or_default() += 1);
        }
        numbers
    }

    /// Nothing lies beside the ledger that belongs to no finished command.
    pub fn nothing_is_left(&self) {
        let mut names: Vec<String> =
            fs::read_dir(self.domain()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| !name.starts_with("audit.db"));
        names.sort();
        assert_eq!(names, ["domain", "head", "instance", "ledger.db", "lock", "objects"]);
        // A folder for each thousand numbers, and in it nothing but their packs.
        let folders: Vec<PathBuf> = fs::read_dir(self.domain().join("objects")).unwrap().map(|entry| entry.unwrap().path()).collect();
        let is_of_packs = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().bytes().all(|byte| byte.is_ascii_digit());
        assert!(folders.iter().all(is_of_packs), "{folders:?}");
        let packs: usize = folders.iter().map(|folder| fs::read_dir(folder).unwrap().count()).sum();
        // Last, for who looks leaves the files of SQLite's log.
        assert_eq!(packs as u64, 2 * self.look().domain().head().number, "a pack and an index for each number");
    }
}

/// A folder with one file, whose name is also what it holds.
pub fn folder(at: &Path, name: &str) -> Source {
    let folder = at.join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), name).unwrap();
    read_folder(&folder).unwrap()
}

/// Takes a snapshot of such a folder.
pub fn take(writer: &mut Writer<'_>, at: &Path, name: &str) -> Taken {
    writer.take(&folder(at, name), None, None).unwrap_or_else(|problem| panic!("{name}: {problem}"))
}

/// Not a test of its own: a child of the tests below. `stop STEP TIMES NAME` stops itself so many times at a step of its one snapshot; `many
/// FROM TO NAME` takes many, one after the other.
#[test]
fn child_that_writes() {
    let (Ok(words), Some(dir)) = (std::env::var(CHILD), std::env::var_os("TABELLION_TEST_SCENE")) else { return };
    let dir = PathBuf::from(dir);
    let words: Vec<&str> = words.split('/').collect();
    let alice = alice();
    println!();
    match words.as_slice() {
        ["hold", times] => {
            let lock = fs::File::open(dir.join("domain/lock")).unwrap();
            lock.lock().unwrap();
            say("held");
            (0..times.parse().unwrap()).for_each(|_: u32| stop());
        }
        ["stop", step, times, name] => {
            let mut left: u32 = times.parse().unwrap();
            let observe = move |at: &'static str| {
                if at == *step && left > 0 {
                    say("stops");
                    (0..std::mem::take(&mut left)).for_each(|_| stop());
                }
            };
            let mut writer = Writer::new(&dir.join("domain"), &alice, Box::new(observe)).unwrap();
            let taken = take(&mut writer, &dir, name);
            say(&format!("kept {name} {}", taken.head.number));
            writer.leave().unwrap();
        }
        ["many", from, to, name] => {
            let mut writer = Writer::new(&dir.join("domain"), &alice, Box::new(|_| {})).unwrap();
            for index in from.parse::<u64>().unwrap()..to.parse().unwrap() {
                let name = format!("{name}-{index}");
                say(&format!("begins {index}"));
                let began = std::time::Instant::now();
                let taken = take(&mut writer, &dir, &name);
                say(&format!("kept {name} {} {}", taken.head.number, began.elapsed().as_millis()));
            }
            writer.leave().unwrap();
        }
        other => panic!("{other:?}"),
    }
}

/// Stops this process until somebody continues it. Another thread may take the signal, so this one waits until it is stopped as well.
fn stop() {
    kill_process(getpid(), Signal::STOP).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
}

fn say(words: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{words}").unwrap();
    out.flush().unwrap();
}

/// The lines of a child, one after the other.
pub fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok)
}

pub fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()
}

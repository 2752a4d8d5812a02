//! Runs a child on a watched folder, and reads what it did to the disk: the shim is compiled here, loaded into the child, and its log read.

#![allow(dead_code)]

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

/// Held to read while a ledger is open in this process, to write while a child is forked: between fork and exec it has a copy of every lock.
pub use super::scene::FORKS;

/// One effect of the child, or one mark of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// What the child did: see [`Kind`].
    pub kind: Kind,
    /// Below the watched folder.
    pub path: String,
    /// The file that is meant, however it is called by now.
    pub inode: u64,
    /// What the child was told: 0 or more when it was done.
    pub answer: i64,
    /// Its number among the effects in which a fault may be put; 0 elsewhere.
    pub number: u64,
    /// Whether the answer is a fault that was asked for.
    pub is_fault: bool,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A new, empty file.
    Create,
    /// Bytes at an offset.
    Write(u64, Vec<u8>),
    /// A new length.
    Truncate(u64),
    /// Space up to this length, zeros where nothing was.
    Allocate(u64),
    /// Sync of a file or folder.
    Sync,
    /// Another name, which is given below the watched folder.
    Rename(String),
    /// A second name.
    Link(String),
    /// A name less.
    Unlink,
    /// A new folder.
    Folder,
    /// No effect: the child says something, in its place among the effects.
    Mark(String),
}

/// Where a fault is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failing {
    /// The effect fails, later ones do not.
    Once,
    /// A write does half of its work, and the next write fails; other effects fail.
    Short,
    /// The effect and every later one fail.
    Stay,
}

/// A child that is watched.
pub struct Watched {
    /// The folder that is watched.
    pub root: PathBuf,
    /// The number of the effect that fails, the error, how, and below which folder.
    pub fail: Option<(u64, i32, Failing)>,
    /// Below which folder effects are counted for faults.
    pub fail_under: Option<PathBuf>,
    /// Syncs of files whose path ends so are neither done nor logged.
    pub lie: &'static str,
}

/// What was watched.
pub struct Watch {
    /// How the child ended, and what it said.
    pub output: Output,
    /// What it did, in order.
    pub effects: Vec<Effect>,
}

/// The file to which a child writes its marks, one a line, each with one write.
pub const MARKS: &str = "DISK_MARKS";

impl Watched {
    /// Watches everything below a folder.
    pub fn below(root: &Path) -> Watched {
        Watched { root: fs::canonicalize(root).unwrap(), fail: None, fail_under: None, lie: "" }
    }

    /// Runs the child to its end.
    pub fn run(&self, mut command: Command) -> Watch {
        let logs = memory();
        let (log, marks) = (fs::canonicalize(logs.path()).unwrap().join("log"), fs::canonicalize(logs.path()).unwrap().join("marks"));
        fs::write(&marks, "").unwrap();
        command.env("LD_PRELOAD", shim()).env("DISK_ROOT", &self.root).env("DISK_LOG", &log).env(MARKS, &marks).env("DISK_LIE", self.lie);
        if let Some(folder) = &self.fail_under {
            command.env("DISK_FAIL_UNDER", folder);
        }
        if let Some((at, errno, failing)) = self.fail {
            let failing = format!("{failing:?}").to_lowercase();
            command.env("DISK_FAIL", format!("{at} {errno} {failing}"));
        }
        let output = output(command);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_ne!(output.status.code(), Some(97), "{said}");
        let bytes = fs::read(&log).unwrap_or_default();
        assert!(
            !bytes.is_empty(),
            "the child was not watched: this system does not load tests/disk/shim.c with LD_PRELOAD, so no write of it was recorded and \
             nothing about lost writes was tried. A system with a dynamic loader that knows LD_PRELOAD, as glibc's and musl's do, is needed. {said}"
        );
        Watch { output, effects: read(&bytes, &self.root) }
    }
}

/// Runs a child to its end, watched or not.
pub fn output(mut command: Command) -> Output {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = {
        let _no_ledger_is_open = FORKS.write().unwrap();
        command.spawn().unwrap()
    };
    child.wait_with_output().unwrap()
}

/// A new folder, in memory where the system has such a place: thousands of syncs.
pub fn memory() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory).or_else(|_| TempDir::new()).unwrap() } else { TempDir::new().unwrap() }
}

/// The compiled shim.
fn shim() -> &'static Path {
    static ONCE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = ONCE.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("shim.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/disk/shim.c");
        let mut command = Command::new("cc");
        command.args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"]).arg(&path).arg(&source);
        let made = command.output().expect("a C compiler called cc, as the README asks for");
        assert!(made.status.success(), "{} does not compile: {}", source.display(), String::from_utf8_lossy(&made.stderr));
        (folder, path)
    });
    path
}

/// Reads the log; the first entry only says that there is one.
fn read(mut bytes: &[u8], root: &Path) -> Vec<Effect> {
    let root = root.to_str().unwrap();
    let mut out = Vec::new();
    let below = |path: &[u8]| {
        let path = std::str::from_utf8(path).unwrap();
        path.strip_prefix(root).map_or(path, |path| path.trim_start_matches('/')).trim_end_matches(" (deleted)").to_owned()
    };
    while !bytes.is_empty() {
        let small = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let large = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        let (path, other, data) = (small(8), small(12), large(40) as usize);
        let (inode, at, len) = (large(16), large(24), large(32));
        let (begin, end) = (64, 64 + path + other + data);
        let (path, other, data) =
            (&bytes[begin..begin + path], below(&bytes[begin + path..begin + path + other]), &bytes[begin + path + other..end]);
        let kind = match bytes[0] {
            b'B' => None,
            b'C' => Some(Kind::Create),
            b'W' => Some(Kind::Write(at, data.to_vec())),
            b'T' => Some(Kind::Truncate(len)),
            b'A' => Some(Kind::Allocate(at + len)),
            b'S' => Some(Kind::Sync),
            b'R' => Some(Kind::Rename(other)),
            b'L' => Some(Kind::Link(other)),
            b'U' => Some(Kind::Unlink),
            b'M' => Some(Kind::Folder),
            b'K' => Some(Kind::Mark(String::from_utf8(data.to_vec()).unwrap().trim_end().to_owned())),
            other => panic!("kind {other} in the log of the shim"),
        };
        let (number, answer, is_fault) = (large(48), large(56) as i64, small(4) != 0);
        out.extend(kind.map(|kind| Effect { kind, path: below(path), inode, answer, number, is_fault }));
        bytes = &bytes[end..];
    }
    out
}

/// Every file below a folder, with its inode, as the log names it; and every folder.
pub fn inodes(root: &Path) -> (Vec<(String, u64)>, Vec<String>) {
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in walkdir::WalkDir::new(root).min_depth(1) {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        match entry.file_type().is_dir() {
            true => folders.push(path),
            false => files.push((path, entry.metadata().unwrap().ino())),
        }
    }
    (files, folders)
}

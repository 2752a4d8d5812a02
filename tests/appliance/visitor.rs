//! An operator who reads pages and presses keys: the real program on a pipe, over folders.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use super::stage::{Case, PROGRAM, copy_tree};

/// The passphrase of every key on the stage.
pub const PASSPHRASE: &str = "everyone's on this stage";
/// So long a page is waited for before the test gives up; nothing depends on how long it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was said so far, and whether more can come.
#[derive(Default)]
struct Said {
    text: String,
    is_over: bool,
}

/// A console that runs.
pub struct Visit {
    child: Child,
    keys: Option<ChildStdin>,
    said: Arc<(Mutex<Said>, Condvar)>,
    seen: usize,
}

impl Visit {
    /// Starts a console over `dir`.
    pub fn start(dir: &Path, more: &[&str]) -> Visit {
        let mut command = Command::new(PROGRAM);
        command.arg("appliance").arg("--rehearse").arg(dir).args(more);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let said = Arc::new((Mutex::new(Said::default()), Condvar::new()));
        let (mut output, heard) = (child.stdout.take().unwrap(), Arc::clone(&said));
        thread::spawn(move || {
            let (mut bytes, mut rest) = ([0; 4096], Vec::new());
            loop {
                let count = output.read(&mut bytes).unwrap_or(0);
                rest.extend_from_slice(&bytes[..count]);
                // A letter may come in two parts.
                let whole = std::str::from_utf8(&rest).map_or_else(|error| error.valid_up_to(), str::len);
                let (said, more) = &*heard;
                let mut said = said.lock().unwrap();
                said.text.push_str(std::str::from_utf8(&rest[..whole]).unwrap());
                rest.drain(..whole);
                said.is_over = count == 0;
                more.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        let keys = child.stdin.take();
        Visit { child, keys, said, seen: 0 }
    }

    /// Waits until `found` answers with the place in what was said since the last page where reading goes on; answers with what was read.
    fn until(&mut self, what: &str, found: impl Fn(&str) -> Option<usize>) -> String {
        let (said, more) = &*self.said;
        let mut said = said.lock().unwrap();
        loop {
            if let Some(end) = found(&said.text[self.seen..]) {
                let read = said.text[self.seen..self.seen + end].to_owned();
                self.seen += end;
                return read;
            }
            assert!(!said.is_over, "the console ended before {what}:\n{}", tail(&said.text));
            let (again, timeout) = more.wait_timeout(said, PATIENCE).unwrap();
            said = again;
            assert!(!timeout.timed_out(), "no {what} came:\n{}", tail(&said.text));
        }
    }

    /// Waits for a page with this title that awaits keys; answers with its text.
    pub fn page(&mut self, title: &str) -> String {
        self.until(&format!("page {title:?}"), |text| {
            let begin =
                [format!("== {title} ==\n"), format!("== {title} - REHEARSAL ==\n")].iter().find_map(|head| text.find(head.as_str()))?;
            let ready = text[begin..].find("-- ready --\n")?;
            Some(begin + ready + "-- ready --\n".len())
        })
        .rsplit_once("\n== ")
        .map(|(_, page)| page.to_owned())
        .unwrap()
    }

    /// Waits until the page Home has this text: it is shown again when sticks come and go.
    pub fn home_with(&mut self, text: &str) {
        while !self.page("Home").split_whitespace().collect::<Vec<_>>().join(" ").contains(text) {}
    }

    /// Waits for a line of text on any page, also on one that awaits nothing.
    pub fn hears(&mut self, text: &str) {
        self.until(&format!("{text:?}"), |said| Some(said.find(text)? + text.len()));
    }

    /// Presses keys, a line of them or one.
    pub fn press(&mut self, keys: &str) {
        let pipe = self.keys.as_mut().unwrap();
        pipe.write_all(keys.as_bytes()).and_then(|()| pipe.flush()).unwrap();
    }

    /// Waits for a page and presses keys on it; answers with its text.
    pub fn on(&mut self, title: &str, keys: &str) -> String {
        let page = self.page(title);
        self.press(keys);
        page
    }

    /// Goes through pages, each with its keys.
    pub fn through(&mut self, pages: &[(&str, &str)]) -> String {
        pages.iter().map(|(title, keys)| self.on(title, keys)).last().unwrap_or_default()
    }

    /// Ends it as a power cut would.
    pub fn cut(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end; answers with everything that was said.
    pub fn ended(mut self) -> String {
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
        let (said, more) = &*self.said;
        let said = more.wait_while(said.lock().unwrap(), |said| !said.is_over).unwrap();
        said.text.clone()
    }

    /// Switches off from the page Home.
    pub fn switch_off(mut self) -> String {
        self.on("Home", "p");
        self.on("Switch off", "y");
        self.ended()
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tail(text: &str) -> &str {
    let mut begin = text.len().saturating_sub(3000);
    while !text.is_char_boundary(begin) {
        begin += 1;
    }
    &text[begin..]
}

/// Where a case's console lies.
pub const CONSOLE: &str = "console";
/// Where its desk lies, for the command line.
pub const DESK: &str = "console/data/desk";

/// Puts the desk of a case on the data disk of a console.
pub fn install(case: &Case) -> PathBuf {
    let dir = case.path(CONSOLE);
    fs::create_dir_all(dir.join("sticks")).unwrap();
    copy_tree(&case.path("witness"), &dir.join("data/desk"));
    fs::remove_dir_all(case.path("witness")).unwrap();
    dir
}

/// The head of a case's desk as somebody wrote it on paper.
pub fn head(case: &Case) -> String {
    case.quiet(&format!("witness status --ledger {DESK} --head"), 0).trim().replace([':', '-'], " ")
}

/// Inserts a folder of the case as a stick: it is moved there in one step, as a stick is there or not.
pub fn insert(case: &Case, folder: &str, name: &str) {
    fs::rename(case.path(folder), case.path(&format!("{CONSOLE}/sticks/{name}"))).unwrap();
}

/// Pulls a stick out; it lies in the case's folder then.
pub fn pull(case: &Case, name: &str) {
    fs::rename(case.path(&format!("{CONSOLE}/sticks/{name}")), case.path(name)).unwrap();
}

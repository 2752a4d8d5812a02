//! What is said when nothing can go on: a plain screen with what happened, what it did not touch, and what to do. Process 1 never ends.
//!
//! It must work when nothing else does: it opens its own terminals, uses no page, and takes no lock of ours.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use rustix::termios::{OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};

use super::power::stay;

/// The terminals that speak, where the operator may sit.
pub const TERMINALS: [&str; 2] = ["/dev/tty1", "/dev/ttyS0"];

/// Where the words go, and what comes after them.
#[derive(Debug, Clone)]
pub struct LastWords {
    /// Terminals; those that cannot be opened are left out.
    pub terminals: Vec<PathBuf>,
    /// Which software this is.
    pub version: String,
    /// What Enter does.
    pub end: fn() -> !,
}

impl LastWords {
    /// Speaks on every panic of every thread from now on, instead of ending the process.
    pub fn on_every_panic(self) {
        std::panic::set_hook(Box::new(move |info| {
            let place = info.location().map_or_else(|| "an unknown place".to_owned(), |at| format!("{}:{}", at.file(), at.line()));
            let message = info.payload_as_str().unwrap_or("no message");
            self.say(&format!("a bug of ours: {message}"), &place);
        }));
    }

    /// Says what happened, then waits for Enter on any of the terminals. Does not return.
    pub fn say(&self, what: &str, place: &str) -> ! {
        let text = words(what, place, &self.version);
        let (enter, waiting) = mpsc::channel();
        let mut listening = 0;
        for path in &self.terminals {
            let Ok(mut terminal) = open(path) else { continue };
            let _ = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
            let enter = enter.clone();
            listening += usize::from(std::thread::Builder::new().spawn(move || wait_for_enter(&mut terminal, &enter)).is_ok());
        }
        drop(enter);
        match listening > 0 && waiting.recv().is_ok() {
            true => (self.end)(),
            false => stay(),
        }
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    let terminal = File::options().read(true).write(true).open(path)?;
    // Whoever drew here before may have left it without echo or line ends.
    if let Ok(mut settings) = tcgetattr(&terminal) {
        use rustix::termios::{InputModes, LocalModes, OutputModes};
        settings.input_modes.insert(InputModes::ICRNL);
        settings.input_modes.remove(InputModes::IXON);
        settings.output_modes.insert(OutputModes::OPOST | OutputModes::ONLCR);
        settings.local_modes.insert(LocalModes::ICANON | LocalModes::ECHO);
        settings.special_codes[SpecialCodeIndex::VMIN] = 1;
        let _ = tcsetattr(&terminal, OptionalActions::Flush, &settings);
    }
    Ok(terminal)
}

/// Ends when Enter was pressed; a terminal that is gone ends without a word.
fn wait_for_enter(terminal: &mut File, enter: &mpsc::Sender<()>) {
    let mut typed = [0; 64];
    loop {
        match terminal.read(&mut typed) {
            Ok(0) => std::thread::sleep(Duration::from_secs(1)),
            Ok(some) if typed[..some].iter().any(|byte| matches!(byte, b'\n' | b'\r')) => {
                let _ = enter.send(());
                return;
            }
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// The screen: cleared, then at most 79 letters a line.
fn words(what: &str, place: &str, version: &str) -> String {
    let what = lines(&format!("{what} ({place})"), 68);
    let mut out = String::from("\x1b[0m\x1b[2J\x1b[H");
    out.push_str("== THE WITNESS HAS STOPPED ==\n\n");
    for (number, line) in what.iter().enumerate() {
        let label = if number == 0 { "found" } else { "" };
        out.push_str(&format!("  {label:<7}{line}\n"));
    }
    out.push_str(&format!("  {:<7}tabellion {version}\n\n", "in"));
    for line in [
        "state  Nothing that was confirmed is lost: it was on the ledger's disk before",
        "       it was shown. No stick with \"safe to remove\" on its page is touched.",
        "",
        "next   1. Write down the line after \"found\", or photograph this screen.",
        "       2. Press Enter to switch off. If nothing happens, hold the power",
        "          button for ten seconds.",
        "       3. Start again. The start checks the whole ledger by itself.",
        "       4. If this screen comes again, stop, and show your note to the people",
        "          who look after this witness.",
    ] {
        out.push_str(&format!("  {line}\n"));
    }
    out.push_str("\n-- ready --\n");
    out
}

/// The text in lines of at most so many letters, broken between words where it can be; without control characters.
fn lines(text: &str, most: usize) -> Vec<String> {
    let plain: String = text.chars().map(|found| if found.is_control() { ' ' } else { found }).collect();
    let mut lines = vec![String::new()];
    for word in plain.split_whitespace() {
        let mut rest: Vec<char> = word.chars().collect();
        while !rest.is_empty() {
            let used = lines.last().map_or(0, |line| line.chars().count());
            let room = if used == 0 { most } else { most.saturating_sub(used + 1) };
            if rest.len() > room && used > 0 {
                lines.push(String::new());
                continue;
            }
            let part: String = rest.drain(..rest.len().min(room)).collect();
            if let Some(line) = lines.last_mut() {
                line.push_str(if used > 0 { " " } else { "" });
                line.push_str(&part);
            }
        }
    }
    lines
}

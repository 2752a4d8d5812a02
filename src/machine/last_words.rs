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
            let payload = info.payload();
            let message = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
            self.say(&format!("a bug of ours: {}", message.unwrap_or("no message")), &place);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The folder of the terminals, in the process that panics.
    const PLACE: &str = "TABELLION_TEST_LAST_WORDS";
    /// What the end says of itself.
    const ENDED: i32 = 43;

    fn words_in(dir: &Path) -> LastWords {
        let terminals = ["none", "screen", "line"].map(|name| dir.join(name)).into();
        LastWords { terminals, version: "9.9.9".to_owned(), end: || std::process::exit(ENDED) }
    }

    /// Not a test of its own: the process that the tests below start, which panics on the thread that they ask for.
    #[test]
    fn the_process_that_panics() {
        let Some(place) = std::env::var_os(PLACE) else { return };
        words_in(Path::new(&place)).on_every_panic();
        let counted = 7;
        let fall = move || -> () { panic!("{counted}\x1b[2J papers\nare eight") };
        let _ = std::thread::spawn(fall).join();
    }

    /// Starts it; its terminals are two plain files, which it reads on behind what it wrote.
    fn fallen(dir: &Path) -> std::process::Child {
        for name in ["screen", "line"] {
            std::fs::write(dir.join(name), "").expect("made");
        }
        let program = std::env::current_exe().expect("this test program");
        std::process::Command::new(program)
            .args(["--exact", "machine::last_words::tests::the_process_that_panics", "--test-threads=1"])
            .env(PLACE, dir)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("started")
    }

    /// A panic of a thread is told on every terminal there is, the process stays, and Enter on any of them ends it.
    #[test]
    fn a_panic_of_any_thread_is_told_on_every_terminal_and_stays_until_enter() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut child = fallen(dir.path());
        let told = |name: &str| std::fs::read_to_string(dir.path().join(name)).expect("read");
        while !["screen", "line"].iter().all(|name| told(name).ends_with("-- ready --\n")) {
            assert_eq!(child.try_wait().expect("asked"), None, "it stays");
            std::thread::yield_now();
        }
        for name in ["screen", "line"] {
            let told = told(name);
            assert!(told.contains("== THE WITNESS HAS STOPPED ==\n"), "{told}");
            assert!(told.contains("  found  a bug of ours: 7 [2J papers are eight\n"), "{told}");
            assert!(told.contains("last_words.rs:") && told.contains("  in     tabellion 9.9.9\n"), "{told}");
        }
        let mut type_on = File::options().append(true).open(dir.path().join("line")).expect("opened");
        type_on.write_all(b"x").expect("typed");
        assert_eq!(child.try_wait().expect("asked"), None, "it stays");
        type_on.write_all(b"\n").expect("typed");
        assert_eq!(child.wait().expect("ended").code(), Some(ENDED));
    }

    #[test]
    fn the_words_fit_a_screen_and_carry_no_control_characters_of_others() {
        let long = format!("{} \u{1b}]0;x\u{7} {}", "a".repeat(200), "word ".repeat(40));
        let text = words(&long, "src/run/session.rs:1", "0.1.0");
        let (clear, rest) = text.split_once("== ").expect("a title");
        assert_eq!(clear, "\x1b[0m\x1b[2J\x1b[H");
        assert!(!rest.contains(|letter: char| letter.is_control() && letter != '\n'), "{rest}");
        assert!(rest.lines().all(|line| line.chars().count() < 80), "{rest}");
        assert!(rest.lines().count() < 25, "{} lines", rest.lines().count());
    }

    #[test]
    fn long_text_is_broken_between_words_where_it_can_be() {
        for (text, expected) in [
            ("", &[""][..]),
            ("one two three", &["one two", "three"]),
            ("onetwothree", &["onetwoth", "ree"]),
            ("a onetwothree b", &["a", "onetwoth", "ree b"]),
        ] {
            assert_eq!(lines(text, 8), expected, "{text}");
        }
    }
}

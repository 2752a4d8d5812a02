//! `--log FILE`: what was accepted and refused, as JSON lines (`docs/logs.md`). Without it nobody listens and nothing is written.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::{Level, error, info, warn};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::clock;
use crate::core::rules::{Fault, Rule};
use crate::run::log;
use crate::run::problem::{Exit, Outcomes, Problem, Unchanged as _};

use super::output::narrate;

/// What stands for stderr.
const STDERR: &str = "-";

/// The machine's clock, which judges nothing.
struct Clock;

impl FormatTime for Clock {
    fn format_time(&self, w: &mut Writer<'_>) -> std::fmt::Result {
        clock::now_unix().map_or(Ok(()), |now| w.write_str(&clock::show(now)))
    }
}

/// Where the lines go. The first that cannot be written is said on stderr, and is the last that is tried.
struct Sink {
    name: String,
    /// `None`: stderr.
    file: Option<File>,
    failed: AtomicBool,
}

impl Write for &Sink {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        if self.failed.load(Ordering::SeqCst) {
            return Ok(line.len());
        }
        let escaped = escaped(&String::from_utf8_lossy(line));
        let outcome = match &self.file {
            Some(file) => { file }.write_all(escaped.as_bytes()),
            None => std::io::stderr().write_all(escaped.as_bytes()),
        };
        if let Err(error) = outcome
            && !self.failed.swap(true, Ordering::SeqCst)
        {
            narrate(&format!("tabellion: the log {} could not be written: {error}; the command goes on without it", self.name));
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// JSON lets these stand in a text as they are. Terminals and some readers of lines do not: they move the cursor, or end the line.
fn escaped(line: &str) -> String {
    let moves = |c: char| matches!(c, '\u{7f}'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    line.chars().map(|c| if moves(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }).collect()
}

fn lines_to(sink: Sink) -> impl tracing::Subscriber + Send + Sync {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_max_level(Level::INFO)
        .with_timer(Clock)
        .with_writer(Arc::new(sink))
        .finish()
}

/// Listens from now on, if asked to.
///
/// # Errors
/// `file-fault`, `not-found`: before the command does anything.
pub fn begin(path: Option<&Path>, command: &str) -> Outcomes<()> {
    let Some(path) = path else { return Ok(()) };
    let file = if path == Path::new(STDERR) { None } else { Some(log::open(path).unchanged(|| "nothing was done".into())?) };
    let sink = Sink { name: path.display().to_string(), file, failed: AtomicBool::new(false) };
    tracing::subscriber::set_global_default(lines_to(sink))
        .map_err(|_| Fault::new(Rule::InternalFault, "a second log in one process found; one expected"))?;
    info!(target: "command", command, version = env!("CARGO_PKG_VERSION"), "command begun");
    Ok(())
}

/// Tells how the command ended.
pub fn ended(command: &str, outcome: &Outcomes<Exit>) {
    let exit = u64::from(outcome.as_ref().map_or_else(Problem::exit, |exit| *exit).code());
    match outcome {
        Ok(Exit::Halted) => error!(target: "command", command, exit, "command done"),
        Ok(_) => info!(target: "command", command, exit, "command done"),
        Err(problem) => {
            let (rule, found, state) = (problem.fault.rule.id(), &problem.fault.found, &problem.state);
            match problem.exit() {
                Exit::Halted | Exit::Bug => error!(target: "command", command, exit, rule, %found, %state, "command stopped"),
                _ => warn!(target: "command", command, exit, rule, %found, %state, "command refused"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_on_a_full_disk_is_given_up_and_what_was_to_be_done_goes_on() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let sink = Sink { name: "full".into(), file: Some(full), failed: AtomicBool::new(false) };
        for _ in 0..2 {
            assert!((&sink).write_all(b"{}\n").is_ok());
        }
        assert!(sink.failed.load(Ordering::SeqCst));
    }

    #[test]
    fn a_text_of_others_stays_within_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let sink = Sink { name: "log".into(), file: Some(log::open(&path).unwrap()), failed: AtomicBool::new(false) };
        let hostile = "a\",\"level\":\"INFO\"}\n{\"message\":\"event accepted\u{1b}[2J\u{0}\r\u{2028}\u{9b}";
        tracing::subscriber::with_default(lines_to(sink), || {
            info!(target: "desk", path = hostile, "file listed");
            info!(target: "desk", found = %hostile, "again");
        });
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2, "{text:?}");
        assert!(!text.contains(['\u{1b}', '\u{0}', '\r', '\u{2028}', '\u{9b}']), "{text:?}");
        for (line, field) in text.lines().zip(["path", "found"]) {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!((&value["level"], &value["target"], &value[field]), (&"INFO".into(), &"desk".into(), &hostile.into()));
        }
    }
}

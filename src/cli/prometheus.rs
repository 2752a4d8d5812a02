//! `witness status --prometheus`: the text exposition format, version 0.0.4 (`docs/metrics.md`).

use std::path::Path;

use serde::Serialize;

use crate::run::problem::Outcomes;
use crate::run::status::{self, Health, Status};

use super::output::{Answer, Page};

/// The whole text.
#[derive(Serialize)]
pub struct Exposition {
    /// Families of samples, each with its help and type.
    value: String,
}

impl Answer for Exposition {
    fn say(&self, page: &mut Page) {
        // Every text of others in it is a label's value, and escaped below.
        page.program(&self.value);
    }
}

/// Families under construction.
#[derive(Default)]
struct Families {
    text: String,
}

impl Families {
    /// One family. Without a sample it is left out: what is not known is not 0.
    fn family(&mut self, name: &str, kind: &str, help: &str, samples: impl IntoIterator<Item = (Vec<(&'static str, String)>, String)>) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return;
        }
        self.text += &format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for (labels, value) in samples {
            let labels: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            self.text += &format!("{name}{labels} {value}\n");
        }
    }

    fn gauge(&mut self, name: &str, help: &str, value: Option<u64>) {
        self.family(name, "gauge", help, value.map(|value| (Vec::new(), value.to_string())));
    }

    fn counter(&mut self, name: &str, help: &str, value: Option<u64>) {
        self.family(name, "counter", help, value.map(|value| (Vec::new(), value.to_string())));
    }
}

/// A label's value: backslash, quote and line feed as the format has them. What else moves a cursor is shown as `\u{…}`, whose backslash is
/// escaped in its turn.
fn escaped(value: &str) -> String {
    let mut out = String::new();
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c if c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
                out += &format!("\\\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// Microseconds as seconds, exactly.
fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

/// The metrics of a desk.
///
/// # Errors
/// `ledger-fault` when the books have no charter.
pub fn exposition(folder: &Path, status: &Status) -> Outcomes<Exposition> {
    let mut out = Families::default();
    let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
    out.family("tabellion_build_info", "gauge", "The program that looked.", [(version, "1".into())]);
    let mut info = vec![("desk", folder.display().to_string())];
    if let Some(desk) = &status.desk {
        let books = desk.books();
        let (origin, rehearsal) = (books.origin()?.to_string(), books.charter()?.rehearsal.to_string());
        info.extend([("origin", origin), ("rehearsal", rehearsal), ("policy", books.policy()?.hash().hex())]);
    }
    out.family("tabellion_desk_info", "gauge", "The desk that was looked at.", [(info, "1".into())]);
    health(&mut out, status);
    books(&mut out, status);
    stored(&mut out, status);
    Ok(Exposition { value: out.text })
}

fn health(out: &mut Families, status: &Status) {
    let state = |word: &str| (vec![("state", word.to_owned())], u64::from(word == status.health.word()).to_string());
    out.family(
        "tabellion_ledger_health",
        "gauge",
        "1 for the state that the start-up checks of this look found.",
        Health::WORDS.map(state),
    );
    let stopped = status.problem.iter().map(|problem| (vec![("rule", problem.fault.rule.id().to_owned())], "1".to_owned()));
    out.family("tabellion_desk_stopped", "gauge", "1 with the rule that stops the desk; absent while nothing does.", stopped);
    let (last_good, first_bad, kind) = match status.health {
        Health::Corrupted { last_good, first_bad, kind } => (Some(last_good), Some(first_bad), Some(kind)),
        Health::Ok | Health::Unusable => (None, None, None),
    };
    let kind = kind.map(|kind| (vec![("kind", kind.to_owned())], "1".to_owned()));
    out.family("tabellion_ledger_corruption_info", "gauge", "What is wrong with the first bad event; absent while nothing is.", kind);
    out.gauge("tabellion_ledger_last_good_event", "Last event before which nothing is wrong; absent while nothing is.", last_good);
    out.gauge("tabellion_ledger_first_bad_event", "First event that is wrong or missing; absent while none is.", first_bad);
    out.gauge("tabellion_desk_halted", "1 while the log key signs nothing.", Some(u64::from(status.halted.is_some())));
    let check = status.check;
    out.counter("tabellion_startup_checks_total", "Checks of the whole ledger by this look.", Some(check.count));
    out.counter("tabellion_corruptions_detected_total", "Checks of this look that found corruption.", Some(check.corruptions));
    let checked = (check.count > 0).then_some(check);
    out.gauge("tabellion_startup_check_events", "Events that the check found whole.", checked.map(|check| check.events));
    let took = checked.map(|check| (Vec::new(), seconds(check.took_us)));
    out.family("tabellion_startup_check_duration_seconds", "gauge", "How long the check took.", took);
}

/// What follows from the ledger: only of one that passed its checks.
fn books(out: &mut Families, status: &Status) {
    let Some(desk) = &status.desk else { return };
    let books = desk.books();
    out.gauge("tabellion_head_number", "N of common@N.", Some(books.head().number));
    out.counter("tabellion_sessions_total", "Sessions, the founding among them.", Some(books.headings().len() as u64));
    out.gauge("tabellion_session_unsealed", "1 when a session is committed and not sealed.", Some(u64::from(books.unsealed().is_some())));
    out.gauge("tabellion_papers_held", "Papers that wait.", Some(books.held().len() as u64));
    let answers = books.answers().iter().map(|((verdict, rule), count)| {
        let labels = vec![("verdict", (*verdict).to_owned()), ("rule", (*rule).to_owned())];
        (labels, count.to_string())
    });
    out.family("tabellion_answers_total", "counter", "Verdicts and notices given, by verdict and rule.", answers);
    out.gauge(
        "tabellion_last_time_claim_seconds",
        "Last time claim of a session, Unix time; absent without.",
        status::last_time_claim(books),
    );
}

/// What lies in the folder, also of a ledger that fails its check.
fn stored(out: &mut Families, status: &Status) {
    let Some(stored) = &status.stored else { return };
    let counted = |(word, count): (&String, &u64)| (vec![("type", word.clone())], count.to_string());
    out.family("tabellion_events_total", "counter", "Events in the ledger, by type.", stored.events_by_type.iter().map(counted));
    out.counter("tabellion_records_total", "Records in the ledger.", Some(stored.records));
    out.counter("tabellion_final_verdicts_total", "Final verdicts in the ledger.", Some(stored.verdicts));
    let sized = |(name, bytes): (&String, &u64)| (vec![("file", name.clone())], bytes.to_string());
    out.family("tabellion_file_size_bytes", "gauge", "Size of a file of the ledger.", stored.file_bytes.iter().map(sized));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_ends_neither_its_quotes_nor_its_line() {
        let hostile = "a\\b\"} 1\n# TYPE x counter\r\u{1b}[2J\u{9b}\u{202e}\u{2066}é";
        assert_eq!(escaped(hostile), "a\\\\b\\\"} 1\\n# TYPE x counter\\\\u{d}\\\\u{1b}[2J\\\\u{9b}\\\\u{202e}\\\\u{2066}é");
        let mut families = Families::default();
        families.family("x", "gauge", "Help.", [(vec![("a", hostile.to_owned()), ("b", String::new())], "1".into())]);
        let last = "x{a=\"a\\\\b\\\"} 1\\n# TYPE x counter\\\\u{d}\\\\u{1b}[2J\\\\u{9b}\\\\u{202e}\\\\u{2066}é\",b=\"\"} 1";
        assert_eq!(families.text, format!("# HELP x Help.\n# TYPE x gauge\n{last}\n"));
    }

    #[test]
    fn a_duration_is_in_seconds_and_a_family_without_samples_is_left_out() {
        assert_eq!([seconds(0), seconds(1_500), seconds(61_000_001)], ["0.000000", "0.001500", "61.000001"]);
        let mut families = Families::default();
        families.gauge("x", "Help.", None);
        assert_eq!(families.text, "");
    }
}

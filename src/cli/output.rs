//! Where text goes: results to stdout at the end of a command, narration to stderr as it happens. A closed pipe ends quietly.
//!
//! A command makes an [`Answer`]: facts with names, and the same facts in words. `--json` prints the facts, else the words are printed; there is
//! no other way to stdout, so neither can say what the other does not know. A new command is written like this: a struct of facts that derives
//! `Serialize`, made of the shapes in [`super::facts`]; `say` for the words; the fields in `docs/json.md`, which a test compares.

use std::io::Write as _;

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::run::problem::{Exit, Outcomes, Problem};

/// What a command has found or done.
pub trait Answer: Serialize {
    /// The facts in words, made of nothing but the facts.
    fn say(&self, page: &mut Page);
}

/// Lines of words.
#[derive(Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// Adds a line. Its first word may be a label, which is coloured on a terminal.
    pub fn line(&mut self, line: impl AsRef<str>) {
        self.text.push_str(line.as_ref());
        self.text.push('\n');
    }
}

/// The results of a command, written when it is done.
#[derive(Default)]
pub struct Output {
    json: bool,
    page: Page,
    answer: Option<Value>,
}

impl Output {
    /// Results as JSON, or in words.
    pub fn new(json: bool) -> Output {
        Output { json, ..Output::default() }
    }

    /// Gives what was found or done. A command gives one answer; each part of a long one may be said as it happens with [`Output::tell`].
    pub fn give(&mut self, answer: &impl Answer) {
        if self.json {
            // A field that has no JSON form would be a mistake of ours in a type; no value of any paper can cause it.
            self.answer = serde_json::to_value(answer).ok();
        } else {
            answer.say(&mut self.page);
        }
    }

    /// Says before it is done what is about to happen: on stderr, and not with `--json`, whose answer holds the same facts.
    pub fn tell(&self, answer: &impl Answer) {
        if !self.json {
            let mut page = Page::default();
            answer.say(&mut page);
            page.text.lines().for_each(narrate);
        }
    }

    /// Adds a line to the words.
    pub fn line(&mut self, line: impl AsRef<str>) {
        self.page.line(line);
    }

    /// Writes what there is in words.
    pub fn flush(&mut self) {
        // Nobody reads any more: that is the reader's choice, not our failure.
        let mut stdout = anstream::stdout().lock();
        for line in self.page.text.lines() {
            drop(writeln!(stdout, "{}", painted(line)));
        }
        drop(stdout.flush());
        self.page.text.clear();
    }

    /// Ends the command: its answer or its problem, as JSON on stdout or in words on stdout and stderr. Gives back how the program ends.
    pub fn finish(mut self, command: &str, outcome: Outcomes<Exit>) -> Exit {
        let exit = outcome.as_ref().map_or_else(Problem::exit, |exit| *exit);
        if self.json {
            let mut document = Map::new();
            document.insert("command".into(), json!(command));
            document.insert("exit".into(), json!(exit.code()));
            if let Some(answer) = self.answer.take() {
                document.insert("answer".into(), answer);
            }
            if let Err(problem) = &outcome {
                document.insert("problem".into(), problem_facts(problem));
            }
            self.page.line(Value::Object(document).to_string());
        }
        self.flush();
        if let Err(problem) = outcome {
            problem.to_string().lines().for_each(narrate);
        }
        exit
    }
}

fn problem_facts(problem: &Problem) -> Value {
    let rule = problem.fault.rule;
    json!({
        "rule": rule.id(),
        "says": rule.says(),
        "found": problem.fault.shown(),
        "state": problem.state,
        "next": problem.next.as_deref().unwrap_or(rule.next()),
    })
}

/// Says something beside the results.
pub fn narrate(line: &str) {
    drop(writeln!(anstream::stderr().lock(), "{}", painted(line)));
}

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const WAITS: Style = AnsiColor::Yellow.on_default();

/// The colour of a label, the first word of a line; it stands out, it says nothing that the word does not say.
fn style_of(label: &str) -> Option<Style> {
    Some(match label {
        "accepted" | "verified" | "proved" | "founded" | "pinned" | "consistent" => GOOD,
        "refused" | "HALTED" | "tabellion:" | "fork" => BAD,
        "pending" | "deferred" | "listed" | "missing" | "waiting" | "medium" | "differs" | "warning" => WAITS,
        "next" => Style::new().bold(),
        _ => return None,
    })
}

/// A line with its label coloured; the stream takes the colours out again where nobody wants them.
fn painted(line: &str) -> String {
    let indent = line.len() - line.trim_start_matches(' ').len();
    let label = line[indent..].split(' ').next().unwrap_or_default();
    match style_of(label).filter(|_| indent <= 2) {
        Some(style) => format!("{}{style}{label}{style:#}{}", &line[..indent], &line[indent + label.len()..]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_painted_and_other_words_are_not() {
        assert_eq!(painted("refused  [no-rule] paper"), format!("{BAD}refused{BAD:#}  [no-rule] paper"));
        assert_eq!(painted("  next   do it"), format!("  {0}next{0:#}   do it", Style::new().bold()));
        for plain in ["    accepted stands too deep", "acceptedly", "head     refused", ""] {
            assert_eq!(painted(plain), plain);
        }
    }
}

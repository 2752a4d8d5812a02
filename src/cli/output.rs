//! Where text goes: results to stdout at the end of a command, narration to stderr as it happens. A closed pipe ends quietly.
//!
//! A command makes an [`Answer`]: facts with names, and the same facts in words. `--json` prints the facts, else the words are printed; there is
//! no other way to stdout, so neither can say what the other does not know. A new command is written like this: a struct of facts that derives
//! `Serialize`, made of the shapes in [`super::facts`]; `say` for the words; the fields in `docs/json.md`, which a test compares.

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::{Value, json};

use crate::core::rules::{Fault, Rule};
use crate::run::problem::{Exit, Outcomes, Problem};

use super::progress::Progress;

/// What a command has found or done.
pub trait Answer: Serialize {
    /// The facts in words, made of nothing but the facts.
    fn say(&self, page: &mut Page);
}

/// Lines of words.
#[derive(Default)]
pub struct Page {
    lines: Vec<(Option<Style>, String)>,
}

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const WAITS: Style = AnsiColor::Yellow.on_default();
const NEXT: Style = Style::new().bold();
/// Columns of a label; a space follows.
const LABEL_COLUMNS: usize = 8;

impl Page {
    /// Adds a line. What would move the cursor or begin another line is shown escaped.
    pub fn line(&mut self, line: impl AsRef<str>) {
        self.lines.push((None, escaped(line.as_ref())));
    }

    /// Adds a line of several lines of our own.
    pub fn text(&mut self, text: &str) {
        text.split('\n').for_each(|line| self.line(line));
    }

    /// Adds a text that another program reads, as it stands: nobody else has written a word of it.
    #[cfg(feature = "desk")]
    pub fn program(&mut self, text: &str) {
        self.lines.extend(text.lines().map(|line| (None, line.to_owned())));
    }

    /// Adds a line with a label in front, which is coloured on a terminal. The colour says nothing that the word does not say.
    pub fn labelled(&mut self, label: &str, rest: impl AsRef<str>) {
        let line = format!("{label:0$} {1}", LABEL_COLUMNS, rest.as_ref());
        self.lines.push((style_of(label), escaped(line.trim_end())));
    }

    /// Adds an indented line with a label: what belongs to the line above.
    pub fn below(&mut self, label: &str, rest: impl AsRef<str>) {
        self.lines.push((style_of(label.trim_end()), escaped(format!("  {label:6} {}", rest.as_ref()).trim_end())));
    }

    fn write(&self, out: &mut dyn std::io::Write) {
        for (style, line) in &self.lines {
            // Nobody reads any more: that is the reader's choice, not our failure.
            drop(writeln!(out, "{}", painted(*style, line)));
        }
        drop(out.flush());
    }
}

/// The colour of a label.
fn style_of(label: &str) -> Option<Style> {
    match label {
        "accepted" => Some(GOOD),
        // An accepted paper is called by its number.
        _ if label.starts_with("common@") => Some(GOOD),
        "refused" | "HALTED" | "FORK" => Some(BAD),
        "pending" | "deferred" => Some(WAITS),
        "next" => Some(NEXT),
        _ => None,
    }
}

/// The first word of a line in its colour; the stream takes colours out where nobody wants them.
fn painted(style: Option<Style>, line: &str) -> String {
    let Some(style) = style else { return line.to_owned() };
    let indent = line.len() - line.trim_start_matches(' ').len();
    let end = line[indent..].find(' ').map_or(line.len(), |at| indent + at);
    format!("{}{style}{}{style:#}{}", &line[..indent], &line[indent..end], &line[end..])
}

/// Control characters as escapes: a path or a foreign text cannot move the cursor or forge a line.
fn escaped(line: &str) -> String {
    line.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// The results of a command, written when it is done.
#[derive(Default)]
pub struct Output {
    json: bool,
    page: Page,
    answer: Option<serde_json::Result<Value>>,
}

impl Output {
    /// Results as JSON, or in words.
    pub fn new(json: bool) -> Output {
        Output { json, ..Output::default() }
    }

    /// A line that shows how far long work is; `hidden` when something else is narrated.
    pub fn progress(&self, hidden: bool) -> Progress {
        Progress::new(hidden || self.json)
    }

    /// Gives what was found or done: once for a command, when it is known whether it succeeded. A long story may give each of its steps as it
    /// happens, with [`Output::flush`]; its last answer, which has them all, is the one of the document.
    pub fn give(&mut self, answer: &impl Answer) {
        if self.json {
            self.answer = Some(serde_json::to_value(answer));
        } else {
            answer.say(&mut self.page);
        }
    }

    /// Says on stderr what is about to be done, before anybody is asked: also with `--json`.
    #[cfg(feature = "desk")]
    pub fn tell(&self, answer: &impl Answer) {
        let mut page = Page::default();
        answer.say(&mut page);
        page.write(&mut anstream::stderr().lock());
    }

    /// Writes what there is in words, while a long story is told.
    pub fn flush(&mut self) {
        if !self.json {
            self.page.write(&mut anstream::stdout().lock());
        }
        self.page = Page::default();
    }

    /// Ends the command: its answer or its problem, as JSON on stdout or in words on stdout and stderr. Gives back how the program ends.
    pub fn finish(mut self, command: &str, outcome: Outcomes<Exit>) -> Exit {
        let outcome = outcome.and_then(|exit| match &self.answer {
            Some(Err(error)) => Err(Fault::new(Rule::InternalFault, format!("an answer without a JSON form: {error}")).into()),
            _ => Ok(exit),
        });
        let exit = outcome.as_ref().map_or_else(Problem::exit, |exit| *exit);
        if self.json {
            let document = document(command, exit, self.answer.take().and_then(Result::ok), outcome.as_ref().err());
            self.page = Page { lines: vec![(None, document)] };
            self.page.write(&mut anstream::stdout().lock());
            self.page = Page::default();
        }
        self.flush();
        if let Err(problem) = outcome {
            complain(&problem);
        }
        exit
    }
}

/// The document: what was found before something failed is in it too, as it is in words.
fn document(command: &str, exit: Exit, answer: Option<Value>, problem: Option<&Problem>) -> String {
    let mut document = format!("{{\"command\":{},\"exit\":{}", json!(command), exit.code());
    if let Some(answer) = answer.or_else(|| problem.is_none().then_some(Value::Null)) {
        document.push_str(&format!(",\"answer\":{answer}"));
    }
    if let Some(problem) = problem {
        document.push_str(&format!(",\"problem\":{}", problem_facts(problem)));
    }
    document + "}"
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

/// A problem in words, on stderr.
fn complain(problem: &Problem) {
    let mut page = Page::default();
    for line in problem.to_string().lines() {
        let style = match line {
            _ if line.starts_with("tabellion: stop") => Some(BAD),
            _ if line.starts_with("  next ") => Some(NEXT),
            _ => None,
        };
        page.lines.push((style, escaped(line)));
    }
    page.write(&mut anstream::stderr().lock());
}

/// Says something beside the results.
#[cfg(feature = "desk")]
pub fn narrate(line: &str) {
    let mut page = Page::default();
    page.text(line);
    page.write(&mut anstream::stderr().lock());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(fill: impl FnOnce(&mut Page)) -> String {
        let (mut page, mut out) = (Page::default(), Vec::new());
        fill(&mut page);
        page.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn labels_are_painted_and_what_looks_like_one_is_not() {
        assert_eq!(written(|page| page.labelled("refused", "[no-rule] paper")), format!("{BAD}refused{BAD:#}  [no-rule] paper\n"));
        assert_eq!(written(|page| page.below("next", "do it")), format!("  {NEXT}next{NEXT:#}   do it\n"));
        assert_eq!(written(|page| page.labelled("wrote", "a")), "wrote    a\n");
        assert_eq!(written(|page| page.labelled("common@1234", "paper")), format!("{GOOD}common@1234{GOOD:#} paper\n"));
        assert_eq!(written(|page| page.below("pending  ", "paper")), format!("  {WAITS}pending{WAITS:#}   paper\n"));
        assert_eq!(written(|page| page.line("refused  is the name of an entry")), "refused  is the name of an entry\n");
    }

    #[test]
    fn what_was_found_before_a_failure_is_in_the_document() {
        let (problem, answer) = (Problem::usage("x"), json!({"a": 1}));
        let begin = |text: String| text.split("\"problem\":").next().unwrap_or_default().to_owned();
        assert_eq!(document("c", Exit::Done, Some(answer.clone()), None), r#"{"command":"c","exit":0,"answer":{"a":1}}"#);
        assert_eq!(document("c", Exit::Done, None, None), r#"{"command":"c","exit":0,"answer":null}"#);
        assert_eq!(begin(document("c", Exit::Usage, Some(answer), Some(&problem))), r#"{"command":"c","exit":2,"answer":{"a":1},"#);
        assert_eq!(begin(document("c", Exit::Usage, None, Some(&problem))), r#"{"command":"c","exit":2,"#);
    }

    #[test]
    fn a_foreign_text_moves_no_cursor_and_forges_no_line() {
        assert_eq!(written(|page| page.line("a\u{1b}[2Jb\nhead c\u{9b}")), "a\\u{1b}[2Jb\\nhead c\\u{9b}\n");
    }
}

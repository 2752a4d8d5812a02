//! `tabellion demo`: the whole story with real files.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::run::demo::{self, SCRIPT, Told};
use crate::run::problem::{Exit, Outcomes};

use super::output::{Answer, Output, Page};

/// `tabellion demo`
#[derive(Args)]
pub struct DemoArgs {
    /// The folder to make; what an earlier demo made there is replaced
    #[arg(default_value = "tabellion-demo")]
    dir: PathBuf,
}

/// `demo`
#[derive(Serialize)]
struct Story {
    /// The folder.
    dir: String,
    /// The same commands as a shell script in it.
    script: &'static str,
    /// What happened, in order.
    steps: Vec<Step>,
    /// Whether it came to its end.
    finished: bool,
}

/// Something told between commands, or a command.
#[derive(Clone, Serialize)]
#[serde(untagged)]
enum Step {
    Said {
        /// What the story says.
        text: String,
    },
    Ran {
        /// As typed; `$NAME` stands for what was remembered.
        command: String,
        /// Its exit code; absent when a signal ended it.
        #[serde(skip_serializing_if = "Option::is_none")]
        exit: Option<i32>,
        /// What it printed, line by line.
        said: Vec<String>,
        #[serde(skip)]
        last: usize,
        /// The name under which that is remembered.
        #[serde(skip_serializing_if = "Option::is_none")]
        remembered: Option<String>,
    },
    Picked {
        /// The name under which a value of the command before is remembered.
        name: String,
        /// The value.
        value: String,
    },
}

impl Step {
    fn of(told: Told<'_>) -> Step {
        let lines = |text: String| text.lines().map(str::to_owned).collect();
        match told {
            Told::Said(text) => Step::Said { text: text.to_owned() },
            Told::Ran { command, exit, said, last } => {
                Step::Ran { command: command.to_owned(), exit, said: lines(said), last, remembered: None }
            }
            Told::Picked(name, value) => Step::Picked { name: name.to_owned(), value: value.to_owned() },
            Told::Remembered(name, command, exit, said) => {
                Step::Ran { command: command.to_owned(), exit, said: lines(said), last: 0, remembered: Some(name.to_owned()) }
            }
        }
    }
}

impl Answer for Step {
    fn say(&self, page: &mut Page) {
        match self {
            Step::Said { text } => page.text(&format!("\n{text}\n")),
            Step::Ran { command, remembered: Some(name), .. } => page.line(format!("$ {name}=$({command})")),
            Step::Picked { name, value } => page.line(format!("$ {name}={value}")),
            Step::Ran { command, said, last, .. } => {
                page.line(format!("$ {command}"));
                let behind = said.len().saturating_sub(*last).max(1);
                said.iter().take(1).for_each(|line| page.line(format!("  {line}")));
                if behind > 1 {
                    page.line("  …");
                }
                said.iter().skip(behind).for_each(|line| page.line(format!("  {line}")));
            }
        }
    }
}

impl Answer for Story {
    fn say(&self, page: &mut Page) {
        let Story { dir, script, finished, .. } = self;
        if !finished {
            return;
        }
        page.text(&format!("\nLook around in {dir}: witness, alice, james, consumer, the sticks; the same commands stand in {script}."));
    }
}

/// Runs it.
pub fn demo(args: &DemoArgs, out: &mut Output) -> Outcomes<Exit> {
    let mut steps = Vec::new();
    let told = demo::demo(&args.dir, &mut |told| {
        let step = Step::of(told);
        out.give(&step);
        out.flush();
        steps.push(step);
    });
    if !steps.is_empty() {
        out.give(&Story { dir: args.dir.display().to_string(), script: SCRIPT, steps, finished: told.is_ok() });
    }
    told.map(|()| Exit::Done)
}

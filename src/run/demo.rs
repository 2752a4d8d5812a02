//! The whole story with real files: the steps are data, run one by one as child processes of this very program, and written down as a shell
//! script that does the same on its own in an empty folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::core::rules::{Fault, Rule};

mod story;

use story::Step::{Brief, Copy, File, Folders, Pick, Remember, Run, Say};
use story::{STORY, Step};

use super::files::{file_fault, make_folder, write_bytes};
use super::problem::{Outcomes, Unchanged};

/// Marks a folder as made by the demo.
const MARK: &str = ".tabellion-demo";
/// Name of the script.
pub const SCRIPT: &str = "commands.sh";

/// Splits a command into words; single quotes hold words together.
fn split(command: &str) -> Vec<String> {
    let (mut words, mut quoted) = (vec![String::new()], false);
    for c in command.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.iter_mut().last().into_iter().for_each(|word| word.push(c)),
        }
    }
    words
}

/// Puts what is remembered in place of `$NAME`.
fn filled(text: &str, remembered: &BTreeMap<&str, String>) -> String {
    remembered.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${name}"), value))
}

/// The story as a shell script.
pub fn script() -> String {
    let mut out = String::from(
        "#!/bin/sh\n# What `tabellion demo` does, as commands. Runs on its own in an empty folder and ends with 0.\n# It takes the program named in TABELLION, or the one on the PATH.\nset -eu\ntabellion() { command \"${TABELLION:-tabellion}\" \"$@\"; }\n",
    );
    for step in STORY {
        match step {
            Say(text) => text.lines().for_each(|line| out.push_str(&format!("\n# {line}").replace("\n\n", "\n"))),
            Folders(names) => out.push_str(&format!("\nmkdir {}\n", names.join(" "))),
            File(path, content) => out.push_str(&format!("cat > {path} <<END\n{content}END\n")),
            Run(command, 0) | Brief(command, 0, _) => out.push_str(&format!("{command}\n")),
            Pick(name, label, command) => {
                out.push_str(&format!("said=$({command})\necho \"$said\"\n{name}=$(echo \"$said\" | sed -n 's/^{label}  *//p')\n"));
            }
            Copy(from, to) => out.push_str(&format!("cp -R {from} {to}\n")),
            Run(command, code) | Brief(command, code, _) => out.push_str(&format!("{command} && exit 1 || test $? -eq {code}\n")),
            Remember(name, command) => out.push_str(&format!("{name}=$({command})\n")),
        }
        if matches!(step, Say(_)) {
            out.push('\n');
        }
    }
    out
}

/// What is told of the story, step by step.
pub enum Told<'a> {
    /// Something said, in lines.
    Said(&'a str),
    /// A command.
    Ran {
        /// As typed.
        command: &'a str,
        /// How it ended.
        exit: Option<i32>,
        /// What it printed.
        said: String,
        /// How many of its last lines are shown, with the first.
        last: usize,
    },
    /// A value in what the command before printed, and the name under which it is remembered.
    Picked(&'a str, &'a str),
    /// A command of ours whose output is remembered under a name.
    Remembered(&'a str, &'a str, Option<i32>, String),
}

/// Tells the story in a new folder.
///
/// # Errors
/// `exists` when the folder is there and was not made by the demo; `internal-fault` when a command ends otherwise than the story says.
pub fn demo(dir: &Path, say: &mut dyn FnMut(Told<'_>)) -> Outcomes<()> {
    let occupied = fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
    if occupied && !dir.join(MARK).is_file() {
        let found = format!("{} is there, not empty, and was not made by the demo", dir.display());
        return Err(Fault::new(Rule::Exists, found)).unchanged(|| format!("{} unchanged", dir.display()));
    }
    if occupied {
        fs::remove_dir_all(dir).map_err(|error| file_fault(dir, &error))?;
    }
    make_folder(dir)?;
    write_bytes(&dir.join(MARK), b"made by tabellion demo; the next one replaces this folder\n")?;
    write_bytes(&dir.join(SCRIPT), script().as_bytes())?;
    let mut remembered = BTreeMap::new();
    for step in STORY {
        tell(dir, step, &mut remembered, say)?;
    }
    Ok(())
}

fn tell<'a>(dir: &Path, step: &'a Step, remembered: &mut BTreeMap<&'a str, String>, say: &mut dyn FnMut(Told<'_>)) -> Outcomes<()> {
    match step {
        Say(text) => say(Told::Said(text)),
        Folders(names) => names.iter().try_for_each(|name| make_folder(&dir.join(name)))?,
        File(path, content) => write_bytes(&dir.join(path), filled(content, remembered).as_bytes())?,
        Run(command, code) => drop(must_end(dir, command, *code, usize::MAX, remembered, say)?),
        Brief(command, code, last) => drop(must_end(dir, command, *code, *last, remembered, say)?),
        Copy(from, to) => {
            copy(&dir.join(from), &dir.join(to))?;
            say(Told::Ran { command: &format!("cp -R {from} {to}"), exit: Some(0), said: String::new(), last: usize::MAX });
        }
        Pick(name, label, command) => {
            let text = must_end(dir, command, 0, usize::MAX, remembered, say)?;
            let value = text.lines().find_map(|line| line.strip_prefix(label)).unwrap_or_default().trim().to_owned();
            say(Told::Picked(name, &value));
            remembered.insert(name, value);
        }
        Remember(name, command) => {
            let (found, text) = child(dir, &filled(command, remembered))?;
            let value = text.trim().to_owned();
            say(Told::Remembered(name, command, found, text));
            remembered.insert(name, value);
        }
    }
    Ok(())
}

/// Runs a command of the story, which must end as the story says: what it said, of which the first line and the `last` ones are shown.
fn must_end(
    dir: &Path,
    command: &str,
    code: i32,
    last: usize,
    remembered: &BTreeMap<&str, String>,
    say: &mut dyn FnMut(Told<'_>),
) -> Outcomes<String> {
    let (exit, text) = child(dir, &filled(command, remembered))?;
    let last = if exit == Some(code) { last } else { usize::MAX };
    say(Told::Ran { command, exit, said: text.clone(), last });
    if exit == Some(code) {
        return Ok(text);
    }
    let found = format!("{command} ended with {exit:?}; {code} expected");
    Err(Fault::new(Rule::InternalFault, found)).unchanged(|| "the demo's folder is left as it is".into())
}

/// Copies a file, or a folder with everything in it, to a path that is not there yet.
fn copy(from: &Path, to: &Path) -> Outcomes<()> {
    if !from.is_dir() {
        fs::copy(from, to).map_err(|error| file_fault(from, &error))?;
        return Ok(());
    }
    fs::create_dir(to).map_err(|error| file_fault(to, &error))?;
    for entry in fs::read_dir(from).map_err(|error| file_fault(from, &error))? {
        let entry = entry.map_err(|error| file_fault(from, &error))?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Runs a command of ours as a child process in `dir`: its exit code, and what it said.
fn child(dir: &Path, command: &str) -> Outcomes<(Option<i32>, String)> {
    let program = std::env::current_exe().map_err(|error| Fault::new(Rule::FileFault, format!("this program: {error}")))?;
    let output = Command::new(&program).args(&split(command)[1..]).current_dir(dir).stdin(std::process::Stdio::null()).output();
    let output = output.map_err(|error| file_fault(&program, &error))?;
    let text = [output.stderr, output.stdout].concat();
    Ok((output.status.code(), String::from_utf8_lossy(&text).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_split_at_spaces_outside_quotes() {
        assert_eq!(split("a b 'c d' e"), ["a", "b", "c d", "e"]);
    }

    #[test]
    fn the_script_has_every_command_of_the_story() {
        let script = script();
        for step in STORY {
            if let Run(command, _) | Brief(command, ..) | Remember(_, command) | Pick(_, _, command) = step {
                assert!(script.contains(command), "{command}");
            }
        }
    }
}

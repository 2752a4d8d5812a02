//! The whole story with real files: the steps are data, run one by one as child processes of this very program, and written down as a shell
//! script that does the same on its own in an empty folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::core::rules::{Fault, Rule};

use super::files::{file_fault, make_folder, write_bytes};
use super::problem::{Outcomes, Unchanged};

/// Marks a folder as made by the demo.
const MARK: &str = ".tabellion-demo";
/// Name of the script.
pub const SCRIPT: &str = "commands.sh";

/// One step of the story.
enum Step {
    /// Something said.
    Say(&'static str),
    /// Folders made.
    Folders(&'static [&'static str]),
    /// A file written; `$NAME` stands for something remembered.
    File(&'static str, &'static str),
    /// A command of ours, and the exit code it must end with.
    Run(&'static str, i32),
    /// A command of ours whose output is remembered under a name.
    Remember(&'static str, &'static str),
}

use Step::{File, Folders, Remember, Run, Say};

/// The story.
const STORY: &[Step] = &[
    Say("Alice and James work without a network and share one numbered history, Common. If both wrote common@2 at once, it would fork.
So neither writes it: they submit signed papers, and one witness, a machine that is off nearly always, gives each accepted paper its
number and each refused one a signed reason."),
    Folders(&["alice", "james", "consumer", "safe", "stick"]),
    File("alice/passphrase", "alice keeps this in her head\n"),
    File("james/passphrase", "james keeps this in his head\n"),
    File("safe/passphrase", "the founders keep this in a safe\n"),
    File("witness.passphrase", "the operator keeps this in her head\n"),
    Say("1. Keys. Everyone makes a key. The key that the witness will use after its first one is made elsewhere and goes into a safe."),
    Run("tabellion key new alice/key --passphrase-file alice/passphrase", 0),
    Run("tabellion key new james/key --passphrase-file james/passphrase", 0),
    Run("tabellion key new safe/next-key --passphrase-file safe/passphrase", 0),
    Remember("ALICE", "tabellion key show alice/key --public"),
    Remember("JAMES", "tabellion key show james/key --public"),
    Remember("NEXT", "tabellion key show safe/next-key --vkey witness.example/common"),
    Say("2. Founding. The policy says who may change what. The witness drafts a charter; the governors sign it; it becomes common@1."),
    File(
        "policy.toml",
        r#"# Who may change Common, and with whose approval.
governors = "board"

[[member]]
name = "alice"
keys = ["$ALICE"]

[[member]]
name = "james"
keys = ["$JAMES"]

[[group]]
name = "board"
k = 2
of = ["alice", "james"]

[[rule]]
prefix = "tools/"
propose = ["alice", "james"]
content = "required"
size_max = 1000000
"#,
    ),
    Run("tabellion witness init witness --policy policy.toml --next-key $NEXT --passphrase-file witness.passphrase", 0),
    Run("tabellion approve witness/charter.payload --key alice/key --passphrase-file alice/passphrase --yes", 0),
    Run("tabellion approve witness/charter.payload --key james/key --passphrase-file james/passphrase --yes", 0),
    Run(
        "tabellion witness init witness --charter witness/charter.cose --time 2026-11-21T10:00:00Z --passphrase-file witness.passphrase",
        0,
    ),
    Remember("FINGERPRINT", "tabellion witness status --ledger witness --fingerprint"),
    Remember("HEAD", "tabellion witness status --ledger witness --head"),
    Say("3. Pinning. The charter's fingerprint is the one thing to compare by another way than the stick: by telephone, on paper.
It pins the witness's key, the first policy and everything that follows. A pin is a small text file. You compare once; from then on
advance moves the pin forward, after checking."),
    Run("tabellion witness export --ledger witness --media stick", 0),
    Run("tabellion pin stick --charter $FINGERPRINT --out alice/common.pin", 0),
    Run("tabellion pin stick --charter $FINGERPRINT --out james/common.pin", 0),
    Run("tabellion pin stick --charter $FINGERPRINT --out consumer/common.pin", 0),
    Say("4. Proposing. Alice and James both build on common@1, each at home, neither knowing of the other."),
    File("alice/editor", "#!/bin/sh\necho the editor, by alice\n"),
    File("james/viewer", "#!/bin/sh\necho the viewer, by james\n"),
    Run(
        "tabellion propose put tools/editor=alice/editor --pin alice/common.pin --key alice/key --passphrase-file alice/passphrase --media stick --note 'An editor for the field'",
        0,
    ),
    Run(
        "tabellion propose put tools/viewer=james/viewer --pin james/common.pin --key james/key --passphrase-file james/passphrase --media stick",
        0,
    ),
    Say("5. The operator starts the witness. It reads the stick, verifies, and gives the numbers, in an order that follows from the session's number and
the members' names: neither the operator nor any proposer can move a paper forward, and coming early does not help.
It commits to its ledger before it signs, and signs before it writes: two different common@2 cannot leave this desk.
The head is the newest number with a summary of everything up to it. The operator names the one she wrote down last time, so that an
old copy of the disk is noticed."),
    Run(
        "tabellion witness session --ledger witness --media stick --expect-head $HEAD --yes --time 2026-11-21T12:00:00Z --passphrase-file witness.passphrase",
        0,
    ),
    Remember("HEAD", "tabellion witness status --ledger witness --head"),
    Say("6. Receipts. Each proposer takes a receipt home. It proves, to anyone who has the pin, that this paper became this number, or why it was
refused: the record, the hashes that lead from it to the head, and the head signed by the witness."),
    Run("tabellion collect stick --pin alice/common.pin", 0),
    Run("tabellion collect stick --pin james/common.pin", 0),
    Say("7. Consuming. Nobody has to trust the stick: every page is verified from the pin, offline, before the pin moves."),
    Run("tabellion advance stick --pin consumer/common.pin", 0),
    Run("tabellion log stick --pin consumer/common.pin", 0),
    Run("tabellion verify stick --pin consumer/common.pin", 0),
    Run("tabellion checkout stick consumer/common --pin consumer/common.pin", 0),
    Say("8. A refusal. James is still at common@1 and sees no tools/editor there, so he proposes one, expecting that there is none.
Alice's came first. The answer is final, signed, and says what to do: exit code 1 means done, but something was refused."),
    File("james/editor", "#!/bin/sh\necho another editor, by james\n"),
    Run(
        "tabellion propose put tools/editor=james/editor --pin james/common.pin --key james/key --passphrase-file james/passphrase --media stick",
        0,
    ),
    Run(
        "tabellion witness session --ledger witness --media stick --expect-head $HEAD --yes --time none --passphrase-file witness.passphrase",
        1,
    ),
    Run("tabellion collect stick --pin james/common.pin", 1),
    Say("9. The same again. Nothing on the stick is new: no session is opened, no number is taken, the same bytes are written."),
    Run(
        "tabellion witness session --ledger witness --media stick --expect-head $HEAD --yes --time none --passphrase-file witness.passphrase",
        0,
    ),
    Say("Who gives the number? The witness alone. Why can nobody fork Common? Two different pages with one number would both need its
signature. The witness commits to one before it signs and never signs another; should a copied disk do so, the two signatures prove it to
anyone. What must a consumer trust? Of everything that reaches you the pin alone; and your own computer, this program, and that the
witness's key stays secret."),
];

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
            Run(command, 0) => out.push_str(&format!("{command}\n")),
            Run(command, code) => out.push_str(&format!("{command} && exit 1 || test $? -eq {code}\n")),
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
    /// A command of ours: what was typed, how it ended, and what it printed.
    Ran(&'a str, Option<i32>, String),
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
        Run(command, code) => {
            let (found, text) = child(dir, &filled(command, remembered))?;
            say(Told::Ran(command, found, text));
            if found != Some(*code) {
                let found = format!("{command} ended with {found:?}; {code} expected");
                return Err(Fault::new(Rule::InternalFault, found)).unchanged(|| "the demo's folder is left as it is".into());
            }
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
            if let Run(command, _) | Remember(_, command) = step {
                assert!(script.contains(command), "{command}");
            }
        }
    }
}

//! A command line that cannot be read: the same four lines as every other failure, with clap's tip and its usage line in them.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Command, Error};

use crate::core::rules::{Fault, Rule};
use crate::run::problem::Problem;

/// The command that arguments name, as far as they name one: `witness session`.
pub fn command_of(arguments: &[OsString], root: &Command) -> String {
    let (mut here, mut names) = (root, Vec::new());
    for argument in arguments.iter().skip(1).map(|argument| argument.to_string_lossy()) {
        if let Some(below) = here.find_subcommand(argument.as_ref()) {
            here = below;
            names.push(below.get_name());
        } else if !argument.starts_with('-') {
            break;
        }
    }
    names.join(" ")
}

/// Whether an option without a value stands among arguments that could not be read otherwise.
pub fn has(arguments: &[OsString], option: &str) -> bool {
    arguments.iter().take_while(|argument| *argument != "--").any(|argument| argument == option)
}

/// What clap found, in our form.
pub fn problem(error: &Error, command: &str, root: &Command) -> Problem {
    let program = if command.is_empty() { root.get_name().to_owned() } else { format!("{} {command}", root.get_name()) };
    let text = error.render().to_string();
    let help = format!("{program} --help says what it takes");
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let names = subcommands(root, command).join(", ");
        return usage(format!("no command behind {program}; one of {names} expected"), help);
    }
    let mut paragraphs = text.split("\n\n");
    let first = paragraphs.next().unwrap_or_default();
    let mut found = joined(first.strip_prefix("error: ").unwrap_or(first));
    let mut next = help;
    for paragraph in paragraphs {
        if let Some(shown) = paragraph.trim().strip_prefix("Usage: ") {
            next = format!("type {}; {next}", shown.lines().map(words).collect::<Vec<_>>().join(" or "));
        } else if paragraph.trim_start().starts_with("tip: ") {
            found = format!("{found}; {}", words(paragraph));
        }
    }
    usage(found, next)
}

fn usage(found: String, next: String) -> Problem {
    let problem = Problem::from(Fault::new(Rule::Usage, found)).advising(next);
    Problem { state: "nothing was read or written".into(), ..problem }
}

fn subcommands<'a>(root: &'a Command, command: &str) -> Vec<&'a str> {
    let here = command.split(' ').filter(|name| !name.is_empty()).try_fold(root, |here, name| here.find_subcommand(name));
    here.into_iter().flat_map(Command::get_subcommands).map(Command::get_name).filter(|name| *name != "help").collect()
}

/// The lines of one paragraph as one: a list behind a colon, or a sentence that goes on.
fn joined(paragraph: &str) -> String {
    let mut lines = paragraph.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let rest: Vec<&str> = lines.collect();
    let between = if first.ends_with(':') { ", " } else { " " };
    format!("{first} {}", rest.join(between)).trim_end().to_owned()
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> Command {
        let session = Command::new("session").arg(clap::Arg::new("media").long("media").required(true));
        let witness = Command::new("witness").subcommand_required(true).arg_required_else_help(true).subcommand(session);
        Command::new("tabellion").subcommand(witness).subcommand(Command::new("pin").arg(clap::Arg::new("dir")))
    }

    fn typed(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_command_is_named_as_far_as_it_can_be_read() {
        for (line, command) in [
            ("tabellion", ""),
            ("tabellion pin pin", "pin"),
            ("tabellion --json witness session --media", "witness session"),
            ("tabellion witness x session", "witness"),
            ("tabellion x", ""),
        ] {
            assert_eq!(command_of(&typed(line), &root()), command, "{line}");
        }
        assert!(has(&typed("tabellion pin --json"), "--json") && !has(&typed("tabellion pin -- --json"), "--json"));
    }

    #[test]
    fn tip_usage_and_missing_arguments_are_kept() {
        let said = |line: &str| {
            let arguments = typed(line);
            let problem = problem(&root().try_get_matches_from(&arguments).unwrap_err(), &command_of(&arguments, &root()), &root());
            (problem.fault.found.clone(), problem.next.unwrap())
        };
        let (found, next) = said("tabellion witness session --medium x");
        assert_eq!(found, "unexpected argument '--medium' found; tip: a similar argument exists: '--media'");
        assert_eq!(next, "type tabellion witness session --media <media>; tabellion witness session --help says what it takes");
        let (found, _) = said("tabellion witness session");
        assert_eq!(found, "the following required arguments were not provided: --media <media>");
        let (found, next) = said("tabellion witness");
        assert_eq!(found, "no command behind tabellion witness; one of session expected");
        assert_eq!(next, "tabellion witness --help says what it takes");
    }
}

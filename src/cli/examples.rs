//! One example for each command, at the end of its long help and of its manual page. A test reads each with the program's own definitions.

use clap::Command;

/// A command as it is called, and what somebody would type.
const EXAMPLES: &[(&str, &str)] = &[
    ("demo", "tabellion demo"),
    ("key", "tabellion key new alice.key"),
    ("key new", "tabellion key new alice.key"),
    ("key identity", "tabellion key identity desk/key --out backup.identity"),
    ("key show", "tabellion key show alice.key --public"),
    ("domain", "tabellion domain snapshot ./work --key alice.key --note 'before the trip'"),
    ("domain init", "tabellion domain init --name alice --key alice.key"),
    ("domain snapshot", "tabellion domain snapshot ./work --key alice.key --note 'before the trip'"),
    ("domain log", "tabellion domain log"),
    ("domain show", "tabellion domain show --at 41"),
    ("domain audit", "tabellion domain audit --writes"),
    ("propose", "tabellion propose put tools/editor=./editor --key alice.key --media /mnt/stick"),
    ("propose put", "tabellion propose put tools/editor=./editor --key alice.key --media /mnt/stick"),
    ("propose remove", "tabellion propose remove tools/editor --key alice.key --media /mnt/stick"),
    ("propose policy", "tabellion propose policy new-policy.toml --key alice.key --media /mnt/stick"),
    ("approve", "tabellion approve editor.bundle --key carol.key"),
    ("preview", "tabellion preview /mnt/stick --pin common.pin"),
    ("collect", "tabellion collect /mnt/stick --pin common.pin"),
    ("witness", "tabellion witness status --ledger desk"),
    ("witness init", "tabellion witness init desk --policy policy.toml --next-key 'witness.example/common+…'"),
    ("witness session", "tabellion witness session --ledger desk --media /mnt/stick"),
    ("witness export", "tabellion witness export --ledger desk --media /mnt/stick"),
    ("witness backup", "tabellion witness backup --ledger desk /mnt/stick"),
    ("witness restore", "tabellion witness restore common.backup.age standby --identity backup.identity"),
    ("witness integrity", "tabellion witness integrity --ledger desk --deep"),
    ("witness rebuild", "tabellion witness rebuild --ledger desk"),
    ("witness status", "tabellion witness status --ledger desk"),
    ("witness audit", "tabellion witness audit --ledger desk --since 2026-11-21T10:00:00Z"),
    ("appliance", "tabellion appliance --rehearse ./practice"),
    ("ceremony", "tabellion ceremony resume --ledger desk"),
    ("ceremony recover", "tabellion ceremony recover --ledger desk --against /mnt/disk/desk"),
    ("ceremony resume", "tabellion ceremony resume --ledger desk --order resume.cose"),
    ("policy", "tabellion policy show policy.toml"),
    ("policy check", "tabellion policy check new-policy.toml --against /mnt/stick"),
    ("policy show", "tabellion policy show /mnt/stick --at 41"),
    ("policy diff", "tabellion policy diff /mnt/stick new-policy.toml"),
    ("pin", "tabellion pin /mnt/stick --charter 'abandon ability …' --out common.pin"),
    ("advance", "tabellion advance /mnt/stick --pin common.pin"),
    ("verify", "tabellion verify /mnt/stick --pin common.pin"),
    ("replay", "tabellion replay /mnt/stick --pin common.pin"),
    ("log", "tabellion log /mnt/stick --name tools/editor"),
    ("show", "tabellion show /mnt/stick tools/editor"),
    ("diff", "tabellion diff /mnt/stick --from 41 --to 45"),
    ("checkout", "tabellion checkout /mnt/stick ./common --at 41"),
    ("prove", "tabellion prove /mnt/stick tools/editor --out editor.proof"),
    ("completions", "tabellion completions bash > ~/.local/share/bash-completion/completions/tabellion"),
    ("man", "tabellion man ~/.local/share/man/man1"),
];

/// The example of a command, called by its names without the program's.
pub fn example_of(path: &str) -> Option<&'static str> {
    EXAMPLES.iter().find(|(command, _)| *command == path).map(|(_, example)| *example)
}

/// Definitions with an example at the end of every command's long help.
pub fn with_examples(command: Command) -> Command {
    below(command, "")
}

fn below(command: Command, path: &str) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    let command =
        names.iter().fold(command, |command, name| command.mut_subcommand(name, |sub| below(sub, format!("{path} {name}").trim_start())));
    match example_of(path) {
        Some(example) => command.after_long_help(format!("Example:\n  {example}")),
        None => command,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::definitions;

    /// Every command below one, called by its names.
    fn paths(command: &Command, path: &str, out: &mut Vec<String>) {
        for sub in command.get_subcommands() {
            let path = format!("{path} {}", sub.get_name()).trim_start().to_owned();
            paths(sub, &path, out);
            out.push(path);
        }
    }

    #[test]
    fn every_command_has_an_example_that_the_program_reads() {
        let mut found = Vec::new();
        paths(&definitions(), "", &mut found);
        assert!(found.len() > 12, "{found:?}");
        for path in &found {
            let example = example_of(path).unwrap_or_else(|| panic!("{path} has no example"));
            assert!(example.starts_with(&format!("tabellion {path}")), "{path}: {example}");
            let typed = example.split(" > ").next().unwrap_or_default();
            // A value between quotes is one argument.
            let mut words: Vec<String> = Vec::new();
            for (at, part) in typed.split('\'').enumerate() {
                if at % 2 == 1 { words.push(part.to_owned()) } else { words.extend(part.split_whitespace().map(str::to_owned)) }
            }
            // What an ellipsis stands for is not read; that the options are there is.
            if example.contains('…') && path != "pin" {
                continue;
            }
            if let Err(error) = definitions().try_get_matches_from(words) {
                panic!("{example}\n{error}");
            }
        }
        #[cfg(feature = "desk")]
        for (path, _) in EXAMPLES {
            assert!(found.iter().any(|found| found == path), "{path} is no command");
        }
    }
}

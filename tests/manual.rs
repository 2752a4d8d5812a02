//! Completions and manual pages have every command and option that the helps show. The helps are read as printed, by their columns.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod stage;

use std::collections::BTreeSet;
use std::fs;

use stage::Case;

/// Every command with the options of its short help, those above first.
fn commands(case: &Case, path: &str, out: &mut Vec<(String, BTreeSet<String>)>) {
    let help = case.quiet(format!("{path} -h").trim_start(), 0);
    let section = |title: &'static str| help.lines().skip_while(move |line| *line != title).skip(1).take_while(|line| !line.is_empty());
    let options = section("Options:").filter_map(|line| {
        let option = line.get(..8).filter(|margin| margin.trim_start().starts_with('-') || margin.trim().is_empty());
        option.and_then(|_| line.split_whitespace().find(|word| word.starts_with("--")))
    });
    out.push((path.to_owned(), options.map(str::to_owned).collect()));
    for line in section("Commands:").filter(|line| line.get(2..3).is_some_and(|first| first != " ")) {
        commands(case, format!("{path} {}", line.split_whitespace().next().unwrap()).trim_start(), out);
    }
}

fn all(case: &Case) -> Vec<(String, BTreeSet<String>)> {
    let mut out = Vec::new();
    commands(case, "", &mut out);
    // By hand: a help that could not be read would leave nothing to compare.
    let of = |path: &str| out.iter().find(|(found, _)| found == path).map(|(_, options)| options.clone()).unwrap();
    let expected = |options: &[&str]| options.iter().map(|option| (*option).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(of("witness export"), expected(&["--json", "--ledger", "--log", "--media", "--help"]));
    assert_eq!(of("pin"), expected(&["--charter", "--json", "--log", "--at", "--out", "--help"]));
    assert!(out.len() >= 32, "{} commands", out.len());
    out
}

#[test]
fn every_command_has_a_page_that_names_its_options_its_exits_and_an_example() {
    let case = Case::empty("man-pages");
    case.quiet("man pages", 0);
    let commands = all(&case);
    assert_eq!(fs::read_dir(case.path("pages")).unwrap().count(), commands.len(), "a page for each command and no other");
    let table = include_str!("../docs/exit-codes.md");
    let rows = table.lines().skip_while(|line| !line.starts_with("|---")).skip(1).take_while(|line| line.starts_with('|'));
    let meanings: Vec<Vec<&str>> = rows.map(|row| row.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect()).collect();
    assert_eq!(meanings.len(), 8);
    for (path, options) in &commands {
        let name = format!("tabellion {path}").trim_end().replace(' ', "-");
        let page = String::from_utf8(case.read(&format!("pages/{name}.1"))).unwrap().replace("\\-", "-").replace("\\*(Aq", "'");
        for option in options {
            let mut listed = page.lines().filter(|line| line.starts_with("\\fB") && !line.starts_with("\\fBtabellion"));
            assert!(listed.any(|line| line.contains(&format!("\\fB{option}\\fR"))), "{name}: {option} among the options");
        }
        for meaning in &meanings {
            let [code, words] = meaning.as_slice() else { panic!("{meaning:?}") };
            assert!(page.contains(&format!(".TP 4\n{code}\n{words}\n")), "{name}: exit status {code}");
        }
        let example = page.split(".SH EXAMPLES\n.nf\n").nth(1).unwrap_or_default();
        let typed = if path.is_empty() { "tabellion demo" } else { &format!("tabellion {path}") };
        assert!(example.starts_with(typed), "{name}: {example}");
        let long = case.quiet(format!("{path} --help").trim_start(), 0);
        assert!(long.lines().last().unwrap().contains(typed), "{name}: the example ends the long help");
    }
    let page = |name: &str| String::from_utf8(case.read(&format!("pages/{name}.1"))).unwrap().replace("\\-", "-");
    assert!(page("tabellion-witness-session").ends_with(".SH \"SEE ALSO\"\ntabellion(1), tabellion-witness(1)\n"));
    let below = "tabellion(1), tabellion-key-new(1), tabellion-key-identity(1), tabellion-key-show(1)\n";
    assert!(page("tabellion-key").ends_with(below), "those above and those below");
}

#[test]
fn completions_of_three_shells_name_every_command_and_option() {
    let case = Case::empty("completions");
    let commands = all(&case);
    for shell in ["bash", "zsh", "fish"] {
        let script = case.quiet(&format!("completions {shell}"), 0);
        assert!(!script.contains("\\u{"), "{shell}: nothing is escaped in a program");
        let words: BTreeSet<&str> = script.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')).collect();
        for (path, options) in &commands {
            let name = path.split(' ').next_back().unwrap();
            assert!(name.is_empty() || words.contains(name), "{shell}: {path}");
            for option in options {
                let bare = option.trim_start_matches('-');
                assert!(words.contains(option.as_str()) || words.contains(bare), "{shell}: {path} {option}");
            }
        }
    }
    let refused = case.command("completions bsh").output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "a shell that is not known");
}

#[test]
fn pages_are_written_again_and_never_into_a_file() {
    let case = Case::empty("man-again");
    case.quiet("man pages", 0);
    let first = stage::tree(&case.path("pages"));
    case.quiet("man pages", 0);
    assert!(stage::tree(&case.path("pages")) == first);
    case.write("file", "mine");
    case.quiet("man file", 2);
    assert_eq!(case.read("file"), b"mine");
}

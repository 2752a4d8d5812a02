//! The rules of the house, read from the text of `src/`: who may name whom, what the core may know, how long things may be, and that the
//! assurance case names every rule and nothing that is not there.
//!
//! Each check is a function of text and has a companion test with a planted violation, so that none can pass for want of looking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "house/assurance.rs"]
mod assurance;
#[path = "house/source.rs"]
mod source;

use std::collections::BTreeSet;
use std::path::Path;

use source::{Named, Source};
use tabellion::core::rules::{Rule, Stage};

/// Lines of a file without its tests.
const FILE_LINES_MAX: usize = 450;
/// Files that are longer today, and their bounds: none may grow beyond, and one that is short enough must leave this list.
const LONGER_TODAY: &[(&str, usize)] = &[];
/// Lines of a function on one screen.
const FUNCTION_LINES_MAX: usize = 60;
/// Of all functions, those that may be longer.
const LONG_FUNCTIONS_PERCENT_MAX: usize = 2;

/// Which modules of the crate each module may name besides itself: `cli, appliance → run → {media, broker, keys, clock} → core`, and
/// `broker → ledger`: nothing but the broker opens the ledger.
///
/// Above `run`, a command may prompt for a passphrase and show a time; ledger and media it reaches through `run` only.
const ARROWS: &[(&str, &[&str])] = &[
    ("main", &["cli", "appliance", "run", "core"]),
    ("cli", &["appliance", "run", "keys", "clock", "core"]),
    ("appliance", &["console", "machine", "run", "keys", "clock", "core"]),
    ("console", &["clock", "core"]),
    ("machine", &["core"]),
    ("run", &["media", "broker", "keys", "clock", "core"]),
    ("media", &["core"]),
    ("broker", &["ledger", "clock", "core"]),
    ("ledger", &["core"]),
    ("keys", &["core"]),
    ("clock", &["core"]),
    ("core", &[]),
];

/// Crates that one module alone may name.
const OWNERS: &[(&str, &str)] =
    &[("rusqlite", "ledger"), ("age", "keys"), ("jiff", "clock"), ("ratatui", "console"), ("seccompiler", "machine")];

/// What the core may not know: no files, environment, processes, time, threads, network, randomness, terminal.
const NOT_IN_CORE: &[&[&str]] = &[
    &["std", "fs"],
    &["std", "env"],
    &["std", "process"],
    &["std", "time"],
    &["std", "net"],
    &["std", "thread"],
    &["std", "os"],
    &["getrandom"],
    &["tempfile"],
    &["rand"],
    &["rustix"],
    &["rpassword"],
];

const PRINTING: &[&str] = &["println", "eprintln", "print", "eprint"];
const UNFINISHED: &[&str] = &["todo", "unimplemented", "dbg"];
const NAMES_OF_NOTHING: &[&str] = &["utils", "util", "misc", "helpers", "helper", "common_utils"];

/// The module a file belongs to: the first segment of its path, or `main`, or `lib`.
fn house_of(source: &Source) -> String {
    match source.path.as_str() {
        "src/main.rs" => "main".to_owned(),
        "src/lib.rs" => "lib".to_owned(),
        _ => source.module().into_iter().next().unwrap_or_default(),
    }
}

/// The module of the crate that a path leads to: `None` for other crates and local names, `*` for the whole crate.
fn target_of(source: &Source, named: &Named) -> Option<String> {
    let mut here = source.module();
    here.extend(named.inside.iter().cloned());
    let mut rest = named.segments.as_slice();
    match rest.first()?.as_str() {
        "crate" => here.clear(),
        "tabellion" if source.path == "src/main.rs" => here.clear(),
        "super" => {
            while rest.first().is_some_and(|segment| segment == "super") {
                here.pop();
                rest = &rest[1..];
            }
            here.extend(rest.first().cloned());
            return Some(here.into_iter().next().unwrap_or_else(|| "*".to_owned()));
        }
        _ => return None,
    }
    Some(rest.get(1).cloned().unwrap_or_else(|| "*".to_owned()))
}

fn at(source: &Source, line: usize, what: impl std::fmt::Display) -> String {
    format!("{}:{line}: {what}", source.path)
}

fn arrows(source: &Source) -> Vec<String> {
    let house = house_of(source);
    if house == "lib" {
        return Vec::new();
    }
    let Some((_, may)) = ARROWS.iter().find(|(name, _)| *name == house) else {
        return vec![at(source, 1, format!("module {house} has no place in the plan of the house"))];
    };
    let mut out = Vec::new();
    for named in source.named() {
        let Some(target) = target_of(source, &named) else { continue };
        if target != house && !may.contains(&target.as_str()) {
            out.push(at(source, named.line, format!("{house} names {target} ({})", named.segments.join("::"))));
        }
    }
    out
}

/// Whether the path names `crate_name` as a crate, and not a variable or a module of ours.
fn names_crate(named: &Named, crate_name: &str) -> bool {
    named.segments.first().is_some_and(|head| head == crate_name) && (named.in_use || named.segments.len() > 1)
}

fn owners(source: &Source) -> Vec<String> {
    let house = house_of(source);
    let mut out = Vec::new();
    for named in source.named() {
        let foreign = OWNERS.iter().find(|(crate_name, owner)| names_crate(&named, crate_name) && house != *owner);
        out.extend(foreign.map(|(crate_name, owner)| at(source, named.line, format!("only {owner} names {crate_name}"))));
        let net = named.segments.first().is_some_and(|head| head == "std") && named.segments.get(1).is_some_and(|next| next == "net");
        out.extend(net.then(|| at(source, named.line, "no network code: std::net")));
    }
    out
}

/// A path at or below a forbidden one, or above it so that it brings the forbidden one into scope.
fn reaches(segments: &[String], forbidden: &[&str]) -> bool {
    let segments: Vec<&str> = segments.iter().map(|segment| if segment == "core" { "std" } else { segment.as_str() }).collect();
    let segments = segments.strip_suffix(&["*"]).unwrap_or(&segments);
    !segments.is_empty() && segments.iter().zip(forbidden).all(|(found, not)| found == not)
}

fn purity(source: &Source) -> Vec<String> {
    if house_of(source) != "core" {
        return Vec::new();
    }
    let mut out = Vec::new();
    for named in source.named() {
        let bad = NOT_IN_CORE.iter().find(|forbidden| reaches(&named.segments, forbidden));
        out.extend(bad.map(|bad| at(source, named.line, format!("the core names {}", bad.join("::")))));
    }
    let terminal = source.words().filter(|(_, word)| ["stdin", "stdout", "stderr"].contains(word));
    out.extend(terminal.map(|(line, word)| at(source, line, format!("the core names {word}"))));
    out
}

fn printing(source: &Source) -> Vec<String> {
    if ["cli", "main"].contains(&house_of(source).as_str()) {
        return Vec::new();
    }
    let prints = source.macros().into_iter().filter(|(line, name)| PRINTING.contains(name) && !source.is_test(*line));
    prints.map(|(line, name)| at(source, line, format!("{name}! outside cli and main"))).collect()
}

fn unfinished(source: &Source) -> Vec<String> {
    let left = source.macros().into_iter().filter(|(_, name)| UNFINISHED.contains(name));
    let mut out: Vec<String> = left.map(|(line, name)| at(source, line, format!("{name}!"))).collect();
    out.extend(source.attributes_with("ignore").into_iter().map(|line| at(source, line, "an ignored test")));
    out
}

fn file_length(source: &Source) -> Vec<String> {
    let lines = source.lines_without_tests();
    let today = LONGER_TODAY.iter().find(|(path, _)| *path == source.path);
    let most = today.map_or(FILE_LINES_MAX, |(_, lines)| *lines);
    let fault = match lines {
        lines if lines > most => format!("{lines} lines without tests; {most} at most"),
        lines if today.is_some() && lines <= FILE_LINES_MAX => format!("{lines} lines: take it off the list of longer files"),
        _ => return Vec::new(),
    };
    vec![at(source, 1, fault)]
}

fn file_name(source: &Source) -> Vec<String> {
    let nothing = source.module().into_iter().find(|name| NAMES_OF_NOTHING.contains(&name.as_str()));
    nothing.map(|name| at(source, 1, format!("{name} names no subject"))).into_iter().collect()
}

/// Functions outside tests, and those of them that are too long.
fn function_lengths(sources: &[Source]) -> (usize, Vec<String>) {
    let (mut count, mut long) = (0, Vec::new());
    for source in sources {
        for function in source.functions().into_iter().filter(|function| !source.is_test(function.line)) {
            count += 1;
            if function.lines > FUNCTION_LINES_MAX {
                long.push(at(source, function.line, format!("fn {} has {} lines", function.name, function.lines)));
            }
        }
    }
    (count, long)
}

fn too_many(count: usize, long: usize) -> bool {
    long * 100 > count * LONG_FUNCTIONS_PERCENT_MAX
}

/// The files with this ending below a folder of the repository, by path.
fn files_below(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut out, mut todo) = (Vec::new(), vec![root.join(folder)]);
    while let Some(folder) = todo.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).expect("below the root").to_str().expect("UTF-8").to_owned();
                out.push((name, std::fs::read_to_string(&path).expect("UTF-8 text")));
            }
        }
    }
    out.sort();
    out
}

fn sources_below(folder: &str) -> Vec<Source> {
    files_below(folder).iter().map(|(path, text)| Source::new(path, text)).collect()
}

fn assert_none(check: fn(&Source) -> Vec<String>) {
    let sources = sources_below("src");
    assert!(sources.len() > 50, "{} files found under src/", sources.len());
    let found: Vec<String> = sources.iter().flat_map(check).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

fn plant(check: fn(&Source) -> Vec<String>, path: &str, text: &str) -> usize {
    check(&Source::new(path, text)).len()
}

#[test]
fn modules_name_only_what_the_arrows_allow() {
    assert_none(arrows);
}

#[test]
fn arrows_sees_planted_violations() {
    for (path, text, found) in [
        ("src/core/ids.rs", "use crate::core::rules::{Fault, Rule};\nuse super::cbor;", 0),
        ("src/core/ids.rs", "use crate::{core::rules::Fault, keys::Seed};", 1),
        ("src/core/ids.rs", "fn f() { crate::clock::now_unix(); }", 1),
        ("src/core/ids.rs", "use super::super::media::scan;", 1),
        ("src/core/ids.rs", "mod inner { use super::super::cbor; use super::super::super::ledger; }", 1),
        (
            "src/core/ids.rs",
            "// crate::keys\nconst T: &str = \"crate::keys::Seed\"; const R: &str = r#\"crate::keys\"#; const C: char = '\"';",
            0,
        ),
        ("src/core/ids.rs", "use crate as all;", 1),
        ("src/core/ids.rs", "use crate::*;", 1),
        ("src/clock.rs", "use super::keys::Seed;", 1),
        ("src/clock.rs", "#[cfg(test)]\nmod tests { use super::*; }", 0),
        ("src/clock.rs", "use super::*;", 1),
        ("src/media/mod.rs", "pub use crate::ledger::Ledger;", 1),
        ("src/media/scan.rs", "#[cfg(test)]\nmod tests { use crate::keys::Seed; }", 1),
        ("src/ledger/open.rs", "impl crate::core::event::EventSigner for crate::keys::derive::LedgerKey {}", 1),
        ("src/run/session.rs", "use crate::{keys, broker, media};", 0),
        ("src/run/session.rs", "use crate::ledger::Ledger;", 1),
        ("src/run/domain.rs", "fn f() { crate::ledger::Ledger::open(dir); }", 1),
        ("src/media/scan.rs", "use crate::broker::Broker;", 1),
        ("src/cli/status.rs", "use crate::broker::Broker;", 1),
        ("src/broker/calls.rs", "use crate::ledger::Ledger; use crate::clock::monotonic_us; use crate::core::rules::Rule;", 0),
        ("src/broker/calls.rs", "use crate::run::domain;", 1),
        ("src/run/session.rs", "use crate::cli::text;", 1),
        ("src/keys/mod.rs", "use crate::run::session;", 1),
        ("src/cli/witness.rs", "use crate::ledger::Ledger;", 1),
        ("src/cli/witness.rs", "use crate::keys::Seed; use crate::run; use crate::core::ids::Hash;", 0),
        ("src/cli/witness.rs", "use crate::media::scan;", 1),
        ("src/run/session.rs", "use super::super::attic;", 1),
        ("src/main.rs", "fn main() { tabellion::ledger::open(); tabellion::cli::main() }", 1),
        ("src/attic/mod.rs", "", 1),
    ] {
        assert_eq!(plant(arrows, path, text), found, "{path}: {text}");
    }
}

#[test]
fn crates_with_one_owner_are_named_there_alone() {
    assert_none(owners);
}

#[test]
fn owners_sees_planted_violations() {
    for (path, text, found) in [
        ("src/ledger/open.rs", "use rusqlite::Connection;", 0),
        ("src/run/desk.rs", "use rusqlite::Connection;", 1),
        ("src/run/desk.rs", "fn f() -> rusqlite::Result<()> { ::rusqlite::x() }", 2),
        ("src/run/desk.rs", "use {rusqlite as sql, std::fmt};", 1),
        ("src/core/head.rs", "extern crate age;", 1),
        ("src/core/head.rs", "fn f(age: u64) -> u64 { age.max(self.age) + Self::age() }", 0),
        ("src/run/desk.rs", "use age::secrecy::SecretString;", 1),
        ("src/run/desk.rs", "use std::{fs, net::TcpStream};", 1),
        ("src/run/desk.rs", "use std::os::unix::net::UnixStream;", 0),
    ] {
        assert_eq!(plant(owners, path, text), found, "{path}: {text}");
    }
}

#[test]
fn the_core_knows_no_files_time_environment_or_terminal() {
    assert_none(purity);
}

#[test]
fn purity_sees_planted_violations() {
    for forbidden in NOT_IN_CORE {
        let path = forbidden.join("::");
        assert_eq!(plant(purity, "src/core/ids.rs", &format!("use {path}::x;")), 1, "{path}");
        assert_eq!(plant(purity, "src/core/ids.rs", &format!("fn f() {{ ::{path}::x() }}")), 1, "{path}");
        assert_eq!(plant(purity, "src/keys/mod.rs", &format!("use {path}::x;")), 0, "{path}");
    }
    for (text, found) in [
        ("use std::{fmt, fs::File};", 1),
        ("use std::{fmt, collections::BTreeMap};", 0),
        ("use std::{self};", 1),
        ("use std::*;", 1),
        ("use std as s;", 1),
        ("use core::time::Duration;", 1),
        ("fn f() { io::stdout().flush() }", 1),
        ("/* std::fs::read */ fn f() {}", 0),
    ] {
        assert_eq!(plant(purity, "src/core/ids.rs", text), found, "{text}");
    }
}

#[test]
fn nothing_prints_outside_cli_and_main() {
    assert_none(printing);
}

#[test]
fn printing_sees_planted_violations() {
    for name in PRINTING {
        let text = format!("fn f() {{ {name}!(\"x\"); }}");
        assert_eq!(plant(printing, "src/run/session.rs", &text), 1, "{name}");
        assert_eq!(plant(printing, "src/cli/mod.rs", &text) + plant(printing, "src/main.rs", &text), 0, "{name}");
    }
    assert_eq!(plant(printing, "src/run/session.rs", "fn f() { println(x != y) } // println!(\"x\")"), 0);
}

#[test]
fn nothing_is_unfinished_or_ignored() {
    assert_none(unfinished);
    let found: Vec<String> = sources_below("tests").iter().flat_map(unfinished).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn unfinished_sees_planted_violations() {
    for text in ["fn f() { todo!() }", "fn f() { unimplemented!(\"x\") }", "fn f() { dbg!(1); }", "#[test]\n#[ignore]\nfn f() {}"] {
        assert_eq!(plant(unfinished, "src/run/session.rs", text), 1, "{text}");
        assert_eq!(plant(unfinished, "tests/x.rs", text), 1, "{text}");
    }
    assert_eq!(plant(unfinished, "tests/x.rs", "#[ignore = \"slow\"] fn f() {}"), 1);
    assert_eq!(plant(unfinished, "tests/x.rs", "#[cfg_attr(windows, ignore)] fn f() {}"), 1);
    assert_eq!(plant(unfinished, "tests/x.rs", "fn ignore() { let todo = \"todo!()\"; }"), 0);
}

#[test]
fn files_have_one_subject_and_a_length() {
    assert_none(file_length);
    assert_none(file_name);
}

#[test]
fn file_length_sees_planted_violations() {
    let lines = |count: usize| "const X: u8 = 1;\n".repeat(count);
    let with_tests = |before: usize| format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", lines(before), lines(900));
    let amid = format!("{}#[cfg(test)]\nmod tests;\n{}", lines(225), lines(226));
    assert_eq!(plant(file_length, "src/core/x.rs", &lines(FILE_LINES_MAX)), 0);
    assert_eq!(plant(file_length, "src/core/x.rs", &lines(FILE_LINES_MAX + 1)), 1);
    assert_eq!(plant(file_length, "src/core/x.rs", &with_tests(FILE_LINES_MAX)), 0);
    assert_eq!(plant(file_length, "src/core/x.rs", &with_tests(FILE_LINES_MAX + 1)), 1);
    assert_eq!(plant(file_length, "src/core/x.rs", &amid), 1);
    assert_eq!(plant(file_length, "src/ledger/tests.rs", &lines(900)), 0);
    for (path, most) in LONGER_TODAY {
        let found = [FILE_LINES_MAX, FILE_LINES_MAX + 1, *most, most + 1].map(|count| plant(file_length, path, &lines(count)));
        assert_eq!(found, [1, 0, 0, 1], "{path}");
    }
}

#[test]
fn file_name_sees_planted_violations() {
    for name in NAMES_OF_NOTHING {
        assert_eq!(plant(file_name, &format!("src/core/{name}.rs"), ""), 1);
        assert_eq!(plant(file_name, &format!("src/{name}/mod.rs"), ""), 1);
    }
    assert_eq!(plant(file_name, "src/core/mod.rs", ""), 0);
}

#[test]
fn few_functions_are_longer_than_a_screen() {
    let (count, long) = function_lengths(&sources_below("src"));
    assert!(count > 300, "{count} functions found");
    assert!(!too_many(count, long.len()), "{} of {count} functions:\n{}", long.len(), long.join("\n"));
}

#[test]
fn function_lengths_sees_planted_violations() {
    let function = |lines: usize| format!("pub fn f<T>(x: [u8; 2]) -> Result<(), ()>\nwhere\n{}{{\n}}\n", "T: Copy,\n".repeat(lines - 4));
    let lengths = |text: &str| {
        let (count, long) = function_lengths(&[Source::new("src/core/x.rs", text)]);
        (count, long.len())
    };
    assert_eq!(lengths(&function(FUNCTION_LINES_MAX)), (1, 0));
    assert_eq!(lengths(&function(FUNCTION_LINES_MAX + 1)), (1, 1));
    assert_eq!(lengths(&format!("#[cfg(test)]\nmod tests {{\n{}}}", function(90))), (0, 0));
    assert_eq!(lengths("trait T { fn f(&self); }\ntype F = fn(u8) -> u8;\nfn g() {}"), (1, 0));
    assert!(too_many(99, 2) && !too_many(100, 2) && !too_many(1, 0));
}

#[test]
fn the_assurance_case_names_every_rule_and_nothing_that_is_not_there() {
    let files: Vec<Source> = ["src", "tests"].into_iter().flat_map(sources_below).collect();
    let known = assurance::known(&files);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/ASSURANCE.md")).expect("docs/ASSURANCE.md");
    let ids: Vec<&str> = Rule::ALL.iter().map(|rule| rule.id()).collect();
    let found = assurance::faults(&text, &ids, &known, &|pattern| assurance::is_there(root, pattern));
    assert!(found.is_empty(), "docs/ASSURANCE.md:\n{}", found.join("\n"));
}

#[test]
fn every_rule_of_media_ledger_and_commands_has_a_test_that_names_it_and_every_promise_one() {
    let files: Vec<(String, String)> = ["src", "tests"].into_iter().flat_map(files_below).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let golden = |name: &str| {
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        is_name.then(|| std::fs::read_to_string(root.join(format!("tests/cli/{name}.txt"))).ok()).flatten()
    };
    let tests = assurance::tests(&files, &golden);
    let text = std::fs::read_to_string(root.join("docs/ASSURANCE.md")).expect("docs/ASSURANCE.md");
    let stages = [Stage::Read, Stage::Desk, Stage::Consumer];
    let rules: Vec<(&str, String)> =
        Rule::ALL.iter().filter(|rule| stages.contains(&rule.stage())).map(|rule| (rule.id(), format!("{rule:?}"))).collect();
    let found = assurance::untested(&text, &rules, &tests);
    assert!(found.is_empty(), "docs/ASSURANCE.md:\n{}", found.join("\n"));
    assert_eq!(assurance::promises_without_tests(&text, 1..=13, &tests), [0_u32; 0], "promises without a test");
}

#[test]
fn the_page_of_the_ledger_names_a_test_for_each_promise_and_nothing_that_is_not_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/ledger.md")).expect("docs/ledger.md");
    let known = assurance::known(&["src", "tests"].into_iter().flat_map(sources_below).collect::<Vec<_>>());
    let found = assurance::nowhere(&text, &known, &|pattern| assurance::is_there(root, pattern));
    assert!(found.is_empty(), "docs/ledger.md:\n{}", found.join("\n"));
    let files: Vec<(String, String)> = ["src", "tests"].into_iter().flat_map(files_below).collect();
    let (rows, unshown) = assurance::unshown(&text, "## Line by line", &[], &assurance::tests(&files, &|_| None));
    assert!(rows > 60 && unshown.is_empty(), "{rows} rows, of which\n{}", unshown.join("\n"));
}

/// The direct dependencies of a Cargo.toml, for whatever they are, as `name = …` or as a section of their own.
fn direct(manifest: &str) -> BTreeSet<&str> {
    let mut out = BTreeSet::new();
    for section in manifest.split("\n[") {
        let (name, lines) = section.split_once("]\n").unwrap_or((section, ""));
        match name.rsplit_once("dependencies") {
            Some((_, "")) => out.extend(lines.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim())),
            Some((_, own)) => drop(out.insert(own.trim_start_matches('.').trim_end_matches(']'))),
            None => {}
        }
    }
    out.retain(|name| !name.starts_with('#'));
    out
}

/// The crates that have a row with four cells, none empty.
fn described(document: &str) -> BTreeSet<&str> {
    let whole =
        document.lines().filter(|line| line.matches('|').count() == 5 && line.split('|').skip(1).take(4).all(|cell| cell.len() > 4));
    whole.filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect()
}

#[test]
fn every_direct_dependency_is_argued_for() {
    let read = |path| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path);
    let (manifest, document) = (read("Cargo.toml"), read("docs/dependencies.md"));
    assert!(direct(&manifest).len() > 20);
    assert_eq!(direct(&manifest), described(&document), "Cargo.toml and docs/dependencies.md");
}

#[test]
fn direct_and_described_see_what_they_must() {
    let manifest = "[package]\nname = \"x\"\n\n[dependencies]\nage = \"1\"\n# old = \"1\"\n\n[dev-dependencies]\nhex = { version = \"2\" }\n\n[target.x.dependencies.clap]\nversion = \"4\"\n\n[lints]\nall = 1\n";
    assert_eq!(direct(manifest), ["age", "clap", "hex"].into());
    assert_eq!(described("| `age` (desk) | seals | others | MIT |\n| `hex` | shows |  | MIT |\n| `gone` | why | MIT |\n"), ["age"].into());
}

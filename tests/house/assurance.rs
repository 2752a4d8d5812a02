//! Reads `docs/ASSURANCE.md`: a row `| id | claim | function | tests |` for each rule, in the order of the registry, and no name in it that
//! the sources do not have.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::Path;

use super::source::Source;

/// What a row says instead of a test.
const NO_TEST: &str = "no test yet";
/// What a row says instead of a function.
const NO_FUNCTION: &str = "not built yet";
/// How a rule's vectors are cited, and where they lie.
const VECTORS: &str = "vectors:";
const VECTORS_FOLDER: &str = "proposals-schema/vectors";

/// Every function of the sources as `core::judge::judge`, `ledger_boundary::damaged_page_is_found`; modules named `tests` are left out.
pub fn known(sources: &[Source]) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for source in sources {
        let module = source.module().into_iter().filter(|segment| segment != "tests");
        let module = module.map(|segment| segment + "::").collect::<String>();
        out.extend(source.functions().into_iter().map(|function| format!("{module}{}", function.name)));
    }
    out
}

/// Whether a path of the repository is there. A rule's vectors are taken on trust until the folder of vectors exists; from then on one case
/// must expect the rule.
pub fn is_there(root: &Path, word: &str) -> bool {
    let Some(id) = word.strip_prefix(VECTORS) else { return root.join(word).exists() };
    let folder = root.join(VECTORS_FOLDER);
    !folder.exists() || any_case(&folder, &|text| expects(text, id))
}

/// Whether a case, as text, names the rule in what it expects.
fn expects(text: &str, id: &str) -> bool {
    text.rsplit_once("\"expect\"").is_some_and(|(_, expectation)| expectation.contains(&format!("\"{id}\"")))
}

fn any_case(folder: &Path, fits: &dyn Fn(&str) -> bool) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.flatten().map(|entry| entry.path()).any(|path| match path.extension() {
        _ if path.is_dir() => any_case(&path, fits),
        Some(extension) if extension == "json" => std::fs::read_to_string(&path).is_ok_and(|text| fits(&text)),
        _ => false,
    })
}

/// The tests of the sources with the text of each: its own lines, and the golden file of every command line it plays, for there stands what
/// was printed.
pub fn tests(files: &[(String, String)], golden: &dyn Fn(&str) -> Option<String>) -> BTreeMap<String, String> {
    let mut out: BTreeMap<String, String> = BTreeMap::new();
    for (path, text) in files {
        let (source, lines) = (Source::new(path, text), text.lines().collect::<Vec<_>>());
        let module = source.module().into_iter().filter(|segment| segment != "tests");
        let module = module.map(|segment| segment + "::").collect::<String>();
        for function in source.functions() {
            let above = lines[..function.line - 1].iter().rev().map(|line| line.trim());
            if !above.take_while(|line| line.starts_with("#[") || line.starts_with("//")).any(|line| line == "#[test]") {
                continue;
            }
            let mut body = lines[function.line - 1..function.line - 1 + function.lines].join("\n");
            let played: Vec<String> = body.split('"').skip(1).step_by(2).filter_map(golden).collect();
            body.extend(played);
            out.entry(format!("{module}{}", function.name)).or_default().push_str(&body);
        }
    }
    out
}

/// The last cell of the row that begins so.
fn cited<'a>(text: &'a str, begin: &str) -> &'a str {
    let row = text.lines().find(|line| line.starts_with(begin)).unwrap_or_default();
    row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap_or_default()
}

/// What is wrong with the tests of the rules that no vector can break, for they concern media, the ledger or a command: each wants one test at
/// least that names the rule, by its id or as the code does. `rules` are id and variant of each.
pub fn untested(text: &str, rules: &[(&str, String)], tests: &BTreeMap<String, String>) -> Vec<String> {
    let names_it = |(id, variant): &(&str, String), test: &String| {
        [format!("Rule::{variant}"), format!("[{id}]"), format!("\"{id}\"")].iter().any(|name| test.contains(name.as_str()))
    };
    let is_tested = |rule: &&(&str, String)| {
        let mut tests = quoted(cited(text, &format!("| `{}` |", rule.0))).filter_map(|word| tests.get(&without_types(word)));
        tests.any(|test| names_it(rule, test))
    };
    let missing = rules.iter().filter(|rule| !is_tested(rule));
    missing.map(|(id, variant)| format!("{id}: no test of its row names Rule::{variant}, \"{id}\" or [{id}]")).collect()
}

/// The promises, by number, whose row names no test.
pub fn promises_without_tests(text: &str, promises: RangeInclusive<u32>, tests: &BTreeMap<String, String>) -> Vec<u32> {
    let has_test = |promise: &u32| quoted(cited(text, &format!("| {promise} |"))).any(|word| tests.contains_key(&without_types(word)));
    promises.filter(|promise| !has_test(promise)).collect()
}

/// The words in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// A path as `known` has it: without the type a method belongs to.
fn without_types(path: &str) -> String {
    path.split("::").filter(|segment| !segment.starts_with(char::is_uppercase)).collect::<Vec<_>>().join("::")
}

fn row_faults(id: &str, cells: &[&str]) -> Vec<String> {
    let [claim, function, tests] = cells else { return vec![format!("{id}: {} cells after the id; 3 expected", cells.len())] };
    let mut out = Vec::new();
    if claim.len() < 10 {
        out.push(format!("{id}: no claim"));
    }
    if !function.contains("::") && !function.contains(NO_FUNCTION) {
        out.push(format!("{id}: neither a function nor \"{NO_FUNCTION}\""));
    }
    let has_test = quoted(tests).any(|word| word.contains("::") || word.contains('/') || word.strip_prefix(VECTORS) == Some(id));
    if has_test == tests.contains(NO_TEST) {
        out.push(format!("{id}: either a test or \"{NO_TEST}\", and not both"));
    }
    out
}

/// The names in backticks, of functions, tests, files and vectors, that the repository does not have.
pub fn nowhere(text: &str, known: &BTreeSet<String>, is_there: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut out = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for word in quoted(line) {
            let missing = match word {
                word if word.contains([' ', '…']) => false,
                word if word.contains('/') || word.starts_with(VECTORS) && word != "vectors:ID" => !is_there(word),
                word if word.contains("::") => !known.contains(&without_types(word)),
                _ => false,
            };
            if missing {
                out.push(format!("line {}: `{word}` is nowhere", at + 1));
            }
        }
    }
    out
}

/// Of the rows `| promise | here | shown by |` below `heading`, up to the next of its rank: those whose last cell names neither a test nor a
/// file, and whose second does not begin with one of `reasons`. Also how many rows there are.
pub fn unshown(text: &str, heading: &str, reasons: &[&str], tests: &BTreeMap<String, String>) -> (usize, Vec<String>) {
    let rank = heading.split(' ').next().unwrap_or_default();
    let below = text.lines().skip_while(|line| *line != heading).skip(1);
    let rows = below
        .take_while(|line| line.split(' ').next() != Some(rank))
        .filter(|line| line.starts_with("| ") && !line.starts_with("| promise |"));
    let rows: Vec<&str> = rows.collect();
    let is_shown = |row: &&&str| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [_, here, shown] = cells[..] else { return false };
        let names_one = quoted(shown).any(|word| word.contains('/') || tests.contains_key(&without_types(word)));
        let is_answered = reasons.iter().any(|reason| here.strip_prefix(reason).is_some_and(|why| why.len() > 20));
        names_one || is_answered
    };
    (rows.len(), rows.iter().filter(|row| !is_shown(row)).map(|row| (*row).to_owned()).collect())
}

/// What is wrong with the document.
pub fn faults(text: &str, ids: &[&str], known: &BTreeSet<String>, is_there: &dyn Fn(&str) -> bool) -> Vec<String> {
    let (mut out, mut rows) = (Vec::new(), Vec::new());
    out.extend(nowhere(text, known, is_there));
    for line in text.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if let Some(id) = line.strip_prefix("| `").and_then(|rest| rest.split_once("` |")).map(|(id, _)| id) {
            out.extend(row_faults(id, &cells[1..]));
            rows.push(id);
        }
    }
    for id in ids.iter().filter(|id| !rows.contains(id)) {
        out.push(format!("{id}: a rule without a row"));
    }
    for id in rows.iter().filter(|id| !ids.contains(id)) {
        out.push(format!("{id}: a row without a rule"));
    }
    if out.is_empty() && rows != ids {
        out.push("the rows do not stand in the order of the registry, each once".to_owned());
    }
    out
}

#[test]
fn faults_sees_planted_violations() {
    let sources = [
        Source::new("src/core/judge.rs", "fn lapsed() {}\n#[cfg(test)]\nmod tests {\n#[test]\nfn lapsed_counts_numbers() {}\n}"),
        Source::new("src/ledger/tests.rs", "fn io_error_latches() {}"),
    ];
    let known = known(&sources);
    let expected = ["core::judge::lapsed", "core::judge::lapsed_counts_numbers", "ledger::io_error_latches"];
    assert_eq!(known, expected.map(str::to_owned).into_iter().collect());
    let count = |text: &str| faults(text, &["lapsed", "no-rule"], &known, &|path| path == "tests/independent").len();
    let first = "| `lapsed` | counted in numbers | `core::judge::lapsed` | `core::judge::lapsed_counts_numbers` |\n";
    let second = "| `no-rule` | some rule covers it | not built yet | no test yet |\n";
    assert_eq!(count(&format!("{first}{second}")), 0);
    assert_eq!(count(&format!("see `tests/independent`, `a b/c`, `core::judge::Desk::lapsed`\n{first}{second}")), 0);
    assert_eq!(count(&format!("{first}{second}see `tests/elsewhere`")), 1);
    assert_eq!(count(&format!("{first}{second}see `core::judge::gone`")), 1);
    assert_eq!(count(&format!("{first}{}", second.replace("no test yet", "`vectors:no-rule`"))), 1, "no such vectors");
    assert_eq!(count(&format!("{first}{}", second.replace("no test yet", "`vectors:lapsed`"))), 2, "another rule's vectors");
    assert_eq!(count(first), 1, "a rule without a row");
    assert_eq!(count(&format!("{second}{first}")), 1, "another order");
    assert_eq!(count(&format!("{first}{first}{second}")), 1, "twice");
    assert_eq!(count(&format!("{first}{second}{}", second.replace("no-rule", "old-rule"))), 1, "a row without a rule");
    assert_eq!(count(&format!("{first}{}", second.replace("some rule covers it", ""))), 1, "no claim");
    assert_eq!(count(&format!("{first}{}", second.replace("not built yet", "soon"))), 1, "no function");
    assert_eq!(count(&format!("{first}{}", second.replace("no test yet", "soon"))), 1, "no test");
    assert_eq!(count(&format!("{first}{}", second.replace("no test yet", "no test yet; `core::judge::lapsed`"))), 1, "both");
    assert_eq!(count(&format!("{first}{}", second.replace(" no test yet |", ""))), 1, "a cell is missing");
}

#[test]
fn unshown_sees_planted_violations() {
    let tests: BTreeMap<String, String> = [("tamper::finds".to_owned(), String::new())].into();
    let page = |row: &str| {
        format!("# page\n| a | b | c |\n## Lines\n| promise | here | shown by |\n|---|---|---|\n{row}\n### sub\n## More\n| x | y | z |\n")
    };
    let of = |row: &str| unshown(&page(row), "## Lines", &["Replaced:"], &tests);
    assert_eq!(of("| no row is changed | guards | `tamper::finds` |"), (1, vec![]));
    assert_eq!(of("| no row is changed | Replaced: the design wants FULL, always | |"), (1, vec![]));
    assert_eq!(of("| p | here | `tests/independent/boundary` |\n| q | here | `tamper::Desk::finds` |").0, 2);
    for bad in ["| p | here | `tamper::gone` |", "| p | Replaced: so | |", "| p | here | soon |", "| p | `tamper::finds` |"] {
        assert_eq!(of(bad).1.len(), 1, "{bad}");
    }
    assert_eq!(unshown(&page("| p | here | soon |"), "## Line", &[], &tests).0, 0);
}

#[test]
fn is_there_wants_a_case_that_expects_the_rule() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(is_there(root, "src/lib.rs") && !is_there(root, "src/gone.rs"));
    let case = r#"{ "case": { "verdict": "lapsed" }, "expect": { "rule": "no-rule" }, "made": {} }"#;
    assert!(expects(case, "no-rule"));
    assert!(!expects(case, "lapsed") && !expects(case, "no") && !expects("no-rule", "no-rule"));
    let elsewhere = Path::new(env!("CARGO_TARGET_TMPDIR")).join("house");
    std::fs::remove_dir_all(&elsewhere).unwrap_or_default();
    assert!(is_there(&elsewhere, "vectors:no-rule"), "no vectors at all");
    let folder = elsewhere.join(VECTORS_FOLDER).join("judge");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("README.md"), case).unwrap();
    assert!(!is_there(&elsewhere, "vectors:no-rule"));
    std::fs::write(folder.join("a-case.json"), case).unwrap();
    assert!(is_there(&elsewhere, "vectors:no-rule") && !is_there(&elsewhere, "vectors:lapsed"));
}

#[test]
fn untested_and_promises_without_tests_see_planted_violations() {
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let files = [
        file(
            "tests/desk.rs",
            "#[test]\nfn halts() {\n    refusal(Rule::Halted);\n}\n#[test]\n// why\nfn says() { play(\"story\"); }\nfn no_test() { Rule::Usage }",
        ),
        file("src/ledger/tests.rs", "#[test]\nfn opens() { assert_eq!(rule, \"exists\"); }"),
    ];
    let golden = |name: &str| (name == "story").then(|| "stop [not-found] nothing is there".to_owned());
    let tests = tests(&files, &golden);
    assert_eq!(tests.keys().collect::<Vec<_>>(), ["desk::halts", "desk::says", "ledger::opens"]);
    let rules = |rules: &[(&'static str, &str)]| rules.iter().map(|(id, variant)| (*id, (*variant).to_owned())).collect::<Vec<_>>();
    let count = |rule: (&'static str, &str), cited: &str| {
        let text = format!("| `other` | claim | f | `desk::halts` |\n| `{}` | claim of `desk::halts` | `desk::says` | {cited} |\n", rule.0);
        untested(&text, &rules(&[rule]), &tests).len()
    };
    assert_eq!(count(("halted", "Halted"), "`desk::says`; `desk::halts`"), 0);
    assert_eq!(count(("not-found", "NotFound"), "`desk::says`"), 0, "what was printed counts");
    assert_eq!(count(("exists", "Exists"), "`ledger::opens`"), 0);
    assert_eq!(count(("halted", "Halted"), "`desk::says`"), 1, "a test of something else");
    assert_eq!(count(("usage", "Usage"), "`desk::no_test`"), 1, "a function that is no test");
    assert_eq!(count(("usage", "Usage"), "no test yet"), 1);
    let text = "| 1 | a promise | `desk::halts` | `desk::says` |\n| 2 | another | `desk::halts` | `desk::no_test` |\n";
    assert_eq!(promises_without_tests(text, 1..=3, &tests), [2, 3]);
}

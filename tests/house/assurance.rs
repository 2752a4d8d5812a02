//! Reads `docs/ASSURANCE.md`: a row `| id | claim | function | tests |` for each rule, in the order of the registry, and no name in it that
//! the sources do not have.

use std::collections::BTreeSet;
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

/// What is wrong with the document.
pub fn faults(text: &str, ids: &[&str], known: &BTreeSet<String>, is_there: &dyn Fn(&str) -> bool) -> Vec<String> {
    let (mut out, mut rows) = (Vec::new(), Vec::new());
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

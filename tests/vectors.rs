//! Every case under `proposals-schema/vectors/` against the core, and every rule the core judges against the cases.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "tools/cases/mod.rs"]
mod cases;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tabellion::core::rules::{Rule, Stage};

const CASES_MIN: usize = 80;

/// `{paper: p, times: 3, …}` stands for p1, p2 and p3.
fn spread(expected: &[Value]) -> Vec<Value> {
    let each = |value: &Value| match (value["paper"].as_str(), value["times"].as_u64()) {
        (Some(name), Some(times)) => {
            let mut one = value.clone();
            one.as_object_mut().expect("an object").remove("times");
            (1..=times).map(|at| [("paper".to_owned(), format!("{name}{at}").into())].into_iter().fold(one.clone(), set)).collect()
        }
        _ => vec![value.clone()],
    };
    expected.iter().flat_map(each).collect()
}

fn set(mut value: Value, (key, to): (String, Value)) -> Value {
    value[key] = to;
    value
}

/// Whether `seen` is what `expect` says: every key expected is there with that value; `mentions` are words that stand in `says`.
fn differs(expect: &Value, seen: &Value) -> Option<String> {
    let (Some(expected), Some(found)) = (expect.as_object(), seen.as_object()) else {
        return match (expect.as_array(), seen.as_array()) {
            (Some(e), Some(s)) if spread(e).len() == s.len() => {
                spread(e).iter().zip(s).enumerate().find_map(|(at, (e, s))| differs(e, s).map(|why| format!("[{at}]{why}")))
            }
            _ => (expect != seen).then(|| format!(": {seen} found; {expect} expected")),
        };
    };
    for (key, value) in expected {
        if key == "mentions" {
            let says = seen["says"].as_str().unwrap_or_default();
            let missing = value.as_array().expect("a list of words").iter().find(|word| !says.contains(word.as_str().expect("a word")));
            if let Some(word) = missing {
                return Some(format!(".says: {says:?} found, which does not mention {word}"));
            }
            continue;
        }
        match found.get(key) {
            None => return Some(format!(".{key}: nothing found in {seen}; {value} expected")),
            Some(other) => {
                if let Some(why) = differs(value, other) {
                    return Some(format!(".{key}{why}"));
                }
            }
        }
    }
    // An answer is compared whole, and what was refused is never taken for what was accepted.
    (found.contains_key("rule") && !expected.contains_key("rule")).then(|| format!(": {seen} found; nothing refused expected"))
}

#[test]
fn every_case_gives_what_its_author_expected() {
    let mut wrong = Vec::new();
    for case in cases::all() {
        let run = std::panic::catch_unwind(|| cases::run(&case));
        let Ok(run) = run else {
            wrong.push(format!("{}: it panicked, see above", case.path.display()));
            continue;
        };
        if let Some(why) = differs(&case.json["expect"], &run.seen) {
            wrong.push(format!("{}: expect{why}", case.path.display()));
        }
    }
    assert!(wrong.is_empty(), "{} cases differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_case_is_whole_and_there_are_enough() {
    let all = cases::all();
    assert!(all.len() >= CASES_MIN, "{} cases found; at least {CASES_MIN} expected", all.len());
    let mut comments = BTreeSet::new();
    for case in &all {
        let path = case.path.display();
        let keys: Vec<&String> = case.json.as_object().expect("an object").keys().collect();
        let allowed = ["case", "comment", "expect", "made", "passes"];
        assert!(keys.iter().all(|key| allowed.contains(&key.as_str())) && keys.len() >= 4, "{path}: {keys:?}");
        assert!(case.json["comment"].as_str().is_some_and(|comment| comment.len() >= 20), "{path}: why does it exist?");
        assert!(comments.insert(cases::text(&case.json, "comment").to_owned()), "{path}: another case has its comment");
        let stem = case.path.file_stem().and_then(|stem| stem.to_str()).expect("a name");
        assert!(stem.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{path} is not in kebab case");
    }
}

#[test]
fn made_is_what_the_generator_would_write() {
    for case in cases::all() {
        let text = cases::with_made(&case, &cases::run(&case).made);
        assert!(text == case.text, "{}: run cargo run --example vectors", case.path.display());
    }
}

/// Every rule id that stands as a value of `rule` or `by` somewhere in an expectation.
fn rejected(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| match value {
            Value::String(id) if key == "rule" || key == "by" => drop(into.insert(id.clone())),
            _ => rejected(value, into),
        }),
        Value::Array(items) => items.iter().for_each(|item| rejected(item, into)),
        _ => {}
    }
}

fn has_accepted(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.get("verdict").is_some_and(|verdict| verdict == "accepted") || map.values().any(has_accepted),
        Value::Array(items) => items.iter().any(has_accepted),
        _ => false,
    }
}

#[test]
fn every_rule_the_core_judges_has_its_cases() {
    let (mut rejecting, mut passing) = (BTreeSet::new(), BTreeMap::new());
    for case in cases::all() {
        rejected(&case.json["expect"], &mut rejecting);
        for id in cases::list(&case.json, "passes") {
            assert!(has_accepted(&case.json["expect"]), "{}: passes {id} but expects nothing accepted", case.path.display());
            passing.insert(id.as_str().expect("a rule").to_owned(), case.path.clone());
        }
    }
    let unknown: Vec<&String> = rejecting.iter().chain(passing.keys()).filter(|id| Rule::from_id(id).is_none()).collect();
    assert!(unknown.is_empty(), "no rules: {unknown:?}");
    let stages = [Stage::Parse, Stage::Verify, Stage::Policy, Stage::Judge];
    let of_core = Rule::ALL.iter().filter(|rule| stages.contains(&rule.stage()));
    let without: Vec<&Rule> = of_core.filter(|rule| !rejecting.contains(rule.id())).collect();
    assert!(without.is_empty(), "rules without a rejecting case: {without:?}");
    let judged = Rule::ALL.iter().filter(|rule| rule.stage() == Stage::Judge);
    let without: Vec<&Rule> = judged.filter(|rule| !passing.contains_key(rule.id())).collect();
    assert!(without.is_empty(), "rules without a case that passes them: {without:?}");
}

//! Every case under `proposals-schema/vectors/` against the core, and every rule the core judges against the cases.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "tools/cases/mod.rs"]
mod cases;

use std::collections::BTreeSet;

use serde_json::{Value, json};
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

/// Whether something is accepted: a paper, bytes, or at least one of some texts.
fn has_accepted(value: &Value) -> bool {
    let accepts = |(key, value): (&String, &Value)| match key.as_str() {
        "verdict" => value == "accepted",
        "accepted" => *value == Value::Bool(true) || value.as_array().is_some_and(|texts| !texts.is_empty()),
        _ => has_accepted(value),
    };
    match value {
        Value::Object(map) => map.iter().any(accepts),
        Value::Array(items) => items.iter().any(has_accepted),
        _ => false,
    }
}

/// What is wrong with the cases of the rules of `stages`: each rule wants a case that breaks it, and one of the same kind that comes near to it,
/// says so under `passes`, and is accepted.
fn uncovered<'a>(cases: impl Iterator<Item = &'a Value>, stages: &[Stage]) -> Vec<String> {
    let (mut rejecting, mut passing, mut out) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for case in cases {
        let kind = cases::text(&case["case"], "kind").to_owned();
        let mut rules = BTreeSet::new();
        rejected(&case["expect"], &mut rules);
        rejecting.extend(rules.into_iter().map(|id| (id, kind.clone())));
        for id in cases::list(case, "passes").iter().map(|id| id.as_str().expect("a rule").to_owned()) {
            if !has_accepted(&case["expect"]) {
                out.push(format!("{:?} passes {id} but expects nothing accepted", case["comment"]));
            }
            passing.insert((id, kind.clone()));
        }
    }
    let unknown = rejecting.iter().chain(&passing).filter(|(id, _)| Rule::from_id(id).is_none());
    out.extend(unknown.map(|(id, _)| format!("{id} is no rule")));
    for rule in Rule::ALL.iter().filter(|rule| stages.contains(&rule.stage())) {
        let of_rule = |(id, _): &&(String, String)| id == rule.id();
        if !rejecting.iter().any(|case| of_rule(&case)) {
            out.push(format!("{} has no case that breaks it", rule.id()));
        }
        if !passing.iter().filter(of_rule).any(|case| rejecting.contains(case)) {
            out.push(format!("{} has no case that passes it, of a kind that can break it", rule.id()));
        }
    }
    out
}

#[test]
fn every_rule_the_core_judges_has_a_case_that_breaks_it_and_one_that_passes_it() {
    let all = cases::all();
    let found = uncovered(all.iter().map(|case| &case.json), &[Stage::Parse, Stage::Verify, Stage::Policy, Stage::Judge]);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn uncovered_sees_planted_violations() {
    let case =
        |kind: &str, passes: &[&str], expect: Value| json!({ "comment": "", "case": { "kind": kind }, "passes": passes, "expect": expect });
    let breaks = |kind: &str, id: &str| case(kind, &[], json!({ "rule": id }));
    let passes = |kind: &str, id: &str| case(kind, &[id], json!({ "accepted": true }));
    let count = |cases: &[Value]| uncovered(cases.iter(), &[Stage::Policy]).len();
    let other = [breaks("charter", "charter-unsigned"), passes("charter", "charter-unsigned")];
    let with = |cases: &[Value]| count(&[cases, &other].concat());
    assert_eq!(with(&[breaks("policy", "policy-unsound"), passes("policy", "policy-unsound")]), 0);
    assert_eq!(with(&[breaks("policy", "policy-unsound")]), 1, "nothing passes");
    assert_eq!(with(&[passes("policy", "policy-unsound")]), 2, "nothing breaks");
    assert_eq!(with(&[breaks("policy", "policy-unsound"), passes("charter", "policy-unsound")]), 1, "another kind of case");
    let refused = case("policy", &["policy-unsound"], json!({ "answers": [{ "verdict": "refused", "rule": "policy-unsound" }] }));
    assert_eq!(with(&[refused]), 1, "what passes is accepted");
    let texts = |accepted: &[&str]| case("policy", &["policy-unsound"], json!({ "accepted": accepted, "by": "policy-unsound" }));
    assert_eq!((with(&[texts(&["a"])]), with(&[texts(&[])])), (0, 1), "of texts one at least");
    assert_eq!(with(&[breaks("policy", "no-such-rule"), breaks("policy", "policy-unsound"), passes("policy", "policy-unsound")]), 1);
}

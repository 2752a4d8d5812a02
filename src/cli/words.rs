//! The words in which papers, verdicts and heads are shown. Every text is made from the compared values, so that it cannot drift from them.

use std::collections::BTreeMap;

use crate::core::ids::{Head, Pid};
use crate::core::proposal::{Expect, Operation, Proposal};
use crate::core::rules::Rule;
use crate::core::words::head_words;

/// A head with its words: what is compared aloud.
pub fn head(head: &Head) -> String {
    format!("common@{} {}", head.number, head_words(&head.root))
}

/// A paper, short.
pub fn paper(pid: &Pid, proposal: &Proposal) -> String {
    format!("paper {} of {} (sequence {})", pid.tiny(), proposal.author, proposal.sequence)
}

/// What an operation does, in words.
pub fn operation(operation: &Operation) -> String {
    match operation {
        Operation::Put { name, entry, expect } => {
            let what = format!("put {name}: {} bytes of {}, {}", entry.size, entry.media_type, entry.sha256.short());
            match expect {
                Expect::Anything => format!("{what}, whatever is there"),
                Expect::Absent => format!("{what}, where nothing is"),
                Expect::Content(hash) => format!("{what}, in place of {}", hash.short()),
            }
        }
        Operation::Remove { name, expect: None } => format!("remove {name}, whatever it is"),
        Operation::Remove { name, expect: Some(hash) } => format!("remove {name}, which is {}", hash.short()),
        Operation::SetPolicy { policy, .. } => format!("put policy {} in force", policy.hash().short()),
    }
}

/// The compared values of a rule, as a sentence.
pub fn found(rule: Rule, detail: &str) -> String {
    let values = values(rule, detail);
    let get = |key: &str| values.get(key).map(String::as_str);
    match (rule, get("found"), get("expected"), get("name")) {
        (Rule::ThresholdNotMet, ..) => {
            let (have, need) = (get("have").unwrap_or("?"), get("need").unwrap_or("?"));
            let missing = get("missing").unwrap_or("nobody").replace(' ', ", ");
            format!("{have} of the {need} approvals that group {} needs; not signed by {missing}", get("group").unwrap_or("?"))
        }
        (_, Some(found), Some(expected), Some(name)) => format!("{name} is {found}; expected {expected}"),
        (_, Some(found), Some(expected), None) => {
            let base = get("base").map_or(String::new(), |base| format!("for common@{base} "));
            format!("{base}{found}; expected {expected}")
        }
        _ => values.iter().map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", "),
    }
}

/// A detail as keys and values; the keys are those of the registry.
fn values(rule: Rule, detail: &str) -> BTreeMap<String, String> {
    let keys: Vec<&str> = rule.values().split_whitespace().collect();
    let (mut out, mut key) = (BTreeMap::<String, String>::new(), String::new());
    for word in detail.split(' ') {
        if keys.contains(&word) && !out.contains_key(word) {
            key = word.to_owned();
            out.insert(key.clone(), String::new());
        } else if let Some(value) = out.get_mut(&key) {
            if !value.is_empty() {
                value.push(' ');
            }
            value.push_str(word);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_become_sentences_with_both_values() {
        let text = found(Rule::ExpectationFailed, "name tools/editor found sha256:5c0211aa00000000 expected absent");
        assert_eq!(text, "tools/editor is sha256:5c0211aa00000000; expected absent");
        let text = found(Rule::ThresholdNotMet, "group release have 1 need 2 missing carol james");
        assert_eq!(text, "1 of the 2 approvals that group release needs; not signed by carol, james");
        assert_eq!(found(Rule::NoRule, "name docs/a"), "name docs/a");
        assert_eq!(
            found(Rule::BaseRootMismatch, "base 3 found sha256:aa expected sha256:bb"),
            "for common@3 sha256:aa; expected sha256:bb"
        );
    }
}

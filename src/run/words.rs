//! The words in which papers, verdicts and heads are shown. Every text is made from the compared values, so that it cannot drift from them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::core::artifact::{Member, Tree};
use crate::core::ids::{Hash, Head, Name, Pid};
use crate::core::plan::PolicyPaper;
use crate::core::policy_change::PolicyChange;
use crate::core::policy_words::{approval_words, consequence_words, side_words, warning_words};
use crate::core::proposal::{Entry, Expect, Operation, Proposal};
use crate::core::quorum::Approval;
use crate::core::rules::{Outcome, Rule};
use crate::core::words::head_words;

/// A head with its words: what is compared aloud.
pub fn head(head: &Head) -> String {
    format!("common@{} {}", head.number, head_words(&head.root))
}

/// A paper, short.
pub fn paper(pid: &Pid, proposal: &Proposal) -> String {
    format!("paper {} of {} (sequence {})", pid.tiny(), proposal.author, proposal.sequence)
}

/// What a paper is about: its name, its first name and how many others, or the policy.
pub fn about(proposal: &Proposal) -> String {
    let names: Vec<&str> = proposal.operations.iter().filter_map(Operation::name).map(Name::as_str).collect();
    match names.as_slice() {
        [] => "the policy".to_owned(),
        [first] => (*first).to_owned(),
        [first, rest @ ..] => format!("{first} and {}", count(rest.len(), "other name")),
    }
}

/// What an operation does, in words.
pub fn operation(operation: &Operation) -> String {
    match operation {
        Operation::Put { name, entry, expect } => {
            let size = match entry.size {
                1 => "1 byte".to_owned(),
                bytes => format!("{bytes} bytes"),
            };
            let what = format!("put {name}: {size} of {}, {}", entry.media_type, entry.sha256.short());
            let what = match expect {
                Expect::Anything => format!("{what}, whatever is there"),
                Expect::Absent => format!("{what}, as a new entry"),
                Expect::Content(hash) => format!("{what}, in place of {}", hash.short()),
            };
            let claim =
                entry.source.as_ref().map(|source| format!("; by its author's claim from {}@{}", source.origin, source.head.number));
            what + &claim.unwrap_or_default()
        }
        Operation::Remove { name, expect: None } => format!("remove {name}, whatever it is"),
        Operation::Remove { name, expect: Some(hash) } => format!("remove {name}, which is {}", hash.short()),
        Operation::SetPolicy { policy, .. } => format!("put policy {} in force", policy.hash().short()),
    }
}

/// The entry that an operation puts.
pub fn entry(operation: &Operation) -> Option<&Entry> {
    match operation {
        Operation::Put { entry, .. } => Some(entry),
        _ => None,
    }
}

/// A tree, in one line: `tree of 12 files, 34,567 bytes`.
pub fn tree(tree: &Tree) -> String {
    format!("tree of {}, {} bytes", count(tree.members().len(), "file"), thousands(tree.bytes()))
}

/// A file of a tree. Its path is its author's text: what could move or hide other text is escaped.
pub fn member(member: &Member) -> String {
    let shown: String = member.path.escape_debug().collect();
    let path = if shown == member.path { shown } else { format!("{:?}", member.path) };
    format!("{} {}  {} bytes  {path}", if member.executable { "executable" } else { "file      " }, member.sha256.short(), member.size)
}

/// A number with commas between its thousands.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Most things listed for one rule, so that a medium full of them does not push the answers off the screen.
const LISTED_OF_A_RULE_MAX: usize = 10;

/// What is shown of a list, and how much is left out for each rule.
pub fn of_each_rule<T>(listed: &[T], rule: impl Fn(&T) -> Rule, all: bool) -> (Vec<&T>, BTreeMap<Rule, usize>) {
    most_of_each_rule(listed, rule, if all { usize::MAX } else { LISTED_OF_A_RULE_MAX })
}

/// The first `most` of each rule, and how much is left out.
pub fn most_of_each_rule<T>(listed: &[T], rule: impl Fn(&T) -> Rule, most: usize) -> (Vec<&T>, BTreeMap<Rule, usize>) {
    let (mut counts, mut shown) = (BTreeMap::<Rule, usize>::new(), Vec::new());
    for listed in listed {
        let count = counts.entry(rule(listed)).or_default();
        *count += 1;
        if *count <= most {
            shown.push(listed);
        }
    }
    let left_out = counts.into_iter().filter(|(_, count)| *count > most);
    (shown, left_out.map(|(rule, count)| (rule, count - most)).collect())
}

/// A number of things: `1 paper`, `2 papers`.
pub fn count(number: usize, what: &str) -> String {
    let ending = match number {
        1 => "",
        _ if what.ends_with('h') => "es",
        _ => "s",
    };
    format!("{number} {what}{ending}")
}

/// A change of policy, line by line, for results and screens alike.
pub fn change_lines(change: &PolicyChange) -> Vec<String> {
    let sentences: Vec<String> = change.consequences.iter().flat_map(consequence_words).collect();
    let mut out: Vec<String> = sentences.iter().map(|sentence| format!("change   {sentence}")).collect();
    if out.is_empty() {
        out.push("change   nothing that anybody would notice: groups or retired keys are written in another way".into());
    }
    out.extend(change.warnings.iter().map(|warning| format!("warning  {}", warning_words(warning))));
    out
}

/// How each side stands, line by line: have, need, from whom.
pub fn approval_lines(approvals: &[Approval]) -> Vec<String> {
    approvals.iter().map(|approval| format!("approval {}: {}", side_words(approval.by), approval_words(approval))).collect()
}

/// What the operator sees of a policy on a medium.
pub fn policy_lines(paper: &PolicyPaper) -> Vec<String> {
    change_lines(&paper.change).into_iter().chain(approval_lines(&paper.approvals)).collect()
}

/// The compared values of a rule, as a sentence. A detail that lacks a value its rule should have is shown as it stands.
pub fn found(rule: Rule, detail: &str) -> String {
    let values = values(rule, detail);
    sentence(rule, &values).unwrap_or_else(|| detail.to_owned())
}

fn sentence(rule: Rule, values: &BTreeMap<String, String>) -> Option<String> {
    let get = |key: &str| values.get(key).map(String::as_str);
    let is = |found: &str, expected: &str| format!("{found}; expected {expected}");
    Some(match rule {
        Rule::ThresholdNotMet if get("old.group").is_some() => {
            let side = |which: &str, key: &str| values.get(&format!("{which}.{key}")).map(String::as_str);
            let stands = |which: &str| {
                let (have, need, group) = (side(which, "have")?, side(which, "need")?, side(which, "group")?);
                let missing = side(which, "missing").map(|names| format!("not signed by {}", names.replace(' ', ", ")));
                Some(format!("{have} of {need} in {group}, {}", missing.unwrap_or("complete".into())))
            };
            format!("under the policy in force: {}; under the new policy: {}", stands("old")?, stands("new")?)
        }
        Rule::ThresholdNotMet => {
            let missing = get("missing").filter(|missing| !missing.is_empty()).unwrap_or("nobody").replace(' ', ", ");
            format!("{} of the {} approvals that group {} needs; not signed by {missing}", get("have")?, get("need")?, get("group")?)
        }
        Rule::AuthorNotActive => format!("{} signed with no key that is active now", get("author")?),
        Rule::SequenceTaken => format!("sequence {} is bound by paper {}", get("sequence")?, get("by")?),
        Rule::BaseRootMismatch => format!("root {} cited for common@{}; ours is {}", get("found")?, get("base")?, get("expected")?),
        Rule::Lapsed if get("last").is_some() => format!("it would be common@{}; its last number is {}", get("number")?, get("last")?),
        Rule::Lapsed => {
            format!(
                "held since common@{}, and the head is common@{}; at most {} numbers are waited",
                get("since")?,
                get("head")?,
                get("most")?
            )
        }
        Rule::DependencyRefused => format!("it follows paper {}, which was refused", get("after")?),
        Rule::DependencyOpen => format!("it follows paper {}, which is not decided", get("after")?),
        Rule::BaseTooOld => {
            format!(
                "made on common@{} when the head was common@{}; at most {} numbers back are allowed",
                get("base")?,
                get("head")?,
                get("most")?
            )
        }
        Rule::BaseAhead => format!("made on common@{}; our head is common@{}", get("base")?, get("head")?),
        Rule::NoRule => format!("{}, which begins with no prefix of the policy", get("name")?),
        Rule::ProposerNotAllowed => {
            format!("{} is covered by the rule for {}, which does not name {}", get("name")?, get("prefix")?, get("author")?)
        }
        Rule::NameShadowsRule => format!("{} lies above the prefix {}", get("name")?, get("prefix")?),
        Rule::NameCollides => format!("{} is asked for, and {} stays an entry", get("name")?, get("other")?),
        Rule::EntryTooLarge => format!("{} has {} bytes; at most {} allowed", get("name")?, get("found")?, get("most")?),
        Rule::ObjectFault if get("tree-form").is_some() => format!("{} shall be a tree, and its {}", get("name")?, get("tree-form")?),
        Rule::ObjectFault if get("object").is_some() => {
            format!("{} in the tree {} has {} bytes; the tree says {}", get("object")?, get("name")?, get("found")?, get("expected")?)
        }
        Rule::ObjectFault => format!("the content of {} has {} bytes; the paper says {}", get("name")?, get("found")?, get("expected")?),
        Rule::NoEffect => format!("{} is already as the paper asks", get("name")?),
        Rule::ObjectMissing => format!("the content of {}, {}, was brought by no medium", get("name")?, get("object")?),
        Rule::QuotaUsed => format!("{} papers of the author were accepted in this session, the most allowed", get("quota")?),
        Rule::SessionEnded => format!("paper {} put a new policy in force", get("by")?),
        Rule::HeldFull => format!("{} papers of the author are held, the most allowed", get("most")?),
        Rule::ExpectationFailed if get("expected") == Some("absent") => {
            format!("{} exists already, as {}; the paper expected none", get("name")?, get("found")?)
        }
        Rule::ExpectationFailed if get("found") == Some("absent") && get("name").is_some() => {
            format!("{} does not exist; the paper expected {}", get("name")?, get("expected")?)
        }
        Rule::ExpectationFailed if get("name").is_none() => {
            format!("the policy in force is {}; the paper expected {}", get("found")?, get("expected")?)
        }
        _ => match get("name") {
            Some(name) => format!("{name} is {}", is(get("found")?, get("expected")?)),
            None => is(get("found")?, get("expected")?),
        },
    })
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

/// What becomes of a paper after an answer.
pub fn what_stays(outcome: Outcome, rule: Rule) -> &'static str {
    match (outcome, rule) {
        (Outcome::Refused, _) => "changed nothing, and the refusal is final",
        (_, Rule::HeldFull) => "is not kept",
        _ => "is held and judged again in every session",
    }
}

/// What becomes of something that is listed, whose bytes have this hash: zero when none was taken.
pub fn what_is_left(rule: Rule, sha256: &Hash) -> String {
    let what = match rule {
        Rule::BundleCut | Rule::BundleCount | Rule::BundleOrder | Rule::ObjectTooLarge => {
            "what stands before that place was read; from there on nothing of the file counts"
        }
        Rule::SignatureInvalid | Rule::SignatureStranger => "that signature counts for nothing; the paper stands without it",
        _ => "it counts for nothing and harms nobody",
    };
    if *sha256 == Hash::ZERO { format!("{what}; no hash of it was taken") } else { format!("{what}; sha256:{sha256}") }
}

/// Where something lies: with its medium in front when there are several.
pub fn place<'a>(path: &str, medium: usize, mut media: impl ExactSizeIterator<Item = &'a PathBuf>) -> String {
    match media.len() {
        1 => path.to_owned(),
        _ => media.nth(medium).map_or_else(|| path.to_owned(), |medium| format!("{}/{path}", medium.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_become_sentences_with_both_values() {
        let text = found(Rule::ExpectationFailed, "name tools/editor found sha256:5c0211aa00000000 expected absent");
        assert_eq!(text, "tools/editor exists already, as sha256:5c0211aa00000000; the paper expected none");
        let text = found(Rule::ThresholdNotMet, "group release have 1 need 2 missing carol james");
        assert_eq!(text, "1 of the 2 approvals that group release needs; not signed by carol, james");
        let text = found(
            Rule::ThresholdNotMet,
            "old.group board old.have 2 old.need 2 new.group council new.have 0 new.need 1 new.missing dave erin",
        );
        assert_eq!(
            text,
            "under the policy in force: 2 of 2 in board, complete; under the new policy: 0 of 1 in council, not signed by dave, erin"
        );
        assert_eq!(found(Rule::NoRule, "name docs/a"), "docs/a, which begins with no prefix of the policy");
        let text = found(Rule::BaseRootMismatch, "base 3 found sha256:aa expected sha256:bb");
        assert_eq!(text, "root sha256:aa cited for common@3; ours is sha256:bb");
        assert_eq!(found(Rule::Lapsed, "number 4 last 3"), "it would be common@4; its last number is 3");
        let text = found(Rule::Lapsed, "held since 3 head 9 most 5");
        assert_eq!(text, "held since common@3, and the head is common@9; at most 5 numbers are waited");
        assert_eq!([0, 999, 1_000, 34_567, 1_234_567].map(thousands), ["0", "999", "1,000", "34,567", "1,234,567"]);
        // What has no sentence, or lost a value to the bound of a detail, is shown as it stands.
        for detail in ["k is 4; it has 3 parts", "name docs/a"] {
            assert_eq!(found(Rule::PolicyFault, detail), detail);
        }
    }
}

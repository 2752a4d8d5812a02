//! Sentences about policies, made from the facts of [`super::meaning`] and [`super::policy_change`] and from nothing else, so that words and
//! JSON cannot differ.

use super::ids::{Party, Prefix};
use super::limits::{OBJECT_BYTES_MAX, SESSION_PAPERS_MAX};
use super::meaning::{Meaning, Person, Reach, Warning, Way};
use super::policy_change::{Consequence, KeyFate};
use super::quorum::{Approval, Side};

/// `alice`; `alice and bob`; `alice, bob and carol`.
pub fn names(people: &[Party]) -> String {
    match people {
        [] => "nobody".into(),
        [one] => one.to_string(),
        [others @ .., last] => format!("{} and {last}", others.iter().map(Party::as_str).collect::<Vec<_>>().join(", ")),
    }
}

/// A number with its thousands apart: `1,000,000`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let parts: Vec<&[u8]> = digits.as_bytes().rchunks(3).rev().collect();
    parts.iter().map(|part| String::from_utf8_lossy(part)).collect::<Vec<_>>().join(",")
}

fn has_have(people: &[Party]) -> &'static str {
    if people.len() == 1 { "has" } else { "have" }
}

/// Who can publish at a place, as a sentence.
pub fn publish(ways: &[Way], place: &str) -> String {
    let one = |way: &Way| match (way.who.as_slice(), &way.with) {
        ([one], None) => format!("{one} alone can publish{place}"),
        (many, None) => format!("{} can each publish{place} alone", names(many)),
        ([one], Some(with)) => format!("{one} can publish{place} with the approval of {with}"),
        (many, Some(with)) => format!("{} can each publish{place} with the approval of {with}", names(many)),
    };
    match ways {
        [] => format!("nobody can publish{place}"),
        ways => ways.iter().map(one).collect::<Vec<_>>().join("; "),
    }
}

fn under(prefix: &Prefix) -> String {
    match prefix.as_str() {
        "/" => " wherever no other rule decides".into(),
        prefix => format!(" under {prefix}"),
    }
}

/// The same, short: what stands behind `before:`.
fn shortly(ways: Option<&[Way]>) -> String {
    let one = |way: &Way| match (way.who.as_slice(), &way.with) {
        ([one], None) => format!("{one} alone"),
        (many, None) => format!("{}, each alone", names(many)),
        ([one], Some(with)) => format!("{one} with {with}"),
        (many, Some(with)) => format!("{}, each with {with}", names(many)),
    };
    match ways {
        None => "no rule covered it".into(),
        Some([]) => "nobody".into(),
        Some(ways) => ways.iter().map(one).collect::<Vec<_>>().join("; "),
    }
}

/// A policy in words: pairs of a label and a sentence.
pub fn meaning_words(meaning: &Meaning) -> Vec<(String, String)> {
    let mut out = vec![("governed".to_owned(), format!("by {}; they are the custodians", meaning.governors.need))];
    out.extend(meaning.prefixes.iter().map(|reach| (reach.prefix.to_string(), reach_words(reach))));
    out.extend(meaning.members.iter().map(|person| (person.name.to_string(), person_words(person))));
    let (lag, held) = (grouped(meaning.base_lag_max), grouped(meaning.held_numbers_max));
    out.push(("lag".into(), format!("a paper's base may lie {lag} numbers behind the head when the paper first comes")));
    out.push(("held".into(), format!("a paper that waits lapses when the head has moved on by more than {held} numbers")));
    out.extend(meaning.warnings.iter().map(|warning| ("warning".to_owned(), warning_words(warning))));
    out
}

fn reach_words(reach: &Reach) -> String {
    let content = match reach.content {
        "forbidden" => "content is never kept or published",
        "required" => "a paper waits until its content is brought",
        _ => "content is kept when it is brought",
    };
    let unable = match reach.unable.as_slice() {
        [] => String::new(),
        unable => format!("; {} may propose but cannot, without an active key or with the quota 0", names(unable)),
    };
    format!("{}{unable}; {content}; {}", publish(&reach.publish, ""), size_words(reach.size_max))
}

fn size_words(size_max: u64) -> String {
    match size_max {
        OBJECT_BYTES_MAX => "entries of any size".into(),
        most => format!("at most {} bytes an entry", grouped(most)),
    }
}

fn quota_words(quota: u64) -> String {
    match quota {
        SESSION_PAPERS_MAX => "as many accepted papers a session as there may be".into(),
        most => format!("at most {} accepted papers a session", grouped(most)),
    }
}

fn person_words(person: &Person) -> String {
    let keys = |count: u64| format!("{count} {}", if count == 1 { "key" } else { "keys" });
    let retired = if person.retired_keys > 0 { format!(", {} retired", person.retired_keys) } else { String::new() };
    format!("{}{retired}, {}", keys(person.active_keys), quota_words(person.quota))
}

/// A warning as a sentence.
pub fn warning_words(warning: &Warning) -> String {
    match warning {
        Warning::OnePersonGoverns { who } => match who.as_slice() {
            [one] => format!("{one} alone can change the policy: whoever steals that one key governs"),
            many => format!("{} can each change the policy alone: whoever steals one of their keys governs", names(many)),
        },
        Warning::GovernorIndispensable { who } => match who.as_slice() {
            [one] => format!("nobody can change the policy without {one}: if the keys of {one} are lost, it stays as it is for ever"),
            many => format!(
                "nobody can change the policy without all of {}: if the keys of one of them are lost, it stays as it is for ever",
                names(many)
            ),
        },
        Warning::CharterSignatures { need, most } => {
            format!("the governors need {need} signatures; a charter takes {most} at most, so this policy cannot found a Common")
        }
        Warning::NoRule => "there is no rule: nothing can be published".into(),
        Warning::NobodyPublishes { prefix } => format!(
            "nobody can publish{}: those who may propose have no active key or the quota 0, or there are none; what stands there stays",
            under(prefix)
        ),
        Warning::NoSpare { group, without_key } => {
            format!("group {group} can spare nobody: {} {} no active key", names(without_key), has_have(without_key))
        }
        Warning::CannotSign { member } => format!("{member} has no active key and can sign nothing"),
        Warning::NoQuota { member } => format!("{member} can approve, but with the quota 0 no paper of {member} is ever accepted"),
        Warning::GroupUnused { group } => format!("nothing names group {group}"),
    }
}

/// A consequence as one or two sentences.
pub fn consequence_words(consequence: &Consequence) -> Vec<String> {
    match consequence {
        Consequence::Governors { before, after } => vec![format!("the policy can be changed by {after} (before: {before})")],
        Consequence::Publish { prefix, before, after, lost, .. } => publish_words(prefix, before.as_deref(), after.as_deref(), lost),
        Consequence::Content { prefix, before, after } => vec![format!("content{} is {after} (before: {before})", under(prefix))],
        Consequence::Size { prefix, before, after } => {
            vec![format!("{}{} (before: {})", size_words(*after), under(prefix), size_words(*before))]
        }
        Consequence::Joins { member, keys } if keys.is_empty() => vec![format!("{member} joins, with no active key")],
        Consequence::Joins { member, keys } => vec![format!("{member} joins, with key {}", keys.join(" and "))],
        Consequence::Leaves { member } => vec![format!(
            "{member} leaves: papers of {member} that are held will be refused, approvals by {member} count no more, and the name and keys are never given to another"
        )],
        Consequence::Key { member, key, becomes } => vec![key_words(member.as_str(), key, *becomes)],
        Consequence::EveryKeyNew { member } => {
            vec![format!("every active key of {member} is another: make sure that it is the same person")]
        }
        Consequence::Quota { member, before, after } => {
            vec![format!("{member} may have {} (before: {})", quota_words(*after), quota_words(*before))]
        }
        Consequence::Lag { before, after } => {
            vec![format!("a paper's base may lie {} numbers behind the head (before: {})", grouped(*after), grouped(*before))]
        }
        Consequence::Held { before, after } => {
            vec![format!("a paper that waits lapses after {} numbers (before: {})", grouped(*after), grouped(*before))]
        }
        Consequence::Shadowed { name, prefix } => {
            vec![format!("{name} stands in Common and lies above the prefix {prefix}: it stays and can be removed, but never be put again")]
        }
        Consequence::Uncovered { count: 1, first } => {
            vec![format!("{first} stands in Common and no rule covers it any more: it stays, and nobody can change it")]
        }
        Consequence::Uncovered { count, first } => vec![format!(
            "{count} entries of Common, the first {first}, are covered by no rule any more: they stay, and nobody can change them"
        )],
    }
}

fn publish_words(prefix: &Prefix, before: Option<&[Way]>, after: Option<&[Way]>, lost: &[Party]) -> Vec<String> {
    let was = shortly(before);
    let Some(after) = after else { return vec![format!("no rule covers {prefix} any more: nobody can publish there (before: {was})")] };
    let mut out = vec![format!("{} (before: {was})", publish(after, &under(prefix)))];
    if !lost.is_empty() && !after.is_empty() {
        out.push(format!("{} can no longer publish{}", names(lost), under(prefix)));
    }
    out
}

fn key_words(member: &str, key: &str, becomes: KeyFate) -> String {
    let gone = format!("it signs nothing any more, and papers of {member} that are held and signed with no other key will be refused");
    match becomes {
        KeyFate::Added => format!("{member} gets key {key}"),
        KeyFate::Retired => format!("key {key} of {member} retires: {gone}"),
        KeyFate::Dropped => format!("key {key} of {member} is listed no more: {gone}"),
        KeyFate::ActiveAgain => format!("key {key} of {member}, which had been retired, may sign again"),
    }
}

/// How an approval stands: have, need, from whom.
pub fn approval_words(approval: &Approval) -> String {
    let Approval { group, tally, still, .. } = approval;
    let stands = still.as_ref().map_or("complete".to_owned(), |still| format!("missing {still}"));
    format!("{} of {} in {group}, {stands}", tally.have, tally.need)
}

/// Whose rules an approval is counted by, in words.
pub fn side_words(side: Side) -> &'static str {
    match side {
        Side::InForce => "the policy in force",
        Side::Coming => "the new policy",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ids::Hash;
    use crate::core::meaning::meaning;
    use crate::core::policy::{Policy, show_key};
    use crate::core::policy_change::compare;
    use crate::core::policy_text::parse;
    use crate::core::proposal::Entry;
    use crate::core::state::State;

    /// TOML in which `{a}` stands for a key of that letter.
    fn policy(text: &str) -> Policy {
        let key = |letter: u8| show_key(&ed25519_dalek::SigningKey::from_bytes(&[letter; 32]).verifying_key().to_bytes());
        let text = (b'a'..=b'z').fold(text.to_owned(), |text, letter| text.replace(&format!("{{{}}}", char::from(letter)), &key(letter)));
        parse(&text).expect("a sound policy")
    }

    const FIRST: &str = "governors = \"all\"
[[member]]
name = \"alice\"
keys = [\"{a}\"]
[[member]]
name = \"bob\"
keys = [\"{b}\", \"{c}\"]
retired = [\"{o}\"]
quota = 5
[[member]]
name = \"carol\"
keys = [\"{d}\"]
[[group]]
name = \"all\"
k = 2
of = [\"alice\", \"bob\", \"carol\"]
[[rule]]
prefix = \"docs/\"
propose = [\"alice\", \"carol\"]
[[rule]]
prefix = \"old/\"
propose = [\"alice\"]
[[rule]]
prefix = \"tools/\"
propose = [\"carol\"]
approve = \"all\"
size_max = 5000
";

    /// What changes from the first policy to one made of it by these replacements, without the keys' digits.
    fn changes(edits: &[(&str, &str)], state: Option<&State>) -> Vec<String> {
        let mut text = FIRST.to_owned();
        for (from, to) in edits {
            assert!(text.contains(from), "{from}");
            text = text.replacen(from, to, 1);
        }
        let change = compare(&policy(FIRST), &policy(&text), state);
        let words = change.consequences.iter().flat_map(consequence_words).chain(change.warnings.iter().map(warning_words));
        let without_digits =
            |text: String| text.split(' ').map(|word| if word.len() > 70 { "KEY" } else { word }).collect::<Vec<_>>().join(" ");
        words.map(|text| without_digits(text.replace(':', ": ").replace("ed25519: ", "ed25519:").replace(":  ", ": "))).collect()
    }

    #[test]
    fn consequences_are_told_not_fields() {
        let said = |edits: &[(&str, &str)]| changes(edits, None).join("\n");
        assert_eq!(said(&[]), "");
        assert_eq!(
            said(&[("propose = [\"alice\", \"carol\"]", "propose = [\"alice\"]")]),
            "alice alone can publish under docs/ (before: alice and carol, each alone)\ncarol can no longer publish under docs/"
        );
        assert_eq!(said(&[("approve = \"all\"\n", "")]), "carol alone can publish under tools/ (before: carol with alice or bob)");
        assert_eq!(
            said(&[("k = 2", "k = 1")]),
            "the policy can be changed by alice, bob or carol (before: any 2 of alice, bob, carol)\ncarol alone can publish under tools/ (before: carol with alice or bob)\nalice, bob and carol can each change the policy alone: whoever steals one of their keys governs"
        );
        assert_eq!(
            said(&[("size_max = 5000\n", "size_max = 70\ncontent = \"required\"\n")]),
            "content under tools/ is required (before: optional)\nat most 70 bytes an entry under tools/ (before: at most 5,000 bytes an entry)"
        );
        assert_eq!(
            said(&[("quota = 5\n", "")]),
            "bob may have as many accepted papers a session as there may be (before: at most 5 accepted papers a session)"
        );
        assert_eq!(
            said(&[("quota = 5\n", "quota = 0\n")]),
            "bob may have at most 0 accepted papers a session (before: at most 5 accepted papers a session)\nbob can approve, but with the quota 0 no paper of bob is ever accepted"
        );
        assert_eq!(
            said(&[("governors", "base_lag_max = 7\nheld_numbers_max = 8\ngovernors")]),
            "a paper's base may lie 7 numbers behind the head (before: 1,000)\na paper that waits lapses after 8 numbers (before: 1,000)"
        );
        let nobody = "nobody can publish under docs/ (before: alice and carol, each alone)\nnobody can publish under docs/: those who may propose have no active key or the quota 0, or there are none; what stands there stays";
        assert_eq!(said(&[("propose = [\"alice\", \"carol\"]", "propose = []")]), nobody);
    }

    #[test]
    fn what_becomes_of_keys_and_people_is_told() {
        let said = |edits: &[(&str, &str)]| changes(edits, None).join("\n");
        let gone = "it signs nothing any more, and papers of bob that are held and signed with no other key will be refused";
        assert_eq!(said(&[("\"{b}\", \"{c}\"", "\"{b}\""), ("\"{o}\"", "\"{o}\", \"{c}\"")]), format!("key KEY of bob retires: {gone}"));
        assert_eq!(said(&[("\"{b}\", \"{c}\"", "\"{b}\"")]), format!("key KEY of bob is listed no more: {gone}"));
        assert_eq!(
            said(&[("\"{b}\", \"{c}\"", "\"{b}\", \"{c}\", \"{o}\""), ("retired = [\"{o}\"]\n", "")]),
            "key KEY of bob, which had been retired, may sign again"
        );
        let other = said(&[("\"{b}\", \"{c}\"", "\"{p}\"")]);
        assert!(
            other.contains("bob gets key KEY")
                && other.ends_with("every active key of bob is another: make sure that it is the same person"),
            "{other}"
        );
        let left = said(&[
            ("[[member]]\nname = \"carol\"\nkeys = [\"{d}\"]\n", "[[member]]\nname = \"dave\"\nkeys = [\"{e}\"]\n"),
            ("\"bob\", \"carol\"]", "\"bob\", \"dave\"]"),
            ("\"alice\", \"carol\"]", "\"alice\"]"),
            ("propose = [\"carol\"]", "propose = [\"dave\"]"),
        ]);
        for expected in [
            "carol leaves: papers of carol that are held will be refused",
            "dave joins, with key KEY",
            "carol can no longer publish under tools/",
        ] {
            assert!(left.contains(expected), "{expected}: {left}");
        }
        let spare = said(&[("keys = [\"{d}\"]", "keys = []\nretired = [\"{d}\"]")]);
        for expected in [
            "the policy can be changed by alice and bob (before: any 2 of alice, bob, carol)",
            "nobody can change the policy without all of alice and bob",
            "group all can spare nobody: carol has no active key",
            "carol has no active key and can sign nothing",
        ] {
            assert!(spare.contains(expected), "{expected}: {spare}");
        }
    }

    #[test]
    fn entries_that_a_change_strands_are_told() {
        let mut state = State::default();
        for name in ["old/a", "old/b", "tools/editor"] {
            let entry = Entry { sha256: Hash([1; 32]), size: 1, media_type: "text/plain".parse().expect("a type"), source: None };
            state.put(name.parse().expect("a name"), entry);
        }
        let without =
            [("[[rule]]\nprefix = \"old/\"\npropose = [\"alice\"]\n", "[[rule]]\nprefix = \"tools/editor/\"\npropose = [\"alice\"]\n")];
        let said = changes(&without, Some(&state)).join("\n");
        assert_eq!(
            said,
            "no rule covers old/ any more: nobody can publish there (before: alice alone)\n\
             alice alone can publish under tools/editor/ (before: carol with alice or bob)\n\
             carol can no longer publish under tools/editor/\n\
             entries of any size under tools/editor/ (before: at most 5,000 bytes an entry)\n\
             tools/editor stands in Common and lies above the prefix tools/editor/: it stays and can be removed, but never be put again\n\
             2 entries of Common, the first old/a, are covered by no rule any more: they stay, and nobody can change them"
        );
    }

    #[test]
    fn warnings_of_a_first_policy_are_told() {
        let text = "governors = \"one\"\n[[member]]\nname = \"alice\"\nkeys = [\"{a}\"]\n[[group]]\nname = \"one\"\nk = 1\nof = [\"alice\"]\n[[group]]\nname = \"idle\"\nk = 1\nof = [\"alice\"]\n";
        let warnings: Vec<String> = meaning(&policy(text)).warnings.iter().map(warning_words).collect();
        assert_eq!(
            warnings,
            [
                "alice alone can change the policy: whoever steals that one key governs",
                "nobody can change the policy without alice: if the keys of alice are lost, it stays as it is for ever",
                "there is no rule: nothing can be published",
                "nothing names group idle",
            ]
        );
        let (mut many, mut names) = (String::from("governors = \"all\"\n"), Vec::new());
        for letter in b'a'..=b'q' {
            let letter = char::from(letter);
            many.push_str(&format!("[[member]]\nname = \"{letter}\"\nkeys = [\"{{{letter}}}\"]\n"));
            names.push(letter.to_string());
        }
        many.push_str(&format!("[[group]]\nname = \"all\"\nk = 17\nof = {names:?}\n[[rule]]\nprefix = \"/\"\npropose = [\"all\"]\n"));
        let warnings: Vec<String> = meaning(&policy(&many)).warnings.iter().map(warning_words).collect();
        let expected = "the governors need 17 signatures; a charter takes 16 at most, so this policy cannot found a Common";
        assert!(warnings.iter().any(|warning| warning == expected), "{warnings:?}");
    }
}

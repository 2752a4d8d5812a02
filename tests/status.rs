//! `witness status` as a monitor reads it: JSON and Prometheus text, of a desk that is well, halted, or broken, and with hostile names.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(unused)]
mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;

use rusqlite::functions::FunctionFlags;
use serde_json::{Value, json};
use stage::{Case, Forge, copy_tree};

/// One sample: name, labels, value.
type Sample = (String, BTreeMap<String, String>, String);

/// A strict reading of the format: families with help and type, then their samples.
fn parse(text: &str) -> (BTreeMap<String, String>, Vec<Sample>) {
    let (mut types, mut samples): (BTreeMap<String, String>, Vec<Sample>) = Default::default();
    let mut lines = text.strip_suffix('\n').expect("a last line that is whole").split('\n').peekable();
    while let Some(line) = lines.next() {
        let (name, help) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')).unwrap_or_else(|| panic!("{line:?}"));
        let kind = lines.next().and_then(|line| line.strip_prefix(&format!("# TYPE {name} "))).expect("a type below the help");
        assert!(help.ends_with('.') && ["counter", "gauge"].contains(&kind), "{line:?} {kind}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
        assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
        let before = samples.len();
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let sample = sample(line);
            assert_eq!(sample.0, name, "{line:?}");
            assert!(!samples.contains(&sample), "{line:?} twice");
            samples.push(sample);
        }
        assert!(samples.len() > before, "{name} without samples");
    }
    (types, samples)
}

fn sample(line: &str) -> Sample {
    let (head, value) = line.rsplit_once(' ').expect("a value");
    assert!(value.parse::<f64>().is_ok_and(f64::is_finite), "{line:?}");
    let Some((name, mut rest)) = head.split_once('{') else { return (head.to_owned(), BTreeMap::new(), value.to_owned()) };
    let mut labels = BTreeMap::new();
    loop {
        let (label, after) = rest.split_once("=\"").expect("a label");
        let (mut text, mut characters) = (String::new(), after.char_indices());
        let end = loop {
            match characters.next().expect("a closing quote") {
                (at, '"') => break at,
                (_, '\\') => text.push(match characters.next().expect("an escape").1 {
                    'n' => '\n',
                    c @ ('"' | '\\') => c,
                    c => panic!("\\{c} in {line:?}"),
                }),
                (_, c) => text.push(c),
            }
        };
        assert!(labels.insert(label.to_owned(), text).is_none(), "{line:?}");
        rest = match &after[end + 1..] {
            "}" => return (name.to_owned(), labels, value.to_owned()),
            more => more.strip_prefix(',').unwrap_or_else(|| panic!("{line:?}")),
        };
    }
}

/// The samples of a desk as `name{label="value"}` and their values.
fn look(case: &Case, ledger: &str, code: i32) -> BTreeMap<String, String> {
    let text = case.quiet(&format!("witness status --ledger {ledger} --prometheus"), code);
    let (types, samples) = parse(&text);
    // Every family is in the document, with its type.
    let documented = documented();
    for (name, kind) in &types {
        assert_eq!(documented.get(name), Some(kind), "{name}");
    }
    let shown =
        |labels: &BTreeMap<String, String>| labels.iter().map(|(label, value)| format!("{label}={value}")).collect::<Vec<_>>().join(",");
    samples.iter().map(|(name, labels, value)| (format!("{name}{{{}}}", shown(labels)), value.clone())).collect()
}

fn documented() -> BTreeMap<String, String> {
    let rows = include_str!("../docs/metrics.md").lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| Some((row.split('`').next()?.to_owned(), row.split(" | ").nth(1)?.to_owned()))).collect()
}

fn answer(case: &Case, ledger: &str, code: i32) -> Value {
    let document: Value = serde_json::from_str(&case.quiet(&format!("witness status --ledger {ledger} --json"), code)).unwrap();
    assert_eq!(
        (&document["exit"], document.get("problem").is_some()),
        (&json!(code), document["answer"].get("head").is_none()),
        "{document}"
    );
    document["answer"].clone()
}

/// Lets a foreign program at the ledger's file do something with the triggers out of the way, and puts them back.
fn tamper(case: &Case, ledger: &str, text: &str) {
    #[allow(clippy::disallowed_methods)] // that is the point
    let db = rusqlite::Connection::open(case.path(&format!("{ledger}/ledger.db"))).unwrap();
    let flags = FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    db.create_scalar_function("tabellion_event_hash", 9, flags, |_| Ok([0_u8; 32])).unwrap();
    let triggers: Vec<(String, String)> = {
        let mut rows = db.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'events'").unwrap();
        rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    triggers.iter().for_each(|(name, _)| db.execute_batch(&format!("DROP TRIGGER {name}")).unwrap());
    db.execute_batch(text).unwrap();
    triggers.iter().for_each(|(_, sql)| db.execute_batch(sql).unwrap());
}

#[test]
fn a_desk_that_is_well_tells_counters_of_its_whole_life() {
    let mut case = Case::grown("status-well");
    let pin = case.pin("alice");
    case.write("stick/bad.tabellion", Forge::put("james", 12, &pin, "docs/b", b"b").bytes());
    case.write("stick/held.tabellion", Forge::put("alice", 13, &pin, "release/c", b"c").bytes());
    case.remember_head();
    let time = "--time 2026-03-01T12:00:00Z";
    case.quiet(&format!("witness session --ledger witness --media stick --expect-head $HEAD --yes {time}"), 1);

    // By hand: the founding, a session of two accepted papers, one of a refusal and a notice. 1772366400 is by date(1).
    let told = answer(&case, "witness", 0);
    let (health, mut metrics) = (told["health"].clone(), told["metrics"].clone());
    assert_eq!(health, json!({"state": "ok"}));
    let files = metrics.as_object_mut().unwrap().remove("files").unwrap();
    let objects: usize = stage::tree(&case.path("witness/objects")).values().map(Vec::len).sum();
    assert!(objects > 0);
    let took_us = metrics.as_object_mut().unwrap().remove("check_us").unwrap();
    assert!(
        took_us.as_u64().unwrap() > 0
            && files.as_array().unwrap().iter().any(|file| file["file"] == "objects" && file["size_bytes"] == objects)
            && files[0]["file"] == "head"
            && files[0]["size_bytes"].as_u64().unwrap() > 100,
        "{files} {took_us}"
    );
    let count = |event_type: &str, count: u64| json!({"event_type": event_type, "count": count});
    let expected = json!({
        "events": [count("closed", 3), count("notice", 1), count("opened", 3), count("sealed", 3), count("verdict", 4)],
        "answers": [
            {"verdict": "accepted", "count": 3},
            {"verdict": "pending", "rule": "threshold-not-met", "count": 1},
            {"verdict": "refused", "rule": "proposer-not-allowed", "count": 1},
        ],
        "records": 3,
        "last_time_claim": 1_772_366_400,
        "startup_checks": 1,
        "corruptions_detected": 0,
        "events_checked": 14,
    });
    assert_eq!(metrics, expected);

    let samples = look(&case, "witness", 0);
    for (name, value) in [
        ("tabellion_ledger_health{state=ok}", "1"),
        ("tabellion_ledger_health{state=corrupted}", "0"),
        ("tabellion_ledger_health{state=unusable}", "0"),
        ("tabellion_desk_halted{}", "0"),
        ("tabellion_head_number{}", "3"),
        ("tabellion_sessions_total{}", "3"),
        ("tabellion_session_unsealed{}", "0"),
        ("tabellion_papers_held{}", "1"),
        ("tabellion_events_total{type=notice}", "1"),
        ("tabellion_events_total{type=verdict}", "4"),
        ("tabellion_records_total{}", "3"),
        ("tabellion_final_verdicts_total{}", "4"),
        ("tabellion_answers_total{rule=,verdict=accepted}", "3"),
        ("tabellion_answers_total{rule=proposer-not-allowed,verdict=refused}", "1"),
        ("tabellion_last_time_claim_seconds{}", "1772366400"),
        ("tabellion_startup_checks_total{}", "1"),
        ("tabellion_startup_check_events{}", "14"),
        ("tabellion_corruptions_detected_total{}", "0"),
    ] {
        assert_eq!(samples.get(name).map(String::as_str), Some(value), "{name} in {samples:#?}");
    }
    assert!(samples.keys().all(|name| !name.contains("corruption_info") && !name.contains("stopped")), "{samples:#?}");
    assert!(samples["tabellion_startup_check_duration_seconds{}"].parse::<f64>().unwrap() > 0.0);
}

#[test]
fn a_corrupted_ledger_answers_with_what_is_wrong_and_with_nothing_that_follows_from_it() {
    let case = Case::grown("status-corrupted");
    tamper(&case, "witness", "DELETE FROM events WHERE seq_no = 6");
    let told = answer(&case, "witness", 5);
    let found = "event 6, number: event 7 found; event 6 expected; the last good event is 5";
    let health = json!({"state": "corrupted", "last_good_seq_no": 5, "first_bad_seq_no": 6, "kind": "number", "rule": "chain-broken", "found": found});
    assert_eq!(told["health"], health);
    assert_eq!(told["metrics"]["corruptions_detected"], 1);
    assert_eq!(told["metrics"]["answers"], json!([]), "nothing follows from a broken chain");
    assert_eq!(told["metrics"]["events"][2], json!({"event_type": "sealed", "count": 2}));

    let samples = look(&case, "witness", 5);
    for (name, value) in [
        ("tabellion_ledger_health{state=ok}", "0"),
        ("tabellion_ledger_health{state=corrupted}", "1"),
        ("tabellion_desk_stopped{rule=chain-broken}", "1"),
        ("tabellion_ledger_corruption_info{kind=number}", "1"),
        ("tabellion_ledger_last_good_event{}", "5"),
        ("tabellion_ledger_first_bad_event{}", "6"),
        ("tabellion_corruptions_detected_total{}", "1"),
        ("tabellion_events_total{type=opened}", "2"),
    ] {
        assert_eq!(samples.get(name).map(String::as_str), Some(value), "{name} in {samples:#?}");
    }
    assert!(samples.keys().all(|name| !name.starts_with("tabellion_head_number") && !name.contains("answers")), "{samples:#?}");

    let output = case.command("witness status --ledger witness").output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(out, "health   corrupted: event 6 is the first bad one (number), event 5 the last good one\n");
    assert!(err.starts_with("tabellion: stop [chain-broken] "), "{err}");
    for value in ["--head", "--fingerprint"] {
        assert_eq!(case.quiet(&format!("witness status --ledger witness {value}"), 5), "", "no head of a broken ledger");
    }
}

#[test]
fn a_desk_that_cannot_be_used_for_another_reason_still_answers() {
    let case = Case::grown("status-unusable");
    for (folder, rule, counted, checked) in [
        ("schema", "ledger-fault", false, false),
        ("headless", "head-lost", true, true),
        // Whose ledger it is is asked before it is checked.
        ("copied", "ledger-fault", true, false),
        ("bytes", "ledger-fault", false, false),
    ] {
        copy_tree(&case.path("witness"), &case.path(folder));
        match folder {
            "schema" => {
                #[allow(clippy::disallowed_methods)] // a foreign program at the ledger's file
                let db = rusqlite::Connection::open(case.path("schema/ledger.db")).unwrap();
                db.execute_batch("DROP TRIGGER events_no_delete").unwrap();
            }
            "headless" => std::fs::remove_file(case.path("headless/head")).unwrap(),
            "copied" => case.write("copied/instance", format!("{}\n", "ab".repeat(16))),
            _ => {
                let mut bytes = case.read("bytes/ledger.db");
                bytes[..100].fill(0xee);
                case.write("bytes/ledger.db", bytes);
            }
        }
        let told = answer(&case, folder, 5);
        assert_eq!((&told["health"]["state"], &told["health"]["rule"]), (&json!("unusable"), &json!(rule)), "{folder}: {told}");
        let samples = look(&case, folder, 5);
        assert_eq!(samples["tabellion_ledger_health{state=unusable}"], "1", "{folder}");
        assert_eq!(samples[&format!("tabellion_desk_stopped{{rule={rule}}}")], "1", "{folder}");
        assert_eq!(samples.contains_key("tabellion_records_total{}"), counted, "{folder}: {samples:#?}");
        assert_eq!(samples.contains_key("tabellion_startup_check_events{}"), checked, "{folder}: {samples:#?}");
    }
    assert_eq!(case.quiet("witness status --ledger nowhere --prometheus", 2), "", "no desk is no desk of health 0");
}

#[test]
fn a_halted_desk_is_healthy_and_halted() {
    let case = Case::grown("status-halted");
    case.write("witness/halt", "somebody stopped this desk\n");
    let told = answer(&case, "witness", 5);
    assert!(told["halted"].as_str().unwrap().contains("somebody stopped this desk") && told["health"]["state"] == "ok", "{told}");
    let samples = look(&case, "witness", 5);
    assert_eq!((samples["tabellion_desk_halted{}"].as_str(), samples["tabellion_ledger_health{state=ok}"].as_str()), ("1", "1"));
    case.quiet("witness status --ledger witness --head", 0);
    // Halted and broken at once.
    tamper(&case, "witness", "DELETE FROM events WHERE seq_no = 6");
    let samples = look(&case, "witness", 5);
    assert_eq!((samples["tabellion_desk_halted{}"].as_str(), samples["tabellion_ledger_health{state=corrupted}"].as_str()), ("1", "1"));
}

#[test]
fn names_and_values_of_others_forge_no_metric() {
    let case = Case::grown("status-hostile");
    let hostile = "de\\sk\"} 1\n# TYPE tabellion_forged counter\ntabellion_forged 1\r\u{1b}[2J";
    copy_tree(&case.path("witness"), &case.path(hostile));
    let mut command = case.command("");
    let output = command.args(["witness", "status", "--prometheus", "--ledger", hostile]).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains(['\r', '\u{1b}']), "{text:?}");
    let (types, samples) = parse(&text);
    let info = samples.iter().find(|(name, ..)| name == "tabellion_desk_info").unwrap();
    assert_eq!(info.1["desk"], hostile.replace('\r', "\\u{d}").replace('\u{1b}', "\\u{1b}"));
    assert!(!types.contains_key("tabellion_forged"), "{text}");

    // A type of event that somebody wrote into the table.
    tamper(&case, "witness", "UPDATE events SET event_type = 'x\"} 1' || char(10) || 'tabellion_forged 1' WHERE seq_no = 3");
    let samples = look(&case, "witness", 5);
    assert_eq!(samples["tabellion_events_total{type=x\"} 1\ntabellion_forged 1}"], "1");
    assert_eq!(answer(&case, "witness", 5)["metrics"]["events"][4]["event_type"], "x\"} 1\ntabellion_forged 1");
}

#[test]
fn every_documented_family_is_printed_by_some_desk() {
    let mut case = Case::grown("status-all");
    case.remember_head();
    case.write("stick/paper.tabellion", Forge::put("alice", 11, &case.pin("alice"), "docs/a", b"a").bytes());
    case.quiet("witness session --ledger witness --media stick --expect-head $HEAD --yes --time 2026-03-01T12:00:00Z", 0);
    let family = |samples: BTreeMap<String, String>| {
        samples.into_keys().map(|name| name.split('{').next().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    let mut seen = family(look(&case, "witness", 0));
    tamper(&case, "witness", "DELETE FROM events WHERE seq_no = 6");
    seen.extend(family(look(&case, "witness", 5)));
    assert_eq!(seen, documented().into_keys().collect());
}

/// Sessions of other processes, one after the other, while this one looks without a pause.
#[test]
fn a_look_beside_running_sessions_is_never_kept_waiting_and_never_alarmed() {
    const SESSIONS: u64 = 8;
    let case = Case::grown("status-beside");
    let pin = case.pin("alice");
    let numbers = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for session in 0..SESSIONS {
                let name = format!("docs/{session}");
                case.write(&format!("stick/{session}.tabellion"), Forge::put("alice", 11 + session, &pin, &name, b"a").bytes());
                let head = case.quiet("witness status --ledger witness --head", 0);
                let expected = format!("--expect-head {} --yes --time none", head.trim());
                case.quiet(&format!("witness session --ledger witness --media stick {expected}"), 0);
            }
        });
        let mut numbers = Vec::new();
        while !writer.is_finished() {
            // A medium is no part of what a look reads; whatever moment it meets, the desk is well.
            let told = answer(&case, "witness", 0);
            assert_eq!((&told["health"], told.get("halted")), (&json!({"state": "ok"}), None), "{told}");
            assert_eq!(told["metrics"]["corruptions_detected"], 0, "{told}");
            numbers.push(told["head"]["number"].as_u64().unwrap());
        }
        writer.join().unwrap();
        numbers
    });
    assert!(numbers.is_sorted() && numbers.iter().collect::<BTreeSet<_>>().len() > 2, "it was not looked at in between: {numbers:?}");
    let told = answer(&case, "witness", 0);
    assert_eq!((&told["head"]["number"], &told["sessions"]), (&json!(3 + SESSIONS), &json!(2 + SESSIONS)));
}

//! `--log`: every acceptance and refusal stands in it, each line is JSON whatever people write, no secret is ever in it, and a log that cannot
//! be written never stops a session half-way.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(unused)]
mod stage;

use std::collections::BTreeMap;
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::Value;
use stage::{Case, Forge};

/// The log's lines. Each must be an object of JSON.
fn lines(case: &Case, log: &str) -> Vec<Value> {
    let text = String::from_utf8(case.read(log)).expect("UTF-8");
    assert!(text.ends_with('\n'), "the last line is not whole");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn of<'a>(lines: &'a [Value], message: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["message"] == message).collect()
}

/// The table of `docs/logs.md`: level, target and fields by message.
fn documented() -> BTreeMap<String, (String, String, Vec<String>)> {
    let names = |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let mut out = BTreeMap::new();
    for line in include_str!("../docs/logs.md").lines() {
        let cells: Vec<&str> = line.split(" | ").collect();
        if let [message, level, target, fields, _] = cells.as_slice()
            && let Some(message) = message.strip_prefix("| `")
        {
            out.insert(message.trim_end_matches('`').to_owned(), (level.to_string(), names(target).concat(), names(fields)));
        }
    }
    out
}

/// Every line has the level, target and fields that the document gives it, and no other.
fn as_documented(lines: &[Value]) {
    let table = documented();
    assert!(table.len() > 15, "{} rows found in docs/logs.md", table.len());
    for line in lines {
        let message = line["message"].as_str().expect("a message");
        let (level, target, fields) = table.get(message).unwrap_or_else(|| panic!("{message:?} is not in docs/logs.md"));
        assert!(level.contains(line["level"].as_str().unwrap()), "{line}");
        assert_eq!(line["target"], target.as_str(), "{line}");
        for (field, value) in line.as_object().unwrap() {
            let known = ["timestamp", "level", "target", "message"].contains(&field.as_str());
            assert!(known || fields.contains(field), "{message}: {field} is not in docs/logs.md: {line}");
            assert!(value.is_string() || value.is_u64() || value.is_boolean(), "{line}");
        }
    }
}

fn session(case: &mut Case, log: &str, medium: &str, code: i32) {
    case.remember_head();
    let arguments = "--yes --time none --log";
    case.quiet(&format!("witness session --ledger witness --media {medium} --expect-head $HEAD {arguments} {log}"), code);
}

#[test]
fn every_event_and_every_paper_of_a_session_stands_in_its_log() {
    let mut case = Case::grown("log-session");
    let pin = case.pin("alice");
    case.write("stick/good.tabellion", Forge::put("alice", 11, &pin, "docs/a", b"a").bytes());
    case.write("stick/bad.tabellion", Forge::put("james", 12, &pin, "docs/b", b"b").bytes());
    case.write("stick/held.tabellion", Forge::put("alice", 13, &pin, "release/c", b"c").bytes());
    case.write("stick/rubbish", "nothing of ours");
    session(&mut case, "log", "stick", 1);
    let lines = lines(&case, "log");
    as_documented(&lines);

    let accepted = of(&lines, "paper accepted");
    assert_eq!(accepted.len(), 1, "{lines:#?}");
    assert_eq!((&accepted[0]["author"], &accepted[0]["number"], &accepted[0]["session"]), (&"alice".into(), &4.into(), &2.into()));
    let answered =
        |message: &str| of(&lines, message).iter().map(|line| (line["author"].clone(), line["rule"].clone())).collect::<Vec<_>>();
    assert_eq!(answered("paper refused"), [("james".into(), "proposer-not-allowed".into())]);
    assert_eq!(answered("paper held"), [("alice".into(), "threshold-not-met".into())]);
    assert!(of(&lines, "file listed").iter().any(|line| line["path"].as_str().unwrap().ends_with("rubbish")), "{lines:#?}");

    // The events of this session, in order and with the hashes of the ledger.
    let events = of(&lines, "event accepted");
    let told: Vec<String> =
        events.iter().map(|line| format!("{} {}", line["event_id"].as_str().unwrap(), line["event_type"].as_str().unwrap())).collect();
    let first = "2/0 opened";
    assert_eq!((told.len(), told[0].as_str(), told[4].as_str(), told[5].as_str()), (6, first, "2/4 closed", "2/5 sealed"), "{told:?}");
    let ledger = tabellion::ledger::Ledger::open_read_only(&case.path("witness")).unwrap();
    for line in &events {
        let event = ledger.by_seq_no(line["seq_no"].as_u64().unwrap()).unwrap().unwrap();
        assert_eq!(line["event_hash"], hex::encode(event.event_hash), "{line}");
    }
    assert_eq!(of(&lines, "check passed").len(), 2, "at the start, and before emission");
    assert_eq!(of(&lines, "head compared")[0]["found_hash"], of(&lines, "head compared")[0]["expected_hash"]);
    assert_eq!(of(&lines, "medium written").len(), 1);
    assert_eq!(of(&lines, "command done")[0]["exit"], 1);
}

#[test]
fn what_stops_a_desk_is_told_with_both_values() {
    let case = Case::grown("log-stop");
    // The wrong head of an operator.
    case.quiet("witness session --ledger witness --media stick --expect-head 1:a-b-c-d-e-f --yes --time none --log log", 5);
    // A head file of the founding beside a later ledger.
    stage::copy_tree(&case.path("witness"), &case.path("old"));
    let head = String::from_utf8(case.read("witness/head")).unwrap();
    fs::remove_file(case.path("old/head")).unwrap();
    case.quiet("witness status --ledger old --log log", 5);
    // A cut ledger.
    stage::copy_tree(&case.path("witness"), &case.path("cut"));
    #[allow(clippy::disallowed_methods)] // a foreign program at the ledger's file
    let db = rusqlite::Connection::open(case.path("cut/ledger.db")).unwrap();
    db.execute_batch("DROP TRIGGER events_no_delete; DELETE FROM events WHERE seq_no = 4;").unwrap();
    drop(db);
    case.quiet("witness status --ledger cut --log log", 5);
    let lines = lines(&case, "log");
    as_documented(&lines);
    let closed = head.lines().find_map(|line| line.strip_prefix("closed ")).unwrap();
    let mismatch = of(&lines, "head mismatch")[0];
    assert_eq!((&mismatch["found_hash"], &mismatch["expected_hash"]), (&"none".into(), &closed.into()));
    let stopped: Vec<&str> = of(&lines, "command stopped").iter().map(|line| line["rule"].as_str().unwrap()).collect();
    assert_eq!(stopped, ["head-unexpected", "head-rolled-back", "ledger-fault"], "{lines:#?}");
}

/// Every way in which somebody may look at these bytes.
fn forms(secret: &[u8]) -> Vec<String> {
    let hex = hex::encode(secret);
    let mut out =
        vec![hex.clone(), hex.to_uppercase(), STANDARD.encode(secret), STANDARD_NO_PAD.encode(secret), URL_SAFE_NO_PAD.encode(secret)];
    for hrp in ["tabellion-secret", "age-secret-key-"] {
        let hrp = bech32::Hrp::parse(hrp).unwrap();
        // The checksum and the prefix are not needed to find it.
        let text = bech32::encode::<bech32::Bech32>(hrp, secret).unwrap();
        let data = text.rsplit_once('1').unwrap().1;
        out.extend([data[..data.len() - 6].to_owned(), data[..data.len() - 6].to_uppercase()]);
    }
    let list: Vec<String> = secret.iter().map(u8::to_string).collect();
    out.extend([list.join(", "), list.join(",")]);
    out.extend(std::str::from_utf8(secret).map(str::to_owned));
    out
}

/// The forms of these secrets that a text holds.
fn found_in(text: &str, secrets: &[Vec<u8>]) -> Vec<String> {
    secrets.iter().flat_map(|secret| forms(secret)).filter(|form| text.contains(form.as_str())).collect()
}

#[test]
fn no_secret_is_in_a_log_and_the_search_finds_one_that_is_planted() {
    let mut case = Case::grown("log-secrets");
    let passphrase = String::from_utf8(case.read("passphrase")).unwrap();
    // Found, look at keys, propose, approve, judge, collect, snapshot, and a passphrase that is wrong: each with the log.
    case.write("wrong", "another secret entirely\n");
    case.write("mine/note", "x");
    let next = case.quiet("key show safe/next-key --vkey witness.example/common --log log", 0);
    stage::write_key(&case.path("second/key"), "other");
    case.quiet(&format!("witness init second --policy policy.toml --next-key {} --log log", next.trim()), 0);
    case.quiet("approve second/charter.payload --key alice/key --yes --log log", 0);
    case.quiet("approve second/charter.payload --key james/key --yes --log log", 0);
    case.quiet("witness init second --charter second/charter.cose --time none --log log", 0);
    case.quiet("key new fresh --passphrase-file passphrase --log log", 0);
    case.quiet("propose put docs/a=mine/note --pin alice/common.pin --key alice/key --media stick --log log", 0);
    case.quiet("propose put docs/b=mine/note --pin alice/common.pin --key alice/key --media stick --passphrase-file wrong --log log", 4);
    session(&mut case, "log", "stick", 0);
    case.remember_head();
    let again = "witness session --ledger witness --media stick --expect-head $HEAD --yes --time none";
    case.quiet(&format!("{again} --passphrase-file wrong --log log"), 4);
    case.quiet("collect stick --pin alice/common.pin --log log", 0);
    case.quiet("witness status --ledger witness --json --log log", 0);
    let text = String::from_utf8(case.read("log")).unwrap();
    as_documented(&lines(&case, "log"));
    assert!(text.matches("event accepted").count() == 8 && text.contains("\"rule\":\"passphrase\""), "{text}");

    let mut secrets = vec![passphrase.trim_end().as_bytes().to_vec(), b"another secret entirely".to_vec()];
    secrets.extend((1..=7).map(|seed| vec![seed; 32]));
    for file in ["alice/key", "james/key", "witness/key", "second/key", "safe/next-key", "fresh"] {
        let sealed = String::from_utf8(case.read(file)).unwrap();
        let body = sealed.lines().filter(|line| line.len() > 40 && !line.contains(' ') && !line.contains("ed25519"));
        secrets.extend(body.map(|line| line.as_bytes().to_vec()));
    }
    assert!(secrets.len() > 15, "{} secrets to look for", secrets.len());
    assert_eq!(found_in(&text, &secrets), [""; 0]);

    // The control: each secret, in each form, is found where it is.
    for secret in &secrets {
        for form in forms(secret) {
            let planted = format!("{text}{{\"message\":\"x\",\"found\":\"{form}\"}}\n");
            assert!(found_in(&planted, &secrets).contains(&form), "{form} was planted and not found");
        }
    }
}

#[test]
fn a_text_of_people_forges_no_line() {
    let mut case = Case::grown("log-hostile");
    let hostile = "x\n{\"timestamp\":\"\",\"level\":\"INFO\",\"message\":\"event accepted\"}\n\u{1b}[2J\u{9b}\u{2028}\"";
    case.write(&format!("stick/{}", hostile.replace('/', "")), "nothing of ours");
    let mut paper = Forge::put("alice", 21, &case.pin("alice"), "docs/a", b"a");
    paper.proposal.note = "a \"note\" with \\ in it".parse().ok();
    case.write("stick/paper.tabellion", paper.bytes());
    session(&mut case, "log", "stick", 0);
    let text = String::from_utf8(case.read("log")).unwrap();
    assert!(!text.contains(['\u{1b}', '\u{9b}', '\u{2028}', '\r']), "{text}");
    let lines = lines(&case, "log");
    as_documented(&lines);
    assert!(of(&lines, "file listed").iter().any(|line| line["path"].as_str().unwrap().contains("timestamp")), "{lines:#?}");
    assert_eq!(of(&lines, "event accepted").len(), 4, "opened, verdict, closed, sealed");
}

#[test]
fn a_log_that_cannot_be_opened_stops_the_command_before_it_begins() {
    let case = Case::grown("log-refused");
    std::os::unix::fs::symlink("elsewhere", case.path("link")).unwrap();
    let before = stage::tree(&case.path("witness"));
    for (log, found) in [
        ("link", "a symbolic link found"),
        ("witness/ledger.db", "begins with"),
        ("no/log", "nothing is there"),
        ("stick", "a folder found"),
    ] {
        let output = case.command(&format!("witness export --ledger witness --media james --log {log}")).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{log}: {said}");
        assert!(said.contains(found) && said.contains("state  nothing was done"), "{log}: {said}");
    }
    assert!(!case.path("elsewhere").exists() && !case.path("james/tabellion").exists());
    assert!(
        stage::differing(&before, &stage::tree(&case.path("witness"))).iter().all(|name| name.ends_with("-shm") || name.ends_with("-wal"))
    );
}

#[test]
fn without_the_option_nothing_is_written_and_a_dash_is_stderr() {
    let case = Case::grown("log-dash");
    let silent = case.command("witness status --ledger witness").output().unwrap();
    let loud = case.command("witness status --ledger witness --log -").output().unwrap();
    assert_eq!((silent.stderr.len(), &silent.stdout), (0, &loud.stdout));
    let said = String::from_utf8(loud.stderr).unwrap();
    assert!(said.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()) && said.contains("check passed"), "{said}");
}

//! `--log`: every acceptance and refusal stands in it, each line is JSON whatever people write, no secret is ever in it, and a log that cannot
//! be written never stops a session half-way.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(unused)]
mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::Value;
use stage::{Case, Forge, copy_tree, tree};
use tabellion::core::event::{EventSigner, EventType, signed_message};
use tabellion::keys::Seed;
use tabellion::ledger::{CheckInput, Health, Ledger, NewEvent};

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
    case.quiet("witness session --ledger witness --media stick --expect-head 1:abandon-ability-able-about-above-absent --yes --time none --log log", 5);
    // A head file of the founding beside a later ledger.
    copy_tree(&case.path("witness"), &case.path("old"));
    let head = String::from_utf8(case.read("witness/head")).unwrap();
    fs::remove_file(case.path("old/head")).unwrap();
    case.quiet("witness status --ledger old --log log", 5);
    // A cut ledger.
    copy_tree(&case.path("witness"), &case.path("cut"));
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
    assert_eq!(stopped, ["head-unexpected", "head-lost", "ledger-fault"], "{lines:#?}");
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

/// Every command that takes a passphrase, with the log; and with a passphrase that is wrong. The key files that were made on the way.
fn commands_with_a_passphrase(case: &mut Case) -> [&'static str; 2] {
    case.write("wrong", "another secret entirely\n");
    case.write("mine/note", "x");
    let logged = |case: &Case, arguments: &str, code: i32| case.quiet(&format!("{arguments} --log log"), code);
    let next = logged(case, "key show safe/next-key --vkey witness.example/common", 0);
    logged(case, &format!("witness init second --policy policy.toml --next-key {}", next.trim()), 0);
    for name in ["alice", "james"] {
        logged(case, &format!("approve second/charter.payload --key {name}/key --yes"), 0);
    }
    logged(case, "witness init second --charter second/charter.cose --time none", 0);
    logged(case, "key new fresh --passphrase-file passphrase", 0);
    logged(case, "domain init alice/domain --name alice --pin alice/common.pin --key alice/key", 0);
    logged(case, "domain snapshot mine --domain alice/domain --key alice/key --time none", 0);
    logged(case, "propose remove tools/editor --pin alice/common.pin --key alice/key --media stick", 0);
    case.write("second.toml", stage::policy().replace("size_max = 50", "size_max = 60"));
    logged(case, "propose policy second.toml --pin alice/common.pin --key alice/key --out policy --common stick", 0);
    logged(case, "propose put docs/a=mine/note --pin alice/common.pin --key alice/key --media stick", 0);
    logged(case, "propose put docs/b=mine/note --pin alice/common.pin --key alice/key --media stick --passphrase-file wrong", 4);

    // Two copies of the desk go different ways; one stays by an order, and another ends the halt.
    copy_tree(&case.path("witness"), &case.path("copy"));
    let pin = case.pin("alice");
    case.write("other/p.tabellion", Forge::put("alice", 99, &pin, "docs/z", b"z").bytes());
    session(case, "log", "stick", 0);
    logged(case, "witness session --ledger copy --media other --expect-head $HEAD --yes --time none", 0);
    logged(case, "witness integrity --ledger witness", 0);
    logged(case, "ceremony recover --ledger witness --against copy --write-order recover.payload --stays ours", 0);
    for name in ["alice", "james"] {
        logged(case, &format!("approve recover.payload --key {name}/key --yes"), 0);
    }
    logged(case, "ceremony recover --ledger witness --against copy --order recover.cose --passphrase-file wrong", 4);
    logged(case, "ceremony recover --ledger witness --against copy --order recover.cose", 0);
    logged(case, "ceremony resume --ledger witness --write-order resume.payload", 0);
    for name in ["alice", "james"] {
        logged(case, &format!("approve resume.payload --key {name}/key --yes"), 0);
    }
    logged(case, "ceremony resume --ledger witness --order resume.cose", 0);
    case.remember_head();
    logged(case, "witness session --ledger witness --media stick --expect-head $HEAD --yes --time none --passphrase-file wrong", 4);
    logged(case, "collect stick --pin alice/common.pin", 0);
    logged(case, "witness status --ledger witness --json", 0);
    logged(case, "key identity witness/key --out backup.identity --passphrase-file passphrase", 0);
    case.write("usb/here", "");
    logged(case, "witness backup --ledger witness usb", 0);
    let backup = case.find("usb", "witness.example-common@", ".backup.age");
    logged(case, &format!("witness backup --verify {backup} --identity witness/key --passphrase-file passphrase"), 0);
    logged(case, &format!("witness restore {backup} standby --identity witness/key --passphrase-file passphrase"), 0);
    ["second/key", "fresh"]
}

/// The seed in a key file, by the library that sealed it and nothing of ours.
fn unsealed(file: &str, passphrase: &str) -> [u8; 32] {
    let armored = &file[file.find("-----BEGIN").unwrap()..];
    let mut identity = age::scrypt::Identity::new(passphrase.to_owned().into());
    identity.set_max_work_factor(20);
    let decryptor = age::Decryptor::new_buffered(age::armor::ArmoredReader::new(armored.as_bytes())).unwrap();
    let mut seed = Vec::new();
    decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity)).unwrap().read_to_end(&mut seed).unwrap();
    seed.try_into().unwrap()
}

#[test]
fn no_secret_is_in_a_log_and_the_search_finds_one_that_is_planted() {
    let mut case = Case::grown("log-secrets");
    let passphrase = String::from_utf8(case.read("passphrase")).unwrap();
    let generated = commands_with_a_passphrase(&mut case);
    let text = String::from_utf8(case.read("log")).unwrap();
    let told = lines(&case, "log");
    as_documented(&told);
    assert_eq!(of(&told, "command refused").iter().filter(|line| line["rule"] == "passphrase").count(), 3, "{text}");
    // Whatever takes a passphrase by its help has been run.
    let begun: BTreeSet<&str> = of(&told, "command begun").iter().map(|line| line["command"].as_str().unwrap()).collect();
    let helps = include_str!("cli/help.txt").split("$ tabellion ").filter(|help| help.contains("--passphrase-file"));
    let mut takes: BTreeSet<&str> = helps.filter_map(|help| help.split(" --help").next()).collect();
    takes.extend(["ceremony recover", "ceremony resume"]);
    assert!(takes.len() >= 12 && takes.is_subset(&begun), "not run with a log: {:?} of {takes:?}", &takes - &begun);

    let mut secrets = vec![passphrase.trim_end().as_bytes().to_vec(), b"another secret entirely".to_vec()];
    secrets.extend((1..=7).map(|seed| vec![seed; 32]));
    // What the program drew itself.
    for file in generated {
        let seed = unsealed(&String::from_utf8(case.read(file)).unwrap(), passphrase.trim_end());
        assert!(!secrets.contains(&seed.to_vec()), "{file} is a key of the stage");
        secrets.push(seed.to_vec());
        let (identity, _) = Seed::from_bytes(&seed).age_identity(false).unwrap();
        secrets.push(identity.as_bytes().to_vec());
    }
    for file in ["alice/key", "james/key", "witness/key", "second/key", "safe/next-key", "fresh"] {
        let sealed = String::from_utf8(case.read(file)).unwrap();
        let body = sealed.lines().filter(|line| line.len() > 40 && !line.contains(' ') && !line.contains("ed25519"));
        secrets.extend(body.map(|line| line.as_bytes().to_vec()));
    }
    assert!(secrets.len() > 17, "{} secrets to look for", secrets.len());
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

// ------------------------------------------------------------------------------------------- each documented line, by making its state

/// Where the library's lines go in this process.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What the library tells meanwhile.
fn heard(does: impl FnOnce()) -> Vec<Value> {
    let heard = Heard::default();
    let sink = heard.clone();
    let listener = tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || sink.clone()).finish();
    tracing::subscriber::with_default(listener, does);
    let text = String::from_utf8(heard.0.lock().unwrap().clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

struct Key(ed25519_dalek::SigningKey);

impl EventSigner for Key {
    fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }
    fn sign_event(&self, event_hash: &[u8; 32]) -> [u8; 64] {
        ed25519_dalek::Signer::sign(&self.0, &signed_message(event_hash)).to_bytes()
    }
}

fn key() -> Arc<Key> {
    Arc::new(Key(ed25519_dalek::SigningKey::from_bytes(&[0x42; 32])))
}

fn new_event(event_id: &str, event_type: EventType, payload: &[u8]) -> NewEvent {
    NewEvent { event_id: event_id.into(), timestamp: 0, event_type, payload: payload.to_vec() }
}

fn check(ledger: &Ledger) -> tabellion::core::rules::Checked<Health> {
    ledger.start_up_check(&CheckInput { ledger_keys: &[key().public_key()], deep: true, must_hold: &[] })
}

/// The fields of the only line with this message.
fn one<'a>(lines: &'a [Value], message: &str) -> &'a Value {
    let found = of(lines, message);
    assert_eq!(found.len(), 1, "{message}: {lines:#?}");
    found[0]
}

fn refused_events() -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    drop(Ledger::create(dir.path(), &[1; 16], key()).unwrap());
    heard(|| {
        let mut ledger = Ledger::open(dir.path()).unwrap();
        ledger.append(new_event("1/0", EventType::Opened, &[0xa0])).unwrap_err();
        ledger.unlock(key()).unwrap();
        ledger.append(new_event("1/0", EventType::Opened, &[0xa0])).unwrap_err();
        assert_eq!(check(&ledger).unwrap(), Health::Ok);
        ledger.append(new_event("1/0", EventType::Opened, &[0xa0])).unwrap();
        ledger.append(new_event("1/2", EventType::Notice, &[0xa0])).unwrap_err();
        ledger.append(new_event("1/1", EventType::Notice, &[0xa0, 0])).unwrap_err();
        let head = ledger.head().unwrap();
        ledger.commit(Some([9; 32]), &[new_event("1/1", EventType::Notice, &[0xa0])]).unwrap_err();
        let events = [new_event("1/1", EventType::Notice, &[0xa0]), new_event("1/1", EventType::Verdict, &[0xa0])];
        ledger.commit(head, &events).unwrap_err();
    })
}

#[test]
fn a_refused_event_is_told_with_the_words_of_the_guard_and_its_reason() {
    let lines = refused_events();
    as_documented(&lines);
    let told: Vec<[&str; 5]> = of(&lines, "event refused")
        .iter()
        .map(|line| ["level", "reason", "rule", "event_id", "event_type"].map(|field| line[field].as_str().unwrap()))
        .collect();
    let expected = [
        ["WARN", "locked", "internal-fault", "1/0", "opened"],
        ["WARN", "unchecked", "internal-fault", "1/0", "opened"],
        ["WARN", "event-id-not-next", "ledger-fault", "1/2", "notice"],
        ["WARN", "payload-not-cbor", "ledger-fault", "1/1", "notice"],
        ["WARN", "head-unexpected", "head-unexpected", "1/1", "notice"],
        ["WARN", "duplicate-event-id", "ledger-fault", "1/1", "verdict"],
    ];
    assert_eq!(told, expected);
    let found: Vec<&str> = of(&lines, "event refused").iter().map(|line| line["found"].as_str().unwrap()).collect();
    for (found, words) in found.iter().zip([
        "a locked ledger found",
        "an unchecked ledger found; one that passed its start-up check in this process expected",
        "event_id does not follow the last one",
        "payload is not deterministic CBOR",
        "0909090909090909090909090909090909090909090909090909090909090909 expected",
        "event_id does not follow the last one",
    ]) {
        assert!(found.contains(words), "{found}");
    }
    assert_eq!(of(&lines, "event refused").last().unwrap()["events"], 2);
    let accepted = one(&lines, "event accepted");
    assert_eq!((&accepted["level"], &accepted["seq_no"], &accepted["event_id"]), (&"INFO".into(), &1.into(), &"1/0".into()));
}

fn latched() -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::create(dir.path(), &[1; 16], key()).unwrap();
    ledger.append(new_event("1/0", EventType::Opened, &[0xa0])).unwrap();
    // The folder is put elsewhere while it is in use, as when a disk is changed: what is written now has no name.
    fs::rename(dir.path().join("ledger.db"), dir.path().join("elsewhere.db")).unwrap();
    heard(|| {
        ledger.append(new_event("1/1", EventType::Notice, &[0xa0])).unwrap_err();
        ledger.append(new_event("1/1", EventType::Notice, &[0xa0])).unwrap_err();
        check(&ledger).unwrap_err();
    })
}

#[test]
fn a_latch_is_told_once_and_what_follows_it_is_refused_and_fails() {
    let lines = latched();
    as_documented(&lines);
    let latch = one(&lines, "ledger latched");
    assert_eq!(latch["level"], "ERROR");
    assert!(latch["found"].as_str().unwrap().contains("ledger.db"), "{latch}");
    let reasons: Vec<(&Value, &Value)> = of(&lines, "event refused").iter().map(|line| (&line["reason"], &line["rule"])).collect();
    assert_eq!((reasons.len(), reasons[0].1, reasons[1]), (2, &latch["rule"], (&"latched".into(), &"disk-fault".into())), "{lines:#?}");
    let failed = one(&lines, "check failed");
    assert_eq!((&failed["level"], &failed["rule"]), (&"ERROR".into(), &"disk-fault".into()));
    assert_eq!(failed["found"], "an earlier I/O error found in this process; none expected");
}

/// A row deleted by another program, who puts the triggers back.
fn cut(case: &Case, folder: &str) {
    copy_tree(&case.path("witness"), &case.path(folder));
    #[allow(clippy::disallowed_methods)] // a foreign program at the ledger's file
    let db = rusqlite::Connection::open(case.path(&format!("{folder}/ledger.db"))).unwrap();
    let trigger: String = db.query_row("SELECT sql FROM sqlite_schema WHERE name = 'events_no_delete'", [], |row| row.get(0)).unwrap();
    db.execute_batch(&format!("DROP TRIGGER events_no_delete; DELETE FROM events WHERE seq_no = 6; {trigger}")).unwrap();
}

fn halted(case: &mut Case) -> Vec<Value> {
    cut(case, "cut");
    case.remember_head();
    case.quiet("witness session --ledger cut --media stick --expect-head $HEAD --yes --time none --log halted", 5);
    lines(case, "halted")
}

#[test]
fn corruption_and_the_halt_over_it_are_told_with_both_values_and_the_dossier() {
    let mut case = Case::grown("log-corrupted");
    let lines = halted(&mut case);
    as_documented(&lines);
    let found = of(&lines, "corruption found")[0];
    assert_eq!((&found["level"], &found["kind"]), (&"ERROR".into(), &"number".into()));
    assert_eq!((&found["last_good_seq_no"], &found["first_bad_seq_no"]), (&5.into(), &6.into()));
    assert_eq!(found["found"], "event 7 found; event 6 expected");
    let halt = one(&lines, "desk halted");
    assert_eq!((&halt["level"], &halt["rule"]), (&"ERROR".into(), &"chain-broken".into()));
    assert_eq!(halt["found"], "event 6, number: event 7 found; event 6 expected; the last good event is 5");
    let dossier = halt["dossier"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    assert!(case.path(&format!("cut/halt-evidence/{dossier}.txt")).is_file(), "{halt}");
    let stopped = one(&lines, "command stopped");
    assert_eq!((&stopped["level"], &stopped["exit"], &stopped["rule"]), (&"ERROR".into(), &5.into(), &"chain-broken".into()));
}

fn rolled_back(case: &Case) -> (Vec<Value>, [String; 2]) {
    // The head file of the founding beside a ledger that has sealed a session since.
    copy_tree(&case.path("witness"), &case.path("rolled"));
    case.write("rolled/head", Case::founded("log-founded").read("witness/head"));
    case.quiet("witness status --ledger rolled --log rolled.log", 5);
    let closed = |folder: &str| {
        let text = String::from_utf8(case.read(&format!("{folder}/head"))).unwrap();
        text.lines().find_map(|line| line.strip_prefix("closed ")).unwrap().to_owned()
    };
    (lines(case, "rolled.log"), [closed("rolled"), closed("witness")])
}

#[test]
fn an_older_head_file_is_told_with_both_hashes_and_numbers() {
    let case = Case::grown("log-rolled");
    let (lines, [found, expected]) = rolled_back(&case);
    as_documented(&lines);
    let mismatch = one(&lines, "head mismatch");
    assert_eq!((&mismatch["level"], &mismatch["rule"]), (&"ERROR".into(), &"head-rolled-back".into()));
    assert_eq!((&mismatch["found_hash"], &mismatch["expected_hash"]), (&found.into(), &expected.into()));
    assert_eq!((&mismatch["found_number"], &mismatch["expected_number"]), (&1.into(), &3.into()));
}

fn given_up(case: &mut Case) -> Vec<Value> {
    copy_tree(&Case::foreign("log-foreign").path("stick"), &case.path("foreign"));
    let pin = case.pin("alice");
    case.write("a/p.tabellion", Forge::put("alice", 9, &pin, "docs/x", b"x").bytes());
    case.remember_head();
    let media = "--media foreign --media a";
    case.quiet(&format!("witness session --ledger witness {media} --expect-head $HEAD --yes --time none --log given-up"), 3);
    lines(case, "given-up")
}

#[test]
fn a_medium_that_is_given_up_is_told_beside_the_one_that_was_written() {
    let mut case = Case::grown("log-given-up");
    let lines = given_up(&mut case);
    as_documented(&lines);
    let [given_up, written] = ["medium given up", "medium written"].map(|message| one(&lines, message));
    assert_eq!((&given_up["level"], &given_up["medium"], &given_up["rule"]), (&"WARN".into(), &"foreign".into(), &"medium-foreign".into()));
    assert!(given_up["found"].as_str().unwrap().contains("expected"), "{given_up}");
    assert_eq!((&written["level"], &written["medium"]), (&"INFO".into(), &"a".into()));
}

fn orders(case: &Case) -> Vec<Value> {
    case.quiet("ceremony resume --ledger cut-halted --write-order resume.payload", 0);
    case.quiet("ceremony resume --ledger cut-halted --order resume.payload --log orders", 4);
    case.quiet("approve resume.payload --key alice/key --yes", 0);
    case.quiet("ceremony resume --ledger cut-halted --order resume.cose --log orders", 4);
    lines(case, "orders")
}

#[test]
fn an_order_that_is_refused_is_told_with_what_it_lacks() {
    let mut case = Case::grown("log-orders");
    let pin = case.pin("alice");
    copy_tree(&case.path("witness"), &case.path("cut-halted"));
    case.write("a/p.tabellion", Forge::put("alice", 9, &pin, "docs/x", b"x").bytes());
    session(&mut case, "log", "a", 0);
    case.write("news/checkpoint", case.read("a/tabellion/common/checkpoint"));
    case.quiet("witness session --ledger cut-halted --media news --expect-head $HEAD --yes --time none --log elsewhere", 5);
    let halt = lines(&case, "elsewhere");
    as_documented(&halt);
    assert_eq!(one(&halt, "desk halted")["rule"], "head-elsewhere");
    let before = tree(&case.path("cut-halted"));
    let lines = orders(&case);
    as_documented(&lines);
    let refused: Vec<[&str; 3]> =
        of(&lines, "command refused").iter().map(|line| ["level", "command", "rule"].map(|field| line[field].as_str().unwrap())).collect();
    assert_eq!(refused, [["WARN", "ceremony resume", "order-unsigned"]; 2]);
    let found = of(&lines, "command refused")[1]["found"].as_str().unwrap();
    assert_eq!(found, "1 of 2 in group \"board\", signed by alice; missing any of carol, james");
    let moved = stage::differing(&before, &tree(&case.path("cut-halted")));
    assert!(moved.iter().all(|name| name.starts_with("ledger.db")), "{moved:?}");
}

#[test]
fn every_documented_line_is_told_by_some_state() {
    let mut case = Case::grown("log-all");
    let mut all = [refused_events(), latched(), halted(&mut case), rolled_back(&case).0].concat();
    let pin = case.pin("alice");
    case.write("foreign/bad.tabellion", Forge::put("james", 12, &pin, "docs/b", b"b").bytes());
    case.write("foreign/held.tabellion", Forge::put("alice", 13, &pin, "release/c", b"c").bytes());
    case.write("foreign/rubbish", "nothing of ours");
    all.extend(given_up(&mut case));
    case.quiet(
        "witness session --ledger witness --media a --expect-head 1:abandon-ability-able-about-above-absent --yes --time none --log last",
        5,
    );
    case.quiet(
        "propose put docs/b=passphrase --pin alice/common.pin --key alice/key --media a --passphrase-file policy.toml --log last",
        4,
    );
    all.extend(lines(&case, "last"));
    let told: BTreeSet<&str> = all.iter().map(|line| line["message"].as_str().unwrap()).collect();
    let table = documented();
    assert_eq!(told, table.keys().map(String::as_str).collect());
}

//! `docs/json.md` has every field that `--json` prints, with its type, and none that is never printed. The scene is made to bring out as many as
//! it can; what it does not bring out stands in a list here.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod stage;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;
use stage::{Case, Forge, copy_tree, public};
use tabellion::ledger::trail::{Asked, Ended, Status, Trail};

/// Documented, and not in this scene: section and field.
const NOT_HERE: &[(&str, &str)] = &[
    ("diff", "policy"),
    ("difference", "follows"),
    ("difference", "paper"),
    ("difference", "published"),
    ("difference", "session"),
    ("difference", "what"),
    ("entry", "source"),
    ("operation", "policy"),
    ("page", "time"),
    ("paper", "after"),
    ("paper", "last_number"),
    ("policy-changed", "after"),
    ("policy-changed", "author"),
    ("policy-changed", "before"),
    ("policy-changed", "number"),
    ("statement", "session"),
    ("tree", "found"),
    ("warning", "most"),
    ("warning", "need"),
];

/// A row of the document: type and meaning.
type Row = (String, String);

/// The tables of `docs/json.md`, and which of their rows were seen.
struct Tables {
    rows: BTreeMap<String, BTreeMap<String, Row>>,
    seen: RefCell<BTreeSet<(String, String)>>,
}

impl Tables {
    fn read() -> Tables {
        let (mut rows, mut section): (BTreeMap<String, BTreeMap<String, Row>>, _) = (BTreeMap::new(), String::from("document"));
        for line in include_str!("../docs/json.md").lines() {
            if line.starts_with('#') {
                section = line.trim_start_matches(['#', ' ', '`']).trim_end_matches('`').to_owned();
            }
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            if let ["", field, kind, meaning, ""] = cells.as_slice()
                && field.starts_with('`')
            {
                let row = ((*kind).to_owned(), (*meaning).to_owned());
                let twice = rows.entry(section.clone()).or_default().insert(field.trim_matches('`').to_owned(), row);
                // The forms of a desk's answers stand in tables of one section; tests/cli/json-*.txt hold them.
                assert!(twice.is_none() || section.contains('…'), "{section}: {field} twice");
            }
        }
        Tables { rows, seen: RefCell::default() }
    }

    /// Compares an object with the tables of these sections.
    fn compare(&self, sections: &[String], value: &Value, at: &str) {
        let Value::Object(fields) = value else { panic!("{at}: an object expected, {value} found") };
        for (field, value) in fields {
            let at = format!("{at}.{field}");
            let section = sections.iter().find(|section| self.rows.get(*section).is_some_and(|rows| rows.contains_key(field)));
            let section = section.unwrap_or_else(|| panic!("{at}: no row in {sections:?} of docs/json.md"));
            self.seen.borrow_mut().insert((section.clone(), field.clone()));
            self.compare_value(&self.rows[section][field], value, &at);
        }
    }

    fn compare_value(&self, (kind, meaning): &Row, value: &Value, at: &str) {
        let links: Vec<String> = kind.split("](#").skip(1).map(|link| link.split(')').next().unwrap().to_owned()).collect();
        let plain = kind.strip_prefix("list of ").unwrap_or(kind);
        assert!(!kind.starts_with("list of ") || value.is_array(), "{at}: a list expected, {value} found");
        let every = match value {
            Value::Array(values) if kind.contains("list of ") => values.as_slice(),
            other => std::slice::from_ref(other),
        };
        for value in every {
            let fits = match value {
                Value::Null => meaning.contains("null") || at.contains("answer.consequences"),
                Value::Object(_) if !links.is_empty() => {
                    self.compare(&links, value, at);
                    true
                }
                // A need of one member is that member's name; before and after of a policy are what the change is about.
                Value::String(_) if links.iter().any(|link| link == "need") || kind.contains(", text or number") => true,
                Value::String(text) => plain == "text" || plain == "sha256" && text.len() == 71 && text.starts_with("sha256:"),
                Value::Number(number) => (plain == "number" || kind.contains(", text or number")) && number.is_u64(),
                Value::Bool(_) => plain == "boolean",
                _ => plain == "object",
            };
            assert!(fits, "{at}: {kind} expected, {value} found");
        }
    }

    /// Rows of these sections, and of those they lead to, that were never seen.
    fn unseen(&self, commands: &BTreeSet<String>) -> Vec<(String, String)> {
        let (mut open, mut known): (Vec<String>, BTreeSet<String>) = (commands.iter().cloned().collect(), BTreeSet::new());
        while let Some(section) = open.pop() {
            if known.insert(section.clone()) {
                let rows = self.rows.get(&section).unwrap_or_else(|| panic!("docs/json.md has no section {section}"));
                let links = rows.values().flat_map(|(kind, _)| kind.split("](#").skip(1).map(|link| link.split(')').next().unwrap()));
                open.extend(links.map(str::to_owned));
            }
        }
        let all = known.iter().flat_map(|section| self.rows[section].keys().map(|field| (section.clone(), field.clone())));
        all.filter(|row| !self.seen.borrow().contains(row)).collect()
    }
}

/// A case whose commands are run with `--json`, and their documents compared.
struct Scene {
    case: Case,
    tables: Tables,
    commands: BTreeSet<String>,
}

impl Scene {
    fn run(&mut self, arguments: &str, code: i32) -> Value {
        let output = self.case.command(&format!("{arguments} --json")).output().unwrap();
        let (text, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(code), "{arguments}\n{text}{said}");
        assert_eq!((text.matches('\n').count(), text.ends_with('\n')), (1, true), "{arguments}: one line");
        let document: Value = serde_json::from_str(&text).unwrap();
        let command = document["command"].as_str().unwrap().to_owned();
        assert!(arguments.starts_with(&command) && !command.is_empty(), "{arguments}: {command}");
        assert_eq!(document["exit"], code, "{arguments}");
        assert_eq!(document.get("problem").is_some(), code > 1, "{arguments}: {document}");
        let mut fields = document.as_object().unwrap().clone();
        if let Some(answer) = fields.remove("answer") {
            self.tables.compare(std::slice::from_ref(&command), &answer, &format!("{arguments}: answer"));
            self.commands.insert(command);
        }
        self.tables.compare(&["The JSON document".to_owned()], &Value::Object(fields), arguments);
        document
    }
}

/// Many things at once: one joins, a key retires, prefixes move, and hardly anybody can sign.
fn second() -> String {
    let member = |name: &str, key: &str| format!("[[member]]\nname = \"{name}\"\nkeys = [\"{}\"]\n", public(key));
    format!(
        "governors = \"council\"\nheld_numbers_max = 50\nbase_lag_max = 7\n{}quota = 3\n{}{}\
         [[member]]\nname = \"james\"\nkeys = []\nretired = [\"{}\"]\n\
         [[group]]\nname = \"council\"\nk = 1\nof = [\"alice\", \"inner\"]\n\
         [[group]]\nname = \"inner\"\nk = 2\nof = [\"carol\", \"erin\", \"james\"]\n\
         [[group]]\nname = \"idle\"\nk = 1\nof = [\"alice\", \"erin\"]\n\
         [[rule]]\nprefix = \"tools/editor/\"\npropose = [\"alice\", \"james\"]\nsize_max = 5\n\
         [[rule]]\nprefix = \"docs/\"\npropose = [\"alice\", \"erin\"]\napprove = \"council\"\nsize_max = 70\n\
         [[rule]]\nprefix = \"empty/\"\npropose = [\"james\"]\nsize_max = 70\n",
        member("alice", "alice"),
        member("carol", "carol"),
        member("erin", "other"),
        public("james"),
    )
}

/// A desk and its copy, which goes on by itself; a session with a tree, content that is not there, and a refusal.
fn scene() -> Scene {
    let mut case = Case::grown("json");
    case.write("second.toml", second());
    let fingerprint = case.quiet("witness status --ledger witness --fingerprint", 0);
    case.set("FINGERPRINT", fingerprint.trim());
    for copy in ["copy", "other"] {
        fs::create_dir(case.path(copy)).unwrap();
    }
    copy_tree(&case.path("witness"), &case.path("copy"));
    copy_tree(&case.path("stick"), &case.path("other"));
    case.write("kit/readme", "read me\n");
    case.write("kit/bin/run", "#!/bin/sh\n");
    fs::create_dir(case.path("late")).unwrap();
    case.quiet("pin stick --charter $FINGERPRINT --at 1 --out late/common.pin", 0);
    Scene { case, tables: Tables::read(), commands: BTreeSet::new() }
}

impl Scene {
    fn tell_of_keys_and_policies(&mut self) {
        self.run("key new new-key --passphrase-file passphrase", 0);
        self.run("key identity new-key --out new-identity --passphrase-file passphrase", 0);
        self.run("key show new-key", 0);
        self.run("key show new-key --public", 0);
        self.run("policy check second.toml --against stick --pin alice/common.pin", 0);
        self.run("policy show second.toml --toml", 0);
        self.run("policy show stick --pin alice/common.pin", 0);
        self.run("policy diff stick second.toml --pin alice/common.pin", 1);
        self.run("policy diff second.toml stick --pin alice/common.pin", 1);
    }

    fn keep_snapshots(&mut self) {
        self.run("domain init own --name alice --pin alice/common.pin --key alice/key --passphrase-file passphrase", 0);
        let keep = "domain snapshot kit --domain own --key alice/key --passphrase-file passphrase --time 2026-11-21T10:00:00Z --note first";
        self.run(keep, 0);
        self.run("domain log own", 0);
        self.run("domain show own", 0);
    }

    fn audit(&mut self) {
        fs::create_dir(self.case.path("asked")).unwrap();
        self.run("domain audit asked", 0);
        let trail = Trail::open(&self.case.path("asked")).unwrap();
        let asked = Asked {
            request_id: [0xab; 16],
            at: 1_772_366_400,
            uid: 1_000,
            pid: 4_711,
            program: "domain snapshot".into(),
            ledger: "witness.example/common/~alice".into(),
            request_type: "append".into(),
            is_write: true,
            key: "12".into(),
            idempotency_key: Some("night job".into()),
        };
        let ended = Ended { status: Status::Refused, rule: "head-unexpected".into(), latency_us: 7, affected: "nothing".into() };
        trail.record(&asked, &ended).unwrap();
        trail.begin(&Asked { request_id: [0xcd; 16], at: 0, ..asked }).unwrap();
        assert_eq!(self.run("witness audit --ledger asked", 0)["answer"]["requests"][1]["status"], "unfinished");
        assert_eq!(self.run("domain audit asked --last 1", 0)["answer"]["left_out"], 1);
    }

    fn judge(&mut self) {
        let pin = self.case.pin("alice");
        self.case.quiet("propose put tools/kit=kit --pin alice/common.pin --key alice/key --media stick --note kit", 0);
        self.case.quiet("propose put tools/editor=james/viewer --pin late/common.pin --key james/key --media stick", 0);
        self.case.quiet("propose put tools/viewer=kit/readme --pin alice/common.pin --key alice/key --media stick", 0);
        self.case.write("stick/tabellion/inbox/note.cose", Forge::put("alice", 9, &pin, "docs/x", b"not here").bytes());
        self.case.write("stick/tabellion/inbox/junk.cose", "junk");
        let foreseen = self.run("preview stick --pin alice/common.pin", 1);
        assert_eq!(foreseen["answer"]["answers"].as_array().unwrap().len(), 4, "{foreseen}");
        self.case.session(&["stick"], 1);
        self.run("preview stick --pin alice/common.pin", 0);
        self.case.quiet("collect stick --pin late/common.pin", 1);
        self.case.write("other/tabellion/inbox/note.cose", Forge::put("alice", 9, &pin, "docs/y", b"elsewhere").bytes());
        self.case.quiet("witness session --ledger copy --media other --expect-head $HEAD --yes --time none", 0);
    }

    fn consume(&mut self) {
        self.run("pin stick --charter $FINGERPRINT --out new.pin", 0);
        self.run("advance stick --pin late/common.pin", 0);
        self.run("advance stick --pin late/common.pin", 0);
        self.run("verify stick --pin new.pin", 0);
        self.run("verify new.pin", 0);
        let receipt = self.case.find("late/papers", "", ".receipt");
        assert_eq!(self.run(&format!("verify {receipt} --pin new.pin"), 0)["answer"]["verdict"], "refused");
        self.run("replay stick --pin new.pin", 0);
        let pages = self.run("log stick --pin new.pin", 0)["answer"]["pages"].as_array().unwrap().clone();
        let paper = pages[1]["paper"]["id"].as_str().unwrap().to_owned();
        self.run("show stick --pin new.pin", 0);
        self.run("show stick tools/kit docs/none --pin new.pin", 1);
        assert_eq!(self.run("diff stick --from 1 --pin new.pin", 1)["answer"]["changes"][0]["kind"], "added");
        self.run("diff stick --from 3 --pin new.pin", 1);
        self.run("checkout stick out --pin new.pin", 1);
        self.run("prove stick tools/editor --pin new.pin --out name.proof", 0);
        self.run(&format!("prove stick --paper {paper} --pin new.pin --out paper.proof"), 0);
        self.run("prove stick --catch-up 1 --pin new.pin --out catch-up", 0);
        self.run("verify name.proof --content alice/editor --pin new.pin", 0);
        self.run("verify name.proof --content james/viewer --pin new.pin", 1);
        assert_eq!(self.run("verify paper.proof --pin new.pin", 0)["answer"]["kind"], "receipt");
        self.case.quiet("pin stick --charter $FINGERPRINT --at 1 --out first.pin", 0);
        assert_eq!(self.run("verify catch-up --pin first.pin", 0)["answer"]["kind"], "catch-up");
    }

    fn compare_two(&mut self) {
        assert_eq!(self.run("verify stick stick --pin new.pin", 0)["answer"]["kind"], "consistent");
        assert_eq!(self.run("verify stick other --pin new.pin", 1)["answer"]["kind"], "fork");
        self.run("verify fork-4.proof --pin new.pin", 1);
        self.case.write("taken", "something else");
        let both = self.run("verify stick other --pin new.pin --out taken", 2);
        assert_eq!(both["answer"]["number"], 4, "the fork is told though its proof found no place");
        assert_eq!(both["problem"]["rule"], "exists");
    }

    fn change_a_folder(&mut self) {
        let before = self.case.pin("alice").head.number;
        self.case.quiet("advance stick --pin alice/common.pin", 0);
        let from = self.case.pin("alice").head.number;
        assert!(from > before);
        self.case.write("kit/readme", "read me again\n");
        fs::rename(self.case.path("kit/bin/run"), self.case.path("kit/bin/start")).unwrap();
        self.case.quiet("propose put tools/kit=kit --pin alice/common.pin --key alice/key --media stick", 0);
        self.case.session(&["stick"], 0);
        let differs = self.run(&format!("diff stick --from {from} --pin alice/common.pin"), 1);
        let paths = differs["answer"]["changes"][0]["paths"].as_array().unwrap().clone();
        let told: Vec<(&str, &str)> = paths.iter().map(|path| (path["kind"].as_str().unwrap(), path["path"].as_str().unwrap())).collect();
        assert_eq!(told, [("removed", "bin/run"), ("added", "bin/start"), ("changed", "readme")]);
        let said = self.case.quiet(&format!("diff stick --from {from} --pin alice/common.pin"), 1);
        assert!(said.contains("    changed  readme: 8 bytes (") && said.contains(" before, 14 bytes ("), "{said}");
        // A proof of a folder is compared with a folder.
        self.case.quiet("advance stick --pin alice/common.pin", 0);
        self.case.quiet("prove stick tools/kit --pin alice/common.pin --out kit.proof", 0);
        self.run("verify kit.proof --content kit --pin alice/common.pin", 0);
        self.case.write("kit/readme", "something else\n");
        self.run("verify kit.proof --content kit --pin alice/common.pin", 1);
    }

    fn fail(&mut self) {
        self.case.quiet("pin other --charter $FINGERPRINT --out other.pin", 0);
        for (arguments, code, rule) in [
            ("verify nowhere --pin new.pin", 2, "not-found"),
            ("log stick --from 99 --pin new.pin", 2, "usage"),
            ("policy check kit/readme", 2, "policy-unsound"),
            ("log stick --at 99 --pin new.pin", 3, "pin-behind"),
            ("pin stick --charter 0000000000000000000000000000000000000000000000000000000000000000 --out x.pin", 4, "fingerprint-mismatch"),
            ("advance stick --pin other.pin", 5, "proof-fails"),
        ] {
            let document = self.run(arguments, code);
            assert_eq!((&document["problem"]["rule"], document.get("answer")), (&Value::from(rule), None), "{arguments}");
        }
        // Content that is not what was signed: nothing is said to be verified.
        let objects = self.case.path("stick/tabellion/common/objects/000/000001.objects");
        let mut bytes = fs::read(&objects).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&objects, bytes).unwrap();
        assert_eq!(self.run("verify stick --pin new.pin", 5).get("answer"), None);
        let said = self.case.quiet("verify stick --pin new.pin", 5);
        assert_eq!(said, "", "nothing on stdout above a failure");
    }
}

#[test]
fn every_field_is_documented_and_every_documented_field_is_printed() {
    let mut scene = scene();
    scene.run("demo story", 0);
    scene.tell_of_keys_and_policies();
    scene.keep_snapshots();
    scene.audit();
    scene.judge();
    scene.consume();
    scene.compare_two();
    scene.change_a_folder();
    scene.fail();
    scene.run("completions fish", 0);
    scene.run("man pages", 0);
    scene.commands.insert("The JSON document".to_owned());
    scene.tables.seen.borrow_mut().insert(("The JSON document".to_owned(), "answer".to_owned()));
    let expected: Vec<(String, String)> = NOT_HERE.iter().map(|(section, field)| ((*section).to_owned(), (*field).to_owned())).collect();
    assert_eq!(scene.tables.unseen(&scene.commands), expected, "rows of docs/json.md that nothing printed, and those that are known");
    let done =
        ["demo", "key new", "preview", "policy diff", "pin", "advance", "verify", "replay", "log", "show", "diff", "checkout", "prove"];
    assert!(done.iter().all(|command| scene.commands.contains(*command)), "{:?}", scene.commands);
}

#[test]
fn a_field_without_a_row_and_one_of_another_type_are_seen() {
    let tables = Tables::read();
    let refused = |answer: &str| {
        let value: Value = serde_json::from_str(answer).unwrap();
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| tables.compare(&["log".to_owned()], &value, "log"))).is_err()
    };
    assert!(!refused(r#"{"number": 3, "pages": [{"number": 1, "signed_by": ["alice"]}]}"#));
    assert!(refused(r#"{"number": 3, "folder": "x"}"#));
    assert!(refused(r#"{"number": "3"}"#));
    assert!(refused(r#"{"number": -3}"#));
    assert!(refused(r#"{"number": null}"#));
    assert!(refused(r#"{"pages": {}}"#));
    assert!(refused(r#"{"pages": [{"number": 1, "colour": "red"}]}"#));
    assert!(refused(r#"{"pages": [{"signed_by": "alice"}]}"#));
    assert_eq!(tables.unseen(&BTreeSet::from(["head".to_owned()])).len(), 3, "no head was printed");
}

//! What the guides say is what happens: every `console` block of `docs/proposer.md`, `docs/desk.md`, `docs/consumer.md`, `docs/recovery.md`, `docs/backup.md` and `README.md` is run,
//! in order, in a world of its own, and must end and answer as the page shows.
//!
//! In a block, `$ tabellion …` is typed, and must end with 0 or with the code behind `# exit`; the lines below it must occur in what is
//! answered, in this order, `…` standing for any text. What a terminal would ask for is appended as options. `<!-- $ … -->` runs a command that the
//! reader does not see, `<!-- file PATH: TEXT -->` makes a file, and `<!-- meanwhile: … -->` is one of the scenes below. `FINGERPRINT`, `NEXT-KEY` and
//! `ID` stand for what somebody would read from a screen.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod stage;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use stage::{Case, PROGRAM, copy_tree, policy};

// ------------------------------------------------------------------------------------------------------------------------- 1. the guides

#[test]
fn the_proposers_guide_is_what_happens() {
    let mut world = World::of("home/dana");
    world.founded("guide-proposer");
    assert_eq!(world.walk("proposer"), 17);
}

#[test]
fn the_desks_guide_is_what_happens() {
    let mut world = World::of("home/olga");
    world.unfounded();
    assert_eq!(world.walk("desk"), 20);
}

#[test]
fn the_consumers_guide_is_what_happens() {
    let mut world = World::of("home/nora");
    world.founded("guide-consumer");
    assert_eq!(world.walk("consumer"), 16);
}

#[test]
fn the_recovery_guide_is_what_happens() {
    let mut world = World::of("home/olga");
    world.founded("guide-recovery");
    assert_eq!(world.walk("recovery"), 11);
}

#[test]
fn the_backup_guide_is_what_happens() {
    let mut world = World::of("home/olga");
    world.founded("guide-backup");
    assert_eq!(world.walk("backup"), 6);
}

#[test]
fn the_readme_is_what_happens() {
    let mut world = World::of("home/olga");
    world.unfounded();
    assert_eq!(world.walk("../README"), 15);
}

/// A message or a page that sends its reader to a document sends nobody into the void.
#[test]
fn every_document_that_is_named_is_there() {
    let (mut named, folders) = (0, ["src", "docs", "proposals-schema"]);
    let pages = folders
        .iter()
        .flat_map(|folder| stage::tree(&root().join(folder)).into_iter().map(move |(path, bytes)| (format!("{folder}/{path}"), bytes)));
    let readme = ("README.md".to_owned(), fs::read(root().join("README.md")).unwrap());
    for (path, bytes) in pages.chain([readme]) {
        let text = String::from_utf8_lossy(&bytes);
        for (at, _) in text.match_indices("docs/") {
            let name: String = text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || "/._-".contains(*c)).collect();
            let Some(end) = name.find(".md") else { continue };
            named += 1;
            assert!(root().join(&name[..end + 3]).is_file(), "{path} names {name}");
        }
    }
    assert!(named >= 20, "{named} documents named");
}

/// Each source file is named in the table of the architecture.
#[test]
fn the_architecture_names_every_module() {
    let page = read(&root().join("docs/architecture.md"));
    let sources = stage::tree(&root().join("src"));
    let files: Vec<&str> = sources.keys().filter(|path| !path.contains("/tests/")).filter_map(|path| path.strip_suffix(".rs")).collect();
    assert!(files.len() > 100, "{} source files", files.len());
    for file in files {
        let name = file.rsplit('/').next().unwrap();
        let is_named = ["mod", "lib", "main", "tests"].contains(&name) || page.contains(&format!("`{name}`"));
        assert!(is_named, "docs/architecture.md does not say what src/{file}.rs is for");
    }
}

/// The operator's guide shows the screens that are there: each picture is a file, each is shown, and each title of section 8 is one of the console's.
#[test]
fn the_operators_guide_shows_the_consoles_own_pages() {
    let guide = read(&root().join("docs/operator.md"));
    let shown: Vec<&str> = guide.split("](pictures/").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    let kept = stage::tree(&root().join("docs/pictures"));
    assert!(shown.len() >= 12, "{} pictures shown", shown.len());
    for name in &shown {
        let picture = kept.get(*name).unwrap_or_else(|| panic!("docs/pictures/{name} is not there"));
        assert!(picture.starts_with(b"\x89PNG\r\n\x1a\n"), "{name} is no PNG file");
    }
    let unseen: Vec<&String> = kept.keys().filter(|name| !shown.contains(&name.as_str())).collect();
    assert!(unseen.is_empty(), "in no guide: {unseen:?}");
    let pages: Vec<u8> = stage::tree(&root().join("src/appliance")).into_values().flatten().collect();
    let pages = String::from_utf8(pages).unwrap();
    let trouble = guide.split("## 8.").nth(1).unwrap().split("## 9.").next().unwrap();
    let titles: Vec<&str> =
        trouble.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next()).filter(|title| !title.starts_with('*')).collect();
    assert!(titles.len() >= 11, "{titles:?}");
    for title in titles.iter().filter(|title| **title != "the screen says") {
        assert!(pages.contains(&format!("\"{title}\"")), "no page of the console is called {title:?}");
    }
}

/// What a terminal asks is shown in `prompt` blocks: each piece between `…` stands in the source.
#[test]
fn prompts_in_the_guides_are_those_of_the_program() {
    let sources: Vec<u8> = stage::tree(&root().join("src/cli")).into_values().flatten().collect();
    let sources = String::from_utf8(sources).unwrap();
    let mut shown = 0;
    for guide in ["proposer", "desk", "consumer"] {
        for step in steps(&read(&root().join(format!("docs/{guide}.md")))) {
            if let Step::Prompt(line) = step {
                shown += 1;
                line.split('…').for_each(|piece| assert!(sources.contains(piece), "{guide}: {piece:?} is asked nowhere"));
            }
        }
    }
    assert!(shown >= 5, "{shown} prompts in the guides");
}

#[test]
fn a_guide_that_says_something_else_is_found_out() {
    let answered = "made     key, sealed\npublic   ed25519:12\nkey id   34\n";
    assert_eq!(first_unseen(&["made     key, sealed", "key id   …"], answered), None);
    assert_eq!(first_unseen(&["public   ed25519:…", "made     key, sealed"], answered), Some("made     key, sealed"));
    assert_eq!(first_unseen(&["made     key"], answered), Some("made     key"));
    assert_eq!(first_unseen(&["made…unsealed"], answered), Some("made…unsealed"));
    assert!(matches!(&steps("```console\n$ tabellion x  # exit 5\nfound\n```\n")[..], [Step::Type(_, 5, lines)] if lines == &["found"]));
}

// ----------------------------------------------------------------------------------------------------------------- 2. how a guide is read

enum Step {
    /// A command, its exit code, and what is shown of its answer.
    Type(String, i32, Vec<String>),
    /// A command that the reader does not see.
    Quietly(String, i32),
    /// A file that is there.
    Write(String, String),
    /// A scene by its name.
    Meanwhile(String),
    /// What a terminal asks.
    Prompt(String),
}

fn with_code(command: &str) -> (String, i32) {
    match command.split_once("# exit ") {
        Some((command, code)) => (command.trim().to_owned(), code.trim().parse().unwrap()),
        None => (command.trim().to_owned(), 0),
    }
}

fn steps(guide: &str) -> Vec<Step> {
    let (mut out, mut block) = (Vec::new(), "");
    for line in guide.lines() {
        if let Some(kind) = line.strip_prefix("```") {
            block = kind;
        } else if block == "console" {
            match (line.strip_prefix("$ "), out.last_mut()) {
                (Some(command), _) => {
                    let (command, code) = with_code(command);
                    out.push(Step::Type(command, code, Vec::new()));
                }
                (None, Some(Step::Type(_, _, shown))) => shown.push(line.trim_end().to_owned()),
                (None, _) => panic!("{line:?} answers no command"),
            }
        } else if block == "prompt" {
            out.push(Step::Prompt(line.to_owned()));
        } else if let Some(hidden) = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->")) {
            out.push(if let Some(command) = hidden.strip_prefix("$ ") {
                let (command, code) = with_code(command);
                Step::Quietly(command, code)
            } else if let Some((path, text)) = hidden.strip_prefix("file ").and_then(|file| file.split_once(": ")) {
                Step::Write(path.to_owned(), text.to_owned())
            } else {
                Step::Meanwhile(hidden.strip_prefix("meanwhile: ").expect("a scene").to_owned())
            });
        }
    }
    assert_eq!(block, "", "a block is not closed");
    out
}

/// Whether a line is what is shown, `…` standing for any text.
fn matches(shown: &str, line: &str) -> bool {
    let mut pieces = shown.split('…');
    let Some(mut rest) = line.strip_prefix(pieces.next().unwrap()) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

/// The first line that is shown and was not answered in its place.
fn first_unseen<'a>(shown: &[&'a str], answered: &str) -> Option<&'a str> {
    let mut lines = answered.lines().map(str::trim_end);
    shown.iter().copied().find(|shown| !lines.any(|line| matches(shown, line)))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

// ----------------------------------------------------------------------------------------------------------------- 3. the world of a guide

/// Folders as a guide names them: people at home, media where a system mounts them. Everything in it lies below one folder.
struct World {
    case: Case,
    home: &'static str,
    /// The last paper's id that was shown.
    paper: Option<String>,
}

impl World {
    fn of(home: &'static str) -> World {
        let case = Case::empty("guide");
        fs::create_dir_all(case.path(home)).unwrap();
        World { case, home, paper: None }
    }

    /// Alice, James and Carol have founded Common; the desk stands at Olga's, and a stick carries common@3.
    fn founded(&mut self, name: &'static str) {
        let grown = Case::grown(name);
        for (from, to) in
            [("witness", "home/olga/desk"), ("stick", "media/stick"), ("passphrase", "passphrase"), ("policy.toml", "policy.toml")]
        {
            self.take(&grown.path(from), to);
        }
        fs::remove_dir_all(self.case.path("media/stick/tabellion/heads")).unwrap();
        for name in ["alice", "james", "carol"] {
            self.take(&grown.path(name), &format!("home/{name}"));
        }
    }

    /// The same people, and nothing founded: a policy and the keys are there.
    fn unfounded(&mut self) {
        self.founded("guide-operator");
        fs::remove_dir_all(self.case.path("home/olga/desk")).unwrap();
        fs::remove_dir_all(self.case.path("media/stick")).unwrap();
        fs::create_dir_all(self.case.path("media/stick")).unwrap();
        for name in ["alice", "james", "carol"] {
            fs::remove_file(self.case.path(&format!("home/{name}/common.pin"))).unwrap();
            drop(fs::remove_dir_all(self.case.path(&format!("home/{name}/papers"))));
        }
        fs::rename(self.case.path("policy.toml"), self.case.path("home/olga/policy.toml")).unwrap();
    }

    fn take(&self, from: &Path, to: &str) {
        let to = self.case.path(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        if from.is_dir() { copy_tree(from, &to) } else { assert!(fs::copy(from, &to).is_ok()) }
    }

    /// Walks through a guide; answers how many commands it shows.
    fn walk(&mut self, guide: &str) -> usize {
        let mut typed = 0;
        for step in steps(&read(&root().join(format!("docs/{guide}.md")))) {
            match step {
                Step::Type(command, code, shown) => {
                    typed += 1;
                    let answered = self.run(&command, code);
                    let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
                    let unseen = first_unseen(&shown, &answered);
                    assert_eq!(unseen, None, "{guide}.md: this was not answered in its place by: {command}\n{answered}");
                }
                Step::Quietly(command, code) => drop(self.run(&command, code)),
                Step::Write(path, text) => {
                    let path = self.inside(&path);
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    fs::write(path, text + "\n").unwrap();
                }
                Step::Meanwhile(scene) => self.scene(&scene),
                Step::Prompt(_) => {}
            }
        }
        typed
    }

    fn scene(&mut self, scene: &str) {
        match scene {
            "the governors let dana propose under tools/" => {
                let public = self.run("tabellion key show key --public", 0);
                let text = policy().replace("[\"alice\", \"james\"]", "[\"alice\", \"dana\", \"james\"]");
                let member = format!("[[member]]\nname = \"dana\"\nkeys = [\"{}\"]\n[[group]]", public.trim());
                let text = text.replacen("[[group]]", &member, 1);
                fs::write(self.case.path("home/alice/policy.toml"), text).unwrap();
                self.change_policy();
            }
            "the governors bring another policy" => {
                fs::write(self.case.path("home/alice/policy.toml"), policy().replace("size_max = 50", "size_max = 5000")).unwrap();
                self.propose_policy();
            }
            "somebody edits the table of verdicts" => {
                let db = rusqlite::Connection::open(self.case.path("home/olga/desk/ledger.db")).unwrap();
                let guard: String =
                    db.query_row("SELECT sql FROM sqlite_schema WHERE name = 'verdicts_no_delete'", [], |row| row.get(0)).unwrap();
                db.execute_batch("DROP TRIGGER verdicts_no_delete; DELETE FROM verdicts WHERE seq_no = 2").unwrap();
                db.execute_batch(&guard).unwrap();
            }
            "the head file is lost" => fs::remove_file(self.case.path("home/olga/desk/head")).unwrap(),
            other => panic!("{other:?} is no scene"),
        }
    }

    fn propose_policy(&mut self) {
        self.run("tabellion advance /media/stick --pin /home/alice/common.pin", 0);
        self.run(
            "tabellion propose policy /home/alice/policy.toml --pin /home/alice/common.pin --key /home/alice/key --common /media/stick --out /home/alice/policy.bundle",
            0,
        );
        self.run(
            "tabellion approve /home/alice/policy.bundle --key /home/james/key --common /media/stick --pin /home/alice/common.pin --out /media/stick/tabellion/inbox/policy.bundle",
            0,
        );
    }

    fn change_policy(&mut self) {
        self.propose_policy();
        self.run("tabellion witness session --ledger /home/olga/desk --media /media/stick", 0);
    }

    fn inside(&self, path: &str) -> PathBuf {
        let begins = ["/media/", "/home/"].iter().any(|begin| path.starts_with(begin));
        if begins { self.case.path(&path[1..]) } else { self.case.path(self.home).join(path) }
    }

    /// A command as a guide shows it, with what a terminal would ask for appended.
    fn completed(&self, command: &str) -> String {
        let mut line = command.to_owned();
        let mut add = |option: &str, value: &str| {
            if !command.contains(option) {
                line = format!("{line} {option} {value}");
            }
        };
        let unlocks =
            ["key new", "key identity", "propose ", "approve ", "witness init", "witness session", "domain init", "domain snapshot"];
        let carries_out = command.starts_with("tabellion ceremony") && command.contains(" --order ");
        if carries_out || unlocks.iter().any(|name| command.starts_with(&format!("tabellion {name}"))) {
            add("--passphrase-file", "/passphrase");
        }
        if command.starts_with("tabellion approve") {
            add("--yes", "");
        }
        if command.contains("witness init") && command.contains("--charter") {
            add("--time", "none");
        }
        if command.starts_with("tabellion witness session") {
            add("--time", "none");
            add("--yes", "");
            add("--expect-head", &self.asked("witness status --ledger /home/olga/desk --head"));
            if let Some(paper) = &self.paper {
                add("--confirm", &format!("sha256:{paper}"));
            }
        }
        line
    }

    /// What the program answers when it is asked by somebody else.
    fn asked(&self, arguments: &str) -> String {
        let output = self.command(&format!("tabellion {arguments}")).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn filled(&self, command: &str) -> String {
        let mut line = command.to_owned();
        if line.contains("FINGERPRINT") {
            line = line.replace("FINGERPRINT", &self.asked("witness status --ledger /home/olga/desk --fingerprint"));
        }
        if line.contains("NEXT-KEY") {
            line = line.replace("NEXT-KEY", &self.asked("key show next-key --vkey witness.example/common"));
        }
        line.replace("sha256:ID", &format!("sha256:{}", self.paper.as_deref().unwrap_or("ID")))
    }

    /// The command line as a process in this world.
    fn command(&self, line: &str) -> Command {
        let dir = self.case.path("");
        let dir = dir.to_string_lossy();
        let dir = dir.trim_end_matches('/');
        let line = ["/media/", "/home/", "/passphrase"].iter().fold(format!(" {line} "), |line, place| {
            line.replace(&format!(" {place}"), &format!(" {dir}{place}")).replace(&format!("={place}"), &format!("={dir}{place}"))
        });
        let mut words = line.split_whitespace();
        let mut command = match words.next() {
            Some("tabellion") => Command::new(PROGRAM),
            Some("cp") => Command::new("cp"),
            other => panic!("{other:?} is no command of a guide"),
        };
        command.args(words).current_dir(self.case.path(self.home)).stdin(Stdio::null());
        command.env("COLUMNS", "100").env("NO_COLOR", "1");
        command
    }

    fn run(&mut self, command: &str, code: i32) -> String {
        let line = self.filled(&self.completed(command));
        let output = self.command(&line).output().unwrap();
        let text = [output.stderr, output.stdout].concat();
        let text = String::from_utf8(text).unwrap().replace(&*self.case.path("").to_string_lossy(), "/");
        assert_eq!(output.status.code(), Some(code), "{line}\n{text}");
        if let Some(id) = text.lines().find_map(|line| line.strip_prefix("paper    sha256:")) {
            self.paper = Some(id.to_owned());
        }
        text
    }
}

//! A stage for tests that drive the real program: a Common founded once and copied per case, papers forged in memory, and a transcript that
//! is compared with a golden file after what is random was replaced.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use tabellion::core::cbor::Canonical;
use tabellion::core::cose::{Envelope, PaperKind, Signer, sig_structure};
use tabellion::core::ids::Hash;
use tabellion::core::pin::Pin;
use tabellion::core::proposal::{Entry, Expect, Operation, Proposal};
use tabellion::keys::file::{WorkFactor, seal};
use tabellion::keys::{Passphrase, Seed};
use tempfile::TempDir;
use zeroize::Zeroizing;

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_tabellion");
/// Every passphrase here; the key files are sealed with a low work factor, so that a case costs milliseconds.
const PASSPHRASE: &str = "everyone's on this stage";
/// Seeds by name: deterministic, so that only the charter's instance is random.
const SEEDS: [(&str, u8); 7] = [("alice", 1), ("james", 2), ("carol", 3), ("mallory", 4), ("next", 5), ("witness", 6), ("other", 7)];

/// The policy of the stage: one prefix that needs content, one that may have it, one that needs approvals.
pub fn policy() -> String {
    let member = |name: &str| format!("[[member]]\nname = \"{name}\"\nkeys = [\"{}\"]\n", public(name));
    format!(
        "governors = \"board\"\n{}{}{}\
         [[group]]\nname = \"board\"\nk = 2\nof = [\"alice\", \"carol\", \"james\"]\n\
         [[rule]]\nprefix = \"docs/\"\npropose = [\"alice\"]\nsize_max = 50\n\
         [[rule]]\nprefix = \"release/\"\npropose = [\"alice\"]\napprove = \"board\"\n\
         [[rule]]\nprefix = \"tools/\"\npropose = [\"alice\", \"james\"]\ncontent = \"required\"\nsize_max = 1000000\n",
        member("alice"),
        member("carol"),
        member("james"),
    )
}

/// The seed of one of the stage's people.
pub fn seed(name: &str) -> Seed {
    let byte = SEEDS.iter().find(|(known, _)| *known == name).unwrap().1;
    Seed::from_bytes(&[byte; 32])
}

/// A public key as a policy lists it.
pub fn public(name: &str) -> String {
    format!("ed25519:{}", hex::encode(seed(name).member(false).public_bytes()))
}

/// Writes a cheap key file.
pub fn write_key(path: &Path, name: &str) {
    let passphrase = Passphrase::new(&Zeroizing::new(PASSPHRASE.to_owned())).unwrap();
    let sealed = seal(&seed(name), &passphrase, WorkFactor::new(2).unwrap()).unwrap();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, sealed).unwrap();
}

/// Copies a folder with everything in it.
pub fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() { copy_tree(&path, &target) } else { assert!(fs::copy(&path, &target).is_ok()) }
    }
}

/// Every file below a folder, with its bytes. The trail of requests is left out: whoever looks is written into it, with the time, and nothing
/// that is signed depends on it.
pub fn tree(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            out.extend(tree(&path).into_iter().map(|(below, bytes)| (format!("{name}/{below}"), bytes)));
        } else if !name.starts_with("audit.db") {
            out.insert(name, fs::read(&path).unwrap());
        }
    }
    out
}

/// The names of files that differ between two trees.
pub fn differing(a: &BTreeMap<String, Vec<u8>>, b: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    a.keys().chain(b.keys()).filter(|name| a.get(*name) != b.get(*name)).cloned().collect()
}

/// A paper under construction, made without the program, so that it can be wrong.
pub struct Forge {
    pub proposal: Proposal,
    pub signers: Vec<&'static str>,
}

impl Forge {
    /// A paper of `author` that puts `content` under `name`, where nothing is expected.
    pub fn put(author: &'static str, sequence: u64, pin: &Pin, name: &str, content: &[u8]) -> Forge {
        let entry =
            Entry { sha256: Hash::of(content), size: content.len() as u64, media_type: "text/plain".parse().unwrap(), source: None };
        let operation = Operation::Put { name: name.parse().unwrap(), entry, expect: Expect::Absent };
        let proposal = Proposal {
            origin: pin.origin.clone(),
            author: author.parse().unwrap(),
            sequence,
            base: pin.head,
            operations: vec![operation],
            last_number: None,
            after: Vec::new(),
            note: None,
        };
        Forge { proposal, signers: vec![author] }
    }

    /// The envelope.
    pub fn envelope(&self) -> Envelope {
        let payload = self.proposal.to_cbor();
        let sign = |name: &&str| {
            let key = seed(name).member(false);
            Signer { kid: key.kid(), signature: key.sign(&sig_structure(PaperKind::Proposal, &key.kid(), &payload)).unwrap() }
        };
        let mut signers: Vec<Signer> = self.signers.iter().map(sign).collect();
        signers.sort();
        Envelope { kind: PaperKind::Proposal, payload, signers }
    }

    /// Its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.envelope().to_cbor()
    }
}

/// One case: a folder, and what was typed and answered in it.
pub struct Case {
    name: &'static str,
    dir: TempDir,
    variables: Vec<(String, String)>,
    transcript: String,
}

impl Case {
    /// A case in an empty folder.
    pub fn empty(name: &'static str) -> Case {
        // In memory where the system has such a place: thousands of small files are slow on a disk that others use.
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { TempDir::new_in(memory).or_else(|_| TempDir::new()) } else { TempDir::new() };
        Case { name, dir: dir.unwrap(), variables: Vec::new(), transcript: String::new() }
    }

    /// A case after the founding: `witness`, `stick` with common@1, and `alice`, `james`, `carol`, `mallory`, `consumer` with a pin of it.
    pub fn founded(name: &'static str) -> Case {
        static ONCE: OnceLock<TempDir> = OnceLock::new();
        Case::copy_of(name, ONCE.get_or_init(|| found("witness")))
    }

    /// A case after one session: tools/editor of alice is common@2, tools/viewer of james common@3, and everybody's pin is at common@3.
    pub fn grown(name: &'static str) -> Case {
        static ONCE: OnceLock<TempDir> = OnceLock::new();
        Case::copy_of(name, ONCE.get_or_init(|| grow(Case::founded("growing"))))
    }

    /// As [`Case::grown`], of another witness, who uses the same name.
    pub fn foreign(name: &'static str) -> Case {
        static ONCE: OnceLock<TempDir> = OnceLock::new();
        Case::copy_of(
            name,
            ONCE.get_or_init(|| grow(Case { name: "foreign", dir: found("other"), variables: Vec::new(), transcript: String::new() })),
        )
    }

    fn copy_of(name: &'static str, template: &TempDir) -> Case {
        let case = Case::empty(name);
        copy_tree(template.path(), case.dir.path());
        case
    }

    /// A path in the case's folder.
    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// Writes a file, with the folders above it.
    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), bytes).unwrap();
    }

    /// Reads a file.
    pub fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.path(path)).unwrap()
    }

    /// Changes one byte of a file: that at `at`, counted from the end when negative.
    pub fn flip(&self, path: &str, at: isize) {
        let mut bytes = self.read(path);
        let at = if at < 0 { bytes.len() - at.unsigned_abs() } else { at.unsigned_abs() };
        bytes[at] ^= 1;
        self.write(path, bytes);
    }

    /// Changes one character of a text to another that base64 has, so that only the value is wrong and not its form.
    pub fn swap(&self, path: &str, at: isize) {
        let mut bytes = self.read(path);
        let at = if at < 0 { bytes.len() - at.unsigned_abs() } else { at.unsigned_abs() };
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        self.write(path, bytes);
    }

    /// The one file below a folder whose name begins and ends so.
    pub fn find(&self, folder: &str, begin: &str, end: &str) -> String {
        let names = fs::read_dir(self.path(folder)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let found: Vec<String> = names.filter(|name| name.starts_with(begin) && name.ends_with(end)).collect();
        assert_eq!(found.len(), 1, "{begin}…{end} in {folder}: {found:?}");
        format!("{folder}/{}", found[0])
    }

    /// A pin.
    pub fn pin(&self, of: &str) -> Pin {
        Pin::parse(&String::from_utf8(self.read(&format!("{of}/common.pin"))).unwrap()).unwrap()
    }

    /// Says what the next lines of the transcript are about.
    pub fn say(&mut self, text: &str) {
        let gap = if self.transcript.is_empty() { "" } else { "\n" };
        self.transcript.push_str(gap);
        text.lines().for_each(|line| self.transcript.push_str(&format!("# {line}\n")));
    }

    /// Remembers a value for `$NAME`.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.into()));
    }

    /// The ledger's head as `$HEAD`.
    pub fn remember_head(&mut self) {
        let head = self.quiet("witness status --ledger witness --head", 0);
        self.set("HEAD", head.trim());
    }

    fn filled(&self, text: &str) -> String {
        self.variables.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${name}"), value))
    }

    /// The program with these arguments, in the case's folder and with nothing to read.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(split(&self.filled(&with_passphrase(arguments)))).current_dir(self.dir.path()).stdin(Stdio::null());
        command.env("COLUMNS", "100").env("NO_COLOR", "1").env_remove("TABELLION");
        command
    }

    fn output(&self, arguments: &str, code: i32) -> Output {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let found = output.status.code();
        assert_eq!(found, Some(code), "{}: tabellion {arguments}\n{}{}", self.name, text(&output.stderr), text(&output.stdout));
        output
    }

    /// Runs the program without writing it down; answers what it printed.
    pub fn quiet(&self, arguments: &str, code: i32) -> String {
        String::from_utf8(self.output(arguments, code).stdout).unwrap()
    }

    /// Runs the program, which must end with `code`, and writes down what was typed and answered. `1|` marks stdout, `2|` stderr.
    pub fn run(&mut self, arguments: &str, code: i32) -> String {
        let output = self.output(arguments, code);
        self.record(&format!("tabellion {arguments}"), &output)
    }

    /// Writes down what some command answered.
    pub fn record(&mut self, command: &str, output: &Output) -> String {
        let (out, err) = (String::from_utf8(output.stdout.clone()).unwrap(), String::from_utf8(output.stderr.clone()).unwrap());
        self.transcript.push_str(&format!("$ {command}\n"));
        for (mark, text) in [("2", &err), ("1", &out)] {
            for line in text.lines() {
                let line = format!("{mark}| {line}");
                self.transcript.push_str(line.trim_end());
                self.transcript.push('\n');
            }
        }
        self.transcript.push_str(&format!("exit {}\n", output.status.code().map_or("by signal".into(), |code| code.to_string())));
        format!("{err}{out}")
    }

    /// Runs a session of the stage's desk on media, confirmed beforehand.
    pub fn session(&mut self, media: &[&str], code: i32) -> String {
        self.remember_head();
        let media: Vec<String> = media.iter().map(|medium| format!("--media {medium}")).collect();
        self.run(&format!("witness session --ledger witness {} --expect-head $HEAD --yes --time none", media.join(" ")), code)
    }

    /// The transcript so far, as it would stand in its golden file.
    pub fn read_golden(&self) -> String {
        normalised(&self.transcript, &[&self.dir.path().to_string_lossy()])
    }

    /// Compares the transcript with its golden file, or writes it when TABELLION_BLESS is set.
    pub fn finish(self) {
        let found = self.read_golden();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli").join(format!("{}.txt", self.name));
        if std::env::var_os("TABELLION_BLESS").is_some() {
            return fs::write(&path, found).unwrap();
        }
        let golden = fs::read_to_string(&path).unwrap_or_default();
        if let Some(difference) = difference(&golden, &found) {
            panic!("{}: {difference}\nIf that is meant, run: TABELLION_BLESS=1 cargo test --test cli", path.display());
        }
    }
}

/// The first line that differs, with what stands before it.
fn difference(golden: &str, found: &str) -> Option<String> {
    if golden == found {
        return None;
    }
    let (golden, found): (Vec<&str>, Vec<&str>) = (golden.lines().collect(), found.lines().collect());
    let at = golden.iter().zip(&found).take_while(|(a, b)| a == b).count();
    let before = found[at.saturating_sub(8)..at].join("\n");
    let show = |lines: &[&str]| lines[at.min(lines.len())..(at + 6).min(lines.len())].join("\n");
    Some(format!("line {}\n{before}\n--- golden\n{}\n+++ found\n{}", at + 1, show(&golden), show(&found)))
}

/// Adds the passphrase to a command that needs one and does not say which.
fn with_passphrase(arguments: &str) -> String {
    let needs = arguments.starts_with("witness init")
        || arguments.starts_with("witness session")
        || arguments.starts_with("propose")
        || arguments.starts_with("approve")
        || (arguments.starts_with("ceremony") && arguments.contains("--order"))
        || arguments.starts_with("domain init")
        || arguments.starts_with("domain snapshot");
    match needs && !arguments.contains("--passphrase") && !arguments.contains("--help") {
        true => format!("{arguments} --passphrase-file passphrase"),
        false => arguments.to_owned(),
    }
}

/// Splits a command into words; single quotes hold words together.
fn split(command: &str) -> Vec<String> {
    let (mut words, mut quoted) = (vec![String::new()], false);
    if command.is_empty() {
        return Vec::new();
    }
    for c in command.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words
}

fn found(witness: &str) -> TempDir {
    let case = Case::empty("founding");
    case.write("passphrase", format!("{PASSPHRASE}\n"));
    case.write("policy.toml", policy());
    for name in ["alice", "james", "carol", "mallory"] {
        write_key(&case.path(&format!("{name}/key")), name);
    }
    write_key(&case.path("safe/next-key"), "next");
    write_key(&case.path("witness/key"), witness);
    fs::create_dir(case.path("stick")).unwrap();
    let next = case.quiet("key show safe/next-key --vkey witness.example/common", 0);
    case.quiet(&format!("witness init witness --policy policy.toml --next-key {}", next.trim()), 0);
    for name in ["alice", "james"] {
        case.quiet(&format!("approve witness/charter.payload --key {name}/key --yes"), 0);
    }
    case.quiet("witness init witness --charter witness/charter.cose --time none", 0);
    case.quiet("witness export --ledger witness --media stick", 0);
    let fingerprint = case.quiet("witness status --ledger witness --fingerprint", 0);
    for name in ["alice", "james", "carol", "mallory", "consumer"] {
        fs::create_dir_all(case.path(name)).unwrap();
        case.quiet(&format!("pin stick --charter {} --out {name}/common.pin", fingerprint.trim()), 0);
    }
    case.dir
}

fn grow(mut case: Case) -> TempDir {
    for (name, tool) in [("alice", "editor"), ("james", "viewer")] {
        case.write(&format!("{name}/{tool}"), format!("#!/bin/sh\necho the {tool}, by {name}\n"));
        case.quiet(&format!("propose put tools/{tool}={name}/{tool} --pin {name}/common.pin --key {name}/key --media stick"), 0);
    }
    case.session(&["stick"], 0);
    for name in ["alice", "james"] {
        case.quiet(&format!("collect stick --pin {name}/common.pin"), 0);
    }
    for name in ["alice", "james", "carol", "mallory", "consumer"] {
        case.quiet(&format!("advance stick --pin {name}/common.pin"), 0);
    }
    case.dir
}

/// Replaces what is random by where it appeared first, so that equal values stay equal: hex runs of 8 digits and more (by their first 8, so
/// that a short form is seen to belong to its long one), base64, word groups, and paths of temporary folders.
pub fn normalised(text: &str, folders: &[&str]) -> String {
    let text = folders.iter().fold(text.to_owned(), |text, folder| text.replace(folder, "<dir>"));
    // What a clock and a disk say, and how much age adds to each file, which it draws.
    let drawn = ["\"check_us\":", "\"file\":\"ledger.db\",\"size_bytes\":", ".age, "];
    let text = drawn.iter().fold(text, |text, field| without_number(&text, field));
    let mut names = Names::default();
    text.lines().map(|line| names.line(&of_any_size(&without_length(line))) + "\n").collect()
}

/// The size of a backup in a document about it, which age draws.
fn of_any_size(line: &str) -> String {
    let is_of_backup = line.contains("{\"command\":\"witness backup\"");
    if is_of_backup { without_number(line, "\"size_bytes\":") } else { line.to_owned() }
}

/// A dossier names its folder: it is as long as the place where the tests run.
fn without_length(line: &str) -> String {
    let length = line.split_once("  found  ").and_then(|(_, rest)| rest.split_once(" bytes that begin ")).map(|(length, _)| length);
    match length {
        Some(length) if length.len() > 3 && length.bytes().all(|b| b.is_ascii_digit()) => line.replacen(length, "<number>", 1),
        _ => line.to_owned(),
    }
}

/// The text with `<number>` behind each of these fields.
fn without_number(text: &str, field: &str) -> String {
    let mut parts = text.split(field);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| format!("{out}{field}<number>{}", part.trim_start_matches(|c: char| c.is_ascii_digit())))
}

#[derive(Default)]
struct Names {
    seen: BTreeMap<(&'static str, String), usize>,
    count: BTreeMap<&'static str, usize>,
}

impl Names {
    fn of(&mut self, kind: &'static str, value: &str) -> usize {
        if let Some(known) = self.seen.get(&(kind, value.to_owned())) {
            return *known;
        }
        let count = self.count.entry(kind).or_default();
        *count += 1;
        self.seen.insert((kind, value.to_owned()), *count);
        *count
    }

    fn line(&mut self, line: &str) -> String {
        // Tokens are runs of what hex, base64, words and file names are made of; what stands between them is kept.
        let (mut out, mut rest) = (String::new(), line);
        while !rest.is_empty() {
            let end = rest.find(|c: char| !is_token(c)).unwrap_or(rest.len());
            if let Some((text, used)) = self.words(rest) {
                out.push_str(&text);
                rest = &rest[used..];
            } else if end == 0 {
                let step = rest.chars().next().map_or(1, char::len_utf8);
                out.push_str(&rest[..step]);
                rest = &rest[step..];
            } else {
                out.push_str(&self.token(&rest[..end]));
                rest = &rest[end..];
            }
        }
        out
    }

    /// 24 words separated by spaces, or 6 by hyphens.
    fn words(&mut self, text: &str) -> Option<(String, usize)> {
        for (separator, wanted) in [(' ', 24), ('-', 6)] {
            let (mut at, mut found) = (0, Vec::new());
            while found.len() < wanted {
                let end = text[at..].find(|c: char| !c.is_ascii_lowercase()).map_or(text.len(), |end| at + end);
                if !is_word(&text[at..end]) {
                    break;
                }
                found.push(&text[at..end]);
                if found.len() == wanted {
                    let name = self.of("words", &found[..6].join("-"));
                    let more = if wanted == 24 { ":24" } else { "" };
                    return Some((format!("<words{name}{more}>"), end));
                }
                if !text[end..].starts_with(separator) {
                    break;
                }
                at = end + 1;
            }
        }
        None
    }

    fn token(&mut self, token: &str) -> String {
        if let Some(at) = token.find(".tmp").filter(|at| token.len() >= at + 10) {
            return format!("{}<temporary>{}", &token[..at], self.token(&token[at + 10..]));
        }
        // A verifier key: name+hex+base64. Base64 has the sign too, and now and then eight other characters between two of them.
        if let [name, id, key] = token.splitn(3, '+').collect::<Vec<_>>().as_slice()
            && id.len() == 8
            && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            && key.len() >= 43
        {
            return format!("{name}+{}+<key{}>", self.token(id), self.of("key", key));
        }
        let is_base64 = token.len() >= 40
            && token.bytes().any(|b| b.is_ascii_lowercase())
            && token.bytes().any(|b| b.is_ascii_uppercase())
            && !token.contains('.');
        if is_base64 {
            return format!("<base{}>", self.of("base", token));
        }
        let (mut out, mut rest) = (String::new(), token);
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            let (run, _) = rest.split_at(end);
            let hex = run.len() >= 8 && run.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            match hex {
                true => out.push_str(&format!("<hex{}:{}>", self.of("hex", &run[..8]), run.len())),
                false => out.push_str(run),
            }
            let skip = rest[end..].chars().next().map_or(0, char::len_utf8);
            out.push_str(&rest[end..end + skip]);
            rest = &rest[end + skip..];
        }
        out
    }
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "+/=._@-".contains(c)
}

fn is_word(text: &str) -> bool {
    bip39::Language::English.word_list().binary_search(&text).is_ok()
}

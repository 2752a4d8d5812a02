//! The cases under `proposals-schema/vectors/`, run against the core: shared by the test that compares and the generator that fills in `made`.
//!
//! Each kind of case gives what was observed and what was made. Expectations are read only by the test; nothing here writes one.

mod bytes;
mod desk;
mod logs;

use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use serde_json::{Map, Value, json};
use tabellion::core::rules::Fault;

/// Folder of the vectors, from the top of the repository, where cargo runs tests and `cargo run --example` is meant to be started.
pub const FOLDER: &str = "proposals-schema/vectors";

/// One file.
pub struct Case {
    /// Its path.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// The text as JSON.
    pub json: Value,
}

/// What running a case gave: `seen` is compared with `expect`, `made` is for other implementations.
pub struct Run {
    /// Observed, in the words of `expect`.
    pub seen: Value,
    /// Bytes and hashes.
    pub made: Value,
}

/// Every case, by path.
pub fn all() -> Vec<Case> {
    let files = walkdir::WalkDir::new(FOLDER).sort_by_file_name().into_iter().map(|entry| entry.expect("a readable folder"));
    let paths = files.map(|entry| entry.into_path()).filter(|path| path.extension().is_some_and(|ending| ending == "json"));
    paths.map(|path| read(&path)).collect()
}

fn read(path: &Path) -> Case {
    let text = std::fs::read_to_string(path).expect("a readable case");
    let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Case { path: path.to_path_buf(), text, json }
}

/// Runs a case by its kind.
pub fn run(case: &Case) -> Run {
    let input = &case.json["case"];
    match text(input, "kind") {
        "cbor" | "envelope" | "proposal" | "order-payload" | "state-proof" => bytes::run(input),
        "text" => bytes::texts(input),
        "artifact" => bytes::artifact(input),
        "policy" => desk::policy(input),
        "charter" => desk::charter(input),
        "session" => desk::sessions(input),
        "order" => desk::order(input),
        "note" => logs::note(input),
        "verdict-text" => logs::verdict_text(input),
        "tree" => logs::tree(input),
        "inclusion" => logs::inclusion(input),
        "consistency" => logs::consistency(input),
        "path" => logs::paths(input),
        "entries" => logs::entries(input),
        "state" => logs::state(input),
        "pin" | "head" => logs::pin(input),
        "words" => logs::words(input),
        other => panic!("{}: unknown kind {other:?}", case.path.display()),
    }
}

/// The file's text with `made` filled in. All before `made` is kept byte for byte, so that no expectation can be written here.
pub fn with_made(case: &Case, made: &Value) -> String {
    const MARK: &str = "\n  \"made\": ";
    let (kept, _) = case.text.rsplit_once(MARK).unwrap_or_else(|| panic!("{} lacks \"made\" as its last key", case.path.display()));
    let made = serde_json::to_string_pretty(made).expect("JSON").replace('\n', "\n  ");
    format!("{kept}{MARK}{made}\n}}\n")
}

/// A fault, as `expect` has it. The whole text stands under `says`; an expectation names words that it must mention.
pub fn refused(fault: &Fault) -> Value {
    json!({ "rule": fault.rule.id(), "says": fault.found })
}

/// A text member.
pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} is no text in {value}"))
}

/// A number member.
pub fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("{key} is no number in {value}"))
}

/// A list member; empty when it is absent.
pub fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// A map member; empty when it is absent.
pub fn map<'a>(value: &'a Value, key: &str) -> Vec<(&'a String, &'a Value)> {
    value[key].as_object().map(Map::iter).into_iter().flatten().collect()
}

/// Lines joined, each with a newline at its end; or a text as it stands.
pub fn lines(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(lines) => lines.iter().map(|line| format!("{}\n", line.as_str().expect("a line"))).collect(),
        other => panic!("no lines: {other}"),
    }
}

/// The Ed25519 key whose secret is one byte, 32 times.
pub fn key(seed: u64) -> SigningKey {
    SigningKey::from_bytes(&[u8::try_from(seed).expect("a seed byte"); 32])
}

//! Moving a pin over a million records: how little of the folder is read, and that nothing false is believed on the way. The log is made of
//! synthetic entries, nearly all of them the same, so that it need not be kept; of its folder only the files are written that the proofs may need, so that reading any other one fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

use ed25519_dalek::{Signer as _, SigningKey};
use tabellion::core::ids::{Hash, Head};
use tabellion::core::note::{CatchUp, Checkpoint, VerifierKey, assemble, signature_line};
use tabellion::core::pin::Pin;
use tabellion::core::record::{Keys, Record, RecordKind};
use tabellion::core::rules::{Checked, Rule};
use tabellion::core::tile::{Tiles, consistency, encode_bundle, root};
use tabellion::core::tree::{leaf_hash, node_hash};
use tabellion::run::advance::{Advance, advance};
use tabellion::run::problem::Outcomes;
use tabellion::run::prove;
use tempfile::TempDir;

const SIZE: u64 = 1_000_000;
/// A number in the middle, whose record is a record too.
const MIDDLE: u64 = 700_000;
/// A number below it that another branch of the witness's history has another entry for.
const LATE: u64 = 660_000;

/// What a move from 5 to the newest number needs, and nothing else. 1,000,000 = 3906 · 256 + 64; 3906 = 15 · 256 + 66; 15 at level 2.
const TO_NEWEST: [&str; 7] =
    ["checkpoint", "tile/0/000", "tile/0/x003/906.p/64", "tile/1/000", "tile/1/015.p/66", "tile/2/000.p/15", "tile/entries/x003/906.p/64"];
/// What a move to 700,000 needs beside the tiles above. 700,000 = 2734 · 256 + 96; 2734 = 10 · 256 + 174.
const TO_MIDDLE: [&str; 4] = ["checkpoints/x002/734", "tile/0/x002/734", "tile/1/010", "tile/entries/x002/734"];

fn vkey(secret: u8) -> VerifierKey {
    VerifierKey::new("witness.example/common".parse().unwrap(), SigningKey::from_bytes(&[secret; 32]).verifying_key().as_bytes()).unwrap()
}

fn line(text: &str, secret: u8) -> String {
    let key = vkey(secret);
    signature_line(key.name(), key.id(), &SigningKey::from_bytes(&[secret; 32]).sign(text.as_bytes()).to_bytes())
}

fn text(head: Head) -> String {
    Checkpoint { origin: vkey(1).name().clone(), head }.text()
}

fn signed(head: Head, secret: u8) -> String {
    assemble(&text(head), &line(&text(head), secret))
}

fn record(number: u64) -> Record {
    Record {
        number,
        kind: RecordKind::Proposal,
        pid: Hash([1; 32]),
        env: Hash([2; 32]),
        state_root: Hash([3; 32]),
        policy: Hash([4; 32]),
        ledger_head: [5; 32],
        session: number / 100,
        time: None,
        keys: None,
        next: None,
        judged: Hash([6; 32]),
        epoch: None,
        new_policy: None,
    }
}

/// What is false in a log.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flaw {
    Nothing,
    /// Entry 3 is another: a fork below the pin.
    Early,
    /// Entry 660,000 is another: a fork behind the pin.
    Late,
    /// The newest record replaces the key.
    Rotation,
    /// The newest record says another number.
    Number,
    /// The newest entry is no record.
    NoRecord,
}

/// Numbers whose entries are not like the others'.
const SPECIAL: [u64; 11] = [1, 2, 3, 4, 5, 6, 7, 8, LATE, MIDDLE, SIZE];

fn entry(number: u64, flaw: Flaw) -> Vec<u8> {
    match (number, flaw) {
        (LATE, Flaw::Late) => b"another entry 660000".to_vec(),
        (3, Flaw::Early) => b"another entry 3".to_vec(),
        (SIZE, Flaw::Rotation) => {
            let keys = Some(Keys { log: vkey(2), ledger_public: [7; 32] });
            Record { kind: RecordKind::Rotation, keys, next: Some(Hash([8; 32])), ..record(number) }.to_entry().unwrap()
        }
        (SIZE, Flaw::Number) => record(SIZE - 1).to_entry().unwrap(),
        (SIZE, Flaw::NoRecord) => b"no record".to_vec(),
        (SIZE | MIDDLE, _) => record(number).to_entry().unwrap(),
        (1..=8, _) => number.to_be_bytes().to_vec(),
        _ => b"an entry like most".to_vec(),
    }
}

/// A log of this size: [`Tiles`] computed when asked for.
struct Synthetic {
    size: u64,
    flaw: Flaw,
}

impl Tiles for Synthetic {
    fn hash(&self, level: u32, index: u64) -> Checked<Hash> {
        assert!((index + 1) << level <= self.size, "subtree {index} of level {level} asked for in a log of {}", self.size);
        let numbers = (index << level) + 1..=(index + 1) << level;
        if level == 0 {
            return Ok(leaf_hash(&entry(*numbers.start(), self.flaw)));
        }
        let left = self.hash(level - 1, index * 2)?;
        let is_uniform = !SPECIAL.iter().any(|number| numbers.contains(number));
        Ok(node_hash(left, if is_uniform { left } else { self.hash(level - 1, index * 2 + 1)? }))
    }
}

impl Synthetic {
    fn head_at(&self, number: u64) -> Head {
        Head { number, root: root(self, number).unwrap() }
    }

    fn tile(&self, level: u32, index: u64, width: u16) -> Vec<u8> {
        (index * 256..index * 256 + u64::from(width)).flat_map(|at| self.hash(8 * level, at).unwrap().0).collect()
    }
}

const LOG: Synthetic = Synthetic { size: SIZE, flaw: Flaw::Nothing };

fn head(number: u64) -> Head {
    LOG.head_at(number)
}

fn put(dir: &Path, path: &str, bytes: impl AsRef<[u8]>) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// `x003/906.p/64` as index 3906 and width 64.
fn place(path: &str) -> (u64, u16) {
    let (index, width) = path.split_once(".p/").unwrap_or((path, "256"));
    (index.replace(['x', '/'], "").parse().unwrap(), width.parse().unwrap())
}

/// Writes one of the files named above.
fn put_file(dir: &Path, path: &str, log: &Synthetic) {
    let entries =
        |(index, width): (u64, u16)| (index * 256 + 1..=index * 256 + u64::from(width)).map(|n| entry(n, log.flaw)).collect::<Vec<_>>();
    let bytes = if path == "checkpoint" {
        signed(log.head_at(log.size), 1).into_bytes()
    } else if let Some(rest) = path.strip_prefix("tile/entries/") {
        encode_bundle(entries(place(rest)).iter().map(Vec::as_slice)).unwrap()
    } else if let Some(rest) = path.strip_prefix("checkpoints/") {
        let first = place(rest).0 * 256 + 1;
        let lines: Vec<String> = (first..first + 256).map(|n| line(&text(log.head_at(n)), 1)).collect();
        encode_bundle(lines.iter().map(String::as_bytes)).unwrap()
    } else {
        let (level, rest) = path.strip_prefix("tile/").unwrap().split_once('/').unwrap();
        let (index, width) = place(rest);
        log.tile(level.parse().unwrap(), index, width)
    };
    put(dir, path, bytes);
}

/// A folder with these files, and a pin at common@5 beside it.
struct Scene {
    dir: TempDir,
}

impl Scene {
    fn of(log: &Synthetic, files: &[&str]) -> Scene {
        let scene = Scene { dir: TempDir::new().unwrap() };
        files.iter().for_each(|path| put_file(&scene.folder(), path, log));
        scene.pin_at(head(5));
        scene
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("common")
    }

    fn pin(&self) -> PathBuf {
        self.dir.path().join("common.pin")
    }

    fn pin_at(&self, head: Head) -> Pin {
        let vkey = vkey(1);
        let pin = Pin { origin: vkey.name().clone(), head, vkey, next: Hash([9; 32]), fingerprint: LOG.head_at(1).root };
        fs::write(self.pin(), pin.text()).unwrap();
        pin
    }

    fn advance(&self, to: Option<u64>) -> Outcomes<Advance> {
        advance(&self.folder(), &self.pin(), to)
    }

    /// It must be refused by this rule, with these words, and the pin stay as it is.
    fn refused(&self, what: &str, to: Option<u64>, rule: Rule, says: &[&str]) {
        let before = fs::read(self.pin()).unwrap();
        let problem = self.advance(to).err().unwrap_or_else(|| panic!("{what}: the pin was moved"));
        assert_eq!(problem.fault.rule, rule, "{what}: {problem}");
        says.iter().for_each(|words| assert!(problem.fault.found.contains(words), "{what}: {words:?} is not in\n{problem}"));
        assert!(problem.state.ends_with("common.pin unchanged"), "{what}: {problem}");
        assert!(fs::read(self.pin()).unwrap() == before, "{what}: the pin was changed");
    }
}

#[test]
fn a_pin_moves_over_a_million_records_by_21_hashes_in_5_tiles() {
    let scene = Scene::of(&LOG, &TO_NEWEST);
    let moved = scene.advance(None).unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!((moved.from, moved.to, moved.newest), (head(5), head(SIZE), head(SIZE)));
    assert_eq!(moved.proof_hashes, 21);
    assert_eq!((moved.reads.files, moved.pages.is_none()), (7, true));
    // Two full tiles, three partial ones, 63 entries of 18 bytes and a record, and the checkpoint: some 24 KB of 250 MB.
    assert!(moved.reads.bytes < 25_000, "{} bytes", moved.reads.bytes);
    assert_eq!(moved.checkpoint, signed(head(SIZE), 1));
    assert_eq!(Pin::parse(&fs::read_to_string(scene.pin()).unwrap()).unwrap().head, head(SIZE));
    // There already: nothing changes, and back is refused.
    assert_eq!(scene.advance(None).unwrap().to, head(SIZE));
    scene.refused("back", Some(5), Rule::PinBehind, &["common@5 asked for", "common@1000000"]);
    scene.refused("past the end", Some(SIZE + 1), Rule::PinBehind, &["common@1000001 asked for", "ends at common@1000000"]);
}

#[test]
fn a_pin_moves_to_a_number_in_the_middle_by_its_own_checkpoint() {
    let files = [TO_NEWEST.as_slice(), &TO_MIDDLE].concat();
    let scene = Scene::of(&LOG, &files);
    // The newest record is not asked for.
    fs::remove_file(scene.folder().join("tile/entries/x003/906.p/64")).unwrap();
    let moved = scene.advance(Some(MIDDLE)).unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!((moved.to, moved.newest, moved.reads.files), (head(MIDDLE), head(SIZE), 10));
    assert_eq!(moved.checkpoint, signed(head(MIDDLE), 1));
    // A signature line that is not over this number's root.
    scene.pin_at(head(5));
    let lines = [line(&text(head(MIDDLE - 1)), 1)];
    let each = (0..256).map(|_| lines[0].as_bytes());
    put(&scene.folder(), "checkpoints/x002/734", encode_bundle(each).unwrap());
    scene.refused("another line", Some(MIDDLE), Rule::CheckpointUnsigned, &["common@700000", "does not verify"]);
    // The witness signed two histories, and the folder shows 700,000 of the one and 1,000,000 of the other.
    let branch = Synthetic { size: SIZE, flaw: Flaw::Late };
    ["checkpoints/x002/734", "tile/1/010"].iter().for_each(|path| put_file(&scene.folder(), path, &branch));
    scene.refused("two branches", Some(MIDDLE), Rule::ProofFails, &["at size 1000000; expected", &head(SIZE).root.hex()]);
    let pin = scene.pin_at(head(5));
    let problem = prove::of_catch_up(&scene.folder(), &pin, 5, Some(MIDDLE)).expect_err("a catch-up to the other branch");
    assert_eq!(problem.fault.rule, Rule::ProofFails, "{problem}");
    put_file(&scene.folder(), "tile/1/010", &LOG);
    // Two lines of the origin: a rotation at that number.
    let two = line(&text(head(MIDDLE)), 1) + &line(&text(head(MIDDLE)), 2);
    put(&scene.folder(), "checkpoints/x002/734", encode_bundle((0..256).map(|_| two.as_bytes())).unwrap());
    scene.refused("rotation in the middle", Some(MIDDLE), Rule::CheckpointForm, &["2 signature lines", "1 expected"]);
}

#[test]
fn every_file_on_the_way_counts_flipped_swapped_cut_or_missing() {
    let good = Scene::of(&LOG, &TO_NEWEST);
    let last = |path: &str| fs::read(good.folder().join(path)).unwrap().len() - 1;
    // Of a tile every hash that the proofs take; hash 0 of tile/1/000 is not among them, for the pin lies within it.
    let flips: &[(&str, &[usize], Rule)] = &[
        ("checkpoint", &[0, 22, 23, 30], Rule::CheckpointUnsigned),
        ("tile/0/000", &[0, 32 * 4, 32 * 5 + 31, 32 * 7, last("tile/0/000")], Rule::ProofFails),
        ("tile/0/x003/906.p/64", &[0, 32 * 63 + 31], Rule::ProofFails),
        ("tile/1/000", &[32, 32 * 128, last("tile/1/000")], Rule::ProofFails),
        ("tile/1/015.p/66", &[0, 32 * 64, 32 * 65 + 31], Rule::ProofFails),
        ("tile/2/000.p/15", &[0, 32 * 7, 32 * 14 + 31], Rule::ProofFails),
        ("tile/entries/x003/906.p/64", &[last("tile/entries/x003/906.p/64"), 63 * 20 + 2], Rule::ProofFails),
    ];
    assert_eq!(flips.iter().map(|(path, ..)| *path).collect::<Vec<_>>(), TO_NEWEST);
    for (path, places, rule) in flips {
        let whole = fs::read(good.folder().join(path)).unwrap();
        for at in *places {
            let mut bytes = whole.clone();
            // Letters stay letters, so that the value is wrong and not the form.
            bytes[*at] ^= if *path == "checkpoint" && *at == 30 { 2 } else { 1 };
            put(&good.folder(), path, &bytes);
            let before = fs::read(good.pin()).unwrap();
            let problem = good.advance(None).err().unwrap_or_else(|| panic!("byte {at} of {path} flipped: the pin was moved"));
            let form = *path == "checkpoint" && problem.fault.rule == Rule::CheckpointForm;
            assert!(problem.fault.rule == *rule || form, "byte {at} of {path}: {problem}");
            assert!(fs::read(good.pin()).unwrap() == before);
        }
        put(&good.folder(), path, &whole[..whole.len() - 1]);
        let problem = good.advance(None).err().unwrap_or_else(|| panic!("{path} cut: the pin was moved"));
        let rules = [Rule::FolderIncomplete, Rule::CheckpointForm, Rule::RecordForm];
        assert!(rules.contains(&problem.fault.rule), "{path} cut: {problem}");
        fs::remove_file(good.folder().join(path)).unwrap();
        let missing = if *path == "checkpoint" { Rule::NotFound } else { Rule::FolderIncomplete };
        good.refused(path, None, missing, &[]);
        put(&good.folder(), path, &whole);
    }
    // Another tile of the same log in its place.
    put(&good.folder(), "tile/0/000", LOG.tile(0, 1, 256));
    good.refused("swapped tile", None, Rule::ProofFails, &["the proof of consistency leads to root", "at size 5; expected"]);
    put_file(&good.folder(), "tile/0/000", &LOG);
    good.advance(None).unwrap_or_else(|problem| panic!("{problem}"));
}

#[test]
fn another_history_an_older_folder_or_another_key_moves_no_pin() {
    let fork = Scene::of(&Synthetic { size: SIZE, flaw: Flaw::Early }, &TO_NEWEST);
    fork.refused("fork", None, Rule::ProofFails, &["at size 5; expected", &head(5).root.hex()]);

    let older = Scene::of(&Synthetic { size: 4, flaw: Flaw::Nothing }, &["checkpoint", "tile/0/000.p/4", "tile/entries/000.p/4"]);
    older.refused("older", None, Rule::PinBehind, &["common@4 found", "common@5 or later"]);
    let same_size = Scene::of(&Synthetic { size: 5, flaw: Flaw::Early }, &["checkpoint", "tile/0/000.p/5", "tile/entries/000.p/5"]);
    same_size.refused("fork of one size", None, Rule::ProofFails, &["at size 5; expected"]);

    let scene = Scene::of(&LOG, &TO_NEWEST);
    put(&scene.folder(), "checkpoint", signed(head(SIZE), 2));
    scene.refused("another key", None, Rule::CheckpointUnsigned, &["expected one by witness.example/common+"]);
    // The older tiles with a newer checkpoint, which nobody signed.
    put(&scene.folder(), "checkpoint", signed(head(SIZE), 1).replace("\n1000000\n", "\n1000001\n"));
    scene.refused("a size nobody signed", None, Rule::CheckpointUnsigned, &["does not verify"]);
    put(&scene.folder(), "checkpoint", signed(Head { number: 0, root: tabellion::core::tree::empty_root() }, 1));
    scene.refused("the empty tree", None, Rule::PinBehind, &["common@0 found"]);
}

/// SPEC 4.12, points 2 and 4: a rotation is never passed unseen, whichever of its two marks is left.
#[test]
fn a_rotation_or_a_strange_record_at_the_number_moves_no_pin() {
    for (flaw, rule, says) in [
        (Flaw::Rotation, Rule::RecordForm, "common@1000000 is a key rotation record"),
        (Flaw::Number, Rule::ProofFails, "a record of common@999999 found in the place of common@1000000"),
        (Flaw::NoRecord, Rule::RecordForm, "common@1000000"),
    ] {
        let flawed = Synthetic { size: SIZE, flaw };
        let scene = Scene::of(&flawed, &TO_NEWEST);
        // The mirror kept the old key's line alone.
        scene.refused(says, None, rule, &[says]);
        let text = text(flawed.head_at(SIZE));
        put(&scene.folder(), "checkpoint", assemble(&text, &(line(&text, 1) + &line(&text, 2))));
        scene.refused("two lines", None, Rule::CheckpointForm, &["2 signature lines", "1 expected"]);
    }
    // A witness of another name may sign beside the log: that is no rotation.
    let scene = Scene::of(&LOG, &TO_NEWEST);
    let foreign = line(&text(head(SIZE)), 3).replace("witness.example/common", "other.example/witness");
    put(&scene.folder(), "checkpoint", signed(head(SIZE), 1) + &foreign);
    scene.advance(None).unwrap_or_else(|problem| panic!("{problem}"));
}

#[test]
fn a_catch_up_over_a_million_records_is_made_from_tiles_alone() {
    let scene = Scene::of(&LOG, &TO_NEWEST);
    fs::remove_file(scene.folder().join("tile/entries/x003/906.p/64")).unwrap();
    let pin = scene.pin_at(head(5));
    let made = prove::of_catch_up(&scene.folder(), &pin, 5, None).unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!(made, CatchUp { old: 5, hashes: consistency(&LOG, 5, SIZE).unwrap(), checkpoint: signed(head(SIZE), 1) });
    assert_eq!(made.hashes.len(), 21);
    assert_eq!(prove::verify_catch_up(made.text().as_bytes(), &pin).unwrap(), head(SIZE));
}

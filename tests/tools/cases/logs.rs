//! Cases about the public log: notes, checkpoints, trees, tiles, state roots, pins and words.

use ed25519_dalek::Signer as _;
use serde_json::{Value, json};
use tabellion::core::cbor::Canonical as _;
use tabellion::core::head::HeadFile;
use tabellion::core::ids::{Hash, Head, Name};
use tabellion::core::note::{Checkpoint, VerdictNote, VerifierKey, signature_line};
use tabellion::core::pin::Pin;
use tabellion::core::proposal::Entry;
use tabellion::core::rules::{Checked, Rule};
use tabellion::core::state::State;
use tabellion::core::tile::{decode_bundle, encode_bundle, entries_path, numbered_path, partial_width, session_stem, tile_path, tiles_for};
use tabellion::core::tree::{Log, leaf_hash, verify_consistency, verify_inclusion};
use tabellion::core::words::{head_words, words24};

use super::{Run, key, lines, list, map, number, refused, text};

fn hash(value: &Value) -> Hash {
    Hash::from_hex(value.as_str().expect("hex")).expect("64 hex digits")
}

fn hexes(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(Hash::hex).collect()
}

/// A note put together line by line: `lines` are `{by: seed, name?, spoiled?, key_id?}` or `{raw: text}`.
fn signed(input: &Value) -> (Vec<u8>, VerifierKey) {
    let name = |value: &Value, or: &str| value.as_str().unwrap_or(or).parse().expect("a name");
    let vkey = |seed: u64, origin: &Value| {
        VerifierKey::new(name(origin, "witness.example/common"), &key(seed).verifying_key().to_bytes()).expect("a key")
    };
    let body = lines(&input["text"]);
    let mut whole = format!("{body}\n");
    for line in list(input, "lines") {
        if let Some(raw) = line["raw"].as_str() {
            whole.push_str(raw);
            continue;
        }
        let seed = number(line, "by");
        let mut signature = key(seed).sign(body.as_bytes()).to_bytes();
        signature[0] ^= u8::from(line["spoiled"] == json!(true));
        let signer = vkey(seed, &line["name"]);
        whole.push_str(&signature_line(signer.name(), signer.id(), &signature));
    }
    for change in list(input, "change") {
        let (from, to) = (change[0].as_str().expect("from"), change[1].as_str().expect("to"));
        assert!(whole.contains(from), "{from:?} is not in the note");
        whole = whole.replace(from, to);
    }
    let whole = format!("{}{whole}", input["before"].as_str().unwrap_or_default());
    (whole.into_bytes(), vkey(number(input, "key"), &input["key name"]))
}

pub fn note(input: &Value) -> Run {
    let (bytes, vkey) = signed(input);
    let seen = match text(input, "as") {
        "checkpoint" => Checkpoint::parse_signed(&bytes, &vkey)
            .map(|checkpoint| json!({ "accepted": true, "number": checkpoint.head.number, "root": checkpoint.head.root.hex() })),
        _ => VerdictNote::parse_signed(&bytes, &vkey)
            .map(|note| json!({ "accepted": true, "rule of the paper": note.rule.id(), "session": note.session, "detail": note.detail })),
    };
    let made =
        json!({ "vkey": vkey.to_string(), "note": String::from_utf8(bytes).expect("text").split_inclusive('\n').collect::<Vec<_>>() });
    Run { seen: seen.unwrap_or_else(|fault| refused(&fault)), made }
}

pub fn verdict_text(input: &Value) -> Run {
    let rule = Rule::from_id(text(input, "rule")).expect("a rule");
    let note = VerdictNote {
        origin: text(input, "origin").parse().expect("an origin"),
        pid: hash(&input["paper"]),
        outcome: rule.outcome(),
        rule,
        head_before: Head { number: number(input, "number"), root: hash(&input["root"]) },
        session: number(input, "session"),
        policy: hash(&input["policy"]),
        detail: text(input, "detail").to_owned(),
    };
    let seen = note.text().map(|text| {
        assert_eq!(VerdictNote::parse(&text), Ok(note.clone()), "written and read again");
        json!({ "accepted": true, "text": text.lines().collect::<Vec<_>>() })
    });
    Run { seen: seen.unwrap_or_else(|fault| refused(&fault)), made: json!({}) }
}

/// A log of leaves: hex of each, or a number n for the n texts `0`, `1`, … in decimal.
fn log(input: &Value) -> Log {
    let mut log = Log::default();
    match &input["leaves"] {
        Value::Array(leaves) => leaves.iter().for_each(|leaf| {
            log.push(leaf_hash(&hex::decode(leaf.as_str().expect("hex")).expect("hex")));
        }),
        count => (0..count.as_u64().expect("leaves")).for_each(|n| {
            log.push(leaf_hash(n.to_string().as_bytes()));
        }),
    }
    log
}

pub fn tree(input: &Value) -> Run {
    let log = log(input);
    let roots: Vec<String> =
        list(input, "sizes").iter().map(|size| log.root_at(size.as_u64().expect("a size")).expect("a root").hex()).collect();
    Run { seen: json!({ "roots": roots }), made: json!({ "words": head_words(&log.head().root) }) }
}

/// What the proof is changed to before it is verified: all hashes but the last, or one more.
fn changed(input: &Value, proof: &[Hash]) -> Vec<Hash> {
    let mut proof = proof.to_vec();
    match input["proof"].as_str() {
        None => {}
        Some("short") => drop(proof.pop()),
        Some("long") => proof.push(Hash::ZERO),
        Some("other") => proof[0] = Hash::ZERO,
        Some(other) => panic!("unknown change {other:?}"),
    }
    proof
}

pub fn inclusion(input: &Value) -> Run {
    let (log, index, size) = (log(input), number(input, "index"), number(input, "size"));
    let proof = log.inclusion(index, size).unwrap_or_default();
    let leaf = leaf_hash(text(input, "leaf").as_bytes());
    let root = log.root_at(size).expect("a root");
    let claimed = input["claimed index"].as_u64().unwrap_or(index);
    let verified = verify_inclusion(leaf, claimed, size, root, &changed(input, &proof));
    ended(verified, &proof)
}

pub fn consistency(input: &Value) -> Run {
    let (log, old, new) = (log(input), number(input, "old"), number(input, "new"));
    let head = |size: u64| Head { number: size, root: log.root_at(size).expect("a root") };
    let proof = log.consistency(old, new).unwrap_or_default();
    let old = if input["old root"].is_string() { Head { number: old, root: hash(&input["old root"]) } } else { head(old) };
    ended(verify_consistency(old, head(new), &changed(input, &proof)), &proof)
}

fn ended(verified: Checked<()>, proof: &[Hash]) -> Run {
    let seen = verified.map_or_else(|fault| refused(&fault), |()| json!({ "accepted": true, "proof": hexes(proof) }));
    Run { seen, made: json!({ "proof": hexes(proof) }) }
}

pub fn paths(input: &Value) -> Run {
    let width = |value: &Value| value["width"].as_u64().map(|width| width as u16);
    let seen = list(input, "of").iter().map(|of| match text(of, "path") {
        "tile" => json!(tile_path(number(of, "level") as u8, number(of, "index"), width(of))),
        "entries" => json!(entries_path(number(of, "index"), width(of))),
        "session" => json!(session_stem(number(of, "session"))),
        "partial width" => json!(partial_width(number(of, "size"), number(of, "level") as u8)),
        "tiles" => json!(tiles_for(number(of, "size")).iter().map(|tile| tile.path()).collect::<Vec<_>>()),
        folder => json!(numbered_path(folder, number(of, "index"), width(of))),
    });
    Run { seen: json!({ "paths": seen.collect::<Vec<_>>() }), made: json!({}) }
}

/// An entry bundle: items of so many bytes.
pub fn entries(input: &Value) -> Run {
    let items: Vec<Vec<u8>> = list(input, "lengths").iter().map(|length| vec![0xaa; length.as_u64().expect("a length") as usize]).collect();
    let seen = encode_bundle(items.iter().map(Vec::as_slice)).and_then(|bytes| {
        let cut = bytes.len() - input["cut"].as_u64().unwrap_or(0) as usize;
        let read = decode_bundle(&bytes[..cut])?;
        Ok(json!({ "accepted": true, "bytes": bytes.len(), "items": read.len(), "begins": hex::encode(&bytes[..bytes.len().min(4)]) }))
    });
    Run { seen: seen.unwrap_or_else(|fault| refused(&fault)), made: json!({}) }
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

pub fn state(input: &Value) -> Run {
    let entry = |content: &str| {
        let media_type = "text/plain".parse().expect("a media type");
        Entry { sha256: Hash::of(content.as_bytes()), size: content.len() as u64, media_type, source: None }
    };
    let mut state = State::default();
    for step in list(input, "steps") {
        match (step["put"].as_str(), step["remove"].as_str()) {
            (Some(put), _) => state.put(name(put), entry(text(step, "content"))),
            (_, Some(gone)) => state.remove(&name(gone)),
            _ => panic!("a step puts or removes"),
        }
    }
    let (mut proofs, mut made) = (serde_json::Map::new(), serde_json::Map::new());
    for of in list(input, "prove") {
        let of = of.as_str().expect("a name");
        let proof = state.prove(&name(of));
        proof.verify(&state.root()).expect("its own root");
        let seen = json!({ "present": proof.entry.is_some(), "siblings": hexes(&proof.siblings), "other": proof.other.is_some() });
        proofs.insert(of.into(), seen);
        made.insert(of.into(), json!(hex::encode(proof.to_cbor())));
    }
    Run { seen: json!({ "root": state.root().hex(), "proofs": proofs }), made: json!({ "proofs": made }) }
}

/// A pin or head file: its lines, to which the sum is added unless `sum` gives another.
pub fn pin(input: &Value) -> Run {
    let mut whole = lines(&input["lines"]);
    for (from, to) in map(input, "keys").into_iter().map(|(name, seed)| (format!("{{{name}}}"), seed.as_u64().expect("a seed"))) {
        let vkey = VerifierKey::new("witness.example/common".parse().expect("a name"), &key(to).verifying_key().to_bytes()).expect("a key");
        whole = whole.replace(&from, &vkey.to_string());
    }
    let sum = input["sum"].as_str().map_or_else(|| Hash::of(whole.as_bytes()).hex(), str::to_owned);
    whole.push_str(&format!("sum sha256:{sum}\n{}", input["behind"].as_str().unwrap_or_default()));
    let seen = match text(input, "kind") {
        "pin" => Pin::parse(&whole).map(|pin| {
            assert_eq!(pin.text(), whole, "read and written again");
            json!({ "accepted": true, "number": pin.head.number, "origin": pin.origin.as_str() })
        }),
        _ => HeadFile::parse(&whole).map(|head| {
            assert_eq!(head.text(), whole, "read and written again");
            json!({ "accepted": true, "session": head.session, "number": head.head.number })
        }),
    };
    Run { seen: seen.unwrap_or_else(|fault| refused(&fault)), made: json!({ "file": whole.split_inclusive('\n').collect::<Vec<_>>() }) }
}

pub fn words(input: &Value) -> Run {
    let of = hash(&input["hash"]);
    Run { seen: json!({ "words": words24(&of), "head words": head_words(&of) }), made: json!({}) }
}

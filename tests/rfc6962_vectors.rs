//! The 196 published proof cases of transparency-dev/merkle, which are others' data and not in this repository.
//!
//! `TABELLION_VECTORS` names the folder that holds them, at any depth.
#![cfg(feature = "vectors")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tabellion::core::ids::{Hash, Head};
use tabellion::core::tree::{verify_consistency, verify_inclusion};

/// One value of a case. Values of another length than 32 bytes ("don't care 2", "WrongRoot") stand for some hash: equal for equal, so
/// that our verifier and not merely the type must refuse the case. An empty root or leaf is left to the type.
fn hash_of(value: &Value) -> Option<Hash> {
    let bytes = STANDARD.decode(value.as_str().expect("base64 text")).expect("base64");
    if bytes.is_empty() { None } else { Hash::from_slice(&bytes).or_else(|| Some(Hash::of(&bytes))) }
}

fn proof_of(case: &Value) -> Vec<Hash> {
    // An empty element of a proof ("preceding-garbage") becomes a hash too: the proof is then too long, which is ours to notice.
    let element = |value: &Value| hash_of(value).unwrap_or(Hash::ZERO);
    case["proof"].as_array().map_or_else(Vec::new, |proof| proof.iter().map(element).collect())
}

/// Whether we accept; `None` when a root or leaf of the case is no hash at all.
fn accepted(case: &Value) -> Option<bool> {
    let number = |key: &str| case[key].as_u64().unwrap_or_else(|| panic!("{key} is no number"));
    let proof = proof_of(case);
    if case.get("leafIdx").is_some() {
        let (leaf, root) = (hash_of(&case["leafHash"])?, hash_of(&case["root"])?);
        return Some(verify_inclusion(leaf, number("leafIdx"), number("treeSize"), root, &proof).is_ok());
    }
    let old = Head { number: number("size1"), root: hash_of(&case["root1"])? };
    let new = Head { number: number("size2"), root: hash_of(&case["root2"])? };
    Some(verify_consistency(old, new, &proof).is_ok())
}

#[test]
fn all_196_published_proofs_get_the_published_verdict() {
    let folder = std::env::var_os("TABELLION_VECTORS").expect("set TABELLION_VECTORS to the folder with rfc6962/testdata");
    let root = Path::new(&folder);
    let data = [root.join("rfc6962/testdata"), root.join("testdata"), root.to_path_buf()].into_iter().find(|path| path.is_dir());
    let data = data.unwrap_or_else(|| panic!("TABELLION_VECTORS={} is no folder", root.display()));
    let (mut run, mut good, mut by_type) = (0, 0, 0);
    for entry in walkdir::WalkDir::new(&data) {
        let entry = entry.expect("a readable folder");
        if entry.path().extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let case: Value = serde_json::from_slice(&std::fs::read(entry.path()).expect("a readable file")).expect("JSON");
        let want = !case["wantErr"].as_bool().expect("wantErr");
        let got = accepted(&case);
        assert_eq!(got.unwrap_or(false), want, "{}", entry.path().display());
        run += 1;
        good += u32::from(want);
        by_type += u32::from(got.is_none());
    }
    assert_eq!((run, good, by_type), (196, 12, 11), "cases, of these accepted, of these with an empty root or leaf");
}

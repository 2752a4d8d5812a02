//! Signature cases published by others: 914 edge cases of Ed25519 (C2SP CCTV) and two COSE examples. They are not in this repository;
//! `TABELLION_VECTORS` names the folder that holds `ed25519-cctv/` and `cose/`.
#![cfg(feature = "vectors")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;

use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::Value;
use tabellion::core::cose::{Envelope, enrollable_key};
use tabellion::core::rules::Rule;

fn read(path: &str) -> Value {
    let folder = std::env::var_os("TABELLION_VECTORS").expect("TABELLION_VECTORS names the folder with data published by others");
    let path = PathBuf::from(folder).join(path);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

fn bytes<const N: usize>(value: &Value) -> [u8; N] {
    hex::decode(value.as_str().expect("hex text")).expect("hex").try_into().expect("the length")
}

#[test]
fn strict_verification_accepts_exactly_the_43_cases_without_small_order_or_other_encodings() {
    let cases = read("ed25519-cctv/ed25519vectors.json");
    let cases = cases.as_array().expect("a list");
    assert_eq!(cases.len(), 914);
    let (mut strict, mut enrolled) = (0, 0);
    for case in cases {
        let harmless = ["low_order_component_A", "low_order_component_R"];
        let flags = case["flags"].as_array().map_or(&[][..], Vec::as_slice);
        let expected = flags.iter().all(|flag| harmless.contains(&flag.as_str().expect("a flag")));
        let key: [u8; 32] = bytes(&case["key"]);
        let signature = Signature::from_bytes(&bytes(&case["sig"]));
        let message = case["msg"].as_str().expect("a message").as_bytes();
        let accepts = |key: VerifyingKey| key.verify_strict(message, &signature).is_ok();
        assert_eq!(VerifyingKey::from_bytes(&key).is_ok_and(accepts), expected, "case {}: {flags:?}", case["number"]);
        assert_eq!(enrollable_key(&key).is_ok_and(accepts), expected, "case {} after enrolment", case["number"]);
        strict += usize::from(expected);
        enrolled += usize::from(enrollable_key(&key).is_ok_and(accepts));
    }
    assert_eq!((strict, enrolled), (43, 43));
}

#[test]
fn our_ed25519_agrees_with_the_cose_example_and_our_parser_refuses_sign1_by_name() {
    let case = read("cose/eddsa-sig-01.json");
    let key = enrollable_key(&bytes(&case["input"]["sign0"]["key"]["x_hex"])).expect("a sound key");
    let signed = hex::decode(case["intermediates"]["ToBeSign_hex"].as_str().expect("hex text")).expect("hex");
    let envelope = hex::decode(case["output"]["cbor"].as_str().expect("hex text")).expect("hex");
    let signature = Signature::from_slice(&envelope[envelope.len() - 64..]).expect("64 bytes");
    assert!(key.verify_strict(&signed, &signature).is_ok());
    assert!(key.verify_strict(&signed[1..], &signature).is_err());

    for name in ["cose/eddsa-sig-01.json", "cose/eddsa-sig-02.json"] {
        let case = read(name);
        let envelope = hex::decode(case["output"]["cbor"].as_str().expect("hex text")).expect("hex");
        let fault = Envelope::from_brought(&envelope).expect_err(name);
        assert_eq!(fault.rule, Rule::EnvelopeShape, "{name}");
        assert!(fault.found.contains("COSE_Sign1 (tag 18)"), "{name}: {fault}");
    }
}

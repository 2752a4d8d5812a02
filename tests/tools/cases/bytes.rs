//! Cases that are bytes put together by hand, and cases that are texts with a form.

use serde_json::{Value, json};
use tabellion::core::artifact::Tree;
use tabellion::core::cbor::{self, Canonical as _, Writer};
use tabellion::core::cose::Envelope;
use tabellion::core::ids::{Hash, MediaType, Name, Origin, Party, Prefix, Text, parse_decimal};
use tabellion::core::order::Order;
use tabellion::core::proposal::Proposal;
use tabellion::core::rules::{Checked, Fault, Rule};
use tabellion::core::state::StateProof;
use tabellion::core::verify;

use super::{Run, list, refused, text};

/// `[[hex, meaning, times?], …]` put together: every piece says what it is, so that the defect can be seen.
pub fn pieces(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in value.as_array().expect("a list of pieces") {
        let once = hex::decode(piece[0].as_str().expect("hex")).expect("hex");
        bytes.extend(once.repeat(piece[2].as_u64().unwrap_or(1) as usize));
    }
    bytes
}

pub fn run(input: &Value) -> Run {
    let bytes = pieces(&input["bytes"]);
    let seen = match text(input, "kind") {
        "cbor" => cbor::check(&bytes).map(|()| json!({ "accepted": true, "length": bytes.len() })),
        "envelope" => envelope(&bytes, input),
        "proposal" => Proposal::from_cbor(&bytes).map(|proposal| {
            json!({ "accepted": true, "author": proposal.author.as_str(), "sequence": proposal.sequence, "operations": proposal.operations.len() })
        }),
        "order-payload" => Order::from_cbor(&bytes).map(|order| {
            assert_eq!(order.to_cbor(), bytes, "written and read again");
            json!({ "accepted": true, "order": order.what.word(), "number": order.number })
        }),
        _ => state_proof(&bytes, input),
    };
    let whole = (bytes.len() <= 2048).then(|| hex::encode(&bytes));
    let mut made = json!({ "length": bytes.len(), "sha256": Hash::of(&bytes).hex() });
    if let Some(whole) = whole {
        made["hex"] = json!(whole);
    }
    Run { seen: seen.unwrap_or_else(|fault| refused(&fault)), made }
}

fn envelope(bytes: &[u8], input: &Value) -> Checked<Value> {
    if input["as"] == json!("united") {
        let envelope = Envelope::from_cbor(bytes)?;
        return Ok(json!({ "accepted": true, "signers": envelope.signers.len() }));
    }
    if input["as"] == json!("paper") {
        return verify::parse(bytes).map(|parsed| json!({ "accepted": true, "pid": parsed.pid().hex() }));
    }
    let envelope = Envelope::from_brought(bytes)?;
    Ok(json!({ "accepted": true, "signers": envelope.signers.len(), "pid": envelope.pid().hex(), "env": envelope.env().hex() }))
}

fn state_proof(bytes: &[u8], input: &Value) -> Checked<Value> {
    let proof = StateProof::from_cbor(bytes)?;
    proof.verify(&Hash::from_hex(text(input, "root")).expect("a root"))?;
    Ok(json!({ "accepted": true, "present": proof.entry.is_some() }))
}

/// Texts of one form, each accepted or refused.
pub fn texts(input: &Value) -> Run {
    let (mut accepted, mut refusals, mut rule) = (Vec::new(), Vec::new(), None);
    for value in list(input, "values") {
        match parse(text(input, "as"), value.as_str().expect("a text")) {
            Ok(()) => accepted.push(value.clone()),
            Err(fault) => {
                rule = Some(fault.rule.id());
                refusals.push(value.clone());
            }
        }
    }
    let seen = json!({ "accepted": accepted, "refused": refusals, "by": rule });
    Run { seen, made: json!({}) }
}

fn parse(what: &str, value: &str) -> Checked<()> {
    match what {
        "name" => value.parse::<Name>().map(drop),
        "prefix" => value.parse::<Prefix>().map(drop),
        "party" => value.parse::<Party>().map(drop),
        "origin" => value.parse::<Origin>().map(drop),
        "media type" => value.parse::<MediaType>().map(drop),
        "text" => value.parse::<Text>().map(drop),
        "number" => parse_decimal(value).map(drop).ok_or_else(|| Fault::new(Rule::PayloadShape, value)),
        other => panic!("unknown form {other:?}"),
    }
}

/// A tree artifact (SPEC 3.13): `paths` in the order given, each `[path, executable, size, content]`, or with a number behind it so many
/// times, each with the number in place of `#`; or its `bytes`.
pub fn artifact(input: &Value) -> Run {
    let bytes = if input["paths"].is_array() { artifact_bytes(&input["paths"]) } else { pieces(&input["bytes"]) };
    let seen = match Tree::parse(&bytes) {
        Ok(tree) => json!({ "paths": tree.members().len(), "bytes": tree.bytes() }),
        Err(fault) => {
            let mut seen = refused(&fault.fault());
            seen["detail"] = json!(fault.detail().as_str());
            seen
        }
    };
    let mut made = json!({ "length": bytes.len(), "sha256": Hash::of(&bytes).hex() });
    if bytes.len() <= 2048 {
        made["hex"] = json!(hex::encode(&bytes));
    }
    Run { seen, made }
}

/// The bytes of a tree, whether it is one or not.
pub fn artifact_bytes(paths: &Value) -> Vec<u8> {
    let (mut w, mut count) = (Writer::new(), 0);
    for path in paths.as_array().expect("paths") {
        let (name, times) = (path[0].as_str().expect("a path"), path[4].as_u64().unwrap_or(1));
        let content = Hash::of(path[3].as_str().expect("content").as_bytes());
        for at in 0..times {
            let name = name.replace('#', &format!("{at:06}"));
            w.array(4).text(&name).bool(path[1] == true).uint(path[2].as_u64().expect("a size")).bytes(&content.0);
            count += 1;
        }
    }
    let (mut head, members) = (Writer::new(), w.finish());
    head.array(count);
    [head.finish(), members].concat()
}

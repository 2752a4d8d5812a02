//! Adding a member's signature to a paper.

use crate::core::cose::{Envelope, PaperKind, Signer, enrollable_key, sig_structure, verify_signature};
use crate::core::ids::{Party, kid_of};
use crate::core::limits::SIGNATURES_MAX;
use crate::core::policy::Policy;
use crate::core::rules::{Checked, Fault, Rule};
use crate::keys::derive::MemberKey;

/// The member who has this key, by the policy in force.
///
/// # Errors
/// `key-mismatch` with the key and the members.
pub fn member_of(policy: &Policy, public: &[u8; 32]) -> Checked<Party> {
    let keyring = policy.keyring();
    let key = keyring.active(&kid_of(public));
    let nobody = || {
        let members: Vec<&str> = policy.members.iter().map(|member| member.name.as_str()).collect();
        Fault::new(Rule::KeyMismatch, format!("ed25519:{} is no active key of {}", hex::encode(public), members.join(", ")))
    };
    key.map(|key| key.member.clone()).ok_or_else(nobody)
}

/// Adds a signature, and verifies it before it leaves the step.
///
/// # Errors
/// `envelope-too-large` when sixteen others are there; `internal-fault`.
pub fn sign(kind: PaperKind, payload: Vec<u8>, mut signers: Vec<Signer>, key: &MemberKey) -> Checked<Envelope> {
    let kid = key.kid();
    let signer = Signer { kid, signature: key.sign(&sig_structure(kind, &kid, &payload))? };
    if !verify_signature(&enrollable_key(&key.public_bytes())?, kind, &signer, &payload) {
        return Err(Fault::new(Rule::InternalFault, "a signature just made does not verify"));
    }
    signers.retain(|other| other.kid != kid);
    signers.push(signer);
    signers.sort();
    if signers.len() > SIGNATURES_MAX {
        return Err(Fault::new(Rule::EnvelopeTooLarge, format!("{} signatures found, {SIGNATURES_MAX} at most", signers.len())));
    }
    Ok(Envelope { kind, payload, signers })
}

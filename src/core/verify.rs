//! From bytes to an authentic paper: Parsed → Verified (SPEC 6.1).
//!
//! [`Parsed`] is made only by [`parse`] and [`parse_envelope`], [`Verified`] only by [`verify`]. What does not come through is a [`Fault`] that the caller lists.

use super::cbor::Canonical;
use super::cose::{Envelope, PaperKind, Signer, verify_signature};
use super::ids::{Kid, Origin, Pid};
use super::keyring::Keyring;
use super::order::Order;
use super::policy::Policy;
use super::proposal::Proposal;
use super::quorum::Valid;
use super::rules::{Checked, Fault, Rule};

/// A well-formed proposal whose signatures are unchecked.
#[derive(Clone, Debug)]
pub struct Parsed {
    envelope: Envelope,
    proposal: Proposal,
}

impl Parsed {
    /// What it asks for.
    pub fn proposal(&self) -> &Proposal {
        &self.proposal
    }

    /// Its envelope.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Its id.
    pub fn pid(&self) -> Pid {
        self.envelope.pid()
    }
}

/// Parses a paper as brought.
///
/// # Errors
/// Every rule of stage parse; `order-in-bag` when it is an order, `kind-unknown` when it is another paper and no proposal.
pub fn parse(bytes: &[u8]) -> Checked<Parsed> {
    parse_envelope(Envelope::from_brought(bytes)?)
}

/// A paper in an envelope that was taken apart already, as one that was united and counted has more signatures than one that is brought.
///
/// # Errors
/// As [`parse`], but for the bounds of what is brought.
pub fn parse_envelope(envelope: Envelope) -> Checked<Parsed> {
    if envelope.kind == PaperKind::Order {
        let order = Order::from_cbor(&envelope.payload)?;
        let found = format!("order number {} of {}, to {}; a proposal expected", order.number, order.origin, order.what);
        return Err(Fault::new(Rule::OrderInBag, found));
    }
    if envelope.kind != PaperKind::Proposal {
        return Err(Fault::new(
            Rule::KindUnknown,
            format!("{} found, {} expected", envelope.kind.media_type(), PaperKind::Proposal.media_type()),
        ));
    }
    let proposal = Proposal::from_cbor(&envelope.payload)?;
    Ok(Parsed { envelope, proposal })
}

/// An authentic paper: it holds a valid signature of its author by an active key, or is held already; and of the others only valid ones.
#[derive(Clone, Debug)]
pub struct Verified {
    pid: Pid,
    payload: Vec<u8>,
    proposal: Proposal,
    valid: Valid,
}

impl Verified {
    /// Its id.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Its payload, as received.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// What it asks for.
    pub fn proposal(&self) -> &Proposal {
        &self.proposal
    }

    /// Its valid signatures.
    pub fn valid(&self) -> &Valid {
        &self.valid
    }

    /// Takes over the valid signatures of another copy; of two by one key the bytewise smaller stays (SPEC 6.2, 6.6).
    pub fn unite(&mut self, copy: &Verified) {
        for (kid, signature) in copy.valid.iter().filter(|_| copy.pid == self.pid) {
            let known = self.valid.entry(*kid).or_insert(*signature);
            *known = (*known).min(*signature);
        }
    }
}

/// What [`verify`] checks against: the policy in force.
pub struct Enrolment<'a> {
    /// Our origin.
    pub origin: &'a Origin,
    /// The policy in force.
    pub policy: &'a Policy,
    /// Its keys.
    pub keyring: &'a Keyring,
    /// Whether the ledger holds this paper: then its author's signature is in the ledger, and need not come again.
    pub is_held: bool,
}

/// Verifies a paper's signatures, each over the bytes received.
///
/// The second value lists signatures beside the author's that were dropped.
///
/// # Errors
/// `origin-mismatch`, `author-unknown`, `author-unsigned`.
pub fn verify(parsed: Parsed, enrolment: &Enrolment<'_>) -> Checked<(Verified, Vec<Fault>)> {
    let Parsed { envelope, proposal } = parsed;
    let pid = envelope.pid();
    if proposal.origin != *enrolment.origin {
        return Err(Fault::new(Rule::OriginMismatch, format!("found {}; expected {}", proposal.origin, enrolment.origin)));
    }
    let held = enrolment.is_held;
    if !held && enrolment.policy.member(&proposal.author).is_none() {
        return Err(Fault::new(Rule::AuthorUnknown, format!("author {}", proposal.author)));
    }
    let by_author = |signer: &&Signer| enrolment.keyring.active(&signer.kid).is_some_and(|key| key.member == proposal.author);
    let author_signed = envelope
        .signers
        .iter()
        .filter(by_author)
        .any(|signer| check_signer(signer, &envelope, enrolment.keyring, &Keyring::default()).is_ok());
    // The keys of a policy that is only proposed are looked at when its author is known: decompressing 2,048 of them is not for strangers to cause.
    let coming = proposal.sets_policy().filter(|_| held || author_signed).map(Policy::keyring).unwrap_or_default();
    let (mut valid, mut dropped) = (Valid::new(), Vec::new());
    for signer in &envelope.signers {
        match check_signer(signer, &envelope, enrolment.keyring, &coming) {
            Ok(()) => drop(valid.insert(signer.kid, signer.signature)),
            Err(fault) => dropped.push((signer.kid, fault)),
        }
    }
    if !held && !author_signed {
        return Err(author_unsigned(&proposal, &envelope, enrolment, &dropped));
    }
    let dropped = dropped.into_iter().map(|(_, fault)| fault).collect();
    Ok((Verified { pid, payload: envelope.payload, proposal, valid }, dropped))
}

/// The signatures of an envelope that are valid by a key active in one of these, for showing how a paper stands before it is brought.
pub fn valid_signatures(envelope: &Envelope, keyring: &Keyring, coming: &Keyring) -> Valid {
    let valid = envelope.signers.iter().filter(|signer| check_signer(signer, envelope, keyring, coming).is_ok());
    valid.map(|signer| (signer.kid, signer.signature)).collect()
}

fn check_signer(signer: &Signer, envelope: &Envelope, keyring: &Keyring, coming: &Keyring) -> Checked<()> {
    let Some(key) = keyring.active(&signer.kid).or_else(|| coming.active(&signer.kid)) else {
        return Err(Fault::new(Rule::SignatureStranger, format!("key id {}", signer.kid.short())));
    };
    if verify_signature(&key.public, envelope.kind, signer, &envelope.payload) {
        return Ok(());
    }
    Err(Fault::new(Rule::SignatureInvalid, format!("key id {} of {}", signer.kid.short(), key.member)))
}

fn author_unsigned(proposal: &Proposal, envelope: &Envelope, enrolment: &Enrolment<'_>, dropped: &[(Kid, Fault)]) -> Fault {
    let expected: Vec<String> = enrolment.keyring.active_of(&proposal.author).map(|kid| kid.short()).collect();
    let describe = |signer: &Signer| {
        let why = match dropped.iter().find(|(kid, _)| *kid == signer.kid).map(|(_, fault)| fault.rule) {
            Some(Rule::SignatureInvalid) => "does not verify over the bytes received",
            Some(_) => "no member's active key",
            None => "another member's",
        };
        format!("{} ({why})", signer.kid.short())
    };
    let found: Vec<String> = envelope.signers.iter().map(describe).collect();
    let text =
        format!("author {}; found signatures by {}; expected a valid one by {}", proposal.author, found.join(", "), expected.join(" or "));
    Fault::new(Rule::AuthorUnsigned, text)
}

//! COSE_Sign envelopes (RFC 9052, SPEC 3.1 to 3.4): the form of every paper that people bring.
//!
//! One payload has one form: protected headers follow from kind and key id, signers ascend by key id. Whether a signature counts is not
//! decided here but in [`super::verify`] and [`super::quorum`]: libraries that call a COSE_Sign valid when *any* signer is are a trap.

use ed25519_dalek::{Signature, VerifyingKey};

use super::cbor::{self, Canonical, Reader, Writer};
use super::ids::{Hash, Kid, Pid};
use super::limits::{ENVELOPE_BYTES_MAX, SIGNATURES_MAX, SIGNATURES_UNITED_MAX};
use super::note::checked_public;
use super::rules::{Checked, Fault, Rule};

/// What a paper is; signed in the protected header, so that no kind can stand for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PaperKind {
    /// A request to change Common.
    Proposal,
    /// The paper of record 1.
    Charter,
    /// A custodians' paper.
    Order,
    /// A snapshot of a proposer's own domain.
    Snapshot,
}

impl PaperKind {
    const ALL: [PaperKind; 4] = [PaperKind::Proposal, PaperKind::Charter, PaperKind::Order, PaperKind::Snapshot];

    /// The media type in the protected header.
    pub fn media_type(self) -> &'static str {
        match self {
            PaperKind::Proposal => "application/vnd.tabellion.proposal+cbor",
            PaperKind::Charter => "application/vnd.tabellion.charter+cbor",
            PaperKind::Order => "application/vnd.tabellion.order+cbor",
            PaperKind::Snapshot => "application/vnd.tabellion.snapshot+cbor",
        }
    }
}

/// One signature under a payload: 32 bytes of key id, 64 of Ed25519 signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signer {
    /// Whose key.
    pub kid: Kid,
    /// The signature; valid only when [`verify_signature`] says so.
    pub signature: [u8; 64],
}

/// A well-formed envelope. Its signatures are unchecked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The kind its protected header names.
    pub kind: PaperKind,
    /// The payload, as received.
    pub payload: Vec<u8>,
    /// Ascending by key id, at least one.
    pub signers: Vec<Signer>,
}

impl Envelope {
    /// Parses an envelope as brought: at most 65,536 bytes and 16 signatures.
    ///
    /// # Errors
    /// `envelope-too-large`, `envelope-shape`, `kind-unknown`, `cbor-form`, `cbor-depth`.
    pub fn from_brought(bytes: &[u8]) -> Checked<Envelope> {
        if bytes.len() > ENVELOPE_BYTES_MAX {
            return Err(Fault::new(Rule::EnvelopeTooLarge, format!("{} bytes found, {ENVELOPE_BYTES_MAX} at most", bytes.len())));
        }
        refuse_sign1(bytes)?;
        let envelope = Envelope::from_cbor(bytes)?;
        if envelope.signers.len() > SIGNATURES_MAX {
            let found = envelope.signers.len();
            return Err(Fault::new(Rule::EnvelopeTooLarge, format!("{found} signatures found, {SIGNATURES_MAX} at most")));
        }
        Ok(envelope)
    }

    /// `pid = SHA-256(payload)`.
    pub fn pid(&self) -> Pid {
        Hash::of(&self.payload)
    }

    /// `SHA-256` of the envelope's one form.
    pub fn env(&self) -> Hash {
        Hash::of(&self.to_cbor())
    }
}

impl Canonical for Envelope {
    fn write(&self, w: &mut Writer) {
        w.tag(98).array(4).bytes(&body_protected(self.kind)).map(0).bytes(&self.payload).array(self.signers.len());
        for signer in &self.signers {
            w.array(3).bytes(&sign_protected(&signer.kid)).map(0).bytes(&signer.signature);
        }
    }

    fn read(r: &mut Reader<'_>) -> Checked<Envelope> {
        read_envelope(r.reading("envelope")).map_err(|fault| match fault.rule {
            Rule::PayloadShape | Rule::FieldUnknown => Fault::new(Rule::EnvelopeShape, fault.found),
            _ => fault,
        })
    }
}

/// A COSE_Sign1 is not taken, not even with one signer: one paper has one form.
///
/// # Errors
/// `envelope-shape`.
pub fn refuse_sign1(bytes: &[u8]) -> Checked<()> {
    if bytes.first() == Some(&0xd2) {
        return Err(Fault::new(Rule::EnvelopeShape, "offset 0: a COSE_Sign1 (tag 18) found; a COSE_Sign (tag 98) expected"));
    }
    Ok(())
}

fn read_envelope(r: &mut Reader<'_>) -> Checked<Envelope> {
    r.tag(98)?;
    r.array_of(4)?;
    let kind = read_body_protected(r.bytes()?)?;
    r.map(|_, _| Ok(false))?;
    let payload = r.bytes()?.to_vec();
    let count = r.array(usize::MAX)?;
    if count > SIGNATURES_UNITED_MAX {
        return Err(Fault::new(Rule::EnvelopeTooLarge, format!("{count} signatures found, {SIGNATURES_UNITED_MAX} at most")));
    }
    if count == 0 {
        return Err(r.fault("no signature found; at least one expected"));
    }
    let mut signers: Vec<Signer> = Vec::with_capacity(count.min(SIGNATURES_MAX));
    for _ in 0..count {
        r.array_of(3)?;
        let kid = read_sign_protected(r.bytes()?)?;
        r.map(|_, _| Ok(false))?;
        let signature = r.bytes_of::<64>()?;
        if signers.last().is_some_and(|last| last.kid >= kid) {
            return Err(r.fault(format!("signer {} does not come after the signer before it", kid.tiny())));
        }
        signers.push(Signer { kid, signature });
    }
    Ok(Envelope { kind, payload, signers })
}

fn read_body_protected(bytes: &[u8]) -> Checked<PaperKind> {
    cbor::check(bytes)?;
    let mut r = Reader::new(bytes);
    let mut found = None;
    r.reading("body_protected").map(|key, r| Ok(key == 3 && r.text().map(|text| found = Some(text)).is_ok()))?;
    let found = r.need(found, "3 (media type)")?;
    let kind = PaperKind::ALL.into_iter().find(|kind| kind.media_type() == found);
    kind.ok_or_else(|| Fault::new(Rule::KindUnknown, format!("{:?}", found.chars().take(80).collect::<String>())))
}

fn read_sign_protected(bytes: &[u8]) -> Checked<Kid> {
    cbor::check(bytes)?;
    let mut r = Reader::new(bytes);
    let (mut algorithm, mut kid) = (None, None);
    r.reading("sign_protected").map(|key, r| match key {
        1 => r.int().map(|value| algorithm = Some(value)).map(|()| true),
        4 => r.hash().map(|value| kid = Some(value)).map(|()| true),
        _ => Ok(false),
    })?;
    match algorithm {
        Some(-8) => r.need(kid, "4 (key id)"),
        Some(other) => Err(r.fault(format!("algorithm {other} found; -8 (EdDSA) expected"))),
        None => Err(r.fault("1 (algorithm) is missing; -8 (EdDSA) expected")),
    }
}

/// `bstr .cbor { 3 => media type }`, without the byte string's head.
fn body_protected(kind: PaperKind) -> Vec<u8> {
    let mut w = Writer::new();
    w.map(1).uint(3).text(kind.media_type());
    w.finish()
}

/// `bstr .cbor { 1 => -8, 4 => kid }`, without the byte string's head.
fn sign_protected(kid: &Kid) -> Vec<u8> {
    let mut w = Writer::new();
    w.map(2).uint(1).int(-8).uint(4).bytes(&kid.0);
    w.finish()
}

/// What is signed: `["Signature", body_protected, sign_protected, h'', payload]`.
///
/// # Source
/// RFC 9052 section 4.4; SPEC 3.2.
pub fn sig_structure(kind: PaperKind, kid: &Kid, payload: &[u8]) -> Vec<u8> {
    let mut w = Writer::new();
    w.array(5).text("Signature").bytes(&body_protected(kind)).bytes(&sign_protected(kid)).bytes(&[]).bytes(payload);
    w.finish()
}

/// A public key that may be enrolled: canonical, and of large order.
///
/// # Errors
/// `payload-shape` with the reason.
pub fn enrollable_key(public: &[u8; 32]) -> Checked<VerifyingKey> {
    checked_public(public).map_err(|reason| Fault::new(Rule::PayloadShape, format!("public key {}: {reason}", hex::encode(public))))
}

/// Whether `signer`'s signature is valid under `key` over this payload: `verify_strict`, SPEC 3.2.
pub fn verify_signature(key: &VerifyingKey, kind: PaperKind, signer: &Signer, payload: &[u8]) -> bool {
    let message = sig_structure(kind, &signer.kid, payload);
    key.verify_strict(&message, &Signature::from_bytes(&signer.signature)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope() -> Envelope {
        let signer = |first: u8| Signer { kid: Hash([first; 32]), signature: [first; 64] };
        Envelope { kind: PaperKind::Proposal, payload: vec![0xa0], signers: vec![signer(1), signer(2)] }
    }

    #[test]
    fn envelope_has_one_form_and_begins_as_papers_do() {
        let bytes = envelope().to_cbor();
        assert_eq!(&bytes[..3], &[0xd8, 0x62, 0x84]);
        assert_eq!(Envelope::from_brought(&bytes), Ok(envelope()));
    }

    #[test]
    fn envelope_refuses_signers_out_of_order_twice_or_none() {
        for signers in [vec![], vec![1, 0], vec![0, 0]] {
            let original = envelope();
            let changed = Envelope { signers: signers.into_iter().map(|i: usize| original.signers[i]).collect(), ..original };
            assert_eq!(Envelope::from_brought(&changed.to_cbor()).map_err(|f| f.rule), Err(Rule::EnvelopeShape));
        }
    }

    #[test]
    fn envelope_refuses_seventeen_signatures_brought_but_not_united() {
        let signers: Vec<Signer> = (0..17).map(|i| Signer { kid: Hash([i; 32]), signature: [0; 64] }).collect();
        let bytes = Envelope { signers, ..envelope() }.to_cbor();
        assert_eq!(Envelope::from_brought(&bytes).map_err(|f| f.rule), Err(Rule::EnvelopeTooLarge));
        assert!(Envelope::from_cbor(&bytes).is_ok());
        // 513 signatures fit into 64 KiB and are one more than a united envelope may have.
        let numbered = |i: u16| Hash(std::array::from_fn(|at| i.to_be_bytes().get(at).copied().unwrap_or(0)));
        let signers: Vec<Signer> = (0..513).map(|i| Signer { kid: numbered(i), signature: [0; 64] }).collect();
        let bytes = Envelope { signers, ..envelope() }.to_cbor();
        assert!(bytes.len() <= ENVELOPE_BYTES_MAX);
        assert_eq!(Envelope::from_cbor(&bytes).map_err(|f| f.rule), Err(Rule::EnvelopeTooLarge));
    }

    #[test]
    fn sig_structure_is_the_one_of_rfc_9052() {
        // ["Signature", h'A1 03 78 27 …', h'A2 01 27 04 58 20 …', h'', h'A0'] written by hand.
        let expected = format!(
            "85695369676e6174757265582ba1037827{}5826a20127045820{}4041a0",
            hex::encode("application/vnd.tabellion.proposal+cbor"),
            "01".repeat(32)
        );
        assert_eq!(hex::encode(sig_structure(PaperKind::Proposal, &Hash([1; 32]), &[0xa0])), expected);
    }

    #[test]
    fn small_order_and_noncanonical_keys_are_not_enrolled() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert!(enrollable_key(&identity).is_err_and(|f| f.found.contains("small order")));
        let mut above_p = [0xff; 32];
        above_p[31] = 0x7f;
        for low in 0xed..=0xff {
            above_p[0] = low;
            assert!(enrollable_key(&above_p).is_err(), "{low:x}");
        }
    }
}

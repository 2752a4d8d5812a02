//! The charter: the paper of record 1 (SPEC 3.10), and the fingerprint that follows from it.

use super::cbor::{Canonical, Reader, Writer};
use super::cose::{Envelope, PaperKind, verify_signature};
use super::ids::{Hash, Origin, Text};
use super::note::VerifierKey;
use super::policy::Policy;
use super::quorum::{self, Tally, Valid};
use super::rules::{Checked, Fault, Rule};

/// A charter's payload.
#[derive(Clone, Debug)]
pub struct Charter {
    /// The Common it founds.
    pub origin: Origin,
    /// The log key.
    pub log: VerifierKey,
    /// The ledger key.
    pub ledger_public: [u8; 32],
    /// SHA-256 of the next log public key.
    pub next: Hash,
    /// age recipient for backups.
    pub backup_recipient: String,
    /// The first policy.
    pub policy: Policy,
    /// Identity of the ledger it founds.
    pub instance: [u8; 16],
    /// Whether this is a rehearsal.
    pub rehearsal: bool,
    /// The founders' words.
    pub text: Option<Text>,
}

impl Canonical for Charter {
    fn write(&self, w: &mut Writer) {
        w.map(9 + usize::from(self.text.is_some())).uint(0).uint(1).uint(1).text(self.origin.as_str());
        w.uint(2).text(&self.log.to_string()).uint(3).bytes(&self.ledger_public).uint(4).bytes(&self.next.0);
        w.uint(5).text(&self.backup_recipient).uint(6).bytes(&self.policy.to_cbor()).uint(7).bytes(&self.instance);
        w.uint(8).bool(self.rehearsal);
        if let Some(text) = &self.text {
            w.uint(9).text(text.as_str());
        }
    }

    fn read(r: &mut Reader<'_>) -> Checked<Charter> {
        let (mut version, mut origin, mut log, mut ledger_public, mut next) = (None, None, None, None, None);
        let (mut recipient, mut policy, mut instance, mut rehearsal, mut text) = (None, None, None, None, None);
        r.reading("charter").map(|key, r| {
            match key {
                0 => version = Some(r.version()?),
                1 => origin = Some(r.parse::<Origin>()?),
                2 => log = Some(r.parse::<VerifierKey>()?),
                3 => ledger_public = Some(r.bytes_of::<32>()?),
                4 => next = Some(r.hash()?),
                5 => recipient = Some(r.text()?.to_owned()),
                6 => policy = Some(Policy::from_cbor(r.bytes()?)?),
                7 => instance = Some(r.bytes_of::<16>()?),
                8 => rehearsal = Some(r.bool()?),
                9 => text = Some(r.parse()?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        r.reading("charter").need(version, "0 (version)")?;
        let charter = Charter {
            origin: r.need(origin, "1 (origin)")?,
            log: r.need(log, "2 (log vkey)")?,
            ledger_public: r.need(ledger_public, "3 (ledger public key)")?,
            next: r.need(next, "4 (next log key's hash)")?,
            backup_recipient: r.need(recipient, "5 (age recipient)")?,
            policy: r.need(policy, "6 (policy)")?,
            instance: r.need(instance, "7 (instance id)")?,
            rehearsal: r.need(rehearsal, "8 (rehearsal)")?,
            text,
        };
        if *charter.log.name() != charter.origin {
            return Err(r.fault(format!("log key named {}, origin {}", charter.log.name(), charter.origin)));
        }
        Ok(charter)
    }
}

/// A charter that carries the quorum of its own governors; made only by [`verify`].
#[derive(Clone, Debug)]
pub struct VerifiedCharter {
    charter: Charter,
    envelope: Envelope,
}

impl VerifiedCharter {
    /// What it says.
    pub fn charter(&self) -> &Charter {
        &self.charter
    }

    /// The canonical envelope as counted.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }
}

/// The governors' count under a charter's envelope, with the valid signatures.
///
/// # Errors
/// Parse faults; `kind-unknown` for another kind of paper; `policy-unsound`.
pub fn tally(bytes: &[u8]) -> Checked<(Charter, Envelope, Valid, Tally)> {
    let envelope = Envelope::from_brought(bytes)?;
    if envelope.kind != PaperKind::Charter {
        return Err(Fault::new(
            Rule::KindUnknown,
            format!("{} found, {} expected", envelope.kind.media_type(), PaperKind::Charter.media_type()),
        ));
    }
    let charter = Charter::from_cbor(&envelope.payload)?;
    charter.policy.check_sound()?;
    let keyring = charter.policy.keyring();
    let is_valid = |signer: &&super::cose::Signer| {
        keyring.active(&signer.kid).is_some_and(|key| verify_signature(&key.public, envelope.kind, signer, &envelope.payload))
    };
    let valid: Valid = envelope.signers.iter().filter(is_valid).map(|signer| (signer.kid, signer.signature)).collect();
    let tally = quorum::count(&charter.policy, &charter.policy.governors, &quorum::signed_by(&keyring, &valid));
    Ok((charter, envelope, valid, tally))
}

/// Verifies a charter: valid signatures of the quorum of the governors that it names (SPEC 3.10).
///
/// # Errors
/// As [`tally`]; `charter-unsigned` with what it has, needs and misses.
pub fn verify(bytes: &[u8]) -> Checked<VerifiedCharter> {
    let (charter, envelope, valid, tally) = tally(bytes)?;
    if !tally.is_met() {
        let missing: Vec<&str> = tally.missing.iter().map(|party| party.as_str()).collect();
        let found =
            format!("{} of {} in group {:?}; missing any of {}", tally.have, tally.need, charter.policy.governors, missing.join(", "));
        return Err(Fault::new(Rule::CharterUnsigned, found));
    }
    let needed = charter.policy.expand(&charter.policy.governors);
    let signers = quorum::counted(&charter.policy.keyring(), &needed, &valid);
    Ok(VerifiedCharter { envelope: Envelope { signers, ..envelope }, charter: charter.clone() })
}

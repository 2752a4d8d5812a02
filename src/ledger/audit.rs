//! Signatures of events: the strict check of one, and batches over all of history.
//!
//! **What a batch could accept that the strict check refuses.** The sum over a batch has random factors, and no test for points of small
//! order. A signature whose R carries a component of order 2, 4 or 8 passes alone in one batch of eight or so, and two of them may cancel
//! each other. Keys of small order never come here. This is no hole in the history: whoever does not hold the ledger key cannot make such a
//! signature, for R is hashed together with the message, and with another R the scalar fits no more; who holds it can sign any event
//! whatever. An event's hash does not cover its signature, so nothing else changes by it. What others signed is admitted
//! strictly, one by one (`functions`). What the unlocked key of this process signed is verified before COMMIT, in batches; the last signature of
//! every commit, and of every check, strictly.
//!
//! What a batch refuses is never taken for bad, and never for good: each of its signatures is then verified strictly, in order.

use ed25519_dalek::{Signature, VerifyingKey, verify_batch};

use super::finding::{CorruptionKind, Stop, bad};
use crate::core::event::signed_bytes;
use crate::core::ids::{Hash, Kid, kid_of};

/// Signatures of one batch: more gain little, and each takes about 500 bytes.
const BATCH_SIGNATURES: usize = 1_024;

/// Fewest signatures that are worth a thread.
const THREAD_SIGNATURES_LEAST: usize = 128;

/// The ledger's public keys in the order in which they became valid.
pub(super) struct Keys {
    keys: Vec<(Kid, Option<VerifyingKey>)>,
}

impl Keys {
    pub(super) fn new(ledger_keys: &[[u8; 32]]) -> Keys {
        // A point of small order would verify what nobody signed: it stands here without a key, and every signature under it is bad.
        let strict = |key: &[u8; 32]| VerifyingKey::from_bytes(key).ok().filter(|key| !key.is_weak());
        Keys { keys: ledger_keys.iter().map(|key| (kid_of(key), strict(key))).collect() }
    }

    /// Place of this key, which is at or behind place `from`: an event under a key that an earlier event left behind is none of ours.
    pub(super) fn place(&self, kid: &Kid, from: usize) -> Option<usize> {
        self.keys.iter().skip(from).position(|(known, _)| known == kid).map(|behind| behind + from)
    }

    /// The key id at a place, in words.
    pub(super) fn word(&self, place: usize) -> String {
        self.keys.get(place).map_or("none".to_owned(), |(kid, _)| kid.hex())
    }

    fn key(&self, place: usize) -> Option<&VerifyingKey> {
        self.keys.get(place).and_then(|(_, key)| key.as_ref())
    }
}

/// One event's signature.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signed {
    pub(super) seq_no: u64,
    pub(super) hash: [u8; 32],
    pub(super) signature: [u8; 64],
    /// Place of the key among [`Keys`].
    pub(super) place: usize,
}

/// The strict check, the one that admission makes.
pub(super) fn strictly(keys: &Keys, signed: &Signed) -> Result<(), Stop> {
    let signature = Signature::from_bytes(&signed.signature);
    let message = signed_bytes(&signed.hash);
    if keys.key(signed.place).is_some_and(|key| key.verify_strict(&message, &signature).is_ok()) {
        return Ok(());
    }
    let found = format!(
        "signature {} over {} found; one by key {} expected",
        hex::encode(&signed.signature[..8]),
        hex::encode(signed.hash),
        keys.word(signed.place)
    );
    bad(signed.seq_no, CorruptionKind::Signature, found)
}

/// Signatures that wait for their batch, in the order of their events.
pub(super) struct Batch<'a> {
    keys: &'a Keys,
    waiting: Vec<Signed>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(keys: &'a Keys) -> Batch<'a> {
        Batch { keys, waiting: Vec::new() }
    }

    /// Takes one more, and verifies when there are enough.
    pub(super) fn push(&mut self, signed: Signed) -> Result<(), Stop> {
        self.waiting.push(signed);
        if self.waiting.len() < BATCH_SIGNATURES { Ok(()) } else { self.verify() }
    }

    /// Verifies those that wait; names the first that is bad.
    pub(super) fn verify(&mut self) -> Result<(), Stop> {
        let outcome = batch(self.keys, &self.waiting);
        self.waiting.clear();
        outcome
    }
}

/// Verifies all of them, by two threads when there are enough for both; names the first that is bad.
pub(super) fn together(keys: &Keys, signed: &[Signed]) -> Result<(), Stop> {
    if signed.is_empty() {
        // A batch of none still costs a multiplication on the curve.
        return Ok(());
    }
    if signed.len() < 2 * THREAD_SIGNATURES_LEAST {
        return batch(keys, signed);
    }
    let (first, second) = signed.split_at(signed.len() / 2);
    std::thread::scope(|scope| {
        let other = std::thread::Builder::new().spawn_scoped(scope, || batch(keys, second));
        let first = batch(keys, first);
        let second = match other {
            Ok(other) => other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            // No thread to be had.
            Err(_) => batch(keys, second),
        };
        first.and(second)
    })
}

fn batch(keys: &Keys, signed: &[Signed]) -> Result<(), Stop> {
    if holds(keys, signed) { Ok(()) } else { signed.iter().try_for_each(|signed| strictly(keys, signed)) }
}

fn holds(keys: &Keys, signed: &[Signed]) -> bool {
    let messages: Vec<[u8; 51]> = signed.iter().map(|signed| signed_bytes(&signed.hash)).collect();
    let messages: Vec<&[u8]> = messages.iter().map(<[u8; 51]>::as_slice).collect();
    let signatures: Vec<Signature> = signed.iter().map(|signed| Signature::from_bytes(&signed.signature)).collect();
    let keys: Option<Vec<VerifyingKey>> = signed.iter().map(|signed| keys.key(signed.place).copied()).collect();
    keys.is_some_and(|keys| verify_batch(&messages, &signatures, &keys).is_ok())
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(kid, _)| Hash(kid.0))).finish()
    }
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
    use curve25519_dalek::scalar::Scalar;
    use ed25519_dalek::{Signer as _, SigningKey};
    use sha2::{Digest as _, Sha512};

    use super::*;

    fn secret() -> SigningKey {
        SigningKey::from_bytes(&[0x42; 32])
    }

    fn keys() -> Keys {
        Keys::new(&[secret().verifying_key().to_bytes()])
    }

    fn signed(seq_no: u64) -> Signed {
        let hash = *blake3::hash(&seq_no.to_be_bytes()).as_bytes();
        Signed { seq_no, hash, signature: secret().sign(&signed_bytes(&hash)).to_bytes(), place: 0 }
    }

    /// A signature that only the holder of the key can make, and a strict check refuses: its R has a component of order eight.
    fn with_torsion(seq_no: u64) -> Signed {
        let (signed, secret) = (signed(seq_no), secret());
        let nonce = Scalar::from_bytes_mod_order([seq_no as u8 + 1; 32]);
        let r = (nonce * ED25519_BASEPOINT_POINT + EIGHT_TORSION[1]).compress().to_bytes();
        let challenge = Sha512::new_with_prefix(r).chain_update(secret.verifying_key().to_bytes()).chain_update(signed_bytes(&signed.hash));
        let s = nonce + Scalar::from_bytes_mod_order_wide(&challenge.finalize().into()) * secret.to_scalar();
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&r);
        signature[32..].copy_from_slice(s.as_bytes());
        Signed { signature, ..signed }
    }

    fn first_bad(outcome: Result<(), Stop>) -> Option<u64> {
        match outcome {
            Ok(()) => None,
            Err(Stop::Bad { seq_no, kind: CorruptionKind::Signature, .. }) => Some(seq_no),
            Err(other) => panic!("{other:?}"),
        }
    }

    fn of_batch(signed: impl IntoIterator<Item = Signed>) -> Option<u64> {
        let keys = keys();
        let mut batch = Batch::new(&keys);
        first_bad(signed.into_iter().try_for_each(|signed| batch.push(signed)).and_then(|()| batch.verify()))
    }

    #[test]
    fn batch_of_good_signatures_passes_and_the_first_bad_one_is_named() {
        assert_eq!(of_batch((1..=40).map(signed)), None);
        assert_eq!(of_batch([]), None);
        let spoilt = |bad: &'static [u64]| {
            (1..=40).map(move |seq_no| match bad.contains(&seq_no) {
                true => Signed { signature: signed(7 * seq_no).signature, ..signed(seq_no) },
                false => signed(seq_no),
            })
        };
        assert_eq!(of_batch(spoilt(&[40])), Some(40));
        assert_eq!(of_batch(spoilt(&[17, 23])), Some(17));
        assert_eq!(of_batch(spoilt(&[1])), Some(1));
        // A scalar not below the order of the group, and an R that is no point.
        for (from, to) in [(32..64, 0xff), (0..32, 0x02)] {
            let mut spoilt = signed(3);
            spoilt.signature[from].fill(to);
            assert_eq!(of_batch([signed(2), spoilt, signed(4)]), Some(3));
        }
    }

    #[test]
    fn what_a_batch_refuses_is_judged_strictly() {
        // Alone in a batch, one in eight of these passes; where the batch refuses, the strict check must not let it pass as verify would.
        let found: Vec<Option<u64>> = (1..=64).map(|seq_no| of_batch([with_torsion(seq_no)])).collect();
        assert!(found.iter().zip(1..).all(|(found, seq_no)| found.is_none_or(|bad| bad == seq_no)));
        assert!(found.iter().filter(|found| found.is_some()).count() > 32, "{found:?}");
        (1..=64).for_each(|seq_no| assert_eq!(first_bad(strictly(&keys(), &with_torsion(seq_no))), Some(seq_no)));
        assert_eq!(first_bad(strictly(&keys(), &signed(1))), None);
    }

    #[test]
    fn key_of_small_order_or_unknown_place_verifies_nothing() {
        for weak in EIGHT_TORSION {
            let keys = Keys::new(&[weak.compress().to_bytes()]);
            // The equation holds for every message: R and s zero.
            let mut signature = [0; 64];
            signature[0] = 1;
            let signed = Signed { signature, ..signed(5) };
            let mut batch = Batch::new(&keys);
            assert_eq!(first_bad(batch.push(signed).and_then(|()| batch.verify())), Some(5));
            assert_eq!(first_bad(strictly(&keys, &signed)), Some(5));
        }
        assert_eq!(of_batch([Signed { place: 1, ..signed(6) }]), Some(6));
    }
}

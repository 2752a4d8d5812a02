//! The keys of one seed, one for each role, and what each may sign (SPEC 9.1).
//!
//! `key = BLAKE3 derive_key(context of the role, seed)`. A rehearsal has contexts of its own, so nothing signed in one counts outside it.

use std::fmt;
use std::str::FromStr as _;

use age::secrecy::ExposeSecret as _;
use ed25519_dalek::{Signer as _, SigningKey};
use zeroize::Zeroizing;

use super::Seed;
use crate::core::ids::{Kid, Origin, kid_of, parse_decimal};
use crate::core::rules::{Checked, Fault, Rule};

/// What goes in front of an event hash under the ledger key (SPEC 7.3).
const EVENT_MARK: &[u8] = b"tabellion event v1\0";

/// A role of a key: the context it has, in earnest and in a rehearsal.
#[derive(Clone, Copy)]
enum Role {
    Member,
    Log,
    Ledger,
    Backup,
}

impl Role {
    /// SPEC 9.1.
    fn context(self, rehearsal: bool) -> &'static str {
        match (self, rehearsal) {
            (Role::Member, false) => "tabellion 2026 member ed25519 v1",
            (Role::Log, false) => "tabellion 2026 log ed25519 v1",
            (Role::Ledger, false) => "tabellion 2026 ledger ed25519 v1",
            (Role::Backup, false) => "tabellion 2026 age x25519 v1",
            (Role::Member, true) => "tabellion 2026 rehearsal member ed25519 v1",
            (Role::Log, true) => "tabellion 2026 rehearsal log ed25519 v1",
            (Role::Ledger, true) => "tabellion 2026 rehearsal ledger ed25519 v1",
            (Role::Backup, true) => "tabellion 2026 rehearsal age x25519 v1",
        }
    }
}

impl Seed {
    /// The key its holder signs papers with, as member or custodian.
    pub fn member(&self, rehearsal: bool) -> MemberKey {
        MemberKey(self.signing_key(Role::Member, rehearsal))
    }

    /// The key that signs the checkpoints and verdict notes of `origin`.
    pub fn log(&self, origin: Origin, rehearsal: bool) -> LogKey {
        LogKey { key: self.signing_key(Role::Log, rehearsal), origin }
    }

    /// The key that signs the ledger's events.
    pub fn ledger(&self, rehearsal: bool) -> LedgerKey {
        LedgerKey(self.signing_key(Role::Ledger, rehearsal))
    }

    /// The age identity that opens backups (`AGE-SECRET-KEY-1…`, wiped when dropped) and the recipient they are made for (`age1…`).
    ///
    /// # Errors
    /// `internal-fault` when age does not read what was encoded, or reads another key from it.
    ///
    /// # Source
    /// <https://c2sp.org/age>, section on X25519: Bech32 (BIP 173) of the 32 bytes.
    pub fn age_identity(&self, rehearsal: bool) -> Checked<(Zeroizing<String>, String)> {
        let secret = self.derive(Role::Backup, rehearsal);
        let fault = |found: &str| Fault::new(Rule::InternalFault, format!("age identity: {found}; one that age reads back is expected"));
        let hrp = bech32::Hrp::parse("age-secret-key-").map_err(|_| fault("the prefix is not accepted"))?;
        // 74 characters; the room is taken at once so that growing leaves no copy behind.
        let mut text = Zeroizing::new(String::with_capacity(96));
        bech32::encode_upper_to_fmt::<bech32::Bech32, String>(&mut text, hrp, secret.as_slice()).map_err(|_| fault("encoding failed"))?;
        let identity = age::x25519::Identity::from_str(&text).map_err(fault)?;
        if identity.to_string().expose_secret() != text.as_str() {
            return Err(fault("age writes another one than it read"));
        }
        Ok((text, identity.to_public().to_string()))
    }

    fn derive(&self, role: Role, rehearsal: bool) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(blake3::derive_key(role.context(rehearsal), self.expose()))
    }

    fn signing_key(&self, role: Role, rehearsal: bool) -> Box<SigningKey> {
        Box::new(SigningKey::from_bytes(&self.derive(role, rehearsal)))
    }
}

/// Signs and verifies what was signed before it is handed out.
fn sign_checked(key: &SigningKey, message: &[u8]) -> Checked<[u8; 64]> {
    let signature = key.sign(message);
    key.verifying_key().verify_strict(message, &signature).map_err(|_| {
        Fault::new(
            Rule::InternalFault,
            format!("a signature by ed25519:{} made just now does not verify", hex::encode(key.verifying_key().as_bytes())),
        )
    })?;
    Ok(signature.to_bytes())
}

macro_rules! shows_its_public_key {
    ($name:ident) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "(ed25519:{})"), hex::encode(self.public_bytes()))
            }
        }
    };
}
shows_its_public_key!(MemberKey);
shows_its_public_key!(LogKey);
shows_its_public_key!(LedgerKey);

/// Signs papers, as member or custodian. Wiped when dropped.
pub struct MemberKey(Box<SigningKey>);

impl MemberKey {
    /// The 32 bytes a policy lists.
    pub fn public_bytes(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// The key id that stands in envelopes (SPEC 3.3).
    pub fn kid(&self) -> Kid {
        kid_of(&self.public_bytes())
    }

    /// Signs the bytes of SPEC 3.2.
    ///
    /// # Errors
    /// `internal-fault` when the signature does not verify.
    pub fn sign(&self, message: &[u8]) -> Checked<[u8; 64]> {
        sign_checked(&self.0, message)
    }
}

/// Signs the checkpoints and verdict notes of one origin, and nothing else. Wiped when dropped.
pub struct LogKey {
    key: Box<SigningKey>,
    origin: Origin,
}

impl LogKey {
    /// The 32 bytes that stand in the vkey.
    pub fn public_bytes(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// The origin whose texts it signs, which is its name (SPEC 4.2).
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Signs the text of a checkpoint (SPEC 4.3) or of a verdict note (SPEC 4.7), its last newline included.
    ///
    /// # Errors
    /// `internal-fault` when the text is neither of this origin, or the signature does not verify.
    pub fn sign_note(&self, text: &str) -> Checked<[u8; 64]> {
        if !self.may_sign(text) {
            let first: String = text.lines().next().unwrap_or_default().chars().take(200).collect();
            return Err(Fault::new(
                Rule::InternalFault,
                format!(
                    "the log key was asked to sign a text that begins {first:?}; a checkpoint or verdict note of {} is expected",
                    self.origin
                ),
            ));
        }
        sign_checked(&self.key, text.as_bytes())
    }

    fn may_sign(&self, text: &str) -> bool {
        let Some(body) = text.strip_suffix('\n') else { return false };
        let lines: Vec<&str> = body.split('\n').collect();
        let Some((first, rest)) = lines.split_first() else { return false };
        // SPEC 4.3: three lines, no extension lines. An empty line would let the text be read as another note.
        let checkpoint = *first == self.origin.as_str() && rest.len() == 2 && parse_decimal(rest[0]).is_some() && !rest[1].is_empty();
        // SPEC 4.7: seven lines, of which the second names the paper.
        let note = first.strip_suffix("/verdict v1") == Some(self.origin.as_str())
            && rest.len() == 6
            && rest[0].starts_with("paper sha256:")
            && rest.iter().all(|line| !line.is_empty());
        checkpoint || note
    }
}

/// Signs the ledger's events. Wiped when dropped.
pub struct LedgerKey(Box<SigningKey>);

impl LedgerKey {
    /// The 32 bytes that stand in the charter and in records.
    pub fn public_bytes(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Signs `"tabellion event v1" ‖ 00 ‖ event_hash` (SPEC 7.3).
    ///
    /// # Errors
    /// `internal-fault` when the signature does not verify.
    pub fn sign_event_hash(&self, event_hash: &[u8; 32]) -> Checked<[u8; 64]> {
        sign_checked(&self.0, &[EVENT_MARK, event_hash].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seed `00 01 … 1f`.
    fn seed() -> Seed {
        Seed::from_bytes(&std::array::from_fn(|i| i as u8))
    }

    fn origin() -> Origin {
        "witness.example/common".parse().expect("an origin")
    }

    /// Made once with Python: blake3 1.0.11 (`derive_key_context`), cryptography 48 (Ed25519, X25519) and a Bech32 encoder written from BIP 173.
    #[test]
    fn keys_of_a_seed_are_those_computed_by_other_software() {
        let public = |rehearsal| {
            let (member, log, ledger) = (seed().member(rehearsal), seed().log(origin(), rehearsal), seed().ledger(rehearsal));
            [member.public_bytes(), log.public_bytes(), ledger.public_bytes()].map(hex::encode)
        };
        assert_eq!(
            public(false),
            [
                "f9176dcb4696d63c8c800e6e2656fde977ccc83cd45fc271a76dc51c1b24cbe4",
                "3b08fc3c50f6b6778ba67e263047be7753631d8feb71e77df6ef7834de164fdc",
                "bd1bf856cc971d7f913c41021df053578db33052278482c55265f0050f67a03c",
            ]
        );
        assert_eq!(
            public(true),
            [
                "9f813a408d5e9a96af0f1ba73028a96eb6042280969a17c086f456e1e7f72c63",
                "8413250a8056414da87b82d069ab1b5ef0e61c98bf4740cfa9247905f228493b",
                "02cc38a934d85ca6002a8f7cc199e785e93b29486082794ac42389d72069df74",
            ]
        );
        for (rehearsal, secret, recipient) in [
            (
                false,
                "AGE-SECRET-KEY-1WLY6GJN20YS8MDJPF28ME7JJDHWD3URSLY4WSKJ4764MY43EMGQS3S7R4N",
                "age1fyp5f9wtlce076mzts2j8tnzqgyle77xe3jd53gl6e94f3gvdqpqpvrg0j",
            ),
            (
                true,
                "AGE-SECRET-KEY-1E7N9UYLTKG45VMHTYCMP34PNVPY06VPQNWM9MR9WR94HWJ8LK4EQ8R8DFZ",
                "age1vm8ranchn20z6a6quchgtm4vw2cc3mxvnc24034s0pmyhuspyqlsl0vdyl",
            ),
        ] {
            let (text, to) = seed().age_identity(rehearsal).expect("an identity");
            assert_eq!((text.as_str(), to.as_str()), (secret, recipient));
        }
    }

    #[test]
    fn every_context_is_a_different_one() {
        let roles = [Role::Member, Role::Log, Role::Ledger, Role::Backup];
        let keys: std::collections::BTreeSet<_> =
            roles.iter().flat_map(|role| [false, true].map(|rehearsal| *seed().derive(*role, rehearsal))).collect();
        assert_eq!(keys.len(), 8);
    }

    /// Signatures by Python's cryptography 48 over the same bytes.
    #[test]
    fn signatures_are_those_of_other_software() {
        assert_eq!(
            hex::encode(seed().ledger(false).sign_event_hash(&[7; 32]).expect("signed")),
            "7fffc78a50d42a307ceaabf44d3e8aabc78da871c527a2fabb8d233d9d96533c77b2a9e2a7e76f4685c5106c13c1133b80df0a85bca1cf6ba2d65b51dd1e2c0c"
        );
        assert_eq!(
            hex::encode(seed().log(origin(), false).sign_note("witness.example/common\n1\nAAAA\n").expect("signed")),
            "08c9b679d9821fdbc50c09c76e8b83509c78186ab9cdc1d8d1758283412db0c96fee93adefebcb02a7dd3a70ed046dba44705c28772ad596788d3dafc2f0b70b"
        );
    }

    #[test]
    fn log_key_signs_checkpoints_and_verdict_notes_of_its_origin_and_nothing_else() {
        let key = seed().log(origin(), false);
        let note = "witness.example/common/verdict v1\npaper sha256:00\nverdict refused no-rule\ncommon 1 AAAA\nsession 1\npolicy sha256:00\ndetail x\n";
        assert!(key.sign_note("witness.example/common\n41\nAAAA\n").is_ok());
        assert!(key.sign_note(note).is_ok());
        for text in [
            "",
            "\n",
            "witness.example/common\n41\nAAAA",
            "witness.example/common\n41\n\n",
            "witness.example/common\n041\nAAAA\n",
            "witness.example/common\n41\nAAAA\nextension\n",
            "witness.example/other\n41\nAAAA\n",
            "witness.example/common/\n41\nAAAA\n",
            "witness.example/common/verdict v2\npaper sha256:00\na\nb\nc\nd\ne\n",
            "witness.example/common/verdict v1\nsomething\na\nb\nc\nd\ne\n",
            "witness.example/other/verdict v1\npaper sha256:00\na\nb\nc\nd\ne\n",
            "witness.example/common/verdict v1\npaper sha256:00\na\nb\nc\nd\n",
            "witness.example/common/verdict v1\npaper sha256:00\na\nb\nc\nd\ne\nf\n",
            "witness.example/common/verdict v1\npaper sha256:00\na\nb\n\nd\ne\n",
            "I owe you 5\n",
        ] {
            let fault = key.sign_note(text).expect_err(text);
            assert_eq!(fault.rule, Rule::InternalFault, "{text}");
        }
    }

    #[test]
    fn member_signatures_verify_under_the_key_with_its_kid() {
        let key = seed().member(false);
        let signature = ed25519_dalek::Signature::from_bytes(&key.sign(b"a message").expect("signed"));
        let public = ed25519_dalek::VerifyingKey::from_bytes(&key.public_bytes()).expect("a key");
        assert!(public.verify_strict(b"a message", &signature).is_ok());
        assert!(public.verify_strict(b"a massage", &signature).is_err());
        assert_eq!(key.kid(), kid_of(&key.public_bytes()));
    }

    #[test]
    fn what_is_sealed_for_the_recipient_opens_with_the_identity() {
        let (secret, recipient) = seed().age_identity(false).expect("an identity");
        let to: age::x25519::Recipient = recipient.parse().expect("a recipient");
        let sealed = age::encrypt(&to, b"a backup").expect("sealed");
        let identity: age::x25519::Identity = secret.parse().expect("an identity");
        assert_eq!(age::decrypt(&identity, &sealed).expect("opened"), b"a backup");
    }

    #[test]
    fn debug_shows_public_keys_only() {
        let shown = format!("{:?} {:?} {:?}", seed().member(false), seed().log(origin(), false), seed().ledger(false));
        assert!(shown.starts_with("MemberKey(ed25519:f9176dcb"), "{shown}");
        for role in [Role::Member, Role::Log, Role::Ledger] {
            assert!(!shown.contains(&hex::encode(seed().derive(role, false).as_slice())));
        }
    }
}

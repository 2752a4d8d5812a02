//! What tests of whole sessions share: a desk founded from fixed seeds, papers described and signed, media written, folders compared.
//!
//! `mod support;` in an integration test. Everything here panics instead of answering with a fault: a test that cannot be set up has failed.
//! The same calls give the same papers, keys and charter in every run.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // each test program uses a part of it

pub mod memory;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha512};
use tabellion::core::bundle::BundleHeader;
use tabellion::core::cbor::{Canonical as _, Writer};
use tabellion::core::charter::Charter;
use tabellion::core::cose::{Envelope, PaperKind, Signer, sig_structure, verify_signature};
use tabellion::core::ids::{Hash, Head, Kid, Name, Pid};
use tabellion::core::note::VerifierKey;
use tabellion::core::plan::Plan;
use tabellion::core::policy::Policy;
use tabellion::core::policy_text;
use tabellion::core::proposal::{Entry, Expect, Operation, Proposal};
use tabellion::core::rules::Checked;
use tabellion::keys::derive::MemberKey;
use tabellion::keys::file::{WorkFactor, seal, write_new};
use tabellion::keys::{Passphrase, Seed};
use tabellion::run::bag::Bag;
use tabellion::run::desk::{Desk, KEY_FILE};
use tabellion::run::found;
use tabellion::run::problem::Outcomes;
use tabellion::run::session::{self, Operator, Report, Request};
use tempfile::TempDir;

/// The Common that every test founds.
pub const ORIGIN: &str = "witness.example/common";
/// Members of [`policy_toml`].
pub const MEMBERS: [&str; 6] = ["alice", "bob", "carol", "dave", "erin", "frank"];

/// The seed of a label, the same in every run.
pub fn seed(label: &str) -> Seed {
    Seed::from_bytes(&seed_bytes(label))
}

fn seed_bytes(label: &str) -> [u8; 32] {
    Hash::of(format!("test seed of {label}").as_bytes()).0
}

/// The key of a label: a member's name; a second key of a member is `name.2`.
pub fn key(label: &str) -> MemberKey {
    seed(label).member(false)
}

/// The same key for signing without the checks of [`MemberKey`], made once: with many papers that is most of the time.
pub fn secret(label: &str) -> (Kid, SigningKey) {
    static KEYS: Mutex<BTreeMap<String, (Kid, SigningKey)>> = Mutex::new(BTreeMap::new());
    let make = || {
        let secret = SigningKey::from_bytes(&blake3::derive_key("tabellion 2026 member ed25519 v1", &seed_bytes(label)));
        assert_eq!(secret.verifying_key().to_bytes(), key(label).public_bytes());
        (key(label).kid(), secret)
    };
    KEYS.lock().unwrap().entry(label.to_owned()).or_insert_with(make).clone()
}

/// A label's public key as a policy has it.
pub fn public(label: &str) -> String {
    policy_text::show_key(&key(label).public_bytes())
}

/// Six members, nested groups, quotas, and a rule of each sort:
///
/// | prefix | who proposes | who approves | content |
/// |---|---|---|---|
/// | `open/` | all | nobody | optional, at most 1,000 bytes |
/// | `open/deep/rule/` | all (`open/deep` is shadowed) | nobody | optional |
/// | `docs/` | board, field | board (2 of alice, bob, carol) | optional |
/// | `safe/` | all | both (board, and one of dave and erin) | required |
/// | `refs/` | all | nobody | forbidden |
/// | `alice/` | alice | nobody | optional |
///
/// Alice has two active keys, `alice` and `alice.2`; dave may have 2 papers accepted a session, the others `quota`.
pub fn policy_toml(quota: u64) -> String {
    let member = |name: &str| {
        let keys = if name == "alice" { vec![public("alice"), public("alice.2")] } else { vec![public(name)] };
        let quota = if name == "dave" { quota.min(2) } else { quota };
        format!("[[member]]\nname = \"{name}\"\nkeys = {keys:?}\nquota = {quota}\n")
    };
    let rule = |prefix: &str, propose: &[&str], more: &str| format!("[[rule]]\nprefix = \"{prefix}\"\npropose = {propose:?}\n{more}\n");
    let mut text = String::from("governors = \"board\"\nbase_lag_max = 1000\nheld_numbers_max = 1000\n");
    text.extend(MEMBERS.map(member));
    text.push_str("[[group]]\nname = \"board\"\nk = 2\nof = [\"alice\", \"bob\", \"carol\"]\n");
    text.push_str("[[group]]\nname = \"field\"\nk = 1\nof = [\"dave\", \"erin\"]\n");
    text.push_str("[[group]]\nname = \"both\"\nk = 2\nof = [\"board\", \"field\"]\n");
    text.push_str(&rule("open/", &MEMBERS, "size_max = 1000"));
    text.push_str(&rule("open/deep/rule/", &MEMBERS, ""));
    text.push_str(&rule("docs/", &["board", "field"], "approve = \"board\""));
    text.push_str(&rule("safe/", &MEMBERS, "approve = \"both\"\ncontent = \"required\""));
    text.push_str(&rule("refs/", &MEMBERS, "content = \"forbidden\""));
    text.push_str(&rule("alice/", &["alice"], ""));
    text
}

/// The policy of some TOML.
pub fn policy(toml: &str) -> Policy {
    policy_text::parse(toml).unwrap()
}

/// A temporary folder, in memory where the system has such a place: sessions sync every file.
pub fn room() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// Copies a folder with everything in it.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Every file below a folder, by its path there. The trail of requests is left out: whoever looks is written into it, with the time, and nothing
/// that is signed depends on it.
pub fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn visit(root: &Path, folder: &Path, out: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(root, &path, out);
            } else if !path.file_name().unwrap().to_string_lossy().starts_with("audit.db") {
                out.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    let mut out = BTreeMap::new();
    visit(folder, folder, &mut out);
    out
}

/// Writes a file and the folders above it; no sync, media are not ours to trust.
pub fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// An operator who agrees to everything.
pub struct Agrees;

impl Operator for Agrees {
    fn recognise(&mut self, _: &Head, _: Option<&Head>) -> Checked<()> {
        Ok(())
    }

    fn passphrase(&mut self) -> Checked<Passphrase> {
        Ok(passphrase())
    }

    fn confirm(&mut self, _: &Plan, _: &Bag) -> Checked<String> {
        Ok("confirmed by a test".into())
    }
}

fn passphrase() -> Passphrase {
    Passphrase::new(&"test".to_owned().into()).unwrap()
}

/// A founded desk.
pub struct Notary {
    /// Its folder.
    pub dir: PathBuf,
}

impl Notary {
    /// Founds a Common with this policy in `dir`. The charter is signed by alice, bob and carol, and is the same in every run.
    pub fn found(dir: &Path, policy_toml: &str) -> Notary {
        let dir = dir.to_owned();
        fs::create_dir_all(&dir).unwrap();
        let file = dir.join("policy.toml");
        fs::write(&file, policy_toml).unwrap();
        write_new(&dir.join(KEY_FILE), &seal(&seed("witness"), &passphrase(), WorkFactor::new(2).unwrap()).unwrap()).unwrap();
        let origin: tabellion::core::ids::Origin = ORIGIN.parse().unwrap();
        let next = VerifierKey::new(origin.clone(), &seed("next").log(origin, false).public_bytes()).unwrap();
        let draft = found::Draft { dir: dir.clone(), policy: file, next, text: None, rehearsal: false, dice: None };
        let (payload, charter) = found::draft(&draft, &passphrase(), WorkFactor::new(2).unwrap()).unwrap_or_else(|p| panic!("{p}"));
        // The instance is drawn at random; a fixed one makes the charter, and so all roots, the same in every run.
        let charter = Charter { instance: [7; 16], ..charter }.to_cbor();
        fs::write(&payload, &charter).unwrap();
        let signed = dir.join("charter.cose");
        fs::write(&signed, envelope(PaperKind::Charter, &charter, &["alice", "bob", "carol"])).unwrap();
        let desk = found::commit(&dir, &signed, Some(1_700_000_000), &passphrase(), &mut |_, _| {});
        drop(desk.unwrap_or_else(|problem| panic!("{problem}")));
        Notary { dir }
    }

    /// The same desk in another folder.
    pub fn copied_to(&self, dir: &Path) -> Notary {
        copy_folder(&self.dir, dir);
        Notary { dir: dir.to_owned() }
    }

    /// One session over these media.
    pub fn try_session(&self, media: &[PathBuf], time: Option<u64>) -> Outcomes<Report> {
        let request = Request { ledger: self.dir.clone(), media: media.to_vec(), time, held: false };
        session::session(&request, &mut Agrees, &mut |_, _| {})
    }

    /// One session that must succeed, on every medium.
    pub fn session(&self, media: &[PathBuf], time: Option<u64>) -> Report {
        let report = self.try_session(media, time).unwrap_or_else(|problem| panic!("{problem}"));
        report.media.iter().for_each(|(path, written)| assert_eq!(*written, Ok(()), "{}", path.display()));
        report
    }

    /// A session over papers that come in one bundle on a medium of their own, whose folder is `medium`.
    pub fn judge(&self, medium: &Path, papers: &[Paper]) -> Report {
        let envelopes: Vec<Vec<u8>> = papers.iter().map(Paper::envelope).collect();
        let contents: Vec<Vec<u8>> = papers.iter().flat_map(|paper| paper.contents.clone()).collect();
        write(&medium.join("bundle"), &bundle(&envelopes, &contents));
        self.session(&[medium.to_owned()], Some(1_700_000_100))
    }

    /// The desk as it stands.
    pub fn desk(&self) -> Desk {
        Desk::open_to_look(&self.dir).unwrap_or_else(|problem| panic!("{problem}"))
    }

    /// Its head.
    pub fn head(&self) -> Head {
        self.desk().books().head()
    }
}

/// A paper described: what it proposes, who signs beside its author, and the content it brings.
#[derive(Clone)]
pub struct Paper {
    pub proposal: Proposal,
    /// Labels of the keys that sign, the author's first.
    pub signers: Vec<String>,
    pub contents: Vec<Vec<u8>>,
}

impl Paper {
    /// A paper of `author` that does nothing yet.
    pub fn new(author: &str, sequence: u64, base: Head) -> Paper {
        let proposal = Proposal {
            origin: ORIGIN.parse().unwrap(),
            author: author.parse().unwrap(),
            sequence,
            base,
            operations: Vec::new(),
            last_number: None,
            after: Vec::new(),
            note: None,
        };
        Paper { proposal, signers: vec![author.to_owned()], contents: Vec::new() }
    }

    /// Adds an operation; a second one on the same name is left out.
    pub fn with(mut self, operation: Operation) -> Paper {
        if !self.proposal.operations.iter().any(|other| other.name() == operation.name()) {
            self.proposal.operations.push(operation);
            self.proposal.operations.sort_by(|a, b| a.name().cmp(&b.name()));
        }
        self
    }

    /// Puts content under a name, and brings it.
    pub fn put(mut self, name: &str, content: &[u8], expect: Expect) -> Paper {
        self.contents.push(content.to_vec());
        self.with(put_of(name, content, content.len() as u64, expect))
    }

    /// Puts an entry whose content does not come along, with a size that may be false.
    pub fn put_without(self, name: &str, content: &[u8], size: u64, expect: Expect) -> Paper {
        self.with(put_of(name, content, size, expect))
    }

    /// Removes a name.
    pub fn remove(self, name: &str, expect: Option<Hash>) -> Paper {
        self.with(Operation::Remove { name: name.parse().unwrap(), expect })
    }

    /// Waits for another paper.
    pub fn after(mut self, pid: Pid) -> Paper {
        self.proposal.after.push(pid);
        self.proposal.after.sort();
        self.proposal.after.dedup();
        self
    }

    /// May become no number above this one.
    pub fn until(mut self, last: u64) -> Paper {
        self.proposal.last_number = Some(last);
        self
    }

    /// Signed by these keys too.
    pub fn signed_by(mut self, labels: &[&str]) -> Paper {
        self.signers.extend(labels.iter().map(|label| (*label).to_owned()));
        self
    }

    pub fn pid(&self) -> Pid {
        Hash::of(&self.proposal.to_cbor())
    }

    /// The envelope with all its signatures.
    pub fn envelope(&self) -> Vec<u8> {
        self.envelope_by(&self.signers.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The envelope with the signatures of these keys.
    pub fn envelope_by(&self, labels: &[&str]) -> Vec<u8> {
        envelope(PaperKind::Proposal, &self.proposal.to_cbor(), labels)
    }
}

fn put_of(name: &str, content: &[u8], size: u64, expect: Expect) -> Operation {
    let entry = Entry { sha256: Hash::of(content), size, media_type: "text/plain".parse().unwrap(), source: None };
    Operation::Put { name: name.parse::<Name>().unwrap(), entry, expect }
}

/// An envelope signed by these keys.
pub fn envelope(kind: PaperKind, payload: &[u8], labels: &[&str]) -> Vec<u8> {
    let mut signers: Vec<Signer> = labels.iter().map(|label| sign(kind, payload, label)).collect();
    signers.sort();
    signers.dedup();
    Envelope { kind, payload: payload.to_vec(), signers }.to_cbor()
}

fn sign(kind: PaperKind, payload: &[u8], label: &str) -> Signer {
    let (kid, secret) = secret(label);
    Signer { kid, signature: secret.sign(&sig_structure(kind, &kid, payload)).to_bytes() }
}

/// The envelope with one byte of a signature changed; none when the key has not signed it.
pub fn spoilt(envelope: &[u8], label: &str) -> Option<Vec<u8>> {
    let mut envelope = Envelope::from_cbor(envelope).unwrap();
    let kid = secret(label).0;
    let signer = envelope.signers.iter_mut().find(|signer| signer.kid == kid)?;
    signer.signature[5] = signer.signature[5].wrapping_add(1); // not a flip: spoilt twice is not sound again
    Some(envelope.to_cbor())
}

/// The envelope with one more signature, genuine, by a key that may be nobody's.
pub fn also_signed(envelope: &[u8], label: &str) -> Vec<u8> {
    let mut envelope = Envelope::from_cbor(envelope).unwrap();
    let signer = sign(envelope.kind, &envelope.payload, label);
    envelope.signers.retain(|other| other.kid != signer.kid);
    envelope.signers.push(signer);
    envelope.signers.sort();
    envelope.to_cbor()
}

/// The envelope with another valid signature of a key that has signed it: Ed25519 with a nonce of its own (RFC 8032, section 5.1.6, but for
/// where `r` comes from), as a signer's own software may make one.
pub fn signed_otherwise(envelope: &[u8], label: &str, nonce: u64) -> Option<Vec<u8>> {
    let mut envelope = Envelope::from_cbor(envelope).unwrap();
    let (kid, secret) = secret(label);
    let message = sig_structure(envelope.kind, &kid, &envelope.payload);
    let signer = envelope.signers.iter_mut().find(|signer| signer.kid == kid)?;
    let hash = |parts: &[&[u8]]| Scalar::from_bytes_mod_order_wide(&Sha512::digest(parts.concat()).into());
    let r = hash(&[b"another nonce", &nonce.to_be_bytes()]);
    let point = (ED25519_BASEPOINT_POINT * r).compress().to_bytes();
    let s = r + hash(&[&point, secret.verifying_key().as_bytes(), &message]) * secret.to_scalar();
    signer.signature = [point, s.to_bytes()].concat().try_into().unwrap();
    assert!(verify_signature(&secret.verifying_key(), envelope.kind, signer, &envelope.payload));
    Some(envelope.to_cbor())
}

/// A bundle: these papers in this order, these objects ascending by hash and each once.
pub fn bundle(papers: &[Vec<u8>], objects: &[Vec<u8>]) -> Vec<u8> {
    let objects: BTreeMap<Hash, &Vec<u8>> = objects.iter().map(|object| (Hash::of(object), object)).collect();
    let object_bytes = objects.values().map(|object| object.len() as u64).sum();
    let mut out = BundleHeader { papers: papers.len() as u64, objects: objects.len() as u64, object_bytes }.to_bytes();
    papers.iter().for_each(|paper| out.extend_from_slice(paper));
    for object in objects.values() {
        let mut w = Writer::new();
        w.bytes(object);
        out.extend_from_slice(&w.finish());
    }
    out
}

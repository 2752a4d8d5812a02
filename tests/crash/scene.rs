//! Desks and sticks prepared for the kills: everything from fixed seeds, so that the same run always makes the same bytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::RwLock;

use tabellion::core::cbor::Canonical;
use tabellion::core::charter::Charter;
use tabellion::core::cose::{Envelope, PaperKind, Signer, sig_structure};
use tabellion::core::ids::{Hash, Head, Origin, Pid};
use tabellion::core::note::{Checkpoint, VerifierKey, assemble, signature_line};
use tabellion::core::pin::Pin;
use tabellion::core::plan::Plan;
use tabellion::core::policy::Policy;
use tabellion::core::policy_text::{parse, show_key};
use tabellion::core::proposal::{Entry, Expect, Operation, Proposal};
use tabellion::core::rules::{Checked, Fault, Rule};
use tabellion::keys::derive::MemberKey;
use tabellion::keys::file::{WorkFactor, seal, write_new};
use tabellion::keys::{Passphrase, Seed};
use tabellion::media::bundle_file::write_bundle;
use tabellion::run::bag::Bag;
use tabellion::run::desk::Desk;
use tabellion::run::session::{Operator, Request, session};
use tabellion::run::{found, session};

pub const ORIGIN: &str = "witness.example/common";
const WITNESS: u8 = 1;
const NEXT: u8 = 2;
const MEMBERS: [(&str, u8); 3] = [("alice", 11), ("james", 12), ("mary", 13)];

fn seed(byte: u8) -> Seed {
    Seed::from_bytes(&[byte; 32])
}

pub fn passphrase() -> Passphrase {
    Passphrase::new(&zeroize::Zeroizing::new("the same for all".to_owned())).unwrap()
}

pub fn member(name: &str) -> MemberKey {
    let (_, byte) = MEMBERS.iter().find(|(member, _)| *member == name).unwrap();
    seed(*byte).member(false)
}

/// The operator: knows one head from outside the disk, as the last successful run left it, and confirms whatever comes.
pub struct Knows(pub Head);

impl Operator for Knows {
    fn recognise(&mut self, head: &Head, before: Option<&Head>) -> Checked<()> {
        if self.0 == *head || before == Some(&self.0) {
            return Ok(());
        }
        Err(Fault::new(Rule::HeadUnexpected, format!("{head} in the ledger; {} expected", self.0)))
    }

    fn passphrase(&mut self) -> Checked<Passphrase> {
        Ok(passphrase())
    }

    fn confirm(&mut self, _: &Plan, _: &Bag) -> Checked<String> {
        Ok("confirmed by the test".into())
    }
}

/// Held to read while a desk is open in this process, to write while a child is forked: between fork and exec a child has a copy of every lock.
pub static FORKS: RwLock<()> = RwLock::new(());

/// What a child does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    Session,
    Found,
    Export,
    /// The first command of a founding.
    Draft,
}

/// A folder with `desk`, `stick` and what the operator knows (`known`), to be copied for every kill.
pub struct Scene {
    pub dir: PathBuf,
    pub task: Task,
    /// What a consumer pinned at the founding; none before it.
    pub pin: Option<Pin>,
}

fn policy(quota_of_mary: u64) -> Policy {
    let mut text = String::from("governors = \"board\"\n");
    for (name, byte) in MEMBERS {
        let key = show_key(&seed(byte).member(false).public_bytes());
        let quota = if name == "mary" { quota_of_mary } else { 1_000 };
        text.push_str(&format!("[[member]]\nname = \"{name}\"\nkeys = [\"{key}\"]\nquota = {quota}\n"));
    }
    text.push_str("[[group]]\nname = \"board\"\nk = 2\nof = [\"alice\", \"james\", \"mary\"]\n");
    for (prefix, propose, more) in [
        ("tools/", "\"alice\", \"james\"", "content = \"required\""),
        ("docs/", "\"alice\", \"james\", \"mary\"", "content = \"optional\"\napprove = \"board\""),
        ("notes/", "\"alice\", \"james\", \"mary\"", "content = \"forbidden\""),
    ] {
        text.push_str(&format!("[[rule]]\nprefix = \"{prefix}\"\npropose = [{propose}]\n{more}\n"));
    }
    parse(&text).unwrap()
}

fn envelope(kind: PaperKind, payload: Vec<u8>, signers: &[&str]) -> Envelope {
    let sign = |name: &&str| {
        let key = member(name);
        Signer { kid: key.kid(), signature: key.sign(&sig_structure(kind, &key.kid(), &payload)).unwrap() }
    };
    let mut signers: Vec<Signer> = signers.iter().map(sign).collect();
    signers.sort();
    Envelope { kind, payload, signers }
}

fn charter() -> Charter {
    let origin: Origin = ORIGIN.parse().unwrap();
    Charter {
        log: VerifierKey::new(origin.clone(), &seed(WITNESS).log(origin.clone(), false).public_bytes()).unwrap(),
        ledger_public: seed(WITNESS).ledger(false).public_bytes(),
        next: VerifierKey::new(origin.clone(), &seed(NEXT).log(origin.clone(), false).public_bytes()).unwrap().next_hash(),
        backup_recipient: seed(WITNESS).age_identity(false).unwrap().1,
        policy: policy(2),
        instance: [0xab; 16],
        rehearsal: false,
        text: None,
        origin,
    }
}

/// A paper before it is signed, as short as it can be said.
pub struct Paper<'a> {
    pub author: &'a str,
    pub sequence: u64,
    pub name: &'a str,
    pub content: &'a [u8],
    pub after: Vec<Pid>,
}

impl Paper<'_> {
    fn envelope(&self, base: Head, signers: &[&str]) -> Envelope {
        let entry = Entry {
            sha256: Hash::of(self.content),
            size: self.content.len() as u64,
            media_type: "text/plain".parse().unwrap(),
            source: None,
        };
        let put = Operation::Put { name: self.name.parse().unwrap(), entry, expect: Expect::Absent };
        proposal(self.author, self.sequence, base, put, self.after.clone(), signers)
    }
}

fn paper<'a>(author: &'a str, sequence: u64, name: &'a str, content: &'a [u8]) -> Paper<'a> {
    Paper { author, sequence, name, content, after: Vec::new() }
}

fn proposal(author: &str, sequence: u64, base: Head, operation: Operation, after: Vec<Pid>, signers: &[&str]) -> Envelope {
    let proposal = Proposal {
        origin: ORIGIN.parse().unwrap(),
        author: author.parse().unwrap(),
        sequence,
        base,
        operations: vec![operation],
        last_number: None,
        after,
        note: None,
    };
    envelope(PaperKind::Proposal, proposal.to_cbor(), signers)
}

/// Writes a bundle into the stick's inbox.
fn bring(dir: &Path, name: &str, papers: &[&Envelope], contents: &[&[u8]]) {
    let inbox = dir.join("stick/tabellion/inbox");
    fs::create_dir_all(&inbox).unwrap();
    let loose = tempfile::tempdir().unwrap();
    let object = |content: &&[u8]| {
        let hash = Hash::of(content);
        let path = loose.path().join(hash.hex());
        fs::write(&path, content).unwrap();
        (hash, path)
    };
    let objects: Vec<(Hash, PathBuf)> = contents.iter().map(object).collect();
    let papers: Vec<Vec<u8>> = papers.iter().map(|paper| paper.to_cbor()).collect();
    write_bundle(&inbox.join(name), &papers, &objects).unwrap();
}

/// What the operator writes down after a session.
pub fn knows(dir: &Path, head: Head) {
    fs::write(dir.join("known"), format!("{} {}", head.number, head.root.hex())).unwrap();
}

/// The head that the operator knows.
pub fn known(dir: &Path) -> Head {
    let text = fs::read_to_string(dir.join("known")).unwrap();
    let (number, root) = text.split_once(' ').unwrap();
    Head { number: number.parse().unwrap(), root: Hash::from_hex(root).unwrap() }
}

pub fn request(dir: &Path) -> Request {
    Request { ledger: dir.join("desk"), media: vec![dir.join("stick")], time: Some(1_790_000_000), held: false }
}

fn run_session(dir: &Path) {
    let _no_fork = FORKS.read().unwrap();
    let report = session(&request(dir), &mut Knows(known(dir)), &mut |_, _| {}).unwrap();
    assert!(report.is_new && report.media.iter().all(|(_, written)| written.is_ok()));
    knows(dir, report.heads.1);
}

fn clear_inbox(dir: &Path, name: &str) {
    fs::remove_file(dir.join("stick/tabellion/inbox").join(name)).unwrap();
}

/// A sealed key and a signed charter; nothing founded yet.
pub fn before_founding(dir: PathBuf) -> Scene {
    fs::create_dir_all(dir.join("desk")).unwrap();
    fs::create_dir_all(dir.join("stick")).unwrap();
    write_new(&dir.join("desk/key"), &seal(&seed(WITNESS), &passphrase(), WorkFactor::new(1).unwrap()).unwrap()).unwrap();
    let charter = envelope(PaperKind::Charter, charter().to_cbor(), &["alice", "james"]);
    fs::write(dir.join("charter.cose"), charter.to_cbor()).unwrap();
    knows(&dir, Head { number: 0, root: Hash::ZERO });
    Scene { dir, task: Task::Found, pin: None }
}

pub fn found(dir: &Path, observe: &mut tabellion::media::publish::Observe<'_>) -> Desk {
    found::commit(&dir.join("desk"), &dir.join("charter.cose"), Some(1_780_000_000), &passphrase(), observe).unwrap()
}

fn founded(dir: PathBuf) -> Scene {
    let mut scene = before_founding(dir);
    let no_fork = FORKS.read().unwrap();
    let desk = found(&scene.dir, &mut |_, _| {});
    let head = desk.books().head();
    let charter = desk.books().charter().unwrap();
    scene.pin = Some(Pin { origin: charter.origin.clone(), head, vkey: charter.log.clone(), next: charter.next, fingerprint: head.root });
    drop(desk);
    drop(no_fork);
    knows(&scene.dir, head);
    scene.task = Task::Session;
    scene
}

/// Three sessions on the ledger, and a stick with eleven papers of every fate for the fourth.
pub fn busy(dir: PathBuf) -> Scene {
    let scene = founded(dir);
    let (dir, base) = (&scene.dir, scene.pin.as_ref().unwrap().head);

    let first = paper("alice", 1, "tools/a", b"a").envelope(base, &["alice"]);
    bring(dir, "alice-1.bundle", &[&first], &[b"a"]);
    run_session(dir);
    let waiting = paper("james", 1, "docs/x", b"content that waits on the desk");
    bring(dir, "james-1.bundle", &[&waiting.envelope(base, &["james"])], &[waiting.content]);
    bring(dir, "mary-1.bundle", &[&paper("mary", 1, "notes/m", b"m").envelope(base, &["mary"])], &[]);
    run_session(dir);
    bring(dir, "james-2.bundle", &[&paper("james", 2, "tools/b", b"bb").envelope(base, &["james"])], &[b"bb"]);
    bring(dir, "mary-2.bundle", &[&paper("mary", 2, "tools/z", b"z").envelope(base, &["mary"])], &[]);
    run_session(dir);
    ["james-1.bundle", "mary-1.bundle", "james-2.bundle", "mary-2.bundle"].iter().for_each(|name| clear_inbox(dir, name));

    // Brought again: alice-1 is still there. Approved: what waits becomes a number, its content comes from the desk, not from the stick.
    bring(dir, "approved.bundle", &[&waiting.envelope(base, &["james", "mary"])], &[]);
    // Accepted, with content; two that want the same name; one refused by rule.
    let editor = [b"the editor, by alice".as_slice(), &[0x5a; 70_000]];
    let of_alice = paper("alice", 2, "tools/editor", editor[0]).envelope(base, &["alice"]);
    let more = paper("alice", 3, "tools/editor-data", editor[1]).envelope(base, &["alice"]);
    bring(dir, "alice.bundle", &[&of_alice, &more], &editor);
    let rival = paper("james", 3, "tools/editor", b"another editor").envelope(base, &["james"]);
    bring(dir, "james.bundle", &[&rival], &[b"another editor"]);
    bring(dir, "mary.bundle", &[&paper("mary", 3, "tools/mary", b"no").envelope(base, &["mary"])], &[b"no"]);
    // Pending with content that is kept; deferred for content, for what is open, for the quota.
    let pending = paper("alice", 4, "docs/guide", b"a guide that waits").envelope(base, &["alice"]);
    bring(dir, "pending.bundle", &[&pending], &[b"a guide that waits"]);
    let open = Paper { after: vec![pending.pid()], ..paper("alice", 5, "notes/later", b"later") }.envelope(base, &["alice"]);
    let missing = paper("james", 4, "tools/late", b"content left at home").envelope(base, &["james"]);
    let of_mary: Vec<Envelope> = (4..7).map(|n| paper("mary", n, &format!("notes/mary{n}"), b"n").envelope(base, &["mary"])).collect();
    bring(dir, "deferred.bundle", &[&open, &missing, &of_mary[0], &of_mary[1], &of_mary[2]], &[]);
    // A policy, which ends the session.
    let set = Operation::SetPolicy { expect: None, policy: Box::new(policy(5)) };
    bring(dir, "policy.bundle", &[&proposal("alice", 6, base, set, Vec::new(), &["alice", "james"])], &[]);
    // No paper at all.
    fs::write(dir.join("stick/readme.txt"), "bring milk\n").unwrap();
    scene
}

/// Another stick, with one paper that has no content.
pub fn quiet_stick(dir: &Path, base: Head) {
    fs::create_dir(dir.join("stick")).unwrap();
    bring(dir, "quiet.bundle", &[&paper("mary", 9, "notes/quiet", b"q").envelope(base, &["mary"])], &[]);
}

/// A desk with 250 numbers and more, whose next session fills the first tile: partial files go away behind the new checkpoint.
pub fn before_full_tile(dir: PathBuf) -> Scene {
    let scene = founded(dir);
    let (dir, base) = (&scene.dir, scene.pin.as_ref().unwrap().head);
    let note = |n: u64| paper("alice", n, &format!("notes/n{n}"), b"n").envelope(base, &["alice"]);
    let notes: Vec<Envelope> = (1..=253).map(note).collect();
    bring(dir, "many.bundle", &notes.iter().collect::<Vec<_>>(), &[]);
    run_session(dir);
    clear_inbox(dir, "many.bundle");
    let notes: Vec<Envelope> = (254..=258).map(note).collect();
    bring(dir, "more.bundle", &notes.iter().collect::<Vec<_>>(), &[]);
    scene
}

/// The busy desk after its fourth session, and a new stick for everything published.
pub fn for_export(busy: &Scene, dir: PathBuf) -> Scene {
    super::judge::copy(&busy.dir, &dir);
    run_session(&dir);
    fs::remove_dir_all(dir.join("stick")).unwrap();
    fs::create_dir(dir.join("stick")).unwrap();
    Scene { dir, task: Task::Export, pin: busy.pin.clone() }
}

pub fn export(dir: &Path, observe: &mut tabellion::media::publish::Observe<'_>) -> Desk {
    session::export(&dir.join("desk"), &dir.join("stick"), observe).unwrap()
}

/// Drafts a charter in `desk`, as the first command of a founding does.
pub fn draft(dir: &Path) {
    let origin: Origin = ORIGIN.parse().unwrap();
    let next = VerifierKey::new(origin.clone(), &seed(NEXT).log(origin, false).public_bytes()).unwrap();
    let draft = found::Draft { dir: dir.join("desk"), policy: dir.join("policy.toml"), next, text: None, rehearsal: false, dice: None };
    found::draft(&draft, &passphrase(), WorkFactor::new(1).unwrap()).unwrap_or_else(|problem| panic!("{problem}"));
}

pub fn before_drafting(dir: PathBuf) -> Scene {
    fs::create_dir_all(dir.join("stick")).unwrap();
    fs::create_dir_all(dir.join("desk")).unwrap();
    fs::write(dir.join("policy.toml"), tabellion::core::policy_text::print(&policy(2))).unwrap();
    Scene { dir, task: Task::Draft, pin: None }
}

/// A checkpoint under our log key, which only a desk gone wrong would make.
pub fn signed(head: Head) -> String {
    let key = seed(WITNESS).log(ORIGIN.parse().unwrap(), false);
    let text = Checkpoint { origin: ORIGIN.parse().unwrap(), head }.text();
    let id = VerifierKey::new(key.origin().clone(), &key.public_bytes()).unwrap().id();
    assemble(&text, &signature_line(key.origin(), id, &key.sign_note(&text).unwrap()))
}

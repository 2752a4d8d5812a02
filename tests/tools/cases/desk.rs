//! Cases about people: policies, charters, the order of turns, and whole sessions judged one after another.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::Signer as _;
use serde_json::{Value, json};
use tabellion::core::artifact::Tree;
use tabellion::core::batch::{Admitted, Batch, admit};
use tabellion::core::books::Books;
use tabellion::core::cbor::{Canonical as _, Reader, Writer};
use tabellion::core::charter::{self, Charter};
use tabellion::core::common::Common;
use tabellion::core::cose::{Envelope, PaperKind, Signer, sig_structure};
use tabellion::core::event::{Event, EventParts, EventType, PayloadForm, event_hash, signed_message};
use tabellion::core::holdings::Holdings;
use tabellion::core::ids::{Hash, Head, Origin, Party, kid_of};
use tabellion::core::note::{VerifierKey, signature_line};
use tabellion::core::objects::write_rows;
use tabellion::core::payload::{Closed, Ruling, Sealed};
use tabellion::core::plan::{Plan, found, plan};
use tabellion::core::policy::Policy;
use tabellion::core::proposal::{Entry, Expect, Operation, Proposal, TREE_MEDIA_TYPE};
use tabellion::core::publish;
use tabellion::core::rules::{Checked, Fault};
use tabellion::core::verify::Verified;
use tabellion::core::{policy_text, turns};

use super::bytes::artifact_bytes;
use super::{Run, key, lines, list, map, number, refused, text};

const LOG_SEED: u64 = 0x70;
const LEDGER_SEED: u64 = 0x71;
const NEXT_SEED: u64 = 0x72;

fn origin_of(input: &Value) -> Origin {
    input["origin"].as_str().unwrap_or("witness.example/common").parse().expect("an origin")
}

/// TOML with every `{name}` replaced by that key's public key.
fn toml(input: &Value, toml: &Value) -> String {
    map(input, "keys").into_iter().fold(lines(toml), |text, (name, seed)| {
        let public = key(seed.as_u64().expect("a seed")).verifying_key().to_bytes();
        text.replace(&format!("{{{name}}}"), &policy_text::show_key(&public))
    })
}

pub fn policy(input: &Value) -> Run {
    let parsed = policy_text::parse(&toml(input, &input["policy"]));
    let made = parsed.as_ref().map_or(json!({}), |policy| json!({ "cbor": hex::encode(policy.to_cbor()) }));
    let seen = parsed.map(|policy| {
        let printed = policy_text::print(&policy);
        assert_eq!(policy_text::parse(&printed), Ok(policy.clone()), "printed and read again");
        json!({ "accepted": true, "hash": policy.hash().hex(), "bytes": policy.to_cbor().len() })
    });
    Run { seen: seen.unwrap_or_else(|fault| refused(&fault)), made }
}

pub fn order(input: &Value) -> Run {
    let members: Vec<Party> = list(input, "members").iter().map(|name| name.as_str().expect("a name").parse().expect("a name")).collect();
    let order = turns::order(&origin_of(input), number(input, "session"), members.iter());
    let keys: BTreeMap<&str, String> =
        members.iter().map(|name| (name.as_str(), turns::turn_key(&origin_of(input), number(input, "session"), name).hex())).collect();
    Run { seen: json!({ "order": order.iter().map(|name| name.as_str()).collect::<Vec<_>>() }), made: json!({ "keys": keys }) }
}

/// An envelope over `payload`, signed by the keys named; `name!` stands for a signature whose first byte was changed.
fn sign(input: &Value, kind: PaperKind, payload: &[u8], by: &[Value]) -> Envelope {
    let sign_one = |name: &Value| {
        let name = name.as_str().expect("the name of a key");
        let secret = key(number(&input["keys"], name.trim_end_matches('!')));
        let kid = kid_of(&secret.verifying_key().to_bytes());
        let mut signature = secret.sign(&sig_structure(kind, &kid, payload)).to_bytes();
        signature[0] ^= u8::from(name.ends_with('!'));
        Signer { kid, signature }
    };
    let mut signers: Vec<Signer> = by.iter().map(sign_one).collect();
    signers.sort();
    Envelope { kind, payload: payload.to_vec(), signers }
}

/// The names of the keys under an envelope, ascending.
fn names_of(input: &Value, envelope: &Envelope) -> Vec<String> {
    let keys =
        map(input, "keys").into_iter().map(|(name, seed)| (kid_of(&key(seed.as_u64().expect("a seed")).verifying_key().to_bytes()), name));
    let keys: BTreeMap<Hash, &String> = keys.collect();
    let names: BTreeSet<String> =
        envelope.signers.iter().map(|signer| keys.get(&signer.kid).map_or_else(|| signer.kid.hex(), |name| name.to_string())).collect();
    names.into_iter().collect()
}

fn charter_of(input: &Value, policy: Policy) -> Vec<u8> {
    let public = |seed: u64| key(seed).verifying_key().to_bytes();
    let paper = Charter {
        origin: origin_of(input),
        log: VerifierKey::new(origin_of(input), &public(LOG_SEED)).expect("a log key"),
        ledger_public: public(LEDGER_SEED),
        next: Hash::of(&public(NEXT_SEED)),
        backup_recipient: "age1example".into(),
        policy,
        instance: [7; 16],
        rehearsal: false,
        text: None,
    };
    sign(input, PaperKind::Charter, &paper.to_cbor(), list(input, "founders")).to_cbor()
}

pub fn charter(input: &Value) -> Run {
    let policy = policy_text::parse(&toml(input, &input["policy"])).expect("a policy to found with");
    let policy = edited(policy, &input["edit"]);
    let bytes = charter_of(input, policy);
    let seen = charter::verify(&bytes).and_then(|verified| {
        let founded = found(&verified, input["time"].as_u64())?;
        let record = founded.rulings()[0].record.as_ref().expect("record 1");
        Ok(json!({
            "accepted": true,
            "signers": names_of(input, verified.envelope()),
            "pid": record.pid.hex(),
            "env": record.env.hex(),
            "record": hex::encode(record.to_cbor()),
            "fingerprint": founded.after().root.hex(),
        }))
    });
    Run { seen: seen.unwrap_or_else(|fault| refused(&fault)), made: json!({ "envelope": hex::encode(&bytes) }) }
}

/// What TOML would refuse at once, put into a policy behind its back.
fn edited(policy: Policy, edit: &Value) -> Policy {
    let mut policy = policy;
    if let Some(governors) = edit["governors"].as_str() {
        policy.governors = governors.parse().expect("a group name");
    }
    policy
}

/// A ledger without a database: plans in, books out, every event hashed and chained.
struct Ledger {
    books: Books,
    events: Vec<Event>,
    common: Common,
}

impl Ledger {
    fn append(&mut self, event_type: EventType, event_id: String, time: u64, payload: Vec<u8>) {
        let ledger = key(LEDGER_SEED);
        let public_key_id = kid_of(&ledger.verifying_key().to_bytes());
        let prev_event_hash = self.events.last().map_or([0; 32], |event| event.event_hash);
        let seq_no = self.events.len() as u64 + 1;
        let hash = event_hash(&EventParts {
            seq_no,
            event_id: &event_id,
            timestamp: time,
            event_type,
            payload: PayloadForm::of(&payload),
            prev_event_hash: &prev_event_hash,
            public_key_id: &public_key_id,
            writer_epoch: 1,
        });
        let event = Event {
            seq_no,
            event_id,
            timestamp: time,
            event_type,
            payload,
            prev_event_hash,
            event_hash: hash,
            signature: ledger.sign(&signed_message(&hash)).to_bytes(),
            public_key_id,
            writer_epoch: 1,
        };
        self.books.apply(&event).expect("the books take what the plan made");
        self.events.push(event);
    }

    /// Commits and seals a plan; replays its numbers as a consumer would.
    fn commit(&mut self, plan: &Plan) {
        let (session, time) = (plan.opened().session, plan.opened().time.unwrap_or(0));
        self.append(EventType::Opened, format!("{session}/0"), time, plan.opened().to_cbor());
        for ruling in plan.rulings() {
            let event_type = if ruling.verdict.is_final() { EventType::Verdict } else { EventType::Notice };
            self.append(event_type, self.books.next_event_id(), time, ruling.to_cbor());
            if let Some(record) = &ruling.record {
                self.common.push(&record.to_cbor(), &ruling.envelope.to_cbor()).expect("a consumer follows every number");
            }
        }
        let closed = Closed {
            session,
            after: plan.after(),
            state_root: plan.state().root(),
            media: Vec::new(),
            version: "vectors".into(),
            program: Hash::ZERO,
            confirmation: "vectors".into(),
            pack: None,
        };
        self.append(EventType::Closed, self.books.next_event_id(), time, closed.to_cbor());
        let sealed = self.signatures(plan);
        self.append(EventType::Sealed, self.books.next_event_id(), time, sealed.to_cbor());
        assert_eq!((self.books.head(), self.books.state().root()), (plan.after(), plan.state().root()), "books and plan");
        assert_eq!((self.common.log().head(), self.common.state().root()), (plan.after(), plan.state().root()), "consumer and plan");
        let published = publish::folder(&self.books).expect("everything sealed can be published");
        published.for_each(|file| drop(file.expect("everything sealed can be published")));
    }

    fn signatures(&self, plan: &Plan) -> Sealed {
        let log = key(LOG_SEED);
        let vkey = self.books.log_key().expect("founded");
        let line = |text: &str| signature_line(vkey.name(), vkey.id(), &log.sign(text.as_bytes()).to_bytes());
        let session = self.books.last_session().unwrap().expect("a session");
        let numbers = plan.opened().before.number + 1..=plan.after().number;
        let checkpoints = numbers.map(|n| (n, line(&publish::checkpoint_text(&self.books, n).expect("a checkpoint")))).collect();
        let refusals = plan.rulings().iter().filter(|ruling| ruling.record.is_none());
        let mut notes: Vec<(Hash, String)> = refusals
            .map(|ruling| (ruling.pid, line(&publish::note_text(&self.books, &session, ruling).expect("a note can always be made"))))
            .collect();
        notes.sort();
        Sealed { session: plan.opened().session, checkpoints, notes }
    }
}

/// The people, papers and contents of a case.
struct World<'a> {
    input: &'a Value,
    papers: BTreeMap<String, Value>,
    payloads: BTreeMap<String, Vec<u8>>,
    contents: BTreeMap<Hash, String>,
    policies: BTreeMap<String, Policy>,
    again: BTreeSet<String>,
}

/// `p` with `times` 3 stands for p1, p2, p3.
fn spread(name: &str, value: &Value) -> Vec<String> {
    match value["times"].as_u64() {
        None => vec![name.to_owned()],
        Some(times) => (1..=times).map(|at| format!("{name}{at}")).collect(),
    }
}

impl<'a> World<'a> {
    fn new(input: &'a Value) -> World<'a> {
        let mut papers = BTreeMap::new();
        for (name, paper) in map(input, "papers") {
            for (at, name) in spread(name, paper).into_iter().enumerate() {
                let mut paper = paper.clone();
                paper["sequence"] = json!(number(&paper, "sequence") + at as u64);
                papers.insert(name, paper);
            }
        }
        let read = |lines: &Value| policy_text::parse(&toml(input, lines)).expect("a sound policy");
        let policies = map(input, "policies").into_iter().map(|(name, lines)| (name.clone(), read(lines))).collect();
        World { input, papers, payloads: BTreeMap::new(), contents: BTreeMap::new(), policies, again: BTreeSet::new() }
    }

    fn policy(&self, name: &str) -> Policy {
        self.policies.get(name).unwrap_or_else(|| panic!("no policy {name}")).clone()
    }

    fn content(&mut self, content: &Value) -> Hash {
        let content = content.as_str().expect("content");
        let hash = Hash::of(&self.bytes_of(content));
        self.contents.insert(hash, content.to_owned());
        hash
    }

    /// The bytes of a content; `{t}` is the tree `trees.t`.
    fn bytes_of(&self, content: &str) -> Vec<u8> {
        let tree = content.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        tree.map_or(content.into(), |tree| artifact_bytes(&self.input["trees"][tree]))
    }

    /// What the desk can read in a session.
    fn holdings(&mut self, books: &Books, session: &Value, brought: &[Verified]) -> Holdings {
        let each = list(session, "objects")
            .iter()
            .map(|content| (self.content(content), self.bytes_of(content.as_str().expect("content")).len() as u64));
        let mut holdings = Holdings::new(books, each.collect());
        let policy = books.policy().expect("a policy");
        let papers = brought.iter().map(Verified::proposal).chain(books.held().values().map(|held| &held.proposal));
        for hash in holdings.unread_trees(policy, papers).keys() {
            holdings.note_tree(*hash, &Tree::parse(&self.bytes_of(&self.contents[hash])));
        }
        holdings
    }

    fn operation(&mut self, op: &Value) -> Operation {
        if let Some(name) = op["put"].as_str() {
            let sha256 = self.content(&op["content"]);
            let size = op["size"].as_u64().unwrap_or(self.bytes_of(text(op, "content")).len() as u64);
            let usual = if text(op, "content").starts_with('{') { TREE_MEDIA_TYPE } else { "text/plain" };
            let media_type = op["type"].as_str().unwrap_or(usual).parse().expect("a media type");
            let expect = match &op["expect"] {
                Value::Null => Expect::Anything,
                Value::Bool(false) => Expect::Absent,
                content => Expect::Content(self.content(content)),
            };
            return Operation::Put { name: name.parse().expect("a name"), entry: Entry { sha256, size, media_type, source: None }, expect };
        }
        if let Some(name) = op["remove"].as_str() {
            let expect = op["expect"].is_string().then(|| self.content(&op["expect"]));
            return Operation::Remove { name: name.parse().expect("a name"), expect };
        }
        let expect = op["expect"].as_str().map(|name| self.policy(name).hash());
        Operation::SetPolicy { expect, policy: Box::new(edited(self.policy(text(op, "policy")), &op["edit"])) }
    }

    /// A paper's payload; made when the paper is first mentioned, against the head as it is then.
    fn payload(&mut self, books: &Books, name: &str) -> Vec<u8> {
        if let Some(payload) = self.payloads.get(name) {
            return payload.clone();
        }
        let paper = self.papers.get(name).unwrap_or_else(|| panic!("no paper {name}")).clone();
        let base = match &paper["base"] {
            Value::Array(base) => {
                Head { number: base[0].as_u64().expect("N"), root: Hash::from_hex(base[1].as_str().expect("hex")).expect("hex") }
            }
            base => {
                let number = base.as_u64().unwrap_or(1);
                Head { number, root: books.log().root_at(number).expect("a number there is") }
            }
        };
        let after: BTreeSet<Hash> =
            list(&paper, "after").iter().map(|other| Hash::of(&self.payload(books, other.as_str().expect("a paper")))).collect();
        let proposal = Proposal {
            origin: origin_of(if paper["origin"].is_string() { &paper } else { self.input }),
            author: text(&paper, "author").parse().expect("a member"),
            sequence: number(&paper, "sequence"),
            base,
            operations: list(&paper, "ops").iter().map(|op| self.operation(op)).collect(),
            last_number: paper["last_number"].as_u64(),
            after: after.into_iter().collect(),
            note: paper["note"].as_str().map(|note| note.parse().expect("a note")),
        };
        let payload = proposal.to_cbor();
        self.payloads.insert(name.to_owned(), payload.clone());
        payload
    }

    fn name_of(&self, pid: &Hash) -> String {
        let found = self.payloads.iter().find(|(_, payload)| Hash::of(payload) == *pid);
        found.map_or_else(|| "charter".into(), |(name, _)| name.clone())
    }

    /// A detail in which ids, roots and policies that no hand could write stand under their names.
    fn named(&self, books: &Books, detail: &str) -> String {
        let mut text = detail.to_owned();
        for (name, payload) in &self.payloads {
            text = text.replace(&Hash::of(payload).short(), &format!("{{{name}}}"));
        }
        for (name, policy) in &self.policies {
            text = text.replace(&policy.hash().short(), &format!("{{policy {name}}}"));
        }
        for n in 1..=books.head().number {
            text = text.replace(&books.log().root_at(n).expect("a root").short(), &format!("{{root {n}}}"));
        }
        map(self.input, "keys").into_iter().fold(text, |text, (name, seed)| {
            let public = key(seed.as_u64().expect("a seed")).verifying_key().to_bytes();
            text.replace(&policy_text::show_key(&public), &format!("{{{name}}}"))
        })
    }

    fn answer(&self, books: &Books, ruling: &Ruling) -> Value {
        let mut answer = json!({
            "paper": self.name_of(&ruling.pid),
            "verdict": ruling.verdict.word(),
            "signers": names_of(self.input, &ruling.envelope),
        });
        if let Some(record) = &ruling.record {
            answer["number"] = json!(record.number);
        }
        answer["objects"] = self.rows(ruling);
        if let Some(rule) = ruling.verdict.rule() {
            answer["rule"] = json!(rule.id());
            answer["detail"] = json!(self.named(books, ruling.verdict.detail()));
        }
        answer
    }

    /// The rows as SPEC 6.11 has them, read from their bytes; content stands for its hash.
    fn rows(&self, ruling: &Ruling) -> Value {
        let mut w = Writer::new();
        write_rows(&mut w, &ruling.objects);
        let bytes = w.finish();
        let mut r = Reader::new(&bytes);
        let each = (0..r.array(1_000).expect("rows")).map(|_| {
            let fields = r.array(4).expect("a row");
            let content = self.contents[&r.hash().expect("a hash")].clone();
            let mut row = vec![json!(content), json!(r.uint().expect("a size")), json!(r.text().expect("a fault"))];
            if fields == 4 {
                row.push(json!(r.uint().expect("bytes")));
            }
            Value::Array(row)
        });
        // By content, for nobody writes hashes in order by hand.
        let sorted: BTreeMap<String, Value> = each.map(|row| (row.to_string(), row)).collect();
        sorted.into_values().collect()
    }

    /// Everything brought to a session, verified, with what was listed.
    fn bring(&mut self, books: &Books, session: &Value, made: &mut Value) -> (Vec<Verified>, Vec<Value>) {
        let (mut brought, mut listed) = (Vec::new(), Vec::new());
        for envelope in list(session, "bring") {
            for name in spread(text(envelope, "paper"), envelope) {
                let payload = self.payload(books, &name);
                let bytes = sign(self.input, PaperKind::Proposal, &payload, list(envelope, "signed_by")).to_cbor();
                let say = |fault: &Fault| json!({ "paper": name, "rule": fault.rule.id() });
                match admit(books, &bytes) {
                    Ok(Admitted::Again(_)) => drop(self.again.insert(name.clone())),
                    Ok(Admitted::Verified(verified, dropped)) => {
                        listed.extend(dropped.iter().map(say));
                        brought.push(*verified);
                    }
                    Err(fault) => listed.push(say(&fault)),
                }
                made.as_array_mut()
                    .expect("a list")
                    .push(json!({ "paper": name, "pid": Hash::of(&payload).hex(), "envelope": hex::encode(bytes) }));
            }
        }
        (brought, listed)
    }
}

pub fn sessions(input: &Value) -> Run {
    let mut world = World::new(input);
    let founded = charter::verify(&charter_of(input, world.policy(text(input, "policy")))).expect("a charter");
    let mut ledger = Ledger { books: Books::default(), events: Vec::new(), common: Common::default() };
    ledger.commit(&found(&founded, input["time"].as_u64()).expect("founded"));
    let mut made = vec![json!({ "root": ledger.books.head().root.hex(), "charter": hex::encode(founded.envelope().to_cbor()) })];
    let mut seen = Vec::new();
    for session in list(input, "sessions") {
        let run = one_session(&mut world, &mut ledger, session).expect("a plan");
        seen.push(run.seen);
        made.push(run.made);
    }
    Run { seen: json!({ "sessions": seen }), made: json!({ "sessions": made }) }
}

fn one_session(world: &mut World<'_>, ledger: &mut Ledger, session: &Value) -> Checked<Run> {
    let mut papers = json!([]);
    let (brought, listed) = world.bring(&ledger.books, session, &mut papers);
    let holdings = world.holdings(&ledger.books, session, &brought);
    let batch = Batch::gather(&ledger.books, brought.clone(), &holdings)?;
    let again = std::mem::take(&mut world.again);
    let exists = !batch.news().is_empty() || session["asked"] == json!(true);
    let mut seen = json!({ "listed": listed, "again": again, "exists": exists, "answers": [] });
    let mut made = json!({ "brought": papers });
    if exists {
        let decided = plan(&ledger.books, &batch, session["time"].as_u64())?;
        let replayed = brought.clone();
        let mut backwards = brought;
        backwards.reverse();
        let other = plan(&ledger.books, &Batch::gather(&ledger.books, backwards, &holdings)?, session["time"].as_u64())?;
        assert_eq!((other.opened(), other.rulings()), (decided.opened(), decided.rulings()), "the order on the media decided something");
        // SPEC 8.3: who has the rows of a session needs no content to come to the same answers.
        let rows = decided.rulings().iter().map(|ruling| (ruling.pid, ruling.objects.clone())).collect();
        let other = plan(&ledger.books, &Batch::of_rows(&ledger.books, replayed, rows)?, session["time"].as_u64())?;
        assert_eq!((other.opened(), other.rulings()), (decided.opened(), decided.rulings()), "the rows lack what decided something");
        let order = turns::order(ledger.books.origin()?, decided.opened().session, ledger.books.policy()?.members.iter().map(|m| &m.name));
        seen["order"] = json!(order.iter().map(|name| name.as_str()).collect::<Vec<_>>());
        ledger.commit(&decided);
        seen["answers"] = decided.rulings().iter().map(|ruling| world.answer(&ledger.books, ruling)).collect();
        seen["pack"] = json!(decided.pack().iter().map(|hash| world.contents[hash].clone()).collect::<BTreeSet<_>>());
        seen["keep"] = json!(decided.keep().iter().map(|hash| world.contents[hash].clone()).collect::<BTreeSet<_>>());
        made["judged"] = judged(world, ledger, &decided)?;
        made["plan_digest"] = json!(decided.opened().plan_digest.hex());
    }
    let books = &ledger.books;
    seen["head"] = json!(books.head().number);
    seen["state"] = books.state().entries().map(|(name, entry)| (name.to_string(), json!(world.contents[&entry.sha256]))).collect();
    seen["held"] = json!(books.held().keys().map(|pid| world.name_of(pid)).collect::<BTreeSet<_>>());
    made["root"] = json!(books.head().root.hex());
    made["state_root"] = json!(books.state().root().hex());
    Ok(Run { seen, made })
}

/// Of each answer its record, or its note as signed.
fn judged(world: &World<'_>, ledger: &Ledger, plan: &Plan) -> Checked<Value> {
    let session = ledger.books.last_session().unwrap().expect("a session");
    let each = plan.rulings().iter().map(|ruling| {
        let mut made = json!({ "paper": world.name_of(&ruling.pid), "env": ruling.envelope.env().hex() });
        let receipt = publish::receipt(&ledger.books, &session, ruling)?;
        match &ruling.record {
            Some(record) => made["record"] = json!(hex::encode(record.to_cbor())),
            None => made["note"] = json!(String::from_utf8(receipt).expect("text").lines().collect::<Vec<_>>()),
        }
        Ok(made)
    });
    each.collect::<Checked<Vec<Value>>>().map(Value::Array)
}

//! Orders: what the custodians, k of n governors of the policy in force, tell the desk to do (SPEC 3.11).
//!
//! The payload of all six kinds, who must have signed it, and whether it may be carried out at this ledger. What an order is about
//! is compared with what is at hand in [`super::order_subject`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::cbor::{Canonical, Reader, Writer};
use super::cose::{Envelope, PaperKind, verify_signature};
use super::ids::{Hash, Head, Kid, Origin, Party, Pid, Text};
use super::keyring::Keyring;
use super::limits::{ORDER_SETTLED_MAX, UINT_MAX};
use super::note::VerifierKey;
use super::policy::Policy;
use super::quorum::{self, Tally, Valid};
use super::rules::{Checked, Fault, Rule};
use super::tree::Log;

/// The keys that are valid from an order on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The log key.
    pub log: VerifierKey,
    /// The ledger key.
    pub ledger_public: [u8; 32],
}

/// What is ordered, with what only that kind of order has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Another log key and ledger key from here on.
    Rotate {
        /// SHA-256 of the log key after the next one.
        next: Hash,
        /// The keys from here on.
        keys: Keys,
    },
    /// A standby becomes the writer.
    HandOver {
        /// SHA-256 of the backup it was made from.
        backup: Hash,
        /// The writer epoch from here on.
        epoch: u64,
        /// The keys from here on; the log key stays.
        keys: Keys,
    },
    /// A halt ends.
    Resume {
        /// SHA-256 of the dossier.
        dossier: Hash,
        /// SHA-256 of the texts it settles, ascending.
        settled: Vec<Hash>,
    },
    /// Of two branches of a ledger one stays.
    Recover {
        /// Hash of the last event of the branch that stays.
        stays: Hash,
    },
    /// The Common ends.
    Retire,
    /// The keys are not to be trusted any more.
    Compromise {
        /// The keys of the new origin.
        keys: Keys,
    },
}

impl What {
    /// Key 2 of the payload.
    fn kind(&self) -> u64 {
        match self {
            What::Rotate { .. } => 1,
            What::HandOver { .. } => 2,
            What::Resume { .. } => 3,
            What::Recover { .. } => 4,
            What::Retire => 5,
            What::Compromise { .. } => 6,
        }
    }

    /// The kind in a word or two.
    pub fn word(&self) -> &'static str {
        WORDS[self.kind() as usize - 1]
    }

    fn subject(&self) -> Option<&Hash> {
        match self {
            What::Rotate { next: subject, .. } | What::HandOver { backup: subject, .. } => Some(subject),
            What::Resume { dossier: subject, .. } | What::Recover { stays: subject } => Some(subject),
            What::Retire | What::Compromise { .. } => None,
        }
    }

    fn settled(&self) -> &[Hash] {
        if let What::Resume { settled, .. } = self { settled } else { &[] }
    }

    fn epoch(&self) -> Option<u64> {
        if let What::HandOver { epoch, .. } = self { Some(*epoch) } else { None }
    }

    fn keys(&self) -> Option<&Keys> {
        match self {
            What::Rotate { keys, .. } | What::HandOver { keys, .. } | What::Compromise { keys } => Some(keys),
            _ => None,
        }
    }
}

const WORDS: [&str; 6] = ["rotate", "hand over", "resume", "recover", "retire", "compromise"];

/// An order's payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The Common it is for.
    pub origin: Origin,
    /// Its number, used once.
    pub number: u64,
    /// The head it was written for.
    pub head: Head,
    /// What is ordered.
    pub what: What,
    /// The custodians' words.
    pub note: Option<Text>,
}

impl Canonical for Order {
    fn write(&self, w: &mut Writer) {
        let what = &self.what;
        let settled = what.settled();
        let optional = [what.subject().is_some(), !settled.is_empty(), what.epoch().is_some(), self.note.is_some(), what.keys().is_some()];
        w.map(5 + optional.into_iter().filter(|there| *there).count());
        w.uint(0).uint(1).uint(1).text(self.origin.as_str()).uint(2).uint(what.kind()).uint(3).uint(self.number).uint(4);
        self.head.write(w);
        if let Some(subject) = what.subject() {
            w.uint(5).bytes(&subject.0);
        }
        if !settled.is_empty() {
            w.uint(6).list(settled);
        }
        if let Some(epoch) = what.epoch() {
            w.uint(7).uint(epoch);
        }
        if let Some(note) = &self.note {
            w.uint(8).text(note.as_str());
        }
        if let Some(keys) = what.keys() {
            w.uint(9).array(2).text(&keys.log.to_string()).bytes(&keys.ledger_public);
        }
    }

    fn read(r: &mut Reader<'_>) -> Checked<Order> {
        let (mut version, mut origin, mut kind, mut number, mut head, mut note) = (None, None, None, None, None, None);
        let mut fields = Fields::default();
        r.reading("order").map(|key, r| {
            match key {
                0 => version = Some(r.version()?),
                1 => origin = Some(r.parse::<Origin>()?),
                2 => kind = Some(r.uint_in(1..=6)?),
                3 => number = Some(r.uint_in(1..=UINT_MAX)?),
                4 => head = Some(Head::read(r)?),
                5 => fields.subject = Some(r.hash()?),
                6 => fields.settled = Some(r.list(ORDER_SETTLED_MAX)?),
                7 => fields.epoch = Some(r.uint_in(1..=UINT_MAX)?),
                8 => note = Some(r.parse()?),
                9 => {
                    r.array_of(2)?;
                    fields.keys = Some(Keys { log: r.parse()?, ledger_public: r.bytes_of::<32>()? });
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        r.reading("order").need(version, "0 (version)")?;
        let order = Order {
            origin: r.need(origin, "1 (origin)")?,
            what: fields.take(r.need(kind, "2 (kind)")?, r)?,
            number: r.need(number, "3 (order number)")?,
            head: r.need(head, "4 (head)")?,
            note,
        };
        order.check(r)?;
        Ok(order)
    }
}

/// The fields that only some kinds have.
#[derive(Default)]
struct Fields {
    subject: Option<Hash>,
    settled: Option<Vec<Hash>>,
    epoch: Option<u64>,
    keys: Option<Keys>,
}

impl Fields {
    /// What a kind has, all of it and nothing else.
    fn take(mut self, kind: u64, r: &Reader<'_>) -> Checked<What> {
        let word = WORDS[kind as usize - 1];
        let subject = self.subject.take();
        let subject_of = |what: &str, taken: Option<Hash>| r.need(taken, &format!("5 ({what}), which {word} has"));
        let mut keys = || r.need(self.keys.take(), &format!("9 (keys), which {word} has"));
        let what = match kind {
            1 => What::Rotate { next: subject_of("hash of the log key after the next one", subject)?, keys: keys()? },
            2 => What::HandOver {
                backup: subject_of("hash of the backup", subject)?,
                keys: keys()?,
                epoch: r.need(self.epoch.take(), "7 (new epoch), which hand over has")?,
            },
            3 => What::Resume {
                dossier: subject_of("hash of the dossier", subject)?,
                settled: self.settled.take().map_or(Ok(Vec::new()), |settled| ascending(settled, r))?,
            },
            4 => What::Recover { stays: subject_of("hash of the branch that stays", subject)? },
            5 => What::Retire,
            _ => What::Compromise { keys: keys()? },
        };
        let without_subject = what.subject().is_none();
        let left = [
            (without_subject && subject.is_some(), "5 (subject)"),
            (self.settled.is_some(), "6 (settled)"),
            (self.epoch.is_some(), "7 (new epoch)"),
            (self.keys.is_some(), "9 (keys)"),
        ];
        match left.into_iter().find(|(is_left, _)| *is_left) {
            Some((_, field)) => Err(r.fault(format!("{field} found, which {word} has not"))),
            None => Ok(what),
        }
    }
}

fn ascending(settled: Vec<Hash>, r: &Reader<'_>) -> Checked<Vec<Hash>> {
    if settled.is_empty() {
        return Err(r.fault("6 (settled) is empty; left out when nothing is settled"));
    }
    match settled.windows(2).find(|pair| pair[0] >= pair[1]) {
        Some(pair) => Err(r.fault(format!("6 (settled) does not ascend: {} before {}", pair[0].short(), pair[1].short()))),
        None => Ok(settled),
    }
}

impl Order {
    /// SPEC 3.11: a head is one of ours, which begin at 1; the log key is named after its origin.
    fn check(&self, r: &Reader<'_>) -> Checked<()> {
        if self.head.number == 0 {
            return Err(r.fault("4 (head) is 0; the first number is 1"));
        }
        let Some(keys) = self.what.keys() else { return Ok(()) };
        let (named, is_new) = (keys.log.name(), matches!(self.what, What::Compromise { .. }));
        match (*named == self.origin, is_new) {
            (true, true) => Err(r.fault(format!("9 (keys) of {named}, which is compromised; another origin expected"))),
            (false, false) => Err(r.fault(format!("9 (keys) of {named}; {} expected", self.origin))),
            _ => Ok(()),
        }
    }
}

/// Which orders a ledger has carried out: each number and each order once.
#[derive(Clone, Debug, Default)]
pub struct Used {
    by_number: BTreeMap<u64, Pid>,
}

impl Used {
    /// The order that took a number.
    pub fn by(&self, number: u64) -> Option<&Pid> {
        self.by_number.get(&number)
    }

    /// Whether an order was carried out.
    pub fn has(&self, order: &Pid) -> bool {
        self.by_number.values().any(|used| used == order)
    }

    /// The lowest number above all that were used.
    pub fn next(&self) -> u64 {
        self.by_number.keys().next_back().map_or(1, |last| last + 1)
    }

    /// Takes an order's number.
    pub fn take(&mut self, order: &InForce) {
        self.by_number.insert(order.order.number, order.pid());
    }
}

/// What an order is checked against: this Common, and who governs it now.
#[derive(Clone, Copy)]
pub struct Authority<'a> {
    /// Our origin.
    pub origin: &'a Origin,
    /// The policy in force.
    pub policy: &'a Policy,
    /// Its keys.
    pub keyring: &'a Keyring,
    /// Our log.
    pub log: &'a Log,
}

/// An order that may be carried out here: made only by [`verify`].
#[derive(Clone, Debug)]
pub struct InForce {
    order: Order,
    envelope: Envelope,
}

impl InForce {
    /// What it says.
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// The canonical envelope as counted: for each governor who signed the lowest active key.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Its id.
    pub fn pid(&self) -> Pid {
        self.envelope.pid()
    }
}

/// Reads the order in an envelope.
///
/// # Errors
/// `order-kind` when it carries another paper; parse faults of the payload.
pub fn read(envelope: &Envelope) -> Checked<Order> {
    if envelope.kind != PaperKind::Order {
        let found = format!("a {} found; {} expected", envelope.kind.media_type(), PaperKind::Order.media_type());
        return Err(Fault::new(Rule::OrderKind, found));
    }
    Order::from_cbor(&envelope.payload)
}

/// The valid signatures under any copy of an order, by enrolled, active keys, and how the governors stand. The one function that counts signers
/// counts here too. A copy with a broken signature does no harm beside one with a good one.
pub fn tally(copies: &[Envelope], policy: &Policy, keyring: &Keyring) -> (Valid, Tally) {
    let mut valid = Valid::new();
    for copy in copies {
        for signer in &copy.signers {
            let Some(key) = keyring.active(&signer.kid) else { continue };
            if verify_signature(&key.public, copy.kind, signer, &copy.payload) {
                let known = valid.entry(signer.kid).or_insert(signer.signature);
                *known = (*known).min(signer.signature);
            }
        }
    }
    let tally = quorum::count(policy, &policy.governors, &quorum::signed_by(keyring, &valid));
    (valid, tally)
}

/// Verifies that an order may be carried out at this ledger, now (SPEC 3.11). `copies` are of one payload; `used` are the orders that were.
///
/// # Errors
/// As [`read`]; `origin-mismatch`, `order-unsigned`, `order-used`, `order-head`, in this order.
pub fn verify(copies: &[Envelope], authority: &Authority<'_>, used: &Used) -> Checked<InForce> {
    let Some(envelope) =
        copies.first().filter(|first| copies.iter().all(|copy| (copy.kind, &copy.payload) == (first.kind, &first.payload)))
    else {
        return Err(Fault::new(Rule::OrderKind, format!("{} papers found; copies of one order expected", copies.len())));
    };
    let order = read(envelope)?;
    if order.origin != *authority.origin {
        return Err(Fault::new(Rule::OriginMismatch, format!("an order for {} found; {} expected", order.origin, authority.origin)));
    }
    let (valid, tally) = tally(copies, authority.policy, authority.keyring);
    if !tally.is_met() {
        return Err(unsigned(copies, authority, &valid, &tally));
    }
    if let Some(by) = used.by(order.number) {
        let which = if *by == envelope.pid() { "this very order".to_owned() } else { format!("order sha256:{by}") };
        let found = format!("order number {}, which {which} took; {} expected, the next that is free", order.number, used.next());
        return Err(Fault::new(Rule::OrderUsed, found));
    }
    let ours = authority.log.root_at(order.head.number);
    if ours != Some(order.head.root) {
        let expected = match ours {
            Some(root) => format!("our root of that number is {root}"),
            None => format!("our head is {}", authority.log.head()),
        };
        return Err(Fault::new(Rule::OrderHead, format!("an order on {} found; {expected}", order.head)));
    }
    let needed = authority.policy.expand(&authority.policy.governors);
    let signers = quorum::counted(authority.keyring, &needed, &valid);
    Ok(InForce { envelope: Envelope { signers, ..envelope.clone() }, order })
}

/// Whose signatures count, and why the others do not.
fn unsigned(copies: &[Envelope], authority: &Authority<'_>, valid: &Valid, tally: &Tally) -> Fault {
    let governors = authority.policy.expand(&authority.policy.governors);
    let kids: BTreeSet<Kid> = copies.iter().flat_map(|copy| &copy.signers).map(|signer| signer.kid).collect();
    let (mut counted, mut nothing) = (BTreeSet::new(), Vec::new());
    for kid in kids {
        match authority.keyring.get(&kid).map(|key| (&key.member, key.active)) {
            None => nothing.push(format!("key id {}, which is nobody's", kid.short())),
            Some((member, false)) => nothing.push(format!("a retired key of {member}")),
            Some((member, _)) if !valid.contains_key(&kid) => nothing.push(format!("{member}, whose signature does not verify")),
            Some((member, _)) if !governors.contains(member) => nothing.push(format!("{member}, who is no governor")),
            Some((member, _)) if !counted.insert(member) => nothing.push(format!("another key of {member}")),
            Some(_) => {}
        }
    }
    let by = if counted.is_empty() { "nobody".to_owned() } else { joined(counted) };
    let mut found = format!(
        "{} of {} in group {:?}, signed by {by}; missing any of {}",
        tally.have,
        tally.need,
        authority.policy.governors,
        joined(&tally.missing)
    );
    if !nothing.is_empty() {
        found.push_str(&format!("; counted for nothing: {}", nothing.join(", ")));
    }
    Fault::new(Rule::OrderUnsigned, found)
}

fn joined<'a>(parties: impl IntoIterator<Item = &'a Party>) -> String {
    parties.into_iter().map(|party| party.as_str()).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

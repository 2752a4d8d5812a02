//! The plan: every record, verdict and notice of a session, decided before any effect (SPEC section 6).
//!
//! [`plan`] is the one planning function. The witness runs it, a proposer's preview runs it, replay runs it. It is a function of the books, the
//! batch and the time claim alone: file names, the order of media and how bundles were split cannot reach it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::books::{Books, apply};
use super::cbor::{Canonical, Writer};
use super::cose::{Envelope, PaperKind};
use super::ids::{Hash, Head, Party, Pid};
use super::judge::{self, Desk, groups_of};
use super::limits::SESSION_PAPERS_MAX;
use super::payload::{Held, Opened, Ruling, judged_hash};
use super::policy::Policy;
use super::proposal::{Operation, Proposal};
use super::quorum::{self, Valid};
use super::record::{Record, RecordKind};
use super::rules::{Checked, Fault, Rule};
use super::state::State;
use super::tree::leaf_hash;
use super::turns;
use super::verdict::Verdict;
use super::verify::Verified;

/// A paper to be judged: united from everything brought and held.
#[derive(Clone, Debug)]
pub struct Paper {
    /// Its id.
    pub pid: Pid,
    /// Its payload.
    pub payload: Vec<u8>,
    /// What it asks for.
    pub proposal: Proposal,
    /// Valid signatures by key id: the held one, else the bytewise smallest brought.
    pub valid: Valid,
    /// N of the head before the session in which it first came.
    pub first_number: u64,
    held_before: bool,
}

impl Paper {
    /// Whether the ledger holds it already.
    pub fn is_held(&self) -> bool {
        self.held_before
    }

    /// The canonical envelope as counted (SPEC 6.6).
    fn envelope(&self, policy: &Policy, keyring: &super::policy::Keyring) -> Envelope {
        let mut needed: BTreeSet<&Party> = BTreeSet::from([&self.proposal.author]);
        for (by, group) in groups_of(policy, &self.proposal).into_iter().filter(|(by, _)| std::ptr::eq(*by, policy)) {
            needed.extend(by.expand(group));
        }
        let mut signers = quorum::counted(keyring, &needed, &self.valid);
        if let Some(next) = self.proposal.sets_policy().filter(|next| next.check_sound().is_ok()) {
            let mut needed = next.expand(&next.governors);
            needed.insert(&self.proposal.author);
            signers.extend(quorum::counted(&next.keyring(), &needed, &self.valid));
        }
        if signers.is_empty() {
            signers = self.valid.iter().map(|(kid, signature)| super::cose::Signer { kid: *kid, signature: *signature }).collect();
        }
        signers.sort();
        signers.dedup();
        Envelope { kind: PaperKind::Proposal, payload: self.payload.clone(), signers }
    }
}

/// Everything a session judges; made only by [`Batch::gather`].
pub struct Batch {
    papers: BTreeMap<Pid, Paper>,
    objects: BTreeMap<Hash, u64>,
    again: BTreeSet<Pid>,
    news: BTreeSet<Pid>,
}

impl Batch {
    /// Unites what was brought with what the ledger holds.
    ///
    /// `objects` are those that were brought, with their sizes; what the ledger keeps of its own is added to them.
    ///
    /// # Errors
    /// `files-too-many` when more papers are to be judged than a session may.
    pub fn gather(books: &Books, brought: Vec<Verified>, objects: BTreeMap<Hash, u64>) -> Checked<Batch> {
        let policy = books.policy()?;
        let mut objects = objects;
        objects.extend(books.packed());
        objects.extend(books.held().values().flat_map(|held| &held.objects));
        let mut batch = Batch { papers: BTreeMap::new(), objects, again: BTreeSet::new(), news: BTreeSet::new() };
        for (pid, held) in books.held() {
            let (payload, proposal, valid) = (held.payload.clone(), held.proposal.clone(), held.valid.clone());
            batch.papers.insert(*pid, Paper { pid: *pid, payload, proposal, valid, first_number: held.first_number, held_before: true });
        }
        for paper in brought {
            if books.final_ruling(&paper.pid()).is_some() {
                batch.again.insert(paper.pid());
            } else {
                batch.unite(books, paper);
            }
        }
        for (pid, held) in books.held() {
            batch.note_news_of_held(books, policy, pid, held);
        }
        if batch.papers.len() as u64 > SESSION_PAPERS_MAX {
            return Err(Fault::new(
                Rule::FilesTooMany,
                format!("{} papers found, {SESSION_PAPERS_MAX} a session at most", batch.papers.len()),
            ));
        }
        Ok(batch)
    }

    fn unite(&mut self, books: &Books, brought: Verified) {
        let pid = brought.pid();
        let paper = self.papers.entry(pid).or_insert_with(|| Paper {
            pid,
            payload: brought.payload().to_vec(),
            proposal: brought.proposal().clone(),
            valid: Valid::new(),
            first_number: books.head().number,
            held_before: false,
        });
        if !paper.held_before {
            self.news.insert(pid);
        }
        let held = books.held().get(&pid).map(|held| &held.valid);
        for (kid, signature) in brought.valid() {
            let known = paper.valid.entry(*kid).or_insert(*signature);
            let kept = held.is_some_and(|held| held.contains_key(kid));
            if !kept && signature < known {
                *known = *signature;
            }
        }
    }

    /// A held paper is news when a signature now counts, or an object is here, that the ledger lacks.
    fn note_news_of_held(&mut self, books: &Books, policy: &Policy, pid: &Pid, held: &super::books::HeldPaper) {
        let Some(paper) = self.papers.get(pid) else { return };
        let counted = paper.envelope(policy, books.keyring());
        let signature = counted.signers.iter().any(|signer| !held.valid.contains_key(&signer.kid));
        let object = held.proposal.operations.iter().any(|operation| match operation {
            Operation::Put { name, entry, .. } => {
                let known = held.objects.contains_key(&entry.sha256) || books.packed().contains_key(&entry.sha256);
                !known && policy.keeps_content(name) && self.objects.contains_key(&entry.sha256)
            }
            _ => false,
        });
        if signature || object {
            self.news.insert(*pid);
        }
    }

    /// Papers brought again after their verdict, by id.
    pub fn again(&self) -> &BTreeSet<Pid> {
        &self.again
    }

    /// Papers for which something is here that the ledger lacks: without any, no session exists (SPEC 6.10).
    pub fn news(&self) -> &BTreeSet<Pid> {
        &self.news
    }

    /// Everything to be judged, by id.
    pub fn papers(&self) -> &BTreeMap<Pid, Paper> {
        &self.papers
    }
}

/// A session decided; made only by [`plan`].
#[derive(Clone)]
pub struct Plan {
    opened: Opened,
    rulings: Vec<Ruling>,
    after: Head,
    state: State,
    pack: Vec<Hash>,
    keep: Vec<Hash>,
}

impl Plan {
    /// What the session opens with.
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Every answer, in the order judged.
    pub fn rulings(&self) -> &[Ruling] {
        &self.rulings
    }

    /// The head after it.
    pub fn after(&self) -> Head {
        self.after
    }

    /// The state after it.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Objects of accepted papers that are in no earlier pack, ascending.
    pub fn pack(&self) -> &[Hash] {
        &self.pack
    }

    /// Objects to keep for papers that wait, ascending.
    pub fn keep(&self) -> &[Hash] {
        &self.keep
    }
}

/// Decides a session: same books, same batch, same time claim, same plan.
///
/// # Errors
/// `ledger-fault` when nothing was founded; `internal-fault` when a record would be too large.
pub fn plan(books: &Books, batch: &Batch, time: Option<u64>) -> Checked<Plan> {
    let policy = books.policy()?;
    let envelopes: HashMap<Pid, Envelope> =
        batch.papers.values().map(|paper| (paper.pid, paper.envelope(policy, books.keyring()))).collect();
    let judged: Vec<(Pid, Hash)> = batch.papers.keys().map(|pid| (*pid, envelopes[pid].env())).collect();
    let planner = Planner {
        desk: open_desk(books, policy, batch),
        batch,
        envelopes,
        time,
        session: books.next_session(),
        judged: judged_hash(&judged),
        policy_hash: policy.hash(),
        rulings: Vec::new(),
    };
    planner.run()?.finish(judged)
}

/// The desk before the first turn. Sequence numbers are bound before anybody's turn comes (SPEC 6.4).
fn open_desk<'a>(books: &'a Books, policy: &'a Policy, batch: &'a Batch) -> Desk<'a> {
    let (mut bound, mut held) = (BTreeMap::new(), BTreeMap::new());
    for paper in batch.papers.values() {
        let key = (paper.proposal.author.clone(), paper.proposal.sequence);
        let earlier = books.bound(&key.0, key.1).unwrap_or(paper.pid);
        bound.entry(key).or_insert(earlier);
        *held.entry(paper.proposal.author.clone()).or_insert(0) += usize::from(paper.held_before);
    }
    Desk {
        books,
        policy,
        keyring: books.keyring(),
        log: books.log().clone(),
        state: books.state().clone(),
        answers: HashMap::new(),
        accepted: BTreeMap::new(),
        held,
        bound,
        objects: &batch.objects,
        ended_by: None,
    }
}

struct Planner<'a> {
    desk: Desk<'a>,
    batch: &'a Batch,
    envelopes: HashMap<Pid, Envelope>,
    time: Option<u64>,
    session: u64,
    judged: Hash,
    policy_hash: Hash,
    rulings: Vec<Ruling>,
}

impl<'a> Planner<'a> {
    /// SPEC 6.5, in its order.
    fn run(mut self) -> Checked<Planner<'a>> {
        let (policies, papers): (Vec<&Paper>, Vec<&Paper>) =
            self.batch.papers.values().partition(|paper| paper.proposal.sets_policy().is_some());
        let is_member = |paper: &Paper| self.desk.policy.member(&paper.proposal.author).is_some();
        let (members, strangers): (Vec<&Paper>, Vec<&Paper>) = papers.into_iter().partition(|paper| is_member(paper));
        let (policies, policies_of_strangers): (Vec<&Paper>, Vec<&Paper>) = policies.into_iter().partition(|paper| is_member(paper));

        let never_ready = self.rounds(members)?;
        let mut strangers: Vec<&Paper> = strangers.into_iter().chain(policies_of_strangers).collect();
        strangers.sort_by_key(|paper| paper.pid);
        for paper in strangers {
            let verdict = judge::judge(&self.desk, paper);
            self.answer(paper, verdict)?;
        }
        for paper in never_ready {
            let verdict = judge::judge_never_ready(&self.desk, paper);
            self.answer(paper, verdict)?;
        }
        for paper in self.rounds(policies)? {
            let ended = self.desk.ended_by.is_some();
            let verdict = if ended { judge::judge_after_end(&self.desk, paper) } else { judge::judge_never_ready(&self.desk, paper) };
            self.answer(paper, verdict)?;
        }
        Ok(self)
    }

    /// Rounds of turns over `papers`; gives back, by id, those that never came to one.
    fn rounds(&mut self, papers: Vec<&'a Paper>) -> Checked<Vec<&'a Paper>> {
        let policy = self.desk.policy;
        let origin = self.desk.books.origin()?;
        let order = turns::order(origin, self.session, policy.members.iter().map(|member| &member.name));
        let mut queues: HashMap<&Party, Vec<&Paper>> = HashMap::new();
        for paper in papers {
            queues.entry(&paper.proposal.author).or_default().push(paper);
        }
        queues.values_mut().for_each(|queue| queue.sort_by_key(|paper| (paper.proposal.sequence, paper.pid)));
        let mut turn_taken = true;
        while turn_taken && self.desk.ended_by.is_none() {
            turn_taken = false;
            for member in &order {
                if self.desk.ended_by.is_some() {
                    break;
                }
                let Some(queue) = queues.get_mut(member) else { continue };
                let Some(at) = queue.iter().position(|paper| is_ready(&self.desk, paper)) else { continue };
                let paper = queue.remove(at);
                let verdict = judge::judge(&self.desk, paper);
                self.answer(paper, verdict)?;
                turn_taken = true;
            }
        }
        let mut left: Vec<&Paper> = queues.into_values().flatten().collect();
        left.sort_by_key(|paper| paper.pid);
        Ok(left)
    }

    fn answer(&mut self, paper: &Paper, verdict: Verdict) -> Checked<()> {
        let objects = judge::referenced(&self.desk, paper);
        let record = if verdict == Verdict::Accepted { Some(self.accept(paper)?) } else { None };
        let kept = verdict.rule() != Some(Rule::HeldFull);
        let held = (!verdict.is_final()).then_some(Held { first_number: paper.first_number, kept });
        let count = self.desk.held.entry(paper.proposal.author.clone()).or_insert(0);
        match (paper.held_before, held.is_some_and(|held| held.kept)) {
            (true, false) => *count -= 1,
            (false, true) => *count += 1,
            _ => {}
        }
        self.desk.answers.insert(paper.pid, verdict.clone());
        let envelope = self.envelopes[&paper.pid].clone();
        self.rulings.push(Ruling { pid: paper.pid, verdict, envelope, objects, record, held });
        Ok(())
    }

    fn accept(&mut self, paper: &Paper) -> Checked<Record> {
        apply(&mut self.desk.state, &paper.proposal);
        let new_policy = paper.proposal.sets_policy().map(Policy::hash);
        let record = Record {
            number: self.desk.head().number + 1,
            kind: if new_policy.is_some() { RecordKind::Policy } else { RecordKind::Proposal },
            pid: paper.pid,
            env: self.envelopes[&paper.pid].env(),
            state_root: self.desk.state.root(),
            policy: self.policy_hash,
            ledger_head: self.desk.books.last_hash(),
            session: self.session,
            time: self.time,
            keys: None,
            next: None,
            judged: self.judged,
            epoch: None,
            new_policy,
        };
        self.desk.log.push(leaf_hash(&record.to_entry()?));
        *self.desk.accepted.entry(paper.proposal.author.clone()).or_insert(0) += 1;
        if new_policy.is_some() {
            self.desk.ended_by = Some(paper.pid);
        }
        Ok(record)
    }

    fn finish(self, judged: Vec<(Pid, Hash)>) -> Checked<Plan> {
        let books = self.desk.books;
        let (mut pack, mut keep) = (BTreeSet::new(), BTreeSet::new());
        for ruling in &self.rulings {
            let sound = ruling.objects.iter().filter(|(_, fault)| fault.is_none()).map(|(hash, _)| *hash);
            let objects = sound.filter(|hash| !books.packed().contains_key(hash));
            match (&ruling.verdict, ruling.held) {
                (Verdict::Accepted, _) => pack.extend(objects),
                (_, Some(Held { kept: true, .. })) => keep.extend(objects),
                _ => {}
            }
        }
        let after = self.desk.head();
        let opened = Opened {
            session: self.session,
            before: books.head(),
            policy: self.policy_hash,
            judged,
            time: self.time,
            plan_digest: digest(self.session, after, &self.desk.state, &self.rulings),
        };
        let (pack, keep) = (pack.into_iter().collect(), keep.into_iter().collect());
        Ok(Plan { opened, rulings: self.rulings, after, state: self.desk.state, pack, keep })
    }
}

/// Ready: every paper it must follow has a final verdict.
fn is_ready(desk: &Desk<'_>, paper: &Paper) -> bool {
    paper.proposal.after.iter().all(|pid| desk.final_answer(pid).is_some())
}

/// SPEC 7.5.
fn digest(session: u64, after: Head, state: &State, rulings: &[Ruling]) -> Hash {
    let mut w = Writer::new();
    w.array(4).uint(session);
    after.write(&mut w);
    w.bytes(&state.root().0).array(rulings.len());
    for ruling in rulings {
        let (rule, detail) = (ruling.verdict.rule().map_or("", Rule::id), ruling.verdict.detail());
        w.array(5).bytes(&ruling.pid.0).bytes(&ruling.envelope.env().0).text(ruling.verdict.word()).text(rule).text(detail);
    }
    Hash::of(&w.finish())
}

/// The founding, session 0: the charter alone becomes record 1.
///
/// # Errors
/// `internal-fault` when the record would be too large.
pub fn found(charter: &super::charter::VerifiedCharter, time: Option<u64>) -> Checked<Plan> {
    let (paper, envelope) = (charter.charter(), charter.envelope());
    let (policy, judged) = (paper.policy.hash(), vec![(envelope.pid(), envelope.env())]);
    let keys = super::record::Keys { log: paper.log.clone(), ledger_public: paper.ledger_public };
    let record = Record {
        number: 1,
        kind: RecordKind::Charter,
        pid: envelope.pid(),
        env: envelope.env(),
        state_root: Hash::ZERO,
        policy,
        ledger_head: [0; 32],
        session: 0,
        time,
        keys: Some(keys),
        next: Some(paper.next),
        judged: judged_hash(&judged),
        epoch: None,
        new_policy: None,
    };
    let mut log = super::tree::Log::default();
    let before = log.head();
    let after = log.push(leaf_hash(&record.to_entry()?));
    let ruling = Ruling {
        pid: envelope.pid(),
        verdict: Verdict::Accepted,
        envelope: envelope.clone(),
        objects: Vec::new(),
        record: Some(record),
        held: None,
    };
    let rulings = vec![ruling];
    let plan_digest = digest(0, after, &State::default(), &rulings);
    let opened = Opened { session: 0, before, policy, judged, time, plan_digest };
    Ok(Plan { opened, rulings, after, state: State::default(), pack: Vec::new(), keep: Vec::new() })
}

//! The plan: every record, verdict and notice of a session, decided before any effect (SPEC section 6).
//!
//! [`plan`] is the one planning function. The witness runs it, a proposer's preview runs it, replay runs it. It is a function of the books, the
//! batch and the time claim alone: file names, the order of media and how bundles were split cannot reach it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::batch::{Batch, Paper};
use super::books::{Books, apply};
use super::cbor::{Canonical, Writer};
use super::cose::Envelope;
use super::ids::{Hash, Head, Pid};
use super::judge::{self, Desk};
use super::listing::{Fate, Listing};
use super::objects::Rows;
use super::payload::{Held, Opened, Ruling, judged_hash};
use super::policy::Policy;
use super::policy_change::{PolicyChange, compare};
use super::quorum::{self, Approval};
use super::record::{Record, RecordKind};
use super::rules::{Checked, Rule};
use super::state::State;
use super::tree::leaf_hash;
use super::turns::{self, Queues};
use super::verdict::Verdict;

/// A session decided; made only by [`plan`].
#[derive(Clone)]
pub struct Plan {
    opened: Opened,
    rulings: Vec<Ruling>,
    after: Head,
    state: State,
    pack: Vec<Hash>,
    keep: Vec<Hash>,
    policies: Vec<PolicyPaper>,
}

/// A paper of a session that would set a sound policy: what people compare before they confirm it. Nothing of it is signed or hashed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyPaper {
    /// Its id.
    #[serde(skip)]
    pub pid: Pid,
    /// How the governors in force and those to come stand.
    pub approvals: Vec<Approval>,
    /// What would change.
    pub change: PolicyChange,
}

impl Plan {
    /// The papers that would set a policy, in the order judged, whatever their verdict; one that is not sound is left out.
    pub fn policies(&self) -> &[PolicyPaper] {
        &self.policies
    }

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
    let envelopes: BTreeMap<Pid, Envelope> =
        batch.papers().values().map(|paper| (paper.pid, paper.envelope(policy, books.keyring()))).collect();
    let judged: Vec<(Pid, Hash)> = batch.papers().keys().map(|pid| (*pid, envelopes[pid].env())).collect();
    let planner = Planner {
        desk: open_desk(books, policy, batch),
        batch,
        envelopes,
        time,
        session: books.next_session(),
        judged: judged_hash(&judged),
        policy_hash: policy.hash(),
        rulings: Vec::new(),
        listing: Listing::default(),
    };
    planner.run()?.finish(judged)
}

/// The desk before the first turn. Sequence numbers are bound before anybody's turn comes (SPEC 6.4).
fn open_desk<'a>(books: &'a Books, policy: &'a Policy, batch: &'a Batch) -> Desk<'a> {
    let (mut bound, mut held) = (BTreeMap::new(), BTreeMap::new());
    for paper in batch.papers().values() {
        let key = (paper.proposal.author.clone(), paper.proposal.sequence);
        let earlier = books.bound(&key.0, key.1).unwrap_or(paper.pid);
        bound.entry(key).or_insert(earlier);
        *held.entry(paper.proposal.author.clone()).or_insert(0) += usize::from(paper.is_held());
    }
    Desk {
        books,
        policy,
        keyring: books.keyring(),
        log: books.log().clone(),
        state: books.state().clone(),
        answers: BTreeMap::new(),
        accepted: BTreeMap::new(),
        held,
        bound,
        ended_by: None,
    }
}

struct Planner<'a> {
    desk: Desk<'a>,
    batch: &'a Batch,
    envelopes: BTreeMap<Pid, Envelope>,
    time: Option<u64>,
    session: u64,
    judged: Hash,
    policy_hash: Hash,
    rulings: Vec<Ruling>,
    listing: Listing,
}

impl<'a> Planner<'a> {
    /// SPEC 6.5, in its order.
    fn run(mut self) -> Checked<Planner<'a>> {
        let (policies, papers): (Vec<&Paper>, Vec<&Paper>) =
            self.batch.papers().values().partition(|paper| paper.proposal.sets_policy().is_some());
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
        let mut queues = Queues::new(papers, |pid| self.desk.final_answer(pid).is_some());
        let mut turn_taken = true;
        while turn_taken && self.desk.ended_by.is_none() {
            turn_taken = false;
            for member in &order {
                if self.desk.ended_by.is_some() {
                    break;
                }
                let Some(paper) = queues.first_ready(member) else { continue };
                let verdict = judge::judge(&self.desk, paper);
                if verdict.is_final() {
                    queues.note_final(&paper.pid);
                }
                self.answer(paper, verdict)?;
                turn_taken = true;
            }
        }
        Ok(queues.left())
    }

    fn answer(&mut self, paper: &Paper, verdict: Verdict) -> Checked<()> {
        let record = if verdict == Verdict::Accepted { Some(self.accept(paper)?) } else { None };
        let kept = verdict.rule() != Some(Rule::HeldFull);
        let fate = match (record.is_some(), verdict.is_final()) {
            (true, _) => Fate::Packed,
            (false, false) if kept => Fate::Kept,
            _ => Fate::Dropped,
        };
        let objects = self.listing.rows(self.desk.books, self.batch, paper, fate);
        let held = (!verdict.is_final()).then_some(Held { first_number: paper.first_number, kept });
        let count = self.desk.held.entry(paper.proposal.author.clone()).or_insert(0);
        match (paper.is_held(), held.is_some_and(|held| held.kept)) {
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
            let objects = ruling.objects.keys().filter(|hash| !books.is_packed(hash)).copied();
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
        let policies = self.policies();
        Ok(Plan { opened, rulings: self.rulings, after, state: self.desk.state, pack, keep, policies })
    }

    fn policies(&self) -> Vec<PolicyPaper> {
        let Desk { policy, keyring, state, .. } = &self.desk;
        let mut out = Vec::new();
        for paper in self.rulings.iter().filter_map(|ruling| self.batch.papers().get(&ruling.pid)) {
            if let Some(next) = paper.proposal.sets_policy().filter(|next| next.check_sound().is_ok()) {
                let approvals = quorum::approvals(policy, keyring, &paper.proposal, &paper.valid);
                out.push(PolicyPaper { pid: paper.pid, approvals, change: compare(policy, next, Some(state)) });
            }
        }
        out
    }
}

/// SPEC 7.5.
pub(super) fn digest(session: u64, after: Head, state: &State, rulings: &[Ruling]) -> Hash {
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
        objects: Rows::new(),
        record: Some(record),
        held: None,
    };
    let rulings = vec![ruling];
    let plan_digest = digest(0, after, &State::default(), &rulings);
    let opened = Opened { session: 0, before, policy, judged, time, plan_digest };
    Ok(Plan { opened, rulings, after, state: State::default(), pack: Vec::new(), keep: Vec::new(), policies: Vec::new() })
}

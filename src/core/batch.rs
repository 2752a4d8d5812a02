//! What a session judges: papers admitted one by one, then united with what the ledger holds (SPEC 6.1 to 6.3, 6.10).

use std::collections::{BTreeMap, BTreeSet};

use super::books::Books;
use super::cose::{Envelope, PaperKind, Signer};
use super::holdings::{Holdings, looked_at};
use super::ids::{Hash, Party, Pid};
use super::keyring::Keyring;
use super::limits::SESSION_PAPERS_MAX;
use super::objects::{Rows, trees_of};
use super::policy::Policy;
use super::proposal::Proposal;
use super::quorum::{self, Valid, groups_of};
use super::rules::{Checked, Fault, Rule};
use super::verify::{self, Enrolment, Parsed, Verified};

/// What a paper as brought turned out to be.
pub enum Admitted {
    /// It has its verdict already.
    Again(Pid),
    /// It is authentic; the faults are of signatures beside the author's that were dropped.
    Verified(Box<Verified>, Vec<Fault>),
}

/// Admits a paper as brought. One that is decided or held is recognised by its id alone; any other must be signed by its author.
///
/// # Errors
/// Every rule of stages parse and verify; the caller lists the paper with it.
pub fn admit(books: &Books, bytes: &[u8]) -> Checked<Admitted> {
    admit_parsed(books, verify::parse(bytes)?)
}

/// As [`admit`], for a paper that was parsed already.
///
/// # Errors
/// Every rule of stage verify.
pub fn admit_parsed(books: &Books, parsed: Parsed) -> Checked<Admitted> {
    if books.was_accepted(&parsed.pid()).is_some() {
        return Ok(Admitted::Again(parsed.pid()));
    }
    let is_held = books.held().contains_key(&parsed.pid());
    let enrolment = Enrolment { origin: books.origin()?, policy: books.policy()?, keyring: books.keyring(), is_held };
    verify::verify(parsed, &enrolment).map(|(verified, dropped)| Admitted::Verified(Box::new(verified), dropped))
}

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
    /// What the desk holds of the objects that it puts; all of content that judging sees.
    pub objects: Rows,
    held_before: bool,
}

impl Paper {
    /// Whether the ledger holds it already.
    pub fn is_held(&self) -> bool {
        self.held_before
    }

    /// The canonical envelope as counted (SPEC 6.6).
    pub fn envelope(&self, policy: &Policy, keyring: &Keyring) -> Envelope {
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
            signers = self.valid.iter().map(|(kid, signature)| Signer { kid: *kid, signature: *signature }).collect();
        }
        signers.sort();
        signers.dedup();
        Envelope { kind: PaperKind::Proposal, payload: self.payload.clone(), signers }
    }
}

/// Everything a session judges; made only by [`Batch::gather`] and [`Batch::of_rows`].
pub struct Batch {
    papers: BTreeMap<Pid, Paper>,
    members: Members,
    news: BTreeSet<Pid>,
}

/// Objects with their sizes.
type Sizes = Vec<(Hash, u64)>;

/// The members held of trees: by tree where they were read, by paper where a session left their rows.
#[derive(Default)]
struct Members {
    of_trees: BTreeMap<Hash, Sizes>,
    of_papers: BTreeMap<Pid, Sizes>,
}

impl Batch {
    /// Unites what was brought with what the ledger holds. A paper that has its verdict already is not judged again.
    ///
    /// # Errors
    /// `papers-too-many` when more papers are to be judged than a session may.
    pub fn gather(books: &Books, brought: Vec<Verified>, holdings: &Holdings) -> Checked<Batch> {
        let policy = books.policy()?;
        let mut batch = Batch::unite_all(books, brought)?;
        for paper in batch.papers.values_mut() {
            paper.objects = holdings.rows_of(policy, &paper.proposal);
            for tree in trees_of(&paper.objects) {
                batch.members.of_trees.entry(*tree).or_insert_with(|| holdings.members_of(tree).collect());
            }
        }
        batch.note_news_of_held(books, policy);
        Ok(batch)
    }

    /// As [`Batch::gather`], from the rows that a session left of each paper: who has them needs no content to judge as it did.
    ///
    /// # Errors
    /// As [`Batch::gather`].
    pub fn of_rows(books: &Books, brought: Vec<Verified>, mut rows: BTreeMap<Pid, Rows>) -> Checked<Batch> {
        let policy = books.policy()?;
        let mut batch = Batch::unite_all(books, brought)?;
        for paper in batch.papers.values_mut() {
            let put: BTreeSet<Hash> = looked_at(policy, &paper.proposal).map(|(_, entry)| entry.sha256).collect();
            let rows = rows.remove(&paper.pid).unwrap_or_default();
            let (own, members): (Rows, Rows) = rows.into_iter().partition(|(hash, _)| put.contains(hash));
            paper.objects = own;
            batch.members.of_papers.insert(paper.pid, members.into_iter().map(|(hash, held)| (hash, held.size)).collect());
        }
        batch.note_news_of_held(books, policy);
        Ok(batch)
    }

    fn unite_all(books: &Books, brought: Vec<Verified>) -> Checked<Batch> {
        let mut batch = Batch { papers: BTreeMap::new(), members: Members::default(), news: BTreeSet::new() };
        for (pid, held) in books.held() {
            let (payload, proposal, valid) = (held.payload.clone(), held.proposal.clone(), held.valid.clone());
            let (first_number, objects) = (held.first_number, Rows::new());
            batch.papers.insert(*pid, Paper { pid: *pid, payload, proposal, valid, first_number, objects, held_before: true });
        }
        for paper in brought.into_iter().filter(|paper| books.was_accepted(&paper.pid()).is_none()) {
            batch.unite(books, paper);
        }
        if batch.papers.len() as u64 > SESSION_PAPERS_MAX {
            return Err(Fault::new(
                Rule::PapersTooMany,
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
            objects: Rows::new(),
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
    fn note_news_of_held(&mut self, books: &Books, policy: &Policy) {
        let held: BTreeSet<&Hash> = books.held().values().flat_map(|held| held.objects.keys()).collect();
        let is_kept = |hash: &Hash| held.contains(hash) || books.is_packed(hash);
        let lacks = |objects: &Sizes| objects.iter().any(|(hash, _)| !is_kept(hash));
        let new_trees: BTreeSet<&Hash> = self.members.of_trees.iter().filter(|(_, members)| lacks(members)).map(|(tree, _)| tree).collect();
        for (pid, held) in books.held() {
            let Some(paper) = self.papers.get(pid) else { continue };
            let counted = paper.envelope(policy, books.keyring());
            let signature = counted.signers.iter().any(|signer| !held.valid.contains_key(&signer.kid));
            let object = paper.objects.keys().any(|hash| !is_kept(hash));
            let member =
                trees_of(&paper.objects).any(|tree| new_trees.contains(tree)) || self.members.of_papers.get(pid).is_some_and(lacks);
            if signature || object || member {
                self.news.insert(*pid);
            }
        }
    }

    /// The members held of this tree, with their sizes.
    pub fn members_of_tree(&self, tree: &Hash) -> &[(Hash, u64)] {
        self.members.of_trees.get(tree).map_or(&[], Vec::as_slice)
    }

    /// The members that a session left rows of under this paper.
    pub fn members_of_paper(&self, pid: &Pid) -> &[(Hash, u64)] {
        self.members.of_papers.get(pid).map_or(&[], Vec::as_slice)
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

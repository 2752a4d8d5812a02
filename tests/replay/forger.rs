//! A witness that lies and signs its lies with the true log key: hashes, roots, proofs and signatures of what it publishes all hold.

use std::path::PathBuf;

use tabellion::core::books::{Books, apply};
use tabellion::core::cbor::Canonical;
use tabellion::core::ids::{Head, Pid};
use tabellion::core::note::{Checkpoint, InclusionProof, assemble, signature_line};
use tabellion::core::payload::{Ruling, judged_hash};
use tabellion::core::proposal::Proposal;
use tabellion::core::record::Record;
use tabellion::core::rules::Rule;
use tabellion::core::session_file::Row;
use tabellion::core::tile::{encode_bundle, session_stem};
use tabellion::core::tree::{Log, leaf_hash};
use tabellion::core::verdict::{Detail, Verdict};

use crate::story::Story;
use crate::support::{copy_folder, seed, write};

/// What is done to records.
pub type Retouch = Box<dyn Fn(&mut Vec<Record>)>;

/// One session as the liar has it.
pub struct Lie {
    /// The session whose file it goes into.
    pub number: u64,
    /// The answers, in turn order.
    pub rulings: Vec<Ruling>,
    /// What is done to the records after they were made to fit the answers.
    pub records: Retouch,
}

impl Lie {
    /// The answer to a paper.
    pub fn answer(&mut self, pid: Pid) -> &mut Ruling {
        self.rulings.iter_mut().find(|ruling| ruling.pid == pid).unwrap()
    }

    /// Accepts a paper, whatever it deserves.
    pub fn accept(&mut self, pid: Pid) {
        let template = self.rulings.iter().find_map(|ruling| ruling.record.clone());
        let answer = self.answer(pid);
        (answer.verdict, answer.held) = (Verdict::Accepted, None);
        answer.record = answer.record.clone().or(template);
    }

    /// Refuses a paper, whatever it deserves.
    pub fn refuse(&mut self, pid: Pid, rule: Rule, detail: &str) {
        let answer = self.answer(pid);
        (answer.verdict, answer.record, answer.held) = (Verdict::Broken(rule, Detail::parse(detail).unwrap()), None, None);
    }
}

/// The folder as it stood after session `number`, with a lie about that session.
pub fn forge(story: &Story, place: &str, number: u64, tell: impl Fn(&mut Lie)) -> PathBuf {
    let (folder, desk) = (story.place(place), story.notary.desk());
    copy_folder(&story.folder_after(number), &folder);
    let mut lie = Lie { number, rulings: desk.books().session(number as usize).unwrap().rulings.clone(), records: Box::new(|_| {}) };
    tell(&mut lie);
    publish(desk.books(), number, lie, &folder);
    folder
}

/// The records that fit the answers: numbers, roots, and the list of all that was judged.
fn records(books: &Books, session: u64, lie: &Lie) -> Vec<Record> {
    let sessions: Vec<_> = books.sessions().take(session as usize).map(Result::unwrap).collect();
    let earlier: Vec<&Ruling> = sessions.iter().flat_map(|session| &session.rulings).collect();
    let mut state = tabellion::core::state::State::default();
    let mut number = 0;
    for ruling in earlier.iter().filter(|ruling| ruling.record.is_some()) {
        number += 1;
        Proposal::from_cbor(&ruling.envelope.payload).iter().for_each(|proposal| apply(&mut state, proposal));
    }
    let mut judged: Vec<_> = lie.rulings.iter().map(|ruling| (ruling.pid, ruling.envelope.env())).collect();
    judged.sort();
    // A session that made no record has none to be copied from: the one before it has the same policy.
    let template = |ruling: &Ruling| ruling.record.clone().unwrap_or_else(|| earlier.iter().rev().find_map(|r| r.record.clone()).unwrap());
    let mut out = Vec::new();
    for ruling in lie.rulings.iter().filter(|ruling| ruling.verdict == Verdict::Accepted) {
        apply(&mut state, &Proposal::from_cbor(&ruling.envelope.payload).unwrap());
        number += 1;
        let judged = judged_hash(&judged);
        let (pid, env, state_root) = (ruling.pid, ruling.envelope.env(), state.root());
        out.push(Record { number, pid, env, state_root, judged, session: lie.number, ..template(ruling) });
    }
    (lie.records)(&mut out);
    out
}

fn publish(books: &Books, session: u64, lie: Lie, folder: &std::path::Path) {
    let key = seed("witness").log(books.origin().unwrap().clone(), false);
    let vkey = books.log_key().unwrap();
    let signed = |text: &str| signature_line(vkey.name(), vkey.id(), &key.sign_note(text).unwrap());
    let new = records(books, session, &lie);
    let sessions: Vec<_> = books.sessions().take(session as usize).map(Result::unwrap).collect();
    let kept = sessions.iter().flat_map(|session| &session.rulings).filter(|ruling| ruling.record.is_some());
    let kept: Vec<&Ruling> = kept.collect();
    let entries: Vec<Vec<u8>> =
        kept.iter().map(|ruling| ruling.record.as_ref().unwrap().to_cbor()).chain(new.iter().map(Canonical::to_cbor)).collect();
    let accepted = lie.rulings.iter().filter(|ruling| ruling.verdict == Verdict::Accepted);
    let papers: Vec<Vec<u8>> = kept.iter().copied().chain(accepted).map(|ruling| ruling.envelope.to_cbor()).collect();
    let mut log = Log::default();
    let heads: Vec<Head> = entries.iter().map(|entry| log.push(leaf_hash(entry))).collect();
    let text = |head: &Head| Checkpoint { origin: vkey.name().clone(), head: *head }.text();
    let lines: Vec<String> = heads.iter().map(|head| signed(&text(head))).collect();
    let size = entries.len() as u64;
    let head = heads[size as usize - 1];
    let checkpoint = assemble(&text(&head), &lines[size as usize - 1]);
    let hashes = log.inclusion(size - 1, size).unwrap();
    let proof = InclusionProof { record: entries[size as usize - 1].clone(), index: size - 1, hashes, checkpoint: checkpoint.clone() };
    let rows: Vec<Vec<u8>> = lie.rulings.iter().map(|ruling| Row::of(ruling).to_cbor()).collect();
    std::fs::remove_file(folder.join(format!("sessions/{}.papers", session_stem(session)))).unwrap();
    write(&folder.join(format!("sessions/{}.papers", session_stem(lie.number))), &rows.concat());
    write(&folder.join(format!("tile/0/000.p/{size}")), &log.tile(0, 0, size as u16).unwrap());
    write(&folder.join(format!("tile/entries/000.p/{size}")), &encode_bundle(entries.iter().map(Vec::as_slice)).unwrap());
    write(&folder.join(format!("papers/000.p/{size}")), &papers.concat());
    write(&folder.join(format!("checkpoints/000.p/{size}")), &encode_bundle(lines.iter().map(String::as_bytes)).unwrap());
    write(&folder.join(format!("common@{size}.tlog-proof")), proof.text().as_bytes());
    write(&folder.join("checkpoint"), checkpoint.as_bytes());
}

//! What the ledger's events hold (SPEC 7.4).

use super::cbor::{Canonical, Reader, Writer};
use super::cose::Envelope;
use super::ids::{Hash, Head, Pid};
use super::limits::{SESSION_PAPERS_MAX, UINT_MAX};
use super::objects::{Rows, read_rows, write_rows};
use super::record::Record;
use super::rules::{Checked, Rule};
use super::verdict::Verdict;

/// Most signature lines of one note or checkpoint, in bytes.
const LINES_BYTES_MAX: usize = 4_096;

/// `opened`: what a session judges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The session.
    pub session: u64,
    /// The head before it.
    pub before: Head,
    /// SHA-256 of the policy.
    pub policy: Hash,
    /// pid and env of everything judged, ascending by pid.
    pub judged: Vec<(Pid, Hash)>,
    /// The session's time claim.
    pub time: Option<u64>,
    /// SPEC 7.5.
    pub plan_digest: Hash,
}

/// `SHA-256(det-CBOR [* [pid, env]])`: field 12 of a record.
pub fn judged_hash(judged: &[(Pid, Hash)]) -> Hash {
    let mut w = Writer::new();
    write_pairs(&mut w, judged);
    Hash::of(&w.finish())
}

fn write_pairs(w: &mut Writer, pairs: &[(Hash, Hash)]) {
    w.array(pairs.len());
    for (first, second) in pairs {
        w.array(2).bytes(&first.0).bytes(&second.0);
    }
}

fn read_pairs(r: &mut Reader<'_>) -> Checked<Vec<(Hash, Hash)>> {
    let len = r.array(SESSION_PAPERS_MAX as usize)?;
    (0..len).map(|_| r.array_of(2).and_then(|()| Ok((r.hash()?, r.hash()?)))).collect()
}

impl Canonical for Opened {
    fn write(&self, w: &mut Writer) {
        w.map(5 + usize::from(self.time.is_some())).uint(0).uint(self.session).uint(1);
        self.before.write(w);
        w.uint(2).bytes(&self.policy.0).uint(3);
        write_pairs(w, &self.judged);
        if let Some(time) = self.time {
            w.uint(4).uint(time);
        }
        w.uint(5).bytes(&self.plan_digest.0);
    }

    fn read(r: &mut Reader<'_>) -> Checked<Opened> {
        let (mut session, mut before, mut policy, mut judged, mut time, mut plan_digest) = (None, None, None, None, None, None);
        r.reading("opened").map(|key, r| {
            match key {
                0 => session = Some(r.uint()?),
                1 => before = Some(Head::read(r)?),
                2 => policy = Some(r.hash()?),
                3 => judged = Some(read_pairs(r)?),
                4 => time = Some(r.uint_in(1..=UINT_MAX)?),
                5 => plan_digest = Some(r.hash()?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Opened {
            session: r.need(session, "0 (session)")?,
            before: r.need(before, "1 (head)")?,
            policy: r.need(policy, "2 (policy)")?,
            judged: r.need(judged, "3 (judged)")?,
            time,
            plan_digest: r.need(plan_digest, "5 (plan digest)")?,
        })
    }
}

/// Where a held paper stands; only notices have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// N of the head before the session in which the paper first came.
    pub first_number: u64,
    /// Whether the desk keeps it (false: `held-full`).
    pub kept: bool,
}

/// `verdict` and `notice`: one paper's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// The paper.
    pub pid: Pid,
    /// The answer.
    pub verdict: Verdict,
    /// The envelope as counted.
    pub envelope: Envelope,
    /// What the desk held of the referenced objects when it judged.
    pub objects: Rows,
    /// The record of an accepted paper.
    pub record: Option<Record>,
    /// Of a notice.
    pub held: Option<Held>,
}

impl Canonical for Ruling {
    fn write(&self, w: &mut Writer) {
        let (record, held) = (self.record.as_ref(), self.held);
        w.map(6 + usize::from(record.is_some()) + 2 * usize::from(held.is_some()));
        w.uint(0).bytes(&self.pid.0).uint(1).text(self.verdict.word());
        w.uint(2).text(self.verdict.rule().map_or("", Rule::id)).uint(3).text(self.verdict.detail());
        w.uint(4);
        self.envelope.write(w);
        w.uint(5);
        write_rows(w, &self.objects);
        if let Some(record) = record {
            w.uint(6).bytes(&record.to_cbor());
        }
        if let Some(held) = held {
            w.uint(7).uint(held.first_number).uint(8).bool(held.kept);
        }
    }

    fn read(r: &mut Reader<'_>) -> Checked<Ruling> {
        let (mut pid, mut word, mut rule, mut detail, mut envelope) = (None, None, None, None, None);
        let (mut objects, mut record, mut first_number, mut kept) = (None, None, None, None);
        r.reading("verdict").map(|key, r| {
            match key {
                0 => pid = Some(r.hash()?),
                1 => word = Some(r.text()?),
                2 => rule = Some(r.text()?),
                3 => detail = Some(r.text()?),
                4 => envelope = Some(Envelope::read(r)?),
                5 => objects = Some(read_rows(r)?),
                6 => record = Some(Record::from_cbor(r.bytes()?)?),
                7 => first_number = Some(r.uint()?),
                8 => kept = Some(r.bool()?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let texts = (r.need(word, "1 (verdict)")?, r.need(rule, "2 (rule)")?, r.need(detail, "3 (detail)")?);
        let verdict = Verdict::from_texts(texts.0, texts.1, texts.2)?;
        let held = match (first_number, kept) {
            (Some(first_number), Some(kept)) => Some(Held { first_number, kept }),
            (None, None) => None,
            _ => return Err(r.fault("a notice has both 7 and 8")),
        };
        if record.is_some() != (verdict == Verdict::Accepted) || held.is_some() == verdict.is_final() {
            return Err(r.fault("an accepted paper has a record, a notice has 7 and 8, and nothing else has"));
        }
        let pid = r.need(pid, "0 (pid)")?;
        let envelope: Envelope = r.need(envelope, "4 (envelope)")?;
        if envelope.pid() != pid {
            return Err(r.fault("the envelope is not that of the paper"));
        }
        Ok(Ruling { pid, verdict, envelope, objects: r.need(objects, "5 (objects)")?, record, held })
    }
}

/// One file on a medium, as the closing event lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// Path on the medium, escaped where it is no plain text.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of what was read; zero when it was not read.
    pub sha256: Hash,
    /// What it was taken for.
    pub what: String,
    /// Rule for which it was listed, or empty.
    pub rule: String,
}

/// `closed`: the end of a session. Comes last, so that file names cannot reach the session's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The session.
    pub session: u64,
    /// The head after it.
    pub after: Head,
    /// The state root after it.
    pub state_root: Hash,
    /// The files of each medium.
    pub media: Vec<Vec<ListedFile>>,
    /// Version of this software.
    pub version: String,
    /// SHA-256 of the program.
    pub program: Hash,
    /// What the operator confirmed.
    pub confirmation: String,
    /// SHA-256 and length of the pack of objects accepted in it.
    pub pack: Option<(Hash, u64)>,
}

impl Canonical for ListedFile {
    fn write(&self, w: &mut Writer) {
        w.array(5).text(&self.path).uint(self.size).bytes(&self.sha256.0).text(&self.what).text(&self.rule);
    }

    fn read(r: &mut Reader<'_>) -> Checked<ListedFile> {
        r.array_of(5)?;
        let (path, size, sha256) = (r.text()?.to_owned(), r.uint()?, r.hash()?);
        Ok(ListedFile { path, size, sha256, what: r.text()?.to_owned(), rule: r.text()?.to_owned() })
    }
}

impl Canonical for Closed {
    fn write(&self, w: &mut Writer) {
        w.map(7 + usize::from(self.pack.is_some())).uint(0).uint(self.session).uint(1);
        self.after.write(w);
        w.uint(2).bytes(&self.state_root.0).uint(3).array(self.media.len());
        for files in &self.media {
            w.list(files);
        }
        w.uint(4).text(&self.version).uint(5).bytes(&self.program.0).uint(6).text(&self.confirmation);
        if let Some((hash, length)) = &self.pack {
            w.uint(7).array(2).bytes(&hash.0).uint(*length);
        }
    }

    fn read(r: &mut Reader<'_>) -> Checked<Closed> {
        let (mut session, mut after, mut state_root, mut media) = (None, None, None, None);
        let (mut version, mut program, mut confirmation, mut pack) = (None, None, None, None);
        r.reading("closed").map(|key, r| {
            match key {
                0 => session = Some(r.uint()?),
                1 => after = Some(Head::read(r)?),
                2 => state_root = Some(r.hash()?),
                3 => {
                    let len = r.array(SESSION_PAPERS_MAX as usize)?;
                    media = Some((0..len).map(|_| r.list(SESSION_PAPERS_MAX as usize)).collect::<Checked<Vec<_>>>()?);
                }
                4 => version = Some(r.text()?.to_owned()),
                5 => program = Some(r.hash()?),
                6 => confirmation = Some(r.text()?.to_owned()),
                7 => {
                    r.array_of(2)?;
                    pack = Some((r.hash()?, r.uint()?));
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Closed {
            session: r.need(session, "0 (session)")?,
            after: r.need(after, "1 (head)")?,
            state_root: r.need(state_root, "2 (state root)")?,
            media: r.need(media, "3 (media)")?,
            version: r.need(version, "4 (version)")?,
            program: r.need(program, "5 (program)")?,
            confirmation: r.need(confirmation, "6 (confirmation)")?,
            pack,
        })
    }
}

/// `sealed`: every signature made over a session's results. Everything emitted is put together from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The session.
    pub session: u64,
    /// Signature lines of the checkpoint of each number made in the session.
    pub checkpoints: Vec<(u64, String)>,
    /// Signature lines of each verdict note, ascending by paper.
    pub notes: Vec<(Pid, String)>,
}

impl Canonical for Sealed {
    fn write(&self, w: &mut Writer) {
        w.map(3).uint(0).uint(self.session).uint(1).array(self.checkpoints.len());
        for (number, lines) in &self.checkpoints {
            w.array(2).uint(*number).text(lines);
        }
        w.uint(2).array(self.notes.len());
        for (pid, lines) in &self.notes {
            w.array(2).bytes(&pid.0).text(lines);
        }
    }

    fn read(r: &mut Reader<'_>) -> Checked<Sealed> {
        let (mut session, mut checkpoints, mut notes) = (None, None, None);
        r.reading("sealed").map(|key, r| {
            match key {
                0 => session = Some(r.uint()?),
                1 => {
                    let len = r.array(SESSION_PAPERS_MAX as usize)?;
                    checkpoints =
                        Some((0..len).map(|_| r.array_of(2).and_then(|()| Ok((r.uint()?, read_lines(r)?)))).collect::<Checked<Vec<_>>>()?);
                }
                2 => {
                    let len = r.array(SESSION_PAPERS_MAX as usize)?;
                    notes =
                        Some((0..len).map(|_| r.array_of(2).and_then(|()| Ok((r.hash()?, read_lines(r)?)))).collect::<Checked<Vec<_>>>()?);
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Sealed {
            session: r.need(session, "0 (session)")?,
            checkpoints: r.need(checkpoints, "1 (checkpoints)")?,
            notes: r.need(notes, "2 (notes)")?,
        })
    }
}

fn read_lines(r: &mut Reader<'_>) -> Checked<String> {
    let lines = r.text()?;
    if lines.is_empty() || lines.len() > LINES_BYTES_MAX {
        return Err(r.fault(format!("{} bytes of signature lines found; 1 to {LINES_BYTES_MAX} expected", lines.len())));
    }
    Ok(lines.to_owned())
}

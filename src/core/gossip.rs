//! What our own signature under a text means to this ledger (promise 9, SPEC 4.11).
//!
//! A text of ours that the ledger has sealed is one we know; one that an order has settled is reported; any other shows that this disk is an
//! old state or a copy, or that the log key is in other hands. Nothing here reads a file: whoever does brings bytes.

use std::collections::{BTreeMap, BTreeSet};

use super::books::Books;
use super::ids::{Hash, Head, Pid};
use super::note::{Checkpoint, Note, VerdictNote, VerifierKey};
use super::payload::Ruling;
use super::publish;
use super::rules::{Checked, Rule};
use super::sessions::Session;

/// A log key, and the numbers for which it is valid: a checkpoint of size N when `from ≤ N ≤ to`, a note that names head N when
/// `from ≤ N < to` (SPEC 4.4).
#[derive(Clone, Debug)]
pub struct KeySpan {
    /// The key.
    pub key: VerifierKey,
    /// The first number.
    pub from: u64,
    /// The number of the rotation that ended it.
    pub to: Option<u64>,
}

/// What a signed text says, as far as it is of a form we sign.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Says {
    Checkpoint(Head),
    Verdict(Box<VerdictNote>),
    Other,
}

impl Says {
    fn read(text: &str, key: &VerifierKey) -> Says {
        if let Some(checkpoint) = Checkpoint::parse(text).ok().filter(|checkpoint| checkpoint.origin == *key.name()) {
            return Says::Checkpoint(checkpoint.head);
        }
        match VerdictNote::parse(text).ok().filter(|note| note.origin == *key.name()) {
            Some(note) => Says::Verdict(Box::new(note)),
            None => Says::Other,
        }
    }
}

/// Every log key of a ledger, with the numbers it is valid for.
///
/// # Errors
/// `ledger-fault` when the ledger holds no charter.
pub fn log_keys(books: &Books) -> Checked<Vec<KeySpan>> {
    Ok(vec![KeySpan { key: books.log_key()?.clone(), from: 0, to: None }])
}

impl KeySpan {
    fn is_valid_for(&self, says: &Says) -> bool {
        match says {
            Says::Checkpoint(head) => self.from <= head.number && self.to.is_none_or(|to| head.number <= to),
            Says::Verdict(note) => self.from <= note.head_before.number && self.to.is_none_or(|to| note.head_before.number < to),
            Says::Other => true,
        }
    }
}

/// A text of ours that this ledger has not sealed and no order has settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// SHA-256 of the text: what a resume order names to settle it.
    pub text: Hash,
    /// The text with the one signature line of ours that verifies.
    pub signed: String,
    /// What it is, in words.
    pub what: String,
    /// What it says.
    pub found: String,
    /// What our ledger says of the same matter.
    pub expected: String,
    /// Our own signed text of the same matter, if there is one.
    pub ours: Option<String>,
}

/// What a text of ours is to this ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The ledger has sealed that very text.
    Sealed,
    /// This order settled it.
    Settled(Hash, Pid),
    /// It is under a key of ours that is not valid for its number: the text, and what it is.
    Misused(Hash, String),
    /// None of these.
    Evidence(Box<Evidence>),
}

/// Weighs signed texts against one ledger. Each text is looked at once.
pub struct Scale<'a> {
    books: &'a Books,
    keys: Vec<KeySpan>,
    seen: BTreeSet<Hash>,
    /// Of sessions that were looked at, by their place: SHA-256 of each note that they have sealed, and the place of each answer.
    notes: BTreeMap<usize, BTreeMap<Pid, Hash>>,
    answered: BTreeMap<usize, BTreeMap<Pid, usize>>,
}

impl<'a> Scale<'a> {
    /// A scale for this ledger and its log keys, each with the numbers it is valid for.
    pub fn new(books: &'a Books, keys: Vec<KeySpan>) -> Scale<'a> {
        Scale { books, keys, seen: BTreeSet::new(), notes: BTreeMap::new(), answered: BTreeMap::new() }
    }

    /// What the signed note `bytes` is to this ledger; `None` when it is no note, none of ours, or was weighed before.
    ///
    /// # Errors
    /// `ledger-fault` when the ledger holds no charter.
    pub fn weigh(&mut self, bytes: &[u8]) -> Checked<Option<Standing>> {
        let Ok(note) = Note::parse(bytes) else { return Ok(None) };
        if !self.seen.insert(Hash::of(bytes)) {
            return Ok(None);
        }
        let signed = |span: &KeySpan| note.line_by(&span.key).map(|line| (line, Says::read(note.text, &span.key), span.clone()));
        let by: Vec<_> = self.keys.iter().filter_map(signed).collect();
        let Some((line, says, _)) = by.iter().find(|(_, says, span)| span.is_valid_for(says)).or(by.first()) else { return Ok(None) };
        let text = Hash::of(note.text.as_bytes());
        if !by.iter().any(|(_, says, span)| span.is_valid_for(says)) {
            return Ok(Some(Standing::Misused(text, what(says))));
        }
        if self.has_sealed(says, &text)? {
            return Ok(Some(Standing::Sealed));
        }
        if let Some(order) = self.books.trouble().settled().get(&text) {
            return Ok(Some(Standing::Settled(text, *order)));
        }
        let (expected, ours) = self.ours(says, note.text)?;
        let signed = format!("{}\n{line}", note.text);
        let evidence = Evidence { text, signed, what: what(says), found: found(says, note.text), expected, ours };
        Ok(Some(Standing::Evidence(Box::new(evidence))))
    }

    /// Whether the ledger has sealed this text. Media bring mostly such, and a prepared one a hundred thousand from all sessions by turns: no
    /// session is read for a checkpoint, and each once for all of its notes.
    fn has_sealed(&mut self, says: &Says, text: &Hash) -> Checked<bool> {
        match says {
            Says::Checkpoint(head) => {
                let heading = self.books.headings().get(self.books.session_of(head.number));
                let is_ours = self.books.log().root_at(head.number) == Some(head.root);
                Ok(head.number > 0 && is_ours && heading.is_some_and(|heading| heading.is_sealed))
            }
            Says::Verdict(note) => {
                let Some(at) = self.place_of(note.session).filter(|at| self.books.headings()[*at].is_sealed) else { return Ok(false) };
                if !self.notes.contains_key(&at) {
                    let session = self.books.session(at)?;
                    let noted = session.rulings.iter().filter(|ruling| ruling.record.is_none());
                    let texts =
                        noted.map(|ruling| Ok((ruling.pid, Hash::of(publish::note_text(self.books, &session, ruling)?.as_bytes()))));
                    self.notes.insert(at, texts.collect::<Checked<_>>()?);
                }
                Ok(self.notes.get(&at).and_then(|notes| notes.get(&note.pid)) == Some(text))
            }
            Says::Other => Ok(false),
        }
    }

    /// What the ledger says of the matter of a text that it has not sealed, and its own signed text.
    fn ours(&mut self, says: &Says, text: &str) -> Checked<(String, Option<String>)> {
        match says {
            Says::Checkpoint(head) => self.our_checkpoint(head),
            Says::Verdict(note) => self.our_answer(note, text),
            Says::Other => Ok(("a checkpoint or a verdict note: the log key signs nothing else".into(), None)),
        }
    }

    fn our_checkpoint(&self, head: &Head) -> Checked<(String, Option<String>)> {
        Ok(match self.books.log().root_at(head.number) {
            Some(_) if head.number == 0 => ("no checkpoint of the empty log: this ledger never signed one".into(), None),
            None => (format!("our head is {}", self.books.head()), self.newest()?),
            Some(root) if root != head.root => {
                (format!("our root of that number is {root}"), self.sealed(publish::checkpoint(self.books, head.number))?)
            }
            Some(_) => ("the same, but this ledger has not sealed it yet".into(), None),
        })
    }

    fn newest(&self) -> Checked<Option<String>> {
        self.sealed(publish::checkpoint(self.books, self.books.head().number))
    }

    /// What the ledger has sealed, or nothing. That it cannot be read now says nothing about what it has sealed.
    fn sealed<T>(&self, published: Checked<T>) -> Checked<Option<T>> {
        match published {
            Err(fault) if fault.rule != Rule::InternalFault => Err(fault),
            published => Ok(published.ok()),
        }
    }

    fn our_answer(&mut self, note: &VerdictNote, text: &str) -> Checked<(String, Option<String>)> {
        let Some(at) = self.place_of(note.session) else {
            let last = self.books.last_session_number();
            return Ok((format!("our last session is {last}, our head {}", self.books.head()), self.newest()?));
        };
        let session = &*self.books.session(at)?;
        let Some(ruling) = self.ruling(at, session, &note.pid) else {
            return Ok((format!("our session {} on {} has no note on this paper", note.session, session.opened.before), self.newest()?));
        };
        let receipt = self.sealed(publish::receipt(self.books, session, ruling))?.and_then(|bytes| String::from_utf8(bytes).ok());
        let sealed_text = publish::note_text(self.books, session, ruling).unwrap_or_default();
        let expected = match (sealed_text == text, ruling.verdict.rule()) {
            (true, _) => "the same, but this ledger has not sealed it yet".into(),
            (_, Some(rule)) => format!("our answer was {} {rule} on {}", ruling.verdict.word(), session.opened.before),
            (_, None) => format!("our answer was {} in session {}", ruling.verdict.word(), note.session),
        };
        Ok((expected, receipt))
    }

    /// Place of the session with this number.
    fn place_of(&self, number: u64) -> Option<usize> {
        self.books.headings().binary_search_by_key(&number, |heading| heading.session).ok()
    }

    /// The answer to a paper in the session at this place: looked up, for a medium may bring back a hundred thousand notes of one session.
    fn ruling<'s>(&mut self, at: usize, session: &'s Session, pid: &Pid) -> Option<&'s Ruling> {
        let places = || session.rulings.iter().enumerate().map(|(place, ruling)| (ruling.pid, place)).collect();
        let place = self.answered.entry(at).or_insert_with(places).get(pid);
        place.map(|place| &session.rulings[*place])
    }
}

fn what(says: &Says) -> String {
    match says {
        Says::Checkpoint(head) => format!("checkpoint of common@{}", head.number),
        Says::Verdict(note) => format!("note on paper {} in session {}", note.pid.short(), note.session),
        Says::Other => "text of another form".into(),
    }
}

fn found(says: &Says, text: &str) -> String {
    match says {
        Says::Checkpoint(head) => head.to_string(),
        Says::Verdict(note) => {
            format!("{} {} for paper {} in session {} on {}", note.outcome.word(), note.rule, note.pid, note.session, note.head_before)
        }
        Says::Other => format!("a text that begins {:?}", text.chars().take(80).collect::<String>()),
    }
}

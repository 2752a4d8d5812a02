//! What passes through the broker's socket (SPEC 7.15): messages in deterministic CBOR, each behind its length.
//!
//! Nothing here touches a socket. What comes in was written by another process and is believed in nothing: each length is compared with its
//! bound before anything is kept, and what is no message is refused with what was found.

use std::path::{Path, PathBuf};

use crate::core::cbor::{Canonical, Reader, Writer};
use crate::core::event::{Event, EventType};
use crate::core::rules::{Checked, Fault, Rule};
use crate::ledger::{LedgerError, NewEvent, Why};

use super::door::RequestId;
use super::request::{Answer, Append, Bring, ROWS_MAX, Read};

/// The version that both sides name before anything else.
pub const VERSION: u64 = 1;
/// Longest message, without the four bytes of its length.
pub const MESSAGE_BYTES_MAX: usize = 16_777_216;
/// Longest patience that a request may ask for, in milliseconds.
pub const PATIENCE_MS_MAX: u64 = 600_000;
/// Most bytes of a name: of a ledger, a program, an event, a file.
const NAME_BYTES_MAX: usize = 1_024;
/// Most bytes of a program's name, as of the trail's.
const PROGRAM_BYTES_MAX: usize = 128;
/// Most bytes of an idempotency key, as of the trail's.
const KEY_BYTES_MAX: usize = 256;
/// Most bytes of a text: a refusal's values, a head file.
const TEXT_BYTES_MAX: usize = 65_536;
/// Most files that one append brings.
const BRING_MAX: usize = 16;
/// Most events in one message.
const EVENTS_MAX: usize = ROWS_MAX as usize;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The first of whoever asks.
    Hello {
        /// Which ledger it means: a domain's origin.
        ledger: String,
        /// The command, as it calls itself.
        program: String,
    },
    /// The first of whoever leads.
    Welcome {
        /// Its process.
        pid: u32,
    },
    /// Instead of anything else: it is not answered, and the connection ends.
    Away(LedgerError),
    /// Is there anybody?
    Ping(u64),
    /// There is, also while a request is being worked on.
    Pong(u64),
    /// Something is asked.
    Request {
        /// Names it for ever.
        id: RequestId,
        /// How long it is waited for, from its arrival on.
        patience_ms: u64,
        /// What.
        ask: Ask,
    },
    /// It is answered or refused.
    Response {
        /// The request's name.
        id: RequestId,
        /// The answer.
        outcome: Result<Answer, LedgerError>,
    },
    /// Whoever leads goes: what it has begun it finishes, and takes nothing more.
    Leaving,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Something in the ledger.
    Read(Read),
    /// That something is appended.
    Append(Append),
}

/// A message as it is sent: its length in four bytes, the greatest first, and then itself.
///
/// # Errors
/// `request-bounds` when it is longer than a message may be.
pub fn frame(message: &Message) -> Checked<Vec<u8>> {
    let body = message.to_cbor();
    let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= MESSAGE_BYTES_MAX);
    let too_long =
        || Fault::new(Rule::RequestBounds, format!("a message of {} bytes found; at most {MESSAGE_BYTES_MAX} expected", body.len()));
    Ok([length.ok_or_else(too_long)?.to_be_bytes().as_slice(), &body].concat())
}

/// The length of the message behind these four bytes.
///
/// # Errors
/// `broker-message` when no message has it.
pub fn length(head: [u8; 4]) -> Checked<usize> {
    match usize::try_from(u32::from_be_bytes(head)) {
        Ok(length) if (1..=MESSAGE_BYTES_MAX).contains(&length) => Ok(length),
        _ => Err(no_message(format!("a length of {} bytes found; 1 to {MESSAGE_BYTES_MAX} expected", u32::from_be_bytes(head)))),
    }
}

/// The message of these bytes.
///
/// # Errors
/// `broker-message` with what was found.
pub fn parse(body: &[u8]) -> Checked<Message> {
    Message::from_cbor(body).map_err(|fault| match fault.rule {
        Rule::BrokerMessage => fault,
        rule => no_message(format!("{} bytes found that are none: {} [{rule}]", body.len(), fault.shown())),
    })
}

fn no_message(found: String) -> Fault {
    Fault::new(Rule::BrokerMessage, found)
}

impl Canonical for Message {
    fn write(&self, w: &mut Writer) {
        match self {
            Message::Hello { ledger, program } => w.array(4).uint(0).uint(VERSION).text(ledger).text(program),
            Message::Welcome { pid } => w.array(3).uint(1).uint(VERSION).uint((*pid).into()),
            Message::Away(refusal) => {
                w.array(3).uint(2).uint(VERSION);
                write_refusal(w, refusal)
            }
            Message::Ping(number) => w.array(2).uint(3).uint(*number),
            Message::Pong(number) => w.array(2).uint(4).uint(*number),
            Message::Request { id, patience_ms, ask } => {
                w.array(4).uint(5).bytes(id).uint(*patience_ms);
                ask.write(w);
                w
            }
            Message::Response { id, outcome } => {
                w.array(3).uint(6).bytes(id);
                match outcome {
                    Ok(answer) => answer.write(w),
                    Err(refusal) => {
                        write_refusal(w, refusal);
                    }
                }
                w
            }
            Message::Leaving => w.array(1).uint(7),
        };
    }

    fn read(r: &mut Reader<'_>) -> Checked<Message> {
        let items = r.reading("message").array(4)?;
        let kind = r.uint()?;
        // Before the number of items: what another version has behind its number is none of ours.
        if kind <= 2 {
            let version = r.uint()?;
            if version != VERSION {
                return Err(no_message(format!("version {version} found; {VERSION} expected")));
            }
        }
        let message = match (kind, items) {
            (0, 4) => Message::Hello { ledger: name(r)?, program: program(r)? },
            (1, 3) => Message::Welcome { pid: u32::try_from(r.uint_in(1..=i32::MAX as u64)?).unwrap_or_default() },
            (2, 3) => Message::Away(read_refusal(r)?),
            (3, 2) => Message::Ping(r.uint()?),
            (4, 2) => Message::Pong(r.uint()?),
            (5, 4) => Message::Request { id: r.bytes_of()?, patience_ms: r.uint_in(0..=PATIENCE_MS_MAX)?, ask: Ask::read(r)? },
            (6, 3) => Message::Response { id: r.bytes_of()?, outcome: read_outcome(r)? },
            (7, 1) => Message::Leaving,
            _ => return Err(no_message(format!("a message of kind {kind} with {items} items found; one of SPEC 7.15 expected"))),
        };
        Ok(message)
    }
}

/// A text of at most so many bytes.
fn text(r: &mut Reader<'_>, most: usize) -> Checked<String> {
    let text = r.text()?;
    if text.len() > most { Err(r.fault(format!("a text of {} bytes, at most {most} allowed", text.len()))) } else { Ok(text.to_owned()) }
}

fn name(r: &mut Reader<'_>) -> Checked<String> {
    text(r, NAME_BYTES_MAX)
}

fn program(r: &mut Reader<'_>) -> Checked<String> {
    filled(text(r, PROGRAM_BYTES_MAX)?, r)
}

fn key(r: &mut Reader<'_>) -> Checked<String> {
    filled(text(r, KEY_BYTES_MAX)?, r)
}

fn filled(text: String, r: &Reader<'_>) -> Checked<String> {
    if text.is_empty() { Err(r.fault("an empty text, a byte at least expected")) } else { Ok(text) }
}

/// Zero or one, as an array: there is no null.
fn write_optional<T>(w: &mut Writer, value: Option<&T>, write: impl for<'w> FnOnce(&'w mut Writer, &T) -> &'w mut Writer) {
    w.array(usize::from(value.is_some()));
    if let Some(value) = value {
        write(w, value);
    }
}

fn read_optional<'a, T>(r: &mut Reader<'a>, read: impl FnOnce(&mut Reader<'a>) -> Checked<T>) -> Checked<Option<T>> {
    if r.array(1)? == 0 { Ok(None) } else { read(r).map(Some) }
}

/// 32 bytes, or none.
fn write_hash(w: &mut Writer, hash: Option<&[u8; 32]>) {
    w.bytes(hash.map_or(&[], |hash| hash.as_slice()));
}

fn read_hash(r: &mut Reader<'_>) -> Checked<Option<[u8; 32]>> {
    let bytes = r.bytes()?;
    match (bytes.is_empty(), <[u8; 32]>::try_from(bytes)) {
        (true, _) => Ok(None),
        (false, Ok(hash)) => Ok(Some(hash)),
        (false, Err(_)) => Err(r.fault(format!("a hash of {} bytes, 0 or 32 expected", bytes.len()))),
    }
}

/// A refusal: the reason for a program, the rule and the compared values. Longer values are cut, for people can read what is left.
fn write_refusal<'a>(w: &'a mut Writer, refusal: &LedgerError) -> &'a mut Writer {
    let found = &refusal.fault.found;
    let end = (0..=found.len().min(TEXT_BYTES_MAX)).rev().find(|at| found.is_char_boundary(*at)).unwrap_or(0);
    w.array(4).text("refused").text(refusal.why.word()).text(refusal.fault.rule.id()).text(&found[..end])
}

fn read_refusal(r: &mut Reader<'_>) -> Checked<LedgerError> {
    let items = r.array(4)?;
    let word = r.text()?;
    if (items, word) != (4, "refused") {
        return Err(r.fault(format!("{word:?} with {items} items; \"refused\" with 4 expected")));
    }
    refusal_behind_word(r)
}

fn refusal_behind_word(r: &mut Reader<'_>) -> Checked<LedgerError> {
    let (why, rule) = (r.text()?, r.text()?);
    let why = Why::ALL.into_iter().find(|known| known.word() == why).ok_or_else(|| r.fault("an unknown reason"))?;
    let rule = Rule::from_id(rule).ok_or_else(|| r.fault("an unknown rule"))?;
    Ok(LedgerError { why, fault: Fault::new(rule, text(r, TEXT_BYTES_MAX)?) })
}

impl Canonical for Ask {
    fn write(&self, w: &mut Writer) {
        let read = match self {
            Ask::Read(read) => read,
            Ask::Append(append) => return append.write(w),
        };
        match read {
            Read::Head | Read::Latest => w.array(1).text(read.word()),
            Read::Event { seq_no } | Read::HashAt { seq_no } => w.array(2).text(read.word()).uint(*seq_no),
            Read::Events { from, rows, bytes } => w.array(4).text(read.word()).uint(*from).uint(*rows).uint(*bytes),
            Read::Record { number } => w.array(2).text(read.word()).uint(*number),
            Read::Verdict { pid } => w.array(2).text(read.word()).bytes(&pid.0),
        };
    }

    fn read(r: &mut Reader<'_>) -> Checked<Ask> {
        let items = r.reading("request").array(6)?;
        let word = r.text()?;
        let read = match (word, items) {
            ("head", 1) => Read::Head,
            ("latest", 1) => Read::Latest,
            ("event", 2) => Read::Event { seq_no: r.uint()? },
            ("hash-at", 2) => Read::HashAt { seq_no: r.uint()? },
            ("events", 4) => Read::Events { from: r.uint()?, rows: r.uint()?, bytes: r.uint()? },
            ("record", 2) => Read::Record { number: r.uint()? },
            ("verdict", 2) => Read::Verdict { pid: r.hash()? },
            ("append", 6) => return append_behind_word(r).map(Ask::Append),
            _ => return Err(r.fault(format!("{word:?} with {items} items; one of SPEC 7.15 expected"))),
        };
        Ok(Ask::Read(read))
    }
}

impl Append {
    fn write(&self, w: &mut Writer) {
        w.array(6).text("append");
        write_hash(w, self.expected_head.as_ref());
        w.array(self.bring.len());
        for bring in &self.bring {
            w.array(2).text(shown(&bring.from)).text(shown(&bring.to));
        }
        w.array(self.events.len());
        for event in &self.events {
            w.array(4).text(&event.event_id).uint(event.timestamp).text(event.event_type.as_str()).bytes(&event.payload);
        }
        write_optional(w, self.head_file.as_ref(), |w, text| w.text(text));
        write_optional(w, self.idempotency_key.as_ref(), |w, text| w.text(text));
    }
}

/// A path as text; an empty one, which nobody reads, when it has none.
fn shown(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

fn append_behind_word(r: &mut Reader<'_>) -> Checked<Append> {
    let expected_head = read_hash(r)?;
    let files = r.array(BRING_MAX)?;
    let bring = (0..files).map(|_| read_bring(r)).collect::<Checked<_>>()?;
    let count = r.array(EVENTS_MAX)?;
    let events = (0..count).map(|_| read_new_event(r)).collect::<Checked<_>>()?;
    let head_file = read_optional(r, |r| text(r, TEXT_BYTES_MAX))?;
    Ok(Append { expected_head, bring, events, head_file, idempotency_key: read_optional(r, key)? })
}

fn read_bring(r: &mut Reader<'_>) -> Checked<Bring> {
    r.array_of(2)?;
    Ok(Bring { from: read_path(r)?, to: read_path(r)? })
}

/// A path below the ledger's folder: plain names, and nothing that leads out of it.
fn read_path(r: &mut Reader<'_>) -> Checked<PathBuf> {
    let path = name(r)?;
    let is_plain = |name: &str| !name.is_empty() && name != "." && name != ".." && !name.contains('\0');
    if path.split('/').all(is_plain) {
        Ok(path.into())
    } else {
        Err(r.fault(format!("{path:?}; a path below the ledger's folder expected")))
    }
}

fn read_new_event(r: &mut Reader<'_>) -> Checked<NewEvent> {
    r.array_of(4)?;
    let (event_id, timestamp) = (name(r)?, r.uint()?);
    Ok(NewEvent { event_id, timestamp, event_type: r.parse::<EventType>()?, payload: r.bytes()?.to_vec() })
}

impl Answer {
    fn write(&self, w: &mut Writer) {
        match self {
            Answer::Hash(hash) => {
                w.array(2).text("hash");
                write_hash(w, hash.as_ref());
            }
            Answer::Event(event) => {
                w.array(2).text("event");
                write_optional(w, event.as_ref(), |w, event| {
                    event.write(w);
                    w
                });
            }
            Answer::Events(events) => {
                w.array(2).text("events").list(events);
            }
            Answer::SeqNo(number) => {
                w.array(2).text("seq-no");
                write_optional(w, number.as_ref(), |w, number| w.uint(*number));
            }
            Answer::Appended(hash) => {
                w.array(2).text("appended").bytes(hash);
            }
        }
    }
}

fn read_outcome(r: &mut Reader<'_>) -> Checked<Result<Answer, LedgerError>> {
    let items = r.reading("response").array(4)?;
    let word = r.text()?;
    let answer = match (word, items) {
        ("hash", 2) => Answer::Hash(read_hash(r)?),
        ("event", 2) => Answer::Event(read_optional(r, |r| Event::read(r).map(Box::new))?),
        ("events", 2) => Answer::Events(r.list(EVENTS_MAX)?),
        ("seq-no", 2) => Answer::SeqNo(read_optional(r, |r| r.uint())?),
        ("appended", 2) => Answer::Appended(r.bytes_of()?),
        ("refused", 4) => return refusal_behind_word(r).map(Err),
        _ => return Err(r.fault(format!("{word:?} with {items} items; one of SPEC 7.15 expected"))),
    };
    Ok(Ok(answer))
}

#[cfg(test)]
#[path = "wire/tests.rs"]
mod tests;

//! The functions that the schema calls. Each answers with a value or an error, never with NULL: a NULL would slip through a guard.

use std::str::FromStr as _;
use std::sync::{Arc, Mutex};

use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};

use crate::core::event::{
    EventHasher, EventParts, EventSigner, EventType, EventVerifier, PayloadForm, event_hash, event_id_follows, payload_ref,
    read_payload_ref,
};
use crate::core::ids::{Hash, kid_of};
use crate::core::limits::UINT_MAX;
use crate::core::rules::{Fault, Rule};
use crate::core::{cbor, event};

// INNOCUOUS, for trusted_schema is off; DETERMINISTIC, for a generated column takes nothing else. Never DIRECTONLY: no trigger could call.
const FLAGS: FunctionFlags = FunctionFlags::SQLITE_UTF8.union(FunctionFlags::SQLITE_DETERMINISTIC).union(FunctionFlags::SQLITE_INNOCUOUS);

/// Name and argument count of every function that only the unlocked connection has.
const SIGNING: [(&str, i32); 3] = [("tabellion_sign", 1), ("tabellion_public_key_id", 0), ("tabellion_verify", 3)];
const PURE: [(&str, i32); 10] = [
    ("tabellion_event_hash", 9),
    ("tabellion_follows", 2),
    ("tabellion_sha256", 1),
    ("tabellion_payload_ref", 1),
    ("tabellion_is_cbor", 1),
    ("tabellion_decides", 1),
    ("tabellion_record", 3),
    ("tabellion_adopted", 2),
    ("tabellion_is_record", 6),
    ("tabellion_is_decided", 3),
];

type Answer<T> = rusqlite::Result<T>;

fn refuse(fault: Fault) -> rusqlite::Error {
    rusqlite::Error::UserFunctionError(Box::new(fault))
}

/// The arguments of one call, read with the types the schema promises.
struct Args<'a, 'b> {
    name: &'static str,
    context: &'a Context<'b>,
}

impl Args<'_, '_> {
    fn wrong(&self, index: usize, expected: &str) -> rusqlite::Error {
        let found = self.context.get_raw(index).data_type();
        refuse(Fault::new(Rule::LedgerFault, format!("{} argument {}: {found} found; {expected} expected", self.name, index + 1)))
    }

    fn uint(&self, index: usize, least: u64) -> Answer<u64> {
        match self.context.get_raw(index) {
            ValueRef::Integer(value) => match u64::try_from(value) {
                Ok(value) if (least..=UINT_MAX).contains(&value) => Ok(value),
                _ => Err(self.wrong(index, &format!("an integer from {least} to 2^53 - 1"))),
            },
            _ => Err(self.wrong(index, "an integer")),
        }
    }

    fn text(&self, index: usize) -> Answer<&str> {
        match self.context.get_raw(index) {
            ValueRef::Text(bytes) => std::str::from_utf8(bytes).map_err(|_| self.wrong(index, "UTF-8")),
            _ => Err(self.wrong(index, "a text")),
        }
    }

    fn blob(&self, index: usize) -> Answer<&[u8]> {
        match self.context.get_raw(index) {
            ValueRef::Blob(bytes) => Ok(bytes),
            _ => Err(self.wrong(index, "a blob")),
        }
    }

    fn blob_of<const N: usize>(&self, index: usize) -> Answer<&[u8; N]> {
        self.blob(index)?.try_into().map_err(|_| self.wrong(index, &format!("a blob of {N} bytes")))
    }

    fn is_null(&self, index: usize) -> bool {
        matches!(self.context.get_raw(index), ValueRef::Null)
    }

    fn event_type(&self, index: usize) -> Answer<EventType> {
        EventType::from_str(self.text(index)?).map_err(refuse)
    }
}

/// What a `verdict` event gives, kept for the payload that came last: SQLite asks ten times for one event, and reading it costs the most.
#[derive(Default)]
struct LastVerdict(Mutex<Option<(Vec<u8>, event::VerdictRows)>>);

impl LastVerdict {
    /// Answers with what `answer` makes of the rows of this payload.
    fn of<T>(&self, payload: &[u8], answer: impl FnOnce(&event::VerdictRows) -> Answer<T>) -> Answer<T> {
        let Ok(mut last) = self.0.lock() else { return answer(&event::verdict_rows(payload).map_err(refuse)?) };
        let (_, rows) = match last.take() {
            Some(kept) if kept.0 == payload => last.insert(kept),
            _ => last.insert((payload.to_vec(), event::verdict_rows(payload).map_err(refuse)?)),
        };
        answer(rows)
    }
}

/// Registers what needs no key: enough to build the schema, not to insert.
pub(super) fn register_pure(db: &Connection) -> Answer<()> {
    let [hash, follows, sha256, reference, is_cbor, ..] = PURE;
    // SQLite asks for the hash of a row three times: for the signature, for the guards and for the column. It is computed once.
    let hasher = Mutex::new(EventHasher::new());
    db.create_scalar_function(hash.0, hash.1, FLAGS, move |context| {
        hash_of_row(&Args { name: hash.0, context }, |parts| {
            hasher.lock().map_or_else(|_| event_hash(parts), |mut hasher| hasher.hash(parts))
        })
    })?;
    db.create_scalar_function(follows.0, follows.1, FLAGS, move |context| {
        let args = Args { name: follows.0, context };
        let last = if args.is_null(0) { None } else { Some(args.text(0)?) };
        Ok(event_id_follows(last, args.text(1)?))
    })?;
    db.create_scalar_function(sha256.0, sha256.1, FLAGS, move |context| Ok(Hash::of(Args { name: sha256.0, context }.blob(0)?).0))?;
    db.create_scalar_function(reference.0, reference.1, FLAGS, move |context| {
        Ok(payload_ref(Args { name: reference.0, context }.blob(0)?))
    })?;
    db.create_scalar_function(is_cbor.0, is_cbor.1, FLAGS, move |context| {
        Ok(cbor::check(Args { name: is_cbor.0, context }.blob(0)?).is_ok())
    })?;
    register_derived(db)
}

/// Registers what the tables of records and verdicts are derived with.
fn register_derived(db: &Connection) -> Answer<()> {
    let [.., decides, record, adopted, is_record, is_decided] = PURE;
    let last = Arc::new(LastVerdict::default());
    let verdict = Arc::clone(&last);
    db.create_scalar_function(decides.0, decides.1, FLAGS, move |context| {
        verdict.of(Args { name: decides.0, context }.blob(0)?, |rows| Ok(rows.pid.0))
    })?;
    let verdict = Arc::clone(&last);
    db.create_scalar_function(record.0, record.1, FLAGS, move |context| {
        let args = Args { name: record.0, context };
        let (field, epoch) = (args.text(0)?, args.uint(2, 1)?);
        verdict.of(args.blob(1)?, |rows| field_of(field, rows.record.as_ref(), epoch))
    })?;
    db.create_scalar_function(adopted.0, adopted.1, FLAGS, move |context| {
        let args = Args { name: adopted.0, context };
        let mut epoch = args.uint(1, 1)?;
        let row = |record: &event::RecordHead| {
            epoch = record.writer_epoch.unwrap_or(epoch);
            record_json(record, epoch)
        };
        let rows: Vec<String> = event::records_of_adopted(args.blob(0)?).map_err(refuse)?.iter().map(row).collect();
        Ok(format!("[{}]", rows.join(",")))
    })?;
    let verdict = Arc::clone(&last);
    db.create_scalar_function(is_record.0, is_record.1, FLAGS, move |context| {
        is_record_of(&Args { name: is_record.0, context }, &verdict)
    })?;
    db.create_scalar_function(is_decided.0, is_decided.1, FLAGS, move |context| {
        let args = Args { name: is_decided.0, context };
        match args.event_type(0)? {
            EventType::Verdict => {
                let pid = args.blob_of::<32>(2)?;
                last.of(args.blob(1)?, |rows| Ok(rows.pid.0 == *pid))
            }
            other => Ok(other == EventType::Adopted),
        }
    })
}

/// One column of the record in a verdict, or how many there are.
fn field_of(field: &str, record: Option<&event::RecordHead>, epoch: u64) -> Answer<Value> {
    let integer =
        |value: u64| i64::try_from(value).map(Value::Integer).map_err(|error| rusqlite::Error::UserFunctionError(Box::new(error)));
    match (field, record) {
        ("count", record) => Ok(Value::Integer(i64::from(record.is_some()))),
        ("number", Some(record)) => integer(record.number),
        ("pid", Some(record)) => Ok(Value::Blob(record.pid.0.to_vec())),
        ("ledger_head", Some(record)) => Ok(Value::Blob(record.ledger_head.to_vec())),
        ("session", Some(record)) => integer(record.session),
        ("writer_epoch", Some(record)) => integer(record.writer_epoch.unwrap_or(epoch)),
        (field, record) => {
            let found = if record.is_some() { "a record" } else { "no record" };
            Err(refuse(Fault::new(
                Rule::LedgerFault,
                format!("tabellion_record: {field:?} of {found} found; a column of a record expected"),
            )))
        }
    }
}

/// Number, pid, ledger head, session, and the epoch in force behind the record.
fn record_json(record: &event::RecordHead, epoch: u64) -> String {
    format!("[{},\"{}\",\"{}\",{},{epoch}]", record.number, record.pid, hex::encode(record.ledger_head), record.session)
}

fn hash_of_row(args: &Args<'_, '_>, hash: impl FnOnce(&EventParts<'_>) -> [u8; 32]) -> Answer<[u8; 32]> {
    let payload = match (args.is_null(4), args.is_null(5)) {
        (false, true) => PayloadForm::Bytes(args.blob(4)?),
        (true, false) => {
            let (sha256, length) = read_payload_ref(args.blob(5)?).map_err(refuse)?;
            PayloadForm::Ref { sha256, length }
        }
        _ => return Err(args.wrong(4, "exactly one of payload and payload_ref")),
    };
    Ok(hash(&EventParts {
        seq_no: args.uint(0, 1)?,
        event_id: args.text(1)?,
        timestamp: args.uint(2, 0)?,
        event_type: args.event_type(3)?,
        payload,
        prev_event_hash: args.blob_of(6)?,
        public_key_id: &Hash(*args.blob_of(7)?),
        writer_epoch: args.uint(8, 1)?,
    }))
}

// Adopted records are many to an event; looking each up in the payload would cost the square of their number. Start-up compares them.
fn is_record_of(args: &Args<'_, '_>, last: &LastVerdict) -> Answer<bool> {
    match args.event_type(0)? {
        EventType::Verdict => {
            let (number, session) = (args.uint(2, 1)?, args.uint(5, 0)?);
            let (pid, ledger_head) = (args.blob_of::<32>(3)?, args.blob_of::<32>(4)?);
            last.of(args.blob(1)?, |rows| {
                let record = rows.record.as_ref();
                Ok(record.is_some_and(|r| r.number == number && r.pid.0 == *pid && r.ledger_head == *ledger_head && r.session == session))
            })
        }
        other => Ok(other == EventType::Adopted),
    }
}

/// Registers everything: from now on this connection can append.
pub(super) fn register_all(db: &Connection, signer: Arc<dyn EventSigner>) -> Answer<()> {
    register_pure(db)?;
    let public_key = signer.public_key();
    let kid = kid_of(&public_key);
    let verifier = EventVerifier::new(&public_key);
    // The signature made last by this connection: verifying it once more here would cost three times what making it did. Every signature of
    // a commit is verified before COMMIT, as stored.
    let made = Arc::new(Mutex::new(None::<([u8; 32], [u8; 64])>));
    let [sign, key_id, verify] = SIGNING;
    let remember = Arc::clone(&made);
    db.create_scalar_function(sign.0, sign.1, FLAGS, move |context| {
        let hash = *Args { name: sign.0, context }.blob_of::<32>(0)?;
        let signature = signer.sign_event(&hash);
        if let Ok(mut made) = remember.lock() {
            *made = Some((hash, signature));
        }
        Ok(signature)
    })?;
    db.create_scalar_function(key_id.0, key_id.1, FLAGS, move |_| Ok(kid.0))?;
    db.create_scalar_function(verify.0, verify.1, FLAGS, move |context| {
        let args = Args { name: verify.0, context };
        let (hash, signature) = (args.blob_of::<32>(0)?, args.blob_of::<64>(1)?);
        let just_made = made.lock().is_ok_and(|made| *made == Some((*hash, *signature)));
        Ok(*args.blob_of::<32>(2)? == kid.0 && (just_made || verifier.is_some_and(|verifier| verifier.holds(hash, signature))))
    })
}

/// Registers what rebuilding needs: stored signatures are verified strictly, against every key there was, and none is ever made.
pub(super) fn register_stored(db: &Connection, ledger_keys: Vec<[u8; 32]>) -> Answer<()> {
    register_pure(db)?;
    let keys: Vec<(Hash, [u8; 32])> = ledger_keys.into_iter().map(|key| (kid_of(&key), key)).collect();
    let [_, _, verify] = SIGNING;
    db.create_scalar_function(verify.0, verify.1, FLAGS, move |context| {
        let args = Args { name: verify.0, context };
        let (hash, signature, kid) = (args.blob_of::<32>(0)?, args.blob_of::<64>(1)?, Hash(*args.blob_of::<32>(2)?));
        Ok(keys.iter().any(|(known, key)| *known == kid && event::signature_holds(key, hash, signature)))
    })
}

/// Takes every function away again, the signer with them.
pub(super) fn remove_all(db: &Connection) -> Answer<()> {
    SIGNING.iter().chain(&PURE).try_for_each(|&(name, arity)| db.remove_function(name, arity))
}

//! Reading the trail: what is looked for is bound to one statement's parameters, so that no word of a caller becomes SQL.

use rusqlite::types::ValueRef;
use rusqlite::{Row, named_params};

use super::{Asked, Ended, Status, Trail, Uint};
use crate::core::rules::{Checked, Fault, Rule};

/// Which requests are looked for. Everything that is named must fit; the default is all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Asked at this Unix second or later.
    pub since: Option<u64>,
    /// Asked at this Unix second or before.
    pub until: Option<u64>,
    /// By this command.
    pub program: Option<String>,
    /// Of this type.
    pub request_type: Option<String>,
    /// That ended so.
    pub status: Option<Status>,
    /// That have no outcome.
    pub only_unfinished: bool,
    /// By this user.
    pub uid: Option<u32>,
    /// That would change something.
    pub only_writes: bool,
    /// Only this one.
    pub request: Option<Which>,
    /// Of those that fit only so many, the last that were recorded.
    pub last: Option<u64>,
}

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// With this number in the trail.
    Number(u64),
    /// With this id.
    Id([u8; 16]),
}

/// A request of the trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// 1, 2, 3, … in the order in which they were recorded.
    pub number: u64,
    /// What was asked, and by whom.
    pub asked: Asked,
    /// How it ended; `None` while it runs, and for ever when its process ended first.
    pub ended: Option<Ended>,
}

const FROM: &str = "FROM requests r LEFT JOIN outcomes o ON o.number = r.number
  WHERE (:since IS NULL OR r.at >= :since) AND (:until IS NULL OR r.at <= :until)
    AND (:program IS NULL OR r.program = :program) AND (:type IS NULL OR r.type = :type)
    AND (:status IS NULL OR o.status = :status) AND (NOT :only_unfinished OR o.number IS NULL)
    AND (:uid IS NULL OR r.uid = :uid) AND (NOT :only_writes OR r.is_write = 1)
    AND (:number IS NULL OR r.number = :number) AND (:request_id IS NULL OR r.request_id = :request_id)";

const COLUMNS: &str = "r.number, r.request_id, r.at, r.uid, r.pid, r.program, r.ledger, r.type, r.is_write, r.key, r.idempotency_key,
    o.status, o.rule, o.latency_us, o.affected";

impl Trail {
    /// Hands over the requests that fit, in the order in which they were recorded, all from one state; ends at the first error of `take`.
    ///
    /// # Errors
    /// `trail-fault` naming the request with a value that no row may have; `disk-fault`; and whatever `take` answers.
    pub fn for_each(&self, filter: &Filter, mut take: impl FnMut(Entry) -> Checked<()>) -> Checked<()> {
        // From the end, as many as are wanted, and those turned round. Without a bound nothing needs to be turned.
        let text = match filter.last {
            Some(_) => format!("SELECT * FROM (SELECT {COLUMNS} {FROM} ORDER BY r.number DESC LIMIT :last) ORDER BY 1"),
            None => format!("SELECT {COLUMNS} {FROM} AND :last IS NULL ORDER BY r.number"),
        };
        self.select(&text, filter, |row| take(self.entry(row)?))
    }

    /// How many requests fit, whatever [`Filter::last`] is.
    ///
    /// # Errors
    /// `trail-fault`, `disk-fault`.
    pub fn count(&self, filter: &Filter) -> Checked<u64> {
        let mut count = 0;
        let filter = Filter { last: None, ..filter.clone() };
        self.select(&format!("SELECT count(*) {FROM} AND :last IS NULL"), &filter, |row| {
            count = self.uint(row, 0, "the count", u64::MAX)?;
            Ok(())
        })?;
        Ok(count)
    }

    /// How many numbers up to the last one have no request: rows that were taken out with the guards out of the way. What was taken from the end is
    /// not seen.
    ///
    /// # Errors
    /// `trail-fault`, `disk-fault`.
    pub fn missing(&self) -> Checked<u64> {
        let text = "SELECT coalesce(max(number), 0) - count(*) FROM requests";
        let found = self.db.query_row(text, [], |row| row.get::<_, Uint>(0));
        found.map(|Uint(missing)| missing).map_err(|error| self.fault("counting requests", &error))
    }

    fn select(&self, text: &str, filter: &Filter, mut take: impl FnMut(&Row<'_>) -> Checked<()>) -> Checked<()> {
        let fault = |error: rusqlite::Error| self.fault("reading requests", &error);
        let mut statement = self.db.prepare_cached(text).map_err(fault)?;
        let most = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let (number, request_id) = match filter.request {
            Some(Which::Number(number)) => (Some(most(number)), None),
            Some(Which::Id(id)) => (None, Some(id)),
            None => (None, None),
        };
        let bound = named_params! {
            ":since": filter.since.map(most),
            ":until": filter.until.map(most),
            ":program": filter.program,
            ":type": filter.request_type,
            ":status": filter.status.map(Status::word),
            ":only_unfinished": filter.only_unfinished,
            ":uid": filter.uid,
            ":only_writes": filter.only_writes,
            ":number": number,
            ":request_id": request_id,
            ":last": filter.last.map(most),
        };
        let mut rows = statement.query(bound).map_err(fault)?;
        while let Some(row) = rows.next().map_err(fault)? {
            take(row)?;
        }
        Ok(())
    }

    fn entry(&self, row: &Row<'_>) -> Checked<Entry> {
        let small = |at, name: &str| Ok::<_, Fault>(u32::try_from(self.uint(row, at, name, u32::MAX.into())?).unwrap_or(u32::MAX));
        let request_id = match row.get_ref(1) {
            Ok(ValueRef::Blob(bytes)) => bytes.try_into().ok(),
            _ => None,
        };
        let asked = Asked {
            request_id: request_id.ok_or_else(|| self.wrong(row, 1, "request_id", "16 bytes"))?,
            at: self.uint(row, 2, "at", u64::MAX)?,
            uid: small(3, "uid")?,
            pid: small(4, "pid")?,
            program: self.text(row, 5, "program")?,
            ledger: self.text(row, 6, "ledger")?,
            request_type: self.text(row, 7, "type")?,
            is_write: self.uint(row, 8, "is_write", 1)? == 1,
            key: self.text(row, 9, "key")?,
            idempotency_key: if is_null(row, 10) { None } else { Some(self.text(row, 10, "idempotency_key")?) },
        };
        let ended = if is_null(row, 11) { None } else { Some(self.ended(row)?) };
        Ok(Entry { number: self.uint(row, 0, "number", u64::MAX)?, asked, ended })
    }

    fn ended(&self, row: &Row<'_>) -> Checked<Ended> {
        let status = Status::from_word(&self.text(row, 11, "status")?);
        Ok(Ended {
            status: status.ok_or_else(|| self.wrong(row, 11, "status", "one of the seven words"))?,
            rule: self.text(row, 12, "rule")?,
            latency_us: self.uint(row, 13, "latency_us", u64::MAX)?,
            affected: self.text(row, 14, "affected")?,
        })
    }

    fn uint(&self, row: &Row<'_>, at: usize, name: &str, most: u64) -> Checked<u64> {
        match row.get_ref(at) {
            Ok(ValueRef::Integer(found)) if u64::try_from(found).is_ok_and(|found| found <= most) => Ok(found.unsigned_abs()),
            _ => Err(self.wrong(row, at, name, &format!("a number up to {most}"))),
        }
    }

    /// A text; bytes of it that are not UTF-8, which no guard keeps out, stand as `\xff`.
    fn text(&self, row: &Row<'_>, at: usize, name: &str) -> Checked<String> {
        let Ok(ValueRef::Text(bytes)) = row.get_ref(at) else { return Err(self.wrong(row, at, name, "a text")) };
        let escaped = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
        Ok(bytes.utf8_chunks().map(|chunk| format!("{}{}", chunk.valid(), escaped(chunk.invalid()))).collect())
    }

    fn wrong(&self, row: &Row<'_>, at: usize, name: &str, expected: &str) -> Fault {
        let number = row.get::<_, i64>(0).unwrap_or_default();
        let found = match row.get_ref(at) {
            Ok(ValueRef::Integer(found)) => found.to_string(),
            Ok(ValueRef::Text(found)) => format!("{:?}", String::from_utf8_lossy(found).chars().take(64).collect::<String>()),
            Ok(ValueRef::Blob(found)) => format!("a blob of {} bytes", found.len()),
            Ok(ValueRef::Null) => "nothing".to_owned(),
            Ok(ValueRef::Real(found)) => found.to_string(),
            Err(error) => error.to_string(),
        };
        Fault::new(Rule::TrailFault, format!("{}: request {number}: {name} is {found}; {expected} expected", self.path.display()))
    }
}

fn is_null(row: &Row<'_>, at: usize) -> bool {
    matches!(row.get_ref(at), Ok(ValueRef::Null))
}

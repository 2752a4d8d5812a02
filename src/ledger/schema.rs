//! The schema that is compiled in, and how a file's is compared with it: byte for byte, and told in words.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::fault;
use super::functions;
use crate::core::rules::{Checked, Fault, Rule};

/// The schema's text.
pub(super) const SCHEMA: &str = include_str!("schema.sql");

/// Most characters of a statement that are shown.
const SHOWN_MAX: usize = 200;

/// Type and name of an entry, as `trigger events_no_update`, with its table and its statement.
type Entries = BTreeMap<String, (String, Option<String>)>;

/// The file's schema is the compiled-in one, byte for byte, and the connection has nothing temporary.
///
/// # Errors
/// `ledger-fault` naming the first entry that is missing, reads otherwise, or is one too many, and how many more there are.
pub(super) fn compare_schema(db: &Connection) -> Checked<()> {
    let model = Connection::open_in_memory().map_err(fault("building the schema"))?;
    functions::register_pure(&model).map_err(fault("building the schema"))?;
    model.execute_batch(SCHEMA).map_err(fault("building the schema"))?;
    if let Some(difference) = difference(db, &model).map_err(fault("reading the schema"))? {
        return Err(Fault::new(Rule::LedgerFault, format!("the schema of the file: {difference}")));
    }
    let temporary: i64 =
        db.query_row("SELECT count(*) FROM sqlite_temp_schema", [], |row| row.get(0)).map_err(fault("reading the temporary schema"))?;
    if temporary == 0 {
        Ok(())
    } else {
        Err(Fault::new(Rule::LedgerFault, format!("{temporary} temporary schema entries found; 0 expected")))
    }
}

/// The first entry that is missing, reads otherwise, or is one too many, compared with a model, and how many more there are.
pub(super) fn difference(db: &Connection, model: &Connection) -> rusqlite::Result<Option<String>> {
    let differences = differences(&entries(db)?, &entries(model)?);
    Ok(differences.first().map(|first| match differences.len() {
        1 => first.clone(),
        all => format!("{first}; {} more entries differ", all - 1),
    }))
}

fn entries(db: &Connection) -> rusqlite::Result<Entries> {
    let mut statement = db.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema")?;
    let rows = statement.query_map([], |row| {
        let (kind, name): (String, String) = (row.get(0)?, row.get(1)?);
        Ok((format!("{kind} {name}"), (row.get(2)?, row.get(3)?)))
    })?;
    let mut out = Entries::new();
    for row in rows {
        let (mut entry, what) = row?;
        // Two entries of one name, which SQLite never makes: both count.
        while out.contains_key(&entry) {
            entry.push_str(" (again)");
        }
        out.insert(entry, what);
    }
    Ok(out)
}

fn differences(found: &Entries, expected: &Entries) -> Vec<String> {
    if found.is_empty() {
        return vec![format!("0 schema entries found; {} expected", expected.len())];
    }
    let missing = expected.keys().filter(|entry| !found.contains_key(*entry)).map(|entry| format!("no {entry} found; one expected"));
    let other = expected.iter().filter_map(|(entry, (table, sql))| {
        let (found_table, found_sql) = found.get(entry)?;
        if found_table != table {
            return Some(format!("{entry} found on {found_table}; on {table} expected"));
        }
        (found_sql != sql).then(|| {
            let (found, expected) = (found_sql.as_deref().unwrap_or_default(), sql.as_deref().unwrap_or_default());
            let same = found.chars().zip(expected.chars()).take_while(|(found, expected)| found == expected).count();
            format!("{entry} found with {:?} behind its {same} first characters; {:?} expected", shown(found, same), shown(expected, same))
        })
    });
    let more = found.iter().filter(|(entry, _)| !expected.contains_key(*entry));
    let more = more.map(|(entry, (table, _))| format!("{entry} on {table} found; no such entry expected"));
    missing.chain(other).chain(more).collect()
}

/// What stands behind the characters that are the same.
fn shown(text: &str, same: usize) -> String {
    text.chars().skip(same).take(SHOWN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_difference_of_two_schemas_is_told_in_words() {
        let entry = |name: &str, table: &str, sql: &str| (name.to_owned(), (table.to_owned(), Some(sql.to_owned())));
        let expected: Entries = [entry("table a", "a", "CREATE TABLE a (x)"), entry("trigger t", "a", "one two")].into();
        assert_eq!(differences(&expected, &expected), Vec::<String>::new());
        let told = |found: &[(String, (String, Option<String>))]| differences(&found.iter().cloned().collect(), &expected);
        assert_eq!(told(&[]), ["0 schema entries found; 2 expected"]);
        assert_eq!(told(&[entry("table a", "a", "CREATE TABLE a (x)")]), ["no trigger t found; one expected"]);
        let first = entry("table a", "a", "CREATE TABLE a (x)");
        assert_eq!(told(&[first.clone(), entry("trigger t", "b", "one two")]), ["trigger t found on b; on a expected"]);
        assert_eq!(
            told(&[first.clone(), entry("trigger t", "a", "one four")]),
            ["trigger t found with \"four\" behind its 4 first characters; \"two\" expected"]
        );
        assert_eq!(
            told(&[first, entry("trigger t", "a", "one two"), entry("view v", "v", "")]),
            ["view v on v found; no such entry expected"]
        );
        assert_eq!(told(&[entry("view v", "v", "")]).len(), 3, "two missing and one too many");
    }
}

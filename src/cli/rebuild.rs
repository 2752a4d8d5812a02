//! `witness rebuild`: the derived tables made again from the events, compared, and put right when that is asked for.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::run::problem::{Exit, Outcomes};
use crate::run::rebuild::{self as run, Rebuilt};
use crate::run::words;

use super::output::{Answer, Output, Page};

/// `tabellion witness rebuild`
#[derive(Args)]
pub struct RebuildArgs {
    /// The desk's folder
    #[arg(long, value_name = "DIR")]
    ledger: PathBuf,
    /// Put what was built in the place of what differs; the database that was there is kept in quarantine/
    #[arg(long)]
    replace: bool,
}

/// `witness rebuild`
#[derive(Serialize)]
struct Rebuild {
    /// Whether everything derived is what follows from the events.
    equal: bool,
    /// Events, each verified by itself.
    events: u64,
    /// The derived tables.
    tables: Vec<Table>,
    /// What a start finds in the file although its tables are right.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// Where the database that was there is kept; absent when nothing was replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<String>,
    /// Objects that the events name: they follow from no event.
    objects: Objects,
    /// Why the desk signs nothing; this changes nothing about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    halted: Option<String>,
    /// The desk's folder.
    desk: String,
}

/// A derived table.
#[derive(Serialize)]
struct Table {
    /// `records`, `verdicts` or `payloads`.
    name: &'static str,
    /// Rows that follow from the events.
    rows: u64,
    /// Rows that are otherwise, missing, or too many.
    differ: u64,
    /// The first 32 of them.
    differences: Vec<Difference>,
}

#[derive(Serialize)]
struct Difference {
    /// Its key.
    key: String,
    /// The row as found; absent when it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<String>,
    /// The row as it follows from the events; absent when it follows from none.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
}

#[derive(Serialize)]
struct Objects {
    /// In packs and under held papers.
    named: u64,
    /// Of those, in files that are what the events say.
    there: u64,
    /// Files that are missing or something else.
    wrong: Vec<String>,
}

impl Rebuild {
    fn of(rebuilt: &Rebuilt, desk: &std::path::Path) -> Rebuild {
        Rebuild {
            equal: !rebuilt.differs(),
            events: rebuilt.events,
            tables: rebuilt
                .tables
                .iter()
                .map(|table| Table {
                    name: table.name,
                    rows: table.rows,
                    differ: table.differ,
                    differences: table
                        .differences
                        .iter()
                        .map(|row| Difference { key: row.key.clone(), found: row.found.clone(), expected: row.expected.clone() })
                        .collect(),
                })
                .collect(),
            file: rebuilt.file.as_ref().map(|found| format!("{}: {}", found.key, found.found.as_deref().unwrap_or_default())),
            kept: rebuilt.kept.as_ref().map(|path| path.display().to_string()),
            objects: Objects {
                named: rebuilt.objects.named,
                there: rebuilt.objects.there,
                wrong: rebuilt.objects.wrong.iter().map(|path| path.display().to_string()).collect(),
            },
            halted: rebuilt.halted.clone(),
            desk: desk.display().to_string(),
        }
    }
}

impl Answer for Rebuild {
    fn say(&self, page: &mut Page) {
        page.labelled("events", format!("{}, each verified by itself", self.events));
        for table in &self.tables {
            let rows = words::count(table.rows as usize, "row");
            let differ = if table.differ == 0 { "all as the events give them".to_owned() } else { format!("{} DIFFER", table.differ) };
            page.labelled(table.name, format!("{rows}, {differ}"));
            for row in &table.differences {
                page.below("row", &row.key);
                page.below("found", row.found.as_deref().unwrap_or("nothing"));
                page.below("wanted", row.expected.as_deref().unwrap_or("nothing"));
            }
            if table.differ > table.differences.len() as u64 {
                page.below("", format!("and {} more", table.differ - table.differences.len() as u64));
            }
        }
        if let Some(found) = &self.file {
            page.labelled("file", format!("its tables are right, and a start finds {found}"));
        }
        let Objects { named, there, wrong } = &self.objects;
        page.labelled("objects", format!("{there} of the {named} that the events name are there; they follow from no event"));
        for path in wrong {
            page.below("wrong", format!("{path}: missing, or not what its event says; bring it from another copy of the desk"));
        }
        if let Some(reason) = &self.halted {
            page.labelled("HALTED", format!("{reason}; rebuilding does not end that"));
        }
        match (&self.kept, self.equal) {
            (Some(kept), _) => {
                page.labelled("done", format!("what was built is the ledger now; the database that was there is {kept}"));
                page.labelled("next", format!("tabellion witness integrity --ledger {}; and find out who wrote to the file", self.desk));
            }
            (None, true) => page.labelled("done", "everything derived is what follows from the events; nothing was replaced"),
            (None, false) => {
                page.labelled("done", "nothing was changed");
                page.labelled("next", "keep a copy of the disk as evidence, then put what was built in its place:");
                page.labelled("", format!("tabellion witness rebuild --ledger {} --replace", self.desk));
            }
        }
    }
}

/// Runs it.
pub fn rebuild(args: &RebuildArgs, out: &mut Output) -> Outcomes<Exit> {
    let progress = out.progress(false);
    let rebuilt = run::rebuild(&args.ledger, args.replace, &mut |effect, what| progress.effect(effect, what))?;
    drop(progress);
    out.give(&Rebuild::of(&rebuilt, &args.ledger));
    Ok(if rebuilt.differs() && rebuilt.kept.is_none() { Exit::Differs } else { Exit::Done })
}

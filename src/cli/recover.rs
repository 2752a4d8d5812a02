//! `ceremony recover`: two copies of a ledger shown side by side, and the order that lets one of them stay.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::core::cbor::Canonical as _;
use crate::core::ids::{Hash, Text};
use crate::run::branches::{Relation, Which};
use crate::run::desk::Desk;
use crate::run::order::write_payload;
use crate::run::problem::{Exit, Outcomes};
use crate::run::recover::{self as recovering, Parted, Recovered};

use super::argument;
use super::facts::sha256;
use super::order::{Order, texts};
use super::output::{Answer, Output, Page};
use super::passphrase::PassphraseArgs;

/// `tabellion ceremony recover`
#[derive(Args)]
pub struct RecoverArgs {
    /// The desk's folder
    #[arg(long, value_name = "DIR")]
    ledger: PathBuf,
    /// The other copy: its folder, or its database
    #[arg(long, value_name = "PATH")]
    against: PathBuf,
    /// Write the order that lets one copy stay here, for the governors to sign
    #[arg(long, value_name = "FILE", conflicts_with = "order", requires = "stays")]
    write_order: Option<PathBuf>,
    /// Which copy stays by that order
    #[arg(long, requires = "write_order")]
    stays: Option<Stays>,
    /// The custodians' words in that order, for people
    #[arg(long, value_name = "TEXT", requires = "write_order", value_parser = argument::typed::<Text>)]
    note: Option<Text>,
    /// Carry out this order; give the option again for each signed copy of it
    #[arg(long, value_name = "FILE")]
    order: Vec<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Which of two copies stays.
#[derive(Clone, Copy, ValueEnum)]
enum Stays {
    /// The desk of --ledger
    Ours,
    /// The copy of --against
    Theirs,
}

/// Runs it.
pub fn recover(args: &RecoverArgs, out: &mut Output) -> Outcomes<Exit> {
    if !args.order.is_empty() {
        return carry_out(args, out);
    }
    let desk = Desk::open_to_look(&args.ledger)?;
    let parted = Parted::of(desk.ledger(), &args.against)?;
    let mut shown = Shown { parted: PartedSeen::of(&parted, args), order: None, file: None };
    if let (Some(path), Some(stays)) = (&args.write_order, args.stays) {
        let which = if matches!(stays, Stays::Ours) { Which::Ours } else { Which::Theirs };
        let order = recovering::draft(&parted, which, args.note.clone())?;
        write_payload(path, &order)?;
        shown.order = Some(Order::of(&Hash::of(&order.to_cbor()), &order));
        shown.file = Some(path.display().to_string());
    }
    out.give(&shown);
    Ok(Exit::Done)
}

/// Two copies of a ledger.
#[derive(Serialize)]
struct PartedSeen {
    /// `equal`, `forked`, `ours-is-older`, `theirs-is-older` or `other-common`.
    relation: &'static str,
    /// The last event that both have: its `seq_no`, `event_id` and `event_hash`.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_common: Option<Event>,
    /// This desk's copy.
    ours: Side,
    /// The other.
    theirs: Side,
}

/// An event.
#[derive(Serialize)]
struct Event {
    seq_no: u64,
    event_id: String,
    event_hash: String,
}

/// One copy, behind the last common event.
#[derive(Serialize)]
struct Side {
    /// Where it lies.
    folder: String,
    /// How many events.
    events: u64,
    /// Hash of the last, `halt` events left aside: what an order names.
    end: String,
    /// Sessions.
    sessions: Vec<u64>,
    /// Numbers made there.
    numbers: Vec<Made>,
    /// Papers with a final answer.
    papers: Vec<Answered>,
    /// Texts that were signed there and not in the other: those to settle when this copy goes.
    texts: Vec<Signed>,
}

/// A number.
#[derive(Serialize)]
struct Made {
    number: u64,
    root: String,
    paper: String,
    /// Whether its checkpoint is signed, and may have left the machine.
    sealed: bool,
}

/// A paper.
#[derive(Serialize)]
struct Answered {
    paper: String,
    answer: String,
}

/// A text.
#[derive(Serialize)]
struct Signed {
    sha256: String,
    what: String,
}

impl PartedSeen {
    fn of(parted: &Parted, args: &RecoverArgs) -> PartedSeen {
        let comparison = parted.branches.comparison();
        let relation = match comparison.relation {
            Relation::Equal => "equal",
            Relation::Forked => "forked",
            Relation::OursIsOlder => "ours-is-older",
            Relation::TheirsIsOlder => "theirs-is-older",
            Relation::OtherCommon => "other-common",
        };
        let last_common = comparison.last_common.as_ref().map(|place| Event {
            seq_no: place.seq_no,
            event_id: place.event_id.clone(),
            event_hash: hex::encode(place.event_hash),
        });
        let [ours, theirs] =
            [(Which::Ours, &args.ledger), (Which::Theirs, &args.against)].map(|(which, folder)| Side::of(parted, which, folder));
        PartedSeen { relation, last_common, ours, theirs }
    }

    fn say(&self, page: &mut Page) {
        page.labelled(
            "found",
            match self.relation {
                "equal" => "one history: both copies have the same events",
                "forked" => "a fork: both copies go on behind the last common event",
                "ours-is-older" => "this copy is older: the other goes on where this one ends",
                "theirs-is-older" => "the other copy is older: this one goes on where it ends",
                _ => "ledgers of two Commons, which have nothing to do with each other",
            },
        );
        if let Some(event) = &self.last_common {
            page.labelled("common", format!("up to event {} ({}), {}", event.seq_no, event.event_id, event.event_hash));
        }
        self.ours.say("ours", page);
        self.theirs.say("theirs", page);
    }
}

impl Side {
    fn of(parted: &Parted, which: Which, folder: &Path) -> Side {
        let branch = parted.branches.comparison().branch(which);
        let made = branch.records.iter().map(|made| Made {
            number: made.head.number,
            root: made.head.root.hex(),
            paper: sha256(&made.pid),
            sealed: made.sealed,
        });
        let signed = parted.branches.to_settle(which).into_iter();
        Side {
            folder: folder.display().to_string(),
            events: branch.events,
            end: parted.end(which).hex(),
            sessions: branch.sessions.clone(),
            numbers: made.collect(),
            papers: branch.decided.iter().map(|(pid, answer)| Answered { paper: sha256(pid), answer: answer.clone() }).collect(),
            texts: signed.map(|text| Signed { sha256: sha256(&text.sha256), what: text.what.clone() }).collect(),
        }
    }

    fn say(&self, label: &str, page: &mut Page) {
        page.labelled(label, format!("{}: {} behind it, to {}", self.folder, events(self.events), self.end));
        for made in &self.numbers {
            let sealed = if made.sealed { "signed: it may have left that machine" } else { "not signed" };
            page.line(format!("    common@{} {} by paper {}, {sealed}", made.number, made.root, made.paper));
        }
        for answered in &self.papers {
            page.line(format!("    paper {}: {}", answered.paper, answered.answer));
        }
        if !self.texts.is_empty() {
            page.line(format!("    when this copy goes, an order to resume has to settle {}:", texts(self.texts.len())));
            self.texts.iter().for_each(|text| page.line(format!("      {} {}", text.sha256, text.what)));
        }
    }
}

fn events(count: u64) -> String {
    match count {
        0 => "no event".into(),
        1 => "1 event".into(),
        count => format!("{count} events"),
    }
}

/// `ceremony recover` without an order to carry out.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    parted: PartedSeen,
    /// The order that was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<Order>,
    /// Where it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
}

impl Answer for Shown {
    fn say(&self, page: &mut Page) {
        self.parted.say(page);
        if let Some((order, file)) = self.order.as_ref().zip(self.file.as_ref()) {
            let (stays, goes) = match order.subject.as_deref() == Some(self.parted.ours.end.as_str()) {
                true => (&self.parted.ours, &self.parted.theirs),
                false => (&self.parted.theirs, &self.parted.ours),
            };
            order.say(page);
            page.labelled("wrote", file);
            page.labelled("next", format!("have the governors run: tabellion approve {file}"));
            let signed = Path::new(file).with_extension("cose").display().to_string();
            page.labelled(
                "",
                format!(
                    "then, at the desk that stays: tabellion ceremony recover --ledger {} --against {} --order {signed}",
                    stays.folder, goes.folder
                ),
            );
        } else if ["forked", "ours-is-older"].contains(&self.parted.relation) {
            page.labelled(
                "next",
                "show this to the governors. When they have chosen, add: --write-order recover.payload --stays ours, or theirs",
            );
        }
    }
}

/// An order that will be carried out.
#[derive(Serialize)]
struct ToRecover {
    parted: PartedSeen,
    order: Order,
}

impl Answer for ToRecover {
    fn say(&self, page: &mut Page) {
        self.parted.say(page);
        self.order.say(page);
    }
}

/// `ceremony recover` with an order
#[derive(Serialize)]
struct Chosen {
    /// The order.
    order: String,
    /// Whether it was carried out now; else it had been before.
    is_new: bool,
    /// Number of the last event that both copies have.
    last_common_seq_no: u64,
    /// Where the events of the copy that goes are kept.
    quarantine: String,
    /// SHA-256 of the texts that an order to resume may settle now.
    texts: Vec<String>,
    /// SHA-256 of the dossier of the halt; absent when it has ended since.
    #[serde(skip_serializing_if = "Option::is_none")]
    dossier: Option<String>,
    /// The desk's folder.
    #[serde(skip)]
    desk: String,
}

impl Chosen {
    fn of(recovered: &Recovered, desk: &Path) -> Chosen {
        Chosen {
            order: sha256(&recovered.order),
            is_new: recovered.is_new,
            last_common_seq_no: recovered.event.common,
            quarantine: recovered.quarantine.display().to_string(),
            texts: recovered.event.texts.iter().map(sha256).collect(),
            dossier: recovered.halt.as_ref().map(|halt| sha256(&halt.dossier)),
            desk: desk.display().to_string(),
        }
    }
}

impl Answer for Chosen {
    fn say(&self, page: &mut Page) {
        let when = if self.is_new { "now" } else { "some time ago; nothing was left to do" };
        page.labelled("chosen", format!("by order {}, {when}", self.order));
        page.labelled("stays", format!("{}, every event and number as it was", self.desk));
        page.labelled("goes", format!("what the other has behind event {}: kept in {}", self.last_common_seq_no, self.quarantine));
        page.labelled("to settle", texts(self.texts.len()));
        self.texts.iter().for_each(|text| page.line(format!("    {text}")));
        match &self.dossier {
            Some(dossier) => {
                page.labelled("HALTED", format!("over dossier {dossier}: the log key signs nothing until an order to resume"));
                page.labelled("next", format!("tabellion ceremony resume --ledger {} --write-order resume.payload", self.desk));
            }
            None => page.labelled("next", "nothing: an order to resume has ended the halt"),
        }
    }
}

fn carry_out(args: &RecoverArgs, out: &mut Output) -> Outcomes<Exit> {
    let progress = out.progress(false);
    let mut confirm = |order: &crate::core::order::InForce, parted: &Parted| {
        progress.aside(|| {
            out.tell(&ToRecover { parted: PartedSeen::of(parted, args), order: Order::of(&order.pid(), order.order()) });
            args.passphrase.get("the desk's key")
        })
    };
    let mut observe = |effect: &'static str, what: &str| progress.effect(effect, what);
    let recovered = recovering::recover(&args.ledger, &args.against, &args.order, &mut confirm, &mut observe)?;
    drop(progress);
    out.give(&Chosen::of(&recovered, &args.ledger));
    Ok(Exit::Done)
}

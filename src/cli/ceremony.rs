//! `ceremony …`: orders of the governors that end trouble; here the one that ends a halt.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::core::cbor::Canonical as _;
use crate::core::halt::Halt;
use crate::core::ids::{Hash, Text};
use crate::core::policy::Policy;
use crate::run::desk::Desk;
use crate::run::order::write_payload;
use crate::run::problem::{Exit, Outcomes, Problem};
use crate::run::resume::{self as resuming, Resumed, Standing};

use super::argument;
use super::facts::{Head, sha256};
use super::lost_head::HeadFileSeen;
use super::order::{Order, texts};
use super::output::{Answer, Output, Page};
use super::passphrase::PassphraseArgs;
use super::recover::{RecoverArgs, recover};

/// `tabellion ceremony …`
#[derive(Subcommand)]
pub enum CeremonyCommand {
    /// End a halt: show it, write the order that would end it, or carry out the signed order
    Resume(Box<ResumeArgs>),
    /// Choose between two copies of a ledger: show both, write the order that lets one stay, or carry out the signed order
    Recover(Box<RecoverArgs>),
}

/// `tabellion ceremony resume`
#[derive(Args)]
pub struct ResumeArgs {
    /// The desk's folder
    #[arg(long, value_name = "DIR")]
    ledger: PathBuf,
    /// Write the order that would end the halt here, for the governors to sign
    #[arg(long, value_name = "FILE", conflicts_with = "order")]
    write_order: Option<PathBuf>,
    /// The custodians' words in that order, for people
    #[arg(long, value_name = "TEXT", requires = "write_order", value_parser = argument::typed::<Text>)]
    note: Option<Text>,
    /// Carry out this order; give the option again for each signed copy of it
    #[arg(long, value_name = "FILE")]
    order: Vec<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Runs it.
pub fn ceremony(command: CeremonyCommand, out: &mut Output) -> Outcomes<Exit> {
    match command {
        CeremonyCommand::Resume(args) if args.order.is_empty() => look_or_write(&args, out),
        CeremonyCommand::Resume(args) => resume(&args, out),
        CeremonyCommand::Recover(args) => recover(&args, out),
    }
}

/// Why a desk is halted.
#[derive(Serialize)]
struct HaltSeen {
    /// The rule that stopped it.
    rule: &'static str,
    /// What was found.
    found: String,
    /// SHA-256 of the dossier.
    dossier: String,
    /// Where the dossier lies; absent when it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    dossier_file: Option<String>,
    /// SHA-256 of the texts that an order may settle.
    texts: Vec<String>,
    /// The head file, when it is or was missing or damaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    head_file: Option<HeadFileSeen>,
}

impl From<&Standing> for HaltSeen {
    fn from(standing: &Standing) -> HaltSeen {
        HaltSeen {
            rule: standing.halt.rule.id(),
            found: standing.halt.found.clone(),
            dossier: sha256(&standing.halt.dossier),
            dossier_file: standing.dossier.as_ref().map(|path| path.display().to_string()),
            texts: standing.listed.iter().map(sha256).collect(),
            head_file: standing.lost_head.as_ref().map(HeadFileSeen::from),
        }
    }
}

impl HaltSeen {
    fn say(&self, page: &mut Page) {
        page.labelled("HALTED", format!("[{}] {}", self.rule, self.found));
        match &self.dossier_file {
            Some(file) => page.labelled("dossier", format!("{}, {file}", self.dossier)),
            None => page.labelled("dossier", format!("{}, which is not there: an order can end the halt and settle nothing", self.dossier)),
        }
        page.labelled("lists", texts(self.texts.len()));
        self.texts.iter().for_each(|text| page.line(format!("    {text}")));
        self.head_file.iter().for_each(|file| file.say(page));
    }
}

/// `ceremony resume` without an order to carry out.
#[derive(Serialize)]
struct Halted {
    /// The head.
    head: Head,
    /// Why it is halted; absent when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    halt: Option<HaltSeen>,
    /// The order that was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<Order>,
    /// Listed texts that did not fit into it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<String>,
    /// Where it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// How many of the governors' signatures it needs.
    signatures_needed: u64,
    /// Who can give them.
    governors: Vec<String>,
    /// The desk's folder.
    #[serde(skip)]
    desk: String,
}

impl Answer for Halted {
    fn say(&self, page: &mut Page) {
        page.labelled("head", self.head.to_string());
        let Some(halt) = &self.halt else {
            page.line("the desk is not halted; there is nothing to resume");
            return;
        };
        halt.say(page);
        let Some((order, file)) = self.order.as_ref().zip(self.file.as_ref()) else {
            page.labelled("next", "read the dossier. When the governors want the desk to go on, write the order that they sign:");
            page.labelled("", format!("tabellion ceremony resume --ledger {} --write-order resume.payload", self.desk));
            return;
        };
        order.say(page);
        if !self.left_out.is_empty() {
            page.labelled(
                "leaves",
                format!("{} that do not fit into one order; they halt the desk again, and take another", texts(self.left_out.len())),
            );
        }
        page.labelled("wrote", file);
        let signed = Path::new(file).with_extension("cose").display().to_string();
        page.labelled("next", format!("{} of {} run: tabellion approve {file}", self.signatures_needed, self.governors.join(", ")));
        page.labelled("", format!("then: tabellion ceremony resume --ledger {} --order {signed}", self.desk));
    }
}

fn look_or_write(args: &ResumeArgs, out: &mut Output) -> Outcomes<Exit> {
    let (desk, lost) = Desk::look_to_resume(&args.ledger).map_err(resuming::advised)?;
    let books = desk.books();
    let standing = resuming::standing_with_head(&desk, lost)?;
    let (signatures_needed, governors) = governors(books.policy()?);
    let mut seen = Halted {
        head: (&books.head()).into(),
        halt: standing.as_ref().map(HaltSeen::from),
        order: None,
        left_out: Vec::new(),
        file: None,
        signatures_needed,
        governors,
        desk: args.ledger.display().to_string(),
    };
    if let Some(path) = &args.write_order {
        let Some(standing) = &standing else {
            let found = format!("the desk at {} is not halted; a halt to write an order for expected", args.ledger.display());
            return Err(Problem::usage(found).advising("nothing to do: tabellion witness status shows where the desk stands"));
        };
        let (order, left_out) = resuming::draft(books, standing, args.note.clone())?;
        write_payload(path, &order)?;
        seen.order = Some(Order::of(&Hash::of(&order.to_cbor()), &order));
        seen.left_out = left_out.iter().map(sha256).collect();
        seen.file = Some(path.display().to_string());
    }
    out.give(&seen);
    Ok(Exit::Done)
}

/// How many governors must sign, and who they are.
fn governors(policy: &Policy) -> (u64, Vec<String>) {
    let needed = policy.group(&policy.governors).map_or(0, |group| group.k);
    (needed, policy.expand(&policy.governors).iter().map(ToString::to_string).collect())
}

/// An order that will be carried out.
#[derive(Serialize)]
struct ToResume {
    order: Order,
    halt: HaltSeen,
}

impl Answer for ToResume {
    fn say(&self, page: &mut Page) {
        self.halt.say(page);
        self.order.say(page);
    }
}

/// `ceremony resume` with an order
#[derive(Serialize)]
struct Went {
    /// The order.
    order: String,
    /// Whether it was carried out now; else it had been before.
    is_new: bool,
    /// SHA-256 of the dossier of the halt that ended; absent when nothing was left to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    dossier: Option<String>,
    /// SHA-256 of the texts it settled.
    settled: Vec<String>,
    /// Listed texts that it did not settle.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unsettled: Vec<String>,
    /// Where the halt file was put.
    #[serde(skip_serializing_if = "Option::is_none")]
    put_away: Option<String>,
    /// What became of the head file; absent when the halt was not over it.
    #[serde(skip_serializing_if = "Option::is_none")]
    head_file: Option<HeadFileSeen>,
    /// Another halt, which stays: SHA-256 of its dossier.
    #[serde(skip_serializing_if = "Option::is_none")]
    still_halted: Option<String>,
    /// The head.
    head: Head,
    /// The desk's folder.
    #[serde(skip)]
    desk: String,
}

impl Went {
    fn of(resumed: &Resumed, desk: &Path) -> Went {
        let names = |texts: &[Hash]| texts.iter().map(sha256).collect();
        let dossier = |halt: &Halt| sha256(&halt.dossier);
        Went {
            order: sha256(&resumed.order),
            is_new: resumed.is_new,
            dossier: resumed.halt.as_ref().map(dossier),
            settled: names(&resumed.settled),
            unsettled: names(&resumed.unsettled),
            put_away: resumed.put_away.as_ref().map(|path| path.display().to_string()),
            head_file: resumed.head_file.as_ref().map(HeadFileSeen::from),
            still_halted: resumed.still.as_ref().map(dossier),
            head: (&resumed.head).into(),
            desk: desk.display().to_string(),
        }
    }
}

impl Answer for Went {
    fn say(&self, page: &mut Page) {
        match (self.is_new, &self.dossier) {
            (true, Some(dossier)) => page.labelled("resumed", format!("by order {}: the halt over dossier {dossier} ended", self.order)),
            (_, Some(_)) => {
                page.labelled("resumed", format!("by order {}, as the ledger had it already; what was left is done", self.order))
            }
            (_, None) => page.labelled("resumed", format!("by order {}, some time ago; nothing was left to do", self.order)),
        }
        page.labelled("settled", texts(self.settled.len()));
        self.settled.iter().for_each(|text| page.line(format!("    {text}")));
        if !self.unsettled.is_empty() {
            page.labelled("not", format!("settled: {}, which halt the desk again when a medium brings them", texts(self.unsettled.len())));
            self.unsettled.iter().for_each(|text| page.line(format!("    {text}")));
        }
        self.put_away.iter().for_each(|path| page.labelled("halt file", format!("put away as {path}")));
        self.head_file.iter().for_each(|file| file.say(page));
        page.labelled("head", self.head.to_string());
        match &self.still_halted {
            Some(dossier) => {
                page.labelled("HALTED", format!("over another dossier, {dossier}: it takes an order of its own"));
                page.labelled("next", format!("tabellion ceremony resume --ledger {}", self.desk));
            }
            None => page.labelled("next", "sessions run again: tabellion witness session"),
        }
    }
}

fn resume(args: &ResumeArgs, out: &mut Output) -> Outcomes<Exit> {
    let progress = out.progress(false);
    let mut confirm = |order: &crate::core::order::InForce, standing: &Standing| {
        progress.aside(|| {
            out.tell(&ToResume { order: Order::of(&order.pid(), order.order()), halt: standing.into() });
            args.passphrase.get("the desk's key")
        })
    };
    let resumed = resuming::resume(&args.ledger, &args.order, &mut confirm, &mut |effect, what| progress.effect(effect, what))?;
    drop(progress);
    let went = Went::of(&resumed, &args.ledger);
    out.give(&went);
    Ok(if went.still_halted.is_some() { Exit::Halted } else { Exit::Done })
}

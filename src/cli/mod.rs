//! The command line: one file a role. Results on stdout, narration on stderr, an exit code for every outcome.

#[cfg(feature = "appliance")]
mod appliance;
#[cfg(feature = "desk")]
mod approve;
mod argument;
#[cfg(feature = "desk")]
mod audit;
#[cfg(feature = "desk")]
mod backup;
#[cfg(feature = "desk")]
mod branches;
#[cfg(feature = "desk")]
mod ceremony;
#[cfg(feature = "desk")]
mod charter;
#[cfg(feature = "desk")]
mod code;
#[cfg(feature = "desk")]
mod collect;
#[cfg(feature = "desk")]
mod demo;
#[cfg(feature = "desk")]
mod desk_facts;
mod diff;
#[cfg(feature = "desk")]
mod domain;
mod examples;
mod facts;
#[cfg(feature = "desk")]
mod foreseen;
mod fork;
#[cfg(feature = "desk")]
mod integrity;
#[cfg(feature = "desk")]
mod key;
#[cfg(feature = "desk")]
mod log;
mod look;
#[cfg(feature = "desk")]
mod lost_head;
#[cfg(feature = "desk")]
mod manual;
#[cfg(feature = "desk")]
mod order;
mod output;
#[cfg(feature = "desk")]
mod passphrase;
mod pin;
mod policy;
#[cfg(feature = "desk")]
mod policy_paper;
#[cfg(feature = "desk")]
mod preview;
mod progress;
#[cfg(feature = "desk")]
mod prometheus;
#[cfg(feature = "desk")]
mod proposer;
mod prove;
#[cfg(feature = "desk")]
mod rebuild;
#[cfg(feature = "desk")]
mod recover;
mod replay;
#[cfg(feature = "desk")]
mod session;
#[cfg(feature = "desk")]
mod session_answer;
#[cfg(feature = "desk")]
mod status;
mod usage;
mod verify;
#[cfg(feature = "desk")]
mod witness;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::run::problem::{Exit, Outcomes};
use output::Output;

/// An offline notary witness: people bring signed papers, one witness numbers them, anyone can check.
#[derive(Parser)]
#[command(name = "tabellion", version, disable_help_subcommand = true, after_help = "Start with: tabellion demo")]
struct Cli {
    /// Print the same facts as one JSON document on stdout (docs/json.md)
    #[arg(long, global = true)]
    json: bool,
    /// Append what is accepted and refused to FILE as JSON lines; - for stderr (docs/logs.md)
    #[cfg(feature = "desk")]
    #[arg(long, global = true, value_name = "FILE")]
    log: Option<std::path::PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The whole story with real files: two papers in, common@2 and common@3 out
    #[cfg(feature = "desk")]
    Demo(demo::DemoArgs),
    /// Make and look at keys
    #[cfg(feature = "desk")]
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Keep numbered snapshots of a folder of your own, as alice@42
    #[cfg(feature = "desk")]
    #[command(subcommand)]
    Domain(domain::DomainCommand),
    /// Ask for a change to Common
    #[cfg(feature = "desk")]
    #[command(subcommand)]
    Propose(proposer::ProposeCommand),
    /// Show what would be signed, then add a signature
    #[cfg(feature = "desk")]
    Approve(approve::ApproveArgs),
    /// Show the verdicts that papers would get, with the code that the witness runs
    #[cfg(feature = "desk")]
    Preview(preview::PreviewArgs),
    /// Take receipts home from a medium, and learn what became of each paper
    #[cfg(feature = "desk")]
    Collect(collect::CollectArgs),
    /// The witness's desk
    #[cfg(feature = "desk")]
    #[command(subcommand)]
    Witness(witness::WitnessCommand),
    /// What the bootable image runs: the witness's console, also to rehearse with
    #[cfg(feature = "appliance")]
    Appliance(appliance::ApplianceArgs),
    /// Orders of the governors: end a halt, choose between two copies of a ledger
    #[cfg(feature = "desk")]
    #[command(subcommand)]
    Ceremony(ceremony::CeremonyCommand),
    /// Policies in words: who may change what, and what a new policy would change
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Pin the newest number of a published folder, knowing the charter's fingerprint
    Pin(pin::PinArgs),
    /// Move a pin forward, after verifying every step
    Advance(pin::AdvanceArgs),
    /// Verify a published folder, a receipt, a proof or a pin, offline; or compare two
    Verify(Box<verify::VerifyArgs>),
    /// Derive every verdict, order, record and root anew from the published papers, and compare
    Replay(replay::ReplayArgs),
    /// List the pages of Common
    Log(look::LogArgs),
    /// Show what names stand for
    Show(look::ShowArgs),
    /// Show what changed between two numbers
    Diff(diff::DiffArgs),
    /// Write Common's content at a number to a new folder
    Checkout(look::CheckoutArgs),
    /// Write a proof that travels alone: of a name, of a paper, or that a number continues another
    Prove(prove::ProveArgs),
    /// Print what a shell needs to complete commands and options
    #[cfg(feature = "desk")]
    Completions(manual::CompletionsArgs),
    /// Write a manual page for each command
    #[cfg(feature = "desk")]
    Man(manual::ManArgs),
}

/// The definitions of the command line: what it is read by, and what its helps, completions and manual pages are made from.
fn definitions() -> clap::Command {
    examples::with_examples(Cli::command())
}

/// Runs a command line, and gives back the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let parsed =
        definitions().try_get_matches_from(&arguments).and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, name_of(&matches))));
    match parsed {
        Ok((cli, name)) => {
            #[cfg(feature = "desk")]
            crate::run::audit::call_itself(&name);
            let mut output = Output::new(cli.json);
            let outcome = logged(cli, &name, &mut output);
            output.finish(&name, outcome).code()
        }
        Err(error) => misread(&error, &arguments).code(),
    }
}

/// Runs the command, and tells the log how it ended.
#[cfg(feature = "desk")]
fn logged(cli: Cli, name: &str, out: &mut Output) -> Outcomes<Exit> {
    log::begin(cli.log.as_deref(), name)?;
    let outcome = dispatch(cli.command, out);
    log::ended(name, &outcome);
    outcome
}

/// Runs the command: a consumer has nothing to log.
#[cfg(not(feature = "desk"))]
fn logged(cli: Cli, _: &str, out: &mut Output) -> Outcomes<Exit> {
    dispatch(cli.command, out)
}

/// The command as it was called: `witness session`.
fn name_of(matches: &ArgMatches) -> String {
    let names = std::iter::successors(matches.subcommand(), |(_, matches)| matches.subcommand());
    names.map(|(name, _)| name).collect::<Vec<_>>().join(" ")
}

/// A command line that was not understood, or that asked for help.
fn misread(error: &clap::Error, arguments: &[OsString]) -> Exit {
    // A closed pipe is no reason to complain.
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        drop(error.print());
        return Exit::Done;
    }
    let (root, json) = (definitions(), usage::has(arguments, "--json"));
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand && !json {
        drop(error.print());
        return Exit::Usage;
    }
    let command = usage::command_of(arguments, &root);
    Output::new(json).finish(&command, Err(usage::problem(error, &command, &root)))
}

fn dispatch(command: Command, out: &mut Output) -> Outcomes<Exit> {
    match command {
        #[cfg(feature = "desk")]
        Command::Demo(args) => demo::demo(&args, out),
        #[cfg(feature = "desk")]
        Command::Key(command) => key::key(command, out),
        #[cfg(feature = "desk")]
        Command::Domain(command) => domain::domain(command, out),
        #[cfg(feature = "desk")]
        Command::Propose(command) => proposer::propose(command, out),
        #[cfg(feature = "desk")]
        Command::Approve(args) => approve::approve(&args, out),
        #[cfg(feature = "desk")]
        Command::Preview(args) => preview::preview(&args, out),
        #[cfg(feature = "desk")]
        Command::Collect(args) => collect::collect(&args, out),
        #[cfg(feature = "desk")]
        Command::Witness(command) => witness::witness(command, out),
        #[cfg(feature = "appliance")]
        Command::Appliance(args) => appliance::appliance(&args),
        #[cfg(feature = "desk")]
        Command::Ceremony(command) => ceremony::ceremony(command, out),
        Command::Policy(command) => policy::policy(command, out),
        Command::Pin(args) => pin::pin(&args, out),
        Command::Advance(args) => pin::advance(&args, out),
        Command::Verify(args) => verify::verify(&args, out),
        Command::Replay(args) => replay::replay(&args, out),
        Command::Log(args) => look::log(&args, out),
        Command::Show(args) => look::show(&args, out),
        Command::Diff(args) => diff::diff(args, out),
        Command::Checkout(args) => look::checkout(&args, out),
        Command::Prove(args) => prove::prove(args, out),
        #[cfg(feature = "desk")]
        Command::Completions(args) => manual::completions(&args, definitions(), out),
        #[cfg(feature = "desk")]
        Command::Man(args) => manual::man(&args, definitions(), out),
    }
}

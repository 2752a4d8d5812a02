//! The command line: one file a role. Results on stdout, narration on stderr, an exit code for every outcome.

mod argument;
mod consumer;
#[cfg(feature = "desk")]
mod demo;
#[cfg(feature = "desk")]
mod key;
mod output;
#[cfg(feature = "desk")]
mod passphrase;
mod policy;
#[cfg(feature = "desk")]
mod policy_paper;
#[cfg(feature = "desk")]
mod proposer;
#[cfg(feature = "desk")]
mod witness;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::run::problem::{Exit, Outcomes};
use output::Output;

/// An offline notary witness: people bring signed papers, one witness numbers them, anyone can check.
#[derive(Parser)]
#[command(name = "tabellion", version, disable_help_subcommand = true, after_help = "Start with: tabellion demo")]
struct Cli {
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
    /// Ask for a change to Common
    #[cfg(feature = "desk")]
    #[command(subcommand)]
    Propose(proposer::ProposeCommand),
    /// Show what would be signed, then add a signature
    #[cfg(feature = "desk")]
    Approve(proposer::ApproveArgs),
    /// Take receipts home from a medium, and learn what became of each paper
    #[cfg(feature = "desk")]
    Collect(proposer::CollectArgs),
    /// The witness's desk
    #[cfg(feature = "desk")]
    #[command(subcommand)]
    Witness(witness::WitnessCommand),
    /// Policies in words: who may change what, and what a new policy would change
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Pin the newest number of a published folder, knowing the charter's fingerprint
    Pin(consumer::PinArgs),
    /// Move a pin forward, after verifying every step
    Advance(consumer::AdvanceArgs),
    /// Verify a published folder, a receipt or a pin, offline
    Verify(consumer::VerifyArgs),
    /// List the pages of Common
    Log(consumer::LookArgs),
    /// Show what names stand for
    Show(consumer::ShowArgs),
    /// Write Common's content at a number to a new folder
    Checkout(consumer::CheckoutArgs),
}

/// Runs a command line, and gives back the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            // A closed pipe is no reason to complain.
            drop(error.print());
            return if asked { Exit::Done.code() } else { Exit::Usage.code() };
        }
    };
    let mut output = Output::default();
    let outcome = dispatch(cli.command, &mut output);
    output.flush();
    match outcome {
        Ok(exit) => exit.code(),
        Err(problem) => {
            output::narrate(&problem.to_string());
            problem.exit().code()
        }
    }
}

fn dispatch(command: Command, out: &mut Output) -> Outcomes<Exit> {
    match command {
        #[cfg(feature = "desk")]
        Command::Demo(args) => demo::demo(&args, out),
        #[cfg(feature = "desk")]
        Command::Key(command) => key::key(command, out),
        #[cfg(feature = "desk")]
        Command::Propose(command) => proposer::propose(command, out),
        #[cfg(feature = "desk")]
        Command::Approve(args) => proposer::approve(args, out),
        #[cfg(feature = "desk")]
        Command::Collect(args) => proposer::collect(args, out),
        #[cfg(feature = "desk")]
        Command::Witness(command) => witness::witness(command, out),
        Command::Policy(command) => policy::policy(command, out),
        Command::Pin(args) => consumer::pin(args, out),
        Command::Advance(args) => consumer::advance(args, out),
        Command::Verify(args) => consumer::verify(args, out),
        Command::Log(args) => consumer::log(args, out),
        Command::Show(args) => consumer::show(args, out),
        Command::Checkout(args) => consumer::checkout(args, out),
    }
}

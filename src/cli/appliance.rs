//! `tabellion appliance`: the console of the bootable image, and the same console to rehearse with.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::appliance::first::first;
use crate::appliance::{IDLE, Rehearsal, rehearse};
use crate::run::problem::{Exit, Outcomes, Problem};

/// `tabellion appliance`
#[derive(Args)]
pub struct ApplianceArgs {
    /// Rehearse on this terminal: DIR/data stands for the data disk, each folder in DIR/sticks for a stick
    #[arg(long, value_name = "DIR")]
    rehearse: Option<PathBuf>,
    /// Lock the console when nobody did anything for so many seconds; 300 without it
    #[arg(long, value_name = "SECONDS", requires = "rehearse", value_parser = clap::value_parser!(u64).range(1..))]
    idle: Option<u64>,
}

/// Runs it.
pub fn appliance(args: &ApplianceArgs) -> Outcomes<Exit> {
    let Some(dir) = &args.rehearse else {
        if std::process::id() == 1 {
            first();
        }
        let found = format!(
            "process {} without --rehearse DIR; the first process of the bootable image, or --rehearse DIR, expected",
            std::process::id()
        );
        return Err(Problem::usage(found));
    };
    rehearse(&Rehearsal { dir: dir.clone(), idle: args.idle.map_or(IDLE, Duration::from_secs) })?;
    Ok(Exit::Done)
}

//! `tabellion demo`: the whole story with real files.

use std::path::PathBuf;

use clap::Args;

use crate::run::demo;
use crate::run::problem::{Exit, Outcomes};

use super::output::Output;

/// `tabellion demo`
#[derive(Args)]
pub struct DemoArgs {
    /// The folder to make
    #[arg(default_value = "tabellion-demo")]
    dir: PathBuf,
}

/// Runs it.
pub fn demo(args: &DemoArgs, out: &mut Output) -> Outcomes<Exit> {
    demo::demo(&args.dir, &mut |line| {
        out.text(line);
        out.flush();
    })?;
    Ok(Exit::Done)
}

//! `completions` and `man`: what a shell and a reader of manual pages need, from the definitions that the command line is read by.

use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use serde::Serialize;

use crate::core::rules::{Fault, Rule};
use crate::run::files::{make_folder, write_bytes};
use crate::run::problem::{Exit, Outcomes};
use crate::run::words;

use super::examples::example_of;
use super::output::{Answer, Output, Page};

/// `tabellion completions`
#[derive(Args)]
pub struct CompletionsArgs {
    /// The shell that shall read it
    shell: Shell,
}

/// `tabellion man`
#[derive(Args)]
pub struct ManArgs {
    /// The folder to write tabellion.1 and a page for each command to; pages of these names are replaced
    dir: PathBuf,
}

/// `completions`
#[derive(Serialize)]
struct Completions {
    /// The shell.
    shell: String,
    /// What it reads.
    script: String,
}

impl Answer for Completions {
    fn say(&self, page: &mut Page) {
        page.program(&self.script);
    }
}

/// Prints completions.
pub fn completions(args: &CompletionsArgs, mut program: Command, out: &mut Output) -> Outcomes<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "tabellion", &mut script);
    out.give(&Completions { shell: args.shell.to_string(), script: String::from_utf8_lossy(&script).into_owned() });
    Ok(Exit::Done)
}

/// `man`
#[derive(Serialize)]
struct Pages {
    /// The folder.
    dir: String,
    /// The pages in it.
    pages: Vec<String>,
}

impl Answer for Pages {
    fn say(&self, page: &mut Page) {
        page.labelled("wrote", format!("{} to {}", words::count(self.pages.len(), "manual page"), self.dir));
        page.labelled("next", format!("read the first with: man {}/tabellion.1", self.dir));
    }
}

/// Writes manual pages.
pub fn man(args: &ManArgs, mut program: Command, out: &mut Output) -> Outcomes<Exit> {
    program.build();
    let mut pages = Vec::new();
    collect(&program, "", &[], &mut pages).map_err(|error| Fault::new(Rule::InternalFault, format!("a manual page: {error}")))?;
    make_folder(&args.dir)?;
    for (name, text) in &pages {
        write_bytes(&args.dir.join(name), text)?;
    }
    out.give(&Pages { dir: args.dir.display().to_string(), pages: pages.into_iter().map(|(name, _)| name).collect() });
    Ok(Exit::Done)
}

/// The page of a command, then those of the commands below it. `above` are the pages of those above.
fn collect(command: &Command, path: &str, above: &[String], pages: &mut Vec<(String, Vec<u8>)>) -> std::io::Result<()> {
    let title = format!("tabellion {path}").trim_end().replace(' ', "-");
    let below: Vec<&Command> = command.get_subcommands().filter(|sub| sub.get_name() != "help").collect();
    let siblings = below.iter().map(|sub| format!("{title}-{}", sub.get_name()));
    let see: Vec<String> = above.iter().cloned().chain(siblings).collect();
    pages.push((format!("{title}.1"), page(command, &title, path, &see)?));
    let above: Vec<String> = above.iter().cloned().chain([title]).collect();
    for sub in below {
        collect(sub, format!("{path} {}", sub.get_name()).trim_start(), &above, pages)?;
    }
    Ok(())
}

fn page(command: &Command, title: &str, path: &str, see: &[String]) -> std::io::Result<Vec<u8>> {
    let version = format!("tabellion {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).title(title.to_uppercase()).source(version).manual("Tabellion");
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut out)?;
    }
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for exit in Exit::ALL {
        roff.control("TP", ["4"]).text([roman(exit.code().to_string())]).text([roman(exit.means())]);
    }
    roff.control("SH", ["EXAMPLES"]).control("nf", []);
    roff.text([roman(example_of(path).unwrap_or("tabellion demo"))]).control("fi", []);
    if !see.is_empty() {
        roff.control("SH", ["SEE ALSO"]).text([roman(see.iter().map(|name| format!("{name}(1)")).collect::<Vec<_>>().join(", "))]);
    }
    roff.to_writer(&mut out)?;
    Ok(out)
}

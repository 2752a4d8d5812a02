//! Arguments to run to exit code; nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|info| {
        eprintln!("tabellion: stop [internal-fault] a bug of ours, not of your papers\n  found  {info}");
        eprintln!("  state  what was committed stays committed, nothing else was done");
        eprintln!("  next   keep the files as they are, run the same command again, and report this text");
    }));
    // The hook has spoken; a panic is answered with its own exit code.
    ExitCode::from(std::panic::catch_unwind(|| tabellion::cli::run(std::env::args_os())).unwrap_or(70))
}

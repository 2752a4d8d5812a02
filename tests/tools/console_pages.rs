//! Shows the golden pages of `tests/console.rs` on this terminal, one after the other: any key of the page, or Escape, goes on to the next.
//!
//! `cargo run --example console_pages [NAME]`; with a name, that page alone. With `--lines` as on a serial line.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../console/pages.rs"]
mod pages;

use std::fs::File;
use std::time::Duration;

use tabellion::console::page::Event;
use tabellion::console::{Console, Terminal, Wake};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let is_lines = words.iter().any(|word| word == "--lines");
    let wanted: Vec<&String> = words.iter().filter(|word| !word.starts_with("--")).collect();
    let open = || File::options().read(true).write(true).open("/dev/tty").expect("a terminal");
    let terminal = if is_lines { Terminal::lines(open(), open()) } else { Terminal::screen(open(), open()) };
    let mut console = Console::of(vec![terminal]);
    for (name, page) in pages::all() {
        if wanted.is_empty() || wanted.iter().any(|word| *word == name) {
            match console.ask(&page, Wake::Never, Duration::from_secs(3600)) {
                Event::Closed | Event::Idle => return,
                _ => {}
            }
        }
    }
}

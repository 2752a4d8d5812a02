//! Media with reports to look at in a browser: `cargo run --example page -- DIR` writes `DIR/rich`, `DIR/many` and `DIR/founding`.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[path = "../page/scene.rs"]
mod scene;
#[path = "../support/mod.rs"]
mod support;

use std::path::PathBuf;

fn main() {
    let dir = PathBuf::from(std::env::args_os().nth(1).expect("a folder to write to"));
    std::fs::create_dir_all(&dir).expect("a folder");
    scene::rich(&dir);
    scene::many(&dir, 1_000);
    scene::founding(&dir);
}

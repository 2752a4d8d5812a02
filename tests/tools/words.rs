//! Says a digest in words that two people can read to each other: `cargo run --example words -- HEX`.
#![allow(clippy::expect_used)]

use tabellion::core::{ids::Hash, words::words24};

fn main() {
    let hex = std::env::args().nth(1).expect("a digest as 64 hexadecimal digits is given");
    println!("{}", words24(&Hash::from_hex(&hex).expect("the digest has 64 hexadecimal digits")));
}

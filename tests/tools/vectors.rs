//! Fills in `made` in every case: `cargo run --example vectors`, in the top folder of the repository.
//!
//! What stands in front of `made` is kept byte for byte. An expectation is written by hand, from the SPEC, and never here; whether it holds
//! is `tests/vectors.rs`'s to say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cases;

fn main() {
    let cases = cases::all();
    let mut written = 0;
    for case in &cases {
        let text = cases::with_made(case, &cases::run(case).made);
        if text != case.text {
            std::fs::write(&case.path, text).expect("a writable case");
            written += 1;
        }
    }
    println!("{} cases, {written} rewritten", cases.len());
}

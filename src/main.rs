//! Arguments to run to exit code; nothing else.

fn main() {}

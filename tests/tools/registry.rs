//! Writes the registry of rules into SPEC section 10: `cargo run --example registry`.
#![allow(clippy::expect_used)]

fn main() {
    let path = "proposals-schema/SPEC.md";
    let spec = std::fs::read_to_string(path).expect("run it in the top folder of the repository");
    let (head, rest) = spec.split_once("<!-- rules:begin -->\n").expect("SPEC.md has the marker rules:begin");
    let (_, tail) = rest.split_once("<!-- rules:end -->").expect("SPEC.md has the marker rules:end");
    let table = tabellion::core::rules::table();
    std::fs::write(path, format!("{head}<!-- rules:begin -->\n{table}<!-- rules:end -->{tail}")).expect("SPEC.md can be written");
}

//! QR codes of what people compare: a head, a fingerprint. They hold plain text, so that any reader shows what it says.

use qrcode::render::unicode;
use qrcode::{Color, EcLevel, QrCode};

use crate::core::ids::{Hash, Head, Origin};
use crate::core::rules::{Checked, Fault, Rule};
use crate::core::words::{head_words, words24};

/// Light modules around a code.
const QUIET: usize = 4;

/// What the code of a head says: the origin, the number with its words, and the root, a line each.
pub fn head_text(origin: &Origin, head: &Head) -> String {
    format!("{origin}\ncommon@{} {}\n{}", head.number, head_words(&head.root), head.root)
}

/// What the code of a charter's fingerprint says: the origin, the fingerprint, and its 24 words, a line each.
pub fn fingerprint_text(origin: &Origin, fingerprint: &Hash) -> String {
    format!("{origin}\nfingerprint {fingerprint}\n{}", words24(fingerprint))
}

fn code(text: &str) -> Checked<QrCode> {
    QrCode::with_error_correction_level(text, EcLevel::M)
        .map_err(|error| Fault::new(Rule::InternalFault, format!("a QR code of {} bytes: {error}", text.len())))
}

/// The dark modules as the path of an SVG, a run a subpath, and the length of its side in modules, with the quiet zone around.
///
/// # Errors
/// `internal-fault` when the text is too long.
pub fn path(text: &str) -> Checked<(String, usize)> {
    let code = code(text)?;
    let mut path = String::new();
    for y in 0..code.width() {
        let mut x = 0;
        while x < code.width() {
            let run = (x..code.width()).take_while(|x| code[(*x, y)] == Color::Dark).count();
            if run > 0 {
                path.push_str(&format!("M{} {}h{run}v1h-{run}z", x + QUIET, y + QUIET));
            }
            x += run.max(1);
        }
    }
    Ok((path, code.width() + 2 * QUIET))
}

/// The code for a terminal, two rows of modules a line: light modules are drawn, as on a screen that is dark.
///
/// # Errors
/// `internal-fault` when the text is too long.
pub fn blocks(text: &str) -> Checked<String> {
    use unicode::Dense1x2::{Dark, Light};
    Ok(code(text)?.render::<unicode::Dense1x2>().dark_color(Light).light_color(Dark).build())
}

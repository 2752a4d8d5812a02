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

/// Light modules around a small code.
const QUIET_SMALL: usize = 2;

/// A code that a screen of 25 lines has room for: fewer modules to mend errors with, and a narrow quiet zone. Two rows of modules a line, as
/// [`blocks`].
///
/// # Errors
/// `internal-fault` when the text is too long.
pub fn small(text: &str) -> Checked<Vec<String>> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L)
        .map_err(|error| Fault::new(Rule::InternalFault, format!("a QR code of {} bytes: {error}", text.len())))?;
    let side = code.width() + 2 * QUIET_SMALL;
    let is_light = |x: usize, y: usize| match (x.checked_sub(QUIET_SMALL), y.checked_sub(QUIET_SMALL)) {
        (Some(x), Some(y)) if x < code.width() && y < code.width() => code[(x, y)] == Color::Light,
        _ => y < side,
    };
    let half = |x: usize, y: usize| match (is_light(x, y), is_light(x, y + 1)) {
        (true, true) => '\u{2588}',
        (true, false) => '\u{2580}',
        (false, true) => '\u{2584}',
        (false, false) => ' ',
    };
    Ok((0..side).step_by(2).map(|y| (0..side).map(|x| half(x, y)).collect()).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn head() -> (Origin, Head) {
        let root = Hash::from_hex("68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c").unwrap();
        ("witness.example/common".parse().unwrap(), Head { number: 7, root })
    }

    #[test]
    fn code_of_a_head_says_origin_number_words_and_root() {
        let (origin, head) = head();
        let expected = "witness.example/common\ncommon@7 hamster-diagram-private-dutch-cause-delay\n\
                        68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c";
        assert_eq!(head_text(&origin, &head), expected);
        let text = fingerprint_text(&origin, &head.root);
        assert!(text.starts_with("witness.example/common\nfingerprint 68a79eac"), "{text}");
        assert_eq!(text.lines().nth(2).map(|words| words.split(' ').count()), Some(24));
    }

    #[test]
    fn terminal_and_page_show_the_same_modules_within_a_quiet_zone() {
        let (origin, head) = head();
        let text = head_text(&origin, &head);
        let (path, side) = path(&text).unwrap();
        let mut on_page = BTreeSet::new();
        for run in path.split('M').skip(1) {
            let numbers: Vec<usize> = run.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect();
            (0..numbers[2]).for_each(|at| assert!(on_page.insert((numbers[0] + at, numbers[1]))));
        }
        let mut on_terminal = BTreeSet::new();
        for (row, line) in blocks(&text).unwrap().lines().enumerate() {
            for (x, c) in line.chars().enumerate() {
                let (upper, lower) = match c {
                    ' ' => (true, true),
                    '\u{2584}' => (true, false),
                    '\u{2580}' => (false, true),
                    '\u{2588}' => (false, false),
                    other => panic!("{other:?}"),
                };
                on_terminal.extend([(upper, 2 * row), (lower, 2 * row + 1)].iter().filter(|(dark, _)| *dark).map(|(_, y)| (x, *y)));
            }
        }
        on_terminal.retain(|(_, y)| *y < side);
        assert_eq!(on_page, on_terminal);
        let inner = QUIET..side - QUIET;
        assert!(on_page.iter().all(|(x, y)| inner.contains(x) && inner.contains(y)));
        assert!(on_page.len() > side * side / 4, "{} dark modules", on_page.len());
    }

    #[test]
    fn the_small_code_of_a_head_fits_on_a_screen_and_shows_the_same_modules() {
        let (_, head) = head();
        for number in [1, 7, 99_999] {
            let text = format!("COMMON {number} {}", head.root.hex().to_uppercase());
            let code = QrCode::with_error_correction_level(&text, EcLevel::L).unwrap();
            let lines = small(&text).unwrap();
            // Version 3: 29 modules and two light ones on each side.
            assert_eq!((lines.len(), code.width()), (17, 29), "{text}");
            for (row, line) in lines.iter().enumerate() {
                assert_eq!(line.chars().count(), 33);
                for (x, c) in line.chars().enumerate() {
                    let lit = [matches!(c, '\u{2580}' | '\u{2588}'), matches!(c, '\u{2584}' | '\u{2588}')];
                    for (half, is_lit) in lit.into_iter().enumerate() {
                        let y = 2 * row + half;
                        let is_inside = |at: usize| (QUIET_SMALL..code.width() + QUIET_SMALL).contains(&at);
                        let is_dark = is_inside(x) && is_inside(y) && code[(x - QUIET_SMALL, y - QUIET_SMALL)] == Color::Dark;
                        assert_eq!(is_lit, y < 33 && !is_dark, "{x} {y}");
                    }
                }
            }
        }
    }
}

//! What may reach a terminal: the characters that the kernel's built-in console font has a shape of its own for, and nothing else.
//!
//! It is a list of what is shown, not of what is hidden: control characters, escape sequences, marks of direction, letters without width, wide and
//! joined letters are none of it, and all are written as `\u{…}`. So each character that is shown stands in one column, whatever the terminal.
//! A backslash is shown as it is: who types the eight letters of an escape is seen to have a strange name, which is true.

/// The font's shapes beyond ASCII, one character for each: where the kernel's table has two for one shape (`β` and `ß`), the other would pass for
/// it, and is written out. The table is code page 437; its smileys, cards and notes are left away.
const BEYOND_ASCII: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀\
    αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■•§¶←↑→↓↔↕▲▼►◄";

/// Signs of print that our own sentences have and the font has not, and what stands for them.
const PRINT: &[(char, &str)] =
    &[('…', "..."), ('–', "-"), ('—', "-"), ('‘', "'"), ('’', "'"), ('“', "\""), ('”', "\""), ('×', "x"), ('−', "-")];

/// Whether the font shows `c` as itself.
pub(super) fn has(c: char) -> bool {
    (' '..='~').contains(&c) || BEYOND_ASCII.contains(c)
}

/// The text in characters of the font; what is not among them is written as `\u{…}`, `\n`, `\t` or `\r`.
pub fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match PRINT.iter().find(|(sign, _)| *sign == c) {
            Some((_, instead)) => out.push_str(instead),
            None if has(c) => out.push(c),
            None if matches!(c, '\n' | '\t' | '\r') => out.extend(c.escape_default()),
            None => out.extend(c.escape_unicode()),
        }
    }
    out
}

/// As [`shown`], a column for each character: what the font has not is a question mark. For pictures, and for what somebody is just typing.
pub(super) fn column_each(text: &str) -> String {
    text.chars().map(|c| if has(c) { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_the_font_is_shown_as_it_is() {
        for text in ["witness.example/common@7", "Jürgen & José: 5 ≥ 3 → ok", "┌─┐│█▀▄", "a\\b \u{22}c\u{22} ~"] {
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn what_could_move_hide_or_turn_text_is_written_out() {
        for (text, expected) in [
            ("\x1b[2J", "\\u{1b}[2J"),
            ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
            ("\u{202e}gpj.exe", "\\u{202e}gpj.exe"),
            ("ad\u{200b}min", "ad\\u{200b}min"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("e\u{301}", "e\\u{301}"),
            ("\u{feff}\u{7f}\0", "\\u{feff}\\u{7f}\\u{0}"),
            ("\u{a0}\u{ad}", "\\u{a0}\\u{ad}"),
            ("аlice", "\\u{430}lice"),
            ("日本 🙂", "\\u{65e5}\\u{672c} \\u{1f642}"),
        ] {
            assert_eq!(shown(text), expected);
        }
        assert_eq!(shown("5 × 4 – “so” … it’s"), "5 x 4 - \"so\" ... it's");
        assert_eq!(column_each("a日\u{202e}\x1bé"), "a???é");
    }

    #[test]
    fn every_character_of_the_whole_of_unicode_that_is_shown_is_one_column_and_no_control() {
        let shown = ('\0'..=char::MAX).filter(|&c| has(c)).collect::<Vec<_>>();
        assert!(shown.len() > 200 && shown.len() <= 256, "{}", shown.len());
        for c in shown {
            assert_eq!(ratatui::text::Span::raw(c.to_string()).width(), 1, "{c:?}");
            assert!(!c.is_control() && c != '\u{a0}' && c != '\u{ad}');
        }
    }
}

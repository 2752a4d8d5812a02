//! The console: golden pages as a screen and as plain lines, and what it does with real bytes on pipes and terminals.
//! `TABELLION_BLESS=1 cargo test --test console` writes the files in `tests/console/` anew; read the difference before it is committed.
#![cfg(feature = "appliance")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "console/glass.rs"]
mod glass;
#[path = "console/pages.rs"]
mod pages;

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Duration;

use glass::{Glass, Pty, pipe, read_all};
use tabellion::console::draw::{self, View};
use tabellion::console::page::{Ask, Block, Choice, Event, Mark, Page};
use tabellion::console::{Console, Terminal, Wake, plain};

/// Longer than any test may last.
const LONG: Duration = Duration::from_secs(600);

fn page(title: &str, keys: &[char]) -> Page {
    let choices = keys.iter().map(|&key| Choice { key, says: format!("do {}", key.escape_default()) }).collect();
    Page { title: title.to_owned(), next: "Choose.".to_owned(), choices, ..Page::default() }
}

fn asking(title: &str, prompt: &str, is_secret: bool) -> Page {
    Page { ask: Some(Ask { prompt: prompt.to_owned(), is_secret }), ..page(title, &[]) }
}

fn typed(event: &Event) -> &str {
    match event {
        Event::Typed(line) => line,
        other => panic!("{other:?}"),
    }
}

// ------------------------------------------------------------------------------------------------------------------------- 1. golden pages

fn boxed(rows: &[String]) -> String {
    let edge = "─".repeat(rows.first().map_or(0, |row| row.chars().count()));
    let rows: String = rows.iter().map(|row| format!("│{row}│\n")).collect();
    format!("┌{edge}┐\n{rows}└{edge}┘\n")
}

/// All that is seen of a page: each part of it on a screen of this size.
fn screens(page: &Page, typed: &str, size: (u16, u16)) -> String {
    let screen = |number| boxed(&draw::draw(page, &View { number, typed, is_asked: true }, size).rows());
    (0..draw::pages(page, size)).map(screen).collect()
}

fn assert_golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/console/{name}.txt"));
    if std::env::var_os("TABELLION_BLESS").is_some() {
        fs::write(&path, found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == found, "{}: another page is drawn\n{found}", path.display());
}

#[test]
fn golden_pages_are_drawn_and_said_as_they_were_read_by_people() {
    for (name, page) in pages::all() {
        let typed = match name {
            "secret" => "********".to_owned(),
            "long-prompt" => "351624".repeat(20),
            _ => String::new(),
        };
        let said = plain::text(&page);
        assert_golden(name, &format!("{}{said}", screens(&page, &typed, (80, 25))));
        assert!(said.lines().all(|line| line.chars().count() <= 79 || line.starts_with("== ")), "{name}");
    }
}

#[test]
fn narrow_and_low_screens_show_the_same_words_on_more_pages() {
    let (inventory, secret) = (pages::named("inventory"), pages::named("secret"));
    let mut found = screens(&inventory, "", (50, 18));
    found += &screens(&secret, &"*".repeat(60), (40, 15));
    found += &screens(&inventory, "", (39, 25));
    assert_golden("narrow", &found);
    for size in [(0, 0), (1, 1), (1, 200), (300, 1), (39, 15), (40, 14), (40, 15), (80, 24), (200, 60)] {
        for (_, page) in pages::all() {
            let rows = draw::draw(&page, &View { number: 9, typed: "abc", is_asked: true }, size).rows();
            assert!(rows.len() <= 25 && rows.iter().all(|row| row.chars().count() == usize::from(size.0.min(80))));
        }
    }
}

#[test]
fn a_paragraph_stands_apart_from_what_is_around_it_with_one_empty_line() {
    let say = |text: &str| Block::Say(text.to_owned());
    let row = || Block::Row("a".to_owned(), "b".to_owned());
    let body =
        vec![row(), say("one"), say("two"), Block::Below("of two".to_owned()), row(), row(), Block::Gap, say("three"), Block::Gap, row()];
    let page = Page { body, ..Page::default() };
    let rows = draw::draw(&page, &View::default(), (80, 25)).rows();
    let found: Vec<&str> = rows[2..16].iter().map(|row| row.trim()).collect();
    assert_eq!(found, ["a  b", "", "one", "", "two", "of two", "", "a  b", "a  b", "", "three", "", "a  b", ""]);
    assert!(plain::text(&page).contains("  a: b\n\n  one\n\n  two\n    of two\n\n  a: b\n  a: b\n\n  three\n\n  a: b\n"));
}

#[test]
fn a_row_without_a_label_goes_on_with_the_one_above() {
    let row = |label: &str, text: &str| Block::Row(label.to_owned(), text.to_owned());
    let page = Page { body: vec![row("Asks to", "put tools/a"), row("", "put tools/b")], ..Page::default() };
    assert!(plain::text(&page).ends_with("\n  Asks to: put tools/a\n      put tools/b\n"));
    let rows = draw::draw(&page, &View::default(), (80, 25)).rows();
    assert_eq!([rows[2].trim_end(), rows[3].trim_end()], ["  Asks to  put tools/a", "           put tools/b"]);
}

#[test]
fn every_word_of_a_page_is_on_one_of_its_pages_and_in_its_lines() {
    for (name, page) in pages::all() {
        let squeezed = |text: &str| text.split_whitespace().collect::<String>();
        let shown: String = (0..draw::pages(&page, (80, 25)))
            .flat_map(|number| draw::draw(&page, &View { number, ..View::default() }, (80, 25)).rows())
            .collect::<Vec<_>>()
            .join(" ");
        for (place, text) in [("screen", squeezed(&shown)), ("lines", squeezed(&plain::text(&page)))] {
            for block in &page.body {
                let (Block::Say(words) | Block::Below(words) | Block::Mark(_, words) | Block::Row(_, words)) = block else { continue };
                // A long label or text is broken over rows: word by word, as far as a word fits a row.
                for word in words.split(' ').filter(|word| word.len() < 40) {
                    let word = squeezed(&tabellion::console::font::shown(word));
                    assert!(text.contains(&word), "{name}: {word:?} is not on the {place}");
                }
            }
        }
    }
}

#[test]
fn nothing_that_a_page_holds_can_move_hide_or_turn_text() {
    for (name, page) in pages::all() {
        let screen = screens(&page, "", (80, 25));
        for text in [screen, plain::text(&page)] {
            let hides = |c: char| matches!(c, '\u{ad}' | '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
            let is_wide = |c: char| c >= '\u{2e80}';
            let bad = text.chars().find(|&c| c != '\n' && (c.is_control() || hides(c) || is_wide(c)));
            assert_eq!(bad, None, "{name}");
        }
    }
    let said = plain::text(&pages::named("hostile"));
    let markers: Vec<&str> = said.lines().filter(|line| !line.is_empty() && !line.starts_with("  ")).collect();
    assert_eq!(markers, ["== Paper of \\u{1b}]0;root\\u{7}mallory =="], "no text can pass for a marker");
}

#[test]
fn a_page_in_black_and_white_says_what_its_colours_say() {
    for (name, page) in pages::all() {
        for piece in draw::draw(&page, &View::default(), (80, 25)).coloured() {
            let is_letters = ["[ ok ]", "[ !! ]", "[STOP]"].contains(&piece.as_str());
            assert!(is_letters || name == "code" || name == "hostile", "{name}: {piece:?} means something by its colour alone");
        }
    }
    let marked = |mark| Page { body: vec![Block::Mark(mark, "the same words".to_owned())], ..Page::default() };
    let drawn = [Mark::Good, Mark::Look, Mark::Stop, Mark::Open].map(|mark| draw::draw(&marked(mark), &View::default(), (80, 25)));
    for (at, one) in drawn.iter().enumerate() {
        assert!(drawn[..at].iter().all(|other| other.rows() != one.rows()), "two marks differ by colour alone");
    }
    assert_eq!(drawn.map(|drawn| drawn.coloured().concat()), ["[ ok ]", "[ !! ]", "[STOP]", ""]);
}

// -------------------------------------------------------------------------------------------------------------------- 2. keys and what they do

#[test]
fn lines_show_the_page_once_await_keys_and_echo_what_is_typed() {
    let (input, mut keys) = pipe();
    let (mut heard, output) = pipe();
    let mut console = Console::of(vec![Terminal::lines(input, output)]);
    keys.write_all(b"x\x1b[5~nS").unwrap();
    assert_eq!(console.ask(&page("Home", &['s', '\n']), Wake::Never, LONG), Event::Chosen('s'));
    keys.write_all(b"7 legla\x7f\x08al\r").unwrap();
    assert_eq!(typed(&console.ask(&asking("Head", "Words", false), Wake::Never, LONG)), "7 legal");
    keys.write_all("gehéim\tx\t\x15neu\n".as_bytes()).unwrap();
    assert_eq!(typed(&console.ask(&asking("Key", "Passphrase", true), Wake::Never, LONG)), "neu");
    drop(console);
    let home = plain::text(&page("Home", &['s', '\n']));
    let head = plain::text(&asking("Head", "Words", false));
    let key = plain::text(&asking("Key", "Passphrase", true));
    let expected = format!(
        "{home}-- ready --\n> s\n{head}-- ready --\nWords: 7 legla\u{8} \u{8}\u{8} \u{8}al\n{key}-- ready --\nPassphrase: ******\nPassphrase: gehéimx\nPassphrase: *******\nPassphrase: ***\n"
    );
    assert_eq!(read_all(&mut heard), expected);
}

#[test]
fn a_page_is_said_again_when_it_changes_or_a_key_was_answered_and_not_otherwise() {
    let (input, mut keys) = pipe();
    let (mut heard, output) = pipe();
    let mut console = Console::of(vec![Terminal::lines(input, output)]);
    let every = Wake::Every(Duration::from_millis(1));
    let (first, mut second) = (page("Home", &['s']), page("Home", &['s']));
    second.body.push(Block::Say("a stick is there".to_owned()));
    for _ in 0..3 {
        assert_eq!(console.ask(&first, every, LONG), Event::Sticks);
    }
    assert_eq!(console.ask(&second, every, LONG), Event::Sticks);
    keys.write_all(b"s").unwrap();
    assert_eq!(console.ask(&second, every, LONG), Event::Chosen('s'));
    assert_eq!(console.ask(&second, every, LONG), Event::Sticks);
    drop(console);
    let (first, second) = (plain::text(&first), plain::text(&second));
    assert_eq!(read_all(&mut heard), format!("{first}-- ready --\n> \n{second}-- ready --\n> s\n{second}-- ready --\n> "));
}

#[test]
fn a_bar_is_said_when_a_tenth_more_is_done() {
    let (input, _keys) = pipe();
    let (mut heard, output) = pipe();
    let mut console = Console::of(vec![Terminal::lines(input, output)]);
    let at = |done, all| Page { body: vec![Block::Bar { what: "Copying".to_owned(), done, all }], ..page("Working", &[]) };
    for done in 0..=1000 {
        console.show(&at(done, 1000));
    }
    for done in [1, 2, 3, 4, 5, 6, 7, 8] {
        console.show(&Page { title: "Counting".to_owned(), ..at(done, 0) });
    }
    drop(console);
    let said = read_all(&mut heard);
    let lines: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("  Copying: ")).collect();
    let mut expected: Vec<String> = (0..=10).map(|tenth| format!("{} of 1000 ({} %)", tenth * 100, tenth * 10)).collect();
    expected.extend(["1 so far", "2 so far", "4 so far", "8 so far"].map(str::to_owned));
    assert_eq!(lines, expected);
}

#[test]
fn work_that_goes_on_is_said_every_five_seconds_and_moves_on_a_screen_every_second() {
    let (input, _keys) = pipe();
    let (mut heard, output) = pipe();
    let mut console = Console::of(vec![Terminal::lines(input, output)]);
    let at = |seconds| Page { body: vec![Block::Ticks { what: "Checking".to_owned(), seconds }], ..page("Working", &[]) };
    let mut seen = std::collections::BTreeSet::new();
    for seconds in 0..=17 {
        console.show(&at(seconds));
        seen.insert(draw::draw(&at(seconds), &View::default(), (80, 25)).rows()[3].split("  ").nth(1).unwrap().to_owned());
    }
    drop(console);
    let said = read_all(&mut heard);
    let lines: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("  Checking: ")).collect();
    assert_eq!(lines, ["0 seconds so far", "5 seconds so far", "10 seconds so far", "15 seconds so far"]);
    assert_eq!(seen.len(), 18, "{seen:?}");
    assert!(plain::text(&at(1)).contains("Checking: 1 second so far\n"));
}

#[test]
fn what_is_typed_stays_while_sticks_come_and_is_wiped_when_another_page_asks() {
    let (input, mut keys) = pipe();
    let (_heard, output) = pipe();
    let mut console = Console::of(vec![Terminal::lines(input, output)]);
    let every = Wake::Every(Duration::from_millis(1));
    keys.write_all(b"half of").unwrap();
    assert_eq!(console.ask(&asking("Head", "Words", false), every, LONG), Event::Sticks);
    let mut more = asking("Head", "Words", false);
    more.body.push(Block::Say("a stick is there".to_owned()));
    keys.write_all(b" it\r").unwrap();
    assert_eq!(typed(&console.ask(&more, every, LONG)), "half of it");
    keys.write_all(b"secret").unwrap();
    assert_eq!(console.ask(&asking("Key", "Passphrase", true), every, LONG), Event::Sticks);
    assert_eq!(console.ask(&page("Home", &['s']), every, LONG), Event::Sticks);
    keys.write_all(b"\r").unwrap();
    assert_eq!(typed(&console.ask(&asking("Key", "Passphrase", true), every, LONG)), "");
}

#[test]
fn what_was_typed_is_in_no_text_of_the_event() {
    assert_eq!(format!("{:?}", Event::Typed("geheim".to_owned().into())), "Typed(..)");
}

#[test]
fn sequences_split_over_reads_are_one_key_and_a_lone_escape_is_one_too() {
    let (input, mut keys) = pipe();
    let (mut glass, output) = Glass::new(80, 25);
    let mut console = Console::of(vec![Terminal::screen(input, output)]);
    let pages = pages::named("pages");
    let (pipe_of_wake, mut wake) = pipe();
    for (at, piece) in [&b"\x1b"[..], b"[", b"6", b"~"].iter().enumerate() {
        keys.write_all(piece).unwrap();
        wake.write_all(b"w").unwrap();
        assert_eq!(console.ask(&pages, Wake::Descriptor(pipe_of_wake.as_fd()), LONG), Event::Sticks, "piece {at}");
        assert_eq!((&pipe_of_wake).read(&mut [0]).unwrap(), 1);
    }
    wake.write_all(b"w").unwrap();
    assert_eq!(console.ask(&pages, Wake::Descriptor(pipe_of_wake.as_fd()), LONG), Event::Sticks);
    assert!(glass.text().contains("page 2 of 3"), "{}", glass.text());
    keys.write_all(b"\x1b").unwrap();
    assert_eq!(console.ask(&pages, Wake::Never, LONG), Event::Left);
}

#[test]
fn pages_are_turned_by_several_keys_and_end_where_they_end() {
    let (input, mut keys) = pipe();
    let (mut glass, output) = Glass::new(80, 25);
    let mut console = Console::of(vec![Terminal::screen(input, output)]);
    let mut pages = pages::named("pages");
    pages.choices.push(Choice { key: 'x', says: "x".to_owned() });
    for (pressed, expected) in
        [("x", 1), ("\x1b[Bx", 2), ("+++x", 2), (" x", 3), ("\x1b[B\x1b[6~x", 3), (" x", 1), ("-x", 1), ("  \x1b[5~x", 2)]
    {
        keys.write_all(pressed.as_bytes()).unwrap();
        assert_eq!(console.ask(&pages, Wake::Never, LONG), Event::Chosen('x'));
        assert!(glass.text().contains(&format!("page {expected} of 3")), "{pressed:?}: {}", glass.text());
    }
    keys.write_all(b"s").unwrap();
    assert_eq!(console.ask(&page("Home", &['s']), Wake::Never, LONG), Event::Chosen('s'));
    keys.write_all(b"x").unwrap();
    assert_eq!(console.ask(&pages, Wake::Never, LONG), Event::Chosen('x'));
    assert!(glass.text().contains("page 1 of 3"), "another page was between: {}", glass.text());
}

#[test]
fn nobody_for_a_while_is_idle_and_every_key_begins_the_while_anew() {
    let (input, mut keys) = pipe();
    let (_heard, output) = pipe();
    let mut console = Console::of(vec![Terminal::lines(input, output)]);
    let secret = asking("Key", "Passphrase", true);
    keys.write_all(b"half a passphrase").unwrap();
    assert_eq!(console.ask(&secret, Wake::Never, Duration::from_millis(30)), Event::Idle);
    keys.write_all(b"\r").unwrap();
    assert_eq!(typed(&console.ask(&secret, Wake::Never, LONG)), "", "what nobody finished is wiped");
    let mut sticks = 0;
    let home = page("Home", &['s']);
    while console.ask(&home, Wake::Every(Duration::from_millis(5)), Duration::from_millis(40)) == Event::Sticks {
        sticks += 1;
    }
    assert!((1..=8).contains(&sticks), "the while is counted over {sticks} wakes");
}

// ------------------------------------------------------------------------------------------------------------ 3. terminals that come and go

#[test]
fn a_serial_line_that_hangs_up_ends_nothing_while_there_is_another_keyboard() {
    let serial = Pty::new(80, 25);
    let (input, mut keys) = pipe();
    let (mut glass, output) = Glass::new(80, 25);
    let (line, other) = (serial.user.try_clone().unwrap(), serial.user.try_clone().unwrap());
    let mut console = Console::of(vec![Terminal::lines(line, other), Terminal::screen(input, output)]);
    (&serial.master).write_all(b"s").unwrap();
    assert_eq!(console.ask(&page("Home", &['s', 't']), Wake::Never, LONG), Event::Chosen('s'));
    drop(serial);
    keys.write_all(b"t").unwrap();
    assert_eq!(console.ask(&page("Home", &['s', 't']), Wake::Never, LONG), Event::Chosen('t'));
    keys.write_all(b"s").unwrap();
    assert_eq!(console.ask(&page("Still there", &['s']), Wake::Never, LONG), Event::Chosen('s'));
    assert!(glass.text().contains("Still there"));
    keys.write_all(b"ha").unwrap();
    drop(keys);
    assert_eq!(console.ask(&asking("Words", "Words", false), Wake::Never, LONG), Event::Closed);
}

#[test]
fn the_last_keys_before_a_hang_up_count() {
    let (input, mut keys) = pipe();
    let (_heard, output) = pipe();
    let mut console = Console::of(vec![Terminal::lines(input, output)]);
    keys.write_all(b"whole\rs\x1b").unwrap();
    drop(keys);
    assert_eq!(typed(&console.ask(&asking("Words", "Words", false), Wake::Never, LONG)), "whole");
    assert_eq!(console.ask(&page("Home", &['s']), Wake::Never, LONG), Event::Chosen('s'));
    assert_eq!(console.ask(&page("Home", &['s']), Wake::Never, LONG), Event::Left);
    assert_eq!(console.ask(&page("Home", &['s']), Wake::Never, LONG), Event::Closed);
}

#[test]
fn a_line_that_nobody_reads_stops_nobody_and_shows_the_last_page_when_it_is_read_again() {
    let (input, mut keys) = pipe();
    let (mut heard, output) = pipe();
    let mut console = Console::of(vec![Terminal::lines(input, output)]);
    let long = |at: u32| Page { body: vec![Block::Say(format!("{at} {}", "many words ".repeat(2000)))], ..page("Working", &['s']) };
    for at in 0..60 {
        console.show(&long(at));
    }
    keys.write_all(b"s").unwrap();
    assert_eq!(console.ask(&long(60), Wake::Never, LONG), Event::Chosen('s'));
    let last = page("At last", &['s']);
    let every = Wake::Every(Duration::from_millis(1));
    assert_eq!(console.ask(&last, every, LONG), Event::Sticks);
    let mut said = String::new();
    while !said.ends_with("-- ready --\n> ") {
        said += &read_all(&mut heard);
        assert_eq!(console.ask(&last, every, LONG), Event::Sticks);
    }
    assert!(said.ends_with(&format!("{}-- ready --\n> ", plain::text(&last))), "the last page is whole");
    assert!(said.len() < 400_000, "{} bytes were kept", said.len());
}

#[test]
fn an_output_that_is_gone_leaves_its_keys() {
    let (input, mut keys) = pipe();
    let (heard, output) = pipe();
    let mut console = Console::of(vec![Terminal::lines(input, output)]);
    drop(heard);
    keys.write_all(b"st").unwrap();
    assert_eq!(console.ask(&page("Home", &['s']), Wake::Never, LONG), Event::Chosen('s'));
    assert_eq!(console.ask(&page("Home", &['t']), Wake::Never, LONG), Event::Chosen('t'));
}

#[test]
fn keys_pressed_during_work_confirm_nothing_on_a_terminal() {
    let terminal = Pty::new(80, 25);
    let mut console = Console::of(vec![Terminal::lines(terminal.user.try_clone().unwrap(), terminal.user.try_clone().unwrap())]);
    (&terminal.master).write_all(b"y").unwrap();
    console.show(&page("Working", &[]));
    assert_eq!(console.ask(&page("Write 42?", &['y']), Wake::Every(Duration::from_millis(20)), LONG), Event::Sticks);
    (&terminal.master).write_all(b"yz").unwrap();
    assert_eq!(console.ask(&page("Write 42?", &['y']), Wake::Never, LONG), Event::Chosen('y'));
    assert_eq!(console.ask(&page("Next", &['z']), Wake::Never, LONG), Event::Chosen('z'), "typed ahead without work between");
}

/// Waits until what was pressed can be read.
fn press(terminal: &Pty, keys: &[u8]) {
    (&terminal.master).write_all(keys).unwrap();
    rustix::event::poll(&mut [rustix::event::PollFd::new(&terminal.user, rustix::event::PollFlags::IN)], None).unwrap();
}

#[test]
fn a_key_that_is_held_down_answers_one_page_on_a_screen() {
    let terminal = Pty::new(80, 25);
    let screen = || Terminal::screen(terminal.user.try_clone().unwrap(), terminal.user.try_clone().unwrap());
    let look = Wake::Every(Duration::from_millis(20));
    let (first, next) = (page("First", &['\n', 's']), page("Next", &['\n', 's']));
    for pause in [LONG, Duration::ZERO] {
        let mut console = Console::of(vec![screen()]).pausing(pause);
        press(&terminal, b"\r");
        assert_eq!(console.ask(&first, Wake::Never, LONG), Event::Chosen('\n'));
        // Pressed before the page was there to be read.
        press(&terminal, b"\rs\r");
        assert_eq!(console.ask(&next, look, LONG), Event::Sticks);
        if pause == LONG {
            // Held down while it is there.
            for _ in 0..3 {
                press(&terminal, b"\r");
                assert_eq!(console.ask(&next, look, LONG), Event::Sticks);
            }
            press(&terminal, b"s");
            assert_eq!(console.ask(&next, Wake::Never, LONG), Event::Chosen('s'), "another key counts at once");
        } else {
            press(&terminal, b"\r");
            assert_eq!(console.ask(&next, Wake::Never, LONG), Event::Chosen('\n'), "the pause is over");
        }
    }
}

#[test]
fn a_held_key_ends_no_line_and_no_line_after_work() {
    let terminal = Pty::new(80, 25);
    let screen = Terminal::screen(terminal.user.try_clone().unwrap(), terminal.user.try_clone().unwrap());
    let mut console = Console::of(vec![screen]).pausing(LONG);
    let look = Wake::Every(Duration::from_millis(20));
    press(&terminal, b"7\r");
    assert_eq!(typed(&console.ask(&asking("Head", "Words", false), Wake::Never, LONG)), "7");
    console.show(&page("Working", &[]));
    let key = asking("Key", "Passphrase", true);
    assert_eq!(console.ask(&key, look, LONG), Event::Sticks);
    press(&terminal, b"\r");
    assert_eq!(console.ask(&key, look, LONG), Event::Sticks);
    press(&terminal, b"geheim\r");
    assert_eq!(typed(&console.ask(&key, Wake::Never, LONG)), "geheim");
}

#[test]
fn a_key_that_lies_on_the_keyboard_is_nobody() {
    let terminal = Pty::new(80, 25);
    let screen = Terminal::screen(terminal.user.try_clone().unwrap(), terminal.user.try_clone().unwrap());
    let mut console = Console::of(vec![screen]).pausing(LONG);
    press(&terminal, b"\r");
    assert_eq!(console.ask(&page("First", &['\n']), Wake::Never, LONG), Event::Chosen('\n'));
    let (look, mut events) = (Wake::Every(Duration::from_millis(5)), Vec::new());
    while events.len() < 100 && events.last().is_none_or(|last| *last == Event::Sticks) {
        events.push(console.ask(&page("Next", &['\n']), look, Duration::from_millis(40)));
        (&terminal.master).write_all(b"\r").unwrap();
    }
    assert_eq!(events.pop(), Some(Event::Idle));
    assert!((1..=8).contains(&events.len()), "the while is counted over {} presses", events.len());
}

#[test]
fn one_key_many_times_in_one_piece_answers_one_page_on_a_serial_line() {
    let terminal = Pty::new(80, 25);
    let mut console = Console::of(vec![Terminal::lines(terminal.user.try_clone().unwrap(), terminal.user.try_clone().unwrap())]);
    let look = Wake::Every(Duration::from_millis(20));
    press(&terminal, b"\r\r\r");
    assert_eq!(console.ask(&page("First", &['\n']), Wake::Never, LONG), Event::Chosen('\n'));
    assert_eq!(console.ask(&page("Next", &['\n']), look, LONG), Event::Sticks);
    // A program at the other end presses as soon as it read the page.
    press(&terminal, b"\r");
    assert_eq!(console.ask(&page("Next", &['\n']), Wake::Never, LONG), Event::Chosen('\n'));
}

#[test]
fn a_terminal_is_left_as_it_was_found() {
    let terminal = Pty::new(80, 25);
    let state =
        || format!("{:?} {:?}", rustix::termios::tcgetattr(&terminal.user).unwrap(), rustix::fs::fcntl_getfl(&terminal.user).unwrap());
    let before = state();
    let console = Console::of(vec![Terminal::screen(terminal.user.try_clone().unwrap(), terminal.user.try_clone().unwrap())]);
    assert_ne!(state(), before);
    drop(console);
    assert_eq!(state(), before);
}

// ---------------------------------------------------------------------------------------------------------------------- 4. what a screen shows

#[test]
fn a_screen_shows_each_page_cell_by_cell_in_whatever_order_they_come() {
    let (mut glass, output) = Glass::new(80, 25);
    let (input, _keys) = pipe();
    let mut console = Console::of(vec![Terminal::screen(input, output)]);
    let all = pages::all();
    let twice = all.iter().chain(all.iter().rev());
    for (name, page) in twice {
        console.show(page);
        let expected = draw::draw(page, &View::default(), (80, 25)).rows();
        assert_eq!(glass.text(), expected.join("\n"), "{name}");
        // Only what differs is sent: the same title with another body.
        let mut other = page.clone();
        other.body.insert(0, Block::Say("one more".to_owned()));
        console.show(&other);
        assert_eq!(glass.text(), draw::draw(&other, &View::default(), (80, 25)).rows().join("\n"), "{name}");
    }
}

#[test]
fn a_larger_screen_has_the_page_in_its_middle_and_the_cursor_where_the_next_letter_goes() {
    let terminal = Pty::new(120, 40);
    let (user, other) = (terminal.user.try_clone().unwrap(), terminal.user.try_clone().unwrap());
    let mut console = Console::of(vec![Terminal::screen(user, other)]);
    (&terminal.master).write_all(b"ab").unwrap();
    let asking = asking("Head", "Words", false);
    assert_eq!(console.ask(&asking, Wake::Every(Duration::from_millis(20)), LONG), Event::Sticks);
    let mut glass = Glass::of(terminal.master.try_clone().unwrap(), 120, 40);
    let text = glass.text();
    let rows: Vec<&str> = text.lines().collect();
    assert!(rows[7].starts_with(&format!("{}Head", " ".repeat(22))), "{text}");
    let at = rows.iter().position(|row| row.contains("Words: ab___")).unwrap();
    assert_eq!(glass.cursor(), Some((22 + "Words: ab".len(), at)));
}

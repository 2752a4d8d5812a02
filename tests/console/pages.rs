//! Pages as the console may have to show them: plain ones, and those that somebody made to be shown wrongly.

use tabellion::console::page::{Ask, Block, Choice, Mark, Page};

fn page(title: &str, body: Vec<Block>, next: &str, choices: &[(char, &str)]) -> Page {
    let choices = choices.iter().map(|&(key, says)| Choice { key, says: says.to_owned() }).collect();
    let standing = "witness.example/common    at common@7    clock not confirmed".to_owned();
    Page { title: title.to_owned(), standing, body, next: next.to_owned(), choices, ask: None }
}

fn say(text: &str) -> Block {
    Block::Say(text.to_owned())
}

fn mark(mark: Mark, text: &str) -> Block {
    Block::Mark(mark, text.to_owned())
}

fn row(label: &str, text: &str) -> Block {
    Block::Row(label.to_owned(), text.to_owned())
}

fn below(text: &str) -> Block {
    Block::Below(text.to_owned())
}

/// The pages by the names of their golden files.
pub fn all() -> Vec<(&'static str, Page)> {
    vec![
        ("empty", Page { title: "Starting".to_owned(), ..Page::default() }),
        ("home", home()),
        ("inventory", inventory()),
        ("pages", pages()),
        ("secret", secret()),
        ("long-prompt", long_prompt()),
        ("progress", progress()),
        ("stop", stop()),
        ("fingerprint", fingerprint()),
        ("code", code()),
        ("long-words", long_words()),
        ("hostile", hostile()),
        ("wide-letters", wide_letters()),
        ("crowded", crowded()),
    ]
}

fn home() -> Page {
    page(
        "Ready",
        vec![
            mark(Mark::Good, "The ledger is whole: 7 numbers, 212 events, read to the end."),
            mark(Mark::Good, "The head is the one that you typed."),
            mark(Mark::Look, "The clock is not confirmed: times are recorded as claims."),
            Block::Gap,
            row("Last number", "common@7, 3 sessions ago"),
            row("Head in words", "7 legal winner thank year wave sausage"),
            row("Sticks", "none"),
        ],
        "Put a stick with papers into this machine.",
        &[('h', "show the head"), ('f', "show the fingerprint"), ('q', "switch off")],
    )
}

fn inventory() -> Page {
    let standing = "witness.example/common    at common@41    clock not confirmed".to_owned();
    let page = page(
        "What is on the stick",
        vec![
            say("SanDisk Ultra, 16 GB, FAT32. It was read once, and nothing was written to it."),
            Block::Gap,
            mark(Mark::Good, "proposal 22d0c9aa by alice: tools/editor"),
            below("signed by alice, james (2 of 2 of group release)"),
            below("would become common@42"),
            Block::Gap,
            mark(Mark::Open, "proposal 7f3ac1d2 by ops-west: field/radio.txt"),
            below("waits: 1 valid approval in group release (alice); needed 2 of alice, james, carol"),
            Block::Gap,
            mark(Mark::Stop, "proposal 90beef01 by james: refused [expectation-failed]"),
            below("found tools/editor as put by alice in common@40; expected it as in common@39"),
            Block::Gap,
            row("Ignored", "2 files: holiday.jpg (not in the folder tabellion), Thumbs.db"),
        ],
        "One number would be written: 42. Read the papers above, then go on.",
        &[('\n', "go on"), ('r', "read one paper"), ('\u{1b}', "put it aside")],
    );
    Page { standing, ..page }
}

fn pages() -> Page {
    let mut body = vec![say("Each file that was ignored, and why. There are more than fit on one page, so pages are turned.")];
    for at in 1..=12 {
        body.push(Block::Gap);
        body.push(mark(Mark::Look, &format!("holiday-{at:02}.jpg")));
        body.push(below("it lies outside of the folder tabellion, where papers are looked for"));
    }
    page("Ignored files", body, "Nothing has to be done about them.", &[('\u{1b}', "back")])
}

fn secret() -> Page {
    let body = vec![
        say("The number 42 can be written when the witness's key is opened."),
        Block::Gap,
        row("Key", "witness.example/common, log key 5c0211f0"),
        row("Closed again", "after five minutes without a key, and when the machine is switched off"),
    ];
    let page = page("Open the key", body, "Type the passphrase of the witness's key, then press Enter.", &[('\u{1b}', "not now")]);
    Page { ask: Some(Ask { prompt: "Passphrase".to_owned(), is_secret: true }), ..page }
}

fn long_prompt() -> Page {
    let body = vec![say(
        "Roll a die at least fifty times and type each number, from 1 to 6, in one row. The dice are mixed with what the machine has itself: the key is as good as the better of the two.",
    )];
    let page = page("Dice", body, "Roll, type, and press Enter when you have fifty numbers or more.", &[('\n', "mix them in")]);
    Page {
        standing: String::new(),
        ask: Some(Ask { prompt: "The numbers that the dice showed, one behind the other".to_owned(), is_secret: false }),
        ..page
    }
}

fn progress() -> Page {
    let body = vec![
        mark(Mark::Good, "common@42 is written in the ledger."),
        Block::Gap,
        Block::Bar { what: "Writing results to the stick".to_owned(), done: 45, all: 100 },
        Block::Gap,
        Block::Bar { what: "Reading it back".to_owned(), done: 12, all: 0 },
        Block::Gap,
        Block::Ticks { what: "The stick writes out what it kept to itself".to_owned(), seconds: 27 },
    ];
    page("Working", body, "Leave the stick where it is, and wait.", &[])
}

fn stop() -> Page {
    let body = vec![
        mark(Mark::Stop, "The ledger is damaged: nothing can be written any more. [chain-broken]"),
        Block::Gap,
        row("Found", "event 118 names as the event before it 5c0211f0 6a9b03c1; event 117 is 77ab01ee 120c44d9"),
        row("State", "nothing was written to the ledger or to any stick"),
        row("Written down in", "the recovery guide, section 3, which lies in the safe beside the backup"),
    ];
    page("Stopped", body, "Leave the machine on, photograph this screen, and open the recovery guide at section 3.", &[('q', "switch off")])
}

fn fingerprint() -> Page {
    let body = vec![
        say("Who pins this witness compares these with what they were told. They never change."),
        Block::Gap,
        row("Hex", "5c02 11f0 6a9b 03c1 77ab 01ee 120c 44d9 0e77 14d3 22d0 c9aa 7f3a c1d2 90be ef01"),
        Block::Gap,
        row(
            "Words",
            "legal winner thank year wave sausage worth useful legal winner thank yellow letter advice cage absurd amount doctor acoustic avoid letter always abandon zoo",
        ),
        Block::Gap,
        row("This software", "version 0.1.0, sha256 9f86 d081 884c 7d65 9a2f eaa0 c55a d015 a3bf 4f1b 2b0b 822c d15d 6c15 b0f0 0a08"),
    ];
    page("Fingerprint", body, "Write the words on the card, if they are not there yet.", &[('\n', "back")])
}

fn code() -> Page {
    let head = "COMMON 7 5C0211F06A9B03C177AB01EE120C44D90E7714D322D0C9AA7F3AC1D290BEEF01";
    let code = qrcode::QrCode::with_error_correction_level(head, qrcode::EcLevel::L).expect("short enough");
    let (width, dark) = (code.width(), code.to_colors());
    let is_light = |x: usize, y: usize| {
        let inside = |at: usize| at.checked_sub(4).filter(|&at| at < width);
        !inside(x).zip(inside(y)).is_some_and(|(x, y)| dark[y * width + x] == qrcode::Color::Dark)
    };
    let row = |y: usize| {
        (0..width + 8)
            .map(|x| match (is_light(x, y), y + 1 < width + 8 && is_light(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            })
            .collect::<String>()
    };
    let art = Block::Art((0..width + 8).step_by(2).map(row).collect());
    page("The head as a code", vec![art], "Photograph the code with the phone that keeps heads.", &[('\n', "back")])
}

fn long_words() -> Page {
    let body = vec![
        say(&format!("A hash in one piece: sha256:{} and the sentence goes on.", "0e7714d3".repeat(8))),
        row("Path", &format!("field/{}/radio.txt", ["handbook-of-the-northern-station"; 5].join("/"))),
        row("A label that is longer than its column", "and its text below it"),
        mark(Mark::Look, &"x".repeat(200)),
        below(&"y".repeat(100)),
        Block::Art(vec!["#".repeat(90)]),
    ];
    page(&"A title without end ".repeat(8), body, &"Go on and on. ".repeat(40), &[('\n', "go on")])
}

fn hostile() -> Page {
    let mut page = page(
        "Paper of \u{1b}]0;root\u{7}mallory",
        vec![
            say("== Ready =="),
            say("-- ready --\r\n-- ready --"),
            mark(Mark::Stop, "alice\u{8}\u{8}\u{8}\u{8}\u{8}[ ok ] signed by everybody"),
            below("\u{202e}txt.exe\u{202c} and \u{2066}more\u{2069}"),
            row("na\nme", "\u{1b}[2J\u{1b}[1;1H[ ok ] all is well"),
            row("zero", "ad\u{200b}min\u{200d}\u{feff} \u{ad}soft"),
            row("eight bits", "\u{9b}31mred\u{9c}"),
            Block::Art(vec!["\u{1b}[31mX\u{202e}".to_owned(), "日本語".to_owned()]),
            Block::Bar { what: "\u{1b}c".to_owned(), done: u64::MAX, all: 3 },
        ],
        "Look at \u{7}it.",
        &[('\n', "on\nward"), ('\u{7}', "be\u{7}ll")],
    );
    page.standing = "evil.example\u{1b}[8m/common".to_owned();
    page
}

fn wide_letters() -> Page {
    let body = vec![
        row("Latin", "Jürgen Ångström, José Núñez, Zoë; Łukasz Dvořák"),
        row("Greek", "αβγ"),
        row("Others", "日本語 한국어 العربية 🙂"),
        row("Signs", "5 × 4 – “so” … it’s → √2 ≥ 1"),
    ];
    page("Names of the world", body, "Compare the names letter by letter.", &[('\n', "back")])
}

fn crowded() -> Page {
    let choices: Vec<(char, String)> = ('a'..='l').map(|key| (key, format!("look at paper number {key}"))).collect();
    let choices: Vec<(char, &str)> = choices.iter().map(|(key, says)| (*key, says.as_str())).collect();
    let body = (1..=12).map(|at| row(&format!("Paper {at}"), "something that was proposed by somebody for some reason")).collect();
    page("Many papers", body, "Choose a paper to read.", &choices)
}

/// One of the pages.
#[allow(dead_code)] // the example shows them all
pub fn named(name: &str) -> Page {
    all().into_iter().find(|(its, _)| *its == name).expect("a page of this name").1
}

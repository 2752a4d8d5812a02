//! `results/report.txt` and `report.html`: what they tell, to whom, and that what people wrote stays their words. How the page looks and
//! behaves in a browser is seen by `tests/page/check`.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "page/scene.rs"]
mod scene;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use scene::{HOSTILE, HOSTILE_NAMES, OF_THE_OTHER};
use tabellion::core::ids::Pid;
use tabellion::core::words::{head_words, words24};
use tabellion::run::session;

fn text_on(medium: &Path) -> String {
    fs::read_to_string(medium.join("tabellion/results/report.txt")).unwrap()
}

fn page_on(medium: &Path) -> String {
    fs::read_to_string(medium.join("tabellion/results/report.html")).unwrap()
}

/// A page taken apart: elements with their attributes, and the text between them, unescaped.
#[derive(Default)]
struct Page {
    elements: Vec<(String, BTreeMap<String, String>)>,
    texts: Vec<String>,
}

const VOID: [&str; 3] = ["meta", "img", "wbr"];

fn unescaped(text: &str) -> String {
    assert!(!text.contains('<') && !text.contains('>'), "a bare angle bracket in {text:?}");
    let plain = ["&lt;", "&gt;", "&quot;", "&amp;"].iter().fold(text.to_owned(), |text, name| text.replace(name, ""));
    assert!(!plain.contains('&'), "a bare ampersand in {text:?}");
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

impl Page {
    /// Reads our own narrow HTML: every element is closed, every attribute value is in double quotes, and nothing else has a bracket.
    fn parse(page: &str) -> Page {
        let mut rest = page.strip_prefix("<!DOCTYPE html>").expect("a doctype");
        let (mut out, mut open) = (Page::default(), Vec::<String>::new());
        while !rest.is_empty() {
            let Some(inside) = rest.strip_prefix('<') else {
                let end = rest.find('<').unwrap_or(rest.len());
                let (text, after) = rest.split_at(end);
                if open.last().is_some_and(|name| name != "style") {
                    out.texts.push(unescaped(text));
                }
                rest = after;
                continue;
            };
            // A bracket in a value would be escaped, so the first one ends the tag.
            let (tag, after) = inside.split_once('>').expect("a tag ends");
            rest = after;
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop().as_deref(), Some(name), "closed in order");
                continue;
            }
            let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
            assert!(name.bytes().all(|b| b.is_ascii_alphanumeric()), "{name:?}");
            out.elements.push((name.to_owned(), attributes_of(attributes)));
            if !VOID.contains(&name) {
                open.push(name.to_owned());
            }
        }
        assert!(open.is_empty(), "{open:?} left open");
        out
    }

    fn has(&self, name: &str) -> bool {
        self.elements.iter().any(|(element, _)| element == name)
    }

    fn values<'a>(&'a self, attribute: &'a str) -> impl Iterator<Item = &'a str> {
        self.elements.iter().filter_map(move |(_, attributes)| attributes.get(attribute)).map(String::as_str)
    }
}

fn attributes_of(text: &str) -> BTreeMap<String, String> {
    let (mut out, mut rest) = (BTreeMap::new(), text.trim());
    while !rest.is_empty() {
        let end = rest.find(['=', ' ']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-' || b == b'B'), "attribute {name:?}");
        let (value, after) = match after.strip_prefix("=\"") {
            Some(quoted) => quoted.split_once('"').expect("a value ends"),
            None => ("", after),
        };
        assert!(out.insert(name.to_owned(), unescaped(value)).is_none(), "{name} twice");
        rest = after.trim_start();
    }
    out
}

/// Everything by which a page could reach beyond itself or run, found in one.
fn reaches(page: &str) -> Vec<String> {
    let parsed = Page::parse(page);
    let allowed: BTreeSet<&str> = "html head meta title style body a p header h1 h2 h3 main nav ul ol li b span section div dl dt dd code \
                                   figure figcaption blockquote wbr svg rect path details summary article pre footer"
        .split_whitespace()
        .collect();
    let mut out: Vec<String> =
        parsed.elements.iter().map(|(name, _)| name.clone()).filter(|name| !allowed.contains(name.as_str())).collect();
    for (_, attributes) in &parsed.elements {
        for (name, value) in attributes {
            let inside = name == "href" && value.starts_with('#');
            let reaching = ["src", "href", "srcset", "action", "data", "style", "poster"].contains(&name.as_str()) && !inside;
            if reaching || name.starts_with("on") {
                out.push(format!("{name}={value}"));
            }
        }
    }
    let style = page.split_once("<style>").and_then(|(_, rest)| rest.split_once("</style>")).expect("a style").0;
    out.extend(["url(", "@import", "expression", "http"].into_iter().filter(|word| style.contains(word)).map(str::to_owned));
    out
}

#[test]
fn report_tells_each_paper_once_with_its_answer_and_the_people_who_are_missing() {
    let room = support::room();
    let (_, report, media) = scene::rich(room.path());
    let books = report.desk.books();
    let session = books.last_session().unwrap().unwrap();
    let text = text_on(&media[0]);
    let head = books.head();
    for line in [
        "Session 2 of witness.example/common: what became of each paper".to_owned(),
        "answers  10 papers judged: 3 accepted, 2 refused, 3 pending, 2 deferred".to_owned(),
        format!("head     common@5 {}", head_words(&head.root)),
        format!("root     {}", head.root),
        format!("before   common@2 {}", head_words(&report.heads.0.root)),
        "time     2025-10-09T08:53:20Z, as the desk's operator claims it; nothing was judged by it".to_owned(),
        "tabellion/results/session-000002.receipts".to_owned(),
        format!("    {}", words24(&books.log().root_at(1).unwrap())),
        "  wrote  The new map of the valley, as drawn in spring.".to_owned(),
        format!("  wrote  {HOSTILE}"),
        "  found  somewhere/else, which begins with no prefix of the policy".to_owned(),
        "  found  0 of the 2 approvals that group both needs; not signed by alice, bob, carol, dave, erin".to_owned(),
        "  lacks  0 of 2 in both, missing 2 of board (alice, bob, carol) and 1 of field (dave, erin)".to_owned(),
        "  lacks  1 of 2 in board, missing bob or carol".to_owned(),
        "  lacks  under the new policy: 1 of 2 in board, missing bob or carol".to_owned(),
        "  asks   put open/map: 6 bytes of text/plain, sha256:35424ba496ad6dbc, as a new entry".to_owned(),
        "  is     common@5".to_owned(),
    ] {
        assert_eq!(text.lines().filter(|found| *found == line).count(), 1, "{line}\nin\n{text}");
    }
    let headings =
        ["REFUSED: 2 papers", "PENDING: 3 papers", "DEFERRED: 2 papers", "ACCEPTED: 3 papers", "WHO IS MISSING", "BROUGHT AGAIN"];
    let places: Vec<usize> = headings.iter().map(|heading| text.find(heading).expect(heading)).collect();
    assert!(places.is_sorted(), "what somebody must do something about comes first: {places:?}");
    let page = page_on(&media[0]);
    assert_eq!(session.rulings.len(), 10);
    for ruling in &session.rulings {
        for told in [&text, &page] {
            assert_eq!(told.matches(&ruling.pid.hex()).count(), 1, "{}", ruling.pid);
        }
    }
    // Erin's plan waits for two of the board; alice's policy for one more, in the board of now and in the new one.
    let of = |author: &str, sequence: u64| {
        let paper = session.rulings.iter().map(|ruling| ruling.pid).find(|pid| {
            books.held().get(pid).is_some_and(|held| held.proposal.author.as_str() == author && held.proposal.sequence == sequence)
        });
        paper.map(|pid: Pid| pid.tiny()).unwrap()
    };
    let (plan, long, policy) = (of("erin", 1), of("frank", 2), of("alice", 3));
    let long_name = format!("safe/{}end", "a-very-long-name-of-a-thing/".repeat(7));
    let missing = text.split_once("WHO IS MISSING").unwrap().1.split_once("BROUGHT AGAIN").unwrap().0;
    let lines = |person: &str| {
        let (_, rest) = missing.split_once(&format!("\n{person} can still approve\n")).unwrap();
        rest.lines().take_while(|line| line.starts_with("  ")).map(str::to_owned).collect::<BTreeSet<String>>()
    };
    let for_plan = format!("  paper {plan} of erin (sequence 1): docs/plan, for board");
    let for_long = format!("  paper {long} of frank (sequence 2): {long_name}, for both");
    let for_policy = format!("  paper {policy} of alice (sequence 3): the policy, for board");
    let for_new = format!("{for_policy} of the new policy");
    assert_eq!(lines("alice"), BTreeSet::from([for_plan.clone(), for_long.clone()]));
    assert_eq!(lines("bob"), BTreeSet::from([for_plan, for_long.clone(), for_policy, for_new]));
    assert_eq!(lines("dave"), BTreeSet::from([for_long]));
    assert!(!missing.contains("frank can"), "{missing}");
}

#[test]
fn page_is_whole_in_itself_and_every_link_leads_to_a_place_in_it() {
    let room = support::room();
    let (_, _, media) = scene::rich(room.path());
    let (_, founding) = scene::founding(room.path());
    for medium in [&media[0], &media[1], &founding] {
        let page = page_on(medium);
        assert_eq!(reaches(&page), Vec::<String>::new());
        let parsed = Page::parse(&page);
        let policy = parsed.values("content").find(|value| value.starts_with("default-src")).unwrap();
        assert_eq!(policy, "default-src 'none'; style-src 'unsafe-inline'");
        let ids: Vec<&str> = parsed.values("id").collect();
        let distinct: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(ids.len(), distinct.len(), "{ids:?}");
        assert!(parsed.values("href").all(|href| distinct.contains(&href[1..])));
        assert!(parsed.values("aria-labelledby").all(|id| distinct.contains(id)));
        assert!(parsed.values("lang").eq(["en"]));
    }
    // The founding itself: one paper, which is no proposal.
    let text = text_on(&founding);
    assert!(text.contains(" of the founders: the charter\n") && text.contains("\n  is     common@1\n"), "{text}");
    assert!(text.contains("before   nothing: this session founded it\n"), "{text}");
}

#[test]
fn reaching_out_of_the_page_is_seen_when_it_is_planted() {
    let room = support::room();
    let (_, medium) = scene::founding(room.path());
    let page = page_on(&medium);
    for (planted, faults) in [
        ("<script>alert(1)</script>", 1),
        ("<img src=\"x.png\">", 2),
        ("<a href=\"https://example.org\">x</a>", 1),
        ("<p onclick=\"x\">x</p>", 1),
        ("<p style=\"color:red\">x</p>", 1),
        ("<p href=\"other.html\">x</p>", 1),
    ] {
        let changed = page.replacen("</main>", &format!("{planted}</main>"), 1);
        assert_eq!(reaches(&changed).len(), faults, "{planted}: {:?}", reaches(&changed));
    }
    let styled = page.replacen("</style>", "p { background: url(x.png) }</style>", 1);
    assert_eq!(reaches(&styled), ["url("]);
}

#[test]
fn words_and_file_names_of_people_stay_words_in_the_page() {
    let room = support::room();
    let (_, _, media) = scene::rich(room.path());
    let page = Page::parse(&page_on(&media[0]));
    for words in [HOSTILE].iter().chain(&HOSTILE_NAMES) {
        assert_eq!(page.texts.iter().filter(|text| text == words).count(), 1, "{words}");
    }
    assert!(!page.has("script") && !page.has("img"));
}

#[test]
fn report_on_a_medium_tells_nothing_of_files_on_another_or_of_the_closing_event() {
    let room = support::room();
    let (_, report, media) = scene::rich(room.path());
    let session = report.desk.books().last_session().unwrap().unwrap();
    let closed = session.closed.as_ref().unwrap();
    let told = media.each_ref().map(|medium| [text_on(medium), page_on(medium)]);
    assert!(told[1].iter().all(|text| text.contains(OF_THE_OTHER)), "told where it lies");
    assert!(told[0].iter().all(|text| !text.contains(OF_THE_OTHER)));
    assert!(told[1].iter().all(|text| !text.contains("holiday") && !text.contains("stranger.cose")));
    for text in told.iter().flatten() {
        assert!(!text.contains(&closed.program.hex()) && !text.contains(&closed.confirmation));
        assert!(!text.contains(room.path().to_str().unwrap()), "where media are mounted is nobody's business");
        assert!(!text.contains(".bundle"), "a file that was taken is not listed");
    }
    assert!(told[0][0].contains(" was accepted in session 1; its first receipt is in again.receipts\n"));
    assert!(!told[1][0].contains("BROUGHT AGAIN"), "it came on the first medium alone");
}

#[test]
fn report_has_the_same_bytes_however_often_it_is_written() {
    let room = support::room();
    let (notary, _, media) = scene::rich(room.path());
    let before = media.each_ref().map(|medium| (text_on(medium), page_on(medium)));
    let again = notary.session(&media, None);
    assert!(!again.is_new);
    assert!(before == media.each_ref().map(|medium| (text_on(medium), page_on(medium))), "the session was run again");
    let others = [room.path().join("x"), room.path().join("y")];
    for medium in &others {
        fs::create_dir(medium).unwrap();
        session::export(&notary.dir, medium, &mut |_, _| {}).unwrap();
    }
    assert_eq!(text_on(&others[0]), text_on(&others[1]));
    assert_eq!(page_on(&others[0]), page_on(&others[1]));
    // An export looked at no medium, and says so; all else is as the session wrote it.
    let exported = text_on(&others[0]);
    assert!(exported.contains("An export wrote to this medium; papers on it were not looked at.\n"));
    assert_eq!(exported.split_once("LISTED").unwrap().0, before[1].0.split_once("LISTED").unwrap().0);
}

#[test]
fn a_long_session_stays_readable_the_page_is_bounded_and_the_text_is_complete() {
    let room = support::room();
    let (_, medium) = scene::many(room.path(), 1_800);
    let (text, page) = (text_on(&medium), page_on(&medium));
    assert_eq!(text.matches("\n  id     sha256:").count(), 1_800);
    let parsed = Page::parse(&page);
    // 3 of 5 are accepted and 30 wait; the rest of the fourth fifth is accepted too. 1,000 of them are on the page.
    assert!(text.contains("answers  1800 papers judged: 1410 accepted, 360 refused, 30 pending, 0 deferred\n"), "{}", &text[..300]);
    assert!(parsed.texts.iter().any(|text| text == "410 more are in report.txt, and each has its receipt."));
    let articles = parsed.elements.iter().filter(|(name, _)| name == "article").count();
    assert_eq!(articles, 1_000 + 360 + 30);
    let details: Vec<bool> = parsed
        .elements
        .iter()
        .filter(|(_, attributes)| attributes.get("class").is_some_and(|class| class == "outcome"))
        .map(|(_, attributes)| attributes.contains_key("open"))
        .collect();
    assert_eq!(details, [true, true, false], "refused and pending open, accepted folded");
}

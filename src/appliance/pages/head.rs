//! The head: recognised by what somebody wrote on paper, and shown for the next time.

use crate::console::page::{Block, Mark, Page};
use crate::core::head::KnownHead;
use crate::core::ids::Head;
use crate::core::words::head_words;

use super::{ENTER, mark, page, row, say};

/// Title of the page that asks for the head.
pub const LAST_HEAD: &str = "The last head";

/// What is typed instead of a head that nobody could write down.
pub const FOUNDED_TODAY: &str = "founded today";

/// Asks for the head; `wrong` says what was the matter with what was typed before. A desk is young when it has its founding alone.
pub fn last_head(wrong: Vec<Block>, is_young: bool) -> Page {
    let mut body = vec![
        say(
            "Type the last head from your paper: its number and its six words. This is how an old copy of this disk is noticed, so do not take it from anything that this machine shows.",
        ),
        row("It looks like", EXAMPLE),
        say("with other words, those of your paper. Capitals, dashes and blanks do not matter."),
    ];
    if is_young {
        body.push(say(format!(
            "Only if this witness was founded today, and it broke off before its first head was on your paper: type {FOUNDED_TODAY}."
        )));
    }
    if !wrong.is_empty() {
        body.push(Block::Gap);
        body.extend(wrong);
    }
    page(LAST_HEAD, body, "Type it and press Enter. Escape goes to switching off.").asking("Number and six words")
}

/// How a head looks, in words that are those of no head.
const EXAMPLE: &str = "common@41 word word word word word word";

/// Whether the example was typed, whole or in part: each of its words is one that a head may have, and six of them would be compared.
pub fn is_example(typed: &str) -> bool {
    let typed = typed.to_lowercase();
    let parts = typed.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty() && *part != "common");
    let mut words = parts.filter(|part| !part.bytes().all(|byte| byte.is_ascii_digit())).peekable();
    words.peek().is_some() && words.all(|word| word == "word")
}

/// The example was typed.
pub fn example_typed() -> Vec<Block> {
    vec![
        mark(Mark::Look, "That is the example, and no head."),
        Block::Below("Type the number and the six words that stand last on your own paper.".into()),
    ]
}

/// What was typed cannot be a head.
pub fn no_head(why: &str) -> Vec<Block> {
    vec![mark(Mark::Look, "This cannot be a head, look at it once more:"), Block::Below(why.to_owned())]
}

/// Most words that are taken for mistakes of typing. What differs in more is not shown: the words come from a paper, and not from this screen.
const MISTAKES_MAX: usize = 2;

/// How a head that was typed differs from the one that is expected.
pub fn differs(typed: &KnownHead, head: &Head) -> Vec<Block> {
    let mut out = vec![mark(Mark::Look, "This is not the head of this disk. It differs here:")];
    if typed.number != head.number {
        out.push(Block::Below(format!("the number: {} on your paper, {} on this disk", typed.number, head.number)));
        return out;
    }
    let words = head_words(&head.root);
    let pairs = typed.words.split('-').zip(words.split('-')).enumerate();
    let wrong: Vec<(usize, (&str, &str))> = pairs.filter(|(_, (theirs, ours))| theirs != ours).collect();
    if wrong.len() > MISTAKES_MAX {
        out.push(Block::Below(format!(
            "{} of the six words: that is no slip of a finger. Is it the newest paper, and the right disk?",
            wrong.len()
        )));
        return out;
    }
    out.extend(
        wrong.into_iter().map(|(at, (theirs, ours))| Block::Below(format!("word {}: {theirs} on your paper, {ours} on this disk", at + 1))),
    );
    out
}

/// The operator knows a head that this disk had earlier.
pub fn went_on(typed: &KnownHead, head: &Head) -> Vec<Block> {
    vec![
        mark(Mark::Look, "This disk had your head once, and went on since:"),
        Block::Below(format!("common@{} is on your paper, common@{} is the head of this disk", typed.number, head.number)),
        Block::Below("Is there a newer paper? If not, find out who ran a session before you go on.".into()),
    ]
}

/// The ledger is one session ahead of the operator's paper.
pub fn one_ahead(typed: &KnownHead, head: &Head) -> Page {
    let body = vec![
        mark(Mark::Look, "This disk is one session ahead of your paper."),
        row("Your paper", format!("common@{} {}", typed.number, typed.words)),
        row("This disk", format!("common@{} {}", head.number, head_words(&head.root))),
        Block::Gap,
        say(
            "That is right when the last session broke off before its results were seen: the power failed, or a stick was pulled out. If no session broke off, somebody else ran one: ask who.",
        ),
    ];
    page("One session ahead", body, "If you know of that session, press Enter. If not, press Escape, switch off and ask.")
        .choice(ENTER, "go on")
}

/// The operator knows a later head: then this disk is an old copy.
pub fn later(typed: &KnownHead, head: &Head, wrong: bool) -> Page {
    let mut body = vec![
        mark(Mark::Stop, "Your paper is NEWER than this disk. Then this disk is an old copy."),
        row("Your paper", format!("common@{} {}", typed.number, typed.words)),
        row("This disk", format!("common@{}", head.number)),
        Block::Gap,
        say(
            "Look at your paper once more. If it is right, type halt: from then on this disk signs nothing, until the custodians order otherwise. Nothing is lost by that. Two disks that both sign would be far worse.",
        ),
        say("If it was a mistake, press Escape and type the head again."),
    ];
    if wrong {
        body.push(mark(Mark::Look, "That was not the word halt. Nothing was done."));
    }
    page("This disk is an old copy", body, "Type halt and press Enter, or press Escape.").asking("The word halt, or Escape")
}

//! The dossier of a halt: what a person needs to judge it, in words, and the files that go onto the media as evidence (SPEC 7.8 and 8.7).
//!
//! It is text alone: nothing here reads or writes a file. Lines of signed texts are set in, so that the dossier itself passes for no note.

use std::path::{Path, PathBuf};

use crate::core::books::Books;
use crate::core::fork::{ForkProof, Statement};
use crate::core::ids::Hash;
use crate::core::publish;
use crate::core::rules::{Checked, Fault, Rule};
use crate::core::words::head_words;

use super::events::program_digest;
use super::gossip::Found;
use super::startup::{Findings, Wrong};

/// Most characters of the head file that are shown; ours has about 250.
const HEAD_FILE_SHOWN_MAX: usize = 2_000;
/// Most texts that are shown whole, and written out as evidence; of more the hashes are listed.
const SHOWN_MAX: usize = 32;

/// What a halt leaves behind.
pub struct Dossier {
    text: String,
    hash: Hash,
    files: Vec<(String, Vec<u8>)>,
}

impl Dossier {
    /// What a start or an integrity check found wrong.
    pub fn of_check(dir: &Path, findings: &Findings, wrong: &Wrong) -> Dossier {
        let opening = format!(
            "This desk checks its own ledger whenever it is started. A check failed:\n{}.\nNothing was signed.",
            wrong.fault.rule.says()
        );
        let mut lines = vec![("rule", wrong.fault.rule.id().to_owned())];
        lines.extend(compared(&wrong.fault));
        lines.push(("kind", wrong.kind.to_owned()));
        lines.push(("last good", format!("event {}", wrong.last_good_seq_no)));
        lines.push(("first bad", format!("event {}", wrong.first_bad_seq_no)));
        let after = if wrong.fault.rule == Rule::HeadLost { AFTER_A_LOST_HEAD } else { AFTER_A_CHECK };
        Dossier::of_desk(dir, findings, &opening, lines, after)
    }

    /// A person knows another head than the ledger has, and insists.
    pub fn of_known_head(dir: &Path, findings: &Findings, fault: &Fault) -> Dossier {
        let opening =
            "Somebody knows a head of this log from outside this disk, as a printout or another copy shows it, and this ledger does not
have it. Either this disk is an old state or a copy of the desk's disk, or what was written down is wrong. Asked
again, the operator insisted. Nothing was signed.";
        let mut lines = vec![("rule", fault.rule.id().to_owned())];
        lines.extend(compared(fault));
        Dossier::of_desk(dir, findings, opening, lines, AFTER_A_KNOWN_HEAD)
    }

    fn of_desk(dir: &Path, findings: &Findings, opening: &str, found: Vec<(&'static str, String)>, after: &str) -> Dossier {
        let mut text = format!("Tabellion: why this desk is halted\n\n{opening}\nFrom now on the log key signs nothing here.\n\n");
        let mut lines = found;
        lines.push(("desk", one_line(&dir.display().to_string())));
        lines.push(("software", software()));
        text.push_str(&labelled(&lines));
        text.push_str("\nWhat this desk's own ledger says, as far as it can be read\n");
        text.push_str(&labelled(&ledger_says(findings)));
        text.push_str(&match &findings.head_text {
            Some(head) => {
                format!("\nThe head file, as it was found\n{}", set_in(&head.chars().take(HEAD_FILE_SHOWN_MAX).collect::<String>()))
            }
            None => "\nNo head file was found that can be read.\n".to_owned(),
        });
        let sealed = findings.books.headings().iter().any(|heading| heading.is_sealed);
        match (findings.chain_is_whole && sealed).then(|| last_signed(&findings.books)) {
            Some(Ok(checkpoint)) => {
                text.push_str(&format!("\nThe last checkpoint that this ledger has signed\n{}", set_in(&checkpoint)));
            }
            Some(Err(fault)) => {
                let why = one_line(fault.shown());
                text.push_str(&format!("\nThe last checkpoint that this ledger has signed could not be read: [{}] {why}\n", fault.rule));
            }
            None => {}
        }
        text.push_str(after);
        let hash = Hash::of(text.as_bytes());
        Dossier { files: vec![("dossier.txt".to_owned(), text.clone().into_bytes())], text, hash }
    }

    /// Texts of ours that the ledger does not have, at least one.
    ///
    /// # Errors
    /// `ledger-fault` when the ledger holds no charter.
    pub fn of_gossip(books: &Books, evidence: &[Found], media: &[PathBuf]) -> Checked<Dossier> {
        let mut text = beginning(books, evidence.len())?;
        for (number, found) in (1..).zip(evidence) {
            text.push_str(&if number <= SHOWN_MAX { whole(number, found, media) } else { in_one_line(number, found) });
        }
        text.push_str(ENDING);
        let hash = Hash::of(text.as_bytes());
        let mut files = vec![("dossier.txt".to_owned(), text.clone().into_bytes())];
        for (number, found) in (1..).zip(evidence.iter().take(SHOWN_MAX)) {
            files.push((format!("{number:02}.note"), found.evidence.signed.clone().into_bytes()));
            files.extend(found.evidence.ours.clone().map(|ours| (format!("{number:02}.ours.note"), ours.into_bytes())));
        }
        files.extend(fork_in(books, evidence).map(|proof| ("fork.proof".to_owned(), proof.text().into_bytes())));
        Ok(Dossier { text, hash, files })
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// SHA-256 of its text: its name.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// The files of its folder on a medium, each with its path there.
    pub fn files(&self) -> (String, Vec<(String, Vec<u8>)>) {
        let folder = format!("tabellion/evidence/{}", &self.hash.hex()[..16]);
        let files = self.files.iter().map(|(name, bytes)| (format!("{folder}/{name}"), bytes.clone()));
        (folder.clone(), files.collect())
    }
}

/// The two compared values, each on its line, where a fault is made of two: `A found; B expected`, or of heads `A in …; B in …`.
fn compared(fault: &Fault) -> Vec<(&'static str, String)> {
    let found = fault.shown();
    let of_heads = matches!(fault.rule, Rule::HeadRolledBack | Rule::HeadLost | Rule::HeadUnexpected);
    let at = if of_heads { found.find("; ") } else { found.find(" found; ").map(|at| at + " found".len()) };
    match at {
        Some(at) => vec![("found", one_line(&found[..at])), ("against", one_line(&found[at + "; ".len()..]))],
        None => vec![("found", one_line(found))],
    }
}

fn labelled(lines: &[(&str, String)]) -> String {
    lines.iter().map(|(label, value)| format!("{label:9} {value}\n")).collect()
}

/// The program that wrote the dossier.
fn software() -> String {
    let digest = program_digest().map_or("that cannot be read".into(), |digest| digest.named());
    format!("tabellion {}, the program's file {digest}", env!("CARGO_PKG_VERSION"))
}

fn ledger_says(findings: &Findings) -> Vec<(&'static str, String)> {
    let (books, mut out) = (&findings.books, Vec::new());
    if let Some(charter) = &findings.charter {
        out.push(("origin", format!("{}{}", charter.origin, if charter.rehearsal { ", a REHEARSAL" } else { "" })));
        out.push(("log key", charter.log.to_string()));
        out.push(("instance", hex::encode(charter.instance)));
    }
    match &findings.last {
        Some(last) => {
            let (word, id, hash) = (last.event_type.as_str(), one_line(&last.event_id), hex::encode(last.event_hash));
            out.push(("event", format!("{}, the last: {word} {id}, {hash}", last.seq_no)));
        }
        None => out.push(("event", "none could be read".into())),
    }
    if findings.chain_is_whole {
        let head = books.head();
        out.push(("head", format!("{head}, in words {}", head_words(&head.root))));
        let session = books.last_session_number();
        let state = if books.unsealed().is_some() { "committed and not sealed" } else { "sealed" };
        out.push(("session", format!("{session}, the last, {state}")));
    }
    out
}

/// The newest checkpoint with our signature.
fn last_signed(books: &Books) -> Checked<String> {
    let sealed = books.headings().iter().rev().find(|heading| heading.is_sealed);
    publish::checkpoint(books, sealed.and_then(|heading| heading.end).map_or(0, |end| end.after.number))
}

fn beginning(books: &Books, count: usize) -> Checked<String> {
    let (charter, head) = (books.charter()?, books.head());
    let session = books.last_session_number();
    Ok(format!(
        "Tabellion: why this desk is halted

A medium brought texts that this desk's own log key has signed and that its ledger does not have. Either this disk is an old state
or a copy of the desk's disk, and the desk went on elsewhere; or the log key is in other hands.
From now on the log key signs nothing here.

origin    {}{}
log key   {}
instance  {}
software  {}
our head  {head}
          in words {}
ledger    session {session}, last event {}
found     {count} of our texts that the ledger has not sealed and no order has settled

",
        charter.origin,
        if charter.rehearsal { ", a REHEARSAL" } else { "" },
        charter.log,
        hex::encode(charter.instance),
        software(),
        head_words(&head.root),
        hex::encode(books.last_hash()),
    ))
}

const AFTER_A_CHECK: &str = "
What to do next

1. Sign nothing with this disk, start no copy of it, and mend nothing on it. Photograph the screen, and keep the disk as it is.
2. Find out what touched it: a restored backup, a copied folder, a failing disk, or somebody with access to the machine.
   Compare the head above with the words on your last printouts, and with the newest stick.
3. If a newer or undamaged disk of this desk is there, go on with that one and keep this one switched off.
4. Otherwise call the custodians. Only their resume order ends this halt; it names this dossier by its SHA-256, which is its file's name.
";

const AFTER_A_LOST_HEAD: &str = "
What to do next

1. Sign nothing with this disk, start no copy of it, and mend nothing on it. Photograph the screen, and keep the disk as it is.
2. Find out what touched it: a failing disk, a backup put back, or somebody with access to the machine. Whoever puts an older ledger
   back and takes the head file away leaves exactly this, and nothing on this disk can tell.
3. Compare the number and the words of the head above with what is known elsewhere: a consumer's pin, a printout, the last report on
   a stick. If anything knows a higher number, or other words under this one, this is an old disk or another one: look for the newer.
4. If nothing does, call the custodians. Only their resume order ends this halt; it names this dossier by its SHA-256, which is its
   file's name. It has the head file written anew from this ledger, as it is.
";

const AFTER_A_KNOWN_HEAD: &str = "
What to do next

1. Sign nothing with this disk, and start no copy of it.
2. Find out where the head that you know comes from: a printout, a stick, a telephone call. Look at it once more, with somebody else.
3. If it is genuine, this disk is an old one: go on with the newer disk, and keep this one switched off.
4. Whatever it was, only the custodians' resume order ends this halt; it names this dossier by its SHA-256, which is its file's name.
";

const ENDING: &str = "
What to do next

1. Sign nothing with this disk, and start no copy of it. Keep the medium as it is.
2. Find out where the desk went on: ask those who brought the medium, and compare the head's words on the last printouts.
3. If this disk is the old one: go on with the newer one, and keep this one switched off.
   If the other is the copy, or nobody knows of one: call the custodians. Only their resume order ends this halt; it names this
   dossier by its SHA-256, and the texts it settles by theirs.
4. Two signed roots of one number prove the fork to anyone: tabellion verify fork.proof --vkey KEY, in tabellion/evidence on the medium.
   Of two published folders that disagree, tabellion verify FOLDER FOLDER makes such a proof.
";

fn whole(number: usize, found: &Found, media: &[PathBuf]) -> String {
    let evidence = &found.evidence;
    let medium = media.get(found.medium).map_or(String::new(), |medium| format!(" ({})", medium.display()));
    let mut out = format!("{number}. {}\n", evidence.what);
    for (label, value) in [
        ("found", evidence.found.clone()),
        ("expected", evidence.expected.clone()),
        ("lies in", format!("{} on medium {}{}", found.path, found.medium + 1, one_line(&medium))),
        ("file", format!("sha256:{}", found.file)),
        ("text", format!("sha256:{}", evidence.text)),
    ] {
        out.push_str(&format!("   {label:9} {}\n", one_line(&value)));
    }
    out.push_str("   signed by our log key:\n");
    out.push_str(&set_in(&evidence.signed));
    match &evidence.ours {
        Some(ours) => {
            out.push_str("   our own on the same matter, from this ledger:\n");
            out.push_str(&set_in(ours));
        }
        None => out.push_str("   this ledger has signed nothing on the same matter\n"),
    }
    out + "\n"
}

fn in_one_line(number: usize, found: &Found) -> String {
    format!("{number}. {}, in {}, text sha256:{}\n", found.evidence.what, found.path, found.evidence.text)
}

/// SHA-256 of every text that a dossier lists, in the order in which it lists them: what an order may settle (SPEC 7.8).
///
/// Signed texts are set in behind a bar and paths are escaped, so that no line of theirs passes for one of ours.
pub fn texts_in(dossier: &str) -> Vec<Hash> {
    let listed = |line: &str| {
        let whole = line.strip_prefix("   text      sha256:");
        let short = || line.starts_with(|c: char| c.is_ascii_digit()).then(|| line.rsplit_once(", text sha256:")).flatten();
        Hash::from_hex(whole.or_else(|| short().map(|(_, hash)| hash))?)
    };
    dossier.lines().filter_map(listed).collect()
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A signed text as it is shown: each line behind a bar, and what is not plain ASCII escaped, but for the dash of signature lines.
fn set_in(text: &str) -> String {
    let plain = |c: char| match c {
        ' '..='~' | '\u{2014}' => c.to_string(),
        c => c.escape_default().to_string(),
    };
    text.lines().map(|line| format!("     | {}\n", line.chars().map(plain).collect::<String>())).collect()
}

/// A proof of the fork, when one of the texts contradicts another or one of ours.
fn fork_in(books: &Books, evidence: &[Found]) -> Option<ForkProof> {
    let key = books.log_key().ok()?;
    let read = |text: &str| Statement::read(text.as_bytes(), key).ok();
    let theirs: Vec<Statement> = evidence.iter().take(SHOWN_MAX).filter_map(|found| read(&found.evidence.signed)).collect();
    let ours = evidence.iter().take(SHOWN_MAX).filter_map(|found| read(found.evidence.ours.as_ref()?));
    let all: Vec<Statement> = theirs.iter().cloned().chain(ours).collect();
    theirs.iter().find_map(|one| all.iter().find_map(|other| ForkProof::of(key, one, other).ok().flatten()))
}

//! The dossier of a halt: what a person needs to judge it, in words, and the files that go onto the media as evidence (SPEC 7.8 and 8.7).
//!
//! It is text alone: nothing here reads or writes a file. Lines of signed texts are set in, so that the dossier itself passes for no note.

use std::path::PathBuf;

use crate::core::books::Books;
use crate::core::fork::{ForkProof, Statement};
use crate::core::ids::Hash;
use crate::core::rules::Checked;
use crate::core::words::head_words;

use super::gossip::Found;

/// Most texts that are shown whole, and written out as evidence; of more the hashes are listed.
const SHOWN_MAX: usize = 32;

/// What a halt leaves behind.
pub struct Dossier {
    text: String,
    hash: Hash,
    files: Vec<(String, Vec<u8>)>,
}

impl Dossier {
    /// Puts together what was found, of at least one text.
    ///
    /// # Errors
    /// `ledger-fault` when the ledger holds no charter.
    pub fn of(books: &Books, evidence: &[Found], media: &[PathBuf]) -> Checked<Dossier> {
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

fn beginning(books: &Books, count: usize) -> Checked<String> {
    let (charter, head) = (books.charter()?, books.head());
    let session = books.sessions().last().map_or(0, |session| session.opened.session);
    Ok(format!(
        "Tabellion: why this desk is halted

A medium brought texts that this desk's own log key has signed and that its ledger does not have. Either this disk is an old state
or a copy of the desk's disk, and the desk went on elsewhere; or the log key is in other hands.
From now on the log key signs nothing here.

origin    {}{}
log key   {}
instance  {}
our head  {head}
          in words {}
ledger    session {session}, last event {}
found     {count} of our texts that the ledger has not sealed and no order has settled

",
        charter.origin,
        if charter.rehearsal { ", a REHEARSAL" } else { "" },
        charter.log,
        hex::encode(charter.instance),
        head_words(&head.root),
        hex::encode(books.last_hash()),
    ))
}

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

//! An order as its governors and the operator meet it: what it says, what it does, and what follows.

use serde::Serialize;

use crate::core::ids::{Hash, Pid};
use crate::core::order::{self, What};

use super::facts::{Head, sha256};
use super::output::Page;

/// An order's facts.
#[derive(Serialize)]
pub struct Order {
    /// SHA-256 of its payload.
    pub id: String,
    /// `rotate`, `hand over`, `resume`, `recover`, `retire` or `compromise`.
    pub kind: &'static str,
    /// The Common it is for.
    pub origin: String,
    /// Its number, used once.
    pub number: u64,
    /// The head it was written for.
    pub head: Head,
    /// What it is about: the hash of a dossier, of a branch, of a backup, or of a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// SHA-256 of the texts it settles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub settles: Vec<String>,
    /// The writer epoch from here on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// The log key from here on, as a verifier key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_key: Option<String>,
    /// The ledger key from here on, 64 hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger_key: Option<String>,
    /// What it does and what follows, in sentences.
    pub means: Vec<String>,
    /// The custodians' words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Order {
    /// The facts of an order.
    pub fn of(pid: &Pid, order: &order::Order) -> Order {
        let (subject, keys, epoch) = match &order.what {
            What::Rotate { next, keys } => (Some(next), Some(keys), None),
            What::HandOver { backup, keys, epoch } => (Some(backup), Some(keys), Some(*epoch)),
            What::Resume { dossier, .. } => (Some(dossier), None, None),
            What::Recover { stays } => (Some(stays), None, None),
            What::Retire => (None, None, None),
            What::Compromise { keys } => (None, Some(keys), None),
        };
        let settles: &[Hash] = if let What::Resume { settled, .. } = &order.what { settled } else { &[] };
        Order {
            id: sha256(pid),
            kind: order.what.word(),
            origin: order.origin.to_string(),
            number: order.number,
            head: (&order.head).into(),
            // The hash of an event is a BLAKE3: it is never called a SHA-256.
            subject: subject.map(|subject| if matches!(order.what, What::Recover { .. }) { subject.hex() } else { sha256(subject) }),
            settles: settles.iter().map(sha256).collect(),
            epoch,
            log_key: keys.map(|keys| keys.log.to_string()),
            ledger_key: keys.map(|keys| hex::encode(keys.ledger_public)),
            means: means(&order.what),
            note: order.note.as_ref().map(|note| note.as_str().to_owned()),
        }
    }

    /// The facts in words.
    pub fn say(&self, page: &mut Page) {
        page.labelled("order", format!("number {}, to {}, for {}", self.number, self.kind, self.origin));
        page.labelled("id", &self.id);
        page.labelled("on", self.head.to_string());
        if let Some(subject) = &self.subject {
            page.labelled("about", format!("{} {subject}", self.about()));
        }
        if let (Some(log_key), Some(ledger_key)) = (&self.log_key, &self.ledger_key) {
            page.labelled("log key", log_key);
            page.labelled("ledger", format!("key {ledger_key}"));
        }
        self.epoch.iter().for_each(|epoch| page.labelled("epoch", epoch.to_string()));
        self.means.iter().for_each(|line| page.labelled("means", line));
        if self.kind == "resume" {
            page.labelled("settles", texts(self.settles.len()));
            self.settles.iter().for_each(|text| page.line(format!("    {text}")));
        }
        self.note.iter().for_each(|note| page.labelled("note", note));
    }

    fn about(&self) -> &'static str {
        match self.kind {
            "rotate" => "the log key after the next one,",
            "hand over" => "the backup",
            "resume" => "the dossier",
            _ => "the branch that stays, whose last event is",
        }
    }
}

/// How many texts, in words.
pub fn texts(count: usize) -> String {
    match count {
        0 => "no text".into(),
        1 => "1 text".into(),
        count => format!("{count} texts"),
    }
}

/// What an order to resume does when the desk had halted over its head file: those who sign do not see the desk.
const LOST_HEAD: &str = "a head file that was lost, if the dossier tells of one, is written anew from this ledger: when your pin has a higher number than the head above, do not sign, for an older ledger was put back";

/// What an order does, and what follows from it: what somebody should know before signing.
fn means(what: &What) -> Vec<String> {
    let lines: &[&str] = match what {
        What::Rotate { .. } => &[
            "from the next number on the desk signs with these keys, and the old ones sign nothing more",
            "this tabellion cannot carry it out yet",
        ],
        What::HandOver { .. } => &[
            "the standby with these keys becomes the writer, and the desk of the epoch before stops for good",
            "what the backup lacks and nobody published stays lost",
            "this tabellion cannot carry it out yet",
        ],
        What::Resume { settled, .. } if settled.is_empty() => &[
            "the halt over this dossier ends, and the desk signs again",
            LOST_HEAD,
            "nothing is settled: whatever halted it halts it again when it is met again",
        ],
        What::Resume { .. } => &[
            "the halt over this dossier ends, and the desk signs again",
            LOST_HEAD,
            "the texts below carry the log key's signature and are not in the ledger; they are reported ever after and halt no more",
            "whoever holds one of them still holds a proof that the log key signed two histories",
        ],
        What::Recover { .. } => &[
            "of two copies of the ledger that went different ways, the one that ends in this event stays",
            "the events of the other are kept in a file beside the ledger; what it numbered stands for nothing, and can be brought again",
            "the ledger that stays is not changed; whoever has pinned a number of the other is refused from then on, and has to pin anew",
            "the desk stays halted until an order to resume",
        ],
        What::Retire => &["this Common ends: after it the ledger can only be read", "this tabellion cannot carry it out yet"],
        What::Compromise { .. } => &[
            "the keys are not to be trusted after this head; a new Common with these keys goes on, and nobody follows by himself",
            "this tabellion cannot carry it out yet",
        ],
    };
    lines.iter().map(|line| (*line).to_owned()).collect()
}

//! The registry of rules: every reason for which something is listed, refused, held or stopped.
//!
//! A rule has one id that appears in the code, the log, the receipt, the tests and `docs/ASSURANCE.md`; ids are never reused. The table in
//! SPEC section 10 is generated from this file, and a test compares them.

use std::fmt;

/// What becomes of the thing that breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// Not a paper, or a part dropped from one: shown with its reason, binds nothing.
    Listed,
    /// Final: the paper is refused.
    Refused,
    /// Interim: approvals are missing, the paper is held.
    Pending,
    /// Interim: something else is missing, the paper is held.
    Deferred,
    /// The command ends; nothing was written.
    Stop,
}

impl Outcome {
    /// The word used in reports and, for verdicts and notices, in notes.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Listed => "listed",
            Outcome::Refused => "refused",
            Outcome::Pending => "pending",
            Outcome::Deferred => "deferred",
            Outcome::Stop => "stop",
        }
    }
}

/// Where in the way of a paper a rule is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Reading files and items.
    Read,
    /// Shape and bounds of one structure.
    Parse,
    /// Signatures and membership.
    Verify,
    /// Soundness of a policy or charter.
    Policy,
    /// Judging a paper at its turn.
    Judge,
    /// Keys, media, ledger and command.
    Desk,
    /// What a consumer checks.
    Consumer,
}

impl Stage {
    /// Name in the registry table.
    pub fn word(self) -> &'static str {
        match self {
            Stage::Read => "read",
            Stage::Parse => "parse",
            Stage::Verify => "verify",
            Stage::Policy => "policy",
            Stage::Judge => "judge",
            Stage::Desk => "desk",
            Stage::Consumer => "consumer",
        }
    }
}

macro_rules! rules {
    ($( $variant:ident $id:literal $stage:ident $outcome:ident $says:literal $values:literal $next:literal; )*) => {
        /// One rule of SPEC section 10, in the order in which rules of a stage are checked.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs)] // each variant is documented by `says`
        pub enum Rule { $( #[doc = $says] $variant, )* }

        impl Rule {
            /// Every rule, in registry order.
            pub const ALL: &'static [Rule] = &[ $( Rule::$variant, )* ];

            /// The id, in kebab case.
            pub fn id(self) -> &'static str { match self { $( Rule::$variant => $id, )* } }

            /// Where it is checked.
            pub fn stage(self) -> Stage { match self { $( Rule::$variant => Stage::$stage, )* } }

            /// What becomes of what breaks it.
            pub fn outcome(self) -> Outcome { match self { $( Rule::$variant => Outcome::$outcome, )* } }

            /// What is the matter when it is broken, one clause for people.
            pub fn says(self) -> &'static str { match self { $( Rule::$variant => $says, )* } }

            /// The compared values it shows, as keys of a detail.
            pub fn values(self) -> &'static str { match self { $( Rule::$variant => $values, )* } }

            /// What to do next.
            pub fn next(self) -> &'static str { match self { $( Rule::$variant => $next, )* } }
        }
    };
}

rules! {
    FileUnknown "file-unknown" Read Listed "the file is no bundle, paper, checkpoint, note or receipt" "first bytes" "nothing to do if it was not meant for the witness; else export the paper again with tabellion propose";
    FileNotPlain "file-not-plain" Read Listed "not a plain file with one name, but a link, device, pipe or socket, or a file with a second name" "kind links" "copy the file itself onto the medium";
    FileUnreadable "file-unreadable" Read Listed "the file could not be read to its end" "error" "try another port or medium; the rest of this one stands";
    FilesTooMany "files-too-many" Read Listed "more files or deeper folders than a medium may hold" "found most" "remove what is not meant for the witness";
    BundleHeader "bundle-header" Read Listed "the file begins like a bundle but its header is not one" "offset found" "export the bundle again";
    BundleCut "bundle-cut" Read Listed "the bundle breaks off; what stands before the fault counts, the rest does not" "offset found expected" "copy the bundle again from where it was made; papers already judged are recognised";
    BundleCount "bundle-count" Read Listed "the bundle holds more or less than its header says" "found expected" "export the bundle again";
    BundleOrder "bundle-order" Read Listed "objects do not ascend by SHA-256" "offset" "export the bundle again";
    ObjectTooLarge "object-too-large" Read Listed "an object is larger than the bound" "found most" "split the content";
    CborForm "cbor-form" Parse Listed "the bytes are not deterministic CBOR" "offset reason" "export the paper again with tabellion; other libraries must be told to encode deterministically";
    CborDepth "cbor-depth" Parse Listed "arrays, maps or tags nest deeper than the bound" "offset most" "export the paper again";
    EnvelopeTooLarge "envelope-too-large" Parse Listed "the envelope has more bytes or signatures than the bound" "found most" "put content into objects, not into the paper";
    EnvelopeShape "envelope-shape" Parse Listed "not a COSE_Sign as SPEC 3.1 has it" "offset found expected" "export the paper again; a COSE_Sign1 or another algorithm is not accepted";
    KindUnknown "kind-unknown" Parse Listed "no paper this desk can judge has this media type" "found" "a newer tabellion may be needed";
    VersionUnknown "version-unknown" Parse Listed "the structure has a version this tabellion does not know" "found expected" "use a newer tabellion";
    FieldUnknown "field-unknown" Parse Listed "a map holds a key that SPEC does not allow" "key" "use a newer tabellion, or export the paper again";
    PayloadShape "payload-shape" Parse Listed "a field is missing or has the wrong type or bound" "field reason" "export the paper again with tabellion propose";
    NameForm "name-form" Parse Listed "the name is not of the form SPEC 2 allows" "reason" "use lower case a-z, 0-9, '.', '_', '-' in segments joined by '/'";
    TextForm "text-form" Parse Listed "a text for people is too long, not NFC, or holds control or direction marks" "reason" "write the text again without them";
    OriginMismatch "origin-mismatch" Verify Listed "the paper is meant for another Common" "found expected" "bring it to the witness it names, or propose again with a pin of this Common";
    AuthorUnknown "author-unknown" Verify Listed "the author is no member of the policy in force" "author" "have the governors add the member first";
    AuthorUnsigned "author-unsigned" Verify Listed "no valid signature by an active key of the author is in the envelope" "author found expected" "it binds nothing, the genuine paper can still come; the author signs with an active key: tabellion propose";
    SignatureInvalid "signature-invalid" Verify Listed "a signature does not verify over the bytes received" "kid" "the paper or the signature was changed on the way; bring the genuine one";
    SignatureStranger "signature-stranger" Verify Listed "a signature by a key that no member has active" "kid" "nothing to do; it was dropped and counts for nothing";
    PolicyUnsound "policy-unsound" Policy Stop "the policy cannot be read, contradicts itself, or would lock everyone out" "reason" "mend the policy file and check it again";
    CharterUnsigned "charter-unsigned" Policy Stop "the charter does not carry the quorum of its own governors" "group have need missing" "have the missing governors run: tabellion approve charter.payload, and found again";
    AuthorNotActive "author-not-active" Judge Refused "none of the author's signatures is by a key active now" "author" "the author signs a new paper with an active key";
    SequenceTaken "sequence-taken" Judge Refused "another paper of this author bound this sequence number first" "sequence by" "propose again; tabellion takes the next free number";
    BaseRootMismatch "base-root-mismatch" Judge Refused "the paper cites a root for this number that is not ours: somebody holds another history" "base found expected" "compare checkpoints at once: tabellion verify DIR on both sides; then pin this Common and propose again";
    Lapsed "lapsed" Judge Refused "the paper's time, counted in numbers, is over" "number last | held since head most" "propose again if it is still wanted";
    DependencyRefused "dependency-refused" Judge Refused "a paper it must follow was refused" "after" "propose again without it, or after a new one";
    BaseTooOld "base-too-old" Judge Refused "the author's pin lay further back than the policy allows when the paper first came" "base head most" "advance the pin and propose again";
    NoRule "no-rule" Judge Refused "no rule of the policy covers the name" "name" "choose a name under a prefix of the policy, or have the governors add a rule";
    ProposerNotAllowed "proposer-not-allowed" Judge Refused "the rule that covers the name does not let this author propose" "name prefix author" "choose a name under a prefix you may propose to, or ask one of those who may";
    NameShadowsRule "name-shadows-rule" Judge Refused "the name is an ancestor of a rule's prefix and can hold no entry" "name prefix" "choose another name";
    NameCollides "name-collides" Judge Refused "the name lies below or above an entry that stays" "name other" "remove the other entry in the same paper, or choose another name";
    EntryTooLarge "entry-too-large" Judge Refused "the entry is larger than its rule allows" "name found most" "make the content smaller, or have the governors raise the bound";
    ObjectFault "object-fault" Judge Refused "content that its rule requires does not have the size the entry says or is not the tree it says" "name found expected | name object found expected | name tree-form" "propose again with the true size";
    ExpectationFailed "expectation-failed" Judge Refused "the entry is not what the author expected to find there" "name found expected" "advance the pin, look at what came in between, and propose again";
    NoEffect "no-effect" Judge Refused "an operation would change nothing" "name" "leave the operation out; Common already says so";
    PolicyFault "policy-fault" Judge Refused "the new policy is not sound or reuses a name or key" "reason" "mend the policy and propose it again";
    ThresholdNotMet "threshold-not-met" Judge Pending "approvals are missing" "group have need missing | old.group old.have old.need new.group new.have new.need old.missing new.missing" "have those named run: tabellion approve FILE, and bring the result to any later session";
    BaseAhead "base-ahead" Judge Deferred "the author has seen a later number than this desk" "base head" "ask the author for that checkpoint and compare it before anything else";
    DependencyOpen "dependency-open" Judge Deferred "a paper it must follow has no verdict yet" "after" "bring that paper";
    ObjectMissing "object-missing" Judge Deferred "content that its rule requires was not on any medium" "name object" "bring a bundle with the content";
    QuotaUsed "quota-used" Judge Deferred "the author's accepted papers of this session reached the quota" "quota" "nothing to do; it is judged again in the next session";
    SessionEnded "session-ended" Judge Deferred "a new policy ended the session before its turn" "by" "nothing to do; it is judged again in the next session";
    HeldFull "held-full" Judge Deferred "the desk already holds as many papers of this author as it may; this one is not kept" "most" "bring it again when earlier ones are decided";
    PapersTooMany "papers-too-many" Desk Stop "more papers are to be judged than a session may" "found most" "bring them in several sessions";
    AnotherWriter "another-writer" Desk Stop "another process holds the ledger" "path" "wait until it has ended, then run the same command again; looking and exporting need not wait";
    NotFound "not-found" Desk Stop "what the command needs is not there" "path" "check the path and run the command again";
    Exists "exists" Desk Stop "something is there already and is never overwritten" "path" "look at what is there, and choose another place";
    FileFault "file-fault" Desk Stop "a file or folder could not be read or written" "path error" "look at the medium or the disk, then run the same command again";
    DiskFault "disk-fault" Desk Stop "the disk that the desk lies on failed" "path error" "look at the disk, and whether it is full; then run the same command again: what its checks find decides what stands";
    RequestBounds "request-bounds" Desk Stop "more was asked of the ledger at once than one answer may hold" "found expected" "this is a defect of the program that asked; ask for less at once";
    RequestExpired "request-expired" Desk Stop "the ledger was busy for longer than this command waits" "waited" "run the same command again: what was done stays done, and nothing is done twice";
    RequestCancelled "request-cancelled" Desk Stop "nobody waits for this answer any more" "request" "nothing to do: nothing was changed";
    KeyReused "key-reused" Desk Stop "this idempotency key was used for another request" "key found expected" "choose another key; nothing was changed";
    BrokerMessage "broker-message" Desk Stop "what came through the broker's socket is no message of this version" "found expected" "end other versions of this program that use this folder, then run the same command again";
    TrailFault "trail-fault" Desk Stop "the audit trail is damaged, or is none of ours" "path found expected" "move audit.db, audit.db-wal and audit.db-shm out of the folder and keep them: a new trail is begun; nothing that is signed depends on it, and the ledger is as it was";
    MachineFault "machine-fault" Desk Stop "the machine, or what it was started with, is not as it must be" "found expected" "write down what was found, switch off and start again from the witness's own boot stick; if it comes again, show it to the people who look after this witness";
    LedgerDisk "ledger-disk" Desk Stop "the disk with the ledger is missing, double, foreign or broken" "found expected" "insert the one disk or stick that holds this witness's ledger, and start again; nothing was written to any";
    MediumFault "medium-fault" Desk Stop "writing to the medium failed, or what was read back differs" "path error" "the ledger is safe; run tabellion witness export with another medium";
    MediumForeign "medium-foreign" Desk Stop "the medium carries another history, or something else, where our published folder goes" "found expected" "use another medium; nothing on this one was changed";
    EntropyWeak "entropy-weak" Desk Stop "a source of chance failed its trial" "source found expected" "no key was made; if it is the dice, roll them anew, each time from the hand; if it is the machine, start again, and do not use it when it fails twice";
    KeyFile "key-file" Desk Stop "the key file is not one of ours or was damaged" "reason" "bring the right file, or restore it from its copy";
    Passphrase "passphrase" Desk Stop "the passphrase does not open the key" "path" "run the same command again with the right passphrase";
    KeyMismatch "key-mismatch" Desk Stop "the key is not the one that belongs here" "found expected" "bring the key that belongs to this ledger or member";
    HeadUnexpected "head-unexpected" Desk Stop "the ledger's head is not the one expected" "found expected" "compare the words on your last printout with tabellion witness status; if they differ, this is an old or another disk: sign nothing with it";
    ConfirmationMissing "confirmation-missing" Desk Stop "it was not confirmed" "found expected" "run it again on a terminal and confirm, or give the option that confirms";
    LedgerFault "ledger-fault" Desk Stop "the ledger failed a check" "found expected" "leave the machine on, photograph this screen, and keep the disk as it is";
    ChainBroken "chain-broken" Desk Stop "an event does not follow its predecessor" "event found expected" "leave the machine on, photograph this screen, and keep the disk as it is";
    HeadRolledBack "head-rolled-back" Desk Stop "the head file and the ledger tell different histories" "found expected" "this disk or its head file is an old or foreign copy; do not sign anything with it";
    HeadLost "head-lost" Desk Stop "the head file is missing or damaged, and nothing else on this disk tells whether an older ledger was put back" "found expected" "sign nothing with this disk; compare its head with one that was known elsewhere: a pin, a printout, the last report on a stick";
    HeadElsewhere "head-elsewhere" Desk Stop "a medium brings our own signature on a head this ledger does not have" "found expected" "this disk is an old or cloned copy; sign nothing with it, and keep the medium as evidence";
    LedgerForked "ledger-forked" Desk Stop "two copies of the ledger went different ways" "common ours theirs" "tabellion ceremony recover shows what is in both; the governors choose which one stays";
    Halted "halted" Desk Stop "the desk is halted" "reason" "only a resume order of the custodians ends it; reading and export still work";
    Standby "standby" Desk Stop "the folder is a standby: a restored backup or a copy, which signs nothing" "found expected" "go on at the desk that is the writer; only an order of the governors to hand over makes this one the writer";
    BackupFault "backup-fault" Desk Stop "the backup is not whole, or not what it says" "found expected" "use another backup, and keep this one: what is wrong with it may be wrong with its medium";
    OrderInBag "order-in-bag" Desk Listed "an order is carried out by a ceremony, and by no session" "found expected" "copy it from the medium and run the ceremony that it names: tabellion ceremony --help";
    OrderKind "order-kind" Desk Stop "the paper is no order, or one of another kind" "found expected" "name the order that was made for this ceremony";
    OrderUnsigned "order-unsigned" Desk Stop "the order does not carry the quorum of the governors of the policy in force" "group have need missing" "have those named run: tabellion approve FILE, and give every signed copy";
    OrderUsed "order-used" Desk Stop "an order of this number was carried out before" "number order" "write a new order, which takes the next number, and have it signed";
    OrderHead "order-head" Desk Stop "the order was written for a head that is not ours" "found expected" "find out at which desk it was written: it or this one holds another history";
    OrderSubject "order-subject" Desk Stop "the order is about something else" "found expected" "write an order for what is at hand, and have it signed";
    OrderSettles "order-settles" Desk Stop "the order settles a text that was not found here" "found expected" "write the order again: it lists what may be settled";
    InternalFault "internal-fault" Desk Stop "tabellion contradicted itself: a bug of ours" "found expected" "keep the files as they are and report this text";
    Usage "usage" Desk Stop "the command line says something that cannot be done" "reason" "see the command's --help";
    TreeForm "tree-form" Desk Stop "the folder or tree is not of the form a tree must have" "reason" "rename or remove what is named; a tree holds plain files with plain paths";
    PinForm "pin-form" Consumer Stop "the pin file is not whole" "reason" "take it from version control again, or pin anew from the charter's fingerprint";
    FingerprintMismatch "fingerprint-mismatch" Consumer Stop "the folder's charter is not the one you were told" "found expected" "compare the fingerprint with the people who founded this Common; do not use the folder";
    CheckpointForm "checkpoint-form" Consumer Stop "the checkpoint or note is not of the form it must have" "reason" "get the folder again from another copy";
    CheckpointUnsigned "checkpoint-unsigned" Consumer Stop "the checkpoint carries no valid signature of the log key" "found expected" "get the folder again from another copy; do not use this one";
    ProofFails "proof-fails" Consumer Stop "a proof does not lead to the root that was signed" "found expected" "get the folder again; if it stays so, keep both copies: they may prove a fork";
    FolderIncomplete "folder-incomplete" Consumer Stop "the folder lacks a file that its checkpoint needs" "path" "copy the folder again, whole";
    PinBehind "pin-behind" Consumer Stop "what was asked for lies before the pin or behind the folder's end" "found expected" "get a newer copy of the folder; a pin never moves back";
    RecordForm "record-form" Consumer Stop "a record of the log is not one this tabellion understands" "reason" "use a newer tabellion";
    NotComparable "not-comparable" Consumer Stop "the two do not suffice to tell whether they are one history" "found expected" "bring the published folder that has the later of the two, as one of them";
    ReplayDiffers "replay-differs" Consumer Stop "what was published is not what follows from the papers" "found expected" "keep this copy and get another; if it stays so, the witness judged otherwise than its rules: show both values to the custodians";
    ContentMissing "content-missing" Consumer Stop "the folder does not carry the content of an entry" "name object" "get a copy that has the objects folder, or ask the author";
}

impl Rule {
    /// The rule with this id.
    pub fn from_id(id: &str) -> Option<Rule> {
        Rule::ALL.iter().copied().find(|rule| rule.id() == id)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// The registry as a Markdown table: what SPEC section 10 holds between its markers.
pub fn table() -> String {
    let mut out = String::from("| id | stage | outcome | when | values shown |\n|---|---|---|---|---|\n");
    for rule in Rule::ALL {
        out.push_str(&format!(
            "| `{}` | {} | {} | {} | {} |\n",
            rule.id(),
            rule.stage().word(),
            rule.outcome().word(),
            rule.says(),
            rule.values().replace('|', "or")
        ));
    }
    out
}

/// A broken rule with the values that were compared: what was found, and what it was compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The rule.
    pub rule: Rule,
    /// What was found and what it was compared with, for people; made from the compared values.
    pub found: String,
}

impl Fault {
    /// A fault of `rule`; `found` holds the compared values.
    pub fn new(rule: Rule, found: impl Into<String>) -> Fault {
        Fault { rule, found: found.into() }
    }

    /// The same fault, with the place where it was met in front of the values.
    pub fn within(self, place: impl fmt::Display) -> Fault {
        Fault { found: format!("{place}: {}", self.shown()), ..self }
    }

    /// The compared values as they are shown behind the word "found".
    pub fn shown(&self) -> &str {
        self.found.strip_prefix("found ").unwrap_or(&self.found)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}: {}", self.rule, self.rule.says(), self.found)
    }
}

impl std::error::Error for Fault {}

/// What most functions of the core answer with.
pub type Checked<T> = Result<T, Fault>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_distinct_kebab_case_and_found_again() {
        let mut seen = std::collections::BTreeSet::new();
        for rule in Rule::ALL {
            assert!(seen.insert(rule.id()), "{rule} stands twice");
            assert!(rule.id().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{rule}");
            assert_eq!(Rule::from_id(rule.id()), Some(*rule));
            assert!(!rule.next().is_empty() && !rule.says().is_empty() && !rule.values().is_empty());
        }
    }

    #[test]
    fn spec_section_10_shows_this_registry() {
        let spec = include_str!("../../proposals-schema/SPEC.md");
        let begin = spec.find("<!-- rules:begin -->\n").map(|at| at + 21);
        let end = spec.find("<!-- rules:end -->");
        let (Some(begin), Some(end)) = (begin, end) else { panic!("SPEC.md lacks the markers") };
        assert_eq!(&spec[begin..end], table(), "run: cargo run --example registry");
    }
}

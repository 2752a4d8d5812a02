//! The story as data: what is said, what is written, what is run and how it must end. The runner and the script read the same list.

/// One step of the story.
pub enum Step {
    /// Something said.
    Say(&'static str),
    /// Folders made.
    Folders(&'static [&'static str]),
    /// A file written; `$NAME` stands for something remembered.
    File(&'static str, &'static str),
    /// A command of ours, and the exit code it must end with.
    Run(&'static str, i32),
    /// As `Run`, of which only the first line and so many last ones are shown.
    Brief(&'static str, i32, usize),
    /// As `Run`, and the value behind a label at the beginning of a line is remembered under a name.
    Pick(&'static str, &'static str, &'static str),
    /// A file or a folder with everything in it is copied to a path that is not there yet.
    Copy(&'static str, &'static str),
    /// A command of ours whose output is remembered under a name.
    Remember(&'static str, &'static str),
}

use Step::{Brief, Copy, File, Folders, Pick, Remember, Run, Say};

/// The story.
pub const STORY: &[Step] = &[
    Say("Alice and James work without a network and share one numbered history, Common. If both wrote common@2 at once, it would fork.
So neither writes it: they submit signed papers, and one witness, a machine that is off nearly always, gives each accepted paper its
number and each refused one a signed reason. Behind $ stands what is run, below it what is answered; … stands for lines left out here."),
    Folders(&["alice", "james", "consumer", "safe", "stick"]),
    File("alice/passphrase", "alice keeps this in her head\n"),
    File("james/passphrase", "james keeps this in his head\n"),
    File("safe/passphrase", "the founders keep this in a safe\n"),
    File("witness.passphrase", "the operator keeps this in her head\n"),
    Say("1. Keys. Everyone makes a key. The key that the witness will use after its first one is made elsewhere and goes into a safe."),
    Run("tabellion key new alice/key --passphrase-file alice/passphrase", 0),
    Brief("tabellion key new james/key --passphrase-file james/passphrase", 0, 0),
    Brief("tabellion key new safe/next-key --passphrase-file safe/passphrase", 0, 0),
    Remember("ALICE", "tabellion key show alice/key --public"),
    Remember("JAMES", "tabellion key show james/key --public"),
    Remember("NEXT", "tabellion key show safe/next-key --vkey witness.example/common"),
    Say("2. Founding. The policy says who may change what. The witness drafts a charter; the governors sign it; it becomes common@1."),
    File(
        "policy.toml",
        r#"# Who may change Common, and with whose approval.
governors = "board"

[[member]]
name = "alice"
keys = ["$ALICE"]

[[member]]
name = "james"
keys = ["$JAMES"]

[[group]]
name = "board"
k = 2
of = ["alice", "james"]

[[rule]]
prefix = "manual/"
propose = ["alice", "james"]
approve = "board"
content = "required"

[[rule]]
prefix = "tools/"
propose = ["alice", "james"]
content = "required"
size_max = 1000000
"#,
    ),
    Run("tabellion policy show policy.toml", 0),
    Brief("tabellion witness init witness --policy policy.toml --next-key $NEXT --passphrase-file witness.passphrase", 0, 3),
    Brief("tabellion approve witness/charter.payload --key alice/key --passphrase-file alice/passphrase --yes", 0, 4),
    Brief("tabellion approve witness/charter.payload --key james/key --passphrase-file james/passphrase --yes", 0, 4),
    Run(
        "tabellion witness init witness --charter witness/charter.cose --time 2026-11-21T10:00:00Z --passphrase-file witness.passphrase",
        0,
    ),
    Remember("FINGERPRINT", "tabellion witness status --ledger witness --fingerprint"),
    Remember("HEAD", "tabellion witness status --ledger witness --head"),
    Say("3. Pinning. The charter's fingerprint is the one thing to compare by another way than the stick: by telephone, on paper.
It pins the witness's key, the first policy and everything that follows. A pin is a small text file. You compare once; from then on
advance moves the pin forward, after checking."),
    Run("tabellion witness export --ledger witness --media stick", 0),
    Run("tabellion pin stick --charter $FINGERPRINT --out alice/common.pin", 0),
    Brief("tabellion pin stick --charter $FINGERPRINT --out james/common.pin", 0, 0),
    Brief("tabellion pin stick --charter $FINGERPRINT --out consumer/common.pin", 0, 0),
    Say("4. Proposing. Alice and James both build on common@1, each at home, neither knowing of the other."),
    File("alice/editor", "#!/bin/sh\necho the editor, by alice\n"),
    File("james/viewer", "#!/bin/sh\necho the viewer, by james\n"),
    Run(
        "tabellion propose put tools/editor=alice/editor --pin alice/common.pin --key alice/key --passphrase-file alice/passphrase --media stick --note 'An editor for the field'",
        0,
    ),
    Run(
        "tabellion propose put tools/viewer=james/viewer --pin james/common.pin --key james/key --passphrase-file james/passphrase --media stick",
        0,
    ),
    Say("A preview runs the witness's own code at home. It is a forecast: other sticks may be there first. What comes true is told in step 6."),
    Run("tabellion preview stick --pin james/common.pin", 0),
    Say("5. The operator starts the witness. It reads the stick, verifies, and gives the numbers, in an order that follows from the session's number and
the members' names: neither the operator nor any proposer can move a paper forward, and coming early does not help.
It commits to its ledger before it signs, and signs before it writes: two different common@2 cannot leave this desk.
The head is the newest number with a summary of everything up to it. The operator names the one she wrote down last time, so that an
old copy of the disk is noticed."),
    Run(
        "tabellion witness session --ledger witness --media stick --expect-head $HEAD --yes --time 2026-11-21T12:00:00Z --passphrase-file witness.passphrase",
        0,
    ),
    Remember("HEAD", "tabellion witness status --ledger witness --head"),
    Say("6. Receipts. Each proposer takes a receipt home. It proves, to anyone who has the pin, that this paper became this number, or why it was
refused: the record, the hashes that lead from it to the head, and the head signed by the witness."),
    Run("tabellion collect stick --pin alice/common.pin", 0),
    Run("tabellion collect stick --pin james/common.pin", 0),
    Say("7. Consuming. Nobody has to trust the stick: every page is verified from the pin, offline, before the pin moves."),
    Run("tabellion advance stick --pin consumer/common.pin", 0),
    Run("tabellion log stick --pin consumer/common.pin", 0),
    Run("tabellion verify stick --pin consumer/common.pin", 0),
    Run("tabellion checkout stick consumer/common --pin consumer/common.pin", 0),
    Say("8. A refusal, and a paper that waits. James is still at common@1 and sees no tools/editor there, so he proposes one, expecting that
there is none; Alice's was first. Alice brings a folder for manual/, where the board must approve: two of two, and her own signature is
one of them. Exit code 1 means done, but something was refused. A refusal is final and signed; a pending paper is held."),
    File("james/editor", "#!/bin/sh\necho another editor, by james\n"),
    Folders(&["alice/manual"]),
    File("alice/manual/start.txt", "Read the radio chapter first.\n"),
    File("alice/manual/radio.txt", "Call on channel 4. Answer once.\n"),
    Run(
        "tabellion propose put tools/editor=james/editor --pin james/common.pin --key james/key --passphrase-file james/passphrase --common stick --out james/editor.bundle",
        0,
    ),
    Brief("tabellion advance stick --pin alice/common.pin", 0, 0),
    Run(
        "tabellion propose put manual/field=alice/manual --pin alice/common.pin --key alice/key --passphrase-file alice/passphrase --common stick --out alice/manual.bundle",
        0,
    ),
    Copy("james/editor.bundle", "stick/tabellion/inbox/editor.bundle"),
    Copy("alice/manual.bundle", "stick/tabellion/inbox/manual.bundle"),
    Run(
        "tabellion witness session --ledger witness --media stick --expect-head $HEAD --yes --time none --passphrase-file witness.passphrase",
        1,
    ),
    Run("tabellion collect stick --pin james/common.pin", 1),
    Say("9. An approval, by another stick. Alice gave James a copy of her bundle. At home he sees what he would sign, and signs. The stick he
brings is another one, to a later session; the witness holds the paper and its content already, and lacks his signature alone."),
    Run(
        "tabellion approve alice/manual.bundle --key james/key --passphrase-file james/passphrase --yes --out second-stick/tabellion/inbox/manual.bundle",
        0,
    ),
    Run(
        "tabellion witness session --ledger witness --media second-stick --expect-head $HEAD --yes --time none --passphrase-file witness.passphrase",
        0,
    ),
    Remember("HEAD", "tabellion witness status --ledger witness --head"),
    Run("tabellion advance second-stick --pin consumer/common.pin", 0),
    Run("tabellion checkout second-stick consumer/with-manual --pin consumer/common.pin", 0),
    Say("10. A paper that comes twice. The first stick comes again, and Alice's paper is still on it. Nothing is new: no session is opened, no
number is taken, and a paper that was decided gets its first receipt again, byte for byte. She takes it home from this stick."),
    Run(
        "tabellion witness session --ledger witness --media stick --expect-head $HEAD --yes --time none --passphrase-file witness.passphrase",
        0,
    ),
    Run("tabellion collect stick --pin alice/common.pin", 0),
    Say("11. A new policy. Carol joins, and any two of three shall govern, so that one lost key locks nobody out. A policy is a paper of its
own; it needs the governors in force and the governors to come, each counted by their own policy. The operator confirms it by its id,
which a governor reads to her: a habit of typing yes confirms no policy."),
    Folders(&["carol"]),
    File("carol/passphrase", "carol keeps this in her head\n"),
    Brief("tabellion key new carol/key --passphrase-file carol/passphrase", 0, 0),
    Remember("CAROL", "tabellion key show carol/key --public"),
    File(
        "new-policy.toml",
        r#"# Carol joins; any two of three govern and approve.
governors = "board"

[[member]]
name = "alice"
keys = ["$ALICE"]

[[member]]
name = "carol"
keys = ["$CAROL"]

[[member]]
name = "james"
keys = ["$JAMES"]

[[group]]
name = "board"
k = 2
of = ["alice", "carol", "james"]

[[rule]]
prefix = "manual/"
propose = ["alice", "carol", "james"]
approve = "board"
content = "required"

[[rule]]
prefix = "tools/"
propose = ["alice", "james"]
content = "required"
size_max = 1000000
"#,
    ),
    Brief("tabellion advance stick --pin alice/common.pin", 0, 0),
    Run("tabellion policy diff stick new-policy.toml --pin alice/common.pin", 1),
    Pick(
        "POLICY",
        "paper",
        "tabellion propose policy new-policy.toml --pin alice/common.pin --key alice/key --passphrase-file alice/passphrase --common stick --out alice/policy.bundle",
    ),
    Brief(
        "tabellion approve alice/policy.bundle --key james/key --passphrase-file james/passphrase --common stick --pin alice/common.pin --yes --out stick/tabellion/inbox/policy.bundle",
        0,
        6,
    ),
    Run(
        "tabellion witness session --ledger witness --media stick --expect-head $HEAD --yes --confirm $POLICY --time none --passphrase-file witness.passphrase",
        0,
    ),
    Remember("HEAD", "tabellion witness status --ledger witness --head"),
    Say("12. A fork, as a side story. Somebody has copied the witness's disk and wakes the copy, so that two common@6 are signed. No witness can
prevent this alone: the sticks find it out. A consumer who has advanced by the copy's stick reads the witness's own: he is refused, and
his program leaves the head it knows on the stick. There the witness meets its own signature on a page that it never made, and halts."),
    File("alice/reader", "#!/bin/sh\necho the reader, by alice\n"),
    File("james/reader", "#!/bin/sh\necho the reader, by james\n"),
    Folders(&["other-stick"]),
    Copy("witness", "copy-of-witness"),
    Run("tabellion witness export --ledger copy-of-witness --media other-stick", 0),
    Brief(
        "tabellion propose put tools/reader=alice/reader --pin alice/common.pin --key alice/key --passphrase-file alice/passphrase --common stick --out stick/tabellion/inbox/reader.bundle",
        0,
        0,
    ),
    Brief(
        "tabellion propose put tools/reader=james/reader --pin james/common.pin --key james/key --passphrase-file james/passphrase --common other-stick --out other-stick/reader.bundle",
        0,
        0,
    ),
    Brief(
        "tabellion witness session --ledger witness --media stick --expect-head $HEAD --yes --time none --passphrase-file witness.passphrase",
        0,
        2,
    ),
    Brief(
        "tabellion witness session --ledger copy-of-witness --media other-stick --expect-head $HEAD --yes --time none --passphrase-file witness.passphrase",
        0,
        2,
    ),
    Remember("HEAD", "tabellion witness status --ledger witness --head"),
    Brief("tabellion advance other-stick --pin consumer/common.pin", 0, 2),
    Run("tabellion advance stick --pin consumer/common.pin", 5),
    Run(
        "tabellion witness session --ledger witness --media stick --expect-head $HEAD --yes --time none --passphrase-file witness.passphrase",
        5,
    ),
    Say("Two signatures of one key on two pages with one number: together they are a proof, in one small file. Whoever has a pin can check it
offline, with this program or with others. Exit code 1 means checked, and they are not one history."),
    Brief("tabellion verify stick other-stick --pin consumer/common.pin --out fork.proof", 1, 4),
    Brief("tabellion verify fork.proof --pin james/common.pin", 1, 1),
    Say("Who gives the number? The witness alone. Why can nobody fork Common unseen? Two different pages with one number both need its signature.
The witness commits to one before it signs and never signs another; should a copied disk do so, as here, the two signatures prove it to
anyone. What must a consumer trust? Of everything that reaches you the pin alone; and your own computer, this program, and that the
witness's key stays secret."),
];

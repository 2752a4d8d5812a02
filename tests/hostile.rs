//! What somebody who holds a stick could try against the witness's desk, a proposer and a consumer. Each attack is a row: how the medium is
//! made, how the commands end, what they must say. Whatever it is, no command hangs, floods the screen or lets a control character through,
//! nothing outside the medium changes, and a genuine paper on another stick of the same session is accepted.
#![cfg(feature = "desk")]
#![allow(missing_docs, dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod stage;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use stage::{Case, Forge, copy_tree, differing, seed, tree};
use tabellion::core::cbor::{Canonical, Writer};
use tabellion::core::cose::{Envelope, PaperKind, Signer, sig_structure};

/// A command that takes longer than this is held to hang: a thousand times what one takes, so that no slow machine decides.
const PATIENCE: Duration = Duration::from_secs(900);
/// Most lines a command may print about a hostile medium.
const LINES_MAX: usize = 120;

/// Runs to the end or kills it; nothing raw may be in what it printed.
fn run(case: &Case, what: &str, arguments: &str) -> (Option<i32>, String) {
    let (out, err) = (case.path("stdout"), case.path("stderr"));
    let mut command: Command = case.command(arguments);
    let mut child = command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap()).stdin(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{what}: {arguments} hangs");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let output = Output { status, stdout: fs::read(&out).unwrap(), stderr: fs::read(&err).unwrap() };
    let text = String::from_utf8([output.stderr, output.stdout].concat()).unwrap();
    let raw = |c: &char| {
        (c.is_control() && *c != '\n') || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert_eq!(text.chars().find(raw), None, "{what}: {arguments} lets a control character through: {text:?}");
    assert!(text.lines().count() <= LINES_MAX, "{what}: {arguments} prints {} lines", text.lines().count());
    (output.status.code(), text)
}

/// One attack on the desk and on a proposer who collects.
struct Attack {
    name: &'static str,
    /// Makes the medium `evil`.
    make: fn(&Case),
    /// Exit code of the session, which has a good medium beside it.
    session: i32,
    /// What the session must say.
    says: &'static [&'static str],
    /// Exit code of `collect` from that medium.
    collect: i32,
}

fn pipe(path: &std::path::Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn sparse(path: &std::path::Path, begin: &[u8], len: u64) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, begin).unwrap();
    File::options().write(true).open(path).unwrap().set_len(len).unwrap();
}

fn header(papers: u64, objects: u64, bytes: u64) -> Vec<u8> {
    let mut w = Writer::new();
    w.tag(55_799).array(4).text("tabellion/bundle/1").uint(papers).uint(objects).uint(bytes);
    w.finish()
}

/// A paper whose note holds what no text may hold, signed by its author over exactly these bytes.
fn paper_with(case: &Case, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut forge = Forge::put("alice", 40, &case.pin("alice"), "docs/note-name", b"x");
    forge.proposal.note = Some("some note".parse().unwrap());
    let mut payload = forge.proposal.to_cbor();
    let at = payload.windows(from.len()).position(|window| window == from).unwrap();
    payload[at..at + to.len()].copy_from_slice(to);
    let key = seed("alice").member(false);
    let signature = key.sign(&sig_structure(PaperKind::Proposal, &key.kid(), &payload)).unwrap();
    Envelope { kind: PaperKind::Proposal, payload, signers: vec![Signer { kid: key.kid(), signature }] }.to_cbor()
}

const ATTACKS: &[Attack] = &[
    Attack {
        name: "ten thousand empty files",
        make: |case| {
            fs::create_dir_all(case.path("evil/many")).unwrap();
            (0..10_000).for_each(|i| drop(File::create(case.path(&format!("evil/many/{i}"))).unwrap()));
        },
        session: 0,
        says: &["listed   9990 more [file-unknown]"],
        collect: 0,
    },
    Attack {
        name: "very deep folders",
        make: |case| {
            let deep = "d/".repeat(300);
            fs::create_dir_all(case.path(&format!("evil/{deep}"))).unwrap();
            case.write(&format!("evil/{deep}paper"), "x");
        },
        session: 0,
        says: &["[files-too-many]", "a folder 33 deep"],
        collect: 0,
    },
    Attack {
        name: "a bundle that claims 2^50 objects",
        make: |case| case.write("evil/tabellion/inbox/b", header(0, 1 << 50, 1 << 50)),
        session: 0,
        says: &["[bundle-header]", "1125899906842624"],
        collect: 0,
    },
    Attack {
        name: "a bundle that claims an object of 2^50 bytes",
        make: |case| {
            let head = [&[0x5b][..], &(1_u64 << 50).to_be_bytes()].concat();
            case.write("evil/tabellion/inbox/b", [header(0, 1, 1 << 50), head, vec![7; 100]].concat());
        },
        session: 0,
        says: &["[object-too-large]", "1125899906842624 bytes found, at most 17179869184 allowed"],
        collect: 0,
    },
    Attack {
        name: "a bundle whose object ends nowhere",
        make: |case| {
            let head = [&[0x5b][..], &(1_u64 << 33).to_be_bytes()].concat();
            case.write("evil/tabellion/inbox/b", [header(0, 1, 1 << 33), head, vec![7; 100]].concat());
        },
        session: 0,
        says: &["[bundle-cut]", "0 of 1 objects"],
        collect: 0,
    },
    Attack {
        name: "a bundle that claims 100,000 papers and has none",
        make: |case| case.write("evil/tabellion/inbox/b", header(100_000, 0, 0)),
        session: 0,
        says: &["[bundle-cut]", "0 of 100000 papers"],
        collect: 0,
    },
    Attack {
        name: "a paper of 1 MB, and one of 10",
        make: |case| {
            for (name, len) in [("one", 1_000_000), ("ten", 10_000_000_usize)] {
                let mut bytes = vec![0xd8, 0x62, 0x84, 0x43, 0xa1, 0x03, 0x60, 0xa0, 0x5a];
                bytes.extend((len as u32).to_be_bytes());
                bytes.resize(len, 0);
                case.write(&format!("evil/tabellion/inbox/{name}"), bytes);
            }
        },
        session: 0,
        says: &["[envelope-too-large]", "10000000 bytes found, at most 65536 allowed"],
        collect: 0,
    },
    Attack {
        name: "CBOR that nests without end",
        make: |case| {
            case.write("evil/tabellion/inbox/p", [&[0xd8, 0x62, 0x84][..], &[0x81; 50_000]].concat());
            case.write("evil/tabellion/inbox/b", [header(1, 0, 0), vec![0x81; 60_000]].concat());
        },
        session: 0,
        says: &["[cbor-depth]", "[bundle-cut]"],
        collect: 0,
    },
    Attack {
        name: "file names that move the cursor",
        make: |case| {
            let good = case.read("good/tabellion/inbox/p.cose");
            for name in [
                &b"\x1b[2J\x1b[1;1Hcommon@99.paper"[..],
                b"a\nhead     common@99 all-is-well",
                b"b\rwrote",
                b"\x07\x08\x7f\xc2\x9b2J",
                b"\xff\xfe",
                "c\u{202e}repap".as_bytes(),
                "d\u{2066}\u{200f}".as_bytes(),
                b"back\\slash",
            ] {
                for folder in ["evil/tabellion/inbox", "evil/tabellion/heads"] {
                    fs::create_dir_all(case.path(folder)).unwrap();
                    let content = if folder.ends_with("inbox") { &good[..good.len() - 1] } else { b"junk" };
                    fs::write(case.path(folder).join(OsStr::from_bytes(name)), content).unwrap();
                }
                let receipts = [b"evil/tabellion/results/", name, b".receipts"].concat();
                fs::create_dir_all(case.path("evil/tabellion/results")).unwrap();
                fs::write(case.path("").join(OsStr::from_bytes(&receipts)), b"junk").unwrap();
            }
        },
        session: 0,
        says: &["\\u{1b}[2J", "a\\nhead", "\\u{202e}", "\\xff"],
        collect: 0,
    },
    Attack {
        name: "a note that clears the screen, signed by its author",
        make: |case| case.write("evil/tabellion/inbox/p", paper_with(case, b"some note", b"\x1b[2Jnote!")),
        session: 0,
        says: &["it holds U+001B, a control or direction mark"],
        collect: 0,
    },
    Attack {
        name: "a note that runs from right to left",
        make: |case| case.write("evil/tabellion/inbox/p", paper_with(case, b"some", b"\xe2\x80\xaex")),
        session: 0,
        says: &["it holds U+202E, a control or direction mark"],
        collect: 0,
    },
    Attack {
        name: "a name that clears the screen",
        make: |case| case.write("evil/tabellion/inbox/p", paper_with(case, b"note-name", b"\x1b[2J-name")),
        session: 0,
        says: &["[name-form]"],
        collect: 0,
    },
    Attack {
        name: "an author that is not of the form",
        make: |case| case.write("evil/tabellion/inbox/p", paper_with(case, b"ealice", b"ea\x1b[2J")),
        session: 0,
        says: &["listed   evil/tabellion/inbox/p ["],
        collect: 0,
    },
    Attack {
        name: "receipts that are garbage",
        make: |case| {
            case.write("evil/tabellion/results/a.receipts", "garbage");
            case.write("evil/tabellion/results/b.receipts", [&[0x82, 0x58, 0x20][..], &[0xff; 5000]].concat());
            case.write("evil/tabellion/results/c.receipts", [&[0x82, 0x58, 0x20][..], &[0; 32], &[0x5b, 0xff], &[0xff; 10]].concat());
            sparse(&case.path("evil/tabellion/results/d.receipts"), &[0x82, 0x58, 0x20], 3_000_000_000);
            symlink("/dev/zero", case.path("evil/tabellion/results/e.receipts")).unwrap();
            pipe(&case.path("evil/tabellion/results/f.receipts"));
            (0..2_000).for_each(|i| case.write(&format!("evil/tabellion/results/{i}.receipts"), ""));
        },
        session: 0,
        says: &[],
        collect: 0,
    },
    Attack {
        name: "checkpoints of 10 MB",
        make: |case| {
            let begin = b"witness.example/common\n99\n".to_vec();
            case.write("evil/tabellion/heads/one", [begin.clone(), vec![b'x'; 10_000_000]].concat());
            case.write("evil/tabellion/common/checkpoint", [begin, vec![b'\n'; 10_000_000]].concat());
        },
        session: 3,
        says: &["[file-unknown]", "[medium-foreign]", "begin like a checkpoint"],
        collect: 0,
    },
    Attack {
        name: "a checkpoint that is an endless device",
        make: |case| {
            fs::create_dir_all(case.path("evil/tabellion/common")).unwrap();
            symlink("/dev/zero", case.path("evil/tabellion/common/checkpoint")).unwrap();
        },
        session: 3,
        says: &["[medium-foreign]", "a symbolic link found"],
        collect: 0,
    },
    Attack {
        name: "a checkpoint that is a pipe",
        make: |case| pipe(&case.path("evil/tabellion/common/checkpoint")),
        session: 3,
        says: &["[medium-foreign]", "a pipe found"],
        collect: 0,
    },
    Attack {
        name: "the published folder is a link to elsewhere",
        make: |case| {
            fs::create_dir_all(case.path("evil/tabellion")).unwrap();
            symlink(case.path("victim"), case.path("evil/tabellion/common")).unwrap();
        },
        session: 3,
        says: &["tabellion/common: a symbolic link found, a folder expected"],
        collect: 0,
    },
    Attack {
        name: "all of it is a link to elsewhere",
        make: |case| {
            fs::create_dir_all(case.path("evil")).unwrap();
            symlink(case.path("victim"), case.path("evil/tabellion")).unwrap();
        },
        session: 3,
        says: &["tabellion: a symbolic link found, a folder expected"],
        collect: 0,
    },
    Attack {
        name: "the results are a file",
        make: |case| case.write("evil/tabellion/results", "not a folder"),
        session: 3,
        says: &["tabellion/results: a file found, a folder expected"],
        collect: 0,
    },
    Attack {
        name: "a results file is a link to elsewhere",
        make: |case| {
            fs::create_dir_all(case.path("evil/tabellion/results")).unwrap();
            symlink(case.path("victim/keep"), case.path("evil/tabellion/results/session-000002.receipts")).unwrap();
            symlink(case.path("victim/keep"), case.path("evil/tabellion/results/tmp-0.part")).unwrap();
        },
        session: 0,
        says: &["wrote    evil: results of session 2"],
        collect: 0,
    },
    Attack {
        name: "the inbox is a pipe",
        make: |case| pipe(&case.path("evil/tabellion/inbox")),
        session: 0,
        says: &["[file-not-plain]", "a pipe found"],
        collect: 0,
    },
    Attack {
        name: "a folder in the place of a file",
        make: |case| fs::create_dir_all(case.path("evil/tabellion/common/vkeys/below")).unwrap(),
        session: 3,
        says: &["[medium-fault]", "vkeys"],
        collect: 0,
    },
    Attack {
        name: "files without end, of no kind, as a bundle, as receipts",
        make: |case| {
            sparse(&case.path("evil/big"), b"x", 1 << 42);
            sparse(&case.path("evil/tabellion/inbox/bundle"), &header(0, 1, 1 << 42), 1 << 42);
            sparse(&case.path("evil/tabellion/results/x.receipts"), &[0x82, 0x58, 0x20], 1 << 42);
        },
        session: 0,
        says: &["[file-unknown]", "4398046511104 bytes that begin", "[file-unreadable]", "bytes are free for our copy"],
        collect: 0,
    },
];

fn attack(attack: &Attack) {
    let case = Case::grown("hostile");
    case.write("victim/keep", "untouched");
    case.write("good/tabellion/inbox/p.cose", Forge::put("alice", 30, &case.pin("alice"), "docs/good", b"good").bytes());
    (attack.make)(&case);
    let head = case.quiet("witness status --ledger witness --head", 0);
    let victim = tree(&case.path("victim"));
    let session = format!("witness session --ledger witness --media evil --media good --yes --time none --expect-head {}", head.trim());
    let (code, text) = run(&case, attack.name, &session);
    assert_eq!(code, Some(attack.session), "{}: {text}", attack.name);
    for says in attack.says {
        assert!(text.contains(says), "{}: {says:?} expected in: {text}", attack.name);
    }
    assert!(text.contains("common@4 paper") && text.contains("wrote    good: results of session 2"), "{}: {text}", attack.name);
    let (code, text) = run(&case, attack.name, "collect evil --pin alice/common.pin");
    assert_eq!(code, Some(attack.collect), "{}: {text}", attack.name);
    assert_eq!(differing(&victim, &tree(&case.path("victim"))), Vec::<String>::new(), "{}", attack.name);
}

/// Two threads share the rows, so that each test takes half of them.
#[test]
fn media_that_attack_the_desk_and_a_proposer_do_no_harm_first_half() {
    ATTACKS.iter().step_by(2).for_each(attack);
}

#[test]
fn media_that_attack_the_desk_and_a_proposer_do_no_harm_second_half() {
    ATTACKS.iter().skip(1).step_by(2).for_each(attack);
}

/// Puts something into the place of a file.
type Replace = fn(&std::path::Path);

/// What stands in the place of a file of a published folder that a consumer reads.
#[test]
fn folders_that_attack_a_consumer_are_refused() {
    let common = "evil/tabellion/common";
    let files = [
        "checkpoint",
        "tile/0/000.p/3",
        "tile/entries/000.p/3",
        "papers/000.p/3",
        "checkpoints/000.p/3",
        "objects/000/000001.objects",
        "objects/000/000001.index",
    ];
    let replacements: [(&str, Replace); 4] = [
        ("a pipe", pipe),
        ("an endless device", |path| symlink("/dev/zero", path).unwrap()),
        ("a sparse file of a terabyte", |path| sparse(path, b"", 1 << 40)),
        ("an empty file", |path| drop(File::create(path).unwrap())),
    ];
    let case = Case::grown("hostile-folder");
    for file in files {
        for (what, replace) in &replacements {
            copy_tree(&case.path("stick"), &case.path("evil"));
            let path = case.path(&format!("{common}/{file}"));
            fs::remove_file(&path).unwrap();
            replace(&path);
            let what = format!("{file} is {what}");
            let (code, text) = run(&case, &what, "verify evil --pin consumer/common.pin");
            // An index that is no plain file carries no content, which a folder need not.
            let carries_nothing = file.ends_with(".index") && (what.contains("pipe") || what.contains("device"));
            match carries_nothing {
                true => assert!(code == Some(0) && text.contains("missing  tools/editor"), "{what}: {text}"),
                false => assert!(matches!(code, Some(2..=5)) && text.contains("  next   "), "{what}: {code:?} {text}"),
            }
            drop(fs::remove_dir_all(case.path("out")));
            let (code, text) = run(&case, &what, "checkout evil out --pin consumer/common.pin");
            // A checkout reads neither the tiles nor the checkpoints of numbers before the newest.
            assert!(
                matches!(code, Some(0..=5)) && (code != Some(0) || file.starts_with("tile/0") || file.starts_with("checkpoints/")),
                "{what}: {text}"
            );
            fs::remove_dir_all(case.path("evil")).unwrap();
        }
    }
}

/// Files that a person names: none is read without a bound, and a pipe is not waited for.
#[test]
fn files_named_on_the_command_line_are_bounded() {
    let case = Case::grown("hostile-files");
    pipe(&case.path("pipe"));
    sparse(&case.path("huge"), b"", 1 << 40);
    for command in [
        "verify pipe --pin consumer/common.pin",
        "verify huge --pin consumer/common.pin",
        "verify /dev/zero --pin consumer/common.pin",
        "verify stick --pin huge",
        "verify stick --pin /dev/zero",
        "verify stick --pin pipe",
        "approve pipe --key james/key --yes",
        "approve huge --key james/key --yes",
        "approve /dev/zero --key james/key --yes",
        "witness init w --policy huge --next-key witness.example/common+1a4571b0+AavL4KOzAbrtEU7YFTvpYaWgl4RRs74XJRaRCP8VKesy",
        "witness init witness --charter huge --time none",
        "key show huge",
        "witness status --ledger stick",
    ] {
        let (code, text) = run(&case, "a file named on the command line", command);
        assert!(matches!(code, Some(2..=5)) && text.contains("  next   "), "{command}: {code:?} {text}");
    }
}

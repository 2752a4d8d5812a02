//! Folders all the way through the command line: proposed, carried, judged, kept, published, verified and checked out again byte for byte;
//! members before and after their tree; trees that lie; trees made by hand to lead out of a folder; packs that were tampered with.
#![cfg(feature = "desk")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use stage::{Case, Forge};
use tabellion::core::bundle::BundleHeader;
use tabellion::core::cbor::Writer;
use tabellion::core::ids::Hash;
use tabellion::core::proposal::{Entry, Expect, Operation, TREE_MEDIA_TYPE};

/// Files of a folder by path: bytes, and whether the owner may run them.
fn files(root: &Path) -> BTreeMap<String, (Vec<u8>, bool)> {
    let mut out = BTreeMap::new();
    for entry in walkdir::WalkDir::new(root) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let mode = entry.metadata().unwrap().permissions().mode();
            let path = entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            out.insert(path, (fs::read(entry.path()).unwrap(), mode & 0o100 != 0));
        }
    }
    out
}

/// One path of a tree made by hand: path, executable, size, content.
type Row<'a> = (&'a str, bool, u64, &'a [u8]);

/// A tree artifact made by hand, in the order given and with whatever stands in it.
fn artifact(rows: &[Row<'_>]) -> Vec<u8> {
    let mut w = Writer::new();
    w.array(rows.len());
    for (path, executable, size, content) in rows {
        w.array(4).text(path).bool(*executable).uint(*size).bytes(&Hash::of(content).0);
    }
    w.finish()
}

/// A bundle made by hand.
fn bundle(papers: &[Vec<u8>], contents: &[&[u8]]) -> Vec<u8> {
    let objects: BTreeMap<Hash, &[u8]> = contents.iter().map(|content| (Hash::of(content), *content)).collect();
    let object_bytes = objects.values().map(|content| content.len() as u64).sum();
    let header = BundleHeader { papers: papers.len() as u64, objects: objects.len() as u64, object_bytes };
    let mut w = Writer::new();
    for content in objects.values() {
        w.bytes(content);
    }
    [header.to_bytes(), papers.concat(), w.finish()].concat()
}

/// A paper of alice that puts a tree.
fn paper(case: &Case, sequence: u64, name: &str, tree: &[u8]) -> Forge {
    let mut forge = Forge::put("alice", sequence, &case.pin("alice"), name, tree);
    let entry = Entry { sha256: Hash::of(tree), size: tree.len() as u64, media_type: TREE_MEDIA_TYPE.parse().unwrap(), source: None };
    forge.proposal.operations = vec![Operation::Put { name: name.parse().unwrap(), entry, expect: Expect::Absent }];
    forge
}

/// Puts one bundle alone on a medium and runs a session with it.
fn bring(case: &mut Case, medium: &str, bytes: &[u8], code: i32) -> String {
    case.write(&format!("{medium}/tabellion/inbox/one.bundle"), bytes);
    case.session(&[medium], code)
}

#[test]
fn a_folder_of_5000_files_comes_back_byte_for_byte_with_its_modes() {
    let mut case = Case::founded("trees");
    let folder = case.path("alice/suite");
    case.write("alice/suite/bin/run", "#!/bin/sh\necho hello\n");
    fs::set_permissions(folder.join("bin/run"), fs::Permissions::from_mode(0o755)).unwrap();
    case.write("alice/suite/empty", "");
    case.write("alice/suite/.hidden/Größe.txt", "groß");
    case.write("alice/suite/文書/日本 語.txt", "three");
    case.write("alice/suite/same/a", "twice or more");
    case.write("alice/suite/same/b", "twice or more");
    case.write("alice/suite/same/c", "twice or more");
    fs::create_dir_all(folder.join("nothing/in it")).unwrap();
    for at in 0..4_993 {
        case.write(&format!("alice/suite/many/{:02}/{at}", at % 100), format!("file {at}"));
    }
    let before = files(&folder);
    assert_eq!(before.len(), 5_000);
    let distinct: BTreeSet<&[u8]> = before.values().map(|(bytes, _)| bytes.as_slice()).collect();
    assert_eq!(distinct.len(), 4_998);
    let said = case.run("propose put tools/suite=alice/suite --pin alice/common.pin --key alice/key --media stick", 0);
    // 5 bytes and the digits of 0 to 4,992, which are 18,862; then 21, 5, 5 and three times 13.
    let tree = "tree of 5000 files, 43,897 bytes";
    assert!(said.contains(tree), "{said}");
    assert!(said.contains("dropped  \"alice/suite/nothing/in it\": an empty folder; a tree holds files"), "{said}");
    assert!(said.contains("with 4999 files of content"), "{said}");
    let inbox = case.find("stick/tabellion/inbox", "alice-000001-", ".bundle");
    let said = case.run(&format!("approve {inbox} --key carol/key --out carol/approved.bundle --yes"), 0);
    assert!(said.contains(tree), "{said}");

    let said = case.session(&["stick"], 0);
    assert!(said.contains("common@2"), "{said}");
    case.run("advance stick --pin consumer/common.pin", 0);
    let said = case.run("verify stick --pin consumer/common.pin", 0);
    assert!(
        said.contains("content  4999 objects") && said.contains("trees    1 tree of 5000 files") && !said.contains("missing"),
        "{said}"
    );
    let said = case.run("show stick --pin consumer/common.pin tools/suite", 0);
    assert!(said.contains(tree), "{said}");
    let run = before["bin/run"].0.len();
    assert!(said.contains(&format!("executable {}  {run} bytes  bin/run", Hash::of(&before["bin/run"].0).short())), "{said}");
    assert!(said.lines().any(|line| line.ends_with("  5 bytes  .hidden/Größe.txt")));

    let said = case.run("checkout stick consumer/out --pin consumer/common.pin", 0);
    assert!(said.contains("wrote    5000 files") && said.contains("1 tree among them"), "{said}");
    let after = files(&case.path("consumer/out/tools/suite"));
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    assert!(after == before, "bytes or modes differ");
    assert!(!case.path("consumer/out/tools/suite/nothing").exists());

    // The same folder again changes nothing, so it is the tree's hash that is compared; one mode more, and it is another tree.
    case.run("advance stick --pin alice/common.pin", 0);
    case.run("propose put tools/suite=alice/suite --pin alice/common.pin --key alice/key --media stick", 0);
    let said = case.session(&["stick"], 1);
    assert!(said.contains("[no-effect]"), "{said}");
    fs::set_permissions(folder.join("empty"), fs::Permissions::from_mode(0o700)).unwrap();
    case.run("propose put tools/suite=alice/suite --pin alice/common.pin --key alice/key --media stick", 0);
    let said = case.session(&["stick"], 0);
    assert!(said.contains("common@3"), "{said}");
    let pack = case.read("stick/tabellion/common/objects/000/000003.objects");
    assert_eq!(BundleHeader::parse(&pack).unwrap().0.objects, 1, "all but the tree itself was packed before");
}

#[test]
fn folders_that_are_no_tree_are_refused_before_anything_is_signed() {
    let mut case = Case::founded("trees-refused");
    case.write("alice/bad/README", "x");
    case.write("alice/bad/Readme", "y");
    let said = case.run("propose put tools/x=alice/bad --pin alice/common.pin --key alice/key --media stick", 2);
    assert!(said.contains("[tree-form]") && said.contains("path 2 folds like path 1: \"Readme\""), "{said}");
    fs::remove_file(case.path("alice/bad/Readme")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", case.path("alice/bad/link")).unwrap();
    let said = case.run("propose put tools/x=alice/bad --pin alice/common.pin --key alice/key --media stick", 2);
    assert!(said.contains("[tree-form]") && said.contains("alice/bad/link\" is a link; plain files and folders expected"), "{said}");
    assert!(!case.path("alice/papers").exists() && !case.path("stick/tabellion/inbox").exists());
}

#[test]
fn members_come_after_their_tree_on_other_media_and_before_it_in_vain() {
    let mut case = Case::founded("trees-in-parts");
    let tree = artifact(&[("a", false, 3, b"one"), ("b/c", true, 3, b"two")]);
    let paper = paper(&case, 1, "tools/parts", &tree);
    let short = |content: &[u8]| Hash::of(content).short();

    // Members first: they are of no use to anybody and not kept. No session is opened for them.
    let said = bring(&mut case, "first", &bundle(&[], &[b"one", b"two"]), 0);
    assert!(said.contains("nothing  new") && said.contains("left     2 objects that no paper here waits for"), "{said}");
    // The tree without its paper: the same.
    let said = bring(&mut case, "second", &bundle(&[], &[&tree]), 0);
    assert!(said.contains("nothing  new"), "{said}");
    let said = bring(&mut case, "third", &paper.bytes(), 0);
    assert!(said.contains("[object-missing]") && said.contains(&short(&tree)), "{said}");
    let said = bring(&mut case, "fourth", &bundle(&[], &[&tree]), 0);
    assert!(said.contains("[object-missing]") && said.contains(&short(b"one")), "{said}");
    let said = bring(&mut case, "fifth", &bundle(&[], &[b"two", b"nobody's"]), 0);
    assert!(said.contains("left     1 object that no paper here waits for"), "{said}");
    assert!(said.contains("session  3") && said.contains(&short(b"one")), "{said}");
    let said = bring(&mut case, "sixth", &bundle(&[], &[b"two"]), 0);
    assert!(said.contains("nothing  new"), "{said}");
    let said = bring(&mut case, "seventh", &bundle(&[], &[b"one"]), 0);
    assert!(said.contains("common@2"), "{said}");
    let pack = case.read("seventh/tabellion/common/objects/000/000004.objects");
    assert_eq!(BundleHeader::parse(&pack).unwrap().0.objects, 3);
    assert!(fs::read_dir(case.path("witness/objects/loose")).unwrap().next().is_none(), "nothing is kept twice");
    case.run("advance seventh --pin consumer/common.pin", 0);
    case.run("checkout seventh consumer/out --pin consumer/common.pin", 0);
    let out = files(&case.path("consumer/out/tools/parts"));
    assert_eq!(out, BTreeMap::from([("a".into(), (b"one".to_vec(), false)), ("b/c".into(), (b"two".to_vec(), true))]));
}

#[test]
fn trees_that_lie_or_lead_out_of_their_folder_are_refused_for_good() {
    let mut case = Case::founded("trees-hostile");
    let deep = ["d"; 33].join("/");
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (artifact(&[("a", false, 2, b"x")]), "has 1 bytes; the tree says 2"),
        (artifact(&[("../x", false, 1, b"x")]), "path 1 has a segment of dots"),
        (artifact(&[("/etc/cron.d/x", false, 1, b"x")]), "path 1 is absolute"),
        (artifact(&[("README", false, 1, b"x"), ("Readme", false, 1, b"x")]), "path 2 folds like path 1"),
        (artifact(&[("b", false, 1, b"x"), ("a", false, 1, b"x")]), "path 2 does not ascend"),
        (artifact(&[(&deep, false, 1, b"x")]), "path 1 has 33 segments most 32"),
        (artifact(&[("a", false, 1_000_001, b"y")]), "has 1000001 bytes; at most 1000000 allowed"),
        (b"no tree at all".to_vec(), "cbor-form"),
    ];
    for (at, (tree, words)) in cases.iter().enumerate() {
        let paper = paper(&case, at as u64 + 1, "tools/x", tree);
        let medium = format!("stick{at}");
        let said = bring(&mut case, &medium, &bundle(&[paper.bytes()], &[tree, b"x"]), 1);
        assert!(said.contains("refused") && said.contains(words), "{words}: {said}");
        assert!(said.contains("[object-fault]") || said.contains("[entry-too-large]"), "{said}");
    }
    assert!(fs::read_dir(case.path("witness/objects/loose")).map_or(0, Iterator::count) == 0);
}

#[test]
fn a_tree_published_under_optional_content_never_leads_out_of_a_checkout() {
    let mut case = Case::founded("trees-optional");
    // docs/ has optional content: a broken tree is accepted as a hash, and its bytes are not published.
    let (bad, good) = (artifact(&[("../../x", false, 1, b"x")]), artifact(&[("a", false, 1, b"x"), ("b", false, 9, b"y")]));
    let papers = [paper(&case, 1, "docs/bad", &bad).bytes()];
    let papers = [papers[0].clone(), paper(&case, 2, "docs/good", &artifact(&[])).bytes()];
    let said = bring(&mut case, "stick", &bundle(&papers, &[&bad, b"x", &artifact(&[])]), 0);
    assert!(said.contains("common@3"), "{said}");
    // The same bytes under another media type are content like any other, and put them into a pack.
    let plain = Forge::put("alice", 3, &case.pin("alice"), "tools/plain", &bad);
    bring(&mut case, "stick", &bundle(&[plain.bytes()], &[&bad]), 0);
    case.run("advance stick --pin consumer/common.pin", 0);
    let said = case.run("verify stick --pin consumer/common.pin", 0);
    assert!(
        said.contains("missing  docs/bad") && said.contains("it was signed as a tree and is none: path 1 has a segment of dots"),
        "{said}"
    );
    let said = case.run("checkout stick consumer/out --pin consumer/common.pin", 1);
    assert!(said.contains("[content-missing]"), "{said}");
    assert!(!case.path("consumer/x").exists() && !case.path("x").exists());
    assert!(case.path("consumer/out/docs/good").is_dir(), "an empty tree is an empty folder");
    assert!(case.path("consumer/out/tools/plain").is_file());
    assert!(good.len() > 50, "docs/ allows 50 bytes, and this tree has more");
}

#[test]
fn a_tampered_member_is_refused_by_verify_and_checkout_and_a_missing_one_is_named() {
    let mut case = Case::founded("trees-tampered");
    let tree = artifact(&[("a", false, 3, b"one"), ("b", false, 3, b"two")]);
    let paper = paper(&case, 1, "tools/t", &tree);
    bring(&mut case, "stick", &bundle(&[paper.bytes()], &[&tree, b"one", b"two"]), 0);
    case.run("advance stick --pin consumer/common.pin", 0);
    let (pack, index) = ("stick/tabellion/common/objects/000/000001.objects", "stick/tabellion/common/objects/000/000001.index");
    let (whole, rows) = (case.read(pack), case.read(index));
    let at = whole.windows(3).position(|window| window == b"two").unwrap();
    case.flip(pack, at as isize);
    let said = case.run("verify stick --pin consumer/common.pin", 5);
    assert!(said.contains("[proof-fails]"), "{said}");
    let said = case.run("checkout stick consumer/out --pin consumer/common.pin", 5);
    assert!(said.contains("[proof-fails]") && !case.path("consumer/out/tools/t/b").exists(), "{said}");
    case.write(pack, &whole);
    // An index with false offsets gives content with another hash, or does not fit its pack.
    for byte in 32..40 {
        let mut wrong = rows.clone();
        wrong[byte] ^= 1;
        case.write(index, wrong);
        case.run("verify stick --pin consumer/common.pin", 5);
    }
    // A folder that carries the tree and one of its members: the other is named, and what is there is written.
    let objects = BTreeMap::from([(Hash::of(&tree), tree.len() as u64), (Hash::of(b"one"), 3)]);
    case.write(index, tabellion::core::publish::pack_index(&objects));
    case.write(pack, bundle(&[], &[&tree, b"one"]));
    let said = case.run("verify stick --pin consumer/common.pin", 0);
    assert!(said.contains("missing  tools/t/b") && !said.contains("missing  tools/t/a"), "{said}");
    let said = case.run("checkout stick consumer/part --pin consumer/common.pin", 1);
    assert!(said.contains("wrote    1 file ") && said.contains("missing  tools/t/b"), "{said}");
}

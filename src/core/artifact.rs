//! The tree artifact (SPEC 3.13): a folder as content, which lists files by path.
//!
//! A [`Tree`] is made only by the check of its form, so that whoever has one can write its paths below a folder: none leads out of it, and no
//! two of them meet in one place, also where upper and lower case are one.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use unicode_normalization::{UnicodeNormalization as _, is_nfc};

use super::cbor::{Canonical, Reader, Writer};
use super::ids::Hash;
use super::limits::{OBJECT_BYTES_MAX, TREE_BYTES_MAX, TREE_DEPTH_MAX, TREE_PATH_BYTES_MAX, TREE_PATHS_MAX};
use super::rules::{Checked, Fault, Rule};
use super::verdict::Detail;

/// One file of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where it lies, segments joined by `/`.
    pub path: String,
    /// Whether it can be run.
    pub executable: bool,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its content.
    pub sha256: Hash,
}

/// A folder as content; made only by [`Tree::new`] and [`Tree::parse`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    members: Vec<Member>,
}

/// Why something is no tree: a reason whose words a detail may hold, and the path it speaks of, which is its author's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeFault {
    reason: String,
    path: Option<String>,
}

impl TreeFault {
    fn of(reason: impl Into<String>) -> TreeFault {
        TreeFault { reason: reason.into(), path: None }
    }

    /// The reason as the row of a tree has it (SPEC 6.11): no word of it is the author's.
    pub fn detail(&self) -> Detail {
        Detail::of(&self.reason.split(' ').collect::<Vec<_>>())
    }

    /// The reason with the path, for who makes a tree or looks into one.
    pub fn fault(&self) -> Fault {
        let path = self.path.as_ref().map_or(String::new(), |path| format!(": {path:?}"));
        Fault::new(Rule::TreeForm, format!("{}{path}", self.reason))
    }
}

impl Tree {
    /// A tree of these files, in whatever order they are given.
    ///
    /// # Errors
    /// Whatever SPEC 3.13 does not allow; paths are counted from 1 in the order of their bytes.
    pub fn new(mut members: Vec<Member>) -> Result<Tree, TreeFault> {
        members.sort_by(|a, b| a.path.cmp(&b.path));
        check(&members)?;
        Ok(Tree { members })
    }

    /// Reads a tree.
    ///
    /// # Errors
    /// Whatever SPEC 3.13 does not allow, the form of the CBOR first.
    pub fn parse(bytes: &[u8]) -> Result<Tree, TreeFault> {
        if bytes.len() as u64 > TREE_BYTES_MAX {
            return Err(TreeFault::too_large(bytes.len() as u64));
        }
        let Rows(members) = Rows::from_cbor(bytes).map_err(|fault| TreeFault::of(format!("{} by spec 3.13", fault.rule)))?;
        check(&members)?;
        Ok(Tree { members })
    }

    /// The artifact's bytes.
    pub fn to_cbor(&self) -> Vec<u8> {
        let mut w = Writer::new();
        write(&self.members, &mut w);
        w.finish()
    }

    /// The files, ascending by the bytes of their paths.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The sizes of all paths in all: at most 2^51, so that no sum of them overflows.
    pub fn bytes(&self) -> u64 {
        self.members.iter().map(|member| member.size).sum()
    }
}

impl TreeFault {
    /// An artifact of more bytes than a tree within its bounds can have; it need not be read to know.
    pub fn too_large(found: u64) -> TreeFault {
        TreeFault::of(format!("{found} bytes found most {TREE_BYTES_MAX}"))
    }
}

/// `[* [path, executable, size, sha256]]` before the form is checked.
struct Rows(Vec<Member>);

fn write(members: &[Member], w: &mut Writer) {
    w.array(members.len());
    for member in members {
        w.array(4).text(&member.path).bool(member.executable).uint(member.size).bytes(&member.sha256.0);
    }
}

impl Canonical for Rows {
    fn write(&self, w: &mut Writer) {
        write(&self.0, w);
    }

    fn read(r: &mut Reader<'_>) -> Checked<Rows> {
        // The bound on paths is a rule of the tree, checked with its own words: here it is that of its bytes.
        let len = r.reading("tree").array(TREE_BYTES_MAX as usize)?;
        let mut members = Vec::new();
        for _ in 0..len {
            r.array_of(4)?;
            members.push(Member { path: r.text()?.to_owned(), executable: r.bool()?, size: r.uint()?, sha256: r.hash()? });
        }
        Ok(Rows(members))
    }
}

/// SPEC 3.13.
fn check(members: &[Member]) -> Result<(), TreeFault> {
    if members.len() > TREE_PATHS_MAX {
        return Err(TreeFault::of(format!("{} paths found most {TREE_PATHS_MAX}", members.len())));
    }
    let said = |at: usize, reason: String| TreeFault { reason: format!("path {} {reason}", at + 1), path: Some(members[at].path.clone()) };
    let mut sizes = BTreeMap::new();
    for (at, member) in members.iter().enumerate() {
        if let Some(reason) = path_fault(&member.path) {
            return Err(said(at, reason));
        }
        if at > 0 && members[at - 1].path >= member.path {
            return Err(said(at, "does not ascend".into()));
        }
        if member.size > OBJECT_BYTES_MAX {
            return Err(said(at, format!("has {} bytes most {OBJECT_BYTES_MAX}", member.size)));
        }
        let first = *sizes.entry(member.sha256).or_insert(at);
        if members[first].size != member.size {
            return Err(said(at, format!("has another size than path {} of the same content", first + 1)));
        }
    }
    let meeting = meeting(members);
    meeting.map_or(Ok(()), |(one, other, how)| Err(said(one.max(other), format!("{how} path {}", one.min(other) + 1))))
}

/// What is wrong with one path.
fn path_fault(path: &str) -> Option<String> {
    let segments = || path.split('/');
    let reason = match path {
        _ if path.len() > TREE_PATH_BYTES_MAX => return Some(format!("has {} bytes most {TREE_PATH_BYTES_MAX}", path.len())),
        _ if segments().count() > TREE_DEPTH_MAX => return Some(format!("has {} segments most {TREE_DEPTH_MAX}", segments().count())),
        _ if path.starts_with('/') => "is absolute",
        _ if segments().any(str::is_empty) => "has an empty segment",
        _ if segments().any(|segment| segment == "." || segment == "..") => "has a segment of dots",
        _ if path.chars().any(char::is_control) => "has a control character",
        _ if path.contains('\\') => "has a backslash",
        _ if !is_nfc(path) => "is not in nfc",
        _ => return None,
    };
    Some(reason.into())
}

/// NFC of the simple lower-casing of each character: paths that fold alike are one place where upper and lower case are one.
///
/// The full lower-casing of every character but U+0130 is one character and its simple one; of U+0130 the simple one is the first of two.
fn fold(path: &str) -> String {
    path.chars().map(|c| c.to_lowercase().next().unwrap_or(c)).nfc().collect()
}

/// Two paths that would meet in one place: equal when folded, one above the other, or in folders that are written otherwise but fold alike.
fn meeting(members: &[Member]) -> Option<(usize, usize, &'static str)> {
    let mut folded: Vec<(String, usize)> = members.iter().enumerate().map(|(at, member)| (fold(&member.path), at)).collect();
    // By segments: what lies below a path comes right behind it, and what shares a folder stands together.
    folded.sort_by(|(a, _), (b, _)| by_segments(a, b));
    folded.windows(2).find_map(|pair| {
        let ((a, one), (b, other)) = (&pair[0], &pair[1]);
        let shared = a.split('/').zip(b.split('/')).take_while(|(a, b)| a == b).count();
        let all = |path: &str| path.split('/').count() == shared;
        let written = |at: usize| members[at].path.split('/').take(shared);
        match (all(a), all(b)) {
            (true, true) => Some((*one, *other, "folds like")),
            (true, false) => Some((*other, *one, "lies above or below")),
            _ => (!written(*one).eq(written(*other))).then_some((*one, *other, "has a folder that folds like one of")),
        }
    })
}

fn by_segments(a: &str, b: &str) -> Ordering {
    a.split('/').cmp(b.split('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(path: &str) -> Member {
        Member { path: path.into(), executable: false, size: 5, sha256: Hash([1; 32]) }
    }

    fn fault(paths: &[&str]) -> String {
        Tree::new(paths.iter().map(|path| member(path)).collect()).err().map_or(String::new(), |fault| fault.detail().as_str().to_owned())
    }

    #[test]
    fn trees_are_sorted_by_the_bytes_of_their_paths_and_come_back() {
        let tree = Tree::new(["b", "Z", "a/ü", "a.b"].map(member).to_vec()).expect("a tree");
        assert_eq!(tree.members().iter().map(|member| member.path.as_str()).collect::<Vec<_>>(), ["Z", "a.b", "a/ü", "b"]);
        assert_eq!((Tree::parse(&tree.to_cbor()), tree.bytes()), (Ok(tree.clone()), 20));
        assert_eq!(Tree::parse(&[0x80]).map(|tree| tree.bytes()), Ok(0), "the empty tree");
    }

    #[test]
    fn paths_that_leave_a_folder_or_meet_in_it_are_no_tree() {
        assert_eq!(fault(&["a", "b/c", "b/d", "b.c"]), "");
        assert_eq!(fault(&["../x"]), "path 1 has a segment of dots");
        assert_eq!(fault(&["a/./b"]), "path 1 has a segment of dots");
        assert_eq!(fault(&["/etc/passwd"]), "path 1 is absolute");
        assert_eq!(fault(&["a//b"]), "path 1 has an empty segment");
        assert_eq!(fault(&["a/"]), "path 1 has an empty segment");
        assert_eq!(fault(&[""]), "path 1 has an empty segment");
        assert_eq!(fault(&["a\nb"]), "path 1 has a control character");
        assert_eq!(fault(&["a\\b"]), "path 1 has a backslash");
        assert_eq!(fault(&["e\u{301}"]), "path 1 is not in nfc");
        assert_eq!(fault(&["a", "b", "b"]), "path 3 does not ascend");
        assert_eq!(fault(&["a", "a/b"]), "path 2 lies above or below path 1");
        assert_eq!(fault(&["README", "Readme"]), "path 2 folds like path 1");
        assert_eq!(fault(&["A/b", "a"]), "path 2 lies above or below path 1");
        assert_eq!(fault(&["A/x", "a/y"]), "path 2 has a folder that folds like one of path 1");
        // A path of another folder between the two in the order of bytes does not hide them.
        assert_eq!(fault(&["A/x", "B", "a/y"]), "path 3 has a folder that folds like one of path 1");
        assert_eq!(fault(&["a", "a.b", "a/b"]), "path 3 lies above or below path 1");
    }

    #[test]
    fn folding_is_simple_lower_casing_and_then_nfc() {
        assert_eq!(fold("ÄÖ İ ẞ Σ"), "äö i ß σ");
        // U+0130 has no other folding of two characters, and ß and ss stay two.
        assert_eq!(fault(&["i", "İ"]), "path 2 folds like path 1");
        assert_eq!(fault(&["ss", "ß"]), "");
        // U+212B, the Ångström sign, is not in NFC; K, the Kelvin sign, neither.
        assert_eq!(fault(&["\u{212b}"]), "path 1 is not in nfc");
        // Lower-casing can undo NFC: J and a caron have no composed form, and when they are small they have.
        assert_eq!(fault(&["J\u{30c}", "ǰ"]), "path 2 folds like path 1");
    }

    #[test]
    fn bounds_hold_and_one_more_does_not() {
        let deep = |depth: usize| vec!["a"; depth].join("/");
        assert_eq!(fault(&[&deep(32)]), "");
        assert_eq!(fault(&[&deep(33)]), "path 1 has 33 segments most 32");
        assert_eq!(fault(&[&"a".repeat(1_024)]), "");
        assert_eq!(fault(&[&"a".repeat(1_025)]), "path 1 has 1025 bytes most 1024");
        let many = |count: usize| (0..count).map(|at| member(&format!("{at:06}"))).collect::<Vec<_>>();
        assert!(Tree::new(many(100_000)).is_ok());
        assert_eq!(
            Tree::new(many(100_001)).map_err(|fault| fault.detail()),
            Err(Detail::of(&["100001", "paths", "found", "most", "100000"]))
        );
        let large = Member { size: OBJECT_BYTES_MAX + 1, ..member("a") };
        assert_eq!(
            Tree::new(vec![large]).map_err(|fault| fault.detail().as_str().to_owned()),
            Err("path 1 has 17179869185 bytes most 17179869184".into())
        );
        let twice = vec![member("a"), Member { size: 6, ..member("b") }];
        assert_eq!(
            Tree::new(twice).map_err(|fault| fault.detail().as_str().to_owned()),
            Err("path 2 has another size than path 1 of the same content".into())
        );
    }

    #[test]
    fn largest_tree_has_the_bytes_the_bound_says() {
        // Array head 5; per path: array 1, text 3 + 1,024, bool 1, size 9, hash 2 + 32.
        assert_eq!(5 + TREE_PATHS_MAX as u64 * (1 + 3 + TREE_PATH_BYTES_MAX as u64 + 1 + 9 + 34), TREE_BYTES_MAX);
        assert!(TREE_PATHS_MAX as u64 * OBJECT_BYTES_MAX < 1 << 51);
    }

    #[test]
    fn bytes_of_another_form_are_no_tree() {
        let good = Tree::new(vec![member("a"), member("b")]).expect("a tree").to_cbor();
        // The array's head, and then two members of 39 bytes each.
        let (first, second) = good[1..].split_at(39);
        let descending = [&good[..1], second, first].concat();
        let reason = |bytes: &[u8]| Tree::parse(bytes).map_err(|fault| fault.detail().as_str().to_owned());
        assert_eq!(reason(&descending), Err("path 2 does not ascend".into()));
        assert_eq!(reason(&good[..good.len() - 1]), Err("cbor-form by spec 3.13".into()));
        assert_eq!(reason(&[good.clone(), vec![0]].concat()), Err("cbor-form by spec 3.13".into()));
        assert_eq!(reason(b"hello"), Err("cbor-form by spec 3.13".into()));
        assert_eq!(reason(&[0x81, 0x01]), Err("payload-shape by spec 3.13".into()));
    }
}

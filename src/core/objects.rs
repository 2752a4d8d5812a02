//! Rows of referenced objects: the sizes of what the desk held, and what a look inside a tree found.
//!
//! A row is all that judging ever sees of content. It stands in the ledger and in `sessions/<s>.papers` (SPEC 7.4, 8.3), so that whoever has
//! the published folder alone comes to the same verdicts with the same values.

use std::collections::BTreeMap;

use super::cbor::{Reader, Writer};
use super::ids::Hash;
use super::rules::{Checked, Rule};
use super::verdict::Detail;

/// Most rows of one paper: its operations, each a tree.
const ROWS_MAX: usize = 256 * 100_001;
/// What the fault of a tree that is not of its form begins with.
const TREE_FORM: &str = "tree-form";

/// Rows by SHA-256: the referenced objects that the desk held, members of trees too.
pub type Rows = BTreeMap<Hash, HeldObject>;

/// One row: what the desk found of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldObject {
    /// Its size in bytes.
    pub size: u64,
    /// What a look inside found.
    pub inside: Inside,
}

/// What a look inside an object found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inside {
    /// It was not looked into: no put of the paper says that it is a tree.
    Closed,
    /// It shall be a tree but breaks the form of SPEC 3.13; the reason.
    Malformed(Detail),
    /// It is a tree.
    Tree {
        /// The sizes of its paths in all.
        bytes: u64,
        /// The first fault of its members: one with another size than the tree says, else one that is missing.
        fault: Option<MemberFault>,
    },
}

/// What is wrong with a member of a tree, as the rule that it breaks where content is kept or required, and the values shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberFault {
    /// `object-fault` or `object-missing`.
    pub rule: Rule,
    /// The values.
    pub detail: Detail,
}

impl MemberFault {
    /// The desk does not hold this member.
    pub fn missing(object: &Hash) -> MemberFault {
        MemberFault { rule: Rule::ObjectMissing, detail: Detail::of(&["object", &object.short()]) }
    }

    /// This member has another size than the tree says.
    pub fn size(object: &Hash, found: u64, expected: u64) -> MemberFault {
        let (found, expected) = (found.to_string(), expected.to_string());
        let detail = Detail::of(&["object", &object.short(), "found", &found, "expected", &expected]);
        MemberFault { rule: Rule::ObjectFault, detail }
    }
}

/// The objects among these that were read as trees.
pub fn trees_of(rows: &Rows) -> impl Iterator<Item = &Hash> {
    rows.iter().filter(|(_, held)| matches!(held.inside, Inside::Tree { .. })).map(|(hash, _)| hash)
}

/// Writes `[* [sha256, size, fault, ? bytes]]`.
pub fn write_rows(w: &mut Writer, rows: &Rows) {
    w.array(rows.len());
    for (hash, held) in rows {
        let is_tree = matches!(held.inside, Inside::Tree { .. });
        w.array(3 + usize::from(is_tree)).bytes(&hash.0).uint(held.size).text(&held.inside.fault_text());
        if let Inside::Tree { bytes, .. } = &held.inside {
            w.uint(*bytes);
        }
    }
}

/// Reads `[* [sha256, size, fault, ? bytes]]`.
///
/// # Errors
/// `payload-shape` when rows do not ascend, or a fault is not of its form.
pub fn read_rows(r: &mut Reader<'_>) -> Checked<Rows> {
    let len = r.array(ROWS_MAX)?;
    let mut rows = Rows::new();
    for _ in 0..len {
        let fields = r.array(4)?;
        if fields < 3 {
            return Err(r.fault(format!("an object of {fields} fields found; 3, or 4 of a tree, expected")));
        }
        let (hash, size, text) = (r.hash()?, r.uint()?, r.text()?);
        let bytes = if fields == 4 { Some(r.uint()?) } else { None };
        let inside = Inside::from_text(text, bytes).ok_or_else(|| r.fault(format!("{text:?} is no fault of an object")))?;
        if rows.last_key_value().is_some_and(|(last, _)| *last >= hash) {
            return Err(r.fault("objects do not ascend strictly by SHA-256"));
        }
        rows.insert(hash, HeldObject { size, inside });
    }
    Ok(rows)
}

impl Inside {
    /// The rule that what was found breaks, with the values shown: `object-fault`, which is final, or `object-missing`.
    pub fn fault(&self) -> Option<(Rule, String)> {
        match self {
            Inside::Closed | Inside::Tree { fault: None, .. } => None,
            Inside::Malformed(_) => Some((Rule::ObjectFault, self.fault_text())),
            Inside::Tree { fault: Some(fault), .. } => Some((fault.rule, fault.detail.as_str().to_owned())),
        }
    }

    /// The fault as a row has it: `""`, or a rule with the values shown.
    fn fault_text(&self) -> String {
        match self {
            Inside::Closed | Inside::Tree { fault: None, .. } => String::new(),
            Inside::Malformed(reason) => format!("{TREE_FORM} {}", reason.as_str()),
            Inside::Tree { fault: Some(fault), .. } => format!("{} {}", fault.rule, fault.detail.as_str()),
        }
    }

    /// What [`Inside::fault_text`] wrote.
    fn from_text(text: &str, bytes: Option<u64>) -> Option<Inside> {
        let fault = match text.split_once(' ') {
            Some((rule, values)) => Some((rule, Detail::parse(values).ok()?)),
            None if text.is_empty() => None,
            None => return None,
        };
        let is_members = |rule: &Rule| matches!(rule, Rule::ObjectMissing | Rule::ObjectFault);
        match (fault, bytes) {
            (None, None) => Some(Inside::Closed),
            (None, Some(bytes)) => Some(Inside::Tree { bytes, fault: None }),
            (Some((rule, reason)), None) => (rule == TREE_FORM).then_some(Inside::Malformed(reason)),
            (Some((rule, detail)), Some(bytes)) => {
                let rule = Rule::from_id(rule).filter(is_members)?;
                Some(Inside::Tree { bytes, fault: Some(MemberFault { rule, detail }) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(inside: Inside) -> HeldObject {
        HeldObject { size: 12, inside }
    }

    fn read(bytes: &[u8]) -> Checked<Rows> {
        read_rows(&mut Reader::new(bytes))
    }

    #[test]
    fn rows_come_back_with_size_fault_and_bytes() {
        let (missing, size) = (MemberFault::missing(&Hash([7; 32])), MemberFault::size(&Hash([8; 32]), 12, 13));
        let insides = [
            Inside::Closed,
            Inside::Malformed(Detail::of(&["path", "3", "is", "absolute"])),
            Inside::Tree { bytes: 0, fault: None },
            Inside::Tree { bytes: 5, fault: Some(missing) },
            Inside::Tree { bytes: 5, fault: Some(size) },
        ];
        let rows: Rows = insides.into_iter().enumerate().map(|(at, inside)| (Hash([at as u8; 32]), row(inside))).collect();
        let mut w = Writer::new();
        write_rows(&mut w, &rows);
        assert_eq!(read(&w.finish()), Ok(rows));
    }

    #[test]
    fn row_of_a_plain_object_has_three_fields_and_an_empty_fault() {
        let mut w = Writer::new();
        write_rows(&mut w, &Rows::from([(Hash([1; 32]), row(Inside::Closed))]));
        assert_eq!(w.finish(), [vec![0x81, 0x83, 0x58, 0x20], vec![1; 32], vec![0x0c, 0x60]].concat());
    }

    #[test]
    fn rows_of_another_form_are_refused() {
        let one = |fields: u8, hash: u8, text: &str| {
            let mut w = Writer::new();
            w.array(usize::from(fields)).bytes(&[hash; 32]);
            (fields > 1).then(|| w.uint(12));
            (fields > 2).then(|| w.text(text));
            (fields > 3).then(|| w.uint(5));
            w.finish()
        };
        let list = |items: &[Vec<u8>]| [vec![0x80 | items.len() as u8], items.concat()].concat();
        assert!(read(&list(&[one(3, 1, ""), one(4, 2, "")])).is_ok());
        let wrong = [
            list(&[one(2, 1, "")]),
            list(&[one(3, 1, ""), one(3, 1, "")]),
            list(&[one(3, 2, ""), one(3, 1, "")]),
            list(&[one(3, 1, "object-fault")]),
            list(&[one(3, 1, "no-effect name a")]),
            list(&[one(3, 1, "tree-form ")]),
            list(&[one(4, 1, "tree-form path 1 is absolute")]),
            list(&[one(4, 1, "object-missing ")]),
            list(&[one(4, 1, "object-missing Object")]),
            list(&[one(4, 1, "no-effect name a")]),
            list(&[one(3, 1, "object-missing object sha256:0707070707070707")]),
        ];
        for bytes in wrong {
            assert!(read(&bytes).is_err(), "{}", hex::encode(bytes));
        }
    }
}

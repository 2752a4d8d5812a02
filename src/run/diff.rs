//! What differs between two numbers of Common: names, and the policy.

use std::collections::BTreeMap;

use crate::core::artifact::{Member, Tree};
use crate::core::books::apply;
use crate::core::ids::{Hash, Head, Name, Party};
use crate::core::proposal::Entry;
use crate::core::rules::{Checked, Fault, Rule};

use super::consumer::state_at;
use super::content::tree_of;
use super::folder::CheckedFolder;

/// By whose paper, at which number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// The author.
    pub author: Party,
    /// The number.
    pub number: u64,
}

/// A name that stands for something else than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The name.
    pub name: Name,
    /// What it stood for.
    pub before: Option<Entry>,
    /// What it stands for.
    pub after: Option<Entry>,
    /// The last paper that changed it.
    pub by: By,
}

/// All that differs.
pub struct Difference {
    /// The older number.
    pub from: Head,
    /// The newer.
    pub to: Head,
    /// Names, ascending.
    pub changes: Vec<Change>,
    /// Hash of the policy before and after, when they differ, and the last paper that set one.
    pub policy: Option<(Hash, Hash, By)>,
}

impl Difference {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.policy.is_none()
    }
}

/// A path of a tree that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathChange {
    /// The path.
    pub path: String,
    /// What was there.
    pub before: Option<Member>,
    /// What is there.
    pub after: Option<Member>,
}

/// What differs inside a name that stands for a tree before and after, when the folder carries both trees.
///
/// # Errors
/// As [`tree_of`].
pub fn inside(checked: &CheckedFolder, change: &Change) -> Checked<Option<Vec<PathChange>>> {
    let (Some(before), Some(after)) = (&change.before, &change.after) else { return Ok(None) };
    if !(before.is_tree() && after.is_tree()) {
        return Ok(None);
    }
    let trees = (tree_of(checked, &change.name, before)?, tree_of(checked, &change.name, after)?);
    let (Some(before), Some(after)) = trees else { return Ok(None) };
    Ok(Some(paths(&before, &after)))
}

/// The paths at which two trees differ, ascending.
fn paths(before: &Tree, after: &Tree) -> Vec<PathChange> {
    let mut all: BTreeMap<&str, (Option<&Member>, Option<&Member>)> = BTreeMap::new();
    before.members().iter().for_each(|member| all.entry(&member.path).or_default().0 = Some(member));
    after.members().iter().for_each(|member| all.entry(&member.path).or_default().1 = Some(member));
    let differing = all.into_iter().filter(|(_, (before, after))| before != after);
    differing.map(|(path, (before, after))| PathChange { path: path.into(), before: before.cloned(), after: after.cloned() }).collect()
}

/// Compares common@`from` with common@`to`. What was changed and changed back does not differ.
///
/// # Errors
/// `pin-behind` when the folder lacks one of them; `usage` when `from` is the newer.
pub fn diff(checked: &CheckedFolder, from: u64, to: u64) -> Checked<Difference> {
    let head = |number: u64| {
        let missing = || {
            let found = format!("common@{number} asked for; the folder holds common@1 to common@{}", checked.head.number);
            Fault::new(Rule::PinBehind, found)
        };
        let root = checked.common.log().root_at(number).filter(|_| number > 0).ok_or_else(missing)?;
        Ok(Head { number, root })
    };
    let (from, to) = (head(from)?, head(to)?);
    if from.number > to.number {
        return Err(Fault::new(
            Rule::Usage,
            format!("from common@{} to common@{} asked for; the older first expected", from.number, to.number),
        ));
    }
    let before = state_at(&checked.common, from.number);
    let (mut after, mut touched, mut set) = (before.clone(), BTreeMap::new(), None);
    let pages = checked.common.pages();
    for page in &pages[from.number as usize..to.number as usize] {
        let Some(proposal) = &page.proposal else { continue };
        let by = By { author: proposal.author.clone(), number: page.record.number };
        for operation in &proposal.operations {
            match operation.name() {
                Some(name) => drop(touched.insert(name.clone(), by.clone())),
                None => set = Some(by.clone()),
            }
        }
        apply(&mut after, proposal);
    }
    let changes = touched.into_iter().filter_map(|(name, by)| {
        let (before, after) = (before.get(&name).cloned(), after.get(&name).cloned());
        (before != after).then_some(Change { name, before, after, by })
    });
    let policy_after = |number: u64| {
        let record = &pages[number as usize - 1].record;
        record.new_policy.unwrap_or(record.policy)
    };
    let (old, new) = (policy_after(from.number), policy_after(to.number));
    Ok(Difference { from, to, changes: changes.collect(), policy: set.filter(|_| old != new).map(|by| (old, new, by)) })
}

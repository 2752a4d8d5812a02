//! Trees that a session judges: read from the media or the desk's store, one at a time, and handed to the core as what they list.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

use crate::core::artifact::{Tree, TreeFault};
use crate::core::books::Books;
use crate::core::holdings::Holdings;
use crate::core::ids::Hash;
use crate::core::limits::TREE_BYTES_MAX;
use crate::core::objects::Inside;
use crate::core::rules::{Checked, Fault, Rule};
use crate::core::verify::Verified;

use super::bag::Bag;
use super::files::file_fault;
use super::objects::Store;

/// Everything the desk can read for these papers and the held ones, its trees looked into.
///
/// # Errors
/// `file-fault` when a tree that the ledger counts on is damaged or gone, and no medium brings it.
pub fn holdings(books: &Books, bag: &Bag, brought: &[Verified], store: &Store) -> Checked<Holdings> {
    holdings_of(books, bag, brought, &mut |hash| kept_bytes(books, store, hash).map(Some))
}

/// As [`holdings`], with `kept` giving the content of trees that no medium brings; where it has none, the tree is as when it was last judged.
///
/// # Errors
/// Those of `kept`, and `file-fault` when our copy of a medium fails.
pub fn holdings_of(books: &Books, bag: &Bag, brought: &[Verified], kept: &mut Kept<'_>) -> Checked<Holdings> {
    let mut holdings = Holdings::new(books, bag.object_sizes());
    let papers = brought.iter().map(Verified::proposal).chain(books.held().values().map(|held| &held.proposal));
    for (hash, size) in holdings.unread_trees(books.policy()?, papers) {
        // A larger one is no tree, and is not read to know that.
        if size > TREE_BYTES_MAX {
            holdings.note_tree(hash, &Err(TreeFault::too_large(size)));
            continue;
        }
        let bytes = match brought_bytes(bag, &hash)? {
            Some(bytes) => Some(bytes),
            None => kept(&hash)?,
        };
        match bytes {
            Some(bytes) => holdings.note_tree(hash, &Tree::parse(&bytes)),
            None => last_judged(books, &hash)?.into_iter().for_each(|inside| holdings.note_judged(hash, inside)),
        }
    }
    Ok(holdings)
}

/// The content of a kept tree, if it is at hand.
pub type Kept<'a> = dyn FnMut(&Hash) -> Checked<Option<Vec<u8>>> + 'a;

/// What the newest row of a tree says.
fn last_judged(books: &Books, hash: &Hash) -> Checked<Option<Inside>> {
    for session in books.sessions().rev() {
        let session = session?;
        let rows = session.rulings.iter().filter_map(|ruling| ruling.objects.get(hash));
        if let Some(inside) = rows.map(|row| &row.inside).find(|inside| **inside != Inside::Closed) {
            return Ok(Some(inside.clone()));
        }
    }
    Ok(None)
}

fn brought_bytes(bag: &Bag, hash: &Hash) -> Checked<Option<Vec<u8>>> {
    let Some((file, object)) = bag.object(hash) else { return Ok(None) };
    let mut bytes = Vec::new();
    object.copy_to(file, &mut bytes)?;
    Ok(Some(bytes))
}

/// The bytes of an object that the ledger keeps: what a damaged disk made of it is not the object, and is taken from a medium again.
fn kept_bytes(books: &Books, store: &Store, hash: &Hash) -> Checked<Vec<u8>> {
    let (path, offset, size) = store.place(books, hash)?;
    let gone = || {
        let found = format!("{}: tree {hash} is damaged or gone, and no medium brings it; bring it again", path.display());
        Fault::new(Rule::FileFault, found)
    };
    let mut file = File::open(&path).map_err(|_| gone())?;
    file.seek(SeekFrom::Start(offset)).map_err(|error| file_fault(&path, &error))?;
    let mut bytes = vec![0; usize::try_from(size).map_err(|_| gone())?];
    file.read_exact(&mut bytes).map_err(|_| gone())?;
    if Hash::of(&bytes) == *hash { Ok(bytes) } else { Err(gone()) }
}

//! Trees that a session judges: read from the media or the desk's store, one at a time, and handed to the core as what they list.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

use crate::core::artifact::{Tree, TreeFault};
use crate::core::books::Books;
use crate::core::holdings::Holdings;
use crate::core::ids::Hash;
use crate::core::limits::TREE_BYTES_MAX;
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
    let mut holdings = Holdings::new(books, bag.object_sizes());
    let papers = brought.iter().map(Verified::proposal).chain(books.held().values().map(|held| &held.proposal));
    for (hash, size) in holdings.unread_trees(books.policy()?, papers) {
        // A larger one is no tree, and is not read to know that.
        let read = if size > TREE_BYTES_MAX { Err(TreeFault::too_large(size)) } else { Tree::parse(&bytes_of(books, bag, store, &hash)?) };
        holdings.note_tree(hash, &read);
    }
    Ok(holdings)
}

/// The bytes of an object that is held: what a damaged disk made of it is not the object, and is taken from a medium again.
fn bytes_of(books: &Books, bag: &Bag, store: &Store, hash: &Hash) -> Checked<Vec<u8>> {
    if let Some((file, object)) = bag.object(hash) {
        let mut bytes = Vec::new();
        object.copy_to(file, &mut bytes)?;
        return Ok(bytes);
    }
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

//! How a medium comes to be writable for its results, and out of every cache before they are compared once more.
//!
//! A folder that somebody else mounted needs nothing of it. The appliance mounts itself: a medium is read-only until its results are written,
//! and "safe to remove" is said only of what was unmounted, opened again and found the same.

use std::path::Path;

use crate::core::rules::Checked;

/// Who holds a medium.
pub trait Handling {
    /// Makes the medium in this folder writable.
    ///
    /// # Errors
    /// `medium-fault`.
    fn to_write(&mut self, medium: &Path) -> Checked<()>;

    /// Has everything written, takes the medium out of every cache and opens it in the same folder for reading again. `false` when this medium
    /// is not ours to mount: then there is nothing to compare that was not compared when it was written.
    ///
    /// # Errors
    /// `medium-fault`.
    fn to_compare(&mut self, medium: &Path) -> Checked<bool>;
}

/// Media that somebody else mounted, for writing.
pub struct AsMounted;

impl Handling for AsMounted {
    fn to_write(&mut self, _: &Path) -> Checked<()> {
        Ok(())
    }

    fn to_compare(&mut self, _: &Path) -> Checked<bool> {
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::rules::Fault;

    #[test]
    fn what_somebody_else_mounted_is_neither_made_writable_nor_compared_again() {
        assert_eq!(AsMounted.to_write(Path::new("/nowhere")), Ok(()));
        assert_eq!(AsMounted.to_compare(Path::new("/nowhere")), Ok::<bool, Fault>(false));
    }
}

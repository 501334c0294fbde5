//! The files that git tracks in a worktree, as its index has them.

use std::borrow::Cow;

use gix::bstr::ByteSlice;

use super::{Error, Repository};

/// The files in a worktree's index, in the order of their names.
pub struct TrackedFiles {
    index: Option<gix::worktree::Index>,
}

impl Repository {
    /// The files that git tracks in this worktree, whether they are checked out or not.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the index cannot be read.
    pub fn tracked_files(&self) -> Result<TrackedFiles, Error> {
        Ok(TrackedFiles { index: self.history()?.index()? })
    }
}

impl TrackedFiles {
    /// The names from the root of the worktree. Bytes that are no UTF-8 are U+FFFD. A folder of
    /// which a sparse index has no files ends in `/`.
    pub fn names(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let index = self.index.iter();
        index.flat_map(|index| index.entries().iter().map(|entry| entry.path(index).to_str_lossy()))
    }
}

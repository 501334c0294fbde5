//! Lines that were seen, by their bytes: to find out which of two logs lacks what.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// Lines by their hashes, of each 16 bytes.
#[derive(Debug, Default)]
pub struct KnownLines {
    hashes: HashSet<(u64, u64)>,
    by: (RandomState, RandomState),
}

impl KnownLines {
    /// Whether `line` was not known before.
    pub fn add(&mut self, line: &[u8]) -> bool {
        self.hashes.insert((self.by.0.hash_one(line), self.by.1.hash_one(line)))
    }

    /// How many lines are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether no line is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }
}

//! The id of a clone.

use std::fmt;

/// The field in which readers show the clone that a record came from.
pub const CLONE: &str = "clone";

/// The longest id, in bytes.
const MAX_LENGTH: usize = 64;

/// The random id of a clone: 1 to 64 of `0-9 a-z`, so that it is safe as a file name and in a ref.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloneId(String);

impl CloneId {
    /// The id that `text` is, or `None` if it is none.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=MAX_LENGTH).contains(&text.len());
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase());
        (fits && is_plain).then(|| Self(text.to_owned()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CloneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_id_has_digits_and_small_letters() {
        for text in ["a", "0199b7a2", &"z".repeat(64)] {
            assert_eq!(CloneId::new(text).unwrap().as_str(), text);
        }
        for text in ["", "A", "a b", "..", "a/b", "a.b", "é", "a\n", &"z".repeat(65)] {
            assert_eq!(CloneId::new(text), None, "{text:?}");
        }
    }
}

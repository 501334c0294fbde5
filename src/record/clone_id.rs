//! The id of a clone.

use std::fmt;

use serde_json::Value;

use super::json::Object;

/// The field in which readers show the clone that a record came from.
pub const CLONE: &str = "clone";

/// The longest id, in bytes.
const MAX_LENGTH: usize = 64;

/// The random id of a clone: 1 to 64 of `0-9 a-z`, so that it is safe as a file name and in a ref.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloneId(String);

impl CloneId {
    /// The id that `text` is; none where it is none.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=MAX_LENGTH).contains(&text.len());
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase());
        (fits && is_plain).then(|| Self(text.to_owned()))
    }

    /// The record `object` as readers show it: with the clone whose log has it, where that is another one. Whoever wrote the
    /// record has no say in that.
    #[must_use]
    pub fn mark(clone: Option<&Self>, mut object: Object) -> Object {
        object.remove(CLONE);
        object.extend(clone.map(|clone| (CLONE.to_owned(), Value::from(clone.as_str()))));
        object
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

//! What can be wrong with a record, and where.

use std::fmt;

use super::{IdFault, TimestampFault};

/// Why some bytes are not the record they should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The bytes are not valid JSON.
    Syntax {
        /// What the parser met.
        what: String,
        /// Where.
        at: Position,
    },
    /// The bytes end in the midst of a JSON value, as a write that was cut off leaves them.
    CutOff {
        /// Where they end.
        at: Position,
    },
    /// A byte that is no UTF-8.
    InvalidUtf8 {
        /// Where.
        at: Position,
    },
    /// A byte-order mark.
    ByteOrderMark,
    /// A NUL byte, as a power loss leaves them.
    Nul {
        /// Where.
        at: Position,
    },
    /// An object has a key twice.
    DuplicateKey {
        /// The key.
        key: String,
        /// Where it stands again.
        at: Position,
    },
    /// Something follows the object.
    SecondValue {
        /// Where it begins.
        at: Position,
    },
    /// Valid JSON, but not an object.
    NotAnObject,
    /// More bytes than a record may have.
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// A merge left its markers behind.
    MergeConflict {
        /// Where.
        at: Position,
    },
    /// A required field is not there, or empty.
    Missing(&'static str),
    /// A field holds a value of the wrong type.
    Mistyped {
        /// The field.
        field: &'static str,
        /// What it should hold: `a text`.
        expected: &'static str,
    },
    /// A field holds none of the words it may hold.
    UnknownWord {
        /// The field.
        field: &'static str,
        /// What stands there.
        word: String,
        /// What may stand there.
        allowed: &'static str,
    },
    /// A field holds a bad id.
    Id {
        /// The field.
        field: &'static str,
        /// The rule that is broken.
        fault: IdFault,
    },
    /// A field holds a bad time.
    Time {
        /// The field.
        field: &'static str,
        /// What is wrong.
        fault: TimestampFault,
    },
    /// An object in a list has a fault.
    Inside {
        /// The field that holds the list.
        list: &'static str,
        /// Which object of the list, from 1.
        number: usize,
        /// What is wrong with it.
        fault: Box<Fault>,
    },
    /// The record names another task than the file or ref that holds it.
    WrongTask {
        /// The task it names.
        found: String,
    },
}

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1.
    pub column: usize,
}

impl Position {
    /// Where a file begins.
    pub const START: Self = Self { line: 1, column: 1 };

    /// The place of the byte `offset` of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8], offset: usize) -> Self {
        let before = &bytes[..offset.min(bytes.len())];
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        Self { line: memchr::memchr_iter(b'\n', before).count() + 1, column: before.len() - line_start + 1 }
    }
}

impl Fault {
    /// The place in the record `bytes` at which the fault is; its start where the record as a whole is meant.
    #[must_use]
    pub fn position_in(&self, bytes: &[u8]) -> Position {
        match self {
            Self::Syntax { at, .. }
            | Self::CutOff { at }
            | Self::InvalidUtf8 { at }
            | Self::Nul { at }
            | Self::DuplicateKey { at, .. }
            | Self::SecondValue { at }
            | Self::MergeConflict { at } => *at,
            Self::ByteOrderMark | Self::NotAnObject | Self::TooLong { .. } | Self::Missing(_) => Position::START,
            Self::Mistyped { field, .. }
            | Self::UnknownWord { field, .. }
            | Self::Id { field, .. }
            | Self::Time { field, .. }
            | Self::Inside { list: field, .. } => field_position(bytes, field),
            Self::WrongTask { .. } => field_position(bytes, "task_id"),
        }
    }

    /// The line of the record `bytes` at which the fault is, from 1.
    #[must_use]
    pub fn line_in(&self, bytes: &[u8]) -> usize {
        self.position_in(bytes).line
    }
}

/// Where the object `bytes`, which is valid JSON, has the key `field`; its start where it has none.
#[must_use]
pub fn field_position(bytes: &[u8], field: &str) -> Position {
    let quoted = format!("\"{field}\"");
    let mut depth = 0_usize;
    let mut offset = 0;
    while let Some(byte) = bytes.get(offset) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                let end = string_end(bytes, offset);
                let is_key = || bytes[end..].trim_ascii_start().starts_with(b":");
                if depth == 1 && bytes[offset..end] == *quoted.as_bytes() && is_key() {
                    return Position::of(bytes, offset);
                }
                offset = end;
                continue;
            }
            _ => {}
        }
        offset += 1;
    }
    Position::START
}

/// The end of the JSON text that begins at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut offset = start + 1;
    while let Some(byte) = bytes.get(offset) {
        match byte {
            b'"' => return offset + 1,
            b'\\' => offset += 2,
            _ => offset += 1,
        }
    }
    bytes.len()
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { what, at } => write!(f, "{what} (column {})", at.column),
            Self::CutOff { at } => write!(f, "it ends too early (column {})", at.column),
            Self::InvalidUtf8 { at } => write!(f, "invalid UTF-8 (column {})", at.column),
            Self::ByteOrderMark => write!(f, "it begins with a byte-order mark"),
            Self::Nul { at } => write!(f, "a NUL byte (column {})", at.column),
            Self::DuplicateKey { key, at } => {
                write!(f, "the key `{}` stands there twice (column {})", key.escape_debug(), at.column)
            }
            Self::SecondValue { at } => write!(f, "something follows the object (column {})", at.column),
            Self::NotAnObject => write!(f, "it is not a JSON object"),
            Self::TooLong { limit } => write!(f, "it is longer than {limit} bytes"),
            Self::MergeConflict { .. } => write!(f, "a merge conflict was left in it"),
            Self::Missing(field) => write!(f, "`{field}` is missing or empty"),
            Self::Mistyped { field, expected } => write!(f, "`{field}` is not {expected}"),
            Self::UnknownWord { field, word, allowed } => write!(f, "`{field}` is `{word}`, not one of {allowed}"),
            Self::Id { field, fault } => write!(f, "`{field}`: {fault}"),
            Self::Time { field, fault } => write!(f, "`{field}`: {fault}"),
            Self::Inside { list, number, fault } => write!(f, "`{list}`, entry {number}: {fault}"),
            Self::WrongTask { found } => write!(f, "`task_id` is `{found}`, which is another task"),
        }
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_where_it_is_a_key_of_the_record_itself() {
        let text = "{\n  \"notes\": \"\\\"status\\\": \",\n  \"x\": {\"status\": 1, \"y\": [\"status\"]},\n   \"status\" : 2\n}";
        assert_eq!(field_position(text.as_bytes(), "status"), Position { line: 4, column: 4 });
        assert_eq!(field_position(text.as_bytes(), "none"), Position::START);
        assert_eq!(field_position(b"{\"a\":\"status", "status"), Position::START);
    }
}

//! What can be wrong with a record.

use std::fmt;

use super::{IdFault, TimestampFault};

/// Why some bytes are not the record they should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The bytes are not valid JSON; `line` and `column` count from 1.
    Syntax {
        /// What the parser met.
        what: String,
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
    },
    /// Valid JSON, but not an object.
    NotAnObject,
    /// More bytes than a record may have.
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// A merge left its markers behind; `line` counts from 1.
    MergeConflict {
        /// Line, from 1.
        line: usize,
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
    /// The record names another task than the file or ref that holds it.
    WrongTask {
        /// The task it names.
        found: String,
    },
}

impl Fault {
    /// The line of the record `bytes` at which the fault is, from 1; 1 where the record as a whole is meant.
    #[must_use]
    pub fn line_in(&self, bytes: &[u8]) -> usize {
        let field = match self {
            Self::Syntax { line, .. } | Self::MergeConflict { line } => return *line,
            Self::Mistyped { field, .. }
            | Self::UnknownWord { field, .. }
            | Self::Id { field, .. }
            | Self::Time { field, .. } => field,
            Self::WrongTask { .. } => "task_id",
            Self::NotAnObject | Self::TooLong { .. } | Self::Missing(_) => return 1,
        };
        let place = memchr::memmem::find(bytes, format!("\"{field}\"").as_bytes()).unwrap_or(0);
        memchr::memchr_iter(b'\n', &bytes[..place]).count() + 1
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { what, column, .. } => write!(f, "{what} (column {column})"),
            Self::NotAnObject => write!(f, "it is not a JSON object"),
            Self::TooLong { limit } => write!(f, "it is longer than {limit} bytes"),
            Self::MergeConflict { .. } => write!(f, "a merge conflict was left in it"),
            Self::Missing(field) => write!(f, "`{field}` is missing or empty"),
            Self::Mistyped { field, expected } => write!(f, "`{field}` is not {expected}"),
            Self::UnknownWord { field, word, allowed } => write!(f, "`{field}` is `{word}`, not one of {allowed}"),
            Self::Id { field, fault } => write!(f, "`{field}`: {fault}"),
            Self::Time { field, fault } => write!(f, "`{field}`: {fault}"),
            Self::WrongTask { found } => write!(f, "`task_id` is `{found}`, which is another task"),
        }
    }
}

impl std::error::Error for Fault {}

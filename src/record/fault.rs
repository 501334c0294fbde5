//! What can be wrong with a record, and where.

use std::fmt;

use super::locate::{Places, Step};
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
    /// An object in a field has a fault.
    Within {
        /// The field that holds the object.
        object: &'static str,
        /// What is wrong with it.
        fault: Box<Fault>,
    },
    /// A queue item that cannot be understood.
    BadItem {
        /// What is wrong.
        what: String,
        /// The line, from 1.
        line: usize,
    },
    /// The record names another task than the file or ref that holds it.
    WrongTask {
        /// The task it names.
        found: String,
    },
    /// The lease has another id than its file's name.
    WrongLease {
        /// The id it has.
        found: String,
    },
    /// The plan has another id than its file's name.
    WrongPlan {
        /// The id it has.
        found: String,
    },
}

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
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
        let begins_character = |byte: &&u8| (**byte & 0xc0) != 0x80;
        let column = before[line_start..].iter().filter(begins_character).count() + 1;
        Self { line: memchr::memchr_iter(b'\n', before).count() + 1, column }
    }
}

impl Fault {
    /// The place in the record at which the fault is; its start where the record as a whole is
    /// meant.
    #[must_use]
    pub fn position_in(&self, record: &Places<'_>) -> Position {
        match self {
            Self::MergeConflict { at } => *at,
            Self::BadItem { line, .. } => Position { line: *line, column: 1 },
            Self::Inside { list, number, fault } => {
                let item = [Step::Key(list), Step::Item(number - 1)];
                let field = fault.field().map(Step::Key);
                record.locate(&item.into_iter().chain(field).collect::<Vec<_>>())
            }
            Self::Within { object, fault } => {
                let field = fault.field().map(Step::Key);
                record.locate(&[Step::Key(object)].into_iter().chain(field).collect::<Vec<_>>())
            }
            _ => self.met_at().unwrap_or_else(|| {
                self.field().map_or(Position::START, |field| record.locate(&[Step::Key(field)]))
            }),
        }
    }

    /// Where the reader stopped, where the bytes are no strict JSON.
    const fn met_at(&self) -> Option<Position> {
        match self {
            Self::Syntax { at, .. }
            | Self::CutOff { at }
            | Self::InvalidUtf8 { at }
            | Self::Nul { at }
            | Self::DuplicateKey { at, .. }
            | Self::SecondValue { at } => Some(*at),
            _ => None,
        }
    }

    /// The field that is meant, if there is one and it stands there.
    fn field(&self) -> Option<&str> {
        match self {
            Self::Mistyped { field, .. }
            | Self::UnknownWord { field, .. }
            | Self::Id { field, .. }
            | Self::Time { field, .. }
            | Self::Missing(field) => Some(field),
            Self::WrongTask { .. } => Some("task_id"),
            Self::WrongPlan { .. } => Some("plan_id"),
            Self::WrongLease { .. } => Some("lock_id"),
            _ => None,
        }
    }

    /// The line of the record `bytes` at which the fault is, from 1.
    #[must_use]
    pub fn line_in(&self, bytes: &[u8]) -> usize {
        self.position_in(&Places::of(bytes)).line
    }
}

/// `{:#}` leaves the column out.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe(f)?;
        let at = self.met_at().filter(|_| !f.alternate());
        at.map_or(Ok(()), |at| write!(f, " (column {})", at.column))
    }
}

impl Fault {
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { what, .. } => write!(f, "{what}"),
            Self::CutOff { .. } => write!(f, "it ends too early"),
            Self::InvalidUtf8 { .. } => write!(f, "invalid UTF-8"),
            Self::ByteOrderMark => write!(f, "it begins with a byte-order mark"),
            Self::Nul { .. } => write!(f, "a NUL byte"),
            Self::DuplicateKey { key, .. } => {
                write!(f, "the key `{}` occurs twice", key.escape_debug())
            }
            Self::SecondValue { .. } => write!(f, "something follows the object"),
            Self::NotAnObject => write!(f, "it is not a JSON object"),
            Self::TooLong { limit } => write!(f, "it is longer than {limit} bytes"),
            Self::MergeConflict { .. } => write!(f, "a merge conflict was left in it"),
            Self::Missing(field) => write!(f, "`{field}` is missing or empty"),
            Self::Mistyped { field, expected } => write!(f, "`{field}` is not {expected}"),
            Self::UnknownWord { field, word, allowed } => {
                write!(f, "`{field}` is `{word}`, not one of {allowed}")
            }
            Self::Id { field, fault } => write!(f, "`{field}`: {fault}"),
            Self::Time { field, fault } => write!(f, "`{field}`: {fault}"),
            Self::Inside { list, number, fault } => write!(f, "`{list}`, entry {number}: {fault}"),
            Self::Within { object, fault } => write!(f, "`{object}`: {fault}"),
            Self::BadItem { what, .. } => write!(f, "{what}"),
            Self::WrongTask { found } => write!(f, "`task_id` is `{found}`, which is another task"),
            Self::WrongLease { found } => {
                write!(f, "`lock_id` is `{found}`, which is another lease")
            }
            Self::WrongPlan { found } => write!(f, "`plan_id` is `{found}`, which is another plan"),
        }
    }
}

impl std::error::Error for Fault {}

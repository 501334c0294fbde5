//! What the disk can refuse.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, io};

use crate::code::{Code, system_hint};

/// What was being done when the system refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Creating a folder or a file.
    Create,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Making sure that the bytes are on disk.
    Sync,
    /// Renaming.
    Rename,
    /// Removing.
    Remove,
    /// Locking.
    Lock,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Write => "write",
            Self::Sync => "sync",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::Lock => "lock",
        })
    }
}

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused.
    #[error("cannot {verb} `{}`", path.display())]
    Io {
        /// What was being done.
        verb: Verb,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something else stands where a file or a folder of the bus should be.
    #[error("`{}` is {found}, not {expected}", path.display())]
    WrongKind {
        /// Where.
        path: PathBuf,
        /// What stands there.
        found: &'static str,
        /// What should stand there.
        expected: &'static str,
    },
    /// Another process kept the lock.
    #[error("`{}` was not free within {} ms: {} holds it", path.display(), patience.as_millis(), holder.as_deref().unwrap_or("another program"))]
    LockTimeout {
        /// The lock.
        path: PathBuf,
        /// How long was waited.
        patience: Duration,
        /// Which `bus` process holds it, where one that lives left its name.
        holder: Option<String>,
    },
    /// Another watcher has the cursor.
    #[error("another `bus watch` uses the cursor `{}`", path.file_name().unwrap_or_default().display())]
    CursorInUse {
        /// The cursor.
        path: PathBuf,
    },
}

impl Error {
    /// Makes an error of what the system said when `verb` was tried on `path`.
    pub fn io(verb: Verb, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { verb, path: path.to_owned(), source }
    }

    /// The stable name of the error.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Io { .. } => Code::System,
            Self::WrongKind { .. } => Code::NotARegularFile,
            Self::LockTimeout { .. } => Code::LockTimeout,
            Self::CursorInUse { .. } => Code::CursorInUse,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Io { source, .. } => system_hint(source.kind())
                .unwrap_or("fix what the system names, then run the same command again")
                .to_owned(),
            Self::WrongKind { .. } => {
                "move it away: `bus` follows no links and replaces no folders".to_owned()
            }
            Self::CursorInUse { .. } => {
                "end that one, or take another name: a cursor has one reader".to_owned()
            }
            Self::LockTimeout { .. } => {
                "run the same command again, or wait longer with `--lock-timeout 30s`".to_owned()
            }
        }
    }
}

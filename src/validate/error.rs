//! Why the validator cannot give a verdict.

use std::path::PathBuf;

use crate::{Code, git, store};

/// An error of the validator; what it finds is none.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither the tree nor the base has a bus.
    #[error("there is no bus in `{}`", root.display())]
    NoBus {
        /// The worktree.
        root: PathBuf,
    },
    /// There is no ref of a bus to be audited.
    #[error("there is no ref of a bus in `{}`", root.display())]
    NoRefs {
        /// The worktree.
        root: PathBuf,
    },
    /// git refused.
    #[error(transparent)]
    Git(#[from] git::Error),
    /// The system refused.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// The stable name of the error.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::NoBus { .. } => Code::NoBus,
            Self::NoRefs { .. } => Code::NoFleet,
            Self::Git(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoBus { .. } => "lay one out with `bus init`, or name another repository with `bus -C DIR`".to_owned(),
            Self::NoRefs { .. } => {
                "fetch those of the fleet's remote: `git fetch origin '+refs/bus/*:refs/bus-remote/origin/*'`".to_owned()
            }
            Self::Git(error) => error.hint(),
            Self::Store(error) => error.hint(),
        }
    }
}

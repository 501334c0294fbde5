//! Why a bus or its hooks cannot be set up or removed.

use std::path::PathBuf;

use serde_json::Value;

use crate::Code;

/// Why a bus or its hooks cannot be set up or removed, with the facts.
#[derive(Debug, thiserror::Error)]
pub enum SetupFault {
    /// git is told to look for its hooks elsewhere, so it would never run ours.
    #[error("git looks for its hooks in `{}` (`core.hooksPath`), so it would not run those of `bus`", folder.display())]
    HooksElsewhere {
        /// The folder.
        folder: PathBuf,
    },
    /// There are live claims or leases.
    #[error("there are live claims or leases: {}", tasks.join(", "))]
    InUse {
        /// Their tasks, or their ids.
        tasks: Vec<String>,
    },
}

impl SetupFault {
    /// The stable name of the error.
    pub(in crate::bus) const fn code(&self) -> Code {
        match self {
            Self::HooksElsewhere { .. } => Code::HooksElsewhere,
            Self::InUse { .. } => Code::BusInUse,
        }
    }

    /// What to do next.
    pub(in crate::bus) fn hint(&self) -> String {
        match self {
            Self::HooksElsewhere { .. } => {
                "call `bus check` and `bus validate --base HEAD` from the pre-commit hook there; CI \
                 gives the same verdict"
                    .to_owned()
            }
            Self::InUse { .. } => {
                "release them first; see `bus status --active-only` and `bus lock list`".to_owned()
            }
        }
    }

    /// The facts, for programs.
    pub(in crate::bus) fn facts(&self) -> Vec<(&'static str, Option<Value>)> {
        match self {
            Self::HooksElsewhere { folder } => {
                vec![("folder", Some(Value::from(folder.display().to_string())))]
            }
            Self::InUse { .. } => Vec::new(),
        }
    }
}

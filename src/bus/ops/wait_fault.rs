//! Why what was waited for did not come true.

use serde_json::Value;

use super::wait::{Standing, WAIT_AGAIN};
use crate::Code;
use crate::record::Span;

/// Why what was waited for did not come true, with the facts.
#[derive(Debug, thiserror::Error)]
pub enum WaitFault {
    /// What was waited for did not come true in time.
    #[error("waited {patience}: {what}")]
    Timeout {
        /// What is so instead.
        what: String,
        /// How long was waited.
        patience: Span,
        /// How the task stands, where one was waited for.
        standing: Option<Box<Standing>>,
    },
    /// What is waited for cannot come true any more.
    #[error("`{}` will not be {until}: it is {}", standing.task, standing.describe())]
    Never {
        /// What the task was waited for to be.
        until: &'static str,
        /// How it stands.
        standing: Box<Standing>,
    },
}

impl WaitFault {
    /// The stable name of the error.
    pub(in crate::bus) const fn code(&self) -> Code {
        match self {
            Self::Timeout { .. } => Code::WaitTimeout,
            Self::Never { .. } => Code::CannotHold,
        }
    }

    /// What to do next.
    pub(in crate::bus) fn hint(&self) -> String {
        self.standing().map_or_else(|| WAIT_AGAIN.to_owned(), Standing::hint)
    }

    /// The facts, for programs.
    pub(in crate::bus) fn facts(&self) -> Vec<(&'static str, Option<Value>)> {
        let Some(standing) = self.standing() else { return Vec::new() };
        let claim = standing.claim.as_ref();
        vec![
            ("task_id", Some(Value::from(standing.task.as_str()))),
            ("state", standing.state.map(|state| Value::from(state.as_str()))),
            ("owner", claim.map(|claim| Value::from(claim.agent_id.as_str()))),
            ("branch", claim.map(|claim| Value::from(claim.branch.as_str()))),
        ]
    }

    fn standing(&self) -> Option<&Standing> {
        match self {
            Self::Timeout { standing, .. } => standing.as_deref(),
            Self::Never { standing, .. } => Some(standing),
        }
    }
}

//! Why the queue does not give what was asked for.

use serde_json::Value;

use crate::Code;
use crate::record::TaskId;

/// Why the queue does not give what was asked for, with the facts.
#[derive(Debug, thiserror::Error)]
pub enum QueueFault {
    /// A task of this number is there already.
    #[error("`{task}` is there already: `{place}`")]
    Exists {
        /// The task.
        task: TaskId,
        /// Its file, or the ref of its claim.
        place: String,
    },
    /// There is no such task in the queue.
    #[error("`{task}` is not in the queue")]
    NotQueued {
        /// The task.
        task: TaskId,
    },
    /// No task of the queue may be claimed now.
    #[error("nothing is ready: {summary}")]
    NothingReady {
        /// How many tasks of the queue are in which state.
        summary: String,
    },
}

impl QueueFault {
    /// The stable name of the error.
    pub(in crate::bus) const fn code(&self) -> Code {
        match self {
            Self::Exists { .. } => Code::TaskExists,
            Self::NotQueued { .. } => Code::NoTask,
            Self::NothingReady { .. } => Code::NothingReady,
        }
    }

    /// What to do next.
    pub(in crate::bus) const fn hint(&self) -> &'static str {
        match self {
            Self::Exists { .. } => {
                "leave `--id` out to get the next number; `bus queue list` shows what there is"
            }
            Self::NotQueued { .. } => "`bus queue list` shows what there is",
            Self::NothingReady { .. } => {
                "`bus queue list` shows what each task waits for; to wait until something is ready: \
                 `bus claim --next --wait`"
            }
        }
    }

    /// The facts, for programs.
    pub(in crate::bus) fn facts(&self) -> Vec<(&'static str, Option<Value>)> {
        match self {
            Self::Exists { task, place } => {
                vec![
                    ("task_id", Some(Value::from(task.as_str()))),
                    ("place", Some(Value::from(place.as_str()))),
                ]
            }
            Self::NotQueued { task } => vec![("task_id", Some(Value::from(task.as_str())))],
            Self::NothingReady { .. } => Vec::new(),
        }
    }
}

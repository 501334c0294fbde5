//! Why the queue does not give what was asked for.

use serde_json::Value;

use crate::Code;
use crate::record::{AgentId, TaskId};

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
    /// What is to be claimed looks like a task of the queue, and is none.
    #[error("`{task}` is not in the queue")]
    NoSuchItem {
        /// What was asked for.
        task: TaskId,
        /// What was meant, most likely.
        meant: Option<TaskId>,
        /// Whether it is a word for the next task.
        is_next: bool,
    },
    /// The agent holds no task that could be meant.
    #[error("{agent} holds no task")]
    NothingHeld {
        /// The agent.
        agent: AgentId,
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
            Self::NotQueued { .. } | Self::NoSuchItem { .. } => Code::NoTask,
            Self::NothingHeld { .. } => Code::ClaimNotHeld,
            Self::NothingReady { .. } => Code::NothingReady,
        }
    }

    /// What to do next.
    pub(in crate::bus) fn hint(&self) -> String {
        let hint = match self {
            Self::NoSuchItem { task, is_next: true, .. } => {
                return format!(
                    "the next task: `bus claim --next`; to claim `{task}` all the same: `bus claim {task} --new`"
                );
            }
            Self::NoSuchItem { task, meant: Some(meant), .. } => {
                return format!(
                    "the queue has `bus claim {meant}`; to claim `{task}` all the same: `bus claim {task} --new`"
                );
            }
            Self::NoSuchItem { task, .. } => {
                return format!(
                    "`bus queue list` shows what there is; to claim it all the same: `bus claim {task} --new`"
                );
            }
            Self::NothingHeld { .. } => {
                "claim a task with `bus claim --next`, or name the one that you mean"
            }
            Self::Exists { .. } => {
                "leave `--id` out to get the next number; `bus queue list` shows what there is"
            }
            Self::NotQueued { .. } => "`bus queue list` shows what there is",
            Self::NothingReady { .. } => {
                "`bus queue list` shows what each task waits for; to wait until something is ready: \
                 `bus claim --next --wait`"
            }
        };
        hint.to_owned()
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
            Self::NotQueued { task } | Self::NoSuchItem { task, .. } => {
                vec![("task_id", Some(Value::from(task.as_str())))]
            }
            Self::NothingHeld { .. } | Self::NothingReady { .. } => Vec::new(),
        }
    }
}

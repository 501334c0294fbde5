//! A refusal: one line of `errors.jsonl`, where the actions stand that the guard refused.

use super::fields::Fields;
use super::json::Object;
use super::{AgentId, EventKind, Fault, TaskId, Timestamp};

/// An action that was refused (docs/design.md, section 6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// When.
    pub ts: Timestamp,
    /// Who was refused.
    pub agent_id: AgentId,
    /// What was to be logged.
    pub event: EventKind,
    /// Why not: the code of the error.
    pub reason: String,
    /// On which task.
    pub task_id: Option<TaskId>,
}

impl Refusal {
    /// Reads a refusal out of a JSON object.
    ///
    /// # Errors
    ///
    /// Every [`Fault`] that makes the object no refusal.
    pub fn from_object(object: Object) -> Result<Self, Vec<Fault>> {
        let mut fields = Fields::new(object);
        let refusal = Self::read(&mut fields);
        fields.finish(refusal)
    }

    fn read(fields: &mut Fields) -> Option<Self> {
        let ts = fields.time("ts");
        let agent_id = fields.id("agent_id");
        let event = fields.id("event");
        let reason = fields.text("reason");
        let task_id = fields.optional_id("task_id");
        Some(Self {
            ts: ts?,
            agent_id: agent_id?,
            event: event?,
            reason: reason?,
            task_id: task_id?,
        })
    }
}

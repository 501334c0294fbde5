//! An assignment: a manager's word that a task is meant for an agent.

use super::fields::{Fields, first};
use super::json::{self, Object};
use super::{AgentId, Fault, PlanId, TaskId, Timestamp};

/// The engineer's name that older buses give a task that is meant for nobody yet.
const NOBODY: &str = "unassigned";

/// Who a task is meant for (design, section 2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The task.
    pub task_id: TaskId,
    /// Who shall do it; none where the record names nobody yet.
    pub engineer: Option<AgentId>,
    /// Who said so.
    pub manager: AgentId,
    /// When.
    pub assigned_at: Timestamp,
    /// The plan of the work.
    pub plan_id: Option<PlanId>,
    /// The branch that the work is meant for.
    pub branch: Option<String>,
    /// The manager's words.
    pub note: Option<String>,
}

impl Assignment {
    /// Reads the bytes of an assignment file.
    ///
    /// # Errors
    ///
    /// The first [`Fault`] that makes the bytes no assignment.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        Self::from_object(json::parse_record(bytes)?).map_err(first)
    }

    /// Reads an assignment out of a JSON object.
    ///
    /// # Errors
    ///
    /// Every [`Fault`] that makes the object no assignment.
    pub fn from_object(object: Object) -> Result<Self, Vec<Fault>> {
        let mut fields = Fields::new(object);
        let assignment = Self::read(&mut fields);
        fields.finish(assignment)
    }

    fn read(fields: &mut Fields) -> Option<Self> {
        let task_id = fields.id("task_id");
        let engineer = fields.id("engineer");
        let manager = fields.id("manager");
        let assigned_at = fields.time("assigned_at");
        let plan_id = fields.optional_id("plan_id");
        let branch = fields.optional_text("branch");
        let note = fields.optional_text("note");
        Some(Self {
            task_id: task_id?,
            engineer: engineer.map(|engineer| Some(engineer).filter(|engineer| engineer.as_str() != NOBODY))?,
            manager: manager?,
            assigned_at: assigned_at?,
            plan_id: plan_id?,
            branch: branch?,
            note: note?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_is_unassigned_is_meant_for_nobody() {
        let text =
            r#"{"task_id":"Q-1","manager":"m","engineer":"unassigned","assigned_at":"2025-11-09T18:27:05Z","plan_id":null}"#;
        assert_eq!(Assignment::parse(text.as_bytes()).unwrap().engineer, None);
        let text = text.replace("unassigned", "codex-2");
        assert_eq!(Assignment::parse(text.as_bytes()).unwrap().engineer, Some(AgentId::new("codex-2").unwrap()));
    }
}

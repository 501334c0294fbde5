//! An assignment: a manager's word that a task is meant for an agent.

use super::fields::Fields;
use super::{AgentId, Fault, TaskId, Timestamp, json};

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
}

impl Assignment {
    /// Reads the bytes of an assignment file.
    ///
    /// # Errors
    ///
    /// The first [`Fault`] that makes the bytes no assignment.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let mut fields = Fields(json::parse_record(bytes)?);
        let engineer: AgentId = fields.id("engineer")?;
        Ok(Self {
            task_id: fields.id("task_id")?,
            engineer: Some(engineer).filter(|engineer| engineer.as_str() != NOBODY),
            manager: fields.id("manager")?,
            assigned_at: fields.time("assigned_at")?,
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

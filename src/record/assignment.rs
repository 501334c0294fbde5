//! An assignment: a manager's word that a task is meant for an agent.

use super::fields::{Fields, first, put};
use super::json::Object;
use super::{AgentId, Fault, PlanId, TaskId, Timestamp, json};

/// The engineer's name that a task has which is meant for nobody.
pub const NOBODY: &str = "unassigned";

/// Who a task is meant for (docs/design.md, section 2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The task.
    pub task_id: TaskId,
    /// Who shall do it, or `None` if it is meant for nobody.
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
    /// All other fields.
    pub extra: Object,
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

    /// Whether this one counts, and not `other`, of the same task. Of two of one second every clone
    /// chooses the same.
    #[must_use]
    pub fn is_later_than(&self, other: &Self) -> bool {
        self.assigned_at > other.assigned_at
            || (self.assigned_at == other.assigned_at && self.to_bytes() > other.to_bytes())
    }

    /// Reads an assignment out of a JSON object.
    ///
    /// # Errors
    ///
    /// Every [`Fault`] that makes the object no assignment.
    pub fn from_object(object: Object) -> Result<Self, Vec<Fault>> {
        let mut fields = Fields::new(object);
        let assignment = Self::read(&mut fields);
        let assignment = assignment
            .map(|assignment| Self { extra: std::mem::take(&mut fields.rest), ..assignment });
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
            engineer: engineer.map(Self::engineer_called)?,
            manager: manager?,
            assigned_at: assigned_at?,
            plan_id: plan_id?,
            branch: branch?,
            note: note?,
            extra: Object::new(),
        })
    }

    /// The engineer of this name, or `None` if it says that nobody is meant.
    #[must_use]
    pub fn engineer_called(name: AgentId) -> Option<AgentId> {
        Some(name).filter(|name| !name.as_str().eq_ignore_ascii_case(NOBODY))
    }

    /// The engineer's name as it stands on disk.
    #[must_use]
    pub fn assignee(&self) -> &str {
        self.engineer.as_ref().map_or(NOBODY, AgentId::as_str)
    }

    /// The assignment as JSON.
    #[must_use]
    pub fn to_object(&self) -> Object {
        let mut object = self.extra.clone();
        put(&mut object, "task_id", Some(&self.task_id));
        put(&mut object, "engineer", Some(self.assignee()));
        put(&mut object, "manager", Some(&self.manager));
        put(&mut object, "assigned_at", Some(self.assigned_at));
        put(&mut object, "plan_id", self.plan_id.as_ref());
        put(&mut object, "branch", self.branch.as_ref());
        put(&mut object, "note", self.note.as_ref());
        object
    }

    /// The bytes of the assignment's file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        json::pretty(&self.to_object()).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_is_unassigned_is_meant_for_nobody() {
        let text = r#"{"task_id":"Q-1","manager":"m","engineer":"unassigned","assigned_at":"2025-11-09T18:27:05Z","plan_id":null}"#;
        assert_eq!(Assignment::parse(text.as_bytes()).unwrap().engineer, None);
        assert_eq!(
            Assignment::parse(text.as_bytes()).unwrap().to_object()["engineer"],
            "unassigned"
        );
        let text = text.replace("unassigned", "codex-2");
        assert_eq!(
            Assignment::parse(text.as_bytes()).unwrap().engineer,
            Some(AgentId::new("codex-2").unwrap())
        );
    }

    #[test]
    fn an_assignment_with_unknown_fields_reads_back_whole() {
        let text = r#"{"task_id":"Q-1","manager":"m","engineer":"e","assigned_at":"2025-11-09T18:27:05Z","plan_id":"p","branch":"b",
            "note":"n","size":1.50,"tags":["x"]}"#;
        let assignment = Assignment::parse(text.as_bytes()).unwrap();
        assert_eq!(Assignment::parse(&assignment.to_bytes()).unwrap(), assignment);
        assert_eq!(assignment.to_object(), json::parse_record(text.as_bytes()).unwrap());
    }
}

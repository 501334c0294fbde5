//! What managers have said about who shall do a task.

use super::decide::{self, Refusal};
use super::{Bus, Error};
use crate::record::json::MAX_RECORD;
use crate::record::{AgentId, Assignment, TaskId};

impl Bus {
    /// The latest assignment of `task` in any worktree.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] where a record of it is none.
    pub(super) fn assignment(&self, task: &TaskId) -> Result<Option<Assignment>, Error> {
        let mut latest: Option<Assignment> = None;
        for layout in self.layouts() {
            let place = layout.assignment(task);
            let Some(bytes) = place.read(MAX_RECORD)? else { continue };
            let found = Assignment::parse(&bytes).map_err(Error::malformed(self.show(&place), &bytes))?;
            if latest.as_ref().is_none_or(|latest| found.assigned_at > latest.assigned_at) {
                latest = Some(found);
            }
        }
        Ok(latest)
    }

    /// What `assignment` means for a claim by `agent`, as the policy has it.
    pub(super) fn assignment_verdict(&self, assignment: Option<&Assignment>, agent: &AgentId) -> Result<Option<Refusal>, Error> {
        let engineer = assignment.and_then(|assignment| assignment.engineer.as_ref());
        Ok(decide::assignment(engineer, agent, self.config()?.require_assignment))
    }
}

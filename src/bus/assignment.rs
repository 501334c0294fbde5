//! What managers have said about who shall do a task.

use super::decide::{self, Refusal};
use super::view::View;
use super::{Bus, Error, Who};
use crate::record::json::MAX_RECORD;
use crate::record::{Assignment, TaskId};

impl Bus {
    /// The assignment of the task, and what it means for a claim by `who`, as the policy has it.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] where a record of it is none.
    pub(super) fn assignment_for(&self, view: &View, who: &Who) -> Result<(Option<Assignment>, Option<Refusal>), Error> {
        let assignment = self.latest_assignment(&view.task)?;
        let engineer = assignment.as_ref().and_then(|assignment| assignment.engineer.as_ref());
        let verdict = decide::assignment(engineer, &who.agent, self.config()?.require_assignment);
        Ok((assignment, verdict))
    }

    /// The latest assignment of `task` in any worktree.
    pub(super) fn latest_assignment(&self, task: &TaskId) -> Result<Option<Assignment>, Error> {
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
}

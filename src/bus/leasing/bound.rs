//! Leases that live and die with a claim: a task and its paths, taken and given back in one step.

use super::change::Draft;
use crate::bus::{Bus, Error, Who};
use crate::record::{LeaseBrief, LeaseRow, TaskId};

impl Bus {
    /// `draft`, and the end of these rows: the claims that they lived with are gone.
    pub(super) fn swept<'a>(
        &self,
        mut draft: Draft,
        rows: impl Iterator<Item = &'a LeaseRow>,
        who: &Who,
    ) -> Result<Draft, Error> {
        for row in rows {
            if self.has_lived(&row.brief)? {
                let note = row.brief.task_id.as_ref().map(|task| format!("its claim of {task} had ended"));
                draft.sweep(self.ending_lease(super::whole(row)?, who, note.as_deref())?);
            } else {
                // Its claim was cut off before it was written.
                draft.drop_row(row);
            }
        }
        Ok(draft)
    }

    /// Whether the claim with which a lease was taken has ever stood.
    fn has_lived(&self, brief: &LeaseBrief) -> Result<bool, Error> {
        let (Some(task), Some(id)) = (&brief.task_id, &brief.claim_id) else { return Ok(true) };
        match self.tip(task)? {
            Some(tip) => self.has_state(&tip, |claim| claim.claim_id.as_ref() == Some(id)),
            None => Ok(false),
        }
    }

    /// The task, in the spelling that stands.
    pub(super) fn spelling(&self, task: &TaskId) -> TaskId {
        self.deciding_view(task, None).map_or_else(|_| task.clone(), |view| view.task)
    }
}

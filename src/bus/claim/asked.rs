//! What `claim --next` has asked for: after a crash, the command has no task by which it could find
//! out how far it was.

use crate::bus::Error;
use crate::bus::workspace::{Who, Workspace, remove};
use crate::record::json::MAX_RECORD;
use crate::record::{Claim, TaskId};
use crate::store::{Place, crash_point, replace};

/// Notes the claim that `who` is about to ask for.
pub(in crate::bus) fn note_asked(ws: &Workspace, who: &Who, claim: &Claim) -> Result<(), Error> {
    replace(&place(ws, who), &claim.to_bytes())?;
    crash_point("next-noted");
    Ok(())
}

/// The claim that `who` has asked for, if nobody knows yet what came of it.
pub(in crate::bus) fn asked(ws: &Workspace, who: &Who) -> Result<Option<Claim>, Error> {
    Ok(place(ws, who).read(MAX_RECORD)?.and_then(|bytes| Claim::parse(&bytes).ok()))
}

/// Forgets what was asked for of `task`. That is done under the lock under which its claim was
/// changed or settled: else another `claim --next` of the same agent takes it for its own.
pub(in crate::bus) fn forget_asked(ws: &Workspace, who: &Who, task: &TaskId) -> Result<(), Error> {
    match asked(ws, who)? {
        Some(claim) if claim.task_id == *task => remove(&place(ws, who).path()),
        _ => Ok(()),
    }
}

fn place(ws: &Workspace, who: &Who) -> Place {
    ws.private.next(&who.agent, ws.repo.worktree_name().as_deref())
}

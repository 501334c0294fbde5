//! Pushing refs of the bus to a fleet's remote: all or none, each with its lease.

use super::old_spelling;
use crate::bus::Error;
use crate::bus::workspace::Workspace;
use crate::git::{ObjectId, Pushed, RefName, Remote, Swap};
use crate::record::TaskId;

/// Pushes refs, all or none, only to the remote of this clone's fleet, and new claims only if the
/// archive is as it was last seen: a task that was archived is not begun anew.
pub(super) fn push_swaps(
    ws: &Workspace,
    remote: &Remote,
    mut swaps: Vec<Swap>,
) -> Result<Pushed, Error> {
    for swap in swaps.iter().filter(|swap| swap.expected.is_none()) {
        if let (Some(new), Some(task)) = (swap.new, swap.name.task())
            && forks_from_archive(ws, &task, new)?
        {
            let name = swap.name.as_str();
            return Ok(Pushed::Refused(format!("{name} (stale info): it was archived")));
        }
    }
    let archive = RefName::archive();
    if swaps.iter().any(|swap| swap.expected.is_none() && !swap.name.is_log())
        && !swaps.iter().any(|swap| swap.name == archive)
    {
        let seen = ws.seen_at(remote, &archive)?;
        let new = ws.archive_for(seen)?;
        // One that is none says nothing of any task.
        if seen.is_none_or(|seen| seen == new) {
            swaps.push(Swap { name: archive, expected: seen, new: Some(new) });
        }
    }
    swaps.extend(old_spelling::merge_with(ws, remote, &swaps)?);
    if let Some(fleet) = ws.fleet()? {
        let root = Some(ws.fleet_root(&fleet.id)?);
        swaps.push(Swap { name: RefName::fleet(), expected: root, new: root });
    }
    Ok(ws.repo.push(remote, &swaps, true)?)
}

/// Whether `task` was archived at a state that the chain which ends at `tip` does not have.
pub(super) fn forks_from_archive(
    ws: &Workspace,
    task: &TaskId,
    tip: ObjectId,
) -> Result<bool, Error> {
    ws.archived_id(task)?.map_or(Ok(false), |archived| Ok(!ws.repo.descends(tip, archived)?))
}

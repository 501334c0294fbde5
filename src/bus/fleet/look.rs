//! A look at the fleet's remote: what its refs are at, with the objects that this clone lacks.

use super::propose::There;
use crate::bus::Error;
use crate::bus::workspace::{MAX_TRIES, Workspace};
use crate::git::{ObjectId, RefName, Remote, Sight};
use crate::record::{Fleet, TaskId};
use crate::store::crash_point;

/// What the remote has of a task, if `leases` says so of the leases, and of the `log` if one is
/// named, if it serves this clone's fleet. The objects are brought here, but for the log's.
pub(super) fn look(
    There { ws, fleet, remote }: There<'_>,
    task: &TaskId,
    leases: bool,
    log: Option<&RefName>,
) -> Result<Sight, Error> {
    let mut names = vec![RefName::claim(task), RefName::archive()];
    names.extend(leases.then(RefName::leases));
    names.extend(log.cloned());
    look_for(ws, fleet, remote, &names)
}

/// What the remote has of these refs, if it serves this clone's fleet. The objects are brought
/// here, but for those of logs, which may be long.
pub(super) fn look_for(
    ws: &Workspace,
    fleet: &Fleet,
    remote: &Remote,
    names: &[RefName],
) -> Result<Sight, Error> {
    let others =
        names.iter().filter_map(RefName::task).flat_map(|task| RefName::other_claims(&task));
    let names: Vec<RefName> = names.iter().cloned().chain(others).collect();
    let brought: Vec<RefName> = names.iter().filter(|name| !name.is_log()).cloned().collect();
    let mut refused = Vec::new();
    for _ in 0..MAX_TRIES {
        let mut sight = ws.repo.look_at(remote, &[&[RefName::fleet()], &*names].concat())?;
        crash_point("looked");
        ws.check_fleet(fleet, remote, &sight)?;
        // What cannot be had twice is damaged there, and stops only whoever needs it.
        if is_all(&ws.bring(remote, &sight, &brought)?, &mut refused) {
            sight.remove(&RefName::fleet());
            return Ok(sight);
        }
    }
    let reference = names.first().map_or_else(String::new, |name| name.as_str().to_owned());
    Err(Error::RefContended { reference, tries: MAX_TRIES })
}

/// Whether nothing more is to be had: all is here, or these were refused by the look before, too.
pub(super) fn is_all(now: &[ObjectId], before: &mut Vec<ObjectId>) -> bool {
    let is_all = now.iter().all(|id| before.contains(id));
    *before = now.to_vec();
    is_all
}

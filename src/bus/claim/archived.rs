//! Claims that `bus gc` has archived.

use super::view::{State, state};
use crate::bus::Error;
use crate::bus::workspace::Workspace;
use crate::git::{Archive, Error as GitError, ObjectId, RefName};
use crate::record::TaskId;

/// What follows the archive that the remote was `seen` to have, if it is one, else this clone's: a
/// remote that has lost it gets it back.
pub(in crate::bus) fn archive_for(
    ws: &Workspace,
    seen: Option<ObjectId>,
) -> Result<ObjectId, Error> {
    let ours = ws.repo.id_of(&RefName::archive())?.filter(|ours| ws.repo.archive(*ours).is_ok());
    match seen {
        Some(seen) if ours == Some(seen) || ws.repo.is_archive(seen)? => Ok(seen),
        _ => Ok(ours.map_or_else(|| ws.repo.archive_root(), Ok)?),
    }
}

/// The archive that the fleet's remote was last seen to have, if it can be read.
fn seen_archive(ws: &Workspace) -> Option<Archive> {
    let fleet = ws.fleet().ok().flatten()?;
    let seen = RefName::archive().seen_on(&fleet.remote)?;
    let seen = ws.repo.id_of(&seen).ok().flatten()?;
    ws.repo.archive(seen).ok()
}

/// The last state of a task that was put away; none where this clone has no archive.
pub(super) fn archived_state(
    ws: &Workspace,
    name: &RefName,
    asked: &TaskId,
) -> Result<Option<State>, Error> {
    let Some(id) = archived_id(ws, asked)? else { return Ok(None) };
    let unreadable =
        |what| Error::UnreadableRef { name: RefName::archive().as_str().to_owned(), what };
    state(ws.repo.link(id)?.map_err(unreadable)?, name, asked).map(Some)
}

/// The commit of the last state of a task that was put away.
pub(in crate::bus) fn archived_id(
    ws: &Workspace,
    task: &TaskId,
) -> Result<Option<ObjectId>, Error> {
    self::archive(ws)?.map_or(Ok(None), |archive| Ok(ws.repo.archived(&archive, task)?))
}

/// The archive of this clone.
fn archive(ws: &Workspace) -> Result<Option<Archive>, Error> {
    let id = ws.repo.id_of(&RefName::archive())?;
    if ws.archive.get().map(|known| known.id) != id {
        let unreadable = |what: String| Error::UnreadableRef {
            name: RefName::archive().as_str().to_owned(),
            what,
        };
        // What the fleet's remote was seen to have is as good, until `bus sync` or
        // `bus doctor --fix` makes the ref anew.
        let instead = |error: GitError| match seen_archive(ws) {
            Some(archive) => Ok(archive),
            None => Err(unreadable(error.to_string())),
        };
        ws.archive.set(id.map(|id| ws.repo.archive(id).or_else(instead)).transpose()?);
    }
    Ok(ws.archive.get())
}

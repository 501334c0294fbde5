//! The archive: the last states of claims that `bus gc` took out of the way.

use super::Workspace;
use crate::bus::Error;
use crate::git::{Archive, Error as GitError, ObjectId, RefName};
use crate::record::TaskId;

impl Workspace {
    /// What follows the archive that the remote was `seen` to have, if it is one, else this
    /// clone's: a remote that has lost it gets it back.
    pub(in crate::bus) fn archive_for(&self, seen: Option<ObjectId>) -> Result<ObjectId, Error> {
        let ours =
            self.repo.id_of(&RefName::archive())?.filter(|ours| self.repo.archive(*ours).is_ok());
        match seen {
            Some(seen) if ours == Some(seen) || self.repo.is_archive(seen)? => Ok(seen),
            _ => Ok(ours.map_or_else(|| self.repo.archive_root(), Ok)?),
        }
    }

    /// The commit of the last state of a task that was archived, or `None` if it was not.
    pub(in crate::bus) fn archived_id(&self, task: &TaskId) -> Result<Option<ObjectId>, Error> {
        self.archive()?.map_or(Ok(None), |archive| Ok(self.repo.archived(&archive, task)?))
    }

    /// The archive of this clone.
    fn archive(&self) -> Result<Option<Archive>, Error> {
        let id = self.repo.id_of(&RefName::archive())?;
        if self.archive.get().map(|known| known.id) != id {
            let unreadable = |what: String| Error::UnreadableRef {
                name: RefName::archive().as_str().to_owned(),
                what,
            };
            // What the fleet's remote was seen to have is as good, until `bus sync` or
            // `bus doctor --fix` makes the ref anew.
            let instead = |error: GitError| match self.seen_archive() {
                Some(archive) => Ok(archive),
                None => Err(unreadable(error.to_string())),
            };
            self.archive.set(id.map(|id| self.repo.archive(id).or_else(instead)).transpose()?);
        }
        Ok(self.archive.get())
    }

    /// The archive that the fleet's remote was last seen to have, if it can be read.
    fn seen_archive(&self) -> Option<Archive> {
        let fleet = self.fleet().ok().flatten()?;
        let seen = RefName::archive().seen_on(&fleet.remote)?;
        let seen = self.repo.id_of(&seen).ok().flatten()?;
        self.repo.archive(seen).ok()
    }
}

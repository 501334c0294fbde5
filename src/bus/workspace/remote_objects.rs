//! Bringing objects of a fleet's remote here.

use super::Workspace;
use crate::bus::Error;
use crate::git::{Error as GitError, ObjectId, RefName, Remote, Sight};

/// How many states of a chain are looked for, to see whether all of it is here.
const MAX_CHAIN: usize = 10_000;

/// How many fetches are spent on finding out which objects a remote cannot give.
const MAX_FETCHES: usize = 64;

/// After how many failures without a success it is the remote that does not answer.
const MAX_FAILURES: usize = 6;

/// What fetches have come to.
#[derive(Default)]
struct Fetches {
    done: usize,
    failed: usize,
    /// The objects that the remote cannot give.
    refused: Vec<ObjectId>,
}

impl Workspace {
    /// Brings the objects of these refs here. Returns those that the remote cannot give: a ref has
    /// moved since it was seen, or is damaged there.
    ///
    /// # Errors
    ///
    /// [`Error::Git`] if the remote does not answer.
    pub(in crate::bus) fn bring(
        &self,
        remote: &Remote,
        sight: &Sight,
        names: &[RefName],
    ) -> Result<Vec<ObjectId>, Error> {
        let mut missing = Vec::new();
        for name in names {
            if let Some(id) = sight.get(name)
                && !self.is_brought(remote, name, *id)?
            {
                missing.push((name.clone(), *id));
            }
        }
        let mut fetches = Fetches::default();
        self.fetch_parts(remote, &missing, &mut fetches)?;
        Ok(fetches.refused)
    }

    /// Fetches objects; if the remote fails at that, those that it can give and those that it
    /// cannot: one damaged ref must not hide the others.
    fn fetch_parts(
        &self,
        remote: &Remote,
        wanted: &[(RefName, ObjectId)],
        fetches: &mut Fetches,
    ) -> Result<(), Error> {
        let error = match self.repo.fetch_objects(remote, wanted) {
            Ok(()) => {
                fetches.done += 1;
                return Ok(());
            }
            Err(error @ GitError::Unreachable { .. }) => error,
            Err(error) => return Err(error.into()),
        };
        fetches.failed += 1;
        let is_silent = fetches.done == 0 && fetches.failed > MAX_FAILURES;
        if is_silent || fetches.done + fetches.failed > MAX_FETCHES {
            return Err(error.into());
        }
        match wanted {
            [] => Ok(()),
            [(name, id)] => {
                // If it does not answer at all, that says nothing of this object.
                self.repo.look_at(remote, std::slice::from_ref(name))?;
                fetches.refused.push(*id);
                Ok(())
            }
            _ => {
                let (first, second) = wanted.split_at(wanted.len() / 2);
                self.fetch_parts(remote, first, fetches)?;
                self.fetch_parts(remote, second, fetches)
            }
        }
    }

    /// Whether the state `id` of a ref is here, with all that it follows. A fetch writes the end of
    /// a chain first: one that was killed, or that another process is at, has not brought the rest.
    pub(in crate::bus) fn is_brought(
        &self,
        remote: &Remote,
        name: &RefName,
        id: ObjectId,
    ) -> Result<bool, Error> {
        let known = [self.repo.id_of(name)?, self.seen_at(remote, name)?];
        if known.contains(&Some(id)) {
            return Ok(self.repo.has_object(id)?);
        }
        // These have trees, too.
        if *name == RefName::archive() || name.is_log() {
            return Ok(false);
        }
        let mut next = Some(id);
        for _ in 0..MAX_CHAIN {
            let Some(id) = next.filter(|id| !known.contains(&Some(*id))) else { return Ok(true) };
            let Ok(link) = self.repo.link(id)? else { return Ok(false) };
            next = link.parent;
        }
        Ok(true)
    }

    /// What the remote was last seen to have of a ref.
    pub(in crate::bus) fn seen_at(
        &self,
        remote: &Remote,
        name: &RefName,
    ) -> Result<Option<ObjectId>, Error> {
        name.seen_on(remote.name()).map_or(Ok(None), |seen| Ok(self.repo.id_of(&seen)?))
    }
}

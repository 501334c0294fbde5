//! The one way in which a ref of the bus comes to a new state: decided under the lock, moved by
//! compare-and-swap, tried again a few times if the ref has moved meanwhile. Claims, the table of
//! leases and the numbers of the queue are chains of such states.

use super::Workspace;
use crate::bus::Error;
use crate::git::{ObjectId, RefName};
use crate::store::{Lock, crash_point};

/// How often a change is tried while something that does not take the lock moves the ref.
pub(in crate::bus) const MAX_TRIES: usize = 5;

/// What is known when a decision is made.
#[derive(Clone, Copy, Debug)]
pub(in crate::bus) struct Known {
    /// What stands here is fresh from the remote that decides, or no remote does.
    pub(in crate::bus) seen: bool,
    /// Something that was sent may still come to the remote, unless that moves on.
    pub(in crate::bus) under_way: bool,
}

/// What a decision about a ref comes to.
pub(in crate::bus) enum Turn<T> {
    /// It is so already.
    Done(T),
    /// What is known here is not enough to say so: look at the remote.
    Look,
    /// The ref is to move to this commit, and whoever writes it here must find `from` in it.
    Write { from: Option<ObjectId>, to: ObjectId, what: T },
}

impl Workspace {
    /// Moves the ref called `name` as `decide` says, under the lock that the caller holds, and
    /// returns what `finish` makes of it.
    ///
    /// # Errors
    ///
    /// [`Error::RefContended`] if the ref has moved under each try; else what `decide` or `finish`
    /// refuses.
    pub(in crate::bus) fn change_ref<T, D>(
        &self,
        lock: &mut Lock,
        name: &RefName,
        decide: impl Fn(&mut Lock, Known) -> Result<Turn<T>, Error>,
        finish: impl FnOnce(&mut Lock, T) -> Result<D, Error>,
    ) -> Result<D, Error> {
        for _ in 0..MAX_TRIES {
            match decide(lock, Known { seen: true, under_way: false })? {
                Turn::Done(done) => return finish(lock, done),
                Turn::Write { from, to, what } if self.advance(lock, name, from, to)? => {
                    return finish(lock, what);
                }
                Turn::Write { .. } | Turn::Look => {}
            }
        }
        Err(Error::contended(name))
    }

    /// Moves the ref called `name` from `expected` to `new`, and says whether it did: `false` means
    /// that the ref has moved.
    pub(in crate::bus) fn advance(
        &self,
        lock: &mut Lock,
        name: &RefName,
        expected: Option<ObjectId>,
        new: ObjectId,
    ) -> Result<bool, Error> {
        crash_point("object-written");
        // Whoever comes after a kill knows by this which ref's own lock was left behind.
        lock.about_to_write(name.as_str())?;
        let moved = self.repo.swap(name, expected, new)?;
        crash_point("ref-written");
        Ok(moved)
    }

    /// Removes those of these refs that are at what is expected, all at once.
    pub(in crate::bus) fn remove_refs(
        &self,
        lock: &mut Lock,
        refs: &[(RefName, ObjectId)],
    ) -> Result<(), Error> {
        if refs.is_empty() {
            return Ok(());
        }
        // Each of them is locked on the way, and there is room for one name.
        lock.about_to_write(RefName::ALL_OWN)?;
        Ok(self.repo.remove(refs)?)
    }
}

//! The one way in which a ref of the bus comes to a new state: by compare-and-swap, under the lock,
//! at most a few times.

use super::Workspace;
use crate::bus::Error;
use crate::git::{Link, ObjectId, RefName};
use crate::store::{Lock, crash_point};

/// How often a change is tried while something that does not take the lock moves the ref.
pub(in crate::bus) const MAX_TRIES: usize = 5;

impl Workspace {
    /// Moves the ref called `name` from `expected` to `link`, and says whether it did: `false`
    /// means that the ref has moved.
    pub(in crate::bus) fn advance(
        &self,
        lock: &mut Lock,
        name: &RefName,
        expected: Option<ObjectId>,
        link: &Link,
    ) -> Result<bool, Error> {
        crash_point("object-written");
        // Whoever comes after a kill knows by this which ref's own lock was left behind.
        lock.about_to_write(name.as_str())?;
        let moved = self.repo.swap(name, expected, link.id)?;
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

/// Makes `attempt`s to change the ref called `name` until one comes to something.
///
/// # Errors
///
/// [`Error::RefContended`] where the ref has moved under each; else what an attempt refuses.
pub(in crate::bus) fn retry<T>(
    name: &RefName,
    mut attempt: impl FnMut() -> Result<Option<T>, Error>,
) -> Result<T, Error> {
    for _ in 0..MAX_TRIES {
        if let Some(done) = attempt()? {
            return Ok(done);
        }
    }
    Err(Error::RefContended { reference: name.as_str().to_owned(), tries: MAX_TRIES })
}

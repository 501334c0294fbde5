//! The refs of the bus as a whole: which there are, what they are at, and how they come and go.

use std::collections::BTreeSet;

use gix::refs::Target;
use gix::refs::transaction::PreviousValue;

use super::chain::commit;
use super::error::store;
use super::ref_name::{CLAIMS, OWN};
use super::{Error, ObjectId, RefName, Repository};

impl Repository {
    /// The names of all refs below `prefix`, such as `refs/bus/claims/`, without it.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if `packed-refs` cannot be read.
    pub fn names_below(&self, prefix: &str) -> Result<BTreeSet<String>, Error> {
        let mut names = BTreeSet::new();
        let folder = self.common_dir().join(prefix);
        for entry in walkdir::WalkDir::new(&folder).min_depth(1).into_iter().flatten() {
            let name = entry
                .path()
                .strip_prefix(&folder)
                .ok()
                .and_then(|path| path.to_str())
                .unwrap_or_default();
            if entry.file_type().is_file() && !name.is_empty() && !name.ends_with(".lock") {
                names.insert(name.to_owned());
            }
        }
        let unreadable =
            |error: &(dyn std::error::Error + 'static)| store("read", "packed-refs", error);
        if let Some(packed) =
            self.refs.cached_packed_buffer().map_err(|error| unreadable(&error))?
        {
            let prefixed =
                packed.iter_prefixed(prefix.into()).map_err(|error| unreadable(&error))?;
            for reference in prefixed.flatten() {
                let name = reference.name.as_bstr().to_string();
                names.insert(name[prefix.len()..].to_owned());
            }
        }
        Ok(names)
    }

    /// The tasks that have a ref, as their refs spell them, in upper case.
    ///
    /// # Errors
    ///
    /// As [`Repository::names_below`].
    pub fn claimed_tasks(&self) -> Result<BTreeSet<String>, Error> {
        let mut names = self.names_below(CLAIMS)?;
        names.retain(|name| !name.contains('/'));
        Ok(names)
    }

    /// Whether the clone has any ref of a bus.
    #[must_use]
    pub fn has_bus_refs(&self) -> bool {
        self.names_below(OWN).is_ok_and(|names| !names.is_empty())
    }

    /// The object that a ref is at, or `None` if there is no such ref, or it holds no object id.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the system refuses to read.
    pub fn id_of(&self, name: &RefName) -> Result<Option<ObjectId>, Error> {
        Ok(self.target(name)?.and_then(Result::ok))
    }

    /// Makes the name of a ref's file as durable as its bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the system refuses.
    pub fn sync_name(&self, name: &RefName) -> Result<(), Error> {
        let path = self.ref_path(name);
        let folder = path.parent().unwrap_or(&path);
        let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| store("sync", name.as_str(), &error))
    }

    /// Whether an object is here.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the objects cannot be read.
    pub fn has_object(&self, id: ObjectId) -> Result<bool, Error> {
        use gix::objs::Exists;
        Ok(self.objects()?.exists(&id))
    }

    /// Whether an object is here that is no commit: nothing of the bus's is at one.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the objects cannot be read.
    pub fn is_no_commit(&self, id: ObjectId) -> Result<bool, Error> {
        use gix::objs::FindHeader;
        let header = self.objects()?.try_header(&id).ok().flatten();
        Ok(header.is_some_and(|header| header.kind != gix::objs::Kind::Commit))
    }

    /// Puts a ref to `id`, wherever it is and whatever it says. The caller holds the clone's lock,
    /// and nobody else writes it.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the ref cannot be written.
    pub fn put(&self, name: &RefName, id: ObjectId) -> Result<(), Error> {
        if self.id_of(name)? == Some(id) {
            return Ok(());
        }
        let lock = self.lock_ref(name)?;
        commit(lock, id).map_err(|error| store("write", name.as_str(), &error))
    }

    /// The refs below `prefix` whose objects are not here, as a power loss or a careless prune
    /// leaves them: they break the user's own `git fetch`.
    ///
    /// # Errors
    ///
    /// As [`Repository::names_below`].
    pub fn broken_below(&self, prefix: &str) -> Result<Vec<RefName>, Error> {
        let mut broken = Vec::new();
        for name in self
            .names_below(prefix)?
            .iter()
            .filter_map(|name| RefName::parse(&format!("{prefix}{name}")))
        {
            if !self.id_of(&name)?.map_or(Ok(false), |id| self.has_object(id))? {
                broken.push(name);
            }
        }
        Ok(broken)
    }

    /// Removes those of these refs that are at what is expected.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if they cannot be removed.
    pub fn remove(&self, refs: &[(RefName, ObjectId)]) -> Result<(), Error> {
        let mut there = Vec::new();
        for (name, expected) in refs {
            if self.id_of(name)? == Some(*expected) {
                there.push((
                    name.clone(),
                    PreviousValue::MustExistAndMatch(Target::Object(*expected)),
                ));
            }
        }
        if there.is_empty() { Ok(()) } else { self.delete_refs(there) }
    }

    /// Whether the chain that ends at `tip` has `wanted` in it. Only first parents are followed.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the system refuses to read.
    pub fn descends(&self, tip: ObjectId, wanted: ObjectId) -> Result<bool, Error> {
        let mut next = Some(tip);
        while let Some(id) = next {
            if id == wanted {
                return Ok(true);
            }
            next = self.link(id)?.ok().and_then(|link| link.parent);
        }
        Ok(false)
    }
}

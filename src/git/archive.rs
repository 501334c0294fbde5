//! The archive: the last states of claims that were archived, in one ref (docs/design.md, section
//! 3).
//!
//! A chain of commits, all of them on one root that every clone makes alike. The tree of each has a
//! folder for the first two digits of the object id of a task's name as a blob, and in it the task,
//! in upper case, as a link to its last commit. So a look costs the same however many tasks there
//! are. The commit that puts a claim away has the claim's commit for a parent, which keeps its
//! chain.

use std::collections::BTreeMap;

use gix::objs::tree::{Entry, EntryKind};
use gix::objs::{CommitRef, Find, Kind, Tree, TreeRef, WriteTo as _};

use super::error::store;
use super::{Error, ObjectId, Repository};
use crate::record::{AgentId, TaskId, Timestamp};

/// The archive at one commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Archive {
    /// The commit.
    pub id: ObjectId,
    tree: ObjectId,
}

impl Repository {
    /// The commit that every archive begins with: it has nothing in it.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if it cannot be written.
    pub fn archive_root(&self) -> Result<ObjectId, Error> {
        Ok(self.write_link(None, &keeper(), Timestamp::from_unix(0), "archive", b"")?.id)
    }

    /// The archive at the commit `id`.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if it cannot be read, or is none.
    pub fn archive(&self, id: ObjectId) -> Result<Archive, Error> {
        let mut buffer = Vec::new();
        let commit = self.object(id, &mut buffer)?;
        let commit = CommitRef::from_bytes(commit, gix::hash::Kind::Sha1);
        let commit = commit.map_err(|error| store("read", "the archive", &error))?;
        if !commit.message.starts_with(b"archive") {
            let what = format!("the commit {id} is no archive");
            return Err(Error::Store {
                verb: "read",
                name: "the archive".to_owned(),
                what,
                kind: None,
            });
        }
        Ok(Archive { id, tree: commit.tree() })
    }

    /// Whether `id` is an archive that can be read: all of them begin alike.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the root cannot be written, or the system refuses to read.
    pub fn is_archive(&self, id: ObjectId) -> Result<bool, Error> {
        let is_ours = self.descends(id, self.archive_root()?)?;
        Ok(is_ours && self.archive(id).is_ok_and(|archive| self.all_archived(&archive).is_ok()))
    }

    /// The last state of `task` that is in the archive.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if a folder of it cannot be read.
    pub fn archived(&self, archive: &Archive, task: &TaskId) -> Result<Option<ObjectId>, Error> {
        let folders = self.entries(archive.tree)?;
        // Version 0.1 kept other spellings of a number apart.
        for name in [task.key()].into_iter().chain(task.other_keys()) {
            if let Some(folder) = folders.get(&folder_of(&name)?)
                && let Some(state) = self.entries(*folder)?.remove(&name)
            {
                return Ok(Some(state));
            }
        }
        Ok(None)
    }

    /// All tasks of the archive, in upper case, with their last states.
    ///
    /// # Errors
    ///
    /// As [`Repository::archived`].
    pub fn all_archived(&self, archive: &Archive) -> Result<BTreeMap<String, ObjectId>, Error> {
        let mut all = BTreeMap::new();
        for folder in self.entries(archive.tree)?.into_values() {
            all.extend(self.entries(folder)?);
        }
        Ok(all)
    }

    /// The archive that follows `before` with these tasks in it; no ref points to it yet. `merged`
    /// is another archive that has them, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if an object cannot be read or written.
    pub fn archive_with(
        &self,
        before: &Archive,
        tasks: &BTreeMap<TaskId, ObjectId>,
        merged: Option<ObjectId>,
        by: &AgentId,
        now: Timestamp,
    ) -> Result<ObjectId, Error> {
        let mut folders = self.entries(before.tree)?;
        let mut changed: BTreeMap<String, BTreeMap<String, ObjectId>> = BTreeMap::new();
        for (task, state) in tasks {
            let name = task.key();
            changed.entry(folder_of(&name)?).or_default().insert(name, *state);
        }
        for (folder, entries) in changed {
            let mut all = folders
                .get(&folder)
                .map_or_else(|| Ok(BTreeMap::new()), |tree| self.entries(*tree))?;
            all.extend(entries);
            folders.insert(folder, self.write_tree(&all, EntryKind::Commit)?);
        }
        let tree = self.write_tree(&folders, EntryKind::Tree)?;
        let parents =
            [before.id].into_iter().chain(merged).chain(tasks.values().copied()).collect();
        let count = tasks.len();
        let subject = format!("archive {count} claims by {by}\n");
        self.write_commit(tree, parents, by.as_str(), now, subject.into_bytes())
    }

    /// The entries of a tree, which has folders or commits and nothing else.
    fn entries(&self, tree: ObjectId) -> Result<BTreeMap<String, ObjectId>, Error> {
        let mut buffer = Vec::new();
        if tree.is_empty_tree() {
            return Ok(BTreeMap::new());
        }
        let data = self.object(tree, &mut buffer)?;
        let read = TreeRef::from_bytes(data, gix::hash::Kind::Sha1)
            .map_err(|error| store("read", "the archive", &error))?;
        let entries =
            read.entries.iter().filter(|entry| entry.mode.is_tree() || entry.mode.is_commit());
        Ok(entries.map(|entry| (entry.filename.to_string(), entry.oid.to_owned())).collect())
    }

    fn object<'a>(&self, id: ObjectId, buffer: &'a mut Vec<u8>) -> Result<&'a [u8], Error> {
        let found = self.objects()?.try_find(&id, buffer);
        let missing = |what: String| Error::Store {
            verb: "read",
            name: "the archive".to_owned(),
            what,
            kind: None,
        };
        let object = found.map_err(|error| missing(error.to_string()))?;
        object
            .map(|object| object.data)
            .ok_or_else(|| missing(format!("the object {id} is missing")))
    }

    fn write_tree(
        &self,
        entries: &BTreeMap<String, ObjectId>,
        kind: EntryKind,
    ) -> Result<ObjectId, Error> {
        let entry = |(name, id): (&String, &ObjectId)| Entry {
            mode: kind.into(),
            filename: name.as_str().into(),
            oid: *id,
        };
        let tree = Tree { entries: entries.iter().map(entry).collect() };
        let mut bytes = Vec::new();
        tree.write_to(&mut bytes).map_err(|error| store("write", "the archive", &error))?;
        self.write_object(Kind::Tree, &bytes, "the archive")
    }
}

/// The folder of a task.
fn folder_of(name: &str) -> Result<String, Error> {
    let id = gix::objs::compute_hash(gix::hash::Kind::Sha1, gix::objs::Kind::Blob, name.as_bytes());
    Ok(id.map_err(|error| store("name", name, &error))?.to_hex_with_len(2).to_string())
}

/// Who makes what every clone makes alike.
fn keeper() -> AgentId {
    AgentId::new("bus").expect("it is a good id")
}

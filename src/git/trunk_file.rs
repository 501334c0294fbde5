//! Single files of commits, without opening the history: of HEAD, and of the remote's default
//! branch as this clone last fetched it.

use std::path::Path;

use gix::objs::FindExt;
use gix::refs::Target;

use super::index::Found;
use super::{Error, ItemKind, ObjectId, Repository, TreeItem, index};

/// The name of a file of a commit, and its bytes or why they cannot be had.
pub type FileIn = (String, Result<Vec<u8>, String>);

impl Repository {
    /// The bytes of the file at `path` on the branch that the remote `origin` calls its default;
    /// none where it has no such file, or this clone knows no such branch.
    #[must_use]
    pub fn file_on_remote_trunk(&self, path: &str) -> Option<Vec<u8>> {
        let commit = self.remote_trunk()?;
        self.read_blob(self.blob_at(commit, Path::new(path))?)
    }

    /// The commit of the branch that work is merged into: the remote's default branch as this clone
    /// last fetched it, else `main` or `master`, else HEAD.
    #[must_use]
    pub fn target_commit(&self) -> Option<ObjectId> {
        let local = || ["main", "master"].into_iter().find_map(|name| self.branch_tip(name));
        self.remote_trunk().or_else(local).or_else(|| self.head())
    }

    /// The bytes of the file at `path` on that branch; `None` if it has no such file.
    #[must_use]
    pub fn target_file(&self, path: &str) -> Option<Vec<u8>> {
        self.read_blob(self.blob_at(self.target_commit()?, Path::new(path))?)
    }

    /// The names of the files in the folder `name` at the root of that branch; none if it has no
    /// such folder.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] if an object is missing, as in a partial clone, or cannot be read;
    /// [`Error::Store`] if the system refuses.
    pub fn target_names(&self, name: &str) -> Result<Vec<String>, Error> {
        let Some(target) = self.target_commit() else { return Ok(Vec::new()) };
        let damaged =
            |what| Error::Damaged { name: format!("{}:{name}", target.to_hex_with_len(10)), what };
        let root = self.tree_of(target)?.map_err(damaged)?;
        let items = self.list_tree(root)?.map_err(damaged)?;
        let is_folder = |item: &TreeItem| item.kind == ItemKind::Folder && item.name == name;
        let Some(folder) = items.into_iter().find(is_folder) else { return Ok(Vec::new()) };
        let items = self.list_tree(folder.id)?.map_err(damaged)?;
        let files = items.into_iter().filter(|item| item.kind == ItemKind::File);
        Ok(files.map(|item| item.name).collect())
    }

    /// Whether there is anything at `path` on that branch.
    #[must_use]
    pub fn target_has(&self, path: &str) -> bool {
        self.target_commit().is_some_and(|target| self.blob_at(target, Path::new(path)).is_some())
    }

    /// Whether the commit that HEAD is at has anything at `path`.
    #[must_use]
    pub fn head_has(&self, path: &str) -> bool {
        self.head().is_some_and(|head| self.blob_at(head, Path::new(path)).is_some())
    }

    /// The files of the folder at `path` in a commit, by name, with their bytes, or why they cannot
    /// be had: one is missing, or has more than `limit` bytes. Folders in it are left out.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] if the folder cannot be read; [`Error::Store`] if the system refuses.
    pub fn files_in(
        &self,
        commit: ObjectId,
        path: &str,
        limit: usize,
    ) -> Result<Vec<FileIn>, Error> {
        let Some(folder) = self.blob_at(commit, Path::new(path)) else { return Ok(Vec::new()) };
        let damaged =
            |what| Error::Damaged { name: format!("{}:{path}", commit.to_hex_with_len(10)), what };
        let items = self.list_tree(folder)?.map_err(damaged)?;
        let files = items.into_iter().filter(|item| item.kind == ItemKind::File);
        files.map(|item| Ok((item.name, self.blob(item.id, limit)?))).collect()
    }

    /// Whether this worktree's index has the file at `path`; so it counts if the index cannot be
    /// read.
    #[must_use]
    pub fn may_be_indexed(&self, path: &Path) -> bool {
        let Ok(path) = gix::path::into_bstr(path) else { return true };
        match index::find(&self.git_dir().join("index"), path.as_ref()) {
            Ok(Found::Yes) | Err(_) => true,
            Ok(Found::No) => false,
            Ok(Found::Unknown) => {
                self.history().map_or(true, |history| history.has_indexed(path.as_ref()))
            }
        }
    }

    /// The bytes of the file at `path` in the commit that HEAD is at, or `None` if it has no such
    /// file.
    #[must_use]
    pub fn committed_file(&self, path: &Path) -> Option<Vec<u8>> {
        self.read_blob(self.blob_at(self.head()?, path)?)
    }

    /// The blob at `path` in a commit, or `None` if it has none, or cannot be read.
    #[must_use]
    pub fn blob_at(&self, commit: ObjectId, path: &Path) -> Option<ObjectId> {
        let objects = self.objects().ok()?;
        let (mut commit_buffer, mut tree_buffer, mut buffer) = (Vec::new(), Vec::new(), Vec::new());
        let tree = objects.find_commit_iter(&commit, &mut commit_buffer).ok()?.tree_id().ok()?;
        let entries = objects.find_tree_iter(&tree, &mut tree_buffer).ok()?;
        entries.lookup_entry_by_path(objects, &mut buffer, path).ok()?.map(|entry| entry.oid)
    }

    fn read_blob(&self, id: ObjectId) -> Option<Vec<u8>> {
        let mut buffer = Vec::new();
        self.objects().ok()?.find_blob(&id, &mut buffer).ok()?;
        Some(buffer)
    }

    fn remote_trunk(&self) -> Option<ObjectId> {
        let target = |name: &str| Some(self.refs.try_find(name).ok()??.target);
        let named = match target("refs/remotes/origin/HEAD") {
            Some(Target::Symbolic(name)) => target(&name.as_bstr().to_string()),
            other => other,
        };
        let usual = || {
            ["refs/remotes/origin/main", "refs/remotes/origin/master"].into_iter().find_map(target)
        };
        named.or_else(usual)?.try_into_id().ok()
    }
}

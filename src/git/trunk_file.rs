//! Single files of commits, without opening the history: of HEAD, and of the remote's default branch as this clone last fetched it.

use std::path::Path;

use gix::objs::FindExt;
use gix::refs::Target;

use super::{ObjectId, Repository};

impl Repository {
    /// The bytes of the file at `path` on the branch that the remote `origin` calls its default; none where it has no such
    /// file, or this clone knows no such branch.
    #[must_use]
    pub fn file_on_remote_trunk(&self, path: &str) -> Option<Vec<u8>> {
        let commit = self.remote_trunk()?;
        self.read_blob(self.blob_at(commit, Path::new(path))?)
    }

    /// The bytes of the file at `path` in the commit that HEAD is at; none where it has no such file.
    #[must_use]
    pub fn committed_file(&self, path: &Path) -> Option<Vec<u8>> {
        self.read_blob(self.blob_at(self.head()?, path)?)
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
        let usual = || ["refs/remotes/origin/main", "refs/remotes/origin/master"].into_iter().find_map(target);
        named.or_else(usual)?.try_into_id().ok()
    }
}

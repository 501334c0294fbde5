//! One file of the remote's default branch, as this clone last fetched it, without opening the history.

use gix::objs::{CommitRef, Find, FindExt, TreeRefIter};
use gix::refs::Target;

use super::{ObjectId, Repository};

impl Repository {
    /// The bytes of the file at `path` on the branch that the remote `origin` calls its default; none where it has no such
    /// file, or this clone knows no such branch.
    #[must_use]
    pub fn file_on_remote_trunk(&self, path: &str) -> Option<Vec<u8>> {
        let commit = self.remote_trunk()?;
        let objects = self.objects().ok()?;
        let mut buffer = Vec::new();
        let commit = objects.try_find(&commit, &mut buffer).ok()??;
        let mut found = CommitRef::from_bytes(commit.data, gix::hash::Kind::Sha1).ok()?.tree();
        for name in path.split('/') {
            let mut buffer = Vec::new();
            let tree: TreeRefIter<'_> = objects.find_tree_iter(&found, &mut buffer).ok()?;
            found = tree.filter_map(Result::ok).find(|entry| entry.filename == name)?.oid.to_owned();
        }
        let blob = objects.find_blob(&found, &mut buffer).ok()?;
        Some(blob.data.to_vec())
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

//! Which lines of a file the commits have that were checked out lately.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use gix::objs::FindExt;

use super::{ObjectId, Repository};

/// How many of the last entries of a reflog are looked at.
const RECENT: usize = 6;

impl Repository {
    /// Takes those of `lines` out that the file at `path` has in a commit that HEAD was at lately, or in a stash: git keeps
    /// them. A commit that cannot be read keeps none.
    pub fn forget_committed(&self, path: &Path, lines: &mut Vec<String>) {
        let mut seen = HashSet::new();
        for commit in self.recent_commits() {
            if lines.is_empty() {
                return;
            }
            let Some(blob) = self.blob_at(commit, path).filter(|blob| seen.insert(*blob)) else { continue };
            let mut buffer = Vec::new();
            let text = self.objects().ok().and_then(|objects| objects.find_blob(&blob, &mut buffer).ok().map(|blob| blob.data));
            let has: HashSet<&[u8]> = text.unwrap_or_default().split(|byte| *byte == b'\n').collect();
            lines.retain(|line| !has.contains(line.as_bytes()));
        }
    }

    /// The commits that HEAD was at lately and the stashes, newest first.
    fn recent_commits(&self) -> Vec<ObjectId> {
        let logs = [self.root_log("HEAD"), self.common_dir().join("logs/refs/stash")];
        let mut commits: Vec<ObjectId> = self.head().into_iter().collect();
        for log in logs {
            let text = fs::read(log).unwrap_or_default();
            // An entry begins with the commit before and the commit after (gitrepository-layout(5), `logs`).
            let ids = |line: &[u8]| line.splitn(3, |byte| *byte == b' ').take(2).map(<[u8]>::to_vec).collect::<Vec<_>>();
            let entries = text.rsplit(|byte| *byte == b'\n').filter(|line| !line.is_empty()).take(RECENT);
            commits.extend(entries.flat_map(|line| ids(line).into_iter().rev()).filter_map(|id| ObjectId::from_hex(&id).ok()));
        }
        let mut seen = HashSet::new();
        commits.retain(|commit| !commit.is_null() && seen.insert(*commit));
        commits
    }

    /// The blob at `path` in a commit.
    fn blob_at(&self, commit: ObjectId, path: &Path) -> Option<ObjectId> {
        let objects = self.objects().ok()?;
        let (mut commit_buffer, mut tree_buffer, mut buffer) = (Vec::new(), Vec::new(), Vec::new());
        let tree = objects.find_commit_iter(&commit, &mut commit_buffer).ok()?.tree_id().ok()?;
        let entries = objects.find_tree_iter(&tree, &mut tree_buffer).ok()?;
        entries.lookup_entry_by_path(objects, &mut buffer, path).ok()?.map(|entry| entry.oid)
    }
}

//! Which lines of a file the commits have that were checked out lately.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use gix::objs::FindExt;

use super::{ObjectId, Repository};

/// Which entries of a reflog are looked at: the last few, and those that are not older than this than the last, in seconds.
const RECENT: i64 = 300;
const FEW: usize = 6;

/// How many entries are looked at at most.
const MAX_ENTRIES: usize = 300;

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
            let mut entries = text.rsplit(|byte| *byte == b'\n').filter_map(entry).take(MAX_ENTRIES).enumerate().peekable();
            let last = entries.peek().map_or(0, |(_, (_, time))| *time);
            let recent = entries.take_while(|(number, (_, time))| *number < FEW || last - time <= RECENT);
            commits.extend(recent.flat_map(|(_, (ids, _))| ids));
        }
        let mut seen = HashSet::new();
        commits.retain(|commit| !commit.is_null() && seen.insert(*commit));
        commits
    }

    /// The blob at `path` in a commit.
    pub(super) fn blob_at(&self, commit: ObjectId, path: &Path) -> Option<ObjectId> {
        let objects = self.objects().ok()?;
        let (mut commit_buffer, mut tree_buffer, mut buffer) = (Vec::new(), Vec::new(), Vec::new());
        let tree = objects.find_commit_iter(&commit, &mut commit_buffer).ok()?.tree_id().ok()?;
        let entries = objects.find_tree_iter(&tree, &mut tree_buffer).ok()?;
        entries.lookup_entry_by_path(objects, &mut buffer, path).ok()?.map(|entry| entry.oid)
    }
}

/// The commits after and before, and the time in seconds, of an entry of a reflog: `before after name <mail> time zone<tab>why`
/// (gitrepository-layout(5), `logs`).
fn entry(line: &[u8]) -> Option<([ObjectId; 2], i64)> {
    let line = std::str::from_utf8(line).ok()?;
    let (before, rest) = line.split_once(' ')?;
    let (after, rest) = rest.split_once(' ')?;
    let time = rest.split('\t').next()?.rsplit(' ').nth(1)?.parse().ok()?;
    Some(([ObjectId::from_hex(after.as_bytes()).ok()?, ObjectId::from_hex(before.as_bytes()).ok()?], time))
}

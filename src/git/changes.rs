//! Which paths are changed: in the index, in the worktree, or since a branch was left.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::child::git_paths;
use super::{Error, ObjectId, Repository, blob_id};

/// The tree without files, which git knows without an object.
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/// What of the user's configuration would else change what is listed. Without renames a file that
/// was moved is one that went and one that came: both names are told.
const PLAIN: [&str; 5] =
    ["-z", "--name-only", "--no-renames", "--no-ext-diff", "--ignore-submodules=dirty"];

/// The command that compares with the worktree, by contents where times alone differ.
const WORKTREE: [&str; 4] = ["-c", "diff.autoRefreshIndex=true", "diff", "--no-relative"];

/// Which changes are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangesOf<'a> {
    /// The index against HEAD: what `git commit` would commit.
    Staged,
    /// The same and the worktree against the index, with files that git does not know and does not
    /// ignore.
    Worktree,
    /// HEAD against where its history left that of a revision.
    Since(&'a str),
}

impl Repository {
    /// The files of this worktree that no commit has as they are: changed, staged or new, but not
    /// ignored.
    ///
    /// # Errors
    ///
    /// [`Error::NoGit`] or [`Error::Store`] if git does not say.
    pub fn uncommitted(&self) -> Result<Vec<Vec<u8>>, Error> {
        let status = ["status", "--porcelain", "-z", "--no-renames", "--untracked-files=all"];
        let entries = git_paths(self.root(), None, &status)?;
        // Two letters, a blank, the path (git-status(1), "Short Format").
        Ok(entries.into_iter().filter_map(|entry| Some(entry.get(3..)?.to_vec())).collect())
    }

    /// The changed paths as git's bytes, each once, in order: those that came, went or are not the
    /// same, and of a submodule its own.
    ///
    /// While a merge waits for its commit, what is the same as in one of the commits that are
    /// merged is not changed: it was only carried in. For the same reason a branch that has merged
    /// the revision has changed what it has of its own.
    ///
    /// # Errors
    ///
    /// [`Error::NoRevision`] or [`Error::TooShallow`] for the revision; [`Error::NoGit`] or
    /// [`Error::Store`] if git does not say.
    pub fn changed_paths(&self, of: ChangesOf<'_>) -> Result<Vec<Vec<u8>>, Error> {
        let paths = match of {
            ChangesOf::Staged => self.staged()?,
            ChangesOf::Worktree => {
                let mut paths = self.staged()?;
                paths.extend(self.listed(&WORKTREE, &[])?);
                paths.extend(self.untracked()?);
                paths
            }
            ChangesOf::Since(revision) => self.since(revision)?,
        };
        Ok(paths.into_iter().collect())
    }

    /// What the worktree has otherwise than each of `commits`, in the same form, with files that
    /// git does not know and does not ignore.
    ///
    /// # Errors
    ///
    /// [`Error::NoGit`] or [`Error::Store`] if git does not say.
    pub fn changed_from_all(&self, commits: &[ObjectId]) -> Result<Vec<Vec<u8>>, Error> {
        let untracked: Vec<Vec<u8>> = self.untracked()?.collect();
        let differs = |commit: ObjectId| {
            let mut paths: BTreeSet<Vec<u8>> =
                self.listed(&WORKTREE, &[&commit.to_string()])?.into_iter().collect();
            // To git a file that its index does not have has gone, whatever stands there.
            for path in &untracked {
                match self.is_as_in(commit, path) {
                    true => drop(paths.remove(path)),
                    false => drop(paths.insert(path.clone())),
                }
            }
            Ok(paths)
        };
        Ok(unlike_all(commits.iter().copied(), differs)?.into_iter().collect())
    }

    /// Whether the worktree has the very bytes of a commit at a path.
    fn is_as_in(&self, commit: ObjectId, path: &[u8]) -> bool {
        let Ok(path) = gix::path::from_byte_slice(path) else { return false };
        let place = self.root().join(path);
        let bytes = match place.read_link() {
            Ok(target) => Some(target.as_os_str().as_encoded_bytes().to_vec()),
            Err(_) => std::fs::read(place).ok(),
        };
        bytes
            .and_then(|bytes| blob_id(&bytes))
            .is_some_and(|id| self.blob_at(commit, path) == Some(id))
    }

    fn untracked(&self) -> Result<impl Iterator<Item = Vec<u8>>, Error> {
        let paths =
            git_paths(self.root(), None, &["ls-files", "-z", "--others", "--exclude-standard"])?;
        Ok(paths.into_iter().map(without_slash))
    }

    fn staged(&self) -> Result<BTreeSet<Vec<u8>>, Error> {
        let history = self.history()?;
        let head = history.head().map_or_else(|| EMPTY_TREE.to_owned(), |head| head.to_string());
        let merged = history.merging().into_iter().map(|commit| commit.to_string());
        let differs = |tree: String| self.listed(&["diff-index", "--cached"], &[&tree]);
        unlike_all(std::iter::once(head).chain(merged), differs)
    }

    fn since(&self, revision: &str) -> Result<BTreeSet<Vec<u8>>, Error> {
        let history = self.history()?;
        let base = history.commit(revision)?;
        let Some(head) = history.head() else { return Ok(BTreeSet::new()) };
        let bases = history.merge_bases(head, &[base])?;
        let bases = if bases.is_empty() {
            vec![EMPTY_TREE.to_owned()]
        } else {
            bases.iter().map(ToString::to_string).collect()
        };
        let head = head.to_string();
        unlike_all(bases.into_iter(), |tree: String| {
            self.listed(&["diff-tree", "-r"], &[&tree, &head])
        })
    }

    fn listed(&self, command: &[&str], trees: &[&str]) -> Result<Vec<Vec<u8>>, Error> {
        let arguments: Vec<&str> = command
            .iter()
            .copied()
            .chain(PLAIN)
            .chain(trees.iter().copied())
            .chain(["--"])
            .collect();
        git_paths(self.root(), self.commits_index().as_deref(), &arguments)
    }

    /// The index that a `git commit -a` or `git commit PATH` makes for itself, and names to its
    /// hooks.
    ///
    /// One of another repository is not heeded: `bus -C DIR` may be run in a hook.
    fn commits_index(&self) -> Option<PathBuf> {
        let named = std::env::var_os("GIT_INDEX_FILE").filter(|named| !named.is_empty())?;
        let path = std::path::absolute(Path::new(&named)).ok()?;
        let folder = std::fs::canonicalize(path.parent()?).ok()?;
        (folder == self.git_dir()).then(|| folder.join(path.file_name().unwrap_or_default()))
    }
}

/// What differs from every one of `trees`.
fn unlike_all<T, P: IntoIterator<Item = Vec<u8>>>(
    trees: impl Iterator<Item = T>,
    differs: impl Fn(T) -> Result<P, Error>,
) -> Result<BTreeSet<Vec<u8>>, Error> {
    let mut unlike: Option<BTreeSet<Vec<u8>>> = None;
    for tree in trees {
        let paths = differs(tree)?.into_iter();
        unlike = Some(match unlike {
            None => paths.collect(),
            Some(before) => paths.filter(|path| before.contains(path)).collect(),
        });
    }
    Ok(unlike.unwrap_or_default())
}

/// git lists a repository within the worktree that is no submodule yet as a folder.
fn without_slash(mut path: Vec<u8>) -> Vec<u8> {
    if path.last() == Some(&b'/') {
        path.pop();
    }
    path
}

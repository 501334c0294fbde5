//! Finds the repository around a folder, and its worktrees.

use std::fs;
use std::path::{Path, PathBuf};

use gix::sec::Trust;

use super::child::git_trusts;
use super::error::story;
use super::{Error, ObjectId};

/// One checkout of a clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worktree {
    /// Its name among the linked worktrees; none for the main one.
    pub name: Option<String>,
    /// Its root.
    pub root: PathBuf,
}

/// The repository around a folder, as seen from one worktree.
#[derive(Debug)]
pub struct Repository {
    pub(super) inner: gix::Repository,
    root: PathBuf,
    git_dir: PathBuf,
    common_dir: PathBuf,
}

impl Repository {
    /// Finds the repository that `start` lies in. `GIT_DIR` and its kin are not heeded (design, section 7).
    ///
    /// # Errors
    ///
    /// [`Error::NotARepository`], [`Error::Bare`], [`Error::BrokenGitDir`], [`Error::OtherOwner`] or [`Error::Unsupported`]:
    /// what stands there is nothing that `bus` can use.
    pub fn discover(start: &Path) -> Result<Self, Error> {
        let missing = || Error::NotARepository { path: start.to_owned() };
        let start = fs::canonicalize(start).map_err(|_| missing())?;
        let found = gix::discover::upwards(&start);
        if let Some(path) = dead_link(&start, found.as_ref().ok().and_then(|(found, _)| work_dir(found))) {
            return Err(Error::BrokenGitDir { path });
        }
        let (found, trust) = found.map_err(|_| missing())?;
        if trust != Trust::Full && !git_trusts(&start)? {
            return Err(Error::OtherOwner { path: work_dir(&found).unwrap_or(&start).to_owned() });
        }
        let (git_dir, _) = found.into_repository_and_work_tree_directories();
        Self::open(&git_dir)
    }

    fn open(git_dir: &Path) -> Result<Self, Error> {
        let unsupported = |what: String| Error::Unsupported { path: git_dir.to_owned(), what };
        let options = gix::open::Options::isolated().with(Trust::Full);
        let mut inner = gix::open_opts(git_dir, options).map_err(|error| unsupported(story(&error)))?;
        // gix would take the files of a reftable repository for an empty one.
        if let Some(storage) = inner.config_snapshot().string("extensions.refStorage").filter(|storage| *storage != "files") {
            return Err(unsupported(format!("its refs are stored as `{storage}`, not as files")));
        }
        // Ours have no reflog: the chain of commits is the log, and a reflog wants the user's name.
        inner.refs.write_reflog = gix::refs::store::WriteReflog::Disable;
        let whole = |path: &Path| fs::canonicalize(path).map_err(|error| unsupported(error.to_string()));
        let root = whole(inner.workdir().ok_or_else(|| Error::Bare { path: git_dir.to_owned() })?)?;
        let (git_dir, common_dir) = (whole(inner.git_dir())?, whole(inner.common_dir())?);
        Ok(Self { inner, root, git_dir, common_dir })
    }

    /// The root of this worktree.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder that all worktrees of the clone share.
    #[must_use]
    pub fn common_dir(&self) -> &Path {
        &self.common_dir
    }

    /// The lock that git holds while it changes this worktree's files.
    #[must_use]
    pub fn index_lock(&self) -> PathBuf {
        self.git_dir.join("index.lock")
    }

    /// The name of this worktree among the linked ones; none for the main one.
    #[must_use]
    pub fn worktree_name(&self) -> Option<String> {
        let linked = self.git_dir != self.common_dir;
        self.git_dir.file_name().filter(|_| linked).map(|name| name.to_string_lossy().into_owned())
    }

    /// The commit that HEAD is at; none on a branch without commits.
    #[must_use]
    pub fn head(&self) -> Option<ObjectId> {
        self.inner.head_id().ok().map(gix::Id::detach)
    }

    /// The branch that is checked out; none on a detached HEAD.
    #[must_use]
    pub fn branch(&self) -> Option<String> {
        let name = self.inner.head_name().ok().flatten()?;
        Some(name.shorten().to_string())
    }

    /// Whether git would take `name` for the name of a branch.
    #[must_use]
    pub fn is_branch_name(name: &str) -> bool {
        gix::validate::reference::branch_name(name.into()).is_ok()
    }

    /// All worktrees of the clone whose folders are there, this one first.
    #[must_use]
    pub fn worktrees(&self) -> Vec<Worktree> {
        let mut worktrees = vec![Worktree { name: self.worktree_name(), root: self.root.clone() }];
        let mut add = |name: Option<String>, root: PathBuf| {
            if let Some(root) = fs::canonicalize(root).ok().filter(|root| *root != self.root) {
                worktrees.push(Worktree { name, root });
            }
        };
        self.main_root().into_iter().for_each(|root| add(None, root));
        for proxy in self.inner.worktrees().unwrap_or_default() {
            if let (Ok(id), Ok(root)) = (proxy.id(), proxy.base()) {
                add(Some(id.to_string()), root);
            }
        }
        worktrees
    }

    /// The root of the clone's main worktree; none where the common dir is bare.
    fn main_root(&self) -> Option<PathBuf> {
        let config = self.inner.config_snapshot();
        if config.boolean("core.bare") == Some(true) {
            return None;
        }
        match config.string("core.worktree") {
            Some(path) => Some(self.common_dir.join(path.to_string())),
            None => self.common_dir.parent().filter(|_| self.common_dir.ends_with(".git")).map(Path::to_owned),
        }
    }
}

fn work_dir(found: &gix::discover::repository::Path) -> Option<&Path> {
    use gix::discover::repository::Path as Found;
    match found {
        Found::LinkedWorkTree { work_dir, .. } | Found::WorkTree(work_dir) => Some(work_dir),
        Found::Repository(_) => None,
    }
}

/// A `.git` file nearer to `start` than the repository that was found: git would stop at it, and so must we.
fn dead_link(start: &Path, found: Option<&Path>) -> Option<PathBuf> {
    let nearer = start.ancestors().take_while(|folder| found.is_none_or(|found| found != *folder));
    nearer.map(|folder| folder.join(".git")).find(|path| path.is_file())
}

//! Where the logs of other clones are kept, that a sync has fetched: each as if it were one more
//! worktree (docs/design.md, section 4).

use std::path::{Component, Path, PathBuf};
use std::{fmt, fs};

use serde_json::Value;

use super::Layout;
use crate::record::json::Object;
use crate::record::{CLONE, CloneId};

/// The field in which readers show the worktree that has a record; [`CLONE`] is that of another
/// clone.
const WORKTREE: &str = "worktree";

/// Where logs stand that belong to a clone: the folder of the other clones' logs, and this clone's
/// record.
#[derive(Clone, Debug, Default)]
pub struct Clones {
    others: Option<PathBuf>,
    record: Option<PathBuf>,
    worktrees: Vec<PathBuf>,
}

/// Where a line is from that this clone has not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// From another clone's log.
    Clone(CloneId),
    /// From a file of a branch, in the worktree that has this root.
    Worktree(PathBuf),
}

impl Elsewhere {
    /// The record `object` as readers show it: with the clone or the worktree that has it, if this
    /// clone has not written it. Whoever wrote the record has no say in that.
    #[must_use]
    pub fn mark(elsewhere: Option<&Self>, mut object: Object) -> Object {
        object.remove(CLONE);
        match elsewhere {
            None => None,
            Some(Self::Clone(clone)) => {
                object.insert(CLONE.to_owned(), Value::from(clone.as_str()))
            }
            Some(Self::Worktree(root)) => {
                object.insert(WORKTREE.to_owned(), Value::from(root.display().to_string()))
            }
        };
        object
    }

    /// Where it is, in words: `clone 1a2b`.
    #[must_use]
    pub fn words(&self) -> String {
        self.to_string().replacen('=', " ", 1)
    }

    /// Whether it is another clone's.
    #[must_use]
    pub const fn is_clone(&self) -> bool {
        matches!(self, Self::Clone(_))
    }
}

impl fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clone(clone) => write!(f, "{CLONE}={clone}"),
            Self::Worktree(root) => write!(f, "{WORKTREE}={}", root.display()),
        }
    }
}

impl Clones {
    /// Those below `others`, beside the record below `record`.
    #[must_use]
    pub const fn at(others: PathBuf, record: PathBuf) -> Self {
        Self { others: Some(others), record: Some(record), worktrees: Vec::new() }
    }

    /// The same, and the worktrees with these roots, whose files are read as records.
    #[must_use]
    pub fn with_worktrees(mut self, roots: impl Iterator<Item = PathBuf>) -> Self {
        self.worktrees = roots.collect();
        // Of worktrees that have the same line, the same one is named wherever one looks from.
        self.worktrees.sort_unstable();
        self
    }

    /// No clones, and no record.
    #[must_use]
    pub const fn none() -> Self {
        Self { others: None, record: None, worktrees: Vec::new() }
    }

    /// The folder of the other clones' logs.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.others.as_deref()
    }

    /// Whether the file at `path` is one of the record: what it says is this clone's own, whatever
    /// another clone's log says.
    #[must_use]
    pub fn is_own(&self, path: &Path) -> bool {
        self.record.as_ref().is_some_and(|record| path.starts_with(record))
    }

    /// Where the file at `path` is from: another clone, or a worktree; `None` if it is of this
    /// clone's record.
    #[must_use]
    pub fn of(&self, path: &Path) -> Option<Elsewhere> {
        let below = self.others.as_ref().and_then(|others| path.strip_prefix(others).ok());
        match below.and_then(|below| below.components().next()) {
            Some(Component::Normal(name)) => {
                name.to_str().and_then(CloneId::new).map(Elsewhere::Clone)
            }
            _ => self
                .worktree_of(path)
                .map(|index| Elsewhere::Worktree(self.worktrees[index].clone())),
        }
    }

    /// In which order files are asked for a line that several have: the record, what came with
    /// branches before, worktrees, other clones.
    #[must_use]
    pub fn rank(&self, path: &Path) -> usize {
        match self.of(path) {
            _ if self.is_own(path) => 0,
            None => 1,
            Some(Elsewhere::Worktree(_)) => 2 + self.worktree_of(path).unwrap_or(0),
            Some(Elsewhere::Clone(_)) => usize::MAX,
        }
    }

    fn worktree_of(&self, path: &Path) -> Option<usize> {
        self.worktrees.iter().position(|root| path.starts_with(root.join("_bus")))
    }

    /// The clones, by id, and their files.
    #[must_use]
    pub fn layouts(&self) -> Vec<(CloneId, Layout)> {
        let folder = self.others.iter().filter(|folder| !folder.is_symlink());
        let entries = folder.flat_map(fs::read_dir).flatten().flatten();
        let clone = |entry: fs::DirEntry| {
            let id = CloneId::new(entry.file_name().to_str()?)?;
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            is_folder.then(|| (id, Layout::new(entry.path())))
        };
        let mut clones: Vec<_> = entries.filter_map(clone).collect();
        clones.sort_by(|(one, _), (other, _)| one.cmp(other));
        clones
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_whose_file_it_is() {
        let clones =
            Clones::at(PathBuf::from("/r/.git/bus/clones"), PathBuf::from("/r/.git/bus/log/_bus"));
        let clones = clones.with_worktrees(["/r/wt", "/r"].map(PathBuf::from).into_iter());
        let of = |path: &str| clones.of(Path::new(path)).map(|elsewhere| elsewhere.to_string());
        assert_eq!(
            of("/r/.git/bus/clones/1a2b/_bus/events/x.jsonl").as_deref(),
            Some("clone=1a2b")
        );
        assert_eq!(of("/r/_bus/events/x.jsonl").as_deref(), Some("worktree=/r"));
        assert_eq!(of("/r/wt/_bus/messages/x.jsonl").as_deref(), Some("worktree=/r/wt"));
        for own in [
            "/r/.git/bus/log/_bus/events/x.jsonl",
            "/r/.git/bus/log/imported/main/_bus/events/x.jsonl",
            "/r/.git/bus/clones",
            "/r/.git/bus/clones/../x",
            "/r/.git/bus/clones/A/x",
        ] {
            assert_eq!(of(own), None, "{own}");
        }
        assert!(clones.is_own(Path::new("/r/.git/bus/log/_bus/events/x.jsonl")));
        assert!(!clones.is_own(Path::new("/r/.git/bus/log/imported/main/_bus/events/x.jsonl")));
        assert_eq!(Clones::none().of(Path::new("/r/.git/bus/clones/1a2b/x")), None);
    }
}

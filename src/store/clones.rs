//! Where the logs of other clones are kept, that a sync has fetched: each as if it were one more worktree (design, section 4).

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::Layout;
use crate::record::CloneId;

/// Where logs stand that belong to a clone: the folder of the other clones' logs, and this clone's record.
#[derive(Clone, Debug, Default)]
pub struct Clones {
    others: Option<PathBuf>,
    record: Option<PathBuf>,
}

impl Clones {
    /// Those below `others`, beside the record below `record`.
    #[must_use]
    pub const fn at(others: PathBuf, record: PathBuf) -> Self {
        Self { others: Some(others), record: Some(record) }
    }

    /// No clones, and no record.
    #[must_use]
    pub const fn none() -> Self {
        Self { others: None, record: None }
    }

    /// The folder of the other clones' logs.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.others.as_deref()
    }

    /// Whether the file at `path` is one of the record: what it says is this clone's own, whatever another clone's log says.
    #[must_use]
    pub fn is_own(&self, path: &Path) -> bool {
        self.record.as_ref().is_some_and(|record| path.starts_with(record))
    }

    /// The clone whose file stands at `path`; `None` if it is no copy of another clone's log.
    #[must_use]
    pub fn of(&self, path: &Path) -> Option<CloneId> {
        match path.strip_prefix(self.others.as_ref()?).ok()?.components().next()? {
            Component::Normal(name) => CloneId::new(name.to_str()?),
            _ => None,
        }
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
        let clones = Clones::at(PathBuf::from("/r/.git/bus/clones"), PathBuf::from("/r/.git/bus/log/_bus"));
        let of = |path: &str| clones.of(Path::new(path)).map(|id| id.to_string());
        assert_eq!(of("/r/.git/bus/clones/1a2b/_bus/events/x.jsonl").as_deref(), Some("1a2b"));
        for own in ["/r/_bus/events/x.jsonl", "/r/.git/bus/clones", "/r/.git/bus/clones/../x", "/r/.git/bus/clones/A/x"] {
            assert_eq!(of(own), None, "{own}");
        }
        assert!(clones.is_own(Path::new("/r/.git/bus/log/_bus/events/x.jsonl")));
        assert!(!clones.is_own(Path::new("/r/.git/bus/log/imported/main/_bus/events/x.jsonl")));
        assert_eq!(Clones::none().of(Path::new("/r/.git/bus/clones/1a2b/x")), None);
    }
}

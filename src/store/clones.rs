//! Where the logs of other clones are kept, that a sync has fetched: each as if it were one more worktree (design, section 4).

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::Layout;
use crate::record::CloneId;

/// The folder of the logs of other clones.
#[derive(Clone, Debug, Default)]
pub struct Clones(Option<PathBuf>);

impl Clones {
    /// Those below `folder`.
    #[must_use]
    pub const fn at(folder: PathBuf) -> Self {
        Self(Some(folder))
    }

    /// No clones.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.0.as_deref()
    }

    /// The clone whose file stands at `path`; none where it is this clone's own.
    #[must_use]
    pub fn of(&self, path: &Path) -> Option<CloneId> {
        match path.strip_prefix(self.0.as_ref()?).ok()?.components().next()? {
            Component::Normal(name) => CloneId::new(name.to_str()?),
            _ => None,
        }
    }

    /// The clones, by id, and their files.
    #[must_use]
    pub fn layouts(&self) -> Vec<(CloneId, Layout)> {
        let folder = self.0.iter().filter(|folder| !folder.is_symlink());
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
        let clones = Clones::at(PathBuf::from("/r/.git/bus/clones"));
        let of = |path: &str| clones.of(Path::new(path)).map(|id| id.to_string());
        assert_eq!(of("/r/.git/bus/clones/1a2b/_bus/events/x.jsonl").as_deref(), Some("1a2b"));
        for own in ["/r/_bus/events/x.jsonl", "/r/.git/bus/clones", "/r/.git/bus/clones/../x", "/r/.git/bus/clones/A/x"] {
            assert_eq!(of(own), None, "{own}");
        }
        assert_eq!(Clones::none().of(Path::new("/r/.git/bus/clones/1a2b/x")), None);
    }
}

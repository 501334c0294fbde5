//! Which file of the repository somebody means who names a path of this system: through links,
//! from a folder further down, or in another worktree of the clone.

use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use super::Workspace;
use crate::bus::Error;
use crate::store::{Error as StoreError, Verb};

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NamedPath {
    /// A file or folder of this clone, or one that could be made there, from the root of its
    /// worktree; empty for the root itself.
    Inside {
        /// Its name, as git has it.
        name: PathBuf,
        /// Whether it is in this worktree, not in another one.
        is_here: bool,
        /// What it leads to in the same worktree, if it is a link.
        target: Option<PathBuf>,
    },
    /// Nothing of any worktree of this clone.
    Outside,
}

/// What somebody who stands in `folder` calls `path`. Links on the way are followed, as the system
/// does; the names that do not exist yet go by their words.
///
/// # Errors
///
/// [`Error::Store`] if a folder on the way cannot be read.
pub(crate) fn named_path(ws: &Workspace, folder: &Path, path: &Path) -> Result<NamedPath, Error> {
    let whole = real(&folder.join(path))?;
    let mut roots: Vec<PathBuf> =
        ws.repo.worktrees().into_iter().map(|worktree| worktree.root).collect();
    // A worktree may be in a folder of another one.
    roots.sort_by_key(|root| std::cmp::Reverse(root.as_os_str().len()));
    let below = |path: &Path| {
        let root = roots.iter().find(|root| path.starts_with(root))?;
        let name = path.strip_prefix(root).ok()?.to_owned();
        Some((root, name))
    };
    let Some((root, name)) = below(&whole) else { return Ok(NamedPath::Outside) };
    let target = match fs::symlink_metadata(&whole) {
        Ok(metadata) if metadata.is_symlink() => {
            below(&followed(&whole)?).filter(|(there, _)| *there == root)
        }
        _ => None,
    };
    Ok(NamedPath::Inside {
        name,
        is_here: root == ws.repo.root(),
        target: target.map(|(_, name)| name),
    })
}

/// The path without links on the way to its last name.
fn real(path: &Path) -> Result<PathBuf, Error> {
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => Ok(followed(folder)?.join(name)),
        // It ends in `..`, or is the root of the system.
        _ => followed(path),
    }
}

/// The path with all links followed, as far as it exists; what is beyond goes by its words.
fn followed(path: &Path) -> Result<PathBuf, Error> {
    match fs::canonicalize(path) {
        Err(error) if is_absent(&error) => {}
        found => return Ok(found.map_err(StoreError::io(Verb::Read, path))?),
    }
    let Some(folder) = path.parent() else { return Ok(path.to_owned()) };
    let mut found = followed(folder)?;
    match path.components().next_back() {
        Some(Component::Normal(name)) => found.push(name),
        Some(Component::ParentDir) => drop(found.pop()),
        _ => {}
    }
    Ok(found)
}

/// Whether there is no such file, also because one of the folders is none.
fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_up_to_the_last_name_and_what_is_not_there_goes_by_its_words() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        std::os::unix::fs::symlink("a/b", root.join("link")).unwrap();
        for (path, to) in [
            ("a/b", "a/b"),
            ("a/../x/./y", "x/y"),
            ("link", "link"),
            ("link/x", "a/b/x"),
            // As the system has it, not as the words go.
            ("link/../x", "a/x"),
            ("link/..", "a"),
            ("no/such/../x", "no/x"),
            ("link/x/y/../z", "a/b/x/z"),
        ] {
            assert_eq!(real(&root.join(path)).unwrap(), root.join(to), "{path}");
        }
        assert_eq!(followed(&root.join("link")).unwrap(), root.join("a/b"));
    }
}

//! What is judged in a sparse worktree: its files, and those that it leaves out, as the index has
//! them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use tempfile::TempDir;
use walkdir::WalkDir;

use super::Error;
use super::files::ATTRIBUTES;
use crate::git::{History, LeftOut, Repository};
use crate::record::{PlanRecord, ROOTS};
use crate::store::{Error as StoreError, Place, Verb, replace_copy};

/// The files that are judged, below a folder.
pub(super) struct JudgedFiles {
    root: PathBuf,
    /// Goes with what was put together in it.
    _folder: Option<TempDir>,
}

impl JudgedFiles {
    /// Those of the worktree; if that is sparse, with those that it leaves out, in a folder of their
    /// own.
    ///
    /// # Errors
    ///
    /// [`Error::Git`] if the index, or an object that it names, cannot be read; [`Error::Store`] if
    /// the files cannot be put together.
    pub(super) fn of(repo: &Repository, history: &History) -> Result<Self, Error> {
        let is_of_bus =
            |path: &str| path == ATTRIBUTES || ROOTS.iter().any(|root| is_below(path, root));
        let left_out = history.left_out(is_of_bus)?;
        if left_out.is_empty() {
            return Ok(Self { root: repo.root().to_owned(), _folder: None });
        }
        let folder = TempDir::new()
            .map_err(|error| StoreError::io(Verb::Create, &std::env::temp_dir())(error))?;
        let root = folder.path().to_owned();
        let names = ROOTS.iter().chain([&ATTRIBUTES]);
        names.copied().try_for_each(|name| copy(repo.root(), &root, name))?;
        put(history, &root, left_out)?;
        // What plans name may be anywhere.
        let receipts = receipts(&root);
        receipts.iter().try_for_each(|name| copy(repo.root(), &root, name))?;
        let is_receipt = |path: &str| {
            receipts.contains(path)
                || path.ends_with('/') && receipts.iter().any(|name| name.starts_with(path))
        };
        put(history, &root, history.left_out(is_receipt)?)?;
        Ok(Self { root, _folder: Some(folder) })
    }

    /// The folder that they are below.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }
}

/// Writes the files that are left out, unless they are there all the same: then that is what the
/// next commit will have.
fn put(history: &History, root: &Path, left_out: Vec<LeftOut>) -> Result<(), Error> {
    for file in left_out {
        let place = root.join(&file.path);
        if place.symlink_metadata().is_ok() {
            continue;
        }
        let bytes = history.read(file.id)?;
        let folder = place.parent().unwrap_or(root);
        fs::create_dir_all(folder).map_err(StoreError::io(Verb::Create, folder))?;
        match file.is_link {
            true => link(&PathBuf::from(String::from_utf8_lossy(&bytes).into_owned()), &place)?,
            false => replace_copy(&Place::new(root, &file.path), &bytes)?,
        }
    }
    Ok(())
}

/// The files that the plans below `root` name as receipts, as far as these lead to no other place
/// and are not of the bus's folders.
fn receipts(root: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in WalkDir::new(root.join("_plans")).into_iter().flatten() {
        // A plan that cannot be read is a finding of its own.
        let bytes = fs::read(entry.path()).unwrap_or_default();
        let Ok(plan) = PlanRecord::parse(&bytes) else { continue };
        let of_steps = plan.steps.iter().flat_map(|step| &step.receipts.paths);
        names.extend(plan.receipts.paths.iter().chain(of_steps).cloned());
    }
    let is_plain = |name: &str| {
        let parts = Path::new(name).components();
        parts.into_iter().all(|part| matches!(part, Component::Normal(_)))
    };
    names.retain(|name| is_plain(name) && !ROOTS.iter().any(|root| is_below(name, root)));
    names
}

/// Whether `path` is in the folder `root`.
fn is_below(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'))
}

/// Copies the file or folder `name` of the worktree `from`, if there is one, with links as they are.
fn copy(from: &Path, to: &Path, name: &str) -> Result<(), Error> {
    if from.join(name).symlink_metadata().is_err() {
        return Ok(());
    }
    for entry in WalkDir::new(from.join(name)) {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(from).to_owned();
            StoreError::io(Verb::Read, &path)(error.into())
        })?;
        let path = entry.path();
        let place = to.join(path.strip_prefix(from).unwrap_or(path));
        let kind = entry.file_type();
        let folder = if kind.is_dir() { &place } else { place.parent().unwrap_or(to) };
        fs::create_dir_all(folder).map_err(StoreError::io(Verb::Create, folder))?;
        if kind.is_dir() {
            continue;
        } else if kind.is_symlink() {
            let target = fs::read_link(path).map_err(StoreError::io(Verb::Read, path))?;
            link(&target, &place)?;
        } else {
            fs::copy(path, &place).map_err(StoreError::io(Verb::Read, path))?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn link(target: &Path, place: &Path) -> Result<(), Error> {
    let made = std::os::unix::fs::symlink(target, place);
    Ok(made.map_err(StoreError::io(Verb::Create, place))?)
}

/// Elsewhere a link is checked out as a file that has the name.
#[cfg(not(unix))]
fn link(target: &Path, place: &Path) -> Result<(), Error> {
    let bytes = target.as_os_str().as_encoded_bytes();
    Ok(fs::write(place, bytes).map_err(StoreError::io(Verb::Write, place))?)
}

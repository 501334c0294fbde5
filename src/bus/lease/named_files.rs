//! The files that `bus check --paths` is asked about: by any spelling, in folders, through links.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::bus::Error;
use crate::bus::workspace::{NamedPath, Workspace, named_path};
use crate::store::{Error as StoreError, Verb};

/// What was named.
#[derive(Debug, Default)]
pub(crate) struct NamedFiles {
    /// The files of the repository, from the root of the worktree, as git has them.
    pub(crate) files: Vec<Vec<u8>>,
    /// The paths that lead to nothing of this clone.
    pub(crate) outside: Vec<PathBuf>,
}

/// The files that somebody who stands in the folder `standing` calls `paths`: of a folder all that
/// are in it, tracked or not; of a link the link, and what it leads to.
///
/// # Errors
///
/// [`Error::Store`] or [`Error::Git`] if it cannot be seen what there is.
pub(crate) fn files_named(
    ws: &Workspace,
    standing: &Path,
    paths: &[PathBuf],
) -> Result<NamedFiles, Error> {
    let mut named = NamedFiles::default();
    for path in paths {
        match named_path(ws, standing, path)? {
            NamedPath::Outside => named.outside.push(path.clone()),
            NamedPath::Inside { name, target, .. } => {
                for name in [Some(name), target].into_iter().flatten() {
                    add(ws, &name, &mut named.files)?;
                }
            }
        }
    }
    named.files.sort_unstable();
    named.files.dedup();
    Ok(named)
}

/// Adds the file `name`, or the files in the folder `name`.
fn add(ws: &Workspace, name: &Path, files: &mut Vec<Vec<u8>>) -> Result<(), Error> {
    let whole = ws.repo.root().join(name);
    let is_folder = whole.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
    if !is_folder {
        files.push(spell(name));
        return Ok(());
    }
    let walk = WalkDir::new(&whole).into_iter().filter_entry(|entry| entry.file_name() != ".git");
    for entry in walk {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(&whole).to_owned();
            StoreError::io(Verb::Read, &path)(error.into())
        })?;
        if !entry.file_type().is_dir() {
            let below = entry.path().strip_prefix(ws.repo.root()).unwrap_or(entry.path());
            files.push(spell(below));
        }
    }
    // A sparse worktree has files that are not on the disk.
    let folder = spell(name);
    let is_below = |file: &[u8]| {
        folder.is_empty()
            || file.strip_prefix(folder.as_slice()).is_some_and(|rest| rest.starts_with(b"/"))
    };
    let tracked = ws.repo.tracked_files()?;
    files
        .extend(tracked.names().map(|name| name.as_bytes().to_vec()).filter(|name| is_below(name)));
    Ok(())
}

/// The name as git has it.
fn spell(name: &Path) -> Vec<u8> {
    let parts: Vec<&[u8]> =
        name.components().map(|part| part.as_os_str().as_encoded_bytes()).collect();
    parts.join(&b'/')
}

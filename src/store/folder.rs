//! The one way to list a folder.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::{Error, Verb};

/// Something in a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Its name.
    pub name: OsString,
    /// Whether it is a regular file; a link is none.
    pub is_file: bool,
    /// Whether it is a folder.
    pub is_folder: bool,
}

/// What is in `folder`, by name; nothing if there is no such folder.
///
/// # Errors
///
/// [`Error::Io`] if the folder or something in it cannot be read: an empty answer would say that
/// there is nothing.
pub fn list(folder: &Path) -> Result<Vec<Listed>, Error> {
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        entries => entries.map_err(Error::io(Verb::Read, folder))?,
    };
    let mut listed = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io(Verb::Read, folder))?;
        let kind = match entry.file_type() {
            // It went away meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            kind => kind.map_err(|source| Error::io(Verb::Read, &entry.path())(source))?,
        };
        listed.push(Listed {
            name: entry.file_name(),
            is_file: kind.is_file(),
            is_folder: kind.is_dir(),
        });
    }
    listed.sort_unstable();
    Ok(listed)
}

/// The names, as text, of what is in `folder` and ends with `end`.
///
/// # Errors
///
/// As [`list`].
pub fn names(folder: &Path, end: &str) -> Result<Vec<String>, Error> {
    let names = list(folder)?.into_iter().filter_map(|entry| entry.name.into_string().ok());
    Ok(names.filter(|name| name.ends_with(end)).collect())
}

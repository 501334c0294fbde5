//! A file of the bus, reached without following a link.

use std::fs::{File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::{Error, Verb};

/// A file below a folder that neither reads nor writes may leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    root: PathBuf,
    relative: PathBuf,
}

impl Place {
    /// The file `relative` below `root`. The root itself is trusted, nothing below it is.
    #[must_use]
    pub fn new(root: &Path, relative: impl Into<PathBuf>) -> Self {
        Self { root: root.to_owned(), relative: relative.into() }
    }

    /// The folder that it may not leave.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The whole path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.root.join(&self.relative)
    }

    /// The path below the root.
    #[must_use]
    pub fn relative(&self) -> &Path {
        &self.relative
    }

    /// The file called `name` in the same folder.
    #[must_use]
    pub fn sibling(&self, name: &str) -> Self {
        Self { root: self.root.clone(), relative: self.relative.with_file_name(name) }
    }

    /// What the file is, or nothing where it or a folder above it is missing.
    ///
    /// # Errors
    ///
    /// [`Error::WrongKind`] if a link stands on the way, or anything but a regular file at its
    /// end; [`Error::Io`] if the system does not say.
    pub fn inspect(&self) -> Result<Option<Metadata>, Error> {
        let Some(()) = self.walk_folders(|_, missing| Err(missing))? else {
            return Ok(None);
        };
        let path = self.path();
        let Some(metadata) = look(&path)? else {
            return Ok(None);
        };
        if metadata.is_file() {
            return Ok(Some(metadata));
        }
        Err(Error::WrongKind { path, found: kind(&metadata), expected: "a file" })
    }

    /// Whether a file of `length` bytes is there.
    #[must_use]
    pub fn has_length(&self, length: u64) -> bool {
        matches!(self.inspect(), Ok(Some(metadata)) if metadata.len() == length)
    }

    /// Makes the folders above the file, where they are missing.
    ///
    /// # Errors
    ///
    /// [`Error::WrongKind`] if a link or a file stands on the way; [`Error::Io`] if a folder
    /// cannot be made.
    pub fn make_folders(&self) -> Result<(), Error> {
        let make = |folder: &Path, _| match fs::create_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        };
        self.walk_folders(make).map(|_| ())
    }

    /// The file's bytes, or nothing where it is missing. At most one byte more than `limit` is
    /// read.
    ///
    /// # Errors
    ///
    /// As [`Place::inspect`].
    pub fn read(&self, limit: usize) -> Result<Option<Vec<u8>>, Error> {
        let Some(metadata) = self.inspect()? else { return Ok(None) };
        let path = self.path();
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(Error::io(Verb::Read, &path))?,
        };
        // One byte more than it has, so that its end is met without growing.
        let mut bytes =
            Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(limit).min(limit) + 1);
        file.take(limit as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(Error::io(Verb::Read, &path))?;
        Ok(Some(bytes))
    }

    /// Looks at each folder above the file, from the root down, and calls `on_missing` where there
    /// is none: it makes the folder, or returns the error to say that the file cannot be there.
    fn walk_folders(
        &self,
        on_missing: impl Fn(&Path, io::Error) -> io::Result<()>,
    ) -> Result<Option<()>, Error> {
        let mut path = self.root.clone();
        for part in self.relative.parent().into_iter().flatten() {
            path.push(part);
            match look(&path)? {
                Some(metadata) if metadata.is_dir() => {}
                Some(metadata) => {
                    return Err(Error::WrongKind {
                        path,
                        found: kind(&metadata),
                        expected: "a folder",
                    });
                }
                None => match on_missing(&path, io::Error::from(io::ErrorKind::NotFound)) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(Error::io(Verb::Create, &path)(error)),
                },
            }
        }
        Ok(Some(()))
    }
}

/// What stands at `path`, links not followed.
pub(super) fn look(path: &Path) -> Result<Option<Metadata>, Error> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(error) => Err(Error::io(Verb::Read, path)(error)),
    }
}

fn kind(metadata: &Metadata) -> &'static str {
    if metadata.is_symlink() {
        "a symlink"
    } else if metadata.is_dir() {
        "a folder"
    } else if metadata.is_file() {
        "a file"
    } else {
        "a device"
    }
}

/// What tells a file or folder from another that took its place, for as long as one of them is held
/// open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity(u64, u64);

impl Identity {
    #[cfg(unix)]
    pub(super) fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self(metadata.dev(), metadata.ino())
    }

    /// Elsewhere the time at which it was made tells them apart.
    #[cfg(not(unix))]
    pub(super) fn of(metadata: &Metadata) -> Self {
        let made = metadata
            .created()
            .ok()
            .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
            .unwrap_or_default();
        Self(made.as_secs(), u64::from(made.subsec_nanos()))
    }
}

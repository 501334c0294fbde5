//! Copies of other clones' log files: they grow by whole lines, or are replaced as a whole, so that whoever follows them sees
//! what was added.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use super::replace::sync_folder;
use super::{Error, Lock, Place, Verb};

/// A copy that is written.
#[derive(Debug)]
pub struct Copied {
    file: File,
    path: PathBuf,
    /// Where it is written before it takes its place.
    aside: Option<PathBuf>,
    length: u64,
}

impl Copied {
    /// Adds to the copy at `place`, if it has `length` bytes; none where it has not: somebody else was there.
    ///
    /// # Errors
    ///
    /// [`Error::WrongKind`] where a link or a folder is in the way; [`Error::Io`] where the disk refuses.
    pub fn grow(_held: &Lock, place: &Place, length: u64) -> Result<Option<Self>, Error> {
        let there = place.inspect()?.map(|metadata| metadata.len());
        if there.unwrap_or(0) != length {
            return Ok(None);
        }
        place.make_folders()?;
        let path = place.path();
        let file = OpenOptions::new().append(true).create(true).open(&path).map_err(Error::io(Verb::Write, &path))?;
        Ok(Some(Self { file, path, aside: None, length }))
    }

    /// Writes the copy at `place` anew; nobody sees it before it is whole.
    ///
    /// # Errors
    ///
    /// As [`Copied::grow`].
    pub fn anew(_held: &Lock, place: &Place) -> Result<Self, Error> {
        place.make_folders()?;
        place.inspect()?;
        let path = place.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let aside = place.sibling(&format!(".{name}.tmp")).path();
        match fs::remove_file(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io(Verb::Remove, &aside)(error)),
            _ => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).open(&aside).map_err(Error::io(Verb::Write, &path))?;
        Ok(Self { file, path, aside: Some(aside), length: 0 })
    }

    /// Adds `lines`, in one write.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the disk refuses.
    pub fn write(&mut self, lines: &[Vec<u8>]) -> Result<(), Error> {
        let bytes: Vec<u8> = lines.iter().flat_map(|line| line.iter().chain(b"\n")).copied().collect();
        self.length += bytes.len() as u64;
        self.file.write_all(&bytes).map_err(Error::io(Verb::Write, &self.path))
    }

    /// Puts it on disk and in its place; returns its length.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the disk refuses.
    pub fn finish(self) -> Result<u64, Error> {
        self.file.sync_data().map_err(Error::io(Verb::Sync, &self.path))?;
        if let Some(aside) = &self.aside {
            fs::rename(aside, &self.path).map_err(Error::io(Verb::Write, &self.path))?;
        }
        sync_folder(&self.path)?;
        Ok(self.length)
    }
}

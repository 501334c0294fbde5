//! Copies of other clones' log files. They only grow, by whole lines, so that whoever follows them
//! sees what was added.

use std::fs::{File, OpenOptions};
use std::io;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use super::replace::sync_folder;
use super::{Error, Lock, Place, Verb};

/// How much of a file's end is searched for its last newline at a time, in bytes.
const CHUNK: u64 = 64 * 1024;

/// A copy that is written.
#[derive(Debug)]
pub struct Copied {
    file: File,
    path: PathBuf,
    length: u64,
}

impl Copied {
    /// Opens the copy at `place`, to be added to. What a killed process left of a line at its end
    /// is cut off: the log has that line.
    ///
    /// # Errors
    ///
    /// [`Error::WrongKind`] if a link or a folder is in the way; [`Error::Io`] if the disk refuses.
    pub fn open(_held: &Lock, place: &Place) -> Result<Self, Error> {
        place.make_folders()?;
        place.inspect()?;
        let path = place.path();
        let open = || {
            let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
            let (length, whole) = (file.metadata()?.len(), whole_length(&mut file)?);
            if whole < length {
                file.set_len(whole)?;
            }
            Ok((file, whole))
        };
        let (file, length) = open().map_err(Error::io(Verb::Write, &path))?;
        Ok(Self { file, path, length })
    }

    /// How long it is, in bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Adds `lines`, in one write.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the disk refuses.
    pub fn write(&mut self, lines: &[Vec<u8>]) -> Result<(), Error> {
        let bytes: Vec<u8> =
            lines.iter().flat_map(|line| line.iter().chain(b"\n")).copied().collect();
        self.length += bytes.len() as u64;
        self.file.write_all(&bytes).map_err(Error::io(Verb::Write, &self.path))
    }

    /// Puts it on disk; returns its length.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the disk refuses.
    pub fn finish(self) -> Result<u64, Error> {
        self.file.sync_data().map_err(Error::io(Verb::Sync, &self.path))?;
        sync_folder(&self.path)?;
        Ok(self.length)
    }
}

/// How long the file is up to its last newline.
fn whole_length(file: &mut File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    while end > 0 {
        let start = end.saturating_sub(CHUNK);
        let mut bytes = vec![0; usize::try_from(end - start).unwrap_or(0)];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut bytes)?;
        if let Some(newline) = memchr::memrchr(b'\n', &bytes) {
            return Ok(start + newline as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

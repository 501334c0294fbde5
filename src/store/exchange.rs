//! What this clone remembers of the exchange of logs: how much of its record is published, and what
//! it has of other clones.
//!
//! Both are caches: if one is lost or damaged, or does not fit any more, the logs themselves are
//! compared. So a process may be killed anywhere, and nothing is lost or doubled.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Error, Lock, PrivateLayout, Verb, note_bytes, read_note, replace, sha256_of};

/// The longest file that is read, in bytes.
const MAX_MARKS: usize = 64 * 1024 * 1024;

/// How many bytes before a mark are compared.
const BEFORE: u64 = 256;

/// How much of the record is in this clone's log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The commit of the log that it is about; `None` if nothing is published.
    pub tip: Option<String>,
    /// How far each file of the record is in it, by folder and name.
    pub files: BTreeMap<String, FileMark>,
}

/// How far a file is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMark {
    /// Where what is not published begins, in bytes.
    pub offset: u64,
    /// A hash of what stands before it.
    before: String,
}

impl Published {
    /// What is remembered; nothing if the file is damaged.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] or [`Error::WrongKind`] if the file cannot be used.
    pub fn load(private: &PrivateLayout) -> Result<Self, Error> {
        Ok(read_note(&private.published(), MAX_MARKS)?.unwrap_or_default())
    }

    /// Remembers all of it, on disk: a commit of the log that this clone has sent and does not know
    /// is taken for a twin's.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the disk refuses.
    pub fn save(&self, _held: &Lock, private: &PrivateLayout) -> Result<(), Error> {
        let place = private.published();
        replace(&place, &note_bytes(&place, self)?)
    }
}

impl FileMark {
    /// The mark of the file at `path` at `offset`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be read.
    pub fn at(path: &Path, offset: u64) -> Result<Self, Error> {
        Ok(Self { offset, before: before(path, offset).map_err(Error::io(Verb::Read, path))? })
    }

    /// Whether the file at `path` still has what stood before the mark.
    #[must_use]
    pub fn holds(&self, path: &Path) -> bool {
        before(path, self.offset).is_ok_and(|before| before == self.before)
    }
}

/// A hash of the last bytes of a file before `offset`.
fn before(path: &Path, offset: u64) -> std::io::Result<String> {
    let mut bytes = vec![0; usize::try_from(offset.min(BEFORE)).unwrap_or(0)];
    if !bytes.is_empty() {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset - bytes.len() as u64))?;
        file.read_exact(&mut bytes)?;
    }
    Ok(sha256_of(&bytes).to_string())
}

/// How far the copy of another clone's log goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloneMark {
    /// The tree that was taken in as a whole; `None` if something of it is left.
    pub tree: Option<String>,
    /// The assignments that were taken in: their tree.
    pub assignments: Option<String>,
    /// The log files, by folder and name.
    pub files: BTreeMap<String, CopyMark>,
}

impl CloneMark {
    /// How long the copies of its log files are, in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.files.values().map(|copy| copy.length).sum()
    }
}

/// How far the copy of a log file goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyMark {
    /// The tree of its segments.
    pub tree: String,
    /// How many of them were taken in, if some are left.
    pub cut_at: Option<usize>,
    /// How long the copy is.
    pub length: u64,
    /// Whether the copy has other lines than the log, or has them in another order, so that each
    /// new line must be compared.
    #[serde(default)]
    pub mixed: bool,
}

/// What this clone has of other clones' logs.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct CloneMarks {
    /// How far the copies go, by clone.
    pub clones: BTreeMap<String, CloneMark>,
}

impl CloneMarks {
    /// What is remembered; nothing if the file is damaged.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] or [`Error::WrongKind`] if the file cannot be used.
    pub fn load(private: &PrivateLayout) -> Result<Self, Error> {
        Ok(read_note(&private.taken_in(), MAX_MARKS)?.unwrap_or_default())
    }

    /// Remembers all of it.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the disk refuses.
    pub fn save(&self, _held: &Lock, private: &PrivateLayout) -> Result<(), Error> {
        let place = private.taken_in();
        replace(&place, &note_bytes(&place, self)?)
    }
}

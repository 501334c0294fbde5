//! Reads of files what was added since they were read last, and notices what git or an editor did to them meanwhile.
//!
//! A mark says how far a file was read, which file that was, and what stood before. It is a cache: where it does not hold, the
//! file is read again from its start.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::growing::{Growing, open};
use super::known::Namer;
use super::place::Identity;
use super::{Error, Verb};

/// How many bytes before the position are compared.
const BEFORE: u64 = 64 * 1024;

/// How much older than the marks a file's time must be, so that no change can hide within one tick of the clock.
const SETTLED: Duration = Duration::from_secs(2);

/// How far a file was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileMark {
    /// Which file it was: a hash.
    file: u64,
    /// How far it was read, in bytes.
    read: u64,
    /// Whether that is within a line that is too long.
    within: bool,
    /// A hash of what stood before.
    before: u64,
    /// The file's length and time, where all of it was read.
    end: Option<(u64, u64)>,
}

/// How far each file was read.
#[derive(Debug)]
pub struct Tails {
    pub(super) marks: BTreeMap<String, FileMark>,
    pub(super) namer: Namer,
    /// When the marks were written.
    pub(super) written: Option<SystemTime>,
    pub(super) changed: bool,
}

impl Tails {
    /// Whether there is something new to remember.
    #[must_use]
    pub const fn is_changed(&self) -> bool {
        self.changed
    }

    /// Forgets the files that are not among `paths`.
    pub fn keep_only<'a>(&mut self, paths: impl IntoIterator<Item = &'a PathBuf>) {
        let names: std::collections::BTreeSet<String> = paths.into_iter().map(|path| name(path)).collect();
        let before = self.marks.len();
        self.marks.retain(|name, _| names.contains(name));
        self.changed |= before != self.marks.len();
    }

    /// Shows `take` the whole lines of the file at `path` that were not read before, but those that are too long, as long as the
    /// `budget` lasts: what is read is taken off it.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the file cannot be read; else what `take` returns.
    pub fn read<E: From<Error>>(
        &mut self,
        path: &Path,
        budget: &mut u64,
        mut take: impl FnMut(Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some((file, metadata)) = open(path)? else { return Ok(()) };
        let refused = |error| E::from(Error::io(Verb::Read, path)(error));
        let known = self.marks.get(&name(path));
        if known.is_some_and(|mark| mark.is_unchanged(&metadata, self.namer, self.written)) {
            return Ok(());
        }
        let holds = known.map_or(Ok(false), |mark| mark.holds(&file, &metadata, self.namer)).map_err(refused)?;
        let (offset, within) = known.filter(|_| holds).map_or((0, false), |mark| (mark.read, mark.within));
        let mut growing = Growing::resume(file, &metadata, offset, within);
        let mut at_end = false;
        while !at_end && *budget > 0 {
            let Some(chunk) = growing.read().map_err(refused)? else {
                // It is written anew in place just now.
                self.changed |= self.marks.remove(&name(path)).is_some();
                return Ok(());
            };
            chunk.lines.into_iter().filter(|line| !line.too_long).try_for_each(|line| take(line.bytes))?;
            growing.position = chunk.position;
            *budget = budget.saturating_sub(chunk.size.max(1));
            at_end = chunk.at_end;
        }
        let end = at_end.then(|| (metadata.len(), nanoseconds(&metadata)));
        let mark = FileMark::of(&growing, &metadata, end, self.namer).map_err(refused)?;
        let before = self.marks.insert(name(path), mark.clone());
        self.changed |= before != Some(mark);
        Ok(())
    }
}

impl FileMark {
    fn of(growing: &Growing, metadata: &Metadata, end: Option<(u64, u64)>, namer: Namer) -> io::Result<Self> {
        let read = growing.position.offset;
        Ok(Self {
            file: identity(metadata, namer),
            read,
            within: growing.is_within_line(),
            before: namer.hash(&before(&growing.file, read)?),
            end,
        })
    }

    /// Whether nothing was done to the file since the marks were `written`. A time that is too young proves nothing: a file
    /// may change twice within a tick of the clock.
    fn is_unchanged(&self, metadata: &Metadata, namer: Namer, written: Option<SystemTime>) -> bool {
        let settled = metadata.modified().is_ok_and(|time| written.is_some_and(|written| time + SETTLED < written));
        settled && self.end == Some((metadata.len(), nanoseconds(metadata))) && self.file == identity(metadata, namer)
    }

    /// Whether what was read still stands there. git makes a new file wherever it changes one, so this is another one then; what
    /// an editor changes in place shows by the bytes before the position, or by a time that is new where the length is not. (A
    /// line that is changed further in front, of a file that grew as well, is none that anybody may change.)
    fn holds(&self, file: &File, metadata: &Metadata, namer: Namer) -> io::Result<bool> {
        let edited = self.end.is_some_and(|(length, time)| length == metadata.len() && time != nanoseconds(metadata));
        let same = self.file == identity(metadata, namer) && metadata.len() >= self.read && !edited;
        Ok(same && self.before == namer.hash(&before(file, self.read)?))
    }
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

/// Device, inode and time of birth: an inode alone is soon given to another file.
fn identity(metadata: &Metadata, namer: Namer) -> u64 {
    namer.hash(format!("{:?} {:?}", Identity::of(metadata), metadata.created().ok()).as_bytes())
}

fn nanoseconds(metadata: &Metadata) -> u64 {
    let time = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The last bytes of a file before `offset`.
fn before(mut file: &File, offset: u64) -> io::Result<Vec<u8>> {
    let size = offset.min(BEFORE);
    file.seek(SeekFrom::Start(offset - size))?;
    let mut bytes = Vec::new();
    file.take(size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

//! Follows the log as it grows: every event once, whatever becomes of the files (design, section 4).
//!
//! Files are read by position. A file that was replaced is read again from its start, and what was seen before is left out; so
//! is a line that turns up in another file. What stood in the log before the following began is learned when it is first
//! needed: reading all of it would make a start on a long log slow.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::backward::BackwardLines;
use super::forward::ForwardLines;
use super::growing::{Growing, There, open, stands_at};
use super::known::{Known, Verdict};
use super::union::{BadLine, Direction, Entry, RawLine, Source, Union, clash};
use super::{Error, Verb};
use crate::record::json::MAX_LINE;
use crate::record::{Event, Fault, Timestamp};

/// How much one look reads, in bytes, before what was found is given out.
const MAX_LOOK: u64 = 4 * 1024 * 1024;

/// How old a line may be to count as just written, when the following begins.
const JUST_NOW: Duration = Duration::from_secs(5);

/// What a look found.
#[derive(Debug, Default)]
pub struct Fresh {
    /// Events that were not seen before, merged as readers merge files.
    pub entries: Vec<Entry>,
    /// Lines that are no events.
    pub bad: Vec<Bad>,
    /// Files that could not be read.
    pub unreadable: Vec<Error>,
    /// There is more to read at once.
    pub more: bool,
}

/// A line that is no event.
#[derive(Debug)]
pub struct Bad {
    /// The line.
    pub line: BadLine,
    /// What it is known by when it turns up again: its bytes, or where they are too many, its place.
    pub(super) known_by: Vec<u8>,
}

/// Follows log files.
#[derive(Debug)]
pub struct Follow {
    files: BTreeMap<PathBuf, Growing>,
    /// What was read and not yet given out, and whether that file has more.
    pending: BTreeMap<PathBuf, (VecDeque<Entry>, bool)>,
    known: Known,
    /// Whether `known` has all that stands before the positions.
    learned: bool,
    /// Since when `known` has every line in any case.
    recent: Timestamp,
}

impl Follow {
    /// Follows `paths` from where they end now.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where a file cannot be read.
    pub fn from_end(paths: impl IntoIterator<Item = PathBuf>, now: Timestamp) -> Result<Self, Error> {
        let recent = now.before(JUST_NOW);
        let mut follow = Self { files: BTreeMap::new(), pending: BTreeMap::new(), known: Known::new(), learned: false, recent };
        for path in paths {
            // One that cannot be read is found, and said, by the first look.
            if let Ok(Some((file, metadata))) = open(&path) {
                let growing = Growing::from_end(file, &metadata).map_err(Error::io(Verb::Read, &path))?;
                follow.files.insert(path, growing);
            }
        }
        let mut just_now = follow.backlog()?;
        while let Some(entry) = just_now.next_event()?.filter(|entry| entry.event.ts >= recent) {
            follow.known.see(&entry.line);
        }
        Ok(follow)
    }

    /// Follows files from their start, but for what is `known`.
    pub(super) fn from_known(known: Known) -> Self {
        Self { files: BTreeMap::new(), pending: BTreeMap::new(), known, learned: true, recent: Timestamp::from_unix(0) }
    }

    /// What stood in the files when the following began, newest first.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where a file cannot be read.
    pub fn backlog(&self) -> Result<Union, Error> {
        let source = |(path, followed): (&PathBuf, &Growing)| {
            let lines = followed.file.try_clone().and_then(|file| BackwardLines::up_to(file, followed.position.offset));
            Ok(Source::new(path.clone(), lines.map_err(Error::io(Verb::Read, path))?))
        };
        Union::of(self.files.iter().map(source).collect::<Result<_, _>>()?, Direction::Backward)
    }

    /// Learns all that stood in the files when the following began, so that it is known again wherever it turns up.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where a file cannot be read.
    pub fn learn(&mut self) -> Result<(), Error> {
        if self.learned {
            return Ok(());
        }
        for (path, followed) in &self.files {
            let before = followed.file.try_clone().and_then(|mut file| {
                file.rewind()?;
                Ok(file.take(followed.position.offset))
            });
            let mut lines = ForwardLines::new(before.map_err(Error::io(Verb::Read, path))?);
            while let Some(line) = lines.next().map_err(Error::io(Verb::Read, path))? {
                self.known.see(&line.bytes);
            }
        }
        self.learned = true;
        Ok(())
    }

    /// What is known so far.
    pub(super) fn known(&self) -> &Known {
        &self.known
    }

    /// Looks at the files `paths`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where a file cannot be read.
    pub fn look(&mut self, paths: &BTreeSet<PathBuf>) -> Result<Fresh, Error> {
        let mut look = Look { bad: Vec::new(), left: MAX_LOOK, cut_short: false };
        let mut unreadable = Vec::new();
        for path in paths {
            match stands_at(path, self.files.get(path)) {
                Ok(there) => self.look_at(path, there, &mut look)?,
                // One file that cannot be read hides no other.
                Err(error) => unreadable.push(error),
            }
        }
        let entries = self.merge();
        let more = look.cut_short || self.pending.values().any(|(_, more)| *more);
        Ok(Fresh { entries, bad: look.bad, unreadable, more })
    }

    /// Looks at `all` files of the log. Those that are followed and not among them are gone.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where a file cannot be read.
    pub fn look_everywhere(&mut self, all: &BTreeSet<PathBuf>) -> Result<Fresh, Error> {
        let known: BTreeSet<PathBuf> = self.files.keys().chain(all).cloned().collect();
        self.look(&known)
    }

    /// Looks at one file, at whose path now stands `there`.
    fn look_at(&mut self, path: &Path, there: There, look: &mut Look) -> Result<(), Error> {
        // What is left of the old file comes first.
        if !self.read_on(path, look)? {
            return Ok(());
        }
        let followed = self.files.contains_key(path);
        match there {
            There::Same => Ok(()),
            There::Nothing if !followed => Ok(()),
            There::Nothing => {
                self.learn()?;
                self.files.remove(path);
                Ok(())
            }
            There::Other(growing) => {
                if followed {
                    self.learn()?;
                }
                self.files.insert(path.to_owned(), growing);
                self.read_on(path, look).map(drop)
            }
        }
    }

    /// Reads what was added to a file, one chunk of it; says whether that was all.
    fn read_on(&mut self, path: &Path, look: &mut Look) -> Result<bool, Error> {
        let Some(followed) = self.files.get_mut(path) else { return Ok(true) };
        if self.pending.get(path).is_some_and(|(entries, more)| *more && !entries.is_empty()) {
            return Ok(false);
        }
        if look.left == 0 {
            look.cut_short = true;
            return Ok(false);
        }
        let mut chunk = followed.read().map_err(Error::io(Verb::Read, path))?;
        if chunk.is_none() {
            // It was written anew in place.
            self.learn()?;
            let Some(followed) = self.files.get_mut(path) else { return Ok(true) };
            followed.position = super::growing::Position::default();
            chunk = followed.read().map_err(Error::io(Verb::Read, path))?;
        }
        let Some(chunk) = chunk else { return Ok(true) };
        look.left = look.left.saturating_sub(chunk.size);
        let mut entries = VecDeque::new();
        for line in chunk.lines {
            match self.accept(path, &line)? {
                None => {}
                Some(Ok(event)) => entries.push_back(Entry { event, line: line.bytes }),
                Some(Err(what)) => {
                    let known_by = known_by(path, &line).into_owned();
                    look.bad.push(Bad { line: BadLine::new(path, line.offset, what), known_by });
                }
            }
        }
        if let Some(followed) = self.files.get_mut(path) {
            followed.position = chunk.position;
        }
        if !entries.is_empty() || !chunk.at_end || self.pending.contains_key(path) {
            let pending = self.pending.entry(path.to_owned()).or_default();
            pending.0.append(&mut entries);
            pending.1 = !chunk.at_end;
        }
        Ok(chunk.at_end)
    }

    /// The event of a line that was not seen before, or why it is none.
    fn accept(&mut self, path: &Path, line: &RawLine) -> Result<Option<Result<Event, String>>, Error> {
        if line.too_long {
            let new = self.known.see(&known_by(path, line)) == Verdict::New;
            let what = Fault::TooLong { limit: MAX_LINE }.to_string();
            return Ok(new.then_some(Err(what)));
        }
        let blank = line.bytes.iter().all(u8::is_ascii_whitespace);
        if blank || (self.learned && self.known.has(&line.bytes)) {
            return Ok(None);
        }
        let event = match Event::parse(&line.bytes) {
            Ok(event) => event,
            Err(fault) if self.known.see(&line.bytes) == Verdict::New => return Ok(Some(Err(fault.to_string()))),
            Err(_) => return Ok(None),
        };
        if event.ts < self.recent {
            self.learn()?;
        }
        Ok(match self.known.see(&line.bytes) {
            Verdict::New => Some(Ok(event)),
            Verdict::Seen => None,
            Verdict::Clash => Some(Err(clash(&event))),
        })
    }

    /// Gives out what is pending, merged by time, then id, as far as every file that has more has something pending.
    fn merge(&mut self) -> Vec<Entry> {
        let mut merged = Vec::new();
        while !self.pending.values().any(|(entries, more)| *more && entries.is_empty()) {
            let key = |entry: &Entry| (entry.event.ts, entry.event.id.clone());
            let heads = self.pending.values_mut().filter(|(entries, _)| !entries.is_empty());
            let Some((entries, _)) = heads.min_by_key(|(entries, _)| entries.front().map(key)) else { break };
            merged.extend(entries.pop_front());
        }
        self.pending.retain(|_, (entries, more)| *more || !entries.is_empty());
        merged
    }
}

/// What a line is known by.
fn known_by<'a>(path: &Path, line: &'a RawLine) -> Cow<'a, [u8]> {
    if line.too_long {
        return format!("{} {}", path.display(), line.offset).into_bytes().into();
    }
    Cow::Borrowed(&line.bytes)
}

/// Lets this process open as many files as the system allows: one is held open for each file of the log.
pub fn raise_file_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        // Where it cannot be raised, a file that cannot be opened is named.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

/// What one look does on its way.
struct Look {
    bad: Vec<Bad>,
    /// How many bytes may still be read.
    left: u64,
    /// A file was not read because of that.
    cut_short: bool,
}

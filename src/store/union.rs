//! The log as readers see it: the union of all its files, each event once (design, section 4).

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::backward::BackwardLines;
use super::forward::ForwardLines;
use super::{Error, Verb};
use crate::record::json::MAX_LINE;
use crate::record::{Event, Fault};

/// From which end the log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first.
    Forward,
    /// Newest first.
    Backward,
}

/// An event and the line that it was read from.
#[derive(Debug)]
pub struct Entry {
    /// The event.
    pub event: Event,
    /// Its bytes, without the newline.
    pub line: Vec<u8>,
}

/// How many lines that are no events are remembered; the others are counted.
const MAX_FAULTS: usize = 100;

/// A line that is no event.
#[derive(Debug)]
pub struct BadLine {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
    /// Where it begins, in bytes.
    offset: u64,
}

impl BadLine {
    /// Its number, from 1. The file is read again for it, so only who shows it asks.
    #[must_use]
    pub fn line(&self) -> usize {
        line_at(&self.path, self.offset).unwrap_or(0)
    }
}

/// The lines that are no events.
#[derive(Debug, Default)]
pub struct Faults {
    /// The first of them.
    pub lines: Vec<BadLine>,
    /// How many there are in all.
    pub count: usize,
}

impl Faults {
    fn note(&mut self, path: &Path, offset: u64, what: impl FnOnce() -> String) {
        self.count += 1;
        if self.lines.len() < MAX_FAULTS {
            self.lines.push(BadLine { path: path.to_owned(), what: what(), offset });
        }
    }
}

/// A line as it stands in a file.
#[derive(Debug)]
pub(super) struct RawLine {
    /// Where it begins.
    pub(super) offset: u64,
    /// Its bytes, without the newline; none where it is too long.
    pub(super) bytes: Vec<u8>,
    /// Whether it has more than [`MAX_LINE`] bytes.
    pub(super) too_long: bool,
}

/// Reads many log files as one: each file in its own order, files merged by time, then id; what was seen already
/// (the same id, or without ids the same bytes) is left out.
#[derive(Debug)]
pub struct Union {
    direction: Direction,
    sources: Vec<Source>,
    /// What was seen, by a keyed hash of its id or bytes, with a hash of its bytes.
    seen: HashMap<u128, u64>,
    hashers: (RandomState, RandomState),
    faults: Faults,
    /// How many bytes may still be read.
    budget: u64,
}

#[derive(Debug)]
struct Source {
    path: PathBuf,
    lines: Lines,
    head: Option<(u64, Entry)>,
}

#[derive(Debug)]
enum Lines {
    Forward(ForwardLines),
    Backward(BackwardLines),
}

impl Union {
    /// Opens the log files `paths`; those that are missing are left out.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where a file cannot be read.
    pub fn open(paths: impl IntoIterator<Item = PathBuf>, direction: Direction) -> Result<Self, Error> {
        Self::open_within(paths, direction, u64::MAX)
    }

    /// As [`Union::open`], but reads no more than about `budget` bytes: after that there are no more events.
    ///
    /// # Errors
    ///
    /// As [`Union::open`].
    pub fn open_within(paths: impl IntoIterator<Item = PathBuf>, direction: Direction, budget: u64) -> Result<Self, Error> {
        let hashers = (RandomState::new(), RandomState::new());
        let mut union = Self { direction, sources: Vec::new(), seen: HashMap::new(), hashers, faults: Faults::default(), budget };
        for path in paths {
            if let Some(mut source) = Source::open(path, direction)? {
                source.advance(&mut union.faults, &mut union.budget)?;
                union.sources.push(source);
            }
        }
        Ok(union)
    }

    /// The next event that was not seen yet.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where a file cannot be read.
    pub fn next_event(&mut self) -> Result<Option<Entry>, Error> {
        loop {
            let Some(best) = self.best() else { return Ok(None) };
            let source = &mut self.sources[best];
            let Some((offset, entry)) = source.head.take() else { return Ok(None) };
            source.advance(&mut self.faults, &mut self.budget)?;
            if self.is_new(&entry, best, offset) {
                return Ok(Some(entry));
            }
        }
    }

    /// The lines that were no events, so far.
    #[must_use]
    pub fn into_faults(self) -> Faults {
        self.faults
    }

    /// The source whose head comes next.
    fn best(&self) -> Option<usize> {
        let key = |index: &usize| self.sources[*index].head.as_ref().map(|(_, entry)| (entry.event.ts, &entry.event.id));
        let waiting = (0..self.sources.len()).filter(|index| self.sources[*index].head.is_some());
        match self.direction {
            Direction::Forward => waiting.min_by_key(key),
            Direction::Backward => waiting.max_by_key(key),
        }
    }

    fn is_new(&mut self, entry: &Entry, source: usize, offset: u64) -> bool {
        let name = entry.event.id.as_ref().map_or(entry.line.as_slice(), |id| id.as_bytes());
        let (first, second) = (self.hashers.0.hash_one(name), self.hashers.1.hash_one(name));
        let content = self.hashers.0.hash_one(&entry.line);
        match self.seen.insert(u128::from(first) << 64 | u128::from(second), content) {
            None => true,
            Some(known) if known == content => false,
            Some(_) => {
                let id = entry.event.id.as_deref().unwrap_or_default();
                let what = || format!("another event has the same id `{id}` and says something else");
                self.faults.note(&self.sources[source].path, offset, what);
                false
            }
        }
    }
}

impl Source {
    fn open(path: PathBuf, direction: Direction) -> Result<Option<Self>, Error> {
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(Error::io(Verb::Read, &path))?,
        };
        let lines = match direction {
            Direction::Forward => Lines::Forward(ForwardLines::new(file)),
            Direction::Backward => Lines::Backward(BackwardLines::new(file).map_err(Error::io(Verb::Read, &path))?),
        };
        Ok(Some(Self { path, lines, head: None }))
    }

    /// Reads on to the next line that is an event, and notes those that are none.
    fn advance(&mut self, faults: &mut Faults, budget: &mut u64) -> Result<(), Error> {
        self.head = None;
        while *budget > 0 {
            let line = match &mut self.lines {
                Lines::Forward(lines) => lines.next(),
                Lines::Backward(lines) => lines.next(),
            };
            let Some(line) = line.map_err(Error::io(Verb::Read, &self.path))? else { return Ok(()) };
            *budget = budget.saturating_sub(line.bytes.len() as u64 + 1);
            if line.bytes.iter().all(u8::is_ascii_whitespace) && !line.too_long {
                continue;
            }
            match parse(&line) {
                Ok(event) => {
                    self.head = Some((line.offset, Entry { event, line: line.bytes }));
                    return Ok(());
                }
                Err(fault) => faults.note(&self.path, line.offset, || fault.to_string()),
            }
        }
        Ok(())
    }
}

fn parse(line: &RawLine) -> Result<Event, Fault> {
    if line.too_long { Err(Fault::TooLong { limit: MAX_LINE }) } else { Event::parse(&line.bytes) }
}

/// The number of the line that begins at `offset`, from 1. Only a fault pays for it.
fn line_at(path: &Path, offset: u64) -> io::Result<usize> {
    let mut before = File::open(path)?.take(offset);
    let mut chunk = vec![0; 64 * 1024];
    let mut line = 1;
    loop {
        let size = before.read(&mut chunk)?;
        if size == 0 {
            return Ok(line);
        }
        line += memchr::memchr_iter(b'\n', &chunk[..size]).count();
    }
}

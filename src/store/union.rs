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

/// A line that is no event.
#[derive(Debug)]
pub struct BadLine {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
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
    bad: Vec<BadLine>,
}

#[derive(Debug)]
struct Source {
    path: PathBuf,
    lines: Lines,
    head: Option<Entry>,
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
        let hashers = (RandomState::new(), RandomState::new());
        let mut union = Self { direction, sources: Vec::new(), seen: HashMap::new(), hashers, bad: Vec::new() };
        for path in paths {
            if let Some(mut source) = Source::open(path, direction)? {
                source.advance(&mut union.bad)?;
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
            let Some(entry) = source.head.take() else { return Ok(None) };
            source.advance(&mut self.bad)?;
            if self.is_new(&entry, best) {
                return Ok(Some(entry));
            }
        }
    }

    /// The lines that were no events, so far.
    #[must_use]
    pub fn into_bad_lines(self) -> Vec<BadLine> {
        self.bad
    }

    /// The source whose head comes next.
    fn best(&self) -> Option<usize> {
        let key = |index: &usize| self.sources[*index].head.as_ref().map(|entry| (entry.event.ts, &entry.event.id));
        let waiting = (0..self.sources.len()).filter(|index| self.sources[*index].head.is_some());
        match self.direction {
            Direction::Forward => waiting.min_by_key(key),
            Direction::Backward => waiting.max_by_key(key),
        }
    }

    fn is_new(&mut self, entry: &Entry, source: usize) -> bool {
        let name = entry.event.id.as_ref().map_or(entry.line.as_slice(), |id| id.as_bytes());
        let (first, second) = (self.hashers.0.hash_one(name), self.hashers.1.hash_one(name));
        let content = self.hashers.0.hash_one(&entry.line);
        match self.seen.insert(u128::from(first) << 64 | u128::from(second), content) {
            None => true,
            Some(known) if known == content => false,
            Some(_) => {
                let id = entry.event.id.as_deref().unwrap_or_default().to_owned();
                let path = self.sources[source].path.clone();
                let what = format!("another event has the same id `{id}` and says something else");
                let line = number_of(&path, &entry.line);
                self.bad.push(BadLine { path, line, what });
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
    fn advance(&mut self, bad: &mut Vec<BadLine>) -> Result<(), Error> {
        self.head = None;
        loop {
            let line = match &mut self.lines {
                Lines::Forward(lines) => lines.next(),
                Lines::Backward(lines) => lines.next(),
            };
            let Some(line) = line.map_err(Error::io(Verb::Read, &self.path))? else { return Ok(()) };
            if line.bytes.iter().all(u8::is_ascii_whitespace) && !line.too_long {
                continue;
            }
            match parse(&line) {
                Ok(event) => {
                    self.head = Some(Entry { event, line: line.bytes });
                    return Ok(());
                }
                Err(fault) => {
                    let number = line_at(&self.path, line.offset).unwrap_or(0);
                    bad.push(BadLine { path: self.path.clone(), line: number, what: fault.to_string() });
                }
            }
        }
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

/// The number of the first line of the file that has these bytes; 0 where none has.
fn number_of(path: &Path, bytes: &[u8]) -> usize {
    let Ok(file) = File::open(path) else { return 0 };
    let mut lines = ForwardLines::new(file);
    let mut number = 0;
    while let Ok(Some(line)) = lines.next() {
        number += 1;
        if line.bytes == bytes {
            return number;
        }
    }
    0
}

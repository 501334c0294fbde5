//! The log as readers see it: the union of all its files, each event once (docs/design.md, section
//! 4).

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::backward::BackwardLines;
use super::forward::ForwardLines;
use super::known::{Known, Verdict};
use super::{Clones, Elsewhere, Error, Verb};
use crate::record::json::MAX_LINE;
use crate::record::{Event, Fault, Timestamp};

/// From which end the log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first.
    Forward,
    /// Newest first.
    Backward,
}

/// An event and the line that it was read from.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The event.
    pub event: Event,
    /// Its bytes, without the newline.
    pub line: Vec<u8>,
    /// Where it is from, if this clone has not written it.
    pub elsewhere: Option<Elsewhere>,
    /// Whether this clone's record has it, so that it is this clone's own.
    pub own: bool,
}

/// How many lines of one second are looked at in a clone's log, to tell whether it has what a
/// worktree has, too.
const MAX_AHEAD: usize = 64;

/// How many lines that are no events are remembered; the others are counted.
const MAX_FAULTS: usize = 100;

/// A line that is no event, or no message.
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
    pub(super) fn new(path: &Path, offset: u64, what: String) -> Self {
        Self { path: path.to_owned(), what, offset }
    }

    /// Its number, from 1. The file is read again for it, so only who shows it asks.
    #[must_use]
    pub fn line(&self) -> usize {
        line_at(&self.path, self.offset).unwrap_or(0)
    }
}

/// The lines that are no events, or no messages.
#[derive(Debug, Default)]
pub struct Faults {
    /// The first of them.
    pub lines: Vec<BadLine>,
    /// How many there are in all.
    pub count: usize,
}

impl Faults {
    pub(super) fn note(&mut self, path: &Path, offset: u64, what: impl FnOnce() -> String) {
        self.count += 1;
        if self.lines.len() < MAX_FAULTS {
            self.lines.push(BadLine::new(path, offset, what()));
        }
    }
}

/// A line as it stands in a file.
#[derive(Debug)]
pub(super) struct RawLine {
    /// Where it begins.
    pub(super) offset: u64,
    /// Its bytes, without the newline, or `None` if it is too long.
    pub(super) bytes: Vec<u8>,
    /// Whether it has more than [`MAX_LINE`] bytes.
    pub(super) too_long: bool,
}

/// Reads many log files as one: each file in its own order, files merged by time, then id; what was
/// seen already (the same id, or without ids the same bytes) is left out.
#[derive(Debug)]
pub struct Union {
    direction: Direction,
    sources: Vec<Source>,
    seen: Known,
    faults: Faults,
    /// How many bytes may still be read.
    budget: u64,
}

/// A file that is read, line by line.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    /// Where it is from, if it is no file of this clone's record.
    elsewhere: Option<Elsewhere>,
    /// Whether it is a file of this clone's record.
    own: bool,
    /// In which order it is asked for a line that others have, too.
    rank: usize,
    lines: Lines,
    head: Option<(u64, Entry)>,
    /// What was read beyond the head.
    ahead: VecDeque<(u64, Entry)>,
}

#[derive(Debug)]
enum Lines {
    Forward(ForwardLines<File>),
    Backward(BackwardLines),
}

impl Union {
    /// Opens the log files `paths`, among them those of other `clones`; those that are missing are
    /// left out.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a file cannot be read.
    pub fn open(
        paths: impl IntoIterator<Item = PathBuf>,
        direction: Direction,
        clones: &Clones,
    ) -> Result<Self, Error> {
        Self::open_within(paths, direction, clones, u64::MAX)
    }

    /// As [`Union::open`], but reads no more than about `budget` bytes: after that there are no
    /// more events.
    ///
    /// # Errors
    ///
    /// As [`Union::open`].
    pub fn open_within(
        paths: impl IntoIterator<Item = PathBuf>,
        direction: Direction,
        clones: &Clones,
        budget: u64,
    ) -> Result<Self, Error> {
        let sources =
            paths.into_iter().filter_map(|path| Source::open(path, clones, direction).transpose());
        Self::start(sources.collect::<Result<_, _>>()?, direction, budget)
    }

    /// The union of these sources, which are read in `direction`.
    pub(super) fn of(sources: Vec<Source>, direction: Direction) -> Result<Self, Error> {
        Self::start(sources, direction, u64::MAX)
    }

    fn start(sources: Vec<Source>, direction: Direction, budget: u64) -> Result<Self, Error> {
        let mut union =
            Self { direction, sources, seen: Known::new(), faults: Faults::default(), budget };
        for source in &mut union.sources {
            source.advance(&mut union.faults, &mut union.budget)?;
        }
        Ok(union)
    }

    /// The next event that was not seen yet.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a file cannot be read.
    pub fn next_event(&mut self) -> Result<Option<Entry>, Error> {
        loop {
            let Some(best) = self.best() else { return Ok(None) };
            let source = &mut self.sources[best];
            let Some((offset, mut entry)) = source.head.take() else { return Ok(None) };
            source.advance(&mut self.faults, &mut self.budget)?;
            if self.is_new(&entry, best, offset) {
                if !entry.own && self.has_next(&entry, |source| source.own)?.is_some() {
                    (entry.own, entry.elsewhere) = (true, None);
                }
                if !entry.own && !is_of_clone(entry.elsewhere.as_ref()) {
                    let found =
                        self.has_next(&entry, |source| is_of_clone(source.elsewhere.as_ref()))?;
                    entry.elsewhere = found.flatten().or(entry.elsewhere);
                }
                return Ok(Some(entry));
            }
        }
    }

    /// The lines that were no events, so far.
    #[must_use]
    pub fn into_faults(self) -> Faults {
        self.faults
    }

    /// The source whose head comes next. Of the same event the record's goes before a worktree's,
    /// and that before another clone's, which may not hide it.
    fn best(&self) -> Option<usize> {
        let forward = self.direction == Direction::Forward;
        let key = |index: &usize| {
            let source = &self.sources[*index];
            let rank = if forward { source.rank } else { usize::MAX - source.rank };
            source.head.as_ref().map(|(_, entry)| (entry.event.ts, &entry.event.id, rank))
        };
        let waiting = (0..self.sources.len()).filter(|index| self.sources[*index].head.is_some());
        if forward { waiting.min_by_key(key) } else { waiting.max_by_key(key) }
    }

    /// Where that one of the `wanted` sources which has, among what comes next, the very line of
    /// `entry`.
    fn has_next(
        &mut self,
        entry: &Entry,
        wanted: impl Fn(&Source) -> bool,
    ) -> Result<Option<Option<Elsewhere>>, Error> {
        for source in self.sources.iter_mut().filter(|source| wanted(source)) {
            if source.has_next(entry, &mut self.faults, &mut self.budget)? {
                return Ok(Some(source.elsewhere.clone()));
            }
        }
        Ok(None)
    }

    fn is_new(&mut self, entry: &Entry, source: usize, offset: u64) -> bool {
        let verdict = self.seen.see(&entry.line);
        if verdict == Verdict::Clash {
            let id = entry.event.id.as_deref();
            self.faults.note(&self.sources[source].path, offset, || clash("event", id));
        }
        verdict == Verdict::New
    }
}

/// Whether a line is of another clone.
pub(super) fn is_of_clone(elsewhere: Option<&Elsewhere>) -> bool {
    elsewhere.is_some_and(Elsewhere::is_clone)
}

/// What is wrong with an event or a message whose id another one has.
pub(super) fn clash(noun: &str, id: Option<&str>) -> String {
    format!("another {noun} has the same id `{}` and says something else", id.unwrap_or_default())
}

impl Source {
    /// The lines of the file at `path`, from its end.
    pub(super) fn new(path: PathBuf, clones: &Clones, lines: BackwardLines) -> Self {
        Self::of(path, clones, Lines::Backward(lines))
    }

    fn of(path: PathBuf, clones: &Clones, lines: Lines) -> Self {
        let (elsewhere, own, rank) = (clones.of(&path), clones.is_own(&path), clones.rank(&path));
        Self { elsewhere, own, rank, path, lines, head: None, ahead: VecDeque::new() }
    }

    fn open(path: PathBuf, clones: &Clones, direction: Direction) -> Result<Option<Self>, Error> {
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(Error::io(Verb::Read, &path))?,
        };
        let lines = match direction {
            Direction::Forward => Lines::Forward(ForwardLines::new(file)),
            Direction::Backward => {
                Lines::Backward(BackwardLines::new(file).map_err(Error::io(Verb::Read, &path))?)
            }
        };
        Ok(Some(Self::of(path, clones, lines)))
    }

    /// Whether one of the next lines, of the same second, is that of `entry`.
    fn has_next(
        &mut self,
        entry: &Entry,
        faults: &mut Faults,
        budget: &mut u64,
    ) -> Result<bool, Error> {
        let second = |entry: &Entry| -> Timestamp { entry.event.ts };
        let Some((_, head)) = self.head.as_ref().filter(|(_, head)| second(head) == second(entry))
        else {
            return Ok(false);
        };
        if head.line == entry.line || self.ahead.iter().any(|(_, next)| next.line == entry.line) {
            return Ok(true);
        }
        while self.ahead.len() < MAX_AHEAD
            && self.ahead.back().is_none_or(|(_, last)| second(last) == second(entry))
        {
            let Some(next) = self.read(faults, budget)? else { break };
            let found = next.1.line == entry.line;
            self.ahead.push_back(next);
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Goes on to the next line that is an event.
    fn advance(&mut self, faults: &mut Faults, budget: &mut u64) -> Result<(), Error> {
        self.head = match self.ahead.pop_front() {
            Some(next) => Some(next),
            None => self.read(faults, budget)?,
        };
        Ok(())
    }

    /// Reads on to the next line that is an event, and notes those that are none.
    fn read(
        &mut self,
        faults: &mut Faults,
        budget: &mut u64,
    ) -> Result<Option<(u64, Entry)>, Error> {
        while *budget > 0 {
            let line = match &mut self.lines {
                Lines::Forward(lines) => lines.next(),
                Lines::Backward(lines) => lines.next(),
            };
            let Some(line) = line.map_err(Error::io(Verb::Read, &self.path))? else {
                return Ok(None);
            };
            *budget = budget.saturating_sub(line.bytes.len() as u64 + 1);
            if line.bytes.iter().all(u8::is_ascii_whitespace) && !line.too_long {
                continue;
            }
            match parse(&line) {
                Ok(event) => {
                    let entry = Entry {
                        event,
                        line: line.bytes,
                        elsewhere: self.elsewhere.clone(),
                        own: self.own,
                    };
                    return Ok(Some((line.offset, entry)));
                }
                Err(fault) => faults.note(&self.path, line.offset, || fault.to_string()),
            }
        }
        Ok(None)
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Everything that a union of these files has, as summaries; and those that have a clone.
    fn read(
        files: &[PathBuf],
        direction: Direction,
        clones: &Clones,
    ) -> (Vec<String>, BTreeSet<String>, usize) {
        let mut union = Union::open(files.to_vec(), direction, clones).unwrap();
        let (mut summaries, mut foreign) = (Vec::new(), BTreeSet::new());
        while let Some(entry) = union.next_event().unwrap() {
            foreign.extend(entry.elsewhere.map(|_| entry.event.summary.clone()));
            summaries.push(entry.event.summary);
        }
        (summaries, foreign, union.into_faults().count)
    }

    fn line(number: usize, minute: u8, with_id: bool) -> String {
        let id = if with_id { format!(r#""id":"id{number}","#) } else { String::new() };
        format!(
            r#"{{"agent_id":"a","event":"note",{id}"summary":"s{number}","ts":"2026-03-01T12:{minute:02}:00Z"}}"#
        ) + "\n"
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1500))]

        /// Any split of the lines over files, with any of them twice, shows the same set, each line
        /// once. Where each file is in the order of time, so is the whole, from both ends, and what
        /// the log of a clone has, and the record has not, is known as the clone's, whichever file
        /// it was read from; the last N are the same from both ends, too.
        #[test]
        fn the_union_is_the_same_however_its_lines_are_split(
            mut lines in prop::collection::vec((0..9_u8, any::<bool>(), 0..4_usize, prop::option::of(0..4_usize)), 1..24),
            sorted in any::<bool>(),
        ) {
            if sorted {
                lines.sort_by_key(|(minute, ..)| *minute);
            }
            let folder = tempfile::tempdir().unwrap();
            let mut files: Vec<PathBuf> = (0..3).map(|number| folder.path().join(format!("{number}.jsonl"))).collect();
            files.push(folder.path().join("clones/a/3.jsonl"));
            std::fs::create_dir_all(folder.path().join("clones/a")).unwrap();
            let clones = Clones::at(folder.path().join("clones"), folder.path().join("0.jsonl"));
            let mut texts = vec![String::new(); 4];
            for (number, (minute, with_id, file, copy)) in lines.iter().enumerate() {
                let line = line(number, *minute, *with_id);
                texts[*file].push_str(&line);
                copy.iter().for_each(|copy| texts[*copy].push_str(&line));
            }
            for (file, text) in files.iter().zip(&texts) {
                std::io::Write::write_all(&mut File::create(file).unwrap(), text.as_bytes()).unwrap();
            }
            let expected: BTreeSet<String> = (0..lines.len()).map(|number| format!("s{number}")).collect();
            let stands_in = |line: &(u8, bool, usize, Option<usize>), file| line.2 == file || line.3 == Some(file);
            let of_clone =
                |(_, line): &(usize, &(u8, bool, usize, Option<usize>))| stands_in(line, 3) && !stands_in(line, 0);
            let cloned: BTreeSet<String> =
                lines.iter().enumerate().filter(of_clone).map(|(number, _)| format!("s{number}")).collect();
            let minute_of = |summary: &String| lines[summary[1..].parse::<usize>().unwrap()].0;
            for direction in [Direction::Forward, Direction::Backward] {
                let (mut shown, foreign, faults) = read(&files, direction, &clones);
                prop_assert_eq!((shown.len(), faults), (expected.len(), 0));
                prop_assert_eq!(&shown.iter().cloned().collect::<BTreeSet<_>>(), &expected);
                if direction == Direction::Backward {
                    shown.reverse();
                }
                if sorted {
                    prop_assert_eq!(&foreign, &cloned);
                    prop_assert!(shown.is_sorted_by_key(minute_of), "{:?}", shown);
                }
            }
        }

        /// A file that ends anywhere, with lines around the limits of line and chunk, has the same
        /// lines from both ends.
        #[test]
        fn lines_are_the_same_from_both_ends_wherever_the_file_is_cut(
            sizes in prop::collection::vec(prop_oneof![
                6 => 0..80_usize,
                1 => MAX_LINE - 3..MAX_LINE + 4,
                1 => 2 * MAX_LINE - 3..2 * MAX_LINE + 4,
            ], 0..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes: Vec<u8> = Vec::new();
            for (number, size) in sizes.iter().enumerate() {
                bytes.resize(bytes.len() + size, b'a' + u8::try_from(number).unwrap());
                bytes.push(b'\n');
            }
            bytes.truncate(cut.index(bytes.len() + 1));
            let mut file = tempfile::tempfile().unwrap();
            std::io::Write::write_all(&mut file, &bytes).unwrap();
            let mut offset = 0;
            let mut expected = Vec::new();
            let end = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
            for line in end.split(|byte| *byte == b'\n').filter(|_| !bytes.is_empty()) {
                let too_long = line.len() > MAX_LINE;
                expected.push((offset, if too_long { Vec::new() } else { line.to_vec() }, too_long));
                offset += line.len() as u64 + 1;
            }
            let shape = |line: RawLine| (line.offset, line.bytes, line.too_long);
            let mut backward = BackwardLines::new(file.try_clone().unwrap()).unwrap();
            let mut from_end: Vec<_> = std::iter::from_fn(|| backward.next().unwrap()).map(shape).collect();
            from_end.reverse();
            prop_assert_eq!(&from_end, &expected);
            std::io::Seek::rewind(&mut file).unwrap();
            let mut forward = ForwardLines::new(file);
            let from_start: Vec<_> = std::iter::from_fn(|| forward.next().unwrap()).map(shape).collect();
            prop_assert_eq!(&from_start, &expected);
        }
    }
}

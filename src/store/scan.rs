//! Reads the lines of many files on all cores, in bounded memory: a thread takes a part of a file
//! at a time.

use std::fs::File;
use std::io;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Error, Verb};
use crate::record::json::MAX_LINE;

/// How much a thread takes at a time, in bytes.
const PART: u64 = 1024 * 1024;

/// How many threads read at most; each holds a part and a line.
const MAX_THREADS: usize = 8;

/// A line of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Which file.
    pub file: usize,
    /// In which part of it the line begins.
    pub part: usize,
    /// Which line of that part it is, from 1.
    pub number: usize,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// Its bytes without the newline; only the first [`MAX_LINE`] and one more where it is longer.
    pub bytes: &'a [u8],
    /// Whether a newline ends it, or it is too long to tell.
    pub ended: bool,
}

impl Line<'_> {
    /// Whether it has more bytes than a line may have.
    pub const fn is_too_long(&self) -> bool {
        self.bytes.len() > MAX_LINE
    }

    /// Whether there is nothing in it.
    pub fn is_blank(&self) -> bool {
        self.bytes.trim_ascii().is_empty()
    }
}

/// How many lines each part of each file has.
#[derive(Clone, Debug, Default)]
pub struct Counts(Vec<Vec<usize>>);

impl Counts {
    /// The number, from the start of file `file`, of the line `number` of its part `part`.
    pub fn line(&self, file: usize, part: usize, number: usize) -> usize {
        self.0[file][..part].iter().sum::<usize>() + number
    }
}

/// Runs `work` on each of `0..count` on all cores; each thread has a state of its own, made by
/// `start`.
///
/// # Errors
///
/// The first error that `work` returns.
pub fn on_all_cores<T: Send, E: Send>(
    count: usize,
    start: impl Fn() -> T + Sync,
    work: impl Fn(&mut T, usize) -> Result<(), E> + Sync,
) -> Result<Vec<T>, E> {
    let next = AtomicUsize::new(0);
    let run = || {
        let mut state = start();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return Ok(state);
            }
            work(&mut state, number)?;
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(MAX_THREADS).min(count.div_ceil(16)).max(1);
    if threads == 1 {
        return run().map(|state| vec![state]);
    }
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let ended = running.into_iter().map(|thread| match thread.join() {
            Ok(ended) => ended,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        ended.collect()
    })
}

/// Shows each line of `files` to `look`, on all cores.
///
/// # Errors
///
/// [`Error::Io`] if a file cannot be read.
pub fn scan<T: Send>(
    files: &[PathBuf],
    start: impl Fn() -> T + Sync,
    look: impl Fn(&mut T, &Line<'_>) + Sync,
) -> Result<(Vec<T>, Counts), Error> {
    let mut parts = Vec::new();
    let mut counts = Counts::default();
    for (file, path) in files.iter().enumerate() {
        let length = std::fs::metadata(path).map_err(Error::io(Verb::Read, path))?.len();
        let all = usize::try_from(length.div_ceil(PART)).unwrap_or(usize::MAX);
        parts.extend((0..all).map(|part| (file, part)));
        counts.0.push(vec![0; all]);
    }
    let fresh = || (start(), Vec::new(), Vec::new());
    let states = on_all_cores(parts.len(), fresh, |(state, buffer, counted), number| {
        let (file, part) = parts[number];
        let read =
            read_part(&files[file], part, buffer, |line| look(state, &Line { file, part, ..line }));
        counted.push((file, part, read.map_err(Error::io(Verb::Read, &files[file]))?));
        Ok(())
    })?;
    let mut all = Vec::new();
    for (state, _, counted) in states {
        counted.into_iter().for_each(|(file, part, lines)| counts.0[file][part] = lines);
        all.push(state);
    }
    Ok((all, counts))
}

/// Shows the lines that begin in a part of a file, and returns how many newlines the part has.
fn read_part(
    path: &PathBuf,
    part: usize,
    buffer: &mut Vec<u8>,
    mut look: impl FnMut(Line<'_>),
) -> io::Result<usize> {
    let start = part as u64 * PART;
    // The byte before says whether a line begins with the part.
    let before = usize::from(part > 0);
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start - before as u64))?;
    buffer.clear();
    file.by_ref().take(PART + before as u64).read_to_end(buffer)?;
    let end = buffer.len();
    // What the last line has beyond the part.
    while memchr::memrchr(b'\n', &buffer[end.saturating_sub(1)..]).is_none()
        && buffer.len() - end <= MAX_LINE
    {
        let read = file.by_ref().take(4096).read_to_end(buffer)?;
        if read == 0 {
            break;
        }
    }
    // A file that was cut meanwhile may have nothing here.
    let newlines = memchr::memchr_iter(b'\n', buffer.get(before..end).unwrap_or_default()).count();
    let mut place = 0;
    let mut number = 1;
    if part > 0 {
        let Some(newline) = memchr::memchr(b'\n', buffer) else { return Ok(newlines) };
        place = newline + 1;
        number += usize::from(newline > 0);
    }
    while place < end {
        let newline = memchr::memchr(b'\n', &buffer[place..]);
        let length = newline.unwrap_or(buffer.len() - place);
        let bytes = &buffer[place..place + length.min(MAX_LINE + 1)];
        let offset = start + (place - before) as u64;
        // Of a line that is too long the end was not read.
        let ended = newline.is_some() || length > MAX_LINE;
        look(Line { file: 0, part, number, offset, bytes, ended });
        place += length + 1;
        number += 1;
    }
    Ok(newlines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fmt::Write as _;

    fn read(text: &[u8]) -> Vec<(usize, u64, usize, bool)> {
        let folder = tempfile::tempdir().unwrap();
        let paths = [folder.path().join("a"), folder.path().join("b")];
        std::fs::File::create(&paths[0]).unwrap();
        std::io::Write::write_all(&mut std::fs::File::create(&paths[1]).unwrap(), text).unwrap();
        let note = |seen: &mut Vec<_>, line: &Line<'_>| {
            assert_eq!(line.file, 1);
            seen.push((line.part, line.number, line.offset, line.bytes.len(), line.ended));
        };
        let (states, counts) = scan(&paths, Vec::new, note).unwrap();
        let lines = states.into_iter().flatten();
        let mut lines: Vec<_> = lines
            .map(|(part, number, offset, length, ended)| {
                (counts.line(1, part, number), offset, length, ended)
            })
            .collect();
        lines.sort_unstable();
        lines
    }

    fn expected(text: &[u8]) -> Vec<(usize, u64, usize, bool)> {
        let mut offset = 0;
        let lines = text.split_inclusive(|byte| *byte == b'\n').enumerate();
        lines
            .map(|(index, line)| {
                let bytes = line.strip_suffix(b"\n").unwrap_or(line);
                let ended = line.ends_with(b"\n") || bytes.len() > MAX_LINE;
                let found = (index + 1, offset, bytes.len().min(MAX_LINE + 1), ended);
                offset += line.len() as u64;
                found
            })
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_line_is_shown_once_with_its_number_wherever_parts_begin(
            lengths in prop::collection::vec(prop_oneof![0..200usize, 60_000..70_000usize, 500_000..1_100_000usize], 0..40),
            shift in 0..3usize,
            ended in any::<bool>(),
        ) {
            let mut text = String::new();
            for length in lengths {
                writeln!(text, "{}", "x".repeat(length)).unwrap();
            }
            // Around the border between two parts each byte counts.
            let border = usize::try_from(PART).unwrap();
            if text.len() > border && text.is_char_boundary(border - 1) {
                text.replace_range(border - 1 - shift..border - shift, "\n");
            }
            if !ended {
                text.pop();
            }
            prop_assert_eq!(read(text.as_bytes()), expected(text.as_bytes()));
        }
    }
}

//! Reads the lines of a file from its start, in bounded memory.

use std::io;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};

use super::union::RawLine;
use crate::record::json::MAX_LINE;

/// The lines of a file, first first.
#[derive(Debug)]
pub(super) struct ForwardLines<R> {
    reader: BufReader<R>,
    offset: u64,
    /// Whether the line that was read last had a newline.
    ended: bool,
}

impl<R: Read> ForwardLines<R> {
    pub(super) fn new(file: R) -> Self {
        Self { reader: BufReader::with_capacity(64 * 1024, file), offset: 0, ended: false }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<RawLine>> {
        let offset = self.offset;
        let mut bytes = Vec::new();
        let mut too_long = false;
        loop {
            let available = self.reader.fill_buf()?;
            if available.is_empty() {
                self.ended = false;
                let nothing = self.offset == offset;
                return Ok((!nothing).then_some(RawLine { offset, bytes, too_long }));
            }
            let newline = memchr::memchr(b'\n', available);
            let taken = newline.unwrap_or(available.len());
            if bytes.len() + taken > MAX_LINE {
                too_long = true;
                bytes.clear();
            } else if !too_long {
                bytes.extend_from_slice(&available[..taken]);
            }
            let used = taken + usize::from(newline.is_some());
            self.reader.consume(used);
            self.offset += used as u64;
            if newline.is_some() {
                self.ended = true;
                return Ok(Some(RawLine { offset, bytes, too_long }));
            }
        }
    }
}

/// Calls `each` with every line of an open file, first first; a line that is too long for a line is
/// left out. `path` is its name in errors.
///
/// # Errors
///
/// [`Error::Io`](super::Error::Io) if the file cannot be read; else what `each` returns.
pub fn each_line<E: From<super::Error>>(
    file: std::fs::File,
    path: &std::path::Path,
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut lines = ForwardLines::new(file);
    while let Some(line) = lines.next().map_err(super::Error::io(super::Verb::Read, path))? {
        if !line.too_long && !line.bytes.is_empty() {
            each(&line.bytes)?;
        }
    }
    Ok(())
}

/// Calls `each` with the whole lines of the file at `path` that begin at `start` or later, until
/// the `budget` of bytes is spent; a line that is too long for a line is left out. Returns where
/// the first line begins that was not read.
///
/// # Errors
///
/// As [`each_line`].
pub fn whole_lines<E: From<super::Error>>(
    path: &std::path::Path,
    start: u64,
    budget: &mut u64,
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<u64, E> {
    let refused = |error| E::from(super::Error::io(super::Verb::Read, path)(error));
    let mut file = std::fs::File::open(path).map_err(refused)?;
    file.seek(SeekFrom::Start(start)).map_err(refused)?;
    let mut lines = ForwardLines::new(file);
    let mut read = 0;
    while *budget > 0 {
        let line = lines.next().map_err(refused)?;
        // What has no newline yet may become a longer line.
        let Some(line) = line.filter(|_| lines.ended) else { break };
        *budget = budget.saturating_sub(lines.offset - read);
        read = lines.offset;
        if !line.too_long && !line.bytes.is_empty() {
            each(&line.bytes)?;
        }
    }
    Ok(start + read)
}

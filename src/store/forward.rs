//! Reads the lines of a file from its start, in bounded memory.

use std::io::{self, BufRead, BufReader, Read};

use super::union::RawLine;
use crate::record::json::MAX_LINE;

/// The lines of a file, first first.
#[derive(Debug)]
pub(super) struct ForwardLines<R> {
    reader: BufReader<R>,
    offset: u64,
}

impl<R: Read> ForwardLines<R> {
    pub(super) fn new(file: R) -> Self {
        Self { reader: BufReader::with_capacity(64 * 1024, file), offset: 0 }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<RawLine>> {
        let offset = self.offset;
        let mut bytes = Vec::new();
        let mut too_long = false;
        loop {
            let available = self.reader.fill_buf()?;
            if available.is_empty() {
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
                return Ok(Some(RawLine { offset, bytes, too_long }));
            }
        }
    }
}

/// Calls `each` with every line of an open file, first first; a line that is too long for a line is left out. `path` is its name in
/// errors.
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

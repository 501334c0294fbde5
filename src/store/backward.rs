//! Reads the lines of a file from its end, in bounded memory, so that the last N cost N.

use std::fs::File;
use std::io;
use std::io::{Read, Seek, SeekFrom};

use super::union::RawLine;
use crate::record::json::MAX_LINE;

/// How much is read first, and how much at a time at most, in bytes. Of most of many files only the
/// last lines are wanted.
const FIRST: u64 = 4 * 1024;
const CHUNK: u64 = 64 * 1024;

/// The lines of a file, last first. What is appended after the file was opened is not seen.
#[derive(Debug)]
pub(super) struct BackwardLines {
    file: File,
    /// Where in the file `buffer` begins.
    base: u64,
    /// Bytes that were read and not yet given out.
    buffer: Vec<u8>,
    /// How long the line at hand is so far, where it is too long to be kept.
    dropped: u64,
    /// How much is read next.
    chunk: u64,
    done: bool,
}

impl BackwardLines {
    pub(super) fn new(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Self::up_to(file, length)
    }

    /// The lines before the byte `end`.
    pub(super) fn up_to(file: File, end: u64) -> io::Result<Self> {
        let mut lines =
            Self { file, base: end, buffer: Vec::new(), dropped: 0, chunk: FIRST, done: end == 0 };
        lines.fill()?;
        if lines.buffer.last() == Some(&b'\n') {
            lines.buffer.pop();
        }
        Ok(lines)
    }

    pub(super) fn next(&mut self) -> io::Result<Option<RawLine>> {
        while !self.done {
            if let Some(newline) = memchr::memrchr(b'\n', &self.buffer) {
                let bytes = self.buffer.split_off(newline + 1);
                self.buffer.pop();
                return Ok(Some(self.line(self.base + newline as u64 + 1, bytes)));
            }
            if self.base == 0 {
                self.done = true;
                let bytes = std::mem::take(&mut self.buffer);
                return Ok(Some(self.line(0, bytes)));
            }
            if self.buffer.len() > MAX_LINE {
                self.dropped += self.buffer.len() as u64;
                self.buffer.clear();
            }
            self.fill()?;
        }
        Ok(None)
    }

    fn line(&mut self, offset: u64, bytes: Vec<u8>) -> RawLine {
        let too_long = std::mem::take(&mut self.dropped) > 0 || bytes.len() > MAX_LINE;
        RawLine { offset, bytes: if too_long { Vec::new() } else { bytes }, too_long }
    }

    /// Reads the chunk before `base` and puts it before the buffer.
    fn fill(&mut self) -> io::Result<()> {
        let size = self.base.min(self.chunk);
        self.chunk = CHUNK.min(4 * self.chunk);
        self.base -= size;
        self.file.seek(SeekFrom::Start(self.base))?;
        let mut bytes = Vec::with_capacity(size as usize + self.buffer.len());
        (&mut self.file).take(size).read_to_end(&mut bytes)?;
        // Somebody may have cut the file; what is gone has no lines.
        bytes.append(&mut self.buffer);
        self.buffer = bytes;
        Ok(())
    }
}

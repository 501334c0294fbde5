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

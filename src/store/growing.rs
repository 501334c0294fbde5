//! A file that grows, read by position: by whole lines, in bounded memory.

use std::fs::{File, Metadata};
use std::io;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::place::{Identity, look};
use super::union::RawLine;
use super::{Error, Verb};
use crate::record::json::MAX_LINE;

/// How much is read at a time, in bytes.
const CHUNK: u64 = 256 * 1024;

/// How many bytes before the position are compared, to notice that the file was written anew in
/// place.
const BEFORE: u64 = 64;

/// An open file, and how far it was read.
#[derive(Debug)]
pub(super) struct Growing {
    pub(super) file: File,
    identity: Identity,
    pub(super) position: Position,
}

/// Where reading goes on: at the start of a line, or within one that is too long and began at
/// `skipping`.
#[derive(Clone, Debug, Default)]
pub(super) struct Position {
    pub(super) offset: u64,
    skipping: Option<u64>,
    /// The bytes that stood before it.
    before: Vec<u8>,
}

/// What stands at a path.
pub(super) enum There {
    /// Nothing that could be a log file.
    Nothing,
    /// The file that is followed.
    Same,
    /// Another one.
    Other(Growing),
}

/// What stands at `path`, where `followed` was read until now.
pub(super) fn stands_at(path: &Path, followed: Option<&Growing>) -> Result<There, Error> {
    let same = |metadata: &Metadata| {
        followed.is_some_and(|followed| followed.identity == Identity::of(metadata))
    };
    match look(path)? {
        Some(metadata) if same(&metadata) => Ok(There::Same),
        _ => Ok(open(path)?.map_or(There::Nothing, |(file, metadata)| {
            There::Other(Growing::from_start(file, &metadata))
        })),
    }
}

/// Opens a file of the log; a link or a folder is none.
pub(super) fn open(path: &Path) -> Result<Option<(File, Metadata)>, Error> {
    if !look(path)?.is_some_and(|metadata| metadata.is_file()) {
        return Ok(None);
    }
    match File::open(path).and_then(|file| Ok((file.metadata()?, file))) {
        Ok((metadata, file)) => Ok(Some((file, metadata))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(Verb::Read, path)(error)),
    }
}

/// Where the last whole line of a file of `length` bytes ends.
fn last_line_end(mut file: &File, length: u64) -> io::Result<Position> {
    let start = length.saturating_sub(MAX_LINE as u64 + BEFORE);
    file.seek(SeekFrom::Start(start))?;
    let mut end = Vec::new();
    file.take(length - start).read_to_end(&mut end)?;
    let whole = memchr::memrchr(b'\n', &end).map_or(0, |newline| newline + 1);
    Ok(if whole == 0 && start > 0 {
        Position { offset: length, skipping: Some(start), before: Vec::new() }
    } else {
        Position { offset: start + whole as u64, skipping: None, before: last_bytes(&end[..whole]) }
    })
}

fn last_bytes(bytes: &[u8]) -> Vec<u8> {
    bytes[bytes.len().saturating_sub(BEFORE as usize)..].to_vec()
}

/// What one read of a file gave.
pub(super) struct Chunk {
    pub(super) lines: Vec<RawLine>,
    /// Where the next read begins.
    pub(super) position: Position,
    pub(super) size: u64,
    pub(super) at_end: bool,
}

impl Growing {
    /// The file, read from its start.
    fn from_start(file: File, metadata: &Metadata) -> Self {
        Self { file, identity: Identity::of(metadata), position: Position::default() }
    }

    /// The file, read from the end of its last whole line.
    pub(super) fn from_end(file: File, metadata: &Metadata) -> io::Result<Self> {
        let position = last_line_end(&file, metadata.len())?;
        Ok(Self { file, identity: Identity::of(metadata), position })
    }

    /// What stands before the position, or `None` if another text stands there than was read.
    pub(super) fn before(&self) -> io::Result<io::Take<File>> {
        let Position { offset, before, .. } = &self.position;
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(offset - before.len() as u64))?;
        let mut there = Vec::with_capacity(before.len());
        (&mut file).take(before.len() as u64).read_to_end(&mut there)?;
        file.rewind()?;
        Ok(file.take(if there == *before { *offset } else { 0 }))
    }

    /// Reads the whole lines of the next chunk, or `None` if another text stands before the
    /// position. A line without an end is left for later.
    pub(super) fn read(&mut self) -> io::Result<Option<Chunk>> {
        let Position { offset, mut skipping, before } = self.position.clone();
        let size = CHUNK + before.len() as u64;
        self.file.seek(SeekFrom::Start(offset - before.len() as u64))?;
        let mut read = Vec::with_capacity(size as usize);
        (&mut self.file).take(size).read_to_end(&mut read)?;
        let shrunk = || Ok::<_, io::Error>(self.file.metadata()?.len() < offset);
        if !read.starts_with(&before) || (before.is_empty() && shrunk()?) {
            return Ok(None);
        }
        let bytes = &read[before.len()..];
        let mut lines = Vec::new();
        let mut start = 0;
        for newline in memchr::memchr_iter(b'\n', bytes) {
            let line = &bytes[start..newline];
            let too_long = skipping.is_some() || line.len() > MAX_LINE;
            let begin = skipping.take().unwrap_or(offset + start as u64);
            lines.push(RawLine {
                offset: begin,
                bytes: if too_long { Vec::new() } else { line.to_vec() },
                too_long,
            });
            start = newline + 1;
        }
        if skipping.is_some() || bytes.len() - start > MAX_LINE {
            skipping.get_or_insert(offset + start as u64);
            start = bytes.len();
        }
        let before =
            if skipping.is_some() { Vec::new() } else { last_bytes(&read[..before.len() + start]) };
        let position = Position { offset: offset + start as u64, skipping, before };
        Ok(Some(Chunk {
            lines,
            position,
            size: bytes.len() as u64,
            at_end: read.len() < size as usize,
        }))
    }
}

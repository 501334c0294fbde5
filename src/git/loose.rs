//! Reads small loose objects, as states of chains are, faster than gix, which maps each into memory: where thousands of them
//! are read by several threads, that alone takes a quarter of the time.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use gix::objs::Kind;
use gix::objs::decode::loose_header;
use gix::zlib::{Inflate, Status};

/// How large a file may be, and the object in it with its header, in bytes; what is larger is left to gix.
const MAX_FILE: usize = 8 * 1024;
const MAX_OBJECT: usize = 32 * 1024;

/// A reader of small loose objects; it keeps its memory for the next one.
pub(super) struct LooseReader {
    inflate: Inflate,
    file: Vec<u8>,
    object: Vec<u8>,
}

impl LooseReader {
    pub(super) fn new() -> Self {
        Self { inflate: Inflate::default(), file: vec![0; MAX_FILE], object: vec![0; MAX_OBJECT] }
    }

    /// The kind and the bytes of the object in the file at `path`; nothing where it is no small and whole object.
    ///
    /// # Errors
    ///
    /// As the system refuses, that there is no such file, too.
    pub(super) fn read(&mut self, path: &Path) -> io::Result<Option<(Kind, &[u8])>> {
        let mut file = File::open(path)?;
        let mut length = 0;
        while length < MAX_FILE {
            match file.read(&mut self.file[length..])? {
                0 => break,
                more => length += more,
            }
        }
        self.inflate.reset();
        let Ok((Status::StreamEnd, _, size)) = self.inflate.once(&self.file[..length], &mut self.object) else { return Ok(None) };
        let object = &self.object[..size];
        let Ok((kind, said, header)) = loose_header(object) else { return Ok(None) };
        let body = &object[header..];
        Ok((body.len() as u64 == said).then_some((kind, body)))
    }
}

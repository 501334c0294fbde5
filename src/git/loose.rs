//! Loose objects. Small ones, as states of chains are, are read faster than gix does, which maps
//! each into memory: if several threads read thousands of them, that alone takes a quarter of the
//! time. They are written so that a power loss leaves a whole object or none, which gix does not
//! promise.

use std::fs::File;
use std::io;
use std::io::{Read, Write};
use std::path::Path;

use gix::objs::{Kind, decode, encode};
use gix::zlib::stream::deflate;
use gix::zlib::{Compression, Inflate, Status};

/// How large a file may be, and the object in it with its header, in bytes; what is larger is left
/// to gix.
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

    /// The kind and the bytes of the object in the file at `path`, or `None` if it is no small and
    /// whole object.
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
        let Ok((Status::StreamEnd, _, size)) =
            self.inflate.once(&self.file[..length], &mut self.object)
        else {
            return Ok(None);
        };
        let object = &self.object[..size];
        let Ok((kind, said, header)) = decode::loose_header(object) else { return Ok(None) };
        let body = &object[header..];
        Ok((body.len() as u64 == said).then_some((kind, body)))
    }
}

/// Writes the object of this kind and these bytes into the file at `path`: beside it, synced,
/// renamed. The folder is not synced: a sync of whatever is written after it commits the name, too
/// (docs/design.md, section 1.1).
///
/// # Errors
///
/// As the system refuses; no other file than one called `tmp_obj_…` is then left.
pub(super) fn write(path: &Path, kind: Kind, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    let mut builder = tempfile::Builder::new();
    builder.prefix("tmp_obj_");
    read_only(&mut builder);
    let beside = match builder.tempfile_in(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Another process may be faster.
            std::fs::create_dir(folder)
                .or_else(|error| if folder.is_dir() { Ok(()) } else { Err(error) })?;
            builder.tempfile_in(folder)?
        }
        beside => beside?,
    };
    let mut stream = deflate::Write::new(beside, Compression::BEST_SPEED);
    stream.write_all(&encode::loose_header(kind, bytes.len() as u64))?;
    stream.write_all(bytes)?;
    stream.flush()?;
    let beside = stream.into_inner();
    beside.as_file().sync_all()?;
    beside.persist(path).map(drop).map_err(|error| error.error)
}

/// Objects are for nobody to write, as git has it.
#[cfg(unix)]
fn read_only(builder: &mut tempfile::Builder<'_, '_>) {
    use std::os::unix::fs::PermissionsExt;
    builder.permissions(std::fs::Permissions::from_mode(0o444));
}

#[cfg(not(unix))]
fn read_only(_builder: &mut tempfile::Builder<'_, '_>) {}

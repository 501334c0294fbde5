//! A named position in the log that outlives its watcher: which events were shown (docs/design.md,
//! section 6).
//!
//! A place in a file would not do: git replaces files, merges bring lines into their middle,
//! worktrees come and go. So a cursor holds 16 bytes for each event that was shown. The file is
//! this clone's alone; losing it shows events again.

use std::fs::{File, OpenOptions};
use std::io;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use super::known::{Known, Namer, RECORD, hashes, record};
use super::{Clones, Error, Follow, Fresh, Place, Verb};

/// What a cursor's file begins with, before the two keys of its hashes.
const MAGIC: &[u8; 8] = b"buscur1\n";

/// A cursor, held by one watcher.
#[derive(Debug)]
pub struct Cursor {
    file: File,
    path: PathBuf,
    namer: Option<Namer>,
}

impl Cursor {
    /// Takes the cursor at `place`. Where it has shown events before, the log is followed from
    /// there.
    ///
    /// # Errors
    ///
    /// [`Error::CursorInUse`] if another process holds it; [`Error::Io`] or [`Error::WrongKind`]
    /// where its file cannot be used.
    pub fn open(place: &Place, clones: Clones) -> Result<(Self, Option<Follow>), Error> {
        place.make_folders()?;
        place.inspect()?;
        let path = place.path();
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(Error::io(Verb::Write, &path))?;
        if let Err(error) = fs2::FileExt::try_lock_exclusive(&file) {
            return Err(match error.kind() {
                io::ErrorKind::WouldBlock => Error::CursorInUse { path },
                _ => Error::io(Verb::Lock, &path)(error),
            });
        }
        let mut cursor = Self { file, path, namer: None };
        let known = cursor.read().map_err(Error::io(Verb::Read, &cursor.path))?;
        cursor.namer = known.as_ref().map(Known::namer);
        Ok((cursor, known.map(|known| Follow::from_known(known, clones))))
    }

    /// Whether it has shown nothing yet.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.namer.is_none()
    }

    /// Everything that was shown, or `None` if the cursor is new.
    fn read(&mut self) -> io::Result<Option<Known>> {
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let Some(rest) = bytes.strip_prefix(MAGIC).filter(|rest| rest.len() >= RECORD) else {
            // What was shown is forgotten, so everything comes again: nothing is skipped.
            let namer = Namer::random();
            self.write(namer, &[])?;
            return Ok(Some(Known::of(namer, [])));
        };
        let (first, second) = hashes(&rest[..RECORD]);
        let shown = rest[RECORD..].chunks_exact(RECORD);
        // A watcher that was killed may have left a part of one.
        let whole = bytes.len() - shown.remainder().len();
        self.file.set_len(whole as u64)?;
        self.file.seek(SeekFrom::End(0))?;
        Ok(Some(Known::of(Namer { keys: [first, second] }, shown.map(hashes))))
    }

    /// Begins a new cursor: all that `follow` has read counts as shown.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the log cannot be read or the cursor not be written.
    pub fn begin(&mut self, follow: &mut Follow) -> Result<(), Error> {
        follow.learn()?;
        let namer = follow.known().namer();
        let shown: Vec<u8> = follow.known().lines().flat_map(record).collect();
        self.namer = Some(namer);
        self.write(namer, &shown).map_err(Error::io(Verb::Write, &self.path))
    }

    /// Writes a whole cursor.
    fn write(&mut self, namer: Namer, shown: &[u8]) -> io::Result<()> {
        let header = [MAGIC.as_slice(), &record((namer.keys[0], namer.keys[1]))].concat();
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(&[&header, shown].concat())
    }

    /// Notes that `fresh` was shown.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the cursor cannot be written.
    pub fn shown(&mut self, fresh: &Fresh) -> Result<(), Error> {
        let Some(namer) = self.namer else { return Ok(()) };
        let entries = fresh.entries.iter().map(|entry| namer.hashes(&entry.line));
        // One that is no event, or clashes with one, is known by its bytes.
        let bad = fresh
            .bad
            .iter()
            .map(|bad| namer.hashes(&bad.known_by).1)
            .map(|content| (content, content));
        let records: Vec<u8> = entries.chain(bad).flat_map(record).collect();
        self.file.write_all(&records).map_err(Error::io(Verb::Write, &self.path))
    }
}

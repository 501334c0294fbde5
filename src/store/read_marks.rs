//! Which messages an agent has read.
//!
//! A time would not do: it would hide messages of the same second, and those that a merge brings
//! late. So 16 bytes are kept for each message that was read, a hash of its id and one of its
//! bytes. What is damaged is forgotten: then messages are shown again, and none is hidden.

use std::collections::BTreeSet;

use super::known::{Hashes, Namer, RECORD, hashes, record};
use super::{Error, Lock, Place, replace};

/// What the file begins with, before the two keys of its hashes.
const MAGIC: &[u8; 8] = b"busread1";

/// The messages that an agent has read.
#[derive(Debug)]
pub struct ReadMarks {
    namer: Namer,
    read: BTreeSet<Hashes>,
}

impl ReadMarks {
    /// What the file at `place` remembers, or `None` if it is missing or damaged.
    ///
    /// # Errors
    ///
    /// [`Error::WrongKind`] if no file can be there; [`Error::Io`] if it cannot be read.
    pub fn at(place: &Place) -> Result<Self, Error> {
        let bytes = place.read(usize::MAX - 1)?.unwrap_or_default();
        let Some(rest) = bytes.strip_prefix(MAGIC).filter(|rest| rest.len() >= RECORD) else {
            return Ok(Self { namer: Namer::random(), read: BTreeSet::new() });
        };
        let (keys, marks) = rest.split_at(RECORD);
        let (first, second) = hashes(keys);
        Ok(Self {
            namer: Namer { keys: [first, second] },
            read: marks.chunks_exact(RECORD).map(hashes).collect(),
        })
    }

    /// Whether this very line was read.
    #[must_use]
    pub fn has(&self, line: &[u8]) -> bool {
        self.read.contains(&self.namer.hashes(line))
    }

    /// Remembers in the file at `place` that `lines` were read, beside all that others have noted
    /// there meanwhile.
    ///
    /// # Errors
    ///
    /// As [`replace`]: what was remembered before still is.
    pub fn add<'a>(
        _held: &Lock,
        place: &Place,
        lines: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(), Error> {
        let mut marks = Self::at(place)?;
        let before = marks.read.len();
        marks.read.extend(lines.into_iter().map(|line| marks.namer.hashes(line)));
        if marks.read.len() == before { Ok(()) } else { replace(place, &marks.to_bytes()) }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let keys = (self.namer.keys[0], self.namer.keys[1]);
        let mut bytes = MAGIC.to_vec();
        bytes.extend(std::iter::once(keys).chain(self.read.iter().copied()).flat_map(record));
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;
    use std::time::Duration;

    const LINES: [&[u8]; 3] =
        [br#"{"id":"1","summary":"a"}"#, br#"{"id":"2"}"#, br#"{"summary":"without id"}"#];

    fn marked(lines: &[&[u8]]) -> (tempfile::TempDir, Place, Lock) {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::new(folder.path(), "bus/inbox/a");
        let lock =
            Lock::acquire(&Place::new(folder.path(), "lock"), "test", Duration::ZERO, |_| {})
                .unwrap();
        ReadMarks::add(&lock, &place, lines.iter().copied()).unwrap();
        (folder, place, lock)
    }

    #[test]
    fn what_is_read_is_known_and_nothing_else() {
        let (_folder, place, lock) = marked(&LINES[..2]);
        let marks = ReadMarks::at(&place).unwrap();
        assert_eq!(LINES.map(|line| marks.has(line)), [true, true, false]);
        assert!(
            !marks.has(br#"{"id":"1","summary":"forged"}"#),
            "another message with the same id is not hidden"
        );
        ReadMarks::add(&lock, &place, [LINES[2]]).unwrap();
        let marks = ReadMarks::at(&place).unwrap();
        assert_eq!(LINES.map(|line| marks.has(line)), [true; 3]);
    }

    #[test]
    fn a_file_that_was_cut_or_damaged_anywhere_hides_no_message_and_takes_new_marks() {
        let (_folder, place, lock) = marked(&LINES[..2]);
        let whole = fs::read(place.path()).unwrap();
        let put = |bytes: &[u8]| fs::File::create(place.path()).unwrap().write_all(bytes).unwrap();
        let damaged =
            (0..whole.len()).map(|at| [&whole[..at], &[!whole[at]], &whole[at + 1..]].concat());
        let cut = (0..whole.len()).map(|at| whole[..at].to_vec());
        for bytes in damaged.chain(cut) {
            put(&bytes);
            assert!(!ReadMarks::at(&place).unwrap().has(LINES[2]));
            ReadMarks::add(&lock, &place, [LINES[2]]).unwrap();
            assert!(ReadMarks::at(&place).unwrap().has(LINES[2]));
        }
    }
}

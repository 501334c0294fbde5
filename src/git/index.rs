//! A look into a worktree's index, as git writes it (gitformat-index(5)), that ends where the
//! wanted path would stand: most indexes are long, and `_bus/` comes early.

use std::io;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use gix::bstr::BStr;

/// What an index file begins with.
const MAGIC: &[u8] = b"DIRC";

/// What stands before an entry's name: stat data and mode, the object's id (SHA-1), flags.
const BEFORE_NAME: usize = 40 + 20 + 2;

/// More than a path may have.
const MAX_NAME: u64 = 1 << 20;

/// Whether an entry has a second word of flags.
const EXTENDED: u16 = 0x4000;

/// What the entries of an index say of a path.
pub(super) enum Found {
    /// There is an entry.
    Yes,
    /// There is none.
    No,
    /// The file is of a version whose entries are not read here.
    Unknown,
}

/// Looks for `path` among the entries of the index at `file`. A file that does not exist has none.
pub(super) fn find(file: &Path, path: &BStr) -> io::Result<Found> {
    let file = match std::fs::File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::No),
        file => file?,
    };
    let mut reader = BufReader::with_capacity(64 * 1024, file);
    let mut head = [0; 12];
    reader.read_exact(&mut head)?;
    let (version, count) = (number(&head[4..8]), number(&head[8..12]));
    // Version 4 shortens names by what they share with the one before.
    if !head.starts_with(MAGIC) || !(2..=3).contains(&version) {
        return Ok(Found::Unknown);
    }
    let (mut entry, mut name) = ([0; BEFORE_NAME], Vec::new());
    for _ in 0..count {
        reader.read_exact(&mut entry)?;
        let flags = u16::from_be_bytes([entry[BEFORE_NAME - 2], entry[BEFORE_NAME - 1]]);
        let more = if version == 3 && flags & EXTENDED != 0 { 2 } else { 0 };
        reader.read_exact(&mut [0; 2][..more])?;
        // A name ends with a zero byte.
        name.clear();
        let read = reader.by_ref().take(MAX_NAME).read_until(0, &mut name)?;
        if name.pop() != Some(0) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // All entries begin at a multiple of eight bytes.
        let padding = (8 - (BEFORE_NAME + more + read) % 8) % 8;
        reader.read_exact(&mut [0; 8][..padding])?;
        match name.as_slice().cmp(path) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => return Ok(Found::Yes),
            std::cmp::Ordering::Greater => return Ok(Found::No),
        }
    }
    Ok(Found::No)
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

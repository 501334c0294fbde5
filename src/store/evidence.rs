//! Looks at the files that receipts name: whether they are there, and whether they are what they
//! were.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256 as Hasher};

use super::{Error, Place, Verb};
use crate::record::{Receipts, Sha256};

/// How much of a file is in memory at a time, in bytes.
const CHUNK: usize = 64 * 1024;

/// What became of a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// It is there, and is what it was where that was noted.
    There,
    /// It is there, and is not what it was.
    Changed {
        /// Its sum now.
        now: Sha256,
    },
    /// It is no file of this worktree.
    Gone,
}

impl Evidence {
    /// Looks at the file that `receipt` names below `root`, which had the sum `noted`; what was
    /// summed up once is not read again.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file is there and cannot be read.
    pub fn of(
        root: &Path,
        receipt: &str,
        noted: Option<&Sha256>,
        sums: &Sums,
    ) -> Result<Self, Error> {
        let there =
            receipt_place(root, receipt).filter(|place| matches!(place.inspect(), Ok(Some(_))));
        let (Some(place), Some(noted)) = (&there, noted) else {
            return Ok(if there.is_some() { Self::There } else { Self::Gone });
        };
        let found = sums.of(place)?;
        Ok(if found.is(noted) { Self::There } else { Self::Changed { now: found.meant() } })
    }

    /// Looks at all receipts of a step or of a plan, in their order.
    pub fn of_all<'a>(
        root: &Path,
        receipts: &'a Receipts,
        sums: &Sums,
    ) -> impl Iterator<Item = (&'a str, Result<Self, Error>)> {
        receipts
            .paths
            .iter()
            .map(|path| (path.as_str(), Self::of(root, path, receipts.hashes.get(path), sums)))
    }

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::There => "there",
            Self::Changed { .. } => "changed",
            Self::Gone => "gone",
        }
    }
}

/// The sum of a file. A pointer of Git LFS stands for the file that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSum {
    own: Sha256,
    named: Option<Sha256>,
}

impl FileSum {
    /// The sum of a file that has these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self { own: sha256_of(bytes), named: named_by_pointer(bytes) }
    }

    /// Whether the file, or the one that it stands for, has the sum `noted`.
    #[must_use]
    pub fn is(self, noted: &Sha256) -> bool {
        self.own == *noted || self.named.as_ref() == Some(noted)
    }

    /// The sum of the file that it stands for, else its own.
    #[must_use]
    pub fn meant(self) -> Sha256 {
        self.named.unwrap_or(self.own)
    }
}

/// The longest pointer of Git LFS, in bytes (git-lfs, "Git LFS Specification": the pointer).
const MAX_POINTER: u64 = 1024;

/// The sum of the file that a pointer of Git LFS names; `None` if it is no pointer.
fn named_by_pointer(bytes: &[u8]) -> Option<Sha256> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() as u64 <= MAX_POINTER)?;
    let mut lines = text.lines();
    if lines.next() != Some("version https://git-lfs.github.com/spec/v1") {
        return None;
    }
    lines.find_map(|line| line.strip_prefix("oid sha256:"))?.parse().ok()
}

/// The sums of files, each read once however often it is named: a few bytes of a plan name a large
/// file again.
#[derive(Debug, Default)]
pub struct Sums(Mutex<HashMap<PathBuf, FileSum>>);

impl Sums {
    fn of(&self, place: &Place) -> Result<FileSum, Error> {
        let path = place.path();
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&path) {
            return Ok(*known);
        }
        let sum = file_sum(place)?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(path, sum);
        Ok(sum)
    }
}

/// The file below `root` that a receipt names, or `None` if its path leads out.
fn receipt_place(root: &Path, receipt: &str) -> Option<Place> {
    let mut parts = Vec::new();
    for part in Path::new(receipt).components() {
        match part {
            // What is git's own is in nobody's commits.
            Component::Normal(part) if part.eq_ignore_ascii_case(".git") => return None,
            Component::Normal(part) => parts.push(part),
            Component::CurDir => {}
            _ => return None,
        }
    }
    (!parts.is_empty()).then(|| Place::new(root, parts.iter().collect::<PathBuf>()))
}

/// The sum of a file.
///
/// # Errors
///
/// [`Error::Io`] if it cannot be read.
pub fn file_sum(place: &Place) -> Result<FileSum, Error> {
    let path = place.path();
    let length = path.metadata().map_err(Error::io(Verb::Read, &path))?.len();
    if length <= MAX_POINTER {
        return Ok(FileSum::of(&std::fs::read(&path).map_err(Error::io(Verb::Read, &path))?));
    }
    Ok(FileSum { own: sha256(place)?, named: None })
}

/// The SHA-256 of a file, which is read piece by piece.
///
/// # Errors
///
/// [`Error::Io`] if it cannot be read.
pub fn sha256(place: &Place) -> Result<Sha256, Error> {
    let path = place.path();
    let mut file = File::open(&path).map_err(Error::io(Verb::Read, &path))?;
    let (mut hasher, mut chunk) = (Hasher::new(), vec![0; CHUNK]);
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(Sha256::new(hasher.finalize().into())),
            Ok(size) => hasher.update(&chunk[..size]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io(Verb::Read, &path)(error)),
        }
    }
}

/// The SHA-256 of `bytes`.
#[must_use]
pub fn sha256_of(bytes: &[u8]) -> Sha256 {
    Sha256::new(Hasher::digest(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_stands_for_the_file_that_it_names() {
        let oid = sha256_of(b"the log");
        let pointer =
            format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 7\n");
        let sum = FileSum::of(pointer.as_bytes());
        assert!(sum.is(&oid) && sum.is(&sha256_of(pointer.as_bytes())) && sum.meant() == oid);
        for other in [
            pointer.replace("v1", "v2"),
            format!(" {pointer}"),
            pointer.replace("sha256:", "md5:"),
            pointer.replace(&oid.to_string(), "0123"),
            pointer.clone() + &"x ".repeat(600),
            "the log".to_owned(),
        ] {
            let sum = FileSum::of(other.as_bytes());
            assert_eq!(sum.meant(), sha256_of(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn evidence_is_there_changed_or_gone() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        crate::store::replace(&Place::new(root, "logs/a"), &vec![b'x'; CHUNK + 1]).unwrap();
        let (right, wrong) = (sha256_of(&vec![b'x'; CHUNK + 1]), sha256_of(b""));
        assert_eq!(
            wrong.to_string(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        let look = |receipt: &str, noted: Option<&Sha256>| {
            Evidence::of(root, receipt, noted, &Sums::default()).unwrap()
        };
        assert_eq!(look("logs/a", None), Evidence::There);
        assert_eq!(look("./logs/a", Some(&right)), Evidence::There);
        assert_eq!(look("logs/a", Some(&wrong)), Evidence::Changed { now: right });
        crate::store::replace(&Place::new(root, ".git/a"), b"x").unwrap();
        crate::store::replace(&Place::new(root, "sub/.GIT/a"), b"x").unwrap();
        for gone in [
            ".git/a",
            "sub/.GIT/a",
            "",
            ".",
            "logs",
            "logs/b",
            "logs/a/b",
            "../logs/a",
            "/etc/hostname",
            "logs/../logs/a",
            "a\0b",
        ] {
            assert_eq!(look(gone, Some(&right)), Evidence::Gone, "{gone:?}");
        }
    }
}

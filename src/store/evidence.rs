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
        let now = sums.of(place)?;
        Ok(if now == *noted { Self::There } else { Self::Changed { now } })
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

/// The sums of files, each read once however often it is named: a few bytes of a plan name a large
/// file again.
#[derive(Debug, Default)]
pub struct Sums(Mutex<HashMap<PathBuf, Sha256>>);

impl Sums {
    fn of(&self, place: &Place) -> Result<Sha256, Error> {
        let path = place.path();
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&path) {
            return Ok(*known);
        }
        let sum = sha256(place)?;
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

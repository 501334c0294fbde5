//! Evidence: files that prove work, found where they are or stored below `_report/`. It is never
//! edited and never replaced.

use std::path::{Path, PathBuf};

use super::plan_fault::PlanFault;
use crate::bus::Error;
use crate::bus::workspace::{NamedPath, Workspace, named_path};
use crate::record::{ReceiptName, Sha256, TaskId};
use crate::store::{Error as StoreError, Place, crash_point, create, file_sum, sha256, sha256_of};

/// How large a file may be that is stored, in bytes.
pub(crate) const MAX_RECEIPT: usize = 16 * 1024 * 1024;

/// The file of refused actions, beside the folders of receipts.
pub(in crate::bus) const REFUSALS: &str = "errors.jsonl";

/// How many files of one name are looked at before somebody must find another name.
const MAX_SAME_NAME: usize = 1000;

/// A file of this worktree that proves something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedReceipt {
    /// Its path below the repository's root, with `/` between folders.
    pub(crate) path: String,
    /// What it is.
    pub(crate) hash: Sha256,
}

/// What `bus receipt add` asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AddReceipt<'a> {
    /// What the file shall be called.
    pub(crate) name: &'a ReceiptName,
    /// What is in it.
    pub(crate) bytes: &'a [u8],
    /// The task that it is about.
    pub(crate) task: Option<&'a TaskId>,
    /// The plan that it is about, by its id or a part of it.
    pub(crate) plan: Option<&'a str>,
}

/// A stored receipt.
#[derive(Debug)]
pub(crate) struct AddedReceipt {
    /// Where it is, and what.
    pub(crate) receipt: NamedReceipt,
    /// Whether it was there already.
    pub(crate) unchanged: bool,
    /// Why the task's heartbeat, which was due, could not be given.
    pub(crate) pulse: Option<Error>,
}

/// The file that somebody who stands in the folder `standing` calls `given`: from there, as git
/// understands paths, else from the worktree's root, as `bus` prints them.
///
/// # Errors
///
/// [`PlanFault::NoReceipt`] if it is not there; [`Error::Usage`] if it is no regular file of
/// this worktree.
pub(crate) fn receipt(ws: &Workspace, standing: &Path, given: &str) -> Result<NamedReceipt, Error> {
    let mut candidates = Vec::new();
    for from in [standing, ws.layout.root()] {
        candidates.extend(below(ws, from, given)?);
    }
    if candidates.is_empty() {
        return Err(unusable(given, "is not in this worktree"));
    }
    let mut wrong_kind = None;
    for place in candidates.into_iter().map(|relative| ws.layout.place(relative)) {
        match place.inspect() {
            Ok(Some(_)) => {
                return Ok(NamedReceipt {
                    path: spell(&place, given)?,
                    hash: file_sum(&place)?.meant(),
                });
            }
            Ok(None) => {}
            Err(StoreError::WrongKind { found, .. }) => wrong_kind = Some(found),
            Err(error) => return Err(error.into()),
        }
    }
    Err(wrong_kind.map_or_else(
        || PlanFault::NoReceipt { path: given.to_owned() }.into(),
        |found| unusable(given, &format!("is {found}, or has one on the way")),
    ))
}

/// Whether git will not commit the file at `path`, so that it proves nothing elsewhere.
#[must_use]
pub(crate) fn is_ignored(ws: &Workspace, path: &str) -> bool {
    ws.repo.ignores(path).unwrap_or(false)
}

/// Stores a receipt in a folder, under the first name that is free, unless it is there already.
pub(in crate::bus) fn store_receipt(
    ws: &Workspace,
    folder: &Place,
    request: AddReceipt<'_>,
) -> Result<(NamedReceipt, bool), Error> {
    let hash = sha256_of(request.bytes);
    for number in 1..=MAX_SAME_NAME {
        let place = ws.layout.place(folder.relative().join(numbered(request.name, number)));
        let path = spell(&place, request.name.as_str())?;
        match place.inspect()? {
            None => {
                create(&place, request.bytes)?;
                crash_point("receipt-stored");
                return Ok((NamedReceipt { path, hash }, false));
            }
            Some(metadata)
                if metadata.len() == request.bytes.len() as u64 && sha256(&place)? == hash =>
            {
                return Ok((NamedReceipt { path, hash }, true));
            }
            Some(_) => {}
        }
    }
    let what = format!("there are {MAX_SAME_NAME} receipts called `{}` already", request.name);
    Err(Error::Usage { what, hint: "call it otherwise with `--name`".to_owned() })
}

/// The name of the file that comes so many-th: `tests-2.log`.
fn numbered(name: &ReceiptName, number: usize) -> String {
    let (stem, end) = match name.as_str().rfind('.') {
        Some(dot) => name.as_str().split_at(dot),
        None => (name.as_str(), ""),
    };
    if number == 1 { name.to_string() } else { format!("{stem}-{number}{end}") }
}

/// The path in this worktree of what somebody in the folder `from` calls `given`, or `None` if it
/// leads out, to the root itself, or to git's own.
fn below(ws: &Workspace, from: &Path, given: &str) -> Result<Option<PathBuf>, Error> {
    let NamedPath::Inside { name, is_here: true, .. } = named_path(ws, from, Path::new(given))?
    else {
        return Ok(None);
    };
    let is_gits = name.components().any(|part| part.as_os_str().eq_ignore_ascii_case(".git"));
    Ok(Some(name).filter(|name| !is_gits && !name.as_os_str().is_empty()))
}

/// The path of a receipt as records have it.
fn spell(place: &Place, given: &str) -> Result<String, Error> {
    let parts: Option<Vec<&str>> = place.relative().iter().map(|part| part.to_str()).collect();
    parts.map(|parts| parts.join("/")).ok_or_else(|| unusable(given, "has a path that is no UTF-8"))
}

fn unusable(given: &str, why: &str) -> Error {
    let hint = "name a regular file of this worktree; `bus receipt add FILE` stores a copy of any file there".to_owned();
    Error::Usage { what: format!("`{given}` {why}, so it is no receipt"), hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_file_of_a_name_gets_a_number_before_its_end() {
        for (name, second) in [("a.log", "a-2.log"), ("a", "a-2"), ("a.tar.gz", "a.tar-2.gz")] {
            let name = ReceiptName::new(name).unwrap();
            assert_eq!(
                (numbered(&name, 1), numbered(&name, 2)),
                (name.to_string(), second.to_owned())
            );
        }
    }
}

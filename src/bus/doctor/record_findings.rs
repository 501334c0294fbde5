//! What `bus doctor` finds of where records are kept.

use super::examine::{Cure, Finding, finding};
use crate::bus::workspace::{Mode, Note, Workspace};
use crate::bus::{Error, setup};
use crate::record::{IGNORE_FILE, RECORD_FOLDERS};

/// Whether this worktree has no more of a bus than copies, which stay behind on a branch without
/// one.
pub(super) fn has_only_copies(ws: &Workspace) -> Result<bool, Error> {
    Ok(ws.reading_mode() == Mode::Untracked && ws.layout.config().inspect()?.is_none())
}

/// What keeps records from being where the mode has them.
pub(super) fn examine_records(ws: &Workspace, findings: &mut Vec<Finding>) -> Result<(), Error> {
    if !ws.layout.has_bus() {
        return Ok(());
    }
    match ws.reading_mode() {
        Mode::Untracked if has_only_copies(ws)? => {
            if !setup::record_copies(ws)?.is_empty() && !ws.ignores_records() {
                let what =
                        "this branch has no bus, and git shows copies of records that another branch's bus left".to_owned();
                findings.push(finding(
                    "leftover-copies",
                    "_bus".to_owned(),
                    what,
                    Some(Cure::RemoveCopies),
                ));
            }
            Ok(())
        }
        Mode::Untracked => {
            if !ws.ignores_records() {
                let what = "it does not cover the records, so `bus` writes no copies of them here"
                    .to_owned();
                let found =
                    finding("uncovered-records", IGNORE_FILE.to_owned(), what, cure_of_ignore(ws)?);
                findings.push(
                    found.advise("let it say what `bus init` writes: remove it and run `bus init`"),
                );
            }
            mention_frozen(ws)
        }
        Mode::Tracked => {
            if let Some(place) = ws.ignored_records()? {
                let what =
                    "git ignores it, so the records of this bus cannot be committed".to_owned();
                let advice = "add the line `!/_bus/**` to the `.gitignore` that hides it, or run `bus init --untracked`";
                findings.push(finding("ignored-records", place, what, None).advise(advice));
            }
            Ok(())
        }
        Mode::Older => {
            if let Some(place) = ws.ignored_records()? {
                let what = "git ignores it, so the log of this bus cannot be committed".to_owned();
                let advice = "`bus init --untracked` keeps records out of the branches; nothing is lost either way";
                findings.push(finding("ignored-records", place, what, None).advise(advice));
            }
            Ok(())
        }
    }
}

/// Writes `_bus/.gitignore` if there is none; one that says something else is somebody's.
fn cure_of_ignore(ws: &Workspace) -> Result<Option<Cure>, Error> {
    let is_there = ws.layout.place(IGNORE_FILE).inspect()?.is_some();
    Ok((!is_there).then_some(Cure::IgnoreRecords))
}

/// Says how record files can go that are still committed, once no branch changes them.
fn mention_frozen(ws: &Workspace) -> Result<(), Error> {
    let folders =
        RECORD_FOLDERS.into_iter().chain(["locks"]).map(|folder| format!("_bus/{folder}"));
    let frozen: Vec<String> = folders.filter(|folder| ws.repo.head_has(folder)).collect();
    if frozen.is_empty() {
        return Ok(());
    }
    let changing = ws.repo.history()?.branches_that_change(&frozen)?;
    let names = frozen.join(" ");
    ws.notes.add(Note::Advice(match changing.as_slice() {
            [] => format!("committed records are read and do not change any more; `git rm -r --cached {names}` takes them out"),
            [branch, others @ ..] => {
                let more = match others.len() {
                    0 => String::new(),
                    1 => " and one more branch".to_owned(),
                    number => format!(" and {number} more branches"),
                };
                format!("committed records stay while branches change them: `{branch}`{more}; merge or delete them first")
            }
        }));
    Ok(())
}

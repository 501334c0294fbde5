//! The files of claims: the record's, a worktree's, and the one that decides if there is no ref.

use std::collections::HashMap;
use std::path::Path;

use super::{ClaimFault, assignment};
use crate::bus::Error;
use crate::bus::workspace::{Note, Workspace};
use crate::git::RefName;
use crate::record::json::MAX_RECORD;
use crate::record::{Claim, Fault, Id, IdKind, TaskId};
use crate::store::{Layout, Place, names};

/// A claim file, read.
#[derive(Clone, Debug)]
pub(in crate::bus) struct FileClaim {
    pub(in crate::bus) place: Place,
    pub(in crate::bus) bytes: Vec<u8>,
    pub(in crate::bus) claim: Claim,
}

/// Without a ref: the existing spelling, if there is one, and the file of the highest revision in
/// the record and in all that counts as it.
pub(super) fn stand_in(
    ws: &Workspace,
    asked: &TaskId,
    files: Option<&ClaimFiles>,
) -> Result<(Option<TaskId>, Option<FileClaim>), Error> {
    let layouts = ws.record_layouts().iter().enumerate();
    // If the files of worktrees are records themselves, what was imported from them is only as good
    // as the higher revision.
    let reads_worktrees = ws.reading_mode().reads_worktrees();
    let is_imported = |layout: &Layout| {
        reads_worktrees && ws.branch_records().iter().any(|known| known.root() == layout.root())
    };
    let (imported, own): (Vec<_>, Vec<_>) = layouts.partition(|(_, layout)| is_imported(layout));
    let mut best = highest(ws, own, asked, files)?;
    if !imported.is_empty() {
        match (highest(ws, imported, asked, files), &best) {
            (Ok(Some(file)), Some(known)) if file.claim.revision > known.claim.revision => {
                best = Some(file)
            }
            (_, Some(_)) => {}
            (file, None) => best = file?,
        }
    }
    if let Some(file) = &best {
        return Ok((Some(file.claim.task_id.clone()), best));
    }
    if let Some(files) = files {
        return Ok((files.assigned.get(asked).cloned(), None));
    }
    for folder in assignment::assignment_folders(ws) {
        if let Some(task) = spellings(&folder, asked)?.pop() {
            return Ok((Some(task), None));
        }
    }
    Ok((None, None))
}

/// The file of the highest revision in these layouts, each with its place among all of them.
fn highest(
    ws: &Workspace,
    layouts: Vec<(usize, &Layout)>,
    asked: &TaskId,
    files: Option<&ClaimFiles>,
) -> Result<Option<FileClaim>, Error> {
    let mut best: Option<FileClaim> = None;
    let mut is_recorded = false;
    for (index, layout) in layouts {
        let tasks = match files {
            Some(files) => files.spellings(index, asked),
            None => spellings(&layout.claims(), asked)?,
        };
        for task in tasks {
            let file = match file_claim(ws, layout, &task) {
                // What the record says decides beside a file that a merge, or git at work, has left
                // so.
                Err(Error::Malformed { .. }) if is_recorded => continue,
                file => file?,
            };
            let Some(file) = file else { continue };
            is_recorded |= layout.root() == ws.record.root();
            best = Some(match best {
                Some(best) => higher(ws, best, file)?,
                None => file,
            });
        }
    }
    Ok(best)
}

/// The names of all claim files and assignments that count as records. A folder that cannot be read
/// is mentioned.
pub(in crate::bus) fn claim_files(ws: &Workspace) -> ClaimFiles {
    let mut files = ClaimFiles::default();
    for (index, layout) in ws.record_layouts().iter().enumerate() {
        for task in ids_in(ws, &layout.claims()) {
            files.claims.entry(task.clone()).or_default().push((index, task));
        }
    }
    for name in ws.repo.claimed_tasks().unwrap_or_default() {
        if let Some(task) = TaskId::new(&*name).ok().filter(|task| !task.has_usual_number()) {
            files
                .other_refs
                .entry(task)
                .or_default()
                .extend(RefName::own(&format!("claims/{name}")));
        }
    }
    for task in assignment::assignment_folders(ws).iter().flat_map(|folder| ids_in(ws, folder)) {
        files.assigned.entry(task.clone()).or_insert(task);
    }
    files
}

/// The ids that have a record in `folder`. A folder that cannot be read is mentioned, and counts as
/// empty for this look only.
pub(in crate::bus) fn ids_in<K: IdKind>(ws: &Workspace, folder: &Path) -> Vec<Id<K>> {
    ids(folder).unwrap_or_else(|error| {
        ws.notes.add(Note::Unreadable(error));
        Vec::new()
    })
}

/// The claim file of `task` in a worktree.
pub(in crate::bus) fn file_claim(
    ws: &Workspace,
    layout: &Layout,
    task: &TaskId,
) -> Result<Option<FileClaim>, Error> {
    let place = layout.claim(task);
    let Some(bytes) = place.read(MAX_RECORD)? else { return Ok(None) };
    let claim = parse(&bytes, task).map_err(Error::malformed(ws.show(&place), &bytes))?;
    Ok(Some(FileClaim { place, bytes, claim }))
}

pub(super) fn parse(bytes: &[u8], task: &TaskId) -> Result<Claim, Fault> {
    let claim = Claim::parse(bytes)?;
    if claim.task_id == *task {
        Ok(claim)
    } else {
        Err(Fault::WrongTask { found: claim.task_id.to_string() })
    }
}

/// Which tasks have files.
#[derive(Default)]
pub(in crate::bus) struct ClaimFiles {
    /// Claim files: in which layout, under which spelling.
    pub(in crate::bus) claims: HashMap<TaskId, Vec<(usize, TaskId)>>,
    /// Assignments: under which spelling.
    pub(in crate::bus) assigned: HashMap<TaskId, TaskId>,
    /// Refs of claims under unusual spellings.
    pub(in crate::bus) other_refs: HashMap<TaskId, Vec<RefName>>,
}

impl ClaimFiles {
    /// The tasks that have a file anywhere.
    pub(in crate::bus) fn tasks(&self) -> impl Iterator<Item = &TaskId> {
        self.claims.keys()
    }

    /// The tasks that have a file in a layout.
    pub(in crate::bus) fn in_layout(&self, worktree: usize) -> impl Iterator<Item = &TaskId> {
        self.claims
            .values()
            .flatten()
            .filter(move |(index, _)| *index == worktree)
            .map(|(_, task)| task)
    }

    /// The refs of claims under unusual spellings.
    pub(in crate::bus) fn other_refs(&self) -> impl Iterator<Item = &RefName> {
        self.other_refs.values().flatten()
    }

    /// The tasks that have two files in a layout, which spell it differently.
    pub(in crate::bus) fn doubles(
        &self,
        layout: usize,
    ) -> impl Iterator<Item = (&TaskId, &TaskId)> {
        self.claims.values().filter_map(move |files| {
            let mut here = files.iter().filter(|(index, _)| *index == layout).map(|(_, task)| task);
            Some((here.next()?, here.next()?))
        })
    }

    /// Whether there is an assignment of `task`.
    pub(in crate::bus) fn is_assigned(&self, task: &TaskId) -> bool {
        self.assigned.contains_key(task)
    }

    fn spellings(&self, worktree: usize, asked: &TaskId) -> Vec<TaskId> {
        let files = self.claims.get(asked).into_iter().flatten();
        files.filter(|(index, _)| *index == worktree).map(|(_, task)| task.clone()).collect()
    }
}

/// The ids, equal to `asked` but for case and the width of their number, that have a record in
/// `folder`.
fn spellings(folder: &Path, asked: &TaskId) -> Result<Vec<TaskId>, Error> {
    // Spellings of one id begin and end alike. To read an id costs more than that, and there may be
    // thousands.
    let ends = |name: &str| {
        Some((
            name.as_bytes().first()?.to_ascii_lowercase(),
            name.as_bytes().last()?.to_ascii_lowercase(),
        ))
    };
    let records = names(folder, ".json")?.into_iter();
    let alike = records.filter_map(|name| {
        let name = name.strip_suffix(".json")?;
        (ends(name) == ends(asked.as_str())).then(|| TaskId::new(name).ok()).flatten()
    });
    Ok(alike.filter(|id| id == asked).collect())
}

/// The ids that have a record in `folder`.
///
/// # Errors
///
/// [`Error::Store`] if the folder cannot be read.
fn ids<K: IdKind>(folder: &Path) -> Result<Vec<Id<K>>, Error> {
    let records = names(folder, ".json")?.into_iter();
    Ok(records.filter_map(|name| Id::new(name.strip_suffix(".json")?).ok()).collect())
}

/// The file of the higher revision; where they are equal, they must agree.
fn higher(ws: &Workspace, one: FileClaim, other: FileClaim) -> Result<FileClaim, Error> {
    match one.claim.revision.cmp(&other.claim.revision) {
        std::cmp::Ordering::Greater => Ok(one),
        std::cmp::Ordering::Less => Ok(other),
        std::cmp::Ordering::Equal if one.claim == other.claim => Ok(one),
        std::cmp::Ordering::Equal => Err(Error::Claim(ClaimFault::Diverged {
            task: other.claim.task_id,
            place: ws.show(&other.place),
            owner: other.claim.agent_id,
            revision: other.claim.revision,
            against: ws.show(&one.place),
        })),
    }
}

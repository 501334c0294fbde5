//! What managers say about who shall do a task.

use std::path::PathBuf;

use super::claim_rules::Refusal;
use super::view::View;
use super::{claim_list, claim_rules};
use crate::bus::Error;
use crate::bus::workspace::{Note, Who, Workspace};
use crate::record::json::MAX_RECORD;
use crate::record::{Assignment, Fault, TaskId};
use crate::store::Layout;

/// What type of message tells of an assignment.
pub(in crate::bus) const KIND: &str = "assignment";

/// The assignment of the task, and what it means for a claim by `who`, as the policy has it.
///
/// # Errors
///
/// [`Error::Malformed`] if a record of it is none.
pub(in crate::bus) fn assignment_for(
    ws: &Workspace,
    view: &View,
    who: &Who,
) -> Result<(Option<Assignment>, Option<Refusal>), Error> {
    let assignment = latest_assignment(ws, &view.task)?;
    let engineer = assignment.as_ref().and_then(|assignment| assignment.engineer.as_ref());
    let verdict = claim_rules::assignment(engineer, &who.agent, ws.config()?.require_assignment);
    Ok((assignment, verdict))
}

/// The folders of assignments of this clone and of other ones.
pub(in crate::bus) fn assignment_folders(ws: &Workspace) -> Vec<PathBuf> {
    let clones = ws.private.clones().layouts();
    let own = ws.record_layouts();
    own.iter().chain(clones.iter().map(|(_, layout)| layout)).map(Layout::assignments).collect()
}

/// The latest assignment of `task` in any worktree or clone.
pub(in crate::bus) fn latest_assignment(
    ws: &Workspace,
    task: &TaskId,
) -> Result<Option<Assignment>, Error> {
    let mut latest: Option<Assignment> = None;
    let mut in_record = None;
    for layout in ws.record_layouts() {
        let found = assignment_beside(ws, &in_record, layout, task)?;
        if layout.root() == ws.record.root() {
            in_record.clone_from(&found);
        }
        let Some(found) = found else { continue };
        if latest.as_ref().is_none_or(|latest| found.is_later_than(latest)) {
            latest = Some(found);
        }
    }
    for (_, layout) in ws.private.clones().layouts() {
        // They were looked at when they were taken in: what is no assignment now holds nothing
        // back.
        let found = assignment_in(ws, &layout, task).ok().flatten();
        if let Some(found) =
            found.filter(|found| latest.as_ref().is_none_or(|latest| found.is_later_than(latest)))
        {
            latest = Some(found);
        }
    }
    Ok(latest)
}

/// The latest assignment of each task in any worktree or clone, by task, and what cannot be read.
pub(in crate::bus) fn assignments(ws: &Workspace) -> (Vec<Assignment>, Vec<(TaskId, Error)>) {
    let (mut assignments, mut faults) = (Vec::new(), Vec::new());
    for task in claim_list::assigned_tasks(ws) {
        match latest_assignment(ws, &task) {
            Ok(assignment) => assignments.extend(assignment),
            Err(error) => faults.push((task, error)),
        }
    }
    (assignments, faults)
}

/// The assignment of `task` in a worktree; `None`, which is mentioned, if it cannot be read and
/// there is one `in_record`: a merge has left it so, or git is about to write it.
pub(in crate::bus) fn assignment_beside(
    ws: &Workspace,
    in_record: &Option<Assignment>,
    layout: &Layout,
    task: &TaskId,
) -> Result<Option<Assignment>, Error> {
    match assignment_in(ws, layout, task) {
        Err(error @ Error::Malformed { .. }) if in_record.is_some() => {
            ws.notes.add(Note::Warning(format!("{error}; it does not count")));
            Ok(None)
        }
        found => found,
    }
}

/// The assignment of `task` in a worktree.
pub(in crate::bus) fn assignment_in(
    ws: &Workspace,
    layout: &Layout,
    task: &TaskId,
) -> Result<Option<Assignment>, Error> {
    let place = layout.assignment(task);
    let Some(bytes) = place.read(MAX_RECORD)? else { return Ok(None) };
    let right = |found: Assignment| match found.task_id == *task {
        true => Ok(found),
        false => Err(Fault::WrongTask { found: found.task_id.to_string() }),
    };
    Assignment::parse(&bytes)
        .and_then(right)
        .map(Some)
        .map_err(Error::malformed(ws.show(&place), &bytes))
}

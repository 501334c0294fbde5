//! `bus assign`: who shall do which task.

use std::time::Duration;

use serde_json::Value;

use crate::bus::claim::{KIND, View};
use crate::bus::workspace::{Workspace, check_length};
use crate::bus::{Error, claim, fleet};
use crate::git::{Repository, blob_id};
use crate::record::json::{MAX_LINE, MAX_RECORD, Object};
use crate::record::{AgentId, Assignment, Claim, EventKind, Message, PlanId, TaskId};
use crate::store::{Lock, Place, crash_point, recently_has, replace, replace_record};

/// What `bus assign` asks for.
#[derive(Clone, Debug)]
pub(crate) struct AssignRequest {
    /// Who shall do it; nobody takes the assignment back.
    pub(crate) engineer: Option<AgentId>,
    /// Who says so.
    pub(crate) manager: AgentId,
    /// The plan of the work.
    pub(crate) plan: Option<PlanId>,
    /// The branch that the work is meant for.
    pub(crate) branch: Option<String>,
    /// Why, or how.
    pub(crate) note: Option<String>,
}

/// What came of `bus assign`.
#[derive(Clone, Debug)]
pub(crate) struct Assigned {
    /// The assignment now.
    pub(crate) assignment: Assignment,
    /// What the task's channel says of it.
    pub(crate) message: Message,
    /// The assignment before, if there was one.
    pub(crate) previous: Option<Assignment>,
    /// Whether the assignment stood already.
    pub(crate) unchanged: bool,
    /// The live claim of somebody else, which goes on.
    pub(crate) held: Option<Claim>,
}

/// Writes down in this worktree, and says in the task's channel, who shall do `task`. The same
/// again does what a crash left undone, and nothing twice.
///
/// # Errors
///
/// [`Error::Malformed`] if a record of it is none; [`Error::Usage`] if the branch is none, or
/// the words are too many; else as the system refuses.
pub(crate) fn assign(
    ws: &Workspace,
    task: &TaskId,
    request: &AssignRequest,
) -> Result<Assigned, Error> {
    ws.config()?;
    request.branch.as_deref().map_or(Ok(()), check_branch)?;
    let mut lock = ws.lock()?;
    let view = claim::readable_view(ws, &mut lock, task)?;
    let claim = view.as_ref().and_then(View::claim).filter(|claim| claim.status.is_live());
    let task = view.as_ref().map_or(task, |view| &view.task);
    let previous = claim::latest_assignment(ws, task)?;
    let mut before = previous.clone();
    let in_record = claim::assignment_in(ws, &ws.record, task)?;
    let here = if ws.mode()?.reads_worktrees() {
        claim::assignment_beside(ws, &in_record, &ws.layout, task)?
    } else {
        None
    };
    for here in [in_record, here].into_iter().flatten() {
        before = before.map(|latest| with_fields_of(&latest, &here));
    }
    let standing =
        before.as_ref().filter(|before| Some(successor(before, request)) == previous).cloned();
    let unchanged = standing.is_some();
    let assignment = standing.unwrap_or_else(|| new_assignment(ws, task, before.as_ref(), request));
    let message = settle_assignment(ws, &lock, task, &assignment)?;
    let held = claim.filter(|claim| request.engineer.as_ref() != Some(&claim.agent_id)).cloned();
    drop(lock);
    fleet::publish_soon(ws);
    Ok(Assigned { assignment, message, previous, unchanged, held })
}

/// Brings the record and the channel of `task` in line with `assignment`; in a bus with files of
/// branches, this worktree's file, too.
///
/// The file comes first: it is what refuses a claim. Its message is wholly derived from it, so that
/// whoever finds the file can tell whether the channel lacks the message; a message that came first
/// would speak of an assignment that no claim obeys.
fn settle_assignment(
    ws: &Workspace,
    lock: &Lock,
    task: &TaskId,
    assignment: &Assignment,
) -> Result<Message, Error> {
    let bytes = assignment.to_bytes();
    if bytes.len() > MAX_RECORD {
        let what =
            format!("the assignment would have {} bytes, and may have {MAX_RECORD}", bytes.len());
        return Err(Error::Usage { what, hint: "shorten the note".to_owned() });
    }
    let message = announcement(assignment)?;
    check_length("assignment's message", &message.to_line())?;
    let channel = ws.as_spelled(ws.record.channel(task))?;
    channel.inspect()?;
    let before = claim::assignment_in(ws, &ws.record, task)?;
    if before.as_ref() != Some(assignment) {
        // A crash may have left untold what is about to be replaced.
        before.map_or(Ok(()), |before| tell(ws, lock, &channel, &announcement(&before)?))?;
        replace_record(&ws.record.assignment(task), &bytes)?;
    }
    if ws.mode()?.reads_worktrees() {
        settle_assignment_file(ws, task, assignment, &bytes)?;
    }
    crash_point("assignment-written");
    tell(ws, lock, &channel, &message).map(|()| message)
}

/// Brings this worktree's file in line with `assignment`. A copy is kept of one that cannot be
/// read.
fn settle_assignment_file(
    ws: &Workspace,
    task: &TaskId,
    assignment: &Assignment,
    bytes: &[u8],
) -> Result<(), Error> {
    let place = ws.layout.assignment(task);
    match claim::assignment_in(ws, &ws.layout, task) {
        Ok(Some(here)) if here == *assignment => return Ok(()),
        Err(Error::Malformed { .. }) => claim::keep_aside(ws, task.as_str(), &place)?,
        here => drop(here?),
    }
    Ok(replace(&place, bytes)?)
}

/// Appends the message of an assignment to the task's channel, unless it is there. One that is too
/// long is another tool's.
fn tell(ws: &Workspace, lock: &Lock, channel: &Place, message: &Message) -> Result<(), Error> {
    let line = message.to_line();
    let told = line.len() > MAX_LINE || recently_has(channel, &line)?;
    if told { Ok(()) } else { ws.append_to_channel(lock, channel, &line) }
}

/// A new assignment. It is later than the one before, whatever the clocks say: the latest of all
/// worktrees counts.
fn new_assignment(
    ws: &Workspace,
    task: &TaskId,
    before: Option<&Assignment>,
    request: &AssignRequest,
) -> Assignment {
    let now = ws.clock.now();
    match before {
        Some(before) => Assignment {
            task_id: task.clone(),
            assigned_at: now.max(before.assigned_at.after(Duration::from_secs(1))),
            ..successor(before, request)
        },
        None => Assignment {
            task_id: task.clone(),
            engineer: request.engineer.clone(),
            manager: request.manager.clone(),
            assigned_at: now,
            plan_id: request.plan.clone(),
            branch: request.branch.clone(),
            note: request.note.clone(),
            extra: Object::new(),
        },
    }
}

/// The `latest` assignment of all, and the unknown fields that the one `here`, which it replaces,
/// has beside: no other tool's data is lost.
fn with_fields_of(latest: &Assignment, here: &Assignment) -> Assignment {
    let mut extra = here.extra.clone();
    extra.extend(latest.extra.clone());
    Assignment { extra, ..latest.clone() }
}

/// What `before` becomes by `request`, at the same time. The plan is the task's; branch and note
/// are the engineer's.
fn successor(before: &Assignment, request: &AssignRequest) -> Assignment {
    let same = before.engineer == request.engineer;
    let kept = |text: &Option<String>| text.clone().filter(|_| same);
    Assignment {
        engineer: request.engineer.clone(),
        manager: request.manager.clone(),
        plan_id: request.plan.clone().or_else(|| before.plan_id.clone()),
        branch: request.branch.clone().or_else(|| kept(&before.branch)),
        note: request.note.clone().or_else(|| kept(&before.note)),
        ..before.clone()
    }
}

/// The message that tells of `assignment`: the same one whoever writes it.
fn announcement(assignment: &Assignment) -> Result<Message, Error> {
    let (task, assignee) = (&assignment.task_id, assignment.assignee());
    let whom = assignment.engineer.as_ref().map_or("nobody", AgentId::as_str);
    let mut meta = Object::new();
    meta.insert("assignee".to_owned(), Value::from(assignee));
    meta.extend(
        assignment.plan_id.iter().map(|plan| ("plan_id".to_owned(), Value::from(plan.as_str()))),
    );
    Ok(Message {
        ts: assignment.assigned_at,
        from: assignment.manager.clone(),
        kind: EventKind::new(KIND)?,
        summary: format!("Assigned {task} to {whom}"),
        id: Some(announcement_id(assignment)),
        task_id: Some(task.clone()),
        to: None,
        branch: assignment.branch.clone(),
        receipts: Vec::new(),
        meta: Some(meta),
        note: assignment.note.clone(),
        extra: Object::new(),
    })
}

/// A UUID of version 8 (RFC 9562, section 5.8): 48 bits of the time in milliseconds, then the name
/// that git gives to the bytes of the file.
fn announcement_id(assignment: &Assignment) -> String {
    let milliseconds = u64::try_from(assignment.assigned_at.unix()).unwrap_or(0) * 1000;
    let mut id = [0; 16];
    id[..6].copy_from_slice(&milliseconds.to_be_bytes()[2..]);
    if let Some(name) = blob_id(&assignment.to_bytes()) {
        id[6..].copy_from_slice(&name.as_slice()[..10]);
    }
    uuid::Builder::from_custom_bytes(id).into_uuid().to_string()
}

fn check_branch(branch: &str) -> Result<(), Error> {
    if Repository::is_branch_name(branch) {
        return Ok(());
    }
    let hint = "leave `--branch` out, and the engineer's claim names one".to_owned();
    Err(Error::Usage { what: format!("`{branch}` is no name of a branch"), hint })
}

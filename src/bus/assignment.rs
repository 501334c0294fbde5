//! What managers say about who shall do a task.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::decide::{self, Refusal};
use super::record::check_length;
use super::view::View;
use super::{Bus, Error, Note, Who};
use crate::git::{Repository, blob_id};
use crate::record::json::{MAX_LINE, MAX_RECORD, Object};
use crate::record::{AgentId, Assignment, Claim, EventKind, Fault, Message, PlanId, TaskId};
use crate::store::{Layout, Lock, Place, crash_point, recently_has, replace, replace_record};

/// What sort of message tells of an assignment.
const KIND: &str = "assignment";

/// What `bus assign` asks for.
#[derive(Clone, Debug)]
pub struct AssignRequest {
    /// Who shall do it; nobody takes the assignment back.
    pub engineer: Option<AgentId>,
    /// Who says so.
    pub manager: AgentId,
    /// The plan of the work.
    pub plan: Option<PlanId>,
    /// The branch that the work is meant for.
    pub branch: Option<String>,
    /// Why, or how.
    pub note: Option<String>,
}

/// What came of `bus assign`.
#[derive(Clone, Debug)]
pub struct Assigned {
    /// The assignment now.
    pub assignment: Assignment,
    /// What the task's channel says of it.
    pub message: Message,
    /// The assignment before, where there was one.
    pub previous: Option<Assignment>,
    /// Whether the assignment stood already.
    pub unchanged: bool,
    /// The live claim of somebody else, which goes on.
    pub held: Option<Claim>,
}

impl Bus {
    /// Writes down in this worktree, and says in the task's channel, who shall do `task`. The same again does what a crash left
    /// undone, and nothing twice.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] where a record of it is none; [`Error::Usage`] where the branch is none, or the words are too many;
    /// else as the system refuses.
    pub fn assign(&self, task: &TaskId, request: &AssignRequest) -> Result<Assigned, Error> {
        self.config()?;
        request.branch.as_deref().map_or(Ok(()), check_branch)?;
        let mut lock = self.lock()?;
        let view = self.readable_view(&mut lock, task)?;
        let claim = view.as_ref().and_then(View::claim).filter(|claim| claim.status.is_live());
        let task = view.as_ref().map_or(task, |view| &view.task);
        let previous = self.latest_assignment(task)?;
        let mut before = previous.clone();
        let in_record = self.assignment_in(&self.record, task)?;
        let here = if self.mode()?.reads_worktrees() { self.assignment_beside(&in_record, &self.layout, task)? } else { None };
        for here in [in_record, here].into_iter().flatten() {
            before = before.map(|latest| with_fields_of(&latest, &here));
        }
        let standing = before.as_ref().filter(|before| Some(successor(before, request)) == previous).cloned();
        let unchanged = standing.is_some();
        let assignment = standing.unwrap_or_else(|| self.new_assignment(task, before.as_ref(), request));
        let message = self.settle_assignment(&lock, task, &assignment)?;
        let held = claim.filter(|claim| request.engineer.as_ref() != Some(&claim.agent_id)).cloned();
        drop(lock);
        self.publish_soon();
        Ok(Assigned { assignment, message, previous, unchanged, held })
    }

    /// Brings the record and the channel of `task` in line with `assignment`; in a bus with files of branches, this worktree's file, too.
    ///
    /// The file comes first: it is what refuses a claim. Its message is wholly derived from it, so that whoever finds the file
    /// can tell whether the channel lacks the message; a message that came first would speak of an assignment that no claim obeys.
    fn settle_assignment(&self, lock: &Lock, task: &TaskId, assignment: &Assignment) -> Result<Message, Error> {
        let bytes = assignment.to_bytes();
        if bytes.len() > MAX_RECORD {
            let what = format!("the assignment would have {} bytes, and may have {MAX_RECORD}", bytes.len());
            return Err(Error::Usage { what, hint: "shorten the note".to_owned() });
        }
        let message = announcement(assignment)?;
        check_length("assignment's message", &message.to_line())?;
        let channel = self.as_spelled(self.record.channel(task))?;
        channel.inspect()?;
        let before = self.assignment_in(&self.record, task)?;
        if before.as_ref() != Some(assignment) {
            // A crash may have left untold what is about to be replaced.
            before.map_or(Ok(()), |before| self.tell(lock, &channel, &announcement(&before)?))?;
            replace_record(&self.record.assignment(task), &bytes)?;
        }
        if self.mode()?.reads_worktrees() {
            self.settle_assignment_file(task, assignment, &bytes)?;
        }
        crash_point("assignment-written");
        self.tell(lock, &channel, &message).map(|()| message)
    }

    /// Brings this worktree's file in line with `assignment`. A copy is kept of one that cannot be read.
    fn settle_assignment_file(&self, task: &TaskId, assignment: &Assignment, bytes: &[u8]) -> Result<(), Error> {
        let place = self.layout.assignment(task);
        match self.assignment_in(&self.layout, task) {
            Ok(Some(here)) if here == *assignment => return Ok(()),
            Err(Error::Malformed { .. }) => self.keep_aside(task.as_str(), &place)?,
            here => drop(here?),
        }
        Ok(replace(&place, bytes)?)
    }

    /// Appends the message of an assignment to the task's channel, unless it is there. One that is too long is another tool's.
    fn tell(&self, lock: &Lock, channel: &Place, message: &Message) -> Result<(), Error> {
        let line = message.to_line();
        let told = line.len() > MAX_LINE || recently_has(channel, &line)?;
        if told { Ok(()) } else { self.append_to_channel(lock, channel, &line) }
    }

    /// A new assignment. It is later than the one before, whatever the clocks say: the latest of all worktrees counts.
    fn new_assignment(&self, task: &TaskId, before: Option<&Assignment>, request: &AssignRequest) -> Assignment {
        let now = self.clock.now();
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

    /// The assignment of the task, and what it means for a claim by `who`, as the policy has it.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] where a record of it is none.
    pub(super) fn assignment_for(&self, view: &View, who: &Who) -> Result<(Option<Assignment>, Option<Refusal>), Error> {
        let assignment = self.latest_assignment(&view.task)?;
        let engineer = assignment.as_ref().and_then(|assignment| assignment.engineer.as_ref());
        let verdict = decide::assignment(engineer, &who.agent, self.config()?.require_assignment);
        Ok((assignment, verdict))
    }

    /// The folders of assignments of this clone and of other ones.
    pub(super) fn assignment_folders(&self) -> Vec<PathBuf> {
        let clones = self.private.clones().layouts();
        let own = self.record_layouts();
        own.iter().chain(clones.iter().map(|(_, layout)| layout)).map(Layout::assignments).collect()
    }

    /// The latest assignment of `task` in any worktree or clone.
    pub(super) fn latest_assignment(&self, task: &TaskId) -> Result<Option<Assignment>, Error> {
        let mut latest: Option<Assignment> = None;
        let mut in_record = None;
        for layout in self.record_layouts() {
            let found = self.assignment_beside(&in_record, layout, task)?;
            if layout.root() == self.record.root() {
                in_record.clone_from(&found);
            }
            let Some(found) = found else { continue };
            if latest.as_ref().is_none_or(|latest| found.is_later_than(latest)) {
                latest = Some(found);
            }
        }
        for (_, layout) in self.private.clones().layouts() {
            // They were looked at when they were taken in: what is no assignment now holds nothing back.
            let found = self.assignment_in(&layout, task).ok().flatten();
            if let Some(found) = found.filter(|found| latest.as_ref().is_none_or(|latest| found.is_later_than(latest))) {
                latest = Some(found);
            }
        }
        Ok(latest)
    }

    /// The latest assignment of each task in any worktree or clone, by task, and what cannot be read.
    pub(super) fn assignments(&self) -> (Vec<Assignment>, Vec<(TaskId, Error)>) {
        let (mut assignments, mut faults) = (Vec::new(), Vec::new());
        for task in self.assigned_tasks() {
            match self.latest_assignment(&task) {
                Ok(assignment) => assignments.extend(assignment),
                Err(error) => faults.push((task, error)),
            }
        }
        (assignments, faults)
    }

    /// The assignment of `task` in a worktree; `None`, which is mentioned, if it cannot be read and there is one `in_record`: a merge
    /// has left it so, or git is about to write it.
    fn assignment_beside(
        &self,
        in_record: &Option<Assignment>,
        layout: &Layout,
        task: &TaskId,
    ) -> Result<Option<Assignment>, Error> {
        match self.assignment_in(layout, task) {
            Err(error @ Error::Malformed { .. }) if in_record.is_some() => {
                self.notes.add(Note::Warning(format!("{error}; it does not count")));
                Ok(None)
            }
            found => found,
        }
    }

    /// The assignment of `task` in a worktree.
    pub(super) fn assignment_in(&self, layout: &Layout, task: &TaskId) -> Result<Option<Assignment>, Error> {
        let place = layout.assignment(task);
        let Some(bytes) = place.read(MAX_RECORD)? else { return Ok(None) };
        let right = |found: Assignment| match found.task_id == *task {
            true => Ok(found),
            false => Err(Fault::WrongTask { found: found.task_id.to_string() }),
        };
        Assignment::parse(&bytes).and_then(right).map(Some).map_err(Error::malformed(self.show(&place), &bytes))
    }
}

/// The `latest` assignment of all, and the unknown fields that the one `here`, which it replaces, has beside: no other tool's data is
/// lost.
fn with_fields_of(latest: &Assignment, here: &Assignment) -> Assignment {
    let mut extra = here.extra.clone();
    extra.extend(latest.extra.clone());
    Assignment { extra, ..latest.clone() }
}

/// What `before` becomes by `request`, at the same time. The plan is the task's; branch and note are the engineer's.
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
    meta.extend(assignment.plan_id.iter().map(|plan| ("plan_id".to_owned(), Value::from(plan.as_str()))));
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

/// A UUID of version 8 (RFC 9562, section 5.8): 48 bits of the time in milliseconds, then the name that git gives to the bytes
/// of the file.
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

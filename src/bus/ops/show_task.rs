//! `bus show`: all that is known of one task.

use crate::bus::claim::{ClaimStatus, ComparedWith, LastEvents};
use crate::bus::lease::LeaseStatus;
use crate::bus::log::Filter;
use crate::bus::plan::FoundPlan;
use crate::bus::queue::{QueueEntry, QueueFault, QueueView};
use crate::bus::workspace::Workspace;
use crate::bus::{Error, claim, lease, log, plan};
use crate::record::{Assignment, TaskId};
use crate::store::{Entry, PROTOCOL};

/// How many of the last words on a task are shown.
const SHOWN: usize = 3;

/// All that is known of a task.
#[derive(Debug)]
pub(crate) struct TaskView {
    /// The task, in its existing spelling.
    pub(crate) task: TaskId,
    /// The queue's item; `None` if it has none.
    pub(crate) entry: Option<QueueEntry>,
    /// The claim, with what git shows of its branch; `None` if it was never claimed.
    pub(crate) claim: Option<ClaimStatus>,
    /// What its branch was compared with.
    pub(crate) compared_with: Option<ComparedWith>,
    /// For whom it is meant.
    pub(crate) assignment: Option<Assignment>,
    /// Its plan: that of the claim, else the item's, else one that names the task.
    pub(crate) plan: Option<FoundPlan>,
    /// The live leases that were taken for it.
    pub(crate) leases: Vec<LeaseStatus>,
    /// The last that agents said of it, oldest first, beside what commands log by themselves.
    pub(crate) words: Vec<Entry>,
    /// What could not be read beside it.
    pub(crate) unreadable: Vec<Error>,
}

/// Looks at one task; `queue` is the queue as the caller sees it.
///
/// # Errors
///
/// [`QueueFault::NotQueued`] if nothing is known of it; else as the system refuses, or if its claim
/// cannot be read.
pub(crate) fn show_task(
    ws: &Workspace,
    task: &TaskId,
    queue: QueueView,
) -> Result<TaskView, Error> {
    let entry = queue.items.into_iter().find(|entry| entry.task == *task);
    let mut claims: Vec<ClaimStatus> = claim::status_of_task(ws, task)?.into_iter().collect();
    let compared_with = claim::look_at_branches(ws, &mut claims)?;
    let claim = claims.pop();
    let mut unreadable = Vec::new();
    let mut note = |error: Error| unreadable.push(error);
    let assignment = claim::latest_assignment(ws, task).unwrap_or_else(|error| {
        note(error);
        None
    });
    let leases = match lease::readable_leases(ws, None, &mut LastEvents::default())? {
        (leases, None) => leases,
        (leases, Some(error)) => {
            note(error);
            leases
        }
    };
    let leases: Vec<LeaseStatus> =
        leases.into_iter().filter(|held| held.lease.task_id.as_ref() == Some(task)).collect();
    let named = claim.as_ref().and_then(|status| status.claim.plan_id.clone());
    let item = entry.as_ref().and_then(|entry| entry.item.as_ref());
    let named = named.or_else(|| item.and_then(|item| item.plan.clone()));
    let named = named.or_else(|| plan::plan_of(ws, task));
    let plan = named.and_then(|id| {
        plan::copies(ws, &id).unwrap_or_else(|error| {
            note(error);
            None
        })
    });
    let words = words(ws, task)?;
    if entry.is_none() && claim.is_none() && assignment.is_none() && words.is_empty() {
        return Err(QueueFault::NotQueued { task: task.clone() }.into());
    }
    let spelled = claim.as_ref().map(|status| status.claim.task_id.clone());
    let task = spelled
        .or_else(|| entry.as_ref().map(|entry| entry.task.clone()))
        .unwrap_or_else(|| task.clone());
    Ok(TaskView { task, entry, claim, compared_with, assignment, plan, leases, words, unreadable })
}

/// The last that agents said of a task.
fn words(ws: &Workspace, task: &TaskId) -> Result<Vec<Entry>, Error> {
    let filter = Filter { tasks: vec![task.clone()], ..Filter::default() };
    let mut feed = log::feed(ws, filter, None, true)?;
    let mut words = Vec::new();
    while words.len() < SHOWN {
        let Some(entry) = feed.next_event()? else { break };
        if !PROTOCOL.contains(&entry.event.event.as_str()) {
            words.push(entry);
        }
    }
    words.reverse();
    Ok(words)
}

//! The queue: the tasks, how far each is, and what may be claimed now.

use std::collections::{BTreeSet, HashMap};

use super::queue_files;
use crate::bus::claim::{ClaimFiles, Refusal, View};
use crate::bus::workspace::Workspace;
use crate::bus::{Error, claim};
use crate::record::{AgentId, Claim, QueueItem, Status, TaskId, cycles};

/// The queue of all worktrees, as one agent sees it.
#[derive(Debug)]
pub(crate) struct QueueView {
    /// The tasks, the lowest number first.
    pub(crate) items: Vec<QueueEntry>,
    /// Unfinished tasks that wait for one another in a circle: each for the next, the last for the
    /// first.
    pub(crate) cycles: Vec<Vec<TaskId>>,
    /// What stands in the queue's folders and is none of it.
    pub(crate) faults: Vec<Error>,
}

/// A task of the queue.
#[derive(Debug)]
pub(crate) struct QueueEntry {
    /// The task.
    pub(crate) task: TaskId,
    /// Its file: below this worktree's root, or in full where it is another worktree's.
    pub(crate) path: String,
    /// What the file says, or `None` if it cannot be read.
    pub(crate) item: Option<QueueItem>,
    /// What must be done before, and how far that is.
    pub(crate) blockers: Vec<Blocker>,
    /// Whom it is meant for.
    pub(crate) assignee: Option<AgentId>,
    /// How far it is.
    pub(crate) state: QueueState,
}

/// How far a task of the queue is.
#[derive(Debug)]
pub(crate) enum QueueState {
    /// It may be claimed now.
    Ready,
    /// It could be, but it is meant for somebody else.
    Assigned(AgentId),
    /// It could be, but it is meant for nobody, and the policy wants an assignment.
    Unassigned,
    /// Something else must be done before.
    Blocked,
    /// Somebody holds it.
    Claimed(Box<Claim>),
    /// It is finished.
    Done(Box<Claim>),
    /// Its file, its claim or its assignment cannot be read.
    Unreadable(Box<Error>),
}

impl QueueState {
    /// The words for all states, in the order in which they are counted.
    const WORDS: [&str; 7] =
        ["ready", "assigned", "unassigned", "blocked", "claimed", "done", "unreadable"];

    /// The word for it.
    #[must_use]
    pub(crate) const fn as_str(&self) -> &'static str {
        Self::WORDS[match self {
            Self::Ready => 0,
            Self::Assigned(_) => 1,
            Self::Unassigned => 2,
            Self::Blocked => 3,
            Self::Claimed(_) => 4,
            Self::Done(_) => 5,
            Self::Unreadable(_) => 6,
        }]
    }
}

/// A task that must be done before another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blocker {
    /// The task.
    pub(crate) task: TaskId,
    /// How it stands.
    pub(crate) stands: Stands,
}

/// How a task stands that another waits for. Only one that is done lets the other go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stands {
    /// It is finished, by this agent.
    Done(AgentId),
    /// This agent holds it.
    Claimed(AgentId),
    /// Nobody holds it.
    Free,
    /// Nothing here speaks of it: it may come with another branch.
    Unknown,
    /// Its claim cannot be read.
    Unreadable,
}

impl Stands {
    /// The word for it.
    #[must_use]
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Claimed(_) => "claimed",
            Self::Free => "free",
            Self::Unknown => "unknown",
            Self::Unreadable => "unreadable",
        }
    }
}

impl QueueEntry {
    /// What is not done of what must be done before.
    pub(crate) fn blocked_by(&self) -> impl Iterator<Item = &Blocker> {
        self.blockers.iter().filter(|blocker| !matches!(blocker.stands, Stands::Done(_)))
    }
}

impl QueueView {
    /// The tasks that may be claimed now: the most urgent first, of those the lowest number.
    #[must_use]
    pub(crate) fn ready(&self) -> Vec<&QueueEntry> {
        self.claimable(false)
    }

    /// As [`QueueView::ready`]; with `whatever_assigned`, what is meant for somebody else or for
    /// nobody, too.
    pub(in crate::bus) fn claimable(&self, whatever_assigned: bool) -> Vec<&QueueEntry> {
        let is_claimable = |entry: &&QueueEntry| match entry.state {
            QueueState::Ready => true,
            QueueState::Assigned(_) | QueueState::Unassigned => whatever_assigned,
            _ => false,
        };
        let mut claimable: Vec<_> = self.items.iter().filter(is_claimable).collect();
        claimable.sort_by_key(|entry| entry.item.as_ref().map(|item| item.priority));
        claimable
    }

    /// How many tasks are in each state: `2 claimed, 1 blocked`.
    #[must_use]
    pub(crate) fn summary(&self) -> String {
        let count =
            |word: &str| self.items.iter().filter(|entry| entry.state.as_str() == word).count();
        let counts = QueueState::WORDS
            .map(|word| (count(word), word))
            .into_iter()
            .filter(|(count, _)| *count > 0);
        let parts: Vec<String> = counts.map(|(count, word)| format!("{count} {word}")).collect();
        if parts.is_empty() { "the queue is empty".to_owned() } else { parts.join(", ") }
    }
}

/// How many tasks one item may name in `After` before they count.
const FREE_AFTER: usize = 20;

/// How many more all items may name: an item that would make it more is not read, the others are.
const MAX_AFTER: usize = 50_000;

/// Why an item is not read that names too many tasks.
fn too_many_after() -> String {
    format!(
        "with this one the queue's items name more than {MAX_AFTER} tasks in `After` beyond {FREE_AFTER} each"
    )
}

/// A task of the queue, and what its file says.
struct Listed {
    task: TaskId,
    item: Result<QueueItem, Error>,
    path: String,
}

/// What is known of one task beside its queue item.
struct Known {
    claim: Result<Option<Claim>, Error>,
    /// Whom it is meant for, and whether that stands in the way.
    assignment: Result<(Option<AgentId>, Option<Refusal>), Error>,
}

/// The queue of all worktrees, as `agent` sees it: a task that is meant for somebody else is not
/// ready for it. Without an agent a task is ready where anybody may claim it.
///
/// One bad file hides nothing else.
///
/// # Errors
///
/// [`Error::MalformedConfig`] if the policy means nothing; [`Error::Store`] or [`Error::Git`]
/// where the system refuses to read.
pub(in crate::bus) fn queue(ws: &Workspace, agent: Option<&AgentId>) -> Result<QueueView, Error> {
    queue_with(ws, agent, |_, _| {})
}

/// As [`queue`]; `on_progress` is told how many tasks of how many were looked at.
///
/// # Errors
///
/// As [`queue`].
pub(crate) fn queue_with(
    ws: &Workspace,
    agent: Option<&AgentId>,
    mut on_progress: impl FnMut(usize, usize),
) -> Result<QueueView, Error> {
    ws.warn_if_left_out("queue");
    let queue = queue_files::queue_files(ws);
    let (mut listed, mut left, mut bytes) = (Vec::new(), MAX_AFTER, queue_files::MAX_BYTES);
    for (task, file) in &queue.tasks {
        let mut item = queue_files::queue_item(ws, file, &mut bytes);
        if let Ok(read) = &mut item {
            match left.checked_sub(read.after.len().saturating_sub(FREE_AFTER)) {
                Some(less) => {
                    left = less;
                    read.after =
                        read.after.iter().map(|after| queue.spelling(after).clone()).collect();
                }
                None => item = Err(queue_files::bad_item(ws, &file.place, too_many_after())),
            }
        }
        listed.push(Listed { item, path: ws.show(&file.place), task: task.clone() });
    }
    let is_item: BTreeSet<&TaskId> = listed.iter().map(|listed| &listed.task).collect();
    let blockers =
        listed.iter().filter_map(|listed| listed.item.as_ref().ok()).flat_map(|item| &item.after);
    let tasks: BTreeSet<&TaskId> = is_item.iter().copied().chain(blockers).collect();
    let (files, mut known) = (claim::claim_files(ws), HashMap::new());
    for (number, task) in tasks.iter().enumerate() {
        on_progress(number, tasks.len());
        known.insert((*task).clone(), self::known(ws, task, agent, &files)?);
    }
    let cycles = unfinished_cycles(&listed, &known);
    let blocker = |task: &TaskId| Blocker {
        task: task.clone(),
        stands: stands(known.get(task), is_item.contains(task)),
    };
    let after =
        listed.iter().map(|listed| listed.item.as_ref().map_or(&[][..], |item| &item.after));
    let blockers: Vec<Vec<Blocker>> =
        after.map(|after| after.iter().map(blocker).collect()).collect();
    let entries =
        listed.into_iter().zip(blockers).map(|(Listed { task, item, path }, blockers)| {
            let (item, fault) =
                item.map_or_else(|error| (None, Some(error)), |item| (Some(item), None));
            let (assignee, state) = state(known.remove(&task), fault, &blockers);
            QueueEntry { task, path, item, blockers, assignee, state }
        });
    let mut items: Vec<QueueEntry> = entries.collect();
    items.sort_by_cached_key(|entry| {
        (QueueItem::number(&entry.task).unwrap_or(u64::MAX), entry.task.clone())
    });
    Ok(QueueView { items, cycles, faults: queue.faults })
}

fn known(
    ws: &Workspace,
    task: &TaskId,
    agent: Option<&AgentId>,
    files: &ClaimFiles,
) -> Result<Known, Error> {
    let required = ws.config()?.require_assignment;
    let view = match claim::view_by(ws, task, Some(files)) {
        Ok(view) => view,
        Err(error) => return Ok(Known { claim: Err(error), assignment: Ok((None, None)) }),
    };
    let assignment =
        if files.is_assigned(task) { claim::latest_assignment(ws, &view.task) } else { Ok(None) };
    let assignment = assignment.map(|assignment| {
        let engineer = assignment.and_then(|assignment| assignment.engineer);
        let refusal = match agent {
            Some(agent) => claim::assignment(engineer.as_ref(), agent, required),
            None => (required && engineer.is_none()).then_some(Refusal::NotAssigned),
        };
        (engineer, refusal)
    });
    Ok(Known { claim: claim_for_queue(ws, view), assignment })
}

/// The claim of `view`; an error where it looks free, but nobody could claim it.
fn claim_for_queue(ws: &Workspace, view: View) -> Result<Option<Claim>, Error> {
    let claim = view.certain_claim()?.cloned();
    let is_free = claim.as_ref().is_none_or(|claim| claim.status == Status::Released);
    let rival = if is_free { claim::rival(ws, &view)? } else { None };
    rival.map_or(Ok(claim), |file| Err(claim::diverged(ws, &view, file)))
}

/// The circles among the tasks that are not done.
fn unfinished_cycles(listed: &[Listed], known: &HashMap<TaskId, Known>) -> Vec<Vec<TaskId>> {
    let is_done = |task: &TaskId| matches!(stands(known.get(task), true), Stands::Done(_));
    let unfinished = listed.iter().filter(|listed| !is_done(&listed.task));
    let after = unfinished
        .filter_map(|listed| Some((&listed.task, listed.item.as_ref().ok()?.after.as_slice())));
    cycles(&after.collect())
        .into_iter()
        .map(|circle| circle.into_iter().cloned().collect())
        .collect()
}

fn stands(known: Option<&Known>, is_item: bool) -> Stands {
    match known.map(|known| &known.claim) {
        Some(Ok(Some(claim))) if claim.status == Status::Done => {
            Stands::Done(claim.agent_id.clone())
        }
        Some(Ok(Some(claim))) if claim.status.is_live() => Stands::Claimed(claim.agent_id.clone()),
        Some(Err(_)) => Stands::Unreadable,
        Some(Ok(None)) | None if !is_item => Stands::Unknown,
        _ => Stands::Free,
    }
}

/// Whom a task is meant for, and how far it is.
fn state(
    known: Option<Known>,
    fault: Option<Error>,
    blockers: &[Blocker],
) -> (Option<AgentId>, QueueState) {
    let unreadable = |error| QueueState::Unreadable(Box::new(error));
    let Some(Known { claim, assignment }) = known else { return (None, QueueState::Blocked) };
    let (assignment, unclear) =
        assignment.map_or_else(|error| (None, Some(error)), |known| (Some(known), None));
    let (assignee, refusal) = assignment.unwrap_or_default();
    let is_blocked = blockers.iter().any(|blocker| !matches!(blocker.stands, Stands::Done(_)));
    let state = match (fault, claim, unclear) {
        (Some(error), ..) | (None, Err(error), _) => unreadable(error),
        (None, Ok(Some(claim)), _) if claim.status == Status::Done => {
            QueueState::Done(Box::new(claim))
        }
        (None, Ok(Some(claim)), _) if claim.status.is_live() => {
            QueueState::Claimed(Box::new(claim))
        }
        (None, Ok(_), Some(error)) => unreadable(error),
        (None, Ok(_), None) if is_blocked => QueueState::Blocked,
        (None, Ok(_), None) => match (refusal, &assignee) {
            (None, _) => QueueState::Ready,
            (Some(Refusal::Assigned), Some(engineer)) => QueueState::Assigned(engineer.clone()),
            (Some(_), _) => QueueState::Unassigned,
        },
    };
    (assignee, state)
}

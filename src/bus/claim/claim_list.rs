//! Who does what: all claims, the same from every worktree, and the latest events.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use super::claim_files::ClaimFiles;
use super::landed::Seen;
use super::liveness::{LastEvents, Liveness, Signs};
use super::successor::written;
use super::view::View;
use super::{assignment, claim_chain, claim_files, liveness, view};
use crate::bus::log::Channel;
use crate::bus::workspace::Workspace;
use crate::bus::{Error, log};
use crate::record::{AgentId, Claim, Origin, Status, TaskId, Timestamp};

/// What `bus status` asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct StatusQuery {
    /// Only these agents; all if there are none.
    pub(crate) agents: Vec<AgentId>,
    /// Only live claims.
    pub(crate) active_only: bool,
    /// How many events; all if there is no limit.
    pub(crate) limit: Option<usize>,
    /// Only events since then.
    pub(crate) since: Option<Timestamp>,
    /// How long a claim may be silent, in the place of what the policy says.
    pub(crate) stale_after: Option<Duration>,
    /// Look at the branches as well, and at assignments.
    pub(crate) long: bool,
}

/// How a claim stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClaimState {
    /// Its owner works on it.
    Active,
    /// Its owner has put it aside.
    Paused,
    /// Its owner has been silent for too long.
    Stale,
    /// Its time is over.
    Expired,
    /// Its worktree is gone.
    Gone,
    /// It was given back.
    Released,
    /// The task is finished.
    Done,
    /// The task is finished, and the default branch has the work. Only who looks at the branches
    /// knows.
    Landed,
}

impl ClaimState {
    /// All of them, those that need somebody's eye first.
    pub const ALL: [Self; 8] = [
        Self::Active,
        Self::Paused,
        Self::Stale,
        Self::Expired,
        Self::Gone,
        Self::Released,
        Self::Done,
        Self::Landed,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Stale => "stale",
            Self::Expired => "expired",
            Self::Gone => "gone",
            Self::Released => "released",
            Self::Done => "done",
            Self::Landed => "landed",
        }
    }

    const fn of(status: Status, liveness: Liveness) -> Self {
        match (status, liveness) {
            (Status::Released, _) => Self::Released,
            (Status::Done, _) => Self::Done,
            (_, Liveness::Gone) => Self::Gone,
            (_, Liveness::Expired) => Self::Expired,
            (_, Liveness::Stale) => Self::Stale,
            (Status::Paused, Liveness::Alive) => Self::Paused,
            (Status::Active, Liveness::Alive) => Self::Active,
        }
    }
}

/// A claim, and how it stands.
#[derive(Clone, Debug)]
pub(crate) struct ClaimStatus {
    /// The claim.
    pub(crate) claim: Claim,
    /// How it stands.
    pub(crate) state: ClaimState,
    /// The owner's last heartbeat.
    pub(crate) last_seen: Option<Timestamp>,
    /// How far the clock that it was last written by is ahead of ours, if that is too much for a
    /// heartbeat.
    pub(crate) clock_ahead: Option<Duration>,
    /// What git shows of its branch, where that was asked for.
    pub(crate) seen: Option<Seen>,
    /// When it was last written.
    pub(crate) written: Timestamp,
}

/// How many tasks are looked at before anything is made of them.
const BATCH: usize = 4096;

/// From how many tasks on several threads look at them, and how many threads at most.
const MANY: usize = 1000;

const MAX_THREADS: usize = 8;

/// How closely one looks at a task.
pub(in crate::bus) type Look = fn(&Workspace, &TaskId, Option<&ClaimFiles>) -> Result<View, Error>;

/// Claims, and what of them cannot be read.
#[derive(Debug, Default)]
pub(in crate::bus) struct SeenClaims {
    pub(in crate::bus) claims: Vec<ClaimStatus>,
    pub(in crate::bus) unreadable: Vec<(TaskId, Error)>,
    pub(in crate::bus) damaged: Vec<Error>,
    pub(in crate::bus) config_fault: Option<Error>,
    /// The tasks that somebody holds or has finished, or whose claims cannot be read.
    pub(in crate::bus) taken: HashSet<TaskId>,
}

impl SeenClaims {
    /// Notes what about a task is damaged: its ref, or this worktree's file.
    fn note_damage(&mut self, view: View) {
        let nothing_else = view.claim().is_none();
        let damage = view
            .unreadable
            .map(|what| Error::UnreadableRef { name: view.name.as_str().to_owned(), what });
        match damage {
            Some(error) if nothing_else => self.unreadable.push((view.task, error)),
            damage => self.damaged.extend(damage.or(view.bad_file)),
        }
    }
}

/// Looks at all claims that are asked for; `look` says how closely at each.
pub(in crate::bus) fn seen_claims(
    ws: &Workspace,
    query: &StatusQuery,
    events: &mut LastEvents,
    look: Look,
) -> Result<SeenClaims, Error> {
    let (stale_after, config_fault) = ws.stale_after();
    let stale_after = query.stale_after.unwrap_or(stale_after);
    let mut seen = SeenClaims { config_fault, ..SeenClaims::default() };
    let files = claim_files::claim_files(ws);
    let tasks: Vec<TaskId> = self::tasks(ws, &files)?.into_iter().collect();
    // Not all at once: a view holds the record.
    for tasks in tasks.chunks(BATCH) {
        for (task, view) in tasks.iter().zip(views(ws, tasks, &files, look)) {
            match view {
                Ok(view) => {
                    if view.claim().is_some_and(|claim| claim.status != Status::Released) {
                        seen.taken.insert(view.task.clone());
                    }
                    seen.claims.extend(claim_status(ws, &view, query, stale_after, events)?);
                    seen.note_damage(view);
                }
                Err(error) => {
                    seen.taken.insert(task.clone());
                    seen.unreadable.push((task.clone(), error));
                }
            }
        }
    }
    seen.claims.sort_by(|a, b| {
        let key = |status: &ClaimStatus| {
            (!status.claim.status.is_live(), std::cmp::Reverse(last_change(&status.claim)))
        };
        key(a).cmp(&key(b)).then_with(|| a.claim.task_id.cmp(&b.claim.task_id))
    });
    Ok(seen)
}

/// A look at each of these tasks; at many of them by several threads at once.
fn views(
    ws: &Workspace,
    tasks: &[TaskId],
    files: &ClaimFiles,
    look: Look,
) -> Vec<Result<View, Error>> {
    let all = |ws: &Workspace, tasks: &[TaskId]| {
        tasks.iter().map(|task| look(ws, task, Some(files))).collect::<Vec<_>>()
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    if tasks.len() < MANY || threads == 1 {
        return all(ws, tasks);
    }
    let options = ws.options();
    std::thread::scope(|scope| {
        let part = |tasks| {
            let options = options.clone();
            // A repository is one thread's own; one that cannot be opened once more is looked at by
            // this one.
            scope.spawn(move || Workspace::of_repository(options).ok().map(|ws| all(&ws, tasks)))
        };
        let parts: Vec<_> =
            tasks.chunks(tasks.len().div_ceil(threads)).map(|tasks| (tasks, part(tasks))).collect();
        let looked = parts
            .into_iter()
            .flat_map(|(tasks, part)| part.join().ok().flatten().unwrap_or_else(|| all(ws, tasks)));
        looked.collect()
    })
}

/// The tasks that have an assignment in any worktree or clone.
pub(in crate::bus) fn assigned_tasks(ws: &Workspace) -> BTreeSet<TaskId> {
    assignment::assignment_folders(ws)
        .iter()
        .flat_map(|folder| claim_files::ids_in(ws, folder))
        .collect()
}

/// The claim of one task, and how it stands; `None` if it has none.
///
/// # Errors
///
/// As [`view::view_by`].
pub(in crate::bus) fn status_of_task(
    ws: &Workspace,
    task: &TaskId,
) -> Result<Option<ClaimStatus>, Error> {
    let view = view::view_by(ws, task, None)?;
    let (stale_after, _) = ws.stale_after();
    claim_status(ws, &view, &StatusQuery::default(), stale_after, &mut LastEvents::default())
}

fn claim_status(
    ws: &Workspace,
    view: &View,
    query: &StatusQuery,
    stale_after: Duration,
    events: &mut LastEvents,
) -> Result<Option<ClaimStatus>, Error> {
    let wanted = |claim: &&Claim| {
        (query.agents.is_empty() || query.agents.contains(&claim.agent_id))
            && (!query.active_only || claim.status.is_live())
    };
    let Some(claim) = view.claim().filter(wanted) else { return Ok(None) };
    let (state, signs) = state_of(ws, view, claim.status, stale_after, events)?;
    let mut claim = claim.clone();
    if claim.status.is_live() && !claim_chain::is_confirmed(ws, view) {
        claim.confirmed = Some(false);
    }
    Ok(Some(ClaimStatus {
        state,
        last_seen: signs.last(ws.clock.now()),
        clock_ahead: signs.clock_ahead(ws.clock.now()),
        written: written(view, &claim),
        claim,
        seen: None,
    }))
}

/// How the claim of `view` stands, whose status is `status`, and the signs of its owner's life.
pub(in crate::bus) fn state_of(
    ws: &Workspace,
    view: &View,
    status: Status,
    stale_after: Duration,
    events: &mut LastEvents,
) -> Result<(ClaimState, Signs), Error> {
    let (liveness, signs) = match status.is_live() {
        true => liveness::liveness(ws, view, stale_after, events)?,
        false => (Liveness::Alive, Signs::default()),
    };
    Ok((ClaimState::of(status, liveness), signs))
}

/// All tasks that have a ref, or a file in any worktree.
pub(in crate::bus) fn tasks(ws: &Workspace, files: &ClaimFiles) -> Result<BTreeSet<TaskId>, Error> {
    let with_refs = ws.repo.claimed_tasks()?.into_iter().filter_map(|name| TaskId::new(name).ok());
    // A file knows the letter case, a ref does not.
    let mut tasks: BTreeSet<TaskId> = files.tasks().cloned().collect();
    tasks.extend(with_refs);
    Ok(tasks)
}

/// Those that were ever claimed, assigned or talked about, whether they are in the queue or not.
pub(in crate::bus) fn spoken_tasks(ws: &Workspace) -> Result<BTreeSet<TaskId>, Error> {
    let mut tasks = self::tasks(ws, &claim_files::claim_files(ws))?;
    tasks.extend(assigned_tasks(ws));
    tasks.extend(log::channels(ws).filter_map(|channel| match channel {
        Channel::Task(task) => Some(task),
        Channel::Inbox(_) => None,
    }));
    Ok(tasks)
}

/// The tasks that somebody holds, in the clone `of` or anywhere.
///
/// # Errors
///
/// As [`ops::status`].
pub(in crate::bus) fn held_tasks(ws: &Workspace, of: Option<&str>) -> Result<Vec<String>, Error> {
    let is_of = |claim: &Claim| {
        let there = claim.origin.as_ref().map(Origin::clone_id);
        of.is_none() || there.is_none() || there == of
    };
    let mut held = Vec::new();
    let files = claim_files::claim_files(ws);
    for task in tasks(ws, &files)? {
        let view = view::view_by(ws, &task, Some(&files))?;
        let live = view.certain_claim()?.filter(|claim| claim.status.is_live() && is_of(claim));
        held.extend(live.map(|claim| claim.task_id.to_string()));
    }
    Ok(held)
}

fn last_change(claim: &Claim) -> Timestamp {
    claim.released_at.unwrap_or(claim.claimed_at)
}

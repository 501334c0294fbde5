//! What an agent needs to know when it begins: what it holds, what was said to it, who else is at
//! work, what to do next.

use std::collections::HashSet;

use super::peers;
use super::peers::{Peer, PeerState};
use crate::bus::claim::{ClaimState, ClaimStatus, LastEvents, Liveness};
use crate::bus::lease::LeaseStatus;
use crate::bus::log::Inbox;
use crate::bus::queue::{QueueEntry, QueueState, QueueView};
use crate::bus::workspace::Workspace;
use crate::bus::{Error, claim, lease, log, queue};
use crate::git::{Distance, History, short_name};
use crate::record::{AgentId, Assignment, Claim, Priority, Status, TaskId, Timestamp};

/// How many unread messages, and how many tasks that are ready, are shown.
const SHOWN: usize = 5;

/// A claim of the agent's own.
#[derive(Clone, Debug)]
pub(crate) struct OwnClaim {
    /// The claim, and how it stands.
    pub(crate) status: ClaimStatus,
    /// Whether it was made in this worktree; else it can only be moved here.
    pub(crate) here: bool,
}

/// How far a branch is from another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Apart {
    /// The other branch: `origin/main`.
    pub(crate) from: String,
    /// How far.
    pub(crate) distance: Distance,
}

/// What there is to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// Go on with a task, and say what happens.
    GoOn(TaskId),
    /// Take up a task that was put aside.
    TakeUp(TaskId),
    /// Give a heartbeat before the claim is taken over.
    Renew(TaskId),
    /// Give a heartbeat before paths are taken over.
    RenewLeases,
    /// Claim a task that is meant for the agent.
    Claim(TaskId),
    /// Read what was said.
    ReadInbox,
    /// Claim the best task that is ready.
    ClaimNext,
    /// Look for a task that is free.
    Look,
}

/// A task that may be claimed now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReadyTask {
    /// The task.
    pub(crate) task: TaskId,
    /// How urgent it is.
    pub(crate) priority: Priority,
    /// What is to be done.
    pub(crate) title: String,
}

/// The tasks that may be claimed now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ready {
    /// The first of them, the best first.
    pub(crate) first: Vec<ReadyTask>,
    /// How many there are in all.
    pub(crate) count: usize,
}

impl NextStep {
    /// What to type.
    #[must_use]
    pub(crate) fn command(&self) -> String {
        match self {
            Self::GoOn(task) => {
                format!("bus event log --event status --task {task} --summary 'what you do next'")
            }
            Self::TakeUp(task) => format!("bus claim {task} --status active"),
            Self::Renew(task) => format!("bus heartbeat {task}"),
            Self::RenewLeases => "bus lock renew --all".to_owned(),
            Self::Claim(task) => format!("bus claim {task}"),
            Self::ReadInbox => "bus inbox --mark-read".to_owned(),
            Self::ClaimNext => "bus claim --next".to_owned(),
            Self::Look => "bus status --active-only".to_owned(),
        }
    }
}

/// What an agent needs to know.
#[derive(Debug)]
pub(crate) struct Overview {
    /// The branch that is checked out.
    pub(crate) branch: Option<String>,
    /// How far HEAD is from the branch that it follows.
    pub(crate) upstream: Option<Apart>,
    /// How far HEAD is from the remote's default branch, where that is another one.
    pub(crate) default_branch: Option<Apart>,
    /// The agent's live claims, the one that was last written first.
    pub(crate) claims: Vec<OwnClaim>,
    /// The agent's live leases, in the order in which they were taken.
    pub(crate) leases: Vec<LeaseStatus>,
    /// How many leases others hold.
    pub(crate) other_leases: usize,
    /// Why the leases cannot be read, where they cannot.
    pub(crate) lease_fault: Option<Error>,
    /// The last messages that it has not read.
    pub(crate) inbox: Inbox,
    /// What is meant for the agent, and is neither in its hands nor finished.
    pub(crate) assignments: Vec<Assignment>,
    /// What the agent may claim now.
    pub(crate) ready: Ready,
    /// The others that hold a task or gave a heartbeat within `stale_after`.
    pub(crate) peers: Vec<Peer>,
    /// What could not be read: a task and why.
    pub(crate) unreadable: Vec<(TaskId, Error)>,
    /// What to do next.
    pub(crate) next: NextStep,
    /// The remote by which other clones can claim the same tasks, because this clone belongs to no
    /// fleet.
    pub(crate) unshared: Option<String>,
    /// Whether the remotes were asked for a fleet, not long ago.
    pub(crate) is_asked: bool,
    /// Settings by which git would remove or overwrite refs of the bus, as keys and values.
    pub(crate) greedy: Vec<(String, String)>,
    /// When this was so.
    pub(crate) generated_at: Timestamp,
}

/// What `agent` needs to know, of all worktrees. Nothing is changed.
///
/// # Errors
///
/// [`Error::Store`] or [`Error::Git`] if the system refuses to read.
pub(crate) fn overview(ws: &Workspace, agent: &AgentId) -> Result<Overview, Error> {
    let mut events = LastEvents::default();
    let seen = peers::live_claims(ws, &[], &mut events)?;
    let (own, others): (Vec<_>, Vec<_>) =
        seen.claims.into_iter().partition(|status| status.claim.agent_id == *agent);
    let mut peers = peers::peers(ws, &others, &mut events)?;
    peers.retain(|peer| {
        peer.agent != *agent && (peer.state != PeerState::Stale || !peer.claims.is_empty())
    });
    let mut taken: HashSet<TaskId> =
        others.into_iter().map(|status| status.claim.task_id).collect();
    let claims = own_claims(ws, own)?;
    let (all_leases, lease_fault) = lease::readable_leases(ws, None, &mut events)?;
    let (leases, others): (Vec<_>, Vec<_>) =
        all_leases.into_iter().partition(|held| held.lease.owner == *agent);
    let mut unreadable = seen.unreadable;
    let assignments = open_assignments(ws, agent, &mut unreadable)?;
    let inbox = log::inbox(ws, agent, Some(SHOWN))?;
    let queue = queue::queue(ws, Some(agent))?;
    let waiting = queue.items.iter().filter(|entry| matches!(entry.state, QueueState::Blocked));
    taken.extend(waiting.map(|entry| entry.task.clone()));
    let ready = first_ready(&queue);
    let claimable = assignments.iter().find(|assignment| !taken.contains(&assignment.task_id));
    let next = next_step(&claims, &leases, claimable, &inbox, &ready);
    let (branch, upstream, default_branch) = whereabouts(ws);
    // If git cannot be started, whoever needs it says so.
    let remotes = ws.repo.remotes().unwrap_or_default();
    // A branch may say that there is one before the remote was asked.
    let is_alone = ws.fleet().is_ok_and(|fleet| fleet.is_none())
        && ws.config().is_ok_and(|config| config.fleet.is_none());
    let generated_at = ws.clock.now();
    Ok(Overview {
        branch,
        upstream,
        default_branch,
        claims,
        leases,
        other_leases: others.len(),
        lease_fault,
        inbox,
        assignments,
        ready,
        peers,
        unreadable,
        next,
        unshared: remotes.first.filter(|_| is_alone),
        is_asked: ws.has_fresh_answer().unwrap_or(false),
        greedy: remotes.greedy,
        generated_at,
    })
}

/// An agent's own claims, the one that was last written first.
pub(super) fn own_claims(ws: &Workspace, claims: Vec<ClaimStatus>) -> Result<Vec<OwnClaim>, Error> {
    let origin = ws.here_origin()?;
    let is_here = |claim: &Claim| claim.origin.is_none() || claim.origin == origin;
    let mut own: Vec<OwnClaim> = claims
        .into_iter()
        .map(|status| OwnClaim { here: is_here(&status.claim), status })
        .collect();
    own.sort_by_key(|own| std::cmp::Reverse(own.status.written));
    Ok(own)
}

/// The assignments to `agent`, the latest first, of tasks that it does not hold and nobody has
/// finished.
fn open_assignments(
    ws: &Workspace,
    agent: &AgentId,
    unreadable: &mut Vec<(TaskId, Error)>,
) -> Result<Vec<Assignment>, Error> {
    let (assignments, faults) = claim::assignments(ws);
    unreadable.extend(faults);
    let mut open = Vec::new();
    for assignment in assignments {
        if assignment.engineer.as_ref() != Some(agent) {
            continue;
        }
        // A claim that cannot be read is told of with the claims.
        let Ok(view) = claim::deciding_view(ws, &assignment.task_id, None) else { continue };
        let is_settled = view.claim().is_some_and(|claim| {
            claim.status == Status::Done || (claim.status.is_live() && claim.agent_id == *agent)
        });
        open.extend((!is_settled).then_some(assignment));
    }
    open.sort_by_key(|assignment| std::cmp::Reverse(assignment.assigned_at));
    Ok(open)
}

/// The branch, and how far it is from the one that it follows and from the default one. What git's
/// history does not tell is left out.
fn whereabouts(ws: &Workspace) -> (Option<String>, Option<Apart>, Option<Apart>) {
    let branch = ws.repo.branch();
    let Ok(history) = ws.repo.history() else { return (branch, None, None) };
    let upstream = branch.as_deref().and_then(|branch| history.upstream(branch));
    let default = history.default_branch().map(|name| short_name(&name).to_owned());
    let default =
        default.filter(|name| Some(name) != upstream.as_ref() && Some(name) != branch.as_ref());
    (
        branch,
        upstream.and_then(|name| apart(&history, name)),
        default.and_then(|name| apart(&history, name)),
    )
}

fn apart(history: &History, from: String) -> Option<Apart> {
    let distance = history.ahead_behind(history.head()?, history.commit(&from).ok()?).ok()?;
    Some(Apart { from, distance })
}

fn first_ready(queue: &QueueView) -> Ready {
    let all = queue.ready();
    let ready = |entry: &&QueueEntry| {
        let item = entry.item.as_ref()?;
        Some(ReadyTask {
            task: entry.task.clone(),
            priority: item.priority,
            title: item.title.clone(),
        })
    };
    Ready { first: all.iter().filter_map(ready).take(SHOWN).collect(), count: all.len() }
}

/// Own work comes first, then what a manager asks for, then what was said, then what anybody may
/// do.
fn next_step(
    claims: &[OwnClaim],
    leases: &[LeaseStatus],
    assignment: Option<&Assignment>,
    inbox: &Inbox,
    ready: &Ready,
) -> NextStep {
    let here =
        || claims.iter().filter(|own| own.here).map(|own| (own.status.state, &own.status.claim));
    let in_state = |wanted: fn(ClaimState) -> bool| {
        here().find(|(state, _)| wanted(*state)).map(|(_, claim)| claim.task_id.clone())
    };
    let expiring = || {
        in_state(|state| matches!(state, ClaimState::Expired | ClaimState::Stale))
            .map(NextStep::Renew)
    };
    let dying = |held: &LeaseStatus| held.here && held.liveness != Liveness::Alive;
    let renewing = || leases.iter().any(dying).then_some(NextStep::RenewLeases);
    let active = || in_state(|state| state == ClaimState::Active).map(NextStep::GoOn);
    let paused = || in_state(|state| state == ClaimState::Paused).map(NextStep::TakeUp);
    let assigned = || assignment.map(|assignment| NextStep::Claim(assignment.task_id.clone()));
    let unread = || (inbox.unread > 0).then_some(NextStep::ReadInbox);
    let look = if ready.count > 0 { NextStep::ClaimNext } else { NextStep::Look };
    expiring()
        .or_else(renewing)
        .or_else(active)
        .or_else(paused)
        .or_else(assigned)
        .or_else(unread)
        .unwrap_or(look)
}

//! Claim, release, heartbeat, reclaim: what agents do with tasks (docs/design.md, section 3).

use super::{claim_with_paths, meant_task};
use crate::bus::claim::{
    Changed, ClaimDecision, ClaimFault, ClaimRequest, Grant, LastEvents, Outcome, Reclaim, Refusal,
    Release, ReleaseRequest, View, Wish, assigned,
};
use crate::bus::workspace::{FleetFault, Reach, Who, Workspace};
use crate::bus::{Error, claim, fleet, log, plan};
use crate::git::Repository;
use crate::record::{AgentId, Assignment, Ended, Fold, PlanId, Status, TaskId, is_own_file, verb};

/// Changes the claim of the task that is asked for, as `decide` says, as far as `reach` goes.
///
/// # Errors
///
/// What `decide` refuses; [`Error::RefContended`] if the ref is moved again and again by
/// something that does not take the lock; [`Error::Store`] and [`Error::Git`] if the system or
/// the remote refuses.
fn change(
    ws: &Workspace,
    agent: &AgentId,
    asked: &TaskId,
    reach: Reach,
    decide: impl Fn(&View, &Who) -> Result<ClaimDecision, Error>,
) -> Result<Changed, Error> {
    ws.config()?;
    if reach != Reach::Later {
        ws.learn_fleet(reach)?;
    }
    match (ws.fleet()?, reach) {
        (Some(fleet), Reach::Fleet) => {
            Ok(fleet::propose_claim(ws, fleet, agent, asked, decide, None)?.0)
        }
        // There may be one that nobody was asked for yet.
        (None, Reach::Offline) if ws.has_fresh_answer()? => Err(FleetFault::None.into()),
        _ => {
            let mut lock = ws.lock()?;
            let who = ws.who(agent.clone())?;
            claim::change_here(ws, &mut lock, &who, asked, |view, who| {
                Ok(match (decide(view, who)?, reach) {
                    (next, Reach::Offline) => next.unconfirmed(),
                    (next, _) => next,
                })
            })
        }
    }
}

/// What `bus reclaim` asks for.
#[derive(Clone, Debug)]
pub struct ReclaimRequest {
    /// Why.
    pub note: String,
    /// Take over a claim that shows heartbeats.
    pub force: bool,
}

/// Claims a task for `agent`.
///
/// # Errors
///
/// [`ClaimFault::Held`], [`ClaimFault::HeldElsewhere`], [`ClaimFault::Finished`],
/// [`ClaimFault::AssignedElsewhere`], [`ClaimFault::NotAssigned`] or [`ClaimFault::Diverged`] if it
/// is not the agent's to claim; [`Error::Queue`] if it looks like a task of the queue and is none;
/// [`Error::Malformed`] if what stands cannot be read; else as the
/// system refuses.
pub fn claim(
    ws: &Workspace,
    agent: &AgentId,
    task: &TaskId,
    request: &ClaimRequest,
) -> Result<Changed, Error> {
    change(ws, agent, task, reach(request.offline), |view, who| {
        decide_claim(ws, view, who, request)
    })
}

/// What a `bus claim` by `who` comes to.
pub(super) fn decide_claim(
    ws: &Workspace,
    view: &View,
    who: &Who,
    request: &ClaimRequest,
) -> Result<ClaimDecision, Error> {
    request.branch.as_ref().map_or(Ok(()), |branch| check_branch(branch, &who.agent))?;
    if let Some(file) = claim::contradiction(ws, view, who)? {
        return Err(claim::diverged(ws, view, file));
    }
    let (assignment, verdict) =
        if request.allow_unassigned { (None, None) } else { claim::assignment_for(ws, view, who)? };
    if view.claim().is_none() && assignment.is_none() && !request.new {
        meant_task::check_is_queued(ws, &view.task)?;
    }
    let wanted = planned_by(request, assignment.as_ref());
    let wish = Wish { reopen: request.reopen, here: request.here, assignment: verdict };
    let (verb, ended, outcome) = match claim::claim(view.claim(), who, wish) {
        Ok(Grant::Keep) => return claim::keep(ws, view, request),
        Ok(Grant::Take) => (verb::CLAIM, None, Outcome::Claimed),
        Ok(Grant::Reopen) => (verb::REOPEN, None, Outcome::Reopened),
        Ok(Grant::Move) => (verb::MOVE, Some((Ended::Moved, None)), Outcome::Moved),
        Err(Refusal::Assigned) => return Err(assigned(view, assignment)),
        Err(refusal) => return Err(claim::refused(ws, view, who, refusal)?),
    };
    let request = if outcome == Outcome::Moved { request } else { &wanted };
    let claim = Box::new(claim::successor(ws, view, who, &with_plan(ws, view, request), ended)?);
    Ok(ClaimDecision::Write { verb, claim, outcome })
}

/// Notes `plan` in the claim of `agent`'s own, where it still lives.
pub(super) fn note_plan(
    ws: &Workspace,
    agent: &AgentId,
    task: &TaskId,
    plan: &PlanId,
) -> Result<Changed, Error> {
    let request = ClaimRequest { plan: Some(plan.clone()), ..ClaimRequest::default() };
    change(ws, agent, task, Reach::Later, |view, who| match view.claim() {
        Some(claim) if claim.status.is_live() && who.owns(claim) => claim::keep(ws, view, &request),
        _ => Err(claim::refused_or_lost(ws, view, who, Refusal::NotHeld)?),
    })
}

/// The project's files of this worktree that no commit has as they are: who has ended a task here
/// leaves them in no branch.
///
/// # Errors
///
/// [`Error::Git`] if git does not say.
pub(crate) fn uncommitted_work(ws: &Workspace) -> Result<Vec<String>, Error> {
    let paths = ws.repo.uncommitted()?;
    let names = paths.iter().map(|path| String::from_utf8_lossy(path).into_owned());
    Ok(names.filter(|path| !is_own_file(path, Fold::Off)).collect())
}

/// Ends or pauses `agent`'s claim.
///
/// # Errors
///
/// [`ClaimFault::Lost`] if somebody else has ended it; [`ClaimFault::Held`],
/// [`ClaimFault::HeldElsewhere`] or [`ClaimFault::NotHeld`] if it is not the agent's; else as
/// `claim`.
pub fn release(
    ws: &Workspace,
    agent: &AgentId,
    task: &TaskId,
    request: &ReleaseRequest,
) -> Result<Changed, Error> {
    let changed = change(ws, agent, task, reach(request.offline), |view, who| {
        let decision = claim::release(view.claim(), who, request.status, request.force.is_some());
        let Some(claim) = view.claim() else {
            return Err(claim::refused_or_lost(ws, view, who, Refusal::NotHeld)?);
        };
        let new_notes = request.notes.is_some() && request.notes != claim.notes;
        match decision {
            Err(refusal) => Err(claim::refused_or_lost(ws, view, who, refusal)?),
            Ok(Release::Already) if !(claim.status.is_live() && new_notes) => {
                Ok(ClaimDecision::Settle)
            }
            Ok(_) => Ok(claim::ending(ws, view, claim, who, request)),
        }
    })?;
    claim_with_paths::free_paths(ws, agent, &changed.claim, request.force.as_deref())?;
    log::export(ws, agent)?;
    if !request.offline {
        fleet::publish_soon(ws);
    }
    Ok(changed)
}

/// Gives a heartbeat of `agent`'s claim: it renews the ref, and no file. That the fleet could
/// not be told is returned beside what was done.
///
/// # Errors
///
/// As [`release`].
pub fn heartbeat(
    ws: &Workspace,
    agent: &AgentId,
    task: &TaskId,
) -> Result<(Changed, Option<Error>), Error> {
    let changed = change(ws, agent, task, Reach::Later, |view, who| {
        match (claim::heartbeat(view.claim(), who), view.claim()) {
            (Ok(()), Some(claim)) => Ok(claim::pulse(ws, view, claim)),
            (Err(refusal), _) => Err(claim::refused_or_lost(ws, view, who, refusal)?),
            (Ok(()), None) => Err(claim::refused_or_lost(ws, view, who, Refusal::NotHeld)?),
        }
    })?;
    claim_with_paths::renew_paths(ws, agent, &changed.claim)?;
    let untold = ws
        .fleet()?
        .map_or(Ok(None), |fleet| fleet::publish_claim(ws, fleet, agent, &changed.claim.task_id))?;
    Ok((changed, untold))
}

/// Takes over a claim that is paused, expired or stale.
///
/// # Errors
///
/// [`ClaimFault::Alive`] if it is alive; [`ClaimFault::NotHeld`] if there is nothing to take over;
/// else as `claim`.
pub fn reclaim(
    ws: &Workspace,
    agent: &AgentId,
    task: &TaskId,
    request: &ReclaimRequest,
) -> Result<Changed, Error> {
    let changed = change(ws, agent, task, Reach::Fleet, |view, who| {
        if let Some(file) = claim::contradiction(ws, view, who)? {
            return Err(claim::diverged(ws, view, file));
        }
        let stale_after = ws.config()?.stale_after.get();
        let (liveness, signs) = claim::liveness(ws, view, stale_after, &mut LastEvents::default())?;
        match claim::reclaim(view.claim(), who, liveness, request.force) {
            Ok(Reclaim::Already) => Ok(ClaimDecision::Settle),
            Ok(Reclaim::Take) => {
                // A paused claim is taken over at once, whatever the time.
                if !request.force
                    && view.claim().is_some_and(|claim| claim.status == Status::Active)
                {
                    claim::check_clock(ws)?;
                }
                let ended = Some((Ended::Reclaimed, Some(request.note.clone())));
                let request = with_plan(ws, view, &ClaimRequest::default());
                let claim = Box::new(claim::successor(ws, view, who, &request, ended)?);
                Ok(ClaimDecision::Write { verb: verb::RECLAIM, claim, outcome: Outcome::Reclaimed })
            }
            Err(Refusal::Alive) => {
                claim::warn_of_clock(ws, view.task.as_str(), &signs);
                let owner =
                    view.claim().map_or_else(|| who.agent.clone(), |claim| claim.agent_id.clone());
                Err(Error::Claim(ClaimFault::Alive {
                    task: view.task.clone(),
                    owner,
                    last_seen: signs.last(ws.clock.now()),
                    now: ws.clock.now(),
                }))
            }
            Err(refusal) => Err(claim::refused(ws, view, who, refusal)?),
        }
    })?;
    changed.previous.as_ref().map_or(Ok(()), |before| {
        claim_with_paths::free_paths(ws, agent, before, Some(&request.note))
    })?;
    Ok(changed)
}

/// How far a claim or a release goes.
const fn reach(offline: bool) -> Reach {
    if offline { Reach::Offline } else { Reach::Fleet }
}

/// The request, with the plan that a manager meant for the task where the caller names none.
fn planned_by(request: &ClaimRequest, assignment: Option<&Assignment>) -> ClaimRequest {
    let plan = request.plan.clone().or_else(|| assignment?.plan_id.clone());
    ClaimRequest { plan, ..request.clone() }
}

/// The request, with the plan that the claim before had, or that links to the task, if it names
/// none.
fn with_plan(ws: &Workspace, view: &View, request: &ClaimRequest) -> ClaimRequest {
    let before = || view.claim()?.plan_id.clone();
    let plan = request.plan.clone().or_else(before).or_else(|| plan::plan_of(ws, &view.task));
    ClaimRequest { plan, ..request.clone() }
}

/// A branch that a claim may name: one of git's names, under the agent's own prefix.
fn check_branch(branch: &str, agent: &AgentId) -> Result<(), Error> {
    let prefix = format!("agent/{agent}/");
    if branch.starts_with(&prefix) && Repository::is_branch_name(branch) {
        return Ok(());
    }
    let what = format!("`{branch}` is no branch of {agent}'s");
    Err(Error::Usage {
        what,
        hint: format!("a claim's branch begins with `{prefix}`; leave `--branch` out to get one"),
    })
}

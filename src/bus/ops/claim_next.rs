//! Claiming the best task that is ready (`_bus/README.md`).

use std::time::Duration;

use super::wait::Patience;
use super::{claim_task, wait};
use crate::Code;
use crate::bus::claim::{Changed, ClaimDecision, ClaimFault, ClaimRequest, Outcome, Refusal, View};
use crate::bus::fleet::Synced;
use crate::bus::ops::WaitFault;
use crate::bus::queue::{Blocker, QueueEntry, QueueFault};
use crate::bus::workspace::{Reach, Who, Workspace};
use crate::bus::{Error, claim, fleet, queue};
use crate::record::{AgentId, Claim, Fleet, Status, verb};
use crate::store::{Error as StoreError, Hints, Layout, Lock, crash_point};

/// How long is waited for a hint before the queue is looked at again, where something changed that
/// gives none.
const TICK: Duration = Duration::from_secs(5);

/// How often the queue is looked at while others take what was ready.
const MAX_LOOKS: usize = 2;

/// Claims the best task that is ready for `agent`: the most urgent, of those the lowest number.
/// What is held already, by the same agent, too, is left to whoever holds it. The item's plan
/// becomes the claim's, unless another is asked for.
///
/// # Errors
///
/// [`QueueFault::NothingReady`] if there is none; else as [`claim_task::claim`] if the system
/// refuses.
pub(crate) fn claim_next(
    ws: &Workspace,
    agent: &AgentId,
    request: &ClaimRequest,
) -> Result<Changed, Error> {
    ws.learn_fleet(Reach::Fleet)?;
    let fleet = ws.fleet()?;
    let mut summary = String::new();
    for _ in 0..MAX_LOOKS {
        if let Some(fleet) = fleet {
            fleet::receive(ws, fleet, &ws.remote_of(fleet)?, &mut Synced::default())?;
        }
        let queue = queue::queue(ws, Some(agent))?;
        let ready = queue.claimable(request.allow_unassigned);
        crash_point("queue-seen");
        let claimed = match fleet {
            None => claim_best(ws, agent, &ready, request)?,
            Some(fleet) => claim_best_in_fleet(ws, fleet, agent, &ready, request)?,
        };
        if let Some(changed) = claimed {
            return Ok(changed);
        }
        summary = queue.summary();
        // Others were faster each time: what they finish meanwhile may make more ready.
        if ready.is_empty() {
            break;
        }
    }
    Err(Error::Queue(QueueFault::NothingReady { summary }))
}

/// Claims the first of these tasks that is still to be had, all under one lock.
fn claim_best(
    ws: &Workspace,
    agent: &AgentId,
    ready: &[&QueueEntry],
    request: &ClaimRequest,
) -> Result<Option<Changed>, Error> {
    let mut lock = ws.lock()?;
    let who = ws.who(agent.clone())?;
    if let Left::Finished(changed) = finish_next(ws, &mut lock, &who)? {
        return Ok(Some(*changed));
    }
    let claim = |entry: &&QueueEntry| {
        claim::change_here(ws, &mut lock, &who, &entry.task, |view, who| {
            decide_entry(ws, view, who, entry, (request, None))
        })
    };
    first_to_be_had(ready, claim)
}

/// Claims the first of these tasks that the fleet's remote grants.
fn claim_best_in_fleet(
    ws: &Workspace,
    fleet: &Fleet,
    agent: &AgentId,
    ready: &[&QueueEntry],
    request: &ClaimRequest,
) -> Result<Option<Changed>, Error> {
    let left = {
        let mut lock = ws.lock()?;
        let who = ws.who(agent.clone())?;
        finish_next(ws, &mut lock, &who)?
    };
    let asked = match left {
        Left::Finished(changed) => return Ok(Some(*changed)),
        Left::Asked(claim) => claim,
    };
    // What was asked for before may still come to the remote: asked for again first, it is no
    // second task.
    let mut ready = ready.to_vec();
    ready.sort_by_key(|entry| asked.as_ref().is_none_or(|asked| asked.task_id != entry.task));
    first_to_be_had(&ready, |entry| {
        let decide = |view: &View, who: &Who| {
            decide_entry(ws, view, who, entry, (request, asked.as_deref()))
        };
        Ok(fleet::propose_claim(ws, fleet, agent, &entry.task, decide, None)?.0)
    })
}

/// The same as soon as there is one; `on_wait` is told how the queue stands meanwhile, whenever
/// that changes.
///
/// # Errors
///
/// As [`claim_next`], but [`WaitFault::Timeout`] if nothing is ready in time.
pub(crate) fn claim_next_when_ready(
    ws: &Workspace,
    agent: &AgentId,
    request: &ClaimRequest,
    patience: Patience,
    mut on_wait: impl FnMut(&Error),
) -> Result<Changed, Error> {
    let mut hints = Hints::new();
    let mut said = String::new();
    loop {
        // First this: what changes after the look gives a hint.
        let folders = ws.layouts().map(Layout::queue).chain(claim::assignment_folders(ws));
        hints.watch(wait::claim_folders(ws).into_iter().chain(folders));
        ws.note_presence(agent);
        let nothing = match claim_next(ws, agent, request) {
            Err(Error::Store(StoreError::LockTimeout { .. })) if patience.left(TICK).is_some() => {
                continue;
            }
            Err(nothing @ Error::Queue(QueueFault::NothingReady { .. })) => nothing,
            // It may answer again before the time is over.
            Err(away) if away.code() == Code::RemoteUnreachable => away,
            done => return done,
        };
        let what = nothing.to_string();
        let Some(left) = patience.left(TICK) else {
            return Err(Error::Wait(WaitFault::Timeout {
                what,
                patience: patience.span,
                standing: None,
            }));
        };
        if said != what {
            on_wait(&nothing);
            said = what;
        }
        hints.wait(left);
    }
}

/// What claiming a task that looked ready comes to, if it still is, or if the claim is what was
/// `asked` for before.
fn decide_entry(
    ws: &Workspace,
    view: &View,
    who: &Who,
    entry: &QueueEntry,
    (request, asked): (&ClaimRequest, Option<&Claim>),
) -> Result<ClaimDecision, Error> {
    let is_asked = |claim: &Claim| asked.is_some_and(|asked| asked.same_claim(claim));
    if view
        .claim()
        .is_some_and(|claim| claim.status.is_live() && who.owns(claim) && is_asked(claim))
    {
        return Ok(ClaimDecision::Settle);
    }
    if view.claim().is_some_and(|claim| claim.status != Status::Released)
        || !are_done(ws, &entry.blockers)?
    {
        return Err(claim::refused(ws, view, who, Refusal::Held)?);
    }
    let plan = entry.item.as_ref().and_then(|item| item.plan.clone());
    let request =
        ClaimRequest { plan: request.plan.clone().or(plan), new: true, ..request.clone() };
    let next = claim_task::decide_claim(ws, view, who, &request)?;
    if let ClaimDecision::Write { claim, .. } = &next {
        claim::note_asked(ws, who, claim)?;
    }
    Ok(next)
}

/// Finishes what a crash left of the same command: the claim that it had noted, where that is what
/// stands.
fn finish_next(ws: &Workspace, lock: &mut Lock, who: &Who) -> Result<Left, Error> {
    let Some(asked) = claim::asked(ws, who)? else { return Ok(Left::Asked(None)) };
    // What cannot be read now is not what was claimed then.
    let tip = claim::repaired_view(ws, lock, &asked.task_id).ok().and_then(|view| view.tip);
    let is_asked = |claim: &Claim| asked.same_claim(claim) && who.owns(claim);
    let tip = tip.filter(|tip| tip.link.verb() == verb::CLAIM && is_asked(&tip.claim));
    // The note stays until another claim is asked for: this one may come to the remote yet.
    let Some(tip) = tip else { return Ok(Left::Asked(Some(Box::new(asked)))) };
    claim::settle(ws, lock, &tip)?;
    claim::forget_asked(ws, who, &asked.task_id)?;
    Ok(Left::Finished(Box::new(Changed {
        outcome: Outcome::Claimed,
        claim: tip.claim,
        previous: None,
    })))
}

fn are_done(ws: &Workspace, blockers: &[Blocker]) -> Result<bool, Error> {
    for blocker in blockers {
        let view = claim::view_by(ws, &blocker.task, None)?;
        if view.claim().is_none_or(|claim| claim.status != Status::Done) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What an earlier run of the command has left.
enum Left {
    /// It had the task, and this is finished now.
    Finished(Box<Changed>),
    /// The claim that it has asked for, if any; nobody knows what came of it.
    Asked(Option<Box<Claim>>),
}

/// What `claim` comes to for the first of these tasks that is to be had.
fn first_to_be_had(
    ready: &[&QueueEntry],
    mut claim: impl FnMut(&&QueueEntry) -> Result<Changed, Error>,
) -> Result<Option<Changed>, Error> {
    for entry in ready {
        match claim(entry) {
            Err(error) if is_lost(&error) => {}
            done => return done.map(Some),
        }
    }
    Ok(None)
}

/// Whether the error says that a task is not to be had, so that another one may be.
const fn is_lost(error: &Error) -> bool {
    matches!(
        error,
        Error::Claim(
            ClaimFault::Held { .. }
                | ClaimFault::HeldElsewhere { .. }
                | ClaimFault::Finished { .. }
                | ClaimFault::AssignedElsewhere { .. }
                | ClaimFault::NotAssigned { .. }
                | ClaimFault::NotHeld { .. }
                | ClaimFault::Diverged { .. },
        ) | Error::Malformed { .. }
            | Error::UnreadableRef { .. }
            | Error::OddRef { .. }
    )
}

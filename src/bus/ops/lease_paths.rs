//! Path leases: who may edit which files (`_bus/README.md`). One ref holds the table of all live
//! leases, so that whether two overlap is decided by one compare-and-swap.

use super::change_leases;
use crate::bus::lease::{
    Draft, LeaseDecision, LeaseFault, LeaseOutcome, LeaseRequest, Leased, WhichLeases, own_rows,
    taken, whole,
};
use crate::bus::workspace::{Who, Workspace};
use crate::bus::{Error, claim, lease};
use crate::record::{AgentId, ClaimId, LeaseId, TaskId, verb};

/// Takes a lease for `agent`: all paths that are asked for, or none. The same again finds it taken,
/// and renews it where that is due. One for a task that the agent holds here ends with its claim.
///
/// # Errors
///
/// [`LeaseFault::Held`] if others hold paths of it; [`Error::Usage`] if nothing is left of
/// it; [`Error::Malformed`] if the table of leases cannot be read; else as the system refuses.
pub(crate) fn acquire_lease(
    ws: &Workspace,
    agent: &AgentId,
    request: &LeaseRequest,
) -> Result<Leased, Error> {
    let scope = lease::wanted_scope(ws, request)?;
    let task = request.task.as_ref().map(|task| claim::spelling(ws, task));
    let request = LeaseRequest { task, ..request.clone() };
    let answer = change_leases::change_leases(ws, agent, |view, who| {
        let claim =
            request.task.as_ref().map(|task| own_claim(ws, who, task)).transpose()?.flatten();
        lease::decide_take(ws, view, who, &request, &scope, claim.as_ref())
    })?;
    taken(&answer, agent)
}

/// The id of the live claim of `task`, if it is the caller's, made here.
fn own_claim(ws: &Workspace, who: &Who, task: &TaskId) -> Result<Option<ClaimId>, Error> {
    let view = claim::deciding_view(ws, task, None)?;
    let own = view.claim().filter(|claim| claim.status.is_live() && who.owns(claim));
    Ok(own.and_then(|claim| claim.claim_id.clone()))
}

/// Gives a heartbeat of `agent`'s own leases.
///
/// # Errors
///
/// [`LeaseFault::Lost`] if somebody else has ended it; [`LeaseFault::NotYours`],
/// [`LeaseFault::NoLease`], [`LeaseFault::NoneHeld`] or [`LeaseFault::Several`] if it is none
/// that can be meant; else as [`acquire_lease`].
pub(crate) fn renew_leases(
    ws: &Workspace,
    agent: &AgentId,
    which: &WhichLeases,
) -> Result<Vec<Leased>, Error> {
    change_leases::change_leases(ws, agent, |view, who| {
        let mut renewed = Vec::new();
        for row in own_rows(view, who, which)? {
            if lease::stands(ws, &row.brief) {
                renewed.push(lease::renewed(ws, &whole(row)?, None)?);
            } else if !matches!(which, WhichLeases::All) {
                return Err(lease::claim_gone(ws, who, &row.brief)?.into());
            }
        }
        match (which, renewed.is_empty()) {
            (_, false) => {
                Ok(LeaseDecision::Write(Draft::new(verb::RENEW, renewed, LeaseOutcome::Renewed)))
            }
            (WhichLeases::One(id), true) => Err(lease::gone(ws, view, who, id)?.into()),
            (WhichLeases::All | WhichLeases::Only, true) => {
                Err(LeaseFault::NoneHeld { agent: agent.clone() }.into())
            }
        }
    })
}

/// Gives back leases of `agent`'s own.
///
/// # Errors
///
/// As [`renew_leases`].
pub(crate) fn release_leases(
    ws: &Workspace,
    agent: &AgentId,
    which: &WhichLeases,
) -> Result<Vec<Leased>, Error> {
    change_leases::change_leases(ws, agent, |view, who| {
        let mut ended = Vec::new();
        for row in own_rows(view, who, which)? {
            if !lease::stands(ws, &row.brief) {
                match lease::claim_gone(ws, who, &row.brief)? {
                    lost @ LeaseFault::Lost { .. } if !matches!(which, WhichLeases::All) => {
                        return Err(lost.into());
                    }
                    _ => {}
                }
            }
            ended.push(lease::ending_lease(ws, whole(row)?, who, None)?);
        }
        if !ended.is_empty() {
            return Ok(LeaseDecision::Write(Draft::new(
                verb::RELEASE,
                ended,
                LeaseOutcome::Released,
            )));
        }
        // Run again after a crash: what had ended by then is settled.
        let past = match which {
            WhichLeases::One(id) => vec![lease::own_end(ws, view, who, id)?],
            WhichLeases::All | WhichLeases::Only => lease::unsettled_ends(ws, view, who)?,
        };
        match past[..] {
            [] => Err(LeaseFault::NoneHeld { agent: agent.clone() }.into()),
            [..] => Ok(LeaseDecision::settle(past)),
        }
    })
}

/// Takes over the paths of a lease that is stale or expired, under a new id. What else its holder
/// has of these paths ends, too.
///
/// # Errors
///
/// [`LeaseFault::Alive`] if it is alive and `force` is not given; [`LeaseFault::NoLease`] if
/// nobody holds it; else as [`acquire_lease`].
pub(crate) fn reclaim_lease(
    ws: &Workspace,
    agent: &AgentId,
    id: &LeaseId,
    note: &str,
    force: bool,
) -> Result<Leased, Error> {
    let mut leased = change_leases::change_leases(ws, agent, |view, who| {
        let Some(row) = view.table.row(id) else {
            return lease::reclaimed_already(ws, view, who, id);
        };
        if lease::is_mine(&row.brief, who) {
            return Ok(LeaseDecision::settle(vec![whole(row)?]));
        }
        if !lease::stands(ws, &row.brief) {
            return Err(LeaseFault::NoLease { lease: id.clone(), ended: None }.into());
        }
        lease::takeover(ws, view, who, row, note, force)
    })?;
    let previous =
        leased.iter().position(|leased| leased.lease.lease_id == *id && !leased.lease.is_live());
    let previous = previous.map(|place| leased.remove(place).lease);
    let taken = leased.into_iter().find(|leased| leased.lease.is_live());
    let taken = taken.ok_or_else(|| LeaseFault::NoLease {
        lease: id.clone(),
        ended: previous.as_ref().and_then(|lease| lease.released_at),
    });
    Ok(Leased { previous, ..taken? })
}

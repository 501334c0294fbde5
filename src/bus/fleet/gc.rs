//! Puts ended claims away, so that neither this clone nor the remote keeps a ref for each task
//! there ever was (docs/design.md, section 3).
//!
//! Their last states go into `refs/bus/archive`; then their refs go. A claim that lives is never
//! touched, nor one whose work the default branch lacks.

use std::collections::BTreeMap;

use super::sync::Synced;
use super::{propose, push, sync};
use crate::bus::claim::{ClaimState, ClaimStatus, LastEvents, StatusQuery};
use crate::bus::workspace::{MAX_TRIES, Workspace};
use crate::bus::{Error, claim};
use crate::git::{MAX_PUSH, ObjectId, Pushed, RefName, Remote, Swap};
use crate::record::{AgentId, Fleet, TaskId};
use crate::store::crash_point;

/// What `bus gc` has archived, or would.
#[derive(Debug, Default)]
pub(crate) struct PutAway {
    /// The tasks.
    pub(crate) tasks: Vec<TaskId>,
    /// The ended claims that stay, and why.
    pub(crate) kept: Kept,
}

/// Tasks whose ended claims stay, and why.
type Kept = Vec<(TaskId, &'static str)>;

/// Finds the claims that ended and landed, and with `apply` puts them away.
///
/// # Errors
///
/// [`FleetFault::Refused`](FleetFault::Refused) where the fleet's remote does not let its refs be
/// removed; [`Error::Git`] if it cannot be reached, or the history cannot be read; else as the
/// system refuses. What was archived by then stays so.
pub(crate) fn gc(ws: &Workspace, agent: &AgentId, apply: bool) -> Result<PutAway, Error> {
    let fleet = ws.fleet()?;
    if let Some(fleet) = fleet {
        sync::receive(ws, fleet, &ws.remote_of(fleet)?, &mut Synced::default())?;
    }
    let (states, kept) = ended_states(ws)?;
    let put_away = PutAway { tasks: states.iter().map(|(task, _)| task.clone()).collect(), kept };
    if apply {
        for states in states.chunks(MAX_PUSH / 2) {
            match fleet {
                Some(fleet) => put_away_in_fleet(ws, fleet, agent, states)?,
                None => self::put_away(ws, agent, states)?,
            }
        }
    }
    Ok(put_away)
}

/// The last states of the claims that may go, and the ended ones that stay.
fn ended_states(ws: &Workspace) -> Result<(Vec<(TaskId, ObjectId)>, Kept), Error> {
    let mut seen = claim::seen_claims(
        ws,
        &StatusQuery::default(),
        &mut LastEvents::default(),
        claim::deciding_view,
    )?;
    seen.claims.retain(|status| !status.claim.status.is_live());
    claim::look_at_branches(ws, &mut seen.claims)?;
    let (mut states, mut kept) = (Vec::new(), Vec::new());
    for status in seen.claims {
        let task = &status.claim.task_id;
        let Some(id) = ws.repo.id_of(&RefName::claim(task))? else { continue };
        match (why_kept(ws, &status, id)?, ws.archived_id(task)? == Some(id)) {
            (Some(why), false) => kept.push((task.clone(), why)),
            _ => states.push((task.clone(), id)),
        }
    }
    Ok((states, kept))
}

/// Why an ended claim stays, or `None` if it may go.
fn why_kept(
    ws: &Workspace,
    status: &ClaimStatus,
    id: ObjectId,
) -> Result<Option<&'static str>, Error> {
    if let Some(fleet) = ws.fleet()? {
        let seen = RefName::claim(&status.claim.task_id).seen_on(&fleet.remote);
        if seen.map_or(Ok(None), |seen| ws.repo.id_of(&seen))? != Some(id) {
            return Ok(Some("the fleet does not know of its end: `bus sync` first"));
        }
    }
    let Some(seen) = &status.seen else { return Ok(Some("its branch cannot be looked at")) };
    Ok(match seen {
        _ if status.state == ClaimState::Landed || seen.landed().is_some() => None,
        seen if seen.missing.is_some() => Some("the commit that it ended at is not in this clone"),
        seen if seen.head.is_none() || seen.is_empty => None,
        _ => Some("the default branch has not got its work"),
    })
}

/// In a clone of its own: the archive first, so that a crash in between leaves both, and the ref
/// counts.
fn put_away(ws: &Workspace, agent: &AgentId, states: &[(TaskId, ObjectId)]) -> Result<(), Error> {
    let mut lock = ws.lock()?;
    let mut still = Vec::new();
    for (task, id) in states {
        if ws.repo.id_of(&RefName::claim(task))? == Some(*id) {
            still.push((task.clone(), *id));
        }
    }
    let name = RefName::archive();
    let before = ws.repo.id_of(&name)?;
    let next = archive_of(ws, before, agent, &still)?;
    lock.about_to_write(name.as_str())?;
    if !ws.repo.swap(&name, before, next)? {
        return Err(Error::RefContended { reference: name.as_str().to_owned(), tries: 1 });
    }
    // A claim's ref may only go once the archive's name is on disk, too.
    ws.repo.sync_name(&name)?;
    crash_point("archived");
    let refs: Vec<_> = still.iter().map(|(task, id)| (RefName::claim(task), *id)).collect();
    ws.remove_refs(&mut lock, &refs)
}

/// In a fleet: all of it in one push, or nothing; where others push, too, again. Then this clone
/// follows, as all others do.
fn put_away_in_fleet(
    ws: &Workspace,
    fleet: &Fleet,
    agent: &AgentId,
    states: &[(TaskId, ObjectId)],
) -> Result<(), Error> {
    let remote = ws.remote_of(fleet)?;
    let mut states = states.to_vec();
    for tries in 1..=MAX_TRIES {
        let pushed = push_away(ws, &remote, agent, &states)?;
        crash_point("archived");
        sync::receive(ws, fleet, &remote, &mut Synced::default())?;
        forget_archived(ws, &remote, &states)?;
        // What was begun anew meanwhile stays.
        states.retain(|(task, id)| {
            ws.repo.id_of(&RefName::claim(task)).is_ok_and(|now| now == Some(*id))
        });
        if states.is_empty() {
            break;
        }
        if let Some(fault) = propose::final_fault(fleet, pushed, false, tries) {
            return Err(fault.into());
        }
    }
    Ok(())
}

fn push_away(
    ws: &Workspace,
    remote: &Remote,
    agent: &AgentId,
    states: &[(TaskId, ObjectId)],
) -> Result<Pushed, Error> {
    let archive = RefName::archive();
    let before = ws.seen_at(remote, &archive)?;
    let next = archive_of(ws, Some(ws.archive_for(before)?), agent, states)?;
    let mut swaps = vec![Swap { name: archive, expected: before, new: Some(next) }];
    let on_remote = states.iter().filter_map(|(task, id)| {
        let name = RefName::claim(task);
        let there = ws.seen_at(remote, &name).ok().flatten() == Some(*id);
        there.then_some(Swap { name, expected: Some(*id), new: None })
    });
    swaps.extend(on_remote);
    if swaps.len() > 1 { push::push_swaps(ws, remote, swaps) } else { Ok(Pushed::Done) }
}

/// Removes this clone's refs of what another clone has archived before.
fn forget_archived(
    ws: &Workspace,
    remote: &Remote,
    states: &[(TaskId, ObjectId)],
) -> Result<(), Error> {
    let mut gone = Vec::new();
    for (task, id) in states {
        let seen = ws.seen_at(remote, &RefName::claim(task))?;
        gone.extend(
            (seen.is_none() && ws.archived_id(task)? == Some(*id))
                .then(|| (RefName::claim(task), *id)),
        );
    }
    ws.remove_refs(&mut ws.lock()?, &gone)
}

/// The archive after `before`, with these states in it.
fn archive_of(
    ws: &Workspace,
    before: Option<ObjectId>,
    agent: &AgentId,
    states: &[(TaskId, ObjectId)],
) -> Result<ObjectId, Error> {
    let before = before.map_or_else(|| ws.repo.archive_root(), Ok)?;
    let archive = ws.repo.archive(before)?;
    let states: BTreeMap<TaskId, ObjectId> = states.iter().cloned().collect();
    Ok(ws.repo.archive_with(&archive, &states, None, agent, ws.clock.now())?)
}

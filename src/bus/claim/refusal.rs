//! The errors that say why a claim is not the caller's, with the facts.

use super::claim_files::FileClaim;
use super::claim_rules::Refusal;
use super::liveness::{LastEvents, Liveness};
use super::view::View;
use super::{ClaimFault, liveness, loss};
use crate::bus::Error;
use crate::bus::workspace::{Who, Workspace};
use crate::record::{Assignment, Claim, Status};

/// The error for a refusal; a loss comes before it.
pub(in crate::bus) fn refused_or_lost(
    ws: &Workspace,
    view: &View,
    who: &Who,
    refusal: Refusal,
) -> Result<Error, Error> {
    match loss::loss(ws, view, who)? {
        Some(loss) => {
            let owner = view
                .claim()
                .filter(|claim| claim.status.is_live())
                .map(|claim| claim.agent_id.clone());
            Ok(Error::Claim(ClaimFault::Lost { task: view.task.clone(), loss, owner }))
        }
        None => refused(ws, view, who, refusal),
    }
}

/// The error for a refusal, with the facts.
pub(in crate::bus) fn refused(
    ws: &Workspace,
    view: &View,
    who: &Who,
    refusal: Refusal,
) -> Result<Error, Error> {
    let task = view.task.clone();
    let Some(claim) = view.claim() else {
        return Ok(match refusal {
            Refusal::NotAssigned => Error::Claim(ClaimFault::NotAssigned { task }),
            _ => Error::Claim(ClaimFault::NotHeld { task, ended: None }),
        });
    };
    let owner = claim.agent_id.clone();
    let now = ws.clock.now();
    Ok(match refusal {
        Refusal::Held | Refusal::Alive | Refusal::Assigned => {
            let stale_after = ws.config()?.stale_after.get();
            let (liveness, signs) =
                liveness::liveness(ws, view, stale_after, &mut LastEvents::default())?;
            let reclaimable = match (claim.status, liveness) {
                (_, Liveness::Gone) => Some("gone"),
                (_, Liveness::Expired) => Some("expired"),
                (_, Liveness::Stale) => Some("stale"),
                (Status::Paused, Liveness::Alive) => Some("paused"),
                _ => None,
            };
            liveness::warn_of_clock(ws, task.as_str(), &signs);
            let (branch, status, since) = (claim.branch.clone(), claim.status, claim.claimed_at);
            Error::Claim(ClaimFault::Held {
                task,
                owner,
                branch,
                status,
                since,
                last_seen: signs.last(now),
                reclaimable,
                now,
            })
        }
        Refusal::HeldElsewhere => {
            let origin = claim.origin.clone();
            Error::Claim(ClaimFault::HeldElsewhere {
                task,
                owner,
                place: place_name(ws, claim, who),
                origin,
                since: claim.claimed_at,
                now,
            })
        }
        Refusal::Finished => {
            let at = claim.released_at.unwrap_or(claim.claimed_at);
            Error::Claim(ClaimFault::Finished {
                task,
                owner,
                branch: claim.branch.clone(),
                ended_by: claim.released_by.clone(),
                at,
                now,
            })
        }
        Refusal::NotAssigned => Error::Claim(ClaimFault::NotAssigned { task }),
        Refusal::NotHeld => Error::Claim(ClaimFault::NotHeld { task, ended: Some(claim.status) }),
    })
}

pub(in crate::bus) fn diverged(ws: &Workspace, view: &View, file: &FileClaim) -> Error {
    Error::Claim(ClaimFault::Diverged {
        task: view.task.clone(),
        place: ws.show(&file.place),
        owner: file.claim.agent_id.clone(),
        revision: file.claim.revision,
        against: view.name.as_str().to_owned(),
    })
}

pub(in crate::bus) fn assigned(view: &View, assignment: Option<Assignment>) -> Error {
    let task = view.task.clone();
    match assignment.and_then(|assignment| Some((assignment.engineer?, assignment.manager))) {
        Some((engineer, manager)) => {
            Error::Claim(ClaimFault::AssignedElsewhere { task, engineer, manager })
        }
        None => Error::Claim(ClaimFault::NotAssigned { task }),
    }
}

/// The place of a claim, as its own agent would call it.
fn place_name(ws: &Workspace, claim: &Claim, who: &Who) -> String {
    match &claim.origin {
        Some(origin) if origin.clone_id() != who.origin.clone_id() => "another clone".to_owned(),
        Some(origin) => origin.worktree().map_or_else(
            || "the main worktree".to_owned(),
            |name| match ws.repo.worktree_is_gone(name) {
                true => format!("the worktree `{name}`, which is gone"),
                false => format!("the worktree `{name}`"),
            },
        ),
        None => "an unknown place".to_owned(),
    }
}

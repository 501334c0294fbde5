//! How leases stand: computed when read, as for claims.

use std::time::Duration;

use super::{lease_change, lease_end, lease_table};
use crate::Code;
use crate::bus::claim::{LastEvents, Life, Liveness, Signs};
use crate::bus::workspace::Workspace;
use crate::bus::{Error, claim};
use crate::record::{Lease, LeaseBrief, LeaseId, Timestamp};

/// A live lease, and how it stands.
#[derive(Clone, Debug)]
pub(crate) struct LeaseStatus {
    /// The lease.
    pub(crate) lease: Lease,
    /// How it stands. One that is stale or expired still holds its paths.
    pub(crate) liveness: Liveness,
    /// Its owner's last heartbeat.
    pub(crate) last_seen: Option<Timestamp>,
    /// How far the clock that it was last written by is ahead of ours, if that is too much for a
    /// heartbeat.
    pub(crate) clock_ahead: Option<Duration>,
    /// Whether it was taken in this worktree: it is an agent's own only if it is that agent's and
    /// was taken here.
    pub(crate) here: bool,
}

impl LeaseStatus {
    /// The word for how it stands: `live`, `stale`, `expired`, `gone`.
    #[must_use]
    pub(crate) fn state(&self) -> &'static str {
        reclaimable(self.liveness).unwrap_or("live")
    }
}

/// Why a lease may be taken over, where it may.
pub(super) const fn reclaimable(liveness: Liveness) -> Option<&'static str> {
    match liveness {
        Liveness::Alive => None,
        Liveness::Stale => Some("stale"),
        Liveness::Expired => Some("expired"),
        Liveness::Gone => Some("gone"),
    }
}

/// All live leases of all worktrees, in the order in which they were taken. Those that were taken
/// with a claim are there only while that claim lives. Nothing is changed.
///
/// # Errors
///
/// [`Error::Malformed`] if the table of leases, or a lease in it, cannot be read; else as the
/// system refuses.
pub(crate) fn leases(ws: &Workspace) -> Result<Vec<LeaseStatus>, Error> {
    leases_with(ws, None, &mut LastEvents::default())
}

/// The same, where heartbeats were looked for already, or another time than the policy's makes a
/// lease stale.
fn leases_with(
    ws: &Workspace,
    stale_after: Option<Duration>,
    events: &mut LastEvents,
) -> Result<Vec<LeaseStatus>, Error> {
    let view = lease_table::lease_table(ws)?;
    let stale_after = stale_after.unwrap_or_else(|| ws.stale_after().0);
    let here = ws.here_origin()?;
    let mut leases = Vec::new();
    for row in view.table.rows.iter().filter(|row| stands(ws, &row.brief)) {
        let lease = lease_change::whole(row)?;
        let (liveness, signs) = lease_liveness(ws, &lease, stale_after, events)?;
        let here = lease.origin.as_ref().is_none_or(|origin| here.as_ref() == Some(origin));
        let now = ws.clock.now();
        leases.push(LeaseStatus {
            lease,
            liveness,
            last_seen: signs.last(now),
            clock_ahead: signs.clock_ahead(now),
            here,
        });
    }
    Ok(leases)
}

/// The same for who looks at everything: that the leases cannot be read hides nothing else.
pub(in crate::bus) fn readable_leases(
    ws: &Workspace,
    stale_after: Option<Duration>,
    events: &mut LastEvents,
) -> Result<(Vec<LeaseStatus>, Option<Error>), Error> {
    match leases_with(ws, stale_after, events) {
        Ok(leases) => Ok((leases, None)),
        Err(error) if matches!(error.code(), Code::MalformedRecord) => {
            Ok((Vec::new(), Some(error)))
        }
        Err(error) => Err(error),
    }
}

/// The leases that ended lately, the latest first.
///
/// # Errors
///
/// As [`leases`].
pub(crate) fn ended_leases(ws: &Workspace) -> Result<Vec<Lease>, Error> {
    lease_end::ends_in_history(ws, &lease_table::lease_table(ws)?)
}

/// The ids of all live leases, for who types one.
#[must_use]
pub(crate) fn known_leases(ws: &Workspace) -> Vec<LeaseId> {
    let rows = lease_table::lease_table(ws).map(|view| view.table.rows).unwrap_or_default();
    rows.into_iter().map(|row| row.brief.lease_id).collect()
}

/// The lease that is meant by `typed`: its id, or the beginning of one live lease's id, with or
/// without `L-`. What is the beginning of none is taken as an id.
///
/// # Errors
///
/// [`Error::Usage`] if several live leases begin so; [`Error::Malformed`] if the table cannot be
/// read.
pub(crate) fn meant_lease(ws: &Workspace, typed: &LeaseId) -> Result<LeaseId, Error> {
    let rows = lease_table::lease_table(ws)?.table.rows;
    let ids: Vec<&LeaseId> = rows.iter().map(|row| &row.brief.lease_id).collect();
    if ids.contains(&typed) {
        return Ok(typed.clone());
    }
    let wanted = typed.as_str().to_ascii_lowercase();
    let begins = |id: &&&LeaseId| {
        let id = id.as_str().to_ascii_lowercase();
        id.starts_with(&wanted) || id.strip_prefix("l-").is_some_and(|id| id.starts_with(&wanted))
    };
    let found: Vec<&&LeaseId> = ids.iter().filter(begins).collect();
    match found.as_slice() {
        [] => Ok(typed.clone()),
        [only] => Ok((**only).clone()),
        several => {
            let ids: Vec<&str> = several.iter().map(|id| id.as_str()).collect();
            Err(Error::Usage {
                what: format!("several leases begin with `{typed}`: {}", ids.join(", ")),
                hint: "write one more character of its id".to_owned(),
            })
        }
    }
}

/// How a live lease stands, and the signs that say so.
pub(super) fn lease_liveness(
    ws: &Workspace,
    lease: &Lease,
    stale_after: Duration,
    events: &mut LastEvents,
) -> Result<(Liveness, Signs), Error> {
    let life = Life {
        agent: &lease.owner,
        origin: lease.origin.as_ref(),
        written: lease.heartbeat,
        expires_at: Some(lease.expires_at),
        seen: ws.private.seen_lock(&lease.lease_id),
        state: format!("revision {}", lease.revision),
    };
    claim::liveness_of(ws, &life, stale_after, events)
}

/// Whether a lease lives as far as the claim says with which it was taken. Where that cannot be
/// read, it does.
pub(in crate::bus) fn stands(ws: &Workspace, brief: &LeaseBrief) -> bool {
    let (Some(task), Some(id)) = (&brief.task_id, &brief.claim_id) else { return true };
    if let Some(seen) = claim::seen_claim(ws, task) {
        // What is done here and not published frees nobody's paths.
        return if seen.claim.claim_id.as_ref() == Some(id) {
            seen.claim.status.is_live()
        } else {
            !claim::knows_claim(ws, &seen, id)
        };
    }
    let Ok(view) = claim::deciding_view(ws, task, None) else { return true };
    match view.certain_claim() {
        Ok(Some(claim)) if claim.claim_id.as_ref() == Some(id) => claim.status.is_live(),
        Ok(_) => claim::may_live_elsewhere(ws, &view, id),
        Err(_) => true,
    }
}
